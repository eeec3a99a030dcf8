"""The verbs of files: bytes and their SHA-256, written in one step and only where they still are what the caller read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from lab.python_engine import PythonMachine
from tests.contract.cases import case
from tests.contract.host import Host, Refused, sha256

Args: TypeAlias = dict[str, Any]
MIB: Final = 1024 * 1024
EVERY_BYTE: Final = bytes(range(256)) * 3
NOT_FULL: Final = (
    *("", "x.txt", r"x\y", r"\x", "C:", "C:x", "\\\\server", r"\\.\C:\x", r"\\?\C:\x", r"\\.\NUL"),
    *(r"C:\a?b", r"C:\a*", 'C:\\a"b', "C:\\a\x00b", r"C:\a:b", r"C:\<x>", r"C:\a|b"),
)
SHARING_VIOLATION: Final = 0x80070020
PATHS: Final = "verbs.md: a relative one, a device path (`\\\\.\\`) or an empty one is `invalid`"


def written(content: bytes) -> dict[str, Any]:
    """Arguments of Write-File for a whole content."""
    return {"sha256": sha256(content), "length": len(content), "blob": content}


def stands(content: bytes) -> str:
    """A file in a snapshot, without its time."""
    return f"{sha256(content)} {len(content)} (time)"


def info(path: str, content: bytes, **other: Any) -> dict[str, Any]:
    """What Read-File says of a file, without its time."""
    return {"path": path, "kind": "file", "length": len(content), "sha256": sha256(content), "read_only": False} | other


def read(host: Host, path: str, **args: Any) -> tuple[Mapping[str, Any], bytes]:
    """Read-File without the time, which is looked at on its own."""
    answer = host.call("Read-File", path=path, **args)
    result = dict(answer.result)
    result.pop("last_write_utc")
    return result, answer.blob


# -- Read-File --


@case(
    "Read-File",
    cites='verbs.md: "kind": "file" | "folder" | "absent", "length", "sha256", "last_write_utc", "read_only"',
)
def test_a_file_is_read_with_its_hash(mim01: Host) -> None:
    path = mim01.file("a.bin", EVERY_BYTE)
    assert read(mim01, path) == (info(path, EVERY_BYTE), EVERY_BYTE)


@case("Read-File", cites="verbs.md: Opened by another process without sharing: `locked`", error="locked")
def test_a_file_that_another_process_holds_is_locked(mim01: Host) -> None:
    path = mim01.file("a.txt", b"x")
    with mim01.machine.locked(path):
        assert mim01.refused("Read-File", path=path) == Refused("locked", path, SHARING_VIOLATION)
        assert mim01.refused("Read-File", path=path, count=0) == Refused("locked", path, SHARING_VIOLATION)
    assert read(mim01, path) == (info(path, b"x"), b"x")


@case("Read-File", cites="winrm.md: cap the result (1 MiB of json; blob 4 MiB) with a clear error", error="invalid")
def test_more_than_4_mib_in_one_answer_are_invalid(mim01: Host) -> None:
    content, path = bytes(4 * MIB + 1), rf"{mim01.folder}\large.bin"
    mim01.machine.write_file(path, content)
    assert mim01.refused("Read-File", path=path) == Refused("invalid", path)
    assert read(mim01, path, count=3) == (info(path, content), bytes(3))
    assert read(mim01, path, offset=4 * MIB - 1) == (info(path, content, sha256=None), bytes(2))


@case(
    "Read-File", cites="verbs.md: blob = `count` bytes from `offset`, fewer where the file ends (-1: the rest; 0: none)"
)
def test_a_part_of_a_file_is_read(mim01: Host) -> None:
    content = b"0123456789"
    path = mim01.file("a.txt", content)
    parts = {(0, 0): b"", (0, 4): b"0123", (0, 99): content, (3, 4): b"3456", (3, -1): b"3456789"}
    parts |= {(8, 9): b"89", (10, -1): b"", (99, 5): b""}
    for (offset, count), blob in parts.items():
        known = sha256(content) if offset == 0 else None
        assert read(mim01, path, offset=offset, count=count) == (info(path, content, sha256=known), blob)


@case("Read-File", cites="verbs.md: `sha256` (lower-case hex) and `length` are of the whole file")
def test_an_empty_file_has_a_hash_and_no_bytes(mim01: Host) -> None:
    path = mim01.file("empty", b"")
    assert read(mim01, path) == (info(path, b""), b"")


@case("Read-File", cites="verbs.md: Absent things that a *read* asks for are answers")
def test_what_is_absent_is_an_answer(mim01: Host) -> None:
    folder = mim01.path()
    absent = {"kind": "absent", "length": None, "sha256": None, "last_write_utc": None, "read_only": False}
    for path in (rf"{folder}\no.txt", rf"{folder}\no\no.txt", r"Q:\no.txt", rf"{mim01.file('file', b'')}\below"):
        assert mim01.ask("Read-File", path=path) == {"path": path, **absent}


@case("Read-File", cites="verbs.md: null unless `kind` is `file`")
def test_a_folder_is_told_from_a_file(mim01: Host) -> None:
    path = mim01.path()
    folder = {"path": path, "kind": "folder", "length": None, "sha256": None, "read_only": False}
    assert read(mim01, path) == (folder, b"")
    assert read(mim01, path + "\\") == (folder, b"")
    assert read(mim01, "C:/") == (folder | {"path": "C:\\"}, b"")


@case("Read-File", cites="verbs.md: Paths are full Windows paths (`C:\\x`, `/` accepted)")
def test_a_path_is_answered_in_its_full_form_as_it_is_spelled(mim01: Host) -> None:
    path = mim01.file("Some.txt", b"x")
    upper = path.upper()
    spelled = {
        path.replace("\\", "/"): path,
        path.replace("Some", r"no\..\Some"): path,
        path.replace("Some", r".\Some"): path,
        path.replace(r"\Some", r"\\Some"): path,
        upper: upper,
    }
    for given, full in spelled.items():
        assert read(mim01, given) == (info(full, b"x"), b"x")


@case("Read-File", cites="verbs.md: `last_write_utc` `2026-11-25T08:00:00.1234567Z`, null when absent")
def test_the_time_of_the_last_write_is_utc_with_seven_digits(mim01: Host) -> None:
    path = mim01.file("a.txt", b"x")
    mim01.machine.set_last_write(path, datetime(2026, 11, 25, 8, 0, 0, 123456, tzinfo=UTC))
    mim01.machine.set_last_write(mim01.folder, datetime(2025, 3, 30, 0, 59, 59, tzinfo=UTC))
    times = [mim01.ask("Read-File", path=one, count=0)["last_write_utc"] for one in (path, mim01.folder)]
    assert times == ["2026-11-25T08:00:00.1234560Z", "2025-03-30T00:59:59.0000000Z"]


@case("Read-File", cites='verbs.md: "last_write_utc", "read_only"')
def test_a_file_with_the_read_only_attribute_is_told(mim01: Host) -> None:
    path = mim01.file("a.txt", b"x")
    mim01.machine.set_read_only(path, read_only=True)
    assert read(mim01, path) == (info(path, b"x", read_only=True), b"x")


@case("Read-File", cites=PATHS, error="invalid")
def test_a_path_that_is_not_full_is_invalid_to_read(mim01: Host) -> None:
    assert {path: mim01.refused("Read-File", path=path) for path in NOT_FULL} == {
        path: Refused("invalid", path) for path in NOT_FULL
    }


@case("Read-File", cites="verbs.md: blob = `count` bytes from `offset`", error="invalid")
def test_a_part_that_cannot_be_is_invalid(mim01: Host) -> None:
    path = mim01.file("a.txt", b"x")
    assert mim01.refused("Read-File", path=path, offset=-1) == Refused("invalid", path)
    assert mim01.refused("Read-File", path=path, count=-2) == Refused("invalid", path)


@case("Read-File", cites="verbs.md: No right: `denied`", error="denied")
def test_a_file_that_nobody_may_read_is_denied(mim01: Host) -> None:
    path, machine = mim01.file("a.txt", b"x"), mim01.machine
    assert isinstance(machine, PythonMachine)
    real = machine.disk.real(path)
    assert real is not None
    real.chmod(0)
    try:
        assert mim01.refused("Read-File", path=path) == Refused("denied", path, 0x80070005)
    finally:
        real.chmod(0o600)  # the machine serves the next cases, too, and reads all its files: whoever is not root cannot


@case("Read-File", cites="verbs.md: `Get- Read- Search- Test-`")
def test_reading_changes_nothing(mim01: Host) -> None:
    path = mim01.file("a.txt", b"x")
    with mim01.watched() as seen:
        read(mim01, path)
        read(mim01, rf"{mim01.folder}\no.txt")
    assert seen.changes == {}


# -- Write-File --


@case("Write-File", cites="verbs.md: A whole file in one call (`offset` 0, blob of `length` bytes, no `part`)")
def test_a_new_file_is_written_whole(mim01: Host) -> None:
    path = mim01.path("a.bin")
    answer = mim01.ask("Write-File", path=path, expected="absent", **written(EVERY_BYTE))
    assert answer == {"sha256": sha256(EVERY_BYTE), "done": True}
    assert mim01.content(path) == EVERY_BYTE


@case("Write-File", cites="verbs.md: `expected` compared (`conflict`)", error="conflict")
def test_a_file_that_is_not_what_was_read_is_left_alone(mim01: Host) -> None:
    path, other = mim01.file("a.txt", b"theirs"), mim01.path("absent.txt")
    for at, expected in ((path, "absent"), (path, sha256(b"old")), (other, sha256(b"old"))):
        assert mim01.refused("Write-File", path=at, expected=expected, **written(b"ours")) == Refused("conflict", at)
    assert (mim01.content(path), mim01.content(other)) == (b"theirs", None)


@case(
    "Write-File",
    cites="winrm.md: `[IO.File]::Replace(tmp, target, $null)` keeps the target's ACL, attributes and creation time",
)
def test_a_file_is_replaced_and_nothing_else_changes(mim01: Host) -> None:
    path = mim01.file("a.txt", b"old")
    with mim01.watched() as seen:
        answer = mim01.ask("Write-File", path=path, expected=sha256(b"old"), **written(b"new"))
    assert answer == {"sha256": sha256(b"new"), "done": True}
    assert seen.changes == {f"file {path}": (stands(b"old"), stands(b"new"))}


@case("Write-File", cites="verbs.md: A whole file in one call")
def test_a_file_becomes_empty(mim01: Host) -> None:
    path = mim01.file("a.txt", b"old")
    mim01.ask("Write-File", path=path, expected=sha256(b"old"), **written(b""))
    assert mim01.content(path) == b""


@case("Write-File", cites="verbs.md: Paths are full Windows paths (`C:\\x`, `/` accepted)")
def test_a_file_keeps_the_spelling_of_its_name(mim01: Host) -> None:
    path = mim01.file("Some.TXT", b"old")
    with mim01.watched() as seen:
        mim01.ask("Write-File", path=path.lower().replace("\\", "/"), expected=sha256(b"old"), **written(b"new"))
    assert seen.changes == {f"file {path}": (stands(b"old"), stands(b"new"))}


@case("Write-File", cites="winrm.md: temp file in the **target's folder** (same volume)", warm=True)
def test_blocks_are_written_beside_and_swapped_in_by_the_last_one(mim01: Host) -> None:
    content = EVERY_BYTE * 4
    path, size = mim01.file("a.bin", b"old"), len(content) // 3
    whole: Args = {
        "path": path,
        "expected": sha256(b"old"),
        "sha256": sha256(content),
        "length": len(content),
        "part": "0a1b",
    }
    with mim01.watched() as seen:
        for at in (0, size):
            answer = mim01.ask("Write-File", **whole, offset=at, blob=content[at : at + size])
            assert answer == {"sha256": None, "done": False}
    assert mim01.content(path) == b"old"
    assert list(seen.changes) == [f"file {path}.(part).new"]  # how much of it is on the disk yet is not said
    with mim01.watched() as seen:
        answer = mim01.ask("Write-File", **whole, offset=2 * size, blob=content[2 * size :])
    assert answer == {"sha256": sha256(content), "done": True}
    assert {name: after for name, (_, after) in seen.changes.items()} == {
        f"file {path}": stands(content),
        f"file {path}.(part).new": None,
    }


@case("Write-File", cites="winrm.md: refuse an offset that is not the current length", error="conflict")
def test_a_block_that_is_not_the_next_one_ends_the_upload(mim01: Host) -> None:
    path = mim01.file("a.txt", b"old")
    whole: Args = {"path": path, "expected": sha256(b"old"), "sha256": sha256(b"012345"), "length": 6, "part": "0c"}
    with mim01.watched() as seen:
        assert mim01.refused("Write-File", **whole, offset=2, blob=b"23") == Refused("conflict", path)
        mim01.ask("Write-File", **whole, offset=0, blob=b"01")
        assert mim01.refused("Write-File", **whole, offset=4, blob=b"45") == Refused("conflict", path)
        assert mim01.refused("Write-File", **whole, offset=2, blob=b"23") == Refused("conflict", path)
    assert seen.changes == {}


@case("Write-File", cites="verbs.md: names the upload, blocks come in order", error="conflict", warm=True)
def test_an_upload_that_was_begun_for_something_else_ends(mim01: Host) -> None:
    path, other = mim01.file("a.txt", b"old"), mim01.file("b.txt", b"old")
    whole: Args = {"path": path, "expected": sha256(b"old"), "sha256": sha256(b"0123"), "length": 4, "part": "0d"}
    with mim01.watched() as seen:
        for name, value in (("path", other), ("sha256", sha256(b"xxxx")), ("length", 5), ("expected", sha256(b"x"))):
            mim01.ask("Write-File", **whole, offset=0, blob=b"01")
            refusal = mim01.refused("Write-File", **{**whole, name: value}, offset=2, blob=b"23")
            assert refusal == Refused("conflict", other if name == "path" else path)
    assert seen.changes == {}


@case("Write-File", cites="verbs.md: `expected` compared (`conflict`)", error="conflict", warm=True)
def test_a_file_that_changed_during_an_upload_is_left_alone(mim01: Host) -> None:
    path = mim01.file("a.txt", b"old")
    whole: Args = {"path": path, "expected": sha256(b"old"), "sha256": sha256(b"0123"), "length": 4, "part": "0e"}
    mim01.ask("Write-File", **whole, offset=0, blob=b"01")
    mim01.machine.write_file(path, b"theirs")
    assert mim01.refused("Write-File", **whole, offset=2, blob=b"23") == Refused("conflict", path)
    assert (mim01.content(path), mim01.content(f"{path}.0e.new")) == (b"theirs", None)


@case("Write-File", cites="winrm.md: Delete temps on EOF and error")
def test_an_unfinished_upload_is_gone_with_its_process(mim01: Host) -> None:
    path = mim01.path("a.txt")
    whole: Args = {"path": path, "expected": "absent", "sha256": sha256(b"0123"), "length": 4, "part": "0f"}
    with mim01.watched() as seen:
        mim01.ask("Write-File", **whole, offset=0, blob=b"01")
        mim01.session().close()
    assert seen.changes == {}
    assert mim01.refused("Write-File", **whole, offset=2, blob=b"23") == Refused("conflict", path)


@case("Write-File", cites="verbs.md: is read by nobody and in no upload's way; no verb deletes it", warm=True)
def test_what_a_killed_process_left_beside_a_file_is_in_no_uploads_way_and_stays(mim01: Host) -> None:
    path = mim01.file("a.txt", b"old")
    left = [mim01.file(f"a.txt.{name}.new", b"x") for name in ("0123456789abcdef", "0123456789abcdef" * 2)]
    whole: Args = {"path": path, "expected": sha256(b"old"), "sha256": sha256(b"0123"), "length": 4, "part": "1f"}
    with mim01.watched() as seen:
        assert mim01.ask("Write-File", **whole, offset=0, blob=b"01") == {"sha256": None, "done": False}
        assert mim01.ask("Write-File", **whole, offset=2, blob=b"23") == {"sha256": sha256(b"0123"), "done": True}
        mim01.ask("Write-File", path=path, expected=sha256(b"0123"), **written(b"new"))
    assert seen.changes == {f"file {path}": (stands(b"old"), stands(b"new"))}
    assert [mim01.content(one) for one in left] == [b"x", b"x"]


@case("Write-File", cites="winrm.md: `put_close`: Flush(true), compare hash and size, then replace", error="invalid")
def test_content_that_arrives_with_another_hash_is_not_written(mim01: Host) -> None:
    path = mim01.file("a.txt", b"old")
    whole: Args = {"path": path, "expected": sha256(b"old"), "sha256": sha256(b"sent"), "length": 4}
    with mim01.watched() as seen:
        assert mim01.refused("Write-File", **whole, blob=b"came") == Refused("invalid", path)
    assert seen.changes == {}


@case("Write-File", cites="verbs.md: Target is a folder: `invalid`", error="invalid")
def test_a_folder_is_no_target(mim01: Host) -> None:
    path = mim01.path()
    for expected in ("absent", sha256(b"old")):
        assert mim01.refused("Write-File", path=path, expected=expected, **written(b"x")) == Refused("invalid", path)


@case("Write-File", cites=PATHS, error="invalid")
def test_a_path_that_is_not_full_is_invalid_to_write(mim01: Host) -> None:
    assert {path: mim01.refused("Write-File", path=path, expected="absent", **written(b"x")) for path in NOT_FULL} == {
        path: Refused("invalid", path) for path in NOT_FULL
    }


@case("Write-File", cites="verbs.md: `expected` = SHA-256 that was read, or `absent`", error="invalid")
def test_arguments_of_another_form_are_invalid_by_their_name(mim01: Host) -> None:
    path = mim01.path("a.txt")
    good: Args = {"path": path, "expected": "absent", **written(b"x")}
    upper, short = sha256(b"x").upper(), sha256(b"x")[:-1]
    for name, values in {
        "expected": ("", "Absent", upper, short, sha256(b"x") + "\n"),
        "sha256": ("", "absent", upper, short),
        "part": ("x", "0G", "AB", "0" * 65, "..", "0a\n"),
    }.items():
        for value in values:
            assert mim01.refused("Write-File", **{**good, name: value}) == Refused("invalid", name)
    for change in ({"length": 2}, {"length": 0}, {"offset": 1}, {"offset": -1}, {"part": "0a", "offset": 1}):
        assert mim01.refused("Write-File", **{**good, **change}) == Refused("invalid", path)
    assert mim01.content(path) is None


@case(
    "Write-File",
    cites="winrm.md: In use -> IOException: report who to stop, keep the old file, delete the temp",
    error="locked",
    light=True,
)
def test_a_target_that_is_open_elsewhere_is_locked(mim01: Host) -> None:
    path = mim01.file("a.txt", b"old")
    with mim01.machine.locked(path):
        refusal = mim01.refused("Write-File", path=path, expected=sha256(b"old"), **written(b"new"))
        assert refusal == Refused("locked", path, SHARING_VIOLATION)
    assert (mim01.content(path), mim01.machine.read_file(path)) == (b"old", b"old")


@case("Write-File", cites="verbs.md: Read-only attribute: `denied`", error="denied")
def test_a_target_with_the_read_only_attribute_is_denied(mim01: Host) -> None:
    path = mim01.file("a.txt", b"old")
    mim01.machine.set_read_only(path, read_only=True)
    with mim01.watched() as seen:
        refusal = mim01.refused("Write-File", path=path, expected=sha256(b"old"), **written(b"new"))
    assert refusal == Refused("denied", path)
    assert seen.changes == {}


@case("Write-File", cites="verbs.md: Folder missing: `missing`", error="missing")
def test_a_target_without_its_folder_is_missing(mim01: Host) -> None:
    folder, file = mim01.path(), mim01.file("file", b"")
    for path in (rf"{folder}\no\a.txt", rf"{folder}\no\no\a.txt", rf"{file}\a.txt", r"Q:\a.txt"):
        assert mim01.refused("Write-File", path=path, expected="absent", **written(b"x")) == Refused("missing", path)


@case("Write-File", cites="winrm.md: **ASCII-only lines** (base64 of UTF-8 JSON) are the same in every code page")
def test_names_in_any_script_are_written_and_read(mim01: Host) -> None:
    for name in ("ä ğ 漢.txt", "\u0130stanbul \u0131I.txt", "a'b`$()&;,[x].txt", "😀.txt"):
        path = mim01.file(name, name.encode())
        assert read(mim01, path) == (info(path, name.encode()), name.encode())


# -- Copy-File --


@case("Copy-File", cites="verbs.md: Copies when `path` has the SHA-256 `expected`")
def test_a_file_is_copied_to_a_free_name(mim01: Host) -> None:
    path, target = mim01.file("a.bin", EVERY_BYTE), mim01.path("a.bak")
    answer = mim01.ask("Copy-File", path=path, target=target, expected=sha256(EVERY_BYTE))
    assert answer == {"created": True, "sha256": sha256(EVERY_BYTE)}
    assert (mim01.content(path), mim01.content(target)) == (EVERY_BYTE, EVERY_BYTE)


@case("Copy-File", cites="verbs.md: with other content: `conflict`. Never overwrites", error="conflict")
def test_a_copy_never_overwrites(mim01: Host) -> None:
    path, target = mim01.file("a.txt", b"ours"), mim01.file("b.txt", b"theirs")
    assert mim01.refused("Copy-File", path=path, target=target, expected=sha256(b"ours")) == Refused("conflict", target)
    assert (mim01.content(path), mim01.content(target)) == (b"ours", b"theirs")


@case("Copy-File", cites='verbs.md: `path, target, expected` -> `{"created": bool, "sha256"}`')
def test_only_the_copy_appears(mim01: Host) -> None:
    path, target = mim01.file("a.txt", b"x"), mim01.path("b.txt")
    with mim01.watched() as seen:
        mim01.ask("Copy-File", path=path, target=target, expected=sha256(b"x"))
    assert seen.changes == {f"file {target}": (None, stands(b"x"))}


@case("Copy-File", cites="verbs.md: Target there with the same content: `created` false")
def test_a_copy_that_is_there_is_left_alone(mim01: Host) -> None:
    path, target = mim01.file("a.txt", b"x"), mim01.file("b.txt", b"x")
    with mim01.watched() as seen:
        answers = [mim01.ask("Copy-File", path=path, target=to, expected=sha256(b"x")) for to in (target, path)]
    assert answers == [{"created": False, "sha256": sha256(b"x")}] * 2
    assert seen.changes == {}


@case("Copy-File", cites="verbs.md: Copies when `path` has the SHA-256 `expected`")
def test_a_read_only_file_is_copied_and_the_copy_can_be_written(mim01: Host) -> None:
    path, target = mim01.file("a.txt", b"x"), mim01.path("b.txt")
    mim01.machine.set_read_only(path, read_only=True)
    mim01.ask("Copy-File", path=path, target=target, expected=sha256(b"x"))
    assert read(mim01, target) == (info(target, b"x"), b"x")


@case("Copy-File", cites="verbs.md: Copies when `path` has the SHA-256 `expected` (else `conflict`", error="conflict")
def test_a_file_that_is_not_what_was_read_is_not_copied(mim01: Host) -> None:
    path, target = mim01.file("a.txt", b"theirs"), mim01.path("b.txt")
    assert mim01.refused("Copy-File", path=path, target=target, expected=sha256(b"old")) == Refused("conflict", path)
    assert mim01.content(target) is None


@case("Copy-File", cites="verbs.md: absent: `missing`", error="missing")
def test_a_file_that_is_absent_or_a_folder_that_is_missing_is_missing(mim01: Host) -> None:
    path, folder = mim01.file("a.txt", b"x"), mim01.path()
    absent, target = rf"{folder}\no.txt", rf"{folder}\no\b.txt"
    assert mim01.refused("Copy-File", path=absent, target=path, expected=sha256(b"x")) == Refused("missing", absent)
    assert mim01.refused("Copy-File", path=path, target=target, expected=sha256(b"x")) == Refused("missing", target)


@case("Copy-File", cites="verbs.md: Opened by another process without sharing: `locked`", error="locked")
def test_a_copy_of_or_over_a_locked_file_is_locked(mim01: Host) -> None:
    path, target, free = mim01.file("a.txt", b"x"), mim01.file("b.txt", b"x"), mim01.path("c.txt")
    with mim01.machine.locked(path):
        refusal = mim01.refused("Copy-File", path=path, target=free, expected=sha256(b"x"))
        assert refusal == Refused("locked", path, SHARING_VIOLATION)
    with mim01.machine.locked(target):
        refusal = mim01.refused("Copy-File", path=path, target=target, expected=sha256(b"x"))
        assert refusal == Refused("locked", target, SHARING_VIOLATION)
    assert mim01.content(free) is None


@case("Copy-File", cites=PATHS, error="invalid")
def test_what_cannot_be_copied_is_invalid(mim01: Host) -> None:
    path, folder, expected = mim01.file("a.txt", b"x"), mim01.path(), sha256(b"x")
    for given in NOT_FULL:
        assert mim01.refused("Copy-File", path=given, target=path, expected=expected) == Refused("invalid", given)
        assert mim01.refused("Copy-File", path=path, target=given, expected=expected) == Refused("invalid", given)
    assert mim01.refused("Copy-File", path=folder, target=path, expected=expected) == Refused("invalid", folder)
    assert mim01.refused("Copy-File", path=path, target=folder, expected=expected) == Refused("invalid", folder)
    for given in ("absent", "", expected.upper()):
        assert mim01.refused("Copy-File", path=path, target=path, expected=given) == Refused("invalid", "expected")


# -- New-Folder --


@case("New-Folder", cites="verbs.md: every folder made, outermost first")
def test_a_folder_is_made_with_those_above_it(mim01: Host) -> None:
    made = [rf"{mim01.path()}\a", rf"{mim01.folder}\a\b", rf"{mim01.folder}\a\b\c d"]
    assert mim01.ask("New-Folder", path=made[-1]) == {"created": made}
    assert mim01.ask("New-Folder", path=made[-1]) == {"created": []}


@case("New-Folder", cites="verbs.md: A file stands in the way: `conflict`", error="conflict")
def test_a_file_in_the_way_of_a_folder_is_a_conflict(mim01: Host) -> None:
    file = mim01.file("file", b"x")
    for path in (file, rf"{file}\a", rf"{file}\a\b"):
        assert mim01.refused("New-Folder", path=path) == Refused("conflict", path)
    assert mim01.content(file) == b"x"


@case("New-Folder", cites="verbs.md: there already: `[]`")
def test_only_what_is_missing_is_made(mim01: Host) -> None:
    folder = mim01.path()
    with mim01.watched() as seen:
        answers = [
            mim01.ask("New-Folder", path=path)
            for path in (rf"{folder}\A\B" + "\\", f"{folder}/a/c".replace("\\", "/"), "C:\\")
        ]
    assert answers == [
        {"created": [rf"{folder}\A", rf"{folder}\A\B"]},
        {"created": [rf"{folder}\a\c"]},
        {"created": []},
    ]
    assert seen.changes == {rf"folder {folder}\{name}": (None, "") for name in ("A", r"A\B", r"A\c")}


@case("New-Folder", cites="verbs.md: The drive is missing: `missing`", error="missing", light=True)
def test_a_folder_on_a_drive_that_is_not_there_is_missing(mim01: Host) -> None:
    for path in (r"Q:\a\b", "Q:\\"):
        assert mim01.refused("New-Folder", path=path) == Refused("missing", path)


@case("New-Folder", cites=PATHS, error="invalid")
def test_a_path_that_is_not_full_is_no_folder(mim01: Host) -> None:
    assert {path: mim01.refused("New-Folder", path=path) for path in NOT_FULL} == {
        path: Refused("invalid", path) for path in NOT_FULL
    }
