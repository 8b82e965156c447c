"""The rules for the end of what is kept: nothing goes too soon, and nothing that is gone is served."""

from collections.abc import Iterable, Sequence
from typing import Final

from sim.checker.facts import Device, Finding, Findings, Message
from sim.checker.kept import LATE_US, Kept, is_overdue
from sim.checker.verdict import Verdict
from sim.ledger import Event, Kind

CURSOR: Final = "cursor"
"""Note of a `Kind.MISSED`: the server does not know how far the device was, and says nothing of entries."""


class Ends:
    """What was refused, missed, served and erased in one mailbox.

    Args:
        owner: Whose it is.
        verdict: Totals are added here.
        findings: What is wrong is added here.
    """

    def __init__(self, owner: str, verdict: Verdict, findings: Findings) -> None:
        self._owner, self._totals, self._findings = owner, verdict.totals, findings
        self._missed: list[tuple[Device, Event]] = []
        self._served: list[tuple[Message, Event]] = []
        self.erased_us = 0

    def missed(self, device: Device, event: Event) -> None:
        """A device was told that entries up to a number are gone."""
        device.missed = max(device.missed, event.seq)
        self._missed.append((device, event))

    def served(self, message: Message, event: Event) -> None:
        """The server gave a message to its recipient: on the wire, to the audit, or in an export."""
        self._served.append((message, event))
        self._totals.exported += event.kind == Kind.EXPORTED

    def refused(self, message: Message, event: Event) -> None:
        """A sender was told that the mailbox is full."""
        self._totals.refused += not message.refused_us
        message.refused_us = message.refused_us or event.at_us
        message.in_doubt |= event.seq > 0

    def erased(self, event: Event) -> None:
        """The owner deleted the account."""
        self._totals.erased += not self.erased_us
        self.erased_us = self.erased_us or event.at_us

    def left(self, event: Event) -> None:
        """The erasure left something behind."""
        title = f"The account of {self._owner} was erased, and {event.note}"
        self._findings.append(Finding("not_erased", event.at_us, title, (), self._owner))

    def judge(self, messages: Iterable[Message], devices: Sequence[Device], kept: Kept) -> None:
        """Find what went too soon, what was served too late, and what was refused without need."""
        swept: list[Event] = []
        for device, event in self._missed:
            if kept.was_forgotten(device, event.at_us):
                swept += [event] if event.note != CURSOR else []
            else:
                title = f"{self._owner}'s {event.device} was told that entries up to {event.seq} are gone."
                self._findings.append(Finding("missed", event.at_us, title, (), self._owner, event.device))
        for message, event in self._served:
            self._judge_served(message, event, swept)
        mine = [message for message in messages if message.order >= 0]
        for message in mine:
            if message.refused_us:
                self._judge_refused(message, mine, devices, kept)

    def _judge_served(self, message: Message, event: Event, swept: Iterable[Event]) -> None:
        what = f"Message {message.id} from {message.sender} came to {self._owner}"
        # An export may be long in coming: what it reads first is as old as the question.
        served_us = int(event.note) if event.kind == Kind.EXPORTED else event.at_us
        swept_us = min((gone.at_us for gone in swept if event.seq <= gone.seq), default=0)
        if 0 < swept_us < served_us:
            why = "after a device had been told that it is gone"
        elif is_overdue(message, served_us):
            after_s = (served_us - message.accepted_us) / 1e6
            why = f"{after_s:.1f} s after it was accepted, when it had disappeared"
        elif self.erased_us and self.erased_us + LATE_US < served_us:
            why = "after the account was erased"
        else:
            return
        self._findings.name("gone_served", message, message.intent_us or event.at_us, f"{what} {why}.")

    def _judge_refused(
        self, message: Message, messages: Sequence[Message], devices: Sequence[Device], kept: Kept
    ) -> None:
        what = f"{message.sender} was told that the mailbox of {self._owner} is full for message {message.id}"
        self._totals.let_in_later += bool(message.accepted_us)
        if not message.accepted_us and message.number and not message.in_doubt:
            title = f"{what}, and no more; it is there as number {message.number}."
            self._findings.name("refused_kept", message, message.intent_us, title)
        before = [each for each in messages if each.true_number and each.intent_us <= message.refused_us]
        # Copies of what the owner's own devices send wait there, too, which this mailbox does not show.
        if len(devices) <= 1 and kept.has_room(message.refused_us, devices, before):
            self._findings.name("refused_with_room", message, message.intent_us, f"{what}, and it was not.")
