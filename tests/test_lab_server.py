"""The lab's WinRM as clients see it that nobody here wrote: pywinrm, pypsrp and curl; and what a connection that breaks leaves behind."""

from __future__ import annotations

import base64
import hashlib
import http.client
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import certifi
import pypsrp.shell
import pypsrp.wsman
import pytest
import requests
import spnego
from winrm.exceptions import (
    InvalidCredentialsError,
    WinRMOperationTimeoutError,
    WinRMTransportError,
    WSManFaultError,
)
from winrm.protocol import Protocol

from lab import wsman
from lab.access import Scheme, count_requests
from lab.journal import StateChange, entries
from lab.lab import Lab
from lab.server import Trouble
from lab.shells import Limits
from tests.lab_machine import ScriptedEngine, ScriptedMachine, no_seed
from tests.waiting import wait_for

CLIENTS = {
    "NTLM over http, encrypted": ("http", "ntlm", {}),
    "NTLM over https": ("https", "ntlm", {}),
    "NTLM over https, encrypted as well": ("https", "ntlm", {"message_encryption": "always"}),
    "NTLM over https without channel binding": ("https", "ntlm", {"send_cbt": False}),
    "Basic over https": ("https", "basic", {}),
}


@pytest.fixture(scope="module")
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture(scope="module")
def lab(engine: ScriptedEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab"), engine.engine(), {"mim01": "mim"}, seed=no_seed) as running:
        yield running


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Callable[[Limits], Lab]]:
    """Makes a lab of its own with other limits."""
    made: list[Lab] = []

    def make(limits: Limits) -> Lab:
        made.append(
            Lab(tmp_path / str(len(made)), ScriptedEngine().engine(), {"mim01": "mim"}, seed=no_seed, limits=limits)
        )
        made[-1].start()
        return made[-1]

    yield make
    for running in made:
        running.stop()


@pytest.fixture
def client(lab: Lab) -> Iterator[Callable[..., Any]]:
    """Makes pywinrm clients of a lab and closes their connections."""
    made: list[Any] = []

    def make(
        scheme: Scheme = "https", transport: str = "ntlm", *, of: Lab = lab, host: str = "mim01", **more: object
    ) -> Any:
        data: dict[str, Any] = dict(of.connection(host, scheme, transport))
        settings: dict[str, Any] = {
            "username": data["winrm_user"],
            "password": data["winrm_password"],
            "ca_trust_path": data["winrm_ca"],
            "proxy": None,
            **more,
        }
        made.append(
            Protocol(f"{scheme}://127.0.0.1:{data['winrm_port']}/wsman", transport=cast(Any, transport), **settings)
        )
        return made[-1]

    yield make
    for one in made:
        one.transport.close_session()


def loop(client: Any) -> tuple[str, str]:
    """A shell with a program in it that answers lines."""
    shell = client.open_shell(codepage=65001)
    return shell, client.run_command(shell, "loop", console_mode_stdin=False)


def call(client: Any, shell: str, command: str, line: bytes) -> bytes:
    client.send_command_input(shell, command, line + b"\n")
    out, err, code, done = client.get_command_output_raw(shell, command)
    assert (err, code, done) == (b"", -1, False)
    return bytes(out)


# -- who may come in --


@pytest.mark.parametrize("kind", CLIENTS.values(), ids=CLIENTS)
def test_pywinrm_runs_commands(client: Callable[..., Any], kind: tuple[Scheme, str, dict[str, object]]) -> None:
    scheme, transport, more = kind
    p = client(scheme, transport, **more)
    shell = p.open_shell(codepage=65001, idle_timeout="PT1800S")
    command = p.run_command(shell, "say", ['"a  b"', "ü"])
    assert p.get_command_output(shell, command) == ("a  b ü".encode(), b"", 0)
    p.cleanup_command(shell, command)
    command = p.run_command(shell, "echo", console_mode_stdin=False)
    for piece in (b"a" * 100_000, b"\r\n\x00\xff", b""):
        p.send_command_input(shell, command, piece, end=not piece)
    assert p.get_command_output(shell, command) == (b"a" * 100_000 + b"\r\n\x00\xff", b"", 0)
    p.close_shell(shell)


@pytest.mark.parametrize(
    "user", ["lab-admin", "CONTOSO\\lab-admin", "contoso\\LAB-ADMIN", "MIM01\\lab-admin", "lab-admin@contoso.com"]
)
@pytest.mark.parametrize("transport", ["ntlm", "basic"])
def test_the_account_may_be_named_as_windows_lets_it(client: Callable[..., Any], user: str, transport: str) -> None:
    p = client("https", transport, username=user)
    p.close_shell(p.open_shell())


@pytest.mark.parametrize("kind", CLIENTS.values(), ids=CLIENTS)
@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"username": "CONTOSO\\nobody"}], ids=["password", "user"])
def test_wrong_credentials_are_refused(
    client: Callable[..., Any], kind: tuple[Scheme, str, dict[str, object]], wrong: dict[str, str]
) -> None:
    with pytest.raises(InvalidCredentialsError):
        client(kind[0], kind[1], **kind[2], **wrong).open_shell()


def test_plain_messages_over_http_are_refused_before_anything_runs(lab: Lab, client: Callable[..., Any]) -> None:
    with pytest.raises(WinRMTransportError) as caught:
        client("http", "ntlm", message_encryption="never").open_shell()
    assert (caught.value.code, caught.value.response_text) == (500, "")
    assert len(lab.served("mim01").shells) == 0


def test_basic_over_http_is_refused_and_not_offered(lab: Lab, client: Callable[..., Any]) -> None:
    with pytest.raises(InvalidCredentialsError):
        client("http", "basic").open_shell()
    assert [challenges(lab, scheme) for scheme in ("http", "https")] == [
        ["Negotiate"],
        ["Negotiate", 'Basic realm="WSMAN"'],
    ]


def test_an_untrusted_authority_is_refused_by_the_client(lab: Lab, client: Callable[..., Any]) -> None:
    with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        client("https", "ntlm", ca_trust_path=certifi.where()).open_shell()


@pytest.mark.parametrize(("send", "fits"), [(True, True), (False, False)])
def test_channel_binding_can_be_demanded(
    small: Callable[[Limits], Lab], client: Callable[..., Any], send: bool, fits: bool
) -> None:
    p = client("https", "ntlm", of=small(Limits(channel_binding="strict")), send_cbt=send)
    if fits:
        p.close_shell(p.open_shell())
    else:
        with pytest.raises(InvalidCredentialsError):
            p.open_shell()


@pytest.mark.parametrize(("right", "status"), [(True, 200), (False, 401)])
def test_a_channel_binding_that_is_sent_must_be_that_of_the_certificate(lab: Lab, right: bool, status: int) -> None:
    data = lab.connection("mim01")
    certificate = lab.served("mim01").certificate if right else b"another"
    ntlm = spnego.client(
        str(data["winrm_user"]),
        str(data["winrm_password"]),
        protocol="ntlm",
        options=spnego.NegotiateOptions.use_ntlm,
        channel_bindings=spnego.channel_bindings.GssChannelBindings(
            application_data=b"tls-server-end-point:" + hashlib.sha256(certificate).digest()
        ),
    )
    connection = connected(lab, "https")

    def ask(token: bytes | None) -> http.client.HTTPResponse:
        header = "Negotiate " + base64.b64encode(ntlm.step(token) or b"").decode()
        connection.request("POST", "/wsman", b"", {"Authorization": header})
        answer = connection.getresponse()
        answer.read()
        return answer

    try:
        challenge = ask(None)
        assert challenge.status == 401
        assert ask(base64.b64decode(challenge.headers["WWW-Authenticate"].removeprefix("Negotiate "))).status == status
    finally:
        connection.close()


def test_a_password_is_in_no_file_but_the_two_that_only_the_owner_reads(lab: Lab, client: Callable[..., Any]) -> None:
    with pytest.raises(InvalidCredentialsError):
        client("https", "basic", password="wr0ng-but-secret").open_shell()
    password = lab.connection("mim01")["winrm_password"]
    found = {
        path.name: oct(path.stat().st_mode & 0o777)
        for path in lab.root.rglob("*")
        if path.is_file()
        and any(secret in path.read_bytes() for secret in (str(password).encode(), b"wr0ng-but-secret"))
    }
    assert found == {"account.json": "0o600", "users": "0o600"}


# -- other clients --


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ssl_on", "more"),
    [
        (True, {"auth": "basic"}),
        (True, {"auth": "negotiate"}),
        (True, {"auth": "ntlm", "encryption": "always"}),
        (False, {"auth": "negotiate"}),
    ],
    ids=["basic", "negotiate", "https and encrypted", "http"],
)
def test_pypsrp_runs_a_command_in_winrs(lab: Lab, ssl_on: bool, more: dict[str, Any]) -> None:
    data: dict[str, Any] = dict(lab.connection("mim01", "https" if ssl_on else "http"))
    connection = pypsrp.wsman.WSMan(
        "127.0.0.1",
        port=data["winrm_port"],
        ssl=ssl_on,
        username=data["winrm_user"],
        password=data["winrm_password"],
        cert_validation=data["winrm_ca"],
        no_proxy=True,
        **more,
    )
    with connection, pypsrp.shell.WinRS(connection, codepage=65001) as shell:
        process = pypsrp.shell.Process(shell, "echo", [])
        process.begin_invoke()
        process.send(b"a\xffb", end=True)
        process.end_invoke()
        done = pypsrp.shell.Process(shell, "fail", ['"a b"', "c"])
        done.invoke()
        silent = pypsrp.shell.Process(shell, "silent")
        silent.begin_invoke()
        if not ssl_on:  # it takes a second, so only once
            silent.poll_invoke(timeout=1)
        silent.signal(pypsrp.shell.SignalCode.CTRL_C)
        silent.end_invoke()
    found = [(one.rc, one.stdout, one.stderr) for one in (process, done, silent)]
    assert found == [(0, b"a\xffb", b""), (3, b"", b"a b c"), (1, b"", b"")]


def test_curl_opens_a_shell_with_basic_over_https(lab: Lab, tmp_path: Path) -> None:
    if (curl := shutil.which("curl")) is None:
        pytest.skip("curl is not installed: no client that shares no Python with the lab was tried")
    data = lab.connection("mim01")
    body, config = tmp_path / "create.xml", tmp_path / "curl.conf"
    body.write_bytes(CREATE)
    settings = {
        "user": f"{data['winrm_user']}:{data['winrm_password']}".replace("\\", "\\\\"),
        "noproxy": "*",
        "cacert": data["winrm_ca"],
        "header": "Content-Type: application/soap+xml;charset=UTF-8",
        "data-binary": f"@{body}",
        "url": f"https://127.0.0.1:{data['winrm_port']}/wsman",
    }
    config.write_text("basic\n" + "".join(f'{name} = "{value}"\n' for name, value in settings.items()))
    done = subprocess.run([curl, "-sS", "--config", str(config)], capture_output=True, check=True)  # noqa: S603 (curl itself)
    assert b"<rsp:ShellId>" in done.stdout
    lab.served("mim01").shells.vanish()


# -- limits --


@pytest.mark.slow
def test_a_silent_command_is_an_operation_timeout(client: Callable[..., Any]) -> None:
    p = client(operation_timeout_sec=1, read_timeout_sec=5)
    shell = p.open_shell()
    with pytest.raises(WinRMOperationTimeoutError):
        p.get_command_output_raw(shell, p.run_command(shell, "silent"))
    p.close_shell(shell)


FAULTS: dict[str, tuple[Limits, Callable[[Any], object], int]] = {
    "too many shells": (Limits(max_shells_per_user=0), lambda p: p.open_shell(), 2150859173),
    "too many operations": (
        Limits(max_operations_per_user=0),
        lambda p: p.run_command(p.open_shell(), "say"),
        2150859174,
    ),
    "a bad idle timeout": (Limits(), lambda p: p.open_shell(idle_timeout=1800), 2150858817),
    "a shell that is not there": (Limits(), lambda p: p.run_command("X", "say"), 2150858843),
}


@pytest.mark.parametrize("case", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_limit_is_the_fault_that_windows_has_for_it(
    small: Callable[[Limits], Lab],
    client: Callable[..., Any],
    scheme: Scheme,
    case: tuple[Limits, Callable[[Any], object], int],
) -> None:
    limits, action, code = case
    with pytest.raises(WSManFaultError) as caught:
        action(client(scheme, of=small(limits)))
    assert (caught.value.code, caught.value.wsman_fault_code) == (500, code)


def test_a_shell_that_is_not_used_ends_by_itself(small: Callable[[Limits], Lab], client: Callable[..., Any]) -> None:
    running = small(Limits(least_idle_timeout_s=0.05))
    p = client(of=running)
    shell = p.open_shell(idle_timeout="PT0.1S")
    wait_for(lambda: not len(running.served("mim01").shells), "the idle shell to end")
    with pytest.raises(WSManFaultError) as caught:
        p.run_command(shell, "say")
    assert caught.value.wsman_fault_code == wsman.SHELL_NOT_FOUND


def test_a_body_over_the_envelope_size_is_413_and_the_next_connection_works(client: Callable[..., Any]) -> None:
    for scheme in ("https", "http"):
        p = client(scheme)
        shell, command = loop(p)
        assert call(p, shell, command, b"x" * 350_000) == b"got 350000\n"
        with pytest.raises(WinRMTransportError) as caught:
            p.send_command_input(shell, command, b"x" * 390_000)
        assert caught.value.code == 413
        p.transport.close_session()
        assert call(p, shell, command, b"x") == b"got 1\n"
        p.close_shell(shell)


def test_an_idle_connection_is_closed_and_an_encrypted_client_must_begin_anew(
    small: Callable[[Limits], Lab], client: Callable[..., Any]
) -> None:
    running = small(Limits(idle_connection_s=0.1))
    p, plain = client("http", of=running), client("https", "basic", of=running)
    shell, command = loop(p)
    other, other_command = loop(plain)
    wait_for(lambda: not running.connections(), "the idle connections to be closed")
    assert call(plain, other, other_command, b"x") == b"got 1\n"
    with pytest.raises(WinRMTransportError) as caught:
        p.send_command_input(shell, command, b"x\n")
    assert caught.value.code == 400
    p.transport.close_session()
    assert call(p, shell, command, b"x") == b"got 1\n"


# -- what is not WinRM --


def connected(lab: Lab, scheme: Scheme) -> http.client.HTTPConnection:
    at = lab.address("mim01")
    if scheme == "http":
        return http.client.HTTPConnection("127.0.0.1", at.http, timeout=10)
    context = ssl.create_default_context(cafile=str(lab.connection("mim01")["winrm_ca"]))
    return http.client.HTTPSConnection("127.0.0.1", at.https, timeout=10, context=context)


def challenges(lab: Lab, scheme: Scheme) -> list[str]:
    connection = connected(lab, scheme)
    try:
        connection.request("POST", "/wsman", b"")
        answer = connection.getresponse()
        answer.read()
        return answer.headers.get_all("WWW-Authenticate") or []
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/wsman", {}, 405),
        ("POST", "/other", {}, 404),
        ("POST", "/wsman", {}, 401),
        ("POST", "/wsman", {"Authorization": "NTLM TlRMTVNTUAABAAAA"}, 401),
        ("POST", "/wsman", {"Authorization": "Negotiate !"}, 401),
        ("POST", "/wsman", {"Authorization": "Basic !"}, 401),
        ("POST", "/wsman", {"Authorization": "Kerberos AAAA"}, 401),
        ("POST", "/wsman", {"Transfer-Encoding": "chunked"}, 411),
        ("POST", "/wsman", {"Content-Length": "-1"}, 400),
    ],
)
def test_other_http_is_answered_with_its_status(
    lab: Lab, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    connection = connected(lab, "https")
    try:
        connection.putrequest(method, path)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status == status
    finally:
        connection.close()


@pytest.mark.parametrize(
    "data", [b"hello\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n"], ids=["words", "TLS"]
)
def test_what_is_no_http_is_400_and_the_end(lab: Lab, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", lab.address("mim01").http), 10) as connection:
        connection.sendall(data)
        answer = b""
        while piece := connection.recv(4096):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 400 ")


# -- trouble --


def test_a_dropped_connection_before_or_after_a_send_is_seen_and_the_shell_lives_on(
    lab: Lab, client: Callable[..., Any]
) -> None:
    seen = {}
    for kind in ("drop-before", "drop-after"):
        p = client("http")
        shell, command = loop(p)
        lab.served("mim01").trouble(Trouble(kind, "Send"))
        with pytest.raises(requests.exceptions.ConnectionError):
            p.send_command_input(shell, command, b"lost?\n")
        p.transport.close_session()
        seen[kind] = call(p, shell, command, b"x")
        p.close_shell(shell)
    assert seen == {"drop-before": b"got 1\n", "drop-after": b"got 5\ngot 1\n"}


def test_a_receive_that_was_pending_when_its_connection_broke_swallows_the_next_output(
    lab: Lab, engine: ScriptedEngine, client: Callable[..., Any]
) -> None:
    p = client("http", operation_timeout_sec=1, read_timeout_sec=5)
    shell, command = loop(p)
    lab.served("mim01").trouble(Trouble("drop-during", "Receive"))
    with pytest.raises(requests.exceptions.ConnectionError):
        p.get_command_output_raw(shell, command)
    p.transport.close_session()
    with pytest.raises(WinRMOperationTimeoutError):
        call(p, shell, command, b"lost")
    assert call(p, shell, command, b"x") == b"got 1\n"
    assert bytes(engine.machines["mim01"].processes[-1].given) == b"lost\nx\n"
    p.close_shell(shell)


def test_trouble_comes_when_it_is_due_and_then_no_more(lab: Lab, client: Callable[..., Any]) -> None:
    p, host = client(), lab.served("mim01")
    shell, command = loop(p)
    host.trouble(Trouble("fault", "Send", wsman.BUSY, skip=1, times=2))
    seen: list[int | bytes | None] = []
    for _ in range(4):
        try:
            seen.append(call(p, shell, command, b"x"))
        except WSManFaultError as error:
            seen.append(error.wsman_fault_code)
    host.trouble(Trouble("status", code=503))
    with pytest.raises(WinRMTransportError) as caught:
        p.close_shell(shell, close_session=False)
    p.close_shell(shell)
    assert (seen, caught.value.code, host.untroubled()) == ([b"got 1\n", 170, 170, b"got 1\n"], 503, True)


def test_a_shell_that_vanished_is_not_found(lab: Lab, client: Callable[..., Any]) -> None:
    p = client()
    shell, command = loop(p)
    lab.served("mim01").shells.vanish()
    with pytest.raises(WSManFaultError) as caught:
        p.send_command_input(shell, command, b"x\n")
    assert caught.value.wsman_fault_code == wsman.SHELL_NOT_FOUND


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_failure_of_the_lab_itself_is_a_fault_and_the_host_serves_on(
    small: Callable[[Limits], Lab], client: Callable[..., Any], caplog: pytest.LogCaptureFixture, scheme: Scheme
) -> None:
    running = small(Limits())
    p, machine = client(scheme, of=running), cast(ScriptedMachine, running.machine("mim01"))
    shell = p.open_shell()

    def code_of(action: Callable[[], object]) -> int | None:
        with pytest.raises(WSManFaultError) as caught:
            action()
        return caught.value.wsman_fault_code

    codes = [code_of(lambda: p.run_command(shell, "break"))]
    machine.broken = True
    codes += [code_of(lambda: p.close_shell(shell)), code_of(p.open_shell)]
    machine.broken = False
    p.close_shell(p.open_shell())
    assert (codes, len(running.served("mim01").shells), caplog.text.count("RuntimeError: the disk is full")) == (
        [1359, 1359, 1359],
        0,
        3,
    )
    failed = [entry for entry in entries(running.root) if entry.shell == shell]
    assert [entry.changes for entry in failed] == [
        (StateChange("snapshot", None, "failed: RuntimeError: the disk is full"),)
    ]


# -- counting, load, the end --


@pytest.mark.parametrize(
    ("scheme", "transport", "opening"), [("http", "ntlm", 5), ("https", "ntlm", 4), ("https", "basic", 2)]
)
def test_requests_are_counted_in_memory_and_in_the_log(
    lab: Lab, client: Callable[..., Any], scheme: Scheme, transport: str, opening: int
) -> None:
    host, (_, since) = lab.served("mim01"), count_requests(lab.root)
    before = host.requests
    p = client(scheme, transport)
    shell, command = loop(p)
    opened = host.requests - before
    for _ in range(10):
        call(p, shell, command, b"x")
    assert (opened, host.requests - before - opened) == (opening, 20)
    assert count_requests(lab.root, since)[0] == {"mim01": opening + 20}
    p.close_shell(shell)


@pytest.mark.slow
def test_fifty_hosts_serve_fifty_clients_at_once_and_leave_nothing_behind(
    tmp_path: Path, client: Callable[..., Any]
) -> None:
    threads = set(threading.enumerate())
    hosts = [f"mim{number:02}" for number in range(50)]
    running = Lab(tmp_path, ScriptedEngine().engine(), dict.fromkeys(hosts, "mim"), seed=no_seed)
    with running:
        clients = [client(of=running, host=host) for host in hosts]

        def work(p: Any) -> Sequence[bytes]:
            shell, command = loop(p)
            found = [call(p, shell, command, b"x" * size) for size in (1, 2, 3)]
            p.close_shell(shell)
            return found

        with ThreadPoolExecutor(25) as pool:
            assert list(pool.map(work, clients)) == [[b"got 1\n", b"got 2\n", b"got 3\n"]] * 50
    assert set(threading.enumerate()) - threads == set()
    assert sorted(entry.host for entry in entries(tmp_path)) == hosts


def test_a_stop_ends_connections_that_wait_for_output(tmp_path: Path, client: Callable[..., Any]) -> None:
    engine, errors = ScriptedEngine(), list[BaseException]()
    with Lab(tmp_path, engine.engine(), {"mim01": "mim"}, seed=no_seed) as running:
        p = client(of=running)
        shell, command = loop(p)
        before = running.served("mim01").requests

        def receive() -> None:
            try:
                p.get_command_output_raw(shell, command)
            except (requests.exceptions.ConnectionError, WSManFaultError) as error:
                errors.append(error)

        thread = threading.Thread(target=receive)
        thread.start()
        wait_for(lambda: running.served("mim01").requests > before, "the Receive to arrive")
    thread.join(10)
    machine = engine.machines["mim01"]
    assert (len(errors), machine.processes[-1].terminated, machine.closed) == (1, True, 1)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", running.address("mim01").https), 10)


def test_a_stop_ends_every_shell_although_the_journal_fails(
    small: Callable[[Limits], Lab], client: Callable[..., Any]
) -> None:
    running = small(Limits())
    p, machine = client(of=running), cast(ScriptedMachine, running.machine("mim01"))
    for _ in range(2):
        loop(p)
    machine.broken = True
    running.stop()
    assert (
        len(running.served("mim01").shells),
        [process.terminated for process in machine.processes],
        machine.closed,
    ) == (0, [True, True], 1)
    assert [change.name for entry in entries(running.root) for change in entry.changes] == ["snapshot", "snapshot"]


CREATE = f"""<s:Envelope xmlns:s="{wsman.SOAP}" xmlns:a="{wsman.ADDRESSING}" xmlns:w="{wsman.WSMAN}" xmlns:rsp="{wsman.SHELL}"><s:Header>\
<a:Action>{wsman.TRANSFER}/Create</a:Action><a:MessageID>uuid:1</a:MessageID><w:ResourceURI>{wsman.CMD}</w:ResourceURI></s:Header><s:Body>\
<rsp:Shell><rsp:InputStreams>stdin</rsp:InputStreams><rsp:OutputStreams>stdout stderr</rsp:OutputStreams></rsp:Shell></s:Body>\
</s:Envelope>""".encode()
