"""The router on a real log and store while the log is recreated: nothing of the old one is believed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from actors.rpc import messages as msg
from actors.rpc.connections import Connections
from actors.rpc.link import Link, serve
from cluster.consumers.router import Router
from cluster.local.servers import HOST
from cluster.log.growth import NotGrown
from cluster.log.lifecycle import LogLifecycle
from cluster.log.topics import LogTopics
from cluster.log.unfinished import unread
from roost.clock import now_ms
from storage.kafka_log import KafkaLogAdmin, KafkaLogReader, KafkaLogWriter
from storage.keyring import KeyRing
from storage.mongo import MongoStore
from storage.shard_map import ShardMap
from storage.topics import MAILBOX, PUSH
from tests.conftest import LogServer

SHARDS = 8
EACH = 300
SECRET = b"s" * 32
INSIDE_S = 1.5
"""How long the fault is given to show itself: a poll waits 0.2 s, and a lost log is said after one."""


@dataclass
class Host:
    """The host's end of the link: it stores at once, and writes down what it was told."""

    opened_as: list[msg.Open] = field(default_factory=list)
    values: dict[int, list[bytes]] = field(default_factory=dict)
    bases: dict[int, int] = field(default_factory=dict)
    answers: bool = True

    def opened(self, link: Link) -> None: ...

    def closed(self, link: Link) -> None: ...

    def received(self, link: Link, messages: list[Any]) -> None:
        for message in messages:
            if isinstance(message, msg.Open):
                self.opened_as.append(message)
                self.bases[message.shard] = message.base
            elif isinstance(message, msg.Batch):
                for part in message.parts:
                    self.values.setdefault(self.bases[part.shard], []).extend(part.values)
                    if self.answers:
                        link.send(msg.Stored({part.shard: part.offsets[-1] + 1}))


class Admin(KafkaLogAdmin):
    """Does something while the old topic is still there."""

    before_deletion: Callable[[], Awaitable[None]] | None = None

    async def delete(self, topic: str) -> None:
        if topic == MAILBOX and self.before_deletion is not None:
            await self.before_deletion()
        await super().delete(topic)


@dataclass
class World:
    """One router, and the roles that the log lifecycle needs."""

    admin: Admin
    store: MongoStore
    writer: KafkaLogWriter
    router: Router
    host: Host
    address: tuple[str, int]
    log: LogLifecycle
    version: int = 0
    shard_map: ShardMap | None = None
    shards: int = SHARDS

    def incarnations(self) -> dict[str, str]:
        return {}

    async def pause_writes(self, role: str) -> bool:  # noqa: ARG002 -- the port's
        await self.writer.pause()
        return True

    async def resume_writes(self) -> None:
        self.writer.resume()

    async def caught_up(self, role: str) -> bool:
        return bool((await self.router.status())["caught_up"]) if role == "router" else True

    async def end_logs(self, bases: Mapping[int, int]) -> None:
        """The host here stores nothing."""

    async def publish(self) -> None:
        """Show the map as the coordinator would draw it right now."""
        self.version += 1
        self.shards = shards = len(self.log.topics.bases)
        names = ("host-1",) * shards, ("router-1",) * shards, ("pusher-1",) * shards
        shard_map = ShardMap(
            self.version, *names, self.log.topics.bases, {"host-1": self.address}, {"host-1": "alive"}
        )
        self.writer.forget(shard_map.recreated(self.shard_map))
        self.shard_map = shard_map
        await self.router.apply(shard_map)

    async def say(self, text: str, each: int = 1) -> None:
        values = [(shard, text.encode()) for shard in range(self.shards) for _ in range(each)]
        assert all(isinstance(offset, int) for offset in await self.writer.append(MAILBOX, values))

    def heard(self, bases: tuple[int, ...]) -> Callable[[], Awaitable[list[bytes]]]:
        """Return a call that returns what the host got under these bases."""

        async def found() -> list[bytes]:
            return [value for base in set(bases) for value in self.host.values.get(base, [])]

        return found

    async def until_caught_up(self) -> None:
        written = {"appended": {MAILBOX: self.writer.ends(MAILBOX)}}
        await until(
            self.router.status,
            lambda of: (
                of["caught_up"] and of["map"] == self.version and not unread("router", [written], [of])
            ),
        )


async def until(
    what: Callable[[], Awaitable[Any]], wanted: Callable[[Any], bool], seconds: float = 20.0
) -> Any:
    deadline = asyncio.get_running_loop().time() + seconds
    while not wanted(found := await what()):
        assert asyncio.get_running_loop().time() < deadline, f"the last state was {found!r}"
        await asyncio.sleep(0.02)
    return found


@pytest.fixture
async def world(
    log_server: LogServer, mongo_url: str, database: str, keyring: KeyRing
) -> AsyncIterator[World]:
    admin = Admin(log_server.url)
    await admin.start()
    for topic in (MAILBOX, PUSH):
        await admin.delete(topic)
    store = MongoStore(mongo_url, database, "motor", keyring)
    await store.prepare()
    writer = KafkaLogWriter(log_server.url)
    await writer.start()
    reader = KafkaLogReader(log_server.url, MAILBOX, "routers", fetch_wait_ms=log_server.fetch_wait_ms)
    await reader.start()
    host = Host()
    server, address = await serve(HOST, 0, host, msg.decode_to_host, secret=SECRET)
    router = Router("router-1", reader, store, Connections(("router", "router-1"), SECRET))
    found = World(admin, store, writer, router, host, address, None)  # type: ignore[arg-type] -- needs the world
    found.log = LogLifecycle(LogTopics(store.cluster, admin, SHARDS, now_ms), found)
    await found.log.open()
    await router.start()
    await found.publish()
    yield found
    await router.stop()
    server.close()
    await writer.close()
    await store.close()
    for topic in (MAILBOX, PUSH):
        await admin.delete(topic)
    await admin.close()


async def renewed_and_used(world: World) -> None:
    """Renew the log, and see that the new one is read from its first record, and nothing but it."""
    old = world.log.topics.bases
    assert await world.log.renew()
    new = world.log.topics.bases
    assert min(new) > max(old)
    await world.say("new", each=3)
    await until(world.heard(new), lambda found: len(found) >= 3 * SHARDS)
    assert await world.heard(new)() == [b"new"] * 3 * SHARDS
    opened = [each for each in world.host.opened_as if each.base in new]
    assert {each.offset for each in opened} == {0}
    assert max(each.end for each in opened) <= 3


async def test_a_map_made_while_the_log_is_recreated_shows_nothing_of_the_old_one(world: World) -> None:
    await world.say("old", each=EACH)
    await world.until_caught_up()

    async def draw() -> None:
        """The coordinator draws a map twice a second, whatever goes on."""
        await world.publish()
        await asyncio.sleep(INSIDE_S)

    world.admin.before_deletion = draw
    await renewed_and_used(world)


async def test_a_commit_overtaken_by_a_new_log_says_nothing_about_that_log(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, committing, go_on = world.router._reader.commit, asyncio.Event(), asyncio.Event()

    async def slow(offsets: Any) -> None:
        committing.set()
        await go_on.wait()
        await commit(offsets)

    monkeypatch.setattr(world.router._reader, "commit", slow)
    await world.say("old", each=EACH)
    await world.until_caught_up()
    await committing.wait()
    await renewed_and_used(world)
    go_on.set()
    await asyncio.sleep(INSIDE_S)
    states = await world.store.cluster.log_states()
    assert {state.base for state in states.values()} == set(world.log.topics.bases)
    assert all(state.stored <= 3 for state in states.values()), states


async def test_added_shards_are_read_and_the_others_go_on_where_they_were(world: World) -> None:
    await world.say("before", each=3)
    await world.until_caught_up()
    old = world.log.topics.bases
    try:
        await world.log.grow(2 * SHARDS, lambda _: None)
    except NotGrown as exc:
        assert not await world.admin.grow(MAILBOX, 2 * SHARDS, only_ask=True), exc  # noqa: PT017 -- Tansu's
        assert "make setup" in str(exc)  # noqa: PT017 -- likewise
        return
    bases = world.log.topics.bases
    assert (len(bases), bases[:SHARDS]) == (2 * SHARDS, old)
    assert min(bases[SHARDS:]) > max(old) + 3
    await world.until_caught_up()
    world.writer.renumber()
    await world.say("after", each=2)
    await until(world.heard(bases), lambda found: found.count(b"after") >= 4 * SHARDS)
    await world.until_caught_up()
    found = await world.heard(bases)()
    assert (found.count(b"before"), found.count(b"after")) == (3 * SHARDS, 4 * SHARDS)
    opened = {each.shard: each for each in world.host.opened_as}
    assert {shard: each.offset for shard, each in opened.items()} == {
        shard: 3 if shard < SHARDS else 0 for shard in range(2 * SHARDS)
    }
