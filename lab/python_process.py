"""
A PowerShell of the python engine: understands the one command line that a controller sends, speaks the wire on its pipes, runs the verbs.

What lines look like is in frames.py, what verbs do in verbs.py. Any other program or script is told that there is no PowerShell here.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from typing_extensions import override

from lab import frames, verbs
from lab.engine import Output, Process
from lab.windows import EDITION, POWERSHELL

if TYPE_CHECKING:
    from lab.python_engine import PythonMachine

SORRY: Final = b"this lab host has no PowerShell: LAB_ENGINE=powershell has\r\n"
IDLE_S: Final = 900  # docs/verbs.md, Wire: no input for 15 minutes ends the process
TERMINATED: Final = 1  # exit code of a process that was ended
TOKEN: Final = re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{16}(?![0-9A-Za-z])")
PROGRAM: Final = re.compile(r"(?:.*[\\/])?powershell(?:\.exe)?", re.IGNORECASE)
ENCODED: Final = "encodedcommand"


def token_of(argv: Sequence[str]) -> str | None:
    """The token of the bootstrap that a command line starts, None where it starts anything else."""
    if not argv or not PROGRAM.fullmatch(argv[0]):
        return None
    for option, value in pairwise(argv[1:]):
        name = option[1:].lower()
        # PowerShell takes any beginning of the name, and `ec` (about_PowerShell_exe).
        if option[:1] in "-/" and name and (ENCODED.startswith(name) or name == "ec"):
            try:
                text = base64.b64decode(value, validate=True).decode("utf-16-le")
            except (binascii.Error, ValueError):
                return None
            found = TOKEN.search(text)
            return found[0] if found else None
    return None


class PythonProcess(Process):
    """
    One running command of a machine. Its work is done by a thread of its own, so that who writes to it never waits for a verb.

    + idle_s: how long it lives without input
    """

    def __init__(self, machine: PythonMachine, argv: Sequence[str], *, idle_s: float = IDLE_S) -> None:
        self._machine, self._idle_s = machine, idle_s
        self._changed = threading.Condition()
        self._lines, self._input, self._ended = frames.Lines(), list[bytes](), False
        self._stdout, self._stderr = bytearray(), bytearray()
        self._exit: int | None = None
        self._token = token_of(argv)
        if self._token is None:
            self._stderr += SORRY
            self._exit = 1
            return
        self._session = verbs.Session(machine.new_pid())
        self._thread = threading.Thread(
            target=self._run, args=[self._token], name=f"{machine.name} {self._session.pid}", daemon=True
        )
        self._thread.start()

    # -- who started it --

    @override
    def write(self, data: bytes, *, end: bool) -> None:
        with self._changed:
            if self._exit is None and not self._ended:
                self._input += self._lines.feed(data)
                if end:
                    self._input += self._lines.end()
                    self._ended = True
                self._changed.notify_all()

    @override
    def read(self, timeout_s: float) -> Output:
        with self._changed:
            self._changed.wait_for(lambda: self._stdout or self._stderr or self._exit is not None, timeout_s)
            output = Output(bytes(self._stdout), bytes(self._stderr), self._exit)
            self._stdout.clear()
            self._stderr.clear()
            return output

    @override
    def terminate(self) -> None:
        self._end(TERMINATED)
        # When this returns nothing of it changes the machine any more: a snapshot may follow.
        if self._token is not None and self._thread is not threading.current_thread():
            self._session.ended.set()
            self._thread.join()

    # -- the far end --

    def _run(self, token: str) -> None:
        code = TERMINATED
        try:
            code = self._talk(token)
        finally:
            # A lab that was reset meanwhile has nothing left to clean up.
            with contextlib.suppress(FileNotFoundError), self._machine.exclusive():
                self._session.close()
            self._end(code)

    def _talk(self, token: str) -> int:
        """Read the script line, say hello, answer requests until the input ends; the exit code."""
        script, hello, cached, last = None, b"", b"", 0
        while (line := self._next()) is not None:
            fields = frames.fields_of(line, token)
            if fields is None:
                continue
            try:
                if script is None or fields[0] == "S":
                    again = frames.parse_script(fields)
                    if script not in (None, again):
                        raise frames.FrameError("another script runs already")
                    script = again
                    self._session.read_only = script.mode == "read"
                    hello = self._hello(token, script)
                    self._say(hello)
                    continue
                request = frames.parse_request(fields, last)
            except frames.ScriptError as error:
                if script is None:
                    self._say(frames.cannot_line(token, str(error)))
                    return 1
                self._say(frames.refused_line(token, str(error)))
                continue
            except frames.FrameError as error:
                self._say(frames.refused_line(token, str(error)))
                continue
            if request is not None:
                answer, blob = verbs.call(
                    self._machine, request.body, session=self._session, secrets=request.secrets, blob=request.blob
                )
                last = request.seq
                cached = frames.answer_line(token, last, answer, blob)
            self._say(cached)
        return 0

    def _hello(self, token: str, script: frames.Script) -> bytes:
        return frames.hello_line(
            token,
            {
                "powershell": POWERSHELL,
                "edition": EDITION,
                "is64": True,
                "pid": self._session.pid,
                "sha256": script.sha256,
                "mode": script.mode,
            },
        )

    def _next(self) -> bytes | None:
        """The next line; None when the input ended, nothing came for too long, or the process was ended."""
        deadline = time.monotonic() + self._idle_s
        with self._changed:
            while not self._input:
                left = deadline - time.monotonic()
                if self._ended or self._exit is not None or left <= 0:
                    return None
                self._changed.wait(left)
            return None if self._exit is not None else self._input.pop(0)

    def _say(self, line: bytes) -> None:
        with self._changed:
            if self._exit is None:
                self._stdout += line
                self._changed.notify_all()

    def _end(self, code: int) -> None:
        with self._changed:
            if self._exit is None:
                self._exit = code
                self._changed.notify_all()
