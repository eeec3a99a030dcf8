"""
One running program of a real engine: pipes to its stdin and stdout, a pseudo-terminal as its stderr. Linux only.

Implements lab/engine.py's Process. Knows nothing of wine, shells or hosts: lab/wine.py and lab/samba.py say what is started.

PowerShell says nothing and exits 0 when none of its three streams is a terminal, so stderr is one; what comes out of it is drawn for a
screen, so the drawing is taken out again. One thread a program moves the bytes, so that a full pipe never holds up the server.
"""

from __future__ import annotations

import contextlib
import math
import os
import pty
import re
import select
import selectors
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from typing_extensions import override

from lab.engine import Output, Process

STARTUP: Final = "StartupProfileData-NonInteractive"
MARK: Final = "LAB_PROCESS"  # in the environment of a program and of all that it starts: how its children are found
SHORT_LIVED: Final = {  # .NET settings (the number is hexadecimal): a lab's PowerShell lives for seconds, so that what is compiled a
    "DOTNET_TieredPGO": "0",  # second time, for speed, costs a third of the processor's time and is hardly used
    "DOTNET_TC_CallCountThreshold": "7000",
}
LAST_WORDS_S: Final = 0.5  # how long the output of an ended program is waited for when a child holds it open
DRAWING: Final = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-Z\\^-~]")
UNFINISHED: Final = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|[ -/]*)?\Z")


def keep_no_profile(cache: Path) -> None:
    """
    Keep PowerShell from writing into its cache folder how it started, anew at every start: a run that changes nothing leaves every file as it was.

    A folder stands in the file's place; .NET goes on without, and starts no slower.
    """
    profile = cache / STARTUP
    if not profile.is_dir():
        profile.unlink(missing_ok=True)
        profile.mkdir(parents=True)


class Screen:
    """Takes the drawing (control sequences of a terminal) out of bytes that arrive in pieces."""

    def __init__(self) -> None:
        self._rest = b""

    def text(self, piece: bytes) -> bytes:
        """What the piece says; a sequence that it ends in waits for the next one."""
        data = self._rest + piece
        unfinished = UNFINISHED.search(data)
        self._rest = data[unfinished.start() :] if unfinished else b""
        return DRAWING.sub(b"", data[: len(data) - len(self._rest)])


class LocalProcess(Process):
    """
    A program of this machine.

    + argv: the program and its arguments, as they stand
    + environment: the whole environment; a mark is added
    + cwd: an existing folder

    Raises OSError where it cannot be started.
    """

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], cwd: Path) -> None:
        mark = uuid.uuid4().hex
        their_stdin, self._stdin = os.pipe()
        self._stdout, their_stdout = os.pipe()
        self._terminal, their_stderr = pty.openpty()
        self._woken, self._wake = os.pipe()
        try:
            self._process = subprocess.Popen(
                argv,
                stdin=their_stdin,
                stdout=their_stdout,
                stderr=their_stderr,
                cwd=cwd,
                env={**environment, MARK: mark},
                start_new_session=True,
            )
        except BaseException:
            for handle in (self._stdin, self._stdout, self._terminal, self._woken, self._wake):
                os.close(handle)
            raise
        finally:
            for handle in (their_stdin, their_stdout, their_stderr):
                os.close(handle)
        self._mark = mark
        self._changed = threading.Condition()
        self._read = Output()
        self._exit_code: int | None = None
        self._to_write, self._last_written, self._stdin_open = bytearray(), False, True
        self._screen = Screen()
        self._ended = os.pidfd_open(self.pid)
        self._mover = threading.Thread(target=self._move, name=f"lab process {self.pid}", daemon=True)
        self._mover.start()

    @property
    def pid(self) -> int:
        """Of the program, on this machine."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        with self._changed:
            return self._exit_code is None

    @override
    def write(self, data: bytes, *, end: bool) -> None:
        with self._changed:
            if self._exit_code is None and not self._last_written:
                self._to_write += data
                self._last_written = end
                os.write(self._wake, b".")

    @override
    def read(self, timeout_s: float) -> Output:
        with self._changed:
            self._changed.wait_for(lambda: self._read != Output() or self._exit_code is not None, timeout_s)
            output = replace(self._read, exit_code=self._exit_code)
            self._read = Output()
            return output

    @override
    def terminate(self) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        # A child of a wine program may sit in a session of its own, under init: only the environment still tells whose it is.
        # One that was being started while we looked shows up when we look again.
        while strays := marked(self._mark):
            for pid in strays:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)
        self._mover.join()

    def _move(self) -> None:
        """Carry bytes both ways until the program has ended and its output is drained."""
        os.set_blocking(self._stdin, False)
        deadline = math.inf
        with selectors.DefaultSelector() as selector:
            for handle in (self._stdout, self._terminal, self._woken, self._ended):
                selector.register(handle, selectors.EVENT_READ)
            while self._stdout in selector.get_map() or deadline == math.inf:
                timeout_s = None if deadline == math.inf else deadline - time.monotonic()
                if timeout_s is not None and timeout_s <= 0:
                    break
                for key, _ in selector.select(timeout_s):
                    if key.fd == self._ended:
                        selector.unregister(self._ended)
                        deadline = time.monotonic() + LAST_WORDS_S
                    elif key.fd == self._woken:
                        os.read(self._woken, 4096)
                        self._feed(selector)
                    elif key.fd == self._stdin:
                        self._feed(selector)
                    elif not self._take(key.fd):
                        selector.unregister(key.fd)
            # What was drawn last is still in the terminal when its program has ended.
            while self._terminal in selector.get_map() and select.select([self._terminal], [], [], 0)[0]:
                if not self._take(self._terminal):
                    break
        self._end()

    def _take(self, handle: int) -> bool:
        """Take what the program wrote; False at the end of it."""
        try:
            data = os.read(handle, 1 << 16)
        except OSError:  # a terminal whose last user is gone answers EIO
            data = b""
        with self._changed:
            if handle == self._terminal:
                self._read = replace(self._read, stderr=self._read.stderr + self._screen.text(data))
            else:
                self._read = replace(self._read, stdout=self._read.stdout + data)
            self._changed.notify_all()
        return bool(data)

    def _feed(self, selector: selectors.BaseSelector) -> None:
        """Give stdin as much as it takes now, and come back when it takes more."""
        with self._changed:
            if not self._stdin_open:
                self._to_write.clear()
                return
            waiting = self._stdin in selector.get_map()
            try:
                while self._to_write:
                    del self._to_write[: os.write(self._stdin, self._to_write[: 1 << 16])]
            except BlockingIOError:
                if not waiting:
                    selector.register(self._stdin, selectors.EVENT_WRITE)
                return
            except BrokenPipeError:
                self._to_write.clear()
                self._last_written = True
            if waiting:
                selector.unregister(self._stdin)
            if self._last_written:
                os.close(self._stdin)
                self._stdin_open = False

    def _end(self) -> None:
        code = self._process.wait()
        with self._changed:
            self._exit_code = (
                code if code >= 0 else 1
            )  # killed: Windows says 1 for what TerminateProcess ended that way
            self._to_write.clear()
            for handle in (self._stdout, self._terminal, self._woken, self._wake, self._ended):
                os.close(handle)
            if self._stdin_open:
                os.close(self._stdin)
                self._stdin_open = False
            self._changed.notify_all()


class EndedProcess(Process):
    """A program that could not be started: says why on stderr and has ended with 1."""

    def __init__(self, why: str) -> None:
        self._output = Output(stderr=why.encode())

    @override
    def write(self, data: bytes, *, end: bool) -> None:
        """Nobody reads."""

    @override
    def read(self, timeout_s: float) -> Output:
        output, self._output = self._output, Output()
        return replace(output, exit_code=1)

    @override
    def terminate(self) -> None:
        """It has ended."""


def marked(mark: str) -> tuple[int, ...]:
    """Processes whose environment holds the mark of a program: it and its children. Ended ones have none."""
    sign = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):  # it ended meanwhile, or is another user's
                if sign in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
    return tuple(found)
