"""Files that are not what they should be: one message each, nothing to write, nothing fetched."""

from __future__ import annotations

import codecs
import hashlib
import socket
from types import SimpleNamespace
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from pyinfra.context import ctx_host

from connectors.call import Answer
from facts.files import FileState, file_content
from facts.xml import XmlElements
from model.change import PlanError
from model.files import LARGEST_FILE, FileContent, FileInfo
from model.xml import XmlWanted
from plans.xml import plan_elements, read_elements

PATH: Final = r"C:\MIM\MfaSettings.xml"
WANTED: Final = XmlWanted(set={"LOCMFA": "true"})
SECRET: Final = "pl4nted&s3cret;"
HEAD: Final = '<?xml version="1.0" encoding="{}"?>'
LAUGHS: Final = '<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]><r>&c;</r>'
ONLY: Final = "only UTF-8, UTF-16 and code pages of one byte a character (windows-125x, iso-8859-x)"
REFUSED_PAGE: Final = f", which is not edited here: {ONLY}; save it as UTF-8"
DTD: Final = "has a document type declaration (DTD), which is refused: nothing of it was fetched or expanded"
FILES: Final = {
    "empty": (b"", "is empty (0 bytes), expected an XML document"),
    "white space alone": (b" \r\n", "holds no element, expected an XML document"),
    "a comment alone": (b"<!-- nothing -->", "holds no element, expected an XML document"),
    "a byte order mark alone": (codecs.BOM_UTF8, "holds no element, expected an XML document"),
    "zeros, as after a power cut": (b"\0" * 4096, "is not XML: line 1, column 1: not well-formed (invalid token)"),
    "text": (b"LOCMFA = true\r\n", "is not XML: line 1, column 1: syntax error"),
    "JSON": (b'{"LOCMFA": true}', "is not XML: line 1, column 1: not well-formed (invalid token)"),
    "white space before the declaration": (
        b'\n<?xml version="1.0"?><r/>',
        "is not well-formed XML: line 2, column 1: XML or text declaration not at start of entity",
    ),
    "cut in an element": (
        b"<r>\n<LOCMFA>tr",
        "ends too early, it seems truncated: line 2, column 11: no element found",
    ),
    "cut in a tag": (b"<r>\n<LOCMFA", "ends too early, it seems truncated: line 2, column 1: unclosed token"),
    "cut in a comment": (b"<r>\n<!-- ", "ends too early, it seems truncated: line 2, column 1: unclosed token"),
    "cut in a CDATA section": (
        b"<r>\n<![CDATA[x",
        "ends too early, it seems truncated: line 2, column 11: unclosed CDATA section",
    ),
    "cut in a character": (b"<r>\xc3", "ends too early, it seems truncated: line 1, column 4: partial character"),
    "cut in a character of UTF-16": (
        codecs.BOM_UTF16_LE + "<r>".encode("utf-16-le") + b"a",
        "ends too early, it seems truncated: line 1, column 5: unclosed token",
    ),
    "tags that cross": (b"<r>\n<a><b></a></b></r>", "is not well-formed XML: line 2, column 9: mismatched tag"),
    "two roots": (b"<r/>\n<r/>", "is not well-formed XML: line 2, column 1: junk after document element"),
    "an attribute twice": (b"<r a='1' a='2'/>", "is not well-formed XML: line 1, column 10: duplicate attribute"),
    "an attribute twice, by two prefixes": (
        b"<r xmlns:p='u' xmlns:q='u' p:a='1' q:a='2'/>",
        "is not well-formed XML: line 1, column 1: duplicate attribute",
    ),
    "a prefix that is not declared": (b"<r><p:a/></r>", "is not well-formed XML: line 1, column 4: unbound prefix"),
    "a control character": (
        b"<r>\x08</r>",
        "is not well-formed XML: line 1, column 4: not well-formed (invalid token)",
    ),
    "a reference to a control character": (
        b"<r>&#8;</r>",
        "is not well-formed XML: line 1, column 4: reference to invalid character number",
    ),
    "an ampersand as it is": (
        b"<r>a & b</r>",
        "is not well-formed XML: line 1, column 7: not well-formed (invalid token)",
    ),
    "an entity that nobody declared": (b"<r>&nbsp;</r>", "is not well-formed XML: line 1, column 4: undefined entity"),
    "XML 1.1": (b'<?xml version="1.1"?><r/>', "is XML 1.1, only 1.0 is edited here"),
    "a DTD": (b"<!DOCTYPE r><r/>", f"line 1: {DTD}"),
    "a DTD from elsewhere": (
        b'<?xml version="1.0"?>\n<!DOCTYPE r SYSTEM "http://127.0.0.1:9/r.dtd"><r/>',
        f"line 2: {DTD}",
    ),
    "an entity that reads a file": (
        b'<!DOCTYPE r [<!ENTITY e SYSTEM "file:///C:/Windows/win.ini">]><r>&e;</r>',
        f"line 1: {DTD}",
    ),
    "entities that multiply": (LAUGHS.encode(), f"line 1: {DTD}"),
    "a DTD in UTF-16": (codecs.BOM_UTF16_BE + LAUGHS.encode("utf-16-be"), f"line 1: {DTD}"),
    "Shift JIS": (f"{HEAD.format('shift_jis')}<r>表</r>".encode("shift_jis"), f"is encoded in shift_jis{REFUSED_PAGE}"),
    "GB 18030": (f"{HEAD.format('gb18030')}<r/>".encode(), f"is encoded in gb18030{REFUSED_PAGE}"),
    "windows-949": (f"{HEAD.format('cp949')}<r/>".encode(), f"is encoded in cp949{REFUSED_PAGE}"),
    "UTF-7": (f"{HEAD.format('utf-7')}<r/>".encode(), f"is encoded in utf-7{REFUSED_PAGE}"),
    "EBCDIC": (f"{HEAD.format('cp037')}<r/>".encode(), f"is encoded in cp037{REFUSED_PAGE}"),
    "no code page at all": (f"{HEAD.format('klingon')}<r/>".encode(), f"is encoded in klingon{REFUSED_PAGE}"),
    "a codec of Python that is none": (f"{HEAD.format('rot13')}<r/>".encode(), f"is encoded in rot13{REFUSED_PAGE}"),
    "UTF-32": (
        codecs.BOM_UTF32_LE + "<r/>".encode("utf-32-le"),
        "is encoded in UTF-32, which is not edited here; save it as UTF-8",
    ),
    "UTF-16 without a sign": (
        "<r/>".encode("utf-16-le"),
        "is UTF-16 with neither a byte order mark nor a declaration; save it with a byte order mark",
    ),
    "says UTF-8, is windows-1252": (
        f"{HEAD.format('utf-8')}\n<r>é</r>".encode("cp1252"),
        "lies about its encoding: the declaration says utf-8, but line 2 holds bytes that are not UTF-8",
    ),
    "says nothing, is windows-1252": (
        "<r>\n\né</r>".encode("cp1252"),
        "lies about its encoding: it has no declaration, but line 3 holds bytes that are not UTF-8",
    ),
    "says UTF-16, is UTF-8": (
        f"{HEAD.format('utf-16')}<r/>".encode(),
        "lies about its encoding: the declaration says utf-16, the bytes are not",
    ),
    "says UTF-8, is UTF-16": (
        codecs.BOM_UTF16_LE + f"{HEAD.format('utf-8')}<r/>".encode("utf-16-le"),
        "lies about its encoding: the declaration says utf-8, the byte order mark UTF-16-LE",
    ),
    "says windows-1252, has the mark of UTF-8": (
        codecs.BOM_UTF8 + f"{HEAD.format('windows-1252')}<r>é</r>".encode(),
        "lies about its encoding: the declaration says windows-1252, the byte order mark UTF-8",
    ),
    "says big-endian, is little-endian": (
        codecs.BOM_UTF16_LE + f"{HEAD.format('utf-16be')}<r/>".encode("utf-16-le"),
        "lies about its encoding: the declaration says utf-16be, the byte order mark UTF-16-LE",
    ),
    "a byte that its code page does not have": (
        f"{HEAD.format('windows-1252')}<r>\n".encode() + b"\x81</r>",
        "lies about its encoding: the declaration says windows-1252, but line 2 holds bytes that are not CP1252",
    ),
    "a UTF-16 character that is none": (
        codecs.BOM_UTF16_LE + "<r>\n\u0a0a".encode("utf-16-le") + b"\x00\xdc" + "</r>".encode("utf-16-le"),
        "lies about its encoding: it has no declaration, but line 2 holds bytes that are not UTF-16-LE",
    ),
    "nested too deep": (
        b"<a>" * 3000 + b"</a>" * 3000,
        "line 1: libxml2 does not read it, expat does; it is not edited",
    ),
}


def file(data: bytes) -> FileContent:
    info = FileInfo(PATH, "file", len(data), hashlib.sha256(data).hexdigest(), "2026-11-25T08:00:00.0000000Z", False)
    return FileContent(info, data)


def answer(data: bytes, **other: Any) -> Answer:
    result = {"path": PATH, "kind": "file", "length": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return Answer({**result, "last_write_utc": "2026-11-25T08:00:00.0000000Z", "read_only": False, **other}, data)


@pytest.mark.parametrize(("data", "text"), FILES.values(), ids=FILES)
def test_a_bad_file_is_refused_in_one_line(data: bytes, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", _no_network)
    with pytest.raises(PlanError) as refused:
        plan_elements(file(data), WANTED)
    assert str(refused.value) == text
    assert read_elements(file(data), (), WANTED).problem == text


def _no_network(*args: object, **kwargs: object) -> None:
    raise AssertionError("something was fetched")


@pytest.mark.parametrize(
    "document",
    [
        "<r><LICENSE_KEY>{}</LICENSE_KEY></r>",
        "<r><LICENSE_KEY>{}</LICENSE_KE></r>",
        "<r><LICENSE_KEY>{}",
        "<r><LICENSE_KEY value='{}'/><b></r>",
        "<r><LICENSE_KEY value={}/></r>",
        "<r>\n<!-- {} -- -->\n</r>",
        "{}",
        "<{}/>",
    ],
)
def test_no_message_about_a_bad_file_quotes_it(document: str) -> None:
    with pytest.raises(PlanError) as refused:
        plan_elements(file(document.format(SECRET).encode()), WANTED)
    assert [part for part in ("pl4nted", "s3cret") if part in str(refused.value)] == []
    assert (refused.value.__cause__, refused.value.__suppress_context__) == (None, True)


def test_a_file_that_two_parsers_read_differently_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    other = etree.fromstring("<r><a>1</a> <b/></r>")
    monkeypatch.setattr("plans.xml_document._tree", lambda _: other)
    with pytest.raises(
        PlanError, match=r"^two XML parsers \(expat, libxml2\) read it differently, so it is not edited$"
    ):
        plan_elements(file(b"<r><a>1</a><b/></r>"), WANTED)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | st.text("<>/&;ab=\"' \n!-[]?é", max_size=30).map(str.encode))
def test_any_bytes_are_edited_or_refused_with_a_reason(data: bytes) -> None:
    try:
        plan = plan_elements(file(data), WANTED)
    except PlanError as refused:
        assert str(refused)  # noqa: PT017 - both outcomes are right, each with its proof
        return
    assert plan_elements(file(plan.data), WANTED).changes == ()


@pytest.mark.parametrize(
    ("kind", "text"),
    [("absent", "does not exist; it is never created here"), ("folder", "is a folder, expected an XML file")],
)
def test_what_is_no_file_is_refused(kind: Any, text: str) -> None:
    nothing = FileContent(FileInfo(PATH, kind, None, None, None, False), b"")
    with pytest.raises(PlanError) as refused:
        plan_elements(nothing, WANTED)
    assert str(refused.value) == text
    assert read_elements(nothing, (), WANTED).problem == text


def test_a_file_over_four_mebibytes_is_refused_by_its_length_though_only_its_beginning_came() -> None:
    content = file_content(answer(b"<r/>", length=LARGEST_FILE + 1, sha256="0" * 64))
    with pytest.raises(PlanError) as refused:
        plan_elements(content, WANTED)
    assert str(refused.value) == "has 4194305 bytes, more than the 4194304 that are edited here"


def test_bytes_that_are_not_what_the_host_hashed_fail_the_read() -> None:
    fact = XmlElements()
    fact.command(PATH)
    with pytest.raises(
        ValueError, match=r"^C:\\MIM\\MfaSettings\.xml: the bytes that arrived are not those that the host hashed$"
    ):
        fact.parse(answer(b"<r/>", sha256="0" * 64))


def test_a_file_that_came_in_part_fails_the_read() -> None:
    with pytest.raises(ValueError, match=r"^C:\\MIM\\MfaSettings\.xml: 4 of 5 bytes arrived$"):
        file_content(answer(b"<r/>", length=5))


def test_the_facts_ask_for_the_bytes_and_for_none() -> None:
    ours: Any = SimpleNamespace(connector=SimpleNamespace(takes_calls=True))
    with ctx_host.use(ours):
        assert str(XmlElements().command(PATH)) == rf"Read-File -Path '{PATH}' -Count 4194304"
        assert str(FileState().command(PATH)) == rf"Read-File -Path '{PATH}' -Count 0"


def test_the_fact_of_a_file_is_what_the_host_says_of_it() -> None:
    state = FileState().parse(Answer(answer(b"<r/>").result))
    assert state.to_json() == answer(b"<r/>").result
