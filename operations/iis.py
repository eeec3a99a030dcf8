"""IIS on a host: application pools, sites, authentication. What must change is decided in plans/iis.py and plans/iis_site.py."""

from __future__ import annotations

import ntpath
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from pyinfra.api import StringCommand, operation
from pyinfra.context import host
from pyinfra.context import state as run

from connectors.call import HostCall
from facts.base import UNREAD, Unread, read
from facts.files import FileState
from facts.iis import IisAppPool, IisAppPoolUsers, IisAuthentication, IisSite, IisSites, ServerCertificate
from facts.windows import WindowsService
from model.change import Change, PlanError
from model.iis import (
    AppPoolRead,
    Authentication,
    Certificate,
    Identity,
    PipelineMode,
    Plan,
    RunState,
    Scheme,
    SiteInputs,
    StartMode,
    ToCome,
    WantedAppPool,
    WantedAuthentication,
    WantedBinding,
    WantedSite,
    WantedState,
)
from model.names import fold
from model.secret import Secret
from operations.arguments import checked
from operations.converge import ParentMissingError, announced, converge, counted, require, service_id
from plans.iis import overridden, parent_of, plan_app_pool, plan_authentication, users_to_come, without_deeper
from plans.iis_site import (
    WEB_CONFIG,
    canonical_path,
    certificates_of,
    locations_to_come,
    moves,
    paths_above,
    plan_site,
    to_come,
    with_to_come,
)

T = TypeVar("T")
TO_COME: Final = (
    "sites to come"  # key of pyinfra's free dict of a host: what this run makes of its sites, for a dry run
)
W3SVC: Final = "W3SVC"  # the World Wide Web Publishing Service
UNKNOWN: Final[RunState] = "Unknown"  # expected of what was not there: it starts by itself, or does not
PARTS: Final[Mapping[str, type]] = {  # of a binding that is given as a dict
    "protocol": str,
    "port": int,
    "address": str,
    "host": str,
    "thumbprint": str,
    "store": str,
    "sni": bool,
}


@operation()
@checked
def iis_app_pool(
    app_pool: str,
    *,
    present: bool = True,
    runtime_version: str | None = None,
    pipeline_mode: PipelineMode | None = None,
    identity: Identity | None = None,
    user: str | None = None,
    password: Secret | None = None,
    rotate_password: bool = False,
    start_mode: StartMode | None = None,
    running: bool | None = None,
) -> Generator[StringCommand, None, None]:
    """
    Have an application pool of IIS, or have none of that name.

    + app_pool: name of the pool, in any case
    + present: whether it must be there; a pool that applications are in is not removed
    + runtime_version: ``v4.0``, ``v2.0``, or ``""`` for no managed code; ``None`` leaves it alone, as with all that follow
    + pipeline_mode: ``Integrated`` or ``Classic``
    + identity: ``ApplicationPoolIdentity``, ``NetworkService``, ``LocalService``, ``LocalSystem`` or ``SpecificUser``
    + user: account of ``SpecificUser``: ``DOMAIN\\user``
    + password: its password. It cannot be compared, since it is never read back: it is written when none is stored, when identity or user change,
      or with ``rotate_password``
    + rotate_password: write the password although one is stored; such an operation changes something in every run
    + start_mode: ``OnDemand`` or ``AlwaysRunning``
    + running: whether it must run; ``None`` leaves it alone

    **Example:**

    .. code:: python

        iis_app_pool(name="The SDK has its own pool", app_pool="MIM MFASDK", runtime_version="v4.0", running=True)
    """
    wanted = WantedAppPool(
        app_pool=app_pool,
        present=present,
        runtime_version=runtime_version,
        pipeline_mode=pipeline_mode,
        identity=identity,
        user=user,
        password=password,
        start_mode=start_mode,
        state=_state(running),
        rotate_password=rotate_password,
    )
    done, thing = False, f"app_pool:{fold(app_pool)}"

    def plan(now: AppPoolRead) -> Plan:
        if not (password is None or _is_secret(password)):
            raise PlanError("the password is plain text, which pyinfra prints. Wrap it: Secret(...) of model.secret.")
        # Once it is written, whether it is the one that was asked for cannot be seen.
        asked = replace(wanted, rotate_password=wanted.rotate_password and not done)
        coming, name = _coming(), fold(app_pool)
        found = plan_app_pool(users_to_come(now, coming, app_pool), asked)
        _require_served(made=present and now.app_pool is None)
        if counted() and (found.changes or _unmade(thing, present)):
            gone = coming.pools_gone - {name} if present else coming.pools_gone | {name}
            host.connector_data[TO_COME] = replace(coming, pools_gone=gone)
        return found

    def write(now: AppPoolRead) -> Generator[HostCall, None, None]:
        nonlocal done
        found = plan(now)
        done = True
        secrets = {"password": password} if password is not None and _names_secret(found) else {}
        if found.edits:
            yield HostCall("Edit-IisConfig", secrets=secrets, guard=now.guard, edits=list(found.edits))
        if found.state is not None:
            yield HostCall("Set-IisState", kind="pool", name=app_pool, state=found.state, expected=now.state or UNKNOWN)

    yield from converge(
        f"application pool {app_pool}",
        read=lambda: read(IisAppPool if present else IisAppPoolUsers, app_pool=app_pool),
        plan=_told(plan),
        write=_listed(write),
        thing=thing,
        removes=not present,
    )


@operation()
@checked
def iis_site(
    site: str,
    *,
    present: bool = True,
    path: str | None = None,
    app_pool: str | None = None,
    bindings: Sequence[WantedBinding | Mapping[str, Any]] = (),
    running: bool | None = None,
    check_only: bool = False,
) -> Generator[StringCommand, None, None]:
    r"""
    Have a site of IIS with these bindings, or have none of that name.

    + site: name of the site, in any case
    + present: whether it must be there. A removed site leaves its folder and the http.sys records of its certificates behind;
      every location tag at or below it goes, those that an earlier removal left too
    + path: full Windows path of its content; the folder is made. Needed for a new site; ``None`` leaves it alone, as with all that follow.
      A new site, and one that moves, is refused where that folder holds a web.config; other files in it, and folders below it, are not looked at
    + app_pool: application pool of its root application; must exist
    + bindings: each a ``WantedBinding`` or a dict of ``protocol``, ``port``, ``address``, ``host``, ``thumbprint``, ``store``, ``sni``.
      Other bindings of the site, and flags that have no name here, stay as they are
    + running: whether it must run; a new site starts by itself
    + check_only: change nothing, ever: what would be refused fails the host here, the pool taken for one that is there. Put it before the
      operation that makes the pool: with ``-y`` pyinfra plans nothing ahead, and a certificate that is not there would be refused only after that

    Where nothing differs, what other sites and other programs hold is not looked at.

    A certificate must be in the store, with its private key, valid today and meant for servers: else nothing is written. The site is stored in one
    step and the certificate given to http.sys in the next; a run that is cut between them is mended by the next one. A record of http.sys that
    belongs to another program, and a binding that another site has, are refused.

    **Example:**

    .. code:: python

        iis_site(
            name="A site for the Web Service SDK",
            site="MIM MFASDK",
            path=r"C:\inetpub\wwwroot\mfasdk",
            app_pool="MIM MFASDK",
            bindings=[{"protocol": "https", "port": 9999, "thumbprint": "9F86D081884C7D659A2FEAA0C55AD015A3BF4F1B"}],
            running=True,
        )
    """
    thing = f"site:{fold(site)}"

    def plan(now: SiteInputs) -> Plan:
        wanted = _wanted_site(site, present, path, app_pool, bindings, running)
        if present and app_pool is not None and fold(app_pool) in _coming().pools_gone:
            raise PlanError(
                f"an operation before this one takes application pool {app_pool!r} away. Leave one of the two out."
            )
        found = plan_site(now, wanted)
        _require_served(made=present and now.read.site is None)
        if counted() and (found.changes or _unmade(thing, present)):
            host.connector_data[TO_COME] = to_come(_coming(), now, wanted, found)
        return found

    def write(now: SiteInputs) -> Generator[HostCall, None, None]:
        found = plan(now)
        if found.folder is not None:
            yield HostCall("New-Folder", path=found.folder)
        if found.edits:
            yield HostCall("Edit-IisConfig", guard=now.read.guard, edits=list(found.edits))
        name = now.read.site.name if now.read.site is not None else site
        for record in found.records:
            yield HostCall(
                "Set-SslBinding",
                site=name,
                protocol=record.protocol,
                information=record.information,
                thumbprint=record.thumbprint,
                store=record.store,
                expected=record.expected,
            )
        if found.state is not None:
            yield HostCall(
                "Set-IisState", kind="site", name=name, state=found.state, expected=now.read.state or UNKNOWN
            )

    def get() -> SiteInputs | Unread:
        return _site_inputs(site, present, path, app_pool, bindings, running)

    def ahead(now: SiteInputs) -> Plan:
        # Not `plan`, which tells the operations to come of what this one would make.
        _require_served(made=present and now.read.site is None)
        return plan_site(now, _wanted_site(site, present, path, app_pool, bindings, running))

    if check_only:
        yield from _looked_ahead(f"site {site}", get, ahead)
        return
    yield from converge(
        f"site {site}",
        read=get,
        plan=_told(plan),
        write=_listed(write),
        thing=thing,
        removes=not present,
    )


@operation()
@checked
def iis_auth(
    site: str,
    path: str = "/",
    *,
    anonymous: bool | None = None,
    windows: bool | None = None,
    basic: bool | None = None,
    digest: bool | None = None,
    providers: Sequence[str] | None = None,
    check_only: bool = False,
    moved_to: str | None = None,
) -> Generator[StringCommand, None, None]:
    """
    Switch authentication schemes of an IIS site or application on or off.

    + site: name of the site, in any case
    + path: application or virtual directory below the site; ``/`` is the site itself
    + anonymous: whether Anonymous Authentication is on; ``None`` leaves a scheme alone
    + windows: whether Windows Authentication is on
    + basic: whether Basic Authentication is on
    + digest: whether Digest Authentication is on
    + providers: providers of Windows Authentication in the order in which they are offered, ``["Negotiate", "NTLM"]``; ``None`` leaves them alone
    + check_only: change nothing, ever: what would be refused fails the host here. Put it before the operations that make the pool and the site:
      with ``-y`` pyinfra plans nothing ahead, and it would be refused only after these. What is not there, site or application, is no reason then
    + moved_to: with ``check_only``, the path that an operation to come gives the site. Where it has another one now, what a web.config says at the
      old folder is no matter; that the new one holds none is ``iis_site``'s to see

    What counts is compared: a web.config that overrides is named with file and line and nothing is written. A scheme that is as wanted only by such a
    file is stored as wanted, too, so that it stays so without the file; providers are not, that is said with ``-v``. All changes are one commit of
    applicationHost.config. Refused: a scheme or providers whose module is not installed or does not run there, anonymous and windows both off in one
    step, and a change after which nobody could log on.

    **Example:**

    .. code:: python

        iis_auth(name="The SDK asks for a Windows account", site="MIM MFASDK", anonymous=False, windows=True, providers=["Negotiate", "NTLM"])
    """
    named: dict[Scheme, bool | None] = {"anonymous": anonymous, "windows": windows, "basic": basic, "digest": digest}
    wanted = WantedAuthentication(
        {scheme: on for scheme, on in named.items() if on is not None},
        None if providers is None else tuple(providers),
    )

    def plan(now: Authentication) -> Plan:
        coming, name = _coming(), fold(site)
        if coming.gone(name):
            raise PlanError(f"an operation before this one takes site {site!r} away. Leave one of the two out.")
        moved = not path.strip("/") and name in coming.moving
        found = plan_authentication(without_deeper(now) if moved else now, wanted, site)
        if found.edits and not check_only and counted():
            tags = dict.fromkeys((*coming.locations, *(edit["location"] for edit in found.edits)))
            host.connector_data[TO_COME] = replace(coming, locations=tuple(tags))
        return found

    def there(now: Authentication) -> Plan:
        # First of all: what else would stand in the way is another place's.
        parent = parent_of(now, site)
        if parent is not None and (run.is_executing or not announced(parent.thing)):
            raise ParentMissingError(parent.text, parent.thing)
        return plan(now)

    def write(now: Authentication) -> Generator[HostCall, None, None]:
        yield HostCall("Edit-IisConfig", guard=now.guard, edits=list(plan(now).edits))

    what = f"authentication of {site}{path if path.startswith('/') else f'/{path}'}"

    def get() -> Authentication | Unread:
        return read(IisAuthentication, site=site, path=path)

    def ahead(now: Authentication) -> Plan:
        if moved_to is not None:
            own = read(IisSite, site=site)
            if not isinstance(own, Unread) and moves(own, moved_to):
                return plan_authentication(without_deeper(now), wanted, site)
        return plan(now)

    if check_only:
        yield from _looked_ahead(what, get, ahead)
        return
    yield from converge(
        what,
        read=get,
        plan=_told(there),
        write=_listed(write),
        thing=f"authentication:{fold(site)}/{fold(path.strip('/'))}",
        noop=lambda now: f"{what} is as wanted; {text}" if (text := overridden(now, wanted)) else "",
    )


def _looked_ahead(
    what: str, get: Callable[[], T | Unread], plan: Callable[[T], Plan]
) -> Generator[StringCommand, None, None]:
    """Refuses what a plan refuses, and does nothing else: a parent that is missing may be made by an operation to come."""

    def check(now: T) -> str:
        try:
            plan(now)
        except PlanError as error:
            raise PlanError(f"{what}: {error}") from None
        return f"{what}: nothing stands in its way"

    yield from require(what, read=get, check=check)


def _told(plan: Callable[[T], Plan]) -> Callable[[T], Sequence[Change]]:
    """The changes of a plan for `converge`; a parent that is missing is raised, unless it will be there and nothing differs in it."""

    def changes(now: T) -> Sequence[Change]:
        found = plan(now)
        if found.parent is not None and (found.changes or run.is_executing or not announced(found.parent.thing)):
            raise ParentMissingError(found.parent.text, found.parent.thing, found.changes)
        return found.changes

    return changes


def _require_served(*, made: bool) -> None:
    """Raise PlanError where something is made and IIS does not run: it would not start, and its state not be read back (facts/iis.md 3 k)."""
    # What an operation before this one makes of the service is not known in a dry run.
    if not made or (not run.is_executing and announced(service_id(W3SVC))):
        return
    now = read(WindowsService, service=W3SVC)
    if isinstance(now, Unread):
        raise PlanError(f"service {W3SVC} could not be read, nothing was written")
    if now.found and now.state != "running":
        raise PlanError(f"service {W3SVC} is {now.state}, and without it IIS starts nothing: start it, run again")


def _unmade(thing: str, present: bool) -> bool:
    """Whether something that is not there now would be made and then taken away: nothing differs, yet what comes after it must know."""
    return not present and announced(thing)


def _listed(
    write: Callable[[T], Generator[HostCall, None, None]],
) -> Callable[[T, Sequence[Change]], Sequence[HostCall]]:
    return lambda now, _changes: list(write(now))


def _state(running: bool | None) -> WantedState | None:
    return None if running is None else "Started" if running else "Stopped"


def _is_secret(value: object) -> bool:
    """What a deploy hands over is not type-checked."""
    return isinstance(value, Secret)


def _names_secret(plan: Plan) -> bool:
    return any(change.secret for change in plan.changes)


def _wanted_site(
    site: str,
    present: bool,
    path: str | None,
    app_pool: str | None,
    bindings: Sequence[WantedBinding | Mapping[str, Any]],
    running: bool | None,
) -> WantedSite:
    """The arguments as one value. Raises PlanError for a binding that has an unknown part or lacks one."""
    return WantedSite(site, present, path, app_pool, tuple(_binding(one) for one in bindings), _state(running))


def _binding(given: WantedBinding | Mapping[str, Any]) -> WantedBinding:
    given = vars(given) if isinstance(given, WantedBinding) else given
    parts = {name: value for name, value in given.items() if value is not None}
    unknown = [name for name in parts if name not in PARTS]
    wrong = [name for name, value in parts.items() if name in PARTS and type(value) is not PARTS[name]]
    lacking = [name for name in ("protocol", "port") if name not in parts]
    if unknown or wrong or lacking:
        text = (
            f"unknown part {unknown[0]!r}"
            if unknown
            else f"{(wrong or lacking)[0]} is {'wrong' if wrong else 'missing'}"
        )
        expected = ", ".join(f"{name} ({kind.__name__})" for name, kind in PARTS.items())
        raise PlanError(f"binding {dict(given)}: {text}. A binding has {expected}.")
    return WantedBinding(**parts)


def _site_inputs(
    site: str,
    present: bool,
    path: str | None,
    app_pool: str | None,
    bindings: Sequence[WantedBinding | Mapping[str, Any]],
    running: bool | None,
) -> SiteInputs | Unread:
    """
    All that the plan of a site looks at.

    The other sites are read only where something differs: a run that changes nothing does not pay for a server with many of them.
    """
    own = read(IisSite, site=site)
    if isinstance(own, Unread):
        return own
    now = SiteInputs(locations_to_come(own, _coming(), site), datetime.now(UTC))
    try:
        wanted = _wanted_site(site, present, path, app_pool, bindings, running)
        certificates = certificates_of(wanted)
    except PlanError:
        return now  # the plan says it again, where it is told to the user
    if present:
        filled = _surroundings(now, wanted, certificates)
        if isinstance(filled, Unread):
            return filled
        now = filled
        if not _differs(now, wanted):
            return now
        around = read(IisSites, site=site)
        if isinstance(around, Unread):
            return around
        disagree = (around.site is None) != (own.site is None)
        now = replace(now, read=with_to_come(around, _coming(), site), disagree=disagree)
    return now


def _coming() -> ToCome:
    """What earlier operations of this run announced on this host; while executing it is there, or is not."""
    coming: ToCome = host.connector_data.get(TO_COME, ToCome())
    return ToCome() if run.is_executing else coming


def _surroundings(now: SiteInputs, wanted: WantedSite, certificates: Sequence[tuple[str, str]]) -> SiteInputs | Unread:
    """Adds pool, folder and certificates; for a folder that is absent also where it would be made, for a site that gets one a web.config in it."""
    found: dict[tuple[str, str], Certificate] = {}
    for thumbprint, store in certificates:
        certificate = read(ServerCertificate, thumbprint=thumbprint, store=store)
        if isinstance(certificate, Unread):
            return UNREAD
        found[thumbprint, store.casefold()] = certificate
    pool_found, folder, above = None, None, None
    if wanted.app_pool is not None:
        pool = read(IisAppPool, app_pool=wanted.app_pool)
        if isinstance(pool, Unread):
            return UNREAD
        pool_found = pool.app_pool is not None
    if wanted.path is not None:
        for place in (canonical_path(wanted.path), *paths_above(wanted.path)):
            stands = read(FileState, path=place)
            if isinstance(stands, Unread):
                return UNREAD
            kind = "folder" if stands.kind == "absent" and fold(place) in _coming().folders else stands.kind
            if folder is None:
                folder = kind
            else:
                above = place, kind
            if kind != "absent":
                break
    web_config = False
    if wanted.path is not None and folder == "folder" and (now.read.site is None or moves(now.read, wanted.path)):
        config = read(FileState, path=ntpath.join(canonical_path(wanted.path), WEB_CONFIG))
        if isinstance(config, Unread):
            return UNREAD
        web_config = config.kind == "file"
    return replace(now, pool_found=pool_found, folder=folder, above=above, web_config=web_config, certificates=found)


def _differs(now: SiteInputs, wanted: WantedSite) -> bool:
    try:
        return bool(plan_site(now, wanted).changes)
    except PlanError:
        return False  # refused anyway, whatever the neighbours are
