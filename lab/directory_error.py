"""LDAP result codes as errors of the directory verbs, in the words of powershell/directory.ps1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lab.verbs import ErrorKind, VerbError

WORDS: Final[Mapping[int, tuple[ErrorKind, str]]] = {
    1: ("unknown", "the server could not do it"),
    3: ("timeout", "the server took too long"),
    8: ("invalid", "the server asks for a signed connection"),
    10: ("unknown", "this server does not hold it"),
    16: ("conflict", "the value is not there"),
    19: ("invalid", "a value breaks a rule of the directory"),
    20: ("conflict", "the value is there already"),
    32: ("missing", "there is no such object"),
    34: ("invalid", "the distinguished name is malformed"),
    49: ("denied", "the user name or the password was not accepted"),
    50: ("denied", "the account has no right to it"),
    51: ("busy", "the server is busy"),
    52: ("busy", "the server is not available now"),
    53: ("unknown", "the server is not willing"),
    64: ("invalid", "the name breaks a rule of the directory"),
    65: ("invalid", "the entry would break a rule of its class"),
    66: ("invalid", "the entry has others below it"),
    68: ("conflict", "it is there already"),
    81: ("missing", "no directory server answered"),
    82: ("denied", "no logon was passed on (a second hop needs a credential)"),
    85: ("timeout", "no answer came in time"),
    87: ("invalid", "the filter is malformed"),
    91: ("missing", "no connection to a directory server"),
}
GROUP_RULES: Final = range(0x2141, 0x2166)
ENTRY_MISSING: Final = 32
UNWILLING: Final = 53


def refused(code: int, win32: int | None, where: str, doing: str) -> VerbError:
    """An LDAP result code in the words of powershell/directory.ps1."""
    kind, why = WORDS.get(code, ("unknown", "it was refused"))
    if code == UNWILLING and win32 == 0x561:  # noqa: PLR2004 - ERROR_MEMBER_NOT_IN_ALIAS
        kind, why = WORDS[16]
    if code == UNWILLING and win32 in GROUP_RULES:
        kind, why = "invalid", "a rule of groups forbids it"
    if code == UNWILLING and win32 == 0x2139:  # noqa: PLR2004 - facts/ad.md 3: a group of the system
        kind, why = "denied", "only an administrator may change it"
    if code == 1 and win32 == 0x4DC:  # noqa: PLR2004 - ERROR_NOT_AUTHENTICATED
        kind, why = WORDS[82]
    if code == ENTRY_MISSING and win32 == 0x525:  # noqa: PLR2004 - ERROR_NO_SUCH_USER
        why = "a value names an object that does not exist"
    numbers = f"LDAP {code}" + ("" if win32 is None else f", Windows {win32:X}")
    return VerbError(kind, where, f"{doing}: {why} ({numbers})", ldap=code, win32=win32)
