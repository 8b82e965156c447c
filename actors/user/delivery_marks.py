"""Receipts for this user's peers: how far their messages were delivered and read."""

from collections.abc import Mapping

from msgspec.structs import replace

from actors.user import effects as do
from actors.user import events as ev
from actors.user.delivery_watermark import DeliveryWatermark, Span
from actors.user.devices import Devices
from actors.user.errors import InvariantError
from actors.user.events import Item
from actors.user.head import Head
from actors.user.peers import Peers
from actors.user.readers import Stream
from actors.user.receipts import Receipts, SenderMarks
from storage.records import MessageRecord


class DeliveryMarks:
    """Acknowledgements and read marks in, receipts out.

    Args:
        devices: How far each has acknowledged.
        peers: What is known of each sender from before; whom not to tell.
        head: The entries in memory.
        out: Effects go here.
    """

    __slots__ = ("_devices", "_head", "_out", "_peers", "_receipts", "_spans", "_watermark")

    def __init__(self, devices: Devices, peers: Peers, head: Head, out: list[do.Effect]) -> None:
        self._devices, self._peers, self._head, self._out = devices, peers, head, out
        self._receipts = Receipts(peers.rows.values())
        self._watermark = DeliveryWatermark(devices, head)
        self._spans: dict[Span, tuple[Item, ...]] = {}

    @property
    def told(self) -> Mapping[str, SenderMarks]:
        """What each sender was told since the activation, by user id."""
        return self._receipts.marks

    # --- what has to be known first ---------------------------------------------------------------

    def lacks(self) -> list[ev.Unknown]:
        """Return what is to be looked up before a sender can be told anything."""
        return self._watermark.lacks()

    def ack_lacks(self, device: str, seq: int, stream: Stream | None) -> list[ev.Unknown]:
        """Return what is to be looked up before an acknowledgement of a device can be told."""
        span = self._absent(device, seq, stream)
        if span is not None and span not in self._spans:
            return [ev.SendersUnknown(*span)]
        return self._watermark.lacks(device, seq)

    def learn(self, span: Span, items: tuple[Item, ...]) -> None:
        """Take the stored entries of a span."""
        if not self._watermark.learn(span, items):
            self._spans[span] = items

    def _absent(self, device: str, seq: int, stream: Stream | None) -> Span | None:
        """Return the span of entries that an acknowledgement covers and neither stream nor head has."""
        cursor = self._devices[device].cursor
        if cursor >= self._head.evicted or (stream is not None and stream.since <= cursor):
            return None
        return cursor, min(seq, self._head.evicted)

    # --- records ----------------------------------------------------------------------------------

    def arrived(self, seq: int, record: MessageRecord, *, acknowledged: bool) -> None:
        """A message became an entry, which a device may have acknowledged before the actor was loaded.

        One to oneself is delivered with that: each device's is for others, and no watermark could say so.
        """
        self._receipts.arrived(record.sender, seq)
        if record.to_self:
            self._tell(record.sender, self._receipts.delivered(record.sender, seq))
        elif acknowledged:
            upto = min(seq, self._watermark.of(record.sender))
            self._tell(record.sender, self._receipts.delivered(record.sender, upto))

    def repeated(self, seq: int, record: MessageRecord, upto: int) -> None:
        """A repeat was dropped. Its number is kept with the row: the sender may know its message by no other.

        Args:
            seq: The repeat's number.
            record: The repeat.
            upto: The sender's last entry before it, where that is older than the activation.
        """
        sender = record.sender
        marks = self._receipts.repeated(sender, seq, upto)
        # It may have no row: that can go down with the log, when the message itself was stored before.
        row = self._peers.row(sender, record.sender_name)
        repeat_seq = max(seq, row.repeat_seq)
        self._peers.put(replace(row, repeat_seq=repeat_seq, repeated_upto=marks.message), seq)
        if record.to_self or self._watermark.of(sender) >= marks.message:
            read = self._peers.user.read_receipts and row.my_read_seq >= marks.message
            rise = self._receipts.read if read else self._receipts.delivered
            self._tell(sender, rise(sender, seq))

    def device_added(self, device: str) -> None:
        """A device was added: find out which messages can be its."""
        self._watermark.added(device)

    # --- acknowledgements and reading -------------------------------------------------------------

    def acked(self, device: str, seq: int, stream: Stream | None) -> list[Item]:
        """A device holds everything up to ``seq``, for the first time: raise its cursor, tell the senders.

        Returns:
            The entries that it acknowledged, and perhaps some before or behind them.
        """
        items = self._covered(device, seq, stream)
        senders, had_gaps = self._senders(device, seq, items), self._watermark.has_gaps
        self._devices[device].cursor = seq
        for sender in senders:
            upto = self._watermark.of(sender)
            marks = self._receipts.delivered(sender, upto)
            row = self._peers.rows.get(sender)
            if had_gaps and row is not None and row.my_read_seq and self._peers.user.read_receipts:
                # What was read beyond the gap could not be told before.
                marks = self._receipts.read(sender, min(row.my_read_seq, upto)) or marks
            self._tell(sender, marks)
        return items

    def _covered(self, device: str, seq: int, stream: Stream | None) -> list[Item]:
        """Return what an acknowledgement covers for the first time on this device, among other entries."""
        cursor = self._devices[device].cursor
        span = self._absent(device, seq, stream)
        if span is not None:
            return [*self._spans.pop(span), *self._head.after(self._head.evicted)]
        if stream is not None and stream.since <= cursor:
            return list(stream.in_flight)
        return self._head.after(cursor)

    def _senders(self, device: str, seq: int, items: list[Item]) -> list[str]:
        """Return who wrote the messages among these that an acknowledgement covers for the first time."""
        cursor = self._devices[device].cursor
        found: dict[str, None] = {}
        for item in items:
            record = item.record
            if cursor < item.seq <= seq and isinstance(record, MessageRecord) and device in record.payloads:
                found[record.sender] = None
        return list(found)

    def read(self, event: ev.ReadMarked) -> None:
        """The user has read what a peer wrote."""
        seq, token = event.seq, event.token
        if not 0 <= seq <= self._head.handled:
            do.refuse(self._out, token, "cursor_invalid", "mark as read only what was received")
            return
        row = self._peers.rows.get(event.peer)
        if row is None:
            do.refuse(self._out, token, "unknown_message", "there is no conversation with this user")
            return
        told = False
        if self._peers.user.read_receipts and seq >= row.my_read_seq:
            # Also when the row says so already: the host that wrote it may have died before it told the peer.
            # But not that an older message was read which no device has.
            upto = min(seq, self._watermark.of(event.peer)) if self._watermark.has_gaps else seq
            self._receipts.read(event.peer, upto)
            told = self._tell(event.peer, self._receipts.of(event.peer), token)
        if seq > row.my_read_seq:
            self._peers.put(replace(row, my_read_seq=seq), 0, token)
        elif token is not None and not told:
            self._out.append(do.AnswerDone(token))

    def contact_made(self, peer: str) -> None:
        """A stranger became a contact: tell it how far its messages were delivered and read."""
        row = self._peers.rows[peer]
        if not row.heard:
            return
        upto = self._watermark.of(peer)
        self._receipts.delivered(peer, upto)
        if self._peers.user.read_receipts:
            self._receipts.read(peer, min(row.my_read_seq, upto))
        marks = self._receipts.of(peer)
        self._tell(peer, marks if marks.delivered else None)

    def _tell(self, peer: str, marks: SenderMarks | None, token: object = None) -> bool:
        """Tell a peer, if it may know; returns whether it is told."""
        if marks is None or not self._peers.may_see_receipts(peer):
            return False
        self._out.append(do.EmitReceipt(peer, marks.delivered, marks.read, token))
        return True

    def check(self) -> None:
        """Raise `InvariantError` if a sender was told that a message is delivered which no device has."""
        cursors = [state.cursor for state in self._devices.values()]
        self._receipts.check(max([self._head.handled, *cursors]))
        for item in self._head:
            record = item.record
            if not isinstance(record, MessageRecord) or record.to_self:
                continue
            told = self._receipts.marks.get(record.sender)
            # What the user has read counts as delivered, whoever acknowledged it; and who had it may be gone.
            if told is None or not told.read < item.seq <= told.delivered:
                continue
            states = [self._devices.get(device) for device in record.payloads]
            if states and all(state is not None and state.cursor < item.seq for state in states):
                story = f"{record.sender} was told {told.delivered}, and no device has entry {item.seq}."
                raise InvariantError(story)
