"""The embedded lab: Windows hosts on loopback that speak WinRM. Imports nothing of the product, and the product nothing of it."""
