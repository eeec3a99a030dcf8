"""
A session with one host, against the lab's WinRM: what is sent, what is sent again, what is never sent twice (facts/winrm.md 8).

Who runs the verbs is the python engine, with somebody on its pipes where a far end has to be odd.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import gevent
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.call import HostCall, Json
from connectors.errors import (
    CallTimeoutError,
    FailedError,
    OutcomeUnknownError,
    PendingError,
    TooLargeError,
    VerbError,
)
from connectors.session import Limits
from connectors.wire import Wire
from lab.access import Scheme
from lab.server import Trouble
from lab.shells import Limits as HostLimits
from model.error import HostError
from tests.connector_lab import Clock, Ended, Far, Late, Mortal, Mute, Rewritten, odd_lab

ECHO = HostCall("Test-Echo", value="x")
UNKNOWN = "outcome unknown, run again: every operation compares first"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    with odd_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield Far(lab)


@pytest.fixture
def far(shared: Far) -> Iterator[Far]:
    yield shared
    shared.end()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Callable[[HostLimits], Far]]:
    """Makes a lab with other limits."""
    made: list[tuple[Any, Far]] = []

    def make(limits: HostLimits) -> Far:
        lab = odd_lab(tmp_path / str(len(made)), limits)
        made.append((lab, Far(lab.__enter__())))
        return made[-1][1]

    yield make
    for lab, far in made:
        far.end()
        lab.__exit__(None, None, None)


def new_folder(path: str) -> HostCall:
    """A write that shows whether it ran twice: the second time it would answer that it made nothing."""
    return HostCall("New-Folder", path=path)


def requests_of(far: Far, action: Callable[[], object]) -> int:
    before = far.requests()
    action()
    return far.requests() - before


# -- what is sent --


@pytest.mark.parametrize(
    ("scheme", "transport", "opening"), [("http", "ntlm", 7), ("https", "ntlm", 6), ("https", "basic", 4)]
)
def test_a_host_is_opened_by_few_requests_and_a_small_call_takes_two(
    far: Far, scheme: Scheme, transport: str, opening: int
) -> None:
    session = far.session(scheme, transport=transport, opened=False)
    seen = requests_of(far, session.open)
    calls = [requests_of(far, lambda: session.call(ECHO)) for _ in range(3)]
    writes = requests_of(far, lambda: session.call(new_folder(rf"C:\two\{scheme} {transport}")))
    assert (seen, calls, writes) == (opening, [2, 2, 2], 2)


def test_a_shell_and_its_process_are_gone_when_a_session_was_closed(far: Far) -> None:
    session = far.session()
    assert len(far.served.shells) == 1
    # End of the input, its end, the shell.
    assert requests_of(far, session.close) == 3
    assert (len(far.served.shells), requests_of(far, session.close)) == (0, 0)


def test_a_session_that_was_closed_starts_again_when_it_is_asked(far: Far) -> None:
    session = far.session()
    session.close()
    assert session.call(ECHO).result == {"value": "x"}


@pytest.mark.slow
def test_an_argument_of_a_megabyte_comes_back(far: Far) -> None:
    value = "é$()`\r\n'\u2018\"" * 100_000
    assert far.session().call(HostCall("Test-Echo", value=value)).result == {"value": value}


texts = st.text() | st.sampled_from(["", "null", "0012", "$(x)", "`n", "\ufeff", "\u2028", "a\0b", "-x", "%PATH%"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abcdefgh0.$", min_size=1, max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("mode", ["warm", "batch"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=values, blob=st.binary(max_size=300))
def test_any_value_and_any_bytes_come_back_as_they_were(shared: Far, mode: str, value: Json, blob: bytes) -> None:
    session = _kept(shared, mode)
    answer = session.call(HostCall("Test-Echo", blob=blob, value=value))
    assert (answer.result, answer.blob) == ({"value": value}, blob)


def _kept(far: Far, mode: str) -> Any:
    """The session of a mode that the examples share; the next test of the module closes it."""
    known = [session for session in far._sessions if session._settings.mode == mode]
    return known[0] if known else far.session(mode=mode)


def test_what_a_verb_answers_as_an_error_is_one_and_the_process_lives_on(far: Far) -> None:
    session = far.session()
    with pytest.raises(VerbError) as caught:
        session.call(HostCall("Copy-File", path=r"C:\none", target=r"C:\x", expected="0" * 64))
    assert (caught.value.error.kind, caught.value.error.what, caught.value.error.where) == (
        "missing",
        "Copy-File",
        r"C:\none",
    )
    assert requests_of(far, lambda: session.call(ECHO)) == 2


# -- a lost reply: the same number again, and it runs once --

DROPS = [
    (action, kind, scheme)
    for action in ("Send", "Receive")
    for kind in ("drop-before", "drop-during", "drop-after")
    for scheme in ("http", "https")
]


@pytest.mark.parametrize("read", [True, False], ids=["read", "write"])
@pytest.mark.parametrize(("action", "kind", "scheme"), DROPS)
def test_a_lost_request_or_reply_is_made_up_for_and_the_verb_runs_once(
    far: Far, action: str, kind: Any, scheme: Scheme, *, read: bool
) -> None:
    path = rf"C:\once\{action} {kind} {scheme} {read}"
    session = far.session(scheme, operation_timeout=1)
    processes = far.machine.started
    far.served.trouble(Trouble(kind, action))
    if read:
        assert session.call(HostCall("Test-Echo", value=path)).result == {"value": path}
    else:
        # It would answer that nothing was made, had it run before.
        assert session.call(new_folder(path)).result["created"][-1] == path
    assert session.call(HostCall("Test-Echo", value="next")).result == {"value": "next"}
    assert far.machine.started == processes


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_three_lost_replies_in_a_row_are_made_up_for(far: Far, scheme: Scheme) -> None:
    session = far.session(scheme, operation_timeout=1)
    far.served.trouble(Trouble("drop-after", "Receive", times=3))
    path = rf"C:\thrice {scheme}"
    assert session.call(new_folder(path)).result == {"created": [path]}


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_pending_receive_that_swallows_answer_and_copy_is_outlived(far: Far, scheme: Scheme) -> None:
    """The answer and its cached copy are said at once, and go to the Receive whose connection is gone (facts/winrm.md 8.4)."""
    far.machine.odd.append(partial(Late, after=2))
    session = far.session(scheme, operation_timeout=1)
    far.served.trouble(Trouble("drop-during", "Receive"))
    path = rf"C:\swallowed\{scheme}"
    assert session.call(new_folder(path)).result["created"][-1] == path


def test_a_long_line_that_was_cut_in_the_middle_arrives_once(far: Far) -> None:
    session = far.session(limits=Limits(pauses_s=(0, 0, 0, 0), pieces=(1000,)))
    far.served.trouble(Trouble("drop-before", "Send", skip=2))
    content = bytes(range(256)) * 20
    digest = hashlib.sha256(content).hexdigest()
    call = HostCall(
        "Write-File", blob=content, path=r"C:\cut.bin", expected="absent", sha256=digest, length=len(content)
    )
    # Less than an operation timeout, after which the line would be sent once more and get through in any case.
    assert session.call(call, timeout_s=10).result == {"sha256": digest, "done": True}
    assert far.machine.read_file(r"C:\cut.bin") == content


def test_an_operation_timeout_of_a_send_and_a_busy_shell_are_no_end(far: Far) -> None:
    session = far.session()
    for code in (2150858793, 170):
        far.served.trouble(Trouble("fault", "Send", code))
    path = r"C:\busy"
    assert session.call(new_folder(path)).result == {"created": [path]}


def test_a_line_of_the_far_end_that_was_damaged_is_asked_for_again(far: Far) -> None:
    once = iter([True])

    def cut(data: bytes) -> bytes:
        return data[:-8] + b"\n" if b" A 1 " in data and next(once, False) else data

    far.machine.odd.append(partial(Rewritten, rewrite=cut))
    path = r"C:\damaged"
    assert far.session().call(new_folder(path)).result == {"created": [path]}


def test_lines_that_are_no_frames_are_not_heard(far: Far) -> None:
    far.machine.odd.append(partial(Rewritten, rewrite=lambda data: b"WARNING: noise\r\n\xef\xbb\xbf" + data))
    session = far.session()
    assert [session.call(HostCall("Test-Echo", value=at)).result["value"] for at in range(3)] == [0, 1, 2]


def test_waits_before_each_reconnect_grow_and_end(far: Far) -> None:
    clock = Clock()
    session = far.session(limits=Limits(), clock=clock)
    far.served.trouble(Trouble("drop-before", "Send", times=5))
    far.served.trouble(Trouble("drop-before", "Delete"))
    with pytest.raises(OutcomeUnknownError) as caught:
        session.call(new_folder(r"C:\never"))
    address = f"127.0.0.1:{far.lab.address('mim01').https}"
    assert str(caught.value) == f"the connection to {address} broke during New-Folder: {UNKNOWN}"
    assert (clock.slept, far.machine.snapshot().get(r"folder C:\never")) == ([0.1, 1, 5, 15], None)


# -- the process or the shell is gone: a read once more, a write never --


@pytest.mark.parametrize("done", [True, False], ids=["done", "not done"])
@pytest.mark.parametrize("mode", ["warm", "batch"])
def test_a_write_whose_process_died_is_of_unknown_outcome_and_not_repeated(far: Far, mode: str, *, done: bool) -> None:
    session = far.session(mode=mode)
    if mode == "warm":
        session.close()
    far.machine.odd.append(partial(Mortal, done=done))
    path = rf"C:\died {mode} {done}"
    with pytest.raises(OutcomeUnknownError, match=r"during New-Folder.*outcome unknown, run again"):
        session.call(new_folder(path))
    assert session.call(HostCall("Read-File", path=path)).result["kind"] == ("folder" if done else "absent")


@pytest.mark.parametrize("mode", ["warm", "batch"])
def test_a_read_whose_process_died_is_done_once_more(far: Far, mode: str) -> None:
    session = far.session(mode=mode)
    session.close()
    processes = far.machine.started
    far.machine.odd.append(partial(Mortal, done=False))
    assert session.call(ECHO).result == {"value": "x"}
    assert far.machine.started - processes == 2


def test_a_read_whose_process_dies_twice_is_an_error(far: Far) -> None:
    session = far.session()
    session.close()
    far.machine.odd.extend([partial(Mortal, done=False)] * 2)
    with pytest.raises(FailedError) as caught:
        session.call(ECHO)
    assert str(caught.value) == "the PowerShell process ended during Test-Echo, twice"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_shell_that_vanished_is_replaced_for_a_read(far: Far, scheme: Scheme) -> None:
    session = far.session(scheme)
    assert far.served.shells.vanish() == 1
    assert session.call(ECHO).result == {"value": "x"}


def test_a_shell_that_vanished_under_a_write_leaves_its_outcome_unknown(far: Far) -> None:
    session = far.session()
    far.served.shells.vanish()
    with pytest.raises(OutcomeUnknownError) as caught:
        session.call(new_folder(r"C:\vanished"))
    assert str(caught.value) == f"the session was closed by the host during New-Folder: {UNKNOWN}"
    assert session.call(HostCall("Read-File", path=r"C:\vanished")).result["kind"] == "absent"


@pytest.mark.parametrize("trouble", [Trouble("status", "Receive", 503), Trouble("fault", "Receive", 2150859175)])
def test_any_other_failure_after_a_write_was_sent_says_that_its_outcome_is_unknown(far: Far, trouble: Trouble) -> None:
    session = far.session()
    far.served.trouble(trouble)
    with pytest.raises(OutcomeUnknownError, match=r"\(during New-Folder\): outcome unknown, run again"):
        session.call(new_folder(rf"C:\other\{trouble.code}"))


# -- sizes --


@pytest.mark.slow
def test_a_host_that_takes_small_messages_gets_small_pieces(small: Callable[[HostLimits], Far]) -> None:
    """The start too: the script alone is larger than 150 kB on the wire. With encryption a refused message also ends the connection."""
    far = small(HostLimits(max_envelope_kb=150))
    value = "x" * 400_000
    for scheme in ("http", "https"):
        for mode in ("warm", "batch"):
            session = far.session(scheme, mode=mode)
            assert session.call(HostCall("Test-Echo", value=value)).result == {"value": value}
            session.close()


def test_a_message_that_is_refused_as_too_large_changes_nothing_and_is_sent_smaller(far: Far) -> None:
    session = far.session("http")
    far.served.trouble(Trouble("status", "Send", 413))
    assert session.call(new_folder(r"C:\smaller")).result == {"created": [r"C:\smaller"]}


def test_a_host_that_takes_no_message_of_ours_is_told_so(far: Far) -> None:
    session = far.session()
    far.served.trouble(Trouble("status", "Send", 413, times=2))
    with pytest.raises(TooLargeError) as caught:
        session.call(new_folder(r"C:\larger"))
    assert str(caught.value) == (
        f"127.0.0.1:{far.lab.address('mim01').https}: the message is larger than the host takes; MaxEnvelopeSizekb is below 200. Nothing was done. "
        'Raise it there: winrm set winrm/config @{MaxEnvelopeSizekb="500"}'
    )


# -- time --


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_connection_that_was_silent_for_long_is_not_used_again(far: Far, scheme: Scheme) -> None:
    clock = Clock()
    session = far.session(scheme, clock=clock)
    clock.now += 89
    assert requests_of(far, lambda: session.call(ECHO)) == 2
    clock.now += 91
    processes = far.machine.started
    # Two of NTLM, and one more that sets the encryption up.
    assert requests_of(far, lambda: session.call(ECHO)) == {"http": 5, "https": 4}[scheme]
    assert far.machine.started == processes
    clock.now += 91
    session.close()
    assert len(far.served.shells) == 0


@pytest.mark.parametrize("kind", ["drop-before", "status"])
def test_a_shell_is_deleted_although_the_connection_broke_meanwhile(
    far: Far, kind: Literal["drop-before", "status"]
) -> None:
    session = far.session("http")
    far.served.trouble(Trouble(kind, "Send", 400))
    session.close()
    assert len(far.served.shells) == 0
    session = far.session("http")
    far.served.trouble(Trouble(kind, "Delete", 400))
    session.close()
    assert len(far.served.shells) == 0


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [(Limits(age_s=60), 61), (Limits(calls=2), 0), (Limits(silent_s=600), 601)],
    ids=["age", "calls", "silence"],
)
def test_a_process_is_replaced_when_it_is_worn(far: Far, limits: Limits, seconds: float) -> None:
    clock = Clock()
    session = far.session(limits=limits, clock=clock)
    for _ in range(2):
        session.call(ECHO)
    processes = far.machine.started
    clock.now += seconds
    # A write too: nothing of it was sent to the old one.
    assert session.call(new_folder(rf"C:\worn\{seconds}")).result["created"]
    assert (far.machine.started - processes, len(far.served.shells)) == (1, 1)


def test_a_process_is_not_replaced_in_the_middle_of_calls_that_build_on_one_another(far: Far) -> None:
    session = far.session(limits=Limits(calls=1))
    with session.unbroken():
        processes = far.machine.started
        for _ in range(3):
            session.call(ECHO)
        assert far.machine.started == processes
    session.call(ECHO)
    assert far.machine.started == processes + 1


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["warm", "batch"])
def test_a_call_that_takes_too_long_is_ended_and_the_next_one_has_a_new_process(far: Far, mode: str) -> None:
    session = far.session(mode=mode)
    session.close()
    for call, unknown in ((ECHO, ""), (new_folder(r"C:\slow"), f": {UNKNOWN}")):
        far.machine.odd.append(partial(Late, after=99) if mode == "warm" else Mute)
        with pytest.raises(CallTimeoutError) as caught:
            session.call(call, 0.01)
        assert str(caught.value) == f"{call.verb} took too long and was ended{unknown}"
        assert len(far.served.shells) == 0
    assert session.call(ECHO).result == {"value": "x"}


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["warm", "batch"])
def test_a_call_that_gevent_interrupts_leaves_nothing_that_the_next_could_take_for_its_answer(
    far: Far, mode: str
) -> None:
    session = far.session(mode=mode)
    session.close()
    far.machine.odd.append(partial(Late, after=99) if mode == "warm" else Mute)
    timeout = gevent.Timeout()
    real = session._wire.receive

    def receive(timeout_s: float) -> Any:
        try:
            return real(timeout_s)
        except PendingError:
            raise timeout from None

    # The process of the tests is not gevent's, which would interrupt the waiting itself.
    session._wire.receive = receive  # type: ignore[method-assign]
    with pytest.raises(gevent.Timeout) as caught:
        session.call(HostCall("Test-Echo", value="first"), 1)
    assert caught.value is timeout
    assert len(far.served.shells) == 0
    assert session.call(HostCall("Test-Echo", value="second")).result == {"value": "second"}


# -- batch --


@pytest.mark.slow
def test_a_powershell_that_answers_only_when_its_input_has_ended_is_used_one_process_a_call(
    far: Far, caplog: pytest.LogCaptureFixture
) -> None:
    far.machine.odd.append(Mute)
    session = far.session(limits=Limits(hello_s=0.01))
    processes = far.machine.started
    assert [session.call(HostCall("Test-Echo", value=at)).result["value"] for at in range(3)] == [0, 1, 2]
    assert (session.batch, far.machine.started - processes, len(far.served.shells)) == (True, 3, 1)
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"127.0.0.1:{far.lab.address('mim01').https}: PowerShell does not answer while its input stays open; one process a call from here on (batch)"
    ]


@pytest.mark.slow
def test_a_host_that_answers_in_neither_way_is_an_error_while_it_is_opened(far: Far) -> None:
    far.machine.odd.extend([Mute, Mute])
    with pytest.raises(CallTimeoutError) as caught:
        far.session(limits=Limits(hello_s=0.01))
    assert str(caught.value) == "Test-Echo took too long and was ended"


@pytest.mark.slow
def test_warm_alone_does_not_fall_back(far: Far) -> None:
    far.machine.odd.append(Mute)
    with pytest.raises(FailedError) as caught:
        far.session(limits=Limits(hello_s=0.01), mode="warm")
    assert str(caught.value) == (
        f"127.0.0.1:{far.lab.address('mim01').https}: PowerShell started but never answered (winrm_mode is warm: auto would try batch)"
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_batch_keeps_its_connection_fresh_as_well(far: Far, scheme: Scheme) -> None:
    clock = Clock()
    session = far.session(scheme, clock=clock, mode="batch")
    clock.now += 91
    log = far.lab.root / "http.log"
    before = len(log.read_text().splitlines())
    assert session.call(ECHO).result == {"value": "x"}
    seen = [(status, action) for _, _, _, status, action, *_ in map(str.split, log.read_text().splitlines()[before:])]
    assert [one for one in seen if one[1] == "-"] == [("401", "-")] * 2 + [("200", "-")] * (scheme == "http")
    assert {status for status, action in seen if action != "-"} == {"200"}


def test_batch_gives_a_shell_back_after_so_many_processes(far: Far) -> None:
    session = far.session(limits=Limits(batch_calls=2), mode="batch")
    shells = far.lab.root / "http.log"
    before = shells.read_text().count(" Create ")
    for _ in range(4):
        session.call(ECHO)
    assert shells.read_text().count(" Create ") - before == 2


def test_batch_opens_another_shell_when_the_quota_of_operations_is_used_up(
    small: Callable[[HostLimits], Far],
) -> None:
    """A text shell gives no operation back before it is deleted (facts/winrm.md 3)."""
    far = small(HostLimits(max_operations_per_user=3))
    session = far.session(mode="batch")
    for at in range(6):
        assert session.call(new_folder(rf"C:\{at}")).result == {"created": [rf"C:\{at}"]}


@pytest.mark.parametrize("kind", ["drop-before", "drop-after"])
@pytest.mark.parametrize("action", ["Create", "Command"])
def test_what_is_lost_before_anything_of_a_call_was_sent_is_done_again(far: Far, action: str, kind: Any) -> None:
    session = far.session(mode="batch", opened=False)
    far.served.trouble(Trouble(kind, action))
    path = rf"C:\again\{action} {kind}"
    assert session.call(new_folder(path)).result["created"][-1] == path
    if (action, kind) == ("Create", "drop-after"):
        # Whose id never arrived cannot be deleted by us: it ends by its idle timeout.
        session.close()
        assert far.served.shells.vanish() == 1


# -- what the far end says of itself --


def hello(**changes: Any) -> Callable[[bytes], bytes]:
    """Rewrites the hello of a far end."""

    def rewrite(data: bytes) -> bytes:
        token, kind, seq, _, body = data.split()
        if kind != b"H":
            return data
        text = base64.b64encode(json.dumps({**json.loads(base64.b64decode(body)), **changes}).encode())
        return b" ".join([token, kind, seq, str(len(text)).encode(), text]) + b"\n"

    return rewrite


HELLOS = {
    "a 32-bit PowerShell": (
        {"is64": False},
        " starts a 32-bit PowerShell: IIS and the registry would be the wrong ones",
    ),
    "an old PowerShell": ({"powershell": "4.0"}, " has PowerShell 4.0, expected 5.1: install WMF 5.1 there"),
    "no version": ({"powershell": None}, " has PowerShell None, expected 5.1: install WMF 5.1 there"),
    "another script": ({"sha256": "0" * 64}, ": PowerShell runs another script than the one that was sent"),
    "another mode": ({"mode": "read"}, ": PowerShell runs another script than the one that was sent"),
}


@pytest.mark.parametrize(("changes", "text"), HELLOS.values(), ids=HELLOS)
def test_a_far_end_that_cannot_do_the_work_is_refused(far: Far, changes: dict[str, Any], text: str) -> None:
    far.machine.odd.append(partial(Rewritten, rewrite=hello(**changes)))
    with pytest.raises(FailedError) as caught:
        far.session()
    assert str(caught.value) == f"127.0.0.1:{far.lab.address('mim01').https}{text}"
    assert len(far.served.shells) == 0


def answering(body: Any) -> Callable[[bytes], bytes]:
    """Rewrites every answer of a far end."""

    def rewrite(data: bytes) -> bytes:
        token, kind, seq = data.split()[:3]
        text = base64.b64encode(json.dumps(body).encode())
        return b" ".join([token, kind, seq, str(len(text)).encode(), text, b"-\n"]) if kind == b"A" else data

    return rewrite


SHAPES = {
    "nothing": None,
    "an empty object": {},
    "ok without a result": {"ok": True},
    "an empty result": {"ok": True, "result": None},
    "a result that is no object": {"ok": True, "result": []},
    "ok is no truth value": {"ok": 1, "result": {}},
    "an error without words": {"ok": False, "error": {}},
    "an error that is a text": {"ok": False, "error": "x"},
    "an error of no kind": {"ok": False, "error": {"kind": "odd", "what": "", "where": "", "why": "", "hresult": None}},
    "a number that is a text": {
        "ok": False,
        "error": {"kind": "busy", "what": "", "where": "", "why": "", "hresult": "5"},
    },
}


@pytest.mark.parametrize("body", SHAPES.values(), ids=SHAPES)
def test_an_answer_of_another_shape_is_an_error_and_never_absent(far: Far, body: Any) -> None:
    far.machine.odd.append(partial(Rewritten, rewrite=answering(body)))
    session = far.session()
    with pytest.raises(FailedError, match=r"^Read-File: .*another shape than docs/verbs.md says"):
        session.call(HostCall("Read-File", path=r"C:\x"))


def test_an_error_of_a_verb_keeps_its_data(far: Far) -> None:
    error = {"kind": "denied", "what": "W", "where": "x", "why": "No right.", "hresult": 2147942405, "ldap": 50}
    far.machine.odd.append(partial(Rewritten, rewrite=answering({"ok": False, "error": error})))
    with pytest.raises(VerbError) as caught:
        far.session().call(ECHO)
    assert caught.value.error == HostError("denied", "W", "x", "No right.", 2147942405, 50)
    assert str(caught.value) == "W x: No right (0x80070005, LDAP 50) [denied]. This call wrote nothing."


def test_a_powershell_that_ends_at_once_is_quoted_by_its_first_lines(far: Far) -> None:
    far.machine.odd.append(lambda _, __: Ended(b"The system cannot find the path specified.\r\n", b"", 1))
    with pytest.raises(FailedError) as caught:
        far.session()
    assert str(caught.value) == (
        f"127.0.0.1:{far.lab.address('mim01').https}: PowerShell ended with 1 before it answered: The system cannot find the path specified. "
        r"Does this work there: %SystemRoot%\System32\WindowsPowerShell\v1.0\powershell.exe -NoProfile -Command 1"
    )


def test_a_session_for_reading_only_has_a_far_end_that_refuses_writes_too(far: Far) -> None:
    session = far.session(read_only=True)
    with pytest.raises(VerbError) as caught:
        session.call(new_folder(r"C:\refused"))
    assert (caught.value.error.kind, far.machine.snapshot().get(r"folder C:\refused")) == ("denied", None)


# -- the wire --


def test_over_http_nothing_is_sent_in_clear_when_the_encryption_did_not_come_about(
    far: Far, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pywinrm keeps the HTTP session whose set-up failed and would post the next message as it stands."""
    wire = Wire(far.settings("http"))
    import winrm.transport  # noqa: PLC0415 - to break it

    posted: list[int] = []
    real = winrm.transport.Transport._send_message_request

    def send(self: Any, session: Any, request: Any) -> Any:
        posted.append(len(request.body or b""))
        if len(posted) == 1:
            raise ConnectionError
        return real(self, session, request)

    monkeypatch.setattr(winrm.transport.Transport, "_send_message_request", send)
    with pytest.raises(Exception, match="broke"):
        wire.open_shell()
    assert posted == [0]
    wire.open_shell()
    wire.close_shell()
    assert posted[1] == 0
