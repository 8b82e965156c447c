"""What a consumer does when things happen while it waits for its reader."""

from collections.abc import Mapping
from typing import Any, cast

import pytest

from actors.rpc import messages as m
from roost.errors import Unavailable
from sim.deterministic.links import End
from sim.deterministic.routers import Router
from sim.deterministic.world import Plan, World
from storage.records import MessageRecord, encode_record

CAUSE = "01a3185c-5000-7000-8001-414e4e303030"
HELLO = encode_record(
    MessageRecord("ann", CAUSE, "bob", "bob", "BOB0000000", 0, 0, "s", {"ANN0000000": b"x"})
)


class Sending:
    """A router that has sent two records to its host, which has not stored them."""

    def __init__(self) -> None:
        self.world = World(Plan(1, (1, 1)))
        self.router: Router = self.world.routers["r0"]
        for _ in range(2):
            self.router.turn(6)
            self.world.reach_hosts("r0")
        self.world.log.shards[0] = [HELLO, HELLO]
        self.router.turn(6)
        self.sent()

    def sent(self) -> list[Any]:
        """Return what was sent to the host since last time."""
        incoming = cast("End", self.router.connections.links["h0"]).other.incoming
        found = list(incoming)
        incoming.clear()
        return found

    def lose_host(self) -> None:
        self.router.connections.closed(self.router.connections.links["h0"])


def test_a_shard_rewound_during_another_seek_is_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The reader would stay where it was sent, and the host would take what follows for all there is."""
    it = Sending()
    assert (it.router.shards[0].next, it.router.shards[0].finished) == (2, 0)
    assign = it.router._mine.assign

    async def overtaken(shards: Mapping[int, int]) -> None:
        await assign(shards)
        if shards:
            monkeypatch.setattr(it.router._mine, "assign", assign)
            it.lose_host()

    monkeypatch.setattr(it.router._mine, "assign", overtaken)
    it.router.shards[0].reread()
    it.router.turn(6)
    it.world.reach_hosts("r0")
    for _ in range(2):
        it.router.turn(6)
    opened, batch = it.sent()
    assert (opened.offset, batch.parts[0].offsets) == (0, [0, 1])


def test_a_failed_rewind_of_the_reader_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    it = Sending()
    assign = it.router._mine.assign

    async def away(_shards: Mapping[int, int]) -> None:
        raise Unavailable("The log is away.")

    it.lose_host()
    monkeypatch.setattr(it.router._mine, "assign", away)
    it.world.reach_hosts("r0")
    it.router.turn(6)
    assert it.sent() == []
    monkeypatch.setattr(it.router._mine, "assign", assign)
    for _ in range(2):
        it.router.turn(6)
    assert [type(each) for each in it.sent()] == [m.Open, m.Batch]


def test_a_released_shard_is_closed_at_its_host_and_no_longer_read() -> None:
    it = Sending()
    it.world.show(routers=("r1",))
    it.router.learn(it.world.view)
    it.router.turn(6)
    assert it.sent() == [m.Shut([0])]
    assert not it.router.shards
    assert not it.router._mine._at


async def test_it_is_drained_only_once_it_has_taken_the_newest_map() -> None:
    it = Sending()
    it.router.shards[0].told(2, it.world.view.bases[0])
    status = await it.router.status()
    assert (status["caught_up"], status["map"], status["lag"]) == (True, it.world.view.version, 0)
    it.world.show()
    await it.router.apply(it.world.view)
    assert not (await it.router.status())["caught_up"]
    it.router.turn(6)
    status = await it.router.status()
    assert (status["caught_up"], status["map"]) == (True, it.world.view.version)
