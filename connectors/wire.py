"""
One WinRS shell over pywinrm's `Protocol`: the only module that calls pywinrm, and the only place that catches everything it may raise.

What is sent and what a failure means for a call is in session.py.
"""

from __future__ import annotations

import logging
import math
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import requests
from winrm.protocol import Protocol

from connectors.errors import ConnectorError, FailedError, LostError, translate, unreachable
from connectors.settings import WinrmSettings

logger = logging.getLogger(__name__)

T = TypeVar("T")
CODEPAGE: Final = 65001
LAST_WORDS_S: Final = 10  # a host that does not answer is not waited for when all is over
SHELL_IDLE: Final = "PT1800S"  # an xs:duration text: a number is a schema fault (facts/winrm.md 3)

# Both log tokens and paths at debug level; NTLM tokens can be cracked offline (facts/pyinfra.md 2).
for _name in ("spnego", "urllib3", "requests_ntlm", "winrm.vendor.requests_kerberos"):
    logging.getLogger(_name).setLevel(logging.INFO)


@dataclass(frozen=True)
class Received:
    """What one Receive brought. `done`: the process has ended with `exit_code`."""

    stdout: bytes
    stderr: bytes
    done: bool
    exit_code: int | None

    def __repr__(self) -> str:
        return f"Received(<{len(self.stdout)} bytes>, done={self.done})"


class Wire:
    """
    A connection to one host with at most one shell and one command in it. Not for two greenlets at a time.

    Every method raises only exceptions of connectors/errors.py.
    """

    def __init__(self, settings: WinrmSettings) -> None:
        self._settings = settings
        self._protocol: Protocol | None = None
        self._shell = ""
        self._command = ""

    def probe(self) -> None:
        """A plain TCP connection: a quick and clear message where there is none (facts/winrm.md 4)."""
        address = (self._settings.hostname.strip("[]"), self._settings.port)
        try:
            socket.create_connection(address, timeout=self._settings.connect_timeout).close()
        except OSError as error:
            raise unreachable(error, self._settings) from None

    def open_shell(self) -> None:
        """Create the shell. An old one must be closed before."""
        self._patience(self._settings.operation_timeout + 10)
        self._shell = self._call("open_shell", lambda p: p.open_shell(codepage=CODEPAGE, idle_timeout=SHELL_IDLE))

    def run(self, line: str) -> None:
        """Start a command in the shell. Its stdin is a pipe (facts/winrm.md 0.2)."""
        self._command = self._call("run", lambda p: p.run_command(self._shell, line, console_mode_stdin=False))

    def send(self, data: bytes, *, end: bool = False) -> None:
        """Bytes for the command's stdin."""
        self._call("send", lambda p: p.send_command_input(self._shell, self._command, data, end))

    def receive(self, timeout_s: float) -> Received:
        """Wait for output, at most `timeout_s` rounded up: PendingError where there was none."""
        limit = max(1, min(self._settings.operation_timeout, math.ceil(timeout_s)))

        def ask(protocol: Protocol) -> tuple[bytes, bytes, int, bool]:
            protocol.operation_timeout_sec = limit
            try:
                return protocol.get_command_output_raw(self._shell, self._command)
            finally:
                protocol.operation_timeout_sec = self._settings.operation_timeout

        out, err, code, done = self._call("receive", ask)
        return Received(out, err, done, code if done else None)

    def end_command(self) -> None:
        """Terminate the command and forget it; it may be gone already."""
        if self._command:
            command, self._command = self._command, ""
            self._quietly("signal", lambda p: p.cleanup_command(self._shell, command))

    def close_shell(self) -> None:
        """Delete the shell and close the connection; each may be gone already."""
        if self._shell:
            shell, self._shell, self._command = self._shell, "", ""
            self._quietly("close", lambda p: p.close_shell(shell))
        self.drop()

    def drop(self) -> None:
        """Close the HTTP session; the next request opens another. Shell and command live on at the host."""
        if self._protocol is not None:
            self._protocol.transport.close_session()

    def hurry(self) -> None:
        """From here on do not wait for a host that does not answer, until a shell is opened again."""
        self._patience(LAST_WORDS_S)

    @property
    def has_shell(self) -> bool:
        """Whether a shell of ours is open as far as we know."""
        return bool(self._shell)

    def _call(self, doing: str, action: Callable[[Protocol], T]) -> T:
        try:
            protocol = self._protocol or self._connect()
            self._ready(protocol)
            return action(protocol)
        except Exception as error:  # noqa: BLE001 - an exception that escapes from a connector ends the run for every host
            translated = translate(error, self._settings, doing)
        raise translated from None

    def _ready(self, protocol: Protocol) -> None:
        """Have an HTTP session; over http one that encrypts. Raises what pywinrm raises."""
        transport = protocol.transport
        if transport.session is not None:
            return
        try:
            session = transport.build_session()
            # A 307 would be followed and post the body, stdin included, to the new address (facts/winrm.md 4).
            session.max_redirects, session.trust_env = 0, False
            if self._settings.scheme == "http":
                # pywinrm would do this while it builds the session: it would follow a redirect with NTLM's answer, and where it fails it would
                # keep the session and send the next message in clear.
                transport.setup_encryption(session)
                session.hooks["response"].append(self._check_sealed)
        except BaseException:
            transport.close_session()
            raise

    def _check_sealed(self, response: requests.Response, **_arguments: object) -> None:
        """pywinrm takes an answer in clear for as good as an encrypted one: anybody on the way could give it."""
        kind = response.headers.get("Content-Type", "")
        if response.ok and not kind.lower().startswith("multipart/encrypted"):
            response.close()
            raise FailedError(
                f"{self._settings.address} answered an encrypted message in clear: that is not WinRM, or somebody is on the way. Use https"
            )

    def _quietly(self, doing: str, action: Callable[[Protocol], object]) -> None:
        """Cleaning up: whatever happened, the next step of it still has to run. A broken connection is replaced once."""
        for _ in ("as it is", "on a new connection"):
            try:
                self._call(doing, action)
            except LostError:
                self.drop()
            except ConnectorError as error:
                logger.debug("%s: %s: %s", self._settings.address, doing, error)
                return
            else:
                return

    def _patience(self, seconds: int) -> None:
        if self._protocol is not None:
            self._protocol.transport.read_timeout_sec = seconds

    def _connect(self) -> Protocol:
        settings = self._settings
        user: Any = settings.user
        password: Any = settings.password.reveal()
        if settings.transport == "basic":
            # requests encodes text as latin-1, and its error would hold the password (facts/winrm.md 4).
            user, password = user.encode("utf-8"), password.encode("utf-8")
        self._protocol = Protocol(
            settings.endpoint,
            transport=settings.transport,
            username=user,
            password=password,
            ca_trust_path=settings.ca or None,  # type: ignore[arg-type]  # None is documented: certifi's list
            cert_pem=settings.certificate or None,
            cert_key_pem=settings.certificate_key or None,
            server_cert_validation="validate" if settings.verify else "ignore",
            operation_timeout_sec=settings.operation_timeout,
            read_timeout_sec=settings.operation_timeout + 10,
            message_encryption="never",  # see _ready
            proxy=None,
        )
        return self._protocol
