"""Records of the log: what becomes an entry, what is a repeat, what goes nowhere."""

from actors.user import effects as do
from actors.user import events as ev
from actors.user.delivery_marks import DeliveryMarks
from actors.user.devices import Devices
from actors.user.events import Item
from actors.user.head import Head
from actors.user.peers import Peers
from actors.user.quota import Quota
from actors.user.repeats import Repeats
from actors.user.view import at_ms_of
from storage.mailbox_rows import MailboxDocument
from storage.records import (
    KeysRecord,
    MessageRecord,
    ReceiptRecord,
    Record,
    SentRecord,
    expires_at_ms_of,
    weight_of,
)

_TAGS = {MessageRecord: "m", KeysRecord: "k", SentRecord: "s"}


class Records:
    """Handles records in the log's order, each once.

    Args:
        head: Entries go here.
        devices: Are told which messages are not for them.
        peers: Tell who is blocked, and take receipts.
        marks: Are told of messages and repeats.
        repeats: The ids of the messages that are in the mailbox.
        quota: Is told of all that comes.
        out: Effects go here.
    """

    __slots__ = ("_devices", "_head", "_marks", "_out", "_peers", "_quota", "_repeats")

    def __init__(
        self,
        head: Head,
        devices: Devices,
        peers: Peers,
        marks: DeliveryMarks,
        repeats: Repeats,
        quota: Quota,
        out: list[do.Effect],
    ) -> None:
        self._head, self._devices, self._peers, self._marks = head, devices, peers, marks
        self._repeats, self._quota, self._out = repeats, quota, out

    def lacks(self, event: ev.RecordArrived) -> list[ev.Unknown]:
        """Return what is to be looked up before the record can be handled."""
        record = event.record
        if event.seq <= self._head.handled or not isinstance(record, MessageRecord):
            return []
        if self._peers.is_blocked(record.sender, event.seq):
            return []
        if self._is_repeat(record) is None:
            return [ev.RepeatUnknown(record.sender, record.sender_device, record.cause, event.seq)]
        return self._marks.lacks()

    def handle(self, event: ev.RecordArrived, now_ms: int) -> MessageRecord | None:
        """Handle a record that follows all that were handled; returns it if it is a new message."""
        seq, record = event.seq, event.record
        message = None
        if isinstance(record, MessageRecord):
            if self._message(seq, record, event.value, now_ms):
                message = record
        elif isinstance(record, KeysRecord) and self._peers.is_blocked(record.user, seq):
            pass  # whose devices change is of no interest to one who blocks them
        elif isinstance(record, ReceiptRecord):
            receipt = self._peers.received(seq, record)
            if receipt is not None:
                self._head.push(Item(seq, receipt))
                self._quota.known(record.peer, now_ms)
        else:
            weight = weight_of(record)
            self._keep(seq, record, event.value, weight)
            if weight:
                self._quota.copied(weight, now_ms, acknowledged=self._devices.highest_cursor() >= seq)
        self._head.handled = seq
        return message

    def _message(self, seq: int, record: MessageRecord, value: bytes, now_ms: int) -> bool:
        if self._peers.is_blocked(record.sender, seq):
            self._out.append(do.KeepStub(seq, record))
            self._quota.dropped(record)
            return False
        repeat = self._is_repeat(record)
        upto = self._repeats.take_fact(record.source, record.cause)
        if repeat:
            self._marks.repeated(seq, record, upto)
            return False
        weight = record.weight
        self._keep(seq, record, value, weight)
        acknowledged = self._devices.arrived(seq, record)
        self._peers.wrote(record.sender, record.sender_name, seq)
        self._marks.arrived(seq, record, acknowledged=acknowledged)
        self._quota.arrived(seq, record, weight, now_ms, acknowledged=acknowledged)
        return True

    def _is_repeat(self, record: MessageRecord) -> bool | None:
        """Return whether the mailbox holds this message already; None: it has to be looked up."""
        known = self._repeats.is_repeat(record.source, record.cause)
        if known is None and any(
            _same_message(item.record, record) for item in self._head.after(self._head.loaded_at)
        ):
            return True
        return known

    def _keep(
        self, seq: int, record: MessageRecord | KeysRecord | SentRecord, value: bytes, weight: int = 0
    ) -> None:
        sender = device = ""
        own = False
        if isinstance(record, MessageRecord):
            sender, device = record.sender, record.sender_device
            self._repeats.add(record.source, record.cause)
            own = self._repeats.newest == record.cause
        before = self._head.tail
        self._head.push(Item(seq, record), weight)
        document = MailboxDocument(
            self._peers.user.user_id, seq, before, _TAGS[type(record)], sender, device,
            record.cause, at_ms_of(record), value, "" if own else self._repeats.newest,
            *self._head.totals, expires_at_ms_of(record), isinstance(record, MessageRecord) and record.silent,
        )  # fmt: skip
        self._out.append(do.Store(document))


def _same_message(known: Record, record: MessageRecord) -> bool:
    return isinstance(known, MessageRecord) and known.cause == record.cause and known.source == record.source
