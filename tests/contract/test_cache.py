import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cluster.local import specs
from cluster.local.server_tls import url_of
from cluster.local.servers import free_port
from roost.errors import Unavailable
from sim.faults.proxy import Proxy
from storage.ports import Accepted
from storage.redis.store import RedisStore
from tests.encrypted import TLS
from tests.real_servers import Servers

ANSWER = Accepted("bob", 7, 1_700_000_000_000, b"digest")


async def ttls(cache: RedisStore) -> list[int]:
    keys = [key async for key in cache._redis.scan_iter(match=f"{cache._prefix}*")]
    return [await cache._redis.pttl(key) for key in keys]


async def test_answers_come_back(cache: RedisStore) -> None:
    answers = {("DEV", f"id-{n}"): Accepted("bob", n, n, b"d") for n in range(2500)}
    await cache.remember(answers)
    assert await cache.recall([*answers, ("OTHER", "id-1")]) == [*answers.values(), None]
    assert await cache.recall([]) == []
    await cache.remember({})


async def test_the_greatest_id_of_a_device_only_rises(cache: RedisStore) -> None:
    assert await cache.greatest_ids([]) == await cache.greatest_ids(["DEV"]) == {}
    await cache.remember({("DEV", "id-5"): ANSWER, ("DEV", "id-7"): ANSWER, ("OTHER", "id-1"): ANSWER})
    await cache.remember({("DEV", "id-6"): ANSWER})
    assert await cache.greatest_ids(["DEV", "OTHER", "THIRD"]) == {"DEV": "id-7", "OTHER": "id-1"}


async def test_every_key_expires(cache: RedisStore) -> None:
    await cache.remember({("DEV", "id"): ANSWER})
    await cache.put_presence({"alice": (True, 5)})
    await cache.put_snapshots({"alice": b"state"})
    await cache.claim_wakeup("alice|DEV", 600, 1)
    await cache.take("sends", "alice", rate=1, burst=5)
    lives = await ttls(cache)
    assert len(lives) == 6
    assert all(0 < life <= 24 * 3600 * 1000 for life in lives)


async def test_limiter(cache: RedisStore) -> None:
    waits = [await cache.take("sends", "alice", rate=0.5, burst=3) for _ in range(4)]
    assert waits[:3] == [0, 0, 0]
    assert 1 < waits[3] <= 2
    assert await cache.take("sends", "bob", rate=0.5, burst=3) == 0
    assert await cache.take("logins", "alice", rate=0.5, burst=3) == 0
    assert await cache.take("logins", "alice", rate=0.5, burst=3, cost=3) > 0
    assert await cache.take("logins", "alice", rate=0.5, burst=3, cost=2) == 0, "a refused one takes nothing"
    await asyncio.sleep(waits[3])
    assert await cache.take("sends", "alice", rate=0.5, burst=3) == 0


async def test_limiter_lets_through_exactly_the_burst(cache: RedisStore) -> None:
    waits = await asyncio.gather(*(cache.take("sends", "x", rate=0.01, burst=10) for _ in range(50)))
    assert waits.count(0) == 10


async def test_snapshot_is_given_out_once(cache: RedisStore) -> None:
    snapshots = {f"u{n}": b"state %d" % n for n in range(1500)}
    await cache.put_snapshots(snapshots)
    takers = await asyncio.gather(*(cache.take_snapshots([*snapshots, "nobody"]) for _ in range(5)))
    assert sum(len(each) for each in takers) == 1500
    assert {user: state for each in takers for user, state in each.items()} == snapshots


async def test_wakeup_is_pending_once(cache: RedisStore) -> None:
    claims = await asyncio.gather(*(cache.claim_wakeup("d", 60, 1_700_000_000_123) for _ in range(20)))
    assert sum(claims) == 1
    assert await cache.clear_wakeups(["d", "e"]) == [1_700_000_000_123]
    assert await cache.clear_wakeups(["d", "e"]) == await cache.clear_wakeups([]) == []
    assert await cache.claim_wakeup("d", 60, 1)


async def test_a_cancelled_call_ends_at_whatever_moment(cache: RedisStore) -> None:
    async def write() -> None:
        while True:
            await cache.put_snapshots({"alice": b"state"})
            await asyncio.sleep(0)

    for turns in range(40):
        for _ in range(3):
            writing = asyncio.create_task(write())
            for _ in range(turns):
                await asyncio.sleep(0)
            writing.cancel()
            await asyncio.wait([writing], timeout=1)
            assert writing.cancelled(), turns
    assert await cache.take_snapshots(["alice"]) == {"alice": b"state"}


async def test_a_flushed_cache_keeps_working(cache: RedisStore) -> None:
    await cache.remember({("DEV", "id"): ANSWER})
    await cache._redis.script_flush()
    for key in [key async for key in cache._redis.scan_iter(match=f"{cache._prefix}*")]:
        await cache._redis.delete(key)
    assert await cache.recall([("DEV", "id")]) == [None]
    await cache.remember({("DEV", "id"): ANSWER})
    assert await cache.take("sends", "alice", rate=1, burst=1) == 0
    assert await cache.recall([("DEV", "id")]) == [ANSWER]


async def test_killed_server_is_unavailable_and_back(servers: Servers, tmp_path: Path) -> None:
    spec = specs.redis(free_port(), tmp_path)
    server = servers.start(spec)
    cache = RedisStore(url_of("redis", spec.address, TLS), "x:")
    await cache.remember({("DEV", "id"): ANSWER})
    servers.kill(server)
    for call in (
        cache.recall([("DEV", "id")]),
        cache.remember({("DEV", "id"): ANSWER}),
        cache.take("sends", "alice", rate=1, burst=1),
        cache.publish("c", "m"),
        cache.take_snapshots(["u"]),
        cache.claim_wakeup("d", 1, 1),
        cache.ping(),
    ):
        with pytest.raises(Unavailable):
            await call
    servers.start(spec)
    assert await cache.recall([("DEV", "id")]) == [None]
    await cache.close()


class Listener:
    def __init__(self, cache: RedisStore) -> None:
        self.connections = 0
        self.cache = cache
        self.received: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def connected(self) -> None:
        self.connections += 1
        await self.cache.publish("revoked", f"connected {self.connections}")


@asynccontextmanager
async def listening(subscriber: RedisStore, publisher: RedisStore) -> AsyncIterator[Listener]:
    listener = Listener(publisher)
    run = asyncio.create_task(_run(listener, subscriber))
    try:
        yield listener
    finally:
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)


async def _run(listener: Listener, subscriber: RedisStore) -> None:
    async with aclosing(subscriber.subscribe(["revoked", "keys"], listener.connected)) as messages:  # type: ignore[type-var]
        async for message in messages:
            listener.received.put_nowait(message)


async def test_messages_published_after_connecting_arrive(cache: RedisStore) -> None:
    async with asyncio.timeout(10), listening(cache, cache) as listener:
        assert await listener.received.get() == ("revoked", "connected 1")
        await cache.publish("keys", "alice")
        await cache.publish("other", "x")
        await cache.publish("revoked", "family")
        assert await listener.received.get() == ("keys", "alice")
        assert await listener.received.get() == ("revoked", "family")


async def test_subscriber_comes_back_and_says_so(cache: RedisStore, redis_url: str, prefix: str) -> None:
    target = urlsplit(redis_url).netloc
    async with asyncio.timeout(20), Proxy(target) as proxy:
        subscriber = RedisStore(redis_url.replace(target, proxy.address), prefix)
        async with listening(subscriber, cache) as listener:
            assert await listener.received.get() == ("revoked", "connected 1")
            proxy.cut()
            assert await listener.received.get() == ("revoked", "connected 2")
            await cache.publish("keys", "alice")
            assert await listener.received.get() == ("keys", "alice")
        await subscriber.close()


async def test_a_limiter_from_before_the_clock_was_set_back_locks_no_one_out(cache: RedisStore) -> None:
    hour_ahead = (await cache._redis.time())[0] + 3600
    await cache._redis.set(f"{cache._prefix}l:sends:alice", hour_ahead * 1_000_000)
    assert await cache.take("sends", "alice", rate=20, burst=3) <= 0.05
    await asyncio.sleep(0.06)
    assert await cache.take("sends", "alice", rate=20, burst=3) == 0


async def test_a_challenge_is_taken_once(cache: RedisStore) -> None:
    await cache.put_challenge("n", "alice|PHONE", 60)
    assert await cache.take_challenge("n") == "alice|PHONE"
    assert await cache.take_challenge("n") is None


@pytest.mark.attack("challenge-expired")
async def test_a_challenge_expires(cache: RedisStore, prefix: str) -> None:
    await cache.put_challenge("n", "alice|PHONE", 60)
    assert 50 < await cache._redis.ttl(f"{prefix}c:n") <= 60
