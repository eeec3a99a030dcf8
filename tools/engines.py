"""
`make engines`: everything that the `powershell` engine of the lab needs. Root on Debian or Ubuntu; a second run takes a second.

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
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lab import samba, template
from lab.wine import WineError

# Where a name differs between releases the first one that the system knows is taken.
PACKAGES: Final = (
    ("wine64",),
    ("locales",),
    ("samba",),
    ("samba-ad-provision",),
    ("winbind",),
    ("samba-dsdb-modules",),
    ("samba-vfs-modules",),
    ("ldap-utils",),
    ("curl",),
    ("libldap-2.5-0", "libldap2"),  # the library that .NET for Linux loads
)
POLICY: Final = Path("/usr/sbin/policy-rc.d")


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


def packages() -> bool:
    """Install what is missing. Raises EngineError."""
    if shutil.which("dpkg-query") is None or shutil.which("apt-get") is None:
        raise template.EngineError("this is neither Debian nor Ubuntu: install wine64 and Samba's AD DC by hand")
    missing = [names for names in PACKAGES if not any(installed(name) for name in names)]
    if not missing:
        return False
    if os.geteuid() != 0:
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
        install = ("install", "-y", "-q", "--no-install-recommends", *chosen)
        # Lists that are older than the archive name files that are no longer there.
        if apt(*install) and (why := apt("update", "-q") or apt(*install)):
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


STEPS: Final[dict[str, Callable[[], bool]]] = {
    "packages of wine and Samba": packages,
    "PowerShell for Windows": lambda: template.unpack("win"),
    "PowerShell for Linux": lambda: template.unpack("linux"),
    "locales": template.make_locales,
    "wine template": template.make,
    "stand-in for IIS": template.refresh,
    "Samba domain": domain,
    "ansible-core": ansible,
}


def main() -> int:
    """Make everything, one line a step; 1 at the first that fails."""
    for name, step in STEPS.items():
        start = time.monotonic()
        try:
            made = step()
        except (template.EngineError, WineError, samba.SambaError, OSError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        print(f"{name}: {f'made in {time.monotonic() - start:.1f} s' if made else 'there'}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
