"""
What a Windows machine of the `powershell` engine was when it was new, to make it so again after a test: one takes seconds to come up.

Files, folders, registry and the states of IIS are put back. What is not (a certificate, a service that was added or is stopped) is seen in the
snapshot: whoever asks takes a new machine then.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from lab.powershell_engine import SERVICES, WAS, WineMachine

READ_ONLY: Final = " read-only"
HTTP_SYS: Final = rf"{SERVICES}\HTTP\Parameters"


class PutBack:
    """Remembers how a machine is now; called, it makes it so again, and answers whether it is."""

    def __init__(self, machine: WineMachine) -> None:
        self._machine = machine
        self._start = dict(machine.snapshot())
        self._content = {path: machine.read_file(path) or b"" for path in _of(self._start, "file")}
        self._values = {key: machine.registry(key) for key in _keys(self._start)}

    def __call__(self) -> bool:
        now = self._machine.snapshot()
        for path in _of(now, "file") | _of(self._start, "file"):
            if now.get(f"file {path}") != self._start.get(f"file {path}"):
                self._file(path)
        for folder in sorted(_of(now, "folder") - _of(self._start, "folder"), reverse=True):  # the inner ones first
            place = self._machine.prefix.host_path(folder)
            assert place is not None
            place.rmdir()
        for key in sorted({*self._values, *_keys(now)}):  # the outer ones first: the inner ones go with them
            before, there = self._values.get(key, {}), self._machine.registry(key)
            if there.keys() - before.keys():
                self._machine.remove_registry(key)
                there = {}
            # Only what differs: a value is read without its kind.
            if changed := {name: value for name, value in before.items() if there.get(name) != value}:
                self._machine.set_registry(key, changed)
        return settled(self._machine.snapshot()) == settled(self._start)

    def _file(self, path: str) -> None:
        before = self._start.get(f"file {path}")
        if before is None:
            self._machine.remove_file(path)
            return
        self._machine.write_file(path, self._content[path])
        self._machine.set_last_write(path, datetime.fromisoformat(before.removesuffix(READ_ONLY).split()[-1]))
        self._machine.set_read_only(path, read_only=before.endswith(READ_ONLY))


def _of(snapshot: Mapping[str, str], kind: str) -> set[str]:
    """The things of a kind in a snapshot."""
    return {name.removeprefix(f"{kind} ") for name in snapshot if name.startswith(f"{kind} ")}


def _keys(snapshot: Mapping[str, str]) -> set[str]:
    """The keys of the registry in a snapshot, and the one behind the states of IIS; not those of services, which their manager keeps in memory."""
    keys = {name.rpartition("\\")[0] for name in _of(snapshot, "registry")}
    keys = {key for key in keys if key.startswith(HTTP_SYS) or not key.startswith(SERVICES)}
    return keys | ({WAS} if any(name.startswith("iis ") for name in snapshot) else set())


def settled(snapshot: Mapping[str, str]) -> dict[str, str]:
    """Without times: a service that was restarted is as good as before, and a time is put back to the microsecond."""
    kept = {}
    for name, value in snapshot.items():
        words = value.split(" ")
        match name.partition(" ")[0]:
            case "file":
                kept[name] = " ".join([*words[:2], *words[3:]])
            case "service":
                kept[name] = words[0]
            case _:
                kept[name] = value
    return kept
