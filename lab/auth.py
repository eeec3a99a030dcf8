"""
Who is on the other end of a connection: Negotiate with NTLM, Basic over TLS, and the encryption of messages. No socket.

NTLM and its cryptography are pyspnego's. Kerberos, CredSSP and client certificates are not here: they are not offered. What Windows answers
where this is not known (facts/lab.md B) is marked as assumed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
import re
import struct
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import spnego

LOG: Final = logging.getLogger("lab.auth")
DOMAIN: Final = "CONTOSO"
DNS_DOMAIN: Final = "contoso.com"
BASIC: Final = 'Basic realm="WSMAN"'
PROTOCOL: Final = "application/HTTP-SPNEGO-session-encrypted"
SEALED_TYPE: Final = f'multipart/encrypted;protocol="{PROTOCOL}";boundary="Encrypted Boundary"'

_VARIABLE: Final = "NTLM_USER_FILE"
_environment = threading.Lock()  # pyspnego finds its users by an environment variable of the whole process
_SIGNATURE: Final = b"NTLMSSP\x00\x03\x00\x00\x00"
_BINDINGS: Final = 0x000A  # MsvAvChannelBindings, [MS-NLMP] 2.2.2.1
_ENVELOPE: Final = re.compile(
    rb"--\s*Encrypted Boundary\r\n[ \t]*Content-Type:[^\r\n]*\r\n[ \t]*OriginalContent:[^\r\n]*?Length=(\d+)\r\n"
    rb"--\s*Encrypted Boundary\r\n[ \t]*Content-Type: application/octet-stream\r\n"
)
_CLOSE: Final = re.compile(rb"--\s*Encrypted Boundary--(?:\r\n)?")


class SealError(ValueError):
    """A body that should be encrypted for this connection and is not."""


@dataclass(frozen=True, repr=False)
class Account:
    """The one user of a lab, an administrator of all its hosts; `name` is without the domain."""

    name: str
    password: str

    def write_users(self, path: Path, hosts: Iterable[str]) -> None:
        """Write pyspnego's user file: the account under every name that a client may say (`DOMAIN\\name`, `HOST\\name`, `name`, UPN)."""
        domains = ["", DOMAIN, DNS_DOMAIN, *hosts]
        lines = [f"{domain}:{self.name}:{self.password}" for domain in domains]
        lines.append(f":{self.name}@{DNS_DOMAIN}:{self.password}")
        text = "\n".join(lines) + "\n"
        if path.exists() and path.read_text(encoding="utf-8") == text:
            return
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)

    def knows(self, user: str, password: str) -> bool:
        """Whether these are the account's name, in any of its forms, and its password."""
        name = user.rpartition("\\")[2].lower().removesuffix(f"@{DNS_DOMAIN}")
        right = hmac.compare_digest(password.encode(), self.password.encode())
        return right and name == self.name.lower()


@dataclass(frozen=True)
class Verdict:
    """`user` is None for a 401 with these WWW-Authenticate headers; else the headers go with the answer."""

    user: str | None
    headers: tuple[str, ...] = ()


class Session:
    """
    The authentication of one connection: NTLM stays until the connection ends, Basic comes with every request.

    + users: file of `Account.write_users`
    + certificate: the server's, DER, on a TLS connection; None on plain http, where Basic is not offered
    + channel_binding: as in lab/shells.py Limits
    """

    def __init__(self, account: Account, users: Path, certificate: bytes | None, channel_binding: str) -> None:
        self._account, self._users = account, users
        self._certificate, self._channel_binding = certificate, channel_binding
        self._context: spnego.ContextProxy | None = None
        self._user: str | None = None

    @property
    def schemes(self) -> tuple[str, ...]:
        """What a client is told to use. Windows has no `NTLM` there: raw NTLM goes under Negotiate (facts/lab.md C)."""
        return ("Negotiate",) if self._certificate is None else ("Negotiate", BASIC)

    def check(self, authorization: str | None) -> Verdict:
        """Judge one request by its Authorization header."""
        if authorization is None:
            return Verdict(self._user, () if self._user else self.schemes)
        scheme, _, value = authorization.strip().partition(" ")
        match scheme.lower():
            case "negotiate":
                return self._negotiate(value)
            case "basic" if self._certificate is not None:
                return self._basic(value)
            case _:
                return Verdict(None, self.schemes)

    def unseal(self, body: bytes) -> bytes:
        """The plain text of an encrypted body ([MS-WSMV] 2.2.9.1). Raises SealError, after which the connection is of no use."""
        start = _ENVELOPE.match(body)
        if self._context is None or not self._context.complete or start is None:
            raise SealError("this connection has no security context for an encrypted message")
        length, at = int(start.group(1)), start.end()
        (signed,) = struct.unpack_from("<I", body, at) if len(body) >= at + 4 else (0,)
        first = at + 4 + signed
        if not _CLOSE.fullmatch(body, first + length):
            raise SealError(f"an encrypted message of {length} bytes does not end where it says")
        try:
            return self._context.unwrap_winrm(body[at + 4 : first], body[first : first + length])
        except Exception as error:
            raise SealError(f"an encrypted message is not of this connection: {type(error).__name__}") from error

    def seal(self, body: bytes) -> bytes:
        """An encrypted body, of the type SEALED_TYPE."""
        if self._context is None:
            raise SealError("nothing to encrypt with")
        sealed = self._context.wrap_winrm(body)
        return b"".join(
            (
                b"--Encrypted Boundary\r\n\tContent-Type: ",
                PROTOCOL.encode(),
                b"\r\n\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=",
                str(len(body) + sealed.padding_length).encode(),
                b"\r\n--Encrypted Boundary\r\n\tContent-Type: application/octet-stream\r\n",
                struct.pack("<I", len(sealed.header)),
                sealed.header,
                sealed.data,
                b"--Encrypted Boundary--\r\n",
            )
        )

    def _basic(self, value: str) -> Verdict:
        try:
            user, _, password = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
        except ValueError:  # no base64, no UTF-8
            return Verdict(None, self.schemes)
        if self._account.knows(user, password):
            return Verdict(user)
        LOG.info("Basic: %s was refused", user)
        return Verdict(None, self.schemes)

    def _negotiate(self, value: str) -> Verdict:
        import spnego  # noqa: PLC0415 (a fifth of a second, which would be half of the lab's start)

        try:
            token = base64.b64decode(value, validate=True)
            with _environment:
                # Set and never unset: a value that is replaced is safe beside threads that start programs, a variable that comes and goes is not.
                if os.environ.get(_VARIABLE) != str(self._users):
                    os.environ[_VARIABLE] = str(self._users)
                if self._context is None or self._context.complete:
                    self._user = None
                    self._context = spnego.server(
                        protocol="negotiate",
                        options=spnego.NegotiateOptions.use_negotiate | spnego.NegotiateOptions.use_ntlm,
                    )
                answer = self._context.step(token, channel_bindings=self._bindings(token))
        except Exception as error:  # noqa: BLE001 (whatever a client sends is answered with 401)
            LOG.info("Negotiate: refused: %s", type(error).__name__)
            self._context = None
            return Verdict(None, self.schemes)
        header = ("Negotiate " + base64.b64encode(answer).decode(),) if answer else ()
        if self._context.complete:
            self._user = self._context.client_principal or self._account.name
            return Verdict(self._user, header)
        return Verdict(None, header or ("Negotiate",))

    def _bindings(self, token: bytes) -> spnego.channel_bindings.GssChannelBindings | None:
        """What the client's binding must be, where one is demanded or sent (RFC 5929, tls-server-end-point)."""
        from spnego.channel_bindings import GssChannelBindings  # noqa: PLC0415 (see _negotiate)

        if self._certificate is None or self._channel_binding == "none":
            return None
        if self._channel_binding == "relaxed" and not sends_bindings(token):
            return None
        digest = hashlib.sha256(self._certificate).digest()
        return GssChannelBindings(application_data=b"tls-server-end-point:" + digest)


def sends_bindings(token: bytes) -> bool:
    """Whether an NTLM AUTHENTICATE message, bare or within SPNEGO, holds a channel binding that is not all zero ([MS-NLMP] 2.2.1.3, 2.2.2.7)."""
    start = token.find(_SIGNATURE)
    if start < 0:
        return False
    message = token[start:]
    try:
        length, _, offset = struct.unpack_from("<HHI", message, 20)
        pairs, at = message[offset + 44 : offset + length], 0  # past the proof (16 bytes) and the fixed part (28)
        while True:
            name, size = struct.unpack_from("<HH", pairs, at)
            if name == 0:
                return False
            if name == _BINDINGS:
                return any(pairs[at + 4 : at + 4 + size])
            at += 4 + size
    except struct.error:
        return False
