"""The port of a transport: frames out, frames in, and how its connection ends."""

from typing import Protocol

import msgspec

from roost.client.effects import Batch, Incoming, Opaque
from roost.wire import ClientFrame, Codec, Entry, Hello, Seq

LAST_WRITES_S = 1.0
"""How long a closing transport may take to write what it was given."""


SESSION_OVER = frozenset({"revoked", "token_reused", "bad_credentials"})
"""Words after which a device has to sign in again."""


class TransportClosed(Exception):  # noqa: N818 - an end, not always an error
    """The connection is gone.

    Attributes:
        code: Word of the registry, or ``handshake``, ``unavailable``, ``resync``.
        final: The close code says not to come back.
        reconnect_after_ms: The server's advice.
    """

    def __init__(self, code: str, *, final: bool = False, reconnect_after_ms: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.final = final
        self.reconnect_after_ms = reconnect_after_ms


class Transport(Protocol):
    """One connection, used once."""

    async def open(self, hello: Hello) -> None:
        """Connect and say hello.

        Raises:
            TransportClosed: It could not be done.
        """
        ...

    def write(self, frames: list[ClientFrame]) -> None:
        """Send frames in order, without waiting; what does not get through shows in ``read``."""
        ...

    async def read(self) -> list[Incoming]:
        """Wait for frames.

        Raises:
            TransportClosed: The connection is gone.
        """
        ...

    async def close(self) -> None:
        """Write what is due, soon, and release everything; may be called at any time, also twice."""
        ...


def decode_entries(codec: Codec, raws: list[msgspec.Raw]) -> Batch:
    """Decode entries, keeping place and name of those whose type is unknown.

    Raises:
        ValueError: An entry has no place in the mailbox.
    """
    entries: list[Entry | Opaque] = []
    for raw in raws:
        try:
            entries.append(codec.decode_entry(raw))
        except (ValueError, RecursionError):
            entries.append(_opaque(codec, raw))
    return Batch(entries)


def _opaque(codec: Codec, raw: msgspec.Raw) -> Opaque:
    decode = msgspec.json.decode if codec.text else msgspec.msgpack.decode
    try:
        place = decode(raw, type=_Place)
    except (ValueError, RecursionError) as exc:
        raise ValueError("an entry without a number, or one that cannot be read") from exc
    return Opaque(place.seq, place.prev, place.type)


class _Place(msgspec.Struct):
    """What is known of every entry, whatever its type."""

    seq: Seq
    prev: Seq = 0
    type: str = "?"
