"""Where effects leave a host: over the links of gateways, or into the writer."""

from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec import Raw, Struct

from actors.host.crash_loops import LOOP, FirstEntries
from actors.host.shard import Shard
from actors.host.writer import Ticket, Writer
from actors.rpc import messages as msg
from actors.rpc.link import Link
from actors.user import effects as do
from actors.user import events as ev
from roost import wire
from roost.clock import Clock
from storage.records import PushRecord, ReceiptRecord, User
from telemetry import metrics


class StreamKey(NamedTuple):
    """A stream as its gateway names it."""

    link: Link
    stream: int


class StreamInfo(Struct):
    """A stream as this host names it.

    Attributes:
        number: Unique in this host's life.
        key: How its gateway names it.
        user: User id.
        device: Device id.
        opened_ms: When it was attached; 0 once its backlog is through.
        last: The last entry sent down.
        waiting_ms: Since when the device has entries and acknowledges none, 0 if it has none.
    """

    number: int
    key: StreamKey
    user: str
    device: str
    opened_ms: int
    last: int = 0
    waiting_ms: int = 0


class Outlets:
    """Knows which stream, watcher and question belongs to which link."""

    def __init__(self, writer: Writer, clock: Clock) -> None:
        self._writer = writer
        self._clock = clock
        self._last = 0
        self._by_key: dict[StreamKey, StreamInfo] = {}
        self.streams: dict[int, StreamInfo] = {}
        self._watches: dict[tuple[str, str], set[Link]] = {}
        self._first = FirstEntries()

    # --- streams and watches ----------------------------------------------------------------------

    def open_stream(self, key: StreamKey, user: str, device: str) -> int:
        """Give the stream a number of this host; the same one if it is known."""
        known = self._by_key.get(key)
        if known is not None:
            return known.number
        self._last += 1
        info = StreamInfo(self._last, key, user, device, self._clock())
        self._by_key[key] = self.streams[info.number] = info
        return info.number

    def close_stream(self, key: StreamKey) -> StreamInfo | None:
        """Forget the stream."""
        info = self._by_key.pop(key, None)
        if info is not None:
            del self.streams[info.number]
        return info

    def stream(self, key: StreamKey) -> StreamInfo | None:
        """Return what is known of the stream."""
        return self._by_key.get(key)

    def streams_of(self, link: Link) -> list[StreamKey]:
        """Return the gateway's streams."""
        return [key for key in self._by_key if key.link is link]

    def forget(self, gone: Callable[[str], bool]) -> None:
        """Forget the streams of the users who are no longer here."""
        for key in [info.key for info in self.streams.values() if gone(info.user)]:
            self.close_stream(key)

    def acked(self, user: str, device: str, seq: int, info: StreamInfo | None) -> None:
        """Note that the device holds everything up to ``seq``; with the stream that said so, if one did."""
        self._first.acked((user, device), seq)
        if info is not None:
            info.waiting_ms = self._clock() if seq < info.last else 0

    def oldest_wait_s(self) -> float:
        """Return the longest time in seconds that a device has entries and acknowledges none."""
        since = min((info.waiting_ms for info in self.streams.values() if info.waiting_ms), default=None)
        return 0.0 if since is None else max(0, self._clock() - since) / 1000

    def watch(self, link: Link, watcher: str, user: str) -> None:
        """Remember that this gateway passes the user's presence on to the watcher."""
        self._watches.setdefault((watcher, user), set()).add(link)

    def unwatch(self, link: Link, watcher: str, user: str) -> bool:
        """Forget it; returns whether no gateway watches for this watcher any more."""
        links = self._watches.get((watcher, user), set())
        links.discard(link)
        if not links:
            self._watches.pop((watcher, user), None)
        return not links

    def watches_of(self, link: Link) -> list[tuple[str, str]]:
        """Take the watches of a gateway that is gone; returns those that nobody else holds."""
        mine = [pair for pair, links in self._watches.items() if link in links]
        return [pair for pair in mine if self.unwatch(link, *pair)]

    def close(self) -> None:
        """Close the links of all gateways."""
        for link in {key.link for key in self._by_key}:
            link.close()

    # --- questions --------------------------------------------------------------------------------

    def event_of(self, question: msg.Question, token: object) -> ev.Event:
        """Return the event that a question is to the actor."""
        return _EVENTS[type(question)](question, token, self._clock())

    def answer(self, token: object, answer: msg.Answer) -> None:
        """Answer a question."""
        if isinstance(token, tuple):
            link, call = token
            link.send(msg.Reply(call, answer))

    def refuse_event(self, event: ev.Event, code: str, detail: str) -> None:
        """Refuse an event that has no actor."""
        if isinstance(event, ev.StreamAttached):
            self._close_stream(event.stream, code, detail)
        else:
            self.answer(getattr(event, "token", None), msg.Refusal(code, detail))

    # --- effects ----------------------------------------------------------------------------------

    def perform(self, user: User, effect: do.Effect, shard: Shard, offset: int | None) -> None:
        """Perform one effect of the user's actor, caused by the record at ``offset`` if any."""
        _PERFORM[type(effect)](self, user, effect, shard, offset)

    def _ticket(self, shard: Shard, offset: int | None) -> Ticket | None:
        if offset is None:
            return None
        shard.offsets.hold(offset)
        return Ticket(shard.offsets, offset)

    def _store(self, _user: User, effect: do.Store, shard: Shard, offset: int) -> None:
        shard.offsets.hold(offset)
        self._writer.document(effect.document, Ticket(shard.offsets, offset))

    def _row(self, _user: User, effect: do.PutRow, shard: Shard, offset: int | None) -> None:
        self._writer.row(effect.row, self._ticket(shard, offset), effect.token)

    def _wake(self, user: User, effect: do.Wake, shard: Shard, offset: int | None) -> None:
        push = PushRecord(
            user.user_id, effect.device, effect.cause, self._clock(), effect.urgent, self._writer.records
        )
        self._writer.wake(push, self._ticket(shard, offset))

    def _receipt(self, user: User, effect: do.EmitReceipt, shard: Shard, offset: int | None) -> None:
        receipt = ReceiptRecord(
            to=effect.to,
            cause="",
            peer=user.user_id,
            peer_name=user.username,
            delivered_seq=effect.delivered_seq,
            read_seq=effect.read_seq,
            at_ms=self._clock(),
            version=self._writer.records,
        )
        self._writer.receipt(receipt, self._ticket(shard, offset), effect.token)

    def _cursor(self, user: User, effect: do.PutCursor, _shard: Shard, _offset: int | None) -> None:
        self._writer.cursor(user.user_id, effect.device, effect.seq, effect.token)

    def _floor(self, user: User, effect: do.PutFloor, shard: Shard, offset: int | None) -> None:
        self._writer.floor(user.user_id, effect.device, effect.floor, self._ticket(shard, offset))

    def _block(self, _user: User, effect: do.PutBlock, _shard: Shard, _offset: int | None) -> None:
        self._writer.block(effect)

    def _came(self, _user: User, effect: do.ClearWakeup, _shard: Shard, _offset: int | None) -> None:
        self._writer.came(effect.device)

    def _presence(self, user: User, effect: do.PresenceChanged, _shard: Shard, _offset: int | None) -> None:
        self._writer.presence(user.user_id, online=effect.online, at_ms=effect.at_ms)

    def _tell_presence(self, user: User, effect: do.TellPresence, _shard: Shard, _offset: int | None) -> None:
        message = msg.PresenceTo(effect.watcher, user.username, effect.online, effect.last_seen_ms)
        for link in self._watches.get((effect.watcher, user.user_id), ()):
            link.send(message)

    def _attached(self, _user: User, effect: do.Attached, _shard: Shard, _offset: int | None) -> None:
        self._send(effect.stream, lambda number: msg.Attached(number, effect.cursor))

    def _deliver(self, _user: User, effect: do.Deliver, _shard: Shard, offset: int | None) -> None:
        info = self.streams.get(effect.stream)
        if info is None:
            return
        entries = [Raw(msg.encode(entry)) for entry in effect.entries]
        info.key.link.send(msg.Deliver(info.key.stream, entries, effect.entries[-1].seq))
        now = self._clock()
        if not info.last:
            self._began(info, effect.entries[0].seq)
        info.last = effect.entries[-1].seq
        info.waiting_ms = info.waiting_ms or now
        if offset is not None:  # a record brought it here just now: else it waited for the device, not for us
            for entry in effect.entries:
                _DELIVERY[type(entry)].observe(max(0, now - entry.at_ms) / 1000)

    def _began(self, info: StreamInfo, seq: int) -> None:
        times = self._first.sent((info.user, info.device), seq)
        metrics.REDELIVERIES.inc(times > 1)
        metrics.REDELIVERY_LOOPS.inc(times == LOOP)

    def _drained(self, _user: User, effect: do.Drained, _shard: Shard, _offset: int | None) -> None:
        self._send(effect.stream, lambda number: msg.Drained(number, effect.cursor))
        info = self.streams.get(effect.stream)
        if info is not None and info.opened_ms:
            metrics.DRAIN_SECONDS.observe(max(0, self._clock() - info.opened_ms) / 1000)
            info.opened_ms = 0

    def _missed(self, _user: User, effect: do.Missed, _shard: Shard, _offset: int | None) -> None:
        self._send(effect.stream, msg.Missed)

    def _close(self, _user: User, effect: do.Close, _shard: Shard, _offset: int | None) -> None:
        self._close_stream(effect.stream, effect.code, effect.detail)

    def _close_stream(self, number: int, code: str, detail: str) -> None:
        info = self.streams.get(number)
        if info is not None:
            info.key.link.send(msg.Close(info.key.stream, code, detail))
            self.close_stream(info.key)

    def _typing(self, _user: User, effect: do.TellTyping, _shard: Shard, _offset: int | None) -> None:
        self._send(effect.stream, lambda number: msg.TypingTo(number, effect.sender_name, effect.state))

    def _send(self, stream: int, make: Callable[[int], Any]) -> None:
        info = self.streams.get(stream)
        if info is not None:
            info.key.link.send(make(info.key.stream))

    def _page(self, _user: User, effect: do.AnswerPage, _shard: Shard, _offset: int | None) -> None:
        entries = [Raw(msg.encode(entry)) for entry in effect.entries]
        self.answer(effect.token, msg.Page(effect.cursor, entries, effect.more, effect.missed))

    def _presence_state(
        self, _user: User, effect: do.AnswerPresence, _shard: Shard, _offset: int | None
    ) -> None:
        self.answer(effect.token, msg.PresenceState(effect.online, effect.last_seen_ms))

    def _marks(self, _user: User, effect: do.AnswerMarks, _shard: Shard, _offset: int | None) -> None:
        row = effect.row
        marks = (
            msg.Marks(0, 0, 0, 0)
            if row is None
            else msg.Marks(row.delivered_seq, row.read_seq, row.delivered_at_ms, row.read_at_ms)
        )
        self.answer(effect.token, marks)

    def _done(self, _user: User, effect: do.AnswerDone, _shard: Shard, _offset: int | None) -> None:
        self.answer(effect.token, msg.Done())

    def _refuse(self, _user: User, effect: do.Refuse, _shard: Shard, _offset: int | None) -> None:
        self.answer(effect.token, msg.Refusal(effect.code, effect.detail))


_DELIVERY: dict[type, Any] = {
    wire.MessageEntry: metrics.DELIVERY_SECONDS.labels("message"),
    wire.ReceiptEntry: metrics.DELIVERY_SECONDS.labels("receipt"),
    wire.KeysEntry: metrics.DELIVERY_SECONDS.labels("keys"),
    wire.SentEntry: metrics.DELIVERY_SECONDS.labels("sent"),
}

_EVENTS: dict[type, Callable[[Any, object, int], ev.Event]] = {
    msg.Sync: lambda q, token, now: ev.SyncAsked(token, q.device, q.cursor, q.limit, now + q.wait_ms),
    msg.AckUpTo: lambda q, token, _: ev.Acked(q.device, q.seq, None, token),
    msg.ReadUpTo: lambda q, token, _: ev.ReadMarked(q.peer, q.peer_name, q.seq, token),
    msg.SetBlock: lambda q, token, _: ev.BlockAsked(token, q.peer, q.peer_name, q.blocked),
    msg.PresenceOf: lambda q, token, _: ev.PresenceAsked(token, q.watcher),
    msg.Watermarks: lambda q, token, _: ev.MarksAsked(token, q.peer),
}

_PERFORM: dict[type, Callable[[Outlets, User, Any, Shard, Any], None]] = {
    do.Store: Outlets._store,  # noqa: SLF001 - the table is part of the class
    do.PutRow: Outlets._row,  # noqa: SLF001
    do.Wake: Outlets._wake,  # noqa: SLF001
    do.PutFloor: Outlets._floor,  # noqa: SLF001
    do.PutBlock: Outlets._block,  # noqa: SLF001
    do.EmitReceipt: Outlets._receipt,  # noqa: SLF001
    do.PutCursor: Outlets._cursor,  # noqa: SLF001
    do.ClearWakeup: Outlets._came,  # noqa: SLF001
    do.Attached: Outlets._attached,  # noqa: SLF001
    do.Deliver: Outlets._deliver,  # noqa: SLF001
    do.Drained: Outlets._drained,  # noqa: SLF001
    do.Missed: Outlets._missed,  # noqa: SLF001
    do.Close: Outlets._close,  # noqa: SLF001
    do.TellTyping: Outlets._typing,  # noqa: SLF001
    do.TellPresence: Outlets._tell_presence,  # noqa: SLF001
    do.PresenceChanged: Outlets._presence,  # noqa: SLF001
    do.AnswerPage: Outlets._page,  # noqa: SLF001
    do.AnswerPresence: Outlets._presence_state,  # noqa: SLF001
    do.AnswerMarks: Outlets._marks,  # noqa: SLF001
    do.AnswerDone: Outlets._done,  # noqa: SLF001
    do.Refuse: Outlets._refuse,  # noqa: SLF001
}
