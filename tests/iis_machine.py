"""What tests of IIS share: a machine of the python engine with IIS on it, certificates, and pyinfra runs without the wire between."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from unittest.mock import patch

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pyinfra.api import Config, Host, Inventory, State, StringCommand
from pyinfra.api.connect import connect_all
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.operation import add_op
from pyinfra.api.operations import run_ops
from pyinfra.api.state import StateStage
from pyinfra.connectors.util import CommandOutput, OutputLine
from pyinfra.context import ctx_host, ctx_state

from connectors.call import Answer, Dialogue, HostCall, Json
from facts.base import HostFact, read
from lab import iis, verbs
from lab.python_engine import PythonMachine
from lab.seed import seed
from tests.lab_python import new_machine

NOW: Final = datetime.now(UTC)
PFX_PASSWORD: Final = "pfx"
WINDOWS: Final = "system.webServer/security/authentication/windowsAuthentication"
ANONYMOUS: Final = "system.webServer/security/authentication/anonymousAuthentication"
SITES: Final = "system.applicationHost/sites"
POOLS: Final = "system.applicationHost/applicationPools"


@cache
def pfx(name: str, first_day: int = -1, last_day: int = 30, usage: str = "server") -> bytes:
    """A self-signed certificate as PKCS #12, valid from and to these days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if usage == "server" else ExtendedKeyUsageOID.CLIENT_AUTH
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=first_day))
        .not_valid_after(NOW + timedelta(days=last_day))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encryption = BestAvailableEncryption(PFX_PASSWORD.encode())
    return pkcs12.serialize_key_and_certificates(b"x", key, certificate, None, encryption)


_FOLDER: Final = TemporaryDirectory(prefix="iis-")  # removed with the process


@cache
def _template() -> Path:
    """The folder of an engine with one machine on which IIS is installed: arranged once, copied for each test."""
    seed(new_machine(Path(_FOLDER.name), "mfa01", "mfa"), "mfa")
    return Path(_FOLDER.name)


@dataclass
class Run:
    """What one run showed, which verbs wrote, how many distinct reads a stage needed, and whether the host was failed."""

    shown: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    reads: set[str] = field(default_factory=set)
    failed: bool = False

    @property
    def text(self) -> str:
        return "\n".join(self.shown)


Step = tuple[Any, Mapping[str, Any]]


class IisMachine:
    """One machine with IIS, and pyinfra runs on it."""

    def __init__(self, root: Path, caplog: pytest.LogCaptureFixture) -> None:
        shutil.copytree(_template(), root, dirs_exist_ok=True)
        self.machine: PythonMachine = new_machine(root, "mfa01", "mfa")
        self.caplog = caplog
        self.session = verbs.Session(4711)

    # -- verbs --

    def call(self, verb: str, secrets: Mapping[str, str] | None = None, **args: Any) -> Any:
        """The answer of a verb, ok or not."""
        request = {"verb": verb, "args": args}
        return verbs.call(self.machine, request, session=self.session, secrets=secrets)[0]

    def ask(self, verb: str, **args: Any) -> Any:
        """The result of a verb; an error fails the test."""
        answer = self.call(verb, **args)
        assert answer["ok"], answer
        return answer["result"]

    def refused(self, verb: str, **args: Any) -> tuple[str, str, str, int | None]:
        """Kind, where, why and HRESULT of the error of a verb; a result fails the test."""
        answer = self.call(verb, **args)
        assert not answer["ok"], answer
        error = answer["error"]
        return error["kind"], error["where"], error["why"], error["hresult"]

    @property
    def guard(self) -> str:
        return str(self.ask("Get-IisConfig", reads=[])["sha256"])

    def edit(self, *edits: Mapping[str, Any], **secrets: str) -> Any:
        """Edit-IisConfig with the guard of now."""
        answer = self.call("Edit-IisConfig", secrets=secrets, guard=self.guard, edits=list(edits))
        assert answer["ok"], answer
        return answer["result"]

    def edit_refused(self, *edits: Mapping[str, Any]) -> tuple[str, str, str, int | None]:
        return self.refused("Edit-IisConfig", guard=self.guard, edits=list(edits))

    def section(self, section: str, location: str = "", view: str = "effective", **extra: Any) -> Any:
        """One read of Get-IisConfig, ok or not."""
        one = {"id": "r", "section": section, "location": location, "view": view, **extra}
        return self.ask("Get-IisConfig", reads=[one])["reads"][0]

    @property
    def config(self) -> str:
        data = self.machine.read_file(iis.CONFIG)
        assert data is not None
        return data.decode()

    @config.setter
    def config(self, text: str) -> None:
        self.machine.write_file(iis.CONFIG, text.encode())

    def certificate(
        self, name: str = "mfa01.contoso.com", *, private_key: bool = True, store: str = "My", **kinds: Any
    ) -> str:
        """Puts a certificate into the store; its thumbprint."""
        return self.machine.add_certificate(pfx(name, **kinds), PFX_PASSWORD, store, private_key=private_key)

    def site(
        self,
        name: str = "S",
        *,
        path: str = r"C:\s",
        bindings: tuple[tuple[str, str, int], ...] = (("http", "*:8080:", 0),),
    ) -> None:
        """Adds a site as the host verbs do."""
        number = len(self.section(SITES, view="stored")["tree"]["items"]) + 1
        items = [
            {"tag": "binding", "a": {"protocol": p, "bindingInformation": i, "sslFlags": f}} for p, i, f in bindings
        ]
        root = {"tag": "virtualDirectory", "a": {"path": "/", "physicalPath": path}}
        application = {"tag": "application", "a": {"path": "/"}, "items": [root]}
        site = {
            "tag": "site",
            "a": {"name": name, "id": number},
            "c": {"bindings": {"items": items}},
            "items": [application],
        }
        self.edit({"op": "add", "section": SITES, "at": [], **site})

    def known(self, site: str) -> None:
        """Waits until WAS knows a new site; it has started by itself then."""
        self.ask("Set-IisState", kind="site", name=site, state="Started", expected="Unknown", timeout_s=20)

    # -- pyinfra --

    def run(self, *steps: Step, dry: bool = False, before_write: Callable[[str], None] = lambda _verb: None) -> Run:
        """Operations with their arguments, as one deploy on this host."""
        run = Run()
        with self.state(run, before_write) as (state, host):
            try:
                state.set_stage(StateStage.Prepare)
                for number, (operation, arguments) in enumerate(steps):
                    add_op(state, operation, name=f"step {number}", **arguments)
                if not dry:
                    state.set_stage(StateStage.Execute)
                    run_ops(state)
            except PyinfraError:
                run.failed = True  # the only host: "No hosts remaining!"
            run.failed = run.failed or host in state.failed_hosts
        return run

    @contextmanager
    def state(self, run: Run, before_write: Callable[[str], None] = lambda _verb: None) -> Iterator[tuple[State, Host]]:
        """A pyinfra state whose one host answers from the machine."""
        config = Config()
        config.DIFF = True
        state = State(Inventory((["@local"], {})), config)
        host = next(iter(state.inventory))

        def one(command: HostCall) -> Any:
            if command.is_read:
                run.reads.add(command.key)
            else:
                assert state.is_executing, "a dry run wrote"
                before_write(command.verb)
                run.writes.append(command.verb)
            payload = json.loads(json.dumps(command.payload()))
            return verbs.call(
                self.machine, payload, session=self.session, secrets=command.revealed(), blob=command.blob
            )

        def answer(command: StringCommand, *_args: object, **_kwargs: object) -> tuple[bool, CommandOutput]:
            if isinstance(command, Dialogue):
                steps = command.steps()
                reply = None
                try:
                    while True:
                        result, blob = one(steps.send(reply))  # type: ignore[arg-type]  # None starts a generator
                        if not result["ok"]:
                            return False, CommandOutput([OutputLine("stderr", result["error"]["why"])])
                        reply = Answer(result["result"], blob)
                except StopIteration as ended:
                    return True, CommandOutput([OutputLine("stdout", Answer(_json(ended.value)).pack())])
            assert isinstance(command, HostCall)
            result, blob = one(command)
            if not result["ok"]:
                return False, CommandOutput([OutputLine("stderr", result["error"]["why"])])
            return True, CommandOutput([OutputLine("stdout", Answer(result["result"], blob).pack())])

        with ctx_state.use(state), self.caplog.at_level(logging.INFO, "pyinfra"):
            connect_all(state)
            self.caplog.clear()
            takes = patch.object(host.connector, "takes_calls", True, create=True)  # as ours, which it stands for
            with takes, patch.object(host.connector, "run_shell_command", answer):
                yield state, host
        messages = (record.getMessage() for record in self.caplog.records if record.name == "pyinfra")
        run.shown = [text.replace("[@local] ", "").strip() for text in messages]

    def fact(self, fact: type[HostFact[Any]], **arguments: Any) -> Any:
        """A fact of this machine."""
        with self.state(Run()) as (_, host), ctx_host.use(host):
            return read(fact, **arguments)


def _json(value: Json) -> Any:
    return json.loads(json.dumps(value))
