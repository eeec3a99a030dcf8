"""
The rhythm of every operation, once: read, plan, announce, guarded writes, read back.

An operation is what to read, how to compare, what to write, and its documentation. Comparing itself is in plans/.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Final, TypeVar

from pyinfra import logger
from pyinfra.api import Host, StringCommand
from pyinfra.api.output import format_text
from pyinfra.context import ctx_host, host, state

from connectors.call import HostCall, Refuse
from facts.base import Unread
from model.change import Change, PlanError

T = TypeVar("T")
ANNOUNCED: Final = (
    "announced"  # keys of pyinfra's free dict of a host; thing to the words it was shown in, the last one last
)
WRITTEN: Final = "written"  # the same
TOUCHED: Final = "touched"  # with those that would be taken away; thing to whether that depends on an `_if`
PLAN: Final = "plan"
REFUSED: Final = "refused"  # why a host was, in prepare
IF: Final = (
    "an operation before this one makes it if its _if holds: that is not known in a dry run, and not counted there"
)
BEFORE: Final = (
    "an operation before this one changes it, too: that is not counted in a dry run. Make the two one operation"
)
OVERLAP: Final = "an operation before this one changes it, too: what this one does after that is not known in a dry run. Make the two one operation"


class ParentMissingError(PlanError):
    """
    A plan for a thing in a parent that is not there.

    `parent` is the id of the thing that is missing, `changes` what would be done in it once it exists. The dry run shows them only if an earlier
    operation of this run announced that parent on this host; else, and while executing, the text refuses.
    """

    def __init__(self, text: str, parent: str, changes: Sequence[Change] = ()) -> None:
        super().__init__(text)
        self.parent, self.changes = parent, tuple(changes)


def converge(
    what: str,
    *,
    read: Callable[[], T | Unread],
    plan: Callable[[T], Sequence[Change]],
    write: Callable[[T, Sequence[Change]], Sequence[HostCall]],
    thing: str = "",
    removes: bool = False,
    ahead: bool = False,
    same: Callable[[T], str] | None = None,
    noop: str | Callable[[T], str] = "",
) -> Generator[StringCommand, None, None]:
    """
    Take one thing to its wanted state.

    + what: the thing in the user's words, first in every line: ``authentication of MIM MFASDK/``
    + read: gives the current state; called again after the writes, which are then compared once more
    + plan: current state to changes, ``()`` where nothing differs; raises PlanError to refuse this host
    + write: the guarded calls that make the changes, in order; the first that fails is the last. Only built here, sent by pyinfra
    + thing: id of the thing for later operations (``site:MIM MFASDK``), the same for every spelling of its name; see `announced` and `written`
    + removes: whether the thing is taken away: then it is neither announced nor written for them
    + ahead: whether `read` gives in a dry run what operations before this one would make of the thing; else the dry run says that it does not
    + same: id of the thing by its current state, where one thing has several names that only the host can tell are of one; default `thing`
    + noop: said where nothing differs (with -v), or what makes it of the current state; default ``... is as wanted``
    """
    if halted():
        return
    if host.current_op_global_arguments and host.current_op_global_arguments.get("_continue_on_error"):
        yield from refuse(
            f"{what}: _continue_on_error would send the next write although the one before failed: leave it out"
        )
        return
    spot = thing
    # ValueError, PlanError among them: what cannot be asked, wanted or sent fails this host, an exception would end the run of all.
    try:
        now = read()
        if isinstance(now, Unread):
            yield from unread(what)
            return
        if same is not None:
            spot = same(now)
        changes = tuple(plan(now))
        calls = tuple(write(now, changes)) if changes else ()
    except ParentMissingError as missing:
        yield from _in_parent(what, missing, thing, spot)
        return
    except ValueError as error:
        yield from refuse(f"{what}: {error}{f' ({BEFORE})' if _touched(spot, ahead=ahead) else ''}")
        return
    if not changes:
        host.noop((noop(now) if callable(noop) else noop) or f"{what} is as wanted")
        _overlap(what, spot, ahead=ahead)
        return
    announce(what, changes, thing, removes=removes)
    _overlap(what, spot, ahead=ahead, changes=True)
    # A dry run stops at the first yield, so everything that is shown stands above it.
    yield from calls
    # Known from here on, although what was written may yet be read back otherwise: who acts on it must act in this run.
    if not removes:
        _note(WRITTEN, thing, what)
    after = read()
    if isinstance(after, Unread):
        yield Refuse(f"{what}: written, but could not be read back; run again")
        return
    try:
        left = tuple(plan(after))
    except PlanError as error:
        yield Refuse(f"{what}: written, but read back: {error}")
        return
    if left:
        yield Refuse(f"{what}: written, but read back with " + "; ".join(map(str, left)))


def _in_parent(what: str, missing: ParentMissingError, thing: str, spot: str) -> Generator[StringCommand, None, None]:
    """What would be done in a parent that an earlier operation announced; else it is refused."""
    if state.is_executing or not announced(missing.parent):
        yield from refuse(f"{what}: {missing}{f' ({IF})' if uncounted(missing.parent) else ''}")
        return
    announce(what, missing.changes, thing, after=host.connector_data[ANNOUNCED][missing.parent])
    _overlap(what, spot, changes=True)
    yield Refuse(f"{what}: {missing}")  # prepare stops here; nothing of this is ever sent


def _overlap(what: str, spot: str, *, ahead: bool = False, changes: bool = False) -> None:
    """In prepare: say where an operation before this one changes the same thing, since this one was planned on what is there now."""
    if state.is_executing or not spot:
        return
    if _touched(spot, ahead=ahead):
        host.log(f"{what}: {OVERLAP}")
    if changes:
        touched = host.connector_data.setdefault(TOUCHED, {})
        touched[spot] = touched.get(spot, False) or not counted()


def _touched(spot: str, *, ahead: bool = False) -> bool:
    """In prepare: whether an operation before this one changes the thing, and this one was not planned on that."""
    return uncounted(spot) if ahead else not state.is_executing and spot in host.connector_data.get(TOUCHED, {})


def counted() -> bool:
    """In prepare: whether operations to come may plan on what this one would do. Not where pyinfra asks its `_if` only when it runs."""
    given: Mapping[str, Any] = host.current_op_global_arguments or {}
    return not state.is_executing and not given.get("_if")


def uncounted(thing: str) -> bool:
    """In prepare: whether an operation before this one changes the thing if its `_if` holds, of which nobody knows."""
    return not state.is_executing and bool(host.connector_data.get(TOUCHED, {}).get(thing))


def require(
    what: str, *, read: Callable[[], T | Unread], check: Callable[[T], str]
) -> Generator[StringCommand, None, None]:
    """
    Demand something of a host that no operation makes: it fails here where that does not hold, in the dry run too. Changes nothing, ever.

    + what: what is read, in the user's words, said where it cannot be
    + read: gives the current state
    + check: current state to what is said where it holds (with -v); raises PlanError where it does not
    """
    if halted():
        return
    try:
        now = read()
        if isinstance(now, Unread):
            yield from unread(what)
            return
        holds = check(now)
    except ValueError as error:  # PlanError among them, as in `converge`
        yield from refuse(str(error))
        return
    host.noop(holds)


def announced(thing: str, on: Host | None = None) -> bool:
    """Whether an earlier operation of this run said in prepare that it would make or change this thing, on this host or on `on`."""
    return thing in (on or host).connector_data.get(ANNOUNCED, {})


def written(thing: str, on: Host | None = None) -> bool:
    """Whether this run has changed the thing, on this host or on `on`."""
    return thing in (on or host).connector_data.get(WRITTEN, {})


def service_id(service: str) -> str:
    """The id of a service for `announced` and `written`."""
    return f"service:{service.casefold()}"


def renewed(thing: str, after: str) -> bool:
    """Whether this run has changed the thing, in prepare would change it, and `after` not since then."""
    things = list(host.connector_data.get(WRITTEN if state.is_executing else ANNOUNCED, {}))
    return thing in things and (after not in things or things.index(after) < things.index(thing))


def _note(key: str, thing: str, what: str) -> None:
    things: dict[str, str] = host.connector_data.setdefault(key, {})
    things.pop(thing, None)
    things[thing] = what


def announce(what: str, changes: Sequence[Change], thing: str = "", after: str = "", *, removes: bool = False) -> None:
    """
    Show what would change, once a run: what prepare showed is not shown again. Counts always; property by property with --diff or -v.

    + after: the thing that has to be made first, in the words in which it was announced
    + removes: as in `converge`
    """
    plan = host.connector_data.setdefault(PLAN, {}).setdefault(host.current_op_hash, {})
    told, plan[what] = plan.get(what), tuple(changes)
    condition = ""
    if not state.is_executing:
        if not counted():
            condition = ", if its _if holds"
        elif not removes:
            _note(ANNOUNCED, thing, what)
    elif told == plan[what]:
        return  # shown in prepare; with -y there was no prepare, and it is shown now
    count = f"{len(changes)} change" + ("" if len(changes) == 1 else "s")
    lines = [f"{f'{after} would be created, then: ' if after else ''}{what}: {count}{condition}"]
    if state.config.DIFF or state.print_noop_info:
        for change in changes:
            before, after = change.shown()
            lines.append(f"        {change.property}: {format_text(before, 'red')} -> {format_text(after, 'green')}")
    # pyinfra's formatter takes a text with this arrow for a headline.
    host.log("\n".join(lines).replace("-->", "--\u200b>"))


def halted() -> bool:
    """Whether an earlier step refused this host in prepare: what follows would plan on sand, and stays silent."""
    return not state.is_executing and host in state.failed_hosts


def unread(what: str) -> Generator[StringCommand, None, None]:
    """What could not be read is not written. In prepare pyinfra has failed the host already; executing it would go on (facts/pyinfra.md 0.1)."""
    if state.is_executing:
        yield Refuse(f"{what} could not be read, nothing was written")


def refuse(reason: str) -> Generator[StringCommand, None, None]:
    """Fail this host alone: a refused command while executing, else (nothing may be yielded in prepare) a logged line and a failed host."""
    if state.is_executing:
        yield Refuse(reason)
        return
    if not counted():  # whether it runs at all is not known
        logger.warning("%s%s, if its _if holds", host.print_prefix, reason.replace("-->", "--\u200b>"))
        return
    host.connector_data[REFUSED] = reason
    logger.error("%s%s", host.print_prefix, format_text(reason.replace("-->", "--\u200b>"), "red"))
    # The last host ends the run with "No hosts remaining!", exit code 1: that is right.
    # By ctx_host: pyinfra's `host` in a set is another host whenever another one is looked at.
    state.fail_hosts({ctx_host.get()})


def refused() -> str:
    """Why this host was refused in prepare, "" where it was not."""
    reason: str = host.connector_data.get(REFUSED, "")
    return reason
