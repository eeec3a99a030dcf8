"""
Starting and stopping a lab: `Lab` within this process, the functions below it in a process of its own. No WinRM here.

    with Lab(tmp_path, hosts={"mim01": "mim"}) as lab:
        lab.connection("mim01")          # host data for an inventory
        lab.machine("mim01").write_file("C:\\\\x", b"")
        since = lab.mark(); ...; lab.changes(since)

    ensure_started("python"); connection("mim01"); stop()
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias

from typing_extensions import override

from lab import journal
from lab.auth import DOMAIN
from lab.engine import Engine, Machine
from lab.folder import AlreadyRunsError, Folder, LabError
from lab.server import LOOPBACK, Scheme, ServedHost, Server, count_requests
from lab.shells import Limits, Shells
from lab.watch import HostWatcher, Record

Role: TypeAlias = Literal["dc", "mfa", "mim"]
EngineName: TypeAlias = Literal["python", "powershell"]
Seed: TypeAlias = Callable[[Machine, Role, str | None], None]

HOSTS: Final[Mapping[str, Role]] = {"dc01": "dc", "mfa01": "mfa", "mim01": "mim"}
ENGINES: Final = ("python", "powershell")
AT_ONCE: Final = 8  # machines that are opened side by side
WAIT_S: Final = 120.0  # for a lab to become ready, or to end: real prefixes and a real directory take their time

_TREE: Final = Path(__file__).resolve().parents[1]
ROOT: Final = (_TREE if (_TREE / "pyproject.toml").exists() else Path.cwd()) / ".lab"

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,13}[a-z0-9])?", re.ASCII)


@dataclass(frozen=True)
class Address:
    """Where a host is served."""

    host: str
    http: int
    https: int


class Lab(AbstractContextManager["Lab"]):
    """
    A lab in this process.

    + root: its folder; state that is there is used again
    + engine: `python` or `powershell`, or an engine of your own
    + hosts: name to role, names as a NetBIOS name in lower case
    + limits: what Windows limits, see lab/shells.py
    + mim_build: version of MIM that a machine gets when it is first made; the seed's own when None
    + seed: arranges a machine that is made for the first time; lab/seed.py when None

    Raises AlreadyRunsError where another lab runs in that folder, LabError for a name or an engine that cannot be.
    """

    def __init__(
        self,
        root: Path,
        engine: EngineName | Engine = "python",
        hosts: Mapping[str, Role] | None = None,
        *,
        limits: Limits | None = None,
        mim_build: str | None = None,
        seed: Seed | None = None,
    ) -> None:
        self.roles = dict(HOSTS if hosts is None else hosts)
        for name, role in self.roles.items():
            if not _NAME.fullmatch(name) or role not in {"dc", "mfa", "mim"}:
                raise LabError(
                    f"Host {name!r} with role {role!r} cannot be. Expected a name such as mim02, and dc, mfa or mim."
                )
        self.root = root
        self._folder = Folder(root)
        self._engine: Engine = _load(engine, self._folder) if isinstance(engine, str) else engine
        self._limits = Limits() if limits is None else limits
        self._mim_build, self._seed = mim_build, _seed if seed is None else seed
        self._machines: dict[str, Machine] = {}
        self._served: dict[str, ServedHost] = {}
        self._addresses: dict[str, Address] = {}
        self._ends = ExitStack()

    def start(self) -> None:
        """Make it ready to be used; after a failure nothing of it is left running."""
        if not self._folder.lock():
            raise AlreadyRunsError(f"A lab runs in {self.root} already. Stop it, or use another folder.")
        with ExitStack() as ends:
            ends.callback(self._folder.unlock)
            account = self._folder.account(self.roles)
            self._folder.ensure_certificates(self.roles)
            self._open(ends)
            server = Server(self.root, account, self._folder.users, self._limits)
            ends.callback(server.stop)
            self._serve(server)
            self._ends = ends.pop_all()

    def stop(self) -> None:
        """End everything; every open shell is journaled first. Again is fine."""
        self._ends.close()

    @override
    def __enter__(self) -> Self:
        self.start()
        return self

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def machine(self, host: str) -> Machine:
        """The machine behind a host, to arrange and to look."""
        return self._machines[host]

    def served(self, host: str) -> ServedHost:
        """The host as it is served: its counter, its shells, and trouble for tests."""
        return self._served[host]

    def address(self, host: str) -> Address:
        return self._addresses[host]

    def connection(self, host: str, scheme: Scheme = "https", transport: str = "ntlm") -> dict[str, str | int]:
        """Host data for an inventory, see `connection` below."""
        return connection(host, self.root, scheme=scheme, transport=transport)

    def mark(self) -> int:
        """Where the journal ends now."""
        return journal.mark(self.root)

    def changes(self, since: int) -> tuple[tuple[str, journal.StateChange], ...]:
        """What changed after a mark, by host, in shells that have ended."""
        return journal.changes(self.root, since)

    def _open(self, ends: ExitStack) -> None:
        """Make and open the machines, side by side, and seed the new ones."""
        name = self._engine.name
        seeded = self._folder.seeded(name)
        self._machines = {host: self._engine.machine(host, role) for host, role in self.roles.items()}

        def ready(host: str) -> None:
            machine = self._machines[host]
            machine.open()
            if host not in seeded:
                self._seed(machine, self.roles[host], self._mim_build)

        for machine in self._machines.values():
            ends.callback(machine.close)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="lab open") as pool:
            list(pool.map(ready, self.roles))
        new = {host: {"role": role, "mim_build": self._mim_build} for host, role in self.roles.items()}
        self._folder.write_seeded(name, {**new, **seeded})

    def _serve(self, server: Server) -> None:
        written, record, ports = journal.Journal(self.root), Record(self.root), self._folder.ports()
        owner = f"{DOMAIN}\\{self._folder.account().name}"
        for host, machine in self._machines.items():
            watcher = HostWatcher(host, machine, written, record)
            shells = Shells(machine, watcher, name=host, owner=owner, limits=self._limits)
            self._served[host] = ServedHost(host, shells, self._folder.certificate(host))
            wanted: dict[Scheme, int] = {
                scheme: ports[host][scheme] for scheme in ("http", "https") if host in ports and scheme in ports[host]
            }
            chosen = server.add(self._served[host], wanted)
            self._addresses[host] = Address(host, chosen["http"], chosen["https"])
        addresses = {host: {"http": at.http, "https": at.https} for host, at in self._addresses.items()}
        self._folder.write_ports(addresses)
        server.start()
        hosts = {host: {"role": role, **addresses[host]} for host, role in self.roles.items()}
        self._folder.write_run({"engine": self._engine.name, "hosts": hosts, "pid": os.getpid()})


# -- a lab in a process of its own --


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


def ensure_started(
    engine: str = "python",
    root: Path = ROOT,
    *,
    hosts: Mapping[str, str] | None = None,
    mim_build: str | None = None,
) -> bool:
    """
    Start a lab in the background unless one runs; it is ready when this returns. True when it was started now.

    Raises LabError where it does not start, or runs with another engine or without a host that is asked for.
    """
    started = False
    if status(root) is None:
        arguments = ["serve", "--detach", "--root", str(root.absolute()), "--engine", engine]
        arguments += [f"--host={name}={role}" for name, role in (hosts or {}).items()]
        arguments += [] if mim_build is None else [f"--mim-build={mim_build}"]
        done = subprocess.run(
            [sys.executable, "-m", "lab", *arguments], cwd=_TREE, check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise LabError(
                (done.stderr.strip() or done.stdout.strip() or "The lab did not start.")
                + f" More in {root / 'server.log'}."
            )
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
) -> None:
    """
    Throw the state of all hosts away and start the lab anew, as installed; account, certificates and ports stay.

    + engine: the one that runs, else `python`, when None
    + hosts: name to role; those that run, else the default ones, when None
    """
    now = status(root)
    stop(root)
    chosen = engine or (now.engine if now else "python")
    if chosen not in ENGINES:
        raise LabError(f"Engine {chosen!r} is not known. Expected python or powershell.")
    Folder(root).forget_state(chosen)
    ensure_started(chosen, root, hosts=hosts or (now.roles if now else None), mim_build=mim_build)


def connection(
    host: str, root: Path = ROOT, *, scheme: Scheme = "https", transport: str = "ntlm"
) -> dict[str, str | int]:
    """
    Host data of pyinfra for a host of the lab that runs: `winrm_hostname winrm_port winrm_scheme winrm_transport winrm_user winrm_password winrm_ca`.

    Raises LabError where no lab runs or it has no such host.
    """
    now, folder = status(root), Folder(root)
    if now is None:
        raise LabError(f"No lab runs in {root}. Start it: python -m lab start")
    found = {at.host: at for at in now.hosts}
    if host not in found:
        raise LabError(f"The lab has no host {host}. It has {', '.join(found)}.")
    account = folder.account()
    return {
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


def serve(lab: Lab, ready: Callable[[], None]) -> None:
    """Run a lab in this process, on the main thread, until SIGTERM or SIGINT."""
    told, tell = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _got, _frame: os.write(tell, b"."))
    with lab:
        ready()
        os.read(told, 1)


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


def _load(name: str, folder: Folder) -> Engine:
    """The engine of that name; its module is loaded only now."""
    if name not in ENGINES:
        raise LabError(f"Engine {name!r} is not known. Expected python or powershell.")
    module: Any = importlib.import_module(f"lab.{name}_engine")
    engine: Engine = getattr(module, f"{name.capitalize()}Engine")(folder.state(name))
    return engine


def _seed(machine: Machine, role: Role, mim_build: str | None) -> None:
    from lab.seed import seed  # noqa: PLC0415 (only new machines need it)

    if mim_build is None:
        seed(machine, role)
    else:
        seed(machine, role, mim_build=mim_build)
