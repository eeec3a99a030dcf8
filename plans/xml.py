"""
What must change in an XML file: elements below one parent, set, cleared, removed, and their attributes.

Pure: bytes and wishes in, changes and new bytes out. Where elements are in the bytes is in xml_document.py, what an edit is in
xml_edits.py, how it gets into the bytes in splice.py, how the parent is found in xpath.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn

from lxml import etree

from model.change import Change, PlanError
from model.files import LARGEST_FILE, FileContent
from model.names import fold
from model.secret import Secret
from model.xml import Secrecy, Text, XmlElement, XmlFile, XmlWanted, is_naming, local_name
from plans.splice import NOT_XML, XML_NAMESPACE, splice
from plans.xml_document import Document, attributes, leaf_text
from plans.xml_edits import Add, Edit, Remove, SetAttribute, SetText
from plans.xpath import SHOWN, one_element, path_to

BACKUP_DIGITS: Final = 12  # of the old SHA-256, in the name of a backup
ITSELF: Final = "."  # the parent, where the names of its children stand
SCHEMA: Final = "http://www.w3.org/2001/XMLSchema-instance"
NIL: Final = f"{{{SCHEMA}}}nil"


@dataclass(frozen=True)
class XmlPlan:
    """The changes of one file and its bytes after them; the bytes as read where there are none."""

    changes: tuple[Change, ...]
    data: bytes = field(repr=False)


def plan_elements(file: FileContent, wanted: XmlWanted) -> XmlPlan:
    """
    Compare the elements of a file with what is wanted, and make the new bytes.

    Changes come in the order set, clear, remove, attributes. Raises PlanError, with nothing to write, where the file is not one that can be edited,
    where an element occurs more than once, or where what is wanted contradicts itself or cannot be written.
    """
    _check(wanted)
    document = _document(file)
    parent = one_element(document, wanted.parent, wanted.namespaces)
    found = _Children(document, parent, wanted)
    found.check_distinct()
    found.refuse_elsewhere()
    found.refuse()
    found.refuse_values_in_attributes()
    pairs = [*found.set(), *found.clear(), *found.remove(), *found.attributes()]
    changes, edits = tuple(change for change, _ in pairs), [edit for _, edit in pairs if edit is not None]
    if not changes:
        return XmlPlan((), file.data)
    if file.info.read_only:
        raise PlanError("is read-only (its file attribute), so it cannot be changed; clear the attribute, run again")
    again = splice(document, edits)
    left = _Children(again, one_element(again, wanted.parent, wanted.namespaces), wanted)
    if [*left.set(), *left.clear(), *left.remove(), *left.attributes()]:
        raise PlanError("the edited document would differ again, so nothing is written (please report this)")
    return XmlPlan(changes, again.data)


def read_elements(file: FileContent, names: Sequence[str], wanted: XmlWanted) -> XmlFile:
    """The elements of these names below the parent, all of them where no name is given; a problem where they cannot be read."""
    try:
        document = _document(file)
        _check_namespaces(wanted.namespaces)
        for name in names:
            if name != ITSELF:
                _check_name(name, wanted.namespaces, "an element")
        parent = one_element(document, wanted.parent, wanted.namespaces)
        found = _Children(document, parent, wanted)
        elements = [one for name in names for one in found.named(name)] if names else list(parent.iterchildren("*"))
    except PlanError as error:
        return XmlFile(file, problem=str(error))
    return XmlFile(file, tuple(_as_read(document, element, wanted) for element in elements))


def backup_path(path: str, sha256: str) -> str:
    """Where the content with this SHA-256 is kept before it is replaced: beside the file."""
    return f"{path}.{sha256[:BACKUP_DIGITS]}.bak"


def _document(file: FileContent) -> Document:
    match file.info.kind:
        case "absent":
            raise PlanError("does not exist; it is never created here")
        case "folder":
            raise PlanError("is a folder, expected an XML file")
        case _:
            pass
    if (file.info.length or 0) > LARGEST_FILE:
        raise PlanError(f"has {file.info.length} bytes, more than the {LARGEST_FILE} that are edited here")
    return Document(file.data)


def _as_read(document: Document, element: etree._Element, wanted: XmlWanted) -> XmlElement:
    namespace = etree.QName(element).namespace or ""
    values = {_spelled(name, element): value for name, value in attributes(element).items()}
    line = document.line(element)
    inside = _in_secret(element.getparent(), wanted.secrecy)
    return XmlElement(_tag(element), namespace, line, leaf_text(element), values, wanted.secrecy, inside)


def _in_secret(around: etree._Element | None, secrecy: Secrecy) -> bool:
    """Whether an element, or one around it, says by its name or its attributes that what is in it is a secret."""
    while around is not None:
        if secrecy.covers(_tag(around)) or secrecy.names(attributes(around)):
            return True
        around = around.getparent()
    return False


def _own_attributes(element: etree._Element) -> Mapping[str, str]:
    """Its attributes without those that XML and XML Schema give a meaning."""
    foreign = (XML_NAMESPACE, SCHEMA)
    return {name: value for name, value in attributes(element).items() if etree.QName(name).namespace not in foreign}


def _tag(element: etree._Element) -> str:
    """Its name as written."""
    local = etree.QName(element).localname
    return f"{element.prefix}:{local}" if element.prefix else local


def _spelled(name: str, element: etree._Element) -> str:
    parsed = etree.QName(name)
    prefix = next((key for key, uri in element.nsmap.items() if key and uri == parsed.namespace), None)
    return f"{prefix}:{parsed.localname}" if prefix else parsed.localname


class _Children:
    """The elements below the parent, by the names that the user gave."""

    def __init__(self, document: Document, parent: etree._Element, wanted: XmlWanted) -> None:
        self.document, self.parent, self.wanted = document, parent, wanted

    def expanded(self, name: str) -> str:
        """A name in lxml's form. Without a prefix it is what it would be if it were written into the parent."""
        if name == ITSELF:
            return name
        prefix, _, local = name.rpartition(":")
        uri = self.wanted.namespaces[prefix] if prefix else self.parent.nsmap.get(None, "")
        return f"{{{uri}}}{local}" if uri else local

    def named(self, name: str) -> list[etree._Element]:
        """Every child of that name, in document order; the parent for `.`."""
        if name == ITSELF:
            return [self.parent]
        tag = self.expanded(name)
        return [child for child in self.parent.iterchildren("*") if self._alike(str(child.tag), tag)]

    def one(self, name: str) -> etree._Element | None:
        """The only child of that name. Raises PlanError for several, or for one in another namespace that may be meant."""
        found = self.named(name)
        if len(found) > 1:
            places = " and ".join(map(self._placed, found))
            raise PlanError(
                f"{name} occurs {len(found)} times, expected at most 1: {places}. Remove the wrong ones, run again."
            )
        if found:
            return found[0]
        for child in self.parent.iterchildren("*") if ":" not in name else ():
            parsed = etree.QName(child)
            if self._alike(parsed.localname, name):
                raise PlanError(
                    f"{name} is not there, but {self._placed(child)} is, in "
                    f"{f'the namespace {parsed.namespace}' if parsed.namespace else 'no namespace'}: another element to XML. "
                    "Bind a prefix to the namespace that is meant in namespaces and write it before the name."
                )
        return None

    def _alike(self, one: str, other: str) -> bool:
        if not self.wanted.ignore_case:
            return one == other
        # The namespace is compared exactly, only the local name without case.
        return one.rpartition("}")[0] == other.rpartition("}")[0] and (
            fold(one.rpartition("}")[2]) == fold(other.rpartition("}")[2])
        )

    def check_distinct(self) -> None:
        """Raise PlanError where two of the names mean the same element."""
        seen: dict[str, str] = {}
        for name in [*self.wanted.set, *self.wanted.clear, *self.wanted.remove]:
            tag = self.expanded(name)
            other = next((seen[one] for one in seen if self._alike(one, tag)), None)
            if other is not None:
                as_names = f", as {other} and as {name}" if other != name else ""
                raise PlanError(f"{name} is asked for twice in set, clear and remove{as_names}; name it once")
            seen[tag] = name

    def refuse_elsewhere(self) -> None:
        """
        Raise PlanError where none of the names stands below the parent, but one of them does somewhere else: another parent is meant.

        Or where the document says one of them by an attribute: that may be what is read. Where some of the names are below the parent, only it and
        its children are asked for the others.
        """
        names = [*self.wanted.set, *self.wanted.clear, *self.wanted.remove]
        if not self.wanted.refuse_elsewhere:
            return
        missing = [name for name in names if not self.named(name)]
        if len(missing) < len(names):
            self._refuse_attributes([self.parent, *self.parent.iterchildren("*")], missing)
            self._refuse_second([name for name in missing if name in self.wanted.set])
            return
        below: dict[str, str] = {}
        for element in self.document.elements:
            local, parent = etree.QName(element).localname, element.getparent()
            named = any(self._alike(local, local_name(name)) for name in [*names, *self.wanted.refuse_if])
            if named and parent is not None and parent is not self.parent:
                path, namespaces = path_to(parent)
                place = f"{path} with namespaces {namespaces}" if namespaces else path
                below.setdefault(place, f"<{_tag(element)}> on line {self.document.line(element)}")
        if below:
            found = " and ".join(f"{element} is below {place}" for place, element in [*below.items()][:SHOWN])
            more = ", ..." if len(below) > SHOWN else ""
            raise PlanError(
                f"none of {', '.join(names)} is below {self._placed(self.parent)}, but {found}{more}: "
                f"{self.wanted.refuse_elsewhere}"
            )
        self._refuse_attributes(self.document.elements, [*names, *self.wanted.refuse_if])

    def _refuse_second(self, names: Sequence[str]) -> None:
        """Raise PlanError where a name that would be added here stands elsewhere in the document."""
        for element in (one for one in self.document.elements if one is not self.parent):
            for name in names:
                # Of a child in another namespace `one` says more, where the name has no prefix.
                told = ":" not in name and element.getparent() is self.parent
                if not told and self._alike(etree.QName(element).localname, local_name(name)):
                    self._refuse_both(name, f"{self._placed(element)} is there")
        self._refuse_attributes(self.document.elements, names)

    def _refuse_attributes(self, elements: Iterable[etree._Element], names: Sequence[str]) -> None:
        for name, place, _ in self._by_attribute(elements, names):
            self._refuse_both(name, place)

    def _refuse_both(self, name: str, place: str) -> NoReturn:
        raise PlanError(
            f"there is no {name} below {self._placed(self.parent)}, but {place}: "
            "which of the two would count is not known, so none is added. Change this file by hand"
        )

    def _by_attribute(
        self, elements: Iterable[etree._Element], names: Sequence[str]
    ) -> Iterator[tuple[str, str, bool]]:
        """Names that elements have as an attribute's name, or as what one says they are about (`is_naming`): name, place, whether it is not empty."""
        for element, name in ((element, name) for element in elements for name in names):
            values = {etree.QName(key).localname: value for key, value in _own_attributes(element).items()}
            for local, value in values.items():
                if self._alike(local, local_name(name)):
                    line = self.document.line(element)
                    yield name, f"attribute {local} of <{_tag(element)}> on line {line}", value != ""
                elif is_naming(local) and self._alike(value.strip(), local_name(name)):
                    others = any(text for key, text in values.items() if not is_naming(key))
                    place = f'<{_tag(element)} {local}="{value}"> on line {self.document.line(element)}'
                    yield name, place, others or leaf_text(element) != ""

    def refuse(self) -> None:
        """Raise PlanError where an element that must be absent or empty is neither; a name without a prefix means any namespace here."""
        # Where the shape of the document is not known, one that stands elsewhere may count as well.
        everywhere = self.document.elements if self.wanted.refuse_elsewhere else None
        for name, reason in self.wanted.refuse_if.items():
            for child in everywhere or self.parent.iterchildren("*"):
                same = (child.tag, self.expanded(name)) if ":" in name else (etree.QName(child).localname, name)
                if not self._alike(*map(str, same)):
                    continue
                if leaf_text(child) != "":
                    raise PlanError(f"{self._placed(child)} is not empty: {reason}")
                for attribute in self._telling(child):
                    raise PlanError(f"attribute {attribute} of {self._placed(child)} is not empty: {reason}")
            for _, place, filled in self._by_attribute(everywhere or (), [name]):
                if filled:
                    raise PlanError(f"{place} is not empty: {reason}")

    def refuse_values_in_attributes(self) -> None:
        """Raise PlanError where the document's shape is not known and a value may be in an attribute: the text alone would be changed."""
        if not self.wanted.refuse_elsewhere:
            return
        emptied = {*self.wanted.clear, *(name for name, value in self.wanted.set.items() if _revealed(value) == "")}
        for name in [*self.wanted.set, *self.wanted.clear]:
            child = self.one(name)
            # Beside a text that is not empty an attribute is about that text. Where the text goes, what is left would count.
            text = "" if child is None else leaf_text(child)
            if child is None or text is None or (name not in emptied and text.strip()):
                continue
            managed = {self._attribute(one) for one in self.wanted.attributes.get(name, ())}
            for attribute in self._telling(child, but=managed):
                instead = "Take the element away (remove), name" if name in emptied else "Name"
                raise PlanError(
                    f"{self._placed(child)} has an attribute {attribute}: whether that is its value is not known, so its text alone is not changed. "
                    f"{instead} the attribute in attributes, or change this file by hand"
                )

    def _telling(self, element: etree._Element, *, but: Collection[str] = ()) -> list[str]:
        """Its own attributes that may hold its value, as written: not one that says its name once more."""
        own = etree.QName(element).localname
        return [
            _spelled(name, element)
            for name, value in _own_attributes(element).items()
            if value and name not in but and not (is_naming(name) and self._alike(value.strip(), own))
        ]

    def _placed(self, element: etree._Element) -> str:
        return f"<{_tag(element)}> on line {self.document.line(element)}"

    def set(self) -> Iterator[tuple[Change, Edit | None]]:
        """Texts that differ, and elements that are missing."""
        for name, value in self.wanted.set.items():
            text = _revealed(value)
            child = self.one(name)
            secret = isinstance(value, Secret) or self._is_secret(name, child)
            if child is None:
                prefix = name.rpartition(":")[0]
                yield (
                    Change(name, None, text, secret),
                    Add(self.parent, self.expanded(name), text, prefix, self._new(name)),
                )
            elif (before := self._text(child)) != text:
                self._replaceable(child)
                self._refuse_nil(name, child, text)
                yield Change(_tag(child), before, text, secret), SetText(child, text)

    def clear(self) -> Iterator[tuple[Change, Edit]]:
        """Texts that are not empty."""
        for name in self.wanted.clear:
            child = self.one(name)
            if child is not None and (before := self._text(child)):
                self._replaceable(child)
                yield Change(_tag(child), before, "", self._is_secret(name, child)), SetText(child, "")

    def remove(self) -> Iterator[tuple[Change, Edit]]:
        """Elements that shall not be there."""
        for name in self.wanted.remove:
            child = self.one(name)
            if child is not None:
                before = leaf_text(child)
                shown = f"({len(list(child.iterdescendants('*')))} elements)" if before is None else before
                yield Change(_tag(child), shown, None, self._is_secret(name, child)), Remove(child)

    def attributes(self) -> Iterator[tuple[Change, Edit | None]]:
        """Attributes that differ. Those of an element that `set` adds are written with it."""
        for name, values in self.wanted.attributes.items():
            child = self.one(name)
            if child is None and name not in self.wanted.set and any(value is not None for value in values.values()):
                raise PlanError(f"{name} is not there, so it has no attributes; add the element with set")
            for written, value in values.items():
                attribute = self._attribute(written)
                before = None if child is None else attributes(child).get(attribute)
                after = None if value is None else _revealed(value)
                if before == after:
                    continue
                secret = isinstance(value, Secret) or self._is_secret(name, child, written)
                change = Change(f"{name if child is None else _tag(child)}@{written}", before, after, secret)
                edit = None if child is None else SetAttribute(child, attribute, after, written.rpartition(":")[0])
                yield change, edit

    def _is_secret(self, name: str, child: etree._Element | None, *names: str) -> bool:
        secrecy = self.wanted.secrecy
        if secrecy.covers(name, *names, *(() if child is None else (_tag(child),))):
            return True
        now = {} if child is None else attributes(child)
        given = {
            key: _revealed(value) for key, value in self.wanted.attributes.get(name, {}).items() if value is not None
        }
        if secrecy.names(now) or secrecy.names(given):
            return True
        return not secrecy.spared(name) and _in_secret(
            self.parent.getparent() if name == ITSELF else self.parent, secrecy
        )

    def _refuse_nil(self, name: str, child: etree._Element, text: str) -> None:
        """XML Schema: an element that says it is nil has no content (XML Schema Part 1, 2.6.2); readers pass over it."""
        removed = {self._attribute(key) for key, value in self.wanted.attributes.get(name, {}).items() if value is None}
        if text and attributes(child).get(NIL) in ("true", "1") and NIL not in removed:
            line = self.document.line(child)
            raise PlanError(
                f"<{_tag(child)}> on line {line} says xsi:nil, so a text in it counts for nothing; remove that attribute, too"
            )

    def _new(self, name: str) -> tuple[tuple[str, str, str], ...]:
        values = self.wanted.attributes.get(name, {}).items()
        return tuple(
            (self._attribute(written), _revealed(value), written.rpartition(":")[0])
            for written, value in values
            if value is not None
        )

    def _attribute(self, written: str) -> str:
        """An attribute's name in lxml's form. Without a prefix it is in no namespace, wherever it stands."""
        prefix, _, local = written.rpartition(":")
        if not prefix:
            return local
        return f"{{{XML_NAMESPACE if prefix == 'xml' else self.wanted.namespaces[prefix]}}}{local}"

    def _text(self, child: etree._Element) -> str:
        text = leaf_text(child)
        if text is None:
            raise PlanError(f"{self._placed(child)} holds elements, expected text alone")
        return text

    def _replaceable(self, child: etree._Element) -> None:
        for node in self.document.node(child).children:
            if node.kind in ("comment", "instruction"):
                what = "a comment" if node.kind == "comment" else "a processing instruction"
                raise PlanError(
                    f"<{_tag(child)}> holds {what} (line {node.line}), which a new text would delete; move it out of the element, run again"
                )


def _revealed(value: Text) -> str:
    return value.reveal() if isinstance(value, Secret) else value


# -- what is wanted, before any file is looked at --


def _check(wanted: XmlWanted) -> None:
    _check_namespaces(wanted.namespaces)
    for name in [*wanted.set, *wanted.clear, *wanted.attributes]:
        if name != ITSELF:
            _check_name(name, wanted.namespaces, "an element")
    for name in [*wanted.remove, *wanted.refuse_if]:
        _check_name(name, wanted.namespaces, "an element")
    _check_attributed(wanted)
    below = [name for name in wanted.set if name != ITSELF]
    if below and ITSELF in {*wanted.set, *wanted.clear}:
        raise PlanError(
            f". (the parent itself) is in set or clear, and {below[0]}, which is below it, is in set: "
            "an element has a text or children here. Leave one out"
        )
    for name, value in wanted.set.items():
        _check_value(name, value, secret=name == ITSELF or wanted.secrecy.covers(name))
    for name, values in wanted.attributes.items():
        for attribute, given in values.items():
            if given is not None:
                _check_value(
                    f"{name}@{attribute}", given, secret=name == ITSELF or wanted.secrecy.covers(name, attribute)
                )


def _check_attributed(wanted: XmlWanted) -> None:
    same = fold if wanted.ignore_case else str
    removed = {same(name) for name in wanted.remove}
    spelled = {same(name): name for name in wanted.set}
    for name, values in wanted.attributes.items():
        if same(name) in removed:
            raise PlanError(f"{name} is in remove and in attributes; once is meant")
        if spelled.get(same(name), name) != name:
            raise PlanError(f"{name} in attributes is {spelled[same(name)]} in set; spell them alike")
        for attribute in values:
            _check_name(attribute, {"xml": XML_NAMESPACE, **wanted.namespaces}, "an attribute")
            if attribute == "xmlns":
                raise PlanError(f"{name}@xmlns declares a namespace, which is no attribute; use namespaces")
    if wanted.ignore_case and len({same(name) for name in wanted.attributes}) < len(wanted.attributes):
        raise PlanError("two names in attributes differ only in case; spell them alike")


def _check_namespaces(namespaces: Mapping[str, str]) -> None:
    for prefix, uri in namespaces.items():
        if not prefix or not uri:
            raise PlanError(
                f"namespaces binds {prefix!r} to {uri!r}: a prefix and a namespace are needed, XPath 1.0 has no default"
            )
        if not _is_name(prefix) or prefix.lower().startswith("xml"):
            raise PlanError(f"namespaces: {prefix!r} is not a prefix that can be bound")


def _check_name(name: str, prefixes: Collection[str], what: str) -> None:
    prefix, colon, local = name.rpartition(":")
    if not _is_name(local) or (colon and not _is_name(prefix)):
        several = "; several names are a list" if "," in name else ""
        raise PlanError(f"{name!r} is not the name of {what}, expected NAME or PREFIX:NAME{several}")
    if prefix and prefix not in prefixes:
        raise PlanError(
            f"{name}: the prefix {prefix} is not in namespaces (there: {', '.join(sorted(prefixes)) or 'none'})"
        )


def _is_name(name: str) -> bool:
    try:
        return ":" not in name and etree.QName(name).localname == name
    except ValueError:
        return False


def _check_value(name: str, value: object, *, secret: bool) -> None:
    if isinstance(value, Secret):
        value, secret = value.reveal(), True
    if not isinstance(value, str):
        kind = type(value).__name__
        raise PlanError(f"{name} is given as {kind}, expected text" + (' ("true", "false")' if kind == "bool" else ""))
    if wrong := NOT_XML.search(value):
        # Of a secret not even one character is told.
        which = "a character" if secret else f"U+{ord(wrong[0]):04X} (character {wrong.start() + 1})"
        raise PlanError(f"{name}: the value holds {which} that XML cannot hold, not even as a reference")
