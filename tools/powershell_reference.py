"""
What Windows PowerShell 5.1 on .NET Framework 4.6.2 has: the reference of the 5.1 check.

Reads ../shared/data/powershell (its README gives the form) and holds the two things that are not in there: type accelerators, and the members of
Microsoft.Web.Administration that the verbs may use. Nothing of our scripts is known here.
"""

from __future__ import annotations

import json
import lzma
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DATA: Final = Path(__file__).resolve().parents[2] / "shared" / "data" / "powershell"

# Microsoft.Web.Administration is not in the data: ../shared/facts/iis.md 1, and 3 for the schema's own.
WEB_TYPES: Final = {"microsoft.web.administration.servermanager": (0, 1, 2)}
WEB_MEMBERS: Final[Mapping[str, frozenset[int]]] = {
    name.lower(): frozenset(counts)
    for name, counts in {
        "GetApplicationHostConfiguration": (0,), "GetWebConfiguration": (1, 2), "GetRedirectionConfiguration": (0,), "CommitChanges": (0,),
        "GetSection": (1, 2), "GetLocationPaths": (0,), "RemoveLocationPath": (1,), "GetMetadata": (1,), "SetMetadata": (2,), "RevertToParent": (0,),
        "GetChildElement": (1,), "GetCollection": (0, 1), "GetAttribute": (1,), "GetAttributeValue": (1,), "SetAttributeValue": (2,), "Delete": (0,),
        "CreateElement": (0, 1), "Add": (1,), "AddAt": (2,), "Remove": (1,), "RemoveAt": (1,), "Clear": (0,), "IndexOf": (1,), "GetEnumValues": (0,),
        "CreateInstance": (0,), "Execute": (0,), "Dispose": (0,),
        # Getters called as methods, since a property that throws gives $null.
        "get_Count": (0,), "get_Attributes": (0,), "get_ChildElements": (0,), "get_Methods": (0,), "get_IsInheritedFromDefaultValue": (0,),
        "get_OverrideMode": (0,), "get_OverrideModeEffective": (0,), "get_IsLocked": (0,),
    }.items()
}  # fmt: skip


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _accelerators(*namespaces: tuple[str, str, str]) -> dict[str, str]:
    """Short name to full name: `short=Name`, or the same word for both; the suffix belongs to all of that line."""
    found = {}
    for namespace, suffix, text in namespaces:
        for word in text.split():
            short, _, name = word.partition("=")
            found[short.lower()] = f"{namespace}.{name or short}{suffix}"
    return found


# Type accelerators of 5.1 (about_Type_Accelerators), as far as their types are in the data.
ACCELERATORS: Final[Mapping[str, str]] = _accelerators(
    (
        "System",
        "",
        "Array bool=Boolean Byte Char DateTime Decimal Double float=Single Guid int=Int32 Int16 Int32 Int64 long=Int64 SByte Single String",
    ),
    ("System", "", "TimeSpan Type UInt16 UInt32 UInt64 Uri Version Void"),
    (
        "System.Management.Automation",
        "Attribute",
        "Alias AllowEmptyCollection AllowEmptyString AllowNull ArgumentCompleter CmdletBinding OutputType Parameter",
    ),
    (
        "System.Management.Automation",
        "Attribute",
        "SupportsWildcards ValidateCount ValidateLength ValidateNotNull ValidateNotNullOrEmpty ValidatePattern",
    ),
    ("System.Management.Automation", "Attribute", "ValidateRange ValidateScript ValidateSet"),
    (
        "System.Management.Automation",
        "",
        "PowerShell PSAliasProperty PSCredential pscustomobject=PSObject PSObject ref=PSReference ScriptBlock",
    ),
    ("System.Management.Automation", "", "switch=SwitchParameter WildcardPattern NullString=Language.NullString"),
    ("System.Management.Automation.Runspaces", "", "InitialSessionState Runspace RunspaceFactory"),
    ("System.DirectoryServices", "", "adsi=DirectoryEntry adsisearcher=DirectorySearcher"),
    (
        "System.Net",
        "",
        "IPAddress IPEndPoint MailAddress=Mail.MailAddress PhysicalAddress=NetworkInformation.PhysicalAddress",
    ),
    ("System.Security", "", "SecureString X500DistinguishedName=Cryptography.X509Certificates.X500DistinguishedName"),
    ("System.Security.Cryptography.X509Certificates", "", "X509Certificate"),
    (
        "System",
        "",
        "CultureInfo=Globalization.CultureInfo hashtable=Collections.Hashtable regex=Text.RegularExpressions.Regex xml=Xml.XmlDocument",
    ),
)

# Aliases of 5.1: not in the list of its commands, so they only serve the message.
ALIASES: Final = _words(
    """
    % ? ac asnp cat cd cfs chdir clc clear clhy cli clp cls clv cnsn compare copy cp cpi cpp curl cvpa dbp del diff dir dnsn ebp echo epal epcsv
    epsn erase etsn exsn fc fhx fl foreach ft fw gal gbp gc gcb gci gcm gcs gdr ghy gi gin gjb gl gm gmo gp gps gpv group gsn gsnp gsv gtz gu gv
    gwmi h history icm iex ihy ii ipal ipcsv ipmo ipsn irm ise iwmi iwr kill lp ls man md measure mi mount move mp mv nal ndr ni nmo npssc nsn nv
    ogv oh popd ps pushd pwd r rbp rcjb rcsn rd rdr ren ri rjb rm rmdir rmo rni rnp rp rsn rsnp rujb rv rvpa rwmi sajb sal saps sasv sbp sc scb
    select set shcm si sl sleep sls sort sp spjb spps spsv start stz sujb sv swmi tee trcm type wget where wjb write
    """
)
# Parameters of every cmdlet and advanced function (about_CommonParameters of 5.1).
COMMON: Final = _words(
    """
    debug erroraction errorvariable informationaction informationvariable outbuffer outvariable pipelinevariable verbose warningaction
    warningvariable
    """
)
# Assemblies that powershell.exe 5.1 has loaded; the others need Add-Type first.
LOADED: Final = _words(
    """
    mscorlib System System.Configuration System.Configuration.Install System.Core System.DirectoryServices System.Management
    System.Management.Automation System.Xml
    """
)
# Every object has these: the data leave out the methods of Object (and overloads of their names), and PowerShell adds its own.
OBJECT: Final[Mapping[str, frozenset[int]]] = {
    "tostring": frozenset(range(4)),
    "equals": frozenset((1, 2)),
    "gethashcode": frozenset((0,)),
    "gettype": frozenset((0,)),
}
EXTENDED: Final = _words("psobject pstypenames psbase psadapted psextended count length")
# Properties of these are data.
ADAPTED: Final = ("System.Xml.Xml", "System.Management.Management", "System.Management.Automation.PSObject")
NEWER_VARIABLES: Final = _words("""
    iswindows islinux ismacos iscoreclr psstyle enabledexperimentalfeatures psnativecommanduseerroractionpreference
""")


class AbsentError(Exception):
    """PowerShell or the data are not there: the text says which and how to get it."""


@dataclass(frozen=True)
class Member:
    """Argument counts of a method: exact ones, and from which on any number goes. A property has neither."""

    exact: frozenset[int] = frozenset()
    least: int | None = None

    @property
    def method(self) -> bool:
        """Whether it is called."""
        return bool(self.exact) or self.least is not None

    def takes(self, count: int) -> bool:
        """Whether one of its overloads takes so many arguments."""
        return count in self.exact or (self.least is not None and count >= self.least)

    def __or__(self, other: Member) -> Member:
        least = [one for one in (self.least, other.least) if one is not None]
        return Member(self.exact | other.exact, min(least, default=None))


def members_of(column: str) -> dict[str, Member]:
    """
    Read one column of members: `Name` is a property, `Name(2,3)` a method with its argument counts, `(1+)` one with a params array. A `p` among
    them is a field of the same name beside the method (enumerations with `Equals`, `Format`, `Parse`).

    Names without case, as PowerShell reads them. Raises ValueError for what has another form.
    """
    found: dict[str, Member] = {}
    for text in column.split():
        match = re.fullmatch(r"([^()]+)(?:\(([0-9+,p]*)\))?", text)
        if match is None:
            raise ValueError(f"{text!r} is no member: expected Name or Name(0,1,2+)")
        counts = [count for count in (match[2] or "").split(",") if count not in ("", "p")]
        least = [int(count[:-1]) for count in counts if count.endswith("+")]
        exact = frozenset(int(count) for count in counts if not count.endswith("+"))
        member = Member(exact, min(least, default=None))
        found[match[1].lower()] = found.get(match[1].lower(), Member()) | member
    return found


@dataclass(frozen=True)
class NetType:
    """One type of .NET Framework."""

    name: str
    assembly: str
    kind: str
    static: Mapping[str, Member]
    instance: Mapping[str, Member]


@dataclass(frozen=True)
class Reference:
    """What 5.1 has: commands with parameters (without case), types by lower-case full name, and all instance members of all types."""

    commands: Mapping[str, frozenset[str]]
    types: Mapping[str, NetType]
    anywhere: Mapping[str, Member]
    verbs: frozenset[str]

    def type(self, name: str) -> NetType | None:
        """The type that PowerShell finds under a name: an accelerator, a full name, or one without `System.`."""
        name = name.lower()
        return (
            self.types.get(ACCELERATORS.get(name, "").lower())
            or self.types.get(name)
            or self.types.get(f"system.{name}")
        )

    def element(self, name: str) -> NetType | None:
        """The same for the elements of an array."""
        return self.type(name.removesuffix("[]") if name.endswith("[]") else name)


def data_files(data: Path = DATA) -> tuple[Path, Path]:
    """Where the commands and the types are. Raises AbsentError where one is not there."""
    files = data / "windows-powershell-5.1-commands.json", data / "netfx-4.6.2-api.tsv.xz"
    for path in files:
        if not path.is_file():
            raise AbsentError(f"there is no {path.name} in ../{'/'.join(data.parts[-3:])} beside the repository")
    return files


def load(data: Path = DATA) -> Reference:
    """Read the reference data. Raises AbsentError where it is not there."""
    commands, types = data_files(data)
    listed: dict[str, list[str]] = json.loads(commands.read_text(encoding="utf-8"))
    found: dict[str, NetType] = {}
    anywhere: dict[str, Member] = {}
    verbs: set[str] = set()
    for line in lzma.decompress(types.read_bytes()).decode("utf-8").splitlines():
        name, assembly, kind, static, instance = line.split("\t")
        one = NetType(name, assembly, kind, members_of(static), members_of(instance))
        found[name.lower()] = one
        for member, counts in one.instance.items():
            anywhere[member] = anywhere.get(member, Member()) | counts
        if name.startswith("System.Management.Automation.Verbs"):
            verbs |= {verb for verb, member in one.static.items() if not member.method}
    return Reference(
        {name.lower(): frozenset(map(str.lower, names)) for name, names in listed.items()},
        found,
        anywhere,
        frozenset(verbs),
    )
