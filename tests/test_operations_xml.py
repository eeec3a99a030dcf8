"""xml_elements from pyinfra down to files of a machine of the lab: dry, applied, again, refused. The wire between is tested elsewhere."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import pytest
from pyinfra.api import Config, Host, Inventory, State, StringCommand
from pyinfra.api.connect import connect_all
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.operation import add_op
from pyinfra.api.operations import run_ops
from pyinfra.api.state import StateStage
from pyinfra.connectors.util import CommandOutput, OutputLine
from pyinfra.context import ctx_host, ctx_state

from connectors.call import Answer, HostCall
from facts.base import read
from facts.xml import XmlElements
from lab import verbs
from lab.python_engine import PythonMachine
from model.secret import Secret
from model.xml import XmlFile
from operations.xml import xml_elements
from tests.lab_python import new_machine

PATH: Final = r"C:\MIM\MfaSettings.xml"
START: Final = (
    b"<MfaSettings>\r\n\t<LICENSE_KEY>pl4nted</LICENSE_KEY>\r\n\t<username>old</username>\r\n</MfaSettings>\r\n"
)
END: Final = (
    b"<MfaSettings>\r\n\t<LICENSE_KEY></LICENSE_KEY>\r\n\t<username>mim@contoso.com</username>\r\n"
    b"\t<LOCMFA>true</LOCMFA>\r\n\t<PIN>s3cret</PIN>\r\n</MfaSettings>\r\n"
)
BACKUP: Final = f"{PATH}.{hashlib.sha256(START).hexdigest()[:12]}.bak"
WANTED: Final = {
    "set": {"Username": "mim@contoso.com", "LOCMFA": "true", "PIN": Secret("s3cret")},
    "clear": ["LICENSE_KEY"],
    "ignore_case": True,
}


@dataclass
class Run:
    """What one run showed, which verbs wrote, and whether the host was failed."""

    shown: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    failed: bool = False


class Machine:
    """The files of one machine, and pyinfra runs on it."""

    def __init__(self, root: Path, caplog: pytest.LogCaptureFixture) -> None:
        self.machine: PythonMachine = new_machine(root)
        self.machine.open()
        self.machine.write_file(PATH, START)
        self.caplog = caplog
        self.session = verbs.Session(4711)

    def files(self) -> Mapping[str, str]:
        return {name: text for name, text in self.machine.snapshot().items() if name.startswith("file ")}

    def run(self, *, dry: bool = False, before_write: bytes | None = None, **arguments: Any) -> Run:
        run = Run()
        with self.state(run, before_write) as (state, host):
            try:
                state.set_stage(StateStage.Prepare)
                add_op(state, xml_elements, name="settings", **{"file": PATH, **WANTED, **arguments})
                if not dry:
                    state.set_stage(StateStage.Execute)
                    run_ops(state)
            except PyinfraError:
                run.failed = True  # the only host: "No hosts remaining!"
            run.failed = run.failed or host in state.failed_hosts
        return run

    @contextmanager
    def state(self, run: Run, before_write: bytes | None = None) -> Iterator[tuple[State, Host]]:
        config = Config()
        config.DIFF = True
        state = State(Inventory((["@local"], {})), config)
        host = next(iter(state.inventory))

        def answer(command: StringCommand, *args: object, **kwargs: object) -> tuple[bool, CommandOutput]:
            assert isinstance(command, HostCall)
            if not command.is_read:
                run.writes.append(command.verb)
                assert state.is_executing
                if before_write is not None and len(run.writes) == 1:
                    self.machine.write_file(PATH, before_write)
            result, blob = verbs.call(
                self.machine, json.loads(json.dumps(command.payload())), session=self.session, blob=command.blob
            )
            if not result["ok"]:
                return False, CommandOutput([OutputLine("stderr", result["error"]["why"])])
            return True, CommandOutput([OutputLine("stdout", Answer(result["result"], blob).pack())])

        with ctx_state.use(state), self.caplog.at_level(logging.INFO, "pyinfra"):
            connect_all(state)
            self.caplog.clear()
            takes = patch.object(host.connector, "takes_calls", True, create=True)  # as ours, which it stands for
            with takes, patch.object(host.connector, "run_shell_command", answer):
                yield state, host
        run.shown = [_plain(record.getMessage()) for record in self.caplog.records if record.name == "pyinfra"]

    def fact(self, **arguments: Any) -> XmlFile:
        with self.state(Run()) as (_, host), ctx_host.use(host):
            found = read(XmlElements, file=PATH, **arguments)
        assert isinstance(found, XmlFile)
        return found


def _plain(text: str) -> str:
    return text.replace("[@local] ", "").strip()


@pytest.fixture
def machine(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Machine:
    return Machine(tmp_path, caplog)


DIFF: Final = "\n".join(
    [
        f"{PATH}: 5 changes",
        f"        backup: (absent) -> {BACKUP}",
        "        username: old -> mim@contoso.com",
        "        LOCMFA: (absent) -> true",
        "        PIN: (secret) -> (secret) changed",
        "        LICENSE_KEY: (secret) -> (secret) changed",
    ]
)


def test_dry_shows_each_change_and_writes_nothing(machine: Machine) -> None:
    before = machine.files()
    run = machine.run(dry=True)
    assert (DIFF in run.shown, run.writes, run.failed) == (True, [], False)
    assert machine.files() == before


def test_applied_it_keeps_the_old_content_and_again_it_does_nothing(machine: Machine) -> None:
    assert machine.run().writes == ["Copy-File", "Write-File"]
    assert (machine.machine.read_file(PATH), machine.machine.read_file(BACKUP)) == (END, START)
    after = machine.files()
    again = machine.run()
    assert (again.writes, again.failed) == ([], False)
    assert machine.run(set={"USERNAME": "mim@contoso.com"}).writes == []
    assert machine.files() == after


def test_without_a_backup_it_is_one_write(machine: Machine) -> None:
    assert machine.run(backup=False).writes == ["Write-File"]
    assert (machine.machine.read_file(PATH), machine.machine.read_file(BACKUP)) == (END, None)


def test_a_file_that_changed_meanwhile_is_left_alone(machine: Machine) -> None:
    other = START.replace(b"old", b"new")
    run = machine.run(before_write=other)
    assert (run.writes, run.failed) == (["Copy-File"], True)
    assert (machine.machine.read_file(PATH), machine.machine.read_file(BACKUP)) == (other, None)


def test_a_run_that_was_cut_after_the_backup_is_made_up_by_the_next(machine: Machine) -> None:
    machine.machine.write_file(BACKUP, START)
    dry = machine.run(dry=True)
    assert [line for line in DIFF.splitlines()[1:] if line in "\n".join(dry.shown)] == DIFF.splitlines()[2:]
    assert machine.run().failed is False
    assert (machine.machine.read_file(PATH), machine.machine.read_file(BACKUP)) == (END, START)


def test_a_backup_with_other_content_is_refused_in_the_dry_run(machine: Machine) -> None:
    machine.machine.write_file(BACKUP, b"other")
    before = machine.files()
    run = machine.run(dry=True)
    text = f"{PATH}: its backup {BACKUP} exists with other content; move that away, run again"
    assert (text in run.shown, run.failed) == (True, True)
    assert machine.run().writes == []
    assert machine.files() == before


TWICE: Final = (
    "Username occurs 2 times, expected at most 1: <username> on line 1 and <Username> on line 2. "
    "Remove the wrong ones, run again."
)
REFUSALS: Final = {
    "absent": (None, "does not exist; it is never created here"),
    "empty": (b"", "is empty (0 bytes), expected an XML document"),
    "both spellings": (b"<r><username/>\n<Username/></r>", TWICE),
    "refused by the deploy": (
        b"<r><CustomPhoneProvider>x</CustomPhoneProvider></r>",
        "<CustomPhoneProvider> on line 1 is not empty: one of both",
    ),
}


@pytest.mark.parametrize(("data", "text"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_fails_the_host_in_the_dry_run_too(machine: Machine, data: bytes | None, text: str) -> None:
    machine.machine.remove_file(PATH)
    if data is not None:
        machine.machine.write_file(PATH, data)
    before = machine.files()
    run = machine.run(dry=True, refuse_if={"CustomPhoneProvider": "one of both"})
    assert (f"{PATH}: {text}" in run.shown, run.writes, run.failed) == (True, [], True)
    assert machine.run(refuse_if={"CustomPhoneProvider": "one of both"}).writes == []
    assert machine.files() == before


def test_a_read_only_file_is_refused_before_the_backup(machine: Machine) -> None:
    machine.machine.set_read_only(PATH, read_only=True)
    before = machine.files()
    assert machine.run(dry=True).failed
    assert machine.run().writes == []
    assert machine.files() == before


def test_a_file_that_another_process_holds_is_not_read_and_nothing_is_written(machine: Machine) -> None:
    before = machine.files()
    with machine.machine.locked(PATH):
        assert machine.run(dry=True).failed
        assert machine.run().writes == []
    assert machine.files() == before


def test_nothing_that_is_shown_holds_a_secret(machine: Machine) -> None:
    everything = [*machine.run(dry=True).shown, *machine.run().shown, json.dumps(machine.fact().to_json())]
    assert [word for word in ("pl4nted", "s3cret") if word in "\n".join(everything)] == []


def test_the_fact_reads_what_the_operation_wrote(machine: Machine) -> None:
    machine.run()
    found = machine.fact(names=["LOCMFA", "LICENSE_KEY", "PIN"])
    assert [(element.name, element.to_json()["text"]) for element in found.elements] == [
        ("LOCMFA", "true"),
        ("LICENSE_KEY", ""),
        ("PIN", "(secret)"),
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"clear": None}, "xml_elements: clear is None, expected str | Sequence[str]"),
        ({"bogus": 1}, "xml_elements: got an unexpected keyword argument 'bogus'"),
        ({"set": ["Username"]}, "xml_elements: set is of type list, expected Mapping[str, Text] | None"),
        ({"set": "s3cret"}, "xml_elements: set is of type str, expected Mapping[str, Text] | None"),
        ({"clear": 5}, "xml_elements: clear is 5, expected str | Sequence[str]"),
        ({"set": {5: "x"}}, "xml_elements: set is of type dict, expected Mapping[str, Text] | None"),
        (
            {"attributes": {"Username": ["x"]}},
            "xml_elements: attributes is of type dict, expected Mapping[str, Mapping[str, Text | None]] | None",
        ),
        ({"set": {"LOCMFA": True}}, f'{PATH}: LOCMFA is given as bool, expected text ("true", "false")'),
    ],
)
def test_an_argument_of_a_wrong_kind_fails_its_host_with_its_name(
    machine: Machine, arguments: dict[str, Any], text: str
) -> None:
    for dry in (True, False):
        run = machine.run(dry=dry, **arguments)
        assert (run.writes, run.failed, text in run.shown) == ([], True, True), run.shown


def test_a_host_of_another_connector_is_asked_nothing(machine: Machine) -> None:
    """Its shell would execute what is meant for the eye."""
    with machine.state(Run()) as (_, host), ctx_host.use(host), patch.object(host.connector, "takes_calls", False):
        sent = XmlElements().command("a\n$(touch /tmp/x)")
    assert ("@winrm" in str(sent), "touch" in str(sent)) == (True, False)
