"""A device's own keys, and the signed objects by which others learn their public halves."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from nacl.public import PrivateKey
from nacl.signing import SigningKey

from roost.signing import KEY_BYTES, DeviceKeys, canonical_json
from roost.wire import unpadded

ALGORITHM = "roost.sealed.v1"
"""How a bundle names the suite."""

ONE_TIME_KEY = "signed_curve25519"
"""How the keys API names a signed one-time or fallback key."""


@dataclass(frozen=True)
class DeviceSecrets:
    """The private keys of one device.

    Attributes:
        curve25519: 32 bytes, opens what others seal to this device.
        ed25519: 32 bytes, the seed of its signatures.
    """

    curve25519: bytes = field(repr=False)
    ed25519: bytes = field(repr=False)

    @classmethod
    def from_random(cls, random: bytes) -> "DeviceSecrets":
        """Make keys out of 64 random bytes.

        Raises:
            ValueError: There are not exactly 64 bytes.
        """
        if len(random) != 2 * KEY_BYTES:
            raise ValueError("device keys are made of 64 random bytes")
        return cls(random[:KEY_BYTES], random[KEY_BYTES:])

    @cached_property
    def private_key(self) -> PrivateKey:
        """The X25519 key in its driver's form."""
        return PrivateKey(self.curve25519)

    @cached_property
    def signing_key(self) -> SigningKey:
        """The Ed25519 key in its driver's form."""
        return SigningKey(self.ed25519)

    @cached_property
    def curve25519_public(self) -> bytes:
        """32 bytes that others seal to."""
        return bytes(self.private_key.public_key)

    @cached_property
    def ed25519_public(self) -> bytes:
        """32 bytes that this device's signatures verify with."""
        return bytes(self.signing_key.verify_key)

    def public(self, address: str, device_id: str) -> DeviceKeys:
        """Return the public halves as others see them."""
        return DeviceKeys(address, device_id, self.curve25519_public, self.ed25519_public)


def public_half(private: bytes) -> bytes:
    """Return the X25519 public key of a private one."""
    return bytes(PrivateKey(private).public_key)


def signed(obj: dict[str, Any], address: str, device_id: str, secrets: DeviceSecrets) -> dict[str, Any]:
    """Return the object with this device's signature added."""
    signature = secrets.signing_key.sign(canonical_json(obj)).signature
    earlier = obj.get("signatures", {})
    by_signer = {**earlier.get(address, {}), f"ed25519:{device_id}": unpadded(signature)}
    return {**obj, "signatures": {**earlier, address: by_signer}}


def device_keys(address: str, device_id: str, secrets: DeviceSecrets) -> dict[str, Any]:
    """Return the ``device_keys`` object of this device for ``POST /v1/keys/upload``."""
    bundle = {
        "user_id": address,
        "device_id": device_id,
        "algorithms": [ALGORITHM],
        "keys": {
            f"curve25519:{device_id}": unpadded(secrets.curve25519_public),
            f"ed25519:{device_id}": unpadded(secrets.ed25519_public),
        },
    }
    return signed(bundle, address, device_id, secrets)


def signed_key(
    public_key: bytes, address: str, device_id: str, secrets: DeviceSecrets, *, fallback: bool = False
) -> dict[str, Any]:
    """Return a ``signed_curve25519`` object: a one-time key, or a fallback key.

    Args:
        public_key: 32 bytes.
        address: Owner.
        device_id: Owner's device.
        secrets: What signs it.
        fallback: Given out again and again when the one-time keys are used up.
    """
    obj: dict[str, Any] = {"key": unpadded(public_key)}
    if fallback:
        obj["fallback"] = True
    return signed(obj, address, device_id, secrets)
