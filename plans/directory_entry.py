"""
What is asked of a directory, and what an entry that it answers is: a principal, a domain. Pure; which searches find whom is directory_search.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from model.directory import Category, Domain, Kind, Principal, Scope
from plans.ldap import guid_to_text, parse_dn, sid_to_text

BUILTIN, SECURITY = 1, 0x80000000
SCOPES: Final[Mapping[int, Scope]] = {2: "global", 4: "domain-local", 8: "universal"}


@dataclass(frozen=True)
class Search:
    """One search of Search-Directory."""

    id: str
    base: str
    scope: Literal["base", "one", "sub"]
    filter: str
    attributes: tuple[str, ...] = ("1.1",)
    size_limit: int = 0


@dataclass(frozen=True)
class Ask:
    """What is asked in one call: of the domain controller, or of its global catalog."""

    searches: tuple[Search, ...]
    catalog: bool = False


@dataclass(frozen=True)
class Entry:
    """An entry as it was found. Attributes by lower-case name, values as bytes."""

    dn: str
    attributes: Mapping[str, tuple[bytes, ...]]

    def texts(self, name: str) -> tuple[str, ...]:
        """The values of an attribute as text."""
        return tuple(value.decode("utf-8", "replace") for value in self.attributes.get(name.lower(), ()))

    def text(self, name: str) -> str:
        """The first value as text, "" where there is none."""
        return next(iter(self.texts(name)), "")

    def data(self, name: str) -> bytes:
        """The first value, b"" where there is none."""
        return next(iter(self.attributes.get(name.lower(), ())), b"")


@dataclass(frozen=True)
class Reply:
    """What came back: the name of the server, and the entries by the id of their search."""

    server: str
    found: Mapping[str, tuple[Entry, ...]]


@dataclass(frozen=True)
class Root:
    """The server that answers, from its rootDSE."""

    domain_dn: str
    configuration_dn: str
    server: str
    catalog: bool

    @property
    def domain(self) -> str:
        """The DNS name of its domain."""
        return domain_of(self.domain_dn)


def principal(entry: Entry) -> Principal:
    """An entry as a principal. Raises ValueError for one that has no DC in its name, or a broken SID or GUID."""
    classes = {name.lower() for name in entry.texts("objectClass")}
    kinds: tuple[tuple[str, Kind], ...] = (
        ("group", "group"),
        ("computer", "computer"),  # managed service accounts are computers, too
        ("user", "user"),
        ("contact", "contact"),
        ("foreignsecurityprincipal", "foreign"),
    )
    kind: Kind = next((kind for name, kind in kinds if name in classes), "other")
    sid = entry.data("objectSid")
    group_type = int(entry.text("groupType")) if kind == "group" else None
    return Principal(
        kind,
        dn=entry.dn,
        guid=guid_to_text(entry.data("objectGUID")),
        sid=sid_to_text(sid) if sid else "",
        sam_account_name=entry.text("sAMAccountName"),
        domain=domain_of(entry.dn),
        scope=None if group_type is None else scope_of(group_type),
        category=None if group_type is None else category_of(group_type),
        group_type=group_type,
        builtin=bool((group_type or 0) & BUILTIN),
        primary_rid=int(entry.text("primaryGroupID")) if entry.text("primaryGroupID") else None,
        description=entry.text("description") or None,
    )


def scope_of(group_type: int) -> Scope:
    """The scope in a groupType ([MS-ADTS] 2.2.12). Raises ValueError where there is none."""
    scope = SCOPES.get(group_type & 0xE)
    if scope is None:
        raise ValueError(f"the groupType {group_type} has no scope")
    return scope


def category_of(group_type: int) -> Category:
    """Whether a groupType is of a security group."""
    return "security" if group_type & SECURITY else "distribution"


def domain_of(dn: str) -> str:
    """The DNS name of the domain that a DN ends in, lower case; "" for none."""
    parts = parse_dn(dn)
    names = []
    for attribute, value in reversed(parts):
        if attribute != "dc":
            break
        names.append(value.lower())
    return ".".join(reversed(names))


def domains_of(entries: Iterable[Entry]) -> tuple[Domain, ...]:
    """The domains of the forest, from their cross references."""
    return tuple(Domain(e.text("nCName"), e.text("dnsRoot").lower(), e.text("nETBIOSName")) for e in entries)
