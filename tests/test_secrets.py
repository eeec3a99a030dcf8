"""
No secret in any output: of runs, dry runs, facts, errors, at every verbosity, in the logs that the lab's hosts would keep, in pyinfra's own log.

Planted with awkward characters in what is wanted and in what the hosts hold. What the search itself finds is tests/test_leaks.py's.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import pytest

from lab.engine import Machine
from lab.lab import EngineName, Lab
from lab.seed import BASE_DN, MFA_SETTINGS, DirectSdk, Role, seed
from model.secret import Secret
from tests.clilab import TREE, CliLab, Done
from tests.leaks import leaks
from tests.oplab import directory_edit, engines

pytestmark = pytest.mark.slow


def awkward(core: str) -> str:
    """Quotes of every kind, what XML, JSON, URLs, PowerShell and shells have for themselves, an umlaut, blanks, backslashes."""
    return f"ä '{core}' \"<&>%41$x`y \\z;\u2019\u201eÜ"


WANTED: Final = {
    "winrm_password": awkward("Kw7mPz3RtQx9vLb2"),
    "directory_password": awkward("Dn4sHy8TgWc6jFr1"),
    "wrong password": awkward("Wr5oNg2PxSv7kJd8"),
    "app pool password": awkward("Ap9pLo3LqMz6tBn5"),
    "new app pool password": awkward("Np2wLs8QrXf4hGk7"),
    "element": awkward("Em6nTx1VbZd9cYw3"),
}
HELD: Final = {
    "LICENSE_KEY": awkward("Lc3nSe7KyHt5uRm2"),
    "GROUP_KEY": awkward("Gr8pKy4XwNq1jVz6"),
    "CERT_PASSWORD": awkward("Ce1rTp5SdLf9gBx4"),
    "PIN": awkward("Pn7bQk2MhJs3wTc8"),
    "inside Credentials": awkward("In4sDe9CrXv6mHq3"),
}
SECRETS: Final = WANTED | HELD

DEPLOY: Final = r"""
import json
from pathlib import Path

from pyinfra import host

from model.secret import Secret
from operations.iis import iis_app_pool
from operations.xml import xml_elements

planted = json.loads(Path({planted!r}).read_text())
if host.name == "mfa01":
    iis_app_pool(
        name="A pool with an account", app_pool="Planted", identity="SpecificUser", user=r"CONTOSO\sdk",
        password=Secret(planted["app pool password"]),
    )
    iis_app_pool(
        name="The same with a new password", app_pool="planted", identity="SpecificUser", user="sdk@contoso.com",
        password=Secret(planted["new app pool password"]),
    )
if host.name == "mim01":
    # Without name=: pyinfra then shows the arguments themselves.
    xml_elements(
        file={settings!r}, set={{"PIN": Secret(planted["element"]), "Element": Secret(planted["element"])}},
        attributes={{"Username": {{"token": Secret(planted["element"])}}}}, secret="Element",
    )
    # What was there is a secret by the name of the element around it alone.
    xml_elements(file={settings!r}, parent="/MfaSettings/Credentials", set={{"user": "none"}})
"""
FAILS: Final = r"""
from pyinfra import host

from model.secret import Secret
from operations.xml import xml_elements

if host.name == "mim01":
    password = Secret(host.data.winrm_password.reveal())
    xml_elements(name="No such file", file=r"C:\absent.xml", set={"PIN": password})
    xml_elements(name="No such argument", file=r"C:\absent.xml", set={"PIN": password}, wrong=password)
"""
LEAKS: Final = r"""
from pyinfra import host, logger

if host.name == "mim01":
    logger.info("connected with %s", host.data.winrm_password.reveal())
"""


def plant(machine: Machine, role: Role, build: str | None) -> None:
    seed(machine, role)
    if role == "dc":
        dn = f"CN=planted,CN=Users,{BASE_DN}"
        machine.directory_add(
            dn,
            {
                "objectClass": ("top", "person", "organizationalPerson", "user"),
                "sAMAccountName": ("planted",),
                "unicodePwd": (WANTED["directory_password"],),
                "userAccountControl": ("512",),
            },
        )
        directory_edit(machine, f"CN=Domain Admins,CN=Users,{BASE_DN}", "member", "add", dn)
    if role == "mim":
        values = DirectSdk(HELD["LICENSE_KEY"], HELD["GROUP_KEY"], HELD["CERT_PASSWORD"])
        seed(machine, role, values=values)
        data = machine.read_file(MFA_SETTINGS) or b""
        pin, inside = (escape(HELD[name]) for name in ("PIN", "inside Credentials"))
        more = f"<PIN>{pin}</PIN><Credentials><user>{inside}</user></Credentials></MfaSettings>".encode()
        machine.write_file(MFA_SETTINGS, data.replace(b"</MfaSettings>", more))


@dataclass
class Outputs:
    """What all runs wrote, a name to each."""

    lab: CliLab
    texts: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, deploy: str = "", inventory: str = "", code: int = 0) -> Done:
        log = TREE / "pyinfra-debug.log"
        log.unlink(missing_ok=True)
        done = self.lab.pyinfra(*arguments, deploy=deploy, inventory=inventory)
        name = f"{Path(deploy).name} {' '.join(arguments)}"
        assert done.code == code, f"{name}: {done.text}"
        self.texts[name] = done.text
        if log.exists():
            self.texts[f"pyinfra-debug.log of {name}"] = log.read_text(encoding="utf-8")
        return done

    def found(self) -> list[str]:
        """What leaked, and where. Lines that were searched once are not searched again."""
        for path in sorted(self.lab.lab.root.glob("*")):
            if path.suffix in (".log", ".jsonl"):
                self.texts[path.name] = path.read_text(encoding="utf-8")
        seen: set[str] = set()
        found = []
        for name, text in self.texts.items():
            new = [line for line in text.splitlines() if line not in seen]
            seen.update(new)
            found += [f"{name}: {leak}" for leak in leaks("\n".join(new), SECRETS)]
        return found


@contextmanager
def planted(
    tmp_path: Path, engine: EngineName = "python", hosts: Mapping[str, Role] | None = None
) -> Iterator[Outputs]:
    """A lab that holds secrets, with an account that is one, and the deploys beside it."""
    root = tmp_path / "lab"
    root.mkdir(mode=0o700)
    account = {"user": "lab-admin", "password": WANTED["winrm_password"]}
    (root / "account.json").write_text(json.dumps(account), encoding="utf-8")
    (tmp_path / "planted.json").write_text(json.dumps(WANTED), encoding="utf-8")
    texts = {
        "planted.py": DEPLOY.format(planted=str(tmp_path / "planted.json"), settings=MFA_SETTINGS),
        "fails.py": FAILS,
        "leaks.py": LEAKS,
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with CliLab(tmp_path, engine, hosts, seed=plant) as lab:
        if "dc01" in lab.lab.roles:
            lab.host_data["dc01"] = {
                "directory_server": "dc01.contoso.com",
                "directory_port": 636,
                "directory_tls": True,
                "directory_user": r"CONTOSO\planted",
                "directory_password": WANTED["directory_password"],
            }
        lab.write_inventory()
        yield Outputs(lab)


@pytest.fixture
def outputs(tmp_path: Path) -> Iterator[Outputs]:
    with planted(tmp_path) as outputs:
        yield outputs


def test_no_secret_is_in_any_output_of_any_run_nor_in_a_log_of_a_host(outputs: Outputs) -> None:
    lab, deploy = outputs.lab, str(outputs.lab.folder / "planted.py")
    outputs.run("--dry", "--diff", "-v", deploy="deploy.py")
    outputs.run("--dry", "--diff", "-vvv", "--debug-all", deploy=deploy)
    outputs.run("--dry", "--json", deploy=deploy)
    outputs.run("fact", "facts.xml.XmlElements", f"file={MFA_SETTINGS}", "parent=/MfaSettings/Credentials", "-vvv")
    outputs.run("-y", "-vvv", "--diff", "--debug-all", deploy=deploy)
    outputs.run("-y", "-vv", "--debug", deploy="deploy.py")
    outputs.run("-y", "--json", "-vvv", deploy="deploy.py")
    outputs.run("debug-inventory")
    outputs.run("fact", "facts.xml.XmlElements", f"file={MFA_SETTINGS}", 'secret=["Element"]', "-vvv", "--debug-all")
    outputs.run("fact", "facts.iis.IisAppPool", "app_pool=Planted", "--json", "-vvv")
    written = lab.machine("mim01").read_file(MFA_SETTINGS) or b""
    assert b"Em6nTx1VbZd9cYw3" in written  # it did arrive, so there was something to leak
    assert outputs.found() == []


@pytest.mark.parametrize("engine", engines("mim")[1:])
def test_no_secret_is_in_any_output_nor_in_a_log_of_a_host_where_real_powershell_runs(
    tmp_path: Path, engine: EngineName
) -> None:
    """What a host logs is command lines and script text, and what PowerShell itself says when a verb fails."""
    with planted(tmp_path, engine, {"mfa01": "mfa", "mim01": "mim"}) as outputs:
        lab = outputs.lab
        outputs.run("-y", "-vvv", "--diff", "--debug-all", deploy=str(tmp_path / "planted.py"))
        outputs.run("fact", "facts.iis.IisAppPool", "app_pool=Planted", "-vvv", "--debug-all")
        written = lab.machine("mim01").read_file(MFA_SETTINGS) or b""
        assert b"Em6nTx1VbZd9cYw3" in written  # it did arrive, so there was something to leak
        with lab.machine("mim01").locked(MFA_SETTINGS):
            outputs.run("--dry", "-vvv", "--debug-all", deploy=str(tmp_path / "planted.py"), code=1)
        outputs.run("-y", "-vvv", "--debug-all", deploy=str(tmp_path / "fails.py"), code=1)
        assert outputs.found() == []
        assert {"commands.log", "journal.jsonl"} & {*outputs.texts} == {"commands.log", "journal.jsonl"}


def test_no_secret_is_in_what_is_said_when_something_goes_wrong(outputs: Outputs) -> None:
    lab, folder = outputs.lab, outputs.lab.folder
    outputs.run("-y", "-vvv", "--debug-all", deploy=str(folder / "fails.py"), code=1)
    with lab.machine("mim01").locked(MFA_SETTINGS):
        outputs.run("--dry", "-vvv", "--debug-all", deploy=str(folder / "planted.py"), code=1)
    for index, (host, own) in enumerate(
        {
            "mim01": {"winrm_password": WANTED["wrong password"]},
            "dc01": lab.host_data["dc01"] | {"directory_password": WANTED["wrong password"]},
            "mfa01": {"winrm_transport": "basic", "winrm_password": WANTED["wrong password"]},
        }.items()
    ):
        before = lab.host_data.get(host, {})
        lab.host_data[host] = own
        lab.write_inventory()
        outputs.run("--dry", "-vvv", "--debug-all", deploy="deploy.py", code=1)
        outputs.texts[f"wrong {index}"] = outputs.texts.popitem()[1]
        lab.host_data[host] = before
    lab.host_data["mim01"] = {"winrm_password": [WANTED["winrm_password"]], "winrm_port": 0}
    lab.write_inventory()
    outputs.run("--dry", "-vvv", "--debug-all", deploy="deploy.py", code=1)
    assert len(outputs.texts) >= 6
    assert outputs.found() == []


def test_a_run_that_leaks_is_caught(outputs: Outputs) -> None:
    outputs.run("-y", deploy=str(outputs.lab.folder / "leaks.py"))
    found = outputs.found()
    assert "leaks.py -y: winrm_password: plain" in found
    assert [leak for leak in found if not leak.startswith("leaks.py -y: winrm_password: ")] == []


def test_a_secret_shows_nothing_of_itself_however_it_is_asked() -> None:
    secret = Secret(WANTED["element"])
    texts = [
        str(secret),
        repr(secret),
        f"{secret}",
        f"{secret!r:>40}",
        logging.makeLogRecord({"msg": "%s %r", "args": (secret, secret)}).getMessage(),
        json.dumps(secret.to_json()),
    ]
    texts += [repr([secret]), repr({"x": secret}), str(Exception(secret)), repr(vars(Lab))]
    assert leaks("\n".join(texts), SECRETS) == []
