"""The `files` verbs of the python engine (docs/verbs.md, files). Where a file really is, is in disk.py."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lab.disk import full_path, read_free, read_only, told
from lab.state import fold, time_text
from lab.verbs import Reply, Result, Session, Verb, VerbError

if TYPE_CHECKING:
    from lab.python_engine import PythonMachine

LARGEST: Final = 4 * 1024 * 1024  # bytes beside one answer
SHA256: Final = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class Upload:
    """A file that arrives in blocks: what it is to be, where it is, how much of it is there."""

    of: tuple[object, ...]
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
    full = full_path(path)
    upload: Upload | None = session.uploads.pop(part, None)
    cleanup = session.cleanups.pop(part, None)
    try:
        _check_digests(expected, sha256, part)
        if offset < 0 or offset + len(blob) > length or (not part and len(blob) != length):
            why = f"a block of {len(blob)} bytes at {offset} does not fit a file of {length}"
            raise VerbError("invalid", path, why)
        _check_block(path, upload, offset, (fold(full), expected, sha256, length))
        if upload is None:
            _check_target(machine, path, expected)
        if not part:
            _finish(machine, path, blob, expected, sha256)
            return {"sha256": sha256, "done": True}
        if upload is None:
            upload = Upload((fold(full), expected, sha256, length), _beside(machine, path, part))
            cleanup = partial(upload.beside.unlink, missing_ok=True)
        with told(path), upload.beside.open("ab") as file:
            file.write(blob)
        upload = replace(upload, size=offset + len(blob))
        if upload.size < length:
            session.uploads[part], session.cleanups[part] = upload, cleanup or (lambda: None)
            cleanup = None
            return {"sha256": None, "done": False}
        _finish(machine, path, upload.beside.read_bytes(), expected, sha256)
        return {"sha256": sha256, "done": True}
    finally:
        if cleanup is not None:
            cleanup()


def copy_file(machine: PythonMachine, *, path: str, target: str, expected: str) -> Result:
    """Copy a file that still is what was read; never over another one."""
    full_path(path)
    full_path(target)
    if not SHA256.fullmatch(expected):
        raise VerbError("invalid", "expected", "is no SHA-256 in lower-case hex")
    data = _content(machine, path)
    if data is None:
        raise VerbError("missing", path, "there is no such file")
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise VerbError("conflict", path, f"content is {found}, expected {expected}")
    there = _hash(machine, target)
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
    machine.disk.make_folders(path)
    names = full_path(path).split("\\")  # as the caller spells them
    return {"created": ["\\".join(names[: len(names) - after]) for after in reversed(range(len(missing)))]}


def _content(machine: PythonMachine, path: str) -> bytes | None:
    if machine.disk.kind(path) == "folder":
        raise VerbError("invalid", path, "is a folder, expected a file")
    return machine.disk.read(path)


def _hash(machine: PythonMachine, path: str) -> str:
    """SHA-256 of a file's content, `absent` where none is: what `expected` is compared with."""
    data = _content(machine, path)
    return "absent" if data is None else hashlib.sha256(data).hexdigest()


def _check_digests(expected: str, sha256: str, part: str) -> None:
    if expected != "absent" and not SHA256.fullmatch(expected):
        raise VerbError("invalid", "expected", "is neither absent nor a SHA-256 in lower-case hex")
    if not SHA256.fullmatch(sha256):
        raise VerbError("invalid", "sha256", "is no SHA-256 in lower-case hex")
    if not re.fullmatch("[0-9a-f]{0,64}", part):
        raise VerbError("invalid", "part", "is not up to 64 lower-case hex digits")


def _check_block(path: str, upload: Upload | None, offset: int, of: tuple[object, ...]) -> None:
    at = upload.size if upload else 0
    if offset != at:
        raise VerbError("conflict", path, f"the block at {offset} is not the next one, that is at {at}")
    if upload and upload.of != of:
        raise VerbError("conflict", path, "the upload of this part was begun for another file or content")


def _check_target(machine: PythonMachine, path: str, expected: str) -> None:
    """Refuse a target that is not what was read, or that could not be written anyway."""
    found = _hash(machine, path)
    if found != expected:
        raise VerbError("conflict", path, f"content is {found}, expected {expected}")
    here, missing = machine.disk.place(path)
    if len(missing) > 1 or (missing and not here.is_dir()):
        raise VerbError("missing", path, "the folder of this file does not exist")
    if read_only(here):
        raise VerbError("denied", path, "has the attribute read-only")


def _beside(machine: PythonMachine, path: str, part: str) -> Path:
    here, missing = machine.disk.place(path)
    target = here / missing[0] if missing else here
    return target.with_name(f"{target.name}.{part}.new")


def _finish(machine: PythonMachine, path: str, data: bytes, expected: str, sha256: str) -> None:
    arrived = hashlib.sha256(data).hexdigest()
    if arrived != sha256:
        raise VerbError("invalid", path, f"the content that arrived has SHA-256 {arrived}, expected {sha256}")
    _check_target(machine, path, expected)
    machine.disk.write(path, data)


VERBS: Final[Mapping[str, Verb]] = {
    "Read-File": read_file,
    "Write-File": write_file,
    "Copy-File": copy_file,
    "New-Folder": new_folder,
}
