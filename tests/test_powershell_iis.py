"""Errors of iis.ps1 that no machine of the lab can be brought to: its functions on real PowerShell, with what is below them put in place of."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

from tests.test_powershell_core import LINUX, ON_LINUX

pytestmark = ON_LINUX

VERBS: Final = Path(__file__).parents[1] / "powershell"
FUNCTIONS: Final = rf"""
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
foreach ($name in 'runtime', 'files', 'iis') {{
    $ast = [System.Management.Automation.Language.Parser]::ParseFile("{VERBS}/$name.ps1", [ref]$null, [ref]$null)
    foreach ($one in $ast.FindAll({{ $args[0] -is [System.Management.Automation.Language.FunctionDefinitionAst] }}, $false)) {{
        . ([scriptblock]::Create($one.Extent.Text))
    }}
}}
function Get-Answer([scriptblock] $Call) {{
    try {{ $answer = & $Call }} catch {{ $answer = Get-ErrorRecord -Thrown $_.Exception -What 'Edit-IisConfig' -Where '' }}
    ConvertTo-Json -InputObject $answer -Compress
}}
"""


def answers(tmp_path: Path, script: str) -> list[Any]:
    """What lines of a script said, as JSON."""
    file = tmp_path / "script.ps1"
    file.write_text(FUNCTIONS + script, encoding="utf-8")
    done = subprocess.run(  # noqa: S603 - the PowerShell of the engines and a script of ours
        [LINUX, "-NoLogo", "-NoProfile", "-NonInteractive", "-File", file],
        capture_output=True,
        check=False,
        timeout=120,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"},
    )
    assert (done.returncode, done.stderr) == (0, b""), done
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def test_only_a_file_that_changed_or_is_in_use_is_a_conflict_of_the_commit(tmp_path: Path) -> None:
    script = r"""
    foreach ($thrown in @(
            [System.IO.FileLoadException]::new('x'), [System.IO.IOException]::new('x', 0x80070020), [System.IO.IOException]::new('x', 0x80070070),
            [System.IO.EndOfStreamException]::new('x'), [System.Runtime.InteropServices.COMException]::new('x', 0xC00CEF03)
        )) {
        $made = New-IisRefusal -Thrown $thrown -Phase 'commit' -Where 'f'
        Get-Answer { @($made.Data['refusal'], $made.Message) }
    }
    """
    conflict = "the file changed or was in use while it was written"
    failed = "the commit failed"
    assert answers(tmp_path, script) == [
        ["conflict", f"{conflict} (0x80131621)"],
        ["conflict", f"{conflict} (0x80070020)"],
        ["unknown", f"{failed} (0x80070070)"],
        ["unknown", f"{failed} (0x80070026)"],
        ["unknown", f"{failed} (0xC00CEF03)"],
    ]


def test_a_commit_that_cannot_be_read_back_says_that_it_was_written(tmp_path: Path) -> None:
    script = r"""
    $script:hashes = 0
    function New-IisManager {
        $made = [pscustomobject]@{}
        foreach ($name in 'CommitChanges', 'Dispose', 'GetCollection') { $made | Add-Member -MemberType ScriptMethod -Name $name -Value {} }
        $made
    }
    function Get-IisFile { param($Manager) @{ path = 'f'; shared = $false } }
    function Get-IisSection { param($Manager, $Section, $Location) $Manager }
    function Set-IisEdit { }
    function Get-ContentHash { $script:hashes++; if ($script:hashes -eq 2) { throw [System.IO.IOException]::new('x', 0x80070020) }; 'hash' }
    Get-Answer { Edit-IisConfig -Guard 'hash' -Edits @(@{ op = 'set' }) }
    Get-Answer { Edit-IisConfig -Guard 'hash' -Edits @(@{ op = 'set' }) }
    $script:hashes = 0
    Get-Answer { Edit-IisConfig -Guard 'hash' -Edits @() }
    """
    unread = {
        "kind": "unknown",
        "what": "Edit-IisConfig",
        "where": "f",
        "why": "written, but it could not be read back",
        "hresult": 0x80070020,
    }
    unchanged = {"sha256": "hash", "changed": False}
    assert answers(tmp_path, script) == [unread, unchanged, unchanged]
