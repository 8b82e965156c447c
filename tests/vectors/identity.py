"""Vectors of identities: keys and signatures, safety numbers, link codes and the answers to them."""

from random import Random
from typing import Any

from nacl.signing import SigningKey

from roost.cross_signing import verify_identity
from roost.crypto import DeviceSecrets, link_code
from roost.crypto.identity import IdentitySecrets
from roost.crypto.keys import device_keys
from roost.crypto.link_code import LinkCode, open_answer
from roost.crypto.safety_numbers import SafetyNumber, fingerprint
from roost.signing import canonical_json
from roost.wire import unpadded
from tests.vectors import sealed

_ADDRESS = "@alice:example.org"


def vectors() -> dict[str, Any]:
    """Return all of them; each private key is in it."""
    dice = Random(79)
    old, new = (DeviceSecrets.from_random(dice.randbytes(64)) for _ in range(2))
    identity = IdentitySecrets(dice.randbytes(32), 3)
    hashes = [fingerprint(dice.randbytes(32), f"@{name}:example.org") for name in ("alice", "bob")]
    number = SafetyNumber(*hashes)
    return {
        "identity": _identity(identity, old),
        "refused": [*_refused(identity, old)],
        "safety": {
            "master": unpadded(identity.public.master),
            "hash": unpadded(fingerprint(identity.public.master, _ADDRESS)),
            "own": unpadded(number.own),
            "theirs": unpadded(number.theirs),
            "digits": number.digits,
            "payload": number.payload,
        },
        "link": _link(dice, old, new),
    }


def _identity(identity: IdentitySecrets, device: DeviceSecrets) -> dict[str, Any]:
    public = identity.public
    return {
        "address": _ADDRESS,
        "device": "OLD",
        "curve25519": unpadded(device.curve25519),
        "ed25519": unpadded(device.ed25519),
        "master": unpadded(identity.master),
        "generation": identity.generation,
        "public": {"master": unpadded(public.master), "self_signing": unpadded(public.self_signing)},
        "master_key": identity.master_key(_ADDRESS, "OLD", device),
        "self_signing_key": identity.self_signing_key(_ADDRESS),
        "bundle": identity.sign_device(device_keys(_ADDRESS, "OLD", device), _ADDRESS),
    }


def _refused(identity: IdentitySecrets, device: DeviceSecrets) -> Any:
    """Yield identities that must not be believed."""
    master, signing = identity.master_key(_ADDRESS, "OLD", device), identity.self_signing_key(_ADDRESS)
    another = IdentitySecrets(bytes(32), 3)
    weak = unpadded(bytes([1]) + bytes(31))
    cases = {
        "another_signer": (master, another.self_signing_key(_ADDRESS)),
        "another_person": (identity.master_key("@bob:example.org", "OLD", device), signing),
        "no_signature": (master, signing | {"signatures": {}}),
        "changed": (master, signing | {"generation": 4}),
        "too_great": (master, signing | {"generation": 2**32}),
        "swapped": (signing, master),
        "two_keys": (master | {"keys": {**master["keys"], "ed25519:x": "x"}}, signing),
        "another_name": (master | {"keys": {"ed25519:x": unpadded(identity.public.master)}}, signing),
        "small_order": (master | {"keys": {f"ed25519:{weak}": weak}}, signing),
        "weak_self_signing": (master, _weak_self_signing(identity, weak)),
        "no_object": (None, signing),
    }
    for name, (first, second) in cases.items():
        try:
            verify_identity(first, second, _ADDRESS)
        except ValueError:
            yield {"name": name, "master_key": first, "self_signing_key": second}
        else:
            raise AssertionError(f"{name} is believed")


def _weak_self_signing(identity: IdentitySecrets, weak: str) -> dict[str, Any]:
    """Return a self-signing key that everyone can sign with, signed by the master key."""
    keys = {f"ed25519:{weak}": weak}
    obj = {"user_id": _ADDRESS, "usage": ["self_signing"], "keys": keys, "generation": 3}
    signature = SigningKey(identity.master).sign(canonical_json(obj)).signature
    by = f"ed25519:{unpadded(identity.public.master)}"
    return obj | {"signatures": {_ADDRESS: {by: unpadded(signature)}}}


def _link(dice: Random, old: DeviceSecrets, new: DeviceSecrets) -> dict[str, Any]:
    code = LinkCode("alice", "NEW", new.ed25519_public, dice.randbytes(16), 1_795_000_600)
    ephemeral = dice.randbytes(32)
    box = sealed.box(b"the answer", new.curve25519_public, ephemeral)
    proof = link_code._proof(code, old.ed25519_public, box)
    if open_answer(box, proof, code, old.public(_ADDRESS, "OLD"), new) != b"the answer":
        raise AssertionError("what was sealed by hand does not open")
    return {
        "code": str(code),
        "old": {"curve25519": unpadded(old.curve25519), "ed25519": unpadded(old.ed25519)},
        "new": {"curve25519": unpadded(new.curve25519), "ed25519": unpadded(new.ed25519)},
        "random": unpadded(ephemeral),
        "sealed": unpadded(box),
        "proof": unpadded(proof),
        "damaged": ["", "roost:link/1/", "roost:link/2/a/b/c/d/e", *_damaged(str(code))],
    }


def _damaged(code: str) -> list[str]:
    return [
        code.replace("alice", "ALICE"),
        code + "x",
        code[:-1] + "/",
        code.replace("NEW", "N W"),
        code + "/",
    ]
