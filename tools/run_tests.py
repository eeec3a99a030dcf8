"""
All tests, in two parts: what needs nothing but Python first, then what is slow or runs real engines. Behind `make test`.

    python tools/run_tests.py                  what this machine has; one line says what was left out
    python tools/run_tests.py --require all    nothing is left out: whatever is skipped fails; coverage is measured, which takes twice the time

Coverage of both parts is combined and printed in short. Exit code 0 only when everything passed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
OUTCOMES: Final = ("failed", "error", "passed", "skipped", "deselected")
NO_TESTS: Final = 5  # pytest's exit code where a selection is empty


@dataclass
class Result:
    """What one run of pytest came to."""

    code: int
    outcomes: Counter[str] = field(default_factory=Counter)
    contract: Counter[str] = field(default_factory=Counter)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Run all tests.")
    parser.add_argument("--require", choices=["all"], help="all: whatever is skipped fails")
    parser.add_argument("--fast", action="store_true", help="only the part that needs nothing but Python")
    parser.add_argument("--coverage", action="store_true", help="measure coverage; `--require all` always does")
    chosen = parser.parse_args(arguments)
    measure = chosen.coverage or chosen.require is not None
    begun = time.monotonic()
    sys.path.insert(0, str(ROOT))
    left_out = "" if chosen.require else absent()
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary)
        say("The fast part")
        results = [run(data, "fast", "not slow and not powershell", chosen.require, measure=measure)]
        if not chosen.fast:
            say("The slow part, and the real engines" if not left_out else "The slow part")
            marks = "slow and not powershell" if left_out else "slow or powershell"
            results.append(run(data, "rest", marks, chosen.require, measure=measure))
        if measure:
            coverage(data)
    complaint = "" if chosen.fast or left_out else unequal(results)
    if complaint:
        print(complaint)
    if left_out and not chosen.fast:
        print(f"Left out: {left_out} (`make engines`)." if "make engines" not in left_out else f"Left out: {left_out}.")
    close(results, complaint, time.monotonic() - begun)
    return 1 if complaint or any(result.code for result in results) else 0


def absent() -> str:
    """Why the real engines cannot run here; "" where they can."""
    from tests.contract.conftest import absent as why  # noqa: PLC0415 - the repository is on the path only now

    return why() or ""


def run(data: Path, name: str, marks: str, require: str | None, *, measure: bool) -> Result:
    """One run of pytest, spread over the processors, under coverage or not; what shares a machine stays together."""
    report = data / f"{name}.json"
    measured = ["coverage", "run", f"--data-file={data / '.coverage'}", "-m"] if measure else []
    command = [sys.executable, "-m", *measured, "pytest", "-q"]
    command += ["-n", "auto", "--dist", "load" if name == "fast" else "loadgroup", "-m", marks, f"--counts={report}"]
    command += ["--require", require] if require else []
    # Where the environment forbids to keep what was compiled, every worker, pyinfra and lab that a test starts compiles all of it again.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    code = subprocess.run(command, cwd=ROOT, check=False, env=environment).returncode
    found: Mapping[str, Any] = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
    return Result(
        0 if code == NO_TESTS else code, Counter(found.get("outcomes", {})), Counter(found.get("contract", {}))
    )


def unequal(results: Sequence[Result]) -> str:
    """Why the contract did not run alike on both engines; "" where it did."""
    import tests.contract.test_complete  # noqa: F401, PLC0415 - it loads every case
    from tests.conftest import unequal as why  # noqa: PLC0415 - as above

    contract: Counter[str] = sum((result.contract for result in results), Counter())
    return why(contract)


def coverage(data: Path) -> None:
    """Combine what was measured and print it by package."""
    file, told = f"--data-file={data / '.coverage'}", data / "coverage.json"
    for step in (["combine", file, str(data)], ["json", file, "-o", str(told)]):
        command = [sys.executable, "-m", "coverage", *step]
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
        if done.returncode:
            print(f"coverage {step[0]}: {done.stdout}{done.stderr}".strip())
            return
    say("Coverage, lines and branches")
    found = json.loads(told.read_text(encoding="utf-8"))
    packages: dict[str, Counter[str]] = {}
    for path, each in found["files"].items():
        summary, package = each["summary"], Path(path).parts[0]
        counted = packages.setdefault(package, Counter())
        counted["done"] += summary["covered_lines"] + summary["covered_branches"]
        counted["all"] += summary["num_statements"] + summary["num_branches"]
    print("  ".join(f"{name} {100 * one['done'] / max(1, one['all']):.0f}%" for name, one in sorted(packages.items())))
    print(f"all {found['totals']['percent_covered']:.1f}%")


def close(results: Sequence[Result], complaint: str, seconds: float) -> None:
    """The last lines: how many contract cases ran on which engine, and what pytest itself would say of the whole."""
    contract: Counter[str] = sum((result.contract for result in results), Counter())
    if contract:
        print(f"Contract cases: {', '.join(f'{name} {count}' for name, count in sorted(contract.items()))}")
    outcomes: Counter[str] = sum((result.outcomes for result in results), Counter())
    if complaint:
        outcomes["failed"] += 1
    told = ", ".join(f"{outcomes[name]} {name}" for name in OUTCOMES[:-1] if outcomes[name])
    say(f"{told or 'no tests ran'} in {seconds:.2f}s ({seconds // 60:.0f} min {seconds % 60:.0f} s)")


def say(text: str) -> None:
    """A heading."""
    print(f" {text} ".center(100, "="), flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
