"""
What a machine of the python engine keeps on disk: JSON documents, the registry among them, its lock and its clock.

Files of the machine's drives are in disk.py; what the documents mean is in the modules of the verbs.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from lab.engine import RegistryValue

TICKS: Final = 10_000_000  # a second in the unit of Windows' file times, 100 ns
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LOCK_FILE: Final = "lock"


def fold(name: str) -> str:
    """
    A name as Windows compares it: letter by letter in upper case, so that no name grows ("ß" stays, unlike `str.casefold`).

    Dotless i and long s, whose upper case is an ASCII letter, are letters of their own (OrdinalIgnoreCase).

    + name: of a file, a registry key, a service
    """
    if name.isascii():
        return name.upper()
    return "".join(map(_upper, name))


def _upper(letter: str) -> str:
    upper = letter.upper()
    return upper if len(upper) == 1 and upper.isascii() == letter.isascii() else letter


class Clock:
    """
    The one clock of a machine: file times and process start times come from it. Every reading is later than the one before.

    Ticks are 100 ns since 1970, UTC.
    """

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns, self._last, self._lock = now_ns, 0, threading.Lock()

    def now(self) -> int:
        """The time in ticks."""
        with self._lock:
            self._last = max(self._now_ns() // 100, self._last + 1)
            return self._last


def time_text(ticks: int) -> str:
    """`2026-11-25T08:00:00.1234567Z`: what docs/verbs.md says for every time."""
    seconds, part = divmod(ticks, TICKS)
    return f"{EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{part:07}Z"


def ticks_of(when: datetime) -> int:
    """A time in ticks; one without a zone is UTC."""
    since = (when if when.tzinfo else when.replace(tzinfo=UTC)) - EPOCH
    return (since.days * 86400 + since.seconds) * TICKS + since.microseconds * 10


def datetime_of(ticks: int) -> datetime:
    """Ticks as a datetime, cut to microseconds."""
    return EPOCH + timedelta(microseconds=ticks // 10)


@dataclass(frozen=True)
class _Cached:
    signature: tuple[int, int, int, int]
    data: bytes
    value: Any


class State:
    """
    JSON documents in one folder, one file each. They are on disk when `write` returns, whole or not at all.

    A document that was written by another process, or another State of the same folder, is seen by the next `read`.
    Values that `read` gives are shared: treat them as frozen, make a new value and `write` it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock, self._depth, self._file = threading.RLock(), 0, -1
        self._cache: dict[str, _Cached] = {}
        self._fresh: dict[str, Any] = {}  # what cannot have changed while the machine is held

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the machine against other threads and processes. Nests. Raises FileNotFoundError where its folder is gone."""
        with self._lock:
            if self._depth == 0:
                self._take()
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._give()

    @contextlib.contextmanager
    def let_go(self) -> Iterator[None]:
        """Inside `exclusive`, however deep: let others have the machine while waiting for something."""
        depth, self._depth = self._depth, 0
        self._give()
        for _ in range(depth):
            self._lock.release()
        try:
            yield
        finally:
            for _ in range(depth):
                self._lock.acquire()
            self._depth = depth
            self._take()

    def _take(self) -> None:
        self._fresh.clear()
        self._file = os.open(self.folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def _give(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:  # less where the folder went while the machine was let go
            os.close(file)  # gives the lock up, too

    def read(self, name: str, default: Any = None) -> Any:
        """The document `name`.json, or `default` where there is none."""
        with self.exclusive():
            if name not in self._fresh:
                self._fresh[name] = self._look(name)
            value = self._fresh[name]
            return default if value is None else value

    def write(self, name: str, value: Any) -> None:
        """Replace a document. One that is the same already is not touched."""
        data = json.dumps(value, indent=1).encode("ascii") + b"\n"
        with self.exclusive():
            self.read(name)
            cached = self._cache.get(name)
            if cached is not None and cached.data == data:
                return
            path = self.folder / f"{name}.json"
            write_whole(path, data)
            self._cache[name] = _Cached(_signature(path), data, json.loads(data))
            self._fresh[name] = self._cache[name].value

    def _look(self, name: str) -> Any:
        """The document as it is on disk, None where there is none; read again only if the file is another one."""
        path = self.folder / f"{name}.json"
        try:
            signature = _signature(path)
        except FileNotFoundError:
            self._cache.pop(name, None)
            return None
        cached = self._cache.get(name)
        if cached is None or cached.signature != signature:
            data = path.read_bytes()
            cached = self._cache[name] = _Cached(signature, data, json.loads(data))
        return cached.value


def write_whole(path: Path, data: bytes, *, mode: int = 0o600, times_ns: int | None = None) -> None:
    """Put a file in place of another in one step: a reader sees the old one or the new one."""
    beside = path.with_name(f".{path.name[:40]}.{os.getpid()}.{threading.get_ident()}.new")
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        beside.chmod(mode)
        if times_ns is not None:
            os.utime(beside, ns=(times_ns, times_ns))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _signature(path: Path) -> tuple[int, int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


class _Index:
    """Keys of a registry document by their names as Windows compares them: how each is spelled, and what is below each."""

    def __init__(self, keys: dict[str, dict[str, Any]]) -> None:
        self.keys = keys
        self.spelled = {fold(full): full for full in keys}
        self.children: dict[str, dict[str, str]] = {}
        for full in keys:
            names = full.split("\\")
            for at, name in enumerate(names):
                self.children.setdefault(fold("\\".join(names[:at])), {}).setdefault(fold(name), name)


class Registry:
    """
    The registry of a machine, in the document `registry`: full key to its values. Names are found in any case and kept as first spelled.

    Keys begin with `HKLM\\`. A DWORD is a number, REG_BINARY is `{"hex": ...}` and REG_MULTI_SZ a list in the document.
    """

    DOCUMENT: Final = "registry"

    def __init__(self, state: State) -> None:
        self._state = state
        self._indexed = _Index({})

    def values(self, key: str) -> dict[str, RegistryValue]:
        """The values of a key, {} where there is no such key."""
        index = self._index()
        found = index.spelled.get(fold(_clean(key)))
        return {name: _from_json(value) for name, value in index.keys[found].items()} if found is not None else {}

    def value(self, key: str, name: str) -> RegistryValue | None:
        """One value, its name in any case; None where there is none."""
        return next((value for own, value in self.values(key).items() if fold(own) == fold(name)), None)

    def text(self, key: str, name: str) -> str:
        """One value as text, "" where there is none or it is no text."""
        value = self.value(key, name)
        return value if isinstance(value, str) else ""

    def children(self, key: str) -> tuple[str, ...]:
        """The names of the keys directly below a key, sorted as Windows lists them."""
        names = self._index().children.get(fold(_clean(key)), {})
        return tuple(name for _, name in sorted(names.items()))

    def exists(self, key: str) -> bool:
        """Whether there is such a key."""
        index, folded = self._index(), fold(_clean(key))
        return folded in index.spelled or folded in index.children

    def items(self) -> Iterator[tuple[str, str, RegistryValue]]:
        """Every value of the registry: key, name, value."""
        for key, values in self._keys().items():
            for name, value in values.items():
                yield key, name, _from_json(value)

    def set(self, key: str, values: Mapping[str, RegistryValue]) -> None:
        """Make a key if there is none and set these values of it; others stay."""
        key = _clean(key)
        with self._state.exclusive():
            full = self._index().spelled.get(fold(key)) or self._spelled(key)
            own = dict(self._keys().get(full, {}))
            for name, value in values.items():
                same = next((other for other in own if fold(other) == fold(name)), name)
                own[same] = _to_json(value)
            self._state.write(self.DOCUMENT, self._keys() | {full: own})

    def remove(self, key: str) -> None:
        """Remove a key and all below it. No such key is fine."""
        gone = fold(_clean(key))
        with self._state.exclusive():
            keys = self._keys()
            kept = {
                name: v for name, v in keys.items() if fold(name) != gone and not fold(name).startswith(f"{gone}\\")
            }
            if len(kept) != len(keys):
                self._state.write(self.DOCUMENT, kept)

    def _spelled(self, key: str) -> str:
        """A new key below an existing one takes that one's spelling."""
        spelled: list[str] = []
        for name in key.split("\\"):
            known = self._index().children.get(fold("\\".join(spelled)), {})
            spelled.append(known.get(fold(name), name))
        return "\\".join(spelled)

    def _index(self) -> _Index:
        keys = self._keys()
        if self._indexed.keys is not keys:
            self._indexed = _Index(keys)
        return self._indexed

    def _keys(self) -> dict[str, dict[str, Any]]:
        keys: dict[str, dict[str, Any]] = self._state.read(self.DOCUMENT, {})
        return keys


def _clean(key: str) -> str:
    cleaned = "\\".join(part for part in key.split("\\") if part)
    if not fold(cleaned).startswith("HKLM\\"):
        raise ValueError(f"registry key {key!r}: expected one that begins with HKLM\\")
    return cleaned


def _to_json(value: RegistryValue) -> Any:
    match value:
        case bytes():
            return {"hex": value.hex()}
        case tuple():
            return list(value)
        case _:
            return value


def _from_json(value: Any) -> RegistryValue:
    match value:
        case {"hex": str(text)}:
            return bytes.fromhex(text)
        case list():
            return tuple(value)
        case str() | int():
            return value
        case _:
            raise ValueError(f"registry document: {type(value).__name__} is no registry value")
