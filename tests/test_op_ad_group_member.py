r"""
ad_group_member on the lab: dry, applied, again, spelled otherwise, refused, taken back.

How a member is found and what a group may hold is tests/test_lab_directory.py's and tests/test_plans_ad.py's.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

from facts.ad import AdGroupMember
from lab.seed import BASE_DN
from operations.ad import ad_group, ad_group_member
from operations.converge import IF, OVERLAP
from tests.oplab import OpLab, Run, Step, directory_edit, fixtures, told

pytestmark = pytest.mark.slow

GROUP: Final = "PhoneFactor Admins"
GROUP_DN: Final = f"CN={GROUP},CN=Users,{BASE_DN}"
MIM: Final = f"CN=mimservice,CN=Users,{BASE_DN}"
ANNA: Final = f"CN=Anna Müller,CN=Users,{BASE_DN}"
ACCOUNT: Final = r"CONTOSO\mimservice"
WANTED: Final[dict[str, Any]] = {"group": GROUP, "member": ACCOUNT}
WHAT: Final = f"{ACCOUNT} in group {GROUP}"
ADDED: Final = told(WHAT, f"member: (absent) -> {MIM}")


lab, quick = fixtures("dc01")


def members(lab: OpLab) -> set[str]:
    return {value.decode() for value in lab.machine().directory_values(GROUP_DN, "member")}


def test_an_account_joins_once_whatever_its_spelling_and_is_taken_back(lab: OpLab) -> None:
    start = lab.state()
    assert lab.run(ad_group_member, dry=True, **WANTED) == Run((ADDED,))
    assert lab.state() == start
    assert lab.run(ad_group_member, **WANTED) == Run((ADDED,), ("Edit-Directory",))
    assert members(lab) == {MIM}
    done = lab.state()
    found = lab.fact(AdGroupMember, group=GROUP, member=ACCOUNT)
    assert (found.how, found.problem) == ("direct", "")
    spellings = (
        "mimservice",
        r"contoso\MIMSERVICE",
        "mimservice@contoso.com",
        MIM.lower(),
        found.member.sid,
        found.member.guid,
    )
    again = [(ad_group_member, {"group": GROUP.lower(), "member": spelling}) for spelling in spellings]
    assert lab.deploy(*again) == Run()
    assert lab.state() == done
    gone = lab.run(ad_group_member, group=GROUP, member="mimservice", present=False)
    shown = told(f"mimservice in group {GROUP}", f"member: {MIM} -> (absent)")
    assert gone == Run((shown,), ("Edit-Directory",))
    assert members(lab) == set()


def test_a_group_that_changed_its_kind_meanwhile_gets_no_member(lab: OpLab) -> None:
    def another() -> None:
        directory_edit(lab.machine(), GROUP_DN, "groupType", "replace", "8")

    run = lab.run(ad_group_member, meanwhile=another, **WANTED)
    assert (run.writes, run.failed, run.shown[0]) == (("Edit-Directory",), True, ADDED)
    assert "[conflict]" in run.shown[1]
    assert members(lab) == set()


def test_one_who_joined_meanwhile_is_as_good(lab: OpLab) -> None:
    run = lab.run(
        ad_group_member, meanwhile=lambda: directory_edit(lab.machine(), GROUP_DN, "member", "add", MIM), **WANTED
    )
    assert run == Run((ADDED,), ("Edit-Directory",))
    assert members(lab) == {MIM}


@pytest.mark.slow
def test_the_other_members_are_not_touched(quick: OpLab) -> None:
    directory_edit(quick.machine(), GROUP_DN, "member", "add", ANNA)
    quick.run(ad_group_member, **WANTED)
    assert members(quick) == {ANNA, MIM}
    quick.run(ad_group_member, present=False, **WANTED)
    assert members(quick) == {ANNA}


@pytest.mark.slow
def test_one_who_is_in_it_by_its_primary_group_is_a_member_and_cannot_be_taken_out_here(quick: OpLab) -> None:
    start = quick.state()
    assert quick.run(ad_group_member, group="Domain Users", member="anna") == Run()
    text = (
        f"anna in group Domain Users: anna ({ANNA}) is in Domain Users as its primary group: "
        "give it another primary group first"
    )
    run = quick.run(ad_group_member, group="Domain Users", member="anna", present=False, dry=True)
    assert run == Run((text,), failed=True)
    assert quick.state() == start


def test_who_cannot_be_told_fails_in_the_dry_run_too_and_nothing_is_written(quick: OpLab) -> None:
    start = quick.state()
    runs = [quick.run(ad_group_member, dry=dry, group=GROUP, member=r"CONTOSO\nobody") for dry in (True, False)]
    assert runs[0] == runs[1]
    assert (runs[0].failed, runs[0].writes, len(runs[0].shown)) == (True, (), 1)
    assert r"CONTOSO\nobody" in runs[0].shown[0]
    assert quick.state() == start


@pytest.mark.slow
def test_a_group_that_is_not_there_and_that_nobody_makes_fails_the_dry_run(quick: OpLab) -> None:
    start = quick.state()
    text = "anna in group nobody's: there is no group nobody's (asked dc01.contoso.com)"
    wanted: dict[str, Any] = {"group": "nobody's", "member": "anna"}
    runs = [quick.run(ad_group_member, dry=dry, **wanted) for dry in (True, False)]
    assert runs == [Run((text,), failed=True)] * 2
    assert quick.run(ad_group_member, present=False, **wanted) == Run()
    assert quick.state() == start


@pytest.mark.slow
def test_a_check_alone_refuses_who_may_not_join_a_group_to_come_and_writes_nothing(quick: OpLab) -> None:
    assert quick.run(ad_group, group="Local", scope="domain-local").failed is False
    start = quick.state()

    def both(**wanted: Any) -> list[Run]:
        return [
            quick.run(ad_group_member, dry=dry, group="To come", check_only=True, **wanted) for dry in (True, False)
        ]

    assert both(member="anna") == [Run()] * 2
    assert both(member="Local", scope="domain-local") == [Run()] * 2
    refused = (
        f"Local in group To come: To come (CN=To come,CN=Users,{BASE_DN}) is global; Local (CN=Local,CN=Users,{BASE_DN}) "
        "is domain-local: a global group cannot hold it"
    )
    assert both(member="Local") == [Run((refused,), failed=True)] * 2
    nobody = "nobody in group To come: no nobody in contoso.com (sAMAccountName nobody and nobody$)"
    assert both(member="nobody") == [Run((nobody,), failed=True)] * 2
    assert quick.state() == start


def test_a_second_operation_on_one_account_is_told_of_the_first_whatever_they_call_it(quick: OpLab) -> None:
    there = quick.fact(AdGroupMember, group=GROUP, member=ACCOUNT).member
    others = [(ad_group_member, {"group": GROUP, "member": name}) for name in ("mimservice", MIM.lower(), there.sid)]
    dry = quick.deploy((ad_group_member, WANTED), *others, dry=True)
    assert [OVERLAP in line for line in dry.shown] == [False, False, True, False, True, False, True]
    assert quick.deploy((ad_group_member, WANTED), *others) == Run(dry.shown, ("Edit-Directory",))
    gone = (ad_group_member, WANTED | {"present": False})
    dry = quick.deploy(gone, others[0], dry=True)
    assert dry.shown[1:] == (f"mimservice in group {GROUP}: {OVERLAP}",)
    back = quick.deploy(gone, others[0])
    assert (back.shown[:2], back.writes) == (dry.shown, ("Edit-Directory",) * 2)
    assert members(quick) == {MIM}


def test_a_group_is_no_account(quick: OpLab) -> None:
    start = quick.state()
    for member, refused in (("Domain Admins", True), ("mimservice", False)):
        wanted: dict[str, Any] = {"group": GROUP, "member": member, "accounts_only": True}
        for check_only in (True, False):
            run = quick.run(ad_group_member, dry=True, **wanted, check_only=check_only)
            assert run.failed is refused
        if refused:
            text = f"Domain Admins (CN=Domain Admins,CN=Users,{BASE_DN}) is a group, expected an account"
            assert run.shown == (f"Domain Admins in group {GROUP}: {text}",)
    assert quick.run(ad_group_member, dry=True, group=GROUP, member="Domain Admins").failed is False
    assert quick.state() == start
    # One that is in it already is nobody's business here: nothing is added.
    assert quick.run(ad_group_member, group=GROUP, member="Domain Admins").failed is False
    assert quick.run(ad_group_member, group=GROUP, member="Domain Admins", accounts_only=True) == Run()


def test_a_group_that_hangs_on_a_condition_is_not_counted_for_its_member(quick: OpLab) -> None:
    quick.run(ad_group, group="Wide", scope="universal")
    made = (ad_group, {"group": "New", "_if": lambda: False})  # a global one, which could not hold that
    member = (ad_group_member, {"group": "new", "member": "Wide"})
    text = f"Wide in group new: there is no group new (asked dc01.contoso.com) ({IF})"
    dry = quick.deploy(made, member, dry=True)
    assert dry.shown[0].startswith("group New: 4 changes, if its _if holds")
    assert (dry.shown[1:], dry.failed) == ((text,), True)
    # Where that hangs on a condition itself, nothing is known, and nothing refused.
    both = quick.deploy(made, (ad_group_member, {**member[1], "_if": lambda: False}), dry=True)
    assert (both.shown[1:], both.failed) == ((f"{text}, if its _if holds",), False)


def test_a_member_that_an_operation_before_makes_is_shown_as_to_come(quick: OpLab) -> None:
    dn = f"CN=New,CN=Users,{BASE_DN}"
    made: Step = (ad_group, {"group": "New", "scope": "universal"})
    names = ("new", r"CONTOSO\NEW", "new@contoso.com", dn.lower())
    wide, narrow = "Wide", "PhoneFactor Admins"
    quick.run(ad_group, group=wide, scope="universal")
    start = quick.state()
    for name in names:
        dry = quick.deploy(made, (ad_group_member, {"group": wide, "member": name}), dry=True)
        assert dry.shown[1:] == (
            "group New would be created, then: " + told(f"{name} in group {wide}", f"member: (absent) -> {dn}"),
        )
    for group, name, text in (
        (
            narrow,
            "new",
            f"{narrow} (CN={narrow},CN=Users,{BASE_DN}) is global; New ({dn}) is universal: a global group cannot hold it",
        ),
        (
            wide,
            r"FABRIKAM\new",
            "no domain 'FABRIKAM' is in this forest, which has CONTOSO (contoso.com). Of another forest, write the SID",
        ),
        ("None", "new", "no new in contoso.com"),
    ):
        dry = quick.deploy(made, (ad_group_member, {"group": group, "member": name}), dry=True)
        assert dry.failed
        assert dry.shown[1].startswith(f"{name} in group {group}: {text}")
    for more in ({"accounts_only": True}, {"accounts_only": True, "check_only": True}):
        dry = quick.deploy(made, (ad_group_member, {"group": wide, "member": "new", **more}), dry=True)
        assert (dry.shown[1], dry.failed) == (f"new in group {wide}: New ({dn}) is a group, expected an account", True)
    for own in (made, (ad_group, {"group": "New"})):
        dry = quick.deploy(own, (ad_group_member, {"group": "new", "member": "NEW"}), dry=True)
        assert (dry.shown[1], dry.failed) == (f"NEW in group new: New ({dn}) cannot be a member of itself", True)
    for more in ({"check_only": True}, {"present": False}):
        dry = quick.deploy(made, (ad_group_member, {"group": wide, "member": "new", **more}), dry=True)
        assert (dry.shown[1:], dry.failed) == ((), False)
    assert quick.state() == start
    steps: list[Step] = [made, *((ad_group_member, {"group": wide, "member": name}) for name in names)]
    assert quick.deploy(*steps).writes == ("Edit-Directory",) * 2
    assert quick.deploy(*steps) == Run()
