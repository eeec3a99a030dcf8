"""Get-SslBinding and Set-SslBinding: the certificate records of http.sys, which no commit of the configuration touches."""

from __future__ import annotations

import uuid
from typing import Any

from tests.contract.cases import case
from tests.contract.host import Host, Refused
from tests.contract.iis import IIS_APP_ID, NO_LOGON, SITES, Iis, new_site, site_step

IP = "0.0.0.0:9999"


def record(thumbprint: str, endpoint: str = IP, kind: str = "ip", flags: int = 0) -> dict[str, Any]:
    """A record as it is read."""
    return {
        "endpoint": endpoint,
        "kind": kind,
        "thumbprint": thumbprint,
        "store": "My",
        "app_id": IIS_APP_ID,
        "flags": flags,
    }


def arguments(thumbprint: str, expected: str = "absent", **more: Any) -> dict[str, Any]:
    """Of Set-SslBinding, for the one binding of My Site."""
    given = {"site": "My Site", "protocol": "https", "information": "*:9999:"}
    return given | {"thumbprint": thumbprint, "expected": expected} | more


def certificate_hash(iis: Iis, site: str = "My Site") -> str:
    """The certificate of the first binding of a site, as the configuration shows it."""
    (found,) = iis.tree(SITES, filter={"name": site})["items"]
    return str(found["c"]["bindings"]["items"][0]["a"]["certificateHash"])


@case("Get-SslBinding", cites="iis.md: Values SslCertHash (binary), SslCertStoreName, AppId (binary), DefaultFlags")
def test_records_are_read_by_kind_and_endpoint_whoever_made_them(iis: Iis) -> None:
    first, other = iis.certificate("one"), uuid.UUID(int=5)
    assert iis.records() == []
    for endpoint in ("[::1]:443", IP, "0.0.0.0:443"):
        iis.record(endpoint, first, other.bytes_le, 2)
    assert iis.records() == [
        record(first, endpoint, flags=2) | {"app_id": f"{{{other}}}"} for endpoint in ("0.0.0.0:443", IP, "[::1]:443")
    ]


@case("Get-SslBinding", cites="verbs.md: an argument that the verb does not have", error="invalid")
def test_records_are_read_all_and_none_by_name(iis: Iis) -> None:
    assert iis.host.refused("Get-SslBinding", endpoint=IP) == Refused("invalid", "endpoint")


@case("Set-SslBinding", cites="iis.md: `*:9999:` uses the record 0.0.0.0:9999")
def test_a_binding_gets_its_certificate(iis: Iis) -> None:
    first = iis.certificate("one")
    assert iis.edit(new_site())
    assert (certificate_hash(iis), iis.records()) == ("", [])
    assert iis.host.ask("Set-SslBinding", **arguments(first.lower(), site="my SITE")) == {"thumbprint": first}
    assert (certificate_hash(iis), iis.records()) == (first, [record(first)])


@case("Set-SslBinding", cites="iis.md: All bindings on one ip:port without SNI share one record")
def test_another_certificate_takes_its_place_for_all_sites_of_the_endpoint_and_flags_stay(iis: Iis) -> None:
    first, second = iis.certificate("one"), iis.certificate("two")
    assert iis.edit(new_site(), new_site("Other", 3))
    iis.record(IP, first, uuid.UUID(IIS_APP_ID).bytes_le, 0x10)
    assert iis.host.ask("Set-SslBinding", **arguments(second, first.lower(), site="Other")) == {"thumbprint": second}
    assert iis.records() == [record(second, flags=0x10)]
    assert [certificate_hash(iis), certificate_hash(iis, "Other")] == [second, second]
    assert iis.host.ask("Set-SslBinding", **arguments(second, second)) == {"thumbprint": second}


@case("Edit-IisConfig", cites="iis.md: Generic removal leaves the record behind")
def test_a_record_outlives_its_binding_and_serves_the_next_one(iis: Iis) -> None:
    """A naive mistake: removing a binding that deletes the record of http.sys."""
    first = iis.certificate("one")
    assert iis.edit(new_site())
    iis.host.ask("Set-SslBinding", **arguments(first))
    assert iis.edit({"op": "remove", "section": SITES, "at": [site_step("My Site")]})
    assert iis.records() == [record(first)]
    assert iis.edit(new_site("Next"))
    assert certificate_hash(iis, "Next") == first


@case("Set-SslBinding", cites="iis.md: Records live in three kinds used by IIS: IP:port, SNI host:port, CCS port")
def test_a_binding_with_a_host_name_has_a_record_of_its_own_and_new_records_the_flags_of_their_binding(
    iis: Iis,
) -> None:
    first, second = iis.certificate("one"), iis.certificate("two")
    assert iis.edit(new_site(bindings=(("https", "*:443:sdk.contoso.com", 1), ("https", "[::1]:443:", 68))))
    iis.host.ask("Set-SslBinding", **arguments(first, information="*:443:SDK.contoso.com"))
    iis.host.ask("Set-SslBinding", **arguments(second, information="[::1]:443:"))
    found = [{**one, "endpoint": one["endpoint"].lower()} for one in iis.records()]
    assert found == [record(second, "[::1]:443", flags=0x410), record(first, "sdk.contoso.com:443", "sni")]


@case("Get-IisConfig", cites="iis.md: CCS: no hash on the binding")
def test_a_binding_of_the_central_store_shows_no_certificate_whatever_records_there_are(iis: Iis) -> None:
    first = iis.certificate("one")
    assert iis.edit(new_site(bindings=(("https", "*:444:a.b", 2),)))
    for kind, endpoint in (("Ccs", "444"), ("Sni", "a.b:444"), ("", "0.0.0.0:444")):
        iis.record(endpoint, first, uuid.UUID(IIS_APP_ID).bytes_le, kind=kind)
    (found,) = iis.tree(SITES, filter={"name": "My Site"})["items"]
    binding = found["c"]["bindings"]["items"][0]
    assert (binding["a"]["certificateHash"], binding["a"]["certificateStoreName"], binding["e"]) == ("", "", {})


@case("Set-SslBinding", cites="verbs.md: an empty text where one must be given", error="invalid")
def test_a_text_that_must_be_given_is_not_empty(mfa01: Host) -> None:
    good = arguments("0" * 40)
    for name in good:
        assert mfa01.refused("Set-SslBinding", **{**good, name: ""}) == Refused("invalid", name)


@case("Set-SslBinding", cites="verbs.md: addresses by what they mean, ports as numbers, host names in any case")
def test_the_record_of_an_address_in_another_spelling_is_its_own(iis: Iis) -> None:
    """A naive mistake: comparing endpoints as text."""
    first, second = iis.certificate("one"), iis.certificate("two")
    assert iis.edit(new_site(bindings=(("https", "[fe80:0:0:0:0:0:0:1]:443:", 0),)))
    iis.record("[FE80::1]:443", first, uuid.UUID(IIS_APP_ID).bytes_le)
    iis.record("[FE80::1]:444", second, uuid.UUID(IIS_APP_ID).bytes_le)
    assert certificate_hash(iis) == first
    given = arguments(second, "absent", information="[fe80:0:0:0:0:0:0:1]:443:")
    assert iis.host.refused("Set-SslBinding", **given) == Refused("conflict", "[fe80:0:0:0:0:0:0:1]:443")
    assert iis.host.ask("Set-SslBinding", **given | {"expected": first}) == {"thumbprint": second}
    assert iis.records() == [record(second, "[FE80::1]:443"), record(second, "[FE80::1]:444")]
    assert certificate_hash(iis) == second


@case("Set-SslBinding", cites="iis.md: Rotate: expected old hash is an argument and must match", error="conflict")
def test_another_record_than_expected_is_a_conflict(iis: Iis) -> None:
    first, second = iis.certificate("one"), iis.certificate("two")
    assert iis.edit(new_site())
    assert iis.host.refused("Set-SslBinding", **arguments(first, second)) == Refused("conflict", IP)
    iis.host.ask("Set-SslBinding", **arguments(first))
    for expected in ("absent", second):
        assert iis.host.refused("Set-SslBinding", **arguments(second, expected)) == Refused("conflict", IP)
    assert iis.records() == [record(first)]


@case(
    "Set-SslBinding",
    cites="iis.md: A record with another appid on our port belongs to someone else: refuse",
    error="denied",
    light=True,
)
def test_a_record_of_somebody_else_is_left_alone(iis: Iis) -> None:
    first, second = iis.certificate("one"), iis.certificate("two")
    assert iis.edit(new_site())
    iis.record(IP, first, uuid.UUID(int=5).bytes_le)
    before = iis.records()
    assert iis.host.refused("Set-SslBinding", **arguments(second, first)) == Refused("denied", IP)
    assert iis.records() == before


@case("Set-SslBinding", cites="iis.md: | walk | COMException 0x80070585, our own 0-match | missing |", error="missing")
def test_a_binding_that_is_not_there_is_missing(iis: Iis) -> None:
    first = iis.certificate("one")
    assert iis.edit(new_site())
    others = [{"site": "No"}, {"information": "*:1:"}, {"protocol": "http"}]
    named = ["No https *:9999:", "My Site https *:1:", "My Site http *:9999:"]
    assert [iis.host.refused("Set-SslBinding", **arguments(first, **other)) for other in others] == [
        Refused("missing", name) for name in named
    ]


@case(
    "Set-SslBinding",
    cites='iis.md: Error 1312/0x80070520 "specified logon session does not exist" = certificate or key unusable',
    error="invalid",
)
def test_a_certificate_that_cannot_be_used_is_invalid_and_nothing_is_written(iis: Iis) -> None:
    first, keyless = iis.certificate("one"), iis.certificate("three", private_key=False)
    assert iis.edit(new_site(bindings=(("https", "*:9999:", 0), ("http", "*:81:", 0), ("https", "*:444:a.b", 2))))
    wrong: list[tuple[dict[str, Any], Refused]] = [
        (arguments(keyless), Refused("invalid", IP, NO_LOGON)),
        (arguments("AB" * 20), Refused("invalid", IP, NO_LOGON)),
        (arguments(first, store="NoStore"), Refused("invalid", IP, NO_LOGON)),
        (arguments(first[:-1]), Refused("invalid", "thumbprint")),
        (arguments(f"\u200e{first}"), Refused("invalid", "thumbprint")),
        (arguments(first + "\n"), Refused("invalid", "thumbprint")),
        (arguments(first, protocol="http", information="*:81:"), Refused("invalid", "My Site http *:81:")),
        (arguments(first, information="*:444:a.b"), Refused("invalid", "My Site https *:444:a.b")),
    ]
    with iis.host.watched() as seen:
        assert [iis.host.refused("Set-SslBinding", **one) for one, _ in wrong] == [error for _, error in wrong]
    assert seen.changes == {}
