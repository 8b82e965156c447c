"""The sender's half: what is sent, in which order, and when it may be forgotten.

Pure: no I/O, clock or randomness; times are arguments. For each peer there is a lane, and of
each lane one message at most is on its way, so that a retry can never overtake. A message
is repeated, byte for byte, until it is accepted, and kept until the delivered watermark
covers it, so that one that was lost with the server's log can be sent again.
"""

from roost.client import events
from roost.client.core.lane import (
    ANSWER_MS,
    CHECK_MS,
    JUMP,
    KEEP_MS,
    MAX_MISMATCHES,
    Lane,
    backoff_ms,
    pause_ms,
)
from roost.client.effects import Check, Effect, Seal, Tell, Write, known_state
from roost.client.state import OutboxItem, State
from roost.codes import CODES
from roost.ids import uuid7_ms
from roost.wire import Accepted, Rejected, Send

_ASK = "id_reused"


class Outbox:
    """All lanes of one client.

    Args:
        state: Where items and watermarks are kept.
        suite: Name of the suite that payloads are sealed with.
    """

    def __init__(self, state: State, suite: str) -> None:
        self._state = state
        self._suite = suite
        self._items = state.outbox
        self.lanes: dict[str, Lane] = {}
        self.open = False
        self._quiet_until_ms = 0
        # Not kept: a watermark whose telling went down with the app is told again when it comes again.
        self._told_delivered: dict[str, int] = {}
        self._told_read: dict[str, int] = {}
        for item in sorted(self._items.values(), key=lambda each: each.order):
            self._lane(item.to).restore(item)

    @property
    def busy(self) -> bool:
        """Whether a message waits or is on its way (a short tick is worth it)."""
        return any(lane.current or lane.waiting for lane in self.lanes.values())

    def submit(self, item: OutboxItem, now_ms: int) -> list[Effect]:
        """Take a new message."""
        self._items[item.id] = item
        lane = self._lane(item.to)
        lane.waiting.append(item)
        return self._pump(lane, now_ms)

    def opened(self, now_ms: int) -> list[Effect]:
        """The session is up: send what waits, and ask about what was accepted before."""
        self.open = True
        effects: list[Effect] = []
        for lane in self.lanes.values():
            if lane.accepted and not lane.checking:
                effects += self._check(lane, [lane.newest()], now_ms)
            effects += self._pump(lane, now_ms)
        return effects

    def closed(self) -> None:
        """The session is down: what was on its way waits again, in its old place."""
        self.open = False
        self._quiet_until_ms = 0
        for lane in self.lanes.values():
            lane.back_to_front()
            lane.checking.clear()

    def sealed(self, message_id: str, payloads: dict[str, bytes], now_ms: int) -> list[Effect]:
        """The shell has encrypted the message that it was asked to."""
        lane = self._current_lane(message_id)
        if lane is None or lane.current is None or lane.current.payloads is not None:
            return []
        lane.current.payloads = payloads
        return self._fly(lane, lane.current, now_ms)

    def unsealable(self, message_id: str, now_ms: int, code: str | None = None) -> list[Effect]:
        """The shell could not encrypt: for now (no ``code``), or not at all."""
        lane = self._current_lane(message_id)
        if lane is None or lane.current is None:
            return []
        if code is not None:
            return self._fail(lane, lane.current, code, CODES[code].title) + self._pump(lane, now_ms)
        self._retry(lane, now_ms, None)
        return []

    def hold(self, peer: str, now_ms: int, *, held: bool) -> list[Effect]:
        """Stop sending to a peer whose keys are in doubt, or go on."""
        if not held and peer not in self.lanes:
            return []
        lane = self._lane(peer)
        lane.held = held
        return [] if held else self._pump(lane, now_ms)

    def accepted(self, frame: Accepted, now_ms: int) -> list[Effect]:
        """The server has a message."""
        item = self._items.get(frame.id)
        if item is None or item.seq is not None:
            return []
        lane = self._lane(item.to)
        return self._accept(lane, item, frame.seq, frame.accepted_at_ms, now_ms) + self._pump(lane, now_ms)

    def rejected(self, frame: Rejected, now_ms: int) -> list[Effect]:
        """The server refused the message that is on its way."""
        lane = self._current_lane(frame.id)
        if lane is None or lane.current is None:
            return []
        item = lane.current
        code = CODES.get(frame.code)
        if frame.code == "device_mismatch" and lane.mismatches < MAX_MISMATCHES:
            lane.mismatches += 1
            lane.refresh, item.payloads = True, None
            self._retry(lane, now_ms, frame.retry_after_s or (0.0 if lane.mismatches == 1 else None))
            return self._pump(lane, now_ms)
        if frame.code == _ASK:
            lane.back_to_front()
            return self._check(lane, [item], now_ms)
        if frame.code == "unauthenticated" or (code is not None and code.retry == "later"):
            # The time told is the device's, whoever the message was for.
            self._quiet_until_ms = max(self._quiet_until_ms, now_ms + int((frame.retry_after_s or 0) * 1000))
            self._retry(lane, now_ms, frame.retry_after_s)
            return []
        return self._fail(lane, item, frame.code, frame.detail) + self._pump(lane, now_ms)

    def receipt(self, peer: str, delivered_seq: int, read_seq: int, now_ms: int) -> tuple[events.Event, ...]:
        """A peer's watermarks have moved; forget what they cover.

        Messages whose number is a whole base below the watermark are asked about instead:
        they may have gone down with the log that gave them their number.
        """
        told: list[events.Event] = []
        if delivered_seq > self._told_delivered.get(peer, 0):
            self._told_delivered[peer] = delivered_seq
            self._state.delivered[peer] = max(delivered_seq, self._state.delivered.get(peer, 0))
            told.append(events.Delivered(peer, delivered_seq, self._release(peer)))
        if read_seq > self._told_read.get(peer, 0):
            self._told_read[peer] = read_seq
            self._state.read[peer] = max(read_seq, self._state.read.get(peer, 0))
            told.append(events.Read(peer, read_seq))
        lane = self.lanes.get(peer)
        if lane is not None and lane.doubtful(self._state.delivered.get(peer, -1)):
            lane.check_at_ms = min(lane.check_at_ms, now_ms)
        return tuple(told)

    def go_on(self, peer: str, now_ms: int) -> list[Effect]:
        """Send what a watermark may have let go."""
        lane = self.lanes.get(peer)
        return [] if lane is None else self._pump(lane, now_ms)

    def checked(self, message_id: str, answer: dict[str, object] | None, now_ms: int) -> list[Effect]:
        """The server's view of a message has come; ``None``: it knows no such message."""
        item = self._items.get(message_id)
        if item is None:
            return []
        lane = self._lane(item.to)
        if message_id not in lane.checking:
            return []
        lane.checking.discard(message_id)
        state = known_state(answer)
        effects: list[Effect] = []
        if state is None:
            effects += self._refill(lane, item, now_ms)
        else:
            effects += self._confirm(lane, item, answer or {}, state, now_ms)
        return effects + self._pump(lane, now_ms)

    def unchecked(self, message_id: str, now_ms: int) -> None:
        """A check got no answer; it is repeated later."""
        item = self._items.get(message_id)
        if item is not None:
            lane = self._lane(item.to)
            lane.checking.discard(message_id)
            lane.recheck = True
            lane.not_before_ms = lane.check_at_ms = now_ms + pause_ms(lane.failures)

    def tick(self, now_ms: int) -> list[Effect]:
        """Do what has become due: pauses that are over, answers that stay away, old messages."""
        effects: list[Effect] = []
        for lane in list(self.lanes.values()):
            effects += self._expire(lane, now_ms)
            if not self.open:
                continue
            item = lane.current
            if item is not None and item.payloads is not None and now_ms - lane.flown_at_ms >= ANSWER_MS:
                effects += self._fly(lane, item, now_ms)
            if lane.accepted and not lane.checking and now_ms >= lane.check_at_ms:
                effects += self._due_checks(lane, now_ms)
            effects += self._pump(lane, now_ms)
        return effects

    def _lane(self, peer: str) -> Lane:
        lane = self.lanes.get(peer)
        if lane is None:
            lane = self.lanes[peer] = Lane(peer)
        return lane

    def _current_lane(self, message_id: str) -> Lane | None:
        item = self._items.get(message_id)
        lane = self.lanes.get(item.to) if item is not None else None
        return lane if lane is not None and lane.current is item else None

    def _pump(self, lane: Lane, now_ms: int) -> list[Effect]:
        if not self.open or now_ms < self._quiet_until_ms or not lane.may_send(now_ms):
            return []
        item = lane.current = lane.waiting.popleft()
        if item.payloads is None:
            refresh, lane.refresh = lane.refresh, False
            return [Seal(item, refresh)]
        return self._fly(lane, item, now_ms)

    def _fly(self, lane: Lane, item: OutboxItem, now_ms: int) -> list[Effect]:
        lane.flown_at_ms = now_ms
        payloads = item.payloads or {}
        return [
            Write(
                Send(item.id, item.to, item.sent_at_ms, self._suite, payloads, item.urgent, item.expires_in_s)
            )
        ]

    def _retry(self, lane: Lane, now_ms: int, after_s: float | None) -> None:
        lane.failures += 1
        seed = "" if lane.current is None else lane.current.id
        lane.not_before_ms = now_ms if after_s == 0 else now_ms + backoff_ms(lane.failures, after_s, seed)
        lane.back_to_front()

    def _fail(self, lane: Lane, item: OutboxItem, code: str, detail: str) -> list[Effect]:
        lane.forget(item)
        self._items.pop(item.id, None)
        return [Tell(events.Failed(item.id, item.to, code, detail))]

    def _accept(self, lane: Lane, item: OutboxItem, seq: int, at_ms: int, now_ms: int) -> list[Effect]:
        lane.forget(item)
        item.seq, item.accepted_at_ms, item.safe = seq, at_ms, False
        lane.accept(item, now_ms)
        effects: list[Effect] = [Tell(events.Accepted(item.id, item.to, seq))]
        effects += self._check_before(lane, seq, now_ms)
        return effects + self._told_release(lane)

    def _check_before(self, lane: Lane, seq: int, now_ms: int) -> list[Effect]:
        """Ask about what is a whole base below a number: its log may be gone, with all that was in it."""
        below = [each for each in lane.accepted if not each.safe and seq - (each.seq or 0) >= JUMP]
        return self._check(lane, below, now_ms)

    def _told_release(self, lane: Lane) -> list[Effect]:
        ids = self._release(lane.peer)
        if not ids:
            return []
        return [Tell(events.Delivered(lane.peer, self._state.delivered[lane.peer], ids))]

    def _release(self, peer: str) -> tuple[str, ...]:
        lane = self.lanes.get(peer)
        if lane is None:
            return ()
        covered = lane.covered(self._state.delivered.get(peer, -1))
        for item in covered:
            lane.accepted.remove(item)
            # It may be asked about just now: the answer is of no interest any more, nor waited for.
            lane.checking.discard(item.id)
            del self._items[item.id]
        return tuple(item.id for item in covered)

    def _check(self, lane: Lane, items: list[OutboxItem], now_ms: int) -> list[Effect]:
        lane.check_at_ms = now_ms + CHECK_MS
        asked = [item for item in items if item.id not in lane.checking]
        lane.checking.update(item.id for item in asked)
        return [Check(item.id, item.to) for item in asked]

    def _due_checks(self, lane: Lane, now_ms: int) -> list[Effect]:
        doubtful = lane.doubtful(self._state.delivered.get(lane.peer, -1))
        everything, lane.recheck = lane.recheck, False
        return self._check(lane, list(lane.accepted) if everything else doubtful or [lane.newest()], now_ms)

    def _refill(self, lane: Lane, item: OutboxItem, now_ms: int) -> list[Effect]:
        if item.seq is None:
            return self._fail(lane, item, _ASK, CODES[_ASK].title)
        was_seq = item.seq
        lane.accepted.remove(item)
        item.seq, item.safe = None, False
        lane.wait_again(item)
        # A log loses its end: what came before may be there or not, and is asked about one by one.
        suspects = [each for each in lane.accepted if not each.safe and (each.seq or 0) <= was_seq]
        return self._check(lane, suspects, now_ms)

    def _confirm(
        self, lane: Lane, item: OutboxItem, answer: dict[str, object], state: str, now_ms: int
    ) -> list[Effect]:
        seq = answer.get("seq")
        effects: list[Effect] = []
        if item.seq is None:
            effects += self._accept(lane, item, seq if isinstance(seq, int) else 0, now_ms, now_ms)
        elif isinstance(seq, int) and seq != item.seq:
            lane.renumber(item, seq)
            effects += self._check_before(lane, seq, now_ms)
        item.safe = state != "accepted"
        if state in {"delivered", "read"} and item.id in self._items:
            lane.forget(item)
            del self._items[item.id]
            # Its receipt went missing: so may those of the messages before it.
            lane.check_at_ms = now_ms
            delivered = events.Delivered(lane.peer, item.seq or 0, (item.id,))
            return [*effects, Tell(delivered)]
        return effects + self._told_release(lane)

    def _expire(self, lane: Lane, now_ms: int) -> list[Effect]:
        effects: list[Effect] = []
        while lane.waiting and now_ms - uuid7_ms(lane.waiting[0].id) > KEEP_MS:
            effects += self._fail(
                lane,
                lane.waiting[0],
                "id_expired",
                "It could not be sent for six days; send it anew.",
            )
        while lane.accepted and now_ms - uuid7_ms(lane.accepted[0].id) > KEEP_MS:
            effects += self._fail(
                lane,
                lane.accepted[0],
                "id_expired",
                "The message was accepted six days ago and is not delivered; the server still keeps it, "
                "but this device can no longer send it again.",
            )
        return effects
