"""
A Windows of its own in a folder: wine prefixes, cloned from a template, and the programs that run in them. Linux only.

Knows Windows paths, not what is started: PowerShell, services and verbs are lab/powershell_engine.py's. What works under wine and what does not
is in shared/tools/README.md.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.folder import LabError
from lab.process import SHORT_LIVED, LocalProcess

PROGRAMS: Final = (
    # Debian and Ubuntu: the 64-bit half alone, which needs no 32-bit architecture
    ("/usr/lib/wine/wine64", "/usr/lib/wine/wineserver64"),
    ("/opt/wine-stable/bin/wine64", "/opt/wine-stable/bin/wineserver"),
)
REGISTRY: Final = ("system.reg", "user.reg", "userdef.reg")
WRITTEN: Final = {".ini", ".log", ".inf", ".pnf"}  # below C:\windows, small and written in place: never shared
SETUP_S: Final = 120  # a first wineboot takes 6 s alone and longer on a busy machine


class WineError(LabError):
    """Wine is absent or did not do what it was asked: the text says what."""


@dataclass(frozen=True)
class Wine:
    """Where the two programs are."""

    loader: Path
    server: Path


def find_wine() -> Wine | None:
    """The wine of this machine, 64-bit; None where it is not installed."""
    for loader, server in PROGRAMS:
        if os.access(loader, os.X_OK) and os.access(server, os.X_OK):
            return Wine(Path(loader), Path(server))
    return None


class Prefix:
    r"""
    One Windows. Everything of it is below `folder`; `drive` is its `C:\`, the only drive it has.

    + culture: such as `tr-TR`, of every program in it; en-US when omitted
    + locales: where localedef put the locale of that culture, unless the system has it: without it wine knows file names in ASCII only
    """

    def __init__(self, folder: Path, culture: str | None = None, locales: Path | None = None) -> None:
        wine = find_wine()
        if wine is None:
            raise WineError("wine64 is not installed: run `make engines` as root (Debian, Ubuntu)")
        self.wine = wine
        self.folder = folder.absolute()
        self.drive = self.folder / "drive_c"
        locale = f"{culture.replace('-', '_')}.UTF-8" if culture else "C.UTF-8"
        self.environment: Mapping[str, str] = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder / "home"),  # wine makes links and menus in it: never the user's own
            "TMPDIR": str(self.folder / "home"),  # of wine's server, where there is no /run/user: goes with the machine
            "WINEPREFIX": str(self.folder),
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "winemenubuilder.exe=d",
            "DISPLAY": "",
            "TERM": "dumb",
            "NO_COLOR": "1",
            "LC_ALL": locale,
            **({"LOCPATH": str(locales)} if locales is not None and (locales / locale).exists() else {}),
            "DOTNET_EnableWriteXorExecute": "0",  # else .NET dies at the first collection after compiled script
            **SHORT_LIVED,
            "POWERSHELL_TELEMETRY_OPTOUT": "1",
            "PSModuleAnalysisCachePath": "NUL",  # a file that PowerShell writes when it pleases: no state of the machine
        }

    def run(self, *argv: str) -> None:
        """Run a program of wine's own to its end. Raises WineError where it fails or hangs."""
        try:
            done = subprocess.run(
                [str(self.wine.loader), *argv],
                env=dict(self.environment),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=SETUP_S,
                check=False,
            )
        except subprocess.TimeoutExpired as hung:
            self.stop()
            raise WineError(f"{' '.join(argv)} did not end within {SETUP_S} s") from hung
        if done.returncode:
            raise WineError(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr.decode(errors='replace')}")

    def start(self, argv: Sequence[str], cwd: Path | None = None) -> LocalProcess:
        r"""Start a program by its Windows path, in `cwd` (`C:\` when omitted)."""
        return LocalProcess([str(self.wine.loader), *argv], self.environment, cwd or self.drive)

    def stop(self) -> None:
        """End every program of the prefix, and wait until its registry is on disk. Again is fine. Raises WineError where it hangs."""
        # By SIGINT: a plain -k sends SIGKILL soon after, and on a busy machine that comes before the registry is written.
        self._server("-k2")
        try:
            self._server("-w")
        except subprocess.TimeoutExpired as hung:
            self._server("-k")
            raise WineError(
                f"{self.folder} did not end within {SETUP_S} s and was killed: its registry may be old"
            ) from hung

    def _server(self, option: str) -> None:
        # -k answers 1 where no server runs.
        subprocess.run(
            [str(self.wine.server), option],
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=SETUP_S,
            check=False,
        )

    def host_path(self, path: str) -> Path | None:
        r"""
        Where a Windows path is on this machine; parts that exist are found in any case, others keep their spelling.

        None for what is not on drive C: another drive, a relative, UNC or device path.
        """
        drive, *parts = path.replace("/", "\\").split("\\")
        if drive.upper() != "C:":
            return None
        found = self.drive
        for part in parts:
            if part in ("", "."):
                continue
            if part == "..":
                found = found.parent if found != self.drive else found
                continue
            found = _child(found, part)
        return found

    def windows_path(self, path: Path) -> str:
        r"""The Windows path of a file below `drive`."""
        return "C:\\" + str(path.relative_to(self.drive)).replace("/", "\\")


def _child(folder: Path, name: str) -> Path:
    """An entry of a folder in any case; the exact spelling wins."""
    exact = folder / name
    if exact.exists() or not folder.is_dir():
        return exact
    wanted = name.casefold()
    return next((entry for entry in folder.iterdir() if entry.name.casefold() == wanted), exact)


def create(folder: Path) -> Prefix:
    """Make a new prefix: Windows 10, drive C alone, no link out of it. Takes 6 to 12 s. Raises WineError."""
    folder.mkdir(parents=True)
    prefix = Prefix(folder)
    (folder / "home").mkdir()
    prefix.run("wineboot", "--init")
    prefix.run("reg", "add", r"HKCU\Software\Wine", "/v", "Version", "/d", "win10", "/f")
    prefix.stop()
    for link in (folder / "dosdevices").iterdir():
        if link.name != "c:":  # z: is the whole machine: a wrong path in a test must not reach it
            link.unlink()
    for link in [path for path in _tree(prefix.drive) if path.is_symlink()]:
        link.unlink()
        link.mkdir()
    return prefix


def clone(template: Path, folder: Path, own: Sequence[Path] = (), without: Sequence[Path] = ()) -> None:
    r"""
    Make a prefix like `template`, in a moment: what is below `C:\windows` are hard links, all else is copied.

    + own: folders, relative to drive C, below `C:\windows` whose files are written to and must be copied
    + without: folders, relative to drive C, that the clone does not have

    Wine writes its registry in place, and so must every clone have its own.
    """
    folder.mkdir(parents=True)
    for name in REGISTRY:
        shutil.copy2(template / name, folder / name)
    shutil.copy2(template / ".update-timestamp", folder / ".update-timestamp")
    (folder / "home").mkdir()
    (folder / "dosdevices").mkdir()
    (folder / "dosdevices" / "c:").symlink_to("../drive_c")
    source, target = template / "drive_c", folder / "drive_c"
    windows = source / "windows"
    copied, left_out = {source / path for path in own}, {source / path for path in without}
    target.mkdir()
    for path in _tree(source):
        beside = target / path.relative_to(source)
        if left_out.intersection((path, *path.parents)):
            continue
        if path.is_dir():
            beside.mkdir()
        elif windows not in path.parents or path.suffix.lower() in WRITTEN or copied.intersection(path.parents):
            shutil.copy2(path, beside)
        else:
            share(path, beside)


def share(file: Path, link: Path) -> None:
    """
    Give a file a second name: a hard link, which nobody tells from the file.

    A symbolic one where the system refuses (another file system, or a file of root's and `fs.protected_hardlinks`).
    """
    try:
        link.hardlink_to(file)
    except OSError:
        link.symlink_to(file)


def _tree(folder: Path) -> Iterator[Path]:
    """Everything below a folder, a folder before what is in it; links are not followed."""
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        yield Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield from _tree(Path(entry.path))
