"""
pyinfra's connector `@winrm`: which calls may go to a host, and how pyinfra is answered.

It never raises into pyinfra: an exception that escapes ends the run for every host (facts/pyinfra.md 0.2).
How a call travels is in session.py, files in transfer.py. What frames carry is never printed, at no verbosity.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Iterator
from io import IOBase
from typing import Any, Final, TypeVar

from gevent.lock import RLock
from pyinfra import logger
from pyinfra.api import StringCommand
from pyinfra.api.arguments import ConnectorArguments
from pyinfra.api.exceptions import ConnectError, InventoryError
from pyinfra.api.output import echo, format_text
from pyinfra.connectors.base import BaseConnector, ConnectorData, DataMeta
from pyinfra.connectors.util import CommandOutput, OutputLine
from typing_extensions import Unpack, override

from connectors import transfer
from connectors.call import Answer, Dialogue, HostCall, Refuse
from connectors.errors import ConnectorError, FailedError
from connectors.session import Session
from connectors.settings import KEYS, WinrmSettings, settings_of
from model.secret import Secret

T = TypeVar("T")
NOT_ON_WINDOWS: Final = ("_sudo", "_su_user", "_doas", "_dzdo", "_chdir", "_env", "_stdin")


class WinrmData(ConnectorData):
    """Types of the host data, for pyinfra's own check; ours (connectors/settings.py) is closer and comes with the inventory."""

    winrm_hostname: str
    winrm_port: int
    winrm_scheme: str
    winrm_transport: str
    winrm_user: str
    winrm_password: str | Secret
    winrm_ca: str
    winrm_verify: bool
    winrm_certificate: str
    winrm_certificate_key: str
    winrm_connect_timeout: int
    winrm_operation_timeout: int
    winrm_mode: str
    winrm_read_only: bool


class WinrmConnector(BaseConnector):
    """
    Windows hosts over WinRM: one warm PowerShell a host, calls as data.

    Inventory lines are ``("@winrm/mfa01", {"winrm_hostname": "mfa01.contoso.com", "winrm_user": "CONTOSO\\\\admin"})``; the keys are in the README.
    """

    handles_execution = True
    data_cls = WinrmData
    data_meta = {  # noqa: RUF012 - pyinfra's base class says dict
        key: DataMeta(WinrmSettings.model_fields[key.removeprefix("winrm_")].description or key, None) for key in KEYS
    }
    __examples_doc__ = "pyinfra @winrm/mfa01 fact facts.windows.HostInfo"
    takes_calls = True  # as data; a connector that gives their text to a shell is asked nothing (facts/base.py)

    def __init__(self, state: Any, host: Any) -> None:
        super().__init__(state, host)
        ask_nobody(state)
        self._lock = RLock()
        self._session: Session | None = None
        self._memo: dict[str, Answer] = {}
        self._stage: object = None

    @staticmethod
    @override
    def make_names_data(name: str | None = None) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        if not name:
            raise InventoryError("@winrm needs a host: @winrm/mfa01")
        yield name, {"winrm_hostname": name}, ["@winrm"]

    @override
    def connect(self) -> None:
        """Raises ConnectError, which pyinfra prints, and which fails this host alone."""
        ok, text = self._guarded(self._open)
        if not ok:
            raise ConnectError(text)

    @override
    def disconnect(self) -> None:
        self._guarded(self._close)

    @override
    def run_shell_command(
        self,
        command: StringCommand,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Unpack[ConnectorArguments],
    ) -> tuple[bool, CommandOutput]:
        if print_input:
            echo(f"{self.host.print_prefix}>>> {command}", err=True)
        ok, text = self._guarded(lambda: self._answer(command, dict(arguments)).pack())
        lines = [text] if ok else text.splitlines()
        if print_output:
            shown = [f"answered, {len(text)} characters"] if ok else [format_text(line, "red") for line in lines]
            for line in shown:
                echo(f"{self.host.print_prefix}{line}", err=True)
        return ok, CommandOutput([OutputLine("stdout" if ok else "stderr", line) for line in lines])

    @override
    def put_file(
        self,
        filename_or_io: str | IOBase,
        remote_filename: str,
        remote_temp_filename: str | None = None,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Unpack[ConnectorArguments],
    ) -> bool:
        """Put a file there, whole or not at all; a file with this content is left alone."""
        return self._transfer(
            f"put {remote_filename}",
            print_output or print_input,
            lambda: self._put(filename_or_io, remote_filename, arguments),
        )

    @override
    def get_file(
        self,
        remote_filename: str,
        filename_or_io: str | IOBase,
        remote_temp_filename: str | None = None,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Unpack[ConnectorArguments],
    ) -> bool:
        """Get a file from there, whole or not at all."""
        return self._transfer(
            f"get {remote_filename}",
            print_output or print_input,
            lambda: self._get(remote_filename, filename_or_io, arguments),
        )

    # -- inside: these raise ConnectorError --

    def _open(self) -> str:
        try:
            settings = settings_of(self.host.name, self.host.data.dict(), ask=ask_password)
        except ValueError as error:  # our own words, without a secret
            raise FailedError(str(error)) from None
        session = Session(settings)
        try:
            session.open()
        except BaseException:
            session.close()  # pyinfra does not call disconnect after a failed connect
            raise
        self._session = session
        return ""

    def _close(self) -> str:
        session, self._session = self._session, None
        if session is not None:
            session.close()
        return ""

    def _answer(self, command: StringCommand, arguments: dict[str, Any]) -> Answer:
        refuse_arguments(arguments)
        timeout_s = arguments.get("_timeout") or None
        with self._lock:
            match command:
                case HostCall():
                    return self._call(command, timeout_s)
                case Dialogue():
                    return self._converse(command, timeout_s)
                case Refuse():
                    raise FailedError(command.reason)
                case _:
                    raise FailedError(
                        "this host is Windows over @winrm and takes host verbs only, no shell command: use the operations and facts of this project"
                    )

    def _converse(self, dialogue: Dialogue, timeout_s: float | None) -> Answer:
        steps = dialogue.steps()
        try:
            call = next(steps)
            while True:
                if not call.is_read:
                    raise FailedError(f"{call.verb} in {dialogue}: a fact only reads")
                call = steps.send(self._call(call, timeout_s))
        except StopIteration as end:
            return Answer(end.value)

    def _call(self, call: HostCall, timeout_s: float | None) -> Answer:
        session = self._connected()
        stage = (self.state.current_stage, self.state.is_executing)
        if stage != self._stage or not call.is_read:
            self._memo.clear()
            self._stage = stage
        if not call.is_read:
            self._may_write(call.verb)
            return session.call(call, timeout_s)
        if (known := self._memo.get(call.key)) is None:
            known = self._memo[call.key] = session.call(call, timeout_s)
        return known

    def _connected(self) -> Session:
        if self._session is None:
            raise FailedError("not connected")
        return self._session

    def _may_write(self, what: str) -> None:
        if not self.state.is_executing:
            raise FailedError(f"{what} writes, and pyinfra is not executing: refused, nothing was sent")
        if self.host.data.get("winrm_read_only"):
            raise FailedError(f"{what} writes, and winrm_read_only is set for this host: refused, nothing was sent")

    def _put(self, source: str | IOBase, path: str, arguments: ConnectorArguments) -> str:
        refuse_arguments(dict(arguments))
        timeout_s = arguments.get("_timeout") or None
        with self._lock:
            session = self._connected()
            self._may_write(f"put {path}")
            with session.unbroken():
                return transfer.put(lambda call: self._call(call, timeout_s), source, path, whole=session.batch)

    def _get(self, path: str, target: str | IOBase, arguments: ConnectorArguments) -> str:
        refuse_arguments(dict(arguments))
        timeout_s = arguments.get("_timeout") or None
        with self._lock:
            session = self._connected()
            # Not through the memo: the blocks of a file are not worth keeping.
            return transfer.get(lambda call: session.call(call, timeout_s), path, target)

    def _transfer(self, what: str, talk: bool, action: Callable[[], str]) -> bool:
        ok, text = self._guarded(action)
        if not ok:
            logger.error("%s%s", self.host.print_prefix, format_text(f"{what}: {text}", "red"))
        elif talk:
            echo(f"{self.host.print_prefix}{what}: {text}", err=True)
        return ok

    def _guarded(self, action: Callable[[], str]) -> tuple[bool, str]:
        """The answer of `action`, or False and why: nothing escapes into pyinfra."""
        try:
            return True, action()
        except ConnectorError as error:
            return False, str(error)
        except Exception as error:  # noqa: BLE001 - it would end the run for every host; the text of an unknown exception may hold anything
            return (
                False,
                f"a defect of the connector ({type(error).__name__}); please report it, with the steps that lead here",
            )


def refuse_arguments(arguments: dict[str, Any]) -> None:
    """Refuse by name what makes no sense on Windows, instead of ignoring it. Raises FailedError."""
    for name in NOT_ON_WINDOWS:
        if arguments.get(name):
            raise FailedError(f"{name} has no meaning on Windows over @winrm: leave it out")


_asked: Final[dict[str, str]] = {}  # an account of a domain is asked for once, not once for each of fifty hosts


def ask_nobody(state: Any) -> None:
    """
    Without a terminal there is nobody to answer pyinfra's "One of more hosts failed, continue?": it would end a dry run in a traceback
    (facts/pyinfra.md 0.9). The other hosts then go on, as with ``-y``; nothing is executed without ``-y`` all the same, since that question stays.
    """
    if state.should_raise_failed_hosts is not None and not (sys.stdin is not None and sys.stdin.isatty()):
        state.should_raise_failed_hosts = None
        state.config.FAIL_PERCENT = None


def ask_password(user: str, hostname: str) -> str:
    """Ask at a terminal, where there is one; else the empty text."""
    if user in _asked:
        return _asked[user]
    if sys.stdin is None or not sys.stdin.isatty():
        return ""
    of_domain = "@" in user or ("\\" in user and not user.startswith(".\\"))
    try:
        text = getpass.getpass(f"Password of {user}: " if of_domain else f"Password of {user} on {hostname}: ")
    except (EOFError, OSError):
        return ""
    if of_domain:
        _asked[user] = text
    return text
