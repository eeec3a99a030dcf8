"""What a machine of the python engine keeps: documents, registry, clock, snapshots; by one engine, several, and many threads at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab import verbs
from lab.directory_new import ADMINISTRATOR_PASSWORD
from lab.engine import RegistryValue, Service
from lab.python_engine import PythonEngine, PythonMachine, Role
from lab.seed import MFA_SETTINGS, MIM_PRODUCT, seed
from lab.state import Clock, State, datetime_of, fold, ticks_of, time_text
from tests.lab_python import PATIENCE_S, Conversation, ask, new_machine, refused, sha256


@pytest.fixture
def machine(tmp_path: Path) -> PythonMachine:
    return new_machine(tmp_path)


def ok(result: Any) -> dict[str, Any]:
    return {"ok": True, "result": result}


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


def test_no_verb_that_reads_touches_a_file_of_the_lab(tmp_path: Path) -> None:
    engine = PythonEngine(tmp_path)
    roles: dict[str, Role] = {"dc01": "dc", "mfa01": "mfa", "mim01": "mim"}
    for name, role in roles.items():
        seed(engine.machine(name, role), role)
    sites = {"id": "a", "section": "system.applicationHost/sites", "location": ""}
    search = {"id": "a", "base": "DC=contoso,DC=com", "scope": "sub", "filter": "(cn=*)", "attributes": ["cn"]}
    reads: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("mim01", "Read-File", {"path": MFA_SETTINGS}),
        ("mim01", "Test-Echo", {"value": 1}),
        ("mim01", "Get-HostInfo", {}),
        ("mim01", "Get-ServiceState", {"service": "FIMService"}),
        ("mim01", "Get-InstalledProduct", {"product": MIM_PRODUCT}),
        ("mfa01", "Get-Certificate", {"thumbprint": "0" * 40}),
        ("mfa01", "Get-IisConfig", {"reads": [sites | {"view": "stored"}, sites | {"id": "b", "view": "effective"}]}),
        ("mfa01", "Get-IisState", {"items": [{"kind": "site", "name": "Default Web Site"}]}),
        ("mfa01", "Get-SslBinding", {}),
        ("dc01", "Search-Directory", {"searches": [search]}),
    )
    assert {verb for _, verb, _ in reads} == {verb for verb in verbs.table() if verb.startswith(verbs.READS)}

    def everything() -> dict[str, tuple[bytes, int, int]]:
        files = [Path(parent, name) for parent, _, found in os.walk(tmp_path) for name in found]
        return {str(one): (one.read_bytes(), one.stat().st_mtime_ns, one.stat().st_ino) for one in files}

    before = everything()
    for name, verb, args in reads:
        ask(engine.machine(name, roles[name]), verb, **args)
        engine.machine(name, roles[name]).snapshot()
    assert everything() == before


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


@pytest.mark.slow
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
