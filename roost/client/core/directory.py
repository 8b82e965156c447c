"""The pinned keys of peers' devices: trusted on first use, every bundle's signature verified.

Pure. A key that changes for a known device is never taken over by itself: the peer is *in
doubt*, nothing is sent to it, and ``trust`` is the user's word that the new key is right. A device that is
added to a known peer puts it in doubt only if the app wants that.
"""

from collections.abc import Mapping
from typing import Any

from roost.client.events import KeyChange, KeyChanged
from roost.client.state import Pin
from roost.ids import address_of
from roost.signing import DeviceKeys, verify_device_keys
from roost.wire import unpadded

Bundles = Mapping[str, Any]
"""The bundles of one user by device, as ``POST /v1/keys/query`` answers them."""


class Directory:
    """The pinned devices of all peers.

    Args:
        server_name: For addresses.
        peers: What was kept; changed in place.
        hold_new: A device that is added to a known peer has to be confirmed.
    """

    def __init__(self, server_name: str, peers: dict[str, dict[str, Pin]], *, hold_new: bool = False) -> None:
        self._server_name = server_name
        self._peers = peers
        self._hold_new = hold_new

    def knows(self, peer: str) -> bool:
        """Return whether the peer's devices were queried before."""
        return peer in self._peers

    def in_doubt(self, peer: str) -> bool:
        """Return whether a device has other keys than the pinned ones, or is to be confirmed."""
        pins = self._peers.get(peer, {}).values()
        return any(pin.current and (pin.offered is not None or not pin.confirmed) for pin in pins)

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
            change = self._learn_device(peer, device_id, bundle, pins, first=first)
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
            pin.confirmed = True
            if pin.offered is not None:
                pin.curve25519, pin.ed25519 = pin.offered
                pin.offered = None

    def _learn_device(
        self, peer: str, device_id: str, bundle: Any, pins: dict[str, Pin], *, first: bool
    ) -> KeyChanged | None:
        try:
            keys = verify_device_keys(bundle, address_of(peer, self._server_name), device_id)
        except ValueError:
            return KeyChanged(peer, device_id, "invalid")
        pin = pins.get(device_id)
        if pin is None:
            confirmed = first or not self._hold_new
            pins[device_id] = Pin(keys.curve25519, keys.ed25519, confirmed=confirmed)
            return _changed(peer, keys, "added", held=not confirmed)
        was_current, pin.current = pin.current, True
        found = (keys.curve25519, keys.ed25519)
        if found == (pin.curve25519, pin.ed25519):
            pin.offered = None
            return None if was_current else _changed(peer, keys, "added", held=not pin.confirmed)
        if pin.offered == found:
            return None
        pin.offered = found
        return _changed(peer, keys, "changed", held=True)


def _changed(peer: str, keys: DeviceKeys, change: KeyChange, *, held: bool) -> KeyChanged:
    return KeyChanged(peer, keys.device_id, change, unpadded(keys.ed25519), held)
