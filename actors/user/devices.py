"""A user's devices: how far each has acknowledged, which messages can be its, whether to wake it."""

from msgspec import structs

from actors.user import effects as do
from actors.user import events as ev
from actors.user.errors import InvariantError
from actors.user.head import Head
from storage.account_rows import NO_FLOOR, Device
from storage.records import MessageRecord

WAKE_AGAIN_MS = 600_000
"""A wake-up that did not bring the device back is repeated, with the next message, after this long."""


def _token_since(device: Device) -> int | None:
    return None if device.push_token is None else device.push_since_ms


class DeviceState:
    """What the actor knows of one device.

    Attributes:
        cursor: Everything up to here is safely on the device.
        floor: No message up to here counts as encrypted for it.
        floor_known: The floor counts in every message since the device was added, also those that were
            handled before the actor knew the device.
        has_keys: It has keys, so messages are encrypted for it. Before that its floor does not matter.
        token_since_ms: When its push token was registered, None: it has none.
        urgent_seq: The newest message that it may be woken for. Of those that came before the actor knew the
            device, and are in the stores only, any may be one.
        woken_at_ms: When a wake-up was written that has not brought it back yet; None: unknown
            since activation; 0: none pending.
    """

    __slots__ = ("cursor", "floor", "floor_known", "has_keys", "token_since_ms", "urgent_seq", "woken_at_ms")

    def __init__(self, device: Device, cursor: int, tail: int) -> None:
        self.cursor = cursor
        self.floor = max(device.from_seq, device.floor)
        self.floor_known = device.floor != NO_FLOOR
        self.has_keys = device.keys is not None
        self.token_since_ms = _token_since(device)
        self.woken_at_ms: int | None = None
        self.urgent_seq = tail if self.has_keys and cursor < tail else 0

    @property
    def pushable(self) -> bool:
        """Whether it has a push token."""
        return self.token_since_ms is not None

    @property
    def addressable(self) -> bool:
        """Whether what it acknowledges can be a message that was encrypted for it."""
        return self.has_keys or self.floor_known


def _added(device: Device, head: Head) -> DeviceState:
    """Return the state of a device that the actor did not know, with regard to what came meanwhile."""
    state = DeviceState(device, device.from_seq, head.tail if device.from_seq < head.evicted else 0)
    for item in head.after(state.cursor):
        record = item.record
        if isinstance(record, MessageRecord) and record.urgent and device.device in record.payloads:
            state.urgent_seq = item.seq
    return state


class Devices(dict[str, DeviceState]):
    """The devices of one user, by id.

    Args:
        loaded: What the actor starts from.
        out: Effects go here.

    Attributes:
        pushable: One of them has a push token.
    """

    __slots__ = ("_out", "_stored", "pushable")

    def __init__(self, loaded: ev.Loaded, out: list[do.Effect]) -> None:
        super().__init__(
            (each.device, DeviceState(each, loaded.cursors.get(each.device, each.from_seq), loaded.tail))
            for each in loaded.devices
        )
        self._out = out
        self._stored = loaded.devices
        self.pushable = any(state.pushable for state in self.values())

    def refresh(self, devices: tuple[Device, ...], renewed: str, head: Head) -> tuple[list[str], list[str]]:
        """Take the devices as they are stored now.

        Args:
            devices: All of them.
            renewed: One whose push token is new; the actor may have been loaded with it.
            head: What came before an added one was known.

        Returns:
            Which were added, and which have a new token.
        """
        known = dict(self)
        self._stored = devices
        self.clear()
        fresh: list[str] = []
        for each in devices:
            state = self[each.device] = known.get(each.device) or _added(each, head)
            state.has_keys = state.has_keys or each.keys is not None
            before, state.token_since_ms = state.token_since_ms, _token_since(each)
            is_new = each.device not in known or before != state.token_since_ms
            loaded_new = each.device == renewed and not state.woken_at_ms
            if state.pushable and (is_new or loaded_new):
                state.woken_at_ms = 0  # whatever is pending went to the token before
                fresh.append(each.device)
        self.pushable = any(state.pushable for state in self.values())
        return [device for device in self if device not in known], fresh

    def snapshot(self) -> tuple[Device, ...]:
        """Return the devices as they would be stored if all that is known of them were."""
        return tuple(self._as_known(each) for each in self._stored)

    def _as_known(self, device: Device) -> Device:
        state = self[device.device]
        # A message may tell of keys before who took them does, or instead of it. Nothing here reads them.
        keys = device.keys if device.keys is not None or not state.has_keys else {}
        floor = state.floor if state.floor_known else NO_FLOOR
        return structs.replace(device, keys=keys, floor=floor)

    def lowest_cursor(self, default: int) -> int:
        """Return up to where every device has acknowledged."""
        return min((state.cursor for state in self.values()), default=default)

    def highest_cursor(self) -> int:
        """Return up to where some device has acknowledged."""
        return max((state.cursor for state in self.values()), default=0)

    def arrived(self, seq: int, record: MessageRecord) -> bool:
        """A message became an entry: raise the floors of devices it was not encrypted for.

        What the user's devices write to each other is encrypted now for these, now for those, and no floor is
        raised for it.

        Returns:
            Whether a device acknowledged it before the actor was loaded.
        """
        acknowledged = False
        for device, state in self.items():
            if device in record.payloads:
                state.has_keys = True
                if record.urgent:
                    state.urgent_seq = seq
                acknowledged = acknowledged or state.cursor >= seq
            elif state.addressable and not record.to_self:
                self.raise_floor(device, seq, seq)
        return acknowledged

    def raise_floor(self, device: str, floor: int, seq: int) -> None:
        """Raise a device's floor; every message up to it has been counted in.

        A replay brings messages that were counted in before: then it is high enough.

        Args:
            device: Whose.
            floor: What it is to be at least.
            seq: The record that is the reason, 0 if none is.
        """
        state = self[device]
        if floor > state.floor or not state.floor_known:
            state.floor, state.floor_known = max(floor, state.floor), True
            self._out.append(do.PutFloor(device, state.floor, seq))

    def returned(self, device: str) -> None:
        """The device reads again: it may be woken again later."""
        state = self[device]
        if state.pushable and state.woken_at_ms != 0:
            self._out.append(do.ClearWakeup(device))
        state.woken_at_ms = 0

    def may_be_woken(self, device: str, now_ms: int) -> bool:
        """Return whether the device has a push token, and no wake-up is pending."""
        state = self.get(device)
        if state is None or state.token_since_ms is None:
            return False
        return not state.woken_at_ms or now_ms - state.woken_at_ms >= WAKE_AGAIN_MS

    def wake(self, device: str, cause: str, seq: int, now_ms: int, held: do.Held) -> None:
        """Write a wake-up for a device that may be woken.

        Args:
            device: Which.
            cause: The message's id, '' if it was no message.
            seq: The record that is the reason, 0 if none is.
            now_ms: Unix time.
            held: See `effects.Wake`.
        """
        state = self[device]
        fresh = state.woken_at_ms is not None
        state.woken_at_ms = now_ms
        self._out.append(do.Wake(device, cause, seq, urgent=True, fresh=fresh, held=held))

    def check(self) -> None:
        """Raise `InvariantError` if these are not the stored devices, or a number is none of a mailbox."""
        if list(self) != [each.device for each in self._stored]:
            raise InvariantError(f"The devices are {list(self)}, and not {[d.device for d in self._stored]}.")
        for device, state in self.items():
            if state.cursor < 0 or state.floor < 0:
                raise InvariantError(f"Device {device} has cursor {state.cursor}, floor {state.floor}.")
