"""
`make mutants`: one-line defects of tools/mutants.toml, one at a time, each of which must turn the tests that concern it red.

    python tools/mutants.py                      all
    python tools/mutants.py --engine python      those that need no real PowerShell
    python tools/mutants.py --only frames.py     those with this in their name or file

The work is done in a copy of the tree, files that are not committed yet included; the tree itself is never touched. First the tests run on the
copy as it is: only a test that passes there can catch anything. A mutant that survives is a missing test. Exit code 0 only when all that were
asked for are caught; what this machine cannot run is said in one line, and fails under --require all.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lab import samba, template, wine

TREE: Final = Path(__file__).resolve().parent.parent
TABLE: Final = TREE / "tools" / "mutants.toml"
TIMEOUT_S: Final = 900  # of one run of pytest: machines start, and others may be at work beside it
FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", re.MULTILINE)
SKIPPED: Final = re.compile(r"^SKIPPED .*$", re.MULTILINE)

EngineName: TypeAlias = Literal["python", "powershell"]
Verdict: TypeAlias = Literal["caught", "SURVIVED", "BROKEN"]


@dataclass(frozen=True)
class Mutant:
    """
    One defect.

    + file: relative to the root; exactly one line of it is `before`, blanks around it aside, which becomes `after`
    + why: what it would do to a user
    + tests: ids of the tests that must see it, one of them at least
    + engine: `powershell` where these need a real one
    """

    name: str
    file: str
    before: str
    after: str
    why: str
    tests: tuple[str, ...]
    engine: EngineName

    def applied(self, text: str) -> str:
        """The text of the file with the defect in it. Raises ValueError where `before` is not exactly one line of it."""
        lines = text.splitlines(keepends=True)
        found = [number for number, line in enumerate(lines) if line.strip() == self.before]
        if len(found) != 1:
            raise ValueError(f"{self.name}: {len(found)} lines of {self.file} are {self.before!r}, expected 1")
        line = lines[found[0]]
        lines[found[0]] = line.replace(self.before, self.after)
        return "".join(lines)


@dataclass(frozen=True)
class Outcome:
    """What a run of pytest came to: its exit code, the ids that failed, and what it printed."""

    code: int
    failed: tuple[str, ...]
    text: str


def mutants() -> tuple[Mutant, ...]:
    """The table. Raises TypeError for a row with another form."""
    rows = tomllib.loads(TABLE.read_text(encoding="utf-8"))["mutant"]
    return tuple(Mutant(**{**row, "tests": tuple(row["tests"]), "engine": row.get("engine", "python")}) for row in rows)


def copy_tree(target: Path) -> None:
    """Every file that git knows or would add, as it is now; and what lies beside the tree or is made for it, by links."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TREE,
        check=True,
        stdout=subprocess.PIPE,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (TREE / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TREE / name, target / name)
    beside = TREE.parent / "shared"
    if beside.is_dir():
        (target.parent / "shared").symlink_to(beside)


def copy_engines(target: Path) -> None:
    """Engines of its own: a stand-in with a defect must never be compiled into the template that others use."""
    (target / ".engines").mkdir()
    (target / ".engines" / "lock").touch()
    own = {"template", "standin.stamp", "lock", "samba.lock"}
    for entry in template.ENGINES.iterdir():
        if entry.name not in own:
            (target / ".engines" / entry.name).symlink_to(entry)
    with template.held(shared=True):
        wine.clone(template.ENGINES / "template", target / ".engines" / "template")


def run_tests(tree: Path, tests: Sequence[str], *options: str) -> Outcome:
    """Run them in the copy. No bytecode is kept: it is told from its source by length and second, which a mutant may share."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_ADDOPTS": ""}
    words = [sys.executable, "-m", "pytest", "-q", "-rfEs", "--tb=line", "-p", "no:cacheprovider", *options, *tests]
    with subprocess.Popen(
        words,
        cwd=tree,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            said = process.communicate(timeout=TIMEOUT_S)[0].decode(errors="replace")
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return Outcome(-1, (), f"no end after {TIMEOUT_S} s")
    return Outcome(process.returncode, tuple(FAILED.findall(said)), said)


@contextlib.contextmanager
def defect(tree: Path, mutant: Mutant) -> Iterator[None]:
    """The copy with the defect in it; afterwards as it was."""
    path = tree / mutant.file
    good = path.read_bytes()
    path.write_bytes(mutant.applied(good.decode("utf-8")).encode("utf-8"))
    try:
        yield
    finally:
        path.write_bytes(good)


def judge(outcome: Outcome) -> tuple[Verdict, str]:
    """What a run with a defect says, and by which test. A defect that only keeps tests from being found proves nothing."""
    if outcome.code == 1 and outcome.failed:
        return "caught", outcome.failed[0].rpartition("::")[2]
    if outcome.code == 0:
        return "SURVIVED", "a test is missing"
    return "BROKEN", outcome.text.strip().splitlines()[-1] if outcome.text.strip() else f"exit code {outcome.code}"


def absent() -> str:
    """Why nothing of the powershell engine can be tried here; "" where all can."""
    if why := template.absent():
        return why
    if samba.find_samba() is None or samba.find_pwsh() is None or os.geteuid() != 0:
        return "Samba's AD DC or PowerShell for Linux is not there, or not root. Run `make engines` as root"
    return ""


def sound(tree: Path, chosen: Sequence[Mutant]) -> str:
    """Run every test of the table on the copy as it is; "" when all pass, else what does not."""
    where = "import connectors, sys; sys.exit(not connectors.__file__.startswith(sys.argv[1]))"
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    if subprocess.run([sys.executable, "-c", where, str(tree)], env=environment, cwd=tree, check=False).returncode:
        return "the tests would not run the copy, but what is installed"
    outcome = run_tests(tree, list(dict.fromkeys(test for mutant in chosen for test in mutant.tests)))
    skipped = SKIPPED.findall(outcome.text)
    if outcome.code or skipped:
        return "\n".join([*outcome.failed, *skipped, *outcome.text.strip().splitlines()[-5:]])
    return ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the mutants; returns the exit code."""
    parser = argparse.ArgumentParser(prog="tools/mutants.py", description="Shows that the tests see defects.")
    parser.add_argument("--only", metavar="NAME", default="", help="those with this in their name or file")
    parser.add_argument("--engine", choices=("python", "powershell"), help="those whose tests run on this engine")
    parser.add_argument("--require", choices=("all",), help="fail where this machine cannot run some of them")
    options = parser.parse_args(arguments)
    named = [one for one in mutants() if options.only in one.name or options.only in one.file]
    chosen = [one for one in named if options.engine in (None, one.engine)]
    left_out: list[Mutant] = []
    why = absent()
    if why:
        left_out = [one for one in chosen if one.engine == "powershell"]
        chosen = [one for one in chosen if one.engine != "powershell"]
    if left_out:
        print(f"{len(left_out)} mutants are left out: {why}")
    if not chosen:
        print("No mutant to try.")
        return 1
    started = time.monotonic()
    survivors = try_all(chosen)
    if survivors is None:
        return 1
    caught = len(chosen) - len(survivors)
    missed = f"; not caught: {', '.join(survivors)}" if survivors else ""
    print(f"\n{len(chosen)} mutants tried, {caught} caught, in {time.monotonic() - started:.0f} s{missed}")
    return 1 if survivors or (left_out and options.require) else 0


def try_all(chosen: Sequence[Mutant]) -> list[str] | None:
    """Each on its own. Prints the table; returns the names of those that were not caught, None where the tests fail without any."""
    survivors = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Path(folder) / "tree"
        tree.mkdir()
        copy_tree(tree)
        if any(one.engine == "powershell" for one in chosen):
            copy_engines(tree)
        print(f"{len(chosen)} mutants. First their tests, without any of them:", flush=True)
        if trouble := sound(tree, chosen):
            print(f"These do not pass, so nothing can be shown:\n{trouble}")
            return None
        print("all pass", flush=True)
        for mutant in chosen:
            at = time.monotonic()
            with defect(tree, mutant):
                verdict, by = judge(run_tests(tree, mutant.tests, "-x"))
            print(f"{verdict:<9}{time.monotonic() - at:5.0f} s  {mutant.name:<58} {mutant.file:<40} {by}", flush=True)
            if verdict != "caught":
                survivors.append(mutant.name)
    return survivors


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("stopped; the tree is as it was, only its copy had defects in it")
