"""Sites of IIS, their bindings and certificates: plans/iis_site.py and plans/iis_bindings.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.change import Change, PlanError
from model.iis import (
    Application,
    Binding,
    Certificate,
    Parent,
    Plan,
    Site,
    SiteInputs,
    SiteRead,
    SslRecord,
    SslWrite,
    ToCome,
    WantedBinding,
    WantedSite,
)
from plans.bindings import parsed
from plans.iis_site import certificates_of, paths_above, plan_site, to_come, with_to_come

SITES: Final = "system.applicationHost/sites"
AT: Final = datetime(2026, 11, 25, 8, tzinfo=UTC)
OLD, NEW = "0" * 39 + "1", "AB" * 20
ANY: Final = "0.0.0.0"  # noqa: S104 - the name of a record, nothing listens here
FOLDER: Final = r"C:\inetpub\wwwroot\mfasdk"
NAME: Final = "MIM MFASDK"
HERE: Final = {"tag": "site", "key": {"name": NAME}}
ROOT: Final = {"tag": "application", "key": {"path": "/"}}


def certificate(thumbprint: str = NEW, **kinds: Any) -> Certificate:
    fields: dict[str, Any] = {"subject": "CN=mfa01", "names": ("mfa01.contoso.com",), "has_private_key": True}
    fields |= {
        "not_before": AT - timedelta(days=1),
        "not_after": AT + timedelta(days=1),
        "usages": ("1.3.6.1.5.5.7.3.1",),
    }
    fields |= {"thumbprint": thumbprint, "store": "My", "found": True} | kinds
    return Certificate(**fields)


def own(*bindings: Binding, path: str = FOLDER, app_pool: str = NAME) -> Site:
    return Site(NAME, 2, bindings or (Binding("https", "*:9999:"),), (Application("/", app_pool, {"/": path}),))


def inputs(site: Site | None = None, *, records: tuple[SslRecord, ...] = (), **kinds: Any) -> SiteInputs:
    """What was read; `certificates` holds good ones for OLD and NEW unless given."""
    read = SiteRead(
        "g",
        kinds.pop("shared", False),
        site,
        kinds.pop("state", "Started" if site else None),
        records,
        kinds.pop("neighbours", (Site("Default Web Site", 1, (Binding("http", "*:80:"),)),)),
        kinds.pop("environment", {}),
        kinds.pop("locations", ()),
    )
    good = {(one, "my"): certificate(one) for one in (OLD, NEW)}
    fields: dict[str, Any] = {"pool_found": True, "folder": "folder", "certificates": good}
    return SiteInputs(read, AT, **fields | kinds)


def https(**kinds: Any) -> WantedBinding:
    fields: dict[str, Any] = {"protocol": "https", "port": 9999, "thumbprint": NEW} | kinds
    return WantedBinding(**fields)


def record(thumbprint: str = NEW, endpoint: str = "0.0.0.0:9999", kind: str = "ip", **kinds: Any) -> SslRecord:
    return SslRecord(endpoint, kind, thumbprint, kinds.pop("store", "My"), **kinds)


def write(expected: str = "absent", information: str = "*:9999:", **kinds: Any) -> SslWrite:
    return SslWrite(
        **{"protocol": "https", "information": information, "thumbprint": NEW, "store": "My", "expected": expected}
        | kinds
    )


def wanted(*bindings: WantedBinding, **kinds: Any) -> WantedSite:
    return WantedSite(**{"site": NAME, "path": FOLDER, "app_pool": NAME, "bindings": bindings or (https(),)} | kinds)


def _set(at: list[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {"op": "set", "section": SITES, "location": "", "at": at, "a": values}


def _add_binding(information: str, flags: int = 0, protocol: str = "https") -> dict[str, Any]:
    values = {"protocol": protocol, "bindingInformation": information} | ({"sslFlags": flags} if flags else {})
    edit = {"op": "add", "section": SITES, "location": "", "at": [HERE, "bindings"], "index": -1}
    return edit | {"tag": "binding", "a": values, "c": {}, "items": []}


def _item(tag: str, values: Mapping[str, Any], *items: Any) -> dict[str, Any]:
    return {"tag": tag, "a": values, "c": {}, "items": list(items)}


BINDING: Final = Change("binding", None, "https *:9999:")
CERTIFICATE: Final = Change("certificate (https *:9999:)", None, NEW)
CREATE: Final = {
    "op": "add",
    "section": SITES,
    "location": "",
    "at": [],
    "index": -1,
    "tag": "site",
    "a": {"name": NAME, "id": 2},
    "c": {
        "bindings": {
            "a": {},
            "c": {},
            "items": [_item("binding", {"protocol": "https", "bindingInformation": "*:9999:"})],
        }
    },
    "items": [
        _item(
            "application",
            {"path": "/", "applicationPool": NAME},
            _item("virtualDirectory", {"path": "/", "physicalPath": FOLDER}),
        )
    ],
}
NEW_SITE: Final = (
    Change("site", None, NAME),
    Change("id", None, 2),
    Change("path", None, FOLDER),
    Change("app_pool", None, NAME),
    BINDING,
    CERTIFICATE,
)
HTTP_80: Final = Binding("http", "*:80:")
HTTPS_9999: Final = Binding("https", "*:9999:")
CASES: Final = {
    "a site that is as wanted": (inputs(own(), records=(record(),)), wanted(state="Started"), Plan()),
    "a new site": (
        inputs(folder="absent"),
        wanted(state="Started"),
        Plan(
            (Change("folder", None, FOLDER), *NEW_SITE, Change("state", None, "Started")),
            FOLDER,
            (CREATE,),
            (write(),),
            "Started",
        ),
    ),
    "a new site where the pool is not there yet": (
        inputs(pool_found=False),
        wanted(),
        Plan(
            NEW_SITE,
            edits=(CREATE,),
            records=(write(),),
            parent=Parent(
                "app_pool:MIM MFASDK",
                "there is no application pool 'MIM MFASDK'. Create it before (iis_app_pool), or name another one.",
            ),
        ),
    ),
    "the lowest free id is taken": (
        inputs(neighbours=(Site("A", 1), Site("B", 2), Site("C", 4))),
        wanted(),
        Plan(
            (NEW_SITE[0], Change("id", None, 3), *NEW_SITE[2:]),
            edits=(CREATE | {"a": {"name": NAME, "id": 3}},),
            records=(write(),),
        ),
    ),
    "other spellings are the same": (
        inputs(
            own(
                Binding("HTTPS", "0.0.0.0:9999:*"), path=r"%SystemDrive%\Inetpub\wwwroot\MFASDK", app_pool="mim mfasdk"
            ),
            records=(record(store="MY"),),
            environment={"SystemDrive": "C:"},
        ),
        wanted(
            https(thumbprint="\u200e" + NEW.lower(), address=""), site="mim mfasdk", path="c:/inetpub/wwwroot/mfasdk/"
        ),
        Plan(),
    ),
    "other bindings and flags stay": (
        inputs(own(HTTP_80, Binding("https", "*:9999:", 4 | 32), Binding("net.tcp", "808:*")), records=(record(),)),
        wanted(),
        Plan(),
    ),
    "a binding is added beside the others": (
        inputs(own(HTTP_80)),
        wanted(),
        Plan((BINDING, CERTIFICATE), edits=(_add_binding("*:9999:"),), records=(write(),)),
    ),
    "a record that a broken run did not write is made up": (
        inputs(own()),
        wanted(),
        Plan((CERTIFICATE,), records=(write(),)),
    ),
    "a certificate is rotated in place": (
        inputs(own(), records=(record(OLD),)),
        wanted(),
        Plan((Change("certificate (https *:9999:)", OLD, NEW),), records=(write(OLD),)),
    ),
    "the same certificate from another store": (
        inputs(own(), records=(record(),), certificates={(NEW, "webhosting"): certificate()}),
        wanted(https(store="WebHosting")),
        Plan(
            (Change("certificate store (https *:9999:)", "My", "WebHosting"),),
            records=(write(NEW, store="WebHosting"),),
        ),
    ),
    "a certificate that is not named is left alone": (
        inputs(own(), records=(record(OLD),)),
        wanted(https(thumbprint=None)),
        Plan(),
    ),
    "a rotation names who shares the record": (
        inputs(own(), records=(record(OLD),), neighbours=(Site("Other", 1, (Binding("https", "*:9999:x.y"),)),)),
        wanted(),
        Plan((Change("certificate (https *:9999:, also of Other https *:9999:x.y)", OLD, NEW),), records=(write(OLD),)),
    ),
    "a record that nobody uses is taken over": (
        inputs(own(HTTP_80), records=(record(OLD),)),
        wanted(),
        Plan(
            (BINDING, Change("certificate (https *:9999:)", OLD, NEW)),
            edits=(_add_binding("*:9999:"),),
            records=(write(OLD),),
        ),
    ),
    "a record of another program with our certificate is no matter": (
        inputs(own(), records=(record(app_id="{00000000-0000-0000-0000-000000000001}"),)),
        wanted(),
        Plan(),
    ),
    "an SNI binding has its own record": (
        inputs(own(HTTP_80), records=(record(OLD),)),
        wanted(https(host="MFA01.contoso.com", sni=True)),
        Plan(
            (
                Change("binding", None, "https *:9999:mfa01.contoso.com"),
                Change("SNI (https *:9999:mfa01.contoso.com)", None, True),
                Change("certificate (https *:9999:mfa01.contoso.com)", None, NEW),
            ),
            edits=(_add_binding("*:9999:mfa01.contoso.com", 1),),
            records=(write(information="*:9999:mfa01.contoso.com"),),
        ),
    ),
    "switching SNI on keeps the other flags and moves to the other record": (
        inputs(own(Binding("https", "*:9999:mfa01.contoso.com", 4)), records=(record(),)),
        wanted(https(host="mfa01.contoso.com", sni=True)),
        Plan(
            (
                Change("SNI (https *:9999:mfa01.contoso.com)", False, True),
                Change("certificate (https *:9999:mfa01.contoso.com)", None, NEW),
            ),
            edits=(
                _set(
                    [
                        HERE,
                        "bindings",
                        {
                            "tag": "binding",
                            "key": {"protocol": "https", "bindingInformation": "*:9999:mfa01.contoso.com"},
                        },
                    ],
                    {"sslFlags": 5},
                ),
            ),
            records=(write(information="*:9999:mfa01.contoso.com"),),
        ),
    ),
    "an IPv6 address": (
        inputs(own(HTTP_80)),
        wanted(https(address="FE80:0::1")),
        Plan(
            (
                Change("binding", None, "https [fe80::1]:9999:"),
                Change("certificate (https [fe80::1]:9999:)", None, NEW),
            ),
            edits=(_add_binding("[fe80::1]:9999:"),),
            records=(write(information="[fe80::1]:9999:"),),
        ),
    ),
    "two bindings on one endpoint share one write": (
        inputs(own(HTTP_80)),
        wanted(https(), https(host="a.b")),
        Plan(
            (BINDING, CERTIFICATE, Change("binding", None, "https *:9999:a.b")),
            edits=(_add_binding("*:9999:"), _add_binding("*:9999:a.b")),
            records=(write(),),
        ),
    ),
    "path and pool are set where they are": (
        inputs(own(path=r"D:\old", app_pool="Old"), records=(record(),), folder="absent"),
        wanted(),
        Plan(
            (Change("folder", None, FOLDER), Change("path", r"D:\old", FOLDER), Change("app_pool", "Old", NAME)),
            FOLDER,
            (
                _set([HERE, ROOT, {"tag": "virtualDirectory", "key": {"path": "/"}}], {"physicalPath": FOLDER}),
                _set([HERE, ROOT], {"applicationPool": NAME}),
            ),
        ),
    ),
    "nothing but its presence is asked for": (inputs(own(), folder=None), WantedSite(NAME), Plan()),
    "a stopped site is started": (
        inputs(own(), records=(record(),), state="Stopped"),
        wanted(state="Started"),
        Plan((Change("state", "Stopped", "Started"),), state="Started"),
    ),
    "an absent site that must be absent": (inputs(), WantedSite(NAME, present=False), Plan()),
    "a site goes with every location tag at or below it, several tags of one path at once": (
        inputs(
            replace(own(), applications=(Application("/", "P"), Application("/Sdk", "P"))),
            locations=(NAME, f"{NAME}/folder/", f"{NAME.upper()}/FOLDER"),
        ),
        WantedSite("mim mfasdk", present=False),
        Plan(
            (Change("site", NAME, None), Change("location", NAME, None), Change("location", f"{NAME}/folder", None)),
            edits=(
                {"op": "remove_location", "location": NAME},
                {"op": "remove_location", "location": f"{NAME}/folder"},
                {"op": "remove", "section": SITES, "location": "", "at": [HERE]},
            ),
        ),
    ),
    "what an earlier removal left goes, too": (
        inputs(locations=(f"{NAME}/Sdk",)),
        WantedSite(NAME, present=False),
        Plan(
            (Change("location", f"{NAME}/Sdk", None),),
            edits=({"op": "remove_location", "location": f"{NAME}/Sdk"},),
        ),
    ),
}


@pytest.mark.parametrize(("now", "want", "expected"), CASES.values(), ids=CASES)
def test_plan_of_a_site(now: SiteInputs, want: WantedSite, expected: Plan) -> None:
    assert plan_site(now, want) == expected


FOREIGN: Final = "{11111111-2222-3333-4444-555555555555}"
ONE_PROTOCOL: Final = "one address and port is for http or for https. Name another port or address, or remove it there."
REFUSALS: Final = {
    "a certificate that is not there": (
        inputs(certificates={(NEW, "my"): certificate(found=False)}),
        wanted(),
        (
            f"https *:9999:: certificate {NEW} is not in LocalMachine\\My. "
            "Import it there with its private key, or name another thumbprint."
        ),
    ),
    "a web.config in the folder of a new site": (
        inputs(web_config=True),
        wanted(path="c:/inetpub/new"),
        r"path c:\inetpub\new holds c:\inetpub\new\web.config, which the site would obey from then on. Move it away, or name another path.",
    ),
    "a certificate without its key": (
        inputs(certificates={(NEW, "my"): certificate(has_private_key=False)}),
        wanted(),
        f"https *:9999:: certificate {NEW} (CN=mfa01) has no private key in LocalMachine\\My. Import the PFX, not the CER.",
    ),
    "a certificate that expired, though it is in place": (
        inputs(own(), records=(record(),), certificates={(NEW, "my"): certificate(not_after=AT)}),
        wanted(),
        f"https *:9999:: certificate {NEW} (CN=mfa01) expired on 2026-11-25 08:00 UTC. Name a new one.",
    ),
    "a certificate that is not valid yet": (
        inputs(certificates={(NEW, "my"): certificate(not_before=AT + timedelta(hours=1))}),
        wanted(),
        f"https *:9999:: certificate {NEW} (CN=mfa01) is not valid before 2026-11-25 09:00 UTC.",
    ),
    "a certificate for clients": (
        inputs(certificates={(NEW, "my"): certificate(usages=("1.3.6.1.5.5.7.3.2",))}),
        wanted(),
        f"https *:9999:: certificate {NEW} (CN=mfa01) is not meant for servers: its usages are 1.3.6.1.5.5.7.3.2.",
    ),
    "an SNI name that the certificate does not have": (
        inputs(),
        wanted(https(host="other.contoso.com", sni=True)),
        f"https *:9999:other.contoso.com: certificate {NEW} is for mfa01.contoso.com, not for other.contoso.com.",
    ),
    "a record of another program": (
        inputs(own(), records=(record(OLD, app_id=FOREIGN),)),
        wanted(),
        (
            f"https *:9999:: 0.0.0.0:9999 is in use by another application {FOREIGN} with certificate {OLD}. "
            "It is left alone: name another port, or remove it there (netsh http show sslcert)."
        ),
    ),
    "a binding that another site has": (
        inputs(own(HTTP_80), neighbours=(Site("Other", 1, (Binding("https", ":9999:"),)),)),
        wanted(),
        (
            "https *:9999:: site 'Other' has this binding (:9999:), IIS starts only one of the two. "
            "Name another port, address or host, or remove it there."
        ),
    ),
    "a new binding that would change the certificate of another site": (
        inputs(own(HTTP_80), records=(record(OLD),), neighbours=(Site("Other", 1, (Binding("https", "*:9999:x.y"),)),)),
        wanted(),
        (
            f"https *:9999: would share one certificate with Other https *:9999:x.y, which now has {OLD}. "
            "Use SNI (sni=True) or another port."
        ),
    ),
    "two certificates for one endpoint": (
        inputs(own(HTTP_80)),
        wanted(https(), https(host="a.b", thumbprint=OLD)),
        (
            "https *:9999:a.b and https *:9999: share one certificate (0.0.0.0:9999), two are named. "
            "Use SNI (sni=True) for both, or name the same."
        ),
    ),
    "two certificates for one endpoint, one of them in place": (
        inputs(own(), records=(record(),)),
        wanted(https(), https(host="a.b", thumbprint=OLD)),
        (
            "https *:9999:a.b and https *:9999: share one certificate (0.0.0.0:9999), two are named. "
            "Use SNI (sni=True) for both, or name the same."
        ),
    ),
    "a binding twice": (inputs(), wanted(https(), https(address="")), "binding https *:9999: is named twice"),
    "a binding that the site has twice": (
        inputs(own(Binding("https", ":9999:"), HTTPS_9999)),
        wanted(),
        "https *:9999:: the site has it 2 times (:9999:, *:9999:). Remove all but one.",
    ),
    "SNI switched without a certificate": (
        inputs(own(Binding("https", "*:9999:a.b"))),
        wanted(https(host="a.b", sni=True, thumbprint=None)),
        "https *:9999:a.b: changing SNI needs the certificate, too. Give thumbprint.",
    ),
    "SNI without a host": (
        inputs(),
        wanted(https(sni=True)),
        "binding https *:9999:: SNI needs a host name. Give host, or leave sni out.",
    ),
    "a certificate on http": (
        inputs(),
        wanted(WantedBinding("http", 80, thumbprint=NEW)),
        "binding http *:80:: http has no certificate and no SNI. Make it https, or leave both out.",
    ),
    "a certificate beside the central store": (
        inputs(own(Binding("https", "*:9999:", 2))),
        wanted(),
        "https *:9999: takes its certificate from the central store. Leave thumbprint out.",
    ),
    "http of another site on the address and port of https": (
        inputs(neighbours=(Site("Other", 3, (Binding("http", "*:9999:"),)),)),
        wanted(),
        f"https *:9999:: site 'Other' has http *:9999:, and {ONE_PROTOCOL}",
    ),
    "http of the site itself on the address and port of https, with other host names": (
        inputs(own(Binding("http", "0.0.0.0:9999:a.b"))),
        wanted(https(host="mfa01.contoso.com", sni=True)),
        f"https *:9999:mfa01.contoso.com: the site itself has http 0.0.0.0:9999:a.b, and {ONE_PROTOCOL}",
    ),
    "http and https of one site to come on one address and port": (
        inputs(),
        wanted(https(), WantedBinding("http", 9999, host="a.b")),
        f"http *:9999:a.b: the site itself has https *:9999:, and {ONE_PROTOCOL}",
    ),
    "a port out of range": (
        inputs(),
        wanted(https(port=70000)),
        "binding https *:70000:: port is 70000, expected 1 to 65535",
    ),
    "a thumbprint that is none": (
        inputs(),
        wanted(https(thumbprint="abc")),
        "binding https *:9999:: thumbprint 'abc' is not 40 hex digits (3 characters)",
    ),
    "a new site without a path": (
        inputs(),
        wanted(path=None),
        "there is no site 'MIM MFASDK', and to create it its path is needed. Give path.",
    ),
    "a new site without bindings": (
        inputs(),
        WantedSite(NAME, path=FOLDER),
        "there is no site 'MIM MFASDK', and to create it a binding is needed. Give bindings.",
    ),
    "a file in the place of the folder": (
        inputs(own(), folder="file"),
        wanted(),
        f"path {FOLDER} is a file, expected a folder or nothing. Remove the file or name another path.",
    ),
    "a file above the folder": (
        inputs(own(), folder="absent", above=(r"C:\inetpub", "file")),
        wanted(),
        f"path {FOLDER}: C:\\inetpub is a file, so no folder can be made below it. Name another path.",
    ),
    "a drive that is not there": (
        inputs(own(), folder="absent", above=("C:\\", "absent")),
        wanted(),
        f"path {FOLDER}: there is no C:\\. Name a path on a drive that exists.",
    ),
    "a name with an ampersand": (
        inputs(),
        wanted(site="a&b"),
        "site name 'a&b': expected a name without \\/?;:@&=+$,|\"<> and without blanks around it",
    ),
    "a shared configuration": (
        inputs(shared=True),
        wanted(),
        "its configuration is shared by a farm (redirection.config): every node would change. Change it where it is shared.",
    ),
}


@pytest.mark.parametrize(("now", "want", "message"), REFUSALS.values(), ids=REFUSALS)
def test_plan_of_a_site_that_is_refused(now: SiteInputs, want: WantedSite, message: str) -> None:
    with pytest.raises(PlanError) as error:
        plan_site(now, want)
    assert str(error.value) == message


PATHS: Final = [
    "",
    "x",
    r"inetpub\x",
    r"\x",
    "C:",
    "C:x",
    r"%SystemDrive%\x",
    '"C:\\x"',
    r" C:\x",
    r"\\.\C:\x",
    r"\\?\C:\x",
    "C:\\x?",
    "C:\\x:y",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_is_not_a_full_one_is_refused(path: str) -> None:
    with pytest.raises(PlanError, match="expected a full path"):
        plan_site(inputs(), wanted(path=path))


def test_the_paths_above_a_path_end_at_its_drive_or_share() -> None:
    assert paths_above("c:/inetpub/x/") == (r"c:\inetpub", "c:\\")
    assert paths_above(r"\\server\share\x\y") == (r"\\server\share\x", "\\\\server\\share\\")


def test_a_site_that_two_reads_disagree_about_is_refused() -> None:
    with pytest.raises(PlanError, match="two reads disagree"):
        plan_site(inputs(disagree=True), wanted(https()))


def test_a_wildcard_certificate_covers_one_label() -> None:
    good = inputs(certificates={(NEW, "my"): certificate(names=("*.Contoso.com",))})
    assert plan_site(good, wanted(https(host="mfa01.contoso.com", sni=True))).records != ()
    for host in ("a.mfa01.contoso.com", "contoso.com"):
        with pytest.raises(PlanError, match="not for"):
            plan_site(good, wanted(https(host=host, sni=True)))


def test_what_a_plan_announces_is_the_site_as_it_will_be_and_replaces_what_was_read() -> None:
    site = own(Binding("https", "*:9999:mfa01.contoso.com", 4), Binding("ftp", "*:21:"))
    now = inputs(site, records=(record(OLD),))
    want = wanted(https(host="mfa01.contoso.com", sni=True), https(port=10000))
    coming = to_come(ToCome({"OTHER": None}), now, want, plan_site(now, want))
    bindings = (Binding("https", "*:9999:mfa01.contoso.com", 5), Binding("ftp", "*:21:"), Binding("https", "*:10000:"))
    after = replace(site, bindings=bindings)
    records = (record(endpoint="mfa01.contoso.com:9999", kind="sni"), record(endpoint=f"{ANY}:10000"))
    assert coming == ToCome({"OTHER": None, NAME: after}, records)
    third = Site("Third", 3)
    read = inputs(
        None,
        neighbours=(site, Site("other", 1), third),
        records=(record(OLD), record(OLD, "mfa01.contoso.com:9999", "sni")),
    )
    seen = with_to_come(read.read, coming, "new")
    assert seen == replace(read.read, neighbours=(after, third), records=(record(OLD), *records))
    assert with_to_come(read.read, coming, "mim mfasdk").neighbours == (site, third)
    alone = replace(read.read, neighbours=None)
    assert with_to_come(alone, coming, "new") == alone


def test_a_plan_announces_that_a_site_moves_and_that_one_is_gone() -> None:
    now = inputs(own())
    stays, there = wanted(https()), wanted(https(), path="D:\\elsewhere")
    for want, moving in ((stays, frozenset()), (there, frozenset({NAME}))):
        coming = to_come(ToCome(), now, want, plan_site(now, want))
        assert (coming.moving, coming.gone(NAME), coming.gone("OTHER")) == (moving, False, False)
    away = replace(stays, present=False)
    assert to_come(coming, now, away, plan_site(now, away)).gone(NAME)


def test_each_certificate_is_read_once() -> None:
    want = wanted(https(), https(host="a.b"), https(port=1, thumbprint=OLD), https(port=2, thumbprint=None))
    assert certificates_of(want) == ((NEW, "My"), (OLD, "My"))


bindings = st.builds(
    WantedBinding,
    st.just("https"),
    st.sampled_from([443, 9999]),
    st.sampled_from(["*", "10.0.0.1", "::1"]),
    st.sampled_from(["", "mfa01.contoso.com"]),
    st.sampled_from([None, OLD, NEW]),
    sni=st.none() | st.booleans(),
)
present = st.builds(
    Binding,
    st.sampled_from(["http", "https"]),
    st.sampled_from(["*:443:", "*:9999:", "[::1]:443:", "*:443:mfa01.contoso.com", "10.0.0.1:9999:"]),
    st.sampled_from([0, 1, 4, 5]),
)
known = st.builds(
    SslRecord,
    st.sampled_from(["0.0.0.0:443", "0.0.0.0:9999", "[::1]:443", "10.0.0.1:9999"]),
    st.just("ip"),
    st.sampled_from([OLD, NEW]),
    st.just("My"),
)


@given(
    st.none()
    | st.lists(present, max_size=4, unique_by=lambda one: (one.protocol, one.information)).map(lambda all_: own(*all_)),
    st.lists(known, max_size=3, unique_by=lambda one: one.endpoint).map(tuple),
    st.lists(bindings, min_size=1, max_size=3).map(tuple),
)
def test_after_the_plan_of_a_site_nothing_is_left_and_other_bindings_are_untouched(
    site: Site | None, records: tuple[SslRecord, ...], asked: tuple[WantedBinding, ...]
) -> None:
    now, want = inputs(site, records=records), wanted(*asked)
    try:
        plan = plan_site(now, want)
    except PlanError:
        return
    after = _applied(now, plan)
    assert plan_site(after, want) == Plan()
    assert after.read.site is not None
    # What was there is there, in its place, and differs at most in the SNI bit.
    before = site.bindings if site is not None else ()
    kept = after.read.site.bindings[: len(before)]
    assert [(one.protocol, one.information, one.ssl_flags & ~1) for one in kept] == [
        (one.protocol, one.information, one.ssl_flags & ~1) for one in before
    ]


def _applied(now: SiteInputs, plan: Plan) -> SiteInputs:
    """The state after the writes of a plan, worked out without the plan's own means."""
    site = now.read.site
    for edit in plan.edits:
        if edit["tag" if edit["op"] == "add" else "op"] == "site":
            items = edit["c"]["bindings"]["items"]
            site = Site(NAME, edit["a"]["id"], tuple(_binding(one["a"]) for one in items), own().applications)
        elif edit["op"] == "add":
            assert site is not None
            site = replace(site, bindings=(*site.bindings, _binding(edit["a"])))
        else:
            assert site is not None
            key = edit["at"][-1]["key"]
            site = replace(
                site,
                bindings=tuple(
                    replace(one, ssl_flags=edit["a"]["sslFlags"])
                    if (one.protocol, one.information) == (key["protocol"], key["bindingInformation"])
                    else one
                    for one in site.bindings
                ),
            )
    assert site is not None
    records = {(one.kind, one.endpoint): one for one in now.read.records}
    for one in plan.records:
        binding = next(b for b in site.bindings if (b.protocol, b.information) == (one.protocol, one.information))
        place = parsed(binding)
        assert place is not None
        address = ANY if place.address == "*" else f"[{place.address}]" if ":" in place.address else place.address
        name = ("sni", f"{place.host}:{place.port}") if binding.ssl_flags & 1 else ("ip", f"{address}:{place.port}")
        assert one.expected == (records[name].thumbprint if name in records else "absent")
        records[name] = SslRecord(name[1], name[0], one.thumbprint, one.store)
    return replace(now, read=replace(now.read, site=site, state="Started", records=tuple(records.values())))


def _binding(values: Mapping[str, Any]) -> Binding:
    return Binding(values["protocol"], values["bindingInformation"], values.get("sslFlags", 0))
