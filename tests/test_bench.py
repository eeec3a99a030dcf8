"""What `make bench` makes of what it measured. That it runs and what it prints is for whoever runs it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools import bench
from tools.bench import Row, closing_of, mb, start_row, written_inventory


@pytest.mark.parametrize(
    ("actions", "closing"),
    [
        ("- - Create Command Send Receive Send Receive Send Receive Delete", 3),
        ("- - Create Command Send Receive Send Receive Receive Send Receive Signal Delete", 4),
        ("", 0),
        ("Delete", 1),
    ],
)
def test_the_goodbye_begins_with_the_last_send(actions: str, closing: int) -> None:
    assert closing_of(actions.split()) == closing


def test_a_row_says_whether_its_target_was_reached() -> None:
    assert " ".join(str(Row("warm call", "2 requests", "2 requests", met=True)).split()) == (
        "warm call 2 requests 2 requests reached"
    )
    assert str(Row("warm call", "3 requests", "2 requests", met=False)).endswith("2 requests  MISSED")
    assert " ".join(str(Row("start", "1 s")).split()) == "start 1 s"


@pytest.mark.parametrize(
    ("engine", "new", "again", "met"),
    [
        ("python", 1.0, 0.4, True),
        ("python", 1.01, 0.4, False),
        ("python", 0.4, 1.01, False),
        ("powershell", 20.0, 9.0, None),
    ],
)
def test_a_lab_that_starts_in_more_than_a_second_misses_the_target(
    engine: str, new: float, again: float, met: bool | None
) -> None:
    row = start_row(engine, new, again, "0.3 s")
    assert (row.figure, row.met) == (f"{new:.2f} s; {again:.2f} s (processor: 0.3 s)", met)


@pytest.mark.parametrize(("new", "code"), [(0.9, 0), (1.2, 1)])
def test_a_target_that_is_missed_is_the_exit_code(monkeypatch: pytest.MonkeyPatch, new: float, code: int) -> None:
    monkeypatch.setattr(bench, "engine", lambda name, _: [start_row(name, new, 0.5, "")])
    assert bench.main(["--engine", "python"]) == code


def test_memory_is_counted_as_the_system_counts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    assert mb(80 * 1024) == "80 MB"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert mb(80 * 1024 * 1024) == "80 MB"


def test_the_inventory_of_a_lab_is_readable_by_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.bench.control.connection", lambda *_, **__: {"winrm_password": "x"})
    path = written_inventory(tmp_path, tmp_path, "https", {"mim01": "mim"})
    assert path.stat().st_mode & 0o077 == 0
    assert (tmp_path / "group_data" / "bench.py").read_text(encoding="utf-8").startswith('"""')
