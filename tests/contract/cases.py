"""
The form of a contract case, and what all cases together must show: which verbs there are and which errors each can answer.

    @case("Write-File", cites="winrm.md: In use -> IOException: report who to stop, keep the old file", error="locked")
    def test_a_target_that_is_open_elsewhere_is_locked(mim01: Host) -> None: ...

A case asks for one or more of the hosts `dc01`, `mfa01`, `mim01` (conftest.py) and runs on every engine. What a host is, is in host.py.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, TypeVar

from tests.contract.errors import CONTRACT, ERRORS, READING, ROOT

FACTS: Final = ROOT.parent / "shared" / "facts"
RUNTIME: Final = "test_runtime.py"
DIFFERENCES: Final = Path(__file__).with_name("differences.toml")

Function = TypeVar("Function", bound=Callable[..., None])
Kind: TypeAlias = Literal[
    "missing", "conflict", "locked", "invalid", "denied", "busy", "not-installed", "ambiguous", "timeout", "unknown"
]
Engine: TypeAlias = Literal["python", "powershell", "server"]
Mode: TypeAlias = Literal["warm", "batch"]

READS: Final = tuple(verb for verb in ERRORS if verb.startswith(READING))
ALL: Final = tuple(ERRORS)


@dataclass(frozen=True)
class About:
    """
    What a case is about.

    + name: of the function, with its module: `test_files.py::test_a_target_that_is_open_elsewhere_is_locked`
    + verbs: one, or several where the function takes an argument `verb`
    + cites: what it rests on, `FILE: words that stand in it` or `FILE N`, a section; FILE is one of shared/facts, verbs.md where those say nothing
    + error: the kind of error that it shows, None where it shows an answer
    + warm: whether it needs several calls to one process, which batch does not have
    + light: whether it speaks for its verb where only one answer and one error of each is run; else the first one does
    """

    name: str
    verbs: tuple[str, ...]
    cites: str
    error: Kind | None
    warm: bool
    light: bool


@dataclass(frozen=True)
class Variant:
    """One way to run cases: an engine, the culture of its machines, and how calls travel."""

    engine: Engine
    culture: str = "en-US"
    mode: Mode = "warm"

    @property
    def name(self) -> str:
        """As it stands in the id of a test."""
        parts = [self.engine, self.culture if self.culture != "en-US" else "", self.mode if self.mode != "warm" else ""]
        return "-".join(part for part in parts if part)


PLAIN: Final = (Variant("python"), Variant("powershell"))
# The whole contract on `python`, and one answer and one error of each verb on `powershell`.
OTHERS: Final = tuple(
    other
    for plain in PLAIN
    for other in (replace(plain, mode="batch"), replace(plain, culture="tr-TR"), replace(plain, culture="de-DE"))
)

REGISTERED: Final[dict[str, About]] = {}


def case(
    *verbs: str, cites: str, error: Kind | None = None, warm: bool = False, light: bool = False
) -> Callable[[Function], Function]:
    """
    Make a test function a case of the contract.

    `cites` is the line of shared/facts that its expectation rests on, in its own words: `winrm.md: Delete temps on EOF and error`. A section
    (`ad.md 4`) where the case goes through all of it. docs/verbs.md only for a convention of our own, of which no facts say anything.
    Raises ValueError for a verb that is not in ERRORS, or without a citation.
    """
    if not verbs or not set(verbs) <= ERRORS.keys():
        raise ValueError(f"{verbs} are no verbs of docs/verbs.md")
    if not re.fullmatch(r"[a-z-]+\.md(?:: .+| \d\S*)", cites, re.DOTALL):
        raise ValueError(f"{cites!r} is no citation such as 'verbs.md: words', 'winrm.md 8.1'")

    def register(function: Function) -> Function:
        name = f"{function.__module__.rpartition('.')[2]}.py::{function.__name__}"
        REGISTERED[name] = About(name, verbs, cites, error, warm, light)
        return function

    return register


def about(function: Callable[..., Any]) -> About | None:
    """What a test function is about, None where it is no case."""
    return REGISTERED.get(f"{function.__module__.rpartition('.')[2]}.py::{function.__name__}")


def is_light(one: About) -> bool:
    """
    Whether it is the answer, or the error, that speaks for its verb: what runs in every mode and culture of `powershell`.

    The first, unless another of its module is said to be `light`: in batch each call is a process, and real ones take seconds.
    """
    if len(one.verbs) > 1 or (_module(one) == RUNTIME and one.verbs != ("Test-Echo",)):
        return False  # the verbs of the other modules serve there as examples
    same = [other for other in REGISTERED.values() if other.verbs == one.verbs and bool(other.error) == bool(one.error)]
    same = [other for other in same if (_module(other) == RUNTIME) is (_module(one) == RUNTIME)]
    return one is next((other for other in same if other.light), same[0])


def _module(one: About) -> str:
    """The file that a case is in."""
    return one.name.partition("::")[0]


def variants(one: About) -> tuple[Variant, ...]:
    """All the ways in which a case runs; those that differences.toml leaves out are not among them."""
    others = [other for other in OTHERS if other.engine == "python" or is_light(one)]
    others = [other for other in others if other.mode == "warm" or not one.warm]
    return tuple(variant for variant in (*PLAIN, *others) if not difference(one.name, variant.engine).absent)


@dataclass(frozen=True)
class Difference:
    """Where an engine is not as Windows: `absent`, the case does not run there; else it runs and expects something else. No reason: no difference."""

    reason: str = ""
    absent: bool = False


@dataclass(frozen=True)
class Unshown:
    """A kind of error that a verb can answer and no case can show: why, and the test that shows it in another way, `FILE::NAME` below tests."""

    verb: str
    kind: str
    reason: str
    instead: str


@cache
def differences() -> Mapping[tuple[str, str], Difference]:
    """What differences.toml says, by case and engine. Raises ValueError for an entry with another form."""
    found = {}
    for entry in tomllib.loads(DIFFERENCES.read_text(encoding="utf-8")).get("difference", []):
        match entry:
            case {
                "case": str(name),
                "engine": "python" | "powershell" as engine,
                "reason": str(reason),
                "runs": bool(runs),
            }:
                if len(entry) == 4 and reason.strip() and (name, engine) not in found:
                    found[name, engine] = Difference(reason, absent=not runs)
                    continue
        raise ValueError(
            f"{DIFFERENCES.name}: {entry} is not case, engine, reason and runs, each case once for an engine"
        )
    return found


@cache
def unshown() -> tuple[Unshown, ...]:
    """The kinds of error that differences.toml says no case can show. Raises ValueError for an entry with another form."""
    entries = tomllib.loads(DIFFERENCES.read_text(encoding="utf-8")).get("unshown", [])
    for entry in entries:
        if entry.keys() != {"kind", "verbs", "reason", "instead"} or not entry["reason"].strip():
            raise ValueError(f"{DIFFERENCES.name}: {entry} is not kind, verbs, reason and instead")
    return tuple(Unshown(verb, one["kind"], one["reason"], one["instead"]) for one in entries for verb in one["verbs"])


def difference(name: str, engine: str) -> Difference:
    """The difference of an engine in a case."""
    return differences().get((name, engine), Difference())


@cache
def documented_verbs() -> tuple[str, ...]:
    """The verbs that docs/verbs.md states."""
    text = CONTRACT.read_text(encoding="utf-8")
    return tuple(re.findall(r"^(?:### |- \*\*)([A-Z][a-z]+-[A-Za-z]+)", text, re.MULTILINE))


@cache
def table_of_verbs() -> tuple[str, ...]:
    """The verbs that powershell/runtime.ps1 runs."""
    text = (ROOT / "powershell" / "runtime.ps1").read_text(encoding="ascii")
    found = re.search(r"^\$script:Verbs = '([^']*)'", text, re.MULTILINE)
    return tuple(found[1].split()) if found else ()


def cites_facts(cites: str) -> bool:
    """Whether a citation is of shared/facts, which a clone by itself does not have."""
    return not cites.startswith("verbs.md")


def problem_of_citation(cites: str) -> str:
    """Why a citation leads nowhere; "" where it leads somewhere. One of the facts is looked up in them: they must be here."""
    file, _, words = cites.partition(": ")
    if file == "verbs.md":
        known = " ".join(CONTRACT.read_text(encoding="utf-8").split())
        return "" if " ".join(words.split()) in known else f"docs/verbs.md does not say {words!r}"
    name, _, section = cites.partition(" ")
    if not (FACTS / name.rstrip(":")).is_file():
        return f"shared/facts has no {name}"
    text = (FACTS / name.rstrip(":")).read_text(encoding="utf-8")
    if words:
        return "" if " ".join(words.split()) in " ".join(text.split()) else f"{file} does not say {words!r}"
    # `6(c)` is section 6; `0.4` is the fourth point of section 0.
    number = re.match(r"\d+(?:\.\d+)?", section)
    if number is None:
        return f"{section!r} is no number of a section"
    top, _, point = number[0].partition(".")
    part = re.search(rf"^## {top}\..*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    inside = part is not None and (
        not point or re.search(rf"^(?:### {top}\.{point} |{point}\. )", part[0], re.MULTILINE)
    )
    return "" if inside else f"{name} has no section {section}"
