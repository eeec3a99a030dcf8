"""
The `iis` verbs of the python engine over the machine's own applicationHost.config, registry and certificates (docs/verbs.md, iis).

Reading sections is in iis_config.py, editing in iis_edit.py; here are the verbs, and what WAS and http.sys add at run time.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from lab import certificates, services
from lab.iis_config import SITES, Configuration, View, expanded
from lab.iis_document import Document
from lab.iis_edit import Editor, same_value
from lab.iis_schema import FILE_NOT_FOUND, INVALID_INDEX, Attribute
from lab.state import TICKS, fold
from lab.verbs import Result, Verb, VerbError

if TYPE_CHECKING:
    from lab.python_engine import PythonMachine

INETSRV: Final = r"C:\Windows\System32\inetsrv"
LIBRARY: Final = rf"{INETSRV}\Microsoft.Web.Administration.dll"  # its presence is what "installed" means
CONFIG: Final = rf"{INETSRV}\config\applicationHost.config"
REDIRECTION: Final = rf"{INETSRV}\config\redirection.config"
HTTP_SYS: Final = r"HKLM\SYSTEM\CurrentControlSet\Services\HTTP\Parameters"
RECORD_KEYS: Final[Mapping[str, str]] = {"ccs": "SslCcsBindingInfo", "ip": "SslBindingInfo", "sni": "SslSniBindingInfo"}
IIS_APP_ID: Final = "{4dc3e181-e14b-4a21-b022-59fc669b0914}"

POOLS: Final = "system.applicationHost/applicationPools"
MODULES: Final = "system.webServer/globalModules"

NOT_KNOWN: Final = 0x800710D8  # facts/iis.md 3 k
NO_SERVICE: Final = 0x800706BA
PORT_TAKEN: Final = 0x800700B7
NO_LOGON_SESSION: Final = 0x80070520
ACCESS_DENIED: Final = 0x80070005

WAS_DELAY: Final = TICKS // 10  # how long after a commit WAS does not know what is new
SETTLED: Final = {"Starting": "Started", "Stopping": "Stopped"}  # what a state becomes by itself
POLL_S: Final = 0.02
Kind = Literal["site", "pool"]


# -- configuration --


def get_iis_config(machine: PythonMachine, *, reads: Sequence[Any]) -> Result:
    """Sections, stored or effective, as trees. One bad section does not spoil the others."""
    _installed(machine)
    file = _file(machine)
    data = _config_bytes(machine, file)
    configuration = _configuration(machine, data)
    modules = configuration.stored(MODULES, "").items
    return {
        "file": file,
        "sha256": hashlib.sha256(data).hexdigest(),
        "shared": file != CONFIG,
        "modules": [_text(one, "name") for one in modules],
        "locations": [tag.get("path") or "" for tag in configuration.host.root.iterchildren("location")],
        "reads": [_read(configuration, read) for read in reads],
    }


def _read(configuration: Configuration, read: Any) -> Result:
    known: dict[str, type[object]] = {"id": str, "section": str, "location": str, "view": str, "filter": dict}
    if not isinstance(read, dict) or any(not isinstance(read.get(name), str) for name in ("id", "section", "view")):
        raise VerbError("invalid", "reads", "a read is an object with id, section, location, view")
    wrong = next(
        (name for name, value in read.items() if name not in known or not isinstance(value, known[name])), None
    )
    if wrong is not None or read["view"] not in {"stored", "effective"}:
        raise VerbError("invalid", "reads", f"read {read['id']!r}: {wrong or 'view'} is not as expected")
    section, location = read["section"], read.get("location", "").strip("/")
    try:
        found = (configuration.stored if read["view"] == "stored" else configuration.effective)(section, location)
        if "filter" in read:
            found.items = [one for one in found.items if _fits(one, read["filter"], found.context.where)]
        tree = found.node()
        shown = configuration.section(section, location, read["view"], found)
    except VerbError as error:
        where = f"{section}@{location}"  # a web.config that cannot be read is this section's trouble, too
        failed = VerbError(error.kind, where, error.why, hresult=error.hresult)
        return {"id": read["id"], "ok": False, "error": failed.to_json("Get-IisConfig")}
    return {"id": read["id"], "ok": True, "section": shown, "tree": tree}


def _fits(one: View, wanted: Mapping[str, Any], where: str) -> bool:
    for name in wanted:
        if name not in one.schema.attributes:
            raise VerbError("missing", where, f"filter: {one.tag} has no attribute {name!r}", hresult=INVALID_INDEX)
    return all(same_value(one.value(one.schema.attributes[name]), value) for name, value in wanted.items())


def edit_iis_config(machine: PythonMachine, *, guard: str, edits: Sequence[Any], secrets: Mapping[str, str]) -> Result:
    """All edits as one commit of applicationHost.config, if it still is what the caller read. What cannot be loaded is told before that."""
    _filled(guard=guard)
    _installed(machine)
    file = _file(machine)
    data = _config_bytes(machine, file)
    configuration = _configuration(machine, data)
    try:
        configuration.stored(SITES, "").node()
    except VerbError as error:
        raise VerbError(error.kind, file, error.why, hresult=error.hresult) from None
    digest = hashlib.sha256(data).hexdigest()
    if digest != guard.lower():
        raise VerbError("conflict", file, f"the file is {digest}, expected {guard}")
    if file != CONFIG:
        raise VerbError(
            "denied", file, "the configuration is shared by a farm: it is not edited from one of its servers"
        )
    before = set(_named(configuration))
    Editor(configuration, secrets).apply(edits)
    written = configuration.host.serialized()
    if written == data:
        return {"sha256": digest, "changed": False}
    try:
        machine.disk.write(CONFIG, written)
    except VerbError as error:
        raise VerbError(error.kind, CONFIG, error.why, hresult=error.hresult or ACCESS_DENIED) from None
    _tell_was(machine, before, _configuration(machine, written))
    return {"sha256": hashlib.sha256(written).hexdigest(), "changed": True}


def _filled(**texts: str) -> None:
    """Refuse an argument that is empty: PowerShell does not bind it to a mandatory parameter."""
    for name, text in texts.items():
        if not text:
            raise VerbError("invalid", name, "is empty")


def _installed(machine: PythonMachine) -> None:
    if machine.disk.kind(LIBRARY) != "file":
        raise VerbError("not-installed", "IIS", f"there is no {LIBRARY}")


def _config_bytes(machine: PythonMachine, file: str) -> bytes:
    data = machine.disk.read(file)
    if data is None:
        raise VerbError("missing", file, "the file is not there", hresult=FILE_NOT_FOUND)
    return data


def _configuration(machine: PythonMachine, data: bytes | None = None) -> Configuration:
    file = _file(machine)
    document = Document(file, _config_bytes(machine, file) if data is None else data)

    def dynamic(view: View, attribute: Attribute) -> Any:
        return _run_time(machine, configuration, view, attribute)

    configuration = Configuration(document, machine.disk.read, services.VARIABLES, dynamic)
    return configuration


def _loaded(machine: PythonMachine, where: str) -> Configuration:
    """The configuration; an error of loading it is told of the thing that it was loaded for."""
    try:
        return _configuration(machine)
    except VerbError as error:
        raise VerbError(error.kind, where, error.why, hresult=error.hresult) from None


def _file(machine: PythonMachine) -> str:
    """Where the configuration is: another place than CONFIG where it is shared by a farm (facts/iis.md 3 p)."""
    data = machine.disk.read(REDIRECTION)
    if data is None:
        return CONFIG
    found = Document(REDIRECTION, data).root.find("configurationRedirection")
    if found is None or str(found.get("enabled", "false")).lower() != "true":
        return CONFIG
    folder = expanded(str(found.get("path", "")), services.VARIABLES).rstrip("\\")
    return rf"{folder}\applicationHost.config"


def _text(view: View, name: str) -> str:
    return str(view.value(view.schema.attributes[name]))


def _named(configuration: Configuration) -> Iterator[tuple[Kind, str]]:
    """Sites and pools of a configuration, names folded."""
    for site in configuration.sites():
        yield "site", fold(_text(site, "name"))
    for pool in configuration.stored(POOLS, "").items:
        yield "pool", fold(_text(pool, "name"))


# -- run time: WAS --


def _run_time(machine: PythonMachine, configuration: Configuration, view: View, attribute: Attribute) -> Any:
    """A value that no file holds (facts/iis.md 1.7)."""
    if attribute.extension == "Lab.Was":
        kind: Kind = "pool" if view.context.where.startswith(POOLS) else "site"
        state = _asked_state(machine, configuration, kind, view)
        if state == "Unknown":
            raise VerbError("busy", _text(view, "name"), "WAS does not know it yet", hresult=NOT_KNOWN)
        return state
    if attribute.type == "bool":
        return False
    record = None
    # With the central store the binding has no certificate of its own (facts/iis.md 3 j).
    if _text(view, "protocol").lower() == "https" and not _flags(view) & 2:
        record = _record(machine, *_record_name(_text(view, "bindingInformation"), _flags(view)))
    if record is None:
        return ""
    return record.thumbprint if attribute.name == "certificateHash" else record.store


def get_iis_state(machine: PythonMachine, *, items: Sequence[Any]) -> Result:
    """Run states of sites and pools."""
    _installed(machine)
    for item in items:
        kinds = {"kind": str, "name": str}
        if not isinstance(item, dict) or {name: type(value) for name, value in item.items()} != kinds:
            raise VerbError("invalid", "items", "an item is an object with kind and name")
        if item["kind"] not in {"site", "pool"}:
            raise VerbError("invalid", "items", "kind is site or pool")
    if not items:
        return {"states": []}
    configuration = _loaded(machine, items[0]["name"])
    states = []
    for item in items:
        view = _find(configuration, item["kind"], item["name"])
        try:
            state = "Unknown" if view is None else _asked_state(machine, configuration, item["kind"], view)
        except VerbError as error:
            raise VerbError(error.kind, item["name"], error.why, hresult=error.hresult) from None
        states.append(item | {"found": view is not None, "state": state})
    return {"states": states}


def set_iis_state(
    machine: PythonMachine,
    *,
    kind: Literal["site", "pool"],
    name: str,
    state: Literal["Started", "Stopped"],
    expected: Literal["Starting", "Started", "Stopping", "Stopped", "Unknown"],
    timeout_s: int = 30,
) -> Result:
    """Start or stop a site or a pool, if it is in the state that was read or on its way there, and wait until it is."""
    _filled(name=name)
    _installed(machine)
    deadline = machine.clock.now() + timeout_s * TICKS
    while True:
        # As the host does with a fresh manager: another process may change the file meanwhile.
        configuration = _loaded(machine, name)
        view = _find(configuration, kind, name)
        if view is None:
            raise VerbError("missing", name, f"there is no {kind} of this name")
        if _service_down(machine):
            raise VerbError("busy", name, "the service W3SVC or WAS does not run", hresult=NO_SERVICE)
        seen = _state(machine, configuration, kind, view)
        if seen == state:
            return {"state": state}
        if seen != "Unknown":
            break
        if machine.clock.now() >= deadline:
            raise VerbError("timeout", name, f"WAS does not know the {kind} after {timeout_s} s", hresult=NOT_KNOWN)
        machine.pause(POLL_S)
    if expected != "Unknown" and SETTLED.get(expected, expected) != seen:
        raise VerbError("conflict", name, f"the {kind} is {seen}, expected {expected}")
    if kind == "site" and state == "Started":
        taken = _taken(machine, configuration, view)
        if taken is not None:
            why = f"the port is taken: {taken} has the same binding and is started"
            raise VerbError("busy", name, why, hresult=PORT_TAKEN)
    machine.set_iis_state(kind, _text(view, "name"), state)
    return {"state": state}


def _find(configuration: Configuration, kind: str, name: str) -> View | None:
    views = configuration.sites() if kind == "site" else configuration.stored(POOLS, "").items
    return next((one for one in views if fold(_text(one, "name")) == fold(name)), None)


def _asked_state(machine: PythonMachine, configuration: Configuration, kind: Kind, view: View) -> str:
    """What WAS answers of it. Raises VerbError `busy` while it does not run."""
    if _service_down(machine):
        raise VerbError("busy", _text(view, "name"), "the service W3SVC or WAS does not run", hresult=NO_SERVICE)
    return _state(machine, configuration, kind, view)


def _state(machine: PythonMachine, configuration: Configuration, kind: Kind, view: View) -> str:
    """A state of Get-IisState; `Unknown` where WAS does not know the thing (facts/iis.md 3 k)."""
    name = _text(view, "name")
    known = machine.state.read("iis-known", {}).get(f"{kind} {fold(name)}", 0)
    if known > machine.clock.now():
        return "Unknown"
    if kind == "site":
        protocols = {_text(binding, "protocol").lower() for binding in view.child("bindings").items}
        if not protocols & {"http", "https"}:
            return "Unknown"
        # The pool of a site is that of its application "/": that the pool of another one changes nothing for the site is assumed.
        pools = {
            _text(application, "applicationPool") for application in view.items if _text(application, "path") == "/"
        }
        if any(_find(configuration, "pool", pool) is None for pool in pools):
            return "Unknown"
    states = machine.iis_states().get(kind, {})
    stored = next((state for own, state in states.items() if fold(own) == fold(name)), None)
    return stored or _first_state(kind, view)


def _first_state(kind: Kind, view: View) -> str:
    automatic = view.value(view.schema.attributes["serverAutoStart" if kind == "site" else "autoStart"])
    return "Started" if automatic else "Stopped"


def _tell_was(machine: PythonMachine, before: set[tuple[Kind, str]], configuration: Configuration) -> None:
    """What WAS makes of a commit: new things are known a little later, gone ones have no state."""
    after = set(_named(configuration))
    known = dict(machine.state.read("iis-known", {}))
    for kind, name in sorted(before - after):
        machine.forget_iis_state(kind, name)
        known.pop(f"{kind} {name}", None)
    for kind, name in sorted(after - before):
        view = _find(configuration, kind, name)
        if view is None:
            continue
        state = _first_state(kind, view)
        if kind == "site" and state == "Started" and _taken(machine, configuration, view) is not None:
            state = "Stopped"
        machine.set_iis_state(kind, _text(view, "name"), state)
        known[f"{kind} {name}"] = machine.clock.now() + WAS_DELAY
    machine.state.write("iis-known", known)


def _taken(machine: PythonMachine, configuration: Configuration, site: View) -> str | None:
    """
    A started site that has one of the bindings of this one: the second does not start (facts/iis.md 3 i).

    Assumed: one address and port is for http or for https, whatever the host names, so that a site with the other one does not start either.
    """
    own = list(_endpoints(site))
    for other in configuration.sites():
        if _text(other, "name") == _text(site, "name") or _state(machine, configuration, "site", other) != "Started":
            continue
        if any(_collide(one, another) for one in own for another in _endpoints(other)):
            return _text(other, "name")
    return None


def _collide(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two endpoints (address, port, host, protocol) cannot both be served."""
    return one[:2] == other[:2] and (one[2] == other[2] or one[3] != other[3])


def _endpoints(site: View) -> Iterator[tuple[str, ...]]:
    for binding in site.child("bindings").items:
        protocol = _text(binding, "protocol").lower()
        if protocol in {"http", "https"}:
            yield *_split(_text(binding, "bindingInformation")), protocol


def _service_down(machine: PythonMachine) -> bool:
    records = [services.record(machine, name) for name in ("WAS", "W3SVC")]
    return any(record is not None and record.state != "running" for record in records)


# -- run time: http.sys --


@dataclass(frozen=True)
class Record:
    """One record of http.sys as the registry has it."""

    endpoint: str
    kind: str
    thumbprint: str
    store: str
    app_id: str
    flags: int


def get_ssl_binding(machine: PythonMachine) -> Result:
    """The certificate records of http.sys."""
    records = [record for kind, key in RECORD_KEYS.items() for record in _records(machine, kind, key)]
    return {"records": [vars(one) for one in sorted(records, key=lambda one: (one.kind, one.endpoint))]}


def set_ssl_binding(
    machine: PythonMachine,
    *,
    site: str,
    protocol: str,
    information: str,
    thumbprint: str,
    expected: str,
    store: str = "My",
) -> Result:
    """Give a binding its certificate: the http.sys record of its endpoint is made or replaced."""
    _filled(site=site, protocol=protocol, information=information, thumbprint=thumbprint, expected=expected)
    _installed(machine)
    digits = thumbprint.upper()
    if not re.fullmatch(r"[0-9A-F]{40}", digits):
        raise VerbError("invalid", "thumbprint", "is not 40 hex digits")
    view = _find(_loaded(machine, f"{site} {protocol} {information}"), "site", site)
    bindings = [] if view is None else view.child("bindings").items
    here = [
        one
        for one in bindings
        if (fold(_text(one, "protocol")), fold(_text(one, "bindingInformation"))) == (fold(protocol), fold(information))
    ]
    if not here:
        raise VerbError("missing", f"{site} {protocol} {information}", "there is no such binding")
    if protocol.lower() != "https" or _flags(here[0]) & 2:
        raise VerbError(
            "invalid", f"{site} {protocol} {information}", "a binding of this kind has no certificate of its own"
        )
    kind, endpoint = _record_name(information, _flags(here[0]))
    record = _record(machine, kind, endpoint)
    found = "absent" if record is None else record.thumbprint
    if found.lower() != expected.lower():
        raise VerbError("conflict", endpoint, f"the record's certificate is {found}, expected {expected}")
    if record is not None and record.app_id.lower() != IIS_APP_ID:
        raise VerbError("denied", endpoint, f"the record belongs to another application, {record.app_id}")
    try:
        certificate = certificates.find(machine, store, digits)
    except KeyError:
        certificate = None
    if certificate is None or not certificate.private_key:
        why = (
            f"certificate {digits} is not in {store}"
            if certificate is None
            else f"certificate {digits} has no private key"
        )
        raise VerbError("invalid", endpoint, why, hresult=NO_LOGON_SESSION)
    machine.registry_keys.set(
        f"{HTTP_SYS}\\{RECORD_KEYS[kind]}\\{endpoint if record is None else record.endpoint}",
        {
            "SslCertHash": bytes.fromhex(digits),
            "SslCertStoreName": store,
            "AppId": uuid.UUID(IIS_APP_ID).bytes_le,
            "DefaultFlags": _record_flags(_flags(here[0])) if record is None else record.flags,
        },
    )
    return {"thumbprint": digits}


def _records(machine: PythonMachine, kind: str, key: str) -> Iterator[Record]:
    registry = machine.registry_keys
    for endpoint in registry.children(f"{HTTP_SYS}\\{key}"):
        path = f"{HTTP_SYS}\\{key}\\{endpoint}"
        digest, app_id, flags = (registry.value(path, name) for name in ("SslCertHash", "AppId", "DefaultFlags"))
        yield Record(
            endpoint,
            kind,
            digest.hex().upper() if isinstance(digest, bytes) else "",
            registry.text(path, "SslCertStoreName"),
            f"{{{uuid.UUID(bytes_le=app_id)}}}" if isinstance(app_id, bytes) and len(app_id) == 16 else "",  # noqa: PLR2004 - a GUID
            flags if isinstance(flags, int) else 0,
        )


def _record(machine: PythonMachine, kind: str, endpoint: str) -> Record | None:
    records = _records(machine, kind, RECORD_KEYS[kind])
    return next((one for one in records if _meaning(kind, one.endpoint) == _meaning(kind, endpoint)), None)


def _meaning(kind: str, endpoint: str) -> tuple[str, str | int]:
    """An endpoint as http.sys takes it: an address by what it means, the port as a number, a host name in any case."""
    name, _, port = endpoint.rpartition(":")
    if kind == "ip":
        with contextlib.suppress(ValueError):
            name = str(ipaddress.ip_address(name.strip("[]")))
    return fold(name), int(port) if port.isdecimal() else port


def _record_name(information: str, flags: int) -> tuple[str, str]:
    """Kind and endpoint of the record that answers for a binding (facts/iis.md 3 n, 4)."""
    address, port, host = _split(information)
    if flags & 1:
        return "sni", f"{host}:{port}"
    return "ip", f"{'0.0.0.0' if address == '*' else address}:{port}"  # noqa: S104 - a name, nothing listens here


def _split(information: str) -> tuple[str, str, str]:
    """Address, port, host; from the right, since IPv6 holds colons. Any address is `*`."""
    rest, _, host = information.lower().rpartition(":")
    address, _, port = rest.rpartition(":")
    return "*" if address in {"", "0.0.0.0"} else address, port, "" if host == "*" else host  # noqa: S104 - compared only


def _record_flags(ssl_flags: int) -> int:
    """The flags of a new record: other numbers than those of the binding, of which two are known (facts/iis.md 3 j)."""
    return (0x10 if ssl_flags & 4 else 0) | (0x400 if ssl_flags & 64 else 0)


def _flags(binding: View) -> int:
    return int(binding.value(binding.schema.attributes["sslFlags"]))


VERBS: Final[Mapping[str, Verb]] = {
    "Get-IisConfig": get_iis_config,
    "Edit-IisConfig": edit_iis_config,
    "Get-IisState": get_iis_state,
    "Set-IisState": set_iis_state,
    "Get-SslBinding": get_ssl_binding,
    "Set-SslBinding": set_ssl_binding,
}

__all__ = ["CONFIG", "INETSRV", "LIBRARY", "REDIRECTION", "VERBS"]
