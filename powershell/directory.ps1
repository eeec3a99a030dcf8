# Directory verbs: LDAP searches and LDAP modifications, as data. No name is resolved, no rule of groups is known here.
# System.DirectoryServices.Protocols: the same class in Windows PowerShell and PowerShell 7, without RSAT.

$script:DirectoryTypes = @{
    id = [string]; base = [string]; scope = [string]; filter = [string]; size_limit = [int]; attributes = [System.Collections.IList]; ranges = [System.Collections.IDictionary]
    op = [string]; target = [string]; expect = [string]; class = [string]; changes = [System.Collections.IList]
    attribute = [string]; values = [System.Collections.IList]; base64 = [string]
}

function Search-Directory {
    <#
    .SYNOPSIS
        Runs several LDAP searches over one bind and gives every value as the bytes that the server sent.
    .DESCRIPTION
        Each search answers for itself: one that fails does not spoil the others. Searches below a base are paged by 500. An attribute that the
        server cut into ranges is never passed off as whole: it is followed to its end where `ranges` asks for it, else named in `incomplete`.
    .OUTPUTS
        @{ server = dnsHostName reached; searches = @(@{ id; ok; entries = @(@{ dn; attributes; incomplete }); more; references; error }) }
    .EXAMPLE
        Search-Directory -Searches @(@{ id = 'root'; base = ''; scope = 'base'; filter = ''; attributes = @('defaultNamingContext') })
    #>
    [CmdletBinding()]
    param(
        # Name of a domain controller or domain; empty: found by the host.
        [AllowEmptyString()] [string] $Server = '',
        # 389 or 3268; with TLS 636 or 3269.
        [int] $Port = 389,
        # TLS from the first byte; without it the connection is signed and sealed.
        [bool] $Tls = $false,
        # $null: the logon. Else user, and password as a reference to a secret.
        [object] $Credential = $null,
        # Seconds for one answer of the server.
        [int] $TimeoutS = 30,
        # The searches: id, base, scope, filter, attributes, size_limit, ranges.
        [Parameter(Mandatory = $true)] [AllowEmptyCollection()] [object[]] $Searches
    )
    foreach ($search in $Searches) { Test-DirectorySearch -Search $search }
    $connection = Open-Directory -Server $Server -Port $Port -Tls $Tls -Credential $Credential -TimeoutS $TimeoutS
    try {
        $name = Resolve-DirectoryServer -Connection $connection -Server $Server
        $answers = [System.Collections.ArrayList]::new()
        foreach ($search in $Searches) { [void] $answers.Add((Invoke-DirectorySearch -Connection $connection -Search $search)) }
        @{ server = $name; searches = $answers.ToArray() }
    }
    finally { $connection.Dispose() }
}

function Edit-Directory {
    <#
    .SYNOPSIS
        Sends LDAP add, modify and delete requests in order, each one only if its entry still is what the caller read.
    .DESCRIPTION
        One edit is one LDAP request, so it happens wholly or not at all; several edits do not. `expect` is searched at the target just before:
        without a hit nothing is sent. After the first failure the rest is not tried. Requests are strict: a value that is there already, or is
        not there to be deleted, is a failure. `replace` of `member` is refused: the server may have shown a part of the list only.
    .OUTPUTS
        @{ server = dnsHostName reached; edits = @(@{ id; done; error }) }
    .EXAMPLE
        Edit-Directory -Server 'dc01.contoso.com' -Edits @(@{ id = 'a'; op = 'delete'; target = 'CN=x,DC=contoso,DC=com'; expect = ''; class = ''; changes = @() })
    #>
    [CmdletBinding()]
    param(
        # The domain controller that was read.
        [Parameter(Mandatory = $true)] [AllowEmptyString()] [string] $Server,
        # These four as in Search-Directory.
        [int] $Port = 389, [bool] $Tls = $false, [object] $Credential = $null, [int] $TimeoutS = 30,
        # The edits: id, op, target, expect, class, changes.
        [Parameter(Mandatory = $true)] [AllowEmptyCollection()] [object[]] $Edits
    )
    # All of them are built before the first one is sent: a mistake in the last one must not come after a write.
    if ($Server -ceq '') { throw New-Refusal -Kind 'invalid' -Where 'server' -Why 'is empty; a write names the server that was read' }
    $null = [System.Reflection.Assembly]::Load('System.DirectoryServices.Protocols, Version=4.0.0.0, Culture=neutral, PublicKeyToken=b03f5f7f11d50a3a')
    $requests = [System.Collections.ArrayList]::new()
    foreach ($edit in $Edits) { [void] $requests.Add((ConvertTo-DirectoryRequest -Edit $edit)) }
    $connection = Open-Directory -Server $Server -Port $Port -Tls $Tls -Credential $Credential -TimeoutS $TimeoutS
    try {
        $name = Resolve-DirectoryServer -Connection $connection -Server $Server
        $answers = [System.Collections.ArrayList]::new()
        $failed = $false
        for ($at = 0; $at -lt $Edits.Count; $at++) {
            $answer = @{ id = $Edits[$at]['id']; done = $false; error = $null }
            if (-not $failed) {
                $answer['error'] = Send-DirectoryEdit -Connection $connection -Edit $Edits[$at] -Request $requests[$at]
                $answer['done'] = $null -eq $answer['error']
                $failed = -not $answer['done']
            }
            [void] $answers.Add($answer)
        }
        @{ server = $name; edits = $answers.ToArray() }
    }
    finally { $connection.Dispose() }
}

function Open-Directory {
    <#
    .SYNOPSIS
        Connects and binds: signed and sealed, or over TLS; as the logon or with a credential.
    #>
    param([string] $Server, [int] $Port, [bool] $Tls, [object] $Credential, [int] $TimeoutS)
    $windows = [System.Environment]::OSVersion.Platform -eq [System.PlatformID]::Win32NT
    # Elsewhere Negotiate is sent as a simple bind in clear text, or as an anonymous one.
    if (-not $windows -and -not ($Tls -and $null -ne $Credential)) {
        throw New-Refusal -Kind 'invalid' -Where 'tls' -Why 'only TLS with a credential is possible where this is not Windows'
    }
    if ($TimeoutS -lt 1) { throw New-Refusal -Kind 'invalid' -Where 'timeout_s' -Why "is $TimeoutS, expected 1 or more" }
    $null = [System.Reflection.Assembly]::Load('System.DirectoryServices.Protocols, Version=4.0.0.0, Culture=neutral, PublicKeyToken=b03f5f7f11d50a3a')
    $identifier = [System.DirectoryServices.Protocols.LdapDirectoryIdentifier]::new($Server, $Port)
    $connection = [System.DirectoryServices.Protocols.LdapConnection]::new($identifier)
    try {
        $connection.AutoBind = $false
        $connection.Timeout = [System.TimeSpan]::FromSeconds($TimeoutS)
        $connection.SessionOptions.ProtocolVersion = 3
        # A referral is answered as data: the client would follow it with a logon of its own choosing.
        $connection.SessionOptions.ReferralChasing = [System.DirectoryServices.Protocols.ReferralChasingOptions]::None
        if ($Tls) { $connection.SessionOptions.SecureSocketLayer = $true }
        else { $connection.SessionOptions.Signing = $true; $connection.SessionOptions.Sealing = $true }
        $connection.AuthType = [System.DirectoryServices.Protocols.AuthType]::Negotiate
        if ($null -ne $Credential) {
            if ($Credential -isnot [System.Collections.IDictionary] -or $Credential['password'] -isnot [System.Collections.IDictionary]) {
                throw New-Refusal -Kind 'invalid' -Where 'credential' -Why 'is no user with a password that refers to a secret'
            }
            $name = [string] $Credential['password']['secret']
            if (-not $script:Secrets.ContainsKey($name)) { throw New-Refusal -Kind 'invalid' -Where 'credential' -Why "there is no secret '$name' beside the call" }
            if ($Tls) {
                $connection.AuthType = [System.DirectoryServices.Protocols.AuthType]::Basic
                $connection.Credential = [System.Net.NetworkCredential]::new([string] $Credential['user'], [string] $script:Secrets[$name])
            }
            else {
                # Negotiate wants the domain apart; a UPN stays whole.
                $parts = ([string] $Credential['user']).Split([char[]] '\', 2)
                $domain = if ($parts.Count -eq 2) { $parts[0] } else { '' }
                $connection.Credential = [System.Net.NetworkCredential]::new($parts[-1], [string] $script:Secrets[$name], $domain)
            }
        }
        $connection.Bind()
    }
    catch {
        $connection.Dispose()
        $who = if ($null -eq $Credential) { 'the logon' } else { [string] $Credential['user'] }
        $where = '{0}, port {1}' -f $(if ($Server -ceq '') { 'the default domain controller' } else { $Server }), $Port
        $failure = ConvertTo-DirectoryFailure -Met (Get-DirectoryException -ErrorRecord $_) -Where $where -Doing "bind as $who"
        throw New-Refusal -Kind $failure['kind'] -Where $where -Why $failure['why'] -Ldap $failure['ldap'] -Win32 $failure['win32']
    }
    $connection
}

function Resolve-DirectoryServer {
    <#
    .SYNOPSIS
        Asks the server for its own DNS name: what a caller pins for the next call.
    #>
    param([object] $Connection, [string] $Server)
    $scope = [System.DirectoryServices.Protocols.SearchScope]::Base
    $request = [System.DirectoryServices.Protocols.SearchRequest]::new('', '(objectClass=*)', $scope, [string[]] 'dnsHostName')
    try { $response = $Connection.SendRequest($request) }
    catch {
        $failure = ConvertTo-DirectoryFailure -Met (Get-DirectoryException -ErrorRecord $_) -Where $Server -Doing 'read the root'
        throw New-Refusal -Kind $failure['kind'] -Where $Server -Why $failure['why'] -Ldap $failure['ldap'] -Win32 $failure['win32']
    }
    foreach ($entry in $response.Entries) {
        foreach ($name in $entry.Attributes.AttributeNames) {
            return [System.Text.Encoding]::UTF8.GetString([byte[]] $entry.Attributes[$name].GetValues([byte[]])[0])
        }
    }
    $Server
}

function Test-DirectorySearch {
    <#
    .SYNOPSIS
        Throws unless a search is of the form that Search-Directory takes.
    #>
    param([object] $Search)
    Test-Shape -Value $Search -Fields 'id', 'base', 'scope', 'filter', 'attributes', '|', 'size_limit', 'ranges' -Where 'searches' -What 'a search' -Types $script:DirectoryTypes
    if (@('base', 'one', 'sub') -cnotcontains $Search['scope']) { throw New-Refusal -Kind 'invalid' -Where 'scope' -Why "is '$($Search['scope'])', expected base, one or sub" }
    foreach ($name in $Search['attributes']) { if ($name -isnot [string]) { throw New-Refusal -Kind 'invalid' -Where 'attributes' -Why 'holds something else than names' } }
    if ($Search.Contains('size_limit') -and $Search['size_limit'] -lt 0) { throw New-Refusal -Kind 'invalid' -Where 'size_limit' -Why "is $($Search['size_limit']), expected 0 or more" }
    if (-not $Search.Contains('ranges')) { return }
    foreach ($range in $Search['ranges'].Values) {
        if ($range -is [string] -and $range -ceq 'all') { continue }
        if ($range -is [System.Collections.IList] -and $range.Count -eq 2 -and $range[0] -is [int] -and $range[1] -is [int] -and $range[0] -ge 0 -and $range[1] -ge $range[0]) { continue }
        throw New-Refusal -Kind 'invalid' -Where 'ranges' -Why "a range is 'all' or [low, high]"
    }
}

function Invoke-DirectorySearch {
    <#
    .SYNOPSIS
        Runs one search to its end and answers it, or the error that it met.
    #>
    param([object] $Connection, [System.Collections.IDictionary] $Search)
    $answer = @{ id = $Search['id']; ok = $true; entries = @(); more = $false; references = @(); error = $null }
    $found = [System.Collections.ArrayList]::new()
    $references = [System.Collections.ArrayList]::new()
    $base = [string] $Search['base']
    $limit = if ($Search.Contains('size_limit')) { [int] $Search['size_limit'] } else { 0 }
    $ranges = if ($Search.Contains('ranges')) { $Search['ranges'] } else { @{} }
    try {
        $request = New-DirectorySearchRequest -Search $Search -Ranges $ranges
        $page = $null
        if ($request.Scope -ne [System.DirectoryServices.Protocols.SearchScope]::Base) {
            # Without it a search from the root of a domain also names every other partition.
            [void] $request.Controls.Add([System.DirectoryServices.Protocols.DomainScopeControl]::new())
            $size = if ($limit -gt 0 -and $limit -lt 500) { $limit + 1 } else { 500 }
            $page = [System.DirectoryServices.Protocols.PageResultRequestControl]::new($size)
            [void] $request.Controls.Add($page)
        }
        do {
            $response = $Connection.SendRequest($request)
            foreach ($entry in $response.Entries) { [void] $found.Add((ConvertTo-DirectoryEntry -Connection $Connection -Entry $entry -Ranges $ranges)) }
            foreach ($reference in $response.References) { foreach ($uri in $reference.Reference) { [void] $references.Add([string] $uri) } }
            foreach ($uri in $response.Referral) { [void] $references.Add([string] $uri) }
            # 10 is no exception in this class, yet nothing was searched.
            if ([int] $response.ResultCode -ne 0) {
                $answer['ok'] = $false
                $answer['error'] = ConvertTo-DirectoryFailure -Met $response -Verb 'Search-Directory' -Where $base -Doing 'search'
            }
            $cookie = [byte[]] @()
            foreach ($control in $response.Controls) {
                if ($control -is [System.DirectoryServices.Protocols.PageResultResponseControl]) { $cookie = $control.Cookie }
            }
            if ($null -ne $page) { $page.Cookie = $cookie }
        } while ($cookie.Length -gt 0 -and ($limit -eq 0 -or $found.Count -le $limit))
    }
    catch {
        $failure = ConvertTo-DirectoryFailure -Met (Get-DirectoryException -ErrorRecord $_) -Verb 'Search-Directory' -Where $base -Doing 'search'
        # An entry that is not there is an answer to a search.
        if ($failure['ldap'] -ne 32) { $answer['ok'] = $false; $answer['error'] = $failure }
        $found.Clear()
    }
    if ($limit -gt 0 -and $found.Count -gt $limit) {
        $answer['more'] = $true
        $found.RemoveRange($limit, $found.Count - $limit)
    }
    $answer['entries'] = $found.ToArray()
    $answer['references'] = $references.ToArray()
    $answer
}

function New-DirectorySearchRequest {
    <#
    .SYNOPSIS
        Makes the LDAP request of one search.
    #>
    param([System.Collections.IDictionary] $Search, [System.Collections.IDictionary] $Ranges)
    $scopes = @{ base = 'Base'; one = 'OneLevel'; sub = 'Subtree' }
    $scope = $Search['scope']
    $filter = if ([string] $Search['filter'] -eq '') { '(objectClass=*)' } else { [string] $Search['filter'] }
    $names = [System.Collections.ArrayList]::new()
    foreach ($name in $Search['attributes']) { if (-not $Ranges.Contains($name)) { [void] $names.Add([string] $name) } }
    foreach ($name in $Ranges.Keys) {
        $range = $Ranges[$name]
        if ($range -is [string]) { [void] $names.Add("$name;range=0-*") }
        else { [void] $names.Add(('{0};range={1}-{2}' -f $name, $range[0], $range[1])) }
    }
    $kind = [System.DirectoryServices.Protocols.SearchScope] $scopes[$scope]
    [System.DirectoryServices.Protocols.SearchRequest]::new([string] $Search['base'], $filter, $kind, [string[]] $names.ToArray())
}

function ConvertTo-DirectoryEntry {
    <#
    .SYNOPSIS
        Gives one entry as data, with attributes that came in ranges put together, or marked as incomplete.
    #>
    param([object] $Connection, [object] $Entry, [System.Collections.IDictionary] $Ranges)
    $attributes = [System.Collections.Specialized.OrderedDictionary]::new([System.StringComparer]::Ordinal)
    $incomplete = [System.Collections.Specialized.OrderedDictionary]::new([System.StringComparer]::Ordinal)
    $follow = [System.Collections.ArrayList]::new()
    foreach ($name in $Ranges.Keys) { if ($Ranges[$name] -is [string]) { [void] $follow.Add($name.ToLowerInvariant()) } }
    $part = $Entry
    do {
        $again = [System.Collections.ArrayList]::new()
        foreach ($full in $part.Attributes.AttributeNames) {
            $match = [regex]::Match($full.ToLowerInvariant(), '^(.+);range=[0-9]+-([0-9]+|\*)$')
            $name = if ($match.Success) { $match.Groups[1].Value } else { $full.ToLowerInvariant() }
            if (-not $attributes.Contains($name)) { $attributes.Add($name, [System.Collections.ArrayList]::new()) }
            # By bytes: the indexer of the attribute gives a string whenever the bytes happen to be UTF-8.
            foreach ($value in $part.Attributes[$full].GetValues([byte[]])) { [void] $attributes[$name].Add([System.Convert]::ToBase64String([byte[]] $value)) }
            # The plain name beside a range is an empty list, and says nothing of the end.
            if ($match.Success) { $incomplete.Remove($name) }
            if ($match.Success -and $match.Groups[2].Value -ne '*') {
                $next = [int] $match.Groups[2].Value + 1
                $incomplete[$name] = $next
                # The server says how far it came; it may give fewer than were asked for.
                if ($follow.Contains($name)) { [void] $again.Add("$name;range=$next-*") }
            }
        }
        if ($again.Count -gt 0) {
            $scope = [System.DirectoryServices.Protocols.SearchScope]::Base
            $request = [System.DirectoryServices.Protocols.SearchRequest]::new($Entry.DistinguishedName, '(objectClass=*)', $scope, [string[]] $again.ToArray())
            $part = $Connection.SendRequest($request).Entries[0]
        }
    } while ($again.Count -gt 0)
    foreach ($name in @($attributes.Keys)) { $attributes[$name] = $attributes[$name].ToArray() }
    @{ dn = $Entry.DistinguishedName; attributes = $attributes; incomplete = $incomplete }
}

function ConvertTo-DirectoryRequest {
    <#
    .SYNOPSIS
        Makes the LDAP request of one edit.
    #>
    param([object] $Edit)
    Test-Shape -Value $Edit -Fields 'id', 'op', 'target', 'expect', 'class', 'changes' -Where 'edits' -What 'an edit' -Types $script:DirectoryTypes
    $target, $op = $Edit['target'], $Edit['op']
    if ($target -eq '') { throw New-Refusal -Kind 'invalid' -Where 'target' -Why 'is empty, expected a distinguished name or <GUID=..>' }
    switch -CaseSensitive ($op) {
        'delete' { return [System.DirectoryServices.Protocols.DeleteRequest]::new($target) }
        'add' {
            $request = [System.DirectoryServices.Protocols.AddRequest]::new()
            $collection = $request.Attributes
            if ([string] $Edit['class'] -cne '') { [void] $collection.Add([System.DirectoryServices.Protocols.DirectoryAttribute]::new('objectClass', [string] $Edit['class'])) }
        }
        'modify' {
            $request = [System.DirectoryServices.Protocols.ModifyRequest]::new()
            $collection = $request.Modifications
        }
        default { throw New-Refusal -Kind 'invalid' -Where 'op' -Why "is '$op', expected add, modify or delete" }
    }
    $request.DistinguishedName = $target
    if ($Edit['changes'].Count -eq 0) { throw New-Refusal -Kind 'invalid' -Where $target -Why "'$op' has no changes" }
    foreach ($change in $Edit['changes']) {
        Test-Shape -Value $change -Fields 'attribute', 'op', 'values' -Where $target -What 'a change' -Types $script:DirectoryTypes
        if ($change['attribute'] -eq '') { throw New-Refusal -Kind 'invalid' -Where $target -Why 'a change names no attribute' }
        $how = $change['op']
        if (@('add', 'delete', 'replace') -cnotcontains $how -or ($op -eq 'add' -and $how -cne 'add')) {
            throw New-Refusal -Kind 'invalid' -Where $target -Why "a change of an entry cannot be '$how' in '$op'"
        }
        # By its name or its OID (RFC 4519 2.17); options may follow.
        if ($how -ceq 'replace' -and ([string] $change['attribute']).ToLowerInvariant() -cmatch '^\s*(member|(oid\.)?2\.5\.4\.31)\s*(;|\z)') {
            throw New-Refusal -Kind 'invalid' -Where $target -Why 'member is never replaced, only added to and deleted from'
        }
        if ($op -eq 'add') { $attribute = [System.DirectoryServices.Protocols.DirectoryAttribute]::new() }
        else {
            $attribute = [System.DirectoryServices.Protocols.DirectoryAttributeModification]::new()
            $attribute.Operation = [System.DirectoryServices.Protocols.DirectoryAttributeOperation] $how
        }
        $attribute.Name = [string] $change['attribute']
        foreach ($value in $change['values']) {
            if ($value -is [string]) { [void] $attribute.Add($value); continue }
            Test-Shape -Value $value -Fields 'base64' -Where $target -What 'a value that is no text' -Types $script:DirectoryTypes
            try { [void] $attribute.Add([System.Convert]::FromBase64String($value['base64'])) }
            catch [System.FormatException] { throw New-Refusal -Kind 'invalid' -Where $target -Why 'a value is not base64' }
        }
        [void] $collection.Add($attribute)
    }
    $request
}

function Send-DirectoryEdit {
    <#
    .SYNOPSIS
        Sends one edit if its entry is as expected; gives nothing, or the error that it met.
    #>
    param([object] $Connection, [System.Collections.IDictionary] $Edit, [object] $Request)
    $target = $Edit['target']
    $expect = $Edit['expect']
    try {
        if ($expect -ne '') {
            $scope = [System.DirectoryServices.Protocols.SearchScope]::Base
            $guard = [System.DirectoryServices.Protocols.SearchRequest]::new($target, $expect, $scope, [string[]] '1.1')
            if ($Connection.SendRequest($guard).Entries.Count -eq 0) {
                return @{ kind = 'conflict'; what = 'Edit-Directory'; where = $target; why = "the entry does not match $expect any more; nothing was sent"; hresult = $null }
            }
        }
        $response = $Connection.SendRequest($Request)
        if ([int] $response.ResultCode -ne 0) {
            return ConvertTo-DirectoryFailure -Met $response -Verb 'Edit-Directory' -Where $target -Doing $Edit['op']
        }
    }
    catch { ConvertTo-DirectoryFailure -Met (Get-DirectoryException -ErrorRecord $_) -Verb 'Edit-Directory' -Where $target -Doing $Edit['op'] }
}

function Get-DirectoryException {
    <#
    .SYNOPSIS
        Gives the LDAP exception inside an error; throws the error on where it is of another kind.
    #>
    param([System.Management.Automation.ErrorRecord] $ErrorRecord)
    $exception = $ErrorRecord.Exception
    while ($null -ne $exception -and $exception -isnot [System.DirectoryServices.Protocols.DirectoryException]) { $exception = $exception.InnerException }
    if ($null -eq $exception) { throw $ErrorRecord }
    $exception
}

function ConvertTo-DirectoryFailure {
    <#
    .SYNOPSIS
        Makes the error of an LDAP exception or response; the number that begins the server's text says which rule of Windows it was.
    #>
    param([object] $Met, [string] $Verb, [string] $Where, [string] $Doing)
    $ldap, $text = -1, ''
    # A bind that the server refuses with a result code (8, 53 ...) comes without a response: there is no number to tell.
    $response = if ($Met -is [System.DirectoryServices.Protocols.DirectoryOperationException]) { $Met.Response } else { $Met }
    if ($response -is [System.DirectoryServices.Protocols.DirectoryResponse]) { $ldap, $text = [int] $response.ResultCode, $response.ErrorMessage }
    elseif ($Met -is [System.DirectoryServices.Protocols.LdapException]) {
        $ldap = $Met.ErrorCode
        # From 81 on the client itself speaks, and the text is what a server said some time before.
        if ($ldap -lt 81) { $text = $Met.ServerErrorMessage }
    }
    # A refused logon has its reason behind `data`; elsewhere that is mostly 0.
    $hex = [regex]::Match([string] $text, $(if ($ldap -eq 49) { ', data ([0-9A-Fa-f]+)' } else { '^([0-9A-Fa-f]{8}):' }))
    $win32 = if ($hex.Success) { [System.Convert]::ToInt64($hex.Groups[1].Value, 16) } else { -1 }
    $words = @{
        1 = 'unknown', 'the server could not do it'; 3 = 'timeout', 'the server took too long'; 8 = 'invalid', 'the server asks for a signed connection'
        10 = 'unknown', 'this server does not hold it'; 16 = 'conflict', 'the value is not there'; 19 = 'invalid', 'a value breaks a rule of the directory'
        20 = 'conflict', 'the value is there already'; 32 = 'missing', 'there is no such object'; 34 = 'invalid', 'the distinguished name is malformed'
        49 = 'denied', 'the user name or the password was not accepted'; 50 = 'denied', 'the account has no right to it'
        51 = 'busy', 'the server is busy'; 52 = 'busy', 'the server is not available now'; 53 = 'unknown', 'the server is not willing'
        64 = 'invalid', 'the name breaks a rule of the directory'; 65 = 'invalid', 'the entry would break a rule of its class'
        66 = 'invalid', 'the entry has others below it'; 68 = 'conflict', 'it is there already'; 81 = 'missing', 'no directory server answered'
        82 = 'denied', 'no logon was passed on (a second hop needs a credential)'; 85 = 'timeout', 'no answer came in time'
        87 = 'invalid', 'the filter is malformed'; 91 = 'missing', 'no connection to a directory server'
    }
    $kind, $why = if ($words.ContainsKey($ldap)) { $words[$ldap] } else { 'unknown', 'it was refused' }
    if ($ldap -eq 53 -and $win32 -eq 0x561) { $kind, $why = $words[16] }
    if ($ldap -eq 53 -and $win32 -ge 0x2141 -and $win32 -le 0x2165) { $kind, $why = 'invalid', 'a rule of groups forbids it' }
    if ($ldap -eq 53 -and $win32 -eq 0x2139) { $kind, $why = 'denied', 'only an administrator may change it' }
    if ($ldap -eq 1 -and $win32 -eq 0x4DC) { $kind, $why = $words[82] }
    if ($ldap -eq 32 -and $win32 -eq 0x525) { $why = 'a value names an object that does not exist' }
    $failure = @{ kind = $kind; what = $Verb; where = $Where; hresult = $null }
    $numbers = 'without a code'
    if ($ldap -ge 0) { $failure['ldap'] = $ldap; $numbers = "LDAP $ldap" }
    if ($win32 -ge 0) { $failure['win32'] = $win32; $numbers = '{0}, Windows {1:X}' -f $numbers, $win32 }
    $failure['why'] = "$Doing`: $why ($numbers)"
    $failure
}
