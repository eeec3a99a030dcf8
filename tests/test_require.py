"""`--require all`: what was left out has failed, and a contract that did not run alike on both engines has, too (tests/conftest.py)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from tests import conftest
from tests.contract import cases
from tests.contract.cases import Difference

ROOT = Path(__file__).resolve().parents[1]
LEAVES_OUT = """
import pytest

def test_runs():
    pass

@pytest.mark.skip(reason="no engine")
def test_is_marked():
    pass

def test_skips():
    pytest.skip("no engine")

@pytest.fixture
def engine():
    pytest.skip("no engine")

def test_has_no_fixture(engine):
    pass
"""


def run(folder: Path, text: str, *options: str) -> tuple[int, dict[str, int]]:
    """Exit code and outcomes of pytest over one file, with our conftest."""
    (folder / "test_it.py").write_text(text, encoding="utf-8")
    counts = folder / "counts.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += ["-c", str(folder / "pytest.ini"), f"--counts={counts}", *options, str(folder / "test_it.py")]
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  powershell\n", encoding="utf-8")
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)  # noqa: S603 - pytest itself
    assert counts.exists(), done.stdout + done.stderr
    outcomes: dict[str, int] = json.loads(counts.read_text(encoding="utf-8"))["outcomes"]
    return done.returncode, outcomes


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "code", "outcomes", "why"),
    [
        ((), 0, {"passed": 1, "failed": 0, "error": 0, "skipped": 3}, {"no engine": 3}),
        (("--require", "all"), 1, {"passed": 1, "failed": 1, "error": 2, "skipped": 0}, {}),
    ],
    ids=["a skip is no failure", "with --require all it is, wherever it comes from"],
)
def test_what_is_skipped(
    tmp_path: Path, options: tuple[str, ...], code: int, outcomes: dict[str, int], why: dict[str, int]
) -> None:
    assert run(tmp_path, LEAVES_OUT, *options) == (code, outcomes)
    assert json.loads((tmp_path / "counts.json").read_text(encoding="utf-8"))["skipped"] == why


@pytest.mark.slow
def test_a_file_that_skips_itself_fails_where_all_is_required(tmp_path: Path) -> None:
    text = 'import pytest\npytest.importorskip("no_such_module")\n'
    assert run(tmp_path, text, "--require", "all") == (2, {"passed": 0, "failed": 0, "error": 1, "skipped": 0})


MANY = ", ".join(f"{one} not on powershell" for one in "abcde")
LEFT_OUT = "test_x.py::test_left_out"


@pytest.mark.parametrize(
    ("python", "powershell", "why"),
    [
        (("a", "b[x]", LEFT_OUT), ("a", "b[x]"), ""),
        (("a", LEFT_OUT), ("a", LEFT_OUT), ""),
        (("a", "c"), ("a",), "the contract did not run alike on both engines: c not on powershell"),
        (("a",), ("a", "c"), "the contract did not run alike on both engines: c not on python"),
        (("a", "b"), ("a", "c"), "the contract did not run alike on both engines: b not on powershell, c not on python"),
        (("b[x]",), ("b[y]",), "the contract did not run alike on both engines: b[x] not on powershell, b[y] not on python"),
        (tuple("abcdefg"), (), f"the contract did not run alike on both engines: {MANY} and 2 more"),
        ((), (), "no case of the contract ran"),
    ],
    ids=["but for what is left out by name", "all", "one", "the other", "one of each", "by parameter", "none", "nothing"],
)  # fmt: skip
def test_the_same_cases_passed_on_both_engines_but_for_the_named_differences(
    monkeypatch: pytest.MonkeyPatch, python: tuple[str, ...], powershell: tuple[str, ...], why: str
) -> None:
    names = {(LEFT_OUT, "powershell"): Difference("why", absent=True)}
    names["a", "powershell"] = Difference("why", absent=False)
    monkeypatch.setattr(cases, "differences", lambda: names)
    passed = [f"python {one}" for one in python] + [f"powershell {one}" for one in powershell]
    assert conftest.unequal(Counter([*passed, "python-batch other"])) == why


def test_a_contract_case_is_named_without_its_variant() -> None:
    ids = {
        "python": "python",
        "python-batch": "python-batch",
        "powershell": "Write-File-powershell",
        "python-tr-TR": "a-python-tr-TR-b",
    }
    names = []
    for variant, one in ids.items():
        item = SimpleNamespace(path=Path("test_x.py"), originalname="test_y", callspec=SimpleNamespace(id=one))
        names.append(conftest.case_of(cast("pytest.Item", item), variant))
    assert names == [
        "test_x.py::test_y",
        "test_x.py::test_y",
        "test_x.py::test_y[Write-File]",
        "test_x.py::test_y[a-b]",
    ]
    assert conftest.by_variant(Counter(["python a", "python b", "powershell a"])) == {"python": 2, "powershell": 1}


def test_what_shares_machines_runs_in_one_worker() -> None:
    names = {
        "tests/contract/test_files.py::test_x[powershell]": "contract powershell",
        "tests/contract/test_runtime.py::test_x[Write-File-powershell-tr-TR]": "contract powershell-tr-TR",
        "tests/contract/test_files.py::test_x[powershell-batch]": "contract powershell-batch",
        "tests/contract/test_files.py::test_x[python]": "tests/contract/test_files.py::test_x[python]",
        "tests/test_samba.py::test_x[powershell]": "tests/test_samba.py",
    }
    assert {name: conftest.machines_of(name) for name in names} == names
