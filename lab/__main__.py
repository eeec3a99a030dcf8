"""`python -m lab`: the lab as a process of its own, from the command line. What the commands do is in lab/control.py."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from lab import control, journal
from lab.folder import AlreadyRunsError, Folder, LabError

NOT_RUNNING: Final = 3  # exit code of `status`, as service managers have it
FOLLOW_S: Final = 0.2
LOG_FORMAT: Final = "%(asctime)s %(name)s %(levelname)s %(message)s"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    options.root = Path(options.root).absolute()
    if "host" in options:
        options.hosts = dict(options.host) or None
    try:
        code: int = options.run(options)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return code


def _build(text: str) -> str:
    """A version as four numbers."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9}){3}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no build, expected four numbers like 4.5.286.0")
    return text


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--root", default=str(control.ROOT), help="folder of the lab (default: .lab of the repository)")
    making = argparse.ArgumentParser(add_help=False, parents=[common])
    making.add_argument("--mim-build", type=_build, metavar="A.B.C.D", help="version of MIM that new machines get")
    making.add_argument(
        "--settings-root", choices=control.SETTINGS_ROOTS, help="shape of MfaSettings.xml that new machines get (plain)"
    )
    making.add_argument(
        "--host",
        action="append",
        default=[],
        type=_host,
        metavar="NAME=ROLE",
        help="instead of dc01, mfa01, mim01; role dc, mfa or mim",
    )
    parser = argparse.ArgumentParser(prog="python -m lab", description="The embedded lab: Windows hosts on loopback.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, run: Callable[[Any], int], parent: argparse.ArgumentParser, text: str
    ) -> argparse.ArgumentParser:
        found = commands.add_parser(name, parents=[parent], help=text)
        found.set_defaults(run=run)
        return found

    start = command("start", _start, making, "start it in the background, unless it runs")
    start.add_argument("--engine", choices=control.ENGINES, default="python")
    command("stop", _stop, common, "stop it")
    command("status", _status, common, f"say whether it runs; exit code {NOT_RUNNING} when not")
    reset = command("reset", _reset, making, "throw its state away and start it as installed")
    reset.add_argument("--engine", choices=control.ENGINES)
    follow = command("journal", _journal, common, "print what changed on the hosts")
    follow.add_argument("--follow", action="store_true", help="and go on, until Ctrl-C")
    serve = command("serve", _serve, making, "run it here, until Ctrl-C")
    serve.add_argument("--engine", choices=control.ENGINES, default="python")
    serve.add_argument("--detach", action="store_true", help="in the background instead; returns when it is ready")
    return parser


def _host(text: str) -> tuple[str, str]:
    name, sign, role = text.partition("=")
    if not sign or role not in {"dc", "mfa", "mim"}:
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=dc, NAME=mfa or NAME=mim")
    return name, role


def _start(options: argparse.Namespace) -> int:
    _refuse_for_old_machines(options)
    if control.status(options.root) is None and (word := _detached(options)) != "running":
        print(control.status(options.root))
        return 0 if word == "started" else 1
    control.ensure_started(options.engine, options.root, hosts=options.hosts)  # complains where it runs otherwise
    print(control.status(options.root))
    print("It ran already.")
    return 0


def _refuse_for_old_machines(options: argparse.Namespace) -> None:
    """Raise LabError for what only new machines can be, where there are machines already."""
    asked = {"--mim-build": options.mim_build, "--settings-root": options.settings_root}
    words = [f"{name} {value}" for name, value in asked.items() if value]
    if words and Folder(options.root).seeded(options.engine):
        raise LabError(f"The lab has its machines already: python -m lab reset {' '.join(words)}")


def _stop(options: argparse.Namespace) -> int:
    print("The lab is stopped." if control.stop(options.root) else "The lab was not running.")
    return 0


def _status(options: argparse.Namespace) -> int:
    now = control.status(options.root)
    print(now or "The lab does not run. Start it: python -m lab start")
    return 0 if now else NOT_RUNNING


def _reset(options: argparse.Namespace) -> int:
    control.reset(
        options.root,
        engine=options.engine,
        hosts=options.hosts,
        mim_build=options.mim_build,
        settings_root=options.settings_root,
    )
    print(control.status(options.root))
    return 0


def _journal(options: argparse.Namespace) -> int:
    # Ctrl-C is the way out of `--follow`, also where a script started this in the background: a shell ignores it there.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    since = 0
    try:
        while True:
            end = journal.mark(options.root)
            for entry in journal.entries(options.root, min(since, end)):
                print(entry, flush=True)
            if not options.follow:
                return 0
            since = end
            time.sleep(FOLLOW_S)
    except KeyboardInterrupt:
        return 0


def _serve(options: argparse.Namespace) -> int:
    _refuse_for_old_machines(options)
    if options.detach:
        print(word := _detached(options))
        return 0 if word in {"started", "running"} else 1
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    _run(options, lambda: print(control.status(options.root), flush=True))
    return 0


def _run(options: argparse.Namespace, ready: Callable[[], None]) -> None:
    from lab.lab import Lab, serve  # noqa: PLC0415 (slow to load, and only the process that serves needs it)
    from lab.seed import shaped  # noqa: PLC0415

    seed = shaped(options.settings_root) if options.settings_root else None
    serve(Lab(options.root, options.engine, options.hosts, mim_build=options.mim_build, seed=seed), ready)


def _detached(options: argparse.Namespace) -> str:
    """
    Run the lab in a child of its own session; returns when it is ready: `started`, or `running` when another runs.

    Raises LabError with the reason where it does not start.
    """
    folder = Folder(options.root)
    folder.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    told, tell = os.pipe()
    if os.fork():
        os.close(tell)
        with os.fdopen(told, encoding="utf-8") as pipe:
            word = pipe.read()
        if word == "running" and not control.wait_ready(options.root):
            word = "The other lab that was starting did not come up."
        if word not in {"started", "running"}:
            raise LabError(f"{word.rstrip('.') or 'The lab ended while it was starting'}. More in {folder.server_log}.")
        return word
    os.close(told)
    sys.exit(_child(options, folder, tell))


def _child(options: argparse.Namespace, folder: Folder, tell: int) -> int:
    """The child: leaves the terminal, runs the lab, writes to `tell` what became of it. Returns the exit code."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    log = os.open(folder.server_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number, target in ((0, nothing), (1, log), (2, log)):
        os.dup2(target, number)
    os.close(nothing)
    os.close(log)

    def say(word: str) -> None:
        with contextlib.suppress(OSError):  # it was said before, or nobody waits any more
            os.write(tell, word.encode())
            os.close(tell)

    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    try:
        _run(options, lambda: say("started"))
    except AlreadyRunsError:
        say("running")
    except Exception as error:
        logging.getLogger("lab").exception("the lab ended")
        say(f"{error}" if isinstance(error, LabError) else f"{type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
