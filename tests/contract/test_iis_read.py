"""Get-IisConfig: any section as a tree, stored or effective, with its types, and where it comes from."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.contract.cases import case
from tests.contract.host import Host, Refused, sha256
from tests.contract.iis import (
    ANONYMOUS,
    CONFIG,
    EXISTS,
    INDEX,
    INVALID_DATA,
    LOCK,
    MODULES,
    NO_OBJECT,
    NOT_FOUND,
    NOT_SUPPORTED,
    POOLS,
    REDIRECTION,
    SHARING,
    SITE,
    SITES,
    START,
    WEB_CONFIG,
    WINDOWS,
    Iis,
    enabling,
    new_site,
    pool_step,
    same_file,
    setting,
    site_step,
)

LEAF: Final[dict[str, Any]] = {"d": [], "s": {}, "e": {}, "c": {}, "items": []}
READS: Final = (
    'verbs.md: `reads: [{"id", "section", "location": "" | "SITE" | "SITE/app", "view": "stored" | "effective"'
)
MODULE_NAMES: Final = [
    "UriCacheModule",
    "DefaultDocumentModule",
    "StaticFileModule",
    "AnonymousAuthenticationModule",
    "WindowsAuthenticationModule",
]


# -- a section as a tree --


@case(
    "Get-IisConfig",
    cites='iis.md: "section":{path, overrideMode, overrideModeEffective, isLocked, deepestPath, deepestFile, deepestLine}',
)
def test_a_section_is_read_whole_with_where_it_comes_from(iis: Iis) -> None:
    assert iis.read(WINDOWS, SITE, "effective") == {
        "section": {
            "path": WINDOWS,
            "override_mode": "Inherit",
            "override_mode_effective": "Deny",
            "is_locked": True,
            "deepest_path": "MACHINE/WEBROOT/APPHOST",
            "deepest_file": "(file)",
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
                    **LEAF,
                    "tag": "providers",
                    "a": {},
                    "items": [
                        {**LEAF, "tag": "add", "a": {"value": "Negotiate"}, "at": ""},
                        {**LEAF, "tag": "add", "a": {"value": "NTLM"}, "at": ""},
                    ],
                },
                "extendedProtection": {
                    **LEAF,
                    "tag": "extendedProtection",
                    "a": {"tokenChecking": "None", "flags": "None"},
                    "d": ["flags", "tokenChecking"],
                },
            },
            "items": [],
        },
    }


@case("Get-IisConfig", cites=READS, error="invalid")
def test_a_read_of_another_shape_is_invalid(mfa01: Host) -> None:
    good = {"id": "a", "section": SITES, "location": "", "view": "stored"}
    wrong: list[Any] = [
        "x",
        None,
        [],
        {},
        {**good, "view": "both"},
        {**good, "depth": 1},
        {**good, "section": 1},
        {**good, "location": None},
        {**good, "id": 1},
        {**good, "filter": []},
        *({name: value for name, value in good.items() if name != gone} for gone in ("id", "section", "view")),
    ]
    for one in wrong:
        assert mfa01.refused("Get-IisConfig", reads=[good, one]) == Refused("invalid", "reads")


@case("Get-IisConfig", cites="iis.md: RawAttributes with only stored values")
def test_every_attribute_of_the_schema_is_there_though_two_are_stored(iis: Iis) -> None:
    """A naive mistake: RawAttributes with only what is stored."""
    (pool,) = iis.tree(POOLS, filter={"name": "defaultapppool"})["items"]
    process, recycling = pool["c"]["processModel"], pool["c"]["recycling"]
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
    assert (process["a"]["idleTimeout"], process["a"]["identityType"]) == ("00:20:00", "ApplicationPoolIdentity")
    assert recycling["a"]["logEventOnRecycle"] == "Time,Memory,PrivateMemory"
    assert recycling["c"]["periodicRestart"]["a"]["time"] == "1.05:00:00"
    assert {type(value) for value in process["a"].values()} <= {bool, int, str}


@case(
    "Get-IisConfig",
    cites="iis.md: siteDefaults / applicationPoolDefaults / applicationDefaults / virtualDirectoryDefaults fill missing attributes",
)
def test_a_defaults_element_fills_what_an_item_does_not_say(iis: Iis) -> None:
    assert iis.edit({"op": "add", "section": POOLS, "tag": "add", "a": {"name": "P"}}, new_site())
    (pool,) = iis.tree(POOLS, filter={"name": "P"})["items"]
    (site,) = iis.tree(SITES, filter={"name": "My Site"})["items"]
    assert (pool["a"]["managedRuntimeVersion"], "managedRuntimeVersion" in pool["d"]) == ("v4.0", True)
    assert (site["items"][0]["a"]["applicationPool"], "applicationPool" in site["items"][0]["d"]) == (
        "DefaultAppPool",
        True,
    )


@case("Get-IisConfig", cites="iis.md: so `%SystemDrive%` stays literal")
def test_environment_variables_stay_as_they_are_stored(iis: Iis) -> None:
    for view in ("stored", "effective"):
        (site,) = iis.tree(SITES, view=view)["items"]
        assert site["items"][0]["items"][0]["a"]["physicalPath"] == r"%SystemDrive%\inetpub\wwwroot"


@case("Get-IisConfig", cites="iis.md: The read verb must not emit them")
def test_an_encrypted_attribute_says_only_that_it_is_set(iis: Iis) -> None:
    secret = "Pl4nted \"quotes' & <so> \u00e4"
    at = [pool_step(), "processModel"]
    assert iis.tree(POOLS)["items"][0]["c"]["processModel"]["s"] == {"password": {"secret": True, "set": False}}
    assert iis.edit(setting(POOLS, {"password": {"secret": "P"}}, at), secrets={"P": secret})
    found = iis.read(POOLS)
    process = found["tree"]["items"][0]["c"]["processModel"]
    assert (process["s"], "password" in process["a"]) == ({"password": {"secret": True, "set": True}}, False)
    assert "Pl4nted" not in json.dumps(found)


@case("Get-IisConfig", cites="iis.md: every attribute read in its own try/catch (dynamic ones throw) into `e`")
def test_a_value_that_cannot_be_read_is_an_error_of_its_attribute(iis: Iis) -> None:
    assert iis.edit(new_site(bindings=(("ftp", "*:21:", 0),)))
    (site,) = iis.tree(SITES, filter={"name": "My Site"})["items"]
    assert (site["e"], "state" in site["a"]) == ({"state": NO_OBJECT}, False)


@case(
    "Get-IisConfig",
    cites="iis.md: `filter` = key/attribute equality on top items",
)
def test_a_filter_keeps_the_items_that_have_all_its_values(iis: Iis) -> None:
    assert iis.edit(new_site("My Site"), new_site("Other", 3))
    filters: list[tuple[dict[str, Any], list[str]]] = [
        ({}, [SITE, "My Site", "Other"]),
        ({"name": "MY SITE"}, ["My Site"]),
        ({"id": 3}, ["Other"]),
        ({"id": "3"}, []),
        ({"name": "Other", "id": 2}, []),
        ({"serverAutoStart": True}, [SITE, "My Site", "Other"]),
        ({"name": "No"}, []),
    ]
    found = [[one["a"]["name"] for one in iis.tree(SITES, filter=given)["items"]] for given, _ in filters]
    assert found == [names for _, names in filters]


@case("Get-IisConfig", cites='iis.md: "shared":bool, "modules":[names of globalModules]')
def test_the_file_its_hash_and_the_modules_in_their_order_are_answered(iis: Iis) -> None:
    """A naive mistake: sorting collections."""
    found = iis.host.ask("Get-IisConfig", reads=[])
    file = str(found.pop("file"))
    assert (file.lower(), found) == (
        CONFIG.lower(),
        {"sha256": sha256(iis.file), "shared": False, "modules": MODULE_NAMES, "locations": [], "reads": []},
    )
    assert [one["a"]["name"] for one in iis.tree(MODULES)["items"]] == MODULE_NAMES[1:]


@case("Get-IisConfig", cites="iis.md: `stored` = **writable** manager that is never committed")
def test_reading_changes_nothing(iis: Iis) -> None:
    with iis.host.watched() as seen:
        for view in ("stored", "effective"):
            for section in (WINDOWS, ANONYMOUS, MODULES):
                assert iis.tree(section, SITE, view)["tag"] == section.rpartition("/")[2]
    assert seen.changes == {}


# -- locations --


@case("Get-IisConfig", cites="iis.md: `GetLocationPaths()` lists location tags of that file")
def test_every_location_tag_is_listed_as_it_is_written_that_of_an_absent_site_too(iis: Iis) -> None:
    tags = "".join(f'<location path="{path}" />\n' for path in ("Ghost/Sub", SITE, "ghost"))
    iis.replace("</configuration>", f"{tags}</configuration>")
    assert iis.host.ask("Get-IisConfig", reads=[])["locations"] == ["Ghost/Sub", SITE, "ghost"]


@case("Get-IisConfig", cites="iis.md: Location keys compare case-insensitively")
def test_sites_and_locations_are_found_in_any_case(iis: Iis) -> None:
    """A naive mistake: looking a site or a location up with its case."""
    assert iis.edit(enabling("default WEB site"))
    for view in ("stored", "effective"):
        assert iis.tree(WINDOWS, "DEFAULT web SITE", view)["a"]["enabled"] is True


@case("Get-IisConfig", cites="iis.md: it is **true while nothing is stored for Site**")
def test_where_a_section_is_set_is_told_by_path_file_and_line_not_by_is_locally_stored(iis: Iis) -> None:
    """A naive mistake: IsLocallyStored, which is true at a location where nothing is stored."""
    before = iis.read(WINDOWS, SITE)["section"]
    assert iis.edit(enabling())
    after = iis.read(WINDOWS, SITE)["section"]
    where = [(one["deepest_path"], one["deepest_file"]) for one in (before, after)]
    assert where == [("MACHINE/WEBROOT/APPHOST", "(file)"), (f"MACHINE/WEBROOT/APPHOST/{SITE}", "(file)")]
    line = iis.file.decode().splitlines()[after["deepest_line"] - 1].strip()
    assert line == '<windowsAuthentication enabled="true" />'


@case("Get-IisConfig", cites="iis.md: At APPHOST+location it reads Deny yet `IsLocked` is false and the write works")
def test_at_its_own_file_no_section_is_locked_though_its_mode_is_deny(iis: Iis) -> None:
    found = [iis.read(WINDOWS, SITE, view)["section"] for view in ("stored", "effective")]
    assert [(one["override_mode_effective"], one["is_locked"]) for one in found] == [("Deny", False), ("Deny", True)]


@case("Get-IisConfig", cites="iis.md: location tags ordered by path depth not by file order")
def test_an_application_inherits_from_its_site_by_depth_and_not_by_the_order_in_the_file(iis: Iis) -> None:
    application = {"op": "add", "section": SITES, "at": [site_step()], "tag": "application", "a": {"path": "/sdk"}}
    deep = setting(WINDOWS, {"useKernelMode": False}, location=f"{SITE}/sdk")
    assert iis.edit(application)
    assert iis.edit(deep)
    assert iis.edit(setting(WINDOWS, {"enabled": True, "useKernelMode": True}, location=SITE))
    found = iis.tree(WINDOWS, f"{SITE}/SDK", "effective")["a"]
    assert (found["enabled"], found["useKernelMode"]) == (True, False)
    assert iis.tree(WINDOWS, f"{SITE}/sdk/deeper/still", "effective")["a"] == found


@case(
    "Get-IisConfig",
    cites='iis.md: So per item "local to this location" = collectionItemLocationConfigPath',
)
def test_each_item_says_which_location_it_comes_from(iis: Iis) -> None:
    add = {"op": "add", "section": WINDOWS, "location": SITE, "at": ["providers"], "tag": "add", "a": {"value": "Odd"}}
    assert iis.edit(add)
    expected = [("Negotiate", ""), ("NTLM", ""), ("Odd", SITE)]
    assert [iis.providers(view=view) for view in ("stored", "effective")] == [expected, expected]
    assert iis.providers("") == expected[:2]


@case("Get-IisConfig", cites="iis.md: An *unlocked* section set in web.config still beats our location tag")
def test_an_unlocked_section_in_a_web_config_beats_our_location_and_says_where_it_is(iis: Iis) -> None:
    iis.unlock()
    iis.web_config('<windowsAuthentication enabled="false" />')
    assert iis.edit(enabling())
    stored, effective = (iis.read(WINDOWS, SITE, view) for view in ("stored", "effective"))
    assert (stored["tree"]["a"]["enabled"], effective["tree"]["a"]["enabled"]) == (True, False)
    assert effective["section"] == {
        "path": WINDOWS,
        "override_mode": "Inherit",
        "override_mode_effective": "Allow",
        "is_locked": False,
        "deepest_path": f"MACHINE/WEBROOT/APPHOST/{SITE}",
        "deepest_file": WEB_CONFIG,
        "deepest_line": 5,
    }


@case(
    "Get-IisConfig",
    cites="iis.md: a web.config that already holds such a section throws the same at **GetSection**",
    error="locked",
)
def test_a_web_config_that_sets_a_locked_section_makes_it_unreadable_there(iis: Iis) -> None:
    iis.web_config()
    assert iis.read(WINDOWS, SITE, "effective") == Refused("locked", f"{WINDOWS}@{SITE}", LOCK)
    assert iis.tree(WINDOWS, SITE)["a"]["enabled"] is False
    assert iis.tree(ANONYMOUS, SITE, "effective")["a"]["enabled"] is True


@case("Get-IisConfig", cites="iis.md: web.config files of the site's folders")
def test_the_web_config_of_an_application_is_read_from_its_own_folder(iis: Iis) -> None:
    iis.unlock()
    folder = {"tag": "virtualDirectory", "a": {"path": "/", "physicalPath": r"C:\sdk"}}
    application = {"op": "add", "section": SITES, "at": [site_step()], "tag": "application", "a": {"path": "/Sdk"}}
    assert iis.edit({**application, "items": [folder]})
    iis.web_config(path=r"C:\sdk\web.config")
    found = [iis.tree(WINDOWS, f"{SITE}{path}", "effective")["a"]["enabled"] for path in ("", "/sdk", "/SDK/deeper")]
    assert found == [False, True, True]


@case("Get-IisConfig", cites="iis.md: inheritance root -> location prefixes -> web.config files of the site's folders")
def test_a_location_tag_in_a_web_config_counts_below_it(iis: Iis) -> None:
    iis.unlock()
    tag = '<location path="sub"><system.webServer><security><authentication><windowsAuthentication enabled="true" />'
    closed = "</authentication></security></system.webServer></location>"
    iis.machine.write_file(WEB_CONFIG, f"<configuration>{tag}{closed}</configuration>".encode())
    found = [iis.tree(WINDOWS, f"{SITE}{path}", "effective")["a"]["enabled"] for path in ("", "/sub", "/SUB/x")]
    assert found == [False, True, True]


# -- what cannot be read --


@case("Get-IisConfig", cites="iis.md: returning null for an unknown section (it throws)")
def test_a_bad_section_spoils_no_other(iis: Iis) -> None:
    """Naive mistakes: null for an unknown section; a location tag that makes a site."""
    iis.replace("</configuration>", '    <location path="Ghost" />\n</configuration>')
    reads: list[tuple[dict[str, Any], Any]] = [
        ({"section": "system.webServer/nothing"}, Refused("invalid", "system.webServer/nothing@", INVALID_DATA)),
        ({"section": "nothing"}, Refused("invalid", "nothing@", INVALID_DATA)),
        ({"section": ""}, Refused("invalid", "@", INVALID_DATA)),
        ({"section": WINDOWS, "location": "No Site"}, Refused("missing", f"{WINDOWS}@No Site", NOT_FOUND)),
        ({"section": WINDOWS, "location": "Ghost"}, Refused("missing", f"{WINDOWS}@Ghost", NOT_FOUND)),
        ({"section": SITES, "location": SITE}, Refused("invalid", f"{SITES}@{SITE}", NOT_SUPPORTED)),
        ({"section": MODULES, "location": f"{SITE}/x"}, Refused("invalid", f"{MODULES}@{SITE}/x", NOT_SUPPORTED)),
        ({"section": SITES, "filter": {"nothing": 1}}, Refused("missing", f"{SITES}@", INDEX)),
    ]
    given = [{"id": str(number), "location": "", "view": "stored", **read} for number, (read, _) in enumerate(reads)]
    last = {"id": "good", "section": WINDOWS, "view": "effective"}
    found = iis.host.ask("Get-IisConfig", reads=[*given, last])["reads"]
    assert [one["id"] for one in found] == [*(one["id"] for one in given), "good"]
    assert [Refused(one["error"]["kind"], one["error"]["where"], one["error"]["hresult"]) for one in found[:-1]] == [
        error for _, error in reads
    ]
    assert (found[-1]["ok"], found[-1]["tree"]["a"]["enabled"]) == (True, False)


@case("Get-IisConfig", cites="iis.md: unknown *site* -> FileNotFoundException", error="missing")
def test_a_site_that_is_not_there_is_missing_in_both_views(iis: Iis) -> None:
    for view in ("stored", "effective"):
        assert iis.read(WINDOWS, "No/sub", view) == Refused("missing", f"{WINDOWS}@No/sub", NOT_FOUND)


@case("Get-IisConfig", cites="iis.md: bad XML -> COMException")
def test_a_broken_web_config_spoils_its_site_alone(iis: Iis) -> None:
    iis.machine.write_file(WEB_CONFIG, b"<configuration>")
    assert iis.read(WINDOWS, SITE, "effective") == Refused("invalid", f"{WINDOWS}@{SITE}", INVALID_DATA)
    assert iis.tree(WINDOWS, view="effective")["a"]["enabled"] is False


@case(
    "Get-IisConfig",
    cites="iis.md: COMException, other (0x8007000D, not well-formed, unrecognized element, missing declaration)",
)
def test_what_the_schema_does_not_know_makes_a_section_unreadable_and_no_other(iis: Iis) -> None:
    on, ntlm = '<windowsAuthentication enabled="false">', '<add value="NTLM" />'
    broken = {
        (on, on.replace("false", "perhaps")): INVALID_DATA,
        (on, on.replace("enabled", 'colour="red" enabled')): INVALID_DATA,
        (ntlm, f"{ntlm}<odd />"): INVALID_DATA,
        (ntlm, '<add value="negotiate" />'): EXISTS,
    }
    for (old, new), code in broken.items():
        iis.file = START.read_bytes()
        iis.replace(old, new)
        assert iis.read(WINDOWS) == Refused("invalid", f"{WINDOWS}@", code)
        assert iis.tree(ANONYMOUS)["a"]["enabled"] is True
    iis.file = START.read_bytes()


@case(
    "Get-IisConfig",
    cites='iis.md: bad XML -> COMException "Configuration file is not well-formed XML"',
    error="invalid",
)
def test_a_file_that_is_no_xml_is_invalid_by_its_path(iis: Iis) -> None:
    for data in (b"", b"x", iis.file.replace(b"</configuration>", b"")):
        iis.file = data
        assert same_file(iis.host.refused("Get-IisConfig", reads=[])) == Refused("invalid", "(file)", INVALID_DATA)
    iis.file = START.read_bytes()


@case("Get-IisConfig", cites="iis.md: FileNotFound / DirectoryNotFound 0x80070002/3", error="missing", light=True)
def test_a_configuration_that_is_gone_is_missing(iis: Iis) -> None:
    iis.machine.remove_file(CONFIG)
    assert same_file(iis.host.refused("Get-IisConfig", reads=[])) == Refused("missing", "(file)", NOT_FOUND)
    iis.file = START.read_bytes()


@case(
    "Get-IisConfig", cites="iis.md: In CommitChanges it is a conflict; in GetSection/Set it is a lock", error="locked"
)
def test_a_configuration_that_is_open_without_sharing_is_locked_to_read(iis: Iis) -> None:
    with iis.machine.locked(CONFIG):
        assert same_file(iis.host.refused("Get-IisConfig", reads=[])) == Refused("locked", "(file)", SHARING)


OTHERS: Final[dict[str, dict[str, Any]]] = {
    "Get-IisState": {"items": [{"kind": "site", "name": SITE}]},
    "Set-IisState": {"kind": "site", "name": SITE, "state": "Stopped", "expected": "Started"},
    "Set-SslBinding": {
        "site": SITE,
        "protocol": "https",
        "information": "*:443:",
        "thumbprint": "0" * 40,
        "expected": "absent",
    },
}


@case(*OTHERS, cites="iis.md: In CommitChanges it is a conflict; in GetSection/Set it is a lock", error="locked")
def test_a_configuration_that_is_open_without_sharing_is_locked_to_the_other_verbs(iis: Iis, verb: str) -> None:
    where = f"{SITE} https *:443:" if verb == "Set-SslBinding" else SITE
    with iis.machine.locked(CONFIG):
        assert iis.host.refused(verb, **OTHERS[verb]) == Refused("locked", where, SHARING)


@case(*OTHERS, cites="iis.md: FileNotFound / DirectoryNotFound 0x80070002/3", error="missing")
def test_a_configuration_that_is_gone_is_missing_to_the_other_verbs(iis: Iis, verb: str) -> None:
    where = f"{SITE} https *:443:" if verb == "Set-SslBinding" else SITE
    iis.machine.remove_file(CONFIG)
    try:
        assert iis.host.refused(verb, **OTHERS[verb]) == Refused("missing", where, NOT_FOUND)
    finally:
        iis.file = START.read_bytes()


@case("Get-IisConfig", cites="iis.md: redirection.config enabled=true, path may be UNC with its own user")
def test_a_shared_configuration_is_read_from_where_it_is_and_told(iis: Iis) -> None:
    farm = iis.file.replace(b'<windowsAuthentication enabled="false">', b'<windowsAuthentication enabled="true">')
    iis.machine.write_file(r"C:\farm\applicationHost.config", farm)
    iis.machine.write_file(
        REDIRECTION, rb'<configuration><configurationRedirection enabled="true" path="C:\farm" /></configuration>'
    )
    found = iis.host.ask("Get-IisConfig", reads=[{"id": "x", "section": WINDOWS, "view": "stored"}])
    assert (found["file"], found["sha256"], found["shared"]) == (
        r"C:\farm\applicationHost.config",
        sha256(farm),
        True,
    )
    assert found["reads"][0]["tree"]["a"]["enabled"] is True


ARGUMENTS: Final[dict[str, dict[str, Any]]] = {
    "Get-IisConfig": {"reads": []},
    "Edit-IisConfig": {"guard": "0" * 64, "edits": []},
    "Get-IisState": {"items": []},
    "Set-IisState": {"kind": "site", "name": "x", "state": "Started", "expected": "Stopped"},
    "Set-SslBinding": {
        "site": "x",
        "protocol": "https",
        "information": "*:1:",
        "thumbprint": "0" * 40,
        "expected": "absent",
    },
}


@case(
    *ARGUMENTS,
    cites="iis.md: | load | dll absent; COMException 0x80040154 | not-installed |",
    error="not-installed",
)
def test_without_iis_it_is_not_installed(mim01: Host, verb: str) -> None:
    assert mim01.refused(verb, **ARGUMENTS[verb]) == Refused("not-installed", "IIS")


@case("Get-SslBinding", cites="verbs.md: `not-installed`, for every verb but Get-SslBinding")
def test_without_iis_there_are_certificate_records_still(mim01: Host) -> None:
    assert mim01.ask("Get-SslBinding") == {"records": []}
