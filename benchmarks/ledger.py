"""The fate of every message of one load: pure, and small enough for a million of them.

A message is its number in the ledger. The number travels in the payload, which servers pass on
untouched, so that a recipient, or a store that is read later, can name the message.

What is promised: whatever was accepted is delivered once, in the order in which the sender handed the
messages of a pair to the server, and is in the store once, in the same order. A message that was refused
and sent again takes its new place in that order. Times are nanoseconds of a monotonic clock.
"""

import struct
from array import array
from collections import Counter
from collections.abc import Sequence

_HEAD = struct.Struct(">4sIQ")
_MAGIC = b"load"
HEAD_BYTES = _HEAD.size

_ACCEPTED, _DELIVERED, _REFUSED, _STORED, _SETTLED = 1, 2, 4, 8, 16

VIOLATIONS = {
    "lost": "accepted, and not delivered",
    "doubled": "delivered a second time",
    "reordered": "delivered after a later one of the same pair",
    "phantom": "delivered or stored, and never sent by that user to that one",
    "not_stored": "accepted, and not in the store after the stop",
    "stored_twice": "in the store a second time",
    "stored_reordered": "in the store after one that was delivered later",
}
"""What must never happen, in words."""

_EXAMPLES = 5


class Ledger:
    """One load's messages.

    Args:
        number: Names this ledger in payloads; unique in a run.
        pairs: Sender and recipient of each pair.

    Attributes:
        pairs: The same.
        sent: Messages handed over, the refused ones included.
        accepted: Those whose sender was told so.
        refused: Those given up because the server would not take them.
        delivered: Those that reached their recipient, once or more.
        examples: The first few messages of each violation, in words.
        audited: The store was read; `stored` was called with all that is there.
    """

    def __init__(self, number: int, pairs: Sequence[tuple[str, str]]) -> None:
        self.number, self.pairs = number, pairs
        self.sent = self.accepted = self.refused = self.delivered = 0
        self.audited = False
        self.examples: dict[str, list[str]] = {}
        self._found: Counter[str] = Counter()
        self._pair, self._turn, self._rank = array("I"), array("Q"), array("Q")
        self._due, self._written = array("q"), array("q")
        self._accepted_at, self._delivered_at = array("q"), array("q")
        self._flags = bytearray()
        self._turns = self._settled = 0
        self._heard: dict[int, int] = {}
        self._kept: dict[int, int] = {}

    # --- what happens -----------------------------------------------------------------------------

    def send(self, pair: int, due_ns: int) -> int:
        """Note that a message was due; return its number."""
        self._pair.append(pair)
        self._due.append(due_ns)
        for column in (self._turn, self._rank):
            column.append(0)
        for moments in (self._written, self._accepted_at, self._delivered_at):
            moments.append(0)
        self._flags.append(0)
        self.sent += 1
        return self.sent - 1

    def write(self, number: int, now_ns: int) -> None:
        """Note that it was handed to the server, for the first time or again."""
        self._turns += 1
        self._turn[number] = self._turns
        if not self._written[number]:
            self._written[number] = now_ns

    def accept(self, number: int, now_ns: int) -> None:
        """Note that its sender was told that it is durable."""
        if not self._flags[number] & _ACCEPTED:
            self._flags[number] |= _ACCEPTED
            self._accepted_at[number] = now_ns
            self.accepted += 1

    def refuse(self, number: int) -> None:
        """Note that it was given up."""
        self._flags[number] |= _REFUSED
        self.refused += 1
        self._settle(number)

    def deliver(self, number: int, sender: str, recipient: str, now_ns: int) -> bool:
        """Note that the recipient got it; return whether that is the first time."""
        if not self._known(number, sender, recipient):
            return False
        if self._flags[number] & _DELIVERED:
            self._violation("doubled", number)
            return False
        self._flags[number] |= _DELIVERED
        self._settle(number)
        self._delivered_at[number] = now_ns
        self.delivered += 1
        self._rank[number] = self.delivered
        pair, turn = self._pair[number], self._turn[number]
        if turn < self._heard.get(pair, 0):
            self._violation("reordered", number)
        else:
            self._heard[pair] = turn
        return True

    def store(self, number: int, sender: str, recipient: str) -> None:
        """Note that the store has it; call it in the order of the mailbox."""
        if not self._known(number, sender, recipient):
            return
        if self._flags[number] & _STORED:
            self._violation("stored_twice", number)
            return
        self._flags[number] |= _STORED
        pair, rank = self._pair[number], self._rank[number]
        if rank and rank < self._kept.get(pair, 0):
            self._violation("stored_reordered", number)
        self._kept[pair] = max(rank, self._kept.get(pair, 0))

    def names(self, number: int) -> tuple[str, str] | None:
        """Return the sender and the recipient of a message; None if there is no such message."""
        return self.pairs[self._pair[number]] if number < self.sent else None

    # --- what came of it --------------------------------------------------------------------------

    @property
    def outstanding(self) -> int:
        """Messages neither delivered nor given up."""
        return self.sent - self._settled

    @property
    def unanswered(self) -> int:
        """Messages neither accepted nor given up."""
        return self.sent - self.accepted - self.refused

    def violations(self) -> dict[str, int]:
        """Return how often each promise was broken, as far as is known now."""
        lost = self._missing(_DELIVERED, "lost")
        not_stored = self._missing(_STORED, "not_stored") if self.audited else 0
        counts = Counter(self._found, lost=lost, not_stored=not_stored)
        return {kind: counts[kind] for kind in VIOLATIONS}

    def accept_ms(self, begin_ns: int, end_ns: int, *, written: bool = False) -> list[float]:
        """Return how long acceptance took for what was due in a span, from the due (or written) time."""
        return self._took(self._accepted_at, begin_ns, end_ns, written=written)

    def deliver_ms(self, begin_ns: int, end_ns: int, *, written: bool = False) -> list[float]:
        """Return the same for delivery."""
        return self._took(self._delivered_at, begin_ns, end_ns, written=written)

    def flying_ms(self, at_ns: int) -> list[float]:
        """Return how long delivery took for what was due before a moment and was delivered after it."""
        return [
            (at - due) / 1e6
            for due, at in zip(self._due, self._delivered_at, strict=True)
            if due <= at_ns < at
        ]

    def lag_ms(self, begin_ns: int, end_ns: int) -> list[float]:
        """Return how late messages were written that were due in a span: the generator's own share."""
        return self._took(self._written, begin_ns, end_ns, written=False)

    def delivered_in(self, begin_ns: int, end_ns: int) -> int:
        """Return how many were delivered in a span."""
        return sum(begin_ns <= at < end_ns for at in self._delivered_at)

    def accepted_in(self, begin_ns: int, end_ns: int) -> int:
        """Return how many were accepted in a span."""
        return sum(begin_ns <= at < end_ns for at in self._accepted_at)

    def due_in(self, begin_ns: int, end_ns: int) -> int:
        """Return how many were due in a span."""
        return sum(begin_ns <= at < end_ns for at in self._due)

    def _took(self, moments: "array[int]", begin_ns: int, end_ns: int, *, written: bool) -> list[float]:
        since = self._written if written else self._due
        return [
            (at - from_ns) / 1e6
            for due, from_ns, at in zip(self._due, since, moments, strict=True)
            if at and begin_ns <= due < end_ns
        ]

    def _settle(self, number: int) -> None:
        # What was refused may have arrived all the same: it counts once.
        if not self._flags[number] & _SETTLED:
            self._flags[number] |= _SETTLED
            self._settled += 1

    def _missing(self, flag: int, kind: str) -> int:
        missing = [n for n, flags in enumerate(self._flags) if flags & _ACCEPTED and not flags & flag]
        self.examples.pop(kind, None)
        for number in missing[:_EXAMPLES]:
            self._example(kind, number)
        return len(missing)

    def _known(self, number: int, sender: str, recipient: str) -> bool:
        if self.names(number) == (sender, recipient):
            return True
        self._found["phantom"] += 1
        self.examples.setdefault("phantom", []).append(f"{number} from {sender} to {recipient}")
        return False

    def _violation(self, kind: str, number: int) -> None:
        self._found[kind] += 1
        self._example(kind, number)

    def _example(self, kind: str, number: int) -> None:
        told = self.examples.setdefault(kind, [])
        if len(told) < _EXAMPLES:
            sender, recipient = self.pairs[self._pair[number]]
            due_s = (self._due[number] - self._due[0]) / 1e9
            told.append(f"{number} from {sender} to {recipient}, due after {due_s:.3f} s")


class Book:
    """All ledgers of a run."""

    def __init__(self) -> None:
        self.ledgers: list[Ledger] = []
        self.strangers = 0

    def open(self, pairs: Sequence[tuple[str, str]]) -> Ledger:
        """Begin the ledger of another load."""
        ledger = Ledger(len(self.ledgers), pairs)
        self.ledgers.append(ledger)
        return ledger

    def find(self, payload: bytes) -> tuple[Ledger, int] | None:
        """Return the ledger and the number that a payload names; None, and counted, if it names none."""
        if len(payload) >= HEAD_BYTES:
            magic, ledger, number = _HEAD.unpack_from(payload)
            if magic == _MAGIC and ledger < len(self.ledgers):
                return self.ledgers[ledger], number
        self.strangers += 1
        return None

    def violations(self) -> dict[str, int]:
        """Return the violations of all ledgers together."""
        total = Counter(phantom=self.strangers)
        for ledger in self.ledgers:
            total.update(ledger.violations())
        return {kind: total[kind] for kind in VIOLATIONS}


def head(ledger: int, number: int) -> bytes:
    """Return what a payload begins with."""
    return _HEAD.pack(_MAGIC, ledger, number)
