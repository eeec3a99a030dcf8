"""
The 5.1 check: everything that `powershell/*.ps1` uses exists in Windows PowerShell 5.1 on .NET Framework 4.6.2, and the house rules hold.

    python tools/check_powershell.py               where PowerShell or the data are absent, one line says that nothing was checked
    python tools/check_powershell.py --required    the same, and fails

`powershell_ast.ps1` reads the scripts by PowerShell's own parser and says what is in them, `powershell_rules.py` decides, by the data that
`powershell_reference.py` reads. Here they are put together: which files are one script, what is counted, what is printed.

What the text does not tell is not proven: the types of arguments, properties of things whose type is unknown, parameters that commands take
from providers. A method of a thing of unknown type must at least exist, with that many arguments, somewhere in the data.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.powershell_reference import AbsentError, Reference, load
from tools.powershell_rules import EXCEPTIONS, Check, Finding, strictness, verbs_of, words

ROOT: Final = Path(__file__).resolve().parents[1]
READER: Final = Path(__file__).with_name("powershell_ast.ps1")
FAMILIES: Final = ("files.ps1", "windows.ps1", "iis.ps1", "directory.ps1")
BOOTSTRAP: Final = "bootstrap.ps1"  # a script of its own: it knows nothing of the others
LIMIT: Final = 1500  # lines of code of the verbs
READ_S: Final = 600  # ten seconds, but for a machine that is busy with all the tests


def find_powershell() -> Path:
    """PowerShell for Linux: the setting MIM_LAB_PWSH_LINUX, else what `make engines` unpacked. Raises AbsentError."""
    named = os.environ.get("MIM_LAB_PWSH_LINUX")
    program = Path(named) if named else ROOT / ".engines" / "powershell-linux" / "pwsh"
    if not os.access(program, os.X_OK):
        raise AbsentError(
            f"there is no PowerShell ({named or '.engines/powershell-linux'}): `make engines`, or name its pwsh in MIM_LAB_PWSH_LINUX"
        )
    return program


def read(files: Sequence[Path], program: Path) -> list[dict[str, Any]]:
    """What the scripts use, as powershell_ast.ps1 says it. Raises AbsentError where PowerShell does not run, RuntimeError where the reader fails."""
    with tempfile.TemporaryDirectory() as home:
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": home,
            "TMPDIR": home,
            "LC_ALL": "C.UTF-8",
            "POWERSHELL_TELEMETRY_OPTOUT": "1",
            "POWERSHELL_UPDATECHECK": "Off",
            "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",  # it only parses: ICU need not be there
        }
        command: list[str | Path] = [program, "-NoLogo", "-NoProfile", "-NonInteractive", "-File", READER, *files]
        try:
            done = subprocess.run(
                command,
                env=environment,
                capture_output=True,
                text=True,
                timeout=READ_S,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except OSError as error:
            raise AbsentError(f"{program.name} does not run here ({error.strerror})") from error
    if done.returncode != 0:
        raise RuntimeError(f"{READER.name} failed ({done.returncode}): {done.stderr.strip()[-2000:]}")
    answer: list[dict[str, Any]] = json.loads(done.stdout)
    for one in answer:
        one["file"] = Path(one["file"]).name
    return answer


def budget(lines: Mapping[str, tuple[int, int]]) -> list[str]:
    """Lines of code and whole lines, as text: each file, and the verbs in all."""
    code, whole = (sum(lines[name][at] for name in FAMILIES if name in lines) for at in (0, 1))
    return [
        f"{name}: {of_code} lines of code, {whole_lines} lines" for name, (of_code, whole_lines) in lines.items()
    ] + [f"verbs ({', '.join(FAMILIES)}): {code} lines of code of {LIMIT} at most, {whole} lines"]


def check_all(
    used: Mapping[str, Mapping[str, Any]], texts: Mapping[str, str], page: str, reference: Reference
) -> tuple[list[Finding], list[str]]:
    """
    Check all scripts. Gives the findings, and the lines that say what was checked.

    + used: name of a file to what powershell_ast.ps1 says of it
    + texts: name of a file to its text
    + page: docs/verbs.md
    """
    verbs = verbs_of(page)
    # The order of powershell/__init__.py: what runs comes last.
    main = [
        used[name]
        for name in (*FAMILIES, *sorted(used.keys() - {*FAMILIES, BOOTSTRAP}, key=lambda name: name == "runtime.ps1"))
        if name in used
    ]
    programs = [Check(reference, main, verbs)] + (
        [Check(reference, [used[BOOTSTRAP]], verbs)] if BOOTSTRAP in used else []
    )
    findings = [finding for one in programs for finding in one.run()] + strictness(main)
    own = {one["name"] for file in main for one in file["functions"]}
    findings += [
        Finding("runtime.ps1", 1, f"docs/verbs.md has the verb {verb}, there is no such function")
        for verb in sorted(verbs - own)
    ]
    exceptions = set(EXCEPTIONS) - {key for one in programs for key in one.used}
    findings += [
        Finding(file, 1, f"the exception `{text}` in {owner or 'the script'} fits nothing any more")
        for file, owner, text in sorted(exceptions)
    ]
    for name in FAMILIES:
        findings += words(name, texts.get(name, ""))
    lines = {name: (used[name]["code"], len(text.splitlines())) for name, text in texts.items()}
    if (code := sum(lines[name][0] for name in FAMILIES if name in lines)) > LIMIT:
        findings.append(Finding(FAMILIES[0], 1, f"the verbs have {code} lines of code, {LIMIT} at most"))
    return sorted(findings), [*budget(lines), counted(used.values(), lines)]


def counted(used: Iterable[Mapping[str, Any]], lines: Mapping[str, tuple[int, int]]) -> str:
    """The one line that says how much was looked at."""
    files = list(used)
    commands, types = (sum(len(file[kind]) for file in files) for kind in ("commands", "types"))
    members = sum(len(file[kind]) for file in files for kind in ("statics", "constructors", "members"))
    return f"checked {commands} commands, {types} types, {members} members in {sum(whole for _, whole in lines.values())} lines of PowerShell"


def main(arguments: Sequence[str]) -> int:
    """Check, print, 1 where something was found or, with --required, could not be checked."""
    parser = argparse.ArgumentParser(description="Check that powershell/*.ps1 runs on Windows PowerShell 5.1.")
    parser.add_argument("--required", action="store_true", help="fail where PowerShell or the data are absent")
    chosen = parser.parse_args(arguments)
    try:
        reference = load()
        paths = sorted((ROOT / "powershell").glob("*.ps1"))
        used = read(paths, find_powershell())
    except AbsentError as absent:
        print(f"powershell/*.ps1 was not checked for Windows PowerShell 5.1: {absent}")
        return 1 if chosen.required else 0
    except (RuntimeError, subprocess.TimeoutExpired) as broken:
        print(f"powershell/*.ps1 could not be checked for Windows PowerShell 5.1: {broken}")
        return 1
    texts = {path.name: path.read_text(encoding="utf-8") for path in paths}
    page = (ROOT / "docs" / "verbs.md").read_text(encoding="utf-8")
    findings, said = check_all({one["file"]: one for one in used}, texts, page, reference)
    for line in [*map(str, findings), *said]:
        print(line)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
