"""The newest entries of a mailbox, kept in memory."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from actors.user.errors import InvariantError
from actors.user.events import Item
from actors.user.view import is_stored_entry, receipt_of
from storage.mailbox_rows import Conversation


class Head:
    """The newest entries of a mailbox.

    Every entry above ``evicted`` is in memory, in order, and every entry up to it is in the stores. So a
    reader whose position is not below ``evicted`` finds all that follows here, and one that is below asks the
    stores for what lies between:

        in the stores       | in memory           | in the log
         1003  1007  1008   |  1012  1013  1017   |  1018
                     evicted                handled

    Numbers are those of the shard's log: 1014 to 1016 are other users' records, or dropped repeats.

    Attributes:
        evicted: Entries up to here must be read from the stores.
        handled: The last record that was handled, entry or not.
        loaded_at: The same when the actor was loaded: records up to here were handled before.
        stored: Everything up to here is in the stores, as far as the actor was told.
        tail: seq of the last entry that became a document: the next one's ``prev``.
        totals: Messages, and copies of one's own, that the mailbox was given, and their weight.
    """

    __slots__ = ("_items", "evicted", "handled", "loaded_at", "stored", "tail", "totals")

    def __init__(self, handled: int, tail: int, totals: tuple[int, int]) -> None:
        self.evicted = self.handled = self.loaded_at = self.stored = handled
        self.tail, self.totals = tail, totals
        self._items: deque[Item] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    @property
    def last(self) -> int:
        """The seq of the newest entry; ``evicted`` if none is in memory."""
        return self._items[-1].seq if self._items else self.evicted

    def push(self, item: Item, weight: int = 0) -> None:
        """Add the newest entry; what counts against a quota has a weight."""
        self._items.append(item)
        self.handled = item.seq
        if is_stored_entry(item.record):
            self.tail = item.seq
            if weight:
                self.totals = self.totals[0] + 1, self.totals[1] + weight

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

    def has_stored(self, stored: int) -> bool:
        """Whether an entry in memory is also in the stores, if everything up to ``stored`` is there."""
        return bool(self._items) and self._items[0].seq <= stored

    def trim(self, stored: int, needed_after: int, keep: int) -> None:
        """Evict stored entries that no device waits for, and all but ``keep`` of the stored ones.

        Args:
            stored: Everything up to here is in the stores.
            needed_after: Attached devices still wait for entries above this.
            keep: Most entries to hold for them.
        """
        self.stored = max(stored, self.stored)
        while self._items and self._items[0].seq <= self.stored:
            if self._items[0].seq > needed_after and len(self._items) <= keep:
                break
            self.evicted = self._items.popleft().seq
        if not self._items and self.handled <= self.stored:
            self.evicted = self.handled

    def check(self) -> None:
        """Raise `InvariantError` if entries are out of order, or one was evicted that is not stored."""
        before = self.evicted
        for item in self._items:
            if item.seq <= before:
                raise InvariantError(f"Entry {item.seq} is in memory behind {before}.")
            before = item.seq
        if before > self.handled:
            raise InvariantError(f"{before} is in memory, and only {self.handled} was handled.")
        if self.evicted > self.stored:
            raise InvariantError(f"{self.evicted} was evicted, and only {self.stored} is stored.")
        kept = [item.seq for item in self._items if is_stored_entry(item.record)]
        if kept and kept[-1] != self.tail:
            raise InvariantError(
                f"{kept[-1]} is the last entry to be stored, and the next follows {self.tail}."
            )
