"""The lab as a thing that is started and stopped: its folder, its journal, its record, and the process in the background."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from winrm.protocol import Protocol

from lab import control
from lab.__main__ import main
from lab.control import HOSTS
from lab.folder import AlreadyRunsError, Folder, LabError
from lab.journal import Entry, Journal, StateChange, difference, entries
from lab.lab import Lab
from lab.seed import MFA_SETTINGS, Root, mfa_settings
from lab.shells import Limits
from tests.lab_machine import ScriptedEngine, no_seed
from tests.waiting import wait_for

TREE = Path(__file__).parents[1]


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine()


@pytest.fixture
def lab(engine: ScriptedEngine, tmp_path: Path) -> Iterator[Lab]:
    with Lab(
        tmp_path, engine.engine(), {"mim01": "mim"}, seed=no_seed, limits=Limits(least_idle_timeout_s=0.05)
    ) as running:
        yield running


@pytest.fixture
def client(lab: Lab) -> Iterator[Any]:
    with_lab = made(dict(lab.connection("mim01", "https", "basic")))
    yield with_lab
    with_lab.transport.close_session()


def made(data: dict[str, Any]) -> Any:
    return Protocol(
        f"{data['winrm_scheme']}://{data['winrm_hostname']}:{data['winrm_port']}/wsman",
        transport=data["winrm_transport"],
        username=data["winrm_user"],
        password=data["winrm_password"],
        ca_trust_path=data["winrm_ca"],
        proxy=None,
    )


def run(client: Any, shell: str, *words: str) -> tuple[bytes, bytes, int]:
    found: tuple[bytes, bytes, int] = client.get_command_output(shell, client.run_command(shell, words[0], words[1:]))
    return found


def contents(root: Path) -> dict[str, str]:
    """Every file of a lab but logs and the journal, with its hash and mode."""
    return {
        str(path.relative_to(root)): f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mode:o}"
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.suffix != ".log" and "journal" not in path.name
    }


# -- journal --


def test_a_difference_names_what_came_went_and_changed() -> None:
    before, after = {"a": "1", "b": "2", "c": "3"}, {"b": "2", "c": "4", "d": "5"}
    assert difference(before, after) == (
        StateChange("a", "1", None),
        StateChange("c", "3", "4"),
        StateChange("d", None, "5"),
    )
    assert difference(before, before) == ()


def test_a_shell_that_changed_something_is_journaled_before_its_delete_is_answered(lab: Lab, client: Any) -> None:
    shell = client.open_shell()
    run(client, shell, "set", "x", "1")
    since = lab.mark()
    assert lab.changes(0) == ()
    client.close_shell(shell)
    assert lab.changes(since) == (("mim01", StateChange("x", None, "1")),)
    assert lab.changes(lab.mark()) == ()


def test_a_shell_that_changed_nothing_leaves_a_line_without_changes_and_every_file_as_it_was(
    lab: Lab, client: Any
) -> None:
    client.close_shell(client.open_shell())
    before = contents(lab.root)
    shell = client.open_shell()
    run(client, shell, "say", "x")
    client.close_shell(shell)
    assert contents(lab.root) == before
    assert [(entry.host, entry.shell, entry.changes) for entry in entries(lab.root)][1:] == [("mim01", shell, ())]


def test_a_change_is_in_one_line_although_shells_overlap(lab: Lab, client: Any) -> None:
    first, second = client.open_shell(), client.open_shell()
    run(client, second, "set", "x", "1")
    client.close_shell(first)
    run(client, second, "unset", "x")
    client.close_shell(second)
    found = [(entry.shell, entry.changes) for entry in entries(lab.root)]
    assert found == [(first, (StateChange("x", None, "1"),)), (second, (StateChange("x", "1", None),))]


def test_what_is_arranged_between_shells_is_nobodys_change(lab: Lab, engine: ScriptedEngine, client: Any) -> None:
    client.close_shell(client.open_shell())
    engine.machines["mim01"].state["arranged"] = "yes"
    client.close_shell(client.open_shell())
    assert lab.changes(0) == ()


@pytest.mark.parametrize("how", ["vanishes", "is idle", "is open when the lab stops"])
def test_a_shell_that_is_not_deleted_is_journaled_too(lab: Lab, client: Any, how: str) -> None:
    shell = client.open_shell(idle_timeout="PT0.1S" if how == "is idle" else None)
    client.run_command(shell, "set", ["x", "1"])
    match how:
        case "vanishes":
            lab.served("mim01").shells.vanish(shell)
        case "is idle":
            wait_for(lambda: not len(lab.served("mim01").shells), "the idle shell to end")
            wait_for(lambda: lab.mark() > 0, "its line in the journal")
        case _:
            lab.stop()
    assert lab.changes(0) == (("mim01", StateChange("x", None, "1")),)


def test_the_journal_of_many_threads_has_whole_lines(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    change = (StateChange("file C:\\é", None, "x" * 5000),)

    def write(host: str) -> None:
        for _ in range(20):
            journal.append(host, "s", change)

    threads = [threading.Thread(target=write, args=(f"mim{number}",)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = list(entries(tmp_path))
    assert (len(found), {entry.changes for entry in found}) == (100, {change})


def test_an_entry_is_printed_readably() -> None:
    entry = Entry(
        "2026-11-25T08:00:00.000+00:00",
        "mim01",
        "12345678-ABCD",
        (StateChange("file C:\\x", None, "1f"), StateChange("y", "", "z")),
    )
    assert (
        str(entry)
        == "2026-11-25T08:00:00.000+00:00 mim01 shell 12345678: 2 changes\n  file C:\\x: (absent) -> 1f\n  y:  -> z"
    )


# -- record --


def test_command_lines_and_script_text_are_recorded_and_requests_are_not(lab: Lab, client: Any) -> None:
    script, bootstrap = "function Get-X { 'é' }", "Write-Output 'boot'"
    frame = b" ".join((b"0123456789abcdef", b"S", b"32", b"0" * 64, b"write", base64.b64encode(script.encode())))
    shell = client.open_shell()
    for _ in range(2):
        command = client.run_command(
            shell,
            "loop",
            ["-EncodedCommand", base64.b64encode(bootstrap.encode("utf-16-le")).decode()],
            console_mode_stdin=False,
        )
        client.send_command_input(shell, command, frame[:50])
        client.send_command_input(shell, command, frame[50:] + b"\n0123456789abcdef R 1 0 c2VjcmV0 - -\n")
        client.send_command_input(shell, command, b"0123456789abcdef R 2 0 c2VjcmV0 - -\n")
    client.close_shell(shell)
    text = (lab.root / "commands.log").read_text(encoding="utf-8")
    assert [
        text.count(part) for part in (f"\n{script}\n", f"\n{bootstrap}\n", " command loop -Enc", "c2VjcmV0", " R 1 ")
    ] == [1, 1, 2, 0, 0]
    assert text.count(hashlib.sha256(script.encode()).hexdigest()) == 2


# -- folder --


def test_a_second_lab_in_a_folder_is_refused_and_the_first_goes_on(lab: Lab, client: Any) -> None:
    with pytest.raises(AlreadyRunsError, match=r"runs in .* already"):
        Lab(lab.root, ScriptedEngine().engine(), {"mim01": "mim"}, seed=no_seed).start()
    client.close_shell(client.open_shell())


def test_account_certificates_and_ports_stay_and_machines_are_seeded_once(
    tmp_path: Path, engine: ScriptedEngine
) -> None:
    seeded: list[tuple[str, str, str | None]] = []
    found = []
    for build in ("4.5.26.0", None):
        with Lab(
            tmp_path,
            engine.engine(),
            {"mim01": "mim", "dc01": "dc"},
            mim_build=build,
            seed=lambda machine, role, version: seeded.append((machine.name, role, version)),
        ) as lab:
            found.append((lab.connection("mim01"), lab.connection("dc01", "http"), contents(tmp_path)))
    for state in (found[0][2], found[1][2]):
        del state["lock"], state["run.json"]
    assert found[0] == found[1]
    assert sorted(seeded) == [("dc01", "dc", "4.5.26.0"), ("mim01", "mim", "4.5.26.0")]
    assert (engine.machines["mim01"].opened, engine.machines["mim01"].closed) == (2, 2)


def test_a_port_that_another_program_has_taken_is_replaced(tmp_path: Path, engine: ScriptedEngine) -> None:
    def lab() -> Lab:
        return Lab(tmp_path, engine.engine(), {"mim01": "mim"}, seed=no_seed)

    with lab() as first:
        taken = first.address("mim01").https
    with socket.create_server(("127.0.0.1", taken)), lab() as second:
        assert second.address("mim01").https != taken
        assert second.address("mim01").http == first.address("mim01").http


def test_secrets_of_the_folder_are_readable_by_the_owner_alone(lab: Lab) -> None:
    modes = {
        str(path.relative_to(lab.root)): f"{path.stat().st_mode & 0o777:o}"
        for path in lab.root.rglob("*")
        if path.is_file()
    }
    secret = {"account.json", "users", "ca/ca.key", "ca/mim01.pem"}
    assert {name: modes[name] for name in secret} == dict.fromkeys(secret, "600")


def test_a_machine_that_cannot_be_opened_leaves_nothing_running(tmp_path: Path, engine: ScriptedEngine) -> None:
    def broken(machine: object, role: str, build: str | None) -> None:
        raise RuntimeError("no disk")

    lab = Lab(tmp_path, engine.engine(), {"mim01": "mim"}, seed=broken)
    before = set(threading.enumerate())
    with pytest.raises(RuntimeError, match="no disk"):
        lab.start()
    assert (engine.machines["mim01"].closed, Folder(tmp_path).owner(), set(threading.enumerate()) - before) == (
        1,
        None,
        set(),
    )


WRONG = {
    "a name with a dot": {"mim01.contoso.com": "mim"},
    "a long name": {"a" * 16: "mim"},
    "an empty name": {"": "mim"},
    "upper case": {"MIM01": "mim"},
    "a path": {"../x": "mim"},
    "another role": {"mim01": "sql"},
}


@pytest.mark.parametrize("hosts", WRONG.values(), ids=WRONG)
def test_a_host_that_cannot_be_is_refused(tmp_path: Path, hosts: Any) -> None:
    with pytest.raises(LabError, match="cannot be"):
        Lab(tmp_path, ScriptedEngine().engine(), hosts)


def test_a_file_of_the_folder_that_is_broken_is_named(tmp_path: Path) -> None:
    (tmp_path / "account.json").write_text("{")
    with pytest.raises(LabError, match=r"account\.json cannot be read"):
        Lab(tmp_path, ScriptedEngine().engine(), {"mim01": "mim"}, seed=no_seed).start()


# -- in the background --


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "lab"
    control.stop(tmp_path / "lab")


def python_m_lab(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lab", *words, "--root", str(root)]
    return subprocess.run(command, cwd=TREE, capture_output=True, text=True, check=False)  # noqa: S603 (our own program)


@pytest.mark.slow
def test_start_status_journal_and_stop_from_the_command_line(root: Path) -> None:
    assert python_m_lab(root, "status").returncode == 3
    started = python_m_lab(root, "start")
    assert (started.returncode, started.stderr) == (0, "")
    now = control.status(root)
    assert now is not None
    assert (now.engine, now.roles) == ("python", dict(HOSTS))
    assert python_m_lab(root, "status").stdout == f"{now}\n" == started.stdout
    again = python_m_lab(root, "start")
    assert (again.returncode, again.stdout) == (0, f"{now}\nIt ran already.\n")
    other = python_m_lab(root, "start", "--mim-build", "4.5.26.0")
    says = "The lab has its machines already: python -m lab reset --mim-build 4.5.26.0\n"
    assert (other.returncode, other.stdout, other.stderr) == (1, "", says)
    before = contents(root)
    p = made(dict(control.connection("mim01", root)))
    p.close_shell(p.open_shell())
    assert contents(root) == before
    assert python_m_lab(root, "journal").stdout.endswith(": no changes\n")
    assert control.requests(root=root)[0] == {"mim01": 4}
    assert python_m_lab(root, "stop").stdout == "The lab is stopped.\n"
    assert python_m_lab(root, "stop").stdout == "The lab was not running.\n"
    shaped = python_m_lab(root, "start", "--settings-root", "nested")
    says = "The lab has its machines already: python -m lab reset --settings-root nested\n"
    assert (shaped.returncode, shaped.stderr) == (1, says)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", now.hosts[0].http), 10)


@pytest.mark.slow
def test_a_lab_that_does_not_start_says_why_and_names_its_log_once(root: Path) -> None:
    state = Folder(root).state("python")
    state.parent.mkdir(parents=True)
    state.write_text("no folder")
    with pytest.raises(LabError) as refused:
        control.ensure_started("python", root)
    why, *logs = str(refused.value).split(". More in ")
    assert (str(state) in why, logs) == (True, [f"{root / 'server.log'}."])


def test_the_journal_can_be_followed(lab: Lab, client: Any) -> None:
    command = [sys.executable, "-m", "lab", "journal", "--follow", "--root", str(lab.root)]
    with subprocess.Popen(command, cwd=TREE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 (our own program)
        assert process.stdout is not None
        for value in ("1", "2"):
            shell = client.open_shell()
            run(client, shell, "set", "x", value)
            client.close_shell(shell)
        lines = [process.stdout.readline() for _ in range(4)]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    assert [line.split(": ", 1)[1] for line in lines] == ["1 change\n", "(absent) -> 1\n", "1 change\n", "1 -> 2\n"]


def test_two_starts_at_once_make_one_lab(root: Path) -> None:
    command = [sys.executable, "-m", "lab", "start", "--root", str(root), "--host", "mim01=mim"]
    both = [subprocess.Popen(command, cwd=TREE, stdout=subprocess.PIPE, text=True) for _ in range(2)]  # noqa: S603 (our own program)
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert ([process.returncode for process in both], outputs[0].splitlines()[:2]) == (
        [0, 0],
        outputs[1].splitlines()[:2],
    )
    assert sorted("It ran already." in output for output in outputs) == [False, True]


@pytest.mark.slow
def test_a_lab_that_was_killed_is_not_taken_for_running(root: Path) -> None:
    control.ensure_started("python", root, hosts={"mim01": "mim"})
    first = control.status(root)
    assert first is not None
    os.kill(first.pid, signal.SIGKILL)
    wait_for(lambda: control.status(root) is None, "the lock to be free")
    assert (root / "run.json").exists()
    assert control.stop(root) is False
    assert control.ensure_started("python", root, hosts={"mim01": "mim"}) is True
    second = control.status(root)
    assert second is not None
    assert second.hosts == first.hosts


@pytest.mark.slow
def test_a_reset_makes_the_state_anew_and_keeps_the_account(root: Path) -> None:
    control.ensure_started("python", root, hosts={"mim01": "mim"})
    before = control.connection("mim01", root)
    planted = root / "python" / "planted"
    planted.write_text("x")
    control.reset(root, mim_build="4.5.26.0")
    assert (planted.exists(), control.connection("mim01", root)) == (False, before)
    assert Folder(root).seeded("python") == {"mim01": {"role": "mim", "mim_build": "4.5.26.0"}}


@pytest.mark.slow
@pytest.mark.parametrize("shape", control.SETTINGS_ROOTS)
def test_a_reset_gives_new_machines_the_shape_of_the_settings_that_is_asked_for(root: Path, shape: Root) -> None:
    words = ["reset", "--root", str(root), "--host", "mim01=mim", "--settings-root", shape]
    done = subprocess.run([sys.executable, "-m", "lab", *words], cwd=TREE, check=False, capture_output=True, text=True)  # noqa: S603 (our own program)
    control.stop(root)
    assert (done.returncode, done.stderr) == (0, "")
    with Lab(root, "python", {"mim01": "mim"}, seed=no_seed) as lab:
        assert lab.machine("mim01").read_file(MFA_SETTINGS) == mfa_settings(shape)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"engine": "powershell"}, "runs already: engine python"),
        ({"hosts": {"mim02": "mim"}}, "hosts mim01"),
        ({"engine": "ruby"}, r"Engine 'ruby' is not known\. Expected python or powershell\."),
    ],
)
def test_a_lab_that_runs_otherwise_is_an_error(tmp_path: Path, change: dict[str, Any], words: str, lab: Lab) -> None:
    with pytest.raises(LabError, match=words):
        control.ensure_started(**{"engine": "python", "root": lab.root, "hosts": {"mim01": "mim"}, **change})
    with pytest.raises(LabError, match="this very process"):
        control.stop(lab.root)


@pytest.mark.parametrize("build", ["abc", "4.5.286", "4.5.286.0.1", "4.5.286.x", ""])
def test_a_build_that_is_none_is_refused_before_anything_is_reset(
    root: Path, build: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["reset", "--root", str(root), "--mim-build", build])
    assert f"{build!r} is no build, expected four numbers like 4.5.286.0" in capsys.readouterr().err
    assert not root.exists()


def test_a_reset_to_an_engine_that_is_none_leaves_the_lab_as_it_is(lab: Lab) -> None:
    with pytest.raises(LabError, match="Engine 'ruby' is not known"):
        control.reset(lab.root, engine="ruby")
    assert control.status(lab.root) is not None


def test_a_lab_that_cannot_start_says_why(root: Path) -> None:
    with pytest.raises(LabError, match=r"Host 'MIM01' with role 'mim' cannot be"):
        control.ensure_started("python", root, hosts={"MIM01": "mim"})
    with pytest.raises(LabError, match="No lab runs in"):
        control.connection("mim01", root)


def test_a_host_that_the_lab_does_not_have_is_named(lab: Lab) -> None:
    with pytest.raises(LabError, match=r"The lab has no host mim02\. It has mim01"):
        lab.connection("mim02")


def test_a_lab_that_has_been_made_is_ready_after_less_than_a_second_of_processor_time(root: Path) -> None:
    """Processor time, since others may be busy on the machine; by the clock, first start and second, `make bench` holds it."""
    control.ensure_started("python", root)
    control.stop(root)
    control.ensure_started("python", root)
    found = re.findall(r"ready after (\d+\.\d+) s", (root / "server.log").read_text())
    assert len(found) == 2
    assert float(found[1]) < 1.0


def test_a_first_start_that_was_cut_short_is_begun_anew(tmp_path: Path) -> None:
    left = tmp_path / "python" / "mim01" / "half.json"
    left.parent.mkdir(parents=True)
    left.write_text("{")
    with Lab(tmp_path, "python", {"mim01": "mim"}, seed=no_seed) as lab:
        assert not left.exists()
        lab.machine("mim01").write_file("C:\\x", b"1")
    with Lab(tmp_path, "python", {"mim01": "mim"}, seed=no_seed) as lab:
        assert lab.machine("mim01").read_file("C:\\x") == b"1"
