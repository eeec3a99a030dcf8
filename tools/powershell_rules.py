"""
The rules of the 5.1 check: what powershell_ast.ps1 found in the scripts against the reference, and the rules of this house. Pure.

Names exist, and take that many arguments; no aliases, approved verbs, help; nothing of PowerShell 7; no Invoke-Expression, CIM, WMI, `Cert:`, netsh.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tools.powershell_reference import (
    ADAPTED,
    ALIASES,
    COMMON,
    EXTENDED,
    LOADED,
    NEWER_VARIABLES,
    OBJECT,
    WEB_MEMBERS,
    WEB_TYPES,
    Member,
    NetType,
    Reference,
)

# What is left to us because the text does not tell it: (file, function, start of the text) and why it is right all the same.
EXCEPTIONS: Final[Mapping[tuple[str, str, str], str]] = {
    ("runtime.ps1", "Invoke-Verb", "& $what @bound"): "only names of $script:Verbs get there, with keys taken from the verb's own parameters",
    ("bootstrap.ps1", "", "[ScriptBlock]::Create("): "the one script, whose SHA-256 was compared; no request is ever made into code",
}  # fmt: skip

# How an assembly is loaded without Add-Type. The keys are those of Microsoft that .NET Framework's own assemblies have.
LOADS: Final = re.compile(
    r"\[System\.Reflection\.Assembly\]::Load\('([\w.]+), Version=4\.0\.0\.0, Culture=neutral, "
    r"PublicKeyToken=(?:b77a5c561934e089|b03f5f7f11d50a3a|31bf3856ad364e35)'\)"
)

FORBIDDEN_COMMANDS: Final = (
    (re.compile(r"^(invoke-expression|iex)$", re.IGNORECASE), "Invoke-Expression is not used: no text becomes code"),
    (re.compile(r"^([a-z]+-(wmi|cim)[a-z]*|gwmi|iwmi|rwmi|swmi|gcim|icim|ncim|rcim|scim)$", re.IGNORECASE), "no CIM, no WMI"),
    (re.compile(r"^netsh(\.exe)?$", re.IGNORECASE), "no netsh: its output is translated text"),
)  # fmt: skip
FORBIDDEN_TYPES: Final = (
    (
        re.compile(r"^(wmi|wmiclass|wmisearcher|cim(instance|class|type|converter|session))$", re.IGNORECASE),
        "no CIM, no WMI",
    ),
    (
        re.compile(r"^(System\.Management\.(?!Automation\b)|Microsoft\.Management\.Infrastructure\b)", re.IGNORECASE),
        "no CIM, no WMI",
    ),
)
FORBIDDEN_STRINGS: Final = (
    (
        re.compile(r"^\s*cert:|Microsoft\.PowerShell\.Security\\Certificate::", re.IGNORECASE),
        "no Cert: drive, X509Store",
    ),
    (re.compile(r"\bnetsh\b", re.IGNORECASE), "no netsh: its output is translated text"),
)
NOT_GENERIC: Final = re.compile(r"(?<![A-Za-z0-9])(MIM|MFA)(?![A-Za-z0-9])", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Finding:
    """One violation."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"powershell/{self.file}:{self.line}: {self.text}"


@dataclass
class Check:
    """One program: files that run as one script, in their order, checked against the reference."""

    reference: Reference
    files: Sequence[Mapping[str, Any]]
    verbs: frozenset[str] = frozenset()
    exceptions: Mapping[tuple[str, str, str], str] = field(default_factory=lambda: EXCEPTIONS)
    findings: list[Finding] = field(default_factory=list)
    used: set[tuple[str, str, str]] = field(default_factory=set)

    def run(self) -> list[Finding]:
        """All findings, by file and line."""
        self.own: dict[str, Mapping[str, Any]] = {}
        for file, one in self.each("functions"):
            if one["name"].lower() in self.own:
                self.say(file, one, f"{one['name']} is defined twice")
            self.own[one["name"].lower()] = one
        self.added = {
            str(one["arguments"].get("AssemblyName")).lower()
            for _, one in self.each("commands")
            if one["name"] == "Add-Type"
        } | {match[1].lower() for _, one in self.each("statics") if (match := LOADS.match(one["text"]))}
        for file, one in self.each("errors"):
            self.say(file, one, f"does not parse: {one['text']}")
        for file, one in self.each("syntax"):
            self.say(file, one, f"{one['what']} is not in Windows PowerShell 5.1")
        checks = {"functions": self.function, "commands": self.command, "types": self.type_name, "statics": self.static}
        checks |= {
            "constructors": self.constructor,
            "members": self.member,
            "casts": self.cast,
            "attributes": self.attribute,
        }
        checks |= {"strings": self.string, "variables": self.variable}
        for kind, check in checks.items():
            for file, one in self.each(kind):
                check(file, one)
        return sorted(set(self.findings))

    def each(self, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """All entries of a kind, with their file."""
        for file in self.files:
            for one in file[kind]:
                yield file["file"], one

    def say(self, file: str, one: Mapping[str, Any], text: str) -> None:
        """Note one finding."""
        self.findings.append(Finding(file, one["line"], text))

    def excepted(self, file: str, one: Mapping[str, Any]) -> bool:
        """Whether the text is in the list of exceptions."""
        for key in self.exceptions:
            if key[:2] == (file, one["owner"]) and one["text"].startswith(key[2]):
                self.used.add(key)
                return True
        return False

    def function(self, file: str, one: Mapping[str, Any]) -> None:
        """Name and help of a function."""
        verb, dash, noun = one["name"].partition("-")
        if not dash or not noun or verb.lower() not in self.reference.verbs:
            self.say(file, one, f"{one['name']}: the verb is not approved, or it is no Verb-Noun")
        wanted = ("SYNOPSIS", "DESCRIPTION", "OUTPUTS", "EXAMPLES") if one["name"] in self.verbs else ("SYNOPSIS",)
        if lacking := [part for part in wanted if part not in one["help"]]:
            self.say(file, one, f"{one['name']} has no help: {', '.join(lacking)}")

    def command(self, file: str, one: Mapping[str, Any]) -> None:
        """A command exists, and so do its parameters."""
        name: str | None = one["name"]
        if name is None:
            if not one["block"] and not self.excepted(file, one):
                self.say(
                    file, one, f"which command `{one['text']}` runs cannot be told; name it, or state an exception"
                )
            return
        for pattern, why in FORBIDDEN_COMMANDS:
            if pattern.search(name):
                self.say(file, one, f"{name}: {why}")
                return
        own = self.own.get(name.lower())
        known = frozenset(map(str.lower, own["parameters"])) if own else self.reference.commands.get(name.lower())
        if known is None:
            what = "is an alias" if name.lower() in ALIASES else "is no command of Windows PowerShell 5.1, nor ours"
            self.say(file, one, f"{name} {what}")
            return
        if own is None or own["advanced"]:
            known |= COMMON
        if name.lower() == "add-type":
            self.assembly(file, one)
        if name.lower() == "set-strictmode" and one["arguments"].get("Version") != "2.0":
            self.say(
                file, one, "strict mode is version 2.0: `Latest` differs between 5.1 and 7, and it is never turned off"
            )
        self.parameters(file, one, known)

    def parameters(self, file: str, one: Mapping[str, Any], known: frozenset[str]) -> None:
        """Parameters by name, and those of a hashtable that is splatted, are among the known ones."""
        for parameter in one["parameters"]:
            if parameter.lower() not in known:
                self.say(file, one, f"{one['name']} has no parameter -{parameter}")
        for splat in one["splats"]:
            if splat["keys"] is None and not self.excepted(file, one):
                self.say(
                    file,
                    one,
                    f"what @{splat['name']} gives to {one['name']} cannot be told; splat a hashtable literal, or state an exception",
                )
            for key in splat["keys"] or ():
                if key.lower() not in known:
                    self.say(file, one, f"{one['name']} has no parameter -{key} (@{splat['name']})")

    def assembly(self, file: str, one: Mapping[str, Any]) -> None:
        """An assembly that is loaded by name is one of .NET Framework."""
        name = one["arguments"].get("AssemblyName")
        if name is None or name.lower() not in {known.assembly.lower() for known in self.reference.types.values()}:
            self.say(
                file, one, f"Add-Type loads {name or 'something else than a named assembly'}, which is not in the data"
            )

    def resolve(self, file: str, one: Mapping[str, Any], name: str) -> NetType | None:
        """The type of a name; says what is wrong with it."""
        plain = name.removesuffix("[]")
        for pattern, why in FORBIDDEN_TYPES:
            if pattern.search(plain):
                self.say(file, one, f"[{name}]: {why}")
                return None
        if plain.lower() in WEB_TYPES or plain.lower() == "ordered":
            return None
        found = self.reference.type(plain)
        if found is None:
            self.say(file, one, f"[{name}] is no type of .NET Framework 4.6.2")
        elif found.assembly not in LOADED and found.assembly.lower() not in self.added:
            self.say(file, one, f"[{name}] needs Add-Type -AssemblyName {found.assembly} first")
        return found

    def type_name(self, file: str, one: Mapping[str, Any]) -> None:
        """A type exists."""
        self.resolve(file, one, one["type"])

    def static(self, file: str, one: Mapping[str, Any]) -> None:
        """A static member exists, with that many arguments."""
        if one["type"].lower() == "system.reflection.assembly" and str(one["member"]).lower() == "load":
            match = LOADS.match(one["text"])
            if match is None or match[1].lower() not in {
                known.assembly.lower() for known in self.reference.types.values()
            }:
                self.say(file, one, f"`{one['text']}` names no assembly of .NET Framework 4 in full")
        found = self.reference.type(one["type"])
        if found is None or one["type"].endswith("[]"):
            return  # said by type_name
        if (
            found.name == "System.Management.Automation.ScriptBlock"
            and str(one["member"]).lower() == "create"
            and not self.excepted(file, one)
        ):
            self.say(file, one, "[scriptblock]::Create makes code of text")
        if one["member"] is None:
            self.say(file, one, f"which member `{one['text']}` means cannot be told")
            return
        member = found.static.get(one["member"].lower())
        if member is None:
            self.say(file, one, f"[{one['type']}] has no static member {one['member']}")
        elif one["method"] and not member.takes(one["count"]):
            self.say(file, one, f"[{one['type']}]::{one['member']} with {one['count']} arguments does not exist")

    def constructor(self, file: str, one: Mapping[str, Any]) -> None:
        """A constructor exists, with that many arguments."""
        if one["type"] is None:
            if not self.excepted(file, one):
                self.say(file, one, f"which type `{one['text']}` makes cannot be told")
            return
        if one["type"].lower() in WEB_TYPES:
            if one["count"] not in WEB_TYPES[one["type"].lower()]:
                self.say(file, one, f"no constructor of {one['type']} takes {one['count']} arguments")
            return
        found = self.resolve(file, one, one["type"])
        if found is None or one["type"].endswith("[]"):
            return
        if (member := found.static.get("new")) is None:
            self.say(file, one, f"[{one['type']}] has no constructor")
        elif one["count"] >= 0 and not member.takes(one["count"]):
            self.say(file, one, f"no constructor of [{one['type']}] takes {one['count']} arguments")

    def member(self, file: str, one: Mapping[str, Any]) -> None:
        """A member of a thing exists: of its type where that is known; else a method of that name and count exists at all."""
        if one["member"] is None:
            if one["method"] and not self.excepted(file, one):
                self.say(file, one, f"which method `{one['text']}` calls cannot be told")
            return
        name, count = one["member"].lower(), one["count"]
        if count in OBJECT.get(name, ()) and one["method"]:
            return
        if one["type"] is None:
            if one["method"] and not self.somewhere(name, count):
                self.say(file, one, f"no type has a method {one['member']} with {count} arguments")
            return
        if not one["method"] and (one["dictionary"] or name in EXTENDED or one["type"].startswith(ADAPTED)):
            return
        found = self.candidates(one)
        if found is None:
            return
        if not any(name in kind.instance for kind in found):
            if not (name.startswith("get_") and any(name[4:] in kind.instance for kind in found)):
                self.say(file, one, f"[{one['type']}] has no member {one['member']}")
        elif one["method"] and not any(kind.instance.get(name, Member()).takes(count) for kind in found):
            self.say(file, one, f"[{one['type']}] has no {one['member']} with {count} arguments")

    def candidates(self, one: Mapping[str, Any]) -> list[NetType] | None:
        """The types whose members count; None where the receiver's own is none that 5.1 knows, so that nothing can be said."""
        if one["type"].endswith("[]"):
            # Members of the elements are taken from each of them.
            found = [self.reference.type("System.Array"), self.reference.type(one["type"].removesuffix("[]"))]
        else:
            found = [self.reference.type(one["type"])]
        if found[-1] is None:
            return None
        return [kind for kind in (*found, *map(self.reference.type, one["also"])) if kind is not None]

    def somewhere(self, name: str, count: int) -> bool:
        """Whether any type has such a method."""
        getter = name.startswith("get_") and count == 0 and name[4:] in self.reference.anywhere
        return getter or self.reference.anywhere.get(name, Member()).takes(count) or count in WEB_MEMBERS.get(name, ())

    def cast(self, file: str, one: Mapping[str, Any]) -> None:
        """A text that becomes an enumeration names its members."""
        found = self.reference.type(one["type"])
        if found is None or found.kind != "enum" or re.fullmatch(r"\$\w+|-?[0-9]+", one["value"]):
            return
        for name in one["value"].split(","):
            if name.strip().lower() not in found.static:
                self.say(file, one, f"[{one['type']}] has no {name.strip()}")

    def attribute(self, file: str, one: Mapping[str, Any]) -> None:
        """An attribute exists, with what it is given."""
        found = self.reference.type(one["type"]) or self.reference.type(f"{one['type']}Attribute")
        if found is None:
            self.say(file, one, f"[{one['type']}()] is no attribute of Windows PowerShell 5.1")
            return
        if not found.static.get("new", Member()).takes(one["count"]):
            self.say(file, one, f"[{one['type']}()] does not take {one['count']} arguments")
        for name in one["named"]:
            if name.lower() not in found.instance:
                self.say(file, one, f"[{one['type']}()] has no {name}")

    def string(self, file: str, one: Mapping[str, Any]) -> None:
        """A text names nothing that is not used."""
        for pattern, why in FORBIDDEN_STRINGS:
            if pattern.search(one["text"]):
                self.say(file, one, f"{one['text'].strip()[:60]!r}: {why}")

    def variable(self, file: str, one: Mapping[str, Any]) -> None:
        """An automatic variable exists in 5.1."""
        if one["name"].lower() in NEWER_VARIABLES:
            self.say(file, one, f"${one['name']} is not there in Windows PowerShell 5.1")


def strictness(files: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """A script that holds functions sets strict mode 2.0 and stops at errors, both outside of any function."""
    strict = any(
        one["name"] == "Set-StrictMode" and not one["owner"] and one["arguments"].get("Version") == "2.0"
        for file in files
        for one in file["commands"]
    )
    stops = any(
        one["name"].lower() == "erroractionpreference" and not one["owner"] and one["value"] == "Stop"
        for file in files
        for one in file["assignments"]
    )
    last = files[-1]["file"]
    return [Finding(last, 1, "Set-StrictMode -Version 2.0 is missing")] * (not strict) + [
        Finding(last, 1, "$ErrorActionPreference = 'Stop' is missing")
    ] * (not stops)


def words(name: str, text: str) -> list[Finding]:
    """The verbs know nothing of the product that is automated."""
    return [
        Finding(name, number, f"says {match[0]}: verbs are generic")
        for number, line in enumerate(text.splitlines(), 1)
        for match in NOT_GENERIC.finditer(line)
    ]


def verbs_of(page: str) -> frozenset[str]:
    """The verbs of docs/verbs.md: `### Test-Echo` or `- **Read-File** ...`."""
    return frozenset(re.findall(r"^(?:### |- \*\*)([A-Z][a-z]+-[A-Z][A-Za-z]+)", page, re.MULTILINE))
