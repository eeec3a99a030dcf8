// Managers and configurations: which files and location tags make up what is effective, and the commit of one file (facts/iis.md 0, 1.1, 1.2,
// 3 a d e, 6 (a)-(d), (l)).
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Xml;

namespace Microsoft.Web.Administration
{
    public enum OverrideMode { Unknown = 0, Inherit = 1, Allow = 2, Deny = 3 }

    internal sealed class ConfigFile
    {
        public readonly string Path, ConfigPath;
        public XmlText Xml;
        public bool IsDirty;
        private byte[] hash; // of the bytes that were read

        public ConfigFile(string path, string configPath) { Path = path; ConfigPath = configPath; Load(); }

        public static string Long(string path) { return path.StartsWith(@"\\", StringComparison.Ordinal) ? path : @"\\?\" + path; }

        private byte[] ReadBytes()
        {
            try
            {
                using (var stream = new FileStream(Path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete))
                {
                    var bytes = new byte[stream.Length];
                    stream.ReadExactly(bytes, 0, bytes.Length);
                    return bytes;
                }
            }
            catch (FileNotFoundException) { throw Errors.Missing("Filename: " + Long(Path) + "\r\nError: Cannot read configuration file\r\n\r\n"); }
            catch (DirectoryNotFoundException) { throw new DirectoryNotFoundException("Filename: " + Long(Path) + "\r\nError: Cannot read configuration file\r\n\r\n"); }
            catch (IOException) { throw Errors.Load(Path, 0, "Cannot read configuration file", Codes.SharingViolation); }
        }

        private void Load()
        {
            byte[] bytes = ReadBytes();
            hash = SHA256.HashData(bytes);
            try { Xml = XmlText.Parse(bytes); }
            catch (XmlException problem) { throw Errors.BadFile(Path, problem.LineNumber, "Configuration file is not well-formed XML"); }
            catch (System.Text.DecoderFallbackException) { throw Errors.BadFile(Path, 0, "Configuration file is not well-formed XML"); }
            if (Xml.Root.Name != "configuration") throw Errors.BadFile(Path, Xml.Root.Line, "Unrecognized element '" + Xml.Root.Name + "'");
        }

        public void Save()
        {
            // The type and the text are real; that the code is a sharing violation is assumed (open question 1).
            if (!SHA256.HashData(ReadBytes()).SequenceEqual(hash))
                throw Errors.Load(Path, 0, "Cannot commit configuration changes because the file has changed on disk", Codes.SharingViolation);
            if ((File.GetAttributes(Path) & FileAttributes.ReadOnly) != 0)
                throw new UnauthorizedAccessException("Filename: " + Long(Path) + "\r\nError: Cannot write configuration file due to insufficient permissions\r\n\r\n");
            string beside = Path + "." + Guid.NewGuid().ToString("N") + ".tmp";
            try
            {
                File.WriteAllBytes(beside, Xml.ToBytes());
                // A reader that shares nothing but reading keeps the real one from writing, too.
                using (new FileStream(Path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete)) { }
                File.Replace(beside, Path, null);
            }
            catch (IOException) { throw Errors.Load(Path, 0, "Cannot write configuration file", Codes.SharingViolation); }
            finally { File.Delete(beside); }
            IsDirty = false;
        }

        // <location> tags, each with its path without slashes at its ends; "" and "." are the file's own level.
        public IEnumerable<KeyValuePair<string, XmlTag>> Locations
        {
            get { return Xml.Root.Tags.Where(tag => tag.Name == "location").Select(tag => new KeyValuePair<string, XmlTag>(Trim(tag["path"]), tag)); }
        }

        public static string Trim(string path)
        {
            path = (path ?? "").Replace('\\', '/').Trim('/');
            return path == "." ? "" : path;
        }
    }

    // A file's own level, or one location of it.
    internal sealed class Layer
    {
        public ConfigFile File;
        public string Location;
        public XmlTag Outer; // <configuration> or <location>

        public string ConfigPath { get { return Location == "" ? File.ConfigPath : File.ConfigPath + "/" + Location; } }

        public XmlTag Find(string section)
        {
            XmlTag at = Outer;
            foreach (string name in section.Split('/')) { at = at.Find(name); if (at == null) return null; }
            return at;
        }
    }

    public sealed class ServerManager : IDisposable
    {
        internal const string AppHost = "MACHINE/WEBROOT/APPHOST";
        internal readonly bool IsReadOnly;
        internal bool IsCommitted;
        private readonly string path;
        private readonly Dictionary<string, ConfigFile> files = new Dictionary<string, ConfigFile>(StringComparer.OrdinalIgnoreCase);
        private SchemaFolder schema;
        private List<string> sites, pools; // as the file had them when it was read

        public ServerManager() : this(false, null) { }
        public ServerManager(string applicationHostConfigurationPath) : this(false, applicationHostConfigurationPath) { }
        public ServerManager(bool readOnly, string applicationHostConfigurationPath) { IsReadOnly = readOnly; path = applicationHostConfigurationPath; }

        private static string Folder { get { return Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.System), @"inetsrv\config"); } }

        internal SchemaFolder Schema { get { return schema ?? (schema = new SchemaFolder(Path.Combine(Folder, "schema"))); } }

        // Nothing is read before the first section is asked for.
        internal ConfigFile ApplicationHost
        {
            get
            {
                ConfigFile file = Open(path ?? Redirected() ?? Path.Combine(Folder, "applicationHost.config"), AppHost);
                if (sites == null)
                {
                    sites = NamesIn(file, "system.applicationHost/sites", "site");
                    pools = NamesIn(file, "system.applicationHost/applicationPools", "add");
                }
                return file;
            }
        }

        private static List<string> NamesIn(ConfigFile file, string section, string tag)
        {
            XmlTag found = new Layer { File = file, Location = "", Outer = file.Xml.Root }.Find(section);
            return found == null ? new List<string>() : found.Tags.Where(one => one.Name == tag).Select(one => one["name"] ?? "").ToList();
        }

        internal IEnumerable<string> Sites { get { return ApplicationHost == null ? null : sites; } }
        internal IEnumerable<string> Pools { get { return ApplicationHost == null ? null : pools; } }

        private string Redirected()
        {
            string file = Path.Combine(Folder, "redirection.config");
            if (!File.Exists(file)) return null;
            XmlTag found = Open(file, "MACHINE/REDIRECTION").Xml.Root.Find("configurationRedirection");
            if (found == null || !Text.Same(found["enabled"], "true")) return null;
            return Path.Combine(Environment.ExpandEnvironmentVariables(found["path"] ?? ""), "applicationHost.config");
        }

        internal ConfigFile Open(string file, string configPath)
        {
            ConfigFile found;
            if (!files.TryGetValue(file, out found)) files[file] = found = new ConfigFile(file, configPath);
            return found;
        }

        public Configuration GetApplicationHostConfiguration() { return new Configuration(this, ""); }
        public Configuration GetWebConfiguration(string siteName) { return new Configuration(this, ConfigFile.Trim(siteName)); }
        public Configuration GetWebConfiguration(string siteName, string virtualPath) { return new Configuration(this, (ConfigFile.Trim(siteName) + "/" + ConfigFile.Trim(virtualPath)).Trim('/')); }
        public Configuration GetRedirectionConfiguration() { return new Configuration(this, Path.Combine(Folder, "redirection.config"), "MACHINE/REDIRECTION"); }
        public Configuration GetAdministrationConfiguration() { throw Errors.NotImitated("GetAdministrationConfiguration"); }

        public void CommitChanges()
        {
            if (IsReadOnly) throw new InvalidOperationException(Errors.Committed);
            List<ConfigFile> dirty = files.Values.Where(file => file.IsDirty).ToList();
            foreach (ConfigFile file in dirty) file.Save();
            IsCommitted = true;
            if (dirty.Count > 0) Was.ReadAgain(this);
        }

        public void Dispose() { files.Clear(); }
    }

    public sealed class Configuration
    {
        internal readonly ServerManager Manager;
        private readonly string path; // "" or SITE/app: where a web configuration stands
        private readonly string redirection, redirectionPath;
        private readonly Dictionary<string, ConfigurationSection> sections = new Dictionary<string, ConfigurationSection>(StringComparer.OrdinalIgnoreCase);

        internal Configuration(ServerManager manager, string path) { Manager = manager; this.path = path; }
        internal Configuration(ServerManager manager, string file, string configPath) { Manager = manager; path = ""; redirection = file; redirectionPath = configPath; }

        internal bool IsReadOnly { get { return Manager.IsReadOnly; } }
        internal bool IsWeb { get { return path != ""; } }
        internal string ConfigPath { get { return path == "" ? ServerManager.AppHost : ServerManager.AppHost + "/" + path; } }
        internal ConfigFile Written { get { return redirection == null ? Manager.ApplicationHost : Manager.Open(redirection, redirectionPath); } }

        public ConfigurationSection GetSection(string sectionPath) { return Get(sectionPath, ""); }
        public ConfigurationSection GetSection(string sectionPath, string locationPath) { return Get(sectionPath, ConfigFile.Trim(locationPath)); }

        private ConfigurationSection Get(string sectionPath, string location)
        {
            string key = sectionPath + "\n" + location;
            ConfigurationSection found;
            if (sections.TryGetValue(key, out found)) return found;
            if (redirection != null)
            {
                if (!File.Exists(redirection) || Written.Xml.Root.Find(sectionPath) == null) throw Errors.Com("Element not found.", Codes.NotFound);
                return sections[key] = new ConfigurationSection(this, sectionPath, "", Manager.Schema.Find(sectionPath), null);
            }
            string target = (path + "/" + location).Trim('/');
            if (target != "" && !Manager.Sites.Any(site => Text.Same(site, target.Split('/')[0])))
                throw Errors.Missing("Filename: \r\nError: Unrecognized configuration path '" + ServerManager.AppHost + "/" + target + "'\r\n\r\n");
            XmlTag declared = Declaration(sectionPath);
            if (declared == null) throw Errors.BadFile(Manager.ApplicationHost.Path, 0, "The configuration section '" + sectionPath + "' cannot be read because it is missing a section declaration");
            ConfigurationElementSchema schema = Manager.Schema.Find(sectionPath);
            if (schema == null) throw Errors.Missing("Filename: " + ConfigFile.Long(Manager.ApplicationHost.Path) + "\r\nError: The configuration section '" + sectionPath + "' cannot be read because it is missing schema\r\n\r\n");
            if (location != "" && declared["allowDefinition"] == "AppHostOnly" || target != "" && declared["allowDefinition"] == "MachineToApplication" && !Folders.IsApplication(Manager, target))
                throw Errors.Com("The configuration section '" + sectionPath + "' cannot be used at this path", Codes.NotSupported);
            var made = new ConfigurationSection(this, sectionPath, location, schema, declared);
            made.Check();
            return sections[key] = made;
        }

        private XmlTag Declaration(string section)
        {
            XmlTag at = Manager.ApplicationHost.Xml.Root.Find("configSections");
            string[] names = section.Split('/');
            for (int index = 0; index < names.Length && at != null; index++)
            {
                string kind = index == names.Length - 1 ? "section" : "sectionGroup";
                at = at.Tags.FirstOrDefault(tag => tag.Name == kind && tag["name"] == names[index]);
            }
            return at;
        }

        // Shallow to deep: the file, its location tags by depth (not by their order in the file), then the web.config files of the folders.
        // A writable application host configuration ends with its own file: that is what bounds it.
        internal IEnumerable<Layer> Layers(string location)
        {
            string target = (path + "/" + location).Trim('/');
            foreach (Layer layer in Inside(Written, target, target)) yield return layer;
            if (!IsWeb) yield break;
            string[] names = path.Split('/');
            for (int depth = 1; depth <= names.Length; depth++)
            {
                string level = string.Join("/", names.Take(depth));
                string folder = Folders.Of(Manager, level);
                string file = folder == null ? null : Path.Combine(folder, "web.config");
                if (file == null || !File.Exists(file)) continue;
                string below = target.Length > level.Length ? target.Substring(level.Length + 1) : "";
                foreach (Layer layer in Inside(Manager.Open(file, ServerManager.AppHost + "/" + level), below, target)) yield return layer;
            }
        }

        private static IEnumerable<Layer> Inside(ConfigFile file, string below, string target)
        {
            yield return new Layer { File = file, Location = "", Outer = file.Xml.Root };
            string[] names = below == "" ? new string[0] : below.Split('/');
            for (int depth = 0; depth <= names.Length; depth++)
            {
                string level = string.Join("/", names.Take(depth));
                foreach (KeyValuePair<string, XmlTag> location in file.Locations.Where(one => Text.Same(one.Key, level)))
                {
                    if (depth < names.Length && Text.Same(location.Value["inheritInChildApplications"], "false")) throw Errors.NotImitated("inheritInChildApplications=\"false\" above " + target);
                    yield return new Layer { File = file, Location = level, Outer = location.Value };
                }
            }
        }

        internal bool IsWritten(Layer layer, string location) { return layer != null && ReferenceEquals(layer.File, Written) && Text.Same(layer.Location, location); }

        internal Layer WrittenLayer(ConfigurationSection section)
        {
            return Layers(section.Location).Last(layer => IsWritten(layer, section.Location) && layer.Find(section.SectionPath) != null);
        }

        internal void CheckWritable(ConfigurationSection section)
        {
            if (Manager.IsReadOnly || Manager.IsCommitted) throw new InvalidOperationException(Errors.Committed);
            if (section.IsLocked) throw section.Locked(Manager.ApplicationHost.Path, 0);
            if (IsWeb) throw Errors.NotImitated("writing a web.config");
            if (redirection != null) throw Errors.NotImitated("writing redirection.config");
        }

        public string[] GetLocationPaths() { return Written.Xml.Root.Tags.Where(tag => tag.Name == "location").Select(tag => tag["path"] ?? "").ToArray(); }

        // The first one of that path, or nothing.
        public void RemoveLocationPath(string locationPath)
        {
            if (Manager.IsReadOnly || Manager.IsCommitted) throw new InvalidOperationException(Errors.Committed);
            XmlTag found = Written.Locations.Where(one => Text.Same(one.Key, ConfigFile.Trim(locationPath))).Select(one => one.Value).FirstOrDefault();
            if (found == null) return;
            found.Parent.Remove(found);
            Written.IsDirty = true;
        }

        public void RenameLocationPath(string locationPath, string newLocationPath) { throw Errors.NotImitated("RenameLocationPath"); }
        public object RootSectionGroup { get { throw Errors.NotImitated("RootSectionGroup"); } }
        public object GetEffectiveSectionGroup() { throw Errors.NotImitated("GetEffectiveSectionGroup"); }
        public object GetMetadata(string metadataType) { throw Errors.NotImitated("metadata " + metadataType + " of a configuration"); }
        public void SetMetadata(string metadataType, object value) { throw Errors.NotImitated("SetMetadata"); }
    }
}
