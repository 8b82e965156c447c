"""What really happened to wake-ups: what came before what of messages, devices that were heard, wake-ups."""

from collections import defaultdict
from itertools import count

from actors.user import effects as do
from actors.user import events as ev
from storage.records import MessageRecord, decode_push

_OF_DEVICE = (ev.StreamAttached, ev.SyncAsked, ev.Acked)
_REFUSED = (do.Close, do.Refuse)


class Wakeups:
    """The order in which hosts heard of messages and devices, and in which the log got wake-ups."""

    def __init__(self) -> None:
        self._order = count(1)
        self._came: dict[tuple[str, int], tuple[int, str]] = {}
        self._heard: dict[str, list[tuple[int, str]]] = defaultdict(list)
        self._asked: dict[str, int] = {}

    def handled(self, life: str, user: str, event: ev.Event, effects: list[do.Effect]) -> None:
        """An actor has handled an event, in this life of a host."""
        if isinstance(event, ev.RecordArrived) and isinstance(event.record, MessageRecord):
            self._came.setdefault((user, event.seq), (next(self._order), life))
        elif isinstance(event, _OF_DEVICE) and not any(isinstance(each, _REFUSED) for each in effects):
            self._heard[event.device].append((next(self._order), life))

    def asked(self, value: bytes) -> None:
        """The log has taken a wake-up."""
        self._asked[decode_push(value).device] = next(self._order)

    def covered(self, user: str, device: str, seq: int, serving: str) -> bool:
        """Return whether a device was woken for a message that it did not acknowledge.

        A wake-up from before the message covers it if the device was not heard in between: it is pending. The
        host that knew the device as a reader, and went with that knowledge, excuses what it had handled then.
        """
        came, life = self._came[user, seq]
        before = [order for order, _ in self._heard[device] if order < came]
        if self._asked.get(device, 0) > max(before, default=0):
            return True
        reader = self._heard[device][-1][1] if self._heard[device] else serving
        return reader != serving and reader == life
