"""The promises of a mailbox, for any interleaving of records, replays, attach, detach, ack and crash.

Long, because one state machine has every rule.
"""

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import structs

from actors.user import UserActor
from actors.user import effects as do
from actors.user import events as ev
from actors.user.mailbox import EXPECTED_MS
from actors.user.quota import Budget, Quotas
from roost import wire
from storage.account_rows import NO_FLOOR, Device
from storage.mailbox_rows import Block
from storage.records import KeysRecord, MessageRecord, SentRecord, encode_record
from tests.unit.mailbox_world import BASE, ME, Phone, World

SENDERS = ("alice", "bob", "carol")


class Mailbox(RuleBasedStateMachine):
    """One user with two phones, three people who write, and a host that crashes."""

    phones: tuple[str, ...] = ("P", "Q")
    recalled = 0

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.phones, recalled=self.recalled)
        self.numbers = dict.fromkeys(SENDERS, 0)
        self.sent: dict[str, list[str]] = {sender: [] for sender in SENDERS}
        self.peer_seq = 0

    @rule(sender=st.sampled_from(SENDERS), count=st.integers(1, 4))
    def send(self, sender: str, count: int) -> None:
        for _ in range(count):
            self.numbers[sender] += 1
            self.sent[sender].append(self.world.append(sender, self.numbers[sender]))

    @rule(sender=st.sampled_from(SENDERS), back=st.integers(0, 5))
    def retry(self, sender: str, back: int) -> None:
        number = self.numbers[sender] - back
        if number > 0:
            self.world.append(sender, number)

    @rule(rise=st.integers(0, 3), read=st.integers(0, 3))
    def receipt(self, rise: int, read: int) -> None:
        self.peer_seq += rise
        self.world.append_receipt("alice", self.peer_seq, min(read, self.peer_seq))

    @rule(count=st.integers(1, 6))
    def handle(self, count: int) -> None:
        for _ in range(count):
            self.world.step()

    @rule(index=st.integers(0, 9), count=st.integers(1, 4))
    def store(self, index: int, count: int) -> None:
        for _ in range(count):
            self.world.store_one(index)

    @rule()
    def commit(self) -> None:
        self.world.commit()

    @rule(index=st.integers(0, 3))
    def page(self, index: int) -> None:
        self.world.read_page(index)

    @rule()
    def crash(self) -> None:
        self.world.crash()

    @rule(phone=st.integers(0, 1))
    def attach(self, phone: int) -> None:
        self.world.attach(self.phones[phone % len(self.phones)])

    @rule(phone=st.integers(0, 1))
    def detach(self, phone: int) -> None:
        self.world.detach(self.phones[phone % len(self.phones)])

    @rule(passed_ms=st.sampled_from([0, EXPECTED_MS]))
    def wait(self, passed_ms: int) -> None:
        self.world.now += passed_ms

    @precondition(lambda self: any(p.got for p in self.world.phones.values()))
    @rule(of=st.integers(0, 1), back=st.integers(0, 4))
    def ack(self, of: int, back: int) -> None:
        name = self.phones[of % len(self.phones)]
        phone = self.world.phones[name]
        if len(phone.got) > back:
            self.world.ack(name, phone.got[-1 - back].seq)

    @invariant()
    def watermarks_rise(self) -> None:
        head = self.world.actor.head
        assert head.evicted <= head.handled
        seqs = [item.seq for item in head]
        assert seqs == sorted(set(seqs))
        assert all(seq > head.evicted for seq in seqs)

    def teardown(self) -> None:
        self.world.settle()
        for phone in self.world.phones.values():
            for sender in SENDERS:
                got = [i for i in phone.app if i in set(self.sent[sender])]
                assert got == self.sent[sender], f"{phone.name} of {sender}: lost, doubled or reordered"
        documents = [d.cause for d in self.world.documents.values() if d.kind == "m"]
        assert sorted(documents) == sorted(i for ids in self.sent.values() for i in ids)
        for sender in SENDERS:
            last = self.world.last_of(sender)
            told = max((delivered for delivered, _ in self.world.told[sender]), default=0)
            assert told >= last, f"{sender} never learns that everything was delivered"
        row = self.world.rows.get("alice")
        if self.peer_seq:
            assert row is not None
            assert row.delivered_seq == self.peer_seq


Mailbox.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestMailbox = Mailbox.TestCase


class Recalled(Mailbox):
    """One phone: each life of the host begins with the newest stored entries in memory."""

    phones = ("P",)
    recalled = 3


Recalled.TestCase.settings = Mailbox.TestCase.settings
TestRecalled = Recalled.TestCase


def test_a_recently_attached_device_costs_no_look_up() -> None:
    world = World(recalled=3)
    world.attach("P")
    for number in (1, 2, 3, 4):
        world.append("alice", number)
    world.run()
    world.ack("P", BASE + 1)
    world.append_receipt("alice", 7, 0)
    world.run()
    world.store_all()
    world.commit()
    world.append("bob", 5)
    world.crash()
    assert world.told["alice"][-1] == (BASE + 1, 0)
    assert [item.seq for item in world.actor.head] == [BASE + 2, BASE + 3, BASE + 4, BASE + 5]
    assert not world.actor.lacks(ev.Acked("P", BASE + 3, None))
    world.ack("P", BASE + 3)
    assert world.told["alice"][-1] == (BASE + 3, 0)
    assert not world.pages
    assert world.phones["P"].app == [record.cause for record in world.log if record.cause]


def test_messages_handled_before_a_reload_are_checked_for_a_devices_floor() -> None:
    """One of these may not have been encrypted for the phone, which came at about the same time."""
    world = World(recalled=3)
    for number in (1, 2, 3, 4):
        world.append("alice", number)
    world.run()
    world.store_all()
    world.commit()
    phone = structs.replace(world.devices[0], from_seq=BASE + 1, floor=NO_FLOOR, keys={})
    world.devices, world.cursors = (phone,), {"P": BASE + 2}
    world.crash()
    assert world.actor.head.evicted == BASE + 1
    world.feed(ev.Refreshed(None, ME, (phone, Device("me", "Q", "", BASE + 4))))
    assert world.actor.lacks(ev.Acked("P", BASE + 3, None)) == [ev.SendersUnknown(BASE + 1, BASE + 3)]


def test_an_unclaimed_mailbox_end_is_dropped() -> None:
    world = World(recalled=3)
    for number in (1, 2, 3, 4):
        world.append("alice", number)
    world.run()
    world.store_all()
    world.commit()
    world.crash()
    assert len(world.actor.head) == 2
    world.feed(ev.TimePassed())
    assert len(world.actor.head) == 2
    world.now += EXPECTED_MS
    world.feed(ev.TimePassed())
    assert len(world.actor.head) == 0


def test_a_repeat_of_an_unacknowledged_message_causes_no_receipt_yet() -> None:
    """The sender's newest entry is looked up: what is in memory is of a life before, and was not counted."""
    world = World(recalled=3)
    for number in (1, 2, 3):
        world.append("alice", number)
    world.attach("P")
    world.run()
    world.ack("P", BASE)
    world.store_all()
    world.commit()
    world.crash()
    world.append("alice", 2)
    world.run()
    world.store_all()
    assert world.told["alice"][-1] == (BASE, 0)
    world.ack("P", BASE + 2)
    assert world.told["alice"][-1] == (BASE + 3, 0)
    assert len(world.documents) == 3


def test_a_delivered_message_is_told_once_its_phone_has_it() -> None:
    world = World()
    world.append("alice", 1)
    world.attach("P")
    world.run()
    assert world.told == {}
    world.ack("P", BASE)
    assert world.told == {"alice": [(BASE, 0)]}


def test_a_dropped_repeat_is_covered_by_the_watermark() -> None:
    world = World()
    world.append("alice", 1)
    world.attach("P")
    world.run()
    world.ack("P", BASE)
    world.append("alice", 1)
    world.run()
    world.store_all()
    assert world.phones["P"].app == [world.log[0].cause]
    assert world.told["alice"][-1] == (BASE + 1, 0)


@pytest.mark.parametrize("acked", [True, False], ids=["received before", "received after"])
@pytest.mark.parametrize("read", [True, False], ids=["read", "not read"])
def test_a_repeat_before_a_crash_is_covered_after_it(*, acked: bool, read: bool) -> None:
    world = World()
    world.append("alice", 1)
    world.append("bob", 1)
    world.attach("P")
    world.run()
    if acked:
        world.ack("P", BASE)
    world.append("alice", 1)
    world.run()
    world.store_all()
    world.commit()
    world.crash()
    assert world.committed == 3
    world.settle()
    if read:
        world.feed(ev.ReadMarked("alice", "alice", BASE, None))
    assert world.told["alice"][-1] == (BASE + 2, (BASE + 2) * read)


def test_a_repeat_is_finished_only_with_its_receipt() -> None:
    world = World()
    world.append("alice", 1)
    world.attach("P")
    world.run()
    world.ack("P", BASE)
    world.append("alice", 1)
    world.run()
    while len(world.pending) > 1:
        world.store_one(0)
    world.commit()
    assert world.told["alice"][-1] == (BASE, 0)
    assert world.committed == 1


def test_a_watermark_stops_below_what_is_not_acknowledged() -> None:
    world = World()
    for number in (1, 2, 3):
        world.append("alice", number)
    world.attach("P")
    world.run()
    world.ack("P", BASE + 1)
    assert world.told["alice"] == [(BASE + 1, 0)]


def test_a_repeat_is_found_in_the_store_after_a_reload() -> None:
    world = World()
    world.append("alice", 1)
    world.append("alice", 2)
    world.run()
    world.store_all()
    world.commit()
    world.crash()
    world.append("alice", 1)
    world.settle()
    assert len(world.documents) == 2
    assert len(world.phones["P"].app) == 2


def test_an_out_of_order_id_survives_a_reload() -> None:
    world = World()
    for number in (5, 3):
        world.append("alice", number)
    world.run()
    world.store_all()
    world.commit()
    world.crash()
    world.append("alice", 5)
    world.settle()
    assert len(world.documents) == 2


@pytest.mark.parametrize("crash", [False, True])
def test_a_peers_first_reply_needs_no_look_up(*, crash: bool) -> None:
    world = World()
    world.append("alice", 1)
    world.run()
    world.append_receipt("bob", 5, 0)
    world.run()
    assert "bob" in world.actor.peers.rows, "a receipt makes the row before the peer has ever written"
    if crash:
        world.store_all()
        world.commit()
        world.crash()
    world.append("bob", 2)
    record = world.log[-1]
    arrived = ev.RecordArrived(BASE + len(world.log) - 1, record, encode_record(record))
    assert world.actor.lacks(arrived) == []


def test_ids_below_the_mailboxs_newest_are_looked_up_once_after_a_reload() -> None:
    world = World()
    world.append("alice", 7)
    world.run()
    world.store_all()
    world.commit()
    world.crash()
    world.append("bob", 3)
    record = world.log[-1]
    arrived = ev.RecordArrived(BASE + 1, record, encode_record(record))
    [unknown] = world.actor.lacks(arrived)
    assert isinstance(unknown, ev.RepeatUnknown)
    world.run()
    world.append("bob", 3)
    world.run()
    world.store_all()
    assert [document.cause for document in world.documents.values()].count(record.cause) == 1


def test_the_window_bounds_what_is_in_flight() -> None:
    world = World()
    world.attach("P")
    for number in range(1, wire.WINDOW + 50):
        world.append("alice", number)
    world.run()
    assert len(world.phones["P"].got) == wire.WINDOW
    world.store_all()
    world.settle()
    assert len(world.phones["P"].app) == wire.WINDOW + 49


def test_a_stored_entry_above_the_floor_does_not_hide_an_unstored_one() -> None:
    world = World()
    world.append("alice", 1)
    world.append("alice", 2)
    world.run()
    world.store_one(2)  # the second message only: the row and the first are lost in the crash
    world.crash()
    world.settle()
    assert len(world.phones["P"].app) == 2


def test_a_new_stream_displaces_the_old_one_of_the_same_device() -> None:
    world = World()
    world.attach("P")
    first = world.phones["P"].stream
    world.attach("P")
    closes = [e for e in world.effects if isinstance(e, do.Close)]
    assert [(c.stream, c.code) for c in closes] == [(first, "displaced")]


@pytest.mark.parametrize("cursor", [-1, BASE + 7, 17])
def test_a_foreign_or_future_cursor_is_refused(cursor: int) -> None:
    world = World()
    world.append("alice", 1)
    world.run()
    world.store_all()
    world.feed(ev.StreamAttached(9, "P", cursor, 0, background=False, resume=False))
    assert [e.code for e in world.effects if isinstance(e, do.Close)] == ["cursor_invalid"]
    effects = world.feed(ev.SyncAsked("t", "P", cursor, 10, 0))
    assert [e.code for e in effects if isinstance(e, do.Refuse)] == ["cursor_invalid"]


@pytest.mark.parametrize("crash", [False, True])
def test_a_cursor_at_a_receipt_merged_since_is_still_valid(*, crash: bool) -> None:
    world = World()
    world.attach("P")
    world.append_receipt("alice", 1, 0)
    world.run()
    phone = world.phones["P"]
    cursor = phone.stream_sent
    world.detach("P")
    world.append_receipt("alice", 2, 1)
    world.run()
    world.store_all()
    world.append_receipt("bob", 1, 0)
    world.run()  # and forgets what is stored
    assert world.actor.head.evicted >= cursor
    if crash:
        world.commit()
        world.crash()
    phone.stream = 9
    world.feed(ev.StreamAttached(9, "P", cursor, 0, background=False, resume=False))
    assert not [e.code for e in world.effects if isinstance(e, do.Close)]


def test_an_ack_beyond_the_end_is_refused() -> None:
    world = World()
    effects = world.feed(ev.Acked("P", BASE + 5, None, "t"))
    assert effects == [do.Refuse("t", "cursor_invalid", "acknowledge only what was received")]


def test_an_ack_of_entries_read_long_ago_tells_their_senders() -> None:
    world = World()
    for number in (1, 2):
        world.append("alice", number)
    world.run()
    world.store_all()
    world.commit()
    world.crash()
    assert len(world.actor.head) == 0
    world.feed(ev.Acked("P", BASE + 1, None, "t"))
    assert world.told["alice"] == [(BASE + 1, 0)]


def test_a_sync_waits_for_its_first_entry() -> None:
    world = World()
    world.feed(ev.SyncAsked("t", "P", None, 10, world.now + 1000))
    world.run()
    assert [type(e) for e in world.effects] == [do.ReadPage, do.SetTimer]
    world.append("alice", 1)
    world.run()
    pages = [e for e in world.effects if isinstance(e, do.AnswerPage)]
    assert [(p.token, p.cursor, len(p.entries), p.more) for p in pages] == [("t", BASE, 1, False)]


def test_a_sync_gives_up_in_time() -> None:
    world = World()
    world.feed(ev.SyncAsked("t", "P", None, 10, world.now + 1000))
    world.run()
    world.now += 1000
    effects = world.feed(ev.TimePassed())
    assert effects == [do.AnswerPage("t", 0, (), more=False, missed=False)]


def test_a_sync_gives_up_though_the_clock_is_set_back() -> None:
    world = World()
    world.feed(ev.SyncAsked("t", "P", None, 10, world.now + 1000))
    world.run()
    world.now -= 500_000
    effects = world.feed(ev.TimePassed())
    assert effects == [do.AnswerPage("t", 0, (), more=False, missed=False)]


def test_a_sync_says_when_there_is_more() -> None:
    world = World()
    for number in range(1, 6):
        world.append("alice", number)
    world.run()
    world.feed(ev.SyncAsked("t", "P", None, 3, 0))
    world.run()
    [page] = [e for e in world.effects if isinstance(e, do.AnswerPage)]
    assert len(page.entries) == 3
    assert page.more


@pytest.mark.attack(
    "find out by the state of a message that one is blocked",
    "it looks like one that waits to be delivered",
)
def test_a_blocked_senders_message_is_dropped_without_a_trace() -> None:
    world = World()
    world.attach("P")
    world.feed(ev.BlockAsked("t", "alice", "alice", blocked=True))
    world.append("alice", 1)
    world.append("bob", 1)
    world.settle()
    assert [d.sender for d in world.documents.values()] == ["bob"]
    assert "alice" not in world.told
    world.feed(ev.BlockAsked("t", "alice", "alice", blocked=False))
    world.append("alice", 2)
    world.settle()
    assert len(world.phones["P"].app) == 2
    assert world.actor.peers.blocks["alice"] == Block("me", "alice", "alice", BASE, BASE + 2, 2)


def test_a_block_that_is_there_is_written_again_before_it_is_said_to_hold() -> None:
    world = World()
    first = world.feed(ev.BlockAsked("first", "alice", "alice", blocked=True))
    again = world.feed(ev.BlockAsked("again", "alice", "alice", blocked=True))
    [block] = [each.block for each in first if isinstance(each, do.PutBlock)]
    assert again == [do.PutBlock(block, "again")]
    assert world.feed(ev.BlockAsked("t", "bob", "bob", blocked=False)) == [do.AnswerDone("t")]


def test_a_block_counts_for_more_than_what_a_host_before_writes_late() -> None:
    """It may have changed the block more often, as the user asked again and again."""
    before, after = World(), World()
    asked = [ev.BlockAsked("t", "alice", "alice", blocked, since=3) for blocked in (True, False) * 3]
    late = [each.block for ask in asked for each in before.feed(ask) if isinstance(each, do.PutBlock)]
    after.actor.peers.blocks["alice"] = late[0]  # of all that, this was stored when the next host loaded it
    for blocked in (True, False):
        ask = ev.BlockAsked("t", "alice", "alice", blocked, since=4)
        [block] = [each.block for each in after.feed(ask) if isinstance(each, do.PutBlock)]
        assert block.revision > max(each.revision for each in late)
    assert [each.revision for each in late] == sorted({each.revision for each in late})


def test_read_receipts_are_sent_unless_the_user_turned_them_off() -> None:
    world = World()
    world.append("alice", 1)
    world.attach("P")
    world.run()
    world.feed(ev.ReadMarked("alice", "alice", BASE, "t"))
    assert world.told["alice"] == [(BASE, BASE)]
    world.actor.peers.user = type(ME)("me", "me", "", "", 0, read_receipts=False)
    world.append("alice", 2)
    world.run()
    world.feed(ev.ReadMarked("alice", "alice", BASE + 1, "t"))
    assert world.told["alice"] == [(BASE, BASE)]


def test_a_read_mark_repeated_to_another_host_is_reported_again() -> None:
    """The host before stored the row and died before its receipt was in the log: the reader asks again."""
    world = World()
    world.append("alice", 1)
    world.attach("P")
    world.settle()
    world.feed(ev.ReadMarked("alice", "alice", BASE, "t"))
    world.told["alice"].clear()
    world.store_all()
    world.commit()
    world.crash()
    assert world.actor.peers.rows["alice"].my_read_seq == BASE
    world.feed(ev.ReadMarked("alice", "alice", BASE, "again"))
    assert world.told["alice"][-1] == (BASE, BASE)


def test_an_older_receipt_changes_nothing() -> None:
    world = World()
    world.attach("P")
    world.append_receipt("alice", 9, 4)
    world.append_receipt("alice", 5, 2)
    world.settle()
    [entry] = world.phones["P"].got
    assert isinstance(entry, wire.ReceiptEntry)
    assert (entry.delivered_seq, entry.read_seq) == (9, 4)


def test_key_changes_and_sent_messages_reach_the_devices_they_concern() -> None:
    world = World(("P", "Q"))
    world.attach("P")
    world.attach("Q")
    world.log.append(KeysRecord("me", "c", "alice", "alice", "DA", "added", 5))
    world.log.append(SentRecord("me", "i", "P", "bob", "bob", 77, 1, 5))
    world.settle()
    assert [type(e) for e in world.phones["P"].got] == [wire.KeysEntry]
    assert [type(e) for e in world.phones["Q"].got] == [wire.KeysEntry, wire.SentEntry]


def test_a_copy_is_for_its_device_and_others_learn_of_the_message_only() -> None:
    world = World(("P", "Q", "R"))
    for name in ("P", "Q", "R"):
        world.attach(name)
    copies = {"P": b"not for the sender", "Q": b"for Q"}
    record = SentRecord("me", "i", "P", "bob", "bob", 77, 1, 5, suite="s", payloads=copies, silent=True)
    world.log.append(record)
    world.settle()
    assert world.phones["P"].got == []
    [of_q], [of_r] = world.phones["Q"].got, world.phones["R"].got
    assert isinstance(of_q, wire.SentEntry)
    assert isinstance(of_r, wire.SentEntry)
    assert (of_q.payload, of_q.suite, of_q.silent, of_q.accepted_at_ms) == (b"for Q", "s", True, 5)
    assert of_r.payload is None


def test_messages_to_oneself_are_delivered_with_their_arrival_and_raise_no_floor() -> None:
    world = World(("P", "Q"))
    from_p, from_q = world.append("me", 1, ("Q",)), world.append("me", 2, ("P",))
    world.append("alice", 3)
    world.run()
    told = [(each.to, each.delivered_seq) for each in world.effects if isinstance(each, do.EmitReceipt)]
    assert told == [("me", BASE), ("me", BASE + 1)]
    assert [state.floor for state in world.actor.devices.values()] == [0, 0]
    world.settle()
    got = {name: [entry.id for entry in phone.got] for name, phone in world.phones.items()}  # type: ignore[union-attr]
    assert (got["P"][0], got["Q"][0]) == (from_q, from_p)


def test_an_expired_message_is_not_delivered_late() -> None:
    world = World()
    record = MessageRecord("me", "c", "a", "a", "D", 0, 0, "s", {"P": b"x"}, expires_at_ms=world.now + 10)
    world.log.append(record)
    world.run()
    world.now += 10
    world.settle()
    assert world.phones["P"].got == []


def disappeared(world: World, count: int) -> None:
    """Messages came, and their time is over before any device was here."""
    for _ in range(count):
        cause, payload, ends = f"{len(world.log)}", {"P": b"x"}, world.now + 10
        world.log.append(MessageRecord("me", cause, "a", "a", "D", 0, 0, "s", payload, expires_at_ms=ends))
    world.run()
    world.store_all()
    world.now += 10


def may_send(world: World, sender: str) -> bool:
    [answer] = world.feed(ev.RoomAsked("t", sender))
    return isinstance(answer, do.AnswerDone)


def test_what_disappeared_unread_makes_room_once_it_is_acknowledged() -> None:
    world = World(quotas=Quotas(stranger=Budget(2)))
    disappeared(world, 2)
    assert not may_send(world, "a")
    world.attach("P")
    world.run()
    assert [each for each in world.effects if isinstance(each, do.Drained)] == [do.Drained(1, 0, BASE + 1)]
    world.ack("P", BASE + 1)
    assert may_send(world, "a")
    world.append("a", 3)
    world.run()
    assert [(each.seq, each.prev) for each in world.phones["P"].got] == [(BASE + 2, BASE + 1)]


def test_a_sync_ends_behind_what_disappeared_unread() -> None:
    world = World(quotas=Quotas(stranger=Budget(2)))
    disappeared(world, 2)
    world.feed(ev.SyncAsked("t", "P", None, 10, 0))
    world.run()
    assert do.AnswerPage("t", BASE + 1, (), more=False, missed=False) in world.effects
    world.feed(ev.Acked("P", BASE + 1, None, "t"))
    assert may_send(world, "a")


def test_a_stream_that_another_host_serves_goes_on_behind_what_disappeared() -> None:
    world = World()
    world.attach("P")
    disappeared(world, 1)
    phone = world.phones["P"]
    assert [each.seq for each in phone.got] == [BASE], "it came before its time was over"
    world.detach("P")
    disappeared(world, 1)
    world.commit()
    phone.stream = 9
    world.crash()
    world.run()
    *_, end = [each for each in world.effects if isinstance(each, do.Drained)]
    assert end == do.Drained(9, BASE, BASE + 1)


def test_presence_is_announced_after_a_pause_and_only_to_those_who_may_know() -> None:
    world = World()
    world.feed(ev.Watched("bob"))
    world.attach("P")
    world.detach("P")
    told = [e for e in world.effects if isinstance(e, do.TellPresence)]
    assert [(e.online, e.last_seen_ms) for e in told] == [(False, None), (True, None)]
    world.now += 5_000
    effects = world.feed(ev.TimePassed())
    assert do.TellPresence("bob", online=False, last_seen_ms=1_000_000) in effects
    world.actor.peers.user = type(ME)("me", "me", "", "", 0, last_seen="contacts")
    effects = world.feed(ev.PresenceAsked("t", "bob"))
    assert effects == [do.AnswerPresence("t", online=False, last_seen_ms=None)]


@pytest.mark.parametrize("jump_ms", [-500_000, 500_000])
def test_who_left_goes_offline_though_the_clock_jumps(jump_ms: int) -> None:
    world = World()
    world.attach("P")
    world.detach("P")
    world.now += jump_ms
    world.feed(ev.TimePassed())
    assert not world.actor.presence.online


def test_a_short_absence_is_not_announced() -> None:
    world = World()
    world.attach("P")
    world.detach("P")
    world.now += 2_000
    world.attach("P")
    world.now += 10_000
    assert world.feed(ev.TimePassed()) == []
    assert world.actor.presence.online


def test_a_removed_device_loses_its_stream() -> None:
    world = World(("P", "Q"))
    world.attach("P")
    stream = world.phones["P"].stream
    effects = world.feed(ev.Refreshed("t", ME, (world.devices[1],)))
    assert do.Close(stream, "revoked", "this device was removed") in effects
    assert "P" not in world.actor.devices


def test_a_sync_of_a_removed_device_is_refused() -> None:
    world = World(("P", "Q"))
    world.feed(ev.SyncAsked("t", "P", None, 10, world.now + 1000))
    world.run()
    effects = world.feed(ev.Refreshed(None, ME, (world.devices[1],)))
    assert do.Refuse("t", "revoked", "this device was removed") in effects
    world.append("alice", 1)
    world.run()
    assert not any(isinstance(effect, do.AnswerPage) for effect in world.effects)


@pytest.mark.parametrize("removed", [True, False], ids=["removed", "in the background"])
def test_a_user_whose_last_foreground_stream_was_closed_for_it_goes_offline(*, removed: bool) -> None:
    world = World(("P", "Q"))
    world.attach("P")
    if removed:
        world.feed(ev.Refreshed(None, ME, (world.devices[1],)))
    else:
        world.attach("P", background=True)  # before the end of the stream that it displaces is known
    assert world.actor.presence.online
    world.now += 5_000
    assert do.PresenceChanged(online=False, at_ms=1_000_000) in world.feed(ev.TimePassed())
    assert not world.actor.presence.online


def test_an_added_device_acknowledges_nothing_that_was_encrypted_before_it_was_known() -> None:
    world = World(("P",))
    world.append("alice", 1)
    world.run()
    late = Device("me", "Q", "", 0, from_seq=0)  # the store did not have the entry yet
    world.feed(ev.Refreshed(None, ME, (*world.devices, late)))
    assert world.actor.devices["Q"].floor == world.last_of("alice")


def test_a_snapshot_restores_the_same_actor() -> None:
    world = World()
    world.append("alice", 1)
    world.settle()
    world.detach("P")
    world.now += 10_000
    world.feed(ev.TimePassed())
    assert world.actor.idle
    again = UserActor(world.actor.snapshot())
    assert again.snapshot() == world.actor.snapshot()


def test_typing_reaches_foreground_streams_only() -> None:
    world = World(("P", "Q"))
    world.attach("P")
    world.attach("Q", background=True)
    effects = world.feed(ev.TypingHeard("alice", "alice", "typing"))
    assert effects == [do.TellTyping(world.phones["P"].stream, "alice", "typing")]


def test_a_record_that_was_handled_is_not_handled_again() -> None:
    world = World()
    world.append("alice", 1)
    world.run()
    record = world.log[0]
    assert world.feed(ev.RecordArrived(BASE, record, encode_record(record))) == []


@pytest.mark.parametrize("crash", [False, True])
def test_a_later_device_acknowledges_nothing_older_than_itself(*, crash: bool) -> None:
    world = World(("P", "T"))
    world.append("alice", 1, phones=("P",))
    world.append("bob", 2, phones=("P",))
    world.devices = (world.devices[0], structs.replace(world.devices[1], from_seq=BASE + 1))
    world.load()
    world.append("alice", 3)
    world.append("carol", 4)
    world.run()
    world.store_all()
    if crash:
        world.commit()
        world.crash()
    world.attach("T")
    world.run()
    world.ack("T", BASE + 3)
    assert not world.told["alice"], "her first message is on no device"
    assert world.told["carol"] == [(BASE + 3, 0)]
    world.feed(ev.ReadMarked("alice", "alice", BASE + 2))
    assert all(delivered < BASE for delivered, _ in world.told["alice"])
    world.attach("P")
    world.run()
    world.ack("P", BASE + 1)
    assert world.told["alice"][-1] == (BASE + 3, BASE + 2)
    assert world.told["bob"] == [(BASE + 3, 0)]


def test_a_device_without_keys_claims_nothing_of_that_time_after_a_reload() -> None:
    world = World(phones=("P",))
    world.devices += (Device("me", "Q", "", 0, from_seq=0, floor=NO_FLOOR),)
    world.phones["Q"] = Phone("Q")
    world.load()
    world.append("alice", 1, phones=("P",))  # Q has no keys yet
    world.append("alice", 2)
    world.catch_up()
    assert world.offsets.stored == 0
    world.store_all()
    world.commit()
    world.crash()
    world.attach("Q")
    world.run()
    world.ack("Q", BASE + 1)
    assert world.told["alice"] == []
    world.attach("P")
    world.run()
    world.ack("P", BASE + 1)
    assert world.told["alice"][-1] == (BASE + 1, 0)


@pytest.mark.parametrize("reload", [False, True])
def test_a_device_acknowledges_nothing_stored_before_the_actor_knew_it(*, reload: bool) -> None:
    world = World(phones=("P",))
    world.append("alice", 1)
    world.catch_up()
    late = Device("me", "Q", "", 0, from_seq=0, floor=NO_FLOOR)  # the store did not have the entry yet
    world.devices, world.phones["Q"] = (*world.devices, late), Phone("Q")
    world.store_all()
    world.commit()
    if reload:
        world.load()
    else:
        world.feed(ev.TimePassed())  # the entry leaves the memory
        world.feed(ev.Refreshed(None, ME, world.devices))
    world.append("alice", 2)
    world.catch_up()
    world.attach("Q")
    world.run()
    world.ack("Q", BASE + 1)
    assert world.told["alice"] == []
    assert world.devices[1].floor == BASE  # written down: it is not looked up again
    world.load()
    assert world.actor.devices["Q"].floor_known


@pytest.mark.parametrize("reload", [False, True])
def test_a_message_that_was_not_encrypted_for_a_device_is_not_its_to_acknowledge(*, reload: bool) -> None:
    world = World(("P", "Q"))
    world.append("alice", 1, phones=("P",))
    world.append("alice", 2)
    world.run()
    if reload:
        world.store_all()
        world.commit()
        world.crash()
    world.attach("Q")
    world.run()
    world.ack("Q", BASE + 1)
    assert world.told["alice"] == []
    world.attach("P")
    world.run()
    world.ack("P", BASE)
    assert world.told["alice"][-1] == (BASE + 1, 0)


def test_a_replay_does_not_lower_a_floor_that_is_stored() -> None:
    world = World(("P", "Q"))
    world.devices = (world.devices[0], structs.replace(world.devices[1], floor=BASE + 5))
    world.load()
    world.append("alice", 1)
    world.append("alice", 2, phones=("P",))
    world.run()
    assert world.actor.devices["Q"].floor == BASE + 5


def test_a_device_without_keys_costs_no_write_and_later_claims_nothing_of_that_time() -> None:
    world = World(phones=("P",))
    keyless = Device("me", "Q", "", 0, from_seq=0, floor=NO_FLOOR)
    world.devices, world.phones["Q"] = (*world.devices, keyless), Phone("Q")
    world.load()
    for number in range(3):
        world.append("alice", number, phones=("P",))
        world.catch_up()
        world.attach("Q")
        world.run()
        world.ack("Q", BASE + number)  # it may read what is in the mailbox, and says so
    world.store_all()
    world.commit()
    assert world.devices[1].floor == NO_FLOOR
    assert world.told["alice"] == []
    world.devices = (world.devices[0], structs.replace(keyless, keys={}))
    world.feed(ev.Refreshed(None, ME, world.devices))
    world.append("alice", 3)
    world.catch_up()
    assert world.told["alice"] == []
    world.ack("Q", BASE + 3)
    assert world.told["alice"] == []
    world.attach("P")
    world.run()
    world.ack("P", BASE + 2)
    assert world.told["alice"][-1] == (BASE + 3, 0)


def test_a_message_shows_that_its_device_has_keys_and_a_snapshot_keeps_that() -> None:
    world = World(phones=("P",))
    world.devices += (Device("me", "Q", "", 0, from_seq=0, floor=NO_FLOOR),)
    world.phones["Q"] = Phone("Q")
    world.load()
    assert not world.actor.devices["Q"].addressable
    world.append("alice", 1)
    world.catch_up()
    assert world.actor.devices["Q"].addressable
    assert UserActor(world.actor.snapshot()).devices["Q"].addressable
