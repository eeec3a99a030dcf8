"""
The services of a machine of the python engine: configuration in the registry as on Windows, state and process in the document `services`.

The verbs are in windows.py. Starting and stopping here is what the service control manager does; what it refuses is the verb's to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from lab.engine import RegistryValue, Service
from lab.state import fold

if TYPE_CHECKING:
    from lab.python_engine import PythonMachine

KEY: Final = r"HKLM\SYSTEM\CurrentControlSet\Services"
STARTS: Final[Mapping[int, str]] = {0: "boot", 1: "system", 2: "automatic", 3: "manual", 4: "disabled"}
OWN_PROCESS: Final = 0x10  # Type of SERVICE_WIN32_OWN_PROCESS
VARIABLES: Final[Mapping[str, str]] = {
    "SYSTEMROOT": r"C:\Windows",
    "WINDIR": r"C:\Windows",
    "SYSTEMDRIVE": "C:",
    "PROGRAMFILES": r"C:\Program Files",
    "PROGRAMFILES(X86)": r"C:\Program Files (x86)",
    "PROGRAMDATA": r"C:\ProgramData",
    "COMMONPROGRAMFILES": r"C:\Program Files\Common Files",
}


@dataclass(frozen=True)
class Record:
    """What the document holds of one service: its state, and while it runs its process and when that started, in ticks."""

    state: str = "stopped"
    pid: int | None = None
    started: int | None = None
    broken: bool = False  # its program does not answer the service control manager
    hangs: bool = False  # stays in start-pending


def install(machine: PythonMachine, service: Service) -> None:
    """Write the configuration and the state of a service; one of that name is replaced."""
    values: dict[str, RegistryValue] = {
        "Type": OWN_PROCESS,
        "Start": next(number for number, name in STARTS.items() if name == service.start),
        "ErrorControl": 1,
        "ImagePath": f'"{service.program}"',
        "ObjectName": service.account,
        "DisplayName": service.display_name or service.name,
    }
    if service.depends_on:
        values["DependOnService"] = tuple(service.depends_on)
    machine.registry_keys.remove(f"{KEY}\\{service.name}")
    machine.registry_keys.set(f"{KEY}\\{service.name}", values)
    stopped = Record(broken=service.broken)
    keep(machine, service.name, _process(machine, stopped, "running") if service.running else stopped)


def records(machine: PythonMachine) -> dict[str, Record]:
    """State of every service that has one, by name."""
    return {name: Record(**own) for name, own in machine.state.read("services", {}).items()}


def pids(machine: PythonMachine) -> Iterator[int]:
    """The processes of services."""
    return (own.pid for own in records(machine).values() if own.pid is not None)


def spelled(machine: PythonMachine, name: str) -> str | None:
    """The name of a service as it is installed, None where there is none: a key below Services with an ImagePath."""
    for child in machine.registry_keys.children(KEY):
        if fold(child) == fold(name):
            return child if machine.registry_keys.text(f"{KEY}\\{child}", "ImagePath") else None
    return None


def names(machine: PythonMachine) -> tuple[str, ...]:
    """Every installed service."""
    children = machine.registry_keys.children(KEY)
    return tuple(name for name in children if machine.registry_keys.text(f"{KEY}\\{name}", "ImagePath"))


def record(machine: PythonMachine, name: str) -> Record | None:
    """State of one service, stopped if it never ran; None where it is not installed."""
    if spelled(machine, name) is None:
        return None
    return next((own for known, own in records(machine).items() if fold(known) == fold(name)), Record())


def keep(machine: PythonMachine, name: str, record: Record) -> None:
    """Write the state of one service."""
    others = {known: own for known, own in records(machine).items() if fold(known) != fold(name)}
    machine.state.write("services", {known: asdict(own) for known, own in sorted((others | {name: record}).items())})


def start_of(machine: PythonMachine, name: str) -> str | None:
    """When it starts, in a word of docs/verbs.md; None where that is not stored."""
    number = machine.registry_keys.value(f"{KEY}\\{name}", "Start")
    return STARTS.get(number) if isinstance(number, int) else None


def depends_on(machine: PythonMachine, name: str) -> tuple[str, ...]:
    """DependOnService as stored."""
    value = machine.registry_keys.value(f"{KEY}\\{name}", "DependOnService")
    if isinstance(value, tuple):
        return tuple(one for one in value if one)
    return (value,) if isinstance(value, str) and value else ()


def dependents(machine: PythonMachine, name: str) -> tuple[str, ...]:
    """The services that need one, directly or through others, nearest first; by name among equals."""
    needs = {other: {fold(one) for one in depends_on(machine, other)} for other in names(machine)}
    found: list[str] = []
    near = {fold(name)}
    seen = set(near)
    while near:
        level = [other for other, needed in needs.items() if needed & near and fold(other) not in seen]
        found += level
        near = {fold(other) for other in level}
        seen |= near
    return tuple(found)


def program_of(path: str) -> str:
    """
    The program in an ImagePath: unquoted, variables expanded, without its arguments, drivers' forms as full paths.

    Without quotes it ends after the first `.exe` before a blank, else at the first blank.
    """
    text = re.sub(r"%([^%]+)%", lambda found: VARIABLES.get(found[1].upper(), found[0]), path).strip()
    if text.startswith('"'):
        program = text[1:].partition('"')[0]
    else:
        named = re.match(r".*?\.exe(?=\s|\Z)|\S*", text, re.IGNORECASE | re.DOTALL)
        program = named[0] if named else ""
    program = program.removeprefix("\\??\\")
    if program.upper().startswith("\\SYSTEMROOT\\"):
        return VARIABLES["SYSTEMROOT"] + program[len("\\SYSTEMROOT") :]
    return rf"{VARIABLES['SYSTEMROOT']}\{program}" if program.upper().startswith("SYSTEM32\\") else program


def process_of(machine: PythonMachine, name: str) -> tuple[int | None, int | None]:
    """Process id and start in ticks of the one process that runs a service's program; (None, None) where it is stopped, or none or several do."""
    if (record(machine, name) or Record()).state == "stopped":
        return None, None
    program = fold(program_of(machine.registry_keys.text(f"{KEY}\\{name}", "ImagePath")))
    running = []
    for other in names(machine):
        own = record(machine, other)
        path = machine.registry_keys.text(f"{KEY}\\{other}", "ImagePath")
        if own is not None and own.pid is not None and fold(program_of(path)) == program:
            running.append((own.pid, own.started))
    return running[0] if len(running) == 1 else (None, None)


def run(machine: PythonMachine, name: str) -> Record:
    """Start one service that is stopped; its state right after that. One that is broken is still stopped, one that hangs is start-pending."""
    before = record(machine, name) or Record()
    if before.broken:
        return before
    after = _process(machine, before, "start-pending" if before.hangs else "running")
    keep(machine, name, after)
    return after


def stop(machine: PythonMachine, name: str) -> Record:
    """Stop one service."""
    after = replace(record(machine, name) or Record(), state="stopped", pid=None, started=None)
    keep(machine, name, after)
    return after


def _process(machine: PythonMachine, record: Record, state: str) -> Record:
    return replace(record, state=state, pid=machine.new_pid(), started=machine.clock.now())
