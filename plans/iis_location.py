"""
What location tags of applicationHost.config give a site that is not there yet. Pure: the file's bytes in, values out.

IIS reads no section at an absent site, also where a tag for it stands (facts/iis.md 3 e); once the site is made, the tag counts.
Of authentication only what iis.py plans; that tags of one path count in their order, one section in each, is assumed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from model.change import PlanError
from model.iis import MODULES, SECTIONS
from model.names import fold
from plans.xml_document import Document

FLAGS: Final = {"true": True, "false": False}


def said_at(data: bytes, site: str) -> dict[str, Any]:
    """
    What the tags of exactly this path say: `enabled` by scheme, and the directives of `providers` and `modules` as pairs of tag and name.

    As JSON, for a fact to hand on. Raises PlanError where the file is no XML, or a value is none that IIS would read.
    """
    root = Document(data).root
    tags = [tag for tag in root.iterchildren("location") if fold((tag.get("path") or "").strip("/")) == fold(site)]

    def found(path: str) -> list[Any]:
        return [element for tag in tags if (element := tag.find(path)) is not None]

    enabled: dict[str, bool] = {}
    for scheme, section in SECTIONS.items():
        for text in (element.get("enabled") for element in found(section)):
            if text is not None and text.lower() not in FLAGS:
                raise PlanError(f"the location tag of {site!r} sets enabled of {section} to {text!r}, no true or false")
            enabled |= {} if text is None else {scheme: FLAGS[text.lower()]}
    return {
        "enabled": enabled,
        "providers": _directives(found(f"{SECTIONS['windows']}/providers"), "value"),
        "modules": _directives(found(MODULES), "name"),
    }


def _directives(elements: Iterable[Any], key: str) -> list[list[str]]:
    return [[child.tag, child.get(key) or ""] for element in elements for child in element.iterchildren("*")]


def merged(inherited: Iterable[str], directives: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """An append collection after the directives of a tag (facts/iis.md 3 l). Raises PlanError for one that IIS would not read."""
    names = list(inherited)
    for tag, name in directives:
        match tag:
            case "clear":
                names = []
            case "remove":
                names = [one for one in names if fold(one) != fold(name)]
            case "add" if all(fold(one) != fold(name) for one in names):
                names.append(name)
            case _:
                raise PlanError(f"a location tag holds <{tag}> of {name!r}, which is there already or unknown to IIS")
    return tuple(names)
