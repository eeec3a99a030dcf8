"""
The `powershell` engine of the lab: real PowerShell on machines of their own. Linux; nothing of Windows is imitated here.

`mfa` and `mim` are wine prefixes with the Windows build of PowerShell where Windows has it, real registry, services, certificate stores and files.
`dc` is a real Samba AD DC (lab/samba.py). Stand-ins for what neither has are compiled from lab/standins. `make engines` makes the template.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import pwd
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from typing_extensions import override

from lab.arranger import Arranger
from lab.engine import Engine, Machine, Process, RegistryValue, Service
from lab.process import EndedProcess, LocalProcess, keep_no_profile
from lab.samba import SambaMachine
from lab.template import ASSEMBLY, ENGINES, INETSRV, POWERSHELL, EngineError, held, refresh
from lab.wine import Prefix, clone, share

Role: TypeAlias = Literal["dc", "mfa", "mim"]

DOMAIN: Final = "contoso.com"
SEARCHED: Final = (r"C:\windows\system32", r"C:\windows", r"C:\windows\System32\WindowsPowerShell\v1.0")
CONTROL: Final = r"HKLM\SYSTEM\CurrentControlSet\Control\ComputerName"
SERVICES: Final = r"HKLM\SYSTEM\CurrentControlSet\Services"
WAS: Final = r"HKLM\SOFTWARE\LabStandin\WAS"
OURS: Final = r"HKLM\SOFTWARE\LabStandin\Services"
REAL_SERVICE: Final = r"C:\windows\system32\spoolsv.exe"  # runs under any name and path, README of shared/tools
NO_SERVICE: Final = r"C:\windows\system32\hostname.exe"  # ends at once: Windows and wine both say 1053
CACHE: Final = "AppData/Local/Microsoft/PowerShell"  # what PowerShell keeps for itself: no state of the machine
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class WineMachine(Machine):
    """
    One Windows host of the lab: a wine prefix below `root/name`, cloned from the template when it is first opened.

    + role: only a `mfa` machine has IIS
    + culture: such as `tr-TR`, of everything that runs in it

    A closed machine is one that is switched off: opened again, it starts its automatic services.
    """

    def __init__(
        self, name: str, root: Path, role: Role, *, engines: Path = ENGINES, culture: str | None = None
    ) -> None:
        self.name, self.role = name, role
        self.folder = root.absolute() / name
        self.prefix = Prefix(self.folder, culture, engines.absolute() / "locale")
        self._engines = engines
        self._lock = threading.RLock()
        self._arranging: Arranger | None = None
        self._named = False
        self._running: list[LocalProcess] = []
        self._hashes: dict[Path, tuple[tuple[int, ...], str]] = {}

    # -- life --

    @override
    def open(self) -> None:
        with self._lock:
            if self._arranging is not None:
                return
            with held(self._engines, shared=True):
                if not (self.folder / "system.reg").exists():
                    without = () if self.role == "mfa" else (INETSRV,)
                    clone(self._engines / "template", self.folder, own=(INETSRV / "config",), without=without)
                elif self.role == "mfa":
                    self._renew(INETSRV / ASSEMBLY)
            self.prefix.stop()  # what a lab that was killed left behind may still be going down
            if (profile := self._home()) != self.prefix.drive:
                keep_no_profile(profile / CACHE)
            # It also keeps the machine up: a prefix ends, services and all, with its last program. One whose lab was killed ends
            # by itself, since the arranger does when nobody holds its stdin any more.
            self._arranging, self._named = Arranger(lambda argv: self.prefix.start([POWERSHELL, *argv])), False

    def _renew(self, file: Path) -> None:
        """Take a file of the template that was compiled again since this machine was made."""
        newest, own = self._engines / "template" / "drive_c" / file, self.prefix.drive / file
        if newest.exists() and not (own.exists() and own.samefile(newest)):
            own.unlink(missing_ok=True)
            share(newest, own)

    @override
    def close(self) -> None:
        with self._lock:
            if self._arranging is None:
                return
            for process in self._running:
                process.terminate()
            self._running.clear()
            # First the prefix, so that its registry is written: its server was started by the arranger and would be killed with it.
            self.prefix.stop()
            self._arranging.close()
            self._arranging = None

    @override
    def start(self, argv: Sequence[str]) -> Process:
        self._arranger()  # what the first program of a prefix starts belongs to the machine, not to that program
        program = self._program(argv[0])
        if program is None:
            name = argv[0]
            return EndedProcess(
                f"'{name}' is not recognized as an internal or external command,\r\noperable program or batch file.\r\n"
            )
        process = self.prefix.start([program, *argv[1:]], self._home())
        with self._lock:
            self._running = [one for one in self._running if one.running]
            self._running.append(process)
        return process

    def _program(self, name: str) -> str | None:
        """The Windows path of a program: the one given, or found where Windows looks."""
        for folder in ("",) if "\\" in name or "/" in name else SEARCHED:
            for suffix in ("", ".exe"):
                found = self.prefix.host_path(f"{folder}\\{name}{suffix}" if folder else name + suffix)
                if found is not None and found.is_file() and found.suffix.lower() == ".exe":
                    return self.prefix.windows_path(found)
        return None

    def _home(self) -> Path:
        """Where a WinRS shell starts: the profile of its user, whom wine names after the one who runs it."""
        profile = self.prefix.drive / "users" / pwd.getpwuid(os.getuid()).pw_name
        return profile if profile.is_dir() else self.prefix.drive

    def _arranger(self) -> Arranger:
        """The arranger, once the machine is up; wine names a machine after the host at every start, so it gets its own name here."""
        with self._lock:
            self.open()
            arranger = self._arranging
            if arranger is None:
                raise EngineError(f"{self.name} is closed")
            if not self._named:
                name = self.name.upper()
                for key, values in {
                    rf"{CONTROL}\ComputerName": {"ComputerName": name},
                    rf"{CONTROL}\ActiveComputerName": {"ComputerName": name},
                    rf"{SERVICES}\Tcpip\Parameters": {"Hostname": self.name, "Domain": DOMAIN},
                }.items():
                    arranger.call("Set-RegistryKey", Key=key, Values=values)
                self._named = True
            return arranger

    # -- what can differ --

    @override
    def snapshot(self) -> Mapping[str, str]:
        seen = dict(self._files())
        found = self._arranger().call("Get-Snapshot")
        for key, values in sorted(found["registry"].items()):
            if key == OURS:
                continue
            for name, data in values.items():
                value = _from_json(data)
                kind, _, thing = name.partition(" ")
                if key == WAS:  # what else is there is the stand-in's own clockwork
                    if kind in ("site", "pool"):
                        seen[f"iis {kind} {thing}"] = str(value)
                else:
                    seen[f"registry {key}\\{name}"] = value.hex() if isinstance(value, bytes) else repr(value)
        for name, has_key in sorted(found["certificates"].items()):
            seen[f"certificate {name}"] = "private key" if has_key else "no private key"
        for name, state in sorted(found["services"].items()):
            seen[f"service {name}"] = " ".join([state["state"], *state["started"]])
        return seen

    def _files(self) -> Iterator[tuple[str, str]]:
        configuration = self.prefix.drive / INETSRV / "config"
        for top in (self.prefix.drive, configuration):
            for parent, folders, names in os.walk(top):
                if parent == str(self.prefix.drive):
                    folders.remove("windows")
                if parent.endswith(CACHE):
                    folders.clear()
                    names.clear()
                folders.sort()
                for name in folders:
                    yield f"folder {self.prefix.windows_path(Path(parent, name))}", ""
                for name in sorted(names):
                    path = Path(parent, name)
                    with contextlib.suppress(FileNotFoundError):  # it went away while we looked
                        yield f"file {self.prefix.windows_path(path)}", self._file(path)

    def _file(self, path: Path) -> str:
        status = path.stat()
        sign = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        known = self._hashes.get(path)
        if known is None or known[0] != sign:
            known = self._hashes[path] = (sign, hashlib.sha256(path.read_bytes()).hexdigest())
        ticks = status.st_mtime_ns // 100
        time = f"{EPOCH + timedelta(seconds=ticks // 10**7):%Y-%m-%dT%H:%M:%S}.{ticks % 10**7:07}Z"
        parts = [known[1], str(status.st_size), time]
        return " ".join(parts if status.st_mode & 0o222 else [*parts, "read-only"])

    # -- arranging: files --

    @override
    def write_file(self, path: str, data: bytes) -> None:
        file = self._place(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        # A new file in its place: the old one may be shared with the template, or run.
        beside = file.with_name(f"{file.name}.lab")
        beside.write_bytes(data)
        beside.chmod(0o644)
        beside.replace(file)

    @override
    def read_file(self, path: str) -> bytes | None:
        file = self._place(path)
        return file.read_bytes() if file.is_file() else None

    @override
    def remove_file(self, path: str) -> None:
        self._place(path).unlink(missing_ok=True)

    @override
    def make_folder(self, path: str) -> None:
        self._place(path).mkdir(parents=True, exist_ok=True)

    @override
    def set_read_only(self, path: str, *, read_only: bool) -> None:
        self._place(path).chmod(0o444 if read_only else 0o644)  # which is how wine keeps the attribute

    @override
    def set_last_write(self, path: str, when: datetime) -> None:
        stamp = (when - EPOCH) // timedelta(microseconds=1) * 1000
        os.utime(self._place(path), ns=(stamp, stamp))

    @override
    @contextlib.contextmanager
    def locked(self, path: str) -> Iterator[None]:
        arranger = self._arranger()
        arranger.call("Lock-File", Path=path)
        try:
            yield
        finally:
            arranger.call("Unlock-File", Path=path)

    def _place(self, path: str) -> Path:
        with self._lock:
            if not self.folder.exists():
                self.open()
        found = self.prefix.host_path(path)
        if found is None:
            raise ValueError(
                f"{self.name}: {path} is not a path of drive C, the only one that a machine of the lab has"
            )
        return found

    # -- arranging: the rest --

    @override
    def registry(self, key: str) -> Mapping[str, RegistryValue]:
        found = self._arranger().call("Get-RegistryKey", Key=key)
        return {name: _from_json(value) for name, value in found.items()}

    @override
    def set_registry(self, key: str, values: Mapping[str, RegistryValue]) -> None:
        self._arranger().call("Set-RegistryKey", Key=key, Values={name: _to_json(one) for name, one in values.items()})

    @override
    def remove_registry(self, key: str) -> None:
        self._arranger().call("Remove-RegistryKey", Key=key)

    @override
    def add_service(self, service: Service) -> None:
        arranger = self._arranger()
        if service.running or not service.broken:
            self.write_file(service.program, self._place(REAL_SERVICE).read_bytes())
        arranger.call(
            "Add-Service",
            Service=service.name,
            Program=service.program,
            DisplayName=service.display_name or service.name,
            Account=service.account,
            Start=service.start,
            DependsOn=list(service.depends_on),
            Running=service.running,
        )
        if service.broken:
            self.write_file(service.program, self._place(NO_SERVICE).read_bytes())

    @override
    def service_state(self, name: str) -> tuple[str, datetime | None]:
        found = self._arranger().call("Get-ServiceState", Service=name)
        started = found["started"]
        return found["state"], datetime.fromisoformat(started[0]) if len(started) == 1 else None

    @override
    def add_certificate(self, pfx: bytes, password: str, store: str = "My", *, private_key: bool = True) -> str:
        encoded = base64.b64encode(pfx).decode()
        added = self._arranger().call(
            "Add-Certificate", Pfx=encoded, Password=password, Store=store, PrivateKey=private_key
        )
        return str(added)

    @override
    def set_iis_state(self, kind: Literal["site", "pool"], name: str, state: str) -> None:
        self.set_registry(WAS, {f"{kind} {name}": state})

    @override
    def directory_add(self, dn: str, attributes: Mapping[str, Sequence[str]]) -> None:
        raise ValueError(f"{self.name} is no domain controller")

    @override
    def directory_values(self, dn: str, attribute: str) -> tuple[bytes, ...]:
        raise ValueError(f"{self.name} is no domain controller")


def _to_json(value: RegistryValue) -> Any:
    match value:
        case bytes():
            return {"bytes": base64.b64encode(value).decode()}
        case tuple():
            return {"texts": list(value)}
        case _:
            return value


def _from_json(value: Any) -> RegistryValue:
    match value:
        case {"bytes": str(text)}:
            return base64.b64decode(text)
        case {"texts": list(texts)}:
            return tuple(texts)
        case int():
            return value % 2**32 if value < 0 else value  # .NET gives a DWORD as a signed number
        case _:
            return str(value)


class PowershellEngine(Engine):
    """
    Makes machines below `root`, one for a name however often it is asked for.

    + engines: what `make engines` made; `.engines` of the repository when omitted
    + culture: such as `tr-TR`, of everything that runs on them

    Raises EngineError where that is not there or too old.
    """

    name: Literal["python", "powershell"] = "powershell"

    def __init__(self, root: Path, *, engines: Path = ENGINES, culture: str | None = None) -> None:
        self.root = root
        self._engines, self._culture = engines, culture
        self._machines: dict[str, Machine] = {}
        self._lock = threading.Lock()
        self._fresh = False

    @override
    def machine(self, name: str, role: Role) -> Machine:
        with self._lock:
            if name not in self._machines:
                self._machines[name] = self._made(name, role)
            return self._machines[name]

    def _made(self, name: str, role: Role) -> Machine:
        if role == "dc":
            return SambaMachine(name, self.root, template=self._engines / "samba", culture=self._culture)
        if role == "mfa" and not self._fresh:  # the others have no IIS
            refresh(self._engines)
            self._fresh = True
        return WineMachine(name, self.root, role, engines=self._engines, culture=self._culture)
