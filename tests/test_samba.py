"""A real Samba AD DC as a machine of the lab, and texts of Active Directory that no Samba says. What the verbs answer is in tests/contract."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import powershell
from lab import samba
from plans.directory_search import membership_steps
from tests.directory_cases import (
    ANNA,
    BOB,
    DONE,
    MEMBERS,
    OWN,
    G,
    MemberCase,
    fill,
    spelled,
)
from tests.directory_far import USERS, PowerShell, asked, code, edit, modify, user

pytestmark = pytest.mark.powershell


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PowerShell]:
    if samba.find_samba() is None or samba.find_pwsh() is None or os.geteuid() != 0:
        pytest.skip(
            "no Samba AD DC or no PowerShell for Linux here, or not root: the directory verbs were not run (make engines)"
        )
    far = PowerShell(samba.SambaMachine("dc01", tmp_path_factory.mktemp("samba")))
    yield far
    far.close()


@pytest.fixture
def filled(far: PowerShell) -> PowerShell:
    """The entries of the cases and nothing else; they stay from test to test as long as nobody changes one."""
    if far.machine.snapshot() != far.clean:
        with far.machine._bound() as arranger:
            for dn in OWN:
                arranger.delete(dn)
        fill(far)
        far.clean = far.machine.snapshot()
    return far


@pytest.mark.parametrize("case", MEMBERS.values(), ids=MEMBERS)
def test_members_are_resolved(filled: PowerShell, case: MemberCase) -> None:
    assert edit(filled, modify(G, "add", ANNA), modify(f"CN=U2,{USERS}", "add", G)) == [DONE, DONE]
    seen, calls = asked(filled, membership_steps(case.group, case.member(filled)))
    assert seen.problem == case.problem
    assert (spelled(seen.member.dn if seen.member else ""), seen.how) == (spelled(case.dn or ""), case.how)
    assert calls <= 3


def test_an_unknown_program_ends_with_one(far: PowerShell) -> None:
    process = far.machine.start(["cmd.exe", "/c", "dir"])
    output = process.read(1)
    assert (output.exit_code, b"not recognized" in output.stderr) == (1, True)


def test_a_machine_that_was_closed_comes_back_with_its_directory(tmp_path: Path, far: PowerShell) -> None:
    machine = samba.SambaMachine("dc02", tmp_path)
    try:
        machine.open()
        machine.directory_add(BOB, user("bob"))
        before, address = machine.snapshot(), machine.address
        machine.close()
        again = samba.SambaMachine("dc02", tmp_path)
        try:
            again.open()
            assert (again.snapshot(), again.address, again.directory_values(BOB, "cn")) == (before, address, (b"Bob",))
            assert again.address != far.server
        finally:
            again.close()
    finally:
        machine.close()


# Texts as Active Directory sends them (facts/ad.md 3, 4 and 0.3): what no Samba says.
TEXTS = {
    "a member twice": (68, "00000562: UpdErr: DSID-031A11E2, problem 6005 (ENTRY_EXISTS), data 0", ("conflict", 68, 0x562)),
    "no member, as a missing value": (
        16,
        "00000561: AttErr: DSID-031A1254, #1:\n\t0: 00000561: DSID-031A1254, problem 1001 (NO_ATTRIBUTE_OR_VAL), data 0, Att 1f (member)",
        ("conflict", 16, 0x561),
    ),
    "no member, as a refusal": (53, "00000561: SvcErr: DSID-031A1254, problem 5003 (WILL_NOT_PERFORM), data 0", ("conflict", 53, 0x561)),
    "a rule of groups": (53, "00002147: SvcErr: DSID-031A1254, problem 5003 (WILL_NOT_PERFORM), data 0", ("invalid", 53, 0x2147)),
    "only an administrator": (53, "00002139: SvcErr: DSID-031A1254, problem 5003 (WILL_NOT_PERFORM), data 0", ("denied", 53, 0x2139)),
    "another refusal": (53, "0000001F: SvcErr: DSID-031A1254, problem 5003 (WILL_NOT_PERFORM), data 0", ("unknown", 53, 0x1F)),
    "nothing at that name": (32, "0000208D: NameErr: DSID-03100245, problem 2001 (NO_OBJECT), data 0, best match of:", ("missing", 32, 0x208D)),
    "no right": (50, "00002098: SecErr: DSID-031514A0, problem 4003 (INSUFF_ACCESS_RIGHTS), data 0", ("denied", 50, 0x2098)),
    "bound as nobody": (1, "000004DC: LdapErr: DSID-0C090A5C, comment: a successful bind must be completed, data 0, v4563", ("denied", 1, 0x4DC)),
    "a wrong password": (49, "80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data 52e, v4563", ("denied", 49, 0x52E)),
    "an account that is disabled": (49, "80090308: LdapErr: DSID-0C090439, comment: x, data 533, v4563", ("denied", 49, 0x533)),
    "unsigned": (8, "00002028: LdapErr: DSID-0C090276, comment: x, data 0, v4563", ("invalid", 8, 0x2028)),
    "busy": (51, "", ("busy", 51, None)),
    "not available": (52, "", ("busy", 52, None)),
    "too long": (3, "", ("timeout", 3, None)),
    "no answer": (85, "00002030: an older text", ("timeout", 85, None)),
    "no ticket": (82, "", ("denied", 82, None)),
    "no connection": (91, "", ("missing", 91, None)),
    "too many values": (11, "00002024: SvcErr: DSID-020A1192, problem 5008 (ADMIN_LIMIT_EXCEEDED), data -1102", ("unknown", 11, 0x2024)),
}  # fmt: skip


def test_errors_of_active_directory_become_kinds_and_numbers(tmp_path: Path) -> None:
    pwsh = samba.find_pwsh()
    if pwsh is None:
        pytest.skip(
            "no PowerShell for Linux here: errors of Active Directory were not classified by the verbs (make engines)"
        )
    source = tmp_path / "texts.json"
    source.write_text(json.dumps([[ldap, text] for ldap, text, _ in TEXTS.values()]), encoding="utf-8")
    program = tmp_path / "classify.ps1"
    program.write_text(
        "\n".join(
            [
                "Set-StrictMode -Version 2.0; $ErrorActionPreference = 'Stop'",
                (Path(powershell.__file__).parent / "directory.ps1").read_text(encoding="ascii"),
                "Add-Type -AssemblyName System.DirectoryServices.Protocols",
                f"$answers = foreach ($one in (Get-Content -Raw '{source}' | ConvertFrom-Json)) {{",
                "    $met = [System.DirectoryServices.Protocols.LdapException]::new([int] $one[0], 'translated', [string] $one[1])",
                "    ConvertTo-DirectoryFailure -Met $met -Verb 'Edit-Directory' -Where 'x' -Doing 'modify'",
                "}",
                "ConvertTo-Json -InputObject @($answers)",
                "$none = [System.DirectoryServices.Protocols.DirectoryOperationException]::new('translated')",
                "Write-Output '--'",
                "ConvertTo-Json -InputObject (ConvertTo-DirectoryFailure -Met $none -Verb 'v' -Where 'x' -Doing 'bind')",
            ]
        ),
        encoding="utf-8",
    )
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "POWERSHELL_TELEMETRY_OPTOUT": "1"}
    done = subprocess.run(  # noqa: S603 - our own program
        [str(pwsh), "-NoLogo", "-NoProfile", "-NonInteractive", "-File", str(program)],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers, alone = done.stdout.split("--\n")
    assert dict(zip(TEXTS, map(code, json.loads(answers)), strict=True)) == {
        name: kind for name, (_, _, kind) in TEXTS.items()
    }
    # A bind that is refused with a result code has no response at all (facts/ad.md 0.6).
    assert json.loads(alone) == {
        "kind": "unknown",
        "what": "v",
        "where": "x",
        "hresult": None,
        "why": "bind: it was refused (without a code)",
    }
