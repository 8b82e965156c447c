"""The pinned keys of peers' devices: trusted on first use, every bundle's signature verified.

Pure. A key that changes for a known device is never taken over by itself: the peer is *in
doubt*, nothing is sent to it, and ``trust`` is the user's word that the new key is right.
"""

from collections.abc import Mapping
from typing import Any

from roost.client.events import KeyChange, KeyChanged
from roost.client.state import Pin
from roost.ids import address_of
from roost.signing import DeviceKeys, verify_device_keys
from roost.wire import unpadded

Bundles = Mapping[str, Mapping[str, Any]]
"""The bundles of one user by device, as ``POST /v1/keys/query`` answers them."""


class Directory:
    """The pinned devices of all peers.

    Args:
        server_name: For addresses.
        peers: What was kept; changed in place.
    """

    def __init__(self, server_name: str, peers: dict[str, dict[str, Pin]]) -> None:
        self._server_name = server_name
        self._peers = peers

    def knows(self, peer: str) -> bool:
        """Return whether the peer's devices were queried before."""
        return peer in self._peers

    def in_doubt(self, peer: str) -> bool:
        """Return whether the server gives other keys for a device than the pinned ones."""
        return any(pin.current and pin.offered for pin in self._peers.get(peer, {}).values())

    def device(self, peer: str, device_id: str) -> DeviceKeys | None:
        """Return the pinned keys of one device, also of a removed one."""
        pin = self._peers.get(peer, {}).get(device_id)
        if pin is None:
            return None
        return DeviceKeys(address_of(peer, self._server_name), device_id, pin.curve25519, pin.ed25519)

    def recipients(self, peer: str) -> dict[str, bytes]:
        """Return the X25519 keys of the peer's current devices."""
        return {name: pin.curve25519 for name, pin in self._peers.get(peer, {}).items() if pin.current}

    def learn(self, peer: str, bundles: Bundles) -> list[KeyChanged]:
        """Take in the server's answer for one peer and return what differs from before."""
        first = peer not in self._peers
        if first and not bundles:
            return []
        pins = self._peers.setdefault(peer, {})
        changes: list[KeyChanged] = []
        for device_id, bundle in bundles.items():
            change = self._learn_device(peer, device_id, bundle, pins)
            if change is not None and not (first and change.change == "added"):
                changes.append(change)
        for device_id, pin in pins.items():
            if pin.current and device_id not in bundles:
                pin.current = False
                changes.append(KeyChanged(peer, device_id, "removed", unpadded(pin.ed25519)))
        return changes

    def trust(self, peer: str) -> None:
        """Take over the keys that the server offers for this peer: the user has compared them."""
        for pin in self._peers.get(peer, {}).values():
            if pin.offered is not None:
                pin.curve25519, pin.ed25519 = pin.offered
                pin.offered = None

    def _learn_device(
        self, peer: str, device_id: str, bundle: Mapping[str, Any], pins: dict[str, Pin]
    ) -> KeyChanged | None:
        try:
            keys = verify_device_keys(bundle, address_of(peer, self._server_name), device_id)
        except ValueError:
            return KeyChanged(peer, device_id, "invalid")
        pin = pins.get(device_id)
        if pin is None:
            pins[device_id] = Pin(keys.curve25519, keys.ed25519)
            return _changed(peer, keys, "added")
        was_current, pin.current = pin.current, True
        found = (keys.curve25519, keys.ed25519)
        if found == (pin.curve25519, pin.ed25519):
            pin.offered = None
            return None if was_current else _changed(peer, keys, "added")
        if pin.offered == found:
            return None
        pin.offered = found
        return _changed(peer, keys, "changed")


def _changed(peer: str, keys: DeviceKeys, change: KeyChange) -> KeyChanged:
    return KeyChanged(peer, keys.device_id, change, unpadded(keys.ed25519))
