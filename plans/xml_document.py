"""
An XML file as its bytes: where each node begins and ends in them, and what lxml reads there. Pure: bytes in, positions and a tree out.

Expat gives the positions, lxml the tree; both must read the same document, or it is refused. How bytes are changed is in splice.py,
which elements are meant in xpath.py and xml.py.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal, TypeAlias
from xml.parsers import expat

from lxml import etree

from model.change import PlanError
from model.files import LARGEST_FILE

BLANK: Final = " \t\r\n"  # XML's white space (XML 1.0, production 3), which is not Python's

Kind: TypeAlias = Literal["element", "text", "cdata", "comment", "instruction"]
MARK: Final = "byte order mark"
# What a file begins with, the encoding that this means, and what it is called (XML 1.0, appendix F).
# UTF-32 first: its mark begins with that of UTF-16.
BEGINNINGS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32", MARK),
    (codecs.BOM_UTF32_BE, "utf-32", MARK),
    (b"<\0\0\0", "utf-32", "first bytes"),
    (b"\0\0\0<", "utf-32", "first bytes"),
    (codecs.BOM_UTF8, "utf-8", MARK),
    (codecs.BOM_UTF16_LE, "utf-16-le", MARK),
    (codecs.BOM_UTF16_BE, "utf-16-be", MARK),
    (b"<\0", "utf-16-le", "first bytes"),
    (b"\0<", "utf-16-be", "first bytes"),
)
# Expat's numbers (expat.h, enum XML_Error) for a document that ends before it is complete, or is none.
SYNTAX, NO_ELEMENTS, INVALID_TOKEN, UNCLOSED_TOKEN, PARTIAL_CHAR, UNCLOSED_CDATA = 2, 3, 4, 5, 6, 20
SEPARATOR: Final = "\x01"  # stands in no XML document, so in no namespace either


@dataclass
class Node:
    """
    One node of the document by its bytes: `data[start:end]`.

    Elements: `inner` ends the start tag, `close` begins the end tag; both are `end` for an empty tag (`<a/>`). `end` of the root is not known
    (None). Other kinds have neither children nor tags.
    """

    kind: Kind
    start: int
    line: int
    end: int | None = None
    inner: int = -1
    close: int = -1
    empty_tag: bool = False
    number: int = -1  # of elements, in document order from 0
    position: int = 0  # among its siblings
    parent: Node | None = field(default=None, repr=False)
    children: list[Node] = field(default_factory=list, repr=False)

    @property
    def stop(self) -> int:
        """Where it ends; only the root, which nothing is put after, has no answer."""
        if self.end is None:
            raise PlanError(f"line {self.line}: the root element cannot be removed or followed")
        return self.end


Event: TypeAlias = tuple[object, ...]


class Document:
    """
    A parsed file. Raises PlanError with one line where it is not XML that can be edited here: the text never quotes its content.

    + data: the bytes as read
    """

    def __init__(self, data: bytes) -> None:
        if not data:
            raise PlanError("is empty (0 bytes), expected an XML document")
        if len(data) > LARGEST_FILE:
            raise PlanError(f"has {len(data)} bytes, more than the {LARGEST_FILE} that are edited here")
        self.data = data
        scan = _Scan(data)
        self.encoding: str = scan.encoding
        self.nodes: list[Node] = scan.elements
        self.root: etree._Element = _tree(data)
        self.elements: list[etree._Element] = list(self.root.iter(etree.Element))
        self._numbers = {element: number for number, element in enumerate(self.elements)}
        if scan.events != list(_events(self.root)):
            raise PlanError("two XML parsers (expat, libxml2) read it differently, so it is not edited")

    def node(self, element: etree._Element) -> Node:
        """The bytes of an element of `root`."""
        return self.nodes[self._numbers[element]]

    def line(self, element: etree._Element) -> int:
        """The line on which its start tag begins, from 1."""
        return self.node(element).line

    def text(self, start: int, end: int) -> str:
        """A range of the file as text; the range must lie on token borders."""
        return self.data[start:end].decode(self.encoding)

    @cached_property
    def newline(self) -> str:
        """The file's own line end: the first one in it, ``""`` where it has none."""
        found = re.search("\r\n|\r|\n", self.text(0, len(self.data)))
        return found[0] if found else ""


def leaf_text(element: etree._Element) -> str | None:
    """The text of an element as XML readers see it: around comments, CDATA included; None where it holds elements."""
    if next(element.iterchildren("*"), None) is not None:
        return None
    return (element.text or "") + "".join(child.tail or "" for child in element)


class _Scan:
    """One run of expat over the whole file: elements with their positions, and the events for the comparison with lxml."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        begins = (one[1:] for one in BEGINNINGS if data.startswith(one[0]))
        self.sniffed, self.by = next(begins, ("", ""))
        self.encoding = self.sniffed or "utf-8"
        self.declared = ""
        self.elements: list[Node] = []
        self.events: list[Event] = []
        self._open: list[Node] = []
        self._pending: Node | None = None  # its end is where the next event begins
        self._start_tag: Node | None = None  # the same for the end of its start tag
        self._in_cdata = False
        if self.encoding == "utf-32":
            raise PlanError("is encoded in UTF-32, which is not edited here; save it as UTF-8")
        self._parser = parser = expat.ParserCreate(namespace_separator=SEPARATOR)
        parser.namespace_prefixes = True
        parser.ordered_attributes = True
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.CommentHandler = self._comment
        parser.ProcessingInstructionHandler = self._instruction
        parser.StartCdataSectionHandler = self._cdata
        parser.EndCdataSectionHandler = self._cdata_end
        try:
            parser.Parse(data, True)
        except expat.ExpatError as error:
            raise PlanError(self._reason(error)) from None
        except PlanError:
            raise
        except (ValueError, LookupError):
            raise PlanError(_encoding_refused(self.declared)) from None
        if self.sniffed and self.by != MARK and not self.declared:
            raise PlanError(
                "is UTF-16 with neither a byte order mark nor a declaration; save it with a byte order mark"
            )

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:  # noqa: ARG002 - expat's signature
        self.declared = encoding or ""
        if version != "1.0":
            raise PlanError(f"is XML {version}, only 1.0 is edited here")
        if encoding is None:
            return
        try:
            codec = codecs.lookup(encoding).name
        except LookupError:
            raise PlanError(_encoding_refused(encoding)) from None
        if self.sniffed:
            if codec not in ({"utf-8"} if self.sniffed == "utf-8" else {"utf-16", self.sniffed}):
                raise PlanError(
                    f"lies about its encoding: the declaration says {encoding}, the {self.by} {self.sniffed.upper()}"
                )
            return
        if codec.startswith(("utf-16", "utf-32")):
            raise PlanError(f"lies about its encoding: the declaration says {encoding}, the bytes are not")
        if codec != "utf-8" and not _is_single_byte(codec):
            raise PlanError(_encoding_refused(encoding))
        self.encoding = codec

    def _doctype(self, name: str, system: str | None, public: str | None, internal: int) -> None:  # noqa: ARG002 - expat's signature
        raise PlanError(
            f"line {self._parser.CurrentLineNumber}: has a document type declaration (DTD), which is refused: "
            "nothing of it was fetched or expanded"
        )

    def _reason(self, error: expat.ExpatError) -> str:
        # Expat's texts are fixed words; those of libxml2 quote the document, where the secrets are.
        words, code = expat.errors.messages.get(error.code, "not well-formed"), error.code
        place = f"line {error.lineno}, column {error.offset + 1}"
        if code == INVALID_TOKEN:
            try:
                self.data.decode(self.encoding)
            except UnicodeDecodeError as wrong:
                line = self.data[: wrong.start].decode(self.encoding, "replace").count("\n") + 1
                says = f"the declaration says {self.declared}" if self.declared else "it has no declaration"
                return (
                    f"lies about its encoding: {says}, but line {line} holds bytes that are not {self.encoding.upper()}"
                )
        if code == NO_ELEMENTS and not self.elements:
            return "holds no element, expected an XML document"
        if code in (NO_ELEMENTS, UNCLOSED_TOKEN, PARTIAL_CHAR, UNCLOSED_CDATA):
            return f"ends too early, it seems truncated: {place}: {words}"
        if not self.elements and code in (SYNTAX, INVALID_TOKEN):
            return f"is not XML: {place}: {words}"
        return f"is not well-formed XML: {place}: {words}"

    def _at(self) -> int:
        """Where this event begins, which is where the token before it ends."""
        at = self._parser.CurrentByteIndex
        if self._pending is not None:
            self._pending.end, self._pending = at, None
        if self._start_tag is not None:
            self._start_tag.inner, self._start_tag = at, None
        return at

    def _node(self, kind: Kind, at: int) -> Node:
        node = Node(kind, at, self._parser.CurrentLineNumber, parent=self._open[-1] if self._open else None)
        if node.parent is not None:
            node.position = len(node.parent.children)
            node.parent.children.append(node)
        return node

    def _start(self, name: str, attributes: Sequence[str]) -> None:
        node = self._node("element", self._at())
        node.number = len(self.elements)
        self.elements.append(node)
        self._open.append(node)
        self._start_tag = node
        pairs = zip(attributes[::2], attributes[1::2], strict=True)
        self.events.append(("start", *_named(name), {_named(key)[0]: value for key, value in pairs}))

    def _end(self, name: str) -> None:  # noqa: ARG002 - expat's signature
        no_content = self._start_tag is not None
        at, node = self._at(), self._open.pop()
        node.close = at
        tag_end = "/>".encode(self.encoding)
        # In a start tag `/` before `>` occurs in an empty tag only; with `<a></a>` the bytes before are `>` of the start tag.
        if no_content and self.data[at - len(tag_end) : at] == tag_end:
            node.empty_tag, node.end = True, at
        else:
            self._pending = node
        self.events.append(("end",))

    def _text(self, text: str) -> None:
        if self._in_cdata:
            self._add_text(text)
            return
        siblings = self._open[-1].children
        at = self._at()
        if not (siblings and siblings[-1].kind == "text"):
            self._node("text", at)
        siblings[-1].end = None
        self._pending = siblings[-1]
        self._add_text(text)

    def _add_text(self, text: str) -> None:
        if self.events[-1][0] == "text":
            text = f"{self.events.pop()[1]}{text}"
        self.events.append(("text", text))

    def _comment(self, text: str) -> None:
        at = self._at()
        if self._open:
            self._pending = self._node("comment", at)
            self.events.append(("comment", text))

    def _instruction(self, target: str, text: str) -> None:
        at = self._at()
        if self._open:
            self._pending = self._node("instruction", at)
            self.events.append(("instruction", target, text))

    def _cdata(self) -> None:
        self._node("cdata", self._at())
        self._in_cdata = True

    def _cdata_end(self) -> None:
        self._in_cdata = False
        self._pending = self._open[-1].children[-1]


def _encoding_refused(encoding: str) -> str:
    return (
        f"is encoded in {encoding}, which is not edited here: only UTF-8, UTF-16 and code pages of one byte a character "
        "(windows-125x, iso-8859-x); save it as UTF-8"
    )


def _is_single_byte(codec: str) -> bool:
    """One byte a character, and ASCII is itself: what expat takes from Python as a table of 256."""
    try:
        table = bytes(range(256)).decode(codec, "replace")
        return len(table) == len(bytes(range(256))) and table[:128] == bytes(range(128)).decode("ascii")
    except (LookupError, UnicodeError):
        return False


def _named(name: str) -> tuple[str, str | None]:
    """Expat's `uri SEP local SEP prefix` as lxml's name, and the prefix."""
    match name.split(SEPARATOR):
        case [uri, local, prefix]:
            return f"{{{uri}}}{local}", prefix
        case [uri, local]:
            return f"{{{uri}}}{local}", None
        case _:
            return name, None


def _tree(data: bytes) -> etree._Element:
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        strip_cdata=False,
    )
    try:
        return etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        # Its text may quote the document; the number of the line does not.
        raise PlanError(f"line {error.lineno}: libxml2 does not read it, expat does; it is not edited") from None


def _events(root: etree._Element) -> Iterator[Event]:
    """The tree in the form in which `_Scan` saw it."""
    text = ""
    for event, node in etree.iterwalk(root, events=("start", "end", "comment", "pi")):
        found: Event
        after = ""
        match event:
            case "start":
                found = ("start", node.tag, node.prefix, attributes(node))
                after = node.text or ""
            case "end":
                found = ("end",)
                after = "" if node is root else node.tail or ""
            case "comment":
                found, after = ("comment", node.text or ""), node.tail or ""
            case _:
                found, after = ("instruction", node.target, node.text or ""), node.tail or ""
        if text:
            yield ("text", text)
        yield found
        text = after
    if text:
        yield ("text", text)


def attributes(element: etree._Element) -> Mapping[str, str]:
    """Its attributes, names as lxml writes them (`{uri}local`)."""
    return {str(name): str(value) for name, value in element.attrib.items()}
