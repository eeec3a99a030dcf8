"""
What is searched to find a group, a member, and whether the one is in the other. Pure: searches out, entries in; who sends them is facts/ad.py,
what they and the entries are is directory_entry.py.

The steps are generators: each yields what can be asked in one call and is sent the reply. Which searches, and why: facts/ad.md 2, 8.3 and 8.4. No
member list is ever read, no first hit is ever taken.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, NoReturn, TypeAlias

from model.change import PlanError
from model.directory import Domain, Group, How, Membership, Principal
from model.forms import BUILT_IN
from plans.directory_entry import Ask, Entry, Reply, Root, Search, domain_of, domains_of, principal
from plans.ldap import dn_value, filter_value, guid_to_bytes, guid_to_text, parse_dn, sid_to_bytes, sid_to_text

Form: TypeAlias = Literal["name", "domain", "upn", "dn", "sid", "guid"]

ROOT: Final = ("defaultNamingContext", "configurationNamingContext", "dnsHostName", "isGlobalCatalogReady")
PRINCIPAL: Final = (
    "objectGUID",
    "objectSid",
    "objectClass",
    "groupType",
    "primaryGroupID",
    "sAMAccountName",
    "description",
)
DOMAINS: Final = "(&(objectClass=crossRef)(systemFlags:1.2.840.113556.1.4.803:=2))"
CHAIN: Final = "1.2.840.113556.1.4.1941"
CANDIDATES: Final = 20  # enough for a message; more than one is an error anyway


@dataclass(frozen=True)
class Name:
    """A member as the user wrote it, told apart: `text` is the part that is looked for, `domain` what stands before a backslash."""

    form: Form
    text: str
    domain: str = ""


class _UnresolvedError(Exception):
    """A member that could not be told: the text says why."""


def classify(member: str) -> Name:
    r"""
    Which form a member is written in: SID, GUID with dashes, DN that ends in DC=, ``DOMAIN\name``, UPN, else sAMAccountName.

    Raises PlanError for the empty text, for two backslashes, and for a DN that cannot be read.
    """
    text = member.strip()
    if not text:
        raise PlanError(r"the member is empty: expected sAMAccountName, DOMAIN\user, UPN, DN, SID or GUID")
    if re.match(r"S-[0-9]+-", text, re.IGNORECASE):
        try:
            sid = sid_to_text(sid_to_bytes(text))
        except ValueError as error:
            raise PlanError(f"the member {error}") from None
        if sid.count("-") < 3:  # noqa: PLR2004 - S-1-5 and at least one number more
            raise PlanError(f"the member {text!r} is no SID: it names an authority, and nothing of it")
        return Name("sid", sid)
    if _is_guid(text):
        return Name("guid", guid_to_text(guid_to_bytes(text)))
    if re.search(r",\s*DC\s*=[^,=]*$", text, re.IGNORECASE) or _is_dn(text):
        try:
            parse_dn(text)
        except ValueError as error:
            raise PlanError(f"the member {error}") from None
        return Name("dn", text)
    if "\\" in text:
        domain, _, name = text.partition("\\")
        if not domain or not name or "\\" in name:
            raise PlanError(f"the member {text!r} is not DOMAIN\\user: expected one backslash between two names")
        return Name("domain", name, domain)
    if re.fullmatch(r"[^@]+@[^@]*[^@.]\.[^@]*[^@.]", text):
        return Name("upn", text)
    return Name("name", text)


def means(member: str, group: Principal) -> bool:
    """Whether a member as the user wrote it may be this group, which is not there yet: by its name, with or without a domain, or by its DN."""
    try:
        name = classify(member)
        if name.form == "dn":
            return parse_dn(name.text.casefold()) == parse_dn(group.dn.casefold())
    except ValueError:
        return False
    domains = {
        "",
        group.domain.casefold(),
        group.domain.partition(".")[0].casefold(),
    }  # the NetBIOS name, where it is as usual
    if name.form == "upn":  # the implicit one, which every account and group has
        before, _, suffix = name.text.partition("@")
        name = Name("domain", before, suffix)
    same = name.text.casefold() == group.sam_account_name.casefold()
    return same and name.form in {"name", "domain"} and name.domain.casefold() in domains


def group_steps(group: str, path: str | None) -> Generator[Ask, Reply, Group]:
    """
    Find a group by its sAMAccountName, and what would stand in the way of making it.

    + path: DN of the container that it would be made in; None is CN=Users of the server's domain
    """
    root = yield from root_steps()
    container = path or f"CN=Users,{root.domain_dn}"
    wanted = f"CN={dn_value(group)},{container}" if group else ""
    searches = [_by_name("group", root.domain_dn, group), Search("container", container, "base", "(objectClass=*)")]
    if wanted:
        searches.append(Search("holder", wanted, "base", "(objectClass=*)", PRINCIPAL))
    reply = yield Ask(tuple(searches))
    hits = [principal(entry) for entry in reply.found["group"]]
    found = next((hit for hit in hits if hit.kind == "group"), None)
    holders = [*hits, *(principal(entry) for entry in reply.found.get("holder", ()))]
    holder = None if found else next(iter(holders), None)
    missing = "" if found or reply.found["container"] else container
    return Group(found is not None, found, wanted, holder, root.server, missing)


def membership_steps(group: str, member: str) -> Generator[Ask, Reply, Membership]:
    """
    Find a group and one principal, and how the one is in the other.

    Three calls where both are in the server's domain, four where the global catalog must be asked. A member that cannot be told is a `problem`
    in the result, not an error: the group may still be worth to know.
    """
    if not group.strip():
        return Membership(None, None, "none", "the group is empty: expected its sAMAccountName", "")
    try:
        name = classify(member)
    except PlanError as error:
        return Membership(None, None, "none", str(error), "")
    root = yield from root_steps()
    first = _first(name, root)
    reply = yield Ask((_by_name("group", root.domain_dn, group), _domains(root), *first))
    groups = [principal(entry) for entry in reply.found["group"]]
    target = next((hit for hit in groups if hit.kind == "group"), None)
    if groups and target is None:
        return Membership(None, None, "none", f"{groups[0].title} is a {groups[0].kind}, no group", root.server)
    try:
        found = yield from _resolve(name, root, reply)
    except _UnresolvedError as error:
        return Membership(target, None, "none", str(error), root.server)
    how: How = "none"
    if target is not None and not found.new:
        how = yield from _how(target, found)
    return Membership(target, found, how, "", root.server)


def root_steps() -> Generator[Ask, Reply, Root]:
    """Which server answers, and for which domain."""
    reply = yield Ask((Search("root", "", "base", "(objectClass=*)", ROOT),))
    if not reply.found["root"]:
        raise PlanError(f"{reply.server} does not show its root entry: is it a domain controller?")
    entry = reply.found["root"][0]
    if not entry.text("defaultNamingContext"):
        raise PlanError(f"{reply.server} has no domain: is it a domain controller?")
    ready = entry.text("isGlobalCatalogReady") == "TRUE"
    return Root(entry.text("defaultNamingContext"), entry.text("configurationNamingContext"), reply.server, ready)


# -- inside --


def _is_guid(text: str) -> bool:
    try:
        guid_to_bytes(text)
    except ValueError:
        return False
    return True


def _is_dn(text: str) -> bool:
    try:
        return parse_dn(text)[-1][0] == "dc"
    except ValueError:
        return False


def _by_name(identity: str, base: str, name: str) -> Search:
    return Search(identity, base, "sub", f"(sAMAccountName={filter_value(name)})", PRINCIPAL, CANDIDATES)


def _domains(root: Root) -> Search:
    return Search(
        "domains", f"CN=Partitions,{root.configuration_dn}", "one", DOMAINS, ("nCName", "dnsRoot", "nETBIOSName")
    )


def _first(name: Name, root: Root) -> tuple[Search, ...]:
    """What is searched for a member in the server's own domain, whatever comes of it."""
    base = root.domain_dn
    match name.form:
        case "name" | "domain":
            # Accounts of computers end in a dollar sign, and most people leave it out.
            dollar = () if name.text.endswith("$") else (_by_name("dollar", base, f"{name.text}$"),)
            return (_by_name("name", base, name.text), *dollar)
        case "upn":
            # Only an explicit UPN is an attribute; the other is sAMAccountName@domain. A group's name may look like one (microsoft.ad #198).
            upn = Search("upn", base, "sub", f"(userPrincipalName={filter_value(name.text)})", PRINCIPAL, CANDIDATES)
            return (upn, _by_name("implicit", base, name.text.partition("@")[0]), _by_name("name", base, name.text))
        case "dn":
            return (Search("dn", name.text, "base", "(objectClass=*)", PRINCIPAL),)
        case "guid":
            return (Search("guid", f"<GUID={name.text}>", "base", "(objectClass=*)", PRINCIPAL),)
        case "sid":
            sid = filter_value(sid_to_bytes(name.text))
            foreign = f"(&(objectClass=foreignSecurityPrincipal)(objectSid={sid}))"
            return (
                Search("sid", f"<SID={name.text}>", "base", "(objectClass=*)", PRINCIPAL),
                Search("foreign", base, "sub", foreign, PRINCIPAL, CANDIDATES),
                Search("head", base, "base", "(objectClass=*)", ("objectSid",)),
            )


def _resolve(name: Name, root: Root, reply: Reply) -> Generator[Ask, Reply, Principal]:
    """The one principal that is meant. Raises _UnresolvedError."""
    domains = domains_of(reply.found["domains"])
    match name.form:
        case "name":
            hits = reply.found["name"] or reply.found.get("dollar", ())
            return _one(hits, name, f"in {root.domain}")
        case "domain":
            return (yield from _in_domain(name, root, domains, reply))
        case "upn":
            return (yield from _by_upn(name, root, domains, reply))
        case "dn":
            by_dn = f"(distinguishedName={filter_value(name.text)})"
            return (yield from _here_or_catalog(name, root, domains, reply.found["dn"], by_dn))
        case "guid":
            by_guid = f"(objectGUID={filter_value(guid_to_bytes(name.text))})"
            return (yield from _here_or_catalog(name, root, domains, reply.found["guid"], by_guid))
        case "sid":
            return (yield from _by_sid(name, root, domains, reply))


def _in_domain(name: Name, root: Root, domains: Sequence[Domain], reply: Reply) -> Generator[Ask, Reply, Principal]:
    wanted = name.domain.lower()
    domain = next((one for one in domains if wanted in (one.netbios.lower(), one.dns)), None)
    if domain is None:
        known = ", ".join(f"{one.netbios} ({one.dns})" for one in domains)
        if wanted in BUILT_IN:
            raise _UnresolvedError(f"{name.domain}\\{name.text} is built in: write its SID instead")
        raise _UnresolvedError(
            f"no domain {name.domain!r} is in this forest, which has {known}. Of another forest, write the SID"
        )
    if domain.dns == root.domain:
        return _one(reply.found["name"] or reply.found.get("dollar", ()), name, f"in {root.domain}")
    searches = tuple(_in_catalog(search, domain) for search in _first(name, root))
    other = yield _catalog(root, name, searches)
    hits = _held(other.found["name"], domain) or _held(other.found.get("dollar", ()), domain)
    return _one(hits, name, f"in {domain.dns}")


def _by_upn(name: Name, root: Root, domains: Sequence[Domain], reply: Reply) -> Generator[Ask, Reply, Principal]:
    before, _, suffix = name.text.partition("@")
    hits = [*reply.found["upn"], *reply.found["name"]]
    if suffix.lower() == root.domain:
        hits += reply.found["implicit"]
    if len(domains) > 1:
        searches = [replace(_first(name, root)[0], base="")]
        meant = next((one for one in domains if suffix.lower() == one.dns != root.domain), None)
        if meant is not None:
            searches.append(_in_catalog(_by_name("implicit", meant.dn, before), meant))
        other = yield _catalog(root, name, tuple(searches))
        hits += other.found["upn"]
        if meant is not None:
            hits += _held(other.found["implicit"], meant)
    where = "in this forest" if len(domains) > 1 else f"in {root.domain}"
    return _one(hits, name, where)


def _here_or_catalog(
    name: Name, root: Root, domains: Sequence[Domain], here: Sequence[Entry], query: str
) -> Generator[Ask, Reply, Principal]:
    if here or len(domains) < 2:  # noqa: PLR2004 - one domain has nothing elsewhere
        return _one(here, name, f"in {root.domain}")
    other = yield _catalog(root, name, (Search("any", "", "sub", query, PRINCIPAL, CANDIDATES),))
    return _one(other.found["any"], name, "in this forest")


def _by_sid(name: Name, root: Root, domains: Sequence[Domain], reply: Reply) -> Generator[Ask, Reply, Principal]:
    hits = reply.found["sid"] or reply.found["foreign"]
    heads = list(reply.found["head"])
    if not hits and len(domains) > 1:
        sid = filter_value(sid_to_bytes(name.text))
        searches = (
            Search("any", "", "sub", f"(objectSid={sid})", PRINCIPAL, CANDIDATES),
            Search("heads", "", "sub", "(objectClass=domainDNS)", ("objectSid",)),
        )
        other = yield _catalog(root, name, searches)
        hits = other.found["any"]
        heads += other.found["heads"]
    if hits:
        return _one(hits, name, "in this forest")
    ours = {sid_to_text(entry.data("objectSid")) for entry in heads if entry.data("objectSid")} | {"S-1-5-32"}
    if name.text.rpartition("-")[0] in ours or name.text in ours:
        _missing(name, "in this forest, whose SID it would be")
    # The server makes an object for it when it is added, and does not ask whether there is such an account (facts/ad.md 3, FSP).
    return Principal("foreign", sid=name.text, new=True)


def _catalog(root: Root, name: Name, searches: tuple[Search, ...]) -> Ask:
    if not root.catalog:
        raise _UnresolvedError(
            f"{_shown(name)} may be in another domain of the forest, and {root.server} is no global catalog: give one as directory_server"
        )
    return Ask(searches, catalog=True)


def _in_catalog(search: Search, domain: Domain) -> Search:
    """A search of another domain, at the global catalog: without a limit, since there it finds what is in the domains below it, too."""
    return replace(search, base=domain.dn, size_limit=0)


def _held(entries: Sequence[Entry], domain: Domain) -> list[Entry]:
    """Those that the domain itself holds, not one below it."""
    return [entry for entry in entries if domain_of(entry.dn) == domain_of(domain.dn)]


def _one(hits: Sequence[Entry], name: Name, where: str) -> Principal:
    """The one object among the hits, found by whichever search, as the first one shows it. Raises _UnresolvedError for none and for several."""
    found = {hit.guid: hit for hit in map(principal, reversed(hits))}  # a catalog, asked last, may show less of it
    if not found:
        _missing(name, where)
    if len(found) > 1:
        candidates = "; ".join(sorted(hit.title for hit in found.values()))
        raise _UnresolvedError(f"{_shown(name)} is ambiguous {where}: {candidates}. Write the DN, the SID or the GUID")
    hit = next(iter(found.values()))
    if hit.kind == "other":
        raise _UnresolvedError(f"{hit.dn} is no account, group or contact: it cannot be in a group")
    return hit


def _missing(name: Name, where: str) -> NoReturn:
    tried = {
        "name": f" (sAMAccountName {name.text} and {name.text}$)" if not name.text.endswith("$") else "",
        "domain": f" (sAMAccountName {name.text} and {name.text}$)" if not name.text.endswith("$") else "",
        "upn": f" (as userPrincipalName, as {name.text.partition('@')[0]} of the domain {name.text.partition('@')[2]}, as sAMAccountName)",
    }.get(name.form, "")
    raise _UnresolvedError(f"no {_shown(name)} {where}{tried}")


def _shown(name: Name) -> str:
    return f"{name.domain}\\{name.text}" if name.form == "domain" else name.text


def _how(group: Principal, member: Principal) -> Generator[Ask, Reply, How]:
    """How a principal is in a group, without a list: two searches of one entry each, in one call."""
    here, value = f"<GUID={group.guid}>", filter_value(member.dn)
    direct = Search("direct", here, "base", f"(member={value})")
    if member.domain == group.domain:
        # From the member up: few groups, instead of everybody who is in the group somehow.
        nested = Search("nested", f"<GUID={member.guid}>", "base", f"(memberOf:{CHAIN}:={filter_value(group.dn)})")
    else:
        nested = Search("nested", here, "base", f"(member:{CHAIN}:={value})")
    reply = yield Ask((direct, nested))
    if reply.found["direct"]:
        return "direct"
    if (
        member.domain == group.domain
        and member.primary_rid is not None
        and group.sid.endswith(f"-{member.primary_rid}")
    ):
        return "primary"
    return "nested" if reply.found["nested"] else "none"
