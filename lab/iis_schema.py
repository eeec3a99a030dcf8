"""
The schema of IIS's configuration, as the lab's schema.xml states it: attributes, types, defaults, keys, validators; values both ways.

What is in a configuration file is in iis_config.py, how it is changed in iis_edit.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from lxml import etree

from lab.state import fold
from lab.verbs import VerbError

SCHEMA: Final = Path(__file__).parent / "data" / "schema.xml"

# HRESULTs, facts/iis.md 3 b, 1.4, 1.6
FILE_NOT_FOUND: Final = 0x80070002
INVALID_DATA: Final = 0x8007000D
NOT_SUPPORTED: Final = 0x80070032
LOCK_VIOLATION: Final = 0x80070021
ALREADY_EXISTS: Final = 0x800700B7
INVALID_INDEX: Final = 0x80070585

RANGES: Final[Mapping[str, tuple[int, int]]] = {
    "int": (-(2**31), 2**31 - 1),
    "uint": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
}
DAY: Final = 86400
NOT_XML: Final = re.compile(
    "[^\t\n\r -\ufffd\U00010000-\U0010ffff]"
)  # what XML 1.0 cannot hold, not even as a reference
FORBIDDEN: Final[Mapping[str, str]] = {  # facts/iis.md 3 h and the schema's own header
    "siteName": '\\/?;:@&=+$,|"<>',
    "applicationPoolName": '|<>&\\"/[]+=;:,?*@',
}


@dataclass(frozen=True)
class Attribute:
    """One attribute of an element. `names` are those of an enum or of flags, in the schema's order."""

    name: str
    type: str
    default: str | None
    required: bool
    unique: bool
    combined: bool
    encrypted: bool
    case_sensitive: bool
    names: Mapping[str, int]
    validator: str
    parameter: str
    time_format: str
    extension: str

    def read(self, text: str) -> Any:
        """A text of the file as a value of docs/verbs.md. Raises ValueError."""
        match self.type:
            case "bool":
                if text.lower() not in {"true", "false"}:
                    raise ValueError("is not true or false")
                return text.lower() == "true"
            case "int" | "uint" | "int64":
                return self._number(int(text, 16) if text.lower().startswith("0x") else _decimal(text))
            case "enum":
                return self._name(text)
            case "flags":
                return self._flags(text)
            case "timeSpan":
                return span_text(self._seconds(text))
            case _:
                return text

    def write(self, value: Any) -> str:
        """A value of docs/verbs.md as the text that is stored. Raises ValueError where type or validator refuse it (facts/iis.md 1.5)."""
        match self.type:
            case "bool":
                _must(isinstance(value, bool), "is not true or false")
                return "true" if value else "false"
            case "int" | "uint" | "int64":
                # MWA casts: text is no number there ("Specified cast is not valid.").
                _must(isinstance(value, int) and not isinstance(value, bool), "is not a number")
                self._validate_number(self._number(value))
                return str(value)
            case "enum":
                # MWA takes the number, too; the contract has names only, as they are read.
                _must(isinstance(value, str), "is not a name")
                return self._name(value)
            case "flags":
                _must(isinstance(value, str), "is not a list of names")
                # IIS writes a blank behind each comma, its own files show it.
                return self._flags(value).replace(",", ", ")
            case "timeSpan":
                _must(isinstance(value, str), "is not a time span hh:mm:ss")
                seconds = parse_span(value)
                self._validate_span(seconds)
                return self._span_stored(seconds)
            case _:
                _must(isinstance(value, str), "is not text")
                # What an encrypted attribute holds is not in the file as it is.
                _must(self.encrypted or not NOT_XML.search(value), "holds a character that XML cannot hold")
                self._validate_text(value)
                return str(value)

    @property
    def empty(self) -> Any:
        """The value where nothing is stored anywhere."""
        if self.default is not None:
            return self.read(self.default)
        return {"bool": False, "int": 0, "uint": 0, "int64": 0, "timeSpan": "00:00:00"}.get(
            self.type, next(iter(self.names), "") if self.type == "enum" else ""
        )

    def same(self, one: Any, other: Any) -> bool:
        """Whether two values are the same key."""
        if isinstance(one, str) and isinstance(other, str) and not self.case_sensitive:
            return fold(one) == fold(other)
        return bool(one == other)

    def _number(self, value: int) -> int:
        low, high = RANGES[self.type]
        if not low <= value <= high:
            raise ValueError(f"is out of range, expected {low} to {high}")
        return value

    def _name(self, value: str) -> str:
        for name in self.names:
            if value.lower() == name.lower():
                return name
        raise ValueError(f"must be one of {', '.join(self.names)}")

    def _flags(self, value: str) -> str:
        known = {name.lower(): number for name, number in self.names.items()}
        words = [word.strip() for word in value.split(",") if word.strip()]
        if any(word.lower() not in known for word in words):
            raise ValueError(f"must be some combination of {', '.join(self.names)}")
        total = 0
        for word in words:
            total |= known[word.lower()]
        named = [name for name, number in self.names.items() if number and total & number == number]
        return ",".join(named) if named else next((name for name, number in self.names.items() if not number), "")

    def _seconds(self, text: str) -> int:
        match self.time_format:
            case "seconds":
                return _decimal(text)
            case "minutes":
                return _decimal(text) * 60
            case _:
                return parse_span(text)

    def _span_stored(self, seconds: int) -> str:
        match self.time_format:
            case "seconds":
                return str(seconds)
            case "minutes":
                return str(seconds // 60)
            case _:
                return span_text(seconds)

    def _validate_number(self, value: int) -> None:
        if self.validator == "integerRange":
            low, high, *rest = self.parameter.split(",")
            if (int(low) <= value <= int(high)) == bool(rest):
                raise ValueError(f"must {'not ' if rest else ''}be between {low} and {high}")

    def _validate_span(self, seconds: int) -> None:
        if self.validator == "timeSpanRange":
            low, high, grain, *rest = self.parameter.split(",")
            if (int(low) <= seconds <= int(high)) == bool(rest) or seconds % int(grain):
                raise ValueError(
                    f"must {'not ' if rest else ''}be between {low} and {high} seconds, in steps of {grain}"
                )

    def _validate_text(self, text: str) -> None:
        match self.validator:
            case "nonEmptyString" if not text:
                raise ValueError("must not be empty")
            case "requireTrimmedString" if text != text.strip():
                raise ValueError("must not begin or end with white space")
            case "siteName" | "applicationPoolName" if not text or set(text) & set(FORBIDDEN[self.validator]):
                raise ValueError(f"must be a name without {FORBIDDEN[self.validator]}")
            case "applicationPath" | "virtualDirectoryPath" if not is_path(text):
                raise ValueError("must begin with / and not end with it")


@dataclass(frozen=True)
class Collection:
    """The collection of an element: names of its directives ("" where the schema has none) and what an item looks like, by tag."""

    add: tuple[str, ...]
    remove: str
    clear: str
    default: str
    append: bool
    duplicates: bool
    item: Element


@dataclass(frozen=True)
class Element:
    """What an element may hold."""

    name: str
    attributes: dict[str, Attribute] = field(default_factory=dict)
    children: dict[str, Element] = field(default_factory=dict)
    collections: list[Collection] = field(default_factory=list)  # none or one

    @property
    def collection(self) -> Collection | None:
        """Its collection, where it has one."""
        return self.collections[0] if self.collections else None

    def attribute(self, name: str) -> Attribute | None:
        """An attribute by its exact name: XML is case-sensitive."""
        return self.attributes.get(name)

    def unique_keys(self) -> Iterator[tuple[Attribute, ...]]:
        """The keys of an item: each must be unique by itself; the combined ones make one key."""
        for attribute in self.attributes.values():
            if attribute.unique:
                yield (attribute,)
        combined = tuple(attribute for attribute in self.attributes.values() if attribute.combined)
        if combined:
            yield combined


@cache
def sections(path: Path = SCHEMA) -> Mapping[str, Element]:
    """Every section of the schema by its path. A section that occurs again is merged into the first, as IIS does with its schema files."""
    found: dict[str, Element] = {}
    for node in etree.parse(path).getroot().iterchildren("sectionSchema"):
        section = str(node.get("name"))
        _fill(found.setdefault(section, Element(section.rpartition("/")[2])), node)
    return found


def _fill(element: Element, node: Any) -> None:
    for child in node.iterchildren("attribute"):
        element.attributes.setdefault(child.get("name"), _attribute(child))
    for child in node.iterchildren("element"):
        name = child.get("name")
        _fill(element.children.setdefault(name, Element(name)), child)
    for child in node.iterchildren("collection"):
        if not element.collections:
            tags = tuple(tag.strip() for tag in child.get("addElement", "add").split(","))
            element.collections.append(
                Collection(
                    tags,
                    child.get("removeElement", ""),
                    child.get("clearElement", ""),
                    child.get("defaultElement", ""),
                    child.get("mergeAppend", "true") != "false",
                    child.get("allowDuplicates", "false") == "true",
                    Element(tags[0]),
                )
            )
        _fill(element.collections[0].item, child)


def _attribute(node: Any) -> Attribute:
    names = {child.get("name"): int(child.get("value")) for child in node if child.tag in {"enum", "flag"}}

    def true(name: str) -> bool:
        return bool(node.get(name) == "true")

    return Attribute(
        name=node.get("name"),
        type=node.get("type"),
        default=node.get("defaultValue"),
        required=true("required"),
        unique=true("isUniqueKey"),
        combined=true("isCombinedKey"),
        encrypted=true("encrypted"),
        case_sensitive=true("caseSensitive"),
        names=names,
        validator=node.get("validationType", ""),
        parameter=node.get("validationParameter", ""),
        time_format=node.get("timeSpanFormat", "string"),
        extension=node.get("extension", ""),
    )


def _must(holds: bool, why: str) -> None:
    if not holds:
        raise ValueError(why)


def _decimal(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]+", text):
        raise ValueError("is not a number")
    return int(text)


def parse_span(text: str) -> int:
    """Seconds of `hh:mm:ss` or `d.hh:mm:ss`; IIS takes more than 23 hours. Raises ValueError."""
    found = re.fullmatch(r"(?:([0-9]+)\.)?([0-9]+):([0-5][0-9]):([0-5][0-9])", text, re.ASCII)
    if not found:
        raise ValueError("is not a time span hh:mm:ss")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def span_text(seconds: int) -> str:
    """Seconds as docs/verbs.md writes a time span."""
    days, rest = divmod(seconds, DAY)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}.{clock}" if days else clock


def is_path(text: str) -> bool:
    """Whether a text is a path of an application or virtual directory (the schema's header)."""
    if text == "/":
        return True
    parts = text.split("/")
    return parts[0] == "" and len(parts) > 1 and all(part not in {"", ".", ".."} for part in parts[1:])


def section_schema(section: str, where: str) -> Element:
    """The schema of a section. Raises VerbError `missing` where there is none."""
    try:
        return sections()[section]
    except KeyError:
        raise VerbError("missing", where, "the section has no schema here", hresult=FILE_NOT_FOUND) from None
