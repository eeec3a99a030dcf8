"""What all our facts share: typed answers, and a sentinel for "could not be read" that nobody can take for "absent"."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache, wraps
from inspect import Signature, signature
from typing import Any, Final, Generic, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pyinfra.api import StringCommand
from pyinfra.api.exceptions import FactProcessError
from pyinfra.api.facts import FactBase
from pyinfra.context import ctx_host, host, state
from typing_extensions import override

from connectors.call import Answer, Refuse, check

T = TypeVar("T")
STRICT: Final = ConfigDict(strict=True, hide_input_in_errors=True)
EXPECTED: Final = {  # the annotations of arguments, in words
    "str": "text",
    "str | None": "text",
    "str | Sequence[str]": "text or a list of texts",
    "Mapping[str, str] | None": "a dict of texts",
    "bool": "true or false",
}
NOT_WINRM: Final = "echo 'this host is not one of @winrm: name it @winrm/NAME in the inventory' >&2; exit 1"


class Unread(Enum):
    """The one value UNREAD: the host did not answer. Its truth is not defined, so `if now:` cannot pass it off as absent."""

    UNREAD = "unread"

    def __bool__(self) -> NoReturn:
        raise TypeError("compare with UNREAD: not read is neither true nor false")

    def to_json(self) -> str:
        """What `pyinfra ... fact` prints for a host that could not be read."""
        return self.value


UNREAD = Unread.UNREAD


class HostAnswer(BaseModel):
    """Base of the models that check a host's answer at the door: nothing unknown, nothing converted, no value in an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class HostFact(FactBase[T | Unread], Generic[T]):
    """
    A fact whose command is a `HostCall` or a `Dialogue`. A subclass gives `command(self, ...)` and `parse`.

    pyinfra makes one instance for each read, so `command` may keep its arguments in `self` for `parse`. Arguments may not have the name of one of
    pyinfra's global arguments (`name`), and never hold a secret: pyinfra prints them.
    """

    def __init_subclass__(cls, **given: Any) -> None:
        super().__init_subclass__(**given)
        if "command" in vars(cls):
            cls.command = _over_winrm(cls.command)

    @staticmethod
    @override
    def default() -> Unread:
        return UNREAD

    def parse(self, answer: Answer) -> T:  # noqa: ARG002 - subclasses read it
        """The answer as a value. ValueError, TypeError and KeyError fail the read of this host alone, their text is shown: no values in it."""
        raise TypeError(f"{type(self).__name__} does not say how its answer is read")

    @override
    def process(self, output: list[str]) -> T | Unread:
        try:
            return self.parse(Answer.unpack("\n".join(output)))
        except ValidationError as error:
            # The texts of pydantic may quote what was sent; places and reasons do not.
            places = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
            raise FactProcessError(self.name) from ValueError(f"the host's answer has another shape: {places}")
        except (ValueError, TypeError, KeyError) as error:
            raise FactProcessError(self.name) from error


def _over_winrm(command: Callable[..., str | StringCommand]) -> Callable[..., str | StringCommand]:
    """
    What makes a fact's command, for hosts of `@winrm` alone.

    Every operation reads before it writes, so this is the one place. Another connector would give the line that is meant for the eye to a shell.
    """

    parameters = signature(command)

    @cache
    def adapters() -> Mapping[str, TypeAdapter[Any]]:
        hints = typing.get_type_hints(command)
        return {name: TypeAdapter(hints[name], config=STRICT) for name in parameters.parameters if name in hints}

    @wraps(command)
    def made(*args: Any, **kwargs: Any) -> str | StringCommand:
        if ctx_host.isset() and not getattr(host.connector, "takes_calls", False):
            return StringCommand(NOT_WINRM)
        wrong = _wrong(parameters, parameters.bind_partial(*args, **kwargs).arguments, adapters())
        return Refuse("; ".join(wrong)) if wrong else command(*args, **kwargs)

    made.__signature__ = parameters  # type: ignore[attr-defined] # pyinfra asks the function itself, not what it wraps
    return made


def _wrong(parameters: Signature, given: Mapping[str, Any], adapters: Mapping[str, TypeAdapter[Any]]) -> list[str]:
    """What is wrong with a fact's arguments: not given, of another type (`site=5` on a command line is a number), or no text that can be sent."""
    known, wrong = parameters.parameters, []
    for name in given.keys() & adapters.keys():
        try:
            adapters[name].validate_python(given[name])
            # Prefixes of XML are not sent, whatever keys JSON could hold.
            check([*value, *value.values()] if isinstance(value := given[name], Mapping) else value, name)
        except ValidationError:  # before ValueError, which it is
            number = f": {name}='\"{given[name]}\"' on a command line" if type(given[name]) is int else ""
            expected = EXPECTED.get(known[name].annotation, known[name].annotation)
            wrong.append(f"{name} is {given[name]!r}, expected {expected}{number}")
        except ValueError as error:
            wrong.append(str(error))
    absent = [name for name, each in known.items() if each.default is each.empty and name not in given]
    return sorted(wrong) + [f"{name} is not given, expected {name}=..." for name in absent]


def read(fact: type[HostFact[T]], **args: Any) -> T | Unread:
    """
    Read a fact: the only way in which operations read.

    In prepare a failed read fails the host (exit code 1, in the dry run too). While executing it must not, or the last host ends in a traceback
    (facts/pyinfra.md 3): the caller refuses instead, see operations/converge.py.
    """
    return host.get_fact(fact, **args, _ignore_errors=state.is_executing)


def plain(value: Any) -> Any:
    """A frozen dataclass as JSON for `to_json`: field by field, bytes left out, anything with `to_json` asked for its own."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    return value
