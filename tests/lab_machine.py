"""A machine for tests of the lab's WinRM: programs that answer at once, and a state that they can change. No threads, no files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, cast

from typing_extensions import override

from lab.engine import Engine, Machine, Output, Process


class ScriptedProcess(Process):
    """A program: `react` gets each piece of stdin; a test may let it say more, or end it."""

    def __init__(self, argv: Sequence[str], react: Callable[[ScriptedProcess, bytes], None] | None = None) -> None:
        self.argv = list(argv)
        self.given = bytearray()
        self.ended_input = False
        self.terminated = False
        self._react = react
        self._changed = threading.Condition()
        self._stdout, self._stderr = b"", b""
        self._exit_code: int | None = None

    def say(self, stdout: bytes = b"", stderr: bytes = b"", exit_code: int | None = None) -> None:
        with self._changed:
            self._stdout += stdout
            self._stderr += stderr
            self._exit_code = exit_code if self._exit_code is None else self._exit_code
            self._changed.notify_all()

    @override
    def write(self, data: bytes, *, end: bool) -> None:
        self.given += data
        self.ended_input = self.ended_input or end
        if self._react is not None:
            self._react(self, data)
        if end:
            self.say(exit_code=0)

    @override
    def read(self, timeout_s: float) -> Output:
        with self._changed:
            self._changed.wait_for(lambda: self._stdout or self._stderr or self._exit_code is not None, timeout_s)
            output = Output(self._stdout, self._stderr, self._exit_code)
            self._stdout, self._stderr = b"", b""
            return output

    @override
    def terminate(self) -> None:
        self.terminated = True
        self.say(exit_code=1)


class ScriptedMachine:
    """
    Programs: `echo` gives stdin back, `loop` answers a line with `got N`, `say WORD...`, `fail WORD...` (stderr, 3), `flood N` (N bytes), `silent`,
    `set NAME VALUE` and `unset NAME` change the state, `break` raises. Any other is not recognized. `broken`: snapshots raise.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.opened, self.closed = 0, 0
        self.state: dict[str, str] = {}
        self.broken = False
        self.processes: list[ScriptedProcess] = []

    def open(self) -> None:
        self.opened += 1

    def close(self) -> None:
        self.closed += 1

    def snapshot(self) -> Mapping[str, str]:
        if self.broken:
            raise RuntimeError("the disk is full")
        return dict(self.state)

    def start(self, argv: Sequence[str]) -> Process:
        process = ScriptedProcess(argv, {"echo": _echo, "loop": _loop}.get(argv[0]))
        self.processes.append(process)
        match list(argv):
            case ["break"]:
                raise RuntimeError("the disk is full")
            case ["echo" | "loop" | "silent"]:
                pass
            case ["say", *words]:
                process.say(" ".join(words).encode(), exit_code=0)
            case ["fail", *words]:
                process.say(stderr=" ".join(words).encode(), exit_code=3)
            case ["flood", count]:
                process.say(bytes(at % 251 for at in range(int(count))), exit_code=0)
            case ["set", name, value]:
                self.state[name] = value
                process.say(exit_code=0)
            case ["unset", name]:
                self.state.pop(name, None)
                process.say(exit_code=0)
            case _:
                process.say(stderr=f"'{argv[0]}' is not recognized".encode(), exit_code=1)
        return process


class ScriptedEngine:
    """Makes ScriptedMachines and keeps them."""

    name: Literal["python", "powershell"] = "python"

    def __init__(self) -> None:
        self.machines: dict[str, ScriptedMachine] = {}
        self.roles: dict[str, str] = {}

    def machine(self, name: str, role: str) -> Machine:
        self.roles[name] = role
        return cast(Machine, self.machines.setdefault(name, ScriptedMachine(name)))

    def engine(self) -> Engine:
        return cast(Engine, self)


def no_seed(machine: Machine, role: str, mim_build: str | None) -> None:
    """Arranges nothing."""


def _echo(process: ScriptedProcess, data: bytes) -> None:
    process.say(data)


def _loop(process: ScriptedProcess, data: bytes) -> None:
    for line in data.splitlines():
        process.say(f"got {len(line)}\n".encode())
