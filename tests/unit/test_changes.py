"""Changes that a gateway asks a host for: who answered has to be who has the user by the stored map."""

import asyncio
from typing import Any, cast

import pytest

from actors.rpc import questions as q
from actors.rpc.connections import Connections
from api.host_links import HostLinks, Questions
from api.host_links import links as host_links
from roost.errors import Unavailable
from storage.shard_map import ShardMap

USER = "0" * 26


def a_map(version: int, host: str, since: int, life: str = "a") -> ShardMap:
    return ShardMap(version, (host,), ("r0",), (), incarnations={host: life}, since=(since,))


FIRST = a_map(1, "h0", 1)


class Asked(Questions):
    """Every host answers at once; counts what it was asked, and says when that was often."""

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections)
        self.times = 0
        self.often = asyncio.Event()

    async def ask(self, *_: Any) -> q.Answer:
        self.times += 1
        if self.times == 3:
            self.often.set()
        return q.Done()


class Stored:
    """The stored map."""

    def __init__(self, newest: ShardMap | None) -> None:
        self.newest = newest

    async def shard_map(self) -> ShardMap | None:
        return self.newest


class Links:
    """A gateway's links, by a map, where the store has another."""

    def __init__(self, known: ShardMap, stored: ShardMap | None) -> None:
        self.connections = Connections(("gateway", "g0"), b"")
        self.asked, self.stored = Asked(self.connections), Stored(stored)
        self.hosts = HostLinks(self.connections, cast("Any", self.stored), self.asked)
        self.hosts.apply(known)

    def change(self, timeout_s: float) -> asyncio.Task[None]:
        block = q.SetBlock(0, USER, "peer", "peer", blocked=True)
        return asyncio.create_task(self.hosts.change(USER, block, timeout_s))


async def test_a_change_is_asked_for_once_where_nothing_moved() -> None:
    links = Links(FIRST, a_map(2, "h0", 1))
    await links.change(5.0)
    assert links.asked.times == 1


@pytest.mark.parametrize(
    "newest",
    [
        a_map(2, "h1", 2),
        a_map(3, "h0", 3),
        a_map(2, "h0", 1, "b"),
        ShardMap(2, ("h0", "h0"), ("r0", "r0"), ()),
    ],
    ids=["another host", "the same host again", "another life of the host", "more shards"],
)
async def test_a_change_is_asked_for_again_where_the_user_has_moved(
    newest: ShardMap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_links, "_PLACE_AGAIN_S", 0.0)
    links = Links(FIRST, newest)
    change = links.change(5.0)
    async with asyncio.timeout(10):
        await links.asked.often.wait()
    assert not change.done()
    links.hosts.apply(newest)
    await change
    await links.hosts.close()


@pytest.mark.parametrize("stored", [a_map(2, "h1", 2), None], ids=["a newer map", "none"])
async def test_a_change_that_no_owner_took_in_time_is_not_answered_as_done(stored: ShardMap | None) -> None:
    with pytest.raises(Unavailable):
        await Links(FIRST, stored).change(0.05)
