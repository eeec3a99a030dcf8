"""What one server of the lab's directory shows to one account: its own domain or the forest, entries that a search finds, and lists in ranges."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lab.directory_entry import HIDDEN, Domain, Entry, LdapError
from lab.directory_error import ENTRY_MISSING, refused
from lab.directory_filter import FilterError, dn_key, matches, parse
from lab.directory_store import Store, parent_key
from lab.verbs import Result

if TYPE_CHECKING:
    from lab.python_engine import PythonMachine

UNREADABLE: Final = frozenset({HIDDEN})


@dataclass(frozen=True)
class View:
    """A bound connection: what one server shows to one account."""

    machine: PythonMachine  # whose directory it is
    domain: Domain
    catalog: bool
    may_write: bool
    read: Callable[[], Store]  # the directory as it is now

    @property
    def name(self) -> str:
        """The dnsHostName of the server."""
        return f"{self.machine.name}.{self.domain.dns}".lower()

    @property
    def store(self) -> Store:
        """As it is now."""
        return self.read()

    def shows(self, dn: str) -> bool:
        """Whether the server holds that entry: its own domain and the configuration, as a global catalog the whole forest."""
        home = self.store.home(dn)
        return home is None or home == self.domain or self.catalog


def searched(view: View, search: Mapping[str, Any]) -> Result:
    """The answer of one search (docs/verbs.md)."""
    base, scope = search["base"], search["scope"]
    limit, ranges = search.get("size_limit", 0), search.get("ranges", {})
    answer: Result = {"id": search["id"], "ok": True, "entries": [], "more": False, "references": [], "error": None}
    try:
        found: list[Result] = []
        for entry in entries_of(view, base, scope, search["filter"] or "(objectClass=*)"):
            if limit and len(found) == limit:
                answer["more"] = True
                break
            found.append(_shown(view, entry, search["attributes"], ranges))
        answer["entries"] = found
    except LdapError as error:
        answer["references"] = list(error.references)
        if error.code != ENTRY_MISSING:
            told = refused(error.code, error.win32, base, "search").to_json("Search-Directory")
            answer |= {"ok": False, "error": told}
    return answer


def entries_of(view: View, base: str, scope: str, text: str) -> Iterator[Entry]:
    """The entries that the server finds. Raises LdapError for a base that it does not have, and for a filter that cannot be read."""
    try:
        tree = parse(text)
    except FilterError:
        raise LdapError(87) from None
    store = view.store
    if not base and scope == "base":
        root = _root(view)
        if matches(tree, store.subject(root)):
            yield root
        return
    start = store.find(base) if base else None
    if start is None and not (view.catalog and not base):
        elsewhere(view, base)
        raise LdapError(ENTRY_MISSING, 0x2030)
    if start is not None and not view.shows(start.dn):
        elsewhere(view, start.dn)
        raise LdapError(ENTRY_MISSING, 0x2030)
    key = dn_key(start.dn) if start is not None else ()
    for entry in store.entries.values():
        own = dn_key(entry.dn)
        if not view.shows(entry.dn) or own[len(own) - len(key) :] != key:
            continue
        inside = {"base": own == key, "one": parent_key(entry.dn) == key, "sub": True}[scope]
        if inside and matches(tree, store.subject(entry)):
            yield entry


def elsewhere(view: View, dn: str) -> None:
    """Raise a referral where another domain of the forest holds that name."""
    if dn and not dn.startswith("<") and not view.shows(dn):
        home = view.store.home(dn)
        if home is not None:
            raise LdapError(10, 0x202B, (f"ldap://{home.dns}/{dn}",))


def _root(view: View) -> Entry:
    """The rootDSE of a server."""
    root = view.store.domains()[0].dn
    configuration = f"CN=Configuration,{root}"
    texts = {
        "defaultnamingcontext": [view.domain.dn],
        "rootdomainnamingcontext": [root],
        "configurationnamingcontext": [configuration],
        "schemanamingcontext": [f"CN=Schema,{configuration}"],
        "namingcontexts": [view.domain.dn, configuration, f"CN=Schema,{configuration}"],
        "dnshostname": [view.name],
        "isglobalcatalogready": ["TRUE"],
        "highestcommittedusn": [str(view.store.usn)],
        "supportedldapversion": ["3", "2"],
        "domainfunctionality": ["7"],
        "forestfunctionality": ["7"],
        "domaincontrollerfunctionality": ["7"],
        "objectclass": ["top"],
    }
    return Entry(uuid.UUID(int=0), "", {name: [text.encode() for text in found] for name, found in texts.items()})


def _shown(view: View, entry: Entry, wanted: Sequence[str], ranges: Mapping[str, Any]) -> Result:
    store = view.store
    names = [name.lower() for name in wanted if name not in ranges]
    if (not wanted and not ranges) or "*" in names:
        stored = sorted(entry.attributes.keys() - UNREADABLE)
        names = [*stored, *([] if not entry.dn else ["distinguishedname", "objectguid", "name", "member", "memberof"])]
    attributes: dict[str, list[str]] = {}
    incomplete: dict[str, int] = {}

    def show(name: str, found: Sequence[bytes]) -> None:
        attributes[name] = [base64.b64encode(value).decode("ascii") for value in found]

    for name in dict.fromkeys(names):
        found = _values(view, entry, name)
        if len(found) > store.max_range:
            incomplete[name] = store.max_range
        if found:
            show(name, found[: store.max_range])
    for name, span in ranges.items():
        found = _values(view, entry, name.lower())
        if not found:
            continue
        low, high = (0, len(found) - 1) if isinstance(span, str) else (int(span[0]), int(span[1]))
        if not isinstance(span, str):
            high = min(high, low + store.max_range - 1)
        show(name.lower(), found[low : high + 1])
        if high + 1 < len(found):
            incomplete[name.lower()] = high + 1
    return {"dn": entry.dn, "attributes": attributes, "incomplete": incomplete}


def _values(view: View, entry: Entry, name: str) -> list[bytes]:
    if name in UNREADABLE:
        return []
    return view.store.values(entry, name) if entry.dn else entry.attributes.get(name, [])
