"""A host of the lab as pyinfra has it: state, host and connector, connected, in whatever stage a test needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyinfra.api import Config, Host, Inventory, State
from pyinfra.api.connect import connect_all, disconnect_all
from pyinfra.api.state import StateStage

from connectors.winrm import WinrmConnector
from tests.connector_lab import NAME


def unconnected(data: dict[str, Any], name: str = NAME) -> tuple[State, Host, WinrmConnector]:
    """A host that pyinfra knows and has not reached yet."""
    state = State(Inventory(([(f"@winrm/{name}", data)], {})), Config())
    host: Host = next(iter(state.inventory))
    connector = host.connector
    assert isinstance(connector, WinrmConnector)
    return state, host, connector


@contextmanager
def connected(data: dict[str, Any], *, executing: bool = True) -> Iterator[tuple[State, WinrmConnector]]:
    """A connected host, while the context is open."""
    state, host, connector = unconnected(data)
    state.set_stage(StateStage.Connect)
    connect_all(state)
    assert host in state.active_hosts
    state.set_stage(StateStage.Prepare)
    if executing:
        state.set_stage(StateStage.Execute)
        state.is_executing = True
    try:
        yield state, connector
    finally:
        disconnect_all(state)
