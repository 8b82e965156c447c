"""The actor of one user: what happens to it goes in as events, what is to be done comes out as effects.

Here lives: which records become entries, what is a repeat, what each stream gets and when, what
peers are told. Not here: no I/O, no clock, no randomness, no Ray. Given the same events the actor
gives the same effects, so a replay of the log writes the same documents.

Before `handle` the host asks `lacks`: what the event needs to know from the stores first. It looks
that up, says it with `learn`, and asks again.
"""

from collections.abc import Callable
from typing import Any

from actors.user import effects as do
from actors.user import events as ev
from actors.user.acks import Acks
from actors.user.events import Item
from actors.user.peers import Company
from actors.user.records import Records
from actors.user.state import WAKE_AGAIN_MS
from roost.wire import WINDOW
from storage.records import ReceiptRecord

__all__ = ["WAKE_AGAIN_MS", "UserActor"]


class UserActor(Records, Acks, Company):
    """One user, whole: events in, effects out."""

    def lacks(self, event: ev.Event) -> list[ev.Unknown]:
        """Return what the event needs from the stores before it can be handled; empty when nothing."""
        if isinstance(event, ev.RecordArrived):
            return self._record_lacks(event)
        if isinstance(event, ev.StreamAttached | ev.SyncAsked):
            trusted = isinstance(event, ev.StreamAttached) and event.resume
            return [] if trusted else self._cursor_lacks(event.device, event.cursor)
        if isinstance(event, ev.Acked):
            return self._ack_lacks(event)
        if isinstance(event, ev.ReadMarked):
            return self._gaps_lack()
        return []

    def learn(self, facts: ev.Facts) -> None:
        """Take the answers."""
        for device, cause, seq in facts.repeats:
            self._repeat_facts[device, cause] = seq
        self._cursor_facts.update(facts.cursors)
        for after, upto, items in facts.items:
            span = after, upto
            if not self._learn_floors(span, items) and not self._learn_gap(span, items):
                self._item_facts[after, upto] = items

    def unacknowledged(self) -> list[int]:
        """Return the entries in memory that some device has yet to acknowledge, lowest first.

        Receipts are not among them: they are kept in the rows of conversations.
        """
        upto = min((state.cursor for state in self.devices.values()), default=self.head.handled)
        return [item.seq for item in self.head.after(upto) if not isinstance(item.record, ReceiptRecord)]

    def unstored(self, stored: int) -> list[Item]:
        """Return the entries that are in memory only, if everything up to ``stored`` is in the stores.

        Receipts are not among them: they are rows of conversations.
        """
        return [item for item in self.head.after(stored) if not isinstance(item.record, ReceiptRecord)]

    def handle(self, event: ev.Event, now_ms: int, stored: int) -> list[do.Effect]:
        """Handle one event that `lacks` nothing.

        Args:
            event: What happened.
            now_ms: Unix time.
            stored: Every record of the shard up to this seq is in the stores.
        """
        self._now_ms, self._stored = now_ms, max(stored, self._stored)
        self._out, self._learned = self._learned, []
        _HANDLERS[type(event)](self, event)
        self.head.trim(self._stored, self._needed_after(), WINDOW)
        return self._out


_HANDLERS: dict[type, Callable[[UserActor, Any], None]] = {
    ev.RecordArrived: UserActor._record,  # noqa: SLF001 - the table is part of the class
    ev.StreamAttached: UserActor._attach,  # noqa: SLF001
    ev.StreamDetached: UserActor._detach,  # noqa: SLF001
    ev.Acked: UserActor._ack,  # noqa: SLF001
    ev.ReadMarked: UserActor._read,  # noqa: SLF001
    ev.TypingHeard: UserActor._typing,  # noqa: SLF001
    ev.PageRead: UserActor._page,  # noqa: SLF001
    ev.SyncAsked: UserActor._sync,  # noqa: SLF001
    ev.BlockAsked: UserActor._block,  # noqa: SLF001
    ev.Watched: UserActor._watch,  # noqa: SLF001
    ev.Unwatched: UserActor._unwatch,  # noqa: SLF001
    ev.PresenceAsked: UserActor._presence_asked,  # noqa: SLF001
    ev.MarksAsked: UserActor._marks,  # noqa: SLF001
    ev.TimePassed: UserActor._time,  # noqa: SLF001
    ev.Refreshed: UserActor._refreshed,  # noqa: SLF001
}
