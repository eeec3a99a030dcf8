"""
The LocalMachine certificate stores of a machine of the python engine, in the document `certificates`.

Private keys are not kept: what is known of one is that it is there. The verb is in windows.py.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from lab.state import fold

if TYPE_CHECKING:
    from lab.python_engine import PythonMachine

STORES: Final = ("My", "Root", "CA")  # there from the start; others when a certificate is put into them

# How .NET writes the parts of a name (X500DistinguishedName.Name); any other is OID.1.2.3=...
NAMES: Final = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "SERIALNUMBER",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "S",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "T",
    "2.5.4.42": "G",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "E",
}


@dataclass(frozen=True)
class Certificate:
    """One certificate of a store."""

    x509: x509.Certificate
    private_key: bool

    @property
    def thumbprint(self) -> str:
        """SHA-1 of the certificate, upper-case hex as Windows shows it."""
        return _thumbprint(self.x509.public_bytes(Encoding.DER))

    @property
    def names(self) -> list[str]:
        """The DNS names of its subject alternative name."""
        try:
            extension = self.x509.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            return []
        return list(extension.value.get_values_for_type(x509.DNSName))

    @property
    def usages(self) -> list[str]:
        """The OIDs of its extended key usage."""
        try:
            extension = self.x509.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
        except x509.ExtensionNotFound:
            return []
        return [usage.dotted_string for usage in extension.value]


def add(machine: PythonMachine, pfx: bytes, password: str, store: str, *, private_key: bool) -> str:
    """
    Put the certificate of a PFX into a store, which is made if need be; its thumbprint.

    Raises ValueError for a PFX without a certificate or with another password.
    """
    _, certificate, _ = pkcs12.load_key_and_certificates(pfx, password.encode())
    if certificate is None:
        raise ValueError("the PFX holds no certificate")
    der = certificate.public_bytes(Encoding.DER)
    stores = _stores(machine)
    spelled = next((name for name in stores if fold(name) == fold(store)), store)
    entry = {"der": base64.b64encode(der).decode("ascii"), "private_key": private_key}
    machine.state.write("certificates", stores | {spelled: stores.get(spelled, {}) | {_thumbprint(der): entry}})
    return _thumbprint(der)


def find(machine: PythonMachine, store: str, thumbprint: str) -> Certificate | None:
    """One certificate, None where the store has none of that thumbprint (in any case). Raises KeyError where there is no such store."""
    entries = next((entries for name, entries in _stores(machine).items() if fold(name) == fold(store)), None)
    if entries is None:
        raise KeyError(store)
    entry = entries.get(thumbprint.upper())
    if entry is None:
        return None
    return Certificate(x509.load_der_x509_certificate(base64.b64decode(entry["der"])), entry["private_key"])


def every(machine: PythonMachine) -> Iterator[tuple[str, str, bool]]:
    """Every certificate: store, thumbprint, whether its private key is there."""
    for store, entries in _stores(machine).items():
        for thumbprint, entry in entries.items():
            yield store, thumbprint, entry["private_key"]


def name_text(name: x509.Name) -> str:
    """A name as .NET's `Subject` and `Issuer` write it: last part first, `S` for a state, quotes around what has separators in it."""
    return ", ".join(
        "+".join(
            f"{NAMES.get(one.oid.dotted_string, f'OID.{one.oid.dotted_string}')}={_quoted(str(one.value))}"
            for one in part
        )
        for part in reversed(name.rdns)
    )


def _quoted(text: str) -> str:
    if text == text.strip() and not set(text) & set(',+="<>#;\n'):
        return text
    return '"' + text.replace('"', '""') + '"'


def _thumbprint(der: bytes) -> str:
    return hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()


def _stores(machine: PythonMachine) -> dict[str, dict[str, Any]]:
    kept: dict[str, dict[str, Any]] = machine.state.read("certificates", {})
    return {name: {} for name in STORES} | kept
