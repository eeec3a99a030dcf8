"""The lab's schema of IIS says nothing that the schema of IIS does not say. Needs ../shared/data/iis, which the project does not ship."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

ROOT = Path(__file__).parents[1]
OURS = ROOT / "lab" / "data" / "schema.xml"
THEIRS = ROOT.parent / "shared" / "data" / "iis" / "IIS_schema.xml"

Facts = dict[str, dict[str, str]]


def facts(node: etree._Element, path: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Every attribute, value, element and collection below `node`: its path and what is said of it. Attributes of extensions are left out."""
    for child in node.iterchildren(tag=etree.Element):
        match child.tag:
            case "attribute" | "enum" | "flag" if "extension" not in child.attrib:
                here = f"{path}@{child.get('name')}" if child.tag == "attribute" else f"{path}={child.get('name')}"
                yield here, {str(name): said(str(value)) for name, value in child.attrib.items() if name != "name"}
                yield from facts(child, here)
            case "element":
                here = f"{path}/{child.get('name')}"
                yield here, {str(name): said(str(value)) for name, value in child.attrib.items()}
                yield from facts(child, here)
            case "collection":
                here = f"{path}/[{child.get('addElement')}]"
                yield here, {str(name): said(str(value)) for name, value in child.attrib.items()}
                yield from facts(child, here)
            case _:
                pass


def said(value: str) -> str:
    return ",".join(part.strip() for part in value.split(","))


def sections(file: Path) -> Facts:
    """
    All sections of a schema file.

    The first schema of a name is what IIS has in its files; what our own file adds after it is the run-time part.
    """
    found: dict[str, etree._Element] = {}
    for section in etree.parse(str(file)).getroot().iterchildren("sectionSchema"):
        found.setdefault(section.get("name", ""), section)
    return {path: said for name, section in found.items() for path, said in facts(section, name)}


@pytest.mark.skipif(not THEIRS.exists(), reason="../shared/data/iis is not here: the lab's schema was not compared")
def test_each_attribute_type_default_and_key_of_the_labs_schema_is_that_of_iis() -> None:
    ours, theirs = sections(OURS), sections(THEIRS)
    assert ours == {path: theirs.get(path, {"": "not in IIS"}) for path in ours}


@pytest.mark.skipif(not THEIRS.exists(), reason="../shared/data/iis is not here: the lab's sections were not compared")
def test_each_section_of_the_lab_is_as_open_to_web_configs_as_in_iis() -> None:
    def declared(file: Path) -> Facts:
        return {
            "/".join(
                [
                    *(group.get("name", "") for group in reversed(list(section.iterancestors("sectionGroup")))),
                    section.get("name", ""),
                ]
            ): {name: section.get(name, "") for name in ("allowDefinition", "overrideModeDefault")}
            for section in etree.parse(str(file)).iterfind("configSections//section")
        }

    ours = declared(ROOT / "lab" / "data" / "applicationHost.config")
    theirs = declared(THEIRS.with_name("applicationHost.config"))
    assert ours == {name: theirs[name] for name in ours}


def test_the_run_time_part_has_what_was_seen_of_the_extension_of_iis() -> None:
    """facts/iis.md 1.7."""
    found = sorted(
        f"{node.tag} {node.get('name')}"
        for node in etree.parse(str(OURS)).getroot().iter("attribute", "method")
        if "extension" in node.attrib
    )
    assert found == [
        "attribute certificateHash",
        "attribute certificateStoreName",
        "attribute isDsMapperEnabled",
        "attribute state",
        "attribute state",
        "method AddSslCertificate",
        "method RebindSslCertificate",
        "method Recycle",
        "method RemoveSslCertificate",
        "method Start",
        "method Start",
        "method Stop",
        "method Stop",
    ]
