"""
`pyinfra` as a user types it, in a process of its own (tests/ready_pyinfra.py), against a lab of this process.

The inventory and its group data are files that are written here; desired state is the lab's own, with what a test changes in it.
"""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from typing_extensions import override

from lab.control import Role
from lab.engine import Machine
from lab.journal import StateChange
from lab.lab import EngineName, Lab, Seed
from lab.seed import certificate
from tests import ready_pyinfra
from tests.oplab import files_of

TREE: Final = Path(__file__).parents[1]
GROUPS: Final[Mapping[Role, str]] = {"dc": "domain_controllers", "mfa": "mfa_servers", "mim": "mim_servers"}
COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
TIMEOUT_S: Final = 600  # real machines, many tests at once

INVENTORY: Final = """
from connectors.inventory import check
from model.secret import Secret

def _host(name, own):
    return f"@winrm/{{name}}", {{key: Secret(value) if key.endswith("password") else value for key, value in own.items()}}

_groups = {groups!r}
globals().update({{group: [_host(name, own) for name, own in hosts.items()] for group, hosts in _groups.items()}})
check(__file__, **{{group: globals()[group] for group in _groups}})
"""


@dataclass(frozen=True)
class Done:
    """A run of pyinfra that ended. Colours are taken out; `lines` are all lines without the blanks around them, of both channels."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    @property
    def lines(self) -> list[str]:
        return [line.strip() for line in self.text.splitlines()]

    def of(self, host: str) -> list[str]:
        """What was said of a host, its prefix taken out."""
        found = [re.fullmatch(rf"\[{host}\]\s+(.*)", line) for line in self.lines]
        return [match[1] for match in found if match]


class CliLab(AbstractContextManager["CliLab"]):
    """A lab with hosts by role, an inventory for it, and the command."""

    def __init__(
        self,
        folder: Path,
        engine: EngineName = "python",
        hosts: Mapping[str, Role] | None = None,
        *,
        seed: Seed | None = None,
        mim_build: str | None = None,
    ) -> None:
        self.folder, self.engine = folder, engine
        self.lab = Lab(folder / "lab", engine, hosts, seed=seed, mim_build=mim_build)
        self.host_data: dict[str, dict[str, Any]] = {}
        self.desired: dict[str, Any] = runpy.run_path(str(TREE / "inventories/group_data/lab.py"))["desired"]

    @override
    def __enter__(self) -> Self:
        self.lab.start()
        self.write_inventory()
        return self

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.lab.stop()

    def write_inventory(self) -> None:
        """The files, from `host_data` and `desired`: again after these were changed."""
        groups: dict[str, dict[str, Any]] = {}
        for host, role in self.lab.roles.items():
            own: dict[str, Any] = dict(self.lab.connection(host))
            if role == "mfa":
                own["sdk_certificate"] = certificate(host).thumbprint
            groups.setdefault(GROUPS[role], {})[host] = own | self.host_data.get(host, {})
        (self.folder / "group_data").mkdir(exist_ok=True)
        (self.folder / "site.py").write_text(INVENTORY.format(groups=groups), encoding="utf-8")
        (self.folder / "group_data/site.py").write_text(f"desired = {self.desired!r}\n", encoding="utf-8")

    def machine(self, host: str) -> Machine:
        return self.lab.machine(host)

    def states(self) -> dict[str, Mapping[str, str]]:
        """All that can differ: by host what it holds, and every file of the lab behind them, see `files_of`."""
        by_host = {host: dict(self.lab.machine(host).snapshot()) for host in self.lab.roles}
        return {**by_host, "(files)": files_of(self.lab.root, by_content=self.engine == "python")}

    def pyinfra(self, *arguments: str, deploy: str = "deploy.py", inventory: str = "") -> Done:
        """
        `pyinfra INVENTORY DEPLOY ARGUMENT...` in the root of the repository.

        + deploy: a file; "" where the arguments say what is to be done (`fact ...`, `debug-inventory`)
        + inventory: another one than that of `write_inventory`
        """
        words = [inventory or str(self.folder / "site.py"), *([deploy] if deploy else []), *arguments]
        kept = {**os.environ, "PYINFRA_PROGRESS": "off", "PYTHONPATH": str(TREE)}
        code, *outputs = ready_pyinfra.run(words, kept, TIMEOUT_S)
        out, err = (COLOURS.sub("", data.decode()) for data in outputs)
        return Done(code, out, err)

    def asked(self, deploy: str = "deploy.py", *arguments: str) -> Done:
        """The same without an option: pyinfra shows the plan and asks, and somebody presses Enter."""
        words = [str(Path(sys.executable).with_name("pyinfra")), str(self.folder / "site.py"), deploy, *arguments]
        kept = {**os.environ, "PYINFRA_PROGRESS": "off", "PYTHONPATH": str(TREE)}
        done = subprocess.run(  # noqa: S603 - our own program
            words, cwd=TREE, env=kept, input=b"\n", capture_output=True, check=False, timeout=TIMEOUT_S
        )
        out, err = (COLOURS.sub("", data.decode()) for data in (done.stdout, done.stderr))
        return Done(done.returncode, out, err)

    def changes(self, since: int) -> list[tuple[str, StateChange]]:
        """What the lab's journal holds after a mark, by host."""
        return list(self.lab.changes(since))
