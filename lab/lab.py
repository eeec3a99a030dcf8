"""
A lab within this process: machines of an engine behind the WinRM server, with a journal. In the background: lab/control.py.

    with Lab(tmp_path, hosts={"mim01": "mim"}) as lab:
        lab.connection("mim01")          # host data for an inventory
        lab.machine("mim01").write_file("C:\\\\x", b"")
        since = lab.mark(); ...; lab.changes(since)
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias

from typing_extensions import override

from lab import journal
from lab.access import Scheme
from lab.auth import DOMAIN
from lab.control import HOSTS, Address, Role, connection, known_engine
from lab.engine import Engine, Machine
from lab.folder import AlreadyRunsError, Folder, LabError
from lab.server import ServedHost, Server
from lab.shells import Limits, Shells
from lab.watch import HostWatcher, Record

EngineName: TypeAlias = Literal["python", "powershell"]
Seed: TypeAlias = Callable[[Machine, Role, str | None], None]

LOG: Final = logging.getLogger("lab")
AT_ONCE: Final = 8  # machines that are opened side by side

_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,13}[a-z0-9])?", re.ASCII)


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
        self._own_engine = isinstance(engine, str)
        self._engine: Engine = _load(engine, self._folder) if isinstance(engine, str) else engine
        self._limits = Limits() if limits is None else limits
        self._mim_build, self._seed = mim_build, _seed if seed is None else seed
        self._machines: dict[str, Machine] = {}
        self._served: dict[str, ServedHost] = {}
        self._addresses: dict[str, Address] = {}
        self._server: Server | None = None
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
            self._server = server
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
        """Host data for an inventory, see lab/control.py."""
        return connection(host, self.root, scheme=scheme, transport=transport)

    def connections(self) -> int:
        """How many TCP connections are open."""
        return self._server.connections() if self._server else 0

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
        if self._own_engine and not seeded:
            self._folder.forget_state(name)  # of a first start that did not come to its end
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


def serve(lab: Lab, ready: Callable[[], None]) -> None:
    """Run a lab in this process, on the main thread, until SIGTERM or SIGINT."""
    told, tell = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _got, _frame: os.write(tell, b"."))
    with lab:
        LOG.info("ready after %.2f s of processor time", time.process_time())
        ready()
        os.read(told, 1)


def _load(name: str, folder: Folder) -> Engine:
    """The engine of that name; its module is loaded only now."""
    module: Any = importlib.import_module(f"lab.{known_engine(name)}_engine")
    engine: Engine = getattr(module, f"{name.capitalize()}Engine")(folder.state(name))
    return engine


def _seed(machine: Machine, role: Role, mim_build: str | None) -> None:
    from lab.seed import seed  # noqa: PLC0415 (only new machines need it)

    if mim_build is None:
        seed(machine, role)
    else:
        seed(machine, role, mim_build=mim_build)
