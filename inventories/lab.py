"""The embedded lab: three hosts on loopback, started here when they do not run. LAB_ENGINE=powershell takes the real PowerShell."""

import os

from connectors.inventory import check
from lab.control import connection, ensure_started

_engine = os.environ.get("LAB_ENGINE", "python")
ensure_started(_engine)

domain_controllers = [("@winrm/dc01", connection("dc01"))]
mfa_servers = [("@winrm/mfa01", connection("mfa01"))]
mim_servers = [("@winrm/mim01", connection("mim01"))]

check(__file__, domain_controllers=domain_controllers, mfa_servers=mfa_servers, mim_servers=mim_servers)
