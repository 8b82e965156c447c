"""Vectors of ``roost.crypto``: keys, bundles, padding, sealed messages and files."""

import hashlib
import io
import random
from typing import Any

from nacl.bindings import crypto_box_beforenm, crypto_box_easy_afternm, crypto_scalarmult_base
from nacl.encoding import RawEncoder
from nacl.hash import blake2b

from roost.crypto import DeviceSecrets, Heading, Undecryptable, open_sealed
from roost.crypto.files import CHUNK, seal_file, sealed_size
from roost.crypto.keys import device_keys, signed_key
from roost.crypto.padding import pad, padded_length
from roost.crypto.sealed import _DOMAIN
from roost.ids import uuid7
from roost.proofs import challenge_message, refresh_message
from roost.signing import _WEAK, canonical_json
from roost.wire import unpadded

_AT_MS = 1_795_000_000_000


def vectors() -> dict[str, Any]:
    """Return all of them; each private key and each random byte is in it."""
    dice = random.Random(78)
    alice, bob = (DeviceSecrets.from_random(dice.randbytes(64)) for _ in range(2))
    return {
        "alice": _device("alice", "ALICEPHONE012345", alice),
        "bob": _device("bob", "BOBTABLET0123456", bob),
        "ids": [_id(dice) for _ in range(4)],
        "canonical": [{"object": each, "bytes": canonical_json(each).decode()} for each in _OBJECTS],
        "padding": [
            [n, padded_length(n)] for n in (0, 1, 255, 256, 257, 511, 1000, 65_536, 10**9, 2**40 + 1)
        ],
        "weak": sorted(unpadded(each) for each in _WEAK),
        "sealed": [_sealed(dice, alice, bob, content) for content in _contents(dice)],
        "refused": [*_refused(dice, alice, bob)],
        "files": [_file(dice, size) for size in (0, 1, 256, 65_535, 65_536, 65_537, 200_000)],
        "proofs": _proofs(alice),
    }


_LENGTHS = (0, 1, 255, 256, 257, 511, 1000, 65_536, 10**9, 2**40 + 1)

_OBJECTS: list[dict[str, Any]] = [
    {},
    {"b": 1, "a": [1, True, None, 'é\n"\\\u007f\u2028'], "signatures": {"x": 1}, "unsigned": 2},
    {"\U0001f600": "astral", "\uffee": "high", "z": {"y": -(2**53) + 1, "x": {}}},
    {"control": "\x00\x1f\b\f\r\t", "slash": "</script>"},
]


def _device(name: str, device: str, secrets: DeviceSecrets) -> dict[str, Any]:
    address = f"@{name}:example.org:8080"
    return {
        "address": address,
        "device": device,
        "curve25519": unpadded(secrets.curve25519),
        "ed25519": unpadded(secrets.ed25519),
        "curve25519_public": unpadded(secrets.curve25519_public),
        "ed25519_public": unpadded(secrets.ed25519_public),
        "bundle": device_keys(address, device, secrets),
        "fallback": signed_key(secrets.curve25519_public, address, device, secrets, fallback=True),
    }


def _id(dice: random.Random) -> dict[str, Any]:
    at_ms, tail = dice.randrange(2**48), dice.randbytes(10)
    return {"at_ms": at_ms, "random": unpadded(tail), "id": uuid7(at_ms, tail)}


def _contents(dice: random.Random) -> list[bytes]:
    return [b"", "Grüße 🦉".encode(), dice.randbytes(190), dice.randbytes(9000)]


def _heading(dice: random.Random) -> Heading:
    message_id = uuid7(_AT_MS, dice.randbytes(10))
    sender, recipient = "@alice:example.org:8080", "@bob:example.org:8080"
    return Heading(sender, "ALICEPHONE012345", recipient, message_id, _AT_MS)


def box(plain: bytes, recipient: bytes, ephemeral: bytes) -> bytes:
    """Make a sealed box with this private key in place of a random one."""
    own = crypto_scalarmult_base(ephemeral)
    nonce = blake2b(own + recipient, digest_size=24, encoder=RawEncoder)
    return bytes(own + crypto_box_easy_afternm(plain, nonce, crypto_box_beforenm(recipient, ephemeral)))


def _sealed(dice: random.Random, sender: DeviceSecrets, to: DeviceSecrets, content: bytes) -> dict[str, Any]:
    heading, ephemeral = _heading(dice), dice.randbytes(32)
    payload = _payload(heading.encoded(to.curve25519_public), content, sender, to, ephemeral)
    if open_sealed(payload, heading, to, sender.public(heading.sender, heading.sender_device)) != content:
        raise AssertionError("what was sealed by hand does not open")
    return {
        "id": heading.message_id,
        "sent_at_ms": heading.sent_at_ms,
        "content": unpadded(content),
        "random": unpadded(ephemeral),
        "payload": unpadded(payload),
    }


def _payload(
    head: bytes, content: bytes, sender: DeviceSecrets, to: DeviceSecrets, ephemeral: bytes
) -> bytes:
    body = len(head).to_bytes(2, "big") + head + content
    signature = sender.signing_key.sign(_DOMAIN + body).signature
    return box(pad(signature + body), to.curve25519_public, ephemeral)


def sealed_by_hand(
    content: bytes, heading: Heading, sender: DeviceSecrets, to: DeviceSecrets, ephemeral: bytes
) -> bytes:
    """Return what ``seal`` would, with this private key in place of a random one."""
    return _payload(heading.encoded(to.curve25519_public), content, sender, to, ephemeral)


def _refused(dice: random.Random, alice: DeviceSecrets, bob: DeviceSecrets) -> Any:
    """Yield payloads that must not open, each with the reason that Python gives."""
    heading = _heading(dice)
    head = heading.encoded(bob.curve25519_public)
    good = _payload(head, b"hello", alice, bob, dice.randbytes(32))
    key = bob.curve25519_public
    body = len(head).to_bytes(2, "big") + head + b"hello"
    bare = alice.signing_key.sign(body).signature  # without the domain
    cases = {
        "altered": good[:-1] + bytes([good[-1] ^ 1]),
        "cut": good[:-1],
        "empty": b"",
        "to_another": _payload(head, b"hello", alice, alice, dice.randbytes(32)),
        "forwarded": _payload(heading.encoded(alice.curve25519_public), b"x", alice, bob, dice.randbytes(32)),
        "signed_by_another": _payload(head, b"hello", bob, bob, dice.randbytes(32)),
        "another_purpose": box(pad(bare + body), key, dice.randbytes(32)),
        "no_padding": box(b"\0" * 256, key, dice.randbytes(32)),
        "odd_length": box(bare + body + b"\x80", key, dice.randbytes(32)),
        "too_short": box(pad(b"short"), key, dice.randbytes(32)),
        "no_heading": _payload(b"{}", b"", alice, bob, dice.randbytes(32)),
        "heading_beyond": box(pad(_signed(alice, b"\xff\xff{}")), key, dice.randbytes(32)),
        "heading_no_text": _payload(_not_utf8(head), b"", alice, bob, dice.randbytes(32)),
        "another_time": _payload(_heading_at(heading, key), b"x", alice, bob, dice.randbytes(32)),
        "low_order_box": b"\0" * 32 + good[32:],
    }
    sender = alice.public(heading.sender, heading.sender_device)
    for name, payload in cases.items():
        try:
            open_sealed(payload, heading, bob, sender)
        except Undecryptable as exc:
            yield {"name": name, "id": heading.message_id, "payload": unpadded(payload), "reason": exc.reason}
        else:
            raise AssertionError(f"{name} opened")


def _not_utf8(head: bytes) -> bytes:
    return head.replace(b'"@bob', b'"\xff@bob')


def _signed(secrets: DeviceSecrets, body: bytes) -> bytes:
    return secrets.signing_key.sign(_DOMAIN + body).signature + body


def _heading_at(heading: Heading, key: bytes) -> bytes:
    later = Heading(
        heading.sender, heading.sender_device, heading.recipient, heading.message_id, heading.sent_at_ms + 1
    )
    return later.encoded(key)


def _file(dice: random.Random, size: int) -> dict[str, Any]:
    """Describe a file by its seed, since its bytes are many: byte ``i`` is ``(i * 7 + size) % 251``."""
    data, key = bytes((at * 7 + size) % 251 for at in range(size)), dice.randbytes(32)
    sealed = b"".join(seal_file(io.BytesIO(data), size, key))
    if len(sealed) != sealed_size(size):
        raise AssertionError("a file is sealed to another length")
    digest = hashlib.sha256(sealed).digest()
    first = sealed[: min(64, CHUNK)]
    return {
        "size": size, "key": unpadded(key), "sealed_size": len(sealed), "sha256": unpadded(digest),
        "begins": unpadded(first), "ends": unpadded(sealed[-64:]),
    }  # fmt: skip


def _proofs(secrets: DeviceSecrets) -> dict[str, Any]:
    challenge = challenge_message("alice", "ALICEPHONE012345", "nonce", "example.org:8080")
    return {
        "refresh": unpadded(secrets.signing_key.sign(refresh_message("rr1.token")).signature),
        "challenge": unpadded(secrets.signing_key.sign(challenge).signature),
    }
