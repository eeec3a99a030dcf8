"""
What a new directory of the lab holds: a forest of one domain, and how another domain joins it. Always the same, GUIDs and SIDs too.

Only the containers, groups and accounts that matter here are in it. What an entry is: directory_entry.py.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

from lab.directory_entry import GLOBAL, LOCAL, SECURITY, SPACE, UNIVERSAL
from lab.directory_filter import sid_bytes, sid_text
from lab.directory_store import Store

ADMINISTRATOR_PASSWORD: Final = b"Passw0rd!lab"  # of a directory that is a file


def new_forest(dns: str, netbios: str) -> dict[str, Any]:
    """The document of a new directory: one domain with its containers and the groups and accounts that matter here. Always the same."""
    store = Store({"usn": 12000, "next_rid": {}, "max_range": 1500, "max_change": 5000, "entries": []})
    root = "".join(f",DC={part}" for part in dns.split("."))[1:]
    configuration = f"CN=Configuration,{root}"
    store.insert(
        root,
        "domainDNS",
        {"objectSid": [sid_bytes(f"S-1-5-21-{_number(dns, 1)}-{_number(dns, 2)}-{_number(dns, 3)}")]},
    )
    store.insert(configuration, "configuration", {})
    store.insert(f"CN=Partitions,{configuration}", "crossRefContainer", {})
    for name, context in (
        ("Enterprise Configuration", configuration),
        ("Enterprise Schema", f"CN=Schema,{configuration}"),
    ):
        values = {"nCName": [context.encode()], "dnsRoot": [dns.encode()], "systemFlags": [b"1"]}
        store.insert(f"CN={name},CN=Partitions,{configuration}", "crossRef", values)
    add_domain(store, root, dns, netbios, configuration)
    return store.to_json()


def add_domain(store: Store, dn: str, dns: str, netbios: str, configuration: str) -> None:
    """A domain of the forest: its head unless it is there, its cross reference, containers, groups and administrator."""
    if store.find(dn) is None:
        store.insert(
            dn,
            "domainDNS",
            {"objectSid": [sid_bytes(f"S-1-5-21-{_number(dns, 1)}-{_number(dns, 2)}-{_number(dns, 3)}")]},
        )
    head = store.find(dn)
    sid = sid_text(head.sid) if head else ""
    reference = {
        "nCName": [dn.encode()],
        "dnsRoot": [dns.encode()],
        "nETBIOSName": [netbios.encode()],
        "systemFlags": [b"3"],
    }
    store.insert(f"CN={netbios},CN=Partitions,{configuration}", "crossRef", reference)
    store.next_rid[dns] = 1104
    for name in ("Users", "Computers", "Builtin", "ForeignSecurityPrincipals"):
        store.insert(f"CN={name},{dn}", "container", {})
    store.insert(f"OU=Domain Controllers,{dn}", "organizationalUnit", {})
    groups = (
        ("Domain Admins", "Users", f"{sid}-512", -SECURITY + GLOBAL),
        ("Domain Users", "Users", f"{sid}-513", -SECURITY + GLOBAL),
        ("Domain Computers", "Users", f"{sid}-515", -SECURITY + GLOBAL),
        ("Enterprise Admins", "Users", f"{sid}-519", -SECURITY + UNIVERSAL),
        ("Administrators", "Builtin", "S-1-5-32-544", -SECURITY + LOCAL + 1),
        ("Users", "Builtin", "S-1-5-32-545", -SECURITY + LOCAL + 1),
    )
    for name, container, group_sid, group_type in groups:
        values = {
            "sAMAccountName": [name.encode()],
            "objectSid": [sid_bytes(group_sid)],
            "groupType": [str(group_type).encode()],
        }
        store.insert(f"CN={name},CN={container},{dn}", "group", values | {"isCriticalSystemObject": [b"TRUE"]})
    values = {"sAMAccountName": [b"Administrator"], "objectSid": [sid_bytes(f"{sid}-500")], "primaryGroupID": [b"513"]}
    values |= {
        "userAccountControl": [b"512"],
        "isCriticalSystemObject": [b"TRUE"],
        "unicodePwd": [ADMINISTRATOR_PASSWORD],
    }
    administrator = store.insert(f"CN=Administrator,CN=Users,{dn}", "user", values)
    for name in (f"CN=Domain Admins,CN=Users,{dn}", f"CN=Administrators,CN=Builtin,{dn}"):
        group = store.find(name)
        if group is not None:
            group.members.append(administrator.guid)


def _number(dns: str, which: int) -> int:
    return int.from_bytes(uuid.uuid5(SPACE, f"{dns} {which}").bytes[:4], "big")
