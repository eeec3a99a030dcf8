"""
Write-File of the real verbs while somebody else has his hands in: around the swap, and when the process is killed.

What it does undisturbed is tests/contract/test_files.py's, which no engine can be disturbed in at the right moment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import powershell
from lab.powershell_engine import PowershellEngine, WineMachine
from tests.test_powershell_core import WINDOWS, Far, on, opened

pytestmark = WINDOWS

README: Final = Path(__file__).parents[1] / "README.md"
SWAP: Final = "function Move-Upload {"
OLD, NEW, THEIRS = b"old", b"the new content", b"theirs"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WineMachine]:
    made = PowershellEngine(tmp_path_factory.mktemp("files")).machine("files", "mim")
    assert isinstance(made, WineMachine)
    made.open()
    try:
        yield made
    finally:
        made.close()


def disturbed(machine: WineMachine, *, before: str = "", after: str = "") -> Far:
    """A far end whose swap is the real one, with something done just before and just after it; `$path` is the target."""
    text = powershell.script()
    assert text.count(SWAP) == 1
    own = f"{SWAP} param($Upload, $Expected) $path = $Upload.path; {before}; Swap -Upload $Upload -Expected $Expected; {after} }}\n"
    return opened(on(machine), text.replace(SWAP, f"{own}function Swap {{"))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write(far: Far, path: str, expected: bytes | None, data: bytes = NEW) -> Any:
    args = {
        "path": path,
        "expected": "absent" if expected is None else sha256(expected),
        "sha256": sha256(data),
        "length": len(data),
    }
    return far.call("Write-File", args, blob=data)[0]


def done(data: bytes) -> dict[str, Any]:
    return {"ok": True, "result": {"sha256": sha256(data), "done": True}}


def test_what_is_in_place_is_answered_also_where_somebody_keeps_it_from_being_read_back(machine: WineMachine) -> None:
    far = disturbed(machine, after="$script:Scanner = [System.IO.FileStream]::new($path, 'Open', 'Read', 'None')")
    machine.write_file(r"C:\scanned.txt", OLD)
    assert write(far, r"C:\scanned.txt", OLD) == done(NEW)
    assert write(far, r"C:\scanned-new.txt", None) == done(NEW)
    assert (machine.read_file(r"C:\scanned.txt"), machine.read_file(r"C:\scanned-new.txt")) == (NEW, NEW)


def test_what_somebody_else_wrote_after_the_swap_is_answered_as_it_is_read_back(machine: WineMachine) -> None:
    far = disturbed(machine, after="[System.IO.File]::WriteAllText($path, 'theirs')")
    machine.write_file(r"C:\after.txt", OLD)
    assert write(far, r"C:\after.txt", OLD) == done(THEIRS)


def test_nobody_can_write_between_the_comparison_and_the_swap(machine: WineMachine) -> None:
    said = "[System.IO.File]::WriteAllText($path + '.refused', '{0:X8}' -f $_.Exception.GetBaseException().HResult)"
    far = disturbed(machine, before=f"try {{ [System.IO.File]::AppendAllText($path, 'theirs') }} catch {{ {said} }}")
    machine.write_file(r"C:\between.txt", OLD)
    assert write(far, r"C:\between.txt", OLD) == done(NEW)
    assert (machine.read_file(r"C:\between.txt"), machine.read_file(r"C:\between.txt.refused")) == (NEW, b"80070020")
    with_it = [name for name in machine.snapshot() if "between" in name]
    assert with_it == [r"file C:\between.txt", r"file C:\between.txt.refused"]


def test_a_killed_process_leaves_its_upload_under_a_name_that_is_in_nobodys_way(machine: WineMachine) -> None:
    path, left = r"C:\killed.txt", r"C:\killed.txt.0123456789abcdef.new"
    machine.write_file(path, OLD)
    args = {
        "path": path,
        "expected": sha256(OLD),
        "sha256": sha256(NEW),
        "length": len(NEW),
        "part": left.split(".")[-2],
    }
    far = opened(on(machine))
    assert far.call("Write-File", args, blob=NEW[:3])[0] == {"ok": True, "result": {"sha256": None, "done": False}}
    far.process.terminate()
    far.ended()
    assert [name for name in machine.snapshot() if "killed" in name] == [f"file {path}", f"file {left}"]
    assert "`NAME.<hex digits>.new`" in README.read_text(encoding="utf-8")
    assert machine.read_file(path) == OLD
    assert write(opened(on(machine)), path, OLD) == done(NEW)
    assert [name for name in machine.snapshot() if "killed" in name] == [f"file {path}", f"file {left}"]
