"""
What an entry of the lab's directory is: its attributes, its members, its domain, and how one plain attribute changes. What the rest of the
forest has to say to a change is directory_store.py's.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lab.directory_filter import DnKey, dn_key, sid_bytes

SPACE: Final = uuid.UUID(
    "5f1d3b2a-9b0c-5d6e-8f70-616263646566"
)  # GUIDs of what a new directory holds are made from names
GLOBAL, LOCAL, UNIVERSAL, SECURITY = 2, 4, 8, 0x80000000
CLASSES: Final[Mapping[str, tuple[str, ...]]] = {
    "user": ("top", "person", "organizationalPerson", "user"),
    "computer": ("top", "person", "organizationalPerson", "user", "computer"),
    "msds-groupmanagedserviceaccount": ("top", "person", "organizationalPerson", "user", "computer", "msDS-GroupManagedServiceAccount"),
    "contact": ("top", "person", "organizationalPerson", "contact"),
    "group": ("top", "group"),
    "foreignsecurityprincipal": ("top", "foreignSecurityPrincipal"),
    "container": ("top", "container"),
    "organizationalunit": ("top", "organizationalUnit"),
    "domaindns": ("top", "domain", "domainDNS"),
    "configuration": ("top", "configuration"),
    "crossrefcontainer": ("top", "crossRefContainer"),
    "crossref": ("top", "crossRef"),
}  # fmt: skip
PRINCIPALS: Final = ("user", "computer", "group", "msds-groupmanagedserviceaccount")
MANY: Final = frozenset(
    {"objectclass", "serviceprincipalname", "proxyaddresses", "member", "othertelephone", "dnsroot"}
)
COMPUTED: Final = frozenset(
    {"memberof", "distinguishedname", "objectguid", "name", "objectsid", "usnchanged", "usncreated", "objectclass"}
)
HIDDEN: Final = "unicodepwd"  # can be written, never read
WELL_KNOWN_FSP: Final = "22b70c67d56e4efb91e9300fca3dc1aa"


class LdapError(Exception):
    """A result code that is no success; `win32` is the number that begins Windows' text, None where the facts give none."""

    def __init__(self, code: int, win32: int | None = None, references: Sequence[str] = ()) -> None:
        super().__init__(code, win32)
        self.code, self.win32, self.references = code, win32, tuple(references)


@dataclass
class Entry:
    """One object. `attributes` has stored values by lower-case name; members are links, kept by GUID, so a renamed member stays one."""

    guid: uuid.UUID
    dn: str
    attributes: dict[str, list[bytes]] = field(default_factory=dict)
    members: list[uuid.UUID] = field(default_factory=list)

    def text(self, name: str, default: str = "") -> str:
        """The first value of an attribute as text."""
        found = self.attributes.get(name)
        return found[0].decode("utf-8", "replace") if found else default

    def number(self, name: str) -> int:
        """The first value of an attribute as a number, 0 where there is none."""
        return int(self.text(name, "0"))

    @property
    def kind(self) -> str:
        """Its most special class, in lower case."""
        return self.attributes["objectclass"][-1].decode().lower()

    @property
    def sid(self) -> bytes:
        """Its SID, b"" for what has none."""
        return (self.attributes.get("objectsid") or [b""])[0]


@dataclass(frozen=True)
class Domain:
    """A domain of the forest."""

    dn: str
    dns: str
    netbios: str
    sid: bytes

    @property
    def key(self) -> DnKey:
        """Of its DN."""
        return dn_key(self.dn)


def change(attributes: dict[str, list[bytes]], name: str, op: str, values: Sequence[bytes]) -> None:
    """Change one plain attribute. Strict: what is there is not added again, what is not there is not deleted."""
    now = attributes.get(name, [])
    if op != "delete" and b"" in values:
        raise LdapError(
            21
        )  # invalidAttributeSyntax: no text of the schema is empty (as Samba answers; AD's own answer is not known)
    if op == "add":
        if any(value in now for value in values) or len(set(values)) < len(values):
            raise LdapError(20, 0x2083)
        after = [*now, *values]
        if len(after) > 1 and name not in MANY:
            raise LdapError(20, 0x200D)
    elif op == "delete":
        if not now or any(value not in now for value in values):
            raise LdapError(16, 0x2085)
        after = [value for value in now if value not in values] if values else []
    else:
        after = list(values)
    if after:
        attributes[name] = after
    else:
        attributes.pop(name, None)


def sid_of(text: str) -> bytes:
    """The bytes of a SID in text or hex. Raises LdapError 34."""
    try:
        return sid_bytes(text) if text[:2].upper() == "S-" else bytes.fromhex(text)
    except ValueError:
        raise LdapError(34) from None


def to_json(value: bytes) -> Any:
    """A value as the document holds it: text where it is text."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return {"hex": value.hex()}
    return text if text.isprintable() else {"hex": value.hex()}


def from_json(value: Any) -> bytes:
    """The way back of `to_json`."""
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) else str(value).encode()
