"""
The far end as the controller sees it: how it is started, what it says of itself, what a dying one leaves. No I/O.

Lines are frames.py's, when what is sent is session.py's.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any, Final

import powershell
from connectors.call import Answer
from connectors.errors import FailedError, VerbError
from connectors.frames import Frame, FrameError, error_of
from connectors.settings import WinrmSettings

PROGRAM: Final = r"%SystemRoot%\System32\WindowsPowerShell\v1.0\powershell.exe"
OPTIONS: Final = "-NoLogo -NoProfile -NonInteractive -ExecutionPolicy Bypass -EncodedCommand"
OLDEST: Final = (5, 1)
SHOWN_LINES: Final = 5
SHOWN: Final = 500  # characters


def command_line(token: str) -> str:
    """What starts the far end. Under the 8,191 characters of cmd.exe (facts/winrm.md 1)."""
    encoded = base64.b64encode(powershell.bootstrap(token).encode("utf-16-le")).decode("ascii")
    return f"{PROGRAM} {OPTIONS} {encoded}"


def greet(hello: Any, script: str, settings: WinrmSettings) -> None:
    """Check the hello of docs/verbs.md. Raises FailedError for a PowerShell that cannot do the work, or that runs another script."""
    wanted = {"sha256": hashlib.sha256(script.encode("utf-8")).hexdigest(), "mode": mode_of(settings)}
    if not isinstance(hello, dict) or any(hello.get(name) != value for name, value in wanted.items()):
        raise FailedError(f"{settings.address}: PowerShell runs another script than the one that was sent")
    version = str(hello.get("powershell"))
    numbers = re.match(r"(\d+)\.(\d+)", version, re.ASCII)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < OLDEST:
        raise FailedError(f"{settings.address} has PowerShell {version}, expected 5.1: install WMF 5.1 there")
    if hello.get("is64") is not True:
        raise FailedError(
            f"{settings.address} starts a 32-bit PowerShell: IIS and the registry would be the wrong ones"
        )


def mode_of(settings: WinrmSettings) -> str:
    """Mode of the script line."""
    return "read" if settings.read_only else "write"


def answer_of(frame: Frame, verb: str) -> Answer:
    """
    What a verb answered. An empty answer is an error, never "absent".

    Raises VerbError for an error that the verb answered, FailedError where the answer has another shape than docs/verbs.md says.
    """
    match frame.json:
        case {"ok": True, "result": dict() as result}:
            return Answer(result, frame.blob)
        case {"ok": False, "error": dict()}:
            try:
                error = error_of(frame.json)
            except FrameError as wrong:
                raise FailedError(f"{verb}: {wrong}") from None
            raise VerbError(error)
        case _:
            raise FailedError(f"{verb}: the far end's answer has another shape than docs/verbs.md says")


def obituary(code: int | None, stdout: bytes, stderr: bytes, token: str) -> str:
    """How PowerShell ended without an answer: the head of what it printed, for a person to read."""
    text = clixml_text(stderr.decode("utf-8", "replace")) or stdout.decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip() and token not in line][:SHOWN_LINES]
    said = " | ".join(lines)[:SHOWN].rstrip(".") or "it printed nothing"
    return f"PowerShell ended with {code} before it answered: {said}"


def clixml_text(text: str) -> str:
    """The messages in what PowerShell writes to a redirected stderr: CLIXML documents, with _x000D_ escapes; other text as it is."""
    if "#< CLIXML" not in text:
        return text
    joined = "".join(re.findall(r'<S S="(?:Error|Warning)">(.*?)</S>', text, re.DOTALL))
    joined = joined.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
    return re.sub(r"_x([0-9A-Fa-f]{4})_", lambda match: chr(int(match[1], 16)), joined)
