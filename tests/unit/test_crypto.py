"""The suite ``sealed.v1``, and every attack its heading is there for."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.public import PublicKey, SealedBox

from roost.crypto import DeviceSecrets, Heading, Undecryptable, open_sealed, seal
from roost.crypto.padding import FLOOR, pad, padded_length, unpad

ALICE = DeviceSecrets.from_random(b"a" * 32 + b"A" * 32)
BOB = DeviceSecrets.from_random(b"b" * 32 + b"B" * 32)
CAROL = DeviceSecrets.from_random(b"c" * 32 + b"C" * 32)
ALICE_KEYS = ALICE.public("@alice:here", "ALICEPHONE")
HEADING = Heading("@alice:here", "ALICEPHONE", "@bob:here", "0199-id", 1_000)


def sealed(content: bytes = b"hello", heading: Heading = HEADING, to: DeviceSecrets = BOB) -> bytes:
    return seal(content, heading, ALICE, to.curve25519_public)


def reason(payload: bytes, heading: Heading = HEADING, **others: object) -> str:
    with pytest.raises(Undecryptable) as caught:
        open_sealed(payload, heading, others.get("secrets", BOB), others.get("sender", ALICE_KEYS))  # type: ignore[arg-type]
    return caught.value.reason


def resealed(payload: bytes, by: DeviceSecrets, to: DeviceSecrets) -> bytes:
    """What a recipient can do with a message it holds: seal the signed plaintext to someone else."""
    plain = SealedBox(by.private_key).decrypt(payload)
    return bytes(SealedBox(PublicKey(to.curve25519_public)).encrypt(plain))


@given(st.binary(max_size=3000))
def test_sealed_messages_open(content: bytes) -> None:
    assert open_sealed(sealed(content), HEADING, BOB, ALICE_KEYS) == content


def test_the_same_message_never_looks_the_same() -> None:
    assert sealed() != sealed()


@pytest.mark.attack("read a payload on the server", "it is sealed to the device's key")
def test_plaintext_is_not_in_the_payload() -> None:
    assert b"hello" not in sealed(b"hello" * 50)


@pytest.mark.attack(
    "hand a message on to a third person as if it had been written to them",
    "the recipient is in the signed heading",
)
def test_surreptitious_forwarding_is_refused() -> None:
    forwarded = resealed(sealed(), by=BOB, to=CAROL)
    to_carol = dataclasses.replace(HEADING, recipient="@carol:here")
    assert reason(forwarded, to_carol, secrets=CAROL) == "wrong_heading"


@pytest.mark.attack(
    "hand a message on to another device of its recipient",
    "the very key is in the signed heading",
)
def test_forwarding_between_two_devices_of_one_user_is_refused() -> None:
    forwarded = resealed(sealed(), by=BOB, to=CAROL)
    assert reason(forwarded, HEADING, secrets=CAROL) == "wrong_heading"


@pytest.mark.attack(
    "deliver a message again under another id or time",
    "id and time are in the signed heading",
)
@pytest.mark.parametrize(
    "change",
    [
        {"message_id": "0199-other"},
        {"sent_at_ms": 1_001},
        {"recipient": "@carol:here"},
    ],
)
def test_replay_as_another_message_is_refused(change: dict[str, object]) -> None:
    assert reason(sealed(), dataclasses.replace(HEADING, **change)) == "wrong_heading"


@pytest.mark.attack(
    "deliver a message under another sender's name",
    "the signature is verified with that sender's key",
)
def test_delivery_under_another_name_is_refused() -> None:
    as_carol = dataclasses.replace(HEADING, sender="@carol:here", sender_device="CAROLPHONE")
    assert reason(sealed(), as_carol, sender=CAROL.public("@carol:here", "CAROLPHONE")) == "bad_signature"


@pytest.mark.attack(
    "publish another user's key as one's own, to have their messages shown as one's own",
    "the sender's address is in the signed heading",
)
def test_one_key_under_two_names_is_refused() -> None:
    as_carol = dataclasses.replace(HEADING, sender="@carol:here")
    stolen = ALICE.public("@carol:here", "ALICEPHONE")
    assert reason(sealed(), as_carol, sender=stolen) == "wrong_heading"


@pytest.mark.attack(
    "have a message verified with the keys of another device of its sender",
    "keys at hand must be those of the device that is named",
)
def test_keys_of_another_device_are_refused() -> None:
    assert reason(sealed(), sender=ALICE.public("@alice:here", "OTHERPHONE")) == "unknown_device"


@pytest.mark.attack("send a message back to its sender", "recipient and key are in the signed heading")
def test_reflection_is_refused() -> None:
    mirrored = resealed(sealed(), by=BOB, to=ALICE)
    to_alice = Heading("@bob:here", "BOBPHONE", "@alice:here", HEADING.message_id, HEADING.sent_at_ms)
    assert (
        reason(mirrored, to_alice, secrets=ALICE, sender=BOB.public("@bob:here", "BOBPHONE"))
        == "bad_signature"
    )
    from_self = dataclasses.replace(HEADING, recipient="@alice:here")
    assert reason(mirrored, from_self, secrets=ALICE) == "wrong_heading"


@pytest.mark.attack("open a message with a key that it was not sealed to", "the sealed box")
def test_a_substituted_key_opens_nothing() -> None:
    assert reason(sealed(to=CAROL)) == "not_for_this_key"


@pytest.mark.attack(
    "have a client seal to a key of small order",
    "libsodium refuses to agree on a secret with it",
)
def test_a_key_of_small_order_is_never_sealed_to() -> None:
    with pytest.raises(ValueError, match="X25519"):
        seal(b"x", HEADING, ALICE, bytes(32))


@pytest.mark.attack("cut a payload", "the tag of the sealed box")
@given(st.integers(min_value=0, max_value=400))
def test_truncation_is_refused(length: int) -> None:
    payload = sealed()
    assert reason(payload[: min(length, len(payload) - 1)]) == "not_for_this_key"


@pytest.mark.attack("change a byte of a payload", "the tag of the sealed box")
@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_any_changed_byte_is_refused(position: int, change: int) -> None:
    payload = bytearray(sealed())
    payload[position % len(payload)] ^= change
    assert reason(bytes(payload)) == "not_for_this_key"


def box_for_bob(plain: bytes) -> bytes:
    return bytes(SealedBox(PublicKey(BOB.curve25519_public)).encrypt(plain))


def signed_body(body: bytes) -> bytes:
    return ALICE.signing_key.sign(b"roost.sealed.v1\0" + body).signature + body


def with_member(name: str, value: str) -> bytes:
    """Return a signed body whose heading says something else or more; the value is JSON."""
    heading = HEADING.encoded(BOB.curve25519_public)[:-1] + f',"{name}":{value}}}'.encode()
    return len(heading).to_bytes(2, "big") + heading + b"x"


@pytest.mark.attack(
    "seal something that breaks whoever opens it",
    "every part is bounded and checked, and one refusal stands for whatever cannot be read",
)
@pytest.mark.parametrize(
    ("plain", "expected"),
    [
        (b"", "malformed"),
        (b"no padding", "malformed"),
        (pad(b"short"), "malformed"),
        (pad(bytes(64) + b"\0\2{}"), "bad_signature"),
        (pad(signed_body(b"\0\2{")), "malformed"),
        (pad(signed_body(b"\xff\xff{}")), "malformed"),
        (pad(signed_body(b"\0\2[]x")), "malformed"),
        (pad(signed_body(b"\0\2{}x")), "malformed"),
        (pad(signed_body(b"\0\1\xffx")), "malformed"),
        (pad(signed_body(b"\xea\x60" + b"[" * 60_000)), "malformed"),
        (pad(signed_body(b"\x04\0" + b"[" * 1024)), "malformed"),
        (pad(signed_body(with_member("long", f'"{"x" * 1024}"'))), "malformed"),
        (pad(signed_body(with_member("sent_at_ms", "1e999"))), "malformed"),
        (pad(signed_body(with_member("from", "null"))), "malformed"),
        (pad(signed_body(with_member("id", '"\\ud800"'))), "malformed"),
    ],
)
def test_malformed_plaintext_is_refused(plain: bytes, expected: str) -> None:
    assert reason(box_for_bob(plain)) == expected


@pytest.mark.attack(
    "use a signature that was made for another purpose",
    "a prefix of its own is signed along",
)
def test_a_signature_of_another_purpose_is_refused() -> None:
    body = b"\0\2{}x"
    elsewhere = ALICE.signing_key.sign(body).signature + body
    assert reason(box_for_bob(pad(elsewhere))) == "bad_signature"


def test_members_of_a_later_version_are_ignored() -> None:
    plain = pad(signed_body(with_member("deep", "[" * 100 + "]" * 100)))
    assert open_sealed(box_for_bob(plain), HEADING, BOB, ALICE_KEYS) == b"x"


def test_a_heading_with_true_for_one_differs() -> None:
    plain = pad(signed_body(with_member("sent_at_ms", "true")))
    assert reason(box_for_bob(plain)) == "malformed"


def test_the_longest_heading_is_within_its_bound() -> None:
    address = "@" + "n" * 32 + ":" + "s" * 255
    heading = dataclasses.replace(
        HEADING, sender=address, recipient=address, sender_device="D" * 26, sent_at_ms=2**53 - 1
    )
    payload = seal(b"hello", heading, ALICE, BOB.curve25519_public)
    assert open_sealed(payload, heading, BOB, ALICE.public(address, "D" * 26)) == b"hello"


@given(st.integers(min_value=1, max_value=70_000))
def test_padding_costs_little_and_hides_much(length: int) -> None:
    padded = padded_length(length)
    assert padded >= max(length, FLOOR)
    assert padded <= max(FLOOR, length * 1.12)
    assert padded_length(padded) == padded


@pytest.mark.attack("tell messages apart by their length", "Padmé leaves few lengths")
def test_lengths_fall_into_few_buckets() -> None:
    assert len({padded_length(length) for length in range(1, 65_536)}) < 130


@given(st.binary(max_size=2000))
def test_padding_is_removed(data: bytes) -> None:
    assert unpad(pad(data)) == data


def test_padding_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="padding"):
        unpad(pad(b"x") + b"\0")


def test_secrets_do_not_show() -> None:
    assert "97" not in repr(ALICE)
    assert "aaaa" not in repr(ALICE)


def test_secrets_want_64_bytes() -> None:
    with pytest.raises(ValueError, match="64"):
        DeviceSecrets.from_random(bytes(63))
