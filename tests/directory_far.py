"""What tests of the directory share: verbs asked of the lab's Python twin, or of real PowerShell in front of a real Samba."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import powershell
from connectors.frames import Frame, FrameReader, new_token, request_line, script_line
from lab import directory, samba, verbs
from lab.python_engine import PythonEngine, PythonMachine
from plans.directory_entry import Ask, Entry, Reply

T = TypeVar("T")

BASE: Final = "DC=contoso,DC=com"
USERS: Final = f"CN=Users,{BASE}"
PATIENCE_S: Final = 60
GROUP_TYPES: Final = {"global": "-2147483646", "domain-local": "-2147483644", "universal": "-2147483640"}


def user(name: str, **more: str) -> dict[str, list[str]]:
    """Attributes of an enabled account without a password."""
    return {"sAMAccountName": [name], "userAccountControl": ["544"]} | {key: [value] for key, value in more.items()}


def group(name: str, scope: str = "global", *members: str) -> dict[str, list[str]]:
    """Attributes of a security group."""
    values = {"sAMAccountName": [name], "groupType": [GROUP_TYPES[scope]]}
    return values | {"member": list(members)} if members else values


class Far(Protocol):
    """A domain controller that verbs are asked of."""

    server: str

    def call(self, verb: str, **args: Any) -> dict[str, Any]:
        """The answer of a verb, with the connection arguments that fit unless given."""

    def add(self, dn: str, attributes: Mapping[str, Sequence[str]]) -> None: ...
    def add_many(self, entries: Mapping[str, Mapping[str, Sequence[str]]]) -> None: ...
    def values(self, dn: str, attribute: str) -> tuple[bytes, ...]: ...


class Twin(Far):
    """The Python twin, as a Windows domain controller."""

    def __init__(self, root: Path) -> None:
        self.engine = PythonEngine(root)
        self.machine: PythonMachine = self.engine.machine("dc01", "dc")
        self.server = "dc01.contoso.com"

    def call(self, verb: str, **args: Any) -> dict[str, Any]:
        return self.call_on(self.machine, verb, **args)

    def call_on(self, machine: PythonMachine, verb: str, **args: Any) -> dict[str, Any]:
        """Ask the verb on a host, with the secrets that the credential names."""
        secrets = args.pop("secrets", {})
        if verb == "Edit-Directory":
            args = {"server": self.server} | args
        request = json.loads(json.dumps({"verb": verb, "args": args}))
        return verbs.call(machine, request, session=verbs.Session(4711), secrets=secrets)[0]

    def add(self, dn: str, attributes: Mapping[str, Sequence[str]]) -> None:
        directory.add(self.machine, dn, attributes)

    def add_many(self, entries: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        directory.add_many(self.machine, entries)

    def values(self, dn: str, attribute: str) -> tuple[bytes, ...]:
        return directory.values(self.machine, dn, attribute)


class PowerShell(Far):
    """The verbs themselves in PowerShell for Linux, and a real Samba."""

    def __init__(self, machine: samba.SambaMachine) -> None:
        self.machine = machine
        self.machine.open()
        self.server = machine.address
        self.clean: Mapping[str, str] | None = None
        token = new_token()
        self._token, self._seq, self._reader = token, 0, FrameReader(token)
        self._frames: list[Frame] = []
        encoded = base64.b64encode(powershell.bootstrap(token).encode("utf-16-le")).decode("ascii")
        program = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe"
        argv = [program, "-NoLogo", "-NoProfile", "-NonInteractive", "-EncodedCommand", encoded]
        self._process = machine.start(argv)
        self._process.write(script_line(token, powershell.script(), read_only=False), end=False)
        self.hello = self._next("H").json

    def call(self, verb: str, **args: Any) -> dict[str, Any]:
        secrets = args.pop("secrets", {"pw": samba.ADMINISTRATOR_PASSWORD})
        credential = {"user": samba.ADMINISTRATOR, "password": {"secret": "pw"}}
        given = {"server": self.server, "port": samba.LDAPS, "tls": True, "credential": credential} | args
        self._seq += 1
        self._process.write(
            request_line(self._token, self._seq, {"verb": verb, "args": given}, secrets, b""), end=False
        )
        answer: dict[str, Any] = self._next("A").json
        return answer

    def add(self, dn: str, attributes: Mapping[str, Sequence[str]]) -> None:
        self.machine.directory_add(dn, attributes)

    def add_many(self, entries: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        self.machine.directory_add_many(entries)

    def values(self, dn: str, attribute: str) -> tuple[bytes, ...]:
        return self.machine.directory_values(dn, attribute)

    def close(self) -> None:
        """End the process and the server."""
        self._process.terminate()
        self.machine.close()

    def _next(self, kind: str) -> Frame:
        deadline = time.monotonic() + PATIENCE_S
        said = b""
        while time.monotonic() < deadline:
            if self._frames:
                frame = self._frames.pop(0)
                assert frame.kind == kind, frame
                return frame
            output = self._process.read(1)
            said += output.stderr
            self._frames += self._reader.feed(output.stdout)
            assert output.exit_code is None, f"PowerShell ended with {output.exit_code}: {said!r}"
        raise AssertionError(f"no answer within {PATIENCE_S} s, stderr was {said!r}")


def search(
    identity: str, base: str, text: str = "", scope: str = "sub", attributes: Sequence[str] = ("1.1",), **more: Any
) -> dict[str, Any]:
    """One search as it is sent."""
    return {
        "id": identity,
        "base": base,
        "scope": scope,
        "filter": text,
        "attributes": list(attributes),
        "size_limit": 0,
    } | more


def found(far: Far, *searches: dict[str, Any], **args: Any) -> dict[str, list[str]]:
    """The first parts of the DNs that each search finds; a search with an error fails the test."""
    answer = far.call("Search-Directory", searches=list(searches), **args)
    assert answer["ok"], answer
    assert [one["error"] for one in answer["result"]["searches"]] == [None] * len(searches)
    return {one["id"]: sorted(entry["dn"] for entry in one["entries"]) for one in answer["result"]["searches"]}


def modify(target: str, op: str, *values: Any, attribute: str = "member", expect: str = "") -> dict[str, Any]:
    """One edit of one attribute as it is sent."""
    changes = [{"attribute": attribute, "op": op, "values": list(values)}]
    return {"id": "edit", "op": "modify", "target": target, "expect": expect, "class": "", "changes": changes}


def make(dn: str, class_name: str, attributes: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """One edit that adds an entry."""
    changes = [{"attribute": name, "op": "add", "values": list(values)} for name, values in attributes.items()]
    return {"id": "edit", "op": "add", "target": dn, "expect": "", "class": class_name, "changes": changes}


def delete(dn: str) -> dict[str, Any]:
    """One edit that deletes an entry."""
    return {"id": "edit", "op": "delete", "target": dn, "expect": "", "class": "", "changes": []}


def edit(far: Far, *edits: dict[str, Any], **args: Any) -> list[tuple[bool, Any]]:
    """What came of each edit: done, and the kind, LDAP code and Windows number of its error."""
    answer = far.call("Edit-Directory", edits=list(edits), **args)
    assert answer["ok"], answer
    return [(one["done"], code(one["error"])) for one in answer["result"]["edits"]]


def code(error: Mapping[str, Any] | None) -> tuple[str, int | None, int | None] | None:
    """Kind, LDAP code and Windows number of an error."""
    return None if error is None else (error["kind"], error.get("ldap"), error.get("win32"))


def asked(far: Far, steps: Generator[Ask, Reply, T], before: Callable[[Ask], None] | None = None) -> tuple[T, int]:
    """The result of steps of plans/directory_search.py, and how many calls it took."""
    calls = 0
    try:
        ask = next(steps)
        while True:
            calls += 1
            if before is not None:
                before(ask)
            searches = [
                search(one.id, one.base, one.filter, one.scope, one.attributes, size_limit=one.size_limit)
                for one in ask.searches
            ]
            ports = {} if not ask.catalog else {"port": 3268 if isinstance(far, Twin) else 3269}
            answer = far.call("Search-Directory", searches=searches, **ports)
            assert answer["ok"], answer
            entries = {
                one["id"]: tuple(_entry(entry) for entry in one["entries"]) for one in answer["result"]["searches"]
            }
            ask = steps.send(Reply(answer["result"]["server"], entries))
    except StopIteration as end:
        result: T = end.value
        return result, calls


def _entry(entry: Mapping[str, Any]) -> Entry:
    decoded = {name: tuple(base64.b64decode(value) for value in values) for name, values in entry["attributes"].items()}
    return Entry(entry["dn"], decoded)
