"""
Which form a thumbprint, a host name, a folder and a name must have: what the desired state is checked for while it loads, and plans before a write.

Pure; each check raises ValueError that says what is expected: whoever calls it names the value.
"""

from __future__ import annotations

import ntpath
import re
from collections.abc import Mapping
from ipaddress import IPv6Address
from typing import Final

from lxml import etree

NOT_IN_SITE_NAMES: Final = '\\/?;:@&=+$,|"<>'  # facts/iis.md 3 h
NOT_IN_POOL_NAMES: Final = '|<>&\\"/[]+=;:,?*@'  # the validator applicationPoolName of IIS's schema
LONGEST_POOL_NAME: Final = 64
NOT_IN_GROUP_NAMES: Final = '"/\\[]:;|=,+*?<>'  # of a sAMAccountName
BUILT_IN: Final = ("builtin", "nt authority", "nt-autorität", "nt service")  # before a backslash: no domains
LONGEST_GROUP_NAME: Final = 64  # of the cn that a new group is made with

_DRIVE_PATH: Final = re.compile(r"[A-Za-z]:[\\/][^\"<>|?*:\x00-\x1f]*")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_HOST_LENGTH: Final = 253
# Marks without width, which come along from a dialog or a web page: U+200E first of all (facts/iis.md 3 m).
_MARKS: Final = r"\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"
# What the certificate dialog and mails put between the digits.
_THUMBPRINT_NOISE: Final = re.compile(rf"[\s:\-{_MARKS}]")
_UNSEEN: Final = re.compile(rf"[\x00-\x1f\x7f-\x9f{_MARKS}]")  # with control characters
_DN_BEGINS: Final = re.compile(r"\s*(?:[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)+) *=")
_LITERAL: Final = re.compile(r"\"[^\"]*\"|'[^']*'")
# A prefix, but neither an axis (`child::`) nor part of a longer name.
_PREFIX: Final = re.compile(r"(?<![\w.\-])([^\W\d][\w.\-]*):(?![:])")


def clean_thumbprint(text: str) -> str:
    """A thumbprint without what was copied along with it, in upper case; whether it is one says `is_thumbprint`."""
    digits = _THUMBPRINT_NOISE.sub("", text)
    return digits.upper() if digits.isascii() else digits  # the upper case of a ligature is two letters


def is_thumbprint(cleaned: str) -> bool:
    """Whether a cleaned text is the 40 hex digits of a SHA-1."""
    return re.fullmatch(r"[0-9A-F]{40}", cleaned) is not None


def canonical_host(text: str) -> str:
    """
    A host name in lower-case punycode, "" for none or `*`. A first label `*` is kept: IIS 10 takes `*.contoso.com`.

    Raises ValueError where it is not a host name.
    """
    bare = text.strip().rstrip(".") if text.strip() != "." else "."
    if bare in {"", "*"}:
        return ""
    wildcard, name = ("*.", bare[2:]) if bare.startswith("*.") else ("", bare)
    try:
        ascii_name = name.lower() if name.isascii() else name.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise ValueError(f"{text!r} is not a host name") from None
    if len(ascii_name) > _HOST_LENGTH or not all(_LABEL.fullmatch(label) for label in ascii_name.split(".")):
        raise ValueError(f"{text!r} is not a host name")
    return wildcard + ascii_name


def check_host(text: str) -> None:
    """What a binding can have as its host name."""
    try:
        canonical_host(text)
    except ValueError:
        raise ValueError("expected a host name, like mfa.contoso.com, or an empty text") from None


def check_folder(path: str) -> None:
    """A folder of its own on a drive, by its full path. What IIS would expand (`%`) is none: its plan compares folders by name."""
    if path != path.strip():
        raise ValueError("expected a path without blanks at its ends")
    if path.startswith(('"', "'")):
        raise ValueError("expected a path without quotes")
    if not _DRIVE_PATH.fullmatch(path):
        raise ValueError(r"expected a full path, like C:\inetpub\wwwroot\mfasdk")
    if "%" in path:
        raise ValueError("expected a path without %, with the folder's own name in place of a variable")
    if not ntpath.splitdrive(ntpath.normpath(path))[1].strip(
        "\\ ."
    ):  # Windows drops blanks and dots at the end of a name
        raise ValueError(r"expected a folder of its own, like C:\inetpub\wwwroot\mfasdk, not a whole drive")


def check_service_name(name: str) -> None:
    """A service's own name: what the registry has below Services."""
    if not name.strip():
        raise ValueError("expected the name of a service, like FIMService")
    if name != name.strip() or set(name) & set("/\\") or _UNSEEN.search(name):
        raise ValueError(
            "expected the name of a service, like FIMService, without / \\, blanks at its ends and characters that are not seen"
        )


def check_url_host(host: str) -> None:
    """The host of an address: a DNS name, an IPv4 address, or an IPv6 address in brackets."""
    try:
        if host.startswith("["):
            IPv6Address(host.removeprefix("[").removesuffix("]"))
            return
        named = canonical_host(host)
    except ValueError:
        named = ""
    if not named or "*" in named:
        raise ValueError("its host is neither a DNS name nor an address")


def check_site_name(name: str) -> None:
    """A name that IIS takes for a site."""
    if not name or name != name.strip() or set(name) & set(NOT_IN_SITE_NAMES):
        raise ValueError(f"expected a name without {' '.join(NOT_IN_SITE_NAMES)} and without blanks at its ends")


def check_pool_name(name: str) -> None:
    """A name that IIS takes for an application pool."""
    if not name or name != name.strip() or len(name) > LONGEST_POOL_NAME or set(name) & set(NOT_IN_POOL_NAMES):
        raise ValueError(
            f"expected a name of up to {LONGEST_POOL_NAME} characters without {' '.join(NOT_IN_POOL_NAMES)} and without blanks at its ends"
        )


def check_group_name(name: str) -> None:
    """A name that a group can be made with: its sAMAccountName, and its cn."""
    if not name.strip():
        raise ValueError("expected the sAMAccountName of a group")
    if name != name.strip() or name.endswith("."):
        raise ValueError("expected the sAMAccountName of a group, without blanks at its ends and a dot at its end")
    if len(name) > LONGEST_GROUP_NAME or set(name) & set(NOT_IN_GROUP_NAMES) or re.search(r"[\x00-\x1f]", name):
        raise ValueError(
            f"expected the sAMAccountName of a group: up to {LONGEST_GROUP_NAME} characters without {' '.join(NOT_IN_GROUP_NAMES)}"
        )


def check_seen(text: str, what: str = "a text") -> None:
    """Nothing in it that came along unseen from a dialog or a web page."""
    if unseen := _UNSEEN.search(text):
        raise ValueError(f"expected {what} without U+{ord(unseen[0]):04X}, a character that is not seen: type it anew")


def check_account(name: str) -> None:
    r"""An account as ``DOMAIN\user``, UPN, sAMAccountName, DN, SID or GUID; which of them it is, is told where it is looked for."""
    if not name.strip():
        raise ValueError("expected an account, like DOMAIN\\user")
    check_seen(name, "an account")
    if _DN_BEGINS.match(name):
        return
    if "/" in name:
        raise ValueError("expected DOMAIN\\user, with a backslash")
    if "\\" in name and not re.fullmatch(r"[^\\]+\\[^\\]+", name.strip()):
        raise ValueError("expected DOMAIN\\user, with one backslash between two names")


def check_domain_account(name: str) -> None:
    """The same, and a SID is one that a domain gives: what is built into Windows cannot be in a group of a domain that a service logs on with."""
    check_account(name)
    if re.match(r"S-[0-9]+-", name.strip(), re.IGNORECASE) and not is_of_a_domain(name.strip()):
        raise ValueError("expected an account of a domain, whose SID begins with S-1-5-21-")
    if name.strip().casefold().partition("\\")[0] in BUILT_IN and "\\" in name:
        raise ValueError("expected an account of a domain, not one that is built into Windows")


def is_of_a_domain(sid: str) -> bool:
    """Whether a domain or a computer gave the SID: S-1-5-21, three numbers of its own, and one of the account ([MS-DTYP] 2.4.2.4)."""
    return re.fullmatch(r"S-1-5-21(?:-[0-9]+){4}", sid, re.IGNORECASE) is not None


def check_namespaces(namespaces: Mapping[str, str]) -> None:
    """Prefixes that XPath can use, each with its namespace."""
    for prefix, uri in namespaces.items():
        if not prefix or not uri:
            raise ValueError(
                f"{prefix!r} is bound to {uri!r}: a prefix and a namespace are needed, XPath 1.0 has no default"
            )
        if not _is_prefix(prefix):
            raise ValueError(f"{prefix!r} is not a prefix that can be bound")


def check_parent(expression: str) -> None:
    """XPath 1.0 that gives elements, as far as it can be told without the document and its namespaces."""
    try:
        found = etree.Element("x").xpath(expression, namespaces=dict.fromkeys(_prefixes(expression), "urn:x"))
    except (etree.XPathError, ValueError):
        raise ValueError("expected an XPath 1.0 expression, like /configuration/MfaSettings") from None
    if not isinstance(found, list):
        raise ValueError("expected the path of an element, like /configuration/MfaSettings")  # noqa: TRY004 - the type of the user's value is right


def check_bound(expression: str, namespaces: Mapping[str, str]) -> None:
    """Every prefix of an XPath expression has a namespace."""
    for prefix in _prefixes(expression):
        if prefix not in namespaces:
            known = ", ".join(sorted(namespaces)) or "none"
            raise ValueError(f"parent is {expression!r}, whose prefix {prefix} is not in namespaces (there: {known})")


def _prefixes(expression: str) -> tuple[str, ...]:
    """All but `xml`, which is always bound."""
    plain = _LITERAL.sub(lambda literal: " " * len(literal[0]), expression)
    return tuple(dict.fromkeys(prefix for prefix in _PREFIX.findall(plain) if prefix != "xml"))


def _is_prefix(text: str) -> bool:
    try:
        return ":" not in text and etree.QName(text).localname == text and not text.lower().startswith("xml")
    except ValueError:
        return False
