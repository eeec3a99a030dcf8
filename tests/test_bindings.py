"""Bindings and thumbprints as text: plans/bindings.py."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.iis import Binding, SslRecord
from plans.bindings import Endpoint, canonical_thumbprint, endpoint, parse, parsed, record_key, record_name

SAME = {
    "any address": ("*:9999:", Endpoint("*", 9999)),
    "no address is any": (":8080:localhost", Endpoint("*", 8080, "localhost")),
    "0.0.0.0 is any": ("0.0.0.0:443:", Endpoint("*", 443)),
    "host * is none": ("*:443:*", Endpoint("*", 443)),
    "an IPv4 address": ("10.0.0.1:80:", Endpoint("10.0.0.1", 80)),
    "an IPv6 address in brackets": ("[fe80::1]:443:", Endpoint("fe80::1", 443)),
    "a long IPv6 address becomes short": ("[FE80:0:0:0:0:0:0:1]:443:a.b", Endpoint("fe80::1", 443, "a.b")),
    "any IPv6 address": ("[::]:443:", Endpoint("::", 443)),
    "a host in capitals": ("*:443:WWW.Contoso.COM", Endpoint("*", 443, "www.contoso.com")),
    "a host in Unicode": ("*:443:münchen.example", Endpoint("*", 443, "xn--mnchen-3ya.example")),
    "a host in punycode": ("*:443:xn--mnchen-3ya.example", Endpoint("*", 443, "xn--mnchen-3ya.example")),
    "a host with a wildcard": ("*:443:*.contoso.com", Endpoint("*", 443, "*.contoso.com")),
}


@pytest.mark.parametrize(("text", "expected"), SAME.values(), ids=SAME)
def test_binding_information_is_read_as(text: str, expected: Endpoint) -> None:
    assert parse(text) == expected


BAD = {
    "empty": ("", "'' is not address:port:host"),
    "a port alone": ("9999", "'9999' is not address:port:host"),
    "no host field": ("*:9999", "'*:9999' is not address:port:host"),
    "a port that is no number": ("*:x:", "'*:x:' is not address:port:host"),
    "an Arabic digit": ("*:٩:", "'*:٩:' is not address:port:host"),
    "a signed port": ("*:+80:", "'*:+80:' is not address:port:host"),
    "port 0": ("*:0:", "'*:0:': port is 0, expected 1 to 65535"),
    "port 70000": ("*:70000:", "'*:70000:': port is 70000, expected 1 to 65535"),
    "an address that is none": (
        "10.0.0.256:80:",
        "'10.0.0.256:80:': '10.0.0.256' is not *, an IPv4 or an IPv6 address",
    ),
    "IPv4 in brackets": ("[10.0.0.1]:80:", "'[10.0.0.1]:80:': '[10.0.0.1]' is not *, an IPv4 or an IPv6 address"),
    "a zone": ("[fe80::1%4]:80:", "'[fe80::1%4]:80:': '[fe80::1%4]' is not *, an IPv4 or an IPv6 address"),
    "a host with a blank": ("*:80:a b", "'*:80:a b': 'a b' is not a host name"),
    "a host of one dot": ("*:80:.", "'*:80:.': '.' is not a host name"),
    "a host with an empty label": ("*:80:a..b", "'*:80:a..b': 'a..b' is not a host name"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_binding_information_that_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        parse(text)
    assert str(error.value) == message


ADDRESSES = st.one_of(
    st.just("*"), st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str).filter(lambda text: "%" not in text)
)
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,10}[a-z0-9])?", fullmatch=True)
HOSTS = st.one_of(
    st.just(""),
    st.lists(LABELS, min_size=1, max_size=4).map(".".join),
    st.lists(LABELS, min_size=1, max_size=3).map(lambda labels: "*." + ".".join(labels)),
)
ENDPOINTS = st.builds(endpoint, ADDRESSES, st.integers(1, 65535), HOSTS)


@given(ENDPOINTS)
def test_an_endpoint_that_is_written_and_read_is_the_same(place: Endpoint) -> None:
    assert parse(str(place)) == place


@given(ENDPOINTS)
def test_capitals_and_long_addresses_make_no_difference(place: Endpoint) -> None:
    address = place.address
    if ":" in address:
        address = f"[{ipaddress.IPv6Address(address).exploded.upper()}]"
    assert parse(f"{address}:{place.port}:{place.host.upper()}") == place


@given(st.text(max_size=30))
def test_any_text_is_an_endpoint_or_a_value_error(text: str) -> None:
    try:
        place = parse(text)
    except ValueError:
        return
    assert parse(str(place)) == place


def test_a_binding_of_another_protocol_has_no_endpoint() -> None:
    assert [parsed(Binding("net.tcp", "808:*")), parsed(Binding("ftp", "*:21:")), parsed(Binding("https", "odd"))] == [
        None,
        None,
        None,
    ]


RECORDS = {
    "any address": ("*:9999:", 0, ("ip", "0.0.0.0:9999")),
    "one address": ("10.0.0.1:443:a", 0, ("ip", "10.0.0.1:443")),
    "IPv6": ("[fe80::1]:443:", 0, ("ip", "[fe80::1]:443")),
    "SNI": ("*:443:A.b", 1, ("sni", "a.b:443")),
    "SNI and other flags": ("*:443:a.b", 1 | 4 | 32, ("sni", "a.b:443")),
    "HTTP/2 off is not the central store": ("*:443:a", 4, ("ip", "0.0.0.0:443")),
    "central store with SNI": ("*:443:a.b", 3, ("ccs", "443")),
}


@pytest.mark.parametrize(("information", "flags", "expected"), RECORDS.values(), ids=RECORDS)
def test_the_http_sys_record_of_a_binding(information: str, flags: int, expected: tuple[str, str]) -> None:
    assert record_name(parse(information), flags) == expected


KEYS = {
    "capitals": (SslRecord("A.B:443", "sni", "", ""), ("sni", "a.b:443")),
    "a long IPv6 address": (SslRecord("[FE80:0::1]:443", "ip", "", ""), ("ip", "[fe80::1]:443")),
    "a long IPv6 address with a long port": (SslRecord("[0:0:0:0:0:0:0:1]:0443", "ip", "", ""), ("ip", "[::1]:443")),
    "any address": (SslRecord("0.0.0.0:9999", "ip", "", ""), ("ip", "0.0.0.0:9999")),
    "a name that cannot be read stays": (SslRecord("odd", "ip", "", ""), ("ip", "odd")),
}


@pytest.mark.parametrize(("record", "expected"), KEYS.values(), ids=KEYS)
def test_a_record_compares_by(record: SslRecord, expected: tuple[str, str]) -> None:
    assert record_key(record) == expected


DIGITS = "0123456789ABCDEF0123456789ABCDEF01234567"
SPELLINGS = {
    "as it is": DIGITS,
    "lower case": DIGITS.lower(),
    "pairs with blanks": " ".join(DIGITS[at : at + 2] for at in range(0, 40, 2)),
    "pairs with colons": ":".join(DIGITS[at : at + 2] for at in range(0, 40, 2)),
    "pairs with dashes": "-".join(DIGITS[at : at + 2] for at in range(0, 40, 2)),
    "the dialog's invisible mark first": "\u200e" + DIGITS,
    "a line end": DIGITS + "\r\n",
}


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS)
def test_a_thumbprint_is_cleaned(text: str) -> None:
    assert canonical_thumbprint(text) == DIGITS


@pytest.mark.parametrize("text", ["", DIGITS[:-1], DIGITS + "0", "G" + DIGITS[1:], "é" * 40, "٣" * 40, "\ufb00" * 20])
def test_what_is_not_a_thumbprint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not 40 hex digits"):
        canonical_thumbprint(text)


@given(st.binary(min_size=20, max_size=20), st.lists(st.sampled_from(" :-\u200e\u00a0\ufeff"), max_size=5))
def test_noise_between_the_digits_changes_nothing(data: bytes, noise: list[str]) -> None:
    text = data.hex()
    for at, char in enumerate(noise):
        text = text[: at * 3] + char + text[at * 3 :]
    assert canonical_thumbprint(text) == data.hex().upper()
