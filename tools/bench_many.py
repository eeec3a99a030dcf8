"""
What tools/bench.py measures under gevent, as pyinfra runs its connectors: importing pyinfra_cli patches this whole process.

    bench_many.py calls ROOT COUNT HOST...    warm calls to these hosts of the lab in ROOT, all at once; prints one line of JSON
    bench_many.py asked FILE ARGUMENT...      pyinfra, noting in FILE how many different reads it asked for, by host, in its stages summed up
"""

from __future__ import annotations

import atexit
import json
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from gevent import joinall, spawn
from gevent.event import Event
from pyinfra_cli.main import main

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from connectors.call import Answer, HostCall
from connectors.session import Session
from connectors.settings import settings_of
from connectors.winrm import WinrmConnector
from lab.control import connection


def calls(root: Path, count: int, hosts: Sequence[str]) -> None:
    """A session for each host, all at once: open, wait for the others, then `count` calls one after the other."""
    opened: list[str] = []
    times: list[float] = []
    go = Event()

    def one(host: str) -> None:
        session = Session(settings_of(host, connection(host, root)))
        try:
            session.open()
            opened.append(host)
            if len(opened) == len(hosts):
                go.set()
            go.wait()
            for _ in range(count):
                at = time.perf_counter()
                session.call(HostCall("Test-Echo", value="x"))
                times.append(time.perf_counter() - at)
        except BaseException:
            go.set()  # the others must not wait for it
            raise
        finally:
            session.close()

    started = time.perf_counter()
    greenlets = [spawn(one, host) for host in hosts]
    go.wait()
    ready = time.perf_counter()
    joinall(greenlets, raise_error=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"open_s": ready - started, "calls_s": time.perf_counter() - ready, "times": times, "peak": peak}))


def asked(file: Path, arguments: Sequence[str]) -> None:
    """Run pyinfra with these arguments. It ends by sys.exit."""
    seen: dict[str, set[tuple[str, str]]] = {}
    call = WinrmConnector._call  # noqa: SLF001 - what was asked is known nowhere else

    def noted(self: WinrmConnector, command: HostCall, timeout_s: float | None) -> Answer:
        stage = f"{self.state.current_stage} {self.state.is_executing}"
        seen.setdefault(self.host.name, set()).add((stage, command.key))
        return call(self, command, timeout_s)

    atexit.register(lambda: file.write_text(json.dumps({host: len(reads) for host, reads in seen.items()})))
    with patch.object(WinrmConnector, "_call", noted), patch.object(sys, "argv", ["pyinfra", *arguments]):
        run: Any = main
        run()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["calls", folder, number, *names]:
            calls(Path(folder), int(number), names)
        case ["asked", target, *words]:
            asked(Path(target), words)
        case _:
            sys.exit(__doc__)
