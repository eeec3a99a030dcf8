"""
Edits of an XML document as new bytes: everything outside the edits stays byte for byte. Pure.

Positions come from xml_document.py; which edits are wanted is decided in xml.py. Each result is parsed again and compared with the tree that
lxml makes of the same edits (xml_edits.py): where they differ it is refused, never handed on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, assert_never

from lxml import etree

from model.change import PlanError
from plans.xml_document import BLANK, Document, Node, attributes
from plans.xml_edits import Add, Edit, Remove, SetAttribute, SetText, edited, same

XML_NAMESPACE: Final = "http://www.w3.org/XML/1998/namespace"  # always bound to the prefix `xml`
# The attributes of a start tag that expat has read already: of a well-formed tag nothing else can be left (XML 1.0, productions 40, 41, 44).
TAG_NAME: Final = re.compile(r"<([^ \t\r\n/>]+)")
ATTRIBUTE: Final = re.compile(r"""[ \t\r\n]+([^ \t\r\n=]+)[ \t\r\n]*=[ \t\r\n]*("[^"]*"|'[^']*')""")
TAG_END: Final = re.compile(r"[ \t\r\n]*/?>")
LAST_LINE: Final = re.compile(r"(?:\r\n|\r|\n)[ \t]*\Z")
LINE_ENDS: Final = re.compile(r"[ \t]*(?:\r|\n)")
# Production 2, Char: what XML 1.0 can hold at all, as a reference or not.
NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Cut:
    """Replace `data[start:end]`."""

    start: int
    end: int
    new: bytes = field(repr=False)


def splice(document: Document, edits: Sequence[Edit]) -> Document:
    """
    The document that has the edits in its bytes; the elements of `edits` are those of `document.root`.

    Raises PlanError where an edit cannot be made, where two touch the same bytes, or where the result would not read as wanted.
    """
    again = Document(cut(document.data, _cuts(document, edits)))
    if again.encoding != document.encoding or not same(*edited(document, edits), again.root):
        raise PlanError("the edited document would not read as wanted, so nothing is written (please report this)")
    return again


def cut(data: bytes, cuts: Iterable[Cut]) -> bytes:
    """All replacements at once; those at one place stay in their order. Raises PlanError where two overlap."""
    parts, at = [], 0
    for one in sorted(cuts, key=lambda one: (one.start, one.end)):
        if one.start < at:
            raise PlanError("two edits touch the same place; name each element once")
        parts += [data[at : one.start], one.new]
        at = one.end
    return b"".join([*parts, data[at:]])


def _cuts(document: Document, edits: Sequence[Edit]) -> Iterator[Cut]:
    added: dict[etree._Element, list[Add]] = {}
    attributed: dict[etree._Element, list[SetAttribute]] = {}
    for edit in edits:
        match edit:
            case SetText():
                yield _text_cut(document, edit)
            case Remove():
                yield _removal(document, document.node(edit.element))
            case SetAttribute():
                attributed.setdefault(edit.element, []).append(edit)
            case Add():
                added.setdefault(edit.parent, []).append(edit)
            case _:
                assert_never(edit)
    for element, changes in attributed.items():
        yield from _attribute_cuts(document, element, changes)
    for parent, children in added.items():
        yield _addition(document, parent, children)


# -- texts --


def _encoded(document: Document, text: str) -> bytes:
    """What the encoding cannot hold becomes a reference; names are checked before (`_name`)."""
    return text.encode(document.encoding, "xmlcharrefreplace")


def escaped(text: str, newline: str = "\n") -> str:
    """Text between tags. A CR must be a reference: a parser would make LF of it. Line ends are the file's own."""
    for char, reference in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;"), ("\n", newline or "\n")):
        text = text.replace(char, reference)
    return text


def quoted(text: str, quote: str = '"') -> str:
    """An attribute's value with its quotes. White space other than blanks must be references: a parser would make blanks of it."""
    pairs = [("&", "&amp;"), ("<", "&lt;"), (quote, "&quot;" if quote == '"' else "&apos;")]
    for char, reference in [*pairs, ("\t", "&#9;"), ("\n", "&#10;"), ("\r", "&#13;")]:
        text = text.replace(char, reference)
    return f"{quote}{text}{quote}"


def _text_cut(document: Document, edit: SetText) -> Cut:
    node = document.node(edit.element)
    if node.empty_tag:
        tag = _start_tag(document, edit.element)
        content = escaped(edit.text, document.newline)
        return Cut(tag.end, node.inner, _encoded(document, f">{content}</{tag.name}>"))
    if len(node.children) == 1 and node.children[0].kind == "cdata" and _fits_cdata(document, edit.text):
        return Cut(node.inner, node.close, f"<![CDATA[{_lines(document, edit.text)}]]>".encode(document.encoding))
    return Cut(node.inner, node.close, _encoded(document, escaped(edit.text, document.newline)))


def _lines(document: Document, text: str) -> str:
    return text.replace("\n", document.newline or "\n")


def _fits_cdata(document: Document, text: str) -> bool:
    """Whether it can stand in a CDATA section, where there are no references; an empty text needs none."""
    try:
        text.encode(document.encoding)
    except UnicodeEncodeError:
        return False
    return bool(text) and "]]>" not in text and "\r" not in text


# -- start tags --


@dataclass(frozen=True)
class _Attribute:
    """`data[start:end]` with the white space before it; the value with its quotes is `data[value:end]`."""

    name: str
    start: int
    value: int
    end: int
    quote: str


@dataclass(frozen=True)
class _StartTag:
    """`name` as written; `end` is where its last attribute ends (or its name)."""

    name: str
    attributes: tuple[_Attribute, ...]
    end: int


def _start_tag(document: Document, element: etree._Element) -> _StartTag:
    node = document.node(element)
    text = document.text(node.start, node.inner)

    def place(at: int) -> int:
        return node.start + len(text[:at].encode(document.encoding))

    head = TAG_NAME.match(text)
    found: list[_Attribute] = []
    at = head.end() if head else 0
    while one := ATTRIBUTE.match(text, at):
        name = _expanded(one[1], element.nsmap)
        found.append(_Attribute(name, place(at), place(one.start(2)), place(one.end()), one[2][0]))
        at = one.end()
    names = [attribute.name for attribute in found if not attribute.name.startswith("xmlns")]
    if head is None or names != list(attributes(element)) or not TAG_END.fullmatch(text, at):
        raise PlanError(f"line {node.line}: this start tag could not be taken apart, so it is not edited")
    return _StartTag(head[1], tuple(found), place(at))


def _expanded(written: str, nsmap: Mapping[str | None, str]) -> str:
    """A name as written in an attribute to lxml's; declarations keep theirs (`xmlns:p`, which is no name of lxml's)."""
    prefix, colon, local = written.partition(":")
    if written == "xmlns" or prefix == "xmlns":
        return written
    if not colon:
        return written
    return f"{{{XML_NAMESPACE if prefix == 'xml' else nsmap.get(prefix, '')}}}{local}"


def _attribute_cuts(document: Document, element: etree._Element, changes: Sequence[SetAttribute]) -> Iterator[Cut]:
    tag = _start_tag(document, element)
    there = {attribute.name: attribute for attribute in tag.attributes}
    in_scope = dict(element.nsmap)
    for change in changes:
        old = there.get(change.name)
        if old and change.value is None:
            yield Cut(old.start, old.end, b"")
        elif old and change.value is not None:
            yield Cut(old.value, old.end, _encoded(document, quoted(change.value, old.quote)))
        elif change.value is not None:
            quote = tag.attributes[-1].quote if tag.attributes else '"'
            written, declaration = _name(document, change.name, change.prefix, in_scope, attribute=True)
            new = f"{declaration} {written}={quoted(change.value, quote)}"
            yield Cut(tag.end, tag.end, _encoded(document, new))


def _name(
    document: Document,
    name: str,
    prefix: str,
    in_scope: dict[str | None, str],
    *,
    first: Sequence[str | None] = (),
    attribute: bool = False,
) -> tuple[str, str]:
    """
    A name as it is written where `in_scope` holds, and the declaration that it needs (or "").

    Takes a prefix that is bound to the namespace already: one of `first`, then `prefix`, then the default namespace, then any.
    Adds what it declares to `in_scope`.
    """
    parsed = etree.QName(name)
    uri, local = parsed.namespace or "", parsed.localname
    try:
        f"{prefix}{local}".encode(document.encoding)
    except UnicodeEncodeError:
        raise PlanError(f"the name {local} cannot be written in the file's encoding {document.encoding}") from None
    if uri == XML_NAMESPACE:
        return f"xml:{local}", ""
    if not uri:
        if attribute or not in_scope.get(None):
            return local, ""
        in_scope[None] = ""
        return local, ' xmlns=""'
    choices: list[str | None] = [*first, prefix or None, None, *sorted(key for key in in_scope if key)]
    for choice in choices:
        if in_scope.get(choice) == uri and not (attribute and choice is None):
            return f"{choice}:{local}" if choice else local, ""
    new, number = prefix or "ns", 1
    while new in in_scope:
        number += 1
        new = f"{prefix or 'ns'}{number}"
    in_scope[new] = uri
    return f"{new}:{local}", f" xmlns:{new}={quoted(uri)}"


# -- adding and removing elements --


def _rendered(document: Document, add: Add) -> str:
    in_scope = dict(add.parent.nsmap)
    own = etree.QName(add.parent).namespace == etree.QName(add.name).namespace
    first = (add.parent.prefix,) if own else ()
    written, declaration = _name(document, add.name, add.prefix, in_scope, first=first)
    tag = f"{written}{declaration}"
    for name, value, prefix in add.attributes:
        attribute, declaration = _name(document, name, prefix, in_scope, attribute=True)
        tag += f"{declaration} {attribute}={quoted(value)}"
    return f"<{tag}>{escaped(add.text, document.newline)}</{written}>"


def _addition(document: Document, parent: etree._Element, children: Sequence[Add]) -> Cut:
    node = document.node(parent)
    solid = [child for child in node.children if not _is_blank(document, child)]
    if any(child.kind in ("text", "cdata") for child in solid):
        raise PlanError(f"line {node.line}: <{_written(parent)}> holds text, so no element is added to it")
    new = [_rendered(document, child) for child in children]
    if solid:
        between = _separator(document, solid)
        return Cut(solid[-1].stop, solid[-1].stop, _encoded(document, "".join(f"{between}{one}" for one in new)))
    outer = _own_line(document, node)
    between = f"{outer}{_unit(document, node, outer)}" if outer else ""
    content = "".join(f"{between}{one}" for one in new)
    if node.empty_tag:
        tag = _start_tag(document, parent)
        return Cut(tag.end, node.inner, _encoded(document, f">{content}{outer}</{tag.name}>"))
    if LAST_LINE.search(document.text(node.inner, node.close)):
        return Cut(node.inner, node.inner, _encoded(document, content))
    return Cut(node.close, node.close, _encoded(document, f"{content}{outer}"))


def _removal(document: Document, node: Node) -> Cut:
    if node.parent is None:
        raise PlanError("the root element cannot be removed")
    before, after = _neighbours(node)
    start = node.start
    line = LAST_LINE.search(document.text(before.start, before.stop)) if before and before.kind == "text" else None
    alone = after is None or (after.kind == "text" and LINE_ENDS.match(document.text(after.start, after.stop)))
    if line and alone:
        start -= len(line[0].encode(document.encoding))
    return Cut(start, node.stop, b"")


def _neighbours(node: Node) -> tuple[Node | None, Node | None]:
    siblings, at = node.parent.children if node.parent else [node], node.position
    return siblings[at - 1] if at else None, siblings[at + 1] if at + 1 < len(siblings) else None


def _is_blank(document: Document, node: Node) -> bool:
    return node.kind == "text" and not document.text(node.start, node.stop).strip(BLANK)


def _blank_before(document: Document, node: Node) -> str:
    """The white space right before a node, as written; "" where something else stands there."""
    before, _ = _neighbours(node)
    return document.text(before.start, before.stop) if before and _is_blank(document, before) else ""


def _own_line(document: Document, node: Node) -> str:
    """The line end and the indentation that a node stands behind; the root stands at the margin; "" where a line is not its own."""
    if node.parent is None:
        return document.newline
    line = LAST_LINE.search(_blank_before(document, node))
    return line[0] if line else ""


def _separator(document: Document, solid: Sequence[Node]) -> str:
    """What stands between siblings: the last one that begins a line says it; else the white space before the last."""
    ordered = [node for node in solid if node.kind == "element"] or solid
    for node in reversed(ordered):
        if line := LAST_LINE.search(_blank_before(document, node)):
            return line[0]
    return _blank_before(document, ordered[-1])


def _unit(document: Document, node: Node, outer: str) -> str:
    """One step of indentation, by what the parent has more than its own parent."""
    if node.parent is not None:
        above = _own_line(document, node.parent)
        if above and outer.startswith(above) and outer != above:
            return outer.removeprefix(above)
    return "\t" if "\t" in outer else "  "


def _written(element: etree._Element) -> str:
    local = etree.QName(element).localname
    return f"{element.prefix}:{local}" if element.prefix else local
