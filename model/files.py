"""A file of a host as it was read. Data."""

from __future__ import annotations

import ntpath
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from model.names import fold

LARGEST_FILE: Final = 4 * 1024 * 1024  # bytes that are edited; what one Read-File answers (docs/verbs.md)

FileKind: TypeAlias = Literal["file", "folder", "absent"]


@dataclass(frozen=True)
class FileInfo:
    """
    What Read-File (docs/verbs.md) says of a path. `length` (bytes) and `sha256` (lower-case hex) are None unless it is a file.

    `last_write_utc` is `2026-11-25T08:00:00.1234567Z`, None when absent.
    """

    path: str
    kind: FileKind
    length: int | None
    sha256: str | None
    last_write_utc: str | None
    read_only: bool

    def to_json(self) -> dict[str, str | int | bool | None]:
        """As `pyinfra ... fact facts.files.FileState` prints it."""
        return {
            "path": self.path,
            "kind": self.kind,
            "length": self.length,
            "sha256": self.sha256,
            "last_write_utc": self.last_write_utc,
            "read_only": self.read_only,
        }


@dataclass(frozen=True)
class FileContent:
    """A file with its bytes, which no repr shows: they may hold secrets."""

    info: FileInfo
    data: bytes = field(repr=False)


def file_id(path: str) -> str:
    """The id of a file for `announced` and `written`: one for every spelling of its path, another for each other file (`straße`, `strasse`)."""
    return f"file:{fold(ntpath.normpath(path))}"
