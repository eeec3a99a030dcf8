"""
What must change in Active Directory, and as which edits. Pure: things as read in, changes and edits out.

How they are found is in directory_search.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from model.change import Change, PlanError, Value
from model.directory import Category, Group, Kind, Membership, Principal, Scope
from model.forms import is_of_a_domain
from plans.directory_entry import SECURITY, domain_of
from plans.ldap import filter_value, guid_to_bytes

Edit: TypeAlias = dict[str, Any]

NOT_IN_A_NAME: Final = '"/\\[]:;|=,+*?<>'  # of a sAMAccountName
LONGEST_NAME: Final = 64  # of a cn, which is made from it
NO_ACCOUNTS: Final[frozenset[Kind]] = frozenset({"group", "contact"})
NEW_SCOPE: Final[Scope] = "global"
NEW_CATEGORY: Final[Category] = "security"
SCOPE_BITS: Final[Mapping[Scope, int]] = {"global": 2, "domain-local": 4, "universal": 8}


def group_type(scope: Scope, category: Category) -> int:
    """The groupType of a new group: a signed 32-bit number ([MS-ADTS] 2.2.12)."""
    return SCOPE_BITS[scope] - (SECURITY if category == "security" else 0)


def plan_group(
    current: Group, name: str, *, scope: Scope | None, category: Category | None, description: str | None
) -> tuple[Change, ...]:
    """
    Compare a group with what is wanted; an absent one is made.

    + scope, category: of a new group NEW_SCOPE and NEW_CATEGORY where they are None; those of one that is there are then left alone
    + description: None leaves it alone, "" takes it away

    Raises PlanError where something else has its name, where the container is not there, and where it exists with another scope or category:
    that is never changed unasked (ActiveDirectoryDsc #183: a default once turned universal groups into global ones).
    """
    if current.group is None:
        _check_name(name)
        if current.holder is not None:
            raise PlanError(
                f"it cannot be made: {current.holder.title}, a {current.holder.kind}, has that name already. Rename one of them"
            )
        if current.missing_container:
            raise PlanError(
                f"it cannot be made: there is no {current.missing_container} at {current.server}. Make it first, or give another path"
            )
        changes = [
            Change("distinguishedName", None, current.wanted_dn),
            Change("sAMAccountName", None, name),
            Change("scope", None, scope or NEW_SCOPE),
            Change("category", None, category or NEW_CATEGORY),
        ]
        return (*changes, Change("description", None, description)) if description else tuple(changes)
    group = current.group
    wanted = (scope or group.scope, category or group.category)
    if (group.scope, group.category) != wanted:
        raise PlanError(
            f"{group.dn} exists and is {group.scope} {group.category}, wanted is {wanted[0]} {wanted[1]}. "
            "Neither is changed here: give the operation what it is, or change the group by hand"
        )
    before = group.description
    if description is None or (description or None) == before:
        return ()
    return (Change("description", before, description or None),)


def to_come(current: Group, name: str, *, scope: Scope | None, category: Category | None) -> Principal:
    """The group that `plan_group` makes, as far as it is known before: what it may hold can be told."""
    return Principal(
        "group",
        dn=current.wanted_dn,
        sam_account_name=name,
        domain=domain_of(current.wanted_dn),
        scope=scope or NEW_SCOPE,
        category=category or NEW_CATEGORY,
    )


def group_edits(
    current: Group, name: str, *, scope: Scope | None, category: Category | None, changes: Sequence[Change]
) -> list[Edit]:
    """The edits of `plan_group`: one add, or one modify that fails where the old description is not there any more."""
    wanted = next((change for change in changes if change.property == "description"), None)
    if current.group is None:
        values = {"sAMAccountName": name, "groupType": str(group_type(scope or NEW_SCOPE, category or NEW_CATEGORY))}
        if wanted is not None:
            values["description"] = str(wanted.after)
        added = [_change(attribute, "add", value) for attribute, value in values.items()]
        return [
            {"id": "group", "op": "add", "target": current.wanted_dn, "expect": "", "class": "group", "changes": added}
        ]
    if wanted is None:
        return []
    parts = [("delete", wanted.before), ("add", wanted.after)]
    changed = [_change("description", op, str(value)) for op, value in parts if value is not None]
    return [_guarded("group", current.group, changed)]


def plan_member(current: Membership, *, present: bool) -> tuple[Change, ...]:
    """
    Compare one membership with what is wanted. The group must be there.

    Raises PlanError where the member cannot be told, where the group may not hold it, and where it is in it by its primary group and should not.
    """
    if current.problem or current.member is None or current.group is None:
        raise PlanError(current.problem or "there is no such group")
    group, member = current.group, current.member
    if present:
        if current.how in ("direct", "primary"):
            return ()
        reason = refusal(group, member)
        if reason:
            raise PlanError(reason)
        before: Value = "(only through another group)" if current.how == "nested" else None
        return (Change("member", before, named(member)),)
    if current.how == "primary":
        raise PlanError(
            f"{member.title} is in {group.sam_account_name} as its primary group: give it another primary group first"
        )
    return (Change("member", named(member), None),) if current.how == "direct" else ()


def member_edits(current: Membership, *, present: bool) -> list[Edit]:
    """The one edit of `plan_member`: one value is added or deleted, if the group still has the type that was checked. Never a replace."""
    if current.group is None or current.member is None:
        return []
    value = current.member.dn or f"<SID={current.member.sid}>"
    return [_guarded("member", current.group, [_change("member", "add" if present else "delete", value)])]


def refusal(group: Principal, member: Principal) -> str:
    """
    Why a group may not hold a member, "" where it may.

    The rules of Active Directory (facts/ad.md 3), told before the write: the server's own refusal is one number, and Samba refuses none of it.
    """
    if _once(member) == _once(group):
        return f"{group.title} cannot be a member of itself"
    same = member.domain == group.domain and not member.new
    foreign = member.kind == "foreign"
    match group.scope:
        case "global" if member.scope in ("universal", "domain-local"):
            return _cannot(group, member, f"is {member.scope}")
        case "global" if foreign:
            return _cannot(group, member, _foreign(member))
        case "global" if not same:
            return _cannot(group, member, f"is of {member.domain}, not of {group.domain}")
        case "universal" if member.scope == "domain-local":
            return _cannot(group, member, "is domain-local")
        case "universal" if foreign:
            return _cannot(group, member, _foreign(member))
        case "domain-local" if member.scope == "domain-local" and not same:
            return _cannot(group, member, f"is domain-local of {member.domain}, not of {group.domain}")
    return ""


def _once(principal: Principal) -> str:
    """What tells it from all others; of one to come that is its name."""
    return principal.guid or principal.dn.casefold() or principal.sid


def require_account(now: Membership, asked: bool) -> None:
    """Raise PlanError where that is asked and the member is something that nobody logs on with."""
    if asked and now.how not in {"direct", "primary"} and now.member is not None and now.member.kind in NO_ACCOUNTS:
        raise PlanError(f"{now.member.title} is a {now.member.kind}, expected an account")


def benign(edit: Mapping[str, Any], ldap: int | None, win32: int | None) -> bool:
    """
    Whether the error of an edit only says that somebody was faster: what is there now is read afterwards and decides (facts/ad.md 0.3).

    + edit: as it was sent
    """
    op = edit["changes"][0]["op"] if edit["changes"] else ""
    if edit["op"] == "add":
        return ldap == 68  # noqa: PLR2004 - entryAlreadyExists
    if edit["changes"] and edit["changes"][0]["attribute"] == "member":
        if op == "add":
            return ldap in (20, 68)
        return ldap == 16 or (ldap == 53 and win32 == 0x561)  # noqa: PLR2004 - facts/ad.md 4
    return False


def _cannot(group: Principal, member: Principal, why: str) -> str:
    return f"{group.title} is {group.scope}; {member.title} {why}: a {group.scope} group cannot hold it"


def named(member: Principal) -> str:
    """A member as a change shows it."""
    return member.dn or f"{member.sid} ({_foreign(member).removeprefix('is ')}; an object for it is made)"


def _foreign(member: Principal) -> str:
    """What a SID without an object of this forest is."""
    return "is of another forest" if is_of_a_domain(member.sid) else "is built into Windows, no account of a domain"


def _check_name(name: str) -> None:
    bad = sorted(set(re.findall(rf"[{re.escape(NOT_IN_A_NAME)}\x00-\x1f]", name)))
    if not name or bad or name.endswith(".") or name != name.strip():
        what = f"has {' '.join(map(repr, bad))}" if bad else "is empty, or begins or ends with a blank or a dot"
        raise PlanError(f"the name {name!r} {what}: a group cannot have it as sAMAccountName")
    if len(name) > LONGEST_NAME:
        raise PlanError(f"the name {name!r} has {len(name)} characters; the cn made from it may have {LONGEST_NAME}")


def _change(attribute: str, op: str, value: str) -> dict[str, Any]:
    return {"attribute": attribute, "op": op, "values": [value]}


def _guarded(identity: str, group: Principal, changes: Sequence[Mapping[str, Any]]) -> Edit:
    """A modify of a group by its GUID, so that it is right after a rename too, if it still has the type that was read."""
    guid = filter_value(guid_to_bytes(group.guid))
    return {
        "id": identity,
        "op": "modify",
        "target": f"<GUID={group.guid}>",
        "expect": f"(&(objectGUID={guid})(groupType={group.group_type}))",
        "class": "",
        "changes": list(changes),
    }
