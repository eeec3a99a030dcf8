"""
deploy.py as a user runs it: `pyinfra INVENTORY deploy.py` in a process of its own, over WinRM, against a lab of this process.

What was announced is compared with what the lab's journal saw; single operations are in tests/test_op_*.py.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from lab.control import HOSTS, Role
from lab.engine import Machine, Service
from lab.iis import CONFIG
from lab.seed import (
    BASE_DN,
    MFA_SETTINGS,
    MIM_FOLDER,
    MIM_PRODUCT,
    NAMESPACE,
    UNINSTALL,
    Root,
    certificate,
    mfa_settings,
    seed,
    shaped,
)
from tests.clilab import CliLab, Done
from tests.oplab import TIME

pytestmark = pytest.mark.slow

TWO: Final[Mapping[str, Role]] = {**HOSTS, "mim02": "mim"}
SITE: Final = "MIM MFASDK"
FOLDER: Final = r"C:\inetpub\wwwroot\mfasdk"
URL: Final = "https://mfa01.contoso.com:9999/MultiFactorAuthWebServiceSdk/PfWsSdk.asmx"
MEMBER: Final = r"CONTOSO\mimservice in group PhoneFactor Admins"
JOINS: Final = r"CONTOSO\mimservice would join PhoneFactor Admins"
JOINED: Final = r"CONTOSO\mimservice joined PhoneFactor Admins in this run"
OLDER: Final = (
    "service FIMService: whether the process knows its older membership of PhoneFactor Admins cannot be told; "
    "restart it with --data restart_mim=true"
)
FIM_KEY: Final = r"HKLM\SYSTEM\CurrentControlSet\Services\FIMService"
MIM_KEY: Final = rf"{UNINSTALL}\{{8F4E5B3C-6A1D-4C9E-9B57-0D2A7E61C450}}"
BACKUP: Final = rf"{MFA_SETTINGS}.17f6ed57ef1b.bak"
Announced = dict[str, tuple[str, ...]]
States = Mapping[str, Mapping[str, str]]


def restart(reason: str) -> Announced:
    return {"[mim01] service FIMService: 1 change": (f"process: started (time) -> restarted: {reason}",)}


SETTINGS: Final[Announced] = {
    f"[mim01] {MFA_SETTINGS}: 8 changes": (
        f"backup: (absent) -> {BACKUP}",
        "Username: mimservice -> mimservice@contoso.com",
        "LOCMFA: (absent) -> true",
        f"LOCMFASRV: (absent) -> {URL}",
        "LICENSE_KEY: (secret) -> (secret) changed",
        "GROUP_KEY: (secret) -> (secret) changed",
        "CERT_PASSWORD: (secret) -> (secret) changed",
        rf"CertFilePath: {MIM_FOLDER}\MfaCerts\cert_key.p12 -> (empty)",
    )
}
THE_JOB: Final[Announced] = {
    f"[mfa01] application pool {SITE}: 1 change": (f"app_pool: (absent) -> {SITE}",),
    f"[mfa01] site {SITE}: 7 changes": (
        f"folder: (absent) -> {FOLDER}",
        f"site: (absent) -> {SITE}",
        "id: (absent) -> 2",
        f"path: (absent) -> {FOLDER}",
        f"app_pool: (absent) -> {SITE}",
        "binding: (absent) -> https *:9999:",
        f"certificate (https *:9999:): (absent) -> {certificate('mfa01').thumbprint}",
    ),
    f"[mfa01] authentication of {SITE}/: 2 changes": ("anonymous: true -> false", "windows: false -> true"),
    f"[dc01] {MEMBER}: 1 change": (f"member: (absent) -> CN=mimservice,CN=Users,{BASE_DN}",),
    **SETTINGS,
}
TO_COME: Final = {
    f"[mfa01] site {SITE}: 7 changes": f"[mfa01] application pool {SITE} would be created, then: site {SITE}: 7 changes",
    f"[mfa01] authentication of {SITE}/: 2 changes": (
        f"[mfa01] site {SITE} would be created, then: authentication of {SITE}/: 2 changes"
    ),
}
RECORD: Final = r"registry hklm\system\currentcontrolset\services\http\parameters\sslbindinginfo\0.0.0.0:9999"
CHANGED: Final = {
    "mfa01": [
        r"file c:\windows\system32\inetsrv\config\applicationhost.config",
        rf"folder {FOLDER}".lower(),
        "iis pool mim mfasdk",
        "iis site mim mfasdk",
        *(rf"{RECORD}\{name}" for name in ("appid", "defaultflags", "sslcerthash", "sslcertstorename")),
    ],
    "dc01": ["directory"],
    "mim01": [f"file {MFA_SETTINGS}".lower(), f"file {BACKUP}".lower(), "service fimservice"],
}


def announced(done: Done) -> Announced:
    """The blocks that a run showed: headline to its properties, times taken out."""
    found: Announced = {}
    headline = ""
    for line in TIME.sub("(time)", done.text).splitlines():
        text = line.strip()
        if re.fullmatch(r"\[\w+\] .*: \d+ changes?", text):
            headline = re.sub(r"\] +", "] ", text)
            found[headline] = ()
        elif headline and line.startswith("        "):
            found[headline] += (text,)
        else:
            headline = ""
    return found


def changed(lab: CliLab, since: int) -> dict[str, list[str]]:
    """What the journal saw, by host; names in small letters, since wine spells some folders otherwise."""
    found: dict[str, list[str]] = {}
    for host, change in lab.changes(since):
        found.setdefault(host, []).append(change.name.lower())
    return {host: sorted(names) for host, names in found.items()}


def wanted_of(settings: Announced, *, dry: bool) -> Announced:
    """The blocks of a whole run, with other ones for MfaSettings.xml."""
    job = {head: lines for head, lines in THE_JOB.items() if head not in SETTINGS} | settings
    if not dry:
        return job | restart(JOINED)
    return {TO_COME.get(head, head): lines for head, lines in (job | restart(JOINS)).items()}


def whole_job(lab: CliLab, settings: Announced, backup: str) -> None:
    """Dry, applied, again, dry: what is announced is what is done, and what does nothing leaves every file of the lab as it is."""
    converged: tuple[int, Announced, int] = (0, {}, 1)
    start, since = lab.states(), lab.lab.mark()
    dry = lab.pyinfra("--dry", "--diff")
    assert announced(dry) == wanted_of(settings, dry=True)
    assert (dry.code, differing(start, lab.states()), lab.changes(since)) == (0, [], [])
    run = lab.pyinfra("-y", "--diff")
    assert announced(run) == wanted_of(settings, dry=False)
    expected = {**CHANGED, "mim01": [f"file {backup}".lower() if "bak" in name else name for name in CHANGED["mim01"]]}
    assert (run.code, changed(lab, since)) == (0, {host: sorted(names) for host, names in expected.items()})
    done, since = lab.states(), lab.lab.mark()
    for arguments in (["-y", "--diff"], ["--dry", "--diff"]):
        again = lab.pyinfra(*arguments)
        assert (again.code, announced(again), again.of("mim01").count(OLDER)) == converged
        assert (differing(done, lab.states()), lab.changes(since)) == ([], [])


def differing(before: States, after: States) -> list[str]:
    """What came, went or is another one, by the name that a failure should show."""
    return [
        f"{where}: {name}"
        for where in sorted({*before, *after})
        for name in sorted({*before.get(where, {}), *after.get(where, {})})
        if before.get(where, {}).get(name) != after.get(where, {}).get(name)
    ]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[CliLab]:
    with CliLab(tmp_path) as lab:
        yield lab


def test_the_dry_run_says_what_the_run_then_does_and_after_it_nothing_is_left_to_do(lab: CliLab) -> None:
    whole_job(lab, SETTINGS, BACKUP)


# -- the shape of MfaSettings.xml, which no source tells --

SHAPES: Final[dict[str, tuple[Root, dict[str, Any]]]] = {
    "a root in a default namespace": ("namespace", {}),
    "a root in a default namespace, named": ("namespace", {"parent": "/m:MfaSettings", "namespaces": {"m": NAMESPACE}}),
    "nested": ("nested", {"parent": "/configuration/MfaSettings"}),
}
AT_HAND: Final = "if that is the place, name it in the desired state: settings.parent (and settings.namespaces)"


@pytest.mark.parametrize(("root", "own"), SHAPES.values(), ids=SHAPES)
def test_with_another_shape_of_the_settings_the_whole_job_is_the_same(
    tmp_path: Path, root: Root, own: dict[str, Any]
) -> None:
    before = mfa_settings(root)
    backup = f"{MFA_SETTINGS}.{hashlib.sha256(before).hexdigest()[:12]}.bak"
    [(head, (_, *properties))] = SETTINGS.items()
    what = f"{own['parent']} in {MFA_SETTINGS}" if own else MFA_SETTINGS
    settings = {head.replace(MFA_SETTINGS, what): (f"backup: (absent) -> {backup}", *properties)}
    with CliLab(tmp_path, seed=shaped(root)) as lab:
        lab.desired["settings"] |= own
        lab.write_inventory()
        whole_job(lab, settings, backup)
        after = lab.machine("mim01").read_file(MFA_SETTINGS)
        assert after is not None
        indent = "    " if root == "nested" else "  "
        added = f"{indent}<LOCMFA>true</LOCMFA>\r\n{indent}<LOCMFASRV>{URL}</LOCMFASRV>\r\n"
        assert added.encode() in after
        assert after.replace(added.encode(), b"").count(b"\r\n") == before.count(b"\r\n")


def nested_with_provider(machine: Machine, role: Role, build: str | None) -> None:
    seed(machine, role)
    if role == "mim":
        provider = b"  <CustomPhoneProvider>x.dll</CustomPhoneProvider>\r\n  </MfaSettings>"
        machine.write_file(MFA_SETTINGS, mfa_settings("nested").replace(b"  </MfaSettings>", provider))


def test_settings_that_stand_elsewhere_are_refused_with_the_place_and_nothing_is_written_beside_them(
    tmp_path: Path,
) -> None:
    names = "Username, LOCMFA, LOCMFASRV, LICENSE_KEY, GROUP_KEY, CERT_PASSWORD, CertFilePath"
    elsewhere = (
        f"{MFA_SETTINGS}: none of {names} is below <configuration> on line 3, but <LICENSE_KEY> on line 5 is below "
        f"/configuration/MfaSettings: {AT_HAND}"
    )
    provider = (
        f"/configuration/MfaSettings in {MFA_SETTINGS}: <CustomPhoneProvider> on line 11 is not empty: no source says which of "
        "LOCMFA and a custom provider wins: clear one of them by hand first"
    )
    with CliLab(tmp_path, seed=nested_with_provider) as lab:
        start = dict(lab.machine("mim01").snapshot())
        for own, text in (({}, elsewhere), ({"parent": "/configuration/MfaSettings"}, provider)):
            lab.desired["settings"] |= own
            lab.write_inventory()
            for argument in ("--dry", "-y"):
                run = lab.pyinfra(argument)
                assert (run.code, run.of("mim01").count(text)) == (1, 1)
                assert dict(lab.machine("mim01").snapshot()) == start


def test_a_file_of_the_lab_that_changes_is_seen_although_no_host_holds_it_and_a_log_is_not(lab: CliLab) -> None:
    start, file = lab.states(), lab.lab.root / "ports.json"
    (lab.lab.root / "http.log").write_text("more", encoding="utf-8")
    assert lab.states() == start
    file.write_bytes(file.read_bytes() + b"\n")
    assert differing(start, lab.states()) == ["(files): (ports.json)"]


def test_without_diff_only_counts_are_shown_and_with_v_the_properties_too(lab: CliLab) -> None:
    assert set(announced(lab.pyinfra("--dry")).values()) == {()}
    assert announced(lab.pyinfra("--dry", "-v"))[f"[dc01] {MEMBER}: 1 change"] == THE_JOB[f"[dc01] {MEMBER}: 1 change"]


# -- one MIM server after the other --


def first_broken(machine: Machine, role: Role, build: str | None) -> None:
    """FIMService of mim01 ran, and will not come up again."""
    seed(machine, role)
    if machine.name == "mim01":
        machine.add_service(fim_service(broken=True))


def fim_service(*, broken: bool, running: bool = True) -> Service:
    program = rf"{MIM_FOLDER}\Microsoft.ResourceManagement.Service.exe"
    return Service("FIMService", program, account=r"CONTOSO\mimservice", broken=broken, running=running)


def test_the_first_mim_server_that_does_not_come_up_leaves_the_rest_untouched_and_they_are_named(
    tmp_path: Path,
) -> None:
    with CliLab(tmp_path, hosts=TWO, seed=first_broken) as lab:
        since = lab.lab.mark()
        run = lab.pyinfra("-y")
        assert run.code == 1
        why = (
            "Set-ServiceState FIMService: the program of the service FIMService did not answer the service control manager; "
            "it is stopped, expected running (0x8007041D) [timeout]. Run again to see what it is now."
        )
        assert f"left untouched, since mim01 failed: {why}" in run.of("mim02")
        assert changed(lab, since) == {host: sorted(names) for host, names in CHANGED.items()}
        assert lab.machine("mim01").service_state("FIMService")[0] == "stopped"
        # Mended by hand, the next run does what is left: the service of the first, all of the second.
        lab.machine("mim01").add_service(fim_service(broken=False))
        since = lab.lab.mark()
        run = lab.pyinfra("-y")
        assert run.code == 0
        assert changed(lab, since) == {"mim02": sorted(CHANGED["mim01"])}
        assert {name: lab.machine(name).service_state("FIMService")[0] for name in ("mim01", "mim02")} == {
            "mim01": "running",
            "mim02": "running",
        }


@pytest.mark.parametrize("written", [True, False], ids=["its file is wanted otherwise", "its file was written"])
def test_a_mim_server_that_could_not_restart_leaves_the_rest_untouched_in_the_dry_run_too(
    tmp_path: Path, written: bool
) -> None:
    with CliLab(tmp_path, hosts=TWO) as lab:
        first, second = lab.machine("mim01"), lab.machine("mim02")
        why = "it is disabled: enable it, run again"
        if written:
            why = f"service FIMService would have to restart: {why}"
        else:
            assert lab.pyinfra("-y").code == 0
            why = f"service FIMService: {why}"
            first.write_file(MFA_SETTINGS, first.read_file(MFA_SETTINGS) or b"")
            second.write_file(MFA_SETTINGS, mfa_settings())
        first.set_registry(FIM_KEY, dict(first.registry(FIM_KEY)) | {"Start": 4})
        since = lab.lab.mark()
        for arguments in (("--dry", "--diff"), ("-y", "--diff")):
            run = lab.pyinfra(*arguments)
            assert (run.code, f"left untouched, since mim01 failed: {why}" in run.of("mim02")) == (1, True), run.text
            assert [line for line in run.of("mim02") if re.search(r": \d+ changes?$", line)] == []
        assert "mim02" not in changed(lab, since)


def test_a_run_that_asks_first_restarts_the_servers_before_the_one_that_could_not(tmp_path: Path) -> None:
    """What prepare found at a later server holds nobody back who comes before it."""
    with CliLab(tmp_path, hosts=TWO) as lab:
        second = lab.machine("mim02")
        second.set_registry(FIM_KEY, dict(second.registry(FIM_KEY)) | {"Start": 4})
        since = lab.lab.mark()
        run = lab.asked()
        assert changed(lab, since) == {host: sorted(names) for host, names in CHANGED.items()}, run.text
        assert (run.code, "left untouched" in run.text) == (1, False)


def test_a_server_that_was_prepared_too_early_is_left_alone_when_the_run_begins(tmp_path: Path) -> None:
    """With less room than hosts pyinfra prepares a later one first: what is found of the one before it counts in the run."""
    with CliLab(tmp_path, hosts={**TWO, "mim03": "mim"}) as lab:
        first = lab.machine("mim01")
        first.set_registry(FIM_KEY, dict(first.registry(FIM_KEY)) | {"Start": 4})
        since = lab.lab.mark()
        run = lab.asked("deploy.py", "--parallel", "1")
        assert (run.code, {host for host in changed(lab, since) if host.startswith("mim")}) == (1, set()), run.text


def test_of_three_mim_servers_the_last_waits_for_both_in_a_dry_run(tmp_path: Path) -> None:
    with CliLab(tmp_path, hosts={**TWO, "mim03": "mim"}) as lab:
        second = lab.machine("mim02")
        second.set_registry(FIM_KEY, dict(second.registry(FIM_KEY)) | {"Start": 4})
        for _ in range(5):
            run = lab.pyinfra("--dry")
            heads = [line for line in run.lines if re.fullmatch(r"\[mim0\d\] .*: \d+ changes?", line)]
            assert {line[:7] for line in heads} == {"[mim01]"}, run.text
            assert any(line.startswith("left untouched, since mim02 failed: ") for line in run.of("mim03"))
            assert "prepared before" not in run.text


def test_mim_servers_go_in_the_order_of_the_inventory_each_as_a_whole(tmp_path: Path) -> None:
    with CliLab(tmp_path, hosts=TWO) as lab:
        run = lab.pyinfra("-y")
        assert run.code == 0
        heads = [line for line in run.lines if re.fullmatch(r"\[mim0\d\] .*: \d+ changes?", line)]
        settings, service = f"{MFA_SETTINGS}: 8 changes", "service FIMService: 1 change"
        assert heads == [f"[{host}] {text}" for host in ("mim01", "mim02") for text in (settings, service)]
        assert lab.pyinfra("--dry").code == 0


# -- what fails a host, in the dry run too --

OLD: Final = f"{MIM_PRODUCT} is build 4.5.26.0, at least 4.5.202.0 is needed: install KB4346632. Nothing was written on this host"


def test_an_old_build_fails_its_host_alone_in_the_dry_run_too(tmp_path: Path) -> None:
    with CliLab(tmp_path, mim_build="4.5.26.0") as lab:
        since = lab.lab.mark()
        dry = lab.pyinfra("--dry", "--diff")
        others = {TO_COME.get(head, head): lines for head, lines in THE_JOB.items() if not head.startswith("[mim01]")}
        assert (dry.code, announced(dry), dry.of("mim01").count(OLD)) == (1, others, 1)
        assert ("Traceback" in dry.text, lab.changes(since)) == (False, [])
        run = lab.pyinfra("-y")
        assert (run.code, run.of("mim01").count(OLD)) == (1, 1)
        assert changed(lab, since) == {host: sorted(CHANGED[host]) for host in ("mfa01", "dc01")}


def custom_provider(machine: Machine, role: Role, build: str | None) -> None:
    seed(machine, role)
    if role == "mim":
        provider = b"  <customphoneprovider>Contoso.Sms.dll</customphoneprovider>\r\n</MfaSettings>"
        machine.write_file(MFA_SETTINGS, mfa_settings().replace(b"</MfaSettings>", provider))


def test_a_custom_provider_beside_locmfa_fails_its_host_alone_in_the_dry_run_too(tmp_path: Path) -> None:
    text = (
        f"{MFA_SETTINGS}: <customphoneprovider> on line 10 is not empty: no source says which of LOCMFA and a custom "
        "provider wins: clear one of them by hand first"
    )
    with CliLab(tmp_path, seed=custom_provider) as lab:
        since = lab.lab.mark()
        dry = lab.pyinfra("--dry", "--diff")
        assert (dry.code, dry.of("mim01").count(text), lab.changes(since)) == (1, 1, [])
        run = lab.pyinfra("-y")
        assert (run.code, run.of("mim01").count(text)) == (1, 1)
        assert changed(lab, since) == {host: sorted(CHANGED[host]) for host in ("mfa01", "dc01")}


LEFT: Final = (
    "left untouched, since {} failed: MIM would rely on what is not there. Mend that first, or go on with --limit"
)


def test_a_host_that_is_not_reached_fails_without_a_traceback_and_mim_is_not_pointed_at_it(lab: CliLab) -> None:
    lab.host_data["mfa01"] = {"winrm_port": 1}
    lab.write_inventory()
    since = lab.lab.mark()
    dry = lab.pyinfra("--dry", "--diff")
    assert (dry.code, "Traceback" in dry.text) == (1, False)
    assert [line for line in dry.lines if line.startswith("[mfa01]")] != []
    assert announced(dry) == {head: lines for head, lines in THE_JOB.items() if head.startswith("[dc01]")}
    assert dry.of("mim01").count(LEFT.format("mfa01")) == 1
    run = lab.pyinfra("-y")
    assert (run.code, run.of("mim01").count(LEFT.format("mfa01"))) == (1, 1)
    assert changed(lab, since) == {"dc01": CHANGED["dc01"]}


def test_mim_is_left_as_it_is_when_the_sdk_or_the_membership_failed_in_this_run(lab: CliLab) -> None:
    start, since = dict(lab.machine("mim01").snapshot()), lab.lab.mark()
    run = lab.pyinfra("-y", "--data", f"sdk_certificate={'A' * 40}")
    assert (run.code, run.of("mim01").count(LEFT.format("mfa01"))) == (1, 1)
    lab.desired["admins"]["service_account"] = r"CONTOSO\nobody"
    lab.write_inventory()
    run = lab.pyinfra("-y")
    assert (run.code, run.of("mim01").count(LEFT.format("dc01"))) == (1, 1)
    assert (dict(lab.machine("mim01").snapshot()), "mim01" in changed(lab, since)) == (start, False)


NO_CERTIFICATE: Final = (
    f"site {SITE}: https *:9999:: certificate {'A' * 40} is not in LocalMachine\\My. "
    "Import it there with its private key, or name another thumbprint."
)


def test_a_certificate_that_is_not_there_is_found_before_the_pool_is_written_with_y_too(lab: CliLab) -> None:
    since = lab.lab.mark()
    for argument in ("--dry", "-y"):
        run = lab.pyinfra(argument, "--data", f"sdk_certificate={'A' * 40}", "--limit", "mfa01")
        assert (run.code, announced(run), run.of("mfa01").count(NO_CERTIFICATE)) == (1, {}, 1)
    assert lab.changes(since) == []


LOCKS_OUT: Final = (
    b"<configuration><system.webServer><security><authentication>"
    b'<windowsAuthentication enabled="false" />'
    b"</authentication></security></system.webServer></configuration>"
)


def without_windows_authentication(machine: Machine, role: Role, build: str | None) -> None:
    seed(machine, role)
    if role == "mfa":
        data = machine.read_file(CONFIG)
        assert data is not None
        image = b'<add name="WindowsAuthenticationModule" image="%windir%\\System32\\inetsrv\\authsspi.dll" />'
        machine.write_file(CONFIG, data.replace(image, b""))


def test_a_missing_windows_authentication_is_found_before_the_pool_is_written_with_y_too(tmp_path: Path) -> None:
    text = (
        f"authentication of {SITE}/: windows needs WindowsAuthenticationModule, which is not installed (globalModules). "
        "Install Web-Windows-Auth, run again."
    )
    with CliLab(tmp_path, hosts={"mfa01": "mfa"}, seed=without_windows_authentication) as lab:
        start = lab.states()
        for argument in ("--dry", "-y"):
            run = lab.pyinfra(argument)
            assert (run.code, announced(run), run.of("mfa01").count(text), lab.states()) == (1, {}, 1, start)


def test_a_web_config_of_the_sdks_site_that_overrides_is_found_before_the_pool_and_the_site_are_written_with_y_too(
    lab: CliLab,
) -> None:
    assert lab.pyinfra("-y", "--limit", "mfa01").code == 0
    lab.desired["site"]["app_pool"] = "Another pool"
    lab.write_inventory()
    folder = lab.desired["site"]["path"]
    lab.machine("mfa01").write_file(rf"{folder}\web.config", LOCKS_OUT)
    since = lab.lab.mark()
    for argument in ("--dry", "-y"):
        run = lab.pyinfra(argument, "--limit", "mfa01")
        refused = [line for line in run.of("mfa01") if line.startswith(f"authentication of {SITE}/: ")]
        assert (run.code, announced(run), len(refused)) == (1, {}, 1)
        assert rf"{folder}\web.config line 1" in refused[0]
    assert lab.changes(since) == []


def test_a_site_that_moves_away_from_a_folder_whose_web_config_overrides_is_moved_and_then_asks_for_a_windows_account(
    lab: CliLab,
) -> None:
    assert lab.pyinfra("-y", "--limit", "mfa01").code == 0
    lab.machine("mfa01").write_file(rf"{lab.desired['site']['path']}\web.config", LOCKS_OUT)
    lab.desired["site"]["path"] = r"C:\inetpub\clean"
    lab.write_inventory()
    run = lab.pyinfra("-y", "--limit", "mfa01")
    assert (run.code, list(announced(run))) == (0, [f"[mfa01] site {SITE}: 2 changes"])
    again = lab.pyinfra("-y", "--limit", "mfa01")
    assert (again.code, announced(again)) == (0, {})


def test_an_account_that_is_not_there_is_found_before_the_group_is_made_with_y_too(lab: CliLab) -> None:
    lab.desired["admins"] |= {"group": "Callers of the SDK", "service_account": r"CONTOSO\nobody"}
    lab.write_inventory()
    since = lab.lab.mark()
    text = (
        r"CONTOSO\nobody in group Callers of the SDK: "
        r"no CONTOSO\nobody in contoso.com (sAMAccountName nobody and nobody$)"
    )
    for argument in ("--dry", "-y"):
        run = lab.pyinfra(argument, "--limit", "dc01")
        assert (run.code, announced(run), [line for line in run.of("dc01") if "nobody" in line]) == (1, {}, [text])
    assert lab.changes(since) == []


# -- one domain controller for all --

TWO_CONTROLLERS: Final[Mapping[str, Role]] = {**HOSTS, "dc02": "dc"}


def joined(host: str) -> str:
    return f"[{host}] {MEMBER}: 1 change"


def test_of_two_domain_controllers_that_are_up_the_first_is_written_and_the_other_left_alone(tmp_path: Path) -> None:
    with CliLab(tmp_path, hosts=TWO_CONTROLLERS) as lab:
        since = lab.lab.mark()
        dry = lab.pyinfra("--dry", "--diff")
        assert (dry.code, joined("dc01") in announced(dry), joined("dc02") in announced(dry)) == (0, True, False)
        run = lab.pyinfra("-y", "--diff")
        assert (run.code, announced(run)) == (0, THE_JOB | restart(JOINED))
        assert changed(lab, since) == {host: sorted(names) for host, names in CHANGED.items()}
        again = lab.pyinfra("-y", "--diff")
        assert (again.code, announced(again)) == (0, {})


def test_where_the_first_domain_controller_is_down_the_second_is_read_and_written(tmp_path: Path) -> None:
    with CliLab(tmp_path, hosts=TWO_CONTROLLERS) as lab:
        lab.host_data["dc01"] = {"winrm_port": 1}
        lab.write_inventory()
        since = lab.lab.mark()
        at_the_second = {head.replace("[dc01]", "[dc02]"): lines for head, lines in THE_JOB.items()}
        dry = lab.pyinfra("--dry", "--diff")
        shown = {TO_COME.get(head, head): lines for head, lines in (at_the_second | restart(JOINS)).items()}
        assert (announced(dry), changed(lab, since)) == (shown, {})
        run = lab.pyinfra("-y", "--diff")
        assert announced(run) == at_the_second | restart(JOINED)
        assert changed(lab, since) == {
            {"dc01": "dc02"}.get(host, host): sorted(names) for host, names in CHANGED.items()
        }
        # The run was not whole: one host of the inventory could not be reached.
        assert (dry.code, run.code) == (1, 1)
        again = lab.pyinfra("-y", "--diff")
        assert (announced(again), again.of("mim01").count(OLDER)) == ({}, 1)


@pytest.mark.parametrize("option", ["--no-wait", "--serial"])
def test_an_option_that_lets_hosts_overtake_each_other_is_refused_by_the_hosts_that_would(
    lab: CliLab, option: str
) -> None:
    since = lab.lab.mark()
    run = lab.pyinfra("-y", option)
    assert "this deploy needs its order, run it without --no-wait and --serial" in run.text
    assert "mim01" not in changed(lab, since)


# -- restarts --


def converged(lab: CliLab) -> None:
    run = lab.pyinfra("-y")
    assert run.code == 0, run.text


def test_a_restart_that_a_broken_run_lost_is_made_up_by_the_next(lab: CliLab) -> None:
    machine = lab.machine("mim01")
    machine.add_service(fim_service(broken=True))
    assert (lab.pyinfra("-y").code, machine.service_state("FIMService")) == (1, ("stopped", None))
    assert machine.read_file(MFA_SETTINGS) != mfa_settings()
    machine.add_service(fim_service(broken=False, running=False))
    since = lab.lab.mark()
    started = {"[mim01] service FIMService: 1 change": ("state: stopped -> running",)}
    assert announced(lab.pyinfra("--dry", "--diff")) == started
    assert announced(lab.pyinfra("-y", "--diff")) == started
    assert changed(lab, since) == {"mim01": ["service fimservice"]}
    assert announced(lab.pyinfra("--dry", "--diff")) == {}


def test_where_the_mim_service_could_not_restart_its_settings_are_not_written_either(lab: CliLab) -> None:
    machine = lab.machine("mim01")
    machine.set_registry(FIM_KEY, dict(machine.registry(FIM_KEY)) | {"Start": 4})
    start = dict(machine.snapshot())
    text = f"{MFA_SETTINGS}: service FIMService would have to restart: it is disabled: enable it, run again"
    for argument in ("--dry", "-y"):
        run = lab.pyinfra(argument)
        assert (run.code, run.of("mim01").count(text), dict(machine.snapshot())) == (1, 1, start)


def test_where_the_folder_of_the_mim_service_cannot_be_told_its_settings_are_looked_for_nowhere(lab: CliLab) -> None:
    machine = lab.machine("mim01")
    machine.set_registry(FIM_KEY, dict(machine.registry(FIM_KEY)) | {"ImagePath": "Service.exe"})
    start = dict(machine.snapshot())
    text = (
        "service FIMService: its ImagePath names the program 'Service.exe', expected a full path: "
        "what lies beside it cannot be found. Repair the service, run again"
    )
    for argument in ("--dry", "-y"):
        run = lab.pyinfra(argument, "--limit", "mim01")
        said = [line for line in run.of("mim01") if "MfaSettings.xml" in line]
        assert (run.code, run.of("mim01").count(text), said, dict(machine.snapshot())) == (1, 1, [], start)


def converged_but_for_the_membership(lab: CliLab) -> None:
    converged(lab)
    removed = lab.pyinfra(
        "operations.ad.ad_group_member", "group=PhoneFactor Admins", "member=mimservice", "present=false", "-y",
        "--limit", "domain_controllers", deploy="",
    )  # fmt: skip
    assert removed.code == 0, removed.text


def test_a_membership_alone_restarts_the_service_in_the_run_that_writes_it(lab: CliLab) -> None:
    converged_but_for_the_membership(lab)
    since = lab.lab.mark()
    joins = {f"[dc01] {MEMBER}: 1 change": THE_JOB[f"[dc01] {MEMBER}: 1 change"]}
    assert announced(lab.pyinfra("--dry", "--diff")) == joins | restart(JOINS)
    assert announced(lab.pyinfra("-y", "--diff")) == joins | restart(JOINED)
    assert changed(lab, since) == {"dc01": ["directory"], "mim01": ["service fimservice"]}


def test_a_membership_of_a_run_that_was_cut_before_the_restart_is_said_and_never_taken_for_known(lab: CliLab) -> None:
    converged_but_for_the_membership(lab)
    machine = lab.machine("mim01")
    installed = dict(machine.registry(MIM_KEY))
    machine.set_registry(MIM_KEY, installed | {"DisplayVersion": "4.5.26.0"})
    since = lab.lab.mark()
    cut = lab.pyinfra("-y", "--diff")
    assert (cut.code, announced(cut)) == (1, {f"[dc01] {MEMBER}: 1 change": THE_JOB[f"[dc01] {MEMBER}: 1 change"]})
    assert changed(lab, since) == {"dc01": ["directory"]}
    machine.set_registry(MIM_KEY, installed)
    since = lab.lab.mark()
    for arguments in (["--dry", "--diff"], ["-y", "--diff"]):
        run = lab.pyinfra(*arguments)
        assert (run.code, announced(run), run.of("mim01").count(OLDER), changed(lab, since)) == (0, {}, 1, {})
    assert announced(lab.pyinfra("-y", "--diff", "--data", "restart_mim=true")) == restart("asked for")


def test_restart_mim_restarts_it_in_every_run_that_says_so(lab: CliLab) -> None:
    converged(lab)
    since = lab.lab.mark()
    asked = restart("asked for")
    assert announced(lab.pyinfra("--dry", "--diff", "--data", "restart_mim=true")) == asked
    assert changed(lab, since) == {}
    assert announced(lab.pyinfra("-y", "--diff", "--data", "restart_mim=true")) == asked
    assert changed(lab, since) == {"mim01": ["service fimservice"]}
    assert announced(lab.pyinfra("-y", "--diff")) == {}


@pytest.mark.parametrize(
    ("given", "says"),
    {
        "restart_mim=no": "restart_mim is 'no', expected True or False",
        "restart_mim=off": "restart_mim is 'off', expected True or False",
        f"sdk_certificate={'0' * 40}": "sdk_certificate is 0, expected a text",
    }.items(),
)
def test_data_that_cannot_be_ends_the_run_before_anything_is_written(lab: CliLab, given: str, says: str) -> None:
    start, since = lab.states(), lab.lab.mark()
    for argument in ("--dry", "-y"):
        run = lab.pyinfra(argument, "--data", given)
        told = [line for line in run.lines if says in line]
        assert (run.code, len(told), "Traceback" in run.text, announced(run)) == (1, 1, False, {})
    assert (lab.states(), lab.changes(since)) == (start, [])


def test_a_host_certificate_that_is_none_leaves_the_one_of_all(lab: CliLab) -> None:
    lab.host_data["mfa01"] = {"sdk_certificate": None}
    lab.desired["site"]["thumbprint"] = certificate("mfa01").thumbprint
    lab.write_inventory()
    dry = lab.pyinfra("--dry", "--diff", "--limit", "mfa01")
    job = {TO_COME.get(head, head): lines for head, lines in THE_JOB.items() if head.startswith("[mfa01]")}
    assert (dry.code, announced(dry)) == (0, job)


def test_limited_to_one_host_the_others_are_left_alone_and_what_cannot_be_told_is_said(lab: CliLab) -> None:
    since = lab.lab.mark()
    dry = lab.pyinfra("--dry", "--diff", "--limit", "mim01")
    assert (dry.code, announced(dry)) == (0, SETTINGS | restart(f"{MFA_SETTINGS} would be written"))
    run = lab.pyinfra("-y", "--diff", "--limit", "mim_servers")
    assert (run.code, announced(run)) == (0, SETTINGS | restart(f"{MFA_SETTINGS} was written at (time)"))
    assert changed(lab, since) == {"mim01": sorted(CHANGED["mim01"])}
    told = (
        "service FIMService: no domain controller takes part in this run: whether the process knows that "
        r"CONTOSO\mimservice is in PhoneFactor Admins cannot be told"
    )
    again = lab.pyinfra("-y", "--limit", "mim01")
    assert (again.code, announced(again), again.of("mim01").count(told)) == (0, {}, 1)


# -- facts --

FACTS: Final[dict[str, tuple[list[str], dict[str, Any]]]] = {
    "facts.iis.IisSite": (["site=default web site"], {"mfa01": "Default Web Site"}),
    "facts.iis.IisAppPool": (["app_pool=DefaultAppPool"], {"mfa01": "DefaultAppPool"}),
    "facts.iis.IisAuthentication": (["site=Default Web Site"], {"mfa01": "Default Web Site"}),
    "facts.ad.AdGroup": (["group=PhoneFactor Admins"], {"dc01": "PhoneFactor Admins"}),
    "facts.ad.AdGroupMember": (["group=PhoneFactor Admins", "member=anna"], {"dc01": "none"}),
    "facts.xml.XmlElements": ([f"file={MFA_SETTINGS}", 'names=["Username"]'], {"mim01": "mimservice"}),
    "facts.files.FileState": ([f"path={MFA_SETTINGS}"], {"mim01": MFA_SETTINGS}),
    "facts.windows.WindowsService": (["service=FIMService"], {"mim01": "FIMService"}),
    "facts.windows.InstalledProduct": ([f"product={MIM_PRODUCT}"], {"mim01": "4.5.286.0"}),
}


@pytest.mark.parametrize("fact", FACTS)
def test_a_fact_prints_json_and_changes_nothing(lab: CliLab, fact: str) -> None:
    start, since = lab.states(), lab.lab.mark()
    arguments, expected = FACTS[fact]
    done = lab.pyinfra("fact", fact, *arguments, "--json", deploy="")
    assert done.code == 0
    [by_host] = json.loads(done.out).values()
    assert by_host.keys() == HOSTS.keys()
    for host, text in expected.items():
        assert json.dumps(text) in json.dumps(by_host[host])
    assert (lab.states(), lab.changes(since)) == (start, [])


@pytest.mark.parametrize(
    ("fact", "arguments", "said"),
    [
        ("facts.iis.IisSite", [], "site is not given, expected site=..."),
        (
            "facts.iis.IisAuthentication",
            ["site=x", "path=5"],
            """path is 5, expected text: path='"5"' on a command line""",
        ),
        ("facts.windows.WindowsService", ["service=[1]"], "service is [1], expected text"),
        (
            "facts.xml.XmlElements",
            ["file=x", "names=5", "parent=6", "namespaces=[7]", "ignore_case=no"],
            (
                "ignore_case is 'no', expected true or false; "
                """names is 5, expected text or a list of texts: names='"5"' on a command line; """
                "namespaces is [7], expected a dict of texts; "
                """parent is 6, expected text: parent='"6"' on a command line"""
            ),
        ),
        ("facts.ad.AdGroup", ["group=x", "path=7"], """path is 7, expected text: path='"7"' on a command line"""),
        (
            "facts.files.FileState",
            ["path=C:\\\udcff"],
            "path: a text holds half of a surrogate pair, which is no character",
        ),
    ],
)
def test_a_fact_with_a_wrong_argument_says_which_and_what_is_expected(
    lab: CliLab, fact: str, arguments: list[str], said: str
) -> None:
    done = lab.pyinfra("fact", fact, *arguments, "--json", deploy="")
    [by_host] = json.loads(done.out).values()
    assert by_host == dict.fromkeys(HOSTS, "unread")
    assert [done.of(host).count(said) for host in HOSTS] == [1] * len(HOSTS)
    assert "Traceback" not in done.out + done.err


def test_a_number_as_text_is_a_name_for_a_fact(lab: CliLab) -> None:
    done = lab.pyinfra("fact", "facts.windows.WindowsService", 'service="1"', "--json", deploy="")
    [by_host] = json.loads(done.out).values()
    assert [by_host[host]["service"] for host in HOSTS] == ["1"] * len(HOSTS)


def test_a_fact_of_iis_is_an_error_on_a_host_without_it_and_the_others_still_print(lab: CliLab) -> None:
    done = lab.pyinfra("fact", "facts.iis.IisSite", "site=Default Web Site", "--json", deploy="")
    [by_host] = json.loads(done.out).values()
    assert (by_host["dc01"], by_host["mim01"], by_host["mfa01"]["site"]["id"]) == ("unread", "unread", 1)
    text = (
        r"Get-IisConfig IIS: there is no C:\Windows\System32\inetsrv\Microsoft.Web.Administration.dll [not-installed]."
    )
    assert [done.of(host).count(text) for host in ("dc01", "mim01", "mfa01")] == [1, 1, 0]
