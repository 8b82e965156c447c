"""Padmé padding: the length of a ciphertext reveals the length of a message only to within 12 %.

Source: Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication
with PURBs" (2019), section 4. All lengths share a floor, so that short messages look alike.
"""

FLOOR = 256
"""Bytes below which every message has the same length."""

_MARK = b"\x80"


def padded_length(length: int) -> int:
    """Return the bucket that a length falls into, at least ``FLOOR``."""
    if length <= FLOOR:
        return FLOOR
    exponent = length.bit_length() - 1
    kept = exponent.bit_length()
    mask = (1 << (exponent - kept)) - 1
    return (length + mask) & ~mask


def pad(data: bytes) -> bytes:
    """Append a mark and zeros up to the bucket (ISO/IEC 7816-4)."""
    return (data + _MARK).ljust(padded_length(len(data) + 1), b"\0")


def unpad(data: bytes) -> bytes:
    """Remove the padding.

    Raises:
        ValueError: There is none, or the length is not that of a bucket.
    """
    body = data.rstrip(b"\0")
    if body[-1:] != _MARK or padded_length(len(body)) != len(data):
        raise ValueError("the padding is malformed")
    return body[:-1]
