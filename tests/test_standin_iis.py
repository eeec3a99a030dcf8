"""
The verbs of IIS and the stand-in below them, on real PowerShell: files, registry and certificate stores of a real machine.

Numbers in brackets name the section of facts/iis.md that a case rests on.
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from lab import template
from lab.engine import RegistryValue
from lab.powershell_engine import WineMachine
from lab.seed import certificate
from tests.iis_host import CONFIG, HTTP, SMALL, WAS, IisHost

pytestmark = [
    pytest.mark.powershell,
    pytest.mark.slow,
    pytest.mark.skipif(template.absent() is not None, reason=str(template.absent())),
]

IIS_DATA = Path(__file__).parents[2] / "shared" / "data" / "iis"
SCHEMA = r"C:\windows\System32\inetsrv\config\schema"
LIBRARY = r"C:\windows\System32\inetsrv\Microsoft.Web.Administration.dll"
AUTH = "system.webServer/security/authentication"
WINDOWS = f"{AUTH}/windowsAuthentication"
ANONYMOUS = f"{AUTH}/anonymousAuthentication"
SITES = "system.applicationHost/sites"
POOLS = "system.applicationHost/applicationPools"
SITE = "Default Web Site"
IIS = uuid.UUID("4dc3e181-e14b-4a21-b022-59fc669b0914")

NOT_FOUND, INVALID, SHARING, LOCK = 0x80070002, 0x8007000D, 0x80070020, 0x80070021
EXISTS, NO_LOGON, INDEX, NO_OBJECT = 0x800700B7, 0x80070520, 0x80070585, 0x800710D8


@pytest.fixture(scope="module")
def _host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IisHost]:
    template.refresh()
    machine = WineMachine("mfa01", tmp_path_factory.mktemp("iis"), "mfa")
    machine.open()
    host = IisHost(machine)
    yield host
    host.close()
    machine.close()


@pytest.fixture
def host(_host: IisHost) -> IisHost:
    _host.reset()
    return _host


def new_site(name: str = "My Site", port: int = 9999, **more: Any) -> dict[str, Any]:
    return {
        "op": "add",
        "section": SITES,
        "tag": "site",
        "a": {"name": name, "id": more.get("id", 2)},
        "c": {
            "bindings": {
                "items": [
                    {
                        "tag": "binding",
                        "a": {"protocol": more.get("protocol", "https"), "bindingInformation": f"*:{port}:"},
                    }
                ]
            }
        },
        "items": [
            {
                "tag": "application",
                "a": {"path": "/"},
                "items": [{"tag": "virtualDirectory", "a": {"path": "/", "physicalPath": "C:\\site"}}],
            }
        ],
    }


def add_provider(value: str, index: int = -1, location: str = SITE) -> dict[str, Any]:
    return {
        "op": "add",
        "section": WINDOWS,
        "location": location,
        "at": ["providers"],
        "tag": "add",
        "index": index,
        "a": {"value": value},
    }


def clear_providers(location: str = SITE) -> dict[str, Any]:
    return {"op": "clear", "section": WINDOWS, "location": location, "at": ["providers"]}


def providers(host: IisHost, location: str = SITE, view: str = "effective") -> list[tuple[str, str]]:
    """Each provider and the location that it comes from."""
    tree = host.read(WINDOWS, location, view)["tree"]
    return [(item["a"]["value"], item["at"]) for item in tree["c"]["providers"]["items"]]


def added_lines(before: str, after: str) -> str:
    """The lines that `after` has beyond those of `before`; nothing else may differ."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    size = len(new) - len(old)
    # Where several places would do, the first whose lines are one whole element.
    places = [at for at in range(len(old) + 1) if new[:at] + new[at + size :] == old]
    assert places, "something else changed, too"
    found = ["".join(new[at : at + size]) for at in places]
    return next((one for one in found if one.lstrip().startswith("<") and not one.lstrip().startswith("</")), found[0])


# -- reading --


def test_a_section_is_read_whole_with_where_it_comes_from(host: IisHost) -> None:
    leaf: dict[str, Any] = {"d": [], "s": {}, "e": {}, "c": {}, "items": []}
    assert host.read(WINDOWS, SITE, "effective") == {
        "id": "x",
        "ok": True,
        "section": {
            "path": WINDOWS,
            "override_mode": "Inherit",
            "override_mode_effective": "Deny",
            "is_locked": True,
            "deepest_path": "MACHINE/WEBROOT/APPHOST",
            "deepest_file": r"C:\windows\system32\inetsrv\config\applicationHost.config",
            "deepest_line": 77,
        },
        "tree": {
            "tag": "windowsAuthentication",
            "a": {
                "enabled": False,
                "authPersistSingleRequest": False,
                "authPersistNonNTLM": False,
                "useKernelMode": True,
                "useAppPoolCredentials": False,
            },
            "d": ["authPersistNonNTLM", "authPersistSingleRequest", "useAppPoolCredentials", "useKernelMode"],
            "s": {},
            "e": {},
            "c": {
                "providers": {
                    **leaf,
                    "tag": "providers",
                    "a": {},
                    "items": [
                        {**leaf, "tag": "add", "a": {"value": "Negotiate"}, "at": ""},
                        {**leaf, "tag": "add", "a": {"value": "NTLM"}, "at": ""},
                    ],
                },
                "extendedProtection": {
                    **leaf,
                    "tag": "extendedProtection",
                    "a": {"tokenChecking": "None", "flags": "None"},
                    "d": ["flags", "tokenChecking"],
                },
            },
            "items": [],
        },
    }


def test_at_its_own_file_no_section_is_locked_though_its_mode_is_deny(host: IisHost) -> None:
    """[0.5]"""
    section = host.read(WINDOWS, SITE)["section"]
    assert (section["is_locked"], section["override_mode_effective"]) == (False, "Deny")


def test_types_come_as_the_contract_says(host: IisHost) -> None:
    """[1.5] uint, enum, flags, timeSpan of more than a day, bool, and what the defaults element gives [3 g]."""
    (pool,) = host.read(POOLS, filter={"name": "defaultapppool"})["tree"]["items"]
    recycling = pool["c"]["recycling"]
    assert pool["a"] == {
        "name": "DefaultAppPool",
        "queueLength": 1000,
        "autoStart": True,
        "enable32BitAppOnWin64": False,
        "managedRuntimeVersion": "v4.0",
        "managedPipelineMode": "Integrated",
        "startMode": "OnDemand",
        "state": "Started",
    }
    assert recycling["a"]["logEventOnRecycle"] == "Time,Memory,PrivateMemory"
    assert recycling["c"]["periodicRestart"]["a"]["time"] == "1.05:00:00"
    assert pool["c"]["processModel"]["a"]["idleTimeout"] == "00:20:00"
    assert pool["c"]["processModel"]["s"] == {"password": {"secret": True, "set": False}}


def test_a_bad_section_spoils_no_other(host: IisHost) -> None:
    reads = [
        {"id": "undeclared", "section": "system.webServer/nothing", "view": "stored"},
        {"id": "no site", "section": WINDOWS, "location": "No Site", "view": "effective"},
        {"id": "not here", "section": SITES, "location": SITE, "view": "stored"},
        {"id": "good", "section": ANONYMOUS, "view": "stored"},
        {"id": "filter", "section": SITES, "view": "stored", "filter": {"nothing": 1}},
    ]
    found = host.result("Get-IisConfig", reads=reads)["reads"]
    assert [
        (one["id"], one["ok"] or (one["error"]["kind"], one["error"]["where"], one["error"]["hresult"]))
        for one in found
    ] == [
        ("undeclared", ("invalid", "system.webServer/nothing@", INVALID)),
        ("no site", ("missing", f"{WINDOWS}@No Site", NOT_FOUND)),
        ("not here", ("invalid", f"{SITES}@{SITE}", 0x80070032)),
        ("good", True),
        ("filter", ("missing", f"{SITES}@", INDEX)),
    ]


@pytest.mark.parametrize(
    ("read", "why"),
    [
        ({"id": "a", "section": SITES, "view": "both"}, "view is stored or effective"),
        ({"id": "a", "section": SITES}, "a read has no view"),
        ({"id": "a", "section": SITES, "view": "stored", "depth": 1}, "a read takes no depth"),
        ({"id": "a", "section": 1, "view": "stored"}, "section of a read has another type than expected"),
    ],
)
def test_a_read_of_another_shape_is_invalid(host: IisHost, read: dict[str, Any], why: str) -> None:
    answer = host.call("Get-IisConfig", reads=[read])
    assert answer["error"] == {
        "kind": "invalid",
        "what": "Get-IisConfig",
        "where": "reads",
        "why": why,
        "hresult": None,
    }


def test_a_file_that_is_no_xml_is_an_error_and_so_is_a_wrong_value_in_it(host: IisHost) -> None:
    text = SMALL.read_text()
    host.write(text.replace("</configuration>", "").encode())
    assert host.error("Get-IisConfig", reads=[]) == ("invalid", CONFIG, INVALID)
    host.write(
        text.replace('<windowsAuthentication enabled="false">', '<windowsAuthentication enabled="perhaps">').encode()
    )
    assert host.read(WINDOWS)["error"]["kind"] == "invalid"
    host.write(text.replace('<add value="NTLM" />', '<add value="negotiate" />').encode())
    assert (host.read(WINDOWS)["error"]["kind"], host.read(WINDOWS)["error"]["hresult"]) == ("invalid", EXISTS)


def test_iis_that_is_not_installed_is_said_so_by_every_verb_but_the_one_that_reads_the_registry(host: IisHost) -> None:
    library = host.machine.read_file(LIBRARY) or b""
    host.machine.remove_file(LIBRARY)
    try:
        answers = [
            host.error("Get-IisConfig", reads=[]),
            host.error("Edit-IisConfig", guard="0", edits=[]),
            host.error("Get-IisState", items=[]),
            host.error("Set-IisState", kind="site", name=SITE, state="Started"),
            host.error(
                "Set-SslBinding",
                site=SITE,
                protocol="https",
                information="*:1:",
                thumbprint="0" * 40,
                expected="absent",
            ),
        ]
        assert answers == [("not-installed", "IIS", None)] * 5
        assert host.result("Get-SslBinding") == {"records": []}
    finally:
        host.machine.write_file(LIBRARY, library)


# -- providers: an ordered collection that inherits --


def test_providers_in_another_order_are_cleared_and_added(host: IisHost) -> None:
    """[3 l], [6 j]"""
    before = host.config
    assert host.edit(clear_providers(), add_provider("NTLM"), add_provider("Negotiate"))["ok"]
    assert providers(host) == [("NTLM", SITE), ("Negotiate", SITE)]
    assert added_lines(before, host.config) == (
        '    <location path="Default Web Site">\n'
        "        <system.webServer>\n            <security>\n"
        "                <authentication>\n                    <windowsAuthentication>\n"
        "                        <providers>\n                            <clear />\n"
        '                            <add value="NTLM" />\n                            <add value="Negotiate" />\n'
        "                        </providers>\n"
        "                    </windowsAuthentication>\n                </authentication>\n"
        "            </security>\n        </system.webServer>\n    </location>\n"
    )


def test_a_provider_that_is_inherited_cannot_be_added_again(host: IisHost) -> None:
    guard = host.guard
    answer = host.edit(
        {"op": "set", "section": WINDOWS, "location": SITE, "a": {"enabled": True}}, add_provider("ntlm")
    )
    assert answer["error"]["kind"] == "conflict"
    assert answer["error"]["hresult"] == EXISTS
    assert answer["error"]["why"].startswith("edit 2: ")
    assert host.guard == guard


def test_between_inherited_items_the_whole_list_is_copied(host: IisHost) -> None:
    assert host.edit(add_provider("Negotiate:Kerberos", 0))["ok"]
    assert providers(host) == [("Negotiate:Kerberos", SITE), ("Negotiate", SITE), ("NTLM", SITE)]
    assert providers(host, "") == [("Negotiate", ""), ("NTLM", "")]


def test_behind_inherited_items_only_the_new_one_is_written(host: IisHost) -> None:
    assert host.edit(add_provider("Negotiate:Kerberos"))["ok"]
    assert providers(host) == [("Negotiate", ""), ("NTLM", ""), ("Negotiate:Kerberos", SITE)]


def test_an_inherited_item_is_removed_by_a_directive_and_a_local_one_from_the_file(host: IisHost) -> None:
    before = host.config
    remove = {
        "op": "remove",
        "section": WINDOWS,
        "location": SITE,
        "at": ["providers", {"tag": "add", "key": {"value": "negotiate"}}],
    }
    assert host.edit(remove)["ok"]
    assert providers(host) == [("NTLM", "")]
    assert '<remove value="Negotiate" />' in host.config
    assert host.edit({"op": "revert", "section": WINDOWS, "location": SITE})["ok"]
    assert host.config == before
    assert host.edit({**remove, "location": ""})["ok"]
    assert added_lines(host.config, before) == '                        <add value="Negotiate" />\n'


def test_clearing_what_inherits_nothing_writes_no_clear(host: IisHost) -> None:
    """[6 j]"""
    assert host.edit(clear_providers(""), add_provider("NTLM", location=""))["ok"]
    assert "<clear" not in host.config
    assert providers(host, "") == [("NTLM", "")]


# -- sites --


def test_a_site_with_binding_application_and_folder_is_one_edit(host: IisHost) -> None:
    """[5.2] and a name with a blank [6]"""
    before = host.config
    answer = host.edit(new_site())
    assert answer == {"ok": True, "result": {"sha256": host.guard, "changed": True}}
    assert added_lines(before, host.config) == (
        '            <site name="My Site" id="2">\n'
        "                <bindings>\n"
        '                    <binding protocol="https" bindingInformation="*:9999:" />\n'
        "                </bindings>\n"
        '                <application path="/">\n'
        '                    <virtualDirectory path="/" physicalPath="C:\\site" />\n'
        "                </application>\n"
        "            </site>\n"
    )
    (site,) = host.read(SITES, filter={"name": "my site"})["tree"]["items"]
    assert site["items"][0]["a"]["applicationPool"] == "DefaultAppPool"  # of applicationDefaults


def test_a_section_of_a_new_site_needs_a_call_of_its_own(host: IisHost) -> None:
    """[3 e], [6 l]: two commits."""
    off = {"op": "set", "section": ANONYMOUS, "location": "my site", "a": {"enabled": False}}
    guard = host.guard
    answer = host.edit(new_site(), off)
    assert (answer["error"]["kind"], answer["error"]["where"], answer["error"]["hresult"]) == (
        "missing",
        f"{ANONYMOUS}@my site",
        NOT_FOUND,
    )
    assert host.guard == guard
    assert host.edit(new_site())["ok"]
    assert host.edit(off)["ok"]
    assert host.read(ANONYMOUS, "MY SITE", "effective")["tree"]["a"]["enabled"] is False


def test_removing_a_site_leaves_its_location_and_remove_location_takes_every_tag_of_it(host: IisHost) -> None:
    before = host.config
    assert host.edit(new_site())["ok"]
    assert host.edit({"op": "set", "section": ANONYMOUS, "location": "My Site", "a": {"enabled": False}})["ok"]
    twice = host.config.replace("</configuration>", '    <location path="my site">\n    </location>\n</configuration>')
    host.write(twice.encode())
    assert host.edit({"op": "remove", "section": SITES, "at": [{"tag": "site", "key": {"name": "my site"}}]})["ok"]
    assert host.config.count("<location") == 2
    assert host.edit({"op": "remove_location", "location": "My Site"})["ok"]
    assert etree.canonicalize(host.config, strip_text=True) == etree.canonicalize(before, strip_text=True)


REFUSED = {
    "a name with &": ({**new_site("A&B")}, ("invalid", f"{SITES}@", INVALID)),
    "no id": ({**new_site(), "a": {"name": "x"}}, ("invalid", f"{SITES}@", NOT_FOUND)),
    "an id that is taken": ({**new_site(id=1)}, ("conflict", f"{SITES}@", EXISTS)),
    "a name that is taken, in another case": ({**new_site("default web site")}, ("conflict", f"{SITES}@", EXISTS)),
    "another tag": ({**new_site(), "tag": "sight"}, ("invalid", f"{SITES}@", INVALID)),
    "an index too far": ({**new_site(), "index": 3}, ("invalid", f"{SITES}@", INDEX)),
    "text for bool": ({"op": "set", "section": WINDOWS, "a": {"enabled": "true"}}, ("invalid", f"{WINDOWS}@", INVALID)),
    "text for a number": ({**new_site(), "a": {"name": "x", "id": "7"}}, ("invalid", f"{SITES}@", INVALID)),
    "a number out of range": (
        {"op": "set", "section": POOLS, "at": ["applicationPoolDefaults"], "a": {"queueLength": 9}},
        ("invalid", f"{POOLS}@", INVALID),
    ),
    "a time with the wrong grain": (
        {
            "op": "set",
            "section": POOLS,
            "at": ["applicationPoolDefaults", "processModel"],
            "a": {"idleTimeout": "00:00:01"},
        },
        ("invalid", f"{POOLS}@", INVALID),
    ),
    "an unknown name of an enum": (
        {"op": "set", "section": WINDOWS, "at": ["extendedProtection"], "a": {"tokenChecking": "Maybe"}},
        ("invalid", f"{WINDOWS}@", INVALID),
    ),
    "an unknown attribute": (
        {"op": "set", "section": WINDOWS, "a": {"colour": "blue"}},
        ("missing", f"{WINDOWS}@", INDEX),
    ),
    "an unknown attribute to reset": (
        {"op": "reset", "section": WINDOWS, "names": ["colour"]},
        ("missing", f"{WINDOWS}@", INDEX),
    ),
    "an unknown child": (
        {"op": "set", "section": WINDOWS, "at": ["colours"], "a": {}},
        ("missing", f"{WINDOWS}@", INDEX),
    ),
    "no collection": ({"op": "clear", "section": ANONYMOUS}, ("missing", f"{ANONYMOUS}@", INDEX)),
    "an item that is not there": (
        {"op": "remove", "section": SITES, "at": [{"tag": "site", "key": {"name": "No"}}]},
        ("missing", f"{SITES}@", None),
    ),
    "a key that fits two": (
        {"op": "remove", "section": WINDOWS, "at": ["providers", {"tag": "add", "key": {}}]},
        ("ambiguous", f"{WINDOWS}@", None),
    ),
    "a section below a level that it is for": (
        {"op": "set", "section": SITES, "location": SITE, "a": {}},
        ("invalid", f"{SITES}@{SITE}", 0x80070032),
    ),
    "a site that is not there": (
        {"op": "set", "section": WINDOWS, "location": "No", "a": {}},
        ("missing", f"{WINDOWS}@No", NOT_FOUND),
    ),
    "an unknown section": (
        {"op": "set", "section": "system.webServer/x", "a": {}},
        ("invalid", "system.webServer/x@", INVALID),
    ),
    "an unknown op": ({"op": "paint", "section": SITES}, ("invalid", f"{SITES}@", None)),
    "a field too much": ({"op": "revert", "section": SITES, "a": {}}, ("invalid", f"{SITES}@", None)),
    "every location": ({"op": "remove_location", "location": "/"}, ("invalid", "@/", None)),
    "a secret that was not sent": (
        {"op": "set", "section": ANONYMOUS, "a": {"password": {"secret": "P"}}},
        ("invalid", f"{ANONYMOUS}@", None),
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_an_edit_that_is_refused_writes_nothing(
    host: IisHost, case: tuple[dict[str, Any], tuple[str, str, int | None]]
) -> None:
    """[5.5] and the naive mistakes of [6]."""
    edit, error = case
    before = host.guard
    answer = host.edit({"op": "set", "section": ANONYMOUS, "a": {"userName": "somebody"}}, edit)
    assert (answer["error"]["kind"], answer["error"]["where"], answer["error"]["hresult"]) == error
    assert answer["error"]["why"].startswith("edit 2: ")
    assert host.guard == before


# -- the file --


def test_only_what_was_edited_changes_in_a_file_with_a_bom_and_other_line_ends(host: IisHost) -> None:
    """[6 b]"""
    before = b"\xef\xbb\xbf" + SMALL.read_bytes().replace(b"\n", b"\r\n").replace(
        b'value="NTLM" />', b"\r\n\tvalue = 'NTLM'/>"
    )
    host.reset(before)
    assert host.edit({"op": "set", "section": WINDOWS, "a": {"enabled": True}})["ok"]
    assert host.machine.read_file(CONFIG) == before.replace(
        b'windowsAuthentication enabled="false"', b'windowsAuthentication enabled="true"'
    )
    assert host.edit({"op": "set", "section": WINDOWS, "a": {"useKernelMode": False}}, add_provider("x", location=""))[
        "ok"
    ]
    after = host.machine.read_file(CONFIG) or b""
    assert after == before.replace(
        b'windowsAuthentication enabled="false"', b'windowsAuthentication enabled="true" useKernelMode="false"'
    ).replace(b"'NTLM'/>\r\n", b"'NTLM'/>\r\n" + b" " * 24 + b'<add value="x" />\r\n')


def test_what_is_there_already_leaves_the_file_as_it_is(host: IisHost) -> None:
    before = host.guard
    answer = host.edit(
        {"op": "set", "section": WINDOWS, "a": {"enabled": False}},
        {"op": "reset", "section": WINDOWS, "names": ["useKernelMode"]},
    )
    assert answer == {"ok": True, "result": {"sha256": before, "changed": False}}


def test_a_reset_attribute_is_inherited_again(host: IisHost) -> None:
    assert host.edit(
        {"op": "set", "section": WINDOWS, "location": SITE, "a": {"enabled": True, "useKernelMode": False}}
    )["ok"]
    assert host.edit({"op": "reset", "section": WINDOWS, "location": SITE, "names": ["enabled"]})["ok"]
    found = host.read(WINDOWS, SITE, "effective")["tree"]["a"]
    assert (found["enabled"], found["useKernelMode"]) == (False, False)


def test_a_file_that_is_not_the_one_that_was_read_is_a_conflict(host: IisHost) -> None:
    before = host.guard
    error = host.error(
        "Edit-IisConfig", guard="0" * 64, edits=[{"op": "set", "section": WINDOWS, "a": {"enabled": True}}]
    )
    assert error == ("conflict", CONFIG, None)
    assert host.guard == before


def test_a_file_that_others_read_without_letting_write_is_a_conflict_at_the_commit(host: IisHost) -> None:
    """[5.5], commit"""
    before = host.guard
    assert host.run(f"$global:held = [System.IO.File]::Open('{CONFIG}', 'Open', 'Read', 'Read')") == "ok "
    try:
        answer = host.edit({"op": "set", "section": WINDOWS, "a": {"enabled": True}})
    finally:
        host.run("$global:held.Dispose()")
    assert (answer["error"]["kind"], answer["error"]["hresult"]) == ("conflict", SHARING)
    assert host.guard == before
    folder = host.machine.prefix.host_path(CONFIG)
    assert folder is not None
    assert sorted(one.name for one in folder.parent.iterdir()) == ["applicationHost.config", "schema"]


def test_a_file_that_is_open_without_sharing_is_locked(host: IisHost) -> None:
    with host.machine.locked(CONFIG):
        assert host.error("Edit-IisConfig", guard="0" * 64, edits=[])[0] == "locked"
        assert host.error("Get-IisConfig", reads=[])[0] == "locked"


def test_a_read_only_file_is_denied(host: IisHost) -> None:
    host.machine.set_read_only(CONFIG, read_only=True)
    try:
        answer = host.edit({"op": "set", "section": WINDOWS, "a": {"enabled": True}})
    finally:
        host.machine.set_read_only(CONFIG, read_only=False)
    assert (answer["error"]["kind"], answer["error"]["hresult"]) == ("denied", 0x80070005)


def test_shared_configuration_is_read_and_not_edited(host: IisHost) -> None:
    """[3 p]"""
    redirection = CONFIG.replace("applicationHost", "redirection")
    host.machine.write_file(
        redirection, b'<configuration><configurationRedirection enabled="true" path="C:\\farm" /></configuration>'
    )
    host.machine.write_file("C:\\farm\\applicationHost.config", SMALL.read_bytes())
    try:
        found = host.result("Get-IisConfig", reads=[])
        assert (found["file"], found["shared"]) == ("C:\\farm\\applicationHost.config", True)
        edits = [{"op": "set", "section": WINDOWS, "a": {"enabled": True}}]
        assert host.error("Edit-IisConfig", guard=found["sha256"], edits=edits) == (
            "denied",
            "C:\\farm\\applicationHost.config",
            None,
        )
    finally:
        host.machine.remove_file(redirection)


# -- locks and web.config --


def test_a_web_config_that_sets_a_locked_section_makes_it_unreadable_there(host: IisHost) -> None:
    """[3 c]"""
    host.machine.write_file("C:\\inetpub\\wwwroot\\web.config", web_config())
    try:
        found = host.read(WINDOWS, SITE, "effective")["error"]
        assert (found["kind"], found["where"], found["hresult"]) == ("locked", f"{WINDOWS}@{SITE}", LOCK)
        assert host.read(WINDOWS, SITE)["ok"]
    finally:
        host.machine.remove_file("C:\\inetpub\\wwwroot\\web.config")


def test_an_unlocked_section_in_a_web_config_beats_our_location_and_says_where_it_is(host: IisHost) -> None:
    """[3 e], [5.6]"""
    unlock = '    <location path="Default Web Site" overrideMode="Allow">\n        <system.webServer><security><authentication>'
    unlock += '<windowsAuthentication enabled="false" /></authentication></security></system.webServer>\n    </location>\n</configuration>'
    host.write(SMALL.read_text().replace("</configuration>", unlock).encode())
    host.machine.write_file("C:\\inetpub\\wwwroot\\web.config", web_config())
    try:
        found = host.read(WINDOWS, SITE, "effective")
        assert found["tree"]["a"]["enabled"] is True
        assert found["section"] == {
            "path": WINDOWS,
            "override_mode": "Inherit",
            "override_mode_effective": "Allow",
            "is_locked": False,
            "deepest_path": f"MACHINE/WEBROOT/APPHOST/{SITE}",
            "deepest_file": "C:\\inetpub\\wwwroot\\web.config",
            "deepest_line": 5,
        }
        assert host.read(WINDOWS, SITE)["tree"]["a"]["enabled"] is False
        assert host.read(WINDOWS, SITE)["section"]["override_mode"] == "Allow"
    finally:
        host.machine.remove_file("C:\\inetpub\\wwwroot\\web.config")


def web_config() -> bytes:
    groups = ("system.webServer", "security", "authentication")
    opened, closed = "".join(f"<{one}>\n" for one in groups), "".join(f"</{one}>" for one in reversed(groups))
    return f"<configuration>\n{opened}<windowsAuthentication enabled='true' />\n{closed}</configuration>".encode()


def test_a_locked_attribute_is_not_set(host: IisHost) -> None:
    """[3 c]; that it binds a location tag of the same file is assumed."""
    host.write(
        SMALL.read_text()
        .replace(
            '<anonymousAuthentication enabled="true"',
            '<anonymousAuthentication lockAttributes="enabled" enabled="true"',
        )
        .encode()
    )
    answer = host.edit({"op": "set", "section": ANONYMOUS, "location": SITE, "a": {"enabled": False}})
    assert (answer["error"]["kind"], answer["error"]["hresult"]) == ("locked", LOCK)


def test_an_application_inherits_from_its_site_and_location_tags_count_by_depth_not_by_order(host: IisHost) -> None:
    """[6 d]"""
    application = {
        "op": "add",
        "section": SITES,
        "at": [{"tag": "site", "key": {"name": SITE}}],
        "tag": "application",
        "a": {"path": "/sdk"},
    }
    assert host.edit(application)["ok"]
    assert host.edit({"op": "set", "section": WINDOWS, "location": f"{SITE}/sdk", "a": {"useKernelMode": False}})["ok"]
    assert host.edit(
        {"op": "set", "section": WINDOWS, "location": SITE.upper(), "a": {"enabled": True, "useKernelMode": True}}
    )["ok"]
    found = host.read(WINDOWS, f"{SITE}/SDK", "effective")["tree"]["a"]
    assert (found["enabled"], found["useKernelMode"]) == (True, False)


# -- secrets --


def test_a_password_is_stored_encrypted_and_never_read_out(host: IisHost) -> None:
    """[3 f]"""
    secret = "Pa$$wörd 'quoted' \"so\" & <so>"
    edit = {
        "op": "set",
        "section": POOLS,
        "at": [{"tag": "add", "key": {"name": "DefaultAppPool"}}, "processModel"],
        "a": {"identityType": "SpecificUser", "userName": "CONTOSO\\svc", "password": {"secret": "P"}},
    }
    answer = host.edit(edit, secrets={"P": secret})
    assert answer["ok"], answer
    assert secret not in str(answer)
    assert 'password="[enc:Lab:' in host.config
    assert base64.b64encode(secret.encode()).decode() not in host.config
    found = host.result("Get-IisConfig", reads=[{"id": "p", "section": POOLS, "view": "stored"}])
    assert secret not in str(found)
    assert found["reads"][0]["tree"]["items"][0]["c"]["processModel"]["s"] == {
        "password": {"secret": True, "set": True}
    }
    pool = f"$c.GetSection('{POOLS}').GetCollection().Item(0).GetChildElement('processModel')"
    assert host.run(direct(f"{pool}['password'] -ceq @'\n{secret}\n'@")) == "ok True"
    host.write(re.sub(r"\[enc:Lab:[^\]]*\]", "[enc:AesProvider:AAAA:enc]", host.config).encode())
    assert host.read(POOLS)["tree"]["items"][0]["c"]["processModel"]["s"] == {"password": {"secret": True, "set": True}}


# -- run states --


def test_a_new_pool_is_unknown_until_was_has_read_it_and_then_started(host: IisHost) -> None:
    """[3 k]"""
    host.machine.set_registry(WAS, {"DelayMs": 600000})
    assert host.edit({"op": "add", "section": POOLS, "tag": "add", "a": {"name": "New Pool"}})["ok"]
    item = {"kind": "pool", "name": "new pool"}
    assert host.result("Get-IisState", items=[item])["states"] == [{**item, "found": True, "state": "Unknown"}]
    (pool,) = host.read(POOLS, filter={"name": "New Pool"})["tree"]["items"]
    assert pool["e"] == {"state": NO_OBJECT}
    assert host.error("Set-IisState", kind="pool", name="New Pool", state="Started", timeout_s=0) == (
        "timeout",
        "New Pool",
        NO_OBJECT,
    )
    host.machine.set_registry(WAS, {"since pool New Pool": "0"})
    assert host.result("Set-IisState", kind="pool", name="New Pool", state="Started") == {"state": "Started"}


def test_a_site_is_stopped_and_started_and_what_is_so_already_is_left_alone(host: IisHost) -> None:
    for state in ("Stopped", "Stopped", "Started", "Started"):
        assert host.result("Set-IisState", kind="site", name=SITE.lower(), state=state) == {"state": state}
        item = {"kind": "site", "name": SITE}
        assert host.result("Get-IisState", items=[item, {"kind": "pool", "name": "No"}])["states"] == [
            {**item, "found": True, "state": state},
            {"kind": "pool", "name": "No", "found": False, "state": "Unknown"},
        ]
    assert host.error("Set-IisState", kind="site", name="No", state="Started") == ("missing", "No", None)


def test_two_sites_on_one_port_the_second_does_not_start(host: IisHost) -> None:
    """[3 i]"""
    assert host.edit(new_site("Second", 80, protocol="http"))["ok"]
    assert host.error("Set-IisState", kind="site", name="Second", state="Started") == ("busy", "Second", EXISTS)
    assert host.result("Set-IisState", kind="site", name=SITE, state="Stopped") == {"state": "Stopped"}
    assert host.result("Set-IisState", kind="site", name="Second", state="Started") == {"state": "Started"}


def test_a_site_without_a_pool_is_not_known_and_a_service_that_is_down_is_busy(host: IisHost) -> None:
    pool = {
        "op": "set",
        "section": SITES,
        "at": [{"tag": "site", "key": {"name": SITE}}, {"tag": "application", "key": {"path": "/"}}],
        "a": {"applicationPool": "No"},
    }
    assert host.edit(pool)["ok"]
    assert host.result("Get-IisState", items=[{"kind": "site", "name": SITE}])["states"][0]["state"] == "Unknown"
    host.machine.set_registry(WAS, {"Down": 1})
    assert host.error("Get-IisState", items=[{"kind": "site", "name": SITE}]) == ("busy", SITE, 0x800706BA)
    assert host.error("Set-IisState", kind="site", name=SITE, state="Stopped") == ("busy", SITE, 0x800706BA)


# -- certificate records --


def ssl(
    host: IisHost,
    thumbprint: str,
    expected: str = "absent",
    site: str = "My Site",
    information: str = "*:9999:",
    **more: Any,
) -> dict[str, Any]:
    return host.call(
        "Set-SslBinding",
        site=site,
        protocol="https",
        information=information,
        thumbprint=thumbprint,
        expected=expected,
        **more,
    )


def record(thumbprint: str, endpoint: str = "0.0.0.0:9999", kind: str = "ip", flags: int = 0) -> dict[str, Any]:
    return {
        "endpoint": endpoint,
        "kind": kind,
        "thumbprint": thumbprint,
        "store": "My",
        "app_id": f"{{{IIS}}}",
        "flags": flags,
    }


@pytest.fixture(scope="module")
def thumbprints(_host: IisHost) -> tuple[str, str, str]:
    """Two certificates with keys, one without."""
    made = [certificate(name) for name in ("one", "two", "three")]
    for index, one in enumerate(made):
        _host.machine.add_certificate(one.pfx, one.password, private_key=index < 2)
    return made[0].thumbprint, made[1].thumbprint, made[2].thumbprint


def test_a_certificate_is_bound_rotated_and_stays_when_the_binding_goes(
    host: IisHost, thumbprints: tuple[str, str, str]
) -> None:
    """[5.4], [3 n]; the flags of the record are kept."""
    first, second, _ = thumbprints
    assert host.edit(new_site())["ok"]
    assert host.edit(new_site("Other", id=3))["ok"]
    config = host.guard
    assert ssl(host, first.lower()) == {"ok": True, "result": {"thumbprint": first}}
    assert host.result("Get-SslBinding") == {"records": [record(first)]}
    host.machine.set_registry(rf"{HTTP}\SslBindingInfo\0.0.0.0:9999", {"DefaultFlags": 0x10})
    assert ssl(host, second, first, site="other")["ok"]
    assert host.result("Get-SslBinding") == {"records": [record(second, flags=0x10)]}
    sites = host.read(SITES)["tree"]["items"]
    assert [one["c"]["bindings"]["items"][0]["a"]["certificateHash"] for one in sites] == ["", second, second]
    assert host.guard == config
    assert host.edit({"op": "remove", "section": SITES, "at": [{"tag": "site", "key": {"name": "My Site"}}]})["ok"]
    assert host.result("Get-SslBinding") == {"records": [record(second, flags=0x10)]}


def test_a_certificate_that_cannot_be_used_is_invalid_and_nothing_is_written(
    host: IisHost, thumbprints: tuple[str, str, str]
) -> None:
    first, _, keyless = thumbprints
    assert host.edit(new_site())["ok"]
    answers = [ssl(host, keyless), ssl(host, "AB" * 20), ssl(host, first, store="NoStore"), ssl(host, first[:-1])]
    assert [(one["error"]["kind"], one["error"]["where"], one["error"]["hresult"]) for one in answers] == [
        ("invalid", "0.0.0.0:9999", NO_LOGON),
        ("invalid", "0.0.0.0:9999", NO_LOGON),
        ("invalid", "0.0.0.0:9999", NO_LOGON),
        ("invalid", "thumbprint", None),
    ]
    assert host.result("Get-SslBinding") == {"records": []}


def test_a_record_of_somebody_else_or_another_one_than_expected_is_left_alone(
    host: IisHost, thumbprints: tuple[str, str, str]
) -> None:
    first, second, _ = thumbprints
    assert host.edit(new_site())["ok"]
    values: dict[str, RegistryValue] = {
        "SslCertHash": bytes.fromhex(first),
        "SslCertStoreName": "My",
        "AppId": uuid.UUID(int=5).bytes_le,
        "DefaultFlags": 0,
    }
    host.machine.set_registry(rf"{HTTP}\SslBindingInfo\0.0.0.0:9999", values)
    before = host.result("Get-SslBinding")
    answers = [
        ssl(host, second),
        ssl(host, second, second),
        ssl(host, second, first),
        ssl(host, second, site="No"),
        ssl(host, second, information="*:1:"),
    ]
    assert [(one["error"]["kind"], one["error"]["where"]) for one in answers] == [
        ("conflict", "0.0.0.0:9999"),
        ("conflict", "0.0.0.0:9999"),
        ("denied", "0.0.0.0:9999"),
        ("missing", "No https *:9999:"),
        ("missing", "My Site https *:1:"),
    ]
    assert host.result("Get-SslBinding") == before


def test_records_of_ipv6_and_of_a_host_name_have_their_own_endpoints_and_new_ones_their_flags(
    host: IisHost, thumbprints: tuple[str, str, str]
) -> None:
    first, second, _ = thumbprints
    site = new_site()
    site["c"]["bindings"]["items"] += [
        {"tag": "binding", "a": {"protocol": "https", "bindingInformation": "[::1]:443:", "sslFlags": 68}},
        {"tag": "binding", "a": {"protocol": "https", "bindingInformation": "*:443:sdk.contoso.com", "sslFlags": 1}},
    ]
    assert host.edit(site)["ok"]
    assert ssl(host, first, information="[::1]:443:")["ok"]
    assert ssl(host, second, information="*:443:SDK.contoso.com")["ok"]
    assert host.result("Get-SslBinding") == {
        "records": [record(first, "[::1]:443", flags=0x410), record(second, "sdk.contoso.com:443", "sni")]
    }


# -- the stand-in itself: what nobody sees through the verbs --


def direct(line: str, *, read_only: bool = False) -> str:
    """A line with `$m`, a new manager, `$c` its configuration and `$w` the section of Windows authentication there."""
    manager = "New-Object Microsoft.Web.Administration.ServerManager" + (
        " -ArgumentList $true, ([NullString]::Value)" if read_only else ""
    )
    return (
        f"$null = [Reflection.Assembly]::LoadFrom('{LIBRARY}'); $m = {manager}; "
        f"$c = $m.GetApplicationHostConfiguration(); $w = $c.GetSection('{WINDOWS}'); {line}"
    )


FIRST_POOL = f"$p = $c.GetSection('{POOLS}').GetCollection().Item(0)"
DIRECT = {
    "a file that changed since it was read is a FileLoadException [3 a]": (
        f"$w['enabled'] = $true; [IO.File]::AppendAllText('{CONFIG}', ' '); $m.CommitChanges()",
        "FileLoadException 0x80070020",
    ),
    "a manager that only read does not mind": (f"[IO.File]::AppendAllText('{CONFIG}', ' '); $m.CommitChanges()", "ok "),
    "nothing is set after the commit [1.1]": (
        "$w['enabled'] = $true; $m.CommitChanges(); $w['enabled'] = $false",
        "InvalidOperationException 0x80131509",
    ),
    "an element of another wrapper is not removed, silently [0.8]": (
        "$a = $w.GetCollection('providers'); $b = $w.GetCollection('providers'); $a.Remove($b.Item(0)); $w.GetCollection('providers').Count",
        "ok 2",
    ),
    "a wrapper keeps the list that it read [6 k]": (
        (
            "$a = $w.GetCollection('providers'); $null = $a.Count; $w.GetCollection('providers').RemoveAt(0); "
            "'{0} {1}' -f $a.Count, $w.GetCollection('providers').Count"
        ),
        "ok 2 1",
    ),
    "a collection is unrolled by PowerShell [3 t]": (
        "function f { $w.GetCollection('providers') }; @(f).Count",
        "ok 2",
    ),
    "uint reads as Int64, enum as Int32, timeSpan as TimeSpan [1.5]": (
        FIRST_POOL + "; $p['queueLength'].GetType().Name; $p['managedPipelineMode'].GetType().Name; "
        "$p.GetChildElement('processModel')['idleTimeout'].GetType().Name",
        "ok Int64|Int32|TimeSpan",
    ),
    "text is no number [1.5]": (
        f"$c.GetSection('{POOLS}').GetCollection().Item(0)['queueLength'] = '5'",
        "InvalidCastException 0x80004002",
    ),
    "text is no bool": ("$w['enabled'] = 'true'", "InvalidCastException 0x80004002"),
    "an unknown attribute [1.4]": ("$w.GetAttributeValue('colour')", "COMException 0x80070585"),
    "every attribute of the schema is there, stored or not [0.7]": ("$w.Attributes.Count", "ok 5"),
    "a required attribute is missing [1.6]": (
        f"$s = $c.GetSection('{SITES}').GetCollection(); $s.Add($s.CreateElement())",
        "FileNotFoundException 0x80070002",
    ),
    "a duplicate [1.6]": (
        "$p = $w.GetCollection('providers'); $e = $p.CreateElement(); $e['value'] = 'ntlm'; $p.Add($e)",
        "COMException 0x800700B7",
    ),
    "without a remove directive an item can be removed [1.6]": (
        f"$s = $c.GetSection('{SITES}').GetCollection(); $s.AllowsRemove; $s.RemoveAt(0); $s.Count",
        "ok False|0",
    ),
    "IsLocallyStored lies for a location [0.1]": (
        f"$c.GetSection('{WINDOWS}', '{SITE}').IsLocallyStored; $c.GetSection('{WINDOWS}', '{SITE}').GetMetadata('deepestPathSet')",
        "ok True|MACHINE/WEBROOT/APPHOST",
    ),
    "no certificate by bytes [1.7]": (
        (
            f"$b = $c.GetSection('{SITES}').GetCollection().Item(0).GetCollection('bindings').Item(0); "
            "$b.Methods['AddSslCertificate'].CreateInstance().Input.SetAttributeValue('certificateHash', [byte[]]@(1))"
        ),
        "ArgumentException 0x80070057",
    ),
    "stop of what is stopped [3 k]": (
        f"{FIRST_POOL}; 1..2 | ForEach-Object {{ $p.Methods['Stop'].CreateInstance().Execute() }}",
        "COMException 0x80070426",
    ),
    "what is not imitated says so": ("$c.GetEffectiveSectionGroup()", "NotSupportedException 0x80131515"),
    "a section of a web configuration is locked [0.5]": (
        f"$l = $m.GetWebConfiguration('{SITE}').GetSection('{WINDOWS}'); $l.IsLocked; $l['enabled'] = $true",
        "FileLoadException 0x80070021",
    ),
    "no redirection section [3 p]": (
        "$m.GetRedirectionConfiguration().GetSection('configurationRedirection')",
        "COMException 0x80070490",
    ),
}


@pytest.mark.parametrize("case", DIRECT.values(), ids=DIRECT)
def test_the_stand_in_behaves_as_the_facts_say(host: IisHost, case: tuple[str, str]) -> None:
    line, said = case
    assert host.run(direct(line)) == said


def test_a_read_only_manager_writes_nothing(host: IisHost) -> None:
    """[1.1]"""
    assert host.run(direct("$w['enabled'] = $true", read_only=True)) == "InvalidOperationException 0x80131509"
    assert (
        host.run(direct("$w.GetCollection('providers').RemoveAt(0)", read_only=True)) == "FileLoadException 0x80070020"
    )
    assert host.run(direct("$m.CommitChanges()", read_only=True)) == "InvalidOperationException 0x80131509"


@pytest.mark.parametrize("culture", ["tr-TR", "de-DE"])
def test_the_culture_of_the_host_changes_nothing(host: IisHost, culture: str) -> None:
    host.run(f"[cultureinfo]::CurrentCulture = '{culture}'")
    try:
        line = f"""
        $p = $c.GetSection('{POOLS}').GetCollection().Item(0); $p['managedPipelineMode'] = 'INTEGRATED'; $p['queueLength'] = [long]2000
        $p.GetChildElement('recycling').GetChildElement('periodicRestart')['time'] = [timespan]'1.02:00:00'
        $m.CommitChanges(); $p['queueLength']; $c.GetSection('{WINDOWS}', 'DEFAULT WEB SITE').SectionPath
        $w.GetCollection('providers').Item(0)['value']"""
        assert host.run(direct(line)) == f"ok 2000|{WINDOWS}|Negotiate"
        assert (
            '<add name="DefaultAppPool" managedRuntimeVersion="v4.0" managedPipelineMode="Integrated" queueLength="2000">'
            in host.config
        )
        assert '<periodicRestart time="1.02:00:00" />' in host.config
    finally:
        host.run("[cultureinfo]::CurrentCulture = 'en-US'")


# -- the schema and the file that IIS ships --


@pytest.mark.skipif(
    not IIS_DATA.exists(), reason="../shared/data/iis is not here: the full configuration of IIS was not read"
)
def test_the_full_configuration_of_iis_is_read_and_one_edit_changes_one_line(host: IisHost) -> None:
    full = (IIS_DATA / "applicationHost.config").read_bytes()
    sections = [
        "/".join(
            [
                *(group.get("name", "") for group in reversed(list(one.iterancestors("sectionGroup")))),
                one.get("name", ""),
            ]
        )
        for one in etree.fromstring(full).iterfind("configSections//section")
    ]
    without = {
        name for name in sections if "/webdav/" in name or "/rewrite/" in name
    }  # their schema is not among the files
    for name in ("IIS_schema.xml", "FX_schema.xml", "ASPNET_schema.xml"):
        host.machine.write_file(
            f"{SCHEMA}\\{'A_' if name.startswith('IIS') else ''}{name}", (IIS_DATA / name).read_bytes()
        )
    try:
        host.write(full)
        found = host.result(
            "Get-IisConfig", reads=[{"id": name, "section": name, "view": "effective"} for name in sections]
        )["reads"]
        assert {one["id"]: one["ok"] for one in found} == {name: name not in without for name in sections}
        assert {one["error"]["kind"] for one in found if not one["ok"]} == {"missing"}
        handlers = next(one["tree"] for one in found if one["id"] == "system.webServer/handlers")
        inside = etree.fromstring(full).xpath("location[@path='']//handlers/add/@name")
        assert [one["a"]["name"] for one in handlers["items"]] == inside
        assert host.edit(
            {"op": "set", "section": "system.webServer/directoryBrowse", "location": "WebSite2", "a": {"enabled": True}}
        )["ok"]
        after = host.machine.read_file(CONFIG) or b""
        assert added_lines(full.decode(), after.decode()).strip() == '<directoryBrowse enabled="true" />'
    finally:
        for name in ("A_IIS_schema.xml", "FX_schema.xml", "ASPNET_schema.xml"):
            host.machine.remove_file(f"{SCHEMA}\\{name}")
