from collections.abc import AsyncIterator

import pytest

from storage.keyring import KeyRing
from storage.mongo import MongoStore
from storage.mongo.driver import Driver
from storage.redis.store import RedisStore


@pytest.fixture(params=["motor", "pymongo"])
def driver_name(request: pytest.FixtureRequest) -> Driver:
    name: Driver = request.param
    return name


@pytest.fixture
async def store(
    mongo_url: str, database: str, driver_name: Driver, keyring: KeyRing
) -> AsyncIterator[MongoStore]:
    store = MongoStore(mongo_url, database, driver_name, keyring)
    await store.prepare()
    yield store
    await store.close()


@pytest.fixture
async def cache(redis_url: str, prefix: str) -> AsyncIterator[RedisStore]:
    cache = RedisStore(redis_url, prefix)
    yield cache
    await cache.close()
