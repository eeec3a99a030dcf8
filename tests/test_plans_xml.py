"""Comparing XML elements with what is wanted: changes, new bytes, and every refusal with its exact words."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.change import Change, PlanError
from model.files import FileContent, FileInfo
from model.secret import Secret
from model.xml import Secrecy, XmlWanted, looks_secret, names_of
from plans.xml import XmlPlan, backup_path, plan_elements, read_elements
from plans.xml_document import Document, leaf_text
from plans.xpath import one_element, path_to, steps

PATH: Final = r"C:\MIM\MfaSettings.xml"
# No source says how the file looks (facts/mim-mfa.md 2): everything holds for three roots.
ROOTS: Final = {
    "plain": ('<?xml version="1.0" encoding="utf-8"?>\r\n<MfaSettings>\r\n', "</MfaSettings>\r\n", None, {}),
    "default namespace": ('<MfaSettings xmlns="urn:mfa">\r\n', "</MfaSettings>", None, {}),
    "nested": (
        '<c:configuration xmlns:c="urn:c">\r\n<x/><c:mfa id="1">\r\n',
        "</c:mfa>\r\n</c:configuration>\r\n",
        "/c:configuration/c:mfa",
        {"c": "urn:c"},
    ),
}


def file(data: str | bytes, *, read_only: bool = False) -> FileContent:
    raw = data.encode() if isinstance(data, str) else data
    info = FileInfo(PATH, "file", len(raw), hashlib.sha256(raw).hexdigest(), "2026-11-25T08:00:00.0000000Z", read_only)
    return FileContent(info, raw)


def shown(plan: XmlPlan) -> list[str]:
    return [str(change) for change in plan.changes]


@dataclass(frozen=True)
class Case:
    """Lines between the tags of the root before and after, and the changes as a user sees them."""

    before: str
    wanted: dict[str, Any]
    after: str
    shown: list[str] = field(default_factory=list)


CASES: Final = {
    "a missing element is added": Case(
        "\t<a>1</a>\r\n",
        {"set": {"LOCMFA": "true"}},
        "\t<a>1</a>\r\n\t<LOCMFA>true</LOCMFA>\r\n",
        ["LOCMFA: (absent) -> true"],
    ),
    "another text is replaced": Case(
        "\t<LOCMFA>no</LOCMFA>\r\n", {"set": {"LOCMFA": "true"}}, "\t<LOCMFA>true</LOCMFA>\r\n", ["LOCMFA: no -> true"]
    ),
    "the same text is left alone": Case(
        "<LOCMFA >true</LOCMFA>", {"set": {"LOCMFA": "true"}}, "<LOCMFA >true</LOCMFA>"
    ),
    "the same text in a CDATA section is left alone": Case(
        "<a><![CDATA[x]]>&#x79;</a>", {"set": {"a": "xy"}}, "<a><![CDATA[x]]>&#x79;</a>"
    ),
    "white space in a text is a difference": Case("<a> 1</a>", {"set": {"a": "1"}}, "<a>1</a>", ["a: ' 1' -> 1"]),
    "a text of white space alone is not clear": Case(
        "<a>\t</a>", {"clear": ("a",)}, "<a></a>", [r"a: '\t' -> (empty)"]
    ),
    "an absent element is as good as a cleared one": Case("<b/>", {"clear": ("a",)}, "<b/>"),
    "an empty element is cleared already, in either form": Case("<a/><b></b>", {"clear": ("a", "b")}, "<a/><b></b>"),
    "an empty element with a comment in it is cleared already": Case(
        "<a><!-- key here --></a>", {"clear": ("a",)}, "<a><!-- key here --></a>"
    ),
    "a name that looks like a secret never shows its values": Case(
        "<LICENSE_KEY>old</LICENSE_KEY><CERT_PASSWORD>p</CERT_PASSWORD>",
        {"set": {"LICENSE_KEY": "new"}, "clear": ("CERT_PASSWORD",)},
        "<LICENSE_KEY>new</LICENSE_KEY><CERT_PASSWORD></CERT_PASSWORD>",
        ["LICENSE_KEY: (secret) -> (secret) changed", "CERT_PASSWORD: (secret) -> (secret) changed"],
    ),
    "a Secret is one under any name": Case(
        "<a>old</a>", {"set": {"a": Secret("new")}}, "<a>new</a>", ["a: (secret) -> (secret) changed"]
    ),
    "a name can be made a secret, and be told that it is none": Case(
        "<a>1</a><PIN>1</PIN>",
        {"set": {"a": "2", "PIN": "2"}, "secrecy": Secrecy(secret=("A",), public=("pin",))},
        "<a>2</a><PIN>2</PIN>",
        ["a: (secret) -> (secret) changed", "PIN: 1 -> 2"],
    ),
    "a removed secret is not shown": Case(
        "\t<API_TOKEN>t</API_TOKEN>\r\n", {"remove": ("API_TOKEN",)}, "", ["API_TOKEN: (secret) -> (secret) changed"]
    ),
    "an element goes with all that it holds": Case(
        "<a><b>1</b><c/></a>\r\n", {"remove": ("a",)}, "", ["a: (2 elements) -> (absent)"]
    ),
    "an absent element is removed already": Case("<b/>", {"remove": ("a",)}, "<b/>"),
    "another spelling is another element": Case(
        "<username>u</username>",
        {"set": {"Username": "v"}},
        "<username>u</username>\r\n<Username>v</Username>",
        ["Username: (absent) -> v"],
    ),
    "without regard to case the element keeps its spelling": Case(
        "<username>u</username>",
        {"set": {"Username": "v"}, "ignore_case": True},
        "<username>v</username>",
        ["username: u -> v"],
    ),
    "attributes are set, added and removed": Case(
        "<a x='1' y=\"2\"/>",
        {"attributes": {"a": {"x": "3", "y": None, "z": "4", "w": None}}},
        "<a x='3' z=\"4\"/>",
        ["a@x: 1 -> 3", "a@y: 2 -> (absent)", "a@z: (absent) -> 4"],
    ),
    "an element is added with its attributes": Case(
        "<b/>",
        {"set": {"a": "t"}, "attributes": {"a": {"x": "1", "y": None}}},
        '<b/>\r\n<a x="1">t</a>',
        ["a: (absent) -> t", "a@x: (absent) -> 1"],
    ),
    "a text and an attribute of one empty tag": Case(
        "<a />",
        {"set": {"a": "t"}, "attributes": {"a": {"x": "1"}}},
        '<a x="1">t</a>',
        ["a: (empty) -> t", "a@x: (absent) -> 1"],
    ),
    "an attribute of a secret element is one, so is a secret-looking attribute": Case(
        "<KEY x='1'/><a password='1'/>",
        {"attributes": {"KEY": {"x": "2"}, "a": {"password": "2"}}},
        "<KEY x='2'/><a password='2'/>",
        ["KEY@x: (secret) -> (secret) changed", "a@password: (secret) -> (secret) changed"],
    ),
    "xml:lang needs no declaration": Case(
        "<a/>", {"attributes": {"a": {"xml:lang": "de"}}}, '<a xml:lang="de"/>', ["a@xml:lang: (absent) -> de"]
    ),
    "several edits are one new content": Case(
        "  <A_KEY>k</A_KEY>\r\n  <u>1</u>\r\n  <old/>\r\n",
        {"set": {"u": "2", "n": "&<>"}, "clear": ("A_KEY",), "remove": ("old",)},
        "  <A_KEY></A_KEY>\r\n  <u>2</u>\r\n  <n>&amp;&lt;&gt;</n>\r\n",
        ["u: 1 -> 2", "n: (absent) -> &<>", "A_KEY: (secret) -> (secret) changed", "old: (empty) -> (absent)"],
    ),
    "a line end in a text is the file's own, a CR is a reference": Case(
        "<a/>", {"set": {"a": "1\n2\r3"}}, "<a>1\r\n2&#13;3</a>", [r"a: (empty) -> '1\n2\r3'"]
    ),
    "what must be empty may be there empty": Case(
        "<CustomPhoneProvider/><LOCMFA/>",
        {"set": {"LOCMFA": "true"}, "refuse_if": {"CustomPhoneProvider": "no"}},
        "<CustomPhoneProvider/><LOCMFA>true</LOCMFA>",
        ["LOCMFA: (empty) -> true"],
    ),
}


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_plan_elements(case: Case, root: str) -> None:
    head, tail, parent, namespaces = ROOTS[root]
    start = file(head + case.before + tail)
    wanted = XmlWanted(parent=parent, namespaces=namespaces, **case.wanted)

    plan = plan_elements(start, wanted)

    assert (plan.data.decode(), shown(plan)) == (head + case.after + tail, case.shown)
    assert plan_elements(file(plan.data), wanted) == XmlPlan((), plan.data)


NAMESPACED: Final = {
    "a prefix of namespaces finds what has another prefix, or none, in the file": (
        '<r xmlns:x="urn:1"><x:a>1</x:a><b xmlns="urn:1">1</b></r>',
        {"set": {"p:a": "2", "p:b": "2"}},
        '<r xmlns:x="urn:1"><x:a>2</x:a><b xmlns="urn:1">2</b></r>',
    ),
    "an added element takes the prefix that the file has for the namespace": (
        '<r xmlns:x="urn:1"/>',
        {"set": {"p:a": "2"}},
        '<r xmlns:x="urn:1"><x:a>2</x:a></r>',
    ),
    "where the file has none it is declared on the element": (
        "<r><a/></r>",
        {"set": {"p:a": "2"}, "attributes": {"a": {"p:k": "v"}}},
        '<r><a xmlns:p="urn:1" p:k="v"/><p:a xmlns:p="urn:1">2</p:a></r>',
    ),
    "an attribute in a namespace is found under the file's prefix": (
        '<r xmlns:x="urn:1"><a x:k="1" k="2"/></r>',
        {"attributes": {"a": {"p:k": "3"}}},
        '<r xmlns:x="urn:1"><a x:k="3" k="2"/></r>',
    ),
    "both in one namespace may stand beside each other": (
        '<r xmlns:x="urn:1"><x:a>1</x:a></r>',
        {"set": {"p:a": "2", "b": "3"}},
        '<r xmlns:x="urn:1"><x:a>2</x:a><b>3</b></r>',
    ),
}


@pytest.mark.parametrize(("before", "wanted", "after"), NAMESPACED.values(), ids=NAMESPACED)
def test_namespaces(before: str, wanted: dict[str, Any], after: str) -> None:
    want = XmlWanted(namespaces={"p": "urn:1"}, **wanted)
    plan = plan_elements(file(before), want)
    assert plan.data.decode() == after
    assert plan_elements(file(after), want).changes == ()


DOCUMENT: Final = """<?xml version="1.0"?>
<root xmlns:n="urn:n">
  <one><a>1</a></one>
  <many id="1"><a>1</a></many>
  <many id="2"/>
  <n:two><n:a/></n:two><!-- end -->
</root>
"""
PARENTS: Final = {
    "the first step that gives nothing is named, with what it was looked for in": (
        {"parent": "/root/one/c/d"},
        "the parent matches nothing: no c below <one> (line 3)\n    /root/one/c/d\n              ^",
    ),
    "a predicate is part of its step": (
        {"parent": "/root/many[@id='3/4']/a"},
        "the parent matches nothing: no many[@id='3/4'] below <root> (line 2)\n    /root/many[@id='3/4']/a\n          ^",
    ),
    "a wrong root": (
        {"parent": "/Root/one"},
        "the parent matches nothing: no Root in the document\n    /Root/one\n     ^",
    ),
    "below any depth": (
        {"parent": "//many/x"},
        "the parent matches nothing: no x below <many> (lines 4, 5)\n    //many/x\n           ^",
    ),
    "a relative expression starts at the root": (
        {"parent": "root/one"},
        (
            "the parent matches nothing: no root below <root> (line 2); a relative expression starts at the root element, "
            "write / before it\n    root/one\n    ^"
        ),
    ),
    "a forgotten namespace is told": (
        {"parent": "/root/two"},
        (
            "the parent matches nothing: no two below <root> (line 2); <two> on line 6 is in the namespace urn:n: bind a prefix to it "
            "in namespaces and write it before the name\n    /root/two\n          ^"
        ),
    ),
    "an unknown prefix is told": (
        {"parent": "/root/m:two", "namespaces": {"n": "urn:n"}},
        "the parent's prefix m is not in namespaces (there: n)\n    /root/m:two\n          ^",
    ),
    "several are ambiguous": (
        {"parent": "/root/many"},
        "the parent is ambiguous: 2 matches (lines 4, 5), expected 1\n    /root/many\n    ^",
    ),
    "an attribute is no parent": (
        {"parent": "/root/many/@id"},
        "the parent is not an element: the expression gives a value\n    /root/many/@id\n    ^",
    ),
    "a comment is no parent": (
        {"parent": "/root/comment()"},
        "the parent is not an element: the expression gives a comment or an instruction\n    /root/comment()\n    ^",
    ),
    "a number is no parent": (
        {"parent": "count(//a)"},
        "the parent is not an element: the expression gives a value\n    count(//a)\n    ^",
    ),
    "what is no XPath": ({"parent": "/root/["}, "the parent is not a valid XPath 1.0 expression\n    /root/[\n    ^"),
    "an axis is no prefix": (
        {"parent": "child::one/child::x"},
        "the parent matches nothing: no child::x below <one> (line 3)\n    child::one/child::x\n               ^",
    ),
    "a union that gives nothing": (
        {"parent": "/x | /y"},
        "the parent matches nothing\n    /x | /y\n    ^",
    ),
}
REFUSALS: Final = {
    "twice the same element": (
        "<r>\n<a>1</a>\n<a>1</a></r>",
        {"set": {"a": "1"}},
        "a occurs 2 times, expected at most 1: <a> on line 2 and <a> on line 3. Remove the wrong ones, run again.",
    ),
    "twice what shall go": (
        "<r><a/>\n<a/></r>",
        {"remove": ("a",)},
        "a occurs 2 times, expected at most 1: <a> on line 1 and <a> on line 2. Remove the wrong ones, run again.",
    ),
    "both spellings": (
        "<r>\n<Username/>\n<username/></r>",
        {"set": {"Username": "v"}, "ignore_case": True},
        "Username occurs 2 times, expected at most 1: <Username> on line 2 and <username> on line 3. Remove the wrong ones, run again.",
    ),
    "the name stands in another namespace": (
        '<p:r xmlns:p="urn:p">\n<p:a/></p:r>',
        {"clear": ("a",)},
        (
            "a is not there, but <p:a> on line 2 is, in the namespace urn:p: another element to XML. "
            "Bind a prefix to the namespace that is meant in namespaces and write it before the name."
        ),
    ),
    "elements where a text is wanted": (
        "<r>\n<a>x<b/></a></r>",
        {"set": {"a": "1"}},
        "<a> on line 2 holds elements, expected text alone",
    ),
    "elements where nothing is wanted": (
        "<r><a><b/></a></r>",
        {"clear": ("a",)},
        "<a> on line 1 holds elements, expected text alone",
    ),
    "a comment that would be lost": (
        "<r><a>x<!-- why -->\n</a></r>",
        {"set": {"a": "1"}},
        "<a> holds a comment (line 1), which a new text would delete; move it out of the element, run again",
    ),
    "an instruction that would be lost": (
        "<r><a>x<?p?></a></r>",
        {"clear": ("a",)},
        "<a> holds a processing instruction (line 1), which a new text would delete; move it out of the element, run again",
    ),
    "a text where elements are wanted": (
        "<r>text</r>",
        {"set": {"a": "1"}},
        "line 1: <r> holds text, so no element is added to it",
    ),
    "what must be empty is not": (
        "<r>\n<CustomPhoneProvider>x.dll</CustomPhoneProvider></r>",
        {"set": {"LOCMFA": "true"}, "refuse_if": {"CustomPhoneProvider": "no source says which wins"}},
        "<CustomPhoneProvider> on line 2 is not empty: no source says which wins",
    ),
    "what must be empty is not, in any namespace and spelling": (
        '<r xmlns:p="urn:p"><p:customphoneprovider><a/></p:customphoneprovider></r>',
        {"refuse_if": {"CustomPhoneProvider": "why"}, "ignore_case": True},
        "<p:customphoneprovider> on line 1 is not empty: why",
    ),
    "attributes of what is not there": (
        "<r/>",
        {"attributes": {"a": {"x": "1"}}},
        "a is not there, so it has no attributes; add the element with set",
    ),
    "an element that says it is nil": (
        '<r xmlns:i="http://www.w3.org/2001/XMLSchema-instance">\n<a i:nil="true"/></r>',
        {"set": {"a": "1"}},
        "<a> on line 2 says xsi:nil, so a text in it counts for nothing; remove that attribute, too",
    ),
    "the parent itself is never removed": (
        "<r/>",
        {"remove": (".",)},
        "'.' is not the name of an element, expected NAME or PREFIX:NAME",
    ),
    "a control character in the parent, of whose name nothing is known yet": (
        "<r/>",
        {"set": {".": "12\x08"}},
        ".: the value holds a character that XML cannot hold, not even as a reference",
    ),
    "set and cleared": (
        "<r/>",
        {"set": {"a": "1"}, "clear": ("a",)},
        "a is asked for twice in set, clear and remove; name it once",
    ),
    "a text of the parent and a child of it": (
        "<r/>",
        {"set": {"a": "1"}, "clear": (".",)},
        ". (the parent itself) is in set or clear, and a, which is below it, is in set: an element has a text or children here. Leave one out",
    ),
    "set and removed in two spellings": (
        "<r/>",
        {"set": {"a": "1"}, "remove": ("A",), "ignore_case": True},
        "A is asked for twice in set, clear and remove, as a and as A; name it once",
    ),
    "the same element by two prefixes": (
        '<r xmlns="urn:p"/>',
        {"set": {"a": "1", "p:a": "2"}, "namespaces": {"p": "urn:p"}},
        "p:a is asked for twice in set, clear and remove, as a and as p:a; name it once",
    ),
    "removed and attributed": (
        "<r/>",
        {"remove": ("a",), "attributes": {"a": {"x": "1"}}},
        "a is in remove and in attributes; once is meant",
    ),
    "set and attributed in two spellings": (
        "<r/>",
        {"set": {"a": "1"}, "attributes": {"A": {"x": "1"}}, "ignore_case": True},
        "A in attributes is a in set; spell them alike",
    ),
    "attributed in two spellings": (
        "<r/>",
        {"attributes": {"A": {"x": "1"}, "a": {"y": "1"}}, "ignore_case": True},
        "two names in attributes differ only in case; spell them alike",
    ),
    "a declaration as an attribute": (
        "<r/>",
        {"attributes": {"a": {"xmlns": "u"}}},
        "a@xmlns declares a namespace, which is no attribute; use namespaces",
    ),
    "what is no name": (
        "<r/>",
        {"set": {"a b": "1"}},
        "'a b' is not the name of an element, expected NAME or PREFIX:NAME",
    ),
    "an empty name": ("<r/>", {"clear": ("",)}, "'' is not the name of an element, expected NAME or PREFIX:NAME"),
    "what is no attribute's name": (
        "<r/>",
        {"attributes": {"a": {"<": "1"}}},
        "'<' is not the name of an attribute, expected NAME or PREFIX:NAME",
    ),
    "a prefix that nobody bound": (
        "<r/>",
        {"set": {"p:a": "1"}},
        "p:a: the prefix p is not in namespaces (there: none)",
    ),
    "the empty prefix": (
        "<r/>",
        {"namespaces": {"": "urn:p"}},
        "namespaces binds '' to 'urn:p': a prefix and a namespace are needed, XPath 1.0 has no default",
    ),
    "a prefix of XML itself": (
        "<r/>",
        {"namespaces": {"xmlns": "urn:p"}},
        "namespaces: 'xmlns' is not a prefix that can be bound",
    ),
    "a control character": (
        "<r/>",
        {"set": {"a": "12\x08"}},
        "a: the value holds U+0008 (character 3) that XML cannot hold, not even as a reference",
    ),
    "half a character": (
        "<r/>",
        {"set": {"a": "\ud800"}},
        "a: the value holds U+D800 (character 1) that XML cannot hold, not even as a reference",
    ),
    "a control character in a secret, of which nothing is told": (
        "<r/>",
        {"set": {"A_KEY": "12\x08"}},
        "A_KEY: the value holds a character that XML cannot hold, not even as a reference",
    ),
    "a control character in an attribute that is a Secret": (
        "<r/>",
        {"attributes": {"a": {"x": Secret("\x00")}}},
        "a@x: the value holds a character that XML cannot hold, not even as a reference",
    ),
    "a boolean": ("<r/>", {"set": {"LOCMFA": True}}, 'LOCMFA is given as bool, expected text ("true", "false")'),
    "nothing at all": ("<r/>", {"set": {"a": None}}, "a is given as NoneType, expected text"),
}


@pytest.mark.parametrize(("wanted", "text"), PARENTS.values(), ids=PARENTS)
def test_a_parent_that_is_not_one_element_is_refused(wanted: dict[str, Any], text: str) -> None:
    with pytest.raises(PlanError) as refused:
        plan_elements(file(DOCUMENT), XmlWanted(set={"a": "1"}, **wanted))
    assert str(refused.value) == text


@pytest.mark.parametrize(("before", "wanted", "text"), REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_done_is_refused(before: str, wanted: dict[str, Any], text: str) -> None:
    with pytest.raises(PlanError) as refused:
        plan_elements(file(before), XmlWanted(**wanted))
    assert str(refused.value) == text


ELSEWHERE: Final[dict[str, tuple[str, dict[str, Any], str]]] = {
    "in a root that holds the parent": (
        "<configuration>\n<MfaSettings>\n<LICENSE_KEY>x</LICENSE_KEY></MfaSettings></configuration>",
        {},
        "none of LOCMFA, LICENSE_KEY is below <configuration> on line 1, but <LICENSE_KEY> on line 3 is below /configuration/MfaSettings: say so",
    ),
    "below a namespace, in another spelling": (
        '<configuration>\n<a xmlns="urn:a"/><a xmlns="urn:a">\n<license_key/></a></configuration>',
        {"ignore_case": True},
        (
            "none of LOCMFA, LICENSE_KEY is below <configuration> on line 1, but <license_key> on line 3 is below /configuration/n1:a[2] "
            "with namespaces {'n1': 'urn:a'}: say so"
        ),
    ),
    "with prefixes, in two places": (
        '<c:a xmlns:c="urn:c"><c:b><LOCMFA/><LICENSE_KEY/></c:b>\n<d><c:LOCMFA/></d></c:a>',
        {},
        (
            "none of LOCMFA, LICENSE_KEY is below <c:a> on line 1, but <LOCMFA> on line 1 is below /c:a/c:b with namespaces {'c': 'urn:c'} and "
            "<c:LOCMFA> on line 2 is below /c:a/d with namespaces {'c': 'urn:c'}: say so"
        ),
    ),
    "above the parent": (
        "<a><LOCMFA/>\n<b/></a>",
        {"parent": "b"},
        "none of LOCMFA, LICENSE_KEY is below <b> on line 2, but <LOCMFA> on line 1 is below /a: say so",
    ),
    "only the one that must be empty, although it is": (
        "<a><b><CustomPhoneProvider/></b></a>",
        {},
        "none of LOCMFA, LICENSE_KEY is below <a> on line 1, but <CustomPhoneProvider> on line 1 is below /a/b: say so",
    ),
    "one that must be empty and is not, beside others that are where they belong": (
        "<a><LOCMFA/>\n<b><CustomPhoneProvider>x</CustomPhoneProvider></b></a>",
        {},
        "<CustomPhoneProvider> on line 2 is not empty: why",
    ),
}
BY_HAND: Final = "which of the two would count is not known, so none is added. Change this file by hand"
BY_ATTRIBUTE: Final[dict[str, tuple[str, dict[str, Any], str]]] = {
    "as an attribute of the parent": (
        "<MfaSettings LOCMFA='false'/>",
        {},
        f"there is no LOCMFA below <MfaSettings> on line 1, but attribute LOCMFA of <MfaSettings> on line 1: {BY_HAND}",
    ),
    "as a key, in another spelling": (
        "<MfaSettings>\n<add key=' locMfa ' value='false'/></MfaSettings>",
        {"ignore_case": True},
        f'there is no LOCMFA below <MfaSettings> on line 1, but <add key=" locMfa "> on line 2: {BY_HAND}',
    ),
    "as an id somewhere": (
        "<a><b>\n<c Id='LICENSE_KEY'>x</c></b></a>",
        {},
        f'there is no LICENSE_KEY below <a> on line 1, but <c Id="LICENSE_KEY"> on line 2: {BY_HAND}',
    ),
    "as a key beside another that is an element": (
        "<a><LICENSE_KEY/>\n<add name='LOCMFA'/></a>",
        {},
        f'there is no LOCMFA below <a> on line 1, but <add name="LOCMFA"> on line 2: {BY_HAND}',
    ),
    "one that must be empty and is not, as a key": (
        "<a><LOCMFA/><LICENSE_KEY/>\n<add key='CustomPhoneProvider' value='x.dll'/></a>",
        {},
        '<add key="CustomPhoneProvider"> on line 2 is not empty: why',
    ),
    "one that must be empty and is not, as an attribute": (
        "<a><LOCMFA/>\n<b><c CustomPhoneProvider='x.dll'/></b></a>",
        {},
        "attribute CustomPhoneProvider of <c> on line 2 is not empty: why",
    ),
    "one that must be empty and is not, as a key beside a text": (
        "<a><LOCMFA/>\n<add key='CustomPhoneProvider'>x.dll</add></a>",
        {},
        '<add key="CustomPhoneProvider"> on line 2 is not empty: why',
    ),
}
NAMED: Final[dict[str, Any]] = {
    "set": {"LOCMFA": "true"},
    "clear": ("LICENSE_KEY",),
    "refuse_if": {"CustomPhoneProvider": "why"},
}


@pytest.mark.parametrize(("before", "more", "text"), (ELSEWHERE | BY_ATTRIBUTE).values(), ids=ELSEWHERE | BY_ATTRIBUTE)
def test_names_that_stand_elsewhere_alone_are_refused_where_that_is_asked_for(
    before: str, more: dict[str, Any], text: str
) -> None:
    wanted = XmlWanted(**NAMED, **more)
    assert shown(plan_elements(file(before), wanted))[0].startswith("LOCMFA: ")
    with pytest.raises(PlanError) as refused:
        plan_elements(file(before), replace(wanted, refuse_elsewhere="say so"))
    assert str(refused.value) == text


@pytest.mark.parametrize(
    "before",
    [
        "<a/>",
        "<a><LOCMFA/><b><LICENSE_KEY>x</LICENSE_KEY></b></a>",
        "<a><b><LOCMF/></b><!-- LOCMFA --></a>",
        "<a><add key='LOCMFASRV' value='LOCMFA'/></a>",
        "<a><LOCMFA/><b><b LICENSE_KEY='x'><c id='LICENSE_KEY'/></b></b></a>",
        "<a><LOCMFA id='LOCMFA'/><b CustomPhoneProvider=''/><add key='CustomPhoneProvider' value=''/></a>",
    ],
)
def test_names_that_stand_nowhere_or_below_the_parent_too_are_not_elsewhere_alone(before: str) -> None:
    plans = [plan_elements(file(before), XmlWanted(**NAMED, refuse_elsewhere=text)) for text in ("say so", "")]
    assert plans[0] == plans[1]
    assert shown(plans[0])[0].endswith(" -> true")


@pytest.mark.parametrize(
    ("before", "place"),
    [
        ("<a>\n<LICENSE_KEY/><n>\n<LOCMFA>false</LOCMFA></n></a>", "<LOCMFA> on line 3 is there"),
        ("<n>\n<LOCMFA/><a>\n<LICENSE_KEY/></a></n>", "<LOCMFA> on line 2 is there"),
        ('<a>\n<LICENSE_KEY/><n>\n<add key="LOCMFA"/></n></a>', '<add key="LOCMFA"> on line 3'),
        ("<a>\n<LICENSE_KEY/><n>\n<b LOCMFA='x'/></n></a>", "attribute LOCMFA of <b> on line 3"),
    ],
)
def test_a_name_that_would_be_added_is_refused_where_it_stands_elsewhere(before: str, place: str) -> None:
    parent = None if before.startswith("<a>") else "/n/a"
    line = 1 if parent is None else 2
    wanted = XmlWanted(**NAMED, parent=parent)
    assert shown(plan_elements(file(before), wanted))[0].startswith("LOCMFA: ")
    with pytest.raises(PlanError) as refused:
        plan_elements(file(before), replace(wanted, refuse_elsewhere="say so"))
    assert str(refused.value) == (
        f"there is no LOCMFA below <a> on line {line}, but {place}: which of the two would count is not known, so none is added. "
        "Change this file by hand"
    )


def test_a_name_with_a_prefix_is_not_added_beside_one_without() -> None:
    text = "<S xmlns:m='u'><m:LICENSE_KEY/><LOCMFA>false</LOCMFA></S>"
    wanted = XmlWanted(
        set={"m:LOCMFA": "true"}, clear=("m:LICENSE_KEY",), namespaces={"m": "u"}, refuse_elsewhere="say so"
    )
    with pytest.raises(
        PlanError, match=r"^there is no m:LOCMFA below <S> on line 1, but <LOCMFA> on line 1 is there: "
    ):
        plan_elements(file(text), wanted)


IN_ATTRIBUTE: Final[dict[str, tuple[str, dict[str, Any], str]]] = {
    "a key beside no text": (
        "<a>\n<LICENSE_KEY value='x'/></a>",
        {},
        (
            "<LICENSE_KEY> on line 2 has an attribute value: whether that is its value is not known, so its text alone is not changed. "
            "Take the element away (remove), name the attribute in attributes, or change this file by hand"
        ),
    ),
    "a key beside a text, which would be left alone": (
        "<a><LICENSE_KEY m:v='x' xmlns:m='urn:m'>x</LICENSE_KEY></a>",
        {},
        (
            "<LICENSE_KEY> on line 1 has an attribute m:v: whether that is its value is not known, so its text alone is not changed. "
            "Take the element away (remove), name the attribute in attributes, or change this file by hand"
        ),
    ),
    "a value to set in an empty tag": (
        "<a><LOCMFA value='false'/></a>",
        {},
        (
            "<LOCMFA> on line 1 has an attribute value: whether that is its value is not known, so its text alone is not changed. "
            "Name the attribute in attributes, or change this file by hand"
        ),
    ),
    "a value to set beside white space": (
        "<a><LOCMFA value='false'> </LOCMFA></a>",
        {},
        (
            "<LOCMFA> on line 1 has an attribute value: whether that is its value is not known, so its text alone is not changed. "
            "Name the attribute in attributes, or change this file by hand"
        ),
    ),
    "one of two is managed": (
        "<a><LOCMFA value='false' more='1'/></a>",
        {"attributes": {"LOCMFA": {"value": "true"}}},
        (
            "<LOCMFA> on line 1 has an attribute more: whether that is its value is not known, so its text alone is not changed. "
            "Name the attribute in attributes, or change this file by hand"
        ),
    ),
}


@pytest.mark.parametrize(("before", "more", "text"), IN_ATTRIBUTE.values(), ids=IN_ATTRIBUTE)
def test_a_value_that_may_stand_in_an_attribute_is_refused_where_the_shape_is_not_known(
    before: str, more: dict[str, Any], text: str
) -> None:
    wanted = XmlWanted(**NAMED, **more)
    assert plan_elements(file(before), wanted).changes
    with pytest.raises(PlanError) as refused:
        plan_elements(file(before), replace(wanted, refuse_elsewhere="say so"))
    assert str(refused.value) == text


@pytest.mark.parametrize(
    ("before", "more"),
    [
        ("<a><LOCMFA kind='bool'>false</LOCMFA></a>", {}),
        ("<a><LOCMFA value=''/><LICENSE_KEY value=''>x</LICENSE_KEY></a>", {}),
        ("<a><LOCMFA xml:space='preserve'/><LICENSE_KEY xml:lang='en'>x</LICENSE_KEY></a>", {}),
        ("<a><LOCMFA v='false'/></a>", {"attributes": {"LOCMFA": {"v": "true"}}}),
        ("<a><LOCMFA/><LICENSE_KEY v='x'/></a>", {"clear": (), "remove": ("LICENSE_KEY",)}),
        ("<a><LOCMFA/><CustomPhoneProvider name='CustomPhoneProvider' xml:space='preserve'/></a>", {}),
    ],
)
def test_an_attribute_that_is_not_the_value_stands_in_no_way(before: str, more: dict[str, Any]) -> None:
    wanted = {**NAMED, **more}
    plans = [plan_elements(file(before), XmlWanted(**wanted, refuse_elsewhere=text)) for text in ("say so", "")]
    assert plans[0] == plans[1]
    again = plan_elements(file(plans[0].data.decode()), XmlWanted(**wanted, refuse_elsewhere="say so"))
    assert again.changes == ()


@pytest.mark.parametrize("elsewhere", ["", "say so"])
def test_an_attribute_fills_an_element_that_must_be_empty(elsewhere: str) -> None:
    with pytest.raises(PlanError) as refused:
        plan_elements(
            file("<a><LOCMFA/><CustomPhoneProvider dll='C:\\c.dll'/></a>"),
            XmlWanted(**NAMED, refuse_elsewhere=elsewhere),
        )
    assert str(refused.value) == "attribute dll of <CustomPhoneProvider> on line 1 is not empty: why"


def test_the_path_of_an_element_gives_that_element_and_no_other() -> None:
    text = '<a xmlns="urn:1"><b/><b><c xmlns="urn:2" xmlns:n1="urn:3"><n1:d/><e xmlns=""/><n1:d xmlns:n1="urn:4"/></c></b></a>'
    document = Document(text.encode())
    assert [one_element(document, *path_to(element)) for element in document.elements] == document.elements


def test_a_read_only_file_is_refused_only_where_it_would_change() -> None:
    start, same = file("<r><a>1</a></r>", read_only=True), XmlWanted(set={"a": "1"})
    assert plan_elements(start, same) == XmlPlan((), start.data)
    with pytest.raises(
        PlanError,
        match=r"^is read-only \(its file attribute\), so it cannot be changed; clear the attribute, run again$",
    ):
        plan_elements(start, replace(same, set={"a": "2"}))


def test_a_parent_by_xpath_alone_is_edited() -> None:
    plan = plan_elements(file(DOCUMENT), XmlWanted(parent="many[@id='2']", set={"a": "1"}))
    assert plan.data.decode() == DOCUMENT.replace('<many id="2"/>', '<many id="2">\n    <a>1</a>\n  </many>')
    assert plan.changes == (Change("a", None, "1"),)


SETTINGS: Final = """<configuration>
  <appSettings>
    <add key="a" value="1"/>
    <add key="b" value='2'/>
  </appSettings>
</configuration>
"""


def test_the_parent_itself_is_edited_where_its_name_does_not_tell_it_apart() -> None:
    wanted = XmlWanted(parent="/configuration/appSettings/add[@key='b']", attributes={".": {"value": "3"}})
    plan = plan_elements(file(SETTINGS), wanted)
    assert (plan.data.decode(), shown(plan)) == (SETTINGS.replace("'2'", "'3'"), ["add@value: 2 -> 3"])
    assert plan_elements(file(plan.data), wanted).changes == ()


def test_the_text_of_the_parent_itself_is_set_and_cleared_and_a_secret_if_its_name_says_so() -> None:
    start, key = file("<r><a>1</a><A_KEY>2</A_KEY></r>"), XmlWanted(parent="/r/A_KEY", clear=(".",))
    plan = plan_elements(start, XmlWanted(parent="/r/a", set={".": "3"}))
    assert (plan.data, shown(plan)) == (b"<r><a>3</a><A_KEY>2</A_KEY></r>", ["a: 1 -> 3"])
    plan = plan_elements(start, key)
    assert (plan.data, shown(plan)) == (b"<r><a>1</a><A_KEY></A_KEY></r>", ["A_KEY: (secret) -> (secret) changed"])
    assert [one.to_json()["text"] for one in read_elements(start, (".",), key).elements] == ["(secret)"]


def test_an_element_is_no_longer_nil_when_it_gets_a_text() -> None:
    xsi = "http://www.w3.org/2001/XMLSchema-instance"
    wanted = XmlWanted(set={"a": "1"}, attributes={"a": {"i:nil": None}}, namespaces={"i": xsi})
    plan = plan_elements(file(f'<r xmlns:i="{xsi}"><a i:nil="true"/></r>'), wanted)
    assert plan.data.decode() == f'<r xmlns:i="{xsi}"><a>1</a></r>'


def test_one_name_given_as_text_is_not_taken_for_its_letters() -> None:
    assert (names_of("LOCMFA"), names_of(["a", "b"]), names_of(())) == (("LOCMFA",), ("a", "b"), ())


@pytest.mark.slow
def test_a_large_file_on_one_line_is_edited_where_it_stands() -> None:
    rows = b"<row>text</row>" * 10_000
    start = file(b"<r><a/>" + rows + b"</r>")
    wanted = XmlWanted(set={"b": "1"}, remove=("a",))
    assert plan_elements(start, wanted).data == b"<r>" + rows + b"<b>1</b></r>"


names = st.sampled_from(["LICENSE_KEY", "LOCMFA", "LOCMFASRV", "Username", "username"])
texts = st.text("ab <&\n\r\té€\u2028'\"", max_size=5)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(names, texts),
    st.dictionaries(names, texts),
    st.sets(names),
    st.sets(names),
    st.sampled_from(sorted(ROOTS)),
    st.sampled_from(["utf-8", "windows-1252", "iso-8859-15", "us-ascii"]),
)
def test_after_a_plan_nothing_is_left_to_plan_and_nothing_else_was_touched(
    there: dict[str, str], wanted: dict[str, str], clear: set[str], remove: set[str], root: str, encoding: str
) -> None:
    head, tail, parent, namespaces = ROOTS[root]
    head = f'<?xml version="1.0" encoding="{encoding}"?>' + head.partition("?>\r\n")[2] if "?>" in head else head
    codec = encoding if head.startswith("<?xml") else "utf-8"
    body = "".join(f" <{name}>{_escaped(text)}</{name}>\r\n" for name, text in there.items())
    start = file(f"{head}{body}{tail}".encode(codec, "xmlcharrefreplace"))
    want = XmlWanted(
        parent=parent,
        namespaces=namespaces,
        set=wanted,
        clear=tuple(sorted(clear - wanted.keys())),
        remove=tuple(sorted(remove - wanted.keys() - clear)),
    )

    plan = plan_elements(start, want)

    assert plan_elements(file(plan.data), want) == XmlPlan((), plan.data)
    expected = {
        name: "" if name in want.clear else text for name, text in there.items() if name not in want.remove
    } | wanted
    document = Document(plan.data)
    below = next(one for one in document.elements if one.tag.rpartition("}")[2] in ("MfaSettings", "mfa"))
    assert {str(one.tag).rpartition("}")[2]: leaf_text(one) for one in below} == expected
    assert {change.property for change in plan.changes} == {
        name for name in there.keys() | expected.keys() if there.get(name) != expected.get(name)
    }


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("\r", "&#13;")


def test_the_fact_shows_elements_with_secrets_masked() -> None:
    data = '<r xmlns:p="urn:p">\n<A_KEY pin="1">s3cret</A_KEY><CERT_PASSWORD/>\n<p:a p:token="2" x="3">v</p:a><b><c/></b></r>'
    found = read_elements(file(data), (), XmlWanted(secrecy=Secrecy(secret=("v",))))
    assert [element.to_json() for element in found.elements] == [
        {"name": "A_KEY", "namespace": "", "line": 2, "text": "(secret)", "attributes": {"pin": "(secret)"}},
        {"name": "CERT_PASSWORD", "namespace": "", "line": 2, "text": "", "attributes": {}},
        {"name": "p:a", "namespace": "urn:p", "line": 3, "text": "v", "attributes": {"p:token": "(secret)", "x": "3"}},
        {"name": "b", "namespace": "", "line": 3, "text": None, "attributes": {}},
    ]
    everything = f"{found!r} {found.content!r} {json.dumps(found.to_json())}"
    assert "s3cret" not in everything


def test_the_fact_finds_the_names_that_are_asked_for() -> None:
    wanted = XmlWanted(namespaces={"p": "urn:p"}, ignore_case=True)
    found = read_elements(file('<r xmlns:x="urn:p"><A/><b/><x:c/></r>'), ("a", "p:c", "d"), wanted)
    assert [element.name for element in found.elements] == ["A", "x:c"]


@pytest.mark.parametrize(
    ("names", "wanted", "problem"),
    [
        (("p:a",), XmlWanted(), "p:a: the prefix p is not in namespaces (there: none)"),
        (("<",), XmlWanted(), "'<' is not the name of an element, expected NAME or PREFIX:NAME"),
        (
            ("a,b",),
            XmlWanted(),
            "'a,b' is not the name of an element, expected NAME or PREFIX:NAME; several names are a list",
        ),
        ((), XmlWanted(parent="/x[\x01]"), "the parent is not a valid XPath 1.0 expression\n    /x[ ]\n    ^"),
        ((), XmlWanted(parent="/x"), "the parent matches nothing: no x in the document\n    /x\n     ^"),
    ],
)
def test_the_fact_says_what_is_wrong(names: tuple[str, ...], wanted: XmlWanted, problem: str) -> None:
    found = read_elements(file("<r/>"), names, wanted)
    assert (found.elements, found.problem) == ((), problem)


@pytest.mark.parametrize(
    "name",
    [
        "LICENSE_KEY",
        "CERT_PASSWORD",
        "ApiKey",
        "pin-code",
        "SSHKey",
        "token2",
        "a.secret",
        "x_PIN",
        "licensekey",
        "LICENSEKEY",
        "groupkey",
        "apikey",
        "certpassword",
        "CERTPASSWORD",
        "userpwd",
        "Credential",
        "passcode",
        "connectionString",
        "pass_word",
        "MONKEY",
        "Tokenizer",
    ],
)
def test_a_name_with_a_word_of_secrets_is_one(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize("name", ["Username", "Pinned", "CertFilePath", "LOCMFA", "keyboard", "spinning"])
def test_a_name_without_is_none(name: str) -> None:
    assert not looks_secret(name)


def test_an_element_whose_attribute_names_a_secret_shows_neither_its_value_nor_its_text() -> None:
    data = file('<r><add key="LICENSE_KEY" value="hunter2">hunter3</add></r>')
    plan = plan_elements(data, XmlWanted(attributes={"add": {"value": "n3w"}}))
    assert [change.secret for change in plan.changes] == [True]
    shown = f"{plan!r} {[change.to_json() for change in plan.changes]} {read_elements(data, ('add',), XmlWanted())!r}"
    assert [word for word in ("hunter2", "hunter3", "n3w") if word in shown] == []


def test_an_attribute_with_a_prefix_says_what_an_element_is_about_too() -> None:
    text = '<r xmlns:x="urn:x"><x:add x:key="LICENSE_KEY" x:value="S"/><x:add x:key="A" x:value="1"/></r>'
    elements = read_elements(file(text), (), XmlWanted()).elements
    assert [element.to_json()["attributes"] for element in elements] == [
        {"x:key": "(secret)", "x:value": "(secret)"},
        {"x:key": "(secret)", "x:value": "1"},
    ]
    wanted = XmlWanted(parent="*[1]", namespaces={"x": "urn:x"}, attributes={".": {"x:value": "new"}})
    assert str(plan_elements(file(text), wanted).changes[0]) == "x:add@x:value: (secret) -> (secret) changed"


def test_an_attribute_that_says_what_an_element_is_about_is_shown_and_its_value_with_it_unless_that_is_a_secret() -> (
    None
):
    data = file(
        '<r><add key="conn" value="pw=1"/><add key="LICENSE_KEY" value="2"/><add Name="n" token="3"/>'
        '<p:add xmlns:p="urn:p" p:key="4"/><token id="5"/></r>'
    )

    def shown(secrecy: Secrecy) -> list[object]:
        return [one.to_json()["attributes"] for one in read_elements(data, (), XmlWanted(secrecy=secrecy)).elements]

    assert shown(Secrecy()) == [
        {"key": "conn", "value": "pw=1"},
        {"key": "LICENSE_KEY", "value": "(secret)"},
        {"Name": "n", "token": "(secret)"},
        {"p:key": "(secret)"},
        {"id": "(secret)"},
    ]
    assert shown(Secrecy(secret=("KEY",), public=("token",)))[:3] == [
        {"key": "(secret)", "value": "pw=1"},
        {"key": "(secret)", "value": "(secret)"},
        {"Name": "n", "token": "3"},
    ]


def test_plans_show_no_secret_in_any_repr() -> None:
    wanted = XmlWanted(set={"A_KEY": "pl4in", "b": Secret("s3cret")}, attributes={"b": {"pin": "4711"}})
    plan = plan_elements(file("<r><A_KEY>0ld</A_KEY></r>"), wanted)
    everything = f"{wanted!r} {plan!r} {json.dumps([change.to_json() for change in plan.changes])}"
    assert [word for word in ("pl4in", "s3cret", "4711", "0ld") if word in everything] == []


def test_a_backup_is_named_by_the_content_it_keeps() -> None:
    assert backup_path(r"C:\x.xml", "0123456789abcdef" * 4) == r"C:\x.xml.0123456789ab.bak"


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(["a", "p:b[1]", "c[@x='/|]']", 'd[text()="//["]', "*", "..", "self::e", "f[g/h]"]), min_size=1
    ),
    st.data(),
)
def test_steps_cut_an_expression_where_its_slashes_are(parts: list[str], data: st.DataObject) -> None:
    joints = [data.draw(st.sampled_from(["/", "//"])) for _ in parts[1:]]
    expression = data.draw(st.sampled_from(["", "/", "//"])) + parts[0]
    for joint, part in zip(joints, parts[1:], strict=True):
        expression += joint + part
    assert [expression[start:end] for start, end in steps(expression)] == parts


AROUND = [
    b'<r><LICENSE_KEY><value id="Old">Old</value></LICENSE_KEY></r>',
    b'<r><setting name="LICENSE_KEY"><value id="Old">Old</value></setting></r>',
]


@pytest.mark.parametrize("data", AROUND)
def test_what_stands_in_an_element_that_is_named_like_a_secret_is_one(data: bytes) -> None:
    for asked in (XmlWanted(parent="/r/*", set={"value": "New"}), XmlWanted(parent="/r/*", clear=("value",))):
        assert shown(plan_elements(file(data), asked)) == ["value: (secret) -> (secret) changed"]
        assert [one.to_json()["text"] for one in read_elements(file(data), (), asked).elements] == ["(secret)"]
        attributes = XmlWanted(parent="/r/*", attributes={"value": {"id": "New"}})
        assert shown(plan_elements(file(data), attributes)) == ["value@id: (secret) -> (secret) changed"]
        assert [one.to_json()["attributes"] for one in read_elements(file(data), (), asked).elements] == [
            {"id": "(secret)"}
        ]
    public = XmlWanted(parent="/r/*", set={"value": "New"}, secrecy=Secrecy(public=("value",)))
    assert [one.to_json()["attributes"] for one in read_elements(file(data), (), public).elements] == [{"id": "Old"}]
    assert shown(plan_elements(file(data), public)) == ["value: Old -> New"]
    assert [one.to_json()["text"] for one in read_elements(file(data), (), public).elements] == ["Old"]
