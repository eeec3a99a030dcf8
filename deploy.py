"""
Azure MFA Server as the second factor of MIM, in the order of Microsoft's page "Use Azure MFA Server to activate PAM or SSPR".

One named operation a step. Which hosts: the groups domain_controllers, mfa_servers, mim_servers; what they shall be: `desired` in the group data.
The page's steps 1 to 3 (download, activation, installation) and the import of the account are done by hand; so is the way back, by the backup.
"""

from functools import partial
from typing import Any, TypeAlias

from pyinfra import host, inventory

from connectors.inventory import check_groups, check_run, thumbprint_of
from facts.base import UNREAD, read
from facts.windows import WindowsService
from model.desired import parse
from operations.ad import ad_group, ad_group_member
from operations.hosts import first_active
from operations.iis import iis_app_pool, iis_auth, iis_site
from operations.mim import NewMembership, mim_build, not_ready
from operations.order import section, turn
from operations.windows import not_restartable, stopped_by, windows_service, windows_service_folder
from operations.xml import xml_elements

Arguments: TypeAlias = dict[str, Any]

given = host.data.dict()
check_groups({one.name: one.groups for one in inventory.get_active_hosts()})
# The inventory was checked while it loaded; --data, which wins over it, was not there then.
check_run(host.name, given, host.groups)
wanted = parse(given["desired"])
site, admins = wanted.site, wanted.admins
directory = first_active("domain_controllers")
is_mim = "mim_servers" in host.groups

section(name="Azure MFA Server, step 4: the IIS web application that hosts the SDK")
if "mfa_servers" in host.groups:
    https = {"protocol": "https", "port": site.port, "host": site.host_name, "thumbprint": thumbprint_of(given)}
    sdk: Arguments = {"site": site.name, "path": site.path, "app_pool": site.app_pool, "bindings": [https]}
    asked: Arguments = {
        "site": site.name,
        "anonymous": wanted.authentication.anonymous,
        "windows": wanted.authentication.windows,
        "providers": wanted.authentication.providers if wanted.authentication.windows else None,
    }
    # What would be refused is looked for before anything is written: with -y nothing is planned ahead.
    iis_auth(name="The SDK can ask for a Windows account", **asked, check_only=True, moved_to=site.path)
    iis_site(name="Certificate, folder and port of the SDK's site can serve it", **sdk, check_only=True)
    iis_app_pool(name="The SDK's app pool", app_pool=site.app_pool)
    iis_site(name="The SDK's https site on an empty directory", **sdk)
    iis_auth(name="The SDK asks for a Windows account", **asked)

section(name="Azure MFA Server, step 4, final step: the MIM service account in PhoneFactor Admins")
if directory is not None and host.name == directory.name:  # one domain controller does it for all
    group, account = admins.group, admins.service_account
    ad_group_member(
        name="The group may hold the MIM service account",
        group=group,
        member=account,
        accounts_only=True,
        check_only=True,
    )
    ad_group(name="The group of the SDK's callers", group=group, category="security")
    ad_group_member(name="The MIM service account may call the SDK", group=group, member=account, accounts_only=True)

section(
    name="Configuring the MIM Service for Azure MFA Server",
    unless=lambda: not_ready(directory, servers="mfa_servers", controllers="domain_controllers") if is_mim else "",
)
mim_servers = inventory.get_group("mim_servers", default=[]) if is_mim else []
names = [server.name for server in mim_servers]
for server in host.loop(mim_servers):  # one after the other: the first that does not come up leaves the rest untouched
    if before := names[: names.index(server.name)]:
        stopped = partial(stopped_by, wanted.mim.service, before)
        turn(name="The next MIM server", server=server.name, after=before, unless=stopped)
    if server.name != host.name:
        continue

    mim_build(name="MIM is patched", minimum=wanted.mim.minimum_build)

    joined = NewMembership(directory, admins.group, admins.service_account)
    service = read(WindowsService, service=wanted.mim.service)
    windows_service_folder(name="Where its settings are can be told", service=wanted.mim.service)
    if service is not UNREAD:
        settings = f"{service.folder}\\MfaSettings.xml" if service.found and service.folder else None
        if settings is not None:
            unused = ["LICENSE_KEY", "GROUP_KEY", "CERT_PASSWORD", "CertFilePath"]
            xml_elements(
                name="MIM calls MFA Server, not the retired SDK",
                file=settings,
                parent=wanted.settings.parent,
                namespaces=wanted.settings.namespaces,
                clear=unused if wanted.settings.unused == "clear" else [],
                remove=unused if wanted.settings.unused == "remove" else [],
                set={"Username": wanted.settings.username, "LOCMFA": "true", "LOCMFASRV": wanted.settings.sdk_url},
                refuse_if={
                    "CustomPhoneProvider": "no source says which of LOCMFA and a custom provider wins: clear one of them by hand first"
                },
                refuse_elsewhere="if that is the place, name it in the desired state: settings.parent (and settings.namespaces)",
                unless=lambda: not_restartable(wanted.mim.service),
                ignore_case=True,
                backup=True,
            )
        windows_service(
            name="The MIM Service has read its settings and knows its groups",
            service=wanted.mim.service,
            reads=settings,
            restart=given.get("restart_mim", False),
            because=joined.reason,
            hint=joined.hint,
            rolling=True,
            _serial=True,
        )
