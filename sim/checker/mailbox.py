"""The rules: which history of one mailbox keeps the promise, and which breaks it."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from sim.checker.copies import Copies, Owed
from sim.checker.ends import Ends
from sim.checker.facts import Device, Finding, Findings, Message
from sim.checker.kept import LATE_US, SECOND_US, Kept, had_disappeared
from sim.checker.receipts import Crashes, Receipts
from sim.checker.verdict import UNVERIFIED, Verdict
from sim.ledger import Event, Kind
from sim.limits import Limits

AUDITED = "audited"
"""Note of a `Kind.CUT`: the server's store was read to its end for the device."""

SETTLED = "settled"

KEYS_GONE = "unknown_device"
"""Why a message cannot be opened whose sender's keys the server no longer has."""


class Others(NamedTuple):
    """What has to be known of other users to judge a mailbox.

    Attributes:
        crashes: A sender's crash allows that it is told again what it had been told.
        owed: Which of their devices are to get copies of what they send.
        audited: For which of their devices the server's store was read to its end.
        missed: Which of their devices were told that entries are gone; whether rightly, their mailbox says.
        erased: Who deleted the account, and when they were told so.
    """

    crashes: Crashes
    owed: Owed
    audited: Collection[tuple[str, str]]
    missed: Collection[tuple[str, str]]
    erased: Mapping[str, int]


class Mailbox:
    """The events of one mailbox, put together and judged.

    Legal, and therefore never a finding: an entry that arrives again under its own number; a message that an
    app is told again after a crash, if it had not been taken; two numbers told to a sender for one message
    (its first reply was lost); a device without messages sent before it existed.

    Args:
        owner: Whose mailbox it is.
        verdict: Totals, durations and series are added here.
        others: What has to be known of other users.
        limits: Of the server.
    """

    def __init__(self, owner: str, verdict: Verdict, others: "Others", limits: Limits) -> None:
        self.owner = owner
        self._others, self._limits = others, limits
        self._findings = Findings()
        self._verdict = verdict
        self._messages: dict[tuple[str, str], Message] = {}
        self._devices: dict[str, Device] = {}
        self._receipts = Receipts(owner, verdict, self._findings, others.crashes)
        self._copies = Copies(
            verdict, self._findings, others.crashes, others.owed, others.audited, others.missed
        )
        self._ends = Ends(owner, verdict, self._findings)
        self._gone: dict[Message, bool] = {}  # and whether its own time was over
        self._sent_by: dict[tuple[str, str], int] = defaultdict(int)

    def judge(self, events: list[Event]) -> list[Finding]:
        """Return what is wrong with a mailbox.

        Args:
            events: All events about it, in the order of time.
        """
        # Whose intents are known first: two processes may record one microsecond in either order.
        for event in events:
            if event.kind == Kind.INTENT:
                self._intent(event)
        handlers = self._handlers()
        for event in events:
            handler = handlers.get(event.kind)
            if handler is not None:
                handler(event)
        for device in self._devices.values():
            self._verdict.devices += device.created_us is not None
            self._verdict.audited += device.audited
            for message, at_us in device.held.items():
                if not message.received_us or at_us < message.received_us:
                    message.received_us = at_us
        devices, messages = list(self._devices.values()), self._messages.values()
        self._end_us = events[-1].at_us
        self._kept = Kept(self._limits, devices, messages, self._end_us)
        self._ends.judge(messages, devices, self._kept)
        self._receipts.judge(messages, devices, self._kept)
        for message in messages:
            self._judge_message(message)
            if message.accepted_us and not self._is_excused_copy(message):
                self._copies.judge(message)
        totals, disappeared = self._verdict.totals, sum(self._gone.values())
        totals.disappeared += disappeared
        totals.swept += len(self._gone) - disappeared
        return self._findings

    def _handlers(self) -> dict[int, Callable[[Event], None]]:
        return {
            Kind.ACCEPTED: self._accepted,
            Kind.FAILED: self._failed,
            Kind.ARRIVED: self._arrived,
            Kind.RECEIVED: self._received,
            Kind.TAKEN: lambda event: self._device(event).take(event.seq, event.at_us),
            Kind.READ: self._receipts.marked,
            Kind.DELIVERED_TOLD: self._receipts.told,
            Kind.READ_TOLD: self._receipts.told,
            Kind.UNDECRYPTABLE: self._undecryptable,
            Kind.MISSED: lambda event: self._ends.missed(self._device(event), event),
            Kind.CRASHED: self._crashed,
            Kind.STORED: self._stored,
            Kind.DEVICE: self._created,
            Kind.PUSHED: self._pushed,
            Kind.CUT: self._cut,
            Kind.USED: lambda event: self._device(event).used(event.at_us),
            Kind.REFUSED: lambda event: self._ends.refused(self._own(event), event),
            Kind.EXPORTED: self._exported,
            Kind.ERASED: self._ends.erased,
            Kind.LEFT: self._ends.left,
            Kind.COPIED: lambda event: self._copies.told(self._message(event.user, event), event),
            Kind.COPY_STORED: lambda event: self._copies.stored(self._message(event.user, event), event),
        }

    def _device(self, event: Event) -> Device:
        device = self._devices.get(event.device)
        if device is None:
            device = self._devices[event.device] = Device(event.device)
        return device

    def _message(self, sender: str, event: Event) -> Message:
        """Return the message that an event names, also one that was never sent."""
        key = sender, event.id
        message = self._messages.get(key)
        if message is None:
            message = self._messages[key] = Message(*key)
        return message

    def _what(self, message: Message) -> str:
        return f"Message {message.id} from {message.sender}"

    def _where(self, device: Device) -> str:
        return f"{self.owner}'s {device.name}"

    # -- what senders saw

    def _intent(self, event: Event) -> None:
        key = event.user, event.id
        if key in self._messages:
            return  # the outbox of a killed app takes up its work again
        message = self._messages[key] = Message(*key)
        message.device, message.digest, message.intent_us = event.device, event.digest, event.at_us
        message.expires_us = int(event.note or 0) * SECOND_US
        source = event.user, event.device
        message.order = self._sent_by[source]
        self._sent_by[source] += 1
        self._verdict.totals.sent += 1
        self._verdict.per_second["sent"][event.at_us // 1_000_000] += 1

    def _accepted(self, event: Event) -> None:
        message = self._own(event)
        if not message.accepted_us:
            message.accepted_us, message.accepted_seq = event.at_us, event.seq
            self._verdict.totals.accepted += 1
            self._verdict.per_second["accepted"][event.at_us // 1_000_000] += 1
            self._verdict.send_accept.add(message.intent_us, event.at_us - message.intent_us)
        message.accepted_seq = min(message.accepted_seq, event.seq)

    def _failed(self, event: Event) -> None:
        self._own(event).failed = True

    def _own(self, event: Event) -> Message:
        """Return the message that the sender is told of."""
        message = self._message(event.user, event)
        if message.order < 0:
            title = f"{event.user} was told of {message.id}, which it never sent to {self.owner}."
            self._findings.name("phantom", message, event.at_us, title)
        return message

    # -- what the owner's devices saw

    def _created(self, event: Event) -> None:
        device = self._device(event)
        if device.created_us is None:
            device.created_us = event.at_us

    def _arrived(self, event: Event) -> None:
        device, message = self._device(event), self._message(event.peer, event)
        message.seen_as(event.seq)
        self._ends.served(message, event)
        first = device.arrived.setdefault(message, event.seq)
        if first != event.seq:
            title = f"{self._what(message)} came to {self._where(device)} as numbers {first} and {event.seq}."
            self._findings.name("duplicated", message, message.intent_us or event.at_us, title)

    def _received(self, event: Event) -> None:
        device, message = self._device(event), self._message(event.peer, event)
        message.seen_as(event.seq)
        if not self._sent_like_this(message, event):
            device.hold(message, event)
            return
        if message in device.held:
            title = f"{self._what(message)} was told twice to the app on {self._where(device)}."
            self._findings.name("duplicated", message, message.intent_us, title)
            return
        device.hold(message, event)
        if message not in device.voided and device.must_get(message):
            self._verdict.send_deliver.add(message.intent_us, event.at_us - message.intent_us)
            self._verdict.per_second["delivered"][event.at_us // 1_000_000] += 1
        before = device.overtaken_by(message, event.seq)
        if before is not None:
            self._out_of_order(message, event, before)

    def _out_of_order(self, message: Message, event: Event, before: Message | int) -> None:
        what = f"{self._what(message)} came to the app on {self.owner}'s {event.device}"
        if isinstance(before, Message):
            title = f"{what} after {before.id}, which was sent later."
            self._findings.name("reordered", message, message.intent_us, title, before)
        else:
            title = f"{what} as number {event.seq}, after number {before}."
            self._findings.name("reordered", message, message.intent_us, title)

    def _sent_like_this(self, message: Message, event: Event) -> bool:
        """Find a message that was never sent to this mailbox, or that was sent with another content.

        Returns:
            Whether it was sent.
        """
        if message.order < 0:
            title = f"{self._what(message)} was never sent to {self.owner}."
            self._findings.name("phantom", message, event.at_us, title)
            return False
        if event.digest and message.digest and event.digest != message.digest:
            title = f"{self._what(message)} reached {self.owner}'s {event.device} with another content."
            self._findings.name("phantom", message, message.intent_us, title)
        return True

    def _undecryptable(self, event: Event) -> None:
        device, message = self._device(event), self._message(event.peer, event)
        message.seen_as(event.seq)
        device.unopened.add(message)
        erased_us = self._others.erased.get(event.peer)
        if erased_us is not None and event.note == KEYS_GONE and erased_us < event.at_us + LATE_US:
            return
        title = f"{self._what(message)} could not be opened on {self._where(device)}: {event.note or '?'}."
        self._findings.name("undecryptable", message, message.intent_us or event.at_us, title)

    def _exported(self, event: Event) -> None:
        message = self._message(event.peer, event)
        message.seen_as(event.seq)
        self._ends.served(message, event)
        self._sent_like_this(message, event)

    def _crashed(self, event: Event) -> None:
        self._verdict.totals.crashes += 1
        self._device(event).crash()

    def _stored(self, event: Event) -> None:
        device, message = self._device(event), self._message(event.peer, event)
        message.seen_as(event.seq)
        self._ends.served(message, event)
        self._sent_like_this(message, event)
        first = device.stored.setdefault(message, event.seq)
        if first != event.seq:
            title = f"{self._what(message)} is in the server's store as numbers {first} and {event.seq}."
            self._findings.name("duplicated", message, message.intent_us or event.at_us, title)

    def _pushed(self, event: Event) -> None:
        self._verdict.totals.pushes += bool(event.device)

    def _cut(self, event: Event) -> None:
        device = self._device(event)
        device.audited |= event.note == AUDITED
        device.settled |= event.note == SETTLED

    # -- what follows from both

    def _judge_message(self, message: Message) -> None:
        if message.order < 0:
            return
        totals = self._verdict.totals
        totals.delivered += bool(message.received_us)
        totals.acked += message.acked
        expected = [device for device in self._devices.values() if device.must_get(message)]
        if message.accepted_us:
            for device in expected:
                self._judge_delivery(message, device)
        else:
            totals.failed += message.failed
        answered = message.failed or bool(message.refused_us) or message.sender in self._others.erased
        if not message.received_us and not (message.accepted_us and expected) and not answered:
            title = f"{self._what(message)} to {self.owner}: no one knows what became of it."
            self._findings.name(UNVERIFIED, message, message.intent_us, title)

    def _judge_delivery(self, message: Message, device: Device) -> None:
        """Judge an accepted message for a device that should have it."""
        stored, erased = device.stored.get(message, 0), bool(self._ends.erased_us)
        if device.audited and not stored and not self._may_be_gone(message, self._end_us):
            title = f"{self._what(message)} was accepted, and the store has none for {self._where(device)}."
            self._findings.name("acked_not_stored", message, message.intent_us, title)
        if message in device.held or message in device.unopened:
            return
        number = stored or message.true_number
        passed_us = device.passed_us(number)
        if self._is_excused(message, device, number, passed_us - 1 if passed_us else self._end_us):
            return
        waits = bool(stored) or not (device.audited or device.settled)
        if waits and not passed_us:
            if not erased:
                title = f"{self._what(message)} was on its way to {self._where(device)} when the run ended."
                self._findings.name(UNVERIFIED, message, message.intent_us, title)
        else:
            title = f"{self._what(message)} never came to {self._where(device)}."
            self._findings.name("lost", message, message.intent_us, title)

    def _may_be_gone(self, message: Message, until_us: int) -> bool:
        """Return whether a message may be in the store no longer; each is counted once."""
        disappeared = had_disappeared(message, until_us)
        if not disappeared and not self._kept.may_be_gone(message, until_us):
            return False
        self._gone.setdefault(message, disappeared)
        return True

    def _is_excused(self, message: Message, device: Device, number: int, until_us: int) -> bool:
        """Return whether a message may have gone before a device came past it, and the device was told."""
        if had_disappeared(message, until_us):
            return True
        told = number <= device.missed
        return told and self._kept.may_be_gone(message, until_us)

    def _is_excused_copy(self, message: Message) -> bool:
        """Return whether copies may be gone with their time, or with their owner."""
        return message.sender in self._others.erased or had_disappeared(message, self._end_us)
