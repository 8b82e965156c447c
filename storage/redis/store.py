"""The Redis adapter: fast state that may be lost at any time.

Every key has a TTL. Commands stay within Redis 6.2. One Lua file per operation that is more than
one command; ``schema.md`` lists the keys.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Any, Final, TypeVar

import msgspec

from roost.errors import Unavailable
from roost.loading import without
from storage.access import OPEN, Access
from storage.ports import Accepted
from storage.redis.client import pool

with without("opentelemetry", "opentelemetry.sdk"):  # it would load that for traces of its own: 0.09 s
    from redis import asyncio as redis
    from redis.asyncio.client import PubSub
    from redis.commands.core import AsyncScript
    from redis.exceptions import RedisError

_ANSWER_TTL_MS: Final = 24 * 3600 * 1000
"""Longer than a client goes on retrying one request; the recipient's actor knows ids for longer."""

_PRESENCE_TTL_MS: Final = 3600 * 1000
_SNAPSHOT_TTL_MS: Final = 600 * 1000
_KEYS_PER_CALL: Final = 1000
_RECONNECT_S: Final = (0.1, 0.3, 1.0)
_SILENCE_S: Final = 10.0

_Key = TypeVar("_Key")

_encode = msgspec.msgpack.Encoder().encode
_decode_accepted = msgspec.msgpack.Decoder(Accepted).decode


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError, TimeoutError) as exc:
        raise Unavailable(f"Redis did not carry out the call ({type(exc).__name__}).") from exc


class RedisStore:
    """Implements ``storage.ports.Cache``.

    It belongs to the event loop in which it is used, and connects at its first call.

    Args:
        url: ``redis://...`` or ``rediss://...``
        prefix: What every key and channel begins with.
        connections: How many connections there may be; a call waits for a free one.
        access: Who signs in, and TLS.
    """

    def __init__(
        self, url: str, prefix: str = "roost:", *, connections: int = 16, access: Access = OPEN
    ) -> None:
        self._prefix = prefix
        self._pool = pool(
            url,
            access,
            max_connections=connections,
            timeout=1,
            socket_timeout=1,
            socket_connect_timeout=1,
            health_check_interval=30,
        )
        self._redis: Any = redis.Redis(connection_pool=self._pool)
        self._take = self._script("take")
        self._store = self._script("store")
        self._take_out = self._script("take_out")
        self._remember = self._script("remember")

    async def recall(self, keys: Sequence[tuple[str, str]]) -> list[Accepted | None]:
        if not keys:
            return []
        with _translated():
            values = await self._redis.mget([self._answer(key) for key in keys])
        return [None if value is None else _decode_accepted(value) for value in values]

    async def remember(self, answers: Mapping[tuple[str, str], Accepted]) -> None:
        for some in _chunks(list(answers)):
            greatest: dict[str, str] = {}
            for device, message_id in some:
                greatest[device] = max(message_id, greatest.get(device, ""))
            keys = [*map(self._answer, some), *map(self._greatest, greatest)]
            values = [_encode(answers[key]) for key in some]
            with _translated():
                await self._remember(keys=keys, args=[_ANSWER_TTL_MS, len(some), *values, *greatest.values()])

    async def greatest_ids(self, devices: Sequence[str]) -> dict[str, str]:
        if not devices:
            return {}
        with _translated():
            values = await self._redis.mget([*map(self._greatest, devices)])
        return {device: value.decode() for device, value in zip(devices, values, strict=True) if value}

    async def take(self, limiter: str, key: str, *, rate: float, burst: int, cost: int = 1) -> float:
        interval_us = 1_000_000 / rate
        with _translated():
            wait_us = await self._take(
                keys=[f"{self._prefix}l:{limiter}:{key}"], args=[interval_us, burst, cost]
            )
        return int(wait_us) / 1_000_000

    async def full_at_ms(self, limiter: str, key: str) -> float:
        with _translated():
            kept = await self._redis.get(f"{self._prefix}l:{limiter}:{key}")
        return int(kept or 0) / 1000

    async def put_challenge(self, nonce: str, bound_to: str, ttl_s: int) -> None:
        with _translated():
            await self._redis.set(f"{self._prefix}c:{nonce}", bound_to, ex=ttl_s)

    async def take_challenge(self, nonce: str) -> str | None:
        with _translated():
            (value,) = await self._take_out(keys=[f"{self._prefix}c:{nonce}"])
        return None if value is None else value.decode()

    async def publish(self, channel: str, message: str) -> None:
        with _translated():
            await self._redis.publish(self._prefix + channel, message)

    async def subscribe(
        self, channels: Sequence[str], connected: Callable[[], Awaitable[None]]
    ) -> AsyncIterator[tuple[str, str]]:
        attempt = 0
        while True:
            pubsub = self._redis.pubsub()
            try:
                await _listen(pubsub, [self._prefix + channel for channel in channels])
                await connected()
                attempt = 0
                async for channel, message in _messages(pubsub):
                    yield channel.removeprefix(self._prefix), message
            except (RedisError, OSError, TimeoutError):
                await asyncio.sleep(_RECONNECT_S[min(attempt, len(_RECONNECT_S) - 1)])
                attempt += 1
            finally:
                await pubsub.aclose()

    async def put_presence(self, states: Mapping[str, tuple[bool, int]]) -> None:
        values = {f"{self._prefix}p:{user}": _encode(state) for user, state in states.items()}
        await self._store_all(values, _PRESENCE_TTL_MS)

    async def put_snapshots(self, snapshots: Mapping[str, bytes]) -> None:
        values = {f"{self._prefix}s:{user}": snapshot for user, snapshot in snapshots.items()}
        await self._store_all(values, _SNAPSHOT_TTL_MS)

    async def take_snapshots(self, users: Sequence[str]) -> dict[str, bytes]:
        taken: dict[str, bytes] = {}
        for some in _chunks(list(dict.fromkeys(users))):
            with _translated():
                values = await self._take_out(keys=[f"{self._prefix}s:{user}" for user in some])
            taken |= {user: value for user, value in zip(some, values, strict=True) if value is not None}
        return taken

    async def claim_wakeup(self, device: str, ttl_s: int, at_ms: int) -> bool:
        with _translated():
            return bool(await self._redis.set(f"{self._prefix}w:{device}", at_ms, nx=True, ex=ttl_s))

    async def clear_wakeups(self, devices: Sequence[str]) -> list[int]:
        since: list[int] = []
        for some in _chunks(devices):
            with _translated():
                values = await self._take_out(keys=[f"{self._prefix}w:{device}" for device in some])
            since += [int(value) for value in values if value]  # an earlier version left the value empty
        return since

    async def forget_user(self, user: str, devices: Sequence[str]) -> None:
        keys = [f"{self._prefix}{kind}:{user}" for kind in "ps"]
        keys += [f"{self._prefix}{kind}:{device}" for kind in "wg" for device in devices]
        with _translated():
            await self._redis.delete(*keys)

    async def ping(self) -> None:
        with _translated():
            await self._redis.ping()

    async def close(self) -> None:
        with _translated():
            await self._redis.aclose()
            await self._pool.disconnect()

    def _answer(self, key: tuple[str, str]) -> str:
        return f"{self._prefix}a:{key[0]}:{key[1]}"

    def _greatest(self, device: str) -> str:
        return f"{self._prefix}g:{device}"

    def _script(self, name: str) -> AsyncScript:
        text = resources.files("storage.redis").joinpath("lua", f"{name}.lua").read_text()
        script: AsyncScript = self._redis.register_script(text)
        return script

    async def _store_all(self, values: Mapping[str, bytes], ttl_ms: int) -> None:
        for keys in _chunks(list(values)):
            with _translated():
                await self._store(keys=keys, args=[ttl_ms, *(values[key] for key in keys)])


async def _listen(pubsub: PubSub, channels: Sequence[str]) -> None:
    """Return once the server has confirmed every subscription."""
    await pubsub.subscribe(*channels)
    for _ in channels:
        if await pubsub.get_message(timeout=_SILENCE_S) is None:
            raise TimeoutError


async def _messages(pubsub: PubSub) -> AsyncIterator[tuple[str, str]]:
    """Yield messages; raise when the connection is lost, also one that is silently gone."""
    pinged = False
    while True:
        received = await pubsub.get_message(timeout=_SILENCE_S)
        if received is None:
            if pinged:
                raise TimeoutError
            await pubsub.ping()
            pinged = True
            continue
        pinged = False
        if received["type"] == "message":
            yield received["channel"].decode(), received["data"].decode()


def _chunks(keys: Sequence[_Key]) -> Iterator[Sequence[_Key]]:
    """Cut into pieces that do not hold up the single-threaded server."""
    return (keys[at : at + _KEYS_PER_CALL] for at in range(0, len(keys), _KEYS_PER_CALL))
