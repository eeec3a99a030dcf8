"""The host verbs: PowerShell that runs on the servers, as text. See docs/verbs.md."""
