"""A scan of every key for whatever mentions a user. Reads everything, and changes nothing."""

from collections.abc import AsyncIterator
from typing import Any

from redis import asyncio as redis
from redis.exceptions import RedisError

from roost.errors import Unavailable
from storage.access import OPEN, Access
from storage.mentions import Needles
from storage.redis.client import pool


async def scan(url: str, prefix: str, wanted: Needles, access: Access = OPEN) -> tuple[int, int]:
    """Return how many keys mention the user, in their names or values, and when the last expires.

    Returns:
        The number, and the longest time that one of them lives, in seconds.

    Raises:
        Unavailable: Redis does not answer.
    """
    client: Any = redis.Redis.from_pool(pool(url, access, max_connections=1, timeout=5))
    count = longest_s = 0
    try:
        async for key, value in _items(client, prefix):
            if wanted.within(key) or wanted.within(value):
                count += 1
                longest_s = max(longest_s, int(await client.ttl(key)))
    except (RedisError, OSError, TimeoutError) as exc:
        raise Unavailable(f"Redis did not carry out the call ({type(exc).__name__}).") from exc
    finally:
        await client.aclose()
    return count, longest_s


async def _items(client: Any, prefix: str) -> AsyncIterator[tuple[bytes, bytes]]:
    """Yield keys with their values; all of ours are texts."""
    async for key in client.scan_iter(match=f"{prefix}*", count=1_000):
        yield key, await client.get(key) or b""
