"""
What an engine is: machines that run commands and keep state. Interfaces only.

Implemented by lab/python_engine.py (the verbs twinned in Python over plain state) and lab/powershell_engine.py (real PowerShell under
wine, and on Linux for the directory). lab/wsman.py starts processes through it; lab/seed.py and the tests arrange state through it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

# REG_SZ or REG_EXPAND_SZ, REG_DWORD, REG_BINARY, REG_MULTI_SZ
RegistryValue: TypeAlias = str | int | bytes | tuple[str, ...]


@dataclass(frozen=True)
class Output:
    """What a process wrote since the last read; `exit_code` is None while it runs."""

    stdout: bytes = b""
    stderr: bytes = b""
    exit_code: int | None = None


class Process(Protocol):
    """One running command of a shell."""

    def write(self, data: bytes, *, end: bool) -> None:
        """Give bytes to its stdin; `end` closes it. A process that is gone swallows them."""

    def read(self, timeout_s: float) -> Output:
        """Wait until it wrote something or ended, at most `timeout_s`; an empty Output is "nothing yet"."""

    def terminate(self) -> None:
        """End it and its children. Again is fine."""


@dataclass(frozen=True)
class Service:
    """A Windows service of a machine, as it is installed. `broken`: it does not come up."""

    name: str
    program: str  # full path; its ImagePath is this in quotes
    display_name: str = ""
    account: str = "LocalSystem"
    start: Literal["automatic", "manual", "disabled"] = "automatic"
    depends_on: Sequence[str] = ()
    running: bool = True
    broken: bool = False


class Machine(Protocol):
    """One host of the lab. Paths are Windows paths; registry keys begin with `HKLM\\`. State is on disk when a call returns."""

    name: str

    def open(self) -> None:
        """Make it ready to run commands (a prefix, a directory server). Again is fine."""

    def close(self) -> None:
        """End everything that it runs."""

    def start(self, argv: Sequence[str]) -> Process:
        """Start a program. An unknown one gives a process that says so on stderr and ends with 1."""

    def snapshot(self) -> Mapping[str, str]:
        """
        Everything that can differ, name to a short text.

        `file C:\\x` -> hash, length and time; `registry HKLM\\...\\name` -> value; `certificate My\\<thumbprint>`; `service X` -> state and
        start time; `iis site X` -> state; `directory` -> highest committed USN. Files below C:\\windows are left out but for inetsrv\\config.
        """

    # -- arranging: for the seed and for tests --

    def write_file(self, path: str, data: bytes) -> None: ...
    def read_file(self, path: str) -> bytes | None: ...
    def remove_file(self, path: str) -> None: ...
    def make_folder(self, path: str) -> None: ...
    def set_read_only(self, path: str, *, read_only: bool) -> None: ...
    def set_last_write(self, path: str, when: datetime) -> None: ...
    def locked(self, path: str) -> AbstractContextManager[None]:
        """While it is held, another process of the machine has the file open without sharing."""

    def registry(self, key: str) -> Mapping[str, RegistryValue]: ...
    def set_registry(self, key: str, values: Mapping[str, RegistryValue]) -> None: ...
    def remove_registry(self, key: str) -> None: ...

    def add_service(self, service: Service) -> None: ...
    def service_state(self, name: str) -> tuple[str, datetime | None]:
        """State as in docs/verbs.md, and when its process started."""

    def add_certificate(self, pfx: bytes, password: str, store: str = "My", *, private_key: bool = True) -> str:
        """Put a certificate into a LocalMachine store; returns its thumbprint."""

    def set_iis_state(self, kind: Literal["site", "pool"], name: str, state: str) -> None: ...

    def directory_add(self, dn: str, attributes: Mapping[str, Sequence[str]]) -> None:
        """Add an entry to the directory of a domain controller; another kind of machine refuses."""

    def directory_values(self, dn: str, attribute: str) -> tuple[bytes, ...]:
        """The values of one attribute of an entry, () where it has none."""


class Engine(Protocol):
    """Makes machines. `root` is the folder of its state below .lab/."""

    name: Literal["python", "powershell"]

    def machine(self, name: str, role: Literal["dc", "mfa", "mim"]) -> Machine: ...
