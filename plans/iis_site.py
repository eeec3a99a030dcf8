"""
What must change about an IIS site: folder, path, pool, bindings, certificates, state. Pure: values in, a plan out.

Pools and authentication are in iis.py, the text forms of bindings in bindings.py.
"""

from __future__ import annotations

import ntpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from model.change import Change, PlanError
from model.iis import (
    CENTRAL_STORE,
    IIS_APP_ID,
    SITES,
    SNI,
    Binding,
    Certificate,
    Edit,
    Parent,
    Plan,
    Site,
    SiteInputs,
    SslRecord,
    SslWrite,
    WantedBinding,
    WantedSite,
)
from plans.bindings import Endpoint, canonical_thumbprint, endpoint, parsed, record_key, record_name

NOT_IN_SITE_NAMES: Final = '\\/?;:@&=+$,|"<>'  # facts/iis.md 3 h
NOT_IN_PATHS: Final = '"<>|?*%'
SERVER_AUTH: Final = "1.3.6.1.5.5.7.3.1"  # RFC 5280 4.2.1.12
ANY_USAGE: Final = "2.5.29.37.0"
SHARED: Final = (
    "its configuration is shared by a farm (redirection.config): every node would change. Change it where it is shared."
)


@dataclass(frozen=True)
class Target:
    """A wanted binding with its parts checked and spelled one way."""

    wanted: WantedBinding
    place: Endpoint
    thumbprint: str | None

    @property
    def shown(self) -> str:
        """As it is stored: `https *:9999:`."""
        return f"{self.wanted.protocol} {self.place}"


def plan_site(now: SiteInputs, wanted: WantedSite) -> Plan:
    """
    Compare a site with what is wanted of it.

    + now: what was read; where `read.neighbours` is None the plan holds for telling whether anything differs, not for writing
    + wanted: None leaves a property alone, bindings that are not named stay as they are

    Raises PlanError where it cannot be done or would harm another site; a pool that is missing is `parent` of the plan.
    """
    targets = targets_of(wanted)
    site = now.read.site
    if not wanted.present:
        return _shared_checked(now, _removed(site))
    for target in targets:
        if target.thumbprint is not None:
            check_certificate(now.certificates[target.thumbprint, target.wanted.store.casefold()], target, now.at)
    folder = _folder(now, wanted)
    bindings = _bindings(now, targets)
    if site is None:
        changes, edits = _created(now, wanted, bindings)
    else:
        changes, edits = _changed(now, site, wanted, bindings)
    state = None
    if wanted.state is not None and wanted.state != now.read.state:
        changes.append(Change("state", now.read.state, wanted.state))
        state = wanted.state
    if folder is not None:
        changes.insert(0, Change("folder", None, folder))
    plan = Plan(tuple(changes), folder, tuple(edits), tuple(bindings.records), state, _pool(now, wanted))
    return _shared_checked(now, plan)


def _shared_checked(now: SiteInputs, plan: Plan) -> Plan:
    if now.read.shared and plan.edits:
        raise PlanError(SHARED)
    return plan


# -- what is wanted --


def targets_of(wanted: WantedSite) -> tuple[Target, ...]:
    """The wanted bindings, checked and spelled one way. Raises PlanError that names the bad value."""
    name = wanted.site
    if not name or name != name.strip() or set(name) & set(NOT_IN_SITE_NAMES):
        raise PlanError(f"site name {name!r}: expected a name without {NOT_IN_SITE_NAMES} and without blanks around it")
    if wanted.path is not None:
        canonical_path(wanted.path)
    targets = tuple(_target(one) for one in wanted.bindings)
    places = [(target.wanted.protocol, target.place) for target in targets]
    for at, place in enumerate(places):
        if place in places[:at]:
            raise PlanError(f"binding {place[0]} {place[1]} is named twice")
    return targets


def certificates_of(wanted: WantedSite) -> tuple[tuple[str, str], ...]:
    """Thumbprint and store of each certificate to read, once each. Raises PlanError."""
    pairs = [(t.thumbprint, t.wanted.store) for t in targets_of(wanted) if wanted.present and t.thumbprint is not None]
    return tuple(dict.fromkeys(pairs))


def _target(wanted: WantedBinding) -> Target:
    shown = f"binding {wanted.protocol} {wanted.address}:{wanted.port}:{wanted.host}"
    try:
        place = endpoint(wanted.address, wanted.port, wanted.host)
        thumbprint = None if wanted.thumbprint is None else canonical_thumbprint(wanted.thumbprint)
    except ValueError as error:
        raise PlanError(f"{shown}: {error}") from None
    if wanted.protocol not in {"http", "https"}:
        raise PlanError(f"{shown}: protocol is {wanted.protocol!r}, expected http or https")
    if wanted.protocol == "http" and (thumbprint is not None or wanted.sni is not None):
        raise PlanError(f"{shown}: http has no certificate and no SNI. Make it https, or leave both out.")
    if wanted.sni and not place.host:
        raise PlanError(f"{shown}: SNI needs a host name. Give host, or leave sni out.")
    return Target(wanted, place, thumbprint)


def canonical_path(path: str) -> str:
    """A full Windows path with one spelling of its separators, as it is stored. Raises PlanError."""
    normal = ntpath.normpath(path.replace("/", "\\"))
    drive, rest = ntpath.splitdrive(normal)
    bad = set(rest) & set(NOT_IN_PATHS) or normal.startswith(("\\\\.\\", "\\\\?\\"))
    if bad or not drive or not rest.startswith("\\") or path != path.strip():
        raise PlanError(f"path {path!r}: expected a full path such as C:\\inetpub\\x, without {NOT_IN_PATHS}")
    return normal


def _same_path(stored: str, wanted: str, environment: Mapping[str, str]) -> bool:
    known = {name.casefold(): value for name, value in environment.items()}
    full = re.sub(r"%([^%]+)%", lambda found: known.get(found[1].casefold(), found[0]), stored)
    return ntpath.normpath(full.replace("/", "\\")).casefold() == canonical_path(wanted).casefold()


def check_certificate(found: Certificate, target: Target, at: datetime) -> None:
    """Raises PlanError for a certificate that a browser or http.sys would refuse, before anything is written (facts/iis.md 5.4)."""
    what = f"{target.shown}: certificate {found.thumbprint}"
    where = f"LocalMachine\\{target.wanted.store}"
    if not found.found:
        raise PlanError(f"{what} is not in {where}. Import it there with its private key, or name another thumbprint.")
    if not found.has_private_key:
        raise PlanError(f"{what} ({found.subject}) has no private key in {where}. Import the PFX, not the CER.")
    if found.not_before is not None and at < found.not_before:
        raise PlanError(f"{what} ({found.subject}) is not valid before {found.not_before:%Y-%m-%d %H:%M} UTC.")
    if found.not_after is not None and at >= found.not_after:
        raise PlanError(f"{what} ({found.subject}) expired on {found.not_after:%Y-%m-%d %H:%M} UTC. Name a new one.")
    if found.usages and not {SERVER_AUTH, ANY_USAGE} & set(found.usages):
        raise PlanError(f"{what} ({found.subject}) is not meant for servers: its usages are {', '.join(found.usages)}.")
    if target.wanted.sni and found.names and not any(_covers(name, target.place.host) for name in found.names):
        raise PlanError(f"{what} is for {', '.join(found.names)}, not for {target.place.host}.")


def _covers(name: str, host: str) -> bool:
    """RFC 6125 6.4.3: a wildcard stands for one label, the first."""
    own, asked = name.casefold().split("."), host.casefold().split(".")
    return own == asked or (own[0] == "*" and len(own) == len(asked) and own[1:] == asked[1:])


# -- parts of the plan --


def _removed(site: Site | None) -> Plan:
    if site is None:
        return Plan()
    step = {"tag": "site", "key": {"name": site.name}}
    # Location tags would stay behind and count again for the next site of this name (facts/iis.md 1.2).
    paths = dict.fromkeys(f"{site.name}{app.path}".rstrip("/") for app in site.applications)
    locations = [path for path in paths if path != site.name] + [site.name]
    edits: list[Edit] = [{"op": "remove_location", "location": path} for path in locations]
    edits.append({"op": "remove", "section": SITES, "location": "", "at": [step]})
    return Plan((Change("site", site.name, None),), edits=tuple(edits))


def _folder(now: SiteInputs, wanted: WantedSite) -> str | None:
    if wanted.path is None or now.folder == "folder":
        return None
    path = canonical_path(wanted.path)
    if now.folder == "file":
        raise PlanError(f"path {path} is a file, expected a folder or nothing. Remove the file or name another path.")
    return path


def _pool(now: SiteInputs, wanted: WantedSite) -> Parent | None:
    if wanted.app_pool is None or now.pool_found is not False:
        return None
    text = f"there is no application pool {wanted.app_pool!r}. Create it before (iis_app_pool), or name another one."
    return Parent(f"app_pool:{wanted.app_pool.casefold()}", text)


def _created(now: SiteInputs, wanted: WantedSite, bindings: BindingPlan) -> tuple[list[Change], list[Edit]]:
    if wanted.path is None:
        raise PlanError(f"there is no site {wanted.site!r}, and to create it its path is needed. Give path.")
    if not wanted.bindings:
        raise PlanError(f"there is no site {wanted.site!r}, and to create it a binding is needed. Give bindings.")
    path = canonical_path(wanted.path)
    # IIS Manager hashes the name; the lowest free number is what administrators expect (facts/iis.md 3 h).
    used = {site.id for site in now.read.neighbours or ()}
    number = next(number for number in range(1, len(used) + 2) if number not in used)
    application: dict[str, Any] = {"path": "/"}
    changes = [Change("site", None, wanted.site), Change("id", None, number), Change("path", None, path)]
    if wanted.app_pool is not None:
        application["applicationPool"] = wanted.app_pool
        changes.append(Change("app_pool", None, wanted.app_pool))
    root = _item("virtualDirectory", {"path": "/", "physicalPath": path})
    child = {"a": {}, "c": {}, "items": [_item("binding", _attributes(one)) for one in bindings.new]}
    edit = {"op": "add", "section": SITES, "location": "", "at": [], "index": -1}
    edit |= _item(
        "site",
        {"name": wanted.site, "id": number},
        {"bindings": child},
        [_item("application", application, items=[root])],
    )
    return [*changes, *bindings.changes], [edit]


def _changed(now: SiteInputs, site: Site, wanted: WantedSite, bindings: BindingPlan) -> tuple[list[Change], list[Edit]]:
    changes: list[Change] = []
    edits: list[Edit] = []
    here = {"tag": "site", "key": {"name": site.name}}
    root = {"tag": "application", "key": {"path": "/"}}
    application = site.application("/")
    if application is None and (wanted.path is not None or wanted.app_pool is not None):
        raise PlanError(f"site {site.name!r} has no application /. Repair it in IIS Manager.")
    stored = None if application is None else application.virtual_directories.get("/")
    if wanted.path is not None and (stored is None or not _same_path(stored, wanted.path, now.read.environment)):
        if stored is None:
            raise PlanError(f"site {site.name!r} has no virtual directory /. Repair it in IIS Manager.")
        path = canonical_path(wanted.path)
        changes.append(Change("path", stored, path))
        directory = {"tag": "virtualDirectory", "key": {"path": "/"}}
        edits.append(_set([here, root, directory], {"physicalPath": path}))
    if (
        wanted.app_pool is not None
        and application is not None
        and application.app_pool.casefold() != wanted.app_pool.casefold()
    ):
        changes.append(Change("app_pool", application.app_pool or None, wanted.app_pool))
        edits.append(_set([here, root], {"applicationPool": wanted.app_pool}))
    for one in bindings.new:
        edit: Edit = {"op": "add", "section": SITES, "location": "", "at": [here, "bindings"], "index": -1}
        edits.append({**edit, **_item("binding", _attributes(one))})
    for one, flags in bindings.flags:
        key = {"protocol": one.protocol, "bindingInformation": one.information}
        edits.append(_set([here, "bindings", {"tag": "binding", "key": key}], {"sslFlags": flags}))
    return [*changes, *bindings.changes], edits


def _set(at: Sequence[Any], values: Mapping[str, Any]) -> Edit:
    return {"op": "set", "section": SITES, "location": "", "at": list(at), "a": dict(values)}


def _item(
    tag: str, values: Mapping[str, Any], children: Mapping[str, Any] | None = None, items: Iterable[Any] = ()
) -> dict[str, Any]:
    return {"tag": tag, "a": dict(values), "c": dict(children or {}), "items": list(items)}


def _attributes(binding: Binding) -> dict[str, Any]:
    named: dict[str, Any] = {"protocol": binding.protocol, "bindingInformation": binding.information}
    return named | ({"sslFlags": binding.ssl_flags} if binding.ssl_flags else {})


# -- bindings and their certificates --


@dataclass(frozen=True)
class BindingPlan:
    """What differs between the bindings of a site and the wanted ones: new ones, flags to set, records to write."""

    changes: tuple[Change, ...]
    new: tuple[Binding, ...]
    flags: tuple[tuple[Binding, int], ...]
    records: tuple[SslWrite, ...]


def _bindings(now: SiteInputs, targets: Sequence[Target]) -> BindingPlan:
    site = now.read.site
    changes: list[Change] = []
    new: list[Binding] = []
    changed: list[tuple[Binding, int]] = []
    records: dict[tuple[str, str], tuple[SslWrite, Target]] = {}
    for target in targets:
        current = _current(site, target)
        before = current.ssl_flags if current is not None else 0
        flags = before if target.wanted.sni is None else (before & ~SNI) | (SNI if target.wanted.sni else 0)
        if current is None:
            _free(now, target)
            current = Binding(target.wanted.protocol, str(target.place), flags)
            new.append(current)
            changes.append(Change("binding", None, target.shown))
            if flags & SNI:
                changes.append(Change(f"SNI ({target.shown})", None, True))
        elif flags != before:
            if target.thumbprint is None:
                # The record of the other kind of endpoint is another one (facts/iis.md 3 n).
                raise PlanError(f"{target.shown}: changing SNI needs the certificate, too. Give thumbprint.")
            changed.append((current, flags))
            changes.append(Change(f"SNI ({target.shown})", bool(before & SNI), bool(flags & SNI)))
        if target.thumbprint is not None:
            _certificate(
                now, target, current, flags, is_new=bool(new) and new[-1] is current, changes=changes, records=records
            )
    return BindingPlan(tuple(changes), tuple(new), tuple(changed), tuple(write for write, _ in records.values()))


def _current(site: Site | None, target: Target) -> Binding | None:
    found = [
        one
        for one in (site.bindings if site is not None else ())
        if one.protocol.casefold() == target.wanted.protocol and parsed(one) == target.place
    ]
    if len(found) > 1:
        texts = ", ".join(one.information for one in found)
        raise PlanError(f"{target.shown}: the site has it {len(found)} times ({texts}). Remove all but one.")
    return found[0] if found else None


def _free(now: SiteInputs, target: Target) -> None:
    for other in now.read.neighbours or ():
        for one in other.bindings:
            if one.protocol.casefold() == target.wanted.protocol and parsed(one) == target.place:
                raise PlanError(
                    f"{target.shown}: site {other.name!r} has this binding ({one.information}), IIS starts only one of the two. "
                    "Name another port, address or host, or remove it there."
                )


def _certificate(
    now: SiteInputs,
    target: Target,
    binding: Binding,
    flags: int,
    *,
    is_new: bool,
    changes: list[Change],
    records: dict[tuple[str, str], tuple[SslWrite, Target]],
) -> None:
    """The http.sys record of one binding: nothing, or a change and its write."""
    thumbprint, store = str(target.thumbprint), target.wanted.store
    if flags & CENTRAL_STORE:
        raise PlanError(f"{target.shown} takes its certificate from the central store. Leave thumbprint out.")
    name = record_name(target.place, flags)
    if name in records:
        earlier, first = records[name]
        if (earlier.thumbprint, earlier.store.casefold()) != (thumbprint, store.casefold()):
            text = f"{target.shown} and {first.shown} share one certificate ({name[1]}), two are named. "
            raise PlanError(text + "Use SNI (sni=True) for both, or name the same.")
        return
    record = next((one for one in now.read.records if record_key(one) == name), None)
    same_hash = record is not None and record.thumbprint.upper() == thumbprint
    same_store = record is not None and record.store.casefold() == store.casefold()
    if same_hash and same_store:
        return
    if record is not None and record.app_id.casefold() != IIS_APP_ID:
        text = f"{target.shown}: {name[1]} is in use by another application {record.app_id} with certificate {record.thumbprint}. "
        raise PlanError(text + "It is left alone: name another port, or remove it there (netsh http show sslcert).")
    sharers = tuple(_sharers(now, name, binding))
    if is_new and record is not None and sharers:
        text = (
            f"{target.shown} would share one certificate with {', '.join(sharers)}, which now has {record.thumbprint}. "
        )
        raise PlanError(text + "Use SNI (sni=True) or another port.")
    also = f", also of {', '.join(sharers)}" if sharers else ""
    if not same_hash:
        changes.append(Change(f"certificate ({target.shown}{also})", _thumbprint(record), thumbprint))
    if record is not None and not same_store:
        changes.append(Change(f"certificate store ({target.shown}{also})", record.store, store))
    expected = "absent" if record is None else record.thumbprint
    records[name] = SslWrite(binding.protocol, binding.information, thumbprint, store, expected), target


def _thumbprint(record: SslRecord | None) -> str | None:
    return None if record is None else record.thumbprint


def _sharers(now: SiteInputs, name: tuple[str, str], binding: Binding) -> Iterator[str]:
    """Other bindings that the same record answers for: they change together."""
    own = () if now.read.site is None else (now.read.site,)
    for site in (*own, *(now.read.neighbours or ())):
        for one in site.bindings:
            place = parsed(one)
            if one == binding and site in own:
                continue
            if one.protocol.casefold() == "https" and place is not None and record_name(place, one.ssl_flags) == name:
                yield f"{site.name} {one.protocol} {one.information}"
