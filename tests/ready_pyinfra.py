"""
`pyinfra` for the hundred runs of tests/clilab.py: a process that has loaded it, and forks for each, since loading is half of a run's time.

The run is pyinfra's own `main` with its own exit; of ours only modules are loaded before the fork, and not the lab. What a user types starts
a process of its own: tests/test_docs.py and tests/test_demo.py do that.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from gevent import monkey, reinit

TREE: Final = Path(__file__).parents[1]
OUTPUTS: Final = ("out", "err")
LOADED: Final = (  # the first patches, for gevent, what the others use
    "pyinfra_cli.main",
    "connectors.winrm",
    *(f"facts.{name}" for name in ("ad", "files", "iis", "windows", "xml")),
    *(f"operations.{name}" for name in ("ad", "hosts", "iis", "mim", "order", "windows", "xml")),
)


@cache
def _server() -> subprocess.Popen[bytes]:
    """The process that forks, one for each process of tests."""
    started = subprocess.Popen(  # noqa: S603 - this file
        # -P: not the folder of this file, whose modules a run would find instead of others.
        [sys.executable, "-P", __file__],
        env={**os.environ, "PYINFRA_PROGRESS": "off", "PYTHONPATH": str(TREE)},
        cwd=TREE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )

    def end() -> None:
        assert started.stdin is not None
        assert started.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            started.stdin.close()
        started.stdout.close()
        started.wait()

    atexit.register(end)
    return started


def run(words: Sequence[str], environment: Mapping[str, str], timeout_s: float) -> tuple[int, bytes, bytes]:
    """
    `pyinfra WORD...` in the root of the repository: exit code, stdout, stderr.

    + environment: of the run; what Python or pyinfra read when they start is that of the tests

    Raises TimeoutError, EOFError where the process that forks is gone; the next run starts another.
    """
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        with tempfile.TemporaryDirectory() as folder:
            request = {"words": list(words), "environment": dict(environment), "folder": folder}
            server.stdin.write(json.dumps(request).encode() + b"\n")
            server.stdin.flush()
            if not select.select([server.stdout], [], [], timeout_s)[0]:
                raise TimeoutError(f"pyinfra {' '.join(words)} did not end within {timeout_s} s")
            answer = server.stdout.readline()
            if not answer:
                raise EOFError(f"pyinfra {' '.join(words)}: the process that forks it is gone")
            out, err = (Path(folder, name).read_bytes() for name in OUTPUTS)
            return int(answer), out, err
    except BaseException:
        # Its answer to this run must not be taken for that to the next one.
        _server.cache_clear()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        raise


def _serve() -> None:
    """Forks for each line of stdin and answers with the exit code; returns in the child, as the run that it has become."""
    for name in LOADED:
        importlib.import_module(name)
    # gevent's own would start a loop of events in this process; a run starts its own.
    fork, waitpid = (monkey.get_original("os", name) for name in ("fork", "waitpid"))
    for line in sys.stdin.buffer:
        pid = fork()
        if pid == 0:
            reinit()
            _become(json.loads(line))
            return
        _, status = waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()
    raise SystemExit


def _become(request: Mapping[str, object]) -> None:
    words, environment, folder = request["words"], request["environment"], request["folder"]
    assert isinstance(words, list)
    assert isinstance(environment, dict)
    os.environ.clear()
    os.environ.update(environment)
    files = [os.open(os.devnull, os.O_RDONLY)]
    files += [os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT, 0o600) for name in OUTPUTS]
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.argv = ["pyinfra", *words]


if __name__ == "__main__":
    # Only here, by name: a process of tests is never patched.
    _serve()
    sys.exit(sys.modules[LOADED[0]].main())
