"""
All tests, in three parts: what needs nothing but Python first, then what is slow, then real engines and the contract's variants. Behind `make test`.

    python tools/run_tests.py                      what this machine has; the last lines say what was left out
    python tools/run_tests.py --require all        nothing is left out: whatever is skipped fails; coverage is measured of the first
    python tools/run_tests.py --require engines    the real engines must be there; what else this machine lacks is skipped

What was skipped is told once for each reason. Coverage is printed in short, with the files that have little of it. Exit code 0 only when everything
passed, and coverage, where all is required, is not below `fail_under` of pyproject.toml.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
OUTCOMES: Final = ("failed", "error", "passed", "skipped", "deselected")
SHARE: Final = 85  # percent: files below it are named
SPANS: Final = 12
NO_TESTS: Final = 5  # pytest's exit code where a selection is empty


@dataclass
class Result:
    """What one run of pytest came to."""

    code: int
    outcomes: Counter[str] = field(default_factory=Counter)
    contract: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Run all tests.")
    parser.add_argument(
        "--require", choices=["all", "engines"], help="all: whatever is skipped fails; engines: they must be there"
    )
    parser.add_argument("--fast", action="store_true", help="only the part that needs nothing but Python")
    parser.add_argument("--coverage", action="store_true", help="measure coverage; `--require all` always does")
    chosen = parser.parse_args(arguments)
    measure = chosen.coverage or chosen.require == "all"
    # A shell ignores Ctrl-C for what it starts in the background, and so would all that tests start and end by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    begun = time.monotonic()
    sys.path.insert(0, str(ROOT))
    left_out = () if chosen.fast else absent()
    complaints = []
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary)
        say("The fast part")
        results = [run(data, "fast", "not slow and not powershell", chosen.require, measure=measure)]
        if not chosen.fast:
            # Measured is the fast part alone: the others run through the same code of ours, and take half as long again or twice as long for it.
            say("The slow part")
            results.append(run(data, "slow", "slow and not (powershell or variant)", chosen.require, measure=False))
            say("The real engines, and the contract in other modes and cultures")
            # What of them is not here is skipped test by test: one that is missing does not keep the others from being tried.
            results.append(run(data, "engines", "powershell or variant", chosen.require, measure=False))
        if measure:
            complaints.append(coverage(data, judged=not chosen.fast and not left_out))
    if not chosen.fast and not left_out:
        complaints.append(unequal(results))
    if chosen.require and left_out:
        complaints.append("a real engine that is required did not run")
    complaints = [complaint for complaint in complaints if complaint]
    for line in [*complaints, *(f"Left out on real engines: {what}." for what in left_out), *skips(results, left_out)]:
        print(line)
    close(results, len(complaints), time.monotonic() - begun)
    return 1 if complaints or any(result.code for result in results) else 0


def absent() -> tuple[str, ...]:
    """What the real engines cannot show here, and why; nothing where they are whole."""
    from tests.contract.conftest import left_out  # noqa: PLC0415 - the repository is on the path only now

    return left_out()


def skips(results: Sequence[Result], told: Sequence[str]) -> Iterator[str]:
    """What was skipped and why, a line for each reason that nothing has told yet."""
    skipped: Counter[str] = sum((result.skipped for result in results), Counter())
    for reason, count in skipped.most_common():
        if not any(reason in line for line in told):
            yield f"Skipped: {count} test{'s' if count > 1 else ''}: {reason}"


def run(data: Path, name: str, marks: str, require: str | None, *, measure: bool) -> Result:
    """One run of pytest, spread over the processors, under coverage or not; of the engines' part what shares a machine stays together."""
    report = data / f"{name}.json"
    measured = ["coverage", "run", f"--data-file={data / '.coverage'}", "-m"] if measure else []
    command = [sys.executable, "-m", *measured, "pytest", "-q"]
    # In their order, not the groups of many tests first: those of one test are the longest (`make demo` on real machines) and would come last, alone.
    spread = ["loadgroup", "--no-loadscope-reorder"] if name == "engines" else ["load"]
    command += ["-n", "auto", "--dist", *spread, "-m", marks, f"--counts={report}"]
    # Pytest would tell a skip by file and line, each: hundreds on a machine without real engines.
    command += ["--require", "all"] if require == "all" else ["-rfE"]
    # Where the environment forbids to keep what was compiled, every worker, pyinfra and lab that a test starts compiles all of it again.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    code = subprocess.run(command, cwd=ROOT, check=False, env=environment).returncode
    found: Mapping[str, Any] = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
    counters = (Counter(found.get(what, {})) for what in ("outcomes", "contract", "skipped"))
    return Result(0 if code == NO_TESTS else code, *counters)


def unequal(results: Sequence[Result]) -> str:
    """Why the contract did not run alike on both engines; "" where it did."""
    import tests.contract.test_complete  # noqa: F401, PLC0415 - it loads every case
    from tests.conftest import unequal as why  # noqa: PLC0415 - as above

    contract: Counter[str] = sum((result.contract for result in results), Counter())
    return why(contract)


def coverage(data: Path, *, judged: bool) -> str:
    """Combine what was measured and print it; returns why it is too little, "" where it is enough or not judged."""
    file, told = f"--data-file={data / '.coverage'}", data / "coverage.json"
    for step in (["combine", file, str(data)], ["json", "--fail-under=0", file, "-o", str(told)]):
        command = [sys.executable, "-m", "coverage", *step]
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
        if done.returncode:
            return f"coverage {step[0]}: {done.stdout}{done.stderr}".strip()
    say("Coverage, lines and branches")
    found = json.loads(told.read_text(encoding="utf-8"))
    print("\n".join(coverage_lines(found)))
    total, least = found["totals"]["percent_covered"], fail_under()
    return f"coverage is {total:.1f} %, pyproject.toml wants {least} %" if judged and total < least else ""


def coverage_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What is printed of coverage's JSON: packages, the files below SHARE with lines that no test reached, and the whole."""
    packages: dict[str, Counter[str]] = {}
    poor = []
    for path, each in sorted(found["files"].items()):
        summary, package = each["summary"], Path(path).parts[0]
        counted = packages.setdefault(package, Counter())
        counted["done"] += summary["covered_lines"] + summary["covered_branches"]
        counted["all"] += summary["num_statements"] + summary["num_branches"]
        if summary["percent_covered"] < SHARE:
            poor.append(f"  {path} {summary['percent_covered']:.0f}%: {spans(each['missing_lines'])}")
    yield "  ".join(f"{name} {100 * one['done'] / max(1, one['all']):.0f}%" for name, one in sorted(packages.items()))
    if poor:
        yield f"below {SHARE}%, with the lines that nothing reached:"
        yield from poor
    yield f"all {found['totals']['percent_covered']:.1f}%"


def spans(lines: Sequence[int]) -> str:
    """Numbers of lines in short: `1-3 7`; only the first of many."""
    spans: list[tuple[int, int]] = []
    for line in lines:
        if spans and line == spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], line)
        else:
            spans.append((line, line))
    told = [str(first) if first == last else f"{first}-{last}" for first, last in spans[:SPANS]]
    return " ".join([*told, *(["..."] if len(spans) > SPANS else [])])


def fail_under() -> float:
    """The share of the whole that pyproject.toml wants."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return float(settings["tool"]["coverage"]["report"]["fail_under"])


def close(results: Sequence[Result], complaints: int, seconds: float) -> None:
    """The last lines: how many contract cases ran on which engine, and what pytest itself would say of the whole."""
    contract: Counter[str] = sum((result.contract for result in results), Counter())
    if contract:
        from tests.conftest import by_variant  # noqa: PLC0415 - the repository is on the path only now

        print(f"Contract cases: {', '.join(f'{name} {count}' for name, count in sorted(by_variant(contract).items()))}")
    outcomes: Counter[str] = sum((result.outcomes for result in results), Counter())
    outcomes["failed"] += complaints
    told = ", ".join(f"{outcomes[name]} {name}" for name in OUTCOMES[:-1] if outcomes[name])
    say(f"{told or 'no tests ran'} in {seconds:.2f}s ({seconds // 60:.0f} min {seconds % 60:.0f} s)")


def say(text: str) -> None:
    """A heading."""
    print(f" {text} ".center(100, "="), flush=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
