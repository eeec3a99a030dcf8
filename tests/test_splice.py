"""Splicing: any document, any edit. What is outside the edits stays byte for byte, and the result reads as lxml says it must."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from model.change import PlanError
from plans.splice import Cut, cut, escaped, quoted, splice
from plans.xml_document import Document, attributes, leaf_text
from plans.xml_edits import Add, Edit, Remove, SetAttribute, SetText

# Encoding as declared, its codec, its byte order mark.
ENCODINGS: Final = {
    "UTF-8 without a mark": ("utf-8", "utf-8", b""),
    "UTF-8 with a mark": ("utf-8", "utf-8", codecs.BOM_UTF8),
    "UTF-16 little-endian": ("utf-16", "utf-16-le", codecs.BOM_UTF16_LE),
    "UTF-16 big-endian": ("UTF-16", "utf-16-be", codecs.BOM_UTF16_BE),
    "UTF-16 without a mark": ("utf-16", "utf-16-le", b""),
    **{f"windows-125{n}": (f"windows-125{n}", f"cp125{n}", b"") for n in range(9)},
    **{f"iso-8859-{n}": (f"iso-8859-{n}", f"iso8859-{n}", b"") for n in (*range(1, 12), *range(13, 17))},
    "ASCII": ("us-ascii", "ascii", b""),
}
NAMES: Final = ("a", "LOCMFA", "Username", "x-1.b", "p:n", "q:n")
SPACE: Final = st.text(" \t\n", max_size=2)
SOME: Final = st.text(" \t", min_size=1, max_size=2) | st.just("\n  ")
# Characters of every size in UTF-8 and UTF-16, those that need escaping, those that only some code pages have.
CHARS: Final = "ab1 \t\n\r&<>\"']/=-?é€ßЖא\u0085\u00a0\u2028\ufffd\U0001f600"
values = st.text(CHARS, max_size=8)
plain = st.text([char for char in CHARS if char not in "&<\r"], max_size=6).filter(lambda text: "]]>" not in text)


@st.composite
def start_tags(draw: st.DrawFn, name: str) -> str:
    parts = [f"<{name}"]
    for key in draw(st.lists(st.sampled_from(("x", "y", "p:x", "key")), unique=True, max_size=3)):
        quote = draw(st.sampled_from("\"'"))
        text = draw(plain).replace(quote, "").replace("]", "&#93;")
        parts.append(f"{draw(SOME)}{key}{draw(SPACE)}={draw(SPACE)}{quote}{text}{quote}")
    if name != "root" and draw(st.integers(0, 5)) == 0:
        parts.append(draw(st.sampled_from((' xmlns="urn:d"', " xmlns=''", ' xmlns:p="urn:other"', ' xmlns:z="urn:z"'))))
    return "".join([*parts, draw(SPACE)])


comments = st.text("ab \n<&>é", max_size=6).map(lambda text: f"<!--{text}-->")
instructions = st.text("ab <&é", max_size=6).map(lambda text: f"<?pi {text}?>" if text.strip() else "<?pi?>")
sections = plain.map(lambda text: f"<![CDATA[{text}]]>")
references = st.sampled_from(("&amp;", "&lt;", "&#233;", "&#x20AC;", "&#13;", "&#10;"))
indents = st.sampled_from(("\n", "\n\t", "\n  ", "\n\n  "))
texts = plain.map(lambda text: text.replace(">", "&gt;")) | references | SPACE


@st.composite
def element_texts(draw: st.DrawFn, depth: int = 3, name: str | None = None) -> str:
    name = name or draw(st.sampled_from(NAMES))
    tag = draw(start_tags(name))
    if draw(st.booleans()) and depth < 3:
        return f"{tag}/>"
    inner = [comments, instructions, sections, texts]
    if draw(st.booleans()):  # as editors write it: each element on its line, now and then something between
        inner = [comments, instructions, indents]
    below = st.one_of(
        *inner,
        *([element_texts(depth - 1), st.tuples(indents, element_texts(depth - 1)).map("".join)] * 2 if depth else []),
    )
    content = "".join(draw(st.lists(below, max_size=4))) + draw(st.just("") | indents)
    return f"{tag}>{content}</{name}{draw(SPACE)}>"


@dataclass(frozen=True)
class Made:
    """A document: bytes and the name of its encoding."""

    data: bytes
    encoding: str


@st.composite
def documents(draw: st.DrawFn) -> Made:
    declared, codec, mark = ENCODINGS[name := draw(st.sampled_from(sorted(ENCODINGS)))]
    newline = draw(st.sampled_from(("\n", "\r\n", "\r")))
    root = draw(element_texts(name="root")).replace("<root", '<root xmlns:p="urn:p" xmlns:q="urn:q"', 1)
    head = f'<?xml version="1.0" encoding="{declared}"?>' if declared != "utf-8" or draw(st.booleans()) else ""
    around = st.lists(comments | instructions | st.just("\n"), max_size=2).map("".join)
    text = f"{head}{draw(around)}{root}{draw(around)}".replace("\n", newline)
    text = "".join(char for char in text if char.encode(codec, "ignore"))
    return Made(mark + text.encode(codec), name)


def expanded(prefix: str) -> str:
    return {"": "", "p": "{urn:p}", "q": "{urn:q}", "n": "{urn:new}"}[prefix]


@st.composite
def edits_of(draw: st.DrawFn, document: Document) -> list[Edit]:
    """Edits that do not contradict each other: each element is touched by one kind, nothing inside a removed one."""
    made: list[Edit] = []
    gone: set[etree._Element] = set()
    for element in document.elements:
        if any(parent in gone for parent in element.iterancestors()):
            continue
        parent_holds_text = any(
            child.kind == "cdata" or (child.kind == "text" and document.text(child.start, child.stop).strip(" \t\r\n"))
            for child in document.node(element).children
        )
        match draw(st.sampled_from(("leave", "leave", "text", "remove", "attribute", "add"))):
            case "text" if leaf_text(element) is not None:
                made.append(SetText(element, draw(values)))
            case "remove" if element is not document.root:
                gone.add(element)
                made.append(Remove(element))
            case "attribute":
                prefix = draw(st.sampled_from(("", "p", "n")))
                value = draw(st.none() | values)
                made.append(SetAttribute(element, f"{expanded(prefix)}{draw(st.sampled_from('xyk'))}", value, prefix))
            case "add" if not parent_holds_text:
                for _ in range(draw(st.integers(1, 2))):
                    prefix = draw(st.sampled_from(("", "p", "q", "n")))
                    made.append(
                        Add(element, f"{expanded(prefix)}new", draw(values), prefix, (("k", draw(values), ""),))
                    )
            case _:
                pass
    return made


def touched(document: Document, edits: list[Edit]) -> list[tuple[int, int]]:
    """The widest ranges of bytes that the edits may change: contents, start tags, elements with the blanks before, ends of parents."""
    ranges = []
    for edit in edits:
        match edit:
            case SetText(element=element):
                node = document.node(element)
                ranges.append(
                    (node.start if node.empty_tag else node.inner, node.inner if node.empty_tag else node.close)
                )
            case SetAttribute(element=element):
                ranges.append((document.node(element).start, document.node(element).inner))
            case Remove(element=element):
                node = document.node(element)
                before = document.data[: node.start]
                blanks = len(before) - len(before.rstrip(b" \t\r\n\0"))
                ranges.append((node.start - blanks, node.stop))
            case Add(parent=parent):
                node = document.node(parent)
                ranges.append((node.start if node.empty_tag else node.inner, node.close))
    return ranges


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(documents(), st.data())
def test_bytes_outside_the_edits_stay_and_the_result_reads_as_edited(made: Made, data: st.DataObject) -> None:
    document = Document(made.data)
    edits = data.draw(edits_of(document))

    result = splice(document, edits)

    # Every byte outside the widest ranges is there, in order, around whatever the edits put in.
    keep, at = [], 0
    for start, end in sorted(touched(document, edits)):
        keep.append(made.data[at:start])
        at = max(at, end)
    keep.append(made.data[at:])
    position = 0
    for piece in keep:
        position = result.data.find(piece, position)
        assert position >= 0
        position += len(piece)
    assert result.data.startswith(keep[0])
    assert result.data.endswith(keep[-1])
    wanted = wanted_elements(document, edits)
    found = [described(one) for one in result.root.iter(etree.Element)]
    assert [one[:2] for one in found] == [one[:2] for one in wanted]
    assert [text for (_, _, text), one in zip(found, wanted, strict=True) if one[2] != "*"] == [
        text for _, _, text in wanted if text != "*"
    ]
    if not edits:
        assert result.data == made.data


def described(element: etree._Element) -> tuple[str, dict[str, str], str | None]:
    return str(element.tag), dict(attributes(element)), leaf_text(element)


def wanted_elements(document: Document, edits: list[Edit]) -> list[tuple[str, dict[str, str], str | None]]:
    """What lxml must read afterwards, worked out on values alone: name, attributes, text of each element, in document order."""
    wanted: list[tuple[str, dict[str, str], str | None]] = []
    gone = {edit.element for edit in edits if isinstance(edit, Remove)}

    def walk(element: etree._Element) -> None:
        tag, values, text = described(element)
        children = [child for child in element.iterchildren("*") if child not in gone]
        added = [edit for edit in edits if isinstance(edit, Add) and edit.parent is element]
        for edit in edits:
            if isinstance(edit, SetText) and edit.element is element:
                text = edit.text
            if isinstance(edit, SetAttribute) and edit.element is element:
                values = {name: value for name, value in values.items() if name != edit.name}
                values |= {} if edit.value is None else {edit.name: edit.value}
        if added:
            text = None
        place = len(wanted)
        wanted.append((tag, values, text))
        for child in children:
            walk(child)
        wanted.extend((edit.name, {name: value for name, value, _ in edit.attributes}, edit.text) for edit in added)
        if len(wanted) == place + 1 and text is None:
            wanted[place] = (tag, values, "*")  # its last element is gone: what white space stays is not told here

    walk(document.root)
    return wanted


@settings(deadline=None)
@given(st.binary(max_size=40), st.data())
def test_cuts_leave_what_is_between_them(data: bytes, draw: st.DataObject) -> None:
    places = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=6)))
    pairs = list(zip(places[::2], places[1::2], strict=False))
    cuts = [Cut(start, end, draw.draw(st.binary(max_size=4))) for start, end in pairs]

    result = cut(data, reversed(cuts) if all(one.start < one.end for one in cuts) else cuts)

    # Taken apart again with what was put in, the rest is the original around the cuts.
    at = 0
    for before, one in zip([0, *(one.end for one in cuts)], cuts, strict=False):
        piece = data[before : one.start] + one.new
        assert result[at : at + len(piece)] == piece
        at += len(piece)
    assert result[at:] == data[cuts[-1].end if cuts else 0 :]


@settings(deadline=None)
@given(values, st.sampled_from("\"'"), st.sampled_from(("\n", "\r\n", "\r", "")))
def test_escaped_texts_and_quoted_values_read_back_as_they_were(value: str, quote: str, newline: str) -> None:
    root = etree.fromstring(f"<a x={quoted(value, quote)}>{escaped(value, newline)}</a>".encode())
    assert (root.text or "", root.get("x")) == (value, value)


def test_a_result_that_would_read_otherwise_is_never_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    document = Document(b"<r>\n <a k='1'>1</a>\n</r>")
    child = document.elements[1]
    for defect, edit in (
        ("escaped", SetText(child, "2")),
        ("escaped", Add(document.root, "b", "2")),
        ("quoted", SetAttribute(child, "k", "2")),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(f"plans.splice.{defect}", lambda *_: "'wrong'")
            with pytest.raises(
                PlanError, match=r"^the edited document would not read as wanted, so nothing is written"
            ):
                splice(document, [edit])


def test_two_edits_of_one_place_are_refused() -> None:
    document = Document(b"<r><a>1</a></r>")
    child = document.elements[1]
    with pytest.raises(PlanError, match=r"^two edits touch the same place; name each element once$"):
        splice(document, [SetText(child, "2"), Remove(child)])


@dataclass(frozen=True)
class Case:
    """A document before and after one way of editing it, as text; `{name}` elements are found by local name."""

    before: str
    edit: str
    after: str


CASES: Final = {
    "an added element takes the line end and tabs of its siblings": Case(
        "<r>\r\n\t<a>1</a>\r\n</r>", "add", "<r>\r\n\t<a>1</a>\r\n\t<new>v</new>\r\n</r>"
    ),
    "on one line it stays on that line": Case("<r><a/><a/></r>", "add", "<r><a/><a/><new>v</new></r>"),
    "blanks between siblings on one line are kept up": Case("<r><a/> <a/></r>", "add", "<r><a/> <a/> <new>v</new></r>"),
    "a comment behind the last sibling stays with it": Case(
        "<r>\n  <a/> <!-- of a -->\n</r>", "add", "<r>\n  <a/> <!-- of a -->\n  <new>v</new>\n</r>"
    ),
    "an empty root on one line": Case("<r/>", "add", "<r><new>v</new></r>"),
    "an empty root with a line end somewhere": Case("<r />\n", "add", "<r>\n  <new>v</new>\n</r>\n"),
    "an empty root on two lines": Case("<r>\r\n</r>", "add", "<r>\r\n  <new>v</new>\r\n</r>"),
    "a first element goes one step deeper than its parent": Case(
        "<o>\n\t<r></r>\n</o>", "add", "<o>\n\t<r>\n\t\t<new>v</new>\n\t</r>\n</o>"
    ),
    "a blank line between siblings is not copied": Case(
        "<r>\n\n  <a/>\n\n  <b/>\n\n</r>", "add", "<r>\n\n  <a/>\n\n  <b/>\n  <new>v</new>\n\n</r>"
    ),
    "in a default namespace it is in that": Case('<r xmlns="u"><a/></r>', "add", '<r xmlns="u"><a/><new>v</new></r>'),
    "a removed element takes its line with it": Case("<r>\n  <x>1</x>\n  <b/>\n</r>", "remove", "<r>\n  <b/>\n</r>"),
    "beside others it leaves the line": Case("<r>\n  <x/><b/>\n</r>", "remove", "<r>\n  <b/>\n</r>"),
    "a comment on its line stays": Case("<r>\n  <x/> <!-- c -->\n</r>", "remove", "<r>\n   <!-- c -->\n</r>"),
    "a text is replaced between its tags": Case("<r><x  k='1' >old</x ></r>", "text", "<r><x  k='1' >v</x ></r>"),
    "an empty tag is opened": Case("<r><x k='1' /></r>", "text", "<r><x k='1'>v</x></r>"),
    "an empty pair is filled": Case("<r><x></x></r>", "text", "<r><x>v</x></r>"),
    "a CDATA section stays one": Case("<r><x><![CDATA[<old>]]></x></r>", "text", "<r><x><![CDATA[v]]></x></r>"),
    "a CDATA section beside text does not": Case("<r><x>a<![CDATA[<old>]]></x></r>", "text", "<r><x>v</x></r>"),
    "cleared, a pair of tags stays": Case("<r><x>old</x></r>", "clear", "<r><x></x></r>"),
    "cleared, a CDATA section goes": Case("<r><x><![CDATA[old]]></x></r>", "clear", "<r><x></x></r>"),
    "an attribute's value changes in its own quotes": Case(
        "<r><x  b = 'old'\ta=\"1\"/></r>", "attribute", "<r><x  b = 'v'\ta=\"1\"/></r>"
    ),
    "an attribute is added behind the others": Case("<r><x a='1' /></r>", "attribute", "<r><x a='1' b='v' /></r>"),
    "a first attribute is added in double quotes": Case("<r><x/></r>", "attribute", '<r><x b="v"/></r>'),
    "an attribute is removed with the blanks before it": Case(
        "<r><x a='1'  b='/>' c='3'/></r>", "no attribute", "<r><x a='1' c='3'/></r>"
    ),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_edited_place_looks_like_its_neighbours(case: Case, encoding: str) -> None:
    mark = codecs.BOM_UTF16_LE if encoding == "utf-16-le" else b""
    document = Document(mark + case.before.encode(encoding))
    by_name = {etree.QName(element).localname: element for element in document.elements}
    uri = etree.QName(by_name["r"]).namespace
    edit: Edit
    match case.edit:
        case "add":
            edit = Add(by_name["r"], f"{{{uri}}}new" if uri else "new", "v")
        case "remove":
            edit = Remove(by_name["x"])
        case "text":
            edit = SetText(by_name["x"], "v")
        case "clear":
            edit = SetText(by_name["x"], "")
        case "attribute":
            edit = SetAttribute(by_name["x"], "b", "v")
        case _:
            edit = SetAttribute(by_name["x"], "b", None)

    assert splice(document, [edit]).data == mark + case.after.encode(encoding)


def test_what_the_code_page_lacks_becomes_a_reference() -> None:
    document = Document('<?xml version="1.0" encoding="windows-1252"?><r><x>é</x></r>'.encode("cp1252"))
    edits: list[Edit] = [SetText(document.elements[1], "é€ЖЁ"), SetAttribute(document.elements[1], "k", "Ж")]
    assert splice(document, edits).data == (
        '<?xml version="1.0" encoding="windows-1252"?><r><x k="&#1046;">é€&#1046;&#1025;</x></r>'.encode("cp1252")
    )


def test_a_cdata_section_that_cannot_hold_the_text_becomes_text() -> None:
    document = Document(b'<?xml version="1.0" encoding="us-ascii"?><r><x><![CDATA[1]]></x><x><![CDATA[1]]></x></r>')
    edits = [SetText(document.elements[1], "a]]>b"), SetText(document.elements[2], "é<")]
    assert splice(document, edits).data == (
        b'<?xml version="1.0" encoding="us-ascii"?><r><x>a]]&gt;b</x><x>&#233;&lt;</x></r>'
    )


def test_a_name_that_the_code_page_lacks_is_refused() -> None:
    document = Document(b'<?xml version="1.0" encoding="us-ascii"?><r/>')
    with pytest.raises(PlanError, match=r"^the name Größe cannot be written in the file's encoding ascii$"):
        splice(document, [Add(document.root, "Größe", "1")])


def test_a_new_prefix_never_takes_one_that_means_something_else() -> None:
    document = Document(b'<r xmlns:p="urn:1"><a/></r>')
    edits: list[Edit] = [
        SetAttribute(document.elements[1], "{urn:2}k", "v", "p"),
        Add(document.root, "{urn:2}n", "", "p"),
    ]
    assert splice(document, edits).data == (
        b'<r xmlns:p="urn:1"><a xmlns:p2="urn:2" p2:k="v"/><p2:n xmlns:p2="urn:2"></p2:n></r>'
    )


def test_an_element_of_no_namespace_is_taken_out_of_the_default_one() -> None:
    document = Document(b'<r xmlns="urn:d"/>')
    assert splice(document, [Add(document.root, "n", "1")]).data == b'<r xmlns="urn:d"><n xmlns="">1</n></r>'
