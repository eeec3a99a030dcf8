"""A value that nobody may see: a password, a key. Pure; how it travels is in connectors/call.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Self

from pydantic_core import CoreSchema, core_schema

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler

from model.change import MASK


class Secret:
    """
    Holds one secret text. `str`, `repr`, `format` and JSON give a mask; only `reveal` gives the text.

    Equal and hashed by its text, so that a plan can compare. It cannot be pickled; a copy is itself.
    """

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        """The text itself: for the frame that carries it, and for comparing."""
        return self.__text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self.__text

    def __hash__(self) -> int:
        return hash(self.__text)

    def __bool__(self) -> bool:
        return bool(self.__text)

    def __repr__(self) -> str:
        return MASK

    def to_json(self) -> str:
        """What pyinfra's `debug-inventory` and `--json` print."""
        return MASK

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A Secret of a text, or a text that becomes one; an error never quotes what was given (`hide_input_in_errors` on the model)."""
        return core_schema.union_schema(
            [
                core_schema.no_info_after_validator_function(_of_text, core_schema.is_instance_schema(cls)),
                core_schema.no_info_after_validator_function(cls, core_schema.str_schema(strict=True)),
            ]
        )


def _of_text(secret: Secret) -> Secret:
    """The secret itself: nobody has looked at what it was made of, `Secret(os.environ.get(...))`."""
    if not isinstance(secret.reveal(), str):
        raise ValueError(f"a secret of type {type(secret.reveal()).__name__}, expected a text")  # noqa: TRY004 - what pydantic asks for
    return secret
