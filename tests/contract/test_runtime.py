"""What every verb has in common: the wire, binding of arguments, errors as data, refusal of writes; and Test-Echo."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import powershell
from connectors.errors import PendingError
from connectors.farend import command_line
from connectors.frames import Frame, new_token, parse, request_line, script_line
from connectors.wire import Wire
from tests.contract.cases import ALL, READS, case
from tests.contract.host import Host, Refused, sha256

# Arguments that each verb needs, as they would be for things that are not there.
NEEDED: Final[Mapping[str, Mapping[str, Any]]] = {
    "Test-Echo": {"value": None},
    "Read-File": {"path": r"C:\x"},
    "Write-File": {"path": r"C:\x", "expected": "absent", "sha256": hashlib.sha256(b"").hexdigest(), "length": 0},
    "Copy-File": {"path": r"C:\x", "target": r"C:\y", "expected": "0" * 64},
    "New-Folder": {"path": r"C:\x"},
    "Get-HostInfo": {},
    "Get-ServiceState": {"service": "x"},
    "Set-ServiceState": {"service": "x", "state": "running", "expected": "stopped"},
    "Get-InstalledProduct": {"product": "x"},
    "Get-Certificate": {"thumbprint": "0" * 40},
    "Get-IisConfig": {"reads": []},
    "Edit-IisConfig": {"guard": "0" * 64, "edits": []},
    "Get-IisState": {"items": []},
    "Set-IisState": {"kind": "site", "name": "x", "state": "Started", "expected": "Stopped"},
    "Get-SslBinding": {},
    "Set-SslBinding": {
        "site": "x",
        "protocol": "https",
        "information": "*:1:",
        "thumbprint": "0" * 40,
        "expected": "absent",
    },
    "Search-Directory": {"server": "x", "searches": []},
    "Edit-Directory": {"server": "x", "edits": []},
}
WITH_ARGUMENTS: Final = tuple(verb for verb in ALL if NEEDED[verb])
WRITING: Final = tuple(verb for verb in ALL if verb not in READS)
WITHOUT_BYTES: Final = tuple(verb for verb in ALL if verb not in ("Test-Echo", "Write-File"))


# -- Test-Echo --

MEGABYTE: Final = 1_000_000
QUOTES: Final = "' \" ` $ $() @() \u2018 \u2019 \u201a \u201b \u201c \u201d \u201e"
AWKWARD: Final[tuple[Any, ...]] = (
    QUOTES,
    '$(exit 7) ${env:PATH} `n `0 %PATH% #{x} <x a="1">&amp;</x> \\ \\\\ \\u0041 \\/',
    "\r\n \n \r \t \x0b \x0c \x85 \u2028 \u2029",
    "".join(map(chr, range(0x20))) + "\x7f",
    "\x00",
    "\ufeff \ufffe \uffff \U0010ffff",
    "\u00e4 \u0130\u0131 \u6f22 \U0001f600 e\u0301 \u202e",
    "1",
    "01",
    "1.5",
    "1e5",
    "-0",
    "9007199254740993",
    "true",
    "null",
    "",
    " ",
    "/Date(0)/",
    "2026-11-25T08:00:00Z",
    2**53 - 1,
    -(2**53) + 1,
    2**31,
    -(2**31) - 1,
    0,
    True,
    False,
    None,
    [],
    [None],
    [[]],
    [[], []],
    ["x"],
    ["x", "y"],
    [["x"]],
    {},
    {"a": {}},
    {"a b": 1, "\u00e4": [], "item": None, "type": "x", "a:item": "x", "$": "`", "1": 1},
    {"i": 1, "\u0131": 2},
    {"value": {"value": [{"value": None}]}, "Count": 1, "Keys": 2, "Length": [3]},
    {"secret": "NAME"},
)


@case("Test-Echo", cites="winrm.md: no date guessing, no case folding, strings as strings, numbers as text")
def test_what_is_sent_comes_back(mim01: Host) -> None:
    answer = mim01.call("Test-Echo", value=list(AWKWARD), blob=bytes(range(256)))
    assert (answer.result, answer.blob) == ({"value": list(AWKWARD)}, bytes(range(256)))


@case(
    "Test-Echo",
    cites="verbs.md: an argument that the verb does not have",
    error="invalid",
)
def test_an_echo_takes_one_value_and_no_other_argument(mim01: Host) -> None:
    assert mim01.refused("Test-Echo", Value=1) == Refused("invalid", "Value")


@pytest.mark.slow
@case("Test-Echo", cites="winrm.md: | 1 MB argument and back |", warm=True)
def test_a_megabyte_comes_back(mim01: Host) -> None:
    texts = ("x" * MEGABYTE, QUOTES * (MEGABYTE // len(QUOTES)), "\u6f22\U0001f600\n" * (MEGABYTE // 8))
    for text in texts:
        assert mim01.ask("Test-Echo", value=text) == {"value": text}
    numbers = [[str(number), number] for number in range(2_000)]
    assert mim01.ask("Test-Echo", value=numbers) == {"value": numbers}
    blob = bytes(range(256)) * (MEGABYTE // 256)
    answer = mim01.call("Test-Echo", value=None, blob=blob)
    assert (answer.result, answer.blob) == ({"value": None}, blob)


@case("Test-Echo", cites="winrm.md: No depth limit, no `Count` wrapper", warm=True)
def test_a_value_comes_back_however_deep_it_lies(mim01: Host) -> None:
    value: Any = "x"
    for level in range(80):
        value = [value] if level % 2 else {"k": value}
    assert mim01.ask("Test-Echo", value=value) == {"value": value}


texts = st.one_of(
    st.sampled_from([text for text in AWKWARD if isinstance(text, str)]),
    st.text(max_size=20),
    st.lists(st.sampled_from([*QUOTES, "\\", "\n", "\x00", "\U0001f600", "\uffff"]), max_size=12).map("".join),
)


def _sendable(value: dict[str, Any]) -> bool:
    names = [name.casefold() for name in value]
    return "" not in names and "__type" not in names and len(set(names)) == len(names)


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53) + 1, 2**53 - 1), texts),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(texts.filter(bool), inner, max_size=3).filter(_sendable)
    ),
    max_leaves=12,
)


@pytest.mark.slow
@case(
    "Test-Echo",
    cites="winrm.md: objects, arrays, strings, booleans, null, ints < 2^53",
    warm=True,
)
def test_any_value_and_any_bytes_come_back_unchanged(mim01: Host) -> None:
    # A failure is not made smaller: each example is a call to a real PowerShell.
    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        phases=(Phase.explicit, Phase.generate),
    )
    @given(st.lists(values, max_size=8), st.binary(max_size=300))
    def echo(value: list[Any], blob: bytes) -> None:
        answer = mim01.call("Test-Echo", value=value, blob=blob)
        assert (answer.result, answer.blob) == ({"value": value}, blob)

    echo()


# -- arguments --


@case(*ALL, cites="verbs.md: an argument that the verb does not have, or a missing one is `invalid`", error="invalid")
def test_an_argument_that_the_verb_does_not_have_is_invalid(mim01: Host, verb: str) -> None:
    assert mim01.refused(verb, **NEEDED[verb], sudo=True) == Refused("invalid", "sudo")


@case(
    *WITH_ARGUMENTS,
    cites="verbs.md: an argument that the verb does not have, or a missing one is `invalid`",
    error="invalid",
)
def test_a_missing_argument_is_invalid_by_its_name(mim01: Host, verb: str) -> None:
    first, *others = NEEDED[verb] if verb != "Search-Directory" else ("searches", "server")
    assert mim01.refused(verb, **{name: NEEDED[verb][name] for name in others}) == Refused("invalid", first)


@case(*WITHOUT_BYTES, cites="verbs.md: it binds to the parameter `-Bytes` where the verb has one", error="invalid")
def test_bytes_for_a_verb_that_takes_none_are_invalid(mim01: Host, verb: str) -> None:
    assert mim01.refused(verb, **NEEDED[verb], blob=b"x") == Refused("invalid", "bytes")


@case(*WRITING, cites="winrm.md: `write` while the process was started read-only: refuse", error="denied")
def test_a_process_that_only_reads_refuses_every_verb_that_writes(mim01: Host, verb: str) -> None:
    assert mim01.refused(verb, **NEEDED[verb], read_only=True) == Refused("denied", verb)


@case("Test-Echo", cites="verbs.md: MODE `write` or `read`")
def test_a_process_that_only_reads_reads(mim01: Host) -> None:
    assert mim01.call("Test-Echo", value="x", read_only=True).result == {"value": "x"}


# -- the wire --

PATIENCE_S: Final = 60


class Talk:
    """One PowerShell through real WinRM, line by line: what a controller does when it is not well."""

    def __init__(self, host: Host) -> None:
        self.token = new_token()
        self.wire = Wire(host.settings())
        self._rest = b""
        self.wire.open_shell()
        self.wire.run(command_line(self.token))

    def send(self, *lines: bytes, end: bool = False) -> None:
        self.wire.send(b"".join(lines), end=end)

    def request(self, seq: int, verb: str, *, blob: bytes = b"", **args: Any) -> bytes:
        return request_line(self.token, seq, {"verb": verb, "args": args}, {}, blob)

    def line(self) -> bytes:
        """The next line of the far end that holds the token."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            line, newline, rest = self._rest.partition(b"\n")
            if newline:
                self._rest = rest
                if self.token.encode() in line:
                    return line[line.index(self.token.encode()) :].rstrip(b"\r")
                continue
            try:
                received = self.wire.receive(deadline - time.monotonic())
            except PendingError:
                assert time.monotonic() < deadline, "the far end says nothing"
                continue
            self._rest += received.stdout
            assert received.stdout or not received.done, f"ended with {received.exit_code}"

    def frame(self) -> Frame:
        """The same as a frame."""
        return parse(self.line()[len(self.token) + 1 :])

    def ended(self) -> int | None:
        """Its exit code, when it has ended; what it says before that is left out."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                received = self.wire.receive(deadline - time.monotonic())
            except PendingError:
                continue
            if received.done:
                return received.exit_code
        raise AssertionError("it does not end")


@contextmanager
def talking(host: Host, *, read_only: bool = False) -> Iterator[Talk]:
    """A far end that has got its script; its hello is still to be read."""
    talk = Talk(host)
    try:
        talk.send(script_line(talk.token, powershell.script(), read_only=read_only))
        yield talk
    finally:
        talk.wire.close_shell()


def said(frame: Frame) -> tuple[str, int, Any]:
    return frame.kind, frame.seq, frame.json


@case(
    "Test-Echo",
    cites="winrm.md: hello `TOKEN H 0 LEN ..`, refused line `TOKEN N 0 ..`, cannot run `TOKEN X ..`",
    warm=True,
)
def test_the_far_end_says_hello_and_says_it_again_to_the_same_script_line(mim01: Host) -> None:
    script = powershell.script()
    with talking(mim01) as talk:
        first = talk.frame()
        hello = dict(first.json)
        assert hello.pop("pid") > 0
        assert float(".".join(hello.pop("powershell").split(".")[:2])) >= 5.1
        assert hello.pop("edition") in ("Desktop", "Core")
        assert (first.kind, first.seq, hello) == (
            "H",
            0,
            {"is64": True, "sha256": sha256(script.encode()), "mode": "write"},
        )
        talk.send(b"\n", script_line(talk.token, script, read_only=False))
        assert said(talk.frame()) == said(first)
        talk.send(script_line(talk.token, script, read_only=True))
        assert talk.frame().kind == "N"
        talk.send(talk.request(1, "Test-Echo", value="x"))
        assert said(talk.frame()) == ("A", 1, {"ok": True, "result": {"value": "x"}})
        talk.send(b"", end=True)
        assert talk.ended() == 0


@case(
    "Write-File",
    cites="winrm.md: SEQ = last: send the cached line again. SEQ = last + 1: run, cache, answer",
    warm=True,
)
def test_a_request_that_is_sent_again_is_answered_again_and_runs_once(mim01: Host) -> None:
    path = mim01.path("a.txt")
    arguments = {"path": path, "expected": "absent", "sha256": sha256(b"x"), "length": 1}
    with talking(mim01) as talk:
        assert talk.frame().kind == "H"
        request = talk.request(1, "Write-File", **arguments, blob=b"x")
        talk.send(request)
        answer = talk.line()
        talk.send(request[:40], b"\n", request, request)
        assert talk.frame().kind == "N"  # the half line
        assert [talk.line(), talk.line()] == [answer, answer]
        talk.send(talk.request(2, "Write-File", **arguments, blob=b"x"))
        second = talk.frame()
        assert (second.seq, second.json["ok"], second.json["error"]["kind"]) == (2, False, "conflict")
    assert mim01.content(path) == b"x"


@case("New-Folder", cites="winrm.md: Malformed or LEN wrong: answer N, change nothing", warm=True)
def test_a_line_that_is_not_a_whole_request_in_its_turn_changes_nothing(mim01: Host) -> None:
    path = mim01.path() + r"\made"
    with talking(mim01) as talk:
        assert talk.frame().kind == "H"
        right = talk.request(1, "New-Folder", path=path)
        fields = right.decode("ascii").rstrip().split(" ")
        token = fields[0]

        def changed(at: int, text: str) -> bytes:
            return " ".join([*fields[:at], text, *fields[at + 1 :]]).encode() + b"\n"

        def carrying(*parts: bytes) -> bytes:
            encoded = [base64.b64encode(part).decode() or "-" for part in parts]
            length = sum(len(part) for part in encoded if part != "-")
            return f"{token} R 1 {length} {' '.join(encoded)}\n".encode()

        verb = json.dumps({"verb": "New-Folder", "args": {"path": path}}).encode()
        wrong = [
            changed(1, "Q"),
            changed(2, "0"),
            changed(2, "2"),
            changed(2, "-1"),
            changed(2, "x"),
            changed(3, str(int(fields[3]) + 1)),
            changed(3, "x"),
            changed(4, fields[4][:-1]),
            changed(6, ""),
            right.rstrip() + b" -\n",
            f"{token} R 1\n".encode(),
            carrying(b"[]", b"", b""),
            carrying(b"null", b"", b""),
            carrying(b'{"verb"', b"", b""),
            carrying(b"\xff", b"", b""),
            carrying(verb.replace(b"}}", b', "x": 1.5}}'), b"", b""),
            carrying(verb, b"[]", b""),
            carrying(verb, b"x", b""),
        ]
        talk.send(b"\n", b"\r\n", b"noise R 1 0 - - -\n", *wrong)
        answers = [talk.frame() for _ in wrong]
        assert [(frame.kind, frame.seq, bool(frame.text.strip())) for frame in answers] == [("N", 0, True)] * len(wrong)
        assert mim01.ask("Read-File", path=path)["kind"] == "absent"
        talk.send(b"\xef\xbb\xbf" + right.replace(b"\n", b"\r\n"))
        assert said(talk.frame()) == ("A", 1, {"ok": True, "result": {"created": [path]}})


@case("Test-Echo", cites="winrm.md: check token, length and hash", warm=True)
def test_a_script_that_arrives_changed_is_not_run(mim01: Host) -> None:
    talk = Talk(mim01)
    try:
        line = script_line(talk.token, powershell.script(), read_only=False).split(b" ")
        line[3] = b"0" * 64
        talk.send(b" ".join(line)[: len(line[5]) // 2], b"\n")
        assert talk.frame().kind == "N"
        talk.send(b" ".join(line))
        assert talk.frame().kind == "X"
        assert talk.ended() == 1
    finally:
        talk.wire.close_shell()


@case(
    "Test-Echo",
    cites="winrm.md: the verb is looked up in a fixed table, never invoked by name from data",
    error="invalid",
    warm=True,
)
def test_a_verb_that_there_is_not_is_invalid_whatever_its_name(mim01: Host) -> None:
    names: list[Any] = [
        "Get-Nothing",
        "test-echo",
        "Test-Echo ",
        "Invoke-Expression",
        "exit",
        "",
        None,
        1,
        ["Test-Echo"],
        {},
    ]
    with talking(mim01) as talk:
        assert talk.frame().kind == "H"
        for seq, name in enumerate(names, 1):
            talk.send(request_line(talk.token, seq, {"verb": name, "args": {}}, {}, b""))
            error = talk.frame().json["error"]
            assert (error["kind"], error["where"], error["hresult"]) == ("invalid", "verb", None)
        others: list[Any] = [[], None, "x", 1]
        for seq, args in enumerate(others, len(names) + 1):
            talk.send(request_line(talk.token, seq, {"verb": "Test-Echo", "args": args}, {}, b""))
            error = talk.frame().json["error"]
            assert (error["kind"], error["what"], error["where"]) == ("invalid", "Test-Echo", "args")


@case("Test-Echo", cites="verbs.md: Argument names are snake_case on the wire", error="invalid")
def test_names_of_arguments_are_those_of_the_wire_and_nothing_of_powershell(mim01: Host) -> None:
    needed: dict[str, Any] = {"service": "x", "state": "running", "expected": "stopped"}
    for name in (
        "TimeoutS",
        "timeouts",
        "Timeout_S",
        "Verbose",
        "ErrorAction",
        "OutVariable",
        "bytes",
        "Bytes",
        "args",
    ):
        assert mim01.refused("Set-ServiceState", **{**needed, name: 1}) == Refused("invalid", name)


@case("Read-File", cites="verbs.md: a missing one is `invalid`, `where` the argument's name", error="invalid")
def test_a_value_of_another_type_is_invalid_by_the_name_of_its_argument(mim01: Host) -> None:
    good = {"path": r"C:\x", "offset": 0, "count": 0}
    wrong: dict[str, list[Any]] = {
        "path": [1, None, True, ["C:\\x"], {"secret": "x"}],
        "offset": ["0", None, False, [0], {}],
        "count": ["-1", None, True, [1]],
    }
    for name, others in wrong.items():
        for value in others:
            assert mim01.refused("Read-File", **{**good, name: value}) == Refused("invalid", name)
