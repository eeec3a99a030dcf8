"""
`make demo`: the job of the page, done for real on the embedded lab, in full view.

Dry run, change, the same again, dry run; then one line of what the lab measured. Exit code 0 only if the first run changed something, and neither the
dry runs nor the second run changed the state of any host. What is measured comes from the lab's journal (differences of snapshots), never from what
a verb reports about itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from lab import control
from lab.folder import LabError

TREE: Final = Path(__file__).resolve().parents[1]
RUNS: Final = (
    ("dry run", ("--dry", "--diff")),
    ("first run", ("-y",)),
    ("second run", ("-y",)),
    ("dry run after", ("--dry", "--diff")),
)


def main() -> int:
    """Run the demo; returns the exit code."""
    engine = os.environ.get("LAB_ENGINE", "python")
    started = time.monotonic()
    try:
        control.reset(engine=engine, hosts=control.HOSTS)  # whatever other hosts a lab that runs may have
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    _, requests_at = control.requests()
    changed: dict[str, int] = {}
    failed = False
    for name, options in RUNS:
        command = ["pyinfra", "inventories/lab.py", "deploy.py", *options]
        print(f"\n$ {' '.join(command)}\n", flush=True)
        mark = control.mark()
        done = subprocess.run([str(Path(sys.executable).with_name("pyinfra")), *command[1:]], cwd=TREE, check=False)
        changed[name] = len(control.changes(mark))
        failed = failed or done.returncode != 0
    requests, _ = control.requests(requests_at)
    seconds = time.monotonic() - started
    right = (
        not failed
        and changed["first run"] > 0
        and not any(count for name, count in changed.items() if name != "first run")
    )
    dry = changed["dry run"] + changed["dry run after"]
    print(
        f"\nmeasured on engine {engine}: {changed['first run']} state changes in the first run, {dry} in both dry runs, {changed['second run']} "
        f"in the second run, {sum(requests.values())} HTTP requests, {seconds:.1f} s: {'as it should be' if right else 'NOT as it should be'}"
    )
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
