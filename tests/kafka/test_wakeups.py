"""A pusher that was away for longer than the log keeps wake-ups."""

from collections.abc import AsyncIterator

import pytest

from storage.kafka_log import KafkaLogAdmin
from storage.topics import PUSH
from tests.integration.test_pusher import World, caught_up, endpoint, world
from tests.kafka.test_brokers import retain
from tests.live.waiting import until_found

__all__ = ["endpoint", "world"]


@pytest.fixture(scope="module")
def broker(kafka_url: str) -> str:
    return kafka_url


@pytest.fixture
async def admin(kafka_url: str) -> AsyncIterator[KafkaLogAdmin]:
    admin = KafkaLogAdmin(kafka_url)
    await admin.start()
    yield admin
    await admin.close()


async def test_it_begins_with_what_is_left(world: World, broker: str, admin: KafkaLogAdmin) -> None:
    user, device, token = await world.device()
    await world.wake(user, device)
    await until_found(lambda: world.pushes(token), bool)
    await caught_up(world)
    await world.pusher.stop()
    for _ in range(3):
        await world.wake(user, device)
    await retain(broker, PUSH, ms=300)
    await until_found(lambda: admin.starts(PUSH), lambda starts: starts[0] == 4)
    await retain(broker, PUSH, ms=3_600_000)
    sent = len(await world.pushes(token))
    await world.cache.clear_wakeups([device])
    world.pusher = await world.make()
    await world.wake(user, device)
    await until_found(lambda: world.pushes(token), lambda found: len(found) == sent + 1)
