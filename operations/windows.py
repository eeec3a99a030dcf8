"""Windows services. What must change is decided in plans/windows.py, the rhythm is converge.py's."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, Final

from pyinfra.api import Host, State, StringCommand, operation
from pyinfra.connectors.util import CommandOutput, OutputLine
from pyinfra.context import host, state
from typing_extensions import override

from connectors.call import HostCall, Refuse
from facts.base import Unread, read
from facts.files import FileState
from facts.windows import HostInfo, WindowsService
from model.change import Change, PlanError
from model.files import file_id
from model.windows import Service
from operations.arguments import checked
from operations.converge import (
    announced,
    converge,
    counted,
    halted,
    refuse,
    refused,
    renewed,
    require,
    service_id,
    uncounted,
    written,
)
from plans.windows import (
    Step,
    down_now,
    folder_said,
    left_stopped,
    older_than,
    plan_service,
    refuse_disabled,
    steps,
    still_down,
    undo,
)

ROLLING: Final = "rolling"
HINT: Final = "hint"
CUT: Final = "it did not come to its end there"


@operation()
@checked
def windows_service(
    service: str,
    *,
    running: bool = True,
    restart: bool = False,
    reads: str | None = None,
    because: Callable[[], str] | None = None,
    hint: Callable[[], str] | None = None,
    rolling: bool = False,
    timeout_s: int = 120,
) -> Generator[StringCommand, None, None]:
    """
    Run, stop or restart a Windows service, and wait until it is there.

    + service: its service name, not the display name
    + running: whether it should run
    + restart: restart it now, whatever else holds
    + reads: full path of a file that it reads when it starts: it is restarted when its process is older than the file's last write
    + because: called when the operation runs; a reason to restart, or ""
    + hint: called where nothing is to be done; a line that is then shown, once a run
    + rolling: stop at the first host where it fails, the remaining ones stay untouched and say why; needs ``_serial=True``. What is refused before
      anything runs (in a dry run, and in a run that asks first) stops the hosts behind it only where `turn` stands before them
    + timeout_s: seconds to wait for each state

    Services that depend on it and run are stopped before and run again afterwards; what did not run stays as it is. The dry run names them. They are
    computed from DependOnService in the registry (docs/verbs.md, Get-ServiceState).

    **Example:**

    .. code:: python

        windows_service(name="MIM has read its settings", service="FIMService", reads=r"C:\\...\\MfaSettings.xml", rolling=True, _serial=True)
    """
    work = _converge(service, running, restart, reads, because, hint, timeout_s)
    yield from (one_after_the_other(service, work) if rolling else work)


@operation()
@checked
def windows_service_folder(service: str) -> Generator[StringCommand, None, None]:
    """
    Require that the folder of a service's program can be told: a host whose ImagePath names none fails here, in the dry run too.

    + service: its service name, not the display name

    Changes nothing, ever. Put it before operations on files that lie beside the program: ``service.folder`` of the fact ``WindowsService`` is empty
    there. A service that does not exist is ``windows_service``'s to refuse.

    **Example:**

    .. code:: python

        windows_service_folder(name="Where MIM's settings lie can be told", service="FIMService")
    """

    def check(found: Service) -> str:
        return folder_said(found, service)

    yield from require(f"service {service}", read=lambda: read(WindowsService, service=service), check=check)


def _converge(
    service: str,
    running: bool,
    restart: bool,
    reads: str | None,
    because: Callable[[], str] | None,
    hint: Callable[[], str] | None,
    timeout_s: int,
) -> Generator[StringCommand, None, None]:
    what = f"service {service}"
    restarted: list[int | None] = []

    def plan(now: Service) -> tuple[Change, ...]:
        if timeout_s < 0:
            raise PlanError(f"timeout_s is {timeout_s}, expected seconds, 0 or more")
        if restart and not running:
            raise PlanError("restart and running=False exclude each other: leave one out")
        why = _reason(now, restart=restart, reads=reads, because=because, done=bool(restarted))
        changes = plan_service(now, running=running, restart=why)
        if len(changes) > 1:  # dependents are stopped
            refuse_disabled(now, _dependents(now))
        return changes

    def write(now: Service, changes: Sequence[Change]) -> list[HostCall]:
        restarted.append(now.pid)  # what was asked for once is done once: the read back compares the rest
        return ServiceStep.all_of(now.service, steps(now, changes), timeout_s)

    def noop(now: Service) -> str:
        _say(what, hint() if hint is not None else "")
        _say_left_stopped(what, now, running=running)
        return f"{what} is as wanted"

    yield from converge(
        what,
        read=lambda: read(WindowsService, service=service),
        plan=plan,
        write=write,
        thing=service_id(service),
        noop=noop,
    )


class ServiceStep(HostCall):
    """
    One step of a restart. Where it fails, the dependents that the steps before it stopped are started again, and what stays down is named, the
    service itself first: a failed command is the last of its operation, so nobody else would.
    """

    def __init__(self, service: str, step: Step, before: Sequence[Step], timeout_s: int) -> None:
        self.of, self.step, self.before, self.timeout_s = service, step, tuple(before), timeout_s
        super().__init__(
            "Set-ServiceState", service=step.service, state=step.state, expected=step.expected, timeout_s=timeout_s
        )

    @classmethod
    def all_of(cls, service: str, wanted: Sequence[Step], timeout_s: int) -> list[HostCall]:
        """The calls for these steps, in order."""
        return [cls(service, step, wanted[:at], timeout_s) for at, step in enumerate(wanted)]

    @override
    def execute(self, state: State, host: Host, connector_arguments: Any) -> tuple[bool, CommandOutput]:
        # The step may wait `timeout_s` at the host, the call itself needs a little longer; a `_timeout` of the user's counts before that.
        given = connector_arguments.copy()
        given["_timeout"] = given.get("_timeout") or self.timeout_s + 30
        ok, output = super().execute(state, host, given)
        if ok:
            return ok, output
        _mark_failed(host, self.of, output.stderr)
        down = still_down(self.before)
        said = [down_now(self.of, _state_of(self.of))] if self.of in down else []
        down = [name for name in down if name != self.of]
        for step in undo(self.of, self.before, self.step):
            back, _ = ServiceStep(self.of, step, (), self.timeout_s).execute(state, host, dict(connector_arguments))
            if back:
                down.remove(step.service)
                said.append(f"service {step.service} runs again")
        said += [f"service {name} is still stopped: start it when {self.of} runs" for name in down]
        return False, CommandOutput([*output, *(OutputLine("stderr", line) for line in said)])


def _state_of(service: str) -> str | None:
    now = read(WindowsService, service=service)
    return None if isinstance(now, Unread) else now.state


def _dependents(now: Service) -> list[Service]:
    """The dependents with all that is known of them. Raises PlanError where one cannot be read."""
    found = []
    for dependent in now.dependents:
        one = read(WindowsService, service=dependent.service)
        if isinstance(one, Unread):
            raise PlanError(
                f"service {dependent.service}, which depends on {now.service}, could not be read, nothing was written"
            )
        found.append(one)
    return found


def _say_left_stopped(what: str, now: Service, *, running: bool) -> None:
    if running and any(dependent.state == "stopped" for dependent in now.dependents):
        for name in left_stopped(_dependents(now)):
            _say(
                what,
                f"service {name} depends on it, starts automatically, and is stopped: start it if an interrupted run stopped it",
            )


def _say(what: str, text: str) -> None:
    """A line that is shown once a run, whether something is to be done or not."""
    said = host.connector_data.setdefault(HINT, set())
    if text and text not in said:
        said.add(text)
        host.log(f"{what}: {text}")


def _reason(now: Service, *, restart: bool, reads: str | None, because: Callable[[], str] | None, done: bool) -> str:
    """
    Why the service must start anew, "" where it need not. Raises PlanError where that cannot be told.

    + done: it was restarted by this operation just now; what was asked for, or was a reason then, is none any more
    """
    if not now.found:
        return ""
    if restart and not done:
        return "asked for"
    if because is not None and not done and (why := because()):
        return why
    return "" if reads is None else _unread(now, reads, done=done)


def _unread(now: Service, reads: str, *, done: bool) -> str:
    """Why the process has not read its file, "" where it has."""
    if uncounted(file_id(reads)):
        text = "which an operation before this one writes if its _if holds: whether it restarts then is not known in a dry run"
        _say(f"service {now.service}", f"it reads {reads}, {text}")
    # An operation before this one gave it a process that knows the file as it is.
    fresh = renewed(service_id(now.service), after=file_id(reads))
    if now.state == "running" and not state.is_executing and not fresh and announced(file_id(reads)):
        return f"{reads} would be written"
    file = read(FileState, path=reads)
    if isinstance(file, Unread):
        raise PlanError(f"{reads} could not be read, so whether {now.service} has read it cannot be told")
    if file.kind != "file" and not announced(file_id(reads)):
        raise PlanError(
            f"{reads} is {'not there' if file.kind == 'absent' else 'a folder'}, expected the file that {now.service} reads"
        )
    if now.state != "running" or ((done or fresh) and now.started_utc is None):
        return ""
    if fresh and not state.is_executing:
        if not announced(file_id(reads)) and (later := _later(reads, file.last_write_utc or "")):
            raise PlanError(later)
        return ""
    if now.started_utc is None and written(file_id(reads)):
        return f"{reads} was written in this run"  # when its process started cannot be told, yet it was before that
    older = older_than(now, reads, file.last_write_utc)
    if older and (later := _later(reads, file.last_write_utc or "")):
        if done:
            return ""  # no process is younger than such a file, the one that was asked for neither
        raise PlanError(later)
    # A process that started while the file was being replaced has read the old one, although it is not older than the new one's time.
    return older if older or done or fresh or not written(file_id(reads)) else f"{reads} was written in this run"


def _later(file: str, last_write_utc: str) -> str:
    """Why a file's time tells nothing: it is in the future of its host, and every restart would be followed by another one; "" where it is not."""
    own = read(HostInfo)
    if isinstance(own, Unread):
        raise PlanError(f"the clock of the host, which the time of {file} is compared with, could not be read")
    if last_write_utc <= own.time_utc:
        return ""
    return (
        f"{file} was written at {last_write_utc}, but by the clock of the host it is {own.time_utc}: whether a process has read it cannot be told. "
        "Set the clock or the file's time right, run again"
    )


def one_after_the_other(
    service: str, work: Generator[StringCommand, None, None]
) -> Generator[StringCommand, None, None]:
    """pyinfra's `_serial` goes on with the next host after a failure; this stops, and says which host was the reason."""
    if not state.get_op_meta(str(host.current_op_hash)).global_arguments["_serial"]:
        yield from refuse(f"service {service}: rolling=True needs _serial=True beside it, or all hosts restart at once")
        return
    if state.is_executing:
        if reason := stopped_by(service):
            yield Refuse(reason)
            return
        marks = _marks(host)
        # Until the end is reached: a failed command closes this generator wherever it stands.
        marks[service.casefold()] = CUT
        for command in work:
            if isinstance(command, Refuse):
                _mark_failed(host, service, command.reason)
            yield command
        del marks[service.casefold()]
        return
    failed = halted()
    yield from work
    if halted() and not failed:
        _marks(host)[service.casefold()] = refused()


def not_restartable(service: str) -> str:
    """
    Why a service could not read a file again that is about to be written: it could not restart afterwards. "" where it could.

    A rolling operation on it stops at this host then.
    """
    if (reason := _not_restartable(service)) and (state.is_executing or counted()):
        _marks(host)[service.casefold()] = reason
    return reason


def _not_restartable(service: str) -> str:
    now = read(WindowsService, service=service)
    if isinstance(now, Unread):
        return f"service {service}, which would have to restart, could not be read"
    try:
        plan_service(now, running=True, restart="a file")
        refuse_disabled(now, _dependents(now))
    except PlanError as error:
        return f"service {service} would have to restart: {error}"
    return ""


def stopped_by(service: str, before: Sequence[str] | None = None) -> str:
    """
    Why this host is to be left alone: a rolling restart of the service failed on another one in this run; "" where none did.

    + before: names of the hosts that are asked, those before this one: of these what prepare found counts while executing, too. None: all others
    """
    asked = [other for other in state.inventory if other.name != host.name and (before is None or other.name in before)]
    phases = {state.is_executing} if before is None else {False, state.is_executing}
    failed = {
        other.name: next((why for phase in phases if (why := _marks(other, phase).get(service.casefold()))), "")
        for other in asked
    }
    return next((f"left untouched, since {name} failed: {why}" for name, why in failed.items() if why), "")


def _mark_failed(of: Host, service: str, why: str) -> None:
    """Keep the first reason for which a rolling operation fails on a host: what is tried after it is about the dependents."""
    if _marks(of).get(service.casefold()) == CUT:
        _marks(of)[service.casefold()] = why


def _marks(of: Host, executing: bool | None = None) -> dict[str, str]:
    """
    Why the rolling operations of this run have not ended well on a host, by the service in small letters.

    Those of prepare are kept apart: which host comes first is known only where they run.

    + executing: of which of the two; None is the one that it is
    """
    marks: dict[bool, dict[str, str]] = of.connector_data.setdefault(ROLLING, {})
    return marks.setdefault(state.is_executing if executing is None else executing, {})
