"""iis_app_pool on the lab: dry, applied, again, spelled otherwise, refused, taken back. What is compared is tests/test_plans_iis.py's."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from lab.engine import Service
from model.secret import Secret
from operations.converge import IF
from operations.iis import iis_app_pool, iis_site
from operations.windows import windows_service
from tests.oplab import OpLab, Run, Step, fixtures, told

pytestmark = pytest.mark.slow

POOL: Final = "MIM MFASDK"
WHAT: Final = f"application pool {POOL}"
ADD: Final = "//applicationPools/add"
WANTED: Final[dict[str, Any]] = {
    "app_pool": POOL,
    "runtime_version": "v4.0",
    "pipeline_mode": "Classic",
    "start_mode": "AlwaysRunning",
    "running": True,
}
DEFAULT: Final = {"name": "DefaultAppPool", "managedRuntimeVersion": "v4.0"}


lab, quick = fixtures("mfa01")


def test_a_pool_is_made_once_whatever_its_spelling_and_taken_back(lab: OpLab) -> None:
    start = lab.state()
    made = told(
        WHAT,
        "app_pool: (absent) -> MIM MFASDK",
        "runtime_version: (absent) -> v4.0",
        "pipeline_mode: (absent) -> Classic",
        "start_mode: (absent) -> AlwaysRunning",
        "state: (absent) -> Started",
    )
    assert lab.run(iis_app_pool, dry=True, **WANTED) == Run(shown=(made,))
    assert lab.state() == start
    assert lab.run(iis_app_pool, **WANTED) == Run(shown=(made,), writes=("Edit-IisConfig", "Set-IisState"))
    stored = {
        "name": POOL,
        "managedRuntimeVersion": "v4.0",
        "managedPipelineMode": "Classic",
        "startMode": "AlwaysRunning",
    }
    assert lab.xpath(ADD) == [DEFAULT, stored]
    done = lab.state()
    other_spelling = WANTED | {"app_pool": "mim mfasdk", "runtime_version": "V4.0"}
    assert lab.deploy((iis_app_pool, WANTED), (iis_app_pool, other_spelling)) == Run()
    assert lab.state() == done
    gone = lab.run(iis_app_pool, app_pool="mim mfasdk", present=False)
    assert gone == Run((told("application pool mim mfasdk", "app_pool: MIM MFASDK -> (absent)"),), ("Edit-IisConfig",))
    assert lab.xpath(ADD) == [DEFAULT]


def test_what_another_administrator_did_meanwhile_is_not_written_over(lab: OpLab) -> None:
    def another() -> None:
        lab.edit_iis('<add name="DefaultAppPool"', '<add name="Theirs" /><add name="DefaultAppPool"')

    run = lab.run(iis_app_pool, app_pool=POOL, meanwhile=another)
    refused = (
        f"Edit-IisConfig {lab.iis_config}: the file is (hash), expected (hash) [conflict]. "
        "It changed since it was read; this call wrote nothing. Run again."
    )
    assert run == Run((told(WHAT, "app_pool: (absent) -> MIM MFASDK"), refused), ("Edit-IisConfig",), failed=True)
    assert lab.xpath(ADD) == [{"name": "Theirs"}, DEFAULT]


@pytest.mark.slow
def test_only_what_differs_is_written_and_a_setting_that_is_not_named_stays(quick: OpLab) -> None:
    quick.run(iis_app_pool, **WANTED)
    run = quick.run(iis_app_pool, app_pool=POOL, start_mode="OnDemand")
    assert run == Run((told(WHAT, "start_mode: AlwaysRunning -> OnDemand"),), ("Edit-IisConfig",))
    run = quick.run(iis_app_pool, app_pool=POOL, running=False)
    assert run == Run((told(WHAT, "state: Started -> Stopped"),), ("Set-IisState",))
    assert quick.state()[f"iis pool {POOL}"] == "Stopped"
    assert quick.xpath(ADD)[1]["managedPipelineMode"] == "Classic"


ACCOUNT: Final[dict[str, Any]] = {
    "app_pool": POOL,
    "identity": "SpecificUser",
    "user": r"CONTOSO\sdk",
    "password": Secret("p w<&'\"`$%ü\\"),
}


def test_a_password_is_written_when_none_is_stored_and_when_the_user_changes_and_when_asked(lab: OpLab) -> None:
    shown = told(
        WHAT,
        "app_pool: (absent) -> MIM MFASDK",
        "identity: (absent) -> SpecificUser",
        r"user: (absent) -> CONTOSO\sdk",
        "password: (secret) -> (secret) changed",
    )
    assert lab.run(iis_app_pool, **ACCOUNT) == Run((shown,), ("Edit-IisConfig",))
    another = ACCOUNT | {"password": Secret("another")}
    assert lab.run(iis_app_pool, **another) == Run()  # what is stored is never read back, so it cannot be compared
    rotated = lab.run(iis_app_pool, **another, rotate_password=True)
    assert rotated == Run((told(WHAT, "password: (secret) -> (secret) changed"),), ("Edit-IisConfig",))
    moved = lab.run(iis_app_pool, **another | {"user": "sdk@contoso.com"})
    user = r"user: CONTOSO\sdk -> sdk@contoso.com"
    assert moved == Run((told(WHAT, user, "password: (secret) -> (secret) changed"),), ("Edit-IisConfig",))


@pytest.mark.slow
def test_a_pool_that_a_site_is_in_is_not_removed(quick: OpLab) -> None:
    quick.run(iis_app_pool, app_pool=POOL)
    quick.run(iis_site, site="S", path=r"C:\inetpub\s", app_pool=POOL, bindings=[{"protocol": "http", "port": 81}])
    start = quick.state()
    refused = Run((f"{WHAT}: the pool runs S/. Give these another pool first.",), failed=True)
    assert quick.run(iis_app_pool, app_pool=POOL, present=False, dry=True) == refused
    assert quick.run(iis_app_pool, app_pool=POOL, present=False) == refused
    assert quick.state() == start


REFUSALS: Final = {
    "a user without an identity": (
        {"user": "x"},
        "identity is not named, user and password are for SpecificUser only.",
    ),
    "an empty password": (
        ACCOUNT | {"password": Secret("")},
        "the password is empty. Leave it out for a managed account.",
    ),
    "an identity without a user": (
        {"identity": "SpecificUser"},
        "identity SpecificUser needs a user. Give user, and password unless it is a managed account.",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "text"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_is_refused_in_the_dry_run_too(quick: OpLab, arguments: dict[str, Any], text: str) -> None:
    start, wanted = quick.state(), {"app_pool": POOL, **arguments}
    refused = Run((f"{WHAT}: {text}",), failed=True)
    assert [quick.run(iis_app_pool, dry=dry, **wanted) for dry in (True, False)] == [refused, refused]
    assert quick.state() == start


def test_a_host_without_iis_fails_alone_with_a_line_that_says_so(tmp_path: Path) -> None:
    with OpLab(tmp_path, "python", "mim01") as lab:
        start = lab.state()
        run = lab.run(iis_app_pool, app_pool=POOL, dry=True)
        assert (run.writes, run.failed, "not-installed" in run.shown[0]) == ((), True, True)
        assert lab.run(iis_app_pool, app_pool=POOL).failed
        assert lab.state() == start


def test_a_pool_that_an_earlier_operation_takes_its_site_out_of_is_removed_in_one_run(quick: OpLab) -> None:
    old, new = "DefaultAppPool", {"app_pool": "New"}
    steps: tuple[Step, ...] = (
        (iis_app_pool, new),
        (iis_site, {"site": "default web site", **new}),
        (iis_app_pool, {"app_pool": old.lower(), "present": False}),
    )
    dry = quick.deploy(*steps, dry=True)
    assert dry.shown[2:] == (told("application pool defaultapppool", f"app_pool: {old} -> (absent)"),)
    assert quick.deploy(*steps) == Run(dry.shown, ("Edit-IisConfig",) * 3)
    assert quick.xpath(ADD) == [{"name": "New"}]
    assert quick.deploy(*steps) == Run()


def test_a_pool_that_an_earlier_operation_puts_a_site_in_is_not_removed(quick: OpLab) -> None:
    quick.run(iis_app_pool, app_pool="Old")
    start = quick.state()
    site: Step = (iis_site, {"site": "Default Web Site", "app_pool": "Old"})
    away: Step = (iis_app_pool, {"app_pool": "OLD", "present": False})
    text = "application pool OLD: the pool runs Default Web Site/. Give these another pool first."
    gone = "site Default Web Site: an operation before this one takes application pool 'Old' away. Leave one of the two out."
    for steps, said in (((site, away), text), ((away, site), gone)):
        for dry in (True, False):
            run = quick.deploy(*steps, dry=dry)
            assert (run.shown[1:], run.writes, run.failed) == ((said,), (), True)
    assert quick.state() == start


def test_a_pool_that_two_operations_make_and_take_away_again_is_not_there_for_a_third(quick: OpLab) -> None:
    made: Step = (iis_app_pool, {"app_pool": "New"})
    away: Step = (iis_app_pool, {"app_pool": "NEW", "present": False})
    steps = (made, away, (iis_site, {"site": "Default Web Site", "app_pool": "New"}))
    said = "site Default Web Site: an operation before this one takes application pool 'New' away. Leave one of the two out."
    for dry in (True, False):
        run = quick.deploy(*steps, dry=dry)
        assert (run.shown[-1], run.writes, run.failed) == (said, (), True)


def test_a_pool_that_hangs_on_a_condition_is_not_counted_for_its_site(quick: OpLab) -> None:
    made: Step = (iis_app_pool, {"app_pool": "New", "_if": lambda: True})
    site: Step = (iis_site, {"site": "Default Web Site", "app_pool": "new"})
    start, dry = quick.state(), quick.deploy(made, site, dry=True)
    assert dry.shown[0].startswith("application pool New: 1 change, if its _if holds")
    assert (dry.shown[1].endswith(f"({IF})"), dry.failed) == (True, True)
    assert quick.state() == start


def test_nothing_is_made_while_iis_does_not_run(quick: OpLab) -> None:
    """A pool that is written then could not be seen to start: the run would end half way."""
    quick.machine().add_service(Service("W3SVC", r"C:\Windows\System32\inetsrv\w3svc.exe", running=False))
    start = quick.state()
    site: dict[str, Any] = {"site": "New", "path": r"C:\new", "bindings": [{"protocol": "http", "port": 81}]}
    down = "service W3SVC is stopped, and without it IIS starts nothing: start it, run again"
    steps: tuple[tuple[str, Step], ...] = (
        ("application pool New", (iis_app_pool, {"app_pool": "New"})),
        ("site New", (iis_site, site)),
        ("site New", (iis_site, {**site, "check_only": True})),
    )
    for what, step in steps:
        for dry in (True, False):
            assert quick.deploy(step, dry=dry) == Run((f"{what}: {down}",), failed=True)
    assert quick.state() == start


def test_a_pool_is_made_in_the_run_that_starts_iis(quick: OpLab) -> None:
    quick.machine().add_service(Service("W3SVC", r"C:\Windows\System32\inetsrv\w3svc.exe", running=False))
    steps: tuple[Step, ...] = ((windows_service, {"service": "w3svc"}), (iis_app_pool, {"app_pool": "New"}))
    dry = quick.deploy(*steps, dry=True)
    assert dry.failed is False
    assert quick.deploy(*steps) == Run(dry.shown, ("Set-ServiceState", "Edit-IisConfig"))
    assert quick.deploy(*steps) == Run()
