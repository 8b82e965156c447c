"""The history of one device: what was said, kept in its database together with the profile."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from math import inf
from typing import TypeVar

from roost.client import thread
from roost.client.content import read
from roost.client.store import copies
from roost.client.store.database import Cursor, Database
from roost.client.store.pages import Conversation, Page, Pages, timers
from roost.client.store.records import Record, next_end_ms, sweep
from roost.client.store.words import Words
from roost.client.timers import Timers

Note = Callable[[Cursor], bool]
"""A change that is to be written; it returns whether content was removed."""

T = TypeVar("T")


class History:
    """Conversations as this device knows them.

    What it is told is written with the next change of the profile, in one transaction. What is asked is
    answered from what was written, and from what it was told before.

    Args:
        database: Where it is kept.

    Attributes:
        timers: The timers of the conversations; whoever tells the history something tells them, too.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._words = database.run(Words)
        self._me = ""
        self._record = Record("")
        self._pages = Pages("")
        self._notes: list[Note] = []
        self._scrub_due = False
        self._sweeping = False
        self._kept_end_ms = database.run(lambda cursor: next_end_ms(cursor, 0))
        self._told_end_ms = inf
        self.timers = Timers(database.run(timers))

    def belongs_to(self, me: str) -> None:
        """Learn whose history it is, before anything else."""
        self._me, self._record, self._pages = me, Record(me), Pages(me)

    # --- what it is told ----------------------------------------------------------------------------

    def tell(self, peer: str, event: thread.Event) -> None:
        """Take in what happened in a conversation."""
        self._notes.append(lambda cursor: self._record.event(cursor, peer, event))
        if isinstance(event, thread.Written) and event.expires_at_ms is not None:
            self._told_end_ms = min(self._told_end_ms, event.expires_at_ms)

    def read_up_to(self, peer: str, seq: int) -> None:
        """Take in that this user has read what ``peer`` wrote."""
        self._notes.append(lambda cursor: self._record.read_up_to(cursor, peer, seq))

    def pass_time(self, now_ms: int) -> bool:
        """Have the messages removed whose time is over; return whether there are some."""
        if self._sweeping or now_ms < min(self._kept_end_ms, self._told_end_ms):
            return False
        self._sweeping, self._told_end_ms = True, inf
        self._notes.append(lambda cursor: self._sweep(cursor, now_ms))
        return True

    # --- how it is written --------------------------------------------------------------------------

    def noted(self) -> list[Note]:
        """Return what is to be written; whoever asks writes it."""
        notes, self._notes = self._notes, []
        return notes

    def note_again(self, notes: list[Note]) -> None:
        """Take back what could not be written."""
        self._notes = notes + self._notes

    def write(self, cursor: Cursor, notes: list[Note]) -> None:
        """Write what was noted; in the database's thread, and ``scrub`` after the transaction."""
        for note in notes:
            self._scrub_due |= note(cursor)

    def scrub(self) -> None:
        """See to it that what was removed is nowhere in the file; in the database's thread.

        Raises:
            OSError: It could not be done; it will be the next time.
        """
        if self._scrub_due:
            self._database.run(self._words.forget_removed)
            self._database.scrub()
            self._scrub_due = False

    def keep(self) -> "asyncio.Future[None] | None":
        """Write what was noted, where there is no profile to go with it; None: there is nothing."""
        notes = self.noted()
        if not notes:
            return None

        def work() -> None:
            self._database.run(lambda cursor: self.write(cursor, notes))
            self.scrub()

        return asyncio.wrap_future(self._database.submit(work))

    # --- how another own device gets it -------------------------------------------------------------

    async def copied(self) -> AsyncIterator[copies.Line]:
        """Yield all of it as lines, messages first, as they came to be known."""
        place = copies.BEGINNING
        while True:
            after = place
            place, lines = await self._asked(lambda cursor: copies.said(cursor, self._me, after))  # noqa: B023
            if not lines:
                break
            for line in lines:
                yield line
        for line in await self._asked(copies.how_far):
            yield line

    def take_over(self) -> Callable[[copies.Line], bool]:
        """Begin to take in another own device's history, as what was said before all that there is.

        Returns:
            What takes in a line, and returns whether it is one of a history; it raises ValueError if the line
            has not its form.
        """
        earlier = copies.Earlier(self._record)

        def take(line: copies.Line) -> bool:
            match copies.event_of(line, self._me):
                case None:
                    return False
                case peer, int(seq):
                    self.read_up_to(peer, seq)
                case peer, event:
                    if isinstance(event, thread.Written):
                        self.timers.told(peer, read(event.content))
                    self._notes.append(partial(earlier.record, peer=peer, event=event))
            return True

        return take

    # --- what it is asked ---------------------------------------------------------------------------

    async def page(self, peer: str, before: int | None, limit: int, now_ms: int) -> Page:
        """Return the last messages of a conversation, or those before a place."""
        return await self._asked(lambda cursor: self._pages.page(cursor, peer, before, limit, now_ms))

    async def conversations(self, now_ms: int) -> list[Conversation]:
        """Return all conversations, the one with the newest message first."""
        return await self._asked(lambda cursor: self._pages.conversations(cursor, now_ms))

    async def search(self, text: str, peer: str | None, limit: int, now_ms: int) -> list[thread.Message]:
        """Return the messages with all of these words, the newest first."""

        def work(cursor: Cursor) -> list[thread.Message]:
            return self._pages.at(cursor, self._words.find(cursor, text, peer, limit), now_ms)

        return await self._asked(work)

    async def message(self, peer: str, id_: str, now_ms: int) -> thread.Message | None:
        """Return the first message of a conversation with this id, None if there is none."""
        return await self._asked(lambda cursor: self._pages.message(cursor, peer, id_, now_ms))

    async def _asked(self, work: Callable[[Cursor], T]) -> T:
        return await asyncio.wrap_future(self._database.submit(lambda: self._database.run(work)))

    def _sweep(self, cursor: Cursor, now_ms: int) -> bool:
        removed = sweep(cursor, now_ms)
        self._kept_end_ms = next_end_ms(cursor, now_ms)
        self._sweeping = False
        return removed
