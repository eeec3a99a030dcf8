"""
The state `installed`: what a machine of each role holds before anybody configures it. The same through every engine.

Arranges through lab/engine.py's Machine only. What Microsoft's pages say of these machines is in shared/facts/mim-mfa.md, 2 to 4; where they are
silent (the root of MfaSettings.xml, names of the MFA Server's programs) the lab says something likely, and nothing may rest on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final, Literal, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import PrivateFormat, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.engine import Machine, Service

Role: TypeAlias = Literal["dc", "mfa", "mim"]
Root: TypeAlias = Literal["plain", "namespace", "nested"]

DATA: Final = Path(__file__).parent / "data"
DOMAIN: Final = "contoso.com"
BASE_DN: Final = "DC=contoso,DC=com"
UNINSTALL: Final = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall"
INETSRV: Final = r"C:\Windows\System32\inetsrv"

MIM_FOLDER: Final = r"C:\Program Files\Microsoft Forefront Identity Manager\2010\Service"
MFA_SETTINGS: Final = rf"{MIM_FOLDER}\MfaSettings.xml"
MIM_PRODUCT: Final = "Microsoft Identity Manager Service and Portal"
MIM_BUILD: Final = "4.5.286.0"
MIM_ACCOUNT: Final = r"CONTOSO\mimservice"
MFA_FOLDER: Final = r"C:\Program Files\Multi-Factor Authentication Server"

NAMESPACE: Final = "urn:lab:mfa-settings"
OPENING: Final[Mapping[Root, tuple[str, str]]] = {
    "plain": ("<MfaSettings>", "</MfaSettings>"),
    "namespace": (f'<MfaSettings xmlns="{NAMESPACE}">', "</MfaSettings>"),
    "nested": ("<configuration>\r\n  <MfaSettings>", "  </MfaSettings>\r\n</configuration>"),
}


@dataclass(frozen=True)
class DirectSdk:
    """What an MfaSettings.xml of the Direct SDK holds. Three of them are secrets on a real server; these say that they are not."""

    license_key: str = field(default="LAB-LICENSE-KEY-IS-NO-SECRET", repr=False)
    group_key: str = field(default="lab-group-key-is-no-secret", repr=False)
    cert_password: str = field(default="lab cert password & no secret", repr=False)
    cert_file_path: str = rf"{MIM_FOLDER}\MfaCerts\cert_key.p12"
    username: str = "mimservice"
    default_country_code: str = "1"


def seed(
    machine: Machine,
    role: Role,
    *,
    mim_build: str = MIM_BUILD,
    root: Root = "plain",
    encoding: str = "utf-8",
    values: DirectSdk | None = None,
) -> None:
    """
    Bring a new machine to the state `installed`.

    + mim_build: version of MIM on a `mim` machine
    + root: shape of its MfaSettings.xml, which no source tells
    + encoding: of that file, a Python codec; `utf-8-sig` and `utf-16` write a byte order mark
    + values: what it holds
    """
    match role:
        case "dc":
            _seed_directory(machine)
        case "mfa":
            _seed_iis(machine)
            _seed_mfa_server(machine)
        case "mim":
            _seed_mim(machine, mim_build, mfa_settings(root, encoding, values or DirectSdk()))


def shaped(root: Root) -> Callable[[Machine, Role, str | None], None]:
    """A `seed` as lab/lab.py takes it, with another shape of MfaSettings.xml."""
    return lambda machine, role, build: seed(machine, role, mim_build=build or MIM_BUILD, root=root)


# -- mim --


def mfa_settings(root: Root = "plain", encoding: str = "utf-8", values: DirectSdk | None = None) -> bytes:
    """An MfaSettings.xml that uses the Direct SDK."""
    values = values or DirectSdk()
    elements = {
        "LICENSE_KEY": values.license_key,
        "GROUP_KEY": values.group_key,
        "CERT_PASSWORD": values.cert_password,
        "CertFilePath": values.cert_file_path,
        "Username": values.username,
        "DefaultCountryCode": values.default_country_code,
    }
    opening, closing = OPENING[root]
    indent = "    " if root == "nested" else "  "
    lines = [
        f'<?xml version="1.0" encoding="{encoding.removesuffix("-sig")}"?>',
        "<!-- Settings of the Azure MFA SDK. Restart the service after a change. -->",
        opening,
        *(f"{indent}<{name}>{_escaped(text)}</{name}>" for name, text in elements.items()),
        closing,
        "",
    ]
    return "\r\n".join(lines).encode(encoding, "xmlcharrefreplace")


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _seed_mim(machine: Machine, build: str, settings: bytes) -> None:
    machine.set_registry(
        rf"{UNINSTALL}\{{8F4E5B3C-6A1D-4C9E-9B57-0D2A7E61C450}}",
        {"DisplayName": MIM_PRODUCT, "DisplayVersion": build, "Publisher": "Microsoft Corporation"},
    )
    machine.write_file(DirectSdk().cert_file_path, b"lab: stands for a PKCS #12 file\r\n")
    machine.write_file(MFA_SETTINGS, settings)
    # After the file: a service that is older than its settings is one that has to be restarted.
    machine.add_service(
        Service(
            "FIMService",
            rf"{MIM_FOLDER}\Microsoft.ResourceManagement.Service.exe",
            display_name="Forefront Identity Manager Service",
            account=MIM_ACCOUNT,
        )
    )


# -- mfa --


def _seed_iis(machine: Machine) -> None:
    assembly, schema = rf"{INETSRV}\Microsoft.Web.Administration.dll", rf"{INETSRV}\config\schema\IIS_schema.xml"
    if machine.read_file(assembly) is None:  # the powershell engine has a real one
        machine.write_file(assembly, b"MZ lab: says that IIS is installed\r\n")
    if machine.read_file(schema) is None:
        machine.write_file(schema, (DATA / "schema.xml").read_bytes())
    machine.write_file(rf"{INETSRV}\config\applicationHost.config", (DATA / "applicationHost.config").read_bytes())
    machine.make_folder(r"C:\inetpub\wwwroot")
    machine.make_folder(r"C:\inetpub\logs\LogFiles")
    # On Windows both live in one svchost.exe; the lab gives each a program, so that each has a process that is its own.
    machine.add_service(Service("WAS", rf"{INETSRV}\was.exe", display_name="Windows Process Activation Service"))
    machine.add_service(
        Service("W3SVC", rf"{INETSRV}\w3svc.exe", display_name="World Wide Web Publishing Service", depends_on=("WAS",))
    )
    machine.set_iis_state("pool", "DefaultAppPool", "Started")
    machine.set_iis_state("site", "Default Web Site", "Started")


def _seed_mfa_server(machine: Machine) -> None:
    machine.set_registry(r"HKLM\SOFTWARE\WOW6432Node\Positive Networks\PhoneFactor", {"InstallPath": MFA_FOLDER + "\\"})
    for name in (
        "MultiFactorAuthenticationWebServiceSdkSetup64.msi",
        "MultiFactorAuthenticationUserPortalSetup64.msi",
        "MultiFactorAuthenticationAdfsAdapterSetup64.msi",
        r"Data\PhoneFactor.pfdata",
        r"Logs\MultiFactorAuthSvc.log",
    ):
        machine.write_file(rf"{MFA_FOLDER}\{name}", b"lab: stands for a file of the MFA Server\r\n")
    machine.add_service(
        Service(
            "MultiFactorAuth",
            rf"{MFA_FOLDER}\MultiFactorAuthSvc.exe",
            display_name="Multi-Factor Authentication Server",
        )
    )
    own = certificate(machine.name)
    machine.add_certificate(own.pfx, own.password)


@dataclass(frozen=True)
class LabCertificate:
    """A certificate with its key: `pfx` is read with `password`; `thumbprint` is the same in every lab."""

    thumbprint: str
    pfx: bytes = field(repr=False)
    password: str = field(default="lab", repr=False)


@cache
def certificate(
    host: str,
    *,
    names: Sequence[str] | None = None,
    not_before: datetime = datetime(2020, 1, 1, tzinfo=UTC),
    not_after: datetime = datetime(2049, 12, 31, tzinfo=UTC),
) -> LabCertificate:
    """
    The TLS certificate of a host, signed by itself. Everybody knows its key: it serves nothing but the lab.

    + names: DNS names (a tuple); `HOST.contoso.com`, `HOST` when omitted
    """
    names = names or (f"{host}.{DOMAIN}", host)
    key = _key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encryption = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(1000).build(b"lab")
    pfx = pkcs12.serialize_key_and_certificates(host.encode(), key, made, None, encryption)
    return LabCertificate(made.fingerprint(hashes.SHA1()).hex().upper(), pfx)  # noqa: S303 (what Windows calls thumbprint)


@cache
def _key() -> rsa.RSAPrivateKey:
    """An RSA key of 2048 bits, always the same one and made in a moment: its primes are the next ones after two hashes."""

    def prime(name: bytes, next_one: int) -> int:
        start = int.from_bytes(hashlib.shake_256(b"lab of pyinfra-mim " + name).digest(128), "big")
        return (start | 3 << 1022 | 1) + next_one

    p, q, e = prime(b"p", 62), prime(b"q", 194), 65537
    d = pow(e, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), rsa.RSAPublicNumbers(e, p * q)
    )
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)  # a tenth of a second, for a key that never changes


# -- dc --

USER: Final = ("top", "person", "organizationalPerson", "user")
GLOBAL_SECURITY: Final = "-2147483646"
ENABLED_WITHOUT: Final = "544"  # userAccountControl: an account that is enabled although it has no password


def _seed_directory(machine: Machine) -> None:
    people = {"mimservice": "mimservice", "anna": "Anna Müller", "bob": "Bob O'Neil", "corp.admin": "Corp Admin"}
    for account, name in people.items():
        machine.directory_add(
            f"CN={name},CN=Users,{BASE_DN}",
            {
                "objectClass": USER,
                "sAMAccountName": (account,),
                "userPrincipalName": (f"{account}@{DOMAIN}",),
                "displayName": (name,),
                "userAccountControl": (ENABLED_WITHOUT,),
            },
        )
    machine.directory_add(
        f"CN=PhoneFactor Admins,CN=Users,{BASE_DN}",
        {
            "objectClass": ("top", "group"),
            "sAMAccountName": ("PhoneFactor Admins",),
            "groupType": (GLOBAL_SECURITY,),
        },
    )
