"""The loops that a gateway and a host cannot do without are essential: their failure is told of."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from actors.host import ActorHost, Stores
from actors.host.users.deadlines import Deadlines
from actors.host.users.passivation import Passivation
from api.collaborators import ApiSettings, Backends
from api.gateway import Gateway
from api.identity.cache_invalidation import CacheInvalidation
from api.listener import Listen, Server
from api.stream.registry import Streams
from roost.clock import now_ms
from roost.tasks import on_essential_failure
from storage.kafka_log import KafkaLogWriter
from storage.keyring import KeyRing, fresh_secrets
from storage.mongo.store import MongoStore
from storage.redis.store import RedisStore
from tests.integration.api_world import media_of
from tests.live.waiting import until

NOWHERE = "127.0.0.1:1"


@asynccontextmanager
async def running(role: str) -> AsyncIterator[None]:
    """Run a role whose servers are away."""
    keyring = KeyRing(fresh_secrets(now_ms()))
    store = MongoStore(f"mongodb://{NOWHERE}", "roost", "pymongo", keyring)
    cache, log_writer = RedisStore(f"redis://{NOWHERE}", "roost:"), KafkaLogWriter(NOWHERE)
    service: Any = (
        ActorHost("host-1", Stores(store, cache, log_writer), keyring.cluster_secret, now_ms)
        if role == "host"
        else Gateway(
            "gateway-1",
            Listen(port=0),
            ApiSettings("example.org", 600, 3600),
            Backends(store, cache, log_writer, keyring, now_ms, media_of(store)),
        )
    )
    await service.start()
    try:
        yield
    finally:
        await service.stop()
        await cache.close()
        await store.close()


@pytest.mark.parametrize(
    ("role", "part", "loop"),
    [
        ("host", Deadlines, "run"),
        ("host", Passivation, "run"),
        ("gateway", CacheInvalidation, "listen"),
        ("gateway", CacheInvalidation, "pulse"),
        ("gateway", Streams, "tick"),
        ("gateway", Server, "main_loop"),
    ],
    ids=lambda each: getattr(each, "__name__", each),
)
async def test_a_loop_that_fails_is_told_of(
    monkeypatch: pytest.MonkeyPatch, role: str, part: type, loop: str
) -> None:
    async def fail(*_: object) -> None:
        raise ArithmeticError(loop)

    monkeypatch.setattr(part, loop, fail)
    told: list[str] = []
    on_essential_failure(lambda _, failure: told.append(str(failure)))
    async with running(role):
        await until(lambda: "" if told else "nothing was told of", within=5)
    assert told == [loop]
