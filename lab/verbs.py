"""
The verbs of the python engine: which there are, how arguments bind, how errors become data (docs/verbs.md, Errors).

What a verb does is in its family: files.py, windows.py, iis.py, directory.py. How a request comes in is in frames.py and python_process.py.

A family module has `VERBS`, verb name to a function `f(machine, *, <arguments as on the wire>, [blob], [secrets], [session]) -> Result`.
The annotations of its arguments are what is checked: a default makes one optional, another type is `invalid`. What it may use of
the machine is in python_engine.py: `machine.disk` (files), `machine.state` (documents), `machine.clock`.
"""

from __future__ import annotations

import inspect
import sys
import threading
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from lab.python_engine import PythonMachine

ErrorKind: TypeAlias = Literal[
    "missing", "conflict", "locked", "invalid", "denied", "busy", "not-installed", "ambiguous", "timeout", "unknown"
]
Result: TypeAlias = dict[str, Any]
Verb: TypeAlias = Callable[..., Result]

READS: Final = ("Get-", "Read-", "Search-", "Test-")
FAMILIES: Final = ("lab.files", "lab.windows", "lab.iis", "lab.directory")
# They hold the machine whose directory it is, which may be another: held twice, two domain controllers that ask each other would wait for ever.
UNHELD: Final = frozenset({"Search-Directory", "Edit-Directory"})
CONTEXT: Final = frozenset({"blob", "secrets", "session"})  # given by the caller of a verb, never an argument


class VerbError(Exception):
    """
    What a verb could not do, as data. Raise it from a family; `answer` makes the error of the answer of it.

    `where` is the thing by the name that was given, `why` our own words with what was found and expected. Neither holds a secret.
    `hresult`, `ldap` and `win32` as in docs/verbs.md.
    """

    def __init__(
        self,
        kind: ErrorKind,
        where: str,
        why: str,
        *,
        hresult: int | None = None,
        ldap: int | None = None,
        win32: int | None = None,
    ) -> None:
        super().__init__(f"{kind}: {where}: {why}")
        self.kind, self.where, self.why = kind, where, why
        self.hresult, self.ldap, self.win32 = hresult, ldap, win32

    def to_json(self, what: str) -> Result:
        """The error as it stands in an answer; also for the verbs that carry errors inside their result. `what` is the verb."""
        error: Result = {
            "kind": self.kind,
            "what": what,
            "where": self.where,
            "why": self.why,
            "hresult": self.hresult,
        }
        # Absent, not null, outside the directory.
        return error | {name: code for name, code in (("ldap", self.ldap), ("win32", self.win32)) if code is not None}


class Reply(dict[str, Any]):
    """A result with bytes beside it."""

    def __init__(self, values: Mapping[str, Any], blob: bytes = b"") -> None:
        super().__init__(values)
        self.blob = blob


@dataclass
class Session:
    """
    What one PowerShell process has: verbs that declare a parameter `session` get it.

    `cleanups` run when the process ends, however it ends: name to what removes an unfinished thing. A verb that waits looks at `ended`.
    """

    pid: int
    read_only: bool = False
    cleanups: dict[str, Callable[[], None]] = field(default_factory=dict)
    uploads: dict[str, Any] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)

    def close(self) -> None:
        """Run what is left of `cleanups`. Again is fine."""
        while self.cleanups:
            self.cleanups.popitem()[1]()


def echo(_machine: PythonMachine, *, value: Any, blob: bytes) -> Result:
    """Give back what came: proves the transport."""
    return Reply({"value": value}, blob)


@cache
def table() -> Mapping[str, Verb]:
    """Every verb by its name. Filled at first use: the families import this module."""
    verbs: dict[str, Verb] = {"Test-Echo": echo}
    for family in FAMILIES:
        verbs |= import_module(family).VERBS
    return verbs


@cache
def parameters(verb: Verb) -> Mapping[str, inspect.Parameter]:
    """The keyword-only parameters of a verb's function, their annotations resolved."""
    hints = typing.get_type_hints(verb, vars(sys.modules[verb.__module__]) | {"PythonMachine": object})
    return {
        name: parameter.replace(annotation=hints.get(name, Any))
        for name, parameter in inspect.signature(verb).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def bind(verb: Verb, args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a request as the function takes them. Raises VerbError `invalid` for one that is unknown, missing or of another type."""
    known = {name: parameter for name, parameter in parameters(verb).items() if name not in CONTEXT}
    for name in args:
        if name not in known:
            raise VerbError("invalid", name, f"no such argument, expected: {', '.join(known) or 'none'}")
    for name, parameter in known.items():
        if name in args:
            if not fits(args[name], parameter.annotation):
                raise VerbError("invalid", name, f"is {kind_of(args[name])}, expected {_said(parameter.annotation)}")
        elif parameter.default is inspect.Parameter.empty:
            raise VerbError("invalid", name, "is missing")
    return dict(args)


def call(
    machine: PythonMachine,
    request: Any,
    *,
    session: Session,
    secrets: Mapping[str, str] | None = None,
    blob: bytes = b"",
) -> tuple[Result, bytes]:
    """
    Run one request: `{"verb", "args"}` in, the answer's JSON and its blob out. Never raises.

    The machine is held for the time of the call, so that verbs of several processes follow one another (but see UNHELD).
    """
    name = str(request.get("verb", "")) if isinstance(request, dict) else ""
    try:
        args = request.get("args", {}) if isinstance(request, dict) else None
        verb = table().get(name)
        if verb is None:
            raise VerbError("invalid", "verb", "no verb has this name")
        if not isinstance(args, dict):
            raise VerbError("invalid", "args", f"is {kind_of(args)}, expected an object")
        bound = bind(verb, args)
        if blob and "blob" not in parameters(verb):
            raise VerbError("invalid", "bytes", f"{name} takes no bytes")
        if session.read_only and not name.startswith(READS):
            raise VerbError("denied", name, "this process was started for reading only, and this verb writes")
        context = {"blob": blob, "secrets": dict(secrets or {}), "session": session}
        bound |= {key: context[key] for key in CONTEXT & parameters(verb).keys()}
        with nullcontext() if name in UNHELD else machine.exclusive():
            result = verb(machine, **bound)
    except VerbError as error:
        return {"ok": False, "error": error.to_json(name)}, b""
    except Exception as error:  # noqa: BLE001 - an error is an answer: the process lives on
        # Its text may hold what was sent: only its type and place are told.
        traceback = error.__traceback__
        while traceback is not None and traceback.tb_next is not None:
            traceback = traceback.tb_next
        place = f"{traceback.tb_frame.f_code.co_name}:{traceback.tb_lineno}" if traceback is not None else "?"
        failed = VerbError("unknown", name, f"the lab itself failed: {type(error).__name__} in {place}")
        return {"ok": False, "error": failed.to_json(name)}, b""
    return {"ok": True, "result": dict(result)}, result.blob if isinstance(result, Reply) else b""


def fits(value: Any, wanted: Any) -> bool:
    """Whether a JSON value is of an annotated type. True and false are no numbers."""
    origin = typing.get_origin(wanted)
    match origin or wanted:
        case types.UnionType | typing.Union:
            return any(fits(value, one) for one in typing.get_args(wanted))
        case typing.Literal:
            return any(value == one and type(value) is type(one) for one in typing.get_args(wanted))
    concrete: Any = origin or wanted
    if concrete in (Any, object):
        return True
    if concrete in (Sequence, list, tuple):
        return isinstance(value, list)
    if concrete in (Mapping, dict) or typing.is_typeddict(concrete):
        return isinstance(value, dict)
    if concrete is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, concrete)


def kind_of(value: Any) -> str:
    """What a JSON value is, in words; never the value itself, which may be a secret in the wrong place."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "an object"


def _said(wanted: Any) -> str:
    origin = typing.get_origin(wanted)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_said(one) for one in typing.get_args(wanted))
    if origin is Literal:
        return " or ".join(repr(one) for one in typing.get_args(wanted))
    named = {
        str: "text",
        int: "a number",
        bool: "true or false",
        types.NoneType: "null",
        Sequence: "a list",
        list: "a list",
        tuple: "a list",
    }
    return named.get(origin or wanted, "an object")
