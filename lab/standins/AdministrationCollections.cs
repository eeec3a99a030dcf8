// Collections: how the directives of all layers make one list, and what a change of that list writes (facts/iis.md 1.6, 3 l, 6 (i), (j), (k)).
using System;
using System.Collections;
using System.Collections.Generic;
using System.Linq;

namespace Microsoft.Web.Administration
{
    public abstract class ConfigurationElementCollectionBase<T> : ConfigurationElement, IEnumerable<T>, ICollection where T : ConfigurationElement
    {
        internal ConfigurationElementCollectionBase(ConfigurationElement owner) : base(owner.Configuration, owner.Parent, owner.Schema) { }

        internal abstract List<T> All { get; }

        public int Count { get { return All.Count; } }
        public T this[int index] { get { if (index < 0 || index >= All.Count) throw Errors.BadIndex(); return All[index]; } }
        public int IndexOf(T element) { return All.FindIndex(one => ReferenceEquals(one, element)); }
        public IEnumerator<T> GetEnumerator() { return All.GetEnumerator(); }
        IEnumerator IEnumerable.GetEnumerator() { return All.GetEnumerator(); }
        void ICollection.CopyTo(Array array, int index) { ((ICollection)All).CopyTo(array, index); }
        bool ICollection.IsSynchronized { get { return false; } }
        object ICollection.SyncRoot { get { return All; } }
    }

    public sealed class ConfigurationElementCollection : ConfigurationElementCollectionBase<ConfigurationElement>
    {
        private readonly ConfigurationElement owner;
        private readonly ConfigurationCollectionSchema rules;
        private List<ConfigurationElement> list; // read once; another wrapper has its own

        internal ConfigurationElementCollection(ConfigurationElement owner) : base(owner) { this.owner = owner; rules = owner.Schema.CollectionSchema; }

        internal override List<Part> Parts { get { return owner.Parts; } }
        internal override XmlTag WriteTag() { return owner.WriteTag(); }
        internal override ConfigurationSection Section { get { return owner.Section; } }

        // "The schema names such a directive", which says nothing of RemoveAt.
        public bool AllowsAdd { get { return !string.IsNullOrEmpty(rules.AddElementNames); } }
        public bool AllowsClear { get { return !string.IsNullOrEmpty(rules.ClearElementName); } }
        public bool AllowsRemove { get { return !string.IsNullOrEmpty(rules.RemoveElementName); } }

        internal override List<ConfigurationElement> All
        {
            get { return list ?? (list = Merge(owner.Parts, null).Cast<ConfigurationElement>().ToList()); }
        }

        private List<ItemElement> Merge(List<Part> parts, Part without)
        {
            var merged = new List<ItemElement>();
            foreach (Part part in parts)
            {
                if (ReferenceEquals(part, without)) continue;
                int front = 0;
                foreach (XmlTag tag in part.Tag.Tags)
                {
                    if (tag.Name == rules.ClearElementName) { merged.Clear(); front = 0; }
                    else if (tag.Name == rules.RemoveElementName)
                    {
                        int at = merged.FindIndex(one => SameKey(one, new ItemElement(owner, rules.Item, tag, part.Layer)));
                        if (at >= 0) { merged.RemoveAt(at); if (at < front) front--; }
                    }
                    else if (IsAdd(tag.Name))
                    {
                        var item = new ItemElement(owner, rules.Item, tag, part.Layer);
                        ConfigurationAttributeSchema absent = rules.Item.Attributes.FirstOrDefault(one => one.IsRequired && tag[one.Name] == null);
                        if (absent != null) throw Errors.BadFile(part.Layer.File.Path, tag.Line, "Missing required attribute '" + absent.Name + "'");
                        if (!rules.AllowDuplicates && merged.Any(one => SameKey(one, item))) throw Duplicate(item, part.Layer.File, tag.Line);
                        if (rules.IsMergeAppend) merged.Add(item);
                        else merged.Insert(front++, item);
                    }
                    else if (owner.Schema.Children.All(one => one.Name != tag.Name)) throw Errors.BadFile(part.Layer.File.Path, tag.Line, "Unrecognized element '" + tag.Name + "'");
                }
            }
            return merged;
        }

        private bool IsAdd(string name) { return Text.List(rules.AddElementNames).Contains(name); }

        // Each unique key counts alone, combined keys count together; without a key nothing is equal.
        private bool SameKey(ItemElement one, ItemElement other)
        {
            Func<ConfigurationAttributeSchema, bool> same = key => string.Equals(one.KeyText(key), other.KeyText(key), key.IsCaseSensitive ? StringComparison.Ordinal : StringComparison.OrdinalIgnoreCase);
            ConfigurationElementSchema schema = rules.Item;
            // A remove directive names one key only.
            if (schema.UniqueKeys.Any(key => one.Tag[key.Name] != null && other.Tag[key.Name] != null && same(key))) return true;
            return schema.CombinedKeys.Any() && schema.CombinedKeys.All(same);
        }

        private Exception Duplicate(ItemElement item, ConfigFile file, int line)
        {
            string[] keys = rules.Item.Keys.Select(key => key.Name).ToArray();
            string values = string.Join(", ", rules.Item.Keys.Select(item.KeyText));
            string text = "Cannot add duplicate collection entry of type '" + item.ElementTagName + "' with "
                + (rules.Item.CombinedKeys.Any() ? "combined key attributes '" + string.Join(", ", keys) + "' respectively set to '" : "unique key attribute '" + string.Join(", ", keys) + "' set to '") + values + "'";
            return Errors.Com(file == null ? text : "Filename: " + ConfigFile.Long(file.Path) + "\r\nLine number: " + Text.Of(line) + "\r\nError: " + text, Codes.AlreadyExists);
        }

        internal void CheckDuplicate(ItemElement item, XmlTag itself)
        {
            if (!rules.AllowDuplicates && Merge(owner.Parts, null).Any(one => !ReferenceEquals(one.Tag, itself) && SameKey(one, item))) throw Duplicate(item, null, 0);
        }

        // -- changing --

        public ConfigurationElement CreateElement() { return CreateElement(Text.List(rules.AddElementNames)[0]); }

        public ConfigurationElement CreateElement(string elementTagName)
        {
            CheckWritable();
            if (!IsAdd(elementTagName)) throw Errors.BadIndex();
            return new ItemElement(owner, rules.Item, XmlTag.New(elementTagName), null);
        }

        public ConfigurationElement Add(ConfigurationElement element) { return AddAt(Count, element); }

        public ConfigurationElement AddAt(int index, ConfigurationElement element)
        {
            CheckWritable();
            var item = (ItemElement)element;
            if (item.Layer != null) throw Errors.NotImitated("adding an element that is in a collection");
            if (index == -1) index = Count;
            if (index < 0 || index > Count) throw Errors.BadIndex();
            string[] absent = rules.Item.Attributes.Where(one => one.IsRequired && item.Tag[one.Name] == null).Select(one => one.Name).ToArray();
            if (absent.Length > 0) throw Errors.Missing("Element is missing required attributes " + string.Join(",", absent) + "\r\n");
            CheckDuplicate(item, null);

            XmlTag tag = owner.WriteTag();
            List<ItemElement> now = All.Cast<ItemElement>().ToList();
            int local = now.Count(one => one.IsLocal);
            int place = rules.IsMergeAppend ? index - (now.Count - local) : index; // among the local ones
            if (place < 0 || place > local) CopyAll(tag, now);
            // Asked again: the copies are local.
            List<ItemElement> mine = now.Where(one => one.IsLocal).ToList();
            place = rules.IsMergeAppend ? index - (now.Count - mine.Count) : index;
            if (place < mine.Count) tag.InsertBefore(mine[place].Tag, item.Tag);
            else PutLast(tag, item.Tag);
            item.Layer = Configuration.WrittenLayer(Section);
            All.Insert(index, item);
            Changed();
            return item;
        }

        // Between inherited items nothing can be added: IIS writes <clear/> and the whole list.
        private void CopyAll(XmlTag tag, List<ItemElement> now)
        {
            if (!AllowsClear) throw Errors.Unknown("adding between inherited items of a collection that has no clear");
            List<XmlTag> copies = now.Select(one => one.Tag.Copy()).ToList();
            foreach (XmlTag old in tag.Tags.Where(IsDirective).ToList()) tag.Remove(old);
            tag.InsertFirst(XmlTag.New(rules.ClearElementName));
            Layer layer = Configuration.WrittenLayer(Section);
            for (int at = 0; at < now.Count; at++)
            {
                PutLast(tag, copies[at]);
                now[at].Tag = copies[at];
                now[at].Layer = layer;
            }
        }

        // Behind the last directive, else before siteDefaults and its kin.
        private void PutLast(XmlTag tag, XmlTag directive)
        {
            XmlTag last = tag.Tags.LastOrDefault(IsDirective), defaults = tag.Tags.FirstOrDefault(one => one.Name.EndsWith("Defaults", StringComparison.Ordinal));
            if (last != null) tag.InsertAfter(last, directive);
            else if (defaults != null) tag.InsertBefore(defaults, directive);
            else tag.Append(directive);
        }

        private bool IsDirective(XmlTag tag) { return tag.Name == rules.ClearElementName || tag.Name == rules.RemoveElementName || IsAdd(tag.Name); }

        // An element of another wrapper is not in this list: nothing happens, silently (finding 8).
        public void Remove(ConfigurationElement element)
        {
            int at = IndexOf(element);
            if (at >= 0) RemoveAt(at);
        }

        public void RemoveAt(int index)
        {
            if (Configuration.IsReadOnly) throw Errors.Load(Configuration.Written.Path, 0, "The configuration file is opened for read only access", Codes.SharingViolation);
            CheckWritable();
            if (index < 0 || index >= Count) throw Errors.BadIndex();
            var item = (ItemElement)All[index];
            if (item.IsLocal) item.Tag.Parent.Remove(item.Tag);
            else
            {
                if (!AllowsRemove) throw Errors.Unknown("removing an inherited item of a collection that has no remove");
                XmlTag directive = XmlTag.New(rules.RemoveElementName);
                foreach (ConfigurationAttributeSchema key in rules.Item.Keys) directive[key.Name] = item.Tag[key.Name];
                PutLast(owner.WriteTag(), directive);
            }
            All.RemoveAt(index);
            Changed();
        }

        public void Clear()
        {
            CheckWritable();
            XmlTag tag = owner.LocalTag();
            if (tag != null) foreach (XmlTag old in tag.Tags.Where(IsDirective).ToList()) { tag.Remove(old); Changed(); }
            if (Merge(owner.Parts, null).Count > 0)
            {
                if (!AllowsClear) throw Errors.Unknown("Clear of a collection that inherits and has no clear");
                owner.WriteTag().InsertFirst(XmlTag.New(rules.ClearElementName));
                Changed();
            }
            list = new List<ConfigurationElement>();
        }
    }
}
