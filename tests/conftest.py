"""
What all tests share: `--require all` takes no excuse, and how many contract cases ran is counted and printed.

Fixtures are beside the tests that use them, but for the machines that tests of several files take turns at.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from hypothesis import HealthCheck, settings

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)
COUNTED: Final = "contract"  # name of the property that says which contract case it is, and in which variant
CHILDREN_MEASURED: Final = (
    "COVERAGE_PROCESS_CONFIG"  # set by coverage's `patch = ["subprocess"]` (pyproject.toml), which the workers need
)
SHOWN: Final = 5  # cases that a complaint names

# Machines on which the suite runs are busy: how long an example takes, or is drawn, says nothing of the code. A test that wants more says so itself.
settings.register_profile("ours", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ours")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("this project")
    group.addoption(
        "--require",
        choices=["all"],
        help="all: a test that is skipped fails, and so does a contract that did not run alike on both engines",
    )
    group.addoption(
        "--server", metavar="HOST", help="tests/contract runs against this real server, see tests/contract/conftest.py"
    )
    group.addoption(
        "--counts",
        metavar="FILE",
        type=Path,
        help="write how tests ended, why some were skipped, and the counts of contract cases, as JSON",
    )


def pytest_configure(config: pytest.Config) -> None:
    """What a worker starts is not measured: pyinfra and its lab in processes of their own take twice as long under coverage."""
    if hasattr(config, "workerinput"):
        os.environ.pop(CHILDREN_MEASURED, None)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which items are contract cases."""
    for item in items:
        specification: Any = getattr(item, "callspec", None)
        variant = specification and specification.params.get("variant")
        if variant is not None and item.path.parent.name == "contract":
            item.user_properties.append((COUNTED, f"{variant.name} {case_of(item, variant.name)}"))


def case_of(item: pytest.Item, variant: str) -> str:
    """A contract case whatever the variant: `FILE::FUNCTION`, in brackets what else it is parametrised by."""
    test: Any = item
    others = re.sub(rf"(?:^|-){re.escape(variant)}(?=-|$)", "", test.callspec.id, count=1).removeprefix("-")
    return f"{item.path.name}::{test.originalname}" + (f"[{others}]" if others else "")


def machines_of(test: str) -> str:
    """
    What a test shares machines with: the contract's cases of one variant have one lab, other tests share with those of their file.

    The twin's cases share nothing: its labs cost nothing.
    """
    file, _, rest = test.partition("::")
    variant = re.search(r"\[(?:.*-)?(powershell(?:-[A-Za-z-]+)?)\]$", rest)
    return f"contract {variant[1]}" if variant and "contract/" in file else file if "contract/" not in file else test


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """
    With `--dist loadgroup` what shares machines runs in one worker: a lab of real machines takes seconds to come up.

    Not by xdist's own groups, which have no effect with pytest 9.2: a test has its old name there.
    """
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - only who has xdist comes here

    class ByMachine(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
        def _split_scope(self, nodeid: str) -> str:
            return machines_of(nodeid)

    return ByMachine(config, log)


@pytest.fixture(scope="session")
def real_labs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """What tests/oplab.py takes its real Windows machines from."""
    from tests.oplab import RealLabs  # noqa: PLC0415 - not everybody runs an operation

    with RealLabs(tmp_path_factory.mktemp("real")) as labs:
        yield labs


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _required(report, item.config)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _required(report, collector.config)


def _required(report: Report, config: pytest.Config) -> Report:
    """Under `--require all` what was skipped has failed."""
    if config.getoption("--require") and report.outcome == "skipped":
        report.outcome = "failed"
        report.longrepr = f"--require all does not accept a skip. {_reason(report)}"
    return report


def _reason(report: Report) -> str:
    """Why a test or a file was skipped."""
    told = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return told.removeprefix("Skipped: ")


def counts(config: pytest.Config) -> Counter[str]:
    """Contract cases that passed, each as `VARIANT FILE::NAME`."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    passed = [report for report in reporter.stats.get("passed", []) if report.when == "call"] if reporter else []
    return Counter(value for report in passed for name, value in report.user_properties if name == COUNTED)


def by_variant(passed: Counter[str]) -> Counter[str]:
    """How many of them by variant."""
    found = Counter[str]()
    for one, count in passed.items():
        found[one.partition(" ")[0]] += count
    return found


def unequal(passed: Counter[str]) -> str:
    """Which cases passed on one of the two engines only, but for those that a difference leaves out by name; "" where there are none."""
    from tests.contract.cases import difference  # noqa: PLC0415 - not everybody runs the contract

    ran = {
        engine: {case for variant, _, case in (one.partition(" ") for one in passed) if variant == engine}
        for engine in ("python", "powershell")
    }
    if not any(ran.values()):
        return "no case of the contract ran"
    told = [
        f"{case} not on {engine}"
        for engine, other in (("powershell", "python"), ("python", "powershell"))
        for case in sorted(ran[other] - ran[engine])
        if not difference(case.partition("[")[0], engine).absent
    ]
    more = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    return f"the contract did not run alike on both engines: {', '.join(told[:SHOWN])}{more}" if told else ""


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Judge the counts, where nothing was selected; hand them on."""
    config = session.config
    if hasattr(config, "workerinput"):  # a worker of xdist: the one that started it counts
        return
    passed = counts(config)
    if file := config.getoption("--counts"):
        reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
        outcomes = {name: len(reporter.stats.get(name, [])) for name in ("passed", "failed", "error", "skipped")}
        skipped = Counter(_reason(report) for report in reporter.stats.get("skipped", []))
        told = {"outcomes": outcomes, "contract": passed, "skipped": skipped}
        file.write_text(json.dumps(told), encoding="utf-8")
    whole = config.getoption("--require") and not (config.option.markexpr or config.option.keyword)
    if whole and passed and unequal(passed):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    passed = counts(config)
    if not passed:
        return
    told = ", ".join(f"{name} {count}" for name, count in sorted(by_variant(passed).items()))
    terminalreporter.write_line(f"contract cases passed: {told}")
    if config.getoption("--require") and not (config.option.markexpr or config.option.keyword) and unequal(passed):
        terminalreporter.write_line(unequal(passed), red=True)
