"""The directory of the python engine where Samba cannot follow: several domains, limits, accounts (facts/ad.md). The rest is in tests/contract."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from lab import directory
from lab.directory_entry import LdapError
from plans.directory_search import membership_steps
from tests.directory_cases import (
    ANNA,
    BOB,
    DONE,
    MEMBERS,
    G,
    L,
    MemberCase,
    U,
    fill,
)
from tests.directory_far import BASE, USERS, Twin, asked, code, delete, edit, found, group, make, modify, search, user

CHILD = f"DC=child,{BASE}"


@pytest.fixture
def far(tmp_path: Path) -> Twin:
    twin = Twin(tmp_path)
    fill(twin)
    return twin


@pytest.fixture
def forest(far: Twin) -> Twin:
    """Two domains: CHILD has an anna of its own, and a group of each scope."""
    far.add(CHILD, {"objectClass": ["domainDNS"], "nETBIOSName": ["CHILD"]})
    far.add(f"CN=Anna,CN=Users,{CHILD}", user("anna", userPrincipalName="anna@contoso.com"))
    far.add(f"CN=Carl,CN=Users,{CHILD}", user("carl"))
    for name, scope in {"CG": "global", "CL": "domain-local", "CU": "universal"}.items():
        far.add(f"CN={name},CN=Users,{CHILD}", group(name, scope))
    return far


@pytest.mark.parametrize("case", MEMBERS.values(), ids=MEMBERS)
def test_members_are_resolved(far: Twin, case: MemberCase) -> None:
    assert edit(far, modify(G, "add", ANNA), modify(f"CN=U2,{USERS}", "add", G)) == [DONE, DONE]
    seen, calls = asked(far, membership_steps(case.group, case.member(far)))
    assert (seen.member.dn if seen.member else None, seen.how, seen.problem) == (case.dn, case.how, case.problem)
    assert calls <= 3


# facts/ad.md 3, "Who may be in", between two domains of one forest
ACROSS = {
    "an account of another domain into global": (G, f"CN=Carl,CN=Users,{CHILD}", 0x2147),
    "a global group of another domain into global": (G, f"CN=CG,CN=Users,{CHILD}", 0x2147),
    "an account of another domain into universal": (U, f"CN=Carl,CN=Users,{CHILD}", None),
    "a global group of another domain into universal": (U, f"CN=CG,CN=Users,{CHILD}", None),
    "a universal group of another domain into universal": (U, f"CN=CU,CN=Users,{CHILD}", None),
    "an account of another domain into domain local": (L, f"CN=Carl,CN=Users,{CHILD}", None),
    "a universal group of another domain into domain local": (L, f"CN=CU,CN=Users,{CHILD}", None),
    "a domain local group of another domain into domain local": (L, f"CN=CL,CN=Users,{CHILD}", 0x2148),
    "a domain local group of another domain into universal": (U, f"CN=CL,CN=Users,{CHILD}", 0x2146),
}


@pytest.mark.parametrize(("target", "member", "win32"), ACROSS.values(), ids=ACROSS)
def test_rules_of_groups_across_domains(forest: Twin, target: str, member: str, win32: int | None) -> None:
    expected = DONE if win32 is None else (False, ("invalid", 53, win32))
    assert edit(forest, modify(target, "add", member)) == [expected]


def test_a_domain_controller_shows_its_own_domain_and_the_catalog_all_of_them(forest: Twin) -> None:
    anna = f"CN=Anna,CN=Users,{CHILD}"
    assert found(forest, search("x", BASE, "(sAMAccountName=anna)")) == {"x": [ANNA]}
    assert found(forest, search("x", "", "(sAMAccountName=anna)"), port=3268) == {"x": sorted([ANNA, anna])}
    assert found(forest, search("x", CHILD, "(sAMAccountName=anna)"), server="child.contoso.com") == {"x": [anna]}
    assert found(forest, search("x", "", "(sAMAccountName=anna)")) == {"x": []}
    answer = forest.call("Search-Directory", searches=[search("x", CHILD)])["result"]["searches"][0]
    assert (answer["ok"], code(answer["error"]), answer["references"]) == (
        False,
        ("unknown", 10, 0x202B),
        [f"ldap://child.contoso.com/{CHILD}"],
    )


def test_an_edit_of_another_domain_is_a_referral_and_the_catalog_takes_none(forest: Twin) -> None:
    target = f"CN=CG,CN=Users,{CHILD}"
    carl = f"CN=Carl,CN=Users,{CHILD}"
    assert edit(forest, modify(target, "add", carl)) == [(False, ("unknown", 10, 0x202B))]
    assert edit(forest, modify(target, "add", carl), port=3268) == [(False, ("unknown", 53, None))]
    assert edit(forest, modify(target, "add", carl), server="child.contoso.com") == [DONE]


def test_the_root_names_the_server_and_its_domain(forest: Twin) -> None:
    for server, name, domain in (
        ("", "dc01.contoso.com", BASE),
        ("child.contoso.com", "dc01.child.contoso.com", CHILD),
    ):
        attributes = ["dnsHostName", "defaultNamingContext", "configurationNamingContext", "isGlobalCatalogReady"]
        answer = forest.call(
            "Search-Directory", server=server, searches=[search("x", "", scope="base", attributes=attributes)]
        )
        entry = answer["result"]["searches"][0]["entries"][0]
        texts = {key: base64.b64decode(values[0]).decode() for key, values in entry["attributes"].items()}
        assert (answer["result"]["server"], entry["dn"], texts) == (
            name,
            "",
            {
                "dnshostname": name,
                "defaultnamingcontext": domain,
                "configurationnamingcontext": f"CN=Configuration,{BASE}",
                "isglobalcatalogready": "TRUE",
            },
        )


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    """A group of 31 members at a server that shows 15 at once and changes 40, where others have 1500 and 5000."""
    far = Twin(tmp_path_factory.mktemp("large"))
    names = [f"u{number:02}" for number in range(31)]
    members = [f"CN={name},{USERS}" for name in names]
    far.add_many(
        {f"CN={name},{USERS}": user(name) for name in names} | {f"CN=Large,{USERS}": group("Large", "global", *members)}
    )
    assert (directory.load(far.machine).max_range, directory.load(far.machine).max_change) == (1500, 5000)
    directory.limit(far.machine, max_range=15, max_change=40)
    return far


def test_a_long_list_comes_in_ranges_and_never_as_if_it_were_whole(large: Twin) -> None:
    target = f"CN=Large,{USERS}"

    def ranged(attributes: list[str], ranges: Any = None) -> tuple[int, dict[str, int]]:
        asked_for = search("x", target, scope="base", attributes=attributes, **({"ranges": ranges} if ranges else {}))
        entry = large.call("Search-Directory", searches=[asked_for])["result"]["searches"][0]["entries"][0]
        return len(entry["attributes"]["member"]), entry["incomplete"]

    assert ranged(["member"]) == (15, {"member": 15})
    assert ranged(["*"]) == (15, {"member": 15})
    assert ranged([], {"member": [15, 29]}) == (15, {"member": 30})
    assert ranged([], {"member": [15, 99]}) == (15, {"member": 30})
    assert ranged([], {"member": [30, 99]}) == (1, {})
    assert ranged([], {"member": "all"}) == (31, {})


def test_a_member_of_a_long_list_is_found_without_it(large: Twin) -> None:
    seen, _ = asked(large, membership_steps("Large", "u29"))
    assert (seen.how, seen.problem) == ("direct", "")


def test_a_limit_says_that_there_is_more(large: Twin) -> None:
    answer = large.call(
        "Search-Directory", searches=[search("all", USERS, "(cn=u0*)"), search("two", USERS, "(cn=u0*)", size_limit=2)]
    )
    assert [(len(one["entries"]), one["more"]) for one in answer["result"]["searches"]] == [(10, False), (2, True)]


def test_too_many_values_in_one_request_are_refused_as_a_whole(large: Twin) -> None:
    values = [f"CN=u{number:02},{USERS}" for number in range(31)] * 2
    assert edit(large, modify(f"CN=Large,{USERS}", "delete", *values)) == [(False, ("unknown", 11, 0x2024))]
    assert len(large.values(f"CN=Large,{USERS}", "member")) == 31


def test_the_update_number_grows_with_changes_and_with_nothing_else(far: Twin) -> None:
    before, folder = directory.highest_usn(far.machine), far.machine.folder / "directory.json"
    content = folder.read_bytes()
    found(far, search("x", BASE))
    edit(far, modify(G, "add", f"CN=none,{USERS}"), modify(G, "delete", BOB))
    assert (directory.highest_usn(far.machine), folder.read_bytes()) == (before, content)
    edit(far, modify(G, "add", BOB))
    assert directory.highest_usn(far.machine) == before + 1
    assert far.values(G, "uSNChanged") == (str(before + 1).encode(),)


def test_a_new_directory_is_not_written_before_it_changes(tmp_path: Path) -> None:
    far = Twin(tmp_path)
    assert found(far, search("x", BASE, "(sAMAccountName=Administrator)")) == {"x": [f"CN=Administrator,{USERS}"]}
    assert not (far.machine.folder / "directory.json").exists()


def test_a_member_that_is_renamed_stays_a_member_and_one_that_is_deleted_does_not(far: Twin) -> None:
    edit(far, modify(G, "add", BOB, ANNA))
    directory.rename(far.machine, BOB, f"CN=Robert,{USERS}")
    assert far.values(G, "member") == (f"CN=Robert,{USERS}".encode(), ANNA.encode())
    assert edit(far, delete(ANNA)) == [DONE]
    assert far.values(G, "member") == (f"CN=Robert,{USERS}".encode(),)


def refused(far: Twin, **args: Any) -> tuple[str, str, int | None, int | None]:
    answer = far.call("Search-Directory", **{"searches": []} | args)
    assert not answer["ok"], answer
    error = answer["error"]
    return error["kind"], error["where"], error.get("ldap"), error.get("win32")


def test_refusals_of_the_connection(far: Twin) -> None:
    far.add(f"CN=Off,{USERS}", user("off", userAccountControl="514", unicodePwd="0ff!"))

    def credential(name: str, reference: str = "pw") -> dict[str, Any]:
        return {"user": name, "password": {"secret": reference}}

    here = "the default domain controller, port 389"
    assert refused(far, credential=credential("CONTOSO\\off"), secrets={"pw": "x"}) == ("denied", here, 49, 0x52E)
    assert refused(far, credential=credential("CONTOSO\\off"), secrets={"pw": "0ff!"}) == ("denied", here, 49, 0x533)
    assert refused(far, credential=credential("OTHER\\off"), secrets={"pw": "0ff!"}) == ("denied", here, 49, 0x52E)
    assert refused(far, credential=credential("off", "other"), secrets={}) == ("invalid", "credential", None, None)
    assert refused(far, credential={"user": "x", "password": "plain"}) == ("invalid", "credential", None, None)
    assert refused(far, server="nowhere") == ("missing", "nowhere, port 389", 81, None)
    assert refused(far, tls=True) == ("missing", here, 81, None)
    assert refused(far, port=88) == ("missing", "the default domain controller, port 88", 81, None)
    assert refused(far, timeout_s=0) == ("invalid", "timeout_s", None, None)
    assert refused(far, searches=[search("x", BASE, scope="all")]) == ("invalid", "scope", None, None)


def test_a_member_server_needs_a_credential_for_the_second_hop(far: Twin) -> None:
    server = far.engine.machine("mim01", "mim")
    answer = far.call_on(server, "Search-Directory", searches=[search("x", BASE, "(cn=Bob)")])
    assert code(answer["error"]) == ("denied", 82, None)
    assert "a second hop needs a credential" in answer["error"]["why"]
    credential = {"user": "Administrator@contoso.com", "password": {"secret": "pw"}}
    again = far.call_on(
        server,
        "Search-Directory",
        searches=[search("x", BASE, "(cn=Bob)")],
        credential=credential,
        secrets={"pw": "Passw0rd!lab"},
    )
    assert [entry["dn"] for entry in again["result"]["searches"][0]["entries"]] == [BOB]


def test_a_host_without_a_directory_server_finds_none(tmp_path: Path) -> None:
    far = Twin(tmp_path)
    alone = type(far.engine)(tmp_path / "alone").machine("mim01", "mim")
    answer = far.call_on(alone, "Search-Directory", searches=[])
    assert code(answer["error"]) == ("missing", 81, None)


@pytest.mark.parametrize("name", ["CONTOSO\\plain", "plain@contoso.com", f"CN=Plain,{USERS}"])
def test_an_account_without_rights_reads_and_does_not_write(far: Twin, name: str) -> None:
    far.add(f"CN=Plain,{USERS}", user("plain", unicodePwd="Pl4in!word"))
    login = {"credential": {"user": name, "password": {"secret": "pw"}}, "secrets": {"pw": "Pl4in!word"}}
    assert found(far, search("x", G, scope="base"), **login) == {"x": [G]}
    assert edit(far, modify(G, "add", BOB), **login) == [(False, ("denied", 50, 0x2098))]
    assert edit(far, modify(f"CN=Domain Admins,{USERS}", "add", f"CN=Plain,{USERS}"), modify(G, "add", BOB)) == [
        DONE,
        DONE,
    ]
    assert edit(far, modify(G, "add", ANNA), **login) == [DONE]


def test_a_password_is_shown_to_nobody(far: Twin) -> None:
    far.add(f"CN=Plain,{USERS}", user("plain", unicodePwd="Pl4in!word"))
    for attributes in ([], ["*"], ["unicodePwd"]):
        answer = json.dumps(
            far.call("Search-Directory", searches=[search("x", BASE, "(cn=Plain)", attributes=attributes)])
        )
        assert base64.b64encode(b"Pl4in!word").decode() not in answer
    assert found(far, search("x", BASE, "(unicodePwd=Pl4in!word)")) == {"x": []}


def test_arranging_fails_as_the_server_would(far: Twin) -> None:
    with pytest.raises(LdapError):
        far.add(BOB, user("bob2"))
    with pytest.raises(LdapError):
        far.values(f"CN=none,{USERS}", "member")


def test_a_name_is_free_in_the_other_domain(forest: Twin) -> None:
    assert edit(forest, make(f"CN=carl,{USERS}", "user", {"sAMAccountName": ["carl"]})) == [DONE]
