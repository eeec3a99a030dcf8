"""What a Windows host answers about itself, its services and its products, as read. No I/O; how it compares is in plans/windows.py."""

from __future__ import annotations

import ntpath
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

State: TypeAlias = Literal[
    "stopped", "start-pending", "stop-pending", "running", "continue-pending", "pause-pending", "paused"
]
Start: TypeAlias = Literal["automatic", "manual", "disabled", "boot", "system"]


@dataclass(frozen=True)
class Dependent:
    """A service that needs another one, and its state."""

    service: str
    state: State


@dataclass(frozen=True)
class Service:
    """
    A Windows service (docs/verbs.md, Get-ServiceState). Times are UTC texts of fixed width, so they compare as texts.

    `pid` and `started_utc` are None where its process cannot be told; `dependents` are nearest first.
    """

    found: bool
    service: str
    display_name: str | None = None
    state: State | None = None
    start: Start | None = None
    path: str | None = None
    program: str | None = None
    account: str | None = None
    pid: int | None = None
    started_utc: str | None = None
    depends_on: tuple[str, ...] = ()
    dependents: tuple[Dependent, ...] = ()

    @property
    def folder(self) -> str:
        """The folder of its program, without a backslash at the end; "" where there is none."""
        return ntpath.dirname(self.program or "")

    def to_json(self) -> dict[str, Any]:
        """For `pyinfra ... fact`."""
        return asdict(self)


@dataclass(frozen=True)
class Product:
    """One entry of the installed programs with its version text."""

    product: str
    version: str
    publisher: str
    key: str
    view: Literal["64", "32"]


@dataclass(frozen=True)
class Products:
    """Every entry of one name; none where it is not installed."""

    products: tuple[Product, ...]

    def to_json(self) -> list[dict[str, Any]]:
        """For `pyinfra ... fact`."""
        return [asdict(product) for product in self.products]
