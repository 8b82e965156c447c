"""A user's mailbox: its newest entries, and the streams and syncs that read it, each from where it stands."""

from typing import Any, Literal

from actors.user import effects as do
from actors.user import events as ev
from actors.user.devices import Devices
from actors.user.errors import InvariantError
from actors.user.events import Item
from actors.user.head import Head
from actors.user.positions import Positions
from actors.user.readers import Poll, Reader, Stream
from roost.wire import WINDOW

POLLS_MAX = 4
"""Syncs of one device that may wait at once; one more ends the wait of the oldest."""

POLL_MS = 60_000
"""The longest that a sync waits for a first entry."""

EXPECTED_MS = 5_000
"""So long after it was loaded an actor keeps what devices that were attached before will ask for."""


class Mailbox:
    """Serves readers: in seq order, within each reader's room.

    A reader that stands below the entries in memory gets pages of the stores until it has caught up, one at a
    time; what arrives meanwhile waits in memory. One that has caught up is given what arrives at once. So
    between two events no entry in memory waits for a reader that has room and no page to come.

    Args:
        head: The entries.
        devices: Whose they are, and how far each has acknowledged.
        positions: Where readers may begin.
        out: Effects go here.
        expecting: Devices that were attached before are expected to come again.

    Attributes:
        streams: By number; at most one of each device.
        polls: Syncs that are not answered yet, by token.
    """

    __slots__ = (
        "_devices", "_expected_until_ms", "_head", "_out", "_positions", "polls", "streams",
    )  # fmt: skip

    def __init__(
        self, head: Head, devices: Devices, positions: Positions, out: list[do.Effect], *, expecting: bool
    ) -> None:
        self._head, self._devices, self._positions, self._out = head, devices, positions, out
        self.streams: dict[int, Stream] = {}
        self.polls: dict[object, Poll] = {}
        self._expected_until_ms = 0 if expecting else None  # 0: no event came since the loading

    @property
    def attached(self) -> bool:
        """Whether there is a stream or a sync."""
        return bool(self.streams or self.polls)

    @property
    def in_foreground(self) -> bool:
        """Whether a stream shows the user online."""
        return any(not stream.background for stream in self.streams.values())

    def how_reads(self, device: str, now_ms: int) -> Literal["stream", "poll", ""]:
        """Return how a device reads what arrives now: in the foreground, by a sync that waits, or not."""
        stream = self.stream_of(device)
        if stream is not None and not stream.background:
            return "stream"
        waits = any(each.device == device and each.until_ms > now_ms for each in self.polls.values())
        return "poll" if waits else ""

    # --- streams ----------------------------------------------------------------------------------

    def attach(self, event: ev.StreamAttached) -> Stream | None:
        """Begin a stream, which is to be served then; None if it is refused."""
        state = self._devices.get(event.device)
        if state is None:
            self._out.append(do.Close(event.stream, "revoked", "this device was removed"))
            return None
        if not event.resume and not self._positions.has(event.device, event.cursor):
            detail = "the cursor is not a position in this mailbox; attach without one"
            self._out.append(do.Close(event.stream, "cursor_invalid", detail))
            return None
        old = self.stream_of(event.device)
        if old is not None:
            del self.streams[old.number]
            if old.number != event.stream:
                detail = "a newer stream of this device took over"
                self._out.append(do.Close(old.number, "displaced", detail))
        cursor = state.cursor if event.cursor is None else event.cursor
        stream = Stream(event.stream, event.device, cursor, background=event.background)
        self.streams[event.stream] = stream
        self._devices.returned(event.device)
        self._out.append(do.Attached(event.stream, state.cursor))
        return stream

    def detach(self, number: int) -> Stream | None:
        """Forget a stream; returns it, if it was there."""
        return self.streams.pop(number, None)

    def is_behind(self, stream: Stream) -> bool:
        """Return whether a stream that is gone left something for its device to get or acknowledge."""
        state = self._devices.get(stream.device)
        if state is None:
            return False
        # It began behind what its device had acknowledged, and its device never has: told of it on another
        # stream, which this one displaced or which was elsewhere.
        told_before = state.cursor < stream.since
        owes = stream.owes() or (told_before and state.cursor < state.urgent_seq)
        return owes or stream.fetching or stream.position < self._head.last

    def close_removed(self) -> None:
        """End the streams and syncs of devices that are no longer there."""
        for stream in [each for each in self.streams.values() if each.device not in self._devices]:
            del self.streams[stream.number]
            self._out.append(do.Close(stream.number, "revoked", "this device was removed"))
        for poll in [each for each in self.polls.values() if each.device not in self._devices]:
            del self.polls[poll.token]
            self._out.append(do.Refuse(poll.token, "revoked", "this device was removed"))

    def serve_all(self, now_ms: int) -> None:
        """Give every reader what it may have."""
        for stream in self.streams.values():
            self.serve(stream, now_ms)
        if self.polls:
            self.serve_polls(now_ms)

    def serve(self, stream: Stream, now_ms: int) -> None:
        """Give a stream what it may have."""
        if stream.fetching or stream.room <= 0:
            return
        if stream.position < self._head.evicted:
            self._fetch(stream, stream.number, stream.room)
            return
        self._deliver(stream, stream.take(self._head.after(stream.position), stream.room, now_ms))
        if not stream.drained and stream.position >= self._head.last:
            stream.drained, prev = True, stream.sent
            stream.pass_disappeared()
            self._out.append(do.Drained(stream.number, prev, stream.sent))

    def _deliver(self, stream: Stream, taken: list[tuple[Item, Any]]) -> None:
        if taken:
            stream.in_flight.extend(item for item, _ in taken)
            self._out.append(do.Deliver(stream.number, tuple(entry for _, entry in taken)))

    def _fetch(self, reader: Reader, key: object, room: int) -> None:
        reader.fetching = True
        self._out.append(do.ReadPage(key, reader.position, self._head.evicted, room))

    def stream_of(self, device: str) -> Stream | None:
        """Return the device's stream, if it has one."""
        for stream in self.streams.values():
            if stream.device == device:
                return stream
        return None

    # --- syncs ------------------------------------------------------------------------------------

    def sync(self, event: ev.SyncAsked, now_ms: int) -> None:
        """Collect a page; it may wait for its first entry."""
        state = self._devices.get(event.device)
        if state is None:
            self._out.append(do.Refuse(event.token, "revoked", "this device was removed"))
            return
        if not self._positions.has(event.device, event.cursor):
            detail = "the cursor is not a position in this mailbox; sync without one"
            self._out.append(do.Refuse(event.token, "cursor_invalid", detail))
            return
        cursor = state.cursor if event.cursor is None else event.cursor
        poll = Poll(event.token, event.device, cursor, event.limit, event.until_ms)
        self.polls[event.token] = poll
        self._devices.returned(event.device)
        self._serve_poll(poll, now_ms)
        self._set_timer(poll)
        polls = [each for each in self.polls.values() if each.device == event.device]
        waiting = [each for each in polls if each.until_ms > now_ms]
        if len(waiting) > POLLS_MAX:
            waiting[0].until_ms = now_ms
            self._serve_poll(waiting[0], now_ms)

    def forget_poll(self, token: object) -> None:
        """Let a sync that no one waits for any longer take nothing."""
        self.polls.pop(token, None)

    def serve_polls(self, now_ms: int) -> None:
        """Answer the syncs that have something, or have waited long enough."""
        for poll in list(self.polls.values()):
            self._serve_poll(poll, now_ms)

    def _serve_poll(self, poll: Poll, now_ms: int) -> None:
        if poll.fetching:
            return
        if poll.position < self._head.evicted and poll.room > 0:
            self._fetch(poll, poll.token, poll.room)
            return
        taken = poll.take(self._head.after(poll.position), poll.room, now_ms)
        poll.entries.extend(entry for _, entry in taken)
        # Further ahead than any poll waits: the clock was set back.
        waits = 0 < poll.until_ms - now_ms <= POLL_MS
        if poll.entries or poll.missed or not waits:
            del self.polls[poll.token]
            more = poll.position < self._head.last
            if not more:
                poll.pass_disappeared()
            self._out.append(do.AnswerPage(poll.token, poll.sent, tuple(poll.entries), more, poll.missed))

    def _set_timer(self, poll: Poll) -> None:
        if poll.token in self.polls and not poll.fetching:
            self._out.append(do.SetTimer(poll.until_ms))

    # --- pages ------------------------------------------------------------------------------------

    def page(self, page: ev.PageRead, now_ms: int) -> None:
        """Give the reader that asked what was found in the stores; it may be gone."""
        poll = self.polls.get(page.reader)
        stream = self.streams.get(page.reader) if isinstance(page.reader, int) else None
        if poll is not None:
            poll.missed = poll.missed or page.gone > 0
            poll.entries.extend(entry for _, entry in poll.take_page(page, poll.room, now_ms))
            self._serve_poll(poll, now_ms)
            self._set_timer(poll)
        elif stream is not None:
            if page.gone:
                self._out.append(do.Missed(stream.number))
            self._deliver(stream, stream.take_page(page, stream.room, now_ms))
            self.serve(stream, now_ms)

    # --- memory -----------------------------------------------------------------------------------

    def trim(self, stored: int, now_ms: int) -> None:
        """Let go of what is stored and no reader waits for."""
        expecting = self._expected_until_ms is not None and self._expects(now_ms)
        needed_after = self._needed_after(expecting=expecting) if self._head.has_stored(stored) else 0
        self._head.trim(stored, needed_after, WINDOW)

    def _expects(self, now_ms: int) -> bool:
        """Return whether devices that were attached before may yet come again."""
        self._expected_until_ms = self._expected_until_ms or now_ms + EXPECTED_MS
        if now_ms >= self._expected_until_ms:
            self._expected_until_ms = None
            return False
        return True

    def _needed_after(self, *, expecting: bool) -> int:
        """Return the lowest position that an attached, or expected, device acknowledges from."""
        if expecting:
            return self._devices.lowest_cursor(self._head.handled)
        reading = {reader.device for reader in (*self.streams.values(), *self.polls.values())}
        cursors = (self._devices[device].cursor for device in reading)
        return min(cursors, default=self._head.handled)

    def check(self) -> None:
        """Raise `InvariantError` if a device has two streams, or a reader is not served or not known."""
        if not self.attached:
            return
        devices = [stream.device for stream in self.streams.values()]
        if len(set(devices)) != len(devices):
            raise InvariantError(f"A device has two streams: {devices}.")
        for reader in (*self.streams.values(), *self.polls.values()):
            reader.check(self._head)
            state = self._devices.get(reader.device)
            if state is None:
                raise InvariantError(f"{reader.device} reads, and is no device of this user.")
        for number, stream in self.streams.items():
            if number != stream.number:
                raise InvariantError(f"Stream {stream.number} goes by the number {number}.")
            if not stream.background and self._devices[stream.device].woken_at_ms != 0:
                raise InvariantError(f"{stream.device} is here, and a wake-up of it counts as pending.")
