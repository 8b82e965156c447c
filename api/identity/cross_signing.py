"""Validation of an uploaded identity, and of the signatures that it puts under a person's devices."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from roost.cross_signing import (
    CrossSigningKey,
    Identity,
    is_cross_signed,
    is_vouched_for,
    key_id,
    read_identity,
    verify_identity,
    with_signature,
)
from roost.errors import RoostError
from roost.signing import DeviceBundle, canonical_json, known_members, read_key
from storage.account_rows import CrossSignature, Device, StoredIdentity


class Published(Struct, frozen=True):
    """An identity as it was uploaded, checked.

    Attributes:
        keys: Its public keys.
        stored: What is stored of it.
    """

    keys: Identity
    stored: StoredIdentity


def published_identity(
    master_key: Mapping[str, Any], self_signing_key: Mapping[str, Any], address: str, device: Device
) -> Published:
    """Check an identity that this device uploads, and return what is stored of it.

    Of the signatures those are kept that were checked: the device's, and the master key's.

    Raises:
        RoostError: ``invalid``, ``invalid_signature``.
    """
    try:
        identity = read_identity(master_key, self_signing_key, address)
    except ValueError as exc:
        raise RoostError("invalid", f"{exc}.") from exc
    try:
        verify_identity(master_key, self_signing_key, address)
    except ValueError as exc:
        raise RoostError("invalid_signature", f"{exc}.") from exc
    bundle = _keys_of(device)
    ed25519 = read_key(bundle["keys"][f"ed25519:{device.device}"])
    if not is_vouched_for(master_key, address, device.device, ed25519):
        raise RoostError("invalid_signature", "The master key must also be signed by this device.")
    by_device, by_master = f"ed25519:{device.device}", key_id(identity.master)
    return Published(
        identity,
        StoredIdentity(_kept(master_key, address, by_device), _kept(self_signing_key, address, by_master)),
    )


def identity_of(stored: StoredIdentity, address: str) -> Identity:
    """Return the keys of a stored identity; raises ValueError if they are none by the rules of today."""
    return verify_identity(stored.master_key, stored.self_signing_key, address)


def check_signatures(
    bundles: Mapping[str, Mapping[str, Any]],
    devices: Mapping[str, Device],
    address: str,
    self_signing: bytes,
) -> dict[str, CrossSignature]:
    """Check device keys that the identity has signed; return the signatures by device.

    Args:
        bundles: ``device_keys`` objects by device.
        devices: The user's devices.
        address: The user's.
        self_signing: The key that is to have signed them.

    Raises:
        RoostError: ``unknown_device``, ``invalid``, ``key_conflict`` (these are not its keys),
            ``invalid_signature``, ``too_large``.
    """
    by = key_id(self_signing)
    found: dict[str, CrossSignature] = {}
    for name, bundle in bundles.items():
        if name not in devices:
            raise RoostError("unknown_device", f"This account has no device {name[:64]!r}.")
        stored, given = _keys_of(devices[name]), _bundle(bundle, name)
        if canonical_json(given) != canonical_json(stored):
            raise RoostError("key_conflict", f"The keys of {name} are others; query them and sign those.")
        if not is_cross_signed(given, address, self_signing):
            raise RoostError("invalid_signature", f"The keys of {name} are not signed by {by}.")
        signature = given["signatures"][address][by]
        try:
            with_signature(stored, address, by, signature)
        except ValueError as exc:
            raise RoostError("too_large", f"The keys of {name}: {exc}.") from exc
        found[name] = CrossSignature(by, signature)
    return found


def bundle_of(device: Device, address: str, identity: Identity | None) -> dict[str, Any]:
    """Return what others get of a device's keys: with its identity's signature, if that is today's.

    Raises:
        ValueError: They are none by the rules of today.
    """
    known = known_members(device.keys, DeviceBundle)
    signature = device.cross_signature
    if identity is None or signature is None or signature.by != key_id(identity.self_signing):
        return known
    return with_signature(known, address, signature.by, signature.signature)


def _keys_of(device: Device) -> dict[str, Any]:
    if device.keys is None:
        raise RoostError("invalid", f"Upload the device_keys of {device.device} first.")
    return dict(device.keys)


def _bundle(bundle: Mapping[str, Any], name: str) -> dict[str, Any]:
    try:
        return known_members(bundle, DeviceBundle)
    except ValueError as exc:
        raise RoostError("invalid", f"The keys of {name[:64]}: {exc}.") from exc


def _kept(obj: Mapping[str, Any], address: str, by: str) -> dict[str, Any]:
    known = known_members(obj, CrossSigningKey)
    return known | {"signatures": {address: {by: known["signatures"][address][by]}}}


def encoded(stored: StoredIdentity) -> bytes:
    """Return a stored identity as JSON: compact, for it is kept for many users."""
    return msgspec.json.encode(stored)
