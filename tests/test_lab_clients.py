"""Clients that nobody here wrote, against the lab's WinRM with a real PowerShell behind it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pypsrp.shell
import pypsrp.wsman
import pytest
import winrm

from lab import template
from lab.lab import Lab

pytestmark = [
    pytest.mark.powershell,
    pytest.mark.slow,
    pytest.mark.skipif(template.absent() is not None, reason=str(template.absent())),
]

POWERSHELL = r"%SystemRoot%\System32\WindowsPowerShell\v1.0\powershell.exe"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab"), "powershell", {"mim01": "mim"}) as running:
        yield running


def test_run_ps_of_pywinrm_runs_a_script_and_what_it_changed_is_in_the_journal(lab: Lab) -> None:
    data: dict[str, Any] = dict(lab.connection("mim01", "http"))
    session = winrm.Session(
        f"http://127.0.0.1:{data['winrm_port']}/wsman",
        auth=(data["winrm_user"], data["winrm_password"]),
        transport="ntlm",
        proxy=None,
        ca_trust_path=None,
    )
    since = lab.mark()
    script = r"[IO.File]::WriteAllText('C:\seen.txt', 'x'); 'é'.Length; [Console]::Error.WriteLine('oops'); exit 7"
    answer = session.run_ps(script)
    session.protocol.transport.close_session()
    assert (answer.status_code, answer.std_out.split(), answer.std_err.split()) == (7, [b"1"], [b"oops"])
    assert [(host, change.name, change.before) for host, change in lab.changes(since)] == [
        ("mim01", r"file C:\seen.txt", None)
    ]
    assert f"\n{script}\n" in (lab.root / "commands.log").read_text(encoding="utf-8")


def test_winrs_of_pypsrp_gives_stdin_to_a_powershell(lab: Lab) -> None:
    data: dict[str, Any] = dict(lab.connection("mim01"))
    connection = pypsrp.wsman.WSMan(
        "127.0.0.1",
        port=data["winrm_port"],
        username=data["winrm_user"],
        password=data["winrm_password"],
        cert_validation=data["winrm_ca"],
        no_proxy=True,
    )
    script = "'<' + [Console]::In.ReadLine() + '>'"
    with connection, pypsrp.shell.WinRS(connection, codepage=65001) as shell:
        process = pypsrp.shell.Process(shell, POWERSHELL, ["-NoProfile", "-NonInteractive", "-Command", f'"{script}"'])
        process.begin_invoke()
        process.send(b"a  b\r\n", end=True)
        process.end_invoke()
    assert (process.rc, process.stdout.strip()) == (0, b"<a  b>")


def test_ansible_raw_runs_a_command(lab: Lab, tmp_path: Path) -> None:
    """The connection plugin of ansible-core, in a process of its own."""
    own = template.ROOT / ".venv-ansible" / "bin" / "ansible"
    if (ansible := str(own) if own.exists() else shutil.which("ansible")) is None:
        pytest.skip("ansible-core is not installed: its winrm connection was not tried. Run `make engines`")
    data = lab.connection("mim01")
    inventory = tmp_path / "hosts.yml"
    settings = {
        "ansible_host": "127.0.0.1",
        "ansible_port": data["winrm_port"],
        "ansible_user": data["winrm_user"],
        "ansible_password": data["winrm_password"],
        "ansible_connection": "winrm",
        "ansible_winrm_transport": "ntlm",
        "ansible_winrm_ca_trust_path": data["winrm_ca"],
    }
    lines = "".join(f"      {name}: '{value}'\n" for name, value in settings.items())
    inventory.write_text(f"all:\n  hosts:\n    mim01:\n{lines}")
    done = subprocess.run(  # noqa: S603 (ansible itself)
        [ansible, "-i", str(inventory), "mim01", "-m", "ansible.builtin.raw", "-a", "'raw ' + (40 + 2)"],
        capture_output=True,
        text=True,
        check=False,
        # It insists on UTF-8, and would write into the user's home.
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(tmp_path), "ANSIBLE_HOME": str(tmp_path)},
    )
    assert (done.returncode, "raw 42" in done.stdout) == (0, True), done.stdout + done.stderr
