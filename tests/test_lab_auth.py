"""Authentication and encryption of one connection, and HTTP and SOAP of any bytes: no socket, whatever a client sends."""

from __future__ import annotations

import base64
import contextlib
import io
import socket
from pathlib import Path
from typing import cast

import pytest
import spnego
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab import wsman
from lab.auth import BASIC, Account, SealError, Session, Verdict, sends_bindings
from lab.http import BadRequestError, HttpRequest, read_request
from lab.watch import script_of

ACCOUNT = Account("lab-admin", "pass-w0rd")


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("users") / "users"
    ACCOUNT.write_users(path, ["mim01"])
    return path


def handshake(
    session: Session, *, protocol: str = "ntlm", password: str = ACCOUNT.password
) -> tuple[spnego.ContextProxy, Verdict]:
    """Log on as a client does; the client's side and the last verdict."""
    client = spnego.client(
        "CONTOSO\\lab-admin",
        password,
        protocol=protocol,
        options=spnego.NegotiateOptions.use_ntlm if protocol == "ntlm" else spnego.NegotiateOptions.use_negotiate,
    )
    token, verdict = client.step(), Verdict(None)
    while token is not None and verdict.user is None:
        verdict = session.check("Negotiate " + base64.b64encode(token).decode())
        answer = verdict.headers[0].removeprefix("Negotiate").strip() if verdict.headers else ""
        token = client.step(base64.b64decode(answer)) if answer and not client.complete else None
    return client, verdict


def encrypted(client: spnego.ContextProxy, data: bytes) -> bytes:
    sealed = client.wrap_winrm(data)
    return (
        b"--Encrypted Boundary\r\n\tContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n"
        b"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length="
        + str(len(data)).encode()
        + b"\r\n--Encrypted Boundary\r\n\tContent-Type: application/octet-stream\r\n"
        + len(sealed.header).to_bytes(4, "little")
        + sealed.header
        + sealed.data
        + b"--Encrypted Boundary--\r\n"
    )


def decrypted(client: spnego.ContextProxy, body: bytes) -> bytes:
    data = body.split(b"application/octet-stream\r\n", 1)[1].removesuffix(b"--Encrypted Boundary--\r\n")
    length = int.from_bytes(data[:4], "little")
    return client.unwrap_winrm(data[4 : 4 + length], data[4 + length :])


@pytest.mark.parametrize("protocol", ["ntlm", "negotiate"])
def test_ntlm_logs_on_bare_and_within_spnego(users: Path, protocol: str) -> None:
    session = Session(ACCOUNT, users, None, "relaxed")
    assert session.check(None) == Verdict(None, ("Negotiate",))
    client, verdict = handshake(session, protocol=protocol)
    assert verdict.user == "CONTOSO\\lab-admin"
    assert session.check(None) == Verdict("CONTOSO\\lab-admin")
    assert decrypted(client, session.seal(b"<a/>")) == b"<a/>"


def test_a_failed_logon_can_be_tried_again_on_the_same_connection(users: Path) -> None:
    session = Session(ACCOUNT, users, None, "relaxed")
    assert handshake(session, password="wrong")[1] == Verdict(None, ("Negotiate",))
    assert session.check(None) == Verdict(None, ("Negotiate",))
    assert handshake(session)[1].user == "CONTOSO\\lab-admin"


def test_two_labs_in_one_process_have_accounts_of_their_own(users: Path, tmp_path: Path) -> None:
    other = Account("lab-admin", "another")
    other.write_users(tmp_path / "users", [])
    sessions = [Session(ACCOUNT, users, None, "none"), Session(other, tmp_path / "users", None, "none")]
    found = [
        [handshake(session, password=password)[1].user for password in ("pass-w0rd", "another")] for session in sessions
    ]
    assert found == [["CONTOSO\\lab-admin", None], [None, "CONTOSO\\lab-admin"]]


def test_basic_is_known_only_over_tls(users: Path) -> None:
    header = "Basic " + base64.b64encode(b"lab-admin:pass-w0rd").decode()
    assert Session(ACCOUNT, users, None, "none").check(header) == Verdict(None, ("Negotiate",))
    tls = Session(ACCOUNT, users, b"certificate", "none")
    assert tls.check(header) == Verdict("lab-admin")
    assert tls.check(None) == Verdict(None, ("Negotiate", BASIC))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4))
def test_messages_come_through_encryption_byte_for_byte_in_both_directions(users: Path, messages: list[bytes]) -> None:
    session = Session(ACCOUNT, users, None, "relaxed")
    client, _ = handshake(session)
    for message in messages:
        assert session.unseal(encrypted(client, message)) == message
        assert decrypted(client, session.seal(message)) == message


@settings(max_examples=25)
@given(st.data())
def test_an_encrypted_message_that_was_changed_anywhere_in_its_data_is_refused(
    users: Path, data: st.DataObject
) -> None:
    session = Session(ACCOUNT, users, None, "relaxed")
    client, _ = handshake(session)
    body = bytearray(encrypted(client, b"<a>" + b"x" * 50 + b"</a>"))
    start = body.index(b"octet-stream\r\n") + len(b"octet-stream\r\n")
    at = data.draw(st.integers(start, len(body) - 28))
    body[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealError):
        session.unseal(bytes(body))


@settings(max_examples=40)
@given(st.binary(max_size=100), st.integers(3, 300))
def test_what_is_no_encrypted_message_of_the_connection_is_refused(users: Path, junk: bytes, missing: int) -> None:
    session = Session(ACCOUNT, users, None, "relaxed")
    with pytest.raises(SealError):
        session.unseal(junk)
    client, _ = handshake(session)
    for body in (junk, encrypted(client, b"x" * 100)[:-missing]):
        with pytest.raises(SealError):
            session.unseal(body)


@given(st.binary(max_size=200))
def test_any_token_is_judged_without_an_error(users: Path, token: bytes) -> None:
    session = Session(ACCOUNT, users, b"certificate", "relaxed")
    for data in (token, b"NTLMSSP\x00\x01\x00\x00\x00" + token, b"NTLMSSP\x00\x03\x00\x00\x00" + token):
        assert session.check("Negotiate " + base64.b64encode(data).decode()).user is None
        sends_bindings(data)


@given(st.text(max_size=60))
def test_any_authorization_header_is_judged_without_an_error(users: Path, header: str) -> None:
    session = Session(ACCOUNT, users, b"certificate", "relaxed")
    assert [session.check(f"{scheme}{header}").user for scheme in ("", "Basic ", "Negotiate ")] == [None, None, None]


# -- HTTP, SOAP and frames of any bytes --

NOBODY = cast(socket.socket, None)  # only `Expect: 100-continue` writes to it


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_any_bytes_are_a_request_or_a_refusal(head: bytes, body: bytes) -> None:
    for data in (head, b"POST /wsman HTTP/1.1\r\n" + head + b"\r\n\r\n" + body):
        with contextlib.suppress(BadRequestError):
            found = read_request(io.BytesIO(data), NOBODY)
            assert found is None or found.method


@given(st.binary(max_size=200), st.integers(0, 300))
def test_a_request_is_read_whole_or_not_at_all(body: bytes, cut: int) -> None:
    data = b"POST /wsman HTTP/1.1\r\nHost: x\r\nContent-Type: a;b\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    whole = HttpRequest("POST", "/wsman", {"host": "x", "content-type": "a;b", "content-length": str(len(body))}, body)
    file = io.BytesIO(data * 2)
    assert [read_request(file, NOBODY), read_request(file, NOBODY), read_request(file, NOBODY)] == [whole, whole, None]
    try:
        found = read_request(io.BytesIO(data[:cut]), NOBODY)
    except BadRequestError:
        assert cut < len(data)
    else:
        assert found == (whole if cut >= len(data) else None)


@given(st.binary(max_size=200))
def test_any_body_is_a_request_or_a_fault(body: bytes) -> None:
    with pytest.raises(wsman.WsManFaultError):
        wsman.parse(body)


@given(st.text(min_size=1, max_size=100), st.sampled_from(["write", "read"]))
def test_the_script_of_a_first_line_is_found(text: str, mode: str) -> None:
    script = base64.b64encode(text.encode()).decode()
    assert script_of(f"0123456789abcdef S {len(script)} {'0' * 64} {mode} {script}\r\n".encode()) == text


@given(st.binary(max_size=100))
def test_any_other_first_line_has_no_script(line: bytes) -> None:
    assert script_of(b"0123456789abcdef R 1 " + line) is None
