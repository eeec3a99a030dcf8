"""Things of a directory as they were read: principals, groups, membership. No I/O, no LDAP."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

Scope: TypeAlias = Literal["global", "universal", "domain-local"]
Category: TypeAlias = Literal["security", "distribution"]
Kind: TypeAlias = Literal["user", "computer", "group", "contact", "foreign", "other"]
How: TypeAlias = Literal["direct", "primary", "nested", "none"]


@dataclass(frozen=True)
class Domain:
    """A domain of the forest, from its cross reference. `dns` is lower case."""

    dn: str
    dns: str
    netbios: str


@dataclass(frozen=True)
class Principal:
    """
    What can be in a group, or is one.

    `guid` in its usual text, `sid` as `S-1-...` ("" for a contact). `scope`, `category` and `group_type` (as stored, signed) of groups only;
    `builtin` for the groups of CN=Builtin. `primary_rid` of accounts only. `domain` is the DNS name of the domain that holds it.
    `new` marks a principal of another forest that the directory does not hold yet: it has a SID, and neither GUID nor DN.
    """

    kind: Kind
    dn: str = ""
    guid: str = ""
    sid: str = ""
    sam_account_name: str = ""
    domain: str = ""
    scope: Scope | None = None
    category: Category | None = None
    group_type: int | None = None
    builtin: bool = False
    primary_rid: int | None = None
    description: str | None = None
    new: bool = False

    @property
    def title(self) -> str:
        """What a message calls it."""
        if not self.dn:
            return self.sid
        return f"{self.sam_account_name} ({self.dn})" if self.sam_account_name else self.dn


@dataclass(frozen=True)
class Group:
    """
    A group as asked for by its sAMAccountName, or its absence.

    `holder` is what stands in the way of making it: another kind of object of that sAMAccountName, or one that has the DN `wanted_dn`.
    `server` is the domain controller that answered. `missing_container` is the DN of the container that it would be made in, where there is none.
    """

    found: bool
    group: Principal | None
    wanted_dn: str
    holder: Principal | None
    server: str
    missing_container: str = ""

    def to_json(self) -> dict[str, Any]:
        """For `pyinfra ... fact`."""
        return asdict(self)


@dataclass(frozen=True)
class Membership:
    """
    One member of one group. `how`: direct, by primary group, nested (through another group only), or none.

    `group` is None where there is no such group; `problem` says in one line why the member could not be told, "" where it could.
    """

    group: Principal | None
    member: Principal | None
    how: How
    problem: str
    server: str

    def to_json(self) -> dict[str, Any]:
        """For `pyinfra ... fact`."""
        return asdict(self)
