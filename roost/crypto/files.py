"""Files under a key of their own: chunks of 64 KiB, each bound to its place and one of them to the end.

    file   = chunk 0 | chunk 1 | ... | last chunk, of the file's bytes and zeros up to a Padmé length
    chunk  = XChaCha20-Poly1305 of at most 65,536 bytes, with the associated data "roost.file.v1"
    nonce  = number of the chunk (23 bytes, big-endian) | 1 for the last chunk, 0 for others (1 byte)

This is the STREAM construction: no chunk opens at another place, and a file that ends early has no last
chunk. A key seals one file once, so that no nonce comes twice: who has to send again sends the same bytes.
Any chunk opens alone, and a download can go on anywhere.

Source: Hoang, Reyhanitabar, Rogaway, Vizár, "Online Authenticated-Encryption and its Nonce-Reuse
Misuse-Resistance" (2015); age (C2SP) has the same layout.
"""

import hashlib
from collections.abc import Iterator
from typing import IO, Final

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

from roost.crypto.padding import padded_length

KEY_BYTES: Final = 32
CHUNK: Final = 64 * 1024
"""Bytes of a file in one chunk."""

_TAG: Final = 16
_DOMAIN: Final = b"roost.file.v1"


class FileBroken(ValueError):  # noqa: N818 -- named for what happened
    """The bytes are not those that the sender sealed: nothing of the file may be used."""


def sealed_size(size: int) -> int:
    """Return how long a file of this size is once it is sealed."""
    padded = padded_length(size)
    return padded + _TAG * _chunks(padded)


def seal_file(source: IO[bytes], size: int, key: bytes) -> Iterator[bytes]:
    """Yield the sealed chunks of a file.

    Args:
        source: The file, from where it stands.
        size: How many bytes of it there are to be.
        key: 32 random bytes that seal nothing else.

    Raises:
        ValueError: The file has fewer bytes.
    """
    padded = padded_length(size)
    left, last = size, _chunks(padded) - 1
    for index in range(last + 1):
        data = _read(source, min(CHUNK, left))
        left -= len(data)
        full = data.ljust(min(CHUNK, padded - index * CHUNK), b"\0")
        yield crypto_aead_xchacha20poly1305_ietf_encrypt(full, _DOMAIN, _nonce(index, index == last), key)


class FileOpener:
    """Opens a sealed file as its bytes come.

    Args:
        key: What seals it.
        size: How many bytes the file has.
        sha256: Digest of all sealed bytes.

    Attributes:
        taken: Sealed bytes that came so far: where to go on.
    """

    def __init__(self, key: bytes, size: int, sha256: bytes) -> None:
        self._key, self._sha256 = key, sha256
        self._left = size
        self._last = _chunks(padded_length(size)) - 1
        self._total = sealed_size(size)
        self._index = 0
        self._buffer = bytearray()
        self._digest = hashlib.sha256()
        self.taken = 0

    def feed(self, data: bytes) -> bytes:
        """Take sealed bytes; return those of the file that they complete.

        Raises:
            FileBroken: A chunk does not open at its place, or there are too many bytes.
        """
        self.taken += len(data)
        if self.taken > self._total:
            raise FileBroken("the file goes on after its end")
        self._digest.update(data)
        self._buffer += data
        opened = []
        while self._index <= self._last and len(self._buffer) >= (length := self._length()):
            opened.append(self._open(bytes(self._buffer[:length])))
            del self._buffer[:length]
        return b"".join(opened)

    def finish(self) -> None:
        """Check that all of it came, and that it is what was sent.

        Raises:
            FileBroken: It is not.
        """
        if self.taken != self._total:
            raise FileBroken("the file ends early")
        if self._digest.digest() != self._sha256:
            raise FileBroken("the file is not the one that was sent")

    def _length(self) -> int:
        """Return the length of the next chunk."""
        return min(CHUNK + _TAG, self._total - self._index * (CHUNK + _TAG))

    def _open(self, chunk: bytes) -> bytes:
        nonce = _nonce(self._index, self._index == self._last)
        try:
            padded = bytes(crypto_aead_xchacha20poly1305_ietf_decrypt(chunk, _DOMAIN, nonce, self._key))
        except (CryptoError, ValueError, TypeError) as exc:
            raise FileBroken(
                f"chunk {self._index} of the file was altered, moved, or has another key"
            ) from exc
        self._index += 1
        data = padded[: self._left]
        self._left -= len(data)
        return data


def _chunks(padded: int) -> int:
    return -(-padded // CHUNK)


def _nonce(index: int, last: bool) -> bytes:  # noqa: FBT001 -- a part of the nonce
    return index.to_bytes(23, "big") + bytes((last,))


def _read(source: IO[bytes], length: int) -> bytes:
    data = source.read(length)
    while len(data) < length:
        more = source.read(length - len(data))
        if not more:
            raise ValueError("the file became shorter while it was read")
        data += more
    return data
