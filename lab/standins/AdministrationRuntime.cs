// What nothing in a file holds: the state of sites and pools as the activation service knows it, certificate records of http.sys, and the
// methods on elements that change them at once (facts/iis.md 1.7, 3 k n, 6 (o)). Kept in the registry:
//   HKLM\SOFTWARE\LabStandin\WAS: "site NAME", "pool NAME" = state; "since site NAME" = when WAS begins to know it, in UTC ticks;
//     DelayMs (dword, 200): how long after a commit that is; Down (dword): the service does not answer
//   HKLM\SYSTEM\CurrentControlSet\Services\HTTP\Parameters\SslBindingInfo\<ip:port>, SslSniBindingInfo\<host:port>: as http.sys keeps them
// By time, not by a count of reads: a read must not change what the lab's journal compares.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.Win32;

namespace Microsoft.Web.Administration
{
    public sealed class ConfigurationMethod
    {
        private readonly ConfigurationElement element;
        private readonly ConfigurationElementSchema input;

        internal ConfigurationMethod(ConfigurationElement element, string name, ConfigurationElementSchema input) { this.element = element; Name = name; this.input = input; }

        public string Name { get; private set; }
        public ConfigurationMethodInstance CreateInstance() { return new ConfigurationMethodInstance(element, Name, input); }
    }

    public sealed class ConfigurationMethodCollection : ListOf<ConfigurationMethod>
    {
        internal ConfigurationMethodCollection(ConfigurationElement element)
        {
            foreach (KeyValuePair<string, ConfigurationElementSchema> method in element.Schema.Methods) All.Add(new ConfigurationMethod(element, method.Key, method.Value));
        }

        public ConfigurationMethod this[string name] { get { return All.FirstOrDefault(one => one.Name == name); } }
    }

    public sealed class ConfigurationMethodInstance
    {
        private readonly ConfigurationElement element;
        private readonly string name;
        private readonly InputElement input;

        internal ConfigurationMethodInstance(ConfigurationElement element, string name, ConfigurationElementSchema schema)
        {
            this.element = element;
            this.name = name;
            input = schema == null ? null : new InputElement(element.Configuration, schema);
        }

        public ConfigurationElement Input { get { return input; } }
        public ConfigurationElement Output { get { return null; } }
        public void Execute() { Extensions.Run(element, name, input); }
    }

    internal static class Extensions
    {
        public static object Read(ConfigurationElement element, ConfigurationAttributeSchema attribute)
        {
            if (attribute.Extension == "Lab.Was") return Was.State(element);
            if (attribute.Extension == "Lab.Http") return Http.Read(element, attribute.Name);
            throw Errors.NotImitated("attribute " + attribute.Name);
        }

        public static void Run(ConfigurationElement element, string method, InputElement input)
        {
            switch (method)
            {
                case "Start": Was.Start(element); break;
                case "Stop": Was.Stop(element); break;
                case "Recycle": Was.Recycle(element); break;
                case "AddSslCertificate": Http.Set(element, input.Given("certificateHash"), input.Given("certificateStoreName"), false); break;
                case "RebindSslCertificate": Http.Set(element, input.Given("certificateHash"), input.Given("certificateStoreName"), true); break;
                case "RemoveSslCertificate": Http.Remove(element); break;
                default: throw Errors.NotImitated("method " + method);
            }
        }
    }

    internal static class Was
    {
        private const int Starting = 0, Started = 1, Stopping = 2, Stopped = 3;
        private const string Key = @"SOFTWARE\LabStandin\WAS";
        private static readonly string[] Names = { "Starting", "Started", "Stopping", "Stopped", "Unknown" };

        private static object Get(string name) { using (RegistryKey key = Registry.LocalMachine.OpenSubKey(Key)) return key == null ? null : key.GetValue(name); }

        private static void Put(string name, object value)
        {
            using (RegistryKey key = Registry.LocalMachine.CreateSubKey(Key))
            {
                if (value == null) key.DeleteValue(name, false);
                else key.SetValue(name, value);
            }
        }

        private static string NameOf(ConfigurationElement element) { return (element.ElementTagName == "site" ? "site " : "pool ") + (string)element["name"]; }

        private static IEnumerable<ConfigurationElement> All(ServerManager manager, string section)
        {
            return manager.GetApplicationHostConfiguration().GetSection(section).GetCollection();
        }

        public static int State(ConfigurationElement element)
        {
            if (Get("Down") is int && (int)Get("Down") != 0) throw Errors.Com("The RPC server is unavailable.", Codes.ServerUnavailable);
            string name = NameOf(element);
            var since = Get("since " + name) as string;
            bool young = since != null && DateTime.UtcNow.Ticks < long.Parse(since, System.Globalization.CultureInfo.InvariantCulture);
            if (((ItemElement)element).Layer == null || young || !IsServed(element)) throw Errors.Com("The object identifier does not represent a valid object.", Codes.NoSuchObject);
            var state = Get(name) as string;
            // What nobody committed through here was there when WAS started.
            if (state == null && !IsInFile(element)) throw Errors.Com("The object identifier does not represent a valid object.", Codes.NoSuchObject);
            if (state == null) return Started;
            int at = Array.FindIndex(Names, one => Text.Same(one, state));
            return at < 0 ? 4 : at;
        }

        private static bool IsInFile(ConfigurationElement element)
        {
            ServerManager manager = element.Configuration.Manager;
            return (element.ElementTagName == "site" ? manager.Sites : manager.Pools).Any(one => Text.Same(one, (string)element["name"]));
        }

        // A site without http or https, or one whose pool is not there, is none for WAS. Its pool is that of its application "/":
        // that the pool of another application changes nothing for the site is assumed.
        private static bool IsServed(ConfigurationElement element)
        {
            if (element.ElementTagName != "site") return true;
            if (!element.GetCollection("bindings").Any(one => IsHttp(one))) return false;
            List<string> pools = All(element.Configuration.Manager, "system.applicationHost/applicationPools").Select(one => (string)one["name"]).ToList();
            return element.GetCollection().Where(one => (string)one["path"] == "/").All(one => pools.Any(pool => Text.Same(pool, (string)one["applicationPool"])));
        }

        private static bool IsHttp(ConfigurationElement binding) { return Text.Same((string)binding["protocol"], "http") || Text.Same((string)binding["protocol"], "https"); }

        // Of one address, port and host. Assumed: one address and port is for http or for https, whatever the host names, so that a site with the
        // other one does not start either.
        private static bool IsTaken(ConfigurationElement site)
        {
            List<ConfigurationElement> own = site.GetCollection("bindings").Where(IsHttp).ToList();
            return All(site.Configuration.Manager, "system.applicationHost/sites")
                .Any(other => !Text.Same((string)other["name"], (string)site["name"]) && (Get(NameOf(other)) as string ?? "Started") == "Started" && other.GetCollection("bindings").Where(IsHttp).Any(one => own.Any(mine => Collide(one, mine))));
        }

        private static bool Collide(ConfigurationElement one, ConfigurationElement other)
        {
            Endpoint first = Endpoint.Of(one), second = Endpoint.Of(other);
            bool otherProtocol = !Text.Same((string)one["protocol"], (string)other["protocol"]);
            return Text.Same(first.Address, second.Address) && first.Port == second.Port && (first.Host == second.Host || otherProtocol);
        }

        public static void Start(ConfigurationElement element)
        {
            if (State(element) == Started) return;
            if (element.ElementTagName == "site" && IsTaken(element)) throw Errors.Com("Cannot create a file when that file already exists.", Codes.AlreadyExists);
            Put(NameOf(element), Names[Started]);
        }

        public static void Stop(ConfigurationElement element)
        {
            if (State(element) == Stopped) throw Errors.Com("The service has not been started.", Codes.ServiceNotActive);
            Put(NameOf(element), Names[Stopped]);
        }

        public static void Recycle(ConfigurationElement element)
        {
            if (State(element) == Stopped) throw Errors.Com("The service has not been started.", Codes.ServiceNotActive);
        }

        // After a commit: what is new begins to live, what is gone is forgotten.
        public static void ReadAgain(ServerManager manager)
        {
            var present = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
            object delay = Get("DelayMs");
            string since = (DateTime.UtcNow.Ticks + (delay is int ? (int)delay : 200) * TimeSpan.TicksPerMillisecond).ToString(System.Globalization.CultureInfo.InvariantCulture);
            foreach (string section in new[] { "system.applicationHost/applicationPools", "system.applicationHost/sites" })
            {
                foreach (ConfigurationElement one in All(manager, section))
                {
                    string name = NameOf(one);
                    present.Add(name);
                    if (IsInFile(one)) continue;
                    bool starts = (bool)one[one.ElementTagName == "site" ? "serverAutoStart" : "autoStart"] && (one.ElementTagName != "site" || !IsTaken(one));
                    Put(name, Names[starts ? Started : Stopped]);
                    Put("since " + name, since);
                }
            }
            using (RegistryKey key = Registry.LocalMachine.OpenSubKey(Key))
            {
                if (key == null) return;
                foreach (string name in key.GetValueNames())
                {
                    string about = name.StartsWith("since ", StringComparison.Ordinal) ? name.Substring(6) : name;
                    bool isState = about.StartsWith("site ", StringComparison.OrdinalIgnoreCase) || about.StartsWith("pool ", StringComparison.OrdinalIgnoreCase);
                    if (isState && !present.Contains(about)) Put(name, null);
                }
            }
        }
    }

    // Address, port and host of a binding, taken apart from the right: an address may hold colons.
    internal struct Endpoint
    {
        public string Address, Port, Host;

        public static Endpoint Of(ConfigurationElement binding)
        {
            var text = (string)binding["bindingInformation"];
            int host = text.LastIndexOf(':'), port = host > 0 ? text.LastIndexOf(':', host - 1) : -1;
            if (port < 0) throw Errors.BadValue("The data is invalid.");
            string address = text.Substring(0, port), name = text.Substring(host + 1);
            return new Endpoint { Address = address == "" || address == "*" ? "0.0.0.0" : address, Port = text.Substring(port + 1, host - port - 1), Host = name == "*" ? "" : name.ToLowerInvariant() };
        }
    }

    internal static class Http
    {
        private const string Parameters = @"SYSTEM\CurrentControlSet\Services\HTTP\Parameters\";
        private static readonly Guid Iis = new Guid("4dc3e181-e14b-4a21-b022-59fc669b0914");

        private static string Key(ConfigurationElement binding)
        {
            Endpoint end = Endpoint.Of(binding);
            var flags = (long)binding["sslFlags"];
            if ((flags & 2) != 0) throw Errors.NotImitated("the central certificate store");
            bool named = (flags & 1) != 0;
            string folder = Parameters + (named ? "SslSniBindingInfo" : "SslBindingInfo"), name = (named ? end.Host : end.Address) + ":" + end.Port;
            using (RegistryKey key = Registry.LocalMachine.OpenSubKey(folder))
                return folder + @"\" + (key == null ? name : key.GetSubKeyNames().FirstOrDefault(one => IsSame(one, name, named)) ?? name);
        }

        // An address has several spellings; that a name has another one than its own in any case is not known.
        private static bool IsSame(string one, string other, bool named)
        {
            IPEndPoint first, second;
            if (named || !IPEndPoint.TryParse(one, out first) || !IPEndPoint.TryParse(other, out second)) return Text.Same(one, other);
            return first.Equals(second);
        }

        public static object Read(ConfigurationElement binding, string attribute)
        {
            if (attribute == "isDsMapperEnabled") return false;
            // With the central store the binding has no certificate of its own.
            if (!Text.Same((string)binding["protocol"], "https") || ((long)binding["sslFlags"] & 2) != 0 || ((ItemElement)binding).Layer == null) return "";
            using (RegistryKey key = Registry.LocalMachine.OpenSubKey(Key(binding)))
            {
                if (key == null) return "";
                if (attribute == "certificateStoreName") return key.GetValue("SslCertStoreName") as string ?? "";
                return string.Concat((key.GetValue("SslCertHash") as byte[] ?? new byte[0]).Select(one => one.ToString("X2", System.Globalization.CultureInfo.InvariantCulture)));
            }
        }

        // Add replaces a record that is there, as public scripts rely on (open question 5); Rebind wants one and keeps its flags.
        public static void Set(ConfigurationElement binding, string hash, string store, bool again)
        {
            if (string.IsNullOrEmpty(store)) store = "MY";
            string path = Key(binding);
            byte[] bytes = HasKey(hash, store);
            int old = 0;
            using (RegistryKey key = Registry.LocalMachine.OpenSubKey(path))
            {
                if (key == null && again) throw Errors.Missing("The system cannot find the file specified.");
                if (key != null) old = key.GetValue("DefaultFlags") as int? ?? 0;
            }
            using (RegistryKey key = Registry.LocalMachine.CreateSubKey(path))
            {
                key.SetValue("SslCertHash", bytes, RegistryValueKind.Binary);
                key.SetValue("SslCertStoreName", store);
                key.SetValue("AppId", Iis.ToByteArray(), RegistryValueKind.Binary);
                key.SetValue("DefaultFlags", again ? old : Flags((long)binding["sslFlags"]), RegistryValueKind.DWord);
            }
        }

        // The flags of http.sys are other numbers than those of IIS; two of them are known.
        private static int Flags(long ssl) { return ((ssl & 4) != 0 ? 0x10 : 0) | ((ssl & 64) != 0 ? 0x400 : 0); }

        // http.sys cannot use a certificate without its key.
        private static byte[] HasKey(string hash, string store)
        {
            hash = hash ?? "";
            if (hash.Length == 0 || hash.Length % 2 != 0 || !hash.All(Uri.IsHexDigit)) throw new ArgumentException("Value does not fall within the expected range.");
            try
            {
                using (var opened = new X509Store(store, StoreLocation.LocalMachine))
                {
                    opened.Open(OpenFlags.ReadOnly | OpenFlags.OpenExistingOnly);
                    if (opened.Certificates.Cast<X509Certificate2>().Any(one => Text.Same(one.Thumbprint, hash) && one.HasPrivateKey)) return Convert.FromHexString(hash);
                }
            }
            catch (CryptographicException) { } // no such store
            throw Errors.Com("A specified logon session does not exist. It may already have been terminated.", Codes.NoSuchLogonSession);
        }

        public static void Remove(ConfigurationElement binding)
        {
            string path = Key(binding);
            using (RegistryKey key = Registry.LocalMachine.OpenSubKey(path)) if (key == null) throw Errors.Missing("The system cannot find the file specified.");
            Registry.LocalMachine.DeleteSubKeyTree(path);
        }
    }
}
