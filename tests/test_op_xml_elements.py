"""
xml_elements on the lab, with the MfaSettings.xml of a MIM Service: dry, applied, again, spelled otherwise, refused, taken back.

What is spliced and which files are refused is tests/test_plans_xml.py's and tests/test_xml_bad_files.py's; the shape of the file is unknown, so the
rhythm runs with three roots.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from lab.engine import Machine
from lab.seed import MFA_SETTINGS, MIM_FOLDER, NAMESPACE, Role, Root, mfa_settings, seed
from operations.converge import BEFORE, OVERLAP
from operations.windows import windows_service
from operations.xml import xml_elements
from tests.oplab import OpLab, Run, Step, fixtures, told

pytestmark = pytest.mark.slow

URL: Final = "https://mfa01.contoso.com:9999/MultiFactorAuthWebServiceSdk/PfWsSdk.asmx"
SECRETS: Final = ("LICENSE_KEY", "GROUP_KEY", "CERT_PASSWORD")
UNUSED: Final = (*SECRETS, "CertFilePath")
WANTED: Final[dict[str, Any]] = {
    "file": MFA_SETTINGS,
    "set": {"Username": "mimservice@contoso.com", "LOCMFA": "true", "LOCMFASRV": URL},
    "clear": UNUSED,
    "ignore_case": True,
}
PARENTS: Final[dict[Root, dict[str, Any]]] = {
    "plain": {},
    "namespace": {"parent": "/m:MfaSettings", "namespaces": {"m": NAMESPACE}},
    "nested": {"parent": "/configuration/MfaSettings"},
}


def shaped(machine: Machine, role: Role, build: str | None, *, root: Root, encoding: str) -> None:
    """The state `installed`, with another shape of the file."""
    seed(machine, role, root=root, encoding=encoding)


lab, quick = fixtures("mim01")


def backup_of(data: bytes) -> str:
    return f"{MFA_SETTINGS}.{hashlib.sha256(data).hexdigest()[:12]}.bak"


def diff(data: bytes, what: str = MFA_SETTINGS) -> str:
    return told(
        what,
        f"backup: (absent) -> {backup_of(data)}",
        "Username: mimservice -> mimservice@contoso.com",
        "LOCMFA: (absent) -> true",
        f"LOCMFASRV: (absent) -> {URL}",
        *(f"{name}: (secret) -> (secret) changed" for name in SECRETS),
        rf"CertFilePath: {MIM_FOLDER}\MfaCerts\cert_key.p12 -> (empty)",
    )


def expected(data: bytes, root: Root, encoding: str) -> bytes:
    """What the file must be afterwards, made by hand: each line that is meant is another one, two lines are new, all else is as before."""
    lines: Sequence[str] = data.decode(encoding).split("\r\n")
    indent = "    " if root == "nested" else "  "
    after = []
    for line in lines:
        name = line.strip().removeprefix("<").partition(">")[0]
        if name in UNUSED:
            after.append(f"{indent}<{name}></{name}>")
        elif name == "Username":
            after.append(f"{indent}<Username>mimservice@contoso.com</Username>")
        elif name == "DefaultCountryCode":
            after += [line, f"{indent}<LOCMFA>true</LOCMFA>", f"{indent}<LOCMFASRV>{URL}</LOCMFASRV>"]
        else:
            after.append(line)
    return "\r\n".join(after).encode(encoding)


def test_settings_are_written_once_with_a_backup_and_not_over_another_change(lab: OpLab) -> None:
    machine, before = lab.machine(), mfa_settings()
    start = lab.state()
    assert lab.run(xml_elements, dry=True, **WANTED) == Run((diff(before),))
    assert lab.state() == start
    theirs = before.replace(b"<DefaultCountryCode>1<", b"<DefaultCountryCode>49<")

    def another() -> None:
        machine.write_file(MFA_SETTINGS, theirs)

    refused = (
        f"Copy-File {MFA_SETTINGS}: content is (hash), expected (hash) [conflict]. "
        "It changed since it was read; this call wrote nothing. Run again."
    )
    run = lab.run(xml_elements, meanwhile=another, **WANTED)
    assert run == Run((diff(before), refused), ("Copy-File",), failed=True)
    assert (machine.read_file(MFA_SETTINGS), machine.read_file(backup_of(before))) == (theirs, None)
    assert lab.run(xml_elements, **WANTED) == Run((diff(theirs),), ("Copy-File", "Write-File"))
    assert machine.read_file(MFA_SETTINGS) == expected(theirs, "plain", "utf-8")
    assert machine.read_file(backup_of(theirs)) == theirs
    done = lab.state()
    other_spelling = WANTED | {
        "file": MFA_SETTINGS.replace("\\", "/").lower(),
        "set": {"username": "mimservice@contoso.com"},
    }
    assert lab.deploy((xml_elements, WANTED), (xml_elements, other_spelling)) == Run()
    assert lab.state() == done


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "windows-1252"])
@pytest.mark.parametrize("root", PARENTS)
def test_each_shape_and_encoding_is_changed_in_its_elements_alone(tmp_path: Path, root: Root, encoding: str) -> None:
    before, wanted = mfa_settings(root, encoding), WANTED | PARENTS[root]
    with OpLab(tmp_path, "python", "mim01", seed=partial(shaped, root=root, encoding=encoding)) as lab:
        run = lab.run(xml_elements, **wanted)
        assert (run.writes, run.failed) == (("Copy-File", "Write-File"), False)
        what = f"{wanted['parent']} in {MFA_SETTINGS}" if "parent" in wanted else MFA_SETTINGS
        assert run.shown == (diff(before, what),)
        assert lab.machine().read_file(MFA_SETTINGS) == expected(before, root, encoding)
        assert lab.run(xml_elements, dry=True, **wanted) == Run()


def test_unused_elements_can_be_removed_and_all_is_taken_back_from_the_backup(lab: OpLab) -> None:
    before = mfa_settings()
    wanted: dict[str, Any] = {"file": MFA_SETTINGS, "remove": UNUSED}
    run = lab.run(xml_elements, **wanted)
    shown = [f"{name}: (secret) -> (secret) changed" for name in SECRETS]
    certificate = rf"CertFilePath: {MIM_FOLDER}\MfaCerts\cert_key.p12 -> (absent)"
    with_backup = told(MFA_SETTINGS, f"backup: (absent) -> {backup_of(before)}", *shown, certificate)
    assert run == Run((with_backup,), ("Copy-File", "Write-File"))
    after = lab.machine().read_file(MFA_SETTINGS)
    assert after is not None
    assert [name for name in UNUSED if name.encode() in after] == []
    kept = lab.machine().read_file(backup_of(before))
    assert kept == before
    lab.machine().write_file(MFA_SETTINGS, kept)
    assert lab.run(xml_elements, **wanted).shown == (
        told(MFA_SETTINGS, *shown, certificate),
    )  # the backup is there already


def test_a_custom_provider_beside_locmfa_is_refused_in_the_dry_run_too(quick: OpLab) -> None:
    data = mfa_settings().replace(
        b"</MfaSettings>", b"  <CustomPhoneProvider>x.dll</CustomPhoneProvider>\r\n</MfaSettings>"
    )
    quick.machine().write_file(MFA_SETTINGS, data)
    start = quick.state()
    wanted = WANTED | {"refuse_if": {"CustomPhoneProvider": "no source says which of both wins"}}
    text = f"{MFA_SETTINGS}: <CustomPhoneProvider> on line 10 is not empty: no source says which of both wins"
    runs = [quick.run(xml_elements, dry=dry, **wanted) for dry in (True, False)]
    assert runs == [Run((text,), failed=True)] * 2
    assert quick.state() == start


def test_a_file_in_use_is_not_written_and_the_next_run_makes_it_up(lab: OpLab) -> None:
    start = lab.state()
    with lab.machine().locked(MFA_SETTINGS):
        run = lab.run(xml_elements, dry=True, **WANTED)
    assert (run.writes, run.failed) == ((), True)
    assert f"Read-File {MFA_SETTINGS}:" in "\n".join(run.shown)
    assert "[locked]" in "\n".join(run.shown)
    assert lab.state() == start
    assert lab.run(xml_elements, **WANTED).failed is False


def test_a_second_edit_of_a_file_is_planned_on_what_the_first_one_makes_of_it(quick: OpLab) -> None:
    start, before = quick.state(), mfa_settings()
    first: Step = (xml_elements, {"file": MFA_SETTINGS, "set": {"LOCMFA": "true"}})
    second: Step = (
        xml_elements,
        {"file": MFA_SETTINGS.upper(), "set": {"LOCMFA": "false"}, "attributes": {"LOCMFA": {"seen": "1"}}},
    )
    between = before.replace(b"</DefaultCountryCode>", b"</DefaultCountryCode>\r\n  <LOCMFA>true</LOCMFA>")
    shown = (
        told(MFA_SETTINGS, f"backup: (absent) -> {backup_of(before)}", "LOCMFA: (absent) -> true"),
        told(
            MFA_SETTINGS.upper(),
            f"backup: (absent) -> {backup_of(between).replace(MFA_SETTINGS, MFA_SETTINGS.upper())}",
            "LOCMFA: true -> false",
            "LOCMFA@seen: (absent) -> 1",
        ),
    )
    assert quick.deploy(first, second, dry=True) == Run(shown)
    assert quick.state() == start
    assert quick.deploy(first, second) == Run(shown, ("Copy-File", "Write-File") * 2)
    after = between.replace(b"<LOCMFA>true", b'<LOCMFA seen="1">false')
    assert quick.machine().read_file(MFA_SETTINGS) == after
    assert quick.machine().read_file(backup_of(between)) == between
    assert quick.deploy(second, second) == Run()


@pytest.mark.parametrize("holds", [False, True])
def test_what_hangs_on_a_condition_is_said_and_not_counted_in_the_dry_run(quick: OpLab, holds: bool) -> None:
    """pyinfra asks `_if` when the operation runs: nobody knows before."""
    wanted: dict[str, Any] = {"file": MFA_SETTINGS, "set": {"LOCMFA": "true"}, "backup": False}
    steps: tuple[Step, ...] = (
        (xml_elements, {**wanted, "_if": lambda: holds}),
        (xml_elements, wanted),
        (windows_service, {"service": "FIMService", "reads": MFA_SETTINGS}),
    )
    change = "        LOCMFA: (absent) -> true"
    first, second, service = (
        quick.deploy(steps[0], steps[2], dry=True),
        quick.deploy(*steps, dry=True),
        "service FIMService",
    )
    unknown = (
        f"{service}: it reads {MFA_SETTINGS}, which an operation before this one writes if its _if holds: "
        "whether it restarts then is not known in a dry run"
    )
    conditional = f"{MFA_SETTINGS}: 1 change, if its _if holds\n{change}"
    assert first == Run((conditional, unknown))
    restart = told(service, f"process: started (time) -> restarted: {MFA_SETTINGS} would be written")
    overlap = f"{MFA_SETTINGS}: {OVERLAP}"
    assert second == Run((conditional, f"{MFA_SETTINGS}: 1 change\n{change}", overlap, unknown, restart))
    run = quick.deploy(steps[0], steps[2])
    assert (run.shown[:2], run.writes) == (first.shown, ("Write-File", "Set-ServiceState", "Set-ServiceState") * holds)


def test_what_stands_in_a_parent_that_hangs_on_a_condition_is_refused_in_the_dry_run(quick: OpLab) -> None:
    outer: Step = (xml_elements, {"file": MFA_SETTINGS, "set": {"Z": ""}, "backup": False, "_if": lambda: True})
    inner: Step = (xml_elements, {"file": MFA_SETTINGS, "parent": "/MfaSettings/Z", "set": {"A": "1"}})
    dry = quick.deploy(outer, inner, dry=True)
    assert (dry.shown[0].endswith("\n        Z: (absent) -> (empty)"), dry.failed) == (True, True)
    assert "no Z below <MfaSettings>" in dry.shown[1]
    assert dry.shown[1].endswith(f"({BEFORE})")
