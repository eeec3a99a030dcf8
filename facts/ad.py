"""
Facts of Active Directory: a group, and one member of one group. Reading only.

What is searched is decided in plans/directory_search.py; here it is sent, to which server and as whom. Host data, all optional:
``directory_server`` (a domain controller, or a name that leads to one; default: the one that the host finds), ``directory_port`` (389; with TLS 636),
``directory_tls`` (False: signed and sealed), ``directory_user``, ``directory_password`` (default: the logon, which a member server cannot pass on).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, replace
from ipaddress import ip_address
from typing import Any, Final, NoReturn, TypeVar

from pydantic import ValidationError
from pyinfra.context import host
from typing_extensions import override

from connectors.call import Answer, Dialogue, HostCall, Json
from connectors.errors import VerbError
from connectors.settings import directory_settings_of
from facts.base import HostAnswer, HostFact
from model.directory import Group, Membership, Principal
from model.error import ErrorKind, HostError
from model.secret import Secret
from plans.directory_entry import Ask, Entry, Reply
from plans.directory_search import group_steps, membership_steps

T = TypeVar("T")

PINNED: Final = "directory server"  # key of pyinfra's free dict of a host
PASSWORD: Final = "directory_password"  # noqa: S105 - the name of a key
CATALOG_PORT, CATALOG_TLS_PORT = 3268, 3269
NO_SUCH_OBJECT, REFERRAL = 32, 10
NO_PASSWORD: Final = Secret("")
SEARCH: Final = "Search-Directory"


# -- the door: the host's answer --


class _Error(HostAnswer):
    kind: ErrorKind
    what: str
    where: str
    why: str
    hresult: int | None = None
    ldap: int | None = None
    win32: int | None = None


class _Entry(HostAnswer):
    dn: str
    attributes: dict[str, list[str]]
    incomplete: dict[str, int]


class _Search(HostAnswer):
    id: str
    ok: bool
    entries: list[_Entry]
    more: bool
    references: list[str]
    error: _Error | None


class _Answer(HostAnswer):
    server: str
    searches: list[_Search]


class _Edit(HostAnswer):
    id: str
    done: bool
    error: _Error | None


class _Edited(HostAnswer):
    server: str
    edits: list[_Edit]


# -- the connection, from host data --


@dataclass(frozen=True)
class Connection:
    """How the directory is reached: the connection arguments of the two verbs. `repr` shows no password, a Secret has none to show."""

    server: str = ""
    port: int = 389
    tls: bool = False
    user: str = ""
    password: Secret = NO_PASSWORD

    def arguments(self, *, catalog: bool = False) -> dict[str, Any]:
        """For `HostCall`; the global catalog is the same server at another port."""
        port = (CATALOG_TLS_PORT if self.tls else CATALOG_PORT) if catalog else self.port
        credential: Json = {"user": self.user, "password": {"secret": PASSWORD}} if self.user else None
        return {"server": self.server, "port": port, "tls": self.tls, "credential": credential}

    def secrets(self) -> dict[str, Secret]:
        """Beside the arguments."""
        return {PASSWORD: self.password} if self.user else {}


def connection_of(data: Mapping[str, Any]) -> Connection:
    """The `directory_*` keys of host data, checked as inventories are. Raises ValueError, which names the key and never quotes the password."""
    checked = directory_settings_of(data)
    return Connection(checked.server, checked.port, checked.tls, checked.user, checked.password)


def pinned(connection: Connection, memory: Mapping[Any, Any]) -> Connection:
    """
    The same connection, to the server that answered first in this run, by the name that it gave itself: what another one shows may be older than
    what was written, and it is the name that its certificate has. An address stays: it is one server's, and a name may not lead there.
    """
    server = reached(connection.server, memory)
    return connection if not server or _is_address(connection.server) else replace(connection, server=server)


def reached(asked: str, memory: Mapping[Any, Any]) -> str:
    """The dnsHostName of the server that answered to this name first, "" before one did."""
    server: str = memory.get(PINNED, {}).get(asked, "")
    return server


def pin(asked: str, answered: str, memory: dict[Any, Any]) -> None:
    """Remember which server answered. Raises ValueError, which names both, where another one did before."""
    if problem := elsewhere(answered, memory.setdefault(PINNED, {}).setdefault(asked, answered)):
        raise ValueError(problem)


def elsewhere(answered: str, expected: str) -> str:
    """What is wrong where another server answered than the one that was read; "" where it is the same."""
    if answered.casefold() == expected.casefold():
        return ""
    return (
        f"{answered} answered, yet this run reads and writes at {expected}: "
        "give the DNS name of one domain controller as directory_server, and run again"
    )


def _is_address(server: str) -> bool:
    try:
        ip_address(server)
    except ValueError:
        return server.casefold() == "localhost"
    return True


# -- the facts --


class AdGroup(HostFact[Group]):
    """
    Returns a group of the server's domain, or that there is none.

    + group: its sAMAccountName
    + path: DN of the container in which it would be made; default CN=Users of the domain

    .. code:: python

        Group(found=True, group=Principal(kind="group", dn="CN=PhoneFactor Admins,CN=Users,DC=contoso,DC=com", scope="global", ...), ...)
    """

    @override
    def command(self, group: str, path: str | None = None) -> Dialogue:
        return Dialogue(f"find the group {group}", lambda: _converse(lambda: group_steps(group, path), _flat_group))

    @override
    def parse(self, answer: Answer) -> Group:
        data = answer.result
        return Group(**data | {"group": _principal(data["group"]), "holder": _principal(data["holder"])})


class AdGroupMember(HostFact[Membership]):
    r"""
    Returns how one principal is in a group: directly, by its primary group, nested, or not at all. The list of members is not read.

    + group: sAMAccountName of the group
    + member: sAMAccountName, ``DOMAIN\user``, UPN, DN, SID or GUID

    .. code:: python

        Membership(group=Principal(...), member=Principal(kind="user", sam_account_name="mimservice", ...), how="direct", ...)
    """

    @override
    def command(self, group: str, member: str) -> Dialogue:
        what = f"find {member} in the group {group}"
        return Dialogue(what, lambda: _converse(lambda: membership_steps(group, member), _flat_membership))

    @override
    def parse(self, answer: Answer) -> Membership:
        data = answer.result
        return Membership(**data | {"group": _principal(data["group"]), "member": _principal(data["member"])})


def edited_by(answer: Answer) -> tuple[str, list[HostError | None]]:
    """Which server answered Edit-Directory, and what, edit by edit; an edit that was not tried has an error that says so. Raises ValidationError."""
    edited = _Edited.model_validate(answer.result)
    untried = HostError("unknown", "Edit-Directory", "", "not tried, an edit before it failed")
    errors = [None if one.done else (HostError(**dict(one.error)) if one.error else untried) for one in edited.edits]
    return edited.server, errors


# -- inside --


def _converse(
    steps: Callable[[], Generator[Ask, Reply, T]], flat: Callable[[T], Json]
) -> Generator[HostCall, Answer, Json]:
    """Send what the steps ask. Raises VerbError, the connector's own, for whatever goes wrong."""
    try:
        asked = connection_of(host.data.dict())
        running = steps()
        ask = next(running)
        while True:
            connection = pinned(asked, host.connector_data)
            answer = yield _call(connection, ask)
            reply = _reply(answer, ask)
            pin(asked.server, reply.server, host.connector_data)
            ask = running.send(reply)
    except StopIteration as end:
        return flat(end.value)
    except ValidationError as error:
        # Places and reasons, no values.
        places = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        _fail("unknown", "the answer", f"has another shape: {places}")
    except (ValueError, KeyError) as error:  # a PlanError is a ValueError
        _fail("invalid", "the directory", str(error))


def _call(connection: Connection, ask: Ask) -> HostCall:
    searches: list[Json] = [
        {
            "id": one.id,
            "base": one.base,
            "scope": one.scope,
            "filter": one.filter,
            "attributes": list(one.attributes),
            "size_limit": one.size_limit,
        }
        for one in ask.searches
    ]
    return HostCall(
        SEARCH, secrets=connection.secrets(), **connection.arguments(catalog=ask.catalog), searches=searches
    )


def _reply(answer: Answer, ask: Ask) -> Reply:
    checked = _Answer.model_validate(answer.result)
    found: dict[str, tuple[Entry, ...]] = {}
    for search in checked.searches:
        if search.error is not None and search.error.ldap not in (NO_SUCH_OBJECT, REFERRAL):
            raise VerbError(HostError(**dict(search.error)))
        found[search.id] = tuple(_entry(entry) for entry in search.entries)
    if found.keys() != {one.id for one in ask.searches}:
        raise ValueError("the host answered other searches than were asked")
    return Reply(checked.server, found)


def _entry(entry: _Entry) -> Entry:
    decoded = {
        name: tuple(base64.b64decode(value, validate=True) for value in values)
        for name, values in entry.attributes.items()
    }
    return Entry(entry.dn, decoded)


def _flat_group(group: Group) -> Json:
    flat: Json = asdict(group)
    return flat


def _flat_membership(membership: Membership) -> Json:
    flat: Json = asdict(membership)
    return flat


def _principal(data: Mapping[str, Any] | None) -> Principal | None:
    return Principal(**data) if data is not None else None


def _fail(kind: ErrorKind, where: str, why: str) -> NoReturn:
    raise VerbError(HostError(kind, SEARCH, where, why)) from None
