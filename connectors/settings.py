"""
The host data of `@winrm`, checked: what an inventory may say of how a host is reached. No I/O.

Where it is read from is in winrm.py, the check of whole inventories in inventory.py.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from model.forms import canonical_host, check_seen
from model.problems import between, line, unknown
from model.secret import Secret

PASSWORD_VARIABLE: Final = "WINRM_PASSWORD"  # noqa: S105 - the name of an environment variable
CATALOG_PORTS: Final = (3268, 3269)
HTTPS_PORT, HTTP_PORT = 5986, 5985


class _Settings(BaseModel):
    """Base of both: nothing unknown, nothing converted, no text with characters that nobody sees, no value of a secret in an error."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    @field_validator("*")
    @classmethod
    def _seen(cls, value: Any) -> Any:
        if isinstance(value, str):
            check_seen(value)
        return value


class WinrmSettings(_Settings):
    """How one host is reached. Field names are the host data keys without ``winrm_``; the README's table is made from this."""

    hostname: str
    """name or address to connect to; default: the host's name in the inventory"""
    port: Annotated[int, between(1, 65535)] = 0  # 0 stands for the default of the scheme, see below
    """TCP port; default 5986, 5985 for http"""
    scheme: Literal["https", "http"] = "https"
    """``https``, or ``http`` with message encryption"""
    transport: Literal["ntlm", "basic", "kerberos", "certificate"] = "ntlm"
    """how to log on; ``basic`` over https only; ``kerberos`` and ``certificate`` are passed through, not proven yet"""
    user: str = ""
    """``DOMAIN\\user`` or ``user@domain``"""
    password: Secret = Secret("")
    """its password; better left out and given in the environment variable ``WINRM_PASSWORD`` or at the prompt"""
    ca: str = ""
    """file (PEM) of the certificate authority to trust; default: the public ones that come with Python's certifi"""
    verify: bool = True
    """whether the host's certificate is checked"""
    certificate: str = ""
    """client certificate (PEM) for transport ``certificate``"""
    certificate_key: str = ""
    """its key (PEM)"""
    connect_timeout: Annotated[int, between(1, 300)] = 5
    """seconds until a silent port is given up"""
    operation_timeout: Annotated[int, between(1, 55)] = 20
    """seconds that the host may hold one request open; a longer call asks again"""
    mode: Literal["auto", "warm", "batch"] = "auto"
    """``warm``: one PowerShell for the whole run; ``batch``: one a call; ``auto``: warm, and batch where warm does not start"""
    read_only: bool = False
    """refuse every verb that writes; a dry run shows what would change all the same"""

    @model_validator(mode="before")
    @classmethod
    def _port_of_scheme(cls, data: Any) -> Any:
        if isinstance(data, dict) and "port" not in data:
            return data | {"port": default_port(data.get("scheme"))}
        return data

    @field_validator("hostname")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not value or re.search(r"[/\s@]", value):
            raise ValueError("expected a host name or an address, without http:// and without a path")
        if not re.fullmatch(r"\[[0-9A-Fa-f:.]+\]|[^\[\]:]+", value) and not re.fullmatch(
            r"[0-9A-Fa-f]*(:[0-9A-Fa-f.]*){2,}", value
        ):
            raise ValueError("expected a host name or an address; the port is winrm_port")
        if ":" not in value and not _is_host(value):
            raise ValueError("expected a host name or an address")
        return value

    @field_validator("user")
    @classmethod
    def _user_form(cls, value: str) -> str:
        if "/" in value:
            raise ValueError("expected DOMAIN\\user or user@domain, with a backslash")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> WinrmSettings:
        if self.scheme == "http" and self.transport == "basic":
            raise ValueError("basic over http would send the password in clear: use https, or transport ntlm")
        if self.scheme == "http" and self.transport == "certificate":
            raise ValueError("a client certificate needs https")
        if self.transport == "certificate" and not (self.certificate and self.certificate_key):
            raise ValueError("transport certificate needs winrm_certificate and winrm_certificate_key")
        return self

    @property
    def address(self) -> str:
        """Host and port in messages."""
        return f"{self.hostname}:{self.port}"

    @property
    def endpoint(self) -> str:
        """The WS-Management address."""
        name = f"[{self.hostname}]" if ":" in self.hostname and not self.hostname.startswith("[") else self.hostname
        return f"{self.scheme}://{name}:{self.port}/wsman"


class DirectorySettings(_Settings):
    """How a host reaches the directory: host data keys without ``directory_``, all optional. The default is the logon, signed and sealed."""

    server: str = ""
    """DNS name of a domain controller, or a name that leads to one, which is then kept until the run ends; default: the host finds one"""
    port: Annotated[int, between(1, 65535)] = 389
    """TCP port, not one of the global catalog, which takes no changes; default 389, 636 with TLS"""
    tls: bool = False
    """LDAPS, with the host's trusted authorities"""
    user: str = ""
    """``DOMAIN\\user``, UPN or DN; default: the logon. From a member server the logon does not reach another host: a credential is needed"""
    password: Secret = Secret("")
    """its password"""

    @model_validator(mode="before")
    @classmethod
    def _port_of_tls(cls, data: Any) -> Any:
        if isinstance(data, dict) and "port" not in data:
            return data | {"port": 636 if data.get("tls") is True else 389}
        return data

    @field_validator("port")
    @classmethod
    def _takes_changes(cls, value: int) -> int:
        if value in CATALOG_PORTS:
            raise ValueError("expected 389, with TLS 636: the global catalog takes no changes")
        return value

    @model_validator(mode="after")
    def _whole_credential(self) -> DirectorySettings:
        if bool(self.user) != bool(self.password):
            raise ValueError("directory_user and directory_password belong together: give both or none")
        return self


def _is_host(name: str) -> bool:
    name = name.removesuffix(".")  # that of a whole name
    try:
        return not name.endswith(".") and canonical_host(name) != "" and "*" not in name
    except ValueError:
        return False


def default_port(scheme: object) -> int:
    """The port of a host that names none; of no scheme, or one that is not known, that of https."""
    return HTTP_PORT if scheme == "http" else HTTPS_PORT


KEYS: Final = tuple(f"winrm_{name}" for name in WinrmSettings.model_fields)


def problems_of(host_name: str, data: Mapping[str, Any]) -> list[str]:
    """What is wrong with the `winrm_*` keys of one host, a line each, `winrm_port is 0, expected ...`; [] where nothing is. Never quotes a secret."""
    return _problems(WinrmSettings, "winrm_", data, {"hostname": host_name})


def directory_problems_of(data: Mapping[str, Any]) -> list[str]:
    """The same for the `directory_*` keys."""
    return _problems(DirectorySettings, "directory_", data, {})


def directory_settings_of(data: Mapping[str, Any]) -> DirectorySettings:
    """How a host reaches the directory. Raises ValueError with one line a problem."""
    if problems := directory_problems_of(data):
        raise ValueError("; ".join(problems))
    return DirectorySettings.model_validate(_given("directory_", data))


def _given(prefix: str, data: Mapping[str, Any]) -> dict[str, Any]:
    return {str(key).removeprefix(prefix): value for key, value in data.items() if str(key).startswith(prefix)}


def _problems(model: type[BaseModel], prefix: str, data: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[str]:
    given = {**defaults, **_given(prefix, data)}
    try:
        model.model_validate(given)
    except ValidationError as error:
        known = sorted(prefix + name for name in model.model_fields)
        return list(
            dict.fromkeys(_line(e, given, prefix, known) for e in error.errors(include_url=False, include_input=False))
        )
    return []


def settings_of(
    host_name: str,
    data: Mapping[str, Any],
    *,
    environment: Mapping[str, str] | None = None,
    ask: Callable[[str, str], str] | None = None,
) -> WinrmSettings:
    """
    The settings of a host; a password that is not in the data comes from the environment, else from `ask` (user, address).

    Raises ValueError with one line a problem.
    """
    if problems := problems_of(host_name, data):
        raise ValueError("; ".join(problems))
    settings = WinrmSettings.model_validate({"hostname": host_name} | _given("winrm_", data))
    if settings.password or settings.transport in {"kerberos", "certificate"}:
        return settings
    text = (os.environ if environment is None else environment).get(PASSWORD_VARIABLE, "")
    if not text and settings.user and ask is not None:
        text = ask(settings.user, settings.hostname)
    if not settings.user or not text:
        missing = (
            "winrm_user"
            if not settings.user
            else f"winrm_password, {PASSWORD_VARIABLE} in the environment, or a terminal to ask at"
        )
        raise ValueError(f"no credential for {settings.transport}: expected {missing}")
    return settings.model_copy(update={"password": Secret(text)})


def _line(error: ErrorDetails, given: Mapping[str, Any], prefix: str, known: Sequence[str]) -> str:
    place = str(error["loc"][0]) if error["loc"] else ""
    if not place:
        return error["msg"].removeprefix("Value error, ")
    key = prefix + place
    if error["type"] == "extra_forbidden":
        return f"{key} {unknown(key, known)}"
    if place == "password":
        value = given.get(place)
        kind = f"Secret of {type(value.reveal()).__name__}" if isinstance(value, Secret) else type(value).__name__
        return f"{key} is of type {kind}, expected a text"
    return line(
        key,
        error,
        given.get(place),
        secret=lambda value: isinstance(value, str) and "@" in value and place == "hostname",
    )
