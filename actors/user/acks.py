"""Acknowledgements and reading: what raises a device's cursor, and what the senders are told."""

from msgspec.structs import replace

from actors.user import effects as do
from actors.user import events as ev
from actors.user.delivery import Reading
from actors.user.state import DeviceState
from storage.records import MessageRecord


class Acks(Reading):
    """Cursors only rise; receipts follow them."""

    def _ack_lacks(self, event: ev.Acked) -> list[ev.Unknown]:
        state = self.devices.get(event.device)
        if state is None or not state.cursor < event.seq <= self.head.handled:
            return []
        wanted = self._stored_span(event, state)
        if wanted is not None and wanted not in self._item_facts:
            return [ev.SendersUnknown(*wanted)]
        # As it will be when this is acknowledged.
        before, state.cursor = state.cursor, event.seq
        lacks = self._gaps_lack()
        state.cursor = before
        return lacks

    def _stored_span(self, event: ev.Acked, state: DeviceState) -> tuple[int, int] | None:
        """Return the span of stored entries an ack covers and that no stream has in flight."""
        stream = self._stream_of(event.device)
        if state.cursor >= self.head.evicted or (stream is not None and stream.since <= state.cursor):
            return None
        return state.cursor, min(event.seq, self.head.evicted)

    def _ack(self, event: ev.Acked) -> None:
        state = self.devices.get(event.device)
        if state is None:
            self._refuse(event.token, "revoked", "this device was removed")
            return
        if event.seq > self.head.handled or event.seq < 0:
            self._refuse(event.token, "cursor_invalid", "acknowledge only what was received")
            return
        if event.seq > state.cursor:
            senders, had_gaps = self._senders(event, state), bool(self._gaps())
            state.cursor = event.seq
            for sender in senders:
                self._tell_delivered(sender, had_gaps=had_gaps)
        self._out.append(do.PutCursor(event.device, state.cursor, event.token))
        stream = self._stream_of(event.device)
        if stream is not None:
            stream.acked(event.seq)
            self._serve(stream)

    def _tell_delivered(self, sender: str, *, had_gaps: bool) -> None:
        covered = self._covered(sender)
        marks = self.receipts.delivered(sender, covered)
        row = self.rows.get(sender)
        if had_gaps and row is not None and row.my_read_seq and self.user.read_receipts:
            # What was read beyond the gap could not be told before.
            marks = self.receipts.read(sender, min(row.my_read_seq, covered)) or marks
        self._tell(sender, marks)

    def _senders(self, event: ev.Acked, state: DeviceState) -> list[str]:
        """Return who wrote the messages that this ack covers for the first time on this device."""
        span = self._stored_span(event, state)
        if span is not None:
            items = [*self._item_facts.pop(span), *self.head.after(self.head.evicted)]
        else:
            stream = self._stream_of(event.device)
            items = (
                list(stream.in_flight)
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
        told = False
        if self.user.read_receipts and event.seq >= row.my_read_seq:
            # Also when the row says so already: the host that wrote it may have died before it told the peer.
            self.receipts.read(event.peer, self._readable(event))
            told = self._tell(event.peer, self.receipts.of(event.peer), event.token)
        if event.seq > row.my_read_seq:
            self._put_row(replace(row, my_read_seq=event.seq), 0, event.token)
        elif event.token is not None and not told:
            self._out.append(do.AnswerDone(event.token))

    def _marks(self, event: ev.MarksAsked) -> None:
        self._out.append(do.AnswerMarks(event.token, self.rows.get(event.peer)))

    def _readable(self, event: ev.ReadMarked) -> int:
        """Return what the mark may say: not that an older message was read which no device has."""
        return min(event.seq, self._covered(event.peer)) if self._gaps() else event.seq
