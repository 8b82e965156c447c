"""Who is who: this user's devices, and the people whose safety numbers are compared."""

import asyncio

from roost.client.shell.engine import Engine
from roost.client.state import Profile
from roost.client.transport.answers import Empty
from roost.client.transport.http import Api
from roost.crypto.safety_numbers import SafetyNumber, fingerprint
from roost.ids import address_of, fold_username


class People:
    """What is signed, compared and taken on trust.

    Args:
        profile: This device.
        api: Authenticated calls.
        engine: Has the directory and the identity.
    """

    def __init__(self, profile: Profile, api: Api, engine: Engine) -> None:
        self._me, self._device, self._server_name = profile.username, profile.device_id, profile.server_name
        self._api, self._engine = api, engine

    async def unlink(self, device_id: str) -> None:
        """Remove another device of this user, and sign those that stay with a new key."""
        await self._api.call("DELETE", f"/v1/devices/{device_id}", shape=Empty)
        engine, me = self._engine, self._me
        found = (await engine.keys.query({me}))[me]
        engine.exchange.keys_arrived(me, found)
        if engine.identity.is_linked:
            others = {
                name: bundle
                for name, bundle in found.bundles.items()
                if name not in (device_id, self._device) and engine.directory.is_confirmed(me, name)
            }
            await engine.identity.renew(others)

    async def replace_identity(self, password: str) -> None:
        """Become a new person to everyone."""
        await self._engine.identity.replace(password)
        self._engine.exchange.keys_changed(self._me)

    def trust(self, peer: str, now_ms: int) -> None:
        """Accept what has changed of ``peer``, and send what waits."""
        self._engine.directory.trust(peer)
        self._engine.apply(self._engine.session.outbox.hold(peer, now_ms, held=False))
        self._engine.flushed()

    async def safety_number(self, peer: str) -> SafetyNumber:
        """Return what this user and ``peer`` compare.

        Raises:
            ValueError: One of them has no identity.
        """
        peer = fold_username(peer)
        if not self._engine.directory.knows(peer):
            self._engine.exchange.keys_arrived(peer, (await self._engine.keys.query({peer}))[peer])
        return SafetyNumber(self._fingerprint(self._me), self._fingerprint(peer))

    async def verify(self, peer: str, told: str | None) -> None:
        """Note that the user has compared the safety number with ``peer``.

        Raises:
            ValueError: It is not what was told, or the identity has changed and is not trusted.
        """
        peer = fold_username(peer)
        number = await self.safety_number(peer)
        if told is not None and not number.matches(told):
            raise ValueError(
                f"this is not the safety number of {self._me} and {peer}: someone may be between"
            )
        self._engine.directory.identities.verify(peer)
        await asyncio.shield(self._engine.flushed())

    def _fingerprint(self, user: str) -> bytes:
        """Return the hash of a user's pinned identity, as safety numbers have it."""
        keys = self._engine.directory.identities.keys(user)
        if keys is None:
            raise ValueError(f"{user} has no identity to compare yet")
        return fingerprint(keys.master, address_of(user, self._server_name))
