"""The state `installed`: what the python engine's machines hold after it. That the other engine holds the same is in test_powershell_engine.py."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from lxml import etree

from lab.engine import Service
from lab.python_engine import PythonEngine
from lab.seed import MFA_SETTINGS, NAMESPACE, DirectSdk, Root, certificate, mfa_settings, seed

ELEMENTS = {
    "LICENSE_KEY": "LAB-LICENSE-KEY-IS-NO-SECRET",
    "GROUP_KEY": "lab-group-key-is-no-secret",
    "CERT_PASSWORD": "lab cert password & no secret",
    "CertFilePath": r"C:\Program Files\Microsoft Forefront Identity Manager\2010\Service\MfaCerts\cert_key.p12",
    "Username": "mimservice",
    "DefaultCountryCode": "1",
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "windows-1252"])
@pytest.mark.parametrize(
    ("root", "parent", "namespace"), [("plain", ".", ""), ("namespace", ".", NAMESPACE), ("nested", "MfaSettings", "")]
)
def test_the_settings_say_the_same_in_every_shape_and_encoding(
    root: Root, parent: str, namespace: str, encoding: str
) -> None:
    document = etree.fromstring(mfa_settings(root, encoding))
    found = document.find(parent)
    assert found is not None
    assert {etree.QName(one).localname: one.text for one in found} == ELEMENTS
    assert {etree.QName(one).namespace or "" for one in found} == {namespace}


def test_secrets_of_a_test_can_be_planted_in_the_settings() -> None:
    planted = DirectSdk(license_key="<&>'\"ł", group_key="", cert_password=" x ")
    document = etree.fromstring(mfa_settings("plain", "windows-1252", planted))
    assert [one.text for one in document][:3] == ["<&>'\"ł", None, " x "]
    assert "ł" not in repr(planted)


def test_a_mim_machine_runs_the_service_beside_its_settings_and_started_it_after_they_were_written(
    tmp_path: Path,
) -> None:
    machine = PythonEngine(tmp_path).machine("mim01", "mim")
    seed(machine, "mim", mim_build="4.5.26.0", root="nested", encoding="utf-16")
    assert machine.read_file(MFA_SETTINGS) == mfa_settings("nested", "utf-16")
    state, started = machine.service_state("FIMService")
    written = machine.snapshot()[f"file {MFA_SETTINGS}"].split()[2]
    assert state == "running"
    assert started is not None
    assert started >= datetime.fromisoformat(written)
    (product,) = (value for name, value in machine.snapshot().items() if name.endswith("DisplayVersion"))
    assert product == "'4.5.26.0'"


def test_a_mfa_machine_has_a_certificate_for_its_own_name_and_no_site_but_the_default_one(tmp_path: Path) -> None:
    machine = PythonEngine(tmp_path).machine("mfa07", "mfa")
    seed(machine, "mfa")
    seen = machine.snapshot()
    assert {name: value for name, value in seen.items() if name.startswith(("certificate", "iis"))} == {
        f"certificate My\\{certificate('mfa07').thumbprint}": "private key",
        "iis pool DefaultAppPool": "Started",
        "iis site Default Web Site": "Started",
    }
    assert r"folder C:\inetpub\wwwroot" in seen
    assert r"folder C:\inetpub\wwwroot\mfasdk" not in seen


def test_a_domain_controller_has_the_group_and_the_account_but_no_member(tmp_path: Path) -> None:
    machine = PythonEngine(tmp_path).machine("dc01", "dc")
    seed(machine, "dc")
    group, account = (f"CN={name},CN=Users,DC=contoso,DC=com" for name in ("PhoneFactor Admins", "mimservice"))
    assert {name: machine.directory_values(group, name) for name in ("groupType", "member", "sAMAccountName")} == {
        "groupType": (b"-2147483646",),
        "member": (),
        "sAMAccountName": (b"PhoneFactor Admins",),
    }
    assert machine.directory_values(account, "userPrincipalName") == (b"mimservice@contoso.com",)


def test_a_certificate_is_the_same_in_every_lab_and_another_for_another_host() -> None:
    # A new version of cryptography that encodes it otherwise would break every inventory of the lab: this says so first.
    assert certificate("mfa01").thumbprint == "69412C98F39B466E28C0A583ECBDB0B28E2F178D"
    assert certificate("mfa02").thumbprint != certificate("mfa01").thumbprint
    expired = certificate("mfa01", not_after=datetime(2021, 1, 1, tzinfo=UTC))
    assert expired.thumbprint != certificate("mfa01").thumbprint


def test_nothing_of_a_certificate_but_its_thumbprint_is_printed() -> None:
    assert repr(certificate("mfa01")) == "LabCertificate(thumbprint='69412C98F39B466E28C0A583ECBDB0B28E2F178D')"


def test_a_service_of_the_seed_can_be_made_one_that_does_not_come_up(tmp_path: Path) -> None:
    machine = PythonEngine(tmp_path).machine("mim01", "mim")
    seed(machine, "mim")
    program = MFA_SETTINGS.replace("MfaSettings.xml", "Microsoft.ResourceManagement.Service.exe")
    machine.add_service(Service("FIMService", program, broken=True, running=False))
    assert machine.service_state("FIMService") == ("stopped", None)
