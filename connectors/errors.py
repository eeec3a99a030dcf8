"""
What went wrong, in words that say what to do. No I/O.

Exceptions of pywinrm, requests and the sockets come in, our own few come out; the table of faults is facts/winrm.md 8.6. Our texts are built anew and
never hold what an exception carries: requests keeps headers and bodies in its exceptions, and those hold secrets.
"""

from __future__ import annotations

import re
import socket
from typing import Final

import requests
from winrm.exceptions import (
    InvalidCredentialsError,
    WinRMError,
    WinRMOperationTimeoutError,
    WinRMTransportError,
    WSManFaultError,
)

from connectors.call import READS
from connectors.settings import WinrmSettings
from model.error import HostError

# A directory verb's own text ends with them.
SAID_NUMBERS: Final = re.compile(r" \(LDAP [0-9]+(, Windows [0-9A-F]+)?\)$")
NOT_PASSED_ON: Final = 82  # facts/ad.md: the logon has no second hop
NOT_AUTHENTICATED: Final = 0x4DC
NOT_SERVED: Final = 0x800706BA  # facts/iis.md 3 k: the services of IIS do not run


class ConnectorError(Exception):
    """Base of all that follows: `str` is for the user, without a secret."""


class PendingError(ConnectorError):
    """No output within the operation timeout: ask again."""


class LostError(ConnectorError):
    """The connection broke, or a request timed out: the far end may still be there, the same numbered request may be sent again."""


class GoneError(ConnectorError):
    """The process or its shell is gone."""


class TooLargeError(ConnectorError):
    """The host takes smaller messages than this one (MaxEnvelopeSizekb)."""


class QuotaError(ConnectorError):
    """A quota of the host: some seconds, or a new shell, may help once."""


class FailedError(ConnectorError):
    """Everything that trying again does not mend."""


class VerbError(ConnectorError):
    """A host verb answered an error: the data is in `error`."""

    def __init__(self, error: HostError) -> None:
        super().__init__(words(error))
        self.error = error


class OutcomeUnknownError(ConnectorError):
    """The process was lost during a write: whether it happened cannot be told, the next run compares and knows."""


class CallTimeoutError(ConnectorError):
    """A call took longer than it may. Its process was ended."""


FAULT_TIMEOUT: Final = 2150858793
FAULT_SHELL_NOT_FOUND: Final = 2150858843
FAULT_ABORTED: Final = 995
FAULT_BUSY: Final = 170
FAULT_DENIED: Final = 5
FAULT_PROFILE: Final = 2147943418
TOO_LARGE_FAULTS: Final = frozenset({2150858823, 2150858824, 2150858825})

SHELLS: Final = 'winrm set winrm/config/winrs @{MaxShellsPerUser="100"}'
OPERATIONS: Final = 'winrm set winrm/config/service @{MaxConcurrentOperationsPerUser="4294967295"}'
USERS: Final = 'winrm set winrm/config/winrs @{MaxConcurrentUsers="50"}'
# Code to the quota's name and the command that raises it; "" where none does.
QUOTAS: Final = {
    2150859173: ("MaxShellsPerUser", f"{SHELLS}; shells of old runs end by themselves"),
    2150859236: ("MaxShellsPerUser (plug-in)", SHELLS),
    2150859238: ("MaxShellsPerUser (plug-in)", SHELLS),
    2150859174: ("MaxConcurrentOperationsPerUser", OPERATIONS),
    2150859239: ("MaxConcurrentOperationsPerUser (plug-in)", OPERATIONS),
    2150859240: ("MaxConcurrentOperationsPerUser (plug-in)", OPERATIONS),
    2150859241: ("MaxConcurrentCommandsPerShell (plug-in)", OPERATIONS),
    2150859175: ("of load for this user", ""),
    2150859176: ("of load for the system", ""),
    2150859242: ("of load", ""),
    2150859179: ("MaxConcurrentUsers", USERS),
    2150859237: ("MaxConcurrentUsers (plug-in)", USERS),
    2150858815: ("(winrm get winrm/config shows which there are)", ""),
}
UNAUTHORIZED: Final = 401
BAD_REQUEST: Final = 400
TOO_LARGE: Final = 413
SERVER_ERROR: Final = 500


def translate(error: BaseException, settings: WinrmSettings, doing: str) -> ConnectorError:  # noqa: C901, PLR0911 - one table
    """
    One of our exceptions for whatever a call of pywinrm raised.

    + doing: ``open_shell``, ``run``, ``send``, ``receive``, ``signal``, ``close``: the same fault means different things
    """
    match error:
        case ConnectorError():
            return error
        case WinRMOperationTimeoutError():
            return (
                PendingError("no output yet")
                if doing == "receive"
                else LostError(f"{settings.address} did not take a request in time")
            )
        case WSManFaultError():
            return _fault(error, settings)
        case InvalidCredentialsError():
            return FailedError(_refused_login(settings))
        case WinRMError() if "not installed" in str(error):
            return FailedError(
                f"transport {settings.transport} needs more packages here: "
                f".venv/bin/pip install --constraint constraints.txt -e '.[{settings.transport}]'"
            )
        case WinRMTransportError():
            return _status(int(error.code), settings)
        case requests.exceptions.SSLError():
            return FailedError(_tls(error, settings))
        case requests.exceptions.TooManyRedirects():
            return FailedError(
                f"{settings.address} redirects to another address: that is not WinRM, nothing was sent there"
            )
        case requests.exceptions.Timeout():
            return LostError(f"{settings.address} accepted the connection but did not answer in time")
        case requests.exceptions.ConnectionError() | ConnectionError() | TimeoutError() | socket.gaierror():
            return LostError(f"the connection to {settings.address} broke")
        case OSError() if "CA certificate bundle" in str(error):
            return FailedError(f"winrm_ca is {settings.ca!r}: there is no such file")
        case OSError():
            return LostError(f"the connection to {settings.address} failed")
        case UnicodeEncodeError():  # its repr holds the password (facts/winrm.md 4)
            return FailedError(
                f"user or password for {settings.address} has a character that {settings.transport} cannot send"
            )
        case _:
            return FailedError(
                f"{settings.address} gave an answer that is not WinRM's ({type(error).__name__}). Is another service on that port?"
            )


def unreachable(error: OSError, settings: WinrmSettings) -> FailedError:
    """Why the first TCP connection failed."""
    match error:
        case socket.gaierror():
            return FailedError(
                f"host {settings.hostname} not found: check winrm_hostname, or the name server of this machine"
            )
        case ConnectionRefusedError():
            return FailedError(
                f"{settings.address} refuses the connection: nothing listens there. On the host: winrm enumerate winrm/config/listener; "
                f"winrm_port is {settings.port} ({settings.scheme})"
            )
        case TimeoutError():
            return FailedError(
                f"{settings.address} does not answer within {settings.connect_timeout} s: a firewall on the way, or the host is off. "
                "winrm_connect_timeout makes the wait longer"
            )
        case OSError():
            return FailedError(f"{settings.address} cannot be reached: {error.strerror or type(error).__name__}")


def words(error: HostError) -> str:
    """
    An error of a verb, in one line: what, where, why. Only its own call is known to have written nothing: one before it may have, a backup perhaps.
    """
    numbers = "".join(
        f", {name} {value}"
        for name, value in (("LDAP", error.ldap), ("win32", None if error.win32 is None else f"{error.win32:04X}"))
        if value is not None
    )
    code = f" (0x{error.hresult:08X}{numbers})" if error.hresult is not None else f" ({numbers[2:]})" if numbers else ""
    untouched = "" if error.what.startswith(READS) else " This call wrote nothing."
    hint = {
        "conflict": " It changed since it was read; this call wrote nothing. Run again.",
        "locked": f" Another process holds it.{untouched}",
        "denied": untouched,
        "timeout": " Run again to see what it is now.",
        "unknown": " What it is now is not known: run again, every operation compares first." if untouched else "",
    }.get(error.kind, "")
    if error.hresult == NOT_SERVED:
        hint = " Start both, run again."
    if error.ldap == NOT_PASSED_ON or (error.ldap, error.win32) == (1, NOT_AUTHENTICATED):
        hint += " Give directory_user and directory_password in its host data."
    why = SAID_NUMBERS.sub("", error.why.rstrip("."))
    return f"{error.what} {error.where}: {why}{code} [{error.kind}].{hint}"


def cannot_run(text: str) -> FailedError:
    """The far end said that it cannot run our script."""
    if text.endswith("Language"):
        return FailedError(
            f"the host's policy (AppLocker or WDAC) allows only {text}: the host verbs need FullLanguage. "
            "Exempt the account that pyinfra logs on with"
        )
    return FailedError(f"the host's PowerShell did not start the verbs: {text}")


def _fault(error: WSManFaultError, settings: WinrmSettings) -> ConnectorError:
    code = error.wsman_fault_code or error.wmierror_code or 0
    if code in {FAULT_SHELL_NOT_FOUND, FAULT_ABORTED, FAULT_PROFILE}:
        return GoneError("the session was closed by the host")
    if code == FAULT_BUSY:
        return LostError(f"{settings.address} is still busy with the request before")
    if code == FAULT_TIMEOUT:
        return PendingError("no output yet")
    if code in TOO_LARGE_FAULTS:
        return TooLargeError("the message is larger than the host takes")
    if code in QUOTAS:
        name, how = QUOTAS[code]
        way = f"An administrator of that host can raise it: {how}" if how else "Try again later"
        return QuotaError(f"{settings.address} refuses {settings.user} by its quota {name}. {way}")
    if code == FAULT_DENIED:
        return FailedError(
            f"{settings.address} denies {settings.user} a shell: the account must be an administrator there; "
            "a local account other than Administrator also needs LocalAccountTokenFilterPolicy=1"
        )
    if code == 2150859180:  # noqa: PLR2004 - ERROR_WSMAN_REMOTESHELLS_NOT_ALLOWED
        return FailedError(f"remote shells are switched off on {settings.hostname} by policy (AllowRemoteShellAccess)")
    return FailedError(f"{settings.address} answered fault {code} (0x{code:08X})")


def _status(code: int, settings: WinrmSettings) -> ConnectorError:
    encrypted = settings.scheme == "http"
    if code == TOO_LARGE:
        return TooLargeError("the message is larger than the host takes")
    if code == BAD_REQUEST and encrypted:
        # A request sealed for a connection that is gone (facts/winrm.md 0.3).
        return LostError(f"the encrypted connection to {settings.address} was replaced")
    if code == SERVER_ERROR and encrypted:
        return FailedError(
            f"{settings.address} refuses the message: over http WinRM takes encrypted ones only. Use https, or transport ntlm"
        )
    if code == UNAUTHORIZED:
        return FailedError(_refused_login(settings))
    return FailedError(f"{settings.address} answered HTTP {code}: is it WinRM that listens there, or a proxy?")


def _refused_login(settings: WinrmSettings) -> str:
    basic = (
        " Basic may be switched off there (winrm get winrm/config/service/auth)."
        if settings.transport == "basic"
        else ""
    )
    return (
        f"{settings.address} refuses the login of {settings.user} ({settings.transport}): wrong user or password, or the account may not log on. "
        f"Write DOMAIN\\user or user@domain.{basic} It is not tried again on this host, so that the account is not locked out so soon"
    )


def _tls(error: requests.exceptions.SSLError, settings: WinrmSettings) -> str:
    # OpenSSL's own reasons are constants of the library, not translated; nothing of the exception's text is passed on but the name in a mismatch.
    text = str(error)
    if "WRONG_VERSION_NUMBER" in text:
        return f"{settings.address} does not speak TLS: that port is http's. Use port 5986, or winrm_scheme http with transport ntlm"
    if settings.ca and ("[X509" in text or "[PEM" in text):
        return f"winrm_ca is {settings.ca!r}: that file holds no certificate in PEM form"
    if "CERTIFICATE_VERIFY_FAILED" in text:
        if mismatch := re.search(r"certificate is not valid for '([^']*)'", text):
            return (
                f"the certificate of {settings.address} is for another name, not for {mismatch[1]!r}: "
                "connect by the name in the certificate (winrm_hostname)"
            )
        if "has expired" in text:
            return f"the certificate of {settings.address} has expired: renew it on the host"
        trust = f"winrm_ca is {settings.ca!r}" if settings.ca else "winrm_ca is not set"
        return f"the certificate of {settings.address} is not trusted: give its certificate authority as winrm_ca (a PEM file; {trust})"
    return f"TLS with {settings.address} failed"
