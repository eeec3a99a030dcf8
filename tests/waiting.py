"""Waiting in tests: for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_for(true: Callable[[], object], what: str, timeout_s: float = 10.0) -> None:
    """Wait until `true` returns something true; fails with `what` and with what it returned last."""
    deadline = time.monotonic() + timeout_s
    while not (seen := true()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:g} s for {what}, saw {seen!r}")
        time.sleep(0.002)
