"""
The one call that ends an inventory: hosts and desired state checked together, before any host is contacted.

It reads the group data beside the inventory, since pyinfra has not loaded it yet. What is right is decided in settings.py and model/desired.py.
"""

from __future__ import annotations

import runpy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from pyinfra import logger
from pyinfra.api.exceptions import InventoryError

from connectors.settings import directory_problems_of
from connectors.settings import problems_of as settings_problems
from model.desired import problems_of as desired_problems

Entry: TypeAlias = str | tuple[str, Mapping[str, Any]]
GROUPS: Final = ("domain_controllers", "mfa_servers", "mim_servers")
OURS: Final = ("desired", "restart_mim", "sdk_certificate")
PREFIXES: Final = ("winrm_", "directory_")
NAME: Final = "@winrm/"


def check(file: str, **groups: Sequence[Entry]) -> None:
    """
    Check the groups of an inventory and the group data of the same name.

    + file: ``__file__`` of the inventory
    + groups: ``domain_controllers``, ``mfa_servers``, ``mim_servers``, as the inventory defines them

    Raises InventoryError with one line a problem: which file, which host or key, the value, what was expected. A password that stands in clear in a
    file is warned about.
    """
    inventory = Path(file)
    data_file = inventory.parent / "group_data" / inventory.name
    problems: list[str] = []
    data = _load(data_file, problems)
    problems += [f"{inventory.name}: {text}" for text in _host_problems(groups, data)]
    problems += _data_problems(data_file, data, has_mfa_data=data_file.exists())
    if problems:
        raise InventoryError("\n".join(["the inventory is not usable:", *(f"    {text}" for text in problems)]))
    for host, key in _clear_passwords(groups, data):
        logger.warning(
            "%s: %s of %s stands in clear: take it from the environment instead (README, Secrets)",
            inventory.name,
            key,
            host,
        )


def _load(data_file: Path, problems: list[str]) -> dict[str, Any]:
    if not data_file.exists():
        problems.append(f"group_data/{data_file.name} is not there: it holds the desired state of this inventory")
        return {}
    try:
        names = runpy.run_path(str(data_file))
    except Exception as error:  # noqa: BLE001 - the file is the user's; what it raises is one of its problems
        problems.append(f"group_data/{data_file.name} cannot be loaded: {type(error).__name__} in it")
        return {}
    return {key: value for key, value in names.items() if not key.startswith("_") and not _is_code(value)}


def _is_code(value: Any) -> bool:
    return callable(value) or type(value).__name__ == "module" or type(value).__name__ == "_Feature"


def _host_problems(groups: Mapping[str, Sequence[Entry]], data: Mapping[str, Any]) -> Iterator[str]:
    places: dict[str, str] = {}
    for group, entries in groups.items():
        if group not in GROUPS:
            yield f"group {group} is not one of {', '.join(GROUPS)}"
        if not entries:
            yield f"group {group} is empty: name its hosts, or leave the group out"
        for entry in entries:
            name, own = (entry, {}) if isinstance(entry, str) else entry
            if not name.startswith(NAME) or name == NAME:
                yield f"{group}: host {name!r} is not of the form {NAME}NAME"
                continue
            short = name.removeprefix(NAME)
            if short in places:
                yield (
                    f"host {short} is in {group} and in {places[short]}"
                    if places[short] != group
                    else f"host {short} is in {group} twice"
                )
            places[short] = group
            merged = {key: value for key, value in data.items() if key.startswith(PREFIXES)} | dict(own)
            yield from (f"host {short}: {text}" for text in _of_host(short, merged))


def _of_host(name: str, data: Mapping[str, Any]) -> Iterator[str]:
    yield from settings_problems(name, data)
    yield from directory_problems_of(data)
    for key in data:
        if not key.startswith(PREFIXES) and key not in OURS:
            yield f"{key} is not known here. Known: {', '.join((*OURS, *(f'{prefix}...' for prefix in PREFIXES)))}"
    certificate = data.get("sdk_certificate")
    if certificate is not None:
        wanted = {"site": {"thumbprint": certificate}, "admins": {"service_account": "x"}}
        yield from (
            text.replace("desired.site.thumbprint", "sdk_certificate")
            for text in desired_problems(wanted, "desired")
            if "thumbprint" in text
        )


def _data_problems(data_file: Path, data: Mapping[str, Any], *, has_mfa_data: bool) -> Iterator[str]:
    where = f"group_data/{data_file.name}"
    for key in data:
        if key not in OURS and not key.startswith(PREFIXES):
            yield f"{where}: {key} is not known here. Known: {', '.join((*OURS, *(f'{prefix}...' for prefix in PREFIXES)))}"
    if "desired" in data:
        yield from desired_problems(data["desired"], f"{where}: desired")
    elif has_mfa_data:
        yield f"{where}: desired is missing"


def _clear_passwords(groups: Mapping[str, Sequence[Entry]], data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in data.items():
        if key.endswith("_password") and isinstance(value, str):
            yield "all hosts", key
    for entries in groups.values():
        for entry in entries:
            if not isinstance(entry, str):
                name, own = entry
                yield from (
                    (name.removeprefix(NAME), key)
                    for key, value in own.items()
                    if key.endswith("_password") and isinstance(value, str)
                )
