"""That the contract is whole: every verb, every kind of its errors, every case with what it rests on, every difference by name."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.contract import errors
from tests.contract.cases import (
    FACTS,
    PLAIN,
    REGISTERED,
    case,
    cites_facts,
    differences,
    documented_verbs,
    problem_of_citation,
    table_of_verbs,
    unshown,
    variants,
)
from tests.contract.errors import ERRORS

MODULES: Final = tuple(sorted(path.stem for path in Path(__file__).parent.glob("test_*.py") if path != Path(__file__)))
for _module in MODULES:  # every case registers itself, whatever of them is run
    importlib.import_module(f"tests.contract.{_module}")

with_facts = pytest.mark.skipif(
    not FACTS.is_dir(), reason="../shared/facts is not here: citations of it were not looked up"
)

# The naive mistakes of facts/iis.md 6 that touch a verb, which are all of them, in its words and order; and the cases that would see each.
NAIVE: Final[Mapping[str, tuple[str, ...]]] = {
    "RawAttributes with only stored values": (
        "test_iis_read.py::test_every_attribute_of_the_schema_is_there_though_two_are_stored",
    ),
    "a fresh attribute value object instead of typed conversion": (
        "test_iis_edit.py::test_a_value_that_is_set_has_the_type_of_its_attribute_before_it_is_committed_and_not_its_spelling",
    ),
    "case-sensitive site or location look-up": ("test_iis_read.py::test_sites_and_locations_are_found_in_any_case",),
    'treating AllowsRemove=false as "cannot remove"': (
        "test_iis_edit.py::test_a_collection_without_a_remove_directive_loses_items_all_the_same",
    ),
    "making generic binding removal delete the http.sys record": (
        "test_iis_ssl.py::test_a_record_outlives_its_binding_and_serves_the_next_one",
    ),
    'IsLocallyStored meaning "local to the location"': (
        "test_iis_read.py::test_where_a_section_is_set_is_told_by_path_file_and_line_not_by_is_locally_stored",
    ),
    "conflict as IOException": ("test_iis_edit.py::test_a_file_that_is_not_the_one_that_was_read_is_a_conflict",),
    "returning null for an unknown section (it throws)": (
        "test_iis_read.py::test_a_bad_section_spoils_no_other",
        "test_iis_edit.py::test_an_edit_that_is_refused_writes_nothing_and_is_told_by_its_number",
    ),
    "letting a section be written at a site that is not committed": (
        "test_iis_edit.py::test_a_section_of_a_new_site_needs_a_call_of_its_own",
    ),
    'silently accepting "true" for a bool or "443" for a uint': (
        "test_iis_edit.py::test_an_edit_that_is_refused_writes_nothing_and_is_told_by_its_number",
    ),
    "sorting collections": (
        "test_iis_edit.py::test_items_stay_in_the_order_in_which_they_were_added",
        "test_iis_read.py::test_the_file_its_hash_and_the_modules_in_their_order_are_answered",
    ),
    "losing `<location>` attributes (inheritInChildApplications, allowOverride)": (
        "test_iis_edit.py::test_the_attributes_of_a_location_tag_are_kept",
    ),
    "XML written without the original declaration/BOM": ("test_iis_edit.py::test_declaration_mark_and_line_ends_stay",),
}


def without_a_case(verb: str) -> list[str]:
    """The kinds that differences.toml says no case can show of a verb."""
    return [one.kind for one in unshown() if one.verb == verb]


def test_the_table_of_errors_has_the_verbs_of_the_contract_and_of_the_runtime() -> None:
    assert set(documented_verbs()) == ERRORS.keys()
    assert sorted(table_of_verbs()) == sorted(ERRORS)


@pytest.mark.parametrize("verb", ERRORS)
def test_every_verb_has_a_case_that_shows_an_answer_and_one_for_each_kind_of_error_that_can_be_shown(verb: str) -> None:
    shown = {one.error for one in REGISTERED.values() if verb in one.verbs}
    assert sorted(map(str, shown)) == sorted(map(str, {None, *ERRORS[verb]} - {*without_a_case(verb)}))


@pytest.mark.parametrize("verb", ERRORS)
def test_what_no_case_can_show_is_named_once_and_is_answered_by_the_verb(verb: str) -> None:
    named = without_a_case(verb)
    assert sorted(named) == sorted(set(named) & ERRORS[verb])


def test_what_no_case_can_show_is_shown_by_a_test_that_there_is() -> None:
    tests = Path(__file__).parents[1]
    for one in unshown():
        file, _, name = one.instead.partition("::")
        assert f"\ndef {name}(" in (tests / file).read_text(encoding="utf-8"), one
    assert {one.verb for one in unshown()} <= ERRORS.keys()


@pytest.mark.parametrize("verb", ERRORS)
def test_the_contract_names_every_kind_that_a_verb_throws(verb: str) -> None:
    assert sorted(errors.thrown(verb) - errors.documented()[verb]) == []


def test_what_a_verb_can_answer_is_read_from_the_contract_and_from_what_it_calls() -> None:
    assert errors.kinds() == (
        *("missing", "conflict", "locked", "invalid", "denied", "busy", "not-installed", "ambiguous"),
        *("timeout", "unknown"),
    )
    assert errors.documented()["Test-Echo"] == {"invalid"}
    assert errors.documented()["Get-SslBinding"] == {
        "invalid"
    }  # the one verb that the opening of its section leaves out
    assert errors.thrown("Read-File") == {"invalid", "conflict"}
    # By what is called: the checks of a file, the table of the service manager, and of IIS what its phases can meet.
    assert errors.thrown("Copy-File") == {"invalid", "missing", "conflict", "denied"}
    assert errors.thrown("Set-ServiceState") == {
        *("unknown", "denied", "busy", "timeout", "conflict", "invalid", "missing")
    }
    assert [sorted(errors.of_phase(phase)) for phase in ("commit", "state")] == [
        ["conflict", "denied", "not-installed", "unknown"],
        ["busy", "denied", "not-installed", "unknown"],
    ]


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=with_facts if cites_facts(one.cites) else ()) for name, one in REGISTERED.items()],
)
def test_every_case_cites_something_that_is_there(name: str) -> None:
    assert problem_of_citation(REGISTERED[name].cites) == ""


@with_facts
def test_every_naive_mistake_of_the_facts_has_a_case() -> None:
    text = " ".join((FACTS / "iis.md").read_text(encoding="utf-8").split())
    found = re.search(r"Naive mistakes it must not make: (.+?)\. Tests worth having", text)
    assert found is not None
    assert found[1].split("; ") == list(NAIVE)


@pytest.mark.parametrize("mistake", NAIVE)
def test_a_naive_mistake_is_named_by_its_cases(mistake: str) -> None:
    for name in NAIVE[mistake]:
        assert name in REGISTERED
        file, _, function = name.partition("::")
        module = importlib.import_module(f"tests.contract.{file.removesuffix('.py')}")
        assert "naive mistake" in getattr(module, function).__doc__.lower()


def test_a_case_without_a_verb_or_a_citation_is_refused() -> None:
    for verbs, cites in (
        ((), "verbs.md: Wire"),
        (("Get-Nothing",), "verbs.md: Wire"),
        (("Test-Echo",), ""),
        (("Test-Echo",), "because"),
    ):
        with pytest.raises(ValueError, match=r"are no verbs|is no citation"):
            case(*verbs, cites=cites)


def test_a_citation_of_the_contract_leads_to_words_of_it() -> None:
    assert problem_of_citation("verbs.md: words that are not in it") != ""
    assert problem_of_citation("verbs.md: Wire") == ""


@with_facts
def test_a_citation_of_the_facts_leads_to_words_or_to_a_section_of_them() -> None:
    wrong = (
        "winrm.md: words that are not in it",
        "nothing.md: Delete temps",
        "nothing.md 1",
        "winrm.md 99",
        "winrm.md 0.99",
    )
    assert [cites for cites in wrong if problem_of_citation(cites) == ""] == []
    over_a_line_end = "ad.md: the verb reports the rootDSE `dnsHostName` it reached"
    right = (over_a_line_end, "winrm.md: Delete temps", "winrm.md 8.1", "winrm.md 0.4", "iis.md 6(c)", "iis.md 5.5")
    assert [problem_of_citation(cites) for cites in right] == [""] * len(right)


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
