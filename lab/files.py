"""The `files` verbs of the python engine (docs/verbs.md, files). Where a file really is, is in disk.py."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lab.disk import full_path, read_free, read_only, told
from lab.state import time_text
from lab.verbs import Reply, Result, Session, Verb, VerbError

if TYPE_CHECKING:
    from lab.python_engine import PythonMachine

LARGEST: Final = 4 * 1024 * 1024  # bytes beside one answer
SHA256: Final = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Upload:
    """A file that arrives in blocks: what is there of it, and for which target."""

    path: str
    beside: Path
    size: int = 0


def read_file(machine: PythonMachine, *, path: str, offset: int = 0, count: int = -1) -> Result:
    """What stands at a path, and bytes of it."""
    if offset < 0 or count < -1:
        raise VerbError("invalid", path, f"offset {offset} and count {count}: expected 0 or more, and -1 or more")
    full, real = full_path(path), machine.disk.real(path)
    answer: Result = {"path": full, "kind": machine.disk.kind(path), "length": None, "sha256": None}
    if real is None:
        return answer | {"last_write_utc": None, "read_only": False}
    status = real.stat()
    answer |= {"last_write_utc": time_text(status.st_mtime_ns // 100), "read_only": read_only(real)}
    if answer["kind"] == "folder":
        return answer
    rest = max(0, status.st_size - offset)
    wanted = rest if count == -1 else min(count, rest)
    if wanted > LARGEST:
        raise VerbError("invalid", path, f"{wanted} bytes are too many for one answer, expected at most {LARGEST}")
    answer["length"] = status.st_size
    if offset:
        return Reply(answer, read_free(real, path, count=wanted, offset=offset))
    data = read_free(real, path)
    return Reply(answer | {"sha256": hashlib.sha256(data).hexdigest()}, data[:wanted])


def write_file(
    machine: PythonMachine,
    *,
    path: str,
    expected: str,
    sha256: str,
    length: int,
    offset: int = 0,
    part: str = "",
    blob: bytes,
    session: Session,
) -> Result:
    """Replace a file in one step, if it still is what was read. It comes whole, or in blocks that belong together by `part`."""
    full_path(path)
    if expected != "absent" and not SHA256.fullmatch(expected):
        raise VerbError("invalid", "expected", "is no SHA-256 in lower-case hex, and not the word absent")
    if not SHA256.fullmatch(sha256):
        raise VerbError("invalid", "sha256", "is no SHA-256 in lower-case hex")
    if not re.fullmatch("[0-9a-f]*", part):
        raise VerbError("invalid", "part", "is not lower-case hex")
    _check_target(machine, path)
    if not part:
        if offset or len(blob) != length:
            raise VerbError(
                "invalid", path, f"{len(blob)} bytes from {offset} are not the whole of {length}, and there is no part"
            )
        return _finish(machine, path, blob, expected, sha256)
    try:
        upload = _block(machine, session, path, part, offset, length, blob)
        if upload.size < length:
            return {"sha256": None, "done": False}
        answer = _finish(machine, path, upload.beside.read_bytes(), expected, sha256)
    except BaseException:
        _drop(session, part)
        raise
    _drop(session, part)
    return answer


def copy_file(machine: PythonMachine, *, path: str, target: str, expected: str) -> Result:
    """Copy a file that still is what was read; never over another one."""
    full_path(target)
    if machine.disk.kind(path) == "folder":
        raise VerbError("invalid", path, "is a folder, expected a file")
    data = machine.disk.read(path)
    if data is None:
        raise VerbError("missing", path, "there is no such file")
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise VerbError("conflict", path, f"content is {found}, expected {expected}")
    _check_target(machine, target)
    there = machine.disk.sha256(target)
    if there == "absent":
        machine.disk.write(target, data)
    elif there != found:
        raise VerbError("conflict", target, f"is there already with content {there}, expected {found}")
    return {"created": there == "absent", "sha256": found}


def new_folder(machine: PythonMachine, *, path: str) -> Result:
    """Make a folder and those above it that are missing."""
    if not machine.disk.has_root(path):
        raise VerbError("missing", path, "the drive of this path does not exist")
    here, missing = machine.disk.place(path)
    if not here.is_dir():
        raise VerbError("conflict", path, f"the file {machine.disk.windows(here)} stands where a folder is asked for")
    return {"created": machine.disk.make_folders(path) if missing else []}


def _check_target(machine: PythonMachine, path: str) -> None:
    here, missing = machine.disk.place(path)
    if len(missing) > 1 or (missing and not here.is_dir()):
        raise VerbError("missing", path, "the folder of this file does not exist")
    if path[-1] in "\\/" or (not missing and here.is_dir()):
        raise VerbError("invalid", path, "is a folder, expected a file")


def _block(
    machine: PythonMachine, session: Session, path: str, part: str, offset: int, length: int, blob: bytes
) -> Upload:
    """Append one block beside the target."""
    full = full_path(path)
    here, missing = machine.disk.place(path)
    beside = (here / missing[0] if missing else here).with_name(f"{missing[0] if missing else here.name}.{part}.new")
    upload: Upload = session.uploads.get(part) or Upload(full, beside)
    if upload.path != full or upload.size != offset:
        raise VerbError(
            "conflict", path, f"the block from {offset} is not the next one, expected the one from {upload.size}"
        )
    if offset + len(blob) > length:
        raise VerbError("invalid", path, f"{len(blob)} bytes from {offset} are more than the length {length}")
    session.cleanups[part] = lambda: beside.unlink(missing_ok=True)
    with told(path), beside.open("ab") as file:
        file.write(blob)
    after = Upload(full, beside, offset + len(blob))
    session.uploads[part] = after
    return after


def _drop(session: Session, part: str) -> None:
    session.uploads.pop(part, None)
    cleanup = session.cleanups.pop(part, None)
    if cleanup is not None:
        cleanup()


def _finish(machine: PythonMachine, path: str, data: bytes, expected: str, sha256: str) -> Result:
    arrived = hashlib.sha256(data).hexdigest()
    if arrived != sha256:
        raise VerbError("invalid", path, f"arrived with content {arrived}, expected {sha256}")
    found = machine.disk.sha256(path)
    if found != expected:
        raise VerbError("conflict", path, f"content is {found}, expected {expected}")
    machine.disk.write(path, data)
    return {"sha256": arrived, "done": True}


VERBS: Final[Mapping[str, Verb]] = {
    "Read-File": read_file,
    "Write-File": write_file,
    "Copy-File": copy_file,
    "New-Folder": new_folder,
}
