"""Readers of a mailbox: a device's stream, and one sync.

Here lives: where a reader stands, and what it takes next. Not here: where entries come from, effects.
"""

from collections import deque
from collections.abc import Iterable, Iterator

from actors.user.errors import InvariantError
from actors.user.events import Item, PageRead
from actors.user.head import Head
from actors.user.view import to_wire
from roost import wire
from storage.records import MessageRecord, SentRecord, has_expired


class Reader:
    """A position in a device's view of the mailbox.

    ``sent`` is never above ``position``, and is behind it where the last entries are not for this device:
    after 1010, and 1012 which is another device's, a reader has seen 1012 and sent 1010. So the next entry
    follows 1010 in the chain of ``prev``, and the next look at the mailbox begins after 1012.

    Attributes:
        device: Whose view.
        position: Everything up to here has been looked at.
        sent: seq of the last entry handed out, or the cursor the reader began with.
        disappeared: seq of the last message that was left out because its time was over.
        fetching: A page of stored entries was asked for and has not come.
    """

    __slots__ = ("device", "disappeared", "fetching", "position", "sent")

    def __init__(self, device: str, cursor: int) -> None:
        self.device = device
        self.position = cursor
        self.sent = cursor
        self.disappeared = 0
        self.fetching = False

    def pass_disappeared(self) -> None:
        """Count what disappeared behind the last entry as handed out: the device is to acknowledge it.

        It counts as waiting until a device has, and with nothing behind it none would.
        """
        self.sent = max(self.sent, self.disappeared)

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
            elif has_expired(item.record, now_ms):
                self.disappeared = item.seq
        return taken

    def take_page(self, page: PageRead, room: int, now_ms: int) -> list[tuple[Item, wire.Entry]]:
        """Walk over the page that was asked for; past its end if all of it was taken.

        What is gone shows in the chain. With 1001 to 1008 swept, who reads on from 1000 gets 1012 with the
        ``prev`` 1008; a receipt between, which no sweep takes, comes before.
        """
        self.fetching = False
        before = [item for item in page.items if item.seq <= page.gone]
        taken = self.take(before, room, now_ms)
        if not before or self.position == before[-1].seq:
            self.sent = max(self.sent, page.gone)
            self.position = max(self.position, page.gone)
            taken += self.take(page.items[len(before) :], room - len(taken), now_ms)
        if not page.items or self.position == page.items[-1].seq:
            self.position = max(self.position, page.through)
        return taken

    def check(self, head: Head) -> None:
        """Raise `InvariantError` if it handed out more than it has seen, or waits for what is here."""
        if max(self.sent, self.disappeared) > self.position:
            raise InvariantError(f"{self.device} got {self.sent}, and was looked at up to {self.position}.")
        if self.fetching and self.position >= head.evicted:
            raise InvariantError(f"{self.device} waits for a page after {self.position}, which is in memory.")


class Stream(Reader):
    """A device's stream, with the entries that are in flight.

    Attributes:
        number: Number given by the host.
        background: It does not show the user online.
        since: Entries above this that the device got are all in ``in_flight`` or acknowledged.
        drained: The client was told that the backlog is over.
    """

    __slots__ = ("background", "drained", "in_flight", "number", "since")

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

    def owes(self) -> bool:
        """Return whether a message that the device may be woken for was sent and not acknowledged."""
        return any(isinstance(item.record, MessageRecord) and item.record.urgent for item in self.in_flight)

    def acked(self, seq: int) -> None:
        """Take acknowledged entries out of flight."""
        while self.in_flight and self.in_flight[0].seq <= seq:
            self.in_flight.popleft()
        self.since = max(self.since, min(seq, self.sent))

    def check(self, head: Head) -> None:
        """Raise `InvariantError` if what is in flight was not sent, or an entry waits for no reason."""
        super().check(head)
        before = self.since
        for item in self.in_flight:
            if item.seq <= before:
                raise InvariantError(f"Entry {item.seq} is in flight to {self.device} behind {before}.")
            before = item.seq
        if before > self.sent:
            raise InvariantError(f"{before} is in flight to {self.device}, and {self.sent} was sent last.")
        if self.room < 0:
            raise InvariantError(f"{len(self.in_flight)} entries are in flight to {self.device}.")
        if self.room and not self.fetching and (waiting := head.after(self.position)):
            raise InvariantError(f"Entry {waiting[0].seq} is not sent to {self.device}, which has room.")


class Poll(Reader):
    """One sync that collects a page, and may wait for its first entry.

    Attributes:
        token: Who asked.
        limit: Entries wanted.
        until_ms: When to give up waiting.
        entries: What was collected.
        missed: Entries of its range were found to be gone.
        size: Bytes of payloads looked at so far.
    """

    __slots__ = ("entries", "limit", "missed", "size", "token", "until_ms")

    def __init__(self, token: object, device: str, cursor: int, limit: int, until_ms: int) -> None:
        super().__init__(device, cursor)
        self.token = token
        self.limit = limit
        self.until_ms = until_ms
        self.entries: list[wire.Entry] = []
        self.missed = False
        self.size = 0

    @property
    def room(self) -> int:
        """How many entries are still wanted: none once they are large enough together."""
        return self.limit - len(self.entries) if self.size < wire.PAGE_BYTES else 0

    def take(self, items: Iterable[Item], room: int, now_ms: int) -> list[tuple[Item, wire.Entry]]:
        """Walk over the items until the page is full or large."""
        return super().take(self._measured(items), room, now_ms)

    def _measured(self, items: Iterable[Item]) -> Iterator[Item]:
        for item in items:
            if self.size >= wire.PAGE_BYTES:
                return
            if isinstance(item.record, MessageRecord | SentRecord):
                self.size += len(item.record.payloads.get(self.device, b""))
            yield item

    def check(self, head: Head) -> None:
        """Raise `InvariantError` if the answer waits though there is one."""
        super().check(head)
        if not self.fetching and (self.entries or self.missed):
            raise InvariantError(f"A sync of {self.device} has {len(self.entries)} entries and no answer.")
        if len(self.entries) > self.limit:
            more = len(self.entries) - self.limit
            raise InvariantError(f"A sync of {self.device} has {more} entries more than it asked for.")
