"""
The `powershell` engine's Windows machines, on the real thing: wine, its registry, services and files, and PowerShell.

What the verbs do there is the contract suite's; here is what the lab itself promises of such a machine.
"""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab import template, wine
from lab.arranger import ArrangerError
from lab.engine import Output, Process, RegistryValue, Service
from lab.powershell_engine import PowershellEngine, WineMachine
from lab.process import marked
from lab.python_engine import PythonEngine
from lab.samba import SambaMachine
from lab.seed import MFA_FOLDER, MFA_SETTINGS, certificate, seed
from lab.template import ENGINES, EngineError
from lab.wine import Prefix, clone

pytestmark = [
    pytest.mark.powershell,
    pytest.mark.skipif(template.absent() is not None, reason=str(template.absent())),
]

POWERSHELL = r"C:\windows\System32\WindowsPowerShell\v1.0\powershell.exe"
QUIET = ("-NoLogo", "-NoProfile", "-NonInteractive")
SERVICES = r"HKLM\SYSTEM\CurrentControlSet\Services"
PROGRAM = r"C:\Program Files\Some Thing\Some.Service.exe"


def whole(process: Process) -> Output:
    """All that a program says until it has ended."""
    process.write(b"", end=True)
    stdout, stderr, deadline = b"", b"", time.monotonic() + 60
    while time.monotonic() < deadline:
        output = process.read(1)
        stdout, stderr = stdout + output.stdout, stderr + output.stderr
        if output.exit_code is not None:
            return Output(stdout, stderr, output.exit_code)
    raise AssertionError(f"it did not end within 60 s, and said {stdout!r} {stderr!r}")


LOOP = r"""
[Console]::OutputEncoding = [Text.UTF8Encoding]::new($false)
while ($null -ne ($line = [Console]::In.ReadLine())) {
    try { & ([scriptblock]::Create([Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($line)))) | Out-String -Stream -Width 999 }
    catch { "error: $_" }
    '(end)'
}
"""


class Shell:
    """A warm PowerShell of a machine, started as the lab starts programs: what another process there sees and does."""

    def __init__(self, machine: WineMachine) -> None:
        encoded = base64.b64encode(LOOP.encode("utf-16-le")).decode()
        self._process = machine.start([POWERSHELL, *QUIET, "-EncodedCommand", encoded])

    def __call__(self, script: str) -> list[str]:
        """The lines that a script writes."""
        self._process.write(base64.b64encode(script.encode()) + b"\n", end=False)
        stdout, deadline = b"", time.monotonic() + 60
        while not stdout.endswith(b"(end)\r\n"):
            output = self._process.read(1)
            stdout += output.stdout
            assert output.exit_code is None, (stdout, output)
            assert time.monotonic() < deadline, stdout
        return stdout.decode().splitlines()[:-1]


def difference(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, tuple[str | None, str | None]]:
    names = sorted(before.keys() | after.keys())
    return {name: (before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)}


def programs_of(prefix: Path) -> list[str]:
    """Every process of this computer that belongs to a prefix."""
    sign, found = f"WINEPREFIX={prefix}".encode(), []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdecimal() and sign in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_bytes().decode())
    return found


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> PowershellEngine:
    return PowershellEngine(tmp_path_factory.mktemp("powershell"))


@pytest.fixture(scope="module")
def machine(engine: PowershellEngine) -> Iterator[WineMachine]:
    """A MIM machine in the state `installed`. Tests leave what they make: each has names of its own."""
    made = engine.machine("mim01", "mim")
    assert isinstance(made, WineMachine)
    seed(made, "mim")
    yield made
    made.close()


@pytest.fixture(scope="module")
def said(machine: WineMachine) -> Shell:
    return Shell(machine)


# -- the engine --


def test_a_machine_is_made_once_and_a_domain_controller_is_another_kind(engine: PowershellEngine) -> None:
    assert engine.machine("mim01", "mim") is engine.machine("mim01", "mim")
    assert isinstance(engine.machine("dc01", "dc"), SambaMachine)


def test_a_clone_shares_what_windows_brings_and_has_all_that_is_written_for_itself(tmp_path: Path) -> None:
    own = template.INETSRV / "config"
    for name in ("one", "two"):
        clone(ENGINES / "template", tmp_path / name, own=[own])

    def same(path: str) -> bool:
        return (tmp_path / "one" / path).samefile(tmp_path / "two" / path)

    assert {
        path: same(path)
        for path in (
            "drive_c/windows/system32/kernel32.dll",
            "drive_c/windows/system32/WindowsPowerShell/v1.0/powershell.exe",
            "drive_c/windows/win.ini",
            "drive_c/users",
            "system.reg",
            "user.reg",
            "userdef.reg",
        )
    } == {
        "drive_c/windows/system32/kernel32.dll": True,
        "drive_c/windows/system32/WindowsPowerShell/v1.0/powershell.exe": True,
        "drive_c/windows/win.ini": False,
        "drive_c/users": False,
        "system.reg": False,
        "user.reg": False,
        "userdef.reg": False,
    }
    written = [path for path in (tmp_path / "one" / "drive_c" / own).rglob("*") if path.is_file()]
    assert [path for path in written if path.stat().st_nlink > 1] == []


def test_nothing_of_a_machine_leads_out_of_its_folder(machine: WineMachine, said: Shell) -> None:
    # Not counted: names of serial ports, which wine makes for the devices of the computer.
    links = [path for path in machine.folder.rglob("*") if path.is_symlink() and not path.name.startswith("com")]
    assert [link for link in links if not link.resolve().is_relative_to(machine.folder)] == []
    assert said("[System.IO.DriveInfo]::GetDrives().Name") == ["C:\\"]


@pytest.mark.slow
def test_a_clone_works_where_the_system_refuses_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    clone(ENGINES / "template", tmp_path / "linked")
    prefix = Prefix(tmp_path / "linked")
    try:
        assert whole(prefix.start([POWERSHELL, *QUIET, "-Command", "6 * 7"])) == Output(b"42\r\n", b"", 0)
    finally:
        prefix.stop()


def test_what_is_missing_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert template.absent(tmp_path / ".engines") == (
        "no real PowerShell on a Windows API was tried: .engines/template is not there. Run `make engines` as root"
    )
    with pytest.raises(EngineError, match="Run `make engines` as root"):
        PowershellEngine(tmp_path, engines=tmp_path / ".engines").machine("mfa01", "mfa")
    monkeypatch.setattr(wine, "PROGRAMS", ())
    assert (
        template.absent()
        == "no real PowerShell on a Windows API was tried: wine64 is not installed. Run `make engines` as root"
    )


def test_a_setting_that_names_no_powershell_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIM_LAB_PWSH_WIN", "no/such/pwsh.exe")
    with pytest.raises(EngineError) as refused:
        template.unpack("win", tmp_path)
    assert str(refused.value) == "MIM_LAB_PWSH_WIN is no/such/pwsh.exe: no such file. It is the path of pwsh.exe"
    assert list(tmp_path.iterdir()) == []


def test_a_powershell_that_a_setting_names_is_taken_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for name in ("pwsh", "some.dll"):
        (own / name).write_text(name)
    monkeypatch.setenv("MIM_LAB_PWSH_LINUX", str(own / "pwsh"))
    assert [template.unpack("linux", tmp_path / "engines") for _ in range(2)] == [True, False]
    made = tmp_path / "engines" / "powershell-linux"
    assert {path.name: path.read_text() for path in made.iterdir()} == {"pwsh": "pwsh", "some.dll": "some.dll"}


# -- starting programs --


@pytest.mark.parametrize("name", [POWERSHELL, POWERSHELL.upper(), POWERSHELL.lower().replace("\\", "/"), "powershell"])
def test_a_program_is_found_by_its_windows_path_in_any_case_or_where_windows_looks(
    machine: WineMachine, name: str
) -> None:
    assert machine._program(name) == r"C:\windows\system32\WindowsPowerShell\v1.0\powershell.exe"


def test_arguments_arrive_as_they_stand(machine: WineMachine) -> None:
    odd = r"""'a "b"  c\' + '\\' + "d`$e %PATH% & | < > ^ ! *" """
    output = whole(machine.start([POWERSHELL, *QUIET, "-Command", odd]))
    assert output == Output(b'a "b"  c\\\\\\d$e %PATH% & | < > ^ ! *\r\n', b"", 0)


def test_stdin_stdout_stderr_and_the_exit_code_are_the_programs_own(machine: WineMachine) -> None:
    script = "$text = [Console]::In.ReadToEnd(); [Console]::Error.WriteLine('went wrong'); $text.Length; exit 3"
    process = machine.start([POWERSHELL, *QUIET, "-Command", script])
    process.write(b"x" * 1_000_000, end=False)
    assert whole(process) == Output(b"1000000\r\n", b"went wrong\r\r\n", 3)


def test_an_unknown_program_says_so_and_ends_with_1(machine: WineMachine) -> None:
    said_so = b"' is not recognized as an internal or external command,\r\noperable program or batch file.\r\n"
    for name in ("nonsense", r"C:\Program Files\no.exe", r"D:\x.exe", "/bin/sh", r"C:\windows\win.ini"):
        assert whole(machine.start([name, "-x"])) == Output(b"", b"'" + name.encode() + said_so, 1)


def test_a_machine_calls_itself_as_the_lab_does_and_is_a_64_bit_windows_10(machine: WineMachine, said: Shell) -> None:
    script = r"""
        [Environment]::MachineName; [Environment]::Is64BitProcess; [Environment]::OSVersion.Version.Major; [cultureinfo]::CurrentCulture.Name
        [Microsoft.Win32.Registry]::GetValue('HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters', 'Domain', '')
        [Environment]::CurrentDirectory
    """
    *lines, folder = said(script)
    assert lines == ["MIM01", "True", "10", "en-US", "contoso.com"]
    assert folder.startswith("C:\\users\\")


def test_ending_powershell_ends_what_it_started_and_nothing_of_the_machine(machine: WineMachine) -> None:
    before = machine.service_state("FIMService")
    script = f"$null = [System.Diagnostics.Process]::Start('{POWERSHELL}', '-NoProfile -Command Start-Sleep 600'); 'started'; Start-Sleep 600"
    process = machine.start([POWERSHELL, *QUIET, "-Command", script])
    assert process.read(60).stdout.startswith(b"started")
    mark = process._mark  # type: ignore[attr-defined]  # a LocalProcess: Process does not tell
    deadline = time.monotonic() + 30
    while sum("powershell" in _command(pid).lower() for pid in marked(mark)) < 2:
        assert time.monotonic() < deadline, f"the child never came up: {[_command(pid) for pid in marked(mark)]}"
    process.terminate()
    assert marked(mark) == ()
    assert machine.service_state("FIMService") == before


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text()
    return ""


@pytest.mark.slow
@pytest.mark.parametrize(("culture", "number"), [("tr-TR", "1,5"), ("de-DE", "1,5")])
def test_a_machine_runs_under_another_culture_and_keeps_unicode_names(
    tmp_path: Path, culture: str, number: str
) -> None:
    machine = PowershellEngine(tmp_path, culture=culture).machine("mim01", "mim")
    assert isinstance(machine, WineMachine)
    try:
        machine.write_file("C:\\ä\\ğ漢.txt", b"x")
        script = r"[cultureinfo]::CurrentCulture.Name; 1.5.ToString(); [IO.Directory]::GetFiles('C:\' + [char] 0xe4)"
        assert Shell(machine)(script) == [culture, number, "C:\\ä\\ğ漢.txt"]
    finally:
        machine.close()


# -- the snapshot --


def test_looking_changes_nothing_and_is_quick(machine: WineMachine, said: Shell) -> None:
    first = machine.snapshot()
    said(
        "Get-Service FIMService | Out-Null; [IO.Directory]::GetFiles('C:\\Program Files', '*', 'AllDirectories').Count"
    )
    durations, deadline = [1.0], time.monotonic() + 30
    while min(durations) >= 0.1 and time.monotonic() < deadline:  # a busy computer may need some tries
        start = time.monotonic()
        assert difference(first, machine.snapshot()) == {}
        durations.append(time.monotonic() - start)
    assert min(durations) < 0.1


def test_every_kind_of_change_is_seen_by_its_name(machine: WineMachine, said: Shell) -> None:
    machine.write_file(r"C:\seen\file.txt", b"old")
    machine.set_last_write(r"C:\seen\file.txt", datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC))
    machine.set_iis_state("site", "A site", "Started")
    before = machine.snapshot()
    pfx = certificate("seen.contoso.com")
    script = r"""
        [IO.File]::WriteAllText('C:\seen\file.txt', 'new'); [IO.Directory]::CreateDirectory('C:\seen\folder').Name
        [IO.File]::SetLastWriteTimeUtc('C:\seen\file.txt', [datetime]::new(2026, 1, 2, 3, 4, 6, [DateTimeKind]::Utc))
        [Microsoft.Win32.Registry]::SetValue('HKEY_LOCAL_MACHINE\SOFTWARE\LabStandin', 'value', ([byte[]] (1, 255)), 'Binary')
        [Microsoft.Win32.Registry]::SetValue('HKEY_LOCAL_MACHINE\SOFTWARE\LabStandin\WAS', 'site A site', 'Stopped')
    """
    assert said(script) == ["folder"]
    machine.add_certificate(pfx.pfx, pfx.password, private_key=False)
    assert difference(before, machine.snapshot()) == {
        f"certificate My\\{pfx.thumbprint}": (None, "no private key"),
        r"file C:\seen\file.txt": (
            f"{_sha256(b'old')} 3 2026-01-02T03:04:05.6789010Z",
            f"{_sha256(b'new')} 3 2026-01-02T03:04:06.0000000Z",
        ),
        r"folder C:\seen\folder": (None, ""),
        "iis site A site": ("Started", "Stopped"),
        r"registry HKLM\SOFTWARE\LabStandin\value": (None, "01ff"),
    }


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# -- services --


def test_a_restarted_service_has_a_new_start_time_and_the_snapshot_tells(machine: WineMachine, said: Shell) -> None:
    before, (state, started) = machine.snapshot(), machine.service_state("FIMService")
    assert said("Restart-Service FIMService; (Get-Service FIMService).Status") == ["Running"]
    again, restarted = machine.service_state("FIMService")
    assert (state, again) == ("running", "running")
    assert started is not None
    assert restarted is not None
    assert started < restarted <= datetime.now(UTC)
    assert list(difference(before, machine.snapshot())) == ["service FIMService"]


def test_a_service_is_configured_in_the_registry_as_on_windows(machine: WineMachine) -> None:
    machine.add_service(
        Service(
            "Configured",
            PROGRAM,
            "Some thing",
            r"CONTOSO\somebody",
            "manual",
            depends_on=("FIMService", "HTTP"),
            running=False,
        )
    )
    values = machine.registry(rf"{SERVICES}\Configured")
    names = ("ImagePath", "DisplayName", "ObjectName", "Start", "Type", "DependOnService")
    assert {name: values[name] for name in names} == {
        "ImagePath": f'"{PROGRAM}"',
        "DisplayName": "Some thing",
        "ObjectName": r"CONTOSO\somebody",
        "Start": 3,
        "Type": 16,
        "DependOnService": ("FIMService", "HTTP"),
    }
    assert machine.service_state("Configured") == ("stopped", None)


def test_a_service_that_is_added_again_is_replaced(machine: WineMachine) -> None:
    machine.add_service(Service("Again", r"C:\again\again.exe", start="disabled", depends_on=("FIMService",)))
    assert machine.service_state("Again")[0] == "running"
    assert machine.registry(rf"{SERVICES}\Again")["Start"] == 4
    machine.add_service(Service("Again", r"C:\again\again.exe", account=r"CONTOSO\other", running=False))
    assert machine.service_state("Again") == ("stopped", None)
    values = machine.registry(rf"{SERVICES}\Again")
    assert (values["Start"], values["ObjectName"], values.get("DependOnService")) == (2, r"CONTOSO\other", None)


def test_a_broken_service_runs_until_it_is_stopped_and_then_does_not_come_up(machine: WineMachine, said: Shell) -> None:
    machine.add_service(Service("Broken", r"C:\broken\broken.exe", broken=True))
    assert machine.service_state("Broken")[0] == "running"
    script = r"""
        $service = [System.ServiceProcess.ServiceController]::new('Broken'); $service.Stop(); $service.WaitForStatus('Stopped')
        try { $service.Start() } catch { $_.Exception.InnerException.InnerException.NativeErrorCode }
    """
    start = time.monotonic()
    assert said(script) == ["1053"]
    assert time.monotonic() - start < 8
    assert machine.service_state("Broken") == ("stopped", None)


# -- files --


def test_a_locked_file_is_open_in_another_process_until_it_is_let_go(machine: WineMachine, said: Shell) -> None:
    machine.write_file(r"C:\locked\file.txt", b"content")
    script = r"try { [IO.File]::ReadAllText('C:\locked\file.txt') } catch { $_.Exception.InnerException.HResult.ToString('x') }"
    with machine.locked(r"C:\LOCKED\file.txt"):
        assert said(script) == ["80070020"]
    assert said(script) == ["content"]


def test_files_are_found_in_any_case_and_kept_as_spelled(machine: WineMachine) -> None:
    machine.write_file(r"C:\Case\File.txt", b"one")
    machine.write_file("c:/CASE/file.TXT", b"two")
    machine.make_folder(r"C:\case\Folder\Deep")
    assert machine.read_file(r"C:\case\FILE.txt") == b"two"
    assert machine.read_file(r"C:\case\other.txt") is None
    assert machine.read_file(r"C:\case\folder") is None
    assert [name for name in machine.snapshot() if r"C:\Case" in name] == [
        r"folder C:\Case",
        r"folder C:\Case\Folder",
        r"file C:\Case\File.txt",
        r"folder C:\Case\Folder\Deep",
    ]
    machine.remove_file(r"C:\case\file.txt")
    machine.remove_file(r"C:\case\file.txt")
    assert machine.read_file(r"C:\Case\File.txt") is None


def test_the_read_only_attribute_is_the_one_that_windows_sees(machine: WineMachine, said: Shell) -> None:
    path = r"C:\readonly\file.txt"
    machine.write_file(path, b"")
    script = f"([IO.FileInfo]::new('{path}')).IsReadOnly; [IO.File]::SetAttributes('{path}', 'ReadOnly')"
    machine.set_read_only(path, read_only=True)
    assert machine.snapshot()[f"file {path}"].endswith(" read-only")
    assert said(script) == ["True"]
    machine.set_read_only(path, read_only=False)
    assert said(script) == ["False"]
    assert machine.snapshot()[f"file {path}"].endswith(" read-only")


def test_the_time_of_a_file_is_the_one_that_windows_sees(machine: WineMachine, said: Shell) -> None:
    machine.write_file(r"C:\time\file.txt", b"")
    machine.set_last_write(r"C:\time\file.txt", datetime(2001, 2, 3, 4, 5, 6, 789012, tzinfo=UTC))
    script = r"[IO.File]::GetLastWriteTimeUtc('C:\time\file.txt').ToString('o')"
    assert said(script) == ["2001-02-03T04:05:06.7890120Z"]


def test_writing_a_file_of_windows_leaves_the_other_machines_alone(machine: WineMachine) -> None:
    path = r"C:\windows\system32\drivers\etc\hosts"
    before = (ENGINES / "template/drive_c/windows/system32/drivers/etc/hosts").read_bytes()
    machine.write_file(path, b"mine")
    assert machine.read_file(path) == b"mine"
    assert (ENGINES / "template/drive_c/windows/system32/drivers/etc/hosts").read_bytes() == before


@pytest.mark.parametrize("path", [r"D:\x", "x", r"\\server\share\x", r"\\.\pipe\x", ""])
def test_what_is_not_on_drive_c_is_refused(machine: WineMachine, path: str) -> None:
    with pytest.raises(ValueError, match="is not a path of drive C"):
        machine.write_file(path, b"")


@given(st.lists(st.one_of(st.sampled_from(["..", ".", "", "windows", "System32"]), st.text(max_size=3)), max_size=8))
def test_no_path_leads_out_of_the_drive(parts: list[str]) -> None:
    prefix = Prefix(ENGINES / "template")
    found = prefix.host_path("C:\\" + "\\".join(part.replace("\0", "") for part in parts))
    assert found is not None
    assert Path(os.path.normpath(found)).is_relative_to(prefix.drive)


# -- the rest --

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
values = st.one_of(
    texts, st.integers(0, 2**32 - 1), st.binary(max_size=9), st.lists(texts.filter(bool), max_size=3).map(tuple)
)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.text("abc XYZ.é", min_size=1, max_size=6).filter(str.strip), values, max_size=4))
def test_registry_values_come_back_as_they_were_set(machine: WineMachine, wanted: dict[str, RegistryValue]) -> None:
    wanted = {name.casefold(): value for name, value in wanted.items()}
    key = r"HKLM\SOFTWARE\LabStandin\RoundTrip"
    machine.remove_registry(key)
    machine.set_registry(key, wanted)
    assert machine.registry(key) == wanted


def test_a_key_that_is_not_there_has_no_values_and_can_be_removed(machine: WineMachine) -> None:
    assert machine.registry(r"HKLM\SOFTWARE\Nothing\Here") == {}
    machine.remove_registry(r"HKLM\SOFTWARE\Nothing\Here")


def test_what_cannot_be_arranged_says_what_windows_said(machine: WineMachine) -> None:
    with pytest.raises(ArrangerError, match=r"Add-Certificate: .*"):
        machine.add_certificate(b"no pfx", "")
    with pytest.raises(ArrangerError, match=r"Get-ServiceState: .*Nothing"):
        machine.service_state("Nothing")
    with pytest.raises(ValueError, match="mim01 is no domain controller"):
        machine.directory_add("CN=x", {})


def test_many_at_once_get_their_own_answers(machine: WineMachine) -> None:
    key, answers = r"HKLM\SOFTWARE\LabStandin\Many", {}

    def work(number: int) -> None:
        for round_ in range(3):
            machine.set_registry(rf"{key}\{number}", {"value": number + round_})
            answers[number] = machine.registry(rf"{key}\{number}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: {"value": number + 2} for number in range(6)}


# -- seed and life --


@pytest.mark.slow
def test_the_seed_is_the_same_through_both_engines(tmp_path: Path, engine: PowershellEngine) -> None:
    twin, real = PythonEngine(tmp_path).machine("mfa01", "mfa"), engine.machine("mfa01", "mfa")
    try:
        seed(twin, "mfa")
        seed(real, "mfa")

        def view(seen: Mapping[str, str]) -> dict[str, str]:
            ours = (
                "certificate",
                "iis",
                "service",
                f"file {MFA_FOLDER}\\M",
                rf"registry {SERVICES}\M",
                rf"registry {SERVICES}\W",
            )
            found = {name: value.split()[0] for name, value in seen.items() if name.startswith(ours)}
            # What differs: programs of services (real ones here), and a value that wine's service manager adds.
            return {name: value for name, value in found.items() if not name.endswith((".exe", "PreshutdownTimeout"))}

        assert view(real.snapshot()) == view(twin.snapshot())
        configuration = r"C:\Windows\System32\inetsrv\config\applicationHost.config"
        assert real.read_file(configuration) == twin.read_file(configuration)
        assert real.read_file(configuration) is not None
    finally:
        real.close()


def test_only_a_mfa_machine_has_iis(machine: WineMachine, said: Shell) -> None:
    assert said(r"[IO.Directory]::Exists('C:\windows\System32\inetsrv')") == ["False"]


@pytest.mark.slow
def test_a_machine_whose_lab_was_killed_ends_by_itself_with_its_state(tmp_path: Path) -> None:
    script = """
import sys, time
from pathlib import Path
from lab.engine import Service
from lab.powershell_engine import PowershellEngine
machine = PowershellEngine(Path(sys.argv[1])).machine("mim01", "mim")
machine.add_service(Service("Own", "C:/own/own.exe".replace("/", chr(92))))
print("ready", flush=True)
time.sleep(600)
"""
    with subprocess.Popen(  # noqa: S603 (a program of our own)
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, cwd=template.ROOT
    ) as lab:
        assert lab.stdout is not None
        assert lab.stdout.readline() == b"ready\n"
        assert any("own.exe" in program for program in programs_of(tmp_path / "mim01"))
        lab.kill()
    deadline = time.monotonic() + 60
    while left := programs_of(tmp_path / "mim01"):
        assert time.monotonic() < deadline, f"still there: {left}"
    machine = PowershellEngine(tmp_path).machine("mim01", "mim")
    try:
        assert machine.service_state("Own")[0] == "running"
    finally:
        machine.close()


@pytest.mark.slow
def test_a_machine_that_was_switched_off_has_its_state_and_starts_its_services(engine: PowershellEngine) -> None:
    machine = engine.machine("mim02", "mim")
    assert isinstance(machine, WineMachine)
    try:
        seed(machine, "mim")
        own = certificate("mim02")
        machine.add_certificate(own.pfx, own.password)
        machine.add_service(Service("Manual", r"C:\manual\manual.exe", start="manual"))
        machine.set_last_write(MFA_SETTINGS, datetime.now(UTC) - timedelta(hours=1))
        before, (_, started) = machine.snapshot(), machine.service_state("FIMService")
        machine.close()
        assert programs_of(machine.folder) == []
        machine.close()
        machine.open()
        machine.open()
        state, restarted = machine.service_state("FIMService")
        assert state == "running"
        assert started is not None
        assert restarted is not None
        assert restarted > started
        after = machine.snapshot()
        assert list(difference(before, after)) == ["service FIMService", "service Manual"]
        assert after["service Manual"] == "stopped"
    finally:
        machine.close()
    assert programs_of(machine.folder) == []
