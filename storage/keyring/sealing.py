"""Sealed values: XChaCha20-Poly1305, bound to the place they are for.

``collection|id|field`` is authenticated with each value, so that one that was moved to another row or field
does not open. The first byte of a value says what it was sealed with:

* 1: a storage key of the key ring; length of the key's id (1 byte), id, nonce (24 bytes), ciphertext with tag
* 2: its user's data key; nonce (24 bytes), ciphertext with tag
"""

from typing import Final

from nacl.exceptions import CryptoError
from nacl.secret import Aead

BY_RING: Final = 1
BY_DATA_KEY: Final = 2


class SealBroken(Exception):  # noqa: N818 -- named for what happened
    """A sealed value does not open: it was altered, moved to another row, or its key is gone."""


def encrypt(box: Aead, place: tuple[str, str, str], value: bytes) -> bytes:
    """Return nonce and ciphertext of a value for a place: collection, ``_id``, field."""
    return bytes(box.encrypt(value, "|".join(place).encode()))


def decrypt(box: Aead, place: tuple[str, str, str], sealed: bytes) -> bytes:
    """Return the value.

    Raises:
        SealBroken: It was altered, or sealed for another place or with another key.
    """
    try:
        return bytes(box.decrypt(sealed, "|".join(place).encode()))
    except (CryptoError, ValueError) as exc:
        raise SealBroken(f"The value of {place[0]}.{place[2]} was altered or moved.") from exc


def key_id_of(sealed: bytes) -> str | None:
    """Return the id of the storage key that sealed a value; None if it was sealed by none."""
    if len(sealed) < 2 or sealed[0] != BY_RING:  # noqa: PLR2004 -- the two header bytes
        return None
    return sealed[2 : 2 + sealed[1]].decode(errors="replace")
