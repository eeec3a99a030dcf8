"""
`make engines`: everything that the `powershell` engine of the lab needs. Root on Debian or Ubuntu; a second run takes a second.
What one family lacks (wine, Samba, clients) keeps no other from being made; exit code 1 where one is not whole.

Packages by apt-get; below `.engines`: both builds of PowerShell, the wine template with the compiled stand-in, the provisioned Samba domain, locales;
`.venv-ansible` with ansible-core, a client of the lab's WinRM that nobody here wrote, apart from our own environment.
Needs the project's own Python environment (`make setup`), since the lab makes its things by its own modules.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lab import samba, template
from lab.wine import WineError, find_wine

# By family. Where a name differs between releases the first one that the system knows is taken.
PACKAGES: Final[Mapping[str, Sequence[Sequence[str]]]] = {
    "wine": (("wine64",), ("locales",)),
    "Samba": (
        ("samba",),
        ("samba-ad-provision",),
        ("winbind",),
        ("samba-dsdb-modules",),
        ("samba-vfs-modules",),
        ("libldap-2.5-0", "libldap2"),  # the library that .NET for Linux loads
    ),
    "clients": (("ldap-utils",), ("curl",)),
}
POLICY: Final = Path("/usr/sbin/policy-rc.d")
ONE_AT_A_TIME: Final = threading.Lock()  # of apt-get, which does not wait for another


def installed(package: str) -> bool:
    """Whether dpkg has it, complete."""
    argv = ["dpkg-query", "-W", "-f", "${db:Status-Status}", package]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout == "installed"


def known(package: str) -> bool:
    """Whether apt could install it."""
    done = subprocess.run(["apt-cache", "show", package], capture_output=True, check=False)
    return done.returncode == 0


@contextlib.contextmanager
def no_services() -> Iterator[None]:
    """The packages must not start a file server or a name service on this machine."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)


def there(family: str) -> bool:
    """Whether the programs of a family are here, wherever they came from."""
    match family:
        case "wine":
            return find_wine() is not None and shutil.which("localedef") is not None
        case "Samba":
            return samba.find_samba() is not None
        case _:
            return shutil.which("ldapsearch") is not None and shutil.which("curl") is not None


def packages(family: str) -> bool:
    """Install what is missing of a family. Raises EngineError."""
    if shutil.which("dpkg-query") is None or shutil.which("apt-get") is None:
        if there(family):
            return False
        names = " ".join(names[0] for names in PACKAGES[family])
        raise template.EngineError(
            f"this is neither Debian nor Ubuntu: {names} (as Debian calls it) is to be installed by hand"
        )
    with ONE_AT_A_TIME:
        return install(family)


def install(family: str) -> bool:
    """What `packages` does with apt-get, of which one runs at a time. Raises EngineError."""
    missing = [names for names in PACKAGES[family] if not any(installed(name) for name in names)]
    if not missing:
        return False
    if os.geteuid() != 0:
        if there(family):
            return False
        raise template.EngineError(
            f"not root: `apt-get install {' '.join(names[0] for names in missing)}` is left to you"
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}

    def apt(*arguments: str) -> str:
        done = subprocess.run(["apt-get", *arguments], env=environment, capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else (done.stderr.strip() or done.stdout.strip() or "no word")

    if not all(any(known(name) for name in names) for names in missing) and (why := apt("update", "-q")):
        raise template.EngineError(f"apt-get update: {why}")
    chosen = [next((name for name in names if known(name)), names[0]) for names in missing]
    with no_services():
        wanted = ("install", "-y", "-q", "--no-install-recommends", *chosen)
        # Lists that are older than the archive name files that are no longer there.
        if apt(*wanted) and (why := apt("update", "-q") or apt(*wanted)):
            raise template.EngineError(f"apt-get install {' '.join(chosen)}: {why}")
    return True


def domain() -> bool:
    """Provision the domain that dc01 is a copy of."""
    folder = template.ENGINES / "samba"
    if (folder / "private" / "sam.ldb").exists():
        return False
    samba.make_template(folder)
    return True


def ansible() -> bool:
    """Install ansible-core into an environment of its own, by its own pins. Raises EngineError."""
    pins, folder = template.ROOT / "constraints-ansible.txt", template.ROOT / ".venv-ansible"
    stamp = folder / "pins.txt"
    if stamp.exists() and stamp.read_bytes() == pins.read_bytes():
        return False
    install = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    for argv in (
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [*install, "--constraint", str(pins), "ansible-core", "pywinrm"],
    ):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise template.EngineError(done.stderr.strip() or f"{argv[0]} ended with {done.returncode}")
    stamp.write_bytes(pins.read_bytes())
    return True


# Each with its family: when a step fails, what comes after it of the same family is not tried.
STEPS: Final[Mapping[str, tuple[str, Callable[[], bool]]]] = {
    "packages of wine": ("wine", lambda: packages("wine")),
    "PowerShell for Windows": ("wine", lambda: template.unpack("win")),
    "locales": ("wine", template.make_locales),
    "wine template": ("wine", template.make),
    "stand-in for IIS": ("wine", template.refresh),
    "PowerShell for Linux": ("PowerShell for Linux", lambda: template.unpack("linux")),
    "packages of Samba": ("Samba", lambda: packages("Samba")),
    "Samba domain": ("Samba", domain),
    "packages of other clients": ("clients", lambda: packages("clients")),
    "ansible-core": ("ansible", ansible),
}


def make(family: str) -> bool:
    """Make what a family consists of, one line a step; whether it is whole."""
    steps = [(name, step) for name, (own, step) in STEPS.items() if own == family]
    for number, (name, step) in enumerate(steps, start=1):
        start = time.monotonic()
        try:
            made = step()
        except (template.EngineError, WineError, samba.SambaError, OSError) as error:
            print(
                "\n".join([f"{name}: {error}", *(f"{left}: not tried" for left, _ in steps[number:])]), file=sys.stderr
            )
            return False
        print(f"{name}: {f'made in {time.monotonic() - start:.1f} s' if made else 'there'}", flush=True)
    return True


def main() -> int:
    """Make everything, the families side by side; 1 where one is not whole."""
    families = sorted({family for family, _ in STEPS.values()})
    with ThreadPoolExecutor(len(families)) as pool:
        whole = dict(zip(families, pool.map(make, families), strict=True))
    failed = [family for family, there in whole.items() if not there]
    if failed:
        print(f"Not whole: {', '.join(failed)}. `make test` runs what the others allow.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
