"""
The answers of the iis verbs as docs/verbs.md states them: checked at the door, and the call that asks for configuration.

What a fact makes of them is in iis.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from connectors.call import HostCall, Json
from facts.base import HostAnswer
from model.iis import RunState


class SecretAttribute(HostAnswer):
    """An encrypted attribute: whether one is stored, never which."""

    secret: Literal[True]
    set: bool


class Node(HostAnswer):
    """One element of the configuration with all below it."""

    tag: str
    a: dict[str, bool | int | str]
    d: list[str]
    s: dict[str, SecretAttribute]
    e: dict[str, int | None]
    c: dict[str, Node]
    items: list[Node]
    at: str | None = None

    def text(self, name: str) -> str:
        """An attribute that is text."""
        value = self.a[name]
        if not isinstance(value, str):
            raise TypeError(f"{self.tag}.{name} is no text")
        return value

    def flag(self, name: str) -> bool:
        """An attribute that is true or false."""
        value = self.a[name]
        if not isinstance(value, bool):
            raise TypeError(f"{self.tag}.{name} is neither true nor false")
        return value

    def number(self, name: str, default: int = 0) -> int:
        """An attribute that is a number; `default` where this IIS has none of that name (sslFlags came with IIS 8)."""
        value = self.a.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{self.tag}.{name} is no number")
        return value

    def tagged(self, tag: str) -> list[Node]:
        """The items of one tag."""
        return [item for item in self.items if item.tag == tag]


class SectionAnswer(HostAnswer):
    """Where a section is set, and who may override it."""

    path: str
    override_mode: str
    override_mode_effective: str
    is_locked: bool
    deepest_path: str | None
    deepest_file: str | None
    deepest_line: int | None


class ErrorAnswer(HostAnswer):
    """Why one read failed; the others of the call hold."""

    kind: str
    what: str
    where: str
    why: str
    hresult: int | None


class SectionRead(HostAnswer):
    """One read of the call."""

    id: str
    ok: bool
    section: SectionAnswer | None = None
    tree: Node | None = None
    error: ErrorAnswer | None = None

    def wanted_tree(self) -> Node:
        """Its tree. Raises ValueError with what the host said where there is none."""
        if self.tree is None:
            raise ValueError(self.said())
        return self.tree

    def said(self) -> str:
        """Why it could not be read."""
        if self.error is None:
            return f"{self.id}: the host gave neither a tree nor an error"
        return f"{self.error.where}: {self.error.why} ({self.error.kind})"


class ConfigAnswer(HostAnswer):
    """The answer of Get-IisConfig."""

    file: str
    sha256: str
    shared: bool
    modules: list[str]
    locations: list[str]
    reads: list[SectionRead]

    def by_id(self) -> Mapping[str, SectionRead]:
        """The reads by their ids."""
        return {read.id: read for read in self.reads}


class StateAnswer(HostAnswer):
    """The run state of one site or pool."""

    kind: str
    name: str
    found: bool
    state: RunState | None


class StatesAnswer(HostAnswer):
    """The answer of Get-IisState."""

    states: list[StateAnswer]


class RecordAnswer(HostAnswer):
    """One certificate record of http.sys."""

    endpoint: str
    kind: str
    thumbprint: str
    store: str
    app_id: str
    flags: int


class RecordsAnswer(HostAnswer):
    """The answer of Get-SslBinding."""

    records: list[RecordAnswer]


class CertificateAnswer(HostAnswer):
    """The answer of Get-Certificate."""

    found: bool
    thumbprint: str
    subject: str | None
    issuer: str | None
    names: list[str]
    not_before_utc: str | None
    not_after_utc: str | None
    has_private_key: bool | None
    usages: list[str]


def config_call(*reads: Mapping[str, Json]) -> HostCall:
    """One Get-IisConfig for what belongs together."""
    return HostCall("Get-IisConfig", reads=list(reads))


def stored(read: str, section: str, **filters: str) -> dict[str, Json]:
    """A read of a section as it is stored at the server level, `read` its id; `filters` keep the items with these attributes."""
    found: dict[str, Json] = {"id": read, "section": section, "location": "", "view": "stored"}
    return found | ({"filter": filters} if filters else {})
