"""
Parts of a deploy across hosts, by the command line.

What one host refused is known to the others, in the dry run as in the run; nobody waits for ever; what fails one host fails it alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from lab.control import HOSTS
from lab.seed import MFA_SETTINGS
from tests.clilab import CliLab

pytestmark = pytest.mark.slow

FIM_KEY: Final = r"HKLM\SYSTEM\CurrentControlSet\Services\FIMService"

DEPLOY: Final = r"""
from pyinfra import host

from operations.hosts import failed_in
from operations.order import section
from operations.xml import xml_elements

if {everybody} or host.name != "dc01":
    section(name="first")
if host.name == "mfa01":
    xml_elements(name="refused", file=r"C:\absent.xml", set={{"a": "1"}}, backup=False)
section(name="second", unless=lambda: "left, since mfa01 failed" if host.name == "mim01" and failed_in("mfa_servers") else "")
if host.name == "mim01":
    xml_elements(name="changed", file={settings!r}, set={{"Username": "x@contoso.com"}}, backup=False)
"""
BAD: Final = """
from pyinfra import host

from operations.windows import windows_service

if host.name == "mim01":
    windows_service(name="a fraction of a second", service="FIMService", restart=True, timeout_s=1.5)
if host.name == "mfa01":
    windows_service(name="stopped", service="W3SVC", running=False)
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CliLab]:
    with CliLab(tmp_path) as lab:
        yield lab


def text_of(*, everybody: bool = True) -> str:
    return DEPLOY.format(everybody=everybody, settings=MFA_SETTINGS)


def deploy(lab: CliLab, text: str) -> str:
    file = lab.folder / "deploy_order.py"
    file.write_text(text, encoding="utf-8")
    return str(file)


@pytest.mark.parametrize("option", ["--dry", "-y"])
def test_what_a_host_refused_is_known_where_the_next_part_begins(lab: CliLab, option: str) -> None:
    done = lab.pyinfra(option, "--diff", deploy=deploy(lab, text_of()))
    said = done.of("mim01")
    assert (done.code, said.count("left, since mfa01 failed"), [line for line in said if "1 change" in line]) == (
        1,
        1,
        [],
    )


@pytest.mark.parametrize(
    ("everybody", "options"),
    [(True, ("--dry", "--parallel", "1")), (False, ("--dry",))],
    ids=["no room", "not for all"],
)
def test_nobody_waits_for_a_host_that_does_not_come_and_says_so(
    lab: CliLab, options: tuple[str, ...], *, everybody: bool
) -> None:
    done = lab.pyinfra(*options, deploy=deploy(lab, text_of(everybody=everybody)))
    assert done.code == 1
    assert any(
        "what is refused there is not known here. Give --parallel at least the number of hosts" in line
        for line in done.lines
    )


def test_a_call_that_cannot_be_made_fails_its_host_alone(lab: CliLab) -> None:
    for option in ("--dry", "-y"):
        done = lab.pyinfra(option, deploy=deploy(lab, BAD))
        (said,) = (line for line in done.of("mim01") if "timeout_s" in line)
        assert (done.code, "Traceback" in done.text) == (1, False)
        assert said.startswith("windows_service: timeout_s is 1.5, expected int")
    assert lab.machine("mfa01").service_state("W3SVC")[0] == "stopped"


LOOPS: Final = """
from pyinfra import host, inventory

from operations.order import section, turn
from operations.windows import stopped_by, windows_service

section(name="first")
servers = inventory.get_group("mim_servers") if "mim_servers" in host.groups else []
names = [server.name for server in servers]
for restart in host.loop([False, True]):
    for server in host.loop(servers):
        if before := names[: names.index(server.name)]:
            turn(name="next", server=server.name, after=before, unless=lambda: stopped_by("FIMService"))
        if server.name == host.name:
            windows_service(name="restarted", service="FIMService", restart=restart, rolling=True, _serial=True)
"""


@pytest.mark.parametrize("option", ["--dry", "-y"])
def test_in_a_second_loop_over_the_same_servers_the_turns_hold_too(tmp_path: Path, option: str) -> None:
    with CliLab(tmp_path, hosts={**HOSTS, "mim02": "mim"}) as lab:
        machine = lab.machine("mim01")
        machine.set_registry(FIM_KEY, dict(machine.registry(FIM_KEY)) | {"Start": 4})
        done = lab.pyinfra(option, deploy=deploy(lab, LOOPS))
        why = "left untouched, since mim01 failed: service FIMService: it is disabled: enable it, run again"
        changes = [line for line in done.of("mim02") if "1 change" in line]
        assert (done.code, done.of("mim02").count(why), changes) == (1, 1, [])
