"""The iis verbs of the python engine against facts/iis.md: each naive mistake of its section 6 that touches these verbs is a test."""

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
from tests.iis_machine import ANONYMOUS, POOLS, SITES, WINDOWS, IisMachine

MODULES: Final = "system.webServer/modules"
ROOT: Final = "MACHINE/WEBROOT/APPHOST"
HTTP: Final = iis.HTTP_SYS
UNKNOWN_PATH, INVALID, LOCK, TWICE, NO_INDEX = 0x80070002, 0x8007000D, 0x80070021, 0x800700B7, 0x80070585


@pytest.fixture
def machine(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> IisMachine:
    return IisMachine(tmp_path, caplog)


def providers(machine: IisMachine, location: str = "", view: str = "effective") -> list[tuple[str, str]]:
    tree = machine.section(WINDOWS, location, view)["tree"]
    return [(one["a"]["value"], one["at"]) for one in tree["c"]["providers"]["items"]]


def add_provider(value: str, index: int = -1, location: str = "Default Web Site") -> dict[str, Any]:
    where = {"section": WINDOWS, "location": location, "at": ["providers"]}
    return where | {"op": "add", "tag": "add", "index": index, "a": {"value": value}}


def clear_providers(location: str = "Default Web Site") -> dict[str, Any]:
    return {"op": "clear", "section": WINDOWS, "location": location, "at": ["providers"]}


def enable(section: str = WINDOWS, location: str = "Default Web Site", on: bool = True) -> dict[str, Any]:
    return {"op": "set", "section": section, "location": location, "at": [], "a": {"enabled": on}}


# -- reading --


def test_a_section_is_a_tree_of_effective_values_with_types_of_the_schema(machine: IisMachine) -> None:
    found = machine.section(ANONYMOUS, view="stored")
    assert found["tree"] == {
        "tag": "anonymousAuthentication",
        "a": {"enabled": True, "userName": "IUSR", "logonMethod": "ClearText"},
        "d": ["logonMethod"],
        "s": {"password": {"secret": True, "set": False}},
        "e": {},
        "c": {},
        "items": [],
    }


def test_every_attribute_of_a_pool_is_there_though_only_two_are_stored(machine: IisMachine) -> None:
    items = machine.section(POOLS, view="stored", filter={"name": "defaultapppool"})["tree"]["items"]
    assert [one["a"] for one in items] == [
        {
            "name": "DefaultAppPool",
            "queueLength": 1000,
            "autoStart": True,
            "enable32BitAppOnWin64": False,
            "managedRuntimeVersion": "v4.0",
            "managedPipelineMode": "Integrated",
            "startMode": "OnDemand",
            "state": "Started",
        }
    ]
    assert items[0]["c"]["recycling"]["a"]["logEventOnRecycle"] == "Time,Memory,PrivateMemory"
    assert items[0]["c"]["recycling"]["c"]["periodicRestart"]["a"] == {"time": "1.05:00:00"}


def test_a_defaults_element_fills_what_an_item_does_not_say(machine: IisMachine) -> None:
    machine.edit({"op": "add", "section": POOLS, "at": [], "tag": "add", "a": {"name": "P"}})
    pool = machine.section(POOLS, view="stored", filter={"name": "P"})["tree"]["items"][0]
    assert (pool["a"]["managedRuntimeVersion"], "managedRuntimeVersion" in pool["d"]) == ("v4.0", True)


def test_an_application_takes_its_pool_from_the_defaults_of_all_sites(machine: IisMachine) -> None:
    site = machine.section(SITES, view="stored", filter={"id": 1})["tree"]["items"][0]
    assert site["items"][0]["a"]["applicationPool"] == "DefaultAppPool"


def test_environment_variables_stay_as_they_are_stored(machine: IisMachine) -> None:
    site = machine.section(SITES, view="stored")["tree"]["items"][0]
    assert site["items"][0]["items"][0]["a"]["physicalPath"] == r"%SystemDrive%\inetpub\wwwroot"


def test_one_bad_read_does_not_spoil_the_others(machine: IisMachine) -> None:
    reads = [
        {"id": "no site", "section": WINDOWS, "location": "X", "view": "stored"},
        {"id": "not declared", "section": "system.webServer/handlers", "location": "", "view": "stored"},
        {"id": "not at a location", "section": SITES, "location": "Default Web Site", "view": "stored"},
        {"id": "fine", "section": WINDOWS, "location": "", "view": "stored"},
    ]
    answers = machine.ask("Get-IisConfig", reads=reads)["reads"]
    assert [(one["id"], one["ok"], (one.get("error") or {}).get("kind")) for one in answers] == [
        ("no site", False, "missing"),
        ("not declared", False, "invalid"),
        ("not at a location", False, "invalid"),
        ("fine", True, None),
    ]


def test_a_section_of_the_server_level_counts_at_a_site_but_is_not_stored_there(machine: IisMachine) -> None:
    answers = [machine.section(SITES, "Default Web Site", view) for view in ("stored", "effective")]
    assert [one["ok"] for one in answers] == [False, True]
    assert machine.section(SITES, filter={"odd": 1})["error"]["kind"] == "missing"


def test_a_location_tag_does_not_make_a_site(machine: IisMachine) -> None:
    machine.config = machine.config.replace("</configuration>", '<location path="Ghost" />\n</configuration>')
    assert machine.section(WINDOWS, "Ghost")["error"]["hresult"] == UNKNOWN_PATH


def test_sites_and_locations_are_found_in_any_case(machine: IisMachine) -> None:
    machine.edit(enable(location="default WEB site"))
    assert machine.section(WINDOWS, "DEFAULT web SITE")["tree"]["a"]["enabled"] is True
    assert machine.config.count("<location") == 1


def test_where_a_section_is_set_is_told_with_file_and_line(machine: IisMachine) -> None:
    before = machine.section(WINDOWS, "Default Web Site", "stored")["section"]
    machine.edit(enable())
    after = machine.section(WINDOWS, "Default Web Site", "stored")["section"]
    assert (before["deepest_path"], after["deepest_path"]) == (ROOT, f"{ROOT}/Default Web Site")
    line = machine.config.splitlines()[after["deepest_line"] - 1].strip()
    assert (after["deepest_file"], line) == (iis.CONFIG, '<windowsAuthentication enabled="true" />')


def test_a_denied_section_is_not_locked_in_applicationhost_config(machine: IisMachine) -> None:
    stored = machine.section(WINDOWS, "Default Web Site", "stored")["section"]
    effective = machine.section(WINDOWS, "Default Web Site", "effective")["section"]
    assert (stored["override_mode_effective"], stored["is_locked"]) == ("Deny", False)
    assert (effective["override_mode_effective"], effective["is_locked"]) == ("Deny", True)
    assert machine.edit(enable())["changed"] is True


WEB: Final = r"C:\inetpub\wwwroot\web.config"
WEB_CONFIG: Final = (
    b"<configuration>\n <system.webServer>\n  <security>\n   <authentication>\n"
    b'    <windowsAuthentication enabled="false" />\n   </authentication>\n  </security>\n </system.webServer>\n</configuration>'
)
UNLOCK: Final = (
    '<location path="Default Web Site" overrideMode="Allow"><system.webServer><security><authentication>'
    "<windowsAuthentication /></authentication></security></system.webServer></location>\n</configuration>"
)


def test_a_web_config_that_sets_a_locked_section_is_an_error_with_file_and_line(machine: IisMachine) -> None:
    machine.machine.write_file(WEB, WEB_CONFIG)
    error = machine.section(WINDOWS, "Default Web Site")["error"]
    assert (error["kind"], error["hresult"]) == ("locked", LOCK)
    assert error["why"] == f"{WEB} line 5 sets this section, which is locked at a parent level"


def test_an_unlocked_web_config_beats_the_location_tag(machine: IisMachine) -> None:
    machine.config = machine.config.replace("</configuration>", UNLOCK)
    machine.machine.write_file(WEB, WEB_CONFIG)
    machine.edit(enable())
    stored, effective = (machine.section(WINDOWS, "Default Web Site", view) for view in ("stored", "effective"))
    assert (stored["tree"]["a"]["enabled"], effective["tree"]["a"]["enabled"]) == (True, False)
    where = effective["section"]
    assert (where["deepest_path"], where["deepest_file"], where["deepest_line"]) == (f"{ROOT}/Default Web Site", WEB, 5)


def test_a_location_tag_in_a_web_config_counts_below_it(machine: IisMachine) -> None:
    machine.config = machine.config.replace("</configuration>", UNLOCK)
    inner = WEB_CONFIG.replace(b"<system.webServer>", b'<location path="sub"><system.webServer>', 1)
    machine.machine.write_file(WEB, inner.replace(b"</system.webServer>", b"</system.webServer></location>"))
    machine.edit(enable())
    values = [
        machine.section(WINDOWS, f"Default Web Site{path}")["tree"]["a"]["enabled"] for path in ("", "/sub", "/sub/x")
    ]
    assert values == [True, False, False]


def test_the_web_config_of_an_application_is_read_from_its_own_folder(machine: IisMachine) -> None:
    machine.config = machine.config.replace("</configuration>", UNLOCK)
    root = {"tag": "virtualDirectory", "a": {"path": "/", "physicalPath": r"D:\sdk"}}
    application: dict[str, Any] = {"tag": "application", "a": {"path": "/Sdk"}, "items": [root]}
    step = {"tag": "site", "key": {"name": "Default Web Site"}}
    machine.edit({"op": "add", "section": SITES, "at": [step], **application}, enable())
    machine.machine.write_file(r"D:\sdk\web.config", WEB_CONFIG)
    assert machine.section(WINDOWS, "Default Web Site/sdk")["tree"]["a"]["enabled"] is False
    assert machine.section(WINDOWS, "Default Web Site")["tree"]["a"]["enabled"] is True


def test_a_broken_web_config_spoils_its_site_alone(machine: IisMachine) -> None:
    machine.machine.write_file(WEB, b"<configuration>")
    assert machine.section(WINDOWS, "Default Web Site")["error"]["kind"] == "invalid"
    assert machine.section(WINDOWS)["ok"] is True


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


def test_without_the_library_iis_is_not_installed_but_http_sys_answers(machine: IisMachine) -> None:
    machine.machine.remove_file(iis.LIBRARY)
    kinds = {
        machine.refused("Get-IisConfig", reads=[])[0],
        machine.refused("Edit-IisConfig", guard="0" * 64, edits=[])[0],
        machine.refused("Get-IisState", items=[])[0],
        machine.refused("Set-IisState", kind="site", name="x", state="Started")[0],
    }
    assert kinds == {"not-installed"}
    assert machine.ask("Get-SslBinding") == {"records": []}


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


def test_declaration_mark_and_line_ends_stay(machine: IisMachine) -> None:
    data = b"\xef\xbb\xbf" + machine.config.replace("\n", "\r\n").encode()
    machine.machine.write_file(iis.CONFIG, data)
    machine.edit(enable())
    after = machine.machine.read_file(iis.CONFIG)
    assert after is not None
    assert after.startswith(data[: data.index(b"<configuration>")])
    assert b"\n" not in after.replace(b"\r\n", b"")


def test_attributes_of_a_location_tag_are_kept_and_ours_goes_into_another(machine: IisMachine) -> None:
    tag = '<location path="Default Web Site" overrideMode="Allow" inheritInChildApplications="false">'
    machine.config = machine.config.replace(
        "</configuration>", f"{tag}<system.webServer /></location>\n</configuration>"
    )
    machine.edit(enable())
    assert f"{tag}<system.webServer /></location>" in machine.config
    assert machine.config.count('<location path="Default Web Site">') == 1


def test_the_guard_refuses_a_file_that_changed(machine: IisMachine) -> None:
    guard = machine.guard
    machine.edit(enable())
    before = machine.config
    kind, where, _, _ = machine.refused("Edit-IisConfig", guard=guard, edits=[enable(ANONYMOUS, on=False)])
    assert (kind, where, machine.config) == ("conflict", iis.CONFIG, before)


def test_of_several_edits_none_is_made_when_one_fails(machine: IisMachine) -> None:
    before = machine.config
    assert machine.edit_refused(enable(), enable(location="X")) == (
        "missing",
        f"{WINDOWS}@X",
        "edit 2: there is no site 'X' in the file as it was read",
        UNKNOWN_PATH,
    )
    assert machine.config == before


def test_a_section_of_a_site_of_the_same_commit_cannot_be_set(machine: IisMachine) -> None:
    root = {"tag": "virtualDirectory", "a": {"path": "/", "physicalPath": r"C:\s"}}
    site = {
        "tag": "site",
        "a": {"name": "S", "id": 7},
        "items": [{"tag": "application", "a": {"path": "/"}, "items": [root]}],
    }
    add = {"op": "add", "section": SITES, "at": [], **site}
    assert machine.edit_refused(add, enable(location="S"))[0] == "missing"
    machine.edit(add)
    assert machine.edit(enable(location="S"))["changed"] is True


def test_the_same_edit_again_leaves_the_file_untouched(machine: IisMachine) -> None:
    machine.edit(enable())
    before = machine.machine.snapshot()
    assert machine.edit(enable())["changed"] is False
    assert machine.machine.snapshot() == before


VALUES: Final = {
    "text for true": (WINDOWS, [], {"enabled": "true"}),
    "a number for true": (WINDOWS, [], {"enabled": 1}),
    "text for a number": (SITES, [{"tag": "site", "key": {"id": 1}}], {"id": "443"}),
    "true for a number": (SITES, [{"tag": "site", "key": {"id": 1}}], {"id": True}),
    "a number below the range of uint": (SITES, [{"tag": "site", "key": {"id": 1}}], {"id": -1}),
    "an unknown name of an enum": (ANONYMOUS, [], {"logonMethod": "Odd"}),
    "an unknown flag": (WINDOWS, ["extendedProtection"], {"flags": "Proxy,Odd"}),
    "a number out of its range": (POOLS, [{"tag": "add", "key": {"name": "DefaultAppPool"}}], {"queueLength": 9}),
    "a number in the excluded range": (SITES, [{"tag": "site", "key": {"id": 1}}, "limits"], {"maxBandwidth": 1023}),
    "a time span that is no multiple of a minute": (
        POOLS,
        [{"tag": "add", "key": {"name": "DefaultAppPool"}}, "processModel"],
        {"idleTimeout": "00:00:30"},
    ),
    "a number for a time span": (
        POOLS,
        [{"tag": "add", "key": {"name": "DefaultAppPool"}}, "processModel"],
        {"idleTimeout": 60},
    ),
    "a site name with an ampersand": (SITES, [{"tag": "site", "key": {"id": 1}}], {"name": "a&b"}),
    "a pool name with a slash": (POOLS, [{"tag": "add", "key": {"name": "DefaultAppPool"}}], {"name": "a/b"}),
    "a run-time value": (SITES, [{"tag": "site", "key": {"id": 1}}], {"state": "Stopped"}),
    "a secret that was not sent": (ANONYMOUS, [], {"password": {"secret": "other"}}),
}


@pytest.mark.parametrize(("section", "at", "values"), VALUES.values(), ids=VALUES)
def test_a_value_that_is_refused(machine: IisMachine, section: str, at: list[Any], values: dict[str, Any]) -> None:
    before = machine.config
    kind, *_ = machine.edit_refused({"op": "set", "section": section, "at": at, "a": values})
    assert (kind, machine.config) == ("invalid", before)


NOT_FOUND: Final = {
    "an attribute": ({"op": "set", "section": WINDOWS, "a": {"odd": 1}}, "missing", NO_INDEX),
    "a child": ({"op": "set", "section": WINDOWS, "at": ["odd"], "a": {"x": 1}}, "missing", NO_INDEX),
    "a collection": ({"op": "clear", "section": ANONYMOUS}, "missing", NO_INDEX),
    "an item": ({"op": "remove", "section": POOLS, "at": [{"tag": "add", "key": {"name": "odd"}}]}, "missing", None),
    "an index past the end": (add_provider("Odd", 3, ""), "invalid", NO_INDEX),
    "a required attribute": (
        {"op": "add", "section": SITES, "tag": "site", "a": {"name": "S"}},
        "invalid",
        UNKNOWN_PATH,
    ),
    "a known tag": ({"op": "add", "section": SITES, "tag": "add", "a": {}}, "invalid", INVALID),
    "an operation": ({"op": "odd", "section": SITES}, "invalid", None),
    "a field": ({"op": "set", "section": WINDOWS}, "invalid", None),
    "a field that it takes": (enable() | {"index": 1}, "invalid", None),
}


@pytest.mark.parametrize(("edit", "kind", "code"), NOT_FOUND.values(), ids=NOT_FOUND)
def test_an_edit_lacks(machine: IisMachine, edit: dict[str, Any], kind: str, code: int | None) -> None:
    found = machine.edit_refused(edit)
    assert (found[0], found[3], found[2].startswith("edit 1: ")) == (kind, code, True)


def test_two_unique_keys_are_unique_each(machine: IisMachine) -> None:
    for name, number in (("default web site", 2), ("S", 1)):
        edit = {"op": "add", "section": SITES, "at": [], "tag": "site", "a": {"name": name, "id": number}}
        assert machine.edit_refused(edit)[::3] == ("conflict", TWICE)


def test_a_combined_key_is_one_key(machine: IisMachine) -> None:
    at = [{"tag": "site", "key": {"name": "Default Web Site"}}, "bindings"]
    add = {"op": "add", "section": SITES, "at": at, "tag": "binding"}
    assert machine.edit_refused(add | {"a": {"protocol": "HTTP", "bindingInformation": "*:80:"}})[::3] == (
        "conflict",
        TWICE,
    )
    machine.edit(add | {"a": {"protocol": "https", "bindingInformation": "*:80:"}})
    step = {"tag": "binding", "key": {"bindingInformation": "*:80:"}}
    assert machine.edit_refused({"op": "remove", "section": SITES, "at": [*at, step]})[0] == "ambiguous"


def test_a_collection_without_a_remove_directive_loses_items_all_the_same(machine: IisMachine) -> None:
    machine.edit({"op": "remove", "section": POOLS, "at": [{"tag": "add", "key": {"name": "DefaultAppPool"}}]})
    assert machine.section(POOLS, view="stored")["tree"]["items"] == []


def test_modules_compare_with_case(machine: IisMachine) -> None:
    machine.edit(
        {"op": "add", "section": MODULES, "at": [], "tag": "add", "a": {"name": "windowsauthenticationmodule"}}
    )
    names = [one["a"]["name"] for one in machine.section(MODULES)["tree"]["items"]]
    assert names[-2:] == ["WindowsAuthenticationModule", "windowsauthenticationmodule"]


def test_providers_are_an_ordered_list_that_appends(machine: IisMachine) -> None:
    machine.edit(add_provider("Odd"))
    assert providers(machine, "Default Web Site") == [("Negotiate", ""), ("NTLM", ""), ("Odd", "Default Web Site")]
    assert machine.edit_refused(add_provider("ntlm"))[::3] == ("conflict", TWICE)


def test_providers_are_replaced_by_a_clear_and_adds_in_one_commit(machine: IisMachine) -> None:
    machine.edit(clear_providers(), add_provider("NTLM", 0), add_provider("Negotiate", 1))
    assert [value for value, _ in providers(machine, "Default Web Site")] == ["NTLM", "Negotiate"]
    assert providers(machine) == [("Negotiate", ""), ("NTLM", "")]
    machine.edit(clear_providers(), add_provider("Negotiate", 0))
    assert machine.config.count("<clear />") == 1
    assert [value for value, _ in providers(machine, "Default Web Site")] == ["Negotiate"]


def test_a_clear_where_nothing_is_inherited_writes_no_directive(machine: IisMachine) -> None:
    machine.edit(clear_providers(""), add_provider("NTLM", 0, ""))
    assert ("<clear" in machine.config, providers(machine)) == (False, [("NTLM", "")])


def test_an_inherited_item_is_removed_by_a_directive_and_a_local_one_by_deletion(machine: IisMachine) -> None:
    machine.edit(add_provider("Odd"))
    for value in ("negotiate", "Odd"):
        step = {"tag": "add", "key": {"value": value}}
        machine.edit({"op": "remove", "section": WINDOWS, "location": "Default Web Site", "at": ["providers", step]})
    assert providers(machine, "Default Web Site") == [("NTLM", "")]
    assert ('<remove value="Negotiate" />' in machine.config, "Odd" in machine.config) == (True, False)
    assert providers(machine) == [("Negotiate", ""), ("NTLM", "")]


def test_an_item_between_inherited_ones_copies_the_whole_list(machine: IisMachine) -> None:
    machine.edit(add_provider("Odd", 1))
    place = "Default Web Site"
    assert providers(machine, place) == [("Negotiate", place), ("Odd", place), ("NTLM", place)]


def test_what_is_set_can_be_reset_reverted_and_taken_away_with_its_location(machine: IisMachine) -> None:
    start = machine.config
    machine.edit(enable(), {"op": "reset", "section": WINDOWS, "location": "Default Web Site", "names": ["enabled"]})
    assert machine.section(WINDOWS, "Default Web Site")["tree"]["a"]["enabled"] is False
    machine.edit({"op": "revert", "section": WINDOWS, "location": "Default Web Site"})
    assert machine.config == start
    machine.edit(enable(), enable(ANONYMOUS, on=False))
    machine.edit({"op": "remove_location", "location": "default web SITE"})
    assert machine.config == start
    assert machine.edit({"op": "remove_location", "location": "none"})["changed"] is False


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


def test_a_shared_configuration_is_told_and_not_edited(machine: IisMachine) -> None:
    machine.machine.write_file(
        iis.REDIRECTION, rb'<configuration><configurationRedirection enabled="true" path="\\f\s" /></configuration>'
    )
    assert machine.ask("Get-IisConfig", reads=[])["shared"] is True
    assert machine.edit_refused(enable())[0] == "denied"


def test_a_file_that_is_open_elsewhere_or_read_only_is_left_alone(machine: IisMachine) -> None:
    guard = machine.guard
    with machine.machine.locked(iis.CONFIG):
        assert machine.refused("Edit-IisConfig", guard=guard, edits=[enable()])[0] == "locked"
    machine.machine.set_read_only(iis.CONFIG, read_only=True)
    assert machine.refused("Edit-IisConfig", guard=guard, edits=[enable()])[0] == "denied"
    assert machine.guard == guard


# -- run time --


def state(machine: IisMachine, name: str, kind: str = "site") -> str:
    found = machine.ask("Get-IisState", items=[{"kind": kind, "name": name}])["states"][0]["state"]
    return str(found)


def start(
    machine: IisMachine, name: str, kind: str = "site", wanted: str = "Started", timeout_s: int = 5
) -> dict[str, Any]:
    return {"kind": kind, "name": name, "state": wanted, "timeout_s": timeout_s}


def test_was_learns_of_a_new_site_after_the_commit(machine: IisMachine) -> None:
    machine.site()
    assert state(machine, "s") == "Unknown"
    assert machine.ask("Set-IisState", **start(machine, "s")) == {"state": "Started"}
    assert state(machine, "S") == "Started"


def test_the_state_of_what_was_does_not_know_is_an_error_of_its_attribute(machine: IisMachine) -> None:
    machine.site()
    site = machine.section(SITES, view="stored", filter={"name": "S"})["tree"]["items"][0]
    assert (site["e"], "state" in site["a"]) == ({"state": iis.NOT_KNOWN}, False)


def test_states_of_sites_and_pools_that_are_not_there(machine: IisMachine) -> None:
    items = [{"kind": "site", "name": "x"}, {"kind": "pool", "name": "defaultAPPpool"}]
    assert machine.ask("Get-IisState", items=items)["states"] == [
        {"kind": "site", "name": "x", "found": False, "state": "Unknown"},
        {"kind": "pool", "name": "defaultAPPpool", "found": True, "state": "Started"},
    ]
    assert machine.refused("Set-IisState", **start(machine, "x"))[0] == "missing"


def test_a_site_is_stopped_and_started(machine: IisMachine) -> None:
    for wanted in ("Stopped", "Stopped", "Started"):
        assert machine.ask("Set-IisState", **start(machine, "default web site", wanted=wanted)) == {"state": wanted}
        assert state(machine, "Default Web Site") == wanted


def test_a_site_whose_pool_is_missing_or_without_http_is_never_known(machine: IisMachine) -> None:
    machine.site("Ftp", bindings=(("ftp", "*:21:", 0),))
    machine.edit({"op": "remove", "section": POOLS, "at": [{"tag": "add", "key": {"name": "DefaultAppPool"}}]})
    for name in ("Ftp", "Default Web Site"):
        kind, where, _, code = machine.refused("Set-IisState", **start(machine, name, timeout_s=0))
        assert (kind, where, code) == ("timeout", name, iis.NOT_KNOWN)


def test_of_two_sites_with_one_binding_the_second_does_not_start(machine: IisMachine) -> None:
    machine.site(bindings=(("http", "0.0.0.0:80:", 0),))
    answer = machine.call("Set-IisState", **start(machine, "S"))
    assert (answer["error"]["kind"], answer["error"]["hresult"]) == ("busy", iis.PORT_TAKEN)
    assert state(machine, "S") == "Stopped"
    machine.ask("Set-IisState", **start(machine, "Default Web Site", wanted="Stopped"))
    assert machine.ask("Set-IisState", **start(machine, "S")) == {"state": "Started"}


def test_without_w3svc_nothing_starts(machine: IisMachine) -> None:
    machine.ask("Set-ServiceState", service="W3SVC", state="stopped", expected="running")
    assert machine.refused("Set-IisState", **start(machine, "Default Web Site"))[::3] == ("busy", iis.NO_SERVICE)


def bind(machine: IisMachine, thumbprint: str, expected: str = "absent", **kinds: Any) -> dict[str, Any]:
    return {
        "site": "S",
        "protocol": "https",
        "information": "*:9999:",
        "thumbprint": thumbprint,
        "expected": expected,
    } | kinds


def records(machine: IisMachine) -> list[tuple[str, str, str]]:
    return [(one["kind"], one["endpoint"], one["thumbprint"]) for one in machine.ask("Get-SslBinding")["records"]]


HTTPS: Final = (("https", "*:9999:", 0),)


def test_a_binding_gets_its_certificate_and_another_in_its_place(machine: IisMachine) -> None:
    machine.site(bindings=HTTPS)
    first, second = machine.certificate(), machine.certificate("new.contoso.com")
    assert machine.ask("Set-SslBinding", **bind(machine, first.lower())) == {"thumbprint": first}
    assert machine.ask("Get-SslBinding") == {
        "records": [
            {
                "endpoint": "0.0.0.0:9999",
                "kind": "ip",
                "thumbprint": first,
                "store": "My",
                "app_id": iis.IIS_APP_ID,
                "flags": 0,
            }
        ]
    }
    assert machine.refused("Set-SslBinding", **bind(machine, second))[0] == "conflict"
    machine.ask("Set-SslBinding", **bind(machine, second, expected=first))
    assert records(machine) == [("ip", "0.0.0.0:9999", second)]


def test_the_certificate_is_read_through_the_binding_too(machine: IisMachine) -> None:
    machine.site(bindings=HTTPS)
    thumbprint = machine.certificate()
    machine.ask("Set-SslBinding", **bind(machine, thumbprint))
    site = machine.section(SITES, view="stored", filter={"name": "S"})["tree"]["items"][0]
    binding = site["c"]["bindings"]["items"][0]["a"]
    assert (binding["certificateHash"], binding["certificateStoreName"]) == (thumbprint, "My")


def test_a_record_outlives_its_binding(machine: IisMachine) -> None:
    machine.site(bindings=HTTPS)
    thumbprint = machine.certificate()
    machine.ask("Set-SslBinding", **bind(machine, thumbprint))
    machine.edit({"op": "remove", "section": SITES, "at": [{"tag": "site", "key": {"name": "S"}}]})
    assert records(machine) == [("ip", "0.0.0.0:9999", thumbprint)]


def test_an_sni_binding_has_a_record_of_its_own(machine: IisMachine) -> None:
    machine.site(bindings=(("https", "*:9999:a.b", 1), ("https", "[::1]:9999:", 4)))
    thumbprint = machine.certificate()
    for information in ("*:9999:a.b", "[::1]:9999:"):
        machine.ask("Set-SslBinding", **bind(machine, thumbprint, information=information))
    assert records(machine) == [("ip", "[::1]:9999", thumbprint), ("sni", "a.b:9999", thumbprint)]


def test_a_record_of_another_program_is_left_alone(machine: IisMachine) -> None:
    machine.site(bindings=HTTPS)
    key = rf"{HTTP}\SslBindingInfo\0.0.0.0:9999"
    machine.machine.set_registry(
        key, {"SslCertHash": bytes(20), "SslCertStoreName": "MY", "AppId": bytes(16), "DefaultFlags": 2}
    )
    before = machine.machine.snapshot()
    assert machine.refused("Set-SslBinding", **bind(machine, machine.certificate(), expected="00" * 20))[0] == "denied"
    record = machine.ask("Get-SslBinding")["records"][0]
    assert (record["app_id"], record["flags"]) == ("{00000000-0000-0000-0000-000000000000}", 2)
    assert {
        name for name in machine.machine.snapshot().items() ^ before.items() if "certificate" not in name[0]
    } == set()


CERTIFICATES: Final = {
    "no binding": ({"information": "*:1:"}, "missing"),
    "no site": ({"site": "X"}, "missing"),
    "no such certificate": ({"thumbprint": "AB" * 20}, "invalid"),
    "no such store": ({"store": "WebHosting"}, "invalid"),
    "not a thumbprint": ({"thumbprint": "AB"}, "invalid"),
    "a binding without TLS": ({"protocol": "http", "information": "*:8080:"}, "invalid"),
}


@pytest.mark.parametrize(("arguments", "kind"), CERTIFICATES.values(), ids=CERTIFICATES)
def test_a_certificate_is_not_given_to(machine: IisMachine, arguments: dict[str, Any], kind: str) -> None:
    machine.site(bindings=(*HTTPS, ("http", "*:8080:", 0)))
    assert machine.refused("Set-SslBinding", **bind(machine, machine.certificate()) | arguments)[0] == kind
    assert records(machine) == []


def test_a_certificate_without_its_key_is_not_bound(machine: IisMachine) -> None:
    machine.site(bindings=HTTPS)
    without = machine.certificate(private_key=False)
    assert machine.refused("Set-SslBinding", **bind(machine, without))[::3] == ("invalid", iis.NO_LOGON_SESSION)


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
