"""
What is said of MIM itself: its build, and whether its service can know of a group. Changes nothing.

The words of the page stand here and in deploy.py, nowhere on the host.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

from pyinfra.api import Host, StringCommand, operation
from pyinfra.context import state

from facts.ad import AdGroupMember
from facts.base import Unread, read
from facts.windows import InstalledProduct
from model.windows import Products
from operations.ad import member_id
from operations.arguments import checked
from operations.converge import require, written
from operations.hosts import failed_in, on
from plans.windows import require_build

PRODUCT: Final = (
    "Microsoft Identity Manager Service and Portal"  # facts/mim-mfa.md 3, display name of the Uninstall entry
)
UPDATES: Final = {"4.5.202.0": "KB4346632", "4.5.286.0": "KB4469694", "4.5.412.0": "KB4489646", "4.6.34.0": "KB4512924"}


@dataclass(frozen=True)
class NewMembership:
    """
    Whether the service's account joined a group in this run: a running process learns of that only by a new logon (facts/mim-mfa.md 4).

    + directory: the domain controller that the membership is written at; None where this run has none
    + group, account: as given to `ad_group_member`
    + force: what the user may say to restart all the same, for the hint
    """

    directory: Host | None
    group: str
    account: str
    force: str = "--data restart_mim=true"

    def reason(self) -> str:
        """Why the service must restart: it joined in this run, or would; "" otherwise."""
        if self.directory is None:
            return ""
        if state.is_executing:
            joined = written(member_id(self.group, self.account), on=self.directory)
            return f"{self.account} joined {self.group} in this run" if joined else ""
        now = on(self.directory, lambda: read(AdGroupMember, group=self.group, member=self.account))
        if isinstance(now, Unread) or now.problem or now.how in {"direct", "primary"}:
            return ""
        return f"{self.account} would join {self.group}"

    def hint(self) -> str:
        """What is said where nothing is to be done: when an older membership began is recorded nowhere that could be read."""
        if self.directory is None:
            return f"no domain controller takes part in this run: whether the process knows that {self.account} is in {self.group} cannot be told"
        return f"whether the process knows its older membership of {self.group} cannot be told; restart it with {self.force}"


def not_ready(directory: Host | None, *, servers: str, controllers: str) -> str:
    """
    Why MIM must not be pointed at its SDK in this run: what it would rely on failed on another host. "" where nothing did.

    + directory: the domain controller that works for all, see `first_active`
    + servers, controllers: groups of the MFA servers and of the domain controllers

    A host that ``--limit`` leaves out does not count: who limits a run says that the rest is right.
    """
    failed = failed_in(servers)
    if directory is None:
        failed += failed_in(controllers)
    elif directory in state.failed_hosts:
        failed.append(directory.name)
    if not failed:
        return ""
    return f"left untouched, since {', '.join(failed)} failed: MIM would rely on what is not there. Mend that first, or go on with --limit"


@operation()
@checked
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

    def check(found: Products) -> str:
        build = require_build(found, product, minimum, UPDATES)
        return f"{product} is build {build}, at least {minimum} is needed"

    yield from require(
        f"the installed build of {product}", read=lambda: read(InstalledProduct, product=product), check=check
    )
