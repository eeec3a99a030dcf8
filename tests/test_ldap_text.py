"""Escapes of LDAP and binary identifiers: each way back gives what went in, and what is none is refused."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab import directory_filter
from plans.ldap import (
    dn_value,
    filter_value,
    guid_to_bytes,
    guid_to_text,
    parse_dn,
    sid_to_bytes,
    sid_to_text,
)

few = settings(max_examples=50, deadline=None)  # the machine may be busy
texts = st.text(st.characters(codec="utf-8"), min_size=1)
attributes = st.sampled_from(["CN", "OU", "DC", "2.5.4.3"])
names = st.lists(st.tuples(attributes, texts), min_size=1, max_size=4)


def dn_of(parts: list[tuple[str, str]]) -> str:
    return ",".join(f"{attribute}={dn_value(value)}" for attribute, value in parts)


# RFC 4515, section 4, and facts/ad.md 2
FILTERS = {
    "parentheses are escaped": ("Parens R Us (for all your parenthetical needs)", r"Parens R Us \28for all your parenthetical needs\29"),
    "a star is no wildcard": ("*", r"\2a"),
    "a backslash is escaped": (r"C:\MyFile", r"C:\5cMyFile"),
    "a NUL is escaped": ("\0", r"\00"),
    "other letters stay": ("Lučić/ü", "Lučić/ü"),
    "bytes are escaped one by one": (b"\x00\x00\x00\x04a", r"\00\00\00\04\61"),
    "a DN is escaped twice": (r"CN=Smith\, J,DC=x", r"CN=Smith\5c, J,DC=x"),
}  # fmt: skip


@pytest.mark.parametrize(("value", "escaped"), FILTERS.values(), ids=FILTERS)
def test_a_value_in_a_filter(value: str | bytes, escaped: str) -> None:
    assert filter_value(value) == escaped


@few
@given(texts)
def test_a_filter_finds_the_value_that_was_escaped_and_no_other(value: str) -> None:
    tree = directory_filter.parse(f"(objectGUID={filter_value(value.encode())})")
    assert bytes(tree.getComponent()["assertionValue"]) == value.encode()


@few
@given(st.text(st.characters(codec="utf-8", exclude_characters=" "), min_size=1))
def test_text_in_a_filter_means_itself(value: str) -> None:
    subject = directory_filter.Subject(lambda name: [value.encode()] if name == "cn" else [], lambda _: frozenset())
    assert directory_filter.matches(directory_filter.parse(f"(cn={filter_value(value)})"), subject)


# RFC 4514, section 4, and the odd names of facts/ad.md 2 and 9
NAMES = {
    "a plain one": ("UID=jsmith,DC=example,DC=net", (("uid", "jsmith"), ("dc", "example"), ("dc", "net"))),
    "an escaped comma": (r"CN=Smith\, J,DC=x", (("cn", "Smith, J"), ("dc", "x"))),
    "spaces around parts": (" CN = a b , DC = x ", (("cn", "a b"), ("dc", "x"))),
    "escaped spaces at the ends": (r"CN=\  a \ ,DC=x", (("cn", "  a  "), ("dc", "x"))),
    "a leading hash": (r"CN=\#1,DC=x", (("cn", "#1"), ("dc", "x"))),
    "pairs of hex": (r"CN=Lu\C4\8Di\C4\87,DC=x", (("cn", "Lučić"), ("dc", "x"))),
    "quote, plus, backslash": (r"CN=\"a\+\\,DC=x", (("cn", '"a+\\'), ("dc", "x"))),
    "a slash and brackets": ("CN=a/b (c)*,DC=x", (("cn", "a/b (c)*"), ("dc", "x"))),
    "an equals sign inside": ("CN=a=b,DC=x", (("cn", "a=b"), ("dc", "x"))),
    "a line end": (r"CN=a\0Db,DC=x", (("cn", "a\rb"), ("dc", "x"))),
}


@pytest.mark.parametrize(("dn", "parts"), NAMES.values(), ids=NAMES)
def test_a_distinguished_name(dn: str, parts: tuple[tuple[str, str], ...]) -> None:
    assert parse_dn(dn) == parts


@pytest.mark.parametrize(
    "text", ["", "x", "CN=", "CN=a,,DC=x", "CN=a,", "=a", "CN=a+OU=b", 'CN="a"', "CN=a;b", "CN=a\\", r"CN=a\z", r"CN=\ff", "CN=<a>"]
)  # fmt: skip
def test_what_is_no_distinguished_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no distinguished name"):
        parse_dn(text)


@few
@given(names)
def test_a_name_that_was_built_is_read_back(parts: list[tuple[str, str]]) -> None:
    assert parse_dn(dn_of(parts)) == tuple((attribute.lower(), value) for attribute, value in parts)


@few
@given(names)
def test_the_lab_reads_a_built_name_in_the_same_way(parts: list[tuple[str, str]]) -> None:
    assert [(attribute.lower(), value) for attribute, value in directory_filter.split_dn(dn_of(parts))] == list(
        parse_dn(dn_of(parts))
    )


@few
@given(st.text(st.sampled_from('CN=a,\\ "+;<>#0é'), max_size=12))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        parts = parse_dn(text)
    except ValueError:
        return
    assert parse_dn(dn_of(list(parts))) == parts


def test_an_empty_value_makes_no_name() -> None:
    with pytest.raises(ValueError, match="cannot be empty"):
        dn_value("")


@few
@given(st.integers(0, 2**48 - 1), st.lists(st.integers(0, 2**32 - 1), max_size=15))
def test_a_sid_is_read_back(authority: int, subs: list[int]) -> None:
    data = bytes([1, len(subs)]) + authority.to_bytes(6, "big") + b"".join(sub.to_bytes(4, "little") for sub in subs)
    assert sid_to_bytes(sid_to_text(data)) == data


def test_a_sid_of_a_domain() -> None:
    data = bytes.fromhex("010500000000000515000000c7f6c5d4a36a3f1d0b22334451040000")
    assert sid_to_text(data) == "S-1-5-21-3569743559-490695331-1144201739-1105"
    assert sid_to_bytes("s-1-5-21-3569743559-490695331-1144201739-1105") == data


@pytest.mark.parametrize(
    "data", [b"", b"\x01\x01\0\0\0\0\0\x05", b"\x02\x00\0\0\0\0\0\x05", b"\x01\x00\0\0\0\0\0\x05x"]
)
def test_bytes_that_are_no_sid_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no SID"):
        sid_to_text(data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "S-1",
        "S-2-5-1",
        "S-1-5-",
        "S-1-5-4294967296",
        "S-1-5-x",
        f"S-1-5{'-1' * 16}",
        f"S-1-{2**48}",
        "S-1-5-\u0661",
    ],
)
def test_text_that_is_no_sid_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no SID"):
        sid_to_bytes(text)


@few
@given(st.uuids())
def test_a_guid_is_read_back_and_lies_as_the_directory_has_it(guid: uuid.UUID) -> None:
    assert guid_to_text(guid_to_bytes(str(guid))) == str(guid)
    assert guid_to_bytes(f"{{{str(guid).upper()}}}") == guid.bytes_le


@pytest.mark.parametrize("text", ["", "0" * 32, "5f1d3b2a-9b0c-5d6e-8f70", "{5f1d3b2a-9b0c-5d6e-8f70-61626364656g}"])
def test_text_that_is_no_guid_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no GUID"):
        guid_to_bytes(text)
