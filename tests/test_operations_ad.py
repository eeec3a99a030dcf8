"""
ad_group and ad_group_member from pyinfra down to the lab's directory: dry, applied, again, refused, overtaken.

The wire between is tested elsewhere.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
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

from connectors.call import Answer, Dialogue, HostCall
from connectors.errors import ConnectorError, VerbError
from connectors.frames import error_of
from connectors.settings import directory_problems_of
from facts.ad import AdGroup, AdGroupMember, Connection, connection_of, pin, pinned, reached
from facts.base import UNREAD, read
from lab import directory
from model.secret import Secret
from operations.ad import ad_group, ad_group_member
from tests.directory_cases import ANNA, BOB, FOREIGN, G, L, fill
from tests.directory_far import BASE, USERS, Twin, delete, edit, modify

MFA: Final = f"CN=PhoneFactor Admins,{USERS}"


@dataclass
class Run:
    """What one run showed, the verbs it sent, and whether the host was failed."""

    shown: list[str] = field(default_factory=list)
    calls: list[HostCall] = field(default_factory=list)
    failed: bool = False

    @property
    def writes(self) -> int:
        return sum(not call.is_read for call in self.calls)

    @property
    def text(self) -> str:
        return "\n".join(self.shown)


class Pyinfra:
    """pyinfra runs on a host that is a domain controller of the lab, or another host beside it."""

    def __init__(self, far: Twin, caplog: pytest.LogCaptureFixture) -> None:
        self.far, self.caplog = far, caplog
        self.data: dict[str, Any] = {}
        self.machine = far.machine
        self.before_write: Callable[[], object] | None = None
        self.after_write: Callable[[], object] | None = None
        self.leads_to: Callable[[str], str] = lambda server: server  # to which server a name leads now

    def run(self, *steps: tuple[Any, dict[str, Any]], dry: bool = False) -> Run:
        run = Run()
        with self.state(run) as (state, host):
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
    def state(self, run: Run) -> Iterator[tuple[State, Host]]:
        config = Config()
        config.DIFF = True
        state = State(Inventory(([("@local", self.data)], {})), config)
        state.print_noop_info = True
        host = next(iter(state.inventory))
        memo: dict[Any, Answer] = {}

        def call(command: HostCall) -> Answer:
            if not command.is_read:
                assert state.is_executing
                memo.clear()
                if self.before_write is not None:
                    self.before_write()
            key = (state.is_executing, command.key)
            if command.is_read and key in memo:
                return memo[key]
            run.calls.append(command)
            args = dict(command.args)
            args["server"] = self.leads_to(str(args["server"]))
            answer = self.far.call_on(self.machine, command.verb, secrets=command.revealed(), **args)
            if not answer["ok"]:
                raise VerbError(error_of(answer))
            memo[key] = Answer(json.loads(json.dumps(answer["result"])))
            if not command.is_read and self.after_write is not None:
                self.after_write()
            return memo[key]

        def converse(dialogue: Dialogue) -> Answer:
            steps = dialogue.steps()
            try:
                ask = next(steps)
                while True:
                    ask = steps.send(call(ask))
            except StopIteration as end:
                return Answer(end.value)

        def answer(command: StringCommand, *args: object, **kwargs: object) -> tuple[bool, CommandOutput]:
            assert isinstance(command, HostCall | Dialogue)
            try:
                result = converse(command) if isinstance(command, Dialogue) else call(command)
            except ConnectorError as error:
                return False, CommandOutput([OutputLine("stderr", str(error))])
            return True, CommandOutput([OutputLine("stdout", result.pack())])

        with ctx_state.use(state), self.caplog.at_level(logging.INFO, "pyinfra"):
            connect_all(state)
            self.caplog.clear()
            takes = patch.object(host.connector, "takes_calls", True, create=True)  # as ours, which it stands for
            with takes, patch.object(host.connector, "run_shell_command", answer):
                yield state, host
        run.shown = [
            record.getMessage().replace("[@local] ", "").strip()
            for record in self.caplog.records
            if record.name == "pyinfra"
        ]


@pytest.fixture
def far(tmp_path: Path) -> Twin:
    twin = Twin(tmp_path)
    fill(twin)
    return twin


@pytest.fixture
def pyinfra(far: Twin, caplog: pytest.LogCaptureFixture) -> Pyinfra:
    return Pyinfra(far, caplog)


def member(name: str, of: str = "G", **more: Any) -> tuple[Any, dict[str, Any]]:
    return ad_group_member, {"group": of, "member": name, **more}


def the_group(name: str, **more: Any) -> tuple[Any, dict[str, Any]]:
    return ad_group, {"group": name, **more}


def usn(far: Twin) -> int:
    return directory.highest_usn(far.machine)


# -- members --


def test_dry_shows_the_member_and_writes_nothing(pyinfra: Pyinfra, far: Twin) -> None:
    before = usn(far)
    run = pyinfra.run(member("anna"), dry=True)
    assert f"anna in group G: 1 change\n        member: (absent) -> {ANNA}" in run.shown
    assert (run.writes, run.failed, usn(far)) == (0, False, before)


def test_applied_it_is_one_write_and_again_none_in_any_spelling(pyinfra: Pyinfra, far: Twin) -> None:
    run = pyinfra.run(member("anna"))
    assert (run.writes, run.failed, far.values(G, "member")) == (1, False, (ANNA.encode(),))
    after = usn(far)
    for spelling in ("ANNA", "CONTOSO\\anna", "anna@contoso.com", "Anna.Smith@contoso.com", ANNA.lower()):
        again = pyinfra.run(member(spelling))
        assert (again.writes, again.failed, usn(far)) == (0, False, after)
        assert f"{spelling} in group G is as wanted: it is in it" in again.text


def test_a_run_with_nothing_to_do_takes_three_calls_a_stage(pyinfra: Pyinfra) -> None:
    pyinfra.run(member("anna"))
    assert len(pyinfra.run(member("anna")).calls) == 6
    # The second one asks nothing anew but the root, once, by the name of the server that is pinned now.
    assert len(pyinfra.run(member("anna"), member("anna")).calls) == 7


def test_a_member_is_taken_away_and_others_stay(pyinfra: Pyinfra, far: Twin) -> None:
    pyinfra.run(member("anna"), member("bob"))
    run = pyinfra.run(member("anna", present=False))
    assert (run.writes, run.failed, far.values(G, "member")) == (1, False, (BOB.encode(),))
    assert pyinfra.run(member("anna", present=False)).writes == 0


def test_two_members_in_one_run_are_two_writes(pyinfra: Pyinfra, far: Twin) -> None:
    assert pyinfra.run(member("anna"), member("bob")).writes == 2
    assert set(far.values(G, "member")) == {ANNA.encode(), BOB.encode()}


REFUSED = {
    "a member that is not there": (member("nobody"), "nobody in group G: no nobody in contoso.com (sAMAccountName nobody and nobody$)"),
    "a group that is not there": (member("anna", "none"), "anna in group none: there is no group none (asked dc01.contoso.com)"),
    "one that a global group cannot hold": (
        member("U"),
        f"U in group G: G ({G}) is global; U (CN=U,{USERS}) is universal: a global group cannot hold it",
    ),
    "the group itself": (member("L", "L"), f"L in group L: L ({L}) cannot be a member of itself"),
    "one that is in it by its primary group": (
        member("bob", "Domain Users", present=False),
        f"bob in group Domain Users: bob ({BOB}) is in Domain Users as its primary group: give it another primary group first",
    ),
    "no member at all": (
        member(""),
        r"in group G: the member is empty: expected sAMAccountName, DOMAIN\user, UPN, DN, SID or GUID",
    ),
}  # fmt: skip


@pytest.mark.parametrize("dry", [True, False], ids=["dry", "applied"])
@pytest.mark.parametrize(("step", "text"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_before_any_write(
    pyinfra: Pyinfra, far: Twin, step: Any, text: str, dry: bool
) -> None:
    before = usn(far)
    run = pyinfra.run(step, dry=dry)
    assert text in run.text
    assert (run.failed, run.writes, usn(far)) == (True, 0, before)


def test_by_its_primary_group_it_is_as_wanted(pyinfra: Pyinfra) -> None:
    run = pyinfra.run(member("bob", "Domain Users"))
    assert (run.writes, run.failed) == (0, False)
    assert "bob in group Domain Users is as wanted: it is in it by its primary group" in run.text


def test_through_another_group_is_not_enough(pyinfra: Pyinfra, far: Twin) -> None:
    edit(far, modify(L, "add", G), modify(G, "add", BOB))
    run = pyinfra.run(member("bob", "L"))
    assert f"member: (only through another group) -> {BOB}" in run.text
    assert far.values(L, "member") == (G.encode(), BOB.encode())


def test_not_wanted_yet_in_it_through_another_group_is_said(pyinfra: Pyinfra, far: Twin) -> None:
    edit(far, modify(L, "add", G), modify(G, "add", BOB))
    run = pyinfra.run(member("bob", "L", present=False))
    assert (run.writes, run.failed) == (0, False)
    assert "it is not in it itself, yet through another group" in run.text


def test_one_that_somebody_else_added_meanwhile_is_a_success(pyinfra: Pyinfra, far: Twin) -> None:
    pyinfra.before_write = lambda: edit(far, modify(G, "add", ANNA))
    run = pyinfra.run(member("anna"))
    assert (run.writes, run.failed, far.values(G, "member")) == (1, False, (ANNA.encode(),))


def test_one_that_somebody_else_took_away_meanwhile_is_a_success(pyinfra: Pyinfra, far: Twin) -> None:
    edit(far, modify(G, "add", ANNA))
    pyinfra.before_write = lambda: edit(far, modify(G, "delete", ANNA))
    run = pyinfra.run(member("anna", present=False))
    assert (run.failed, far.values(G, "member")) == (False, ())


def test_a_group_that_was_deleted_meanwhile_fails(pyinfra: Pyinfra, far: Twin) -> None:
    pyinfra.before_write = lambda: edit(far, delete(G))
    assert pyinfra.run(member("anna")).failed


def test_a_group_whose_scope_changed_meanwhile_is_left_alone(pyinfra: Pyinfra, far: Twin) -> None:
    pyinfra.before_write = lambda: edit(far, modify(G, "replace", "-2147483640", attribute="groupType"))
    run = pyinfra.run(member("anna"))
    assert (run.failed, far.values(G, "member")) == (True, ())


def test_an_account_without_rights_fails_with_the_reason(pyinfra: Pyinfra, far: Twin) -> None:
    far.add(f"CN=Plain,{USERS}", {"sAMAccountName": ["plain"], "unicodePwd": ["Pl4nted!word"]})
    pyinfra.data = {"directory_user": "CONTOSO\\plain", "directory_password": Secret("Pl4nted!word")}
    before = usn(far)
    run = pyinfra.run(member("anna"))
    assert (run.failed, usn(far)) == (True, before)
    assert "Pl4nted!word" not in run.text + repr(run.calls) + "".join(map(str, run.calls))


# -- groups --


def test_a_group_is_made_once_and_its_member_with_it(pyinfra: Pyinfra, far: Twin) -> None:
    steps = (the_group("PhoneFactor Admins", description="MFA"), member("bob", "PhoneFactor Admins"))
    before = usn(far)
    dry = pyinfra.run(*steps, dry=True)
    assert (dry.writes, dry.failed, usn(far)) == (0, False, before)
    then = "group PhoneFactor Admins would be created, then: bob in group PhoneFactor Admins"
    assert dry.shown == [
        "\n".join(
            [
                "group PhoneFactor Admins: 5 changes",
                f"        distinguishedName: (absent) -> {MFA}",
                "        sAMAccountName: (absent) -> PhoneFactor Admins",
                "        scope: (absent) -> global",
                "        category: (absent) -> security",
                "        description: (absent) -> MFA",
            ]
        ),
        f"{then}: 1 change\n        member: (absent) -> {BOB}",
    ]
    run = pyinfra.run(*steps)
    assert (run.writes, run.failed) == (2, False)
    assert (far.values(MFA, "member"), far.values(MFA, "groupType")) == ((BOB.encode(),), (b"-2147483646",))
    again = pyinfra.run(*steps)
    assert (again.writes, again.failed) == (0, False)


COMING: Final = {
    "one that its scope cannot hold": (
        member("U", "PhoneFactor Admins"),
        f"PhoneFactor Admins ({MFA}) is global; U (CN=U,{USERS}) is universal: a global group cannot hold it",
    ),
    "one of another forest": (
        member(FOREIGN, "phonefactor admins"),
        f"PhoneFactor Admins ({MFA}) is global; {FOREIGN} is of another forest: a global group cannot hold it",
    ),
}


@pytest.mark.parametrize("dry", [True, False], ids=["dry", "applied"])
@pytest.mark.parametrize(("step", "text"), COMING.values(), ids=COMING)
def test_what_a_group_to_come_cannot_hold_is_refused_in_the_dry_run_too(
    pyinfra: Pyinfra, far: Twin, step: Any, text: str, dry: bool
) -> None:
    before = usn(far)
    run = pyinfra.run(the_group("PhoneFactor Admins"), step, dry=dry)
    assert text in run.text
    assert (run.failed, run.writes, usn(far)) == (True, 0, before)


def test_a_group_to_come_of_a_wider_scope_may_hold_it(pyinfra: Pyinfra) -> None:
    steps = (the_group("PhoneFactor Admins", scope="domain-local"), member("U", "PhoneFactor Admins"))
    assert [(run.failed, run.writes) for run in (pyinfra.run(*steps, dry=True), pyinfra.run(*steps))] == [
        (False, 0),
        (False, 2),
    ]


def test_a_group_of_another_scope_is_reported_and_left_as_it_is(pyinfra: Pyinfra, far: Twin) -> None:
    run = pyinfra.run(the_group("U", scope="global"))
    assert (run.failed, run.writes, far.values(f"CN=U,{USERS}", "groupType")) == (True, 0, (b"-2147483640",))
    assert f"group U: CN=U,{USERS} exists and is universal security, wanted is global security" in run.text
    unnamed = pyinfra.run(the_group("U", category="security"), member("bob", "U"))
    assert (unnamed.failed, unnamed.writes, far.values(f"CN=U,{USERS}", "groupType")) == (False, 1, (b"-2147483640",))


def test_the_name_of_an_account_is_not_taken(pyinfra: Pyinfra) -> None:
    run = pyinfra.run(the_group("bob"))
    assert (run.failed, run.writes) == (True, 0)
    assert f"group bob: it cannot be made: bob ({BOB}), a user, has that name already" in run.text


def test_a_group_that_somebody_else_made_meanwhile_is_a_success(pyinfra: Pyinfra, far: Twin) -> None:
    pyinfra.before_write = lambda: far.add(
        MFA, {"sAMAccountName": ["PhoneFactor Admins"], "groupType": ["-2147483646"]}
    )
    run = pyinfra.run(the_group("PhoneFactor Admins"))
    assert (run.writes, run.failed) == (1, False)


def test_a_description_that_changed_meanwhile_is_left_alone(pyinfra: Pyinfra, far: Twin) -> None:
    edit(far, modify(G, "replace", "old", attribute="description"))
    pyinfra.before_write = lambda: edit(far, modify(G, "replace", "theirs", attribute="description"))
    run = pyinfra.run(the_group("G", description="new"))
    assert (run.failed, far.values(G, "description")) == (True, (b"theirs",))


@pytest.mark.parametrize("dry", [True, False], ids=["dry", "applied"])
def test_a_container_that_is_not_there_fails_the_dry_run_too_and_nothing_is_made(
    pyinfra: Pyinfra, far: Twin, dry: bool
) -> None:
    before = usn(far)
    run = pyinfra.run(the_group("N", path=f"OU=none,{BASE}"), dry=dry)
    assert (run.failed, run.writes, usn(far)) == (True, 0, before)
    text = f"it cannot be made: there is no OU=none,{BASE} at dc01.contoso.com. Make it first, or give another path"
    assert f"group N: {text}" in run.text


# -- the connection --


def test_a_member_server_without_a_credential_is_told_of_the_second_hop(pyinfra: Pyinfra, far: Twin) -> None:
    pyinfra.machine = far.engine.machine("mim01", "mim")
    run = pyinfra.run(member("anna"), dry=True)
    assert run.failed
    assert "a second hop needs a credential" in run.text


def test_a_member_server_with_a_credential_writes_to_the_server_that_it_read(pyinfra: Pyinfra, far: Twin) -> None:
    pyinfra.machine = far.engine.machine("mim01", "mim")
    pyinfra.data = {
        "directory_user": "CONTOSO\\Administrator",
        "directory_password": "Passw0rd!lab",
        "directory_server": "contoso.com",
        "directory_tls": True,
    }
    run = pyinfra.run(member("anna"))
    assert (run.failed, run.writes, far.values(G, "member")) == (False, 1, (ANNA.encode(),))
    assert {(call.args["server"], call.args["port"]) for call in run.calls[1:]} == {("dc01.contoso.com", 636)}
    assert run.calls[0].args["server"] == "contoso.com"


def test_a_wrong_password_is_said_and_not_shown(pyinfra: Pyinfra) -> None:
    pyinfra.data = {"directory_user": "CONTOSO\\Administrator", "directory_password": "Wr0ng!word"}
    run = pyinfra.run(member("anna"), dry=True)
    assert run.failed
    assert "the user name or the password was not accepted" in run.text
    assert "Wr0ng!word" not in run.text


DATA = {
    "nothing is the logon": ({}, Connection()),
    "TLS has another port": ({"directory_tls": True}, Connection(port=636, tls=True)),
    "a credential": (
        {"directory_user": "C\\a", "directory_password": "pw", "directory_server": "dc01", "directory_port": 3890},
        Connection("dc01", 3890, user="C\\a", password=Secret("pw")),
    ),
}


@pytest.mark.parametrize(("data", "connection"), DATA.values(), ids=DATA)
def test_host_data_of_the_directory(data: dict[str, Any], connection: Connection) -> None:
    assert connection_of(data | {"winrm_user": "x"}) == connection


TOGETHER = "directory_user and directory_password belong together: give both or none"
NO_CATALOG = "expected 389, with TLS 636: the global catalog takes no changes"
BAD_DATA = {
    "a user without a password": ({"directory_user": "C\\a"}, TOGETHER),
    "a password without a user": ({"directory_password": "Pl4nted"}, TOGETHER),
    "a password that is no text": ({"directory_user": "a", "directory_password": ["Pl4nted"]}, "directory_password is of type list, expected a text"),
    "a port that is none": ({"directory_port": 0}, "directory_port is 0, expected 1 to 65535"),
    "the port of the catalog": ({"directory_port": 3268}, f"directory_port is 3268, {NO_CATALOG}"),
    "a text for yes": ({"directory_tls": "yes"}, "directory_tls is 'yes', expected True or False"),
    "a server that is no text": ({"directory_server": 1}, "directory_server is 1, expected a text"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "text"), BAD_DATA.values(), ids=BAD_DATA)
def test_wrong_host_data_is_told_as_in_an_inventory(pyinfra: Pyinfra, data: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError) as wrong:  # noqa: PT011 - the whole text is compared
        connection_of(data)
    assert (str(wrong.value), directory_problems_of(data)) == (text, [text])
    pyinfra.data = data
    run = pyinfra.run(member("anna"), dry=True)
    assert (run.failed, run.calls) == (True, [])
    assert text in run.text
    assert "Pl4nted" not in run.text


PINNED_BY: Final = {
    "no name": ("", "dc01.contoso.com"),
    "a domain": ("contoso.com", "dc01.contoso.com"),
    "a domain in large letters": ("CONTOSO.COM", "dc01.contoso.com"),
    "the NetBIOS name of a domain": ("CONTOSO", "dc01.contoso.com"),
    "an alias": ("ldap.contoso.com", "dc01.contoso.com"),
    "a short name": ("dc01", "dc01.contoso.com"),
    "its own name in large letters": ("DC01.CONTOSO.COM", "dc01.contoso.com"),
    "an address, which is one server": ("10.0.0.1", "10.0.0.1"),
    "an address of IPv6": ("fd00::1", "fd00::1"),
    "the host itself": ("localhost", "localhost"),
}


@pytest.mark.parametrize(("asked", "server"), PINNED_BY.values(), ids=PINNED_BY)
def test_after_the_first_answer_the_server_is_asked_by_the_name_that_it_gave(asked: str, server: str) -> None:
    memory: dict[Any, Any] = {}
    assert (pinned(Connection(asked), memory), reached(asked, memory)) == (Connection(asked), "")
    pin(asked, "dc01.contoso.com", memory)
    pin(asked, "DC01.contoso.com", memory)
    assert (pinned(Connection(asked), memory), reached(asked, memory)) == (Connection(server), "dc01.contoso.com")


def test_another_server_than_the_first_is_an_error_that_names_both() -> None:
    memory: dict[Any, Any] = {}
    pin("10.0.0.1", "dc01.contoso.com", memory)
    with pytest.raises(ValueError) as wrong:  # noqa: PT011 - the whole text is compared
        pin("10.0.0.1", "dc02.contoso.com", memory)
    assert str(wrong.value) == OTHER
    assert reached("10.0.0.1", memory) == "dc01.contoso.com"


OTHER: Final = (
    "dc02.contoso.com answered, yet this run reads and writes at dc01.contoso.com: "
    "give the DNS name of one domain controller as directory_server, and run again"
)
CREDENTIAL: Final = {"directory_user": "CONTOSO\\Administrator", "directory_password": "Passw0rd!lab"}


class Beside(Twin):
    """Another domain controller of a twin's lab, that holds what the first one holds now."""

    def __init__(self, first: Twin) -> None:
        self.engine, self.machine = first.engine, first.engine.machine("dc02", "dc")
        self.server = "dc02.contoso.com"
        self.machine.state.write(directory.DOCUMENT, first.machine.state.read(directory.DOCUMENT))


@pytest.fixture
def two(pyinfra: Pyinfra, far: Twin) -> Twin:
    """A second domain controller of the same domain, and pyinfra on a member server that reaches both. They do not replicate."""
    pyinfra.machine = far.engine.machine("mim01", "mim")
    return Beside(far)


@pytest.mark.parametrize("name", ["ldap.contoso.com", "contoso.com", "CONTOSO"])
def test_a_name_that_leads_to_several_servers_is_read_and_written_at_the_first_that_answered(
    pyinfra: Pyinfra, far: Twin, two: Twin, name: str
) -> None:
    pyinfra.data = CREDENTIAL | {"directory_server": name, "directory_tls": True}
    turns = iter(["dc02", "dc01"] * 10)
    pyinfra.leads_to = lambda server: next(turns) if server == name else server
    before = usn(far)
    run = pyinfra.run(member("anna"))
    assert (run.failed, run.writes, usn(far), two.values(G, "member")) == (False, 1, before, (ANNA.encode(),))
    assert [call.args["server"] for call in run.calls] == [name, *["dc02.contoso.com"] * (len(run.calls) - 1)]


def test_a_write_that_another_server_answered_is_no_success_and_both_are_named(
    pyinfra: Pyinfra, far: Twin, two: Twin
) -> None:
    pyinfra.data = CREDENTIAL | {"directory_server": "10.0.0.1"}
    here = ["dc01"]
    pyinfra.leads_to = lambda _: here[0]
    pyinfra.before_write = lambda: here.__setitem__(0, "dc02")
    run = pyinfra.run(member("anna"))
    assert (run.failed, run.writes, far.values(G, "member"), two.values(G, "member")) == (
        True,
        1,
        (),
        (ANNA.encode(),),
    )
    assert f"Edit-Directory: {OTHER}. What was written, if anything, is at that other one" in run.text


def test_a_write_that_another_server_refused_names_both_too(pyinfra: Pyinfra, far: Twin, two: Twin) -> None:
    edit(two, delete(G))
    pyinfra.data = CREDENTIAL | {"directory_server": "10.0.0.1"}
    here = ["dc01"]
    pyinfra.leads_to = lambda _: here[0]
    pyinfra.before_write = lambda: here.__setitem__(0, "dc02")
    run = pyinfra.run(member("anna"))
    assert (run.failed, run.writes, far.values(G, "member")) == (True, 1, ())
    assert f"Edit-Directory: {OTHER}. What was written, if anything, is at that other one" in run.text
    assert "there is no such object" in run.text


def test_a_read_back_that_another_server_answers_is_no_success_and_both_are_named(
    pyinfra: Pyinfra, far: Twin, two: Twin
) -> None:
    edit(two, modify(G, "add", ANNA))  # there it is as wanted already
    pyinfra.data = CREDENTIAL | {"directory_server": "10.0.0.1"}
    here = ["dc01"]
    pyinfra.leads_to = lambda _: here[0]
    pyinfra.after_write = lambda: here.__setitem__(0, "dc02")
    run = pyinfra.run(member("anna"))
    assert (run.failed, run.writes, far.values(G, "member")) == (True, 1, (ANNA.encode(),))
    assert OTHER in run.text
    assert "anna in group G: written, but could not be read back; run again" in run.text


# -- facts --


def test_facts_give_what_is_there_as_json(pyinfra: Pyinfra, far: Twin) -> None:
    edit(far, modify(G, "add", ANNA))
    with pyinfra.state(Run()) as (_, host), ctx_host.use(host):
        found = read(AdGroup, group="G")
        seen = read(AdGroupMember, group="G", member="anna")
        absent = read(AdGroup, group="none")
    assert found is not UNREAD
    assert seen is not UNREAD
    assert absent is not UNREAD
    assert (found.group.dn if found.group else "", seen.how, absent.found) == (G, "direct", False)
    assert json.loads(json.dumps([found, seen], default=lambda value: value.to_json()))[1]["member"]["dn"] == ANNA
