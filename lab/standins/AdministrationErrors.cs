// The exceptions that Microsoft.Web.Administration throws: CLR types as the runtime makes them from an HResult, with that HResult set
// (facts/iis.md 3b, 5.5). Texts are English here; nobody may read them.
using System;
using System.IO;
using System.Runtime.InteropServices;

namespace Microsoft.Web.Administration
{
    internal static class Codes
    {
        public const uint FileNotFound = 0x80070002, InvalidData = 0x8007000D, SharingViolation = 0x80070020, LockViolation = 0x80070021;
        public const uint NotSupported = 0x80070032, AlreadyExists = 0x800700B7, ServiceNotActive = 0x80070426, NotFound = 0x80070490;
        public const uint NoSuchLogonSession = 0x80070520, InvalidIndex = 0x80070585, ServerUnavailable = 0x800706BA, NoSuchObject = 0x800710D8;
    }

    // FileLoadException has no public way to set its HResult.
    internal sealed class ConfigurationFileLoadException : FileLoadException
    {
        public ConfigurationFileLoadException(string text, uint code) : base(text) { HResult = unchecked((int)code); }
    }

    internal static class Errors
    {
        public const string Committed = "The configuration object is read only, because it has been committed by a call to ServerManager.CommitChanges(). "
            + "If write access is required, use ServerManager to get a new reference.";

        public static Exception Com(string text, uint code) { return new COMException(text, unchecked((int)code)); }

        public static Exception Load(string file, int line, string text, uint code) { return new ConfigurationFileLoadException(At(file, line, text), code); }

        public static Exception BadFile(string file, int line, string text) { return Com(At(file, line, text), Codes.InvalidData); }

        public static Exception Missing(string text) { return new FileNotFoundException(text); }

        public static Exception BadIndex() { return Com("Invalid index.\r\n", Codes.InvalidIndex); }

        public static Exception BadValue(string text) { return Com(text + "\r\n", Codes.InvalidData); }

        // What the stand-in does not imitate says so: silence would pass for the real thing's behaviour.
        public static Exception NotImitated(string what) { return new NotSupportedException("The stand-in of Microsoft.Web.Administration does not imitate: " + what); }

        // Edits of which nobody knows what IIS writes; a code of its own, since a caller of the verbs can ask for them.
        public static Exception Unknown(string what) { return Com("The stand-in of Microsoft.Web.Administration does not know what is written for: " + what, Codes.NotSupported); }

        private static string At(string file, int line, string text)
        {
            return "Filename: " + ConfigFile.Long(file) + "\r\n" + (line > 0 ? "Line number: " + Text.Of(line) + "\r\n" : "") + "Error: " + text + "\r\n\r\n";
        }
    }
}
