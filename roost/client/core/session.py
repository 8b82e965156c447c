"""The client's session with the server: frames in, effects out.

It holds the cursor and the chain of entries, what was seen and what was acknowledged, and read marks;
the outbox is a module of its own.
"""

from itertools import takewhile

from roost.client import events
from roost.client.core.outbox import Outbox
from roost.client.effects import (
    Batch,
    Effect,
    Incoming,
    Opaque,
    Refill,
    Renew,
    Requery,
    Resync,
    Take,
    Tell,
    Write,
)
from roost.client.state import OutboxItem, State
from roost.codes import CODES
from roost.ids import MESSAGE_ID_WINDOW_MS, uuid7_ms
from roost.wire import (
    Accepted,
    Ack,
    Drained,
    Entry,
    KeysEntry,
    MessageEntry,
    Missed,
    Presence,
    Problem,
    Read,
    Ready,
    ReceiptEntry,
    Rejected,
    SentEntry,
    Subscribe,
    TokenExpiring,
    Typing,
)

_FALLBACK = "signed_curve25519"
_PRUNE_EVERY = 1024
_READ_SETTLES_MS = 60_000
_READ_AGAIN_MS = 1_000


class Session:
    """One device's session, over any number of connections.

    Args:
        state: What was kept; changed in place. The shell saves it before it writes a frame.
        suite: Name of the suite that payloads are sealed with.
    """

    def __init__(self, state: State, suite: str = "sealed.v1") -> None:
        self.state = state
        self.outbox = Outbox(state, suite)
        self.open = False
        self.cursor = state.cursor
        self._acked = 0
        self._deaf = False
        self._gap_at: int | None = None
        self._lenient = False
        self._reads_live: dict[str, tuple[int, int]] = {}
        self._reads_again_ms: int | None = None
        self._subscribed: list[str] = []
        self._seen_since_prune = 0
        self._told: dict[str, int] = {}
        self._took = state.cursor or 0
        self._held: dict[int, int] = {}
        self._lost_cursor = False

    def submit(self, item: OutboxItem, now_ms: int) -> list[Effect]:
        """Take a message of the app into the outbox."""
        self.state.order += 1
        item.order = self.state.order
        return self.outbox.submit(item, now_ms)

    def received(self, frame: Incoming, now_ms: int) -> list[Effect]:  # noqa: C901, PLR0911, PLR0912 - a line a frame
        """Handle a frame of the server; frames after a gap are ignored until the reconnect."""
        if self._deaf:
            return []
        match frame:
            case Batch(entries=entries):
                return self._entries(entries, now_ms)
            case Accepted():
                return self.outbox.accepted(frame, now_ms)
            case Rejected():
                return self.outbox.rejected(frame, now_ms)
            case Ready():
                return self._ready(frame, now_ms)
            case Drained(cursor=cursor, prev=prev):
                return self._drained(cursor, prev)
            case Typing(peer=peer, state=state):
                return [Tell(events.Typing(peer, state))]
            case Presence(user=user, state=state, last_seen_ms=last_seen_ms):
                return [Tell(events.Presence(user, state, last_seen_ms))]
            case Missed():
                self._lenient = True
                return []
            case TokenExpiring():
                return [Renew()]
            case Problem(frame="read", code=code) if code in CODES and CODES[code].retry == "later":
                # It does not say which: all that were written of late are written again.
                pause_ms = max(_READ_AGAIN_MS, int((frame.retry_after_s or 0) * 1000))
                self._reads_again_ms = self._reads_again_ms or now_ms + pause_ms
                return []
            case Problem(frame=refused, code=code, detail=detail):
                return [Tell(events.Refused(refused, code, detail))]
            case _:
                return []

    def closed(self, now_ms: int) -> None:
        """The connection is gone."""
        self.open = self._deaf = self._lenient = False
        self.outbox.closed()
        # A read mark has no answer: those written of late are written again, older ones have arrived.
        for peer, (seq, at_ms) in self._reads_live.items():
            if now_ms - at_ms >= _READ_SETTLES_MS and self.state.reads.get(peer) == seq:
                del self.state.reads[peer]
        self._reads_live.clear()
        self._reads_again_ms = None

    def read(self, peer: str, seq: int, now_ms: int) -> list[Effect]:
        """The user has read everything from ``peer`` up to ``seq``."""
        if seq <= self.state.reads.get(peer, -1):
            return []
        self.state.reads[peer] = seq
        return self._write_read(peer, seq, now_ms) if self.open else []

    def typing(self, frame: Typing) -> list[Effect]:
        """The user is typing; dropped when there is no connection, as it is of no use later."""
        return [Write(frame)] if self.open else []

    def subscribe(self, users: list[str]) -> list[Effect]:
        """Ask for the presence of these users, now and after every reconnect."""
        self._subscribed = users
        return [Write(Subscribe(users))] if self.open else []

    def is_repeat(self, entry: MessageEntry | SentEntry) -> bool:
        """Return whether the app already has this message, or this copy."""
        key = _key(entry)
        return key in self._told or key in self.state.seen

    def telling(self, entry: MessageEntry | SentEntry) -> None:
        """The message was opened and is being told to the app: a repeat of it will not be."""
        self._told[_key(entry)] = entry.seq

    def hold(self, entry: MessageEntry | SentEntry) -> None:
        """The message waits for its sender's keys; those of others pass it, and the cursor does not."""
        self._held[entry.seq] = entry.prev

    def holds(self, seq: int) -> bool:
        """Return whether the message with this number waits."""
        return seq in self._held

    def taken(self, seq: int, now_ms: int) -> None:
        """The app has safely taken everything up to ``seq`` that is not held, or one that was held.

        Only now are ids kept as seen: a message that was told to an app which then crashed is told again.
        """
        was_held = self._held.pop(seq, None) is not None
        if seq <= self._took and not was_held:
            return
        # A number from before the cursor was lost is no place in the mailbox as it is now.
        if seq <= (self.cursor or 0):
            self._took = max(self._took, seq)
            # What is held comes again after a restart, and what passed it is known as seen.
            upto = min(self._took, self._held[min(self._held)]) if self._held else self._took
            self.state.cursor = max(self.state.cursor or 0, upto)
        for key in self._told_upto(seq):
            self.state.seen[key] = self._told.pop(key)
            self._seen_since_prune += 1
        if self._seen_since_prune >= _PRUNE_EVERY:
            self._prune(now_ms)

    def _told_upto(self, seq: int) -> list[str]:
        if self._held:
            return [key for key, at in self._told.items() if at <= seq and at not in self._held]
        return [key for key, _ in takewhile(lambda each: each[1] <= seq, self._told.items())]

    def lose_cursor(self) -> None:
        """The server does not know this cursor: go on from the one it has stored for the device."""
        self.cursor = self.state.cursor = None
        self._took = 0
        self._held.clear()
        self._lost_cursor = True

    def ack_due(self) -> Ack | None:
        """Return the acknowledgement that is due, once; cumulative."""
        cursor = self.state.cursor or 0
        if not self.open or cursor <= self._acked:
            return None
        self._acked = cursor
        return Ack(cursor)

    def tick(self, now_ms: int) -> list[Effect]:
        """Let time pass for the outbox, and for read marks that were refused for the moment."""
        effects: list[Effect] = []
        if self.open and self._reads_again_ms is not None and now_ms >= self._reads_again_ms:
            self._reads_again_ms = None
            for peer, (seq, at_ms) in list(self._reads_live.items()):
                if now_ms - at_ms < _READ_SETTLES_MS:
                    effects += self._write_read(peer, seq, now_ms)
        return effects + self.outbox.tick(now_ms)

    def _ready(self, frame: Ready, now_ms: int) -> list[Effect]:
        self.open = True
        if self.cursor is None:
            self.cursor = self.state.cursor = self._took = frame.cursor
        # ``ready`` says where the stream begins, not what is acknowledged: the app may have yet to take some
        # of what is before, and what was acknowledged on an earlier connection may have been lost on the way.
        self._acked = 0
        effects: list[Effect] = [Tell(events.Connected(self.cursor))]
        if self._lost_cursor:
            self._lost_cursor = False
            effects.append(Tell(events.Missed(0, self.cursor)))
        for peer, seq in self.state.reads.items():
            effects += self._write_read(peer, seq, now_ms)
        if self._subscribed:
            effects.append(Write(Subscribe(self._subscribed)))
        unused = frame.unused_fallback_key_types
        if unused is not None and _FALLBACK not in unused:
            effects.append(Refill())
        return effects + self.outbox.opened(now_ms)

    def _write_read(self, peer: str, seq: int, now_ms: int) -> list[Effect]:
        self._reads_live[peer] = (seq, now_ms)
        return [Write(Read(peer, seq))]

    def _entries(self, entries: list[Entry | Opaque], now_ms: int) -> list[Effect]:
        effects: list[Effect] = []
        for entry in entries:
            cursor = self.cursor or 0
            if entry.seq <= cursor:
                continue
            if entry.prev > cursor:
                skipped = self._gap(cursor, entry.prev)
                effects += skipped
                if self._deaf:
                    return effects
            self._lenient, self._gap_at = False, None
            self.cursor = entry.seq
            effects += self._entry(entry, now_ms)
        return effects

    def _drained(self, upto: int, prev: int) -> list[Effect]:
        effects: list[Effect] = []
        cursor = self.cursor or 0
        if prev > cursor or (self._lenient and upto > cursor):  # nothing is left behind what is gone
            effects += self._gap(cursor, prev if prev > cursor else upto)
            if self._deaf:
                return effects
            self._lenient, self._gap_at = False, None
        self.cursor = max(cursor, upto)
        return [*effects, Take(self.cursor, events=(events.Synced(upto),))]

    def _gap(self, cursor: int, upto: int) -> list[Effect]:
        if self._lenient or self._gap_at == cursor:
            # The server said so, or a fresh start at this very cursor shows the same gap: it is real.
            return [Take(cursor, events=(events.Missed(cursor, upto),))]
        self._gap_at = cursor
        self._deaf = True
        return [Resync()]

    def _entry(self, entry: Entry | Opaque, now_ms: int) -> list[Effect]:
        match entry:
            case MessageEntry() | SentEntry():
                return [Take(entry.seq, entry=entry)]
            case ReceiptEntry(peer=peer, delivered_seq=delivered, read_seq=read):
                told = self.outbox.receipt(peer, delivered, read, now_ms)
                return [Take(entry.seq, events=told), *self.outbox.go_on(peer, now_ms)]
            case KeysEntry(user=user):
                return [Requery(user), Take(entry.seq)]
            case Opaque(kind=kind):
                return [Take(entry.seq, events=(events.Unsupported(entry.seq, kind),))]

    def _prune(self, now_ms: int) -> None:
        self._seen_since_prune = 0
        oldest = now_ms - MESSAGE_ID_WINDOW_MS
        seen = self.state.seen
        for key in [each for each in seen if uuid7_ms(each.rpartition("/")[2]) < oldest]:
            del seen[key]


def _key(entry: MessageEntry | SentEntry) -> str:
    sender = entry.from_ if isinstance(entry, MessageEntry) else ""  # a copy is from this user
    return f"{sender}/{entry.from_device}/{entry.id}"
