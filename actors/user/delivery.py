"""Streams and syncs: who reads the mailbox, from where, and what each gets next."""

from typing import Any

from actors.user import effects as do
from actors.user import events as ev
from actors.user.delivery_watermark import Coverage
from actors.user.events import Item
from actors.user.view import Poll, Reader, Stream
from storage.records import MessageRecord


class Reading(Coverage):
    """Attach, detach, sync, and serve: in seq order, within each reader's room."""

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
        if any(cursor <= row.receipt_seq for row in self.rows.values()):
            # It may be a receipt that a later one has replaced: no entry has that number any more.
            return True
        if cursor > self.head.evicted:
            return any(item.seq == cursor for item in self.head)
        return self._cursor_facts.get(cursor)

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
        left = any(isinstance(item.record, MessageRecord) for item in stream.in_flight)
        if (left or stream.fetching or stream.position < self._last_seq()) and not self._attached():
            self._wake((stream.device,), "", 0, urgent=True)

    def _serve_all(self) -> None:
        for stream in self.streams.values():
            self._serve(stream)
        for poll in list(self.polls.values()):
            self._serve_poll(poll)

    def _serve(self, stream: Stream) -> None:
        if stream.fetching or stream.room <= 0:
            return
        if stream.position < self.head.evicted:
            self._read_page(stream, stream.number, stream.room)
            return
        taken = stream.take(self.head.after(stream.position), stream.room, self._now_ms)
        self._deliver(stream, taken)
        if not stream.drained and stream.position >= self._last_seq():
            stream.drained = True
            self._out.append(do.Drained(stream.number, stream.sent))

    def _deliver(self, stream: Stream, taken: list[tuple[Item, Any]]) -> None:
        if taken:
            stream.in_flight.extend(item for item, _ in taken)
            self._out.append(do.Deliver(stream.number, tuple(entry for _, entry in taken)))

    def _read_page(self, reader: Reader, key: object, room: int) -> None:
        reader.fetching = True
        self._out.append(do.ReadPage(key, reader.position, self.head.evicted, room))

    def _page(self, event: ev.PageRead) -> None:
        poll = self.polls.get(event.reader)
        if poll is not None:
            self._poll_page(poll, event)
            return
        stream = self.streams.get(event.reader) if isinstance(event.reader, int) else None
        if stream is None:
            return
        stream.fetching = False
        if event.missed and not stream.missed:
            stream.missed = True
            self._out.append(do.Missed(stream.number))
        taken = stream.take(event.items, stream.room, self._now_ms)
        self._deliver(stream, taken)
        if not event.items or stream.position == event.items[-1].seq:
            stream.position = max(stream.position, event.through)
        self._serve(stream)

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
        if event.token in self.polls and not poll.fetching:
            self._out.append(do.SetTimer(event.until_ms))

    def _serve_poll(self, poll: Poll) -> None:
        if poll.fetching:
            return
        if poll.position < self.head.evicted and len(poll.entries) < poll.limit:
            self._read_page(poll, poll.token, poll.limit - len(poll.entries))
            return
        taken = poll.take(self.head.after(poll.position), poll.limit - len(poll.entries), self._now_ms)
        poll.entries.extend(entry for _, entry in taken)
        if poll.entries or poll.missed or poll.until_ms <= self._now_ms:
            self._answer_poll(poll)

    def _poll_page(self, poll: Poll, event: ev.PageRead) -> None:
        poll.fetching = False
        poll.missed = poll.missed or event.missed
        taken = poll.take(event.items, poll.limit - len(poll.entries), self._now_ms)
        poll.entries.extend(entry for _, entry in taken)
        if not event.items or poll.position == event.items[-1].seq:
            poll.position = max(poll.position, event.through)
        self._serve_poll(poll)
        if poll.token in self.polls and not poll.fetching:
            self._out.append(do.SetTimer(poll.until_ms))

    def _answer_poll(self, poll: Poll) -> None:
        del self.polls[poll.token]
        more = poll.position < self._last_seq()
        self._out.append(do.AnswerPage(poll.token, poll.sent, tuple(poll.entries), more, poll.missed))
