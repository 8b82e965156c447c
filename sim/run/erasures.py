"""The proof that deleted accounts are gone: a look through every store, as ``roost admin erase`` does it."""

import asyncio
import time
from typing import Final, NamedTuple

from cluster.cli.running_store import opened_store
from cluster.local.running_servers import with_running_servers
from cluster.rights.scan import scan
from cluster.settings import Settings
from roost.errors import RoostError
from sim.faults.system import System
from storage.mentions import needles

_PATIENCE_S: Final = 120.0
"""A host looks twice, the second time 20 s later."""

_LOOK_EVERY_S: Final = 0.5


class Account(NamedTuple):
    """Who is looked for.

    Args:
        user: User id.
        name: Username.
        devices: Ids of all its devices.
    """

    user: str
    name: str
    devices: tuple[str, ...]


async def left_of(system: System, account: Account) -> list[str]:
    """Return sentences about what the stores still have of a deleted account and should not.

    Raises:
        RoostError: A store does not answer.
    """
    assert system.data is not None  # noqa: S101 -- whoever calls has looked
    own = Settings.load({"data": system.data})
    settings = with_running_servers(own)
    if state := await _unfinished(settings, account.user):
        return [f"it is not finished after {_PATIENCE_S:g} s: {state}."]
    wanted = needles(account.user, account.name, account.devices)
    remains = await scan(settings, wanted, embedded=own.kafka.url is None)
    return [f"{each.where} has {each.count}: {each.why}." for each in remains if not each.expected]


async def _unfinished(settings: Settings, user: str) -> str:
    """Wait until an account is erased; returns how far it is if that takes too long."""
    async with opened_store(settings) as store:
        deadline, state = time.monotonic() + _PATIENCE_S, ""
        while time.monotonic() < deadline:
            try:
                row = await store.erasures.get(user)
            except RoostError as exc:
                state = exc.detail
            else:
                state = "someone has logged in" if row is None else row.state
                if state == "erased":
                    return ""
            await asyncio.sleep(_LOOK_EVERY_S)
        return state
