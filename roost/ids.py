"""Identifiers of users, devices, messages and shards, and what they encode.

Pure functions only. Randomness and time are arguments.
"""

import functools
import hashlib
import re
import uuid

MESSAGE_ID_WINDOW_MS = 7 * 24 * 3600 * 1000
"""How long the server remembers a message id; an older id is refused."""

MESSAGE_ID_AHEAD_MS = 5 * 60 * 1000
"""How far ahead of the server's clock a message id may be."""

SEQ_LIMIT = 2**53
"""Sequence numbers stay below this, so that a JavaScript number holds them exactly."""

_USERNAME = re.compile(r"[a-z0-9_.]{3,32}")
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_SERVER_NAME = r"[A-Za-z0-9.:\-\[\]]{1,255}"
_ADDRESS = re.compile(rf"@([a-z0-9_.]{{3,32}}):({_SERVER_NAME})")


def fold_username(text: str) -> str:
    """Return the one spelling of a username.

    Raises:
        ValueError: It is not 3-32 characters of ``a-z 0-9 _ .`` after case folding.
    """
    folded = text.casefold()
    if not _USERNAME.fullmatch(folded):
        raise ValueError("a username is 3-32 characters of a-z, 0-9, '_' and '.'")
    return folded


def is_server_name(text: str) -> bool:
    """Return whether an address may end in this: a host's name or IP address, with a port or without."""
    return re.fullmatch(_SERVER_NAME, text) is not None


def address_of(username: str, server_name: str) -> str:
    """Return the user's address in signed objects, ``@username:server_name``."""
    return f"@{username}:{server_name}"


def parse_address(address: str) -> tuple[str, str]:
    """Split ``@username:server_name``.

    Raises:
        ValueError: The text is not an address.
    """
    match = _ADDRESS.fullmatch(address)
    if match is None:
        raise ValueError("an address has the form @username:server_name")
    return match[1], match[2]


def uuid7(at_ms: int, random: bytes) -> str:
    """Make a UUIDv7.

    Args:
        at_ms: Unix milliseconds, 48 bits.
        random: 10 random bytes.

    Source: RFC 9562, section 5.7.
    """
    value = bytearray(at_ms.to_bytes(6, "big") + random[:10])
    value[6] = 0x70 | (value[6] & 0x0F)
    value[8] = 0x80 | (value[8] & 0x3F)
    return str(uuid.UUID(bytes=bytes(value)))


def uuid7_ms(message_id: str) -> int:
    """Return the Unix milliseconds inside a canonical lower-case UUIDv7.

    Raises:
        ValueError: The text is not a UUIDv7 in canonical form.
    """
    if _UUID7.fullmatch(message_id) is None:
        raise ValueError("a message id is a UUIDv7 in lower-case canonical form")
    return int(message_id[:8] + message_id[9:13], 16)


@functools.lru_cache(maxsize=50_000)
def shard_of(user_id: str, shards: int) -> int:
    """Return the shard, which is also the log partition, that holds a user's mailbox (0 to shards-1)."""
    digest = hashlib.blake2b(user_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % shards
