"""iis_module on the lab: it fails the host that lacks a module before anything is written on it, with -y too, and never writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest

from lab.control import Role
from lab.engine import Machine
from lab.iis import CONFIG
from lab.seed import seed
from operations.iis import iis_app_pool, iis_module
from tests.clilab import CliLab
from tests.oplab import OpLab, Run, fixtures

pytestmark = pytest.mark.slow

MODULE: Final = "WindowsAuthenticationModule"
IMAGE: Final = f'<add name="{MODULE}" image="%windir%\\System32\\inetsrv\\authsspi.dll" />'
RUNS: Final = f'<add name="{MODULE}" />'
SITE: Final = "MIM MFASDK"
WANTED: Final = {"module": MODULE, "site": SITE}
ABSENT: Final = (
    f"site {SITE} needs {MODULE}, which is not installed (globalModules). Install Web-Windows-Auth, run again."
)
OFF: Final = f"site {SITE} needs {MODULE}, which is installed but switched off there (modules). Switch it on first."


lab, quick = fixtures("mfa01")


def both(lab: OpLab, **wanted: Any) -> list[Run]:
    return [lab.run(iis_module, dry=dry, **wanted) for dry in (True, False)]


def test_a_module_that_runs_is_fine_and_one_that_is_switched_off_is_refused_also_for_a_site_to_come(lab: OpLab) -> None:
    assert lab.deploy((iis_module, WANTED), (iis_module, WANTED | {"site": "default web site"})) == Run()
    lab.edit_iis(RUNS, "")
    start = lab.state()
    assert both(lab, **WANTED) == [Run((OFF,), failed=True)] * 2
    assert lab.state() == start


def test_what_an_earlier_site_of_the_name_left_switched_off_counts(quick: OpLab) -> None:
    left = f'<location path="{SITE}"><system.webServer><modules><remove name="{MODULE}" /></modules></system.webServer></location>'
    quick.edit_iis("</configuration>", f"{left}</configuration>")
    assert both(quick, **WANTED) == [Run((OFF,), failed=True)] * 2
    assert quick.deploy((iis_module, WANTED | {"site": "Another"})) == Run()


def test_what_follows_on_a_host_without_it_is_neither_planned_nor_written(quick: OpLab) -> None:
    quick.edit_iis(IMAGE, "")
    run = quick.deploy((iis_module, WANTED), (iis_app_pool, {"app_pool": SITE}), dry=True)
    assert run == Run((ABSENT,), failed=True)


def test_a_module_that_nobody_knows_is_refused_without_the_name_of_a_feature(quick: OpLab) -> None:
    text = f"site {SITE} needs Contoso, which is not installed (globalModules). Install what brings it, run again."
    assert quick.run(iis_module, module="Contoso", site=SITE, dry=True) == Run((text,), failed=True)


def without_the_module(machine: Machine, role: Role, build: str | None) -> None:
    seed(machine, role)
    if role == "mfa":
        data = machine.read_file(CONFIG)
        assert data is not None
        machine.write_file(CONFIG, data.replace(IMAGE.encode(), b""))


def test_the_job_without_asking_writes_nothing_on_a_host_that_lacks_windows_authentication(tmp_path: Path) -> None:
    with CliLab(tmp_path, hosts={"mfa01": "mfa"}, seed=without_the_module) as lab:
        start = lab.states()
        for options in (("--dry",), ("-y",)):
            done = lab.pyinfra(*options)
            assert (done.code, done.of("mfa01").count(ABSENT), lab.states()) == (1, 1, start)
