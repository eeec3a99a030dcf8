"""
The real pyinfra, as a program of its own, with many hosts of a lab of this process: side by side, and a bad one among good ones.

Nothing is left open on any host, however a run ends.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from lab.engine import Output
from lab.lab import Lab
from tests.connector_lab import Gate, Mortal, OddEngine, OddMachine, Relay
from tests.lab_machine import no_seed
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

TREE = Path(__file__).resolve().parents[1]
PYINFRA = Path(sys.executable).with_name("pyinfra")
FILE = r"C:\seen.xml"
BEFORE, AFTER = b"<a><b>1</b></a>", b"<a><b>2</b></a>"
DEPLOY = f"""
from operations.xml import xml_elements

xml_elements(name="b is 2", file={FILE!r}, set={{"b": "2"}}, backup=False)
"""
WRONG = "wr0ng-pässword'$"


class Pyinfra:
    """Runs it on hosts of a lab. The password of the lab is in the environment, where users put it."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self._lab, self._folder = lab, folder
        self.environment = {
            **os.environ,
            "WINRM_PASSWORD": str(lab.connection(next(iter(lab.roles)))["winrm_password"]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def arguments(
        self, *arguments: str, changes: Mapping[str, Mapping[str, Any]] | None = None, hosts: Sequence[str] = ()
    ) -> list[str]:
        """The command line; `changes` of the host data of single hosts."""
        inventory = self._folder / "hosts.py"
        entries = []
        for name in hosts or self._lab.roles:
            data = {key: value for key, value in self._lab.connection(name).items() if key != "winrm_password"}
            entries.append((f"@winrm/{name}", {**data, **(changes or {}).get(name, {})}))
        inventory.write_text(f"servers = {entries!r}\n", encoding="utf-8")
        deploy = self._folder / "deploy.py"
        deploy.write_text(DEPLOY, encoding="utf-8")
        return [str(PYINFRA), str(inventory), *(str(deploy) if one == "deploy.py" else one for one in arguments)]

    def run(self, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603
            self.arguments(*arguments, **more),
            cwd=TREE,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=300,
        )


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., tuple[Lab, Pyinfra]]]:
    """Makes a lab with hosts of these names, each with the file; afterwards no shell may be open on any."""
    with ExitStack() as ends:

        def of(*names: str) -> tuple[Lab, Pyinfra]:
            root = tmp_path / "lab"
            lab = ends.enter_context(Lab(root, OddEngine(root / "state"), dict.fromkeys(names, "mim"), seed=no_seed))
            for name in names:
                lab.machine(name).write_file(FILE, BEFORE)
            return lab, Pyinfra(lab, tmp_path)

        yield of


def machine(lab: Lab, name: str) -> OddMachine:
    return cast(OddMachine, lab.machine(name))


def contents(lab: Lab) -> dict[str, bytes | None]:
    return {name: lab.machine(name).read_file(FILE) for name in lab.roles}


def shells(lab: Lab) -> dict[str, int]:
    """Hosts on which shells are open, and how many."""
    return {name: count for name in lab.roles if (count := len(lab.served(name).shells))}


class Together(Relay):
    """Answers its first request when all hosts have been asked theirs: nobody who asks one after the other gets any."""

    def __init__(self, argv: Any, start: Any, *, barrier: threading.Barrier) -> None:
        super().__init__(argv, start)
        self._barrier, self._asked = barrier, False

    def write(self, data: bytes, *, end: bool) -> None:
        self._asked = self._asked or b" R " in data
        self.inner.write(data, end=end)

    def read(self, timeout_s: float) -> Output:
        if self._asked and not self._barrier.broken and self._barrier.n_waiting < self._barrier.parties:
            self._barrier.wait(120)
            self._barrier = threading.Barrier(1)
        return self.inner.read(timeout_s)


def test_fifty_hosts_are_worked_on_side_by_side(make: Any) -> None:
    lab, pyinfra = make(*(f"h{number:02}" for number in range(50)))
    together = threading.Barrier(50)
    for name in lab.roles:
        machine(lab, name).odd.append(partial(Together, barrier=together))
    done = pyinfra.run("deploy.py", "-y", "--parallel", "50")
    assert (done.returncode, contents(lab), shells(lab)) == (0, dict.fromkeys(lab.roles, AFTER), {}), done.stderr
    # Opened by 6 requests over https, closed by 3; a read in each stage that there is with -y, a write, its read back.
    assert {lab.served(name).requests for name in lab.roles} == {6 + 3 * 2 + 3}


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "dead": (
        {"winrm_port": 1},
        "127.0.0.1:1 refuses the connection: nothing listens there. On the host: winrm enumerate winrm/config/listener; winrm_port is 1 (https)",
    ),
    "lost": (
        {"winrm_hostname": "mfa09.invalid"},
        "host mfa09.invalid not found: check winrm_hostname, or the name server of this machine",
    ),
    "wrong": ({"winrm_password": WRONG}, "(ntlm): wrong user or password, or the account may not log on."),
    "untrusted": ({"winrm_ca": ""}, "is not trusted: give its certificate authority as winrm_ca"),
    "odd": ({"winrm_mode": "hot"}, "winrm_mode is 'hot'"),
}


@pytest.mark.parametrize(
    "options",
    [("-y",), ("-y", "-vvv", "--debug")],
    ids=["quiet", "loud"],
)
def test_bad_hosts_are_told_of_and_the_others_converge(make: Any, options: tuple[str, ...]) -> None:
    lab, pyinfra = make("a", *BAD, "z")
    done = pyinfra.run("deploy.py", *options, changes={name: data for name, (data, _) in BAD.items()})
    expected = {name: BEFORE if name in BAD else AFTER for name in lab.roles}
    assert (done.returncode, contents(lab), shells(lab)) == (1, expected, {}), done.stderr
    output = done.stdout + done.stderr
    for name, (_, text) in BAD.items():
        assert f"[{name}]" in output
        assert text in output
    assert "Traceback" not in output
    assert pyinfra.environment["WINRM_PASSWORD"] not in output
    if "--debug" not in options:  # what stands in clear in the inventory pyinfra prints itself: it is warned about
        assert WRONG not in output


def test_a_host_that_dies_in_the_middle_fails_alone_and_the_next_run_makes_up_for_it(make: Any) -> None:
    lab, pyinfra = make("a", "b", "c")

    class AtWrite(Mortal):
        def write(self, data: bytes, *, end: bool) -> None:
            self._left = getattr(self, "_left", 2) - (b" R " in data)
            (super().write if self._left <= 0 else self.inner.write)(data, end=end)

    machine(lab, "b").odd.append(partial(AtWrite, done=False))
    done = pyinfra.run("deploy.py", "-y")
    assert (done.returncode, contents(lab), shells(lab)) == (1, {"a": AFTER, "b": BEFORE, "c": AFTER}, {}), done.stderr
    assert "Write-File: outcome unknown, run again: every operation compares first" in done.stderr
    done = pyinfra.run("deploy.py", "-y")
    assert (done.returncode, contents(lab), shells(lab)) == (0, dict.fromkeys("abc", AFTER), {}), done.stderr


def test_a_host_that_cannot_be_read_fails_alone_in_a_dry_run_too(make: Any) -> None:
    lab, pyinfra = make("a", "b")
    lab.machine("b").remove_file(FILE)
    done = pyinfra.run("deploy.py", "--dry", "--json")
    assert (done.returncode, contents(lab), shells(lab)) == (1, {"a": BEFORE, "b": None}, {}), done.stderr
    json.loads(done.stdout)


@pytest.mark.parametrize("stage", ["while it prepares", "while it executes"])
def test_ctrl_c_leaves_no_shell_behind(make: Any, stage: str) -> None:
    """What is being called is waited for, then every host is left in order (facts/pyinfra.md 1)."""
    lab, pyinfra = make("a", "b")
    asked, gate = threading.Event(), threading.Event()
    machine(lab, "a").odd.append(partial(Gate, asked=asked, gate=gate))
    arguments = pyinfra.arguments("deploy.py", *(["--dry", "--json"] if "prepares" in stage else ["-y"]))
    running = subprocess.Popen(  # noqa: S603
        arguments,
        cwd=TREE,
        env=pyinfra.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_for(asked.is_set, "a call to the host", 120)
        assert shells(lab) == {"a": 1, "b": 1}
        running.send_signal(signal.SIGINT)
        assert running.stdout is not None
        assert any("Exiting upon user request!" in line for line in running.stdout)  # reads until it is said
        gate.set()
        output, _ = running.communicate(timeout=120)
    finally:
        gate.set()
        if running.poll() is None:
            running.kill()
            running.wait()
    assert (shells(lab), "Traceback" in output) == ({}, False), output
    assert contents(lab)["a"] in {BEFORE, AFTER}
