"""What one user's actor knows, and the small steps that all its parts share."""

from collections.abc import Iterable

from msgspec import structs

from actors.user import effects as do
from actors.user import events as ev
from actors.user.events import Item
from actors.user.presence import Presence, may_see
from actors.user.receipts import Peer, Receipts
from actors.user.repeats import Repeats
from actors.user.view import Head, Poll, Stream
from storage.records import NO_FLOOR, Conversation, Device, User

WAKE_AGAIN_MS = 600_000
"""A wake-up that brought nobody back is repeated, with the next message, after this long."""

EXPECTED_MS = 5_000
"""So long after it was loaded an actor keeps what devices that were attached before will ask for."""


class DeviceState:
    """What the actor knows of one device.

    Attributes:
        cursor: Everything up to here is safely on the device.
        floor: No message up to here counts as encrypted for it.
        floor_known: The floor counts in every message since the device was added, also those that were
            handled before the actor knew the device.
        has_keys: It has keys, so messages are encrypted for it. Before that nobody need know its floor.
        pushable: It has a push token.
        woken_at_ms: When a wake-up was written that has not brought it back yet; None: unknown
            since activation; 0: none pending.
    """

    def __init__(self, device: Device, cursor: int) -> None:
        self.cursor = cursor
        self.floor = max(device.from_seq, device.floor)
        self.floor_known = device.floor != NO_FLOOR
        self.has_keys = device.keys is not None
        self.pushable = device.push_token is not None
        self.woken_at_ms: int | None = None

    @property
    def addressable(self) -> bool:
        """Whether what it acknowledges can be a message that was encrypted for it."""
        return self.has_keys or self.floor_known


class State:
    """One user's mailbox head, devices, readers, conversations and presence."""

    def __init__(self, loaded: ev.Loaded) -> None:
        self.user: User = loaded.user
        self.head = Head(loaded.handled, loaded.tail)
        self._others_handled = loaded.handled
        self._expecting = len(loaded.devices) == 1 and bool(loaded.recent)
        self._expected_until_ms = 0
        if self._expecting:
            self.head.recall(loaded.recent, loaded.rows)
        self._devices = loaded.devices
        self.devices = {
            d.device: DeviceState(d, loaded.cursors.get(d.device, d.from_seq)) for d in loaded.devices
        }
        self.streams: dict[int, Stream] = {}
        self.polls: dict[object, Poll] = {}
        self.blocks = {block.peer: block for block in loaded.blocks}
        self.repeats = Repeats(loaded.newest)
        self.rows = {row.peer: row for row in loaded.rows}
        self.receipts = Receipts(loaded.rows)
        self.presence = Presence(loaded.user.last_seen_ms)
        self.watchers: set[str] = set()
        self._cursor_facts: dict[int, bool] = {}
        self._repeat_facts: dict[tuple[str, str], int] = {}
        self._item_facts: dict[tuple[int, int], tuple[Item, ...]] = {}
        self._floors_wanted: dict[tuple[int, int], list[str]] = {}
        self._gaps_wanted: dict[tuple[int, int], int] = {}
        self._gap_facts: dict[int, tuple[int, dict[str, int]]] = {}
        self._now_ms = 0
        self._stored = loaded.handled
        self._out: list[do.Effect] = []
        self._learned: list[do.Effect] = []  # what follows from facts, to be done with the next event

    @property
    def idle(self) -> bool:
        """Whether the actor could be forgotten: nobody is attached and all it knows is in the stores."""
        return (
            not self.streams
            and not self.polls
            and not self.watchers
            and self.presence.offline_at_ms is None
            and len(self.head) == 0
        )

    def snapshot(self) -> ev.Loaded:
        """Return what an idle actor can be made anew from, as long as no record of its user follows."""
        user = structs.replace(self.user, last_seen_ms=self.presence.last_seen_ms)
        return ev.Loaded(
            user=user,
            devices=tuple(self._as_known(device) for device in self._devices),
            cursors={device: state.cursor for device, state in self.devices.items()},
            blocks=tuple(self.blocks.values()),
            rows=tuple(self.rows.values()),
            newest=self.repeats.newest,
            tail=self.head.tail,
            handled=self.head.handled,
        )

    def _as_known(self, device: Device) -> Device:
        state = self.devices[device.device]
        # A message may tell of keys before who took them does, or instead of it. Nobody here looks into them.
        keys = device.keys if device.keys is not None or not state.has_keys else {}
        return structs.replace(device, keys=keys, floor=state.floor if state.floor_known else NO_FLOOR)

    def _set_floor(self, device: str, floor: int, seq: int) -> do.PutFloor:
        """Set a device's floor; every message up to it has been counted in."""
        state = self.devices[device]
        state.floor, state.floor_known = floor, True
        return do.PutFloor(device, floor, seq)

    def _put_row(self, row: Conversation, seq: int, token: object = None) -> None:
        self.rows[row.peer] = row
        self._out.append(do.PutRow(row, seq, token))

    def _is_blocked(self, peer: str, seq: int) -> bool:
        block = self.blocks.get(peer)
        return (
            block is not None
            and block.since_seq <= seq
            and (block.until_seq is None or seq < block.until_seq)
        )

    def _stream_of(self, device: str) -> Stream | None:
        return next((s for s in self.streams.values() if s.device == device), None)

    def _attached(self) -> bool:
        return bool(self.streams or self.polls)

    def _came(self, device: str, state: DeviceState) -> None:
        if state.pushable and state.woken_at_ms != 0:
            self._out.append(do.ClearWakeup(device))
        state.woken_at_ms = 0

    def _wake(self, devices: Iterable[str], cause: str, seq: int, *, urgent: bool) -> None:
        for device in devices:
            state = self.devices.get(device)
            if state is None or not state.pushable or not urgent:
                continue
            if state.woken_at_ms and self._now_ms - state.woken_at_ms < WAKE_AGAIN_MS:
                continue
            state.woken_at_ms = self._now_ms
            self._out.append(do.Wake(device, cause, seq, urgent))

    def _last_seq(self) -> int:
        items = self.head.after(self.head.evicted)
        return items[-1].seq if items else self.head.evicted

    def _tell(self, peer: str, marks: Peer | None, token: object = None) -> bool:
        """Tell a peer, unless it is blocked; says whether it is told."""
        if marks is None or self._is_blocked(peer, self.head.handled + 1):
            return False
        self._out.append(do.EmitReceipt(peer, marks.delivered, marks.read, token))
        return True

    def _refuse(self, token: object, code: str, detail: str) -> None:
        if token is not None:
            self._out.append(do.Refuse(token, code, detail))

    def _needed_after(self) -> int:
        """Return the lowest position that somebody attached still reads or acknowledges from.

        For a moment after the loading everybody counts: who was attached before comes again.
        """
        attached = {reader.device for reader in (*self.streams.values(), *self.polls.values())}
        if self._expecting:
            self._expected_until_ms = self._expected_until_ms or self._now_ms + EXPECTED_MS
            self._expecting = self._now_ms < self._expected_until_ms
        if self._expecting:
            attached.update(self.devices)
        return min((self.devices[d].cursor for d in attached if d in self.devices), default=self.head.handled)

    def _visible_to(self, watcher: str) -> bool:
        return may_see(
            self.user.last_seen,
            contact=watcher in self.rows,
            blocked=self._is_blocked(watcher, self.head.handled + 1),
        )

    def _tell_presence(self, watcher: str) -> None:
        online, last_seen = self.presence.seen_by(allowed=self._visible_to(watcher))
        self._out.append(do.TellPresence(watcher, online, last_seen))

    def _announce(self) -> None:
        self._out.append(do.PresenceChanged(self.presence.online, self._now_ms))
        for watcher in sorted(self.watchers):
            self._tell_presence(watcher)
