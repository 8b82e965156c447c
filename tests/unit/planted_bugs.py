"""User actors with one rule broken each, for the deterministic runs to find."""

from typing import Any

from actors.user import UserActor
from actors.user import effects as do
from actors.user import events as ev
from storage.records import MessageRecord


class ForgetsRepeats(UserActor):
    """Takes every repeat for a new message."""

    def _is_repeat(self, _record: MessageRecord) -> bool | None:
        return False


class AcknowledgesForTheDevice(UserActor):
    """Moves a device's cursor when an entry is sent, not when it is acknowledged."""

    def _deliver(self, stream: Any, taken: Any) -> None:
        super()._deliver(stream, taken)
        if taken:
            state = self.devices[stream.device]
            state.cursor = max(state.cursor, stream.sent)
            self._out.append(do.PutCursor(stream.device, state.cursor, None))


class ForgetsTheUnstored(UserActor):
    """Lets entries go out of its head before they are in the stores."""

    def handle(self, event: ev.Event, now_ms: int, stored: int) -> list[do.Effect]:
        effects = super().handle(event, now_ms, stored)
        self.head.trim(self.head.handled, self.head.handled, 0)
        return effects


class TellsTooEarly(UserActor):
    """Tells senders that a message is delivered when it arrives, before any device has it."""

    def _message(self, seq: int, record: MessageRecord, value: bytes) -> None:
        super()._message(seq, record, value)
        self._tell(record.sender, self.receipts.delivered(record.sender, seq))


class ReadsAheadOfTheFloor(UserActor):
    """Takes its place in the log from the newest document it finds, not from what was handled."""

    def __init__(self, loaded: ev.Loaded) -> None:
        super().__init__(loaded)
        self.head.handled += 1
        self.head.evicted += 1


BUGS = (ForgetsRepeats, AcknowledgesForTheDevice, ForgetsTheUnstored, TellsTooEarly, ReadsAheadOfTheFloor)
