"""
What the machines of the `powershell` engine are cloned from: the wine prefix below `.engines/template`, and the programs beside it.

tools/engines.py makes it by these functions. The one thing that is renewed by itself is the stand-in, whenever its sources have changed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lab.folder import LabError
from lab.process import LocalProcess
from lab.wine import Prefix, create, find_wine, share

ROOT: Final = Path(__file__).resolve().parent.parent
ENGINES: Final = ROOT / ".engines"
ARCHIVES: Final = ROOT.parent / "shared" / "tools" / "powershell"
STANDINS: Final = ROOT / "lab" / "standins"
SCHEMA: Final = ROOT / "lab" / "data" / "schema.xml"

POWERSHELL: Final = r"C:\windows\System32\WindowsPowerShell\v1.0\powershell.exe"
V1_0: Final = Path("windows/system32/WindowsPowerShell/v1.0")  # as wine spells it, relative to drive C
INETSRV: Final = Path("windows/system32/inetsrv")
ASSEMBLY: Final = "Microsoft.Web.Administration.dll"

FORM: Final = "1"  # raise it when a template that was made before must not be used any more
CULTURES: Final = ("tr-TR", "de-DE")  # under which the contract is tried, too
COMPILE_S: Final = 120

# The script compiles every source beside the output; Windows paths, since nothing else is reachable from the prefix.
COMPILE: Final = r"""
$ErrorActionPreference = 'Stop'
$sources = @(Get-ChildItem -LiteralPath 'C:\windows\temp\standins' -Filter '*.cs' | Sort-Object -Property Name)
Add-Type -Path $sources.FullName -OutputAssembly 'C:\windows\temp\standins\out.dll' -OutputType Library
"""


class EngineError(LabError):
    """The engine is not there, or could not be made: one line that says what to do."""


def absent(engines: Path = ENGINES) -> str | None:
    """Why the Windows machines of the engine cannot run here, in one line; None where they can."""
    if find_wine() is None:
        return "no real PowerShell on a Windows API was tried: wine64 is not installed. Run `make engines` as root"
    if not (engines / "template.stamp").exists():
        return f"no real PowerShell on a Windows API was tried: {engines.name}/template is not there. Run `make engines` as root"
    return None


def unpack(build: str, engines: Path = ENGINES) -> bool:
    """
    Put a build of PowerShell (`win` or `linux`) at `engines/powershell-BUILD`; False where that is done already.

    From the program that MIM_LAB_PWSH_WIN or MIM_LAB_PWSH_LINUX names, else from the archive in ../shared/tools. Raises EngineError.
    """
    target, program = engines / f"powershell-{build}", "pwsh.exe" if build == "win" else "pwsh"
    setting = f"MIM_LAB_PWSH_{build.upper()}"
    named, archive = os.environ.get(setting), ARCHIVES / f"powershell-{build}.tar.xz"
    if named:
        source = Path(named).resolve()
        if not source.is_file():
            raise EngineError(f"{setting} is {named}: no such file. It is the path of {program}")
        if source.is_relative_to(target.resolve()):
            return False
        stamp = str(source)
    elif archive.is_file():
        source, stamp = archive, f"{archive.name} {archive.stat().st_size}"
    elif (target / program).is_file():
        return False  # somebody put it there
    else:
        raise EngineError(
            f"no PowerShell 7 ({build}): unpack https://github.com/PowerShell/PowerShell/releases "
            f"({'PowerShell-7.x-win-x64.zip' if build == 'win' else 'powershell-7.x-linux-x64.tar.gz'}) and set {setting} to its {program}"
        )
    if _stamp(target) == stamp:
        return False
    engines.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=engines) as temporary:
        if named:
            made = Path(temporary) / "linked"
            shutil.copytree(source.parent, made, copy_function=lambda file, link: share(Path(file), Path(link)))
        else:
            with tarfile.open(source) as packed:
                packed.extractall(temporary, filter="tar")
            made = Path(temporary) / f"powershell-{build}"
        if not (made / program).is_file():
            raise EngineError(f"{source} holds no {program}")
        _swap(made, target, stamp)
    return True


def make(engines: Path = ENGINES) -> bool:
    """Make the template from `engines/powershell-win`, unless it is there. Takes 15 s. Raises EngineError or WineError."""
    with held(engines):
        stamp = " ".join([FORM, str(find_wine()), _stamp(engines / "powershell-win") or "by hand"])
        if _stamp(engines / "template") == stamp:
            return False
        with tempfile.TemporaryDirectory(dir=engines) as temporary:
            made = Path(temporary) / "template"
            drive = create(made).drive
            shutil.rmtree(drive / V1_0)
            shutil.copytree(
                engines / "powershell-win", drive / V1_0, copy_function=lambda file, link: share(Path(file), Path(link))
            )
            share(drive / V1_0 / "pwsh.exe", drive / V1_0 / "powershell.exe")
            _swap(made, engines / "template", stamp)
        return True


def make_locales(engines: Path = ENGINES) -> bool:
    """Make the locales of CULTURES below `engines/locale`, unless they are there. Raises EngineError."""
    made = False
    for culture in CULTURES:
        name = culture.replace("-", "_")
        folder = engines.absolute() / "locale" / f"{name}.UTF-8"
        if (folder / "LC_CTYPE").exists():
            continue
        folder.parent.mkdir(parents=True, exist_ok=True)
        argv = ["localedef", "--no-archive", "-i", name, "-f", "UTF-8", str(folder)]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EngineError(f"localedef did not make {name}: {done.stderr.strip()}")
        made = True
    return made


def refresh(engines: Path = ENGINES) -> bool:
    """
    Compile the stand-in for IIS into the template where its sources have changed since; False where there is nothing to do.

    Takes 3 s when it compiles, else a millisecond. Raises EngineError with what the compiler said.
    """
    why = absent(engines)
    if why is not None:
        raise EngineError(why)
    sources = sorted(STANDINS.glob("*.cs"))
    if not sources:
        return False
    digest = hashlib.sha256()
    for source in [*sources, *([SCHEMA] if SCHEMA.exists() else [])]:
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    stamp = digest.hexdigest()
    folder, stamped = engines / "template" / "drive_c" / INETSRV, engines / "standin.stamp"
    if _stamp(folder, stamped) == stamp:
        return False
    if not os.access(engines / "template" / "drive_c", os.W_OK):
        raise EngineError(
            f"{engines.name} is older than lab/standins and belongs to another user. Run `make engines` as that one"
        )
    with held(engines):
        if _stamp(folder, stamped) == stamp:  # another process was faster
            return False
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "config" / "schema").mkdir(parents=True)
        if SCHEMA.exists():
            shutil.copyfile(SCHEMA, folder / "config" / "schema" / "IIS_schema.xml")
        _compile(Prefix(engines / "template"), sources, folder / ASSEMBLY)
        stamped.write_text(stamp)
    return True


def _compile(prefix: Prefix, sources: list[Path], assembly: Path) -> None:
    """Compile C# by the PowerShell of a prefix; the prefix is stopped again. Raises EngineError with the compiler's words."""
    work = prefix.drive / "windows" / "temp" / "standins"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        for source in sources:
            shutil.copyfile(source, work / source.name)
        (work / "compile.ps1").write_text(COMPILE)
        script = r"C:\windows\temp\standins\compile.ps1"
        argv = [POWERSHELL, "-NoLogo", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File", script]
        process = prefix.start(argv)
        said = _words(process)
        if not (work / "out.dll").is_file():
            raise EngineError(f"the stand-in of lab/standins does not compile:\n{said}")
        (work / "out.dll").replace(assembly)
    finally:
        prefix.stop()
        shutil.rmtree(work, ignore_errors=True)


def _words(process: LocalProcess) -> str:
    """All that a program says until it ends; it is ended when it is silent for too long."""
    said = b""
    process.write(b"", end=True)
    while True:
        output = process.read(COMPILE_S)
        said += output.stdout + output.stderr
        if output.exit_code is not None:
            return said.decode(errors="replace")
        if not (output.stdout or output.stderr):
            process.terminate()
            raise EngineError(f"PowerShell was silent for {COMPILE_S} s: {said.decode(errors='replace')}")


def _stamp(made: Path, stamped: Path | None = None) -> str | None:
    """From what a thing was made; None where it, or its stamp (`NAME.stamp` beside it), is not there."""
    with contextlib.suppress(FileNotFoundError):
        return (stamped or Path(f"{made}.stamp")).read_text() if made.exists() else None
    return None


def _swap(made: Path, target: Path, stamp: str) -> None:
    """Put a folder in place; its stamp comes last, so that a broken run is begun again."""
    Path(f"{target}.stamp").unlink(missing_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    made.rename(target)
    Path(f"{target}.stamp").write_text(stamp)


@contextlib.contextmanager
def held(engines: Path = ENGINES, *, shared: bool = False) -> Iterator[None]:
    """Hold the engines against every other process that makes them; `shared`: only against those, to clone the template."""
    if not shared:
        engines.mkdir(parents=True, exist_ok=True)
        (engines / "lock").touch()
    # Read access is enough: whoever clones may not be the one who made it.
    with (engines / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
