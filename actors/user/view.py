"""What a device sees of its user's mailbox.

Here lives: the head (the newest entries, in memory), readers that walk over it, and the one
function that turns a record into the entry a device gets. Not here: stores, links, time.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from actors.user.events import Item
from roost import wire
from storage.records import Conversation, KeysRecord, MessageRecord, ReceiptRecord, Record, SentRecord


def is_stored_entry(record: Record) -> bool:
    """Say whether the record becomes a mailbox document (a receipt becomes a conversation row)."""
    return not isinstance(record, ReceiptRecord)


def at_ms_of(record: Record) -> int:
    """Return when the record was accepted, in Unix milliseconds."""
    return record.accepted_at_ms if isinstance(record, MessageRecord) else record.at_ms


def to_wire(item: Item, device: str, prev: int, now_ms: int) -> wire.Entry | None:
    """Return the entry as ``device`` gets it, or None if it is not for this device.

    ``prev`` is the seq of the entry before it in this device's view.
    """
    record, seq = item.record, item.seq
    if isinstance(record, MessageRecord):
        return _message(record, seq, device, prev, now_ms)
    if isinstance(record, ReceiptRecord):
        return wire.ReceiptEntry(
            seq, prev, record.at_ms, record.peer_name, record.delivered_seq, record.read_seq
        )
    if isinstance(record, KeysRecord):
        return wire.KeysEntry(seq, prev, record.at_ms, record.user_name, record.device, record.change)
    if record.device == device:
        return None
    return _sent(record, seq, prev)


def _message(
    record: MessageRecord, seq: int, device: str, prev: int, now_ms: int
) -> wire.MessageEntry | None:
    payload = record.payloads.get(device)
    if payload is None or (record.expires_at_ms is not None and record.expires_at_ms <= now_ms):
        return None
    return wire.MessageEntry(
        seq=seq,
        prev=prev,
        at_ms=record.accepted_at_ms,
        id=record.cause,
        from_=record.sender_name,
        from_device=record.sender_device,
        sent_at_ms=record.sent_at_ms,
        accepted_at_ms=record.accepted_at_ms,
        suite=record.suite,
        payload=payload,
    )


def _sent(record: SentRecord, seq: int, prev: int) -> wire.SentEntry:
    return wire.SentEntry(
        seq=seq,
        prev=prev,
        at_ms=record.at_ms,
        id=record.cause,
        to=record.peer_name,
        from_device=record.device,
        to_seq=record.peer_seq,
        sent_at_ms=record.sent_at_ms,
    )


def receipt_of(row: Conversation) -> Item:
    """Return the entry of the newest receipt of a conversation."""
    at_ms = max(row.delivered_at_ms, row.read_at_ms)
    record = ReceiptRecord(row.user, "", row.peer, row.peer_name, row.delivered_seq, row.read_seq, at_ms)
    return Item(row.receipt_seq, record)


class Head:
    """The newest entries of the mailbox.

    Invariant: every entry with ``seq > evicted`` is in memory, every entry with ``seq <= evicted`` is
    in the stores, and nothing above ``handled`` exists for this actor.

    Attributes:
        evicted: Entries up to here must be read from the stores.
        handled: The last record that was handled, entry or not.
        tail: seq of the last entry that became a document: the next one's ``prev``.
    """

    def __init__(self, handled: int, tail: int) -> None:
        self.evicted = handled
        self.handled = handled
        self.tail = tail
        self._items: deque[Item] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def push(self, item: Item) -> None:
        """Add the newest entry."""
        self._items.append(item)
        self.handled = item.seq
        if is_stored_entry(item.record):
            self.tail = item.seq

    def recall(self, recent: Sequence[Item], rows: Iterable[Conversation]) -> None:
        """Take the newest stored entries into memory.

        All but the first: it stays in the stores, so that who reads from below it finds out what was swept.

        Args:
            recent: Lowest first, none left out.
            rows: The conversations, for the receipts among them.
        """
        self.evicted = recent[0].seq
        receipts = [receipt_of(row) for row in rows if self.evicted < row.receipt_seq <= self.handled]
        self._items.extend(sorted([*recent[1:], *receipts], key=lambda item: item.seq))

    def after(self, seq: int) -> list[Item]:
        """Return the entries in memory with a greater seq, lowest first."""
        if not self._items or self._items[-1].seq <= seq:
            return []
        found: list[Item] = []
        for item in reversed(self._items):
            if item.seq <= seq:
                break
            found.append(item)
        found.reverse()
        return found

    def trim(self, stored: int, needed_after: int, keep: int) -> None:
        """Forget stored entries that no device waits for, and all but ``keep`` of the stored ones.

        Args:
            stored: Everything up to here is in the stores.
            needed_after: Attached devices still wait for entries above this.
            keep: Most entries to hold for them.
        """
        while self._items and self._items[0].seq <= stored:
            if self._items[0].seq > needed_after and len(self._items) <= keep:
                break
            self.evicted = self._items.popleft().seq
        if not self._items and self.handled <= stored:
            self.evicted = self.handled


class Reader:
    """Somebody's position in a device's view: a stream, or one sync.

    Attributes:
        device: Whose view.
        position: Everything up to here has been looked at.
        sent: seq of the last entry handed out, or the cursor the reader began with.
        fetching: A page of stored entries is under way.
        missed: Entries of its range were found to be gone.
    """

    def __init__(self, device: str, cursor: int) -> None:
        self.device = device
        self.position = cursor
        self.sent = cursor
        self.fetching = False
        self.missed = False

    def take(self, items: Iterable[Item], room: int, now_ms: int) -> list[tuple[Item, wire.Entry]]:
        """Walk over the items, and return what of them this device gets, at most ``room``."""
        taken: list[tuple[Item, wire.Entry]] = []
        for item in items:
            if len(taken) >= room:
                break
            self.position = item.seq
            entry = to_wire(item, self.device, self.sent, now_ms)
            if entry is not None:
                self.sent = item.seq
                taken.append((item, entry))
        return taken


class Stream(Reader):
    """A device's stream, with the entries that are in flight.

    Attributes:
        number: Number given by the gateway.
        background: It does not show the user online.
        since: Entries above this that the device got are all in ``in_flight`` or acknowledged.
        drained: The client was told that the backlog is over.
    """

    def __init__(self, number: int, device: str, cursor: int, *, background: bool) -> None:
        super().__init__(device, cursor)
        self.number = number
        self.background = background
        self.since = cursor
        self.drained = False
        self.in_flight: deque[Item] = deque()

    @property
    def room(self) -> int:
        """How many entries may still be sent before an acknowledgement."""
        return wire.WINDOW - len(self.in_flight)

    def acked(self, seq: int) -> None:
        """Take acknowledged entries out of flight."""
        while self.in_flight and self.in_flight[0].seq <= seq:
            self.in_flight.popleft()
        self.since = max(self.since, min(seq, self.sent))


class Poll(Reader):
    """One sync that collects a page, and may wait for its first entry.

    Attributes:
        token: Who asked.
        limit: Entries wanted.
        until_ms: When to give up waiting.
        entries: What was collected.
    """

    def __init__(self, token: object, device: str, cursor: int, limit: int, until_ms: int) -> None:
        super().__init__(device, cursor)
        self.token = token
        self.limit = limit
        self.until_ms = until_ms
        self.entries: list[wire.Entry] = []
