"""Windows services. What must change is decided in plans/windows.py, the rhythm is converge.py's."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Final

from pyinfra.api import Host, StringCommand, operation
from pyinfra.context import host, state

from connectors.call import HostCall, Refuse
from facts.base import Unread, read
from facts.files import FileState
from facts.windows import WindowsService
from model.change import Change, PlanError
from model.windows import Service
from operations.converge import announced, converge, refuse
from plans.windows import older_than, plan_service, steps

ROLLING: Final = "rolling"
HINT: Final = "hint"
FAILED: Final = "failed"


@operation()
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
    + rolling: stop at the first host that does not come up, the remaining ones stay untouched; needs ``_serial=True``
    + timeout_s: seconds to wait for each state

    Services that depend on it and run are stopped before and run again afterwards; what did not run stays as it is. The dry run names them. They are
    computed from DependOnService in the registry (docs/verbs.md, Get-ServiceState).

    **Example:**

    .. code:: python

        windows_service(name="MIM has read its settings", service="FIMService", reads=r"C:\\...\\MfaSettings.xml", rolling=True, _serial=True)
    """
    work = _converge(service, running, restart, reads, because, hint, timeout_s)
    yield from (_one_after_the_other(service, work) if rolling else work)


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
        why = _reason(now, restart=restart and not restarted, reads=reads, because=None if restarted else because)
        return plan_service(now, running=running, restart=why)

    def write(now: Service, changes: Sequence[Change]) -> list[HostCall]:
        restarted.append(now.pid)  # what was asked for once is done once: the read back compares the rest
        return [
            HostCall(
                "Set-ServiceState", service=step.service, state=step.state, expected=step.expected, timeout_s=timeout_s
            )
            for step in steps(now, changes)
        ]

    def noop(_now: Service) -> str:
        if hint is not None and (text := hint()) and host.connector_data.get(HINT) != text:
            host.connector_data[HINT] = text
            host.log(f"{what}: {text}")
        return f"{what} is as wanted"

    # Each step may wait `timeout_s` at the host; the call itself needs a little longer than that.
    for command in converge(
        what,
        read=lambda: read(WindowsService, service=service),
        plan=plan,
        write=write,
        thing=f"service:{service.casefold()}",
        noop=noop,
    ):
        if isinstance(command, HostCall):
            command.connector_arguments = {"_timeout": timeout_s + 30}
        yield command


def _reason(now: Service, *, restart: bool, reads: str | None, because: Callable[[], str] | None) -> str:
    """Why the service must start anew, "" where it need not. Raises PlanError where that cannot be told."""
    if not now.found:
        return ""
    if restart:
        return "asked for"
    if because is not None and (why := because()):
        return why
    if reads is None:
        return ""
    if not state.is_executing and announced(f"file:{reads.casefold()}"):
        return f"{reads} would be written"
    file = read(FileState, path=reads)
    if isinstance(file, Unread):
        raise PlanError(f"{reads} could not be read, so whether {now.service} has read it cannot be told")
    return older_than(now, reads, file.last_write_utc)


def _one_after_the_other(
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
        marks[service.casefold()] = FAILED
        yield from work
        marks[service.casefold()] = "ok"
        return
    yield from work


def stopped_by(service: str) -> str:
    """Why this host is to be left alone: a rolling restart of the service failed on another one in this run; "" where none did."""
    failed = (other.name for other in state.inventory if _marks(other).get(service.casefold()) == FAILED)
    name = next((name for name in failed if name != host.name), "")
    return f"left untouched: service {service} did not come up on {name}" if name else ""


def _marks(of: Host) -> dict[str, str]:
    """How the rolling operations of this run ended on a host, by the service in small letters."""
    marks: dict[str, str] = of.connector_data.setdefault(ROLLING, {})
    return marks
