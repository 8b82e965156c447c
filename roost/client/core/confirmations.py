"""The messages that were accepted, until they are known to be delivered.

The peer's delivered watermark covers most of them. What it covers only by number, and what it stays away
from, the server is asked about: a message may have gone down with the server's log and must be sent again.
"""

from roost.client import events
from roost.client.core.lane import CHECK_MS, Lane, Lanes, pause_ms
from roost.client.effects import Check, Effect, Reissue, Tell, known_state
from roost.client.state import OutboxItem, State
from roost.client.thread import JUMP
from roost.codes import CODES

ID_REUSED = "id_reused"


class Confirmations:
    """The second half of the outbox: from ``accepted`` to ``delivered``.

    Args:
        state: Where watermarks are kept.
        lanes: The lanes and the items in them.
    """

    def __init__(self, state: State, lanes: Lanes) -> None:
        self._state = state
        self._lanes = lanes
        # Not kept: a watermark that the app crashed on before it took it is told again when it comes again.
        self._told_delivered: dict[str, int] = {}
        self._told_read: dict[str, int] = {}

    def accept(self, lane: Lane, item: OutboxItem, seq: int, at_ms: int, now_ms: int) -> list[Effect]:
        """The server has this message as number ``seq``."""
        lane.forget(item)
        item.seq, item.accepted_at_ms, item.safe = seq, at_ms, False
        lane.accept(item, now_ms)
        effects: list[Effect] = [Tell(events.Accepted(item.id, item.to, seq, at_ms))]
        effects += self._check_before(lane, seq, now_ms)
        return effects + self._told_release(lane)

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
        lane = self._lanes.by_peer.get(peer)
        if lane is not None and lane.doubtful(self._state.delivered.get(peer, -1)):
            lane.check_at_ms = min(lane.check_at_ms, now_ms)
        return tuple(told)

    def check(self, lane: Lane, items: list[OutboxItem], now_ms: int) -> list[Effect]:
        """Ask the server about these messages, unless it is being asked already."""
        lane.check_at_ms = now_ms + CHECK_MS
        asked = [item for item in items if item.id not in lane.checking]
        lane.checking.update(item.id for item in asked)
        return [Check(item.id, item.to) for item in asked]

    def due_checks(self, lane: Lane, now_ms: int) -> list[Effect]:
        """Ask about what is in doubt, else about the newest message that is not delivered yet."""
        if not lane.accepted or lane.checking or now_ms < lane.check_at_ms:
            return []
        doubtful = lane.doubtful(self._state.delivered.get(lane.peer, -1))
        everything, lane.recheck = lane.recheck, False
        return self.check(lane, list(lane.accepted) if everything else doubtful or [lane.newest()], now_ms)

    def checked(
        self, lane: Lane, item: OutboxItem, answer: dict[str, object] | None, now_ms: int
    ) -> list[Effect]:
        """The server's view of a message has come; ``None``: it knows no such message."""
        if item.id not in lane.checking:
            return []
        lane.checking.discard(item.id)
        state = known_state(answer)
        if state is None:
            return self._refill(lane, item, now_ms)
        return self._confirm(lane, item, answer or {}, state, now_ms)

    def unchecked(self, lane: Lane, item: OutboxItem, now_ms: int) -> None:
        """A check got no answer: every accepted message is in question, and is asked about later."""
        lane.checking.discard(item.id)
        lane.recheck, lane.expired = True, ""
        lane.not_before_ms = lane.check_at_ms = now_ms + pause_ms(lane.failures)

    def _check_before(self, lane: Lane, seq: int, now_ms: int) -> list[Effect]:
        """Ask about what is a whole base below a number: its log may be gone, with all that was in it."""
        below = [each for each in lane.accepted if not each.safe and seq - (each.seq or 0) >= JUMP]
        return self.check(lane, below, now_ms)

    def _told_release(self, lane: Lane) -> list[Effect]:
        ids = self._release(lane.peer)
        if not ids:
            return []
        return [Tell(events.Delivered(lane.peer, self._state.delivered[lane.peer], ids))]

    def _release(self, peer: str) -> tuple[str, ...]:
        lane = self._lanes.by_peer.get(peer)
        if lane is None:
            return ()
        covered = lane.covered(self._state.delivered.get(peer, -1))
        for item in covered:
            lane.accepted.remove(item)
            # A check of it may be in progress: its answer no longer matters, and nothing waits for it.
            lane.checking.discard(item.id)
            del self._state.outbox[item.id]
        return tuple(item.id for item in covered)

    def _refill(self, lane: Lane, item: OutboxItem, now_ms: int) -> list[Effect]:
        if item.seq is None:
            if lane.expired == item.id:
                return [Reissue(item)]
            return self._lanes.fail(lane, item, ID_REUSED, CODES[ID_REUSED].title)
        was_seq = item.seq
        lane.accepted.remove(item)
        item.seq, item.safe = None, False
        lane.wait_again(item)
        # A log loses its end: what came before may be there or not, and is asked about one by one.
        suspects = [each for each in lane.accepted if not each.safe and (each.seq or 0) <= was_seq]
        return self.check(lane, suspects, now_ms)

    def _confirm(
        self, lane: Lane, item: OutboxItem, answer: dict[str, object], state: str, now_ms: int
    ) -> list[Effect]:
        seq = answer.get("seq")
        effects: list[Effect] = []
        if item.seq is None:
            effects += self.accept(lane, item, seq if isinstance(seq, int) else 0, now_ms, now_ms)
        elif isinstance(seq, int) and seq != item.seq:
            lane.renumber(item, seq)
            effects += self._check_before(lane, seq, now_ms)
        item.safe = state != "accepted"
        if state in {"delivered", "read"} and item.id in self._state.outbox:
            self._lanes.drop(lane, item)
            # Its receipt went missing: so may those of the messages before it.
            lane.check_at_ms = now_ms
            delivered = events.Delivered(lane.peer, item.seq or 0, (item.id,))
            return [*effects, Tell(delivered)]
        return effects + self._told_release(lane)
