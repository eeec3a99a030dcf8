"""
Finding the one element that an XPath expression means, with errors that show the place. Pure.

lxml evaluates; here expressions are only cut into steps, to say which one failed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Final

from lxml import etree

from model.change import PlanError
from plans.xml_document import Document

LITERAL: Final = re.compile(r"\"[^\"]*\"|'[^']*'")
# A prefix, but neither an axis (`child::`) nor part of a longer name.
PREFIX: Final = re.compile(r"(?<![\w.\-])([^\W\d][\w.\-]*):(?![:])")
STEP_NAME: Final = re.compile(r"(?:([^\W\d][\w.\-]*):)?([^\W\d][\w.\-]*)(?=\[|\Z)")
SHOWN: Final = 5  # lines named in one message


def one_element(document: Document, expression: str | None, namespaces: Mapping[str, str]) -> etree._Element:
    """
    The element that the expression gives; the root for None. A relative expression starts at the root element.

    Raises PlanError with the expression and `^` below the place: not an expression, a prefix that is not in `namespaces`, no match (the first
    step that gives nothing), several matches (their lines), or something that is not an element.
    """
    if expression is None:
        return document.root
    found = _evaluate(document, expression, namespaces)
    if not isinstance(found, list) or not all(isinstance(one, etree._Element) for one in found):  # noqa: SLF001 - lxml's class of nodes
        raise PlanError(_shown("the parent is not an element: the expression gives a value", expression, 0))
    if not found:
        raise PlanError(_nothing(document, expression, namespaces))
    if len(found) > 1:
        lines = ", ".join(str(document.line(one)) for one in found[:SHOWN] if isinstance(one.tag, str))
        more = ", ..." if len(found) > SHOWN else ""
        raise PlanError(
            _shown(f"the parent is ambiguous: {len(found)} matches (lines {lines}{more}), expected 1", expression, 0)
        )
    only: etree._Element = found[0]
    if isinstance(only.tag, str):
        return only
    raise PlanError(
        _shown("the parent is not an element: the expression gives a comment or an instruction", expression, 0)
    )


def path_to(element: etree._Element) -> tuple[str, dict[str, str]]:
    """An absolute expression that gives this element alone, and the namespaces that it needs: prefixes as the document has them, where it has any."""
    path, namespaces = "", dict[str, str]()
    for one in [*reversed(list(element.iterancestors("*"))), element]:
        parsed, parent = etree.QName(one), one.getparent()
        step = parsed.localname
        if parsed.namespace:
            known = [prefix for prefix, uri in namespaces.items() if uri == parsed.namespace]
            free = (f"n{number}" for number in count(1) if f"n{number}" not in namespaces)
            prefix = known[0] if known else one.prefix if one.prefix and one.prefix not in namespaces else next(free)
            namespaces[prefix] = parsed.namespace
            step = f"{prefix}:{step}"
        alike = [] if parent is None else list(parent.iterchildren(one.tag))
        path += f"/{step}" + (f"[{alike.index(one) + 1}]" if len(alike) > 1 else "")
    return path, namespaces


def _evaluate(document: Document, expression: str, namespaces: Mapping[str, str]) -> object:
    try:
        return document.root.xpath(expression, namespaces=dict(namespaces), smart_strings=False)
    except (etree.XPathError, ValueError):  # ValueError: lxml's, for a character that no XML holds
        plain = LITERAL.sub(lambda literal: " " * len(literal[0]), expression)
        for prefix in PREFIX.finditer(plain):
            if prefix[1] not in namespaces:
                known = ", ".join(sorted(namespaces)) or "none"
                text = f"the parent's prefix {prefix[1]} is not in namespaces (there: {known})"
                raise PlanError(_shown(text, expression, prefix.start(1))) from None
        raise PlanError(_shown("the parent is not a valid XPath 1.0 expression", expression, 0)) from None


def steps(expression: str) -> tuple[tuple[int, int], ...]:
    """Where the location steps of one path begin and end; () for what is not one path (a union)."""
    found, depth, start = [], 0, 0
    plain = LITERAL.sub(lambda literal: "x" * len(literal[0]), expression)
    for at, char in enumerate(plain):
        if char in "[(":
            depth += 1
        elif char in "])":
            depth -= 1
        elif depth == 0 and char == "|":
            return ()
        elif depth == 0 and char == "/":
            if plain[start:at].strip():
                found.append((start, at))
            start = at + 1
    if plain[start:].strip():
        found.append((start, len(plain)))
    return tuple(found)


def _nothing(document: Document, expression: str, namespaces: Mapping[str, str]) -> str:
    """Which step is the first that gives nothing, below what, and what would explain it."""
    before: list[etree._Element] = []
    for number, (start, end) in enumerate(steps(expression)):
        found = _evaluate(document, expression[:end], namespaces)
        if not isinstance(found, list):
            break
        if not found:
            step = expression[start:end].strip()
            at = start + len(expression[start:end]) - len(expression[start:end].lstrip())
            relative = number == 0 and not expression.lstrip().startswith("/")
            below = before or ([document.root] if relative else [])
            hint = _hint(document, step, below, namespaces, relative=relative)
            return _shown(f"the parent matches nothing: no {step} {_below(document, below)}{hint}", expression, at)
        before = [one for one in found if isinstance(one, etree._Element)]  # noqa: SLF001 - lxml's class of nodes
    return _shown("the parent matches nothing", expression, 0)


def _below(document: Document, below: Sequence[etree._Element]) -> str:
    if not below:
        return "in the document"
    lines = ", ".join(str(document.line(one)) for one in below[:SHOWN])
    name = etree.QName(below[0]).localname
    return f"below <{name}> (line{'s' if len(below) > 1 else ''} {lines}{', ...' if len(below) > SHOWN else ''})"


def _hint(
    document: Document, step: str, below: Sequence[etree._Element], namespaces: Mapping[str, str], *, relative: bool
) -> str:
    name = STEP_NAME.match(step)
    if not name:
        return ""
    wanted = (namespaces.get(name[1]) if name[1] else None, name[2])
    near = [child for one in below for child in one.iterchildren("*")] if below else [document.root]
    for element in near:
        parsed = etree.QName(element)
        if parsed.localname == wanted[1] and parsed.namespace and parsed.namespace != wanted[0]:
            return (
                f"; <{wanted[1]}> on line {document.line(element)} is in the namespace {parsed.namespace}: "
                "bind a prefix to it in namespaces and write it before the name"
            )
    if relative and etree.QName(document.root).localname == wanted[1]:
        return "; a relative expression starts at the root element, write / before it"
    return ""


def _shown(text: str, expression: str, at: int) -> str:
    # The mark must stand below its place: what is not one column wide is shown as a blank or a dot.
    line = "".join(char if char.isprintable() else " " for char in expression)
    return f"{text}\n    {line}\n    {' ' * at}^"
