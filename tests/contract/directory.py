"""
What contract cases of the directory are given: a domain controller with the entries of tests/directory_cases.py, however it is reached.

The python engine answers as a Windows domain controller; behind the powershell engine is a Samba (facts/ad.md 0), which takes TLS with a credential
only. Both are asked the same way, so that a case is the same on both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final
from weakref import WeakKeyDictionary

from connectors.errors import VerbError
from lab import samba
from lab.directory import DOCUMENT, add_many
from lab.engine import Machine
from lab.python_engine import PythonMachine
from lab.samba import SambaMachine
from tests.contract.host import Host, Refused
from tests.directory_cases import OWN, G, fill
from tests.directory_far import USERS, Far, delete, search

TLS_PORT: Final = 636
PASSWORD: Final = samba.ADMINISTRATOR_PASSWORD
ACCOUNT: Final = samba.ADMINISTRATOR

# Names with every character that means something in a DN (facts/ad.md 9), as a client writes them.
AWKWARD: Final = (
    r"CN=Smith\, Bea",
    r"CN=a\+b",
    r"CN=\#1",
    r"CN=say \"no\"",
    r"CN=a/b",
    r"CN=a\\b",
    r"CN=\ space",
    r"CN=a\=b",
    r"CN=\<x\>\;",
    r"CN=star* (x)",
    "CN=M\u00fcller \u00df \u6f22",
)
# With accounts of the lab's own, whose names the cases give to others.
EXTRA: Final = (
    f"CN=Anna M\u00fcller,{USERS}",
    f"CN=Bob O'Neil,{USERS}",
    *(f"{name},{USERS}" for name in AWKWARD),
    f"CN=web01,{USERS}",
    f"CN=svc,{USERS}",
    f"CN=Plain,{USERS}",
)

_clean: Final[WeakKeyDictionary[Machine, Any]] = WeakKeyDictionary()


class Directory(Far):
    """The domain controller of one case, with the entries of the cases and none that another case made."""

    def __init__(self, host: Host) -> None:
        self.host, self.machine = host, host.machine
        self.server = self.machine.address if isinstance(self.machine, SambaMachine) else "dc01.contoso.com"
        clean = _clean.get(self.machine)
        if isinstance(self.machine, PythonMachine) and clean is not None:
            self.machine.state.write(DOCUMENT, clean)
        elif clean is None or clean != self._mark():
            there = [delete(dn) for dn in self._there(*OWN, *EXTRA)]
            self.host.ask("Edit-Directory", edits=there, **self._arguments())
            fill(self)
            _clean[self.machine] = self._mark()

    def _mark(self) -> Any:
        """What the directory is, or a number that is another one after each change."""
        if isinstance(self.machine, PythonMachine):
            return self.machine.state.read(DOCUMENT)
        return self.machine.snapshot()["directory"]

    def _there(self, *dns: str) -> list[str]:
        """Those that there are."""
        searches = [search(dn, dn, scope="base") for dn in dns]
        found = self.host.ask("Search-Directory", searches=searches, **self._arguments())["searches"]
        return [entry["dn"] for one in found for entry in one["entries"]]

    def _arguments(self) -> dict[str, Any]:
        credential = {"user": ACCOUNT, "password": {"secret": "pw"}}
        connection = {"server": self.server, "port": TLS_PORT, "tls": True, "credential": credential}
        return connection | {"secrets": {"pw": PASSWORD}}

    # -- asking --

    def call(self, verb: str, **args: Any) -> dict[str, Any]:
        """The answer of a verb as it is on the wire, with the connection arguments that fit unless given."""
        try:
            return {"ok": True, "result": self.host.call(verb, **self._arguments() | args).result}
        except VerbError as refusal:
            return {"ok": False, "error": asdict(refusal.error)}

    def refused(self, verb: str, **args: Any) -> Refused:
        """The error of a verb; a result fails the case."""
        return self.host.refused(verb, **self._arguments() | args)

    # -- arranging and looking --

    def add(self, dn: str, attributes: Mapping[str, Sequence[str]]) -> None:
        self.machine.directory_add(dn, attributes)

    def add_many(self, entries: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        if isinstance(self.machine, SambaMachine):
            self.machine.directory_add_many(entries)
        elif isinstance(self.machine, PythonMachine):
            add_many(self.machine, entries)

    def values(self, dn: str, attribute: str) -> tuple[bytes, ...]:
        return self.machine.directory_values(dn, attribute)

    def members(self, dn: str = G) -> set[str]:
        """The members of a group by the names of their entries."""
        return {value.decode() for value in self.values(dn, "member")}
