"""
What must change in Windows services, and whether an installed build is enough. Pure: values in, changes out.

The order of the calls that follow is here too (`steps`); making them is in operations/windows.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from model.change import Change, PlanError
from model.windows import Products, Service

RUNNING: Final = "running"
STOPPED: Final = "stopped"
VERSION: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){1,3}")


@dataclass(frozen=True)
class Step:
    """One guarded change of a service's state: `expected` is the state that was read."""

    service: str
    state: Literal["running", "stopped"]
    expected: str


def plan_service(service: Service, *, running: bool, restart: str = "") -> tuple[Change, ...]:
    """
    Compare a service with the state it should have.

    + running: whether it should run
    + restart: why it must start anew, "" where it need not; without effect on one that does not run
    """
    if not service.found:
        raise PlanError(f"there is no service {service.service!r} on this host. Is the product installed?")
    if service.state not in {RUNNING, STOPPED}:
        todo = "resume or stop it" if service.state == "paused" else "wait until it runs or is stopped"
        raise PlanError(f"it is {service.state}: {todo}, and run again")
    if running and service.start == "disabled" and (service.state == STOPPED or restart):
        raise PlanError("it is disabled: enable it, run again")
    if running and service.state == STOPPED:
        return (Change("state", STOPPED, RUNNING),)
    between = [d for d in service.dependents if d.state not in {RUNNING, STOPPED}]
    if between and (restart or not running):
        names = ", ".join(f"{d.service} is {d.state}" for d in between)
        raise PlanError(
            f"services depend on it that could not be put back as they are: {names}. Resume or stop them, and run again"
        )
    if not running and service.state == RUNNING:
        return (Change("state", RUNNING, STOPPED), *_dependents(service, comes_back=False))
    if running and restart:
        return (
            Change("process", f"started {service.started_utc or 'at an unknown time'}", f"restarted: {restart}"),
            *_dependents(service, comes_back=True),
        )
    return ()


def folder_said(service: Service, name: str) -> str:
    """Where the program of a service is, in words. Raises PlanError where the service exists and its ImagePath names no folder."""
    if not service.found:
        return f"there is no service {name}"
    if not service.folder:
        stored = f"names the program {service.program!r}" if service.program else "names no program"
        raise PlanError(
            f"service {name}: its ImagePath {stored}, expected a full path: what lies beside it cannot be found. Repair the service, run again"
        )
    return f"service {name} runs from {service.folder}"


def _dependents(service: Service, *, comes_back: bool) -> list[Change]:
    after = "stopped, then started again" if comes_back else STOPPED
    return [Change(f"dependent {d.service}", d.state, after) for d in service.dependents if d.state != STOPPED]


def refuse_disabled(service: Service, dependents: Sequence[Service]) -> None:
    """Raise PlanError where a dependent that runs is disabled: once stopped it could not be started again."""
    disabled = [d.service for d in dependents if d.state == RUNNING and d.start == "disabled"]
    if disabled:
        raise PlanError(
            f"{', '.join(disabled)} depends on service {service.service}, runs, and is disabled: stopped, it would not start again"
        )


def left_stopped(dependents: Sequence[Service]) -> tuple[str, ...]:
    """Dependents that start automatically and do not run: an interrupted run may have stopped them, or an administrator."""
    return tuple(d.service for d in dependents if d.state == STOPPED and d.start == "automatic")


def steps(service: Service, changes: Sequence[Change]) -> tuple[Step, ...]:
    """
    The calls that make the changes of `plan_service`, in order: dependents that run are stopped, the farthest first, and after a
    restart they run again, the nearest first. What did not run before does not run after.
    """
    if not changes:
        return ()
    ran = [d for d in service.dependents if d.state != STOPPED]
    stop_dependents = [Step(d.service, "stopped", d.state) for d in reversed(ran)]
    match changes[0].property, changes[0].after:
        case "state", "running":
            return (Step(service.service, "running", STOPPED),)
        case "state", _:
            return (*stop_dependents, Step(service.service, "stopped", RUNNING))
        case _:
            start_dependents = [Step(d.service, "running", STOPPED) for d in ran]
            return (
                *stop_dependents,
                Step(service.service, "stopped", RUNNING),
                Step(service.service, "running", STOPPED),
                *start_dependents,
            )


def undo(service: str, made: Sequence[Step], failed: Step) -> tuple[Step, ...]:
    """
    What puts the dependents back after a step failed: those that the steps before it stopped and none has started, nearest first.

    + service: the one that all of this is about; where it did not start, nothing: what depends on it could not start either
    """
    if failed == Step(service, "running", STOPPED):
        return ()
    return tuple(
        Step(name, "running", STOPPED) for name in reversed(still_down(made)) if name not in {service, failed.service}
    )


def still_down(made: Sequence[Step]) -> list[str]:
    """What these steps stopped and did not start again, in the order of the stops."""
    down: list[str] = []
    for step in made:
        if step.state == STOPPED:
            down.append(step.service)
        elif step.service in down:
            down.remove(step.service)
    return down


def down_now(service: str, state: str | None) -> str:
    """
    What to say of a service that this run stopped and could not start.

    + state: what it is now; None where that could not be read
    """
    if state is None:
        return f"service {service} was stopped by this run and did not come up, and what it is now could not be read: look there, and run again"
    if state == RUNNING:
        return f"service {service} runs now all the same: run again"
    then = (
        "run again, which starts it, or start it by hand"
        if state == STOPPED
        else "run again when it runs or is stopped"
    )
    return f"service {service} is {state} now: this run stopped it, and it did not come up. Mend the reason and {then}"


def older_than(service: Service, file: str, last_write_utc: str | None) -> str:
    """Why a service must restart to read a file again: its process is older than the file's last write (same clock); "" where it need not."""
    if last_write_utc is None or service.state != RUNNING:
        return ""
    if service.started_utc is None:
        raise PlanError(
            f"when the process of {service.service} started cannot be told, so whether it has read {file}: restart it by hand, or force it"
        )
    return f"{file} was written at {last_write_utc}" if service.started_utc < last_write_utc else ""


def version(text: str) -> tuple[int, ...]:
    """
    A build as numbers, padded to four: as texts ``4.5.26.0`` would be above ``4.5.202.0`` (facts/mim-mfa.md 3).

    Raises PlanError for what is not two to four numbers with points between.
    """
    if not VERSION.fullmatch(text):
        raise PlanError(f"{text!r} is no build, expected numbers like 4.5.202.0")
    numbers = tuple(int(part) for part in text.split("."))
    return numbers + (0,) * (4 - len(numbers))


def require_build(products: Products, product: str, minimum: str, remedies: Mapping[str, str]) -> str:
    """
    The installed build of a product, if it is at least `minimum`.

    + remedies: build to the update that brings it (``{"4.5.202.0": "KB4346632"}``)

    Raises PlanError where the product is absent, ambiguous, or too old, naming the build and the update.
    """
    found = sorted({entry.version for entry in products.products})
    if not found:
        raise PlanError(f"{product!r} is not installed on this host (no such entry among the installed programs)")
    if len(found) > 1:
        raise PlanError(
            f"{product!r} is installed more than once: {', '.join(found)}. Remove the one that is not used, run again"
        )
    least = version(minimum)
    try:
        installed = version(found[0])
    except PlanError as error:
        raise PlanError(
            f"{product} is installed, and its DisplayVersion is wrong: {error}. Repair it, run again"
        ) from None
    if installed < least:
        remedy = f": install {remedies[minimum]}" if minimum in remedies else ""
        raise PlanError(
            f"{product} is build {found[0]}, at least {minimum} is needed{remedy}. Nothing was written on this host"
        )
    return found[0]
