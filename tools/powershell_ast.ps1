using namespace System.Management.Automation.Language

<#
.SYNOPSIS
    Prints what PowerShell scripts use, as JSON: one object a file, in the order of the arguments.
.DESCRIPTION
    Reads with PowerShell's own parser; runs nothing of what it reads. Facts only: what exists on Windows PowerShell 5.1 and what is allowed is
    decided by check_powershell.py. This script itself is a tool and needs PowerShell 7.

    The type of a receiver is known where the text says it: a cast, a declared parameter, a constructor, and what members of known types give,
    by reflection of the PowerShell that runs this. It is the declared type: `asked` are those that the same function asks for with -is.
.EXAMPLE
    pwsh -NoProfile -File tools/powershell_ast.ps1 powershell/files.ps1 powershell/runtime.ps1
#>
[CmdletBinding()]
param([Parameter(Mandatory, ValueFromRemainingArguments)] [string[]] $Path)

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
$script:Variables = @{ ExecutionContext = [System.Management.Automation.EngineIntrinsics]; PSCmdlet = [System.Management.Automation.PSCmdlet]; PID = [int] }

# The nodes that may hold syntax of PowerShell 7.
$script:Newer = [System.Collections.Generic.HashSet[type]]::new([type[]]@(
        [TernaryExpressionAst], [PipelineChainAst], [BinaryExpressionAst], [AssignmentStatementAst], [MemberExpressionAst], [InvokeMemberExpressionAst]
        [IndexExpressionAst], [ScriptBlockAst], [PipelineAst], [ConstantExpressionAst]
    ))

function Get-Owner {
    # .SYNOPSIS
    #     The function that a node stands in, or the outermost node of the file.
    param([Ast] $Node)
    $owner = $null
    if ($script:Owners.TryGetValue($Node, [ref]$owner)) { $owner } else { $script:Root }
}

function Add-Index {
    # .SYNOPSIS
    #     Notes where each variable of a function, and each `script:` variable of the file, gets its values, and which types a function asks for.
    param([Ast[]] $Nodes)
    $script:Owners = [System.Collections.Generic.Dictionary[Ast, Ast]]::new()
    $script:Given, $script:Asked, $script:Splats, $script:Known = @{}, @{}, @{}, @{}
    $script:Root = $Nodes[0]
    foreach ($node in $Nodes) {
        if ($null -eq $node.Parent) { continue }
        # Outer nodes come first, so that the parent's is known.
        $owner = if ($node.Parent -is [FunctionDefinitionAst]) { $node.Parent } elseif ($script:Owners.ContainsKey($node.Parent)) { $script:Owners[$node.Parent] } else { $script:Root }
        $script:Owners[$node] = $owner
        if ($node -is [AssignmentStatementAst]) {
            $left = $node.Left
            if ($left -is [ArrayLiteralAst]) { foreach ($one in $left.Elements) { Add-Given -Owner $owner -Variable $one -Node $node } }
            elseif ($left -is [IndexExpressionAst]) { Add-Given -Owner $owner -Variable $left.Target -Node $node -Into $script:Splats }
            elseif ($left -is [MemberExpressionAst]) { Add-Given -Owner $owner -Variable $left.Expression -Node $node -Into $script:Splats }
            else {
                while ($left -is [AttributedExpressionAst]) { $left = $left.Child }
                Add-Given -Owner $owner -Variable $left -Node $node
                Add-Given -Owner $owner -Variable $left -Node $node -Into $script:Splats
            }
        }
        elseif ($node -is [ForEachStatementAst]) { Add-Given -Owner $owner -Variable $node.Variable -Node $node }
        elseif ($node -is [ParameterAst]) { Add-Given -Owner $owner -Variable $node.Name -Node $node }
        elseif ($node -is [BinaryExpressionAst] -and $node.Operator -in [TokenKind]::Is, [TokenKind]::IsNot -and $node.Right -is [TypeExpressionAst]) {
            $key = Get-Key -Owner $owner -Name ''
            if (-not $script:Asked.ContainsKey($key)) { $script:Asked[$key] = [System.Collections.ArrayList]::new() }
            $null = $script:Asked[$key].Add((ConvertTo-TypeName -Name $node.Right.TypeName))
        }
    }
}

function Get-Key {
    # .SYNOPSIS
    #     What a variable is noted under: function and name, or the name alone where it says its scope.
    param([Ast] $Owner, [string] $Name)
    if ($Name.Contains(':')) { return $Name.ToLowerInvariant() }
    '{0} {1}' -f $Owner.Extent.StartOffset, $Name.ToLowerInvariant()
}

function Add-Given {
    # .SYNOPSIS
    #     Notes one node that gives a variable a value.
    param([Ast] $Owner, [Ast] $Variable, [Ast] $Node, [hashtable] $Into = $script:Given)
    if ($Variable -isnot [VariableExpressionAst]) { return }
    $key = Get-Key -Owner $Owner -Name $Variable.VariablePath.UserPath
    if (-not $Into.ContainsKey($key)) { $Into[$key] = [System.Collections.ArrayList]::new() }
    $null = $Into[$key].Add($Node)
}

function ConvertTo-TypeName {
    # .SYNOPSIS
    #     A type's name as it is written, generic ones with their number of arguments: List`1.
    param([ITypeName] $Name)
    if ($Name -is [ArrayTypeName]) { return "$(ConvertTo-TypeName -Name $Name.ElementType)[]" }
    if ($Name -is [GenericTypeName]) {
        $text = $Name.TypeName.Name
        if ($text.Contains('`')) { return $text }
        return '{0}`{1}' -f $text, $Name.GenericArguments.Count
    }
    $Name.Name
}

function Get-TypeNamePart {
    # .SYNOPSIS
    #     A type's name and those of its generic arguments.
    param([ITypeName] $Name)
    ConvertTo-TypeName -Name $Name
    $inner = $Name
    while ($inner -is [ArrayTypeName]) { $inner = $inner.ElementType }
    if ($inner -is [GenericTypeName]) { foreach ($one in $inner.GenericArguments) { Get-TypeNamePart -Name $one } }
}

function ConvertTo-TypeText {
    # .SYNOPSIS
    #     The full name of a type that is known by reflection; $null where it has none.
    param([type] $Type)
    if ($Type.IsArray) { return "$(ConvertTo-TypeText -Type $Type.GetElementType())[]" }
    if ($Type.IsGenericType) { return $Type.GetGenericTypeDefinition().FullName }
    $Type.FullName
}

function Get-Constant {
    # .SYNOPSIS
    #     The text of a constant, in parentheses or not; $null where it is none.
    param([Ast] $Node)
    $at = $Node
    if ($at -is [ParenExpressionAst] -and $at.Pipeline -is [PipelineAst] -and $at.Pipeline.PipelineElements.Count -eq 1 -and $at.Pipeline.PipelineElements[0] -is [CommandExpressionAst]) {
        $at = $at.Pipeline.PipelineElements[0].Expression
    }
    if ($at -is [StringConstantExpressionAst] -or $at -is [ConstantExpressionAst]) { return [string]$at.Extent.Text.Trim("'", '"') }
}

function Get-Expression {
    # .SYNOPSIS
    #     The one expression or command that a statement or a pair of parentheses holds; $null where it holds more.
    param([Ast] $Node)
    $at = $Node
    while ($true) {
        if ($at -is [ParenExpressionAst]) { $at = $at.Pipeline }
        elseif ($at -is [PipelineAst] -and $at.PipelineElements.Count -eq 1) { $at = $at.PipelineElements[0] }
        elseif ($at -is [CommandExpressionAst]) { $at = $at.Expression }
        elseif ($at -is [PipelineAst]) { return $null }
        else { return $at }
    }
}

function Get-NewObject {
    # .SYNOPSIS
    #     What a call of New-Object makes: type (the node that names it), count of arguments, or -1 where the text does not tell.
    param([CommandAst] $Command)
    $bound, $free, $name = @{}, [System.Collections.ArrayList]::new(), ''
    foreach ($one in $Command.CommandElements | Select-Object -Skip 1) {
        if ($one -is [CommandParameterAst]) {
            $name = $one.ParameterName
            if ($null -ne $one.Argument) { $bound[$name] = $one.Argument; $name = '' }
        }
        elseif ($name -ne '') { $bound[$name] = $one; $name = '' }
        else { $null = $free.Add($one) }
    }
    foreach ($known in 'TypeName', 'ArgumentList') {
        if (-not $bound.ContainsKey($known) -and $free.Count -gt 0) { $bound[$known] = $free[0]; $free.RemoveAt(0) }
    }
    $count = 0
    if ($bound.ContainsKey('ArgumentList')) {
        $given = Get-Expression -Node $bound['ArgumentList']
        $count = if ($given -is [ArrayLiteralAst]) { $given.Elements.Count }
        elseif ($given -is [VariableExpressionAst] -and $given.Splatted) { -1 }
        elseif ($null -eq $given -or $given -is [ArrayExpressionAst]) { -1 }
        else {
            $type = Get-KnownType -Node $given
            if ($null -ne $type -and $type.IsArray) { -1 } else { 1 }
        }
    }
    @{ type = $bound['TypeName']; count = $count }
}

function Get-MemberType {
    # .SYNOPSIS
    #     What a member of a type gives by its declaration: $null where overloads of that many arguments differ.
    param([type] $Type, [string] $Member, [int] $Count, [switch] $Method, [switch] $Static)
    $flags = [System.Reflection.BindingFlags]"Public, IgnoreCase, FlattenHierarchy, $($Static ? 'Static' : 'Instance')"
    $found = [System.Collections.Generic.HashSet[type]]::new()
    foreach ($one in @($Type) + $(if ($Type.IsInterface) { $Type.GetInterfaces() })) {
        foreach ($known in $one.GetMember($Member, $flags)) {
            if ($Method -and $known -is [System.Reflection.MethodInfo]) { if ($known.GetParameters().Count -eq $Count) { $null = $found.Add($known.ReturnType) } }
            elseif (-not $Method -and $known -is [System.Reflection.PropertyInfo]) { $null = $found.Add($known.PropertyType) }
            elseif (-not $Method -and $known -is [System.Reflection.FieldInfo]) { $null = $found.Add($known.FieldType) }
        }
    }
    if ($found.Count -eq 1) { foreach ($one in $found) { Limit-Type -Type $one } }
}

function Limit-Type {
    # .SYNOPSIS
    #     A type that says something: $null for object, void, and parameters of generic types.
    param([type] $Type)
    if ($null -eq $Type -or $Type -in [object], [void], [psobject] -or $Type.ContainsGenericParameters -or $Type.IsByRef) { return }
    $Type
}

function Get-ElementType {
    # .SYNOPSIS
    #     The type of what a loop over a type gives, where it is declared: arrays, generic enumerables, typed indexers.
    param([type] $Type)
    if ($null -eq $Type -or $Type -eq [string]) { return }
    if ($Type.IsArray) { return Limit-Type -Type $Type.GetElementType() }
    if ([System.Collections.IDictionary].IsAssignableFrom($Type)) { return }
    foreach ($one in @($Type) + $Type.GetInterfaces()) {
        if ($one.IsGenericType -and $one.GetGenericTypeDefinition() -eq [System.Collections.Generic.IEnumerable`1]) { return Limit-Type -Type $one.GetGenericArguments()[0] }
    }
    Get-IndexType -Type $Type -Index ([int])
}

function Get-IndexType {
    # .SYNOPSIS
    #     What an indexer with one argument gives.
    param([type] $Type, [type] $Index)
    if ($Type.IsArray) { return Limit-Type -Type $Type.GetElementType() }
    if ($Type -eq [string]) { return [char] }
    if ([System.Collections.IDictionary].IsAssignableFrom($Type)) { return }
    $found = @($Type.GetProperties() | Where-Object { $_.GetIndexParameters().Count -eq 1 } | ForEach-Object { $_.PropertyType } | Select-Object -Unique)
    if ($found.Count -eq 1) { Limit-Type -Type $found[0] }
}

function Get-VariableType {
    # .SYNOPSIS
    #     The type of a variable: declared in the same function, or the same for all that is assigned to it there.
    param([VariableExpressionAst] $Variable)
    $path = $Variable.VariablePath.UserPath
    if ($path -eq '_') {
        for ($at = $Variable.Parent; $null -ne $at; $at = $at.Parent) {
            if ($at -is [ScriptBlockExpressionAst] -or $at -is [SwitchStatementAst]) { return }
            if ($at -is [CatchClauseAst]) { return [System.Management.Automation.ErrorRecord] }
        }
        return
    }
    if ($script:Variables.ContainsKey($path)) { return $script:Variables[$path] }
    $key = Get-Key -Owner (Get-Owner -Node $Variable) -Name $path
    if ($script:Known.ContainsKey($key)) { return $script:Known[$key] }
    # Stands while this is looked for: a variable that is made of itself has no type of its own.
    $script:Known[$key] = $null
    $declared, $given, $sure = $null, [System.Collections.Generic.HashSet[type]]::new(), $true
    foreach ($node in $script:Given[$key]) {
        if ($node -is [ParameterAst]) { $declared = $node.StaticType; continue }
        if ($node -is [ForEachStatementAst]) {
            $source = Get-Expression -Node $node.Condition
            $type = if ($null -eq $source) { $null } else { Get-ElementType -Type (Get-KnownType -Node $source) }
        }
        else {
            $left, $cast = $node.Left, $null
            while ($left -is [AttributedExpressionAst]) { if ($left -is [ConvertExpressionAst]) { $cast = $left.StaticType }; $left = $left.Child }
            if ($null -ne $cast) { $declared = $cast; continue }
            if ($left -is [ArrayLiteralAst] -or $node.Operator -ne [TokenKind]::Equals) { $sure = $false; continue }
            $right = Get-Expression -Node $node.Right
            if ($right -is [VariableExpressionAst] -and $right.VariablePath.UserPath -eq 'null') { continue }
            $type = if ($null -eq $right) { $null } else { Get-KnownType -Node $right }
        }
        if ($null -eq $type) { $sure = $false } else { $null = $given.Add($type) }
    }
    $found = if ($null -ne $declared) { Limit-Type -Type $declared } elseif ($sure -and $given.Count -eq 1) { foreach ($one in $given) { $one } }
    $script:Known[$key] = $found
    $found
}

function Get-KnownType {
    # .SYNOPSIS
    #     The type of an expression where the text tells it, else $null.
    param([Ast] $Node)
    if ($Node -is [VariableExpressionAst]) { return Get-VariableType -Variable $Node }
    if ($Node -is [ParenExpressionAst] -or $Node -is [PipelineAst] -or $Node -is [CommandExpressionAst]) {
        $inner = Get-Expression -Node $Node
        if ($null -eq $inner) { return }
        return Get-KnownType -Node $inner
    }
    if ($Node -is [InvokeMemberExpressionAst] -or $Node -is [MemberExpressionAst]) {
        if ($Node.Member -isnot [StringConstantExpressionAst]) { return }
        $method = $Node -is [InvokeMemberExpressionAst]
        $count = $(if ($method -and $null -ne $Node.Arguments) { $Node.Arguments.Count } else { 0 })
        if ($Node.Static) {
            if ($Node.Expression -isnot [TypeExpressionAst]) { return }
            $type = $Node.Expression.TypeName.GetReflectionType()
            if ($null -eq $type) { return }
            if ($method -and $Node.Member.Value -eq 'new') { return Limit-Type -Type $type }
            return Get-MemberType -Type $type -Member $Node.Member.Value -Count $count -Method:$method -Static
        }
        $type = Get-KnownType -Node $Node.Expression
        if ($null -eq $type -or (-not $method -and [System.Collections.IDictionary].IsAssignableFrom($type))) { return }
        return Get-MemberType -Type $type -Member $Node.Member.Value -Count $count -Method:$method
    }
    if ($Node -is [IndexExpressionAst]) {
        $type = Get-KnownType -Node $Node.Target
        # Several indexes give a list of things.
        if ($null -eq $type -or $Node.Index -is [ArrayLiteralAst] -or $Node.Index.StaticType -eq [object[]] -or ($Node.Index -is [BinaryExpressionAst] -and $Node.Index.Operator -eq [TokenKind]::DotDot)) { return }
        return Get-IndexType -Type $type -Index $Node.Index.StaticType
    }
    if ($Node -is [CommandAst] -and $Node.GetCommandName() -eq 'New-Object') {
        $made = Get-NewObject -Command $Node
        $name = if ($null -ne $made.type) { Get-Constant -Node $made.type }
        if ($name) { return Limit-Type -Type ($name -as [type]) }
        return
    }
    if ($Node -is [ConvertExpressionAst] -or $Node -is [ConstantExpressionAst] -or $Node -is [ExpandableStringExpressionAst] -or $Node -is [HashtableAst] -or $Node -is [ScriptBlockExpressionAst] -or $Node -is [ArrayExpressionAst] -or $Node -is [TypeExpressionAst]) {
        return Limit-Type -Type $Node.StaticType
    }
}

function Get-Splat {
    # .SYNOPSIS
    #     The keys of the hashtable literals that a splatted variable is assigned in the same function; keys $null where anything else is.
    param([VariableExpressionAst] $Variable)
    $path = $Variable.VariablePath.UserPath
    $keys, $assigned, $sure = [System.Collections.ArrayList]::new(), $false, $true
    foreach ($node in $script:Splats[(Get-Key -Owner (Get-Owner -Node $Variable) -Name $path)]) {
        $left = $node.Left
        if ($left -is [IndexExpressionAst] -or $left -is [MemberExpressionAst]) {
            $key = $left -is [IndexExpressionAst] ? $left.Index : $left.Member
            if ($key -is [StringConstantExpressionAst]) { $null = $keys.Add($key.Value) } else { $sure = $false }
            continue
        }
        $right = Get-Expression -Node $node.Right
        if ($right -isnot [HashtableAst] -or $node.Operator -ne [TokenKind]::Equals) { $sure = $false; continue }
        $assigned = $true
        foreach ($pair in $right.KeyValuePairs) {
            if ($pair.Item1 -is [StringConstantExpressionAst]) { $null = $keys.Add($pair.Item1.Value) } else { $sure = $false }
        }
    }
    @{ name = $path; keys = $(if ($assigned -and $sure) { , $keys.ToArray() }) }
}

function Get-Syntax {
    # .SYNOPSIS
    #     What in a node is syntax that Windows PowerShell 5.1 does not have; '' for all others.
    param([Ast] $Node)
    if ($Node -is [TernaryExpressionAst]) { return 'ternary operator' }
    if ($Node -is [PipelineChainAst]) { return 'pipeline chain (&& ||)' }
    if ($Node -is [BinaryExpressionAst] -and $Node.Operator -eq [TokenKind]::QuestionQuestion) { return 'null-coalescing operator ??' }
    if ($Node -is [AssignmentStatementAst] -and $Node.Operator -eq [TokenKind]::QuestionQuestionEquals) { return 'null-coalescing assignment ??=' }
    if ($Node -is [MemberExpressionAst] -and $Node.NullConditional) { return 'null-conditional member ?.' }
    if ($Node -is [IndexExpressionAst] -and $Node.NullConditional) { return 'null-conditional index ?[]' }
    if ($Node -is [InvokeMemberExpressionAst] -and $null -ne $Node.GenericTypeArguments -and $Node.GenericTypeArguments.Count -gt 0) { return 'generic arguments of a method' }
    if ($Node -is [ScriptBlockAst] -and $null -ne $Node.CleanBlock) { return 'clean block' }
    if ($Node -is [PipelineAst] -and $Node.Background) { return 'background operator &' }
    if ($Node -is [BinaryExpressionAst] -and $Node.Operator -eq [TokenKind]::DotDot -and ($Node.Left -is [StringConstantExpressionAst] -or $Node.Right -is [StringConstantExpressionAst])) { return 'range of characters' }
    # 5.1 knows the suffixes d, l, kb ... pb, and hexadecimal numbers.
    if ($Node -is [ConstantExpressionAst] -and $Node -isnot [StringConstantExpressionAst] -and $Node.Extent.Text -match '^[+-]?(0b|(0x[0-9a-f]+|[0-9.]+(e[+-]?[0-9]+)?)(u|n|y|s|ul|us|uy)(kb|mb|gb|tb|pb)?$)') { return 'number with a prefix or suffix of PowerShell 7' }
    ''
}

function Get-FileUse {
    # .SYNOPSIS
    #     Everything that one file uses, in lists by kind; each entry has its line and the function that it stands in.
    param([string] $File)
    $tokens, $errors = $null, $null
    $ast = [Parser]::ParseFile((Resolve-Path -LiteralPath $File).ProviderPath, [ref]$tokens, [ref]$errors)
    $use = [ordered]@{ file = $File; errors = @(foreach ($one in $errors) { @{ line = $one.Extent.StartLineNumber; text = $one.Message } }) }
    foreach ($kind in 'functions', 'commands', 'types', 'statics', 'constructors', 'members', 'casts', 'attributes', 'syntax', 'strings', 'variables', 'assignments') { $use[$kind] = [System.Collections.ArrayList]::new() }
    $code = [System.Collections.Generic.HashSet[int]]::new()
    $before = $null
    foreach ($token in $tokens) {
        $line = $token.Extent.StartLineNumber
        if ($token.Kind -eq [TokenKind]::Pipe -and $null -ne $before -and $before.Kind -eq [TokenKind]::NewLine) { $null = $use.syntax.Add(@{ line = $line; owner = ''; what = 'a line that begins with |' }) }
        if ($token -is [StringExpandableToken] -and $token.Text -cmatch '(?<!`)(``)*`(e|u\{)') { $null = $use.syntax.Add(@{ line = $line; owner = ''; what = 'escape `e or `u{}' }) }
        if ($token.Kind -notin [TokenKind]::Comment, [TokenKind]::EndOfInput) { $before = $token }
        if ($token.Kind -in [TokenKind]::NewLine, [TokenKind]::Comment, [TokenKind]::EndOfInput, [TokenKind]::LineContinuation) { continue }
        foreach ($number in $line..$token.Extent.EndLineNumber) { $null = $code.Add($number) }
    }
    $use['code'] = $code.Count
    # Without it the whole file is read again for each function.
    $cache = [System.Collections.Generic.Dictionary[Ast, Token[]]]::new()
    $seen = [System.Collections.Generic.HashSet[string]]::new()
    $nodes = @($ast.FindAll({ $true }, $true))
    Add-Index -Nodes $nodes
    foreach ($node in $nodes) {
        # Most nodes are these; the first use of a variable tells enough.
        if ($node -is [VariableExpressionAst]) {
            if ($seen.Add($node.VariablePath.UserPath)) { $null = $use.variables.Add(@{ line = $node.Extent.StartLineNumber; owner = ''; name = $node.VariablePath.UserPath }) }
            continue
        }
        if ($node -is [StringConstantExpressionAst] -or $node -is [ExpandableStringExpressionAst]) {
            if ($seen.Add("'$($node.Value)")) { $null = $use.strings.Add(@{ line = $node.Extent.StartLineNumber; owner = ''; text = $node.Value }) }
            continue
        }
        if ($node -is [CommandExpressionAst] -or $node -is [NamedBlockAst] -or $node -is [StatementBlockAst]) { continue }
        $owner = if ($script:Owners.ContainsKey($node)) { $script:Owners[$node] } else { $script:Root }
        $at = @{ line = $node.Extent.StartLineNumber; owner = $($owner -is [FunctionDefinitionAst] ? $owner.Name : '') }
        if ($script:Newer.Contains($node.GetType())) {
            $syntax = Get-Syntax -Node $node
            if ($syntax -eq 'clean block') { $at.line = $node.CleanBlock.Extent.StartLineNumber }
            if ($syntax -ne '') { $null = $use.syntax.Add($at + @{ what = $syntax }) }
            if ($node -isnot [AssignmentStatementAst] -and $node -isnot [MemberExpressionAst]) { continue }
        }
        if ($node -is [FunctionDefinitionAst]) {
            $help = $node.GetHelpContent($cache)
            $parameters = @($node.Parameters) + @(if ($null -ne $node.Body.ParamBlock) { $node.Body.ParamBlock.Parameters }) | Where-Object { $null -ne $_ }
            $advanced = $node.Body.Find({ $args[0] -is [AttributeAst] -and $args[0].TypeName.Name -match '^(CmdletBinding|Parameter)$' }, $false)
            $null = $use.functions.Add($at + @{
                    name = $node.Name; advanced = ($null -ne $advanced); parameters = @($parameters | ForEach-Object { $_.Name.VariablePath.UserPath })
                    help = @(if ($null -ne $help) { foreach ($part in 'Synopsis', 'Description', 'Outputs', 'Examples') { if ("$($help.$part)".Trim() -ne '') { $part.ToUpperInvariant() } } })
                })
        }
        elseif ($node -is [CommandAst]) {
            $name = $node.GetCommandName()
            $elements = $node.CommandElements
            $known = if ($null -eq $name) { Get-KnownType -Node $elements[0] }
            $arguments = [ordered]@{}
            for ($index = 1; $index -lt $elements.Count; $index++) {
                if ($elements[$index] -isnot [CommandParameterAst]) { continue }
                $given = if ($null -ne $elements[$index].Argument) { $elements[$index].Argument } elseif ($index + 1 -lt $elements.Count) { $elements[$index + 1] }
                $arguments[$elements[$index].ParameterName] = if ($null -ne $given) { Get-Constant -Node $given }
            }
            $null = $use.commands.Add($at + @{
                    name = $name; text = $node.Extent.Text.Split("`n")[0]; block = ($known -eq [scriptblock]); parameters = @($elements | Where-Object { $_ -is [CommandParameterAst] } | ForEach-Object { $_.ParameterName })
                    arguments = $arguments; splats = @($elements | Where-Object { $_ -is [VariableExpressionAst] -and $_.Splatted } | ForEach-Object { Get-Splat -Variable $_ })
                })
            if ($name -eq 'New-Object') {
                $made = Get-NewObject -Command $node
                $null = $use.constructors.Add($at + @{ type = $(if ($null -ne $made.type) { Get-Constant -Node $made.type }); count = $made.count; text = $node.Extent.Text.Split("`n")[0] })
            }
        }
        elseif ($node -is [TypeExpressionAst] -or $node -is [TypeConstraintAst]) {
            foreach ($name in Get-TypeNamePart -Name $node.TypeName) { $null = $use.types.Add($at + @{ type = $name }) }
            if ($node.Parent -is [ConvertExpressionAst]) { $value = Get-Constant -Node $node.Parent.Child } elseif ($node.Parent -is [ParameterAst] -and $null -ne $node.Parent.DefaultValue) { $value = Get-Constant -Node $node.Parent.DefaultValue } else { $value = $null }
            if ($null -ne $value) { $null = $use.casts.Add($at + @{ type = (ConvertTo-TypeName -Name $node.TypeName); value = $value }) }
        }
        elseif ($node -is [AttributeAst]) {
            $null = $use.attributes.Add($at + @{ type = (ConvertTo-TypeName -Name $node.TypeName); count = $node.PositionalArguments.Count; named = @($node.NamedArguments | ForEach-Object { $_.ArgumentName }) })
        }
        elseif ($node -is [MemberExpressionAst]) {
            $method = $node -is [InvokeMemberExpressionAst]
            $count = $(if ($method -and $null -ne $node.Arguments) { $node.Arguments.Count } else { 0 })
            $member = if ($node.Member -is [StringConstantExpressionAst]) { $node.Member.Value }
            # Of a chain over several lines each member stands on its own.
            $at.line = $node.Member.Extent.StartLineNumber
            if ($node.Static -and $node.Expression -is [TypeExpressionAst]) {
                $type = ConvertTo-TypeName -Name $node.Expression.TypeName
                if ($method -and $member -eq 'new') { $null = $use.constructors.Add($at + @{ type = $type; count = $count; text = $node.Extent.Text.Split("`n")[0] }) }
                else { $null = $use.statics.Add($at + @{ type = $type; member = $member; method = $method; count = $count; text = $node.Extent.Text.Split("`n")[0] }) }
            }
            else {
                $type = Get-KnownType -Node $node.Expression
                $dictionary = $null -ne $type -and [System.Collections.IDictionary].IsAssignableFrom($type)
                $null = $use.members.Add($at + @{
                        member = $member; method = $method; count = $count; text = $node.Extent.Text.Split("`n")[0]
                        type = $(if ($null -ne $type) { ConvertTo-TypeText -Type $type }); dictionary = $dictionary
                        also = @(if ($null -ne $type -and $type.IsInterface) { $type.GetInterfaces() | ForEach-Object { ConvertTo-TypeText -Type $_ } }) + @($script:Asked[(Get-Key -Owner $owner -Name '')] | Where-Object { $null -ne $_ })
                    })
            }
        }
        elseif ($node -is [AssignmentStatementAst] -and $node.Left -is [VariableExpressionAst]) {
            $null = $use.assignments.Add($at + @{ name = $node.Left.VariablePath.UserPath; value = $(Get-Constant -Node (Get-Expression -Node $node.Right)) })
        }
    }
    $use
}

$all = foreach ($file in $Path) { Get-FileUse -File $file }
[System.Console]::Out.WriteLine((ConvertTo-Json -InputObject @($all) -Depth 8 -Compress))
