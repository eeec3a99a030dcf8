"""
A real domain controller as a machine of the lab: Samba AD DC on a loopback address of its own, and PowerShell for Linux beside it. Linux, root.

`python -m lab.samba template DIR` provisions the domain once (9 s); a machine is a copy of that folder (0.1 s). Files, services, certificates
and IIS are not here: such a machine has a directory and nothing else. What Samba does otherwise than Windows: shared/facts/ad.md, lab.md D.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import ldap3
from typing_extensions import override

from lab.engine import Machine, Process, RegistryValue, Service
from lab.process import SHORT_LIVED, EndedProcess, LocalProcess, keep_no_profile
from lab.samba_settings import SMB_CONF, write_certificate

REALM: Final = "contoso.com"
DOMAIN: Final = "CONTOSO"
BASE_DN: Final = "DC=contoso,DC=com"
ADMINISTRATOR: Final = rf"{DOMAIN}\Administrator"
ADMINISTRATOR_PASSWORD: Final = "Passw0rd!lab"  # noqa: S105 - of a directory that lives on loopback and is thrown away
TEMPLATE_HOST: Final = "dc01"
LDAPS: Final = 636  # Samba's ports are fixed, so each machine has an address of its own
ENGINES: Final = Path(__file__).resolve().parent.parent / ".engines"
CONNECTION: Final = "connection.json"  # host data that an inventory needs besides how WinRM is reached
READY_S: Final = 30
END_S: Final = 10
OPS: Final = {"add": ldap3.MODIFY_ADD, "delete": ldap3.MODIFY_DELETE, "replace": ldap3.MODIFY_REPLACE}


class SambaError(Exception):
    """Samba or PowerShell is absent, or did not come up: the text says what was seen."""


def find_pwsh() -> Path | None:
    """PowerShell for Linux: the setting MIM_LAB_PWSH_LINUX, else what `make engines` unpacked; None where there is none."""
    named = os.environ.get("MIM_LAB_PWSH_LINUX")
    program = Path(named) if named else ENGINES / "powershell-linux" / "pwsh"
    return program if os.access(program, os.X_OK) else None


def find_samba() -> Path | None:
    """The server program; None where the packages are not installed."""
    found = shutil.which("samba", path="/usr/sbin:/sbin:/usr/local/samba/sbin")
    return Path(found) if found and shutil.which("samba-tool") else None


def make_template(folder: Path) -> None:
    """Provision the domain below `folder`, unless it is there already. Several processes may ask at once. Raises SambaError."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "private" / "sam.ldb").exists():
            return
        if find_samba() is None:
            raise SambaError("Samba's AD DC is not installed: run `make engines` as root (Debian, Ubuntu)")
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix="samba-") as temporary:
            made = Path(temporary) / "ad"
            argv = ["samba-tool", "domain", "provision", f"--realm={REALM.upper()}", f"--domain={DOMAIN}"]
            argv += ["--server-role=dc", "--dns-backend=NONE", f"--adminpass={ADMINISTRATOR_PASSWORD}"]
            argv += [f"--host-name={TEMPLATE_HOST}", "--host-ip=127.0.0.1", f"--targetdir={made}"]
            argv += ["--option=interfaces=lo", "--option=bind interfaces only=yes"]
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            if done.returncode or not (made / "private" / "sam.ldb").exists():
                raise SambaError(f"samba-tool domain provision ended with {done.returncode}: {done.stderr[-2000:]}")
            # Paths of the temporary folder, and settings that would let Samba change accounts of this machine (lab.md D).
            shutil.rmtree(made / "etc")
            shutil.rmtree(folder, ignore_errors=True)
            made.rename(folder)


def free_address(seed: str) -> str:
    """A loopback address on which nobody serves LDAP: always the same for a seed, unless that one is taken."""
    for attempt in range(100):
        digest = hashlib.sha256(f"{seed} {attempt}".encode()).digest()
        address = f"127.{64 + digest[0] % 128}.{digest[1]}.{1 + digest[2] % 254}"
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((address, LDAPS))
                return address
    raise SambaError("no loopback address with a free LDAP port was found; binding port 636 takes root")


class SambaMachine(Machine):
    """
    A domain controller of contoso.com. Only one of a lab: a second one would be another domain of the same name.

    + name: as the lab names it; the server inside calls itself dc01
    + root: folder of the lab's state; everything of this machine is below `root/name`
    + template: a folder that `make_template` made; made on demand when omitted
    + culture: such as `tr-TR`, of the PowerShell that it runs
    """

    def __init__(self, name: str, root: Path, *, template: Path | None = None, culture: str | None = None) -> None:
        self.name = name
        self.folder = root.absolute() / name
        self._template = template or ENGINES / "samba"
        self._culture = culture
        self._server: subprocess.Popen[bytes] | None = None
        self._running: list[LocalProcess] = []

    # -- what others need to know of it --

    @property
    def address(self) -> str:
        """Where its directory listens; known from the first `open` on."""
        return (self.folder / "address").read_text(encoding="ascii").strip()

    @property
    def fqdn(self) -> str:
        """The name that its directory gives itself."""
        return f"{TEMPLATE_HOST}.{REALM}"

    def connection(self) -> dict[str, str | int | bool]:
        """The host data by which the product reaches it: the one seam against Windows, where the logon is signed and sealed instead."""
        return {
            "directory_server": self.address,
            "directory_port": LDAPS,
            "directory_tls": True,
            "directory_user": ADMINISTRATOR,
            "directory_password": ADMINISTRATOR_PASSWORD,
        }

    # -- Machine --

    @override
    def open(self) -> None:
        if self._server is not None and self._server.poll() is None:
            return
        samba = find_samba()
        if samba is None:
            raise SambaError("Samba's AD DC is not installed: run `make engines` as root (Debian, Ubuntu)")
        self._prepare()
        log = self.folder / "samba.log"
        with log.open("ab") as output:
            # -i: in the foreground, and it ends when its stdin does, so that no server outlives the lab.
            self._server = subprocess.Popen(
                [str(samba), "-i", "-M", "single", "-s", str(self.folder / "smb.conf")],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=self.folder,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
                start_new_session=True,
            )
        deadline = time.monotonic() + READY_S
        while not self._answers():
            if self._server.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise SambaError(f"samba did not come up at {self.address}: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.02)

    @override
    def close(self) -> None:
        for process in self._running:
            process.terminate()
        self._running.clear()
        server, self._server = self._server, None
        if server is None:
            return
        if server.stdin is not None:
            server.stdin.close()
        try:
            server.wait(END_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()

    @override
    def start(self, argv: Sequence[str]) -> Process:
        program = re.split(r"[\\/]", argv[0])[-1].lower() if argv else ""
        if program.removesuffix(".exe") not in ("powershell", "pwsh"):
            return EndedProcess(f"'{program}' is not recognized as an internal or external command")
        pwsh = find_pwsh()
        if pwsh is None:
            return EndedProcess("PowerShell for Linux is not there: run `make engines`")
        self.open()
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        self._running = [process for process in self._running if process.read(0).exit_code is None]
        process = LocalProcess([str(pwsh), *argv[1:]], self.environment(), home)
        self._running.append(process)
        return process

    def environment(self) -> dict[str, str]:
        """Of the PowerShell that it runs: trust in the directory's certificate, nothing of the user's."""
        home = str(self.folder / "home")
        return {
            "PATH": "/usr/bin:/bin",
            "HOME": home,
            "TMPDIR": home,
            "TERM": "xterm",
            "LC_ALL": f"{self._culture.replace('-', '_')}.UTF-8" if self._culture else "C.UTF-8",
            "LDAPTLS_CACERT": str(self.folder / "tls" / "ca.pem"),
            **SHORT_LIVED,
            "POWERSHELL_TELEMETRY_OPTOUT": "1",
            "PSModuleAnalysisCachePath": "/dev/null",
            "POWERSHELL_UPDATECHECK": "Off",
        }

    @override
    def snapshot(self) -> Mapping[str, str]:
        with self._bound() as directory:
            directory.search("", "(objectClass=*)", ldap3.BASE, attributes=["highestCommittedUSN"])
            return {"directory": directory.response[0]["raw_attributes"]["highestCommittedUSN"][0].decode()}

    @override
    def directory_add(self, dn: str, attributes: Mapping[str, Sequence[str]]) -> None:
        self.directory_add_many({dn: attributes})

    def directory_add_many(self, entries: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """Add entries by their DN over one connection. Raises SambaError at the first that is refused."""
        with self._bound() as directory:
            for dn, attributes in entries.items():
                if not directory.add(dn, attributes=_attributes(attributes)):
                    raise SambaError(f"{dn} could not be added: {directory.result['message']}")

    def directory_modify(self, dn: str, attribute: str, op: str, *texts: str) -> None:
        """Change one attribute of an entry: `op` is add, delete or replace. Raises SambaError where that is refused."""
        with self._bound() as directory:
            if not directory.modify(dn, {attribute: [(OPS[op], list(texts))]}):
                raise SambaError(f"{attribute} of {dn} could not be changed: {directory.result['message']}")

    @override
    def directory_values(self, dn: str, attribute: str) -> tuple[bytes, ...]:
        with self._bound() as directory:
            directory.search(dn, "(objectClass=*)", ldap3.BASE, attributes=[attribute])
            found = [entry for entry in directory.response if entry["type"] == "searchResEntry"]
            if not found:
                raise SambaError(f"{dn} is not in the directory")
            return next(
                (tuple(raw) for name, raw in found[0]["raw_attributes"].items() if name.lower() == attribute.lower()),
                (),
            )

    # -- what such a machine has not --

    def _refuse(self, what: str) -> SambaError:
        return SambaError(f"{self.name} is a directory server and nothing else: it has no {what}")

    @override
    def write_file(self, path: str, data: bytes) -> None:
        raise self._refuse("files")

    @override
    def read_file(self, path: str) -> bytes | None:
        raise self._refuse("files")

    @override
    def remove_file(self, path: str) -> None:
        raise self._refuse("files")

    @override
    def make_folder(self, path: str) -> None:
        raise self._refuse("files")

    @override
    def set_read_only(self, path: str, *, read_only: bool) -> None:
        raise self._refuse("files")

    @override
    def set_last_write(self, path: str, when: datetime) -> None:
        raise self._refuse("files")

    @override
    def locked(self, path: str) -> AbstractContextManager[None]:
        raise self._refuse("files")

    @override
    def registry(self, key: str) -> Mapping[str, RegistryValue]:
        raise self._refuse("registry")

    @override
    def set_registry(self, key: str, values: Mapping[str, RegistryValue]) -> None:
        raise self._refuse("registry")

    @override
    def remove_registry(self, key: str) -> None:
        raise self._refuse("registry")

    @override
    def add_service(self, service: Service) -> None:
        raise self._refuse("services")

    @override
    def service_state(self, name: str) -> tuple[str, datetime | None]:
        raise self._refuse("services")

    @override
    def add_certificate(self, pfx: bytes, password: str, store: str = "My", *, private_key: bool = True) -> str:
        raise self._refuse("certificate stores")

    @override
    def set_iis_state(self, kind: Literal["site", "pool"], name: str, state: str) -> None:
        raise self._refuse("IIS")

    # -- inside --

    def _prepare(self) -> None:
        """The files of the server: the copied domain, an address, a certificate, its settings."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / "ad").exists():
            make_template(self._template)
            copied = self.folder / "ad.new"
            shutil.rmtree(copied, ignore_errors=True)
            shutil.copytree(self._template, copied)
            copied.rename(self.folder / "ad")
        known = self.folder / "address"
        address = free_address(str(self.folder))
        if not known.exists() or known.read_text(encoding="ascii").strip() != address:
            write_certificate(self.folder / "tls", address, [self.fqdn, REALM, TEMPLATE_HOST])
            known.write_text(f"{address}\n", encoding="ascii")
        for name in ("run", "home"):
            (self.folder / name).mkdir(mode=0o755, exist_ok=True)
        keep_no_profile(self.folder / "home" / ".cache" / "powershell")
        (self.folder / CONNECTION).write_text(json.dumps(self.connection(), indent=1) + "\n", encoding="ascii")
        settings = SMB_CONF.format(
            netbios=TEMPLATE_HOST.upper(), realm=REALM.upper(), domain=DOMAIN, address=address, folder=self.folder
        )
        (self.folder / "smb.conf").write_text(settings, encoding="utf-8")

    def _answers(self) -> bool:
        """Whether the server takes a bind."""
        try:
            with socket.create_connection((self.address, LDAPS), timeout=1):
                pass
            with self._bound():
                return True
        except (OSError, ldap3.core.exceptions.LDAPException):
            return False

    @contextlib.contextmanager
    def _bound(self) -> Iterator[Any]:
        """A connection of ldap3, bound as the administrator."""
        if self._server is None:
            self.open()
        tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=str(self.folder / "tls" / "ca.pem"))
        server = ldap3.Server(self.address, LDAPS, use_ssl=True, tls=tls, get_info=ldap3.NONE, connect_timeout=READY_S)
        connection = ldap3.Connection(
            server,
            ADMINISTRATOR,
            ADMINISTRATOR_PASSWORD,
            auto_bind=True,
            auto_range=False,
            return_empty_attributes=False,
            check_names=False,
            receive_timeout=READY_S,
        )
        try:
            yield connection
        finally:
            connection.unbind()


def _attributes(given: Mapping[str, Sequence[str]]) -> dict[str, list[str] | list[bytes]]:
    """Attributes as they are sent: a password in its encoding, a class where none is given."""
    values: dict[str, list[str] | list[bytes]] = {name: list(texts) for name, texts in given.items()}
    names = {name.lower() for name in given}
    for name, texts in given.items():
        if name.lower() == "unicodepwd":
            values[name] = [f'"{text}"'.encode("utf-16-le") for text in texts]
    if "objectclass" not in names:
        values["objectClass"] = ["group" if "grouptype" in names else "user"]
    return values


def main(argv: Sequence[str]) -> int:
    """`template DIR`: what `make engines` calls."""
    if len(argv) != 2 or argv[0] != "template":  # noqa: PLR2004 - a word and a folder
        sys.stderr.write("usage: python -m lab.samba template DIR\n")
        return 2
    make_template(Path(argv[1]).absolute())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
