"""
A lab for tools/bench.py, in a process of its own: mim01 on the python engine, which also knows a program that answers each line with itself.

    bench_lab.py ROOT        until SIGTERM
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from typing_extensions import override

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lab.engine import Output, Process
from lab.lab import Lab, serve
from lab.python_engine import PythonEngine, PythonMachine

BARE: Final = "bare-loop.exe"


class Bare(Process):
    """Answers each line with itself."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._out, self._ended = bytearray(), False

    @override
    def write(self, data: bytes, *, end: bool) -> None:
        with self._changed:
            self._out += data
            self._ended = self._ended or end
            self._changed.notify_all()

    @override
    def read(self, timeout_s: float) -> Output:
        with self._changed:
            self._changed.wait_for(lambda: self._out or self._ended, timeout_s)
            output = Output(bytes(self._out), exit_code=0 if self._ended else None)
            self._out.clear()
            return output

    @override
    def terminate(self) -> None:
        self.write(b"", end=True)


class Machine(PythonMachine):
    """A machine that knows it."""

    @override
    def start(self, argv: Sequence[str]) -> Process:
        return Bare() if argv[0] == BARE else super().start(argv)


class Engine(PythonEngine):
    """Makes them."""

    @override
    def machine(self, name: str, role: Literal["dc", "mfa", "mim"]) -> PythonMachine:
        return Machine(self, name, role)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    serve(Lab(folder, Engine(folder / "python"), {"mim01": "mim"}), lambda: None)
