"""The actor of one user: what happens to it goes in as events, what is to be done comes out as effects.

Here lives: which records become entries, what is a repeat, what each stream gets and when, what
peers are told. Not here: no I/O, no clock, no randomness, no Ray. Given the same events the actor
gives the same effects, so a replay of the log writes the same documents.

Before `handle` the host asks `lacks`: what the event needs to know from the stores first. It looks
that up, says it with `learn`, and asks again.
"""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import structs

from actors import effects as do
from actors import events as ev
from actors.events import Item
from actors.presence import Presence, may_see
from actors.receipts import Peer, Receipts
from actors.repeats import Seen
from actors.view import Head, Poll, Reader, Stream, at_ms_of
from roost.wire import WINDOW
from storage.records import (
    Block,
    Conversation,
    KeysRecord,
    MailboxDocument,
    MessageRecord,
    ReceiptRecord,
    Record,
    SentRecord,
    User,
)

WAKE_AGAIN_MS = 600_000
"""A wake-up that brought nobody back is repeated, with the next message, after this long."""

_TAGS = {MessageRecord: "m", KeysRecord: "k", SentRecord: "s"}


class DeviceState:
    """What the actor knows of one device.

    Attributes:
        cursor: Everything up to here is safely on the device.
        pushable: It has a push token.
        woken_at_ms: When a wake-up was written that has not brought it back yet; None: unknown
            since activation; 0: none pending.
    """

    def __init__(self, cursor: int, *, pushable: bool) -> None:
        self.cursor = cursor
        self.pushable = pushable
        self.woken_at_ms: int | None = None


class UserActor:
    """One user's presence, mailbox head, devices and streams."""

    def __init__(self, loaded: ev.Loaded) -> None:
        self.user: User = loaded.user
        self.head = Head(loaded.handled, loaded.tail)
        self._devices = loaded.devices
        self.devices = {
            d.device: DeviceState(loaded.cursors.get(d.device, d.from_seq), pushable=d.push_token is not None)
            for d in loaded.devices
        }
        self.streams: dict[int, Stream] = {}
        self.polls: dict[object, Poll] = {}
        self.blocks = {block.peer: block for block in loaded.blocks}
        self.seen = {device: Seen(newest) for device, newest in loaded.newest.items()}
        self.rows = {row.peer: row for row in loaded.rows}
        self.receipts = Receipts()
        self.presence = Presence(loaded.user.last_seen_ms)
        self.watchers: set[str] = set()
        self._cursor_facts: dict[int, bool] = {}
        self._repeat_facts: dict[tuple[str, str], int] = {}
        self._item_facts: dict[tuple[int, int], tuple[Item, ...]] = {}
        self._now_ms = 0
        self._stored = loaded.handled
        self._out: list[do.Effect] = []

    # --- what must be known first ---------------------------------------------------------------

    def lacks(self, event: ev.Event) -> list[ev.Unknown]:
        """Return what the event needs from the stores before it can be handled; empty when nothing."""
        if isinstance(event, ev.RecordArrived):
            return self._record_lacks(event)
        if isinstance(event, ev.StreamAttached | ev.SyncAsked):
            trusted = isinstance(event, ev.StreamAttached) and event.resume
            return [] if trusted else self._cursor_lacks(event.device, event.cursor)
        if isinstance(event, ev.Acked):
            return self._ack_lacks(event)
        return []

    def learn(self, facts: ev.Facts) -> None:
        """Take the answers."""
        for device, newest in facts.newest:
            self.seen.setdefault(device, Seen(newest))
        for device, cause, seq in facts.repeats:
            self._repeat_facts[device, cause] = seq
        self._cursor_facts.update(facts.cursors)
        for after, upto, items in facts.items:
            self._item_facts[after, upto] = items

    def _record_lacks(self, event: ev.RecordArrived) -> list[ev.Unknown]:
        record = event.record
        if event.seq <= self.head.handled or not isinstance(record, MessageRecord):
            return []
        if self._is_blocked(record.sender, event.seq):
            return []
        if record.sender not in self.rows:
            # The row is stored with the first message: without it there was none.
            self.seen.setdefault(record.sender_device, Seen(""))
        if record.sender_device not in self.seen:
            return [ev.NewestUnknown(record.sender, record.sender_device, event.seq)]
        if self._is_repeat(record) is None:
            return [ev.RepeatUnknown(record.sender_device, record.cause, event.seq)]
        return []

    def _cursor_lacks(self, device: str, cursor: int | None) -> list[ev.Unknown]:
        if self._cursor_verdict(device, cursor) is None and cursor is not None:
            return [ev.CursorUnknown(cursor)]
        return []

    def _cursor_verdict(self, device: str, cursor: int | None) -> bool | None:
        """Say whether the cursor is a position of this mailbox; None: look it up."""
        state = self.devices.get(device)
        if cursor is None or state is None or cursor in {0, state.cursor}:
            return True
        if cursor < 0 or cursor > self.head.handled:
            return False
        if any(stream.device == device and cursor <= stream.sent for stream in self.streams.values()):
            return True
        if cursor > self.head.begin:
            return any(item.seq == cursor for item in self.head)
        return self._cursor_facts.get(cursor)

    def _ack_lacks(self, event: ev.Acked) -> list[ev.Unknown]:
        state = self.devices.get(event.device)
        if state is None or not state.cursor < event.seq <= self.head.handled:
            return []
        wanted = self._stored_span(event, state)
        return [ev.SendersUnknown(*wanted)] if wanted is not None and wanted not in self._item_facts else []

    def _stored_span(self, event: ev.Acked, state: DeviceState) -> tuple[int, int] | None:
        """Return the span of stored entries an ack covers and that no stream has in flight."""
        stream = self._stream_of(event.device)
        if state.cursor >= self.head.begin or (stream is not None and stream.since <= state.cursor):
            return None
        return state.cursor, min(event.seq, self.head.begin)

    # --- events ---------------------------------------------------------------------------------

    def handle(self, event: ev.Event, now_ms: int, stored: int) -> list[do.Effect]:
        """Handle one event that `lacks` nothing.

        Args:
            event: What happened.
            now_ms: Unix time.
            stored: Every record of the shard up to this seq is in the stores.
        """
        self._now_ms, self._stored, self._out = now_ms, max(stored, self._stored), []
        _HANDLERS[type(event)](self, event)
        self.head.trim(self._stored, self._needed_after(), WINDOW)
        return self._out

    @property
    def idle(self) -> bool:
        """Whether the actor could be forgotten: nobody is attached and all it knows is in the stores."""
        return (
            not self.streams
            and not self.polls
            and not self.watchers
            and self.presence.offline_at_ms is None
            and len(self.head) == 0
        )

    def snapshot(self) -> ev.Loaded:
        """Return what an idle actor can be made anew from, as long as no record of its user follows."""
        user = structs.replace(self.user, last_seen_ms=self.presence.last_seen_ms)
        return ev.Loaded(
            user=user,
            devices=tuple(self._devices),
            cursors={device: state.cursor for device, state in self.devices.items()},
            blocks=tuple(self.blocks.values()),
            rows=tuple(self.rows.values()),
            newest={device: seen.newest for device, seen in self.seen.items()},
            tail=self.head.tail,
            handled=self.head.handled,
        )

    # --- records --------------------------------------------------------------------------------

    def _record(self, event: ev.RecordArrived) -> None:
        if event.seq <= self.head.handled:
            return
        record = event.record
        if isinstance(record, MessageRecord):
            self._message(event.seq, record, event.value)
        elif isinstance(record, ReceiptRecord):
            self._receipt(event.seq, record)
        else:
            self._keep(event.seq, record, event.value)
        self.head.handled = event.seq
        self._serve_all()

    def _message(self, seq: int, record: MessageRecord, value: bytes) -> None:
        if self._is_blocked(record.sender, seq):
            return
        repeat = self._is_repeat(record)
        self._repeat_facts.pop((record.sender_device, record.cause), None)
        if repeat:
            self._tell(
                record.sender,
                self.receipts.repeated(record.sender, seq, all_acked=self._best_cursor() >= self.head.tail),
            )
            return
        self._keep(seq, record, value)
        self.receipts.arrived(record.sender, seq)
        if record.sender not in self.rows:
            self._put_row(Conversation(self.user.user_id, record.sender, record.sender_name), seq)
        if any(state.cursor >= seq for d, state in self.devices.items() if d in record.payloads):
            self._tell(record.sender, self.receipts.delivered(record.sender, seq))
        if not self._attached():
            self._wake(record.payloads, record.cause, seq, urgent=record.urgent)

    def _is_repeat(self, record: MessageRecord) -> bool | None:
        """Say whether the mailbox holds this message already; None: it has to be looked up."""
        known = self.seen[record.sender_device].is_repeat(record.cause)
        if known is not None:
            return known
        if any(_same_message(item.record, record) for item in self.head):
            return True
        found = self._repeat_facts.get((record.sender_device, record.cause))
        return None if found is None else found > 0

    def _keep(self, seq: int, record: MessageRecord | KeysRecord | SentRecord, value: bytes) -> None:
        sender = device = newest = ""
        if isinstance(record, MessageRecord):
            sender, device = record.sender, record.sender_device
            self.seen[device].add(record.cause)
            greatest = self.seen[device].newest
            newest = "" if greatest == record.cause else greatest
        document = MailboxDocument(
            self.user.user_id, seq, self.head.tail, _TAGS[type(record)], sender, device,
            record.cause, at_ms_of(record), value, newest,
        )  # fmt: skip
        self.head.push(Item(seq, record))
        self._out.append(do.Store(document))

    def _receipt(self, seq: int, record: ReceiptRecord) -> None:
        known = self.rows.get(record.peer) or Conversation(self.user.user_id, record.peer, record.peer_name)
        read = max(known.read_seq, record.read_seq)
        delivered = max(known.delivered_seq, record.delivered_seq, read)
        if (delivered, read) == (known.delivered_seq, known.read_seq):
            return
        row = Conversation(
            user=known.user,
            peer=known.peer,
            peer_name=known.peer_name,
            delivered_seq=delivered,
            read_seq=read,
            delivered_at_ms=record.at_ms if delivered > known.delivered_seq else known.delivered_at_ms,
            read_at_ms=record.at_ms if read > known.read_seq else known.read_at_ms,
            receipt_seq=seq,
            my_read_seq=known.my_read_seq,
        )
        self._put_row(row, seq)
        merged = ReceiptRecord(
            record.to, record.cause, record.peer, record.peer_name, delivered, read, record.at_ms
        )
        self.head.push(Item(seq, merged))

    def _put_row(self, row: Conversation, seq: int, token: object = None) -> None:
        self.rows[row.peer] = row
        self._out.append(do.PutRow(row, seq, token))

    def _is_blocked(self, peer: str, seq: int) -> bool:
        block = self.blocks.get(peer)
        return (
            block is not None
            and block.since_seq <= seq
            and (block.until_seq is None or seq < block.until_seq)
        )

    # --- streams --------------------------------------------------------------------------------

    def _attach(self, event: ev.StreamAttached) -> None:
        state = self.devices.get(event.device)
        if state is None:
            self._out.append(do.Close(event.stream, "revoked", "this device was removed"))
            return
        verdict = True if event.resume else self._cursor_verdict(event.device, event.cursor)
        if not verdict:
            detail = "the cursor is not a position in this mailbox; attach without one"
            self._out.append(do.Close(event.stream, "cursor_invalid", detail))
            return
        self._displace(event)
        cursor = state.cursor if event.cursor is None else event.cursor
        stream = Stream(event.stream, event.device, cursor, background=event.background)
        self.streams[event.stream] = stream
        self._came(event.device, state)
        self._out.append(do.Attached(event.stream, state.cursor))
        if not event.background and self.presence.arrived():
            self._announce()
        self._serve(stream)

    def _displace(self, event: ev.StreamAttached) -> None:
        old = self._stream_of(event.device)
        if old is not None:
            del self.streams[old.number]
            if old.number != event.stream:
                detail = "a newer stream of this device took over"
                self._out.append(do.Close(old.number, "displaced", detail))

    def _detach(self, event: ev.StreamDetached) -> None:
        stream = self.streams.pop(event.stream, None)
        if stream is None:
            return
        state = self.devices.get(stream.device)
        if state is not None:
            self._came(stream.device, state)
        if not stream.background and not any(not s.background for s in self.streams.values()):
            self._out.append(do.SetTimer(self.presence.left(self._now_ms)))
        left = any(isinstance(item.record, MessageRecord) for item in stream.flying)
        if (left or stream.reading or stream.position < self._last_seq()) and not self._attached():
            self._wake((stream.device,), "", 0, urgent=True)

    def _stream_of(self, device: str) -> Stream | None:
        return next((s for s in self.streams.values() if s.device == device), None)

    def _attached(self) -> bool:
        return bool(self.streams or self.polls)

    def _came(self, device: str, state: DeviceState) -> None:
        if state.pushable and state.woken_at_ms != 0:
            self._out.append(do.ClearWakeup(device))
        state.woken_at_ms = 0

    def _wake(self, devices: Iterable[str], cause: str, seq: int, *, urgent: bool) -> None:
        for device in devices:
            state = self.devices.get(device)
            if state is None or not state.pushable or not urgent:
                continue
            if state.woken_at_ms and self._now_ms - state.woken_at_ms < WAKE_AGAIN_MS:
                continue
            state.woken_at_ms = self._now_ms
            self._out.append(do.Wake(device, cause, seq, urgent))

    # --- serving readers ------------------------------------------------------------------------

    def _serve_all(self) -> None:
        for stream in self.streams.values():
            self._serve(stream)
        for poll in list(self.polls.values()):
            self._serve_poll(poll)

    def _serve(self, stream: Stream) -> None:
        if stream.reading or stream.room <= 0:
            return
        if stream.position < self.head.begin:
            self._read_page(stream, stream.number, stream.room)
            return
        taken = stream.take(self.head.after(stream.position), stream.room, self._now_ms)
        self._deliver(stream, taken)
        if not stream.drained and stream.position >= self._last_seq():
            stream.drained = True
            self._out.append(do.Drained(stream.number, stream.sent))

    def _deliver(self, stream: Stream, taken: list[tuple[Item, Any]]) -> None:
        if taken:
            stream.flying.extend(item for item, _ in taken)
            self._out.append(do.Deliver(stream.number, tuple(entry for _, entry in taken)))

    def _read_page(self, reader: Reader, key: object, room: int) -> None:
        reader.reading = True
        self._out.append(do.ReadPage(key, reader.position, self.head.begin, room))

    def _last_seq(self) -> int:
        items = self.head.after(self.head.begin)
        return items[-1].seq if items else self.head.begin

    def _page(self, event: ev.PageRead) -> None:
        poll = self.polls.get(event.reader)
        if poll is not None:
            self._poll_page(poll, event)
            return
        stream = self.streams.get(event.reader) if isinstance(event.reader, int) else None
        if stream is None:
            return
        stream.reading = False
        if event.missed and not stream.missed:
            stream.missed = True
            self._out.append(do.Missed(stream.number))
        taken = stream.take(event.items, stream.room, self._now_ms)
        self._deliver(stream, taken)
        if not event.items or stream.position == event.items[-1].seq:
            stream.position = max(stream.position, event.through)
        self._serve(stream)

    # --- polls (sync over HTTP) -------------------------------------------------------------------

    def _sync(self, event: ev.SyncAsked) -> None:
        state = self.devices.get(event.device)
        if state is None:
            self._out.append(do.Refuse(event.token, "revoked", "this device was removed"))
            return
        if not self._cursor_verdict(event.device, event.cursor):
            detail = "the cursor is not a position in this mailbox; sync without one"
            self._out.append(do.Refuse(event.token, "cursor_invalid", detail))
            return
        cursor = state.cursor if event.cursor is None else event.cursor
        poll = Poll(event.token, event.device, cursor, event.limit, event.until_ms)
        self.polls[event.token] = poll
        self._came(event.device, state)
        self._serve_poll(poll)
        if event.token in self.polls and not poll.reading:
            self._out.append(do.SetTimer(event.until_ms))

    def _serve_poll(self, poll: Poll) -> None:
        if poll.reading:
            return
        if poll.position < self.head.begin and len(poll.entries) < poll.limit:
            self._read_page(poll, poll.token, poll.limit - len(poll.entries))
            return
        taken = poll.take(self.head.after(poll.position), poll.limit - len(poll.entries), self._now_ms)
        poll.entries.extend(entry for _, entry in taken)
        if poll.entries or poll.missed or poll.until_ms <= self._now_ms:
            self._answer_poll(poll)

    def _poll_page(self, poll: Poll, event: ev.PageRead) -> None:
        poll.reading = False
        poll.missed = poll.missed or event.missed
        taken = poll.take(event.items, poll.limit - len(poll.entries), self._now_ms)
        poll.entries.extend(entry for _, entry in taken)
        if not event.items or poll.position == event.items[-1].seq:
            poll.position = max(poll.position, event.through)
        self._serve_poll(poll)
        if poll.token in self.polls and not poll.reading:
            self._out.append(do.SetTimer(poll.until_ms))

    def _answer_poll(self, poll: Poll) -> None:
        del self.polls[poll.token]
        more = poll.position < self._last_seq()
        self._out.append(do.AnswerPage(poll.token, poll.sent, tuple(poll.entries), more, poll.missed))

    # --- acknowledgements and reading -------------------------------------------------------------

    def _ack(self, event: ev.Acked) -> None:
        state = self.devices.get(event.device)
        if state is None:
            self._refuse(event.token, "revoked", "this device was removed")
            return
        if event.seq > self.head.handled or event.seq < 0:
            self._refuse(event.token, "cursor_invalid", "acknowledge only what was received")
            return
        if event.seq > state.cursor:
            for sender in self._senders(event, state):
                self._tell(sender, self.receipts.delivered(sender, event.seq))
            state.cursor = event.seq
        self._out.append(do.PutCursor(event.device, state.cursor, event.token))
        stream = self._stream_of(event.device)
        if stream is not None:
            stream.acked(event.seq)
            self._serve(stream)

    def _senders(self, event: ev.Acked, state: DeviceState) -> list[str]:
        """Return who wrote the messages that this ack covers for the first time on this device."""
        span = self._stored_span(event, state)
        if span is not None:
            items = [*self._item_facts.pop(span), *self.head.after(self.head.begin)]
        else:
            stream = self._stream_of(event.device)
            items = (
                list(stream.flying)
                if stream is not None and stream.since <= state.cursor
                else [*self.head.after(state.cursor)]
            )
        found: dict[str, None] = {}
        for item in items:
            record = item.record
            if (
                state.cursor < item.seq <= event.seq
                and isinstance(record, MessageRecord)
                and event.device in record.payloads
            ):
                found[record.sender] = None
        return list(found)

    def _read(self, event: ev.ReadMarked) -> None:
        if event.seq > self.head.handled or event.seq < 0:
            self._refuse(event.token, "cursor_invalid", "mark as read only what was received")
            return
        row = self.rows.get(event.peer)
        if row is None:
            self._refuse(event.token, "unknown_message", "there is no conversation with this user")
            return
        if event.seq > row.my_read_seq:
            changed = Conversation(**{f: getattr(row, f) for f in row.__struct_fields__})
            changed.my_read_seq = event.seq
            if self.user.read_receipts:
                self._tell(event.peer, self.receipts.read(event.peer, event.seq))
            self._put_row(changed, 0, event.token)
        elif event.token is not None:
            self._out.append(do.AnswerDone(event.token))

    def _tell(self, peer: str, marks: Peer | None) -> None:
        if marks is not None and not self._is_blocked(peer, self.head.handled + 1):
            self._out.append(do.EmitReceipt(peer, marks.delivered, marks.read))

    def _refuse(self, token: object, code: str, detail: str) -> None:
        if token is not None:
            self._out.append(do.Refuse(token, code, detail))

    def _best_cursor(self) -> int:
        return max((state.cursor for state in self.devices.values()), default=0)

    def _needed_after(self) -> int:
        """Return the lowest position that somebody attached still reads or acknowledges from."""
        attached = {reader.device for reader in (*self.streams.values(), *self.polls.values())}
        return min((self.devices[d].cursor for d in attached if d in self.devices), default=self.head.handled)

    # --- the rest ---------------------------------------------------------------------------------

    def _typing(self, event: ev.TypingHeard) -> None:
        if self._is_blocked(event.sender, self.head.handled + 1):
            return
        for stream in self.streams.values():
            if not stream.background:
                self._out.append(do.TellTyping(stream.number, event.sender_name, event.state))

    def _block(self, event: ev.BlockAsked) -> None:
        known = self.blocks.get(event.peer)
        following = self.head.handled + 1
        if event.blocked and (known is None or known.until_seq is not None):
            block = Block(self.user.user_id, event.peer, event.peer_name, following)
        elif not event.blocked and known is not None and known.until_seq is None:
            block = Block(self.user.user_id, event.peer, event.peer_name, known.since_seq, following)
        else:
            self._out.append(do.AnswerDone(event.token))
            return
        self.blocks[event.peer] = block
        self._out.append(do.PutBlock(block, event.token))
        if event.peer in self.watchers:
            self._tell_presence(event.peer)

    def _visible_to(self, watcher: str) -> bool:
        return may_see(
            self.user.last_seen,
            contact=watcher in self.rows,
            blocked=self._is_blocked(watcher, self.head.handled + 1),
        )

    def _watch(self, event: ev.Watched) -> None:
        self.watchers.add(event.watcher)
        self._tell_presence(event.watcher)

    def _unwatch(self, event: ev.Unwatched) -> None:
        self.watchers.discard(event.watcher)

    def _tell_presence(self, watcher: str) -> None:
        online, last_seen = self.presence.seen_by(allowed=self._visible_to(watcher))
        self._out.append(do.TellPresence(watcher, online, last_seen))

    def _announce(self) -> None:
        self._out.append(do.PresenceChanged(self.presence.online, self._now_ms))
        for watcher in sorted(self.watchers):
            self._tell_presence(watcher)

    def _presence_asked(self, event: ev.PresenceAsked) -> None:
        online, last_seen = self.presence.seen_by(allowed=self._visible_to(event.watcher))
        self._out.append(do.AnswerPresence(event.token, online, last_seen))

    def _marks(self, event: ev.MarksAsked) -> None:
        self._out.append(do.AnswerMarks(event.token, self.rows.get(event.peer)))

    def _time(self, _event: ev.TimePassed) -> None:
        if self.presence.expired(self._now_ms):
            self._out.append(do.PresenceChanged(online=False, at_ms=self.presence.last_seen_ms))
            for watcher in sorted(self.watchers):
                self._tell_presence(watcher)
        for poll in list(self.polls.values()):
            self._serve_poll(poll)

    def _refreshed(self, event: ev.Refreshed) -> None:
        self.user, self._devices = event.user, event.devices
        known, self.devices = self.devices, {}
        for device in event.devices:
            state = known.get(device.device) or DeviceState(device.from_seq, pushable=False)
            state.pushable = device.push_token is not None
            self.devices[device.device] = state
        for stream in [s for s in self.streams.values() if s.device not in self.devices]:
            del self.streams[stream.number]
            self._out.append(do.Close(stream.number, "revoked", "this device was removed"))
        self._out.append(do.AnswerDone(event.token))


def _same_message(known: Record, record: MessageRecord) -> bool:
    return (
        isinstance(known, MessageRecord)
        and known.cause == record.cause
        and known.sender_device == record.sender_device
    )


_HANDLERS: dict[type, Callable[[UserActor, Any], None]] = {
    ev.RecordArrived: UserActor._record,  # noqa: SLF001 - the table is part of the class
    ev.StreamAttached: UserActor._attach,  # noqa: SLF001
    ev.StreamDetached: UserActor._detach,  # noqa: SLF001
    ev.Acked: UserActor._ack,  # noqa: SLF001
    ev.ReadMarked: UserActor._read,  # noqa: SLF001
    ev.TypingHeard: UserActor._typing,  # noqa: SLF001
    ev.PageRead: UserActor._page,  # noqa: SLF001
    ev.SyncAsked: UserActor._sync,  # noqa: SLF001
    ev.BlockAsked: UserActor._block,  # noqa: SLF001
    ev.Watched: UserActor._watch,  # noqa: SLF001
    ev.Unwatched: UserActor._unwatch,  # noqa: SLF001
    ev.PresenceAsked: UserActor._presence_asked,  # noqa: SLF001
    ev.MarksAsked: UserActor._marks,  # noqa: SLF001
    ev.TimePassed: UserActor._time,  # noqa: SLF001
    ev.Refreshed: UserActor._refreshed,  # noqa: SLF001
}
