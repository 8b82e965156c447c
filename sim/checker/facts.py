"""The facts of a mailbox: the state of each message and device from its events; only order is judged here."""

from bisect import bisect_left, insort
from typing import NamedTuple

from sim.ledger import Event


class Message:
    """One message to the mailbox, as its sender knows it.

    Attributes:
        order: Its place among the messages of the sender's device.
        intent_us: When it was handed to the SDK; 0 if it never was.
        number: The lowest number under which it was seen in the mailbox; 0 if it was not.
        received_us: When an app of the recipient was first told for good; 0 if none was.
        read_us: When it was marked as read; 0 if it was not.
        expires_us: After how long it disappears; 0 if it does not.
        refused_us: When its sender was told first that the mailbox is full; 0 if it never was.
        in_doubt: Some try to send it got no answer before it was refused.
        named: Violations of it that were found already: each counts once for a message.
    """

    __slots__ = (
        "accepted_seq",
        "accepted_us",
        "acked",
        "device",
        "digest",
        "expires_us",
        "failed",
        "id",
        "in_doubt",
        "intent_us",
        "named",
        "number",
        "order",
        "read_us",
        "received_us",
        "refused_us",
        "sender",
    )

    def __init__(self, sender: str, id: str) -> None:  # noqa: A002 - the event's own word
        self.sender = sender
        self.id = id
        self.device = ""
        self.order = -1
        self.intent_us = 0
        self.digest = 0
        self.accepted_us = 0
        self.accepted_seq = 0
        self.failed = False
        self.expires_us = 0
        self.refused_us = 0
        self.in_doubt = False
        self.number = 0
        self.received_us = 0
        self.read_us = 0
        self.acked = False
        self.named: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """What names it in events."""
        return self.sender, self.id

    @property
    def true_number(self) -> int:
        """Its number in the mailbox: a repeat that was accepted under a later one changes nothing."""
        return self.number or self.accepted_seq

    def seen_as(self, seq: int) -> None:
        """It was seen in the mailbox under a number."""
        if not self.number or seq < self.number:
            self.number = seq


class Device:
    """One device of the mailbox's owner.

    Attributes:
        created_us: Since when messages must reach it; None if it was never said to exist.
        held: What its app was told and has not lost in a crash, and when.
        voided: What its app was told and lost in a crash.
        taken: Everything up to here was acknowledged.
        arrived: First number under which each message came over the wire.
        stored: First number under which the server's store holds each message.
        audited: The server's store was read for it.
        settled: Nothing was in flight for it when the run ended.
        unopened: What it could not open.
        uses: When the server saw it used, in the order of time.
        missed: Up to where it was told that entries are gone.
    """

    __slots__ = (
        "_last_seq",
        "_latest",
        "_latest_taken",
        "_pending",
        "_takes",
        "arrived",
        "audited",
        "created_us",
        "held",
        "missed",
        "name",
        "settled",
        "stored",
        "taken",
        "unopened",
        "uses",
        "voided",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.created_us: int | None = None
        self.held: dict[Message, int] = {}
        self.voided: set[Message] = set()
        self.taken = 0
        self.arrived: dict[Message, int] = {}
        self.stored: dict[Message, int] = {}
        self.unopened: set[Message] = set()
        self.audited = False
        self.settled = False
        self.uses: list[int] = []
        self.missed = 0
        self._pending: list[tuple[int, Message]] = []
        self._takes: list[tuple[int, int]] = []  # up to where, and when: both rise
        self._last_seq: dict[str, int] = {}
        # The last message of each sender's device, and as it was at the last acknowledgement.
        self._latest: dict[tuple[str, str], Message] = {}
        self._latest_taken: dict[tuple[str, str], Message] = {}

    def must_get(self, message: Message) -> bool:
        """Return whether it existed before the message was sent."""
        return self.created_us is not None and self.created_us < message.intent_us

    def hold(self, message: Message, event: Event) -> None:
        """The app was told of a message."""
        self.held[message] = event.at_us
        self._pending.append((event.seq, message))

    def overtaken_by(self, message: Message, seq: int) -> Message | int | None:
        """Note the order of a message told to the app. Returns what came before it and should not have.

        Messages of others may pass those of a sender whose keys are still being asked for.

        Returns:
            A later message of the same sender's device, or a number not below this one's that the app had
            been told of the same sender or had acknowledged, or None.
        """
        last = max(self.taken, self._last_seq.get(message.sender, 0))
        self._last_seq[message.sender] = max(seq, last)
        source = message.sender, message.device
        before = self._latest.get(source)
        if before is not None and before.order > message.order:
            return before
        self._latest[source] = message
        return last if seq <= last else None

    def used(self, at_us: int) -> None:
        """The server saw it used."""
        insort(self.uses, at_us)

    def acked_by(self, at_us: int) -> int:
        """Return up to where it had acknowledged by a time."""
        return next((upto for upto, took_us in reversed(self._takes) if took_us <= at_us), 0)

    def passed_us(self, number: int) -> int:
        """Return when it first acknowledged a number, or one above it; 0 if it did not."""
        place = bisect_left(self._takes, (number, 0))
        return self._takes[place][1] if place < len(self._takes) else 0

    def take(self, upto: int, at_us: int) -> None:
        """The app has everything up to a number."""
        if upto > self.taken:
            self._takes.append((upto, at_us))
        self.taken = max(self.taken, upto)
        left = []
        for seq, message in self._pending:
            if seq > upto:
                left.append((seq, message))
                continue
            message.acked = True
            source = message.sender, message.device
            before = self._latest_taken.get(source)
            if before is None or before.order < message.order:
                self._latest_taken[source] = message
        self._pending = left

    def crash(self) -> None:
        """The app was killed: what it had not taken may come again."""
        for _, message in self._pending:
            self.held.pop(message, None)
            self.voided.add(message)
        self._pending.clear()
        self._last_seq.clear()
        self._latest = dict(self._latest_taken)


class Finding(NamedTuple):
    """Something to count, and to tell.

    Args:
        kind: A key of `VIOLATIONS`, or `UNVERIFIED`.
        at_us: When it began.
        title: What is wrong, as a sentence.
        messages: Messages whose events tell the story.
        user: Whose device's other events belong to the story; empty if none.
        device: That device.
    """

    kind: str
    at_us: int
    title: str
    messages: tuple[Message, ...] = ()
    user: str = ""
    device: str = ""


class Findings(list[Finding]):
    """What is wrong with one mailbox."""

    def name(self, kind: str, message: Message, at_us: int, title: str, *others: Message) -> None:
        """Add a finding about a message, once for each kind.

        Args:
            kind: A key of `VIOLATIONS`, or `UNVERIFIED`.
            message: The message.
            at_us: When it began.
            title: What is wrong, as a sentence.
            others: Further messages whose events tell the story.
        """
        if kind not in message.named:
            message.named += (kind,)
            self.append(Finding(kind, at_us, title, (message, *others)))
