"""
HTTP/1.1 of one connection, as far as WinRM needs it: requests with a Content-Length in, answers out. No authentication, no SOAP.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import BinaryIO, Final

from lab.auth import SEALED_TYPE

LONGEST_LINE: Final = 1 << 16
MOST_HEADERS: Final = 100
MOST_BODY: Final = 64 << 20  # bytes that are read and thrown away before a 413, so that the client can read it
SOAP_TYPE: Final = "application/soap+xml;charset=UTF-8"


class BadRequestError(Exception):
    """Not HTTP, or a form of it that is not served; `status` is what to answer before the connection is closed."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


@dataclass(frozen=True)
class HttpRequest:
    """One request; header names are in lower case, the last of a name counts."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"

    @property
    def sealed(self) -> bool:
        """Whether the body is encrypted for the connection."""
        return self.headers.get("content-type", "").lower().startswith("multipart/encrypted")


@dataclass(frozen=True)
class HttpAnswer:
    """One answer; `authenticate` are the WWW-Authenticate headers."""

    status: int
    body: bytes = b""
    authenticate: Sequence[str] = field(default=())
    sealed: bool = False
    closes: bool = False

    def packed(self) -> bytes:
        """The bytes that go out. The Server header is what Windows sends."""
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = ""
        lines = [
            f"HTTP/1.1 {self.status} {phrase}",
            "Server: Microsoft-HTTPAPI/2.0",
            f"Date: {formatdate(usegmt=True)}",
        ]
        lines += [f"WWW-Authenticate: {value}" for value in self.authenticate]
        if self.body:
            lines.append(f"Content-Type: {SEALED_TYPE if self.sealed else SOAP_TYPE}")
        if self.closes:
            lines.append("Connection: close")
        lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "\r\n"]).encode("latin-1") + self.body


def read_request(file: BinaryIO, connection: socket.socket) -> HttpRequest | None:
    """
    Read the next request; None at the end of the connection.

    + connection: is written to only for `100 Continue`

    Raises BadRequestError, and OSError as sockets do.
    """
    line = file.readline(LONGEST_LINE)
    if not line:
        return None
    words = line.decode("latin-1").split()
    match words:
        case [method, path, "HTTP/1.1" | "HTTP/1.0"]:
            headers = _headers(file)
        case _:
            raise BadRequestError(HTTPStatus.BAD_REQUEST)
    if "transfer-encoding" in headers:
        raise BadRequestError(HTTPStatus.LENGTH_REQUIRED)
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdecimal()):
        raise BadRequestError(HTTPStatus.BAD_REQUEST)
    if int(length) > MOST_BODY:
        raise BadRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    if headers.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = file.read(int(length))
    if len(body) < int(length):
        return None
    return HttpRequest(method, path, headers, body)


def _headers(file: BinaryIO) -> dict[str, str]:
    headers: dict[str, str] = {}
    for _ in range(MOST_HEADERS):
        line = file.readline(LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise BadRequestError(HTTPStatus.BAD_REQUEST)
        if not (text := line.decode("latin-1").strip()):
            return headers
        name, colon, value = text.partition(":")
        if not colon:
            raise BadRequestError(HTTPStatus.BAD_REQUEST)
        headers[name.strip().lower()] = value.strip()
    raise BadRequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
