"""Services, restarts and builds: what must change, in which order, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.change import Change, PlanError
from model.windows import Dependent, Product, Products, Service, State
from plans.windows import (
    Step,
    down_now,
    folder_said,
    left_stopped,
    older_than,
    plan_service,
    refuse_disabled,
    require_build,
    steps,
    still_down,
    undo,
    version,
)

RUNS = Service(
    found=True,
    service="FIMService",
    state="running",
    start="automatic",
    pid=4,
    started_utc="2026-11-25T08:00:00.0000000Z",
)
STOPPED = replace(RUNS, state="stopped", pid=None, started_utc=None)
WITH_DEPENDENTS = replace(
    RUNS, dependents=(Dependent("near", "running"), Dependent("idle", "stopped"), Dependent("far", "running"))
)


def test_a_service_in_its_state_is_left_alone() -> None:
    assert plan_service(RUNS, running=True) == ()
    assert plan_service(STOPPED, running=False) == ()


def test_a_program_without_a_folder_is_refused_and_one_with_it_is_said() -> None:
    assert folder_said(replace(RUNS, program=r"C:\MIM\Service\x.exe"), "FIMService") == (
        r"service FIMService runs from C:\MIM\Service"
    )
    assert folder_said(Service(found=False, service="FIMService"), "FIMService") == "there is no service FIMService"
    for program, names in ((None, "no program"), ("x.exe", "the program 'x.exe'")):
        with pytest.raises(PlanError) as error:
            folder_said(replace(RUNS, program=program), "FIMService")
        assert str(error.value) == (
            f"service FIMService: its ImagePath names {names}, expected a full path: "
            "what lies beside it cannot be found. Repair the service, run again"
        )


def test_a_stopped_service_is_started_and_a_running_one_stopped() -> None:
    start = plan_service(STOPPED, running=True)
    assert start == (Change("state", "stopped", "running"),)
    assert steps(STOPPED, start) == (Step("FIMService", "running", "stopped"),)
    stop = plan_service(RUNS, running=False)
    assert stop == (Change("state", "running", "stopped"),)
    assert steps(RUNS, stop) == (Step("FIMService", "stopped", "running"),)


def test_a_restart_stops_the_farthest_dependent_first_and_starts_only_what_ran() -> None:
    changes = plan_service(WITH_DEPENDENTS, running=True, restart="asked for")
    assert changes == (
        Change("process", "started 2026-11-25T08:00:00.0000000Z", "restarted: asked for"),
        Change("dependent near", "running", "stopped, then started again"),
        Change("dependent far", "running", "stopped, then started again"),
    )
    assert steps(WITH_DEPENDENTS, changes) == (
        Step("far", "stopped", "running"),
        Step("near", "stopped", "running"),
        Step("FIMService", "stopped", "running"),
        Step("FIMService", "running", "stopped"),
        Step("near", "running", "stopped"),
        Step("far", "running", "stopped"),
    )


def test_a_stop_names_its_dependents_and_leaves_them_stopped() -> None:
    changes = plan_service(WITH_DEPENDENTS, running=False)
    assert changes[1:] == (
        Change("dependent near", "running", "stopped"),
        Change("dependent far", "running", "stopped"),
    )
    assert [step.service for step in steps(WITH_DEPENDENTS, changes)] == ["far", "near", "FIMService"]


def test_a_reason_to_restart_has_no_effect_on_a_stopped_service_but_to_start_it() -> None:
    assert plan_service(STOPPED, running=True, restart="asked for") == (Change("state", "stopped", "running"),)
    assert plan_service(STOPPED, running=False, restart="asked for") == ()


REFUSED = {
    "absent": (Service(found=False, service="X"), "there is no service 'X'"),
    "between states": (replace(RUNS, state="stop-pending"), "it is stop-pending"),
    "disabled": (replace(STOPPED, start="disabled"), "it is disabled"),
}


@pytest.mark.parametrize(("service", "text"), REFUSED.values(), ids=REFUSED)
def test_a_service_that_cannot_be_planned_is_refused_by_name(service: Service, text: str) -> None:
    with pytest.raises(PlanError, match=text):
        plan_service(service, running=True)


def test_a_process_older_than_the_file_must_restart_and_a_younger_one_need_not() -> None:
    assert older_than(RUNS, "f", "2026-11-25T08:00:00.0000001Z") == "f was written at 2026-11-25T08:00:00.0000001Z"
    assert older_than(RUNS, "f", "2026-11-25T08:00:00.0000000Z") == ""
    assert older_than(RUNS, "f", None) == ""
    assert older_than(STOPPED, "f", "2026-11-25T09:00:00.0000000Z") == ""


def test_a_process_whose_start_cannot_be_told_is_an_error_not_a_guess() -> None:
    with pytest.raises(PlanError, match="cannot be told"):
        older_than(replace(RUNS, started_utc=None), "f", "2026-11-25T09:00:00.0000000Z")


def product(*builds: str) -> Products:
    return Products(tuple(Product("MIM", build, "Microsoft", "k", "64") for build in builds))


def test_builds_are_compared_as_numbers() -> None:
    assert require_build(product("4.5.202.0"), "MIM", "4.5.202.0", {}) == "4.5.202.0"
    assert require_build(product("4.6.34"), "MIM", "4.5.202.0", {}) == "4.6.34"
    with pytest.raises(
        PlanError,
        match=r"MIM is build 4\.5\.26\.0, at least 4\.5\.202\.0 is needed: install KB4346632\. Nothing was written",
    ):
        require_build(product("4.5.26.0"), "MIM", "4.5.202.0", {"4.5.202.0": "KB4346632"})


def test_no_build_two_builds_and_no_numbers_are_refused() -> None:
    for products, text in (
        (product(), "not installed"),
        (product("4.5.202.0", "4.6.34.0"), "more than once"),
        (product("4.x"), "no build"),
    ):
        with pytest.raises(PlanError, match=text):
            require_build(products, "MIM", "4.5.202.0", {})


numbers = st.lists(st.integers(0, 999_999_999), min_size=2, max_size=4)


@given(numbers, numbers)
def test_versions_order_as_their_numbers_do(left: list[int], right: list[int]) -> None:
    def padded(parts: list[int]) -> list[int]:
        return parts + [0] * (4 - len(parts))

    text_left, text_right = ".".join(map(str, left)), ".".join(map(str, right))
    assert (version(text_left) < version(text_right)) == (padded(left) < padded(right))


def test_after_a_failed_step_the_dependents_that_were_stopped_come_back_nearest_first() -> None:
    wanted = steps(WITH_DEPENDENTS, plan_service(WITH_DEPENDENTS, running=True, restart="asked for"))
    back = {
        number: tuple(step.service for step in undo("FIMService", wanted[:number], wanted[number]))
        for number in range(len(wanted))
    }
    assert back == {0: (), 1: ("far",), 2: ("near", "far"), 3: (), 4: ("far",), 5: ()}
    assert [still_down(wanted[:number]) for number in (3, 6)] == [["far", "near", "FIMService"], []]


NOT_UP = "this run stopped it, and it did not come up. Mend the reason and"
AFTER_OUR_STOP = {
    "stopped": f"service X is stopped now: {NOT_UP} run again, which starts it, or start it by hand",
    "start-pending": f"service X is start-pending now: {NOT_UP} run again when it runs or is stopped",
    "running": "service X runs now all the same: run again",
    None: "service X was stopped by this run and did not come up, and what it is now could not be read: look there, and run again",
}


def test_what_our_stop_left_behind_is_said_as_it_is_now() -> None:
    assert {state: down_now("X", state) for state in AFTER_OUR_STOP} == AFTER_OUR_STOP


@pytest.mark.parametrize(
    ("state", "todo"), [("paused", "resume or stop it"), ("start-pending", "wait until it runs or is stopped")]
)
def test_a_service_between_two_states_is_refused_with_what_ends_that(state: State, todo: str) -> None:
    with pytest.raises(PlanError) as refused:
        plan_service(replace(RUNS, state=state), running=True, restart="asked for")
    assert str(refused.value) == f"it is {state}: {todo}, and run again"


def test_dependents_that_could_not_be_put_back_are_refused_and_those_left_stopped_are_told() -> None:
    paused = replace(RUNS, dependents=(Dependent("near", "paused"),))
    with pytest.raises(PlanError, match="near is paused"):
        plan_service(paused, running=True, restart="asked for")
    assert plan_service(paused, running=True) == ()
    disabled, stopped = replace(RUNS, service="near", start="disabled"), replace(STOPPED, service="far")
    with pytest.raises(PlanError, match="near depends on service FIMService, runs, and is disabled"):
        refuse_disabled(RUNS, [disabled])
    refuse_disabled(RUNS, [stopped, replace(disabled, state="stopped")])
    assert left_stopped([stopped, replace(stopped, start="manual"), RUNS]) == ("far",)
