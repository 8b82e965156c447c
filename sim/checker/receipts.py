"""The rules for what senders are told of a mailbox: nothing before it is so, and nothing taken back."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from sim.checker.facts import Device, Finding, Findings, Message
from sim.checker.kept import Kept, had_disappeared
from sim.checker.verdict import Verdict
from sim.ledger import Event, Kind

Crashes = Mapping[tuple[str, str], Sequence[int]]
"""When the app of each (user, device) was killed, in the order of time."""


def covered(marks: Sequence[Event], messages: Sequence[Message]) -> Iterator[tuple[Message, Event]]:
    """Yield each message with the first mark that covers it.

    Args:
        marks: Events whose seq covers all numbers up to it, in the order of time.
        messages: In the order of their numbers.
    """
    place = 0
    for mark in marks:
        while place < len(messages) and messages[place].true_number <= mark.seq:
            yield messages[place], mark
            place += 1


class Receipts:
    """What the owner of a mailbox marked as read, and what senders were told of it.

    Args:
        owner: Whose mailbox it is.
        verdict: Totals, durations and series are added here.
        findings: What is wrong is added here.
        crashes: Of all users: a sender's crash allows that it is told again what it had been told.
    """

    def __init__(self, owner: str, verdict: Verdict, findings: Findings, crashes: Crashes) -> None:
        self._owner = owner
        self._verdict = verdict
        self._findings = findings
        self._crashes = crashes
        self._told: dict[tuple[str, int], list[Event]] = defaultdict(list)
        self._read: dict[str, list[Event]] = defaultdict(list)

    def marked(self, event: Event) -> None:
        """The owner read what a sender wrote."""
        self._read[event.peer].append(event)

    def told(self, event: Event) -> None:
        """A sender was told how far its messages came; 0 says that none did."""
        if event.seq:
            self._verdict.totals.receipts += 1
            self._verdict.per_second["receipts"][event.at_us // 1_000_000] += 1
        self._told[event.user, event.kind].append(event)

    def judge(self, messages: Iterable[Message], devices: Iterable[Device], kept: Kept) -> None:
        """Find receipts that were not true, or no longer.

        Args:
            messages: All messages to the mailbox, with `Message.received_us` in its final state.
            devices: The owner's.
            kept: What may be gone: a watermark passes over it, whether someone had it or not.
        """
        self._kept = kept
        created_us = [device.created_us for device in devices if device.created_us is not None]
        by_sender: dict[str, list[Message]] = defaultdict(list)
        for message in messages:
            if message.accepted_us:
                by_sender[message.sender].append(message)
        for sender, theirs in by_sender.items():
            theirs.sort(key=lambda message: message.true_number)
            for message, event in covered(self._read[sender], theirs):
                message.read_us = event.at_us
                self._verdict.totals.read += 1
            for message, event in covered(self._told[sender, Kind.DELIVERED_TOLD], theirs):
                self._judge_delivered(message, event, created_us)
            for message, event in covered(self._told[sender, Kind.READ_TOLD], theirs):
                self._judge_read(message, event)
        for told in self._told.values():
            self._judge_direction(told)

    def _judge_delivered(self, message: Message, event: Event, created_us: list[int]) -> None:
        if 0 < message.received_us <= event.at_us:
            self._verdict.deliver_receipt.add(message.received_us, event.at_us - message.received_us)
            return
        if self._passes_over(message, event):
            return
        # A device younger than the message acknowledges the place where it would have been.
        if any(message.intent_us <= created < event.at_us for created in created_us):
            return
        title = (
            f"{message.sender} was told that {self._owner} has everything up to {event.seq};"
            f" by then no device had message {message.id} (number {message.true_number}) for good."
        )
        self._findings.name("receipt_without_delivery", message, message.intent_us, title)

    def _judge_read(self, message: Message, event: Event) -> None:
        if not 0 < message.read_us <= event.at_us and not self._passes_over(message, event):
            title = (
                f"{message.sender} was told that {self._owner} has read up to {event.seq};"
                f" by then message {message.id} (number {message.true_number}) was not read."
            )
            self._findings.name("receipt_without_delivery", message, message.intent_us, title)

    def _passes_over(self, message: Message, event: Event) -> bool:
        return had_disappeared(message, event.at_us) or self._kept.may_be_gone(message, event.at_us)

    def _judge_direction(self, told: list[Event]) -> None:
        """Find receipts below earlier ones of the same device; its crash allows them."""
        last: dict[str, Event] = {}
        for event in told:
            before = last.get(event.device)
            last[event.device] = event
            if before is None or event.seq >= before.seq or self._crashed_between(before, event):
                continue
            word = "delivered" if event.kind == Kind.DELIVERED_TOLD else "read"
            title = (
                f"{event.user}'s {event.device} was told {word} up to {event.seq} by {self._owner},"
                f" after {before.seq}."
            )
            self._findings.append(
                Finding("receipt_backwards", event.at_us, title, (), event.user, event.device)
            )

    def _crashed_between(self, before: Event, after: Event) -> bool:
        crashes = self._crashes.get((after.user, after.device), ())
        place = bisect_left(crashes, before.at_us)
        return place < len(crashes) and crashes[place] <= after.at_us
