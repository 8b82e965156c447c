"""What really happened to wake-ups: what came before what of messages, devices that were heard, wake-ups."""

from collections import defaultdict
from collections.abc import Iterable
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
        self._came: dict[tuple[str, int], int] = {}
        self._heard: dict[str, list[int]] = defaultdict(list)
        self._asked: dict[str, int] = {}
        self._renewed: dict[str, int] = {}
        self._forgotten: dict[str, int] = {}
        self._lost: dict[str, int] = {}

    def handled(self, user: str, event: ev.Event, effects: list[do.Effect]) -> None:
        """An actor has handled an event."""
        if isinstance(event, ev.RecordArrived) and isinstance(event.record, MessageRecord):
            self._came.setdefault((user, event.seq), next(self._order))
        elif isinstance(event, _OF_DEVICE) and not any(isinstance(each, _REFUSED) for each in effects):
            self._heard[event.device].append(next(self._order))

    def asked(self, value: bytes) -> None:
        """The log has taken a wake-up."""
        self._asked[decode_push(value).device] = next(self._order)

    def renewed(self, device: str) -> None:
        """A device has a new push token: what was asked for before went to another one, or to none."""
        self._renewed[device] = next(self._order)

    def forgotten(self, users: Iterable[str]) -> None:
        """A host has forgotten all that it knew of these users."""
        self._forgotten.update(dict.fromkeys(users, next(self._order)))

    def lost(self, users: Iterable[str]) -> None:
        """The log of these users is gone: no host is told again of what it held."""
        self._lost.update(dict.fromkeys(users, next(self._order)))

    def covered(self, user: str, device: str, seq: int) -> bool:
        """Return whether a device was woken for a message that it did not acknowledge.

        A wake-up from before the message covers it if the device was not heard in between: it is pending. A
        host that is killed, or loses its shard, forgets that a message is on its way to a device that reads.
        A gateway attaches the device's stream again, and so the next host learns of it, but not if the stream
        ends in just that moment: then the next message wakes. The same if log and host are lost, and the host
        had stored the message and not asked yet: its successor is not told of it.
        """
        came = self._came[user, seq]
        before = [order for order in self._heard[device] if order < came]
        woken = self._asked.get(device, 0) > max(*before, self._renewed.get(device, 0), 0)
        untold = bool(before) or self._lost.get(user, 0) > came
        return woken or (untold and self._forgotten.get(user, 0) > came)
