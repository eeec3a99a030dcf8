"""The access log of a lab, `http.log`: one line an HTTP request. Writing it, and counting what is in it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TypeAlias

FILE: Final = "http.log"

Scheme: TypeAlias = Literal["http", "https"]


class AccessLog:
    """Appends to the log of the lab in `root`; several threads may."""

    def __init__(self, root: Path) -> None:
        self._path = root / FILE
        self._lock = threading.Lock()

    def write(self, host: str, scheme: Scheme, status: int, action: str, taken: int, given: int) -> None:
        """
        One line: time, host, scheme, status, action, bytes in, bytes out. It is in the file when this returns.

        + status: 0 where the connection was dropped instead of answered
        + action: `Create`, `Send` ..., or `-` where nothing was asked of a shell
        """
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = f"{stamp} {host} {scheme} {status or 'dropped'} {action} {taken} {given}\n"
        with self._lock, self._path.open("a", encoding="ascii") as file:
            file.write(line)


def count_requests(root: Path, since: int = 0) -> tuple[dict[str, int], int]:
    """
    HTTP requests that each host of the lab in `root` got, those answered with 401 too.

    + since: a place in the log that an earlier call returned

    Returns the counts by host, and the place where the log ends now.
    """
    path, counts = root / FILE, dict[str, int]()
    if not path.exists():
        return counts, 0
    with path.open("rb") as file:
        file.seek(since)
        for line in file:
            if line.endswith(b"\n"):
                host = line.split(b" ")[1].decode("ascii")
                counts[host] = counts.get(host, 0) + 1
                since += len(line)
    return counts, since
