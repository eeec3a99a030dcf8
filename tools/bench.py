"""
`make bench`: what a call, a run and the lab cost, measured on labs of its own, on each engine that this machine has. A program, not a test.

    python tools/bench.py                    both engines
    python tools/bench.py --engine python    one

Requests are counted by the lab (its access log). Milliseconds are medians on this machine, lab and controller sharing it: ratios carry over to
Windows, milliseconds do not. Our warm call and the bare loop take turns, so that what else the machine does meets both.
Exit code 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import winrm
from winrm.protocol import Protocol

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from connectors import transfer
from connectors.call import HostCall
from connectors.session import Session
from connectors.settings import settings_of
from lab import control, samba, template
from lab.access import Scheme
from lab.seed import certificate
from tools.bench_lab import BARE

TREE: Final = Path(__file__).resolve().parent.parent
LAB: Final = str(TREE / "tools" / "bench_lab.py")
MANY_AT_ONCE: Final = str(TREE / "tools" / "bench_many.py")
CALLS: Final = 200
MANY: Final = 50
MANY_CALLS: Final = 20
TIMES_OF_RUN: Final = 3
RUN_PS: Final = 5
PUT: Final = 10_000_000
START_S: Final = 1  # of a lab of the python engine, the first time and every other
RATIO: Final = 1.5  # of a warm call to the bare loop
SCHEMES: Final[tuple[Scheme, ...]] = ("http", "https")
OPENING: Final[Mapping[Scheme, int]] = {"http": 7, "https": 6}  # requests that open a host, facts/winrm.md 9
READ_FILE: Final = r"C:\bench\small.txt"
LOOP: Final = "while (($l = [Console]::In.ReadLine()) -ne $null) { [Console]::Out.WriteLine($l) }"
SAME_READ: Final = f"(New-Object -TypeName System.IO.FileInfo -ArgumentList '{READ_FILE}').Length"
INVENTORY: Final = """
from connectors.inventory import check
from model.secret import Secret

groups = {groups!r}
hide = lambda own: {{key: Secret(value) if key.endswith("password") else value for key, value in own.items()}}
domain_controllers, mfa_servers, mim_servers = ([(f"@winrm/{{n}}", hide(o)) for n, o in g.items()] for g in groups)
check(__file__, domain_controllers=domain_controllers, mfa_servers=mfa_servers, mim_servers=mim_servers)
"""


@dataclass(frozen=True)
class Row:
    """One line of the table. `met` is None where nothing is to be reached."""

    what: str
    figure: str
    target: str = ""
    met: bool | None = None

    def __str__(self) -> str:
        judged = "" if self.met is None else ("  reached" if self.met else "  MISSED")
        return f"  {self.what:<58} {self.figure:<44} {self.target}{judged}".rstrip()


Rows = Iterator[Row]


# -- calls --


class Loop:
    """A program of the host that answers lines, over pywinrm's own `Protocol`: nothing of ours but the settings."""

    def __init__(self, data: Mapping[str, Any], command: str) -> None:
        self._protocol = Protocol(
            f"{data['winrm_scheme']}://{data['winrm_hostname']}:{data['winrm_port']}/wsman",
            transport="ntlm",
            username=data["winrm_user"],
            password=data["winrm_password"],
            ca_trust_path=data["winrm_ca"],
        )
        self._shell = self._protocol.open_shell(codepage=65001)
        self._command = self._protocol.run_command(self._shell, command, console_mode_stdin=False)

    def call(self, line: bytes) -> None:
        self._protocol.send_command_input(self._shell, self._command, line)
        out = b""
        while b"\n" not in out:
            out += self._protocol.get_command_output_raw(self._shell, self._command)[0]

    def close(self) -> None:
        self._protocol.cleanup_command(self._shell, self._command)
        self._protocol.close_shell(self._shell)
        self._protocol.transport.close_session()


def warm(root: Path, host: str, scheme: Scheme, bare: str) -> Rows:
    """Our warm call beside the bare loop, in turns."""
    data = control.connection(host, root, scheme=scheme)
    echo, read = HostCall("Test-Echo", value="x"), HostCall("Read-File", path=READ_FILE, count=0)
    loop, session = Loop(data, bare), Session(settings_of(host, data))
    try:
        with counted(root, host) as opening:
            session.open()
        ways: dict[str, Callable[[], object]] = {
            "bare": lambda: loop.call(b"x\n"),
            "echo": lambda: session.call(echo),
            "read": lambda: session.call(read),
        }
        for way in ways.values():
            way()
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(CALLS):
            for name, way in ways.items():
                times[name].append(timed(way))
        with counted(root, host) as alone, processor(root) as ours:
            for _ in range(CALLS):
                session.call(echo)
        with counted(root, host) as bare_alone, processor(root) as theirs:
            for _ in range(CALLS):
                loop.call(b"x\n")
    finally:
        session.close()
        loop.close()
    middle = {name: statistics.median(values) for name, values in times.items()}
    yield Row(
        f"opening a host, {scheme}",
        f"{opening[0]} requests",
        f"{OPENING[scheme]} requests",
        opening[0] <= OPENING[scheme],
    )
    yield Row(f"bare loop, {scheme}", f"{bare_alone[0] / CALLS:.1f} requests, {ms(middle['bare'])}")
    yield Row(
        f"warm call (Test-Echo), {scheme}",
        f"{alone[0] / CALLS:.1f} requests, {ms(middle['echo'])}",
        "2 requests",
        alone[0] == 2 * CALLS,
    )
    for name, words in {"echo": "warm call / bare loop", "read": "warm Read-File / bare loop"}.items():
        ratio = middle[name] / middle["bare"]
        target = (f"at most {RATIO}", ratio <= RATIO) if name == "echo" else ("", None)
        yield Row(f"{words}, {scheme}", f"{ratio:.2f} ({ms(middle[name])})", *target)
    for words, spent in {"warm call": ours, "bare loop": theirs}.items():
        each = ", ".join(f"{who} {ms(seconds / CALLS)}" for who, seconds in spent.items())
        yield Row(f"  processor time of a {words}, {scheme}", each)


def new_powershell(root: Path, host: str) -> Rows:
    """The same small read by a new PowerShell a call, beside ours."""
    data = control.connection(host, root)
    other = winrm.Session(
        f"https://{data['winrm_hostname']}:{data['winrm_port']}/wsman",
        auth=(str(data["winrm_user"]), str(data["winrm_password"])),
        transport="ntlm",
        ca_trust_path=data["winrm_ca"],
    )

    def run() -> None:
        done = other.run_ps(SAME_READ)
        if done.std_out.strip() != b"5":
            raise SystemExit(f"run_ps answered {done.std_out!r} {done.std_err!r}, expected the length 5")

    with counted(root, host) as requests:
        taken = statistics.median(timed(run) for _ in range(RUN_PS))
    session = Session(settings_of(host, data))
    try:
        session.open()
        read = HostCall("Read-File", path=READ_FILE, count=0)
        ours = statistics.median(timed(lambda: session.call(read)) for _ in range(CALLS))
    finally:
        session.close()
    yield Row("the same read by a new PowerShell (run_ps)", f"{requests[0] / RUN_PS:.1f} requests, {ms(taken)}")
    yield Row("run_ps / warm Read-File", f"{taken / ours:.0f} ({ms(ours)})")


def files(root: Path, host: str) -> Rows:
    """10 MB there and back."""
    session = Session(settings_of(host, control.connection(host, root)))
    content = os.urandom(PUT)
    back = io.BytesIO()
    try:
        session.open()
        with counted(root, host) as put:
            sent = timed(lambda: transfer.put(session.call, io.BytesIO(content), r"C:\bench\large.bin"))
        with counted(root, host) as got:
            fetched = timed(lambda: transfer.get(session.call, r"C:\bench\large.bin", back))
    finally:
        session.close()
    if back.getvalue() != content:
        raise SystemExit("what was fetched is not what was put")
    yield Row("put_file, 10 MB", f"{PUT / sent / 1e6:.1f} MB/s, {put[0]} requests, {sent:.2f} s")
    yield Row("get_file, 10 MB", f"{PUT / fetched / 1e6:.1f} MB/s, {got[0]} requests, {fetched:.2f} s")


# -- runs --


def deploy(folder: Path, root: Path, scheme: Scheme, *, judged: bool = True) -> Rows:
    """A deploy.py that finds everything as wanted, the whole process."""
    now = running(root)
    inventory = written_inventory(folder, root, scheme, now.roles)
    words = [str(inventory), str(TREE / "deploy.py"), "-y"]
    pyinfra = str(Path(sys.executable).with_name("pyinfra"))
    run([pyinfra, *words])  # whatever is not yet as wanted
    mark, asked = control.mark(root), folder / "asked.json"
    _, place = control.requests(root=root)
    log = root / "http.log"
    run([sys.executable, MANY_AT_ONCE, "asked", str(asked), *words])
    lines = log.read_bytes()[place:].decode("ascii").splitlines()
    reads: dict[str, int] = json.loads(asked.read_text(encoding="utf-8"))
    seconds, peaks = zip(*(run([pyinfra, *words]) for _ in range(TIMES_OF_RUN)), strict=True)
    if control.changes(mark, root):
        raise SystemExit("deploy.py changed something that it had made before: this is no no-op")
    hosts = f"{len(now.roles)} hosts, {scheme}"
    yield Row(f"no-op deploy.py, {hosts}", f"{statistics.median(seconds):.2f} s, controller's peak {mb(max(peaks))}")
    if not judged:
        total = sum(1 for _ in lines)
        yield Row(f"  its requests, {hosts}", f"{total} in all, {total / len(now.roles):.1f} a host")
        return
    for host in now.roles:
        own = [line.split(" ")[3:5] for line in lines if line.split(" ")[1] == host]
        # A Receive that nothing came for within the operation timeout is asked again: a PowerShell that starts slowly, not a request too many.
        actions = [action for status, action in own if (status, action) != ("500", "Receive")]
        closing, waits = closing_of(actions), len(own) - len(actions)
        wanted = OPENING[scheme] + 2 * reads.get(host, 0)
        sent = len(actions) - closing
        yield Row(
            f"  its requests on {host}, {scheme}",
            f"{sent}, and {closing} that close" + (f", {waits} that waited in vain" if waits else ""),
            f"{OPENING[scheme]} + 2 x {reads.get(host, 0)} reads = {wanted}",
            sent <= wanted,
        )


def closing_of(actions: Sequence[str]) -> int:
    """How many requests at the end say goodbye: end of input, what is left to receive, Signal, Delete."""
    closing = 0
    for action in reversed(actions):
        if action == "Send":
            return closing + 1
        closing += 1
    return closing


def many(folder: Path) -> Rows:
    """One host against 50: calls at once, then whole runs."""
    roles = {"dc01": "dc", "mim01": "mim"} | {f"mfa{number:02}": "mfa" for number in range(1, MANY + 1)}
    root = folder / "many"
    with started("python", root, roles):
        for names in (["mfa01"], [f"mfa{number:02}" for number in range(1, MANY + 1)]):
            count = MANY_CALLS if len(names) > 1 else CALLS
            done = json.loads(output([sys.executable, MANY_AT_ONCE, "calls", str(root), str(count), *names]))
            each = sorted(done["times"])
            yield Row(
                f"{len(names)} host{'s' if len(names) > 1 else ''} at once, warm calls",
                f"{len(each) / done['calls_s']:.0f} calls/s, median {ms(statistics.median(each))}, p95 {ms(each[int(len(each) * 0.95)])}",
            )
            yield Row("  opened in, controller's peak", f"{done['open_s']:.2f} s, {mb(done['peak'])}")
        yield from deploy(folder, root, "https", judged=False)
        yield Row(f"  peak memory of the lab, {len(roles)} hosts", peak_of(root))


# -- one engine --


def start_row(name: str, new: float, again: float, processor: str) -> Row:
    """Seconds by the clock until a lab that was asked for is ready: the first time, and when it has been made. Only python has a target."""
    target = (f"at most {START_S} s", max(new, again) <= START_S) if name == "python" else ("", None)
    return Row("start of the lab, new; again", f"{new:.2f} s; {again:.2f} s (processor: {processor})", *target)


def engine(name: str, folder: Path) -> Rows:
    """All that is measured on one engine."""
    root = folder / name
    taken = timed(lambda: control.ensure_started(name, root))
    control.stop(root)
    again = timed(lambda: control.ensure_started(name, root))
    said = re.findall(r"ready after ([0-9.]+) s of processor time", (root / "server.log").read_text(encoding="utf-8"))
    yield start_row(name, taken, again, "; ".join(f"{one} s" for one in said))
    try:
        for scheme in SCHEMES:
            yield from deploy(folder, root, scheme)
        small(root)
        if name == "powershell":
            encoded = base64.b64encode(LOOP.encode("utf-16-le")).decode("ascii")
            program = r"%SystemRoot%\System32\WindowsPowerShell\v1.0\powershell.exe"
            bare = f"{program} -NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand {encoded}"
            for scheme in SCHEMES:
                yield from warm(root, "mim01", scheme, bare)
            yield from new_powershell(root, "mim01")
        yield from files(root, "mim01")
        yield Row("peak memory of the lab process, 3 hosts", peak_of(root))
    finally:
        control.stop(root)
    if name == "python":
        yield from python_calls(folder / "calls")
        yield from many(folder)


def python_calls(root: Path) -> Rows:
    """Calls to the python engine; it has no PowerShell, so the bare loop is a program that its lab has for this."""
    process = subprocess.Popen([sys.executable, LAB, str(root)], cwd=TREE)
    try:
        while control.status(root) is None:
            if process.poll() is not None:
                raise SystemExit("the lab of the bare loop did not start")
            time.sleep(0.02)
        small(root)
        for scheme in SCHEMES:
            yield from warm(root, "mim01", scheme, BARE)
    finally:
        process.terminate()
        process.wait()


def small(root: Path) -> None:
    """Put the file that is read."""
    session = Session(settings_of("mim01", control.connection("mim01", root)))
    try:
        session.open()
        session.call(HostCall("New-Folder", path=READ_FILE.rpartition("\\")[0]))
        transfer.put(session.call, io.BytesIO(b"small"), READ_FILE)
    finally:
        session.close()


# -- measuring --


def running(root: Path) -> control.Status:
    """The lab that runs there. Ends the benchmark where none does."""
    now = control.status(root)
    if now is None:
        raise SystemExit(f"the lab in {root} has ended, see {root / 'server.log'}")
    return now


@contextlib.contextmanager
def started(name: str, root: Path, roles: Mapping[str, str]) -> Iterator[None]:
    control.ensure_started(name, root, hosts=roles)
    try:
        yield
    finally:
        control.stop(root)


@contextlib.contextmanager
def counted(root: Path, host: str) -> Iterator[list[int]]:
    """How many requests a host got meanwhile: the one item of the list, once the context has ended."""
    found: list[int] = []
    _, place = control.requests(root=root)
    yield found
    found.append(control.requests(place, root)[0].get(host, 0))


@contextlib.contextmanager
def processor(root: Path) -> Iterator[dict[str, float]]:
    """Seconds of processor time that this process and the lab's took meanwhile: what else the machine does is not in them."""
    found: dict[str, float] = {}
    stat = Path(f"/proc/{running(root).pid}/stat")

    def labs() -> float:
        fields = stat.read_text(encoding="ascii").rpartition(")")[2].split()  # proc(5): utime and stime are 14 and 15
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    here, there = time.process_time(), labs() if stat.exists() else 0.0
    yield found
    found["controller"] = time.process_time() - here
    if stat.exists():
        found["lab"] = labs() - there


def timed(action: Callable[[], object]) -> float:
    at = time.perf_counter()
    action()
    return time.perf_counter() - at


def run(argv: Sequence[str]) -> tuple[float, int]:
    """Seconds and peak memory (kB) of a program that must succeed. Ends the benchmark where it fails."""
    environment = {**os.environ, "PYINFRA_PROGRESS": "off"}
    with tempfile.TemporaryFile() as said:
        at = time.perf_counter()
        process = subprocess.Popen(
            argv, cwd=TREE, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, env=environment
        )
        _, status, used = os.wait4(process.pid, 0)
        taken = time.perf_counter() - at
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{' '.join(argv)} ended with {process.returncode}:\n{said.read().decode()[-4000:]}")
    return taken, used.ru_maxrss


def output(argv: Sequence[str]) -> str:
    done = subprocess.run(argv, cwd=TREE, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def peak_of(root: Path) -> str:
    """Peak memory of the process of a lab; its programs (wine, Samba) not counted."""
    now = running(root)
    status = Path(f"/proc/{now.pid}/status")
    if not status.exists():
        return "not known on this system"
    found = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return mb(int(found[0]))


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def mb(kilobytes: int) -> str:
    # macOS counts in bytes
    return f"{kilobytes / (1024 * 1024 if sys.platform == 'darwin' else 1024):.0f} MB"


def written_inventory(folder: Path, root: Path, scheme: Scheme, roles: Mapping[str, str]) -> Path:
    """An inventory of this lab, with the desired state of inventories/lab.py."""
    groups: list[dict[str, dict[str, Any]]] = [{}, {}, {}]
    for host, role in roles.items():
        own: dict[str, Any] = dict(control.connection(host, root, scheme=scheme))
        if role == "mfa":
            own["sdk_certificate"] = certificate(host).thumbprint
        groups[("dc", "mfa", "mim").index(role)][host] = own
    path = folder / "bench.py"
    path.touch(mode=0o600)  # it holds the password of the lab's account
    path.write_text(INVENTORY.format(groups=groups), encoding="utf-8")
    (folder / "group_data").mkdir(exist_ok=True)
    desired = (TREE / "inventories/group_data/lab.py").read_text(encoding="utf-8")
    (folder / "group_data" / "bench.py").write_text(desired, encoding="utf-8")
    return path


def absent() -> str:
    """Why the powershell engine cannot be measured here; "" where it can."""
    if (why := template.absent()) is not None:
        return why
    return "" if samba.find_samba() and samba.find_pwsh() else "no Samba AD DC or no PowerShell for Linux here"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tools/bench.py", description="What a call, a run and the lab cost.")
    parser.add_argument("--engine", choices=control.ENGINES, help="only this one")
    options = parser.parse_args(arguments)
    missed = 0
    for name in [options.engine] if options.engine else control.ENGINES:
        print(f"\nengine {name}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        if name == "powershell" and (why := absent()):
            print(f"  not measured: {why}. Run `make engines` as root")
            continue
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            for row in engine(name, Path(folder)):
                print(row, flush=True)
                missed += row.met is False
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"\n{missed} target{'' if missed == 1 else 's'} missed; this program's own peak {mb(peak)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
