"""
Configuration files of IIS as documents: parsed by lxml, written back so that what was not changed keeps its look.

What sections mean is in iis_config.py, what is changed in iis_edit.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias
from xml.parsers import expat

from lxml import etree

from lab.iis_schema import INVALID_DATA
from lab.state import fold
from lab.verbs import VerbError

Xml: TypeAlias = Any  # an element of lxml


class Document:
    """
    One configuration file. What is before and behind the root element stays byte for byte; line ends and the style of empty elements are kept.

    Raises VerbError `invalid` where it is not well-formed XML.
    """

    def __init__(self, path: str, data: bytes) -> None:
        self.path, self.data = path, data
        try:
            self.root: Xml = etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True))
        except etree.XMLSyntaxError as error:
            why = f"{path} is not well-formed XML, line {error.lineno}"
            raise VerbError("invalid", path, why, hresult=INVALID_DATA) from None
        self.encoding: str = self.root.getroottree().docinfo.encoding or "UTF-8"

    @property
    def unit(self) -> str:
        """One step of indentation, as the file has it."""
        first = (self.root.text or "").rpartition("\n")[2]
        return first if first and not first.strip() else "    "

    def serialized(self) -> bytes:
        """The file with what was changed in `root`."""
        start, end = _span(self.data)
        newline = "\r\n" if b"\r\n" in self.data else "\n"
        body = "".join(_written(self.root, " />" if b" />" in self.data else "/>")).replace("\n", newline)
        return self.data[:start] + body.encode(self.encoding, "xmlcharrefreplace") + self.data[end:]

    def groups(self, location: str) -> Iterator[tuple[Xml, Xml | None]]:
        """What holds sections at a location, as (element, location tag): the root itself for "", then location tags of that path."""
        if not location:
            yield self.root, None
        for tag in self.root.iterchildren("location"):
            path = (tag.get("path") or "").strip("/")
            if fold("" if path == "." else path) == fold(location):
                yield tag, tag

    def find(self, section: str, location: str) -> tuple[Xml | None, Xml | None]:
        """The element of a section at a location, and the location tag that it is in; (None, None) where it is not set there."""
        for holder, tag in self.groups(location):
            element = holder.find(section)
            if element is not None:
                return element, tag
        return None, None

    def declaration(self, section: str) -> Xml | None:
        """What `configSections` says of a section."""
        *groups, name = section.split("/")
        here = self.root.find("configSections")
        for group in groups:
            here = None if here is None else _named(here, "sectionGroup", group)
        return None if here is None else _named(here, "section", name)


def _named(parent: Xml, tag: str, name: str) -> Xml | None:
    return next((child for child in parent.iterchildren(tag) if child.get("name") == name), None)


def _span(data: bytes) -> tuple[int, int]:
    """Where the root element begins and ends, in bytes."""
    parser = expat.ParserCreate()
    depth, start, end = 0, 0, len(data)

    def opened(_name: str, _attributes: object) -> None:
        nonlocal depth, start
        if depth == 0:
            start = parser.CurrentByteIndex
        depth += 1

    def closed(_name: str) -> None:
        nonlocal depth, end
        depth -= 1
        if depth == 0:
            end = parser.CurrentByteIndex

    parser.StartElementHandler, parser.EndElementHandler = opened, closed
    parser.Parse(data, True)
    return start, data.index(b">", end) + 1


def _written(element: Xml, empty: str) -> Iterator[str]:
    if element.tag is etree.Comment:
        yield f"<!--{element.text}-->"
    elif element.tag is etree.ProcessingInstruction:
        yield f"<?{element.target} {element.text}?>"
    else:
        names = "".join(f' {name}="{_attribute_text(value)}"' for name, value in element.attrib.items())
        if len(element) or element.text:
            yield f"<{element.tag}{names}>{_text(element.text)}"
            for child in element:
                yield from _written(child, empty)
                yield _text(child.tail)
            yield f"</{element.tag}>"
        else:
            yield f"<{element.tag}{names}{empty}"


def _text(text: str | None) -> str:
    return (text or "").replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#xD;")


def _attribute_text(text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return escaped.replace("\t", "&#x9;").replace("\n", "&#xA;").replace("\r", "&#xD;")


def insert(parent: Xml, index: int, child: Xml, unit: str) -> None:
    """Put an element in, on a line of its own, indented as its depth says."""
    depth = sum(1 for _ in parent.iterancestors())
    inner, outer = "\n" + unit * (depth + 1), "\n" + unit * depth
    if not len(parent):
        parent.text, child.tail = inner, outer
    elif index >= len(parent):
        child.tail = parent[-1].tail or outer
        parent[-1].tail = inner
    else:
        child.tail = inner
    parent.insert(index, child)


def remove(element: Xml) -> None:
    """Take an element out with the line that it stands on."""
    parent, before = element.getparent(), element.getprevious()
    if element.getnext() is None:
        if before is not None:
            before.tail = element.tail
        else:
            parent.text = None
    parent.remove(element)
