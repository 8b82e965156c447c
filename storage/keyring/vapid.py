"""A key of Web Push: what a push service knows this installation by (VAPID, RFC 8292)."""

import base64
import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, Final

from storage.keyring.keys import Key

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256. Source: SEC 2, 2.4.2."""


class VapidKey:
    """The key pair of a seed in the key ring.

    Args:
        key: One of the purpose ``vapid``.

    Attributes:
        id: The key's.
    """

    def __init__(self, key: Key) -> None:
        self.id, self._seed = key.id, key.secret

    def __repr__(self) -> str:
        return f"VapidKey({self.id!r})"

    @cached_property
    def private(self) -> "EllipticCurvePrivateKey":
        """The private half."""
        # Every role has the ring, and most make no use of this.
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

        # Twice the bits of the order: every scalar is as likely as the other.
        wide = int.from_bytes(hashlib.blake2b(self._seed, person=b"roost vapid").digest())
        return ec.derive_private_key(wide % (_ORDER - 1) + 1, ec.SECP256R1())

    @cached_property
    def public(self) -> str:
        """The public half as browsers take it: the uncompressed point in unpadded base64url."""
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 -- likewise
            Encoding,
            PublicFormat,
        )

        point = self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return base64.urlsafe_b64encode(point).rstrip(b"=").decode()
