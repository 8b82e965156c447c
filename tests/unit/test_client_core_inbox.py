"""The receiving core: the chain of entries, acknowledgements, repeats, read marks."""

import dataclasses

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.client import events
from roost.client.core import Session
from roost.client.effects import Batch, Effect, Opaque, Refill, Renew, Requery, Resync, Take, Tell, Write
from roost.client.state import State
from roost.ids import MESSAGE_ID_WINDOW_MS, uuid7
from roost.wire import (
    Ack,
    Drained,
    KeysEntry,
    MessageEntry,
    Missed,
    Pong,
    Presence,
    Problem,
    Read,
    Ready,
    SentEntry,
    Subscribe,
    TokenExpiring,
    Typing,
)

NOW = 1_790_000_000_000


def message(seq: int, prev: int, number: int | None = None, sender: str = "alice") -> MessageEntry:
    message_id = uuid7(NOW, (number if number is not None else seq).to_bytes(10, "big"))
    return MessageEntry(seq, prev, NOW, message_id, sender, "ALICEPHONE", NOW, NOW, "sealed.v1", b"")


def ready(session: Session, cursor: int | None = None) -> list[Effect]:
    at = cursor if cursor is not None else session.cursor or 0
    return session.received(Ready("BOBPHONE01", at, NOW), NOW)


def attached(cursor: int = 0) -> Session:
    session = Session(State(cursor=cursor))
    ready(session)
    session.ack_due()
    return session


def takes(effects: list[Effect]) -> list[int]:
    return [effect.seq for effect in effects if isinstance(effect, Take)]


@dataclasses.dataclass
class Phone:
    """A receiver whose app may fall behind, crash and come back; what it took is in ``took``."""

    session: Session = dataclasses.field(default_factory=lambda: Session(State(cursor=0)))
    pending: list[MessageEntry] = dataclasses.field(default_factory=list)
    took: list[str] = dataclasses.field(default_factory=list)

    def receive(self, entries: list[MessageEntry]) -> bool:
        for effect in self.session.received(Batch(list(entries)), NOW):
            if isinstance(effect, Resync):
                return False
            if isinstance(effect, Take) and effect.entry is not None:
                self.pending.append(effect.entry)
        return True

    def take(self) -> None:
        if self.pending:
            entry = self.pending.pop(0)
            if not self.session.is_repeat(entry):
                self.session.telling(entry)
                self.took.append(entry.id)
            self.session.taken(entry.seq, NOW)

    def crash(self) -> None:
        kept = msgspec.json.encode(self.session.state)
        self.session = Session(msgspec.json.decode(kept, type=State))
        self.pending.clear()


class Mailbox:
    """The server's side: numbered entries, some of them repeats of a message under another number."""

    def __init__(self, numbers: list[int]) -> None:
        seqs = [5 * (place + 1) for place in range(len(numbers))]
        prevs = [0, *seqs]
        self.entries = [message(*each) for each in zip(seqs, prevs, numbers, strict=False)]

    def after(self, cursor: int) -> list[MessageEntry]:
        return [entry for entry in self.entries if entry.seq > cursor]


RECEIVER_STEPS = st.one_of(
    st.tuples(st.just("deliver"), st.integers(1, 5)),
    st.tuples(st.just("omit"), st.integers(1, 3)),
    st.tuples(st.sampled_from(["take", "crash", "reconnect", "again", "acknowledge"])),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 12), max_size=20), st.lists(RECEIVER_STEPS, max_size=60))
def test_each_message_is_taken_once_and_in_order(numbers: list[int], steps: list[tuple[object, ...]]) -> None:
    mailbox = Mailbox(numbers)
    phone = Phone()
    position = 0

    def reconnect() -> int:
        phone.session.closed(NOW)
        ready(phone.session)
        return phone.session.cursor or 0

    position = reconnect()
    for name, *arguments in [*steps, ("reconnect",), ("deliver", 100)]:
        match name:
            case "deliver" | "omit":
                batch = mailbox.after(position)[: int(str(arguments[0]))]
                position = batch[-1].seq if batch else position
                if name == "deliver" and not phone.receive(batch):
                    assert phone.receive(mailbox.after(reconnect()))
                    position = mailbox.entries[-1].seq
            case "again":
                phone.receive(mailbox.after(0)[:3])
            case "take":
                phone.take()
            case "acknowledge":  # it may be lost with the connection
                phone.session.ack_due()
            case "crash":
                phone.session.closed(NOW)
                phone.crash()
                position = reconnect()
            case _:
                position = reconnect()
    phone.receive(mailbox.after(phone.session.cursor or 0))
    while phone.pending:
        phone.take()
    firsts = list(dict.fromkeys(entry.id for entry in mailbox.entries))
    assert phone.took == firsts
    assert phone.session.ack_due() == (Ack(mailbox.entries[-1].seq) if mailbox.entries else None)


def test_an_omission_leads_to_a_fresh_start_and_is_then_reported() -> None:
    session = attached()
    assert takes(session.received(Batch([message(1, 0)]), NOW)) == [1]
    gap = Batch([message(9, 7)])
    assert session.received(gap, NOW) == [Resync()]
    assert session.received(Batch([message(10, 9)]), NOW) == []
    session.closed(NOW)
    assert session.cursor == 1
    ready(session)
    missed, taken = session.received(gap, NOW)
    assert missed == Take(1, events=(events.Missed(1, 7),))
    assert taken == Take(9, entry=gap.entries[0])  # type: ignore[arg-type]


def test_entries_reported_gone_are_announced_at_once() -> None:
    session = attached()
    session.received(Missed(), NOW)
    effects = session.received(Batch([message(9, 7)]), NOW)
    assert effects[0] == Take(0, events=(events.Missed(0, 7),))


def test_entries_reported_gone_excuse_one_gap_only() -> None:
    session = attached()
    session.received(Missed(), NOW)
    session.received(Batch([message(9, 7)]), NOW)
    assert session.received(Batch([message(20, 15)]), NOW) == [Resync()]


def test_what_disappeared_unread_is_passed_at_the_end() -> None:
    session = attached(3)
    assert session.received(Drained(7, 3), NOW) == [Take(7, events=(events.Synced(7),))]
    session.taken(7, NOW)
    assert session.ack_due() == Ack(7)
    assert session.received(Batch([message(9, prev=7)]), NOW)[0] == Take(9, entry=message(9, prev=7))


def test_an_entry_that_did_not_come_shows_at_the_end() -> None:
    session = attached(3)
    assert session.received(Drained(7, 5), NOW) == [Resync()]
    session.closed(NOW)
    ready(session)
    missed, synced = session.received(Drained(7, 5), NOW)
    assert missed == Take(3, events=(events.Missed(3, 5),))
    assert synced == Take(7, events=(events.Synced(7),))


def test_entries_reported_gone_are_announced_at_the_end_if_nothing_is_left() -> None:
    session = attached(3)
    session.received(Missed(), NOW)
    missed, synced = session.received(Drained(7, 7), NOW)
    assert missed == Take(3, events=(events.Missed(3, 7),))
    assert synced == Take(7, events=(events.Synced(7),))
    session.taken(7, NOW)
    assert session.ack_due() == Ack(7)
    assert takes(session.received(Batch([message(9, 7)]), NOW)) == [9]


def test_acks_are_cumulative_and_sent_once() -> None:
    session = attached()
    session.received(Batch([message(1, 0), message(2, 1), message(3, 2)]), NOW)
    assert session.ack_due() is None
    session.taken(2, NOW)
    session.taken(3, NOW)
    assert session.ack_due() == Ack(3)
    assert session.ack_due() is None


def test_a_lost_ack_is_repeated_after_a_reconnect() -> None:
    session = attached()
    session.received(Batch([message(1, 0)]), NOW)
    session.taken(1, NOW)
    session.ack_due()
    session.closed(NOW)
    assert session.ack_due() is None
    ready(session, 0)
    assert session.ack_due() == Ack(1)


def test_entries_taken_after_a_reconnect_are_acknowledged() -> None:
    session = attached()
    session.received(Batch([message(1, 0), message(2, 1)]), NOW)
    session.taken(1, NOW)
    assert session.ack_due() == Ack(1)
    session.closed(NOW)
    ready(session)  # begins after 2, which says nothing of what was acknowledged
    assert session.ack_due() == Ack(1)
    session.taken(2, NOW)
    assert session.ack_due() == Ack(2)


def test_nothing_is_acknowledged_beyond_what_was_sent() -> None:
    session = attached(5)
    session.received(Batch([message(6, 5), message(9, 6)]), NOW)
    session.closed(NOW)
    session.lose_cursor()
    ready(session, 5)  # 9 went down with its log
    session.received(Batch([message(6, 5)]), NOW)
    session.taken(9, NOW)
    assert session.ack_due() == Ack(5)
    session.taken(6, NOW)
    assert session.ack_due() == Ack(6)


def test_the_first_cursor_is_the_servers() -> None:
    session = Session(State())
    ready(session, 42)
    assert session.cursor == session.state.cursor == 42


def test_a_cursor_refused_by_the_server_is_given_up_and_reported() -> None:
    session = attached(5)
    session.closed(NOW)
    session.lose_cursor()
    assert session.cursor is None
    assert Tell(events.Missed(0, 3)) in ready(session, 3)


def test_same_id_of_another_sender_is_another_message() -> None:
    session = attached()
    session.telling(message(1, 0, 1, "mallory"))
    assert not session.is_repeat(message(2, 1, 1, "alice"))


def test_seen_ids_are_forgotten_after_the_window() -> None:
    session = attached()
    for seq in range(1, 1025):
        session.telling(message(seq, seq - 1))
    session.taken(1023, NOW)
    session.taken(1024, NOW + MESSAGE_ID_WINDOW_MS + 1)
    assert session.state.seen == {}


def test_read_marks_survive_a_lost_connection_and_a_crash() -> None:
    session = attached()
    assert session.read("alice", 7, NOW) == [Write(Read("alice", 7))]
    assert session.read("alice", 6, NOW) == []
    session.closed(NOW + 1)
    kept = msgspec.json.decode(msgspec.json.encode(session.state), type=State)
    assert Write(Read("alice", 7)) in ready(Session(kept))


def test_read_marks_refused_for_the_moment_are_written_again() -> None:
    session = Session(State())
    ready(session)
    session.read("alice", 7, NOW)
    session.read("bob", 9, NOW)
    assert session.received(Problem("read", "unavailable", "try again"), NOW + 10) == []
    assert session.received(Problem("read", "unavailable", "try again"), NOW + 20) == []
    assert session.tick(NOW + 900) == []
    assert session.tick(NOW + 1_100) == [Write(Read("alice", 7)), Write(Read("bob", 9))]
    assert session.tick(NOW + 5_000) == []
    refused = session.received(Problem("read", "unknown_user", "no such user"), NOW + 5_000)
    assert refused == [Tell(events.Refused("read", "unknown_user", "no such user"))]
    assert session.tick(NOW + 9_000) == []


def test_read_marks_made_offline_are_written_on_connect() -> None:
    session = Session(State(cursor=0))
    assert session.read("alice", 7, NOW) == []
    assert Write(Read("alice", 7)) in ready(session)


def test_old_read_marks_are_not_repeated() -> None:
    session = attached()
    session.read("alice", 7, NOW)
    session.closed(NOW + 60_000)
    assert Write(Read("alice", 7)) not in ready(session)


def test_presence_is_asked_for_again_after_a_reconnect() -> None:
    session = Session(State(cursor=0))
    assert session.subscribe(["alice"]) == []
    assert Write(Subscribe(["alice"])) in ready(session)
    assert session.subscribe(["carol"]) == [Write(Subscribe(["carol"]))]


def test_typing_is_dropped_without_a_connection() -> None:
    assert Session(State()).typing(Typing("bob", "typing")) == []
    assert attached().typing(Typing("bob", "typing")) == [Write(Typing("bob", "typing"))]


def test_other_frames_become_events() -> None:
    session = attached(3)
    assert session.received(Drained(3, 3), NOW) == [Take(3, events=(events.Synced(3),))]
    assert session.received(Typing("bob", "paused"), NOW) == [Tell(events.Typing("bob", "paused"))]
    assert session.received(Presence("bob", "offline", 7), NOW) == [
        Tell(events.Presence("bob", "offline", 7))
    ]
    assert session.received(TokenExpiring(60), NOW) == [Renew()]
    assert session.received(Pong(NOW), NOW) == []
    refused = session.received(Problem("read", "invalid", "no"), NOW)
    assert refused == [Tell(events.Refused("read", "invalid", "no"))]


def test_other_entries_keep_their_place() -> None:
    session = attached()
    copy = SentEntry(2, 1, NOW, "id", "carol", "BOBTABLET1", 9, NOW, NOW)
    entries = [
        KeysEntry(1, 0, NOW, "alice", "ALICEPHONE", "changed"),
        copy,
        Opaque(3, 2, "poll"),
    ]
    assert session.received(Batch(list(entries)), NOW) == [
        Requery("alice"),
        Take(1),
        Take(2, entry=copy),
        Take(3, events=(events.Unsupported(3, "poll"),)),
    ]


@pytest.mark.parametrize(
    ("unused", "refills"), [(None, False), (["signed_curve25519"], False), ([], True), (["other"], True)]
)
def test_a_fallback_key_that_was_given_out_is_replaced(unused: list[str] | None, *, refills: bool) -> None:
    session = Session(State())
    effects = session.received(Ready("BOBPHONE01", 0, NOW, {}, unused), NOW)
    assert (Refill() in effects) == refills
