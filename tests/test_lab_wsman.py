"""The lab's SOAP: what it reads in requests of real clients, what it answers, what it refuses."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

import pytest
import xmltodict
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from winrm.protocol import Protocol

from lab import wsman
from lab.wsman import Command, Create, Delete, Receive, Send, Signal, WsManFaultError, parse, parse_duration

SHELL = "11111111-1111-1111-1111-111111111111"
COMMAND = "22222222-2222-2222-2222-222222222222"


class _Recorder(Protocol):
    """pywinrm that keeps the envelope it would send."""

    def __init__(self) -> None:
        super().__init__(
            "https://nowhere/wsman", transport="basic", username="u", password="p", operation_timeout_sec=7
        )
        self.sent = b""

    def send_message(self, message: str) -> bytes:
        self.sent = message.encode()
        raise _SentError


class _SentError(Exception):
    pass


def envelope(call: Callable[[Any], object]) -> bytes:
    """What pywinrm sends for a call."""
    recorder = _Recorder()
    with pytest.raises(_SentError):
        call(recorder)
    return recorder.sent


def plain(request: wsman.Request) -> dict[str, object]:
    """Its fields without what every request of pywinrm has."""
    fields = dict(vars(request))
    uuid.UUID(str(fields.pop("message_id")).removeprefix("uuid:"))
    assert fields.pop("timeout_s") == 7.0
    assert fields.pop("max_envelope") == 153600
    return fields


def test_a_create_of_pywinrm_is_read() -> None:
    found = parse(
        envelope(
            lambda p: p.open_shell(
                codepage=65001, idle_timeout="PT1800S", env_vars={"A": "b c"}, working_directory="C:\\x"
            )
        )
    )
    assert type(found) is Create
    assert plain(found) == {
        "shell": "",
        "idle_timeout_s": 1800.0,
        "codepage": 65001,
        "working_directory": "C:\\x",
        "environment": {"A": "b c"},
    }


@pytest.mark.parametrize("console", [True, False])
def test_a_command_of_pywinrm_is_read_and_its_line_is_not_changed(console: bool) -> None:
    found = parse(
        envelope(
            lambda p: p.run_command(
                SHELL, '  "C:\\a b\\x.exe"', ["-e", "x  y", "%A% & <é>"], console_mode_stdin=console
            )
        )
    )
    assert type(found) is Command
    assert plain(found) == {
        "shell": SHELL,
        "line": '  "C:\\a b\\x.exe" -e x  y %A% & <é>',
        "console_mode_stdin": console,
        "skip_cmd_shell": False,
    }


@settings(max_examples=25)
@given(st.binary(max_size=200), st.booleans())
def test_what_pywinrm_sends_to_stdin_arrives_byte_for_byte(data: bytes, end: bool) -> None:
    found = parse(envelope(lambda p: p.send_command_input(SHELL, COMMAND, data, end)))
    assert type(found) is Send
    assert plain(found) == {"shell": SHELL, "command": COMMAND, "data": data, "end": end}


def test_receive_signal_and_delete_of_pywinrm_are_read() -> None:
    found = [
        parse(envelope(lambda p: p.get_command_output_raw(SHELL, COMMAND))),
        parse(envelope(lambda p: p.cleanup_command(SHELL, COMMAND))),
        parse(envelope(lambda p: p.close_shell(SHELL))),
    ]
    assert [(type(one), plain(one)) for one in found] == [
        (Receive, {"shell": SHELL, "command": COMMAND}),
        (Signal, {"shell": SHELL, "command": COMMAND, "code": "terminate"}),
        (Delete, {"shell": SHELL}),
    ]


def changed(old: str, new: str, call: Callable[[Any], object]) -> bytes:
    text = envelope(call).decode()
    assert old in text
    return text.replace(old, new).encode()


REFUSED = {
    "no XML": (b"hello", wsman.SCHEMA),
    "an empty document": (b" ", wsman.SCHEMA),
    "another root element": (b"<a/>", wsman.SCHEMA),
    "a DTD": (b"<!DOCTYPE s:Envelope [<!ENTITY a 'b'>]>" + envelope(lambda p: p.close_shell(SHELL))[39:], wsman.SCHEMA),
    "an action that is not of shells": (
        changed("transfer/Delete", "transfer/Put", lambda p: p.close_shell(SHELL)),
        wsman.INVALID_ACTION,
    ),
    "PowerShell remoting": (
        changed("shell/cmd", "shell/Microsoft.PowerShell", lambda p: p.open_shell()),
        wsman.RESOURCE_NOT_FOUND,
    ),
    "no shell": (envelope(lambda p: p.close_shell("")), wsman.SHELL_NOT_FOUND),
    "an envelope that is too small": (changed("153600", "8191", lambda p: p.open_shell()), wsman.ENVELOPE_TOO_SMALL),
    "an envelope size in words": (changed("153600", "many", lambda p: p.open_shell()), wsman.SCHEMA),
    "an idle timeout as a number": (envelope(lambda p: p.open_shell(idle_timeout=1800)), wsman.SCHEMA),
    "an operation timeout as a number": (changed("PT7S", "7", lambda p: p.open_shell()), wsman.SCHEMA),
    "a code page in words": (changed(">437<", ">utf8<", lambda p: p.open_shell()), wsman.SCHEMA),
    "stdin that is not base64": (
        changed(base64.b64encode(b"abc").decode(), "Y?Jj", lambda p: p.send_command_input(SHELL, COMMAND, b"abc")),
        wsman.SCHEMA,
    ),
    "another stream": (
        changed("stdout stderr", "stdout pr", lambda p: p.get_command_output_raw(SHELL, COMMAND)),
        wsman.SCHEMA,
    ),
    "an unknown signal": (
        changed("signal/terminate", "signal/hup", lambda p: p.cleanup_command(SHELL, COMMAND)),
        wsman.SCHEMA,
    ),
    "no command": (changed(f'CommandId="{COMMAND}"', "", lambda p: p.cleanup_command(SHELL, COMMAND)), wsman.SCHEMA),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_a_request_that_cannot_be_served_is_a_fault(case: tuple[bytes, int]) -> None:
    with pytest.raises(WsManFaultError) as caught:
        parse(case[0])
    assert caught.value.code == case[1]


def test_durations_are_seconds() -> None:
    texts = ["PT0S", "PT60S", "PT20.5S", "PT1M", "PT1H1M1S", "P1D", "P0DT0H30M0S", " PT5S "]
    assert [parse_duration(text) for text in texts] == [0, 60, 20.5, 60, 3661, 86400, 1800, 5]


@pytest.mark.parametrize("text", ["", "P", "PT", "1800", "T5S", "PT5", "P5S", "PT1S5M", "-PT5S", "PT\u0665S", "P1DT"])
def test_what_is_no_duration_is_a_schema_fault(text: str) -> None:
    with pytest.raises(WsManFaultError) as caught:
        parse_duration(text)
    assert caught.value.code == wsman.SCHEMA


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_a_duration_is_the_sum_of_its_parts(days: int, hours: int, minutes: int, seconds: int) -> None:
    found = parse_duration(f"P{days}DT{hours}H{minutes}M{seconds}S")
    assert found == ((days * 24 + hours) * 60 + minutes) * 60 + seconds


@given(st.binary(max_size=300), st.binary(max_size=300), st.none() | st.integers(-(1 << 31), (1 << 31) - 1))
def test_output_comes_back_byte_for_byte_and_fits_the_room(stdout: bytes, stderr: bytes, code: int | None) -> None:
    request = Receive("uuid:1", 1.0, None, SHELL, COMMAND)
    answer = wsman.received(request, stdout, stderr, code)
    body = xmltodict.parse(answer)["s:Envelope"]["s:Body"]["rsp:ReceiveResponse"]
    streams = body.get("rsp:Stream", [])
    found = {"stdout": b"", "stderr": b""}
    for stream in streams if isinstance(streams, list) else [streams]:
        found[stream["@Name"]] += base64.b64decode(stream.get("#text", ""))
    assert found == {"stdout": stdout, "stderr": stderr}
    assert body["rsp:CommandState"].get("rsp:ExitCode") == (None if code is None else str(code))
    assert body["rsp:CommandState"]["@State"].endswith("/Running" if code is None else "/Done")


@given(st.integers(8192, 50_000), st.floats(0, 1))
def test_an_answer_that_fills_its_room_is_not_larger_than_the_envelope(size: int, share: float) -> None:
    request = Receive("uuid:1", 1.0, None, SHELL, COMMAND)
    room = wsman.room(request, size)
    first = int(room * share)
    answer = wsman.received(request, b"x" * first, b"y" * (room - first), -(1 << 31))
    assert size - 128 <= len(answer) <= size  # a stream that has nothing is left out


@given(st.text(max_size=50), st.text(max_size=50))
def test_a_fault_is_well_formed_whatever_it_says(reason: str, message_id: str) -> None:
    request = Delete(message_id, None, None, SHELL)
    root = etree.fromstring(wsman.fault(request, WsManFaultError(wsman.BUSY, reason), "mim01"))
    detail = root.find(f".//{{{wsman.WSMAN_FAULT}}}WSManFault")
    assert detail is not None
    assert (detail.get("Code"), detail.get("Machine")) == ("170", "mim01")


def test_a_fault_says_its_code_and_what_it_answers() -> None:
    answer = wsman.fault(
        Delete("uuid:7", None, None, SHELL), WsManFaultError(wsman.SHELL_NOT_FOUND, "a < b"), "mim01"
    ).decode()
    assert "<s:Value>s:Sender</s:Value><s:Subcode><s:Value>w:InvalidSelectors</s:Value>" in answer
    assert f'<s:Text xml:lang="en-US">{escape("a < b")}</s:Text>' in answer
    assert "<a:RelatesTo>uuid:7</a:RelatesTo>" in answer
