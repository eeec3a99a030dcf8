"""
What a user reads when a host cannot be reached or refuses: every text, word for word, and no password in any of them.

As far as it can be provoked it is: by the lab, by a listener that is no WinRM, by a far end that is odd.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given, settings
from hypothesis import strategies as st
from winrm.exceptions import (
    InvalidCredentialsError,
    WinRMError,
    WinRMOperationTimeoutError,
    WinRMTransportError,
    WSManFaultError,
)

from connectors import wire
from connectors.call import HostCall
from connectors.errors import QUOTAS, ConnectorError, translate, unreachable, words
from connectors.session import Limits, Session
from connectors.settings import WinrmSettings
from lab import auth, ca, http
from lab.engine import Output
from lab.server import Trouble
from lab.shells import Limits as HostLimits
from model.error import HostError
from model.secret import Secret
from tests.connector_lab import NOW, Ended, Far, Rewritten, odd_lab

PASSWORD = "pa$$'wörd-of-nobody"
USER = "CONTOSO\\admin"
BROKE = (
    "the connection to {at} broke before anything was answered: "
    "is that the port of https (5986, then winrm_scheme is https), or of something else than WinRM?"
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    with odd_lab(tmp_path_factory.mktemp("lab"), HostLimits(max_shells_per_user=1)) as lab:
        yield Far(lab)


@pytest.fixture
def far(shared: Far) -> Iterator[Far]:
    yield shared
    shared.end()


class Impostor:
    """Something on a port of 127.0.0.1 that is no WinRM: gives each connection to `serve`."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="impostor")
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self._serve(connection)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture
def impostor() -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
    """Starts one; gives its port."""
    made: list[Impostor] = []

    def make(serve: Callable[[socket.socket], None]) -> int:
        made.append(Impostor(serve))
        return made[-1].port

    yield make
    for one in made:
        one.close()


def tls(certificate: Path) -> Callable[[socket.socket], None]:
    """Shakes hands with this certificate, and says nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(1)

    return serve


def saying(answer: bytes) -> Callable[[socket.socket], None]:
    """Reads a request and answers it so."""

    def serve(connection: socket.socket) -> None:
        if connection.recv(1 << 16):
            connection.sendall(answer)

    return serve


def certificate(folder: Path, name: str, days: int) -> tuple[Path, Path]:
    """A certificate for a name that ends so many days from now, with its key; and the authority to trust, which is itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "far")])
    address = x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
    end = datetime.now(UTC) + timedelta(days=days)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=300))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, SHA256())
    )
    both, alone = folder / "both.pem", folder / "alone.pem"
    both.write_bytes(ca._key_pem(key) + ca._pem(signed))
    alone.write_bytes(ca._pem(signed))
    return both, alone


def error_of(session: Session, password: str) -> str:
    """What opening it says. The password is in none of what a traceback could show."""
    with pytest.raises(ConnectorError) as caught:
        session.open()
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(session._settings)
    assert password not in shown
    return str(caught.value)


# -- reaching a host --


@dataclass(frozen=True)
class Case:
    """How the host is reached, what is wrong there, and what is said: {at} is its address, {user} the account."""

    text: str
    scheme: Any = "https"
    data: dict[str, Any] = field(default_factory=dict)
    troubles: tuple[Trouble, ...] = ()


REFUSED = (
    "{at} refuses the login of {user} (ntlm): wrong user or password, or the account may not log on. "
    "Write DOMAIN\\user or user@domain. It is not tried again on this host, so that the account is not locked out so soon"
)
CASES = {
    "no such name": Case(
        "host mfa01.invalid not found: check winrm_hostname, or the name server of this machine",
        data={"hostname": "mfa01.invalid"},
    ),
    "a closed port": Case(
        "127.0.0.1:1 refuses the connection: nothing listens there. On the host: winrm enumerate winrm/config/listener; winrm_port is 1 (https)",
        data={"port": 1},
    ),
    "an authority that is not trusted": Case(
        "the certificate of {at} is not trusted: give its certificate authority as winrm_ca (a PEM file; winrm_ca is not set)",
        data={"ca": ""},
    ),
    "no file of an authority": Case("winrm_ca is '/none.pem': there is no such file", data={"ca": "/none.pem"}),
    "a wrong password": Case(REFUSED, data={"password": PASSWORD}),
    "a wrong password over http": Case(REFUSED, "http", {"password": PASSWORD}),
    "a wrong password with basic": Case(
        REFUSED.replace("(ntlm)", "(basic)").replace(
            "user@domain. ",
            "user@domain. Basic may be switched off there (winrm get winrm/config/service/auth). ",
        ),
        data={"password": PASSWORD, "transport": "basic"},
    ),
    "https to the port of http": Case(
        "{at} does not speak TLS: that port is http's. Use port 5986, or winrm_scheme http with transport ntlm",
        data={"port": "http"},
    ),
    "http to the port of https": Case(
        BROKE,
        "http",
        {"port": "https"},
    ),
    "plain http is refused": Case(
        "{at} refuses the message: over http WinRM takes encrypted ones only. Use https, or transport ntlm",
        "http",
        troubles=(Trouble("status", "Create", 500),),
    ),
    "something else than WinRM": Case(
        "{at} answered HTTP 404: is it WinRM that listens there, or a proxy?",
        troubles=(Trouble("status", "Create", 404),),
    ),
    "no administrator": Case(
        "{at} denies {user} a shell: the account must be an administrator there; "
        "a local account other than Administrator also needs LocalAccountTokenFilterPolicy=1",
        troubles=(Trouble("fault", "Create", 5),),
    ),
    "remote shells are off": Case(
        "remote shells are switched off on 127.0.0.1 by policy (AllowRemoteShellAccess)",
        troubles=(Trouble("fault", "Create", 2150859180),),
    ),
    "a fault that nobody knows": Case(
        "{at} answered fault 2150858817 (0x80338041)", troubles=(Trouble("fault", "Create", 2150858817),)
    ),
    "quota of operations": Case(
        "{at} refuses {user} by its quota MaxConcurrentOperationsPerUser. An administrator of that host can raise it: "
        'winrm set winrm/config/service @{{MaxConcurrentOperationsPerUser="4294967295"}}',
        troubles=(Trouble("fault", "Command", 2150859174, times=2),),
    ),
    "quota of users": Case(
        "{at} refuses {user} by its quota MaxConcurrentUsers. An administrator of that host can raise it: "
        'winrm set winrm/config/winrs @{{MaxConcurrentUsers="50"}}',
        troubles=(Trouble("fault", "Create", 2150859179, times=2),),
    ),
    "the load quota": Case(
        "{at} refuses {user} by its quota of load for this user. Try again later",
        troubles=(Trouble("fault", "Create", 2150859175, times=2),),
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_host_that_cannot_be_opened_says_why_and_what_to_do(far: Far, case: Case) -> None:
    address = far.lab.address("mim01")
    ports = {"http": address.http, "https": address.https}
    data = {**case.data, "port": ports.get(case.data.get("port", case.scheme), case.data.get("port"))}
    for trouble in case.troubles:
        far.served.trouble(trouble)
    session = far.session(case.scheme, opened=False, **data)
    said = error_of(session, data.get("password") or far.settings().password.reveal())
    known = session._settings
    assert said == case.text.format(at=known.address, user=known.user)


def test_an_answer_in_clear_to_an_encrypted_message_is_refused(far: Far) -> None:
    """Anybody on the way could give it, and pywinrm would take it."""
    session = far.session("http")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http, "SEALED_TYPE", "application/soap+xml;charset=UTF-8")
        patch.setattr(auth.Session, "seal", lambda _, body: body)
        with pytest.raises(ConnectorError) as error:
            session.call(HostCall("Test-Echo", value=1))
    assert str(error.value) == (
        f"{far.settings('http').address} answered an encrypted message in clear: that is not WinRM, or somebody is on the way. Use https"
    )
    assert session.call(HostCall("Test-Echo", value=2)).result == {"value": 2}


def test_a_login_that_was_refused_is_not_tried_again(far: Far) -> None:
    session = far.session(opened=False, password=PASSWORD)
    before = far.requests()
    error_of(session, PASSWORD)
    assert far.requests() - before == 3  # two of NTLM's three and the answer that refuses


def test_the_quota_of_shells_is_named_with_the_command_that_raises_it(far: Far) -> None:
    """A real one: the lab takes one shell at a time here."""
    far.session()
    slept: list[float] = []
    session = Session(far.settings(), Limits(), sleep=slept.append)
    assert error_of(session, far.settings().password.reveal()) == (
        f"127.0.0.1:{far.lab.address('mim01').https} refuses {far.settings().user} by its quota MaxShellsPerUser. "
        'An administrator of that host can raise it: winrm set winrm/config/winrs @{MaxShellsPerUser="100"}; shells of old runs end by themselves'
    )
    assert slept == [15]


def test_a_quota_that_is_free_again_after_a_while_is_no_error(far: Far) -> None:
    first = far.session()
    session = Session(far.settings(), Limits(), sleep=lambda _: first.close())
    session.open()
    session.close()


CERTIFICATES = {
    "another name": (
        "mfa01.contoso.com",
        100,
        True,
        "the certificate of {at} is for another name, not for '127.0.0.1': connect by the name in the certificate (winrm_hostname)",
    ),
    "expired": ("127.0.0.1", -1, True, "the certificate of {at} has expired: renew it on the host"),
    "signed by itself": (
        "127.0.0.1",
        100,
        False,
        "the certificate of {at} is not trusted: give its certificate authority as winrm_ca (a PEM file; winrm_ca is {ca!r})",
    ),
}


@pytest.mark.parametrize(("name", "days", "trusted", "text"), CERTIFICATES.values(), ids=CERTIFICATES)
def test_a_certificate_that_does_not_hold_says_which_and_why(
    far: Far, impostor: Any, tmp_path: Path, name: str, days: int, *, trusted: bool, text: str
) -> None:
    both, alone = certificate(tmp_path, name, days)
    trust = str(alone) if trusted else str(far.lab.root / "ca" / "ca.pem")
    session = far.session(opened=False, port=impostor(tls(both)), ca=trust)
    assert error_of(session, far.settings().password.reveal()) == text.format(at=session._settings.address, ca=trust)


def test_an_authority_that_is_no_pem_file_is_named(far: Far, tmp_path: Path) -> None:
    file = tmp_path / "ca.der"
    file.write_bytes(b"\x30\x82")
    session = far.session(opened=False, ca=str(file))
    assert (
        error_of(session, far.settings().password.reveal())
        == f"winrm_ca is {str(file)!r}: that file holds no certificate in PEM form"
    )


OTHERS = {
    "a redirect": (
        b"HTTP/1.1 307 x\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        "{at} redirects to another address: that is not WinRM, nothing was sent there",
    ),
    "another protocol": (b"220 smtp ready\r\n", BROKE),
    "a web page": (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<hr>",
        "{at} gave an answer that is not WinRM's (AttributeError). Is another service on that port?",
    ),
    "a login that is not NTLM's": (
        b"HTTP/1.1 401 x\r\nWWW-Authenticate: Digest realm=x\r\nContent-Length: 0\r\n\r\n",
        REFUSED,
    ),
}


@pytest.mark.parametrize(("answer", "text"), OTHERS.values(), ids=OTHERS)
def test_another_service_on_the_port_is_not_taken_for_winrm(far: Far, impostor: Any, answer: bytes, text: str) -> None:
    session = far.session("http", opened=False, port=impostor(saying(answer)))
    assert error_of(session, far.settings().password.reveal()) == text.format(
        at=session._settings.address, user=session._settings.user
    )


# -- PowerShell there --

SAID = {
    "it is not there": (
        Ended(b"'powershell.exe' is not recognized as an internal or external command,\r\noperable program.\r\n"),
        (
            "{at}: PowerShell ended with 1 before it answered: 'powershell.exe' is not recognized as an internal or external command, | "
            "operable program. Does this work there: %SystemRoot%\\System32\\WindowsPowerShell\\v1.0\\powershell.exe -NoProfile -Command 1"
        ),
    ),
    "it says so in CLIXML": (
        Ended(
            b"",
            b'#< CLIXML\r\n<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">'
            b'<S S="Error">This script contains malicious content_x000D__x000A_</S><S S="Error">&lt;here&gt;_x000D__x000A_</S></Objs>',
            1,
        ),
        (
            "{at}: PowerShell ended with 1 before it answered: This script contains malicious content | <here>. "
            "Does this work there: %SystemRoot%\\System32\\WindowsPowerShell\\v1.0\\powershell.exe -NoProfile -Command 1"
        ),
    ),
    "it says nothing": (
        Ended(code=-1073741502),
        (
            "{at}: PowerShell ended with -1073741502 before it answered: it printed nothing. "
            "Does this work there: %SystemRoot%\\System32\\WindowsPowerShell\\v1.0\\powershell.exe -NoProfile -Command 1"
        ),
    ),
}


@pytest.mark.parametrize(("process", "text"), SAID.values(), ids=SAID)
def test_a_powershell_that_does_not_start_is_quoted(far: Far, process: Ended, text: str) -> None:
    far.machine.odd.append(lambda _, __: process)
    session = far.session(opened=False)
    assert error_of(session, far.settings().password.reveal()) == text.format(at=session._settings.address)


CANNOT = {
    "ConstrainedLanguage": (
        b" X ConstrainedLanguage\r\n",
        (
            "the host's policy (AppLocker or WDAC) allows only ConstrainedLanguage: the host verbs need FullLanguage. "
            "Exempt the account that pyinfra logs on with"
        ),
    ),
    "another reason": (
        b" X 8 bm8gd2F5IQ==\n".replace(b"X 8", b"X 12"),
        "the host's PowerShell did not start the verbs: no way!",
    ),
}


@pytest.mark.parametrize("mode", ["warm", "batch"])
@pytest.mark.parametrize(("line", "text"), CANNOT.values(), ids=CANNOT)
def test_a_powershell_that_may_not_run_the_verbs_says_why_and_nothing_else_is_tried(
    far: Far, line: bytes, text: str, mode: str
) -> None:
    far.machine.odd.append(lambda argv, start: _Saying(argv, start, line))
    processes = far.machine.started
    assert error_of(far.session(opened=False, mode=mode), far.settings().password.reveal()) == text
    assert far.machine.started - processes == 1


class _Saying(Rewritten):
    """Says one line with the token of its process, and ends."""

    def __init__(self, argv: Any, start: Any, line: bytes) -> None:
        super().__init__(argv, start, rewrite=lambda data: data)
        self._line = line

    def read(self, timeout_s: float) -> Output:
        output = self.inner.read(timeout_s)
        return Output(output.stdout.split(b" ")[0] + self._line, b"", 1) if output.stdout else output


# -- whatever pywinrm raises --

KNOWN = WinrmSettings.model_validate(
    {"hostname": "mfa01", "user": USER, "password": PASSWORD, "scheme": "https", "ca": "/ca.pem"}
)
FAULT = "no words of ours: " + PASSWORD


def fault(code: int | None, *, wmi: int | None = None) -> WSManFaultError:
    return WSManFaultError(500, FAULT, FAULT, FAULT, FAULT, FAULT, code, wmi)


TRANSLATED: dict[str, tuple[BaseException, str, str]] = {
    "no output yet": (WinRMOperationTimeoutError(), "receive", "PendingError: no output yet"),
    "a request that was not taken": (
        WinRMOperationTimeoutError(),
        "send",
        "LostError: mfa01:5986 did not take a request in time",
    ),
    "a shell that is gone": (fault(2150858843), "receive", "GoneError: the session was closed by the host"),
    "a command that ended": (fault(995), "receive", "GoneError: the session was closed by the host"),
    "a profile that unloads": (fault(2147943418), "run", "GoneError: the session was closed by the host"),
    "busy": (fault(170), "send", "LostError: mfa01:5986 is still busy with the request before"),
    "a code in the other place": (
        fault(None, wmi=2150859173),
        "open_shell",
        (
            f"QuotaError: mfa01:5986 refuses {USER} by its quota MaxShellsPerUser. An administrator of that host can raise it: "
            'winrm set winrm/config/winrs @{MaxShellsPerUser="100"}; shells of old runs end by themselves'
        ),
    ),
    "a message too large": (fault(2150858824), "send", "TooLargeError: the message is larger than the host takes"),
    "no code at all": (fault(None), "send", "FailedError: mfa01:5986 answered fault 0 (0x00000000)"),
    "no answer": (
        requests.exceptions.ReadTimeout(FAULT),
        "receive",
        "LostError: mfa01:5986 accepted the connection but did not answer in time",
    ),
    "a reset": (
        requests.exceptions.ConnectionError(FAULT),
        "receive",
        "LostError: the connection to mfa01:5986 broke",
    ),
    "half an answer": (
        requests.exceptions.ChunkedEncodingError(FAULT),
        "receive",
        "LostError: the connection to mfa01:5986 failed",
    ),
    "an odd certificate": (
        requests.exceptions.SSLError("TLSV1_ALERT " + FAULT),
        "send",
        "FailedError: TLS with mfa01:5986 failed",
    ),
    "a password that basic cannot send": (
        UnicodeEncodeError("latin-1", PASSWORD, 0, 1, FAULT),
        "send",
        "FailedError: user or password for mfa01:5986 has a character that ntlm cannot send",
    ),
    "no answer of WinRM's": (
        StopIteration(FAULT),
        "run",
        "FailedError: mfa01:5986 gave an answer that is not WinRM's (StopIteration). Is another service on that port?",
    ),
    "a proxy": (
        WinRMTransportError("http", 502, FAULT),
        "send",
        "FailedError: mfa01:5986 answered HTTP 502: is it WinRM that listens there, or a proxy?",
    ),
    "too large for http": (
        WinRMTransportError("http", 413, FAULT),
        "send",
        "TooLargeError: the message is larger than the host takes",
    ),
    "kerberos is not installed": (
        WinRMError("requested auth method is kerberos, but pykerberos is not installed"),
        "open_shell",
        (
            "FailedError: transport kerberos needs more packages here: "
            ".venv/bin/pip install --constraint constraints.txt -e '.[kerberos]'"
        ),
    ),
}


@pytest.mark.parametrize(("error", "doing", "text"), TRANSLATED.values(), ids=TRANSLATED)
def test_an_exception_becomes_one_of_ours_with_our_own_words(error: BaseException, doing: str, text: str) -> None:
    transport = "kerberos" if "kerberos" in text else "ntlm"
    ours = translate(error, KNOWN.model_copy(update={"transport": transport}), doing)
    assert f"{type(ours).__name__}: {ours}" == text


def test_every_quota_names_itself_and_a_way_out() -> None:
    for code in QUOTAS:
        said = str(translate(fault(code), KNOWN, "run"))
        name, how = QUOTAS[code]
        way = f"An administrator of that host can raise it: {how}" if how else "Try again later"
        assert said == f"mfa01:5986 refuses {USER} by its quota {name}. {way}"


def test_a_port_that_is_silent_is_told_from_one_that_is_closed() -> None:
    assert str(unreachable(TimeoutError(), KNOWN)) == (
        "mfa01:5986 does not answer within 5 s: a firewall on the way, or the host is off. winrm_connect_timeout makes the wait longer"
    )
    assert str(unreachable(OSError(113, "No route to host"), KNOWN)) == "mfa01:5986 cannot be reached: No route to host"


RAISED: list[Callable[[str], BaseException]] = [
    lambda text: WinRMTransportError("http", 400, text),
    lambda text: WinRMTransportError("http", 500, text),
    InvalidCredentialsError,
    WinRMOperationTimeoutError,
    WinRMError,
    lambda text: WSManFaultError(500, text, text, text),
    requests.exceptions.ConnectionError,
    requests.exceptions.ReadTimeout,
    requests.exceptions.SSLError,
    requests.exceptions.InvalidURL,
    lambda text: UnicodeEncodeError("latin-1", text, 0, 1, text),
    lambda text: UnicodeDecodeError("utf-8", text.encode(), 0, 1, text),
    OSError,
    socket.gaierror,
    ssl.SSLError,
    ValueError,
    KeyError,
    AssertionError,
    StopIteration,
    AttributeError,
    TypeError,
    MemoryError,
    RecursionError,
]


class FakeProtocol:
    """Answers as a host would that opens a shell, until `left` calls were made; then each raises what it is told to."""

    left = 0
    error: BaseException = Exception()

    def __init__(self, *_: object, **more: Any) -> None:
        self.transport, self.session = self, None
        self.encryption = object()
        self.operation_timeout_sec = self.read_timeout_sec = 1
        self.given = more

    def build_session(self) -> requests.Session:
        return requests.Session()

    def close_session(self) -> None: ...

    def setup_encryption(self, _: object) -> None:
        self._next(None)

    def _next(self, value: Any) -> Any:
        type(self).left -= 1
        if type(self).left < 0:
            raise type(self).error
        return value

    def open_shell(self, **_: object) -> Any:
        return self._next("S")

    def run_command(self, *_: object, **__: object) -> Any:
        return self._next("C")

    def send_command_input(self, *_: object) -> Any:
        return self._next(None)

    def get_command_output_raw(self, *_: object) -> Any:
        return self._next((b"", b"", -1, False))

    def cleanup_command(self, *_: object) -> Any:
        return self._next(None)

    def close_shell(self, *_: object) -> Any:
        return self._next(None)


@settings(max_examples=150, deadline=None)
@given(
    raised=st.sampled_from(RAISED),
    left=st.integers(0, 7),
    mode=st.sampled_from(["warm", "batch", "auto"]),
    scheme=st.sampled_from(["http", "https"]),
    write=st.booleans(),
)
def test_whatever_pywinrm_raises_and_when_a_session_raises_its_own_errors_without_the_password(
    raised: Callable[[str], BaseException], left: int, mode: str, scheme: str, *, write: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "Protocol", FakeProtocol)
        patch.setattr(wire.Wire, "probe", lambda _: None)
        FakeProtocol.left, FakeProtocol.error = left, raised(FAULT)
        known = KNOWN.model_copy(update={"mode": mode, "scheme": scheme})
        now = iter(range(1 << 30))
        session = Session(known, NOW, clock=lambda: float(next(now)), sleep=lambda _: None)
        call = HostCall("Edit-IisConfig", secrets={"p": Secret(PASSWORD)}) if write else HostCall("Test-Echo", value=1)
        with pytest.raises(ConnectorError) as caught:
            session.call(call)
        session.close()
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(session) + repr(call)
    assert PASSWORD not in shown


# -- errors of verbs --

WORDS = {
    "a conflict": (
        HostError("conflict", "Write-File", r"C:\x.xml", "content is ab, expected cd."),
        r"Write-File C:\x.xml: content is ab, expected cd [conflict]. It changed since it was read; this call wrote nothing. Run again.",
    ),
    "a lock with its code": (
        HostError("locked", "Write-File", r"C:\x.xml", "open elsewhere", 0x80070020),
        r"Write-File C:\x.xml: open elsewhere (0x80070020) [locked]. Another process holds it. This call wrote nothing.",
    ),
    "codes of the directory": (
        HostError("invalid", "Edit-Directory", "CN=x", "refused", None, 53, 0x85D),
        "Edit-Directory CN=x: refused (LDAP 53, win32 085D) [invalid].",
    ),
    "codes that the directory verb says itself, once, and a logon that went no further": (
        HostError("denied", "Search-Directory", "", "bind: no logon was passed on (LDAP 82)", None, 82, None),
        "Search-Directory : bind: no logon was passed on (LDAP 82) [denied]. Give directory_user and directory_password in its host data.",
    ),
    "a code of success": (
        HostError("unknown", "Edit-Directory", "CN=x", "odd", None, 0, 0),
        "Edit-Directory CN=x: odd (LDAP 0, win32 0000) [unknown]. What it is now is not known: run again, every operation compares first.",
    ),
    "a commit of which nothing more is known": (
        HostError("unknown", "Edit-IisConfig", "f", "written, but it could not be read back", 0x80070020),
        (
            "Edit-IisConfig f: written, but it could not be read back (0x80070020) [unknown]. "
            "What it is now is not known: run again, every operation compares first."
        ),
    ),
    "an unknown error of a read, which leaves nothing to compare": (
        HostError("unknown", "Get-IisConfig", "f", "failed with X"),
        "Get-IisConfig f: failed with X [unknown].",
    ),
    "a denied read": (
        HostError("denied", "Read-File", r"C:\x.xml", "no right", 0x80070005),
        r"Read-File C:\x.xml: no right (0x80070005) [denied].",
    ),
    "a service that is late": (
        HostError("timeout", "Set-ServiceState", "FIMService", "is start-pending after 60 s"),
        "Set-ServiceState FIMService: is start-pending after 60 s [timeout]. Run again to see what it is now.",
    ),
}


@pytest.mark.parametrize(("error", "text"), WORDS.values(), ids=WORDS)
def test_an_error_of_a_verb_is_one_line(error: HostError, text: str) -> None:
    assert words(error) == text
