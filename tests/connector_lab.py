"""What tests of the connector share: a host of the lab whose far end can be made odd, and sessions with it. Nothing of pyinfra."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, cast

from typing_extensions import override

from connectors.session import Limits, Session
from connectors.settings import WinrmSettings
from lab.access import Scheme
from lab.engine import Output, Process
from lab.lab import Lab
from lab.python_engine import PythonEngine, PythonMachine
from lab.server import ServedHost
from lab.shells import Limits as HostLimits
from tests.lab_machine import no_seed

NAME = "mim01"
NOW = Limits(pauses_s=(0, 0, 0, 0), quota_s=0)

Start: TypeAlias = Callable[[Sequence[str], Callable[[Sequence[str]], Process]], Process]


class OddMachine(PythonMachine):
    """A machine of the python engine; `odd` are taken in turn instead of starting a program as it would."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.odd: deque[Start] = deque()
        self.started = 0

    @override
    def start(self, argv: Sequence[str]) -> Process:
        self.started += 1
        return self.odd.popleft()(argv, super().start) if self.odd else super().start(argv)


class OddEngine(PythonEngine):
    """Makes them."""

    @override
    def machine(self, name: str, role: Any) -> PythonMachine:
        return OddMachine(self, name, role)


class Relay(Process):
    """A real far end with somebody on its pipes. Subclasses change what comes through."""

    def __init__(self, argv: Sequence[str], start: Callable[[Sequence[str]], Process]) -> None:
        self.inner = start(argv)

    @override
    def write(self, data: bytes, *, end: bool) -> None:
        self.inner.write(data, end=end)

    @override
    def read(self, timeout_s: float) -> Output:
        return self.inner.read(timeout_s)

    @override
    def terminate(self) -> None:
        self.inner.terminate()


class Late(Relay):
    """Says hello, and what it answers only after so many request lines: those that it was sent again count."""

    def __init__(self, argv: Sequence[str], start: Callable[[Sequence[str]], Process], *, after: int) -> None:
        super().__init__(argv, start)
        self._after, self._seen = after, 0
        self._open = threading.Event()
        self._open.set()

    @override
    def write(self, data: bytes, *, end: bool) -> None:
        if requests := data.count(b" R "):
            self._seen += requests
            self._open.clear()
        self.inner.write(data, end=end)
        if self._seen >= self._after or end:
            self._open.set()

    @override
    def read(self, timeout_s: float) -> Output:
        return self.inner.read(timeout_s) if self._open.wait(timeout_s) else Output()

    @override
    def terminate(self) -> None:
        self._open.set()
        self.inner.terminate()


class Gate(Relay):
    """Says what it answers only when a test opens the gate; `asked` is set when it got a request."""

    def __init__(
        self,
        argv: Sequence[str],
        start: Callable[[Sequence[str]], Process],
        *,
        asked: threading.Event,
        gate: threading.Event,
    ) -> None:
        super().__init__(argv, start)
        self._asked, self._gate, self._shut = asked, gate, False

    @override
    def write(self, data: bytes, *, end: bool) -> None:
        self._shut = self._shut or b" R " in data
        self.inner.write(data, end=end)
        if self._shut:
            self._asked.set()

    @override
    def read(self, timeout_s: float) -> Output:
        return self.inner.read(timeout_s) if not self._shut or self._gate.wait(timeout_s) else Output()


class Mortal(Relay):
    """Dies when it is sent a request, before it has done anything (`done` false) or after it has."""

    def __init__(self, argv: Sequence[str], start: Callable[[Sequence[str]], Process], *, done: bool) -> None:
        super().__init__(argv, start)
        self._done = done
        self._dead = False

    @override
    def write(self, data: bytes, *, end: bool) -> None:
        if b" R " not in data:
            self.inner.write(data, end=end)
            return
        if self._done:
            self.inner.write(data, end=end)
            assert self.inner.read(10).stdout  # it is done when it was answered
        self._dead = True
        self.inner.terminate()

    @override
    def read(self, timeout_s: float) -> Output:
        return Output(exit_code=1) if self._dead else self.inner.read(timeout_s)


class Mute(Process):
    """Runs and says nothing, whatever it is given: a PowerShell that gets its input only when that has ended."""

    def __init__(self, _: Sequence[str], __: Callable[[Sequence[str]], Process]) -> None:
        self._ended = threading.Event()

    @override
    def write(self, data: bytes, *, end: bool) -> None: ...

    @override
    def read(self, timeout_s: float) -> Output:
        return Output(exit_code=1) if self._ended.wait(timeout_s) else Output()

    @override
    def terminate(self) -> None:
        self._ended.set()


class Rewritten(Relay):
    """A far end whose output is rewritten, piece by piece, by a function."""

    def __init__(
        self,
        argv: Sequence[str],
        start: Callable[[Sequence[str]], Process],
        *,
        rewrite: Callable[[bytes], bytes],
    ) -> None:
        super().__init__(argv, start)
        self._rewrite = rewrite

    @override
    def read(self, timeout_s: float) -> Output:
        output = self.inner.read(timeout_s)
        return Output(self._rewrite(output.stdout), output.stderr, output.exit_code) if output.stdout else output


class Ended(Process):
    """A program that has ended with these words."""

    def __init__(self, stdout: bytes = b"", stderr: bytes = b"", code: int = 1) -> None:
        self._outputs = [Output(stdout, stderr), Output(exit_code=code)]

    @override
    def write(self, data: bytes, *, end: bool) -> None: ...

    @override
    def read(self, timeout_s: float) -> Output:
        return self._outputs.pop(0) if len(self._outputs) > 1 else self._outputs[0]

    @override
    def terminate(self) -> None: ...


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Far:
    """The host mim01 of a lab of this process, as its administrator sees it, and sessions of the connector with it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.machine = cast(OddMachine, lab.machine(NAME))
        self.served: ServedHost = lab.served(NAME)
        self._sessions: list[Session] = []

    def settings(self, scheme: Scheme = "https", **more: Any) -> WinrmSettings:
        """How it is reached. Names without `winrm_`."""
        data = {key.removeprefix("winrm_"): value for key, value in self.lab.connection(NAME, scheme).items()}
        return WinrmSettings.model_validate({**data, **more})

    def session(
        self,
        scheme: Scheme = "https",
        limits: Limits = NOW,
        *,
        clock: Clock | None = None,
        opened: bool = True,
        **more: Any,
    ) -> Session:
        """A session; open unless said otherwise."""
        times: dict[str, Any] = {"clock": clock, "sleep": clock.sleep} if clock is not None else {}
        made = Session(self.settings(scheme, **more), limits, **times)
        self._sessions.append(made)
        if opened:
            made.open()
        return made

    def requests(self) -> int:
        """HTTP requests that it got in all."""
        return self.served.requests

    def end(self) -> None:
        """Close the sessions; nothing may be left on the host, no planned trouble either."""
        for session in self._sessions:
            session.close()
        assert (len(self.served.shells), self.served.untroubled(), list(self.machine.odd)) == (0, True, [])
        self._sessions.clear()


@contextmanager
def odd_lab(root: Path, limits: HostLimits | None = None) -> Iterator[Lab]:
    """A lab with one host that can be made odd, and nothing on it."""
    with Lab(root, OddEngine(root / "state"), {NAME: "mim"}, seed=no_seed, limits=limits) as running:
        yield running
