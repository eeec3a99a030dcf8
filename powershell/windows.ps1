# The machine itself: what it is, its services, products and certificates, one thing each by its exact name. No CIM, no WMI: ServiceController, registry, X509Store.
# Which service should run, or which version is enough, is the controller's business. Contract: docs/verbs.md, windows.

$script:ServiceStates = @{ 1 = 'stopped'; 2 = 'start-pending'; 3 = 'stop-pending'; 4 = 'running'; 5 = 'continue-pending'; 6 = 'pause-pending'; 7 = 'paused' }
$script:ServiceStarts = @{ 0 = 'boot'; 1 = 'system'; 2 = 'automatic'; 3 = 'manual'; 4 = 'disabled' }
$script:ServicesKey = 'SYSTEM\CurrentControlSet\Services'

function Get-HostInfo {
    <#
    .SYNOPSIS
        Says which machine, PowerShell and account this is.
    .DESCRIPTION
        `domain` is the primary DNS suffix, which a join to a domain sets to its name; `culture` the one that the process was started with.
    .OUTPUTS
        @{ computer; domain; os_version; powershell; edition; is64; user; culture; system_drive; system_root; time_utc; pid }
    .EXAMPLE
        Get-HostInfo
    #>
    [CmdletBinding()]
    param()
    $parameters = Read-RegistryValue -Key 'SYSTEM\CurrentControlSet\Services\Tcpip\Parameters' -Names 'Domain'
    [ordered]@{
        computer = [System.Environment]::MachineName
        domain = [string]$parameters['Domain']
        os_version = [System.Environment]::OSVersion.Version.ToString()
        powershell = $PSVersionTable.PSVersion.ToString()
        edition = [string]$PSVersionTable.PSEdition
        is64 = ([System.IntPtr]::Size -eq 8)
        user = '{0}\{1}' -f [System.Environment]::UserDomainName, [System.Environment]::UserName
        culture = $script:Culture
        system_drive = [string][System.Environment]::GetEnvironmentVariable('SystemDrive')
        system_root = [string][System.Environment]::GetEnvironmentVariable('SystemRoot')
        time_utc = ConvertTo-UtcText -Time ([System.DateTime]::UtcNow)
        pid = $PID
    }
}

function Read-RegistryValue {
    # .SYNOPSIS
    #     Reads values of one key below HKEY_LOCAL_MACHINE as they are stored, `%` and all.
    # .OUTPUTS
    #     Hashtable of those that are there; $null where there is no such key, or no registry at all.
    param(
        [string] $Key,
        [string[]] $Names,
        # 32-bit programs on 64-bit Windows have a view of their own.
        [Microsoft.Win32.RegistryView] $View = 'Registry64'
    )
    $values = @{}
    if ([System.Environment]::OSVersion.Platform -ne [System.PlatformID]::Win32NT) { return $values }
    $base = [Microsoft.Win32.RegistryKey]::OpenBaseKey([Microsoft.Win32.RegistryHive]::LocalMachine, $View)
    try {
        $open = $base.OpenSubKey($Key)
        if ($null -eq $open) { return $values }
        try {
            foreach ($name in $Names) {
                $value = $open.GetValue($name, $null, [Microsoft.Win32.RegistryValueOptions]::DoNotExpandEnvironmentNames)
                if ($null -ne $value) { $values[$name] = $value }
            }
        }
        finally { $open.Dispose() }
    }
    finally { $base.Dispose() }
    $values
}

function Get-SubKey {
    # .SYNOPSIS
    #     Names of the keys below one key of HKEY_LOCAL_MACHINE; none where it does not exist.
    param([string] $Key, [Microsoft.Win32.RegistryView] $View = 'Registry64')
    $base = [Microsoft.Win32.RegistryKey]::OpenBaseKey([Microsoft.Win32.RegistryHive]::LocalMachine, $View)
    try {
        $open = $base.OpenSubKey($Key)
        if ($null -eq $open) { return }
        try { $open.GetSubKeyNames() } finally { $open.Dispose() }
    }
    finally { $base.Dispose() }
}

function Get-ServiceTable {
    # .SYNOPSIS
    #     Every service that the service control manager knows: name (without case) to its ServiceController.
    # .DESCRIPTION
    #     Not `[ServiceController]::new(NAME)`: that takes a display name, too.
    param()
    $null = [System.Reflection.Assembly]::Load('System.ServiceProcess, Version=4.0.0.0, Culture=neutral, PublicKeyToken=b03f5f7f11d50a3a')
    $table = [System.Collections.Hashtable]::new([System.StringComparer]::OrdinalIgnoreCase)
    foreach ($one in [System.ServiceProcess.ServiceController]::GetServices()) { $table[$one.ServiceName] = $one }
    , $table
}

function Get-StateName {
    # .SYNOPSIS
    #     The state of a service, asked anew, in the words of the contract.
    param([object] $Controller)
    $Controller.Refresh()
    $script:ServiceStates[[int]$Controller.Status]
}

function Get-ServiceProgram {
    # .SYNOPSIS
    #     The program in an ImagePath: unquoted, expanded, without arguments.
    # .DESCRIPTION
    #     Without quotes it ends after the first `.exe` that a blank or the end follows, else at the first blank. Drivers' forms (`\SystemRoot\`, `\??\`, relative) become full paths.
    # .OUTPUTS
    #     The path; '' where there is none.
    # .EXAMPLE
    #     Get-ServiceProgram -ImagePath '"%ProgramFiles%\x\y.exe" -k'
    param([string] $ImagePath)
    $text = [System.Environment]::ExpandEnvironmentVariables($ImagePath).Trim()
    $options = [System.Text.RegularExpressions.RegexOptions]'IgnoreCase, CultureInvariant, Singleline'
    $found = [System.Text.RegularExpressions.Regex]::Match($text, '^(?:"(?<p>[^"]*)|(?<p>.*?\.exe)(?=\s|$)|(?<p>\S*))', $options)
    $program = $found.Groups['p'].Value
    $root = [System.Environment]::GetEnvironmentVariable('SystemRoot')
    $program = [System.Text.RegularExpressions.Regex]::Replace($program, '^\\\?\?\\', '')
    $match = [System.Text.RegularExpressions.Regex]::Match($program, '^(?:\\SystemRoot\\|(?=system32\\))', $options)
    if ($match.Success) { $program = '{0}\{1}' -f $root, $program.Substring($match.Length) }
    $program
}

function Get-ProgramProcess {
    # .SYNOPSIS
    #     The one process that runs a program.
    # .DESCRIPTION
    #     The service control manager's own number needs P/Invoke, so it is looked for by path; where several run the program nothing is guessed.
    # .OUTPUTS
    #     @{ pid; started_utc }, both $null unless exactly one process runs it
    param([string] $Program)
    $answer = @{ pid = $null; started_utc = $null }
    if ($Program -ceq '') { return $answer }
    $name = [System.IO.Path]::GetFileNameWithoutExtension($Program)
    $hits = 0
    foreach ($process in [System.Diagnostics.Process]::GetProcesses()) {
        try {
            if (-not [string]::Equals($process.ProcessName, $name, [System.StringComparison]::OrdinalIgnoreCase)) { continue }
            if (-not [string]::Equals($process.MainModule.FileName, $Program, [System.StringComparison]::OrdinalIgnoreCase)) { continue }
            $hits++
            $answer = @{ pid = $process.Id; started_utc = (ConvertTo-UtcText -Time $process.StartTime) }
        }
        # It ended meanwhile, or is protected.
        catch { $null = $_ }
        finally { $process.Dispose() }
    }
    if ($hits -ne 1) { return @{ pid = $null; started_utc = $null } }
    $answer
}

function Get-Dependent {
    # .SYNOPSIS
    #     The services that need one, directly or through others, nearest first; by name where equally near.
    # .DESCRIPTION
    #     From DependOnService of all services. Dependencies on groups of drivers are not followed.
    # .OUTPUTS
    #     @{ service; state } of each
    param([string] $Service, [System.Collections.Hashtable] $Table)
    $needs = @{}
    foreach ($name in Get-SubKey -Key $script:ServicesKey) {
        if (-not $Table.ContainsKey($name)) { continue }
        $needs[$name] = @((Read-RegistryValue -Key "$script:ServicesKey\$name" -Names 'DependOnService')['DependOnService'])
    }
    $names = [string[]]@($needs.Keys)
    [System.Array]::Sort($names, [System.StringComparer]::OrdinalIgnoreCase)
    $found = [System.Collections.ArrayList]::new()
    $seen = [System.Collections.Hashtable]::new([System.StringComparer]::OrdinalIgnoreCase)
    $seen[$Service] = $true
    $ring = @($Service)
    while ($ring.Length -gt 0) {
        $next = @()
        foreach ($name in $names) {
            if ($seen.ContainsKey($name)) { continue }
            foreach ($need in $needs[$name]) {
                if ($ring -contains $need) { $next += $name; $seen[$name] = $true; break }
            }
        }
        foreach ($name in $next) { $null = $found.Add([ordered]@{ service = $Table[$name].ServiceName; state = (Get-StateName -Controller $Table[$name]) }) }
        $ring = $next
    }
    $found
}

function Get-ServiceState {
    <#
    .SYNOPSIS
        Reads one service: state, how it starts, what it runs, what it needs and what needs it.
    .DESCRIPTION
        State and names come from the service control manager, the rest from the registry. Its process is told only where exactly one runs the program.
    .OUTPUTS
        @{ found; service; display_name; state; start; path; program; account; pid; started_utc; depends_on; dependents }
    .EXAMPLE
        Get-ServiceState -Service 'Spooler'
    #>
    [CmdletBinding()]
    param(
        # Service name, not the display name; any case.
        [Parameter(Mandatory = $true)] [AllowEmptyString()] [string] $Service
    )
    $table = Get-ServiceTable
    $answer = [ordered]@{
        found = $false; service = $Service; display_name = $null; state = $null; start = $null; path = $null; program = $null
        account = $null; pid = $null; started_utc = $null; depends_on = @(); dependents = @()
    }
    $controller = $table[$Service]
    if ($null -eq $controller) { return $answer }
    $stored = Read-RegistryValue -Key "$script:ServicesKey\$($controller.ServiceName)" -Names 'ImagePath', 'Start', 'ObjectName', 'DependOnService'
    $answer.found = $true
    $answer.service = $controller.ServiceName
    $answer.display_name = $controller.DisplayName
    $answer.state = Get-StateName -Controller $controller
    if ($stored.ContainsKey('Start')) { $answer.start = $script:ServiceStarts[[int]$stored['Start']] }
    $answer.path = [string]$stored['ImagePath']
    $answer.program = Get-ServiceProgram -ImagePath $answer.path
    $answer.account = [string]$stored['ObjectName']
    if ($stored.ContainsKey('DependOnService')) { $answer.depends_on = @($stored['DependOnService']) -cne '' }
    $answer.dependents = @(Get-Dependent -Service $controller.ServiceName -Table $table)
    if ($answer.state -cne 'stopped') {
        $process = Get-ProgramProcess -Program $answer.program
        $answer.pid = $process.pid
        $answer.started_utc = $process.started_utc
    }
    $answer
}

function New-ServiceRefusal {
    # .SYNOPSIS
    #     Says what the service control manager answered to a start or stop, by its code.
    param([System.Exception] $Thrown, [string] $Service)
    $root = $Thrown.GetBaseException()
    if ($root -isnot [System.ComponentModel.Win32Exception]) { return $Thrown }
    $code = $root.NativeErrorCode
    $kind, $why = switch ($code) {
        2 { 'unknown', 'its program does not exist' }
        3 { 'unknown', 'the folder of its program does not exist' }
        5 { 'denied', 'this account may not control it' }
        1051 { 'busy', 'services that need it are running' }
        1053 { 'timeout', 'its program did not answer the service control manager in time' }
        1055 { 'busy', 'the service database is locked' }
        1056 { 'conflict', 'it runs already or is on its way' }
        1058 { 'invalid', 'it is disabled' }
        1060 { 'missing', 'there is no such service' }
        1061 { 'busy', 'it takes no commands now' }
        1062 { 'conflict', 'it is stopped already' }
        1067 { 'unknown', 'its program ended while it was starting' }
        1068 { 'unknown', 'a service that it needs did not start' }
        1069 { 'denied', 'its account could not log on' }
        1072 { 'conflict', 'it is marked for deletion' }
        default { 'unknown', 'it could not be started or stopped' }
    }
    New-Refusal -Kind $kind -Where $Service -Why "$why (Windows $code)" -HResult (2147942400 + ($code -band 65535))
}

function Set-ServiceState {
    <#
    .SYNOPSIS
        Starts or stops one service and waits until it is there.
    .DESCRIPTION
        Only from the state that the caller read. Nothing else is stopped: where a service that needs it is not stopped it refuses.
    .OUTPUTS
        @{ state; pid; started_utc }
    .EXAMPLE
        Set-ServiceState -Service 'Spooler' -State 'stopped' -Expected 'running'
    #>
    [CmdletBinding()]
    param(
        # Service name, not the display name; any case.
        [Parameter(Mandatory = $true)] [AllowEmptyString()] [string] $Service,
        # running or stopped.
        [Parameter(Mandatory = $true)] [string] $State,
        # The state that the caller read.
        [Parameter(Mandatory = $true)] [string] $Expected,
        # Seconds to wait for it.
        [int] $TimeoutS = 60
    )
    if ('running', 'stopped' -cnotcontains $State) { throw New-Refusal -Kind 'invalid' -Where 'state' -Why 'neither running nor stopped' }
    if (@($script:ServiceStates.Values) -cnotcontains $Expected) { throw New-Refusal -Kind 'invalid' -Where 'expected' -Why 'not a state of a service' }
    if ($TimeoutS -lt 0) { throw New-Refusal -Kind 'invalid' -Where 'timeout_s' -Why "it is $TimeoutS, expected 0 or more" }
    $table = Get-ServiceTable
    $controller = $table[$Service]
    if ($null -eq $controller) { throw New-Refusal -Kind 'missing' -Where $Service -Why 'there is no such service' }
    $now = Get-StateName -Controller $controller
    if ($now -cne $Expected) { throw New-Refusal -Kind 'conflict' -Where $Service -Why "it is $now, expected $Expected" }
    $stored = Read-RegistryValue -Key "$script:ServicesKey\$($controller.ServiceName)" -Names 'ImagePath', 'Start'
    $clock = [System.Diagnostics.Stopwatch]::StartNew()
    if ($now -cne $State) {
        if ($State -ceq 'stopped') {
            # ServiceController.Stop of .NET Framework stops them, too; and wine does not know them at all.
            foreach ($one in Get-Dependent -Service $controller.ServiceName -Table $table) {
                if ($one.state -cne 'stopped') { throw New-Refusal -Kind 'busy' -Where $Service -Why "$($one.service) needs it and is $($one.state)" }
            }
        }
        elseif ($stored.ContainsKey('Start') -and [int]$stored['Start'] -eq 4) { throw New-Refusal -Kind 'invalid' -Where $Service -Why 'it is disabled' }
        try {
            # On its way already: only wait.
            if ($State -ceq 'stopped') { if ($now -cne 'stop-pending') { $controller.Stop() } }
            elseif ($now -ceq 'paused') { $controller.Continue() }
            elseif ('start-pending', 'continue-pending' -cnotcontains $now) { $controller.Start() }
        }
        catch { throw (New-ServiceRefusal -Thrown $_.Exception -Service $Service) }
        while (($now = Get-StateName -Controller $controller) -cne $State) {
            # A start leaves the state start-pending behind it at once, so stopped means that it has ended.
            if ($State -ceq 'running' -and $now -ceq 'stopped') { throw New-Refusal -Kind 'unknown' -Where $Service -Why 'it ended while it was starting, see the event log of the host' }
            if ($clock.Elapsed.TotalSeconds -ge $TimeoutS) { throw New-Refusal -Kind 'timeout' -Where $Service -Why "it is $now after $TimeoutS s, expected $State" }
            [System.Threading.Thread]::Sleep(50)
        }
    }
    $process = @{ pid = $null; started_utc = $null }
    if ($now -cne 'stopped') { $process = Get-ProgramProcess -Program (Get-ServiceProgram -ImagePath ([string]$stored['ImagePath'])) }
    [ordered]@{ state = $now; pid = $process.pid; started_utc = $process.started_utc }
}

function Get-InstalledProduct {
    <#
    .SYNOPSIS
        Finds installed products by their display name, in the 64-bit and the 32-bit view.
    .DESCRIPTION
        From the Uninstall keys of the registry, versions as the installers wrote them. Products of single users are not looked at.
    .OUTPUTS
        @{ products = list of @{ product; version; publisher; key; view }, texts '' where nothing is stored }
    .EXAMPLE
        Get-InstalledProduct -Product 'Microsoft Edge'
    #>
    [CmdletBinding()]
    param(
        # The whole DisplayName; any case.
        [Parameter(Mandatory = $true)] [AllowEmptyString()] [string] $Product
    )
    $uninstall = 'SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall'
    $products = [System.Collections.ArrayList]::new()
    foreach ($view in '64', '32') {
        foreach ($key in Get-SubKey -Key $uninstall -View "Registry$view") {
            $stored = Read-RegistryValue -Key "$uninstall\$key" -Names 'DisplayName', 'DisplayVersion', 'Publisher' -View "Registry$view"
            if (-not $stored.ContainsKey('DisplayName') -or -not [string]::Equals([string]$stored['DisplayName'], $Product, [System.StringComparison]::OrdinalIgnoreCase)) { continue }
            $null = $products.Add([ordered]@{ product = [string]$stored['DisplayName']; version = [string]$stored['DisplayVersion']; publisher = [string]$stored['Publisher']; key = $key; view = $view })
        }
    }
    @{ products = $products }
}

function Get-DnsName {
    # .SYNOPSIS
    #     The DNS names in the bytes of a subject alternative name extension (2.5.29.17).
    # .DESCRIPTION
    #     From the DER itself: SEQUENCE of GeneralName, [2] is a DNS name in ASCII (RFC 5280, 4.2.1.6). Windows' text of it is translated.
    param([byte[]] $Der)
    $at = 0
    $end = $Der.Length
    while ($at + 1 -lt $end) {
        $tag = $Der[$at]
        $size = [int]$Der[$at + 1]
        $at += 2
        if ($size -gt 127) {
            $count = $size - 128
            $size = 0
            for ($index = 0; $index -lt $count; $index++) { $size = $size * 256 + $Der[$at + $index] }
            $at += $count
        }
        # The outer SEQUENCE: go on inside it.
        if ($tag -eq 48) { continue }
        if ($tag -eq 130) { [System.Text.Encoding]::ASCII.GetString($Der, $at, $size) }
        $at += $size
    }
}

function Get-Certificate {
    <#
    .SYNOPSIS
        Reads one certificate of a store of the machine.
    .DESCRIPTION
        By X509Store, found by its thumbprint alone. Whether its key can be used is not tried, only whether it has one.
    .OUTPUTS
        @{ found; thumbprint; subject; issuer; names; not_before_utc; not_after_utc; has_private_key; usages }
    .EXAMPLE
        Get-Certificate -Thumbprint '0123456789ABCDEF0123456789ABCDEF01234567'
    #>
    [CmdletBinding()]
    param(
        # 40 hex digits, any case, nothing else.
        [Parameter(Mandatory = $true)] [AllowEmptyString()] [string] $Thumbprint,
        # Name of the store of LocalMachine.
        [string] $Store = 'My'
    )
    if ($Thumbprint -notmatch '^[0-9A-Fa-f]{40}\z') { throw New-Refusal -Kind 'invalid' -Where $Thumbprint -Why 'a thumbprint is 40 hex digits' }
    $answer = [ordered]@{
        found = $false; thumbprint = $Thumbprint.ToUpperInvariant(); subject = $null; issuer = $null; names = @(); not_before_utc = $null
        not_after_utc = $null; has_private_key = $false; usages = @()
    }
    if ($Store -ceq '') { throw New-Refusal -Kind 'missing' -Where $Store -Why 'a store has a name' }
    $open = [System.Security.Cryptography.X509Certificates.X509Store]::new($Store, [System.Security.Cryptography.X509Certificates.StoreLocation]::LocalMachine)
    try {
        try { $open.Open([System.Security.Cryptography.X509Certificates.OpenFlags]'ReadOnly, OpenExistingOnly') }
        catch {
            if ((ConvertTo-Unsigned -HResult $_.Exception.GetBaseException().HResult) -ne 2147942402) { throw }
            throw New-Refusal -Kind 'missing' -Where $Store -Why 'the machine has no certificate store of that name'
        }
        foreach ($one in $open.Certificates) {
            if (-not [string]::Equals($one.Thumbprint, $Thumbprint, [System.StringComparison]::OrdinalIgnoreCase)) { continue }
            $answer.found = $true
            $answer.subject = $one.Subject
            $answer.issuer = $one.Issuer
            $answer.not_before_utc = ConvertTo-UtcText -Time $one.NotBefore
            $answer.not_after_utc = ConvertTo-UtcText -Time $one.NotAfter
            $answer.has_private_key = $one.HasPrivateKey
            foreach ($extension in $one.Extensions) {
                if ($extension.Oid.Value -ceq '2.5.29.17') { $answer.names = @(Get-DnsName -Der $extension.RawData) }
                if ($extension -is [System.Security.Cryptography.X509Certificates.X509EnhancedKeyUsageExtension]) { $answer.usages = @(foreach ($oid in $extension.EnhancedKeyUsages) { $oid.Value }) }
            }
        }
    }
    finally { $open.Close() }
    $answer
}
