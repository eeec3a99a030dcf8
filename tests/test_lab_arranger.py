"""The controller's side of the arranger: which line is an answer (lab/arranger.py). What the functions do is tests/test_powershell_engine.py's."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path

import pytest

from lab.arranger import Arranger, ArrangerError
from lab.process import LocalProcess

DRIVES = "Attempting to perform the InitializeDefaultDrives operation on the 'FileSystem' provider failed."


def far(tmp_path: Path, *lines: str) -> Arranger:
    """An arranger whose PowerShell says these lines to the first request, whatever it is, and ends."""
    said = "".join(f"{line}\r\n" for line in lines)
    program = f"import sys; sys.stdin.readline(); sys.stdout.write({said!r})"
    return Arranger(lambda _: LocalProcess([sys.executable, "-c", program], {}, tmp_path))


def answer(**of: object) -> str:
    return "answer " + base64.b64encode(json.dumps(of).encode()).decode()


def test_words_of_powershell_itself_before_an_answer_are_none(tmp_path: Path) -> None:
    arranger = far(tmp_path, DRIVES, "", answer(ok=True, **{"is": {"x": 1}}))
    assert arranger.call("Get-RegistryKey", Key="x") == {"x": 1}
    arranger.close()


def test_they_are_told_where_no_answer_comes(tmp_path: Path) -> None:
    arranger = far(tmp_path, DRIVES)
    with pytest.raises(ArrangerError) as refused:
        arranger.call("Get-RegistryKey", Key="x")
    assert str(refused.value) == f"Get-RegistryKey: PowerShell ended with 0: {DRIVES}\r\n"
    arranger.close()


def test_what_it_refuses_is_an_error_with_its_words(tmp_path: Path) -> None:
    arranger = far(tmp_path, answer(ok=False, why="there is no service x"))
    with pytest.raises(ArrangerError) as refused:
        arranger.call("Get-ServiceState", Service="x")
    assert str(refused.value) == "Get-ServiceState: there is no service x"
    arranger.close()
