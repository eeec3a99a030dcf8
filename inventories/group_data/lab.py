"""The desired state of inventories/lab.py: the page's own values."""

desired = {
    "site": {"name": "MIM MFASDK", "path": r"C:\inetpub\wwwroot\mfasdk", "port": 9999},
    "authentication": {"anonymous": False, "windows": True, "providers": ["Negotiate", "NTLM"]},
    "admins": {"group": "PhoneFactor Admins", "service_account": r"CONTOSO\mimservice"},
    "settings": {
        "username": "mimservice@contoso.com",
        "sdk_url": "https://mfa01.contoso.com:9999/MultiFactorAuthWebServiceSdk/PfWsSdk.asmx",
    },
}
