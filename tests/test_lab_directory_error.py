"""The table of LDAP codes of the python engine is that of directory.ps1 and of docs/verbs.md. On real PowerShell: test_powershell_directory.py."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from lab.directory_error import WORDS, refused

ROOT: Final = Path(__file__).parents[1]
SCRIPT: Final = (ROOT / "powershell" / "directory.ps1").read_text(encoding="ascii")
CONTRACT: Final = (ROOT / "docs" / "verbs.md").read_text(encoding="utf-8")


def documented() -> Mapping[int, str]:
    """What docs/verbs.md says of each code by itself, without a number of Windows."""
    found = re.search(r"Codes\b.*?: (.*)", CONTRACT)
    assert found is not None
    kinds: dict[int, str] = {}
    for codes, kind in re.findall(r"([^`;:]+) `([a-z-]+)`", found[1].replace(": `", " `")):
        alone = re.sub(r"\([^)]*\)|\d+ with (?:win32 )?[0-9A-F.]+", "", codes)
        kinds |= {int(code): kind for code in re.findall(r"\d+", alone)}
    return kinds


def test_the_table_is_that_of_the_host_verbs() -> None:
    table = SCRIPT.partition("$words = @{")[2].partition("\n    }\n")[0]
    written = {
        int(code): (kind, why) for code, kind, why in re.findall(r"(\d+) = '([a-z-]+)', '((?:[^']|'')*)'", table)
    }
    assert written == WORDS


def test_the_table_says_what_the_contract_says() -> None:
    assert documented() == {code: kind for code, (kind, _) in WORDS.items() if kind != "unknown"}


@pytest.mark.parametrize(
    ("code", "win32", "kind", "why"),
    [
        (3, None, "timeout", "modify: the server took too long (LDAP 3)"),
        (8, None, "invalid", "modify: the server asks for a signed connection (LDAP 8)"),
        (51, None, "busy", "modify: the server is busy (LDAP 51)"),
        (52, None, "busy", "modify: the server is not available now (LDAP 52)"),
        (85, None, "timeout", "modify: no answer came in time (LDAP 85)"),
        (91, None, "missing", "modify: no connection to a directory server (LDAP 91)"),
        (1, 0x4DC, "denied", "modify: no logon was passed on (a second hop needs a credential) (LDAP 1, Windows 4DC)"),
        (53, 0x2139, "denied", "modify: only an administrator may change it (LDAP 53, Windows 2139)"),
        (53, 0x2141, "invalid", "modify: a rule of groups forbids it (LDAP 53, Windows 2141)"),
        (53, 0x2166, "unknown", "modify: the server is not willing (LDAP 53, Windows 2166)"),
        (80, None, "unknown", "modify: it was refused (LDAP 80)"),
    ],
)
def test_a_code_is_an_error_in_words(code: int, win32: int | None, kind: str, why: str) -> None:
    error = refused(code, win32, "CN=G", "modify")
    assert (error.kind, error.where, error.why, error.ldap, error.win32) == (kind, "CN=G", why, code, win32)
