"""Dependencies run one way (docs: CONTRIBUTING): every module is read, and imports only what its layer may."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Final

import pytest

TREE: Final = Path(__file__).resolve().parents[1]
MAY_IMPORT: Final[dict[str, set[str]]] = {
    "model": set(),
    "plans": {"model"},
    "connectors": {"model", "powershell"},
    "facts": {"model", "plans", "connectors"},
    "operations": {"model", "plans", "connectors", "facts"},
    "powershell": set(),
    "lab": {"powershell"},
}
PURE: Final = {"model", "plans"}
NOT_IN_PURE: Final = {"pyinfra", "gevent", "winrm", "requests", "socket", "subprocess", "pathlib", "os"}
MODULES: Final = [path.relative_to(TREE) for layer in MAY_IMPORT for path in sorted((TREE / layer).rglob("*.py"))]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse((TREE / path).read_text(encoding="utf-8"))


@cache
def imported(path: Path) -> set[str]:
    """The top-level packages that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_only_layers_below(path: Path) -> None:
    layer = path.parts[0]
    ours = imported(path) & (MAY_IMPORT.keys() | {"tests", "tools", "inventories"})
    assert ours - MAY_IMPORT[layer] - {layer} == set()


@pytest.mark.parametrize("path", [path for path in MODULES if path.parts[0] in PURE], ids=str)
def test_pure_layers_do_no_io_and_know_no_pyinfra(path: Path) -> None:
    assert imported(path) & NOT_IN_PURE == set()
    calls = {
        node.func.id
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert calls & {"open", "print", "input"} == set()


def test_every_module_says_in_its_first_lines_what_lives_there() -> None:
    bare = [str(path) for path in MODULES if not ast.get_docstring(parsed(path))]
    assert bare == []


def test_deploy_and_operations_do_not_import_the_lab() -> None:
    assert "lab" not in imported(Path("deploy.py"))
    for inventory in (TREE / "inventories").glob("*.py"):
        assert ("lab" in imported(inventory.relative_to(TREE))) == (inventory.name == "lab.py")


def test_no_test_imports_pyinfras_command_line() -> None:
    """It patches the whole process for gevent, long after threads, sockets and locks of the tests are there."""
    naming = [path for path in (TREE / "tests").rglob("*.py") if "pyinfra_cli" in path.read_text(encoding="utf-8")]
    assert [path.name for path in naming if "pyinfra_cli" in imported(path.relative_to(TREE))] == []


def test_every_name_of_the_product_is_used_by_the_product() -> None:
    """What tests alone use is dead. A name counts as used where its word occurs a second time, in a program that a user starts, too."""
    product = [path for path in MODULES if path.parts[0] != "lab"]
    programs = [path.relative_to(TREE) for path in (*TREE.glob("*.py"), *(TREE / "tools").glob("*.py"))]
    words = Counter(
        word for path in (*product, *programs) for word in re.findall(r"\w+", (TREE / path).read_text(encoding="utf-8"))
    )
    assert [f"{path}: {name}" for path in product for name in defined(path) if words[name] == 1] == []


def defined(path: Path) -> list[str]:
    """The functions, classes and constants of a module."""
    found = []
    for node in parsed(path).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                found.append(name)
            case ast.Assign(targets=[ast.Name(id=name)]):
                found.append(name)
    return found
