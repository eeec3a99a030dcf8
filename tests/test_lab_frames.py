"""The far end's side of the wire (docs/verbs.md, Wire): whatever comes, in whatever pieces. Held against the controller's side, too."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import frames as controller
from lab import frames

TOKEN = "0123456789abcdef"


def json_values(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(min_size=1), inner, max_size=3),
        max_leaves=8,
    )


def bodies(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"verb": st.text(), "args": st.dictionaries(st.text(min_size=1), values)})


# Half a surrogate pair is refused before a request is made (connectors/call.py); a host may well answer one.
requests, answers = bodies(json_values(st.text())), bodies(json_values(st.text(st.characters())))


def fields(line: bytes) -> list[str]:
    found = frames.fields_of(line.rstrip(b"\r\n"), TOKEN)
    assert found is not None
    return found


def request(
    seq: int = 1, body: bytes = b'{"verb":"Test-Echo","args":{}}', secrets: bytes = b"", blob: bytes = b""
) -> list[str]:
    parts = [base64.b64encode(part).decode() or "-" for part in (body, secrets, blob)]
    return ["R", str(seq), str(sum(len(part) for part in parts if part != "-")), *parts]


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(1, 9)))
def test_bytes_in_any_pieces_give_the_lines_that_they_hold(pieces: list[bytes], sizes: list[int]) -> None:
    data, lines, at = b"\n".join(pieces), frames.Lines(), 0
    seen: list[bytes] = []
    for size in [*sizes, max(1, len(data))]:
        seen += lines.feed(data[at : at + size])
        at += size
    seen += lines.end()
    whole = data.split(b"\n")
    assert seen == [one.removesuffix(b"\r") for one in whole[:-1]] + ([whole[-1]] if whole[-1] else [])


@settings(max_examples=40)
@given(requests, st.dictionaries(st.text(min_size=1), st.text()), st.binary(max_size=60), st.integers(0, 2**40))
def test_what_a_controller_asks_is_what_the_far_end_reads(
    body: dict[str, Any], secrets: dict[str, str], blob: bytes, last: int
) -> None:
    line = controller.request_line(TOKEN, last + 1, body, secrets, blob)
    assert frames.parse_request(fields(line), last) == frames.Request(last + 1, body, secrets, blob)


@settings(max_examples=40)
@given(answers, st.binary(max_size=60), st.integers(1, 2**40))
def test_what_the_far_end_answers_is_what_a_controller_reads_and_is_ascii(
    answer: dict[str, Any], blob: bytes, seq: int
) -> None:
    line = frames.answer_line(TOKEN, seq, answer, blob)
    assert line.isascii()
    assert controller.FrameReader(TOKEN).feed(line) == [controller.Frame("A", seq, answer, blob)]


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_what_cannot_run_and_what_is_refused_reaches_a_controller_in_words(why: str) -> None:
    lines = frames.refused_line(TOKEN, why) + frames.cannot_line(TOKEN, why)
    assert controller.FrameReader(TOKEN).feed(lines) == [
        controller.Frame("N", text=why),
        controller.Frame("X", text=why),
    ]


def test_the_hello_says_what_runs() -> None:
    hello = {"powershell": "5.1.17763.1", "pid": 4711, "mode": "read"}
    assert controller.FrameReader(TOKEN).feed(frames.hello_line(TOKEN, hello)) == [controller.Frame("H", 0, hello)]


@given(st.binary(max_size=200), st.integers(0, 3))
def test_any_bytes_after_the_token_are_a_request_or_are_refused_and_nothing_else(noise: bytes, last: int) -> None:
    found = frames.fields_of(TOKEN.encode() + b" " + noise.replace(b"\n", b""), TOKEN)
    assert found is not None
    for parse in (lambda: frames.parse_request(found, last), lambda: frames.parse_script(found)):
        with contextlib.suppress(frames.FrameError, frames.ScriptError):
            parse()


@given(st.integers(0, 200))
def test_a_request_that_lost_a_character_is_refused(at: int) -> None:
    line = controller.request_line(TOKEN, 1, {"verb": "Test-Echo", "args": {"value": "x" * 60}}, {}, b"bytes")
    at = len(TOKEN) + 1 + at % (len(line) - len(TOKEN) - 2)
    with pytest.raises(frames.FrameError):
        frames.parse_request(fields(line[:at] + line[at + 1 :]), 0)


@pytest.mark.parametrize(
    ("line", "last", "why"),
    [
        (request(3), 1, "SEQ is 3, the last one was 1"),
        (request(1), 2, "SEQ is 1, the last one was 2"),
        (request(0), 0, "SEQ is 0, the last one was 0"),
        (["R", "1", "99", *request()[3:]], 0, "LEN does not fit, the fields have 40 characters"),
        (["R", "one", *request()[2:]], 0, "SEQ is not a number"),
        (request()[:-1], 0, "not a request line of 7 fields"),
        (request(body=b"[1]"), 0, "the request or its secrets are not an object"),
        (request(secrets=b'"x"'), 0, "the request or its secrets are not an object"),
        (request(body=b'{"n":1.5}'), 0, "a field is not base64, or not JSON without fractions"),
        (request(body=b'{"n":NaN}'), 0, "a field is not base64, or not JSON without fractions"),
        (request(body=b'{"n":9223372036854775808}'), 0, "a field is not base64, or not JSON without fractions"),
        (request(body=b"\xff"), 0, "a field is not base64, or not JSON without fractions"),
        (request(body=b""), 0, "a field is not base64, or not JSON without fractions"),
    ],
)
def test_a_line_that_is_no_request_in_its_turn_is_refused_and_says_why(line: list[str], last: int, why: str) -> None:
    with pytest.raises(frames.FrameError) as caught:
        frames.parse_request(line, last)
    assert str(caught.value) == why


def test_the_last_number_again_is_no_new_request() -> None:
    assert frames.parse_request(request(7), 7) is None


@given(st.text(st.characters(codec="utf-8")), st.booleans())
def test_the_script_line_of_a_controller_is_read(script: str, read_only: bool) -> None:
    line = controller.script_line(TOKEN, script, read_only=read_only)
    wanted = frames.Script(hashlib.sha256(script.encode()).hexdigest(), "read" if read_only else "write")
    assert frames.parse_script(fields(line)) == wanted


def test_a_script_that_arrived_changed_cannot_run() -> None:
    line = fields(controller.script_line(TOKEN, "function a {}", read_only=False))
    with pytest.raises(frames.ScriptError, match="another SHA-256"):
        frames.parse_script([*line[:-1], base64.b64encode(b"function b {}").decode()])


def test_a_line_without_the_token_is_not_for_us_and_a_byte_order_mark_before_it_does_not_matter() -> None:
    assert frames.fields_of(b"0123456789abcdeX R 1", TOKEN) is None
    assert frames.fields_of(b"\xef\xbb\xbf0123456789abcdef R 1", TOKEN) == ["R", "1"]


def test_the_repr_of_a_request_holds_nothing_of_it() -> None:
    found = frames.parse_request(request(secrets=b'{"name":"hunter2"}'), 0)
    assert repr(found) == "Request(seq=1)"
