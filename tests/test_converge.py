"""What converge does after its writes: what is read back is compared once more, and nothing that is not as wanted passes for done."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, Final

import pytest
from pyinfra.api import StringCommand, operation

from connectors.call import HostCall
from facts.base import UNREAD, Unread
from model.change import Change, PlanError
from operations.converge import BEFORE, OVERLAP, converge
from tests.lab_machine import no_seed
from tests.oplab import OpLab, Run

FOLDER: Final = r"C:\thing"
SHOWN: Final = ("thing: 1 change\n        colour: red -> blue",)


def plan(now: str) -> tuple[Change, ...]:
    """Blue is wanted; black cannot be told."""
    if now == "black":
        raise PlanError("is black, which nobody can paint")
    return () if now == "blue" else (Change("colour", now, "blue"),)


def painted(seen: Sequence[str | Unread]) -> Callable[..., Any]:
    """An operation that sees these one after the other, and writes something harmless in between."""
    left = iter(seen)

    @operation()
    def paint() -> Generator[StringCommand, None, None]:
        yield from converge(
            "thing",
            read=lambda: next(left),
            plan=plan,
            write=lambda _now, _changes: [HostCall("New-Folder", path=FOLDER)],
        )

    made: Callable[..., Any] = paint
    return made


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpLab]:
    with OpLab(tmp_path_factory.mktemp("converge"), "python", "mim01", seed=no_seed) as running:
        yield running


def test_what_is_read_back_as_wanted_is_done(lab: OpLab) -> None:
    assert lab.run(painted(["red", "red", "blue"])) == Run(SHOWN, ("New-Folder",))


@pytest.mark.parametrize(
    ("after", "text"),
    [
        ("green", "thing: written, but read back with colour: green -> blue"),
        ("black", "thing: written, but read back: is black, which nobody can paint"),
        (UNREAD, "thing: written, but could not be read back; run again"),
    ],
    ids=["another value", "what cannot be planned", "nothing"],
)
def test_what_is_read_back_otherwise_fails_the_host_and_says_what_differs(
    lab: OpLab, after: str | Unread, text: str
) -> None:
    assert lab.run(painted(["red", "red", after])) == Run((*SHOWN, text), ("New-Folder",), failed=True)


def test_an_operation_that_would_go_on_after_a_failed_write_is_refused(lab: OpLab) -> None:
    text = "thing: _continue_on_error would send the next write although the one before failed: leave it out"
    run = lab.run(painted(["red", "red", "blue"]), _continue_on_error=True)
    assert run == Run((text,), (), failed=True)


def test_a_dry_run_says_of_a_second_operation_on_one_thing_that_it_was_planned_on_what_is_there_now(lab: OpLab) -> None:
    @operation()
    def want(colour: str) -> Generator[StringCommand, None, None]:
        yield from converge(
            "thing",
            read=lambda: "red",
            plan=lambda now: () if now == colour else (Change("colour", now, colour),),
            write=lambda _now, _changes: [HostCall("New-Folder", path=FOLDER)],
            thing="thing",
        )

    steps = [(want, {"colour": colour}) for colour in ("red", "blue", "red", "green")]
    said = f"thing: {OVERLAP}"
    green = "thing: 1 change\n        colour: red -> green"
    assert lab.deploy(*steps, dry=True) == Run((*SHOWN, said, green, said))


def test_a_refusal_that_an_operation_before_may_have_made_needless_says_so_in_the_dry_run(lab: OpLab) -> None:
    def plan(_now: str) -> tuple[Change, ...]:
        raise PlanError("is red")

    @operation()
    def want(*, right: bool) -> Generator[StringCommand, None, None]:
        yield from converge(
            "thing",
            read=lambda: "red",
            plan=(lambda now: (Change("colour", now, "blue"),)) if right else plan,
            write=lambda _now, _changes: [HostCall("New-Folder", path=FOLDER)],
            same=lambda now: f"the {now} thing",
        )

    assert lab.deploy((want, {"right": False}), dry=True) == Run(("thing: is red",), failed=True)
    steps = [(want, {"right": right}) for right in (True, False)]
    assert lab.deploy(*steps, dry=True) == Run((*SHOWN, f"thing: is red ({BEFORE})"), failed=True)


@pytest.mark.parametrize("holds", [False, True])
def test_a_refusal_that_hangs_on_a_condition_is_said_in_the_dry_run_and_fails_where_it_holds(
    lab: OpLab, holds: bool
) -> None:
    def plan(_now: str) -> tuple[Change, ...]:
        raise PlanError("is red")

    @operation()
    def want() -> Generator[StringCommand, None, None]:
        yield from converge("thing", read=lambda: "red", plan=plan, write=lambda _now, _changes: [])

    step = (want, {"_if": lambda: holds})
    assert lab.deploy(step, dry=True) == Run(("thing: is red, if its _if holds",))
    assert lab.deploy(step) == Run(("thing: is red, if its _if holds", *["thing: is red"] * holds), failed=holds)
