// XML that is written as it was read, but for what was changed: declaration, BOM, comments, line ends, quotes, blanks in tags.
// Nothing of IIS here. A document is checked by XmlReader first, so that taking it apart may trust it.
using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Xml;

namespace Microsoft.Web.Administration
{
    // A piece of text between tags, a comment, a declaration: kept as it stands.
    internal class XmlPiece
    {
        public string Raw = "";
        public XmlTag Parent;

        public bool IsBlank { get { return !(this is XmlTag) && Raw.All(char.IsWhiteSpace); } }

        public virtual void Write(StringBuilder to) { to.Append(Raw); }
    }

    internal sealed class XmlTag : XmlPiece
    {
        private struct Place { public string Name; public int Start, ValueStart, ValueEnd, End; }

        public string Name;
        public int Line;
        public readonly List<XmlPiece> Pieces = new List<XmlPiece>();
        private string close; // null: <x />

        // `Raw` is the start tag.
        public XmlTag(string raw, int line)
        {
            Raw = raw;
            Line = line;
            int end = 1;
            while (!char.IsWhiteSpace(raw[end]) && raw[end] != '/' && raw[end] != '>') end++;
            Name = raw.Substring(1, end - 1);
            close = raw.EndsWith("/>", StringComparison.Ordinal) ? null : "";
        }

        public static XmlTag New(string name) { return new XmlTag("<" + name + " />", 0); }

        public XmlTag Copy()
        {
            var copy = new XmlTag(Raw, Line) { close = close };
            foreach (XmlPiece piece in Pieces)
            {
                XmlPiece made = piece is XmlTag ? ((XmlTag)piece).Copy() : new XmlPiece { Raw = piece.Raw };
                made.Parent = copy;
                copy.Pieces.Add(made);
            }
            return copy;
        }

        public IEnumerable<XmlTag> Tags { get { return Pieces.OfType<XmlTag>(); } }

        public XmlTag Find(string name) { return Tags.FirstOrDefault(tag => tag.Name == name); }

        public void Close(string raw) { close = raw; }

        public override void Write(StringBuilder to)
        {
            to.Append(Raw);
            foreach (XmlPiece piece in Pieces) piece.Write(to);
            to.Append(close);
        }

        // -- attributes, in the text of the start tag --

        public string this[string name]
        {
            get
            {
                foreach (Place place in Places()) if (place.Name == name) return Unescape(Raw.Substring(place.ValueStart, place.ValueEnd - place.ValueStart));
                return null;
            }
            set
            {
                // A file that nobody can read again is not written.
                if (value != null) XmlConvert.VerifyXmlChars(value);
                List<Place> places = Places();
                int at = places.FindIndex(place => place.Name == name);
                if (value == null)
                {
                    if (at >= 0) Raw = Raw.Remove(places[at].Start, places[at].End - places[at].Start);
                    return;
                }
                if (at >= 0)
                {
                    char quote = Raw[places[at].ValueEnd];
                    Raw = Raw.Substring(0, places[at].ValueStart) + Escape(value, quote) + Raw.Substring(places[at].ValueEnd);
                    return;
                }
                int end = places.Count > 0 ? places[places.Count - 1].End : 1 + Name.Length;
                Raw = Raw.Insert(end, " " + name + "=\"" + Escape(value, '"') + "\"");
            }
        }

        public IEnumerable<string> Names { get { return Places().Select(place => place.Name); } }

        private List<Place> Places()
        {
            var found = new List<Place>();
            int at = 1 + Name.Length;
            while (true)
            {
                var place = new Place { Start = at };
                while (char.IsWhiteSpace(Raw[at])) at++;
                if (Raw[at] == '/' || Raw[at] == '>') return found;
                int from = at;
                while (Raw[at] != '=' && !char.IsWhiteSpace(Raw[at])) at++;
                place.Name = Raw.Substring(from, at - from);
                while (Raw[at] != '"' && Raw[at] != '\'') at++;
                place.ValueStart = at + 1;
                place.ValueEnd = Raw.IndexOf(Raw[at], at + 1);
                place.End = at = place.ValueEnd + 1;
                found.Add(place);
            }
        }

        private static string Escape(string value, char quote)
        {
            var text = new StringBuilder();
            foreach (char letter in value)
            {
                if (letter == '&') text.Append("&amp;");
                else if (letter == '<') text.Append("&lt;");
                else if (letter == '>') text.Append("&gt;");
                else if (letter == '"' && quote == '"') text.Append("&quot;");
                else if (letter == '\'' && quote == '\'') text.Append("&apos;");
                else if (letter == '\t' || letter == '\n' || letter == '\r') text.Append("&#").Append(Text.Of(letter)).Append(';');
                else text.Append(letter);
            }
            return text.ToString();
        }

        private static string Unescape(string raw)
        {
            if (raw.IndexOfAny(new[] { '&', '\t', '\n', '\r' }) < 0) return raw;
            // Entities and the blanks that stand for line ends: XmlReader knows the rules.
            using (XmlReader reader = XmlReader.Create(new StringReader("<x v=\"" + raw.Replace("\"", "&quot;") + "\"/>")))
            {
                reader.Read();
                return reader.GetAttribute("v");
            }
        }

        // -- layout: a tag that comes in stands on its own line, as deep as its siblings --

        public void Append(XmlTag tag)
        {
            int at = Pieces.Count;
            while (at > 0 && Pieces[at - 1].IsBlank) at--;
            Open();
            if (at == Pieces.Count) Put(at, new XmlPiece { Raw = NewLine() + Indent() });
            string inner = InnerIndent();
            Put(at, tag);
            Put(at, new XmlPiece { Raw = NewLine() + inner });
        }

        public void InsertAfter(XmlTag sibling, XmlTag tag)
        {
            int at = Pieces.IndexOf(sibling) + 1;
            while (at < Pieces.Count && Pieces[at].IsBlank) at++;
            if (at == Pieces.Count) Append(tag);
            else InsertBefore(Pieces[at], tag);
        }

        public void InsertFirst(XmlTag tag)
        {
            XmlPiece first = Pieces.FirstOrDefault(piece => !piece.IsBlank);
            if (first == null) Append(tag);
            else InsertBefore(first, tag);
        }

        public void InsertBefore(XmlPiece sibling, XmlTag tag)
        {
            int at = Pieces.IndexOf(sibling);
            string inner = InnerIndent();
            Put(at, new XmlPiece { Raw = NewLine() + inner });
            Put(at, tag);
        }

        // Its line goes with it; a tag that has nothing left in it is written <x />.
        public void Remove(XmlTag tag)
        {
            int at = Pieces.IndexOf(tag);
            bool last = Pieces.Skip(at + 1).All(piece => piece.IsBlank);
            Pieces.RemoveAt(at);
            int blank = last ? at - 1 : at;
            if (blank >= 0 && Pieces[blank].IsBlank) Pieces.RemoveAt(blank);
            tag.Parent = null;
            if (Pieces.Any(piece => !piece.IsBlank)) return;
            Pieces.Clear();
            close = null;
            Raw = Raw.Substring(0, Raw.Length - 1).TrimEnd() + " />";
        }

        private void Put(int at, XmlPiece piece) { piece.Parent = this; Pieces.Insert(at, piece); }

        private void Open()
        {
            if (close != null) return;
            Raw = Raw.Substring(0, Raw.Length - 2).TrimEnd() + ">";
            close = "</" + Name + ">";
        }

        private string Indent()
        {
            if (Parent == null) return "";
            int at = Parent.Pieces.IndexOf(this);
            if (at == 0 || !Parent.Pieces[at - 1].IsBlank) return "";
            return Parent.Pieces[at - 1].Raw.Substring(Parent.Pieces[at - 1].Raw.LastIndexOf('\n') + 1);
        }

        private string InnerIndent()
        {
            XmlTag first = Tags.FirstOrDefault();
            if (first != null && first.Indent() != "") return first.Indent();
            string outer = Parent == null ? "" : Parent.Indent();
            string own = Indent();
            string step = own.Length > outer.Length && own.StartsWith(outer, StringComparison.Ordinal) ? own.Substring(outer.Length) : "    ";
            return own + step;
        }

        private string NewLine()
        {
            XmlTag top = this;
            while (top.Parent != null) top = top.Parent;
            return top.Document != null ? top.Document.NewLine : "\n";
        }

        public XmlText Document; // of the outermost tag
    }

    internal sealed class XmlText
    {
        public XmlTag Root;
        public string NewLine;
        private readonly List<XmlPiece> before = new List<XmlPiece>(), after = new List<XmlPiece>();
        private Encoding encoding;
        private bool bom;

        // Raises XmlException with line and column.
        public static XmlText Parse(byte[] bytes)
        {
            var made = new XmlText();
            made.encoding = Decide(bytes, out made.bom);
            string text = made.encoding.GetString(bytes, made.bom ? made.encoding.GetPreamble().Length : 0, bytes.Length - (made.bom ? made.encoding.GetPreamble().Length : 0));
            using (XmlReader check = XmlReader.Create(new StringReader(text), new XmlReaderSettings { DtdProcessing = DtdProcessing.Prohibit })) while (check.Read()) { }
            made.NewLine = text.Contains("\r\n") ? "\r\n" : "\n";
            made.Take(text);
            made.Root.Document = made;
            return made;
        }

        public byte[] ToBytes()
        {
            var text = new StringBuilder();
            foreach (XmlPiece piece in before) piece.Write(text);
            Root.Write(text);
            foreach (XmlPiece piece in after) piece.Write(text);
            byte[] body = encoding.GetBytes(text.ToString());
            return bom ? encoding.GetPreamble().Concat(body).ToArray() : body;
        }

        private static Encoding Decide(byte[] bytes, out bool bom)
        {
            foreach (Encoding known in new Encoding[] { new UTF8Encoding(true, true), new UnicodeEncoding(false, true, true), new UnicodeEncoding(true, true, true) })
            {
                bom = known.GetPreamble().SequenceEqual(bytes.Take(known.GetPreamble().Length));
                if (bom) return known;
            }
            bom = false;
            return new UTF8Encoding(false, true);
        }

        private void Take(string text)
        {
            XmlTag inside = null;
            int at = 0, line = 1;
            while (at < text.Length)
            {
                int end;
                if (text[at] != '<') { end = text.IndexOf('<', at); if (end < 0) end = text.Length; }
                else if (Is(text, at, "<!--")) end = text.IndexOf("-->", at + 4, StringComparison.Ordinal) + 3;
                else if (Is(text, at, "<![CDATA[")) end = text.IndexOf("]]>", at, StringComparison.Ordinal) + 3;
                else if (Is(text, at, "<?")) end = text.IndexOf("?>", at, StringComparison.Ordinal) + 2;
                else end = TagEnd(text, at);
                string raw = text.Substring(at, end - at);
                if (Is(raw, 0, "</")) { inside.Close(raw); inside = inside.Parent; }
                else
                {
                    bool tag = raw[0] == '<' && raw[1] != '!' && raw[1] != '?';
                    XmlPiece piece = tag ? new XmlTag(raw, line) : new XmlPiece { Raw = raw };
                    piece.Parent = inside;
                    if (inside != null) inside.Pieces.Add(piece);
                    else if (tag) Root = (XmlTag)piece;
                    else (Root == null ? before : after).Add(piece);
                    if (tag && !raw.EndsWith("/>", StringComparison.Ordinal)) inside = (XmlTag)piece;
                }
                line += raw.Count(letter => letter == '\n');
                at = end;
            }
        }

        private static bool Is(string text, int at, string what) { return string.CompareOrdinal(text, at, what, 0, what.Length) == 0; }

        private static int TagEnd(string text, int at)
        {
            char quote = '\0';
            for (; ; at++)
            {
                if (quote != '\0') { if (text[at] == quote) quote = '\0'; }
                else if (text[at] == '"' || text[at] == '\'') quote = text[at];
                else if (text[at] == '>') return at + 1;
            }
        }
    }
}
