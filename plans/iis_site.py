"""
What must change about an IIS site: folder, path, pool, bindings, certificates, state. Pure: values in, a plan out.

Bindings and certificates are in iis_bindings.py, pools and authentication in iis.py.
"""

from __future__ import annotations

import ntpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from model.change import Change, PlanError
from model.iis import (
    SITES,
    Application,
    Binding,
    Edit,
    Parent,
    Plan,
    Site,
    SiteInputs,
    SiteRead,
    SslRecord,
    ToCome,
    WantedSite,
)
from model.names import fold
from plans.bindings import parse, record_key, record_name
from plans.iis_bindings import BindingPlan, Target, check_certificate, plan_bindings, target_of
from plans.splice import NOT_XML

NOT_IN_SITE_NAMES: Final = '\\/?;:@&=+$,|"<>'  # facts/iis.md 3 h
NOT_IN_PATHS: Final = '"<>|?*:%'
WEB_CONFIG: Final = "web.config"
SHARED: Final = (
    "its configuration is shared by a farm (redirection.config): every node would change. Change it where it is shared."
)


def plan_site(now: SiteInputs, wanted: WantedSite) -> Plan:
    """
    Compare a site with what is wanted of it.

    + now: what was read; where `read.neighbours` is None the plan holds for telling whether anything differs, not for writing
    + wanted: None leaves a property alone, bindings that are not named stay as they are

    Raises PlanError where it cannot be done or would harm another site; a pool that is missing is `parent` of the plan.
    """
    targets = targets_of(wanted)
    if now.disagree:
        raise PlanError(
            f"two reads disagree whether there is a site {wanted.site!r}: run again, or name it as it is spelled there."
        )
    site = now.read.site
    if not wanted.present:
        return _shared_checked(now, _removed(now.read))
    for target in targets:
        if target.thumbprint is not None:
            check_certificate(now.certificates[target.thumbprint, target.wanted.store.casefold()], target, now.at)
    folder = _folder(now, wanted)
    bindings = plan_bindings(now, targets)
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


# -- what is to come --


def with_to_come(read: SiteRead, coming: ToCome, site: str) -> SiteRead:
    """What was read with the neighbours and the records that earlier operations of the run announced; of `site` itself nothing."""
    own = fold(site)
    if read.neighbours is None:
        return read
    around = {fold(one.name): one for one in read.neighbours} | {k: v for k, v in coming.sites.items() if k != own}
    written = {record_key(one) for one in coming.records}
    records = (*(one for one in read.records if record_key(one) not in written), *coming.records)
    return replace(read, neighbours=tuple(one for one in around.values() if one is not None), records=records)


def locations_to_come(read: SiteRead, coming: ToCome, site: str) -> SiteRead:
    """What was read with the location tags at or below the site that earlier operations of the run announced; they go with it, too."""
    own = fold(site)
    tags = tuple(one for one in coming.locations if fold(one) == own or fold(one).startswith(f"{own}/"))
    return replace(read, locations=(*read.locations, *tags))


def to_come(coming: ToCome, now: SiteInputs, wanted: WantedSite, plan: Plan) -> ToCome:
    """What is announced once a plan is, too."""
    site = _planned(now, wanted) if wanted.present else None
    flags = {} if site is None else {(one.protocol, one.information): one.ssl_flags for one in site.bindings}
    records = {record_key(one): one for one in coming.records}
    for write in plan.records:
        kind, name = record_name(parse(write.information), flags[write.protocol, write.information])
        record = SslRecord(name, kind, write.thumbprint, write.store)
        records[record_key(record)] = record
    name = fold(wanted.site)
    moved = wanted.present and wanted.path is not None and moves(now.read, wanted.path)
    moving = coming.moving | {name} if moved else coming.moving
    made = () if plan.folder is None else (plan.folder, *paths_above(plan.folder))
    return replace(
        coming,
        sites={**coming.sites, name: site},
        records=tuple(records.values()),
        moving=moving,
        folders=coming.folders | set(map(fold, made)),
    )


def _planned(now: SiteInputs, wanted: WantedSite) -> Site:
    """A site as it would be after a plan, as far as others look at it: number, bindings, and the pools of its applications."""
    bindings, pool = plan_bindings(now, targets_of(wanted)), wanted.app_pool
    if now.read.site is None:
        return Site(wanted.site, _number(now), bindings.new, (Application("/", pool or ""),))
    set_ = {one: replace(one, ssl_flags=flags) for one, flags in bindings.flags}
    root = now.read.site.application("/")
    return replace(
        now.read.site,
        bindings=(*(set_.get(one, one) for one in now.read.site.bindings), *bindings.new),
        applications=tuple(
            replace(one, app_pool=pool) if one is root and pool is not None else one
            for one in now.read.site.applications
        ),
    )


# -- what is wanted --


def targets_of(wanted: WantedSite) -> tuple[Target, ...]:
    """The wanted bindings, checked and spelled one way. Raises PlanError that names the bad value."""
    name = wanted.site
    if not name or name != name.strip() or set(name) & set(NOT_IN_SITE_NAMES):
        raise PlanError(f"site name {name!r}: expected a name without {NOT_IN_SITE_NAMES} and without blanks around it")
    if NOT_XML.search(name):
        raise PlanError(f"site name {name!r} holds a character that no file of IIS can hold")
    if wanted.path is not None:
        canonical_path(wanted.path)
    targets = tuple(target_of(one) for one in wanted.bindings)
    places = [(target.wanted.protocol, target.place) for target in targets]
    for at, place in enumerate(places):
        if place in places[:at]:
            raise PlanError(f"binding {place[0]} {place[1]} is named twice")
    return targets


def certificates_of(wanted: WantedSite) -> tuple[tuple[str, str], ...]:
    """Thumbprint and store of each certificate to read, once each. Raises PlanError."""
    pairs = [(t.thumbprint, t.wanted.store) for t in targets_of(wanted) if wanted.present and t.thumbprint is not None]
    return tuple(dict.fromkeys(pairs))


def canonical_path(path: str) -> str:
    """A full Windows path with one spelling of its separators, as it is stored. Raises PlanError."""
    normal = ntpath.normpath(path.replace("/", "\\"))
    drive, rest = ntpath.splitdrive(normal)
    bad = (
        set(rest) & set(NOT_IN_PATHS)
        or re.search(r"[\x00-\x1f]", rest)
        or NOT_XML.search(rest)
        or normal.startswith(("\\\\.\\", "\\\\?\\"))
    )
    if bad or not drive or not rest.startswith("\\") or path != path.strip():
        raise PlanError(f"path {path!r}: expected a full path such as C:\\inetpub\\x, without {NOT_IN_PATHS}")
    return normal


def moves(now: SiteRead, path: str) -> bool:
    """Whether the site is there with another folder than this one. Raises PlanError for a path that is none."""
    application = None if now.site is None else now.site.application("/")
    stored = None if application is None else application.virtual_directories.get("/")
    return stored is not None and not _same_path(stored, path, now.environment)


def _same_path(stored: str, wanted: str, environment: Mapping[str, str]) -> bool:
    known = {fold(name): value for name, value in environment.items()}
    full = re.sub(r"%([^%]+)%", lambda found: known.get(fold(found[1]), found[0]), stored)
    return fold(ntpath.normpath(full.replace("/", "\\"))) == fold(canonical_path(wanted))


# -- parts of the plan --


def _removed(read: SiteRead) -> Plan:
    """
    The site and every location tag at or below it.

    Such tags would stay behind and count again for the next site of this name (facts/iis.md 1.2); those that an earlier removal left go, too.
    """
    paths: dict[str, str] = {}
    for one in read.locations:
        paths.setdefault(fold(one.strip("/")), one.strip("/"))
    changes = [Change("location", path, None) for path in paths.values()]
    edits: list[Edit] = [{"op": "remove_location", "location": path} for path in paths.values()]
    if read.site is not None:
        step = {"tag": "site", "key": {"name": read.site.name}}
        changes.insert(0, Change("site", read.site.name, None))
        edits.append({"op": "remove", "section": SITES, "location": "", "at": [step]})
    return Plan(tuple(changes), edits=tuple(edits))


def _folder(now: SiteInputs, wanted: WantedSite) -> str | None:
    if wanted.path is None:
        return None
    path = canonical_path(wanted.path)
    if now.web_config:
        # What it sets counts more than applicationHost.config, and cannot be asked of IIS before the site is there.
        file = ntpath.join(path, WEB_CONFIG)
        raise PlanError(
            f"path {path} holds {file}, which the site would obey from then on. Move it away, or name another path."
        )
    if now.folder == "folder":
        return None
    if now.folder == "file":
        raise PlanError(f"path {path} is a file, expected a folder or nothing. Remove the file or name another path.")
    match now.above:
        case (above, "file"):
            raise PlanError(f"path {path}: {above} is a file, so no folder can be made below it. Name another path.")
        case (drive, "absent"):
            raise PlanError(f"path {path}: there is no {drive}. Name a path on a drive that exists.")
        case _:
            return path


def paths_above(path: str) -> tuple[str, ...]:
    """The folders above a full path, nearest first, its drive or share last. Raises PlanError."""
    found, here = [], canonical_path(path)
    while ntpath.dirname(here) != here:
        here = ntpath.dirname(here)
        found.append(here)
    return tuple(found)


def _pool(now: SiteInputs, wanted: WantedSite) -> Parent | None:
    if wanted.app_pool is None or now.pool_found is not False:
        return None
    text = f"there is no application pool {wanted.app_pool!r}. Create it before (iis_app_pool), or name another one."
    return Parent(f"app_pool:{fold(wanted.app_pool)}", text)


def _created(now: SiteInputs, wanted: WantedSite, bindings: BindingPlan) -> tuple[list[Change], list[Edit]]:
    if wanted.path is None:
        raise PlanError(f"there is no site {wanted.site!r}, and to create it its path is needed. Give path.")
    if not wanted.bindings:
        raise PlanError(f"there is no site {wanted.site!r}, and to create it a binding is needed. Give bindings.")
    path = canonical_path(wanted.path)
    number = _number(now)
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


def _number(now: SiteInputs) -> int:
    """IIS Manager hashes the name; the lowest free number is what administrators expect (facts/iis.md 3 h)."""
    used = {site.id for site in now.read.neighbours or ()}
    return next(number for number in range(1, len(used) + 2) if number not in used)


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
    if wanted.app_pool is not None and application is not None and fold(application.app_pool) != fold(wanted.app_pool):
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
