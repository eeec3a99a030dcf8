"""A real machine that test after test takes its turn at: as it was when it was new, or another one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from lab import template
from lab.engine import RegistryValue, Service
from lab.powershell_engine import WAS, WineMachine
from lab.seed import INETSRV, MFA_FOLDER
from tests.oplab import RealLabs
from tests.put_back import HTTP_SYS, PutBack, settled

WHY = template.absent()
pytestmark = [pytest.mark.powershell, pytest.mark.slow, pytest.mark.skipif(WHY is not None, reason=str(WHY))]

RECORD = rf"{HTTP_SYS}\SslBindingInfo\0.0.0.0:9999"
VALUES: Mapping[str, RegistryValue] = {"SslCertHash": b"\x01", "AppId": "{1}"}
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


def test_a_file_is_put_back_with_its_time_and_read_only_as_it_was_and_a_key_with_its_values(
    real_labs: RealLabs,
) -> None:
    machine = real_labs.one("mfa01").machine()
    assert isinstance(machine, WineMachine)
    file = r"C:\old\file.txt"
    machine.write_file(file, b"before")
    machine.set_last_write(file, datetime(2020, 2, 3, 4, 5, 6, 789, tzinfo=UTC))
    machine.set_read_only(file, read_only=True)
    machine.set_registry(RECORD, VALUES)
    put_back, start = PutBack(machine), machine.snapshot()[f"file {file}"]
    machine.set_read_only(file, read_only=False)
    machine.write_file(file, b"after")
    machine.set_registry(RECORD, {"SslCertHash": b"\x02"})
    assert put_back()
    assert (machine.snapshot()[f"file {file}"], machine.registry(RECORD)) == (start, VALUES)
    machine.set_registry(RECORD, {"New": "x"})
    assert put_back()
    assert machine.registry(RECORD) == VALUES
