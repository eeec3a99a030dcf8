"""XML files on a host: named elements and attributes, the rest byte for byte. What must change is decided in plans/xml.py."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from pyinfra.api import StringCommand, operation
from pyinfra.context import host
from pyinfra.context import state as run

from connectors.call import HostCall
from facts.base import Unread, read
from facts.files import FileState
from facts.xml import XmlElements
from model.change import Change, PlanError
from model.files import FileContent, FileInfo, file_id
from model.xml import Secrecy, Text, XmlFile, XmlWanted, names_of
from operations.arguments import checked
from operations.converge import converge, counted
from plans.xml import backup_path, plan_elements

TO_COME: Final = (
    "files to come"  # key of pyinfra's free dict of a host: what this run makes of its files, for a dry run
)


@operation()
@checked
def xml_elements(
    file: str,
    parent: str | None = None,
    *,
    set: Mapping[str, Text] | None = None,  # noqa: A002 - the word of those who write deploys
    clear: str | Sequence[str] = (),
    remove: str | Sequence[str] = (),
    attributes: Mapping[str, Mapping[str, Text | None]] | None = None,
    namespaces: Mapping[str, str] | None = None,
    ignore_case: bool = False,
    secret: str | Sequence[str] = (),
    public: str | Sequence[str] = (),
    refuse_if: Mapping[str, str] | None = None,
    refuse_elsewhere: str = "",
    unless: Callable[[], str] | None = None,
    backup: bool = True,
) -> Generator[StringCommand, None, None]:
    r"""
    Set, clear and remove child elements of one element of an XML file, and their attributes, all in one write.

    + file: full Windows path; it must exist
    + parent: XPath to the one element whose children are meant; the root when omitted
    + set: name to text, added behind its siblings where it is not there; a ``Secret`` is never shown
    + clear: names whose text shall be empty; absent is fine
    + remove: names that shall not be there
    + attributes: name of a child to (attribute to value); ``None`` removes the attribute. ``.`` is the parent itself, here and in set and clear
    + namespaces: prefix to namespace, for ``parent`` and all names. A name without a prefix means what it would mean in that place of the file
    + ignore_case: whether an element with another spelling is the one meant; it keeps its spelling, both at once are an error
    + secret: names whose values are secrets, besides those that look like it (words KEY, PASSWORD, SECRET, TOKEN, PIN)
    + public: names that only look like it
    + refuse_if: name to reason: nothing is written while that child is there and holds something, be it in an attribute
    + refuse_elsewhere: what to do, where none of the names of set, clear and remove is below the parent and one of them, or of ``refuse_if``, is
      elsewhere in the document, by its local name: then nothing is written beside it; the same where only a name that would be added is elsewhere.
      An attribute of that name, and a ``key``, ``name`` or ``id`` that says it, count too; so does an attribute of an element of clear, or of one of
      set that has no text, since that may be its value. ``refuse_if`` then holds for the whole document. For a file whose shape is not known; empty:
      what stands elsewhere is not looked at
    + unless: called where something would be written, in the dry run too; a reason not to, which fails this host, or ""
    + backup: keep the old content as ``NAME.<first 12 digits of its SHA-256>.bak`` beside the file, with its ACL; nothing ever deletes one

    What is outside the edits stays byte for byte: declaration, byte order mark, encoding, line ends, comments, quotes. White space in a text counts.
    An element that occurs twice, a parent that matches nothing or several, a DTD, a code page of several bytes a character: refused, in the dry run
    too, and nothing is written.

    **Example:**

    .. code:: python

        xml_elements(
            name="MIM calls the MFA Server",
            file=r"C:\Program Files\Microsoft Forefront Identity Manager\2010\Service\MfaSettings.xml",
            set={"LOCMFA": "true", "LOCMFASRV": "https://mfa01.contoso.com:9999/PfWsSdk.asmx"},
            clear=["LICENSE_KEY", "GROUP_KEY", "CERT_PASSWORD", "CertFilePath"],
            refuse_if={"CustomPhoneProvider": "a custom provider and LOCMFA exclude each other"},
            ignore_case=True,
        )
    """
    wanted = XmlWanted(
        parent=parent,
        set=set or {},
        clear=names_of(clear),
        remove=names_of(remove),
        attributes=attributes or {},
        namespaces=namespaces or {},
        ignore_case=ignore_case,
        secrecy=Secrecy(names_of(secret), names_of(public)),
        refuse_if=refuse_if or {},
        refuse_elsewhere=refuse_elsewhere,
    )

    def get() -> XmlFile | Unread:
        now = read(
            XmlElements,
            file=file,
            parent=parent,
            names=[*wanted.set, *wanted.clear, *wanted.remove],
            namespaces=wanted.namespaces,
            ignore_case=ignore_case,
            secret=names_of(secret),
            public=names_of(public),
        )
        if isinstance(now, Unread) or run.is_executing:
            return now
        # What operations before this one announced is planned upon, as it is when they run.
        data = _to_come().get(file_id(file), now.content).data
        return replace(now, content=_with(now.content, data))

    def plan(now: XmlFile) -> tuple[Change, ...]:
        found = plan_elements(now.content, wanted)
        changes = found.changes
        if changes and unless is not None and (reason := unless()):
            raise PlanError(reason)
        if changes and counted():
            _to_come()[file_id(file)] = _with(now.content, found.data)
        return (*_backup(now.content.info), *changes) if changes and backup else changes

    def write(now: XmlFile, changes: Sequence[Change]) -> list[HostCall]:  # noqa: ARG001 - the bytes come from the plan, made of the same values
        return writes(now, plan_elements(now.content, wanted).data, backup=backup)

    yield from converge(
        file if parent is None else f"{parent} in {file}",
        read=get,
        plan=plan,
        write=write,
        thing=file_id(file),
        ahead=True,
    )


def _to_come() -> dict[str, FileContent]:
    """The files that operations of this run announced on this host, by their ids, as they will be."""
    coming: dict[str, FileContent] = host.connector_data.setdefault(TO_COME, {})
    return coming


def _with(content: FileContent, data: bytes) -> FileContent:
    return FileContent(replace(content.info, length=len(data), sha256=hashlib.sha256(data).hexdigest()), data)


def writes(now: XmlFile, data: bytes, *, backup: bool) -> list[HostCall]:
    """
    The guarded calls that replace a file's content. Cut between them, the backup is there and the next run finds it equal.

    + now: as read: its hash is the guard of both
    + data: the new content
    """
    info = now.content.info
    if info.sha256 is None:
        raise PlanError("is not a file")
    calls = []
    if backup:
        target = backup_path(info.path, info.sha256)
        calls.append(HostCall("Copy-File", path=info.path, target=target, expected=info.sha256))
    sha256 = hashlib.sha256(data).hexdigest()
    write = HostCall("Write-File", blob=data, path=info.path, expected=info.sha256, sha256=sha256, length=len(data))
    return [*calls, write]


def _backup(info: FileInfo) -> tuple[Change, ...]:
    """The backup as a change of its own. Raises PlanError where other content has its name: in the dry run, not half way."""
    if info.sha256 is None:
        raise PlanError("is not a file")
    target = backup_path(info.path, info.sha256)
    there = read(FileState, path=target)
    if isinstance(there, Unread):
        raise PlanError(f"whether {target} exists could not be read, nothing was written")
    if there.sha256 == info.sha256:
        return ()
    if there.kind != "absent":
        raise PlanError(f"its backup {target} exists with other content; move that away, run again")
    return (Change("backup", None, target),)
