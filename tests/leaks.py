"""
The search for secrets in what a program wrote: plain, escaped, encoded, and encoded again. Pure.

It does not ask how a secret might have been written but undoes every escaping and decodes everything that looks like base64 or hex, in each
order up to three deep, and searches what comes out. tests/test_secrets.py leaks a secret on purpose in each form and must be caught.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

DEPTH: Final = 3  # decodings on top of one another: an encoding in an encoding, in an escaped text
CORE: Final = 10  # letters and digits in a row that are sought by themselves: no escaping touches them
SHORTEST: Final = 8  # characters of an encoded run that are worth decoding

BASE64: Final = re.compile(rf"[A-Za-z0-9+/_-]{{{SHORTEST},}}={{0,2}}")
HEX: Final = re.compile(rf"(?:(?:0x|\\x|%)?[0-9A-Fa-f]{{2}}[ ,:-]{{0,2}}){{{SHORTEST // 2},}}")
WORTHWHILE: Final = re.compile(
    rf"[ -~]{{{SHORTEST},}}"
)  # what escapes and encodings consist of: else it is random bytes
ESCAPED: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
SHORT: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "0": "\0"}
BACKTICKED: Final = re.compile(r"`(.)", re.DOTALL)
CHARACTER: Final = re.compile(r"\$\(\[char\](0x[0-9A-Fa-f]+|\d+)\)")
SINGLE: Final = "'\u2018\u2019\u201a\u201b"
DOUBLE: Final = '"\u201c\u201d\u201e'


def leaks(text: bytes | str, secrets: Mapping[str, str]) -> list[str]:
    """
    Where secrets occur, a line each: `NAME: json, base64`, the decodings that led to it; [] where none does.

    + text: what a program wrote
    + secrets: name to text; one with ten letters or digits in a row is sought by that row, too, since no escaping touches it
    """
    needles = {name: _needles(secret) for name, secret in secrets.items()}
    # A run that holds fewer bytes than the shortest of what is sought holds none of it: a cut secret is as short as its row of letters.
    shortest = min((len(one) for secret in secrets.values() for one in (secret, *_cores(secret))), default=0)
    found = []
    for way, view in _views(text, max(SHORTEST, shortest)):
        folded = view.casefold()
        found += [
            f"{name}: {', '.join(way) or 'plain'}" for name, words in needles.items() if any(w in folded for w in words)
        ]
    return list(dict.fromkeys(found))


def _needles(secret: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.casefold() for one in (secret, *_cores(secret))))


def _cores(secret: str) -> list[str]:
    return [run for run in re.findall(r"[A-Za-z0-9]+", secret) if len(run) >= CORE]


def _views(text: bytes | str, shortest: int) -> Iterator[tuple[tuple[str, ...], str]]:
    """The text, and everything that decoding makes of it, each once, with the way to it."""
    seen: set[str] = set()
    level: list[tuple[tuple[str, ...], str]] = [
        ((), one) for one in ([text] if isinstance(text, str) else _texts(text))
    ]
    for depth in range(DEPTH + 1):
        following: list[tuple[tuple[str, ...], str]] = []
        for way, view in level:
            if view in seen:
                continue
            seen.add(view)
            yield way, view
            if depth < DEPTH and (not way or WORTHWHILE.search(view)):
                following += [
                    ((*way, name), one) for name, decode in DECODERS.items() for one in decode(view, shortest)
                ]
        level = following


def _texts(data: bytes) -> list[str]:
    """Bytes as texts: UTF-8, and UTF-16 from either byte on where it looks like text."""
    texts = [data.decode("utf-8", "replace")]
    if b"\0" in data or any(byte > 0x7F for byte in data):
        texts += [data[at:].decode(codec, "replace") for codec in ("utf-16-le", "utf-16-be") for at in (0, 1)]
        texts.append(data.decode("latin-1"))
    return texts


# -- escapes undone --


def _json(text: str, _shortest: int) -> Iterable[str]:
    r"""JSON, Python's and C#'s literals: `\"`, `\/`, `\u00e4` with surrogates in pairs, `\xe4`."""
    if "\\" not in text:
        return []
    plain = ESCAPED.sub(_unescaped, text)
    found = [plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")]
    if "\\x" in text:  # bytes of UTF-8, as Python shows them
        found.append(plain.encode("latin-1", "replace").decode("utf-8", "replace"))
    return found


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    if code is None:
        return SHORT.get(match[4], match[4])
    number = int(code, 16)
    return chr(number) if number <= 0x10FFFF else match[0]


def _xml(text: str, _shortest: int) -> Iterable[str]:
    return [html.unescape(text)] if "&" in text else []


def _url(text: str, _shortest: int) -> Iterable[str]:
    if "%" not in text:
        return []
    return [urllib.parse.unquote(text), urllib.parse.unquote_plus(text), urllib.parse.unquote(text, "utf-16-le")]


def _powershell(text: str, _shortest: int) -> Iterable[str]:
    """Doubled quotes of each kind (PowerShell takes the typographic ones for its own), backticks, `$([char]0xe4)`."""
    single, both = (_undoubled(text, quotes) for quotes in (SINGLE, SINGLE + DOUBLE))
    double = CHARACTER.sub(lambda match: chr(int(match[1], 0) % 0x110000), text)
    double = BACKTICKED.sub(lambda match: SHORT.get(match[1], match[1]), double)
    return [one for one in (single, both, double, _undoubled(double, DOUBLE)) if one != text]


def _undoubled(text: str, quotes: str) -> str:
    for quote in quotes:
        text = text.replace(quote * 2, quote)
    return text


def _shell(text: str, _shortest: int) -> Iterable[str]:
    """`'it'"'"'s'` and `'it'\\''s'`, as shlex and people quote."""
    return [text.replace("'\"'\"'", "'").replace("'\\''", "'")] if "'\"'\"'" in text or "'\\''" in text else []


def _joined(text: str, _shortest: int) -> Iterable[str]:
    """Lines that were folded: base64 of 76 columns, a table's cells."""
    return [re.sub(r"[\r\n]+[ \t|]*", "", text)] if "\n" in text else []


# -- encodings --


def _base64(text: str, shortest: int) -> Iterable[str]:
    """Every run, from each of its first four characters on: what stands before it may look like a part of it."""
    for match in _runs(BASE64, text):
        run = match[0].rstrip("=")
        if len(run) * 3 // 4 < shortest:
            continue
        for variant in {run.replace("-", "+").replace("_", "/"), *_pieces(run)}:
            for at in range(4):
                yield from _decoded(variant[at:])


def _runs(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """In the text as it stands, and with its lines joined."""
    for one in (text, *_joined(text, 0)):
        yield from pattern.finditer(one)


def _pieces(run: str) -> Iterator[str]:
    """The run's parts between signs that are only of the other alphabet, or only punctuation here."""
    if re.search(r"[-_/+]", run):
        yield from (piece for piece in re.split(r"[-_/+]+", run) if len(piece) >= SHORTEST)


def _decoded(run: str) -> list[str]:
    whole = run[: len(run) - (1 if len(run) % 4 == 1 else 0)]
    try:
        data = base64.b64decode(whole + "=" * (-len(whole) % 4))
    except binascii.Error:
        return []
    return [one for one in _texts(data) if _readable(one)]


def _hex(text: str, shortest: int) -> Iterable[str]:
    """Hex digits, also with 0x, colons, commas, blanks or dashes between the bytes, from either digit on."""
    for match in _runs(HEX, text):
        digits = re.sub(r"0x|\\x|[^0-9A-Fa-f]", "", match[0])
        if len(digits) // 2 < shortest:
            continue
        for run in (digits, digits[1:]):
            data = bytes.fromhex(run[: len(run) // 2 * 2])
            yield from (one for one in _texts(data) if _readable(one))


def _readable(text: str) -> bool:
    """Whether there is a piece of text in it that could be worth looking at: four printable characters in a row."""
    run = 0
    for char in text:
        run = run + 1 if char.isprintable() and char != "\ufffd" else 0
        if run >= 4:
            return True
    return False


DECODERS: Final[Mapping[str, Callable[[str, int], Iterable[str]]]] = {
    "json": _json,
    "xml": _xml,
    "url": _url,
    "powershell": _powershell,
    "shell": _shell,
    "joined": _joined,
    "base64": _base64,
    "hex": _hex,
}
