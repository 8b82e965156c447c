"""A shard that went elsewhere and came back before its host heard of it: what is in memory is out of date."""

from typing import Any, cast

import pytest

from actors.rpc import messages as m
from actors.rpc.messages import Open
from api.host_links import HostLinks
from sim.deterministic.hosts import Host
from sim.deterministic.links import End
from sim.deterministic.reaching import StepLinks
from sim.deterministic.stores import Store
from sim.deterministic.world import Plan, World
from storage.shard_map import ShardMap
from tests.unit.link_ends import Silent

ATTACH = m.Attach(7, "ann", "ann", "ANN0000000", 0, 0, False, False)  # noqa: FBT003 -- as it comes over the link


class CameBack:
    """A host with its only shard and a stream; meanwhile the shard has been at the other host."""

    def __init__(self) -> None:
        self.world = World(Plan(1, (1,)))
        self.host: Host = self.world.hosts["h0"]
        self.gateway, self.router = End(Silent(), "gateway", "g9"), End(Silent(), "router", "r9")
        self.host.opened(self.gateway)
        self.host.opened(self.router)
        self.first = self.world.view.since[0]
        self.open(self.first)
        self.host.received(self.gateway, [ATTACH])
        self.run()
        self.world.show(hosts=("h1",))
        self.world.show(hosts=("h0",))
        self.now = self.world.view.since[0]
        self.heard()

    def open(self, since: int) -> None:
        self.host.received(self.router, [Open(0, 1, 0, 0, since)])

    def run(self) -> None:
        while self.host.tasks:
            self.host.go_on(0, "done")

    def heard(self) -> list[type]:
        """Return what the gateway has heard since last time: its end sends to itself."""
        found = [type(each) for each in self.gateway.incoming]
        self.gateway.incoming.clear()
        return found


def by_map(it: CameBack) -> None:
    it.host.learn(it.world.view)


def by_router(it: CameBack) -> None:
    it.open(it.now)


def by_gateway(it: CameBack) -> None:
    it.host.received(it.gateway, [m.Since({0: it.now})])


@pytest.mark.parametrize("learns", [by_map, by_router, by_gateway])
def test_it_starts_over_whoever_reports_it_first(learns: Any) -> None:
    it = CameBack()
    assert it.host.users == ["ann"]
    learns(it)
    assert (it.host.users, it.host.streams(), it.heard()) == ([], [], [m.NotMine])
    it.open(it.now)
    it.host.received(it.gateway, [ATTACH])
    it.run()
    assert it.heard() == [m.Attached, m.Drained]


def test_a_router_with_the_map_of_before_opens_nothing() -> None:
    it = CameBack()
    by_gateway(it)
    it.router.incoming.clear()
    it.open(it.first)
    assert ([type(each) for each in it.router.incoming], it.host.shards) == ([m.NotMine], [])


def test_the_same_report_again_changes_nothing() -> None:
    it = CameBack()
    by_router(it)
    it.host.received(it.gateway, [ATTACH])
    it.run()
    it.heard()
    for learns in (by_map, by_router, by_gateway):
        learns(it)
    assert (it.host.users, it.heard()) == (["ann"], [])


@pytest.mark.parametrize("since", [0, 1])
def test_a_shard_that_stayed_goes_on_after_a_new_map(since: int) -> None:
    it = CameBack()
    host = it.world.hosts["h1"] = it.host
    by_router(it)
    it.host.received(it.gateway, [ATTACH])
    it.run()
    it.world.show()
    host.learn(it.world.view)
    it.open(it.now if since else 0)  # a router of an earlier release does not say
    assert host.users == ["ann"]


def map_of(version: int, *since: int) -> ShardMap:
    return ShardMap(
        version, ("h0", "h1"), ("r0",) * 2, (), (1, 1), {"h0": ("", 0)}, {"h0": "h0.1"}, since=since
    )


def test_a_gateway_announces_a_map_before_anything_that_depends_on_it() -> None:
    links, host = cast("HostLinks", StepLinks("g9", Store(), lambda: 0)), End(Silent(), "host", "h0.1")
    links.apply(map_of(1, 1, 1))
    cast("StepLinks", links).connections.reached("h0", cast("Any", host))
    links.apply(map_of(3, 3, 1))
    assert list(host.incoming) == [m.Since({0: 1}), m.Since({0: 3})]


def test_a_map_says_since_when_each_host_has_its_shards() -> None:
    first = ShardMap(0, ("", ""), ("",) * 2, ("",) * 2)
    assert first.since_with(("h0", "h1"), 1) == (1, 1)
    second = ShardMap(1, ("h0", "h1"), ("",) * 2, ("",) * 2, since=(1, 1))
    assert second.since_with(("h0", "h0"), 2) == (1, 2)
    assert second.since_with(("h0", "h1", "h0"), 3) == (1, 1, 3)
    unsaid = ShardMap(5, ("h0", "h1"), ("",) * 2, ("",) * 2)
    assert unsaid.since_with(("h0", "h0"), 6) == (0, 6)


@pytest.mark.parametrize("leaves", ["shuts", "is gone"])
def test_a_router_that_read_before_is_told_when_the_reader_after_it_leaves(leaves: str) -> None:
    it = CameBack()
    it.router.incoming.clear()
    other = End(Silent(), "router", "r8")
    it.host.opened(other)
    it.host.received(other, [Open(0, 1, 0, 0, it.first)])
    if leaves == "shuts":
        it.host.received(other, [m.Shut([0])])
    else:
        it.host.closed(other)
    assert [type(each) for each in it.router.incoming] == [m.NotMine]
    it.open(it.first)
    assert [type(each) for each in it.router.incoming] == [m.NotMine, m.Stored]
