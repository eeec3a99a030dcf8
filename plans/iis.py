"""
What must change about IIS application pools and authentication. Pure: values in, a plan out.

Sites are in iis_site.py, the text forms of bindings in bindings.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from model.change import MASK, Change, PlanError, Value
from model.iis import (
    POOLS,
    SECTIONS,
    AppPool,
    AppPoolRead,
    Authentication,
    Edit,
    Parent,
    Plan,
    Scheme,
    SchemeRead,
    ToCome,
    WantedAppPool,
    WantedAuthentication,
    location_of,
)
from model.names import fold
from plans.iis_site import SHARED
from plans.splice import NOT_XML

MODULES: Final[
    Mapping[Scheme, str]
] = {  # a section can be set without its module, and then does nothing (facts/iis.md 0.10)
    "anonymous": "AnonymousAuthenticationModule",
    "windows": "WindowsAuthenticationModule",
    "basic": "BasicAuthenticationModule",
    "digest": "DigestAuthenticationModule",
}
FEATURES: Final[Mapping[str, str]] = {
    "AnonymousAuthenticationModule": "Web-Server",
    "WindowsAuthenticationModule": "Web-Windows-Auth",
    "BasicAuthenticationModule": "Web-Basic-Auth",
    "DigestAuthenticationModule": "Web-Digest-Auth",
}
NOT_IN_POOL_NAMES: Final = '|<>&\\"/[]+=;:,?*@'  # the validator applicationPoolName of IIS's schema
LONGEST_POOL_NAME: Final = 64
RUNTIME: Final = re.compile(
    r"(v[0-9]+\.[0-9]+(\.[0-9]+)?)?", re.IGNORECASE
)  # as IIS writes them; none for no managed code


# -- application pools --


def plan_app_pool(now: AppPoolRead, wanted: WantedAppPool) -> Plan:
    """
    Compare an application pool with what is wanted of it.

    A password is never read back, so it is written when there is none, when the user or the identity changes, or when `rotate_password` asks for it.
    The edits name it `{"secret": "password"}`.

    Raises PlanError where what is wanted contradicts itself, or an absent pool is in use.
    """
    _check_pool(now, wanted)
    if not wanted.present:
        plan = _pool_removed(now)
    else:
        changes, edits = _pool_changes(now.app_pool, wanted)
        state = wanted.state if wanted.state != now.state else None
        if state is not None:
            changes.append(Change("state", now.state, state))
        plan = Plan(tuple(changes), edits=tuple(edits), state=state)
    if now.shared and plan.edits:
        raise PlanError(SHARED)
    return plan


def users_to_come(now: AppPoolRead, coming: ToCome, app_pool: str) -> AppPoolRead:
    """What was read of a pool, with the applications that would be in it after what operations before this one announced."""
    if now.users is None:
        return now
    stay = [one for one in now.users if fold(one.partition("/")[0]) not in coming.sites]
    join = [
        f"{site.name}{one.path}"
        for site in coming.sites.values()
        if site is not None
        for one in site.applications
        if fold(one.app_pool) == fold(app_pool)
    ]
    return replace(now, users=(*stay, *join))


def _check_pool(now: AppPoolRead, wanted: WantedAppPool) -> None:
    name = wanted.app_pool
    if not name.strip() or set(name) & set(NOT_IN_POOL_NAMES) or len(name) > LONGEST_POOL_NAME:
        text = f"pool name {name!r}: expected up to {LONGEST_POOL_NAME} characters without {NOT_IN_POOL_NAMES}"
        raise PlanError(text)
    for what, text in (("pool name", name), ("user", wanted.user or "")):
        if NOT_XML.search(text):
            raise PlanError(f"{what} {text!r} holds a character that no file of IIS can hold")
    if not RUNTIME.fullmatch(wanted.runtime_version or ""):
        raise PlanError(
            f"runtime_version is {wanted.runtime_version!r}, expected 'v4.0', 'v2.0' or '' for no managed code."
        )
    if wanted.rotate_password and wanted.password is None:
        raise PlanError("rotate_password needs the password to write. Give it, or leave rotate_password out.")
    if wanted.user is None and wanted.password is None:
        if wanted.identity == "SpecificUser" and not (now.app_pool is not None and now.app_pool.user):
            raise PlanError(
                "identity SpecificUser needs a user. Give user, and password unless it is a managed account."
            )
        return
    identity = wanted.identity or (now.app_pool.identity if now.app_pool is not None else None)
    if identity != "SpecificUser":
        raise PlanError(f"identity is {identity or 'not named'}, user and password are for SpecificUser only.")
    if wanted.password is not None and not wanted.password:
        raise PlanError("the password is empty. Leave it out for a managed account.")


def _pool_removed(now: AppPoolRead) -> Plan:
    if now.app_pool is None:
        return Plan()
    if now.users:
        raise PlanError(f"the pool runs {', '.join(now.users)}. Give these another pool first.")
    step = {"tag": "add", "key": {"name": now.app_pool.name}}
    edit: Edit = {"op": "remove", "section": POOLS, "location": "", "at": [step]}
    return Plan((Change("app_pool", now.app_pool.name, None),), edits=(edit,))


def _pool_changes(pool: AppPool | None, wanted: WantedAppPool) -> tuple[list[Change], list[Edit]]:
    changes = [] if pool is not None else [Change("app_pool", None, wanted.app_pool)]
    own: dict[str, Any] = {}
    process: dict[str, Any] = {}
    rows: tuple[tuple[str, str, dict[str, Any], str | None], ...] = (
        ("runtime_version", "managedRuntimeVersion", own, wanted.runtime_version),
        ("pipeline_mode", "managedPipelineMode", own, wanted.pipeline_mode),
        ("start_mode", "startMode", own, wanted.start_mode),
        ("identity", "identityType", process, wanted.identity),
        ("user", "userName", process, wanted.user),
    )
    for name, attribute, into, value in rows:
        before: Value = None if pool is None else getattr(pool, name)
        if value is not None and (before is None or fold(str(before)) != fold(value)):
            changes.append(Change(name, before, value))
            into[attribute] = value
    stale = pool is None or not pool.password_set or wanted.rotate_password or bool(process)
    if wanted.password is not None and stale:
        # The plan holds no secret: the value travels beside the call.
        changes.append(Change("password", None, None, secret=True))
        process["password"] = {"secret": "password"}
    forget = False
    if pool is not None and pool.password_set and wanted.password is None and "userName" in process:
        # The stored password is the old account's: the pool would stay down, and its attempts may lock the new account.
        if not process["userName"].endswith("$"):
            raise PlanError(
                f"user changes to {process['userName']!r}, and a password of another is stored. Give its password."
            )
        changes.append(Change("password", MASK, "removed"))
        forget = True
    edits = list(_pool_edits(pool, wanted.app_pool, own, process))
    if forget:
        step = {"tag": "add", "key": {"name": wanted.app_pool if pool is None else pool.name}}
        edits.append(
            {"op": "reset", "section": POOLS, "location": "", "at": [step, "processModel"], "names": ["password"]}
        )
    return changes, edits


def _pool_edits(pool: AppPool | None, name: str, own: dict[str, Any], process: dict[str, Any]) -> Iterator[Edit]:
    where = {"section": POOLS, "location": ""}
    if pool is None:
        child = {"processModel": {"a": process, "c": {}, "items": []}} if process else {}
        yield where | {
            "op": "add",
            "at": [],
            "tag": "add",
            "index": -1,
            "a": {"name": name} | own,
            "c": child,
            "items": [],
        }
        return
    step = {"tag": "add", "key": {"name": pool.name}}
    if own:
        yield where | {"op": "set", "at": [step], "a": own}
    if process:
        yield where | {"op": "set", "at": [step, "processModel"], "a": process}


# -- authentication --


def plan_authentication(now: Authentication, wanted: WantedAuthentication, site: str) -> Plan:
    """
    Compare the authentication of a site or an application with what is wanted of it: the effective value counts.

    A scheme that counts as wanted only since a deeper web.config says so is stored as wanted, too: else whoever takes that file away opens the site.
    The providers are not: a list to which the deeper file may add, and an entry twice is an error (facts/iis.md 3 l). See `overridden`.

    + now: what was read; for a site that is not there, what it would inherit
    + wanted: only the schemes named are managed
    + site: the name as the user gave it, for messages about a site that is not there

    Raises PlanError where a module is missing, a section cannot be read, a deeper web.config overrides, or nobody could log on afterwards.
    A site or application that is not there is `parent` of the plan.
    """
    _check_authentication(wanted)
    for scheme, enabled in wanted.schemes.items():
        if enabled:
            _require_module(now, MODULES[scheme], scheme)
    if wanted.providers is not None:
        _require_module(now, MODULES["windows"], "windows, whose providers are named,")
    location = location_of(now.site or site, now.path)
    changes: list[Change] = []
    edits: list[Edit] = []
    for scheme, enabled in wanted.schemes.items():
        before, stored = _effective(now, scheme, enabled), now.schemes[scheme].stored
        if before != enabled:
            changes.append(Change(scheme, before, enabled))
        elif stored is not None and stored != enabled:
            changes.append(Change(f"{scheme} as stored ({_by(now, scheme)} sets what counts)", stored, enabled))
        else:
            continue
        where = {"section": SECTIONS[scheme], "location": location}
        edits.append(where | {"op": "set", "at": [], "a": {"enabled": enabled}})
    if changes:
        _check_lockout(now, wanted)
    if wanted.providers is not None and not _same(now.providers, wanted.providers):
        right = _same(now.providers_stored, wanted.providers)
        _check_override(now, _readable(now, "windows"), "windows", stored_right=right)
        changes.append(Change("providers", now.providers, wanted.providers))
        edits += _provider_edits(location, wanted.providers)
    if now.shared and edits:
        raise PlanError(SHARED)
    return Plan(tuple(changes), edits=tuple(edits), parent=parent_of(now, site))


def without_deeper(now: Authentication) -> Authentication:
    """What would count if no web.config had a say: of a site that an operation before this one gives another folder, without one."""
    schemes = {
        scheme: replace(found, effective=found.stored, file=now.config, line=None, error=None)
        for scheme, found in now.schemes.items()
        if found.stored is not None
    }
    return replace(now, schemes={**now.schemes, **schemes}, providers=now.providers_stored)


def overridden(now: Authentication, wanted: WantedAuthentication) -> str:
    """What is stored otherwise although what counts is as wanted, with the file that makes it so; "" where nothing is."""
    if wanted.providers is None or not now.providers_stored or _same(now.providers_stored, wanted.providers):
        return ""
    stored = ", ".join(now.providers_stored)
    return f"providers are so by {_by(now, 'windows')} alone: applicationHost.config has {stored}"


def _by(now: Authentication, scheme: Scheme) -> str:
    """The deeper file that sets a scheme, with its line, as far as they are known."""
    found = now.schemes[scheme]
    if found.file is None or _plain(found.file) == _plain(now.config):
        return f"a file below {now.config}"
    return found.file if found.line is None else f"{found.file} line {found.line}"


def _check_authentication(wanted: WantedAuthentication) -> None:
    if not wanted.schemes and wanted.providers is None:
        raise PlanError(f"nothing is named. Give at least one of {', '.join(SECTIONS)} or providers.")
    if wanted.schemes.get("anonymous") is False and wanted.schemes.get("windows") is False:
        raise PlanError("anonymous and windows are not switched off in one step: nobody could log on. Switch one off.")
    if wanted.providers is not None:
        folded = [fold(one) for one in wanted.providers]
        if not folded or any(not one.strip() for one in folded) or len(set(folded)) < len(folded):
            raise PlanError(f"providers are {wanted.providers!r}, expected names such as Negotiate and NTLM, each once")


def _require_module(now: Authentication, module: str, what: str) -> None:
    """
    Require a module in globalModules and among those of the location that was read.

    + what: who needs it, first in the message

    Raises PlanError that says which of the two lacks it.
    """
    if module not in now.global_modules:
        feature = FEATURES[module]
        raise PlanError(f"{what} needs {module}, which is not installed (globalModules). Install {feature}, run again.")
    if now.modules is None:
        raise PlanError(f"{what} needs {module}, and the modules there could not be read: {now.modules_error}")
    if module not in now.modules:
        raise PlanError(
            f"{what} needs {module}, which is installed but switched off there (modules). Switch it on first."
        )


def parent_of(now: Authentication, site: str) -> Parent | None:
    """The site or the application that is not there, None where it is."""
    wanted = fold(now.path.strip("/"))
    if now.site is None and wanted:
        text = f"there is no site {site!r}, and iis_site makes none with an application or virtual directory {now.path!r}. "
        return Parent(f"application:{fold(location_of(site, now.path))}", text + "Create both before.")
    if now.site is None:
        text = f"there is no site {site!r}. Create it before (iis_site), or name another one."
        return Parent(f"site:{fold(site)}", text)
    if not wanted or any(fold(path.strip("/")) == wanted for path in now.paths):
        return None
    text = f"site {now.site!r} has no application or virtual directory {now.path!r}; it has {', '.join(now.paths)}."
    return Parent(f"application:{fold(location_of(now.site, now.path))}", text)


def _readable(now: Authentication, scheme: Scheme) -> SchemeRead:
    found = now.schemes[scheme]
    if found.error is not None or found.effective is None:
        raise PlanError(f"{scheme} could not be read: {found.error or 'no value came back'}")
    return found


def _effective(now: Authentication, scheme: Scheme, enabled: bool) -> bool:
    found = _readable(now, scheme)
    if found.effective != enabled:
        _check_override(now, found, scheme, stored_right=found.stored == enabled)
    return bool(found.effective)


def _check_override(now: Authentication, found: SchemeRead, scheme: Scheme, *, stored_right: bool) -> None:
    """A web.config below our file counts more than what we would write (facts/iis.md 3 e)."""
    if found.file is not None and _plain(found.file) != _plain(now.config):
        raise PlanError(
            f"{SECTIONS[scheme]} is set by {_by(now, scheme)}, which counts more than applicationHost.config. "
            "Take it out there, or set it there."
        )
    if stored_right:
        raise PlanError(
            f"{SECTIONS[scheme]} is stored as wanted, yet another value counts: a file below {now.config} sets it."
        )


def _plain(path: str) -> str:
    return fold(path.removeprefix("\\\\?\\").replace("/", "\\"))


def _check_lockout(now: Authentication, wanted: WantedAuthentication) -> None:
    after = {scheme: wanted.schemes.get(scheme, found.effective) for scheme, found in now.schemes.items()}
    if not any(after.values()):
        raise PlanError("no scheme would be left on: nobody could log on. Switch another one on first.")
    # What stays on must work, too: a scheme without its module lets nobody in.
    if not any(on and _works(now, scheme) for scheme, on in after.items()):
        left = ", ".join(scheme for scheme, on in after.items() if on)
        raise PlanError(f"only {left} would be left on, and its module does not run there: nobody could log on.")


def _works(now: Authentication, scheme: Scheme) -> bool:
    return MODULES[scheme] in now.global_modules and now.modules is not None and MODULES[scheme] in now.modules


def _same(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return [fold(name) for name in one] == [fold(name) for name in other]


def _provider_edits(location: str, providers: tuple[str, ...]) -> Iterator[Edit]:
    # An append collection in which a second of a name is an error: cleared, then filled by index (facts/iis.md 3 l, 1.6).
    where = {"section": SECTIONS["windows"], "location": location, "at": ["providers"]}
    yield where | {"op": "clear"}
    for index, value in enumerate(providers):
        yield where | {"op": "add", "tag": "add", "index": index, "a": {"value": value}, "c": {}, "items": []}
