"""
The desired state that an inventory declares, checked: the page's vocabulary (docs/desired-state.md), nothing of how it is reached.

Pure: data in, `Desired` or one clear line a problem out. Reading inventory files is in connectors/inventory.py, host data of the connector in
connectors/settings.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from model.forms import (
    check_bound,
    check_domain_account,
    check_folder,
    check_group_name,
    check_host,
    check_namespaces,
    check_parent,
    check_pool_name,
    check_seen,
    check_service_name,
    check_site_name,
    check_url_host,
    clean_thumbprint,
    is_thumbprint,
)
from model.problems import between, line, unknown

T = TypeVar("T")
SDK_PAGE: Final = "PfWsSdk.asmx"
FIRST_BUILD: Final = "4.5.202.0"  # with MFA Server and custom providers: KB4346632, facts/mim-mfa.md 3


def _by(check: Callable[[T], None]) -> AfterValidator:
    """A check that leaves the value as it is, for `Annotated`."""

    def checked(value: T) -> T:
        check(value)
        return value

    return AfterValidator(checked)


def _thumbprint(value: str) -> str:
    cleaned = clean_thumbprint(value)
    if not is_thumbprint(cleaned):
        raise ValueError("expected the 40 hex digits of a certificate's thumbprint")
    return cleaned


Thumbprint = Annotated[str, AfterValidator(_thumbprint)]
Port = Annotated[int, between(1, 65535)]


class Part(BaseModel):
    """Base of all parts: nothing unknown, nothing converted, frozen, and no value of a secret in an error."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    @field_validator("*")
    @classmethod
    def _seen(cls, value: Any, info: ValidationInfo) -> Any:
        if info.field_name != "parent":  # an expression may have line ends
            for text in value.values() if isinstance(value, Mapping) else [value]:
                if isinstance(text, str):
                    check_seen(text)
        return value


class Site(Part):
    """The IIS site that holds the Web Service SDK. Whether it and its pool run is not looked at: IIS starts new ones by itself."""

    name: Annotated[str, _by(check_site_name)] = "MIM MFASDK"
    """as IIS Manager shows it"""
    path: Annotated[str, _by(check_folder)] = r"C:\inetpub\wwwroot\mfasdk"
    """full path of its folder, which is made"""
    port: Port = 9999
    """of its https binding"""
    app_pool: Annotated[str, _by(check_pool_name)] = "MIM MFASDK"
    """its application pool, which is made"""
    host_name: Annotated[str, _by(check_host)] = ""
    """host name of the binding; empty for all"""
    thumbprint: Thumbprint | None = None
    """certificate in ``LocalMachine\\My``; left out where each MFA server has its own: host data ``sdk_certificate``"""


class Authentication(Part):
    """How the site asks who calls."""

    anonymous: bool = False
    """whether Anonymous Authentication is on"""
    windows: bool = True
    """whether Windows Authentication is on; never both off"""
    providers: tuple[Literal["Negotiate", "NTLM", "Negotiate:Kerberos"], ...] = ("Negotiate", "NTLM")
    """of Windows Authentication, in the order in which they are offered; all others are removed"""

    @field_validator("providers", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("providers")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) < len(value):
            raise ValueError("expected at least one provider, each once")
        return value

    @model_validator(mode="after")
    def _somebody_gets_in(self) -> Authentication:
        if not self.anonymous and not self.windows:
            raise ValueError("anonymous and windows are both off: nobody could log on to the site")
        return self


class Admins(Part):
    """The group whose members may call the SDK, and the account that has to be one."""

    group: Annotated[str, _by(check_group_name)] = "PhoneFactor Admins"
    """sAMAccountName of the group; it is made when it is not there"""
    service_account: Annotated[str, _by(check_domain_account)]
    """account that the MIM Service runs as: ``DOMAIN\\user``, UPN, sAMAccountName, DN, SID or GUID"""


class Settings(Part):
    """What MfaSettings.xml of the MIM Service says."""

    username: str
    """``Username``: the account that was imported into MFA Server, as UPN"""
    sdk_url: str
    """``LOCMFASRV``: full https address of ``PfWsSdk.asmx``; its port is the site's"""
    unused: Literal["clear", "remove"] = "clear"
    """what happens to ``LICENSE_KEY GROUP_KEY CERT_PASSWORD CertFilePath``: emptied, or taken away"""
    parent: Annotated[str, _by(check_parent)] | None = None
    """XPath to the element of the file that holds these, like ``/configuration/MfaSettings``; the root element when left out. No source tells the
    file's shape: where they stand elsewhere nothing is written, and the refusal names the place"""
    namespaces: Annotated[Mapping[str, str], _by(check_namespaces)] | None = None
    """prefix to namespace, for prefixes in ``parent``: ``{"m": "urn:..."}``. Children without a prefix need none"""

    @field_validator("username")
    @classmethod
    def _upn(cls, value: str) -> str:
        if not re.fullmatch(r"[^@\s\\/\"<>]+@[^@\s\\/\"<>]+\.[^@\s\\/\"<>]+", value):
            raise ValueError("expected a UPN, like mimservice@contoso.com")
        return value

    @field_validator("sdk_url")
    @classmethod
    def _url(cls, value: str) -> str:
        if "@" in value.partition("://")[2].partition("/")[0]:
            raise ValueError("expected an address without a user or a password in it")
        match = re.fullmatch(
            r"(?P<scheme>[a-z]+)://(?P<host>[^/:\s]+|\[[0-9a-fA-F:]+\])(:(?P<port>[0-9]{1,6}))?(?P<path>/[^\s?#\"<>\\^`{|}]*)",
            value,
        )
        if match is None or match["scheme"] != "https":
            raise ValueError(f"expected https://HOST:PORT/.../{SDK_PAGE}")
        if match["port"] is not None and not 1 <= int(match["port"]) <= 65535:  # noqa: PLR2004 - the range of ports
            raise ValueError("its port is not between 1 and 65535")
        check_url_host(match["host"])
        if not value.endswith(f"/{SDK_PAGE}"):
            raise ValueError(f"expected an address that ends in /{SDK_PAGE}")
        return value

    @model_validator(mode="after")
    def _parent_is_bound(self) -> Settings:
        if self.parent is not None:
            check_bound(self.parent, self.namespaces or {})
        return self


class Mim(Part):
    """What MIM must be."""

    minimum_build: str = FIRST_BUILD
    """the least build, not below 4.5.202.0: an older one fails and nothing of that host is written"""
    service: Annotated[str, _by(check_service_name)] = "FIMService"
    """the MIM Service's own service name"""

    @field_validator("minimum_build")
    @classmethod
    def _build(cls, value: str) -> str:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9}){3}", value):
            raise ValueError(f"expected four numbers, like {FIRST_BUILD}")
        if [int(part) for part in value.split(".")] < [int(part) for part in FIRST_BUILD.split(".")]:
            raise ValueError(f"expected at least {FIRST_BUILD}, the first build that can call an MFA Server")
        return value


class Desired(Part):
    """All of it: key `desired` of the group data."""

    site: Site = Site()
    """the IIS site on the MFA servers. Whether it and its pool run is not looked at: IIS starts new ones by itself"""
    authentication: Authentication = Authentication()
    """who gets in there"""
    admins: Admins
    """the group in Active Directory"""
    settings: Settings
    """``MfaSettings.xml`` on the MIM servers"""
    mim: Mim = Mim()
    """what MIM must be"""

    @model_validator(mode="after")
    def _url_is_of_the_site(self) -> Desired:
        port = re.search(r"://[^/]*:(\d+)/", self.settings.sdk_url)
        if (int(port[1]) if port else 443) != self.site.port:
            raise ValueError(f"settings.sdk_url names port {port[1] if port else 443}, site.port is {self.site.port}")
        return self


def parse(data: Mapping[str, Any]) -> Desired:
    """The desired state. Raises pydantic's ValidationError: `problems_of` has its lines."""
    return Desired.model_validate(data)


def problems_of(data: Any, where: str) -> list[str]:
    """
    What is wrong with a desired state, a line each; [] where nothing is. A value is quoted, unless it is unknown what it may hold.

    + where: what holds it, for the beginning of each line: ``group_data/contoso.py: desired``
    """
    if not isinstance(data, Mapping):
        return [f"{where} is {type(data).__name__}, expected a dict"]
    try:
        Desired.model_validate(data)
    except ValidationError as error:
        return list(dict.fromkeys(_line(e, data, where) for e in error.errors(include_url=False, include_input=False)))
    return []


def _line(error: ErrorDetails, data: Mapping[str, Any], where: str) -> str:
    place = error["loc"]
    name = ".".join((where, *(str(part) for part in place)))
    match error["type"]:
        case "missing":
            return f"{name} is missing"
        case "extra_forbidden":
            return f"{name} {unknown(str(place[-1]), _fields(place[:-1]))}"
    value: Any = data
    for part in place:
        value = _inside(value, part)
    return line(name, error, value, secret=_has_credential)


def _inside(value: Any, part: int | str) -> Any:
    if isinstance(value, Mapping):
        return value.get(part)
    return value[part] if isinstance(value, list | tuple) and isinstance(part, int) else None


def _has_credential(value: Any) -> bool:
    """An address with a user in it has perhaps a password in it, too."""
    return isinstance(value, str) and "://" in value and "@" in value.partition("://")[2].partition("/")[0]


def _fields(place: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Desired
    for part in place:
        annotation = model.model_fields[str(part)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return sorted(model.model_fields)
