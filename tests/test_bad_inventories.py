"""Wrong inventories: what is said of each, word for word, and that nothing else happens. Bad XML files are in test_xml_bad_files.py."""

from __future__ import annotations

import logging
import os
import runpy
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from pyinfra.api.exceptions import InventoryError

from connectors.inventory import check, check_groups, check_run, thumbprint_of
from connectors.settings import settings_of
from lab import control
from lab.folder import LabError
from model.desired import parse
from model.secret import Secret

TREE: Final = Path(__file__).resolve().parents[1]
THUMBPRINT: Final = "0123456789ABCDEF0123456789ABCDEF01234567"
PASSWORD: Final = "hunter2 'of' \"Contoso\""
KNOWN: Final = "Known: desired, restart_mim, sdk_certificate, winrm_..., directory_..."
WINRM: Final = (
    "Known: winrm_ca, winrm_certificate, winrm_certificate_key, winrm_connect_timeout, winrm_hostname, winrm_mode, winrm_operation_timeout, "
    "winrm_password, winrm_port, winrm_read_only, winrm_scheme, winrm_transport, winrm_user, winrm_verify"
)
DIRECTORY: Final = "Known: directory_password, directory_port, directory_server, directory_tls, directory_user"
PLAIN: Final = "is plain text, which pyinfra prints (debug-inventory). Leave it out and set WINRM_PASSWORD, or wrap it: Secret(...) of model.secret"
RIGHT: Final[Mapping[str, Any]] = {
    "site": {"port": 9999, "thumbprint": THUMBPRINT},
    "authentication": {"anonymous": False, "windows": True},
    "admins": {"group": "PhoneFactor Admins", "service_account": "CONTOSO\\mimservice"},
    "settings": {"username": "mimservice@contoso.com", "sdk_url": "https://mfa01.contoso.com:9999/sdk/PfWsSdk.asmx"},
    "mim": {"minimum_build": "4.5.202.0"},
}
HOSTS: Final[Mapping[str, Any]] = {"mfa_servers": ["@winrm/mfa01"], "mim_servers": ["@winrm/mim01"]}


@dataclass(frozen=True)
class Case:
    """
    An inventory and what is said of it.

    + data: text of the group data file; None where there is none
    + says: the message of InventoryError, without the headline that comes before several lines
    """

    says: tuple[str, ...]
    data: str | None
    groups: Mapping[str, Any]


def desired(*says: str, **parts: Mapping[str, Any] | str | None) -> Case:
    """A desired state that is right but for these keys of these parts; None takes one away."""
    state: dict[str, Any] = {name: dict(part) for name, part in RIGHT.items()}
    for name, part in parts.items():
        if isinstance(part, Mapping):
            state[name] = {key: value for key, value in {**state.get(name, {}), **part}.items() if value is not None}
        elif part is None:
            del state[name]
        else:
            state[name] = part
    return Case(tuple(f"group_data/ours.py: desired.{text}" for text in says), f"desired = {state!r}\n", HOSTS)


def data(*says: str, text: str) -> Case:
    """Group data of this text."""
    return Case(tuple(f"group_data/ours.py{one}" for one in says), text, HOSTS)


def groups(*says: str, **groups: Any) -> Case:
    """Other groups of hosts."""
    return Case(tuple(f"ours.py: {text}" for text in says), f"desired = {dict(RIGHT)!r}\n", groups)


def host(*says: str, **own: Any) -> Case:
    """One host with this data."""
    return groups(*(f"host mim01: {text}" for text in says), mim_servers=[("@winrm/mim01", own)])


POOL: Final = (
    'expected a name of up to 64 characters without | < > & \\ " / [ ] + = ; : , ? * @ and without blanks at its ends'
)
OWN_FOLDER: Final = r"expected a folder of its own, like C:\inetpub\wwwroot\mfasdk, not a whole drive"
GROUP: Final = 'expected the sAMAccountName of a group: up to 64 characters without " / \\ [ ] : ; | = , + * ? < >'
ENDS: Final = "expected the sAMAccountName of a group, without blanks at its ends and a dot at its end"
ONE_BACKSLASH: Final = "expected DOMAIN\\user, with one backslash between two names"
HOST_NAME: Final = "expected a host name, like mfa.contoso.com, or an empty text"
UNSEEN: Final = "expected a text without U+200E, a character that is not seen: type it anew"
UNQUOTED: Final = "expected a path without quotes"
CASES: Final = {
    # the desired state
    "an unknown part": desired(
        "sites is not known here; did you mean site? Known: admins, authentication, mim, settings, site",
        sites={"port": 1},
    ),
    "an unknown key of the site": desired(
        "site.prot is not known here; did you mean port? Known: app_pool, host_name, name, path, port, thumbprint",
        site={"prot": 9999},
    ),
    "an unknown key of the authentication": desired(
        "authentication.basic is not known here. Known: anonymous, providers, windows", authentication={"basic": True}
    ),
    "an unknown key of the admins": desired(
        "admins.members is not known here. Known: group, service_account", admins={"members": []}
    ),
    "an unknown key of the settings, with a secret": desired(
        "settings.LICENSE_KEY is not known here. Known: namespaces, parent, sdk_url, unused, username",
        settings={"LICENSE_KEY": PASSWORD},
    ),
    "an unknown key of MIM": desired(
        "mim.minimal_build is not known here; did you mean minimum_build? Known: minimum_build, service",
        mim={"minimal_build": "4.5.202.0"},
    ),
    "port 0": desired("site.port is 0, expected 1 to 65535", site={"port": 0}),
    "port 70000": desired("site.port is 70000, expected 1 to 65535", site={"port": 70000}),
    "a port as text": desired("site.port is '9999', expected a whole number, without quotes", site={"port": "9999"}),
    "a port that is true": desired("site.port is True, expected a whole number, without quotes", site={"port": True}),
    "a name of a site that IIS refuses": desired(
        "site.name is 'MIM/MFASDK', expected a name without \\ / ? ; : @ & = + $ , | \" < > and without blanks at its ends",
        site={"name": "MIM/MFASDK"},
    ),
    "a pool without a name": desired(
        f"site.app_pool is '', {POOL}",
        site={"app_pool": ""},
    ),
    "a path in quotes": desired(
        f"site.path is '\"C:\\\\inetpub\\\\mfasdk\"', {UNQUOTED}", site={"path": '"C:\\inetpub\\mfasdk"'}
    ),
    "a relative path": desired(
        "site.path is 'inetpub\\\\mfasdk', expected a full path, like C:\\inetpub\\wwwroot\\mfasdk",
        site={"path": "inetpub\\mfasdk"},
    ),
    "a path with a variable": desired(
        "site.path is 'C:\\\\in%x\\\\y', expected a path without %, with the folder's own name in place of a variable",
        site={"path": r"C:\in%x\y"},
    ),
    "a path with a blank at its end": desired(
        "site.path is 'C:\\\\inetpub ', expected a path without blanks at its ends", site={"path": "C:\\inetpub "}
    ),
    "a path with a line end in it": desired(
        "site.path is 'C:\\\\inet\\npub', expected a full path, like C:\\inetpub\\wwwroot\\mfasdk",
        site={"path": "C:\\inet\npub"},
    ),
    "a drive": desired(f"site.path is 'C:/', {OWN_FOLDER}", site={"path": "C:/"}),
    "a drive with a dot": desired(f"site.path is 'C:\\\\.', {OWN_FOLDER}", site={"path": "C:\\."}),
    "a drive by a way round": desired(
        f"site.path is 'C:\\\\x\\\\..\\\\..\\\\', {OWN_FOLDER}", site={"path": "C:\\x\\..\\..\\"}
    ),
    "a drive with a name that Windows drops": desired(
        f"site.path is 'C:\\\\...\\\\', {OWN_FOLDER}", site={"path": "C:\\...\\"}
    ),
    "a pool with letters that IIS refuses": desired(f"site.app_pool is 'a[b]*', {POOL}", site={"app_pool": "a[b]*"}),
    "a pool with a name that is too long": desired(
        f"site.app_pool is '{'p' * 65}', {POOL}", site={"app_pool": "p" * 65}
    ),
    "a host name with blanks": desired(
        f"site.host_name is 'not a host', {HOST_NAME}", site={"host_name": "not a host"}
    ),
    "a host name with a port": desired(
        f"site.host_name is 'mfa01:9999', {HOST_NAME}", site={"host_name": "mfa01:9999"}
    ),
    "a thumbprint that is too short": desired(
        f"site.thumbprint is '{THUMBPRINT[:39]}', expected the 40 hex digits of a certificate's thumbprint",
        site={"thumbprint": THUMBPRINT[:39]},
    ),
    "a thumbprint with a G": desired(
        f"site.thumbprint is 'G{THUMBPRINT[1:]}', expected the 40 hex digits of a certificate's thumbprint",
        site={"thumbprint": f"G{THUMBPRINT[1:]}"},
    ),
    "both authentications off": desired(
        "authentication: anonymous and windows are both off: nobody could log on to the site",
        authentication={"windows": False},
    ),
    "a switch as text": desired(
        "authentication.windows is 'yes', expected True or False", authentication={"windows": "yes"}
    ),
    "an unknown provider": desired(
        "authentication.providers.0 is 'Kerberos', expected 'Negotiate', 'NTLM' or 'Negotiate:Kerberos'",
        authentication={"providers": ["Kerberos", "NTLM"]},
    ),
    "providers that are no list": desired(
        "authentication.providers is 'NTLM', expected a list", authentication={"providers": "NTLM"}
    ),
    "DOMAIN/user": desired(
        "admins.service_account is 'CONTOSO/mimservice', expected DOMAIN\\user, with a backslash",
        admins={"service_account": "CONTOSO/mimservice"},
    ),
    "an empty account": desired(
        "admins.service_account is ' ', expected an account, like DOMAIN\\user", admins={"service_account": " "}
    ),
    "a missing account": desired("admins.service_account is missing", admins={"service_account": None}),
    "an empty name of the group": desired(
        "admins.group is '', expected the sAMAccountName of a group", admins={"group": ""}
    ),
    "a group with letters that no name has": desired(f"admins.group is 'a/b*', {GROUP}", admins={"group": "a/b*"}),
    "a group with a name that is too long": desired(
        f"admins.group is '{'g' * 65}', {GROUP}", admins={"group": "g" * 65}
    ),
    "a group with a dot at its end": desired(f"admins.group is 'Admins.', {ENDS}", admins={"group": "Admins."}),
    "a group with a blank before it": desired(f"admins.group is ' Admins', {ENDS}", admins={"group": " Admins"}),
    "an account with two backslashes": desired(
        f"admins.service_account is 'C\\\\a\\\\b', {ONE_BACKSLASH}", admins={"service_account": r"C\a\b"}
    ),
    "an account without a domain before its backslash": desired(
        f"admins.service_account is '\\\\mimservice', {ONE_BACKSLASH}", admins={"service_account": r"\mimservice"}
    ),
    "a username that is no UPN": desired(
        "settings.username is 'CONTOSO\\\\mimservice', expected a UPN, like mimservice@contoso.com",
        settings={"username": "CONTOSO\\mimservice"},
    ),
    "a username in quotes": desired(
        "settings.username is '\"mim@contoso.com\"', expected a UPN, like mimservice@contoso.com",
        settings={"username": '"mim@contoso.com"'},
    ),
    "an address with a quote in it": desired(
        "settings.sdk_url is 'https://mfa01:9999/\"/PfWsSdk.asmx', expected https://HOST:PORT/.../PfWsSdk.asmx",
        settings={"sdk_url": 'https://mfa01:9999/"/PfWsSdk.asmx'},
    ),
    "an address without https": desired(
        "settings.sdk_url is 'http://mfa01.contoso.com:9999/sdk/PfWsSdk.asmx', expected https://HOST:PORT/.../PfWsSdk.asmx",
        settings={"sdk_url": "http://mfa01.contoso.com:9999/sdk/PfWsSdk.asmx"},
    ),
    "an address of another page": desired(
        "settings.sdk_url is 'https://mfa01.contoso.com:9999/sdk/PfPaWs.asmx', expected an address that ends in /PfWsSdk.asmx",
        settings={"sdk_url": "https://mfa01.contoso.com:9999/sdk/PfPaWs.asmx"},
    ),
    "an address with port 70000": desired(
        "settings.sdk_url is 'https://mfa01.contoso.com:70000/PfWsSdk.asmx': its port is not between 1 and 65535",
        settings={"sdk_url": "https://mfa01.contoso.com:70000/PfWsSdk.asmx"},
    ),
    "an address with a password in it": desired(
        "settings.sdk_url is of type str, expected an address without a user or a password in it",
        settings={"sdk_url": f"https://admin:{PASSWORD}@mfa01.contoso.com:9999/PfWsSdk.asmx"},
    ),
    "an address whose host is none": desired(
        "settings.sdk_url is 'https://h<>:9999/PfWsSdk.asmx': its host is neither a DNS name nor an address",
        settings={"sdk_url": "https://h<>:9999/PfWsSdk.asmx"},
    ),
    "an address whose IPv6 address is none": desired(
        "settings.sdk_url is 'https://[:::::]:9999/PfWsSdk.asmx': its host is neither a DNS name nor an address",
        settings={"sdk_url": "https://[:::::]:9999/PfWsSdk.asmx"},
    ),
    "an address whose page is a fragment": desired(
        "settings.sdk_url is 'https://mfa01:9999/#/PfWsSdk.asmx', expected https://HOST:PORT/.../PfWsSdk.asmx",
        settings={"sdk_url": "https://mfa01:9999/#/PfWsSdk.asmx"},
    ),
    "a provider twice": desired(
        "authentication.providers is ['NTLM', 'NTLM'], expected at least one provider, each once",
        authentication={"providers": ["NTLM", "NTLM"]},
    ),
    "no provider": desired(
        "authentication.providers is [], expected at least one provider, each once", authentication={"providers": []}
    ),
    "an account with a hidden mark before it": desired(
        "admins.service_account is '\\u200eCONTOSO\\\\mimservice', expected an account without U+200E, a character that is not seen: type it anew",
        admins={"service_account": "\u200eCONTOSO\\mimservice"},
    ),
    "an account that is built into Windows": desired(
        "admins.service_account is 'S-1-5-18', expected an account of a domain, whose SID begins with S-1-5-21-",
        admins={"service_account": "S-1-5-18"},
    ),
    "an account whose SID is cut": desired(
        "admins.service_account is 's-1-5-21-1-2-3', expected an account of a domain, whose SID begins with S-1-5-21-",
        admins={"service_account": "s-1-5-21-1-2-3"},
    ),
    "hidden marks": desired(
        f"site.name is 'MIM\\u200e', {UNSEEN}",
        f"site.path is 'C:\\\\\\u200ea', {UNSEEN}",
        f"site.app_pool is '\\u200eMIM', {UNSEEN}",
        f"admins.group is 'Phone\\u200eFactor', {UNSEEN}",
        f"settings.username is '\\u200emim@contoso.com', {UNSEEN}",
        f"settings.sdk_url is 'https://mfa01:9999/\\u200e/PfWsSdk.asmx', {UNSEEN}",
        site={"name": "MIM\u200e", "path": "C:\\\u200ea", "app_pool": "\u200eMIM"},
        admins={"group": "Phone\u200eFactor"},
        settings={"username": "\u200emim@contoso.com", "sdk_url": "https://mfa01:9999/\u200e/PfWsSdk.asmx"},
    ),
    "a name of a site with a line end in it": desired(
        "site.name is 'a\\nb', expected a text without U+000A, a character that is not seen: type it anew",
        site={"name": "a\nb"},
    ),
    "a service with a line end": desired(
        "mim.service is 'FIMService\\n', expected the name of a service, like FIMService, "
        "without / \\, blanks at its ends and characters that are not seen",
        mim={"service": "FIMService\n"},
    ),
    "an address without a port": Case(
        ("group_data/ours.py: desired: settings.sdk_url names port 443, site.port is 9999",),
        desired(settings={"sdk_url": "https://mfa01.contoso.com/PfWsSdk.asmx"}).data,
        HOSTS,
    ),
    "an address with a port that is not the site's": Case(
        ("group_data/ours.py: desired: settings.sdk_url names port 9998, site.port is 9999",),
        desired(settings={"sdk_url": "https://mfa01.contoso.com:9998/PfWsSdk.asmx"}).data,
        HOSTS,
    ),
    "something else than clear or remove": desired(
        "settings.unused is 'delete', expected 'clear' or 'remove'", settings={"unused": "delete"}
    ),
    "a parent that is no XPath": desired(
        "settings.parent is '/configuration/', expected an XPath 1.0 expression, like /configuration/MfaSettings",
        settings={"parent": "/configuration/"},
    ),
    "an empty parent": desired(
        "settings.parent is '', expected an XPath 1.0 expression, like /configuration/MfaSettings",
        settings={"parent": ""},
    ),
    "a parent that is a number": desired(
        "settings.parent is 'count(/a)', expected the path of an element, like /configuration/MfaSettings",
        settings={"parent": "count(/a)"},
    ),
    "a parent with a function that there is not": desired(
        "settings.parent is 'first(/a)', expected an XPath 1.0 expression, like /configuration/MfaSettings",
        settings={"parent": "first(/a)"},
    ),
    "a parent with a prefix and no namespaces": desired(
        "settings: parent is 'm:a/b', whose prefix m is not in namespaces (there: none)", settings={"parent": "m:a/b"}
    ),
    "a parent with a prefix in a condition that is not in its namespaces": desired(
        "settings: parent is \"/a[m:b='n:c']\", whose prefix m is not in namespaces (there: k, n)",
        settings={"parent": "/a[m:b='n:c']", "namespaces": {"n": "urn:n", "k": "urn:k"}},
    ),
    "a namespace for no prefix": desired(
        "settings.namespaces: '' is bound to 'x': a prefix and a namespace are needed, XPath 1.0 has no default",
        settings={"namespaces": {"": "x"}},
    ),
    "a namespace with a hidden mark": desired(
        f"settings.namespaces: {UNSEEN}", settings={"namespaces": {"m": "urn:m\u200e"}}
    ),
    "a prefix without a namespace": desired(
        "settings.namespaces: 'm' is bound to '': a prefix and a namespace are needed, XPath 1.0 has no default",
        settings={"namespaces": {"m": ""}},
    ),
    "a prefix that is no name": desired(
        "settings.namespaces: '1' is not a prefix that can be bound", settings={"namespaces": {"1": "urn:x"}}
    ),
    "a prefix that is XML's own": desired(
        "settings.namespaces: 'xmlns' is not a prefix that can be bound", settings={"namespaces": {"xmlns": "urn:x"}}
    ),
    "a namespace without its prefix": desired(
        "settings.namespaces is 'urn:mfa', expected a dict", settings={"namespaces": "urn:mfa"}
    ),
    "a namespace that is a number": desired(
        "settings.namespaces.m is 1, expected a text", settings={"namespaces": {"m": 1}}
    ),
    "a build that is no number": desired(
        "mim.minimum_build is '4.x', expected four numbers, like 4.5.202.0", mim={"minimum_build": "4.x"}
    ),
    "a build that is a number of Python": desired(
        "mim.minimum_build is 4.5, expected a text", mim={"minimum_build": 4.5}
    ),
    "a build that cannot do it": desired(
        "mim.minimum_build is '4.5.26.0', expected at least 4.5.202.0, the first build that can call an MFA Server",
        mim={"minimum_build": "4.5.26.0"},
    ),
    "a part that is a text": desired("site is 'MIM MFASDK', expected a dict", site="MIM MFASDK"),
    "a part that is missing": desired("admins is missing", admins=None),
    "several mistakes": desired(
        "site.port is 0, expected 1 to 65535",
        "settings.username is 'mim', expected a UPN, like mimservice@contoso.com",
        site={"port": 0},
        settings={"username": "mim"},
    ),
    # the file that it stands in
    "no desired state": data(": desired is missing", text="restart_mim = False\n"),
    "a desired state that is no dict": data(": desired is list, expected a dict", text="desired = []\n"),
    "an unknown name in the group data": data(
        f": desire is not known here; did you mean desired? {KNOWN}", ": desired is missing", text="desire = {}\n"
    ),
    "no group data": Case(
        ("group_data/ours.py is not there: it holds the desired state of this inventory",), None, HOSTS
    ),
    "group data that raises": data(
        " cannot be loaded: ValueError in line 2", text=f"password = {PASSWORD!r}\nraise ValueError(password)\n"
    ),
    "group data that is not Python": data(" cannot be loaded: line 2 is not Python", text="x = 1\ndesired: = {}\n"),
    "group data that ends the program": data(" cannot be loaded: SystemExit in line 1", text="raise SystemExit(0)\n"),
    # groups and hosts
    "no hosts": groups("no group has a host"),
    "an empty group": groups(
        "group mfa_servers is empty: name its hosts, or leave the group out",
        mfa_servers=[],
        mim_servers=["@winrm/mim01"],
    ),
    "an unknown group": groups(
        "group mfa_server is not known here; did you mean mfa_servers? Known: domain_controllers, mfa_servers, mim_servers",
        mfa_server=["@winrm/mfa01"],
    ),
    "a group that is one host": groups(
        "group mim_servers is of type str, expected a list of hosts", mim_servers="@winrm/mim01"
    ),
    "a group that is a tuple": groups(
        "group mim_servers is of type tuple, expected a list of hosts", mim_servers=("@winrm/mim01", "@winrm/mim02")
    ),
    "two MFA servers with one name": groups(
        "host mfa01 is in mfa_servers twice", mfa_servers=["@winrm/mfa01", ("@winrm/mfa01", {})]
    ),
    "two MFA servers with one name but for case": groups(
        "host MFA01 is in mfa_servers twice", mfa_servers=["@winrm/mfa01", "@winrm/MFA01"]
    ),
    "two hosts that are one machine": groups(
        "hosts a and b of mfa_servers are one: both have winrm_hostname 'mfa01.contoso.com'",
        mfa_servers=[(f"@winrm/{name}", {"winrm_hostname": "mfa01.contoso.com"}) for name in "ab"],
    ),
    "two hosts that are one machine, one of them with the port that is the default": groups(
        "hosts a and b of mfa_servers are one: both have winrm_hostname 'mfa01.contoso.com'",
        mfa_servers=[
            ("@winrm/a", {"winrm_hostname": "mfa01.contoso.com"}),
            ("@winrm/b", {"winrm_hostname": "mfa01.contoso.com", "winrm_port": 5986}),
        ],
    ),
    "two hosts that are one machine, one of them with the dot of a whole name": groups(
        "hosts a and b of mfa_servers are one: both have winrm_hostname 'mfa01.contoso.com'",
        mfa_servers=[
            ("@winrm/a", {"winrm_hostname": "mfa01.contoso.com"}),
            ("@winrm/b", {"winrm_hostname": "MFA01.contoso.com."}),
        ],
    ),
    "two hosts that are one machine over http": groups(
        "hosts a and b of mfa_servers are one: both have winrm_hostname 'mfa01.contoso.com'",
        mfa_servers=[
            ("@winrm/a", {"winrm_hostname": "mfa01.contoso.com", "winrm_scheme": "http"}),
            ("@winrm/b", {"winrm_hostname": "mfa01.contoso.com", "winrm_port": 5985}),
        ],
    ),
    "a host in two groups": groups(
        "host mim01 is in mfa_servers and in mim_servers", mfa_servers=["@winrm/mim01"], mim_servers=["@winrm/mim01"]
    ),
    "a host that pyinfra would reach over SSH": groups(
        "mim_servers: host 'mim01.contoso.com' is not of the form @winrm/NAME", mim_servers=["mim01.contoso.com"]
    ),
    "a host without a name": groups(
        "mim_servers: host '@winrm/' is not of the form @winrm/NAME", mim_servers=["@winrm/"]
    ),
    "a host that is a dict": groups(
        "mim_servers: host 1 is neither a name nor a name with a dict of data",
        mim_servers=[{"@winrm/mim01": {"winrm_password": PASSWORD}}],
    ),
    "an MFA server without a certificate": Case(
        (
            "ours.py: host mfa01: no certificate for its site. Give each its own as host data sdk_certificate, or all one as desired.site.thumbprint",
        ),
        desired(site={"thumbprint": None}).data,
        HOSTS,
    ),
    # host data
    "an unknown winrm_ key": host(
        f"winrm_pasword is not known here; did you mean winrm_password? {WINRM}", winrm_pasword=PASSWORD
    ),
    "an unknown key": host(f"ssh_user is not known here. {KNOWN}", ssh_user="root"),
    "winrm_mode": host("winrm_mode is 'fast', expected 'auto', 'warm' or 'batch'", winrm_mode="fast"),
    "winrm_transport": host(
        "winrm_transport is 'credssp', expected 'ntlm', 'basic', 'kerberos' or 'certificate'", winrm_transport="credssp"
    ),
    "basic over http": host(
        "basic over http would send the password in clear: use https, or transport ntlm",
        winrm_scheme="http",
        winrm_transport="basic",
    ),
    "transport certificate without one": host(
        "transport certificate needs winrm_certificate and winrm_certificate_key", winrm_transport="certificate"
    ),
    "a port that is a list": host("winrm_port is [5986], expected a whole number, without quotes", winrm_port=[5986]),
    "winrm_port 0": host("winrm_port is 0, expected 1 to 65535", winrm_port=0),
    "winrm_operation_timeout": host("winrm_operation_timeout is 3600, expected 1 to 55", winrm_operation_timeout=3600),
    "winrm_verify as text": host("winrm_verify is 'no', expected True or False", winrm_verify="no"),
    "a hostname with http://": host(
        "winrm_hostname is 'http://mim01', expected a host name or an address, without http:// and without a path",
        winrm_hostname="http://mim01",
    ),
    "a hostname with a port": host(
        "winrm_hostname is 'mim01:5986', expected a host name or an address; the port is winrm_port",
        winrm_hostname="mim01:5986",
    ),
    "a hostname with a password": host(
        "winrm_hostname is of type str, expected a host name or an address, without http:// and without a path",
        winrm_hostname=f"admin:{PASSWORD}@mim01",
    ),
    "a hostname that is none": host(
        "winrm_hostname is 'a..b', expected a host name or an address", winrm_hostname="a..b"
    ),
    "a hostname with two dots at its end": host(
        "winrm_hostname is 'mim01..', expected a host name or an address", winrm_hostname="mim01.."
    ),
    "a password that is a Secret of nothing": host(
        "winrm_password is of type Secret of NoneType, expected a text",
        winrm_password=Secret(None),  # type: ignore[arg-type]
    ),
    "a directory password that is a Secret of a number": host(
        "directory_password is of type Secret of int, expected a text",
        directory_user="a",
        directory_password=Secret(12345),  # type: ignore[arg-type]
    ),
    "a name of a host with a blank": groups(
        "host a b: winrm_hostname is 'a b', expected a host name or an address, without http:// and without a path",
        mim_servers=["@winrm/a b"],
    ),
    "winrm_user with a hidden mark": host(
        f"winrm_user is '\\u200eCONTOSO\\\\admin', {UNSEEN}", winrm_user="\u200eCONTOSO\\admin"
    ),
    "directory_server with a hidden mark": host(
        f"directory_server is 'dc01\\u200e', {UNSEEN}", directory_server="dc01\u200e"
    ),
    "a key that is a number": groups(
        f"host mim01: 5 is not known here. {KNOWN}", mim_servers=[("@winrm/mim01", {5: 1})]
    ),
    "winrm_user with a slash": host(
        "winrm_user is 'CONTOSO/admin', expected DOMAIN\\user or user@domain, with a backslash",
        winrm_user="CONTOSO/admin",
    ),
    "a password of the wrong type": host("winrm_password is of type list, expected a text", winrm_password=[PASSWORD]),
    "a directory password of the wrong type": host(
        "directory_password is of type bytes, expected a text", directory_user="a", directory_password=PASSWORD.encode()
    ),
    "half a directory credential": host(
        "directory_user and directory_password belong together: give both or none", directory_user="CONTOSO\\admin"
    ),
    "an unknown directory_ key": host(
        f"directory_servers is not known here; did you mean directory_server? {DIRECTORY}", directory_servers=["dc01"]
    ),
    "the port of the global catalog": host(
        "directory_port is 3268, expected 389, with TLS 636: the global catalog takes no changes", directory_port=3268
    ),
    "restart_mim as text": host("restart_mim is 'true', expected True or False", restart_mim="true"),
    "a host's own certificate": host(
        "sdk_certificate is 'cn=mfa01', expected the 40 hex digits of a certificate's thumbprint",
        sdk_certificate="cn=mfa01",
    ),
    "a host's own desired state": host("desired is NoneType, expected a dict", desired=None),
    "one mistake of all hosts": groups(
        "hosts mfa01, mim01: winrm_port is 70000, expected 1 to 65535",
        mfa_servers=[("@winrm/mfa01", {"winrm_port": 70000})],
        mim_servers=(["@winrm/mim01"], {"winrm_port": 70000}),
    ),
}


def written(folder: Path, case: Case) -> Path:
    """The files of a case; the path of its inventory."""
    (folder / "group_data").mkdir(parents=True)
    if case.data is not None:
        (folder / "group_data" / "ours.py").write_text(case.data, encoding="utf-8")
    inventory = folder / "ours.py"
    lines = [f"{name} = {value!r}" for name, value in case.groups.items()]
    named = ", ".join(f"{name}={name}" for name in case.groups)
    call = ["from connectors.inventory import check", f"check(__file__, {named})"]
    inventory.write_text("\n".join([*lines, *call, ""]), encoding="utf-8")
    return inventory


def said(case: Case) -> str:
    """The message of a case."""
    head = "the inventory is not usable:\n    " if len(case.says) > 1 else ""
    return head + "\n    ".join(case.says)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_wrong_inventory_is_refused_with_what_is_wrong_in_it(case: Case, tmp_path: Path) -> None:
    with pytest.raises(InventoryError) as error:
        check(str(written(tmp_path, case)), **case.groups)
    assert str(error.value) == said(case)
    assert PASSWORD not in str(error.value)
    assert repr(PASSWORD)[1:-1] not in str(error.value)


def test_group_data_of_all_and_of_a_group_is_looked_at_too(tmp_path: Path) -> None:
    file = written(tmp_path, desired())
    (tmp_path / "group_data" / "all.py").write_text("winrm_port = '5986'\n", encoding="utf-8")
    (tmp_path / "group_data" / "mim_servers.py").write_text("winrm_ports = 1\nrestart_mim = 1\n", encoding="utf-8")
    with pytest.raises(InventoryError) as error:
        check(str(file), **HOSTS)
    assert str(error.value).splitlines() == [
        "the inventory is not usable:",
        "    group_data/mim_servers.py: restart_mim is 1, expected True or False",
        "    ours.py: hosts mfa01, mim01: winrm_port is '5986', expected a whole number, without quotes",
        f"    ours.py: host mim01: winrm_ports is not known here; did you mean winrm_port? {WINRM}",
    ]


# -- what is accepted --

RIGHT_ONES: Final = {
    "the plain one": desired(),
    "a thumbprint as the certificate dialog gives it, with U+200E": desired(
        site={"thumbprint": "\u200e01 23 45 67 89 ab cd ef 01 23 45 67 89 ab cd ef 01 23 45 67"}
    ),
    "a thumbprint with dashes": desired(
        site={"thumbprint": "01-23-45-67-89-ab-cd-ef-01-23-45-67-89-ab-cd-ef-01-23-45-67"}
    ),
    "two ports of one address": groups(
        mim_servers=[
            ("@winrm/a", {"winrm_hostname": "mim.contoso.com"}),
            ("@winrm/b", {"winrm_hostname": "mim.contoso.com", "winrm_scheme": "http"}),
        ]
    ),
    "names at the edge of what is legal": desired(
        site={"path": r"D:\a\..\b c.d\e-f_g(1)", "app_pool": "$" + "p" * 63, "host_name": "*.bücher.contoso.com"},
        admins={"group": "Größe @ Müller & Söhne" + "g" * 42, "service_account": r"CN=a\\b\,c/d,DC=contoso,DC=com"},
        settings={
            "parent": "/m:a[@xml:lang='k:x']/descendant::m:b[1] | //c[count(m:d) = 1]",
            "namespaces": {"m": "urn:m"},
        },
    ),
    "a host name for any": desired(site={"host_name": "*"}),
    "MIM servers alone": Case((), desired(site={"thumbprint": None}).data, {"mim_servers": ["@winrm/mim01"]}),
    "data for a whole group": groups(mim_servers=(["@winrm/mim01", "@winrm/mim02"], {"winrm_user": "CONTOSO\\admin"})),
    "a password that is a Secret": groups(mim_servers=[("@winrm/mim01", {"winrm_password": Secret(PASSWORD)})]),
    "IPv6": groups(mim_servers=[("@winrm/mim01", {"winrm_hostname": "fd00::25"})]),
    "names that are imported": data(text=f"import os\nfrom pathlib import Path\n{desired().data}"),
}


@contextmanager
def warnings() -> Iterator[list[str]]:
    """What pyinfra's logger warns of."""
    seen: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record.getMessage())

    handler = Keep(logging.WARNING)
    logging.getLogger("pyinfra").addHandler(handler)
    try:
        yield seen
    finally:
        logging.getLogger("pyinfra").removeHandler(handler)


@pytest.mark.parametrize("case", RIGHT_ONES.values(), ids=RIGHT_ONES)
def test_a_right_inventory_is_accepted_in_silence(case: Case, tmp_path: Path) -> None:
    with warnings() as seen:
        check(str(written(tmp_path, case)), **case.groups)
    assert seen == []


def test_a_hidden_mark_in_a_thumbprint_is_taken_out() -> None:
    state = {**RIGHT, "site": {"thumbprint": f"\u200e{THUMBPRINT.lower()}"}}
    assert parse(state).site.thumbprint == THUMBPRINT


def test_a_password_in_clear_is_warned_about_and_not_shown(tmp_path: Path) -> None:
    own = {"winrm_password": PASSWORD}
    case = groups(mim_servers=[("@winrm/mim01", own), ("@winrm/mim02", own), "@winrm/mim03"])
    with warnings() as seen:
        check(str(written(tmp_path, case)), **case.groups)
    assert seen == [f"ours.py: hosts mim01, mim02: winrm_password {PLAIN}"]


def test_a_password_of_the_directory_in_clear_is_warned_about_in_words_of_its_own(tmp_path: Path) -> None:
    own = {"directory_user": "CONTOSO\\admin", "directory_password": PASSWORD}
    case = groups(mim_servers=[("@winrm/mim01", own)])
    with warnings() as seen:
        check(str(written(tmp_path, case)), **case.groups)
    plain = "is plain text, which pyinfra prints (debug-inventory). Wrap it: Secret(...) of model.secret"
    assert seen == [f"ours.py: host mim01: directory_password {plain}"]


def test_host_data_that_no_inventory_checked_is_refused_when_the_host_is_opened() -> None:
    with pytest.raises(
        ValueError, match=r"^winrm_port is 0, expected 1 to 65535; winrm_verify is 1, expected True or False$"
    ):
        settings_of("mim01", {"winrm_port": 0, "winrm_verify": 1})


# -- what a run is given with --data --

NO_CERTIFICATE: Final = "no certificate for its site: sdk_certificate and desired.site.thumbprint are both left out"
FOR_ALL: Final[dict[str, Any]] = {"desired": RIGHT, "winrm_port": 5986}
BARE: Final[dict[str, Any]] = {"desired": {**RIGHT, "site": {}}}
GIVEN: Final[dict[str, tuple[Mapping[str, Any], str]]] = {
    "restart_mim=no": (FOR_ALL | {"restart_mim": "no"}, "restart_mim is 'no', expected True or False"),
    "restart_mim=1": (FOR_ALL | {"restart_mim": 1}, "restart_mim is 1, expected True or False"),
    "restart_mim=null": (FOR_ALL | {"restart_mim": None}, "restart_mim is None, expected True or False"),
    "restart_mm=true": (
        FOR_ALL | {"restart_mm": True},
        f"restart_mm is not known here; did you mean restart_mim? {KNOWN}",
    ),
    # 40 digits without a letter are a number to pyinfra, its zeros lost.
    "sdk_certificate=0": (FOR_ALL | {"sdk_certificate": 0}, "sdk_certificate is 0, expected a text"),
    "no desired state": ({}, "desired is NoneType, expected a dict"),
    "no certificate": (BARE, NO_CERTIFICATE),
    "a certificate that is None": (BARE | {"sdk_certificate": None}, NO_CERTIFICATE),
}


@pytest.mark.parametrize(("given", "says"), GIVEN.values(), ids=GIVEN)
def test_what_data_gives_a_run_is_checked_too(given: Mapping[str, Any], says: str) -> None:
    with pytest.raises(InventoryError) as error:
        check_run("mfa01", given, ["mfa_servers"])
    assert str(error.value) == f"host mfa01: {says}"


def test_a_run_with_right_data_is_accepted_and_a_certificate_is_only_needed_where_it_is_bound() -> None:
    check_run("mfa01", {**FOR_ALL, "restart_mim": True}, ["mfa_servers"])
    check_run("mfa01", {**BARE, "sdk_certificate": THUMBPRINT}, ["mfa_servers"])
    check_run("mim01", BARE, ["all", "mim_servers"])


def test_names_with_an_underscore_are_the_users_own() -> None:
    check_run("mim01", {**BARE, "_timeout": 50, "_port": 9999}, ["mim_servers"])


def test_a_host_that_is_in_none_of_the_groups_is_not_passed_over_in_silence() -> None:
    with pytest.raises(InventoryError) as error:
        check_groups({"mfa01": ["mfa_servers"], "mim01": ["mim_serverz", "ours"]})
    assert str(error.value) == (
        "host mim01 is in none of the groups domain_controllers, mfa_servers, mim_servers, so nothing would be done to it: "
        "put it in one, or leave it out with --limit"
    )


def test_a_certificate_of_a_host_that_is_none_is_left_out_and_that_of_all_holds() -> None:
    own = "A" * 40
    found = [thumbprint_of({**FOR_ALL, **given}) for given in ({}, {"sdk_certificate": None}, {"sdk_certificate": own})]
    assert found == [THUMBPRINT, THUMBPRINT, own]


# -- through pyinfra --


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A port that notices whoever comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def pyinfra(*arguments: str) -> subprocess.CompletedProcess[str]:
    """pyinfra in a process of its own: its command line patches what this one must not have patched."""
    program = str(Path(sys.executable).with_name("pyinfra"))
    environment = {**os.environ, "PYTHONPATH": str(TREE)}
    return subprocess.run(  # noqa: S603 - our own inventories
        [program, *arguments], cwd=TREE, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def refused(done: subprocess.CompletedProcess[str], own: Sequence[str] = ("--> Loading",)) -> list[str]:
    """What pyinfra printed, without its own lines."""
    return [
        line.strip() for line in (done.stdout + done.stderr).splitlines() if line and not line.startswith(tuple(own))
    ]


AT_PYINFRA: Final = ("port 70000", "a hostname with http://", "an unknown key of the settings, with a secret")


@pytest.mark.slow
@pytest.mark.parametrize("name", AT_PYINFRA)
def test_pyinfra_ends_with_one_line_and_contacts_no_host(name: str, tmp_path: Path, listener: socket.socket) -> None:
    case = CASES[name]
    port = listener.getsockname()[1]
    dc = [("@winrm/dc01", {"winrm_hostname": "127.0.0.1", "winrm_port": port, "winrm_user": "a"})]
    inventory = written(tmp_path, Case(case.says, case.data, {**case.groups, "domain_controllers": dc}))
    done = pyinfra(str(inventory), "deploy.py", "-y")
    shown = refused(done)
    assert (done.returncode, len(shown)) == (1, 1)
    assert shown[0].startswith("--> pyinfra error in ")
    assert shown[0].endswith(f": {said(case)}")
    with pytest.raises(BlockingIOError):
        listener.accept()


@pytest.mark.slow
def test_pyinfra_goes_on_after_the_warning_of_a_password(tmp_path: Path) -> None:
    case = groups(mim_servers=[("@winrm/mim01", {"winrm_password": PASSWORD, "winrm_user": "a"})])
    done = pyinfra(str(written(tmp_path, case)), "debug-inventory")
    shown = refused(done)
    assert done.returncode == 0
    assert shown[0] == f"ours.py: host mim01: winrm_password {PLAIN}"


def test_a_lab_that_cannot_be_started_is_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_engine: str) -> None:
        raise LabError("the lab of the other engine runs. Stop it first")

    monkeypatch.setattr(control, "ensure_started", refuse)
    with pytest.raises(InventoryError) as error:
        runpy.run_path(str(TREE / "inventories" / "lab.py"))
    assert str(error.value) == "the lab of the other engine runs. Stop it first"
