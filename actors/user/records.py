"""Records of the log: what becomes an entry, what is a repeat, what goes nowhere."""

from actors import effects as do
from actors import events as ev
from actors.events import Item
from actors.repeats import Seen
from actors.user.reading import Reading
from actors.view import at_ms_of
from storage.records import (
    Conversation,
    KeysRecord,
    MailboxDocument,
    MessageRecord,
    ReceiptRecord,
    Record,
    SentRecord,
)

_TAGS = {MessageRecord: "m", KeysRecord: "k", SentRecord: "s"}


class Records(Reading):
    """Handle records in the log's order; a record that was handled is not handled again."""

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
        return self._gaps_lack()

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
                self.receipts.repeated(record.sender, seq, all_acked=self._all_acked(record.sender)),
            )
            return
        self._keep(seq, record, value)
        for device, state in self.devices.items():
            if device not in record.payloads:
                state.floor = max(state.floor, seq)
        self.receipts.arrived(record.sender, seq)
        if record.sender not in self.rows:
            self._put_row(Conversation(self.user.user_id, record.sender, record.sender_name), seq)
        if any(state.cursor >= seq for d, state in self.devices.items() if d in record.payloads):
            self._tell(
                record.sender, self.receipts.delivered(record.sender, min(seq, self._covered(record.sender)))
            )
        if not self._attached():
            self._wake(record.payloads, record.cause, seq, urgent=record.urgent)

    def _all_acked(self, sender: str) -> bool:
        return self._covered(sender) >= self.head.tail

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


def _same_message(known: Record, record: MessageRecord) -> bool:
    return (
        isinstance(known, MessageRecord)
        and known.cause == record.cause
        and known.sender_device == record.sender_device
    )
