"""The wire format, controller's side: any bytes in any pieces come back as the frames they were."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.frames import Frame, FrameError, FrameReader, error_of, new_token, request_line, script_line
from model.error import HostError

TOKEN = "0123456789abcdef"
noise = st.binary(max_size=60).map(lambda data: data.replace(b"\n", b"").replace(TOKEN.encode(), b""))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def answer(seq: int, value: object, blob: bytes) -> bytes:
    fields = [base64.b64encode(json.dumps(value).encode()).decode(), base64.b64encode(blob).decode() or "-"]
    length = sum(len(field) for field in fields if field != "-")
    return f"{TOKEN} A {seq} {length} {' '.join(fields)}\n".encode()


@given(
    st.lists(st.tuples(st.integers(0, 9999), values, st.binary(max_size=50), noise), max_size=4),
    st.lists(st.integers(1, 40), min_size=1, max_size=10),
)
def test_frames_come_back_whole_however_the_bytes_are_cut_and_whatever_noise_is_between(
    sent: list[tuple[int, object, bytes, bytes]], sizes: list[int]
) -> None:
    stream = b"".join(stray + b"\n" + answer(seq, value, blob) for seq, value, blob, stray in sent)
    reader, got, at = FrameReader(TOKEN), list[Frame](), 0
    turn = 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        got += reader.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert got == [Frame("A", seq, value, blob) for seq, value, blob, _ in sent]


@given(
    values, st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=30), max_size=2), st.binary(max_size=80)
)
def test_a_request_is_one_ascii_line_that_says_its_length(args: object, revealed: dict[str, str], blob: bytes) -> None:
    line = request_line(TOKEN, 7, {"verb": "Test-Echo", "args": {"value": args}}, revealed, blob)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    token, kind, seq, length, *fields = line.decode("ascii").split()
    assert (token, kind, seq) == (TOKEN, "R", "7")
    assert int(length) == sum(len(field) for field in fields if field != "-")
    decoded = [b"" if field == "-" else base64.b64decode(field) for field in fields]
    assert json.loads(decoded[0]) == {"verb": "Test-Echo", "args": {"value": args}}
    assert (json.loads(decoded[1]) if decoded[1] else {}) == revealed
    assert decoded[2] == blob


def test_what_the_far_end_cannot_read_raw_is_escaped() -> None:
    """JsonReaderWriterFactory refuses U+FFFE and U+FFFF (seen on PowerShell 7.6)."""
    line = request_line(TOKEN, 1, {"value": "ab\ufffe\uffff\u00e9"}, {}, b"")
    assert base64.b64decode(line.split()[4]) == '{"value":"ab\\ufffe\\uffff\u00e9"}'.encode()


def test_the_script_line_carries_hash_and_mode() -> None:
    token, kind, length, digest, mode, body = script_line(TOKEN, "é", read_only=True).decode().split()
    assert (token, kind, int(length), mode) == (TOKEN, "S", len(body), "read")
    assert digest == "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c"
    assert base64.b64decode(body).decode("utf-8") == "é"


DAMAGED = {
    "a wrong length": b"A 1 999 e30= -",
    "no number": b"A x 4 e30= -",
    "no base64": b"A 1 4 e3*= -",
    "no JSON": b"A 1 4 e30A -",
    "a field too few": b"A 1 4 e30=",
    "an unknown kind": b"Q 1 4 e30= -",
    "nothing": b"",
}


@pytest.mark.parametrize("line", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_line_with_our_token_is_an_error_that_does_not_quote_it(line: bytes) -> None:
    with pytest.raises(FrameError) as caught:
        FrameReader(TOKEN).feed(TOKEN.encode() + b" " + line + b"\n")
    assert "e30" not in str(caught.value)


def test_a_byte_order_mark_and_a_carriage_return_do_not_hide_a_frame() -> None:
    assert FrameReader(TOKEN).feed(b"\xef\xbb\xbf" + TOKEN.encode() + b" N 3 4 bm8=\r\n")[0] == Frame("N", 3, text="no")


def test_a_host_that_allows_only_constrained_language_says_so_in_plain_text() -> None:
    assert FrameReader(TOKEN).feed(f"{TOKEN} X ConstrainedLanguage\n".encode()) == [
        Frame("X", text="ConstrainedLanguage")
    ]


def test_an_error_becomes_data_and_another_shape_is_refused() -> None:
    error = {"kind": "missing", "what": "Read-File", "where": "C:\\x", "why": "no such file", "hresult": None}
    assert error_of({"ok": False, "error": error}) == HostError("missing", "Read-File", "C:\\x", "no such file")
    with pytest.raises(FrameError):
        error_of({"ok": False, "error": {"message": "x"}})


def test_a_frame_does_not_show_its_content() -> None:
    shown = repr(Frame("A", 1, {"password": "geheim"}, b"geheim"))
    assert "geheim" not in shown


def test_tokens_differ() -> None:
    assert len({new_token() for _ in range(50)}) == 50
