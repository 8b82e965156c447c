"""The outbox: what is sent, in which order, and when it may be forgotten.

Pure: no I/O, clock or randomness; times are arguments. Each peer has a lane, and at most one message of
each lane is in flight, so that a retry can never overtake. A message is repeated, byte for byte, until it
is accepted, and kept until the delivered watermark covers it (``confirmations``), so that one that was
lost with the server's log can be sent again.
"""

from roost.client import events
from roost.client.core.confirmations import ID_REUSED, Confirmations
from roost.client.core.lane import (
    ANSWER_MS,
    KEEP_MS,
    LONGEST_ADVICE_S,
    MAX_MISMATCHES,
    MAX_REISSUES,
    Lane,
    Lanes,
    backoff_ms,
)
from roost.client.effects import Effect, Seal, Tell, Write
from roost.client.state import OutboxItem, State
from roost.codes import CODES
from roost.ids import uuid7_ms
from roost.wire import Accepted, Rejected, Send, send_size

MAILBOX_FULL = "mailbox_full"

SMALL = 16 * 1024
"""Bytes of a message up to which a connection was not closed for its size."""


class Outbox:
    """All messages of one client that are not known to be delivered.

    Args:
        state: Where items and watermarks are kept.
        suite: Name of the suite that payloads are sealed with.
    """

    def __init__(self, state: State, suite: str) -> None:
        self._suite = suite
        self._items = state.outbox
        self._lanes = Lanes(state.outbox)
        self._confirmations = Confirmations(state, self._lanes)
        self._open = False
        self._quiet_until_ms = 0

    @property
    def lanes(self) -> dict[str, Lane]:
        """The lanes by peer, to look at."""
        return self._lanes.by_peer

    @property
    def busy(self) -> bool:
        """Whether a message waits or is in flight (a short tick is worth it)."""
        return any(lane.current or lane.waiting for lane in self.lanes.values())

    def submit(self, item: OutboxItem, now_ms: int) -> list[Effect]:
        """Take a new message."""
        self._items[item.id] = item
        lane = self._lanes.of(item.to)
        lane.waiting.append(item)
        return self._pump(lane, now_ms)

    def replace(self, message_id: str, content: bytes) -> bool:
        """Have a message say something else; returns whether it could be: nothing of it was sealed yet."""
        item = self._items.get(message_id)
        if item is None or item.seq is not None or item.payloads is not None:
            return False
        if self._lanes.of(item.to).current is item:
            return False
        item.content = content
        return True

    def opened(self, now_ms: int) -> list[Effect]:
        """The session is up: send what waits, and ask about what was accepted before."""
        self._open = True
        effects: list[Effect] = []
        for lane in self.lanes.values():
            if lane.accepted and not lane.checking:
                effects += self._confirmations.check(lane, [lane.newest()], now_ms)
            effects += self._pump(lane, now_ms)
        return effects

    def closed(self) -> None:
        """The session is down: what was in flight waits again, in its old place."""
        self._open = False
        self._quiet_until_ms = 0
        for lane in self.lanes.values():
            lane.back_to_front()
            lane.checking.clear()
            lane.expired = ""

    def sealed(
        self,
        message_id: str,
        payloads: dict[str, bytes],
        now_ms: int,
        own: dict[str, bytes] | None = None,
    ) -> list[Effect]:
        """The shell has encrypted the message that it was asked to, and copies for this user's devices."""
        lane = self._lanes.with_current(message_id)
        if lane is None or lane.current is None or lane.current.payloads is not None:
            return []
        lane.current.payloads, lane.current.own = payloads, own
        return self._fly(lane, lane.current, now_ms)

    def unsealable(self, message_id: str, now_ms: int, code: str | None = None) -> list[Effect]:
        """The shell could not encrypt: for now (no ``code``), or not at all."""
        lane = self._lanes.with_current(message_id)
        if lane is None or lane.current is None:
            return []
        if code is not None:
            return self._lanes.fail(lane, lane.current, code, CODES[code].title) + self._pump(lane, now_ms)
        self._retry(lane, now_ms, None)
        return []

    def reissued(self, item: OutboxItem, message_id: str, now_ms: int) -> list[Effect]:
        """The shell has made a new id for a message that was refused for the time in its old one."""
        lane = self._lanes.of(item.to)
        if self._items.pop(item.id, None) is None:
            return []
        changed = events.IdChanged(item.id, message_id, item.to)
        item.id, item.sent_at_ms, item.payloads, item.own = message_id, now_ms, None, None
        self._items[message_id] = item
        lane.reissues, lane.expired = lane.reissues + 1, ""
        lane.follow(changed.id, message_id)
        return [Tell(changed), *self._pump(lane, now_ms)]

    def refuse_largest(self, now_ms: int) -> list[Effect]:
        """A connection was closed for a frame's size: the largest message in flight is not repeated."""
        in_flight = [lane for lane in self.lanes.values() if lane.current and lane.current.payloads]
        if not in_flight:
            return []
        lane = max(in_flight, key=_flying_bytes)
        if lane.current is None or _flying_bytes(lane) <= SMALL:
            return []
        detail = "It is larger, sealed for all of the recipient's devices, than what is taken at once."
        return self._lanes.fail(lane, lane.current, "too_large", detail) + self._pump(lane, now_ms)

    def hold(self, peer: str, now_ms: int, *, held: bool) -> list[Effect]:
        """Stop sending to a peer whose keys are in doubt, or go on."""
        if not held and peer not in self.lanes:
            return []
        lane = self._lanes.of(peer)
        lane.held = held
        return [] if held else self._pump(lane, now_ms)

    def accepted(self, frame: Accepted, now_ms: int) -> list[Effect]:
        """The server has a message."""
        item = self._items.get(frame.id)
        if item is None or item.seq is not None:
            return []
        lane = self._lanes.of(item.to)
        effects = self._confirmations.accept(lane, item, frame.seq, frame.accepted_at_ms, now_ms)
        return effects + self._pump(lane, now_ms)

    def rejected(self, frame: Rejected, now_ms: int) -> list[Effect]:
        """The server refused the message that is in flight."""
        lane = self._lanes.with_current(frame.id)
        if lane is None or lane.current is None:
            return []
        item = lane.current
        code = CODES.get(frame.code)
        if frame.code == "device_mismatch" and lane.mismatches < MAX_MISMATCHES:
            return self._mismatched(lane, item, frame, now_ms)
        if frame.code == ID_REUSED:
            lane.back_to_front()
            return self._confirmations.check(lane, [item], now_ms)
        if frame.code == "id_expired" and lane.reissues < MAX_REISSUES:
            # Perhaps it was accepted while a clock was another one, and only the reply was lost.
            lane.back_to_front()
            lane.expired = item.id
            return self._confirmations.check(lane, [item], now_ms)
        if frame.code == "unauthenticated" or (code is not None and code.retry == "later"):
            # The server's pause is for the device, whoever the message was for, unless one mailbox is full.
            advice_s = 0.0 if frame.code == MAILBOX_FULL else frame.retry_after_s or 0.0
            told_s = min(advice_s, LONGEST_ADVICE_S)
            self._quiet_until_ms = max(self._quiet_until_ms, now_ms + int(told_s * 1000))
            self._retry(lane, now_ms, frame.retry_after_s)
            return []
        return self._lanes.fail(lane, item, frame.code, frame.detail) + self._pump(lane, now_ms)

    def _mismatched(self, lane: Lane, item: OutboxItem, frame: Rejected, now_ms: int) -> list[Effect]:
        """The devices are others than those that the message is sealed for: seal it again."""
        of_peer, of_own = bool(frame.missing or frame.extra), bool(frame.own_missing or frame.own_extra)
        if item.payloads == {} and not of_peer and not of_own:
            # To oneself, and there is no other device: it is delivered where it is.
            self._lanes.drop(lane, item)
            return [Tell(events.Delivered(item.to, 0, (item.id,))), *self._pump(lane, now_ms)]
        lane.mismatches += 1
        lane.refresh, lane.refresh_own = of_peer or not of_own, of_own
        item.payloads = item.own = None
        self._retry(lane, now_ms, frame.retry_after_s or (0.0 if lane.mismatches == 1 else None))
        return self._pump(lane, now_ms)

    def receipt(self, peer: str, delivered_seq: int, read_seq: int, now_ms: int) -> tuple[events.Event, ...]:
        """A peer's watermarks have moved; forget what they cover."""
        return self._confirmations.receipt(peer, delivered_seq, read_seq, now_ms)

    def go_on(self, peer: str, now_ms: int) -> list[Effect]:
        """Send what a watermark may have unblocked."""
        lane = self.lanes.get(peer)
        return [] if lane is None else self._pump(lane, now_ms)

    def checked(self, message_id: str, answer: dict[str, object] | None, now_ms: int) -> list[Effect]:
        """The server's view of a message has come; ``None``: it knows no such message."""
        item = self._items.get(message_id)
        if item is None or message_id not in self._lanes.of(item.to).checking:
            return []
        lane = self._lanes.of(item.to)
        return self._confirmations.checked(lane, item, answer, now_ms) + self._pump(lane, now_ms)

    def unchecked(self, message_id: str, now_ms: int) -> None:
        """A check got no answer; it is repeated later."""
        item = self._items.get(message_id)
        if item is not None:
            self._confirmations.unchecked(self._lanes.of(item.to), item, now_ms)

    def tick(self, now_ms: int) -> list[Effect]:
        """Do what has become due: pauses that are over, answers that stay away, old messages."""
        effects: list[Effect] = []
        for lane in list(self.lanes.values()):
            effects += self._expire(lane, now_ms)
            if not self._open:
                continue
            item = lane.current
            if item is not None and item.payloads is not None and now_ms - lane.flown_at_ms >= ANSWER_MS:
                effects += self._fly(lane, item, now_ms)
            effects += self._confirmations.due_checks(lane, now_ms)
            effects += self._pump(lane, now_ms)
        return effects

    def _pump(self, lane: Lane, now_ms: int) -> list[Effect]:
        if not self._open or now_ms < self._quiet_until_ms or not lane.may_send(now_ms):
            return []
        item = lane.current = lane.waiting.popleft()
        if item.payloads is None:
            # One after the other: what is still wrong then is told by the next refusal.
            refresh, own = lane.refresh, lane.refresh_own and not lane.refresh
            lane.refresh = lane.refresh_own = False
            return [Seal(item, refresh, own)]
        return self._fly(lane, item, now_ms)

    def _fly(self, lane: Lane, item: OutboxItem, now_ms: int) -> list[Effect]:
        lane.flown_at_ms = now_ms
        payloads = item.payloads or {}
        return [
            Write(
                Send(
                    item.id,
                    item.to,
                    item.sent_at_ms,
                    self._suite,
                    payloads,
                    item.urgent,
                    item.expires_in_s,
                    item.own,
                    item.silent,
                )
            )
        ]

    def _retry(self, lane: Lane, now_ms: int, after_s: float | None) -> None:
        lane.failures += 1
        seed = "" if lane.current is None else lane.current.id
        lane.not_before_ms = now_ms if after_s == 0 else now_ms + backoff_ms(lane.failures, after_s, seed)
        lane.back_to_front()

    def _expire(self, lane: Lane, now_ms: int) -> list[Effect]:
        effects: list[Effect] = []
        for item in [each for each in (*lane.waiting, *lane.accepted) if each.has_expired(now_ms)]:
            self._lanes.expire(lane, item)
            effects.append(Tell(events.Expired(item.id, item.to)))
        while lane.waiting and now_ms - uuid7_ms(lane.waiting[0].id) > KEEP_MS:
            detail = "It could not be sent for six days; send it again as a new message."
            effects += self._lanes.fail(lane, lane.waiting[0], "id_expired", detail)
        while lane.accepted and now_ms - uuid7_ms(lane.accepted[0].id) > KEEP_MS:
            detail = (
                "The message was accepted six days ago and is not delivered; the server still keeps it, "
                "but this device can no longer send it again."
            )
            effects += self._lanes.fail(lane, lane.accepted[0], "id_expired", detail)
        return effects


def _flying_bytes(lane: Lane) -> int:
    return send_size(lane.current.payloads or {}, lane.current.own) if lane.current is not None else 0
