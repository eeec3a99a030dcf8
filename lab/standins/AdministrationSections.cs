// Sections: where one is written, who is locked out of it, where its values come from; and which folder a path of the configuration is
// (facts/iis.md 1.3, 3 c, 6 (e), (f)).
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace Microsoft.Web.Administration
{
    public sealed class ConfigurationSection : ConfigurationElement
    {
        internal readonly string Location;
        private readonly XmlTag declared;

        internal ConfigurationSection(Configuration configuration, string path, string location, ConfigurationElementSchema schema, XmlTag declared)
            : base(configuration, null, schema) { SectionPath = path; Location = location; this.declared = declared; }

        public string SectionPath { get; private set; }
        internal override ConfigurationSection Section { get { return this; } }
        internal override IEnumerable<ConfigurationElement> Defaults { get { return Enumerable.Empty<ConfigurationElement>(); } }

        internal override List<Part> Parts
        {
            get
            {
                return Configuration.Layers(Location).Select(layer => new Part { Layer = layer, Tag = layer.Find(SectionPath) }).Where(part => part.Tag != null).ToList();
            }
        }

        internal override XmlTag WriteTag()
        {
            // A location tag that says something about every section in it is not a place for another one.
            List<XmlTag> places = Configuration.Layers(Location).Where(one => Configuration.IsWritten(one, Location)).Select(one => one.Outer).ToList();
            XmlTag at = places.LastOrDefault(one => new Layer { Outer = one }.Find(SectionPath) != null)
                ?? places.FirstOrDefault(one => one["overrideMode"] == null && one["allowOverride"] == null);
            if (at == null)
            {
                at = XmlTag.New("location");
                at["path"] = Location;
                Configuration.Written.Xml.Root.Append(at);
            }
            foreach (string name in SectionPath.Split('/'))
            {
                XmlTag next = at.Find(name);
                if (next == null) at.Append(next = XmlTag.New(name));
                at = next;
            }
            return at;
        }

        // -- locks --

        public OverrideMode OverrideMode
        {
            get
            {
                Part last = Parts.LastOrDefault();
                return !Configuration.IsWeb && last != null && Configuration.IsWritten(last.Layer, Location) ? Said(last.Layer) : OverrideMode.Inherit;
            }
            set { throw Errors.NotImitated("setting OverrideMode"); }
        }

        public OverrideMode OverrideModeEffective { get { return Mode(Parts); } }

        // Only whoever edits a file below the one that locks is locked out: not a location tag of the same file (finding 5).
        public bool IsLocked
        {
            get { return Configuration.IsWeb && Mode(Parts.Where(part => ReferenceEquals(part.Layer.File, Configuration.Written))) == OverrideMode.Deny; }
        }

        private static OverrideMode Said(Layer layer)
        {
            string mode = layer.Outer.Name == "location" ? layer.Outer["overrideMode"] : null;
            string legacy = layer.Outer.Name == "location" ? layer.Outer["allowOverride"] : null;
            if (mode == "Allow" || (mode == null && Text.Same(legacy, "true"))) return OverrideMode.Allow;
            if (mode == "Deny" || (mode == null && Text.Same(legacy, "false"))) return OverrideMode.Deny;
            return OverrideMode.Inherit;
        }

        private OverrideMode Mode(IEnumerable<Part> parts)
        {
            OverrideMode mode = declared != null && declared["overrideModeDefault"] == "Deny" ? OverrideMode.Deny : OverrideMode.Allow;
            foreach (Part part in parts) if (Said(part.Layer) != OverrideMode.Inherit) mode = Said(part.Layer);
            return mode;
        }

        // A web.config that holds what it may not hold makes the section unreadable, whoever reads it.
        internal void Check()
        {
            var above = new List<Part>();
            foreach (Part part in Parts)
            {
                bool deeper = !ReferenceEquals(part.Layer.File, Configuration.Written);
                if (deeper && declared["allowDefinition"] == "AppHostOnly") throw Locked(part.Layer.File.Path, part.Tag.Line);
                if (deeper && Mode(above.Where(one => !ReferenceEquals(one.Layer.File, part.Layer.File))) == OverrideMode.Deny) throw Locked(part.Layer.File.Path, part.Tag.Line);
                CheckTag(part.Layer.File, part.Tag, Schema);
                above.Add(part);
            }
        }

        // Attributes are checked where the XML is read, so a bad one spoils the section.
        private static void CheckTag(ConfigFile file, XmlTag tag, ConfigurationElementSchema schema)
        {
            foreach (string name in tag.Names)
            {
                ConfigurationAttributeSchema attribute = schema.Attributes.FirstOrDefault(one => one.Name == name && one.Extension == "");
                bool own = name.StartsWith("lock", StringComparison.Ordinal) || name == "configSource" || name == "childSource";
                if (attribute == null && !own && !schema.AllowUnrecognizedAttributes) throw Errors.BadFile(file.Path, tag.Line, "Unrecognized attribute '" + name + "'");
                if (attribute == null || attribute.IsEncrypted) continue;
                try { Values.Read(attribute, tag[name]); }
                catch (System.Runtime.InteropServices.COMException) { throw Errors.BadFile(file.Path, tag.Line, "The '" + name + "' attribute is invalid."); }
            }
            ConfigurationCollectionSchema items = schema.CollectionSchema;
            foreach (XmlTag child in tag.Tags)
            {
                ConfigurationElementSchema known = schema.Children.FirstOrDefault(one => one.Name == child.Name);
                if (known == null && items != null && Text.List(items.AddElementNames).Contains(child.Name)) known = items.Item;
                if (known != null) CheckTag(file, child, known);
                else if (items == null || child.Name != items.ClearElementName && child.Name != items.RemoveElementName) throw Errors.BadFile(file.Path, child.Line, "Unrecognized element '" + child.Name + "'");
            }
        }

        internal Exception Locked(string file, int line)
        {
            return Errors.Load(file, line, "This configuration section cannot be used at this path. This happens when the section is locked at a parent level. "
                + "Locking is either by default (overrideModeDefault=\"Deny\"), or set explicitly by a location tag with overrideMode=\"Deny\" or the legacy allowOverride=\"false\".", Codes.LockViolation);
        }

        // -- where it comes from --

        internal bool StoredAtConfiguration { get { return Text.Same((string)GetMetadata("deepestPathSet"), Configuration.ConfigPath); } }

        public override object GetMetadata(string metadataType)
        {
            Part last = Parts.LastOrDefault();
            switch (metadataType)
            {
                case "deepestPathSet": return last == null ? "" : last.Layer.ConfigPath;
                case "deepestFileNameSet": return last == null ? "" : ConfigFile.Long(last.Layer.File.Path);
                case "deepestFileLineNumberSet": return last == null ? 0 : last.Tag.Line;
                default: throw Errors.NotImitated("metadata " + metadataType + " of a section");
            }
        }

        public override void Delete() { RevertToParent(); }

        // What is written here goes: the section, the groups that hold nothing more, and a location tag that says nothing else.
        public void RevertToParent()
        {
            CheckWritable();
            XmlTag at = LocalTag();
            if (at == null) return;
            do
            {
                XmlTag outer = at.Parent;
                outer.Remove(at);
                at = outer;
            }
            while (at.Pieces.Count == 0 && at.Parent != null && Location != "" && (at.Name != "location" || at.Names.All(name => name == "path")));
            Changed();
        }
    }

    // Which folder a path of the configuration is: the application and virtual directory with the longest path in front of it.
    internal static class Folders
    {
        public static bool IsApplication(ServerManager manager, string path)
        {
            string[] names = path.Split(new[] { '/' }, 2);
            string own = "/" + (names.Length > 1 ? names[1] : "");
            return manager.GetApplicationHostConfiguration().GetSection("system.applicationHost/sites").GetCollection()
                .Any(site => Text.Same((string)site["name"], names[0]) && site.GetCollection().Any(one => Text.Same((string)one["path"], own)));
        }

        public static string Of(ServerManager manager, string path)
        {
            string[] names = path.Split(new[] { '/' }, 2);
            string below = "/" + (names.Length > 1 ? names[1] : "");
            ConfigurationElement site = manager.GetApplicationHostConfiguration().GetSection("system.applicationHost/sites").GetCollection()
                .FirstOrDefault(one => Text.Same((string)one["name"], names[0]));
            if (site == null) return null;
            string rest, folder;
            ConfigurationElement application = Longest(site, below, out rest);
            if (application == null) return null;
            ConfigurationElement directory = Longest(application, rest, out folder);
            if (directory == null) return null;
            return Path.Combine(Environment.ExpandEnvironmentVariables((string)directory["physicalPath"]), folder.Trim('/').Replace('/', '\\'));
        }

        private static ConfigurationElement Longest(ConfigurationElement owner, string path, out string rest)
        {
            ConfigurationElement best = null;
            rest = path;
            foreach (ConfigurationElement one in owner.GetCollection())
            {
                string own = ((string)one["path"]).TrimEnd('/');
                if (!(path + "/").StartsWith(own + "/", StringComparison.OrdinalIgnoreCase)) continue;
                if (best != null && ((string)best["path"]).TrimEnd('/').Length >= own.Length) continue;
                best = one;
                rest = path.Substring(own.Length);
                if (rest == "") rest = "/";
            }
            return best;
        }
    }
}
