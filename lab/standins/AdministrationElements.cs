// Elements, attributes and their metadata: what is effective, where it comes from, what a set changes (facts/iis.md 1.3-1.5, 6 (g), (m), (n)).
// An element is not a node of one file: it is the same place in every layer that has it (AdministrationManager.cs tells the layers).
using System;
using System.Collections;
using System.Collections.Generic;
using System.Linq;

namespace Microsoft.Web.Administration
{
    // One file, at one location of it, and what it holds of an element.
    internal sealed class Part
    {
        public Layer Layer;
        public XmlTag Tag;
    }

    public class ConfigurationElement
    {
        internal readonly Configuration Configuration;
        internal readonly ConfigurationElement Parent;
        private readonly ConfigurationElementSchema schema;

        internal ConfigurationElement(Configuration configuration, ConfigurationElement parent, ConfigurationElementSchema schema)
        {
            Configuration = configuration;
            Parent = parent;
            this.schema = schema;
        }

        public ConfigurationElementSchema Schema { get { return schema; } }
        public virtual string ElementTagName { get { return schema.Name; } }
        public bool IsLocallyStored { get { return ReferenceEquals(Section, this) ? Section.StoredAtConfiguration : throw Errors.NotImitated("IsLocallyStored of anything but a section"); } }

        // Shallow to deep.
        internal virtual List<Part> Parts
        {
            get
            {
                var found = new List<Part>();
                foreach (Part part in Parent.Parts)
                {
                    XmlTag tag = part.Tag.Find(schema.Name);
                    if (tag != null) found.Add(new Part { Layer = part.Layer, Tag = tag });
                }
                return found;
            }
        }

        // Where what is set is written to; made if need be.
        internal virtual XmlTag WriteTag()
        {
            XmlTag outer = Parent.WriteTag();
            XmlTag tag = outer.Find(schema.Name);
            if (tag == null) outer.Append(tag = XmlTag.New(schema.Name));
            return tag;
        }

        // What is there already at the place that is written to.
        internal virtual XmlTag LocalTag()
        {
            Part last = Parts.LastOrDefault();
            return last != null && Configuration.IsWritten(last.Layer, Section.Location) ? last.Tag : null;
        }

        internal virtual ConfigurationSection Section { get { return Parent.Section; } }

        // siteDefaults and its kin, nearest first: the same place in them.
        internal virtual IEnumerable<ConfigurationElement> Defaults
        {
            get { return Parent == null ? Enumerable.Empty<ConfigurationElement>() : Parent.Defaults.Select(one => one.ChildOrNull(schema.Name)).Where(one => one != null); }
        }

        internal ConfigurationElement ChildOrNull(string name)
        {
            ConfigurationElementSchema found = schema.Children.FirstOrDefault(one => one.Name == name);
            return found == null ? null : new ConfigurationElement(Configuration, this, found);
        }

        // -- reading --

        public ConfigurationAttributeCollection Attributes { get { return new ConfigurationAttributeCollection(this); } }
        public ConfigurationChildElementCollection ChildElements { get { return new ConfigurationChildElementCollection(schema.Children.Select(one => ChildOrNull(one.Name))); } }

        public ConfigurationMethodCollection Methods
        {
            get { return schema.Methods.Count == 0 ? null : new ConfigurationMethodCollection(this); }
        }

        public ConfigurationElement GetChildElement(string elementName)
        {
            ConfigurationElement found = ChildOrNull(elementName);
            if (found == null) throw Errors.BadIndex();
            return found;
        }

        // Each call makes a new wrapper with a list of its own.
        public ConfigurationElementCollection GetCollection() { return schema.CollectionSchema == null ? null : new ConfigurationElementCollection(this); }
        public ConfigurationElementCollection GetCollection(string collectionName) { return GetChildElement(collectionName).GetCollection(); }

        public ConfigurationAttribute GetAttribute(string attributeName) { return new ConfigurationAttribute(this, schema.Attribute(attributeName)); }
        public object GetAttributeValue(string attributeName) { return GetAttribute(attributeName).Value; }

        public object this[string attributeName]
        {
            get { return GetAttributeValue(attributeName); }
            set { SetAttributeValue(attributeName, value); }
        }

        internal string Stored(string name) { return Parts.Select(part => part.Tag[name]).LastOrDefault(text => text != null); }

        internal object Value(ConfigurationAttributeSchema attribute, out bool isDefault)
        {
            isDefault = false;
            if (attribute.Extension != "") return Extensions.Read(this, attribute);
            string text = Stored(attribute.Name);
            if (text == null)
            {
                isDefault = true;
                text = Defaults.Select(one => one.Stored(attribute.Name)).FirstOrDefault(one => one != null);
            }
            return text == null ? attribute.DefaultValue : Values.Read(attribute, text);
        }

        public virtual object GetMetadata(string metadataType) { throw Errors.NotImitated("metadata " + metadataType + " of an element"); }
        public virtual void SetMetadata(string metadataType, object value) { throw Errors.NotImitated("SetMetadata"); }

        // -- writing --

        public void SetAttributeValue(string attributeName, object value)
        {
            CheckWritable();
            ConfigurationAttributeSchema attribute = schema.Attribute(attributeName);
            if (attribute.Extension != "") throw Errors.Com("The request is not supported.", Codes.NotSupported); // a run-time value
            string text = Values.Write(attribute, value);
            CheckLock(attributeName);
            CheckKey(attribute, text);
            WriteTag()[attributeName] = text;
            Changed();
        }

        internal void DeleteAttribute(ConfigurationAttributeSchema attribute)
        {
            CheckWritable();
            CheckLock(attribute.Name);
            XmlTag tag = LocalTag();
            if (tag == null || tag[attribute.Name] == null) return;
            tag[attribute.Name] = null;
            Changed();
        }

        public virtual void Delete()
        {
            CheckWritable();
            XmlTag tag = LocalTag();
            if (tag == null) return;
            tag.Parent.Remove(tag);
            Changed();
        }

        internal virtual void CheckWritable() { Configuration.CheckWritable(Section); }
        internal virtual void Changed() { Configuration.Written.IsDirty = true; }
        internal virtual void CheckKey(ConfigurationAttributeSchema attribute, string text) { }

        // lockAttributes of a level above. That it binds a location tag of the same file is assumed; a web.config is never written here.
        internal virtual void CheckLock(string attribute)
        {
            foreach (Part part in Parts.Where(one => !Configuration.IsWritten(one.Layer, Section.Location)))
            {
                string[] locked = Text.List(part.Tag["lockAttributes"]);
                if (locked.Contains(attribute) || locked.Contains("*")) throw Errors.Load(part.Layer.File.Path, part.Tag.Line, "Lock violation", Codes.LockViolation);
            }
        }
    }

    // An item of a collection: in one layer only. Not attached until Add.
    internal sealed class ItemElement : ConfigurationElement
    {
        public XmlTag Tag;
        public Layer Layer; // null: not attached
        private readonly ConfigurationElement owner;

        public ItemElement(ConfigurationElement owner, ConfigurationElementSchema schema, XmlTag tag, Layer layer) : base(owner.Configuration, owner, schema)
        {
            this.owner = owner;
            Tag = tag;
            Layer = layer;
        }

        public override string ElementTagName { get { return Tag.Name; } }
        internal override List<Part> Parts { get { return new List<Part> { new Part { Layer = Layer, Tag = Tag } }; } }
        public bool IsLocal { get { return Layer != null && Configuration.IsWritten(Layer, Section.Location); } }
        internal override XmlTag LocalTag() { return Layer == null || IsLocal ? Tag : null; }

        internal override XmlTag WriteTag()
        {
            if (Layer != null && !IsLocal) throw Errors.Unknown("changing an inherited item of a collection");
            return Tag;
        }

        internal override IEnumerable<ConfigurationElement> Defaults
        {
            get
            {
                string name = owner.Schema.CollectionSchema.DefaultElement;
                for (ConfigurationElement at = owner; at != null && !string.IsNullOrEmpty(name); at = at.Parent)
                {
                    ConfigurationElement found = at.ChildOrNull(name);
                    if (found != null) yield return found;
                }
            }
        }

        internal string KeyText(ConfigurationAttributeSchema key)
        {
            bool isDefault;
            return Convert.ToString(Value(key, out isDefault), System.Globalization.CultureInfo.InvariantCulture);
        }

        public override object GetMetadata(string metadataType)
        {
            // Which file and which location an item comes from: 1.4.
            if (metadataType == "collectionItemLocationConfigPath") return Layer.ConfigPath;
            if (metadataType == "collectionItemFileConfigPath") return Layer.File.ConfigPath;
            return base.GetMetadata(metadataType);
        }

        public override void Delete() { throw Errors.NotImitated("Delete of an item of a collection"); }
        internal override void Changed() { if (Layer != null) base.Changed(); }

        internal override void CheckKey(ConfigurationAttributeSchema attribute, string text)
        {
            if (Layer == null || !(attribute.IsUniqueKey || attribute.IsCombinedKey)) return;
            XmlTag changed = Tag.Copy();
            changed[attribute.Name] = text;
            new ConfigurationElementCollection(owner).CheckDuplicate(new ItemElement(owner, Schema, changed, Layer), Tag);
        }
    }

    // What a method takes.
    internal sealed class InputElement : ConfigurationElement
    {
        private readonly XmlTag tag;

        public InputElement(Configuration configuration, ConfigurationElementSchema schema) : base(configuration, null, schema) { tag = XmlTag.New(schema.Name); }

        internal override List<Part> Parts { get { return new List<Part> { new Part { Tag = tag } }; } }
        internal override XmlTag WriteTag() { return tag; }
        internal override ConfigurationSection Section { get { return null; } }
        internal override void CheckWritable() { }
        internal override void Changed() { }
        internal override void CheckLock(string attribute) { }
        internal string Given(string name) { return tag[name]; }
    }

    public sealed class ConfigurationAttribute
    {
        private readonly ConfigurationElement element;
        private readonly ConfigurationAttributeSchema schema;

        internal ConfigurationAttribute(ConfigurationElement element, ConfigurationAttributeSchema schema) { this.element = element; this.schema = schema; }

        public string Name { get { return schema.Name; } }
        public ConfigurationAttributeSchema Schema { get { return schema; } }
        public bool IsProtected { get { return schema.IsEncrypted; } }

        public object Value
        {
            get { bool isDefault; return element.Value(schema, out isDefault); }
            set { element.SetAttributeValue(schema.Name, value); }
        }

        // The schema's default or that of a defaults element; not "inherited from the level above".
        public bool IsInheritedFromDefaultValue
        {
            get { return schema.Extension == "" && element.Stored(schema.Name) == null; }
        }

        public void Delete() { element.DeleteAttribute(schema); }

        public object GetMetadata(string metadataType)
        {
            if (metadataType == "isDefaultValue") return IsInheritedFromDefaultValue;
            if (metadataType == "isPropertyEncrypted") return IsProtected;
            throw Errors.NotImitated("metadata " + metadataType + " of an attribute");
        }
    }

    // Lists that PowerShell unrolls when a function returns them, like the real ones.
    public abstract class ListOf<T> : IEnumerable<T>, ICollection
    {
        internal readonly List<T> All = new List<T>();

        public int Count { get { return All.Count; } }
        public T this[int index] { get { return All[index]; } }
        public IEnumerator<T> GetEnumerator() { return All.GetEnumerator(); }
        IEnumerator IEnumerable.GetEnumerator() { return All.GetEnumerator(); }
        void ICollection.CopyTo(Array array, int index) { ((ICollection)All).CopyTo(array, index); }
        bool ICollection.IsSynchronized { get { return false; } }
        object ICollection.SyncRoot { get { return All; } }
    }

    // Every attribute of the schema, stored or not.
    public sealed class ConfigurationAttributeCollection : ListOf<ConfigurationAttribute>
    {
        internal ConfigurationAttributeCollection(ConfigurationElement element)
        {
            foreach (ConfigurationAttributeSchema schema in element.Schema.Attributes) All.Add(new ConfigurationAttribute(element, schema));
        }

        public ConfigurationAttribute this[string name]
        {
            get { ConfigurationAttribute found = All.FirstOrDefault(one => one.Name == name); if (found == null) throw Errors.BadIndex(); return found; }
        }
    }

    public sealed class ConfigurationChildElementCollection : ListOf<ConfigurationElement>
    {
        internal ConfigurationChildElementCollection(IEnumerable<ConfigurationElement> elements) { All.AddRange(elements); }
    }
}
