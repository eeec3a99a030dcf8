"""
A lab in a process of its own: start it, find it, stop it, read what it wrote. Light to load; the lab itself is in lab/lab.py.

    ensure_started("python")
    connection("mim01")                  # host data for an inventory
    since = mark(); ...; changes(since)
    stop()
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from lab import journal
from lab.access import Scheme, count_requests
from lab.auth import DOMAIN
from lab.folder import Folder, LabError

Role: TypeAlias = Literal["dc", "mfa", "mim"]

LOOPBACK: Final = "127.0.0.1"
HOSTS: Final[Mapping[str, Role]] = {"dc01": "dc", "mfa01": "mfa", "mim01": "mim"}
ENGINES: Final = ("python", "powershell")
SETTINGS_ROOTS: Final = ("plain", "namespace", "nested")  # shapes of MfaSettings.xml, see lab/seed.py
WAIT_S: Final = 120.0  # for a lab to become ready, or to end: real prefixes and a real directory take their time

_TREE: Final = Path(__file__).resolve().parents[1]
ROOT: Final = (_TREE if (_TREE / "pyproject.toml").exists() else Path.cwd()) / ".lab"


@dataclass(frozen=True)
class Address:
    """Where a host is served."""

    host: str
    http: int
    https: int


@dataclass(frozen=True)
class Status:
    """The lab that runs in a folder."""

    pid: int
    engine: str
    hosts: tuple[Address, ...]
    roles: Mapping[str, str]

    def __str__(self) -> str:
        lines = [f"The lab runs: engine {self.engine}, process {self.pid}"]
        lines += [
            f"  {at.host:<15} http://{LOOPBACK}:{at.http}/wsman  https://{LOOPBACK}:{at.https}/wsman"
            for at in self.hosts
        ]
        return "\n".join(lines)


def status(root: Path = ROOT) -> Status | None:
    """The lab that runs and is ready; None when none is."""
    run = Folder(root).run()
    if run is None:
        return None
    hosts = tuple(Address(host, at["http"], at["https"]) for host, at in run["hosts"].items())
    return Status(run["pid"], run["engine"], hosts, {host: at["role"] for host, at in run["hosts"].items()})


def known_engine(name: str) -> str:
    """The name itself. Raises LabError where there is no engine of it."""
    if name not in ENGINES:
        raise LabError(f"Engine {name!r} is not known. Expected {' or '.join(ENGINES)}.")
    return name


def ensure_started(
    engine: str = "python",
    root: Path = ROOT,
    *,
    hosts: Mapping[str, str] | None = None,
    mim_build: str | None = None,
    settings_root: str | None = None,
) -> bool:
    """
    Start a lab in the background unless one runs; it is ready when this returns. True when it was started now.

    Raises LabError where it does not start, or runs with another engine or without a host that is asked for.
    """
    known_engine(engine)
    started = False
    if status(root) is None:
        arguments = ["serve", "--detach", "--root", str(root.absolute()), "--engine", engine]
        arguments += [f"--host={name}={role}" for name, role in (hosts or {}).items()]
        arguments += [] if mim_build is None else [f"--mim-build={mim_build}"]
        arguments += [] if settings_root is None else [f"--settings-root={settings_root}"]
        done = subprocess.run(
            [sys.executable, "-m", "lab", *arguments], cwd=_TREE, check=False, capture_output=True, text=True
        )
        if done.returncode:
            said = done.stderr.strip() or done.stdout.strip() or "The lab did not start."
            raise LabError(said if "server.log" in said else f"{said} More in {root / 'server.log'}.")
        started = done.stdout.startswith("started")
    now = status(root)
    if now is None:
        raise LabError(f"The lab in {root} has ended again. See {root / 'server.log'}.")
    missing = set(HOSTS if hosts is None else hosts) - {at.host for at in now.hosts}
    if now.engine != engine or (missing and hosts is not None):
        found = f"engine {now.engine}, hosts {', '.join(at.host for at in now.hosts)}"
        raise LabError(f"The lab in {root} runs already: {found}. Stop it first: python -m lab stop")
    return started


def stop(root: Path = ROOT) -> bool:
    """End the lab that runs in the folder; False when none does. Raises LabError where it does not end."""
    folder = Folder(root)
    if not _until(lambda: folder.owner() != 0):
        raise LabError(f"A lab holds {root} and does not say which process it is.")
    pid = folder.owner()
    if pid is None:
        return False
    if pid == os.getpid():
        raise LabError(f"The lab in {root} runs in this very process. Use its own stop().")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    if not _until(lambda: folder.owner() is None):
        raise LabError(f"The lab in {root}, process {pid}, does not end. See {folder.server_log}.")
    return True


def reset(
    root: Path = ROOT,
    *,
    engine: str | None = None,
    hosts: Mapping[str, str] | None = None,
    mim_build: str | None = None,
    settings_root: str | None = None,
) -> None:
    """
    Throw the state of all hosts away and start the lab anew, as installed; account, certificates and ports stay.

    + engine: the one that runs, else `python`, when None
    + hosts: name to role; those that run, else the default ones, when None
    + settings_root: shape of MfaSettings.xml, one of SETTINGS_ROOTS; `plain` when None
    """
    now = status(root)
    chosen = known_engine(engine or (now.engine if now else "python"))
    stop(root)
    Folder(root).forget_state(chosen)
    roles = hosts or (now.roles if now else None)
    ensure_started(chosen, root, hosts=roles, mim_build=mim_build, settings_root=settings_root)


def connection(
    host: str, root: Path = ROOT, *, scheme: Scheme = "https", transport: str = "ntlm"
) -> dict[str, str | int]:
    """
    Host data of pyinfra for a host of the lab that runs: `winrm_hostname winrm_port winrm_scheme winrm_transport winrm_user winrm_password winrm_ca`,
    and `directory_*` of a host whose directory is a real one.

    Raises LabError where no lab runs or it has no such host.
    """
    now, folder = status(root), Folder(root)
    if now is None:
        raise LabError(f"No lab runs in {root}. Start it: python -m lab start")
    found = {at.host: at for at in now.hosts}
    if host not in found:
        raise LabError(f"The lab has no host {host}. It has {', '.join(found)}.")
    account = folder.account()
    own = folder.state(now.engine) / host / "connection.json"  # a real directory server says how it is reached
    more: dict[str, str | int] = json.loads(own.read_text(encoding="ascii")) if own.exists() else {}
    return more | {
        "winrm_hostname": LOOPBACK,
        "winrm_port": found[host].https if scheme == "https" else found[host].http,
        "winrm_scheme": scheme,
        "winrm_transport": transport,
        "winrm_user": f"{DOMAIN}\\{account.name}",
        "winrm_password": account.password,
        "winrm_ca": str(folder.authority()),
    }


def mark(root: Path = ROOT) -> int:
    """Where the journal of a lab ends now."""
    return journal.mark(root)


def changes(since: int, root: Path = ROOT) -> tuple[tuple[str, journal.StateChange], ...]:
    """What changed after a mark, by host, in shells that have ended."""
    return journal.changes(root, since)


def requests(since: int = 0, root: Path = ROOT) -> tuple[dict[str, int], int]:
    """HTTP requests by host after a place in the access log, and the place where it ends now."""
    return count_requests(root, since)


def wait_ready(root: Path) -> bool:
    """Wait for a lab that another process is starting; False when it did not come up."""
    folder = Folder(root)
    _until(lambda: folder.owner() is None or folder.run() is not None)
    return status(root) is not None


def _until(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + WAIT_S
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
