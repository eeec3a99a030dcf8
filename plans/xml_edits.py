"""
Edits of an XML document as data, and the tree that lxml makes of them: what the spliced bytes are compared with. Pure.

How the bytes are made is in splice.py, which shares nothing with this but the edits: two ways to one document.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from lxml import etree

from model.change import PlanError
from plans.xml_document import Document, attributes


@dataclass(frozen=True)
class SetText:
    """Give an element this text and nothing else."""

    element: etree._Element
    text: str = field(repr=False)


@dataclass(frozen=True)
class Remove:
    """Remove an element, with the line that it leaves empty."""

    element: etree._Element


@dataclass(frozen=True)
class SetAttribute:
    """Set an attribute, or remove it (None). `name` as lxml writes it (`{uri}local`); `prefix` is what a new declaration would use."""

    element: etree._Element
    name: str
    value: str | None = field(repr=False)
    prefix: str = ""


@dataclass(frozen=True)
class Add:
    """Add a child element after the last one. `name` as lxml writes it; `attributes` are (name, value, prefix)."""

    parent: etree._Element
    name: str
    text: str = field(repr=False)
    prefix: str = ""
    attributes: tuple[tuple[str, str, str], ...] = field(default=(), repr=False)


Edit: TypeAlias = SetText | Remove | SetAttribute | Add


def edited(document: Document, edits: Sequence[Edit]) -> tuple[etree._Element, set[etree._Element]]:
    """The same edits made by lxml on a copy of its tree, and the elements whose children came or went."""
    root = deepcopy(document.root)
    copies = dict(zip(document.elements, root.iter(etree.Element), strict=True))
    loose: set[etree._Element] = set()
    for edit in edits:
        match edit:
            case SetText():
                copies[edit.element][:] = []
                copies[edit.element].text = edit.text
            case Remove():
                loose.add(_drop(copies[edit.element]))
            case SetAttribute(value=None):
                if edit.name in copies[edit.element].attrib:
                    del copies[edit.element].attrib[edit.name]
            case SetAttribute():
                copies[edit.element].set(edit.name, edit.value or "")
            case Add():
                child = etree.SubElement(copies[edit.parent], edit.name)
                loose.add(copies[edit.parent])
                child.text = edit.text
                for name, value, _ in edit.attributes:
                    child.set(name, value)
            case _:
                assert_never(edit)
    return root, loose


def _drop(element: etree._Element) -> etree._Element:
    """Take an element out, its tail stays; returns its parent."""
    parent, before, tail = element.getparent(), element.getprevious(), element.tail or ""
    if parent is None:
        raise PlanError("the root element cannot be removed")
    if before is not None:
        before.tail = (before.tail or "") + tail
    else:
        parent.text = (parent.text or "") + tail
    element.tail = None
    parent.remove(element)
    return parent


def same(wanted: etree._Element, loose: set[etree._Element], found: etree._Element) -> bool:
    """Equal names, attributes, texts, comments and instructions in one order. In the `loose` ones white space between the nodes may differ."""
    pairs = [(wanted, found)]
    while pairs:
        one, other = pairs.pop()
        if one.tag != other.tag or attributes(one) != attributes(other) or len(one) != len(other):
            return False
        if _texts(one, exact=one not in loose) != _texts(other, exact=one not in loose):
            return False
        pairs += zip(one, other, strict=True)
    return True


def _texts(element: etree._Element, *, exact: bool) -> list[str]:
    texts = [element.text or "", *(child.tail or "" for child in element)]
    return texts if exact else ["".join(text.split()) for text in texts]
