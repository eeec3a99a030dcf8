"""How the lab takes a command line apart: as cmd.exe and the C runtime of Windows do."""

from __future__ import annotations

import base64
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.commandline import encoded_script, expand, split

# learn.microsoft.com, "Parsing C command-line arguments", with a program before each.
SPLIT = {
    "blanks part arguments": ("p a  b\tc ", ["p", "a", "b", "c"]),
    "quotes keep blanks": ('p "a b c" d e', ["p", "a b c", "d", "e"]),
    "an escaped quote and backslashes before a quote": (r'p "ab\"c" "\\" d', ["p", 'ab"c', "\\", "d"]),
    "backslashes elsewhere stand for themselves": (r'p a\\\b d"e f"g h', ["p", r"a\\\b", "de fg", "h"]),
    "an odd number of backslashes before a quote": (r"p a\\\"b c d", ["p", r"a\"b", "c", "d"]),
    "an even number of backslashes before a quote": (r'p a\\\\"b c" d e', ["p", r"a\\b c", "d", "e"]),
    "two quotes inside quotes are one": ('p "a""b c" d', ["p", 'a"b c', "d"]),
    "empty arguments": ('p "" a ""', ["p", "", "a", ""]),
    "a program with a blank": ('"C:\\a b\\c.exe" d', ["C:\\a b\\c.exe", "d"]),
    "no escapes in the program": ('"C:\\a\\" d', ["C:\\a\\", "d"]),
    "nothing": (" \t ", []),
    "cmd's own signs are not touched": ("p a&b|c %X% ^d > e", ["p", "a&b|c", "%X%", "^d", ">", "e"]),
}


@pytest.mark.parametrize("case", SPLIT.values(), ids=SPLIT)
def test_split(case: tuple[str, list[str]]) -> None:
    assert split(case[0]) == case[1]


words = st.lists(st.text(alphabet='ab \\"\t-é', max_size=8), max_size=5)


@given(words)
def test_what_python_quotes_for_windows_comes_back(arguments: list[str]) -> None:
    assert split(f"p.exe {subprocess.list2cmdline(arguments)}") == ["p.exe", *arguments]


def test_system_root_is_expanded_in_any_case_and_nothing_else() -> None:
    assert (
        expand(r"%SystemRoot%\a %SYSTEMROOT%\b %Path% %systemroot c")
        == r"C:\windows\a C:\windows\b %Path% %systemroot c"
    )


@pytest.mark.parametrize("option", ["-EncodedCommand", "-encodedcommand", "-enc", "-e", "-ec", "/e"])
def test_an_encoded_command_is_read_as_powershell_reads_it(option: str) -> None:
    text = "Write-Output 'é'"
    assert (
        encoded_script(["powershell", "-NoProfile", option, base64.b64encode(text.encode("utf-16-le")).decode()])
        == text
    )


def test_other_arguments_are_no_encoded_command() -> None:
    assert encoded_script(["powershell", "-ExecutionPolicy", "Bypass", "-", "x", "-e"]) is None
    assert encoded_script(["powershell", "-e", "!!"]) is None
