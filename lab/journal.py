"""
What really changed on the hosts: the file `journal.jsonl`, one line a shell that has ended. Writing, reading, printing it.

A line is the difference of two snapshots of a machine, never what a verb says of itself. When snapshots are taken is in lab/watch.py.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

FILE: Final = "journal.jsonl"


@dataclass(frozen=True)
class StateChange:
    """One thing of a snapshot that differs; None where it was not there."""

    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        before, after = ("(absent)" if text is None else text for text in (self.before, self.after))
        return f"{self.name}: {before} -> {after}"


@dataclass(frozen=True)
class Entry:
    """One shell that ended. `time` is ISO 8601 in UTC; `changes` is () where nothing changed."""

    time: str
    host: str
    shell: str
    changes: tuple[StateChange, ...]

    def __str__(self) -> str:
        head = f"{self.time} {self.host} shell {self.shell[:8]}: {len(self.changes) or 'no'} change{'' if len(self.changes) == 1 else 's'}"
        return "\n  ".join([head, *(str(change) for change in self.changes)])


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[StateChange, ...]:
    """What differs between two snapshots, by name."""
    names = sorted(before.keys() | after.keys())
    return tuple(
        StateChange(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)
    )


class Journal:
    """Appends to the journal of the lab whose folder is `root`; several threads may."""

    def __init__(self, root: Path) -> None:
        self._path = root / FILE
        self._lock = threading.Lock()

    def append(self, host: str, shell: str, changes: tuple[StateChange, ...]) -> None:
        """One line; it is in the file when this returns."""
        entry = Entry(datetime.now(UTC).isoformat(timespec="milliseconds"), host, shell, changes)
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(entry)) + "\n")


def mark(root: Path) -> int:
    """Where the journal ends now; `entries` and `changes` take it as the place to begin."""
    path = root / FILE
    return path.stat().st_size if path.exists() else 0


def entries(root: Path, since: int = 0) -> Iterator[Entry]:
    """The entries after a mark. A line that is being written is left for the next time."""
    path = root / FILE
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(since)
        for line in file:
            if line.endswith(b"\n"):
                yield _entry(line)


def changes(root: Path, since: int = 0) -> tuple[tuple[str, StateChange], ...]:
    """Host and change, for every change after a mark, in the order in which the shells ended."""
    return tuple((entry.host, change) for entry in entries(root, since) for change in entry.changes)


def _entry(line: bytes) -> Entry:
    data = json.loads(line)
    return Entry(data["time"], data["host"], data["shell"], tuple(StateChange(**change) for change in data["changes"]))
