"""
What must change about the bindings of an IIS site and the certificates that http.sys has for them. Pure.

The site itself is in iis_site.py, the text forms of bindings in bindings.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from model.change import Change, PlanError
from model.iis import (
    CENTRAL_STORE,
    IIS_APP_ID,
    SNI,
    Binding,
    Certificate,
    Site,
    SiteInputs,
    SslRecord,
    SslWrite,
    WantedBinding,
)
from plans.bindings import Endpoint, canonical_thumbprint, endpoint, parsed, record_key, record_name

SERVER_AUTH: Final = "1.3.6.1.5.5.7.3.1"  # RFC 5280 4.2.1.12
ANY_USAGE: Final = "2.5.29.37.0"


@dataclass(frozen=True)
class Target:
    """A wanted binding with its parts checked and spelled one way."""

    wanted: WantedBinding
    place: Endpoint
    thumbprint: str | None

    @property
    def shown(self) -> str:
        """As it is stored: `https *:9999:`."""
        return f"{self.wanted.protocol} {self.place}"


def target_of(wanted: WantedBinding) -> Target:
    """A wanted binding, checked. Raises PlanError that names the bad value."""
    shown = f"binding {wanted.protocol} {wanted.address}:{wanted.port}:{wanted.host}"
    try:
        place = endpoint(wanted.address, wanted.port, wanted.host)
        thumbprint = None if wanted.thumbprint is None else canonical_thumbprint(wanted.thumbprint)
    except ValueError as error:
        raise PlanError(f"{shown}: {error}") from None
    if wanted.protocol not in {"http", "https"}:
        raise PlanError(f"{shown}: protocol is {wanted.protocol!r}, expected http or https")
    if wanted.protocol == "http" and (thumbprint is not None or wanted.sni is not None):
        raise PlanError(f"{shown}: http has no certificate and no SNI. Make it https, or leave both out.")
    if wanted.sni and not place.host:
        raise PlanError(f"{shown}: SNI needs a host name. Give host, or leave sni out.")
    return Target(wanted, place, thumbprint)


def check_certificate(found: Certificate, target: Target, at: datetime) -> None:
    """Raises PlanError for a certificate that a browser or http.sys would refuse, before anything is written (facts/iis.md 5.4)."""
    what = f"{target.shown}: certificate {found.thumbprint}"
    where = f"LocalMachine\\{target.wanted.store}"
    if not found.found:
        raise PlanError(f"{what} is not in {where}. Import it there with its private key, or name another thumbprint.")
    if not found.has_private_key:
        raise PlanError(f"{what} ({found.subject}) has no private key in {where}. Import the PFX, not the CER.")
    if found.not_before is not None and at < found.not_before:
        raise PlanError(f"{what} ({found.subject}) is not valid before {found.not_before:%Y-%m-%d %H:%M} UTC.")
    if found.not_after is not None and at >= found.not_after:
        raise PlanError(f"{what} ({found.subject}) expired on {found.not_after:%Y-%m-%d %H:%M} UTC. Name a new one.")
    if found.usages and not {SERVER_AUTH, ANY_USAGE} & set(found.usages):
        raise PlanError(f"{what} ({found.subject}) is not meant for servers: its usages are {', '.join(found.usages)}.")
    if target.wanted.sni and found.names and not any(_covers(name, target.place.host) for name in found.names):
        raise PlanError(f"{what} is for {', '.join(found.names)}, not for {target.place.host}.")


def _covers(name: str, host: str) -> bool:
    """RFC 6125 6.4.3: a wildcard stands for one label, the first."""
    own, asked = name.casefold().split("."), host.casefold().split(".")
    return own == asked or (own[0] == "*" and len(own) == len(asked) and own[1:] == asked[1:])


@dataclass(frozen=True)
class BindingPlan:
    """What differs between the bindings of a site and the wanted ones: new ones, flags to set, records to write."""

    changes: tuple[Change, ...]
    new: tuple[Binding, ...]
    flags: tuple[tuple[Binding, int], ...]
    records: tuple[SslWrite, ...]


@dataclass
class _Certificates:
    """The certificates of one plan: what was named for each record so far, and the writes that follow."""

    changes: list[Change]
    named: dict[tuple[str, str], Target] = field(default_factory=dict)
    writes: list[SslWrite] = field(default_factory=list)


def plan_bindings(now: SiteInputs, targets: Sequence[Target]) -> BindingPlan:
    """
    Compare the bindings of a site with the wanted ones; those that are not named stay.

    Raises PlanError where another site or another program would be harmed.
    """
    site = now.read.site
    changes: list[Change] = []
    new: list[Binding] = []
    changed: list[tuple[Binding, int]] = []
    certificates = _Certificates(changes)
    for target in targets:
        current = _current(site, target)
        before = current.ssl_flags if current is not None else 0
        flags = before if target.wanted.sni is None else (before & ~SNI) | (SNI if target.wanted.sni else 0)
        if current is None:
            _free(now, target, new)
            current = Binding(target.wanted.protocol, str(target.place), flags)
            new.append(current)
            changes.append(Change("binding", None, target.shown))
            if flags & SNI:
                changes.append(Change(f"SNI ({target.shown})", None, True))
        elif flags != before:
            if target.thumbprint is None:
                # The record of the other kind of endpoint is another one (facts/iis.md 3 n).
                raise PlanError(f"{target.shown}: changing SNI needs the certificate, too. Give thumbprint.")
            changed.append((current, flags))
            changes.append(Change(f"SNI ({target.shown})", bool(before & SNI), bool(flags & SNI)))
        if target.thumbprint is not None:
            is_new = bool(new) and new[-1] is current
            _plan_certificate(now, target, current, flags, certificates, is_new=is_new)
    return BindingPlan(tuple(changes), tuple(new), tuple(changed), tuple(certificates.writes))


def _current(site: Site | None, target: Target) -> Binding | None:
    found = [
        one
        for one in (site.bindings if site is not None else ())
        if one.protocol.casefold() == target.wanted.protocol and parsed(one) == target.place
    ]
    if len(found) > 1:
        texts = ", ".join(one.information for one in found)
        raise PlanError(f"{target.shown}: the site has it {len(found)} times ({texts}). Remove all but one.")
    return found[0] if found else None


def _free(now: SiteInputs, target: Target, new: Sequence[Binding]) -> None:
    """
    Raises PlanError where another binding has what a new one would take: the same, or the other of http and https on its address and port.

    There http.sys speaks one of the two, whatever the host names: they share a port within https or within http only. That a site then does not start
    was not tried on IIS. `*` beside a single address is not compared: no source says what http.sys makes of that.

    + new: bindings that the site gets before this one
    """
    own = () if now.read.site is None else now.read.site.bindings
    around = [(f"site {other.name!r}", one) for other in now.read.neighbours or () for one in other.bindings]
    for who, one in [*around, *(("the site itself", one) for one in (*own, *new))]:
        place = parsed(one)
        if place is None or (place.address, place.port) != (target.place.address, target.place.port):
            continue
        if one.protocol.casefold() != target.wanted.protocol:
            raise PlanError(
                f"{target.shown}: {who} has {one.protocol} {one.information}, and one address and port is for http or for https. "
                "Name another port or address, or remove it there."
            )
        if place == target.place:
            raise PlanError(
                f"{target.shown}: {who} has this binding ({one.information}), IIS starts only one of the two. "
                "Name another port, address or host, or remove it there."
            )


def _plan_certificate(
    now: SiteInputs, target: Target, binding: Binding, flags: int, found: _Certificates, *, is_new: bool
) -> None:
    """The http.sys record of one binding: nothing, or a change and its write."""
    thumbprint, store = str(target.thumbprint), target.wanted.store
    if flags & CENTRAL_STORE:
        raise PlanError(f"{target.shown} takes its certificate from the central store. Leave thumbprint out.")
    name = record_name(target.place, flags)
    first = found.named.setdefault(name, target)
    if first is not target:
        if (first.thumbprint, first.wanted.store.casefold()) != (thumbprint, store.casefold()):
            text = f"{target.shown} and {first.shown} share one certificate ({name[1]}), two are named. "
            raise PlanError(text + "Use SNI (sni=True) for both, or name the same.")
        return
    record = next((one for one in now.read.records if record_key(one) == name), None)
    same_hash = record is not None and record.thumbprint.upper() == thumbprint
    same_store = record is not None and record.store.casefold() == store.casefold()
    if same_hash and same_store:
        return
    if record is not None and record.app_id.casefold() != IIS_APP_ID:
        text = f"{target.shown}: {name[1]} is in use by another application {record.app_id} with certificate {record.thumbprint}. "
        raise PlanError(text + "It is left alone: name another port, or remove it there (netsh http show sslcert).")
    sharers = tuple(_sharers(now, name, binding))
    if is_new and record is not None and sharers:
        text = (
            f"{target.shown} would share one certificate with {', '.join(sharers)}, which now has {record.thumbprint}. "
        )
        raise PlanError(text + "Use SNI (sni=True) or another port.")
    also = f", also of {', '.join(sharers)}" if sharers else ""
    if not same_hash:
        found.changes.append(Change(f"certificate ({target.shown}{also})", _thumbprint(record), thumbprint))
    if record is not None and not same_store:
        found.changes.append(Change(f"certificate store ({target.shown}{also})", record.store, store))
    expected = "absent" if record is None else record.thumbprint
    found.writes.append(SslWrite(binding.protocol, binding.information, thumbprint, store, expected))


def _thumbprint(record: SslRecord | None) -> str | None:
    return None if record is None else record.thumbprint


def _sharers(now: SiteInputs, name: tuple[str, str], binding: Binding) -> Iterator[str]:
    """Other bindings that the same record answers for: they change together."""
    own = () if now.read.site is None else (now.read.site,)
    for site in (*own, *(now.read.neighbours or ())):
        for one in site.bindings:
            place = parsed(one)
            if one == binding and site in own:
                continue
            if one.protocol.casefold() == "https" and place is not None and record_name(place, one.ssl_flags) == name:
                yield f"{site.name} {one.protocol} {one.information}"
