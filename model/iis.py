"""
IIS as data: sites, pools, authentication and http.sys records as read, and what is wanted of them.

No comparing (plans/iis_*.py), no text forms of bindings (plans/bindings.py), no host verbs (facts/iis.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, TypeAlias

from model.change import Change
from model.names import fold
from model.secret import Secret

RunState: TypeAlias = Literal["Starting", "Started", "Stopping", "Stopped", "Unknown"]
WantedState: TypeAlias = Literal["Started", "Stopped"]
Protocol: TypeAlias = Literal["http", "https"]
Scheme: TypeAlias = Literal["anonymous", "windows", "basic", "digest"]
PipelineMode: TypeAlias = Literal["Integrated", "Classic"]
StartMode: TypeAlias = Literal["OnDemand", "AlwaysRunning"]
Identity: TypeAlias = Literal[
    "LocalSystem", "LocalService", "NetworkService", "SpecificUser", "ApplicationPoolIdentity"
]
Stands: TypeAlias = Literal["file", "folder", "absent"]  # what Read-File finds at a path
Edit: TypeAlias = Mapping[str, Any]  # one EDIT of Edit-IisConfig, JSON as docs/verbs.md states it

SNI: Final = 1  # bits of a binding's sslFlags (learn.microsoft.com, iis/configuration .../binding)
CENTRAL_STORE: Final = 2
IIS_APP_ID: Final = "{4dc3e181-e14b-4a21-b022-59fc669b0914}"  # who IIS says it is in its http.sys records

# Sections of applicationHost.config (IIS's own schema)
SITES: Final = "system.applicationHost/sites"
POOLS: Final = "system.applicationHost/applicationPools"
MODULES: Final = "system.webServer/modules"
SECTIONS: Final[Mapping[Scheme, str]] = {
    scheme: f"system.webServer/security/authentication/{scheme}Authentication"
    for scheme in ("anonymous", "windows", "basic", "digest")
}


def location_of(site: str, path: str) -> str:
    """`SITE` or `SITE/app`, as docs/verbs.md names a location."""
    return f"{site}/{path.strip('/')}".rstrip("/")


def is_within(location: str, site: str) -> bool:
    """Whether a location is a site's own or lies below it."""
    return f"{fold(location.strip('/'))}/".startswith(f"{fold(site)}/")


# -- as read --


class Readable:
    """What a fact returns: pyinfra prints it as JSON."""

    def to_json(self) -> dict[str, Any]:
        """The fields by name. Nothing that is read holds a secret: encrypted attributes arrive as "set" or "not set"."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]  # every subclass is a dataclass


@dataclass(frozen=True)
class Binding:
    """One binding as it is stored; `information` of http and https is `address:port:host`, of others it is opaque."""

    protocol: str
    information: str
    ssl_flags: int = 0


@dataclass(frozen=True)
class Application:
    """An application of a site; `virtual_directories` maps path to physical path as stored (`%SystemDrive%\\...` stays)."""

    path: str
    app_pool: str
    virtual_directories: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Site:
    """A site as it is stored in applicationHost.config."""

    name: str
    id: int
    bindings: tuple[Binding, ...] = ()
    applications: tuple[Application, ...] = ()

    def application(self, path: str) -> Application | None:
        """The application at a path, compared without case."""
        return next((app for app in self.applications if fold(app.path) == fold(path)), None)


@dataclass(frozen=True)
class SslRecord:
    """One record of http.sys: which certificate answers at an endpoint (facts/iis.md 4). `kind` is ip, sni or ccs."""

    endpoint: str
    kind: str
    thumbprint: str
    store: str
    app_id: str = IIS_APP_ID
    flags: int = 0


@dataclass(frozen=True)
class SiteRead(Readable):
    """
    What `facts.iis.IisSite` gives. `site` is None where there is no such site.

    `guard` is the SHA-256 of applicationHost.config, `neighbours` the other sites (None: not read), `state` None without a site,
    `environment` holds what `%SystemDrive%` and `%SystemRoot%` stand for, empty where no stored path has a percent sign.
    `locations` are the paths of the location tags at or below the site, as written, also where there is no such site.
    """

    guard: str
    shared: bool
    site: Site | None
    state: RunState | None = None
    records: tuple[SslRecord, ...] = ()
    neighbours: tuple[Site, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    locations: tuple[str, ...] = ()


@dataclass(frozen=True)
class Certificate(Readable):
    """A certificate of a LocalMachine store. Times are UTC, `usages` are EKU OIDs, `names` the DNS names of its SAN."""

    thumbprint: str
    store: str
    found: bool
    subject: str = ""
    names: tuple[str, ...] = ()
    not_before: datetime | None = None
    not_after: datetime | None = None
    has_private_key: bool = False
    usages: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Times as ISO 8601."""
        times = {"not_before": self.not_before, "not_after": self.not_after}
        return asdict(self) | {name: at.isoformat() if at else None for name, at in times.items()}


@dataclass(frozen=True)
class AppPool:
    """An application pool, defaults filled in. `password_set` says that a password is stored, never which."""

    name: str
    runtime_version: str
    pipeline_mode: str
    identity: str
    user: str
    password_set: bool
    start_mode: str


@dataclass(frozen=True)
class AppPoolRead(Readable):
    """What `facts.iis.IisAppPool` gives. `app_pool` is None where there is none of that name; `users` are the applications in it (None: not read)."""

    guard: str
    shared: bool
    app_pool: AppPool | None
    state: RunState | None = None
    users: tuple[str, ...] | None = None


@dataclass(frozen=True)
class SchemeRead:
    """
    One authentication scheme at one location.

    `stored` is what applicationHost.config gives there, `effective` what counts with every web.config; None where it could not be read,
    and `error` says why.
    `file` and `line` are the deepest place where the section is set, None where that is unknown.
    """

    stored: bool | None
    effective: bool | None
    file: str | None = None
    line: int | None = None
    error: str | None = None


@dataclass(frozen=True)
class Authentication(Readable):
    """
    What `facts.iis.IisAuthentication` gives.

    `site` is the stored spelling of its name, None where there is no such site: the rest is then what one of this name would begin with.
    `paths` are the applications and virtual directories of the site; `config` is applicationHost.config's full path.
    `modules` are those that run at the location, None where they could not be read (`modules_error`).
    """

    guard: str
    shared: bool
    config: str
    site: str | None
    path: str
    paths: tuple[str, ...]
    schemes: Mapping[Scheme, SchemeRead]
    providers_stored: tuple[str, ...]
    providers: tuple[str, ...]
    global_modules: tuple[str, ...]
    modules: tuple[str, ...] | None
    modules_error: str | None = None


# -- as wanted --


@dataclass(frozen=True)
class WantedBinding:
    """
    One binding that a site must have; its other bindings stay as they are.

    `address` is `*` (any IPv4), an IPv4 or an IPv6 address; `host` a host name, Unicode or punycode, "" for any.
    `thumbprint` (https) names the certificate in the LocalMachine store `store`; None leaves the certificate alone.
    `sni` None leaves that flag alone (off for a new binding); other flags are never touched.
    """

    protocol: Protocol
    port: int
    address: str = "*"
    host: str = ""
    thumbprint: str | None = None
    store: str = "My"
    sni: bool | None = None


@dataclass(frozen=True)
class WantedSite:
    """A site as it must be. None leaves a property alone."""

    site: str
    present: bool = True
    path: str | None = None
    app_pool: str | None = None
    bindings: tuple[WantedBinding, ...] = ()
    state: WantedState | None = None


@dataclass(frozen=True)
class WantedAppPool:
    """An application pool as it must be. None leaves a property alone; `rotate_password` writes the password although one is stored."""

    app_pool: str
    present: bool = True
    runtime_version: str | None = None
    pipeline_mode: PipelineMode | None = None
    identity: Identity | None = None
    user: str | None = None
    password: Secret | None = None
    start_mode: StartMode | None = None
    state: WantedState | None = None
    rotate_password: bool = False


@dataclass(frozen=True)
class WantedAuthentication:
    """The schemes that are managed at one location; a scheme that is not named, and `providers` None, are left alone."""

    schemes: Mapping[Scheme, bool]
    providers: tuple[str, ...] | None = None


# -- what a plan says --


@dataclass(frozen=True)
class Parent:
    """A thing that is missing and that the planned one lives in: its id for `announced`, and the sentence that refuses."""

    thing: str
    text: str


@dataclass(frozen=True)
class SslWrite:
    """One Set-SslBinding: the binding, the certificate, and the thumbprint of the record that was read (`absent`: none)."""

    protocol: str
    information: str
    thumbprint: str
    store: str
    expected: str


@dataclass(frozen=True)
class SiteInputs:
    """
    All that a site's plan looks at. `at` is the controller's UTC time; `pool_found`, `folder`, `above` are None where not asked.

    `above` is the nearest path above an absent folder at which something stands, and what; its drive with `absent` where there is not even that.
    `web_config`: whether the folder that a site would get, a new one or one that moves, holds a web.config.
    `disagree`: the host's search for the site and the list of all sites tell otherwise whether it exists.
    """

    read: SiteRead
    at: datetime
    pool_found: bool | None = None
    folder: Stands | None = None
    above: tuple[str, Stands] | None = None
    web_config: bool = False
    certificates: Mapping[tuple[str, str], Certificate] = field(default_factory=dict)
    disagree: bool = False


@dataclass(frozen=True)
class ToCome:
    """
    What the operations of a run before this one announced on a host, so that a dry run counts it.

    + sites: as they would be, by their folded names; None for one that would be gone
    + records: those of http.sys that would be written
    + moving: the folded names of the sites that would get another folder
    + folders: the folded paths of the folders that would be made
    + pools_gone: the folded names of the application pools that would be taken away
    + locations: the paths of the location tags that would be written, in that order
    """

    sites: Mapping[str, Site | None] = field(default_factory=dict)
    records: tuple[SslRecord, ...] = ()
    moving: frozenset[str] = frozenset()
    folders: frozenset[str] = frozenset()
    pools_gone: frozenset[str] = frozenset()
    locations: tuple[str, ...] = ()

    def gone(self, name: str) -> bool:
        """Whether a site of this folded name would be taken away."""
        return name in self.sites and self.sites[name] is None


@dataclass(frozen=True)
class Plan:
    """What differs and the writes that mend it, in their order: folder, edits (one commit), http.sys records, state."""

    changes: tuple[Change, ...] = ()
    folder: str | None = None
    edits: tuple[Edit, ...] = ()
    records: tuple[SslWrite, ...] = ()
    state: WantedState | None = None
    parent: Parent | None = None
