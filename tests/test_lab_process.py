"""Programs of the real engines: bytes both ways, the terminal on stderr, and that nothing of them stays."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.engine import Output
from lab.process import STARTUP, EndedProcess, LocalProcess, Screen, keep_no_profile, marked

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the real engines run on Linux only")

ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


def start(script: str) -> LocalProcess:
    return LocalProcess(["sh", "-c", script], ENVIRONMENT, Path("/"))


def whole(process: LocalProcess) -> Output:
    """All that a program says until it has ended."""
    stdout, stderr, deadline = b"", b"", time.monotonic() + 30
    while time.monotonic() < deadline:
        output = process.read(1)
        stdout, stderr = stdout + output.stdout, stderr + output.stderr
        if output.exit_code is not None:
            return Output(stdout, stderr, output.exit_code)
    raise AssertionError(f"it did not end within 30 s, and said {stdout!r} {stderr!r}")


def test_a_program_says_what_it_says_on_the_stream_that_it_chose_and_ends_with_its_code() -> None:
    assert whole(start("echo out; echo err >&2; exit 7")) == Output(b"out\n", b"err\r\n", 7)


def test_stderr_is_a_terminal_and_nothing_else_is() -> None:
    script = "for handle in 0 1 2; do if [ -t $handle ]; then echo yes; else echo no; fi; done"
    assert whole(start(script)) == Output(b"no\nno\nyes\n", b"", 0)


def test_more_than_a_pipe_holds_goes_through_in_both_directions() -> None:
    process = start("cat")
    data = bytes(range(256)) * 20_000
    process.write(data[:1_000_000], end=False)
    process.write(data[1_000_000:], end=True)
    assert whole(process) == Output(data, b"", 0)


def test_a_program_that_does_not_read_holds_nobody_up() -> None:
    process = start("exit 0")
    process.write(b"x" * 1_000_000, end=True)
    assert whole(process) == Output(b"", b"", 0)
    process.write(b"more", end=True)
    assert process.read(0) == Output(exit_code=0)


def test_reading_waits_no_longer_than_it_may() -> None:
    process = start("exec sleep 60")
    assert process.read(0.05) == Output()
    process.terminate()


def test_ending_a_program_ends_its_children_also_in_a_session_of_their_own() -> None:
    process = start("setsid sh -c 'echo $$; exec sleep 60' & wait")
    child = int(process.read(10).stdout)
    assert set(marked(process._mark)) == {process.pid, child}
    process.terminate()
    assert marked(process._mark) == ()
    assert process.read(0) == Output(exit_code=1)
    process.terminate()


def test_a_child_that_keeps_the_output_open_does_not_hide_the_end() -> None:
    process = start("sleep 60 & echo out; exit 5")
    assert whole(process) == Output(b"out\n", b"", 5)
    process.terminate()
    assert marked(process._mark) == ()


def test_what_cannot_be_started_is_said_and_leaves_nothing_open() -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        LocalProcess(["/no-such-program"], ENVIRONMENT, Path("/"))
    assert sorted(Path("/proc/self/fd").iterdir()) == before


def test_an_ended_program_leaves_nothing_open() -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    whole(start("exit 0"))
    assert sorted(Path("/proc/self/fd").iterdir()) == before


def test_a_program_that_never_was_says_why_once() -> None:
    process = EndedProcess("no such thing\r\n")
    process.write(b"x", end=True)
    assert process.read(0) == Output(stderr=b"no such thing\r\n", exit_code=1)
    assert process.read(0) == Output(exit_code=1)


drawing = st.sampled_from(
    [b"\x1b[2J", b"\x1b[31;1m", b"\x1b[?25l", b"\x1b[12;40H", b"\x1b]0;title\x07", b"\x1b]0;t\x1b\\", b"\x1b(B"]
)
words = st.text(st.characters(exclude_characters="\x1b", codec="utf-8"), max_size=5).map(str.encode)


@given(st.lists(st.tuples(words, drawing), max_size=6), st.data())
def test_drawing_is_taken_out_of_text_wherever_it_is_cut(
    pieces: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    whole_text = b"".join(word + drawn for word, drawn in pieces)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole_text)), max_size=4)))
    screen = Screen()
    read = b"".join(screen.text(whole_text[a:b]) for a, b in zip([0, *cuts], [*cuts, len(whole_text)], strict=True))
    assert read == b"".join(word for word, _ in pieces)


def test_powershell_keeps_no_profile_of_its_start_and_again_changes_nothing(tmp_path: Path) -> None:
    cache = tmp_path / "PowerShell"
    cache.mkdir()
    (cache / STARTUP).write_bytes(b"of an older lab")
    for _ in ("first", "again"):
        keep_no_profile(cache)
        assert [(path.name, path.is_dir()) for path in cache.iterdir()] == [(STARTUP, True)]
