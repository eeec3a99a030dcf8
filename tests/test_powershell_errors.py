"""
Kinds of error that no machine of the lab can be brought to (`unshown` in tests/contract/differences.toml): on real PowerShell.

What is below the functions of the verbs is put in place; `Get-Answer` names Edit-IisConfig as the verb of all of them.
"""

from __future__ import annotations

from pathlib import Path

from tests.test_powershell_core import ON_LINUX
from tests.test_powershell_iis import answers

pytestmark = ON_LINUX


def test_what_iis_refuses_without_a_kind_of_its_own_is_denied_or_unknown_in_every_phase(tmp_path: Path) -> None:
    script = r"""
    foreach ($phase in 'section', 'walk', 'set', 'add', 'commit', 'state', 'ssl') {
        $kinds = foreach ($thrown in [System.UnauthorizedAccessException]::new('x'), [System.InvalidOperationException]::new('x')) {
            (New-IisRefusal -Thrown $thrown -Phase $phase -Where 'f').Data['refusal']
        }
        Get-Answer { @($phase, $kinds) }
    }
    """
    phases = ("section", "walk", "set", "add", "commit", "state", "ssl")
    assert answers(tmp_path, script) == [[phase, ["denied", "unknown"]] for phase in phases]


def test_a_file_that_becomes_shorter_while_it_is_read_is_a_conflict(tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_bytes(b"12")
    script = r"""
    $script:Invariant = [System.Globalization.CultureInfo]::InvariantCulture
    $script:LargestBlob = 100
    function Resolve-FullPath { param($Path) $Path }
    function Get-PathKind { param($Path) 'file' }
    function Open-File {
        param($Path)
        $made = [pscustomobject]@{ Length = [long]3 }
        $made | Add-Member -MemberType ScriptMethod -Name Seek -Value { 0 }
        $made | Add-Member -MemberType ScriptMethod -Name Read -Value { param($Bytes, $Offset, $Count) if ($Offset -eq 0) { 2 } else { 0 } }
        $made | Add-Member -MemberType ScriptMethod -Name Dispose -Value { }
        $made
    }
    """
    assert answers(tmp_path, script + f"Get-Answer {{ Read-File -Path '{path}' }}") == [
        {
            "kind": "conflict",
            "what": "Edit-IisConfig",
            "where": str(path),
            "why": "it became shorter while it was read",
            "hresult": None,
        }
    ]


def test_a_certificate_that_is_read_back_as_another_one_is_unknown(tmp_path: Path) -> None:
    script = r"""
    $script:back = ''
    function New-IisManager { $made = [pscustomobject]@{}; $made | Add-Member -MemberType ScriptMethod -Name Dispose -Value { }; $made }
    function Find-IisBinding {
        param($Manager, $Site, $Protocol, $Information)
        $made = [pscustomobject]@{}
        $value = { param($Name) if ($Name -eq 'sslFlags') { 0 } else { $script:back } }
        $made | Add-Member -MemberType ScriptMethod -Name GetAttributeValue -Value $value
        $made
    }
    function Get-SslBinding { @{ records = @() } }
    function Get-Certificate { param($Thumbprint, $Store) @{ found = $true } }
    function Invoke-IisMethod { param($Element, $Method, $Inputs) }
    foreach ($back in ('AB' * 20), '') {
        $script:back = $back
        Get-Answer { Set-SslBinding -Site 's' -Protocol 'https' -Information '*:1:' -Thumbprint ('AB' * 20) -Expected 'absent' }
    }
    """
    assert answers(tmp_path, script) == [
        {"thumbprint": "AB" * 20},
        {
            "kind": "unknown",
            "what": "Edit-IisConfig",
            "where": "0.0.0.0:1",
            "why": "set, then read back as ",
            "hresult": None,
        },
    ]
