"""
windows_service on the lab: dry, applied, again, spelled otherwise, refused, taken back; restarts that a file, the deploy or the user asks for.

What is compared is tests/test_plans_windows.py's; one host after the other is tests/test_deploy.py's.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Final

import pytest
from pyinfra.api import StringCommand
from pyinfra.connectors.util import CommandOutput
from pyinfra.context import ctx_host, ctx_state

from connectors.call import Refuse
from facts.windows import WindowsService
from lab.engine import Service
from lab.python_engine import PythonMachine
from lab.seed import MFA_SETTINGS, MIM_FOLDER
from operations.converge import OVERLAP
from operations.windows import (
    ServiceStep,
    not_restartable,
    one_after_the_other,
    stopped_by,
    windows_service,
    windows_service_folder,
)
from operations.xml import xml_elements
from plans.windows import Step
from tests.oplab import OpLab, Run, fixtures, told

pytestmark = pytest.mark.slow

NAME: Final = "FIMService"
PROGRAM: Final = rf"{MIM_FOLDER}\Microsoft.ResourceManagement.Service.exe"
WHAT: Final = f"service {NAME}"
FIM_KEY: Final = rf"HKLM\SYSTEM\CurrentControlSet\Services\{NAME}"
RESTART: Final = ("Set-ServiceState", "Set-ServiceState")


lab, quick = fixtures("mim01")


def moment(lab: OpLab, service: str = NAME) -> datetime | None:
    return lab.machine().service_state(service)[1]


def stop(lab: OpLab) -> None:
    """Another administrator, at the service control manager itself."""
    lab.machine().add_service(Service(NAME, PROGRAM, account=r"CONTOSO\mimservice", running=False))


def test_a_service_is_stopped_and_started_once_whatever_its_spelling(lab: OpLab) -> None:
    start = lab.state()
    stopped = told(WHAT, "state: running -> stopped")
    assert lab.run(windows_service, dry=True, service=NAME, running=False) == Run((stopped,))
    assert lab.state() == start
    assert lab.run(windows_service, service=NAME, running=False) == Run((stopped,), ("Set-ServiceState",))
    assert lab.machine().service_state(NAME) == ("stopped", None)
    done = lab.state()
    wanted = [(windows_service, {"service": service, "running": False}) for service in (NAME, "fimservice")]
    assert lab.deploy(*wanted) == Run()
    assert lab.state() == done
    back = told("service fimservice", "state: stopped -> running")
    assert lab.run(windows_service, service="fimservice") == Run((back,), ("Set-ServiceState",))
    assert lab.machine().service_state(NAME)[0] == "running"


def test_a_file_that_is_newer_than_the_process_restarts_it_once(lab: OpLab) -> None:
    machine = lab.machine()
    wanted: dict[str, Any] = {"service": NAME, "reads": MFA_SETTINGS}
    assert lab.run(windows_service, **wanted) == Run()  # the process is younger than the file
    machine.write_file(MFA_SETTINGS, machine.read_file(MFA_SETTINGS) or b"")
    start, before = lab.state(), moment(lab)
    shown = told(WHAT, f"process: started (time) -> restarted: {MFA_SETTINGS} was written at (time)")
    assert lab.run(windows_service, dry=True, **wanted) == Run((shown,))
    assert lab.state() == start
    assert lab.run(windows_service, **wanted) == Run((shown,), RESTART)
    after = moment(lab)
    assert before is not None
    assert after is not None
    assert after > before
    assert lab.run(windows_service, **wanted) == Run()
    assert moment(lab) == after


def test_a_file_that_is_not_there_or_of_tomorrow_tells_nothing_and_is_refused(quick: OpLab) -> None:
    machine, start = quick.machine(), moment(quick)
    for dry in (True, False):
        run = quick.run(windows_service, dry=dry, service=NAME, reads=r"C:\nothere.xml")
        text = rf"{WHAT}: C:\nothere.xml is not there, expected the file that {NAME} reads"
        assert (run.shown, run.writes, run.failed) == ((text,), (), True)
    machine.set_last_write(MFA_SETTINGS, datetime.now(UTC) + timedelta(days=2))
    for dry in (True, False):
        run = quick.run(windows_service, dry=dry, service=NAME, reads=MFA_SETTINGS)
        assert (run.writes, run.failed, "Set the clock or the file's time right" in run.shown[0]) == ((), True, True)
    assert moment(quick) == start
    # Who asks for a restart gets one.
    run = quick.run(windows_service, service=NAME, reads=MFA_SETTINGS, restart=True)
    assert (run.writes, run.failed) == (RESTART, False)
    run = quick.run(windows_service, dry=True, service=NAME, running=False, restart=True)
    assert run == Run((f"{WHAT}: restart and running=False exclude each other: leave one out",), failed=True)
    run = quick.run(windows_service, dry=True, service=NAME, timeout_s=-1)
    assert (run.shown, run.failed) == ((f"{WHAT}: timeout_s is -1, expected seconds, 0 or more",), True)


@pytest.mark.slow
def test_a_service_that_another_stopped_meanwhile_is_not_stopped_again(lab: OpLab) -> None:
    planned = told(WHAT, "process: started (time) -> restarted: asked for")
    refused = (
        f"Set-ServiceState {NAME}: it is stopped, expected running [conflict]. "
        "It changed since it was read; this call wrote nothing. Run again."
    )
    run = lab.run(windows_service, service=NAME, restart=True, meanwhile=lambda: stop(lab))
    assert run == Run((planned, refused), ("Set-ServiceState",), failed=True)
    assert lab.machine().service_state(NAME)[0] == "stopped"
    started = told(WHAT, "state: stopped -> running")
    assert lab.run(windows_service, service=NAME) == Run((started,), ("Set-ServiceState",))


def test_a_file_that_an_earlier_operation_will_write_is_a_reason_in_the_dry_run(quick: OpLab) -> None:
    settings = (xml_elements, {"file": MFA_SETTINGS, "clear": "LICENSE_KEY"})
    service = (windows_service, {"service": NAME, "reads": MFA_SETTINGS})
    dry = quick.deploy(settings, service, dry=True)
    assert dry.shown[1] == told(WHAT, f"process: started (time) -> restarted: {MFA_SETTINGS} would be written")
    run = quick.deploy(settings, service)
    assert (run.writes, run.failed) == (("Copy-File", "Write-File", *RESTART), False)
    assert quick.deploy(settings, service) == Run()


def test_a_file_restarts_a_service_once_for_each_write_whatever_operations_ask(quick: OpLab) -> None:
    service = (windows_service, {"service": NAME, "reads": MFA_SETTINGS})
    clear = [
        (xml_elements, {"file": MFA_SETTINGS, "clear": name}) for name in ("LICENSE_KEY", "GROUP_KEY", "CERT_PASSWORD")
    ]
    shown = told(WHAT, f"process: started (time) -> restarted: {MFA_SETTINGS} would be written")
    steps = (clear[0], service, (windows_service, {**service[1], "service": "fimservice"}))
    dry = quick.deploy(*steps, dry=True)
    assert (dry.shown[1:], dry.failed) == ((shown, f"service fimservice: {OVERLAP}"), False)
    run = quick.deploy(*steps)
    assert (run.writes, run.failed) == (("Copy-File", "Write-File", *RESTART), False)
    more = (clear[1], service, clear[2], service)
    dry = quick.deploy(*more, dry=True)
    assert (dry.shown[1], dry.shown[3:]) == (shown, (shown, f"{WHAT}: {OVERLAP}"))
    run = quick.deploy(*more)
    assert (run.writes, run.failed) == (("Copy-File", "Write-File", *RESTART) * 2, False)
    assert quick.deploy(*more) == Run()


def test_a_restart_that_an_operation_before_makes_is_enough_for_a_file_of_before_but_not_for_one_of_tomorrow(
    quick: OpLab,
) -> None:
    machine = quick.machine()
    service, asked = {"service": NAME, "reads": MFA_SETTINGS}, {"service": NAME, "restart": True}
    machine.write_file(MFA_SETTINGS, machine.read_file(MFA_SETTINGS) or b"")
    steps = ((windows_service, asked), (windows_service, service))
    dry = quick.deploy(*steps, dry=True)
    shown = told(WHAT, "process: started (time) -> restarted: asked for")
    assert dry == Run((shown, f"{WHAT}: {OVERLAP}"))
    assert quick.deploy(*steps) == Run(dry.shown, RESTART)
    machine.set_last_write(MFA_SETTINGS, datetime.now(UTC) + timedelta(days=2))
    for is_dry in (True, False):
        run = quick.deploy(*steps, dry=is_dry)
        assert (run.failed, run.writes, "Set the clock or the file's time right" in run.shown[-1]) == (True, (), True)


def test_a_file_restarts_a_service_once_where_nobody_can_tell_when_its_process_started(
    quick: OpLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = WindowsService.parse
    monkeypatch.setattr(WindowsService, "parse", lambda fact, answer: replace(parse(fact, answer), started_utc=None))
    service = (windows_service, {"service": NAME, "reads": MFA_SETTINGS})
    steps = ((xml_elements, {"file": MFA_SETTINGS, "clear": "LICENSE_KEY"}), service, service)
    dry = quick.deploy(*steps, dry=True)
    assert (len(dry.shown), dry.shown[2], dry.failed) == (3, f"{WHAT}: {OVERLAP}", False)
    run = quick.deploy(*steps)
    assert (run.writes, run.failed) == (("Copy-File", "Write-File", *RESTART), False)


@pytest.mark.slow
def test_a_restart_that_is_asked_for_is_done_once_and_every_time(lab: OpLab) -> None:
    shown = told(WHAT, "process: started (time) -> restarted: asked for")
    moments = [moment(lab)]
    for _ in range(2):
        assert lab.run(windows_service, service=NAME, restart=True) == Run((shown,), RESTART)
        moments.append(moment(lab))
    assert len(set(moments)) == 3


def test_what_the_deploy_knows_is_asked_when_the_operation_runs_and_its_hint_is_told_once(quick: OpLab) -> None:
    reasons = iter(["anna would join", "anna joined"])
    run = quick.run(windows_service, service=NAME, because=lambda: next(reasons))
    planned, done = (
        told(WHAT, f"process: started (time) -> restarted: {text}") for text in ("anna would join", "anna joined")
    )
    assert run == Run((planned, done), RESTART)
    hint: dict[str, Any] = {"because": lambda: "", "hint": lambda: "cannot be told"}
    assert quick.run(windows_service, service=NAME, **hint) == Run((f"{WHAT}: cannot be told",))


@pytest.mark.slow
def test_dependents_that_run_stop_before_and_run_afterwards_and_the_others_stay_stopped(lab: OpLab) -> None:
    machine = lab.machine()
    for name, needs, running in (("Near", NAME, True), ("Far", "near", True), ("Idle", NAME, False)):
        machine.add_service(Service(name, rf"C:\{name}\{name}.exe", depends_on=(needs,), running=running))
    start, before = lab.state(), moment(lab, "Far")
    again = "running -> stopped, then started again"
    shown = told(
        WHAT, "process: started (time) -> restarted: asked for", f"dependent Near: {again}", f"dependent Far: {again}"
    )
    assert lab.run(windows_service, dry=True, service=NAME, restart=True) == Run((shown,))
    assert lab.state() == start
    assert lab.run(windows_service, service=NAME, restart=True) == Run((shown,), ("Set-ServiceState",) * 6)
    states = [machine.service_state(name)[0] for name in (NAME, "Near", "Far", "Idle")]
    assert states == ["running", "running", "running", "stopped"]
    assert moment(lab, "Far") != before


@pytest.mark.slow
def test_dependents_come_back_when_the_service_itself_does_not_stop_and_what_stays_down_is_named(quick: OpLab) -> None:
    machine = quick.machine()
    machine.add_service(Service("First", r"C:\First\First.exe", depends_on=(NAME,)))
    machine.add_service(Service("Second", r"C:\Second\Second.exe", depends_on=("First",)))
    machine.add_service(Service("Late", r"C:\Late\Late.exe", depends_on=(NAME,), start="manual", running=False))

    def meanwhile() -> None:  # somebody starts a dependent that was stopped: the service itself cannot be stopped then
        machine.add_service(Service("Late", r"C:\Late\Late.exe", depends_on=(NAME,), start="manual", running=True))

    run = quick.run(windows_service, service=NAME, restart=True, meanwhile=meanwhile)
    again = "running -> stopped, then started again"
    planned = told(
        WHAT,
        "process: started (time) -> restarted: asked for",
        f"dependent First: {again}",
        f"dependent Second: {again}",
    )
    refused = f"Set-ServiceState {NAME}: the service Late depends on it and is running [busy]."
    back = ("service First runs again", "service Second runs again")
    assert run == Run((planned, refused, *back), ("Set-ServiceState",) * 5, failed=True)
    assert [machine.service_state(name)[0] for name in (NAME, "First", "Second", "Late")] == ["running"] * 4


@pytest.mark.slow
def test_a_dependent_that_could_not_be_started_again_is_refused_and_one_that_is_left_stopped_is_named(
    quick: OpLab,
) -> None:
    machine = quick.machine()
    machine.add_service(Service("Dis", r"C:\Dis\Dis.exe", depends_on=(NAME,), start="disabled", running=True))
    start = quick.state()
    text = f"{WHAT}: Dis depends on service {NAME}, runs, and is disabled: stopped, it would not start again"
    assert quick.run(windows_service, dry=True, service=NAME, restart=True) == Run((text,), failed=True)
    assert quick.state() == start
    machine.add_service(Service("Dis", r"C:\Dis\Dis.exe", depends_on=(NAME,), start="automatic", running=False))
    text = f"{WHAT}: service Dis depends on it, starts automatically, and is stopped: start it if an interrupted run stopped it"
    assert quick.run(windows_service, service=NAME) == Run((text,))


@pytest.mark.slow
def test_a_restart_whose_start_fails_says_that_the_service_is_stopped_now_and_what_to_do(quick: OpLab) -> None:
    machine = quick.machine()
    machine.add_service(Service("Broken", r"C:\Broken\Broken.exe", running=True, broken=True))
    run = quick.run(windows_service, service="Broken", restart=True)
    planned = told("service Broken", "process: started (time) -> restarted: asked for")
    refused = (
        "Set-ServiceState Broken: the program of the service Broken did not answer the service control manager; "
        "it is stopped, expected running (0x8007041D) [timeout]. Run again to see what it is now."
    )
    stopped = (
        "service Broken is stopped now: this run stopped it, and it did not come up. "
        "Mend the reason and run again, which starts it, or start it by hand"
    )
    assert run == Run((planned, refused, stopped), RESTART, failed=True)
    assert machine.service_state("Broken") == ("stopped", None)


@pytest.mark.parametrize(("given", "wanted"), [({}, 150), ({"_timeout": None}, 150), ({"_timeout": 7}, 7)])
def test_a_call_waits_half_a_minute_longer_than_its_step_unless_the_user_says_how_long(
    given: dict[str, Any], wanted: int
) -> None:
    step = ServiceStep(NAME, Step(NAME, "running", "stopped"), (), 120)
    seen: list[dict[str, Any]] = []

    def run_shell_command(_command: StringCommand, **arguments: Any) -> tuple[bool, CommandOutput]:
        seen.append(arguments)
        return True, CommandOutput([])

    far: Any = SimpleNamespace(run_shell_command=run_shell_command)
    run: Any = SimpleNamespace(print_output=False, print_input=False)
    assert step.execute(run, far, dict(given))[0]
    assert seen == [{"print_output": False, "print_input": False, "_timeout": wanted}]


@pytest.mark.slow
def test_the_timeout_of_the_user_ends_a_step_although_the_service_may_take_longer(quick: OpLab) -> None:
    machine = quick.machine()
    assert isinstance(machine, PythonMachine)
    machine.add_service(Service("Slow", r"C:\Slow\Slow.exe", running=False))
    machine.hang_service("Slow")
    run = quick.run(windows_service, service="Slow", timeout_s=3, _timeout=1)
    planned = told("service Slow", "state: stopped -> running")
    ended = "Set-ServiceState took too long and was ended: outcome unknown, run again: every operation compares first"
    assert run == Run((planned, ended), ("Set-ServiceState",), failed=True)


def test_a_service_that_does_not_come_up_fails_the_host(quick: OpLab) -> None:
    machine = quick.machine()
    machine.add_service(Service("Broken", r"C:\Broken\Broken.exe", running=False, broken=True))
    run = quick.run(windows_service, service="Broken")
    planned = told("service Broken", "state: stopped -> running")
    refused = (
        "Set-ServiceState Broken: the program of the service Broken did not answer the service control manager; "
        "it is stopped, expected running (0x8007041D) [timeout]. Run again to see what it is now."
    )
    assert run == Run((planned, refused), ("Set-ServiceState",), failed=True)
    assert quick.run(windows_service, service="Broken", dry=True) == Run((planned,))  # the next run tries again


def test_the_next_host_of_a_rolling_restart_is_told_why_the_one_before_failed() -> None:
    first, second = (SimpleNamespace(name=name, connector_data={}, current_op_hash="x") for name in ("mim01", "mim02"))
    run = SimpleNamespace(
        inventory=[first, second],
        is_executing=True,
        get_op_meta=lambda _hash: SimpleNamespace(global_arguments={"_serial": True}),
    )

    def told_of(*commands: StringCommand) -> tuple[str, str]:
        """What each of the two is told when these came of the first one's operation, and pyinfra closed it at the last of them."""
        with ctx_state.use(run):
            with ctx_host.use(first):
                work = one_after_the_other("fimservice", (command for command in commands))
                for _ in commands or work:
                    next(work, None)
                work.close()
                own = stopped_by("FIMService")
            with ctx_host.use(second):
                return own, stopped_by("FIMService")

    disabled = "service FIMService is disabled: enable it"
    assert told_of(Refuse(disabled)) == ("", f"left untouched, since mim01 failed: {disabled}")
    assert told_of(StringCommand("x")) == ("", "left untouched, since mim01 failed: it did not come to its end there")
    assert told_of() == ("", "")


@pytest.mark.slow
def test_a_file_is_not_written_where_the_service_that_reads_it_could_not_restart(quick: OpLab) -> None:
    machine = quick.machine()
    machine.add_service(Service("Off", r"C:\Off\Off.exe", start="disabled", running=True))
    machine.add_service(Service("Needed", r"C:\Needed\Needed.exe", running=True))
    machine.add_service(Service("Dis", r"C:\Dis\Dis.exe", depends_on=("Needed",), start="disabled", running=True))
    start = quick.state()
    why = {
        "Off": "it is disabled: enable it, run again",
        "Nothing": "there is no service 'Nothing' on this host. Is the product installed?",
        "Needed": "Dis depends on service Needed, runs, and is disabled: stopped, it would not start again",
    }
    for service, text in why.items():
        wanted: dict[str, Any] = {
            "file": MFA_SETTINGS,
            "clear": "LICENSE_KEY",
            "unless": lambda service=service: not_restartable(service),
        }
        refused = Run((f"{MFA_SETTINGS}: service {service} would have to restart: {text}",), failed=True)
        assert [quick.run(xml_elements, dry=dry, **wanted) for dry in (True, False)] == [refused] * 2
    assert quick.state() == start
    # Nothing to write is nothing to refuse, and a service that can restart is no reason.
    unchanged: dict[str, Any] = {"file": MFA_SETTINGS, "unless": lambda: not_restartable("Off")}
    assert quick.run(xml_elements, clear="Absent", **unchanged) == Run()
    fine = quick.run(xml_elements, file=MFA_SETTINGS, clear="LICENSE_KEY", unless=lambda: not_restartable(NAME))
    assert (fine.writes, fine.failed) == (("Copy-File", "Write-File"), False)


REFUSALS: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "absent": ({"service": "Nothing"}, "there is no service 'Nothing' on this host. Is the product installed?"),
    "disabled": ({"service": "Off"}, "it is disabled: enable it, run again"),
    "rolling without one after the other": (
        {"service": NAME, "rolling": True},
        "rolling=True needs _serial=True beside it, or all hosts restart at once",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("wanted", "text"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_is_refused_in_the_dry_run_too(quick: OpLab, wanted: dict[str, Any], text: str) -> None:
    quick.machine().add_service(Service("Off", r"C:\Off\Off.exe", start="disabled", running=False))
    start = quick.state()
    runs = [quick.run(windows_service, dry=dry, **wanted) for dry in (True, False)]
    assert runs == [Run((f"service {wanted['service']}: {text}",), failed=True)] * 2
    assert quick.state() == start


def test_the_fact_tells_the_folder_of_its_program(quick: OpLab) -> None:
    assert quick.fact(WindowsService, service=NAME).folder == MFA_SETTINGS.rpartition("\\")[0]


def test_a_service_whose_folder_cannot_be_told_is_refused_and_nothing_is_written(lab: OpLab) -> None:
    machine = lab.machine()
    wanted = [(windows_service_folder, {"service": name}) for name in (NAME, "fimservice", "Nothing")]
    start = lab.state()
    assert [lab.deploy(*wanted, dry=True), lab.deploy(*wanted), lab.deploy(*wanted)] == [Run()] * 3
    assert lab.state() == start
    machine.set_registry(FIM_KEY, dict(machine.registry(FIM_KEY)) | {"ImagePath": "Service.exe"})
    broken = lab.state()
    text = (
        "service fimservice: its ImagePath names the program 'Service.exe', expected a full path: "
        "what lies beside it cannot be found. Repair the service, run again"
    )
    runs = [lab.run(windows_service_folder, dry=dry, service="fimservice") for dry in (True, False)]
    assert runs == [Run((text,), failed=True)] * 2
    assert lab.state() == broken
