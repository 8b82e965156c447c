"""The streams of a gateway, each attached at the host that serves its user.

When a link breaks, a host restarts or a shard moves, the streams of those shards are attached again where
they belong now, from the last entry that went down the socket.
"""

import itertools
from typing import Any, Protocol

from actors.rpc import messages as m
from actors.rpc.connections import Connections
from actors.rpc.link import Link
from roost.ids import shard_of


class Streamed(Protocol):
    """A local stream, as the links see it.

    Attributes:
        number: Of its attachment, set with each one; unique in this incarnation of the gateway.
        user: User id.
        link: Where it is attached, None while it is not.
    """

    number: int
    user: str
    link: Link | None

    def attach(self) -> m.Attach | None:
        """Return how to attach it now, None if it is not to be attached."""
        ...

    def attached(self, cursor: int) -> None:
        """The host serves it."""
        ...

    def deliver(self, entries: list[Any], last: int) -> None:
        """Entries came."""
        ...

    def drained(self, prev: int, cursor: int) -> None:
        """The backlog is through."""
        ...

    def missed(self) -> None:
        """Entries after the cursor were swept."""
        ...

    def end(self, code: str, detail: str) -> None:
        """The host ends it."""
        ...

    def typing(self, sender_name: str, state: Any) -> None:
        """A peer is typing."""
        ...


class Attachments:
    """All streams of a gateway.

    Attributes:
        reattached: How many times a stream was attached again.
    """

    def __init__(self, connections: Connections) -> None:
        self.reattached = 0
        self._connections = connections
        self._streams: dict[int, Streamed] = {}
        self._numbers = itertools.count(1)

    def number(self) -> int:
        """Return a number for a new stream."""
        return next(self._numbers)

    def add(self, stream: Streamed) -> None:
        """Attach a stream now, or as soon as its host is there."""
        self._streams[stream.number] = stream
        self._attach(stream, self._connections.link_for(stream.user))

    def remove(self, stream: Streamed) -> None:
        """The stream is gone."""
        if self._streams.pop(stream.number, None) is not None:
            _detach(stream)

    def find(self, link: Link, number: int) -> Streamed | None:
        """Return the stream that is attached over this link under this number."""
        stream = self._streams.get(number)
        return stream if stream is not None and stream.link is link else None

    # --- where they belong ---

    def place(self) -> None:
        """Attach every stream where it belongs by the newest map, as far as there are links."""
        for stream in list(self._streams.values()):
            link = self._connections.link_for(stream.user)
            if stream.link is not link:
                _detach(stream)
            if stream.link is None:
                self._attach(stream, link)

    def lost(self, link: Link) -> None:
        """The link is gone, and with it the attachments over it."""
        for stream in self._streams.values():
            if stream.link is link:
                stream.link = None

    def detach(self, link: Link, shard: int, shards: int) -> None:
        """Detach the streams of a shard, -1 for all, from a host that no longer serves it."""
        for stream in self._streams.values():
            if stream.link is link and shard in (shard_of(stream.user, shards), -1):
                # The host may have said so before it took this stream, and the stream may end meanwhile.
                _detach(stream)

    def detach_all(self) -> None:
        """Detach every stream."""
        for stream in self._streams.values():
            _detach(stream)

    def _attach(self, stream: Streamed, link: Link | None) -> None:
        if link is None:
            return
        # A new number each time: what is on its way to an earlier attachment is not taken for this one's.
        del self._streams[stream.number]
        stream.number = self.number()
        self._streams[stream.number] = stream
        message = stream.attach()
        if message is not None:
            stream.link = link
            self.reattached += message.resume
            link.send(message)

    # --- what hosts say of them ---

    def delivered(self, link: Link, message: m.Deliver) -> None:
        """Entries came for one."""
        stream = self.find(link, message.stream)
        if stream is not None:
            stream.deliver(message.entries, message.last)

    def attached(self, link: Link, message: m.Attached) -> None:
        """The host serves one."""
        stream = self.find(link, message.stream)
        if stream is not None:
            stream.attached(message.cursor)

    def drained(self, link: Link, message: m.Drained) -> None:
        """The backlog of one is through."""
        stream = self.find(link, message.stream)
        if stream is not None:
            stream.drained(message.prev, message.cursor)

    def missed(self, link: Link, message: m.Missed) -> None:
        """Entries after the cursor of one were swept."""
        stream = self.find(link, message.stream)
        if stream is not None:
            stream.missed()

    def ended(self, link: Link, message: m.Close) -> None:
        """The host ends one."""
        stream = self.find(link, message.stream)
        if stream is not None:
            stream.end(message.code, message.detail)

    def typing(self, link: Link, message: m.TypingTo) -> None:
        """A peer of one's user is typing."""
        stream = self.find(link, message.stream)
        if stream is not None:
            stream.typing(message.sender_name, message.state)


def _detach(stream: Streamed) -> None:
    if stream.link is not None:
        stream.link.send(m.Detach(stream.number))
        stream.link = None
