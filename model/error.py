"""What a host verb answers when it could not do a thing. Data; the words for the user are in connectors/errors.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

ErrorKind: TypeAlias = Literal[
    "missing", "conflict", "locked", "invalid", "denied", "busy", "not-installed", "ambiguous", "timeout", "unknown"
]


@dataclass(frozen=True)
class HostError:
    """
    One error of a host verb (docs/verbs.md, Errors).

    `what` is the verb, `where` the thing by the name that was given, `why` our own words; `hresult` unsigned or None; `ldap`
    and `win32` are numbers of the directory verbs.
    """

    kind: ErrorKind
    what: str
    where: str
    why: str
    hresult: int | None = None
    ldap: int | None = None
    win32: int | None = None
