"""
The connector as pyinfra calls it: what is remembered, what is refused, what is shown; and that nothing ever escapes from it.

How a call travels is in test_session.py, files in test_transfer.py, the words of errors in test_connector_errors.py.
"""

from __future__ import annotations

import getpass
import io
import json
import sys
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyinfra.api import StringCommand
from pyinfra.api.connect import connect_all
from pyinfra.api.exceptions import ConnectError, InventoryError, PyinfraError
from pyinfra.api.state import StateStage

from connectors import winrm
from connectors.call import Answer, Dialogue, HostCall, Json
from connectors.session import Session
from connectors.settings import KEYS
from connectors.winrm import WinrmConnector
from model.secret import Secret
from tests.connected import connected, unconnected
from tests.connector_lab import Far, Late, odd_lab

SECRET = "geheim-$'\""
READ = HostCall("Read-File", path=r"C:\seen.txt", count=-1)
WRITE = HostCall("New-Folder", path=r"C:\made")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    with odd_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield Far(lab)


@pytest.fixture
def far(shared: Far) -> Iterator[Far]:
    yield shared
    shared.end()


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the connector prints."""
    lines: list[str] = []
    monkeypatch.setattr(winrm, "echo", lambda text, **_: lines.append(text))
    return lines


def data_of(far: Far, **more: Any) -> dict[str, Any]:
    return {**far.lab.connection("mim01"), **more}


def said(connector: WinrmConnector, command: Any, **arguments: Any) -> tuple[bool, str]:
    """Whether it worked, and the lines that pyinfra gets."""
    ok, output = connector.run_shell_command(command, **arguments)
    assert {line.buffer_name for line in output} <= {"stdout" if ok else "stderr"}
    return ok, "\n".join(line.line for line in output)


def content(connector: WinrmConnector) -> bytes:
    ok, line = said(connector, READ)
    assert ok
    return Answer.unpack(line).blob


# -- what is remembered --


def test_a_read_is_asked_once_in_a_stage_and_again_after_a_write_and_in_the_next_stage(far: Far) -> None:
    far.machine.write_file(r"C:\seen.txt", b"1")
    with connected(data_of(far), executing=False) as (state, connector):
        before = far.requests()
        assert [content(connector) for _ in range(3)] == [b"1"] * 3
        assert far.requests() - before == 2
        far.machine.write_file(r"C:\seen.txt", b"2")
        assert content(connector) == b"1"
        state.set_stage(StateStage.Execute)
        assert content(connector) == b"2"
        state.is_executing = True
        far.machine.write_file(r"C:\seen.txt", b"3")
        assert content(connector) == b"3"
        far.machine.write_file(r"C:\seen.txt", b"4")
        assert said(connector, WRITE)[0]
        assert content(connector) == b"4"
        far.machine.write_file(r"C:\seen.txt", b"5")
        # A write that failed may have changed something, too.
        assert not said(connector, HostCall("Copy-File", path=r"C:\none", target=r"C:\x", expected="0" * 64))[0]
        assert content(connector) == b"5"


def test_another_question_is_another_read(far: Far) -> None:
    with connected(data_of(far)) as (_, connector):
        answers = [said(connector, HostCall("Test-Echo", value=value)) for value in (1, "1", True, [1], 1)]
    assert [json.loads(line)["result"]["value"] for _, line in answers] == [1, "1", True, [1], 1]


def test_a_read_that_failed_is_not_remembered(far: Far) -> None:
    ask = HostCall("Read-File", path="relative")
    with connected(data_of(far)) as (_, connector):
        before = far.requests()
        assert [said(connector, ask)[0] for _ in range(2)] == [False, False]
        assert far.requests() - before == 4


# -- what is refused --


def test_a_write_is_refused_unless_pyinfra_executes_and_nothing_is_sent(far: Far) -> None:
    with connected(data_of(far), executing=False) as (_, connector):
        before = far.requests()
        assert said(connector, HostCall("New-Folder", path=r"C:\dry")) == (
            False,
            "New-Folder writes, and pyinfra is not executing: refused, nothing was sent",
        )
        assert connector.put_file(io.BytesIO(b"x"), r"C:\dry.txt") is False
        assert far.requests() == before


def test_a_write_is_refused_on_a_host_for_reading_only_by_both_ends(far: Far) -> None:
    far.machine.write_file(r"C:\seen.txt", b"1")
    with connected(data_of(far, winrm_read_only=True)) as (_, connector):
        before = far.requests()
        assert said(connector, WRITE) == (
            False,
            "New-Folder writes, and winrm_read_only is set for this host: refused, nothing was sent",
        )
        assert connector.put_file(io.BytesIO(b"x"), r"C:\ro.txt") is False
        assert far.requests() == before
        assert content(connector) == b"1"
        session = connector._session
        assert session is not None
        with pytest.raises(Exception, match=r"\[denied\]"):
            session.call(WRITE)


@pytest.mark.parametrize("name", ["_sudo", "_su_user", "_doas", "_dzdo", "_chdir", "_env", "_stdin"])
def test_an_argument_without_meaning_on_windows_is_refused_by_its_name(far: Far, name: str) -> None:
    with connected(data_of(far)) as (_, connector):
        before = far.requests()
        assert said(connector, READ, **{name: "x"}) == (
            False,
            f"{name} has no meaning on Windows over @winrm: leave it out",
        )
        assert far.requests() == before


def test_arguments_that_pyinfra_always_gives_are_taken(far: Far) -> None:
    always = {"_shell_executable": "sh", "_success_exit_codes": [0], "_get_pty": False, "_timeout": None, "_env": {}}
    with connected(data_of(far)) as (_, connector):
        assert said(connector, HostCall("Test-Echo", value=1), _sudo=False, **always)[0]


@pytest.mark.parametrize("command", ["ls", StringCommand("ls"), None, 5])
def test_a_shell_command_is_refused_with_a_word_on_what_to_do(far: Far, command: Any) -> None:
    with connected(data_of(far)) as (_, connector):
        assert said(connector, command) == (
            False,
            "this host is Windows over @winrm and takes host verbs only, no shell command: use the operations and facts of this project",
        )


@pytest.mark.slow
def test_a_timeout_of_pyinfra_ends_the_call_and_not_the_host(far: Far) -> None:
    far.machine.odd.append(partial(Late, after=99))
    with connected(data_of(far)) as (_, connector):
        assert said(connector, HostCall("Test-Echo", value=1), _timeout=1) == (
            False,
            "Test-Echo took too long and was ended",
        )
        assert said(connector, HostCall("Test-Echo", value=2))[0]


# -- several reads as one --


def echoes(*values: Json) -> Callable[[], Generator[HostCall, Answer, Json]]:
    def steps() -> Generator[HostCall, Answer, Json]:
        seen: list[Json] = []
        for value in values:
            answer = yield HostCall("Test-Echo", value=value)
            seen.append(answer.result["value"])
        return {"seen": seen}

    return steps


def test_a_dialogue_is_one_answer_and_each_of_its_reads_is_remembered(far: Far) -> None:
    with connected(data_of(far)) as (_, connector):
        before = far.requests()
        told = [said(connector, Dialogue("three", echoes(1, 2, 1))) for _ in range(2)]
        assert (far.requests() - before, told) == (4, [(True, Answer({"seen": [1, 2, 1]}).pack())] * 2)
        assert said(connector, Dialogue("nothing", echoes())) == (True, Answer({"seen": []}).pack())


def _writes() -> Generator[HostCall, Answer, Json]:
    yield WRITE
    return None


def _breaks() -> Generator[HostCall, Answer, Json]:
    yield HostCall("Test-Echo", value=1)
    raise KeyError(SECRET)


DIALOGUES = {
    "a write in it": (_writes, "New-Folder in told: a fact only reads"),
    "an exception in it": (
        _breaks,
        "a defect of the connector (KeyError); please report it, with the steps that lead here",
    ),
}


@pytest.mark.parametrize(("steps", "text"), DIALOGUES.values(), ids=DIALOGUES)
def test_a_dialogue_that_cannot_be_held_fails_alone(far: Far, steps: Any, text: str) -> None:
    with connected(data_of(far)) as (_, connector):
        assert said(connector, Dialogue("told", steps)) == (False, text)
        assert said(connector, HostCall("Test-Echo", value=1))[0]


# -- what is shown --


def test_input_and_output_are_shown_without_what_they_carry(far: Far, shown: list[str]) -> None:
    call = HostCall("Test-Echo", secrets={"p": Secret(SECRET)}, blob=b"geheim", value={"secret": "p"})
    with connected(data_of(far)) as (_, connector):
        ok, line = said(connector, call, print_input=True, print_output=True)
        assert not said(connector, HostCall("Read-File", path="x"), print_output=True)[0]
        connector.put_file(io.BytesIO(b"geheim"), r"C:\shown.txt", print_output=True)
        connector.get_file(r"C:\shown.txt", io.BytesIO(), print_input=True)
    prefix = connector.host.print_prefix
    assert ok
    assert [one.removeprefix(prefix) for one in shown] == [
        ">>> Test-Echo -Value (secret) -Bytes <6 bytes>",
        f"answered, {len(line)} characters",
        shown[2].removeprefix(prefix),
        r"put C:\shown.txt: 6 bytes",
        r"get C:\shown.txt: 6 bytes",
    ]
    assert "Read-File x: " in shown[2]
    assert "geheim" not in "".join(shown)


# -- connecting --

SETTINGS = {
    "an unknown key": ({"winrm_hostnam": "x"}, "winrm_hostnam "),
    "a port that is none": ({"winrm_port": 70000}, "winrm_port "),
    "a port that is a truth value": ({"winrm_port": True}, "winrm_port "),
    "another scheme": ({"winrm_scheme": "ftp"}, "winrm_scheme "),
    "basic in clear": ({"winrm_scheme": "http", "winrm_transport": "basic"}, "basic over http would send the password"),
    "an address for a name": ({"winrm_hostname": "https://x/wsman"}, "winrm_hostname "),
    "a slash in the user": ({"winrm_user": "CONTOSO/admin"}, "winrm_user "),
    "another mode": ({"winrm_mode": "hot"}, "winrm_mode "),
    "a password that is no text": ({"winrm_password": 12345678}, "winrm_password is of type int, expected a text"),
}


@pytest.mark.parametrize(("wrong", "text"), SETTINGS.values(), ids=SETTINGS)
def test_wrong_host_data_is_an_error_before_anything_is_sent(far: Far, wrong: dict[str, Any], text: str) -> None:
    before = far.requests()
    try:
        _, _, connector = unconnected(data_of(far, **wrong))
    except PyinfraError as error:  # pyinfra's own check of types comes first
        assert next(iter(wrong)) in str(error)  # noqa: PT017
        assert "12345678" not in str(error)  # noqa: PT017
        return
    with pytest.raises(ConnectError) as caught:
        connector.connect()
    assert text in str(caught.value)
    assert "12345678" not in str(caught.value)
    assert far.requests() == before


def test_every_key_of_the_host_data_has_its_words_for_pyinfra() -> None:
    assert set(winrm.WinrmData.__annotations__) == set(KEYS) == set(WinrmConnector.data_meta)
    assert all(len(meta.description) > 10 for meta in WinrmConnector.data_meta.values())


def test_a_password_comes_from_the_environment(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_of(far)
    monkeypatch.setenv("WINRM_PASSWORD", data.pop("winrm_password"))
    with connected(data) as (_, connector):
        assert said(connector, HostCall("Test-Echo", value=1))[0]


def test_a_password_is_asked_for_once_an_account_of_a_domain(far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    data, asked = data_of(far), list[str]()
    password = data.pop("winrm_password")
    monkeypatch.delenv("WINRM_PASSWORD", raising=False)
    monkeypatch.setattr(winrm, "_asked", {})
    monkeypatch.setattr(sys, "stdin", type("Terminal", (io.StringIO,), {"isatty": lambda _: True})())

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return str(password)

    monkeypatch.setattr(getpass, "getpass", answer)
    for _ in range(2):
        with connected(data):
            pass
    assert asked == [f"Password of {data['winrm_user']}: "]
    # An account of the machine has another password on the next one.
    assert [winrm.ask_password(".\\admin", host) for host in ("a", "b")] == [password] * 2
    assert asked[1:] == [r"Password of .\admin on a: ", r"Password of .\admin on b: "]


def test_without_a_password_and_a_terminal_it_says_where_one_may_come_from(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_of(far)
    del data["winrm_password"]
    monkeypatch.delenv("WINRM_PASSWORD", raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr(winrm, "_asked", {})
    with pytest.raises(ConnectError) as caught:
        unconnected(data)[2].connect()
    assert str(caught.value) == (
        "no credential for ntlm: expected winrm_password, WINRM_PASSWORD in the environment, or a terminal to ask at"
    )

    def closed(_: str) -> str:
        raise EOFError

    monkeypatch.setattr(sys, "stdin", type("Terminal", (io.StringIO,), {"isatty": lambda _: True})())
    monkeypatch.setattr(getpass, "getpass", closed)
    with pytest.raises(ConnectError, match="no credential for ntlm"):
        unconnected(data)[2].connect()


def test_a_host_needs_a_name() -> None:
    with pytest.raises(InventoryError):
        list(WinrmConnector.make_names_data())
    assert list(WinrmConnector.make_names_data("mfa01")) == [("mfa01", {"winrm_hostname": "mfa01"}, ["@winrm"])]


def test_a_host_that_fails_to_connect_leaves_no_shell_behind(far: Far) -> None:
    far.machine.odd.append(lambda _, start: start(["powershell.exe", "-Command", "1"]))
    state, host, _ = unconnected(data_of(far))
    with pytest.raises(PyinfraError, match="No hosts remaining"):
        connect_all(state)
    assert (len(far.served.shells), host in state.failed_hosts) == (0, True)


# -- nothing escapes --

ESCAPING = [ValueError, KeyError, OSError, TypeError, StopIteration, RuntimeError, UnicodeDecodeError, RecursionError]


class _Broken(Session):
    """A session with a defect."""

    error: Exception = Exception()

    def __init__(self, *_: object, **__: object) -> None: ...

    @property
    def batch(self) -> bool:
        return False

    def open(self) -> None:
        raise type(self).error

    def call(self, *_: object, **__: object) -> Any:
        raise type(self).error

    def unbroken(self) -> Any:
        raise type(self).error

    def close(self) -> None:
        raise type(self).error


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from(ESCAPING), write=st.booleans())
def test_no_exception_of_any_kind_escapes_into_pyinfra(kind: type[Exception], *, write: bool) -> None:
    _Broken.error = (
        UnicodeDecodeError("utf-8", SECRET.encode(), 0, 1, SECRET) if kind is UnicodeDecodeError else kind(SECRET)
    )
    state, _, connector = unconnected({"winrm_user": "a@b", "winrm_password": SECRET})
    state.is_executing = True
    connector._session = _Broken()
    ok, text = said(connector, WRITE if write else READ)
    outcomes = [
        connector.put_file(io.BytesIO(b"x"), r"C:\x"),
        connector.get_file(r"C:\x", io.BytesIO()),
    ]
    connector.disconnect()
    assert (ok, outcomes, said(connector, READ)) == (False, [False, False], (False, "not connected"))
    assert text == f"a defect of the connector ({kind.__name__}); please report it, with the steps that lead here"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winrm, "Session", _Broken)
        with pytest.raises(ConnectError) as caught:
            connector.connect()
    assert SECRET not in str(caught.value)
