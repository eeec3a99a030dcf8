"""
What a dry run shows is what the run then does, whatever operations follow one another: random ones, on the twin.

One exception is said in the dry run itself: a second operation on one thing (`OVERLAP`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.python_engine import PythonMachine
from lab.seed import BASE_DN, certificate
from model.secret import Secret
from operations.ad import ad_group, ad_group_member
from operations.converge import OVERLAP
from operations.iis import iis_app_pool, iis_auth, iis_site
from operations.windows import windows_service
from operations.xml import xml_elements
from tests.oplab import OpLab, Run, Step

pytestmark = pytest.mark.slow

PRINT: Final = certificate("mfa01").thumbprint
FILE: Final = r"C:\settings.xml"
some = settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def one_of(*values: object) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


def step(operation: Any, needed: Mapping[str, Any], **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(operation), st.fixed_dictionaries(dict(needed), optional=optional))


def decks(*steps: st.SearchStrategy[Step]) -> st.SearchStrategy[list[list[Step]]]:
    """Several runs, one after the other, of up to three operations each."""
    return st.lists(st.lists(st.one_of(*steps), min_size=1, max_size=3), min_size=1, max_size=5)


def runs(host: str, deck: list[list[Step]], data: bytes = b"") -> Iterator[tuple[Run, Run]]:
    """What each run showed dry and then in earnest, with what must hold of every one."""
    with TemporaryDirectory() as folder, OpLab(Path(folder), "python", host) as lab:
        if data:
            lab.machine().write_file(FILE, data)
        for steps in deck:
            machine = lab.machine()
            assert isinstance(machine, PythonMachine)
            machine.state.write("iis-known", {})  # WAS knows by now what the run before made
            before = lab.state()
            dry = lab.deploy(*steps, dry=True)
            assert (lab.state(), dry.writes) == (before, ())
            run = lab.deploy(*steps)
            if dry.failed:
                assert run == dry
                assert lab.state() == before
                continue
            if not any(OVERLAP in line for line in dry.shown):
                assert (run.shown, run.failed) == (dry.shown, False)
                assert bool(run.writes) == bool(dry.shown)
            if len(steps) == 1:
                assert lab.deploy(*steps) == Run()
            yield dry, run


def hold(host: str, deck: list[list[Step]], data: bytes = b"") -> None:
    for _ in runs(host, deck, data):
        pass


bindings = st.fixed_dictionaries(
    {"protocol": st.just("http"), "port": one_of(80, 81)}, optional={"address": one_of("*", "127.0.0.1", "[::1]")}
) | st.fixed_dictionaries(
    {"protocol": st.just("https"), "port": one_of(443, 9999), "thumbprint": one_of(PRINT, PRINT.lower())},
    optional={"host": one_of("mfa01", "MFA01.contoso.com"), "store": one_of("My", "MY")},
)
sites = one_of("Default Web Site", "default web site", "A", "a")
pools = one_of("DefaultAppPool", "P", "p")
switches = st.fixed_dictionaries({"windows": st.just(True)}, optional={"anonymous": st.booleans()}) | st.just(
    {"anonymous": True}
)


@given(
    decks(
        step(iis_app_pool, {"app_pool": pools}, running=st.booleans(), start_mode=one_of("OnDemand", "AlwaysRunning")),
        step(iis_app_pool, {"app_pool": one_of("P", "p"), "present": st.just(False)}),
        step(iis_site, {"site": sites, "present": st.just(False)}),
        step(
            iis_site,
            {"site": sites, "path": one_of(r"C:\s", "c:/S/", r"C:\s\deep"), "bindings": st.lists(bindings, max_size=2)},
            app_pool=pools,
            running=st.booleans(),
        ),
        st.builds(
            lambda site, switched, providers: (iis_auth, {"site": site, **switched, "providers": providers}),
            sites,
            switches,
            one_of(None, ["NTLM"], ["ntlm", "negotiate"]),
        ),
    )
)
@some
def test_of_iis(deck: list[list[Step]]) -> None:
    hold("mfa01", deck)


members = one_of("mimservice", r"contoso\MIMSERVICE", "anna@contoso.com", f"CN=bob,CN=Users,{BASE_DN}", "G", "nobody")
groups = one_of("PhoneFactor Admins", "phonefactor admins", "G", "g", "Domain Users")


@given(
    decks(
        step(
            ad_group,
            {"group": groups},
            scope=one_of("global", "universal"),
            category=one_of("security", "distribution"),
            description=one_of("", "text", "é"),
        ),
        step(ad_group_member, {"group": groups, "member": members}, present=st.booleans()),
    )
)
@some
def test_of_the_directory(deck: list[list[Step]]) -> None:
    for dry, run in runs("dc01", deck):
        if not any(OVERLAP in line for line in dry.shown):
            assert len(run.writes) == len(dry.shown)  # each change is one edit


names = one_of("A", "B", "m:C", "KEY")
texts = one_of("", "x", " x ", "a&b<c>", "]]>", "é", "\n", Secret("x"))
DOCUMENTS: Final = (
    '<?xml version="1.0"?>\r\n<r xmlns:m="urn:m">\r\n  <A p="1">x</A>\r\n  <P><B/><KEY>k</KEY></P>\r\n</r>\r\n',
    '<r xmlns="urn:m">\n\t<C><![CDATA[x]]></C>\n\t<P q="2" />\n</r>',
)


@given(
    decks(
        step(
            xml_elements,
            {"file": one_of(FILE, FILE.upper().replace("\\", "/")), "namespaces": st.just({"m": "urn:m"})},
            parent=one_of("/*", "/*/*[2]"),
            set=st.dictionaries(names, texts, max_size=2),
            clear=st.lists(names, max_size=1),
            remove=st.lists(names, max_size=1),
            attributes=st.dictionaries(names, st.dictionaries(one_of("p", "new"), texts | st.none(), max_size=2)),
            ignore_case=st.booleans(),
            backup=st.booleans(),
        )
    ),
    st.sampled_from(DOCUMENTS),
    one_of("utf-8", "utf-8-sig"),
)
@some
def test_of_xml_files(deck: list[list[Step]], document: str, encoding: str) -> None:
    hold("mim01", deck, document.encode(encoding))


@given(decks(step(windows_service, {"service": one_of("FIMService", "fimservice", "nobody")}, running=st.booleans())))
@some
def test_of_services(deck: list[list[Step]]) -> None:
    hold("mim01", deck)
