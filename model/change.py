"""What a comparison found: one property of one thing, before and after. Where it is shown is in operations/converge.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

Value: TypeAlias = str | int | bool | tuple[str, ...] | None

MASK: Final = "(secret)"


class PlanError(ValueError):
    """A plan that cannot be made: the text names the thing, the value found, and what to do. Nothing has been written."""


@dataclass(frozen=True, repr=False)
class Change:
    """
    One property that differs.

    `before` and `after` are None where the property is absent. A secret change keeps its values for the plan
    but never shows them: `str`, `repr` and `to_json` say only that it changed.
    """

    property: str
    before: Value
    after: Value
    secret: bool = False

    def shown(self) -> tuple[str, str]:
        """Before and after as a user may see them."""
        if self.secret:
            return MASK, f"{MASK} changed"
        return show(self.before), show(self.after)

    def __str__(self) -> str:
        before, after = self.shown()
        return f"{self.property}: {before} -> {after}"

    def __repr__(self) -> str:
        return f"Change({self})"

    def to_json(self) -> dict[str, str]:
        """For reports and drift; a secret shows as a mask."""
        before, after = self.shown()
        return {"property": self.property, "before": before, "after": after}


def show(value: Value) -> str:
    """One value in a diff: absent and empty can be told apart, white space at the ends can be seen."""
    match value:
        case None:
            return "(absent)"
        case "":
            return "(empty)"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return value if value == value.strip() and value.isprintable() else repr(value)
        case _:
            return ", ".join(value) or "(none)"
