"""
The desired state that an inventory declares, checked: the page's vocabulary (docs/desired-state.md), nothing of how it is reached.

Pure: data in, `Desired` or one clear line a problem out. Reading inventory files is in inventories/, host data of the connector in
connectors/settings.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

SDK_PAGE: Final = "PfWsSdk.asmx"
SITE_NAME: Final = re.compile(r'[^\\/?;:@&=+$,|"<>]+')  # facts/iis.md 3h
WINDOWS_PATH: Final = re.compile(r"[A-Za-z]:[\\/][^\"<>|?*:]*")


def clean_thumbprint(value: Any) -> Any:
    """A thumbprint as Windows shows it: without spaces and the hidden mark that the certificate dialog copies along (facts/iis.md 3m), upper case."""
    if not isinstance(value, str):
        return value
    return re.sub(r"[\s\u200e\u200f\u202a-\u202e\ufeff:]", "", value).upper()


Thumbprint = Annotated[str, BeforeValidator(clean_thumbprint), Field(pattern=r"^[0-9A-F]{40}$")]
Port = Annotated[int, Field(ge=1, le=65535)]


class Part(BaseModel):
    """Base of all parts: nothing unknown, nothing converted, frozen, and no value of a secret in an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Site(Part):
    """The IIS site that holds the Web Service SDK."""

    name: str = "MIM MFASDK"
    path: str = r"C:\inetpub\wwwroot\mfasdk"
    port: Port = 9999
    app_pool: str = "MIM MFASDK"
    host_name: str = ""
    thumbprint: Thumbprint | None = None
    """certificate in LocalMachine\\My; left out here where each MFA server has its own: host data `sdk_certificate`"""

    @field_validator("name", "app_pool")
    @classmethod
    def _site_name(cls, value: str) -> str:
        if not SITE_NAME.fullmatch(value) or value != value.strip():
            raise ValueError('expected a name without \\ / ? ; : @ & = + $ , | " < > and without blanks at its ends')
        return value

    @field_validator("path")
    @classmethod
    def _full_path(cls, value: str) -> str:
        return full_path(value)


class Authentication(Part):
    """How the site asks who calls."""

    anonymous: bool = False
    windows: bool = True
    providers: tuple[Literal["Negotiate", "NTLM", "Negotiate:Kerberos"], ...] = ("Negotiate", "NTLM")

    @field_validator("providers", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _somebody_gets_in(self) -> Authentication:
        if not self.anonymous and not self.windows:
            raise ValueError("anonymous and windows are both off: nobody could log on to the site")
        return self


class Admins(Part):
    """The group whose members may call the SDK, and the account that has to be one."""

    group: str = "PhoneFactor Admins"
    service_account: str

    @field_validator("group")
    @classmethod
    def _group(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("expected the sAMAccountName of a group")
        return value

    @field_validator("service_account")
    @classmethod
    def _account(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("expected an account, like CONTOSO\\mimservice")
        if "/" in value and "=" not in value:
            raise ValueError("expected DOMAIN\\user, with a backslash")
        return value


class Settings(Part):
    """What MfaSettings.xml of the MIM Service says."""

    username: str
    """the imported account, as UPN"""
    sdk_url: str
    unused: Literal["clear", "remove"] = "clear"
    """what happens to LICENSE_KEY, GROUP_KEY, CERT_PASSWORD, CertFilePath"""

    @field_validator("username")
    @classmethod
    def _upn(cls, value: str) -> str:
        if not re.fullmatch(r"[^@\s\\/]+@[^@\s\\/]+\.[^@\s\\/]+", value):
            raise ValueError("expected a UPN, like mimservice@contoso.com")
        return value

    @field_validator("sdk_url")
    @classmethod
    def _url(cls, value: str) -> str:
        match = re.fullmatch(
            r"(?P<scheme>[a-z]+)://(?P<host>[^/:\s]+|\[[0-9a-fA-F:]+\])(:(?P<port>\d+))?(?P<path>/\S*)", value
        )
        if match is None or match["scheme"] != "https":
            raise ValueError(f"expected https://HOST:PORT/.../{SDK_PAGE}")
        if match["port"] is not None and not 1 <= int(match["port"]) <= 65535:  # noqa: PLR2004 - the range of ports
            raise ValueError("its port is not between 1 and 65535")
        if not value.endswith(f"/{SDK_PAGE}"):
            raise ValueError(f"expected an address that ends in /{SDK_PAGE}")
        return value


class Mim(Part):
    """What MIM must be."""

    minimum_build: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+){1,3}$")] = "4.5.202.0"
    service: str = "FIMService"


class Desired(Part):
    """All of it: key `desired` of the group data."""

    site: Site = Site()
    authentication: Authentication = Authentication()
    admins: Admins
    settings: Settings
    mim: Mim = Mim()

    @model_validator(mode="after")
    def _url_is_of_the_site(self) -> Desired:
        port = re.search(r"://[^/]*:(\d+)/", self.settings.sdk_url)
        if (int(port[1]) if port else 443) != self.site.port:
            raise ValueError(f"settings.sdk_url names port {port[1] if port else 443}, site.port is {self.site.port}")
        return self


def full_path(value: str) -> str:
    """A full Windows path, or ValueError."""
    if value.startswith(('"', "'")):
        raise ValueError("expected a path without quotes")
    if not WINDOWS_PATH.fullmatch(value):
        raise ValueError(r"expected a full path, like C:\inetpub\wwwroot\mfasdk")
    return value


def parse(data: Mapping[str, Any]) -> Desired:
    """The desired state. Raises pydantic's ValidationError: `problems_of` has its lines."""
    return Desired.model_validate(data)


def problems_of(data: Any, where: str) -> list[str]:
    """
    What is wrong with a desired state, a line each; [] where nothing is. The value is quoted, unless its name says that it is a secret.

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
    place = ".".join(str(part) for part in error["loc"])
    name = f"{where}.{place}" if place else where
    match error["type"]:
        case "missing":
            return f"{name} is missing"
        case "extra_forbidden":
            known = ", ".join(_fields(error["loc"][:-1]))
            return f"{name} is not known here. Known: {known}"
    reason = error["msg"].removeprefix("Value error, ")
    value: Any = data
    for part in error["loc"]:
        value = (
            value.get(part)
            if isinstance(value, Mapping)
            else value[part]
            if isinstance(value, list | tuple) and isinstance(part, int)
            else None
        )
    if isinstance(value, Mapping) or not place:
        return f"{name}: {reason}"
    return f"{name} is {value!r}: {reason[:1].lower()}{reason[1:]}"


def _fields(place: tuple[int | str, ...]) -> list[str]:
    model: type[BaseModel] = Desired
    for part in place:
        annotation = model.model_fields[str(part)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return sorted(model.model_fields)
