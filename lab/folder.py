"""
What a lab keeps in its folder beside the state of its machines: the lock, the account, certificates, ports, what is seeded, what runs.

    lock                held while the lab runs; the process id is in it
    run.json            engine, hosts and ports of the lab that runs; only while it runs
    account.json        user and password (0600), made at first start; users: the same for NTLM (0600)
    ca/                 ca.pem, ca.key, HOST.pem
    ports.json          ports that were used last
    ENGINE/, ENGINE.json    state of the machines, and how they were seeded
    journal.jsonl, http.log, commands.log, server.log

Everything but the logs and the journal stays byte for byte the same as long as nothing changes on a host.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from lab.auth import Account

USER: Final = "lab-admin"
RENEW_S: Final = 700 * 86400  # age at which certificates are made anew; they last 800 days (lab/ca.py)


class LabError(Exception):
    """The lab cannot do it; the text says why and what to do."""


class AlreadyRunsError(LabError):
    """Another lab runs in the folder."""


class Folder:
    """The folder `root` of one lab. Made when it is first written to."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.users = self.root / "users"
        self.server_log = self.root / "server.log"
        self._lock: BinaryIO | None = None

    # -- one lab at a time --

    def lock(self) -> bool:
        """Take the lock for this process; False when another lab has it."""
        self._make()
        file = (self.root / "lock").open("a+b")
        for _ in range(5):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(0.005)  # somebody may only be looking, see owner()
        else:
            file.close()
            return False
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        self._lock = file
        self.forget_run()  # of a lab that was killed
        return True

    def unlock(self) -> None:
        """Give the lock back. Again is fine."""
        if self._lock is not None:
            self.forget_run()
            self._lock.close()
            self._lock = None

    def owner(self) -> int | None:
        """Process id of the lab that runs, 0 while it has not said it; None when none runs, whatever files a killed one left."""
        path = self.root / "lock"
        if not path.exists():
            return None
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or b"0")
        return None

    # -- what runs --

    def run(self) -> Mapping[str, Any] | None:
        """What the lab that runs wrote when it was ready; None while it is not."""
        return self._read("run.json") if self.owner() is not None else None

    def write_run(self, data: Mapping[str, Any]) -> None:
        self._write("run.json", data)

    def forget_run(self) -> None:
        (self.root / "run.json").unlink(missing_ok=True)

    # -- what stays --

    def account(self, hosts: Iterable[str] = ()) -> Account:
        """The account; made at first. With hosts, the file for NTLM is brought up to date too."""
        data = self._read("account.json")
        if data is None:
            data = {"user": USER, "password": secrets.token_urlsafe(18)}
            self._write("account.json", data)
        account = Account(data["user"], data["password"])
        if hosts:
            account.write_users(self.users, hosts)
        return account

    def authority(self) -> Path:
        """The certificate to trust."""
        return self.root / "ca" / "ca.pem"

    def certificate(self, host: str) -> Path:
        """Key and certificate of a host."""
        return self.root / "ca" / f"{host}.pem"

    def ensure_certificates(self, hosts: Iterable[str]) -> None:
        """Make what is missing or old."""
        authority = _fresh(self.authority()) and _fresh(self.root / "ca" / "ca.key")
        old = [host for host in hosts if not (authority and _fresh(self.certificate(host)))]
        if authority and not old:
            return
        from lab import ca  # noqa: PLC0415 (a tenth of a second that only a first start pays)

        if not authority:
            ca.make_authority(self.root / "ca")
        for host in old:
            ca.make_host(self.root / "ca", host)

    def ports(self) -> dict[str, dict[str, int]]:
        """Host and scheme to the port that was used last."""
        return dict(self._read("ports.json") or {})

    def write_ports(self, ports: Mapping[str, Mapping[str, int]]) -> None:
        known = self.ports()
        if (wanted := {**known, **ports}) != known:
            self._write("ports.json", wanted)

    def state(self, engine: str) -> Path:
        """Folder of an engine's machines."""
        return self.root / engine

    def seeded(self, engine: str) -> dict[str, Any]:
        """Host to how it was seeded."""
        return dict(self._read(f"{engine}.json") or {})

    def write_seeded(self, engine: str, seeded: Mapping[str, Any]) -> None:
        if seeded != self.seeded(engine):
            self._write(f"{engine}.json", seeded)

    def forget_state(self, engine: str) -> None:
        """Remove the state of an engine's machines."""
        (self.root / f"{engine}.json").unlink(missing_ok=True)
        if self.state(engine).exists():
            shutil.rmtree(self.state(engine))

    # -- files --

    def _make(self) -> None:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            data: dict[str, Any] = json.loads((self.root / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise LabError(f"{self.root / name} cannot be read: {error}. Remove it and start again.") from None
        return data

    def _write(self, name: str, data: Mapping[str, Any]) -> None:
        """Whole or not at all; mode 0600."""
        self._make()
        beside = self.root / f"{name}.{os.getpid()}.new"
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(data, file, indent=1, sort_keys=True)
            file.write("\n")
        beside.replace(self.root / name)


def _fresh(path: Path) -> bool:
    return path.exists() and time.time() - path.stat().st_mtime < RENEW_S
