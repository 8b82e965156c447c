"""Reads of one mailbox: complete wherever buckets begin and end, and no wider than need be.

The index orders buckets by their *last* entry. A read goes through windows of seq, ``low < last <= high``,
because the embedded surrogate reads a whole range whatever the limit; with MongoDB itself a window costs
one more round trip where a mailbox is sparse.

An entry at or below ``high`` can still be missing then, in a bucket that ends above it:

* At the upper edge. Everything up to 10 is wanted, and there is a bucket [8 9 12].
* Further down, after a replay that cut elsewhere: [5 6] was read, and 4 is only in [4 5 6 9 12].

So the first bucket above the edge is read, too. Each entry names the one before it: from the first entry
above the edge downwards nothing may be missing. If something is, one more window finds all that there is,
since no bucket spans more than `SPAN`. What is missing then was swept.
"""

from collections.abc import Callable
from itertools import chain
from typing import Final

from roost.ids import SEQ_LIMIT
from storage.mongo.buckets import SPAN, entries_of
from storage.mongo.driver import Collection
from storage.records import MailboxDocument

_UP: Final = 64
_DOWN: Final = 512
"""Widths of the first window, in seqs."""

_WIDER: Final = 16
_EDGE: Final = 256
"""How far the first bucket above an edge is looked for at first, before it is looked for up to `SPAN`."""

_SPARE: Final = 1.25

Wanted = Callable[[MailboxDocument], bool]


class Walk:
    """One read of one mailbox.

    Args:
        mailbox: The collection.
        user: Whose mailbox.
    """

    def __init__(self, mailbox: Collection, user: str) -> None:
        self._mailbox, self._user = mailbox, user
        self._found: dict[int, MailboxDocument] = {}

    async def up(self, after: int, upto: int, limit: int) -> list[MailboxDocument]:
        """Return the entries with ``after < seq <= upto``, lowest first, at most ``limit``."""
        high, width = after, max(_UP, limit)
        entries: list[MailboxDocument] = []
        while high < upto and len(entries) < limit:
            low, high = high, min(upto, high + width)
            found = await self._window(low, high)
            entries = self._between(after, upto)[:limit]
            width = _next_width(width, found, limit - len(entries))
        if len(entries) < limit:
            await self._complete(after, upto)
        elif self._has_hole(after, entries[-1].seq):
            await self._window(high, high + SPAN)
        return self._between(after, upto)[:limit]

    async def down(
        self, below: int, top: int, limit: int, wanted: Wanted | None = None, since_ms: int = 0
    ) -> list[MailboxDocument]:
        """Return the entries with ``seq < below`` that are wanted, highest first, at most ``limit``.

        Args:
            below: Upper bound.
            top: Nothing is likely to be above this: where to begin.
            limit: At most so many.
            wanted: Which of them; all by default.
            since_ms: Look no further than an entry that was accepted before this, in Unix milliseconds.
        """
        high, width = below - 1, _DOWN
        low = min(high, top)
        completed = False
        while True:
            low = max(0, low - width)
            found = await self._window(low, high)
            if not completed or self._has_hole(low, below - 1):
                await self._complete(low, below - 1)
                completed = True
            run = self._between(low, below - 1)[::-1]
            entries = [entry for entry in run if wanted is None or wanted(entry)]
            if len(entries) >= limit or low == 0 or (run and run[-1].at_ms < since_ms):
                return entries[:limit]
            high, width = low, _next_width(width, found, limit - len(entries))

    async def _complete(self, low: int, high: int) -> None:
        """Find the entries up to ``high`` in buckets that end above it; those that end below were read."""
        if high + 1 >= SEQ_LIMIT:
            return
        edge = high + _EDGE
        if not await self._window(high, edge) or self._has_hole(low, high):
            await self._window(edge, high + SPAN)

    def _has_hole(self, low: int, high: int) -> bool:
        """Say whether an entry between the bounds, or the first above, follows one that was not found."""
        above = min((seq for seq in self._found if seq > high), default=None)
        last = () if above is None else (self._found[above],)
        before = low
        for entry in chain(self._between(low, high), last):
            if entry.prev > before:
                return True
            before = entry.seq
        return False

    def _between(self, low: int, high: int) -> list[MailboxDocument]:
        """Return what was found with ``low < seq <= high``, lowest first."""
        return [self._found[seq] for seq in sorted(self._found) if low < seq <= high]

    async def _window(self, low: int, high: int) -> int:
        """Read the buckets with ``low < last <= high``; returns how many entries they have."""
        where = {"u": self._user, "s": {"$gt": low, "$lte": high}}
        found = [entry for each in await self._mailbox.many(where) for entry in entries_of(each)]
        for entry in found:
            self._found.setdefault(entry.seq, entry)
        return len(found)


def _next_width(width: int, found: int, more: int) -> int:
    """Return the width of the next window, by what the last one brought and what is still wanted."""
    if not found:
        return width * _WIDER
    return min(width * _WIDER, _UP + int(_SPARE * width * more / found))
