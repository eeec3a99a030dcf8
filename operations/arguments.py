"""
What a deploy hands to an operation, checked by its own annotations before anything is read: a wrong kind of value fails its host, not the run of all.

What a value says is for the plans; a password in plain text, too, which has a message of its own there.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Generator, Mapping
from functools import cache, reduce, wraps
from inspect import signature
from operator import or_
from types import GenericAlias, UnionType
from typing import Any, Final, ParamSpec, Union

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pyinfra.api import StringCommand

from model.problems import line
from model.secret import Secret
from operations.converge import halted, refuse

P = ParamSpec("P")
STRICT: Final = ConfigDict(strict=True, arbitrary_types_allowed=True, hide_input_in_errors=True)
QUOTED: Final = (str, int, float, bool, type(None))


def checked(
    work: Callable[P, Generator[StringCommand, None, None]],
) -> Callable[P, Generator[StringCommand, None, None]]:
    """
    An operation whose arguments are as annotated, nothing converted; below `@operation()`.

    One that is not fails its host with the argument, what it is, and what was expected. No value in it that could hold a secret.
    """
    parameters = signature(work)

    @cache
    def hints() -> Mapping[str, Any]:
        return typing.get_type_hints(work)

    @cache
    def adapter(name: str) -> TypeAdapter[Any]:
        return TypeAdapter(_without_values(hints()[name]), config=STRICT)

    @wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> Generator[StringCommand, None, None]:
        if halted():
            return
        try:
            given = parameters.bind(*args, **kwargs).arguments
        except TypeError as error:  # too many, too few, or one that is not known
            yield from refuse(f"{work.__name__}: {error}")
            return
        for name, value in given.items():
            try:
                adapter(name).validate_python(value)
            except ValidationError as error:
                said = _said(name, value, error, str(work.__annotations__[name]), _may_be_secret(hints()[name]))
                yield from refuse(f"{work.__name__}: {said}")
                return
        yield from work(*args, **kwargs)

    return run


def _said(name: str, value: object, error: ValidationError, annotation: str, secret: bool) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] in {"literal_error", "value_error"} and not isinstance(value, Mapping | list | tuple):
        return line(name, first, value, secret=lambda _: secret)
    shown = repr(value) if isinstance(value, QUOTED) and not secret else f"of type {type(value).__name__}"
    return f"{name} is {shown}, expected {annotation}"


def _may_be_secret(hint: Any) -> bool:
    """Whether an argument that is annotated so may hold a secret: then what stands in its place by mistake may be one, too."""
    return hint is Secret or any(map(_may_be_secret, typing.get_args(hint)))


def _without_values(hint: Any) -> Any:
    """An annotation in which values that may be secrets are anything: the plans say better what is wrong with one of them."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in {Union, UnionType}:
        return reduce(or_, map(_without_values, arguments))
    if origin is Mapping:
        key, value = arguments
        return GenericAlias(Mapping, (key, Any if Secret in typing.get_args(value) else _without_values(value)))
    return hint
