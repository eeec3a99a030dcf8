"""A real machine with IIS's stand-in for tests: its configuration files, verbs through the wire, and PowerShell lines beside them."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.engine import Process
from lab.powershell_engine import WineMachine
from powershell import bootstrap, script

POWERSHELL = r"C:\windows\System32\WindowsPowerShell\v1.0\powershell.exe"
CONFIG = r"C:\windows\System32\inetsrv\config\applicationHost.config"
WAS = r"HKLM\SOFTWARE\LabStandin\WAS"
HTTP = r"HKLM\SYSTEM\CurrentControlSet\Services\HTTP\Parameters"
TOKEN = "0123456789abcdef"
SMALL = Path(__file__).parents[1] / "lab" / "data" / "applicationHost.config"

# One line in, one line out: `ok` or `Type HResult`, then what it said.
LINES = r"""
$ErrorActionPreference = 'Stop'
$out = [Console]::OpenStandardOutput()
while ($null -ne ($line = [Console]::In.ReadLine())) {
    $text = [Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($line))
    try { $said = 'ok ' + [string]::Join('|', [string[]]@(. ([ScriptBlock]::Create($text)))) }
    catch {
        $root = $_.Exception.GetBaseException()
        # The stand-in's own class of FileLoadException, which has no way to set an HResult.
        $type = if ($root.GetType().IsPublic) { $root.GetType() } else { $root.GetType().BaseType }
        $said = '{0} 0x{1:X8}' -f $type.Name, $root.HResult
    }
    $said = [Convert]::ToBase64String([Text.Encoding]::UTF8.GetBytes($said))
    $bytes = [Text.Encoding]::ASCII.GetBytes("$said`n")
    $out.Write($bytes, 0, $bytes.Length); $out.Flush()
}
"""


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode("utf-16-le")).decode()


class Lines:
    """A program that answers each line with one line."""

    def __init__(self, process: Process) -> None:
        self._process, self._rest = process, b""

    def ask(self, line: str) -> str:
        self._process.write(line.encode() + b"\n", end=False)
        return self.read()

    def read(self) -> str:
        deadline = time.monotonic() + 60
        while b"\n" not in self._rest:
            output = self._process.read(1)
            self._rest += output.stdout
            if output.exit_code is not None or time.monotonic() > deadline:
                raise AssertionError(f"no answer: {self._rest!r} {output}")
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode("ascii").strip()

    def close(self) -> None:
        self._process.write(b"", end=True)
        self._process.terminate()


class IisHost:
    """Verbs and PowerShell lines on one machine. `reset` puts everything back that a test may have changed."""

    def __init__(self, machine: WineMachine) -> None:
        self.machine, self._sequence = machine, 0
        text = script().encode()
        self._verbs = Lines(machine.start([POWERSHELL, "-NoProfile", "-EncodedCommand", _encoded(bootstrap(TOKEN))]))
        body = base64.b64encode(text).decode()
        hello = self._verbs.ask(f"{TOKEN} S {len(body)} {hashlib.sha256(text).hexdigest()} write {body}")
        assert hello.split()[:2] == [TOKEN, "H"], hello
        self._lines = Lines(machine.start([POWERSHELL, "-NoProfile", "-EncodedCommand", _encoded(LINES)]))

    def reset(self, config: bytes | None = None) -> None:
        self.machine.remove_registry(WAS)
        self.machine.remove_registry(HTTP)
        self.machine.set_registry(WAS, {"DelayMs": 0})
        self.write(SMALL.read_bytes() if config is None else config)

    def close(self) -> None:
        self._verbs.close()
        self._lines.close()

    def write(self, config: bytes) -> None:
        self.machine.write_file(CONFIG, config)

    @property
    def config(self) -> str:
        return (self.machine.read_file(CONFIG) or b"").decode()

    @property
    def guard(self) -> str:
        return hashlib.sha256(self.machine.read_file(CONFIG) or b"").hexdigest()

    def call(self, verb: str, secrets: Mapping[str, str] | None = None, **args: Any) -> dict[str, Any]:
        """The whole answer of a verb."""
        self._sequence += 1
        fields = [
            base64.b64encode(json.dumps(one).encode()).decode() for one in ({"verb": verb, "args": args}, secrets or {})
        ]
        line = f"{TOKEN} R {self._sequence} {sum(map(len, fields))} {fields[0]} {fields[1]} -"
        answer = self._verbs.ask(line).split()
        assert answer[:3] == [TOKEN, "A", str(self._sequence)], answer
        decoded: dict[str, Any] = json.loads(base64.b64decode(answer[4]))
        return decoded

    def result(self, verb: str, **args: Any) -> dict[str, Any]:
        """What a verb answers; it must succeed."""
        answer = self.call(verb, **args)
        assert answer["ok"], answer
        result: dict[str, Any] = answer["result"]
        return result

    def error(self, verb: str, **args: Any) -> tuple[str, str, int | None]:
        """Kind, where and HResult of the error that a verb answers."""
        answer = self.call(verb, **args)
        assert not answer["ok"], answer
        return answer["error"]["kind"], answer["error"]["where"], answer["error"]["hresult"]

    def read(self, section: str, location: str = "", view: str = "stored", **more: Any) -> dict[str, Any]:
        """One read: its `section` and `tree`, or its `error`."""
        (found,) = self.result(
            "Get-IisConfig", reads=[{"id": "x", "section": section, "location": location, "view": view, **more}]
        )["reads"]
        assert isinstance(found, dict)
        return found

    def edit(self, *edits: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """The whole answer of an edit that is guarded by the file as it is."""
        return self.call("Edit-IisConfig", guard=self.guard, edits=list(edits), **more)

    def run(self, line: str) -> str:
        """`ok` and what a PowerShell line says, or the type and HResult of what it throws."""
        return base64.b64decode(self._lines.ask(base64.b64encode(line.encode()).decode())).decode()
