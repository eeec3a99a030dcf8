"""What is said of MIM itself: its build. The words of the page stand here and in deploy.py, nowhere on the host."""

from __future__ import annotations

from collections.abc import Generator
from typing import Final

from pyinfra.api import StringCommand, operation
from pyinfra.context import host

from facts.base import Unread, read
from facts.windows import InstalledProduct
from model.change import PlanError
from operations.converge import halted, refuse, unread
from plans.windows import require_build

PRODUCT: Final = (
    "Microsoft Identity Manager Service and Portal"  # facts/mim-mfa.md 3, display name of the Uninstall entry
)
UPDATES: Final = {"4.5.202.0": "KB4346632", "4.5.286.0": "KB4469694", "4.5.412.0": "KB4489646", "4.6.34.0": "KB4512924"}


@operation()
def mim_build(minimum: str, *, product: str = PRODUCT) -> Generator[StringCommand, None, None]:
    """
    Require a build of MIM: a host with an older one fails here, in the dry run too, and nothing of it is written.

    + minimum: the least build, compared as four numbers: ``4.5.202.0`` is the first one with MFA Server and custom providers
    + product: display name of the product's entry among the installed programs

    Changes nothing, ever. Builds and updates: MIM version release history (facts/mim-mfa.md 3).

    **Example:**

    .. code:: python

        mim_build(name="MIM is patched", minimum="4.5.202.0")
    """
    if halted():
        return
    found = read(InstalledProduct, product=product)
    if isinstance(found, Unread):
        yield from unread(f"the installed build of {product}")
        return
    try:
        build = require_build(found, product, minimum, UPDATES)
    except PlanError as error:
        yield from refuse(str(error))
        return
    host.noop(f"{product} is build {build}, at least {minimum} is needed")
