"""What pydantic found wrong with an inventory, in our own words, a line each. Pure; what is right is said by the models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from pydantic import AfterValidator
from pydantic_core import ErrorDetails

TYPES: Final = {  # pydantic's types of errors, all of which mean one thing to the user
    "bool_type": "expected True or False",
    "int_type": "expected a whole number, without quotes",
    "string_type": "expected a text",
    "string_too_short": "expected a text that is not empty",
    "model_type": "expected a dict",
    "model_attributes_type": "expected a dict",
    "dict_type": "expected a dict",
    "tuple_type": "expected a list",
}


def between(low: int, high: int) -> AfterValidator:
    """A whole number of this range, both ends included; for `Annotated`."""

    def check(value: int) -> int:
        if not low <= value <= high:
            raise ValueError(f"expected {low} to {high}")
        return value

    return AfterValidator(check)


def unknown(key: str, known: Sequence[str]) -> str:
    """What is said of a key that nobody knows: the one that was meant, where that can be guessed, and all that there are. No value."""
    meant = get_close_matches(key, known, n=1)
    guess = f"; did you mean {meant[0]}?" if meant else "."
    return f"is not known here{guess} Known: {', '.join(known)}"


def line(name: str, error: ErrorDetails, value: Any, *, secret: Callable[[Any], bool] = lambda _: False) -> str:
    """
    One problem: which key, what it is, what was expected.

    + name: the key with all that it is in
    + value: what was given; shown as it would be written, unless it is a part with keys of its own
    + secret: whether that value may hold what nobody may see: then its type is shown
    """
    reason = _reason(error)
    if isinstance(value, Mapping):
        return f"{name}: {reason}"
    shown = f"of type {type(value).__name__}" if secret(value) else repr(value)
    return f"{name} is {shown}{', ' if reason.startswith('expected') else ': '}{reason}"


def _reason(error: ErrorDetails) -> str:
    known = TYPES.get(error["type"])
    if known is not None:
        return known
    if error["type"] == "literal_error":
        return f"expected {error['ctx']['expected']}"
    return error["msg"].removeprefix("Value error, ")
