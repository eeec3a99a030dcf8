"""
What the lab's directory holds, and what Active Directory lets one do to it: entries, links, domains, groups. No verbs, no connection, no disk.

What one entry is: directory_entry.py. Rules and codes are facts/ad.md 3 and 4; where those are silent, the choice is said at the place. Several
domains of one forest may be in one store; whose domain controller is asked is lab/directory.py's.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lab.directory_entry import (
    CLASSES,
    COMPUTED,
    GLOBAL,
    LOCAL,
    PRINCIPALS,
    SECURITY,
    SPACE,
    UNIVERSAL,
    WELL_KNOWN_FSP,
    Domain,
    Entry,
    LdapError,
    change,
    from_json,
    sid_of,
    to_json,
)
from lab.directory_filter import DnError, DnKey, Subject, dn_key, guid_of, parent_of, sid_bytes, sid_text, split_dn

NAMING: Final = "cn"  # what the entries that verbs edit have in their DN; renaming them is another request of LDAP


class Store:
    """The entries of a forest, in memory. `to_json` and `Store(...)` are each other's way back."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.usn: int = document["usn"]
        self.next_rid: dict[str, int] = dict(document["next_rid"])
        self.max_range: int = document["max_range"]
        self.max_change: int = document["max_change"]
        self.entries: dict[uuid.UUID, Entry] = {}
        self.by_dn: dict[DnKey, uuid.UUID] = {}
        self._domains: list[Domain] = []  # as last seen, forgotten when a cross reference comes or goes
        for one in document["entries"]:
            values = {name: [from_json(value) for value in found] for name, found in one["attributes"].items()}
            self._put(
                Entry(uuid.UUID(one["guid"]), one["dn"], values, [uuid.UUID(text) for text in one.get("members", [])])
            )

    def to_json(self) -> dict[str, Any]:
        """The document that this store is made of again."""
        entries = []
        for entry in self.entries.values():
            values = {name: [to_json(value) for value in found] for name, found in entry.attributes.items()}
            one: dict[str, Any] = {"guid": str(entry.guid), "dn": entry.dn, "attributes": values}
            entries.append(one | {"members": [str(guid) for guid in entry.members]} if entry.members else one)
        return {
            "usn": self.usn,
            "next_rid": self.next_rid,
            "max_range": self.max_range,
            "max_change": self.max_change,
            "entries": entries,
        }

    # -- reading --

    def domains(self) -> Sequence[Domain]:
        """The domains of the forest, its root first."""
        if self._domains:
            return self._domains
        found = self._domains
        for entry in self.entries.values():
            if entry.kind == "crossref" and entry.number("systemflags") & 2:
                domain = self.entries[self.by_dn[dn_key(entry.text("ncname"))]]
                found.append(Domain(domain.dn, entry.text("dnsroot"), entry.text("netbiosname"), domain.sid))
        return self._domains

    def home(self, dn: str) -> Domain | None:
        """The domain that an entry is in; None for the configuration."""
        key = dn_key(dn)
        held = [domain for domain in self.domains() if key[-len(domain.key) :] == domain.key]
        best = max(held, key=lambda domain: len(domain.key), default=None)
        return None if best is None or "cn=configuration" in key[: len(key) - len(best.key)] else best

    def find(self, name: str) -> Entry | None:
        """An entry by DN, `<GUID=>`, `<SID=>` or `<WKGUID=,>`; None where there is none. LdapError 34 for what is none of these."""
        if name.startswith("<"):
            kind, _, text = name[1:].removesuffix(">").partition("=")
            match kind.upper():
                case "GUID" if (guid := guid_of(text)) is not None:
                    return self.entries.get(guid)
                case "SID":
                    sid = sid_of(text)
                    return next(
                        (entry for entry in self.entries.values() if entry.sid == sid and entry.kind != "domaindns"),
                        None,
                    )
                case "WKGUID" if text.partition(",")[0].lower() == WELL_KNOWN_FSP:
                    return self.find(f"CN=ForeignSecurityPrincipals,{text.partition(',')[2]}")
            raise LdapError(34)
        try:
            guid = self.by_dn.get(dn_key(name))
        except DnError:
            raise LdapError(34) from None
        return self.entries[guid] if guid is not None else None

    def values(self, entry: Entry, name: str) -> list[bytes]:
        """The values of an attribute by its lower-case name, stored, linked or computed."""
        match name:
            case "distinguishedname":
                return [entry.dn.encode()]
            case "objectguid":
                return [entry.guid.bytes_le]
            case "member":
                return [self.entries[guid].dn.encode() for guid in entry.members]
            case "memberof":
                return [group.dn.encode() for group in self.groups_of(entry)]
            case "name":
                return [split_dn(entry.dn)[0][1].encode()]
            case "unicodepwd":
                return []
        return entry.attributes.get(name, [])

    def groups_of(self, entry: Entry) -> Iterator[Entry]:
        """The groups that hold an entry directly."""
        return (group for group in self.entries.values() if entry.guid in group.members)

    def subject(self, entry: Entry) -> Subject:
        """An entry as a filter sees it."""
        return Subject(lambda name: self.values(entry, name), lambda name: self._linked(entry, name))

    def _linked(self, entry: Entry, name: str) -> frozenset[DnKey]:
        seen: set[uuid.UUID] = set()
        open_ends = [entry]
        while open_ends:
            one = open_ends.pop()
            nearest = [self.entries[guid] for guid in one.members] if name == "member" else list(self.groups_of(one))
            for other in nearest if name in ("member", "memberof") else []:
                if other.guid not in seen:
                    seen.add(other.guid)
                    open_ends.append(other)
        return frozenset(dn_key(self.entries[guid].dn) for guid in seen)

    # -- writing: each raises LdapError and has then changed nothing --

    def add(self, dn: str, class_name: str, attributes: Mapping[str, Sequence[bytes]]) -> Entry:
        """Make an entry. A missing groupType is a global security group, a missing sAMAccountName the cn."""
        given = {name.lower(): list(found) for name, found in attributes.items()}
        try:
            parts = split_dn(dn)
        except DnError:
            raise LdapError(34) from None
        if self.find(dn) is not None:
            raise LdapError(68, 0x2071)
        kind = class_name.lower()
        parent = self.find(parent_of(dn))
        if kind != "domaindns" and parent is None:
            raise LdapError(32, 0x2030)
        if kind not in CLASSES or not parts:
            raise LdapError(65)
        members = given.pop("member", [])
        stored = given | {"objectclass": [name.encode() for name in CLASSES[kind]]}
        stored.setdefault(parts[0][0].lower(), [parts[0][1].encode()])
        entry = Entry(uuid.uuid4(), dn, stored)
        if kind in PRINCIPALS:
            self._principal(entry, kind)
        changed = [(entry, self._checked(entry, members))] if members else []
        self._put(entry)
        for group, added in changed:
            group.members += added
        self._touch(entry, created=True)
        return entry

    def _principal(self, entry: Entry, kind: str) -> None:
        stored = entry.attributes
        home = self.home(entry.dn)
        if home is None:
            raise LdapError(64)
        stored.setdefault("samaccountname", stored["cn"])
        name = entry.text("samaccountname")
        if not name or len(name) > 256:  # noqa: PLR2004 - ADSchema, a-samaccountname
            raise LdapError(19, 0x202F)
        self._free_name(name, home)
        if kind == "group":
            stored.setdefault("grouptype", [str(-SECURITY + GLOBAL).encode()])
            self._valid_type(entry.number("grouptype"))
        else:
            stored.setdefault("primarygroupid", [b"515" if kind != "user" else b"513"])
            stored.setdefault("useraccountcontrol", [b"4096" if kind != "user" else b"512"])
        if "objectsid" not in stored:
            rid = self.next_rid[home.dns]
            self.next_rid[home.dns] = rid + 1
            stored["objectsid"] = [sid_bytes(f"{sid_text(home.sid)}-{rid}")]

    def _free_name(self, name: str, home: Domain, own: uuid.UUID | None = None) -> None:
        for other in self.entries.values():
            if (
                other.guid != own
                and other.text("samaccountname").casefold() == name.casefold()
                and self.home(other.dn) == home
            ):
                raise LdapError(68, 0x524)

    def _valid_type(self, value: int) -> None:
        if value & 0xF & ~1 not in (GLOBAL, LOCAL, UNIVERSAL):
            raise LdapError(53, 0x2141)

    def modify(self, target: str, changes: Sequence[tuple[str, str, Sequence[bytes]]]) -> None:
        """Change an entry: all of (attribute, add | delete | replace, values), or nothing."""
        entry = self._must(target)
        attributes = {name: list(found) for name, found in entry.attributes.items()}
        members = list(entry.members)
        new: list[Entry] = []
        for attribute, op, values in changes:
            name = attribute.lower()
            if len(values) > self.max_change:
                raise LdapError(11, 0x2024)
            if name == "member":
                members = self._members(entry, members, op, values, new)
            elif name in COMPUTED:
                raise LdapError(53)
            elif name == NAMING:
                raise LdapError(67, 0x2016)  # RFC 4511 4.6; the number of Windows is what Samba says
            else:
                change(attributes, name, op, values)
        self._consistent(entry, attributes)
        for one in new:
            self._put(one)
            self._touch(one, created=True)
        entry.attributes, entry.members = attributes, members
        self._touch(entry)

    def _members(
        self, group: Entry, now: list[uuid.UUID], op: str, values: Sequence[bytes], new: list[Entry]
    ) -> list[uuid.UUID]:
        if group.kind != "group":
            raise LdapError(65)
        if op == "add":
            return [*now, *self._checked(group, values, now, new)]
        if op == "replace" or not values:
            # Builtin groups take no replace (microsoft.ad #130); of other groups the verbs never ask it.
            raise LdapError(53)
        left = list(now)
        for value in values:
            member = self._member(group, value.decode("utf-8", "replace"), [])
            if member.guid not in left:
                raise LdapError(16, 0x561)
            left.remove(member.guid)
        return left

    def _checked(
        self, group: Entry, values: Sequence[bytes], now: Sequence[uuid.UUID] = (), new: list[Entry] | None = None
    ) -> list[uuid.UUID]:
        """The GUIDs of members to be added, each one allowed in that group and not in it yet."""
        added: list[uuid.UUID] = []
        for value in values:
            member = self._member(group, value.decode("utf-8", "replace"), [] if new is None else new)
            # A DN twice in one request: 20 or 68 is to be expected of AD (facts/ad.md 10 d); Samba stores it twice.
            if member.guid in now or member.guid in added or self._is_primary(group, member):
                raise LdapError(68, 0x562)
            self._may_hold(group, member)
            added.append(member.guid)
        return added

    def _member(self, group: Entry, name: str, new: list[Entry]) -> Entry:
        found = self.find(name)
        if found is not None:
            return found
        if not name.upper().startswith("<SID="):
            raise LdapError(32, 0x525)
        sid = sid_of(name[5:].removesuffix(">"))
        # Of our own forest: an object that does not exist. Which code AD gives is not known (facts/ad.md 3, FSP).
        if any(sid[8:-4] == domain.sid[8:] for domain in self.domains()):
            raise LdapError(32, 0x525)
        home = self.home(group.dn)
        container = home.dn if home else ""
        dn = f"CN={sid_text(sid)},CN=ForeignSecurityPrincipals,{container}"
        values = {"objectclass": [name.encode() for name in CLASSES["foreignsecurityprincipal"]], "objectsid": [sid]}
        principal = Entry(uuid.uuid4(), dn, values | {"cn": [sid_text(sid).encode()]})
        new.append(principal)
        return principal

    def _is_primary(self, group: Entry, member: Entry) -> bool:
        rid = int.from_bytes(group.sid[-4:], "little")
        return member.number("primarygroupid") == rid and self.home(group.dn) == self.home(member.dn)

    def _may_hold(self, group: Entry, member: Entry) -> None:
        """The table of facts/ad.md 3. Builtin groups count as domain local ones. Self-membership and cycles are let through, as Samba does."""
        if "objectsid" not in member.attributes and member.kind != "contact":
            raise LdapError(65)
        same = self.home(group.dn) == self.home(member.dn)
        scope = group.number("grouptype") & (GLOBAL | LOCAL | UNIVERSAL)
        theirs = member.number("grouptype") & (GLOBAL | LOCAL | UNIVERSAL) if member.kind == "group" else 0
        foreign = member.kind == "foreignsecurityprincipal"
        refused = {
            GLOBAL: {LOCAL: 8516, UNIVERSAL: 8517}.get(theirs) or (0 if same and not foreign else 8519),
            UNIVERSAL: 8518 if theirs == LOCAL else 8549 if foreign else 0,
            LOCAL: 8520 if theirs == LOCAL and not same else 0,
        }[scope]
        if refused:
            raise LdapError(53, refused)

    def _consistent(self, entry: Entry, attributes: Mapping[str, list[bytes]]) -> None:
        after = Entry(entry.guid, entry.dn, dict(attributes))
        before, now = entry.number("grouptype"), after.number("grouptype")
        if before != now:
            self._valid_type(now)
            # Directly from one to the other is refused, and builtin groups keep their scope (facts/ad.md 3).
            if before & 1 or {before & 0xE, now & 0xE} == {GLOBAL, LOCAL}:
                raise LdapError(53, 0x2035)
        name, home = after.text("samaccountname"), self.home(entry.dn)
        if home is not None and name.casefold() != entry.text("samaccountname").casefold():
            self._free_name(name, home, entry.guid)

    def delete(self, target: str) -> None:
        """Remove an entry and every link to it."""
        entry = self._must(target)
        if any(parent_key(other.dn) == dn_key(entry.dn) for other in self.entries.values()):
            raise LdapError(66)
        if entry.text("iscriticalsystemobject") == "TRUE":
            raise LdapError(53)
        for group in list(self.groups_of(entry)):
            group.members.remove(entry.guid)
        del self.by_dn[dn_key(entry.dn)], self.entries[entry.guid]
        self._domains = []
        self.usn += 1

    def rename(self, target: str, dn: str) -> None:
        """Give an entry without children another DN: what no verb does, for tests."""
        entry = self._must(target)
        del self.by_dn[dn_key(entry.dn)]
        entry.dn = dn
        self._put(entry)
        self._touch(entry)

    def insert(self, dn: str, class_name: str, values: Mapping[str, list[bytes]]) -> Entry:
        """Put an entry there as it is, without a rule, its GUID made from its DN: what a new directory holds."""
        attribute, name = split_dn(dn)[0]
        stored = {
            "objectclass": [one.encode() for one in CLASSES[class_name.lower()]],
            attribute.lower(): [name.encode()],
        }
        entry = Entry(uuid.uuid5(SPACE, dn.lower()), dn, stored | {key.lower(): found for key, found in values.items()})
        self._put(entry)
        self._touch(entry, created=True)
        return entry

    def _must(self, target: str) -> Entry:
        entry = self.find(target)
        if entry is None:
            raise LdapError(32, 0x2030)
        return entry

    def _put(self, entry: Entry) -> None:
        if entry.kind == "crossref":
            self._domains = []
        self.entries[entry.guid] = entry
        self.by_dn[dn_key(entry.dn)] = entry.guid

    def _touch(self, entry: Entry, *, created: bool = False) -> None:
        self.usn += 1
        entry.attributes["usnchanged"] = [str(self.usn).encode()]
        if created:
            entry.attributes["usncreated"] = [str(self.usn).encode()]


def parent_key(dn: str) -> DnKey:
    """The key of the DN above; () at the top."""
    return dn_key(dn)[1:]
