"""
One contract, every engine: which tests run where, the labs they run in, and how many ran.

Cases are functions with `@case` (cases.py) that ask for hosts by name. Each has a folder of its own and gives what it makes a name of its own, so
that nothing is ever reset. `pytest tests/contract --server HOST` runs them against a real server, whose host data is in the environment
(WINRM_USER, WINRM_PASSWORD, WINRM_PORT, WINRM_SCHEME, WINRM_TRANSPORT, WINRM_CA, WINRM_VERIFY); what cases make stays there, below C:\\contract.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from connectors.session import Session
from connectors.settings import WinrmSettings, settings_of
from lab import samba, template
from lab.control import HOSTS as ROLES
from lab.engine import Engine, Machine
from lab.folder import Folder
from lab.lab import Lab
from lab.powershell_engine import PowershellEngine
from lab.python_engine import PythonEngine
from tests.contract.cases import PLAIN, Variant, about, difference, variants
from tests.contract.directory import Directory
from tests.contract.host import Host
from tests.contract.iis import Iis, check_after

RUN: Final = uuid.uuid4().hex[:8]
HOSTS: Final = ("dc01", "mfa01", "mim01")
SERVER: Final = Variant("server")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each case in all its variants, and for each of its verbs."""
    one = about(metafunc.function)
    if one is None:
        if set(HOSTS) & set(metafunc.fixturenames):
            raise pytest.UsageError(
                f"{metafunc.function.__name__} asks for a host but is no @case: what does it rest on?"
            )
        return
    if "verb" in metafunc.fixturenames:
        metafunc.parametrize("verb", one.verbs)
    server = metafunc.config.getoption("--server")
    every = (SERVER,) if server else variants(one)
    hosts = set(HOSTS) & set(metafunc.fixturenames)
    metafunc.parametrize("variant", [pytest.param(each, id=each.name, marks=marks_of(each, hosts)) for each in every])


def marks_of(variant: Variant, hosts: Collection[str]) -> list[pytest.MarkDecorator]:
    """The marks of a case that asks for these hosts: what needs wine is not left out where only Samba is missing, nor the other way round."""
    if variant.engine != "powershell":
        # Another mode or culture of the twin is for the thorough part of the suite.
        return [] if variant in (*PLAIN, SERVER) else [pytest.mark.slow, pytest.mark.variant]
    reasons = [why for host in sorted(hosts) if (why := absent(host))]
    skipped = [pytest.mark.skipif(True, reason=reasons[0])] if reasons else []
    return [pytest.mark.powershell, *skipped]


def absent(host: str) -> str | None:
    """Why a host of the real engines cannot run here."""
    if host != "dc01":
        return template.absent()
    needed = {
        "Samba's AD DC": samba.find_samba() is not None,
        "PowerShell for Linux": samba.find_pwsh() is not None,
        "being root": os.geteuid() == 0,
    }
    missing = [what for what, there in needed.items() if not there]
    if not missing:
        return None
    return f"no real directory was asked: that takes {' and '.join(missing)}. Run `make engines` and the tests as root"


def left_out() -> tuple[str, ...]:
    """What of the contract no real engine shows here, and why: a line for each kind of machine."""
    machines = {"mfa01": "IIS, files, services and the runtime", "dc01": "the directory"}
    return tuple(f"{what} ({why})" for host, what in machines.items() if (why := absent(host)))


class Places:
    """The labs and the sessions of this run, each started when it is first asked for."""

    def __init__(self, root: Path, server: str | None, hosts: Collection[str]) -> None:
        self._root, self._server = root, server
        self._hosts = {host: role for host, role in ROLES.items() if host in hosts}
        self._ends = ExitStack()
        self._labs: dict[tuple[str, str], Lab] = {}
        self._sessions: dict[tuple[str, str, bool], Session] = {}

    def close(self) -> None:
        """End everything, sessions first."""
        self._ends.close()

    def machine(self, variant: Variant, host: str) -> Machine | None:
        """The machine behind a host; None behind a real server."""
        return None if variant.engine == "server" else self._lab(variant).machine(host)

    def session(self, variant: Variant, host: str, *, read_only: bool) -> Session:
        """The session of a variant with a host."""
        key = (variant.name, host, read_only)
        if key not in self._sessions:
            session = self._sessions[key] = Session(self.settings(variant, host, read_only=read_only))
            self._ends.callback(session.close)
        return self._sessions[key]

    def settings(self, variant: Variant, host: str, *, read_only: bool = False) -> WinrmSettings:
        """How a host of a variant is reached."""
        data = self._server_data() if variant.engine == "server" else dict(self._lab(variant).connection(host))
        return settings_of(host, data | {"winrm_mode": variant.mode, "winrm_read_only": read_only})

    def _lab(self, variant: Variant) -> Lab:
        key = (variant.engine, variant.culture)
        if key not in self._labs:
            root = self._root / "-".join(key)
            state = Folder(root).state(variant.engine)
            engine: Engine = (
                PythonEngine(state, culture=variant.culture)
                if variant.engine == "python"
                else PowershellEngine(state, culture=None if variant.culture == "en-US" else variant.culture)
            )
            # Cases of what cannot run here are skipped; the others need no machine of it.
            hosts = {host: role for host, role in self._hosts.items() if variant.engine == "python" or not absent(host)}
            self._labs[key] = self._ends.enter_context(Lab(root, engine, hosts))
        return self._labs[key]

    def _server_data(self) -> dict[str, Any]:
        """Host data of a real server from the environment; the password is read by the settings themselves."""
        data: dict[str, Any] = {"winrm_hostname": self._server}
        for key in ("user", "scheme", "transport", "ca", "port", "verify"):
            text = os.environ.get(f"WINRM_{key.upper()}")
            if text is not None:
                data[f"winrm_{key}"] = (
                    int(text) if key == "port" else text.lower() == "true" if key == "verify" else text
                )
        return data


@pytest.fixture(scope="session")
def places(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    """The labs of this run, with the hosts that its cases ask for: a machine takes seconds to come up."""
    hosts = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    made = Places(tmp_path_factory.mktemp("contract"), request.config.getoption("--server"), hosts)
    yield made
    made.close()


def _host(name: str, request: pytest.FixtureRequest, places: Places, variant: Variant) -> Host:
    one = about(request.function)
    assert one is not None
    own = re.sub(r"\W+", "-", f"{request.node.originalname} {variant.mode}")[5:85].strip("-")
    root = rf"C:\contract\{RUN}" if variant.engine == "server" else r"C:\contract"
    if "verb" in request.fixturenames:
        own += f"-{request.getfixturevalue('verb')}"

    def session(verb: str | None, read_only: bool) -> Session:
        # What a case only arranges or looks at goes through a warm process: in batch each call is one, and real ones take seconds.
        mode = variant.mode if verb is None or verb in one.verbs else "warm"
        return places.session(replace(variant, mode=mode), name, read_only=read_only)

    return Host(
        name,
        variant,
        session,
        lambda: places.settings(variant, name),
        places.machine(variant, name),
        own=own,
        root=root,
        differs=difference(one.name, variant.engine).reason,
    )


@pytest.fixture
def dc01(request: pytest.FixtureRequest, places: Places, variant: Variant) -> Host:
    """The domain controller."""
    return _host("dc01", request, places, variant)


@pytest.fixture
def mfa01(request: pytest.FixtureRequest, places: Places, variant: Variant) -> Host:
    """The machine with IIS."""
    return _host("mfa01", request, places, variant)


@pytest.fixture
def mim01(request: pytest.FixtureRequest, places: Places, variant: Variant) -> Host:
    """A member server without IIS."""
    return _host("mim01", request, places, variant)


@pytest.fixture
def iis(mfa01: Host, request: pytest.FixtureRequest) -> Iterator[Iis]:
    """IIS as the lab installs it; afterwards its configuration is compared with what the case is known to make of it."""
    made = Iis(mfa01)
    yield made
    check_after(request.node.originalname, made)


@pytest.fixture
def directory(dc01: Host) -> Directory:
    """The domain controller with the entries that cases of the directory are about."""
    return Directory(dc01)
