"""Facts of IIS: sites, application pools, authentication, certificates of the server. Reading only; what must change is decided in plans/."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from typing_extensions import override

from connectors.call import Answer, Dialogue, HostCall, Json
from facts.base import HostFact
from facts.files import file_content
from facts.iis_config import (
    CertificateAnswer,
    ConfigAnswer,
    Node,
    RecordsAnswer,
    SectionRead,
    StatesAnswer,
    config_call,
    stored,
)
from model.files import LARGEST_FILE
from model.iis import (
    MODULES,
    POOLS,
    SECTIONS,
    SITES,
    Application,
    AppPool,
    AppPoolRead,
    Authentication,
    Binding,
    Certificate,
    Scheme,
    SchemeRead,
    Site,
    SiteRead,
    SslRecord,
    is_within,
    location_of,
)
from model.names import fold
from plans.iis_location import merged, said_at

# -- sites --


class IisSite(HostFact[SiteRead]):
    """
    Returns a site as it is stored, whether it runs, and the certificates of http.sys where it has an https binding.

    + site: name of the site, as IIS Manager shows it, in any case

    .. code:: python

        SiteRead(guard="9f2c...", site=Site(name="MIM MFASDK", id=2, bindings=(Binding("https", "*:9999:"),), ...), state="Started", ...)

    No such site is ``site=None``. `neighbours` is None: the other sites are not read, since that takes long where there are many.
    """

    @override
    def command(self, site: str) -> Dialogue:
        self.site = site
        return Dialogue(f"read IIS site {site}", lambda: site_steps(site, alone=True))

    @override
    def parse(self, answer: Answer) -> SiteRead:
        return site_read(answer.result, self.site, alone=True)


class IisSites(HostFact[SiteRead]):
    """
    Returns a site like ``IisSite``, with the other sites of the server as its neighbours and all certificates of http.sys.

    + site: name of the one that is meant; it need not exist
    """

    @override
    def command(self, site: str) -> Dialogue:
        self.site = site
        return Dialogue(f"read the IIS sites around {site}", lambda: site_steps(site, alone=False))

    @override
    def parse(self, answer: Answer) -> SiteRead:
        return site_read(answer.result, self.site, alone=False)


def site_steps(site: str, *, alone: bool) -> Generator[HostCall, Answer, Json]:
    """The reads of a site: its configuration, then only what that makes necessary."""
    config = yield config_call(stored("sites", SITES, name=site) if alone else stored("sites", SITES))
    found: dict[str, Json] = {"config": config.result, "states": None, "records": None, "host": None}
    named = _sites(ConfigAnswer.model_validate(config.result))
    own = _named(named, site)
    if own is not None:
        states = yield HostCall("Get-IisState", items=[{"kind": "site", "name": own.name}])
        found["states"] = states.result
    if not alone or (own is not None and any(one.protocol.casefold() == "https" for one in own.bindings)):
        records = yield HostCall("Get-SslBinding")
        found["records"] = records.result
    paths = () if own is None else [path for app in own.applications for path in app.virtual_directories.values()]
    if any("%" in path for path in paths):
        info = yield HostCall("Get-HostInfo")
        found["host"] = info.result
    return found


def site_read(result: Any, site: str, *, alone: bool) -> SiteRead:
    """What `site_steps` collected as a value. Raises ValueError."""
    config = ConfigAnswer.model_validate(result["config"])
    sites = _sites(config)
    own = _named(sites, site)
    if alone and own is None and sites:
        # The host found it by its own comparison: then it is not absent, whatever ours says.
        raise ValueError(f"the host takes site {sites[0].name!r} for {site!r}; name it as it is spelled there")
    states = [] if result["states"] is None else StatesAnswer.model_validate(result["states"]).states
    records = [] if result["records"] is None else RecordsAnswer.model_validate(result["records"]).records
    environment = {}
    if result["host"] is not None:
        drive, root = str(result["host"]["system_drive"]), str(result["host"]["system_root"])
        environment = {"SystemDrive": drive, "SystemRoot": root, "windir": root}
    return SiteRead(
        guard=config.sha256,
        shared=config.shared,
        site=own,
        state=states[0].state if states else None,
        records=tuple(SslRecord(**dict(record)) for record in records),
        neighbours=None if alone else tuple(one for one in sites if one is not own),
        environment=environment,
        locations=tuple(one for one in config.locations if is_within(one, site)),
    )


def _sites(config: ConfigAnswer) -> tuple[Site, ...]:
    return tuple(_site(node) for node in config.by_id()["sites"].wanted_tree().tagged("site"))


def _named(sites: Sequence[Site], name: str) -> Site | None:
    return next((site for site in sites if fold(site.name) == fold(name)), None)


def _site(node: Node) -> Site:
    return Site(
        name=node.text("name"),
        id=node.number("id"),
        bindings=tuple(
            Binding(one.text("protocol"), one.text("bindingInformation"), one.number("sslFlags"))
            for one in node.c["bindings"].tagged("binding")
        ),
        applications=tuple(
            Application(
                one.text("path"),
                one.text("applicationPool"),
                {inner.text("path"): inner.text("physicalPath") for inner in one.tagged("virtualDirectory")},
            )
            for one in node.tagged("application")
        ),
    )


# -- application pools --


class IisAppPool(HostFact[AppPoolRead]):
    """
    Returns an application pool with its defaults filled in, and whether it runs. Whether a password is stored is told, never which.

    + app_pool: name of the pool, in any case

    .. code:: python

        AppPoolRead(guard="9f2c...", app_pool=AppPool(name="MIM MFASDK", runtime_version="v4.0", identity="ApplicationPoolIdentity", ...), ...)

    No such pool is ``app_pool=None``. ``users`` is None: which applications are in it is not read.
    """

    with_users = False

    @override
    def command(self, app_pool: str) -> Dialogue:
        self.app_pool = app_pool
        return Dialogue(f"read IIS application pool {app_pool}", lambda: pool_steps(app_pool, users=self.with_users))

    @override
    def parse(self, answer: Answer) -> AppPoolRead:
        return pool_read(answer.result, self.app_pool)


class IisAppPoolUsers(IisAppPool):
    """
    Returns an application pool like ``IisAppPool``, with the applications of all sites that are in it.

    + app_pool: name of the pool, in any case
    """

    with_users = True

    @override
    def command(self, app_pool: str) -> Dialogue:
        return super().command(app_pool)


def pool_steps(app_pool: str, *, users: bool) -> Generator[HostCall, Answer, Json]:
    """The reads of a pool: its configuration, then its state where it exists."""
    reads = [stored("pools", POOLS, name=app_pool)] + ([stored("sites", SITES)] if users else [])
    config = yield config_call(*reads)
    found: dict[str, Json] = {"config": config.result, "states": None}
    if ConfigAnswer.model_validate(config.result).by_id()["pools"].wanted_tree().tagged("add"):
        states = yield HostCall("Get-IisState", items=[{"kind": "pool", "name": app_pool}])
        found["states"] = states.result
    return found


def pool_read(result: Any, app_pool: str) -> AppPoolRead:
    """What `pool_steps` collected as a value. Raises ValueError."""
    config = ConfigAnswer.model_validate(result["config"])
    reads = config.by_id()
    nodes = reads["pools"].wanted_tree().tagged("add")
    own = next((node for node in nodes if fold(node.text("name")) == fold(app_pool)), None)
    if own is None and nodes:
        # The host found it by its own comparison: then it is not absent, whatever ours says.
        raise ValueError(
            f"the host takes pool {nodes[0].text('name')!r} for {app_pool!r}; name it as it is spelled there"
        )
    states = [] if result["states"] is None else StatesAnswer.model_validate(result["states"]).states
    users = None
    if "sites" in reads:
        users = tuple(
            f"{site.name}{application.path}"
            for site in _sites(config)
            for application in site.applications
            if fold(application.app_pool) == fold(app_pool)
        )
    return AppPoolRead(
        guard=config.sha256,
        shared=config.shared,
        app_pool=None if own is None else _pool(own),
        state=states[0].state if states else None,
        users=users,
    )


def _pool(node: Node) -> AppPool:
    process = node.c["processModel"]
    return AppPool(
        name=node.text("name"),
        runtime_version=node.text("managedRuntimeVersion"),
        pipeline_mode=node.text("managedPipelineMode"),
        identity=process.text("identityType"),
        user=process.text("userName"),
        password_set=process.s["password"].set,
        start_mode=node.text("startMode"),
    )


# -- authentication --


class IisAuthentication(HostFact[Authentication]):
    """
    Returns which authentication schemes are stored and which count at a site or an application, with the Windows providers and the modules.

    + site: name of the site, as IIS Manager shows it, in any case
    + path: application or virtual directory below the site; ``/`` is the site itself

    .. code:: python

        Authentication(site="MIM MFASDK", schemes={"windows": SchemeRead(stored=True, effective=True, ...), ...}, providers=("Negotiate", "NTLM"))

    No such site is ``site=None``; the rest is then what a new site of this name would begin with, location tags of an earlier one included.
    ``path`` may be any path, as for IIS: one that is not in ``paths`` answers what IIS applies there.
    """

    @override
    def command(self, site: str, path: str = "/") -> Dialogue:
        self.site, self.path = site, f"/{path.strip('/')}"
        return Dialogue(
            f"read IIS authentication of {site}/{path.strip('/')}", lambda: authentication_steps(site, path)
        )

    @override
    def parse(self, answer: Answer) -> Authentication:
        first = ConfigAnswer.model_validate(answer.result["sites"])
        config = ConfigAnswer.model_validate(answer.result["config"])
        if first.sha256 != config.sha256:
            raise ValueError(f"{config.file} changed between two reads, run again")
        reads = config.by_id()
        site = _named(_sites(first), self.site)
        modules = reads["modules"]
        left = answer.result["left"]
        if left["problem"] is not None:
            raise ValueError(left["problem"])
        found: dict[Scheme, SchemeRead] = {scheme: _scheme(scheme, reads) for scheme in SECTIONS}
        for scheme, on in left["enabled"].items():
            found[scheme] = replace(found[scheme], stored=on, effective=on)
        return Authentication(
            guard=config.sha256,
            shared=config.shared,
            config=config.file,
            site=None if site is None else site.name,
            path=self.path,
            paths=_paths(site),
            schemes=found,
            providers_stored=merged(_providers(reads["windows stored"]), left["providers"]),
            providers=merged(_providers(reads["windows effective"]), left["providers"]),
            global_modules=tuple(config.modules),
            modules=None if modules.tree is None else merged(_names(modules.tree), left["modules"]),
            modules_error=None if modules.tree is not None else modules.said(),
        )


def authentication_steps(site: str, path: str) -> Generator[HostCall, Answer, Json]:
    """
    The reads of authentication: the site as `IisSite` reads it, too, then all sections at once; without the site those that it would inherit.

    A location tag that stands for the absent site already is read from the file itself: IIS does not show it.
    """
    sites = yield config_call(stored("sites", SITES, name=site))
    first = ConfigAnswer.model_validate(sites.result)
    own = _named(_sites(first), site)
    place = "" if own is None else location_of(own.name, path)
    # Modules are set for an application as a whole: below one the section cannot be used.
    application = "" if own is None else location_of(own.name, _application(own, path))
    reads: list[Mapping[str, Json]] = [
        {"id": f"{scheme} {view}", "section": section, "location": place, "view": view}
        for scheme, section in SECTIONS.items()
        for view in ("stored", "effective")
    ]
    reads.append({"id": "modules", "section": MODULES, "location": application, "view": "effective"})
    config = yield config_call(*reads)
    left: dict[str, Json] = {"problem": None, "enabled": {}, "providers": [], "modules": []}
    if own is None and any(fold(one.strip("/")) == fold(site) for one in first.locations):
        answer = yield HostCall("Read-File", path=first.file, count=LARGEST_FILE)
        left |= _left_by_an_earlier_site(answer, first, site)
    return {"sites": sites.result, "config": config.result, "left": left}


def _left_by_an_earlier_site(answer: Answer, config: ConfigAnswer, site: str) -> dict[str, Json]:
    """What location tags of an absent site say; of the file nothing else goes further. An error is data here: `parse` is who may raise."""
    try:
        file = file_content(answer)
        if len(file.data) != file.info.length:
            return {
                "problem": f"{config.file} is no file of up to {LARGEST_FILE} bytes: what {site!r} has in it is not read"
            }
        if file.info.sha256 != config.sha256:
            return {"problem": f"{config.file} changed between two reads, run again"}
        return said_at(file.data, site)
    except ValueError as error:
        return {"problem": f"{config.file}: {error}"}


def _application(site: Site, path: str) -> str:
    """The path of the application that a path below a site belongs to."""
    wanted = fold(f"/{path.strip('/')}/")
    above = [app.path for app in site.applications if wanted.startswith(fold(f"{app.path.rstrip('/')}/"))]
    return max(above, key=len, default="/")


def _paths(site: Site | None) -> tuple[str, ...]:
    """Every application and virtual directory of a site as a path below it."""
    if site is None:
        return ()
    found = [
        f"{application.path.rstrip('/')}/{directory.strip('/')}".rstrip("/") or "/"
        for application in site.applications
        for directory in application.virtual_directories
    ]
    return tuple(dict.fromkeys([*found, *(application.path for application in site.applications)]))


def _scheme(scheme: Scheme, reads: Mapping[str, SectionRead]) -> SchemeRead:
    own, counts = reads[f"{scheme} stored"], reads[f"{scheme} effective"]
    failed = counts if counts.tree is None else own if own.tree is None else None
    return SchemeRead(
        stored=None if own.tree is None else own.tree.flag("enabled"),
        effective=None if counts.tree is None else counts.tree.flag("enabled"),
        file=None if counts.section is None else counts.section.deepest_file,
        line=None if counts.section is None else counts.section.deepest_line,
        error=None if failed is None else failed.said(),
    )


def _names(node: Node) -> tuple[str, ...]:
    return tuple(item.text("name") for item in node.items)


def _providers(read: SectionRead) -> tuple[str, ...]:
    if read.tree is None:
        return ()
    return tuple(item.text("value") for item in read.tree.c["providers"].items)


# -- certificates --


class ServerCertificate(HostFact[Certificate]):
    """
    Returns a certificate of a LocalMachine store: its names, its dates, and whether its private key is there.

    + thumbprint: 40 hex digits
    + store: ``My``, ``WebHosting`` ...

    No such certificate is ``found=False``.
    """

    @override
    def command(self, thumbprint: str, store: str = "My") -> HostCall:
        self.thumbprint, self.store = thumbprint, store
        return HostCall("Get-Certificate", thumbprint=thumbprint, store=store)

    @override
    def parse(self, answer: Answer) -> Certificate:
        data = CertificateAnswer.model_validate(answer.result)
        return Certificate(
            thumbprint=self.thumbprint,
            store=self.store,
            found=data.found,
            subject=data.subject or "",
            names=tuple(data.names),
            not_before=_time(data.not_before_utc),
            not_after=_time(data.not_after_utc),
            has_private_key=bool(data.has_private_key),
            usages=tuple(data.usages),
        )


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
