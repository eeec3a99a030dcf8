"""
IIS bindings as text and as values: parsing, formatting, which http.sys record answers for one. Thumbprints too.

Pure. What must change about a site's bindings is in iis_bindings.py.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

from model.forms import canonical_host, clean_thumbprint, is_thumbprint
from model.iis import CENTRAL_STORE, SNI, Binding, SslRecord

ANY: Final = "*"  # any IPv4 address; http.sys writes 0.0.0.0
LARGEST_PORT: Final = 65535


@dataclass(frozen=True)
class Endpoint:
    """
    Where an http or https binding listens, in one spelling: equal endpoints are equal values.

    `address` is `*` or an address without brackets, IPv6 in its short form; `host` is lower-case punycode, "" for any.
    """

    address: str
    port: int
    host: str = ""

    def __str__(self) -> str:
        return f"{bracketed(self.address)}:{self.port}:{self.host}"


def endpoint(address: str, port: int, host: str) -> Endpoint:
    """An endpoint from its parts as a user writes them. Raises ValueError that names the bad part."""
    if not 1 <= port <= LARGEST_PORT:
        raise ValueError(f"port is {port}, expected 1 to {LARGEST_PORT}")
    return Endpoint(canonical_address(address), port, canonical_host(host))


def parse(information: str) -> Endpoint:
    """
    An endpoint from `address:port:host` as IIS stores it.

    Read from the right, since an IPv6 address holds colons. An empty address, `0.0.0.0` and `*` are the same; a host `*` is none (facts/iis.md 3 i).
    Raises ValueError that quotes the text.
    """
    rest, separator, host = information.rpartition(":")
    address, second, port = rest.rpartition(":")
    if not separator or not second or not (port.isascii() and port.isdigit()):
        raise ValueError(f"{information!r} is not address:port:host")
    try:
        return endpoint(address, int(port), host)
    except ValueError as error:
        raise ValueError(f"{information!r}: {error}") from None


def parsed(binding: Binding) -> Endpoint | None:
    """The endpoint of a stored binding; None where its protocol has another form or the text cannot be read: it equals nothing then."""
    if binding.protocol.casefold() not in {"http", "https"}:
        return None
    try:
        return parse(binding.information)
    except ValueError:
        return None


def canonical_address(text: str) -> str:
    """`*` for any IPv4, else the address in its short form without brackets. Raises ValueError."""
    bare = text.strip()
    if bare in {"", ANY, "0.0.0.0"}:  # noqa: S104 - compared, nothing listens here
        return ANY
    in_brackets = bare.startswith("[") and bare.endswith("]")
    try:
        address = ipaddress.ip_address(bare[1:-1] if in_brackets else bare)
    except ValueError:
        raise ValueError(f"{text!r} is not *, an IPv4 or an IPv6 address") from None
    if (address.version == 4 and in_brackets) or "%" in str(address):  # noqa: PLR2004 - IPv4
        raise ValueError(f"{text!r} is not *, an IPv4 or an IPv6 address")
    return ANY if str(address) == "0.0.0.0" else str(address)  # noqa: S104 - compared, nothing listens here


def bracketed(address: str) -> str:
    """An address as a binding and as http.sys write it: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address


def record_name(place: Endpoint, ssl_flags: int) -> tuple[str, str]:
    """Kind and endpoint of the http.sys record that answers for a binding (facts/iis.md 3 n and 4); compare with `record_key`."""
    if ssl_flags & CENTRAL_STORE:
        return "ccs", str(place.port)
    if ssl_flags & SNI:
        return "sni", f"{place.host}:{place.port}"
    address = "0.0.0.0" if place.address == ANY else bracketed(place.address)  # noqa: S104 - a name, nothing listens here
    return "ip", f"{address}:{place.port}"


def record_key(record: SslRecord) -> tuple[str, str]:
    """Kind and endpoint of a record in the spelling of `record_name`."""
    name = record.endpoint.lower()
    place, _, port = name.rpartition(":")
    port = str(int(port)) if port.isascii() and port.isdigit() else port
    if record.kind == "ip" and place:
        try:
            shown = canonical_address(place)
        except ValueError:
            return record.kind, name
        return record.kind, f"{'0.0.0.0' if shown == ANY else bracketed(shown)}:{port}"  # noqa: S104 - a name, nothing listens here
    if record.kind == "sni":
        try:
            return record.kind, f"{canonical_host(place)}:{port}"
        except ValueError:
            return record.kind, name
    return record.kind, name


def canonical_thumbprint(text: str) -> str:
    """A SHA-1 thumbprint as 40 upper-case hex digits. Raises ValueError that says what is left over where it is none."""
    digits = clean_thumbprint(text)
    if not is_thumbprint(digits):
        raise ValueError(f"thumbprint {text!r} is not 40 hex digits ({len(digits)} characters)")
    return digits
