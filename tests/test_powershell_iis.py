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


SSL_BINDING: Final = r"""
    $script:managers, $script:find, $script:certificate, $script:bound = 0, 99, { @{ found = $true } }, ''
    function New-IisManager { $made = [pscustomobject]@{}; $made | Add-Member -MemberType ScriptMethod -Name Dispose -Value { }; $made }
    function Find-IisBinding {
        param($Manager, $Site, $Protocol, $Information)
        $script:managers++
        if ($script:managers -ge $script:find) { throw New-Refusal -Kind 'missing' -Where 's https *:1:' -Why 'there is no such binding' -HResult 7 }
        $made = [pscustomobject]@{}
        $made | Add-Member -MemberType ScriptMethod -Name GetAttributeValue -Value { param($Name) if ($Name -eq 'sslFlags') { 0 } else { 'AB' * 20 } }
        $made
    }
    function Get-SslBinding { @{ records = @() } }
    function Get-Certificate { param($Thumbprint, $Store) & $script:certificate }
    function Invoke-IisMethod { param($Element, $Method, $Inputs) $script:bound += $Method }
    function Get-Bound {
        $script:managers, $script:bound = 0, ''
        Get-Answer { Set-SslBinding -Site 's' -Protocol 'https' -Information '*:1:' -Thumbprint ('AB' * 20) -Expected 'absent' }
        Get-Answer { $script:bound }
    }
"""


def test_a_certificate_that_was_bound_and_cannot_be_read_back_is_unknown(tmp_path: Path) -> None:
    script = """
    Get-Bound
    $script:find = 2
    Get-Bound
    $script:find = 1
    Get-Bound
    """
    unread = ("unknown", "0.0.0.0:1", "written, but it could not be read back", 0x80131509)
    missing = ("missing", "s https *:1:", "there is no such binding", 7)
    assert answers(tmp_path, SSL_BINDING + script) == [
        {"thumbprint": "AB" * 20},
        "AddSslCertificate",
        refused(*unread),
        "AddSslCertificate",
        refused(*missing),
        "",
    ]


def test_a_store_that_cannot_be_read_is_not_one_without_the_certificate(tmp_path: Path) -> None:
    script = """
    $script:certificate = { throw New-Refusal -Kind 'missing' -Where 'My' -Why 'the machine has no certificate store of that name' }
    Get-Bound
    $script:certificate = { throw [System.Security.Cryptography.CryptographicException]::new(-2147024891) }
    Get-Bound
    """
    absent = ("invalid", "0.0.0.0:1", f"certificate {'AB' * 20} is not in the store My", 0x80070520)
    denied = ("denied", "", "the host does not let this account do it (5, access denied)", 0x80070005)
    assert answers(tmp_path, SSL_BINDING + script) == [refused(*absent), "", refused(*denied), ""]


def refused(kind: str, where: str, why: str, hresult: int) -> dict[str, Any]:
    """An error as `Get-Answer` gives it."""
    return {"kind": kind, "what": "Edit-IisConfig", "where": where, "why": why, "hresult": hresult}


def test_the_deepest_file_is_a_path_that_windows_takes_also_where_it_is_of_a_share(tmp_path: Path) -> None:
    script = r"""
    function New-IisManager {
        param([switch] $ReadOnly)
        $made = [pscustomobject]@{ SectionPath = 'a' }
        $values = @{ Dispose = { }; GetCollection = { @() }; GetLocationPaths = { @() }; GetApplicationHostConfiguration = { $this } }
        $values['GetMetadata'] = { param($Name) if ($Name -eq 'deepestFileNameSet') { $script:deepest } else { '' } }
        foreach ($name in 'get_OverrideMode', 'get_OverrideModeEffective', 'get_IsLocked') { $values[$name] = { 0 } }
        foreach ($name in $values.Keys) { $made | Add-Member -MemberType ScriptMethod -Name $name -Value $values[$name] }
        $made
    }
    function Get-IisFile { param($Manager) @{ path = 'f'; shared = $false } }
    function Get-IisSection { param($Manager, $Section, $Location, [switch] $Effective) $Manager }
    function Test-Shape { }
    function Get-IisNode { param($Element, $Filter) @{} }
    function Get-ContentHash { 'hash' }
    foreach ($script:deepest in '\\?\UNC\server\share\web.config', '\\?\C:\inetpub\web.config', '\\server\share\web.config', 'C:\UNC\web.config') {
        $read = (Get-IisConfig -Reads @(@{ id = 'a'; section = 'a'; view = 'stored' })).reads[0]
        Get-Answer { if ($read['ok']) { $read['section']['deepest_file'] } else { $read['error'] } }
    }
    """
    assert answers(tmp_path, script) == [
        r"\\server\share\web.config",
        r"C:\inetpub\web.config",
        r"\\server\share\web.config",
        r"C:\UNC\web.config",
    ]
