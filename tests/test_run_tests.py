"""`make test`: what is selected, what is said of what was left out, and of what no test reached (tools/run_tests.py)."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from lab import samba, template
from tests.contract import conftest as contract
from tests.contract.cases import Variant
from tools import run_tests
from tools.run_tests import Result, coverage_lines, spans

PARTS = ["not slow and not powershell", "slow and not (powershell or variant)", "powershell or variant"]
NO_WINE = "no real PowerShell on a Windows API was tried: x"
NO_SAMBA = "no real directory was asked: that takes {}. Run `make engines` and the tests as root"


def machine(monkeypatch: pytest.MonkeyPatch, *, wine: bool = True, samba_there: bool = True, root: bool = True) -> None:
    """A machine that has this."""
    monkeypatch.setattr(template, "absent", lambda: None if wine else NO_WINE)
    monkeypatch.setattr(samba, "find_samba", lambda: Path("/samba") if samba_there else None)
    monkeypatch.setattr(samba, "find_pwsh", lambda: Path("/pwsh"))
    monkeypatch.setattr("os.geteuid", lambda: 0 if root else 1000)


def reasons(hosts: Collection[str]) -> list[str]:
    """Why a case that asks for these hosts is skipped on real engines."""
    return [mark.kwargs["reason"] for mark in contract.marks_of(Variant("powershell"), hosts) if mark.name == "skipif"]


def test_each_kind_of_machine_is_left_out_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch)
    assert (reasons({"mfa01"}), reasons({"mim01"}), reasons({"dc01"}), contract.left_out()) == ([], [], [], ())
    machine(monkeypatch, samba_there=False, root=False)
    why = NO_SAMBA.format("Samba's AD DC and being root")
    assert (reasons({"mfa01"}), reasons({"mim01"}), reasons({"dc01"})) == ([], [], [why])
    assert contract.left_out() == (f"the directory ({why})",)
    machine(monkeypatch, wine=False)
    assert (reasons({"mfa01"}), reasons({"mim01"}), reasons({"dc01"})) == ([NO_WINE], [NO_WINE], [])
    assert reasons({"dc01", "mim01"}) == [NO_WINE]
    assert contract.left_out() == (f"IIS, files, services and the runtime ({NO_WINE})",)


@pytest.mark.parametrize(
    ("arguments", "left_out", "code", "selected"),
    [
        ([], (), 0, PARTS),
        ([], ("the directory (why)",), 0, PARTS),
        (["--fast"], ("the directory (why)",), 0, ["not slow and not powershell"]),
        (["--require", "engines"], (), 0, PARTS),
        (["--require", "engines"], ("the directory (why)",), 1, PARTS),
    ],
)
def test_what_is_missing_keeps_nothing_else_from_being_tried(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    left_out: tuple[str, ...],
    code: int,
    selected: list[str],
) -> None:
    ran = []

    def run(data: Path, name: str, marks: str, require: str | None, *, measure: bool) -> Result:
        ran.append(marks)
        return Result(0, Counter(passed=1), Counter(["python test_x.py::test_a", "powershell test_x.py::test_a"]))

    monkeypatch.setattr(run_tests, "run", run)
    monkeypatch.setattr(run_tests, "absent", lambda: left_out)
    assert (run_tests.main(arguments), ran) == (code, selected)
    said = capsys.readouterr().out.splitlines()
    assert "Contract cases: powershell " in "\n".join(said)
    shown = [line for line in said if line.startswith(("Left out", "a real engine"))]
    required = ["a real engine that is required did not run"] if code else []
    gaps = ["Left out on real engines: the directory (why)."] if left_out and "--fast" not in arguments else []
    assert shown == required + gaps


def test_cases_that_passed_on_one_engine_only_fail_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = Counter(["python test_x.py::test_a", "powershell test_x.py::test_b"])
    monkeypatch.setattr(run_tests, "run", lambda *_, **__: Result(0, Counter(passed=1), seen))
    monkeypatch.setattr(run_tests, "absent", lambda: ())
    assert run_tests.main([]) == 1
    assert "test_x.py::test_a not on powershell, test_x.py::test_b not on python" in capsys.readouterr().out


def test_what_was_skipped_is_told_once_for_each_reason_that_no_other_line_tells(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    skipped = Counter({"no curl here": 1, "why": 9, "no Samba here": 2})
    monkeypatch.setattr(run_tests, "run", lambda *_, **__: Result(0, Counter(skipped=12), skipped=skipped))
    monkeypatch.setattr(run_tests, "absent", lambda: ("the directory (why)",))
    assert run_tests.main([]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if not line.startswith("=")] == [
        "Left out on real engines: the directory (why).",
        "Skipped: 6 tests: no Samba here",
        "Skipped: 3 tests: no curl here",
    ]


def file_of(share: float, missing: list[int]) -> dict[str, Any]:
    """A file in coverage's JSON."""
    summary = {"covered_lines": 1, "covered_branches": 0, "num_statements": 2, "num_branches": 0}
    return {"summary": summary | {"percent_covered": share}, "missing_lines": missing}


MEASURED = {
    "files": {"lab/b.py": file_of(84.9, [1, 2, 3, 7]), "lab/a.py": file_of(85.0, [5]), "model/c.py": file_of(0.0, [2])},
    "totals": {"percent_covered": 89.94},
}


def test_files_with_little_coverage_are_named_with_their_lines() -> None:
    assert list(coverage_lines(MEASURED)) == [
        "lab 50%  model 50%",
        "below 85%, with the lines that nothing reached:",
        "  lab/b.py 85%: 1-3 7",
        "  model/c.py 0%: 2",
        "all 89.9%",
    ]
    assert spans([]) == ""
    assert spans(range(1, 60, 2)) == "1 3 5 7 9 11 13 15 17 19 21 23 ..."


def test_too_little_coverage_of_everything_is_a_complaint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def coverage_itself(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        if "json" in command:
            (tmp_path / "coverage.json").write_text(json.dumps(MEASURED), encoding="utf-8")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr("tools.run_tests.subprocess.run", coverage_itself)
    assert 0 < run_tests.fail_under() < 100
    monkeypatch.setattr(run_tests, "fail_under", lambda: 90.0)
    assert run_tests.coverage(tmp_path, judged=True) == "coverage is 89.9 %, pyproject.toml wants 90.0 %"
    assert run_tests.coverage(tmp_path, judged=False) == ""
    monkeypatch.setattr(run_tests, "fail_under", lambda: 89.0)
    assert run_tests.coverage(tmp_path, judged=True) == ""
