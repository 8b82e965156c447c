"""The second layer of encryption: each part of a blob sealed with the blob's own key, for its place.

The client has encrypted the bytes already; this layer makes a stolen folder or bucket worthless without the
database, and a blob unreadable at once when its row loses the key.
"""

import secrets
from typing import Final

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 24
_VERSION: Final = b"\x01"


class PartBroken(Exception):  # noqa: N818 -- named for what happened
    """A part does not open: it was altered, or is that of another place."""


def seal_part(key: bytes, name: str, index: int, data: bytes) -> bytes:
    """Seal the part at this place."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    box = crypto_aead_xchacha20poly1305_ietf_encrypt(data, _place(name, index), nonce, key)
    return b"".join((_VERSION, nonce, box))


def open_part(key: bytes, name: str, index: int, sealed: bytes) -> bytes:
    """Open the part at this place.

    Raises:
        PartBroken: It was not sealed with this key for this place.
    """
    nonce, box = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    if not sealed.startswith(_VERSION):
        raise PartBroken(f"part {index} of a blob has another form")
    try:
        return bytes(crypto_aead_xchacha20poly1305_ietf_decrypt(box, _place(name, index), nonce, key))
    except (CryptoError, ValueError, TypeError) as exc:
        raise PartBroken(f"part {index} of a blob does not open") from exc


def _place(name: str, index: int) -> bytes:
    return f"blobs|{name}|{index}".encode()
