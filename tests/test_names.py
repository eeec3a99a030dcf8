"""Names compared as IIS compares them, and names of files."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

import connectors.wire
from model.files import file_id
from model.names import fold


@pytest.mark.parametrize("pair", [("Straße", "STRAßE"), ("MIM mfasdk", "mim MFASDK"), ("É", "é")])
def test_names_equal_but_for_case_are_one(pair: tuple[str, str]) -> None:
    assert fold(pair[0]) == fold(pair[1])


@pytest.mark.parametrize("pair", [("straße", "strasse"), ("ﬁ", "fi"), ("\u0131", "i"), ("\u017f", "s")])
def test_names_that_iis_holds_apart_stay_apart(pair: tuple[str, str]) -> None:
    assert fold(pair[0]) != fold(pair[1])


def test_a_file_has_one_id_however_it_is_spelled_and_two_files_have_two() -> None:
    one = file_id(r"C:\Straße\É.xml")
    assert {file_id(path) for path in (r"c:\STRAßE\é.XML", "C:/straße/é.xml", r"C:\Straße\.\a\..\É.xml")} == {one}
    assert one not in {file_id(path) for path in (r"C:\Strasse\É.xml", "C:\\\u017ftraße\\É.xml")}


@given(st.text())
def test_folding_keeps_the_length_and_folds_once(text: str) -> None:
    assert (len(fold(text)), fold(fold(text))) == (len(text), fold(text))


def test_tokens_of_kerberos_are_not_logged_at_debug_level() -> None:
    assert connectors.wire.logger is not None
    assert logging.getLogger("winrm.vendor.requests_kerberos").level == logging.INFO
