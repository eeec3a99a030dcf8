"""
What contract cases of IIS are given: a server whose configuration is the lab's own when a case begins, and what the case made of that file.

After each case the file is compared, as canonical XML, with what stands in iis_after.json: so it is the same on every engine.
`CONTRACT_AFTER=write` in the environment writes that file anew, from the engine that runs.
"""

from __future__ import annotations

import difflib
import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from lxml import etree

from lab import iis as twin
from lab.engine import RegistryValue
from lab.powershell_engine import WAS
from lab.python_engine import PythonMachine
from lab.seed import certificate
from lab.state import fold
from tests.contract.host import Host, Refused, sha256

CONFIG: Final = twin.CONFIG
REDIRECTION: Final = twin.REDIRECTION
HTTP_SYS: Final = twin.HTTP_SYS
START: Final = Path(__file__).parents[2] / "lab" / "data" / "applicationHost.config"
AFTER: Final = Path(__file__).with_name("iis_after.json")
WEB_CONFIG: Final = r"C:\inetpub\wwwroot\web.config"
IIS_APP_ID: Final = "{4dc3e181-e14b-4a21-b022-59fc669b0914}"

SITE: Final = "Default Web Site"
SITES: Final = "system.applicationHost/sites"
POOLS: Final = "system.applicationHost/applicationPools"
MODULES: Final = "system.webServer/modules"
WINDOWS: Final = "system.webServer/security/authentication/windowsAuthentication"
ANONYMOUS: Final = "system.webServer/security/authentication/anonymousAuthentication"

# facts/iis.md 1.4, 1.6, 3 and 5.5
NOT_FOUND: Final = 0x80070002
ACCESS: Final = 0x80070005
INVALID_DATA: Final = 0x8007000D
SHARING: Final = 0x80070020
LOCK: Final = 0x80070021
NOT_SUPPORTED: Final = 0x80070032
EXISTS: Final = 0x800700B7
NO_LOGON: Final = 0x80070520
INDEX: Final = 0x80070585
NO_SERVICE: Final = 0x800706BA
NO_OBJECT: Final = 0x800710D8

Edit = dict[str, Any]


class Iis:
    """The server of one case. Only a lab has one: what a case does to it is taken back before the next."""

    def __init__(self, host: Host) -> None:
        self.host, self.machine = host, host.machine
        self.machine.remove_registry(HTTP_SYS)
        for file in (REDIRECTION, WEB_CONFIG):
            self.machine.remove_file(file)
        self.machine.set_read_only(CONFIG, read_only=False)
        self.machine.write_file(CONFIG, START.read_bytes())
        if isinstance(self.machine, PythonMachine):
            self.machine.state.write("iis-known", {})
            self.machine.state.write("iis", {})
        else:
            self.machine.remove_registry(WAS)
            self.machine.set_registry(WAS, {"DelayMs": 0})

    # -- arranging --

    @property
    def file(self) -> bytes:
        """applicationHost.config as it is."""
        return self.machine.read_file(CONFIG) or b""

    @file.setter
    def file(self, data: bytes) -> None:
        self.machine.write_file(CONFIG, data)

    def replace(self, old: str, new: str) -> None:
        """Write the file with one text in place of another, which must be there."""
        assert old in self.file.decode()
        self.file = self.file.decode().replace(old, new, 1).encode()

    def web_config(self, inside: str = '<windowsAuthentication enabled="true" />', path: str = WEB_CONFIG) -> None:
        """A web.config with something in system.webServer/security/authentication, which is line 5 of it."""
        groups = ("system.webServer", "security", "authentication")
        opened, closed = "".join(f"<{one}>\n" for one in groups), "".join(f"</{one}>" for one in reversed(groups))
        self.machine.write_file(path, f"<configuration>\n{opened}{inside}\n{closed}</configuration>".encode())

    def unlock(self) -> None:
        """Allow web.config files of the site to set Windows authentication."""
        tag = f'<location path="{SITE}" overrideMode="Allow"><system.webServer><security><authentication>'
        end = "<windowsAuthentication /></authentication></security></system.webServer></location></configuration>"
        self.replace("</configuration>", tag + end)

    def forget(self, kind: str, name: str) -> None:
        """WAS does not know of this site or pool yet, for long."""
        if isinstance(self.machine, PythonMachine):
            self.machine.state.write("iis-known", {f"{kind} {fold(name)}": 2**62})
        else:
            self.machine.set_registry(WAS, {f"since {kind} {name}": str(2**61)})

    def stop_service(self) -> None:
        """W3SVC and WAS do not run."""
        if isinstance(self.machine, PythonMachine):
            states = {"W3SVC": "running", "WAS": "running"}
            for service in states:
                self.host.ask("Set-ServiceState", service=service, state="stopped", expected="running")
        else:
            self.machine.set_registry(WAS, {"Down": 1})

    def start_service(self) -> None:
        """They run again."""
        if isinstance(self.machine, PythonMachine):
            for service in ("WAS", "W3SVC"):
                self.host.ask("Set-ServiceState", service=service, state="running", expected="stopped")
        else:
            self.machine.set_registry(WAS, {"Down": 0})

    def certificate(self, name: str, *, private_key: bool = True) -> str:
        """A certificate in the store My; its thumbprint."""
        made = certificate(name)
        return self.machine.add_certificate(made.pfx, made.password, private_key=private_key)

    def record(self, endpoint: str, thumbprint: str, app_id: bytes, flags: int = 0, kind: str = "") -> None:
        """A record of http.sys, as another program makes it. `kind` is `Sni` or `Ccs`, or "" for an address."""
        values: dict[str, RegistryValue] = {
            "SslCertHash": bytes.fromhex(thumbprint),
            "SslCertStoreName": "My",
            "AppId": app_id,
            "DefaultFlags": flags,
        }
        self.machine.set_registry(rf"{HTTP_SYS}\Ssl{kind}BindingInfo\{endpoint}", values)

    # -- calls --

    @property
    def guard(self) -> str:
        return sha256(self.file)

    def read(self, section: str, location: str = "", view: str = "stored", **more: Any) -> Any:
        """One read of Get-IisConfig, ok or not; the file in it is `(file)`, an error is a Refused."""
        reads = [{"id": "x", "section": section, "location": location, "view": view, **more}]
        (found,) = self.host.ask("Get-IisConfig", reads=reads)["reads"]
        return told(found)

    def tree(self, section: str, location: str = "", view: str = "stored", **more: Any) -> Any:
        """The tree of one read, which must succeed."""
        found = self.read(section, location, view, **more)
        assert isinstance(found, dict), found
        return found["tree"]

    def edit(self, *edits: Edit, secrets: Mapping[str, str] | None = None) -> bool:
        """Edit-IisConfig, guarded by the file as it is: whether it changed the file, whose hash must be the one that is answered."""
        before = self.guard
        result = self.host.ask("Edit-IisConfig", guard=before, edits=list(edits), secrets=secrets)
        assert result == {"sha256": self.guard, "changed": self.guard != before}
        return bool(result["changed"])

    def refused(self, *edits: Any, naming: str = "", secrets: Mapping[str, str] | None = None) -> Refused:
        """The error of Edit-IisConfig, which must have left the file as it was."""
        before = self.file
        error = self.host.refused("Edit-IisConfig", guard=self.guard, edits=list(edits), naming=naming, secrets=secrets)
        assert self.file == before
        return same_file(error)

    def providers(self, location: str = SITE, view: str = "effective") -> list[tuple[str, str]]:
        """Each provider of Windows authentication, and the location that it comes from."""
        items = self.tree(WINDOWS, location, view)["c"]["providers"]["items"]
        return [(item["a"]["value"], item["at"]) for item in items]

    def state(self, kind: str, name: str) -> str:
        """The state of a site or pool that is there."""
        item = {"kind": kind, "name": name}
        (found,) = self.host.ask("Get-IisState", items=[item])["states"]
        assert found == {**item, "found": True, "state": found["state"]}
        return str(found["state"])

    def set_state(self, kind: str, name: str, state: str, expected: str = "Unknown", timeout_s: int = 20) -> str:
        """Set-IisState; the state that it answers."""
        args: dict[str, Any] = {"kind": kind, "name": name, "state": state, "expected": expected}
        result = self.host.ask("Set-IisState", **args, timeout_s=timeout_s)
        assert result == {"state": result["state"]}
        return str(result["state"])

    def records(self) -> Any:
        """What Get-SslBinding answers."""
        return self.host.ask("Get-SslBinding")["records"]

    # -- what became of the file --

    def changes(self) -> list[str]:
        """Lines that the file has beyond the lab's own, and lacks of it, as canonical XML."""
        before, after = canonical(START.read_bytes()), canonical(self.file)
        found = difflib.unified_diff(before, after, "", "", n=1, lineterm="")
        return [line for line in found if not line.startswith(("---", "+++", "@@"))]


def told(read: Any) -> Any:
    """One answer of a read without what each engine words in its own way."""
    if not read["ok"]:
        error = read["error"]
        assert (error["what"], bool(error["why"].strip())) == ("Get-IisConfig", True)
        return Refused(error["kind"], error["where"], error["hresult"])
    section = dict(read["section"])
    if str(section["deepest_file"]).lower() == CONFIG.lower():
        section["deepest_file"] = "(file)"
    return {"section": section, "tree": read["tree"]}


def same_file(error: Refused) -> Refused:
    """The same error; the path of applicationHost.config, whose case is each engine's own, is `(file)`."""
    return Refused(error.kind, "(file)" if error.where.lower() == CONFIG.lower() else error.where, error.hresult)


def canonical(data: bytes) -> list[str]:
    """Canonical XML, an element a line; encrypted values, which are new each time, are `[enc]`. What is no XML is its bytes in hex."""
    try:
        text = etree.canonicalize(from_file=io.BytesIO(data), with_comments=True, strip_text=True)
    except etree.XMLSyntaxError:
        return [data.hex()]
    return re.sub(r"\[enc:[^\]]*:enc\]", "[enc]", text).replace("><", ">\n<").splitlines()


def check_after(name: str, iis: Iis) -> None:
    """The file after a case is the one of iis_after.json."""
    known: dict[str, Sequence[str]] = json.loads(AFTER.read_text(encoding="utf-8")) if AFTER.exists() else {}
    changes = iis.changes()
    if os.environ.get("CONTRACT_AFTER") == "write" and known.get(name) != changes:
        AFTER.write_text(json.dumps(known | {name: changes}, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        return
    assert changes == known.get(name), f"applicationHost.config after {name} is another one"


# -- edits --


def new_site(
    name: str = "My Site", number: int = 2, bindings: Sequence[tuple[str, str, int]] = (("https", "*:9999:", 0),)
) -> Edit:
    """A site with its application and folder."""
    items = [
        {"tag": "binding", "a": {"protocol": protocol, "bindingInformation": information, "sslFlags": flags}}
        for protocol, information, flags in bindings
    ]
    folder = {"tag": "virtualDirectory", "a": {"path": "/", "physicalPath": r"C:\site"}}
    application = {"tag": "application", "a": {"path": "/"}, "items": [folder]}
    return {
        "op": "add",
        "section": SITES,
        "tag": "site",
        "a": {"name": name, "id": number},
        "c": {"bindings": {"items": items}},
        "items": [application],
    }


def site_step(name: str = SITE) -> Edit:
    """The step of a PATH to a site."""
    return {"tag": "site", "key": {"name": name}}


def pool_step(name: str = "DefaultAppPool") -> Edit:
    """The step of a PATH to a pool."""
    return {"tag": "add", "key": {"name": name}}


def setting(section: str, a: Mapping[str, Any], at: Sequence[Any] = (), location: str = "") -> Edit:
    """Set attributes of an element."""
    return {"op": "set", "section": section, "location": location, "at": list(at), "a": dict(a)}


def enabling(location: str = SITE, *, section: str = WINDOWS, on: bool = True) -> Edit:
    """Enable an authentication at a location."""
    return setting(section, {"enabled": on}, location=location)


def adding_provider(value: str, index: int = -1, location: str = SITE) -> Edit:
    where = {"section": WINDOWS, "location": location, "at": ["providers"]}
    return {"op": "add", **where, "tag": "add", "index": index, "a": {"value": value}}


def clearing_providers(location: str = SITE) -> Edit:
    return {"op": "clear", "section": WINDOWS, "location": location, "at": ["providers"]}


def removing_provider(value: str, location: str = SITE) -> Edit:
    step = {"tag": "add", "key": {"value": value}}
    return {"op": "remove", "section": WINDOWS, "location": location, "at": ["providers", step]}
