"""What location tags give a site that is not there yet, from the bytes of applicationHost.config."""

from __future__ import annotations

from typing import Any, Final

import pytest

from model.change import PlanError
from plans.iis_location import merged, said_at

NOTHING: Final[dict[str, Any]] = {"enabled": {}, "providers": [], "modules": []}


def config(*tags: str) -> bytes:
    return f"<configuration>{''.join(tags)}</configuration>".encode()


def tag(inside: str, path: str = "S") -> str:
    """A location tag with something in its authentication."""
    groups = f"<system.webServer><security><authentication>{inside}</authentication></security></system.webServer>"
    return f'<location path="{path}">{groups}</location>'


SAID: Final[dict[str, tuple[bytes, dict[str, Any]]]] = {
    "no tag": (config(), NOTHING),
    "a tag of another path, of one below, and an empty one": (
        config(tag('<basicAuthentication enabled="true" />', "S/app"), tag("", "T"), '<location path="S" />'),
        NOTHING,
    ),
    "the server level is not said again": (
        config(
            tag('<basicAuthentication enabled="true" />', "")
            .replace('<location path="">', "")
            .replace("</location>", "")
        ),
        NOTHING,
    ),
    "schemes, in any spelling of the path, the last tag of a scheme last": (
        config(
            tag('<basicAuthentication enabled="True" /><digestAuthentication realm="x" />', "/s/"),
            tag('<windowsAuthentication enabled="false" />'),
            tag('<windowsAuthentication enabled="true" />'),
        ),
        NOTHING | {"enabled": {"basic": True, "windows": True}},
    ),
    "providers with comments between": (
        config(
            tag(
                '<windowsAuthentication><providers><clear /><!-- x --><add value="NTLM" /></providers></windowsAuthentication>'
            )
        ),
        NOTHING | {"providers": [["clear", ""], ["add", "NTLM"]]},
    ),
    "modules": (
        config(
            '<location path="S"><system.webServer><modules><remove name="M" /></modules></system.webServer></location>'
        ),
        NOTHING | {"modules": [["remove", "M"]]},
    ),
}


@pytest.mark.parametrize(("data", "expected"), SAID.values(), ids=SAID)
def test_what_tags_of_a_path_say(data: bytes, expected: dict[str, Any]) -> None:
    assert said_at(data, "S") == expected


def test_a_value_that_is_none_is_refused() -> None:
    text = "the location tag of 'S' sets enabled of system.webServer/security/authentication/basicAuthentication to 'on', no true or false"
    with pytest.raises(PlanError) as error:
        said_at(config(tag('<basicAuthentication enabled="on" />')), "S")
    assert str(error.value) == text


MERGED: Final[dict[str, tuple[list[list[str]], tuple[str, ...]]]] = {
    "nothing": ([], ("A", "B")),
    "one is appended": ([["add", "C"]], ("A", "B", "C")),
    "one is removed, in any case": ([["remove", "a"]], ("B",)),
    "all are cleared and one comes back": ([["clear", ""], ["add", "B"]], ("B",)),
}


@pytest.mark.parametrize(("directives", "expected"), MERGED.values(), ids=MERGED)
def test_an_append_collection_is_merged(directives: list[list[str]], expected: tuple[str, ...]) -> None:
    assert merged(("A", "B"), directives) == expected


@pytest.mark.parametrize(("directive", "name"), [("add", "b"), ("odd", "C")])
def test_a_directive_that_would_make_the_section_unreadable_is_refused(directive: str, name: str) -> None:
    with pytest.raises(PlanError) as error:
        merged(("A", "B"), [[directive, name]])
    assert (
        str(error.value) == f"a location tag holds <{directive}> of {name!r}, which is there already or unknown to IIS"
    )
