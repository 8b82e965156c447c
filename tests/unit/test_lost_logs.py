"""A log that is lost and recreated: what still counts of the previous one, and what roles do not know yet."""

import asyncio
from typing import Any, cast

import pytest
from msgspec.msgpack import decode
from msgspec.structs import replace

from actors.host import ActorHost, HostSettings, Stores
from actors.map_lease import MapLease
from actors.rpc import messages as m
from actors.rpc.messages import Open
from actors.service import ASK_AGAIN_S, MAP_LEASE_S
from actors.user import events as ev
from cluster.consumers.router import Router
from sim.deterministic.hosts import Host
from sim.deterministic.links import End
from sim.deterministic.logs import PromptWriter, Reader
from sim.deterministic.reaching import StepConnections
from sim.deterministic.turns import finish
from sim.deterministic.world import Plan, World
from storage.records import MessageRecord, encode_record
from tests.unit.link_ends import Silent

NEW_BASE = 2**32
CAUSE = "01a3185c-5000-7000-8001-414e4e303030"
HELLO = encode_record(
    MessageRecord("ann", CAUSE, "bob", "bob", "BOB0000000", 0, 0, "s", {"ANN0000000": b"x"})
)


class OneShard:
    """A host with one shard, and a router that opened it under the base 1. No one is to be woken."""

    def __init__(self) -> None:
        self.world = World(Plan(1, (1, 1)))
        for user, devices in self.world.store.devices.items():
            self.world.store.devices[user] = [replace(each, push_token=None) for each in devices]
        self.host: Host = self.world.hosts["h0"]
        self.router = End(Silent(), "router", "r9")
        self.host.opened(self.router)
        self.host.received(self.router, [Open(0, 1, 0, 0)])

    def bring(self, value: bytes) -> None:
        self.host.received(self.router, [m.Batch([m.Part(0, [0], [value])])])

    def run(self, *kinds: str) -> None:
        """Let look-ups and these kinds of writes end."""
        while self.host.tasks or any(kind in kinds for kind in self.host.writes()):
            for kind in kinds:
                self.host.write(kind)
            if self.host.tasks:
                self.host.go_on(0, "done")

    def stored(self) -> list[int]:
        """Return what the router was told since last time: its end sends to itself."""
        told = [each for each in self.router.incoming if isinstance(each, m.Stored)]
        self.router.incoming.clear()
        return [each.offsets[0] for each in told]


def test_a_repeat_counts_as_stored_once_its_original_is() -> None:
    it = OneShard()
    it.bring(HELLO)
    it.run()
    it.host.received(it.router, [Open(0, NEW_BASE, 0, 1)])  # the log was lost: bob sent it again
    it.bring(HELLO)
    it.stored()
    it.run("rows")
    assert it.stored() == []
    it.run("documents")
    assert it.stored() == [1]
    assert [each.seq for each in it.world.store.mailbox("ann")] == [1]


def test_waiting_for_the_previous_log_does_not_block_its_writes() -> None:
    it = OneShard()
    to_bob = MessageRecord("bob", CAUSE, "ann", "ann", "ANN0000000", 0, 0, "s", {"BOB0000000": b"x"})
    it.host.received(
        it.router,
        [
            m.Batch([m.Part(0, [0], [HELLO])]),
            Open(0, NEW_BASE, 0, 1),
            m.Batch([m.Part(0, [0], [encode_record(to_bob)])]),
        ],
    )
    for _ in range(100):  # who waits asks again and again
        it.host.write("documents")
        it.host.write("rows")
        it.host.go_on(0, "done")
        it.host.go_on(1, "done")
    assert [each.seq for each in it.world.store.mailbox("ann")] == [1]
    assert [each.seq for each in it.world.store.mailbox("bob")] == [NEW_BASE]


def test_no_actor_is_loaded_while_the_previous_log_is_being_stored() -> None:
    """What the store has yet to learn of that log is part of what an actor is loaded with."""
    it = OneShard()
    to_bob = MessageRecord("bob", CAUSE, "ann", "ann", "ANN0000000", 0, 0, "s", {"BOB0000000": b"x"})
    it.bring(HELLO)
    it.run()
    it.host.received(it.router, [Open(0, NEW_BASE, 0, 1)])
    it.bring(encode_record(to_bob))
    for _ in range(20):
        it.host.go_on(0, "done")
    assert [user for user, _ in it.host.actors()] == ["ann"]
    it.run("documents", "rows")
    assert [user for user, _ in it.host.actors()] == ["ann", "bob"]


def test_users_kept_across_a_recreated_log_leave_with_their_shard() -> None:
    it = OneShard()
    it.bring(HELLO)
    it.run()
    it.host.received(it.router, [Open(0, NEW_BASE, 0, 0)])
    assert it.host.users == ["ann"]
    it.world.show(hosts=("h1",))
    it.host.learn(it.world.view)
    assert it.host.users == []


@pytest.mark.parametrize("by_map", [True, False])
def test_a_shard_is_not_opened_under_the_base_of_a_log_before(*, by_map: bool) -> None:
    it = OneShard()
    if by_map:
        it.world.lose_log(0)
        it.world.remake_log(0)
        it.host.learn(it.world.view)
    else:
        it.host.received(it.router, [Open(0, NEW_BASE, 0, 0)])
    it.router.incoming.clear()
    it.host.received(it.router, [Open(0, 1, 0, 0)])
    assert [type(each) for each in it.router.incoming] == [m.NotMine]


def test_records_of_a_log_unknown_to_the_routers_map_go_nowhere() -> None:
    world = World(Plan(1, (1, 1)))
    router = world.routers["r0"]
    for _ in range(2):
        router.turn(6)
        world.reach_hosts("r0")
    world.lose_log(0)
    world.remake_log(0)
    world.log.shards[0] = [HELLO]
    world.links.deliver("r0>h0", 6)
    router.turn(6)
    assert "r0>h0" not in world.links.busy()
    world.apply_view("r0")
    router.turn(6)
    router.turn(6)
    assert "r0>h0" in world.links.busy()


def test_records_stored_of_an_earlier_log_do_not_count_for_the_new_one() -> None:
    """The two words cross: the record at the same place of the new log would be passed over."""
    world = World(Plan(1, (1, 1)))
    router, host = world.routers["r0"], world.hosts["h0"]
    for _ in range(2):
        router.turn(6)
        world.reach_hosts("r0")
    world.log.shards[0] = [HELLO]
    router.turn(6)
    world.links.deliver("r0>h0", 6)
    world.lose_log(0)
    world.remake_log(0)
    world.apply_view("r0")
    router.turn(6)
    router.turn(6)
    assert router.shards[0].opened
    world.log.shards[0] = [HELLO]
    while host.tasks or host.writes():
        for kind in host.writes():
            host.write(kind)
        if host.tasks:
            host.go_on(0, "done")
    world.links.deliver("h0>r0", 6)
    router.commit()
    state = world.store.logs[0]
    assert (state.base, state.stored) == (world.view.bases[0], 0)


def test_a_host_reports_what_it_still_has_to_store_of_an_earlier_log() -> None:
    it = OneShard()
    it.bring(HELLO)
    assert it.host.end_logs({0: NEW_BASE}) == [0], "its actor is being loaded"
    it.run()
    assert it.host.end_logs({0: NEW_BASE}) == [0], "it has to be stored"
    assert it.host.end_logs({1: NEW_BASE}) == [], "this says nothing of other shards"
    it.run("documents", "rows")
    assert it.host.end_logs({0: NEW_BASE}) == []


async def test_a_host_asked_for_unstored_records_writes_at_once() -> None:
    world = World(Plan(1, (1, 1)))
    stores = Stores(*cast("tuple[Any, Any, Any]", (world.store, world.cache, PromptWriter(world.log))))
    host = ActorHost("h0", stores, b"", world.clock, HostSettings(store_linger_s=60))
    await host.start()
    await host.apply(world.view)
    router = cast("Any", End(Silent(), "router", "r9"))
    host.opened(router)
    host.received(router, [Open(0, 1, 0, 1), m.Batch([m.Part(0, [0], [HELLO])])])
    message = m.encode({"act": "end_logs", "bases": [(0, NEW_BASE)]})
    answers = [await host.tell(decode(message))]
    async with asyncio.timeout(30):
        while answers[-1]:
            await asyncio.sleep(0.01)
            answers.append(await host.tell(decode(message)))
    assert answers[0] == [0]
    assert [each.seq for each in world.store.mailbox("ann")] == [1]
    assert await host.stop() == []


def test_a_host_that_lost_the_shard_still_has_to_store_what_it_took() -> None:
    it = OneShard()
    it.bring(HELLO)
    it.run()
    it.world.show(hosts=("h1",))
    it.host.learn(it.world.view)
    assert it.host.shards == []
    assert it.host.end_logs({0: NEW_BASE}) == [0]
    it.run("documents", "rows")
    assert it.host.end_logs({0: NEW_BASE}) == []


def test_nothing_more_is_accepted_from_a_log_that_ended() -> None:
    it = OneShard()
    assert it.host.end_logs({0: NEW_BASE}) == []
    it.bring(HELLO)
    assert it.host.end_logs({0: NEW_BASE}) == []
    it.host.received(it.router, [Open(0, 1, 0, 0)])
    assert [type(each) for each in it.router.incoming][-2:] == [m.NotMine, m.NotMine]
    it.host.received(it.router, [Open(0, NEW_BASE, 0, 1)])
    it.bring(HELLO)
    it.run("documents", "rows")
    assert [each.seq for each in it.world.store.mailbox("ann")] == [NEW_BASE]


@pytest.mark.parametrize("caught_up", [True, False])
def test_a_shard_that_had_not_caught_up_with_the_previous_log_starts_over(*, caught_up: bool) -> None:
    """Another host may have stored what had not come here yet: an actor in memory would not know it."""
    it = OneShard()
    it.host.received(it.router, [Open(0, 1, 0, 1 if caught_up else 2)])
    it.host.received(it.router, [Open(0, 1, 1, 1 if caught_up else 2)])  # a higher start: opened again
    it.host.post("ann", ev.TimePassed())
    it.run()
    assert it.host.users == ["ann"]
    it.host.received(it.router, [Open(0, NEW_BASE, 0, 0)])
    assert it.host.users == (["ann"] if caught_up else [])


@pytest.mark.parametrize("by_map", [True, False])
def test_a_router_without_heartbeats_or_polls_is_in_doubt(*, by_map: bool) -> None:
    world = World(Plan(1, (1,)))
    now_s = 100.0
    lease = MapLease(lambda: now_s)
    hosts = StepConnections("router", "r0")
    router = Router("r0", cast("Any", Reader(world.log)), cast("Any", world.store), hosts, lease)
    assert not lease.expired(router._turned_s), "there is no map that it could have missed"
    finish(router.apply(world.view))
    assert lease.expired(router._turned_s)
    router._turned_s = now_s
    assert not lease.expired(router._turned_s)
    now_s += MAP_LEASE_S + 0.1
    if by_map:
        router._turned_s = now_s
    else:
        finish(router.apply(world.view))
    assert lease.expired(router._turned_s)
    finish(router.take({}))
    assert not lease.expired(router._turned_s)
    now_s += ASK_AGAIN_S + 0.1
    router._turned_s = now_s
    assert lease.expired(router._turned_s) is by_map
