"""iis_auth on the lab: dry, applied, again, spelled otherwise, refused, taken back. What is compared is tests/test_plans_iis.py's."""

from __future__ import annotations

from typing import Any, Final

import pytest

from operations.iis import iis_auth, iis_site
from tests.oplab import OpLab, Run, Step, fixtures, told

pytestmark = pytest.mark.slow

SITE: Final = "Default Web Site"
WHAT: Final = f"authentication of {SITE}/"
AT: Final = f"/configuration/location[@path='{SITE}']//authentication"
WANTED: Final[dict[str, Any]] = {
    "site": SITE,
    "anonymous": False,
    "windows": True,
    "providers": ["NTLM", "Negotiate"],
}
CHANGED: Final = told(
    WHAT, "anonymous: true -> false", "windows: false -> true", "providers: Negotiate, NTLM -> NTLM, Negotiate"
)


lab, quick = fixtures("mfa01")


def test_schemes_are_switched_once_in_one_commit_whatever_the_spelling_and_taken_back(lab: OpLab) -> None:
    start = lab.state()
    assert lab.run(iis_auth, dry=True, **WANTED) == Run((CHANGED,))
    assert lab.state() == start
    assert lab.run(iis_auth, **WANTED) == Run((CHANGED,), ("Edit-IisConfig",))
    assert lab.xpath(f"{AT}/anonymousAuthentication") == [{"enabled": "false"}]
    assert lab.xpath(f"{AT}/windowsAuthentication") == [{"enabled": "true"}]
    assert lab.xpath(f"{AT}/windowsAuthentication/providers/add") == [{"value": "NTLM"}, {"value": "Negotiate"}]
    assert lab.xpath(f"{AT}/basicAuthentication | {AT}/digestAuthentication") == []
    done = lab.state()
    other_spelling = WANTED | {"site": SITE.upper(), "path": "", "providers": ["ntlm", "NEGOTIATE"]}
    assert lab.deploy((iis_auth, WANTED), (iis_auth, other_spelling)) == Run()
    assert lab.state() == done
    back = WANTED | {"anonymous": True, "windows": False, "providers": ["Negotiate", "NTLM"]}
    shown = told(
        WHAT, "anonymous: false -> true", "windows: true -> false", "providers: NTLM, Negotiate -> Negotiate, NTLM"
    )
    assert lab.run(iis_auth, **back) == Run((shown,), ("Edit-IisConfig",))
    assert lab.run(iis_auth, dry=True, **back) == Run()


def test_what_another_administrator_did_meanwhile_is_not_written_over(lab: OpLab) -> None:
    def another() -> None:
        lab.edit_iis("<basicAuthentication />", '<basicAuthentication realm="theirs" />')

    refused = (
        f"Edit-IisConfig {lab.iis_config}: the file is (hash), expected (hash) [conflict]. "
        "It changed since it was read; this call wrote nothing. Run again."
    )
    run = lab.run(iis_auth, meanwhile=another, **WANTED)
    assert run == Run((CHANGED, refused), ("Edit-IisConfig",), failed=True)
    assert lab.xpath("/configuration/location") == []
    assert lab.xpath("//basicAuthentication") == [{"realm": "theirs"}]


def test_a_scheme_that_is_not_named_stays_as_it_is(quick: OpLab) -> None:
    run = quick.run(iis_auth, site=SITE, windows=True)
    assert run == Run((told(WHAT, "windows: false -> true"),), ("Edit-IisConfig",))
    assert quick.xpath(f"{AT}/*") == [{"enabled": "true"}]


def test_a_web_config_below_that_overrides_is_named_with_its_line_and_nothing_is_written(quick: OpLab) -> None:
    quick.edit_iis(
        'name="windowsAuthentication" overrideModeDefault="Deny"',
        'name="windowsAuthentication" overrideModeDefault="Allow"',
    )
    quick.machine().write_file(
        r"C:\inetpub\wwwroot\web.config",
        b"<configuration>\n<system.webServer><security><authentication>\n"
        b'<windowsAuthentication enabled="false" />\n'
        b"</authentication></security></system.webServer>\n</configuration>\n",
    )
    start = quick.state()
    text = (
        r"system.webServer/security/authentication/windowsAuthentication is set by C:\inetpub\wwwroot\web.config line 3, "
        "which counts more than applicationHost.config. Take it out there, or set it there."
    )
    refused = Run((f"{WHAT}: {text}",), failed=True)
    assert [quick.run(iis_auth, dry=dry, site=SITE, windows=True) for dry in (True, False)] == [refused, refused]
    assert quick.state() == start


def test_what_only_a_web_config_below_makes_as_wanted_is_stored_too_and_stays_without_that_file(quick: OpLab) -> None:
    for scheme in ("anonymousAuthentication", "windowsAuthentication"):
        quick.edit_iis(f'name="{scheme}" overrideModeDefault="Deny"', f'name="{scheme}" overrideModeDefault="Allow"')
    file, empty = r"C:\inetpub\wwwroot\web.config", b"<configuration />"
    quick.machine().write_file(
        file,
        b"<configuration>\n<system.webServer><security><authentication>\n"
        b'<anonymousAuthentication enabled="false" />\n<windowsAuthentication enabled="true" />\n'
        b"</authentication></security></system.webServer>\n</configuration>\n",
    )
    wanted: dict[str, Any] = {"site": SITE, "anonymous": False, "windows": True}
    shown = told(
        WHAT,
        f"anonymous as stored ({file} line 3 sets what counts): true -> false",
        f"windows as stored ({file} line 4 sets what counts): false -> true",
    )
    assert quick.run(iis_auth, dry=True, **wanted) == Run((shown,))
    assert quick.run(iis_auth, **wanted) == Run((shown,), ("Edit-IisConfig",))
    assert quick.run(iis_auth, **wanted) == Run()
    quick.machine().write_file(file, empty)
    assert quick.run(iis_auth, **wanted) == Run()
    assert quick.xpath(f"{AT}/*") == [{"enabled": "false"}, {"enabled": "true"}]


WITHOUT: Final = "WindowsAuthenticationModule"
NOT_INSTALLED: Final = (f'<add name="{WITHOUT}" image="%windir%\\System32\\inetsrv\\authsspi.dll" />', "")
REFUSALS: Final[dict[str, tuple[tuple[str, str] | None, dict[str, Any], str]]] = {
    "a module that is not installed": (
        NOT_INSTALLED,
        WANTED,
        f"windows needs {WITHOUT}, which is not installed (globalModules). Install Web-Windows-Auth, run again.",
    ),
    "a module that does not run there": (
        (f'<add name="{WITHOUT}" />', ""),
        WANTED,
        f"windows needs {WITHOUT}, which is installed but switched off there (modules). Switch it on first.",
    ),
    "both off in one step": (
        None,
        WANTED | {"windows": False},
        "anonymous and windows are not switched off in one step: nobody could log on. Switch one off.",
    ),
    "nobody could log on": (
        None,
        {"site": SITE, "anonymous": False},
        "no scheme would be left on: nobody could log on. Switch another one on first.",
    ),
    "no such application": (
        None,
        WANTED | {"path": "/app"},
        f"site '{SITE}' has no application or virtual directory '/app'; it has /.",
    ),
    "no such site": (
        None,
        WANTED | {"site": "nobody's"},
        'there is no site "nobody\'s". Create it before (iis_site), or name another one.',
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("edit", "wanted", "text"), REFUSALS.values(), ids=REFUSALS)
def test_what_would_lock_out_or_do_nothing_is_refused_in_the_dry_run_too(
    quick: OpLab, edit: tuple[str, str] | None, wanted: dict[str, Any], text: str
) -> None:
    if edit is not None:
        quick.edit_iis(*edit)
    start, what = quick.state(), f"authentication of {wanted['site']}{wanted.get('path', '/')}"
    refused = Run((f"{what}: {text}",), failed=True)
    assert [quick.run(iis_auth, dry=dry, **wanted) for dry in (True, False)] == [refused, refused]
    assert quick.state() == start


NEW: Final[Step] = (
    iis_site,
    {
        "site": "S",
        "path": r"C:\inetpub\s",
        "app_pool": "DefaultAppPool",
        "bindings": [{"protocol": "http", "port": 81}],
    },
)
LEFT: Final = (
    '<location path="s"><system.webServer><security><authentication><windowsAuthentication enabled="true"><providers>'
    '<clear /><add value="NTLM" /></providers></windowsAuthentication></authentication></security></system.webServer>'
    '</location><location path="s/app"><system.webServer><security><authentication>'
    '<anonymousAuthentication enabled="false" /></authentication></security></system.webServer></location>'
)


def test_what_an_earlier_site_of_the_name_left_counts_in_the_dry_run_as_in_the_run(lab: OpLab) -> None:
    lab.edit_iis("</configuration>", f"{LEFT}</configuration>")
    auth = (iis_auth, WANTED | {"site": "S"})
    dry = lab.deploy(NEW, auth, dry=True)
    diff = told("authentication of S/", "anonymous: true -> false", "providers: NTLM -> NTLM, Negotiate")
    assert dry.shown[1:] == (f"site S would be created, then: {diff}",)
    run = lab.deploy(NEW, auth)
    assert (run.shown, run.writes, run.failed) == (dry.shown, ("New-Folder", "Edit-IisConfig", "Edit-IisConfig"), False)
    assert lab.deploy(NEW, auth) == Run()


def test_a_check_alone_refuses_what_the_operation_would_refuse_and_writes_nothing_though_the_site_is_to_come(
    lab: OpLab,
) -> None:
    start, of_one_to_come = lab.state(), WANTED | {"site": "S", "check_only": True}
    assert [lab.run(iis_auth, dry=dry, **of_one_to_come) for dry in (True, False)] == [Run(), Run()]
    assert lab.state() == start
    lab.edit_iis(*NOT_INSTALLED)
    start = lab.state()
    text = f"authentication of S/: windows needs {WITHOUT}, which is not installed (globalModules). Install Web-Windows-Auth, run again."
    # Refused in prepare, it is not executed; executing without that, as -y does, is test_deploy.py's.
    assert lab.deploy((iis_auth, of_one_to_come), NEW) == Run((text,), failed=True)
    assert lab.state() == start


def test_a_module_that_an_earlier_site_of_the_name_switched_off_is_missed_in_the_dry_run(quick: OpLab) -> None:
    off = f'<location path="S"><system.webServer><modules><remove name="{WITHOUT}" /></modules></system.webServer></location>'
    quick.edit_iis("</configuration>", f"{off}</configuration>")
    text = f"windows needs {WITHOUT}, which is installed but switched off there (modules). Switch it on first."
    dry = quick.deploy(NEW, (iis_auth, WANTED | {"site": "S"}), dry=True)
    assert (dry.shown[1:], dry.failed) == ((f"authentication of S/: {text}",), True)


def test_a_site_that_an_earlier_operation_announced_is_shown_as_the_one_to_come(quick: OpLab) -> None:
    site, auth = NEW, (iis_auth, WANTED | {"site": "s"})
    dry = quick.deploy(site, auth, dry=True)
    assert dry.shown[1] == "site S would be created, then: " + CHANGED.replace(f"{SITE}/", "s/")
    run = quick.deploy(site, auth)
    assert (run.shown, run.writes, run.failed) == (dry.shown, ("New-Folder", "Edit-IisConfig", "Edit-IisConfig"), False)
    assert quick.deploy(site, auth) == Run()


def test_a_site_that_two_operations_make_and_take_away_again_is_not_there_for_a_third(quick: OpLab) -> None:
    away = (iis_site, {"site": "s", "present": False})
    dry = quick.deploy(NEW, away, (iis_auth, WANTED | {"site": "S"}), dry=True)
    said = "authentication of S/: an operation before this one takes site 'S' away. Leave one of the two out."
    assert (dry.shown[-1], dry.failed) == (said, True)


def test_what_is_not_there_is_said_before_what_would_stand_in_its_way(quick: OpLab) -> None:
    for site, path, text in (
        (SITE, "/nope", f"site {SITE!r} has no application or virtual directory '/nope'; it has /."),
        ("Nope", "/", "there is no site 'Nope'. Create it before (iis_site), or name another one."),
    ):
        for dry in (True, False):
            run = quick.run(iis_auth, dry=dry, site=site, path=path, anonymous=False)
            assert run == Run((f"authentication of {site}{path}: {text}",), failed=True)


def test_a_location_tag_that_hangs_on_a_condition_is_not_counted_for_its_site(quick: OpLab) -> None:
    tag = (iis_auth, {"site": SITE, "windows": True, "_if": lambda: False})
    away = (iis_site, {"site": SITE, "present": False})
    [alone] = quick.deploy(away, dry=True).shown
    assert quick.deploy(tag, away, dry=True).shown[1] == alone
    assert "location" in quick.deploy((iis_auth, {"site": SITE, "windows": True}), away, dry=True).shown[1]
