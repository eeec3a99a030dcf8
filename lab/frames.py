"""
The wire of docs/verbs.md as the far end has it: lines in, frames out, and the reverse. Pure; nothing here runs a verb or does I/O.

The product has the controller's side for itself.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NoReturn, TypeAlias

Mode: TypeAlias = Literal["write", "read"]
EMPTY: Final = "-"
LARGEST: Final = 2**63  # a number beyond it is none that PowerShell reads


class FrameError(ValueError):
    """A line with the token that is no frame: the text says why, without what the line held."""


class ScriptError(ValueError):
    """A whole script line that cannot be run: answered with `X`, and the process ends."""


@dataclass(frozen=True)
class Script:
    """The first line. `text` is not run here: its hash is what the hello answers."""

    sha256: str
    mode: Mode


@dataclass(frozen=True)
class Request:
    """One request. `body` and `secrets` are read, `blob` is beside them. Its repr holds none of it."""

    seq: int
    body: dict[str, Any] = field(repr=False)
    secrets: dict[str, str] = field(repr=False)
    blob: bytes = field(repr=False)


class Lines:
    """Bytes as they come, in any pieces, to whole lines without their end."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take what came; give the lines that are now whole."""
        searched = len(self._rest)
        self._rest += data
        whole = []
        while (end := self._rest.find(b"\n", searched)) >= 0:
            whole.append(bytes(self._rest[:end]).removesuffix(b"\r"))
            del self._rest[: end + 1]
            searched = 0
        return whole

    def end(self) -> list[bytes]:
        """Nothing more comes: what follows the last line feed is a line, too, as for any reader of .NET."""
        rest, self._rest = bytes(self._rest), bytearray()
        return [rest] if rest else []


def fields_of(line: bytes, token: str) -> list[str] | None:
    """The fields of a line from the token on, wherever it stands (a byte order mark may come before); None for a line without it."""
    at = line.find(f"{token} ".encode("ascii"))
    if at < 0:
        return None
    return line[at:].decode("ascii", "replace").split(" ")[1:]


def parse_script(fields: list[str]) -> Script:
    """The script line. Raises FrameError for one that is not whole, ScriptError for a script with another hash."""
    match fields:
        case ["S", length, sha256, ("write" | "read") as mode, body] if length == str(len(body)):
            try:
                raw = base64.b64decode(body, validate=True)
            except (binascii.Error, ValueError):
                raise ScriptError("the script is not base64") from None
            if hashlib.sha256(raw).hexdigest() != sha256:
                raise ScriptError("the script arrived with another SHA-256")
            return Script(sha256, mode)
    raise FrameError("not a whole script line")


def parse_request(fields: list[str], last: int) -> Request | None:
    """
    A request whose turn it is; None for the last one again, which is answered from the cache.

    + last: SEQ of the request that ran last, 0 before the first

    Raises FrameError for a line that is malformed, has a wrong LEN, or another SEQ than `last` or `last` + 1.
    """
    if len(fields) != 6 or fields[0] != "R":  # noqa: PLR2004 - the form of the line
        raise FrameError("not a request line of 7 fields")
    _, number, length, *parts = fields
    if not (number.isascii() and number.isdigit()):
        raise FrameError("SEQ is not a number")
    if not all(parts):
        raise FrameError("a field is empty, expected - for one without content")
    if length != str(_length(parts)):
        raise FrameError(f"LEN does not fit, the fields have {_length(parts)} characters")
    seq = int(number)
    if seq == last and last > 0:
        return None
    if seq != last + 1:
        raise FrameError(f"SEQ is {seq}, the last one was {last}")
    try:
        raw, secret, blob = (b"" if part == EMPTY else base64.b64decode(part, validate=True) for part in parts)
        body, secrets = _read(raw), _read(secret) if secret else {}
    except (ValueError, RecursionError):
        raise FrameError("a field is not base64, or not JSON without fractions") from None
    if not isinstance(body, dict) or not isinstance(secrets, dict):
        raise FrameError("the request or its secrets are not an object")
    return Request(seq, body, {name: str(value) for name, value in secrets.items()}, blob)


def hello_line(token: str, hello: Mapping[str, Any]) -> bytes:
    """What the far end says first."""
    return _line(f"{token} H 0", [_write(hello)])


def answer_line(token: str, seq: int, answer: Mapping[str, Any], blob: bytes) -> bytes:
    """The answer to a request, which is also what is cached."""
    return _line(f"{token} A {seq}", [_write(answer), _base64(blob)])


def refused_line(token: str, why: str) -> bytes:
    """A line that was refused; nothing was changed."""
    return _line(f"{token} N 0", [_base64(why.encode())])


def cannot_line(token: str, why: str) -> bytes:
    """Why the script cannot run at all."""
    return _line(f"{token} X", [_base64(why.encode())])


def _line(head: str, parts: list[str]) -> bytes:
    return f"{head} {_length(parts)} {' '.join(parts)}\n".encode("ascii")


def _length(parts: list[str]) -> int:
    return sum(len(part) for part in parts if part != EMPTY)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii") or EMPTY


def _write(value: Mapping[str, Any]) -> str:
    # ASCII, a lone surrogate as its \uXXXX: whatever a controller sent comes back as it was.
    return _base64(json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode("ascii"))


def _read(raw: bytes) -> Any:
    return json.loads(raw.decode("utf-8"), parse_float=_refuse, parse_constant=_refuse, parse_int=_integer)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{len(text)} characters that are no integer")


def _integer(text: str) -> int:
    if len(text) > len(str(LARGEST)) + 1 or not -LARGEST <= int(text) < LARGEST:
        _refuse(text)
    return int(text)
