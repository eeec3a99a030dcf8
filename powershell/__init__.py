"""
The host verbs: PowerShell that runs on the servers, as text. See docs/verbs.md.

Only reading the files lives here. How the text travels is the connector's and the lab's business.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Final

PARTS: Final = (
    "files.ps1",
    "windows.ps1",
    "iis.ps1",
    "directory.ps1",
    "runtime.ps1",
)  # runtime.ps1 runs, so it is the last
PLACEHOLDER: Final = "TOKEN16HEXDIGITS"


@cache
def _text(name: str) -> str:
    """One file of this folder. Raises FileNotFoundError where it is missing."""
    return files(__name__).joinpath(name).read_text(encoding="ascii").replace("\r\n", "\n")


def bootstrap(token: str) -> str:
    """
    The text for `-EncodedCommand` (base64 of UTF-16LE), under 2,000 characters.

    + token: 16 lower-case hex digits, new for each process; no secret. Raises ValueError for anything else.
    """
    if not re.fullmatch(r"[0-9a-f]{16}", token):
        raise ValueError(f"the token {token!r} is not 16 lower-case hex digits")
    lines = (line.strip() for line in _text("bootstrap.ps1").splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("#")).replace(PLACEHOLDER, token)


def script() -> str:
    """The script of the first line: all verbs and the loop, one text. Raises FileNotFoundError where a part is missing."""
    return "\n".join(_text(name) for name in PARTS)
