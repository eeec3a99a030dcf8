"""Edit-IisConfig: edits of applicationHost.config, all of them or none, and the file that comes of them (iis_after.json)."""

from __future__ import annotations

from typing import Any, Final

from tests.contract.cases import case
from tests.contract.host import Host, Refused, sha256
from tests.contract.iis import (
    ACCESS,
    ANONYMOUS,
    CONFIG,
    EXISTS,
    INDEX,
    INVALID_DATA,
    LOCK,
    MODULES,
    NOT_FOUND,
    NOT_SUPPORTED,
    POOLS,
    REDIRECTION,
    SHARING,
    SITE,
    SITES,
    START,
    WINDOWS,
    Iis,
    adding_provider,
    clearing_providers,
    enabling,
    new_site,
    pool_step,
    removing_provider,
    same_file,
    setting,
    site_step,
)

PROVIDERS: Final = "iis.md: windowsAuthentication/providers is an ordered append collection"


# -- one commit, guarded --


@case("Edit-IisConfig", cites='verbs.md: -> `{"sha256", "changed": bool}`')
def test_an_edit_is_written_and_the_new_hash_answered(iis: Iis) -> None:
    assert iis.edit(enabling())
    assert iis.tree(WINDOWS, SITE)["a"]["enabled"] is True


@case(
    "Edit-IisConfig",
    cites="iis.md: guard: file bytes hash equals, else kind conflict, nothing written",
    error="conflict",
)
def test_a_file_that_is_not_the_one_that_was_read_is_a_conflict(iis: Iis) -> None:
    """A naive mistake: an error of input and output instead of a conflict."""
    guard = iis.guard
    iis.file = iis.file + b"<!-- somebody else was here -->\n"
    error = iis.host.refused("Edit-IisConfig", guard=guard, edits=[enabling()], naming=guard)
    assert same_file(error) == Refused("conflict", "(file)")
    iis.file = START.read_bytes()


@case(
    "Edit-IisConfig",
    cites="iis.md: So one Edit call must edit exactly one Configuration: always applicationHost.config",
)
def test_only_the_one_file_is_written(iis: Iis) -> None:
    with iis.host.watched() as seen:
        assert iis.edit(enabling(), enabling(section=ANONYMOUS, on=False))
    assert [name.lower() for name in seen.changes] == [f"file {CONFIG}".lower()]


@case("Edit-IisConfig", cites="iis.md: second run commits nothing (file hash unchanged)")
def test_what_is_so_already_leaves_the_bytes_of_the_file_as_they_are(iis: Iis) -> None:
    """Whether IIS writes the same bytes anew is not known."""
    assert iis.edit(enabling())
    before = iis.file
    assert not iis.edit(enabling())
    assert not iis.edit()
    assert not iis.edit({"op": "reset", "section": WINDOWS, "location": SITE, "names": ["useKernelMode"]})
    assert not iis.edit({"op": "remove_location", "location": "none"})
    assert iis.file == before


@case(
    "Edit-IisConfig",
    cites="iis.md: apply in order, each edit's number is in any error",
    error="missing",
)
def test_of_several_edits_none_is_made_where_one_fails(iis: Iis) -> None:
    off = enabling(section=ANONYMOUS, on=False)
    assert iis.refused(off, enabling("No"), naming="edit 2: ") == Refused("missing", f"{WINDOWS}@No", NOT_FOUND)
    assert iis.tree(ANONYMOUS, SITE)["a"]["enabled"] is True


@case("Edit-IisConfig", cites="iis.md: XML written without the original declaration/BOM")
def test_declaration_mark_and_line_ends_stay(iis: Iis) -> None:
    """A naive mistake: XML written without the declaration or the byte order mark that it had."""
    before = b"\xef\xbb\xbf" + iis.file.replace(b"\n", b"\r\n")
    iis.file = before
    assert iis.edit(setting(WINDOWS, {"enabled": True}))
    old, new = (b'<windowsAuthentication enabled="%s">' % value for value in (b"false", b"true"))
    assert iis.file == before.replace(old, new)
    assert iis.edit(adding_provider("x", location=""))
    assert b"\n" not in iis.file.replace(b"\r\n", b"")


@case("Edit-IisConfig", cites="iis.md: losing `<location>` attributes (inheritInChildApplications, allowOverride)")
def test_the_attributes_of_a_location_tag_are_kept(iis: Iis) -> None:
    """A naive mistake: losing them."""
    tag = f'<location path="{SITE}" overrideMode="Allow" inheritInChildApplications="false">'
    inside = "<system.webServer><security><authentication>"
    closed = "</authentication></security></system.webServer></location>\n</configuration>"
    iis.replace("</configuration>", f'{tag}{inside}<windowsAuthentication enabled="false" />{closed}')
    assert iis.edit(enabling())
    assert (iis.file.count(b"<location"), tag.encode() in iis.file) == (1, True)


@case("Edit-IisConfig", cites="iis.md: Multiple tags for one path are legal if they hold different sections")
def test_a_location_tag_of_another_section_is_no_place_for_ours_to_change_its_mode(iis: Iis) -> None:
    tag = f'<location path="{SITE}" overrideMode="Allow"><system.webServer /></location>'
    iis.replace("</configuration>", f"{tag}\n</configuration>")
    assert iis.edit(enabling())
    assert tag.encode() in iis.file
    assert iis.read(WINDOWS, SITE, "effective")["section"]["override_mode_effective"] == "Deny"


# -- sites --


@case("Edit-IisConfig", cites="iis.md: (nested, so that site+bindings+app+vdir is one edit)")
def test_a_site_with_binding_application_and_folder_is_one_edit(iis: Iis) -> None:
    assert iis.edit({"op": "add", "section": POOLS, "tag": "add", "a": {"name": "My Pool"}}, new_site())
    (site,) = iis.tree(SITES, filter={"name": "my site"})["items"]
    (application,) = site["items"]
    (folder,) = application["items"]
    (binding,) = site["c"]["bindings"]["items"]
    assert (application["tag"], application["a"]["path"], folder["a"]["physicalPath"]) == (
        "application",
        "/",
        r"C:\site",
    )
    assert (binding["a"]["protocol"], binding["a"]["bindingInformation"]) == ("https", "*:9999:")
    assert iis.edit({"op": "remove", "section": SITES, "at": [site_step("MY SITE")]})


@case("Edit-IisConfig", cites="iis.md: A site added but not committed in the same manager", error="missing")
def test_a_section_of_a_new_site_needs_a_call_of_its_own(iis: Iis) -> None:
    """A naive mistake: a section that is written at a site which is not committed."""
    off = setting(ANONYMOUS, {"enabled": False}, location="my site")
    assert iis.refused(new_site(), off, naming="edit 2: ") == Refused("missing", f"{ANONYMOUS}@my site", NOT_FOUND)
    assert iis.edit(new_site())
    assert iis.edit(off)
    assert iis.tree(ANONYMOUS, "MY SITE", "effective")["a"]["enabled"] is False


@case("Edit-IisConfig", cites="iis.md: Needed when a site is deleted or renamed: location tags stay behind")
def test_removing_a_site_leaves_its_locations_and_remove_location_takes_every_tag(iis: Iis) -> None:
    assert iis.edit(new_site())
    assert iis.edit(enabling("My Site"))
    iis.replace(
        "</configuration>", '    <location path="my site/sub" />\n    <location path="my site" />\n</configuration>'
    )
    assert iis.edit({"op": "remove", "section": SITES, "at": [site_step("my site")]})
    assert iis.file.count(b"<location") == 3
    assert iis.edit({"op": "remove_location", "location": "/My Site/"})
    assert iis.file.count(b"<location") == 1


@case("Edit-IisConfig", cites="iis.md: AllowsRemove=false does **not** forbid RemoveAt of a local item")
def test_a_collection_without_a_remove_directive_loses_items_all_the_same(iis: Iis) -> None:
    """A naive mistake: AllowsRemove=false taken for "cannot be removed"."""
    assert iis.edit(
        {"op": "remove", "section": POOLS, "at": [pool_step("DEFAULTAPPPOOL")]},
        {"op": "remove", "section": SITES, "at": [site_step()]},
    )
    assert [iis.tree(section)["items"] for section in (POOLS, SITES)] == [[], []]


@case("Edit-IisConfig", cites="iis.md: `name` and `id` are both unique keys and required", error="conflict")
def test_two_unique_keys_are_unique_each_and_a_combined_one_is_one(iis: Iis) -> None:
    taken = Refused("conflict", f"{SITES}@", EXISTS)
    assert [iis.refused(new_site("default web site")), iis.refused(new_site(number=1))] == [taken, taken]
    add = {"op": "add", "section": SITES, "at": [site_step(), "bindings"], "tag": "binding"}
    assert iis.refused(add | {"a": {"protocol": "HTTP", "bindingInformation": "*:80:"}}) == taken
    assert iis.edit(add | {"a": {"protocol": "https", "bindingInformation": "*:80:"}})
    key = {"bindingInformation": "*:80:"}
    removing = {"op": "remove", "section": SITES, "at": [site_step(), "bindings", {"tag": "binding", "key": key}]}
    assert iis.refused(removing) == Refused("ambiguous", f"{SITES}@")
    key["protocol"] = "HTTPS"
    assert iis.edit(removing)


@case(
    "Edit-IisConfig",
    cites="iis.md: (a step with key = exactly one collection item; 0 -> missing, >1 -> ambiguous)",
    error="ambiguous",
)
def test_a_step_that_fits_two_items_is_ambiguous(iis: Iis) -> None:
    step = {"tag": "add", "key": {}}
    error = iis.refused({"op": "remove", "section": WINDOWS, "at": ["providers", step]})
    assert error == Refused("ambiguous", f"{WINDOWS}@")


@case("Edit-IisConfig", cites="iis.md: sorting collections")
def test_items_stay_in_the_order_in_which_they_were_added(iis: Iis) -> None:
    """A naive mistake: sorting collections."""
    assert iis.edit(new_site("Z", 9), new_site("A", 4), {**new_site("M", 7), "index": 1})
    assert [one["a"]["name"] for one in iis.tree(SITES)["items"]] == [SITE, "M", "Z", "A"]


@case("Edit-IisConfig", cites="iis.md: key comparison is case-insensitive because `name` is not `caseSensitive`")
def test_names_of_modules_compare_with_case_and_those_of_pools_without(iis: Iis) -> None:
    module = {"op": "add", "section": MODULES, "tag": "add", "a": {"name": "windowsauthenticationmodule"}}
    assert iis.edit(module)
    names = [one["a"]["name"] for one in iis.tree(MODULES)["items"]]
    assert names[-2:] == ["WindowsAuthenticationModule", "windowsauthenticationmodule"]
    pool = {"op": "add", "section": POOLS, "tag": "add", "a": {"name": "defaultapppool"}}
    assert iis.refused(pool) == Refused("conflict", f"{POOLS}@", EXISTS)


# -- collections that inherit --


@case("Edit-IisConfig", cites=PROVIDERS)
def test_providers_in_another_order_are_cleared_and_added_in_one_commit(iis: Iis) -> None:
    assert iis.edit(clearing_providers(), adding_provider("NTLM", 0), adding_provider("Negotiate", 1))
    assert iis.providers() == [("NTLM", SITE), ("Negotiate", SITE)]
    assert iis.providers("") == [("Negotiate", ""), ("NTLM", "")]
    assert iis.edit(clearing_providers(), adding_provider("Negotiate"))
    assert iis.file.count(b"<clear />") == 1


@case("Edit-IisConfig", cites="iis.md: Add without Clear is a duplicate error", error="conflict", light=True)
def test_a_provider_that_is_inherited_cannot_be_added_again(iis: Iis) -> None:
    error = iis.refused(enabling(), adding_provider("ntlm"), naming="edit 2: ")
    assert error == Refused("conflict", f"{WINDOWS}@{SITE}", EXISTS)


@case(
    "Edit-IisConfig",
    cites="iis.md: inserting between inherited items makes IIS write `<clear/>` and copy the whole list",
)
def test_between_inherited_items_the_whole_list_is_copied(iis: Iis) -> None:
    assert iis.edit(adding_provider("Odd", 1))
    assert iis.providers() == [("Negotiate", SITE), ("Odd", SITE), ("NTLM", SITE)]
    assert iis.providers("") == [("Negotiate", ""), ("NTLM", "")]


@case("Edit-IisConfig", cites=PROVIDERS)
def test_behind_inherited_items_only_the_new_one_is_written(iis: Iis) -> None:
    assert iis.edit(adding_provider("Odd"), adding_provider("Even"), adding_provider("First", 2))
    assert iis.providers() == [("Negotiate", ""), ("NTLM", ""), ("First", SITE), ("Odd", SITE), ("Even", SITE)]


@case("Edit-IisConfig", cites="iis.md: RemoveAt of an inherited item writes `<remove>`; of a local one deletes it")
def test_an_inherited_item_is_removed_by_a_directive_and_a_local_one_by_deletion(iis: Iis) -> None:
    assert iis.edit(adding_provider("Odd"))
    assert iis.edit(removing_provider("negotiate"), removing_provider("odd"))
    assert iis.providers() == [("NTLM", "")]
    assert (b'<remove value="Negotiate" />' in iis.file, b"Odd" in iis.file) == (True, False)
    assert iis.edit(removing_provider("NTLM", ""))
    assert iis.providers("") == [("Negotiate", "")]


@case("Edit-IisConfig", cites="iis.md: Clear writes `<clear/>` only where something is inherited")
def test_clearing_what_inherits_nothing_writes_no_directive(iis: Iis) -> None:
    assert iis.edit(clearing_providers(""), adding_provider("NTLM", location=""))
    assert (b"<clear" in iis.file, iis.providers("")) == (False, [("NTLM", "")])


@case("Edit-IisConfig", cites="iis.md: `Delete()` (native Clear: reverts to inherited)")
def test_what_is_set_is_reset_and_reverted(iis: Iis) -> None:
    a = {"enabled": True, "useKernelMode": False}
    assert iis.edit(setting(WINDOWS, a, location=SITE), adding_provider("Odd"))
    assert iis.edit({"op": "reset", "section": WINDOWS, "location": SITE, "names": ["enabled"]})
    found = iis.tree(WINDOWS, SITE)["a"]
    assert (found["enabled"], found["useKernelMode"]) == (False, False)
    assert iis.edit({"op": "revert", "section": WINDOWS, "location": SITE})
    assert iis.providers() == [("Negotiate", ""), ("NTLM", "")]
    assert iis.tree(WINDOWS, SITE)["a"]["useKernelMode"] is True


@case("Edit-IisConfig", cites="iis.md: 1.5 Value types and how to set them")
def test_values_of_every_type_are_stored_and_read_back(iis: Iis) -> None:
    pool = [pool_step("DEFAULTAPPPOOL")]
    assert iis.edit(
        setting(POOLS, {"queueLength": 2000, "autoStart": False, "managedPipelineMode": "CLASSIC"}, pool),
        setting(POOLS, {"logEventOnRecycle": "Schedule,Memory"}, [*pool, "recycling"]),
        setting(POOLS, {"time": "1.02:00:00"}, [*pool, "recycling", "periodicRestart"]),
        setting(POOLS, {"userName": "CONTOSO\\svc \u00e4 <&> \"'"}, [*pool, "processModel"]),
        setting(SITES, {"maxBandwidth": 4294967295}, [site_step(), "limits"]),
    )
    (found,) = iis.tree(POOLS)["items"]
    (site,) = iis.tree(SITES)["items"]
    assert (found["a"]["queueLength"], found["a"]["autoStart"], found["a"]["managedPipelineMode"]) == (
        2000,
        False,
        "Classic",
    )
    assert found["c"]["recycling"]["a"]["logEventOnRecycle"] == "Schedule,Memory"
    assert found["c"]["recycling"]["c"]["periodicRestart"]["a"]["time"] == "1.02:00:00"
    assert found["c"]["processModel"]["a"]["userName"] == "CONTOSO\\svc \u00e4 <&> \"'"
    assert site["c"]["limits"]["a"]["maxBandwidth"] == 4294967295


@case("Edit-IisConfig", cites="iis.md: a fresh attribute value object instead of typed conversion")
def test_a_value_that_is_set_has_the_type_of_its_attribute_before_it_is_committed_and_not_its_spelling(
    iis: Iis,
) -> None:
    """A naive mistake: an attribute that holds what it was given, and not what its schema makes of it."""
    given = {"managedPipelineMode": "CLASSIC", "startMode": "alwaysrunning", "queueLength": 2000, "autoStart": False}
    typed = given | {"managedPipelineMode": "Classic", "startMode": "AlwaysRunning"}
    found = [{"tag": "add", "key": typed}, "recycling"]
    times = [*found, "periodicRestart", "schedule"]
    early, late = ({"tag": "add", "key": {"value": time}} for time in ("01:00:00", "02:30:00"))
    assert iis.edit(
        setting(POOLS, given, [pool_step()]),
        # From here on the pool, and the times, are found by values that no file has yet.
        setting(POOLS, {"logEventOnRecycle": "memory,SCHEDULE"}, found),
        setting(POOLS, {"time": "26:00:00"}, [*found, "periodicRestart"]),
        *(
            {"op": "add", "section": POOLS, "at": times, "tag": "add", "a": {"value": one}}
            for one in ("1:00:00", "2:30:00")
        ),
        {"op": "remove", "section": POOLS, "at": [*times, early]},
        setting(POOLS, {"value": "03:00:00"}, [*times, late]),
    )
    (pool,) = iis.tree(POOLS)["items"]
    restart = pool["c"]["recycling"]["c"]["periodicRestart"]
    assert {name: pool["a"][name] for name in typed} == typed
    assert pool["c"]["recycling"]["a"]["logEventOnRecycle"] == "Schedule,Memory"
    assert restart["a"]["time"] == "1.02:00:00"
    assert [one["a"] for one in restart["c"]["schedule"]["items"]] == [{"value": "03:00:00"}]


@case("Edit-IisConfig", cites="iis.md: `<add>` duplicates fail", error="conflict")
def test_two_items_with_one_key_in_two_spellings_are_a_conflict(iis: Iis) -> None:
    times = [pool_step(), "recycling", "periodicRestart", "schedule"]
    adds = [
        {"op": "add", "section": POOLS, "at": times, "tag": "add", "a": {"value": one}}
        for one in ("01:00:00", "1:00:00")
    ]
    error = Refused("conflict", f"{POOLS}@", EXISTS)
    assert iis.refused(*adds) == error
    assert iis.edit(adds[0])
    assert iis.refused(adds[1]) == error
    assert iis.edit({**adds[1], "a": {"value": "2:00:00"}})
    late = [*times, {"tag": "add", "key": {"value": "02:00:00"}}]
    assert iis.refused(setting(POOLS, {"value": "1:00:00"}, late)) == error


@case("Edit-IisConfig", cites="iis.md: write by plain SetAttributeValue (native side encrypts")
def test_a_secret_is_stored_encrypted_and_shown_nowhere(iis: Iis) -> None:
    secret = "Pl4nted \"quotes' & <so> \u00e4\u2028"
    a = {"identityType": "SpecificUser", "userName": r"CONTOSO\svc", "password": {"secret": "P"}}
    assert iis.edit(setting(POOLS, a, [pool_step(), "processModel"]), secrets={"P": secret})
    assert (b"Pl4nted" in iis.file, b'password="[enc:' in iis.file) == (False, True)
    refused = setting(POOLS, {"queueLength": {"secret": "P"}}, [pool_step()])
    error = iis.refused(refused, secrets={"P": secret})
    assert error == Refused("invalid", f"{POOLS}@", INVALID_DATA)


# -- what is refused --

GOOD: Final = setting(ANONYMOUS, {"userName": "somebody"})

REFUSED: Final[dict[str, tuple[Any, Refused]]] = {
    "text for bool": (setting(WINDOWS, {"enabled": "true"}), Refused("invalid", f"{WINDOWS}@", INVALID_DATA)),
    "a number for bool": (setting(WINDOWS, {"enabled": 1}), Refused("invalid", f"{WINDOWS}@", INVALID_DATA)),
    "null for bool": (setting(WINDOWS, {"enabled": None}), Refused("invalid", f"{WINDOWS}@", INVALID_DATA)),
    "text for a number": (setting(SITES, {"id": "443"}, [site_step()]), Refused("invalid", f"{SITES}@", INVALID_DATA)),
    "bool for a number": (setting(SITES, {"id": True}, [site_step()]), Refused("invalid", f"{SITES}@", INVALID_DATA)),
    "a number for text": (setting(ANONYMOUS, {"userName": 1}), Refused("invalid", f"{ANONYMOUS}@", INVALID_DATA)),
    "a number below its type": (setting(SITES, {"id": -1}, [site_step()]), Refused("invalid", f"{SITES}@", INVALID_DATA)),
    "a number above its type": (setting(SITES, {"id": 2**32}, [site_step()]), Refused("invalid", f"{SITES}@", INVALID_DATA)),
    "a number out of its range": (setting(POOLS, {"queueLength": 9}, [pool_step()]), Refused("invalid", f"{POOLS}@", INVALID_DATA)),
    "a number in the range that is left out": (
        setting(SITES, {"maxBandwidth": 1023}, [site_step(), "limits"]), Refused("invalid", f"{SITES}@", INVALID_DATA)
    ),
    "a time with the wrong grain": (
        setting(POOLS, {"idleTimeout": "00:00:30"}, [pool_step(), "processModel"]), Refused("invalid", f"{POOLS}@", INVALID_DATA)
    ),
    "seconds for a time": (setting(POOLS, {"idleTimeout": 60}, [pool_step(), "processModel"]), Refused("invalid", f"{POOLS}@", INVALID_DATA)),
    "a time in words": (setting(POOLS, {"idleTimeout": "1 hour"}, [pool_step(), "processModel"]), Refused("invalid", f"{POOLS}@", INVALID_DATA)),
    "an unknown name of an enum": (setting(ANONYMOUS, {"logonMethod": "Odd"}), Refused("invalid", f"{ANONYMOUS}@", INVALID_DATA)),
    "a number for an enum": (setting(ANONYMOUS, {"logonMethod": 3}), Refused("invalid", f"{ANONYMOUS}@", INVALID_DATA)),
    "a number for flags": (setting(WINDOWS, {"flags": 1}, ["extendedProtection"]), Refused("invalid", f"{WINDOWS}@", INVALID_DATA)),
    "an unknown flag": (setting(WINDOWS, {"flags": "Proxy,Odd"}, ["extendedProtection"]), Refused("invalid", f"{WINDOWS}@", INVALID_DATA)),
    "a site name with &": (new_site("A&B"), Refused("invalid", f"{SITES}@", INVALID_DATA)),
    "a pool name with /": (setting(POOLS, {"name": "a/b"}, [pool_step()]), Refused("invalid", f"{POOLS}@", INVALID_DATA)),
    "a pool without a name": ({"op": "add", "section": POOLS, "tag": "add", "a": {"name": ""}}, Refused("invalid", f"{POOLS}@", INVALID_DATA)),
    "a pool that loses its name": (setting(POOLS, {"name": ""}, [pool_step()]), Refused("invalid", f"{POOLS}@", INVALID_DATA)),
    "an application in a pool without a name": (
        setting(SITES, {"applicationPool": ""}, [site_step(), {"tag": "application", "key": {"path": "/"}}]),
        Refused("invalid", f"{SITES}@", INVALID_DATA),
    ),
    "a secret that was not sent": (setting(ANONYMOUS, {"password": {"secret": "P"}}), Refused("invalid", f"{ANONYMOUS}@")),
    "no id": ({**new_site(), "a": {"name": "x"}}, Refused("invalid", f"{SITES}@", NOT_FOUND)),
    "another tag": ({**new_site(), "tag": "sight"}, Refused("invalid", f"{SITES}@", INVALID_DATA)),
    "an index too far": ({**new_site(), "index": 3}, Refused("invalid", f"{SITES}@", INDEX)),
    "an index below none": ({**new_site(), "index": -2}, Refused("invalid", f"{SITES}@", INDEX)),
    "an index of more than 32 bits": ({**new_site(), "index": 99999999999}, Refused("invalid", f"{SITES}@")),
    "an index that is no number": ({**new_site(), "index": True}, Refused("invalid", f"{SITES}@")),
    "an unknown attribute": (setting(WINDOWS, {"colour": "blue"}), Refused("missing", f"{WINDOWS}@", INDEX)),
    "an unknown attribute to reset": ({"op": "reset", "section": WINDOWS, "names": ["colour"]}, Refused("missing", f"{WINDOWS}@", INDEX)),
    "an unknown attribute in a new item": (
        {"op": "add", "section": POOLS, "tag": "add", "a": {"name": "x", "colour": 1}}, Refused("missing", f"{POOLS}@", INDEX)
    ),
    "an unknown attribute in a key": (
        {"op": "remove", "section": SITES, "at": [{"tag": "site", "key": {"colour": 1}}]}, Refused("missing", f"{SITES}@", INDEX)
    ),
    "an unknown child": (setting(WINDOWS, {}, ["colours"]), Refused("missing", f"{WINDOWS}@", INDEX)),
    "an unknown child of a new item": ({**new_site(), "c": {"colours": {}}}, Refused("missing", f"{SITES}@", INDEX)),
    "no collection": ({"op": "clear", "section": ANONYMOUS}, Refused("missing", f"{ANONYMOUS}@", INDEX)),
    "no collection to add to": ({"op": "add", "section": ANONYMOUS, "tag": "add", "a": {}}, Refused("missing", f"{ANONYMOUS}@", INDEX)),
    "no collection to look into": (setting(ANONYMOUS, {}, [pool_step()]), Refused("missing", f"{ANONYMOUS}@", INDEX)),
    "an item that is not there": ({"op": "remove", "section": SITES, "at": [site_step("No")]}, Refused("missing", f"{SITES}@")),
    "a child that is removed": ({"op": "remove", "section": WINDOWS, "at": ["providers"]}, Refused("invalid", f"{WINDOWS}@", NOT_SUPPORTED)),
    "a section that is removed": ({"op": "remove", "section": WINDOWS, "at": []}, Refused("invalid", f"{WINDOWS}@", NOT_SUPPORTED)),
    "a section where it is not allowed": (setting(SITES, {}, location=SITE), Refused("invalid", f"{SITES}@{SITE}", NOT_SUPPORTED)),
    "a section below an application": (setting(MODULES, {}, location=f"{SITE}/x"), Refused("invalid", f"{MODULES}@{SITE}/x", NOT_SUPPORTED)),
    "a site that is not there": (setting(WINDOWS, {}, location="No"), Refused("missing", f"{WINDOWS}@No", NOT_FOUND)),
    "an unknown section": (setting("system.webServer/x", {}), Refused("invalid", "system.webServer/x@", INVALID_DATA)),
    "an unknown operation": ({"op": "paint", "section": SITES}, Refused("invalid", f"{SITES}@")),
    "an operation in upper case": (setting(ANONYMOUS, {"userName": "x"}) | {"op": "SET"}, Refused("invalid", f"{ANONYMOUS}@")),
    "an operation that is no text": (setting(ANONYMOUS, {"userName": "x"}) | {"op": ["set"]}, Refused("invalid", f"{ANONYMOUS}@")),
    "no operation": ({"section": SITES}, Refused("invalid", f"{SITES}@")),
    "no section": ({"op": "set", "a": {}}, Refused("invalid", "@")),
    "a field too much": ({"op": "revert", "section": SITES, "a": {}}, Refused("invalid", f"{SITES}@")),
    "a field too few": ({"op": "set", "section": SITES}, Refused("invalid", f"{SITES}@")),
    "a field of another type": ({"op": "set", "section": SITES, "a": []}, Refused("invalid", f"{SITES}@")),
    "a step of another shape": (setting(SITES, {}, [{"tag": "site"}]), Refused("invalid", f"{SITES}@")),
    "a step with a field too much": ({"op": "remove", "section": SITES, "at": [{**site_step(), "x": 1}]}, Refused("invalid", f"{SITES}@")),
    "a step with a field of another type": (setting(SITES, {}, [{"tag": "site", "key": []}]), Refused("invalid", f"{SITES}@")),
    "a step that is null": (setting(ANONYMOUS, {"userName": "x"}, [None]), Refused("invalid", f"{ANONYMOUS}@")),
    "a step that is a number": (setting(ANONYMOUS, {"userName": "x"}, [1]), Refused("invalid", f"{ANONYMOUS}@")),
    "a name to reset that is no text": ({"op": "reset", "section": WINDOWS, "names": [["enabled"]]}, Refused("invalid", f"{WINDOWS}@")),
    "a child of another shape": ({**new_site(), "c": {"bindings": {"a": []}}}, Refused("invalid", f"{SITES}@")),
    "an item of another shape": ({**new_site(), "items": [{"tag": 5}]}, Refused("invalid", f"{SITES}@")),
    "every location": ({"op": "remove_location", "location": "/"}, Refused("invalid", "@/")),
    "no object": ("set", Refused("invalid", "edits")),
}  # fmt: skip


@case(
    "Edit-IisConfig",
    cites="iis.md: | set | COMException (0x8007000D expected), InvalidCast, ArgumentOutOfRange, Format, Argument 0x80070057 | invalid-value |",
    error="invalid",
)
def test_an_edit_that_is_refused_writes_nothing_and_is_told_by_its_number(iis: Iis) -> None:
    """Naive mistakes: "true" taken for a bool, "443" for a uint; null for an unknown section."""
    found = {name: iis.refused(GOOD, edit, naming="edit 2: ") for name, (edit, _) in REFUSED.items()}
    assert found == {name: error for name, (_, error) in REFUSED.items()}


@case("Edit-IisConfig", cites="verbs.md: `reset` of a key, or of what is required, is `invalid`", error="invalid")
def test_a_key_and_what_is_required_is_not_reset(iis: Iis) -> None:
    """Without it the file could not be read any more."""
    binding = [site_step(), "bindings", {"tag": "binding", "key": {"protocol": "http"}}]
    provider = ["providers", {"tag": "add", "key": {"value": "NTLM"}}]
    keys: list[tuple[str, str, list[Any], str]] = [
        (SITES, "", [site_step()], "name"),
        (SITES, "", [site_step()], "id"),
        (SITES, "", binding, "protocol"),
        (POOLS, "", [pool_step()], "name"),
        (WINDOWS, "", provider, "value"),
        (WINDOWS, SITE, provider, "value"),
    ]
    for section, location, at, name in keys:
        edit = {"op": "reset", "section": section, "location": location, "at": at, "names": [name]}
        assert iis.refused(edit) == Refused("invalid", f"{section}@{location}")
    assert iis.edit({"op": "reset", "section": SITES, "at": binding, "names": ["sslFlags"]}) is False


@case("Edit-IisConfig", cites="verbs.md: A text with a character that XML 1.0 cannot hold", error="invalid")
def test_what_xml_cannot_hold_is_refused_before_it_is_written(iis: Iis) -> None:
    """Nobody could read the file again. What an encrypted attribute holds does not stand in it."""
    process = [pool_step(), "processModel"]
    for letter in ("\0", "\u0001", "\u001f", "\ufffe", "\uffff"):
        assert iis.refused(setting(ANONYMOUS, {"userName": f"a{letter}b"})) == Refused(
            "invalid", f"{ANONYMOUS}@", INVALID_DATA
        )
        pool = {"op": "add", "section": POOLS, "tag": "add", "a": {"name": f"a{letter}"}}
        assert iis.refused(pool) == Refused("invalid", f"{POOLS}@", INVALID_DATA)
        secret = setting(POOLS, {"userName": {"secret": "P"}}, process)
        assert iis.refused(secret, secrets={"P": f"a{letter}"}) == Refused("invalid", f"{POOLS}@", INVALID_DATA)
        place = f"{SITE}/a{letter}"
        edit = setting(ANONYMOUS, {"userName": "x"}, location=place)
        assert iis.refused(edit) == Refused("invalid", f"{ANONYMOUS}@{place}", INVALID_DATA)
    assert iis.edit(setting(POOLS, {"password": {"secret": "P"}}, process), secrets={"P": "a\u0001\uffff"})
    held = "a\t\r\n\u007f\u0085\u2028\ufffd\U0001f600"
    assert iis.edit(setting(ANONYMOUS, {"userName": held}))
    assert iis.tree(ANONYMOUS)["a"]["userName"] == held


@case(
    "Edit-IisConfig",
    cites="iis.md: dynamic attribute `state` (schema type enum, served by a COM extension, nothing in the file)",
    error="invalid",
)
def test_a_run_time_value_cannot_be_set(iis: Iis) -> None:
    assert iis.refused(setting(SITES, {"state": "Stopped"}, [site_step()])).kind == "invalid"


@case("Edit-IisConfig", cites='iis.md: lockItem / lockAttributes -> FileLoadException "Lock violation"', error="locked")
def test_a_locked_attribute_is_not_set_at_a_location(iis: Iis) -> None:
    """That it binds a location tag of the same file is assumed."""
    iis.replace("<anonymousAuthentication ", '<anonymousAuthentication lockAttributes="enabled" ')
    error = iis.refused(setting(ANONYMOUS, {"enabled": False}, location=SITE))
    assert error == Refused("locked", f"{ANONYMOUS}@{SITE}", LOCK)
    assert iis.edit(setting(ANONYMOUS, {"userName": "x"}, location=SITE))


@case("Edit-IisConfig", cites="iis.md: File held open: FileLoadException", error="locked")
def test_a_file_that_is_open_without_sharing_is_locked_to_edit(iis: Iis) -> None:
    with iis.machine.locked(CONFIG):
        error = iis.host.refused("Edit-IisConfig", guard=sha256(START.read_bytes()), edits=[enabling()])
    assert same_file(error) == Refused("locked", "(file)", SHARING)


@case("Edit-IisConfig", cites="iis.md: | any | UnauthorizedAccess 0x80070005 | access-denied |", error="denied")
def test_a_read_only_file_is_denied(iis: Iis) -> None:
    iis.machine.set_read_only(CONFIG, read_only=True)
    error = iis.refused(enabling())
    iis.machine.set_read_only(CONFIG, read_only=False)
    assert error == Refused("denied", "(file)", ACCESS)


@case("Edit-IisConfig", cites="iis.md: Refuse writes by default", error="denied")
def test_a_shared_configuration_is_not_edited(iis: Iis) -> None:
    farm = r"C:\farm\applicationHost.config"
    iis.machine.write_file(farm, START.read_bytes())
    iis.machine.write_file(
        REDIRECTION, rb'<configuration><configurationRedirection enabled="true" path="C:\farm" /></configuration>'
    )
    assert iis.refused(enabling()) == Refused("denied", farm)
    assert iis.machine.read_file(farm) == START.read_bytes()


@case("Edit-IisConfig", cites="iis.md: bad XML -> COMException", error="invalid")
def test_a_file_that_is_no_xml_is_not_edited(iis: Iis) -> None:
    iis.file = b"<configuration>"
    assert iis.refused(enabling()) == Refused("invalid", "(file)", INVALID_DATA)
    iis.file = START.read_bytes()


@case(
    "Edit-IisConfig",
    cites="verbs.md: A file that cannot be loaded is told before its guard is compared",
    error="invalid",
)
def test_a_file_that_cannot_be_loaded_is_told_before_its_guard(iis: Iis) -> None:
    """A site that it has without a name, or with what the schema does not know, is such a file, too, whatever is edited."""
    site = f'<site name="{SITE}"'
    for data in (
        b"<configuration>",
        iis.file.replace(site.encode(), b"<site"),
        iis.file.replace(site.encode(), site.replace("<site", '<site odd="1"').encode()),
    ):
        assert data != iis.file
        iis.file = data
        for guard in ("0" * 64, iis.guard):
            error = iis.host.refused("Edit-IisConfig", guard=guard, edits=[enabling()])
            assert same_file(error) == Refused("invalid", "(file)", INVALID_DATA)
        iis.file = START.read_bytes()


@case("Edit-IisConfig", cites="verbs.md: an empty text where one must be given", error="invalid")
def test_an_empty_guard_is_none(mfa01: Host) -> None:
    assert mfa01.refused("Edit-IisConfig", guard="", edits=[]) == Refused("invalid", "guard")


@case("Edit-IisConfig", cites="iis.md: FileNotFound / DirectoryNotFound 0x80070002/3", error="missing")
def test_a_file_that_is_gone_is_missing_to_edit(iis: Iis) -> None:
    iis.machine.remove_file(CONFIG)
    error = iis.host.refused("Edit-IisConfig", guard="0" * 64, edits=[enabling()])
    assert same_file(error) == Refused("missing", "(file)", NOT_FOUND)
    assert iis.machine.read_file(CONFIG) is None
    iis.file = START.read_bytes()
