"""ad_group on the lab: dry, applied, again, spelled otherwise, refused, taken back. What is compared is tests/test_plans_ad.py's."""

from __future__ import annotations

import uuid
from typing import Any, Final

import pytest

from lab.seed import BASE_DN
from operations.ad import ad_group, ad_group_member
from tests.oplab import OpLab, Run, directory_edit, fixtures, told

pytestmark = pytest.mark.slow

GROUP: Final = "SDK Users"
DN: Final = f"CN={GROUP},CN=Users,{BASE_DN}"
WANTED: Final[dict[str, Any]] = {"group": GROUP, "description": "may call the SDK"}


def made(group: str, dn: str, *more: str) -> str:
    """How a new group is shown."""
    return told(
        f"group {group}",
        f"distinguishedName: (absent) -> {dn}",
        f"sAMAccountName: (absent) -> {group}",
        "scope: (absent) -> global",
        "category: (absent) -> security",
        *more,
    )


MADE: Final = made(GROUP, DN, "description: (absent) -> may call the SDK")


lab, quick = fixtures("dc01")


def values(lab: OpLab, attribute: str) -> tuple[bytes, ...]:
    return lab.machine().directory_values(DN, attribute)


def another_group(lab: OpLab, dn: str, sam_account_name: str) -> None:
    lab.machine().directory_add(
        dn, {"objectClass": ("top", "group"), "sAMAccountName": (sam_account_name,), "groupType": ("-2147483646",)}
    )


def test_a_group_is_made_once_whatever_its_spelling_and_not_over_another_one(lab: OpLab) -> None:
    start = lab.state()
    assert lab.run(ad_group, dry=True, **WANTED) == Run((MADE,))
    assert lab.state() == start
    assert lab.run(ad_group, **WANTED) == Run((MADE,), ("Edit-Directory",))
    attributes = ("sAMAccountName", "groupType", "description")
    assert [values(lab, one) for one in attributes] == [(b"SDK Users",), (b"-2147483646",), (b"may call the SDK",)]
    done = lab.state()
    assert lab.deploy((ad_group, WANTED), (ad_group, WANTED | {"group": "sdk users"})) == Run()
    assert lab.state() == done

    def another() -> None:
        another_group(lab, f"CN=Late,CN=Users,{BASE_DN}", "somebody else's")

    run = lab.run(ad_group, group="Late", meanwhile=another)
    dn = f"CN=Late,CN=Users,{BASE_DN}"
    taken = (
        f"group Late: written, but read back: it cannot be made: somebody else's ({dn}), a group, has that name already. "
        "Rename one of them"
    )
    assert run == Run((made("Late", dn), taken), ("Edit-Directory",), failed=True)
    assert lab.machine().directory_values(dn, "sAMAccountName") == (b"somebody else's",)


def test_one_that_somebody_made_meanwhile_is_as_good(quick: OpLab) -> None:
    run = quick.run(ad_group, group=GROUP, meanwhile=lambda: another_group(quick, DN, GROUP))
    assert run == Run((made(GROUP, DN),), ("Edit-Directory",))


@pytest.mark.slow
def test_a_description_changes_in_one_write_and_is_taken_back(lab: OpLab) -> None:
    lab.run(ad_group, **WANTED)
    run = lab.run(ad_group, group=GROUP, description="other")
    shown = told(f"group {GROUP}", "description: may call the SDK -> other")
    assert run == Run((shown,), ("Edit-Directory",))
    assert lab.run(ad_group, group=GROUP) == Run()  # a description that is not named stays
    back = lab.run(ad_group, group=GROUP, description="")
    assert back == Run((told(f"group {GROUP}", "description: other -> (absent)"),), ("Edit-Directory",))
    assert values(lab, "description") == ()


@pytest.mark.slow
def test_a_description_that_another_changed_meanwhile_is_left_alone(lab: OpLab) -> None:
    lab.run(ad_group, **WANTED)

    def another() -> None:
        directory_edit(lab.machine(), DN, "description", "replace", "theirs")

    run = lab.run(ad_group, group=GROUP, description="mine", meanwhile=another)
    planned = told(f"group {GROUP}", "description: may call the SDK -> mine")
    # Samba's text carries no number of Windows there (tests/contract/differences.toml).
    code = "LDAP 16, win32 2085" if lab.engine == "python" else "LDAP 16"
    refused = (
        f"Edit-Directory <GUID={uuid.UUID(bytes_le=values(lab, 'objectGUID')[0])}>: modify: the value is not there "
        f"({code}) [conflict]. It changed since it was read; this call wrote nothing. Run again."
    )
    assert run == Run((planned, refused), ("Edit-Directory",), failed=True)
    assert values(lab, "description") == (b"theirs",)


@pytest.mark.slow
@pytest.mark.parametrize(("scope", "category"), [("universal", "security"), ("global", "distribution")])
def test_a_group_of_another_kind_is_refused_and_never_changed(quick: OpLab, scope: str, category: str) -> None:
    start = quick.state()
    text = (
        f"group PhoneFactor Admins: CN=PhoneFactor Admins,CN=Users,{BASE_DN} exists and is global security, "
        f"wanted is {scope} {category}. Neither is changed here: give the operation what it is, or change the group by hand"
    )
    wanted: dict[str, Any] = {"group": "PhoneFactor Admins", "scope": scope, "category": category}
    assert [quick.run(ad_group, dry=dry, **wanted) for dry in (True, False)] == [Run((text,), failed=True)] * 2
    assert quick.state() == start


def test_a_name_that_an_account_has_is_refused(quick: OpLab) -> None:
    start = quick.state()
    run = quick.run(ad_group, group="mimservice", dry=True)
    text = (
        f"group mimservice: it cannot be made: mimservice (CN=mimservice,CN=Users,{BASE_DN}), a user, "
        "has that name already. Rename one of them"
    )
    assert run == Run((text,), failed=True)
    assert quick.state() == start


def test_members_of_a_group_that_an_earlier_operation_announced_are_shown_as_to_come(quick: OpLab) -> None:
    group, member = (ad_group, WANTED), (ad_group_member, {"group": "sdk users", "member": r"contoso\anna"})
    added = told(r"contoso\anna in group sdk users", f"member: (absent) -> CN=Anna Müller,CN=Users,{BASE_DN}")
    dry = quick.deploy(group, member, dry=True)
    assert dry == Run((MADE, f"group {GROUP} would be created, then: {added}"))
    run = quick.deploy(group, member)
    assert (run.writes, run.failed) == (("Edit-Directory", "Edit-Directory"), False)
    assert values(quick, "member") == (f"CN=Anna Müller,CN=Users,{BASE_DN}".encode(),)
    assert quick.deploy(group, member) == Run()
