"""The desired state of inventories/contoso.py. What is left out has the value of Microsoft's page."""

desired = {
    # The IIS site for the Web Service SDK of MFA Server. IIS must be there (Web-Server, Web-Windows-Auth, Web-Asp-Net45, Web-Metabase).
    "site": {
        "name": "MIM MFASDK",
        "path": r"C:\inetpub\wwwroot\mfasdk",
        "port": 9999,
    },
    # Only these two are touched; Basic, Digest and everything else stays as it is.
    "authentication": {"anonymous": False, "windows": True, "providers": ["Negotiate", "NTLM"]},
    # DOMAIN\user, UPN, sAMAccountName, DN, SID or GUID.
    "admins": {"group": "PhoneFactor Admins", "service_account": r"CONTOSO\mimservice"},
    # MfaSettings.xml of the MIM Service: found by the service's own path, not by a drive assumed.
    "settings": {
        "username": "mimservice@contoso.com",
        "sdk_url": "https://mfa01.contoso.com:9999/MultiFactorAuthWebServiceSdk/PfWsSdk.asmx",
        "unused": "clear",  # or "remove": what happens to LICENSE_KEY, GROUP_KEY, CERT_PASSWORD and CertFilePath
        # If these stand elsewhere in the file than below its root element, a refusal of the dry run says where: that is the key "parent".
    },
    # The first build with MFA Server and custom providers; an older one fails, and nothing of that host is written.
    "mim": {"minimum_build": "4.5.202.0"},
}
