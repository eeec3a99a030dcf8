"""
The 5.1 check (tools/check_powershell.py) bites: one planted violation of each kind is found by name and line, and the real scripts pass.

All planted scripts are read by one start of PowerShell. What needs no parser (the data's form, budget, words) is tested without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools import check_powershell
from tools.check_powershell import FAMILIES, LIMIT, ROOT, check_all, find_powershell, read
from tools.powershell_reference import ACCELERATORS, AbsentError, Member, Reference, data_files, load, members_of
from tools.powershell_rules import EXCEPTIONS, Check, Finding, strictness, verbs_of, words

SCRIPTS: Final = sorted((ROOT / "powershell").glob("*.ps1"))
PAGE: Final = (ROOT / "docs" / "verbs.md").read_text(encoding="utf-8")
VERB: Final = "Get-Planted"

LOAD_JSON: Final = "[System.Reflection.Assembly]::Load('System.Text.Json, Version=4.0.0.0, Culture=neutral, PublicKeyToken=b77a5c561934e089')"
LOAD_LINQ: Final = "[System.Reflection.Assembly]::Load('System.Xml.Linq')"
# What stands in line 4 of a function that is right but for it, and what is said of it.
PLANTED: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "nothing is said of what is right": ("Get-Process -Id $PID -ErrorAction 'Stop'; [System.IO.File]::Move('a', 'b')", ()),
    "a command of PowerShell 7": ("Get-Uptime", ("Get-Uptime is no command of Windows PowerShell 5.1, nor ours",)),
    "an alias": ("1 | % { $_ }", ("% is an alias",)),
    "a parameter that is not there": ("Get-Content -Path 'x' -AsByteStream", ("Get-Content has no parameter -AsByteStream",)),
    "a parameter cut short": ("Get-Process -Na 'x'", ("Get-Process has no parameter -Na",)),
    "a parameter of our own that is not there": ("Get-Planted -Other 1", ("Get-Planted has no parameter -Other",)),
    "a common parameter of a function without CmdletBinding": ("Get-Planted -Verbose", ("Get-Planted has no parameter -Verbose",)),
    "a wrong key in a splatted hashtable": ("$x = @{ Id = 1; Nmae = 'x' }; Get-Process @x", ("Get-Process has no parameter -Nmae (@x)",)),
    "a key that a splatted hashtable gets later": ("$x = @{ Id = 1 }; $x['Foo'] = 1; Get-Process @x", ("Get-Process has no parameter -Foo (@x)",)),
    "something splatted that is no literal": (
        "$x = Get-Process; Get-Process @x",
        ("what @x gives to Get-Process cannot be told; splat a hashtable literal, or state an exception",),
    ),
    "a command in a variable": ("$x = 'Get-Date'; & $x", ("which command `& $x` runs cannot be told; name it, or state an exception",)),
    "a type of .NET 10": ("[System.Half]::Zero", ("[System.Half] is no type of .NET Framework 4.6.2",)),
    "a type argument of .NET 10": ("[System.Collections.Generic.List[System.Half]]::new()", ("[System.Half] is no type of .NET Framework 4.6.2",)),
    "a type that nobody knows, by New-Object": ("New-Object -TypeName Foo.Bar", ("[Foo.Bar] is no type of .NET Framework 4.6.2",)),
    "a type whose assembly is not loaded": (
        "[System.Xml.Linq.XDocument]::new()",
        ("[System.Xml.Linq.XDocument] needs Add-Type -AssemblyName System.Xml.Linq first",),
    ),
    "an assembly of .NET 10": ("Add-Type -AssemblyName System.Text.Json", ("Add-Type loads System.Text.Json, which is not in the data",)),
    "an assembly of .NET 10, by its full name": (LOAD_JSON, (f"`{LOAD_JSON}` names no assembly of .NET Framework 4 in full",)),
    "an assembly by its short name alone": (
        f"{LOAD_LINQ}; [System.Xml.Linq.XDocument]::new()",
        (
            "[System.Xml.Linq.XDocument] needs Add-Type -AssemblyName System.Xml.Linq first",
            f"`{LOAD_LINQ}` names no assembly of .NET Framework 4 in full",
        ),
    ),
    "a static method of .NET 10": ("[System.Convert]::ToHexString($args[0])", ("[System.Convert] has no static member ToHexString",)),
    "a static property of .NET 10": ("[System.Environment]::ProcessId", ("[System.Environment] has no static member ProcessId",)),
    "a static method with an argument more": (
        "[System.IO.File]::Move('a', 'b', $true)",
        ("[System.IO.File]::Move with 3 arguments does not exist",),
    ),
    "a constructor with an argument more, by New-Object": (
        "New-Object -TypeName System.Random -ArgumentList 1, 2",
        ("no constructor of [System.Random] takes 2 arguments",),
    ),
    "a constructor with an argument more, by new": ("[System.Guid]::new(1, 2)", ("no constructor of [System.Guid] takes 2 arguments",)),
    "a constructor of IIS's manager that is not there": (
        "New-Object -TypeName Microsoft.Web.Administration.ServerManager -ArgumentList 1, 2, 3",
        ("no constructor of Microsoft.Web.Administration.ServerManager takes 3 arguments",),
    ),
    "a type that only a variable tells": ("New-Object -TypeName $args[0]", ("which type `New-Object -TypeName $args[0]` makes cannot be told",)),
    "a method of a cast": ("([string]$args[0]).ReplaceLineEndings()", ("[System.String] has no member ReplaceLineEndings",)),
    "a method of what a constructor gave": (
        "$x = [System.Text.StringBuilder]::new(); $x.AppendJoin(',', 1)",
        ("[System.Text.StringBuilder] has no member AppendJoin",),
    ),
    "a method down a chain of members": (
        "[System.Text.Encoding]::UTF8.GetString([byte[]]@()).Trim().Replace('a', 'b', 'OrdinalIgnoreCase')",
        ("[System.String] has no Replace with 3 arguments",),
    ),
    "a property of an exception in a catch": ("try { 1 } catch { $_.Exception.Reason }", ("[System.Exception] has no member Reason",)),
    "a property of what a loop goes over": (
        "foreach ($x in [System.Diagnostics.Process]::GetProcesses()) { $x.CommandLine }",
        ("[System.Diagnostics.Process] has no member CommandLine",),
    ),
    "a method that no type has, of a thing of unknown type": ("$args[0].EnumerateRunes()", ("no type has a method EnumerateRunes with 0 arguments",)),
    "a method with more arguments than any type has": ("$args[0].Trim(1).AddAt(1, 2, 3)", ("no type has a method AddAt with 3 arguments",)),
    "a property that -is vouches for is right": (
        "$x = [System.Exception]$args[0]; if ($x -is [System.ComponentModel.Win32Exception]) { $x.NativeErrorCode }",
        (),
    ),
    "a member of an enumeration in a text": ("[System.IO.FileShare]'Read, Erase'", ("[System.IO.FileShare] has no Erase",)),
    "an attribute of PowerShell 7": (
        "param([ValidateNotNullOrWhiteSpace()] $X)",
        ("[ValidateNotNullOrWhiteSpace()] is no attribute of Windows PowerShell 5.1",),
    ),
    "a property of an attribute that is not there": ("param([Parameter(Needed = $true)] $X)", ("[Parameter()] has no Needed",)),
    "the ternary operator": ("$true ? 1 : 2", ("ternary operator is not in Windows PowerShell 5.1",)),
    "??": ("$null ?? 1", ("null-coalescing operator ?? is not in Windows PowerShell 5.1",)),
    "??=": ("$x = $null; $x ??= 1", ("null-coalescing assignment ??= is not in Windows PowerShell 5.1",)),
    "?.": ("$x = $args[0]; ${x}?.Name", ("null-conditional member ?. is not in Windows PowerShell 5.1",)),
    "?[]": ("$x = $args[0]; ${x}?[0]", ("null-conditional index ?[] is not in Windows PowerShell 5.1",)),
    "&&": ("Get-Date && Get-Date", ("pipeline chain (&& ||) is not in Windows PowerShell 5.1",)),
    "a clean block": ("process { 1 } clean { 2 }", ("clean block is not in Windows PowerShell 5.1",)),
    "&": ("Get-Date &", ("background operator & is not in Windows PowerShell 5.1",)),
    "-Parallel": ("1, 2 | ForEach-Object -Parallel { $_ }", ("ForEach-Object has no parameter -Parallel",)),
    "a number of PowerShell 7": ("1uy", ("number with a prefix or suffix of PowerShell 7 is not in Windows PowerShell 5.1",)),
    "a range of characters": ("'a'..'c'", ("range of characters is not in Windows PowerShell 5.1",)),
    "an escape of PowerShell 7": ('"`e[0m"', ("escape `e or `u{} is not in Windows PowerShell 5.1",)),
    "a variable of PowerShell 7": ("if ($IsWindows) { 1 }", ("$IsWindows is not there in Windows PowerShell 5.1",)),
    "Invoke-Expression": ("Invoke-Expression -Command '1'", ("Invoke-Expression: Invoke-Expression is not used: no text becomes code",)),
    "code made of text": ("[scriptblock]::Create('1')", ("[scriptblock]::Create makes code of text",)),
    "CIM": ("Get-CimInstance -ClassName Win32_Service", ("Get-CimInstance: no CIM, no WMI",)),
    "WMI by a type": ("[wmi]'x'", ("[wmi]: no CIM, no WMI",)),
    "WMI by .NET": ("[System.Management.ManagementClass]::new('x')", ("[System.Management.ManagementClass]: no CIM, no WMI",)),
    "the Cert: drive": ("Get-Item -Path 'cert:\\LocalMachine\\My'", ("'cert:\\\\LocalMachine\\\\My': no Cert: drive, X509Store",)),
    "netsh": ("netsh http show sslcert", ("'netsh': no netsh: its output is translated text", "netsh: no netsh: its output is translated text")),
    "strict mode turned off": (
        "Set-StrictMode -Off",
        ("strict mode is version 2.0: `Latest` differs between 5.1 and 7, and it is never turned off",),
    ),
    "text that does not parse": ("if (", ()),  # the words are the parser's
}  # fmt: skip

# Whole files, and all that is said of them.
FILES: Final[Mapping[str, tuple[str, tuple[tuple[int, str], ...]]]] = {
    "a verb that is not approved": (
        "function Build-Thing {\n    # .SYNOPSIS\n    #     x\n}\n",
        ((1, "Build-Thing: the verb is not approved, or it is no Verb-Noun"),),
    ),
    "a function that is no Verb-Noun": (
        "\nfunction helper {\n    # .SYNOPSIS\n    #     x\n}\n",
        ((2, "helper: the verb is not approved, or it is no Verb-Noun"),),
    ),
    "a function without help": ("function Get-Thing { 1 }\n", ((1, "Get-Thing has no help: SYNOPSIS"),)),
    "a verb of the contract with a synopsis only": (
        "function Get-Planted {\n    <#\n    .SYNOPSIS\n        x\n    #>\n}\n",
        ((1, "Get-Planted has no help: DESCRIPTION, OUTPUTS, EXAMPLES"),),
    ),
    "a function that is there twice": (
        "function Get-A {\n    # .SYNOPSIS\n    #     x\n}\nfunction Get-A {\n    # .SYNOPSIS\n    #     y\n}\n",
        ((5, "Get-A is defined twice"),),
    ),
    "a line that begins with a pipe": ("Get-Date\n    | Get-Member\n", ((2, "a line that begins with | is not in Windows PowerShell 5.1"),)),
}  # fmt: skip
NAMES: Final = {name: f"planted{number:03}.ps1" for number, name in enumerate((*PLANTED, *FILES))}
COUNTED: Final = """# A comment is no line of code.

function Get-Thing {
    <#
    .SYNOPSIS
        Nor is help.
    #>
    $text = @'

a here-string is, with its empty line
'@ # and this comment is beside code
    [string]::Join(',',
        @($text))
}
"""


def planted(text: str) -> str:
    return f"function Get-Planted {{\n    # .SYNOPSIS\n    #     A function that is right but for one line.\n    {text}\n}}\n"


def absent() -> str:
    """Why nothing can be checked here. What is there is only looked at: to read all of it takes seconds, and every worker collects this."""
    try:
        data_files()
        find_powershell()
    except AbsentError as reason:
        return f"the 5.1 check was not tried: {reason}"
    return ""


WHY: Final = absent()
real = [pytest.mark.powershell, pytest.mark.skipif(bool(WHY), reason=WHY or "it is there")]


@pytest.fixture(scope="module")
def reference() -> Reference:
    try:
        return load()
    except AbsentError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, Any]]:
    """What all scripts use, planted and real, read by one start of PowerShell."""
    folder = tmp_path_factory.mktemp("planted")
    texts = {NAMES[name]: planted(text) for name, (text, _) in PLANTED.items()}
    texts |= {NAMES[name]: text for name, (text, _) in FILES.items()} | {"counted.ps1": COUNTED}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="ascii")
    return {one["file"]: one for one in read([*(folder / name for name in texts), *SCRIPTS], find_powershell())}


def found(used: Mapping[str, Mapping[str, Any]], name: str, reference: Reference, verb: str = "") -> list[Finding]:
    return Check(reference, [used[NAMES[name]]], frozenset({verb} - {""})).run()


class TestBites:
    pytestmark = real

    @pytest.mark.parametrize("name", [name for name in PLANTED if "does not parse" not in name])
    def test_a_planted_violation_is_found_by_name_and_line(
        self, used: Mapping[str, Mapping[str, Any]], reference: Reference, name: str
    ) -> None:
        assert found(used, name, reference) == sorted(Finding(NAMES[name], 4, text) for text in PLANTED[name][1])

    @pytest.mark.parametrize("name", FILES)
    def test_a_planted_file_is_found_by_name_and_line(
        self, used: Mapping[str, Mapping[str, Any]], reference: Reference, name: str
    ) -> None:
        expected = [Finding(NAMES[name], line, text) for line, text in FILES[name][1]]
        assert found(used, name, reference, VERB) == expected

    def test_a_script_that_does_not_parse_is_found(
        self, used: Mapping[str, Mapping[str, Any]], reference: Reference
    ) -> None:
        first = found(used, "text that does not parse", reference)[0]
        assert (first.line, first.text.split(":")[0]) == (4, "does not parse")

    def test_lines_of_code_are_counted_without_blank_lines_comments_and_help(
        self, used: Mapping[str, Mapping[str, Any]]
    ) -> None:
        assert used["counted.ps1"]["code"] == 8

    def test_a_script_without_strict_mode_is_found(self, used: Mapping[str, Mapping[str, Any]]) -> None:
        file = NAMES["an alias"]
        assert strictness([used[file]]) == [
            Finding(file, 1, "Set-StrictMode -Version 2.0 is missing"),
            Finding(file, 1, "$ErrorActionPreference = 'Stop' is missing"),
        ]

    def test_the_real_scripts_pass(self, used: Mapping[str, Mapping[str, Any]], reference: Reference) -> None:
        texts = {path.name: path.read_text(encoding="utf-8") for path in SCRIPTS}
        findings, said = check_all({name: used[name] for name in texts}, texts, PAGE, reference)
        assert findings == []
        lines = sum(len(text.splitlines()) for text in texts.values())
        assert said[-1].endswith(f" members in {lines} lines of PowerShell")
        assert [line.split(":")[0] for line in said[:-2]] == sorted(texts)

    def test_what_nobody_uses_any_more_a_verb_that_is_missing_and_too_much_code_are_found(
        self, used: Mapping[str, Mapping[str, Any]], reference: Reference
    ) -> None:
        texts = {path.name: path.read_text(encoding="utf-8") for path in SCRIPTS}
        real = {name: used[name] for name in texts}
        real["bootstrap.ps1"] = used[NAMES["nothing is said of what is right"]]
        real["iis.ps1"] = {**real["iis.ps1"], "code": LIMIT}
        findings, _ = check_all(real, texts, f"{PAGE}\n- **Get-Nothing** `path`\n", reference)
        code = LIMIT + sum(used[name]["code"] for name in FAMILIES if name != "iis.ps1")
        assert findings == [
            Finding("bootstrap.ps1", 1, "the exception `[ScriptBlock]::Create(` in the script fits nothing any more"),
            Finding("files.ps1", 1, f"the verbs have {code} lines of code, {LIMIT} at most"),
            Finding("runtime.ps1", 1, "docs/verbs.md has the verb Get-Nothing, there is no such function"),
        ]


def test_a_script_that_names_the_product_is_found() -> None:
    text = "# Any group of mfa-servers\n# mimic, a semimfa\n$mim_build = 1\n"
    assert words("iis.ps1", text) == [
        Finding("iis.ps1", 1, "says mfa: verbs are generic"),
        Finding("iis.ps1", 3, "says mim: verbs are generic"),
    ]


def test_the_verbs_of_the_contract_are_read_from_its_page() -> None:
    table = next(
        line for line in (ROOT / "powershell" / "runtime.ps1").read_text().splitlines() if "$script:Verbs =" in line
    )
    assert verbs_of(PAGE) == frozenset(table.split("'")[1].split())


def test_every_exception_has_a_reason() -> None:
    assert [key for key, reason in EXCEPTIONS.items() if len(reason) < 20] == []


@pytest.mark.slow
def test_every_accelerator_is_a_type_of_the_data(reference: Reference) -> None:
    assert [short for short, name in ACCELERATORS.items() if name.lower() not in reference.types] == []


@pytest.mark.slow
def test_without_powershell_one_line_says_so_and_only_required_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], reference: Reference
) -> None:
    monkeypatch.setenv("MIM_LAB_PWSH_LINUX", "no/such/pwsh")
    line = (
        "powershell/*.ps1 was not checked for Windows PowerShell 5.1: there is no PowerShell (no/such/pwsh): "
        "`make engines`, or name its pwsh in MIM_LAB_PWSH_LINUX\n"
    )
    assert reference.commands
    assert (check_powershell.main([]), capsys.readouterr().out) == (0, line)
    assert (check_powershell.main(["--required"]), capsys.readouterr().out) == (1, line)


def test_without_the_data_the_text_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(AbsentError, match=r"there is no windows-powershell-5\.1-commands\.json"):
        load(tmp_path)


names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_`]{0,12}", fullmatch=True)
overloads = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=4, unique=True)


@given(st.dictionaries(names.map(str.lower), st.none() | overloads, max_size=6))
def test_members_are_read_as_they_are_written(members: dict[str, list[tuple[int, bool]] | None]) -> None:
    """README of the data: a property is its name; a method is `Name(2,3)`; `(1+)` has a params array after one argument."""
    written = " ".join(
        name if counts is None else f"{name}({','.join(f'{count}+' if more else str(count) for count, more in counts)})"
        for name, counts in members.items()
    )
    expected = {
        name: Member(
            frozenset(count for count, more in counts or () if not more),
            min((count for count, more in counts or () if more), default=None),
        )
        for name, counts in members.items()
    }
    assert members_of(written) == expected


@given(overloads, st.integers(0, 20))
def test_a_method_takes_its_counts_and_with_a_params_array_all_above(
    counts: list[tuple[int, bool]], given_count: int
) -> None:
    written = ",".join(f"{count}+" if more else str(count) for count, more in counts)
    takes = any(given_count >= count if more else given_count == count for count, more in counts)
    assert members_of(f"Name({written})")["name"].takes(given_count) is takes


@pytest.mark.parametrize("text", ["Name(", "Name)", "(1)", "Name(x)", "Na(me(1)"])
def test_what_is_no_member_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no member"):
        members_of(text)
