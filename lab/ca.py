"""
The lab's own certificate authority and the TLS certificates of its hosts, as files. Nothing trusts it but who is given `ca.pem`.

Keys are EC P-256: made in a millisecond. Imported only when `lab/state.py` finds one missing or old, since cryptography is slow to load.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

DAYS: Final = 800  # Apple's TLS accepts no more than 825


def make_authority(folder: Path) -> None:
    """Make `ca.pem` (to trust) and `ca.key`; every certificate of the old one is removed."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in folder.glob("*.pem"):
        path.unlink()
    _make_authority(folder / "ca.pem", folder / "ca.key")


def make_host(folder: Path, host: str) -> None:
    """Make `HOST.pem`: the key and the certificate of the names HOST, HOST.contoso.com, localhost and 127.0.0.1. Mode 0600."""
    _make_host(host, folder / f"{host}.pem", folder / "ca.pem", folder / "ca.key")


def _make_authority(certificate: Path, key_file: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("pyinfra-mim lab")
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    extensions = [
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (usage, True),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
    ]
    _write(key_file, _key_pem(key))
    _write(certificate, _pem(_sign(name, key, name, key, extensions)))


def _make_host(host: str, path: Path, authority: Path, authority_key: Path) -> None:
    issuer = x509.load_pem_x509_certificate(authority.read_bytes())
    issuer_key = load_pem_private_key(authority_key.read_bytes(), None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise TypeError(
            f"{authority_key} holds another kind of key than this lab makes. Remove {authority_key.parent}."
        )
    key = ec.generate_private_key(ec.SECP256R1())
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in (host, f"{host}.contoso.com", "localhost")]
    names.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (x509.SubjectAlternativeName(names), False),
        (x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False),
    ]
    certificate = _sign(_name(f"{host}.contoso.com"), key, issuer.subject, issuer_key, extensions)
    _write(path, _key_pem(key) + _pem(certificate))


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, common)])


def _sign(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    extensions: Iterable[tuple[x509.ExtensionType, bool]],
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=DAYS))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(issuer_key, SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
