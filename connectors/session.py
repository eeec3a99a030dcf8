"""
Calls to one host: one warm PowerShell, numbered requests, and what to do when something breaks (facts/winrm.md 8).

It owns the decision what is sent again and what is not. The requests themselves are wire.py's, the lines frames.py's, the words errors.py's.
"""

from __future__ import annotations

import base64
import logging
import re
import time
from collections.abc import Callable
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
    VerbError,
    cannot_run,
)
from connectors.frames import Frame, FrameError, FrameReader, error_of, new_token, request_line, script_line
from connectors.settings import WinrmSettings
from connectors.wire import Received, Wire

logger = logging.getLogger(__name__)

PROGRAM: Final = r"%SystemRoot%\System32\WindowsPowerShell\v1.0\powershell.exe"
NOISE: Final = 4000  # bytes of stderr that are kept to explain a process that dies
OPTIONS: Final = "-NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand"


@dataclass(frozen=True)
class Limits:
    """Numbers of facts/winrm.md 8.3, in seconds, bytes and calls; tests make them small."""

    call_s: float = 120
    hello_s: float = 60
    idle_s: float = 90
    """an HTTP connection that has been silent for longer is not used again: http.sys drops it at 120 s"""
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
        self._running = False
        self._reader, self._token, self._seq = FrameReader("-"), "", 0
        self._calls = self._batch_calls = 0
        self._noise = b""

    def open(self) -> None:
        """Reach the host and start the far end, so that what is wrong shows before anything is asked."""
        with self._lock:
            if self._batch:
                self._call_batch(HostCall("Test-Echo", value=None), self._clock() + self._limits.hello_s)
            else:
                self._start()

    def call(self, call: HostCall, timeout_s: float | None = None) -> Answer:
        """
        Run one verb.

        + timeout_s: seconds for the whole call; default 120. After it the process at the host is ended and the session starts anew.

        Raises VerbError for an error that the verb answered; OutcomeUnknownError where the process was lost during a write;
        CallTimeoutError, FailedError and QuotaError as they say.
        """
        with self._lock:
            deadline = self._clock() + (timeout_s or self._limits.call_s)
            frame = self._call_batch(call, deadline) if self._batch else self._call_warm(call, deadline)
            if frame.json.get("ok") is True:
                return Answer(frame.json.get("result"), frame.blob)
            raise VerbError(error_of(frame.json))

    def close(self) -> None:
        """End the process and delete the shell. Never raises; again is fine."""
        with self._lock:
            if self._running:
                try:
                    self._wire.send(b"", end=True)
                    self._drain(self._clock() + self._limits.close_s)
                except ConnectorError as error:
                    logger.debug("%s: closing: %s", self._settings.address, error)
            self._stop()

    # -- warm --

    def _call_warm(self, call: HostCall, deadline: float) -> Frame:
        for attempt in ("first", "second"):
            if self._worn():
                self._stop()
            if not self._running:
                self._start()
                if self._batch:
                    return self._call_batch(call, deadline)
            self._seq += 1
            line = request_line(self._token, self._seq, call.payload(), call.revealed(), call.blob)
            try:
                return self._exchange(line, deadline)
            except CallTimeoutError as error:
                self._stop(signal=True)
                state = (
                    ""
                    if call.is_read
                    else " Whether it was done is not known: run again, every operation compares first."
                )
                raise CallTimeoutError(f"{call.verb} {error}.{state}") from None
            except (GoneError, LostError) as error:
                # A lost reply does not say whether the write happened; only the next comparison can.
                self._stop()
                if not call.is_read:
                    raise OutcomeUnknownError(f"{error} during {call.verb}: outcome unknown, run again") from None
                if attempt == "second":
                    raise FailedError(f"{error} during {call.verb}, twice") from None
            except BaseException:
                # Whatever interrupts (a timeout of pyinfra's, Ctrl-C), an answer of this call must not be taken for the next one's.
                self._stop()
                raise
        raise AssertionError("unreachable")

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
                pause = next(pauses, None)
                if pause is None or self._clock() + pause >= deadline:
                    raise
                self._sleep(pause)
                self._wire.drop()
                resuming = send = True

    def _start(self) -> None:
        """Shell, process, script, hello. Falls back to batch where the process runs but says nothing and the mode allows."""
        self._open_shell()
        token = new_token()
        reader, seen = FrameReader(token), bytearray()
        deadline = self._clock() + self._limits.hello_s
        script = powershell.script()
        try:
            self._wire.run(command_line(token))
            self._reader, self._token, self._seq = reader, token, 0
            self._running = True
            self._send(script_line(token, script, read_only=self._settings.read_only))
            while True:
                try:
                    received = self._wire.receive(deadline - self._clock())
                except PendingError:
                    if self._clock() < deadline:
                        continue
                    self._fall_back()
                    return
                seen += received.stdout
                self._noise = (self._noise + received.stderr)[-NOISE:]
                for frame in reader.feed(received.stdout):
                    if frame.kind == "H":
                        self._greet(frame)
                        return
                    if frame.kind == "X":
                        raise cannot_run(frame.text)
                if received.done:
                    raise FailedError(self._obituary(received, bytes(seen)))
        except (GoneError, LostError, FrameError) as error:
            self._stop()
            raise FailedError(f"{self._settings.address}: {error} while PowerShell started") from None
        except BaseException:
            self._stop()
            raise

    def _greet(self, frame: Frame) -> None:
        hello = frame.json
        if hello.get("is64") is not True:
            raise FailedError(
                f"{self._settings.address} starts a 32-bit PowerShell: IIS and the registry would be the wrong ones"
            )
        self._started = self._used = self._clock()
        self._calls = 0

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

    def _call_batch(self, call: HostCall, deadline: float) -> Frame:
        if self._batch_calls >= self._limits.batch_calls:
            self._stop()  # a finished command counts until its shell is deleted (facts/winrm.md 3)
        if not self._wire.has_shell:
            self._open_shell()
        self._batch_calls += 1
        token = new_token()
        self._reader, self._token, self._seq = FrameReader(token), token, 1
        lines = script_line(token, powershell.script(), read_only=self._settings.read_only)
        lines += request_line(token, 1, call.payload(), call.revealed(), call.blob)
        try:
            self._wire.run(command_line(token))
            self._send(lines, end=True)
            answer = self._batch_answer(deadline)
        except (GoneError, LostError) as error:
            self._stop()
            if call.is_read:
                raise FailedError(f"{error} during {call.verb}") from None
            raise OutcomeUnknownError(f"{error} during {call.verb}: outcome unknown, run again") from None
        except BaseException:
            self._stop()
            raise
        self._wire.end_command()
        self._used = self._clock()
        return answer

    def _batch_answer(self, deadline: float) -> Frame:
        answer, seen = None, bytearray()
        while True:
            try:
                received = self._wire.receive(deadline - self._clock())
            except PendingError:
                if self._clock() >= deadline:
                    raise CallTimeoutError("the call took too long and was ended; run again") from None
                continue
            seen += received.stdout
            self._noise = (self._noise + received.stderr)[-NOISE:]
            for frame in self._feed(received.stdout):
                if frame.kind == "X":
                    raise cannot_run(frame.text)
                if frame.kind == "A":
                    answer = frame
            if received.done:
                if answer is None:
                    raise FailedError(self._obituary(received, bytes(seen)))
                return answer

    # -- both --

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
                    raise FailedError(str(error)) from None
                self._sleep(self._limits.quota_s if isinstance(error, QuotaError) else self._limits.pauses_s[0])
            else:
                return

    def _send(self, line: bytes, *, end: bool = False) -> None:
        if self._clock() - self._used > self._limits.idle_s:
            self._wire.drop()
        self._used = self._clock()
        at = 0
        while at < len(line):
            size = self._limits.pieces[self._piece]
            piece = line[at : at + size]
            try:
                self._wire.send(piece, end=end and at + size >= len(line))
            except TooLargeError as error:
                # It was refused before the shell saw it: the same piece again, smaller.
                if self._piece + 1 >= len(self._limits.pieces):
                    raise FailedError(
                        f"{self._settings.address}: {error}; MaxEnvelopeSizekb is below {size // 1000}"
                    ) from None
                self._piece += 1
                continue
            at += len(piece)

    def _receive(self, deadline: float) -> list[Frame]:
        received = self._wire.receive(deadline - self._clock())
        self._noise = (self._noise + received.stderr)[-NOISE:]
        frames = self._feed(received.stdout)
        if received.done and not any(frame.kind in "AX" for frame in frames):
            raise GoneError("the PowerShell process ended")
        return frames

    def _feed(self, data: bytes) -> list[Frame]:
        try:
            return self._reader.feed(data)
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
        age = self._clock() - self._started
        return self._running and (age > self._limits.age_s or self._calls >= self._limits.calls)

    def _stop(self, *, signal: bool = False) -> None:
        """Delete the shell, which ends what runs in it; `signal` ends the command first. Whatever state they are in."""
        if signal:
            self._wire.end_command()
        self._wire.close_shell()
        self._running = False
        self._calls = self._batch_calls = 0
        self._noise = b""

    def _obituary(self, received: Received, stdout: bytes) -> str:
        """Why PowerShell ended before it answered: the head of what it printed, for a person to read."""
        text = clixml_text(self._noise.decode("utf-8", "replace")) or stdout.decode("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if line.strip() and self._token not in line][:5]
        said = " | ".join(lines)[:500] or "it printed nothing"
        return f"{self._settings.address}: PowerShell ended with {received.exit_code} before it answered: {said}"


def command_line(token: str) -> str:
    """What starts the far end. Under the 8,191 characters of cmd.exe (facts/winrm.md 1)."""
    encoded = base64.b64encode(powershell.bootstrap(token).encode("utf-16-le")).decode("ascii")
    return f"{PROGRAM} {OPTIONS} {encoded}"


def clixml_text(text: str) -> str:
    """The messages in what PowerShell writes to a redirected stderr: CLIXML documents, with _x000D_ escapes; other text as it is."""
    if "#< CLIXML" not in text:
        return text
    found = re.findall(r'<S S="(?:Error|Warning)">(.*?)</S>', text, re.DOTALL)
    joined = "".join(found)
    joined = re.sub(r"_x([0-9A-Fa-f]{4})_", lambda match: chr(int(match[1], 16)), joined)
    return joined.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
