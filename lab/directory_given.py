"""
Searches and edits of the directory verbs as they are given: their shape is checked before anything is searched or sent (docs/verbs.md, directory).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lab.verbs import VerbError, kind_of

SEARCH: Final[Mapping[str, type]] = {"id": str, "base": str, "scope": str, "filter": str, "attributes": list}
SEARCH_MAY: Final[Mapping[str, type]] = {"size_limit": int, "ranges": dict}
EDIT: Final[Mapping[str, type]] = {"id": str, "op": str, "target": str, "expect": str, "class": str, "changes": list}
CHANGE: Final[Mapping[str, type]] = {"attribute": str, "op": str, "values": list}
# By its name or its OID (RFC 4519 2.17); options may follow.
MEMBER: Final = re.compile(r"\s*(member|(oid\.)?2\.5\.4\.31)\s*(;|\Z)", re.IGNORECASE)


def _check(given: Any, must: Mapping[str, type], where: str, may: Mapping[str, type] | None = None) -> None:
    """Raise VerbError unless an object has the fields that it must have, no others than it may have, and of their types."""
    if not isinstance(given, dict):
        raise VerbError("invalid", where, f"expected an object, not {kind_of(given)}")
    types = {**must, **(may or {})}
    wrong = [name for name in must if name not in given]
    wrong += [name for name, value in given.items() if type(value) is not types.get(name)]
    if wrong:
        raise VerbError("invalid", where, f"{wrong[0]} is missing, unknown or of another type")


def check_search(search: Any) -> None:
    """Raise VerbError `invalid` for a search that is not of the form of docs/verbs.md."""
    _check(search, SEARCH, "searches", SEARCH_MAY)
    if search["scope"] not in ("base", "one", "sub"):
        raise VerbError("invalid", "scope", f"is '{search['scope']}', expected base, one or sub")
    if not all(isinstance(name, str) for name in search["attributes"]):
        raise VerbError("invalid", "attributes", "holds something else than names")
    if search.get("size_limit", 0) < 0:
        raise VerbError("invalid", "size_limit", f"is {search['size_limit']}, expected 0 or more")
    for span in search.get("ranges", {}).values():
        match span:
            case "all":
                continue
            case [int(low), int(high)] if 0 <= low <= high and bool not in (type(low), type(high)):
                continue
        raise VerbError("invalid", "ranges", "a range is 'all' or [low, high]")


@dataclass(frozen=True)
class GivenChange:
    """One change of an attribute, its values as bytes."""

    attribute: str
    op: str
    values: tuple[bytes, ...]


def changes_of(edit: Mapping[str, Any]) -> list[GivenChange]:
    """The changes of an edit, checked before anything is sent. Raises VerbError `invalid`."""
    _check(edit, EDIT, "edits")
    op, target = edit["op"], edit["target"]
    if not target:
        raise VerbError("invalid", "target", "is empty, expected a distinguished name or <GUID=..>")
    if op not in ("add", "modify", "delete"):
        raise VerbError("invalid", "op", f"is '{op}', expected add, modify or delete")
    if op != "delete" and not edit["changes"]:
        raise VerbError("invalid", target, f"'{op}' has no changes")
    changes = []
    for change in edit["changes"] if op != "delete" else []:
        _check(change, CHANGE, target)
        how, attribute = change["op"], change["attribute"]
        if not attribute:
            raise VerbError("invalid", target, "a change names no attribute")
        if how not in ("add", "delete", "replace") or (op == "add" and how != "add"):
            raise VerbError("invalid", target, f"a change of an entry cannot be '{how}' in '{op}'")
        if how == "replace" and MEMBER.match(attribute):
            raise VerbError("invalid", target, "member is never replaced, only added to and deleted from")
        found = [_bytes(value, target) for value in change["values"]]
        changes.append(GivenChange(attribute, how, tuple(found)))
    return changes


def _bytes(value: Any, target: str) -> bytes:
    if isinstance(value, str):
        return value.encode()
    _check(value, {"base64": str}, target)
    try:
        return base64.b64decode(value["base64"], validate=True)
    except binascii.Error:
        raise VerbError("invalid", target, "a value is not base64") from None
