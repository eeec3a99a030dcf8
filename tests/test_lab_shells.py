"""Shells and commands of one host, without a socket: quotas, timeouts, output, and what happens to operations that nobody waits for."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import pytest
import xmltodict
from typing_extensions import override

from lab import wsman
from lab.shells import Limits, Shells, Watcher
from lab.wsman import Command, Create, Delete, Receive, Send, Signal, WsManFaultError
from tests.lab_machine import ScriptedMachine, ScriptedProcess
from tests.waiting import wait_for


@dataclass
class Log(Watcher):
    """Keeps what it is told."""

    lines: list[str] = field(default_factory=list)

    @override
    def opened(self, shell: str) -> None:
        self.lines.append("opened")

    @override
    def closed(self, shell: str) -> None:
        self.lines.append("closed")

    @override
    def command(self, shell: str, line: str, argv: Sequence[str]) -> None:
        self.lines.append(f"command {line[:20]}")

    @override
    def input(self, command: str, data: bytes) -> None:
        self.lines.append(f"input {data!r}")


class World:
    """Shells over a scripted machine, with a clock that a test puts forward by `now` seconds."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.now = 0.0
        self.machine = ScriptedMachine("mim01")
        self.log = Log()
        self.shells = Shells(
            self.machine,
            self.log,
            name="mim01",
            owner="CONTOSO\\admin",
            limits=limits or Limits(),
            clock=lambda: time.monotonic() + self.now,
        )

    def open(self, idle: float | None = None) -> str:
        answer = self.shells.answer(Create("uuid:1", idle_timeout_s=idle))
        return cast(str, xmltodict.parse(answer)["s:Envelope"]["s:Body"]["rsp:Shell"]["rsp:ShellId"])

    def run(self, shell: str, line: str, *, console: bool = False) -> str:
        answer = self.shells.answer(Command("uuid:1", None, None, shell, line=line, console_mode_stdin=console))
        return cast(str, xmltodict.parse(answer)["s:Envelope"]["s:Body"]["rsp:CommandResponse"]["rsp:CommandId"])

    def send(self, shell: str, command: str, data: bytes, *, end: bool = False) -> None:
        self.shells.answer(Send("uuid:1", None, None, shell, command=command, data=data, end=end))

    def receive(self, shell: str, command: str, size: int | None = None, timeout: float = 0.0) -> Received:
        request = Receive("uuid:1", timeout or 1e-9, size, shell, command)
        return Received.of(self.shells.answer(request))

    def process(self) -> ScriptedProcess:
        return self.machine.processes[-1]


@dataclass(frozen=True)
class Received:
    stdout: bytes
    stderr: bytes
    exit_code: int | None

    @classmethod
    def of(cls, answer: bytes) -> Received:
        body = xmltodict.parse(answer, force_list={"rsp:Stream"})["s:Envelope"]["s:Body"]["rsp:ReceiveResponse"]
        found = {"stdout": b"", "stderr": b""}
        for stream in body.get("rsp:Stream", []):
            found[stream["@Name"]] += base64.b64decode(stream.get("#text", ""))
        code = body["rsp:CommandState"].get("rsp:ExitCode")
        return cls(found["stdout"], found["stderr"], None if code is None else int(code))


def code_of(call: Callable[[], object]) -> int:
    """The code of the fault that a call ends in."""
    with pytest.raises(WsManFaultError) as caught:
        call()
    return caught.value.code


def test_a_command_runs_and_its_output_comes_with_its_exit_code() -> None:
    world = World()
    shell = world.open()
    assert world.receive(shell, world.run(shell, 'say "a  b" c')) == Received(b"a  b c", b"", 0)
    assert world.receive(shell, world.run(shell, "fail x")) == Received(b"", b"x", 3)
    assert world.receive(shell, world.run(shell, "nonsense")) == Received(b"", b"'nonsense' is not recognized", 1)


def test_the_line_is_expanded_and_split_before_the_machine_gets_it() -> None:
    world = World()
    world.run(world.open(), r'%SystemRoot%\System32\x.exe -Enc "a b" %Path%')
    assert world.process().argv == [r"C:\windows\System32\x.exe", "-Enc", "a b", "%Path%"]


@pytest.mark.parametrize("length", [8191, 8192])
def test_a_line_over_8191_characters_is_answered_on_stdout_and_nothing_starts(length: int) -> None:
    world = World()
    shell = world.open()
    command = world.run(shell, "say ".ljust(length, "x"))
    found = world.receive(shell, command)
    if length == 8191:
        assert found == Received(b"x" * (length - 4), b"", 0)
    else:
        assert (found, world.machine.processes) == (Received(b"The command line is too long.\r\n", b"", 1), [])


def test_an_empty_line_is_refused() -> None:
    world = World()
    shell = world.open()
    assert code_of(lambda: world.run(shell, " ")) == wsman.SCHEMA


def test_stdin_arrives_and_its_end_too() -> None:
    world = World()
    shell = world.open()
    command = world.run(shell, "echo")
    world.send(shell, command, b"ab")
    world.send(shell, command, b"c\n", end=True)
    assert (bytes(world.process().given), world.process().ended_input) == (b"abc\n", True)
    assert world.receive(shell, command) == Received(b"abc\n", b"", 0)


def test_a_send_to_a_program_that_has_ended_is_swallowed() -> None:
    world = World()
    shell = world.open()
    command = world.run(shell, "say a")
    world.send(shell, command, b"x")
    assert world.receive(shell, command) == Received(b"a", b"", 0)


def test_console_input_loses_what_is_beyond_254_characters_of_a_line() -> None:
    world = World()
    shell = world.open()
    command = world.run(shell, "echo", console=True)
    world.send(shell, command, b"a" * 200)
    world.send(shell, command, b"b" * 200 + b"\r\nc\n")
    assert bytes(world.process().given) == b"a" * 200 + b"b" * 54 + b"\r\nc\n"


def test_a_silent_command_is_an_operation_timeout() -> None:
    world = World()
    shell = world.open()
    command = world.run(shell, "silent")
    assert code_of(lambda: world.receive(shell, command)) == wsman.OPERATION_TIMEOUT


def test_output_is_handed_over_in_envelopes_that_the_client_can_take() -> None:
    world = World()
    shell = world.open()
    command, size = world.run(shell, "flood 30000"), 8192
    pieces: list[Received] = []
    while not pieces or pieces[-1].exit_code is None:
        answer = world.shells.answer(Receive("uuid:1", 1e-9, size, shell, command))
        assert len(answer) <= size
        pieces.append(Received.of(answer))
    assert b"".join(piece.stdout for piece in pieces) == bytes(at % 251 for at in range(30000))
    assert [piece.exit_code for piece in pieces] == [None] * (len(pieces) - 1) + [0]
    assert len(pieces) == 6


def test_the_servers_envelope_limits_a_client_that_takes_more() -> None:
    world = World(Limits(max_envelope_kb=8))
    shell = world.open()
    answer = world.shells.answer(Receive("uuid:1", 1e-9, 153600, shell, world.run(shell, "flood 30000")))
    assert len(answer) <= 8192


def test_an_unknown_shell_or_command_is_not_found() -> None:
    world = World()
    shell = world.open()
    requests = [
        Command("uuid:1", None, None, "X", line="say a"),
        Send("uuid:1", None, None, "X", command="Y"),
        Receive("uuid:1", None, None, "X", command="Y"),
        Signal("uuid:1", None, None, "X", command="Y", code="terminate"),
        Delete("uuid:1", None, None, "X"),
        Receive("uuid:1", None, None, shell, command="Y"),
    ]
    found = [code_of(partial(world.shells.answer, request)) for request in requests]
    assert found == [wsman.SHELL_NOT_FOUND] * 6


def test_more_shells_than_the_user_may_have_are_refused_until_one_is_closed() -> None:
    world = World(Limits(max_shells_per_user=2))
    first, _ = world.open(), world.open()
    assert code_of(world.open) == wsman.MAX_SHELLS
    world.shells.answer(Delete("uuid:1", None, None, first))
    world.open()
    assert len(world.shells) == 2


def test_a_started_command_counts_as_an_operation_until_its_shell_is_deleted() -> None:
    world = World(Limits(max_operations_per_user=2))
    shell = world.open()
    for _ in range(2):
        command = world.run(shell, "say a")
        world.receive(shell, command)
        world.shells.answer(Signal("uuid:1", None, None, shell, command=command, code="terminate"))
    assert code_of(lambda: world.run(shell, "say a")) == wsman.MAX_OPERATIONS
    world.shells.answer(Delete("uuid:1", None, None, shell))
    world.run(world.open(), "say a")


def test_an_idle_timeout_below_the_least_is_refused() -> None:
    world = World()
    assert code_of(lambda: world.open(59)) == wsman.SCHEMA
    world.open(60)


def test_a_shell_that_nobody_asks_ends_after_its_idle_timeout_and_its_program_with_it() -> None:
    world = World()
    shell, other = world.open(100), world.open(1000)
    command = world.run(shell, "silent")
    world.now = 90
    world.send(shell, command, b"x")
    world.now = 189
    world.shells.expire()
    assert len(world.shells) == 2
    world.now = 191
    world.shells.expire()
    assert (len(world.shells), world.process().terminated) == (1, True)
    assert code_of(lambda: world.send(shell, command, b"x")) == wsman.SHELL_NOT_FOUND
    world.run(other, "say a")
    assert world.log.lines.count("closed") == 1


def test_terminate_ends_the_program_and_the_command() -> None:
    world = World()
    shell = world.open()
    command = world.run(shell, "silent")
    world.shells.answer(Signal("uuid:1", None, None, shell, command=command, code="terminate"))
    assert world.process().terminated
    assert code_of(lambda: world.receive(shell, command)) == wsman.SHELL_NOT_FOUND


def test_ctrl_c_ends_the_program_and_its_output_can_still_be_had() -> None:
    world = World()
    shell = world.open()
    command = world.run(shell, "silent")
    world.process().say(b"last words")
    world.shells.answer(Signal("uuid:1", None, None, shell, command=command, code="ctrl_c"))
    assert world.receive(shell, command) == Received(b"last words", b"", 1)


def test_shells_that_vanish_are_told_to_the_watcher() -> None:
    world = World()
    world.run(world.open(), "silent")
    world.open()
    assert world.shells.vanish() == 2
    assert (len(world.shells), world.process().terminated) == (0, True)
    assert world.log.lines == ["opened", "command silent", "opened", "closed", "closed"]


class Waiting:
    """A Receive in a thread of its own."""

    def __init__(self, world: World, shell: str, command: str, timeout: float) -> None:
        self.result: Received | int | None = None

        def receive() -> None:
            try:
                self.result = world.receive(shell, command, timeout=timeout)
            except WsManFaultError as error:
                self.result = error.code

        self.thread = threading.Thread(target=receive)
        self.thread.start()

    def end(self) -> Received | int | None:
        self.thread.join(10)
        return self.result


def test_a_waiting_receive_gets_what_is_said_later() -> None:
    world = World()
    shell = world.open()
    command = world.run(shell, "silent")
    waiting = Waiting(world, shell, command, 10)
    world.process().say(b"now")
    assert waiting.end() == Received(b"now", b"", None)


@pytest.mark.parametrize("how", ["terminate", "delete", "vanish"])
def test_a_waiting_receive_is_aborted_when_its_command_ends_under_it(how: str) -> None:
    world = World()
    shell = world.open()
    command = world.run(shell, "silent")
    waiting = Waiting(world, shell, command, 10)
    wait_for(world.shells._shells[shell].commands[command].reading.locked, "a pending Receive")
    match how:
        case "terminate":
            world.shells.answer(Signal("uuid:1", None, None, shell, command=command, code="terminate"))
        case "delete":
            world.shells.answer(Delete("uuid:1", None, None, shell))
        case _:
            world.shells.vanish()
    assert waiting.end() == wsman.ABORTED


def test_an_older_receive_swallows_the_next_output_and_a_newer_one_times_out_behind_it() -> None:
    world = World()
    shell = world.open()
    command = world.run(shell, "silent")
    older = Waiting(world, shell, command, 10)
    wait_for(world.shells._shells[shell].commands[command].reading.locked, "a pending Receive")
    newer = Waiting(world, shell, command, 0.05)
    assert newer.end() == wsman.OPERATION_TIMEOUT
    world.process().say(b"for the dead")
    assert older.end() == Received(b"for the dead", b"", None)


def test_a_pending_receive_keeps_its_shell() -> None:
    world = World()
    shell = world.open(100)
    command = world.run(shell, "silent")
    waiting = Waiting(world, shell, command, 1000)
    wait_for(world.shells._shells[shell].commands[command].reading.locked, "a pending Receive")
    world.now = 200
    world.shells.expire()
    assert len(world.shells) == 1
    world.process().say(b"x")
    assert waiting.end() == Received(b"x", b"", None)


def test_no_operation_waits_longer_than_the_server_allows() -> None:
    world = World(Limits(max_timeout_s=1e-9))
    shell = world.open()
    command = world.run(shell, "silent")
    assert code_of(lambda: world.receive(shell, command, timeout=3600)) == wsman.OPERATION_TIMEOUT
