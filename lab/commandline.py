"""
A command line as Windows takes it: what cmd.exe does to it, then how a program splits it. Pure.

Of cmd.exe only `%SystemRoot%` and the length limit are here: pipes, redirection, `&` and other variables are left as they stand, so a
line that needs them reaches the engine as arguments and fails there.
"""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Sequence
from typing import Final

LIMIT: Final = 8191  # characters that cmd.exe takes; more is answered on stdout (facts/winrm.md 1)
TOO_LONG: Final = b"The command line is too long.\r\n"

_SYSTEM_ROOT: Final = re.compile("%systemroot%", re.IGNORECASE)
_BLANK: Final = " \t"


def expand(line: str) -> str:
    """The line with `%SystemRoot%`, in any case, as `C:\\windows`."""
    return _SYSTEM_ROOT.sub(lambda _: "C:\\windows", line)


def split(line: str) -> list[str]:
    """
    Arguments of a line, by the rules of the C runtime and CommandLineToArgvW (learn.microsoft.com, "Parsing C command-line arguments").

    The program's name ends at a blank or its closing quote and knows no escapes; in the rest a backslash escapes only before a quote, and two
    quotes inside quotes are one. A blank line is [].
    """
    line = line.strip(_BLANK)
    if not line:
        return []
    if line.startswith('"'):
        program, _, rest = line[1:].partition('"')
    else:
        match = re.match(r"[^ \t]*", line)
        program = match.group() if match else line
        rest = line[len(program) :]
    return [program, *_arguments(rest)]


def _arguments(text: str) -> list[str]:
    """The part after the program."""
    found: list[str] = []
    word: str | None = None  # None between two arguments
    quoted, at = False, 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            count = len(text[at:]) - len(text[at:].lstrip("\\"))
            at += count
            if text[at : at + 1] != '"':
                word = (word or "") + "\\" * count
                continue
            word = (word or "") + "\\" * (count // 2)
            if count % 2:
                word += '"'
                at += 1
            continue
        if char == '"':
            word = word or ""
            if quoted and text[at + 1 : at + 2] == '"':
                word += '"'
                at += 1
            else:
                quoted = not quoted
        elif char in _BLANK and not quoted:
            if word is not None:
                found.append(word)
            word = None
        else:
            word = (word or "") + char
        at += 1
    return found if word is None else [*found, word]


def encoded_script(argv: Sequence[str]) -> str | None:
    """The text of PowerShell's `-EncodedCommand` (`-enc`, `-e` ...), which is what its script block log would hold; None without one."""
    for option, value in itertools.pairwise(argv):
        name = option.lower().lstrip("-/")
        if option[:1] in "-/" and name and ("encodedcommand".startswith(name) or name == "ec"):
            try:
                return base64.b64decode(value, validate=True).decode("utf-16-le")
            except ValueError:  # no base64, no UTF-16
                return None
    return None
