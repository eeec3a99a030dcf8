"""What must change in groups, and how a member is told: tables for the decisions, the Python twin of the lab for the searches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab import directory
from model.change import Change, PlanError
from model.directory import Group, Kind, Membership, Principal, Scope
from plans.ad import benign, group_edits, group_type, member_edits, plan_group, plan_member, refusal
from plans.directory_entry import Ask, category_of, domain_of, scope_of
from plans.directory_search import Name, classify, group_steps, membership_steps
from tests.directory_cases import ANNA, BOB, DONE, FOREIGN, G, L, fill
from tests.directory_far import BASE, USERS, Twin, asked, delete, edit, group, modify, user

few = settings(max_examples=50, deadline=None)  # the machine may be busy
CHILD = f"DC=child,{BASE}"
GUID = "5f1d3b2a-9b0c-5d6e-8f70-616263646566"
SID = "S-1-5-21-1-2-3-1105"


def principal(
    kind: Kind = "user", scope: Scope | None = None, *, domain: str = "contoso.com", **more: Any
) -> Principal:
    name = more.pop("name", "X")
    dn = f"CN={name},CN=Users,{','.join(f'DC={part}' for part in domain.split('.'))}"
    kinds: dict[str, Any] = {"group_type": group_type(scope, "security"), "category": "security"} if scope else {}
    fields: dict[str, Any] = {
        "dn": dn,
        "guid": f"guid of {dn}",
        "sid": SID,
        "sam_account_name": name,
        "domain": domain,
        "scope": scope,
    }
    return Principal(kind, **fields | kinds | more)


# -- names --

NAMES = {
    "a plain name": ("mimservice", Name("name", "mimservice")),
    "a name with a dollar sign": ("GMSA$", Name("name", "GMSA$")),
    "32 hex digits are a name": ("0" * 32, Name("name", "0" * 32)),
    "a name longer than 20 letters": ("x" * 30, Name("name", "x" * 30)),
    "a name with a star and brackets": ("a*(b)", Name("name", "a*(b)")),
    "domain and name": (r"CONTOSO\mimservice", Name("domain", "mimservice", "CONTOSO")),
    "a UPN": ("anna@contoso.com", Name("upn", "anna@contoso.com")),
    "an @ without a dot is a name": ("anna@contoso", Name("name", "anna@contoso")),
    "two @ are a name": ("a@b@c.d", Name("name", "a@b@c.d")),
    "a DN": ("CN=a,DC=contoso,DC=com", Name("dn", "CN=a,DC=contoso,DC=com")),
    "a DN with a backslash": (r"CN=a\, b,DC=com", Name("dn", r"CN=a\, b,DC=com")),
    "what ends in no DC is a name": ("CN=a", Name("name", "CN=a")),
    "a SID": ("s-1-5-21-1-2-3-1105", Name("sid", SID)),
    "a GUID": (GUID.upper(), Name("guid", GUID)),
    "a GUID in braces": (f"{{{GUID}}}", Name("guid", GUID)),
    "blanks around it": ("  mimservice ", Name("name", "mimservice")),
}


@pytest.mark.parametrize(("text", "name"), NAMES.values(), ids=NAMES)
def test_the_form_of_a_member(text: str, name: Name) -> None:
    assert classify(text) == name


@pytest.mark.parametrize("text", ["", "  ", "A\\B\\C", "\\a", "A\\", "S-1-5", "S-1-5-", "S-1-5-4294967296"])
def test_what_no_member_can_be_is_refused(text: str) -> None:
    with pytest.raises(PlanError, match="member"):
        classify(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("CN=a+OU=b,DC=contoso,DC=com", "'+' needs a backslash"),
        (r"CN=a\z,DC=contoso,dc = com", r"a broken escape at '\\z,DC=contoso,dc = com'"),
        ("CN=a;b\\,DC=com", "';' needs a backslash"),
    ],
)
def test_a_dn_that_cannot_be_read_is_not_taken_for_a_name(text: str, why: str) -> None:
    with pytest.raises(PlanError) as refused:
        classify(text)
    assert str(refused.value) == f"the member {text!r} is no distinguished name: {why}"


@few
@given(st.text(max_size=30))
def test_any_text_has_one_form_or_is_refused(text: str) -> None:
    try:
        name = classify(text)
    except PlanError:
        return
    assert name.text


def test_the_domain_of_a_name() -> None:
    assert domain_of("CN=a,OU=DC,DC=Child,DC=contoso,DC=com") == "child.contoso.com"
    assert domain_of("CN=a,CN=b") == ""


@pytest.mark.parametrize("scope", ["global", "domain-local", "universal"])
@pytest.mark.parametrize("category", ["security", "distribution"])
def test_a_group_type_says_what_went_in(scope: Scope, category: Any) -> None:
    assert (scope_of(group_type(scope, category)), category_of(group_type(scope, category))) == (scope, category)


def test_group_types_are_those_of_active_directory() -> None:
    made = [
        group_type("global", "security"),
        group_type("domain-local", "security"),
        group_type("universal", "distribution"),
    ]
    assert made == [-2147483646, -2147483644, 8]
    assert (scope_of(-2147483643), category_of(-2147483643)) == ("domain-local", "security")  # builtin


def test_a_group_type_without_a_scope_is_refused() -> None:
    with pytest.raises(ValueError, match="no scope"):
        scope_of(1)


# -- who may be in which group: facts/ad.md 3, line by line; None where it is allowed --

OTHER = "child.contoso.com"
NEW = Principal("foreign", sid=FOREIGN, new=True)
RULES = {
    ("global", "user"): None,
    ("global", "user of another domain"): "is of child.contoso.com, not of contoso.com",
    ("global", "global"): None,
    ("global", "global of another domain"): "is of child.contoso.com, not of contoso.com",
    ("global", "universal"): "is universal",
    ("global", "domain-local"): "is domain-local",
    ("global", "foreign"): "is of another forest",
    ("global", "new foreign"): "is of another forest",
    ("universal", "user"): None,
    ("universal", "user of another domain"): None,
    ("universal", "global"): None,
    ("universal", "global of another domain"): None,
    ("universal", "universal"): None,
    ("universal", "universal of another domain"): None,
    ("universal", "domain-local"): "is domain-local",
    ("universal", "foreign"): "is of another forest",
    ("universal", "new foreign"): "is of another forest",
    ("domain-local", "user"): None,
    ("domain-local", "user of another domain"): None,
    ("domain-local", "global"): None,
    ("domain-local", "global of another domain"): None,
    ("domain-local", "universal"): None,
    ("domain-local", "universal of another domain"): None,
    ("domain-local", "domain-local"): None,
    ("domain-local", "domain-local of another domain"): "is domain-local of child.contoso.com, not of contoso.com",
    ("domain-local", "foreign"): None,
    ("domain-local", "new foreign"): None,
    ("global", "contact"): None,
    ("global", "computer"): None,
}  # fmt: skip


@pytest.mark.parametrize(("scope", "member"), RULES, ids=[" into ".join(reversed(key)) for key in RULES])
def test_who_may_be_in_a_group(scope: Scope, member: str) -> None:
    what, _, elsewhere = member.partition(" of ")
    domain = OTHER if elsewhere else "contoso.com"
    scopes: Any = what if what in ("global", "universal", "domain-local") else None
    kind: Any = "group" if scopes else what
    one = NEW if what == "new foreign" else principal(kind, scopes, domain=domain, name="M")
    target = principal("group", scope, name="G")
    rule = RULES[scope, member]
    said = refusal(target, one)
    assert said == (
        "" if rule is None else f"{target.title} is {scope}; {one.title} {rule}: a {scope} group cannot hold it"
    )


def test_a_group_is_no_member_of_itself() -> None:
    target = principal("group", "domain-local", name="G")
    assert refusal(target, target) == f"{target.title} cannot be a member of itself"


# -- memberships --

TARGET = principal("group", "global", name="G")
MEMBER = principal(name="M")
NOW = Membership(TARGET, MEMBER, "none", "", "dc01")
PLANS = {
    "no member, wanted": (NOW, True, (Change("member", None, MEMBER.dn),)),
    "a member, wanted": (replace(NOW, how="direct"), True, ()),
    "a member by primary group, wanted": (replace(NOW, how="primary"), True, ()),
    "a member through another group, wanted itself": (
        replace(NOW, how="nested"),
        True,
        (Change("member", "(only through another group)", MEMBER.dn),),
    ),
    "no member, not wanted": (NOW, False, ()),
    "a member, not wanted": (replace(NOW, how="direct"), False, (Change("member", MEMBER.dn, None),)),
    "a member through another group, not wanted itself": (replace(NOW, how="nested"), False, ()),
    "one of another forest": (
        replace(NOW, group=replace(TARGET, scope="domain-local"), member=NEW),
        True,
        (Change("member", None, f"{FOREIGN} (of another forest; an object for it is made)"),),
    ),
    "one that is built into Windows": (
        replace(NOW, group=replace(TARGET, scope="domain-local"), member=replace(NEW, sid="S-1-5-11")),
        True,
        (Change("member", None, "S-1-5-11 (built into Windows, no account of a domain; an object for it is made)"),),
    ),
}


@pytest.mark.parametrize(("now", "present", "changes"), PLANS.values(), ids=PLANS)
def test_plan_member(now: Membership, present: bool, changes: tuple[Change, ...]) -> None:
    assert plan_member(now, present=present) == changes


REFUSED = {
    "a member that could not be told": (
        replace(NOW, member=None, problem="no M in contoso.com"),
        True,
        "no M in contoso.com",
    ),
    "also where it should not be in it": (
        replace(NOW, member=None, problem="no M in contoso.com"),
        False,
        "no M in contoso.com",
    ),
    "one that a group of that scope cannot hold": (
        replace(NOW, member=principal("group", "universal", name="U")),
        True,
        "G (CN=G,CN=Users,DC=contoso,DC=com) is global; U (CN=U,CN=Users,DC=contoso,DC=com) is universal: a global group cannot hold it",
    ),
    "one that is in it by its primary group": (
        replace(NOW, how="primary"),
        False,
        "M (CN=M,CN=Users,DC=contoso,DC=com) is in G as its primary group: give it another primary group first",
    ),
}


@pytest.mark.parametrize(("now", "present", "text"), REFUSED.values(), ids=REFUSED)
def test_plan_member_refuses(now: Membership, present: bool, text: str) -> None:
    with pytest.raises(PlanError) as refused:
        plan_member(now, present=present)
    assert str(refused.value) == text


def test_a_member_is_one_value_of_one_guarded_edit_and_never_a_replace() -> None:
    group_guid = replace(TARGET, guid=GUID)
    expected = {
        "id": "member",
        "op": "modify",
        "target": f"<GUID={GUID}>",
        "expect": r"(&(objectGUID=\2a\3b\1d\5f\0c\9b\6e\5d\8f\70\61\62\63\64\65\66)(groupType=-2147483646))",
        "class": "",
        "changes": [{"attribute": "member", "op": "add", "values": [MEMBER.dn]}],
    }
    now = replace(NOW, group=group_guid)
    assert member_edits(now, present=True) == [expected]
    removed = expected | {"changes": [{"attribute": "member", "op": "delete", "values": [MEMBER.dn]}]}
    assert member_edits(now, present=False) == [removed]
    foreign = expected | {"changes": [{"attribute": "member", "op": "add", "values": [f"<SID={FOREIGN}>"]}]}
    assert member_edits(replace(now, member=NEW), present=True) == [foreign]


BENIGN = {
    "added by somebody else": ("add", 68, 0x562, True),
    "added by somebody else, as a value": ("add", 20, 0x200D, True),
    "deleted by somebody else": ("delete", 16, 0x561, True),
    "deleted by somebody else, as refused": ("delete", 53, 0x561, True),
    "a plain refusal": ("delete", 53, None, False),
    "no right": ("add", 50, 0x2098, False),
    "an old value of another attribute": ("description", 16, 0x2085, False),
    "not added, because it is not there": ("add", 16, None, False),
}


@pytest.mark.parametrize(("op", "ldap", "win32", "expected"), BENIGN.values(), ids=BENIGN)
def test_which_errors_only_say_that_somebody_was_faster(op: str, ldap: int, win32: int | None, expected: bool) -> None:
    sent = modify(G, "delete", "x", attribute="description") if op == "description" else modify(G, op, BOB)
    assert benign(sent, ldap, win32) is expected


# -- groups --

ABSENT = Group(False, None, f"CN=N,{USERS}", None, "dc01")
THERE = Group(True, replace(TARGET, description="old"), f"CN=G,{USERS}", None, "dc01")
MADE = (
    Change("distinguishedName", None, f"CN=N,{USERS}"),
    Change("sAMAccountName", None, "N"),
    Change("scope", None, "global"),
    Change("category", None, "security"),
)
WANTED: dict[str, Any] = {"scope": "global", "category": "security", "description": None}
GROUP_PLANS = {
    "an absent group is made": (ABSENT, {}, MADE),
    "with its description": (ABSENT, {"description": "d"}, (*MADE, Change("description", None, "d"))),
    "an empty description is none": (ABSENT, {"description": ""}, MADE),
    "a group that is as wanted": (THERE, {}, ()),
    "its description is left alone": (THERE, {"description": None}, ()),
    "the same description": (THERE, {"description": "old"}, ()),
    "another description": (THERE, {"description": "new"}, (Change("description", "old", "new"),)),
    "a new one of no kind in particular": (ABSENT, {"scope": None, "category": None}, MADE),
    "a kind that is not named": (
        replace(THERE, group=replace(TARGET, scope="universal", category="distribution")),
        {"scope": None, "category": None},
        (),
    ),
    "a description taken away": (THERE, {"description": ""}, (Change("description", "old", None),)),
}


@pytest.mark.parametrize(("now", "wanted", "changes"), GROUP_PLANS.values(), ids=GROUP_PLANS)
def test_plan_group(now: Group, wanted: dict[str, Any], changes: tuple[Change, ...]) -> None:
    assert plan_group(now, "N" if now is ABSENT else "G", **WANTED | wanted) == changes


WAS = "CN=G,CN=Users,DC=contoso,DC=com exists and is global security"
NEITHER = "Neither is changed here: give the operation what it is, or change the group by hand"
GROUP_REFUSED = {
    "another scope is reported, not changed": (
        THERE,
        "G",
        {"scope": "universal"},
        f"{WAS}, wanted is universal security. {NEITHER}",
    ),
    "another category where no scope is named": (
        THERE,
        "G",
        {"scope": None, "category": "distribution"},
        f"{WAS}, wanted is global distribution. {NEITHER}",
    ),
    "another category too": (THERE, "G", {"category": "distribution"}, f"{WAS}, wanted is global distribution. {NEITHER}"),
    "an account has the name": (
        replace(ABSENT, holder=principal(name="N")),
        "N",
        {},
        "it cannot be made: N (CN=N,CN=Users,DC=contoso,DC=com), a user, has that name already. Rename one of them",
    ),
    "a name with a backslash": (ABSENT, r"CONTOSO\N", {}, r"the name 'CONTOSO\\N' has '\\': a group cannot have it as sAMAccountName"),
    "the empty name": (ABSENT, "", {}, "the name '' is empty, or begins or ends with a blank or a dot: a group cannot have it as sAMAccountName"),
    "a name that is too long": (ABSENT, "N" * 65, {}, f"the name '{'N' * 65}' has 65 characters; the cn made from it may have 64"),
}  # fmt: skip


@pytest.mark.parametrize(("now", "name", "wanted", "text"), GROUP_REFUSED.values(), ids=GROUP_REFUSED)
def test_plan_group_refuses(now: Group, name: str, wanted: dict[str, Any], text: str) -> None:
    with pytest.raises(PlanError) as refused:
        plan_group(now, name, **WANTED | wanted)
    assert str(refused.value) == text


# -- what is searched, and found, at the twin --


@pytest.fixture
def far(tmp_path: Path) -> Twin:
    twin = Twin(tmp_path)
    fill(twin)
    return twin


@pytest.fixture
def forest(far: Twin) -> Twin:
    far.add(CHILD, {"objectClass": ["domainDNS"], "nETBIOSName": ["CHILD"]})
    far.add_many(
        {
            f"CN=Anna,CN=Users,{CHILD}": user("anna", userPrincipalName="anna@contoso.com"),
            f"CN=Carl,CN=Users,{CHILD}": user("carl", userPrincipalName="carl@corp.example"),
            f"CN=CG,CN=Users,{CHILD}": group("CG"),
        }
    )
    return far


FOREST = {
    "a name means the group's own domain": ("anna", ANNA, ""),
    "a domain before the name means that domain": ("CHILD\\anna", f"CN=Anna,CN=Users,{CHILD}", ""),
    "by the DNS name of the domain": ("child.contoso.com\\carl", f"CN=Carl,CN=Users,{CHILD}", ""),
    "a name of the other domain alone is missing": ("carl", None, "no carl in contoso.com (sAMAccountName carl and carl$)"),
    "an explicit UPN of any suffix": ("carl@corp.example", f"CN=Carl,CN=Users,{CHILD}", ""),
    "an implicit UPN of the other domain": ("carl@child.contoso.com", f"CN=Carl,CN=Users,{CHILD}", ""),
    "an explicit UPN of one that is another's implicit one": (
        "anna@contoso.com",
        None,
        f"anna@contoso.com is ambiguous in this forest: anna (CN=Anna,CN=Users,{CHILD}); anna ({ANNA}). Write the DN, the SID or the GUID",
    ),
    "a DN of the other domain": (f"cn=carl,cn=users,{CHILD}", f"CN=Carl,CN=Users,{CHILD}", ""),
    "an unknown domain names the known ones": (
        "FABRIKAM\\anna",
        None,
        "no domain 'FABRIKAM' is in this forest, which has CONTOSO (contoso.com), CHILD (child.contoso.com). Of another forest, write the SID",
    ),
    "a builtin name": ("BUILTIN\\Users", None, r"BUILTIN\Users is built in: write its SID instead"),
}  # fmt: skip


@pytest.mark.parametrize(("member", "dn", "problem"), FOREST.values(), ids=FOREST)
def test_members_of_a_forest(forest: Twin, member: str, dn: str | None, problem: str) -> None:
    seen, calls = asked(forest, membership_steps("U", member))
    assert (seen.member.dn if seen.member else None, seen.problem) == (dn, problem)
    assert calls <= 4


class AtChild(Twin):
    """The same forest, asked at a domain controller of CHILD: CONTOSO is another domain there, and the one above."""

    def __init__(self, forest: Twin) -> None:
        self.engine, self.machine, self.server = forest.engine, forest.machine, "child.contoso.com"

    def call(self, verb: str, **args: Any) -> dict[str, Any]:
        return super().call(verb, **{"server": self.server} | args)


# A search below CONTOSO at the global catalog finds what is in CHILD, too: its domain is the one above.
ABOVE = {
    "a domain before the name means that domain, not one below it": ("CONTOSO\\anna", ANNA, ""),
    "one below the domain is none of it": ("CONTOSO\\carl", None, r"no CONTOSO\carl in contoso.com (sAMAccountName carl and carl$)"),
    "a computer below it is none of it": ("CONTOSO\\pc", None, r"no CONTOSO\pc in contoso.com (sAMAccountName pc and pc$)"),
    "an implicit UPN means that domain, not one below it": ("bob@contoso.com", BOB, ""),
    "an implicit UPN of one below the domain is none": (
        "carl@contoso.com",
        None,
        "no carl@contoso.com in this forest (as userPrincipalName, as carl of the domain contoso.com, as sAMAccountName)",
    ),
    "the own domain": ("CHILD\\anna", f"CN=Anna,CN=Users,{CHILD}", ""),
}  # fmt: skip


@pytest.mark.parametrize(("member", "dn", "problem"), ABOVE.values(), ids=ABOVE)
def test_members_of_the_domain_above(forest: Twin, member: str, dn: str | None, problem: str) -> None:
    forest.add(f"CN=Bob,CN=Users,{CHILD}", user("bob"))
    forest.add(f"CN=pc,CN=Computers,{CHILD}", {"objectClass": ["computer"], "sAMAccountName": ["pc$"]})
    seen, _ = asked(AtChild(forest), membership_steps("CG", member))
    assert (seen.group.dn if seen.group else "") == f"CN=CG,CN=Users,{CHILD}"
    assert (seen.member.dn if seen.member else None, seen.problem) == (dn, problem)


def test_however_many_domains_are_below_the_one_that_is_meant_it_is_found(forest: Twin) -> None:
    for number in range(6):
        below = f"DC=d{number},{BASE}"
        forest.add(below, {"objectClass": ["domainDNS"], "nETBIOSName": [f"D{number}"]})
        forest.add(f"CN=late,CN=Users,{below}", user("late"))
    forest.add(f"CN=late,{USERS}", user("late"))
    seen, _ = asked(AtChild(forest), membership_steps("CG", "CONTOSO\\late"))
    assert (seen.member.dn if seen.member else None, seen.problem) == (f"CN=late,{USERS}", "")


class PartialCatalog(Twin):
    """The same forest, whose global catalog shows less of an account than its domain does: here, not its primary group."""

    def __init__(self, forest: Twin) -> None:
        self.engine, self.machine, self.server = forest.engine, forest.machine, forest.server

    def call(self, verb: str, **args: Any) -> dict[str, Any]:
        answer = super().call(verb, **args)
        for one in answer["result"]["searches"] if args.get("port") == 3268 else []:
            for entry in one["entries"]:
                entry["attributes"].pop("primarygroupid", None)
        return answer


def test_what_the_domain_controller_shows_of_a_member_counts_before_its_catalog(forest: Twin) -> None:
    seen, _ = asked(PartialCatalog(forest), membership_steps("Domain Users", "anna.smith@contoso.com"))
    assert (seen.member.dn if seen.member else "", seen.how, seen.problem) == (ANNA, "primary", "")


def test_sids_and_guids_of_the_other_domain(forest: Twin) -> None:
    carl = f"CN=Carl,CN=Users,{CHILD}"
    steps = membership_steps("U", carl)
    found = asked(forest, steps)[0].member
    assert found is not None
    assert [asked(forest, membership_steps("U", text))[0].member for text in (found.sid, found.guid)] == [found, found]
    assert found.domain == "child.contoso.com"


def test_a_member_of_the_other_domain_is_found_in_the_group_directly_and_nested(forest: Twin) -> None:
    carl = f"CN=Carl,CN=Users,{CHILD}"
    edit(forest, modify("CN=U," + USERS, "add", carl), modify(L, "add", "CN=U," + USERS))
    hows = [asked(forest, membership_steps(name, "CHILD\\carl"))[0].how for name in ("U", "L", "U2")]
    assert hows == ["direct", "nested", "none"]


def test_a_server_that_is_no_catalog_is_named_where_one_is_needed(forest: Twin) -> None:
    store = directory.load(forest.machine)
    steps = membership_steps("U", "CHILD\\carl")
    ask = next(steps)
    assert [search.id for search in ask.searches] == ["root"]
    # The root of a server that is no catalog differs in this one value.
    from plans.directory_entry import Entry, Reply  # noqa: PLC0415 - only here is a reply made by hand

    root = Entry(
        "",
        {
            "defaultnamingcontext": (BASE.encode(),),
            "configurationnamingcontext": (f"CN=Configuration,{BASE}".encode(),),
        },
    )
    ask = steps.send(Reply("dc01", {"root": (root,)}))
    domains = tuple(
        Entry(
            "", {"ncname": (one.dn.encode(),), "dnsroot": (one.dns.encode(),), "netbiosname": (one.netbios.encode(),)}
        )
        for one in store.domains()
    )
    empty: dict[str, tuple[Entry, ...]] = {search.id: () for search in ask.searches}
    with pytest.raises(StopIteration) as end:
        steps.send(Reply("dc01", empty | {"domains": domains}))
    assert end.value.value == Membership(
        None,
        None,
        "none",
        r"CHILD\carl may be in another domain of the forest, and dc01 is no global catalog: give one as directory_server",
        "dc01",
    )


FOUND = {
    "a computer without its dollar sign": ("PC1", f"CN=PC1,CN=Computers,{BASE}"),
    "a computer with it": ("PC1$", f"CN=PC1,CN=Computers,{BASE}"),
    "a user and a computer of the same cn": ("both", f"CN=both,{USERS}"),
    "a name that is not the cn": ("svc-other", f"CN=Another name,{USERS}"),
    "a group with an @ in its name": ("team@contoso.com", f"CN=team,{USERS}"),
    "a contact": (f"CN=contact,{USERS}", f"CN=contact,{USERS}"),
    "a name with a star finds itself": ("a*", f"CN=star,{USERS}"),
    "an umlaut": ("Jürgen", f"CN=Jürgen,{USERS}"),
}


@pytest.mark.parametrize(("member", "dn"), FOUND.values(), ids=FOUND)
def test_members_of_every_kind(far: Twin, member: str, dn: str) -> None:
    computer = {"objectClass": ["computer"]}
    far.add_many(
        {
            f"CN=PC1,CN=Computers,{BASE}": computer | {"sAMAccountName": ["PC1$"]},
            f"CN=both,CN=Computers,{BASE}": computer | {"sAMAccountName": ["both$"]},
            f"CN=both,{USERS}": user("both"),
            f"CN=Another name,{USERS}": user("svc-other"),
            f"CN=team,{USERS}": group("team@contoso.com"),
            f"CN=contact,{USERS}": {"objectClass": ["contact"]},
            f"CN=star,{USERS}": user("a*"),
            f"CN=abc,{USERS}": user("abc"),
            f"CN=Jürgen,{USERS}": user("Jürgen"),
        }
    )
    seen, _ = asked(far, membership_steps("L", member))
    assert (seen.member.dn if seen.member else None, seen.problem) == (dn, "")


def test_a_sid_of_the_own_domain_without_an_object_is_missing_and_one_of_another_forest_is_new(far: Twin) -> None:
    own = asked(far, membership_steps("L", "bob"))[0].member
    assert own is not None
    gone = f"{own.sid.rpartition('-')[0]}-9999"
    seen, _ = asked(far, membership_steps("L", gone))
    assert (seen.member, seen.problem) == (None, f"no {gone} in this forest, whose SID it would be")
    assert asked(far, membership_steps("L", FOREIGN))[0].member == NEW


def test_one_of_another_forest_is_found_again_by_its_object(far: Twin) -> None:
    edit(far, modify(L, "add", f"<SID={FOREIGN}>"))
    seen, _ = asked(far, membership_steps("L", FOREIGN))
    dn = f"CN={FOREIGN},CN=ForeignSecurityPrincipals,{BASE}"
    assert seen.member is not None
    assert (seen.member.kind, seen.member.dn, seen.how) == ("foreign", dn, "direct")


def test_an_account_that_has_the_name_of_the_group_is_no_group(far: Twin) -> None:
    assert asked(far, membership_steps("bob", "anna"))[0].problem == f"bob ({BOB}) is a user, no group"
    now, _ = asked(far, group_steps("bob", None))
    assert (now.found, now.holder.dn if now.holder else None) == (False, BOB)


@pytest.mark.parametrize("name", ["", " "])
def test_a_group_without_a_name_is_no_group_that_is_missing(far: Twin, name: str) -> None:
    asks: list[Ask] = []
    seen, _ = asked(far, membership_steps(name, "anna"), asks.append)
    assert (seen.problem, asks) == ("the group is empty: expected its sAMAccountName", [])


@pytest.mark.parametrize("path", [f"OU=none,{BASE}", f"CN=Users,DC=other,{BASE}"])
def test_a_container_that_is_not_there_is_named_before_anything_is_made(far: Twin, path: str) -> None:
    now, calls = asked(far, group_steps("N", path))
    with pytest.raises(PlanError) as refused:
        plan_group(now, "N", **WANTED)
    expected = f"it cannot be made: there is no {path} at dc01.contoso.com. Make it first, or give another path"
    assert (str(refused.value), calls) == (expected, 2)
    there, _ = asked(far, group_steps("G", path))
    assert plan_group(there, "G", **WANTED) == ()


def test_an_object_that_has_the_dn_of_the_group_to_be_made_is_found(far: Twin) -> None:
    far.add(f"CN=N,{USERS}", user("other"))
    now, calls = asked(far, group_steps("N", None))
    assert (now.wanted_dn, now.holder.dn if now.holder else None, calls) == (f"CN=N,{USERS}", f"CN=N,{USERS}", 2)


def test_a_group_is_made_and_then_it_is_as_wanted(far: Twin) -> None:
    wanted: dict[str, Any] = {"scope": "universal", "category": "distribution", "description": 'odd "ü"'}
    name = "#1 (ü) & co"
    now, _ = asked(far, group_steps(name, f"OU=Domain Controllers,{BASE}"))
    changes = plan_group(now, name, **wanted)
    kinds = {key: value for key, value in wanted.items() if key != "description"}
    assert edit(far, *group_edits(now, name, **kinds, changes=changes)) == [DONE]
    after, _ = asked(far, group_steps(name, None))
    assert after.group is not None
    assert after.group.dn == rf"CN=\#1 (ü) & co,OU=Domain Controllers,{BASE}"
    assert plan_group(after, name, **wanted) == ()
    changes = plan_group(after, name, **wanted | {"description": ""})
    assert edit(far, *group_edits(after, name, **kinds, changes=changes)) == [DONE]
    assert far.values(after.group.dn, "description") == ()


def test_a_description_that_changed_meanwhile_is_left_alone(far: Twin) -> None:
    edit(far, modify(G, "replace", "old", attribute="description"))
    now, _ = asked(far, group_steps("G", None))
    wanted: dict[str, Any] = {"scope": "global", "category": "security"}
    changes = plan_group(now, "G", **wanted, description="new")
    edit(far, modify(G, "replace", "theirs", attribute="description"))
    assert edit(far, *group_edits(now, "G", **wanted, changes=changes)) == [(False, ("conflict", 16, 0x2085))]
    assert far.values(G, "description") == (b"theirs",)


def test_a_group_that_is_renamed_meanwhile_is_still_the_right_one(far: Twin) -> None:
    now, _ = asked(far, membership_steps("G", "bob"))
    directory.rename(far.machine, G, f"CN=Renamed,{USERS}")
    assert edit(far, *member_edits(now, present=True)) == [DONE]
    assert far.values(f"CN=Renamed,{USERS}", "member") == (BOB.encode(),)


def test_a_group_that_is_deleted_meanwhile_is_missing(far: Twin) -> None:
    now, _ = asked(far, membership_steps("G", "bob"))
    edit(far, delete(G))
    assert edit(far, *member_edits(now, present=True)) == [(False, ("missing", 32, 0x2030))]


def test_a_group_whose_scope_changes_meanwhile_takes_no_member(far: Twin) -> None:
    now, _ = asked(far, membership_steps("G", "bob"))
    edit(far, modify(G, "replace", "-2147483640", attribute="groupType"))
    assert edit(far, *member_edits(now, present=True)) == [(False, ("conflict", None, None))]
    assert far.values(G, "member") == ()


def test_a_circle_of_groups_ends(far: Twin) -> None:
    edit(far, modify(L, "add", f"CN=L2,{USERS}"), modify(f"CN=L2,{USERS}", "add", L))
    assert [asked(far, membership_steps("L", name))[0].how for name in ("L2", "L", "bob")] == [
        "direct",
        "nested",
        "none",
    ]


def test_nobody_reads_the_list_of_members(far: Twin) -> None:
    asks: list[Ask] = []
    asked(far, membership_steps("G", "anna"), asks.append)
    asked(far, group_steps("G", None), asks.append)
    read = {name.lower() for ask in asks for search in ask.searches for name in search.attributes}
    assert read.isdisjoint({"member", "memberof", "*"})


SPELLINGS = ("anna", "ANNA", "CONTOSO\\Anna", "anna@contoso.com", "Anna.Smith@CONTOSO.com", ANNA, ANNA.upper())


@pytest.mark.parametrize("first", SPELLINGS)
def test_what_was_added_in_one_spelling_is_there_in_every_other(far: Twin, first: str) -> None:
    now, _ = asked(far, membership_steps("G", first))
    assert plan_member(now, present=True) == (Change("member", None, ANNA),)
    assert edit(far, *member_edits(now, present=True)) == [DONE]
    for second in SPELLINGS:
        again, calls = asked(far, membership_steps("G", second))
        assert (plan_member(again, present=True), calls) == ((), 3)
