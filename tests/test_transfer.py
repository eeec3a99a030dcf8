"""Files to and from a host of the lab: whole or not at all, verified, and not sent when they are there already."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from connectors import transfer
from connectors.call import Answer, HostCall
from connectors.errors import FailedError
from connectors.session import Session
from connectors.transfer import GET_BLOCK, PUT_BLOCK
from connectors.winrm import WinrmConnector
from lab.access import Scheme
from lab.server import Trouble
from tests.connected import connected
from tests.connector_lab import Far, odd_lab

FOLDER = r"C:\transfer"
GONE = 2150858843


class Connect(Protocol):
    def __call__(self, scheme: Scheme = "https", **data: Any) -> WinrmConnector: ...


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    with odd_lab(tmp_path_factory.mktemp("lab")) as lab:
        lab.machine("mim01").make_folder(FOLDER)
        yield Far(lab)


@pytest.fixture
def far(shared: Far) -> Iterator[Far]:
    """The host; its folder is empty, and nothing may be open on it afterwards."""
    for name in files(shared):
        shared.machine.remove_file(rf"{FOLDER}\{name}")
    yield shared
    shared.end()


@pytest.fixture
def connect(far: Far) -> Iterator[Connect]:
    with ExitStack() as ends:

        def make(scheme: Scheme = "https", **data: Any) -> WinrmConnector:
            mine = {**far.lab.connection("mim01", scheme), **data}
            return ends.enter_context(connected(mine))[1]

        yield make


def files(far: Far) -> list[str]:
    """What is in the folder, whatever its name."""
    prefix = rf"file {FOLDER}" + "\\"
    return [name.removeprefix(prefix) for name in far.machine.snapshot() if name.startswith(prefix)]


def some(length: int) -> bytes:
    return random.Random(length).randbytes(length)  # noqa: S311 - any bytes


def sent(far: Far, action: Callable[[], object]) -> int:
    """Bytes that an action sent to the host."""
    log = far.lab.root / "http.log"
    before = len(log.read_text().splitlines())
    action()
    return sum(int(line.split()[5]) for line in log.read_text().splitlines()[before:])


@pytest.mark.parametrize(
    ("length", "scheme", "mode"),
    [
        (0, "https", "warm"),
        (1, "https", "warm"),
        (PUT_BLOCK - 1, "http", "warm"),
        (PUT_BLOCK, "https", "warm"),
        (PUT_BLOCK + 1, "http", "warm"),
        (3 * PUT_BLOCK, "https", "warm"),
        (0, "https", "batch"),
        (PUT_BLOCK + 1, "https", "batch"),
        pytest.param(20_000_000, "https", "warm", marks=pytest.mark.slow),
    ],
)
def test_a_file_arrives_as_it_is_and_again_is_not_sent(
    far: Far, connect: Connect, tmp_path: Path, length: int, scheme: Scheme, mode: str
) -> None:
    connector, path, content = connect(scheme, winrm_mode=mode), rf"{FOLDER}\put.bin", some(length)
    source = tmp_path / "source"
    source.write_bytes(content)
    assert connector.put_file(str(source), path) is True
    assert (far.machine.read_file(path) == content, files(far)) == (True, ["put.bin"])
    since = far.lab.mark()
    # Batch sends the verbs each time.
    assert sent(far, lambda: connector.put_file(io.BytesIO(content), path)) < (10_000 if mode == "warm" else 300_000)
    assert far.lab.changes(since) == ()


@pytest.mark.parametrize(
    ("length", "scheme", "mode"),
    [
        (0, "https", "warm"),
        (1, "https", "batch"),
        (GET_BLOCK - 1, "http", "warm"),
        (GET_BLOCK, "https", "warm"),
        (GET_BLOCK + 1, "https", "batch"),
        pytest.param(20_000_000, "https", "warm", marks=pytest.mark.slow),
    ],
)
def test_a_file_comes_back_as_it_is(
    far: Far, connect: Connect, tmp_path: Path, length: int, scheme: Scheme, mode: str
) -> None:
    path, content = rf"{FOLDER}\get.bin", some(length)
    far.machine.write_file(path, content)
    connector, target = connect(scheme, winrm_mode=mode), tmp_path / "target"
    assert connector.get_file(path, str(target)) is True
    assert (target.read_bytes() == content, [one.name for one in tmp_path.iterdir()]) == (True, ["target"])


def test_a_file_comes_back_into_an_open_one(far: Far, connect: Connect) -> None:
    path, into = rf"{FOLDER}\get.bin", io.BytesIO()
    far.machine.write_file(path, b"there")
    assert connect().get_file(path, into) is True
    assert into.getvalue() == b"there"


@pytest.mark.parametrize("blocks", [0, 1, 2])
def test_an_upload_that_is_cut_leaves_the_old_file_and_nothing_beside_it(
    far: Far, connect: Connect, caplog: pytest.LogCaptureFixture, blocks: int
) -> None:
    path = rf"{FOLDER}\cut.bin"
    far.machine.write_file(path, b"old")
    connector = connect()
    far.served.trouble(Trouble("fault", "Send", GONE, skip=1 + blocks))
    assert connector.put_file(io.BytesIO(some(3 * PUT_BLOCK)), path) is False
    assert (far.machine.read_file(path), files(far)) == (b"old", ["cut.bin"])
    assert "Write-File: outcome unknown, run again" in caplog.text
    # And the next one does it.
    assert connector.put_file(io.BytesIO(some(3 * PUT_BLOCK)), path) is True
    assert (far.machine.read_file(path), files(far)) == (some(3 * PUT_BLOCK), ["cut.bin"])


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_lost_replies_in_the_middle_of_an_upload_are_made_up_for(far: Far, connect: Connect, scheme: Scheme) -> None:
    path, content = rf"{FOLDER}\lost.bin", some(3 * PUT_BLOCK + 7)
    connector = connect(scheme, winrm_operation_timeout=1)
    far.served.trouble(Trouble("drop-after", "Send", skip=2))
    far.served.trouble(Trouble("drop-after", "Receive", skip=3))
    assert connector.put_file(io.BytesIO(content), path) is True
    assert (far.machine.read_file(path), files(far)) == (content, ["lost.bin"])


def test_a_process_that_is_due_for_replacement_stays_until_the_file_is_there(far: Far, connect: Connect) -> None:
    connector, content = connect(), some(3 * PUT_BLOCK)
    session = connector._session
    assert session is not None
    session._limits = type(session._limits)(calls=2)
    processes = far.machine.started
    assert connector.put_file(io.BytesIO(content), rf"{FOLDER}\worn.bin") is True
    assert (far.machine.read_file(rf"{FOLDER}\worn.bin"), far.machine.started) == (content, processes)


def test_a_file_that_somebody_else_changed_meanwhile_stays_as_he_left_it(
    far: Far, connect: Connect, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = rf"{FOLDER}\theirs.bin"
    far.machine.write_file(path, b"old")
    connector, real = connect(), Session.call

    def call(session: Session, one: HostCall, timeout_s: float | None = None) -> Answer:
        if one.verb == "Write-File":
            far.machine.write_file(path, b"theirs")
        return real(session, one, timeout_s)

    monkeypatch.setattr(Session, "call", call)
    assert connector.put_file(io.BytesIO(b"ours"), path) is False
    assert (far.machine.read_file(path), files(far)) == (b"theirs", ["theirs.bin"])
    assert "[conflict]. It changed since it was read; this call wrote nothing. Run again." in caplog.text


def test_a_file_that_changes_while_it_is_read_is_an_error_and_the_local_one_stays(
    far: Far, connect: Connect, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, target = rf"{FOLDER}\moving.bin", tmp_path / "target"
    far.machine.write_file(path, some(GET_BLOCK + 5))
    target.write_bytes(b"old")
    connector, real = connect(), Session.call

    def call(session: Session, one: HostCall, timeout_s: float | None = None) -> Answer:
        answer = real(session, one, timeout_s)
        far.machine.write_file(path, b"x" * (GET_BLOCK + 5))
        return answer

    monkeypatch.setattr(Session, "call", call)
    assert connector.get_file(path, str(target)) is False
    assert (target.read_bytes(), [one.name for one in tmp_path.iterdir()]) == (b"old", ["target"])
    assert f"get {path}: {path} changed while it was read; run again" in caplog.text


def _missing_source(connector: WinrmConnector, folder: Path) -> bool:
    return connector.put_file(str(folder / "none"), rf"{FOLDER}\x")


def _unseekable_source(connector: WinrmConnector, folder: Path) -> bool:
    with (folder / "closed").open("wb") as file:
        return connector.put_file(file, rf"{FOLDER}\x")


def _missing_target(connector: WinrmConnector, folder: Path) -> bool:
    return connector.get_file(rf"{FOLDER}\there", str(folder / "none" / "x"))


REFUSED: dict[str, tuple[Callable[[WinrmConnector, Path], bool], str]] = {
    "a source that is not there": (_missing_source, "{tmp}/none cannot be read: No such file or directory"),
    "a source that cannot be read": (
        _unseekable_source,
        "the source cannot be read: it is not open for reading, or cannot be rewound",
    ),
    "a folder in the way": (
        lambda connector, _: connector.put_file(io.BytesIO(b"x"), FOLDER),
        rf"{FOLDER} is a folder, expected a file name",
    ),
    "a folder to get": (
        lambda connector, tmp: connector.get_file(FOLDER, str(tmp / "x")),
        rf"{FOLDER} is a folder",
    ),
    "nothing to get": (
        lambda connector, tmp: connector.get_file(rf"{FOLDER}\none", str(tmp / "x")),
        rf"{FOLDER}\none is not there",
    ),
    "no folder here": (_missing_target, "{tmp}/none/x cannot be written here: No such file or directory"),
    "a text to write into": (
        lambda connector, _: connector.get_file(rf"{FOLDER}\there", io.StringIO()),
        "the target takes no bytes: open it in binary mode",
    ),
    "a path that is none": (
        lambda connector, _: connector.put_file(io.BytesIO(b"x"), "x.bin"),
        "Read-File x.bin: ",
    ),
    "an argument without meaning": (
        lambda connector, _: connector.put_file(io.BytesIO(b"x"), rf"{FOLDER}\x", _sudo=True),
        "_sudo has no meaning on Windows over @winrm: leave it out",
    ),
}


@pytest.mark.parametrize(("action", "text"), REFUSED.values(), ids=REFUSED)
def test_a_transfer_that_cannot_be_done_says_why(
    far: Far,
    connect: Connect,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    action: Callable[[WinrmConnector, Path], bool],
    text: str,
) -> None:
    far.machine.write_file(rf"{FOLDER}\there", b"there")
    connector = connect()
    assert action(connector, tmp_path) is False
    assert text.format(tmp=tmp_path) in caplog.text
    assert files(far) == ["there"]


def test_a_text_is_put_as_utf_8(far: Far, connect: Connect) -> None:
    assert connect().put_file(io.StringIO("é\r\n"), rf"{FOLDER}\text.txt") is True
    assert far.machine.read_file(rf"{FOLDER}\text.txt") == "é\r\n".encode()


def test_a_file_that_is_too_large_for_winrm_is_refused_before_anything_is_sent() -> None:
    def call(_: HostCall) -> Answer:
        raise AssertionError("nothing is asked")

    with pytest.raises(FailedError) as caught:
        transfer.put(call, io.BytesIO(bytes(50_000_001)), r"C:\x")
    assert (
        str(caught.value)
        == "50000001 bytes are more than WinRM carries well (50 MB): let the host fetch it from a share"
    )


def test_what_the_host_reads_back_is_believed_and_not_what_was_sent() -> None:
    def call(one: HostCall) -> Answer:
        if one.verb == "Read-File":
            return Answer({"kind": "absent", "sha256": None})
        return Answer({"done": True, "sha256": hashlib.sha256(b"other").hexdigest()})

    with pytest.raises(FailedError) as caught:
        transfer.put(call, io.BytesIO(b"x"), r"C:\x")
    assert str(caught.value) == r"C:\x: written, but the host reads another content back; run again"
