"""Facts of files: what stands at a path. Reading only; what an XML file holds is in xml.py."""

from __future__ import annotations

import hashlib

from typing_extensions import override

from connectors.call import Answer, HostCall
from facts.base import HostAnswer, HostFact
from model.files import LARGEST_FILE, FileContent, FileInfo, FileKind


class _File(HostAnswer):
    path: str
    kind: FileKind
    length: int | None
    sha256: str | None
    last_write_utc: str | None
    read_only: bool


class FileState(HostFact[FileInfo]):
    """
    Returns what stands at a path, without its content.

    + path: full Windows path

    .. code:: python

        FileInfo(path=r"C:\\x.xml", kind="file", length=120, sha256="9f2c...", last_write_utc="2026-11-25T08:00:00.0000000Z", read_only=False)

    ``kind`` is ``file``, ``folder`` or ``absent``.
    """

    @override
    def command(self, path: str) -> HostCall:
        return HostCall("Read-File", path=path, count=0)

    @override
    def parse(self, answer: Answer) -> FileInfo:
        return file_info(answer)


def file_info(answer: Answer) -> FileInfo:
    """What Read-File answered beside the bytes, checked."""
    return FileInfo(**dict(_File.model_validate(answer.result)))


def file_content(answer: Answer) -> FileContent:
    """
    A file with its bytes. Raises ValueError where they are not all, or not what the host hashed.

    A file that is longer than what one answer holds comes with no bytes: whoever edits it refuses it by its length.
    """
    info = file_info(answer)
    if info.kind != "file" or (info.length or 0) > LARGEST_FILE:
        return FileContent(info, b"")
    if info.length != len(answer.blob):
        raise ValueError(f"{info.path}: {len(answer.blob)} of {info.length} bytes arrived")
    if info.sha256 != hashlib.sha256(answer.blob).hexdigest():
        raise ValueError(f"{info.path}: the bytes that arrived are not those that the host hashed")
    return FileContent(info, answer.blob)
