"""
What the directory verbs make of answers that no server here gives: a server of Windows is asked by nobody, Samba answers otherwise (facts/ad.md 0).

What they answer before a real directory is tests/contract/test_directory.py's.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pytest

import powershell
from lab import directory_error
from lab.process import SHORT_LIVED, LocalProcess
from tests.test_powershell_core import LINUX, ON_LINUX, OPTIONS, Far, encoded, opened

pytestmark = ON_LINUX

ECHO: Final = "function Test-Echo {"
# `refused`: what becomes of result codes with a server's text. Else an entry as the class hands it over: the names of its attributes in this order,
# and the values of each as bytes.
SHOW: Final = """
function Test-Echo {
    param([object] $Value)
    if ($Value.Contains('refused')) {
        Add-Type -AssemblyName 'System.DirectoryServices.Protocols'
        $failures = foreach ($one in $Value['refused']) {
            $met = [System.DirectoryServices.Protocols.LdapException]::new([int] $one[0], 'x', [string] $one[1])
            ConvertTo-DirectoryFailure -Met $met -Verb 'Edit-Directory' -Where 'CN=G' -Doing 'modify'
        }
        return @{ value = @($failures) }
    }
    $attributes = New-Object -TypeName System.Collections.Specialized.OrderedDictionary
    $attributes.Add('AttributeNames', [string[]] $Value['names'])
    foreach ($name in $Value['names']) {
        $values = New-Object -TypeName System.Collections.ArrayList
        foreach ($text in $Value['values'][$name]) { [void] $values.Add([System.Text.Encoding]::UTF8.GetBytes($text)) }
        $held = [pscustomobject] @{ All = $values }
        $held | Add-Member -MemberType ScriptMethod -Name GetValues -Value { param($Type) , $this.All.ToArray() }
        $attributes.Add($name, $held)
    }
    $entry = [pscustomobject] @{ DistinguishedName = 'CN=G'; Attributes = $attributes }
    @{ value = ConvertTo-DirectoryEntry -Connection $null -Entry $entry -Ranges @{} }
}
"""


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    home = tmp_path_factory.mktemp("home")
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "TERM": "dumb",
        **SHORT_LIVED,
        "POWERSHELL_TELEMETRY_OPTOUT": "1",
        "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",
    }
    running: list[LocalProcess] = []

    def start(text: str) -> LocalProcess:
        running.append(LocalProcess([str(LINUX), *OPTIONS, encoded(text.encode("utf-16-le"))], environment, home))
        return running[-1]

    text = powershell.script()
    assert text.count(ECHO) == 1
    yield opened(start, text.replace(ECHO, f"{SHOW}\nfunction Test-EchoOfTheVerbs {{"))
    for process in running:
        process.terminate()


def entry(far: Far, names: Sequence[str], values: dict[str, list[str]]) -> Any:
    answer, _ = far.call("Test-Echo", {"value": {"names": list(names), "values": values}})
    assert answer["ok"], answer
    return answer["result"]["value"]


@pytest.mark.parametrize("names", [("member", "member;range=0-1"), ("member;range=0-1", "member")])
def test_the_empty_list_beside_a_range_does_not_make_it_whole(far: Far, names: Sequence[str]) -> None:
    # facts/ad.md 0.5: over 1500 members, plain `member` comes back empty beside `member;range=0-1499`.
    members = [base64.b64encode(text).decode() for text in (b"CN=a", b"CN=b")]
    assert entry(far, names, {"member": [], "member;range=0-1": ["CN=a", "CN=b"]}) == {
        "dn": "CN=G",
        "attributes": {"member": members},
        "incomplete": {"member": 2},
    }


def test_the_last_range_is_the_end_of_a_list(far: Far) -> None:
    assert entry(far, ["MEMBER;Range=2-*"], {"MEMBER;Range=2-*": ["CN=c"]}) == {
        "dn": "CN=G",
        "attributes": {"member": [base64.b64encode(b"CN=c").decode()]},
        "incomplete": {},
    }


# From 81 on the client speaks, and the server's text is of another time (facts/ad.md 4).
REFUSED: Final[Sequence[tuple[int, int | None]]] = (
    *((code, None) for code in sorted({*directory_error.WORDS, 2, 80})),
    *((53, win32) for win32 in (0x561, 0x2139, 0x2140, 0x2141, 0x2165, 0x2166)),
    (1, 0x4DC),
    (1, 0x4DD),
    (32, 0x525),
    (32, 0x2030),
    (50, 0x2098),
)


def test_every_result_code_is_the_error_that_the_twin_makes_of_it(far: Far) -> None:
    given = [[code, "" if win32 is None else f"{win32:08X}: text"] for code, win32 in REFUSED]
    answer, _ = far.call("Test-Echo", {"value": {"refused": given}})
    twin = [directory_error.refused(code, win32, "CN=G", "modify") for code, win32 in REFUSED]
    names = ("kind", "where", "why", "ldap", "win32")
    assert [[one.get(name) for name in names] for one in answer["result"]["value"]] == [
        [getattr(error, name) for name in names] for error in twin
    ]
