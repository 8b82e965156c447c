"""The verdict: counts, totals, durations, and the stories of what went wrong."""

from array import array
from collections import Counter
from collections.abc import Iterable

from msgspec import Struct, field

VIOLATIONS = {
    "lost": "accepted, and a device that should have it never got it",
    "duplicated": "told to an app twice, or kept under two numbers",
    "reordered": "told to an app in another order than it was sent or numbered",
    "phantom": "told to an app or kept, but never sent like this",
    "undecryptable": "arrived, and could not be opened",
    "acked_not_stored": "accepted, and not in the server's own store after the run",
    "receipt_without_delivery": "its sender was told that it is delivered or read before it was",
    "receipt_backwards": "a receipt took back what an earlier one had said",
    "missed": "the server said that entries of a mailbox are gone, which were to be kept",
    "gone_served": "served after it was swept, had disappeared, or was erased with its account",
    "refused_kept": "refused, and in the mailbox all the same",
    "refused_with_room": "refused though the mailbox had room",
    "not_erased": "left in a store by the erasure of an account",
}
"""What each count counts; any of them above 0 violates the promise."""

UNVERIFIED = "unverified"
"""Neither kept nor broken when the run ended."""


class Percentiles(Struct, frozen=True):
    """How long something took, in milliseconds; None if it never happened."""

    p50: float | None
    p95: float | None
    p99: float | None
    max: float | None


def percentiles(took_us: Iterable[int]) -> Percentiles:
    """Return nearest-rank percentiles of durations in microseconds."""
    ordered = sorted(took_us)
    if not ordered:
        return Percentiles(None, None, None, None)
    last = len(ordered) - 1
    p50, p95, p99 = (ordered[max(0, -(-len(ordered) * share // 100) - 1)] / 1_000 for share in (50, 95, 99))
    return Percentiles(p50, p95, p99, ordered[last] / 1_000)


class Samples:
    """Durations and when each began, in microseconds: 16 bytes for each."""

    __slots__ = ("at_us", "took_us")

    def __init__(self) -> None:
        self.at_us = array("q")
        self.took_us = array("q")

    def __len__(self) -> int:
        return len(self.at_us)

    def add(self, at_us: int, took_us: int) -> None:
        """Keep a duration that began at a time."""
        self.at_us.append(at_us)
        self.took_us.append(took_us)

    def percentiles(self) -> Percentiles:
        """Return the percentiles of all durations."""
        return percentiles(self.took_us)


class Totals(Struct):
    """How much happened. Messages are counted once, however many devices they concern.

    Attributes:
        sent: Messages handed to an SDK.
        accepted: Messages whose sender was told so.
        delivered: Messages that an app of the recipient was told, and has not lost in a crash.
        acked: Messages that an app of the recipient has taken.
        read: Messages that the recipient marked as read.
        receipts: Receipts that senders were told, delivered and read each for itself.
        pushes: Wake-ups that came.
        failed: Messages given up by their sender, and never accepted.
        crashes: Apps killed.
        copies: Messages that an app of the sender's other devices was told, each for itself.
        swept: Messages that the store has for some device no longer, as their age, number or place allows.
        disappeared: The same of those whose own time was over.
        refused: Messages whose sender was told that the mailbox is full.
        let_in_later: Those among them that were accepted in the end.
        exported: Messages in exports.
        erased: Accounts that were deleted.
    """

    sent: int = 0
    accepted: int = 0
    delivered: int = 0
    acked: int = 0
    read: int = 0
    receipts: int = 0
    pushes: int = 0
    failed: int = 0
    crashes: int = 0
    copies: int = 0
    swept: int = 0
    disappeared: int = 0
    refused: int = 0
    let_in_later: int = 0
    exported: int = 0
    erased: int = 0


class Story(Struct, frozen=True):
    """All that the ledger knows of one violation.

    Attributes:
        kind: A key of `VIOLATIONS`, or `UNVERIFIED`.
        at_us: When the story begins.
        title: What is wrong, as a sentence.
        lines: What happened, in the order of time, as sentences with times since the beginning.
    """

    kind: str
    at_us: int
    title: str
    lines: list[str]


class Verdict(Struct):
    """The outcome of a run.

    Attributes:
        counts: How often each of `VIOLATIONS` happened.
        unverified: Messages of which the run ended too early to say.
        totals: How much happened.
        send_accept: From the intent to the sender's being told that it is accepted.
        send_deliver: From the intent to the first time that each device's app was told.
        deliver_receipt: From there to the sender's being told.
        per_second: ``sent``, ``accepted``, ``delivered`` and ``receipts`` by second of the clock.
        began_us: The first event of a message.
        ended_us: The last event of a message.
        stories: The first violations of each kind.
        events: How many events were read.
        devices: How many devices there were.
        audited: For how many of them the server's own store was read.
    """

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(VIOLATIONS, 0))
    unverified: int = 0
    totals: Totals = field(default_factory=Totals)
    send_accept: Samples = field(default_factory=Samples)
    send_deliver: Samples = field(default_factory=Samples)
    deliver_receipt: Samples = field(default_factory=Samples)
    per_second: dict[str, Counter[int]] = field(
        default_factory=lambda: {name: Counter() for name in ("sent", "accepted", "delivered", "receipts")}
    )
    began_us: int = 0
    ended_us: int = 0
    stories: list[Story] = field(default_factory=list)
    events: int = 0
    devices: int = 0
    audited: int = 0

    @property
    def broken(self) -> dict[str, int]:
        """The violations that happened, and how often."""
        return {kind: count for kind, count in self.counts.items() if count}

    @property
    def holds(self) -> bool:
        """No promise was broken."""
        return not self.broken

    @property
    def word(self) -> str:
        """``holds`` or ``violated``."""
        return "holds" if self.holds else "violated"
