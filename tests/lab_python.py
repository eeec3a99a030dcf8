"""What tests of the python engine share: a question to a verb, and a conversation with a process as a controller has it."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any, Self

from connectors.frames import Frame, FrameReader, new_token, request_line, script_line
from lab import verbs
from lab.engine import Process
from lab.python_engine import PythonEngine, PythonMachine

POWERSHELL = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe"
PATIENCE_S = 20


def new_machine(root: Path, name: str = "mim01", role: Any = "mim") -> PythonMachine:
    """A machine of an engine of its own."""
    return PythonEngine(root).machine(name, role)


def ask(
    machine: PythonMachine, verb: str, *, blob: bytes = b"", session: verbs.Session | None = None, **args: Any
) -> tuple[Any, bytes]:
    """The result of a verb and its bytes; an error fails the test."""
    answer, bytes_ = verbs.call(
        machine, {"verb": verb, "args": args}, session=session or verbs.Session(4711), blob=blob
    )
    assert answer["ok"], answer
    return answer["result"], bytes_


def refused(
    machine: PythonMachine, verb: str, *, blob: bytes = b"", session: verbs.Session | None = None, **args: Any
) -> tuple[str, str, str]:
    """Kind, where and why of the error of a verb; a result fails the test."""
    answer, bytes_ = verbs.call(
        machine, {"verb": verb, "args": args}, session=session or verbs.Session(4711), blob=blob
    )
    assert not answer["ok"], answer
    error = answer["error"]
    assert error["what"] == verb
    assert bytes_ == b""
    return error["kind"], error["where"], error["why"]


def sha256(data: bytes) -> str:
    """In lower-case hex."""
    return hashlib.sha256(data).hexdigest()


def argv(token: str, program: str = POWERSHELL) -> list[str]:
    """The command line of a bootstrap that holds a token."""
    script = f"if ($x) {{ Write-Output '{token} X y' }} $token = '{token}'"
    encoded = base64.b64encode(script.encode("utf-16-le")).decode("ascii")
    return [program, "-NoLogo", "-NoProfile", "-NonInteractive", "-EncodedCommand", encoded]


class Conversation:
    """A process, as the controller of it sees it. Ends it when left."""

    def __init__(self, machine: PythonMachine, *, read_only: bool = False, script: str = "the verbs") -> None:
        self.token = new_token()
        self.process: Process = machine.start(argv(self.token))
        self._reader = FrameReader(self.token)
        self._frames: list[Frame] = []
        self.send(script_line(self.token, script, read_only=read_only))
        self.hello = self.frame()
        self.seq = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()

    def send(self, data: bytes, *, end: bool = False) -> None:
        """Give bytes to it as they stand."""
        self.process.write(data, end=end)

    def line(
        self, verb: str, *, seq: int, secrets: dict[str, str] | None = None, blob: bytes = b"", **args: Any
    ) -> bytes:
        """A request line."""
        return request_line(self.token, seq, {"verb": verb, "args": args}, secrets or {}, blob)

    def frame(self) -> Frame:
        """The next thing that it says."""
        while not self._frames:
            output = self.process.read(PATIENCE_S)
            assert output.stdout, f"said nothing more, exit code {output.exit_code}"
            self._frames += self._reader.feed(output.stdout)
        return self._frames.pop(0)

    def ask(self, verb: str, *, blob: bytes = b"", **args: Any) -> Frame:
        """The answer to the next request."""
        self.seq += 1
        self.send(self.line(verb, seq=self.seq, blob=blob, **args))
        return self.frame()

    def ended(self) -> int:
        """Wait for its end; the exit code."""
        while (output := self.process.read(PATIENCE_S)).exit_code is None:
            assert output.stdout or output.stderr, "it does not end"
        return output.exit_code
