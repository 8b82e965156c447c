"""Reads of one mailbox: complete wherever buckets begin and end, and no wider than need be.

The index orders buckets by their *last* entry. A read goes through windows of seq, ``low < last <= high``,
because the embedded surrogate looks at every bucket of a range (25-45 us each) whatever the limit; with
MongoDB itself a window costs one more round trip where a mailbox is sparse.

An entry at or below ``high`` can still be missing then, in a bucket that ends above it:

* At the upper edge. Everything up to 10 is wanted, and there is a bucket [8 9 12].
* Further down, after a replay that cut elsewhere: [5 6] was read, and 4 is only in [4 5 6 9 12].

So the first bucket above the edge is read, too. Each entry names the one before it: from the first entry
above the edge downwards nothing may be missing. If something is, one more window finds all that there is,
since no bucket spans more than `SPAN`. What is missing then was swept.

Above a cursor there may be a wide gap: all that others got before this user's first entry, or the numbers
between two logs. A window that is wide enough to end behind it may hold the whole mailbox. So its
end is looked for from the newest entry downwards, with probes that hold a few buckets. Then one window shows
that the gap is one::

    cursor                          first entry                          newest
      |                                  [1 2 3][4 5][6 7 8][9][10 11][12 13]
      |                      . <-nothing-|---------------- . <- . <- . <-|      four times as far each time
      |                            .->.<-|                                      then by halves
      |<------- one window: empty ------>|
"""

from collections.abc import Callable
from itertools import chain
from typing import Final, NamedTuple

from roost.ids import SEQ_LIMIT
from storage.mailbox_rows import MailboxDocument
from storage.mongo.buckets import SPAN, entries_of
from storage.mongo.driver import ASCENDING, DESCENDING, Collection
from storage.mongo.places import Places

_UP: Final = 64
_DOWN: Final = 512
"""Widths of the first window, in seqs."""

_WIDER: Final = 16
_GAP: Final = 2_048
"""Where the next window after one without an entry would be wider, the end of the gap is looked for."""

_PROBE: Final = 4
_FARTHER: Final = 4
"""How many buckets a probe is to hold, and how much farther the next one looks."""

_FEW: Final = 512
"""A window that is likely to hold no more entries is read whatever gap it may begin with."""

_EDGE: Final = 256
"""How far the first bucket above an edge is looked for at first, before it is looked for up to `SPAN`."""

_SPARE: Final = 1.25

Wanted = Callable[[MailboxDocument], bool]


class _Read(NamedTuple):
    """What a window brought.

    Attributes:
        reached: All buckets that end up to here (down to here, and above) were read.
        entries: How many entries there are.
        ends: The last seq of each bucket.
    """

    reached: int
    entries: int
    ends: list[int]


class Walk:
    """One read of one mailbox.

    Args:
        mailbox: The collection.
        user: Whose mailbox.
        places: What is known of where entries are.
    """

    def __init__(self, mailbox: Collection, user: str, places: Places) -> None:
        self._mailbox, self._user, self._places = mailbox, user, places
        self._found: dict[int, MailboxDocument] = {}

    async def up(self, after: int, upto: int, limit: int) -> list[MailboxDocument]:
        """Return the entries with ``after < seq <= upto``, lowest first, at most ``limit``."""
        high, width, nothing = min(upto, self._places.skip(self._user, after)), max(_UP, limit), after
        entries: list[MailboxDocument] = []
        scout = _Scout(self._mailbox, self._user, self._places)
        while high < upto and len(entries) < limit:
            read = await self._window(high, min(upto, high + width), limit)
            width = _next_width(width, read.entries, max(0, limit - len(entries) - read.entries))
            high = read.reached
            if not read.ends and width > _GAP and high < upto:
                nearer, width = await scout.near_first(high, width, upto, limit)
                read = await self._window(high, nearer, limit)
                high = read.reached
            if read.ends:
                self._remember(nothing, min(read.ends))
                nothing = high
            entries = self._between(after, high)[:limit]
        if len(entries) < limit:
            await self._complete(after, upto)
        elif self._has_hole(after, entries[-1].seq):
            await self._window(high, high + SPAN)
        return self._between(after, high)[:limit]

    def _remember(self, low: int, end: int) -> None:
        if end - low > _GAP:
            self._places.empty(self._user, low, end - 1)

    async def down(
        self, below: int, limit: int, wanted: Wanted | None = None, since_ms: int = 0
    ) -> list[MailboxDocument]:
        """Return the entries with ``seq < below`` that are wanted, highest first, at most ``limit``.

        Args:
            below: Upper bound.
            limit: At most so many.
            wanted: Which of them; all by default.
            since_ms: Look no further than an entry that was accepted before this, in Unix milliseconds.
        """
        most = limit if wanted is None else _DOWN
        read, width = await self._newest(below - 1, most)
        completed = False
        while True:
            low = read.reached
            if not completed or self._has_hole(low, below - 1):
                await self._complete(low, below - 1)
                completed = True
            run = self._between(low, below - 1)[::-1]
            entries = [entry for entry in run if wanted is None or wanted(entry)]
            if len(entries) >= limit or low == 0 or (run and run[-1].at_ms < since_ms):
                return entries[:limit]
            width = _next_width(width, read.entries, limit - len(entries))
            read = await self._window_below(low, width, most)

    async def tail(self, after: int, below: int, most: int) -> list[MailboxDocument]:
        """Return the end of the mailbox before ``below``, lowest first, each entry naming the one before it.

        One query as a rule: it has no upper bound, so that no bucket can end above it.

        Args:
            after: It need not begin before this.
            below: Upper bound.
            most: So many entries are enough, with those above.
        """
        read = await self._window(max(0, after), SEQ_LIMIT, most, newest=True)
        run = self._between(read.reached, below - 1)
        for place in range(len(run) - 1, 0, -1):
            if run[place].prev != run[place - 1].seq:  # what was there has been swept
                return run[place:]
        return run or await self.down(below, 1)

    async def _newest(self, high: int, most: int) -> tuple[_Read, int]:
        """Read down until there is something; returns the last window and how wide it was."""
        width = _DOWN
        # Who names no bound asks for the newest there are.
        end = high if high + 1 < SEQ_LIMIT else self._places.end_below(high)
        read = await self._window(max(0, end - width), high, most, newest=True)
        while read.reached and not read.ends:
            width *= _FARTHER if width < SPAN else _WIDER
            read = await self._window_below(read.reached, width, most)
        return read, width

    async def _window_below(self, high: int, width: int, most: int) -> _Read:
        """Read a window that ends at ``high``, and not far beyond what is what is known of earlier logs."""
        low = max(0, high - width, self._places.end_below(high) - _DOWN)
        return await self._window(low, high, most, newest=True)

    async def _complete(self, low: int, high: int) -> None:
        """Find the entries up to ``high`` in buckets that end above it; those that end below were read."""
        if high + 1 >= SEQ_LIMIT:
            return
        edge = high + _EDGE
        if not (await self._window(high, edge)).ends or self._has_hole(low, high):
            await self._window(edge, high + SPAN)

    def _has_hole(self, low: int, high: int) -> bool:
        """Return whether an entry between the bounds, or the first above, follows one that was not found."""
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

    async def _window(self, low: int, high: int, most: int = 0, *, newest: bool = False) -> _Read:
        """Read the buckets with ``low < last <= high``, no more of them than hold ``most`` entries (0: all).

        Args:
            low: Lower bound.
            high: Upper bound.
            most: So many entries are enough.
            newest: The newest come first.
        """
        where = {"u": self._user, "s": {"$gt": low, "$lte": high}}
        order = [("s", DESCENDING if newest else ASCENDING)] if most else None
        # One more than enough: there may be several that end alike, of which all are read or none count.
        documents = await self._mailbox.many(where, sort=order, limit=most and most + 1)
        ends = [each["s"] for each in documents]
        if most and len(ends) > most and ends[0] == ends[-1]:
            return await self._window(low, high, newest=newest)
        found = [entry for each in documents for entry in entries_of(each)]
        for entry in found:
            self._found.setdefault(entry.seq, entry)
        self._places.seen(ends)
        reached = low if newest else high
        if most and len(ends) > most:
            reached = ends[-1] if newest else ends[-1] - 1
        return _Read(reached, len(found), ends)


class _Scout(Walk):
    """Looks for the end of a gap. What it sees is not adjacent to what is read, and would look like holes."""

    _tail: _Read | None = None

    async def near_first(self, low: int, width: int, upto: int, limit: int) -> tuple[int, int]:
        """Find the first entry above ``low``, where there may be none for long.

        Returns:
            A number below that entry, and near it unless the next window, if so wide, holds few anyway; and
            how wide the window after that is to be.
        """
        if self._tail is None:
            self._tail, _ = await self._newest(upto, _UP)
        tail, known = self._tail, self._between(low, upto)
        if not known:
            return upto, _UP
        span, first, nothing = max(1, max(tail.ends) - tail.reached), known[0].seq, low
        if width * tail.entries <= _FEW * span:
            return min(upto, low + width), width
        probe, reach = _PROBE * (span // len(tail.ends) + 1), max(_UP, limit * span // tail.entries)
        farther = reach
        while first - nothing > reach + probe:
            at = max((nothing + first) // 2, first - farther)
            if (await self._window(at - probe, at)).ends:
                first, farther = self._between(at - probe - SPAN, at)[0].seq, farther * _FARTHER
            else:
                nothing, farther = at, first
        return nothing, reach + probe


def _next_width(width: int, found: int, more: int) -> int:
    """Return the width of the next window, by what the last one brought and what is still wanted."""
    if not found:
        return width * _WIDER
    return min(width * _WIDER, _UP + int(_SPARE * width * more / found))
