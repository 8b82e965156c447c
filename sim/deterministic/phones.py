"""A phone of the run: the SDK's core, the shell around it, and an app that can be killed at any step.

The shell does what `roost.client.shell.engine` does: nothing leaves before it is saved, an
acknowledgement leaves when the app has taken what it covers.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec

from roost import wire
from roost.client import events
from roost.client.core import Session
from roost.client.effects import Batch, Check, Effect, Incoming, Requery, Resync, Seal, Take, Tell, Write
from roost.client.state import OutboxItem, State
from roost.codes import CODES
from roost.ids import uuid7
from sim.deterministic.invariants import Truth
from sim.deterministic.polls import Polling
from sim.deterministic.sockets import CODEC, Socket

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(State).decode

Devices = Callable[[str], list[str]]
"""Returns the devices of a user as the phone's key query finds them."""


class Phone:
    """One device of one user.

    Attributes:
        socket: The connection, None while there is none.
        queue: Told by the core, not taken by the app yet.
        checks: Questions about messages that are in flight.
    """

    def __init__(self, user: str, device: str, truth: Truth, devices: Devices) -> None:
        self.user, self.device = user, device
        self.skew_ms = 0
        self._truth = truth
        self._devices = devices
        self._ids = 0
        self.saved = _encode(State())
        self._known_saved: dict[str, list[str]] = {}
        self.start()

    # --- life ---

    def start(self) -> None:
        """Begin from what was saved."""
        self.session = Session(_decode(self.saved))
        self._known = dict(self._known_saved)
        self.socket: Socket | Polling | None = None
        self.queue: deque[tuple[events.Event | None, int]] = deque()
        self.checks: list[Check] = []
        self._out: list[wire.ClientFrame] = []
        self._resync = False

    def kill(self, now_ms: int) -> None:
        """Kill the app: what was not saved is gone."""
        self.hang_up(now_ms)
        self._truth.killed(self.device)
        self.start()

    # --- the app ---

    def say(self, to: str, now_ms: int, expires_s: int = 0) -> None:
        """Send a message, which disappears after so many seconds, if any."""
        self._ids += 1
        message_id = uuid7(
            now_ms + self.skew_ms,
            self._ids.to_bytes(4, "big") + self.device[:3].encode() + self.device[-3:].encode(),
        )
        content = f"{self.device} {self._ids}".encode()
        self._truth.meant(self.device, to, message_id, content, expires_ms=expires_s * 1000)
        item = OutboxItem(0, message_id, to, now_ms, content, expires_in_s=expires_s or None)
        self.apply(self.session.submit(item, now_ms), now_ms)

    def take(self, count: int, now_ms: int) -> bool:
        """Let the app take some of what it was told."""
        for _ in range(min(count, len(self.queue))):
            event, seq = self.queue.popleft()
            if event is not None:
                self._truth.told(self.device, event)
            if seq:
                self.session.taken(seq, now_ms)
        return bool(count)

    def mark_read(self, peer: str, now_ms: int) -> bool:
        """Mark everything that the app has of a peer as read."""
        seq = self._truth.mark_read(self.device, peer)
        if not seq:
            return False
        self.apply(self.session.read(peer, seq, now_ms), now_ms)
        return True

    def flush(self) -> None:
        """Save, then write what is due (as the engine at the end of a turn of its loop)."""
        ack = self.session.ack_due()
        if ack is not None:
            self._out.append(ack)
        frames, self._out = self._out, []
        self.saved, self._known_saved = _encode(self.session.state), dict(self._known)
        self._truth.saved(self.device, self.session.state)
        if self.socket is not None and self.session.open:
            self.socket.up += [CODEC.encode(frame) for frame in frames]

    # --- the connection ---

    def connect(self, socket: Socket | Polling, *, background: bool = False) -> None:
        """Say hello on a new connection."""
        self.socket = socket
        socket.up.append(CODEC.encode(wire.Hello("token", self.session.cursor, background)))

    def read(self, count: int, now_ms: int) -> bool:
        """Read some of the server's frames."""
        socket = self.socket
        if socket is None or not socket.down:
            return False
        for _ in range(min(count, len(socket.down))):
            data = socket.down.pop(0)
            if not isinstance(data, bytes):
                self._closed(data.code, now_ms)
                return True
            self._frame(CODEC.decode_server(data), now_ms)
            if self._resync:
                self.hang_up(now_ms)
                return True
        return True

    def _frame(self, frame: wire.ServerFrame, now_ms: int) -> None:
        incoming: Incoming = frame
        if isinstance(frame, wire.Entries):
            batch = Batch([CODEC.decode_entry(raw) for raw in frame.entries])
            for entry in batch.entries:
                self._truth.arrived(self.user, self.device, entry)
            incoming = batch
        elif isinstance(frame, wire.Missed):
            self._truth.missed(self.device)
        elif isinstance(frame, wire.Drained):
            self._truth.ended(self.user, self.device, frame)
        elif isinstance(frame, wire.Ready):
            self._truth.ready(self.device, frame.cursor)
        self.apply(self.session.received(incoming, now_ms), now_ms)

    def _closed(self, code: int, now_ms: int) -> None:
        self.hang_up(now_ms)
        if code == CODES["cursor_invalid"].close:
            self._truth.cursor_refused(self.device)
            self.session.lose_cursor()

    def hang_up(self, now_ms: int) -> bool:
        """The connection is gone, for the phone; what it has not read is lost."""
        if self.socket is None:
            return False
        self.socket.left, self.socket = True, None
        self._out.clear()
        self._resync = False
        self.session.closed(now_ms)
        return True

    # --- the shell ---

    def apply(self, effects: list[Effect], now_ms: int) -> None:
        """Perform what the core asks for."""
        for effect in effects:
            match effect:
                case Write(frame=frame):
                    self._out.append(frame)
                case Take():
                    self._take(effect)
                case Tell(event=event):
                    self.queue.append((event, 0))
                case Seal():
                    self._seal(effect, now_ms)
                case Check():
                    self.checks.append(effect)
                case Requery(peer=peer):
                    self._known.pop(peer, None)
                case Resync():
                    self._truth.gap(self.device)
                    self._resync = True
                case _:
                    continue

    def _take(self, take: Take) -> None:
        if take.entry is None:
            self.queue.extend((event, 0) for event in take.events)
            self.queue.append((None, take.seq))
        elif self.session.is_repeat(take.entry):
            self.queue.append((None, take.seq))
        else:
            if take.entry.payload is not None:
                self.session.telling(take.entry)
            self.queue.append((_told(take.entry), take.seq))

    def _seal(self, seal: Seal, now_ms: int) -> None:
        item = seal.item
        if seal.refresh or item.to not in self._known:
            self._known[item.to] = self._devices(item.to)
        if seal.own:
            self._known[self.user] = self._devices(self.user)
        payloads = self._sealed(item, item.to)
        own = None if item.to == self.user else self._sealed(item, self.user)
        self._truth.sealed(own)
        self.apply(self.session.outbox.sealed(item.id, payloads, now_ms, own), now_ms)

    def _sealed(self, item: OutboxItem, user: str) -> dict[str, bytes]:
        devices = [device for device in self._known.get(user, ()) if device != self.device]
        return dict.fromkeys(devices, item.content)

    def checked(self, check: Check, answer: dict[str, Any] | None, now_ms: int) -> None:
        """Tell the outbox what the server knows of a message."""
        self.apply(self.session.outbox.checked(check.id, answer, now_ms), now_ms)

    def unchecked(self, check: Check, now_ms: int) -> None:
        """Tell the outbox that there was no answer."""
        self.session.outbox.unchecked(check.id, now_ms)

    def tick(self, now_ms: int) -> None:
        """Let time pass."""
        self.apply(self.session.tick(now_ms), now_ms)


def _told(entry: wire.MessageEntry | wire.SentEntry) -> events.Event:
    """Return what the app is told of a message, or of the copy of one."""
    if isinstance(entry, wire.SentEntry):
        return events.SentElsewhere(
            entry.id, entry.to, entry.from_device, entry.to_seq, entry.sent_at_ms, content=entry.payload
        )
    return events.MessageReceived(
        entry.from_, entry.from_device, entry.id, entry.seq, entry.payload, entry.sent_at_ms, entry.at_ms
    )
