"""
The drives of a machine of the python engine: Windows paths over a real folder. What a verb does with files is in files.py.

Drive `C:` is the folder `c` below the machine's own, a share `\\\\server\\share` is `unc/server/share`. Names are found in any case and kept as
spelled. A file that another process has open without sharing is one that is flock-ed: that holds between processes of this computer, too.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, TypeAlias

from lab.state import Clock, fold, write_whole
from lab.verbs import VerbError

Kind: TypeAlias = Literal["file", "folder", "absent"]

SHARING_VIOLATION: Final = 0x80070020  # tools/README.md: what a locked file gives
ACCESS_DENIED: Final = 0x80070005
DEVICE: Final = re.compile(r"(?:CON|PRN|AUX|NUL|COM[1-9]|LPT[1-9])(?:\..*)?", re.IGNORECASE)  # the same page
NO_NAME: Final = re.compile(r'[\x00-\x1f<>:"|?*]')  # Naming Files, Paths, and Namespaces (learn.microsoft.com)


def full_path(path: str) -> str:
    """
    A path as `System.IO.Path.GetFullPath` gives it: backslashes, no `.` or `..`, no dots or blanks at the end of a name; none at its own end.

    Raises VerbError `invalid` for one that is relative, empty, a device, or holds what no name may hold.
    """
    text = path.replace("/", "\\")
    if text.startswith(("\\\\.\\", "\\\\?\\", "\\??\\")):
        raise VerbError("invalid", path, "is a device path, expected a full path such as C:\\x")
    if text.startswith("\\\\"):
        server, _, rest = text[2:].partition("\\")
        share, _, rest = rest.partition("\\")
        if not server or not share or NO_NAME.search(server + share) or {server, share} & {".", ".."}:
            raise VerbError("invalid", path, "names no share, expected \\\\server\\share\\x")
        root = f"\\\\{server}\\{share}"
    elif re.match(r"[A-Za-z]:\\", text):
        root, rest = text[:2], text[3:]
    else:
        raise VerbError("invalid", path, "is not a full path, expected one such as C:\\x")
    names: list[str] = []
    for name in rest.split("\\"):
        if name == "..":
            del names[-1:]  # above a root there is the root
        elif name not in ("", "."):
            trimmed = name.rstrip(". ")
            if NO_NAME.search(name) or not trimmed:
                raise VerbError("invalid", path, "holds a name that Windows does not allow")
            names.append(trimmed)
    if names and DEVICE.fullmatch(names[-1]):
        raise VerbError("invalid", path, "names a device")
    return "\\".join([root, *names]) if names else f"{root}\\"


class Disk:
    """Files and folders of one machine by their Windows paths. Content is as Python bytes, times are ticks of its clock."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.folder, self.clock = folder, clock

    # -- where a thing is --

    def place(self, path: str) -> tuple[Path, tuple[str, ...]]:
        """The real path as far as it exists, and the names below that which do not. Raises VerbError `invalid`."""
        root, names = self._split(path)
        here = self.folder
        for at, name in enumerate([*root, *names]):
            # A drive and a share are ours to spell; below them the names are the user's.
            found = _entry(here, name)
            if found is None:
                return here, tuple([*root, *names][at:])
            here = found
        return here, ()

    def real(self, path: str) -> Path | None:
        """The real path of a thing that exists, else None. Raises VerbError `invalid`."""
        here, missing = self.place(path)
        return None if missing else here

    def has_root(self, path: str) -> bool:
        """Whether the drive or share of a path exists."""
        root, _ = self._split(path)
        return self.folder.joinpath(*root).is_dir()

    def kind(self, path: str) -> Kind:
        """What stands at a path. Raises VerbError `invalid`."""
        real = self.real(path)
        if real is None:
            return "absent"
        return "folder" if real.is_dir() else "file"

    def windows(self, real: Path) -> str:
        """The Windows path of a real path below the machine's folder."""
        first, *names = real.relative_to(self.folder).parts
        if first == "unc":
            return "\\".join(["\\", *names])
        return "\\".join([f"{first.upper()}:", *names]) + ("" if names else "\\")

    # -- what is in it --

    def read(self, path: str) -> bytes | None:
        """The content of a file, None where none is. Raises VerbError `locked`, `denied`, `invalid`."""
        real = self.real(path)
        if real is None or real.is_dir():
            return None
        return read_free(real, path)

    def sha256(self, path: str) -> str:
        """Hash of a file's content, `absent` where none is: what `expected` is compared with. Raises VerbError as `read`."""
        data = self.read(path)
        return "absent" if data is None else hashlib.sha256(data).hexdigest()

    def write(self, path: str, data: bytes) -> None:
        """
        Put a file in place of another, or where none was, in one step; attributes of an existing one stay.

        Raises VerbError: `missing` without its folder, `invalid` where a folder stands, `denied` when read-only, `locked` when open elsewhere.
        """
        here, missing = self.place(path)
        if len(missing) > 1 or (missing and not here.is_dir()):
            raise VerbError("missing", path, "the folder of this file does not exist")
        mode = 0o644
        if missing:
            real = here / missing[0]
        elif here.is_dir():
            raise VerbError("invalid", path, "is a folder, expected a file")
        else:
            real, mode = here, here.stat().st_mode & 0o777
            if read_only(real):
                raise VerbError("denied", path, "has the attribute read-only")
            check_free(real, path)
        with told(path):
            write_whole(real, data, mode=mode, times_ns=self.clock.now() * 100)

    def make_folders(self, path: str) -> list[str]:
        """Make a folder and those above it; gives what was made, outermost first. The drive is made, too: a verb looks at `has_root` before."""
        here, missing = self.place(path)
        made = []
        for name in missing:
            here = here / name
            with told(path):
                here.mkdir(mode=0o755)
            stamp = self.clock.now() * 100
            os.utime(here, ns=(stamp, stamp))
            made.append(self.windows(here))
        return made

    def files(self) -> Iterator[tuple[str, Path]]:
        """Every file and folder of every drive: Windows path and real path, in order."""
        roots = [one for one in self.folder.iterdir() if one.is_dir() and re.fullmatch("[a-z]|unc", one.name)]
        for root in sorted(roots):
            for parent, folders, names in os.walk(root):
                folders.sort()
                for name in sorted([*folders, *names]):
                    real = Path(parent, name)
                    yield self.windows(real), real

    def _split(self, path: str) -> tuple[list[str], list[str]]:
        full = full_path(path)
        if full.startswith("\\\\"):
            server, share, *names = full[2:].split("\\")
            return ["unc", fold(server).lower(), fold(share).lower()], [name for name in names if name]
        drive, *names = full.split("\\")
        return [drive[0].lower()], [name for name in names if name]


def read_free(real: Path, path: str, *, count: int = -1, offset: int = 0) -> bytes:
    """Read a real file that no other process has open without sharing. `path` is the name for the error."""
    if not real.stat().st_mode & 0o400:  # root could read it, Windows' denial has no such exception
        raise VerbError("denied", path, "may not be read", hresult=ACCESS_DENIED)
    with told(path), real.open("rb") as file:
        _flock(file.fileno(), path)
        file.seek(offset)
        return file.read(count)


def check_free(real: Path, path: str) -> None:
    """Raises VerbError `locked` where another process has the file open without sharing."""
    with told(path), real.open("rb") as file:
        _flock(file.fileno(), path)


def read_only(real: Path) -> bool:
    """Whether a real file has the attribute read-only: no right to write, as wine maps it."""
    return real.is_file() and not real.stat().st_mode & 0o222


@contextlib.contextmanager
def told(path: str) -> Iterator[None]:
    """An error of the real file system as data."""
    try:
        yield
    except PermissionError as error:
        raise VerbError("denied", path, "the lab may not touch this file", hresult=ACCESS_DENIED) from error
    except (UnicodeEncodeError, ValueError) as error:
        raise VerbError("invalid", path, "holds a name that this file system cannot hold") from error
    except OSError as error:
        raise VerbError("unknown", path, f"the lab's file system refused: {os.strerror(error.errno or 0)}") from error


def _flock(descriptor: int, path: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise VerbError("locked", path, "another process has it open", hresult=SHARING_VIOLATION) from error


def _entry(folder: Path, name: str) -> Path | None:
    """What has this name in a real folder, in any case; the exact spelling first."""
    exact = folder / name
    try:
        if exact.exists():
            return exact
        folded = fold(name)
        return next((one for one in sorted(folder.iterdir()) if fold(one.name) == folded), None)
    except NotADirectoryError:
        return None
    except (OSError, ValueError):  # a name too long for, or not encodable in, this file system: nothing can have it
        return None
