"""
Watches one host: snapshots around its shells for the journal, and a record of what a Windows host would log.

The record, `commands.log`, holds what Windows writes down by policy: command lines (event 4688) and script text (4104), the latter from
`-EncodedCommand` and from the first line of the controller's frames (docs/verbs.md, Wire). Requests are data, Windows logs none of them, and
neither does this; the test that searches secrets reads this file.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from typing_extensions import override

from lab import commandline
from lab.journal import Journal, StateChange, difference
from lab.shells import Watcher

FILE: Final = "commands.log"
LONGEST_FIRST_LINE: Final = 4 << 20  # bytes of a first line that are kept to find a script in it


class Snapshots(Protocol):
    """The one thing that is needed of a machine."""

    def snapshot(self) -> Mapping[str, str]: ...


class Record:
    """Appends to `commands.log` of a lab; a script text stands there once, afterwards its hash."""

    def __init__(self, root: Path) -> None:
        self._path = root / FILE
        self._lock = threading.Lock()
        self._seen: set[str] = set()

    def command(self, host: str, line: str, script: str | None) -> None:
        self._write(host, "command", line)
        if script is not None:
            self.script(host, script)

    def script(self, host: str, text: str) -> None:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        with self._lock:
            if not self._path.exists():
                self._seen.clear()
            known = digest in self._seen
            self._seen.add(digest)
        self._write(host, "script", f"sha256 {digest}" if known else f"sha256 {digest}\n{text}")

    def _write(self, host: str, what: str, text: str) -> None:
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._lock, self._path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{stamp} {host} {what} {text}\n")


class HostWatcher(Watcher):
    """
    The watcher of one host.

    Shells may overlap. What is compared with is the snapshot when the first of them opened, or when the last line was written, so a change
    is in one line only: that of the shell that ended first after it. Changes made while no shell is open (by a test that arranges) are in none.
    """

    def __init__(self, host: str, machine: Snapshots, journal: Journal, record: Record) -> None:
        self._host, self._machine, self._journal, self._record = host, machine, journal, record
        self._lock = threading.Lock()  # held while a snapshot is taken, which may be long
        self._input_lock = threading.Lock()
        self._open = 0
        self._before: Mapping[str, str] = {}
        self._first_lines: dict[str, bytearray | None] = {}

    @override
    def opened(self, shell: str) -> None:
        with self._lock:
            if not self._open:
                self._before = self._machine.snapshot()
            self._open += 1

    @override
    def closed(self, shell: str) -> None:
        with self._lock:
            self._open -= 1
            try:
                after = self._machine.snapshot()
            except Exception as error:
                # Nobody may take it for "nothing changed".
                failure = StateChange("snapshot", None, f"failed: {type(error).__name__}: {error}")
                self._journal.append(self._host, shell, (failure,))
                raise
            self._journal.append(self._host, shell, difference(self._before, after))
            self._before = after
            last = not self._open
        if last:
            with self._input_lock:
                self._first_lines.clear()

    @override
    def command(self, shell: str, line: str, argv: Sequence[str]) -> None:
        self._record.command(self._host, line, commandline.encoded_script(argv))

    @override
    def input(self, command: str, data: bytes) -> None:
        with self._input_lock:
            line = self._first_lines.setdefault(command, bytearray())
            if line is None:  # its first line is over
                return
            head, end, _ = data.partition(b"\n")
            line += head
            if not end and len(line) < LONGEST_FIRST_LINE:
                return
            self._first_lines[command] = None
        if (script := script_of(bytes(line))) is not None:
            self._record.script(self._host, script)


def script_of(line: bytes) -> str | None:
    """The text in `TOKEN S LEN SHA256 MODE B64(script)`; None where the line is something else."""
    match line.strip().split(b" "):
        case [_, b"S", _, _, _, script]:
            try:
                return base64.b64decode(script, validate=True).decode("utf-8")
            except ValueError:  # no base64, no UTF-8
                return None
        case _:
            return None
