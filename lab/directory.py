"""
Search-Directory and Edit-Directory of the python engine, and the directory of a domain controller: `directory.json` in its folder.

What one may do to an entry is directory_store.py's, names and filters are directory_filter.py's, what a server shows is
directory_view.py's. Here: which server answers, as whom, and edits. Answers as a Windows host: signed and sealed with the logon, or TLS with a
credential.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from lab.directory_entry import HIDDEN, Domain, Entry, LdapError
from lab.directory_error import ENTRY_MISSING, UNWILLING, refused
from lab.directory_filter import dn_key
from lab.directory_given import GivenChange, changes_of, check_search
from lab.directory_new import add_domain, new_forest
from lab.directory_store import Store
from lab.directory_view import View, elsewhere, entries_of, searched
from lab.verbs import Result, VerbError

if TYPE_CHECKING:
    from lab.python_engine import PythonMachine

DOCUMENT: Final = "directory"
DNS: Final = "contoso.com"
NETBIOS: Final = "CONTOSO"
PORTS: Final = {389: (False, False), 636: (True, False), 3268: (False, True), 3269: (True, True)}  # TLS, global catalog
DISABLED: Final = 2  # userAccountControl
ADMINISTRATORS: Final = (b"\x00\x02\x00\x00", b"\x07\x02\x00\x00", b" \x02\x00\x00")  # RIDs 512, 519, 544

_stores: weakref.WeakKeyDictionary[PythonMachine, tuple[Any, Store]] = weakref.WeakKeyDictionary()


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
    return {"server": view.name, "searches": [searched(view, one) for one in searches]}


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
        raise refused(81, None, where, f"bind as {who}")
    holder, domain = found
    if credential is None:
        # The logon came over the network: this host may act as it here, but cannot pass it on (facts/ad.md 0.8).
        if holder is not machine:
            raise refused(82, None, where, "bind as the logon")
        return View(holder, domain, PORTS[port][1], may_write=True, read=lambda: load(holder))
    account = _account(load(holder), domain, who)
    if account is None or account.attributes.get(HIDDEN) != [(password or "").encode()]:
        raise refused(49, 0x52E, where, f"bind as {who}")
    if account.number("useraccountcontrol") & DISABLED:
        raise refused(49, 0x533, where, f"bind as {who}")
    groups = load(holder).subject(account).linked("memberof")
    known = load(holder)
    rids = {known.entries[known.by_dn[key]].sid[-4:] for key in groups}
    may_write = bool(rids.intersection(ADMINISTRATORS))
    return View(holder, domain, PORTS[port][1], may_write, read=lambda: load(holder))


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


# -- inside: editing --


def _edit(view: View, edit: Mapping[str, Any], changes: Sequence[GivenChange]) -> Result | None:
    """Do one edit; None, or the error that it met."""
    target, expect = edit["target"], edit["expect"]
    try:
        if expect and not any(entries_of(view, target, "base", expect)):
            why = f"the entry does not match {expect} any more; nothing was sent"
            return VerbError("conflict", target, why).to_json("Edit-Directory")
        store = _fresh(view.machine)
        entry = store.find(target)
        if entry is not None and not view.shows(entry.dn):
            elsewhere(view, entry.dn)
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
        return refused(error.code, error.win32, target, edit["op"]).to_json("Edit-Directory")
    view.machine.state.write(DOCUMENT, store.to_json())
    return None
