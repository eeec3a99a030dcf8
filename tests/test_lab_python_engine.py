"""The python engine itself: processes that speak the wire, requests that bind to verbs."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from connectors.frames import Frame, script_line
from lab import verbs
from lab.engine import Output, Service
from lab.python_engine import PythonMachine
from lab.python_process import SORRY, PythonProcess, token_of
from tests.lab_python import PATIENCE_S, POWERSHELL, Conversation, argv, new_machine, refused, sha256

FILES = ("Read-File", "Write-File", "Copy-File", "New-Folder")
WINDOWS = ("Get-HostInfo", "Get-ServiceState", "Set-ServiceState", "Get-InstalledProduct", "Get-Certificate")
IIS = ("Get-IisConfig", "Edit-IisConfig", "Get-IisState", "Set-IisState", "Get-SslBinding", "Set-SslBinding")
DIRECTORY = ("Search-Directory", "Edit-Directory")


@pytest.fixture
def machine(tmp_path: Path) -> PythonMachine:
    return new_machine(tmp_path)


def ok(result: Any) -> dict[str, Any]:
    return {"ok": True, "result": result}


def test_every_verb_of_the_contract_is_there() -> None:
    assert sorted(verbs.table()) == sorted(["Test-Echo", *FILES, *WINDOWS, *IIS, *DIRECTORY])


# -- a process --


def test_a_process_says_hello_and_answers_each_request_once(machine: PythonMachine) -> None:
    with Conversation(machine, script="function a {}") as talk:
        pid = talk.hello.json.pop("pid")
        assert pid % 4 == 0
        assert talk.hello == Frame(
            "H",
            0,
            {
                "powershell": "5.1.17763.1",
                "edition": "Desktop",
                "is64": True,
                "sha256": sha256(b"function a {}"),
                "mode": "write",
            },
        )
        assert talk.ask("Get-HostInfo").json["result"]["pid"] == pid
        value = {"text": "ä\u2028\0'\"$()`", "list": [], "one": [None], "two": [True, -1]}
        assert talk.ask("Test-Echo", value=value, blob=b"\0\xff") == Frame("A", 2, ok({"value": value}), b"\0\xff")


def test_a_number_that_was_the_last_one_is_answered_from_the_cache(machine: PythonMachine) -> None:
    with Conversation(machine) as talk:
        line = talk.line("New-Folder", seq=1, path=r"C:\x")
        talk.send(line)
        first = talk.frame()
        assert first == Frame("A", 1, ok({"created": [r"C:\x"]}))
        talk.send(line + line)
        assert [talk.frame(), talk.frame()] == [first, first]


def test_a_line_out_of_turn_is_refused_and_changes_nothing(machine: PythonMachine) -> None:
    with Conversation(machine) as talk:
        before = machine.snapshot()
        for seq in (0, 2, 7):
            talk.send(talk.line("New-Folder", seq=seq, path=r"C:\x"))
            assert talk.frame() == Frame("N", text=f"SEQ is {seq}, the last one was 0")
        half = talk.line("New-Folder", seq=1, path=r"C:\x")
        talk.send(half[:-20] + b"\n")
        assert talk.frame().kind == "N"
        assert machine.snapshot() == before
        talk.send(b"\n\r\nnoise of something else\n" + half)
        assert talk.frame().json["ok"] is True


def test_a_process_for_reading_refuses_every_verb_that_writes(machine: PythonMachine) -> None:
    with Conversation(machine, read_only=True) as talk:
        assert talk.hello.json["mode"] == "read"
        assert talk.ask("Test-Echo", value=None).json == ok({"value": None})
        before = machine.snapshot()
        error = talk.ask("New-Folder", path=r"C:\x").json["error"]
        assert (error["kind"], error["what"], error["where"]) == ("denied", "New-Folder", "New-Folder")
        assert machine.snapshot() == before


def test_the_script_again_is_answered_by_the_hello_again_and_another_one_is_refused(machine: PythonMachine) -> None:
    with Conversation(machine, script="one") as talk:
        talk.ask("Test-Echo", value=1)
        talk.send(script_line(talk.token, "one", read_only=False))
        assert talk.frame() == talk.hello
        for script, read_only in (("two", False), ("one", True)):
            talk.send(script_line(talk.token, script, read_only=read_only))
            assert talk.frame() == Frame("N", text="another script runs already")
        assert talk.ask("Test-Echo", value=2).json == ok({"value": 2})


def test_a_script_that_arrived_changed_ends_the_process(machine: PythonMachine) -> None:
    token = "00112233aabbccdd"
    process = machine.start(argv(token))
    line = script_line(token, "function a {}", read_only=False).split()
    broken = b" ".join([*line[:-1], base64.b64encode(b"function b {}")]) + b"\n"
    process.write(broken[:-30] + b"\n", end=False)
    assert b" N 0 " in process.read(PATIENCE_S).stdout
    process.write(broken, end=False)
    said = b""
    while (output := process.read(PATIENCE_S)).exit_code is None:
        said += output.stdout
    assert (b" X " in said + output.stdout, output.exit_code) == (True, 1)


def test_the_end_of_input_ends_the_process_after_what_was_asked(machine: PythonMachine) -> None:
    with Conversation(machine) as talk:
        before = machine.snapshot()
        part: dict[str, Any] = {
            "path": r"C:\x",
            "expected": "absent",
            "sha256": sha256(b"ab"),
            "length": 2,
            "part": "aa",
        }
        assert talk.ask("Write-File", **part, blob=b"a").json == ok({"sha256": None, "done": False})
        assert machine.snapshot() != before
        talk.send(talk.line("Test-Echo", seq=2, value=1).rstrip(b"\n"), end=True)
        assert talk.frame() == Frame("A", 2, ok({"value": 1}))
        assert talk.ended() == 0
        assert machine.snapshot() == before
        talk.send(talk.line("New-Folder", seq=3, path=r"C:\x"))  # nobody there
        assert talk.process.read(0) == Output(exit_code=0)


def test_a_process_without_input_ends_after_a_while(machine: PythonMachine) -> None:
    process = PythonProcess(machine, argv("00112233aabbccdd"), idle_s=0.01)
    assert process.read(PATIENCE_S) == Output(exit_code=0)


def test_a_process_that_was_ended_has_nothing_left_and_changes_nothing_more(machine: PythonMachine) -> None:
    with Conversation(machine) as talk:
        before = machine.snapshot()
        part: dict[str, Any] = {
            "path": r"C:\x",
            "expected": "absent",
            "sha256": sha256(b"ab"),
            "length": 2,
            "part": "aa",
        }
        talk.ask("Write-File", **part, blob=b"a")
        talk.process.terminate()
        assert machine.snapshot() == before
        talk.process.terminate()
        assert talk.process.read(0) == Output(exit_code=1)


def test_ending_a_process_ends_the_wait_of_its_verb_and_others_have_the_machine_meanwhile(
    machine: PythonMachine,
) -> None:
    machine.add_service(Service("Hangs", r"C:\hangs.exe", running=False))
    machine.hang_service("Hangs")
    with Conversation(machine) as waits, Conversation(machine) as other:
        waits.send(
            waits.line("Set-ServiceState", seq=1, service="Hangs", state="running", expected="stopped", timeout_s=600)
        )
        while other.ask("Get-ServiceState", service="Hangs").json["result"]["state"] == "stopped":
            pass
        assert waits.process.read(0) == Output()
        waits.process.terminate()
        assert other.ask("Test-Echo", value=1).json == ok({"value": 1})


def test_closing_a_machine_ends_what_it_runs(machine: PythonMachine) -> None:
    talks = [Conversation(machine) for _ in range(3)]
    machine.close()
    assert [talk.process.read(PATIENCE_S) for talk in talks] == [Output(exit_code=1)] * 3
    with Conversation(machine) as talk:
        assert talk.ask("Test-Echo", value=1).json == ok({"value": 1})


def encoded(script: str) -> str:
    return base64.b64encode(script.encode("utf-16-le")).decode()


@pytest.mark.parametrize(
    "command",
    [
        ["whoami"],
        ["cmd.exe", "/c", "echo 0123456789abcdef"],
        [POWERSHELL],
        [POWERSHELL, "-Command", "0123456789abcdef"],
        [POWERSHELL, "-EncodedCommand", encoded("Get-Date")],
        [POWERSHELL, "-EncodedCommand", encoded("0123456789ABCDEF 0123456789abcdef0")],
        [POWERSHELL, "-EncodedCommand", "0123456789abcdef!"],
        [POWERSHELL, "-EncodedCommand"],
        [],
    ],
)
def test_whatever_else_is_started_says_that_there_is_no_powershell(machine: PythonMachine, command: list[str]) -> None:
    process = machine.start(command)
    process.write(b"anything", end=True)
    assert process.read(PATIENCE_S) == Output(stderr=SORRY, exit_code=1)
    process.terminate()
    assert process.read(0) == Output(exit_code=1)


@pytest.mark.parametrize("option", ["-EncodedCommand", "-encodedcommand", "-enc", "-e", "-ec", "/EncodedCommand"])
def test_the_token_is_found_in_the_script_of_the_command_line(option: str) -> None:
    script = "if ('Full') { } $token = '0123456789abcdef'"
    assert token_of(["PowerShell", "-NoProfile", option, encoded(script)]) == "0123456789abcdef"


# -- requests and verbs --


def sample(
    _machine: PythonMachine,
    *,
    text: str,
    number: int = 1,
    flag: bool = False,
    items: Sequence[Any] = (),
    maybe: Mapping[str, Any] | None = None,
) -> verbs.Result:
    return {"text": text, "number": number, "flag": flag, "items": items, "maybe": maybe}


@pytest.mark.parametrize(
    ("args", "where", "why"),
    [
        ({}, "text", "is missing"),
        ({"text": None}, "text", "is null, expected text"),
        ({"text": 1}, "text", "is a number, expected text"),
        ({"text": "x", "number": True}, "number", "is true or false, expected a number"),
        ({"text": "x", "number": "1"}, "number", "is text, expected a number"),
        ({"text": "x", "flag": 1}, "flag", "is a number, expected true or false"),
        ({"text": "x", "items": "x"}, "items", "is text, expected a list"),
        ({"text": "x", "maybe": []}, "maybe", "is a list, expected an object or null"),
        ({"text": "x", "Text": "x"}, "Text", "no such argument, expected: text, number, flag, items, maybe"),
        ({"text": "x", "session": {}}, "session", "no such argument, expected: text, number, flag, items, maybe"),
    ],
)
def test_an_argument_that_does_not_fit_is_invalid_and_named(args: dict[str, Any], where: str, why: str) -> None:
    with pytest.raises(verbs.VerbError) as caught:
        verbs.bind(sample, args)
    assert (caught.value.kind, caught.value.where, caught.value.why) == ("invalid", where, why)


def test_arguments_that_fit_are_bound() -> None:
    for args in (
        {"text": ""},
        {"text": "x", "number": -1, "flag": True, "items": [], "maybe": {}},
        {"text": "x", "maybe": None},
    ):
        assert verbs.bind(sample, args) == args


def test_a_request_that_names_no_verb_or_gives_bytes_to_one_without_is_invalid(machine: PythonMachine) -> None:
    assert refused(machine, "Get-Nothing") == ("invalid", "verb", "no verb has this name")
    assert refused(machine, "read-file", path=r"C:\x")[:2] == ("invalid", "verb")
    assert refused(machine, "Get-HostInfo", blob=b"x")[:2] == ("invalid", "bytes")
    assert refused(machine, "Test-Echo")[:2] == ("invalid", "value")
    answer, _ = verbs.call(machine, {"verb": "Test-Echo", "args": []}, session=verbs.Session(1))
    assert (answer["error"]["kind"], answer["error"]["where"]) == ("invalid", "args")
    assert verbs.call(machine, {}, session=verbs.Session(1))[0]["error"]["where"] == "verb"


def test_a_fault_of_the_lab_is_an_answer_without_what_was_sent(
    machine: PythonMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_machine: PythonMachine, *, value: str, secrets: Mapping[str, str]) -> verbs.Result:
        raise RuntimeError(value + secrets["name"])

    monkeypatch.setattr(verbs, "table", lambda: {"Get-Fault": fails})
    request = {"verb": "Get-Fault", "args": {"value": "hunter2"}}
    answer, _ = verbs.call(machine, request, session=verbs.Session(1), secrets={"name": "hunter3"})
    assert (answer["error"]["kind"], answer["error"]["what"]) == ("unknown", "Get-Fault")
    assert "RuntimeError in fails" in answer["error"]["why"]
    assert "hunter" not in str(answer)


def test_an_error_carries_the_codes_of_a_directory_only_where_there_are_some() -> None:
    plain = verbs.VerbError("missing", "x", "y").to_json("Get-It")
    assert plain == {"kind": "missing", "what": "Get-It", "where": "x", "why": "y", "hresult": None}
    coded = verbs.VerbError("denied", "x", "y", ldap=53, win32=0x2139)
    assert coded.to_json("Edit-It") == plain | {"kind": "denied", "what": "Edit-It", "ldap": 53, "win32": 0x2139}
