"""
Calls to one host: one warm PowerShell, numbered requests, and what to do when something breaks (facts/winrm.md 8).

It owns the decision what is sent again and what is not. Requests are wire.py's, lines frames.py's, what the far end says farend.py's.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import gevent
from gevent.lock import RLock

import powershell
from connectors.call import Answer, HostCall
from connectors.errors import (
    CallTimeoutError,
    ConnectorError,
    FailedError,
    GoneError,
    LostError,
    OutcomeUnknownError,
    PendingError,
    QuotaError,
    TooLargeError,
    cannot_run,
)
from connectors.farend import PROGRAM, answer_of, command_line, greet, obituary
from connectors.frames import Frame, FrameError, FrameReader, new_token, request_line, script_line
from connectors.settings import WinrmSettings
from connectors.wire import Received, Wire

logger = logging.getLogger(__name__)

NOISE: Final = 4000  # bytes of stderr that are kept to explain a process that dies
UNKNOWN: Final = "outcome unknown, run again: every operation compares first"


@dataclass(frozen=True)
class Limits:
    """Numbers of facts/winrm.md 8.3, in seconds, bytes and calls; tests make them small."""

    call_s: float = 120
    hello_s: float = 60
    idle_s: float = 90
    """an HTTP connection that has been silent for longer is not used again: http.sys drops it at 120 s"""
    silent_s: float = 14 * 60
    """a process that got nothing for longer is replaced: it ends by itself after 15 minutes (docs/verbs.md, Wire)"""
    age_s: float = 4 * 3600
    calls: int = 2000
    batch_calls: int = 500
    pieces: tuple[int, ...] = (350_000, 100_000)
    """bytes of one Send; the next smaller one after an HTTP 413"""
    pauses_s: tuple[float, ...] = (0.1, 1, 5, 15)
    """waits before each reconnect; after the last the connection counts as lost for good"""
    quota_s: float = 15
    close_s: float = 5


class Session:
    """
    One host. `call` is the only thing to do with it, besides `close`.

    Not more than one call at a time: a lock of gevent's holds the others back. Raises only exceptions of connectors/errors.py.
    """

    def __init__(
        self,
        settings: WinrmSettings,
        limits: Limits = Limits(),
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = gevent.sleep,
    ) -> None:
        self._settings, self._limits, self._clock, self._sleep = settings, limits, clock, sleep
        self._wire = Wire(settings)
        self._lock = RLock()
        self._batch = settings.mode == "batch"
        self._probed = False
        self._piece = 0
        self._used = self._started = clock()
        self._running = self._held = False
        self._reader, self._token, self._seq = FrameReader("-"), "", 0
        self._calls = self._batch_calls = 0
        self._noise = b""

    def open(self) -> None:
        """Reach the host and start the far end, so that what is wrong shows before anything is asked."""
        with self._lock:
            if not self._batch:
                self._start()
            if self._batch:
                self._run(HostCall("Test-Echo", value=None), self._clock() + self._limits.hello_s)

    def call(self, call: HostCall, timeout_s: float | None = None) -> Answer:
        """
        Run one verb.

        + timeout_s: seconds for the whole call; default 120. After it the process at the host is ended and the session starts anew.

        Raises VerbError for an error that the verb answered; OutcomeUnknownError where a write was sent and its answer did not come;
        CallTimeoutError, FailedError, TooLargeError and QuotaError as they say.
        """
        with self._lock:
            return answer_of(self._run(call, self._clock() + (timeout_s or self._limits.call_s)), call.verb)

    @property
    def batch(self) -> bool:
        """Whether each call has a process of its own: what one call leaves in the process is not there for the next."""
        return self._batch

    @contextlib.contextmanager
    def unbroken(self) -> Iterator[None]:
        """While it is held, the process is not replaced for its age: several calls build on one another (the blocks of a file)."""
        with self._lock:
            self._held, held = True, self._held
            try:
                yield
            finally:
                self._held = held

    def close(self) -> None:
        """End the process and delete the shell. Never raises; again is fine."""
        with self._lock:
            self._wire.hurry()
            if self._running:
                try:
                    self._send(b"", end=True)
                    self._drain(self._clock() + self._limits.close_s)
                except ConnectorError as error:
                    logger.debug("%s: closing: %s", self._settings.address, error)
                    self._wire.drop()
            self._stop()

    def _run(self, call: HostCall, deadline: float) -> Frame:
        """One call, whatever breaks: a read is done once more by a new process, a write is not."""
        for attempt in ("first", "second"):
            lines = self._prepare(call)
            try:
                return self._batch_answer(lines, deadline) if self._batch else self._exchange(lines, deadline)
            except TooLargeError:
                self._stop()
                raise  # refused before the far end saw it: nothing was done
            except CallTimeoutError as error:
                self._stop(signal=True)
                raise CallTimeoutError(f"{call.verb} {error}" + ("" if call.is_read else f": {UNKNOWN}")) from None
            except (GoneError, LostError) as error:
                # A lost reply does not say whether the write happened; only the next comparison can.
                self._stop()
                if not call.is_read:
                    raise OutcomeUnknownError(f"{error} during {call.verb}: {UNKNOWN}") from None
                if attempt == "second":
                    raise FailedError(f"{error} during {call.verb}, twice") from None
            except ConnectorError as error:
                self._stop()
                if call.is_read:
                    raise
                raise OutcomeUnknownError(f"{error} (during {call.verb}): {UNKNOWN}") from None
            except BaseException:
                # Whatever interrupts (a timeout of gevent's, Ctrl-C), an answer of this call must not be taken for the next one's.
                self._stop()
                raise
        raise AssertionError("unreachable")

    def _prepare(self, call: HostCall) -> bytes:
        """Have a process that waits for this call, and the lines to send to it. What goes wrong here is before anything of the call was sent."""
        if self._worn():
            self._stop()
        if not self._batch and not self._running:
            self._start()
        first = b""
        if self._batch:
            self._begin()
            first = script_line(self._token, powershell.script(), read_only=self._settings.read_only)
        # Counted only when the line is made: what cannot be sent must not leave a gap in the numbers.
        line = request_line(self._token, self._seq + 1, call.payload(), call.revealed(), call.blob)
        self._seq += 1
        return first + line

    # -- warm --

    def _exchange(self, line: bytes, deadline: float) -> Frame:
        """Send one line and wait for its answer, through lost connections (facts/winrm.md 8.4)."""
        pauses = iter(self._limits.pauses_s)
        refused = 0
        resuming = False
        send = True
        while True:
            try:
                if send:
                    # The newline ends what may have arrived of a half line.
                    self._send(b"\n" + line if resuming else line)
                    send = False
                for frame in self._receive(deadline):
                    if frame.kind == "A" and frame.seq == self._seq:
                        self._used = self._clock()
                        self._calls += 1
                        return frame
                    if frame.kind == "N" and not resuming:
                        refused += 1
                        if refused > 1:
                            raise FailedError(f"the far end refuses our requests: {frame.text}")
                        send = True  # nothing was changed by a refused line
                    if frame.kind == "X":
                        raise cannot_run(frame.text)
            except PendingError:
                if self._clock() >= deadline:
                    raise CallTimeoutError("took too long and was ended") from None
                # A Receive that was pending when the connection broke lives on at the host and may have swallowed the answer.
                send = resuming
            except LostError:
                self._wire.drop()
                pause = next(pauses, None)
                if pause is None or self._clock() + pause >= deadline:
                    raise
                self._sleep(pause)
                resuming = send = True

    def _start(self) -> None:
        """Shell, process, script, hello. Falls back to batch where the process runs but says nothing and the mode allows."""
        script = powershell.script()
        for attempt in ("first", "second"):
            self._begin()
            try:
                hello = self._hello(script)
            except (GoneError, LostError) as error:
                self._stop()
                if attempt == "second":
                    raise FailedError(f"{self._settings.address}: {error} while PowerShell started") from None
                self._sleep(self._limits.pauses_s[0])
                continue
            except BaseException:
                self._stop()
                raise
            if hello is None:
                self._fall_back()
                return
            try:
                greet(hello.json, script, self._settings)
            except FailedError:
                self._stop()
                raise
            self._running = True
            self._started = self._used = self._clock()
            self._calls = 0
            return

    def _hello(self, script: str) -> Frame | None:
        """Send the script; the hello, or None where nothing came although the process runs."""
        deadline = self._clock() + self._limits.hello_s
        seen = bytearray()
        self._send(script_line(self._token, script, read_only=self._settings.read_only))
        while True:
            try:
                received = self._wire.receive(deadline - self._clock())
            except PendingError:
                if self._clock() < deadline:
                    continue
                return None
            seen += received.stdout
            for frame in self._feed(received):
                if frame.kind == "H":
                    return frame
                if frame.kind == "X":
                    raise cannot_run(frame.text)
            if received.done:
                said = obituary(received.exit_code, bytes(seen), self._noise, self._token)
                raise FailedError(
                    f"{self._settings.address}: {said}. Does this work there: {PROGRAM} -NoProfile -Command 1"
                )

    def _fall_back(self) -> None:
        self._stop()
        if self._settings.mode == "warm":
            raise FailedError(
                f"{self._settings.address}: PowerShell started but never answered (winrm_mode is warm: auto would try batch)"
            )
        self._batch = True
        logger.warning(
            "%s: PowerShell does not answer while its input stays open; one process a call from here on (batch)",
            self._settings.address,
        )

    # -- batch --

    def _batch_answer(self, lines: bytes, deadline: float) -> Frame:
        """Send all that a process gets and wait for its end; a process that was lost cannot be asked again."""
        answer, seen = None, bytearray()
        self._send(lines, end=True)
        while True:
            try:
                received = self._wire.receive(deadline - self._clock())
            except PendingError:
                if self._clock() >= deadline:
                    raise CallTimeoutError("took too long and was ended") from None
                continue
            except LostError:
                self._wire.drop()
                raise
            seen += received.stdout
            for frame in self._feed(received):
                if frame.kind == "X":
                    raise cannot_run(frame.text)
                if frame.kind == "A" and frame.seq == self._seq:
                    answer = frame
            if received.done:
                break
        self._wire.end_command()
        self._used = self._clock()
        if answer is None:
            raise GoneError(obituary(received.exit_code, bytes(seen), self._noise, self._token))
        return answer

    # -- both --

    def _begin(self) -> None:
        """A new process in our shell, which is opened where there is none. Nothing is sent to it yet, so all of this may be done twice."""
        for attempt in ("first", "second"):
            if self._batch_calls >= self._limits.batch_calls:
                self._stop()  # a finished command counts until its shell is deleted (facts/winrm.md 3)
            try:
                if not self._wire.has_shell:
                    self._open_shell()
                self._refresh()
                token = new_token()
                self._wire.run(command_line(token))
            except (GoneError, LostError, QuotaError) as error:
                self._stop()
                if attempt == "second":
                    raise FailedError(str(error)) from None
            except BaseException:
                self._stop()
                raise
            else:
                self._reader, self._token, self._seq = FrameReader(token), token, 0
                self._noise = b""
                self._batch_calls += 1
                return

    def _open_shell(self) -> None:
        if not self._probed:
            self._wire.probe()
            self._probed = True
        for attempt in ("first", "second"):
            try:
                self._wire.open_shell()
            except (GoneError, LostError, QuotaError) as error:
                self._wire.drop()
                if attempt == "second":
                    raise FailedError(f"{error}{self._hint(error)}") from None
                self._sleep(self._limits.quota_s if isinstance(error, QuotaError) else self._limits.pauses_s[0])
            else:
                self._used = self._clock()
                return

    def _hint(self, error: ConnectorError) -> str:
        """What may be wrong where a connection was made and broke at once, and again."""
        if not isinstance(error, LostError) or self._settings.scheme != "http":
            return ""
        return " before anything was answered: is that the port of https (5986, then winrm_scheme is https), or of something else than WinRM?"

    def _refresh(self) -> None:
        """Before a request: an HTTP connection that was silent for too long is not used again."""
        if self._clock() - self._used > self._limits.idle_s:
            self._wire.drop()
        self._used = self._clock()

    def _send(self, line: bytes, *, end: bool = False) -> None:
        self._refresh()
        at = 0
        while True:
            size = self._limits.pieces[self._piece]
            piece = line[at : at + size]
            try:
                self._wire.send(piece, end=end and at + size >= len(line))
            except TooLargeError as error:
                # With encryption the connection is out of step now: the host never saw what was sealed.
                self._wire.drop()
                if self._piece + 1 >= len(self._limits.pieces):
                    raise TooLargeError(
                        f"{self._settings.address}: {error}; MaxEnvelopeSizekb is below {size // 500}. Nothing was done. "
                        'Raise it there: winrm set winrm/config @{MaxEnvelopeSizekb="500"}'
                    ) from None
                # It was refused before the shell saw it: the same piece again, smaller.
                self._piece += 1
                continue
            at += size
            if at >= len(line):
                return

    def _receive(self, deadline: float) -> list[Frame]:
        try:
            received = self._wire.receive(deadline - self._clock())
        except TooLargeError as error:
            raise FailedError(
                f"an answer could not be fetched: {error}"
            ) from None  # the call itself ran: not the same as one refused on its way
        frames = self._feed(received)
        if received.done and not any(frame.kind in "AX" for frame in frames):
            raise GoneError("the PowerShell process ended")
        return frames

    def _feed(self, received: Received) -> list[Frame]:
        self._noise = (self._noise + received.stderr)[-NOISE:]
        try:
            return self._reader.feed(received.stdout)
        except FrameError as error:
            raise LostError(str(error)) from None

    def _drain(self, deadline: float) -> None:
        while self._clock() < deadline:
            try:
                if self._wire.receive(deadline - self._clock()).done:
                    return
            except PendingError:
                continue

    def _worn(self) -> bool:
        if not self._running or self._held:
            return False
        now, limits = self._clock(), self._limits
        return now - self._started > limits.age_s or now - self._used > limits.silent_s or self._calls >= limits.calls

    def _stop(self, *, signal: bool = False) -> None:
        """Delete the shell, which ends what runs in it; `signal` ends the command first. Whatever state they are in."""
        # First: if this is interrupted, the next call starts anew instead of asking a shell that is gone.
        self._running = False
        self._calls = self._batch_calls = 0
        if self._wire.has_shell:
            self._refresh()
            self._wire.hurry()
        if signal:
            self._wire.end_command()
        self._wire.close_shell()
