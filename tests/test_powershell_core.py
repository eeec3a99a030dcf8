"""
The bootstrap and the runtime loop (powershell/bootstrap.ps1, runtime.ps1) on real PowerShell: wire, numbering, JSON, errors, ends.

Written against docs/verbs.md with an encoder of its own; what each verb does is the contract suite's. The Windows build runs under wine, the
Linux build as it is.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import powershell
from lab import template
from lab.engine import Process
from lab.powershell_engine import PowershellEngine, WineMachine
from lab.process import SHORT_LIVED, LocalProcess

TOKEN: Final = "0123456789abcdef"
POWERSHELL: Final = r"C:\windows\System32\WindowsPowerShell\v1.0\powershell.exe"
OPTIONS: Final = ("-NoLogo", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-EncodedCommand")
ANSWER_S: Final = 60  # a cold start on a busy machine
LINUX: Final = Path(os.environ.get("MIM_LAB_PWSH_LINUX") or template.ENGINES / "powershell-linux" / "pwsh")
SECRET: Final = "pl\u00e4nted'\"$(x)`secret"

# A start takes one to two seconds: with the engines these tests are not of the fast part.
WINDOWS: Final = [
    pytest.mark.powershell,
    pytest.mark.slow,
    pytest.mark.skipif(template.absent() is not None, reason=str(template.absent())),
]
NO_LINUX: Final = "PowerShell for Linux was not tried: it is not there. Run `make engines` as root"
ON_LINUX: Final = [pytest.mark.powershell, pytest.mark.slow, pytest.mark.skipif(not LINUX.exists(), reason=NO_LINUX)]

Start = Callable[[str], Process]


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii") or "-"


def counted(*fields: str) -> int:
    return sum(len(one) for one in fields if one != "-")


def as_json(value: Any) -> bytes:
    """JSON as docs/verbs.md wants it: raw UTF-8, but escapes for what UTF-8 or XML cannot hold."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub("[\ud800-\udfff\ufffe\uffff]", lambda unit: f"\\u{ord(unit[0]):04x}", text).encode()


def script_line(script: str, mode: str = "write") -> str:
    data = script.encode()
    text = encoded(data)
    return f"{TOKEN} S {len(text)} {hashlib.sha256(data).hexdigest()} {mode} {text}"


def request_line(
    seq: int, verb: str, args: Any = None, secrets: dict[str, str] | None = None, blob: bytes = b"", **wrong: Any
) -> str:
    fields = (
        encoded(wrong.get("json", as_json({"verb": verb, "args": args or {}}))),
        encoded(as_json(secrets) if secrets else b""),
        encoded(blob),
    )
    return f"{TOKEN} R {seq} {counted(*fields) + wrong.get('more', 0)} {' '.join(fields)}"


@dataclass
class Far:
    """A far end: lines in, lines out, and everything that it ever said."""

    process: Process
    said: bytearray = field(default_factory=bytearray)
    shown: bytearray = field(default_factory=bytearray)
    exit_code: int | None = None
    read: int = 0
    seq: int = 0

    def send(self, *lines: str) -> None:
        self.process.write("".join(f"{line}\n" for line in lines).encode(), end=False)

    def line(self) -> str:
        """The next line that holds the token."""
        deadline = time.monotonic() + ANSWER_S
        while True:
            end = self.said.find(b"\n", self.read)
            if end >= 0:
                text = self.said[self.read : end].decode("ascii")
                self.read = end + 1
                if TOKEN in text:
                    return text
                continue
            assert self.exit_code is None, (self.exit_code, bytes(self.said[-2000:]), bytes(self.shown[-2000:]))
            assert time.monotonic() < deadline, (bytes(self.said[-2000:]), bytes(self.shown[-2000:]))
            self._take()

    def answer(self) -> tuple[str, Any, bytes]:
        """One answer line: its head, its JSON, its bytes. LEN is checked."""
        head, kind, seq, length, *fields = self.line().split(" ")
        assert (head, int(length)) == (TOKEN, counted(*fields))
        data = [b"" if one == "-" else base64.b64decode(one, validate=True) for one in fields]
        return f"{kind} {seq}", json.loads(data[0].decode("ascii")) if kind in "AH" else data[0].decode(), data[-1]

    def call(self, verb: str, args: Any = None, **more: Any) -> tuple[Any, bytes]:
        self.seq += 1
        self.send(request_line(self.seq, verb, args, **more))
        head, answer, blob = self.answer()
        assert head == f"A {self.seq}", (head, answer)
        return answer, blob

    def end(self) -> int:
        """Close its input; its exit code."""
        self.process.write(b"", end=True)
        return self.ended()

    def ended(self) -> int:
        deadline = time.monotonic() + ANSWER_S
        while self.exit_code is None:
            assert time.monotonic() < deadline, bytes(self.said[-2000:])
            self._take()
        return self.exit_code

    def _take(self) -> None:
        output = self.process.read(0.5)
        self.said += output.stdout
        self.shown += output.stderr
        self.exit_code = output.exit_code


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WineMachine]:
    made = PowershellEngine(tmp_path_factory.mktemp("core")).machine("core", "mim")
    assert isinstance(made, WineMachine)
    made.open()
    try:
        yield made
    finally:
        made.close()


def on(machine: WineMachine) -> Start:
    return lambda text: machine.start([POWERSHELL, *OPTIONS, encoded(text.encode("utf-16-le"))])


@pytest.fixture(scope="module", params=[pytest.param("windows", marks=WINDOWS), pytest.param("linux", marks=ON_LINUX)])
def start(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts PowerShell with a bootstrap text; ends them all."""
    running: list[Process] = []
    if request.param == "windows":
        host = on(request.getfixturevalue("machine"))

        def begin(text: str) -> Process:
            running.append(host(text))
            return running[-1]

    else:
        home = tmp_path_factory.mktemp("home")
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(home),
            "TERM": "dumb",
            **SHORT_LIVED,
            "POWERSHELL_TELEMETRY_OPTOUT": "1",
            "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",
        }

        def begin(text: str) -> Process:
            encoded_text = encoded(text.encode("utf-16-le"))
            running.append(LocalProcess([str(LINUX), *OPTIONS, encoded_text], environment, home))
            return running[-1]

    yield begin
    for process in running:
        process.terminate()


def opened(start: Start, script: str | None = None, mode: str = "write") -> Far:
    """A far end that has said hello."""
    far = Far(start(powershell.bootstrap(TOKEN)))
    far.send(script_line(powershell.script() if script is None else script, mode))
    head, hello, _ = far.answer()
    assert head == "H 0", hello
    return far


@pytest.fixture(scope="module")
def shared(start: Start) -> Far:
    """One far end for the tests that leave it as it was."""
    return opened(start)


# -- the texts --


def test_the_bootstrap_fits_a_command_line() -> None:
    text = powershell.bootstrap(TOKEN)
    assert len(text) < 2000
    line = f"%SystemRoot%\\System32\\WindowsPowerShell\\v1.0\\powershell.exe {' '.join(OPTIONS)} {encoded(text.encode('utf-16-le'))}"
    assert len(line) < 8191


def test_the_bootstrap_asks_for_the_language_first_and_never_names_the_pipelines_input() -> None:
    text = powershell.bootstrap(TOKEN)
    assert text.startswith("if (\"$($ExecutionContext.SessionState.LanguageMode)\" -ne 'FullLanguage')")
    assert "$input" not in text.lower()
    assert text.count(TOKEN) == 2


@pytest.mark.parametrize("token", ["", "0123456789ABCDEF", "0123456789abcde", "0123456789abcdef\n", "'; exit; '012345"])
def test_a_token_is_16_lower_case_hex_digits_and_nothing_else(token: str) -> None:
    with pytest.raises(ValueError, match="16 lower-case hex digits"):
        powershell.bootstrap(token)


def test_the_script_is_every_part_in_its_order_and_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    text = powershell.script()
    marks = ["function Write-File", "function Get-Certificate", "function Edit-IisConfig", "function Edit-Directory"]
    places = [text.find(mark) for mark in [*marks, "Start-Runtime -Reader"]]
    assert -1 not in places
    assert places == sorted(places)
    assert text.isascii()
    monkeypatch.setattr(powershell, "PARTS", ("absent.ps1",))
    with pytest.raises(FileNotFoundError):
        powershell.script()


# -- the bootstrap --


def test_a_language_that_is_not_full_is_said_in_plain_text(start: Start) -> None:
    set_mode = "$ExecutionContext.SessionState.LanguageMode = 'ConstrainedLanguage'\n"
    far = Far(start(set_mode + powershell.bootstrap(TOKEN)))
    assert far.line().strip() == f"{TOKEN} X ConstrainedLanguage"
    assert far.ended() == 1


def test_a_script_line_cut_short_is_answered_and_may_be_sent_again(start: Start) -> None:
    far = Far(start(powershell.bootstrap(TOKEN)))
    line = script_line(powershell.script())
    far.send("", "noise", line[:5000])
    assert far.answer()[:2] == ("N 0", "not a whole script line")
    # A byte order mark before the token is no reason to refuse it (facts/winrm.md 2).
    far.send("\ufeff" + line)
    assert far.answer()[0] == "H 0"
    assert far.end() == 0


@pytest.mark.parametrize("case", ["another hash", "no PowerShell"])
def test_a_script_that_cannot_run_is_said_and_ends_the_process(start: Start, case: str) -> None:
    far = Far(start(powershell.bootstrap(TOKEN)))
    line = script_line("'ok'" if case == "another hash" else "function {")
    if case == "another hash":
        line = line.replace(hashlib.sha256(b"'ok'").hexdigest(), "0" * 64)
    far.send(line)
    token, kind, length, text = far.line().split(" ")
    assert (token, kind, int(length)) == (TOKEN, "X", len(text))
    if case == "another hash":
        assert base64.b64decode(text) == b"the script arrived with another SHA-256"
    assert far.ended() == 1


# -- the loop --


def test_hello_names_the_powershell_and_the_script_and_the_end_of_input_is_the_end_with_0(start: Start) -> None:
    far = Far(start(powershell.bootstrap(TOKEN)))
    line = script_line(powershell.script())
    far.send(line)
    head, hello, _ = far.answer()
    assert (head, hello.keys()) == ("H 0", {"powershell", "edition", "is64", "pid", "sha256", "mode"})
    assert hello | {"powershell": "", "pid": 0} == {
        "powershell": "",
        "edition": "Core",
        "is64": True,
        "pid": 0,
        "sha256": hashlib.sha256(powershell.script().encode()).hexdigest(),
        "mode": "write",
    }
    far.send(line)
    assert far.answer() == (head, hello, json.dumps(hello, separators=(",", ":")).encode())
    assert far.end() == 0


def test_the_last_request_again_is_answered_from_the_cache_and_not_run(shared: Far) -> None:
    first = shared.call("Get-HostInfo")[0]
    for _ in range(2):
        shared.send(request_line(shared.seq, "Test-Echo", {"value": 1}))
        assert shared.answer()[:2] == (f"A {shared.seq}", first)


NOT_RUN: Final[dict[str, Callable[[int], str]]] = {
    "another letter": lambda seq: f"{TOKEN} Q {seq} 0 - - -",
    "too few fields": lambda seq: f"{TOKEN} R {seq} 0 - -",
    "too many fields": lambda seq: request_line(seq, "Get-HostInfo") + " -",
    "half a line": lambda seq: request_line(seq, "Test-Echo", {"value": "x" * 500})[:300],
    "a wrong LEN": lambda seq: request_line(seq, "Get-HostInfo", more=1),
    "SEQ left out one": lambda seq: request_line(seq + 1, "Get-HostInfo"),
    "SEQ before the last": lambda seq: request_line(max(seq - 2, 0), "Get-HostInfo"),
    "SEQ that is no number": lambda seq: request_line(seq, "Get-HostInfo").replace(f" R {seq} ", " R x "),
    "a negative SEQ": lambda seq: request_line(seq, "Get-HostInfo").replace(f" R {seq} ", " R -1 "),
    "no base64": lambda seq: f"{TOKEN} R {seq} 4 !!!! - -",
    "no JSON": lambda seq: request_line(seq, "", json=b"{"),
    "a fraction": lambda seq: request_line(seq, "", json=b'{"verb":"Test-Echo","args":{"value":1.5}}'),
    "a list for a request": lambda seq: request_line(seq, "", json=b"[]"),
    "nothing for a request": lambda seq: f"{TOKEN} R {seq} 0 - - -",
    "the same key twice": lambda seq: request_line(seq, "", json=b'{"verb":"Get-HostInfo","args":{"a":1,"a":2}}'),
    "secrets that are no object": lambda seq: f"{TOKEN} R {seq} 8 {encoded(b'{}')} {encoded(b'[]')} -",
}


@pytest.mark.parametrize("line", NOT_RUN.values(), ids=NOT_RUN)
def test_a_line_that_is_no_request_is_refused_and_the_number_stays(shared: Far, line: Callable[[int], str]) -> None:
    shared.call("Test-Echo", {"value": 0})
    shared.send(line(shared.seq + 1))
    assert shared.answer()[0] == "N 0"
    assert shared.call("Test-Echo", {"value": 1})[0] == {"ok": True, "result": {"value": 1}}


def test_blank_and_foreign_lines_are_ignored(shared: Far) -> None:
    shared.send("", "   ", "R 1 0 - - -", f"{TOKEN[:-1]}0 R 1 0 - - -", "\u00e4")
    assert shared.call("Test-Echo", {"value": []})[0] == {"ok": True, "result": {"value": []}}


def test_a_carriage_return_at_the_end_is_no_part_of_a_line(shared: Far) -> None:
    shared.seq += 1
    shared.send(request_line(shared.seq, "Test-Echo", {"value": 1}) + "\r")
    assert shared.answer()[0] == f"A {shared.seq}"


def test_silence_is_the_end_with_0(start: Start) -> None:
    assert powershell.script().count("900000") == 1
    far = opened(start, powershell.script().replace("900000", "300"))
    assert far.ended() == 0


@pytest.mark.parametrize("host", [pytest.param("windows", marks=WINDOWS)])
def test_an_unfinished_upload_is_gone_after_the_end(machine: WineMachine, host: str) -> None:
    far = opened(on(machine))
    digest = hashlib.sha256(b"abcd").hexdigest()
    args = {"path": "C:\\left.txt", "expected": "absent", "sha256": digest, "length": 4, "part": "0f"}
    assert far.call("Write-File", args, blob=b"ab")[0] == {"ok": True, "result": {"sha256": None, "done": False}}
    assert machine.read_file("C:\\left.txt.0f.new") is not None
    assert far.end() == 0
    assert (machine.read_file("C:\\left.txt.0f.new"), machine.read_file("C:\\left.txt")) == (None, None)


# -- values --

keys = st.text(min_size=1, max_size=6).filter(lambda key: key != "__type")
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=[]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(keys, inner, max_size=3).filter(
            lambda found: len({key.casefold() for key in found}) == len(found)
        )
    ),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values, st.binary(max_size=50))
def test_any_value_and_any_bytes_come_back_unchanged(shared: Far, value: Any, blob: bytes) -> None:
    assert shared.call("Test-Echo", {"value": value}, blob=blob) == ({"ok": True, "result": {"value": value}}, blob)


AWKWARD: Final = {
    "keys that are no XML names": {"b c": 1, "1": 2, "item": 3, "_x0041_": 4, "a:b": 5, "\x00": 6, "type": 7},
    "names of a dictionary's own properties": {"Count": 1, "Keys": [1], "Values": None, "Item": "", "Length": 0},
    "lists of 0, 1 and 2 in lists": [[], [1], [1, 2], [[]], [[[]]], [{}], [None]],
    "numbers as text": ["1", "01", "1e5", "true", "null", "2026-11-25T08:00:00Z", "\\/Date(0)\\/"],
    "quotes and code": "'\u2019\u201c\"`$($env:PATH)%PATH%\\\\\r\n\t\x00\x1a\x7f\u2028\ufeff\ufffe\uffff\ud800",
    "the border of whole numbers": [2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**53 - 1, -(2**53) + 1],
    "1 MB": "x" * 1_000_000,
    "1 MB of escapes": "\u00e4\n" * 250_000,
}


@pytest.mark.parametrize("value", AWKWARD.values(), ids=AWKWARD)
def test_awkward_values_come_back_unchanged(shared: Far, value: Any) -> None:
    assert shared.call("Test-Echo", {"value": value}) == ({"ok": True, "result": {"value": value}}, b"")


# -- arguments and errors --


def error(kind: str, what: str, where: str, why: str) -> dict[str, Any]:
    return {"ok": False, "error": {"kind": kind, "what": what, "where": where, "why": why, "hresult": None}}


REFUSED: Final = {
    "an unknown verb": (
        "Get-Nothing",
        {},
        b"",
        error("invalid", "Get-Nothing", "verb", "there is no verb of that name"),
    ),
    "a function that is no verb": (
        "New-Refusal",
        {},
        b"",
        error("invalid", "New-Refusal", "verb", "there is no verb of that name"),
    ),
    "a verb in other letters": (
        "test-echo",
        {},
        b"",
        error("invalid", "test-echo", "verb", "there is no verb of that name"),
    ),
    "an unknown argument": (
        "Test-Echo",
        {"value": 1, "valu": 2},
        b"",
        error("invalid", "Test-Echo", "valu", "Test-Echo has no argument of that name"),
    ),
    "a parameter of every function": (
        "Test-Echo",
        {"value": 1, "verbose": True},
        b"",
        error("invalid", "Test-Echo", "verbose", "Test-Echo has no argument of that name"),
    ),
    "an argument in other letters": (
        "Read-File",
        {"Path": "C:\\x"},
        b"",
        error("invalid", "Read-File", "Path", "Read-File has no argument of that name"),
    ),
    "bytes among the arguments": (
        "Test-Echo",
        {"value": 1, "bytes": [1]},
        b"",
        error("invalid", "Test-Echo", "bytes", "Test-Echo has no argument of that name"),
    ),
    "bytes for a verb that takes none": (
        "Get-HostInfo",
        {},
        b"x",
        error("invalid", "Get-HostInfo", "bytes", "Get-HostInfo takes no bytes"),
    ),
    "a missing argument": (
        "Read-File",
        {},
        b"",
        error("invalid", "Read-File", "path", "Read-File needs this argument"),
    ),
    "a list for a text": (
        "Read-File",
        {"path": ["C:\\x"]},
        b"",
        error("invalid", "Read-File", "path", "Read-File takes a value of type String here, not Object[]"),
    ),
    "a text for a number": (
        "Read-File",
        {"path": "C:\\x", "count": "1"},
        b"",
        error("invalid", "Read-File", "count", "Read-File takes a value of type Int64 here, not String"),
    ),
    "null for a text": (
        "Read-File",
        {"path": None},
        b"",
        error("invalid", "Read-File", "path", "Read-File takes a value of type String here, not null"),
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_a_call_that_fits_no_verb_is_an_error_that_names_the_argument(
    shared: Far, case: tuple[str, dict[str, Any], bytes, Any]
) -> None:
    verb, args, blob, expected = case
    assert shared.call(verb, args, blob=blob) == (expected, b"")


def test_a_process_started_to_read_refuses_every_writing_verb(start: Start) -> None:
    far = opened(start, mode="read")
    writing = re.findall(
        r"\b(?:Write|Copy|New|Set|Edit)-\w+", powershell.script().split("$script:Verbs = '")[1].split("'")[0]
    )
    assert len(writing) == 8
    for verb in writing:
        assert far.call(verb)[0] == error("denied", verb, verb, "this process was started to read only")
    assert far.call("Test-Echo", {"value": 1})[0] == {"ok": True, "result": {"value": 1}}


THROWN: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "a refusal below other exceptions": (
        (
            "try { throw New-Refusal -Kind 'busy' -Where 'w' -Why 'y' -HResult -2147023824 -Ldap 51 -Win32 8206 }\n"
            "catch { throw [System.Exception]::new('outer', $_.Exception) }"
        ),
        {
            "kind": "busy",
            "what": "Test-Echo",
            "where": "w",
            "why": "y",
            "hresult": 2147943472,
            "ldap": 51,
            "win32": 8206,
        },
    ),
    "a type that means denied": (
        "throw [System.UnauthorizedAccessException]::new('geheim')",
        {
            "kind": "denied",
            "what": "Test-Echo",
            "where": "thing",
            "why": "the host does not let this account do it (5, access denied)",
            "hresult": 2147942405,
        },
    ),
    "a file that is not there": (
        "$null = [System.IO.File]::ReadAllBytes([System.IO.Path]::Combine([System.IO.Path]::GetTempPath(), 'none.txt'))",
        {
            "kind": "missing",
            "what": "Test-Echo",
            "where": "thing",
            "why": "it does not exist (2, file not found)",
            "hresult": 2147942402,
        },
    ),
    "an exception that nobody knows": (
        "throw [System.TimeZoneNotFoundException]::new('geheim')",
        {
            "kind": "unknown",
            "what": "Test-Echo",
            "where": "thing",
            "why": "failed with System.TimeZoneNotFoundException (0x80131500)",
            "hresult": 2148734208,
        },
    ),
    "a value that JSON has no form for": (
        "return @{ value = [System.Guid]::Empty }",
        {
            "kind": "unknown",
            "what": "Test-Echo",
            "where": "result",
            "why": "the answer holds a System.Guid, which is not sent",
            "hresult": None,
        },
    ),
    "no answer": (
        "return",
        {"kind": "unknown", "what": "Test-Echo", "where": "thing", "why": "the verb answered nothing", "hresult": None},
    ),
}


NOISE: Final = "'a'; 1; Write-Host 'b'; Write-Warning 'c'; Write-Verbose 'd' -Verbose; [Console]::WriteLine('e'); @(1)"
ASKED: Final = "$Value = $script:Secrets['one'].Length.ToString() + ' ' + $script:Secrets.Count"


@pytest.fixture(scope="module")
def altered(start: Start) -> Far:
    """A far end whose Test-Echo does what a value tells it to."""
    line = "    $script:Blob = $Bytes\n"
    assert powershell.script().count(line) == 1
    bodies = {name: code for name, (code, _) in THROWN.items()} | {"noise": NOISE, "ask": ASKED}
    cases = "".join(f"    if ($Value -ceq '{name}') {{ {code} }}\n" for name, code in bodies.items())
    return opened(start, powershell.script().replace(line, line + cases))


def test_what_a_verb_lets_slip_reaches_nobody(altered: Far) -> None:
    assert altered.call("Test-Echo", {"value": "noise"}, blob=b"z") == (
        {"ok": True, "result": {"value": "noise"}},
        b"z",
    )
    assert [text for text in altered.said.decode().splitlines() if TOKEN not in text and text] == []


def test_whatever_a_verb_throws_is_an_error_in_our_words_and_the_process_lives_on(altered: Far) -> None:
    seen = {name: altered.call("Test-Echo", {"value": name})[0] for name in THROWN}
    # The value is the first text of the call, so that is what an error is about that names nothing itself.
    expected = {
        name: {"ok": False, "error": answer | {"where": name if answer["where"] == "thing" else answer["where"]}}
        for name, (_, answer) in THROWN.items()
    }
    assert seen == expected
    assert b"geheim" not in altered.said + altered.shown


def test_secrets_reach_the_verb_and_nothing_else(altered: Far) -> None:
    secrets = {"one": SECRET, "two": ""}
    ask = altered.call("Test-Echo", {"value": "ask"}, secrets=secrets)
    assert ask[0]["result"] == {"value": f"{len(SECRET)} 2"}
    for verb, args in (
        ("Get-Nothing", {}),
        ("Read-File", {"path": "x"}),
        ("Read-File", {}),
        ("Test-Echo", {"value": 1}),
    ):
        altered.call(verb, args, secrets=secrets)
    altered.send(request_line(altered.seq, "Test-Echo", secrets=secrets))
    altered.line()
    altered.send(request_line(altered.seq + 9, "Test-Echo", secrets=secrets))
    altered.line()
    assert altered.call("Test-Echo", {"value": "ask"}, secrets={"one": "x"})[0]["result"] == {"value": "1 1"}
    everything = altered.said + altered.shown
    for run in re.findall(rb"[A-Za-z0-9+/=]{8,}", altered.said):
        everything += base64.b64decode(run + b"=" * (-len(run) % 4))
    forms = (SECRET, json.dumps(SECRET)[1:-1], "nted'", base64.b64encode(SECRET.encode()).decode())
    assert [form for form in forms if form.encode() in everything] == []


# -- cultures --


@pytest.mark.parametrize("host", [pytest.param("windows", marks=WINDOWS)])
def test_a_culture_changes_nothing_even_where_the_thread_keeps_it(machine: WineMachine, host: str) -> None:
    line = "    [System.Threading.Thread]::CurrentThread.CurrentCulture = $script:Invariant\n"
    assert powershell.script().count(line) == 1
    calls: list[tuple[str, dict[str, Any]]] = [
        ("Test-Echo", {"value": {"i": -1234567, "I": "\u0131\u0130iI", "list": [1]}}),
        ("Read-File", {"path": "C:/WINDOWS/system.INI", "count": 0}),
        ("Read-File", {"path": "C:\\none.I", "offset": -1}),
        ("Get-ServiceState", {"service": "MSISERVER"}),
        ("Get-InstalledProduct", {"product": "i"}),
        ("Set-ServiceState", {"service": "i", "state": "running", "expected": "stopped", "timeout_s": 1}),
        ("Read-File", {"path": "C:\\x", "last_i": 1}),
    ]
    seen = {}
    for culture in ("", "tr-TR", "de-DE"):
        instead = f"    [System.Threading.Thread]::CurrentThread.CurrentCulture = '{culture}'\n"
        far = opened(on(machine), powershell.script().replace(line, instead))
        seen[culture] = [far.call(verb, args)[0] for verb, args in calls]
        assert far.end() == 0
    assert seen == dict.fromkeys(seen, seen[""])
    assert [answer["ok"] for answer in seen[""]] == [True, True, False, True, True, False, False]
