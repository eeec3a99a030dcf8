"""Calls as data: what they carry, what they show, and what they refuse to carry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.call import Answer, HostCall, Json, literal
from model.secret import Secret


def test_a_call_shows_as_one_powershell_line_with_its_secrets_masked() -> None:
    call = HostCall(
        "Edit-IisConfig",
        secrets={"pool": Secret("geheim")},
        blob=b"geheim",
        guard="9f2c",
        edits=[{"op": "set", "a": {"password": {"secret": "pool"}, "userName": "CONTOSO\\svc"}}],
        size_limit=2,
    )
    line = (
        "Edit-IisConfig -Guard '9f2c' -Edits @(@{'op' = 'set'; 'a' = @{'password' = (secret); 'userName' = 'CONTOSO\\svc'}}) "
        "-SizeLimit 2 -Bytes <6 bytes>"
    )
    assert [str(call), repr(call), call.get_raw_value()] == [line, f"HostCall({line})", line]
    assert call.revealed() == {"pool": "geheim"}


def test_calls_that_carry_other_bytes_are_not_the_same_call() -> None:
    keys = [HostCall("Test-Echo", value=1, blob=blob).key for blob in (b"a", b"a", b"b")]
    assert (keys[0] == keys[1], keys[0] == keys[2]) == (True, False)


def test_a_long_value_is_cut_in_the_shown_line_only() -> None:
    call = HostCall("Test-Echo", value="x" * 5000)
    assert len(str(call)) < 500
    assert call.payload()["args"] == {"value": "x" * 5000}


@pytest.mark.parametrize(
    ("verb", "read"), [("Get-IisConfig", True), ("Search-Directory", True), ("Test-Echo", True), ("Write-File", False)]
)
def test_the_verb_says_whether_a_call_reads(verb: str, *, read: bool) -> None:
    assert HostCall(verb).is_read is read


def test_calls_that_ask_the_same_have_one_key_in_any_order_and_other_secrets_another() -> None:
    first = HostCall("Get-Certificate", thumbprint="A", store="My")
    assert first.key == HostCall("Get-Certificate", store="My", thumbprint="A").key
    assert first.key != HostCall("Get-Certificate", store="My", thumbprint="B").key
    with_secret = HostCall("Search-Directory", secrets={"p": Secret("one")})
    assert with_secret.key != HostCall("Search-Directory", secrets={"p": Secret("two")}).key
    assert "one" not in with_secret.key


REFUSED = {
    "an empty key": {"": 1},
    "__type": {"__type": "x"},
    "keys equal but for case": {"Name": 1, "name": 2},
    "a number that JSON does not keep": 2**53,
    "a fraction": 1.5,
    "bytes": b"x",
    "half of a surrogate pair": "a\ud800",
    "the other half in a key": [{"\ude00": 1}],
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_what_would_not_arrive_unchanged_is_refused(value: Json) -> None:
    with pytest.raises(ValueError, match=r"Test-Echo\.value"):
        HostCall("Test-Echo", value=value)


def test_a_secret_that_would_not_arrive_unchanged_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match=r".") as error:
        HostCall("Search-Directory", secrets={"pw": Secret("pl4nted\ud800")})
    assert str(error.value) == "Search-Directory.pw: a text holds half of a surrogate pair, which is no character"


LITERALS: dict[str, tuple[Json, str]] = {
    "null": (None, "$null"),
    "true": (True, "$true"),
    "a number": (-5, "-5"),
    "a quote of every kind": ("'\u2018\u2019", "'''\u2018\u2018\u2019\u2019'"),
    "a variable is text in single quotes": ("$(x) `n", "'$(x) `n'"),
    "a line end": ("a\r\n$b", '"a`r`n`$b"'),
    "a control character": ("\x01\u201d", '"$([char]0x1)`\u201d"'),
    "outside the plane": ("\U000e0001", '"$([char]0xdb40)$([char]0xdc01)"'),
    "lists of 0, 1 and 2": ([[], ["a"], [1, 2]], "@(@(), @('a'), @(1, 2))"),
}


@pytest.mark.parametrize(("value", "text"), LITERALS.values(), ids=LITERALS)
def test_a_value_is_shown_as_powershell_writes_it(value: Json, text: str) -> None:
    assert literal(value) == text


@given(st.text())
def test_a_shown_text_is_one_printable_line(text: str) -> None:
    assert literal(text).isprintable()


@given(st.text(), st.binary())
def test_an_answer_survives_the_line_that_pyinfra_carries(text: str, blob: bytes) -> None:
    packed = Answer({"text": text}, blob)
    assert Answer.unpack(packed.pack()) == packed


@pytest.mark.parametrize("line", ["", "{}", "[]", '{"result": 1, "blob": "*"}', "null"])
def test_another_line_is_not_taken_for_an_answer(line: str) -> None:
    with pytest.raises(ValueError, match=r"answer|JSON|value"):
        Answer.unpack(line)


def test_an_answer_does_not_show_what_it_holds() -> None:
    assert repr(Answer({"password": "geheim"}, b"geheim")) == "Answer(<6 bytes>)"
