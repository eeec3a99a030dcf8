"""
Active Directory: groups and their members. What must change is decided in plans/ad.py, the rhythm is converge.py's.

Both are read and written at one domain controller: the first that answers in a run is asked until its end (facts/ad.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from pydantic import ValidationError
from pyinfra.api import Host, State, StringCommand, operation
from pyinfra.connectors.util import CommandOutput, OutputLine
from pyinfra.context import host
from typing_extensions import Generator, override

from connectors.call import Answer, HostCall
from connectors.errors import words
from facts.ad import AdGroup, AdGroupMember, connection_of, edited_by, elsewhere, pinned, reached
from facts.base import Unread, read
from model.change import Change, PlanError
from model.directory import Category, Group, Membership, Principal, Scope
from operations.arguments import checked
from operations.converge import ParentMissingError, converge, counted, require
from plans.ad import (
    Edit,
    benign,
    group_edits,
    member_edits,
    named,
    plan_group,
    plan_member,
    refusal,
    require_account,
    to_come,
)
from plans.directory_search import means

TO_COME: Final = "groups to come"  # key of pyinfra's free dict of a host: the groups that this run makes


@operation()
@checked
def ad_group(
    group: str,
    *,
    scope: Scope | None = None,
    category: Category | None = None,
    description: str | None = None,
    path: str | None = None,
) -> Generator[StringCommand, None, None]:
    """
    Have a group in Active Directory. One that is there stays where it is, with the members that it has.

    + group: its sAMAccountName; a new group gets it as its cn, too
    + scope: ``global``, ``universal`` or ``domain-local``; a group that is there with another one is refused, never changed. ``None``: a new group is
      global, one that is there stays as it is
    + category: ``security`` or ``distribution``; the same, a new one is a security group
    + description: ``None`` leaves it alone, an empty one takes it away
    + path: DN of the container in which a new group is made, which must be there; default CN=Users of the server's domain

    **Example:**

    .. code:: python

        ad_group(name="The group of the SDK's users", group="PhoneFactor Admins")
    """

    def plan(now: Group) -> tuple[Change, ...]:
        changes = plan_group(now, group, scope=scope, category=category, description=description)
        if now.group is None and counted():
            coming = to_come(now, group, scope=scope, category=category)
            host.connector_data.setdefault(TO_COME, {})[group_id(group)] = coming
        return changes

    def write(now: Group, changes: Sequence[Change]) -> list[HostCall]:
        return [DirectoryEdit(group_edits(now, group, scope=scope, category=category, changes=changes))]

    yield from converge(
        f"group {group}",
        read=lambda: read(AdGroup, group=group, path=path),
        plan=plan,
        write=write,
        thing=group_id(group),
    )


@operation()
@checked
def ad_group_member(
    group: str,
    member: str,
    *,
    present: bool = True,
    accounts_only: bool = False,
    check_only: bool = False,
    scope: Scope = "global",
) -> Generator[StringCommand, None, None]:
    r"""
    Have one account, group or contact in a group, or not in it. Other members are neither read nor touched.

    + group: sAMAccountName of the group
    + member: sAMAccountName, ``DOMAIN\user``, UPN, DN, SID or GUID; must mean exactly one object
    + present: whether it is a member. By its primary group counts; through another group does not, and cannot be taken away here
    + accounts_only: refuse to add a group or a contact
    + check_only: change nothing, ever: a member that cannot be told, or that the group may not hold, fails the host here. Put it before the
      operation that makes the group: with ``-y`` pyinfra plans nothing ahead, and the member would be refused only after the group is written.
      A group that is not there is no reason then
    + scope: with ``check_only``, the scope that a group that is not there will get

    What a group of that scope cannot hold is refused before anything is written. A SID of another forest is added as it is.

    **Example:**

    .. code:: python

        ad_group_member(name="MIM may ask the SDK", group="PhoneFactor Admins", member="CONTOSO\\mimservice")
    """
    what = f"{member} in group {group}"

    def plan(now: Membership) -> tuple[Change, ...]:
        now = _member_to_come(now, member)
        require_account(now, accounts_only and present)
        told = not now.problem
        if (told and now.group is not None) or now.member is None:
            return plan_member(now, present=present)
        return _once_there(now, group, now.member) if present else ()

    def noop(now: Membership) -> str:
        how = {
            "direct": "is in it",
            "primary": "is in it by its primary group",
            "nested": "is not in it itself, yet through another group",
            "none": "is not in it",
        }[now.how]
        return f"{what} is as wanted: it {how}"

    def check(now: Membership) -> str:
        try:
            now = _member_to_come(now, member)
            now = replace(now, problem="") if now.member is not None else now
            require_account(now, accounts_only and present)
            if now.group is None and not now.problem and present:
                made = read(AdGroup, group=group)
                if isinstance(made, Unread):
                    raise PlanError("its group could not be read, nothing was written")
                now = replace(now, group=to_come(made, group, scope=scope, category="security"))
            if now.group is not None or now.problem:
                plan_member(now, present=present)
        except PlanError as error:
            raise PlanError(f"{what}: {error}") from None
        return f"{what}: nothing stands in its way"

    if check_only:
        yield from require(what, read=lambda: read(AdGroupMember, group=group, member=member), check=check)
        return
    yield from converge(
        what,
        read=lambda: read(AdGroupMember, group=group, member=member),
        plan=plan,
        write=lambda now, _: [DirectoryEdit(member_edits(now, present=present))],
        thing=member_id(group, member),
        removes=not present,
        same=lambda now: member_id(group, _identity(now.member) or member),
        noop=noop,
    )


def _member_to_come(now: Membership, member: str) -> Membership:
    """A membership whose member cannot be told, since it is a group that an operation before this one makes: with that group as its member."""
    groups: Mapping[str, Principal] = host.connector_data.get(TO_COME, {})
    coming = next((one for one in groups.values() if now.problem and means(member, one)), None)
    return now if coming is None or now.member is not None else replace(now, member=coming)


def _once_there(now: Membership, group: str, member: Principal) -> tuple[Change, ...]:
    """
    Where the group or its member is not there: what would be done once it is.

    Raises ParentMissingError, and PlanError where the group that is to come could not hold it.
    """
    into = now.group or host.connector_data.get(TO_COME, {}).get(group_id(group))
    if into is not None and (reason := refusal(into, member)):
        raise PlanError(reason)
    if into is None and now.problem:
        raise PlanError(now.problem)
    changes = [Change("member", None, named(member))]
    if now.group is None:
        raise ParentMissingError(f"there is no group {group} (asked {now.server})", group_id(group), changes)
    raise ParentMissingError(now.problem, group_id(member.sam_account_name), changes)


def _identity(member: Principal | None) -> str:
    """What one object has once, whatever it is called."""
    return "" if member is None else member.guid or member.sid


def group_id(group: str) -> str:
    """The id of a group for `announced` and `written`."""
    return f"group:{group.casefold()}"


def member_id(group: str, member: str) -> str:
    """The id of a membership, in the spelling of its operation."""
    return f"member:{group.casefold()}:{member.casefold()}"


class DirectoryEdit(HostCall):
    """
    Edit-Directory whose answer counts: its edits fail one by one inside an answer that is a success.

    An error that only says that somebody was faster is none: what there is now is read back, and that decides.
    """

    def __init__(self, edits: Sequence[Edit]) -> None:
        asked = connection_of(host.data.dict())
        connection = pinned(asked, host.connector_data)
        self.edits, self.read_at = tuple(edits), reached(asked.server, host.connector_data)
        super().__init__(
            "Edit-Directory", secrets=connection.secrets(), **connection.arguments(), edits=list(self.edits)
        )

    @override
    def execute(self, state: State, host: Host, connector_arguments: Any) -> tuple[bool, CommandOutput]:
        ok, output = super().execute(state, host, connector_arguments)
        if not ok:
            return ok, output
        try:
            server, errors = edited_by(Answer.unpack("\n".join(output.stdout_lines)))
        except (ValidationError, ValueError):
            return False, _said(["Edit-Directory: the host's answer has another shape; run again to see what is there"])
        if len(errors) != len(self.edits):
            return False, _said(["Edit-Directory: the host answered for other edits"])
        bad = [
            error
            for edit, error in zip(self.edits, errors, strict=True)
            if error is not None and not benign(edit, error.ldap, error.win32)
        ]
        lines = [words(error) for error in bad]
        if other := elsewhere(server, self.read_at):
            lines.append(f"Edit-Directory: {other}. What was written, if anything, is at that other one")
        if lines:
            return False, _said(lines)
        return True, output


def _said(lines: Sequence[str]) -> CommandOutput:
    return CommandOutput([OutputLine("stderr", line) for line in lines])
