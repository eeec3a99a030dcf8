"""IIS of the python engine below its verbs: words of errors, the lines of an edit, values, documents. What the verbs answer is in tests/contract."""

from __future__ import annotations

import difflib
import hashlib
import io
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from lab import iis
from lab.iis_document import Document
from lab.iis_edit import decrypted, encrypted
from lab.iis_schema import SCHEMA, parse_span, sections, span_text
from tests.iis_machine import POOLS, SITES, WINDOWS, IisMachine

INVALID, LOCK = 0x8007000D, 0x80070021


@pytest.fixture
def machine(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> IisMachine:
    return IisMachine(tmp_path, caplog)


def enable(section: str = WINDOWS, location: str = "Default Web Site", on: bool = True) -> dict[str, Any]:
    return {"op": "set", "section": section, "location": location, "at": [], "a": {"enabled": on}}


# -- reading --


def test_a_section_of_the_server_level_counts_at_a_site_but_is_not_stored_there(machine: IisMachine) -> None:
    answers = [machine.section(SITES, "Default Web Site", view) for view in ("stored", "effective")]
    assert [one["ok"] for one in answers] == [False, True]
    assert machine.section(SITES, filter={"odd": 1})["error"]["kind"] == "missing"


WEB: Final = r"C:\inetpub\wwwroot\web.config"
WEB_CONFIG: Final = (
    b"<configuration>\n <system.webServer>\n  <security>\n   <authentication>\n"
    b'    <windowsAuthentication enabled="false" />\n   </authentication>\n  </security>\n </system.webServer>\n</configuration>'
)


def test_a_web_config_that_sets_a_locked_section_is_an_error_with_file_and_line(machine: IisMachine) -> None:
    machine.machine.write_file(WEB, WEB_CONFIG)
    error = machine.section(WINDOWS, "Default Web Site")["error"]
    assert (error["kind"], error["hresult"]) == ("locked", LOCK)
    assert error["why"] == f"{WEB} line 5 sets this section, which is locked at a parent level"


def test_a_broken_applicationhost_config_is_named(machine: IisMachine) -> None:
    machine.config = "<configuration>"
    assert machine.refused("Get-IisConfig", reads=[]) == (
        "invalid",
        iis.CONFIG,
        f"{iis.CONFIG} is not well-formed XML, line 1",
        INVALID,
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('id="1"', 'id="one"'),
        ('id="1"', 'id="1" colour="red"'),
        ('<add name="DefaultAppPool"', '<add name="X" queueLength="9999999999999" /><add name="DefaultAppPool"'),
        ('<add name="DefaultAppPool"', '<add name="DEFAULTAPPPOOL" /><add name="DefaultAppPool"'),
    ],
)
def test_what_the_schema_does_not_know_makes_a_section_unreadable(machine: IisMachine, old: str, new: str) -> None:
    machine.config = machine.config.replace(old, new)
    section = SITES if "id=" in old else POOLS
    error = machine.call("Get-IisConfig", reads=[{"id": "r", "section": section, "view": "stored"}])
    found = error["error"] if not error["ok"] else error["result"]["reads"][0]["error"]
    assert found["kind"] == "invalid"


# -- editing --


def test_an_edit_changes_its_lines_and_no_others(machine: IisMachine) -> None:
    before = machine.config.splitlines()
    machine.edit(
        enable(),
        {
            "op": "set",
            "section": POOLS,
            "at": [{"tag": "add", "key": {"name": "defaultapppool"}}],
            "a": {"queueLength": 2000},
        },
    )
    after = machine.config.splitlines()
    assert [line for line in before if line not in after] == [
        '            <add name="DefaultAppPool" managedRuntimeVersion="v4.0" />'
    ]
    assert [line.strip() for line in _added(before, after)] == [
        '<add name="DefaultAppPool" managedRuntimeVersion="v4.0" queueLength="2000" />',
        '<location path="Default Web Site">',
        "<system.webServer>",
        "<security>",
        "<authentication>",
        '<windowsAuthentication enabled="true" />',
        "</authentication>",
        "</security>",
        "</system.webServer>",
        "</location>",
    ]


def _added(before: list[str], after: list[str]) -> list[str]:
    return [line[2:] for line in difflib.ndiff(before, after) if line.startswith("+ ")]


def test_attributes_of_a_location_tag_are_kept_and_ours_goes_into_another(machine: IisMachine) -> None:
    tag = '<location path="Default Web Site" overrideMode="Allow" inheritInChildApplications="false">'
    machine.config = machine.config.replace(
        "</configuration>", f"{tag}<system.webServer /></location>\n</configuration>"
    )
    machine.edit(enable())
    assert f"{tag}<system.webServer /></location>" in machine.config
    assert machine.config.count('<location path="Default Web Site">') == 1


def test_the_same_edit_again_leaves_the_file_untouched(machine: IisMachine) -> None:
    machine.edit(enable())
    before = machine.machine.snapshot()
    assert machine.edit(enable())["changed"] is False
    assert machine.machine.snapshot() == before


def test_a_secret_is_stored_encrypted_and_never_read_back(machine: IisMachine) -> None:
    text = "pl4nted \"<&>' é\u2028"
    at = [{"tag": "add", "key": {"name": "DefaultAppPool"}}, "processModel"]
    machine.edit({"op": "set", "section": POOLS, "at": at, "a": {"password": {"secret": "p"}}}, p=text)
    answer = machine.section(POOLS, view="stored")
    assert answer["tree"]["items"][0]["c"]["processModel"]["s"] == {"password": {"secret": True, "set": True}}
    assert "pl4nted" not in f"{machine.config}{answer}"
    element = etree.fromstring(machine.config.encode()).find(".//processModel")
    assert element is not None
    stored = str(element.get("password"))
    assert (stored.startswith("[enc:IISWASOnlyAesProvider:"), decrypted(stored)) == (True, text)


# -- run time --


def state(machine: IisMachine, name: str, kind: str = "site") -> str:
    found = machine.ask("Get-IisState", items=[{"kind": kind, "name": name}])["states"][0]["state"]
    return str(found)


def start(
    machine: IisMachine, name: str, kind: str = "site", wanted: str = "Started", timeout_s: int = 5
) -> dict[str, Any]:
    return {"kind": kind, "name": name, "state": wanted, "expected": "Unknown", "timeout_s": timeout_s}


def test_was_learns_of_a_new_site_after_the_commit(machine: IisMachine) -> None:
    machine.site()
    assert state(machine, "s") == "Unknown"
    assert machine.ask("Set-IisState", **start(machine, "s")) == {"state": "Started"}
    assert state(machine, "S") == "Started"


# -- values, documents --


@given(st.integers(0, 10**7))
def test_a_time_span_that_is_written_is_read_the_same(seconds: int) -> None:
    assert parse_span(span_text(seconds)) == seconds


@given(st.text(min_size=1).filter(lambda text: not any("\ud800" <= char <= "\udfff" for char in text)))
def test_what_is_encrypted_comes_back(text: str) -> None:
    assert decrypted(encrypted(text, "AesProvider")) == text


def test_every_default_of_the_schema_is_a_value_of_its_type() -> None:
    def walk(element: Any) -> list[Any]:
        own = [(attribute, attribute.empty) for attribute in element.attributes.values()]
        below = [*element.children.values(), *(one.item for one in element.collections)]
        return own + [found for child in below for found in walk(child)]

    values = [found for section in sections(SCHEMA).values() for found in walk(section)]
    kinds = {"bool": bool, "uint": int, "int": int, "int64": int}
    assert [attribute.name for attribute, value in values if type(value) is not kinds.get(attribute.type, str)] == []


names = st.sampled_from(["a", "b", "c.d"])
texts = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"), max_size=8
)
elements: st.SearchStrategy[Any] = st.recursive(
    st.tuples(names, st.dictionaries(names, texts, max_size=2), texts, st.just([])),
    lambda inner: st.tuples(names, st.dictionaries(names, texts, max_size=2), texts, st.lists(inner, max_size=3)),
    max_leaves=5,
)


def _built(spec: Any) -> Any:
    tag, attributes, text, children = spec
    element = etree.Element(tag, attributes)
    element.text = text
    element.extend(_built(child) for child in children)
    return element


@given(
    elements,
    st.sampled_from(["", "<!-- c -->\n", '<?xml version="1.0" encoding="UTF-8"?>\n']),
    st.sampled_from(["", "\n<!-- e -->\n"]),
)
def test_a_document_that_nobody_changed_means_the_same_when_written(spec: Any, before: str, behind: str) -> None:
    data = (before + etree.tostring(_built(spec), encoding="unicode") + behind).encode()
    written = Document("x", data).serialized()
    assert (written.startswith(before.encode()), written.endswith(behind.encode())) == (True, True)
    assert _canonical(written) == _canonical(data)


def _canonical(data: bytes) -> bytes:
    out = io.BytesIO()
    etree.fromstring(data).getroottree().write_c14n(out)
    return out.getvalue()


def test_the_labs_own_file_is_written_byte_for_byte(machine: IisMachine) -> None:
    data = machine.machine.read_file(iis.CONFIG)
    assert data is not None
    assert Document("x", data).serialized() == data
    assert machine.guard == hashlib.sha256(data).hexdigest()
