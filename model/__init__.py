"""Frozen dataclasses: things as read, things as wanted, and the changes between them. No I/O, no pyinfra."""
