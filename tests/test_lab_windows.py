"""The `windows` verbs of the python engine: the host, its services, products and certificates (docs/verbs.md, windows)."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from lab.certificates import name_text
from lab.engine import Service
from lab.python_engine import PythonMachine
from lab.services import KEY, program_of
from lab.verbs import Session
from tests.lab_python import ask, new_machine, refused

FOLDER = r"C:\Program Files\Microsoft Forefront Identity Manager\2010\Service"
PROGRAM = rf"{FOLDER}\Microsoft.ResourceManagement.Service.exe"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z")
UNINSTALL = r"Microsoft\Windows\CurrentVersion\Uninstall"
MIM = "Microsoft Identity Manager Service and Portal"


@pytest.fixture
def machine(tmp_path: Path) -> PythonMachine:
    made = new_machine(tmp_path)
    made.add_service(Service("FIMService", PROGRAM, "Forefront Identity Manager Service", r"CONTOSO\MIMService"))
    return made


def service(machine: PythonMachine, name: str) -> dict[str, Any]:
    result, _ = ask(machine, "Get-ServiceState", service=name)
    assert isinstance(result, dict)
    return result


# -- Get-HostInfo --


def test_get_host_info_says_what_the_host_is(machine: PythonMachine) -> None:
    result, _ = ask(machine, "Get-HostInfo", session=Session(4712))
    assert TIME.fullmatch(result.pop("time_utc"))
    assert result == {
        "computer": "MIM01",
        "domain": "contoso.com",
        "os_version": "10.0.17763.0",
        "powershell": "5.1.17763.1",
        "edition": "Desktop",
        "is64": True,
        "user": r"CONTOSO\Administrator",
        "culture": "en-US",
        "system_drive": "C:",
        "system_root": r"C:\Windows",
        "pid": 4712,
    }


def test_a_host_outside_a_domain_has_none(machine: PythonMachine) -> None:
    machine.remove_registry(rf"{KEY}\Tcpip\Parameters")
    result, _ = ask(machine, "Get-HostInfo")
    assert (result["domain"], result["user"]) == ("", r"MIM01\Administrator")


# -- services --


def test_get_service_state_answers_configuration_and_process(machine: PythonMachine) -> None:
    found = service(machine, "fimservice")
    assert found.pop("pid") % 4 == 0
    assert TIME.fullmatch(found.pop("started_utc"))
    assert found == {
        "found": True,
        "service": "FIMService",
        "display_name": "Forefront Identity Manager Service",
        "state": "running",
        "start": "automatic",
        "path": f'"{PROGRAM}"',
        "program": PROGRAM,
        "account": r"CONTOSO\MIMService",
        "depends_on": [],
        "dependents": [],
    }


def test_get_service_state_answers_that_there_is_none(machine: PythonMachine) -> None:
    assert service(machine, "nothing") == {
        "found": False,
        "service": "nothing",
        "display_name": None,
        "state": None,
        "start": None,
        "path": None,
        "program": None,
        "account": None,
        "pid": None,
        "started_utc": None,
        "depends_on": [],
        "dependents": [],
    }


def test_the_registry_is_where_a_service_is_configured(machine: PythonMachine) -> None:
    image = r"%SystemRoot%\System32\svc.exe -k"
    machine.set_registry(rf"{KEY}\fimservice", {"ImagePath": image, "start": 3, "ObjectName": "LocalSystem"})
    found = service(machine, "FIMService")
    assert (found["path"], found["program"]) == (image, r"C:\Windows\System32\svc.exe")
    assert (found["start"], found["account"]) == ("manual", "LocalSystem")
    machine.remove_registry(rf"{KEY}\FIMService")
    assert service(machine, "FIMService")["found"] is False


def test_dependents_are_found_through_others_in_any_case_and_the_nearest_come_first(machine: PythonMachine) -> None:
    for name, needs, running in (
        ("Zulu", "FIMSERVICE", True),
        ("Alpha", "zulu", False),
        ("Bravo", "alpha", True),
        ("Mike", "fimservice", False),
    ):
        machine.add_service(Service(name, rf"C:\{name}.exe", depends_on=(needs, "Tcpip"), running=running))
    machine.set_registry(rf"{KEY}\FIMService", {"DependOnService": ("Bravo",)})  # a ring does not turn for ever
    found = service(machine, "FIMService")
    assert found["depends_on"] == ["Bravo"]
    assert found["dependents"] == [
        {"service": "Mike", "state": "stopped"},
        {"service": "Zulu", "state": "running"},
        {"service": "Alpha", "state": "stopped"},
        {"service": "Bravo", "state": "running"},
    ]


def test_two_services_of_one_program_have_no_process_that_can_be_told(machine: PythonMachine) -> None:
    machine.add_service(Service("Other", PROGRAM.upper()))
    assert [service(machine, "FIMService")[name] for name in ("state", "pid", "started_utc")] == ["running", None, None]
    ask(machine, "Set-ServiceState", service="Other", state="stopped", expected="running")
    assert service(machine, "FIMService")["pid"] is not None
    assert service(machine, "Other")["pid"] is None


def test_a_restart_gives_a_new_process_that_started_later(machine: PythonMachine) -> None:
    seen = [(service(machine, "FIMService")["pid"], service(machine, "FIMService")["started_utc"])]
    for _ in range(20):
        stopped, _ = ask(machine, "Set-ServiceState", service="fimservice", state="stopped", expected="running")
        assert stopped == {"state": "stopped", "pid": None, "started_utc": None}
        running, _ = ask(machine, "Set-ServiceState", service="FIMService", state="running", expected="stopped")
        seen.append((running["pid"], running["started_utc"]))
    assert len({pid for pid, _ in seen}) == len(seen)
    assert [started for _, started in seen] == sorted({started for _, started in seen})
    found = service(machine, "FIMService")
    assert (found["pid"], found["started_utc"]) == seen[-1]


def test_a_file_and_a_process_have_times_of_one_clock(machine: PythonMachine) -> None:
    for _ in range(5):
        machine.write_file(rf"{FOLDER}\MfaSettings.xml", b"")
        written = ask(machine, "Read-File", path=rf"{FOLDER}\MfaSettings.xml")[0]["last_write_utc"]
        ask(machine, "Set-ServiceState", service="FIMService", state="stopped", expected="running")
        ask(machine, "Set-ServiceState", service="FIMService", state="running", expected="stopped")
        assert written < service(machine, "FIMService")["started_utc"]


def test_a_service_that_is_there_already_is_left_alone(machine: PythonMachine) -> None:
    before = machine.snapshot()
    found = service(machine, "FIMService")
    answer, _ = ask(machine, "Set-ServiceState", service="FIMService", state="running", expected="running")
    assert answer == {"state": "running", "pid": found["pid"], "started_utc": found["started_utc"]}
    assert machine.snapshot() == before


def test_starting_a_service_starts_what_it_needs(machine: PythonMachine) -> None:
    machine.add_service(Service("Needed", r"C:\needed.exe", running=False))
    machine.add_service(Service("Needing", r"C:\needing.exe", depends_on=("+Group", "needed"), running=False))
    ask(machine, "Set-ServiceState", service="Needing", state="running", expected="stopped")
    assert [service(machine, name)["state"] for name in ("Needed", "Needing")] == ["running", "running"]


def test_set_service_state_refuses_and_changes_nothing(machine: PythonMachine) -> None:
    machine.add_service(Service("Dependent", r"C:\dependent.exe", depends_on=("FIMService",)))
    machine.add_service(Service("Off", r"C:\off.exe", start="disabled", running=False))
    machine.add_service(Service("Broken", r"C:\broken.exe", running=False, broken=True))
    machine.add_service(Service("Gone", r"C:\gone.exe", running=False))
    machine.add_service(Service("Needing", r"C:\needing.exe", depends_on=("Broken",), running=False))
    machine.add_service(Service("Alone", r"C:\alone.exe", depends_on=("Nobody",), running=False))
    machine.remove_file(r"C:\gone.exe")
    before = machine.snapshot()

    def wrong(service: str, state: str, expected: str, **args: Any) -> tuple[str, str]:
        return refused(machine, "Set-ServiceState", service=service, state=state, expected=expected, **args)[:2]

    assert wrong("nothing", "running", "stopped") == ("missing", "nothing")
    assert wrong("FIMService", "stopped", "stopped") == ("conflict", "FIMService")
    assert wrong("FIMService", "paused", "running") == ("invalid", "state")
    assert wrong("FIMService", "stopped", "on") == ("invalid", "expected")
    assert wrong("FIMService", "stopped", "running", timeout_s=-1) == ("invalid", "timeout_s")
    assert wrong("off", "running", "stopped") == ("invalid", "off")
    assert wrong("Broken", "running", "stopped") == ("timeout", "Broken")
    assert wrong("Gone", "running", "stopped") == ("unknown", "Gone")
    assert wrong("Needing", "running", "stopped") == ("unknown", "Needing")
    assert wrong("Alone", "running", "stopped") == ("unknown", "Alone")
    answer = refused(machine, "Set-ServiceState", service="FIMService", state="stopped", expected="running")
    assert answer == ("busy", "FIMService", "the service Dependent depends on it and is running")
    assert machine.snapshot() == before


def test_a_service_that_does_not_get_there_in_time_is_told_with_its_state(machine: PythonMachine) -> None:
    machine.hang_service("FIMService")
    ask(machine, "Set-ServiceState", service="FIMService", state="stopped", expected="running")
    args: dict[str, Any] = {"service": "FIMService", "state": "running", "timeout_s": 0}
    answer = refused(machine, "Set-ServiceState", expected="stopped", **args)
    assert answer == ("timeout", "FIMService", "is start-pending after 0 seconds, expected running")
    assert refused(machine, "Set-ServiceState", expected="start-pending", **args)[0] == "timeout"
    assert service(machine, "FIMService")["state"] == "start-pending"


programs = st.text(st.characters(exclude_characters='"%', exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@given(programs, programs)
def test_a_program_in_quotes_is_what_stands_between_them(program: str, arguments: str) -> None:
    assert program_of(f'"C:\\{program}.exe" {arguments}') == f"C:\\{program}.exe"


@pytest.mark.parametrize(
    ("stored", "program"),
    [
        (r"C:\Program Files\x y\z.EXE -k -p", r"C:\Program Files\x y\z.EXE"),
        (r"C:\x.exe.config\y.exe", r"C:\x.exe.config\y.exe"),
        (r"C:\x\y z", r"C:\x\y"),
        (r'"%ProgramFiles%\x.exe" "-y"', r"C:\Program Files\x.exe"),
        (r"%systemroot%\x.exe", r"C:\Windows\x.exe"),
        (r"%nothing%\x.exe", r"%nothing%\x.exe"),
        (r"\SystemRoot\System32\drivers\http.sys", r"C:\Windows\System32\drivers\http.sys"),
        (r"system32\drivers\http.sys", r"C:\Windows\system32\drivers\http.sys"),
        (r"\??\C:\x.sys", r"C:\x.sys"),
        ("", ""),
    ],
)
def test_the_program_in_an_image_path(stored: str, program: str) -> None:
    assert program_of(stored) == program


# -- Get-InstalledProduct --


def test_get_installed_product_finds_every_entry_of_that_name_in_both_views(machine: PythonMachine) -> None:
    for key, values in {
        rf"HKLM\SOFTWARE\{UNINSTALL}\{{B}}": {
            "DisplayName": MIM,
            "DisplayVersion": "4.5.286.0",
            "Publisher": "Microsoft",
        },
        rf"HKLM\SOFTWARE\{UNINSTALL}\{{A}}": {"DisplayName": f"{MIM} Language Pack"},
        rf"HKLM\SOFTWARE\{UNINSTALL}\{{C}}": {"DisplayVersion": "1"},
        rf"HKLM\SOFTWARE\WOW6432Node\{UNINSTALL}\old": {"displayname": MIM.upper()},
    }.items():
        machine.set_registry(key, values)
    assert ask(machine, "Get-InstalledProduct", product=MIM.lower())[0] == {
        "products": [
            {"product": MIM, "version": "4.5.286.0", "publisher": "Microsoft", "key": "{B}", "view": "64"},
            {"product": MIM.upper(), "version": "", "publisher": "", "key": "old", "view": "32"},
        ]
    }
    assert ask(machine, "Get-InstalledProduct", product="Microsoft Identity Manager")[0] == {"products": []}


# -- Get-Certificate --


def pfx(*, extensions: bool = True) -> bytes:
    """A self-signed certificate of mfa01, as PFX."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Contoso, Ltd."),
            x509.NameAttribute(NameOID.COMMON_NAME, "mfa01.contoso.com"),
        ]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Contoso CA")]))
        .public_key(key.public_key())
        .serial_number(4711)
        .not_valid_before(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2027, 1, 1, 12, 30, tzinfo=dt.UTC))
    )
    if extensions:
        names = x509.SubjectAlternativeName([x509.DNSName("mfa01.contoso.com"), x509.DNSName("mfa.contoso.com")])
        usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = builder.add_extension(names, critical=False).add_extension(usages, critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    encrypted = BestAvailableEncryption(b"a password")
    return pkcs12.serialize_key_and_certificates(None, key, certificate, None, encrypted)


def test_get_certificate_answers_what_a_certificate_says(machine: PythonMachine) -> None:
    thumbprint = machine.add_certificate(pfx(), "a password")
    assert re.fullmatch("[0-9A-F]{40}", thumbprint)
    assert ask(machine, "Get-Certificate", thumbprint=thumbprint.lower(), store="my")[0] == {
        "found": True,
        "thumbprint": thumbprint,
        "subject": 'CN=mfa01.contoso.com, O="Contoso, Ltd.", C=US',
        "issuer": "CN=Contoso CA",
        "names": ["mfa01.contoso.com", "mfa.contoso.com"],
        "not_before_utc": "2026-01-01T00:00:00.0000000Z",
        "not_after_utc": "2027-01-01T12:30:00.0000000Z",
        "has_private_key": True,
        "usages": ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"],
    }
    assert f"certificate My\\{thumbprint}" in machine.snapshot()


def test_a_certificate_without_extensions_and_key_in_another_store(machine: PythonMachine) -> None:
    thumbprint = machine.add_certificate(pfx(extensions=False), "a password", "WebHosting", private_key=False)
    found, _ = ask(machine, "Get-Certificate", thumbprint=thumbprint, store="WebHosting")
    assert (found["found"], found["names"], found["usages"], found["has_private_key"]) == (True, [], [], False)
    assert ask(machine, "Get-Certificate", thumbprint=thumbprint)[0] == {
        "found": False,
        "thumbprint": thumbprint,
        "subject": None,
        "issuer": None,
        "names": [],
        "not_before_utc": None,
        "not_after_utc": None,
        "has_private_key": False,
        "usages": [],
    }


def test_get_certificate_refuses_what_is_no_thumbprint_and_no_store(machine: PythonMachine) -> None:
    for thumbprint in ("", "0" * 39, "0" * 41, "\u200e" + "0" * 40, "g" * 40):
        assert refused(machine, "Get-Certificate", thumbprint=thumbprint)[:2] == ("invalid", thumbprint)
    for store in ("Nothing", ""):
        assert refused(machine, "Get-Certificate", thumbprint="0" * 40, store=store)[:2] == ("missing", store)


def test_a_pfx_with_another_password_is_not_put_anywhere(machine: PythonMachine) -> None:
    before = machine.snapshot()
    with pytest.raises(ValueError, match=r"(?i)password|PKCS12"):
        machine.add_certificate(pfx(), "another one")
    assert machine.snapshot() == before


@pytest.mark.parametrize(
    ("value", "text"),
    [("plain", "plain"), ('a "b"', '"a ""b"""'), ("a+b", '"a+b"'), (" a", '" a"'), ("ä", "ä")],
)
def test_a_part_of_a_name_is_quoted_where_it_must_be(value: str, text: str) -> None:
    attribute = x509.NameAttribute(NameOID.COMMON_NAME, value, _validate=False)
    state = x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "W")
    odd = x509.NameAttribute(x509.ObjectIdentifier("1.2.3"), "o")
    name = x509.Name([x509.RelativeDistinguishedName([odd]), x509.RelativeDistinguishedName([attribute, state])])
    shown = name_text(name)
    assert shown in (f"CN={text}+S=W, OID.1.2.3=o", f"S=W+CN={text}, OID.1.2.3=o")
