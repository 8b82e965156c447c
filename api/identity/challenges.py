"""Challenges: random texts that a device signs to log in, each good for one user, one device and one try.

They are given to whoever asks, for whatever name: nothing is looked up, so nothing can be learned.
"""

import secrets

from storage.ports import Cache

TTL_S = 60
"""How long one may be answered."""

_BYTES = 32


class Challenges:
    """Gives challenges and takes them back, over all gateways; without Redis there are none."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    async def give(self, username: str, device_id: str) -> str:
        """Return a new one.

        Raises:
            Unavailable: Redis is away.
        """
        nonce = secrets.token_urlsafe(_BYTES)
        await self._cache.put_challenge(nonce, _bound(username, device_id), TTL_S)
        return nonce

    async def take(self, nonce: str, username: str, device_id: str) -> bool:
        """Return whether it was given for this user and device, and not taken yet; raises as `give`."""
        return await self._cache.take_challenge(nonce) == _bound(username, device_id)


def _bound(username: str, device_id: str) -> str:
    return f"{username}|{device_id}"
