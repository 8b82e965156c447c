"""The keys of a subscription of Web Push."""

import base64
import secrets

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from storage.subscriptions import SubscriptionKeys


def text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def point(form: PublicFormat = PublicFormat.UncompressedPoint) -> bytes:
    curve: ec.EllipticCurve = ec.SECP256R1()
    return ec.generate_private_key(curve).public_key().public_bytes(Encoding.X962, form)


AUTH = text(b"a" * 16)
POINT = point()


@pytest.mark.parametrize("padding", ["", "="])
def test_they_are_kept_as_they_were_given(padding: str) -> None:
    keys = SubscriptionKeys.given(text(POINT) + padding, AUTH + 2 * padding, "v1")
    assert (keys.p256dh, keys.auth, keys.vapid) == (POINT, b"a" * 16, "v1")
    assert SubscriptionKeys.kept(keys.text) == keys


OFF_THE_CURVE = POINT[:64] + bytes([POINT[64] ^ 1])
BAD = {
    "nothing": "",
    "no base64url": "BCV+/" + text(POINT)[5:],
    "another script": "é" * 87,
    "long": text(POINT) * 2,
    "compressed": text(point(PublicFormat.CompressedPoint)),
    "short": text(POINT[:64]),
    "of another curve": text(b"\4" + secrets.token_bytes(96)),
    "the point at infinity": text(b"\0"),
    "all zero": text(b"\4" + bytes(64)),
    "off the curve": text(OFF_THE_CURVE),
    "of the other form": text(b"\6" + POINT[1:]),
}


@pytest.mark.attack("subscribe with a point that is not on the curve, to learn a key", "it is verified")
@pytest.mark.parametrize("p256dh", BAD.values(), ids=BAD)
def test_a_key_that_is_no_point_is_refused(p256dh: str) -> None:
    with pytest.raises(ValueError, match="p256dh is"):
        SubscriptionKeys.given(p256dh, AUTH, "v1")


@pytest.mark.parametrize("auth", ["", text(b"a" * 15), text(b"a" * 17), "a" * 21, "?" * 22, "é"])
def test_a_secret_of_another_length_is_refused(auth: str) -> None:
    with pytest.raises(ValueError, match="auth is"):
        SubscriptionKeys.given(text(POINT), auth, "v1")


@pytest.mark.parametrize("kept", ["", "{}", "[]", '{"p256dh":"AA","auth":"AA"}', "\ud800"])
def test_damaged_keys_are_noticed(kept: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- msgspec's own words
        SubscriptionKeys.kept(kept)
