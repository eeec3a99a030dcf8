"""Which hosts of a group a step is for. Asking another host is here too; what is asked is the caller's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from pyinfra.api import Host
from pyinfra.context import ctx_host, inventory, state

T = TypeVar("T")
CHOSEN: Final = "chosen"


def first_active(group: str) -> Host | None:
    """
    The one host of a group that works for all of them: the first, in the order of the inventory, that is connected and not failed.

    Chosen once a run, so that read, write and read-back go to the same one. None where the group has no such host (``--limit``, all failed).
    """
    hosts = inventory.get_group(group, default=[])
    for host in hosts:
        if host.connector_data.get(CHOSEN) == group:
            return host
    for host in hosts:
        if host in state.active_hosts:
            host.connector_data[CHOSEN] = group
            return host
    return None


def on(other: Host, action: Callable[[], T]) -> T:
    """Run `action` as if for another host: facts that it reads are that host's, by that host's connection and data."""
    with ctx_host.use(other):
        return action()


def failed_in(*groups: str) -> list[str]:
    """Names of the hosts of these groups that failed in this run, or could not be reached. One that ``--limit`` leaves out has not failed."""
    return sorted(
        {host.name for group in groups for host in inventory.get_group(group, default=[]) if host in state.failed_hosts}
    )
