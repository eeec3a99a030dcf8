"""iis_app_pool, iis_site and iis_auth from pyinfra down to a machine of the lab: dry, applied, again, other spelling, refused, taken back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from facts.iis import IisAppPool, IisAuthentication, IisSite, IisSites, ServerCertificate, pool_read
from lab import iis
from model.iis import Application, AppPool, AppPoolRead, Binding, Site, WantedBinding
from model.secret import Secret
from operations.iis import iis_app_pool, iis_auth, iis_site
from tests.iis_machine import ANONYMOUS, POOLS, SITES, WINDOWS, IisMachine, Step

NAME: Final = "MIM MFASDK"
FOLDER: Final = r"C:\inetpub\wwwroot\mfasdk"
POOL: Final[Step] = (iis_app_pool, {"app_pool": NAME, "running": True})
AUTH: Final[Mapping[str, Any]] = {"site": NAME, "anonymous": False, "windows": True, "providers": ["Negotiate", "NTLM"]}
PLANTED: Final = "pl4nted 'S3cret' \"&<é"


@pytest.fixture
def machine(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> IisMachine:
    return IisMachine(tmp_path, caplog)


def site_step(thumbprint: str, **kinds: Any) -> Step:
    bindings = [{"protocol": "https", "port": 9999, "thumbprint": thumbprint}]
    return iis_site, {"site": NAME, "path": FOLDER, "app_pool": NAME, "bindings": bindings, "running": True} | kinds


def page(thumbprint: str) -> tuple[Step, ...]:
    """The steps of the page."""
    return POOL, site_step(thumbprint), (iis_auth, AUTH)


WRITES: Final = [
    "Edit-IisConfig",
    "Set-IisState",
    "New-Folder",
    "Edit-IisConfig",
    "Set-SslBinding",
    "Set-IisState",
    "Edit-IisConfig",
]


def test_the_page_dry_applied_and_again(machine: IisMachine) -> None:
    thumbprint = machine.certificate()
    start = machine.machine.snapshot()
    dry = machine.run(*page(thumbprint), dry=True)
    assert dry.shown == [
        f"application pool {NAME}: 2 changes\n        app_pool: (absent) -> {NAME}\n        state: (absent) -> Started",
        "\n        ".join(
            [
                f"application pool {NAME} would be created, then: site {NAME}: 8 changes",
                f"folder: (absent) -> {FOLDER}",
                f"site: (absent) -> {NAME}",
                "id: (absent) -> 2",
                f"path: (absent) -> {FOLDER}",
                f"app_pool: (absent) -> {NAME}",
                "binding: (absent) -> https *:9999:",
                f"certificate (https *:9999:): (absent) -> {thumbprint}",
                "state: (absent) -> Started",
            ]
        ),
        f"site {NAME} would be created, then: authentication of {NAME}/: 2 changes\n        anonymous: true -> false\n        windows: false -> true",
    ]
    assert (dry.writes, dry.failed, machine.machine.snapshot()) == ([], False, start)
    first = machine.run(*page(thumbprint))
    assert (first.writes, first.failed) == (WRITES, False)
    after = machine.machine.snapshot()
    again = machine.run(*page(thumbprint))
    assert (again.writes, again.failed, machine.machine.snapshot()) == ([], False, after)
    assert machine.fact(IisSite, site="mim mfasdk").site == Site(
        NAME, 2, (Binding("https", "*:9999:"),), (Application("/", NAME, {"/": FOLDER}),)
    )
    found = machine.fact(IisAuthentication, site=NAME)
    assert {scheme: (one.stored, one.effective) for scheme, one in found.schemes.items()} == {
        "anonymous": (False, False),
        "windows": (True, True),
        "basic": (False, False),
        "digest": (False, False),
    }


def test_nothing_to_do_reads_each_thing_once_and_no_other_sites(machine: IisMachine) -> None:
    thumbprint = machine.certificate()
    machine.run(*page(thumbprint))
    reads = machine.run(*page(thumbprint)).reads
    # Pool and its state, site and its state, records, certificate, folder, authentication (which shares the read of the site).
    assert len(reads) == 8


def test_other_spellings_write_nothing(machine: IisMachine) -> None:
    thumbprint = machine.certificate()
    machine.run(*page(thumbprint))
    marked = "\u200e" + " ".join(thumbprint.lower()[at : at + 2] for at in range(0, 40, 2))
    run = machine.run(
        (iis_app_pool, {"app_pool": "mim mfasdk", "runtime_version": "V4.0"}),
        site_step(
            thumbprint,
            site="mim mfasdk",
            path="c:/INETPUB/wwwroot/mfasdk/",
            app_pool="Mim Mfasdk",
            bindings=[WantedBinding("https", 9999, "0.0.0.0", thumbprint=marked, store="MY")],  # noqa: S104 - any address
        ),
        (iis_auth, {"site": "mim mfasdk", "windows": True, "providers": ["negotiate", "ntlm"]}),
    )
    assert (run.writes, run.failed) == ([], False)


def test_a_site_whose_pool_nobody_announced_is_refused_in_the_dry_run(machine: IisMachine) -> None:
    start = machine.machine.snapshot()
    for dry in (True, False):
        run = machine.run(site_step(machine.certificate()), dry=dry)
        text = (
            f"site {NAME}: there is no application pool '{NAME}'. Create it before (iis_app_pool), or name another one."
        )
        assert (run.writes, run.failed, text in run.text) == ([], True, True)
    kept = {name: value for name, value in machine.machine.snapshot().items() if not name.startswith("certificate")}
    assert kept == {name: value for name, value in start.items() if not name.startswith("certificate")}


def test_authentication_of_a_site_that_nobody_announced_is_refused_in_the_dry_run(machine: IisMachine) -> None:
    run = machine.run((iis_auth, AUTH), dry=True)
    text = f"authentication of {NAME}/: there is no site '{NAME}'. Create it before (iis_site), or name another one."
    assert (run.writes, run.failed, run.shown) == ([], True, [text])


def test_a_run_that_is_cut_between_file_and_http_sys_is_mended_by_the_next(machine: IisMachine) -> None:
    thumbprint = machine.certificate()

    def cut(verb: str) -> None:
        if verb == "Set-SslBinding":
            machine.machine.write_file(iis.LIBRARY + ".bak", b"MZ")
            machine.machine.remove_file(iis.LIBRARY)

    broken = machine.run(*page(thumbprint), before_write=cut)
    assert (broken.failed, broken.writes[-1]) == (True, "Set-SslBinding")
    machine.machine.write_file(iis.LIBRARY, b"MZ")
    machine.known(NAME)
    dry = machine.run(*page(thumbprint), dry=True)
    assert dry.shown[0] == f"site {NAME}: 1 change\n        certificate (https *:9999:): (absent) -> {thumbprint}"
    assert machine.run(*page(thumbprint)).writes == ["Set-SslBinding", "Edit-IisConfig"]
    assert machine.run(*page(thumbprint)).writes == []


def test_a_certificate_is_rotated_by_one_write_and_the_file_stays(machine: IisMachine) -> None:
    first, second = machine.certificate(), machine.certificate("new.contoso.com")
    machine.run(*page(first))
    guard = machine.guard
    run = machine.run(*page(second))
    assert (run.writes, machine.guard) == (["Set-SslBinding"], guard)
    assert f"certificate (https *:9999:): {first} -> {second}" in run.text
    assert machine.fact(IisSite, site=NAME).records[0].thumbprint == second


CERTIFICATES: Final[Mapping[str, tuple[Mapping[str, Any], str]]] = {
    "without its key": ({"private_key": False}, "has no private key"),
    "expired": ({"first_day": -9, "last_day": -1}, "expired on"),
    "not valid yet": ({"first_day": 1}, "is not valid before"),
    "for clients": ({"usage": "client"}, "is not meant for servers"),
    "of another store": ({"store": "WebHosting"}, r"is not in LocalMachine\My"),
}


@pytest.mark.parametrize(("kinds", "text"), CERTIFICATES.values(), ids=CERTIFICATES)
def test_a_certificate_that_cannot_be_used_is_found_before_any_write(
    machine: IisMachine, kinds: Mapping[str, Any], text: str
) -> None:
    thumbprint = machine.certificate(**kinds)
    start = machine.machine.snapshot()
    machine.run(POOL)
    for dry in (True, False):
        run = machine.run(site_step(thumbprint), dry=dry)
        assert (run.writes, run.failed, text in run.text) == ([], True, True)
    assert "site MIM MFASDK" not in str(machine.machine.snapshot().keys() - start.keys())


def test_other_bindings_and_flags_of_the_site_stay(machine: IisMachine) -> None:
    thumbprint = machine.certificate()
    machine.run(POOL)
    bindings = (("http", "*:8080:", 0), ("https", ":9999:", 4 | 16), ("net.tcp", "808:*", 0))
    machine.site(NAME, path=FOLDER, bindings=bindings)
    machine.known(NAME)
    run = machine.run(site_step(thumbprint))
    assert (run.failed, run.writes) == (False, ["New-Folder", "Edit-IisConfig", "Set-SslBinding"])
    found = machine.fact(IisSite, site=NAME).site
    assert [(one.protocol, one.information, one.ssl_flags) for one in found.bindings] == list(bindings)
    assert machine.run(site_step(thumbprint)).writes == []


def test_a_record_of_another_program_is_refused(machine: IisMachine) -> None:
    thumbprint = machine.certificate()
    key = rf"{iis.HTTP_SYS}\SslBindingInfo\0.0.0.0:9999"
    machine.machine.set_registry(key, {"SslCertHash": bytes(20), "SslCertStoreName": "MY", "AppId": bytes(16)})
    machine.run(POOL)
    start = machine.machine.snapshot()
    for dry in (True, False):
        run = machine.run(site_step(thumbprint), dry=dry)
        assert (run.writes, run.failed, "is in use by another application" in run.text) == ([], True, True)
    assert machine.machine.snapshot() == start


def test_a_file_that_changed_meanwhile_is_left_alone_and_the_next_run_succeeds(machine: IisMachine) -> None:
    thumbprint = machine.certificate()
    machine.run(POOL)

    def change(verb: str) -> None:
        if verb == "Edit-IisConfig" and "<!-- by hand -->" not in machine.config:
            machine.config = machine.config.replace("</configuration>", "<!-- by hand -->\n</configuration>")

    run = machine.run(site_step(thumbprint), before_write=change)
    assert (run.failed, run.writes) == (True, ["New-Folder", "Edit-IisConfig"])
    assert (machine.fact(IisSite, site=NAME).site, "<!-- by hand -->" in machine.config) == (None, True)
    assert machine.run(site_step(thumbprint)).failed is False


def test_a_module_that_is_not_installed_is_refused_in_the_dry_run(machine: IisMachine) -> None:
    thumbprint = machine.certificate()
    line = next(one for one in machine.config.splitlines() if "authsspi.dll" in one)
    machine.config = machine.config.replace(line, "")
    start = machine.machine.snapshot()
    dry = machine.run(*page(thumbprint), dry=True)
    text = "windows needs WindowsAuthenticationModule, which is not installed (globalModules). Install Web-Windows-Auth, run again."
    assert (dry.failed, dry.shown[-1]) == (True, f"authentication of {NAME}/: {text}")
    assert machine.machine.snapshot() == start


def test_a_module_that_does_not_run_at_the_location_is_refused(machine: IisMachine) -> None:
    thumbprint = machine.certificate()
    machine.run(*page(thumbprint)[:2])
    step = {"tag": "add", "key": {"name": "WindowsAuthenticationModule"}}
    modules = "system.webServer/modules"
    machine.edit({"op": "remove", "section": modules, "location": NAME, "at": [step]})
    run = machine.run((iis_auth, AUTH), dry=True)
    assert (run.failed, "installed but switched off there (modules)" in run.text) == (True, True)


def test_both_schemes_are_never_switched_off_in_one_commit(machine: IisMachine) -> None:
    guard = machine.guard
    for arguments in ({"anonymous": False, "windows": False}, {"anonymous": False}):
        for dry in (True, False):
            run = machine.run((iis_auth, {"site": "Default Web Site", **arguments}), dry=dry)
            assert (run.writes, run.failed, "nobody could log on" in run.text) == ([], True, True)
    assert machine.guard == guard


def test_only_the_schemes_named_are_managed(machine: IisMachine) -> None:
    machine.edit(
        {
            "op": "set",
            "section": ANONYMOUS,
            "location": "Default Web Site",
            "at": [],
            "a": {"enabled": True, "userName": "me"},
        }
    )
    run = machine.run((iis_auth, {"site": "default web site", "windows": True}))
    assert (run.writes, run.failed) == (["Edit-IisConfig"], False)
    anonymous = machine.section(ANONYMOUS, "Default Web Site")["tree"]["a"]
    assert (anonymous["enabled"], anonymous["userName"]) == (True, "me")


def test_an_application_is_managed_by_its_path(machine: IisMachine) -> None:
    at = [{"tag": "site", "key": {"name": "Default Web Site"}}]
    root = {"tag": "virtualDirectory", "a": {"path": "/", "physicalPath": r"C:\sdk"}}
    machine.edit(
        {"op": "add", "section": SITES, "at": at, "tag": "application", "a": {"path": "/Sdk"}, "items": [root]}
    )
    run = machine.run((iis_auth, {"site": "Default Web Site", "path": "/sdk", "anonymous": False, "windows": True}))
    assert (run.writes, run.failed) == (["Edit-IisConfig"], False)
    values = [machine.section(WINDOWS, f"Default Web Site{path}")["tree"]["a"]["enabled"] for path in ("", "/Sdk")]
    assert values == [False, True]
    odd = machine.run((iis_auth, {"site": "Default Web Site", "path": "odd", "windows": True}), dry=True)
    text = "authentication of Default Web Site/odd: site 'Default Web Site' has no application or virtual directory '/odd'; it has /, /Sdk."
    assert (odd.failed, odd.shown) == (True, [text])


def test_providers_are_put_into_their_order(machine: IisMachine) -> None:
    wanted = {"site": "Default Web Site", "providers": ["NTLM", "Negotiate"]}
    run = machine.run((iis_auth, wanted))
    assert (run.writes, "providers: Negotiate, NTLM -> NTLM, Negotiate" in run.text) == (["Edit-IisConfig"], True)
    assert machine.fact(IisAuthentication, site="Default Web Site").providers == ("NTLM", "Negotiate")
    assert machine.run((iis_auth, wanted)).writes == []


UNLOCK: Final = (
    '<location path="Default Web Site" overrideMode="Allow"><system.webServer><security><authentication>'
    "<windowsAuthentication /></authentication></security></system.webServer></location>\n</configuration>"
)
WEB_CONFIG: Final = (
    b"<configuration>\n<system.webServer><security><authentication>\n"
    b'<windowsAuthentication enabled="false" />\n</authentication></security></system.webServer></configuration>'
)


def test_a_web_config_that_overrides_is_named_with_file_and_line(machine: IisMachine) -> None:
    machine.config = machine.config.replace("</configuration>", UNLOCK)
    machine.machine.write_file(r"C:\inetpub\wwwroot\web.config", WEB_CONFIG)
    run = machine.run((iis_auth, {"site": "Default Web Site", "windows": True}), dry=True)
    text = r"windowsAuthentication is set by C:\inetpub\wwwroot\web.config line 3, which counts more than applicationHost.config"
    assert (run.writes, run.failed, text in run.text) == ([], True, True)


def test_a_web_config_that_sets_a_locked_section_is_named_with_file_and_line(machine: IisMachine) -> None:
    machine.machine.write_file(r"C:\inetpub\wwwroot\web.config", WEB_CONFIG)
    run = machine.run((iis_auth, {"site": "Default Web Site", "windows": True}), dry=True)
    text = r"C:\inetpub\wwwroot\web.config line 3 sets this section, which is locked at a parent level (locked)"
    assert (run.writes, run.failed, text in run.text) == ([], True, True)


def test_what_was_made_is_taken_back(machine: IisMachine) -> None:
    thumbprint = machine.certificate()
    start = machine.config
    machine.run(*page(thumbprint))
    in_use = machine.run((iis_app_pool, {"app_pool": NAME, "present": False}), dry=True)
    assert (in_use.failed, in_use.shown) == (
        True,
        [f"application pool {NAME}: the pool runs {NAME}/. Give these another pool first."],
    )
    gone = (
        (iis_site, {"site": "mim mfasdk", "present": False}),
        (iis_app_pool, {"app_pool": "mim mfasdk", "present": False}),
    )
    run = machine.run(gone[0])
    assert (run.writes, run.failed) == (["Edit-IisConfig"], False)
    assert machine.run(gone[1]).writes == ["Edit-IisConfig"]
    assert machine.config == start
    assert machine.run(*gone).writes == []


def test_a_site_is_stopped_and_its_path_changed(machine: IisMachine) -> None:
    run = machine.run((iis_site, {"site": "Default Web Site", "path": r"D:\a\new"}), dry=True)
    assert run.shown == [
        "site Default Web Site: path D:\\a\\new: there is no D:\\. Name a path on a drive that exists."
    ]
    run = machine.run((iis_site, {"site": "Default Web Site", "path": r"C:\new", "running": False}))
    assert (run.writes, run.failed) == (["New-Folder", "Edit-IisConfig", "Set-IisState"], False)
    found = machine.fact(IisSite, site="Default Web Site")
    assert (found.state, found.site.applications[0].virtual_directories) == ("Stopped", {"/": r"C:\new"})


def test_a_path_that_is_stored_with_a_variable_is_the_same_path(machine: IisMachine) -> None:
    run = machine.run((iis_site, {"site": "Default Web Site", "path": r"C:\inetpub\wwwroot"}))
    assert (run.writes, run.failed) == ([], False)


PARTS: Final = (
    "A binding has protocol (str), port (int), address (str), host (str), thumbprint (str), store (str), sni (bool)."
)
BINDINGS: Final = {
    "an unknown part": ({"protocol": "https", "prot": 1}, "unknown part 'prot'"),
    "no port": ({"protocol": "https"}, "port is missing"),
    "a port that is text": ({"protocol": "https", "port": "443"}, "port is wrong"),
    "a flag that is a number": ({"protocol": "https", "port": 443, "sni": 1}, "sni is wrong"),
}


@pytest.mark.parametrize(("binding", "text"), BINDINGS.values(), ids=BINDINGS)
def test_a_binding_that_is_refused_on_its_host(machine: IisMachine, binding: dict[str, Any], text: str) -> None:
    run = machine.run((iis_site, {"site": "S", "path": FOLDER, "bindings": [binding]}), dry=True)
    assert (run.failed, run.shown) == (True, [f"site S: binding {binding}: {text}. {PARTS}"])


def test_a_password_that_is_no_secret_is_refused_unread(machine: IisMachine) -> None:
    run = machine.run((iis_app_pool, {**OWN, "password": PLANTED}), dry=True)
    text = "application pool P: the password is plain text, which pyinfra prints. Wrap it: Secret(...) of model.secret."
    assert (run.failed, run.shown) == (True, [text])


OWN: Final[Mapping[str, Any]] = {
    "app_pool": "P",
    "identity": "SpecificUser",
    "user": r"CONTOSO\svc",
    "password": Secret(PLANTED),
}


def test_the_password_of_a_pool_is_written_once_and_never_shown(machine: IisMachine) -> None:
    runs = [
        machine.run((iis_app_pool, OWN), dry=True),
        machine.run((iis_app_pool, OWN)),
        machine.run((iis_app_pool, OWN)),
    ]
    assert [run.writes for run in runs] == [[], ["Edit-IisConfig"], []]
    assert "password: (secret) -> (secret) changed" in runs[0].text
    found = machine.fact(IisAppPool, app_pool="p")
    assert found == AppPoolRead(
        found.guard,
        shared=False,
        app_pool=AppPool(
            "P", "v4.0", "Integrated", "SpecificUser", r"CONTOSO\svc", password_set=True, start_mode="OnDemand"
        ),
        state=found.state,
    )
    assert "pl4nted" not in f"{[run.text for run in runs]}{machine.caplog.text}{found}{machine.config}"


def test_a_password_is_rotated_when_that_is_asked_for(machine: IisMachine) -> None:
    machine.run((iis_app_pool, OWN))
    before = machine.config
    run = machine.run((iis_app_pool, {**OWN, "rotate_password": True}))
    assert (run.writes, run.failed, machine.config != before) == (["Edit-IisConfig"], False, True)


def test_a_pool_that_is_stopped_is_started_and_its_properties_set(machine: IisMachine) -> None:
    machine.machine.set_iis_state("pool", "DefaultAppPool", "Stopped")
    wanted = {
        "app_pool": "defaultapppool",
        "runtime_version": "",
        "pipeline_mode": "Classic",
        "start_mode": "AlwaysRunning",
    }
    run = machine.run((iis_app_pool, {**wanted, "running": True}))
    assert (run.writes, run.failed) == (["Edit-IisConfig", "Set-IisState"], False)
    pool = machine.section(POOLS, view="stored")["tree"]["items"][0]["a"]
    names = ("managedRuntimeVersion", "managedPipelineMode", "startMode", "state")
    assert [pool[name] for name in names] == ["", "Classic", "AlwaysRunning", "Started"]


def test_a_pool_that_only_the_host_takes_for_the_one_is_not_shown_as_it(machine: IisMachine) -> None:
    read = {"id": "pools", "section": POOLS, "location": "", "view": "stored", "filter": {"name": "DefaultAppPool"}}
    answer = {"config": machine.ask("Get-IisConfig", reads=[read]), "states": None}
    text = "the host takes pool 'DefaultAppPool' for 'another'; name it as it is spelled there"
    with pytest.raises(ValueError, match=text):
        pool_read(answer, "another")


def test_facts_of_what_is_not_there(machine: IisMachine) -> None:
    site = machine.fact(IisSite, site="X")
    assert (site.site, site.state, site.neighbours) == (None, None, None)
    assert [one.name for one in machine.fact(IisSites, site="X").neighbours] == ["Default Web Site"]
    pool = machine.fact(IisAppPool, app_pool="X")
    assert (pool.app_pool, pool.state, pool.users) == (None, None, None)
    authentication = machine.fact(IisAuthentication, site="X", path="/y")
    assert (authentication.site, authentication.paths, authentication.schemes["anonymous"].effective) == (
        None,
        (),
        True,
    )
    assert machine.fact(ServerCertificate, thumbprint="AB" * 20).found is False


def test_on_a_host_without_iis_nothing_is_written(machine: IisMachine) -> None:
    machine.machine.remove_file(iis.LIBRARY)
    for step in (POOL, site_step("AB" * 20), (iis_auth, AUTH)):
        for dry in (True, False):
            run = machine.run(step, dry=dry)
            assert (run.writes, run.failed) == ([], True)


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (
            (iis_auth, {"site": "Default Web Site", "providers": "NTLM"}),
            "iis_auth: providers is 'NTLM', expected Sequence[str] | None",
        ),
        (
            (iis_auth, {"site": "Default Web Site", "anonymous": "yes"}),
            "iis_auth: anonymous is 'yes', expected bool | None",
        ),
        (
            (iis_app_pool, {"app_pool": "X", "start_mode": 1}),
            "iis_app_pool: start_mode is 1, expected 'OnDemand' or 'AlwaysRunning'",
        ),
        ((iis_app_pool, {"app_pool": "X", "rotate_password": True}), "rotate_password needs the password to write"),
        ((iis_site, {"site": "X", "path": 5}), "iis_site: path is 5, expected str | None"),
        ((iis_site, {"site": "X", "bindings": [None]}), "iis_site: bindings is of type list, expected"),
        ((iis_site, {"site": "X", "path": r"C:\new", "bindings": [WantedBinding("http", "80")]}), "port is wrong"),  # type: ignore[arg-type]
    ],
)
def test_an_argument_of_a_wrong_kind_fails_its_host_with_its_name(
    machine: IisMachine, operation: tuple[Any, dict[str, Any]], text: str
) -> None:
    for dry in (True, False):
        run = machine.run(operation, dry=dry)
        assert (run.writes, run.failed, text in run.text) == ([], True, True), run.text


def test_a_site_that_leaves_a_web_config_behind_is_planned_without_it_dry_and_applied(machine: IisMachine) -> None:
    machine.machine.write_file(r"C:\inetpub\wwwroot\web.config", WEB_CONFIG)
    moved: tuple[Any, dict[str, Any]] = (iis_site, {"site": "Default Web Site", "path": r"C:\new"})
    asked: tuple[Any, dict[str, Any]] = (iis_auth, {"site": "Default Web Site", "windows": True})
    dry = machine.run(moved, asked, dry=True)
    assert (dry.writes, dry.failed, "windows: false -> true" in dry.text) == ([], False, True), dry.text
    run = machine.run(moved, asked)
    assert (run.writes, run.failed) == (["New-Folder", "Edit-IisConfig", "Edit-IisConfig"], False), run.text
    assert machine.run(moved, asked).writes == []


def test_a_site_does_not_move_to_a_folder_with_a_web_config(machine: IisMachine) -> None:
    machine.machine.write_file(r"C:\new\web.config", WEB_CONFIG)
    for dry in (True, False):
        run = machine.run((iis_site, {"site": "Default Web Site", "path": r"C:\new"}), dry=dry)
        assert (run.writes, run.failed, r"C:\new\web.config, which the site would obey" in run.text) == ([], True, True)


def test_authentication_of_a_site_that_this_run_takes_away_is_refused_in_the_dry_run(machine: IisMachine) -> None:
    gone: tuple[Any, dict[str, Any]] = (iis_site, {"site": "Default Web Site", "present": False})
    run = machine.run(gone, (iis_auth, {"site": "Default WEB Site", "windows": True}), dry=True)
    assert (run.writes, run.failed, "takes site 'Default WEB Site' away" in run.text) == ([], True, True)
