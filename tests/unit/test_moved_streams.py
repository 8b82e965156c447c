"""Streams of shards that move or catch up: in the end a host serves what its gateways have, no more."""

from typing import Any, cast

from msgspec.structs import replace

from actors.host.shards.shard import Shard
from actors.rpc import messages as m
from actors.rpc.messages import Open
from roost.ids import shard_of
from sim.deterministic.hosts import Host
from sim.deterministic.links import End
from sim.deterministic.reaching import StepLinks
from sim.deterministic.stores import Store
from sim.deterministic.turns import finish
from sim.deterministic.world import Plan, World
from storage.records import KeysRecord, encode_record
from storage.shard_map import ShardMap
from tests.unit.link_ends import Silent

DEVICE = "ANN0000000"
ATTACH = m.Attach(7, "ann", "ann", DEVICE, 0, 0, False, False)  # noqa: FBT003 -- as it comes over the link


class CatchingUp:
    """A host whose only shard lacks one record yet, with a gateway and a router."""

    def __init__(self) -> None:
        self.world = World(Plan(1, (1,)))
        self.host: Host = self.world.hosts["h0"]
        self.gateway, self.router = End(Silent(), "gateway", "g9"), End(Silent(), "router", "r9")
        self.host.opened(self.gateway)
        self.host.received(self.router, [Open(0, 1, 0, 1)])

    def told(self) -> list[Any]:
        """Return what the host has sent to the gateway: the end sends to itself."""
        return list(self.gateway.incoming)

    def catch_up(self) -> None:
        record = encode_record(KeysRecord("ann", "cause", "bob", "bob", "BOB0000000", "added", 1))
        self.host.received(self.router, [m.Batch([m.Part(0, [0], [record])])])
        while self.host.tasks or self.host.writes():
            for kind in self.host.writes():
                self.host.write(kind)
            self.host.go_on(0, "done")

    def served(self) -> list[int]:
        return [number for _, actor in self.host.actors() for number in actor.mailbox.streams]


def test_a_stream_waits_until_its_shard_has_caught_up() -> None:
    it = CatchingUp()
    it.host.received(it.gateway, [ATTACH])
    assert it.told() == []
    it.catch_up()
    assert [type(message) for message in it.told()] == [m.Attached, m.Deliver, m.Drained]


def test_a_stream_that_ends_while_it_waits_is_not_served() -> None:
    it = CatchingUp()
    it.host.received(it.gateway, [ATTACH, m.Detach(7)])
    it.catch_up()
    assert it.served() == it.host.streams() == it.told() == []


def test_a_gateway_that_goes_while_its_streams_wait_leaves_none() -> None:
    it = CatchingUp()
    it.host.received(it.gateway, [ATTACH, m.Watch("bob", ["ann"])])
    it.host.closed(it.gateway)
    it.catch_up()
    assert it.served() == it.host.streams() == []
    assert not any(actor.presence.watchers for _, actor in it.host.actors())


def test_a_reattached_stream_that_waits_is_served_once() -> None:
    it = CatchingUp()
    it.host.received(it.gateway, [ATTACH, m.Detach(7), ATTACH])
    it.catch_up()
    assert [type(message) for message in it.told()] == [m.Attached, m.Deliver, m.Drained]
    assert len(it.served()) == len(it.host.streams()) == 1


def test_an_acknowledgement_on_a_stream_that_waits_counts() -> None:
    it = CatchingUp()
    it.host.received(it.gateway, [ATTACH, m.Ack(7, 1)])
    it.catch_up()
    assert it.world.store.cursors["ann"] == {DEVICE: 1}


def test_a_subscription_ended_while_it_waited_is_not_made() -> None:
    it = CatchingUp()
    it.host.received(it.gateway, [m.Watch("bob", ["ann"]), m.Unwatch("bob", ["ann"])])
    it.catch_up()
    assert not any(actor.presence.watchers for _, actor in it.host.actors())


def test_a_shard_that_leaves_takes_the_streams_that_wait_for_it() -> None:
    it = CatchingUp()
    it.host.received(it.gateway, [ATTACH])
    it.world.show(hosts=("h1",))
    it.host.learn(it.world.view)
    assert it.host.streams() == []
    assert [type(message) for message in it.told()] == [m.NotMine]


def test_every_router_is_told_that_a_host_released_a_shard() -> None:
    """The one that opened it last need not be the one that will read it when it comes back."""
    it = CatchingUp()
    earlier = End(Silent(), "router", "r8")
    for link in (earlier, it.router):
        it.host.opened(link)
    it.world.show(hosts=("h1",))
    it.host.learn(it.world.view)
    assert [type(message) for message in earlier.incoming] == [m.NotMine]


class Local:
    """A stream of the gateway under test."""

    user, link = "ann", cast("Any", None)

    def __init__(self) -> None:
        self.number, self.last = 7, 0

    def deliver(self, _entries: list[Any], last: int) -> None:
        self.last = last

    def attach(self) -> m.Attach:
        return replace(ATTACH, stream=self.number)


def linked() -> tuple[StepLinks, Local, End]:
    links, stream, host = (
        StepLinks("g9", Store(), lambda: 0),
        cast("Any", Local()),
        End(Silent(), "host", "h0.1"),
    )
    links.apply(ShardMap(1, ("h0",), ("r0",), (), (1,), {"h0": ("", 0)}, {"h0": "h0.1"}))
    links.connections.reached("h0", cast("Any", host))
    links.attachments.add(stream)
    return links, stream, host


def test_a_stream_that_ends_after_the_host_said_no_is_ended_at_the_host() -> None:
    """The host's word may be older than its yes to this stream."""
    links, stream, host = linked()
    links.received(cast("Any", host), [m.NotMine(0, 1)])
    links.attachments.remove(cast("Any", stream))
    assert [type(message) for message in host.incoming] == [m.Attach, m.Detach]


def test_frames_for_an_earlier_attachment_are_not_taken_for_the_next_ones() -> None:
    links, stream, host = linked()
    links.received(cast("Any", host), [m.NotMine(0, 1)])
    links.turn()
    first, _, second = host.incoming
    assert first.stream != second.stream == stream.number
    links.received(cast("Any", host), [m.Deliver(first.stream, [], 3)])
    assert stream.last == 0
    links.received(cast("Any", host), [m.Deliver(second.stream, [], 3)])
    assert stream.last == 3


def test_an_older_map_arriving_late_moves_nothing() -> None:
    links, stream, host = linked()
    assert links.shard_map is not None
    links.apply(ShardMap(0, ("h1",), ("r0",), (), (1,), {"h1": ("", 0)}, {"h1": "h1.1"}))
    assert links.shard_map.hosts == ("h0",)
    assert cast("Any", stream.link) is host
    it = CatchingUp()
    newest = it.world.view
    it.world.show(hosts=("h1",))
    it.world.show(hosts=("h0",))
    it.host.learn(it.world.view)
    finish(it.host.apply(newest))
    assert it.host.version == it.world.view.version


def test_a_log_recreated_twice_waits_for_the_first_one() -> None:
    first = Shard(Open(0, 1, 0, 0))
    first.offsets.begin(0)
    first.offsets.hold(0)
    second = Shard(Open(0, 2**32, 0, 0), first)
    third = Shard(Open(0, 2**33, 0, 0), second)
    assert third.settling
    assert third.stored_seq == first.stored_seq
    first.offsets.done(0)
    assert third.settling, "the record is handled, and not stored"
    first.offsets.done(0)
    assert not third.settling
    assert third.stored_seq == 2**33 - 1


def test_a_link_to_a_hosts_next_incarnation_opens_its_shards_whenever_the_old_link_ends() -> None:
    world = World(Plan(1, (1,)))
    router = world.routers["r0"]
    for _ in range(2):
        router.turn(1)
    world.stop_host("h0", 0)  # the router has not noticed yet
    world.start_host("h0")
    world.show()
    world.apply_view("r0")
    for _ in range(2):
        router.turn(1)
    world.links.deliver("r0>h0", 9)
    assert list(world.hosts["h0"].shards) == [0]


# --- more shards ----------------------------------------------------------------------------------


def grown(world: World) -> ShardMap:
    """Show a map with twice the shards, all of them where they were."""
    view = world.view
    world.view = replace(
        view,
        version=view.version + 1,
        hosts=view.hosts * 2,
        routers=view.routers * 2,
        bases=(*view.bases, *(base + 2**32 for base in view.bases)),
    )
    return world.view


def test_added_shards_make_a_host_release_everything_and_say_so() -> None:
    it = CatchingUp()
    it.host.opened(it.router)
    it.host.received(it.gateway, [ATTACH])
    it.catch_up()
    assert it.served() == [1]
    told = len(it.told())
    it.host.learn(grown(it.world))
    assert it.served() == it.host.streams() == list(it.host.shards) == []
    assert -1 in {message.shard for message in it.told()[told:]}, "the gateway may count shards as before"
    assert [message.shard for message in it.router.incoming if isinstance(message, m.NotMine)] == [0]
    shard = shard_of("ann", 2)
    it.host.received(it.router, [Open(shard, it.world.view.bases[shard], 0, 0)])
    it.host.received(it.gateway, [replace(ATTACH, stream=8)])
    assert len(it.host.streams()) == 1


def test_a_host_without_the_newest_map_refuses_added_shards() -> None:
    it = CatchingUp()
    it.host.received(it.router, [Open(1, 2**32, 0, 0)])
    assert [message.shard for message in it.router.incoming if isinstance(message, m.NotMine)] == [1]
    assert list(it.host.shards) == [0]


def test_added_shards_make_a_gateway_reattach_every_stream() -> None:
    """The host may have refused the stream by a number that means nothing to who counts shards as before."""
    links, stream, host = linked()
    before = links.shard_map
    assert before is not None
    links.received(cast("Any", host), [m.NotMine(1, 2)])
    assert cast("Any", stream.link) is host, "a number of more shards, which we do not know of yet"
    links.apply(replace(before, version=2, hosts=("h0",) * 2, routers=("r0",) * 2, bases=(1, 2**32)))
    first, gone, second = host.incoming
    assert [type(message) for message in host.incoming] == [m.Attach, m.Detach, m.Attach]
    assert (first.stream, second.stream) == (gone.stream, stream.number)
    links.apply(replace(before, version=3, hosts=("h0",) * 2, routers=("r0",) * 2, bases=(1, 2**32)))
    assert len(host.incoming) == 3, "the same number of shards: nothing moves"
