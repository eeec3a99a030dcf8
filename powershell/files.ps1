# Files and folders of the host: bytes and their SHA-256, written in one step and only where they still are what the caller read.
# What a file means, and what should be in it, is the controller's business. Contract: docs/verbs.md, files; New-Refusal is in runtime.ps1.
# Replace: File.Replace keeps ACL, attributes and creation time of the target; File.Move refuses an existing one on both .NETs (facts/winrm.md 6).

$script:Uploads = @{}
$script:LargestBlob = 4194304
# What no Windows file name holds; a second colon would name a stream of the file.
$script:NotInPath = [System.Text.RegularExpressions.Regex]::new('[<>"|?*\x00-\x1f]|:.*:', 'CultureInvariant, Singleline')
$script:FullPath = [System.Text.RegularExpressions.Regex]::new('^([A-Za-z]:\\|\\\\[^\\.?][^\\]*\\[^\\]+)', 'CultureInvariant')

function Resolve-FullPath {
    # .SYNOPSIS
    #     Gives the full form of a Windows path, or refuses it.
    # .DESCRIPTION
    #     A relative path would mean whatever folder the shell stands in, a device path is no file. Both slashes are accepted, `..` is resolved.
    # .OUTPUTS
    #     The path as text.
    # .EXAMPLE
    #     Resolve-FullPath -Path 'c:/inetpub/../x'
    param([string] $Path)
    $given = $Path.Replace('/', '\')
    if (-not $script:FullPath.IsMatch($given) -or $script:NotInPath.IsMatch($given)) {
        throw New-Refusal -Kind 'invalid' -Where $Path -Why 'not a full path such as C:\folder\file or \\server\share\file'
    }
    $full = [System.IO.Path]::GetFullPath($given)
    # C:\x\NUL becomes \\.\NUL on older Windows.
    if (-not $script:FullPath.IsMatch($full)) { throw New-Refusal -Kind 'invalid' -Where $Path -Why 'this path names a device' }
    if ($full -ceq [System.IO.Path]::GetPathRoot($full)) { return $full }
    $full.TrimEnd('\')
}

function Get-PathKind {
    # .SYNOPSIS
    #     Tells what stands at a path. File.Exists would say "no" where it is not allowed to look.
    # .OUTPUTS
    #     file, folder or absent
    param([string] $Path)
    try { $attributes = [System.IO.File]::GetAttributes($Path) }
    catch {
        $root = $_.Exception.GetBaseException()
        if ($root -is [System.IO.FileNotFoundException] -or $root -is [System.IO.DirectoryNotFoundException]) { return 'absent' }
        throw
    }
    if ($attributes -band [System.IO.FileAttributes]::Directory) { 'folder' } else { 'file' }
}

function Open-File {
    # .SYNOPSIS
    #     Opens a file for reading and says in which way others may use it meanwhile.
    param([string] $Path, [System.IO.FileShare] $Share = 'ReadWrite, Delete')
    [System.IO.FileStream]::new($Path, [System.IO.FileMode]::Open, [System.IO.FileAccess]::Read, $Share, 65536)
}

function ConvertTo-Hex {
    # .SYNOPSIS
    #     Gives bytes as lower-case hex.
    param([byte[]] $Bytes)
    [System.BitConverter]::ToString($Bytes).Replace('-', '').ToLowerInvariant()
}

function Get-ContentHash {
    # .SYNOPSIS
    #     SHA-256 of a file (lower-case hex), or `absent`; a folder is refused.
    # .DESCRIPTION
    #     A file that another process writes to is `locked` unless the caller shares more: its hash would be of nothing that ever was.
    # .EXAMPLE
    #     Get-ContentHash -Path 'C:\x.xml' -Named 'c:/x.xml'
    param(
        [string] $Path,
        # What an error calls the file: the name that the caller gave.
        [string] $Named,
        [System.IO.FileShare] $Share = 'Read, Delete'
    )
    $kind = Get-PathKind -Path $Path
    if ($kind -ceq 'absent') { return $kind }
    if ($kind -ceq 'folder') { throw New-Refusal -Kind 'invalid' -Where $Named -Why 'a folder stands there, not a file' }
    $sha = [System.Security.Cryptography.SHA256CryptoServiceProvider]::new()
    try {
        $stream = Open-File -Path $Path -Share $Share
        try { ConvertTo-Hex -Bytes $sha.ComputeHash($stream) } finally { $stream.Dispose() }
    }
    catch { $_.Exception.Data['where'] = $Named; throw }
    finally { $sha.Dispose() }
}

function ConvertTo-UtcText {
    # .SYNOPSIS
    #     Gives a time in UTC with 100 ns: 2026-11-25T08:00:00.1234567Z.
    param([System.DateTime] $Time)
    $Time.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss.fffffff'Z'", $script:Invariant)
}

function Read-File {
    <#
    .SYNOPSIS
        Reads one file or a part of it, with its SHA-256; says also what stands there when it is not a file.
    .DESCRIPTION
        Length, hash and bytes come from one open file. Others may have it open as long as they share it.
    .OUTPUTS
        @{ path; kind = file, folder or absent; length; sha256; last_write_utc; read_only }, and the bytes beside it
    .EXAMPLE
        Read-File -Path 'C:\x.xml' -Count 0
    #>
    [CmdletBinding()]
    param(
        # Full path.
        [Parameter(Mandatory = $true)] [AllowEmptyString()] [string] $Path,
        # First byte that is answered; past 0 no hash is.
        [long] $Offset = 0,
        # How many bytes; -1 is the rest.
        [long] $Count = -1
    )
    $full = Resolve-FullPath -Path $Path
    if ($Offset -lt 0) { throw New-Refusal -Kind 'invalid' -Where $Path -Why "offset is $Offset, expected 0 or more" }
    if ($Count -lt -1) { throw New-Refusal -Kind 'invalid' -Where $Path -Why "count is $Count, expected -1 or more" }
    $answer = [ordered]@{ path = $full; kind = (Get-PathKind -Path $full); length = $null; sha256 = $null; last_write_utc = $null; read_only = $false }
    if ($answer.kind -ceq 'absent') { return $answer }
    if ($answer.kind -ceq 'folder') {
        $answer.last_write_utc = ConvertTo-UtcText -Time ([System.IO.Directory]::GetLastWriteTimeUtc($full))
        return $answer
    }
    $stream = Open-File -Path $full
    try {
        $answer.length = $stream.Length
        $answer.last_write_utc = ConvertTo-UtcText -Time ([System.IO.File]::GetLastWriteTimeUtc($full))
        $answer.read_only = [bool]([System.IO.File]::GetAttributes($full) -band [System.IO.FileAttributes]::ReadOnly)
        $rest = [System.Math]::Max([long]0, $stream.Length - $Offset)
        $size = if ($Count -lt 0) { $rest } else { [System.Math]::Min($Count, $rest) }
        if ($size -gt $script:LargestBlob) { throw New-Refusal -Kind 'invalid' -Where $Path -Why "$size bytes do not fit one answer of $($script:LargestBlob), ask for parts" }
        $bytes = [byte[]]::new($size)
        $null = $stream.Seek($Offset, [System.IO.SeekOrigin]::Begin)
        $read = 0
        while ($read -lt $size) {
            $got = $stream.Read($bytes, $read, $size - $read)
            if ($got -eq 0) { throw New-Refusal -Kind 'conflict' -Where $Path -Why 'it became shorter while it was read' }
            $read += $got
        }
        if ($Offset -eq 0) {
            $sha = [System.Security.Cryptography.SHA256CryptoServiceProvider]::new()
            try {
                if ($size -eq $answer.length) { $answer.sha256 = ConvertTo-Hex -Bytes $sha.ComputeHash($bytes) }
                else {
                    $null = $stream.Seek(0, [System.IO.SeekOrigin]::Begin)
                    $answer.sha256 = ConvertTo-Hex -Bytes $sha.ComputeHash($stream)
                }
            }
            finally { $sha.Dispose() }
        }
    }
    finally { $stream.Dispose() }
    $script:Blob = $bytes
    $answer
}

function Open-Upload {
    # .SYNOPSIS
    #     Makes the file beside a target that becomes it later. Where there is a file whose rights it must have, it gets them while it is still empty.
    # .OUTPUTS
    #     @{ path; beside; stream; sha; held = the open target, from the comparison to the swap }
    param([string] $Path, [string] $Name, [string] $RightsOf = '')
    $beside = '{0}.{1}.new' -f $Path, $Name
    # WriteThrough and Flush($true): the bytes are on the disk before the swap.
    $new = [ordered]@{ path = $Path; beside = $beside; stream = $null; held = $null; sha = [System.Security.Cryptography.SHA256CryptoServiceProvider]::new() }
    $new.stream = [System.IO.FileStream]::new($beside, [System.IO.FileMode]::CreateNew, [System.IO.FileAccess]::Write, [System.IO.FileShare]::None, 65536, [System.IO.FileOptions]::WriteThrough)
    if ($RightsOf -cne '') {
        try {
            # The folder's rights may be wider than the file's, and what is written may be secret. Closed meanwhile: Set-Acl opens it itself.
            $new.stream.Dispose()
            Set-Acl -LiteralPath $beside -AclObject (Get-Acl -LiteralPath $RightsOf)
            $new.stream = [System.IO.FileStream]::new($beside, [System.IO.FileMode]::Open, [System.IO.FileAccess]::Write, [System.IO.FileShare]::None, 65536, [System.IO.FileOptions]::WriteThrough)
        }
        catch {
            Close-Upload -Upload $new
            throw
        }
    }
    $new
}

function Add-Block {
    # .SYNOPSIS
    #     Appends bytes to an upload.
    param([System.Collections.IDictionary] $Upload, [byte[]] $Bytes)
    $Upload.stream.Write($Bytes, 0, $Bytes.Length)
    $null = $Upload.sha.TransformBlock($Bytes, 0, $Bytes.Length, $null, 0)
}

function Complete-Upload {
    # .SYNOPSIS
    #     Flushes an upload and gives the SHA-256 of what was written.
    param([System.Collections.IDictionary] $Upload)
    $Upload.stream.Flush($true)
    $Upload.stream.Dispose()
    $null = $Upload.sha.TransformFinalBlock([byte[]]::new(0), 0, 0)
    ConvertTo-Hex -Bytes $Upload.sha.Hash
}

function Close-Upload {
    # .SYNOPSIS
    #     Ends an upload and removes what it left beside the target. After a swap nothing is left, and nothing happens.
    param([System.Collections.IDictionary] $Upload)
    foreach ($one in $Upload.stream, $Upload.held, $Upload.sha) { if ($null -ne $one) { $one.Dispose() } }
    if (-not [System.IO.File]::Exists($Upload.beside)) { return }
    # A copied ACL or attribute may forbid it for a moment; a failed clean-up must not hide why the write failed.
    try { [System.IO.File]::Delete($Upload.beside) } catch { $null = $_ }
}

function Clear-Upload {
    # .SYNOPSIS
    #     Ends every upload that was not finished; the runtime calls it when the process ends.
    param()
    foreach ($upload in @($script:Uploads.Values)) { Close-Upload -Upload $upload }
    $script:Uploads.Clear()
}

function Assert-Writable {
    # .SYNOPSIS
    #     Refuses a target that is not what the caller read, or that could not be written anyway.
    # .OUTPUTS
    #     Nothing.
    param([string] $Path, [string] $Named, [string] $Expected)
    $now = Get-ContentHash -Path $Path -Named $Named
    if ($now -cne $Expected) { throw New-Refusal -Kind 'conflict' -Where $Named -Why "content is $now, expected $Expected" }
    if ($now -ceq 'absent') {
        $folder = Get-PathKind -Path ([System.IO.Path]::GetDirectoryName($Path))
        if ($folder -cne 'folder') { throw New-Refusal -Kind 'missing' -Where $Named -Why "its folder is $folder" }
    }
    elseif ([System.IO.File]::GetAttributes($Path) -band [System.IO.FileAttributes]::ReadOnly) {
        throw New-Refusal -Kind 'denied' -Where $Named -Why 'it has the read-only attribute'
    }
}

function Move-Upload {
    # .SYNOPSIS
    #     Puts a complete upload in the target's place.
    param([System.Collections.IDictionary] $Upload, [string] $Expected)
    # Move refuses an existing target on both .NETs: whoever was faster keeps his file.
    if ($Expected -ceq 'absent') { [System.IO.File]::Move($Upload.beside, $Upload.path); return }
    try { [System.IO.File]::Replace($Upload.beside, $Upload.path, [NullString]::Value) }
    catch {
        # Its name is free only when nobody has the old file open any more.
        if ($null -ne $Upload.held) { $Upload.held.Dispose() }
        # ReplaceFile may fail half way (1176, ERROR_UNABLE_TO_MOVE_REPLACEMENT): the old file is gone, the new one still has its own name.
        # It is complete and has the old one's rights, so it goes where it belongs; removing it would lose both.
        if ($_.Exception.GetBaseException() -is [System.IO.FileNotFoundException] -or (Get-PathKind -Path $Upload.path) -cne 'absent') { throw }
        [System.IO.File]::Move($Upload.beside, $Upload.path)
    }
}

function Write-File {
    <#
    .SYNOPSIS
        Replaces the content of one file in a single step, if it still is what the caller read.
    .DESCRIPTION
        Writes beside the target, in one call or in blocks, flushes to disk, compares the hash, then swaps: a reader sees the old content or the
        new one, never a part. An existing target keeps its ACL, attributes and creation time. Whatever goes wrong, nothing is left beside it,
        unless the process is killed or the host loses its power: then NAME.<part or guid>.new may stay, and nobody takes it for the target.
    .OUTPUTS
        @{ sha256 = hash of the content now in place, null before that; done = bool }
    .EXAMPLE
        Write-File -Path 'C:\x.xml' -Bytes $bytes -Expected 'absent' -Sha256 $hash -Length $bytes.Length
    #>
    [CmdletBinding()]
    param(
        # Full path; its folder must exist.
        [Parameter(Mandatory = $true)] [AllowEmptyString()] [string] $Path,
        # SHA-256 of the content that the caller read, or 'absent'.
        [Parameter(Mandatory = $true)] [string] $Expected,
        # SHA-256 and length of the whole new content.
        [Parameter(Mandatory = $true)] [string] $Sha256,
        [Parameter(Mandatory = $true)] [long] $Length,
        # Where this block belongs; blocks come in order.
        [long] $Offset = 0,
        # Name of an upload in blocks (hex); '' is a whole file in one call.
        [AllowEmptyString()] [string] $Part = '',
        # The block.
        [AllowEmptyCollection()] [byte[]] $Bytes = @()
    )
    $full = Resolve-FullPath -Path $Path
    $upload = $script:Uploads[$Part]
    if ($null -ne $upload) { $script:Uploads.Remove($Part) }
    try {
        if ($Expected -cne 'absent' -and $Expected -cnotmatch '^[0-9a-f]{64}\z') { throw New-Refusal -Kind 'invalid' -Where 'expected' -Why 'neither absent nor a SHA-256 in lower-case hex' }
        if ($Sha256 -cnotmatch '^[0-9a-f]{64}\z') { throw New-Refusal -Kind 'invalid' -Where 'sha256' -Why 'not a SHA-256 in lower-case hex' }
        if ($Part -cnotmatch '^[0-9a-f]{0,64}\z') { throw New-Refusal -Kind 'invalid' -Where 'part' -Why 'not up to 64 lower-case hex digits' }
        if ($Offset -lt 0 -or $Offset + $Bytes.Length -gt $Length -or ($Part -ceq '' -and $Bytes.Length -ne $Length)) {
            throw New-Refusal -Kind 'invalid' -Where $Path -Why "a block of $($Bytes.Length) bytes at $Offset does not fit a file of $Length"
        }
        $at = if ($null -eq $upload) { 0 } else { $upload.stream.Position }
        if ($Offset -ne $at) { throw New-Refusal -Kind 'conflict' -Where $Path -Why "the block at $Offset is not the next one, that is at $at" }
        if ($null -eq $upload) {
            Assert-Writable -Path $full -Named $Path -Expected $Expected
            $name = if ($Part -ceq '') { [System.Guid]::NewGuid().ToString('N') } else { $Part }
            if ($Expected -cne 'absent') {
                # As it is spelled on the disk: the swap would spell it as the caller did.
                foreach ($one in [System.IO.Directory]::GetFiles([System.IO.Path]::GetDirectoryName($full), [System.IO.Path]::GetFileName($full))) {
                    if ([string]::Equals($one, $full, [System.StringComparison]::OrdinalIgnoreCase)) { $full = $one }
                }
            }
            $upload = Open-Upload -Path $full -Name $name -RightsOf $(if ($Expected -ceq 'absent') { '' } else { $full })
            $upload['of'] = "$Expected $Sha256 $Length"
        }
        elseif ($upload.path -ne $full -or $upload['of'] -cne "$Expected $Sha256 $Length") {
            throw New-Refusal -Kind 'conflict' -Where $Path -Why "the upload $Part was begun for another file or content"
        }
        Add-Block -Upload $upload -Bytes $Bytes
        if ($Offset + $Bytes.Length -lt $Length) {
            $script:Uploads[$Part] = $upload
            $upload = $null
            return @{ sha256 = $null; done = $false }
        }
        $hash = Complete-Upload -Upload $upload
        if ($hash -cne $Sha256) { throw New-Refusal -Kind 'invalid' -Where $Path -Why "the content that arrived has SHA-256 $hash, expected $Sha256" }
        # Open until it is replaced: what nobody can write to in between cannot be lost. ReplaceFile asks for no more than this shares.
        if ((Get-PathKind -Path $full) -ceq 'file') { $upload.held = Open-File -Path $full -Share 'Read, Delete' }
        Assert-Writable -Path $full -Named $Path -Expected $Expected
        Move-Upload -Upload $upload -Expected $Expected
        # From here on it is written: what a virus scanner has open now must not be told as a refusal. What was put there is known.
        try { $hash = Get-ContentHash -Path $full -Named $Path -Share 'ReadWrite, Delete' } catch { $null = $_ }
        @{ sha256 = $hash; done = $true }
    }
    finally { if ($null -ne $upload) { Close-Upload -Upload $upload } }
}

function Copy-File {
    <#
    .SYNOPSIS
        Copies a file to a name that is free, with its access rights.
    .DESCRIPTION
        For a backup: the copy has the rights before it has the content, appears in one step, and never replaces anything.
    .OUTPUTS
        @{ created = bool, false where the same content is there already; sha256 }
    .EXAMPLE
        Copy-File -Path 'C:\x.xml' -Target 'C:\x.xml.bak' -Expected $hash
    #>
    [CmdletBinding()]
    param(
        # Full path of the file.
        [Parameter(Mandatory = $true)] [AllowEmptyString()] [string] $Path,
        # Full path of the copy.
        [Parameter(Mandatory = $true)] [AllowEmptyString()] [string] $Target,
        # SHA-256 that the caller read.
        [Parameter(Mandatory = $true)] [string] $Expected
    )
    $from = Resolve-FullPath -Path $Path
    $to = Resolve-FullPath -Path $Target
    if ($Expected -cnotmatch '^[0-9a-f]{64}\z') { throw New-Refusal -Kind 'invalid' -Where 'expected' -Why 'not a SHA-256 in lower-case hex' }
    $now = Get-ContentHash -Path $from -Named $Path
    if ($now -ceq 'absent') { throw New-Refusal -Kind 'missing' -Where $Path -Why 'it does not exist' }
    if ($now -cne $Expected) { throw New-Refusal -Kind 'conflict' -Where $Path -Why "content is $now, expected $Expected" }
    $there = Get-ContentHash -Path $to -Named $Target
    if ($there -ceq $Expected) { return @{ created = $false; sha256 = $there } }
    if ($there -cne 'absent') { throw New-Refusal -Kind 'conflict' -Where $Target -Why "a file with other content stands there, $there" }
    Assert-Writable -Path $to -Named $Target -Expected 'absent'
    try { $upload = Open-Upload -Path $to -Name ([System.Guid]::NewGuid().ToString('N')) -RightsOf $from }
    catch { $_.Exception.Data['where'] = $Target; throw }
    try {
        $stream = Open-File -Path $from -Share 'Read, Delete'
        try {
            $block = [byte[]]::new(1048576)
            while (($got = $stream.Read($block, 0, $block.Length)) -gt 0) {
                $upload.stream.Write($block, 0, $got)
                $null = $upload.sha.TransformBlock($block, 0, $got, $null, 0)
            }
        }
        finally { $stream.Dispose() }
        $hash = Complete-Upload -Upload $upload
        if ($hash -cne $Expected) { throw New-Refusal -Kind 'conflict' -Where $Path -Why "content became $hash while it was copied, expected $Expected" }
        try { Move-Upload -Upload $upload -Expected 'absent' } catch { $_.Exception.Data['where'] = $Target; throw }
        @{ created = $true; sha256 = $hash }
    }
    finally { Close-Upload -Upload $upload }
}

function New-Folder {
    <#
    .SYNOPSIS
        Makes a folder and those above it that are missing.
    .DESCRIPTION
        Where one of them cannot be made, those that this call made are removed again.
    .OUTPUTS
        @{ created = paths of the folders made, outermost first }
    .EXAMPLE
        New-Folder -Path 'C:\inetpub\sdk'
    #>
    [CmdletBinding()]
    param(
        # Full path.
        [Parameter(Mandatory = $true)] [AllowEmptyString()] [string] $Path
    )
    $full = (Resolve-FullPath -Path $Path)
    $root = [System.IO.Path]::GetPathRoot($full)
    $missing = @()
    for ($at = $full; $null -ne $at; $at = [System.IO.Path]::GetDirectoryName($at)) {
        $kind = Get-PathKind -Path $at
        if ($kind -ceq 'folder') { break }
        if ($kind -ceq 'file') { throw New-Refusal -Kind 'conflict' -Where $Path -Why "a file stands at $at" }
        if ($at.TrimEnd('\') -eq $root.TrimEnd('\')) { throw New-Refusal -Kind 'missing' -Where $Path -Why "there is no $root" }
        $missing = @($at) + $missing
    }
    $created = [System.Collections.ArrayList]::new()
    try {
        foreach ($one in $missing) {
            $null = [System.IO.Directory]::CreateDirectory($one)
            $null = $created.Add($one.TrimEnd('\'))
        }
    }
    catch {
        $created.Reverse()
        # Not recursive: what somebody put there meanwhile stays.
        foreach ($one in $created) { try { [System.IO.Directory]::Delete($one) } catch { $null = $_ } }
        throw
    }
    @{ created = $created }
}
