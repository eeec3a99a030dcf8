"""
The stand-in of Microsoft.Web.Administration on real PowerShell: what nobody sees through the verbs, and the very bytes that it writes.

What the verbs answer is in tests/contract. Numbers in brackets name the section of facts/iis.md that a case rests on.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from lab import template
from lab.powershell_engine import WineMachine
from tests.iis_host import CONFIG, SMALL, IisHost

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

SHARING = 0x80070020


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


# -- the bytes of an edit --


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
    "a pool without a name [3 h]": (f"{FIRST_POOL}; $p['name'] = ''", "COMException 0x8007000D"),
    "what XML cannot hold is not written": (
        f"$c.GetSection('{ANONYMOUS}')['userName'] = [string][char]1",
        "XmlException 0x80131940",
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
