"""A real machine that test after test takes its turn at: as it was when it was new, or another one."""

from __future__ import annotations

import pytest

from lab import template
from lab.engine import Service
from lab.powershell_engine import WAS
from lab.seed import INETSRV, MFA_FOLDER
from tests.oplab import RealLabs
from tests.put_back import HTTP_SYS, settled

WHY = template.absent()
pytestmark = [pytest.mark.powershell, pytest.mark.slow, pytest.mark.skipif(WHY is not None, reason=str(WHY))]

RECORD = rf"{HTTP_SYS}\SslBindingInfo\0.0.0.0:9999"
CONFIG = rf"{INETSRV}\config\applicationHost.config"


def test_what_a_test_wrote_is_put_back_and_where_that_cannot_be_the_next_gets_a_new_machine(
    real_labs: RealLabs,
) -> None:
    lab = real_labs.one("mfa01")
    machine = lab.machine()
    start, states = settled(machine.snapshot()), machine.registry(WAS)
    machine.write_file(CONFIG, b"<configuration />")
    machine.set_read_only(CONFIG, read_only=True)
    machine.remove_file(rf"{MFA_FOLDER}\Data\PhoneFactor.pfdata")
    machine.write_file(r"C:\new\inner\file.txt", b"")
    machine.set_registry(RECORD, {"SslCertHash": b"\x01"})
    machine.set_registry(WAS, {"site S": "Started", "since site S": "1"})
    machine.set_iis_state("site", "Default Web Site", "Stopped")
    assert real_labs.one("mfa01") is lab
    assert (settled(machine.snapshot()), machine.registry(WAS), machine.registry(RECORD)) == (start, states, {})
    machine.add_service(Service("Late", r"C:\late.exe", running=False))
    assert real_labs.one("mfa01") is not lab
