# What a user and CI type. Each target says what it needs; `make setup` needs Python 3.11 or newer with venv and pip, nothing else.
PYTHON ?= python3
PY := .venv/bin/python
REQUIRE ?=

.PHONY: demo setup test check style types engines docs mutants bench clean

demo: setup
	$(PY) tools/demo.py

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

test: setup
	$(PY) tools/run_tests.py $(if $(REQUIRE),--require $(REQUIRE))

check: setup
	$(MAKE) --no-print-directory -j2 style types

style: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	$(PY) tools/docs.py --check
	$(PY) tools/check_powershell.py $(if $(filter all,$(REQUIRE)),--required)

types: setup
	.venv/bin/mypy
	.venv/bin/mypy --explicit-package-bases deploy.py inventories/*.py inventories/group_data/*.py

engines: setup
	$(PY) tools/engines.py

mutants: setup
	$(PY) tools/mutants.py

bench: setup
	$(PY) tools/bench.py

docs: setup
	$(PY) tools/docs.py

clean:
	-$(PY) -m lab stop
	rm -rf .venv .venv-ansible .lab .engines
