# Host verbs over IIS: any section of the configuration, run states of sites and pools, certificate records of http.sys.
# By Microsoft.Web.Administration, generic elements only: its typed classes change http.sys behind a commit. What ought to be set is not known here.
# Collections of it are never the output of a function: PowerShell would unroll them. What may throw is called as a method (get_Count()):
# PowerShell gives $null for a property whose getter throws.

$script:IisRecords = @{ ip = 'SslBindingInfo'; sni = 'SslSniBindingInfo'; ccs = 'SslCcsBindingInfo' }
# What XML 1.0 cannot hold, not even as a reference. Halves of surrogate pairs do not come here: the reader of JSON refuses them.
$script:NotXml = [System.Text.RegularExpressions.Regex]::new('[^\t\n\r -\uFFFD]', 'CultureInvariant')
# Fields of an edit: those that must be there, then those that may. `op` is in all; `section` and `location` in all but remove_location.
$script:IisEdits = @{
    set = 'section', 'a', '|', 'location', 'at'; reset = 'section', 'names', '|', 'location', 'at'; add = 'section', 'tag', '|', 'location', 'at', 'index', 'a', 'c', 'items'
    remove = 'section', 'at', '|', 'location'; clear = 'section', '|', 'location', 'at'; revert = 'section', '|', 'location'; remove_location = 'location', '|'
}
$script:IisTypes = @{
    op = [string]; id = [string]; section = [string]; location = [string]; view = [string]; tag = [string]; kind = [string]; name = [string]; index = [int]
    at = [System.Collections.IList]; names = [System.Collections.IList]; items = [System.Collections.IList]
    a = [System.Collections.IDictionary]; c = [System.Collections.IDictionary]; key = [System.Collections.IDictionary]; filter = [System.Collections.IDictionary]
}

function New-IisManager {
    <#
    .SYNOPSIS
        Makes a manager of the server's configuration; loads Microsoft.Web.Administration from its own place first.
    .DESCRIPTION
        A writable one reads what applicationHost.config says, a read-only one what is effective (facts/iis.md 1.1, 5.1). Whoever asks disposes it.
    #>
    param([switch] $ReadOnly)
    # A 32-bit process sees another folder and another configuration.
    if ([System.Environment]::Is64BitOperatingSystem -and -not [System.Environment]::Is64BitProcess) {
        throw New-Refusal -Kind 'invalid' -Where 'IIS' -Why 'this is a 32-bit PowerShell on a 64-bit Windows: it would see another configuration'
    }
    $library = '{0}\System32\inetsrv\Microsoft.Web.Administration.dll' -f $env:SystemRoot
    if (-not [System.IO.File]::Exists($library)) { throw New-Refusal -Kind 'not-installed' -Where 'IIS' -Why "there is no $library" }
    $null = [System.Reflection.Assembly]::LoadFrom($library)
    if ($ReadOnly) { [Microsoft.Web.Administration.ServerManager]::new($true, [System.Management.Automation.Language.NullString]::Value) }
    else { [Microsoft.Web.Administration.ServerManager]::new() }
}

function New-IisRefusal {
    <#
    .SYNOPSIS
        Says in our words what an exception of Microsoft.Web.Administration means: by what was being done, then type and HResult, never by text.
    .DESCRIPTION
        A locked section, a changed file and a file in use are all FileLoadException (facts/iis.md 0.6, 5.5); only the phase tells them apart.
    .OUTPUTS
        The exception to throw. A refusal of ours stays what it is, with Before in front of its words.
    #>
    param(
        [System.Exception] $Thrown,
        # section, walk, set, add, commit, ssl or state.
        [string] $Phase,
        [string] $Where,
        [string] $Before = ''
    )
    $root = $Thrown
    for ($at = $Thrown; $null -ne $at; $at = $at.InnerException) {
        $root = $at
        if ($at.Data.Contains('refusal')) { return New-Refusal -Kind $at.Data['refusal'] -Where $Where -Why ($Before + $at.Message) -HResult $at.Data['hresult'] }
    }
    $code = ConvertTo-Unsigned -HResult $root.HResult
    if ($root -is [System.ComponentModel.Win32Exception]) { $code = 2147942400 + $root.NativeErrorCode }
    $load = $root -is [System.IO.FileLoadException] -or $code -eq 2147942432
    $missing = $root -is [System.IO.FileNotFoundException] -or $root -is [System.IO.DirectoryNotFoundException]
    $com = $root -is [System.Runtime.InteropServices.COMException]
    $value = $com -or $root -is [System.InvalidCastException] -or $root -is [System.ArgumentException] -or $root -is [System.FormatException] -or $root -is [System.OverflowException]
    $kind, $why = 'unknown', "failed with $($root.GetType().FullName)"
    if ($code -eq 2147942405) { $kind, $why = 'denied', 'the host does not let this account do it (5, access denied)' }
    elseif ($code -eq 2147746132) { $kind, $why = 'not-installed', 'the configuration system of IIS is not registered (0x80040154)' }
    elseif ($Phase -eq 'commit') {
        # Another error of input and output, a full disk for one, may come when a part is written.
        if ($load) { $kind, $why = 'conflict', 'the file changed or was in use while it was written' }
        else { $why = 'the commit failed' }
    }
    elseif ($Phase -eq 'state') {
        if ($code -eq 2147944122) { $kind, $why = 'busy', 'the service W3SVC or WAS does not run' }
        elseif ($code -eq 2147942583) { $kind, $why = 'busy', 'the port is taken: another site has the same binding and is started' }
    }
    elseif ($Phase -eq 'ssl') {
        if ($code -eq 2147943712) { $kind, $why = 'invalid', 'the certificate or its private key cannot be used (1312)' }
        elseif ($missing) { $kind, $why = 'missing', 'there is no record to replace' }
        elseif ($code -eq 2147942583) { $kind, $why = 'conflict', 'there is a record of another certificate already' }
        elseif ($value) { $kind, $why = 'invalid', 'the certificate cannot be bound' }
    }
    elseif ($load) { $kind, $why = 'locked', 'the section is locked at a parent level, or its file is in use' }
    elseif ($code -eq 2147943813 -and $Phase -ne 'add') { $kind, $why = 'missing', 'there is no attribute, child or item of that name' }
    elseif ($Phase -eq 'add' -and $com -and $code -ne 2147943813) { $kind, $why = 'conflict', 'there is an item with this key already' }
    elseif ($Phase -eq 'add' -and $missing) { $kind, $why = 'invalid', 'a required attribute is missing' }
    elseif ($missing) { $kind, $why = 'missing', 'there is no such site, schema or file' }
    elseif ($Phase -eq 'set' -and $code -eq 2147942583) { $kind, $why = 'conflict', 'there is an item with this key already' }
    elseif ($value) { $kind, $why = 'invalid', $(if ($Phase -eq 'section' -or $Phase -eq 'walk') { 'the section cannot be read: not declared, not allowed here, or its file is broken' } else { 'the value is not accepted' }) }
    New-Refusal -Kind $kind -Where $Where -Why ('{0}{1} (0x{2:X8})' -f $Before, $why, $code) -HResult $code
}

function Test-Shape {
    <#
    .SYNOPSIS
        Throws unless an object has the fields that it must have, no others than it may have, and of their types. Directory verbs use it, too.
    #>
    param([object] $Value, [string[]] $Fields, [string] $Where, [string] $What, [hashtable] $Types = $script:IisTypes)
    if ($Value -isnot [System.Collections.IDictionary]) { throw New-Refusal -Kind 'invalid' -Where $Where -Why "$What is not an object" }
    $must = $true
    foreach ($field in $Fields) {
        if ($field -eq '|') { $must = $false }
        elseif ($must -and -not $Value.Contains($field)) { throw New-Refusal -Kind 'invalid' -Where $Where -Why "$What has no $field" }
    }
    foreach ($name in $Value.Keys) {
        if ($name -cnotin $Fields) { throw New-Refusal -Kind 'invalid' -Where $Where -Why "$What takes no $name" }
        if ($Value[[object]$name] -isnot $Types[$name]) { throw New-Refusal -Kind 'invalid' -Where $Where -Why "$name of $What has another type than expected" }
    }
}

function Get-IisFile {
    <#
    .SYNOPSIS
        Tells where applicationHost.config is, and whether that is a place shared with other servers.
    #>
    param([object] $Manager)
    $folder = '{0}\System32\inetsrv\config' -f $env:SystemRoot
    $shared = $false
    try {
        $section = $Manager.GetRedirectionConfiguration().GetSection('configurationRedirection')
        $shared = [bool]$section.GetAttributeValue('enabled')
        if ($shared) { $folder = [System.Environment]::ExpandEnvironmentVariables([string]$section.GetAttributeValue('path')).TrimEnd('\') }
    }
    catch {
        # 0x80070490: the section is not there. Anything else might hide that the configuration is shared.
        if ((ConvertTo-Unsigned -HResult $_.Exception.GetBaseException().HResult) -ne 2147943568) { throw New-IisRefusal -Thrown $_.Exception -Phase 'section' -Where 'configurationRedirection@' }
    }
    @{ path = "$folder\applicationHost.config"; shared = $shared }
}

function Get-IisSection {
    <#
    .SYNOPSIS
        Gives a section at a location: as applicationHost.config says, or with Effective as the web.config files make it.
    #>
    param([object] $Manager, [string] $Section, [string] $Location, [switch] $Effective)
    $place = $Location.Trim('/')
    if ($place -eq '') { return $Manager.GetApplicationHostConfiguration().GetSection($Section) }
    if (-not $Effective) { return $Manager.GetApplicationHostConfiguration().GetSection($Section, $place) }
    $site, $path = $place.Split([char[]]'/', 2)
    if ($null -eq $path) { return $Manager.GetWebConfiguration($site).GetSection($Section) }
    $Manager.GetWebConfiguration($site, "/$path").GetSection($Section)
}

function ConvertFrom-IisValue {
    <#
    .SYNOPSIS
        Turns a value of Microsoft.Web.Administration into one of docs/verbs.md, by the type that the schema gives.
    #>
    param([object] $Schema, [object] $Value)
    if ($null -eq $Value) { return '' }
    switch ($Schema.Type) {
        'bool' { return [bool]$Value }
        'timeSpan' { return ([System.TimeSpan]$Value).ToString('c', [System.Globalization.CultureInfo]::InvariantCulture) }
        'string' { return [string]$Value }
        'enum' {
            foreach ($known in $Schema.GetEnumValues()) { if ($known.Value -eq $Value) { return $known.Name } }
            return ([long]$Value).ToString([System.Globalization.CultureInfo]::InvariantCulture)
        }
        'flags' {
            $names = foreach ($known in $Schema.GetEnumValues()) {
                if (($known.Value -ne 0 -and ($Value -band $known.Value) -eq $known.Value) -or ($known.Value -eq 0 -and $Value -eq 0)) { $known.Name }
            }
            return [string]::Join(',', [string[]]@($names))
        }
    }
    [long]$Value
}

function ConvertTo-IisValue {
    <#
    .SYNOPSIS
        Turns a value of docs/verbs.md into the one type that Microsoft.Web.Administration takes for it (facts/iis.md 1.5).
    #>
    param([object] $Schema, [object] $Value)
    $name = $Schema.Name
    if ($Value -is [System.Collections.IDictionary]) {
        $secret = [string]$Value['secret']
        if ($Value.Count -ne 1 -or -not $Value.Contains('secret') -or -not $script:Secrets.ContainsKey($secret)) {
            throw New-Refusal -Kind 'invalid' -Where $name -Why "$name names a secret that was not sent"
        }
        $Value = $script:Secrets[$secret]
    }
    switch ($Schema.Type) {
        'bool' { if ($Value -is [bool]) { return $Value } }
        'int' { if ($Value -is [int]) { return $Value } }
        # uint, too, is taken as Int64 and read back so.
        { $_ -eq 'uint' -or $_ -eq 'int64' } { if ($Value -is [int] -or $Value -is [long]) { return [long]$Value } }
        'timeSpan' {
            if ($Value -is [string] -and $Value -match '^(?:([0-9]{1,7})\.)?([0-9]{1,7}):([0-5][0-9]):([0-5][0-9])\z') {
                $days = if ($Matches.ContainsKey(1)) { [int]$Matches[1] } else { 0 }
                return [System.TimeSpan]::new($days, [int]$Matches[2], [int]$Matches[3], [int]$Matches[4])
            }
        }
        # Names of enum and flags go as they are. What an encrypted attribute holds is not in the file as it is.
        default {
            if ($Value -is [string]) {
                if (-not $Schema.IsEncrypted -and $script:NotXml.IsMatch($Value)) { throw New-Refusal -Kind 'invalid' -Where $name -Why "$name holds a character that XML cannot hold" -HResult 2147942413 }
                return $Value
            }
        }
    }
    throw New-Refusal -Kind 'invalid' -Where $name -Why "$name takes a value of type $($Schema.Type)" -HResult 2147942413
}

function Get-IisNode {
    <#
    .SYNOPSIS
        Gives an element with all that is in it as NODE of docs/verbs.md. The value of an encrypted attribute is not in it.
    #>
    param(
        [object] $Element,
        # Attributes that the items of its collection must have; $null: all items.
        [object] $Filter = $null,
        [switch] $Item
    )
    $node = [ordered]@{ tag = $Element.ElementTagName; a = [ordered]@{}; d = @(); s = [ordered]@{}; e = [ordered]@{}; c = [ordered]@{}; items = @() }
    $defaults = [System.Collections.ArrayList]::new()
    foreach ($attribute in $Element.get_Attributes()) {
        $schema = $attribute.Schema
        try {
            $value = $Element.GetAttributeValue($schema.Name)
            if ($schema.IsEncrypted) { $node['s'][$schema.Name] = [ordered]@{ secret = $true; set = -not [string]::IsNullOrEmpty($value) }; continue }
            $isDefault = $attribute.get_IsInheritedFromDefaultValue()
            $node['a'][$schema.Name] = ConvertFrom-IisValue -Schema $schema -Value $value
            if ($isDefault) { $null = $defaults.Add($schema.Name) }
        }
        catch {
            # A key that cannot decrypt it still says that something is there.
            if ($schema.IsEncrypted) { $node['s'][$schema.Name] = [ordered]@{ secret = $true; set = $true }; continue }
            # Run-time values throw for what does not run.
            $node['e'][$schema.Name] = ConvertTo-Unsigned -HResult $_.Exception.GetBaseException().HResult
        }
    }
    $names = [string[]]$defaults.ToArray()
    [System.Array]::Sort($names, [System.StringComparer]::Ordinal)
    $node['d'] = $names
    foreach ($child in $Element.get_ChildElements()) { $node['c'][$child.ElementTagName] = Get-IisNode -Element $child }
    $collection = $Element.GetCollection()
    if ($null -ne $collection) {
        $items = [System.Collections.ArrayList]::new()
        foreach ($one in $collection) { if ($null -eq $Filter -or (Test-IisKey -Element $one -Key $Filter)) { $null = $items.Add((Get-IisNode -Element $one -Item)) } }
        $node['items'] = $items
    }
    if ($Item) {
        $node['at'] = $null
        try { $node['at'] = ([string]$Element.GetMetadata('collectionItemLocationConfigPath') -replace '^MACHINE/WEBROOT/APPHOST', '').Trim('/') } catch { $node['at'] = $null }
    }
    $node
}

function Test-IisKey {
    <#
    .SYNOPSIS
        Tells whether an element has these attribute values, texts in any case. Throws for a name that its schema does not have.
    #>
    param([object] $Element, [object] $Key)
    foreach ($name in $Key.Keys) {
        $attribute = $Element.GetAttribute($name)
        $found = ConvertFrom-IisValue -Schema $attribute.Schema -Value $Element.GetAttributeValue($name)
        $wanted = $Key[[object]$name]
        if ($wanted -is [int]) { $wanted = [long]$wanted }
        if ($null -eq $wanted -or $found.GetType() -ne $wanted.GetType()) { return $false }
        if ($found -is [string]) { if (-not [string]::Equals($found, $wanted, [System.StringComparison]::OrdinalIgnoreCase)) { return $false } }
        elseif ($found -ne $wanted) { return $false }
    }
    $true
}

function Find-IisItem {
    <#
    .SYNOPSIS
        Finds the one item of an element's collection with a key.
    .OUTPUTS
        @{ collection; index; element }: an index is good for the collection object that it was found in, for no other.
    #>
    param([object] $Element, [object] $Step)
    Test-Shape -Value $Step -Fields 'tag', 'key', '|' -Where 'at' -What 'a step of at'
    $found = @{ collection = $Element.GetCollection(); index = -1; element = $null }
    $shown = [string]::Join(', ', [string[]]@($Step['key'].Keys | ForEach-Object -Process { '{0}={1}' -f $_, $Step['key'][[object]$_] }))
    if ($null -eq $found.collection) { throw New-Refusal -Kind 'missing' -Where 'at' -Why "$($Element.ElementTagName) has no collection" -HResult 2147943813 }
    $at, $hits = 0, 0
    foreach ($one in $found.collection) {
        if ($one.ElementTagName -ceq $Step['tag'] -and (Test-IisKey -Element $one -Key $Step['key'])) { $hits++; $found.index = $at; $found.element = $one }
        $at++
    }
    if ($hits -eq 0) { throw New-Refusal -Kind 'missing' -Where 'at' -Why "$($Element.ElementTagName) has no $($Step['tag']) with $shown" }
    if ($hits -gt 1) { throw New-Refusal -Kind 'ambiguous' -Where 'at' -Why "$($Element.ElementTagName) has $hits of $($Step['tag']) with $shown" }
    $found
}

function Find-IisElement {
    <#
    .SYNOPSIS
        Follows steps of a PATH from an element.
    #>
    param([object] $Element, [object[]] $Path)
    foreach ($step in $Path) { $Element = if ($step -is [string]) { $Element.GetChildElement($step) } else { (Find-IisItem -Element $Element -Step $step).element } }
    $Element
}

function Set-IisAttribute {
    <#
    .SYNOPSIS
        Sets attributes of an element, its keys first.
    #>
    param([object] $Element, [object] $Values)
    $keys, $others = @(), @()
    foreach ($name in $Values.Keys) {
        $schema = $Element.GetAttribute($name).Schema
        if ($schema.IsUniqueKey -or $schema.IsCombinedKey) { $keys += $schema } else { $others += $schema }
    }
    foreach ($schema in $keys + $others) { $Element.SetAttributeValue($schema.Name, (ConvertTo-IisValue -Schema $schema -Value $Values[[object]$schema.Name])) }
}

function Add-IisItem {
    <#
    .SYNOPSIS
        Adds an item, and what is in it, to the collection of an element.
    .DESCRIPTION
        Attributes before it is added, since a key must be there; what is in it afterwards, on the item read again by its index.
    #>
    param([object] $Element, [object] $Spec, [int] $Index = -1)
    $collection = $Element.GetCollection()
    if ($null -eq $collection) { throw New-Refusal -Kind 'missing' -Where 'at' -Why "$($Element.ElementTagName) has no collection" -HResult 2147943813 }
    $count = $collection.get_Count()
    if ($Index -eq -1) { $Index = $count }
    if ($Index -lt 0 -or $Index -gt $count) { throw New-Refusal -Kind 'invalid' -Where 'index' -Why "index is $Index, the collection has $count items" -HResult 2147943813 }
    try { $made = $collection.CreateElement($Spec['tag']) }
    catch { throw New-Refusal -Kind 'invalid' -Where 'tag' -Why "$($Spec['tag']) is no item of $($Element.ElementTagName)" -HResult 2147942413 }
    if ($Spec.Contains('a')) { Set-IisAttribute -Element $made -Values $Spec['a'] }
    try { $null = $collection.AddAt($Index, $made) }
    catch { throw New-IisRefusal -Thrown $_.Exception -Phase 'add' -Where 'add' }
    $at = 0
    foreach ($one in $Element.GetCollection()) { if ($at -eq $Index) { Add-IisContent -Element $one -Spec $Spec }; $at++ }
}

function Add-IisContent {
    <#
    .SYNOPSIS
        Fills a new element: children, each with attributes and content, then items.
    #>
    param([object] $Element, [object] $Spec)
    if ($Spec.Contains('c')) {
        foreach ($name in $Spec['c'].Keys) {
            $inner = $Spec['c'][[object]$name]
            Test-Shape -Value $inner -Fields '|', 'a', 'c', 'items' -Where 'c' -What 'a child'
            $child = $Element.GetChildElement($name)
            if ($inner.Contains('a')) { Set-IisAttribute -Element $child -Values $inner['a'] }
            Add-IisContent -Element $child -Spec $inner
        }
    }
    if ($Spec.Contains('items')) {
        foreach ($inner in $Spec['items']) {
            Test-Shape -Value $inner -Fields 'tag', '|', 'a', 'c', 'items' -Where 'items' -What 'an item'
            Add-IisItem -Element $Element -Spec $inner
        }
    }
}

function Set-IisEdit {
    <#
    .SYNOPSIS
        Makes one edit on a manager that is not committed yet.
    #>
    param([object] $Manager, [object] $Edit, [string] $Where, [string] $Before)
    $phase = 'section'
    try {
        if ($Edit -isnot [System.Collections.IDictionary] -or $Edit['op'] -isnot [string] -or $Edit['op'] -cnotin $script:IisEdits.Keys) {
            throw New-Refusal -Kind 'invalid' -Where $Where -Why 'an edit is an object with op: set, reset, add, remove, clear, revert or remove_location'
        }
        $op = $Edit['op']
        Test-Shape -Value $Edit -Fields (@('op') + $script:IisEdits[$op]) -Where $Where -What $op
        if ($script:NotXml.IsMatch([string]$Edit['location'])) { throw New-Refusal -Kind 'invalid' -Where $Where -Why 'location holds a character that XML cannot hold' -HResult 2147942413 }
        if ($op -eq 'remove_location') {
            if ($Edit['location'].Trim('/') -eq '') { throw New-Refusal -Kind 'invalid' -Where $Where -Why 'location is empty: the server level is not removed' }
            $configuration = $Manager.GetApplicationHostConfiguration()
            # One call removes one tag, and says nothing where none is.
            foreach ($path in @($configuration.GetLocationPaths())) {
                if ([string]::Equals($path.Trim('/'), $Edit['location'].Trim('/'), [System.StringComparison]::OrdinalIgnoreCase)) { $configuration.RemoveLocationPath($path) }
            }
            return
        }
        $section = Get-IisSection -Manager $Manager -Section $Edit['section'] -Location ([string]$Edit['location'])
        $phase = 'walk'
        $path = @(if ($Edit.Contains('at')) { $Edit['at'] })
        if ($op -eq 'remove') {
            if ($path.Count -eq 0 -or $path[-1] -is [string]) { throw New-Refusal -Kind 'invalid' -Where $Where -Why 'only an item of a collection can be removed' -HResult 2147942450 }
            $parent = Find-IisElement -Element $section -Path @($path | Select-Object -SkipLast 1)
            $found = Find-IisItem -Element $parent -Step $path[-1]
            $phase = 'set'
            # By index: Remove does nothing, silently, for an element of another collection object (facts/iis.md 0.8).
            $found.collection.RemoveAt($found.index)
            return
        }
        $element = Find-IisElement -Element $section -Path $path
        $phase = 'set'
        switch ($op) {
            'set' { Set-IisAttribute -Element $element -Values $Edit['a'] }
            'reset' {
                foreach ($name in $Edit['names']) {
                    if ($name -isnot [string]) { throw New-Refusal -Kind 'invalid' -Where $Where -Why 'names are texts' }
                    $attribute = $element.GetAttribute($name)
                    # An item without it could not be read any more.
                    if ($attribute.Schema.IsRequired -or $attribute.Schema.IsUniqueKey -or $attribute.Schema.IsCombinedKey) { throw New-Refusal -Kind 'invalid' -Where $Where -Why "$name is required or a key: it can be set, not reset" }
                    $attribute.Delete()
                }
            }
            'add' { Add-IisItem -Element $element -Spec $Edit -Index $(if ($Edit.Contains('index')) { $Edit['index'] } else { -1 }) }
            'clear' {
                $collection = $element.GetCollection()
                if ($null -eq $collection) { throw New-Refusal -Kind 'missing' -Where 'at' -Why "$($element.ElementTagName) has no collection" -HResult 2147943813 }
                $collection.Clear()
            }
            'revert' { $element.RevertToParent() }
        }
    }
    catch { throw New-IisRefusal -Thrown $_.Exception -Phase $phase -Where $Where -Before $Before }
}

function Find-IisRuntime {
    <#
    .SYNOPSIS
        Finds a site or pool by its name, in any case.
    .OUTPUTS
        The element, or nothing.
    #>
    param([object] $Manager, [string] $Kind, [string] $Name)
    $path = if ($Kind -eq 'site') { 'system.applicationHost/sites' } else { 'system.applicationHost/applicationPools' }
    $section = $Manager.GetApplicationHostConfiguration().GetSection($path)
    foreach ($one in $section.GetCollection()) { if ([string]::Equals($one.GetAttributeValue('name'), $Name, [System.StringComparison]::OrdinalIgnoreCase)) { return $one } }
}

function Find-IisBinding {
    <#
    .SYNOPSIS
        Finds the binding of a site, each part in any case; throws where it is not there.
    #>
    param([object] $Manager, [string] $Site, [string] $Protocol, [string] $Information)
    try {
        $element = Find-IisRuntime -Manager $Manager -Kind 'site' -Name $Site
        if ($null -ne $element) { foreach ($one in $element.GetCollection('bindings')) { if (Test-IisKey -Element $one -Key @{ protocol = $Protocol; bindingInformation = $Information }) { return $one } } }
    }
    catch { throw New-IisRefusal -Thrown $_.Exception -Phase 'section' -Where "$Site $Protocol $Information" }
    throw New-Refusal -Kind 'missing' -Where "$Site $Protocol $Information" -Why 'there is no such binding'
}

function Test-IisEndpoint {
    <#
    .SYNOPSIS
        Tells whether two endpoints of http.sys are one: addresses by what they mean, ports as numbers, host names in any case.
    #>
    param([string] $Kind, [string] $One, [string] $Other)
    $same = foreach ($text in $One, $Other) {
        $name, $port, $address = $text, -1, $null
        if ($text -match '^(.*):([0-9]{1,5})\z') { $name, $port = $Matches[1], [int]$Matches[2] }
        if ($Kind -eq 'ip' -and [System.Net.IPAddress]::TryParse($name.Trim([char[]]'[]'), [ref]$address)) { $name = $address.ToString() }
        "${name}:$port"
    }
    [string]::Equals($same[0], $same[1], [System.StringComparison]::OrdinalIgnoreCase)
}

function Get-IisRuntimeState {
    <#
    .SYNOPSIS
        Gives the state of a site or pool; Unknown where WAS does not know it (0x800710D8: it has not read it yet, or a site has no http binding or no pool).
    #>
    param([object] $Element, [string] $Name)
    try {
        ConvertFrom-IisValue -Schema $Element.GetAttribute('state').Schema -Value $Element.GetAttributeValue('state')
    }
    catch {
        if ((ConvertTo-Unsigned -HResult $_.Exception.GetBaseException().HResult) -ne 2147946712) { throw New-IisRefusal -Thrown $_.Exception -Phase 'state' -Where $Name }
        'Unknown'
    }
}

function Invoke-IisMethod {
    <#
    .SYNOPSIS
        Runs a method of an element; its effect does not wait for a commit.
    #>
    param([object] $Element, [string] $Method, [hashtable] $Inputs = @{})
    foreach ($one in $Element.get_Methods()) {
        if ($one.Name -ne $Method) { continue }
        $call = $one.CreateInstance()
        foreach ($name in $Inputs.Keys) { $call.Input.SetAttributeValue($name, $Inputs[$name]) }
        return $call.Execute()
    }
    throw New-Refusal -Kind 'unknown' -Where $Method -Why "this IIS has no method $Method here"
}

function Get-IisConfig {
    <#
    .SYNOPSIS
        Reads sections of the configuration of IIS as trees.
    .DESCRIPTION
        `stored` is what applicationHost.config says at a location, `effective` what counts there, web.config files included. A section that
        cannot be read is an error of its own and spoils no other. Values of encrypted attributes are not read out.
    .OUTPUTS
        @{ file; sha256; shared; modules; locations; reads = @(@{ id; ok; section; tree } or @{ id; ok; error }) }
    .EXAMPLE
        Get-IisConfig -Reads @(@{ id = 'a'; section = 'system.applicationHost/sites'; location = ''; view = 'stored'; filter = @{ name = 'Default Web Site' } })
    #>
    [CmdletBinding()]
    param([Parameter(Mandatory = $true)] [AllowEmptyCollection()] [object[]] $Reads)
    foreach ($read in $Reads) {
        Test-Shape -Value $read -Fields 'id', 'section', 'view', '|', 'location', 'filter' -Where 'reads' -What 'a read'
        if ($read['view'] -cne 'stored' -and $read['view'] -cne 'effective') { throw New-Refusal -Kind 'invalid' -Where 'reads' -Why "view is stored or effective" }
    }
    $managers = @{ stored = (New-IisManager); effective = (New-IisManager -ReadOnly) }
    try {
        $file = Get-IisFile -Manager $managers.stored
        # Before anything is loaded: a change in between makes the hash too old, never too new.
        try { $hash = Get-ContentHash -Path $file.path -Named $file.path -Share 'ReadWrite, Delete' } catch { throw New-IisRefusal -Thrown $_.Exception -Phase 'section' -Where $file.path }
        $modules = [System.Collections.ArrayList]::new()
        try {
            foreach ($one in (Get-IisSection -Manager $managers.stored -Section 'system.webServer/globalModules' -Location '').GetCollection()) { $null = $modules.Add($one.GetAttributeValue('name')) }
            $locations = [string[]]@($managers.stored.GetApplicationHostConfiguration().GetLocationPaths())
        }
        catch { throw New-IisRefusal -Thrown $_.Exception -Phase 'section' -Where $file.path }
        $answers = foreach ($read in $Reads) {
            $phase, $location, $filter = 'section', ([string]$read['location']).Trim('/'), $null
            try {
                $section = Get-IisSection -Manager $managers[$read['view']] -Section $read['section'] -Location $location -Effective:($read['view'] -ceq 'effective')
                $phase = 'walk'
                if ($read.Contains('filter')) { $filter = $read['filter'] }
                $tree = Get-IisNode -Element $section -Filter $filter
                $deepest = foreach ($name in 'deepestPathSet', 'deepestFileNameSet', 'deepestFileLineNumberSet') { try { [string]$section.GetMetadata($name) } catch { '' } }
                $line = 0
                $null = [int]::TryParse($deepest[2], [ref]$line)
                [ordered]@{
                    id = $read['id']; ok = $true; tree = $tree
                    section = [ordered]@{
                        path = $section.SectionPath; override_mode = [string]$section.get_OverrideMode(); override_mode_effective = [string]$section.get_OverrideModeEffective(); is_locked = [bool]$section.get_IsLocked()
                        deepest_path = $(if ($deepest[0] -ne '') { $deepest[0] }); deepest_file = $(if ($deepest[1] -ne '') { $deepest[1] -replace '^\\\\\?\\UNC(?=\\)', '\' -replace '^\\\\\?\\', '' }); deepest_line = $(if ($line -gt 0) { $line })
                    }
                }
            }
            catch { [ordered]@{ id = $read['id']; ok = $false; error = (Get-ErrorRecord -Thrown (New-IisRefusal -Thrown $_.Exception -Phase $phase -Where "$($read['section'])@$location") -What 'Get-IisConfig' -Where '') } }
        }
        [ordered]@{ file = $file.path; sha256 = $hash; shared = $file.shared; modules = $modules; locations = $locations; reads = @($answers) }
    }
    finally { foreach ($manager in $managers.Values) { $manager.Dispose() } }
}

function Edit-IisConfig {
    <#
    .SYNOPSIS
        Makes a list of edits of applicationHost.config as one commit, if the file still is what the caller read.
    .DESCRIPTION
        Nothing is written unless every edit is accepted. The guard spans from the caller's read to the loading here, the check of the
        configuration system from the loading to the commit. Only the file is changed: no certificate record, no state.
    .OUTPUTS
        @{ sha256 = hash of the file now; changed }
    .EXAMPLE
        Edit-IisConfig -Guard $hash -Edits @(@{ op = 'set'; section = 'system.webServer/security/authentication/windowsAuthentication'; location = 'My Site'; a = @{ enabled = $true } })
    #>
    [CmdletBinding()]
    param(
        # SHA-256 of applicationHost.config as the caller read it.
        [Parameter(Mandatory = $true)] [string] $Guard,
        [Parameter(Mandatory = $true)] [AllowEmptyCollection()] [object[]] $Edits
    )
    $manager = New-IisManager
    try {
        $file = Get-IisFile -Manager $manager
        try { foreach ($one in (Get-IisSection -Manager $manager -Section 'system.applicationHost/sites' -Location '').GetCollection()) { break } }
        catch { throw New-IisRefusal -Thrown $_.Exception -Phase 'section' -Where $file.path }
        # After the loading: what was loaded is this, or the commit finds that the file has changed since.
        $before = Get-ContentHash -Path $file.path -Named $file.path -Share 'ReadWrite, Delete'
        if ($before -ne $Guard) { throw New-Refusal -Kind 'conflict' -Where $file.path -Why "the file is $before, expected $Guard" }
        if ($file.shared) { throw New-Refusal -Kind 'denied' -Where $file.path -Why 'the configuration is shared by a farm: it is not edited from one of its servers' }
        $number = 0
        foreach ($edit in $Edits) {
            $number++
            $where = if ($edit -is [System.Collections.IDictionary]) { '{0}@{1}' -f $edit['section'], $edit['location'] } else { 'edits' }
            Set-IisEdit -Manager $manager -Edit $edit -Where $where -Before "edit ${number}: "
        }
        $after = $before
        if ($number -gt 0) {
            try { $manager.CommitChanges() } catch { throw New-IisRefusal -Thrown $_.Exception -Phase 'commit' -Where $file.path }
            try { $after = Get-ContentHash -Path $file.path -Named $file.path -Share 'ReadWrite, Delete' }
            catch { throw New-Refusal -Kind 'unknown' -Where $file.path -Why 'written, but it could not be read back' -HResult $_.Exception.GetBaseException().HResult }
        }
        [ordered]@{ sha256 = $after; changed = $after -ne $before }
    }
    finally { $manager.Dispose() }
}

function Get-IisState {
    <#
    .SYNOPSIS
        Reads whether sites and application pools run.
    .DESCRIPTION
        Unknown is what the activation service does not know (yet).
    .OUTPUTS
        @{ states = @(@{ kind; name; found; state }) }
    .EXAMPLE
        Get-IisState -Items @(@{ kind = 'site'; name = 'Default Web Site' })
    #>
    [CmdletBinding()]
    param([Parameter(Mandatory = $true)] [AllowEmptyCollection()] [object[]] $Items)
    foreach ($item in $Items) {
        Test-Shape -Value $item -Fields 'kind', 'name', '|' -Where 'items' -What 'an item'
        if ($item['kind'] -cne 'site' -and $item['kind'] -cne 'pool') { throw New-Refusal -Kind 'invalid' -Where 'items' -Why 'kind is site or pool' }
    }
    $manager = New-IisManager -ReadOnly
    try {
        $states = foreach ($item in $Items) {
            try { $element = Find-IisRuntime -Manager $manager -Kind $item['kind'] -Name $item['name'] }
            catch { throw New-IisRefusal -Thrown $_.Exception -Phase 'section' -Where $item['name'] }
            $state = if ($null -eq $element) { 'Unknown' } else { Get-IisRuntimeState -Element $element -Name $item['name'] }
            [ordered]@{ kind = $item['kind']; name = $item['name']; found = $null -ne $element; state = $state }
        }
        @{ states = @($states) }
    }
    finally { $manager.Dispose() }
}

function Set-IisState {
    <#
    .SYNOPSIS
        Starts or stops a site or an application pool and waits until it is.
    .DESCRIPTION
        Looks first: nothing is done to what is in that state, or came into another one than the caller read. Each look is by a new manager, since one
        shows what it loaded.
    .OUTPUTS
        @{ state }
    .EXAMPLE
        Set-IisState -Kind 'site' -Name 'Default Web Site' -State 'Started' -Expected 'Stopped'
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory = $true)] [string] $Kind,
        [Parameter(Mandatory = $true)] [string] $Name,
        # Started or Stopped.
        [Parameter(Mandatory = $true)] [string] $State,
        # The state that the caller read: Unknown, also of what was not there, expects none.
        [Parameter(Mandatory = $true)] [string] $Expected,
        [int] $TimeoutS = 30
    )
    if ($Kind -cne 'site' -and $Kind -cne 'pool') { throw New-Refusal -Kind 'invalid' -Where 'kind' -Why 'kind is site or pool' }
    if ($State -cne 'Started' -and $State -cne 'Stopped') { throw New-Refusal -Kind 'invalid' -Where 'state' -Why 'state is Started or Stopped' }
    if ('Starting', 'Started', 'Stopping', 'Stopped', 'Unknown' -cnotcontains $Expected) { throw New-Refusal -Kind 'invalid' -Where 'expected' -Why 'not a state of Get-IisState' }
    $watch = [System.Diagnostics.Stopwatch]::StartNew()
    $acted = $false
    while ($true) {
        $manager = New-IisManager
        try {
            try { $element = Find-IisRuntime -Manager $manager -Kind $Kind -Name $Name }
            catch { throw New-IisRefusal -Thrown $_.Exception -Phase 'section' -Where $Name }
            if ($null -eq $element) { throw New-Refusal -Kind 'missing' -Where $Name -Why "there is no $Kind of this name" }
            $seen = Get-IisRuntimeState -Element $element -Name $Name
            if ($seen -eq $State) { return @{ state = $seen } }
            if (-not $acted -and ($seen -eq 'Started' -or $seen -eq 'Stopped')) {
                # Starting and Stopping become the other two by themselves.
                if ($Expected -cne 'Unknown' -and $Expected.Substring(0, 4) -cne $seen.Substring(0, 4)) { throw New-Refusal -Kind 'conflict' -Where $Name -Why "the $Kind is $seen, expected $Expected" }
                $acted = $true
                try { Invoke-IisMethod -Element $element -Method $(if ($State -eq 'Started') { 'Start' } else { 'Stop' }) }
                catch {
                    $code = ConvertTo-Unsigned -HResult $_.Exception.GetBaseException().HResult
                    # Gone from WAS for the moment, or stopped by somebody else: looked at again.
                    if ($code -eq 2147946712) { $acted = $false }
                    elseif ($code -ne 2147943462) { throw New-IisRefusal -Thrown $_.Exception -Phase 'state' -Where $Name }
                }
                continue
            }
            if ($watch.Elapsed.TotalSeconds -ge $TimeoutS) {
                throw New-Refusal -Kind 'timeout' -Where $Name -Why "the $Kind is $seen after $TimeoutS s, expected $State" -HResult $(if ($seen -eq 'Unknown') { 2147946712 })
            }
        }
        finally { $manager.Dispose() }
        [System.Threading.Thread]::Sleep(50)
    }
}

function Get-SslBinding {
    <#
    .SYNOPSIS
        Reads the certificate records of http.sys.
    .DESCRIPTION
        From the registry, where they can be read without parsing text or calling native code (facts/iis.md 4).
    .OUTPUTS
        @{ records = @(@{ endpoint; kind; thumbprint; store; app_id; flags }) }, by kind and endpoint
    .EXAMPLE
        Get-SslBinding
    #>
    [CmdletBinding()]
    param()
    $records = [System.Collections.ArrayList]::new()
    foreach ($kind in 'ccs', 'ip', 'sni') {
        $folder = [Microsoft.Win32.Registry]::LocalMachine.OpenSubKey('SYSTEM\CurrentControlSet\Services\HTTP\Parameters\' + $script:IisRecords[$kind])
        if ($null -eq $folder) { continue }
        $names = $folder.GetSubKeyNames()
        [System.Array]::Sort($names, [System.StringComparer]::Ordinal)
        foreach ($name in $names) {
            $key = $folder.OpenSubKey($name)
            if ($null -eq $key) { continue }
            $hash, $owner, $flags = $key.GetValue('SslCertHash'), $key.GetValue('AppId'), $key.GetValue('DefaultFlags')
            $null = $records.Add([ordered]@{
                    endpoint = $name; kind = $kind; thumbprint = $(if ($hash -is [byte[]]) { [System.BitConverter]::ToString($hash).Replace('-', '') } else { '' })
                    store = [string]$key.GetValue('SslCertStoreName'); app_id = $(if ($owner -is [byte[]] -and $owner.Length -eq 16) { [System.Guid]::new($owner).ToString('B') } else { '' })
                    flags = $(if ($flags -is [int]) { [long]$flags -band 4294967295 } else { 0 })
                })
            $key.Dispose()
        }
        $folder.Dispose()
    }
    @{ records = $records }
}

function Set-SslBinding {
    <#
    .SYNOPSIS
        Gives the binding of a site its certificate: makes or replaces the record of http.sys that answers for it.
    .DESCRIPTION
        By the method of the binding, which derives the flags of the record from those of the binding. A record is never removed first.
    .OUTPUTS
        @{ thumbprint = as read back }
    .EXAMPLE
        Set-SslBinding -Site 'My Site' -Protocol 'https' -Information '*:9999:' -Thumbprint $thumbprint -Expected 'absent'
    #>
    [CmdletBinding()]
    param(
        [Parameter(Mandatory = $true)] [string] $Site,
        [Parameter(Mandatory = $true)] [string] $Protocol,
        # bindingInformation of the binding: address:port:host.
        [Parameter(Mandatory = $true)] [string] $Information,
        [Parameter(Mandatory = $true)] [string] $Thumbprint,
        [string] $Store = 'My',
        # Thumbprint of the record as the caller read it, or 'absent'.
        [Parameter(Mandatory = $true)] [string] $Expected
    )
    if ($Thumbprint -notmatch '^[0-9A-Fa-f]{40}\z') { throw New-Refusal -Kind 'invalid' -Where 'thumbprint' -Why 'is not 40 hex digits' }
    $binding = @{ Site = $Site; Protocol = $Protocol; Information = $Information }
    $manager = New-IisManager
    try {
        $found = Find-IisBinding -Manager $manager @binding
        $flags = [long]$found.GetAttributeValue('sslFlags')
        # From the right: an IPv6 address holds colons.
        if ($Protocol -ne 'https' -or ($flags -band 2) -ne 0 -or $Information -notmatch '^(.*):([^:]*):([^:]*)\z') {
            throw New-Refusal -Kind 'invalid' -Where "$Site $Protocol $Information" -Why 'a binding of this kind has no certificate of its own'
        }
        $address, $port, $name = $Matches[1], $Matches[2], $Matches[3]
        $kind, $endpoint = if (($flags -band 1) -ne 0) { 'sni', "${name}:$port" } else { 'ip', "$(if ($address -eq '' -or $address -eq '*') { '0.0.0.0' } else { $address }):$port" }
        $record = $null
        foreach ($one in (Get-SslBinding).records) { if ($one['kind'] -eq $kind -and (Test-IisEndpoint -Kind $kind -One $one['endpoint'] -Other $endpoint)) { $record = $one } }
        $now = if ($null -eq $record) { 'absent' } else { $record['thumbprint'] }
        if ($now -ne $Expected) { throw New-Refusal -Kind 'conflict' -Where $endpoint -Why "the record's certificate is $now, expected $Expected" }
        if ($null -ne $record -and $record['app_id'] -ne '{4dc3e181-e14b-4a21-b022-59fc669b0914}') { throw New-Refusal -Kind 'denied' -Where $endpoint -Why "the record belongs to another application, $($record['app_id'])" }
        try { $known = (Get-Certificate -Thumbprint $Thumbprint -Store $Store).found }
        catch { if ('missing' -ne $_.Exception.Data['refusal']) { throw } else { $known = $false } }
        if (-not $known) { throw New-Refusal -Kind 'invalid' -Where $endpoint -Why "certificate $Thumbprint is not in the store $Store" -HResult 2147943712 }
        $method = 'AddSslCertificate'
        if ($null -ne $record) { foreach ($one in $found.get_Methods()) { if ($one.Name -eq 'RebindSslCertificate') { $method = $one.Name } } }
        try { Invoke-IisMethod -Element $found -Method $method -Inputs @{ certificateHash = $Thumbprint.ToUpperInvariant(); certificateStoreName = $Store } }
        catch { throw New-IisRefusal -Thrown $_.Exception -Phase 'ssl' -Where $endpoint }
    }
    finally { $manager.Dispose() }
    try {
        $manager = New-IisManager
        try { $now = [string](Find-IisBinding -Manager $manager @binding).GetAttributeValue('certificateHash') }
        finally { $manager.Dispose() }
    }
    catch { throw New-Refusal -Kind 'unknown' -Where $endpoint -Why 'written, but it could not be read back' -HResult $_.Exception.GetBaseException().HResult }
    if ($now -ne $Thumbprint) { throw New-Refusal -Kind 'unknown' -Where $endpoint -Why "set, then read back as $now" }
    @{ thumbprint = $now.ToUpperInvariant() }
}
