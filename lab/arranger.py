"""
The controller's side of lab/data/arranger.ps1: arranges and photographs one Windows machine of the `powershell` engine.

Not the product's verbs: what a snapshot says must not depend on what a verb reports.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from lab.engine import Process

SCRIPT: Final = Path(__file__).parent / "data" / "arranger.ps1"
ANSWER: Final = b"answer "  # begins every line that is one
ANSWER_S: Final = 60  # a service that is started on a busy machine


class ArrangerError(Exception):
    """The machine could not be arranged, or the arranger died: the text says what it said."""


class Arranger:
    """One warm PowerShell of a machine. `start` gets the arguments of PowerShell and starts it."""

    def __init__(self, start: Callable[[tuple[str, ...]], Process]) -> None:
        encoded = base64.b64encode(SCRIPT.read_text().encode("utf-16-le")).decode()
        self._process = start(("-NoLogo", "-NoProfile", "-NonInteractive", "-EncodedCommand", encoded))
        self._lock = threading.Lock()
        self._read = b""

    def call(self, function: str, **parameters: Any) -> Any:
        """Call one function of the script by its parameters; its result as JSON. Raises ArrangerError."""
        request = json.dumps({"do": function, "with": parameters}).encode()
        with self._lock:
            self._process.write(base64.b64encode(request) + b"\n", end=False)
            line = self._line(function)
        answer = json.loads(base64.b64decode(line))
        if not answer["ok"]:
            raise ArrangerError(f"{function}: {answer['why']}")
        return answer["is"]

    def close(self) -> None:
        """
        End it and all that it started, what it locked is free.

        In a wine prefix it started the server of the prefix, too: stop that before, or the registry is lost.
        """
        self._process.terminate()

    def _line(self, function: str) -> bytes:
        said, deadline = b"", time.monotonic() + ANSWER_S
        while True:
            line, end, rest = self._read.partition(b"\n")
            if end:
                self._read = rest
                if line.startswith(ANSWER):
                    return line.removeprefix(ANSWER)
                said += line + end  # PowerShell's own words: of a drive that it could not look at, on a busy machine
                continue
            output = self._process.read(max(0.0, deadline - time.monotonic()))
            self._read += output.stdout
            said += output.stderr
            if b"\n" not in self._read and (output.exit_code is not None or time.monotonic() > deadline):
                why = "no answer" if output.exit_code is None else f"PowerShell ended with {output.exit_code}"
                raise ArrangerError(f"{function}: {why}: {said.decode(errors='replace') or 'it said nothing'}")
