"""
Text of LDAP: escapes of filters and names, binary SIDs and GUIDs. Pure; what is searched is in directory_search.py.

RFC 4514 (distinguished names), RFC 4515 (filters), [MS-DTYP] 2.4.2.2 (SID), [MS-ADTS] 3.1.1.3.1.2.4 (names in angle brackets).
"""

from __future__ import annotations

import re
import struct
import uuid
from typing import Final

SPECIAL: Final = '",+;<>\\='
MAX_SUBAUTHORITIES: Final = 15


def filter_value(value: str | bytes) -> str:
    """A value as it stands in a filter: text keeps its letters, bytes are escaped one by one."""
    if isinstance(value, bytes):
        return "".join(f"\\{byte:02x}" for byte in value)
    return "".join(f"\\{ord(char):02x}" if char in "*()\\\0" else char for char in value)


def dn_value(value: str) -> str:
    """A value as it stands in a distinguished name. Raises ValueError for the empty text, which no name has."""
    if not value:
        raise ValueError("a part of a distinguished name cannot be empty")
    last = len(value) - 1
    pieces = []
    for index, char in enumerate(value):
        if char == "\0":
            pieces.append("\\00")
        elif char in "\r\n":
            pieces.append(f"\\{ord(char):02X}")  # legal as they stand, but no log shows them
        elif char in SPECIAL or (index == 0 and char in " #") or (index == last and char == " "):
            pieces.append(f"\\{char}")
        else:
            pieces.append(char)
    return "".join(pieces)


def parse_dn(dn: str) -> tuple[tuple[str, str], ...]:
    """
    A distinguished name as (attribute in lower case, value without escapes), nearest part first.

    Raises ValueError for what is none: no `=`, an empty part, a bare special character, a broken escape, several values in one part (`+`).
    """
    parts = []
    at = 0
    while True:
        equals = dn.find("=", at)
        attribute = dn[at:equals].strip(" ") if equals >= 0 else ""
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)+", attribute):
            raise ValueError(f"{dn!r} is no distinguished name: no attribute before {dn[at:]!r}")
        value, at = _value(dn, equals + 1)
        parts.append((attribute.lower(), value))
        if at >= len(dn):
            return tuple(parts)
        at += 1


def _value(dn: str, at: int) -> tuple[str, int]:
    """The value that begins at `at`, and where it ends: at a comma, or behind the text."""
    data = bytearray()
    kept = 0  # up to here nothing is white space at the end
    while at < len(dn) and dn[at] == " ":
        at += 1
    while at < len(dn) and dn[at] != ",":
        if dn[at] == "\\":
            if pair := re.match(r"[0-9A-Fa-f]{2}", dn[at + 1 : at + 3]):
                data.append(int(pair[0], 16))
                at += 3
            elif at + 1 < len(dn) and dn[at + 1] in f"{SPECIAL} #":
                data += dn[at + 1].encode()
                at += 2
            else:
                raise ValueError(f"{dn!r} is no distinguished name: a broken escape at {dn[at:]!r}")
            kept = len(data)
            continue
        if dn[at] in '"+;<>':
            raise ValueError(f"{dn!r} is no distinguished name: {dn[at]!r} needs a backslash")
        data += dn[at].encode("utf-8", "surrogatepass")
        at += 1
        if dn[at - 1] != " ":
            kept = len(data)
    if not kept:
        raise ValueError(f"{dn!r} is no distinguished name: an empty part")
    try:
        return bytes(data[:kept]).decode("utf-8"), at
    except UnicodeDecodeError:
        raise ValueError(f"{dn!r} is no distinguished name: an escape that is not UTF-8") from None


def sid_to_text(data: bytes) -> str:
    """A binary SID as `S-1-5-...`. Raises ValueError for bytes that are none."""
    if len(data) < 8 or data[0] != 1 or data[1] > MAX_SUBAUTHORITIES or len(data) != 8 + 4 * data[1]:  # noqa: PLR2004 - its head has 8 bytes
        raise ValueError(f"{len(data)} bytes that are no SID")
    subs = struct.unpack(f"<{data[1]}I", data[8:])
    authority = int.from_bytes(data[2:8], "big")
    # [MS-DTYP] 2.4.2.1: from 2**32 on the authority is written in hex.
    return "-".join(["S-1", str(authority) if authority < 2**32 else f"0x{authority:012X}", *map(str, subs)])


def sid_to_bytes(text: str) -> bytes:
    """`S-1-5-...` as the directory keeps it. Raises ValueError for a text that is no SID."""
    match = re.fullmatch(r"S-1-([0-9]+|0x[0-9A-F]{12})((?:-[0-9]+)*)", text, re.IGNORECASE | re.ASCII)
    if not match:
        raise ValueError(f"{text!r} is no SID")
    authority = int(match[1], 16) if match[1][:2].lower() == "0x" else int(match[1])
    subs = [int(sub) for sub in match[2].split("-")[1:]]
    if authority >= 2**48 or len(subs) > MAX_SUBAUTHORITIES or any(sub >= 2**32 for sub in subs):
        raise ValueError(f"{text!r} is no SID: a number is too large, or there are too many")
    return bytes([1, len(subs)]) + authority.to_bytes(6, "big") + struct.pack(f"<{len(subs)}I", *subs)


def guid_to_text(data: bytes) -> str:
    """A binary objectGUID (its first three fields are little-endian) in the usual text. Raises ValueError for other than 16 bytes."""
    return str(uuid.UUID(bytes_le=data))


def guid_to_bytes(text: str) -> bytes:
    """The usual text of a GUID, braces or not, as the directory keeps it. Raises ValueError for a text that is none."""
    if not re.fullmatch(r"\{?[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}\}?", text, re.IGNORECASE | re.ASCII):
        raise ValueError(f"{text!r} is no GUID")
    return uuid.UUID(text.strip("{}")).bytes_le
