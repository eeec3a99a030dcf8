"""
A template for real servers. Copy it (and group_data/contoso.py) to a name of your own, put your hosts in, and try

    pyinfra inventories/NAME.py deploy.py --dry --diff

The password comes from the environment (WINRM_PASSWORD), else pyinfra asks at the terminal. It never needs to stand here.
"""

from connectors.inventory import check

# How the hosts are reached: every key is in the README. These hold for all hosts below.
_reach = {
    "winrm_user": "CONTOSO\\svc-pyinfra",  # an administrator of the servers; on the domain controllers one who may write the group
    "winrm_ca": "/etc/ssl/certs/ca-certificates.crt",  # the authority that issued the certificates of the WinRM listeners
}

# Any number of hosts in each group. The first domain controller that can be reached does the work for all.
domain_controllers = [
    ("@winrm/dc01", _reach | {"winrm_hostname": "dc01.contoso.com"}),
    ("@winrm/dc02", _reach | {"winrm_hostname": "dc02.contoso.com"}),
]

mfa_servers = [
    # The certificate of the SDK's site, as IIS Manager or `Cert:\LocalMachine\My` shows its thumbprint.
    (
        "@winrm/mfa01",
        _reach | {"winrm_hostname": "mfa01.contoso.com", "sdk_certificate": "0123456789ABCDEF0123456789ABCDEF01234567"},
    ),
]

mim_servers = [
    ("@winrm/mim01", _reach | {"winrm_hostname": "mim01.contoso.com"}),
    ("@winrm/mim02", _reach | {"winrm_hostname": "mim02.contoso.com"}),
]

check(__file__, domain_controllers=domain_controllers, mfa_servers=mfa_servers, mim_servers=mim_servers)
