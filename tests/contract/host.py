"""
What a contract case is given: one host that calls go to through real WinRM, and the machine behind it, to arrange and to look.

Answers are Python values with what legitimately differs from run to run replaced by words (`settled`). Which engines and modes there are is in
cases.py, how they are started in conftest.py.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from connectors.call import Answer, HostCall
from connectors.errors import VerbError
from connectors.session import Session
from connectors.settings import WinrmSettings
from lab.engine import Machine
from model.secret import Secret
from tests.contract.cases import Variant

TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z")
BESIDE: Final = re.compile(r"\.[0-9a-f]+\.new\b")


@dataclass(frozen=True)
class Refused:
    """An error without its words: those are each engine's own."""

    kind: str
    where: str
    hresult: int | None = None
    ldap: int | None = None
    win32: int | None = None


@dataclass
class Seen:
    """What changed on a machine while somebody watched: name in its snapshot to before and after, without times."""

    changes: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)


class Host:
    """
    One host of an engine.

    + variant: engine, culture and mode
    + session: the session that calls of a verb go through, or of the verb that the case is about; `read_only` or not. The same one for the same
      question
    + settings: how the host is reached, for whoever needs a connection of its own
    + differs: why this case expects something else on this engine, "" where it does not
    + folder: a folder of the case's own, which exists on no machine yet; everything that it makes is below it or has `own` in its name
    """

    def __init__(
        self,
        name: str,
        variant: Variant,
        session: Callable[[str | None, bool], Session],
        settings: Callable[[], WinrmSettings],
        machine: Machine | None,
        *,
        own: str,
        root: str,
        differs: str = "",
    ) -> None:
        self.name, self.variant, self.own, self.differs = name, variant, own, differs
        self.engine = variant.engine
        self.folder = rf"{root}\{own}"
        self._session, self._machine, self.settings = session, machine, settings

    @property
    def machine(self) -> Machine:
        """To arrange and to look from outside. A real server has none: the case is skipped there."""
        if self._machine is None:
            pytest.skip("arranges or watches the machine from outside, which a real server has no way for")
        return self._machine

    # -- calls --

    def session(self, *, read_only: bool = False) -> Session:
        """The session that calls of the case's own verbs go through."""
        return self._session(None, read_only)

    def call(
        self,
        verb: str,
        *,
        blob: bytes = b"",
        secrets: Mapping[str, str] | None = None,
        read_only: bool = False,
        **args: Any,
    ) -> Answer:
        """The answer of a verb as it came. Raises VerbError for an error that the verb answered."""
        hidden = {name: Secret(text) for name, text in (secrets or {}).items()}
        return self._session(verb, read_only).call(HostCall(verb, secrets=hidden, blob=blob, **args))

    def ask(self, verb: str, *, blob: bytes = b"", secrets: Mapping[str, str] | None = None, **args: Any) -> Any:
        """The result of a verb that answers no bytes; an error fails the test."""
        answer = self.call(verb, blob=blob, secrets=secrets, **args)
        assert answer.blob == b"", f"{verb} answered {len(answer.blob)} bytes beside its result"
        return answer.result

    def refused(
        self,
        verb: str,
        *,
        blob: bytes = b"",
        secrets: Mapping[str, str] | None = None,
        read_only: bool = False,
        naming: str = "",
        **args: Any,
    ) -> Refused:
        """The error of a verb; a result fails the test. Its words must be there, with `naming` in them, and hold no secret."""
        try:
            answer = self.call(verb, blob=blob, secrets=secrets, read_only=read_only, **args)
        except VerbError as refusal:
            error = refusal.error
        else:
            raise AssertionError(f"{verb} answered {answer.result!r}, expected an error")
        assert error.what == verb
        assert error.why.strip()
        assert naming in error.why
        assert not [name for name, text in (secrets or {}).items() if text in f"{error.where} {error.why}"]
        return Refused(error.kind, error.where, error.hresult, error.ldap, error.win32)

    # -- arranging: from outside, and by verbs on a real server --

    def path(self, name: str = "") -> str:
        """A path in the case's own folder, which is made if need be."""
        if self._machine is not None:
            self._machine.make_folder(self.folder)
        else:
            self.ask("New-Folder", path=self.folder)
        return rf"{self.folder}\{name}" if name else self.folder

    def file(self, name: str, content: bytes) -> str:
        """A new file in the case's own folder; its path."""
        path = self.path(name)
        if self._machine is not None:
            self._machine.write_file(path, content)
        else:
            self.ask(
                "Write-File", path=path, expected="absent", sha256=sha256(content), length=len(content), blob=content
            )
        return path

    def content(self, path: str) -> bytes | None:
        """The bytes of a file; None where none is."""
        if self._machine is not None:
            return self._machine.read_file(path)
        answer = self.call("Read-File", path=path)
        return answer.blob if answer.result["kind"] == "file" else None

    # -- looking --

    @contextmanager
    def watched(self) -> Iterator[Seen]:
        """What changes on the machine meanwhile."""
        before, seen = self.machine.snapshot(), Seen()
        yield seen
        after = self.machine.snapshot()
        names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        seen.changes = {settled(name): (settled(before.get(name)), settled(after.get(name))) for name in names}


def settled(value: Any) -> Any:
    """The same with times, and names that were made up, replaced by words."""
    match value:
        case str():
            return BESIDE.sub(".(part).new", TIME.sub("(time)", value))
        case dict():
            return {
                name: "(pid)" if name == "pid" and isinstance(inner, int) else settled(inner)
                for name, inner in value.items()
            }
        case list():
            return [settled(inner) for inner in value]
        case _:
            return value


def sha256(data: bytes) -> str:
    """In lower-case hex."""
    return hashlib.sha256(data).hexdigest()
