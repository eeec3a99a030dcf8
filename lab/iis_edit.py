"""
Edits of applicationHost.config: EDIT objects of docs/verbs.md applied to a document, as Microsoft.Web.Administration's generic elements do it.

Reading is in iis_config.py. Nothing here writes a file: Edit-IisConfig in iis.py commits once, after all edits.
"""

from __future__ import annotations

import base64
import hashlib
import secrets as random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from lxml import etree

from lab.iis_config import Configuration, View, twin_of
from lab.iis_document import Xml, insert, remove
from lab.iis_schema import (
    ALREADY_EXISTS,
    FILE_NOT_FOUND,
    INVALID_DATA,
    INVALID_INDEX,
    LOCK_VIOLATION,
    NOT_SUPPORTED,
    NOT_XML,
    Attribute,
    Element,
)
from lab.state import fold
from lab.verbs import VerbError, kind_of

OPERATIONS: Final[Mapping[str, tuple[frozenset[str], frozenset[str]]]] = {  # fields that must be there, and that may
    "set": (frozenset({"a"}), frozenset({"at"})),
    "reset": (frozenset({"names"}), frozenset({"at"})),
    "add": (frozenset({"tag"}), frozenset({"at", "index", "a", "c", "items"})),
    "remove": (frozenset({"at"}), frozenset()),
    "clear": (frozenset(), frozenset({"at"})),
    "revert": (frozenset(), frozenset()),
    "remove_location": (frozenset({"location"}), frozenset()),
}
STEP: Final = frozenset({"tag", "key"})
CONTENT: Final = frozenset({"a", "c", "items"})  # of a child or an item that is added
FIELDS: Final[Mapping[str, type]] = {
    **dict.fromkeys(("op", "section", "location", "tag"), str),
    **dict.fromkeys(("at", "names", "items"), list),
    **dict.fromkeys(("a", "c", "key"), dict),
    "index": int,
}
INT32: Final = range(-(2**31), 2**31)
PROVIDER: Final = "AesProvider"
WAS_ONLY: Final = "IISWASOnlyAesProvider"  # the passwords of pools: only WAS may decrypt them


@dataclass
class Editor:
    """
    Applies edits to one document, in order.

    `committed` are the sites that the file had before: a section of a site that is added by the same call cannot be set [assumed, facts/iis.md 3 e].
    `secrets` are the values that `{"secret": NAME}` stands for.
    """

    configuration: Configuration
    secrets: Mapping[str, str]

    def __post_init__(self) -> None:
        self.committed = {fold(_text(site, "name")) for site in self.configuration.sites()}

    def apply(self, edits: Sequence[Any]) -> None:
        """Apply all edits. Raises VerbError that says which edit; the document is then good for nothing."""
        for number, edit in enumerate(edits, 1):
            where = "edits"
            if isinstance(edit, dict):
                where = f"{edit.get('section', '')}@{edit.get('location', '')}"
            try:
                self._apply(edit, where)
            except VerbError as error:
                raise VerbError(error.kind, where, f"edit {number}: {error.why}", hresult=error.hresult) from None

    def _apply(self, edit: Any, where: str) -> None:
        self._check(edit, where)
        location = edit.get("location", "").strip("/")
        if edit["op"] == "remove_location":
            self._remove_location(location, where)
            return
        if location and fold(location.partition("/")[0]) not in self.committed:
            why = f"there is no site {location.partition('/')[0]!r} in the file as it was read"
            raise VerbError("missing", where, why, hresult=FILE_NOT_FOUND)
        section = self.configuration.stored(edit["section"], location)
        if edit["op"] == "revert":
            self._revert(section)
            return
        target = self._walk(section, edit.get("at", []), where)
        match edit["op"]:
            case "set":
                self._set(target, edit["a"], where)
            case "reset":
                self._reset(target, edit["names"], where)
            case "add":
                self._add(target, edit, edit.get("index", -1), where)
            case "remove":
                self._remove(target, where)
            case _:
                self._clear(target, where)

    def _check(self, edit: Any, where: str) -> None:
        """The shape of an edit: fields that must be there, no others, their types; and a location that can be written."""
        op = edit.get("op") if isinstance(edit, dict) else None
        if not isinstance(op, str) or op not in OPERATIONS:
            raise VerbError("invalid", where, f"expected an object with op, one of {', '.join(OPERATIONS)}")
        must, may = OPERATIONS[op]
        if op != "remove_location":
            must, may = must | {"section"}, may | {"location"}
        _shaped(edit, must | {"op"}, may, where, op)
        if NOT_XML.search(edit.get("location", "")):
            raise VerbError("invalid", where, "location holds a character that XML cannot hold", hresult=INVALID_DATA)

    # -- finding --

    def _walk(self, section: View, at: Sequence[Any], where: str) -> View:
        here = section
        for step in at:
            match step:
                case str():
                    if step not in here.schema.children:
                        why = f"{here.tag} has no child {step!r}"
                        raise VerbError("missing", where, why, hresult=INVALID_INDEX)
                    here = here.child(step)
                case _:
                    _shaped(step, STEP, frozenset(), where, "a step of at")
                    here = self._item(here, step["tag"], step["key"], where)
        return here

    def _item(self, parent: View, tag: str, key: Mapping[str, Any], where: str) -> View:
        if parent.schema.collection is None:
            raise VerbError("missing", where, f"{parent.tag} has no collection", hresult=INVALID_INDEX)
        unknown = [name for name in key if parent.schema.collection.item.attribute(name) is None]
        if unknown:
            raise VerbError("missing", where, f"{tag} has no attribute {unknown[0]!r}", hresult=INVALID_INDEX)
        found = [one for one in parent.items if one.tag == tag and _matches(one, key)]
        shown = ", ".join(f"{name}={value!r}" for name, value in key.items())
        if not found:
            raise VerbError("missing", where, f"{parent.tag} has no {tag} with {shown}")
        if len(found) > 1:
            raise VerbError("ambiguous", where, f"{parent.tag} has {len(found)} of {tag} with {shown}")
        return found[0]

    # -- what each does --

    def _set(self, target: View, values: Mapping[str, Any], where: str) -> None:
        texts = {
            name: self._stored(self._attribute(target.schema, name, where), value, target, where)
            for name, value in values.items()
        }
        if not texts:
            return
        self._unlocked(target, values, where)
        self._unique(target, values, where)
        xml = self._made(target, where)
        for name, text in texts.items():
            xml.set(name, text)

    def _reset(self, target: View, names: Sequence[Any], where: str) -> None:
        for name in names:
            if not isinstance(name, str):
                raise VerbError("invalid", where, "names are texts")
            attribute = self._attribute(target.schema, name, where)
            # An item without it could not be read any more.
            if attribute.required or attribute.unique or attribute.combined:
                raise VerbError("invalid", where, f"{name} is required or a key: it can be set, not reset")
            self._unlocked(target, [attribute.name], where)
            if target.local is not None:
                target.local.xml.attrib.pop(attribute.name, None)

    def _add(self, parent: View, new: Mapping[str, Any], index: int, where: str) -> None:
        collection = parent.schema.collection
        if collection is None:
            raise VerbError("missing", where, f"{parent.tag} has no collection", hresult=INVALID_INDEX)
        tag, values = new["tag"], new.get("a", {})
        if tag not in collection.add:
            why = f"items of {parent.tag} are {' or '.join(collection.add)}, not {tag!r}"
            raise VerbError("invalid", where, why, hresult=INVALID_DATA)
        item = collection.item
        # A view without XML: only for naming what a secret is stored as.
        blank = View(item, [], [], parent.context, tag, parent.location, parent=parent, item=True)
        texts = {
            name: self._stored(self._attribute(item, name, where), value, blank, where)
            for name, value in values.items()
        }
        lacking = [name for name, attribute in item.attributes.items() if attribute.required and name not in values]
        if lacking:
            why = f"{tag} is missing required attributes {','.join(lacking)}"
            raise VerbError("invalid", where, why, hresult=FILE_NOT_FOUND)
        items = parent.items
        if not collection.duplicates:
            twin = twin_of(item, items, lambda attribute: _given(attribute, values))
            if twin is not None:
                why = f"{parent.tag} has a {tag} with the same {twin} already"
                raise VerbError("conflict", where, why, hresult=ALREADY_EXISTS)
        at = len(items) if index == -1 else index
        if not 0 <= at <= len(items):
            raise VerbError(
                "invalid", where, f"index is {index}, {parent.tag} has {len(items)} items", hresult=INVALID_INDEX
            )
        xml = etree.Element(tag)
        for name, text in texts.items():
            xml.set(name, text)
        self._place(parent, items, at, xml, where)
        added = next(one for one in self._again(parent).items if one.local is not None and one.local.xml is xml)
        for name, inner in new.get("c", {}).items():
            if name not in item.children:
                raise VerbError("missing", where, f"{tag} has no child {name!r}", hresult=INVALID_INDEX)
            self._fill(added.child(name), inner, where)
        for inner in new.get("items", []):
            _shaped(inner, frozenset({"tag"}), CONTENT, where, "an item")
            self._add(self._again(added), inner, -1, where)

    def _fill(self, target: View, values: Any, where: str) -> None:
        """A fixed child of an item that is added: attributes, children, items."""
        _shaped(values, frozenset(), CONTENT, where, "a child")
        self._set(target, values.get("a", {}), where)
        for name, inner in values.get("c", {}).items():
            if name not in target.schema.children:
                raise VerbError("missing", where, f"{target.tag} has no child {name!r}", hresult=INVALID_INDEX)
            self._fill(self._again(target).child(name), inner, where)
        for inner in values.get("items", []):
            _shaped(inner, frozenset({"tag"}), CONTENT, where, "an item")
            self._add(self._again(target), inner, -1, where)

    def _place(self, parent: View, items: Sequence[View], at: int, xml: Xml, where: str) -> None:
        """Put a new item into the file so that it stands at an index of the merged collection."""
        inherited = [one for one in items if one.local is None]
        own = [one for one in items if one.local is not None]
        holder = self._made(parent, where)
        unit = self.configuration.host.unit
        if at < len(inherited):
            # Between inherited items IIS writes a clear and copies of them all (facts/iis.md 3 l).
            self._directive(parent, holder, where)
            for copy in [*inherited[:at], None, *inherited[at:]]:
                new = xml if copy is None else _copied(copy)
                insert(holder, self._end(holder, [], parent), new, unit)
            return
        own_xml = [one.layers[-1].xml for one in own]
        if at - len(inherited) < len(own_xml):
            insert(holder, holder.index(own_xml[at - len(inherited)]), xml, unit)
        else:
            insert(holder, self._end(holder, own_xml, parent), xml, unit)

    def _end(self, holder: Xml, own: Sequence[Xml], parent: View) -> int:
        """Where the next item goes: behind the last item or directive, before other children (`siteDefaults`)."""
        collection = parent.schema.collection
        names = {*collection.add, collection.remove, collection.clear} if collection is not None else set()
        behind = [index for index, child in enumerate(holder) if child.tag in names or any(child is one for one in own)]
        if behind:
            return behind[-1] + 1
        # A collection beside fixed children: `application` stands before what applies to all of them.
        defaults = [
            index for index, child in enumerate(holder) if isinstance(child.tag, str) and child.tag.endswith("Defaults")
        ]
        return defaults[0] if defaults else len(holder)

    def _directive(self, parent: View, holder: Xml, where: str) -> None:
        """A `clear` as the first thing of a collection, local items and directives gone."""
        collection = parent.schema.collection
        if collection is None or not collection.clear:
            raise VerbError(
                "invalid", where, f"{parent.tag} cannot be cleared of what it inherits", hresult=NOT_SUPPORTED
            )
        for child in [one for one in holder if one.tag in {collection.clear, collection.remove}]:
            remove(child)
        insert(holder, 0, etree.Element(collection.clear), self.configuration.host.unit)

    def _remove(self, target: View, where: str) -> None:
        if not target.item or target.parent is None:
            raise VerbError("invalid", where, "only an item of a collection can be removed", hresult=NOT_SUPPORTED)
        if target.local is not None:
            remove(target.local.xml)
            return
        collection = target.parent.schema.collection
        if collection is None or not collection.remove:
            why = f"this {target.tag} is inherited and {target.parent.tag} has no directive to remove it"
            raise VerbError("invalid", where, why, hresult=NOT_SUPPORTED)
        directive = etree.Element(collection.remove)
        for key in target.schema.unique_keys():
            for attribute in key:
                directive.set(attribute.name, attribute.write(target.value(attribute)))
        holder = self._made(target.parent, where)
        insert(holder, self._end(holder, [], target.parent), directive, self.configuration.host.unit)

    def _clear(self, target: View, where: str) -> None:
        collection = target.schema.collection
        if collection is None:
            raise VerbError("missing", where, f"{target.tag} has no collection", hresult=INVALID_INDEX)
        if target.local is not None:
            names = {*collection.add, collection.remove, collection.clear}
            for child in [one for one in target.local.xml if one.tag in names]:
                remove(child)
        # Only where something is inherited there is something to say.
        if self._again(target).items:
            self._directive(target, self._made(target, where), where)

    def _revert(self, section: View) -> None:
        if section.local is not None:
            _prune(section.local.xml)

    def _remove_location(self, location: str, where: str) -> None:
        if not location:
            raise VerbError("invalid", where, "location is empty: the server level is not removed")
        for holder, _tag in list(self.configuration.host.groups(location)):
            remove(holder)

    # -- helpers --

    def _attribute(self, schema: Element, name: str, where: str) -> Attribute:
        attribute = schema.attribute(name)
        if attribute is None:
            raise VerbError("missing", where, f"{schema.name} has no attribute {name!r}", hresult=INVALID_INDEX)
        return attribute

    def _stored(self, attribute: Attribute, value: Any, target: View, where: str) -> str:
        """A value as the text to store; secrets come by name, encrypted attributes are stored encrypted."""
        if attribute.extension:
            raise VerbError("invalid", where, f"{attribute.name} is a run-time value", hresult=NOT_SUPPORTED)
        if isinstance(value, dict):
            name = str(value.get("secret"))
            if value.keys() != {"secret"} or name not in self.secrets:
                raise VerbError("invalid", where, f"{attribute.name} names a secret that was not sent")
            value = self.secrets[name]
        try:
            text = attribute.write(value)
        except ValueError as error:
            raise VerbError("invalid", where, f"{attribute.name} {error}", hresult=INVALID_DATA) from None
        if not attribute.encrypted or not text:
            return text
        return encrypted(text, WAS_ONLY if "applicationPools" in target.context.where else PROVIDER)

    def _unlocked(self, target: View, names: Iterable[str], where: str) -> None:
        """Refuse attributes that a level above has locked; that this binds a location of the same file is assumed (facts/iis.md 3 c)."""
        above = target.layers if target.local is None else target.layers[:-1]
        locked = {name.strip() for layer in above for name in layer.xml.get("lockAttributes", "").split(",")}
        found = [name for name in names if name in locked or "*" in locked]
        if found:
            why = f"{found[0]} of {target.tag} is locked at a parent level"
            raise VerbError("locked", where, why, hresult=LOCK_VIOLATION)

    def _unique(self, target: View, values: Mapping[str, Any], where: str) -> None:
        """A key that is changed must stay unlike its neighbours."""
        if not target.item or target.parent is None:
            return
        others = [one for one in target.parent.items if one.layers[-1].xml is not target.layers[-1].xml]

        def value(attribute: Attribute) -> Any:
            given = attribute.name in values
            return _typed(attribute, values[attribute.name]) if given else target.value(attribute)

        changed = {part.name for key in target.schema.unique_keys() for part in key} & values.keys()
        if changed and (twin := twin_of(target.schema, others, value)) is not None:
            why = f"another {target.tag} has the same {twin}"
            raise VerbError("conflict", where, why, hresult=ALREADY_EXISTS)

    def _made(self, target: View, where: str) -> Xml:
        """The element of a view in the file, at its location; made with all above it where it is absent."""
        fresh = self._again(target)
        if fresh.local is not None:
            return fresh.local.xml
        if fresh.item:
            # What IIS writes for this (a remove and a copy) is not modelled.
            why = f"this {fresh.tag} is inherited, it can be changed where it is set only"
            raise VerbError("invalid", where, why, hresult=NOT_SUPPORTED)
        if fresh.parent is not None:
            above = self._made(fresh.parent, where)
            xml = etree.Element(fresh.tag)
            insert(above, len(above), xml, self.configuration.host.unit)
            return xml
        return self._made_section(where.rpartition("@")[0], fresh.location)

    def _made_section(self, section: str, location: str) -> Xml:
        document = self.configuration.host
        here = document.root
        if location:
            tags = [tag for _, tag in document.groups(location) if tag is not None]
            # A tag with an overrideMode says something about every section in it: ours goes elsewhere.
            plain = [tag for tag in tags if not {"overrideMode", "allowOverride"} & set(tag.attrib)]
            if plain:
                here = plain[0]
            else:
                here = etree.Element("location", path=location)
                insert(document.root, len(document.root), here, document.unit)
        for name in section.split("/"):
            found = here.find(name)
            if found is None:
                found = etree.Element(name)
                insert(here, len(here), found, document.unit)
            here = found
        return here

    def _again(self, view: View) -> View:
        """The same element as the document has it now."""
        if view.parent is None:
            section = view.context.where.rpartition("@")[0]
            return self.configuration.stored(section, view.location)
        parent = self._again(view.parent)
        if not view.item:
            return parent.child(view.tag)
        return next(one for one in parent.items if one.layers[-1].xml is view.layers[-1].xml)


def _shaped(value: Any, must: frozenset[str], may: frozenset[str], where: str, what: str) -> None:
    """Refuse what has not the fields that it must have, has others than it may have, or has one of another type."""
    if not isinstance(value, dict):
        raise VerbError("invalid", where, f"{what} is not an object")
    for name in sorted(must - value.keys()):
        raise VerbError("invalid", where, f"{what} has no {name}")
    for name, inner in value.items():
        if name not in must | may:
            raise VerbError("invalid", where, f"{what} takes no {name}")
        # An integer of 32 bits, as the parameter that it becomes.
        number = FIELDS[name] is not int or (not isinstance(inner, bool) and inner in INT32)
        if not isinstance(inner, FIELDS[name]) or not number:
            raise VerbError("invalid", where, f"{name} of {what} is {kind_of(inner)}, another type than expected")


def _text(view: View, name: str) -> str:
    return str(view.value(view.schema.attributes[name]))


def _matches(one: View, key: Mapping[str, Any]) -> bool:
    """Whether an item has these attribute values; text in any case (docs/verbs.md, PATH)."""
    return all(same_value(one.value(one.schema.attributes[name]), value) for name, value in key.items())


def same_value(found: Any, wanted: Any) -> bool:
    """Equal, text without regard to case; true is not 1."""
    if isinstance(found, str) and isinstance(wanted, str):
        return fold(found) == fold(wanted)
    return type(found) is type(wanted) and bool(found == wanted)


def _given(attribute: Attribute, values: Mapping[str, Any]) -> Any:
    return _typed(attribute, values[attribute.name]) if attribute.name in values else attribute.empty


def _typed(attribute: Attribute, value: Any) -> Any:
    """What is read of a value once it is stored: keys are compared by that, not by how they were given."""
    return attribute.read(attribute.write(value))


def _copied(view: View) -> Xml:
    """A copy of an inherited item with what is stored in it."""
    original = view.layers[-1].xml
    copy = etree.Element(original.tag)
    for name, text in original.attrib.items():
        if name not in {"lockItem", "lockAttributes"}:
            copy.set(name, text)
    for child in original:
        copy.append(etree.fromstring(etree.tostring(child, with_tail=False)))
    return copy


def _prune(element: Xml) -> None:
    """Remove an element, then what is empty above it, the root and its groups excepted."""
    parent = element.getparent()
    remove(element)
    in_location = any(above.tag == "location" for above in [parent, *parent.iterancestors()])
    if in_location and not len(parent) and parent.getparent() is not None:
        _prune(parent)


def encrypted(text: str, provider: str) -> str:
    """A text as IIS stores an encrypted attribute. The lab's cipher hides it from a search, no more: there is no key to keep."""
    nonce = random.token_bytes(8)
    hidden = bytes(one ^ other for one, other in zip(text.encode(), _stream(nonce), strict=False))
    return f"[enc:{provider}:{base64.b64encode(nonce + hidden).decode('ascii')}:enc]"


def decrypted(stored: str) -> str:
    """What `encrypted` hid: for tests. Raises ValueError."""
    if not (stored.startswith("[enc:") and stored.endswith(":enc]")):
        raise ValueError("is not an encrypted attribute")
    data = base64.b64decode(stored[5:-5].partition(":")[2])
    return bytes(one ^ other for one, other in zip(data[8:], _stream(data[:8]), strict=False)).decode()


def _stream(nonce: bytes) -> Any:
    for block in count():
        yield from hashlib.sha256(nonce + block.to_bytes(8, "big")).digest()
