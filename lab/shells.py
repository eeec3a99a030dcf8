"""
The shells of one host and the commands in them: quotas, timeouts, output that waits to be asked for. No socket, no SOAP text.

lab/wsman.py reads requests and writes answers, an engine runs the commands, lab/journal.py is told of every shell (Watcher).
Where Windows is not known (facts/winrm.md section 10) the choice is marked as assumed.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

from typing_extensions import override

from lab import commandline, wsman
from lab.engine import Output, Process

ChannelBinding: TypeAlias = Literal["none", "relaxed", "strict"]

CONSOLE_LINE: Final = 254  # characters of a line that cooked console input takes (facts/winrm.md 2)
SLICE_S: Final = 1.0  # a waiting Receive looks this often whether its command still exists


@dataclass(frozen=True)
class Limits:
    """
    What Windows limits (facts/winrm.md 3), so that a test can make it small. Times in seconds.

    + channel_binding: `relaxed` checks the TLS binding of NTLM where a client sends one, `strict` demands it, `none` ignores it
    """

    max_envelope_kb: int = 500
    max_shells_per_user: int = 30
    max_operations_per_user: int = 1500
    max_timeout_s: float = 60.0
    idle_timeout_s: float = 7200.0
    least_idle_timeout_s: float = 60.0
    idle_connection_s: float = 120.0
    channel_binding: ChannelBinding = "relaxed"

    @property
    def max_envelope(self) -> int:
        """Bytes of one HTTP body."""
        return self.max_envelope_kb * 1024


class Runner(Protocol):
    """The one thing that is needed of a machine."""

    def start(self, argv: Sequence[str]) -> Process: ...


class Watcher(Protocol):
    """Is told what happens; returns when it is on disk."""

    def opened(self, shell: str) -> None: ...
    def closed(self, shell: str) -> None: ...
    def command(self, shell: str, line: str, argv: Sequence[str]) -> None: ...
    def input(self, command: str, data: bytes) -> None: ...


class _Said(Process):
    """A command that ended at once with some words: cmd.exe itself."""

    def __init__(self, stdout: bytes, exit_code: int) -> None:
        self._output = Output(stdout=stdout, exit_code=exit_code)

    @override
    def write(self, data: bytes, *, end: bool) -> None: ...

    @override
    def read(self, timeout_s: float) -> Output:
        output, self._output = self._output, Output(exit_code=self._output.exit_code)
        return output

    @override
    def terminate(self) -> None: ...


class _Command:
    """One running command. Only one Receive reads at a time; the others wait for it, even if its client is gone (facts/winrm.md 8.4)."""

    def __init__(self, process: Process, *, console: bool) -> None:
        self.process = process
        self.reading = threading.Lock()
        self.writing = threading.Lock()
        self.gone = False
        self._console = console
        self._column = 0
        self._stdout, self._stderr = bytearray(), bytearray()
        self._exit_code: int | None = None

    def write(self, data: bytes, *, end: bool) -> None:
        with self.writing:
            self.process.write(self._cooked(data) if self._console else data, end=end)

    def _cooked(self, data: bytes) -> bytes:
        """Console input: what a line has beyond its limit never arrives (assumed: that it is dropped, not split)."""
        kept = bytearray()
        for line in data.splitlines(keepends=True):
            text = line.rstrip(b"\r\n")
            kept += text[: max(0, CONSOLE_LINE - self._column)] + line[len(text) :]
            self._column = 0 if len(line) > len(text) else self._column + len(text)
        return bytes(kept)

    def collect(self, wait_s: float, room: int) -> bool:
        """Take what the process wrote, waiting for the first bytes; True when there is something to hand over."""
        while len(self._stdout) + len(self._stderr) < room and self._exit_code is None:
            waited = 0.0 if self._stdout or self._stderr else wait_s
            output = self.process.read(waited)
            self._stdout += output.stdout
            self._stderr += output.stderr
            self._exit_code = output.exit_code
            if not (output.stdout or output.stderr):
                break
        return bool(self._stdout or self._stderr or self._exit_code is not None)

    def take(self, room: int) -> tuple[bytes, bytes, int | None]:
        """The next bytes, at most `room` of both streams; the exit code with the last of them."""
        stdout = bytes(self._stdout[:room])
        stderr = bytes(self._stderr[: room - len(stdout)])
        del self._stdout[: len(stdout)], self._stderr[: len(stderr)]
        return stdout, stderr, None if self._stdout or self._stderr else self._exit_code

    def end(self) -> None:
        self.gone = True
        self.process.terminate()


@dataclass
class _Shell:
    idle_timeout_s: float
    touched: float
    commands: dict[str, _Command]
    started: int = 0  # commands ever: a text shell gives no operation back before it is deleted (facts/winrm.md 3)


class Shells:
    """
    All shells of one host and its one user.

    + runner: starts the commands
    + name: the host, for answers and faults
    + owner: the user, for answers
    + clock: seconds, never going back
    """

    def __init__(
        self,
        runner: Runner,
        watcher: Watcher,
        *,
        name: str,
        owner: str,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._runner, self._watcher = runner, watcher
        self._name, self._owner = name, owner
        self._limits, self._clock = limits, clock
        self._lock = threading.Lock()
        self._shells: dict[str, _Shell] = {}

    def __len__(self) -> int:
        return len(self._shells)

    def answer(self, request: wsman.Request) -> bytes:
        """Do one request; returns the envelope of the answer, may wait as long as its OperationTimeout. Raises WsManFaultError."""
        match request:
            case wsman.Create():
                return self._create(request)
            case wsman.Command():
                return self._command(request)
            case wsman.Send():
                self._find(request.shell, request.command).write(request.data, end=request.end)
                self._watcher.input(request.command, request.data)
                return wsman.sent(request)
            case wsman.Receive():
                return self._receive(request)
            case wsman.Signal():
                return self._signal(request)
            case wsman.Delete():
                self._shell(request.shell)
                if not self._end(request.shell):
                    raise _not_found(request.shell)
                return wsman.deleted(request)
            case _:  # parse() makes no other
                raise wsman.WsManFaultError(wsman.INVALID_ACTION, f"{wsman.action_name(request)} is not served.")

    def expire(self) -> None:
        """End every shell without a request within its idle timeout (assumed: a pending Receive counts as use, a running command does not)."""
        now = self._clock()
        with self._lock:
            idle = [
                name
                for name, shell in self._shells.items()
                if now - shell.touched > shell.idle_timeout_s
                and not any(command.reading.locked() for command in shell.commands.values())
            ]
        for name in idle:
            self._end(name)

    def vanish(self, shell: str = "") -> int:
        """End one shell, or all, as a restart of the service does; clients learn it from their next request. Returns how many there were."""
        with self._lock:
            names = [shell] if shell else list(self._shells)
        return sum(self._end(name) for name in names)

    def _create(self, request: wsman.Create) -> bytes:
        limits, idle = self._limits, request.idle_timeout_s
        if idle is not None and idle < limits.least_idle_timeout_s:
            reason = f"IdleTimeOut is {idle:g} s, expected at least {limits.least_idle_timeout_s:g} s."
            raise wsman.WsManFaultError(wsman.SCHEMA, reason)  # assumed: that it is this code
        name = str(uuid.uuid4()).upper()
        shell = _Shell(limits.idle_timeout_s if idle is None else idle, self._clock(), {})
        with self._lock:
            if len(self._shells) >= limits.max_shells_per_user:
                reason = f"{self._owner} has {len(self._shells)} shells open, MaxShellsPerUser is {limits.max_shells_per_user}."
                raise wsman.WsManFaultError(wsman.MAX_SHELLS, reason)
            self._shells[name] = shell
        try:
            self._watcher.opened(name)
        except BaseException:
            with self._lock:
                self._shells.pop(name, None)
            raise
        shell.touched = self._clock()
        return wsman.created(request, name, shell.idle_timeout_s, self._owner)

    def _command(self, request: wsman.Command) -> bytes:
        self._shell(request.shell)
        # WINRS_SKIP_CMD_SHELL has no effect since Server 2012 R2 (facts/winrm.md 1), so every line goes by cmd.exe.
        if not request.line.strip():
            raise wsman.WsManFaultError(wsman.SCHEMA, "The command line is empty.")
        too_long = len(request.line) > commandline.LIMIT
        argv = [] if too_long else commandline.split(commandline.expand(request.line))
        with self._lock:
            operations = sum(shell.started for shell in self._shells.values())
            if operations >= self._limits.max_operations_per_user:
                reason = f"{self._owner} has started {operations} commands in open shells, MaxConcurrentOperationsPerUser is {operations}."
                raise wsman.WsManFaultError(wsman.MAX_OPERATIONS, reason)
            shell = self._shells.get(request.shell)
            if shell is None:
                raise _not_found(request.shell)
            shell.started += 1
        self._watcher.command(request.shell, request.line, argv)
        process = _Said(commandline.TOO_LONG, 1) if too_long else self._runner.start(argv)
        command, name = _Command(process, console=request.console_mode_stdin), str(uuid.uuid4()).upper()
        with self._lock:
            alive = self._shells.get(request.shell) is shell
            if alive:
                shell.commands[name] = command
        if not alive:
            command.end()
            raise _not_found(request.shell)
        return wsman.started(request, name)

    def _receive(self, request: wsman.Receive) -> bytes:
        command = self._find(request.shell, request.command)
        room = wsman.room(request, min(request.max_envelope or self._limits.max_envelope, self._limits.max_envelope))
        deadline = self._clock() + min(request.timeout_s or self._limits.max_timeout_s, self._limits.max_timeout_s)
        if not command.reading.acquire(timeout=max(0.0, deadline - self._clock())):
            raise _no_output()
        try:
            while not command.collect(min(SLICE_S, max(0.0, deadline - self._clock())), room):
                if command.gone:
                    break
                if self._clock() >= deadline:
                    raise _no_output()
            if command.gone:
                raise wsman.WsManFaultError(wsman.ABORTED, "The command or its shell has been ended.")
            return wsman.received(request, *command.take(room))
        finally:
            command.reading.release()
            self._touch(request.shell)

    def _signal(self, request: wsman.Signal) -> bytes:
        command = self._find(request.shell, request.command)
        if request.code == "terminate":
            with self._lock:
                shell = self._shells.get(request.shell)
                if shell is not None:
                    shell.commands.pop(request.command, None)
            command.end()
        else:
            command.process.terminate()  # assumed: a program does not survive ctrl_c; its output and exit code can still be received
        return wsman.signalled(request)

    def _shell(self, name: str) -> _Shell:
        with self._lock:
            shell = self._shells.get(name)
            if shell is None:
                raise _not_found(name)
            shell.touched = self._clock()
            return shell

    def _find(self, shell: str, name: str) -> _Command:
        command = self._shell(shell).commands.get(name)
        if command is None:
            # Assumed: Windows answers a command that is not there as it answers a shell that is not there.
            raise wsman.WsManFaultError(wsman.SHELL_NOT_FOUND, f"Command {name} is not in shell {shell}.")
        return command

    def _touch(self, name: str) -> None:
        with self._lock:
            if name in self._shells:
                self._shells[name].touched = self._clock()

    def _end(self, name: str) -> bool:
        with self._lock:
            shell = self._shells.pop(name, None)
        if shell is None:
            return False
        for command in shell.commands.values():
            command.end()
        self._watcher.closed(name)
        return True


def _not_found(name: str) -> wsman.WsManFaultError:
    return wsman.WsManFaultError(wsman.SHELL_NOT_FOUND, f"Shell {name} is not open here.")


def _no_output() -> wsman.WsManFaultError:
    return wsman.WsManFaultError(wsman.OPERATION_TIMEOUT, "There was no output within OperationTimeout.")
