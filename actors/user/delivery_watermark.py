"""How far senders may be told that their messages were delivered, when devices came at different times.

A message is delivered when one device that it was encrypted for has acknowledged it. A device that
was added later acknowledges nothing older than itself: where an older device lags behind that point,
there is a *gap*, and who has a message in it is told no more than up to the gap.
"""

from collections.abc import Iterator

from actors.user import events as ev
from actors.user.events import Item
from actors.user.state import State
from storage.records import MessageRecord

Gap = tuple[int, int]
"""``after < seq <= upto``: acknowledged by no device that existed then."""


class Coverage(State):
    """The gaps, and who has a message in them."""

    def _gaps(self) -> list[Gap]:
        """Return the gaps, lowest first; none is the rule."""
        return self._walk()[0]

    def _reached(self) -> int:
        """Return the highest acknowledgement of a device for something that was encrypted for it."""
        return self._walk()[1]

    def _walk(self) -> tuple[list[Gap], int]:
        if len(self.devices) == 1:
            (state,) = self.devices.values()
            return [], state.cursor
        found: list[Gap] = []
        counting = (state for state in self.devices.values() if state.addressable)
        states = sorted(counting, key=lambda state: state.floor)
        reached = states[0].cursor if states else 0
        for state in states[1:]:
            if state.cursor > state.floor:
                if reached < state.floor:
                    found.append((reached, state.floor))
                reached = max(reached, state.cursor)
        return found, reached

    def _floors_lack(self) -> list[ev.Unknown]:
        """Return what is to be looked at for devices whose floor was not raised by an actor that knew them.

        Between a device's adding and the first actor that knows it, entries may come that are not for it:
        it has no keys yet, or its sender did not know of it.
        """
        if len(self.devices) == 1:
            return []
        self._floors_wanted = {}
        for device, state in self.devices.items():
            if state.floor_known or not state.has_keys or state.cursor <= state.floor:
                continue
            stored = max(self.head.evicted, self._others_handled)
            if stored <= state.floor:
                self._learn_floor(device, ())
            else:
                self._floors_wanted.setdefault((state.floor, stored), []).append(device)
        return [ev.SendersUnknown(*span) for span in self._floors_wanted]

    def _learn_floors(self, span: tuple[int, int], items: tuple[Item, ...]) -> bool:
        """Raise the floors of the devices that asked for this span. False: none did."""
        devices = self._floors_wanted.pop(span, [])
        for device in devices:
            self._learn_floor(device, items)
        return bool(devices)

    def _learn_floor(self, device: str, stored: tuple[Item, ...]) -> None:
        without = [item.seq for item in stored if is_without(item, device)]
        floor = max([self.devices[device].floor, *without, *self._without(device)])
        self._learned.append(self._set_floor(device, floor, 0))

    def _without(self, device: str) -> list[int]:
        """Return the messages in memory that were not encrypted for this device."""
        return [item.seq for item in self.head if is_without(item, device)]

    def _gaps_lack(self) -> list[ev.Unknown]:
        if lacking := self._floors_lack():
            return lacking
        wanted = {
            (after, min(upto, self.head.evicted)): upto
            for after, upto in self._gaps()
            if after < self.head.evicted and not self._gap_known(after, upto)
        }
        self._gaps_wanted |= wanted
        return [ev.SendersUnknown(*span) for span in wanted]

    def _covered(self, sender: str) -> int:
        """Return up to where everything of this sender is acknowledged."""
        for after, upto in self._gaps():
            if self._in_gap(sender, after, upto):
                return after
        return self._reached()

    def _in_gap(self, sender: str, after: int, upto: int) -> bool:
        known = self._gap_facts.get(upto)
        if known is not None and known[1].get(sender, 0) > after:
            return True
        return any(after < item.seq <= upto and self._is_of(item, sender) for item in self.head)

    def _gap_known(self, after: int, upto: int) -> bool:
        known = self._gap_facts.get(upto)
        return known is not None and known[0] <= after

    def _learn_gap(self, span: tuple[int, int], items: tuple[Item, ...]) -> bool:
        """Keep of the entries of a gap what counts: each sender's last number. False: nobody asked for it."""
        upto = self._gaps_wanted.pop(span, None)
        if upto is None:
            return False
        self._gap_facts[upto] = (span[0], dict(self._last_of_senders(items)))
        return True

    def _last_of_senders(self, items: tuple[Item, ...]) -> Iterator[tuple[str, int]]:
        for item in items:
            record = item.record
            if isinstance(record, MessageRecord) and self._is_of(item, record.sender):
                yield record.sender, item.seq

    def _is_of(self, item: Item, sender: str) -> bool:
        """Say whether the entry is a message of this sender for a device that still exists."""
        record = item.record
        return (
            isinstance(record, MessageRecord)
            and record.sender == sender
            and not self.devices.keys().isdisjoint(record.payloads)
        )


def is_without(item: Item, device: str) -> bool:
    """Say whether the entry is a message that was not encrypted for this device."""
    return isinstance(item.record, MessageRecord) and device not in item.record.payloads
