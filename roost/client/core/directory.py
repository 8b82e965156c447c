"""The pinned keys of peers' devices: trusted on first use, every bundle's signature verified.

Pure. A key that changes for a known device is never taken over by itself: the peer is *in doubt*, nothing is
sent to it, and ``trust`` is the user's word that the new key is right. A device that is added to a known peer
is *confirmed* if the peer's identity has signed it; one that is not is told as such, and puts the peer in
doubt if the app wants that. So does one that the identity no longer signs: its owner may have removed it.
"""

from collections.abc import Mapping
from typing import Any

from roost.client.core.identities import Identities
from roost.client.events import KeyChange, KeyChanged
from roost.client.state import Pin, PinnedIdentity
from roost.cross_signing import PublishedIdentity
from roost.ids import address_of
from roost.signing import DeviceKeys, verify_device_keys
from roost.wire import unpadded

Bundles = Mapping[str, Any]
"""The bundles of one user by device, as ``POST /v1/keys/query`` answers them."""


class Directory:
    """The pinned devices of all peers.

    Args:
        server_name: For addresses.
        peers: What was kept; changed in place, and set again by peer when it is (`roost.client.store.noted`).
        identities: The pinned identities that were kept; changed likewise.
        hold_new: A device that is added to a known peer has to be confirmed.

    Attributes:
        identities: Whose signatures confirm devices.
    """

    def __init__(
        self,
        server_name: str,
        peers: dict[str, dict[str, Pin]],
        identities: dict[str, PinnedIdentity] | None = None,
        *,
        hold_new: bool = False,
    ) -> None:
        self.identities = Identities(server_name, {} if identities is None else identities)
        self._server_name = server_name
        self._peers = peers
        self._hold_new = hold_new

    def knows(self, peer: str) -> bool:
        """Return whether the peer's devices were queried before."""
        return peer in self._peers

    def in_doubt(self, peer: str) -> bool:
        """Return whether identity or device has other keys than the pinned ones, or is to be confirmed."""
        pins = self._peers.get(peer, {}).values()
        return self.identities.in_doubt(peer) or any(
            pin.current and (pin.offered is not None or not pin.confirmed) for pin in pins
        )

    def device(self, peer: str, device_id: str) -> DeviceKeys | None:
        """Return the pinned keys of one device, also of a removed one."""
        pin = self._peers.get(peer, {}).get(device_id)
        if pin is None:
            return None
        return DeviceKeys(address_of(peer, self._server_name), device_id, pin.curve25519, pin.ed25519)

    def recipients(self, peer: str) -> dict[str, bytes]:
        """Return the X25519 keys of the peer's current devices."""
        return {name: pin.curve25519 for name, pin in self._peers.get(peer, {}).items() if pin.current}

    def is_confirmed(self, peer: str, device_id: str) -> bool:
        """Return whether the device is one of the peer's, and signed by the peer's pinned identity."""
        pin = self._peers.get(peer, {}).get(device_id)
        return pin is not None and pin.current and pin.signed

    def learn(
        self, peer: str, bundles: Bundles, published: PublishedIdentity | None = None
    ) -> list[KeyChanged]:
        """Take in the server's answer for one peer and return what differs from before."""
        first = peer not in self._peers
        if first and not bundles:
            return []
        pins = self._peers.setdefault(peer, {})
        changes = self.identities.learn(peer, published, pins, first=first)
        # Who has no identity is taken as found; with one, each device is to be signed from the start.
        as_found = first and self.identities.keys(peer) is None
        for device_id, bundle in bundles.items():
            change = self._learn_device(peer, device_id, bundle, pins, as_found=as_found)
            if change is not None and not (
                first and change.change == "added" and (as_found or change.confirmed)
            ):
                changes.append(change)
        for device_id, pin in pins.items():
            if pin.current and device_id not in bundles:
                pin.current = pin.signed = False
                changes.append(KeyChanged(peer, device_id, "removed", unpadded(pin.ed25519)))
        self._peers[peer] = pins
        return changes

    def adopt(
        self, peer: str, devices: Mapping[str, Pin], identity: PinnedIdentity | None
    ) -> list[KeyChanged]:
        """Take over what another own device knows of a peer, and return what differs."""
        pins = self._peers.setdefault(peer, {})
        changes = self.identities.adopt(peer, identity)
        for name, pin in pins.items():
            keys = DeviceKeys(address_of(peer, self._server_name), name, pin.curve25519, pin.ed25519)
            known = devices.get(name)
            if known is None:
                pin.confirmed = pin.signed or not self._hold_new
                if pin.current and not pin.signed:
                    changes.append(_changed(peer, keys, "added", held=not pin.confirmed))
                continue
            known.current = pin.current
            if (known.curve25519, known.ed25519) != (pin.curve25519, pin.ed25519):
                known.offered = (pin.curve25519, pin.ed25519)
                changes.append(_changed(peer, keys, "changed", held=True))
        pins.update(devices)
        self._peers[peer] = pins
        return changes

    def confirm(self, peer: str, device_id: str) -> None:
        """Note that the peer's identity has signed a known device."""
        pins = self._peers[peer]
        pins[device_id].signed = pins[device_id].confirmed = True
        self._peers[peer] = pins

    def trust(self, peer: str) -> None:
        """Take over the keys that the server offers for this peer: the user has compared them."""
        self.identities.trust(peer)
        pins = self._peers.get(peer, {})
        for pin in pins.values():
            pin.confirmed = True
            if pin.offered is not None:
                pin.curve25519, pin.ed25519 = pin.offered
                pin.offered = None
        if pins:
            self._peers[peer] = pins

    def _learn_device(
        self, peer: str, device_id: str, bundle: Any, pins: dict[str, Pin], *, as_found: bool
    ) -> KeyChanged | None:
        try:
            keys = verify_device_keys(bundle, address_of(peer, self._server_name), device_id)
        except ValueError:
            return KeyChanged(peer, device_id, "invalid")
        signed = self.identities.signs(peer, bundle)
        pin = pins.get(device_id)
        if pin is None:
            confirmed = signed or as_found or not self._hold_new
            pins[device_id] = Pin(keys.curve25519, keys.ed25519, confirmed=confirmed, signed=signed)
            return _changed(peer, keys, "added", held=not confirmed, confirmed=signed)
        found = (keys.curve25519, keys.ed25519)
        if found == (pin.curve25519, pin.ed25519):
            pin.offered = None
            return self._seen_again(peer, keys, pin, signed=signed)
        pin.current = True
        if pin.offered == found:
            return None
        pin.offered = found
        return _changed(peer, keys, "changed", held=True)

    def _seen_again(self, peer: str, keys: DeviceKeys, pin: Pin, *, signed: bool) -> KeyChanged | None:
        """Note that a known device is there: it may have come back, or be signed now, or no longer be."""
        was_current, was_signed = pin.current, pin.signed
        pin.current, pin.signed = True, signed
        if signed:
            pin.confirmed = True
        elif not was_current or was_signed:
            pin.confirmed = not self._hold_new
        if not was_current:
            return _changed(peer, keys, "added", held=not pin.confirmed, confirmed=signed)
        if was_signed == signed:
            return None
        change: KeyChange = "confirmed" if signed else "unconfirmed"
        return _changed(peer, keys, change, held=not pin.confirmed, confirmed=signed)


def _changed(
    peer: str, keys: DeviceKeys, change: KeyChange, *, held: bool, confirmed: bool = False
) -> KeyChanged:
    return KeyChanged(peer, keys.device_id, change, unpadded(keys.ed25519), held, confirmed)
