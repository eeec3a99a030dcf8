"""
The whole job on real PowerShell: `make demo`, and a fact, through inventories/lab.py with LAB_ENGINE=powershell, in a copy of the tree whose lab is
its own.

On the python engine: test_docs.py, and test_deploy.py, whose words are expected here, too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from lab import template
from tests.clilab import Done
from tests.contract.conftest import absent
from tests.test_deploy import SETTINGS, announced, wanted_of
from tests.test_docs import NOT_COPIED, TIMEOUT_S, TREE

WHY: Final = absent("mfa01") or absent("dc01")
pytestmark = [pytest.mark.powershell, pytest.mark.slow, pytest.mark.skipif(WHY is not None, reason=str(WHY))]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("demo") / "tree"
    shutil.copytree(TREE, root, ignore=shutil.ignore_patterns(*NOT_COPIED))
    (root / template.ENGINES.name).symlink_to(template.ENGINES)
    yield root
    run(root, sys.executable, "-m", "lab", "stop")


def run(root: Path, *command: str) -> tuple[int, str]:
    """Exit code and output, without colours, of a command in the tree."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LAB_", "WINRM_"))}
    done = subprocess.run(  # noqa: S603 - our own programs
        command,
        cwd=root,
        env=kept | {"PYTHONPATH": str(root), "LAB_ENGINE": "powershell"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    return done.returncode, re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


def test_the_demo_does_its_job_on_real_powershell_and_a_fact_is_read_there(tree: Path) -> None:
    code, said = run(tree, sys.executable, "tools/demo.py")
    shown = [announced(Done(code, one, "")) for one in said.split("$ pyinfra inventories/lab.py deploy.py ")[1:]]
    applied = dict.fromkeys(wanted_of(SETTINGS, dry=False), ())
    assert shown == [wanted_of(SETTINGS, dry=True), applied, {}, {}], said
    last = said.splitlines()[-1]
    assert (
        code,
        re.sub(r"\d+ HTTP requests, \d+\.\d s", "(some)", re.sub(r"[1-9]\d* state", "(some) state", last)),
    ) == (
        0,
        "measured on engine powershell: (some) state changes in the first run, 0 in both dry runs, 0 in the second run, (some): as it should be",
    ), said
    pyinfra = str(Path(sys.executable).with_name("pyinfra"))
    code, said = run(tree, pyinfra, "inventories/lab.py", "fact", "facts.windows.HostInfo", "--limit", "mim01")
    assert code == 0, said
    assert '"edition": "Core"' in said, said
