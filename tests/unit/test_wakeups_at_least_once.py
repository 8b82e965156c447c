"""A wake-up that no one has sent does not count as pending, and is not committed."""

from typing import Any

import pytest

from actors.service import MAP_LEASE_S
from cluster.consumers import wakeup
from cluster.consumers.provider import Retries, Sent, Verdict
from cluster.consumers.pusher import Pusher
from cluster.consumers.wakeup import Waker
from roost.errors import Unavailable
from storage.account_rows import Device
from storage.ports import LogRecord
from storage.records import PushRecord, encode_push
from storage.shard_map import ShardMap

WAKE = LogRecord(0, encode_push(PushRecord("ann", "A", "cause", 0)))


class Servers:
    """Store, cache and provider: each fails as often as it is told."""

    retries = Retries(3, 0.0, 0.0)

    def __init__(self, *, store_fails: int = 0, cache_fails: int = 0) -> None:
        self.accounts = self
        self.store_fails, self.cache_fails = store_fails, cache_fails
        self.marked: set[str] = set()
        self.sent: list[str] = []

    async def claim_wakeup(self, device: str, _ttl_s: int, _now_ms: int) -> bool:
        fresh = device not in self.marked
        self.marked.add(device)
        return fresh

    async def clear_wakeups(self, devices: list[str]) -> None:
        self.cache_fails -= 1
        if self.cache_fails >= 0:
            raise Unavailable("The cache is away.")
        self.marked.difference_update(devices)

    async def devices_of(self, users: list[str]) -> dict[str, list[Device]]:
        self.store_fails -= 1
        if self.store_fails >= 0:
            raise Unavailable("The store is away.")
        return {user: [Device(user, "A", "A", 0, None, "fcm", "token")] for user in users}

    async def send(self, device: Device, *, urgent: bool) -> Verdict:
        self.sent.append(f"{device.push_token} {urgent}")
        return Sent()


async def test_its_own_mark_that_could_not_be_taken_back_does_not_stop_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wakeup, "_RETRY_S", 0.0)
    servers: Any = Servers(store_fails=1, cache_fails=1)
    waker = Waker(servers, servers, servers, {"fcm": servers}, clock=lambda: 0, random=lambda: 0.0)
    assert await waker.wake(WAKE, again=False) == "sent"
    assert servers.sent == ["token True"]


class Reading:
    """Reader and waker of a pusher: what is committed, and which wake-ups count as begun before."""

    def __init__(self) -> None:
        self.offsets: list[dict[int, int]] = []
        self.again: list[bool] = []
        self.end_now = 0

    async def starts(self, shards: list[int]) -> dict[int, int]:
        return dict.fromkeys(shards, 3)

    async def committed(self, shards: list[int]) -> dict[int, int | None]:
        return dict.fromkeys(shards, 0)

    def end(self, _shard: int) -> int:
        return self.end_now

    async def commit(self, offsets: dict[int, int]) -> None:
        self.offsets.append(offsets)

    async def wake(self, _record: LogRecord, *, again: bool) -> str:
        self.again.append(again)
        return "sent"


@pytest.fixture
async def reading(monkeypatch: pytest.MonkeyPatch) -> tuple[Reading, Pusher, list[float]]:
    found: Any = Reading()
    pusher = Pusher("pusher-1", found, found)
    now = [100.0]
    monkeypatch.setattr("asyncio.base_events.BaseEventLoop.time", lambda _: now[0])
    pusher.place(ShardMap(1, ("",), ("",), ("pusher-2",), (1,), pushes=(1,)))
    await pusher.apply(ShardMap(2, ("",), ("",), ("pusher-1",), (1,), pushes=(1,)))
    [shard] = await pusher.open({0: 1})
    pusher._consumer.shards[0] = shard
    return found, pusher, now


async def take(reading: Reading, pusher: Pusher, offset: int) -> None:
    reading.end_now = offset + 1
    await pusher.take({0: [LogRecord(offset, WAKE.value)]})
    while len(pusher._waking):
        await next(iter(pusher._waking._tasks))


async def test_what_the_pusher_before_may_still_have_begun_counts_as_begun(
    reading: tuple[Reading, Pusher, list[float]],
) -> None:
    """It reads on until it has the map; what it has marked and is stopped at would be left to no one."""
    found, pusher, now = reading
    await take(found, pusher, 0)
    now[0] += 3
    await take(found, pusher, 1)
    now[0] += 30
    await take(found, pusher, 2)
    assert found.again == [True, True, False]


async def test_the_start_of_another_log_is_committed_before_anything_of_it_is_read(
    reading: tuple[Reading, Pusher, list[float]],
) -> None:
    """The group's offset is of the earlier log, and the next pusher may never have seen that one."""
    found, pusher, _ = reading
    shard = pusher._consumer.shards[0]
    shard.lost = True
    pusher.shut([shard])
    [again] = await pusher.open({0: 2})
    assert (found.offsets, again.next) == ([{0: 3}], 3)


async def test_a_pusher_that_is_not_visited_commits_nothing(
    reading: tuple[Reading, Pusher, list[float]],
) -> None:
    """It may have missed that the log was made again: its offsets would hide the next one's wake-ups."""
    found, pusher, now = reading
    await take(found, pusher, 0)
    now[0] += MAP_LEASE_S + 0.1
    await pusher._consumer.commit()
    assert found.offsets == []
    await pusher.status()
    await pusher._consumer.commit()
    assert found.offsets == [{0: 1}]
