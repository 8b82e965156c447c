"""The rules for own copies: what one device sends comes once, and in order, to the user's other devices."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Mapping

from sim.checker.facts import Findings, Message
from sim.checker.receipts import Crashes
from sim.checker.verdict import UNVERIFIED, Verdict
from sim.ledger import Event

COPIES = "copies"
"""Note of a `Kind.DEVICE`: the device is to get what the user's other devices send."""

PASSED = "passed"
"""Note of a `Kind.COPY_STORED`: the device has acknowledged what comes behind the copy."""

Owed = Mapping[str, Mapping[str, int]]
"""By user, the devices that are to get copies, and since when they exist."""


class _Told:
    """What one device was told of the messages to the mailbox.

    Attributes:
        now: What its app was told since it was killed last.
        ever: And before, of which some may come again.
        waiting: What the server's store has for it, and it has not gone past.
        latest: The last message of each sending device, since it was killed last.
    """

    def __init__(self) -> None:
        self.now: set[Message] = set()
        self.ever: set[Message] = set()
        self.waiting: set[Message] = set()
        self.latest: dict[str, Message] = {}
        self._crashes = 0

    def killed(self, times: int) -> None:
        """The app was killed so often until now."""
        if times > self._crashes:
            self._crashes = times
            self.now.clear()
            self.latest.clear()


class Copies:
    """The copies of messages to one mailbox, on the devices of who sent them.

    Legal, and therefore no finding: a copy that is told again after a crash; none on a device that is younger
    than the message.

    Args:
        verdict: Totals are added here.
        findings: What is wrong is added here.
        crashes: Of all users.
        owed: Who is to get copies.
        audited: Devices for which the server's store was read to its end.
        missed: Devices that were told that entries are gone: copies may be among them.
    """

    def __init__(
        self,
        verdict: Verdict,
        findings: Findings,
        crashes: Crashes,
        owed: Owed,
        audited: Collection[tuple[str, str]],
        missed: Collection[tuple[str, str]],
    ) -> None:
        self._verdict, self._findings, self._crashes = verdict, findings, crashes
        self._owed, self._audited, self._missed = owed, audited, missed
        self._told: dict[tuple[str, str], _Told] = defaultdict(_Told)

    def told(self, message: Message, event: Event) -> None:
        """A device's app was told of a copy."""
        where = f"{event.user}'s {event.device}"
        told = self._of(event)
        if message.order < 0:
            title = f"A copy of {message.id} to {event.peer} came to {where}, and {event.user} never sent it."
            self._findings.name("phantom", message, event.at_us, title)
            return
        if event.note:
            title = f"The copy of {message.id} could not be opened on {where}: {event.note}."
            self._findings.name("undecryptable", message, message.intent_us, title)
        elif event.digest != message.digest:
            title = f"The copy of {message.id} on {where} has another content."
            self._findings.name("phantom", message, message.intent_us, title)
        if message in told.now:
            title = f"The copy of {message.id} was told twice to the app on {where}."
            self._findings.name("duplicated", message, message.intent_us, title)
        before = told.latest.get(message.device)
        if before is not None and before.order > message.order:
            title = (
                f"The copy of {message.id} came to {where} after that of {before.id}, which was sent later."
            )
            self._findings.name("reordered", message, message.intent_us, title, before)
        told.latest[message.device] = message
        told.now.add(message)
        told.ever.add(message)

    def stored(self, message: Message, event: Event) -> None:
        """The audit finds a copy in the server's store."""
        if event.note != PASSED:
            self._of(event).waiting.add(message)

    def judge(self, message: Message) -> None:
        """Find an accepted message whose copy did not come to a device that existed before it."""
        for device, since_us in self._owed.get(message.sender, {}).items():
            if device == message.device or since_us >= message.intent_us:
                continue
            told = self._told[message.sender, device]
            where = f"{message.sender}'s {device}"
            if message in told.ever:
                self._verdict.totals.copies += 1
            elif message in told.waiting or (message.sender, device) not in self._audited:
                title = f"The copy of {message.id} was on its way to {where} when the run ended."
                self._findings.name(UNVERIFIED, message, message.intent_us, title)
            elif (message.sender, device) not in self._missed:
                title = f"The copy of {message.id} never came to {where}."
                self._findings.name("lost", message, message.intent_us, title)

    def _of(self, event: Event) -> _Told:
        key = event.user, event.device
        told = self._told[key]
        told.killed(bisect_left(self._crashes.get(key, ()), event.at_us))
        return told
