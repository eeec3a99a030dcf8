"""The verbs of the machine itself: what it is, its services, products and certificates."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import PrivateFormat, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from lab.engine import Service
from lab.python_engine import PythonMachine
from lab.seed import LabCertificate, _key, certificate
from tests.contract.cases import case
from tests.contract.host import TIME, Host, Refused, settled

SERVICES: Final = r"HKLM\SYSTEM\CurrentControlSet\Services"
TCPIP: Final = rf"{SERVICES}\Tcpip\Parameters"
UNINSTALL: Final = r"Microsoft\Windows\CurrentVersion\Uninstall"
VIEWS: Final = {"64": rf"HKLM\SOFTWARE\{UNINSTALL}", "32": rf"HKLM\SOFTWARE\WOW6432Node\{UNINSTALL}"}
GONE: Final[Mapping[str, Any]] = {
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
RUNNING: Final = {"state": "running", "pid": "(pid)", "started_utc": "(time)"}
STOPPED: Final = {"state": "stopped", "pid": None, "started_utc": None}
SERVICE: Final = "verbs.md: **Get-ServiceState** `service` -> "
PRODUCT: Final = "verbs.md: from the Uninstall keys of both registry views"
CERTIFICATE: Final = 'verbs.md: **Get-Certificate** `thumbprint, store="My"` (LocalMachine)'
SET: Final = 'verbs.md: **Set-ServiceState** `service, state ("running" | "stopped"), expected (the state that was read), timeout_s=60`'


# -- Get-HostInfo --


@case("Get-HostInfo", cites="verbs.md: `domain` is the DNS domain of the machine")
def test_a_host_says_what_it_is(mim01: Host) -> None:
    before = datetime.now(UTC)
    answer = dict(mim01.ask("Get-HostInfo"))
    told = datetime.fromisoformat(answer["time_utc"])
    assert before - timedelta(minutes=5) < told < datetime.now(UTC) + timedelta(minutes=5)
    shapes = {
        "os_version": r"10\.0\.\d+(\.\d+)?",
        "powershell": r"[57]\.\d+\.\d+(\.\d+)?",
        "edition": "Core|Desktop",
        "user": r"[^\\]+\\[^\\]+",
        "system_root": r"(?i)C:\\Windows",
    }
    assert [name for name, shape in shapes.items() if not re.fullmatch(shape, answer.pop(name))] == []
    names = ("computer", "domain", "culture")
    known = dict(zip(names, ("MIM01", "contoso.com", mim01.variant.culture), strict=True))
    if mim01.engine == "server":
        known = {name: answer[name] for name in names}
    assert settled(answer) == {**known, "is64": True, "system_drive": "C:", "time_utc": "(time)", "pid": "(pid)"}


@case("Get-HostInfo", cites="verbs.md: or a missing one is `invalid`", error="invalid")
def test_a_host_takes_no_argument(mim01: Host) -> None:
    assert mim01.refused("Get-HostInfo", computer="x") == Refused("invalid", "computer")


@case("Get-HostInfo", cites='verbs.md: `domain` is the DNS domain of the machine, "" outside one')
def test_a_host_outside_a_domain_has_none(mim01: Host) -> None:
    mim01.machine.set_registry(TCPIP, {"Domain": ""})
    try:
        assert mim01.ask("Get-HostInfo")["domain"] == ""
    finally:
        mim01.machine.set_registry(TCPIP, {"Domain": "contoso.com"})


# -- Get-ServiceState --


def named(host: Host, name: str = "") -> str:
    """A name of the case's own for a service."""
    return f"{host.own}-{name}" if name else host.own


def service(host: Host, name: str = "", **other: Any) -> str:
    """A service of the case's own, with a program of its own; its name."""
    own = named(host, name)
    program = other.pop("program", rf"C:\Program Files\{own}\{own}.exe")
    host.machine.add_service(Service(own, program, **other))
    return own


@case("Get-ServiceState", cites=SERVICE)
def test_a_service_is_told_with_how_it_is_configured(mim01: Host) -> None:
    own = named(mim01)
    program = rf"C:\Program Files\{own}\The Program.exe"
    needs = ("RpcSs", "Not There")
    service(mim01, program=program, display_name=f"{own} äöü", account=r"CONTOSO\own", start="manual", depends_on=needs)
    assert settled(mim01.ask("Get-ServiceState", service=own)) == {
        "found": True,
        "service": own,
        "display_name": f"{own} äöü",
        "start": "manual",
        "path": f'"{program}"',
        "program": program,
        "account": r"CONTOSO\own",
        "depends_on": list(needs),
        "dependents": [],
        **RUNNING,
    }


@case("Get-ServiceState", cites="verbs.md: an argument that the verb does not have", error="invalid")
def test_a_service_is_asked_for_by_its_name_alone(mim01: Host) -> None:
    assert mim01.refused("Get-ServiceState", service="x", computer="y") == Refused("invalid", "computer")
    assert mim01.refused("Get-ServiceState", service=["x"]) == Refused("invalid", "service")


@case("Get-ServiceState", cites="verbs.md: Absent things that a *read* asks for are answers (`found: false`)")
def test_a_service_that_is_absent_is_an_answer(mim01: Host) -> None:
    own = service(mim01, display_name=f"{named(mim01)} shown", running=False)
    for name in (f"{own}x", own[:-1], f"{own} shown", "", "*", f"{own}\\Parameters", f"../{own}"):
        assert mim01.ask("Get-ServiceState", service=name) == {"found": False, "service": name, **GONE}


@case("Get-ServiceState", cites=SERVICE)
def test_a_service_is_found_in_any_case_and_told_as_it_is_stored(mim01: Host) -> None:
    own = service(mim01, "I", start="disabled", running=False)
    answers = [mim01.ask("Get-ServiceState", service=name) for name in (own, own.upper(), own.lower())]
    assert (
        answers
        == [
            {
                "found": True,
                "service": own,
                "display_name": own,
                "start": "disabled",
                "path": rf'"C:\Program Files\{own}\{own}.exe"',
                "program": rf"C:\Program Files\{own}\{own}.exe",
                "account": "LocalSystem",
                "depends_on": [],
                "dependents": [],
                **STOPPED,
            }
        ]
        * 3
    )


@case(
    "Get-ServiceState",
    cites="verbs.md: `path` is ImagePath as stored, `program` the program in it, unquoted and expanded",
)
def test_the_program_is_found_in_any_image_path(mim01: Host) -> None:
    own = service(mim01, running=False)
    root = mim01.ask("Get-HostInfo")["system_root"]
    programs = {
        r"C:\a\b.exe": r"C:\a\b.exe",
        r"C:\a\b.exe -k x": r"C:\a\b.exe",
        r'"C:\a b\c.exe" -k "x y"': r"C:\a b\c.exe",
        r"C:\a b\c.EXE /x": r"C:\a b\c.EXE",
        r"C:\a.exe.d\b.exe /x": r"C:\a.exe.d\b.exe",
        r"C:\a\b -k x": r"C:\a\b",
        '  "C:\\a\\b.exe"  ': r"C:\a\b.exe",
        r"%SystemRoot%\x\y.exe -k": rf"{root}\x\y.exe",
        r'"%PROGRAMFILES%\x\y.exe"': r"C:\Program Files\x\y.exe",
        r"%NoSuchVariable%\y.exe": r"%NoSuchVariable%\y.exe",
        r"\SystemRoot\System32\drivers\x.sys": rf"{root}\System32\drivers\x.sys",
        r"system32\drivers\x.sys": rf"{root}\system32\drivers\x.sys",
        r"\??\C:\x\y.sys": r"C:\x\y.sys",
    }
    found = {}
    for path in programs:
        mim01.machine.set_registry(rf"{SERVICES}\{own}", {"ImagePath": path})
        answer = mim01.ask("Get-ServiceState", service=own)
        found[answer["path"]] = answer["program"]
    assert found == programs


@case("Get-ServiceState", cites="verbs.md: `automatic manual disabled boot system`")
def test_the_start_of_a_service_is_a_word(mim01: Host) -> None:
    own = service(mim01, running=False)
    found = {}
    for number in range(5):
        mim01.machine.set_registry(rf"{SERVICES}\{own}", {"Start": number})
        found[number] = mim01.ask("Get-ServiceState", service=own)["start"]
    assert found == {0: "boot", 1: "system", 2: "automatic", 3: "manual", 4: "disabled"}


@case("Get-ServiceState", cites="verbs.md: null unless exactly one process runs that program")
def test_two_services_of_one_program_have_no_process_that_can_be_told(mim01: Host) -> None:
    program = rf"C:\Program Files\{named(mim01)}\shared.exe"
    one, two = service(mim01, "1", program=program), service(mim01, "2", program=program)
    answers = [mim01.ask("Get-ServiceState", service=name) for name in (one, two)]
    assert [(each["state"], each["pid"], each["started_utc"]) for each in answers] == [("running", None, None)] * 2
    mim01.ask("Set-ServiceState", service=two, state="stopped", expected="running")
    answers = [settled(mim01.ask("Get-ServiceState", service=name)) for name in (one, two)]
    assert [{name: each[name] for name in STOPPED} for each in answers] == [RUNNING, STOPPED]


@case(
    "Get-ServiceState",
    cites="verbs.md: services whose DependOnService names it (any case), directly or through others, nearest first",
)
def test_dependents_are_told_nearest_first_with_their_states(mim01: Host) -> None:
    base = service(mim01, "base", running=False)
    far = service(mim01, "a-far", depends_on=(named(mim01, "Z-NEAR"),), running=False)
    near = service(mim01, "z-near", depends_on=("Not There", base.upper()))
    other = service(mim01, "m-near", depends_on=(base, far), running=False)
    mim01.machine.set_registry(rf"{SERVICES}\{base}", {"DependOnService": (far,)})  # a ring does not turn for ever
    answer = mim01.ask("Get-ServiceState", service=base)
    assert answer["depends_on"] == [far]
    assert answer["dependents"] == [
        {"service": other, "state": "stopped"},
        {"service": near, "state": "running"},
        {"service": far, "state": "stopped"},
    ]


@case("Get-ServiceState", cites="verbs.md: `Get- Read- Search- Test-`")
def test_asking_for_services_changes_nothing(mim01: Host) -> None:
    own = service(mim01)
    with mim01.watched() as seen:
        mim01.ask("Get-ServiceState", service=own)
        mim01.ask("Get-HostInfo")
        mim01.ask("Get-InstalledProduct", product="x")
        mim01.ask("Get-Certificate", thumbprint="0" * 40)
    assert seen.changes == {}


# -- Set-ServiceState --


@case("Set-ServiceState", cites=SET)
def test_a_service_is_started(mim01: Host) -> None:
    own = service(mim01, running=False)
    answer = mim01.ask("Set-ServiceState", service=own, state="running", expected="stopped")
    assert settled(answer) == RUNNING
    state, started = mim01.machine.service_state(own)
    assert (state, started is not None) == ("running", True)
    again = mim01.ask("Get-ServiceState", service=own)
    assert {name: again[name] for name in answer} == answer


@case("Set-ServiceState", cites="verbs.md: No such service: `missing`", error="missing")
def test_a_service_that_is_absent_is_missing(mim01: Host) -> None:
    own = named(mim01)
    for state, expected in (("running", "stopped"), ("stopped", "running")):
        assert mim01.refused("Set-ServiceState", service=own, state=state, expected=expected) == Refused("missing", own)


@case("Set-ServiceState", cites=SET)
def test_a_service_is_stopped_and_nothing_else_changes(mim01: Host) -> None:
    own = service(mim01)
    with mim01.watched() as seen:
        answer = mim01.ask("Set-ServiceState", service=own.upper(), state="stopped", expected="running")
    assert answer == STOPPED
    assert seen.changes == {f"service {own}": ("running (time)", "stopped")}


@case("Set-ServiceState", cites=SET)
def test_a_service_that_is_there_already_is_left_alone(mim01: Host) -> None:
    up, down = service(mim01, "up"), service(mim01, "down", running=False)
    with mim01.watched() as seen:
        answers = [
            settled(mim01.ask("Set-ServiceState", service=name, state=state, expected=state))
            for name, state in ((up, "running"), (down, "stopped"))
        ]
    assert answers == [RUNNING, STOPPED]
    assert seen.changes == {}


@case("Set-ServiceState", cites="verbs.md: Another state than `expected`: `conflict`", error="conflict")
def test_a_service_in_another_state_than_was_read_is_left_alone(mim01: Host) -> None:
    own = service(mim01)
    with mim01.watched() as seen:
        for state, expected in (
            ("stopped", "stopped"),
            ("running", "stopped"),
            ("stopped", "paused"),
            ("running", "start-pending"),
        ):
            refusal = mim01.refused("Set-ServiceState", service=own, state=state, expected=expected)
            assert refusal == Refused("conflict", own)
    assert seen.changes == {}


@case(
    "Set-ServiceState",
    cites="verbs.md: Stopping while a dependent is not stopped: `busy`, `why` names it",
    error="busy",
)
def test_a_service_that_others_need_is_busy_until_they_are_stopped(mim01: Host) -> None:
    base = service(mim01, "base")
    between = service(mim01, "between", depends_on=(base,), running=False)
    top = service(mim01, "top", depends_on=(between,))
    with mim01.watched() as seen:
        refusal = mim01.refused("Set-ServiceState", service=base, state="stopped", expected="running", naming=top)
    assert refusal == Refused("busy", base)
    assert seen.changes == {}
    mim01.ask("Set-ServiceState", service=top, state="stopped", expected="running")
    assert mim01.ask("Set-ServiceState", service=base, state="stopped", expected="running") == STOPPED


@case("Set-ServiceState", cites="verbs.md: Disabled and asked to run: `invalid`", error="invalid")
def test_a_disabled_service_is_not_started_but_stopped(mim01: Host) -> None:
    down, up = service(mim01, "down", start="disabled", running=False), service(mim01, "up", start="disabled")
    assert mim01.refused("Set-ServiceState", service=down, state="running", expected="stopped") == Refused(
        "invalid", down
    )
    assert mim01.ask("Set-ServiceState", service=up, state="stopped", expected="running") == STOPPED


@case("Set-ServiceState", cites=SET, error="invalid")
def test_states_that_a_service_cannot_be_brought_to_are_invalid(mim01: Host) -> None:
    good: dict[str, Any] = {"service": named(mim01), "state": "running", "expected": "stopped"}
    for name, values in {
        "state": ("paused", "Running", "", "start-pending"),
        "expected": ("", "Stopped", "absent"),
        "timeout_s": (-1,),
    }.items():
        for value in values:
            assert mim01.refused("Set-ServiceState", **{**good, name: value}) == Refused("invalid", name)


@case("Set-ServiceState", cites="verbs.md: A service that does not get there in time: `timeout`", error="timeout")
def test_a_service_whose_program_does_not_answer_is_a_timeout(mim01: Host) -> None:
    own = service(mim01, broken=True, running=False)
    refusal = mim01.refused("Set-ServiceState", service=own, state="running", expected="stopped")
    assert refusal == Refused("timeout", own, 0x8007041D)
    assert mim01.machine.service_state(own) == ("stopped", None)


@case("Set-ServiceState", cites="verbs.md: `timeout`, with the state seen last", error="timeout")
def test_a_service_that_hangs_is_a_timeout_with_its_state(mim01: Host) -> None:
    own, machine = service(mim01, running=False), mim01.machine
    assert isinstance(machine, PythonMachine)
    machine.hang_service(own)
    asked: dict[str, Any] = {"service": own, "state": "running", "timeout_s": 0}
    refusal = mim01.refused("Set-ServiceState", **asked, expected="stopped", naming="start-pending")
    assert refusal == Refused("timeout", own)
    assert mim01.refused("Set-ServiceState", **asked, expected="start-pending") == Refused("timeout", own)
    assert mim01.machine.service_state(own)[0] == "start-pending"


@case("Set-ServiceState", cites="verbs.md: That ends while starting: `unknown`", error="unknown")
def test_a_service_whose_program_is_gone_does_not_start(mim01: Host) -> None:
    own = service(mim01, program=rf"C:\{named(mim01)}\gone.exe", running=False)
    mim01.machine.remove_file(rf"C:\{own}\gone.exe")
    refusal = mim01.refused("Set-ServiceState", service=own, state="running", expected="stopped")
    assert refusal == Refused("unknown", own, 0x80070002)
    assert mim01.machine.service_state(own) == ("stopped", None)


# -- Get-InstalledProduct --


def install(host: Host, key: str, view: str = "64", **values: str) -> None:
    """An entry of the installed programs."""
    host.machine.set_registry(rf"{VIEWS[view]}\{key}", values)


@case("Get-InstalledProduct", cites=PRODUCT)
def test_a_product_is_found_in_both_views_by_its_whole_name_in_any_case(mim01: Host) -> None:
    own = f"{mim01.own} III"
    install(mim01, f"{{{own}}}", DisplayName=own, DisplayVersion="4.5.286.0", Publisher="Microsoft Corporation")
    install(mim01, own, "32", DisplayName=own.lower(), DisplayVersion="1,5")
    install(mim01, f"{own} b", "64", DisplayName=f"{own} and more", DisplayVersion="1")
    install(mim01, f"{own} a", "64", DisplayName=own.upper())
    found = [
        {"product": own.upper(), "version": "", "publisher": "", "key": f"{own} a", "view": "64"},
        {
            "product": own,
            "version": "4.5.286.0",
            "publisher": "Microsoft Corporation",
            "key": f"{{{own}}}",
            "view": "64",
        },
        {"product": own.lower(), "version": "1,5", "publisher": "", "key": own, "view": "32"},
    ]
    for name in (own, own.upper(), own.lower()):
        assert mim01.ask("Get-InstalledProduct", product=name) == {"products": found}


@case("Get-InstalledProduct", cites="verbs.md: an argument that the verb does not have", error="invalid")
def test_a_product_is_asked_for_by_a_text(mim01: Host) -> None:
    assert mim01.refused("Get-InstalledProduct", product=None) == Refused("invalid", "product")


@case("Get-InstalledProduct", cites="verbs.md: `product` (exact DisplayName, case-insensitive)")
def test_a_product_that_is_not_installed_is_an_empty_list(mim01: Host) -> None:
    install(mim01, mim01.own, DisplayName=mim01.own)
    install(mim01, f"{mim01.own}2", DisplayVersion="1")
    for name in (f"{mim01.own} ", mim01.own[:-1], f"{mim01.own}*", "*", ""):
        assert mim01.ask("Get-InstalledProduct", product=name) == {"products": []}


# -- Get-Certificate --


def odd_certificate(
    parts: Sequence[tuple[ObjectIdentifier, str]], extensions: Sequence[x509.ExtensionType] = ()
) -> LabCertificate:
    """A certificate with such a subject; the part named first is the last one of its text."""
    key, subject = _key(), x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC))
        .not_valid_after(datetime(2051, 2, 3, 4, 5, 6, tzinfo=UTC))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    made = builder.sign(key, hashes.SHA256())
    encryption = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(1000).build(b"lab")
    pfx = pkcs12.serialize_key_and_certificates(b"x", key, made, None, encryption)
    return LabCertificate(made.fingerprint(hashes.SHA1()).hex().upper(), pfx)  # noqa: S303 - what Windows calls thumbprint


def added(host: Host, made: LabCertificate, store: str = "My", *, private_key: bool = True) -> Mapping[str, Any]:
    """What Get-Certificate says of a certificate that was put into a store."""
    assert host.machine.add_certificate(made.pfx, made.password, store, private_key=private_key) == made.thumbprint
    answer: Mapping[str, Any] = host.ask("Get-Certificate", thumbprint=made.thumbprint, store=store)
    return answer


@case(
    "Get-Certificate",
    cites="iis.md: certificate store read (.NET X509Store LocalMachine: thumbprint, subject, SAN, NotAfter, HasPrivateKey, EKU)",
)
def test_a_certificate_is_told_with_its_names_and_usages(mim01: Host) -> None:
    host = f"{mim01.own[-30:]}.contoso.com".lower()
    made = certificate("own", names=(host, "*.contoso.com", "xn--bcher-kva.example"))
    told = {
        "found": True,
        "thumbprint": made.thumbprint,
        "subject": f"CN={host}",
        "issuer": f"CN={host}",
        "names": [host, "*.contoso.com", "xn--bcher-kva.example"],
        "not_before_utc": "2020-01-01T00:00:00.0000000Z",
        "not_after_utc": "2049-12-31T00:00:00.0000000Z",
        "has_private_key": True,
        "usages": ["1.3.6.1.5.5.7.3.1"],
    }
    assert added(mim01, made) == told
    assert mim01.ask("Get-Certificate", thumbprint=made.thumbprint.lower(), store="my") == told


@case("Get-Certificate", cites="verbs.md: No such store: `missing`", error="missing")
def test_a_store_that_is_not_there_is_missing(mim01: Host) -> None:
    for store in ("NoSuchStore", ""):
        assert mim01.refused("Get-Certificate", thumbprint="0" * 40, store=store) == Refused("missing", store)


@case(
    "Get-Certificate",
    cites="iis.md: Normalise on the controller: keep hex digits, upper case, require 40",
    error="invalid",
)
def test_a_thumbprint_that_is_not_40_hex_digits_is_invalid(mim01: Host) -> None:
    for text in ("", "0" * 39, "0" * 41, "G" * 40, "0" * 40 + "\n", "\u200e" + "0" * 40, "00 " * 20, "\u0660" * 40):
        assert mim01.refused("Get-Certificate", thumbprint=text) == Refused("invalid", text)


@case("Get-Certificate", cites="verbs.md: Absent things that a *read* asks for are answers (`found: false`)")
def test_a_certificate_that_is_absent_is_an_answer(mim01: Host) -> None:
    made = certificate("elsewhere", names=(f"{mim01.own[-30:]}.contoso.com".lower(),))
    added(mim01, made, "Root")
    nothing: dict[str, Any] = {
        "subject": None,
        "issuer": None,
        "names": [],
        "not_before_utc": None,
        "not_after_utc": None,
        "has_private_key": False,
        "usages": [],
    }
    for thumbprint in (made.thumbprint.lower(), "0" * 40):
        answer = mim01.ask("Get-Certificate", thumbprint=thumbprint)
        assert answer == {"found": False, "thumbprint": thumbprint.upper(), **nothing}


@case(
    "Get-Certificate",
    cites="iis.md: certificate store read (.NET X509Store LocalMachine: thumbprint, subject, SAN, NotAfter, HasPrivateKey, EKU)",
)
def test_a_certificate_without_its_key_or_in_another_store_is_told(mim01: Host) -> None:
    made = odd_certificate([(NameOID.COMMON_NAME, mim01.own[-60:])])
    told = {
        "found": True,
        "thumbprint": made.thumbprint,
        "subject": f"CN={mim01.own[-60:]}",
        "issuer": f"CN={mim01.own[-60:]}",
        "names": [],
        "not_before_utc": "2001-02-03T04:05:06.0000000Z",
        "not_after_utc": "2051-02-03T04:05:06.0000000Z",
        "has_private_key": False,
        "usages": [],
    }
    assert added(mim01, made, "WebHosting", private_key=False) == told


@case("Get-Certificate", cites=CERTIFICATE)
def test_odd_names_and_extensions_are_told_as_windows_writes_them(mim01: Host) -> None:
    usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ObjectIdentifier("1.3.6.1.4.1.311.20.2.2")])
    many = x509.SubjectAlternativeName(
        [x509.DNSName(f"n{number}.example") for number in range(40)] + [x509.RFC822Name("a@b.example")]
    )
    parts = [
        (NameOID.DOMAIN_COMPONENT, "com"),
        (NameOID.COUNTRY_NAME, "DE"),
        (NameOID.STATE_OR_PROVINCE_NAME, "Bayern"),
        (NameOID.ORGANIZATION_NAME, 'Smith,"Sons"&Co.'),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "a+b=c"),
        (NameOID.COMMON_NAME, "ownäİ漢"),
    ]
    answer = added(mim01, odd_certificate(parts, [usages, many]), private_key=False)
    subject = 'CN=ownäİ漢, OU="a+b=c", O="Smith,""Sons""&Co.", S=Bayern, C=DE, DC=com'
    names = [f"n{number}.example" for number in range(40)]
    assert {name: answer[name] for name in ("subject", "issuer", "names", "usages")} == {
        "subject": subject,
        "issuer": subject,
        "names": names,
        "usages": ["1.3.6.1.5.5.7.3.2", "1.3.6.1.4.1.311.20.2.2"],
    }


@case("Get-Certificate", cites=CERTIFICATE)
def test_a_name_with_a_blank_in_it_has_no_quotes(mim01: Host) -> None:
    answer = added(mim01, odd_certificate([(NameOID.COMMON_NAME, "Own Root")]), private_key=False)
    assert answer["subject"] == "CN=Own Root"


@case("Get-HostInfo", cites="verbs.md: `2026-11-25T08:00:00.1234567Z`")
def test_times_have_one_form_in_every_culture(mim01: Host) -> None:
    own = service(mim01)
    times = [mim01.ask("Get-HostInfo")["time_utc"], mim01.ask("Get-ServiceState", service=own)["started_utc"]]
    assert [text for text in times if not TIME.fullmatch(text)] == []
