"""
The order of a deploy across its hosts.

pyinfra orders operations by each host's own sequence alone: what is on line 60 for one host may run before line 30 of another
(`State.get_op_order`). A section that every host passes holds the two apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, MutableMapping, Sequence
from typing import Final
from weakref import WeakKeyDictionary

import gevent
from pyinfra import logger
from pyinfra.api import Host, Inventory, StringCommand, operation
from pyinfra.context import ctx_host, host, state

from connectors.call import Refuse
from operations.converge import halted, refuse

PASSED: Final = "sections passed"  # key of pyinfra's free dict of a host
TURNS: Final = "turns come to"  # the same, in prepare: how many of each server, after the same ones
LOOK_S: Final = 0.02
WAITING: Final[MutableMapping[Inventory, dict[str, Callable[[], list[str]]]]] = WeakKeyDictionary()


@operation()
def section(*, unless: Callable[[], str] | None = None) -> Generator[StringCommand, None, None]:
    """
    Begin a part of a deploy: what stands above it is done on all hosts before anything below it begins. Changes nothing, asks no host.

    + unless: called on each host when the part begins, in the dry run too; a reason not to begin it there, which fails that host, or "".
      A dry run reads all hosts side by side: there it is called when all have come so far

    Call it for every host, outside of any condition; its ``name`` is a headline of the run. ``--no-wait`` and ``--serial`` let hosts overtake each
    other: refused while executing.

    **Example:**

    .. code:: python

        section(name="Configuring the MIM Service")
    """
    if not state.is_executing:
        host.connector_data[PASSED] = _passed(host) + 1
        if unless is not None:
            mine = ctx_host.get()
            _gather(lambda: _behind(mine))
    if halted():
        return
    if state.is_executing and (behind := _overtaken()):
        yield Refuse(
            f"{behind} has not done yet what stands above: this deploy needs its order, run it without --no-wait and --serial"
        )
        return
    if unless is not None and (reason := unless()):
        yield from refuse(reason)
        return
    host.noop("nothing to do here: a headline")


def _passed(other: Host) -> int:
    """How many sections a host has come to in prepare. Those of a deploy are the same for all hosts."""
    passed: int = other.connector_data.get(PASSED, 0)
    return passed


def _gather(late: Callable[[], list[str]]) -> None:
    """
    In prepare: wait until no host is late for this, so that what was refused before it is known here.

    pyinfra prepares each host in a greenlet of its pool. Where nobody is left who could still come (`--parallel` has no room for the others, or
    a deploy calls a section for some hosts only) there is nothing to wait for; nor with the API, which takes one host after the other.

    + late: the hosts that this one waits for. Whoever waits asks that of all who wait: one of them may be free to go on and only asleep
    """
    if not any(greenlet is gevent.getcurrent() for greenlet in state.pool):
        return
    waiting = WAITING.setdefault(state.inventory, {})
    waiting[host.name] = late
    try:
        while (behind := late()) and (len(waiting) < len(state.pool) or not all(one() for one in waiting.values())):
            gevent.sleep(LOOK_S)
    finally:
        del waiting[host.name]
    if behind:
        logger.warning(
            "%sprepared before %s: what is refused there is not known here. Give --parallel at least the number of hosts",
            host.print_prefix,
            ", ".join(behind),
        )


def _behind(one: Host) -> list[str]:
    """Active hosts that have not come as far in prepare as this one."""
    return sorted(other.name for other in state.inventory.get_active_hosts() if _passed(other) < _passed(one))


def _not_at(spot: tuple[str, ...], times: int) -> list[str]:
    """Active ones of the hosts before a server that have not come so many times to its turn in prepare."""
    active = (other for other in state.inventory.get_active_hosts() if other.name in spot[1:])
    return sorted(other.name for other in active if other.connector_data.get(TURNS, Counter())[spot] < times)


def _overtaken() -> str:
    """A host that still has operations of its own to do before it comes to this one, "" where there is none."""
    for other in state.inventory.get_active_hosts():
        order = other.op_hash_order
        if host.current_op_hash not in order:
            continue
        before = order[: order.index(host.current_op_hash)]
        if not all(state.get_op_data_for_host(other, op).operation_meta.is_complete() for op in before):
            return str(other.name)
    return ""


@operation()
def turn(server: str, *, unless: Callable[[], str], after: Sequence[str] = ()) -> Generator[StringCommand, None, None]:
    """
    In a loop over servers that go one after the other: the turn of the next one. What follows for it begins when the one before is done.

    + server: name of the host whose turn it is
    + unless: called when it is its turn, in the dry run too; a reason to leave it alone, which fails it, or ""
    + after: names of the servers before it. A dry run reads all hosts side by side: there it is called when these have come so far

    pyinfra's ``_serial`` holds one operation back, not what follows it, and its order of hosts is not the inventory's. Call this in ``host.loop``,
    on all the servers, in each turn but the first.

    **Example:**

    .. code:: python

        for server in host.loop(servers):
            if before := names[: names.index(server.name)]:
                turn(name="The next MIM server", server=server.name, after=before, unless=partial(stopped_by, "FIMService", before))
            if server.name == host.name:
                ...
    """
    if not state.is_executing:
        turns = host.connector_data.setdefault(TURNS, Counter())
        spot = (server, *after)
        turns[spot] += 1  # of this loop, after those of loops before it over the same servers
        if host.name == server:
            _gather(lambda: _not_at(spot, turns[spot]))
    if halted():
        return
    if host.name == server and (reason := unless()):
        yield from refuse(reason)
        return
    host.noop(f"{server} is next")
