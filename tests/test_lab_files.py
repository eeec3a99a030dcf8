"""The `files` verbs of the python engine, and Windows paths over a real folder (docs/verbs.md, files)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.disk import SHARING_VIOLATION, full_path
from lab.files import LARGEST
from lab.python_engine import PythonMachine
from lab.state import fold
from lab.verbs import Session, VerbError, call
from tests.lab_python import ask, new_machine, refused, sha256

FOLDER = r"C:\Program Files\Microsoft Forefront Identity Manager\2010\Service"
PATH = rf"{FOLDER}\MfaSettings.xml"
CONTENT = b"\xff\xfe<\x00a\x00/\x00>\x00"
WRITTEN = datetime(2026, 11, 25, 8, 0, 0, 123456, tzinfo=UTC)

names = st.text(st.sampled_from("aAbB.ä ß-_1"), min_size=1, max_size=6).filter(lambda name: name == name.rstrip(". "))


@pytest.fixture
def machine(tmp_path: Path) -> PythonMachine:
    made = new_machine(tmp_path)
    made.write_file(PATH, CONTENT)
    made.set_last_write(PATH, WRITTEN)
    return made


def beside(machine: PythonMachine, path: str = FOLDER) -> list[str]:
    real = machine.disk.real(path)
    assert real is not None
    return sorted(one.name for one in real.iterdir())


# -- paths --


@given(st.lists(names, max_size=4), st.sampled_from("cCdZ"), st.lists(st.sampled_from("\\/"), min_size=5, max_size=5))
def test_a_full_path_is_one_whatever_its_separators_and_dots(
    parts: list[str], drive: str, separators: list[str]
) -> None:
    spelled = f"{drive}:" + "".join(f"{one}{part}" for one, part in zip(separators, parts, strict=False))
    odd = f"{drive}:" + "".join(
        f"{one}.{one}x{one}..{one}{part} ." for one, part in zip(separators, parts, strict=False)
    )
    plain = "\\".join([f"{drive}:", *parts]) if parts else f"{drive}:\\"
    if parts:
        assert (full_path(spelled), full_path(odd), full_path(plain)) == (plain, plain, plain)
    else:
        assert full_path(f"{drive}:/") == plain


@pytest.mark.parametrize(
    "path",
    [
        "",
        "x",
        r"x\y",
        "C:",
        "C:x",
        r"\x",
        "/x",
        r"\\.\C:\x",
        r"\\?\C:\x",
        "//?/C:/x",
        r"\??\C:\x",
        r"\\server",
        r"\\server\\x",
    ]
    + [rf"C:\a{bad}b" for bad in '<>|?*":\x00\n'],
)
def test_a_path_that_is_not_full_or_holds_what_no_name_may_hold_is_invalid(machine: PythonMachine, path: str) -> None:
    answers = [
        refused(machine, "Read-File", path=path),
        refused(machine, "New-Folder", path=path),
        refused(machine, "Write-File", path=path, expected="absent", sha256=sha256(b""), length=0),
        refused(machine, "Copy-File", path=path, target=rf"{FOLDER}\y", expected=sha256(CONTENT)),
        refused(machine, "Copy-File", path=PATH, target=path, expected=sha256(CONTENT)),
    ]
    assert [answer[:2] for answer in answers] == [("invalid", path)] * 5


@settings(max_examples=30)
@given(st.lists(names, min_size=1, max_size=3, unique_by=fold))
def test_a_name_is_found_in_any_case_and_kept_as_it_was_spelled(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str]
) -> None:
    machine = new_machine(tmp_path_factory.mktemp("lab"))
    path = "\\".join(["C:", *parts])
    machine.write_file(path, b"content")
    for other in (
        path.upper().replace("SS", "ß") if "ß" in path else path.upper(),
        path.lower(),
        path.replace("\\", "/"),
    ):
        assert machine.read_file(other) == b"content"
    assert f"file {path}" in machine.snapshot()


def test_a_share_is_a_place_of_its_own(machine: PythonMachine) -> None:
    share = r"\\files\Deploy"
    assert refused(machine, "New-Folder", path=rf"{share}\x")[0] == "missing"
    machine.write_file(rf"{share}\x\y.txt", b"y")
    assert ask(machine, "Read-File", path=r"//FILES/deploy/X/Y.TXT")[1] == b"y"


# -- Read-File --


def test_read_file_answers_what_is_there_and_its_bytes(machine: PythonMachine) -> None:
    assert ask(machine, "Read-File", path=PATH.upper().replace("\\", "/")) == (
        {
            "path": PATH.upper(),
            "kind": "file",
            "length": len(CONTENT),
            "sha256": sha256(CONTENT),
            "last_write_utc": "2026-11-25T08:00:00.1234560Z",
            "read_only": False,
        },
        CONTENT,
    )


def test_read_file_answers_absent_things_and_folders(machine: PythonMachine) -> None:
    nothing = {"length": None, "sha256": None, "read_only": False}
    absent = {"kind": "absent", "last_write_utc": None} | nothing
    for path in (rf"{FOLDER}\x", rf"{FOLDER}\x\y", rf"{PATH}\y", "Q:\\x", r"\\nobody\x\y"):
        assert ask(machine, "Read-File", path=path) == ({"path": path} | absent, b"")
    machine.set_last_write(FOLDER, WRITTEN)
    folder = {"path": FOLDER, "kind": "folder", "last_write_utc": "2026-11-25T08:00:00.1234560Z"} | nothing
    assert ask(machine, "Read-File", path=FOLDER) == (folder, b"")


@settings(max_examples=30)
@given(st.binary(max_size=20), st.integers(0, 25), st.integers(-1, 25))
def test_read_file_gives_count_bytes_from_offset(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, offset: int, count: int
) -> None:
    machine = new_machine(tmp_path_factory.mktemp("lab"))
    machine.write_file(r"C:\x", data)
    result, blob = ask(machine, "Read-File", path=r"C:\x", offset=offset, count=count)
    assert blob == (data[offset:] if count == -1 else data[offset : offset + count])
    assert (result["length"], result["sha256"]) == (len(data), None if offset else sha256(data))


def test_read_file_gives_at_most_4_mib_in_one_answer(machine: PythonMachine) -> None:
    data = bytes(LARGEST + 1)
    machine.write_file(r"C:\big", data)
    assert refused(machine, "Read-File", path=r"C:\big")[:2] == ("invalid", r"C:\big")
    assert ask(machine, "Read-File", path=r"C:\big", count=LARGEST)[1] == data[:-1]
    assert ask(machine, "Read-File", path=r"C:\big", count=0)[0]["sha256"] == sha256(data)
    assert ask(machine, "Read-File", path=r"C:\big", offset=LARGEST)[1] == b"\0"


def test_read_file_refuses_what_is_no_place_in_a_file(machine: PythonMachine) -> None:
    assert refused(machine, "Read-File", path=PATH, offset=-1)[:2] == ("invalid", PATH)
    assert refused(machine, "Read-File", path=PATH, count=-2)[:2] == ("invalid", PATH)


def test_a_file_that_is_open_elsewhere_is_locked_for_every_verb_and_free_afterwards(machine: PythonMachine) -> None:
    other = new_machine(machine.folder.parent)  # a lock holds beyond one object
    digest = sha256(CONTENT)
    with other.locked(PATH.lower()):
        before = machine.snapshot()
        answer, _ = call(machine, {"verb": "Read-File", "args": {"path": PATH}}, session=Session(1))
        assert (answer["error"]["kind"], answer["error"]["hresult"]) == ("locked", SHARING_VIOLATION)
        write: dict[str, Any] = {"path": PATH, "expected": digest, "sha256": sha256(b"x"), "length": 1}
        assert refused(machine, "Write-File", **write, blob=b"x")[:2] == ("locked", PATH)
        assert refused(machine, "Copy-File", path=PATH, target=rf"{FOLDER}\y", expected=digest)[:2] == ("locked", PATH)
        assert machine.snapshot() == before
    assert ask(machine, "Read-File", path=PATH)[1] == CONTENT


def test_a_file_that_may_not_be_read_is_denied(machine: PythonMachine) -> None:
    real = machine.disk.real(PATH)
    assert real is not None
    real.chmod(0o200)
    assert refused(machine, "Read-File", path=PATH)[:2] == ("denied", PATH)


# -- Write-File --


def test_write_file_replaces_content_and_keeps_the_spelling(machine: PythonMachine) -> None:
    before = datetime.now(UTC)
    new = b"new content"
    digest = sha256(new)
    args: dict[str, Any] = {"path": PATH.lower(), "expected": sha256(CONTENT), "sha256": digest, "length": len(new)}
    assert ask(machine, "Write-File", **args, blob=new) == ({"sha256": digest, "done": True}, b"")
    assert (machine.read_file(PATH), beside(machine)) == (new, ["MfaSettings.xml"])
    assert ask(machine, "Read-File", path=PATH)[0]["last_write_utc"] >= f"{before:%Y-%m-%dT%H:%M:%S.%f}0Z"


def test_write_file_makes_a_file_where_none_was(machine: PythonMachine) -> None:
    for name, data in (("one", b"1"), ("none", b"")):
        args: dict[str, Any] = {
            "path": rf"{FOLDER}\{name}",
            "expected": "absent",
            "sha256": sha256(data),
            "length": len(data),
        }
        assert ask(machine, "Write-File", **args, blob=data)[0] == {"sha256": sha256(data), "done": True}
    assert beside(machine) == ["MfaSettings.xml", "none", "one"]


@settings(max_examples=30)
@given(st.binary(min_size=1, max_size=40), st.integers(1, 15))
def test_write_file_puts_blocks_together(tmp_path_factory: pytest.TempPathFactory, data: bytes, size: int) -> None:
    machine, session = new_machine(tmp_path_factory.mktemp("lab")), Session(1)
    args: dict[str, Any] = {
        "path": r"C:\x",
        "expected": "absent",
        "sha256": sha256(data),
        "length": len(data),
        "part": "0a",
    }
    for at in range(0, len(data), size):
        assert machine.read_file(r"C:\x") is None
        block = data[at : at + size]
        done = at + len(block) == len(data)
        result, _ = ask(machine, "Write-File", **args, offset=at, blob=block, session=session)
        assert result == {"sha256": sha256(data) if done else None, "done": done}
        assert session.cleanups.keys() == (set() if done else {"0a"})
    assert machine.read_file(r"C:\x") == data
    assert r"file C:\x.0a.new" not in machine.snapshot()


def test_write_file_refuses_and_leaves_everything_as_it_was(machine: PythonMachine) -> None:
    machine.write_file(rf"{FOLDER}\read only", CONTENT)
    machine.set_read_only(rf"{FOLDER}\read only", read_only=True)
    before = machine.snapshot()
    new, digest = b"new", sha256(CONTENT)
    good: dict[str, Any] = {"path": PATH, "expected": digest, "sha256": sha256(new), "length": 3}
    part: dict[str, Any] = good | {"part": "ab"}
    session = Session(1)

    def wrong(**args: Any) -> tuple[str, str]:
        return refused(machine, "Write-File", session=session, blob=new, **args)[:2]

    assert wrong(**good | {"expected": sha256(b"other")}) == ("conflict", PATH)
    assert wrong(**good | {"expected": "absent"}) == ("conflict", PATH)
    assert wrong(**good | {"path": rf"{FOLDER}\x"}) == ("conflict", rf"{FOLDER}\x")
    assert wrong(**good | {"sha256": sha256(b"other")}) == ("invalid", PATH)
    assert wrong(**good | {"path": FOLDER}) == ("invalid", FOLDER)
    for path in (rf"{FOLDER}\x\y", rf"{PATH}\y", r"Q:\y"):
        assert wrong(**good | {"path": path, "expected": "absent"}) == ("missing", path)
    assert wrong(**good | {"path": rf"{FOLDER}\read only"}) == ("denied", rf"{FOLDER}\read only")
    assert wrong(**good | {"length": 4}) == ("invalid", PATH)
    assert wrong(**good | {"offset": 1, "length": 4}) == ("invalid", PATH)
    assert wrong(**good | {"expected": "nothing"}) == ("invalid", "expected")
    assert wrong(**good | {"sha256": "abc"}) == ("invalid", "sha256")
    assert wrong(**good | {"part": "../x"}) == ("invalid", "part")
    assert wrong(**good | {"part": "a" * 65}) == ("invalid", "part")
    assert wrong(**good | {"offset": -1}) == ("invalid", PATH)
    assert wrong(**part | {"offset": 3, "length": 6}) == ("conflict", PATH)
    assert wrong(**part | {"length": 2}) == ("invalid", PATH)
    assert wrong(**part | {"sha256": sha256(b"other")}) == ("invalid", PATH)
    assert wrong(**part | {"expected": "absent"}) == ("conflict", PATH)
    assert machine.snapshot() == before


def test_a_block_that_is_not_the_next_one_ends_its_upload(machine: PythonMachine) -> None:
    before, session = machine.snapshot(), Session(1)
    args: dict[str, Any] = {
        "path": PATH,
        "expected": sha256(CONTENT),
        "sha256": sha256(b"abcdef"),
        "length": 6,
        "part": "ab",
    }
    ask(machine, "Write-File", **args, blob=b"ab", session=session)
    assert beside(machine) == ["MfaSettings.xml", "MfaSettings.xml.ab.new"]
    assert refused(machine, "Write-File", **args, offset=4, blob=b"ef", session=session)[0] == "conflict"
    assert machine.snapshot() == before
    for other in ({"path": rf"{FOLDER}\x"}, {"sha256": sha256(b"x")}, {"length": 7}, {"expected": sha256(b"x")}):
        ask(machine, "Write-File", **args, blob=b"ab", session=session)
        answer = refused(machine, "Write-File", **args | other, offset=2, blob=b"cd", session=session)
        assert answer[0] == "conflict"
        assert machine.snapshot() == before


def test_an_unfinished_upload_is_gone_when_its_process_ends(machine: PythonMachine) -> None:
    before, session = machine.snapshot(), Session(1)
    args: dict[str, Any] = {
        "path": PATH,
        "expected": sha256(CONTENT),
        "sha256": sha256(b"abcdef"),
        "length": 6,
        "part": "ab",
    }
    ask(machine, "Write-File", **args, blob=b"ab", session=session)
    assert machine.snapshot() != before
    session.close()
    assert machine.snapshot() == before


# -- Copy-File, New-Folder --


def test_copy_file_copies_once(machine: PythonMachine) -> None:
    args: dict[str, Any] = {"path": PATH.lower(), "target": rf"{FOLDER}\copy.bak", "expected": sha256(CONTENT)}
    assert ask(machine, "Copy-File", **args)[0] == {"created": True, "sha256": sha256(CONTENT)}
    assert machine.read_file(rf"{FOLDER}\copy.bak") == CONTENT
    before = machine.snapshot()
    assert ask(machine, "Copy-File", **args)[0] == {"created": False, "sha256": sha256(CONTENT)}
    assert machine.snapshot() == before


def test_copy_file_refuses_and_leaves_everything_as_it_was(machine: PythonMachine) -> None:
    machine.write_file(rf"{FOLDER}\other", b"other")
    before = machine.snapshot()
    good: dict[str, Any] = {"path": PATH, "target": rf"{FOLDER}\copy", "expected": sha256(CONTENT)}

    def wrong(**args: Any) -> tuple[str, str]:
        return refused(machine, "Copy-File", **args)[:2]

    assert wrong(**good | {"expected": sha256(b"x")}) == ("conflict", PATH)
    assert wrong(**good | {"expected": "absent"}) == ("invalid", "expected")
    assert wrong(**good | {"path": rf"{FOLDER}\x"}) == ("missing", rf"{FOLDER}\x")
    assert wrong(**good | {"path": FOLDER}) == ("invalid", FOLDER)
    assert wrong(**good | {"target": rf"{FOLDER}\other"}) == ("conflict", rf"{FOLDER}\other")
    assert wrong(**good | {"target": FOLDER}) == ("invalid", FOLDER)
    assert wrong(**good | {"target": rf"{FOLDER}\x\y"}) == ("missing", rf"{FOLDER}\x\y")
    with machine.locked(rf"{FOLDER}\other"):
        assert wrong(**good | {"target": rf"{FOLDER}\other"}) == ("locked", rf"{FOLDER}\other")
    assert machine.snapshot() == before


def test_new_folder_names_every_folder_that_it_made_outermost_first(machine: PythonMachine) -> None:
    path = r"c:\PROGRAM FILES\sdk\mfa\sdk"
    made = [r"c:\PROGRAM FILES\sdk", r"c:\PROGRAM FILES\sdk\mfa", path]
    assert ask(machine, "New-Folder", path=path)[0] == {"created": made}
    before = machine.snapshot()
    shown = {f"folder {one}".replace(r"c:\PROGRAM FILES", r"C:\Program Files") for one in made}
    assert shown <= before.keys()
    assert ask(machine, "New-Folder", path=path.upper().replace("\\", "/"))[0] == {"created": []}
    assert ask(machine, "New-Folder", path="C:\\")[0] == {"created": []}
    assert machine.snapshot() == before


def test_new_folder_refuses_where_a_file_stands_or_the_drive_is_missing(machine: PythonMachine) -> None:
    before = machine.snapshot()
    assert refused(machine, "New-Folder", path=PATH)[:2] == ("conflict", PATH)
    assert refused(machine, "New-Folder", path=rf"{PATH}\x\y")[:2] == ("conflict", rf"{PATH}\x\y")
    assert refused(machine, "New-Folder", path=r"Q:\x")[:2] == ("missing", r"Q:\x")
    assert machine.snapshot() == before


def test_a_name_that_this_file_system_cannot_hold_is_an_answer(machine: PythonMachine) -> None:
    path = rf"{FOLDER}\{chr(0xD800)}"
    assert ask(machine, "Read-File", path=path)[0]["kind"] == "absent"
    args: dict[str, Any] = {"expected": "absent", "sha256": sha256(b""), "length": 0}
    assert refused(machine, "Write-File", path=path, **args)[:2] == ("invalid", path)
    long = rf"{FOLDER}\{'x' * 300}"
    assert refused(machine, "Write-File", path=long, **args)[:2] == ("unknown", long)
    assert beside(machine) == ["MfaSettings.xml"]


def test_an_error_of_a_verb_is_one_exception() -> None:
    with pytest.raises(VerbError) as caught:
        full_path("x")
    assert caught.value.to_json("Read-File") == {
        "kind": "invalid",
        "what": "Read-File",
        "where": "x",
        "why": "is not a full path, expected one such as C:\\x",
        "hresult": None,
    }
