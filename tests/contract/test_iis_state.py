"""Get-IisState and Set-IisState: what runs, and what WAS does not know (yet)."""

from __future__ import annotations

from typing import Any

from tests.contract.cases import case
from tests.contract.host import Host, Refused
from tests.contract.iis import (
    EXISTS,
    NO_OBJECT,
    NO_SERVICE,
    POOLS,
    SITE,
    SITES,
    Iis,
    new_site,
    pool_step,
    setting,
    site_step,
)


@case("Get-IisState", cites="iis.md: key comparison is case-insensitive because `name` is not `caseSensitive`")
def test_states_are_answered_by_the_names_that_were_given_in_any_case(iis: Iis) -> None:
    items = [
        {"kind": "site", "name": SITE.upper()},
        {"kind": "pool", "name": "defaultapppool"},
        {"kind": "pool", "name": SITE},
        {"kind": "site", "name": "No"},
    ]
    found = [(True, "Started"), (True, "Started"), (False, "Unknown"), (False, "Unknown")]
    assert iis.host.ask("Get-IisState", items=items) == {
        "states": [{**item, "found": there, "state": state} for item, (there, state) in zip(items, found, strict=True)]
    }
    assert iis.host.ask("Get-IisState", items=[]) == {"states": []}


@case("Get-IisState", cites='verbs.md: **Get-IisState** `items: [{"kind": "site" | "pool", "name"}]`', error="invalid")
def test_an_item_of_another_shape_is_invalid(mfa01: Host) -> None:
    wrong: list[Any] = [
        "x",
        {},
        {"kind": "site"},
        {"kind": "page", "name": "x"},
        {"kind": "site", "name": 1},
        {"kind": "site", "name": "x", "state": "Started"},
    ]
    for one in wrong:
        assert mfa01.refused("Get-IisState", items=[one]) == Refused("invalid", "items")


@case("Get-IisState", cites="iis.md: State** throws COMException 0x800710D8")
def test_what_was_does_not_know_is_unknown(iis: Iis) -> None:
    assert iis.edit(
        new_site("Ftp", 2, (("ftp", "*:21:", 0),)),
        new_site("No pool", 3, (("http", "*:81:", 0),)),
        setting(SITES, {"applicationPool": "No"}, [site_step("No pool"), {"tag": "application", "key": {"path": "/"}}]),
    )
    assert [iis.state("site", name) for name in ("Ftp", "No pool")] == ["Unknown", "Unknown"]


@case("Get-IisState", cites="iis.md: key comparison is case-insensitive because `name` is not `caseSensitive`")
def test_names_are_one_by_their_upper_case_letter_by_letter_but_dotless_i_and_long_s_are_letters_of_their_own(
    iis: Iis,
) -> None:
    names = ("MIMI", "m\u0131m\u0131", "SISI", "\u017fi\u017fi", "stra\u00dfe", "strasse", "\u00c9t\u00e9")
    pools = [{"op": "add", "section": POOLS, "tag": "add", "a": {"name": name, "autoStart": False}} for name in names]
    sites = [new_site(name, 81 + at, (("http", f"*:{81 + at}:", 0),)) for at, name in enumerate(names)]
    assert iis.edit(*pools, *sites)
    assert iis.edit({"op": "remove", "section": SITES, "at": [site_step("mimi")]})
    assert iis.edit({"op": "remove", "section": POOLS, "at": [pool_step("sisi")]})
    asked = [
        (kind, name) for kind in ("site", "pool") for name in (*names, "\u00e9T\u00c9", "STRA\u00dfE", "m\u0131MI")
    ]
    items = [{"kind": kind, "name": name} for kind, name in asked]
    answer = iis.host.ask("Get-IisState", items=items)["states"]
    missing = [(one["kind"], one["name"]) for one in answer if not one["found"]]
    assert missing == [("site", "MIMI"), ("site", "m\u0131MI"), ("pool", "SISI"), ("pool", "m\u0131MI")]


@case("Set-IisState", cites="iis.md: read before acting because Stop on stopped throws")
def test_a_site_and_a_pool_are_stopped_and_started_once(iis: Iis) -> None:
    for kind, name in (("site", "default WEB site"), ("pool", "defaultapppool")):
        for state, expected in (
            ("Stopped", "Started"),
            ("Stopped", "Started"),
            ("Started", "Stopped"),
            ("Started", "Unknown"),
        ):
            assert iis.set_state(kind, name, state, expected) == state
            assert iis.state(kind, name.upper()) == state


@case("Set-IisState", cites="iis.md: | walk | COMException 0x80070585, our own 0-match | missing |", error="missing")
def test_a_site_or_pool_that_is_not_there_is_missing(iis: Iis) -> None:
    for kind in ("site", "pool"):
        error = iis.host.refused("Set-IisState", kind=kind, name="No", state="Started", expected="Unknown")
        assert error == Refused("missing", "No")


@case(
    "Set-IisState",
    cites='verbs.md: **Set-IisState** `kind, name, state ("Started" | "Stopped"), expected',
    error="invalid",
)
def test_a_kind_or_a_state_that_there_is_not_is_invalid(mfa01: Host) -> None:
    good: dict[str, Any] = {"kind": "site", "name": "x", "state": "Started", "expected": "Stopped"}
    for name, values in {
        "kind": ("page", "Site", ""),
        "name": ("",),
        "state": ("started", "Unknown", ""),
        "expected": ("stopped", "absent", ""),
    }.items():
        for value in values:
            assert mfa01.refused("Set-IisState", **{**good, name: value}) == Refused("invalid", name)


@case(
    "Set-IisState",
    cites="verbs.md: Another state than `expected`, when it is to be changed: `conflict`",
    error="conflict",
)
def test_what_came_into_another_state_since_it_was_read_is_left_as_it_is(iis: Iis) -> None:
    for kind, name in (("site", SITE), ("pool", "DefaultAppPool")):
        for seen, state, changed, right in (
            ("Started", "Stopped", ("Stopped", "Stopping"), "Starting"),
            ("Stopped", "Started", ("Started", "Starting"), "Stopping"),
        ):
            args: dict[str, Any] = {"kind": kind, "name": name, "state": state}
            for expected in changed:
                assert iis.host.refused("Set-IisState", **args, expected=expected) == Refused("conflict", name)
            assert iis.state(kind, name) == seen
            assert iis.set_state(kind, name, state, right) == state


@case("Set-IisState", cites='iis.md: treat 0x800710D8 as "unknown, not yet"', error="timeout")
def test_a_new_pool_that_was_does_not_know_in_time_is_a_timeout(iis: Iis) -> None:
    assert iis.edit({"op": "add", "section": POOLS, "tag": "add", "a": {"name": "New Pool"}})
    iis.forget("pool", "New Pool")
    assert iis.state("pool", "new pool") == "Unknown"
    error = iis.host.refused(
        "Set-IisState", kind="pool", name="New Pool", state="Started", expected="Unknown", timeout_s=0
    )
    assert error == Refused("timeout", "New Pool", NO_OBJECT)


@case("Set-IisState", cites="iis.md: wait by polling `state` with a fresh manager", light=True)
def test_a_new_site_is_waited_for_and_runs(iis: Iis) -> None:
    assert iis.edit(
        {"op": "add", "section": POOLS, "tag": "add", "a": {"name": "New Pool", "autoStart": False}},
        new_site(bindings=(("http", "*:81:", 0),)),
    )
    assert [iis.set_state("site", "My Site", "Started"), iis.set_state("pool", "New Pool", "Started")] == [
        "Started"
    ] * 2


@case(
    "Set-IisState", cites="iis.md: Same ip:port:host in two sites commits; the second site does not start", error="busy"
)
def test_of_two_sites_with_one_binding_the_second_does_not_start(iis: Iis) -> None:
    assert iis.edit(new_site("Second", 2, (("http", ":80:", 0),)))
    error = iis.host.refused("Set-IisState", kind="site", name="Second", state="Started", expected="Stopped")
    assert error == Refused("busy", "Second", EXISTS)
    assert iis.state("site", "Second") == "Stopped"
    assert [iis.set_state("site", SITE, "Stopped"), iis.set_state("site", "Second", "Started")] == [
        "Stopped",
        "Started",
    ]


@case(
    "Set-IisState", cites="iis.md: Same ip:port:host in two sites commits; the second site does not start", error="busy"
)
def test_a_site_with_the_other_of_http_and_https_on_an_address_and_port_does_not_start_either(iis: Iis) -> None:
    """That it is so is assumed; operations refuse to make such a site."""
    taken = (("https", "*:80:", 0), ("https", "*:80:a.b", 1))
    free = (("https", "127.0.0.1:80:", 0), ("https", "*:443:", 0), ("http", "*:80:a.b", 0))
    for at, one in enumerate(taken, 2):
        assert iis.edit(new_site(f"Site {at}", at, (one,)))
        error = iis.host.refused("Set-IisState", kind="site", name=f"Site {at}", state="Started", expected="Unknown")
        assert error == Refused("busy", f"Site {at}", EXISTS)
        assert iis.state("site", f"Site {at}") == "Stopped"
    for at, one in enumerate(free, 4):
        assert iis.edit(new_site(f"Site {at}", at, (one,)))
        assert iis.set_state("site", f"Site {at}", "Started") == "Started"


@case("Get-IisState", cites="iis.md: a site whose pool does not exist")
def test_the_pool_of_a_site_is_that_of_its_first_application(iis: Iis) -> None:
    """That the pool of another application changes nothing for the site is assumed."""
    assert iis.edit(new_site(bindings=(("http", "*:81:", 0),)))
    assert iis.set_state("site", "My Site", "Started") == "Started"
    sub = {"tag": "application", "a": {"path": "/sub", "applicationPool": "No"}}
    assert iis.edit({"op": "add", "section": SITES, "at": [site_step("My Site")], **sub})
    assert iis.state("site", "My Site") == "Started"
    first = [site_step("My Site"), {"tag": "application", "key": {"path": "/"}}]
    assert iis.edit(setting(SITES, {"applicationPool": "No"}, first))
    assert iis.state("site", "My Site") == "Unknown"


@case("Set-IisState", cites="iis.md: 0x800706BA service down", error="busy")
def test_while_the_service_is_down_it_is_busy(iis: Iis) -> None:
    iis.stop_service()
    try:
        error = iis.host.refused("Set-IisState", kind="site", name=SITE, state="Stopped", expected="Started")
        assert error == Refused("busy", SITE, NO_SERVICE)
    finally:
        iis.start_service()
    assert iis.state("site", SITE) == "Started"


@case("Get-IisState", cites="iis.md: 0x800706BA service down", error="busy", light=True)
def test_states_cannot_be_read_while_the_service_is_down(iis: Iis) -> None:
    iis.stop_service()
    try:
        items = [{"kind": "site", "name": "No"}, {"kind": "site", "name": SITE}]
        assert iis.host.refused("Get-IisState", items=items) == Refused("busy", SITE, NO_SERVICE)
    finally:
        iis.start_service()


@case("Set-IisState", cites="iis.md: a site whose pool does not exist")
def test_a_site_that_was_removed_and_added_again_has_no_state_of_the_old_one(iis: Iis) -> None:
    assert iis.edit(new_site(bindings=(("http", "*:81:", 0),)))
    assert iis.set_state("site", "My Site", "Started") == "Started"
    assert iis.set_state("site", "My Site", "Stopped") == "Stopped"
    assert iis.edit({"op": "remove", "section": SITES, "at": [site_step("My Site")]})
    assert iis.edit(new_site(bindings=(("http", "*:81:", 0),)))
    assert iis.set_state("site", "My Site", "Started") == "Started"
    assert iis.edit({"op": "remove", "section": POOLS, "at": [pool_step()]})
    assert iis.state("site", "My Site") == "Unknown"
