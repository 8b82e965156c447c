"""Admission control: bounds on what waits between a socket and a mailbox, and whom to refuse. Pure.

Here live the bounds, what is known of every queue (`api.sending.flow` measures one), and the order in which
devices are refused. Here must not live: asyncio, logging, a clock, randomness; times and luck come with the
calls.

*In order per device*: a device that was refused is refused until the time that it was told is over. So
nothing that it had sent behind the refused message is accepted before it::

    1 accepted, 2 refused (wait 1.2 s), 3 refused (1.2 s), 4 refused (0.9 s), 2 accepted, 3 accepted, ...
"""

from collections import Counter
from math import ceil
from typing import Final, Literal

from msgspec import Struct

from api.sending.backlog import HostBacklogs
from api.sending.flow import Flow
from roost.errors import RoostError

Reason = Literal["held", "accept", "queue", "deliver", "store", "size", "device", "log"]

REASONS: Final[tuple[Reason, ...]] = (
    "held", "accept", "queue", "deliver", "store", "size", "device", "log",
)  # fmt: skip
"""Why a send was refused: its device had been told to wait; the way into the log, the queue before it, the
way to the hosts, or to the store is too long; too many sends or bytes are here; its device waits for no
answer; the log did not take it."""

_CALM_S: Final = 2.0
_IMPATIENT: Final = 64
_IMPATIENT_SHARE: Final = 0.75
_FEW: Final = 64
_FEW_SHARE: Final = 4.0
"""So few are in nobody's way: a store or log that stands still for a second is waited for."""
_PRESSED: Final = 0.25
_PRESSED_SHARE: Final = 0.7
"""While more than a quarter as many are refused as leave, those who are let in need not wait so long: what
leaves varies by half from one second to the next, and the longest wait with it."""

_ASSUMED_PER_S: Final = 4_000.0
_FLOOR: Final = 400
_FLOOR_LATE: Final = 100
_LATE_S: Final = 0.1
_LEAST_S: Final = 1.0
_MOST_S: Final = 4.0
_SOON_S: Final = 0.05


class Bounds(Struct, frozen=True):
    """What an operator may set.

    Attributes:
        accept_s: Longest expected time of a new send to its number, in seconds.
        queue_s: Longest time that a send waits for its turn, in seconds; then it is refused after all.
            While only a few are here, it is four times as long.
        deliver_s: Longest expected time of a new record from the log to its actor, in seconds.
        store_s: Greatest age of a record at its host that is not stored, in seconds.
        sends: Sends of one gateway that may be without an answer.
        size: Their bytes.
        device: Sends of one device that may be without an answer.
        unstored: Records of one host that may be not stored.
        unstored_size: Their bytes.
    """

    accept_s: float = 0.4
    queue_s: float = 0.5
    deliver_s: float = 0.8
    store_s: float = 30.0
    sends: int = 8_000
    size: int = 32 * 1024 * 1024
    device: int = 512
    unstored: int = 100_000
    unstored_size: int = 64 * 1024 * 1024


class Rejection(Struct, frozen=True):
    """A refusal.

    Attributes:
        reason: Why.
        code: Word of the registry.
        wait_s: How long the device is to wait, in seconds.
    """

    reason: Reason
    code: str
    wait_s: float

    def error(self) -> RoostError:
        """Return what the client is told."""
        detail = "This device has too many unanswered messages; wait for their answers."
        if self.code != "rate_limited":
            detail = "The server is overloaded; send the message again after the time given."
        return RoostError(self.code, detail, retry_after_s=self.wait_s)


class Admission:
    """What is inside a gateway, what is known of the hosts' backlogs, and who may come in.

    Attributes:
        bounds: The bounds.
        inside: Sends without an answer.
        size: Their bytes.
        refused: How many sends were refused since the start, by reason.
        shedding_since_s: When refusing began, None while none is refused.
        shed: How many were refused since then.
        backlogs: What hosts have told of theirs.
    """

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.bounds = bounds or Bounds()
        self.inside = 0
        self.size = 0
        self.refused: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        self.shedding_since_s: float | None = None
        self.shed = 0
        self.backlogs = HostBacklogs()
        self._flow = Flow(_ASSUMED_PER_S, _FLOOR)
        self._left = 0
        self._late_s = (0.0, 0.0)
        self._refused_s = 0.0
        self._pressure = 0.0
        self._pressed = False
        self._seen = (0.0, 0, 0, 0)
        self._of_device: dict[str, int] = {}
        self._held: dict[str, tuple[float, str]] = {}

    # --- what goes in and out ---

    def entered(self, device: str, size: int, shard: int | None = None) -> None:
        """A send came in."""
        if shard is not None:
            self.backlogs.sent(shard)
        self.inside += 1
        self.size += size
        self._of_device[device] = self._of_device.get(device, 0) + 1

    def left(self, device: str, size: int) -> None:
        """A send that came in has its answer, whatever that is."""
        self.inside -= 1
        self.size -= size
        self._left += 1
        of_device = self._of_device[device] - 1
        if of_device:
            self._of_device[device] = of_device
        else:
            del self._of_device[device]

    def look(self, now_s: float, late_s: float) -> bool:
        """Measure; call every `LOOK_S` or so while anything is inside or is being refused.

        Args:
            now_s: The time.
            late_s: How much later than it was to be this call comes: what the process itself lags behind.

        Returns:
            Whether refusing has come to an end just now.
        """
        self._flow.look(now_s, self._left, self.inside)
        # One stall is none of the clients' business: what counts is the lag that lasts.
        self._late_s = (self._late_s[1], late_s)
        self._held = {device: hold for device, hold in self._held.items() if hold[0] > now_s}
        since_s, left, refused, held_before = self._seen
        if now_s - since_s >= 1.0:
            held, total = self.refused["held"], self.refused.total()
            gone, more = max(1, self._left - left), total - held - refused
            self._pressure = more / gone
            self._pressed = more + held - held_before > _PRESSED * gone
            self._seen = (now_s, self._left, total - held, held)
        if self.shedding_since_s is None or now_s - self._refused_s < _CALM_S:
            return False
        self.shedding_since_s = None
        return True

    # --- who may come in ---

    def refusal(
        self, device: str, size: int, shard: int | None, now_s: float, luck: float
    ) -> Rejection | None:
        """Return whether a send is refused; those who wait for no answer are the first to be.

        Args:
            device: Who sends.
            size: Bytes of the send.
            shard: Where it goes, if that is known.
            now_s: The time.
            luck: Random number, 0-1: spreads the returns.
        """
        held = self._held.get(device)
        if held is not None and held[0] > now_s:
            self.refused["held"] += 1
            self._refuses(now_s)
            return Rejection("held", held[1], _told(held[0] - now_s))
        found = self._too_much(self._of_device.get(device, 0), size, shard, now_s)
        return None if found is None else self.refuse(device, *found, now_s, luck)

    def refuse(
        self, device: str, reason: Reason, wait_s: float, now_s: float, luck: float, count: int = 1
    ) -> Rejection:
        """Refuse a device: so many sends, and all others until the time that it is told is over."""
        self.refused[reason] += count
        self._refuses(now_s, count)
        expected_s = min(_MOST_S, max(_LEAST_S, wait_s * (1 + self._pressure)))
        # Who was in a round that the log did not take was told the least time already.
        told_s = _LEAST_S if reason == "log" else expected_s * (0.5 + luck)
        code = "rate_limited" if reason == "device" else "unavailable"
        return Rejection(reason, code, self._hold(device, told_s, code, now_s))

    def limit(self, device: str, wait_s: float, now_s: float, luck: float) -> float:
        """A limiter stopped the device; returns how long it is to wait, for the same order's sake."""
        return self._hold(device, max(wait_s, _LEAST_S * (0.5 + luck)), "rate_limited", now_s)

    def _hold(self, device: str, wait_s: float, code: str, now_s: float) -> float:
        """Hold a device, never for less than it was told before; returns the time left."""
        held = self._held.get(device)
        if held is None or held[0] < now_s + wait_s:
            held = self._held[device] = (now_s + wait_s, code)
        return _told(held[0] - now_s)

    def _refuses(self, now_s: float, count: int = 1) -> None:
        if self.shedding_since_s is None:
            self.shedding_since_s, self.shed = now_s, 0
        self.shed += count
        self._refused_s = now_s

    def accept_wait_s(self) -> float:
        """Return how long a new send would take to its number."""
        late_s = min(self._late_s)
        wait_s = self._flow.wait_s(self.inside, _FLOOR_LATE if late_s > _LATE_S else None)
        return wait_s + late_s if wait_s else 0.0

    def stalled_s(self) -> float:
        """Return how long the process stood still before the last look, for once: not what it always lags."""
        return self._late_s[1] - min(self._late_s)

    def queue_s(self) -> float:
        """Return how long a send may wait for its turn just now."""
        return self.bounds.queue_s * (_FEW_SHARE if self.inside <= _FEW else self._share())

    def _share(self) -> float:
        return _PRESSED_SHARE if self._pressed else 1.0

    def _too_much(
        self, of_device: int, size: int, shard: int | None, now_s: float
    ) -> tuple[Reason, float] | None:
        bounds = self.bounds
        share = 1.0 if of_device <= _IMPATIENT else _IMPATIENT_SHARE
        share *= self._share()
        if of_device >= bounds.device:
            return "device", self.accept_wait_s()
        if self.inside >= bounds.sends or self.size + size > bounds.size:
            return "size", self.accept_wait_s()
        wait_s = self.accept_wait_s()
        if wait_s > bounds.accept_s * share:
            return "accept", wait_s
        if shard is None:
            return None
        wait_s = self.backlogs.wait_s(shard, now_s)
        if wait_s > bounds.deliver_s * share:
            return "deliver", wait_s
        full = self.backlogs.is_full(shard, bounds.unstored, bounds.unstored_size, bounds.store_s, now_s)
        return ("store", 0.0) if full else None


def _told(wait_s: float) -> float:
    """Return a time to wait as it is told: who comes back then is not early."""
    return max(_SOON_S, ceil(wait_s * 1000) / 1000)
