"""The outbox against a model server: exactly once and in order, whatever happens in between.

Long, because the model server and the cases that it found stand together.
"""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roost.client import events
from roost.client.content import Delete, Edit, Reaction, Text, encode, read
from roost.client.core import Session
from roost.client.core.lane import ANSWER_MS, CHECK_MS, KEEP_MS, MAX_REISSUES, backoff_ms, pause_ms
from roost.client.core.outbox import SMALL
from roost.client.effects import Batch, Check, Effect, Reissue, Seal, Take, Tell, Write
from roost.client.state import OutboxItem, State
from roost.client.thread import JUMP
from roost.ids import uuid7
from roost.wire import Accepted, Ready, ReceiptEntry, Rejected, Send

START_MS = 1_790_000_000_000
PEERS = ("bob", "carol")


class World:
    """One sender's session, its shell reduced to a loop, and a server that keeps its promises."""

    def __init__(self) -> None:
        self.now = START_MS
        self.session = Session(State(cursor=0))
        self.made = 0
        self.submitted: dict[str, list[str]] = {peer: [] for peer in PEERS}
        self.told: list[events.Event] = []
        self.outgoing: list[Send] = []
        self.seals: list[Seal] = []
        self.checks: list[Check] = []
        self.reissues: list[OutboxItem] = []
        self.base = 0
        self.logs: dict[str, dict[str, int]] = {peer: {} for peer in PEERS}
        self.ever: dict[str, list[str]] = {peer: [] for peer in PEERS}
        self.stored: dict[str, int] = dict.fromkeys(PEERS, 0)
        self.device = "PHONE00001"
        self.mailbox_seq = 0
        self.bytes_of: dict[str, dict[str, bytes]] = {}

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Write(frame=Send() as frame):
                    self.outgoing.append(frame)
                case Seal():
                    self.seals.append(effect)
                case Check():
                    self.checks.append(effect)
                case Reissue(item=item):
                    self.reissues.append(item)
                case Tell(event=event):
                    self.told.append(event)
                case Take(seq=seq, events=told):
                    self.told.extend(told)
                    self.session.taken(seq, self.now)
                case _:
                    pytest.fail(f"unexpected: {effect}")

    def submit(self, peer: str, content: bytes = b"text") -> str:
        self.made += 1
        message_id = uuid7(self.now, self.made.to_bytes(10, "big"))
        self.submitted[peer].append(message_id)
        item = OutboxItem(0, message_id, peer, self.now, content)
        self.perform(self.session.submit(item, self.now))
        return message_id

    def connect(self) -> None:
        if not self.session.open:
            cursor = self.session.cursor or 0
            self.perform(self.session.received(Ready("MINE000001", cursor, self.now), self.now))

    def disconnect(self) -> None:
        self.session.closed(self.now)
        self.outgoing.clear()
        self.checks.clear()

    def restart(self) -> None:
        self.disconnect()
        self.seals.clear()
        kept = msgspec.json.encode(self.session.state)
        self.session = Session(msgspec.json.decode(kept, type=State))

    def seal_one(self, *, stale: bool) -> None:
        if self.seals:
            item = self.seals.pop(0).item
            device = "STALE00001" if stale else self.device
            self.perform(
                self.session.outbox.sealed(item.id, {device: b"sealed " + item.id.encode()}, self.now)
            )

    def serve_one(self, outcome: str) -> None:
        if not self.outgoing:
            return
        frame = self.outgoing.pop(0)
        if outcome == "never_arrives":
            self.disconnect()
            return
        answer = self.answer(frame, outcome)
        if outcome == "lost_reply":
            self.disconnect()
            return
        self.perform(self.session.received(answer, self.now))
        if outcome == "double_reply":
            self.perform(self.session.received(answer, self.now))

    def answer(self, frame: Send, outcome: str) -> Accepted | Rejected:
        log = self.logs[frame.to]
        if frame.id not in log:
            if outcome == "busy":
                return Rejected(frame.id, "rate_limited", "wait", retry_after_s=0.5)
            if set(frame.payloads) != {self.device}:
                return Rejected(frame.id, "device_mismatch", "stale", missing=[self.device], extra=[])
            self.ever[frame.to].append(frame.id)
            log[frame.id] = self.base + len(self.ever[frame.to])
            self.bytes_of[frame.id] = frame.payloads
        elif self.bytes_of[frame.id] != frame.payloads:
            return Rejected(frame.id, "id_reused", "other content")
        return Accepted(frame.id, log[frame.id], self.now)

    def answer_check(self) -> None:
        if self.checks:
            check = self.checks.pop(0)
            seq = self.logs[check.to].get(check.id)
            state = "delivered" if (seq or 0) <= self.stored[check.to] else "accepted"
            answer = None if seq is None else {"id": check.id, "seq": seq, "state": state}
            self.perform(self.session.outbox.checked(check.id, answer, self.now))

    def receipt(self, peer: str) -> None:
        top = max(self.logs[peer].values(), default=0)
        self.stored[peer] = top
        self.mailbox_seq += 1
        entry = ReceiptEntry(self.mailbox_seq, self.mailbox_seq - 1, self.now, peer, top, 0)
        if self.session.open:
            self.perform(self.session.received(Batch([entry]), self.now))
        else:
            self.mailbox_seq -= 1

    def lose_log(self) -> None:
        self.base += JUMP
        for peer, log in self.logs.items():
            for message_id, seq in list(log.items()):
                if seq > self.stored[peer]:
                    del log[message_id]

    def pass_time(self, ms: int) -> None:
        self.now += ms
        self.perform(self.session.tick(self.now))

    def settle(self) -> None:
        for _ in range(400):
            self.connect()
            while self.seals or self.outgoing or self.checks:
                self.answer_check()
                self.seal_one(stale=False)
                self.serve_one("fine")
            for peer in PEERS:
                self.receipt(peer)
            if not self.session.state.outbox:
                return
            self.pass_time(CHECK_MS)
        pytest.fail(f"the outbox did not empty: {self.session.state.outbox}")

    def check(self) -> None:
        items = self.session.state.outbox
        for peer, lane in self.session.outbox.lanes.items():
            orders = [item.order for item in lane.waiting]
            assert orders == sorted(orders)
            held = len(lane.waiting) + len(lane.accepted) + (lane.current is not None)
            assert lane.checking <= set(items)
            assert held == sum(item.to == peer for item in items.values())
        for peer in PEERS:
            flying = {frame.id for frame in self.outgoing if frame.to == peer}
            assert sum(each in items and items[each].seq is None for each in flying) <= 1


OUTCOMES = ("fine", "lost_reply", "never_arrives", "busy", "double_reply")
STEPS = st.one_of(
    st.tuples(st.just("submit"), st.sampled_from(PEERS)),
    st.tuples(st.just("serve"), st.sampled_from(OUTCOMES)),
    st.tuples(st.just("seal"), st.booleans()),
    st.tuples(st.sampled_from(["connect", "disconnect", "restart", "check", "new_device"])),
    st.tuples(st.just("receipt"), st.sampled_from(PEERS)),
    st.tuples(st.just("time"), st.sampled_from([100, 1000, ANSWER_MS, CHECK_MS])),
)
LOSS = st.one_of(STEPS, st.tuples(st.just("lose_log")))


def play(world: World, steps: list[tuple[object, ...]]) -> None:
    world.connect()
    actions = {
        "submit": world.submit,
        "serve": world.serve_one,
        "seal": lambda stale: world.seal_one(stale=stale),
        "receipt": world.receipt,
        "time": world.pass_time,
        "connect": world.connect,
        "disconnect": world.disconnect,
        "restart": world.restart,
        "check": world.answer_check,
        "lose_log": world.lose_log,
        "new_device": lambda: setattr(world, "device", f"PHONE{world.made:05}"),
    }
    for name, *arguments in steps:
        actions[str(name)](*arguments)  # type: ignore[operator]
        world.check()
    world.settle()


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_exactly_once_and_in_order(steps: list[tuple[object, ...]]) -> None:
    world = World()
    play(world, steps)
    assert world.ever == world.submitted
    told = [event.id for event in world.told if isinstance(event, events.Accepted)]
    assert len(told) == len(set(told)) == world.made
    assert not [event for event in world.told if isinstance(event, events.Failed)]


@settings(max_examples=300, deadline=None)
@given(st.lists(LOSS, max_size=60))
def test_a_lost_log_is_refilled(steps: list[tuple[object, ...]]) -> None:
    world = World()
    play(world, steps)
    for peer in PEERS:
        assert sorted(world.logs[peer]) == sorted(world.submitted[peer])
    assert not [event for event in world.told if isinstance(event, events.Failed)]


def flown(peer: str = "bob") -> World:
    world = World()
    world.connect()
    world.submit(peer)
    world.seal_one(stale=False)
    return world


def accepted(peer: str = "bob") -> World:
    world = flown(peer)
    world.serve_one("fine")
    return world


def test_one_at_a_time_to_one_and_many_in_parallel() -> None:
    world = World()
    world.connect()
    for _ in range(3):
        world.submit("bob")
        world.submit("carol")
    assert [seal.item.to for seal in world.seals] == ["bob", "carol"]


def test_a_repeat_carries_the_same_bytes() -> None:
    world = flown()
    first = world.outgoing[0]
    world.pass_time(ANSWER_MS)
    assert world.outgoing == [first, first]


def test_a_wrong_device_list_seals_again_under_the_same_id() -> None:
    world = flown()
    message_id = world.outgoing[0].id
    world.device = "TABLET0001"
    world.serve_one("fine")
    assert [(seal.item.id, seal.refresh) for seal in world.seals] == [(message_id, True)]


def test_a_device_list_that_stays_wrong_fails_the_message() -> None:
    world = flown()
    for _ in range(40):
        world.device = "NOBODYHAS1"
        world.serve_one("fine")
        world.pass_time(30_000)
        world.seal_one(stale=True)
    assert [event.code for event in world.told if isinstance(event, events.Failed)] == ["device_mismatch"]


@pytest.mark.parametrize("code", ["unknown_user", "too_large", "a_later_word"])
def test_an_unacceptable_message_fails_and_the_next_one_is_sent(code: str) -> None:
    world = flown()
    second = world.submit("bob")
    frame = world.outgoing.pop()
    world.perform(world.session.received(Rejected(frame.id, code, "no"), world.now))
    assert world.told[-1] == events.Failed(frame.id, "bob", code, "no")
    assert world.seals[0].item.id == second


def test_a_refused_client_waits_as_told_plus_jitter() -> None:
    world = flown()
    world.serve_one("busy")
    world.pass_time(499)
    assert world.outgoing == []
    world.pass_time(401)
    assert len(world.outgoing) == 1


def test_every_lane_waits_when_the_device_was_told_to_wait() -> None:
    world = flown()
    world.serve_one("busy")
    world.submit("carol")
    assert world.seals == []
    world.pass_time(499)
    assert world.seals == []
    world.pass_time(1)
    assert [seal.item.to for seal in world.seals] == ["carol"]


def test_a_message_refused_repeatedly_waits_longer_and_is_never_given_up() -> None:
    world = flown()
    first, second = world.submitted["bob"][0], world.submit("bob")
    waits = []
    for _ in range(12):
        frame, began = world.outgoing.pop(0), world.now
        assert frame.id == first
        refusal = Rejected(frame.id, "unavailable", "later", retry_after_s=1.0)
        world.perform(world.session.received(refusal, world.now))
        while not world.outgoing:
            world.pass_time(100)
        waits.append(world.now - began)
    assert min(waits) >= 1_000
    assert max(waits[:3]) < 1_000 + 200 * 2**3 + 200
    assert max(waits[8:]) > 5_000
    world.serve_one("fine")
    world.seal_one(stale=False)
    assert [frame.id for frame in world.outgoing] == [second]
    world.serve_one("fine")
    assert not [event for event in world.told if isinstance(event, events.Failed)]


def test_clients_refused_together_return_at_different_times() -> None:
    waits = [backoff_ms(3, 1.0, uuid7(1_000, number.to_bytes(10, "big"))) for number in range(200)]
    assert min(waits) >= 1_000
    assert max(waits) <= 1_000 + pause_ms(3)
    assert len({wait // 100 for wait in waits}) > pause_ms(3) // 100 * 0.8
    told_nothing = [backoff_ms(3, None, str(number)) for number in range(200)]
    assert pause_ms(3) // 2 <= min(told_nothing) < max(told_nothing) <= pause_ms(3)


def test_an_id_that_was_used_is_asked_about() -> None:
    world = flown()
    frame = world.outgoing.pop()
    world.logs["bob"][frame.id] = 7
    world.perform(world.session.received(Rejected(frame.id, "id_reused", "other"), world.now))
    world.answer_check()
    assert events.Accepted(frame.id, "bob", 7, world.now) in world.told


def test_an_id_used_by_someone_else_fails() -> None:
    world = flown()
    frame = world.outgoing.pop()
    world.perform(world.session.received(Rejected(frame.id, "id_reused", "other"), world.now))
    world.answer_check()
    assert [event.code for event in world.told if isinstance(event, events.Failed)] == ["id_reused"]


def test_a_jump_of_the_numbers_asks_at_once() -> None:
    world = accepted()
    first = world.submitted["bob"][0]
    world.lose_log()
    world.submit("bob")
    world.seal_one(stale=False)
    world.serve_one("fine")
    assert [check.id for check in world.checks] == [first]
    third = world.submit("bob")
    assert world.seals == []
    world.answer_check()
    assert [frame.id for frame in world.outgoing] == [first]
    world.serve_one("fine")
    assert world.seals[0].item.id == third


def test_a_watermark_of_a_later_log_confirms_nothing_without_asking() -> None:
    world = accepted()
    world.logs["bob"].clear()
    entry = ReceiptEntry(1, 0, world.now, "bob", JUMP + 5, 0)
    world.perform(world.session.received(Batch([entry]), world.now))
    assert list(world.session.state.outbox) == world.submitted["bob"]
    world.pass_time(1)
    world.answer_check()
    assert [frame.id for frame in world.outgoing] == world.submitted["bob"]


def test_a_watermark_just_below_a_base_confirms_nothing_without_asking() -> None:
    world = accepted()
    # The message had number 1 and was not stored, so the next log begins at 2^32: less than that above it.
    entry = ReceiptEntry(1, 0, world.now, "bob", 2**32, 0)
    world.perform(world.session.received(Batch([entry]), world.now))
    assert list(world.session.state.outbox) == world.submitted["bob"]


def test_a_receipt_before_the_answer_is_not_forgotten() -> None:
    world = flown()
    frame = world.outgoing.pop()
    answer = world.answer(frame, "fine")
    world.receipt("bob")
    world.perform(world.session.received(answer, world.now))
    assert world.session.state.outbox == {}
    assert events.Delivered("bob", 1, (frame.id,)) in world.told


def test_a_receipt_overtaking_a_check_blocks_nothing() -> None:
    world = accepted()
    world.pass_time(CHECK_MS)
    world.submit("bob")
    assert (len(world.checks), world.seals) == (1, [])
    world.receipt("bob")
    assert len(world.seals) == 1


def test_watermarks_only_rise() -> None:
    world = accepted()
    world.receipt("bob")
    told = len(world.told)
    world.receipt("bob")
    assert len(world.told) == told


def test_a_watermark_the_app_missed_is_reported_again_after_a_crash() -> None:
    world = accepted()
    seq = world.session.state.outbox[world.submitted["bob"][0]].seq or 0
    receipt = ReceiptEntry(1, 0, START_MS, "bob", seq, seq)
    world.session.received(Batch([receipt]), world.now)  # and the app ends before it takes it
    world.session = Session(msgspec.json.decode(msgspec.json.encode(world.session.state), type=State))
    world.connect()
    world.perform(world.session.received(Batch([receipt]), world.now))
    assert [type(event) for event in world.told[-2:]] == [events.Delivered, events.Read]


def test_a_read_mark_is_reported_without_knowing_the_message() -> None:
    world = World()
    world.connect()
    world.perform(world.session.received(Batch([ReceiptEntry(1, 0, 5, "bob", 9, 8)]), world.now))
    assert world.told[-2:] == [events.Delivered("bob", 9), events.Read("bob", 8)]


@pytest.mark.parametrize("state", ["stored", "delivered"])
def test_the_server_is_asked_again_about_what_stays_undelivered(state: str) -> None:
    world = accepted()
    world.pass_time(CHECK_MS)
    (check,) = world.checks
    world.perform(world.session.outbox.checked(check.id, {"seq": 1, "state": state}, world.now))
    assert (world.session.state.outbox == {}) is (state == "delivered")


def test_a_number_that_went_down_with_the_log_is_not_covered_by_a_watermark_above_it() -> None:
    """The message was sent twice: the log that took the first was lost, and the second has another number."""
    world = accepted()
    message_id = world.submitted["bob"][0]
    first = world.session.state.outbox[message_id].seq or 0
    second = first + JUMP + 2
    world.pass_time(CHECK_MS)
    (check,) = world.checks
    world.perform(world.session.outbox.checked(check.id, {"seq": second, "state": "stored"}, world.now))
    told = len(world.told)
    for watermark in (second - 1, second):
        receipt = ReceiptEntry(watermark, 0, START_MS, "bob", watermark, 0)
        world.perform(world.session.received(Batch([receipt]), world.now))
    assert world.told[told:] == [
        events.Delivered("bob", second - 1),
        events.Delivered("bob", second, (message_id,)),
    ]


def test_messages_accepted_before_a_renumbered_one_are_asked_about() -> None:
    world = accepted()
    before = world.submitted["bob"][0]
    message_id = world.submit("bob")
    world.perform(world.session.outbox.sealed(message_id, {}, world.now))
    first = world.session.state.outbox[before].seq or 0
    world.perform(world.session.received(Accepted(message_id, first + 1, world.now), world.now))
    world.checks.clear()
    world.pass_time(CHECK_MS)
    (check,) = world.checks
    assert check.id == message_id
    answer = {"seq": first + JUMP, "state": "stored"}
    world.perform(world.session.outbox.checked(check.id, answer, world.now))
    assert [each.id for each in world.checks] == [message_id, before]


def test_a_question_without_an_answer_is_asked_again() -> None:
    world = accepted()
    world.pass_time(CHECK_MS)
    world.session.outbox.unchecked(world.checks.pop().id, world.now)
    world.pass_time(1000)
    assert len(world.checks) == 1


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.parametrize("was_accepted", [True, False])
def test_old_messages_are_reported_never_dropped(connected: bool, was_accepted: bool) -> None:  # noqa: FBT001
    world = accepted() if was_accepted else World()
    if not was_accepted:
        world.submit("bob")
    if not connected:
        world.disconnect()
    world.pass_time(KEEP_MS)
    assert not [event for event in world.told if isinstance(event, events.Failed)]
    world.pass_time(1)
    assert [event.code for event in world.told if isinstance(event, events.Failed)] == ["id_expired"]
    assert world.session.state.outbox == {}


def test_nothing_is_sent_to_a_peer_in_doubt_until_it_is_trusted() -> None:
    world = World()
    world.connect()
    world.perform(world.session.outbox.hold("bob", world.now, held=True))
    world.submit("bob")
    world.pass_time(1000)
    assert world.seals == []
    world.perform(world.session.outbox.hold("bob", world.now, held=False))
    assert len(world.seals) == 1


def test_sealing_that_fails_is_retried_later() -> None:
    world = World()
    world.connect()
    message_id = world.submit("bob")
    world.seals.clear()
    world.perform(world.session.outbox.unsealable(message_id, world.now))
    world.pass_time(1000)
    assert world.seals[0].item.id == message_id
    world.perform(world.session.outbox.unsealable(message_id, world.now, "device_mismatch"))
    assert isinstance(world.told[-1], events.Failed)


def refused_for_its_time() -> tuple[World, OutboxItem]:
    world = World()
    world.connect()
    world.submit("bob")
    world.submit("bob")
    world.seal_one(stale=False)
    frame = world.outgoing.pop(0)
    world.perform(world.session.received(Rejected(frame.id, "id_expired", "ahead"), world.now))
    assert [check.id for check in world.checks] == [frame.id]
    return world, world.session.state.outbox[frame.id]


def test_an_id_that_is_refused_for_its_time_is_replaced_if_it_was_never_accepted() -> None:
    world, item = refused_for_its_time()
    old, new = item.id, uuid7(world.now, b"\xff" * 10)
    world.perform(world.session.outbox.checked(old, None, world.now))
    assert world.reissues == [item]
    world.pass_time(60_000)
    assert world.outgoing == world.seals == [], "nothing leaves under the old id"
    world.perform(world.session.outbox.reissued(item, new, world.now))
    assert world.told[-1] == events.IdChanged(old, new, "bob")
    world.seal_one(stale=False)
    assert world.outgoing.pop(0).id == new
    assert world.seals == [], "and in its old place"
    world.perform(world.session.received(Accepted(new, 1, world.now), world.now))
    assert list(world.session.state.outbox)[-1] == new
    assert len(world.seals) == 1


def test_an_id_that_is_refused_for_its_time_is_kept_if_it_was_accepted_before() -> None:
    world, item = refused_for_its_time()
    world.perform(world.session.outbox.checked(item.id, {"seq": 7, "state": "stored"}, world.now))
    assert events.Accepted(item.id, "bob", 7, world.now) in world.told
    assert world.reissues == []


@pytest.mark.parametrize("kind", [Edit, Delete, Reaction])
def test_what_is_said_about_a_message_follows_its_new_id(kind: type[Edit | Delete | Reaction]) -> None:
    world, item = refused_for_its_time()
    words = () if kind is Delete else ("new",)
    about, other = kind(item.id, *words), kind(uuid7(1, bytes(10)), *words)
    for each in (about, other):
        world.submit("bob", encode(each))
    new = uuid7(world.now, b"\xff" * 10)
    world.perform(world.session.outbox.checked(item.id, None, world.now))
    world.perform(world.session.outbox.reissued(item, new, world.now))
    said = [read(each.content) for each in world.session.outbox.lanes["bob"].waiting]
    assert said == [Text("text"), kind(new, *words), other]


@pytest.mark.parametrize("connected", [True, False])
def test_without_an_answer_the_same_id_is_tried_again(connected: bool) -> None:  # noqa: FBT001
    world, item = refused_for_its_time()
    if connected:
        world.session.outbox.unchecked(item.id, world.now)
    else:
        world.disconnect()
        world.connect()
    world.pass_time(1_000)
    assert world.outgoing[0].id == item.id


def test_clocks_that_never_agree_fail_the_message() -> None:
    world, item = refused_for_its_time()
    for number in range(MAX_REISSUES):
        world.perform(world.session.outbox.checked(item.id, None, world.now))
        world.perform(world.session.outbox.reissued(item, uuid7(world.now, bytes([number]) * 10), world.now))
        world.seal_one(stale=False)
        frame = world.outgoing.pop(0)
        world.perform(world.session.received(Rejected(frame.id, "id_expired", "ahead"), world.now))
    failed = world.told[-1]
    assert isinstance(failed, events.Failed)
    assert (failed.id, failed.code) == (item.id, "id_expired")


@pytest.mark.parametrize(("size", "fails"), [(SMALL // 2, False), (SMALL * 2, True)])
def test_a_connection_that_closes_for_a_frames_size_costs_the_largest_message(
    size: int,
    fails: bool,  # noqa: FBT001
) -> None:
    world = World()
    world.connect()
    ids = [world.submit(peer) for peer in PEERS]
    for message_id, payload in zip(ids, (bytes(size), b"small"), strict=True):
        world.perform(world.session.outbox.sealed(message_id, {world.device: payload}, world.now))
    world.perform(world.session.outbox.refuse_largest(world.now))
    world.disconnect()
    failed = [(event.id, event.code) for event in world.told if isinstance(event, events.Failed)]
    assert failed == ([(ids[0], "too_large")] if fails else [])
    world.connect()
    assert {frame.id for frame in world.outgoing} == set(ids[1:] if fails else ids)


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        ({"missing": ["X"], "extra": []}, (True, False)),
        ({"own_missing": ["X"], "own_extra": []}, (False, True)),
        ({"missing": [], "extra": ["X"], "own_missing": ["X"]}, (True, False)),
        ({}, (True, False)),
    ],
)
def test_keys_are_asked_for_of_whom_they_are_wrong(
    told: dict[str, list[str]], asked: tuple[bool, bool]
) -> None:
    world = World()
    world.connect()
    message_id = world.submit("bob")
    world.seals.clear()
    payloads, own = {"PHONE": b"x"}, {"MYLAPTOP": b"y"}
    world.perform(world.session.outbox.sealed(message_id, payloads, world.now, own))
    frame = world.outgoing.pop()
    assert (frame.payloads, frame.own, frame.silent) == (payloads, own, False)
    world.perform(world.session.received(Rejected(message_id, "device_mismatch", "", **told), world.now))  # type: ignore[arg-type]
    [seal] = world.seals
    assert (seal.refresh, seal.own) == asked
    assert (seal.item.payloads, seal.item.own) == (None, None)


def test_copies_are_repeated_byte_for_byte_after_a_restart() -> None:
    world = World()
    world.connect()
    message_id = world.submit("bob")
    world.seals.clear()
    world.perform(world.session.outbox.sealed(message_id, {"P": b"x"}, world.now, {"L": b"y"}))
    first = world.outgoing.pop()
    world.restart()
    world.connect()
    assert world.outgoing == [first]


def test_a_message_to_oneself_with_one_device_is_delivered_where_it_is() -> None:
    world = World()
    world.connect()
    message_id, second = world.submit("bob"), world.submit("bob")
    world.seals.clear()
    world.perform(world.session.outbox.sealed(message_id, {}, world.now))
    refused = Rejected(message_id, "device_mismatch", "no other device", missing=[], extra=[])
    world.perform(world.session.received(refused, world.now))
    assert world.told[-1] == events.Delivered("bob", 0, (message_id,))
    assert [seal.item.id for seal in world.seals] == [second]
    assert list(world.session.state.outbox) == [second]
