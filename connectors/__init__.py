"""The way to a host: calls as data, the wire format, and the `@winrm` connector of pyinfra."""
