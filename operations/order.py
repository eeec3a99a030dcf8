"""
The order of a deploy across its hosts.

pyinfra orders operations by each host's own sequence alone: what is on line 60 for one host may run before line 30 of another
(`State.get_op_order`). A section that every host passes holds the two apart.
"""

from __future__ import annotations

from collections.abc import Generator

from pyinfra.api import StringCommand, operation
from pyinfra.context import host


@operation()
def section() -> Generator[StringCommand, None, None]:
    """
    Begin a part of a deploy: what stands above it is done on all hosts before anything below it begins. Changes nothing, asks no host.

    Call it for every host, outside of any condition; its ``name`` is a headline of the run.

    **Example:**

    .. code:: python

        section(name="Configuring the MIM Service")
    """
    host.noop("nothing to do here: a headline")
    yield from ()
