"""The pinned identities of people, this user's own among them: trusted on first use.

Pure. An identity that is there at first sight is pinned. One that appears later has to be signed by a device
that is known already. Another one is never taken over by itself: the peer is in doubt, no longer verified,
and ``trust`` is the user's word that the new one is right. What the server withholds changes nothing.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from roost.client.events import KeyChanged
from roost.client.state import IdentityKeys, Pin, PinnedIdentity
from roost.cross_signing import PublishedIdentity, is_cross_signed, is_vouched_for, verify_identity
from roost.ids import address_of
from roost.wire import unpadded


class Identities:
    """The pinned identities of all peers.

    Args:
        server_name: For addresses.
        pinned: What was kept; changed in place, and set again by peer when it is.
    """

    def __init__(self, server_name: str, pinned: dict[str, PinnedIdentity]) -> None:
        self._server_name = server_name
        self._pinned = pinned

    def keys(self, peer: str) -> IdentityKeys | None:
        """Return the keys that the peer's devices are to be signed with; None if none are pinned."""
        found = self._pinned.get(peer)
        return found.keys if found is not None else None

    def in_doubt(self, peer: str) -> bool:
        """Return whether the server offers another identity than the pinned one."""
        found = self._pinned.get(peer)
        return found is not None and found.offered is not None

    def is_verified(self, peer: str) -> bool:
        """Return whether the user has compared the peer's safety number since its identity is this one."""
        found = self._pinned.get(peer)
        return found is not None and found.verified

    def pin(self, peer: str, keys: IdentityKeys, *, verified: bool = False) -> None:
        """Take the user's word, or that of another own device, for the peer's identity."""
        self._pinned[peer] = PinnedIdentity(keys, verified=verified)

    def adopt(self, peer: str, known: PinnedIdentity | None) -> list[KeyChanged]:
        """Take over what another own device knows of a peer's identity, and return what differs."""
        if known is None or known.keys is None:
            return []
        mine = self._pinned.get(peer)
        self._pinned[peer] = PinnedIdentity(known.keys, verified=known.verified)
        if mine is None or mine.keys is None:
            return []
        return self._compare(peer, self._pinned[peer], mine.keys)

    def verify(self, peer: str) -> None:
        """Note that the user has compared the peer's safety number.

        Raises:
            ValueError: The peer has no identity, or there is another one to be trusted first.
        """
        found = self._pinned.get(peer)
        if found is None or found.keys is None:
            raise ValueError(f"{peer} has no identity to compare yet")
        if found.offered is not None:
            raise ValueError(f"the identity of {peer} has changed: compare the new one, then trust it first")
        found.verified = True
        self._pinned[peer] = found

    def trust(self, peer: str) -> None:
        """Take over the identity that is offered: the user has compared it."""
        found = self._pinned.get(peer)
        if found is not None and found.offered is not None:
            found.keys, found.offered = found.offered, None
            self._pinned[peer] = found

    def signs(self, peer: str, bundle: Any) -> bool:
        """Return whether the peer's pinned identity has signed this bundle of a device."""
        keys = self.keys(peer)
        address = address_of(peer, self._server_name)
        return keys is not None and is_cross_signed(bundle, address, keys.self_signing)

    def learn(
        self, peer: str, published: PublishedIdentity | None, pins: Mapping[str, Pin], *, first: bool
    ) -> list[KeyChanged]:
        """Take in the identity that the server gives for a peer, and return what differs from before.

        Args:
            peer: Whose.
            published: What the server gives; None: nothing.
            pins: The peer's devices as they are known.
            first: The peer was never asked for before.
        """
        if published is None:
            return []
        address = address_of(peer, self._server_name)
        try:
            found = verify_identity(published.master_key, published.self_signing_key, address)
        except ValueError:
            return [KeyChanged(peer, "", "invalid")]
        keys = IdentityKeys(found.master, found.self_signing, found.generation)
        pinned = self._pinned.get(peer)
        if pinned is None and (first or self._is_vouched_for(published, address, pins.items())):
            self._pinned[peer] = PinnedIdentity(keys)
            return []
        if pinned is None:
            pinned = PinnedIdentity()
        return self._compare(peer, pinned, keys)

    def _compare(self, peer: str, pinned: PinnedIdentity, keys: IdentityKeys) -> list[KeyChanged]:
        self._pinned[peer] = pinned
        if pinned.keys is not None and pinned.keys.master == keys.master:
            # Its owner has replaced the self-signing key; or the server gives an older one, which is ignored.
            if keys.generation > pinned.keys.generation:
                pinned.keys = keys
            pinned.offered = None
            return []
        told = pinned.offered is not None and pinned.offered.master == keys.master
        pinned.offered, pinned.verified = keys, False
        return [] if told else [KeyChanged(peer, "", "identity", unpadded(keys.master), held=True)]

    @staticmethod
    def _is_vouched_for(
        published: PublishedIdentity, address: str, devices: Iterable[tuple[str, Pin]]
    ) -> bool:
        return any(
            pin.current and pin.confirmed and is_vouched_for(published.master_key, address, name, pin.ed25519)
            for name, pin in devices
        )
