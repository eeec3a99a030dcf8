"""Facts of XML files: elements below one parent. Reading only; comparing and editing is in plans/xml.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from typing_extensions import override

from connectors.call import Answer, HostCall
from facts.base import HostFact
from facts.files import file_content
from model.files import LARGEST_FILE
from model.xml import Secrecy, XmlFile, XmlWanted, names_of
from plans.xml import read_elements


class XmlElements(HostFact[XmlFile]):
    """
    Returns child elements of one element of an XML file: names, texts, attributes, lines.

    + file: full Windows path
    + parent: XPath to the element whose children are meant; the root when omitted
    + names: which children, ``.`` is the parent itself; all children when omitted. Without a prefix a name means what it would mean in that place.
      Several on a command line: ``names='["LOCMFA", "Username"]'``
    + namespaces: prefix to namespace, for ``parent`` and ``names``
    + ignore_case: whether other spellings of the names are found, too
    + secret: names whose values are secrets, besides those that look like it (words KEY, PASSWORD, SECRET, TOKEN, PIN)
    + public: names that only look like it

    .. code:: python

        XmlFile(content=FileContent(info=FileInfo(...)), elements=(XmlElement({"name": "LOCMFA", "line": 7, "text": "true", ...}),), problem="")

    Secrets are masked in what is printed. A file that is absent or cannot be read as XML has no elements, and ``problem`` says why.
    """

    # pyinfra makes one instance for each read (facts/base.py).
    _names: Sequence[str] = ()
    _wanted = XmlWanted()

    @override
    def command(
        self,
        file: str,
        parent: str | None = None,
        names: str | Sequence[str] = (),
        namespaces: Mapping[str, str] | None = None,
        ignore_case: bool = False,
        secret: str | Sequence[str] = (),
        public: str | Sequence[str] = (),
    ) -> HostCall:
        self._names = names_of(names)
        self._wanted = XmlWanted(
            parent=parent,
            namespaces=namespaces or {},
            ignore_case=ignore_case,
            secrecy=Secrecy(names_of(secret), names_of(public)),
        )
        return HostCall("Read-File", path=file, count=LARGEST_FILE)

    @override
    def parse(self, answer: Answer) -> XmlFile:
        return read_elements(file_content(answer), self._names, self._wanted)
