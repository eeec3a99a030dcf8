"""
WinRM shells as messages: SOAP requests in, SOAP answers and faults out. No socket, no thread, no clock, no shell.

Speaks Create, Command, Send, Receive, Signal and Delete of [MS-WSMV] for the cmd shell; every other action or resource is a fault.
lab/shells.py holds the shells and decides; lab/server.py owns sockets. Fault codes: ../shared/facts/winrm.md 8.6 and Microsoft's
wsmerror.h. The reasons are our own words.
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

Stream: TypeAlias = Literal["stdout", "stderr"]

SOAP: Final = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING: Final = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
TRANSFER: Final = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
WSMAN: Final = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
WSMAN_FAULT: Final = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
SHELL: Final = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
CMD: Final = f"{SHELL}/cmd"
ANONYMOUS: Final = f"{ADDRESSING}/role/anonymous"
NAMESPACES: Final = {"s": SOAP, "a": ADDRESSING, "x": TRANSFER, "w": WSMAN, "rsp": SHELL}

FILE_NOT_FOUND: Final = 2
ACCESS_DENIED: Final = 5
BUSY: Final = 170
ABORTED: Final = 995  # the command or its shell ended under a pending operation
RESOURCE_NOT_FOUND: Final = 2150858752
INVALID_ACTION: Final = 2150858753
OPERATION_TIMEOUT: Final = 2150858793  # clients answer it by asking again: "no output yet", not an error
SCHEMA: Final = 2150858817
ENVELOPE_TOO_SMALL: Final = 2150858823
SHELL_NOT_FOUND: Final = 2150858843
MAX_SHELLS: Final = 2150859173
MAX_OPERATIONS: Final = 2150859174

LEAST_ENVELOPE: Final = 8192  # [MS-WSMV] 3.1.4.1.7: a client may not ask for less

_SUBCODES: Final = {
    ACCESS_DENIED: "w:AccessDenied",
    RESOURCE_NOT_FOUND: "a:DestinationUnreachable",
    INVALID_ACTION: "a:ActionNotSupported",
    OPERATION_TIMEOUT: "w:TimedOut",
    SCHEMA: "w:SchemaValidationError",
    ENVELOPE_TOO_SMALL: "w:EncodingLimit",
    SHELL_NOT_FOUND: "w:InvalidSelectors",
    MAX_SHELLS: "w:QuotaLimit",
    MAX_OPERATIONS: "w:QuotaLimit",
}
_DURATION: Final = re.compile(r"P(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.ASCII)


class WsManFaultError(Exception):
    """A request that is answered with a SOAP fault. `code` is what clients decide by; a code without a subcode of its own is an internal error."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True)
class Request:
    """What every request says. `timeout_s` None: the client named no OperationTimeout; `max_envelope` likewise, in bytes."""

    message_id: str
    timeout_s: float | None = None
    max_envelope: int | None = None
    shell: str = ""  # empty only in a Create


@dataclass(frozen=True)
class Create(Request):
    """Open a shell. `idle_timeout_s` None: the server's own."""

    idle_timeout_s: float | None = None
    codepage: int = 437
    working_directory: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Command(Request):
    """Start a command line, joined from Command and Arguments as they stand."""

    line: str = ""
    console_mode_stdin: bool = True  # the default of [MS-WSMV] 2.2.4.26
    skip_cmd_shell: bool = False


@dataclass(frozen=True)
class Send(Request):
    """Bytes for stdin; `end` closes it."""

    command: str = ""
    data: bytes = b""
    end: bool = False


@dataclass(frozen=True)
class Receive(Request):
    """Ask for output."""

    command: str = ""


@dataclass(frozen=True)
class Signal(Request):
    """`code` is `terminate`, `ctrl_c` or `ctrl_break`."""

    command: str = ""
    code: str = ""


@dataclass(frozen=True)
class Delete(Request):
    """Close a shell."""


ACTIONS: Final[Mapping[str, type[Request]]] = {
    f"{TRANSFER}/Create": Create,
    f"{SHELL}/Command": Command,
    f"{SHELL}/Send": Send,
    f"{SHELL}/Receive": Receive,
    f"{SHELL}/Signal": Signal,
    f"{TRANSFER}/Delete": Delete,
}


def parse(body: bytes) -> Request:
    """
    Read one envelope.

    Raises WsManFaultError: SCHEMA for what is not a well-formed request, INVALID_ACTION and RESOURCE_NOT_FOUND for another action or resource,
    ENVELOPE_TOO_SMALL, SHELL_NOT_FOUND where no shell is named.
    """
    envelope = _envelope(body)
    action = _text(envelope, "s:Header/a:Action")
    if action not in ACTIONS:
        raise WsManFaultError(INVALID_ACTION, f"Action {action!r} is not one of a cmd shell.")
    resource = _text(envelope, "s:Header/w:ResourceURI")
    if resource.lower() != CMD:
        raise WsManFaultError(RESOURCE_NOT_FOUND, f"ResourceURI {resource!r} is not here. Expected {CMD}.")
    size = _text(envelope, "s:Header/w:MaxEnvelopeSize")
    if size and not (size.isascii() and size.isdecimal()):
        raise WsManFaultError(SCHEMA, f"MaxEnvelopeSize {size!r} is not a number.")
    if size and int(size) < LEAST_ENVELOPE:
        raise WsManFaultError(ENVELOPE_TOO_SMALL, f"MaxEnvelopeSize is {size}, expected at least {LEAST_ENVELOPE}.")
    timeout = _text(envelope, "s:Header/w:OperationTimeout")
    shells = [
        (selector.text or "").strip()
        for selector in _all(envelope, "s:Header/w:SelectorSet/w:Selector")
        if selector.get("Name", "").lower() == "shellid"
    ]
    kind = ACTIONS[action]
    if kind is not Create and len(shells) != 1:
        raise WsManFaultError(SHELL_NOT_FOUND, f"{len(shells)} ShellId selectors, expected 1.")
    common = _Common(
        message_id=_text(envelope, "s:Header/a:MessageID"),
        timeout_s=parse_duration(timeout) if timeout else None,
        max_envelope=int(size) if size else None,
        shell="" if kind is Create else shells[0].upper(),
    )
    return _PARSERS[kind](envelope, common)


def parse_duration(text: str) -> float:
    """Seconds of an xs:duration of days, hours, minutes and seconds. Anything else, a bare number too, is a SCHEMA fault (winrm.md 3)."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or text.strip() in {"P", ""} or text.strip().endswith("T"):
        raise WsManFaultError(SCHEMA, f"{text!r} is not an xs:duration such as PT60S.")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def action_name(request: Request) -> str:
    """`Create`, `Command`, ...: for logs and hooks."""
    return type(request).__name__


# -- answers --


def created(request: Create, shell: str, idle_timeout_s: float, owner: str) -> bytes:
    """The answer to Create ([MS-WSMV] 3.1.4.5.2)."""
    body = f"""<x:ResourceCreated><a:Address>http://127.0.0.1/wsman</a:Address><a:ReferenceParameters><w:ResourceURI>{CMD}</w:ResourceURI>\
<w:SelectorSet><w:Selector Name="ShellId">{escape(shell)}</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>\
<rsp:Shell><rsp:ShellId>{escape(shell)}</rsp:ShellId><rsp:ResourceUri>{CMD}</rsp:ResourceUri><rsp:Owner>{escape(owner)}</rsp:Owner>\
<rsp:ClientIP>127.0.0.1</rsp:ClientIP><rsp:IdleTimeOut>PT{idle_timeout_s:.3f}S</rsp:IdleTimeOut><rsp:InputStreams>stdin</rsp:InputStreams>\
<rsp:OutputStreams>stdout stderr</rsp:OutputStreams><rsp:ShellRunTime>P0DT0H0M0S</rsp:ShellRunTime>\
<rsp:ShellInactivity>P0DT0H0M0S</rsp:ShellInactivity></rsp:Shell>"""
    return _answer(request, f"{TRANSFER}/CreateResponse", body)


def started(request: Command, command: str) -> bytes:
    """The answer to Command."""
    body = f"<rsp:CommandResponse><rsp:CommandId>{escape(command)}</rsp:CommandId></rsp:CommandResponse>"
    return _answer(request, f"{SHELL}/CommandResponse", body)


def sent(request: Send) -> bytes:
    """The answer to Send."""
    return _answer(request, f"{SHELL}/SendResponse", "<rsp:SendResponse/>")


def received(request: Receive, stdout: bytes, stderr: bytes, exit_code: int | None) -> bytes:
    """The answer to Receive; with an exit code it is the last one: both streams end and the state is Done."""
    command = quoteattr(request.command)
    parts = [
        f'<rsp:Stream Name="{name}" CommandId={command}>{base64.b64encode(data).decode()}</rsp:Stream>'
        for name, data in (("stdout", stdout), ("stderr", stderr))
        if data
    ]
    if exit_code is None:
        parts.append(f'<rsp:CommandState CommandId={command} State="{SHELL}/CommandState/Running"/>')
    else:
        parts += [f'<rsp:Stream Name="{name}" CommandId={command} End="true"/>' for name in ("stdout", "stderr")]
        parts.append(
            f'<rsp:CommandState CommandId={command} State="{SHELL}/CommandState/Done">'
            f"<rsp:ExitCode>{exit_code}</rsp:ExitCode></rsp:CommandState>"
        )
    return _answer(request, f"{SHELL}/ReceiveResponse", f"<rsp:ReceiveResponse>{''.join(parts)}</rsp:ReceiveResponse>")


def room(request: Receive, max_envelope: int) -> int:
    """How many bytes of output fit into one answer of at most `max_envelope` bytes."""
    fixed = len(received(request, b"x", b"x", -(1 << 31)))  # both streams, both ends, the longest exit code
    return max(1, (max_envelope - fixed) // 4 * 3)


def signalled(request: Signal) -> bytes:
    """The answer to Signal."""
    return _answer(request, f"{SHELL}/SignalResponse", "<rsp:SignalResponse/>")


def deleted(request: Delete) -> bytes:
    """The answer to Delete."""
    return _answer(request, f"{TRANSFER}/DeleteResponse", "")


def fault(request: Request | None, error: WsManFaultError, machine: str) -> bytes:
    """The SOAP fault of an error; the server sends it with HTTP status 500. `request` None: it could not be read."""
    subcode = _SUBCODES.get(error.code, "w:InternalError")
    who = "s:Receiver" if subcode in {"w:InternalError", "w:TimedOut"} else "s:Sender"
    body = f"""<s:Fault><s:Code><s:Value>{who}</s:Value><s:Subcode><s:Value>{subcode}</s:Value></s:Subcode></s:Code>\
<s:Reason><s:Text xml:lang="en-US">{_text_of(error.reason)}</s:Text></s:Reason><s:Detail>\
<f:WSManFault xmlns:f="{WSMAN_FAULT}" Code="{error.code}" Machine={quoteattr(machine)}><f:Message>{_text_of(error.reason)}</f:Message>\
</f:WSManFault></s:Detail></s:Fault>"""
    return _answer(request, "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault", body)


def _answer(request: Request | None, action: str, body: str) -> bytes:
    relates = f"<a:RelatesTo>{_text_of(request.message_id)}</a:RelatesTo>" if request and request.message_id else ""
    return (
        f'<s:Envelope xml:lang="en-US" xmlns:s="{SOAP}" xmlns:a="{ADDRESSING}" xmlns:x="{TRANSFER}" xmlns:w="{WSMAN}" xmlns:rsp="{SHELL}">'
        f"<s:Header><a:Action>{action}</a:Action><a:MessageID>uuid:{str(uuid.uuid4()).upper()}</a:MessageID>"
        f"<a:To>{ANONYMOUS}</a:To>{relates}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def _text_of(text: str) -> str:
    """Escaped for an element; what XML cannot hold becomes `?`."""
    return escape(re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text))


# -- requests --


@dataclass(frozen=True)
class _Common:
    message_id: str
    timeout_s: float | None
    max_envelope: int | None
    shell: str


def _envelope(body: bytes) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)
    try:
        envelope = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise WsManFaultError(SCHEMA, f"The request is not XML: {error}") from None
    if envelope.tag != f"{{{SOAP}}}Envelope" or envelope.getroottree().docinfo.internalDTD is not None:
        raise WsManFaultError(SCHEMA, f"The request is {envelope.tag}, expected a SOAP 1.2 envelope without a DTD.")
    return envelope


def _all(element: etree._Element, path: str) -> list[etree._Element]:
    return element.findall(path, NAMESPACES)


def _one(element: etree._Element, path: str) -> etree._Element:
    found = _all(element, path)
    if len(found) != 1:
        raise WsManFaultError(SCHEMA, f"{len(found)} elements {path}, expected 1.")
    return found[0]


def _text(element: etree._Element, path: str) -> str:
    found = _all(element, path)
    return (found[0].text or "").strip() if found else ""


def _options(envelope: etree._Element) -> dict[str, str]:
    found = _all(envelope, "s:Header/w:OptionSet/w:Option")
    return {option.get("Name", "").upper(): (option.text or "").strip() for option in found}


def _flag(text: str) -> bool:
    if text.upper() not in {"TRUE", "FALSE", "1", "0"}:
        raise WsManFaultError(SCHEMA, f"{text!r} is not a boolean.")
    return text.upper() in {"TRUE", "1"}


def _create(envelope: etree._Element, common: _Common) -> Create:
    shell, idle = _one(envelope, "s:Body/rsp:Shell"), _text(envelope, "s:Body/rsp:Shell/rsp:IdleTimeOut")
    codepage = _options(envelope).get("WINRS_CODEPAGE", "437")
    if not (codepage.isascii() and codepage.isdecimal()):
        raise WsManFaultError(SCHEMA, f"WINRS_CODEPAGE {codepage!r} is not a number.")
    return Create(
        **vars(common),
        idle_timeout_s=parse_duration(idle) if idle else None,
        codepage=int(codepage),
        working_directory=_text(shell, "rsp:WorkingDirectory"),
        environment={item.get("Name", ""): item.text or "" for item in _all(shell, "rsp:Environment/rsp:Variable")},
    )


def _command(envelope: etree._Element, common: _Common) -> Command:
    line, options = _one(envelope, "s:Body/rsp:CommandLine"), _options(envelope)
    words = [_one(line, "rsp:Command").text or "", *(item.text or "" for item in _all(line, "rsp:Arguments"))]
    return Command(
        **vars(common),
        line=" ".join(words),
        console_mode_stdin=_flag(options.get("WINRS_CONSOLEMODE_STDIN", "TRUE")),
        skip_cmd_shell=_flag(options.get("WINRS_SKIP_CMD_SHELL", "FALSE")),
    )


def _send(envelope: etree._Element, common: _Common) -> Send:
    stream = _one(envelope, "s:Body/rsp:Send/rsp:Stream")
    if stream.get("Name") != "stdin":
        raise WsManFaultError(SCHEMA, f"Stream {stream.get('Name')!r}, expected stdin.")
    try:
        data = base64.b64decode("".join((stream.text or "").split()), validate=True)
    except ValueError:
        raise WsManFaultError(SCHEMA, "The content of Stream is not base64.") from None
    return Send(**vars(common), command=_command_id(stream), data=data, end=_flag(stream.get("End", "FALSE")))


def _receive(envelope: etree._Element, common: _Common) -> Receive:
    stream = _one(envelope, "s:Body/rsp:Receive/rsp:DesiredStream")
    if not set((stream.text or "").split()) <= {"stdout", "stderr"}:
        raise WsManFaultError(SCHEMA, f"DesiredStream {stream.text!r}, expected stdout and stderr.")
    return Receive(**vars(common), command=_command_id(stream))


def _signal(envelope: etree._Element, common: _Common) -> Signal:
    signal = _one(envelope, "s:Body/rsp:Signal")
    code = _text(signal, "rsp:Code").lower().removeprefix(f"{SHELL}/signal/")
    if code not in {"terminate", "ctrl_c", "ctrl_break"}:
        raise WsManFaultError(SCHEMA, f"Signal {code!r}, expected terminate, ctrl_c or ctrl_break.")
    return Signal(**vars(common), command=_command_id(signal), code=code)


def _delete(envelope: etree._Element, common: _Common) -> Delete:
    _one(envelope, "s:Body")
    return Delete(**vars(common))


def _command_id(element: etree._Element) -> str:
    command = element.get("CommandId", "")
    if not command:
        raise WsManFaultError(SCHEMA, "CommandId is missing.")
    return command.upper()


_PARSERS: Final = {
    Create: _create,
    Command: _command,
    Send: _send,
    Receive: _receive,
    Signal: _signal,
    Delete: _delete,
}
