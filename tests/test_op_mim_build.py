"""mim_build on the lab: it fails the host with an older build, in the dry run too, and never writes. Comparing is tests/test_plans_windows.py's."""

from __future__ import annotations

from typing import Any, Final

import pytest

from lab.seed import MIM_BUILD, MIM_PRODUCT, UNINSTALL
from operations.mim import mim_build
from operations.xml import xml_elements
from tests.oplab import OpLab, Run, fixtures

pytestmark = pytest.mark.slow

KEY: Final = rf"{UNINSTALL}\{{8F4E5B3C-6A1D-4C9E-9B57-0D2A7E61C450}}"
LEAST: Final = "4.5.202.0"


lab, quick = fixtures("mim01")


def both(lab: OpLab, **wanted: Any) -> list[Run]:
    return [lab.run(mim_build, dry=dry, **wanted) for dry in (True, False)]


def test_builds_are_compared_as_numbers_and_an_old_one_is_refused_with_its_update(lab: OpLab) -> None:
    start = lab.state()
    assert lab.deploy((mim_build, {"minimum": MIM_BUILD}), (mim_build, {"minimum": "4.5.26"})) == Run()
    assert lab.state() == start
    lab.machine().set_registry(
        KEY, {"DisplayName": MIM_PRODUCT, "DisplayVersion": "4.5.26.0", "Publisher": "Microsoft Corporation"}
    )
    start = lab.state()
    refused = f"{MIM_PRODUCT} is build 4.5.26.0, at least {LEAST} is needed: install KB4346632. Nothing was written on this host"
    assert both(lab, minimum=LEAST) == [Run((refused,), failed=True)] * 2
    assert lab.state() == start


def test_what_follows_on_a_host_that_it_refused_is_neither_planned_nor_written(quick: OpLab) -> None:
    start = quick.state()
    after = (xml_elements, {"file": r"C:\Program Files\absent.xml", "clear": "x"})
    run = quick.deploy((mim_build, {"minimum": "5.0.0.0"}), after, dry=True)
    refused = f"{MIM_PRODUCT} is build {MIM_BUILD}, at least 5.0.0.0 is needed. Nothing was written on this host"
    assert run == Run((refused,), failed=True)
    assert quick.state() == start


@pytest.mark.slow
def test_a_product_that_is_absent_or_there_twice_is_named(quick: OpLab) -> None:
    absent = "'Nothing' is not installed on this host (no such entry among the installed programs)"
    assert both(quick, minimum=LEAST, product="Nothing") == [Run((absent,), failed=True)] * 2
    quick.machine().set_registry(
        KEY.replace("SOFTWARE", r"SOFTWARE\WOW6432Node"),
        {"DisplayName": MIM_PRODUCT.upper(), "DisplayVersion": "4.4.1302.0"},
    )
    twice = f"{MIM_PRODUCT!r} is installed more than once: 4.4.1302.0, 4.5.286.0. Remove the one that is not used, run again"
    assert both(quick, minimum=LEAST) == [Run((twice,), failed=True)] * 2


def test_a_build_that_is_no_number_is_refused(quick: OpLab) -> None:
    quick.machine().set_registry(KEY, {"DisplayName": MIM_PRODUCT, "DisplayVersion": "four"})
    text = (
        f"{MIM_PRODUCT} is installed, and its DisplayVersion is wrong: 'four' is no build, expected numbers like 4.5.202.0. "
        "Repair it, run again"
    )
    assert both(quick, minimum=LEAST) == [Run((text,), failed=True)] * 2
    wrong = both(quick, minimum="4.x")
    assert wrong == [Run(("'4.x' is no build, expected numbers like 4.5.202.0",), failed=True)] * 2
