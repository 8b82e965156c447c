"""Messages between roles over a link: one struct for each, as MessagePack arrays.

A router opens a shard at a host, sends batches and is told what is stored. A gateway attaches streams,
passes on what clients say, and asks what `actors.rpc.questions` has.
"""

from typing import Literal

import msgspec
from msgspec import Raw, Struct

from actors.rpc.questions import Gone, Question, Reply

PROTOCOL = 5
"""Version of what goes over links. A version differs from the one before by what follows the rule of
`storage.records`, or by messages that are sent only on a link whose ends both speak it (`Link.protocol`)."""

OLDEST_PROTOCOL = 5
"""The oldest that this release still speaks: in those before, the side that listens proves nothing."""

# --- both ways -------------------------------------------------------------------------------


class NotMine(Struct, array_like=True, tag="not_mine"):
    """The host does not own this shard (map ``version``); ask the map again."""

    shard: int
    version: int


# --- router to host --------------------------------------------------------------------------


class Open(Struct, array_like=True, tag="open"):
    """The router reads this shard now, from the committed offset on.

    Attributes:
        shard: Shard number.
        base: seq = base + offset.
        offset: The first offset that will be sent; everything below it is stored.
        end: The log's end as the router saw it.
        since: As in `Since`; 0: unknown.
    """

    shard: int
    base: int
    offset: int
    end: int
    since: int = 0


class Part(Struct, array_like=True):
    """Consecutive records of one shard, in offset order: ``offsets[i]`` belongs to ``values[i]``."""

    shard: int
    offsets: list[int]
    values: list[bytes]


class Batch(Struct, array_like=True, tag="batch"):
    """What one poll gave for this host's shards."""

    parts: list[Part]


class Shut(Struct, array_like=True, tag="shut"):
    """The router no longer reads these shards."""

    shards: list[int]


# --- host to router --------------------------------------------------------------------------


class Stored(Struct, array_like=True, tag="stored"):
    """Everything below ``offsets[shard]`` of the log with ``bases[shard]`` is in the stores: commit it.

    The router may have opened a later log meanwhile. A host of before says no bases.
    """

    offsets: dict[int, int]
    bases: dict[int, int] = {}


# --- gateway to host -----------------------------------------------------------------------------


class Since(Struct, array_like=True, tag="since"):
    """By the map that the gateway has now, the host has had each of these shards since this version.

    Whatever the gateway sends afterwards is meant for a host that knows this (protocol 3).
    """

    shards: dict[int, int]


# --- gateway to host: streams ------------------------------------------------------------------


class Attach(Struct, array_like=True, tag="attach"):
    """A device's stream starts, or (``resume``) comes back after the host or the map changed.

    Attributes:
        stream: Number of the stream, unique in this incarnation of the gateway.
        user: User id.
        username: Username, as others see it.
        device: Device id.
        cursor: The client's position; None: the device's stored cursor. On resume the seq of the
            last entry that was sent down the socket.
        acked: Highest seq the client has acknowledged on this stream, 0 if none.
        background: Sync without showing the user online.
        resume: The client has had its ``ready`` already.
    """

    stream: int
    user: str
    username: str
    device: str
    cursor: int | None
    acked: int
    background: bool
    resume: bool


class Detach(Struct, array_like=True, tag="detach"):
    """The stream is gone."""

    stream: int


class Ack(Struct, array_like=True, tag="ack"):
    """The stream's device holds everything up to ``seq``."""

    stream: int
    seq: int


class Typing(Struct, array_like=True, tag="typing"):
    """``sender`` is typing to ``to``; goes to the recipient's host, is never stored."""

    to: str
    sender: str
    sender_name: str
    state: Literal["typing", "paused"]


class Watch(Struct, array_like=True, tag="watch"):
    """``watcher`` wants the presence of ``users`` (all of this host's shards) from now on."""

    watcher: str
    users: list[str]


class Unwatch(Struct, array_like=True, tag="unwatch"):
    """``watcher`` no longer wants it."""

    watcher: str
    users: list[str]


# --- host to gateway ---------------------------------------------------------------------------


class Attached(Struct, array_like=True, tag="attached"):
    """The stream is served; ``cursor`` is the device's stored position."""

    stream: int
    cursor: int


class Deliver(Struct, array_like=True, tag="deliver"):
    """Entries for one stream, each in MessagePack as the client gets it; ``last`` is the last one's seq."""

    stream: int
    entries: list[Raw]
    last: int


class Drained(Struct, array_like=True, tag="drained"):
    """The backlog of the stream has been sent, ``prev`` as the last of it; ``cursor`` is its end."""

    stream: int
    prev: int
    cursor: int


class Missed(Struct, array_like=True, tag="missed"):
    """Entries after the stream's cursor were swept."""

    stream: int


class Close(Struct, array_like=True, tag="close"):
    """End the stream with this code word of the registry."""

    stream: int
    code: str
    detail: str


class TypingTo(Struct, array_like=True, tag="typing_to"):
    """Tell the stream that ``sender_name`` is typing."""

    stream: int
    sender_name: str
    state: Literal["typing", "paused"]


class PresenceTo(Struct, array_like=True, tag="presence_to"):
    """Tell every local subscription of ``watcher`` about ``user``."""

    watcher: str
    user: str
    online: bool
    last_seen_ms: int | None


class ShardBacklog(Struct, array_like=True):
    """What of one shard has come to its host and is not done.

    Attributes:
        following: The next seq that will come.
        unhandled: Records that no actor has handled.
        unstored: Records that are not stored.
        size: Their bytes.
        age_ms: Milliseconds since the oldest of them came.
    """

    following: int
    unhandled: int
    unstored: int
    size: int
    age_ms: int


class Backlogs(Struct, array_like=True, tag="backlogs"):
    """How far the host is with its shards, while it has much to do (protocol 2).

    Attributes:
        shards: By number; those that have nothing to say are not in it.
        served: How many shards the host serves.
    """

    shards: dict[int, ShardBacklog]
    served: int


class Room(Struct, array_like=True, tag="room"):
    """Not every sender may write to ``user``: ask `RoomFor` each; or all may again (protocol 5)."""

    user: str
    full: bool


ToHost = Open | Batch | Shut | Since | Attach | Detach | Ack | Typing | Watch | Unwatch | Gone | Question
FromHost = (
    NotMine
    | Stored
    | Attached
    | Deliver
    | Drained
    | Missed
    | Close
    | TypingTo
    | PresenceTo
    | Backlogs
    | Room
    | Reply
)

encode = msgspec.msgpack.Encoder().encode
decode_to_host = msgspec.msgpack.Decoder(list[ToHost]).decode
decode_from_host = msgspec.msgpack.Decoder(list[FromHost]).decode
"""A link frame is a list: everything that was ready for that peer."""
