"""
The lab's WinRM as a server: sockets, TLS and threads for all hosts of a lab, one http and one https port each, on 127.0.0.1 only.

What a request means is in lab/wsman.py and lab/shells.py, who may send it in lab/auth.py. Tests bring trouble here: `ServedHost.trouble`.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import ssl
import threading
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, Final, Literal

from lab import wsman
from lab.access import AccessLog, Scheme
from lab.auth import Account, SealError, Session
from lab.http import BadRequestError, HttpAnswer, HttpRequest, read_request
from lab.shells import Limits, Shells

LOG: Final = logging.getLogger("lab.server")
LOOPBACK: Final = "127.0.0.1"
INTERNAL_ERROR: Final = 1359  # ERROR_INTERNAL_ERROR
HANDSHAKE_S: Final = 10.0
END_S: Final = 10.0


@dataclass(frozen=True)
class Trouble:
    """
    What shall go wrong, for tests.

    + kind: `drop-before` ends the connection instead of doing the request, `drop-during` ends it at once and does the request all the same,
      `drop-after` does it and ends the connection instead of answering, `fault` and `status` answer so instead of doing it
    + action: `Create`, `Command`, `Send`, `Receive`, `Signal`, `Delete`, or "" for any
    + code: the fault's code, or the HTTP status
    + skip: so many requests of that action pass before
    + times: so many are troubled
    """

    kind: Literal["drop-before", "drop-during", "drop-after", "fault", "status"]
    action: str = ""
    code: int = 0
    skip: int = 0
    times: int = 1


class ServedHost:
    """One host: its shells, its certificate, its counters. `requests` counts HTTP requests, those answered with 401 too."""

    def __init__(self, name: str, shells: Shells, certificate: Path) -> None:
        self.name, self.shells = name, shells
        self.requests = 0
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.minimum_version = ssl.TLSVersion.TLSv1_2
        self.tls.load_cert_chain(certificate)
        pem = certificate.read_text(encoding="ascii")
        self.certificate = ssl.PEM_cert_to_DER_cert(pem[pem.index("-----BEGIN CERTIFICATE") :])
        self._lock = threading.Lock()
        self._troubles: list[Trouble] = []

    def count(self) -> None:
        with self._lock:
            self.requests += 1

    def trouble(self, trouble: Trouble) -> None:
        """Plan one; several are taken in turn."""
        with self._lock:
            self._troubles.append(trouble)

    def untroubled(self) -> bool:
        """Whether every planned trouble has come."""
        with self._lock:
            return not self._troubles

    def take(self, action: str) -> Trouble | None:
        """The trouble of this request."""
        with self._lock:
            for at, planned in enumerate(self._troubles):
                if planned.action not in {"", action}:
                    continue
                if planned.skip:
                    self._troubles[at] = replace(planned, skip=planned.skip - 1)
                    return None
                self._troubles[at : at + 1] = [replace(planned, times=planned.times - 1)] if planned.times > 1 else []
                return planned
        return None


@dataclass(frozen=True)
class _Endpoint:
    host: ServedHost
    scheme: Scheme
    listener: socket.socket


class _Connection:
    """One TCP connection and what is known of it."""

    def __init__(self, raw: socket.socket, session: Session) -> None:
        self.socket, self.session = raw, session
        self.thread: threading.Thread | None = None

    def cut(self, how: int) -> None:
        """Shut the TCP connection, whatever TLS is doing; the thread that reads it sees its end."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.socket, how)


class Server:
    """
    Serves the hosts until it is stopped.

    + root: folder of the lab, for the access log
    + users: file of `Account.write_users`
    """

    def __init__(self, root: Path, account: Account, users: Path, limits: Limits) -> None:
        self._account, self._users, self._limits = account, users, limits
        self._endpoints: list[_Endpoint] = []
        self._connections: set[_Connection] = set()
        self._lock = threading.Lock()
        self._log = AccessLog(root)
        self._stopping = threading.Event()
        self._wake, self._woken = socket.socketpair()
        self._threads = [
            threading.Thread(target=self._accept, name="lab accept", daemon=True),
            threading.Thread(target=self._keep, name="lab keeper", daemon=True),
        ]

    def add(self, host: ServedHost, ports: dict[Scheme, int]) -> dict[Scheme, int]:
        """Listen for a host, before `start`, on these ports where they are free, else on others; returns the ports."""
        chosen: dict[Scheme, int] = {}
        for scheme in ("http", "https"):
            listener = _listen(ports.get(scheme, 0))
            chosen[scheme] = listener.getsockname()[1]
            self._endpoints.append(_Endpoint(host, scheme, listener))
        return chosen

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End every shell and connection; every shell is in the journal when this returns."""
        self._stopping.set()
        self._wake.close()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        self._woken.close()
        for endpoint in self._endpoints:
            endpoint.listener.close()
        hosts = {endpoint.host for endpoint in self._endpoints}
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.cut(socket.SHUT_RD)
        for host in hosts:
            _empty(host)
        for connection in connections:
            connection.cut(socket.SHUT_RDWR)
            if connection.thread is not None:
                connection.thread.join(END_S)
        for host in hosts:
            _empty(host)  # of a shell that was being opened meanwhile

    def connections(self) -> int:
        """How many TCP connections are open."""
        with self._lock:
            return len(self._connections)

    # -- threads --

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            for endpoint in self._endpoints:
                selector.register(endpoint.listener, selectors.EVENT_READ, endpoint)
            while not self._stopping.is_set():
                for key, _ in selector.select():
                    if isinstance(key.data, _Endpoint):
                        with contextlib.suppress(OSError):  # the client gave up meanwhile
                            self._begin(key.data, key.data.listener.accept()[0])

    def _begin(self, endpoint: _Endpoint, raw: socket.socket) -> None:
        certificate = endpoint.host.certificate if endpoint.scheme == "https" else None
        session = Session(self._account, self._users, certificate, self._limits.channel_binding)
        connection = _Connection(raw, session)
        with self._lock:
            self._connections.add(connection)
        connection.thread = threading.Thread(
            target=self._serve, args=(endpoint, connection), name=f"lab {endpoint.host.name}", daemon=True
        )
        connection.thread.start()

    def _keep(self) -> None:
        """Load what the first client needs, then end idle shells."""
        import spnego  # noqa: F401, PLC0415 (after the lab has said that it is ready)

        hosts = {endpoint.host for endpoint in self._endpoints}
        while not self._stopping.wait(min(1.0, self._limits.least_idle_timeout_s / 4)):
            for host in hosts:
                try:
                    host.shells.expire()
                except Exception:  # whatever a machine does: the lab goes on for the others
                    LOG.exception("%s: idle shells", host.name)

    def _serve(self, endpoint: _Endpoint, connection: _Connection) -> None:
        try:
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if endpoint.scheme == "https":
                connection.socket.settimeout(HANDSHAKE_S)
                tls = endpoint.host.tls
                connection.socket = secure = tls.wrap_socket(
                    connection.socket, server_side=True, do_handshake_on_connect=False
                )
                secure.do_handshake()
            connection.socket.settimeout(self._limits.idle_connection_s)
            with connection.socket.makefile("rb") as file:
                self._talk(endpoint, connection, file)
        except OSError as error:  # TLS errors and timeouts among them
            LOG.debug("%s %s: %s", endpoint.host.name, endpoint.scheme, error)
        except Exception:  # one client's connection ends, the lab serves the others
            LOG.exception("%s %s", endpoint.host.name, endpoint.scheme)
        finally:
            connection.socket.close()
            with self._lock:
                self._connections.discard(connection)

    def _talk(self, endpoint: _Endpoint, connection: _Connection, file: BinaryIO) -> None:
        while not self._stopping.is_set():
            try:
                request = read_request(file, connection.socket)
            except BadRequestError as error:
                connection.socket.sendall(HttpAnswer(error.status, closes=True).packed())
                return
            if request is None:
                return
            endpoint.host.count()
            action, answer = self._answer(endpoint, connection, request)
            if answer is not None and request.closes:
                answer = replace(answer, closes=True)
            out = answer.packed() if answer else b""
            status = answer.status if answer else 0
            self._log.write(endpoint.host.name, endpoint.scheme, status, action, len(request.body), len(out))
            if answer is None:
                connection.cut(socket.SHUT_RDWR)
                return
            connection.socket.sendall(out)
            if answer.closes:
                return

    # -- one request --

    def _answer(
        self, endpoint: _Endpoint, connection: _Connection, request: HttpRequest
    ) -> tuple[str, HttpAnswer | None]:
        """The name of the action and the answer; None ends the connection without one."""
        if request.path.partition("?")[0].rstrip("/").lower() != "/wsman":
            return "-", HttpAnswer(HTTPStatus.NOT_FOUND)
        if request.method != "POST":
            return "-", HttpAnswer(HTTPStatus.METHOD_NOT_ALLOWED)
        verdict = connection.session.check(request.headers.get("authorization"))
        if verdict.user is None:
            return "-", HttpAnswer(HTTPStatus.UNAUTHORIZED, authenticate=verdict.headers)
        if len(request.body) > self._limits.max_envelope:
            # Assumed: that the size is counted as it was sent, and that the connection ends, since an encrypted one is out of step then.
            return "-", HttpAnswer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, closes=True)
        body = request.body
        if request.sealed:
            try:
                body = connection.session.unseal(body)
            except SealError as error:
                LOG.info("%s: %s", endpoint.host.name, error)
                return "-", HttpAnswer(HTTPStatus.BAD_REQUEST, closes=True)
        elif body and endpoint.scheme == "http":
            # AllowUnencrypted is false. Assumed: what Windows answers (facts/winrm.md 4: 500 or 401).
            return "-", HttpAnswer(HTTPStatus.INTERNAL_SERVER_ERROR)
        if not body:
            return "-", HttpAnswer(HTTPStatus.OK, authenticate=verdict.headers)
        action, answer = self._soap(endpoint.host, connection, body)
        if answer is not None and request.sealed and answer.body:
            answer = replace(answer, body=connection.session.seal(answer.body), sealed=True)
        return action, answer and replace(answer, authenticate=verdict.headers)

    def _soap(self, host: ServedHost, connection: _Connection, body: bytes) -> tuple[str, HttpAnswer | None]:
        request: wsman.Request | None = None
        action = "-"
        try:
            request = wsman.parse(body)
            action = wsman.action_name(request)
            match trouble := host.take(action):
                case Trouble(kind="drop-before"):
                    return action, None
                case Trouble(kind="status"):
                    return action, HttpAnswer(trouble.code)
                case Trouble(kind="fault"):
                    raise wsman.WsManFaultError(trouble.code, "A test wants this fault.")
                case Trouble(kind="drop-during"):
                    connection.cut(socket.SHUT_RDWR)
            answer = host.shells.answer(request)
        except wsman.WsManFaultError as error:
            return action, HttpAnswer(HTTPStatus.INTERNAL_SERVER_ERROR, wsman.fault(request, error, host.name))
        except Exception as error:
            LOG.exception("%s: %s", host.name, action)
            failure = wsman.WsManFaultError(
                INTERNAL_ERROR, f"The lab failed ({type(error).__name__}); see its server.log."
            )
            return action, HttpAnswer(HTTPStatus.INTERNAL_SERVER_ERROR, wsman.fault(request, failure, host.name))
        if trouble is not None:
            return action, None
        return action, HttpAnswer(HTTPStatus.OK, answer)


def _empty(host: ServedHost) -> None:
    """End all shells of a host, whatever happens to their lines in the journal."""
    while len(host.shells):
        try:
            host.shells.vanish()
        except Exception:  # the other machines must end, too
            LOG.exception("%s: shells at the end", host.name)


def _listen(port: int) -> socket.socket:
    """A listening socket on loopback: on this port where it is free, else on another."""
    for number in dict.fromkeys((port, 0)):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # after a stop, old connections still wait
        try:
            listener.bind((LOOPBACK, number))
            listener.listen(128)
        except OSError:
            listener.close()
            if number == 0:
                raise
            continue
        listener.setblocking(False)  # a client may give up between select and accept
        return listener
    raise AssertionError("a free port is always tried last")
