"""
IIS configuration as it is read: sections through location tags and web.config files, trees as docs/verbs.md states them.

Semantics: facts/iis.md 1 and 3. Files are in iis_document.py, values and the schema in iis_schema.py, changes in iis_edit.py, the verbs in iis.py.
Not modelled: lockItem and its kin but lockAttributes, configSource, machine.config and the root web.config.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeAlias

from lxml import etree

from lab.iis_document import Document, Xml
from lab.iis_schema import (
    ALREADY_EXISTS,
    FILE_NOT_FOUND,
    INVALID_DATA,
    LOCK_VIOLATION,
    NOT_SUPPORTED,
    Attribute,
    Collection,
    Element,
    section_schema,
)
from lab.state import fold
from lab.verbs import VerbError

Node: TypeAlias = dict[str, Any]

ROOT: Final = "MACHINE/WEBROOT/APPHOST"
SITES: Final = "system.applicationHost/sites"
WEB_CONFIG: Final = "web.config"
# Attributes of the configuration system itself, on any element; not modelled, never "unrecognized".
SYSTEM_ATTRIBUTES: Final = frozenset(
    [
        "lockItem",
        "lockAttributes",
        "lockAllAttributesExcept",
        "lockElements",
        "lockAllElementsExcept",
        "configSource",
        "childSource",
    ]
)


@dataclass(frozen=True)
class Layer:
    """One place where an element is set: the XML, the location path, the file."""

    xml: Xml
    location: str
    file: str


@dataclass(frozen=True)
class Context:
    """What a view needs beyond the XML: where it is in words, and the run-time values that no file holds (`state`, `certificateHash`)."""

    where: str
    dynamic: Callable[[View, Attribute], Any] = field(default=lambda _view, _attribute: None)


@dataclass
class View:
    """
    One element as it counts at a location: every layer from the server level down, the deepest last.

    `local` is the layer at the location that is looked at, None where nothing is stored there; `parent` leads to where it is created.
    """

    schema: Element
    layers: Sequence[Layer]
    defaults: Sequence[Xml]
    context: Context
    tag: str
    location: str
    parent: View | None = None
    item: bool = False
    own: bool = True  # the last layer is at `location`

    @property
    def local(self) -> Layer | None:
        """The layer at the location that is looked at."""
        return self.layers[-1] if self.layers and self.own else None

    def raw(self, name: str) -> str | None:
        """The text of an attribute, the deepest first, then the defaults elements; None where only the schema has it."""
        for layer in reversed(self.layers):
            if name in layer.xml.attrib:
                return str(layer.xml.get(name))
        return None

    def value(self, attribute: Attribute) -> Any:
        """The value that counts. Raises VerbError where the text in the file is none, or a run-time value is not to be had."""
        if attribute.extension:
            return self.context.dynamic(self, attribute)
        text = self.raw(attribute.name)
        if text is None:
            text = next((str(xml.get(attribute.name)) for xml in self.defaults if attribute.name in xml.attrib), None)
        if text is None:
            return attribute.empty
        try:
            return attribute.read(text)
        except ValueError as error:
            raise VerbError("invalid", self.context.where, f"{attribute.name} {error}", hresult=INVALID_DATA) from None

    def child(self, name: str) -> View:
        """A fixed child. Raises KeyError."""
        schema = self.schema.children[name]
        layers = [
            Layer(xml, layer.location, layer.file) for layer in self.layers if (xml := layer.xml.find(name)) is not None
        ]
        own = self.local is not None and self.local.xml.find(name) is not None
        defaults = [xml for default in self.defaults if (xml := default.find(name)) is not None]
        return View(schema, layers, defaults, self.context, name, self.location, parent=self, own=own)

    @cached_property
    def items(self) -> list[View]:
        """The items of the collection, merged (facts/iis.md 3 l). Raises VerbError `invalid` for a key that is there twice."""
        collection = self.schema.collection
        if collection is None:
            return []
        merged: list[View] = []
        for layer in self.layers:
            own = layer is self.local
            fresh: list[View] = []
            for xml in layer.xml.iterchildren():
                if xml.tag == collection.clear and collection.clear:
                    merged, fresh = [], []
                elif xml.tag == collection.remove and collection.remove:
                    merged = [one for one in merged if not _removes(xml, one)]
                    fresh = [one for one in fresh if not _removes(xml, one)]
                elif xml.tag in collection.add:
                    one = self._item(collection, xml, layer, own=own)
                    self._complete(one)
                    self._unlike(collection, [*merged, *fresh], one)
                    fresh.append(one)
            merged = [*merged, *fresh] if collection.append else [*fresh, *merged]
        return merged

    def _item(self, collection: Collection, xml: Xml, layer: Layer, *, own: bool) -> View:
        defaults: list[Xml] = []
        above: View | None = self
        while collection.default and above is not None:
            defaults += [
                found for one in reversed(above.layers) if (found := one.xml.find(collection.default)) is not None
            ]
            above = above.parent
        inner = Layer(xml, layer.location, layer.file)
        return View(
            collection.item, [inner], defaults, self.context, xml.tag, self.location, parent=self, item=True, own=own
        )

    def _complete(self, one: View) -> None:
        lacking = [
            name for name, attribute in one.schema.attributes.items() if attribute.required and one.raw(name) is None
        ]
        if lacking:
            why = f"{one.layers[0].file} line {one.layers[0].xml.sourceline}: {one.tag} has no {lacking[0]}, which is required"
            raise VerbError("invalid", self.context.where, why, hresult=INVALID_DATA)

    def _unlike(self, collection: Collection, others: Sequence[View], one: View) -> None:
        if collection.duplicates:
            return
        twin = twin_of(collection.item, others, one.value)
        if twin is not None:
            why = f"{one.layers[0].file} line {one.layers[0].xml.sourceline} holds a second {one.tag} with the same {twin}"
            raise VerbError("invalid", self.context.where, why, hresult=ALREADY_EXISTS)

    def node(self) -> Node:
        """This element as docs/verbs.md writes it. Raises VerbError."""
        node: Node = {"tag": self.tag, "a": {}, "d": [], "s": {}, "e": {}, "c": {}, "items": []}
        self._check_names()
        for name, attribute in self.schema.attributes.items():
            if attribute.encrypted:
                stored = self.raw(name) or next((xml.get(name) for xml in self.defaults if xml.get(name)), "")
                node["s"][name] = {"secret": True, "set": bool(stored)}
                continue
            try:
                node["a"][name] = self.value(attribute)
            except VerbError as error:
                if not attribute.extension:
                    raise
                node["e"][name] = error.hresult
                continue
            # "Default" is what the schema or a defaults element gives: not said at this element (facts/iis.md 1.4).
            if not attribute.extension and self.raw(name) is None:
                node["d"].append(name)
        node["d"].sort()
        node["c"] = {name: self.child(name).node() for name in self.schema.children}
        node["items"] = [item.node() for item in self.items]
        if self.item:
            node["at"] = self.layers[0].location
        return node

    def _check_names(self) -> None:
        collection = self.schema.collection
        known = set(self.schema.children)
        if collection is not None:
            known |= {*collection.add, collection.remove, collection.clear}
        for layer in self.layers:
            unknown = [name for name in layer.xml.attrib if name not in {*self.schema.attributes, *SYSTEM_ATTRIBUTES}]
            unknown += [str(xml.tag) for xml in layer.xml.iterchildren(etree.Element) if xml.tag not in known]
            if unknown:
                why = f"{layer.file} line {layer.xml.sourceline}: unrecognized {unknown[0]!r} in {self.tag}"
                raise VerbError("invalid", self.context.where, why, hresult=INVALID_DATA)


def twin_of(item: Element, others: Sequence[View], value: Callable[[Attribute], Any]) -> str | None:
    """The names of a key that another item has the same of, None where there is no such item."""
    for key in item.unique_keys():
        if any(all(part.same(other.value(part), value(part)) for part in key) for other in others):
            return ", ".join(part.name for part in key)
    return None


def _removes(xml: Xml, one: View) -> bool:
    keys = [part for key in one.schema.unique_keys() for part in key if part.name in xml.attrib]
    return bool(keys) and all(part.same(part.read(xml.get(part.name)), one.value(part)) for part in keys)


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """`%SystemDrive%` and its kin in a path; names in any case, unknown ones stay."""
    return re.sub(r"%([^%]+)%", lambda found: variables.get(found[1].upper(), found[0]), text)


class Configuration:
    """
    The configuration of one server: applicationHost.config and, for the effective view, the web.config files of the sites.

    + host: applicationHost.config
    + web: gives a web.config as bytes by its full path, None where there is none
    + variables: environment variables by upper-case name
    """

    def __init__(
        self,
        host: Document,
        web: Callable[[str], bytes | None],
        variables: Mapping[str, str],
        dynamic: Callable[[View, Attribute], Any] | None = None,
    ) -> None:
        self.host, self._web, self._variables = host, web, variables
        self._dynamic = dynamic or (lambda _view, _attribute: None)

    def context(self, section: str, location: str) -> Context:
        """Names the place for errors."""
        return Context(f"{section}@{location}", self._dynamic)

    def sites(self) -> list[View]:
        """The sites, as items."""
        return self.stored(SITES, "").items

    def site(self, name: str) -> View | None:
        """One site, its name in any case."""
        attribute = section_schema(SITES, "").collections[0].item.attributes["name"]
        return next((site for site in self.sites() if attribute.same(site.value(attribute), name)), None)

    def check(self, section: str, location: str, *, effective: bool = False) -> Element:
        """
        The schema of a section that may be used at a location. Raises VerbError as facts/iis.md 3 d, e and r.

        What is allowed at the server level only cannot be used with a location tag, yet counts at every site.
        """
        where = f"{section}@{location}"
        declared = self.host.declaration(section)
        if declared is None:
            raise VerbError("invalid", where, "the section is not declared in configSections", hresult=INVALID_DATA)
        schema = section_schema(section, where)
        if location and self.site(location.partition("/")[0]) is None:
            why = f"there is no site {location.partition('/')[0]!r}"
            raise VerbError("missing", where, why, hresult=FILE_NOT_FOUND)
        definition = declared.get("allowDefinition", "Everywhere")
        if location and not effective and definition in {"AppHostOnly", "MachineOnly"}:
            why = f"the section is allowed at the server level only ({definition})"
            raise VerbError("invalid", where, why, hresult=NOT_SUPPORTED)
        if location and definition == "MachineToApplication" and not self._is_application(location):
            raise VerbError("invalid", where, "the section is not allowed below an application", hresult=NOT_SUPPORTED)
        return schema

    def stored(self, section: str, location: str) -> View:
        """A section as applicationHost.config gives it at a location, with what it inherits there. Raises VerbError."""
        location = location.strip("/")
        where = self.context(section, location)
        # The sites themselves are looked at to check a location: that read is not checked again.
        sites = section == SITES and not location
        schema = section_schema(section, where.where) if sites else self.check(section, location)
        layers = self._host_layers(section, location)
        own = bool(layers) and fold(layers[-1].location) == fold(location)
        return View(schema, layers, [], where, schema.name, location, own=own)

    def effective(self, section: str, location: str) -> View:
        """A section as it counts at a location, web.config files included. Raises VerbError `locked` for one that sets a locked section."""
        location = location.strip("/")
        schema = self.check(section, location, effective=True)
        layers = [*self._host_layers(section, location), *self._web_layers(section, location)]
        return View(schema, layers, [], self.context(section, location), schema.name, location, own=False)

    def override_mode(self, section: str, location: str) -> tuple[str, str]:
        """The mode that is set at a location, and the one that counts there: the deepest that is not Inherit, else the section's default."""
        here = "Inherit"
        counts = str(
            getattr(self.host.declaration(section), "attrib", {}).get("overrideModeDefault", "Allow")
        )  # missing is Allow
        for prefix in _prefixes(location.strip("/")):
            here = "Inherit"
            for holder, tag in self.host.groups(prefix):
                if tag is None or holder.find(section) is None:
                    continue
                mode = "Deny" if tag.get("allowOverride") == "false" else tag.get("overrideMode", "Inherit")
                if mode != "Inherit":
                    here = counts = mode
        return here, counts

    def section(self, section: str, location: str, view: str, found: View) -> dict[str, Any]:
        """SECTION of docs/verbs.md."""
        location = location.strip("/")
        mode, counts = self.override_mode(section, location)
        deepest = found.layers[-1] if found.layers else None
        path = None if deepest is None else f"{ROOT}/{deepest.location}".rstrip("/")
        return {
            "path": section,
            "override_mode": mode if view == "stored" else "Inherit",
            "override_mode_effective": counts,
            # At applicationHost.config nothing is above that could lock (facts/iis.md 0.5).
            "is_locked": view == "effective" and bool(location) and counts == "Deny",
            "deepest_path": path,
            "deepest_file": None if deepest is None else deepest.file,
            "deepest_line": None if deepest is None else deepest.xml.sourceline,
        }

    def folder(self, location: str) -> str | None:
        """The folder that a location maps to: the virtual directory with the longest path, then what is left of the URL."""
        name, _, rest = location.partition("/")
        site = self.site(name)
        if site is None:
            return None
        url = f"/{rest}"
        for application in sorted(site.items, key=lambda one: -len(_path(one))):
            if not _below(url, _path(application)):
                continue
            inner = "/" + url[len(_path(application).rstrip("/")) :].strip("/")
            for directory in sorted(application.items, key=lambda one: -len(_path(one))):
                if _below(inner, _path(directory)):
                    left = inner[len(_path(directory).rstrip("/")) :].strip("/").replace("/", "\\")
                    base = str(directory.value(directory.schema.attributes["physicalPath"]))
                    folder = expanded(base, self._variables).rstrip("\\")
                    return f"{folder}\\{left}" if left else folder
        return None

    def _host_layers(self, section: str, location: str) -> list[Layer]:
        found = []
        for prefix in _prefixes(location):
            element, _ = self.host.find(section, prefix)
            if element is not None:
                found.append(Layer(element, prefix, self.host.path))
        return found

    def _web_layers(self, section: str, location: str) -> list[Layer]:
        found: list[Layer] = []
        for prefix in _prefixes(location)[1:]:
            document = self._web_document(prefix)
            if document is None:
                continue
            rest = location[len(prefix) :].strip("/")
            for inner in _prefixes(rest):
                element, _ = document.find(section, inner)
                if element is None:
                    continue
                if self.override_mode(section, prefix)[1] == "Deny":
                    why = f"{document.path} line {element.sourceline} sets this section, which is locked at a parent level"
                    raise VerbError("locked", f"{section}@{location}", why, hresult=LOCK_VIOLATION)
                found.append(Layer(element, "/".join(part for part in (prefix, inner) if part), document.path))
        return found

    def _web_document(self, location: str) -> Document | None:
        folder = self.folder(location)
        if folder is None:
            return None
        path = f"{folder}\\{WEB_CONFIG}"
        data = self._web(path)
        return None if data is None else Document(path, data)

    def _is_application(self, location: str) -> bool:
        name, _, rest = location.partition("/")
        site = self.site(name)
        return site is not None and any(fold(_path(one)) == fold(f"/{rest}") for one in site.items)


def _path(view: View) -> str:
    return str(view.value(view.schema.attributes["path"]))


def _below(url: str, path: str) -> bool:
    folded, prefix = fold(url), fold(path).rstrip("/")
    return folded == prefix or folded.startswith(f"{prefix}/")


def _prefixes(location: str) -> list[str]:
    """ "", then every path above a location, then itself: `a/b` gives "", `a`, `a/b`."""
    parts = location.split("/") if location else []
    return ["", *("/".join(parts[: at + 1]) for at in range(len(parts)))]
