"""Comparing and deciding: values in, changes out. Pure; no I/O, no pyinfra."""
