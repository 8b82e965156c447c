"""User actors with one rule broken each, for the deterministic runs to find."""

from actors.user import UserActor
from actors.user import effects as do
from actors.user import events as ev
from actors.user.quota import Quotas
from actors.user.records import Records
from actors.user.repeats import Repeats
from storage.records import MessageRecord


class NoRepeats(Repeats):
    """Has never seen a message before."""

    __slots__ = ()

    def is_repeat(self, _device: str, _message_id: str) -> bool | None:
        return False


class ForgetsRepeats(UserActor):
    """Takes every repeat for a new message."""

    def __init__(self, loaded: ev.Loaded, quotas: Quotas | None = None) -> None:
        super().__init__(loaded, quotas)
        self.repeats = NoRepeats(loaded.newest)
        self._records = Records(
            self.head, self.devices, self.peers, self.marks, self.repeats, self.quota, self._out
        )


class AcknowledgesForTheDevice(UserActor):
    """Moves a device's cursor when an entry is sent, not when it is acknowledged."""

    def handle(self, event: ev.Event, now_ms: int, stored: int) -> list[do.Effect]:
        effects = super().handle(event, now_ms, stored)
        for sent in [effect for effect in effects if isinstance(effect, do.Deliver)]:
            stream = self.mailbox.streams[sent.stream]
            state = self.devices[stream.device]
            state.cursor = max(state.cursor, stream.sent)
            effects.append(do.PutCursor(stream.device, state.cursor, None))
        return effects


class ForgetsTheUnstored(UserActor):
    """Lets entries go out of its head before they are in the stores."""

    def handle(self, event: ev.Event, now_ms: int, stored: int) -> list[do.Effect]:
        effects = super().handle(event, now_ms, stored)
        self.release(self.head.handled)
        return effects


class TellsTooEarly(UserActor):
    """Tells senders that a message is delivered when it arrives, before any device has it."""

    def handle(self, event: ev.Event, now_ms: int, stored: int) -> list[do.Effect]:
        effects = super().handle(event, now_ms, stored)
        if isinstance(event, ev.RecordArrived) and isinstance(event.record, MessageRecord):
            sender = event.record.sender
            marks = self.marks._receipts.delivered(sender, event.seq)
            if marks is not None and any(isinstance(effect, do.Store) for effect in effects):
                effects.append(do.EmitReceipt(sender, marks.delivered, marks.read))
        return effects


class ReadsAheadOfTheFloor(UserActor):
    """Takes its place in the log from the newest document it finds, not from what was handled."""

    def __init__(self, loaded: ev.Loaded, quotas: Quotas | None = None) -> None:
        super().__init__(loaded, quotas)
        self.head.handled += 1
        self.head.evicted += 1


class SleepsBesideOthers(UserActor):
    """Wakes no device while another one of the user reads."""

    def _wake(self, device: str, cause: str, seq: int, now_ms: int) -> None:
        if not self.mailbox.attached:
            super()._wake(device, cause, seq, now_ms)


class BelievesDeadSockets(UserActor):
    """Takes what went down a stream for received."""

    def _wake(self, device: str, cause: str, seq: int, now_ms: int) -> None:
        if seq:
            super()._wake(device, cause, seq, now_ms)


BUGS = (
    ForgetsRepeats, AcknowledgesForTheDevice, ForgetsTheUnstored, TellsTooEarly, ReadsAheadOfTheFloor,
    SleepsBesideOthers, BelievesDeadSockets,
)  # fmt: skip

SEEN_INSIDE = (ForgetsRepeats, TellsTooEarly, ReadsAheadOfTheFloor)
"""Bugs that contradict what the actor knows itself; the others are right by what it was told."""
