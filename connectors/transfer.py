"""
Whole files to and from a host, in blocks, verified by SHA-256. It decides blocks and checks; calls are made by whoever hands in `call`.

Read-File and Write-File of docs/verbs.md; the block sizes are facts/winrm.md 6's.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from collections.abc import Callable
from io import IOBase
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

from connectors.call import Answer, HostCall
from connectors.errors import FailedError

Call: TypeAlias = Callable[[HostCall], Answer]
PUT_BLOCK: Final = 250_000
GET_BLOCK: Final = 1_000_000
LARGEST: Final = 50_000_000


def put(call: Call, source: str | IOBase, path: str, *, whole: bool = False) -> str:
    """
    Make the file `path` of the host hold what `source` holds: swapped in at once, or left as it was. Returns what was done, in words.

    + whole: in one call, for a host whose calls share no process, where an unfinished upload would not outlive its block

    Raises FailedError for a source that cannot be read or is over 50 MB, and what `call` raises.
    """
    content = _content(source)
    if len(content) > LARGEST:
        raise FailedError(
            f"{len(content)} bytes are more than WinRM carries well (50 MB): let the host fetch it from a share"
        )
    digest = hashlib.sha256(content).hexdigest()
    now = call(HostCall("Read-File", path=path, count=0)).result
    if now["kind"] == "folder":
        raise FailedError(f"{path} is a folder, expected a file name")
    if now["sha256"] == digest:
        return "same content, not sent"
    expected = now["sha256"] or "absent"
    size = max(len(content), 1) if whole else PUT_BLOCK
    part = secrets.token_hex(8) if len(content) > size else ""
    done = False
    for at in range(0, max(len(content), 1), size):
        answer = call(
            HostCall(
                "Write-File",
                blob=content[at : at + size],
                path=path,
                expected=expected,
                sha256=digest,
                length=len(content),
                offset=at,
                part=part,
            )
        ).result
        done = answer["done"]
    if not done or answer["sha256"] != digest:
        raise FailedError(f"{path}: written, but the host reads another content back; run again")
    return f"{len(content)} bytes"


def get(call: Call, path: str, target: str | IOBase) -> str:
    """
    Copy the file `path` of the host into `target`: a local file is replaced at once when all of it has arrived and its SHA-256 is right.

    Raises FailedError where it is absent or changes meanwhile, and what `call` raises.
    """
    first = call(HostCall("Read-File", path=path, offset=0, count=GET_BLOCK))
    if first.result["kind"] != "file":
        raise FailedError(f"{path} is {'a folder' if first.result['kind'] == 'folder' else 'not there'}")
    rest = range(GET_BLOCK, first.result["length"], GET_BLOCK)
    content = first.blob + b"".join(
        call(HostCall("Read-File", path=path, offset=at, count=GET_BLOCK)).blob for at in rest
    )
    if hashlib.sha256(content).hexdigest() != first.result["sha256"]:
        raise FailedError(f"{path} changed while it was read; run again")
    if isinstance(target, str):
        _replace(Path(target), content)
    else:
        _write(target, content)
    return f"{len(content)} bytes"


def _content(source: str | IOBase) -> bytes:
    try:
        if isinstance(source, str):
            return Path(source).read_bytes()
        source.seek(0)
        data = cast("Any", source).read()
    except (OSError, ValueError) as error:  # ValueError: a file object that is closed
        name = source if isinstance(source, str) else "the source"
        raise FailedError(
            f"{name} cannot be read: {getattr(error, 'strerror', None) or 'it is not open for reading, or cannot be rewound'}"
        ) from None
    return data.encode("utf-8") if isinstance(data, str) else bytes(data)


def _write(target: IOBase, content: bytes) -> None:
    try:
        cast("Any", target).write(content)
    except TypeError:
        raise FailedError("the target takes no bytes: open it in binary mode") from None
    except (OSError, ValueError) as error:
        raise FailedError(f"the target cannot be written: {type(error).__name__}") from None


def _replace(target: Path, content: bytes) -> None:
    try:
        handle, beside = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(beside).replace(target)
        finally:
            Path(beside).unlink(missing_ok=True)
    except OSError as error:
        raise FailedError(f"{target} cannot be written here: {error.strerror}") from None
