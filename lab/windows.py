"""The `windows` verbs of the python engine: the host itself, services, products, certificates (docs/verbs.md, windows)."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal

from lab import certificates, services
from lab.state import fold, ticks_of, time_text
from lab.verbs import Result, Session, Verb, VerbError

if TYPE_CHECKING:
    from lab.python_engine import PythonMachine

POWERSHELL: Final = "5.1.17763.1"
EDITION: Final = "Desktop"
UNINSTALL: Final = r"Microsoft\Windows\CurrentVersion\Uninstall"
VIEWS: Final[Mapping[str, str]] = {"64": rf"HKLM\SOFTWARE\{UNINSTALL}", "32": rf"HKLM\SOFTWARE\WOW6432Node\{UNINSTALL}"}
TCPIP: Final = r"HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters"
POLL_S: Final = 0.02
STATES: Final = frozenset(
    {"stopped", "start-pending", "stop-pending", "running", "continue-pending", "pause-pending", "paused"}
)
# What Windows answers to a start (winerror.h: 2, 1053, 1068).
FILE_NOT_FOUND: Final = 0x80070002
NO_ANSWER: Final = 0x8007041D
DEPENDENCY_FAILED: Final = 0x8007042C


def get_host_info(machine: PythonMachine, *, session: Session) -> Result:
    """The host about itself. The logon is always the domain's administrator: an engine is not told who opened the shell."""
    domain = machine.registry_keys.text(TCPIP, "Domain")
    computer = machine.name.upper()[:15]  # a NetBIOS name has no more
    return {
        "computer": computer,
        "domain": domain,
        "os_version": "10.0.17763.0",
        "powershell": POWERSHELL,
        "edition": EDITION,
        "is64": True,
        "user": f"{domain.partition('.')[0].upper() or computer}\\Administrator",
        "culture": machine.engine.culture,
        "system_drive": "C:",
        "system_root": services.VARIABLES["SYSTEMROOT"],
        "time_utc": time_text(machine.clock.now()),
        "pid": session.pid,
    }


def get_service_state(machine: PythonMachine, *, service: str) -> Result:
    """One service: its configuration, its state and process, and what depends on it."""
    name, record = services.spelled(machine, service), services.record(machine, service)
    if name is None or record is None:
        nothing = ("display_name", "state", "start", "path", "program", "account", "pid", "started_utc")
        return {"found": False, "service": service} | dict.fromkeys(nothing) | {"depends_on": [], "dependents": []}
    key = f"{services.KEY}\\{name}"
    path = machine.registry_keys.text(key, "ImagePath")
    pid, started = services.process_of(machine, name)
    return {
        "found": True,
        "service": name,
        "display_name": machine.registry_keys.text(key, "DisplayName") or name,
        "state": record.state,
        "start": services.start_of(machine, name),
        "path": path,
        "program": services.program_of(path),
        "account": machine.registry_keys.text(key, "ObjectName"),
        "pid": pid,
        "started_utc": None if started is None else time_text(started),
        "depends_on": list(services.depends_on(machine, name)),
        "dependents": [
            {"service": other, "state": _record(machine, other).state} for other in services.dependents(machine, name)
        ],
    }


def set_service_state(
    machine: PythonMachine,
    *,
    service: str,
    state: Literal["running", "stopped"],
    expected: str,
    timeout_s: int = 60,
    session: Session,
) -> Result:
    """Start or stop one service and wait until it is there."""
    if expected not in STATES:
        raise VerbError("invalid", "expected", "is not a state of a service")
    if timeout_s < 0:
        raise VerbError("invalid", "timeout_s", f"is {timeout_s}, expected 0 or more")
    name = services.spelled(machine, service)
    if name is None:
        raise VerbError("missing", service, "no service has this name")
    record = _record(machine, name)
    if record.state != expected:
        raise VerbError("conflict", service, f"it is {record.state}, expected {expected}")
    if state == "running" and record.state == "stopped":
        _start(machine, name, service)
    elif state == "stopped" and record.state == "running":
        for other in services.dependents(machine, name):
            found = _record(machine, other).state
            if found != "stopped":
                raise VerbError("busy", service, f"the service {other} depends on it and is {found}")
        services.stop(machine, name)
    if not _reached(machine, name, state, timeout_s, session):
        found = _record(machine, name).state
        raise VerbError("timeout", service, f"is {found} after {timeout_s} seconds, expected {state}")
    pid, started = services.process_of(machine, name)
    return {"state": state, "pid": pid, "started_utc": None if started is None else time_text(started)}


def get_installed_product(machine: PythonMachine, *, product: str) -> Result:
    """Every entry of the installed programs with that name, the 64-bit view first."""
    found = []
    for view, parent in VIEWS.items():
        for key in machine.registry_keys.children(parent):
            values = {fold(name): value for name, value in machine.registry_keys.values(f"{parent}\\{key}").items()}
            shown = values.get("DISPLAYNAME")
            if isinstance(shown, str) and fold(shown) == fold(product):
                version, publisher = (str(values.get(name, "")) for name in ("DISPLAYVERSION", "PUBLISHER"))
                found.append({"product": shown, "version": version, "publisher": publisher, "key": key, "view": view})
    return {"products": found}


def get_certificate(machine: PythonMachine, *, thumbprint: str, store: str = "My") -> Result:
    """One certificate of a LocalMachine store."""
    if not re.fullmatch("[0-9A-Fa-f]{40}", thumbprint):
        raise VerbError("invalid", thumbprint, "is no thumbprint, expected 40 hex digits")
    try:
        found = certificates.find(machine, store, thumbprint)
    except KeyError:
        raise VerbError("missing", store, "the local machine has no certificate store of this name") from None
    if found is None:
        nothing = ("subject", "issuer", "not_before_utc", "not_after_utc")
        absent = {"found": False, "thumbprint": thumbprint.upper()} | dict.fromkeys(nothing)
        return absent | {"names": [], "has_private_key": False, "usages": []}
    return {
        "found": True,
        "thumbprint": found.thumbprint,
        "subject": certificates.name_text(found.x509.subject),
        "issuer": certificates.name_text(found.x509.issuer),
        "names": found.names,
        "not_before_utc": time_text(ticks_of(found.x509.not_valid_before_utc)),
        "not_after_utc": time_text(ticks_of(found.x509.not_valid_after_utc)),
        "has_private_key": found.private_key,
        "usages": found.usages,
    }


def _record(machine: PythonMachine, name: str) -> services.Record:
    return services.record(machine, name) or services.Record()


def _start(machine: PythonMachine, name: str, asked: str) -> None:
    """Start a service and, before it, what it depends on that is stopped, as the service control manager does."""
    if services.start_of(machine, name) == "disabled":
        raise VerbError("invalid", asked, f"the service {name} is disabled, expected another start type")
    for needed in services.depends_on(machine, name):
        if needed.startswith("+"):  # a load order group, not a service
            continue
        other = services.spelled(machine, needed)
        try:
            if other is None:
                raise VerbError("missing", needed, "does not exist")
            if _record(machine, other).state == "stopped":
                _start(machine, other, asked)
        except VerbError as error:
            why = f"the service {needed}, which {name} needs, did not start: {error.why}"
            raise VerbError("unknown", asked, why, hresult=DEPENDENCY_FAILED) from error
    program = services.program_of(machine.registry_keys.text(f"{services.KEY}\\{name}", "ImagePath"))
    if machine.disk.kind(program) != "file":
        raise VerbError("unknown", asked, f"the program of the service {name} does not exist", hresult=FILE_NOT_FOUND)
    if services.run(machine, name).state == "stopped":
        why = f"the program of the service {name} did not answer the service control manager; it is stopped, expected running"
        raise VerbError("timeout", asked, why, hresult=NO_ANSWER)


def _reached(machine: PythonMachine, name: str, state: str, timeout_s: int, session: Session) -> bool:
    deadline = time.monotonic() + timeout_s
    while _record(machine, name).state != state:
        if time.monotonic() >= deadline or session.ended.is_set():
            return False
        machine.pause(POLL_S)
    return True


VERBS: Final[Mapping[str, Verb]] = {
    "Get-HostInfo": get_host_info,
    "Get-ServiceState": get_service_state,
    "Set-ServiceState": set_service_state,
    "Get-InstalledProduct": get_installed_product,
    "Get-Certificate": get_certificate,
}
