"""What the desired state accepts (model/forms.py) is what the plans accept, which check again before a write: told early, nothing legal refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from model.directory import Group
from model.files import FileContent, FileInfo
from model.forms import (
    NOT_IN_GROUP_NAMES,
    NOT_IN_POOL_NAMES,
    NOT_IN_SITE_NAMES,
    check_account,
    check_bound,
    check_domain_account,
    check_folder,
    check_group_name,
    check_namespaces,
    check_parent,
    check_pool_name,
    check_site_name,
)
from model.iis import AppPoolRead, WantedAppPool, WantedSite
from model.xml import XmlWanted
from plans.ad import plan_group
from plans.directory_search import classify
from plans.iis import plan_app_pool
from plans.iis_site import canonical_path, targets_of
from plans.xml import read_elements

NAMES: Final = st.text(
    st.sampled_from([*"aZ9ß .$", *NOT_IN_SITE_NAMES, *NOT_IN_POOL_NAMES, "%", "{", "\t"]), max_size=6
)
LONG: Final = st.integers(60, 70).map(lambda length: "n" * length)
PATHS: Final = st.lists(st.sampled_from(["C:", "\\", "/", "x", "..", ".", " ", "%", "*", "x y", ":"]), max_size=7).map(
    "".join
)
ACCOUNTS: Final = st.text(st.sampled_from([*"ab\\@. $"]), max_size=6)
PREFIXES: Final = st.text(st.sampled_from([*"xmlL1é-: "]), max_size=5)
PARENTS: Final = st.lists(
    st.sampled_from(["/", "a", "m:", "n:", "xml:", "@", "child::", "'m:'", "[", "]", "*", "."]), max_size=6
).map("".join)
EMPTY: Final = FileContent(FileInfo("C:\\x.xml", "file", 4, "", "2026-11-25T08:00:00.0000000Z", False), b"<r/>")


def accepts(check: Callable[[], object]) -> bool:
    try:
        check()
    except ValueError:  # a PlanError is one
        return False
    return True


@given(NAMES)
@example("$")
def test_a_site_has_the_names_that_its_plan_accepts(name: str) -> None:
    assert accepts(lambda: check_site_name(name)) == accepts(lambda: targets_of(WantedSite(name)))


@given(NAMES | LONG)
@example("$")
def test_a_pool_has_the_names_that_its_plan_accepts_but_for_blanks_at_the_ends(name: str) -> None:
    absent = AppPoolRead("", shared=False, app_pool=None)
    plan = accepts(lambda: plan_app_pool(absent, WantedAppPool(name)))
    assert accepts(lambda: check_pool_name(name)) == (plan and name == name.strip())


@given(st.text(st.sampled_from([*"aß .$@#&'", *NOT_IN_GROUP_NAMES, "\t"]), max_size=6) | LONG)
def test_a_group_has_the_names_that_its_plan_would_make_it_with(name: str) -> None:
    absent = Group(False, None, "CN=x,DC=contoso,DC=com", None, "dc01")
    plan = accepts(lambda: plan_group(absent, name, scope="global", category="security", description=None))
    assert accepts(lambda: check_group_name(name)) == plan


@given(PATHS)
@example("C:\\x\\..\\y z")
def test_a_folder_has_a_path_that_its_plan_accepts_and_is_no_drive(path: str) -> None:
    if accepts(lambda: check_folder(path)):
        assert canonical_path(path).startswith("C:\\")
        assert canonical_path(path) != "C:\\"


@given(ACCOUNTS)
def test_an_account_is_one_that_is_told_apart_later(name: str) -> None:
    assert accepts(lambda: check_account(name)) == accepts(lambda: classify(name))


@given(st.dictionaries(PREFIXES, st.sampled_from(["", "urn:x"]), max_size=2))
def test_a_prefix_is_one_that_a_file_can_be_searched_with(namespaces: dict[str, str]) -> None:
    searched = read_elements(EMPTY, (), XmlWanted(namespaces=namespaces)).problem == ""
    assert accepts(lambda: check_namespaces(namespaces)) == searched


@given(PARENTS)
@example("/r[m:a]")
@example("//@xml:a")
def test_a_parent_that_is_refused_is_one_that_no_file_has(parent: str) -> None:
    namespaces = {"m": "urn:m"}
    if not (accepts(lambda: check_parent(parent)) and accepts(lambda: check_bound(parent, namespaces))):
        assert read_elements(EMPTY, (), XmlWanted(parent=parent, namespaces=namespaces)).problem != ""


@pytest.mark.parametrize(("name", "accepted"), [("C/a", False), ("C\\a", True), ("CN=a/b,DC=c", True)])
def test_a_slash_is_part_of_a_distinguished_name_alone(name: str, accepted: bool) -> None:
    assert accepts(lambda: check_account(name)) == accepted


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("S-1-5-21-1-2-3-1105", True),
        ("S-1-5-21-1-2-3", False),
        ("s-1-5-32-544", False),
        ("S-1-5", False),
        ("s-1mim", True),
        ("s-01@contoso.com", True),
        ("mim$", True),
        (r"BUILTIN\Administrators", False),
        (r"nt service\mim", False),
        (r"CONTOSO\builtin", True),
    ],
)
def test_a_service_account_is_of_a_domain_where_a_sid_tells_that(name: str, accepted: bool) -> None:
    assert accepts(lambda: check_domain_account(name)) == accepted
