"""What the Samba of a machine is set up with: its certificate and its smb.conf. The machine is lab/samba.py's."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SMB_CONF: Final = """\
[global]
netbios name = {netbios}
realm = {realm}
workgroup = {domain}
server role = active directory domain controller
server services = ldap
rpc start on demand helpers = no
interfaces = {address}/8
bind interfaces only = yes
private dir = {folder}/ad/private
state directory = {folder}/ad/state
cache directory = {folder}/ad/cache
lock directory = {folder}/ad
binddns dir = {folder}/ad/bind-dns
pid directory = {folder}/run
ncalrpc dir = {folder}/run/ncalrpc
winbindd socket directory = {folder}/run/winbindd
ntp signd socket directory = {folder}/run/ntp
log file = {folder}/samba.log
logging = file
max log size = 1000
tls enabled = yes
tls keyfile = {folder}/tls/key.pem
tls certfile = {folder}/tls/cert.pem
tls cafile = {folder}/tls/ca.pem
"""


def write_certificate(folder: Path, address: str, names: Sequence[str]) -> None:
    """A certificate authority (`ca.pem`) and a server certificate for the address and the names, below `folder`."""
    now = datetime.now(UTC)

    def builder(subject: str, issuer: str, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=3650))
        )

    authority, key, issuer = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
        "lab directory CA",
    )
    root = builder(issuer, issuer, authority.public_key()).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    alternatives.append(x509.IPAddress(ipaddress.ip_address(address)))
    leaf = (
        builder(names[0], issuer, key.public_key())
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(root.sign(authority, hashes.SHA256()).public_bytes(pem))
    (folder / "cert.pem").write_bytes(leaf.sign(authority, hashes.SHA256()).public_bytes(pem))
    handle = os.open(folder / "key.pem", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
