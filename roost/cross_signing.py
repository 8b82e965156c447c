"""Verification of a person's identity, in the shapes of Matrix cross-signing.

An identity is a *master key*, which stands for the person, and a *self-signing key*, which it signs and
which signs the bundles of the person's devices. Client and server both verify with this module; nothing in it
signs.

Added to the shapes of Matrix: a self-signing key has a ``generation``, which rises with each one that the
same master key signs, so that an older one cannot take the place of a newer one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType
from nacl.bindings import crypto_core_ed25519_is_valid_point

from roost.signing import DeviceBundle, known_members, read_key, verify_signed
from roost.wire import unpadded

MASTER: Final = "master"
SELF_SIGNING: Final = "self_signing"
GENERATION_LIMIT: Final = 2**32


class CrossSigningKey(Struct, frozen=True):
    """A ``master_key`` or ``self_signing_key`` object: what is known, stored and signed of it."""

    user_id: str
    usage: list[str]
    keys: dict[str, str]
    signatures: dict[str, dict[str, str]]
    generation: int | UnsetType = UNSET


class PublishedIdentity(Struct, frozen=True):
    """The two objects of a person's identity as ``POST /v1/keys/query`` answers them, not verified."""

    master_key: Any
    self_signing_key: Any


@dataclass(frozen=True, slots=True)
class Identity:
    """The public keys of a person, out of objects whose signatures hold.

    Attributes:
        master: 32 bytes: who the person is.
        self_signing: 32 bytes: what the person's devices are signed with.
        generation: Number of the self-signing key among those of this master key, from 1 on.
    """

    master: bytes
    self_signing: bytes
    generation: int = 1


def key_id(key: bytes) -> str:
    """Return how signatures name a key of an identity."""
    return f"ed25519:{unpadded(key)}"


def verify_identity(master_key: Any, self_signing_key: Any, address: str) -> Identity:
    """Check the two objects of an identity: that they are this person's, and the one signed by the other.

    Raises:
        ValueError: As `read_identity`; or the signature does not hold.
    """
    identity = read_identity(master_key, self_signing_key, address)
    known = known_members(self_signing_key, CrossSigningKey)
    verify_signed(known, address, key_id(identity.master), identity.master)
    return identity


def read_identity(master_key: Any, self_signing_key: Any, address: str) -> Identity:
    """Read the two objects of an identity, without the signatures.

    Raises:
        ValueError: One has not its form, is another person's, or has a weak key.
    """
    master = _key_of(known_members(master_key, CrossSigningKey), address, MASTER)
    known = known_members(self_signing_key, CrossSigningKey)
    self_signing = _key_of(known, address, SELF_SIGNING)
    generation = known.get("generation", 1)
    if not 0 < generation < GENERATION_LIMIT:
        raise ValueError(f"a generation is from 1 to {GENERATION_LIMIT - 1}")
    if master == self_signing:
        raise ValueError("an identity has two different keys")
    return Identity(master, self_signing, generation)


def is_vouched_for(master_key: Any, address: str, device: str, ed25519: bytes) -> bool:
    """Return whether a device has signed the master key: then it is of the same person."""
    try:
        verify_signed(known_members(master_key, CrossSigningKey), address, f"ed25519:{device}", ed25519)
    except ValueError:
        return False
    return True


def is_cross_signed(bundle: Any, address: str, self_signing: bytes) -> bool:
    """Return whether a ``device_keys`` object has a signature of this self-signing key that holds."""
    try:
        verify_signed(known_members(bundle, DeviceBundle), address, key_id(self_signing), self_signing)
    except ValueError:
        return False
    return True


def with_signature(bundle: Mapping[str, Any], address: str, by: str, signature: str) -> dict[str, Any]:
    """Return a signed object with one more signature.

    Raises:
        ValueError: It would be longer than ``MAX_BUNDLE``.
    """
    earlier = bundle["signatures"]
    signatures = {**earlier, address: {**earlier.get(address, {}), by: signature}}
    made = {**bundle, "signatures": signatures}
    known_members(made, DeviceBundle)
    return made


def _key_of(known: dict[str, Any], address: str, usage: str) -> bytes:
    """Return the one key of a cross-signing key object."""
    if known["user_id"] != address or known["usage"] != [usage] or len(known["keys"]) != 1:
        raise ValueError(f"the {usage} key is not one of {address}")
    if usage == MASTER and "generation" in known:
        raise ValueError("a master key has no generation")
    ((name, text),) = known["keys"].items()
    key = read_key(text)
    if name != key_id(key):
        raise ValueError(f"the {usage} key is not named after itself")
    if not crypto_core_ed25519_is_valid_point(key):
        raise ValueError(f"the {usage} key is of small order, or no key")
    return key
