"""What of a user is looked for in raw bytes: ids anywhere, and the username as a whole text."""

import struct

from msgspec import Struct, msgpack


class Needles(Struct, frozen=True):
    """What to look for.

    Attributes:
        user: User id.
        texts: Bytes, each of which mentions the user: ids, and the username as BSON and MessagePack write it.
    """

    user: str
    texts: tuple[bytes, ...]

    def within(self, value: bytes) -> bool:
        """Return whether the bytes mention the user."""
        return any(text in value for text in self.texts)


def needles(user: str, username: str, devices: tuple[str, ...]) -> Needles:
    """Make them. A username may be a part of many words, so it counts as a whole text only."""
    found = [each.encode() for each in (user, *devices)]
    if username:
        text = username.encode()
        found += [struct.pack("<i", len(text) + 1) + text + b"\x00", msgpack.encode(username)]
    return Needles(user, tuple(found))
