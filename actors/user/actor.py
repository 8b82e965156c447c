"""The actor of one user: hands each event to the parts that it concerns."""

from collections.abc import Callable
from typing import Any, ClassVar

from msgspec import structs

from actors.user import effects as do
from actors.user import events as ev
from actors.user import invariants
from actors.user.delivery_marks import DeliveryMarks
from actors.user.devices import Devices
from actors.user.events import Item
from actors.user.head import Head
from actors.user.mailbox import Mailbox
from actors.user.peers import Peers
from actors.user.positions import Positions
from actors.user.presence import Presence
from actors.user.quota import Quota, Quotas
from actors.user.records import Records
from actors.user.repeats import Repeats
from storage.account_rows import User
from storage.records import ReceiptRecord


class UserActor:
    """One user, whole: events in, effects out.

    Attributes:
        head: The newest entries of the mailbox.
        devices: How far each device has acknowledged.
        peers: Conversations, blocks, and the account with its settings.
        mailbox: Who reads the entries.
        marks: What senders are told.
        repeats: Which messages the mailbox holds already.
        presence: Whether the user is online, and who is told.
        quota: How much others may still send.
    """

    __slots__ = (
        "_out", "_past", "_positions", "_records",
        "devices", "head", "mailbox", "marks", "peers", "presence", "quota", "repeats",
    )  # fmt: skip

    def __init__(self, loaded: ev.Loaded, quotas: Quotas | None = None) -> None:
        out: list[do.Effect] = []
        self._out = out  # shared by all parts: what `handle` returns, in order
        self.head = Head(loaded.handled, loaded.tail, loaded.totals)
        expecting = len(loaded.devices) == 1 and bool(loaded.recent)
        if expecting:
            self.head.recall(loaded.recent, loaded.rows)
        self.devices = Devices(loaded, out)
        self.peers = Peers(loaded, self.head, out)
        self._positions = Positions(self.head, self.devices, self.peers)
        self.mailbox = Mailbox(self.head, self.devices, self._positions, out, expecting=expecting)
        self.marks = DeliveryMarks(self.devices, self.peers, self.head, out)
        self.repeats = Repeats(loaded.newest)
        self.quota = Quota(loaded, self.peers, quotas or Quotas(), out)
        self._records = Records(
            self.head, self.devices, self.peers, self.marks, self.repeats, self.quota, out
        )
        self.presence = Presence(self.peers, out)
        self._past: invariants.Past | None = None

    # --- the host's side --------------------------------------------------------------------------

    def lacks(self, event: ev.Event) -> list[ev.Unknown]:
        """Return what the event needs from the stores before it can be handled; empty when nothing."""
        ask = self._LACKS.get(type(event))
        return [] if ask is None else ask(self, event)

    def learn(self, facts: ev.Facts) -> None:
        """Take the answers. What follows from them is done with the next event."""
        self.repeats.learn(facts.repeats)
        self._positions.learn(facts.cursors)
        for after, upto, items in facts.items:
            self.marks.learn((after, upto), items)

    def handle(self, event: ev.Event, now_ms: int, stored: int) -> list[do.Effect]:
        """Handle one event that `lacks` nothing.

        Args:
            event: What happened.
            now_ms: Unix time.
            stored: Every record of the shard up to this seq is in the stores.
        """
        try:
            self._HANDLERS[type(event)](self, event, now_ms)
            self.mailbox.trim(stored, now_ms)
            return self._out.copy()
        finally:
            self._out.clear()

    def check(self) -> None:
        """Raise `InvariantError`, with a sentence, if something that always holds does not."""
        if self._past is None:
            self._past = invariants.Past()
        parts = invariants.Parts(
            self.head,
            self.devices,
            self.peers,
            self.mailbox,
            self.marks,
            self.repeats,
            self.presence,
            self.quota,
        )
        invariants.check(parts, self._past)

    def release(self, stored: int) -> None:
        """Let go of all entries up to ``stored``, which are stored and not waited for."""
        self.head.trim(stored, self.head.handled, 0)

    @property
    def idle(self) -> bool:
        """Whether the actor could be forgotten: no device is attached and all it knows is in the stores."""
        return (
            not self.mailbox.attached
            and not self.presence.watchers
            and self.presence.offline_at_ms is None
            and len(self.head) == 0
        )

    @property
    def in_flight(self) -> int:
        """How many entries are sent to attached devices and not acknowledged."""
        return sum(len(stream.in_flight) for stream in self.mailbox.streams.values())

    @property
    def user(self) -> User:
        """The account."""
        return self.peers.user

    def snapshot(self) -> ev.Loaded:
        """Return what an idle actor can be made from again, as long as no record of its user follows."""
        return ev.Loaded(
            user=structs.replace(self.peers.user, last_seen_ms=self.presence.last_seen_ms),
            devices=self.devices.snapshot(),
            cursors={device: state.cursor for device, state in self.devices.items()},
            blocks=tuple(self.peers.blocks.values()),
            rows=tuple(self.peers.rows.values()),
            newest=self.repeats.newest,
            tail=self.head.tail,
            handled=self.head.handled,
            totals=self.head.totals,
            undelivered=(self.quota.messages, self.quota.size),
        )

    def unacknowledged(self) -> list[int]:
        """Return the entries in memory that some device has yet to acknowledge, lowest first.

        Receipts are not among them: they are kept in the rows of conversations.
        """
        return [item.seq for item in self.unstored(self.devices.lowest_cursor(self.head.handled))]

    def unstored(self, stored: int) -> list[Item]:
        """Return the entries that are in memory only, if everything up to ``stored`` is in the stores.

        Receipts are not among them: they are rows of conversations.
        """
        return [item for item in self.head.after(stored) if not isinstance(item.record, ReceiptRecord)]

    # --- events that concern several parts --------------------------------------------------------

    def _record(self, event: ev.RecordArrived, now_ms: int) -> None:
        if event.seq <= self.head.handled:
            return
        message = self._records.handle(event, now_ms)
        if message is not None and message.urgent and self.devices.pushable:
            for device in message.payloads:
                self._wake(device, message.cause, event.seq, now_ms)
        self.mailbox.serve_all(now_ms)

    def _wake(self, device: str, cause: str, seq: int, now_ms: int) -> None:
        """Wake a device, unless it is here; what the user's other devices do may hold it up, and no more."""
        if not self.devices.may_be_woken(device, now_ms):
            return
        match self.mailbox.how_reads(device, now_ms):
            case "stream":
                return
            case "poll":
                held: do.Held = "polled"
            case _:
                held = "beside" if self.mailbox.in_foreground else ""
        self.devices.wake(device, cause, seq, now_ms, held)

    def _attach(self, event: ev.StreamAttached, now_ms: int) -> None:
        stream = self.mailbox.attach(event)
        if stream is None:
            return
        self.presence.streams_changed(now_ms, in_foreground=self.mailbox.in_foreground)
        self.mailbox.serve(stream, now_ms)

    def _detach(self, event: ev.StreamDetached, now_ms: int) -> None:
        stream = self.mailbox.detach(event.stream)
        if stream is None:
            return
        self.presence.streams_changed(now_ms, in_foreground=self.mailbox.in_foreground)
        if self.mailbox.is_behind(stream):
            self._wake(stream.device, "", 0, now_ms)

    def _ack_lacks(self, event: ev.Acked) -> list[ev.Unknown]:
        state = self.devices.get(event.device)
        if state is None or not state.cursor < event.seq <= self.head.handled:
            return []
        return self.marks.ack_lacks(event.device, event.seq, self.mailbox.stream_of(event.device))

    def _ack(self, event: ev.Acked, now_ms: int) -> None:
        device, seq, token = event.device, event.seq, event.token
        state = self.devices.get(device)
        if state is None:
            do.refuse(self._out, token, "revoked", "this device was removed")
            return
        if not 0 <= seq <= self.head.handled:
            do.refuse(self._out, token, "cursor_invalid", "acknowledge only what was received")
            return
        stream = self.mailbox.stream_of(device)
        if state.woken_at_ms != 0:
            self.devices.returned(device)
        if seq > state.cursor:
            highest = state.cursor if len(self.devices) == 1 else self.devices.highest_cursor()
            items = self.marks.acked(device, seq, stream)
            if seq >= self.head.tail:
                self.quota.fetched_all(now_ms)
            elif seq > highest:
                self.quota.fetched([item for item in items if highest < item.seq <= seq], now_ms)
        # After the receipts, and so written after them: were the cursor stored and they lost in a crash, the
        # device would not acknowledge these entries again, and their senders would never be told.
        self._out.append(do.PutCursor(device, state.cursor, token))
        if stream is not None:
            stream.acked(seq)
            self.mailbox.serve(stream, now_ms)

    def _typing(self, event: ev.TypingHeard, _now_ms: int) -> None:
        if not self.peers.may_show_typing(event.sender):
            return
        for stream in self.mailbox.streams.values():
            if not stream.background:
                self._out.append(do.TellTyping(stream.number, event.sender_name, event.state))

    def _block(self, event: ev.BlockAsked, _now_ms: int) -> None:
        if self.peers.block(event):
            self.presence.tell(event.peer)

    def _contact(self, event: ev.ContactMade, now_ms: int) -> None:
        withheld = not self.peers.may_see_receipts(event.peer)
        if self.peers.add_contact(event):
            self.quota.known(event.peer, now_ms)
            if withheld:
                self.marks.contact_made(event.peer)
            self.presence.tell(event.peer)

    def _time(self, _event: ev.TimePassed, now_ms: int) -> None:
        self.presence.time_passed(now_ms)
        self.mailbox.serve_polls(now_ms)

    def _refreshed(self, event: ev.Refreshed, now_ms: int) -> None:
        self.peers.user = event.user
        added, renewed = self.devices.refresh(event.devices, event.renewed, self.head)
        for device in added:
            self.marks.device_added(device)
        self.mailbox.close_removed()
        self.presence.streams_changed(now_ms, in_foreground=self.mailbox.in_foreground)
        for device in renewed:
            state = self.devices[device]
            if state.cursor < state.urgent_seq:  # no push went to this token for what waits
                self._wake(device, "", 0, now_ms)
        self._out.append(do.AnswerDone(event.token))

    _LACKS: ClassVar[dict[type, Callable[["UserActor", Any], list[ev.Unknown]]]] = {
        ev.RecordArrived: lambda self, event: self._records.lacks(event),
        # A stream that is resumed was let in before, by whoever served the user then.
        ev.StreamAttached: lambda self, event: (
            [] if event.resume else self._positions.lacks(event.device, event.cursor)
        ),
        ev.SyncAsked: lambda self, event: self._positions.lacks(event.device, event.cursor),
        ev.Acked: _ack_lacks,
        ev.ReadMarked: lambda self, _: self.marks.lacks(),
        ev.ContactMade: lambda self, event: (
            [] if self.peers.may_see_receipts(event.peer) else self.marks.lacks()
        ),
    }
    _HANDLERS: ClassVar[dict[type, Callable[["UserActor", Any, int], None]]] = {
        ev.RecordArrived: _record,
        ev.StreamAttached: _attach,
        ev.StreamDetached: _detach,
        ev.Acked: _ack,
        ev.ReadMarked: lambda self, event, _: self.marks.read(event),
        ev.TypingHeard: _typing,
        ev.PageRead: lambda self, event, now_ms: self.mailbox.page(event, now_ms),
        ev.SyncAsked: lambda self, event, now_ms: self.mailbox.sync(event, now_ms),
        ev.AskerGone: lambda self, event, _: self.mailbox.forget_poll(event.token),
        ev.BlockAsked: _block,
        ev.ContactMade: _contact,
        ev.Watched: lambda self, event, _: self.presence.watch(event.watcher),
        ev.Unwatched: lambda self, event, _: self.presence.unwatch(event.watcher),
        ev.PresenceAsked: lambda self, event, _: self.presence.answer(event),
        ev.MarksAsked: lambda self, event, _: self.peers.answer(event),
        ev.RoomAsked: lambda self, event, now_ms: self.quota.answer(event, now_ms),
        ev.TimePassed: _time,
        ev.Refreshed: _refreshed,
    }
