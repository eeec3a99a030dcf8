"""
The wire format between controller and far end (docs/verbs.md, Wire): lines out, frames in. No I/O.

The lab has the other side of it for itself. Nothing here is ever logged: lines carry secrets and the content of files.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias, get_args

from model.error import ErrorKind, HostError

FrameKind: TypeAlias = Literal["H", "A", "N", "X"]
EMPTY: Final = "-"  # an empty last field would be lost by the first strip() on the way
ESCAPED: Final = re.compile("[\ufffe\uffff]")


class FrameError(ValueError):
    """A line that holds our token but is no frame. The text never holds the line."""


@dataclass(frozen=True)
class Frame:
    """One line of the far end. `json` is None for `N` and `X`, whose `text` is our own words. Its repr holds no content."""

    kind: FrameKind
    seq: int = 0
    json: Any = field(default=None, repr=False)
    blob: bytes = field(default=b"", repr=False)
    text: str = ""


def new_token() -> str:
    """16 hex digits that mark the lines of one process. It keeps noise out and is no secret."""
    return secrets.token_hex(8)


def script_line(token: str, script: str, *, read_only: bool) -> bytes:
    """The first line: what the far end runs."""
    raw = script.encode("utf-8")
    body = base64.b64encode(raw).decode("ascii")
    mode = "read" if read_only else "write"
    return f"{token} S {len(body)} {hashlib.sha256(raw).hexdigest()} {mode} {body}\n".encode("ascii")


def request_line(token: str, seq: int, payload: Mapping[str, Any], revealed: Mapping[str, str], blob: bytes) -> bytes:
    """One request. `revealed` are the secrets in clear: this line is the only place where they are."""
    fields = [_field(_json(payload)), _field(_json(revealed) if revealed else b""), _field(blob)]
    return f"{token} R {seq} {_length(fields)} {' '.join(fields)}\n".encode("ascii")


class FrameReader:
    """Bytes as they come, in any pieces, to frames. Lines without the token are noise and dropped (facts/winrm.md 2)."""

    def __init__(self, token: str) -> None:
        self._token = token.encode("ascii") + b" "
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Take what came; give the frames that are now whole. Raises FrameError for a line with our token that is none."""
        searched = max(0, len(self._rest) - 1)
        self._rest += data
        frames = []
        while (end := self._rest.find(b"\n", searched)) >= 0:
            line = bytes(self._rest[:end])
            del self._rest[: end + 1]
            searched = 0
            # Not anchored: a code page can put a byte order mark before the first line.
            if (at := line.find(self._token)) >= 0:
                frames.append(parse(line[at + len(self._token) :].rstrip(b"\r")))
        return frames


def parse(line: bytes) -> Frame:
    """What follows the token of one line. Raises FrameError."""
    try:
        kind, *fields = line.decode("ascii").split(" ")
        match kind, fields:
            case "X", [_]:  # the bootstrap's first statement, in the language that constrained mode allows
                return Frame("X", text=fields[0])
            case "X", [length, body]:
                return Frame("X", text=_values(length, [body])[0].decode("utf-8"))
            case "N", [seq, length, body]:
                return Frame("N", int(seq), text=_values(length, [body])[0].decode("utf-8"))
            case "H", [seq, length, body]:
                return Frame("H", int(seq), json.loads(_values(length, [body])[0]))
            case "A", [seq, length, body, blob]:
                values = _values(length, [body, blob])
                return Frame("A", int(seq), json.loads(values[0]), values[1])
    except (ValueError, binascii.Error, RecursionError):
        pass
    raise FrameError("a line of the far end is damaged")


def error_of(answer: Mapping[str, Any]) -> HostError:
    """The error of an answer that is not ok. Raises FrameError where it has another shape."""
    wrong = FrameError("an error of the far end has another shape than docs/verbs.md says")
    try:
        error = HostError(**answer["error"])
    except (KeyError, TypeError):
        raise wrong from None
    texts, numbers = (error.what, error.where, error.why), (error.hresult, error.ldap, error.win32)
    if (
        error.kind not in get_args(ErrorKind)
        or not all(isinstance(text, str) for text in texts)
        or not all(number is None or type(number) is int for number in numbers)
    ):
        raise wrong
    return error


def _json(value: Mapping[str, Any]) -> bytes:
    # Raw UTF-8: the reader on the host makes a node of every \u escape (300,000 of them: 2.3 s), but refuses U+FFFE and U+FFFF
    # unless they are escaped. Half a surrogate pair is refused before (call.py).
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return ESCAPED.sub(lambda char: f"\\u{ord(char[0]):04x}", text).encode("utf-8")


def _field(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii") or EMPTY


def _length(fields: list[str]) -> int:
    return sum(len(f) for f in fields if f != EMPTY)


def _values(length: str, fields: list[str]) -> list[bytes]:
    if int(length) != _length(fields):
        raise FrameError("a line of the far end is cut")
    return [b"" if f == EMPTY else base64.b64decode(f, validate=True) for f in fields]
