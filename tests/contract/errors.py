"""
Which kinds of error each verb can answer: read from docs/verbs.md and from powershell/*.ps1, so that no table of them can be forgotten.

A verb answers a kind where its paragraph, or the lines that open its section, name it; and where it, or a function that it calls, throws it.
What .NET throws through a verb is translated in one place (Get-ErrorRecord of runtime.ps1) and counts where the document names it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
CONTRACT: Final = ROOT / "docs" / "verbs.md"
SCRIPTS: Final = ROOT / "powershell"
READING: Final = ("Get-", "Read-", "Search-", "Test-")
# One place translates for all verbs.
TRANSLATES: Final = "Get-ErrorRecord"
# By phase, which its callers name: what it throws while a certificate is bound it does not throw while a section is read.
BY_PHASE: Final = "New-IisRefusal"


@cache
def kinds() -> tuple[str, ...]:
    """The closed list of docs/verbs.md."""
    found = re.search(r"Kinds, closed: `([^`]+)`", " ".join(CONTRACT.read_text(encoding="utf-8").split()))
    return tuple(found[1].split()) if found else ()


def named(text: str) -> set[str]:
    """The kinds that stand in a text as code."""
    return set(re.findall(r"`([a-z-]+)`", text)) & set(kinds())


@cache
def documented() -> Mapping[str, frozenset[str]]:
    """What docs/verbs.md says that each verb can answer; verbs in the order of the document."""
    found: dict[str, frozenset[str]] = {}
    _, _, reads = CONTRACT.read_text(encoding="utf-8").partition("\n## Reads")
    for section in re.split(r"^### ", reads, flags=re.MULTILINE)[1:]:
        if alone := re.match(r"[A-Z]\w+-\w+", section):  # a section of one verb
            found[alone[0]] = frozenset(named(section))
            continue
        opening, *paragraphs = re.split(r"^- \*\*(?=[A-Z]\w+-\w+\*\*)", section, flags=re.MULTILINE)
        without = re.findall(r"every verb but ([A-Z]\w+-\w+)", opening)
        for paragraph in paragraphs:
            verb = paragraph.partition("**")[0]
            found[verb] = frozenset(named(paragraph) | (named(opening) if verb not in without else set()))
    # An argument that the verb does not have; a process that was started to read only.
    return {
        verb: own | {"invalid"} | (set() if verb.startswith(READING) else {"denied"}) for verb, own in found.items()
    }


@cache
def functions() -> Mapping[str, str]:
    """The functions of powershell/*.ps1 by name, without help and comments."""
    text = "\n".join(path.read_text(encoding="ascii") for path in sorted(SCRIPTS.glob("*.ps1")))
    bodies = re.findall(r"^function ([\w-]+) \{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)
    return {
        name: re.sub(r"^\s*#.*$", "", re.sub(r"<#.*?#>", "", body, flags=re.DOTALL), flags=re.MULTILINE)
        for name, body in bodies
    }


def called(verb: str) -> set[str]:
    """A verb and all functions that it calls, directly or through others."""
    found, open_ = set[str](), [verb]
    while open_:
        name = open_.pop()
        if name in found or name == TRANSLATES:
            continue
        found.add(name)
        open_ += [
            word for word in re.findall(r"(?<![\w-])[A-Z][A-Za-z]+-\w+", functions()[name]) if word in functions()
        ]
    return found


def thrown(verb: str) -> frozenset[str]:
    """What a verb and the functions below it throw in words of their own."""
    below = called(verb)
    bodies = [functions()[name] for name in below if name != BY_PHASE]
    words = {word for body in bodies for word in re.findall(r"New-Refusal -Kind '([a-z-]+)'", body)}
    # Rows of a table: `5 { 'denied', '...' }`, `3 = 'timeout', '...'`, `else { 'unknown', '...' }`.
    words |= {word for body in bodies for word in re.findall(r"[{=] '([a-z-]+)', '", body) if word in kinds()}
    if BY_PHASE in below:
        words |= {word for body in bodies for phase in phases(body) for word in of_phase(phase)}
    return frozenset(words)


def phases(body: str) -> Iterator[str]:
    """The phases that a function names to New-IisRefusal."""
    yield from re.findall(r"-Phase '(\w+)'", body)
    if "-Phase $phase" in body:
        for line in re.findall(r"^.*\$phase\b[^=\n]*= .*$", body, re.MULTILINE):
            yield from re.findall(r"'(section|walk|set|add)'", line)


@cache
def of_phase(phase: str) -> Collection[str]:
    """The kinds that New-IisRefusal makes in a phase: a phase with a block of its own has nothing of what stands below the blocks."""
    found, block, blocks = set[str](), "", set[str]()
    for line in functions()[BY_PHASE].partition("$kind, $why = 'unknown'")[2].splitlines():
        own = re.match(r"    elseif \(\$Phase -eq '(\w+)'\) \{$", line)
        if own:
            block = own[1]
            blocks.add(block)
        elif line == "    }":
            block = ""
        only, never = re.search(r"\$Phase -eq '(\w+)' -and", line), re.search(r"\$Phase -ne '(\w+)'", line)
        outside = phase not in blocks and (not only or only[1] == phase) and (not never or never[1] != phase)
        if phase == block or (not block and outside):
            found |= {word for word in re.findall(r"\$kind, \$why = '([a-z-]+)'", line) if word in kinds()}
    return frozenset(found | {"unknown"})


ERRORS: Final[Mapping[str, frozenset[str]]] = {verb: own | thrown(verb) for verb, own in documented().items()}
