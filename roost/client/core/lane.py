"""The lanes of the outbox: the messages to one peer, in the order of sending. Pure data and rules."""

from bisect import insort
from collections import deque
from dataclasses import dataclass, field
from zlib import crc32

from roost.client import events
from roost.client.content import encode, read
from roost.client.effects import Effect, Tell
from roost.client.state import OutboxItem
from roost.client.thread import JUMP
from roost.client.thread.remarks import Remark, about, turned_to

KEEP_MS = 6 * 24 * 3600 * 1000
"""Age after which a message is reported as failed: a day before the server forgets its id."""

ANSWER_MS = 15_000
"""After this long without an answer on an open session, the message is repeated."""

CHECK_MS = 60_000
"""How often the server is asked about the newest message that was accepted, but not delivered."""

LONGEST_ADVICE_S = 3600.0
"""A server that tells a longer pause is not obeyed."""

MAX_MISMATCHES = 8
"""Fresh key queries for one message, before the recipient's device list counts as broken."""

MAX_REISSUES = 3
"""New ids for one message, before the clocks count as hopeless."""

_FIRST_PAUSE_MS = 200
_LONGEST_PAUSE_MS = 30_000


def pause_ms(failures: int) -> int:
    """Return how long to wait after so many failures in a row."""
    return min(_LONGEST_PAUSE_MS, _FIRST_PAUSE_MS << min(failures, 10))


def backoff_ms(failures: int, told_s: float | None, seed: str) -> int:
    """Return how long to wait before a message is repeated.

    Args:
        failures: Refusals in a row, at least 1.
        told_s: The server's ``retry_after_s``: the minimum.
        seed: What spreads clients that were refused together: the message's id, most of which is random.
    """
    ceiling = pause_ms(failures)
    chance = crc32(f"{seed}{failures}".encode()) / 2**32
    if told_s is None:
        return int(ceiling * (0.5 + chance / 2))
    return int(min(told_s, LONGEST_ADVICE_S) * 1000 + ceiling * chance)


@dataclass(slots=True)
class Lane:
    """The messages to one peer.

    Attributes:
        peer: Username.
        waiting: Not accepted, in order.
        current: The one that is being sealed or in flight; not in ``waiting``.
        accepted: Accepted, not delivered, by ``seq``.
        checking: Ids that the server is being asked about; nothing is sent meanwhile.
        refresh: The next sealing needs fresh keys of the peer.
        refresh_own: It needs fresh ones of this user's other devices.
        held: The peer's keys are in doubt.
        recheck: A check got no answer, so that every accepted message is in question.
        failures: Retries of the present message.
        mismatches: How often its device list was wrong.
        reissues: How often it got a new id.
        expired: The id of the message that is refused for its time, until it has another one.
        not_before_ms: Pause until then.
        flown_at_ms: When the present message was last written.
        check_at_ms: When the server is asked next.
    """

    peer: str
    waiting: deque[OutboxItem] = field(default_factory=deque)
    current: OutboxItem | None = None
    accepted: list[OutboxItem] = field(default_factory=list)
    checking: set[str] = field(default_factory=set)
    refresh: bool = False
    refresh_own: bool = False
    held: bool = False
    recheck: bool = False
    failures: int = 0
    mismatches: int = 0
    reissues: int = 0
    expired: str = ""
    not_before_ms: int = 0
    flown_at_ms: int = 0
    check_at_ms: int = 0

    def restore(self, item: OutboxItem) -> None:
        """Take back an item of an earlier run; call in order."""
        if item.seq is None:
            self.waiting.append(item)
        else:
            insort(self.accepted, item, key=_seq)

    def may_send(self, now_ms: int) -> bool:
        """Return whether the next message may go."""
        blocked = self.held or self.checking or self.expired or self.current is not None
        return bool(self.waiting) and not blocked and now_ms >= self.not_before_ms

    def back_to_front(self) -> None:
        """What is in flight waits again, in its place."""
        if self.current is not None:
            item, self.current = self.current, None
            self.wait_again(item)

    def wait_again(self, item: OutboxItem) -> None:
        """Put an item back among the waiting ones, where it was."""
        if not self.waiting or item.order < self.waiting[0].order:
            self.waiting.appendleft(item)
        else:
            items = list(self.waiting)
            insort(items, item, key=lambda each: each.order)
            self.waiting = deque(items)

    def follow(self, message_id: str, new_id: str) -> None:
        """Have what waits, and is about a message with this id, be about its new one."""
        for item in self.waiting:
            content = read(item.content)
            if isinstance(content, Remark) and about(content) == message_id:
                item.content, item.payloads, item.own = encode(turned_to(content, new_id)), None, None

    def forget(self, item: OutboxItem) -> None:
        """Remove an item from wherever it is; the next one starts without its history."""
        if self.current is item:
            self.current = None
        elif item in self.waiting:
            self.waiting.remove(item)
        elif item in self.accepted:
            self.accepted.remove(item)
        self.checking.discard(item.id)
        self.failures = self.mismatches = self.reissues = self.not_before_ms = 0
        self.expired = ""

    def accept(self, item: OutboxItem, now_ms: int) -> None:
        """Note an item that has its ``seq``."""
        if not self.accepted:
            self.check_at_ms = now_ms + CHECK_MS
        insort(self.accepted, item, key=_seq)

    def renumber(self, item: OutboxItem, seq: int) -> None:
        """Note that an accepted item has another number: the one it was told went down with the log."""
        self.accepted.remove(item)
        item.seq = seq
        insort(self.accepted, item, key=_seq)

    def newest(self) -> OutboxItem:
        """Return the accepted item with the highest ``seq``; there must be one."""
        return self.accepted[-1]

    def covered(self, watermark: int) -> list[OutboxItem]:
        """Return what a delivered watermark surely covers."""
        return [
            item
            for item in self.accepted
            if _seq(item) <= watermark and (item.safe or watermark - _seq(item) < JUMP)
        ]

    def doubtful(self, watermark: int) -> list[OutboxItem]:
        """Return what a watermark covers only by number, out of a log that came later."""
        return [item for item in self.accepted if not item.safe and watermark - _seq(item) >= JUMP]


class Lanes:
    """The lanes of all peers.

    Args:
        items: Every item by id, as kept; removed here when it has failed or is delivered.
    """

    def __init__(self, items: dict[str, OutboxItem]) -> None:
        self.by_peer: dict[str, Lane] = {}
        self._items = items
        for item in sorted(items.values(), key=lambda each: each.order):
            self.of(item.to).restore(item)

    def of(self, peer: str) -> Lane:
        """Return the peer's lane, a new one if need be."""
        lane = self.by_peer.get(peer)
        if lane is None:
            lane = self.by_peer[peer] = Lane(peer)
        return lane

    def with_current(self, message_id: str) -> Lane | None:
        """Return the lane whose current message this is."""
        item = self._items.get(message_id)
        lane = self.by_peer.get(item.to) if item is not None else None
        return lane if lane is not None and lane.current is item else None

    def drop(self, lane: Lane, item: OutboxItem) -> None:
        """Forget an item for good."""
        lane.forget(item)
        self._items.pop(item.id, None)

    def expire(self, lane: Lane, item: OutboxItem) -> None:
        """Forget an item that is not in flight; what is goes on as it was."""
        (lane.waiting if item in lane.waiting else lane.accepted).remove(item)
        lane.checking.discard(item.id)
        if lane.expired == item.id:
            lane.expired = ""
        del self._items[item.id]

    def fail(self, lane: Lane, item: OutboxItem, code: str, detail: str) -> list[Effect]:
        """Forget an item that will not be sent, and tell the app."""
        self.drop(lane, item)
        return [Tell(events.Failed(item.id, item.to, code, detail))]


def _seq(item: OutboxItem) -> int:
    return item.seq or 0
