# Arranges and photographs a Windows machine of the lab: registry, services, certificates, locks. Not the product: a snapshot must not
# depend on what a host verb reports. Runs in the PowerShell 7 of the `powershell` engine alone, one process a machine, started by
# lab/arranger.py: a line in is base64 of JSON {"do": function, "with": {parameter: value}}, a line out "answer " and the same of {"ok": .., "is" | "why": ..}.
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version 2.0
Import-Module -Name Microsoft.PowerShell.Utility  # at once where it is: for a command of it PowerShell would look through every module first
$hive = [Microsoft.Win32.RegistryKey]::OpenBaseKey('LocalMachine', 'Registry64')
$servicesKey = 'SYSTEM\CurrentControlSet\Services'
$ourServices = 'SOFTWARE\LabStandin\Services'
$locks = @{}

function Get-Below([string] $Key) { $Key -replace '^HKLM\\', '' }

function ConvertTo-Data($Value) {
    if ($Value -is [byte[]]) { return @{ bytes = [Convert]::ToBase64String($Value) } }
    if ($Value -is [string[]]) { return @{ texts = $Value } }
    $Value
}

function Get-RegistryKey([string] $Key) {
    $values = [ordered]@{}
    $opened = $hive.OpenSubKey((Get-Below $Key))
    if ($null -ne $opened) {
        foreach ($name in $opened.GetValueNames()) { $values[$name] = ConvertTo-Data $opened.GetValue($name, $null, 'DoNotExpandEnvironmentNames') }
        $opened.Dispose()
    }
    $values
}

function Set-RegistryKey([string] $Key, $Values) {
    $opened = $hive.CreateSubKey((Get-Below $Key))
    foreach ($name in $Values.Keys) {
        $value = $Values[$name]
        if ($value -is [string]) {
            $kind = if ($value.Contains('%')) { 'ExpandString' } else { 'String' }
            $opened.SetValue($name, $value, $kind)
        }
        elseif ($value -isnot [System.Collections.IDictionary]) { $opened.SetValue($name, [BitConverter]::ToInt32([BitConverter]::GetBytes([long] $value), 0), 'DWord') }
        elseif ($value.Contains('bytes')) { $opened.SetValue($name, [Convert]::FromBase64String($value['bytes']), 'Binary') }
        else { $opened.SetValue($name, [string[]] @($value['texts']), 'MultiString') }
    }
    $opened.Dispose()
}

function Remove-RegistryKey([string] $Key) { $hive.DeleteSubKeyTree((Get-Below $Key), $false) }

# Start times of the processes that run a program, oldest first; one that ends while it is looked at is left out.
function Get-StartTime([string] $Program) {
    $times = foreach ($process in [System.Diagnostics.Process]::GetProcessesByName([System.IO.Path]::GetFileNameWithoutExtension($Program))) {
        try {
            if ($process.MainModule.FileName -eq $Program) { $process.StartTime.ToUniversalTime().ToString('o', [cultureinfo]::InvariantCulture) }
        }
        catch { continue }
        finally { $process.Dispose() }
    }
    [string[]] @($times | Sort-Object)
}

function Get-ServiceState([string] $Service) {
    $path = [string] (Get-RegistryKey "$servicesKey\$Service")['ImagePath']
    if ($path -eq '') { throw "there is no service $Service" }
    $controller = [System.ServiceProcess.ServiceController]::new($Service)
    try { $state = ([string] $controller.Status) -creplace '(?<=[a-z])(?=[A-Z])', '-' } finally { $controller.Dispose() }
    $program = [Environment]::ExpandEnvironmentVariables($path).Trim('"')
    @{ state = $state.ToLowerInvariant(); started = @(Get-StartTime $program) }
}

function Add-Service([string] $Service, [string] $Program, [string] $DisplayName, [string] $Account, [string] $Start, $DependsOn, [bool] $Running) {
    $known = (Get-RegistryKey "$servicesKey\$Service").Count -gt 0
    # wine starts no disabled service either, so one that is to run is disabled afterwards.
    $first = if ($Running -and $Start -eq 'disabled') { 'Manual' } else { $Start }
    if (-not $known) { $null = New-Service -Name $Service -BinaryPathName ('"' + $Program + '"') -DisplayName $DisplayName -StartupType $first }
    $controller = [System.ServiceProcess.ServiceController]::new($Service)
    try {
        if ($Running -and $controller.Status -ne 'Running') { $controller.Start(); $controller.WaitForStatus('Running', [timespan]::FromSeconds(20)) }
        if (-not $Running -and $controller.Status -ne 'Stopped') { $controller.Stop(); $controller.WaitForStatus('Stopped', [timespan]::FromSeconds(20)) }
    }
    finally { $controller.Dispose() }
    if ($known -or $first -ne $Start) {
        # wine's services.exe changes the value, then Set-Service goes on to a thing that wine does not have.
        try { Set-Service -Name $Service -StartupType $Start } catch [System.ComponentModel.Win32Exception], [Microsoft.PowerShell.Commands.ServiceCommandException] { }
    }
    Set-RegistryKey "$servicesKey\$Service" @{ ObjectName = $Account }
    if (@($DependsOn).Count -gt 0) { Set-RegistryKey "$servicesKey\$Service" @{ DependOnService = @{ texts = @($DependsOn) } } }
    elseif ($known) { $key = $hive.OpenSubKey("$servicesKey\$Service", $true); $key.DeleteValue('DependOnService', $false); $key.Dispose() }
    Set-RegistryKey $ourServices @{ $Service = '' }
}

function Add-Certificate([string] $Pfx, [string] $Password, [string] $Store, [bool] $PrivateKey) {
    $bytes = [Convert]::FromBase64String($Pfx)
    $certificate = [System.Security.Cryptography.X509Certificates.X509Certificate2]::new($bytes, $Password, 'MachineKeySet, PersistKeySet')
    if (-not $PrivateKey) { $certificate = [System.Security.Cryptography.X509Certificates.X509Certificate2]::new($certificate.RawData) }
    $opened = [System.Security.Cryptography.X509Certificates.X509Store]::new($Store, 'LocalMachine')
    try { $opened.Open('ReadWrite'); $opened.Add($certificate) } finally { $opened.Dispose() }
    $certificate.Thumbprint
}

function Lock-File([string] $Path) { $locks[$Path] = [System.IO.FileStream]::new($Path, 'Open', 'ReadWrite', 'None') }

function Unlock-File([string] $Path) { $locks[$Path].Dispose(); $locks.Remove($Path) }

function Add-Key([string] $Key, $Into) {
    $opened = $hive.OpenSubKey($Key)
    if ($null -eq $opened) { return }
    $Into["HKLM\$Key"] = Get-RegistryKey $Key
    foreach ($name in $opened.GetSubKeyNames()) { Add-Key "$Key\$name" $Into }
    $opened.Dispose()
}

function Get-Snapshot {
    $uninstall = 'Microsoft\Windows\CurrentVersion\Uninstall'
    $services = @((Get-RegistryKey $ourServices).Keys)
    $keys = [ordered]@{}
    foreach ($key in "SOFTWARE\$uninstall", "SOFTWARE\WOW6432Node\$uninstall", 'SOFTWARE\LabStandin', "$servicesKey\HTTP\Parameters") { Add-Key $key $keys }
    foreach ($service in $services) { Add-Key "$servicesKey\$service" $keys }
    $certificates = @{}
    foreach ($name in 'My', 'WebHosting') {
        $store = [System.Security.Cryptography.X509Certificates.X509Store]::new($name, 'LocalMachine')
        try {
            $store.Open('ReadOnly')
            foreach ($certificate in $store.Certificates) { $certificates["$name\$($certificate.Thumbprint)"] = $certificate.HasPrivateKey }
        }
        finally { $store.Dispose() }
    }
    $states = @{}
    foreach ($service in $services) { $states[$service] = Get-ServiceState $service }
    @{ registry = $keys; certificates = $certificates; services = $states }
}

$in = [System.IO.StreamReader]::new([Console]::OpenStandardInput())
$out = [System.IO.StreamWriter]::new([Console]::OpenStandardOutput())
while ($null -ne ($line = $in.ReadLine())) {
    try {
        $request = [System.Text.Encoding]::UTF8.GetString([Convert]::FromBase64String($line)) | ConvertFrom-Json -AsHashtable
        $with = $request['with']
        $answer = @{ ok = $true; is = & $request['do'] @with }
    }
    catch { $answer = @{ ok = $false; why = [string] $_ } }
    $out.WriteLine('answer ' + [Convert]::ToBase64String([System.Text.Encoding]::UTF8.GetBytes(($answer | ConvertTo-Json -Compress -Depth 8))))
    $out.Flush()
}
