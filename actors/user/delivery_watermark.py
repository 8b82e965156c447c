"""The delivery watermark: how far senders may be told that their messages were delivered.

A message is *delivered* when one device that it was encrypted for has acknowledged it. What senders are told
is one number: all of yours up to here is delivered. With one device that number is its cursor. With several
it is not the greatest cursor, since a device that was added later acknowledges nothing older than itself:

    phone    the first, so its floor is 0         cursor 1010
    laptop   added at 1020, which is its floor    cursor 1040
    gap      1010 < seq <= 1020

The phone lags, and the laptop's cursor says nothing of what was encrypted before it was there. Where an older
device lags behind the floor of a newer one there is a *gap*, and a sender who has a message in it is told no
more than up to the gap: Alice, who wrote 1015 and 1030, is told 1010, and Bob, who wrote 1030 only, 1040.

Invariant: a watermark never covers a message that no device has acknowledged. So where something is not known
(who has a message in a gap, whether older messages were encrypted for a device) it is looked up first, and
`DeliveryWatermark.lacks` says what.
"""

from collections.abc import Iterable, Iterator
from operator import itemgetter

from actors.user import events as ev
from actors.user.devices import Devices
from actors.user.events import Item
from actors.user.head import Head
from storage.records import MessageRecord

Span = tuple[int, int]
"""``after < seq <= upto``."""

_FLOOR = itemgetter(0)


class DeliveryWatermark:
    """The gaps, and who has a message in them.

    Args:
        devices: How far each has acknowledged, and from where on messages can be its.
        head: The entries in memory.
    """

    __slots__ = ("_devices", "_floors_wanted", "_gaps_wanted", "_head", "_senders")

    def __init__(self, devices: Devices, head: Head) -> None:
        self._devices, self._head = devices, head
        self._floors_wanted: dict[Span, list[str]] = {}
        self._gaps_wanted: dict[Span, int] = {}
        # By the end of a gap: from where on it was looked at, and each sender's last number in that part. The
        # end is a device's floor; the beginning only rises, so what was found serves until the gap closes.
        self._senders: dict[int, tuple[int, dict[str, int]]] = {}

    def of(self, sender: str) -> int:
        """Return up to where everything of this sender is acknowledged; `lacks` nothing."""
        gaps, acknowledged = self._walk()
        for after, upto in gaps:
            if self._has_message(sender, after, upto):
                return after
        return acknowledged

    @property
    def has_gaps(self) -> bool:
        """Whether some senders may be told less than others; the exception."""
        return bool(self._walk()[0])

    def _walk(self, acking: str = "", seq: int = 0) -> tuple[list[Span], int]:
        """Return the gaps, lowest first, and the highest acknowledgement that counts.

        Devices are visited by rising floor, and each one's acknowledgements count from its floor on. What it
        acknowledged further than all before it extends what is covered, without a gap if it begins within.

        Args:
            acking: Say how it will be when this device has acknowledged
            seq: up to here.
        """
        if len(self._devices) == 1:
            ((device, state),) = self._devices.items()
            return [], seq if device == acking else state.cursor
        counting = [
            (state.floor, seq if device == acking else state.cursor)
            for device, state in self._devices.items()
            if state.addressable
        ]
        counting.sort(key=_FLOOR)
        gaps: list[Span] = []
        covered = counting[0][1] if counting else 0
        for floor, cursor in counting[1:]:
            if cursor > floor:
                if covered < floor:
                    gaps.append((covered, floor))
                covered = max(covered, cursor)
        return gaps, covered

    # --- what has to be known first ---------------------------------------------------------------

    def lacks(self, acking: str = "", seq: int = 0) -> list[ev.Unknown]:
        """Return what is to be looked up before `of` tells the truth; empty when nothing.

        Args:
            acking: It will be asked when this device has acknowledged
            seq: up to here.
        """
        if len(self._devices) == 1:
            return []
        return self._floors_lack(acking, seq) or self._gaps_lack(acking, seq)

    def learn(self, span: Span, items: tuple[Item, ...]) -> bool:
        """Take the stored entries of a span. False: they were not asked for here."""
        if span in self._floors_wanted:
            for device in self._floors_wanted.pop(span):
                self._find_floor(device, items)
            return True
        upto = self._gaps_wanted.pop(span, None)
        if upto is not None:
            self._senders[upto] = span[0], dict(self._last_of_senders(items))
        return upto is not None

    def _floors_lack(self, acking: str, seq: int) -> list[ev.Unknown]:
        """Return what is to be looked at for devices whose floor was not raised by an actor that knew them.

        Between a device's adding and the first actor that knows it, entries may come that are not for it:
        it has no keys yet, or its sender did not know of it.
        """
        self._floors_wanted = {}
        for device, state in self._devices.items():
            cursor = seq if device == acking else state.cursor
            if state.floor_known or not state.has_keys or cursor <= state.floor:
                continue
            stored = max(self._head.evicted, self._head.loaded_at)
            if stored <= state.floor:
                self._find_floor(device, ())
            else:
                self._floors_wanted.setdefault((state.floor, stored), []).append(device)
        return [ev.SendersUnknown(*span) for span in self._floors_wanted]

    def _find_floor(self, device: str, stored: tuple[Item, ...]) -> None:
        """Raise a device's floor to the last message, of these and those in memory, that is not for it."""
        without = _without(stored, device) + _without(self._head, device)
        self._devices.raise_floor(device, max(without, default=0), 0)

    def added(self, device: str) -> None:
        """Find the floor of an added device: what was encrypted without it is not its to acknowledge."""
        without = _without(self._head, device)
        if without and self._devices[device].addressable:
            self._devices.raise_floor(device, max(without), 0)

    def _gaps_lack(self, acking: str, seq: int) -> list[ev.Unknown]:
        gaps, evicted = self._walk(acking, seq)[0], self._head.evicted
        if not gaps:
            return []
        wanted = {
            (after, min(upto, evicted)): upto
            for after, upto in gaps
            if after < evicted and not self._is_known(after, upto)
        }
        self._gaps_wanted |= wanted
        return [ev.SendersUnknown(*span) for span in wanted]

    # --- who has a message in a gap ---------------------------------------------------------------

    def _is_known(self, after: int, upto: int) -> bool:
        known = self._senders.get(upto)
        return known is not None and known[0] <= after

    def _has_message(self, sender: str, after: int, upto: int) -> bool:
        known = self._senders.get(upto)
        if known is not None and known[1].get(sender, 0) > after:
            return True
        return any(after < item.seq <= upto and self._is_of(item, sender) for item in self._head)

    def _last_of_senders(self, items: tuple[Item, ...]) -> Iterator[tuple[str, int]]:
        for item in items:
            record = item.record
            if isinstance(record, MessageRecord) and self._is_of(item, record.sender):
                yield record.sender, item.seq

    def _is_of(self, item: Item, sender: str) -> bool:
        """Return whether the entry is a message of this sender for a device that still exists."""
        record = item.record
        return (
            isinstance(record, MessageRecord)
            and record.sender == sender
            and not self._devices.keys().isdisjoint(record.payloads)
        )


def _without(items: Iterable[Item], device: str) -> list[int]:
    """Return the messages that were not encrypted for this device."""
    return [
        item.seq
        for item in items
        if isinstance(item.record, MessageRecord)
        and not item.record.to_self
        and device not in item.record.payloads
    ]
