"""The table of `make mutants` fits the tree: it cannot go stale unseen. That the mutants are caught is shown by tools/mutants.py itself."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tools.mutants import Mutant, Outcome, judge, main, mutants

TREE: Final = Path(__file__).parents[1]
ALL: Final = mutants()


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.name)
def test_a_mutant_changes_exactly_one_line_of_its_file(mutant: Mutant) -> None:
    before = (TREE / mutant.file).read_text(encoding="utf-8")
    lines = Counter(before.splitlines())
    lines.subtract(mutant.applied(before).splitlines())
    assert sorted(count for count in lines.values() if count) == [-1, 1]


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((TREE / file).read_text(encoding="utf-8"))
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("mutant", ALL, ids=lambda mutant: mutant.name)
def test_the_names_in_a_mutant_exist(mutant: Mutant) -> None:
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert name.partition("[")[0] in names_in(file)


@pytest.mark.parametrize("mutant", [one for one in ALL if one.file.endswith(".py")], ids=lambda mutant: mutant.name)
def test_a_mutant_of_python_still_compiles(mutant: Mutant) -> None:
    compile(mutant.applied((TREE / mutant.file).read_text(encoding="utf-8")), mutant.file, "exec")


def test_every_kind_of_file_has_mutants_and_names_are_given_once() -> None:
    assert len(ALL) >= 32
    assert max(Counter(mutant.name for mutant in ALL).values()) == 1
    assert {Path(mutant.file).parts[0] for mutant in ALL} >= {"powershell", "connectors", "plans", "operations", "lab"}
    assert {Path(mutant.file).name for mutant in ALL if mutant.file.startswith("powershell/")} == {
        "files.ps1",
        "windows.ps1",
        "iis.ps1",
        "directory.ps1",
        "runtime.ps1",
    }
    assert any(mutant.file.startswith("lab/standins/") for mutant in ALL)


def test_a_line_that_is_not_there_or_there_twice_is_refused() -> None:
    mutant = Mutant("x", "x.py", "a = 1", "a = 2", "", (), "python")
    for text, count in (("b = 1\n", 0), ("a = 1\n    a = 1\n", 2)):
        with pytest.raises(ValueError, match=f"x: {count} lines of x.py are 'a = 1', expected 1"):
            mutant.applied(text)
    assert mutant.applied("if b:\n    a = 1\n") == "if b:\n    a = 2\n"


def test_only_a_test_that_failed_catches_a_mutant() -> None:
    assert judge(Outcome(1, ("tests/test_x.py::test_a[b]",), "1 failed")) == ("caught", "test_a[b]")
    assert judge(Outcome(0, (), "1 passed")) == ("SURVIVED", "a test is missing")
    assert judge(Outcome(4, (), "no tests ran\nERROR: not found")) == ("BROKEN", "ERROR: not found")
    assert judge(Outcome(-1, (), "no end after 900 s")) == ("BROKEN", "no end after 900 s")


def test_a_name_that_no_mutant_has_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "no such name"]) == 1
    assert capsys.readouterr().out == "No mutant to try.\n"
