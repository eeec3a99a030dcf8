# Starts the runtime in a PowerShell whose standard input and output are pipes. What lives here: the language test, reading and checking
# the script line, handing over. What does not: frames, verbs (runtime.ps1 and the others arrive in that line).
#
# It travels in -EncodedCommand (base64 of UTF-16LE), so it must stay under 2,000 characters: `bootstrap()` of powershell/__init__.py trims
# every line, drops empty ones and those that begin with a hash sign, joins with a line feed, and puts the process's token in place of
# TOKEN16HEXDIGITS. No string or comment here goes over a line end, so that this is safe.
# - The first statement is all that ConstrainedLanguage allows; the token is written there a second time because no variable may be trusted yet.
# - The name of the pipeline's input variable must not occur: the host would read standard input itself (facts/winrm.md 0.1).
# - The token is looked for anywhere in the line: a byte order mark may stand before it.
# - A line cut short by a broken connection is answered with N, and the controller sends it again. Wrong hash or a script that does not parse: X.
# - SHA256CryptoServiceProvider, since SHA256.Create() throws under the FIPS policy on .NET Framework before 4.8.
# - The script is given: reader, standard output as a stream, token, mode, SHA-256 of the script.
if ("$($ExecutionContext.SessionState.LanguageMode)" -ne 'FullLanguage') { Write-Output "TOKEN16HEXDIGITS X $($ExecutionContext.SessionState.LanguageMode)"; exit 1 }
$ErrorActionPreference = 'Stop'
$ProgressPreference = $WarningPreference = $VerbosePreference = $DebugPreference = $InformationPreference = 'SilentlyContinue'
$token = 'TOKEN16HEXDIGITS'
$out = [Console]::OpenStandardOutput()
$say = {
    $text = [Convert]::ToBase64String([Text.Encoding]::UTF8.GetBytes([string]$args[1]))
    $line = [Text.Encoding]::ASCII.GetBytes("`n$token $($args[0]) $($text.Length) $text`n")
    $out.Write($line, 0, $line.Length)
    $out.Flush()
}
try {
    $reader = [IO.StreamReader]::new([Console]::OpenStandardInput(), [Text.Encoding]::ASCII, $false, 65536)
    while ($true) {
        $wait = $reader.ReadLineAsync()
        if (-not $wait.Wait(900000) -or $null -eq $wait.Result) { exit 0 }
        $at = $wait.Result.IndexOf("$token ", [StringComparison]::Ordinal)
        if ($at -lt 0) { continue }
        $field = $wait.Result.Substring($at).Split(' ')
        if ($field.Length -eq 6 -and $field[1] -ceq 'S' -and $field[2] -ceq $field[5].Length -and $field[4] -cmatch '^(write|read)$') { break }
        & $say 'N 0' 'not a whole script line'
    }
    $bytes = [Convert]::FromBase64String($field[5])
    $hash = [BitConverter]::ToString([Security.Cryptography.SHA256CryptoServiceProvider]::new().ComputeHash($bytes)).Replace('-', '').ToLowerInvariant()
    if ($hash -cne $field[3]) { throw 'the script arrived with another SHA-256' }
    $block = [ScriptBlock]::Create([Text.Encoding]::UTF8.GetString($bytes))
    $null = & $block $reader $out $token $field[4] $hash *>&1
}
catch { & $say 'X' $_.Exception.Message; exit 1 }
exit 0
