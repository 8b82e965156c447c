"""Subscriptions of Web Push: their keys, checked, and the form in which they are kept. Pure.

Source: RFC 8291, section 2 (``auth``: 16 bytes; ``p256dh``: an uncompressed point of P-256).
"""

import base64
import binascii
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Struct

_AUTH_BYTES: Final = 16
_POINT_BYTES: Final = 65
_TEXT_MAX: Final = 128


class SubscriptionKeys(Struct, frozen=True):
    """What a subscription has beside its endpoint. Its JSON is kept, sealed, beside the endpoint.

    Attributes:
        p256dh: Public key of the browser, or of the app, for this subscription.
        auth: Secret that it shares with us.
        vapid: Id of the key in our key ring that was to be subscribed with when it was registered.
    """

    p256dh: bytes
    auth: bytes
    vapid: str

    @classmethod
    def given(cls, p256dh: str, auth: str, vapid: str) -> "SubscriptionKeys":
        """Return the keys out of what a client sent, in base64url with or without padding.

        Raises:
            ValueError: One is not of its form; the text is a sentence.
        """
        point, secret = _decoded("p256dh", p256dh), _decoded("auth", auth)
        if len(secret) != _AUTH_BYTES:
            raise ValueError(f"auth is {_AUTH_BYTES} bytes in base64url.")
        try:
            if len(point) != _POINT_BYTES:
                raise ValueError(f"{len(point)} bytes")  # noqa: TRY301 -- a compressed point is one, too
            ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        except ValueError as exc:
            raise ValueError(f"p256dh is an uncompressed point of P-256, {_POINT_BYTES} bytes.") from exc
        return cls(point, secret, vapid)

    @classmethod
    def kept(cls, text: str) -> "SubscriptionKeys":
        """Return the keys out of what is stored.

        Raises:
            ValueError: It is damaged.
        """
        try:
            return msgspec.json.decode(text, type=cls)
        except RecursionError as exc:
            raise ValueError("It is nested too deeply.") from exc

    @property
    def text(self) -> str:
        """What is stored."""
        return msgspec.json.encode(self).decode()


def _decoded(name: str, text: str) -> bytes:
    try:
        if len(text) > _TEXT_MAX:
            raise ValueError("too long")  # noqa: TRY301 -- one sentence for both
        bare = text.rstrip("=")
        return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as exc:
        raise ValueError(f"{name} is not base64url.") from exc
