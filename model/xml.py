"""XML elements as wanted and as read, and which names hold secrets. Data; comparing is in plans/xml.py."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from model.change import MASK
from model.files import FileContent
from model.secret import Secret

Text: TypeAlias = str | Secret

SECRET_PARTS: Final = (
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "passcode",
    "secret",
    "token",
    "credential",
    "connectionstring",
)
SECRET_ENDS: Final = ("key", "keys", "pin", "pins")
SECRET_WORDS: Final = frozenset(SECRET_ENDS)
WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
NAMING: Final = (
    "key",
    "name",
    "id",
)  # attributes that say what an element is about: <add key="LICENSE_KEY" value="..."/>


def looks_secret(name: str) -> bool:
    """
    Whether a name (`LICENSE_KEY`, `licensekey`, `CertPassword`, `pin-code`) says that its value is a secret.

    A name too many is masked and can be named in `public`; one too few is shown for good.
    """
    lower = name.lower()
    plain = re.sub(r"[^a-z0-9]", "", lower)
    return (
        any(part in plain for part in SECRET_PARTS)
        or plain.endswith(SECRET_ENDS)
        or any(word.lower() in SECRET_WORDS for word in WORD.findall(name))
    )


def names_of(names: str | Collection[str]) -> tuple[str, ...]:
    """Names as a tuple; a single text is one name, not its letters."""
    return (names,) if isinstance(names, str) else tuple(names)


def local_name(name: str) -> str:
    """A name without its prefix."""
    return name.rpartition(":")[2]


def is_naming(attribute: str) -> bool:
    """Whether an attribute, with whatever prefix or `{namespace}`, says what its element is about."""
    return local_name(attribute.rpartition("}")[2]).lower() in NAMING


@dataclass(frozen=True)
class Secrecy:
    """Which names hold secrets: those that look like it, those of `secret`; never those of `public`. Compared without case and prefix."""

    secret: Collection[str] = ()
    public: Collection[str] = ()

    def covers(self, *names: str) -> bool:
        """Whether one of these names (of an element, of its attribute) makes the value a secret."""
        plain = [local_name(name) for name in names]
        return any(self.chosen(name) or (looks_secret(name) and not self.spared(name)) for name in plain)

    def chosen(self, name: str) -> bool:
        """Whether the user said that this name holds a secret."""
        return local_name(name).casefold() in {local_name(one).casefold() for one in self.secret}

    def names(self, attributes: Mapping[str, str]) -> bool:
        """Whether an element's attributes say that it is about a secret: `<add key="LICENSE_KEY" value="..."/>`."""
        return any(self.covers(value) for name, value in attributes.items() if is_naming(name))

    def spared(self, name: str) -> bool:
        """Whether the user said that this name holds none: then it does not, whatever it stands in."""
        return local_name(name).casefold() in {local_name(one).casefold() for one in self.public}


@dataclass(frozen=True)
class XmlWanted:
    """
    What elements below one parent shall be. Names may have a prefix of `namespaces`; without one a name means what it would mean in that place.

    `.` is the parent itself, in all but `remove`.

    + parent: XPath to the one parent; the root when None
    + set: name to text; updated or added
    + clear: names whose text shall be empty; absent is fine
    + remove: names that shall not be there
    + attributes: element name to (attribute name to value; None removes it)
    + ignore_case: whether an element with another spelling is the one meant
    + refuse_if: names that must be absent or empty, and why
    + refuse_elsewhere: what to do where the names stand in another place of the document than below the parent; `""` when they may
    """

    parent: str | None = None
    set: Mapping[str, Text] = field(default_factory=dict, repr=False)
    clear: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    attributes: Mapping[str, Mapping[str, Text | None]] = field(default_factory=dict, repr=False)
    namespaces: Mapping[str, str] = field(default_factory=dict)
    ignore_case: bool = False
    secrecy: Secrecy = Secrecy()
    refuse_if: Mapping[str, str] = field(default_factory=dict)
    refuse_elsewhere: str = ""


@dataclass(frozen=True, repr=False)
class XmlElement:
    """
    One element as read. `text` is None where it holds elements; `line` counts from 1.

    repr and JSON show a secret's text only as a mask; an empty one is shown as empty. `in_secret`: whether one of the elements around it is named
    like a secret, `<LICENSE_KEY><value>...`.
    """

    name: str
    namespace: str
    line: int
    text: str | None
    attributes: Mapping[str, str]
    secrecy: Secrecy = Secrecy()
    in_secret: bool = False

    def to_json(self) -> dict[str, object]:
        """With secrets masked."""
        return {
            "name": self.name,
            "namespace": self.namespace,
            "line": self.line,
            "text": self._shown(self.text, self.name),
            "attributes": {name: self._shown_attribute(name, value) for name, value in self.attributes.items()},
        }

    def __repr__(self) -> str:
        return f"XmlElement({self.to_json()})"

    @property
    def _about_secret(self) -> bool:
        return self.secrecy.names(self.attributes) or self._in_secret

    @property
    def _in_secret(self) -> bool:
        return self.in_secret and not self.secrecy.spared(self.name)

    def _shown_attribute(self, name: str, value: str) -> str | None:
        """
        One that says what the element is about is itself no secret, though `key` looks like one.

        Unless the user says so, or the name of the element or of one around it.
        """
        within = self.secrecy.covers(self.name) or self._in_secret
        if name.lower() in NAMING and not within and not self.secrecy.chosen(name):
            return value
        return self._shown(value, self.name, name)

    def _shown(self, value: str | None, *names: str) -> str | None:
        return MASK if value and (self.secrecy.covers(*names) or self._about_secret) else value


@dataclass(frozen=True)
class XmlFile:
    """
    An XML file as read: its bytes for the plan, and the elements that were asked for.

    `problem` says why no elements could be read from it (absent, not XML, the parent matches nothing); then `elements` is empty.
    """

    content: FileContent
    elements: tuple[XmlElement, ...] = ()
    problem: str = ""

    def to_json(self) -> dict[str, object]:
        """The file without its bytes, and the elements with secrets masked."""
        elements = [element.to_json() for element in self.elements]
        return {**self.content.info.to_json(), "elements": elements, "problem": self.problem or None}
