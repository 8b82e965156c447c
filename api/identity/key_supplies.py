"""How many keys of each device are left, for its own client: in ``ready`` and with each sync.

A client only has to know in time when to upload more. So what was read lately counts, also if another gateway
has given out a key since; this gateway forgets it when a key comes or goes through it.
"""

from collections import OrderedDict
from typing import Any, Final

import structlog

from roost.clock import Clock
from roost.errors import Unavailable
from storage.account_rows import KeySupply
from storage.ports import Store

_GOOD_MS: Final = 30_000
_KEPT: Final = 50_000

_Owner = tuple[str, str]
"""User id and device id."""

log = structlog.get_logger(__name__)


class KeySupplies:
    """What this gateway read lately of devices' keys."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._read: OrderedDict[_Owner, tuple[KeySupply, int]] = OrderedDict()

    def known(self, user: str, device: str) -> KeySupply | None:
        """Return what was read lately, None if nothing was."""
        found = self._read.get((user, device))
        if found is None or not 0 <= self._clock() - found[1] < _GOOD_MS:
            return None
        return found[0]

    async def of(self, user: str, device: str) -> KeySupply:
        """Return what is left, read now unless it was lately.

        Raises:
            Unavailable: The store does not answer.
        """
        return self.known(user, device) or await self.read(user, device)

    async def told(self, user: str, device: str) -> dict[str, Any]:
        """Return the members of an answer that say what is left; none while the store does not answer."""
        try:
            supply = await self.of(user, device)
        except Unavailable as exc:
            log.warning("keys_not_counted", device=device, error=exc.detail)
            return {}
        return {
            "one_time_key_counts": supply.one_time,
            "unused_fallback_key_types": supply.unused_fallback,
        }

    async def read(self, user: str, device: str) -> KeySupply:
        """Return what is left as it is now; raises as `of` does."""
        at_ms = self._clock()
        supply = await self._store.keys.supply(user, device)
        self._read[user, device] = (supply, at_ms)
        self._read.move_to_end((user, device))
        if len(self._read) > _KEPT:
            self._read.popitem(last=False)
        return supply

    def forget(self, user: str, device: str) -> None:
        """A key was given out or uploaded."""
        self._read.pop((user, device), None)
