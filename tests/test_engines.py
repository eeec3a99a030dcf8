"""`make engines` where it cannot make all (tools/engines.py): what one family lacks keeps no other from being made."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import samba
from lab.template import EngineError
from tools import engines


def lacks() -> bool:
    raise EngineError("not root")


def test_a_family_that_fails_keeps_no_other_from_being_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = {
        "a": ("Samba", lacks),
        "b": ("Samba", lambda: pytest.fail("it was tried")),
        "c": ("wine", lambda: False),
    }
    monkeypatch.setattr(engines, "STEPS", steps)
    assert engines.main() == 1
    told = capsys.readouterr()
    assert told.out == "c: there\n"
    assert told.err.splitlines() == [
        "a: not root",
        "b: not tried",
        "Not whole: Samba. `make test` runs what the others allow.",
    ]
    monkeypatch.setattr(engines, "STEPS", {"c": ("wine", lambda: False)})
    assert engines.main() == 0


@pytest.mark.parametrize("debian", [True, False])
def test_who_is_not_root_and_has_wine_needs_no_packages_of_wine_and_is_told_those_of_samba(
    monkeypatch: pytest.MonkeyPatch, debian: bool
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(
        "tools.engines.shutil.which", lambda name: f"/{name}" if debian or name == "localedef" else None
    )
    monkeypatch.setattr(engines, "installed", lambda _: False)
    monkeypatch.setattr(engines, "find_wine", lambda: Path("/wine"))
    monkeypatch.setattr(samba, "find_samba", lambda: None)
    assert engines.packages("wine") is False
    names = "samba samba-ad-provision winbind samba-dsdb-modules samba-vfs-modules libldap-2.5-0"
    with pytest.raises(EngineError) as refused:
        engines.packages("Samba")
    assert str(refused.value) == (
        f"not root: `apt-get install {names}` is left to you"
        if debian
        else f"this is neither Debian nor Ubuntu: {names} (as Debian calls it) is to be installed by hand"
    )
