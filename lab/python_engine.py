"""
The `python` engine of the lab: machines whose verbs are twinned in Python over plain state. Needs nothing but Python.

A machine is one folder: `c/...` its drives, `*.json` the rest. Files of the machine are in disk.py, documents in state.py, the verbs in the
modules that verbs.py names, a running PowerShell in python_process.py. Imports nothing of the product.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from typing_extensions import override

from lab import certificates, services
from lab.disk import Disk, full_path
from lab.disk import read_only as is_read_only
from lab.engine import Engine, Machine, Process, RegistryValue, Service
from lab.python_process import PythonProcess
from lab.state import Clock, Registry, State, datetime_of, fold, ticks_of, time_text, write_whole

Role: TypeAlias = Literal["dc", "mfa", "mim"]

DOMAIN: Final = "contoso.com"
TCPIP: Final = r"HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters"
SYSTEM32: Final = r"C:\Windows\System32"
INETSRV: Final = rf"{SYSTEM32}\inetsrv"
CONFIGURATION: Final = fold(rf"{INETSRV}\config")
SCHEMA: Final = Path(__file__).parent / "data" / "schema.xml"
FOLDERS: Final = (SYSTEM32, r"C:\Program Files", r"C:\Program Files (x86)", r"C:\ProgramData", r"C:\Users")


def _directory() -> Any:
    return import_module("lab.directory")


def _parent(path: str) -> str:
    full = full_path(path)
    return full[: full.rindex("\\") + 1]


class PythonMachine(Machine):
    """
    One host. `role` says whether it has a directory (`dc`) or IIS (`mfa`).

    For the verbs: `disk` are its files, `registry` its registry, `state` its other documents, `clock` its time, `engine` the machines beside it.
    A verb runs while `exclusive()` is held; `let_go()` lets others have the machine during a wait.
    """

    def __init__(self, engine: PythonEngine, name: str, role: Role, clock: Clock | None = None) -> None:
        self.engine, self.name, self.role = engine, name, role
        self.folder = engine.root / name
        self.clock = clock or Clock()
        self.state = State(self.folder)
        self.registry_keys = Registry(self.state)
        self.disk = Disk(self.folder, self.clock)
        self._processes: weakref.WeakSet[PythonProcess] = weakref.WeakSet()
        self._last_pid = 0
        self.open()

    # -- life --

    @override
    def open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.exclusive():
            if self.state.read("machine") is not None:
                return
            for folder in FOLDERS:
                self.disk.make_folders(folder)
            if self.role == "mfa":  # as with the other engine; the configuration itself is what somebody seeds
                self.write_file(rf"{INETSRV}\Microsoft.Web.Administration.dll", b"MZ")
                self.write_file(rf"{INETSRV}\config\schema\IIS_schema.xml", SCHEMA.read_bytes())
            self.registry_keys.set(TCPIP, {"Hostname": self.name, "Domain": DOMAIN})
            self.state.write("machine", {"name": self.name, "role": self.role})

    @override
    def close(self) -> None:
        for process in tuple(self._processes):
            process.terminate()

    @override
    def start(self, argv: Sequence[str]) -> Process:
        process = PythonProcess(self, argv)
        self._processes.add(process)
        return process

    def exclusive(self) -> AbstractContextManager[None]:
        """Hold the machine against every other thread and process."""
        return self.state.exclusive()

    def let_go(self) -> AbstractContextManager[None]:
        """Inside `exclusive`: let others have the machine."""
        return self.state.let_go()

    def pause(self, seconds: float) -> None:
        """Inside `exclusive`: wait for something that another process of this machine may change."""
        with self.let_go():
            time.sleep(seconds)

    def new_pid(self) -> int:
        """A process id that no process of the machine has; a multiple of 4 as on Windows."""
        with self.exclusive():
            self._last_pid = max([self._last_pid, 1000, *services.pids(self)]) + 4
            return self._last_pid

    # -- what can differ --

    @override
    def snapshot(self) -> Mapping[str, str]:
        seen: dict[str, str] = {}
        with self.exclusive():
            for path, real in self.disk.files():
                folded = fold(path) + "\\"
                if folded.startswith("C:\\WINDOWS\\") and not folded.startswith(f"{CONFIGURATION}\\"):
                    continue
                if real.is_dir():
                    seen[f"folder {path}"] = ""
                    continue
                status = real.stat()
                parts = [
                    hashlib.sha256(real.read_bytes()).hexdigest(),
                    str(status.st_size),
                    time_text(status.st_mtime_ns // 100),
                ]
                seen[f"file {path}"] = " ".join([*parts, "read-only"] if is_read_only(real) else parts)
            for key, name, value in self.registry_keys.items():
                seen[f"registry {key}\\{name}"] = value.hex() if isinstance(value, bytes) else repr(value)
            for store, thumbprint, has_key in certificates.every(self):
                seen[f"certificate {store}\\{thumbprint}"] = "private key" if has_key else "no private key"
            for name, record in services.records(self).items():
                since = "" if record.started is None else f" {time_text(record.started)}"
                seen[f"service {name}"] = record.state + since
            for kind, states in sorted(self.iis_states().items()):
                for name, state in states.items():
                    seen[f"iis {kind} {name}"] = state
            if self.role == "dc":
                seen["directory"] = str(_directory().highest_usn(self))
        return seen

    # -- arranging: files --

    @override
    def write_file(self, path: str, data: bytes) -> None:
        with self.exclusive():
            self.disk.make_folders(_parent(path))
            here, missing = self.disk.place(path)
            mode = 0o644 if missing else here.stat().st_mode & 0o777
            write_whole(here.joinpath(*missing), data, mode=mode, times_ns=self.clock.now() * 100)

    @override
    def read_file(self, path: str) -> bytes | None:
        with self.exclusive():
            real = self.disk.real(path)
            return None if real is None or real.is_dir() else real.read_bytes()

    @override
    def remove_file(self, path: str) -> None:
        with self.exclusive():
            real = self.disk.real(path)
            if real is not None:
                real.unlink()

    @override
    def make_folder(self, path: str) -> None:
        with self.exclusive():
            self.disk.make_folders(path)

    @override
    def set_read_only(self, path: str, *, read_only: bool) -> None:
        with self.exclusive():
            self._there(path).chmod(0o444 if read_only else 0o644)

    @override
    def set_last_write(self, path: str, when: datetime) -> None:
        with self.exclusive():
            stamp = ticks_of(when) * 100
            os.utime(self._there(path), ns=(stamp, stamp))

    @override
    @contextlib.contextmanager
    def locked(self, path: str) -> Iterator[None]:
        with self.exclusive():
            file = self._there(path).open("rb")
        with file:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
            yield

    def _there(self, path: str) -> Path:
        real = self.disk.real(path)
        if real is None:
            raise FileNotFoundError(f"{self.name} has no {path}")
        return real

    # -- arranging: the rest --

    @override
    def registry(self, key: str) -> Mapping[str, RegistryValue]:
        return self.registry_keys.values(key)

    @override
    def set_registry(self, key: str, values: Mapping[str, RegistryValue]) -> None:
        self.registry_keys.set(key, values)

    @override
    def remove_registry(self, key: str) -> None:
        self.registry_keys.remove(key)

    @override
    def add_service(self, service: Service) -> None:
        with self.exclusive():
            if self.disk.kind(service.program) == "absent":
                self.write_file(service.program, b"MZ")
            services.install(self, service)

    @override
    def service_state(self, name: str) -> tuple[str, datetime | None]:
        with self.exclusive():
            record = services.record(self, name)
        if record is None:
            raise KeyError(f"{self.name} has no service {name}")
        return record.state, None if record.started is None else datetime_of(record.started)

    def hang_service(self, name: str) -> None:
        """From now on a service stays in start-pending when it is started: what a verb's `timeout` is seen with."""
        with self.exclusive():
            record = services.record(self, name) or services.Record()
            services.keep(self, name, replace(record, hangs=True))

    @override
    def add_certificate(self, pfx: bytes, password: str, store: str = "My", *, private_key: bool = True) -> str:
        with self.exclusive():
            return certificates.add(self, pfx, password, store, private_key=private_key)

    def iis_states(self) -> dict[str, dict[str, str]]:
        """State of sites and pools: `site` or `pool`, then name as spelled, to a state of Get-IisState."""
        states: dict[str, dict[str, str]] = self.state.read("iis", {})
        return states

    @override
    def set_iis_state(self, kind: Literal["site", "pool"], name: str, state: str) -> None:
        with self.exclusive():
            states = self.iis_states()
            own = states.get(kind, {})
            same = next((one for one in own if fold(one) == fold(name)), name)
            self.state.write("iis", states | {kind: own | {same: state}})

    def forget_iis_state(self, kind: Literal["site", "pool"], name: str) -> None:
        """A site or pool that is no more has no state either."""
        with self.exclusive():
            states = self.iis_states()
            kept = {one: state for one, state in states.get(kind, {}).items() if fold(one) != fold(name)}
            self.state.write("iis", states | {kind: kept})

    @override
    def directory_add(self, dn: str, attributes: Mapping[str, Sequence[str]]) -> None:
        self._directory_only()
        _directory().add(self, dn, attributes)

    @override
    def directory_values(self, dn: str, attribute: str) -> tuple[bytes, ...]:
        self._directory_only()
        found: tuple[bytes, ...] = _directory().values(self, dn, attribute)
        return found

    def _directory_only(self) -> None:
        if self.role != "dc":
            raise ValueError(f"{self.name} is no domain controller")


class PythonEngine(Engine):
    """
    Makes machines below `root`, one for a name however often it is asked for.

    + culture: such as `tr-TR`, of everything that runs on them
    """

    name: Literal["python", "powershell"] = "python"

    def __init__(self, root: Path, *, culture: str = "en-US") -> None:
        self.root, self.culture = root, culture
        self._machines: dict[str, PythonMachine] = {}

    @override
    def machine(self, name: str, role: Role) -> PythonMachine:
        known = self._machines.get(name)
        if known is None:
            known = self._machines.setdefault(name, PythonMachine(self, name, role))
        if known.role != role:
            raise ValueError(f"{name} is a machine of role {known.role}, not {role}")
        return known

    def machines(self, role: Role) -> tuple[PythonMachine, ...]:
        """Every machine of a role that was asked for so far, sorted by name: where a host finds its directory."""
        return tuple(one for _, one in sorted(self._machines.items()) if one.role == role)
