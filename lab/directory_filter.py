"""
Distinguished names and search filters of the lab's directory: how two of them compare, and whether an entry matches. No state.

ldap3 parses a filter (facts/ad.md 6: of what is on PyPI, only its parser is right); what it means is evaluated here, by attribute syntax as
Active Directory does: the bit rules, the chain rule, DNs without regard to case and spaces, SIDs as bytes or text.
"""

from __future__ import annotations

import re
import struct
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

from ldap3.core.exceptions import LDAPExceptionError
from ldap3.operation.search import compile_filter, parse_filter

DnKey: TypeAlias = tuple[str, ...]

DN_SYNTAX: Final = frozenset(
    {"member", "memberof", "distinguishedname", "objectcategory", "ncname", "manager", "managedby"}
)
INTEGER_SYNTAX: Final = frozenset(
    {
        "grouptype",
        "primarygroupid",
        "useraccountcontrol",
        "systemflags",
        "usnchanged",
        "usncreated",
        "samaccounttype",
        "instancetype",
    }
)
BYTES_SYNTAX: Final = frozenset({"objectguid", "objectsid"})
BIT_AND: Final = "1.2.840.113556.1.4.803"
BIT_OR: Final = "1.2.840.113556.1.4.804"
CHAIN: Final = "1.2.840.113556.1.4.1941"


class DnError(ValueError):
    """A distinguished name that does not parse."""


class FilterError(ValueError):
    """A filter that does not parse."""


# -- distinguished names --


def split_dn(dn: str) -> list[tuple[str, str]]:
    """The parts of a DN, nearest first, as (attribute as written, value without its escapes). Raises DnError; "" has no parts."""
    if not dn.strip():
        return []
    parts: list[tuple[str, str]] = []
    for text in _cut(dn, ","):
        attribute, equals, raw = text.partition("=")
        attribute = attribute.strip()
        if (
            not equals
            or not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)+", attribute)
            or len(_cut(text, "+")) > 1
        ):
            raise DnError(dn)
        parts.append((attribute, _unescape(raw, dn)))
    return parts


@lru_cache(maxsize=16384)
def dn_key(dn: str) -> DnKey:
    """What two spellings of one DN have in common, nearest part first. Raises DnError."""
    return tuple(f"{attribute.lower()}={value.casefold()}" for attribute, value in split_dn(dn))


def parent_of(dn: str) -> str:
    """The DN without its first part, as it was spelled; "" where nothing is left."""
    return ",".join(_cut(dn, ",")[1:]).strip()


def _cut(text: str, at: str) -> list[str]:
    pieces, piece, escaped = [], "", False
    for char in text:
        if char == at and not escaped:
            pieces.append(piece)
            piece = ""
            continue
        piece += char
        escaped = char == "\\" and not escaped
    return [*pieces, piece]


def _unescape(raw: str, dn: str) -> str:
    stripped = raw.lstrip(" ")
    ending = stripped.rstrip(" ")
    if len(ending) < len(stripped) and (len(ending) - len(ending.rstrip("\\"))) % 2:
        ending += " "  # the last space is escaped
    data, at = bytearray(), 0
    while at < len(ending):
        char = ending[at]
        if char != "\\":
            if char in '";<>':
                raise DnError(dn)
            data += char.encode()
            at += 1
        elif pair := re.match(r"[0-9A-Fa-f]{2}", ending[at + 1 :]):
            data.append(int(pair[0], 16))
            at += 3
        elif at + 1 < len(ending) and ending[at + 1] in ' "#+,;<=>\\':
            data += ending[at + 1].encode()
            at += 2
        else:
            raise DnError(dn)
    if not data:
        raise DnError(dn)
    return data.decode("utf-8", "replace")


# -- security identifiers --


def sid_bytes(text: str) -> bytes:
    """`S-1-5-21-...` as the directory keeps it ([MS-DTYP] 2.4.2.2). Raises ValueError."""
    if not re.fullmatch(r"[Ss]-1-[0-9]+(-[0-9]+){0,15}", text):
        raise ValueError(text)
    authority, *subs = (int(part) for part in text.split("-")[2:])
    return bytes([1, len(subs)]) + authority.to_bytes(6, "big") + b"".join(struct.pack("<I", sub) for sub in subs)


def sid_text(data: bytes) -> str:
    """The text of a binary SID."""
    subs = struct.unpack(f"<{data[1]}I", data[8 : 8 + 4 * data[1]])
    return "-".join(["S-1", str(int.from_bytes(data[2:8], "big")), *map(str, subs)])


# -- filters --


@dataclass(frozen=True)
class Subject:
    """
    The entry that is tested: `values` gives an attribute's values by its lower-case name, `linked` the keys of all DNs that are reached
    from it over a link attribute, at any depth.
    """

    values: Callable[[str], Sequence[bytes]]
    linked: Callable[[str], frozenset[DnKey]]


def parse(text: str) -> Any:
    """The tree of a filter, as pyasn1 has it. Raises FilterError."""
    # The parser lets these through, and would look for the text "\zz".
    if re.search(r"\\(?![0-9A-Fa-f]{2})", text):
        raise FilterError(text)
    try:
        return compile_filter(parse_filter(text, None, True, True, None, False).elements[0])
    except (LDAPExceptionError, IndexError, ValueError) as error:
        raise FilterError(text) from error


def matches(tree: Any, subject: Subject) -> bool:
    """Whether an entry matches. An attribute that is not there matches nothing."""
    kind, node = tree.getName(), tree.getComponent()
    match kind:
        case "and":
            return all(matches(one, subject) for one in node)
        case "or":
            return any(matches(one, subject) for one in node)
        case "notFilter":
            return not matches(node["innerNotFilter"], subject)
        case "present":
            return bool(subject.values(str(node).lower()))
        case "equalityMatch" | "approxMatch":
            name = str(node["attributeDesc"]).lower()
            wanted = normal(name, bytes(node["assertionValue"]))
            return wanted is not None and any(normal(name, value) == wanted for value in subject.values(name))
        case "greaterOrEqual" | "lessOrEqual":
            name = str(node["attributeDesc"]).lower()
            return any(_ordered(name, value, bytes(node["assertionValue"]), kind) for value in subject.values(name))
        case "substringFilter":
            return _substring(node, subject)
        case "extensibleMatch":
            return _extensible(node, subject)
    raise FilterError(kind)


def normal(name: str, value: bytes) -> object:
    """A value in the form in which values of that attribute are compared; None for one that cannot be equal to any."""
    if name in BYTES_SYNTAX:
        if name == "objectsid" and value[:2] in (b"S-", b"s-"):
            try:
                return sid_bytes(value.decode("ascii"))
            except ValueError:
                return None
        return value
    text = value.decode("utf-8", "replace")
    if name in INTEGER_SYNTAX:
        return int(text) if re.fullmatch(r"-?[0-9]+", text) else None
    if name in DN_SYNTAX:
        try:
            return dn_key(text)
        except DnError:
            return None
    return " ".join(text.casefold().split())


def guid_of(text: str) -> uuid.UUID | None:
    """A GUID as `<GUID=...>` takes it: with dashes the usual text, 32 digits the order of the bytes ([MS-ADTS] 3.1.1.3.1.2.4)."""
    if re.fullmatch(r"[0-9A-Fa-f]{32}", text):
        return uuid.UUID(bytes_le=bytes.fromhex(text))
    if re.fullmatch(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", text):
        return uuid.UUID(text)
    return None


def _ordered(name: str, value: bytes, limit: bytes, kind: str) -> bool:
    left, right = normal(name, value), normal(name, limit)
    if isinstance(left, int) and isinstance(right, int):
        return left >= right if kind == "greaterOrEqual" else left <= right
    if isinstance(left, str) and isinstance(right, str):
        return left >= right if kind == "greaterOrEqual" else left <= right
    return False


def _substring(node: Any, subject: Subject) -> bool:
    name = str(node["type"]).lower()
    if name in DN_SYNTAX | INTEGER_SYNTAX | BYTES_SYNTAX:
        return False  # those syntaxes have no substring rule
    pattern, last = "", ""
    for part in node["substrings"]:
        text = re.escape(bytes(part.getComponent()).decode("utf-8", "replace").casefold())
        last = part.getName()
        pattern += text if last == "initial" else f".*{text}"
    pattern += "" if last == "final" else ".*"
    return any(
        re.fullmatch(pattern, value.decode("utf-8", "replace").casefold(), re.DOTALL) for value in subject.values(name)
    )


def _extensible(node: Any, subject: Subject) -> bool:
    name, rule = str(node["type"]).lower(), str(node["matchingRule"])
    value = bytes(node["matchValue"])
    if rule == CHAIN:
        wanted = normal(name, value)
        return wanted is not None and wanted in subject.linked(name)
    asked = normal(name, value)
    if not isinstance(asked, int):
        return False
    # Signed and unsigned spellings of 32 bits mean the same (facts/ad.md 2, groupType).
    asked &= 0xFFFFFFFF
    bits = [int(own) & 0xFFFFFFFF for own in subject.values(name) if name in INTEGER_SYNTAX]
    if rule == BIT_AND:
        return any(own & asked == asked for own in bits)
    if rule == BIT_OR:
        return any(own & asked for own in bits)
    return False
