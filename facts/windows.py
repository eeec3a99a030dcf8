"""Facts of Windows itself: services, installed products, the host. Reading only."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from typing_extensions import override

from connectors.call import Answer, HostCall
from facts.base import HostAnswer, HostFact
from model.windows import Dependent, Product, Products, Service, Start, State


class _Dependent(HostAnswer):
    service: str
    state: State


class _Service(HostAnswer):
    found: bool
    service: str
    display_name: str | None
    state: State | None
    start: Start | None
    path: str | None
    program: str | None
    account: str | None
    pid: int | None
    started_utc: str | None
    depends_on: list[str]
    dependents: list[_Dependent]


class WindowsService(HostFact[Service]):
    """
    Returns state, program, process and dependents of one Windows service.

    + service: its service name (``FIMService``), not the display name

    .. code:: python

        Service(found=True, service="FIMService", state="running", started_utc="2026-11-25T08:00:00.0000000Z", ...)

    No such service is ``found=False``.
    """

    @override
    def command(self, service: str) -> HostCall:
        return HostCall("Get-ServiceState", service=service)

    @override
    def parse(self, answer: Answer) -> Service:
        data = _Service.model_validate(answer.result)
        fields = dict(data) | {
            "depends_on": tuple(data.depends_on),
            "dependents": tuple(Dependent(d.service, d.state) for d in data.dependents),
        }
        return Service(**fields)


class _Product(HostAnswer):
    product: str
    version: str
    publisher: str
    key: str
    view: Literal["64", "32"]


class _Products(HostAnswer):
    products: list[_Product]


class InstalledProduct(HostFact[Products]):
    """
    Returns the entries of one product among the installed programs (Uninstall keys of both registry views).

    + product: its exact display name, without regard to case

    .. code:: python

        Products(products=(Product(product="Microsoft Identity Manager Service and Portal", version="4.5.286.0", ...),))
    """

    @override
    def command(self, product: str) -> HostCall:
        return HostCall("Get-InstalledProduct", product=product)

    @override
    def parse(self, answer: Answer) -> Products:
        data = _Products.model_validate(answer.result)
        return Products(tuple(Product(**dict(entry)) for entry in data.products))


class _Host(HostAnswer):
    computer: str
    domain: str
    os_version: str
    powershell: str
    edition: str
    is64: bool
    user: str
    culture: str
    system_drive: str
    system_root: str
    time_utc: str
    pid: int


@dataclass(frozen=True)
class Host:
    """A host about itself (docs/verbs.md, Get-HostInfo)."""

    computer: str
    domain: str
    os_version: str
    powershell: str
    edition: str
    is64: bool
    user: str
    culture: str
    system_drive: str
    system_root: str
    time_utc: str
    pid: int

    def to_json(self) -> dict[str, Any]:
        """For `pyinfra ... fact`."""
        return asdict(self)


class HostInfo(HostFact[Host]):
    """Returns name, domain, versions and clock of a host."""

    @override
    def command(self) -> HostCall:
        return HostCall("Get-HostInfo")

    @override
    def parse(self, answer: Answer) -> Host:
        return Host(**dict(_Host.model_validate(answer.result)))
