"""Performs the effects of actors: over the links of gateways, or through the writer."""

from collections.abc import Callable
from typing import Any

from msgspec import Raw

from actors.host.shards.shard import Shard
from actors.host.shards.table import ShardTable
from actors.host.shards.tickets import Ticket
from actors.host.streams.questions import answer
from actors.host.streams.streams import Streams, Watches
from actors.host.users.deadlines import Deadlines
from actors.host.writes.writer import Writer
from actors.rpc import messages as msg
from actors.rpc import questions as q
from actors.user import effects as do
from roost import wire
from roost.clock import Clock
from storage.account_rows import User
from storage.mailbox_rows import Stub, digest_of
from storage.records import PushRecord, ReceiptRecord
from telemetry import metrics

POLLED_MS = 15_000
"""A device whose sync was answered has so long to acknowledge a message, and is woken for it then."""

Perform = Callable[[User, Any, Shard, Any], None]

_DELIVERY: dict[type, Any] = {
    wire.MessageEntry: metrics.DELIVERY_SECONDS.labels("message"),
    wire.ReceiptEntry: metrics.DELIVERY_SECONDS.labels("receipt"),
    wire.KeysEntry: metrics.DELIVERY_SECONDS.labels("keys"),
    wire.SentEntry: metrics.DELIVERY_SECONDS.labels("sent"),
}


class EffectExecutor:
    """Performs each effect by its type."""

    def __init__(
        self,
        writer: Writer,
        lines: tuple[Streams, Watches, Callable[[msg.Room], None]],
        deadlines: Deadlines,
        shards: ShardTable,
        read_page: Callable[[str, do.ReadPage], None],
        clock: Clock,
        hold_back_ms: int,
    ) -> None:
        self._writer = writer
        self._streams, self._watches, self._tell_gateways = lines
        self._deadlines, self._shards, self._read_page = deadlines, shards, read_page
        self._clock = clock
        self._held_ms: dict[do.Held, int] = {"polled": POLLED_MS, "beside": hold_back_ms}
        self._perform: dict[type, Perform] = {
            do.Store: self._store,
            do.KeepStub: self._stub,
            do.PutRow: self._row,
            do.Wake: self._wake,
            do.PutFloor: self._floor,
            do.PutBlock: self._block,
            do.EmitReceipt: self._receipt,
            do.PutCursor: self._cursor,
            do.ClearWakeup: self._came,
            do.Attached: self._attached,
            do.Deliver: self._deliver,
            do.Drained: self._drained,
            do.Missed: self._missed,
            do.Close: self._close,
            do.TellTyping: self._typing,
            do.TellPresence: self._tell_presence,
            do.PresenceChanged: self._presence,
            do.AnswerPage: self._page,
            do.AnswerPresence: self._presence_state,
            do.AnswerMarks: self._marks,
            do.AnswerDone: self._done,
            do.Refuse: self._refuse,
            do.ReadPage: self._page_of_store,
            do.TellRoom: self._room,
            do.SetTimer: self._timer,
        }

    def perform(self, user: User, effect: do.Effect, shard: Shard, offset: int | None) -> None:
        """Perform one effect of the user's actor, caused by the record at ``offset`` if any."""
        self._perform[type(effect)](user, effect, shard, offset)

    def _ticket(self, shard: Shard, offset: int | None) -> Ticket | None:
        if offset is None:
            return None
        shard.offsets.hold(offset)
        return Ticket(shard.offsets, offset)

    def _store(self, _user: User, effect: do.Store, shard: Shard, offset: int) -> None:
        shard.offsets.hold(offset)
        self._writer.entries.add(effect.document, Ticket(shard.offsets, offset))

    def _stub(self, user: User, effect: do.KeepStub, shard: Shard, offset: int) -> None:
        record = effect.record
        digest = digest_of(user.username, record.suite, record.payloads, record.own, silent=record.silent)
        stub = Stub(
            user.user_id, record.sender, record.sender_device, record.cause, effect.seq,
            record.accepted_at_ms, digest,
        )  # fmt: skip
        shard.offsets.hold(offset)
        self._writer.stubs.add(stub, Ticket(shard.offsets, offset))

    def _row(self, _user: User, effect: do.PutRow, shard: Shard, offset: int | None) -> None:
        self._writer.conversations.put(effect.row, self._ticket(shard, offset), effect.token)

    def _wake(self, user: User, effect: do.Wake, shard: Shard, offset: int | None) -> None:
        now, held_ms = self._clock(), self._held_ms.get(effect.held, 0)
        push = PushRecord(
            user.user_id, effect.device, effect.cause, now, effect.urgent, self._shards.records,
            effect.seq, now + held_ms if held_ms else 0, effect.fresh,
        )  # fmt: skip
        self._writer.wakeups.add(push, self._ticket(shard, offset))

    def _receipt(self, user: User, effect: do.EmitReceipt, shard: Shard, offset: int | None) -> None:
        receipt = ReceiptRecord(
            to=effect.to,
            cause="",
            peer=user.user_id,
            peer_name=user.username,
            delivered_seq=effect.delivered_seq,
            read_seq=effect.read_seq,
            at_ms=self._clock(),
            version=self._shards.records,
        )
        ticket, receipts = self._ticket(shard, offset), self._writer.receipts
        if effect.to == user.user_id:  # what this user sent to itself is delivered once it is stored
            receipts.add_behind(self._writer.entries, receipt, ticket, effect.token)
        else:
            receipts.add(receipt, ticket, effect.token)

    def _cursor(self, user: User, effect: do.PutCursor, _shard: Shard, _offset: int | None) -> None:
        self._writer.receipts.add_cursor(user.user_id, effect.device, effect.seq, effect.token)

    def _floor(self, user: User, effect: do.PutFloor, shard: Shard, offset: int | None) -> None:
        self._writer.conversations.raise_floor(
            user.user_id, effect.device, effect.floor, self._ticket(shard, offset)
        )

    def _block(self, _user: User, effect: do.PutBlock, _shard: Shard, _offset: int | None) -> None:
        self._writer.user_state.block(effect)

    def _came(self, _user: User, effect: do.ClearWakeup, _shard: Shard, _offset: int | None) -> None:
        self._writer.user_state.came(effect.device)

    def _presence(self, user: User, effect: do.PresenceChanged, _shard: Shard, _offset: int | None) -> None:
        self._writer.user_state.presence(user.user_id, online=effect.online, at_ms=effect.at_ms)

    def _tell_presence(self, user: User, effect: do.TellPresence, _shard: Shard, _offset: int | None) -> None:
        message = msg.PresenceTo(effect.watcher, user.username, effect.online, effect.last_seen_ms)
        for link in self._watches.links(effect.watcher, user.user_id):
            link.send(message)

    def _attached(self, _user: User, effect: do.Attached, _shard: Shard, _offset: int | None) -> None:
        self._send(effect.stream, lambda number: msg.Attached(number, effect.cursor))

    def _deliver(self, _user: User, effect: do.Deliver, _shard: Shard, offset: int | None) -> None:
        info = self._streams.by_number.get(effect.stream)
        if info is None:
            return
        entries = [Raw(msg.encode(entry)) for entry in effect.entries]
        info.key.link.send(msg.Deliver(info.key.stream, entries, effect.entries[-1].seq))
        now = self._clock()
        if not info.last:
            self._streams.begun(info, effect.entries[0].seq)
        info.last = effect.entries[-1].seq
        info.waiting_ms = info.waiting_ms or now
        if offset is not None:  # a record brought it here just now: else it waited for the device, not for us
            for entry in effect.entries:
                _DELIVERY[type(entry)].observe(max(0, now - entry.at_ms) / 1000)

    def _drained(self, _user: User, effect: do.Drained, _shard: Shard, _offset: int | None) -> None:
        self._send(effect.stream, lambda number: msg.Drained(number, effect.prev, effect.cursor))
        info = self._streams.by_number.get(effect.stream)
        if info is not None and info.opened_ms:
            metrics.DRAIN_SECONDS.observe(max(0, self._clock() - info.opened_ms) / 1000)
            info.opened_ms = 0

    def _missed(self, _user: User, effect: do.Missed, _shard: Shard, _offset: int | None) -> None:
        self._send(effect.stream, msg.Missed)

    def _close(self, _user: User, effect: do.Close, _shard: Shard, _offset: int | None) -> None:
        self._streams.close(effect.stream, effect.code, effect.detail)

    def _typing(self, _user: User, effect: do.TellTyping, _shard: Shard, _offset: int | None) -> None:
        self._send(effect.stream, lambda number: msg.TypingTo(number, effect.sender_name, effect.state))

    def _send(self, stream: int, make: Callable[[int], Any]) -> None:
        info = self._streams.by_number.get(stream)
        if info is not None:
            info.key.link.send(make(info.key.stream))

    def _page(self, _user: User, effect: do.AnswerPage, _shard: Shard, _offset: int | None) -> None:
        entries = [Raw(msg.encode(entry)) for entry in effect.entries]
        answer(effect.token, q.Page(effect.cursor, entries, effect.more, effect.missed))

    def _presence_state(
        self, _user: User, effect: do.AnswerPresence, _shard: Shard, _offset: int | None
    ) -> None:
        answer(effect.token, q.PresenceState(effect.online, effect.last_seen_ms))

    def _marks(self, _user: User, effect: do.AnswerMarks, _shard: Shard, _offset: int | None) -> None:
        row = effect.row
        marks = (
            q.Marks(0, 0, 0, 0)
            if row is None
            else q.Marks(row.delivered_seq, row.read_seq, row.delivered_at_ms, row.read_at_ms)
        )
        answer(effect.token, marks)

    def _done(self, _user: User, effect: do.AnswerDone, _shard: Shard, _offset: int | None) -> None:
        answer(effect.token, q.Done())

    def _refuse(self, _user: User, effect: do.Refuse, _shard: Shard, _offset: int | None) -> None:
        answer(effect.token, q.Refusal(effect.code, effect.detail))

    def _page_of_store(self, user: User, effect: do.ReadPage, _shard: Shard, _offset: int | None) -> None:
        self._read_page(user.user_id, effect)

    def _room(self, user: User, effect: do.TellRoom, _shard: Shard, _offset: int | None) -> None:
        self._tell_gateways(msg.Room(user.user_id, effect.full))

    def _timer(self, user: User, effect: do.SetTimer, _shard: Shard, _offset: int | None) -> None:
        self._deadlines.add(effect.at_ms, user.user_id)
