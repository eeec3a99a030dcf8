"""The embedded lab: three hosts on loopback, started here when they do not run. LAB_ENGINE=powershell takes the real PowerShell."""

import os

from pyinfra.api.exceptions import InventoryError

from connectors.inventory import check
from lab.control import connection, ensure_started
from lab.folder import LabError
from lab.seed import certificate
from model.secret import Secret

_engine = os.environ.get("LAB_ENGINE", "python")
try:
    ensure_started(_engine)
    _reached = {name: connection(name) for name in ("dc01", "mfa01", "mim01")}
except LabError as error:
    raise InventoryError(str(error)) from None


def _host(name: str, **own: object) -> tuple[str, dict[str, object]]:
    data = _reached[name]
    own |= {key: Secret(str(value)) if key.endswith("password") else value for key, value in data.items()}
    return f"@winrm/{name}", own


domain_controllers = [_host("dc01")]
mfa_servers = [_host("mfa01", sdk_certificate=certificate("mfa01").thumbprint)]
mim_servers = [_host("mim01")]

check(__file__, domain_controllers=domain_controllers, mfa_servers=mfa_servers, mim_servers=mim_servers)
