"""A person's own identity keys, and the signed objects by which others learn their public halves."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from nacl.signing import SigningKey

from roost.cross_signing import GENERATION_LIMIT, MASTER, SELF_SIGNING, Identity, key_id
from roost.crypto.keys import DeviceSecrets, signed
from roost.signing import KEY_BYTES, canonical_json
from roost.wire import unpadded

_SELF_SIGNING_DOMAIN: Final = b"roost.self_signing.v1\0"


@dataclass(frozen=True)
class IdentitySecrets:
    """The private keys of a person: every linked device has them.

    The self-signing key of each generation follows from the master key, so that a device which was not there
    when it was replaced has the new one as well.

    Attributes:
        master: 32 random bytes, the seed of the key that stands for the person.
        generation: Number of the self-signing key, from 1 on.
    """

    master: bytes = field(repr=False)
    generation: int = 1

    def __post_init__(self) -> None:
        if len(self.master) != KEY_BYTES or not 0 < self.generation < GENERATION_LIMIT:
            raise ValueError(f"an identity is {KEY_BYTES} random bytes, and a number")

    @cached_property
    def self_signing(self) -> bytes:
        """32 bytes, the seed of the key that signs the person's devices."""
        text = _SELF_SIGNING_DOMAIN + self.generation.to_bytes(4, "big")
        return hashlib.blake2b(text, key=self.master, digest_size=KEY_BYTES).digest()

    @cached_property
    def public(self) -> Identity:
        """The public halves."""
        master, self_signing = SigningKey(self.master), SigningKey(self.self_signing)
        return Identity(bytes(master.verify_key), bytes(self_signing.verify_key), self.generation)

    def master_key(self, address: str, device_id: str, secrets: DeviceSecrets) -> dict[str, Any]:
        """Return the ``master_key`` object, signed by this device: who knows the device knows the person."""
        return signed(_object(address, MASTER, self.public.master), address, device_id, secrets)

    def self_signing_key(self, address: str) -> dict[str, Any]:
        """Return the ``self_signing_key`` object, signed by the master key."""
        obj = _object(address, SELF_SIGNING, self.public.self_signing) | {"generation": self.generation}
        return _with_signature(obj, address, self.master)

    def sign_device(self, bundle: dict[str, Any], address: str) -> dict[str, Any]:
        """Return a ``device_keys`` object with this identity's signature: the device is the person's."""
        return _with_signature(bundle, address, self.self_signing)


def _object(address: str, usage: str, key: bytes) -> dict[str, Any]:
    return {"user_id": address, "usage": [usage], "keys": {key_id(key): unpadded(key)}}


def _with_signature(obj: dict[str, Any], address: str, seed: bytes) -> dict[str, Any]:
    key = SigningKey(seed)
    signature = unpadded(key.sign(canonical_json(obj)).signature)
    earlier = obj.get("signatures", {})
    by_signer = {**earlier.get(address, {}), key_id(bytes(key.verify_key)): signature}
    return {**obj, "signatures": {**earlier, address: by_signer}}
