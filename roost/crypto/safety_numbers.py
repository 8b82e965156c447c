"""Safety numbers: 60 digits, the same on both sides, by which two people compare each other's identity.

    hash(0) = version (2 bytes, big-endian: 0) | master key | address
    hash(n) = SHA-512 of  hash(n-1) | master key                              for n = 1 ... 5,200
    digits  = the first 30 bytes of the last hash, five at a time, each big-endian modulo 100,000
    number  = the digits of both people, the lesser first
    payload = "roost:safety/1/" | own hash, 32 bytes | "/" | the peer's hash, 32 bytes

The payload is for a QR code, its hashes in base64 for URLs; whoever scans it has them the other way round.

Source: libsignal, ``NumericFingerprintGenerator``, with our master keys and addresses in place of its keys
and identifiers. The rounds make it 2^12 times dearer to look for a key whose digits resemble another's.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

ROUNDS: Final = 5200
_VERSION: Final = b"\0\0"
_CHUNK: Final = 5
_CHUNKS: Final = 6
_SCANNED: Final = 32
_SCHEME: Final = "roost:safety/1/"


@dataclass(frozen=True, slots=True)
class SafetyNumber:
    """What two people compare.

    Attributes:
        own: Hash of this person's identity, 64 bytes.
        theirs: Hash of the peer's, likewise.
    """

    own: bytes
    theirs: bytes

    @property
    def digits(self) -> str:
        """60 digits; the peer's client shows the same."""
        return "".join(sorted((_digits(self.own), _digits(self.theirs))))

    @property
    def payload(self) -> str:
        """Text of the QR code that the peer scans."""
        return f"{_SCHEME}{_coded(self.own)}/{_coded(self.theirs)}"

    def __str__(self) -> str:
        """The digits in groups of five."""
        return " ".join(self.digits[at : at + _CHUNK] for at in range(0, len(self.digits), _CHUNK))

    def matches(self, told: str) -> bool:
        """Return whether the peer's digits, however they are grouped, or the scanned payload agree."""
        if told.startswith(_SCHEME):
            expected = f"{_SCHEME}{_coded(self.theirs)}/{_coded(self.own)}"
            return hmac.compare_digest(told.encode(), expected.encode())
        return "".join(told.split()) == self.digits


def fingerprint(key: bytes, identifier: str) -> bytes:
    """Return the hash of one person: of a public key, and of whom it is said to be."""
    digest = _VERSION + key + identifier.encode()
    for _ in range(ROUNDS):
        digest = hashlib.sha512(digest + key).digest()
    return digest


def _digits(digest: bytes) -> str:
    chunks = (digest[at * _CHUNK : (at + 1) * _CHUNK] for at in range(_CHUNKS))
    return "".join(f"{int.from_bytes(chunk, 'big') % 100_000:05}" for chunk in chunks)


def _coded(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest[:_SCANNED]).rstrip(b"=").decode()
