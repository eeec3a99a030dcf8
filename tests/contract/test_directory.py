"""Search-Directory and Edit-Directory: LDAP as data, its values as bytes, its refusals by their numbers."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

import pytest

from plans.ldap import filter_value
from tests.contract.cases import case
from tests.contract.directory import ACCOUNT, AWKWARD, PASSWORD, Directory
from tests.contract.host import Refused
from tests.directory_cases import ANNA, BOB, CASES, DONE, FOREIGN, INVALID, LENIENT, SEARCHES, WORDS, G, L, U, spelled
from tests.directory_far import BASE, USERS, code, delete, edit, found, group, make, modify, search, user

NUMBERS: Final = "ad.md 4"


def one(directory: Directory, given: dict[str, Any]) -> Any:
    """The answer of one search, which must succeed."""
    answer = directory.call("Search-Directory", searches=[given])
    assert answer["ok"], answer
    (result,) = answer["result"]["searches"]
    assert (result["id"], result["ok"], result["error"]) == (given["id"], True, None)
    return result


def decoded(entry: Any) -> dict[str, list[bytes]]:
    """The attributes of an entry as bytes."""
    return {name: [base64.b64decode(value) for value in values] for name, values in entry["attributes"].items()}


# -- Search-Directory --


@case(
    "Search-Directory",
    cites='ad.md: entries: [{dn, attributes: {lowername: [base64..]}, incomplete: {"member": next_low}}], references: [..], more: bool, error}]}`',
)
def test_an_entry_is_answered_with_its_values_as_bytes(directory: Directory) -> None:
    attributes = ["sAMAccountName", "GROUPTYPE", "objectGUID", "objectSid", "member", "noSuchAttribute"]
    answer = directory.call("Search-Directory", searches=[search("x", G, scope="base", attributes=attributes)])
    (entry,) = answer["result"]["searches"][0].pop("entries")
    assert answer == {
        "ok": True,
        "result": {
            "server": "dc01.contoso.com",
            "searches": [{"id": "x", "ok": True, "more": False, "references": [], "error": None}],
        },
    }
    assert (spelled(entry["dn"]), entry["incomplete"]) == (spelled(G), {})
    assert decoded(entry) == {
        "samaccountname": [b"G"],
        "grouptype": [b"-2147483646"],
        "objectguid": list(directory.values(G, "objectGUID")),
        "objectsid": list(directory.values(G, "objectSid")),
    }


@case("Search-Directory", cites="ad.md: 49 / data 52e, 532, 533, 701, 773, 775", error="denied")
def test_a_wrong_password_is_denied_and_not_shown(directory: Directory) -> None:
    where = f"{directory.server}, port 636"
    error = directory.refused("Search-Directory", searches=[], secrets={"pw": "Wr0ng pw"})
    assert error == Refused("denied", where, ldap=49, win32=0x52E)


@case("Search-Directory", cites="ad.md 2")
def test_filters_find_what_they_mean(directory: Directory) -> None:
    searches = [search(name, one.base, one.filter, one.scope) for name, one in SEARCHES.items()]
    seen = found(directory, *searches)
    assert {name: sorted(map(spelled, dns)) for name, dns in seen.items()} == {
        name: sorted(map(spelled, one.found)) for name, one in SEARCHES.items()
    }


@case("Search-Directory", cites="ad.md: the verb reports the rootDSE `dnsHostName` it reached")
def test_the_root_names_the_server_that_was_reached(directory: Directory) -> None:
    attributes = ["dnsHostName", "defaultNamingContext", "configurationNamingContext"]
    result = one(directory, search("x", "", scope="base", attributes=attributes))
    assert [(entry["dn"], decoded(entry)) for entry in result["entries"]] == [
        (
            "",
            {
                "dnshostname": [b"dc01.contoso.com"],
                "defaultnamingcontext": [BASE.encode()],
                "configurationnamingcontext": [f"CN=Configuration,{BASE}".encode()],
            },
        )
    ]


@case("Search-Directory", cites="verbs.md: No such base (32): `ok` true, `entries` []")
def test_a_search_that_fails_spoils_no_other(directory: Directory) -> None:
    searches = [
        search("malformed name", "x"),
        search("malformed filter", BASE, "(a="),
        search("fine", BOB, scope="base"),
        search("absent", f"CN=none,{USERS}"),
    ]
    answer = directory.call("Search-Directory", searches=searches)["result"]["searches"]
    malformed = ("invalid", 34, 0x2032 if directory.host.differs else None)
    assert [(one["id"], one["ok"], len(one["entries"]), code(one["error"])) for one in answer] == [
        ("malformed name", False, 0, malformed),
        ("malformed filter", False, 0, ("invalid", 87, None)),
        ("fine", True, 1, None),
        ("absent", True, 0, None),
    ]


@case("Search-Directory", cites="ad.md: next from the *returned* upper bound")
def test_a_range_is_asked_for_by_its_ends(directory: Directory) -> None:
    assert edit(directory, modify(G, "add", ANNA, BOB, f"CN=G2,{USERS}")) == [DONE]
    ranges: list[tuple[Any, tuple[int, dict[str, int]]]] = [
        ("all", (3, {})),
        ([0, 9], (3, {})),
        ([0, 0], (1, {"member": 1})),
        ([1, 1], (1, {"member": 2})),
        ([2, 2], (1, {})),
        ([5, 9], (0, {})),
    ]
    answers = {}
    for asked, _ in ranges:
        (entry,) = one(directory, search("x", G, scope="base", attributes=[], ranges={"member": asked}))["entries"]
        answers[str(asked)] = len(entry["attributes"].get("member", [])), entry["incomplete"]
    assert answers == {str(asked): result for asked, result in ranges}


@case("Search-Directory", cites="verbs.md: Reads (`Get- Read- Search- Test-`)")
def test_searching_and_failing_leave_the_directory_as_it_was(directory: Directory) -> None:
    with directory.host.watched() as seen:
        found(directory, search("x", BASE, "(objectClass=group)"))
        edit(directory, modify(G, "add", f"CN=none,{USERS}"))
        edit(directory, modify(G, "delete", BOB))
    assert seen.changes == {}


@case("Search-Directory", cites="ad.md: 81, 82, 85, 91 | connect", error="missing")
def test_where_no_directory_answers_it_is_missing(directory: Directory) -> None:
    for more in ({"server": "127.0.0.1", "port": 1}, {"port": 1}):
        given = {"server": directory.server} | more
        where = f"{given['server']}, port {given['port']}"
        assert directory.refused("Search-Directory", searches=[], **more) == Refused("missing", where, ldap=81)


@case("Search-Directory", cites="verbs.md: `credential` (null = the logon;", error="invalid")
def test_a_connection_that_cannot_be_is_invalid_by_its_argument(directory: Directory) -> None:
    user_of = {"user": ACCOUNT, "password": {"secret": "pw"}}
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"credential": user_of | {"password": {"secret": "other"}}}, "credential"),
        ({"credential": user_of | {"password": PASSWORD}}, "credential"),
        ({"credential": ACCOUNT}, "credential"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"tls": "yes"}, "tls"),
        ({"searches": [search("x", BASE, scope="all")]}, "scope"),
    ]
    for more, where in wrong:
        assert directory.refused("Search-Directory", **{"searches": []} | more) == Refused("invalid", where)


@case("Search-Directory", cites="ad.md: Default AuthType is Negotiate; credential null = the logon of the thread")
def test_without_tls_or_a_credential_the_logon_is_used_which_only_windows_has(directory: Directory) -> None:
    for more in ({"tls": False, "port": 389}, {"tls": False, "port": 389, "credential": None}, {"credential": None}):
        given: dict[str, Any] = {"searches": [search("x", BOB, scope="base")], **more}
        if directory.host.differs:
            assert directory.refused("Search-Directory", **given) == Refused("invalid", "tls")
        else:
            answer = directory.call("Search-Directory", **given)
            assert [len(one["entries"]) for one in answer["result"]["searches"]] == [1]


@case("Search-Directory", cites="ad.md: 49 / data 52e, 532, 533, 701, 773, 775", error="denied")
def test_a_disabled_account_is_denied(directory: Directory) -> None:
    directory.add(f"CN=Plain,{USERS}", user("plain", userAccountControl="514", unicodePwd="Pl4in!word"))
    credential = {"user": r"CONTOSO\plain", "password": {"secret": "pw"}}
    error = directory.refused("Search-Directory", searches=[], credential=credential, secrets={"pw": "Pl4in!word"})
    assert error == Refused("denied", f"{directory.server}, port 636", ldap=49, win32=0x533)


# -- Edit-Directory --


@case("Edit-Directory", cites="ad.md: Out per edit: `{id, done: true|false, error}`")
def test_a_member_is_added_and_deleted(directory: Directory) -> None:
    edits = [{**modify(G, "add", BOB), "id": "in"}, {**modify(G, "delete", BOB), "id": "out"}]
    assert directory.call("Edit-Directory", edits=edits[:1]) == {
        "ok": True,
        "result": {"server": "dc01.contoso.com", "edits": [{"id": "in", "done": True, "error": None}]},
    }
    assert set(map(spelled, directory.members())) == {spelled(BOB)}
    assert edit(directory, edits[1]) == [DONE]
    assert directory.members() == set()


@case(
    "Edit-Directory",
    cites="ad.md: `expect` is one base search just before (no hit = conflict, nothing sent)",
    error="conflict",
)
def test_an_entry_that_is_not_as_expected_is_a_conflict_and_nothing_is_sent(directory: Directory) -> None:
    answer = directory.call("Edit-Directory", edits=[modify(G, "add", BOB, expect="(groupType=4)")])
    error = answer["result"]["edits"][0]["error"]
    assert (error["kind"], error["what"], error["where"], error["hresult"]) == ("conflict", "Edit-Directory", G, None)
    assert directory.members() == set()
    guid = "".join(rf"\{byte:02x}" for byte in directory.values(G, "objectGUID")[0])
    assert edit(directory, modify(G, "add", BOB, expect=f"(&(objectGUID={guid})(groupType=-2147483646))")) == [DONE]


def names(why: str) -> list[str]:
    """The cases of tests/directory_cases.py that differ on Samba for a reason, or for none."""
    return [name for name, one in CASES.items() if one.why == why]


def hold(directory: Directory, name: str) -> None:
    """Run one case and compare what it answers."""
    given = CASES[name]
    answers = given.samba if directory.host.differs and given.samba is not None else given.answers
    assert tuple(edit(directory, one)[0] for one in given.edits) == answers


OTHER: Final = [name for name, one in CASES.items() if one.why not in ("", LENIENT, WORDS)]


@case("Edit-Directory", cites=NUMBERS, error="missing")
@pytest.mark.parametrize("name", names(""))
def test_edits(directory: Directory, name: str) -> None:
    hold(directory, name)


@case("Edit-Directory", cites="ad.md: | 53 / 2144-2149, 2164, 2165, 1F | add | scope rule | invalid", error="invalid")
@pytest.mark.parametrize("name", names(LENIENT))
def test_what_a_group_of_a_scope_may_not_hold_is_refused_as_a_rule(directory: Directory, name: str) -> None:
    hold(directory, name)


@case("Edit-Directory", cites=NUMBERS, error="conflict")
@pytest.mark.parametrize("name", names(WORDS))
def test_a_refusal_has_the_number_of_windows_in_it(directory: Directory, name: str) -> None:
    hold(directory, name)


@case("Edit-Directory", cites=NUMBERS, error="conflict")
@pytest.mark.parametrize("name", OTHER)
def test_a_refusal_has_the_code_of_windows(directory: Directory, name: str) -> None:
    hold(directory, name)


@case(
    "Edit-Directory",
    cites="ad.md: edits after a failure are `skipped`",
)
def test_the_rest_is_not_tried_after_a_failure(directory: Directory) -> None:
    edits = [modify(G, "add", BOB), modify(f"CN=none,{USERS}", "add", BOB), modify(G, "add", ANNA)]
    assert edit(directory, *edits) == [DONE, (False, ("missing", 32, 0x2030)), (False, None)]
    assert directory.members() == {BOB}


@case("Edit-Directory", cites="verbs.md: a mistake in one is `invalid`, for the whole call", error="invalid")
def test_a_mistake_in_one_edit_is_found_before_the_first_is_sent(directory: Directory) -> None:
    seen = {
        name: directory.refused("Edit-Directory", **{"edits": [modify(G, "add", BOB), one.edit]} | one.args)
        for name, one in INVALID.items()
    }
    assert seen == {name: Refused("invalid", one.where) for name, one in INVALID.items()}
    assert directory.members() == set()


@case("Edit-Directory", cites="ad.md: | 50 / 2098 | modify | no right | denied", error="denied")
def test_an_account_without_the_right_is_denied_and_nothing_happens(directory: Directory) -> None:
    directory.add(f"CN=Plain,{USERS}", user("plain", userAccountControl="512", unicodePwd="Pl4in!word"))
    credential = {"user": r"CONTOSO\plain", "password": {"secret": "pw"}}
    answer = edit(directory, modify(G, "add", BOB), credential=credential, secrets={"pw": "Pl4in!word"})
    assert answer == [(False, ("denied", 50, None if directory.host.differs else 0x2098))]
    assert directory.members() == set()


@case(
    "Edit-Directory",
    cites="ad.md: | 53 / other | modify | refused | unknown, shown with both numbers |",
    error="unknown",
)
def test_what_a_server_is_not_willing_to_do_is_unknown_with_its_numbers(directory: Directory) -> None:
    """A scope that does not follow the one it has, by facts/ad.md 3."""
    before = directory.values(G, "groupType")
    change = modify(G, "replace", "-2147483644", attribute="groupType")
    assert edit(directory, change) == [(False, ("unknown", 53, 0x2035))]
    assert directory.values(G, "groupType") == before


@case("Edit-Directory", cites="ad.md: One edit = one LDAP request = atomic")
def test_one_request_happens_wholly_or_not_at_all(directory: Directory) -> None:
    assert edit(directory, modify(G, "replace", "old", attribute="description")) == [DONE]
    old_to_new = modify(G, "delete", "old", attribute="description")
    old_to_new["changes"] += modify(G, "add", "new", attribute="description")["changes"]
    assert edit(directory, old_to_new) == [DONE]
    both = {**old_to_new, "changes": modify(G, "add", BOB)["changes"] + old_to_new["changes"]}
    assert [done for done, _ in edit(directory, both)] == [False]
    assert (directory.members(), directory.values(G, "description")) == (set(), (b"new",))


@case("Edit-Directory", cites="ad.md: A modification accepts string or byte[]; all are sent as bytes, strings as UTF-8")
def test_text_and_bytes_mean_the_same(directory: Directory) -> None:
    encoded = {"base64": base64.b64encode(BOB.encode()).decode()}
    assert edit(directory, modify(G, "add", encoded)) == [DONE]
    assert edit(directory, modify(G, "delete", BOB)) == [DONE]
    text = "\u00e4 \u6f22 \U0001f600 '\"`$()"
    assert edit(directory, modify(G, "replace", text, attribute="description")) == [DONE]
    assert directory.values(G, "description") == (text.encode(),)
    for wrong in ("!", "YQ", "YQ==\n="):
        error = directory.refused("Edit-Directory", edits=[modify(G, "add", {"base64": wrong})])
        assert error == Refused("invalid", G)


@case(
    "Edit-Directory",
    cites="ad.md: `<GUID=...>`, `<SID=S-1-...>` or hex, `<WKGUID=...>` are accepted as search base and as member value",
)
def test_a_target_and_a_value_by_guid_or_sid_mean_the_entry(directory: Directory) -> None:
    guid, sid = directory.values(G, "objectGUID")[0].hex(), directory.values(BOB, "objectSid")[0].hex()
    assert edit(directory, modify(f"<GUID={guid}>", "add", f"<SID={sid}>"))[0] == DONE
    assert directory.members() == {BOB}
    gone = f"<GUID={'0' * 31}1>"
    assert [done for done, _ in edit(directory, modify(gone, "add", ANNA))] == [False]


@case("Edit-Directory", cites="ad.md: A DN inside a filter is escaped twice (DN rule, then filter rule)")
def test_names_with_every_character_are_made_found_and_members(directory: Directory) -> None:
    dns = [f"{name},{USERS}" for name in AWKWARD]
    made = [make(dn, "user", user(f"awkward{number}")) for number, dn in enumerate(dns)]
    assert edit(directory, *made) == [DONE] * len(dns)
    assert edit(directory, modify(G, "add", *dns)) == [DONE]
    searches = [search(dn, G, f"(member={filter_value(dn)})", "base") for dn in dns]
    assert {dn: len(hits) for dn, hits in found(directory, *searches).items()} == dict.fromkeys(dns, 1)
    assert edit(directory, *(modify(G, "delete", dn) for dn in dns)) == [DONE] * len(dns)
    assert directory.members() == set()
    assert edit(directory, *(delete(dn) for dn in dns)) == [DONE] * len(dns)


@case("Edit-Directory", cites="ad.md: computers, gMSA and trusts end in `$`")
def test_a_computer_and_a_managed_service_account_are_members_like_any_other(directory: Directory) -> None:
    accounts: Sequence[tuple[str, str]] = ((f"CN=web01,{USERS}", "web01$"), (f"CN=svc,{USERS}", "svc$"))
    for dn, name in accounts:
        directory.add(dn, {"objectClass": ["computer"], "sAMAccountName": [name], "userAccountControl": ["4096"]})
    assert edit(directory, modify(G, "add", *(dn for dn, _ in accounts))) == [DONE]
    assert directory.members() == {dn for dn, _ in accounts}
    searches = [search(name, USERS, f"(sAMAccountName={name})") for name in ("web01", "web01$", "svc$")]
    assert found(directory, *searches) == {"web01": [], "web01$": [accounts[0][0]], "svc$": [accounts[1][0]]}


@case("Edit-Directory", cites="ad.md: Removing the member leaves the FSP")
def test_an_object_of_another_forest_stays_when_it_is_no_member_any_more(directory: Directory) -> None:
    principal = f"CN={FOREIGN},CN=ForeignSecurityPrincipals,{BASE}"
    assert edit(directory, modify(L, "add", f"<SID={FOREIGN}>")) == [DONE]
    assert directory.members(L) == {principal}
    assert edit(directory, modify(L, "delete", principal)) == [DONE]
    assert found(directory, search("x", principal, scope="base")) == {"x": [principal]}


@case(
    "Edit-Directory",
    cites="ad.md: A SID of the own domain without an object: refused (53 `00002141` on Samba [M]; 32 or 53 on AD [U])",
    error="missing",
)
def test_a_sid_of_the_own_domain_without_an_object_makes_none(directory: Directory) -> None:
    sid = (directory.values(G, "objectSid")[0][:-4] + b"\xff\xff\0\0").hex()
    refusal = ("invalid", 53, 0x2141) if directory.host.differs else ("missing", 32, 0x525)
    assert edit(directory, modify(L, "add", f"<SID={sid}>")) == [(False, refusal)]
    assert directory.members(L) == set()


@case(
    "Edit-Directory",
    cites="ad.md: | universal | forest | forest | yes | no 8518 | no 8549 | | domain local | forest, trusted | forest, trusted | yes |",
)
def test_groups_hold_groups_as_their_scopes_allow(directory: Directory) -> None:
    assert edit(directory, modify(U, "add", G), modify(L, "add", G, U)) == [DONE, DONE]
    assert (directory.members(U), directory.members(L)) == ({G}, {G, U})
    chain = "(memberOf:1.2.840.113556.1.4.1941:={})"
    assert edit(directory, modify(G, "add", BOB)) == [DONE]
    searches = [search(dn, BOB, chain.format(filter_value(dn)), "base") for dn in (G, L, U, f"CN=U2,{USERS}")]
    assert found(directory, *searches) == {G: [BOB], L: [BOB], U: [BOB], f"CN=U2,{USERS}": []}


@case(
    "Edit-Directory",
    cites="ad.md: `replace` of `member` and delete of a non-leaf are refused in the verb",
    error="invalid",
)
def test_members_are_never_replaced(directory: Directory) -> None:
    assert edit(directory, modify(G, "add", BOB)) == [DONE]
    for attribute in ("member", "MEMBER", "member;range=0-1", "2.5.4.31", "2.5.4.31;range=0-1", "OID.2.5.4.31"):
        error = directory.refused("Edit-Directory", edits=[modify(G, "replace", ANNA, attribute=attribute)])
        assert error == Refused("invalid", G)
    assert directory.members() == {BOB}


@case("Edit-Directory", cites="ad.md: 49 / data 52e, 532, 533, 701, 773, 775", error="denied")
def test_a_wrong_password_changes_nothing(directory: Directory) -> None:
    error = directory.refused("Edit-Directory", edits=[modify(G, "add", BOB)], secrets={"pw": "Wr0ng pw"})
    assert error == Refused("denied", f"{directory.server}, port 636", ldap=49, win32=0x52E)
    assert directory.members() == set()


@case(
    "Edit-Directory",
    cites="ad.md: create with one add (objectClass group, groupType, sAMAccountName, description)",
    light=True,
)
def test_a_group_is_made_with_one_request(directory: Directory) -> None:
    assert edit(directory, make(f"CN=N,{USERS}", "group", group("N", "domain-local", BOB))) == [DONE]
    assert directory.members(f"CN=N,{USERS}") == {BOB}
    assert directory.values(f"CN=N,{USERS}", "groupType") == (b"-2147483644",)


@case(
    "Search-Directory",
    cites='verbs.md: `searches: [{"id", "base", "scope": "base" | "one" | "sub", "filter"',
    error="invalid",
)
def test_a_search_of_another_shape_is_invalid(directory: Directory) -> None:
    good = search("x", BASE, scope="base")
    wrong: list[tuple[Any, str]] = [
        ("x", "searches"),
        (None, "searches"),
        ([], "searches"),
        *(
            ({name: value for name, value in good.items() if name != gone}, "searches")
            for gone in good
            if gone != "size_limit"
        ),
        ({**good, "odd": 1}, "searches"),
        ({**good, "filter": None}, "searches"),
        ({**good, "attributes": "cn"}, "searches"),
        ({**good, "attributes": [1]}, "attributes"),
        ({**good, "size_limit": "2"}, "searches"),
        ({**good, "size_limit": True}, "searches"),
        ({**good, "size_limit": -1}, "size_limit"),
        ({**good, "scope": "Base"}, "scope"),
        ({**good, "ranges": []}, "searches"),
        *(
            ({**good, "ranges": {"member": range_}}, "ranges")
            for range_ in ("some", [1], [3, 1], [-1, 1], ["0", 1], None)
        ),
    ]
    for given, where in wrong:
        assert directory.refused("Search-Directory", searches=[good, given]) == Refused("invalid", where), given


@case("Edit-Directory", cites="verbs.md: Every edit is checked before the first is sent", error="invalid")
def test_an_edit_of_another_shape_is_invalid_so_that_no_guard_is_lost_by_its_spelling(directory: Directory) -> None:
    good = modify(G, "add", BOB)
    change = good["changes"][0]
    wrong: list[tuple[Any, str]] = [
        ("x", "edits"),
        (None, "edits"),
        *(({name: value for name, value in good.items() if name != gone}, "edits") for gone in good),
        ({"Expect" if name == "expect" else name: value for name, value in good.items()}, "edits"),
        ({**good, "odd": ""}, "edits"),
        ({**good, "expect": 1}, "edits"),
        ({**good, "expect": None}, "edits"),
        ({**good, "changes": None}, "edits"),
        ({**good, "changes": []}, G),
        *(({**good, "changes": [one]}, G) for one in ("x", {"attribute": "member", "op": "add"}, {**change, "odd": 1})),
        *(
            ({**good, "changes": [{**change, "values": values}]}, G)
            for values in (BOB, [1], [None], [{"b": 1}], [{"base64": 1}])
        ),
        ({**good, "changes": [{**change, "attribute": ""}]}, G),
        ({**good, "op": "Modify"}, "op"),
        ({**good, "target": ""}, "target"),
    ]
    for given, where in wrong:
        assert directory.refused("Edit-Directory", edits=[good, given]) == Refused("invalid", where), given
    assert directory.members() == set()


# -- at the end, since hundreds of entries stay --


@case(
    "Search-Directory",
    cites="ad.md: `PageResultRequestControl(n)`, loop until the response cookie is empty",
)
def test_more_than_a_page_is_found_whole_and_a_limit_says_that_there_is_more(directory: Directory) -> None:
    below = f"CN=Many,{USERS}"
    if not found(directory, search("x", below, scope="base"))["x"]:
        many = {f"CN=one {number:03},{below}": {"objectClass": ["container"]} for number in range(501)}
        directory.add_many({below: {"objectClass": ["container"]}} | many)
    sizes: dict[int, tuple[int, bool]] = {
        0: (501, False),
        1: (1, True),
        500: (500, True),
        501: (501, False),
        502: (501, False),
    }
    for limit, expected in sizes.items():
        result = one(directory, search("x", below, scope="one", size_limit=limit))
        assert (len({entry["dn"] for entry in result["entries"]}), result["more"]) == expected
    result = one(directory, search("x", BOB, scope="base", size_limit=1))
    assert (len(result["entries"]), result["more"]) == (1, False)
