"""Pools and authentication of IIS: plans/iis.py. Sites are in test_plans_iis_site.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from model.change import Change, PlanError
from model.iis import (
    AppPool,
    AppPoolRead,
    Authentication,
    Parent,
    Plan,
    Scheme,
    SchemeRead,
    WantedAppPool,
    WantedAuthentication,
)
from model.secret import Secret
from plans.iis import overridden, plan_app_pool, plan_authentication

POOLS: Final = "system.applicationHost/applicationPools"
PASSWORD: Final = Secret("pl4nted 'secret'")
POOL: Final = AppPool("MIM MFASDK", "v4.0", "Integrated", "ApplicationPoolIdentity", "", False, "OnDemand")
OWN: Final = replace(POOL, identity="SpecificUser", user=r"CONTOSO\svc", password_set=True)
STEP: Final = {"tag": "add", "key": {"name": "MIM MFASDK"}}


def pool(found: AppPool | None = POOL, **kinds: Any) -> AppPoolRead:
    return AppPoolRead(
        **{"guard": "g", "shared": False, "app_pool": found, "state": "Started" if found else None, **kinds}
    )


@dataclass
class PoolCase:
    now: AppPoolRead
    wanted: WantedAppPool
    changes: tuple[Change, ...] = ()
    edits: tuple[Mapping[str, Any], ...] = ()
    state: str | None = None


def _set(at: list[Any], values: dict[str, Any]) -> dict[str, Any]:
    return {"op": "set", "section": POOLS, "location": "", "at": at, "a": values}


def _add(values: dict[str, Any], process: dict[str, Any] | None = None) -> dict[str, Any]:
    child = {"processModel": {"a": process, "c": {}, "items": []}} if process else {}
    edit = {"op": "add", "section": POOLS, "location": "", "at": [], "tag": "add", "index": -1}
    return edit | {"a": values, "c": child, "items": []}


SECRET_CHANGE: Final = Change("password", None, None, secret=True)
POOL_CASES: Final = {
    "a pool that is as wanted": PoolCase(pool(), WantedAppPool("MIM MFASDK", state="Started")),
    "another spelling of everything": PoolCase(
        pool(OWN), WantedAppPool("mim mfasdk", runtime_version="V4.0", user=r"contoso\SVC", password=PASSWORD)
    ),
    "an absent pool is made": PoolCase(
        pool(None),
        WantedAppPool("P", runtime_version="", identity="SpecificUser", user="u", password=PASSWORD, state="Started"),
        (
            Change("app_pool", None, "P"),
            Change("runtime_version", None, ""),
            Change("identity", None, "SpecificUser"),
            Change("user", None, "u"),
            SECRET_CHANGE,
            Change("state", None, "Started"),
        ),
        (
            _add(
                {"name": "P", "managedRuntimeVersion": ""},
                {"identityType": "SpecificUser", "userName": "u", "password": {"secret": "password"}},
            ),
        ),
        "Started",
    ),
    "only what differs is set": PoolCase(
        pool(),
        WantedAppPool("mim mfasdk", runtime_version="v2.0", pipeline_mode="Classic", start_mode="OnDemand"),
        (Change("runtime_version", "v4.0", "v2.0"), Change("pipeline_mode", "Integrated", "Classic")),
        (_set([STEP], {"managedRuntimeVersion": "v2.0", "managedPipelineMode": "Classic"}),),
    ),
    "no managed code differs from v4.0": PoolCase(
        pool(),
        WantedAppPool("MIM MFASDK", runtime_version=""),
        (Change("runtime_version", "v4.0", ""),),
        (_set([STEP], {"managedRuntimeVersion": ""}),),
    ),
    "another user needs the password again": PoolCase(
        pool(OWN),
        WantedAppPool("MIM MFASDK", user=r"CONTOSO\new", password=PASSWORD),
        (Change("user", r"CONTOSO\svc", r"CONTOSO\new"), SECRET_CHANGE),
        (_set([STEP, "processModel"], {"userName": r"CONTOSO\new", "password": {"secret": "password"}}),),
    ),
    "a password where none is stored": PoolCase(
        pool(replace(OWN, password_set=False)),
        WantedAppPool("MIM MFASDK", password=PASSWORD),
        (SECRET_CHANGE,),
        (_set([STEP, "processModel"], {"password": {"secret": "password"}}),),
    ),
    "a password that is stored is not written again": PoolCase(
        pool(OWN), WantedAppPool("MIM MFASDK", password=PASSWORD)
    ),
    "unless that is asked for": PoolCase(
        pool(OWN),
        WantedAppPool("MIM MFASDK", password=PASSWORD, rotate_password=True),
        (SECRET_CHANGE,),
        (_set([STEP, "processModel"], {"password": {"secret": "password"}}),),
    ),
    "a managed account has no password": PoolCase(
        pool(),
        WantedAppPool("MIM MFASDK", identity="SpecificUser", user=r"CONTOSO\gmsa$"),
        (Change("identity", "ApplicationPoolIdentity", "SpecificUser"), Change("user", "", r"CONTOSO\gmsa$")),
        (_set([STEP, "processModel"], {"identityType": "SpecificUser", "userName": r"CONTOSO\gmsa$"}),),
    ),
    "a stopped pool is started": PoolCase(
        pool(state="Stopped"),
        WantedAppPool("MIM MFASDK", state="Started"),
        (Change("state", "Stopped", "Started"),),
        (),
        "Started",
    ),
    "one that WAS does not know yet is waited for": PoolCase(
        pool(state="Unknown"),
        WantedAppPool("MIM MFASDK", state="Started"),
        (Change("state", "Unknown", "Started"),),
        (),
        "Started",
    ),
    "a state that is not named is left alone": PoolCase(pool(state="Stopped"), WantedAppPool("MIM MFASDK")),
    "an absent pool that must be absent": PoolCase(pool(None), WantedAppPool("P", present=False)),
    "a pool that must be absent is removed": PoolCase(
        pool(users=()),
        WantedAppPool("mim mfasdk", present=False),
        (Change("app_pool", "MIM MFASDK", None),),
        ({"op": "remove", "section": POOLS, "location": "", "at": [STEP]},),
    ),
}


def test_the_password_of_the_account_before_does_not_stay_with_another_one() -> None:
    with pytest.raises(PlanError, match="Give its password"):
        plan_app_pool(pool(OWN), WantedAppPool("MIM MFASDK", user=r"CONTOSO\new"))


def test_a_managed_account_takes_the_stored_password_away() -> None:
    plan = plan_app_pool(pool(OWN), WantedAppPool("MIM MFASDK", user=r"CONTOSO\gmsa$"))
    place = {"section": POOLS, "location": "", "at": [{"tag": "add", "key": {"name": OWN.name}}, "processModel"]}
    assert plan == Plan(
        (Change("user", r"CONTOSO\svc", r"CONTOSO\gmsa$"), Change("password", "(secret)", "removed")),
        edits=(
            place | {"op": "set", "a": {"userName": r"CONTOSO\gmsa$"}},
            place | {"op": "reset", "names": ["password"]},
        ),
    )


@pytest.mark.parametrize("case", POOL_CASES.values(), ids=POOL_CASES)
def test_plan_of_a_pool(case: PoolCase) -> None:
    expected = Plan(case.changes, edits=case.edits, state=case.state)  # type: ignore[arg-type]  # a case's state is text
    assert plan_app_pool(case.now, case.wanted) == expected


POOL_REFUSALS: Final = {
    "a pool in use": (
        pool(users=("MIM MFASDK/", "Other/x")),
        WantedAppPool("MIM MFASDK", present=False),
        "the pool runs MIM MFASDK/, Other/x. Give these another pool first.",
    ),
    "a user without SpecificUser": (
        pool(),
        WantedAppPool("MIM MFASDK", user="u"),
        "identity is ApplicationPoolIdentity, user and password are for SpecificUser only.",
    ),
    "a name with a control character": (
        pool(),
        WantedAppPool("P\x01"),
        r"pool name 'P\x01' holds a character that no file of IIS can hold",
    ),
    "a user with a control character": (
        pool(),
        WantedAppPool("MIM MFASDK", identity="SpecificUser", user="u\uffff"),
        r"user 'u\uffff' holds a character that no file of IIS can hold",
    ),
    "a runtime without its v": (
        pool(),
        WantedAppPool("MIM MFASDK", runtime_version="4.0"),
        "runtime_version is '4.0', expected 'v4.0', 'v2.0' or '' for no managed code.",
    ),
    "SpecificUser without a user": (
        pool(),
        WantedAppPool("MIM MFASDK", identity="SpecificUser"),
        "identity SpecificUser needs a user. Give user, and password unless it is a managed account.",
    ),
    "an empty password": (
        pool(OWN),
        WantedAppPool("MIM MFASDK", password=Secret("")),
        "the password is empty. Leave it out for a managed account.",
    ),
    "a name that IIS refuses": (
        pool(None),
        WantedAppPool("a/b"),
        "pool name 'a/b': expected up to 64 characters without |<>&\\\"/[]+=;:,?*@",
    ),
    "a shared configuration": (
        pool(shared=True),
        WantedAppPool("MIM MFASDK", runtime_version=""),
        "its configuration is shared by a farm (redirection.config): every node would change. Change it where it is shared.",
    ),
}


@pytest.mark.parametrize(("now", "wanted", "message"), POOL_REFUSALS.values(), ids=POOL_REFUSALS)
def test_plan_of_a_pool_that_is_refused(now: AppPoolRead, wanted: WantedAppPool, message: str) -> None:
    with pytest.raises(PlanError) as error:
        plan_app_pool(now, wanted)
    assert str(error.value) == message


def test_no_plan_of_a_pool_shows_the_password() -> None:
    plan = plan_app_pool(pool(None), WantedAppPool("P", identity="SpecificUser", user="u", password=PASSWORD))
    wanted = WantedAppPool("P", password=PASSWORD)
    assert PASSWORD.reveal() not in f"{plan!r} {wanted!r} {[change.to_json() for change in plan.changes]}"


words = st.sampled_from(["", "v2.0", "V2.0", "v4.0"])
modes = st.sampled_from(["Integrated", "Classic"])
identities = st.sampled_from(["LocalSystem", "NetworkService", "SpecificUser", "ApplicationPoolIdentity"])
starts = st.sampled_from(["OnDemand", "AlwaysRunning"])
pools = st.builds(
    AppPool, st.just("P"), words, modes, identities, st.sampled_from(["u", "U", "v"]), st.booleans(), starts
)


@given(
    st.none() | pools,
    st.builds(
        WantedAppPool,
        st.sampled_from(["p", "P"]),
        runtime_version=st.none() | words,
        pipeline_mode=st.none() | modes,
        identity=st.just("SpecificUser"),
        user=st.sampled_from(["u", "v"]),
        password=st.none() | st.just(PASSWORD),
        start_mode=st.none() | starts,
    ),
)
def test_after_the_plan_of_a_pool_nothing_is_left_to_plan(found: AppPool | None, wanted: WantedAppPool) -> None:
    now = pool(found)
    # Refused: the password of another account would stay.
    assume(found is None or not found.password_set or wanted.password is not None or found.user == wanted.user)
    after = _applied(found, plan_app_pool(now, wanted).edits)
    assert plan_app_pool(pool(after), wanted) == Plan()


def _applied(found: AppPool | None, edits: tuple[Mapping[str, Any], ...]) -> AppPool | None:
    names = {
        "managedRuntimeVersion": "runtime_version",
        "managedPipelineMode": "pipeline_mode",
        "startMode": "start_mode",
    }
    names |= {"identityType": "identity", "userName": "user"}
    for edit in edits:
        values = dict(edit["a"])
        if edit["op"] == "add":
            found = AppPool(values.pop("name"), "v4.0", "Integrated", "ApplicationPoolIdentity", "", False, "OnDemand")
            values |= edit["c"].get("processModel", {"a": {}})["a"]
        assert found is not None
        secret = values.pop("password", None)
        found = replace(found, **{names[name]: value for name, value in values.items()})
        found = replace(found, password_set=found.password_set or secret is not None)
    return found


# -- authentication --

CONFIG: Final = r"C:\Windows\System32\inetsrv\config\applicationHost.config"
WEB: Final = r"C:\inetpub\wwwroot\mfasdk\web.config"
ALL: Final = (
    "AnonymousAuthenticationModule",
    "WindowsAuthenticationModule",
    "BasicAuthenticationModule",
    "DigestAuthenticationModule",
)
AUTH: Final = "system.webServer/security/authentication"
BOTH: Final = ("Negotiate", "NTLM")
SPEC: Final = WantedAuthentication({"anonymous": False, "windows": True}, BOTH)


def auth(
    anonymous: bool = True, windows: bool = False, basic: bool = False, digest: bool = False, **kinds: Any
) -> Authentication:
    """A site where all of it comes from applicationHost.config; `schemes` replaces some."""
    values: dict[Scheme, bool] = {"anonymous": anonymous, "windows": windows, "basic": basic, "digest": digest}
    schemes = {scheme: SchemeRead(on, on, CONFIG, 90) for scheme, on in values.items()} | kinds.pop("schemes", {})
    fields: dict[str, Any] = {
        "guard": "g",
        "shared": False,
        "config": CONFIG,
        "site": "MIM MFASDK",
        "path": "/",
        "paths": ("/", "/Sdk"),
    }
    fields |= {"schemes": schemes, "providers_stored": kinds.get("providers", BOTH), "providers": BOTH}
    fields |= {"global_modules": ALL, "modules": ALL}
    return Authentication(**fields | kinds)


def _enabled(scheme: str, on: bool, location: str = "MIM MFASDK") -> dict[str, Any]:
    return {
        "section": f"{AUTH}/{scheme}Authentication",
        "location": location,
        "op": "set",
        "at": [],
        "a": {"enabled": on},
    }


def _provider_edits(*providers: str, location: str = "MIM MFASDK") -> tuple[dict[str, Any], ...]:
    where = {"section": f"{AUTH}/windowsAuthentication", "location": location, "at": ["providers"]}
    adds = (
        where | {"op": "add", "tag": "add", "index": at, "a": {"value": one}, "c": {}, "items": []}
        for at, one in enumerate(providers)
    )
    return (where | {"op": "clear"}, *adds)


ON: Final = (Change("anonymous", True, False), Change("windows", False, True))
AUTH_CASES: Final = {
    "anonymous off and windows on are one commit": (
        auth(),
        SPEC,
        Plan(ON, edits=(_enabled("anonymous", False), _enabled("windows", True))),
    ),
    "nothing differs": (auth(anonymous=False, windows=True), SPEC, Plan()),
    "providers in another case are the same": (
        auth(anonymous=False, windows=True, providers=("negotiate", "ntlm")),
        SPEC,
        Plan(),
    ),
    "providers in another order are not": (
        auth(providers=("NTLM", "Negotiate")),
        WantedAuthentication({}, BOTH),
        Plan((Change("providers", ("NTLM", "Negotiate"), BOTH),), edits=_provider_edits(*BOTH)),
    ),
    "only the schemes named are managed": (
        auth(basic=True, digest=True),
        WantedAuthentication({"windows": True}),
        Plan((Change("windows", False, True),), edits=(_enabled("windows", True),)),
    ),
    "an application is its own location": (
        auth(path="sdk/"),
        WantedAuthentication({"windows": True}),
        Plan((Change("windows", False, True),), edits=(_enabled("windows", True, "MIM MFASDK/sdk"),)),
    ),
    "what counts is right only by a deeper web.config, so it is stored, too": (
        auth(schemes={"anonymous": SchemeRead(True, False, WEB, 3), "windows": SchemeRead(False, True, WEB, 4)}),
        SPEC,
        Plan(
            (
                Change(f"anonymous as stored ({WEB} line 3 sets what counts)", True, False),
                Change(f"windows as stored ({WEB} line 4 sets what counts)", False, True),
            ),
            edits=(_enabled("anonymous", False), _enabled("windows", True)),
        ),
    ),
    "what counts is right by a file that is not known": (
        auth(schemes={"windows": SchemeRead(False, True)}),
        WantedAuthentication({"windows": True}),
        Plan(
            (Change(f"windows as stored (a file below {CONFIG} sets what counts)", False, True),),
            edits=(_enabled("windows", True),),
        ),
    ),
    "what a deeper web.config says again is stored already": (
        auth(schemes={"windows": SchemeRead(True, True, WEB, 4)}),
        WantedAuthentication({"windows": True}),
        Plan(),
    ),
    "providers that are right only by a deeper web.config are left alone": (
        auth(windows=True, providers_stored=("NTLM",)),
        WantedAuthentication({"windows": True}, BOTH),
        Plan(),
    ),
    "a path with the prefix for long paths is the same file": (
        auth(schemes={"windows": SchemeRead(False, False, rf"\\?\{CONFIG.upper()}", 4)}),
        WantedAuthentication({"windows": True}),
        Plan((Change("windows", False, True),), edits=(_enabled("windows", True),)),
    ),
    "anonymous can go where basic is on": (
        auth(basic=True),
        WantedAuthentication({"anonymous": False}),
        Plan((Change("anonymous", True, False),), edits=(_enabled("anonymous", False),)),
    ),
    "a site that is not there yet": (
        auth(site=None, paths=()),
        SPEC,
        Plan(
            ON,
            edits=(_enabled("anonymous", False, "Mim mfasdk"), _enabled("windows", True, "Mim mfasdk")),
            parent=Parent(
                "site:MIM MFASDK", "there is no site 'Mim mfasdk'. Create it before (iis_site), or name another one."
            ),
        ),
    ),
    "an application of a site that is not there, which iis_site does not make": (
        auth(site=None, paths=(), path="/odd"),
        WantedAuthentication({"windows": True}),
        Plan(
            (Change("windows", False, True),),
            edits=(_enabled("windows", True, "Mim mfasdk/odd"),),
            parent=Parent(
                "application:MIM MFASDK/ODD",
                "there is no site 'Mim mfasdk', and iis_site makes none with an application or virtual directory '/odd'. "
                "Create both before.",
            ),
        ),
    ),
    "an application that is not there": (
        auth(path="/odd"),
        WantedAuthentication({"windows": True}),
        Plan(
            (Change("windows", False, True),),
            edits=(_enabled("windows", True, "MIM MFASDK/odd"),),
            parent=Parent(
                "application:MIM MFASDK/ODD",
                "site 'MIM MFASDK' has no application or virtual directory '/odd'; it has /, /Sdk.",
            ),
        ),
    ),
}


@pytest.mark.parametrize(("now", "wanted", "expected"), AUTH_CASES.values(), ids=AUTH_CASES)
def test_plan_of_authentication(now: Authentication, wanted: WantedAuthentication, expected: Plan) -> None:
    assert plan_authentication(now, wanted, "Mim mfasdk") == expected


def test_providers_that_are_right_only_by_a_deeper_web_config_are_told_with_the_file() -> None:
    by_web = auth(schemes={"windows": SchemeRead(True, True, WEB, 4)}, providers_stored=("NTLM",))
    told = f"providers are so by {WEB} line 4 alone: applicationHost.config has NTLM"
    assert overridden(by_web, WantedAuthentication({}, BOTH)) == told
    assert overridden(by_web, WantedAuthentication({"windows": True})) == ""
    assert overridden(auth(), WantedAuthentication({}, BOTH)) == ""


NO_WINDOWS: Final = tuple(one for one in ALL if "Windows" not in one)
NOT_INSTALLED: Final = "windows needs WindowsAuthenticationModule, which is not installed (globalModules). Install Web-Windows-Auth, run again."
BOTH_OFF: Final = "anonymous and windows are not switched off in one step: nobody could log on. Switch one off."
OVERRIDDEN: Final = (
    f"{AUTH}/windowsAuthentication is set by {WEB}{{}}, which counts more than applicationHost.config. "
    "Take it out there, or set it there."
)
AUTH_REFUSALS: Final = {
    "both off in one step": (
        auth(),
        WantedAuthentication({"anonymous": False, "windows": False, "basic": True}),
        BOTH_OFF,
    ),
    "the last one off": (
        auth(),
        WantedAuthentication({"anonymous": False}),
        "no scheme would be left on: nobody could log on. Switch another one on first.",
    ),
    "only one left that does not run": (
        auth(windows=True, modules=NO_WINDOWS),
        WantedAuthentication({"anonymous": False}),
        "only windows would be left on, and its module does not run there: nobody could log on.",
    ),
    "a module that is not installed": (auth(global_modules=NO_WINDOWS), SPEC, NOT_INSTALLED),
    "a module that is not installed, though all is stored as wanted": (
        auth(anonymous=False, windows=True, global_modules=NO_WINDOWS),
        SPEC,
        NOT_INSTALLED,
    ),
    "a module that is not installed, for a site that is not there": (
        auth(site=None, global_modules=NO_WINDOWS),
        SPEC,
        NOT_INSTALLED,
    ),
    "providers of a module that is not installed": (
        auth(global_modules=NO_WINDOWS, providers=("NTLM",)),
        WantedAuthentication({}, BOTH),
        NOT_INSTALLED.replace("windows needs", "windows, whose providers are named, needs"),
    ),
    "a module that is switched off there": (
        auth(modules=NO_WINDOWS),
        SPEC,
        "windows needs WindowsAuthenticationModule, which is installed but switched off there (modules). Switch it on first.",
    ),
    "a module in other letters is another one": (
        auth(modules=tuple(one.lower() for one in ALL)),
        SPEC,
        "windows needs WindowsAuthenticationModule, which is installed but switched off there (modules). Switch it on first.",
    ),
    "modules that could not be read": (
        auth(modules=None, modules_error="modules@X: broken (invalid)"),
        SPEC,
        "windows needs WindowsAuthenticationModule, and the modules there could not be read: modules@X: broken (invalid)",
    ),
    "a section that could not be read": (
        auth(schemes={"windows": SchemeRead(None, None, error="windows@X: web.config line 3 (locked)")}),
        SPEC,
        "windows could not be read: windows@X: web.config line 3 (locked)",
    ),
    "a web.config that overrides": (
        auth(schemes={"windows": SchemeRead(False, False, WEB, 7)}),
        SPEC,
        OVERRIDDEN.format(" line 7"),
    ),
    "stored as wanted and yet not so": (
        auth(schemes={"windows": SchemeRead(True, False)}),
        SPEC,
        f"{AUTH}/windowsAuthentication is stored as wanted, yet another value counts: a file below {CONFIG} sets it.",
    ),
    "providers that a web.config overrides": (
        auth(anonymous=False, providers=("NTLM",), schemes={"windows": SchemeRead(True, True, WEB, None)}),
        SPEC,
        OVERRIDDEN.format(""),
    ),
    "providers that could not be read": (
        auth(providers=(), schemes={"windows": SchemeRead(None, None, error="windows@X: locked")}),
        WantedAuthentication({}, BOTH),
        "windows could not be read: windows@X: locked",
    ),
    "nothing named": (
        auth(),
        WantedAuthentication({}),
        "nothing is named. Give at least one of anonymous, windows, basic, digest or providers.",
    ),
    "a provider twice": (
        auth(),
        WantedAuthentication({}, ("NTLM", "ntlm")),
        "providers are ('NTLM', 'ntlm'), expected names such as Negotiate and NTLM, each once",
    ),
    "no provider": (
        auth(),
        WantedAuthentication({}, ()),
        "providers are (), expected names such as Negotiate and NTLM, each once",
    ),
    "a shared configuration": (
        auth(shared=True),
        SPEC,
        "its configuration is shared by a farm (redirection.config): every node would change. Change it where it is shared.",
    ),
}


@pytest.mark.parametrize(("now", "wanted", "message"), AUTH_REFUSALS.values(), ids=AUTH_REFUSALS)
def test_plan_of_authentication_that_is_refused(
    now: Authentication, wanted: WantedAuthentication, message: str
) -> None:
    with pytest.raises(PlanError) as error:
        plan_authentication(now, wanted, "MIM MFASDK")
    assert str(error.value) == message


SCHEMES: Final[tuple[Scheme, ...]] = ("anonymous", "windows", "basic", "digest")
switches = st.fixed_dictionaries(dict.fromkeys(SCHEMES, st.booleans()))
provider_lists = st.lists(
    st.sampled_from(["Negotiate", "NTLM", "ntlm", "Negotiate:Kerberos"]), max_size=3, unique_by=str.lower
)


@given(
    switches,
    provider_lists.map(tuple),
    st.dictionaries(st.sampled_from(SCHEMES), st.booleans()),
    st.none() | provider_lists.filter(bool).map(tuple),
)
def test_a_plan_of_authentication_converges_keeps_a_way_in_and_touches_nothing_else(
    found: dict[Scheme, bool],
    providers: tuple[str, ...],
    schemes: dict[Scheme, bool],
    wanted_providers: tuple[str, ...] | None,
) -> None:
    now = auth(**found, providers=providers, providers_stored=providers)
    wanted = WantedAuthentication(schemes, wanted_providers)
    try:
        plan = plan_authentication(now, wanted, "MIM MFASDK")
    except PlanError:
        return
    after, providers_after = dict(found), list(providers)
    for edit in plan.edits:
        if edit["op"] == "set":
            name = str(edit["section"]).removeprefix(f"{AUTH}/").removesuffix("Authentication")
            after[name] = edit["a"]["enabled"]  # type: ignore[index]  # the names are those of Scheme
        elif edit["op"] == "clear":
            providers_after = []
        else:
            providers_after.insert(edit["index"], edit["a"]["value"])
    written = auth(**after, providers=tuple(providers_after), providers_stored=tuple(providers_after))
    assert plan_authentication(written, wanted, "MIM MFASDK") == Plan()
    assert {name for name in SCHEMES if after[name] != found[name]} <= schemes.keys()
    assert any(after.values()) or after == found
