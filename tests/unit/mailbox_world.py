"""A world around one UserActor: a log, stores that finish in any order, devices, crashes.

It performs effects the way the host does, one by one and in memory, and checks the promises.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from msgspec import structs

from actors.host.users.activation import item_of, since
from actors.offsets import Offsets
from actors.user import UserActor
from actors.user import effects as do
from actors.user import events as ev
from actors.user.quota import Quotas
from actors.user.view import receipt_of
from roost import wire
from roost.ids import uuid7
from storage.account_rows import Device, User
from storage.mailbox_rows import Conversation, MailboxDocument
from storage.records import MessageRecord, ReceiptRecord, Record, encode_record

BASE = 1000
ME = User("me", "me", "", "", 0)
PAGE_LIMIT = wire.WINDOW


@dataclass
class Phone:
    """A device: what it got over all its streams, and where it stands."""

    name: str
    cursor: int = 0
    acked: int = 0
    stream: int | None = None
    stream_sent: int = 0
    got: list[wire.Entry] = field(default_factory=list)
    app: list[str] = field(default_factory=list)
    drained: bool = False

    def receive(self, entries: tuple[wire.Entry, ...]) -> None:
        for entry in entries:
            assert entry.prev == self.stream_sent, "the chain of prev shows an omission"
            assert entry.seq > self.stream_sent, "out of order within a stream"
            self.stream_sent = entry.seq
            self.cursor = max(self.cursor, entry.seq)
            self.got.append(entry)
            if isinstance(entry, wire.MessageEntry) and entry.id not in self.app:
                self.app.append(entry.id)

    def ends(self, end: do.Drained) -> None:
        assert end.prev == self.stream_sent, "an entry before the end did not come"
        self.stream_sent, self.drained = end.cursor, True


class World:
    """The log, the stores and the phones of one user."""

    def __init__(
        self,
        phones: tuple[str, ...] = ("P",),
        *,
        pushable: bool = False,
        recalled: int = 0,
        quotas: Quotas | None = None,
        me: User = ME,
    ) -> None:
        self.recalled = recalled
        self.quotas, self.me = quotas, me
        token = "t" if pushable else None
        keys: dict[str, object] | None = {} if pushable else None
        self.devices = tuple(Device("me", name, "", 0, keys, push_token=token) for name in phones)
        self.phones = {name: Phone(name) for name in phones}
        self.log: list[Record] = []
        self.documents: dict[int, MailboxDocument] = {}
        self.rows: dict[str, Conversation] = {}
        self.cursors: dict[str, int] = {}
        self.committed = 0
        self.told: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self.wakes: list[do.Wake] = []
        self.now = 1_000_000
        self.pages: list[do.ReadPage] = []
        self.pending: list[tuple[int, do.Effect]] = []
        self.effects: list[do.Effect] = []
        self._streams = 0
        self.load()

    # --- life ---

    def load(self) -> None:
        """Activate the actor as after a crash: only what is below the committed offset counts."""
        self.offsets = Offsets(self.committed)
        floor = BASE + self.committed
        counted = sorted((d for s, d in self.documents.items() if s < floor), key=lambda d: -d.seq)
        self.actor = UserActor(
            ev.Loaded(
                user=self.me,
                devices=self.devices,
                cursors=dict(self.cursors),
                blocks=(),
                rows=tuple(self.rows.values()),
                newest=counted[0].greatest if counted else "",
                tail=counted[0].seq if counted else 0,
                handled=floor - 1,
                recent=tuple(item_of(document) for document in counted[: self.recalled][::-1]),
                totals=(counted[0].messages, counted[0].size) if counted else (0, 0),
                undelivered=self._undelivered(counted),
            ),
            self.quotas,
        )
        self.pages = []

    def _undelivered(self, newest_first: list[MailboxDocument]) -> tuple[int, int]:
        fetched = max(self.cursors.values(), default=0)
        above = [document for document in newest_first if document.seq > fetched]
        return since(above[-1], above[0]) if above else (0, 0)

    def crash(self) -> None:
        """Lose the actor and everything not yet durable; gateways attach their streams again."""
        self.pending = []
        self.load()
        self.catch_up()
        for phone in self.phones.values():
            if phone.stream is not None:
                self.feed(
                    ev.StreamAttached(
                        phone.stream,
                        phone.name,
                        phone.stream_sent,
                        phone.acked,
                        background=False,
                        resume=True,
                    )
                )
                if phone.acked:
                    self.feed(ev.Acked(phone.name, phone.acked, phone.stream))

    def pass_time(self, ms: int) -> None:
        self.now += ms
        self.feed(ev.TimePassed())

    # --- the log ---

    def append(self, sender: str, number: int, phones: tuple[str, ...] | None = None) -> str:
        """Append a message; the same number again is a repeat."""
        cause = uuid7(number, number.to_bytes(10, "big"))
        names = phones if phones is not None else tuple(self.phones)
        self.log.append(
            MessageRecord("me", cause, sender, sender, f"D{sender}", 0, 0, "s", dict.fromkeys(names, b"x"))
        )
        return cause

    def last_of(self, sender: str) -> int:
        """Return the number of the sender's last record, dropped or not; 0 if there is none."""
        mine = [o for o, r in enumerate(self.log) if isinstance(r, MessageRecord) and r.sender == sender]
        return BASE + mine[-1] if mine else 0

    def append_receipt(self, peer: str, delivered: int, read: int) -> None:
        self.log.append(ReceiptRecord("me", "", peer, peer, delivered, read, 5))

    def step(self) -> bool:
        """Hand the next record to the actor."""
        offset = self.offsets.following
        if offset >= len(self.log):
            return False
        self.offsets.begin(offset)
        record = self.log[offset]
        self.feed(ev.RecordArrived(BASE + offset, record, encode_record(record)), offset)
        self.offsets.done(offset)
        return True

    def catch_up(self) -> None:
        while self.step():
            pass

    def run(self) -> None:
        """Hand over all records, and answer all reads."""
        self.catch_up()
        while self.pages:
            self.read_page(0)

    # --- the host's part ---

    def feed(self, event: ev.Event, offset: int | None = None) -> list[do.Effect]:
        for _ in range(5):
            lacks = self.actor.lacks(event)
            if not lacks:
                break
            self.actor.learn(self.facts(lacks))
        else:
            raise AssertionError(f"{event} still lacks {lacks}")
        effects = self.actor.handle(event, self.now, BASE + self.offsets.stored - 1)
        self.actor.check()
        for effect in effects:
            self.perform(effect, offset)
        return effects

    def facts(self, lacks: list[ev.Unknown]) -> ev.Facts:
        repeats, cursors, items = [], [], []
        for one in lacks:
            if isinstance(one, ev.RepeatUnknown):
                below = [d for d in self.documents.values() if d.sender == one.sender and d.seq < one.below]
                known = any((d.sender_device, d.cause) == (one.device, one.cause) for d in below)
                repeats.append((one.source, one.cause, max(d.seq for d in below) if known else 0))
            elif isinstance(one, ev.CursorUnknown):
                cursors.append((one.seq, one.seq in self.documents))
            elif isinstance(one, ev.SendersUnknown):
                found_items = tuple(item_of(d) for d in self.stored(one.after, one.upto))
                items.append((one.after, one.upto, found_items))
        return ev.Facts(tuple(repeats), tuple(cursors), tuple(items))

    def stored(self, after: int, upto: int) -> list[MailboxDocument]:
        return [self.documents[s] for s in sorted(self.documents) if after < s <= upto]

    def perform(self, effect: do.Effect, offset: int | None) -> None:
        self.effects.append(effect)
        assert offset is not None or not isinstance(effect, do.Store)
        if isinstance(effect, do.Store | do.PutRow | do.PutFloor | do.EmitReceipt) and offset is not None:
            self.offsets.hold(offset)
            self.pending.append((offset, effect))
        elif isinstance(effect, do.PutRow | do.PutFloor):
            self.put(effect)
        elif isinstance(effect, do.Wake):
            self.wakes.append(effect)
        elif isinstance(effect, do.EmitReceipt):
            self.tell(effect)
        elif isinstance(effect, do.PutCursor):
            self.cursors[effect.device] = max(self.cursors.get(effect.device, 0), effect.seq)
        elif isinstance(effect, do.ReadPage):
            self.pages.append(effect)
        elif isinstance(effect, do.Deliver):
            self.phone_of(effect.stream).receive(effect.entries)
        elif isinstance(effect, do.Drained):
            self.phone_of(effect.stream).ends(effect)
        elif isinstance(effect, do.Missed):
            raise AssertionError("nothing was swept, yet something is missed")

    def phone_of(self, stream: int) -> Phone:
        return next(p for p in self.phones.values() if p.stream == stream)

    def tell(self, receipt: do.EmitReceipt) -> None:
        self.told[receipt.to].append((receipt.delivered_seq, receipt.read_seq))

    def put_row(self, row: Conversation) -> None:
        """Raise the numbers, as the store does."""
        known = self.rows.get(row.peer, row)
        numbers = map(max, structs.astuple(row)[3:], structs.astuple(known)[3:])
        self.rows[row.peer] = Conversation(row.user, row.peer, row.peer_name, *numbers)

    def put(self, effect: do.PutRow | do.PutFloor) -> None:
        if isinstance(effect, do.PutRow):
            self.put_row(effect.row)
            return
        self.devices = tuple(
            structs.replace(d, floor=max(d.floor, effect.floor)) if d.device == effect.device else d
            for d in self.devices
        )

    def store_one(self, index: int) -> None:
        """Let one durable effect finish, whichever."""
        if not self.pending:
            return
        offset, effect = self.pending.pop(index % len(self.pending))
        if isinstance(effect, do.Store):
            known = self.documents.setdefault(effect.document.seq, effect.document)
            assert known == effect.document, "a replay wrote other bytes"
        elif isinstance(effect, do.PutRow | do.PutFloor):
            self.put(effect)
        elif isinstance(effect, do.EmitReceipt):
            self.tell(effect)
        self.offsets.done(offset)

    def store_all(self) -> None:
        while self.pending:
            self.store_one(0)

    def commit(self) -> None:
        self.committed = self.offsets.stored

    def read_page(self, index: int) -> None:
        """Answer one of the reads in progress."""
        if not self.pages:
            return
        page = self.pages.pop(index % len(self.pages))
        documents = self.stored(page.after, page.upto)[: page.limit]
        through = documents[-1].seq if len(documents) >= page.limit else page.upto
        rows = [r for r in self.rows.values() if page.after < r.receipt_seq <= through]
        items = sorted([item_of(d) for d in documents] + [receipt_of(r) for r in rows], key=lambda i: i.seq)
        self.feed(ev.PageRead(page.reader, tuple(items), through, gone=0))

    # --- phones ---

    def attach(self, name: str, *, background: bool = False) -> None:
        phone = self.phones[name]
        self._streams += 1
        phone.stream, phone.drained = self._streams, False
        stored = self.actor.devices[name].cursor
        phone.stream_sent = stored
        phone.acked = 0
        self.feed(ev.StreamAttached(phone.stream, name, None, 0, background, resume=False))

    def detach(self, name: str) -> None:
        phone = self.phones[name]
        if phone.stream is not None:
            stream, phone.stream = phone.stream, None
            self.feed(ev.StreamDetached(stream))

    def ack(self, name: str, seq: int) -> None:
        phone = self.phones[name]
        if phone.stream is not None and seq <= phone.stream_sent:
            phone.acked = max(phone.acked, seq)
            self.feed(ev.Acked(name, seq, phone.stream))

    def settle(self) -> None:
        """Let everything finish, and every phone read and acknowledge all."""
        for phone in self.phones.values():
            if phone.stream is None:
                self.attach(phone.name)
        for _ in range(200):
            self.catch_up()
            self.store_all()
            while self.pages:
                self.read_page(0)
            for phone in self.phones.values():
                if phone.stream_sent > phone.acked:
                    self.ack(phone.name, phone.stream_sent)
            idle = not self.pages and not self.pending and self.offsets.following >= len(self.log)
            if idle and all(p.acked >= p.stream_sent and p.drained for p in self.phones.values()):
                return
        raise AssertionError("it does not come to rest")
