"""
The generated parts of the documents: tables of operations, facts, host data and desired state, made from docstrings and models.

    python tools/docs.py            write them
    python tools/docs.py --check    say which are not up to date, exit code 1 if any

A document is written by hand; what stands between `<!-- generated: NAME -->` and `<!-- end -->` is made here. Operations and facts are read with
`ast`, so that nothing of pyinfra is loaded. An argument that its docstring does not explain, or explains and does not have, is an error.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
import textwrap
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from connectors.settings import DirectorySettings, WinrmSettings
from model.desired import Desired
from model.secret import Secret

TREE: Final = Path(__file__).resolve().parents[1]
DOCUMENTS: Final = ("README.md", "docs/operations.md", "docs/desired-state.md")
REGION: Final = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
DEFAULT: Final = re.compile(r"(?P<text>.+?); default:? (?P<default>[^.]+)(?:\. (?P<more>.+))?", re.DOTALL)
WORDS: Final[Mapping[object, str]] = {
    str: "text",
    int: "number",
    bool: "bool",
    Secret: "text or `Secret`",
    Mapping[str, str]: "dict of text",
}


class DocsError(Exception):
    """A docstring and its code do not fit together."""


# -- operations and facts --


@dataclass(frozen=True)
class Argument:
    """One argument of an operation or a fact."""

    name: str
    type: str
    default: str | None
    text: str


@dataclass(frozen=True)
class Entry:
    """An operation or a fact, as documented: `parts` are its paragraphs and examples, already Markdown."""

    module: str
    name: str
    arguments: tuple[Argument, ...]
    parts: tuple[str, ...]


def operations() -> Iterator[Entry]:
    """Every operation, by module and in the order in which it stands there."""
    for module, tree in _modules("operations"):
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and any(_called(one) == "operation" for one in node.decorator_list):
                yield _entry(module, tree, node.name, ast.get_docstring(node), node.args)


def facts() -> Iterator[Entry]:
    """Every fact: the public classes that come from HostFact, directly or through another fact."""
    known = {"HostFact"}
    for module, tree in _modules("facts"):
        for node in tree.body:
            if not isinstance(node, ast.ClassDef) or node.name in known or not known & {_named(b) for b in node.bases}:
                continue
            known.add(node.name)
            command = next(
                (one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "command"), None
            )
            if command is None:
                raise DocsError(f"{module}.{node.name} has no command of its own")
            yield _entry(module, tree, node.name, ast.get_docstring(node), command.args)


def _modules(package: str) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((TREE / package).glob("*.py")):
        yield f"{package}.{path.stem}", ast.parse(path.read_text(encoding="utf-8"))


def _called(node: ast.expr) -> str:
    return _named(node.func) if isinstance(node, ast.Call) else _named(node)


def _named(node: ast.expr) -> str:
    match node:
        case ast.Name():
            return node.id
        case ast.Subscript():
            return _named(node.value)
        case _:
            return ""


def _entry(module: str, tree: ast.Module, name: str, docstring: str | None, signature: ast.arguments) -> Entry:
    if docstring is None:
        raise DocsError(f"{module}.{name} has no docstring")
    texts, parts = _parsed(docstring)
    arguments = []
    for argument, default in _signature(signature):
        if argument.arg not in texts:
            raise DocsError(f"{module}.{name}: the docstring does not explain {argument.arg}")
        annotation = ast.unparse(argument.annotation) if argument.annotation else ""
        shown = None if default is None else ast.unparse(_value(tree, default)).replace("'", '"')
        arguments.append(Argument(argument.arg, annotation, shown, texts.pop(argument.arg)))
    if texts:
        raise DocsError(f"{module}.{name}: the docstring explains {', '.join(texts)}, which it does not have")
    return Entry(module, name, tuple(arguments), parts)


def _value(tree: ast.Module, default: ast.expr) -> ast.expr:
    """A default by the name of a constant of its module is shown as what that is."""
    if isinstance(default, ast.Name):
        for node in tree.body:
            if isinstance(node, ast.AnnAssign) and node.value and ast.unparse(node.target) == default.id:
                return node.value
    return default


def _signature(signature: ast.arguments) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    plain = [one for one in (*signature.posonlyargs, *signature.args) if one.arg != "self"]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(signature.defaults))
    yield from zip(plain, [*defaults, *signature.defaults], strict=True)
    yield from zip(signature.kwonlyargs, signature.kw_defaults, strict=True)


def _parsed(docstring: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """The texts of the arguments, and everything else as Markdown."""
    arguments: dict[str, str] = {}
    parts: list[str] = []
    blocks = re.split(r"\n\n+(?=\S)", inspect.cleandoc(docstring))
    for block in blocks:
        if block.startswith("+ "):
            for item in re.split(r"\n(?=\+ )", block):
                name, _, text = item.removeprefix("+ ").partition(":")
                arguments[name] = _prose(text)
        elif block.startswith(".. code:: "):
            language, _, code = block.removeprefix(".. code:: ").partition("\n")
            parts.append(f"```{language}\n{textwrap.dedent(code).strip()}\n```")
        elif block != "**Example:**":
            parts.append(_prose(block))
    return arguments, tuple(parts)


def _prose(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def _listed(entries: Sequence[Entry], use: Callable[[Entry], str]) -> str:
    lines = []
    for entry in entries:
        first, *rest = entry.parts
        lines += [f"### {entry.name}", "", first, ""]
        if entry.arguments:
            rows = [
                (f"`{one.name}`", f"`{one.type}`", "needed" if one.default is None else f"`{one.default}`", one.text)
                for one in entry.arguments
            ]
            lines += [_table(("argument", "type", "default", "meaning"), rows), ""]
        for part in rest:
            lines += [part, ""]
        lines += [use(entry), ""]
    return "\n".join(lines)


# -- models --


def _settings(model: type[BaseModel], prefix: str) -> str:
    rows = []
    for name, field in model.model_fields.items():
        text, default = _described(field)
        rows.append((f"`{prefix}{name}`", _type(field.annotation), default, text))
    return _table(("key", "type", "default", "meaning"), rows)


def _desired() -> str:
    lines = []
    for name, field in Desired.model_fields.items():
        part = field.annotation
        if not (isinstance(part, type) and issubclass(part, BaseModel)):
            raise DocsError(f"{name} is not a part with keys of its own")
        lines += [f"### {name}", "", f"{_described(field)[0][:1].upper()}{_described(field)[0][1:]}.", ""]
        rows = [
            (f"`{key}`", _type(inner.annotation), _described(inner)[1], _described(inner)[0])
            for key, inner in part.model_fields.items()
        ]
        lines += [_table(("key", "type", "default", "meaning"), rows), ""]
    return "\n".join(lines)


def _described(field: FieldInfo) -> tuple[str, str]:
    """Meaning and default of a field; a text `...; default: X. More` says the default itself."""
    if not field.description:
        raise DocsError(f"a field of type {field.annotation} has no description")
    text = _prose(field.description)
    if match := DEFAULT.fullmatch(text):
        return (f"{match['text']}. {match['more']}" if match["more"] else match["text"]), match["default"]
    if field.is_required():
        return text, "needed"
    default = field.default
    if default is None or default == "" or isinstance(default, Secret):
        return text, "none"
    if isinstance(default, tuple):
        default = list(default)
    return text, f"`{default!r}`".replace("'", '"').replace("\\\\", "\\")


def _type(annotation: Any) -> str:
    if annotation in WORDS:
        return WORDS[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is typing.Literal:
        return ", ".join(f"`{one}`" for one in arguments)
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin in {types.UnionType, typing.Union}:
        return " or ".join(_type(one) for one in arguments if one is not type(None))
    raise DocsError(f"no word for the type {annotation}")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


# -- documents --


def _example_of_fact(entry: Entry) -> str:
    needed = "".join(f" {one.name}=..." for one in entry.arguments if one.default is None)
    return f"`pyinfra inventories/NAME.py fact {entry.module}.{entry.name}{needed}`"


MADE: Final[Mapping[str, Callable[[], str]]] = {
    "operations": lambda: _listed(list(operations()), lambda entry: f"`from {entry.module} import {entry.name}`"),
    "facts": lambda: _listed(list(facts()), _example_of_fact),
    "winrm": lambda: _settings(WinrmSettings, "winrm_"),
    "directory": lambda: _settings(DirectorySettings, "directory_"),
    "desired": _desired,
}


def made(text: str) -> str:
    """A document with its generated parts anew. Raises DocsError for a part that is not known."""

    def part(match: re.Match[str]) -> str:
        if match[2] not in MADE:
            raise DocsError(f"no generated part is named {match[2]}")
        return f"{match[1]}\n{MADE[match[2]]().strip()}\n\n{match[3]}"

    return REGION.sub(part, text)


def stale() -> list[str]:
    """The documents that are not as they would be made."""
    return [name for name in DOCUMENTS if (text := (TREE / name).read_text(encoding="utf-8")) != made(text)]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Write the generated parts of the documents.")
    parser.add_argument("--check", action="store_true", help="only say which are not up to date")
    chosen = parser.parse_args(arguments)
    old = stale()
    for name in old:
        if chosen.check:
            print(f"{name} is not up to date: run `make docs`")
        else:
            path = TREE / name
            path.write_text(made(path.read_text(encoding="utf-8")), encoding="utf-8")
            print(f"{name}: written")
    return 1 if chosen.check and old else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
