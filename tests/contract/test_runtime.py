"""What every verb has in common: the wire, binding of arguments, errors as data, refusal of writes; and Test-Echo."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from tests.contract.cases import ALL, READS, case
from tests.contract.host import Host, Refused

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
    "Set-IisState": {"kind": "site", "name": "x", "state": "Started"},
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


@case(*WRITING, cites="verbs.md: `read` (then every writing verb is refused with `denied`)", error="denied")
def test_a_process_that_only_reads_refuses_every_verb_that_writes(mim01: Host, verb: str) -> None:
    assert mim01.refused(verb, **NEEDED[verb], read_only=True) == Refused("denied", verb)


@case("Test-Echo", cites="verbs.md: MODE `write` or `read`")
def test_a_process_that_only_reads_reads(mim01: Host) -> None:
    assert mim01.call("Test-Echo", value="x", read_only=True).result == {"value": "x"}
