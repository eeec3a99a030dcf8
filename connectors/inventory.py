"""
The one call that ends an inventory: hosts and desired state checked together, before any host is contacted.

It reads the group data beside the inventory, since pyinfra has not loaded it yet. What is right is decided in settings.py and model/desired.py.
"""

from __future__ import annotations

import ast
import runpy
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from pyinfra import logger
from pyinfra.api.exceptions import InventoryError

from connectors.settings import default_port, directory_problems_of
from connectors.settings import problems_of as settings_problems
from model.desired import parse
from model.desired import problems_of as desired_problems
from model.problems import unknown

Entry: TypeAlias = str | tuple[str, dict[str, Any]]
Group: TypeAlias = Sequence[Entry] | tuple[Sequence[Entry], dict[str, Any]]
GROUPS: Final = ("domain_controllers", "mfa_servers", "mim_servers")
OURS: Final = ("desired", "restart_mim", "sdk_certificate")
PREFIXES: Final = ("winrm_", "directory_")
NAME: Final = "@winrm/"
PAIR: Final = 2
INSTEAD: Final = {  # of a password in plain text
    "winrm_password": "Leave it out and set WINRM_PASSWORD, or wrap it",
    "directory_password": "Wrap it",
}


def check(file: str, **groups: Group) -> None:
    """
    Check the groups of an inventory and the group data of the same name.

    + file: ``__file__`` of the inventory
    + groups: ``domain_controllers``, ``mfa_servers``, ``mim_servers``, as the inventory defines them: a list of hosts, or that and data for them all

    Group data of ``all`` and of the groups, where there is any, is looked at, too. Raises InventoryError with one line a problem: which file, which
    host or key, the value, what was expected. A password that is plain text is warned about.
    """
    inventory = Path(file)
    problems: list[str] = []
    data = _group_data(inventory, groups, problems)
    hosts = list(_hosts(groups, data, inventory, problems))
    problems += _twice(hosts, inventory)
    problems += _told_once(((host.name, text) for host in hosts for text in host.problems()), inventory)
    if problems:
        many = "" if len(problems) == 1 else "the inventory is not usable:\n    "
        raise InventoryError(many + "\n    ".join(problems))
    if not hosts:
        raise InventoryError(f"{inventory.name}: no group has a host")
    if bare := _without_certificate(hosts):
        raise InventoryError(
            f"{inventory.name}: {bare}: no certificate for its site. Give each its own as host data sdk_certificate, or all one as "
            "desired.site.thumbprint"
        )
    plain = ((host.name, text) for host in hosts for text in host.plain_passwords())
    for text in _told_once(plain, inventory):
        logger.warning(text)


def check_run(host: str, data: Mapping[str, Any], groups: Collection[str]) -> None:
    """
    The same for one host as a run sees it: ``--data`` wins over the inventory, and was not there when that was checked.

    + data: ``host.data.dict()``
    + groups: those that the host is in
    """
    problems = [
        *_wrong_keys(data),
        *desired_problems(data.get("desired"), "desired"),
    ]
    if not problems and "mfa_servers" in groups and thumbprint_of(data) is None:
        problems = ["no certificate for its site: sdk_certificate and desired.site.thumbprint are both left out"]
    if problems:
        raise InventoryError("\n    ".join(f"host {host}: {text}" for text in problems))


def check_groups(hosts: Mapping[str, Collection[str]]) -> None:
    """Raise InventoryError where one of the hosts of a run, with the groups that it is in, is in none of ours: it would be passed over in silence."""
    for host, groups in hosts.items():
        if not set(groups) & set(GROUPS):
            raise InventoryError(
                f"host {host} is in none of the groups {', '.join(GROUPS)}, so nothing would be done to it: "
                "put it in one, or leave it out with --limit"
            )


def thumbprint_of(data: Mapping[str, Any]) -> str | None:
    """The certificate of an MFA server's site: its own, else the one of them all. A key that is None is one that was left out."""
    own: str | None = data.get("sdk_certificate")
    return parse(data["desired"]).site.thumbprint if own is None else own


@dataclass(frozen=True)
class _Host:
    name: str
    group: str
    own: Mapping[str, Any] = field(repr=False)
    """its own data and its group's, in the inventory"""
    merged: Mapping[str, Any] = field(repr=False)
    """with that of the group data files"""

    def problems(self) -> Iterator[str]:
        yield from settings_problems(self.name, self.merged)
        yield from directory_problems_of(self.merged)
        yield from _wrong_keys(self.own)
        if "desired" in self.own:
            yield from desired_problems(self.own["desired"], "desired")

    def plain_passwords(self) -> Iterator[str]:
        for key, instead in INSTEAD.items():
            if isinstance(self.merged.get(key), str):
                yield f"{key} is plain text, which pyinfra prints (debug-inventory). {instead}: Secret(...) of model.secret"

    @property
    def address(self) -> tuple[str, str]:
        """Where it is reached, as text: nobody has looked yet at the types of what was given."""
        port = self.merged.get("winrm_port", default_port(self.merged.get("winrm_scheme")))
        return str(self.merged.get("winrm_hostname", self.name)).casefold().rstrip("."), str(port)


# -- group data --


def _group_data(inventory: Path, groups: Iterable[str], problems: list[str]) -> dict[str, dict[str, Any]]:
    """The data of the files that count, by their stem: least first."""
    folder = inventory.parent / "group_data"
    found: dict[str, dict[str, Any]] = {}
    for stem in dict.fromkeys(("all", inventory.stem, *groups)):
        file, where = folder / f"{stem}.py", f"group_data/{stem}.py"
        if not file.exists():
            if stem == inventory.stem:
                problems.append(f"{where} is not there: it holds the desired state of this inventory")
            continue
        data = _load(file, where, problems)
        if data is None:
            continue
        found[stem] = data
        problems += [f"{where}: {text}" for text in _wrong_keys(data)]
        if "desired" in data:
            problems += desired_problems(data["desired"], f"{where}: desired")
        elif stem == inventory.stem:
            problems.append(f"{where}: desired is missing")
    return found


def _load(file: Path, where: str, problems: list[str]) -> dict[str, Any] | None:
    """What pyinfra will take from the file. The text of an error in it may hold anything: only its kind and its line are told."""
    try:
        names = runpy.run_path(str(file))
        tree = ast.parse(file.read_bytes())
    except SyntaxError as error:
        problems.append(f"{where} cannot be loaded: line {error.lineno} is not Python")
        return None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the file is the user's; what it raises is one of its problems
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
        place = f" in line {lines[-1]}" if lines else ""
        problems.append(f"{where} cannot be loaded: {type(error).__name__}{place}")
        return None
    imported = {
        alias.asname or alias.name.split(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    return {key: value for key, value in names.items() if not key.startswith("_") and key not in imported}


def _wrong_keys(data: Mapping[str, Any]) -> Iterator[str]:
    for key in data:
        # With an underscore it is pyinfra's (`_timeout`), or of the file itself.
        if not str(key).startswith((*PREFIXES, "_")) and key not in OURS:
            yield f"{key} {unknown(str(key), (*OURS, *(f'{prefix}...' for prefix in PREFIXES)))}"
    if not isinstance(restart := data.get("restart_mim", False), bool):
        yield f"restart_mim is {restart!r}, expected True or False"
    if (certificate := data.get("sdk_certificate")) is not None:
        # The rule is the site's own.
        for text in desired_problems({"site": {"thumbprint": certificate}}, ""):
            if text.startswith(".site.thumbprint"):
                yield text.replace(".site.thumbprint", "sdk_certificate", 1)


# -- hosts --


def _hosts(
    groups: Mapping[str, Group], data: Mapping[str, Mapping[str, Any]], inventory: Path, problems: list[str]
) -> Iterator[_Host]:
    def problem(text: str) -> None:
        problems.append(f"{inventory.name}: {text}")

    shared = {**data.get("all", {}), **data.get(inventory.stem, {})}
    for group, value in groups.items():
        if group not in GROUPS:
            problem(f"group {group} {unknown(group, GROUPS)}")
            continue
        entries, for_all = _parts(value)
        if entries is None:
            problem(f"group {group} is of type {type(value).__name__}, expected a list of hosts")
            continue
        if not entries:
            problem(f"group {group} is empty: name its hosts, or leave the group out")
        for number, entry in enumerate(entries, 1):
            name, own = _name_and_data(entry)
            if name is None:
                problem(f"{group}: host {number} is neither a name nor a name with a dict of data")
            elif not name.startswith(NAME) or name == NAME:
                problem(f"{group}: host {name!r} is not of the form {NAME}NAME")
            else:
                given = {**for_all, **own}
                merged = {**shared, **data.get(group, {}), **given}
                yield _Host(name.removeprefix(NAME), group, given, merged)


def _parts(value: Any) -> tuple[Sequence[Any] | None, Mapping[str, Any]]:
    """The hosts of a group and its data for all of them; None where it is no group."""
    if isinstance(value, list):
        return value, {}
    if isinstance(value, tuple) and len(value) == PAIR and isinstance(value[0], list) and isinstance(value[1], Mapping):
        return value[0], value[1]
    return None, {}  # pyinfra takes the first of any other tuple for the list of hosts


def _name_and_data(entry: Any) -> tuple[str | None, Mapping[str, Any]]:
    if isinstance(entry, str):
        return entry, {}
    if isinstance(entry, tuple) and len(entry) == PAIR and isinstance(entry[0], str) and isinstance(entry[1], Mapping):
        return entry[0], entry[1]
    return None, {}


def _twice(hosts: Sequence[_Host], inventory: Path) -> Iterator[str]:
    """A host that would be worked on twice, at the same time."""
    names: dict[str, _Host] = {}
    addresses: dict[tuple[str, str, str], _Host] = {}
    for host in hosts:
        first = names.setdefault(host.name.casefold(), host)
        if first is not host:
            where = f"in {first.group} twice" if first.group == host.group else f"in {first.group} and in {host.group}"
            yield f"{inventory.name}: host {host.name} is {where}"
            continue
        first = addresses.setdefault((*host.address, host.group), host)
        if first is not host:
            yield f"{inventory.name}: hosts {first.name} and {host.name} of {host.group} are one: both have winrm_hostname {host.address[0]!r}"


def _told_once(found: Iterable[tuple[str, str]], inventory: Path) -> list[str]:
    """Each text with the hosts that it is about."""
    of: dict[str, list[str]] = {}
    for host, text in found:
        of.setdefault(text, []).append(host)
    return [
        f"{inventory.name}: {'host' if len(hosts) == 1 else 'hosts'} {', '.join(dict.fromkeys(hosts))}: {text}"
        for text, hosts in of.items()
    ]


def _without_certificate(hosts: Sequence[_Host]) -> str:
    """The MFA servers whose site would get no certificate, in words; "" where there are none."""
    bare = [host.name for host in hosts if host.group == "mfa_servers" and thumbprint_of(host.merged) is None]
    return f"{'host' if len(bare) == 1 else 'hosts'} {', '.join(bare)}" if bare else ""
