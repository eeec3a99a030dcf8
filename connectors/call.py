"""
A call to a host as data: verb, arguments, secrets, bytes. No I/O.

What a call looks like in a log is decided here, and nowhere is that text executed; how it travels is in frames.py and session.py.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pyinfra.api import StringCommand
from pyinfra.connectors.util import CommandOutput, OutputLine
from typing_extensions import override

from model.change import MASK
from model.secret import Secret

if TYPE_CHECKING:
    from pyinfra.api import Host, State

Json: TypeAlias = bool | int | str | Sequence["Json"] | Mapping[str, "Json"] | None

READS: Final = ("Get-", "Read-", "Search-", "Test-")
LARGEST: Final = 2**53  # JSON numbers stay exact below it on every reader
SHOWN: Final = 400  # characters of one value in a log line


@dataclass(frozen=True)
class Answer:
    """What a verb answered: its result as docs/verbs.md states it, and the bytes beside it. Its repr holds neither."""

    result: Any
    blob: bytes = b""

    def __repr__(self) -> str:
        return f"Answer(<{len(self.blob)} bytes>)"

    def pack(self) -> str:
        """The one line that a fact gets through pyinfra; `unpack` takes it back."""
        return json.dumps({"result": self.result, "blob": base64.b64encode(self.blob).decode("ascii")})

    @classmethod
    def unpack(cls, line: str) -> Answer:
        """Raises ValueError where the line is not one that `pack` made."""
        try:
            data = json.loads(line)
            return cls(data["result"], base64.b64decode(data["blob"], validate=True))
        except (KeyError, TypeError, binascii.Error) as error:
            raise ValueError("the answer is not one of the connector's") from error


class HostCall(StringCommand):
    """
    One host verb with its arguments (docs/verbs.md). pyinfra passes the object itself to the connector.

    `secrets` travel beside the arguments, which name them as `{"secret": NAME}`; `blob` are bytes beside both. `str` gives a readable
    PowerShell line with secrets masked; so do `repr` and `get_raw_value`, whoever asks.

    Raises ValueError for what does not travel unchanged: an empty key, `__type`, keys equal but for case, integers from 2**53, floats,
    half of a surrogate pair.
    """

    def __init__(
        self, verb: str, /, *, secrets: Mapping[str, Secret] | None = None, blob: bytes = b"", **args: Json
    ) -> None:
        check(args, verb)
        for name, secret in (secrets or {}).items():
            check(secret.reveal(), f"{verb}.{name}")
        self.verb, self.args, self.secrets, self.blob = verb, args, dict(secrets or {}), blob
        super().__init__(*_shown(verb, args, blob))

    @property
    def is_read(self) -> bool:
        """Whether the verb only reads."""
        return self.verb.startswith(READS)

    @property
    def key(self) -> str:
        """Equal for calls that ask the same: what the connector remembers a read by."""
        secrets = {name: hash(secret) for name, secret in self.secrets.items()}
        return json.dumps([self.verb, self.args, secrets, hashlib.sha256(self.blob).hexdigest()], sort_keys=True)

    def payload(self) -> dict[str, Json]:
        """The request without its secrets."""
        return {"verb": self.verb, "args": self.args}

    def revealed(self) -> dict[str, str]:
        """The secrets in clear: for the frame alone."""
        return {name: secret.reveal() for name, secret in self.secrets.items()}

    @override
    def get_raw_value(self) -> str:
        return self.get_masked_value()

    @override
    def __repr__(self) -> str:
        return f"HostCall({self})"


class Dialogue(StringCommand):
    """
    Several reads that depend on one another, told as one command: a fact that needs more than one call.

    `steps` makes a generator that yields `HostCall`s (reads only) and is sent each one's Answer; what it returns is the result that the fact
    gets. An error of a host fails the whole. The connector remembers each read by itself.

        def steps() -> Generator[HostCall, Answer, Json]:
            root = yield HostCall("Search-Directory", ...)
            group = yield HostCall("Search-Directory", ..., base=base_of(root.result))
            return {"root": root.result, "group": group.result}
    """

    def __init__(self, what: str, steps: Callable[[], Generator[HostCall, Answer, Json]]) -> None:
        self.what, self.steps = what, steps
        super().__init__(what)

    @override
    def get_raw_value(self) -> str:
        return self.get_masked_value()

    @override
    def __repr__(self) -> str:
        return f"Dialogue({self.what})"


class Refuse(StringCommand):
    """A command that fails its host without asking it: the clean way to refuse while executing (facts/pyinfra.md 0.2)."""

    def __init__(self, reason: str) -> None:
        super().__init__("refused:", reason)
        self.reason = reason

    @override
    def execute(self, state: State, host: Host, connector_arguments: Any) -> tuple[bool, CommandOutput]:
        return False, CommandOutput([OutputLine("stderr", self.reason)])


def check(value: Any, where: str) -> None:
    """Refuse what JSON between Python and `JsonReaderWriterFactory` would change (docs/verbs.md, Wire). Raises ValueError naming the place."""
    match value:
        case None | bool():
            return
        case str():
            # .NET's reader takes the first half of a pair for a mistake when an escape comes after it.
            if SURROGATE.search(value):
                raise ValueError(f"{where}: a text holds half of a surrogate pair, which is no character")
        case int():
            if abs(value) >= LARGEST:
                raise ValueError(f"{where}: the number {value} does not stay exact in JSON, send it as text")
        case Mapping():
            names = [str(name) for name in value]
            check("".join(names), f"the keys of {where}")
            if "" in names or "__type" in names:
                raise ValueError(f"{where}: an empty key and the key __type are not sent")
            if len({name.casefold() for name in names}) < len(names):
                raise ValueError(f"{where}: two of the keys {', '.join(sorted(names))} differ only in case")
            for name, inner in value.items():
                check(inner, f"{where}.{name}")
        case list() | tuple():
            for index, inner in enumerate(value):
                check(inner, f"{where}[{index}]")
        case _:
            raise ValueError(f"{where}: {type(value).__name__} is not sent, only JSON without fractions is")


def _shown(verb: str, args: Mapping[str, Json], blob: bytes) -> list[str]:
    parts = [verb]
    for name, value in args.items():
        text = literal(value)
        if len(text) > SHOWN:
            text = f"{text[:SHOWN]}...<{len(text)} characters>"
        parts.append(f"-{''.join(word.capitalize() for word in name.split('_'))} {text}")
    if blob:
        parts.append(f"-Bytes <{len(blob)} bytes>")
    return parts


SURROGATE: Final = re.compile("[\ud800-\udfff]")

# PowerShell takes these for the ASCII quotes (about_Quoting_Rules; language specification 2.3.5.2).
SINGLE: Final = "'\u2018\u2019\u201a\u201b"
DOUBLE: Final = '"\u201c\u201d\u201e'
ESCAPES: Final = {0: "`0", 7: "`a", 8: "`b", 9: "`t", 10: "`n", 11: "`v", 12: "`f", 13: "`r"}


def literal(value: Json) -> str:
    """
    One value as PowerShell would write it, on one line. For display only: nothing executes it.

    A secret reference shows as a mask.
    """
    match value:
        case None:
            return "$null"
        case bool():
            return "$true" if value else "$false"
        case int():
            return str(value)
        case str():
            return _quoted(value)
        case Mapping():
            if value.keys() == {"secret"}:
                return MASK
            return "@{" + "; ".join(f"{_quoted(str(key))} = {literal(inner)}" for key, inner in value.items()) + "}"
        case _:
            return "@(" + ", ".join(literal(inner) for inner in value) + ")"


def _quoted(text: str) -> str:
    if text.isprintable():
        return "'" + "".join(char * 2 if char in SINGLE else char for char in text) + "'"
    return '"' + "".join(_escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    if char in DOUBLE or char in "`$":
        return f"`{char}"
    if char.isprintable():
        return char
    if ord(char) in ESCAPES:
        return ESCAPES[ord(char)]
    units = char.encode("utf-16-le", "surrogatepass")
    return "".join(f"$([char]0x{int.from_bytes(units[at : at + 2], 'little'):x})" for at in range(0, len(units), 2))
