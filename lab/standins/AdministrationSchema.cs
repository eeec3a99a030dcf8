// What a section may hold: the schema files of %SystemRoot%\System32\inetsrv\config\schema, in IIS's own form. A section that stands in
// several of them is merged. Also how a value is read from text, checked and written (facts/iis.md 1.5 and 6 (g), (h)).
using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Xml;

namespace Microsoft.Web.Administration
{
    internal static class Text
    {
        public static string Of(long number) { return number.ToString(CultureInfo.InvariantCulture); }

        public static bool Same(string one, string other) { return string.Equals(one, other, StringComparison.OrdinalIgnoreCase); }

        public static string[] List(string text)
        {
            return (text ?? "").Split(',').Select(part => part.Trim()).Where(part => part != "").ToArray();
        }
    }

    public sealed class ConfigurationEnumValue
    {
        public string Name { get; internal set; }
        public long Value { get; internal set; }
    }

    public sealed class ConfigurationEnumValueCollection : IEnumerable<ConfigurationEnumValue>, ICollection
    {
        private readonly List<ConfigurationEnumValue> values = new List<ConfigurationEnumValue>();

        public int Count { get { return values.Count; } }
        public ConfigurationEnumValue this[int index] { get { return values[index]; } }
        public string GetName(long value) { return values.Where(one => one.Value == value).Select(one => one.Name).FirstOrDefault(); }
        internal void Add(ConfigurationEnumValue value) { values.Add(value); }
        public IEnumerator<ConfigurationEnumValue> GetEnumerator() { return values.GetEnumerator(); }
        IEnumerator IEnumerable.GetEnumerator() { return values.GetEnumerator(); }
        void ICollection.CopyTo(Array array, int index) { ((ICollection)values).CopyTo(array, index); }
        bool ICollection.IsSynchronized { get { return false; } }
        object ICollection.SyncRoot { get { return values; } }
    }

    public sealed class ConfigurationAttributeSchema
    {
        public string Name { get; internal set; }
        public string Type { get; internal set; }
        public bool IsRequired { get; internal set; }
        public bool IsUniqueKey { get; internal set; }
        public bool IsCombinedKey { get; internal set; }
        public bool IsCaseSensitive { get; internal set; }
        public bool IsEncrypted { get; internal set; }
        public bool IsExpanded { get; internal set; }
        public bool AllowInfinite { get; internal set; }
        public string TimeSpanFormat { get; internal set; }
        public string ValidationType { get; internal set; }
        public string ValidationParameter { get; internal set; }
        public object DefaultValue { get { return defaultText == null ? Values.Empty(this) : Values.Read(this, defaultText); } }
        internal string Extension;
        internal string defaultText;
        private readonly ConfigurationEnumValueCollection values = new ConfigurationEnumValueCollection();

        public ConfigurationEnumValueCollection GetEnumValues() { return Type == "enum" || Type == "flags" ? values : null; }

        internal static ConfigurationAttributeSchema From(XmlElement node)
        {
            var made = new ConfigurationAttributeSchema
            {
                Name = node.GetAttribute("name"),
                Type = node.GetAttribute("type"),
                IsRequired = node.GetAttribute("required") == "true",
                IsUniqueKey = node.GetAttribute("isUniqueKey") == "true",
                IsCombinedKey = node.GetAttribute("isCombinedKey") == "true",
                IsCaseSensitive = node.GetAttribute("caseSensitive") == "true",
                IsEncrypted = node.GetAttribute("encrypted") == "true",
                IsExpanded = node.GetAttribute("expanded") == "true",
                AllowInfinite = node.GetAttribute("allowInfinite") == "true",
                TimeSpanFormat = node.GetAttribute("timeSpanFormat"),
                ValidationType = node.GetAttribute("validationType"),
                ValidationParameter = node.GetAttribute("validationParameter"),
                Extension = node.GetAttribute("extension"),
                defaultText = node.HasAttribute("defaultValue") ? node.GetAttribute("defaultValue") : null,
            };
            foreach (XmlElement value in node.ChildNodes.OfType<XmlElement>())
                made.values.Add(new ConfigurationEnumValue { Name = value.GetAttribute("name"), Value = Values.Number(value.GetAttribute("value")) });
            return made;
        }
    }

    public sealed class ConfigurationCollectionSchema
    {
        public string AddElementNames { get; internal set; }
        public string RemoveElementName { get; internal set; }
        public string ClearElementName { get; internal set; }
        public bool IsMergeAppend { get; internal set; }
        public bool AllowDuplicates { get; internal set; }
        internal string DefaultElement;
        internal ConfigurationElementSchema Item;

        public ConfigurationElementSchema GetAddElementSchema(string name)
        {
            if (!Text.List(AddElementNames).Contains(name)) throw Errors.BadIndex();
            return Item;
        }
    }

    public sealed class ConfigurationElementSchema
    {
        public string Name { get; internal set; }
        public bool IsCollectionDefault { get; internal set; }
        public bool AllowUnrecognizedAttributes { get; internal set; }
        public ConfigurationCollectionSchema CollectionSchema { get; internal set; }
        internal readonly List<ConfigurationAttributeSchema> Attributes = new List<ConfigurationAttributeSchema>();
        internal readonly List<ConfigurationElementSchema> Children = new List<ConfigurationElementSchema>();
        internal readonly List<KeyValuePair<string, ConfigurationElementSchema>> Methods = new List<KeyValuePair<string, ConfigurationElementSchema>>();

        internal ConfigurationAttributeSchema Attribute(string name)
        {
            // Names in configuration are case-sensitive, as the native side compares them.
            ConfigurationAttributeSchema found = Attributes.FirstOrDefault(one => one.Name == name);
            if (found == null) throw Errors.BadIndex();
            return found;
        }

        internal IEnumerable<ConfigurationAttributeSchema> UniqueKeys { get { return Attributes.Where(one => one.IsUniqueKey); } }
        internal IEnumerable<ConfigurationAttributeSchema> CombinedKeys { get { return Attributes.Where(one => one.IsCombinedKey); } }
        internal IEnumerable<ConfigurationAttributeSchema> Keys { get { return Attributes.Where(one => one.IsUniqueKey || one.IsCombinedKey); } }

        internal void Merge(XmlElement node)
        {
            foreach (XmlElement child in node.ChildNodes.OfType<XmlElement>())
            {
                string name = child.GetAttribute("name");
                if (child.Name == "attribute")
                {
                    if (!Attributes.Any(one => one.Name == name)) Attributes.Add(ConfigurationAttributeSchema.From(child));
                }
                else if (child.Name == "element")
                {
                    ConfigurationElementSchema made = Children.FirstOrDefault(one => one.Name == name);
                    if (made == null) Children.Add(made = new ConfigurationElementSchema { Name = name });
                    made.IsCollectionDefault |= child.GetAttribute("isCollectionDefault") == "true";
                    made.Merge(child);
                }
                else if (child.Name == "collection") MergeCollection(child);
                else if (child.Name == "method")
                {
                    XmlElement input = child.ChildNodes.OfType<XmlElement>().FirstOrDefault(one => one.Name == "inputElement");
                    ConfigurationElementSchema takes = input == null ? null : new ConfigurationElementSchema { Name = "inputElement" };
                    if (takes != null) takes.Merge(input);
                    Methods.Add(new KeyValuePair<string, ConfigurationElementSchema>(name, takes));
                }
            }
        }

        private void MergeCollection(XmlElement node)
        {
            if (CollectionSchema == null)
            {
                CollectionSchema = new ConfigurationCollectionSchema
                {
                    AddElementNames = node.GetAttribute("addElement"),
                    RemoveElementName = node.GetAttribute("removeElement"),
                    ClearElementName = node.GetAttribute("clearElement"),
                    DefaultElement = node.GetAttribute("defaultElement"),
                    IsMergeAppend = node.GetAttribute("mergeAppend") != "false",
                    AllowDuplicates = node.GetAttribute("allowDuplicates") == "true",
                    Item = new ConfigurationElementSchema { Name = Text.List(node.GetAttribute("addElement")).FirstOrDefault() ?? "" },
                };
            }
            CollectionSchema.Item.AllowUnrecognizedAttributes |= node.GetAttribute("allowUnrecognizedAttributes") == "true";
            CollectionSchema.Item.Merge(node);
        }
    }

    internal sealed class SchemaFolder
    {
        private readonly Dictionary<string, ConfigurationElementSchema> sections = new Dictionary<string, ConfigurationElementSchema>();

        public SchemaFolder(string folder)
        {
            foreach (string file in Directory.GetFiles(folder, "*.xml").OrderBy(name => name, StringComparer.OrdinalIgnoreCase))
            {
                var document = new XmlDocument();
                document.Load(file);
                foreach (XmlElement node in document.DocumentElement.ChildNodes.OfType<XmlElement>().Where(one => one.Name == "sectionSchema"))
                {
                    string name = node.GetAttribute("name");
                    ConfigurationElementSchema made;
                    if (!sections.TryGetValue(name, out made)) sections[name] = made = new ConfigurationElementSchema { Name = name.Substring(name.LastIndexOf('/') + 1) };
                    made.Merge(node);
                }
            }
        }

        public ConfigurationElementSchema Find(string section)
        {
            ConfigurationElementSchema found;
            return sections.TryGetValue(section, out found) ? found : null;
        }
    }

    // Values: text of the file <-> what the members give and take.
    internal static class Values
    {
        public static long Number(string text)
        {
            text = text.Trim();
            return text.StartsWith("0x", StringComparison.OrdinalIgnoreCase)
                ? long.Parse(text.Substring(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture)
                : long.Parse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture);
        }

        public static object Empty(ConfigurationAttributeSchema schema)
        {
            switch (schema.Type)
            {
                case "bool": return false;
                case "int": case "enum": case "flags": return 0;
                case "uint": case "int64": return 0L;
                case "timeSpan": return TimeSpan.Zero;
                default: return "";
            }
        }

        public static object Read(ConfigurationAttributeSchema schema, string text)
        {
            try
            {
                switch (schema.Type)
                {
                    case "bool": return bool.Parse(text);
                    case "int": return checked((int)Number(text));
                    case "uint": case "int64": return Number(text); // uint reads as Int64
                    case "enum": return (int)Named(schema, text);
                    case "flags": return Text.List(text).Aggregate(0, (all, name) => all | (int)Named(schema, name));
                    case "timeSpan": return ReadTimeSpan(schema, text);
                    default: return schema.IsEncrypted ? Decrypt(text) : text;
                }
            }
            catch (FormatException) { throw Errors.BadValue("The '" + schema.Name + "' attribute is invalid."); }
            catch (OverflowException) { throw Errors.BadValue("The '" + schema.Name + "' attribute is invalid."); }
        }

        private static long Named(ConfigurationAttributeSchema schema, string name)
        {
            foreach (ConfigurationEnumValue value in schema.GetEnumValues()) if (Text.Same(value.Name, name)) return value.Value;
            string names = string.Join(", ", schema.GetEnumValues().Select(value => value.Name));
            throw Errors.BadValue((schema.Type == "enum" ? "Enum must be one of " : "Flags must be some combination of ") + names);
        }

        private static TimeSpan ReadTimeSpan(ConfigurationAttributeSchema schema, string text)
        {
            if (schema.TimeSpanFormat == "seconds") return TimeSpan.FromSeconds(Number(text));
            if (schema.TimeSpanFormat == "minutes") return TimeSpan.FromMinutes(Number(text));
            // "29:00:00" is 29 hours, which TimeSpan.Parse would take for days.
            string[] parts = text.Split('.', ':');
            if (parts.Length == 4) return new TimeSpan((int)Number(parts[0]), (int)Number(parts[1]), (int)Number(parts[2]), (int)Number(parts[3]));
            if (parts.Length != 3 || text.Contains(".")) throw new FormatException();
            return new TimeSpan((int)Number(parts[0]), (int)Number(parts[1]), (int)Number(parts[2]));
        }

        // A text that can be written, from a value that SetAttributeValue was given.
        public static string Write(ConfigurationAttributeSchema schema, object value)
        {
            if (value == null) throw new ArgumentNullException("value");
            switch (schema.Type)
            {
                case "bool": return (bool)value ? "true" : "false";
                case "int": return Text.Of(Checked(schema, (int)value));
                case "uint":
                    if (!(value is uint || value is long || value is int)) throw new InvalidCastException("Specified cast is not valid.");
                    long number = value is uint ? (uint)value : value is long ? (long)value : (int)value;
                    if (number < 0 || number > uint.MaxValue) throw Errors.BadValue("The '" + schema.Name + "' attribute is invalid.");
                    return Text.Of(Checked(schema, number));
                case "int64": return Text.Of(Checked(schema, (long)value));
                case "enum":
                    string name = value is int ? schema.GetEnumValues().GetName((int)value) : (string)value;
                    return schema.GetEnumValues().GetName(Named(schema, name ?? ""));
                case "flags":
                    if (value is int) return Flags(schema, (int)value);
                    return Flags(schema, Text.List((string)value).Aggregate(0, (all, one) => all | (int)Named(schema, one)));
                case "timeSpan": return WriteTimeSpan(schema, (TimeSpan)value);
                default:
                    if (!(value is string)) throw new ArgumentException("Value does not fall within the expected range.");
                    CheckText(schema, (string)value);
                    return schema.IsEncrypted ? Encrypt((string)value) : (string)value;
            }
        }

        private static string Flags(ConfigurationAttributeSchema schema, int value)
        {
            if (value == 0) return schema.GetEnumValues().GetName(0) ?? "";
            return string.Join(", ", schema.GetEnumValues().Where(one => one.Value != 0 && (value & one.Value) == one.Value).Select(one => one.Name));
        }

        private static string WriteTimeSpan(ConfigurationAttributeSchema schema, TimeSpan value)
        {
            if (schema.ValidationType == "timeSpanRange")
            {
                long[] range = Text.List(schema.ValidationParameter).Take(3).Select(Number).ToArray();
                long seconds = (long)value.TotalSeconds;
                if (value.Ticks % TimeSpan.TicksPerSecond != 0 || seconds < range[0] || seconds > range[1] || seconds % range[2] != 0)
                    throw Errors.BadValue("Timespan value must be between " + Span(range[0]) + " and " + Span(range[1]) + " seconds inclusive, with a granularity of " + Text.Of(range[2]) + " seconds");
            }
            if (schema.TimeSpanFormat == "seconds") return Text.Of((long)value.TotalSeconds);
            if (schema.TimeSpanFormat == "minutes") return Text.Of((long)value.TotalMinutes);
            return value.ToString("c", CultureInfo.InvariantCulture);
        }

        private static string Span(long seconds) { return TimeSpan.FromSeconds(seconds).ToString("c", CultureInfo.InvariantCulture); }

        private static long Checked(ConfigurationAttributeSchema schema, long value)
        {
            if (schema.ValidationType != "integerRange") return value;
            string[] parts = Text.List(schema.ValidationParameter);
            bool inside = value >= Number(parts[0]) && value <= Number(parts[1]);
            bool exclude = parts.Length > 2 && parts[2] == "exclude";
            if (inside == exclude)
                throw Errors.BadValue("Integer value must " + (exclude ? "not " : "") + "be between " + parts[0] + " and " + parts[1] + (exclude ? " exclusive" : " inclusive"));
            return value;
        }

        private static void CheckText(ConfigurationAttributeSchema schema, string value)
        {
            switch (schema.ValidationType)
            {
                case "nonEmptyString": if (value == "") throw Errors.BadValue("String must not be empty"); break;
                case "requireTrimmedString": if (value != value.Trim()) throw Errors.BadValue("String must not have whitespace at the beginning or at the end"); break;
                case "siteName": if (value == "" || value.IndexOfAny("\\/?;:@&=+$,|\"<>".ToCharArray()) >= 0) throw Errors.BadValue("Invalid site name"); break;
                case "applicationPoolName": if (value == "" || value.IndexOfAny("|<>&\"/\\[]+=;:,?*@".ToCharArray()) >= 0) throw Errors.BadValue("Invalid application pool name"); break;
                case "applicationPath":
                case "virtualDirectoryPath":
                    bool good = value.StartsWith("/", StringComparison.Ordinal) && (value == "/" || !value.EndsWith("/", StringComparison.Ordinal));
                    if (!good || value.Split('/').Any(part => part == "." || part == "..")) throw Errors.BadValue("Invalid " + (schema.ValidationType == "applicationPath" ? "application" : "virtual directory") + " path");
                    break;
            }
        }

        // A fake that can be undone. It keeps the clear text out of the file, as the real providers do; it hides nothing from anybody who knows it.
        private static string Encrypt(string value)
        {
            if (value == "") return "";
            return "[enc:Lab:" + Convert.ToBase64String(System.Text.Encoding.UTF8.GetBytes(value).Select(one => (byte)(one ^ 0xA5)).ToArray()) + ":enc]";
        }

        private static string Decrypt(string text)
        {
            if (!text.StartsWith("[enc:", StringComparison.Ordinal)) return text; // clear text in a file is taken as it is
            if (!text.StartsWith("[enc:Lab:", StringComparison.Ordinal)) throw Errors.BadValue("Failed to decrypt attribute");
            string body = text.Substring(9, text.Length - 9 - 5);
            return System.Text.Encoding.UTF8.GetString(Convert.FromBase64String(body).Select(one => (byte)(one ^ 0xA5)).ToArray());
        }
    }
}
