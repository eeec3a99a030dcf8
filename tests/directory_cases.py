"""
What a domain controller answers, case by case: the Python twin by facts/ad.md, a real Samba by what it does.

Where Samba is known to differ from Active Directory, `samba` says how, and `why` names the line of the facts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from plans.ldap import guid_to_text, parse_dn, sid_to_text
from tests.directory_far import BASE, USERS, Far, delete, group, make, modify, user

Answer = tuple[bool, tuple[str, int | None, int | None] | None]
DONE: Final[Answer] = (True, None)


def no(kind: str, ldap: int | None = None, win32: int | None = None) -> Answer:
    """The answer of an edit that failed."""
    return False, (kind, ldap, win32)


G: Final = f"CN=G,{USERS}"  # global
L: Final = f"CN=L,{USERS}"  # domain local
U: Final = f"CN=U,{USERS}"  # universal
ANNA: Final = rf"CN=Smith\, Anna #1 (\+a\\b\;),{USERS}"
BOB: Final = f"CN=Bob,{USERS}"
FOREIGN: Final = "S-1-5-21-1111-2222-3333-1104"


OWN: Final = (
    *(ANNA, BOB, *(f"CN={name},{USERS}" for name in ("G", "L", "U", "G2", "L2", "U2", "N"))),
    f"CN={FOREIGN},CN=ForeignSecurityPrincipals,{BASE}",
)


def spelled(dn: str) -> tuple[tuple[str, str], ...]:
    """A DN however it is spelled: the server writes some characters in another way than they were given (facts/ad.md 2)."""
    return parse_dn(dn.casefold()) if dn else ()


def fill(far: Far) -> None:
    """The entries that the cases are about."""
    entries = {ANNA: user("anna", userPrincipalName="anna.smith@contoso.com"), BOB: user("bob")}
    scopes = {
        "G": "global",
        "L": "domain-local",
        "U": "universal",
        "G2": "global",
        "L2": "domain-local",
        "U2": "universal",
    }
    far.add_many(entries | {f"CN={name},{USERS}": group(name, scope) for name, scope in scopes.items()})


@dataclass(frozen=True)
class Case:
    """Edits, each in a call of its own, and their answers. `samba` where it is another one there."""

    edits: tuple[dict[str, Any], ...]
    answers: tuple[Answer, ...]
    samba: tuple[Answer, ...] | None = None
    why: str = ""


LENIENT: Final = "Samba enforces no scope rule (facts/ad.md 0.1)"
WORDS: Final = "Samba's text has no number of Windows there (measured)"

CASES: Final[Mapping[str, Case]] = {
    "a member is added and deleted": Case((modify(G, "add", BOB), modify(G, "delete", BOB)), (DONE, DONE)),
    "a member by GUID of the group, by an odd DN of its own": Case((modify(G, "add", ANNA), modify(G, "delete", ANNA)), (DONE, DONE)),
    "another spelling of a DN means the same": Case(
        (modify(G.lower(), "add", BOB.upper().replace(",", " , ")), modify(G, "add", BOB)),
        (DONE, no("conflict", 68, 0x562)),
        (DONE, no("conflict", 68)),
        WORDS,
    ),
    "a member twice in a row is 68": Case(
        (modify(G, "add", BOB), modify(G, "add", BOB)), (DONE, no("conflict", 68, 0x562)), (DONE, no("conflict", 68)), WORDS
    ),
    "one that never was a member is 16": Case(
        (modify(G, "delete", BOB),), (no("conflict", 16, 0x561),), (no("conflict", 16),), WORDS
    ),
    "one that was a member and is none any more is 16, of Samba 53 without a number": Case(
        (modify(G, "add", BOB), modify(G, "delete", BOB), modify(G, "delete", BOB)),
        (DONE, DONE, no("conflict", 16, 0x561)),
        (DONE, DONE, no("unknown", 53)),
        "facts/ad.md 0.3",
    ),
    "a member that is nothing is missing": Case((modify(G, "add", f"CN=nobody,{USERS}"),), (no("missing", 32, 0x525),)),
    "a group that is nothing is missing": Case((modify(f"CN=none,{USERS}", "add", BOB),), (no("missing", 32, 0x2030),)),
    "the primary group holds its members already": Case(
        (modify(f"CN=Domain Users,{USERS}", "add", BOB),), (no("conflict", 68, 0x562),), (no("conflict", 68, 0x2071),), "facts/ad.md 3"
    ),
    "a member by primary group cannot be deleted": Case(
        (modify(f"CN=Domain Users,{USERS}", "delete", BOB),), (no("conflict", 16, 0x561),), (no("conflict", 16),), WORDS
    ),
    "a builtin group takes add and delete": Case(
        (modify(f"CN=Administrators,CN=Builtin,{BASE}", "add", BOB), modify(f"CN=Administrators,CN=Builtin,{BASE}", "delete", BOB)), (DONE, DONE)
    ),
    "global into global": Case((modify(G, "add", f"CN=G2,{USERS}"),), (DONE,)),
    "global into universal and domain local": Case((modify(U, "add", G), modify(L, "add", G)), (DONE, DONE)),
    "universal into domain local and universal": Case((modify(L, "add", U), modify(f"CN=U2,{USERS}", "add", U)), (DONE, DONE)),
    "domain local into domain local": Case((modify(L, "add", f"CN=L2,{USERS}"),), (DONE,)),
    "domain local into global": Case((modify(G, "add", L),), (no("invalid", 53, 0x2144),), (DONE,), LENIENT),
    "universal into global": Case((modify(G, "add", U),), (no("invalid", 53, 0x2145),), (DONE,), LENIENT),
    "domain local into universal": Case((modify(U, "add", L),), (no("invalid", 53, 0x2146),), (DONE,), LENIENT),
    "a foreign SID into global": Case((modify(G, "add", f"<SID={FOREIGN}>"),), (no("invalid", 53, 0x2147),), (DONE,), LENIENT),
    "a foreign SID into universal": Case((modify(U, "add", f"<SID={FOREIGN}>"),), (no("invalid", 53, 0x2165),), (DONE,), LENIENT),
    "a foreign SID into domain local makes an object for it, which stays": Case(
        (modify(L, "add", f"<SID={FOREIGN}>"), modify(L, "delete", f"CN={FOREIGN},CN=ForeignSecurityPrincipals,{BASE}")), (DONE, DONE)
    ),
    "one value that is there already, and nothing of the request happens": Case(
        (modify(G, "add", BOB), modify(G, "add", ANNA, BOB), modify(G, "delete", ANNA)),
        (DONE, no("conflict", 68, 0x562), no("conflict", 16, 0x561)),
        (DONE, no("conflict", 68), no("unknown", 53)),
        WORDS,
    ),
    "an expectation that does not hold, and nothing is sent": Case(
        (modify(G, "add", BOB, expect="(groupType=4)"), modify(G, "add", BOB, expect="(groupType=-2147483646)")), (no("conflict"), DONE)
    ),
    "an expectation of what is not there is missing": Case(
        (modify(f"CN=none,{USERS}", "add", BOB, expect="(cn=none)"),), (no("missing", 32, 0x2030),), (no("missing", 32),), WORDS
    ),
    "an old value that is not there any more is 16": Case(
        (
            modify(G, "replace", "new", attribute="description"),
            {**modify(G, "delete", "old", attribute="description"), "id": "x"},
        ),
        (DONE, no("conflict", 16, 0x2085)),
        (DONE, no("conflict", 16)),
        WORDS,
    ),
    "a text without characters is no value": Case(
        (modify(G, "add", "", attribute="description"), modify(G, "replace", "", attribute="description")),
        (no("unknown", 21), no("unknown", 21)),
    ),
    # RFC 4511 4.6: notAllowedOnRDN. The number of Windows is Samba's, of AD's nobody here knows.
    "the name that an entry has in its DN is not changed by a modify": Case(
        (modify(G, "replace", "other", attribute="cn"),), (no("unknown", 67, 0x2016),)
    ),
    "a group is made once": Case(
        (make(f"CN=N,{USERS}", "group", group("N")), make(f"CN=N,{USERS}", "group", group("N2"))),
        (DONE, no("conflict", 68, 0x2071)),
        (DONE, no("conflict", 68)),
        WORDS,
    ),
    "a sAMAccountName that is taken": Case(
        (make(f"CN=N,{USERS}", "group", group("BOB")),), (no("conflict", 68, 0x524),), (no("conflict", 68, 0x2071),), "facts/ad.md 4"
    ),
    "a group in a container that is not there": Case((make(f"CN=N,CN=none,{BASE}", "group", group("N")),), (no("missing", 32, 0x2030),)),
    "a class among the attributes": Case(
        (make(f"CN=N,{USERS}", "", group("N") | {"objectClass": ["group"]}), make(f"CN=G2,CN=Computers,{BASE}", "", user("n2"))),
        (DONE, no("invalid", 65)),
        (DONE, no("invalid", 65, 0x2014)),
        "the number is Samba's",
    ),
    "a malformed name": Case((make("N", "group", group("N")),), (no("invalid", 34),), (no("invalid", 34, 0x2032),), "the number is Samba's"),
    "an entry is deleted": Case((delete(BOB), delete(BOB)), (DONE, no("missing", 32, 0x2030))),
    "what has others below it is not deleted": Case(
        (delete(f"CN=Builtin,{BASE}"),), (no("invalid", 66),), (no("unknown", 53, 0x2035),), "Samba protects the container first (measured)"
    ),
    "a scope goes from global to domain local over universal only": Case(
        (modify(G, "replace", "-2147483644", attribute="groupType"), modify(G, "replace", "-2147483640", attribute="groupType")),
        (no("unknown", 53, 0x2035), DONE),
    ),
    "a single value twice": Case((modify(G, "add", "G3", attribute="sAMAccountName"),), (no("conflict", 20, 0x200D),)),
}  # fmt: skip


@dataclass(frozen=True)
class SearchCase:
    """A search, and the DNs that it finds on both engines."""

    filter: str
    found: tuple[str, ...]
    base: str = USERS
    scope: str = "sub"


GROUPS: Final = tuple(f"CN={name},{USERS}" for name in ("G", "L", "U", "G2", "L2", "U2"))
OURS: Final = f"(|(sAMAccountName=anna)(sAMAccountName=bob){''.join(f'(sAMAccountName={dn[3:].split(chr(44))[0]})' for dn in GROUPS)})"

SEARCHES: Final[Mapping[str, SearchCase]] = {
    "without regard to case": SearchCase("(SAMACCOUNTNAME=Bob)", (BOB,)),
    "a part of a value": SearchCase(f"(&{OURS}(cn=*mit*Anna*))", (ANNA,)),
    "an escaped star is none": SearchCase(r"(cn=B\2a)", ()),
    "an escaped name": SearchCase(r"(cn=Smith, Anna #1 \28+a\5cb;\29)", (ANNA,)),
    "not": SearchCase(f"(&{OURS}(!(objectClass=group)))", (ANNA, BOB)),
    "present": SearchCase(f"(&{OURS}(userPrincipalName=*))", (ANNA,)),
    "an implicit UPN is no attribute": SearchCase("(userPrincipalName=bob@contoso.com)", ()),
    "bits": SearchCase(f"(&{OURS}(groupType:1.2.840.113556.1.4.803:=8))", (f"CN=U,{USERS}", f"CN=U2,{USERS}")),
    "bits of 32, without a sign": SearchCase(f"(&{OURS}(groupType:1.2.840.113556.1.4.803:=2147483648))", GROUPS),
    "bits of 32, with a sign": SearchCase(f"(&{OURS}(groupType:1.2.840.113556.1.4.803:=-2147483648))", GROUPS),
    "any of the bits": SearchCase(f"(&{OURS}(groupType:1.2.840.113556.1.4.804:=12))", tuple(dn for dn in GROUPS if "G" not in dn[:5])),
    "a number from a limit on": SearchCase(f"(&{OURS}(groupType>=-2147483640))", (f"CN=U,{USERS}", f"CN=U2,{USERS}")),
    "a DN in any spelling": SearchCase(f"(distinguishedName={BOB.lower().replace(',', ' , ')})", (BOB,)),
    "a SID as text": SearchCase("(objectSid=S-1-5-32-544)", (f"CN=Administrators,CN=Builtin,{BASE}",), BASE),
    "a SID as bytes": SearchCase(r"(objectSid=\01\02\00\00\00\00\00\05\20\00\00\00\20\02\00\00)", (f"CN=Administrators,CN=Builtin,{BASE}",), BASE),
    "only the base": SearchCase("(objectClass=*)", (BOB,), BOB, "base"),
    "the base does not match": SearchCase("(objectClass=group)", (), BOB, "base"),
    "only what is directly below": SearchCase(f"{OURS}", (), BASE, "one"),
    "a base by SID": SearchCase("(objectClass=*)", (f"CN=Administrators,CN=Builtin,{BASE}",), "<SID=S-1-5-32-544>", "base"),
    "a base that is not there": SearchCase("(objectClass=*)", (), f"CN=none,{USERS}", "base"),
    "the domains of the forest": SearchCase(
        "(&(objectClass=crossRef)(systemFlags:1.2.840.113556.1.4.803:=2)(nETBIOSName=contoso))",
        (f"CN=CONTOSO,CN=Partitions,CN=Configuration,{BASE}",),
        f"CN=Partitions,CN=Configuration,{BASE}",
        "one",
    ),
    "a well-known container": SearchCase(
        "(objectClass=*)", (f"CN=ForeignSecurityPrincipals,{BASE}",), f"<WKGUID=22B70C67D56E4EFB91E9300FCA3DC1AA,{BASE}>", "base"
    ),
}  # fmt: skip


@dataclass(frozen=True)
class MemberCase:
    """How a member is written, and what comes of it: anna is in G, and G is in U2."""

    member: Callable[[Far], str]
    dn: str | None = None
    how: str = "none"
    problem: str = ""
    group: str = "G"


def _guid(far: Far) -> str:
    return guid_to_text(far.values(ANNA, "objectGUID")[0])


def _sid(far: Far) -> str:
    return sid_to_text(far.values(ANNA, "objectSid")[0])


MEMBERS: Final[Mapping[str, MemberCase]] = {
    "by sAMAccountName": MemberCase(lambda _: "Anna", ANNA, "direct"),
    "by domain and sAMAccountName": MemberCase(lambda _: "contoso\\anna", ANNA, "direct"),
    "by the DNS name of the domain": MemberCase(lambda _: "contoso.com\\anna", ANNA, "direct"),
    "by explicit UPN": MemberCase(lambda _: "Anna.Smith@contoso.com", ANNA, "direct"),
    "by implicit UPN": MemberCase(lambda _: "anna@contoso.com", ANNA, "direct"),
    "by DN": MemberCase(lambda _: ANNA, ANNA, "direct"),
    "by a DN in another spelling": MemberCase(lambda _: ANNA.lower().replace(",cn=users", " , cn=USERS"), ANNA, "direct"),
    "by SID": MemberCase(_sid, ANNA, "direct"),
    "by GUID": MemberCase(_guid, ANNA, "direct"),
    "by GUID in braces": MemberCase(lambda far: f"{{{_guid(far).upper()}}}", ANNA, "direct"),
    "one that is in no group": MemberCase(lambda _: "bob", BOB),
    "one that is in it through another group": MemberCase(lambda _: "anna", ANNA, "nested", group="U2"),
    "one that is in it by its primary group": MemberCase(lambda _: "bob", BOB, "primary", group="Domain Users"),
    "a group": MemberCase(lambda _: "G", f"CN=G,{USERS}", "direct", group="U2"),
    "a group that is not there, the member is": MemberCase(lambda _: "bob", BOB, group="none"),
    "no such name": MemberCase(lambda _: "nobody", problem="no nobody in contoso.com (sAMAccountName nobody and nobody$)"),
    "no such domain": MemberCase(
        lambda _: "FABRIKAM\\anna", problem="no domain 'FABRIKAM' is in this forest, which has CONTOSO (contoso.com). "
        "Of another forest, write the SID"
    ),
    "no such DN": MemberCase(lambda _: f"CN=none,{USERS}", problem=f"no CN=none,{USERS} in contoso.com"),
    "no such GUID": MemberCase(
        lambda _: "5f1d3b2a-9b0c-5d6e-8f70-000000000000", problem="no 5f1d3b2a-9b0c-5d6e-8f70-000000000000 in contoso.com"
    ),
    "32 hex digits are a name": MemberCase(
        lambda _: "0" * 32, problem=f"no {'0' * 32} in contoso.com (sAMAccountName {'0' * 32} and {'0' * 32}$)"
    ),
    "what is no account": MemberCase(lambda _: USERS, problem=f"{USERS} is no account, group or contact: it cannot be in a group"),
    "the empty text": MemberCase(lambda _: " ", problem=r"the member is empty: expected sAMAccountName, DOMAIN\user, UPN, DN, SID or GUID"),
}  # fmt: skip


@dataclass(frozen=True)
class InvalidCase:
    """An edit that is not sent, and what is named."""

    edit: dict[str, Any]
    where: str
    args: dict[str, Any] = field(default_factory=dict)


INVALID: Final[Mapping[str, InvalidCase]] = {
    "member is never replaced": InvalidCase(modify(G, "replace", BOB, attribute="MEMBER"), G),
    "an unknown kind of edit": InvalidCase({**delete(G), "op": "move"}, "op"),
    "an unknown kind of change": InvalidCase(modify(G, "increment", "1", attribute="description"), G),
    "a target that is empty": InvalidCase(modify("", "add", BOB), "target"),
    "a deletion in a new entry": InvalidCase({**make(f"CN=N,{USERS}", "group", {}), "changes": modify(G, "delete", "x")["changes"]}, f"CN=N,{USERS}"),
    "a server that is not named": InvalidCase(delete(G), "server", {"server": ""}),
}  # fmt: skip
