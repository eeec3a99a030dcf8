"""The connector's session with a real PowerShell behind the lab's WinRM: what test_session.py and test_transfer.py show of the python engine."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings

from connectors import transfer
from connectors.call import HostCall, Json
from connectors.errors import CallTimeoutError, OutcomeUnknownError
from connectors.session import Session
from connectors.settings import WinrmSettings
from connectors.transfer import GET_BLOCK, PUT_BLOCK
from lab import template
from lab.access import Scheme
from lab.lab import Lab
from lab.server import Trouble
from tests.connector_lab import NOW
from tests.lab_machine import no_seed
from tests.test_session import values

pytestmark = [
    pytest.mark.powershell,
    pytest.mark.slow,
    pytest.mark.skipif(template.absent() is not None, reason=str(template.absent())),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab"), "powershell", {"mim01": "mim"}, seed=no_seed) as running:
        yield running


def session_of(lab: Lab, scheme: Scheme = "https", **more: object) -> Session:
    data = {key.removeprefix("winrm_"): value for key, value in lab.connection("mim01", scheme).items()}
    return Session(WinrmSettings.model_validate({**data, **more}), NOW)


@pytest.fixture(scope="module")
def session(lab: Lab) -> Iterator[Session]:
    made = session_of(lab)
    made.open()
    yield made
    made.close()
    assert len(lab.served("mim01").shells) == 0


@settings(max_examples=100, deadline=None)
@given(value=values)
def test_any_value_comes_back_as_it_was(session: Session, value: Json) -> None:
    assert session.call(HostCall("Test-Echo", value=value)).result == {"value": value}


def test_an_argument_of_a_megabyte_comes_back(session: Session) -> None:
    value = "é$()`\r\n'\u2018\"" * 100_000
    assert session.call(HostCall("Test-Echo", value=value)).result == {"value": value}


def test_a_small_call_takes_two_requests(lab: Lab, session: Session) -> None:
    session.call(HostCall("Test-Echo", value=0))
    before = lab.served("mim01").requests
    session.call(HostCall("Test-Echo", value=1))
    assert lab.served("mim01").requests - before == 2


@pytest.mark.parametrize("kind", ["drop-before", "drop-during", "drop-after"])
@pytest.mark.parametrize("action", ["Send", "Receive"])
def test_a_write_runs_once_whatever_is_lost(lab: Lab, session: Session, action: str, kind: str) -> None:
    path = rf"C:\{action}-{kind}"
    lab.served("mim01").trouble(Trouble(kind, action))  # type: ignore[arg-type]  # of the parameters above
    assert session.call(HostCall("New-Folder", path=path)).result == {"created": [path]}


@pytest.mark.parametrize("length", [0, 1, PUT_BLOCK, PUT_BLOCK + 1, 2 * GET_BLOCK + 1])
def test_a_file_goes_there_and_comes_back(lab: Lab, session: Session, length: int) -> None:
    content, path, into = random.Random(length).randbytes(length), rf"C:\file{length}.bin", io.BytesIO()  # noqa: S311
    with session.unbroken():
        assert transfer.put(session.call, io.BytesIO(content), path) == f"{length} bytes"
        assert transfer.put(session.call, io.BytesIO(content), path) == "same content, not sent"
    assert lab.machine("mim01").read_file(path) == content
    transfer.get(session.call, path, into)
    assert into.getvalue() == content


def test_batch_answers_with_a_process_a_call_over_http(lab: Lab) -> None:
    batch = session_of(lab, "http", mode="batch")
    content = bytes(range(256)) * 1200
    batch.open()
    transfer.put(batch.call, io.BytesIO(content), r"C:\batch.bin", whole=True)
    answer = batch.call(HostCall("Read-File", path=r"C:\batch.bin"))
    assert (answer.result["sha256"], answer.blob) == (hashlib.sha256(content).hexdigest(), content)
    batch.close()


def test_a_shell_that_vanished_is_replaced_for_a_read_and_not_for_a_write(lab: Lab, session: Session) -> None:
    session.call(HostCall("Test-Echo", value=0))
    lab.served("mim01").shells.vanish()
    with pytest.raises(OutcomeUnknownError):
        session.call(HostCall("New-Folder", path=r"C:\vanished"))
    assert session.call(HostCall("Read-File", path=r"C:\vanished")).result["kind"] == "absent"


def test_a_call_that_takes_too_long_is_ended_with_its_process(lab: Lab, session: Session) -> None:
    session.call(HostCall("Test-Echo", value=0))
    lab.served("mim01").trouble(Trouble("fault", "Receive", 2150858793, times=3))
    with pytest.raises(CallTimeoutError):
        session.call(HostCall("Test-Echo", value="first"), 0.001)
    assert len(lab.served("mim01").shells) == 0
    for _ in range(2):  # the start polls on through what is left of the trouble
        assert session.call(HostCall("Test-Echo", value="second")).result == {"value": "second"}
