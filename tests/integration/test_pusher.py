"""The pusher on a real log, store and cache, against the FCM endpoint: what is sent, retried, given up."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace
from pymongo import MongoClient

from cluster.consumers.fcm import FcmSender
from cluster.consumers.provider import Provider
from cluster.consumers.pusher import Pusher
from cluster.consumers.wakeup import Waker
from cluster.consumers.webpush import WebPushSender
from cluster.local.embedded import fcm
from cluster.local.fcm_endpoint import PROJECT, write_service_account
from cluster.local.servers import free_port
from cluster.log.unfinished import unread
from cluster.settings import Fcm, Settings, WebPush
from cluster.wiring import push_providers
from roost.clock import now_ms
from roost.errors import RoostError
from storage.account_rows import Device, PushToken, TokenFamily, User
from storage.kafka_log import KafkaLogAdmin, KafkaLogReader, KafkaLogWriter
from storage.keyring import KeyRing
from storage.mailbox_rows import Cursor
from storage.mongo import MongoStore
from storage.records import PushRecord, decode_push, encode_push
from storage.redis.store import RedisStore
from storage.shard_map import ShardMap
from storage.subscriptions import SubscriptionKeys
from storage.topics import PUSH, PUSH_DEAD
from tests.browser_push import Browser
from tests.live.waiting import until_found
from tests.real_servers import Servers

SHARDS = 2
MAP = ShardMap(1, ("host-1",) * SHARDS, ("router-1",) * SHARDS, ("pusher-1",) * SHARDS, (1,) * SHARDS, {}, {})


@dataclass
class World:
    url: str
    credentials: Path
    http: aiohttp.ClientSession
    writer: KafkaLogWriter
    store: MongoStore
    cache: RedisStore
    make: Callable[..., Any]
    pusher: Pusher
    broker: str
    database: str
    vapid: str

    async def behave(self, mode: str, retry_after_s: float | None = None) -> None:
        await self.http.post(f"{self.url}/behaviour", json={"mode": mode, "retry_after_s": retry_after_s})

    async def pushes(self, token: str) -> list[dict[str, Any]]:
        async with self.http.get(f"{self.url}/pushes") as response:
            return [each for each in await response.json() if each["token"] == token]

    async def device(self, provider: str = "fcm") -> tuple[str, str, str]:
        user, device = secrets.token_hex(8), secrets.token_hex(6).upper()
        token, keys = f"token-{secrets.token_hex(6)}", None
        if provider == "webpush":
            token = f"{self.url}/webpush/{token}"
            keys = SubscriptionKeys.given(**Browser(token).keys, vapid=self.vapid).text
        await self.store.accounts.add_user(User(user, user, "", "", 0))
        await self.store.accounts.add_device(Device(user, device, "phone", 0))
        until_ms = now_ms() + 60_000
        await self.store.sessions.add(TokenFamily(device, user, device, b"", None, 0, 0, until_ms))
        given = PushToken(provider, token, keys)
        assert await self.store.push_tokens.register(user, device, given, device, now_ms())
        return user, device, token

    async def token_of(self, user: str) -> str | None:
        [known] = (await self.store.accounts.devices_of([user]))[user]
        return known.push_token

    async def wake(self, user: str, device: str, shard: int = 0, **fields: Any) -> None:
        push = replace(PushRecord(user, device, "c", now_ms()), **fields)
        [offset] = await self.writer.append(PUSH, [(shard, encode_push(push))])
        assert isinstance(offset, int)


@pytest.fixture(scope="module")
def broker(log_url: str) -> str:
    return log_url


@pytest.fixture(scope="module")
def endpoint(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp("fcm")
    url = "http://" + servers.start(fcm(free_port(), folder)).spec.address
    write_service_account(folder / "credentials.json", url)
    return url, folder / "credentials.json"


@pytest.fixture
async def world(
    broker: str,
    endpoint: tuple[str, Path],
    mongo_url: str,
    redis_url: str,
    database: str,
    prefix: str,
    keyring: KeyRing,
) -> AsyncIterator[World]:
    admin = KafkaLogAdmin(broker)
    await admin.start()
    for topic, partitions in ((PUSH, SHARDS), (PUSH_DEAD, 1)):
        await admin.delete(topic)
        await admin.create(topic, partitions)
    await admin.close()
    url, credentials = endpoint
    settings = Fcm(credentials_file=credentials, endpoint=url, attempts=3, backoff_s=0.05, concurrency=8)
    browsers = WebPush(internal=(url,), attempts=3, backoff_s=0.05)
    vapid = keyring.vapid_key().id
    group = f"pushers-{secrets.token_hex(4)}"

    store, cache = MongoStore(mongo_url, database, "motor", keyring), RedisStore(redis_url, prefix)
    opened = AsyncExitStack()

    async def make() -> Pusher:
        reader = KafkaLogReader(broker, PUSH, group)
        writer = KafkaLogWriter(broker)
        await reader.start()
        await writer.start()
        fcm = FcmSender(settings)
        webpush = WebPushSender(browsers, "mailto:ops@example.org", keyring, now_ms)
        for each in (reader, writer, fcm, webpush):
            opened.push_async_callback(each.close)
        providers: dict[str, Provider] = {"fcm": fcm, "webpush": webpush}
        waker = Waker(writer, store, cache, providers, clock=now_ms, random=lambda: 0.5)
        pusher = Pusher("pusher-1", reader, waker)
        await pusher.start()
        await pusher.apply(MAP)
        return pusher

    writer = KafkaLogWriter(broker)
    await writer.start()
    async with aiohttp.ClientSession() as http:
        pusher = await make()
        found = World(url, credentials, http, writer, store, cache, make, pusher, broker, database, vapid)
        await found.behave("ok")
        yield found
        await found.pusher.stop()
    await opened.aclose()
    await writer.close()
    await store.close()
    await cache.close()


async def test_a_wake_up_in_a_recreated_log_is_sent_whatever_its_offset(world: World) -> None:
    first, second = await world.device(), await world.device()
    await world.wake(*first[:2])
    await until_found(lambda: world.pushes(first[2]), bool)
    admin = KafkaLogAdmin(world.broker)
    await admin.start()
    await world.writer.pause()  # as the coordinator has every writer held meanwhile
    await admin.delete(PUSH)
    await admin.create(PUSH, SHARDS)
    await admin.close()
    world.writer.resume()
    await world.wake(*second[:2])  # the new log is as long as what was read of the old one
    await world.pusher.apply(replace(MAP, version=2, pushes=(7,) * SHARDS))
    await until_found(lambda: world.pushes(second[2]), bool)


async def caught_up(world: World) -> dict[str, Any]:
    """Wait until everything is finished that was written, as the coordinator asks it."""
    written = {"appended": {PUSH: world.writer.ends(PUSH)}}
    status: dict[str, Any] = await until_found(
        world.pusher.status, lambda found: found["caught_up"] and not unread("pusher", [written], [found])
    )
    return status


@pytest.mark.parametrize("fcm", [False, True])
async def test_without_credentials_of_fcm_web_push_is_left(
    endpoint: tuple[str, Path], keyring: KeyRing, *, fcm: bool
) -> None:
    credentials = {"credentials_file": endpoint[1]} if fcm else {}
    found = push_providers(Settings.load({"fcm": credentials}), keyring)
    assert set(found) == ({"fcm", "webpush"} if fcm else {"webpush"})
    for each in found.values():
        await each.close()


@pytest.mark.attack("read a message in a push", 'a wake-up says "sync" and nothing else')
async def test_a_wake_up_is_sent_and_says_nothing(world: World) -> None:
    user, device, token = await world.device()
    await world.wake(user, device)
    [push] = await until_found(lambda: world.pushes(token), bool)
    assert push["message"]["data"] == {"roost": "sync"}
    assert push["message"]["android"]["priority"] == "high"
    assert set(push["message"]) == {"token", "data", "android"}
    assert not await world.cache.claim_wakeup(device, 60, 1)  # it is pending until the device has synced


async def test_one_pending_wake_up_is_enough(world: World) -> None:
    user, device, token = await world.device()
    await world.wake(user, device)
    await until_found(lambda: world.pushes(token), bool)
    await world.wake(user, device)
    await caught_up(world)
    assert len(await world.pushes(token)) == 1
    await world.cache.clear_wakeups([device])
    await world.wake(user, device)
    await until_found(lambda: world.pushes(token), lambda found: len(found) == 2)


async def test_a_device_that_came_is_woken_whatever_is_marked(world: World) -> None:
    """The mark may be of a token before, or the cache was away when the device came."""
    user, device, token = await world.device()
    assert await world.cache.claim_wakeup(device, 60, 1)
    await world.wake(user, device, fresh=True)
    await until_found(lambda: world.pushes(token), bool)


async def test_one_that_is_held_is_sent_unless_the_message_was_acknowledged(world: World) -> None:
    owes, has = await world.device(), await world.device()
    await world.store.mailboxes.put_cursors([Cursor(has[0], has[1], 7), Cursor(owes[0], owes[1], 6)])
    until_ms = now_ms() + 500
    for user, device, _ in (has, owes):
        await world.wake(user, device, seq=7, not_before_ms=until_ms, fresh=True)
    [push] = await until_found(lambda: world.pushes(owes[2]), bool)
    assert push["at_ms"] >= until_ms
    await caught_up(world)
    assert not await world.pushes(has[2])
    assert await world.cache.claim_wakeup(has[1], 60, 1), "nothing is pending"


async def test_none_is_held_while_the_system_stops(world: World) -> None:
    user, device, token = await world.device()
    await world.wake(user, device, seq=7, not_before_ms=now_ms() + 30_000)
    await until_found(world.pusher.status, lambda status: status["open"] == 1)
    assert not await world.pushes(token)
    await world.pusher.tell({"act": "hurry"})
    await until_found(lambda: world.pushes(token), bool, within=10)
    with pytest.raises(RoostError):
        await world.pusher.tell({"act": "dance"})


OVER: dict[str, dict[str, Any]] = {
    "ended": {"ended_at_ms": 5},
    "expired": {"expires_at_ms": 5},
    "gone": {"_id": "another"},
}


@pytest.mark.parametrize("how", OVER.values(), ids=OVER)
async def test_a_token_ends_with_its_session(world: World, mongo_url: str, how: dict[str, Any]) -> None:
    user, device, token = await world.device()
    with MongoClient[dict[str, Any]](mongo_url) as client:
        sessions = client[world.database]["sessions"]
        session = sessions.find_one_and_delete({"_id": device})
        assert session is not None
        sessions.insert_one(session | how)
    await world.wake(user, device)
    await caught_up(world)
    assert not await world.pushes(token)
    assert await world.token_of(user) is None
    assert await world.cache.claim_wakeup(device, 60, 1), "nothing is pending"


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
async def test_no_proxy_is_asked_for_what_is_on_this_machine(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    user, device, token = await world.device()
    await world.wake(user, device)
    await until_found(lambda: world.pushes(token), bool)


@pytest.mark.parametrize("provider", ["fcm", "webpush"])
async def test_a_dead_token_is_dropped_and_only_that_one(world: World, provider: str) -> None:
    user, device, _ = await world.device(provider)
    await world.behave("unregistered")
    await world.wake(user, device)
    await caught_up(world)
    assert await world.token_of(user) is None
    assert await world.cache.claim_wakeup(device, 60, 1)  # nothing is pending


async def test_quota_is_waited_out(world: World) -> None:
    user, device, token = await world.device()
    await world.behave("quota", retry_after_s=1)
    await world.wake(user, device)
    await until_found(world.pusher.status, lambda status: status["open"] == 1)
    await asyncio.sleep(0.2)  # let it be refused once: the point is what comes after
    await world.behave("ok")
    await until_found(lambda: world.pushes(token), bool)


async def test_a_waiting_wake_up_delays_no_other(world: World) -> None:
    user, device, token = await world.device()
    await world.behave("quota", retry_after_s=30)
    await world.wake(user, device)
    await until_found(world.pusher.status, lambda status: status["open"] == 1)
    await asyncio.sleep(1.5)  # until the push was refused; nothing shows it
    await world.behave("ok")
    other_user, other_device, other_token = await world.device()
    await world.wake(other_user, other_device)
    await until_found(lambda: world.pushes(other_token), bool, within=5)
    assert not await world.pushes(token)
    assert not (await world.pusher.status())["caught_up"]


@pytest.mark.parametrize("provider", ["fcm", "webpush", "apns"])
async def test_a_wake_up_that_never_succeeds_is_kept_for_the_operator(
    world: World, broker: str, provider: str
) -> None:
    user, device, _ = await world.device(provider)
    await world.behave("unavailable")
    await world.wake(user, device)
    await caught_up(world)
    assert await world.cache.claim_wakeup(device, 60, 1)  # the mark is gone: the next cause may wake it
    reader = KafkaLogReader(broker, PUSH_DEAD, f"look-{secrets.token_hex(4)}")
    await reader.start()
    await reader.assign({0: 0})
    found = await until_found(lambda: reader.poll(wait_ms=200, limit=10), bool)
    assert decode_push(found[0][0].value).device == device
    await reader.close()
    [kept] = await world.store.cluster.dead_letters("", 10)
    assert (kept.id, kept.letter.value) == (f"push:{user}:{device}", found[0][0].value)
    assert kept.letter.reason


async def test_one_that_fails_unexpectedly_is_kept_as_well(
    world: World, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> bytes:
        raise ArithmeticError("unexpected")

    monkeypatch.setattr(FcmSender, "message", fail)
    user, device, _ = await world.device()
    await world.wake(user, device)
    await caught_up(world)
    reader = KafkaLogReader(broker, PUSH_DEAD, f"look-{secrets.token_hex(4)}")
    await reader.start()
    await reader.assign({0: 0})
    found = await until_found(lambda: reader.poll(wait_ms=200, limit=10))
    assert decode_push(found[0][0].value).device == device
    await reader.close()


async def test_unfinished_announcements_are_sent_by_the_next_incarnation(world: World) -> None:
    user, device, token = await world.device()
    await world.behave("quota", retry_after_s=30)
    await world.wake(user, device)
    await until_found(world.pusher.status, lambda status: status["open"] == 1)
    await asyncio.sleep(0.2)
    await world.pusher.stop()  # it leaves its mark in the cache, as a crash would
    await world.cache.claim_wakeup(device, 60, 1)
    await world.behave("ok")
    world.pusher = await world.make()
    await until_found(lambda: world.pushes(token), bool)


async def test_a_recreated_push_log_is_read_from_its_start(world: World, broker: str) -> None:
    user, device, token = await world.device()
    await world.wake(user, device)
    await world.wake(user, device)
    await until_found(lambda: world.pushes(token), bool)
    await caught_up(world)
    sent = len(await world.pushes(token))
    await world.cache.clear_wakeups([device])
    admin = KafkaLogAdmin(broker)
    await admin.start()
    await world.writer.pause()  # as the coordinator has every writer held meanwhile
    await admin.delete(PUSH)
    await admin.create(PUSH, SHARDS)
    await admin.close()
    world.writer.resume()
    await world.wake(user, device)
    await until_found(lambda: world.pushes(token), lambda found: len(found) == sent + 1)


@pytest.mark.attack("send pushes without the credential", "the endpoint asks for its token")
async def test_the_endpoint_requires_its_own_credential(world: World) -> None:
    body = {"message": {"token": "t"}}
    headers = {"Authorization": "Bearer guessed"}
    async with world.http.post(
        f"{world.url}/v1/projects/{PROJECT}/messages:send", json=body, headers=headers
    ) as response:
        assert response.status == 401
        assert (await response.json())["error"]["status"] == "UNAUTHENTICATED"
