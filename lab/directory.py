"""
Search-Directory and Edit-Directory of the python engine, and the directory of a domain controller: `directory.json` in its folder.

What an entry is and what one may do to it is directory_store.py's, names and filters are directory_filter.py's. Here: which server answers,
as whom, what it shows, and the words of its errors. Answers as a Windows host: signed and sealed with the logon, or TLS with a credential.
"""

from __future__ import annotations

import base64
import uuid
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from lab.directory_filter import FilterError, dn_key, matches, parse
from lab.directory_given import GivenChange, changes_of, check_search
from lab.directory_new import add_domain, new_forest
from lab.directory_store import HIDDEN, Domain, Entry, LdapError, Store, parent_key
from lab.verbs import ErrorKind, Result, VerbError

if TYPE_CHECKING:
    from lab.python_engine import PythonMachine

DOCUMENT: Final = "directory"
DNS: Final = "contoso.com"
NETBIOS: Final = "CONTOSO"
PORTS: Final = {389: (False, False), 636: (True, False), 3268: (False, True), 3269: (True, True)}  # TLS, global catalog
DISABLED: Final = 2  # userAccountControl
ADMINISTRATORS: Final = (b"\x00\x02\x00\x00", b"\x07\x02\x00\x00", b" \x02\x00\x00")  # RIDs 512, 519, 544
UNREADABLE: Final = frozenset({HIDDEN})

# Code to kind and words, as in powershell/directory.ps1.
WORDS: Final[Mapping[int, tuple[ErrorKind, str]]] = {
    1: ("unknown", "the server could not do it"),
    10: ("unknown", "this server does not hold it"),
    16: ("conflict", "the value is not there"),
    19: ("invalid", "a value breaks a rule of the directory"),
    20: ("conflict", "the value is there already"),
    32: ("missing", "there is no such object"),
    34: ("invalid", "the distinguished name is malformed"),
    49: ("denied", "the user name or the password was not accepted"),
    50: ("denied", "the account has no right to it"),
    53: ("unknown", "the server is not willing"),
    64: ("invalid", "the name breaks a rule of the directory"),
    65: ("invalid", "the entry would break a rule of its class"),
    66: ("invalid", "the entry has others below it"),
    68: ("conflict", "it is there already"),
    81: ("missing", "no directory server answered"),
    82: ("denied", "no logon was passed on (a second hop needs a credential)"),
    87: ("invalid", "the filter is malformed"),
}
GROUP_RULES: Final = range(0x2141, 0x2166)
ENTRY_MISSING: Final = 32
UNWILLING: Final = 53

_stores: weakref.WeakKeyDictionary[PythonMachine, tuple[Any, Store]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True)
class View:
    """A bound connection: what one server shows to one account."""

    machine: PythonMachine  # whose directory it is
    domain: Domain
    catalog: bool
    may_write: bool

    @property
    def name(self) -> str:
        """The dnsHostName of the server."""
        return f"{self.machine.name}.{self.domain.dns}".lower()

    @property
    def store(self) -> Store:
        """As it is now."""
        return load(self.machine)

    def shows(self, dn: str) -> bool:
        """Whether the server holds that entry: its own domain and the configuration, as a global catalog the whole forest."""
        home = self.store.home(dn)
        return home is None or home == self.domain or self.catalog


# -- the verbs --


def search_directory(
    machine: PythonMachine,
    *,
    searches: list[Any],
    server: str = "",
    port: int = 389,
    tls: bool = False,
    credential: Mapping[str, Any] | None = None,
    timeout_s: int = 30,
    secrets: Mapping[str, str],
) -> Result:
    """Several searches over one bind (docs/verbs.md)."""
    for one in searches:
        check_search(one)
    view = _connect(machine, server, port, tls, credential, timeout_s, secrets)
    return {"server": view.name, "searches": [_search(view, one) for one in searches]}


def edit_directory(
    machine: PythonMachine,
    *,
    server: str,
    edits: list[Any],
    port: int = 389,
    tls: bool = False,
    credential: Mapping[str, Any] | None = None,
    timeout_s: int = 30,
    secrets: Mapping[str, str],
) -> Result:
    """Edits in order, the rest is not tried after the first that fails (docs/verbs.md)."""
    if not server:
        raise VerbError("invalid", "server", "is empty; a write names the server that was read")
    changes = [changes_of(one) for one in edits]
    view = _connect(machine, server, port, tls, credential, timeout_s, secrets)
    answers: list[Result] = []
    failed = False
    with view.machine.exclusive():  # the hosts of one engine edit the same directory
        for edit, change in zip(edits, changes, strict=True):
            error = None
            if not failed:
                error = _edit(view, edit, change)
            answers.append({"id": edit["id"], "done": not failed and error is None, "error": error})
            failed = failed or error is not None
    return {"server": view.name, "edits": answers}


VERBS: Final = {"Search-Directory": search_directory, "Edit-Directory": edit_directory}


# -- arranging: for the seed and for tests --


def add(machine: PythonMachine, dn: str, attributes: Mapping[str, Sequence[str]]) -> None:
    """Add an entry, or with objectClass domainDNS and nETBIOSName another domain of the forest. Raises LdapError as the server would."""
    add_many(machine, {dn: attributes})


def add_many(machine: PythonMachine, entries: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    """Add entries by their DN, all of them in one write of the disk."""
    with machine.exclusive():
        store = _fresh(machine)
        for dn, attributes in entries.items():
            values = {name.lower(): [text.encode() for text in texts] for name, texts in attributes.items()}
            classes = [value.decode() for value in values.pop("objectclass", [])]
            kind = classes[-1] if classes else "group" if "grouptype" in values else "user"
            if kind.lower() == "domaindns":
                dns = ".".join(part.removeprefix("dc=") for part in dn_key(dn))
                add_domain(
                    store, dn, dns, values["netbiosname"][0].decode(), f"CN=Configuration,{store.domains()[0].dn}"
                )
            else:
                store.add(dn, kind, values)
        machine.state.write(DOCUMENT, store.to_json())


def values(machine: PythonMachine, dn: str, attribute: str) -> tuple[bytes, ...]:
    """The values of one attribute of an entry, () where it has none. Raises LdapError 32 where there is no such entry."""
    store = load(machine)
    entry = store.find(dn)
    if entry is None:
        raise LdapError(ENTRY_MISSING, 0x2030)
    return tuple(store.values(entry, attribute.lower()))


def rename(machine: PythonMachine, dn: str, new: str) -> None:
    """Give an entry another DN: what an administrator may do while we look."""
    with machine.exclusive():
        store = _fresh(machine)
        store.rename(dn, new)
        machine.state.write(DOCUMENT, store.to_json())


def limit(machine: PythonMachine, *, max_range: int, max_change: int) -> None:
    """How many values of an attribute come at once (1500), and how many one request may change (5000): an administrator's settings."""
    with machine.exclusive():
        store = _fresh(machine)
        store.max_range, store.max_change = max_range, max_change
        machine.state.write(DOCUMENT, store.to_json())


def highest_usn(machine: PythonMachine) -> int:
    """The highest update sequence number that was given: it grows with each change, and with nothing else."""
    return load(machine).usn


def load(machine: PythonMachine) -> Store:
    """The directory as it is, for reading. A new one is not written before it is changed."""
    document = machine.state.read(DOCUMENT)
    known = _stores.get(machine)
    if known is None or known[0] is not document:
        known = _stores[machine] = (document, _fresh(machine))
    return known[1]


def _fresh(machine: PythonMachine) -> Store:
    return Store(machine.state.read(DOCUMENT) or new_forest(DNS, NETBIOS))


# -- inside: connecting --


def _connect(
    machine: PythonMachine,
    server: str,
    port: int,
    tls: bool,
    credential: Mapping[str, Any] | None,
    timeout_s: int,
    secrets: Mapping[str, str],
) -> View:
    where = f"{server or 'the default domain controller'}, port {port}"
    if timeout_s < 1:
        raise VerbError("invalid", "timeout_s", f"is {timeout_s}, expected 1 or more")
    password = None
    if credential is not None:
        reference = credential.get("password")
        if not isinstance(reference, dict):
            raise VerbError("invalid", "credential", "is no user with a password that refers to a secret")
        if str(reference.get("secret")) not in secrets:
            raise VerbError("invalid", "credential", f"there is no secret '{reference.get('secret')}' beside the call")
        password = secrets[str(reference["secret"])]
    who = "the logon" if credential is None else str(credential["user"])
    found = _server(machine, server)
    if found is None or PORTS.get(port, (None, None))[0] is not tls:
        raise _error(81, None, where, f"bind as {who}")
    holder, domain = found
    if credential is None:
        # The logon came over the network: this host may act as it here, but cannot pass it on (facts/ad.md 0.8).
        if holder is not machine:
            raise _error(82, None, where, "bind as the logon")
        return View(holder, domain, PORTS[port][1], may_write=True)
    account = _account(load(holder), domain, who)
    if account is None or account.attributes.get(HIDDEN) != [(password or "").encode()]:
        raise _error(49, 0x52E, where, f"bind as {who}")
    if account.number("useraccountcontrol") & DISABLED:
        raise _error(49, 0x533, where, f"bind as {who}")
    groups = load(holder).subject(account).linked("memberof")
    known = load(holder)
    rids = {known.entries[known.by_dn[key]].sid[-4:] for key in groups}
    return View(holder, domain, PORTS[port][1], may_write=bool(rids.intersection(ADMINISTRATORS)))


def _server(machine: PythonMachine, server: str) -> tuple[PythonMachine, Domain] | None:
    """The domain controller that a name leads to, and the domain that it is asked for; None where nobody answers."""
    controllers = [machine] if machine.role == "dc" else []
    controllers += [one for one in machine.engine.machines("dc") if one is not machine]
    wanted = server.lower()
    for one in controllers:
        for domain in load(one).domains():
            own = {"", domain.dns, domain.netbios.lower(), one.name.lower(), f"{one.name}.{domain.dns}".lower()}
            if machine is one:
                own |= {"localhost", "127.0.0.1"}
            if wanted in own:
                return one, domain
    return None


def _account(store: Store, domain: Domain, user: str) -> Entry | None:
    """The account that a logon name means: DOMAIN\\name, UPN, or DN."""
    netbios, backslash, name = user.rpartition("\\")
    if backslash and netbios.casefold() != domain.netbios.casefold():
        return None
    for entry in store.entries.values():
        implicit = f"{entry.text('samaccountname')}@{domain.dns}"
        own = {entry.text("userprincipalname"), implicit, entry.dn} if not backslash else {entry.text("samaccountname")}
        if name.casefold() in {one.casefold() for one in own if one} and store.home(entry.dn) == domain:
            return entry
    return None


# -- inside: searching --


def _search(view: View, search: Mapping[str, Any]) -> Result:
    base, scope = search["base"], search["scope"]
    limit, ranges = search.get("size_limit", 0), search.get("ranges", {})
    answer: Result = {"id": search["id"], "ok": True, "entries": [], "more": False, "references": [], "error": None}
    try:
        found: list[Result] = []
        for entry in _found(view, base, scope, search["filter"] or "(objectClass=*)"):
            if limit and len(found) == limit:
                answer["more"] = True
                break
            found.append(_shown(view, entry, search["attributes"], ranges))
        answer["entries"] = found
    except LdapError as error:
        answer["references"] = list(error.references)
        if error.code != ENTRY_MISSING:
            told = _error(error.code, error.win32, base, "search").to_json("Search-Directory")
            answer |= {"ok": False, "error": told}
    return answer


def _found(view: View, base: str, scope: str, text: str) -> Iterator[Entry]:
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
        _elsewhere(view, base)
        raise LdapError(ENTRY_MISSING, 0x2030)
    if start is not None and not view.shows(start.dn):
        _elsewhere(view, start.dn)
        raise LdapError(ENTRY_MISSING, 0x2030)
    key = dn_key(start.dn) if start is not None else ()
    for entry in store.entries.values():
        own = dn_key(entry.dn)
        if not view.shows(entry.dn) or own[len(own) - len(key) :] != key:
            continue
        inside = {"base": own == key, "one": parent_key(entry.dn) == key, "sub": True}[scope]
        if inside and matches(tree, store.subject(entry)):
            yield entry


def _elsewhere(view: View, dn: str) -> None:
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


# -- inside: editing --


def _edit(view: View, edit: Mapping[str, Any], changes: Sequence[GivenChange]) -> Result | None:
    """Do one edit; None, or the error that it met."""
    target, expect = edit["target"], edit["expect"]
    try:
        if expect and not any(_found(view, target, "base", expect)):
            why = f"the entry does not match {expect} any more; nothing was sent"
            return VerbError("conflict", target, why).to_json("Edit-Directory")
        store = _fresh(view.machine)
        entry = store.find(target)
        if entry is not None and not view.shows(entry.dn):
            _elsewhere(view, entry.dn)
        if view.catalog:
            raise LdapError(UNWILLING)  # a global catalog is read only
        if not view.may_write:
            raise LdapError(50, 0x2098)
        match edit["op"]:
            case "add":
                attributes: dict[str, list[bytes]] = {}
                for change in changes:
                    attributes.setdefault(change.attribute, []).extend(change.values)
                classes = next((found for name, found in attributes.items() if name.lower() == "objectclass"), [b""])
                store.add(target, edit["class"] or classes[-1].decode("utf-8", "replace"), attributes)
            case "modify":
                store.modify(target, [(change.attribute, change.op, change.values) for change in changes])
            case _:
                store.delete(target)
    except LdapError as error:
        return _error(error.code, error.win32, target, edit["op"]).to_json("Edit-Directory")
    view.machine.state.write(DOCUMENT, store.to_json())
    return None


def _error(code: int, win32: int | None, where: str, doing: str) -> VerbError:
    """An LDAP result code in the words of powershell/directory.ps1."""
    kind, why = WORDS.get(code, ("unknown", "it was refused"))
    if code == UNWILLING and win32 == 0x561:  # noqa: PLR2004 - ERROR_MEMBER_NOT_IN_ALIAS
        kind, why = WORDS[16]
    if code == UNWILLING and win32 in GROUP_RULES:
        kind, why = "invalid", "a rule of groups forbids it"
    if code == ENTRY_MISSING and win32 == 0x525:  # noqa: PLR2004 - ERROR_NO_SUCH_USER
        why = "a value names an object that does not exist"
    numbers = f"LDAP {code}" + ("" if win32 is None else f", Windows {win32:X}")
    return VerbError(kind, where, f"{doing}: {why} ({numbers})", ldap=code, win32=win32)
