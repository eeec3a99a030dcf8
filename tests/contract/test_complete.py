"""That the contract is whole: every verb, every kind of its errors, every case with what it rests on, every difference by name."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Final

import pytest

from tests.contract.cases import (
    ERRORS,
    FACTS,
    PLAIN,
    REGISTERED,
    case,
    differences,
    documented_verbs,
    problem_of_citation,
    table_of_verbs,
    variants,
)

MODULES: Final = tuple(sorted(path.stem for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__)))
for _module in MODULES:  # every case registers itself, whatever of them is run
    importlib.import_module(f"tests.contract.{_module}")


def test_the_table_of_errors_has_the_verbs_of_the_contract_and_of_the_runtime() -> None:
    assert set(documented_verbs()) == ERRORS.keys()
    assert sorted(table_of_verbs()) == sorted(ERRORS)


@pytest.mark.parametrize("verb", ERRORS)
def test_every_verb_has_a_case_that_shows_an_answer_and_one_for_each_kind_of_error(verb: str) -> None:
    shown = {one.error for one in REGISTERED.values() if verb in one.verbs}
    assert shown == {None, *ERRORS[verb]}


@pytest.mark.parametrize("name", REGISTERED)
def test_every_case_cites_something_that_is_there(name: str) -> None:
    assert problem_of_citation(REGISTERED[name].cites) == ""


def test_a_case_without_a_verb_or_a_citation_is_refused() -> None:
    for verbs, cites in (
        ((), "verbs.md: Wire"),
        (("Get-Nothing",), "verbs.md: Wire"),
        (("Test-Echo",), ""),
        (("Test-Echo",), "because"),
    ):
        with pytest.raises(ValueError, match=r"are no verbs|is no citation"):
            case(*verbs, cites=cites)
    wrong = ["verbs.md: words that are not in it"]
    if FACTS.is_dir():  # a clone by itself has no shared/facts
        wrong += ["winrm.md 99", "winrm.md 0.99", "nothing.md 1"]
    for cites in wrong:
        assert problem_of_citation(cites) != ""
    for cites in ("verbs.md: Wire", "winrm.md 8.1", "winrm.md 0.4", "iis.md 6(c)", "iis.md 5.5"):
        assert problem_of_citation(cites) == ""


def test_every_difference_is_of_a_case_that_there_is() -> None:
    assert [name for name, _ in differences() if name not in REGISTERED] == []


def test_a_case_runs_on_both_engines_unless_a_difference_says_that_it_does_not() -> None:
    plain = {(name, variant) for name, one in REGISTERED.items() for variant in PLAIN if variant in variants(one)}
    absent = {(name, engine) for (name, engine), difference in differences().items() if difference.absent}
    every = {(name, variant) for name in REGISTERED for variant in PLAIN}
    assert {(name, variant.engine) for name, variant in every - plain} == absent


@pytest.mark.parametrize("verb", ERRORS)
def test_every_verb_is_seen_in_batch_and_in_other_cultures_with_an_answer_and_an_error(verb: str) -> None:
    of_verb = [one for one in REGISTERED.values() if one.verbs == (verb,)]
    seen = {(variant.name, one.error is None) for one in of_verb for variant in variants(one)}
    names = [f"{engine}{more}" for engine in ("python", "powershell") for more in ("", "-batch", "-tr-TR", "-de-DE")]
    assert seen == {(name, answer) for name in names for answer in (True, False)}
