"""
One operation after the other on a lab of this process, by pyinfra's API and the real connector: what was shown, what was sent, who failed.

The whole deploy by the command line is tests/test_deploy.py's. Operations of several hosts in one run are its business, too.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeAlias
from unittest.mock import patch

import pytest
from lxml import etree
from pyinfra.api import Config, Host, Inventory, State, StringCommand
from pyinfra.api.connect import connect_all, disconnect_all
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.operation import add_op
from pyinfra.api.operations import run_ops
from pyinfra.api.state import StateStage
from pyinfra.connectors.util import CommandOutput
from pyinfra.context import ctx_host, ctx_state
from typing_extensions import override

from connectors import winrm
from connectors.call import HostCall
from connectors.session import Session
from connectors.settings import WinrmSettings
from facts.base import HostFact, read
from lab import samba, template, verbs
from lab.arranger import ArrangerError
from lab.control import Role
from lab.engine import Machine
from lab.lab import EngineName, Lab, Seed
from lab.powershell_engine import WineMachine
from lab.python_engine import PythonMachine
from model.secret import Secret
from tests.put_back import PutBack

ROLES: Final[Mapping[str, Role]] = {"dc01": "dc", "mfa01": "mfa", "mim01": "mim"}
PYINFRAS_OWN: Final = ("Connected", "Success", "No changes", "Skipped", "Error: executed", "--> ", "noop:")

HASH: Final = re.compile(r"\b[0-9a-f]{64}\b")
TIME: Final = re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z")

Step: TypeAlias = tuple[Callable[..., Any], Mapping[str, Any]]


def engines(role: Role) -> list[Any]:
    """Both engines as parameters; the real one is skipped, with its reason, where it cannot run."""
    missing = _no_samba() if role == "dc" else template.absent()
    marks = [pytest.mark.powershell, pytest.mark.skipif(missing is not None, reason=str(missing))]
    return ["python", pytest.param("powershell", marks=marks)]


def _no_samba() -> str | None:
    if samba.find_samba() is None or samba.find_pwsh() is None or os.geteuid() != 0:
        return "no real directory was tried: that takes Samba's AD DC, PowerShell for Linux and being root. Run `make engines` and the tests as root"
    return None


@dataclass(frozen=True)
class Run:
    """
    One run.

    `shown` are the lines of our code: pyinfra's own are left out, prefixes of hosts too, hashes and times are `(hash)` and `(time)`.
    `writes` are the verbs of the writes that were sent, in order, those that the host refused too. `failed`: the host was.
    """

    shown: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    failed: bool = False


class Kept(Session):
    """A session of several runs: a real PowerShell takes seconds to start. Ended by `end`, not by a run."""

    _opened = False

    @override
    def open(self) -> None:
        if not self._opened:
            super().open()
            self._opened = True

    @override
    def close(self) -> None:
        """A run is over, not the session; one that could not be opened is."""
        if not self._opened:
            self.end()

    def end(self) -> None:
        super().close()


def fixtures(host: str) -> tuple[Any, Any]:
    """
    The fixtures `lab`, of both engines, and `quick`, of the twin alone, for a file whose operation works on this host:

        lab, quick = fixtures("mfa01")

    A real Windows machine is one of a test before, as it was when it was new.
    """

    @pytest.fixture(params=engines(ROLES[host]))
    def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpLab]:
        if request.param == "powershell" and ROLES[host] != "dc":
            yield request.getfixturevalue("real_labs").one(host)
            return
        with OpLab(tmp_path, request.param, host) as started:
            yield started

    @pytest.fixture
    def quick(tmp_path: Path) -> Iterator[OpLab]:
        with OpLab(tmp_path, "python", host) as started:
            yield started

    return lab, quick


def files_of(root: Path, *, by_content: bool) -> dict[str, str]:
    """
    Every file of a lab but logs, the journal and wine's registry, see OpLab.state, with what differs when it was written. Nor is Samba's names.tdb
    one: in it are the processes that serve connections, nothing of the directory.

    + by_content: its hash. A real Windows has thousands of files: there it is when it was written, and how long it is
    """
    seen = {}
    for path in sorted(root.rglob("*")):
        left_out = path.suffix in {".log", ".reg"} or "journal" in path.name or path.name == "names.tdb"
        if path.is_file() and not left_out:
            status = path.stat()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if by_content else ""
            seen[f"({path.relative_to(root)})"] = content or f"{status.st_size} {status.st_mtime_ns}"
    return seen


class OpLab(AbstractContextManager["OpLab"]):
    """
    A lab with the hosts of these names (dc01, mfa01, mim01), and pyinfra on it.

        with OpLab(tmp_path, "python", "mfa01") as lab:
            lab.run(iis_app_pool, host="mfa01", dry=True, app_pool="x") == Run(shown=("application pool x: 1 change ...",))
    """

    def __init__(self, root: Path, engine: EngineName, *hosts: str, seed: Seed | None = None) -> None:
        self.lab = Lab(root, engine, {host: ROLES[host] for host in hosts}, seed=seed)
        self.engine, self.hosts = engine, hosts
        self._sessions: dict[WinrmSettings, Kept] = {}

    @override
    def __enter__(self) -> Self:
        self.lab.start()
        return self

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in self._sessions.values():
            session.end()
        self.lab.stop()

    def _session(self, settings: WinrmSettings) -> Session:
        """One for each run, as pyinfra has it; of real machines one for all runs."""
        if self.engine == "python":
            return Session(settings)
        if settings not in self._sessions:
            self._sessions[settings] = Kept(settings)
        return self._sessions[settings]

    def _pyinfra(self, host: str, meanwhile: Callable[[], None] | None = None) -> _Pyinfra:
        return _Pyinfra(self.lab, host or self.hosts[0], meanwhile, self._session)

    def machine(self, host: str = "") -> Machine:
        """The machine behind a host; the only one when not named."""
        return self.lab.machine(host or self.hosts[0])

    @property
    def iis_config(self) -> str:
        """applicationHost.config as the verbs name it: wine spells that folder of Windows in small letters."""
        return (
            rf"C:\{'Windows' if self.engine == 'python' else 'windows'}\System32\inetsrv\config\applicationHost.config"
        )

    def xpath(self, expression: str, host: str = "") -> list[dict[str, str]]:
        """The attributes of the elements that match in applicationHost.config: what is stored, read without the product."""
        data = self.machine(host).read_file(self.iis_config)
        assert data is not None
        elements: Any = etree.fromstring(data).xpath(expression)
        return [dict(element.attrib) for element in elements]

    def edit_iis(self, old: str, new: str, host: str = "") -> None:
        """Another administrator changes applicationHost.config."""
        data = self.machine(host).read_file(self.iis_config)
        assert data is not None
        assert data.count(old.encode()) == 1
        self.machine(host).write_file(self.iis_config, data.replace(old.encode(), new.encode()))

    def state(self, host: str = "") -> Mapping[str, str]:
        """
        All that can differ on a host, and every file of the lab behind it but logs and the journal: a dry run and a run without changes leave
        them as they were. Wine's registry is left out: it writes its files when it likes, up to half a minute later; its keys are in the snapshot.
        """
        return {**self.machine(host).snapshot(), **files_of(self.lab.root, by_content=self.engine == "python")}

    def run(
        self,
        operation: Callable[..., Any],
        *,
        host: str = "",
        dry: bool = False,
        meanwhile: Callable[[], None] | None = None,
        **arguments: Any,
    ) -> Run:
        """
        One operation in a run of its own.

        + dry: prepare only, as `--dry --diff` does; else prepare and execute
        + meanwhile: called once, after the reads and before the first write is sent: what another administrator does
        """
        return self.deploy((operation, arguments), host=host, dry=dry, meanwhile=meanwhile)

    def deploy(
        self, *steps: Step, host: str = "", dry: bool = False, meanwhile: Callable[[], None] | None = None
    ) -> Run:
        """Several operations in one run, see `run`."""
        with self._pyinfra(host, meanwhile) as run:
            for number, (operation, arguments) in enumerate(steps):
                run.add(operation, f"step {number}", arguments)
            if not dry:
                run.execute()
        return run.seen()

    def fact(self, fact: type[HostFact[Any]], *, host: str = "", **arguments: Any) -> Any:
        """One fact of a host."""
        with self._pyinfra(host) as run, ctx_host.use(run.host):
            return read(fact, **arguments)


class RealLabs(AbstractContextManager["RealLabs"]):
    """Labs of real Windows machines, each for test after test: it takes seconds to come up, and a part of one to be as it was."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._made = 0
        self._labs: dict[str, tuple[OpLab, PutBack]] = {}

    def one(self, host: str) -> OpLab:
        """A lab with this host as it was when it was new; what it was given to before is over."""
        known = self._labs.pop(host, None)
        if known is not None and not _put_back(known[1]):
            known[0].__exit__(None, None, None)
            known = None
        if known is None:
            self._made += 1
            lab = OpLab(self._root / str(self._made), "powershell", host).__enter__()
            machine = lab.machine()
            assert isinstance(machine, WineMachine)
            known = lab, PutBack(machine)
        self._labs[host] = known
        return known[0]

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as ends:
            for lab, _ in self._labs.values():
                ends.push(lab)


def _put_back(machine: PutBack) -> bool:
    """Whether it is as it was: one that a test broke is not, whatever that looks like."""
    try:
        return machine()
    except (ArrangerError, OSError):
        return False


class _Pyinfra(AbstractContextManager["_Pyinfra"]):
    """pyinfra with one host: connected while the context is open."""

    def __init__(
        self, lab: Lab, host: str, meanwhile: Callable[[], None] | None, session: Callable[[WinrmSettings], Session]
    ) -> None:
        data: dict[str, Any] = dict(lab.connection(host))
        data["winrm_password"] = Secret(data["winrm_password"])
        config = Config()
        config.DIFF = True
        self.state = State(Inventory(([(f"@winrm/{host}", data)], {})), config)
        self.host: Host = next(iter(self.state.inventory))
        self.failed = False
        self.writes: list[str] = []
        self._meanwhile, self._session = meanwhile, session
        self._lines = _Lines(self.host.print_prefix)
        self._ends = ExitStack()

    @override
    def __enter__(self) -> Self:
        with ExitStack() as ends:
            logger = logging.getLogger("pyinfra")
            before = logger.level
            logger.addHandler(self._lines)
            logger.setLevel(logging.INFO)
            ends.callback(logger.setLevel, before)
            ends.callback(logger.removeHandler, self._lines)
            ends.enter_context(ctx_state.use(self.state))
            ends.enter_context(patch.object(winrm, "Session", self._session))
            self.state.set_stage(StateStage.Connect)
            connect_all(self.state)
            ends.callback(disconnect_all, self.state)
            self.state.set_stage(StateStage.Prepare)
            send = self.host.connector.run_shell_command
            ends.enter_context(patch.object(self.host.connector, "run_shell_command", self._watched(send)))
            self._ends = ends.pop_all()
        return self

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.close()

    def _watched(self, send: Callable[..., tuple[bool, CommandOutput]]) -> Callable[..., tuple[bool, CommandOutput]]:
        """Notes what is written, and lets another be faster. What is sent goes the whole way."""

        def run(command: StringCommand, *args: Any, **arguments: Any) -> tuple[bool, CommandOutput]:
            if isinstance(command, HostCall) and not command.is_read:
                if self._meanwhile is not None and not self.writes:
                    self._meanwhile()
                self.writes.append(command.verb)
            return send(command, *args, **arguments)

        return run

    def add(self, operation: Callable[..., Any], name: str, arguments: Mapping[str, Any]) -> None:
        self._last_host(lambda: add_op(self.state, operation, name=name, **arguments))

    def execute(self) -> None:
        self.state.set_stage(StateStage.Execute)
        if not self.failed:
            self._last_host(lambda: run_ops(self.state))

    def _last_host(self, action: Callable[[], Any]) -> None:
        """pyinfra ends a run whose last host fails with an exception: that is this host's failure, too."""
        try:
            action()
        except PyinfraError as error:
            if str(error) != "No hosts remaining!":
                raise
        self.failed = self.failed or self.host in self.state.failed_hosts

    def seen(self) -> Run:
        return Run(tuple(self._lines.ours()), tuple(self.writes), self.failed)


class _Lines(logging.Handler):
    """Keeps what pyinfra logs."""

    def __init__(self, prefix: str) -> None:
        super().__init__(logging.INFO)
        self._prefix = prefix
        self._lines: list[str] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())

    def ours(self) -> Sequence[str]:
        """Without pyinfra's own lines and without the host's prefix."""
        texts = [line.removeprefix(self._prefix).strip() for line in self._lines]
        return [_without_moments(text) for text in texts if text and not text.startswith(PYINFRAS_OWN)]


def _without_moments(text: str) -> str:
    """Hashes and times are other ones in each run."""
    return TIME.sub("(time)", HASH.sub("(hash)", text))


def told(what: str, *changes: str) -> str:
    """How one thing and its changes are shown."""
    count = f"{len(changes)} change{'' if len(changes) == 1 else 's'}"
    return "\n".join([f"{what}: {count}", *(f"        {change}" for change in changes)])


def directory_edit(machine: Machine, dn: str, attribute: str, op: str, *texts: str) -> None:
    """Another administrator, at the directory of a domain controller itself: by LDAP where it is a real one."""
    if isinstance(machine, samba.SambaMachine):
        machine.directory_modify(dn, attribute, op, *texts)
        return
    assert isinstance(machine, PythonMachine)
    values = [{"base64": base64.b64encode(text.encode()).decode()} for text in texts]
    change = {"attribute": attribute, "op": op, "values": values}
    one = {"id": "x", "op": "modify", "target": dn, "expect": "", "class": "", "changes": [change]}
    request = {"verb": "Edit-Directory", "args": {"server": "dc01.contoso.com", "edits": [one]}}
    answer, _ = verbs.call(machine, request, session=verbs.Session(4711))
    assert answer["ok"], answer
    assert answer["result"]["edits"][0]["done"], answer
