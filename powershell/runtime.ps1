# What every verb stands on: JSON in and out, errors as data, binding of arguments, and the loop that reads requests and writes answers.
# No verb but Test-Echo lives here. The other files only define functions and stand before this one in the script; this one runs when it is reached.
# The bootstrap calls the script with five arguments (no param block, since that would have to be the first statement of the whole script):
# reader of standard input, standard output as a stream, token, mode ("write" or "read"), SHA-256 of the script.
# The wire and the error kinds are docs/verbs.md. What verbs may use of here:
#   New-Refusal        an exception to throw, with kind, where and why; anything else that is thrown is classified by type and HResult
#   $script:Secrets    name -> text, of this request alone; $script:Blob: the bytes that go beside the answer
#   arguments          objects are OrderedDictionary (case-sensitive), arrays object[], integers int or long, strings, bool, $null
#   a verb's answer    the one hashtable or ordered dictionary that it writes; strings, bool, integers, $null, dictionaries and lists in it

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
# Not Add-Type, nor New-Object anywhere: the first command of Microsoft.PowerShell.Utility makes PowerShell look for that module and load it, which is
# a quarter of what it takes until the hello.
$null = [System.Reflection.Assembly]::Load('System.Runtime.Serialization, Version=4.0.0.0, Culture=neutral, PublicKeyToken=b77a5c561934e089')

$script:Verbs = 'Test-Echo Read-File Write-File Copy-File New-Folder Get-HostInfo Get-ServiceState Set-ServiceState Get-InstalledProduct Get-Certificate Get-IisConfig Edit-IisConfig Get-IisState Set-IisState Get-SslBinding Set-SslBinding Search-Directory Edit-Directory'.Split(' ')
$script:Bindings = @{}
$script:Fields = $null
$script:Secrets = $null
$script:Blob = $null
$script:Culture = [System.Globalization.CultureInfo]::CurrentCulture.Name
$script:Invariant = [System.Globalization.CultureInfo]::InvariantCulture
# The letters of these are looked for by code point, in every culture.
$script:NotPlain = [System.Text.RegularExpressions.Regex]::new('[^ -~]+', 'CultureInvariant')
$script:Word = [System.Text.RegularExpressions.Regex]::new('^[A-Za-z0-9_]+\z', 'CultureInvariant')
$script:WordStart = [System.Text.RegularExpressions.Regex]::new('(?<=[a-z0-9])[A-Z]', 'CultureInvariant')

function New-Refusal {
    # .SYNOPSIS
    #     Makes the exception that a verb throws when it knows what is wrong.
    # .OUTPUTS
    #     System.Exception that Get-ErrorRecord turns into an error of docs/verbs.md.
    # .EXAMPLE
    #     throw New-Refusal -Kind 'conflict' -Where $Path -Why "content is $now, expected $Expected"
    param(
        # missing, conflict, locked, invalid, denied, busy, not-installed, ambiguous, timeout or unknown.
        [string] $Kind,
        # The thing, by the name that was given.
        [string] $Where,
        # Our own words: what was found, what was expected. Never a secret.
        [string] $Why,
        # HResult of what lies below, signed or unsigned, or $null.
        [object] $HResult = $null,
        # LDAP result code, and the leading hex of the server's text as a number; $null where there is none.
        [object] $Ldap = $null,
        [object] $Win32 = $null
    )
    $refusal = [System.InvalidOperationException]::new($Why)
    $refusal.Data['refusal'] = $Kind
    $refusal.Data['where'] = $Where
    $refusal.Data['hresult'] = $HResult
    $refusal.Data['ldap'] = $Ldap
    $refusal.Data['win32'] = $Win32
    $refusal
}

function ConvertTo-Unsigned {
    # .SYNOPSIS
    #     Gives an HResult as the unsigned 32-bit number that the wire carries; $null stays $null.
    param([object] $HResult)
    if ($null -eq $HResult) { return $null }
    [long]$HResult -band 4294967295
}

function Get-ErrorRecord {
    # .SYNOPSIS
    #     Turns what a verb threw into the error of docs/verbs.md.
    # .DESCRIPTION
    #     A refusal of ours anywhere in the chain of inner exceptions wins. Else the innermost exception that is known by type or HResult decides.
    #     No message of Windows is read or passed on: they are translated, and they may quote an argument.
    # .OUTPUTS
    #     Ordered dictionary: kind, what, where, why, hresult, and ldap, win32 where they are known.
    # .EXAMPLE
    #     try { Read-File -Path 'C:\x' } catch { Get-ErrorRecord -Thrown $_.Exception -What 'Read-File' -Where 'C:\x' }
    param(
        [System.Exception] $Thrown,
        [string] $What,
        # Stands where a refusal names nothing itself.
        [string] $Where
    )
    $chain = @()
    for ($at = $Thrown; $null -ne $at; $at = $at.InnerException) { $chain = @(, $at) + $chain }
    foreach ($one in $chain) {
        if (-not $one.Data.Contains('refusal')) { continue }
        $answer = [ordered]@{ kind = $one.Data['refusal']; what = $What; where = $one.Data['where']; why = $one.Message; hresult = (ConvertTo-Unsigned -HResult $one.Data['hresult']) }
        foreach ($code in 'ldap', 'win32') { if ($null -ne $one.Data[$code]) { $answer[$code] = [long]$one.Data[$code] } }
        return $answer
    }
    # A verb that has two things says which one it was at.
    foreach ($one in $chain) { if ($one.Data.Contains('where')) { $Where = $one.Data['where'] } }
    foreach ($one in $chain) {
        $code = ConvertTo-Unsigned -HResult $one.HResult
        $kind, $why = $null, $null
        # Win32 codes come as 0x8007xxxx from .NET, and bare in a Win32Exception.
        if ($one -is [System.ComponentModel.Win32Exception]) { $code = 2147942400 + ($one.NativeErrorCode -band 65535) }
        switch ($code) {
            2147942405 { $kind, $why = 'denied', 'the host does not let this account do it (5, access denied)' }
            2147942432 { $kind, $why = 'locked', 'another process has it open (32, sharing violation)' }
            2147942433 { $kind, $why = 'locked', 'another process has locked a part of it (33, lock violation)' }
            2147943575 { $kind, $why = 'locked', 'it could not be replaced while another process has it open (1175)' }
            2147942402 { $kind, $why = 'missing', 'it does not exist (2, file not found)' }
            2147942403 { $kind, $why = 'missing', 'its folder or drive does not exist (3, path not found)' }
            2147942421 { $kind, $why = 'missing', 'the drive is not ready (21)' }
            2147942453 { $kind, $why = 'missing', 'the network path was not found (53)' }
            2147942467 { $kind, $why = 'missing', 'the share was not found (67)' }
            2147942448 { $kind, $why = 'conflict', 'a thing of that name exists already (80, file exists)' }
            2147942583 { $kind, $why = 'conflict', 'a thing of that name exists already (183, already exists)' }
            2147942512 { $kind, $why = 'unknown', 'the disk is full (112)' }
            2147942519 { $kind, $why = 'invalid', 'the name is not valid (123, or too long for this PowerShell)' }
            2147942606 { $kind, $why = 'invalid', 'the name is too long (206)' }
        }
        if ($null -eq $kind) {
            if ($one -is [System.UnauthorizedAccessException] -or $one -is [System.Security.SecurityException]) { $kind, $why = 'denied', 'the host does not let this account do it' }
            elseif ($one -is [System.IO.PathTooLongException]) { $kind, $why = 'invalid', 'the path is too long for the PowerShell of this host' }
            elseif ($one -is [System.OutOfMemoryException]) { $kind, $why = 'unknown', 'the host ran out of memory (MaxMemoryPerShellMB of WinRM?)' }
        }
        if ($null -ne $kind) { return [ordered]@{ kind = $kind; what = $What; where = $Where; why = $why; hresult = $code } }
    }
    # The type tells whoever reads it more than a translated message would.
    $root = $chain[0]
    $line = if ($root -is [System.Management.Automation.RuntimeException] -and $null -ne $root.ErrorRecord) { ' at line {0} of the script' -f $root.ErrorRecord.InvocationInfo.ScriptLineNumber } else { '' }
    $code = ConvertTo-Unsigned -HResult $root.HResult
    $why = [string]::Format($script:Invariant, 'failed with {0} (0x{1:X8}){2}', $root.GetType().FullName, $code, $line)
    [ordered]@{ kind = 'unknown'; what = $What; where = $Where; why = $why; hresult = $code }
}

function ConvertFrom-JsonBytes {
    # .SYNOPSIS
    #     Reads JSON (UTF-8) into ordered dictionaries, arrays, strings, integers, bool and $null.
    # .DESCRIPTION
    #     JsonReaderWriterFactory is the one reader that Windows PowerShell 5.1 and PowerShell 7 share and that no log sees (facts/winrm.md 5).
    #     It gives XML, with the JSON type in an attribute and odd keys in an attribute `item`. Throws for anything but JSON and for fractions; what follows the value is not looked at.
    param([byte[]] $Json)
    $xml = [System.Runtime.Serialization.Json.JsonReaderWriterFactory]::CreateJsonReader($Json, [System.Xml.XmlDictionaryReaderQuotas]::Max)
    # What is open around the value that is read: where it goes to, and under which name that goes further out.
    $open = [System.Collections.Stack]::new()
    $into = [System.Collections.ArrayList]::new()
    $name = ''
    $null = $xml.Read()
    while (-not $xml.EOF) {
        if ($xml.NodeType -eq [System.Xml.XmlNodeType]::Element) {
            if ($into -is [System.Collections.IDictionary]) { $name = if ($xml.NamespaceURI -ceq 'item') { $xml.GetAttribute('item') } else { $xml.LocalName } }
            $kind = $xml.GetAttribute('type')
            if ($kind -ceq 'object' -or $kind -ceq 'array') {
                $open.Push(@($into, $name))
                # The comma keeps an empty list a list.
                $into = if ($kind -ceq 'object') { [System.Collections.Specialized.OrderedDictionary]::new() } else { , [System.Collections.ArrayList]::new() }
                $null = $xml.Read()
                continue
            }
            $value = $xml.ReadElementContentAsString()
            if ($kind -ceq 'number') {
                $value = [long]::Parse($value, [System.Globalization.NumberStyles]::AllowLeadingSign, $script:Invariant)
                if ($value -ge -2147483648 -and $value -le 2147483647) { $value = [int]$value }
            }
            elseif ($kind -ceq 'boolean') { $value = $value.Trim() -ceq 'true' }
            elseif ($kind -ceq 'null') { $value = $null }
        }
        elseif ($xml.NodeType -eq [System.Xml.XmlNodeType]::EndElement) {
            $value = if ($into -is [System.Collections.ArrayList]) { , $into.ToArray() } else { $into }
            $into, $name = $open.Pop()
            $null = $xml.Read()
        }
        else { $null = $xml.Read(); continue }
        if ($into -is [System.Collections.IDictionary]) { $into.Add($name, $value) } else { $null = $into.Add($value) }
    }
    , $into[0]
}

$script:Escape = {
    # From the UTF-16 units: an Encoding would replace a lone surrogate.
    $bytes = [byte[]]::new(2 * $args[0].Value.Length)
    [System.Buffer]::BlockCopy($args[0].Value.ToCharArray(), 0, $bytes, 0, $bytes.Length)
    [System.Text.RegularExpressions.Regex]::Replace([System.BitConverter]::ToString($bytes), '(..)-(..)-?', '\u$2$1')
}

function Add-Json {
    # .SYNOPSIS
    #     Appends a value as JSON in ASCII. Anything but dictionaries, lists, strings, integers, bool and $null is an error: nothing is turned into text.
    param([System.Text.StringBuilder] $To, [object] $Value)
    if ($null -eq $Value) { $null = $To.Append('null') }
    elseif ($Value -is [string]) {
        $text = $Value.Replace('\', '\\').Replace('"', '\"')
        $runs = $script:NotPlain.Matches($text).Count
        # So many short runs are slower one by one than all of it escaped at once.
        if ($runs -gt 5000) { $text = & $script:Escape @{ Value = $Value } }
        elseif ($runs -gt 0) { $text = $script:NotPlain.Replace($text, [System.Text.RegularExpressions.MatchEvaluator]$script:Escape) }
        $null = $To.Append('"').Append($text).Append('"')
    }
    elseif ($Value -is [bool]) { $null = $To.Append($(if ($Value) { 'true' } else { 'false' })) }
    elseif ($Value -is [int] -or $Value -is [long] -or $Value -is [uint32] -or $Value -is [byte]) { $null = $To.Append(([long]$Value).ToString($script:Invariant)) }
    elseif ($Value -is [System.Collections.IDictionary]) {
        $separator = '{'
        foreach ($entry in $Value.GetEnumerator()) {
            # Most keys are our own names: no call for each of them.
            if ($script:Word.IsMatch($entry.Key)) { $null = $To.Append($separator).Append('"').Append($entry.Key).Append('":') }
            else {
                $null = $To.Append($separator)
                Add-Json -To $To -Value ([string]$entry.Key)
                $null = $To.Append(':')
            }
            Add-Json -To $To -Value $entry.Value
            $separator = ','
        }
        $null = $To.Append($(if ($separator -ceq '{') { '{}' } else { '}' }))
    }
    elseif ($Value -is [System.Collections.IList]) {
        $separator = '['
        foreach ($item in $Value) {
            $null = $To.Append($separator)
            Add-Json -To $To -Value $item
            $separator = ','
        }
        $null = $To.Append($(if ($separator -ceq '[') { '[]' } else { ']' }))
    }
    else { throw New-Refusal -Kind 'unknown' -Where 'result' -Why "the answer holds a $($Value.GetType().FullName), which is not sent" }
}

function Get-Binding {
    # .SYNOPSIS
    #     Gives the parameters of a verb by their names on the wire.
    # .OUTPUTS
    #     Ordered dictionary: `size_limit` -> @{ name = 'SizeLimit'; type = [type]; mandatory = bool }
    param([string] $Verb)
    if (-not $script:Bindings.ContainsKey($Verb)) {
        $command = [System.Management.Automation.FunctionInfo]$ExecutionContext.InvokeCommand.GetCommand($Verb, [System.Management.Automation.CommandTypes]::Function)
        $binding = [System.Collections.Specialized.OrderedDictionary]::new()
        # Read from the text, since .Parameters has the common ones (-Verbose ...) too, which nobody may give.
        $block = ([System.Management.Automation.Language.FunctionDefinitionAst]$command.ScriptBlock.Ast).Body.ParamBlock
        if ($null -ne $block) {
            foreach ($one in $block.Parameters) {
                $name = $one.Name.VariablePath.UserPath
                $known = $command.Parameters[$name]
                $mandatory = $false
                foreach ($attribute in $known.Attributes) {
                    if ($attribute -is [System.Management.Automation.ParameterAttribute] -and $attribute.Mandatory) { $mandatory = $true }
                }
                $wire = $script:WordStart.Replace($name, '_$0').ToLowerInvariant()
                $binding[$wire] = @{ name = $name; type = $known.ParameterType; mandatory = $mandatory }
            }
        }
        $script:Bindings[$Verb] = $binding
    }
    # The comma keeps a dictionary one object.
    , $script:Bindings[$Verb]
}

function Test-Kind {
    # .SYNOPSIS
    #     Tells whether a value of JSON is of the kind that a parameter takes. PowerShell itself would turn a list into text and text into a number.
    param([object] $Value, [System.Type] $Type)
    if ($Type -eq [string]) { return ($Value -is [string]) }
    if ($Type -eq [bool]) { return ($Value -is [bool]) }
    if ($Type -eq [int]) { return ($Value -is [int]) }
    if ($Type -eq [long]) { return ($Value -is [int] -or $Value -is [long]) }
    if ($Type.IsArray) { return ($Value -is [object[]]) }
    if ([System.Collections.IDictionary].IsAssignableFrom($Type)) { return ($null -eq $Value -or $Value -is [System.Collections.IDictionary]) }
    $true
}

function Invoke-Verb {
    # .SYNOPSIS
    #     Runs one verb of the table with the arguments of a request.
    # .DESCRIPTION
    #     Whatever the verb, or something below it, writes to any stream is captured: only the dictionary that it answers goes further.
    # .OUTPUTS
    #     The answer as JSON: ok, and result or error.
    param([object] $Verb, [object] $Arguments, [byte[]] $Bytes, [string] $Mode)
    $what = if ($Verb -is [string]) { $Verb } else { '' }
    $where = ''
    try {
        if ($what -cnotin $script:Verbs) { throw New-Refusal -Kind 'invalid' -Where 'verb' -Why 'there is no verb of that name' }
        if ($Mode -cne 'write' -and $what -cnotmatch '^(Get|Read|Search|Test)-') { throw New-Refusal -Kind 'denied' -Where $what -Why 'this process was started to read only' }
        if ($Arguments -isnot [System.Collections.IDictionary]) { throw New-Refusal -Kind 'invalid' -Where 'args' -Why 'args is not an object' }
        $binding = Get-Binding -Verb $what
        $bound = @{}
        foreach ($name in $Arguments.Keys) {
            $value = $Arguments[[object]$name]
            if (-not $binding.Contains($name) -or $name -ceq 'bytes') { throw New-Refusal -Kind 'invalid' -Where $name -Why "$what has no argument of that name" }
            $parameter = $binding[$name]
            if (-not (Test-Kind -Value $value -Type $parameter.type)) {
                throw New-Refusal -Kind 'invalid' -Where $name -Why ('{0} takes a value of type {1} here, not {2}' -f $what, $parameter.type.Name, $(if ($null -eq $value) { 'null' } else { $value.GetType().Name }))
            }
            $bound[$parameter.name] = $value
        }
        # The first text of a verb is the name of its thing: errors that name nothing themselves are about it.
        foreach ($name in $binding.Keys) {
            $value = $bound[$binding[$name].name]
            if ($value -is [string]) { $where = $value; break }
        }
        foreach ($name in $binding.Keys) {
            if ($name -ceq 'bytes') { $bound['Bytes'] = $Bytes }
            elseif ($binding[$name].mandatory -and -not $bound.ContainsKey($binding[$name].name)) { throw New-Refusal -Kind 'invalid' -Where $name -Why "$what needs this argument" }
        }
        if ($Bytes.Length -gt 0 -and -not $bound.ContainsKey('Bytes')) { throw New-Refusal -Kind 'invalid' -Where 'bytes' -Why "$what takes no bytes" }
        $result = $null
        foreach ($piece in @(& $what @bound *>&1)) { if ($piece -is [System.Collections.IDictionary]) { $result = $piece } }
        if ($null -eq $result) { throw New-Refusal -Kind 'unknown' -Where $where -Why 'the verb answered nothing' }
        # Written here, so that a value that cannot be written is an error of this verb.
        $text = [System.Text.StringBuilder]::new('{"ok":true,"result":')
        Add-Json -To $text -Value $result
    }
    catch {
        $script:Blob = $null
        $thrown = $_.Exception
        if ($thrown -is [System.Management.Automation.ParameterBindingException] -and $_.InvocationInfo.MyCommand.Name -ceq $what) {
            $wire = $script:WordStart.Replace([string]$thrown.ParameterName, '_$0').ToLowerInvariant()
            $thrown = New-Refusal -Kind 'invalid' -Where $wire -Why "$what does not take this value"
        }
        $text = [System.Text.StringBuilder]::new('{"ok":false,"error":')
        Add-Json -To $text -Value (Get-ErrorRecord -Thrown $thrown -What $what -Where $where)
    }
    $text.Append('}').ToString()
}

function Test-Echo {
    <#
    .SYNOPSIS
        Answers what it was given.
    .DESCRIPTION
        Proves the way of a value: JSON both ways, bytes beside it.
    .OUTPUTS
        @{ value = the same }, and the same bytes beside it
    .EXAMPLE
        Test-Echo -Value @(1, 'two', $null)
    #>
    [CmdletBinding()]
    param(
        # Anything that JSON holds.
        [Parameter(Mandatory = $true)] [AllowNull()] [AllowEmptyString()] [AllowEmptyCollection()] [object] $Value,
        [AllowEmptyCollection()] [byte[]] $Bytes = @()
    )
    $script:Blob = $Bytes
    @{ value = $Value }
}

function Write-Frame {
    # .SYNOPSIS
    #     Writes one line of the wire to the stream, its length counted, and gives it back.
    # .DESCRIPTION
    #     By the stream, not by a cmdlet: that would go through the formatter, the console's encoding and the transcript.
    # .EXAMPLE
    #     Write-Frame -Out $stdout -Head "$token A 7" -Fields 'e30=', '-'
    param([System.IO.Stream] $Out, [string] $Head, [string[]] $Fields)
    $length = 0
    foreach ($field in $Fields) { if ($field -cne '-') { $length += $field.Length } }
    $line = [System.Text.Encoding]::ASCII.GetBytes("$Head $length $([string]::Join(' ', $Fields))`n")
    $Out.Write($line, 0, $line.Length)
    $Out.Flush()
    , $line
}

function ConvertTo-Field {
    # .SYNOPSIS
    #     Gives bytes or text (as UTF-8) as a base64 field; none is `-`.
    param([object] $Content)
    if ($Content -is [string]) { $Content = [System.Text.Encoding]::UTF8.GetBytes($Content) }
    if ($null -eq $Content -or $Content.Length -eq 0) { return '-' }
    [System.Convert]::ToBase64String($Content)
}

function Read-Request {
    # .SYNOPSIS
    #     Takes a request line apart; throws a refusal that says what is wrong with it.
    # .OUTPUTS
    #     @{ seq; verb; args; secrets; blob }, or only seq where it is the last one again
    # .DESCRIPTION
    #     The fields are not a parameter, since one of them holds secrets: what is bound to a parameter may be logged (facts/winrm.md 7).
    param([long] $Last)
    $fields = $script:Fields
    if ($fields.Length -ne 7 -or $fields[1] -cne 'R') { throw New-Refusal -Kind 'invalid' -Where 'line' -Why 'not a request line of 7 fields' }
    $seq = [long]0
    if (-not [long]::TryParse($fields[2], [System.Globalization.NumberStyles]::None, $script:Invariant, [ref]$seq)) { throw New-Refusal -Kind 'invalid' -Where 'line' -Why 'SEQ is not a number' }
    $length = 0
    foreach ($field in $fields[4..6]) {
        # A field that was lost on the way must not pass for an empty one, which is `-`.
        if ($field -ceq '') { throw New-Refusal -Kind 'invalid' -Where 'line' -Why 'a field is empty' }
        if ($field -cne '-') { $length += $field.Length }
    }
    if ($fields[3] -cne $length.ToString($script:Invariant)) { throw New-Refusal -Kind 'invalid' -Where 'line' -Why "LEN does not fit, the fields have $length characters" }
    if ($seq -eq $Last -and $Last -gt 0) { return @{ seq = $seq } }
    if ($seq -ne $Last + 1) { throw New-Refusal -Kind 'invalid' -Where 'line' -Why "SEQ is $seq, the last one was $Last" }
    try {
        $part = foreach ($field in $fields[4..6]) { , [System.Convert]::FromBase64String($(if ($field -ceq '-') { '' } else { $field })) }
        $json = ConvertFrom-JsonBytes -Json $part[0]
        $secrets = if ($part[1].Length -eq 0) { @{} } else { [System.Collections.Hashtable]::new((ConvertFrom-JsonBytes -Json $part[1])) }
        if ($json -isnot [System.Collections.IDictionary]) { throw 'not an object' }
    }
    catch { throw New-Refusal -Kind 'invalid' -Where 'line' -Why 'a field is not base64, or not JSON of objects, arrays, texts, integers, true, false and null' }
    @{ seq = $seq; verb = $json[[object]'verb']; args = $json[[object]'args']; secrets = $secrets; blob = $part[2] }
}

function Start-Runtime {
    # .SYNOPSIS
    #     Says hello, then answers requests until the input ends or nothing came for 15 minutes.
    # .DESCRIPTION
    #     A request whose SEQ is the last one is answered from the cache, so that the controller may send it again after any broken connection.
    #     The script line sent again is answered by the hello again, for the same reason.
    param([System.IO.StreamReader] $Reader, [System.IO.Stream] $Out, [string] $Token, [string] $Mode, [string] $Hash)
    # Nothing of this process, nor of a library, may reach the controller but through the stream.
    [System.Console]::SetOut([System.IO.TextWriter]::Null)
    [System.Threading.Thread]::CurrentThread.CurrentCulture = $script:Invariant
    $hello = [System.Text.StringBuilder]::new()
    Add-Json -To $hello -Value ([ordered]@{
            powershell = $PSVersionTable.PSVersion.ToString(); edition = [string]$PSVersionTable.PSEdition; is64 = ([System.IntPtr]::Size -eq 8)
            pid = $PID; sha256 = $Hash; mode = $Mode
        })
    $hello = ConvertTo-Field -Content $hello.ToString()
    $null = Write-Frame -Out $Out -Head "$Token H 0" -Fields $hello
    $last = [long]0
    $cached = $null
    while ($true) {
        $wait = $Reader.ReadLineAsync()
        # A controller that died must not hold one of the host's 30 shells (facts/winrm.md 3).
        if (-not $wait.Wait(900000)) { return }
        $line = $wait.Result
        if ($null -eq $line) { return }
        $at = $line.IndexOf("$Token ", [System.StringComparison]::Ordinal)
        if ($at -lt 0) { continue }
        $fields = $line.Substring($at).TrimEnd("`r").Split(' ')
        if ($fields.Length -eq 6 -and $fields[1] -ceq 'S' -and $fields[3] -ceq $Hash -and $fields[4] -ceq $Mode -and $fields[2] -ceq $fields[5].Length.ToString($script:Invariant)) {
            $null = Write-Frame -Out $Out -Head "$Token H 0" -Fields $hello
            continue
        }
        $script:Fields = $fields
        try { $request = Read-Request -Last $last }
        catch {
            $null = Write-Frame -Out $Out -Head "$Token N 0" -Fields (ConvertTo-Field -Content (Get-ErrorRecord -Thrown $_.Exception -What 'line' -Where '').why)
            continue
        }
        if (-not $request.ContainsKey('verb')) {
            $Out.Write($cached, 0, $cached.Length)
            $Out.Flush()
            continue
        }
        $script:Blob = $null
        $script:Secrets = $request.secrets
        try { $json = Invoke-Verb -Verb $request.verb -Arguments $request.args -Bytes $request.blob -Mode $Mode }
        finally { $script:Secrets.Clear(); $script:Fields = $null }
        $last = $request.seq
        $cached = Write-Frame -Out $Out -Head "$Token A $last" -Fields (ConvertTo-Field -Content $json), (ConvertTo-Field -Content $script:Blob)
    }
}

try { Start-Runtime -Reader $args[0] -Out $args[1] -Token $args[2] -Mode $args[3] -Hash $args[4] }
finally { Clear-Upload }
