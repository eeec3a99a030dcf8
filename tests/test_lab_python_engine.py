"""The python engine itself: processes that speak the wire, machines that keep their state, requests that bind to verbs."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.frames import Frame, script_line
from lab import verbs
from lab.directory_store import ADMINISTRATOR_PASSWORD
from lab.engine import Output, RegistryValue, Service
from lab.python_engine import PythonEngine, PythonMachine
from lab.python_process import SORRY, PythonProcess, token_of
from lab.state import Clock, State, datetime_of, fold, ticks_of, time_text
from tests.lab_python import PATIENCE_S, POWERSHELL, Conversation, argv, ask, new_machine, refused, sha256

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
        value = {"text": "ä\u2028\ud800\0'\"$()`", "list": [], "one": [None], "two": [True, -1]}
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


# -- state --


def test_state_survives_a_new_engine(tmp_path: Path) -> None:
    first = new_machine(tmp_path)
    first.write_file(r"C:\x\y.xml", b"y")
    first.set_read_only(r"C:\x\y.xml", read_only=True)
    first.set_registry(
        r"HKLM\SOFTWARE\X", {"text": "t", "number": 1, "bytes": b"\0\xff", "list": ("a", ""), "none": ()}
    )
    first.add_service(Service("S", r"C:\s.exe", running=False))
    first.set_iis_state("pool", "P", "Started")
    ask(first, "Set-ServiceState", service="S", state="running", expected="stopped")
    second = new_machine(tmp_path)
    assert second.snapshot() == first.snapshot()
    assert second.registry(r"hklm\software\x") == {
        "text": "t",
        "number": 1,
        "bytes": b"\0\xff",
        "list": ("a", ""),
        "none": (),
    }
    assert second.service_state("s") == first.service_state("S")
    assert (
        refused(second, "Write-File", path=r"C:\x\y.xml", expected=sha256(b"y"), sha256=sha256(b""), length=0)[0]
        == "denied"
    )


def test_two_engines_over_one_folder_see_what_the_other_writes(tmp_path: Path) -> None:
    one, two = new_machine(tmp_path), new_machine(tmp_path)
    for number in range(5):
        one.set_registry(r"HKLM\SOFTWARE\X", {"number": number})
        assert two.registry(r"HKLM\SOFTWARE\X") == {"number": number}
        two.write_file(r"C:\x", bytes(number))
        assert one.read_file(r"C:\x") == bytes(number)


def test_a_snapshot_names_everything_that_can_differ(tmp_path: Path) -> None:
    machine = new_machine(tmp_path, "mfa01", "mfa")
    bare = machine.snapshot()
    assert {name: text for name, text in bare.items() if name.startswith(("registry", "service", "iis", "cert"))} == {
        r"registry HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\Hostname": "'mfa01'",
        r"registry HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\Domain": "'contoso.com'",
    }
    when = datetime(2026, 11, 25, 8, tzinfo=timezone(timedelta(hours=1)))
    machine.write_file(r"C:\Windows\left out", b"")
    machine.write_file(r"C:\windows\System32\inetsrv\config\applicationHost.config", b"<configuration/>")
    machine.write_file(r"D:\data\x.txt", b"x")
    for path in (r"C:\windows\System32\inetsrv\config\applicationHost.config", r"D:\data\x.txt"):
        machine.set_last_write(path, when)
    machine.set_read_only(r"D:\data\x.txt", read_only=True)
    machine.set_registry(r"HKLM\SOFTWARE\X", {"bytes": b"\x01", "list": ("a",)})
    machine.set_iis_state("site", "Default Web Site", "Started")
    after = machine.snapshot()
    assert {name: after[name] for name in after.keys() - bare.keys()} == {
        r"file C:\Windows\System32\inetsrv\config\applicationHost.config": f"{sha256(b'<configuration/>')} 16 2026-11-25T07:00:00.0000000Z",
        r"folder D:\data": "",
        r"file D:\data\x.txt": f"{sha256(b'x')} 1 2026-11-25T07:00:00.0000000Z read-only",
        r"registry HKLM\SOFTWARE\X\bytes": "01",
        r"registry HKLM\SOFTWARE\X\list": "('a',)",
        "iis site Default Web Site": "Started",
    }
    assert {name: text for name, text in bare.items() if after[name] != text} == {}


def test_only_a_domain_controller_has_a_directory(tmp_path: Path) -> None:
    engine = PythonEngine(tmp_path)
    member, controller = engine.machine("mim01", "mim"), engine.machine("dc01", "dc")
    with pytest.raises(ValueError, match="mim01 is no domain controller"):
        member.directory_add("CN=x,DC=contoso,DC=com", {})
    with pytest.raises(ValueError, match="mim01 is no domain controller"):
        member.directory_values("CN=x,DC=contoso,DC=com", "cn")
    assert "directory" not in member.snapshot()
    before = int(controller.snapshot()["directory"])
    controller.directory_add("CN=x,CN=Users,DC=contoso,DC=com", {"objectClass": ["user"], "sAMAccountName": ["x"]})
    assert controller.directory_values("CN=x,CN=Users,DC=contoso,DC=com", "sAMAccountName") == (b"x",)
    assert int(controller.snapshot()["directory"]) > before


def test_an_engine_makes_one_machine_for_a_name(tmp_path: Path) -> None:
    engine = PythonEngine(tmp_path)
    machine = engine.machine("mim01", "mim")
    assert engine.machine("mim01", "mim") is machine
    assert engine.machines("mim") == (machine,)
    with pytest.raises(ValueError, match="mim01 is a machine of role mim, not dc"):
        engine.machine("mim01", "dc")


keys = st.lists(st.text(st.sampled_from("aAbÄä ß1"), min_size=1, max_size=3), min_size=1, max_size=3)
values: st.SearchStrategy[RegistryValue] = (
    st.text(max_size=5)
    | st.integers(0, 2**32 - 1)
    | st.binary(max_size=5)
    | st.lists(st.text(max_size=3), max_size=3).map(tuple)
)


@settings(max_examples=25)
@given(st.lists(st.tuples(keys, st.dictionaries(st.sampled_from(["a", "A", "b"]), values)), max_size=6))
def test_the_registry_keeps_what_is_set_and_finds_it_in_any_case(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[list[str], dict[str, RegistryValue]]]
) -> None:
    machine = new_machine(tmp_path_factory.mktemp("lab"))
    model: dict[str, dict[str, RegistryValue]] = {}
    for names, found in writes:
        key = "\\".join(["HKLM", *names])
        machine.set_registry(key, found)
        own = model.setdefault(fold(key), {})
        own.update({fold(name): value for name, value in found.items()})
    for key, wanted in model.items():
        assert {fold(name): value for name, value in machine.registry(key.lower().replace("SS", "ß")).items()} == wanted
        parent, _, name = key.rpartition("\\")
        assert parent == "HKLM" or name in {fold(child) for child in machine.registry_keys.children(parent)}
    for key in model:
        machine.remove_registry(key)
        assert not machine.registry_keys.exists(key)


def test_a_key_that_is_none_of_the_machine_is_an_error_of_the_test(machine: PythonMachine) -> None:
    with pytest.raises(ValueError, match="begins with HKLM"):
        machine.set_registry(r"HKCU\x", {})


def test_a_document_that_is_the_same_is_not_written(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.write("x", {"a": [1, "ä"]})
    before = (tmp_path / "x.json").stat()
    state.write("x", {"a": [1, "ä"]})
    assert (tmp_path / "x.json").stat() == before
    assert State(tmp_path).read("x") == {"a": [1, "ä"]}
    assert state.read("y", 5) == 5


# -- time --


def test_a_clock_that_stands_still_or_goes_back_gives_later_times() -> None:
    readings = iter([1000, 1000, 900, 1000, 5000])
    clock = Clock(lambda: next(readings))
    assert [clock.now() for _ in range(5)] == [10, 11, 12, 13, 50]


@given(st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1)))  # noqa: DTZ001 - one without a zone is UTC, which is what is tested
def test_a_time_is_the_same_as_ticks_and_as_text(when: datetime) -> None:
    ticks = ticks_of(when)
    assert datetime_of(ticks) == when.replace(tzinfo=UTC)
    assert time_text(ticks) == f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond:06}0Z"
    assert time_text(ticks + 7)[:-2] == time_text(ticks)[:-2]
    assert time_text(ticks + 7)[-2:] == "7Z"


# -- many at once --


def together(work: Sequence[Callable[[], None]]) -> None:
    """Run everything at once; the first error is the test's."""
    start = threading.Barrier(len(work))

    def run(one: Callable[[], None]) -> None:
        start.wait(PATIENCE_S)
        one()

    with ThreadPoolExecutor(len(work)) as pool:
        for done in [pool.submit(run, one) for one in work]:
            done.result()


def test_fifty_machines_work_side_by_side(tmp_path: Path) -> None:
    engine = PythonEngine(tmp_path)

    def work(name: str) -> None:
        with Conversation(engine.machine(name, "mim")) as talk:
            for number in range(3):
                data = f"{name} {number}".encode()
                args = {"path": rf"C:\{number}", "expected": "absent", "sha256": sha256(data), "length": len(data)}
                assert talk.ask("Write-File", **args, blob=data).json == ok({"sha256": sha256(data), "done": True})
            assert talk.ask("Read-File", path=r"C:\1").blob == f"{name} 1".encode()

    names = [f"mim{number:02}" for number in range(50)]
    together([partial(work, name) for name in names])
    assert [machine.name for machine in engine.machines("mim")] == names


def test_of_writers_that_read_the_same_only_one_wins(tmp_path: Path) -> None:
    machines = [new_machine(tmp_path) for _ in range(3)]  # three engines over one folder
    machines[0].write_file(r"C:\x", b"before")
    kinds: list[str] = []

    def work(machine: PythonMachine, data: bytes) -> None:
        with Conversation(machine) as talk:
            args = {"path": r"C:\x", "expected": sha256(b"before"), "sha256": sha256(data), "length": len(data)}
            answer = talk.ask("Write-File", **args, blob=data).json
            kinds.append("done" if answer["ok"] else answer["error"]["kind"])

    together([partial(work, machines[at % 3], b"%d" % at) for at in range(9)])
    assert sorted(kinds) == ["conflict"] * 8 + ["done"]
    names = {path.name for path in (tmp_path / "mim01" / "c").iterdir()}
    assert not [name for name in names if name.endswith(".new")]


def test_registry_values_set_at_once_are_all_kept(tmp_path: Path) -> None:
    machines = [new_machine(tmp_path) for _ in range(2)]
    together(
        [partial(machines[at % 2].set_registry, r"HKLM\SOFTWARE\X", {f"v{at}": at}) for at in range(12)],
    )
    assert machines[0].registry(r"HKLM\SOFTWARE\X") == {f"v{at}": at for at in range(12)}


def test_hosts_that_edit_one_directory_at_once_lose_nothing(tmp_path: Path) -> None:
    engine = PythonEngine(tmp_path)
    controller = engine.machine("dc01", "dc")
    credential = {"user": r"CONTOSO\Administrator", "password": {"secret": "p"}}

    def work(name: str) -> None:
        edit = {
            "id": name,
            "op": "add",
            "target": f"CN={name},CN=Users,DC=contoso,DC=com",
            "class": "group",
            "expect": "",
        }
        edits = [edit | {"changes": [{"attribute": "sAMAccountName", "op": "add", "values": [name]}]}]
        args = {"server": "dc01", "port": 636, "tls": True, "credential": credential, "edits": edits}
        request, session = {"verb": "Edit-Directory", "args": args}, verbs.Session(1)
        answer, _ = verbs.call(
            engine.machine(name, "mim"), request, session=session, secrets={"p": ADMINISTRATOR_PASSWORD.decode()}
        )
        assert answer.get("result", answer) == {
            "server": "dc01.contoso.com",
            "edits": [{"id": name, "done": True, "error": None}],
        }

    names = [f"mim{number}" for number in range(8)]
    together([partial(work, name) for name in names])
    found = [controller.directory_values(f"CN={name},CN=Users,DC=contoso,DC=com", "sAMAccountName") for name in names]
    assert found == [(name.encode(),) for name in names]


def test_domain_controllers_that_ask_each_other_do_not_wait_for_each_other(tmp_path: Path) -> None:
    engine = PythonEngine(tmp_path)
    names = ["dc01", "dc02"]
    credential = {"user": r"CONTOSO\Administrator", "password": {"secret": "p"}}
    search = {"id": "root", "base": "", "scope": "base", "filter": "(objectClass=*)", "attributes": [], "size_limit": 0}

    def work(name: str, other: str) -> None:
        args = {"server": other, "port": 636, "tls": True, "credential": credential, "searches": [search]}
        request, session = {"verb": "Search-Directory", "args": args}, verbs.Session(1)
        for _ in range(20):
            answer, _ = verbs.call(
                engine.machine(name, "dc"), request, session=session, secrets={"p": ADMINISTRATOR_PASSWORD.decode()}
            )
            assert answer["result"]["server"] == f"{other}.contoso.com"

    for name in names:
        engine.machine(name, "dc")
    together([partial(work, *names), partial(work, *reversed(names))])
