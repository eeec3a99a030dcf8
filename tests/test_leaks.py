"""The search for secrets finds what is leaked on purpose, in each form and in pairs of forms, and nothing where nothing is."""

from __future__ import annotations

import base64
import html
import json
import shlex
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.call import literal
from tests.leaks import leaks

SECRET: Final = "a 'b' \"c\" \u2019d\u2019 „e“ <f> &g; %41$h`i \\j Ä€😀"
# As it leaves a program: what it is to be found by.
ESCAPES: Final[Mapping[str, Callable[[str], str]]] = {
    "plain": str,
    "another case": lambda text: text.replace("b", "B"),
    "JSON": json.dumps,
    "JSON with UTF-8": lambda text: json.dumps(text, ensure_ascii=False),
    "JSON of .NET": lambda text: json.dumps(text).replace("/", "\\/"),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "repr": repr,
    "bytes": lambda text: repr(text.encode()),
    "XML": html.escape,
    "XML by numbers": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "XML by hex numbers": lambda text: "".join(f"&#x{ord(char):X};" for char in text),
    "PowerShell, single quotes": literal,
    "PowerShell, double quotes": lambda text: literal(f"{text}\n"),
    "URL": urllib.parse.quote,
    "URL of a form": urllib.parse.quote_plus,
    "shell": shlex.quote,
}
ENCODINGS: Final[Mapping[str, Callable[[bytes], str]]] = {
    "base64": lambda data: base64.b64encode(data).decode(),
    "base64 for URLs": lambda data: base64.urlsafe_b64encode(data).decode(),
    "base64 without its end": lambda data: base64.b64encode(data).decode().rstrip("="),
    "base64 in lines": lambda data: base64.encodebytes(data).decode(),
    "base64 in a larger whole": lambda data: base64.b64encode(b"user:" + data + b"\r\nmore").decode(),
    "hex": bytes.hex,
    "HEX": lambda data: data.hex().upper(),
    "BitConverter": lambda data: data.hex("-").upper(),
    "hex bytes": lambda data: ", ".join(f"0x{byte:02x}" for byte in data),
}
CODECS: Final = ("utf-8", "utf-16-le")


def around(text: str) -> str:
    return f"    [mim01] Write-File -Path 'C:\\x' failed={text}, run again\n    another line"


@pytest.mark.parametrize("form", ESCAPES)
def test_a_secret_is_found_in_each_escaping(form: str) -> None:
    assert leaks(around(ESCAPES[form](SECRET)), {"planted": SECRET}) != []


@pytest.mark.slow
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("form", ENCODINGS)
def test_a_secret_is_found_in_each_encoding_and_in_an_encoding_of_it(form: str, codec: str) -> None:
    once = ENCODINGS[form](SECRET.encode(codec))
    assert leaks(around(once), {"planted": SECRET}) != []
    for outer in ENCODINGS:
        assert leaks(around(ENCODINGS[outer](once.encode(codec))), {"planted": SECRET}) != [], outer


@pytest.mark.slow
@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("codec", CODECS)
def test_a_secret_is_found_in_an_encoded_escaping(escape: str, codec: str) -> None:
    for encode in ENCODINGS.values():
        assert leaks(around(encode(f"<x>{ESCAPES[escape](SECRET)}</x>".encode(codec))), {"planted": SECRET}) != []


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "utf-16-be", "utf-16"])
def test_a_secret_is_found_in_bytes_of_each_codec(codec: str) -> None:
    assert leaks(f"xyz {SECRET}".encode(codec), {"planted": SECRET}) != []
    assert leaks(b"x" + f"xyz {SECRET}".encode(codec), {"planted": SECRET}) != []


def test_letters_and_digits_in_a_row_are_found_whatever_became_of_the_rest() -> None:
    assert leaks("?? hunter2hunter2 ??", {"planted": "<&hunter2hunter2"}) == ["planted: plain"]


WITH_A_CORE: Final = f"ä 'Kw7mPz3RtQx9vLb2' {SECRET}"  # longer than any of its cuts below
CUTS: Final = {
    "its core": "Kw7mPz3RtQx9vLb2",
    "its beginning": WITH_A_CORE[:30],
    "its core and a little": "'Kw7mPz3RtQx9vLb2' a",
}


@pytest.mark.parametrize("cut", CUTS)
def test_a_secret_that_was_cut_is_found_in_each_encoding(cut: str) -> None:
    forms = {(form, codec): encode(CUTS[cut].encode(codec)) for form, encode in ENCODINGS.items() for codec in CODECS}
    assert [form for form, text in forms.items() if leaks(around(text), {"planted": WITH_A_CORE}) == []] == []


@given(st.text(st.sampled_from("äÖ 'x\"&<>%$`\\9"), min_size=9, max_size=16), st.text("abcdefgh=/ +\n", max_size=20))
@settings(max_examples=40, deadline=None)
def test_any_secret_is_found_between_any_characters(secret: str, noise: str) -> None:
    for form in ("JSON", "XML", "URL", "PowerShell, single quotes"):
        assert leaks(f"{noise}\n{ESCAPES[form](secret)}\n{noise}", {"x": secret}) != []
    assert leaks(f"{noise}\n{ENCODINGS['base64'](secret.encode())}\n{noise}", {"x": secret}) != []


@given(st.binary(min_size=30, max_size=300))
@settings(max_examples=40, deadline=None)
def test_nothing_is_found_where_nothing_is(data: bytes) -> None:
    text = around(base64.b64encode(data).decode() + data.hex() + json.dumps(data.decode("latin-1")))
    assert leaks(text, {"planted": SECRET}) == []
    assert leaks(data, {"planted": SECRET}) == []
