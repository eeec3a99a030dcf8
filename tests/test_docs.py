"""The documents keep what they promise: commands run, their output is real, tables and references are those of the code."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement

from connectors.settings import KEYS, DirectorySettings
from tools import docs

TREE: Final = Path(__file__).resolve().parents[1]
README: Final = (TREE / "README.md").read_text(encoding="utf-8")
PAGES: Final = sorted([*TREE.glob("*.md"), *(TREE / "docs").glob("*.md")])
NOT_COPIED: Final = (".*", "__pycache__", "*.egg-info", "*.log")
TIMEOUT_S: Final = 600
VERBS: Final = re.compile(r"^function ((?:Get|Read|Search|Test|Set|Write|Copy|New|Edit)-\w+)", re.MULTILINE)

# What another run shows otherwise: moments, what is measured, hashes, the lab's own certificate.
VARYING: Final[Mapping[str, str]] = {
    r"\b20\d\d-\d\d-\d\dT[0-9:.]+Z": "(time)",
    r"\b[0-9A-F]{40}\b": "(thumbprint)",
    r"\.[0-9a-f]{12}\.bak": ".(hash).bak",
    r"\d+ HTTP requests, \d+\.\d s": "(some) HTTP requests, (some) s",
}


@dataclass(frozen=True)
class Command:
    """A `$ ` line of a console block, with what the page shows of its output, piece by piece between lines of `...`."""

    line: str
    shows: tuple[str, ...] = ()


def commands(text: str) -> list[Command]:
    """All commands of a page, in order."""
    found: list[Command] = []
    for block in re.findall(r"^ *```console\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL):
        for one in re.split(r"^ *\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, output = one.partition("\n")
            pieces = re.split(r"^\.\.\.\n", output, flags=re.MULTILINE)
            found.append(Command(line, tuple(plain(piece) for piece in pieces if piece.strip())))
    return found


def plain(output: str) -> str:
    """Output without what varies, line by line without the blanks around."""
    for pattern, word in VARYING.items():
        output = re.sub(pattern, word, output)
    return "\n".join(line.strip() for line in output.splitlines() if line.strip())


# These would run what runs this test, or install packages of the system: that they start the right program is what can be seen here.
ONLY_SHOWN: Final = {"make test": "tools/run_tests.py", "make engines": "tools/engines.py"}


@dataclass(frozen=True)
class Clone:
    """A copy of the repository with an environment and a lab of its own."""

    root: Path

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        dry = line in ONLY_SHOWN
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("LAB_", "WINRM_", "MAKE"))
        }
        environment |= {"PYTHONPATH": str(self.root), "PATH": f"{self.root / '.venv' / 'bin'}:{os.environ['PATH']}"}
        return subprocess.run(  # noqa: S602 - the README's own lines, as a user types them
            f"{line} --dry-run" if dry else line,
            shell=True,
            cwd=self.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    root = tmp_path_factory.mktemp("clone") / "tree"
    shutil.copytree(TREE, root, ignore=shutil.ignore_patterns(*NOT_COPIED))
    venv = root / ".venv"
    venv.mkdir()
    for name in ("bin", "lib"):
        (venv / name).symlink_to(Path(sys.prefix) / name)
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", venv)
    (venv / "ready").touch()  # `make setup` from nothing needs the network
    made = Clone(root)
    yield made
    made.run("python -m lab stop")


@pytest.mark.slow
def test_every_command_of_the_readme_runs_and_shows_what_the_readme_shows(clone: Clone) -> None:
    for command in commands(README):
        done = clone.run(command.line)
        assert done.returncode == 0, f"$ {command.line}\n{done.stdout}"
        shown = plain(done.stdout)
        assert [piece for piece in command.shows if piece not in shown] == [], f"$ {command.line}\n{done.stdout}"
        if command.line in ONLY_SHOWN:
            assert ONLY_SHOWN[command.line] in shown


def test_what_the_readme_says_was_changed_is_compared_and_not_masked() -> None:
    shown = next("\n".join(command.shows) for command in commands(README) if command.line == "make demo")
    assert re.findall(r"\d+ state changes.*", shown) == [
        "12 state changes in the first run, 0 in both dry runs, 0 in the second run, (some) HTTP requests, (some) s: as it should be"
    ]


def test_the_readme_begins_with_the_two_commands_and_shows_a_dry_run() -> None:
    found = commands(README)
    assert [command.line for command in found[:2]] == ["make demo", "make test"]
    dry = next(command for command in found if command.line.endswith("--dry --diff"))
    assert len("\n".join(dry.shows).splitlines()) > 10


@pytest.mark.parametrize("name", docs.DOCUMENTS)
def test_what_is_generated_in_a_document_is_up_to_date(name: str) -> None:
    text = (TREE / name).read_text(encoding="utf-8")
    assert docs.made(text) == text, "run `make docs`"


def test_every_key_of_host_data_is_in_the_readme_once() -> None:
    rows = re.findall(r"^\| `((?:winrm|directory)_\w+)` \|", README, re.MULTILINE)
    assert rows == [*KEYS, *(f"directory_{name}" for name in DirectorySettings.model_fields)]


def test_what_is_not_proven_is_said_to_be() -> None:
    row = next(line for line in README.splitlines() if line.startswith("| `winrm_transport`"))
    assert "`kerberos` and `certificate` are passed through, not proven yet" in row
    assert (
        "| transports `kerberos` and `certificate` | nowhere: passed through to pywinrm | **not proven yet** |"
        in README
    )


def test_every_operation_and_fact_has_its_section() -> None:
    text = (TREE / "docs" / "operations.md").read_text(encoding="utf-8")
    entries = [*docs.operations(), *docs.facts()]
    assert {entry.name for entry in entries} >= {"iis_site", "mim_build", "IisSite", "XmlElements"}
    assert re.findall(r"^### (\w+)$", text, re.MULTILINE) == [entry.name for entry in entries]


def test_every_verb_has_its_place_in_the_contract() -> None:
    text = (TREE / "docs" / "verbs.md").read_text(encoding="utf-8")
    documented = set(
        re.findall(r"^(?:### |- \*\*)((?:Get|Read|Search|Test|Set|Write|Copy|New|Edit)-\w+)", text, re.MULTILINE)
    )
    written = {
        name for path in (TREE / "powershell").glob("*.ps1") for name in VERBS.findall(path.read_text(encoding="utf-8"))
    }
    assert len(documented) == 18
    assert documented <= written


@pytest.mark.parametrize("entry", list(docs.operations()), ids=lambda entry: entry.name)
def test_the_example_of_an_operation_calls_it_with_its_own_arguments(entry: docs.Entry) -> None:
    blocks = [
        part.removeprefix("```python\n").removesuffix("```") for part in entry.parts if part.startswith("```python")
    ]
    nodes = [node for block in blocks for node in ast.walk(ast.parse(block))]
    calls = [node for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == entry.name]
    assert calls
    named = {str(keyword.arg) for call in calls for keyword in call.keywords}
    assert {name for name in named if not name.startswith("_")} - {argument.name for argument in entry.arguments} == {
        "name"
    }


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path, _, anchor = target.partition("#")
            if "://" in target:
                continue
            file = page.parent / path if path else page
            if not file.exists() or (anchor and anchor not in anchors(file)):
                broken.append(f"{page.name}: {target}")
    assert broken == []


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of the headings of a page."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head).strip().lower().replace(" ", "-") for head in heads}


def test_a_docstring_that_does_not_fit_its_arguments_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "operations").mkdir()
    source = '@operation()\ndef x(site: str, port: int = 1) -> None:\n    """\n    Do x.\n\n    + site: its name\n    {}\n    """\n'
    monkeypatch.setattr(docs, "TREE", tmp_path)
    for text, reason in (
        ("", "does not explain port"),
        ("+ port: a\n    + ports: b", "explains ports, which it does not have"),
    ):
        (tmp_path / "operations" / "x.py").write_text(source.format(text), encoding="utf-8")
        with pytest.raises(docs.DocsError, match=reason):
            list(docs.operations())


def test_nothing_names_a_path_of_one_machine() -> None:
    known = re.compile(r"(?<![\w.])/(?:work|root|farm)/\w")
    files = [
        path
        for pattern in ("*.md", "docs/*.md", "*.toml", "*.txt", "Makefile", ".github/**/*.yml")
        for path in TREE.glob(pattern)
    ]
    assert [str(path.relative_to(TREE)) for path in files if known.search(path.read_text(encoding="utf-8"))] == []


def test_constraints_pin_every_version_and_name_no_index() -> None:
    lines = (TREE / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[\w.!+]+", line)] == []


def name_of(distribution: str) -> str:
    """A name of a distribution as it is compared."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def pulled_in(name: str, extra: str) -> set[str]:
    """The distributions that one needs here with an extra, directly or through others."""
    found, open_ = set[tuple[str, frozenset[str]]](), [(name, frozenset({extra}))]
    while open_:
        one = open_.pop()
        if one in found:
            continue
        found.add(one)
        for text in metadata.requires(one[0]) or ():
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in {"", *one[1]}):
                open_.append((name_of(needed.name), frozenset(needed.extras)))
    return {needed for needed, _ in found} - {name}


def test_constraints_pin_what_our_requirements_pull_in_at_the_version_that_is_installed() -> None:
    lines = (TREE / "constraints.txt").read_text(encoding="utf-8").split()
    pinned = {name_of(name): version for name, _, version in (line.partition("==") for line in lines)}
    installed = {name: metadata.version(name) for name in pulled_in("pyinfra-mim", "dev")}
    # A pin that only another version of Python needs is no mistake.
    assert {name: pinned.get(name) for name in installed} == installed
