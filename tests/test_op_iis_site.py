"""iis_site on the lab: dry, applied, again, spelled otherwise, refused, cut, taken back. What is compared is tests/test_plans_iis_site.py's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import pytest

from lab.seed import LabCertificate, certificate
from operations.iis import iis_app_pool, iis_auth, iis_site
from tests.oplab import OpLab, Run, Step, fixtures, told

pytestmark = pytest.mark.slow

SITE: Final = "MIM MFASDK"
FOLDER: Final = r"C:\inetpub\wwwroot\mfasdk"
PRINT: Final = certificate("mfa01").thumbprint
RECORD: Final = (
    r"registry HKLM\SYSTEM\CurrentControlSet\Services\HTTP\Parameters\SslBindingInfo\0.0.0.0:9999\SslCertHash"
)
BINDINGS: Final = "//site/bindings/binding"
ADDED: Final = "//applicationPools/add[@name!='DefaultAppPool']"
HTTP: Final = {"protocol": "http", "bindingInformation": "*:80:"}
HTTPS: Final = {"protocol": "https", "bindingInformation": "*:9999:"}
WANTED: Final[dict[str, Any]] = {
    "site": SITE,
    "path": FOLDER,
    "app_pool": "DefaultAppPool",
    "bindings": [{"protocol": "https", "port": 9999, "thumbprint": PRINT}],
}
MADE: Final = told(
    f"site {SITE}",
    f"folder: (absent) -> {FOLDER}",
    "site: (absent) -> MIM MFASDK",
    "id: (absent) -> 2",
    f"path: (absent) -> {FOLDER}",
    "app_pool: (absent) -> DefaultAppPool",
    "binding: (absent) -> https *:9999:",
    f"certificate (https *:9999:): (absent) -> {PRINT}",
)
ALL_WRITES: Final = ("New-Folder", "Edit-IisConfig", "Set-SslBinding")


lab, quick = fixtures("mfa01")


def binding(**other: Any) -> dict[str, Any]:
    return WANTED | {"bindings": [{"protocol": "https", "port": 9999, "thumbprint": PRINT} | other]}


def test_a_site_is_made_with_its_folder_and_certificate_once_whatever_its_spelling_and_taken_back(lab: OpLab) -> None:
    start = lab.state()
    assert lab.run(iis_site, dry=True, **WANTED) == Run((MADE,))
    assert lab.state() == start
    assert lab.run(iis_site, **WANTED) == Run((MADE,), ALL_WRITES)
    assert lab.xpath(BINDINGS) == [HTTP, HTTPS]
    assert lab.xpath("//site[@id=2]//virtualDirectory") == [{"path": "/", "physicalPath": FOLDER}]
    done = lab.state()
    new = {name: value for name, value in done.items() if name not in start and not name.startswith("(")}
    assert {name: value for name, value in new.items() if not name.startswith("registry")} == {
        f"folder {FOLDER}": "",
        "iis site MIM MFASDK": "Started",
    }
    assert new[RECORD].upper() == PRINT
    other_spelling = {
        "site": "mim mfasdk",
        "path": "c:/inetpub/WWWROOT/mfasdk/",
        "app_pool": "defaultapppool",
        "bindings": [
            {"protocol": "https", "port": 9999, "thumbprint": f"\u200e {PRINT[:2]} {PRINT[2:]}".lower(), "store": "MY"}
        ],
    }
    assert lab.deploy((iis_site, WANTED), (iis_site, other_spelling)) == Run()
    assert lab.state() == done
    gone = lab.run(iis_site, site="mim mfasdk", present=False)
    assert gone == Run((told("site mim mfasdk", "site: MIM MFASDK -> (absent)"),), ("Edit-IisConfig",))
    assert lab.xpath(BINDINGS) == [HTTP]
    assert f"folder {FOLDER}" in lab.state()


def test_a_removed_site_takes_every_location_tag_at_or_below_it_along_also_where_it_is_gone_already(lab: OpLab) -> None:
    own = '<location path="default web site" /><location path="Default Web Site/app/sub" />'
    others = '<location path="Default Web Site 2" /><location path="" />'
    lab.edit_iis("</configuration>", f"{own}{others}</configuration>")
    name = "Default Web Site"
    tags = ("location: default web site -> (absent)", "location: Default Web Site/app/sub -> (absent)")
    shown = told(f"site {name}", f"site: {name} -> (absent)", *tags)
    assert lab.run(iis_site, site=name, present=False, dry=True) == Run((shown,))
    assert lab.run(iis_site, site=name, present=False) == Run((shown,), ("Edit-IisConfig",))
    assert (lab.xpath(BINDINGS), lab.xpath("//location")) == ([], [{"path": "Default Web Site 2"}, {"path": ""}])
    lab.edit_iis('<location path="" />', f"{own}")
    left = told(f"site {name}", *tags)
    assert lab.run(iis_site, site=name, present=False) == Run((left,), ("Edit-IisConfig",))
    assert lab.xpath("//location") == [{"path": "Default Web Site 2"}]
    assert lab.run(iis_site, site=name, present=False) == Run()


def test_names_that_windows_holds_apart_are_two_sites_and_two_pools(lab: OpLab) -> None:
    def steps(*names: str) -> list[Step]:
        pools: list[Step] = [(iis_app_pool, {"app_pool": name}) for name in names]
        return pools + [
            (
                iis_site,
                {
                    "site": name,
                    "app_pool": name,
                    "path": rf"C:\{port}",
                    "bindings": [{"protocol": "http", "port": port}],
                },
            )
            for port, name in enumerate(names, start=81)
        ]

    assert not lab.deploy(*steps("straße", "strasse")).failed
    assert lab.xpath("//site[@id>1]") == [{"name": "straße", "id": "2"}, {"name": "strasse", "id": "3"}]
    assert lab.xpath(ADDED) == [{"name": "straße"}, {"name": "strasse"}]
    assert lab.deploy(*steps("STRAßE", "STRASSE")) == Run()
    lab.run(iis_site, site="strasse", present=False)
    lab.run(iis_app_pool, app_pool="strasse", present=False)
    assert lab.xpath("//site[@id>1]") == [{"name": "straße", "id": "2"}]
    assert lab.xpath(ADDED) == [{"name": "straße"}]
    assert lab.run(iis_app_pool, app_pool="\u017ftra\u00dfe").writes == ("Edit-IisConfig",)
    assert lab.xpath(ADDED) == [{"name": "straße"}, {"name": "\u017ftra\u00dfe"}]


def test_what_another_administrator_did_meanwhile_is_not_written_over(lab: OpLab) -> None:
    def another() -> None:
        lab.edit_iis('bindingInformation="*:80:"', 'bindingInformation="*:8080:"')

    run = lab.run(iis_site, meanwhile=another, **WANTED)
    refused = (
        f"Edit-IisConfig {lab.iis_config}: the file is (hash), expected (hash) [conflict]. "
        "It changed since it was read; this call wrote nothing. Run again."
    )
    assert run == Run((MADE, refused), ("New-Folder", "Edit-IisConfig"), failed=True)
    assert lab.xpath(BINDINGS) == [HTTP | {"bindingInformation": "*:8080:"}]
    assert RECORD not in lab.state()
    assert lab.run(iis_site, **WANTED).writes == ("Edit-IisConfig", "Set-SslBinding")  # the folder is there by now


def test_a_run_that_was_cut_before_the_certificate_is_mended_by_the_next(lab: OpLab) -> None:
    lab.run(iis_site, **WANTED | {"bindings": [{"protocol": "https", "port": 9999}]})
    assert RECORD not in lab.state()
    run = lab.run(iis_site, **WANTED)
    shown = told(f"site {SITE}", f"certificate (https *:9999:): (absent) -> {PRINT}")
    assert run == Run((shown,), ("Set-SslBinding",))
    assert lab.state()[RECORD].upper() == PRINT


@pytest.mark.slow
def test_a_certificate_of_http_sys_that_changed_meanwhile_is_left_alone(lab: OpLab) -> None:
    lab.run(iis_site, **WANTED)
    newer, theirs = (certificate("mfa01", not_after=datetime(year, 1, 1, tzinfo=UTC)) for year in (2048, 2047))
    machine = lab.machine()
    for one in (newer, theirs):
        machine.add_certificate(one.pfx, one.password)
    key = RECORD.removeprefix("registry ").rpartition("\\")[0]

    def another() -> None:
        machine.set_registry(key, dict(machine.registry(key)) | {"SslCertHash": bytes.fromhex(theirs.thumbprint)})

    run = lab.run(iis_site, meanwhile=another, **binding(thumbprint=newer.thumbprint))
    planned = told(f"site {SITE}", f"certificate (https *:9999:): {PRINT} -> {newer.thumbprint}")
    refused = (
        f"Set-SslBinding 0.0.0.0:9999: the record's certificate is {theirs.thumbprint}, expected {PRINT} [conflict]. "
        "It changed since it was read; this call wrote nothing. Run again."
    )
    assert run == Run((planned, refused), ("Set-SslBinding",), failed=True)
    assert lab.state()[RECORD].upper() == theirs.thumbprint


@pytest.mark.slow
def test_other_bindings_and_flags_of_the_site_stay_as_they_are(quick: OpLab) -> None:
    quick.run(iis_site, **WANTED)
    mine = '<binding protocol="https" bindingInformation="*:9999:" />'
    theirs = '<binding protocol="http" bindingInformation="*:81:old" />'
    quick.edit_iis(mine, f'{theirs}{mine.replace(" />", """ sslFlags="32" />""")}')
    run = quick.run(iis_site, site=SITE, bindings=[{"protocol": "http", "port": 82, "host": "new.contoso.com"}])
    assert run == Run((told(f"site {SITE}", "binding: (absent) -> http *:82:new.contoso.com"),), ("Edit-IisConfig",))
    assert quick.xpath("//site[@id=2]/bindings/binding") == [
        {"protocol": "http", "bindingInformation": "*:81:old"},
        HTTPS | {"sslFlags": "32"},
        {"protocol": "http", "bindingInformation": "*:82:new.contoso.com"},
    ]


def test_a_site_in_a_pool_that_an_earlier_operation_announced_is_shown_in_full_and_then_made_so(quick: OpLab) -> None:
    pool = (iis_app_pool, {"app_pool": "P"})
    site = (iis_site, WANTED | {"app_pool": "p"})
    made = MADE.replace("DefaultAppPool", "p")
    dry = quick.deploy(pool, site, dry=True)
    first = told("application pool P", "app_pool: (absent) -> P")
    assert dry == Run((first, f"application pool P would be created, then: {made}"))
    run = quick.deploy(pool, site)
    assert (run.writes, run.failed) == (("Edit-IisConfig", *ALL_WRITES), False)
    assert quick.deploy(pool, site) == Run()


def test_a_new_site_does_not_take_over_a_web_config_that_lies_in_its_folder_and_a_site_keeps_its_own(
    lab: OpLab,
) -> None:
    lab.machine().write_file(rf"{FOLDER}\web.config", b"<configuration />")
    start = lab.state()
    wanted = WANTED | {"path": FOLDER.lower()}
    text = (
        rf"site {SITE}: path {FOLDER.lower()} holds {FOLDER.lower()}\web.config, which the site would obey from then on. "
        "Move it away, or name another path."
    )
    assert [lab.run(iis_site, dry=dry, **wanted) for dry in (True, False)] == [Run((text,), failed=True)] * 2
    assert lab.state() == start
    lab.machine().remove_file(rf"{FOLDER}\web.config")
    assert lab.run(iis_site, **WANTED).writes == ALL_WRITES[1:]
    lab.machine().write_file(rf"{FOLDER}\web.config", b"<configuration />")
    assert lab.run(iis_site, **WANTED) == Run()


def new(site: str, port: int, **other: Any) -> Step:
    bindings = [{"protocol": "http", "port": port}]
    return iis_site, {"site": site, "path": rf"C:\{site}", "bindings": bindings} | other


def test_the_dry_run_numbers_two_new_sites_as_the_run_does(lab: OpLab) -> None:
    steps = (new("A", 81), new("B", 82, path="c:/a/b"))
    dry = lab.deploy(*steps, dry=True)
    assert [line.splitlines()[1].strip() for line in dry.shown] == [
        r"folder: (absent) -> C:\A",
        r"folder: (absent) -> c:\a\b",
    ]
    assert [line.splitlines()[3].strip() for line in dry.shown] == ["id: (absent) -> 2", "id: (absent) -> 3"]
    run = lab.deploy(*steps)
    assert (run.shown, run.failed) == (dry.shown, False)
    assert lab.xpath("//site[@id>1]") == [{"name": "A", "id": "2"}, {"name": "B", "id": "3"}]
    assert lab.deploy(*steps) == Run()


def test_a_binding_that_an_earlier_operation_announced_is_refused_before_anything_is_written(quick: OpLab) -> None:
    text = (
        "site B: http *:81:: site '{}' has this binding (*:81:), IIS starts only one of the two. "
        "Name another port, address or host, or remove it there."
    )
    added = (iis_site, {"site": "Default Web Site", "bindings": [{"protocol": "http", "port": 81}]})
    start = quick.state()
    for first, name in ((new("A", 81), "A"), (added, "Default Web Site")):
        for dry in (True, False):
            run = quick.deploy(first, new("B", 81), dry=dry)
            assert (run.shown[1:], run.writes, run.failed) == ((text.format(name),), (), True)
    assert quick.state() == start


def test_what_an_earlier_operation_takes_away_is_free_in_the_dry_run_too(quick: OpLab) -> None:
    steps = ((iis_site, {"site": "default web site", "present": False}), new("B", 80))
    dry = quick.deploy(*steps, dry=True)
    assert dry.failed is False
    run = quick.deploy(*steps)
    assert (run.shown, run.failed) == (dry.shown, False)
    assert quick.xpath("//site") == [{"name": "B", "id": "1"}]


def test_a_location_tag_that_an_earlier_operation_writes_goes_with_its_site_in_the_dry_run_too(lab: OpLab) -> None:
    on = (iis_auth, {"site": "default web site", "windows": True})
    gone = (iis_site, {"site": "DEFAULT Web Site", "present": False})
    dry = lab.deploy(on, gone, dry=True)
    assert "location: Default Web Site -> (absent)" in dry.shown[1]
    assert lab.deploy(on, gone) == Run(dry.shown, ("Edit-IisConfig", "Edit-IisConfig"))


def test_a_folder_that_an_earlier_operation_makes_is_there_for_a_later_one(quick: OpLab) -> None:
    steps = (new("A", 81, path=r"C:\shared\deep"), new("B", 82, path="c:/SHARED"))
    dry = quick.deploy(*steps, dry=True)
    assert "folder" not in dry.shown[1]
    assert quick.deploy(*steps) == Run(dry.shown, ("New-Folder", "Edit-IisConfig", "Edit-IisConfig"))


def test_a_certificate_that_an_earlier_operation_announced_for_the_endpoint_is_not_changed_by_a_later_one(
    quick: OpLab,
) -> None:
    other = stored(quick, certificate("mfa01", names=("other.contoso.com",)))
    first = [{"protocol": "https", "port": 9999, "host": "a.contoso.com", "thumbprint": PRINT}]
    second = [{"protocol": "https", "port": 9999, "host": "b.contoso.com", "thumbprint": other}]
    start = quick.state()
    steps = (new("A", 0, bindings=first), new("B", 0, bindings=second))
    text = (
        f"site B: https *:9999:b.contoso.com would share one certificate with A https *:9999:a.contoso.com, which now has {PRINT}. "
        "Use SNI (sni=True) or another port."
    )
    for dry in (True, False):
        run = quick.deploy(*steps, dry=dry)
        assert (run.shown[1:], run.writes, run.failed) == ((text,), (), True)
    assert quick.state() == start


def test_a_pool_that_nobody_makes_fails_the_dry_run_and_is_named(quick: OpLab) -> None:
    start = quick.state()
    wanted = WANTED | {"app_pool": "nobody's"}
    text = 'site MIM MFASDK: there is no application pool "nobody\'s". Create it before (iis_app_pool), or name another one.'
    assert [quick.run(iis_site, dry=dry, **wanted) for dry in (True, False)] == [Run((text,), failed=True)] * 2
    assert quick.state() == start


def stored(quick: OpLab, made: LabCertificate, *, private_key: bool = True) -> str:
    return quick.machine().add_certificate(made.pfx, made.password, private_key=private_key)


@pytest.mark.slow
def test_a_certificate_that_cannot_serve_is_found_before_anything_is_written(quick: OpLab) -> None:
    expired = stored(quick, certificate("mfa01", not_after=datetime(2024, 1, 1, tzinfo=UTC)))
    early = stored(quick, certificate("mfa01", not_before=datetime(2048, 1, 1, tzinfo=UTC)))
    keyless = stored(quick, certificate("mfa01", names=("other.contoso.com",)), private_key=False)
    start, said = quick.state(), {}
    for name, thumbprint in {"absent": "A" * 40, "expired": expired, "early": early, "keyless": keyless}.items():
        runs = [quick.run(iis_site, dry=dry, **binding(thumbprint=thumbprint)) for dry in (True, False)]
        assert runs[0] == runs[1]
        assert (runs[0].failed, runs[0].writes, len(runs[0].shown)) == (True, (), 1)
        said[name] = runs[0].shown[0].replace(thumbprint, "THUMBPRINT").partition(f"site {SITE}: https *:9999:: ")[2]
    assert quick.state() == start
    assert said == {
        "absent": "certificate THUMBPRINT is not in LocalMachine\\My. Import it there with its private key, or name another thumbprint.",
        "expired": "certificate THUMBPRINT (CN=mfa01.contoso.com) expired on 2024-01-01 00:00 UTC. Name a new one.",
        "early": "certificate THUMBPRINT (CN=mfa01.contoso.com) is not valid before 2048-01-01 00:00 UTC.",
        "keyless": "certificate THUMBPRINT (CN=other.contoso.com) has no private key in LocalMachine\\My. Import the PFX, not the CER.",
    }


@pytest.mark.slow
def test_a_check_alone_refuses_what_the_operation_would_refuse_and_writes_nothing_though_all_of_it_is_to_come(
    quick: OpLab,
) -> None:
    start, new_pool = quick.state(), WANTED | {"app_pool": "to come"}
    assert [quick.run(iis_site, dry=dry, check_only=True, **new_pool) for dry in (True, False)] == [Run(), Run()]
    absent = (
        f"site {SITE}: https *:9999:: certificate {'A' * 40} is not in LocalMachine\\My. "
        "Import it there with its private key, or name another thumbprint."
    )
    wanted = binding(thumbprint="A" * 40)
    runs = [quick.run(iis_site, dry=dry, check_only=True, **wanted) for dry in (True, False)]
    assert runs == [Run((absent,), failed=True)] * 2
    taken = WANTED | {"site": "another", "bindings": [{"protocol": "http", "port": 80}]}
    text = (
        "site another: http *:80:: site 'Default Web Site' has this binding (*:80:), IIS starts only one of the two. "
        "Name another port, address or host, or remove it there."
    )
    runs = [quick.run(iis_site, dry=dry, check_only=True, **taken) for dry in (True, False)]
    assert runs == [Run((text,), failed=True)] * 2
    assert quick.state() == start
