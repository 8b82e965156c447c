"""Inspection of a Redis server: its reports about itself. Changes nothing."""

from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from msgspec import Struct
from redis import asyncio as redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from roost.clock import Clock
from roost.errors import Unavailable
from storage.access import OPEN, Access
from storage.access_denied import AccessDenied
from storage.redis.client import pool

_WITHIN_S: Final = 3.0


class CacheInspection(Struct, frozen=True):
    """A Redis.

    Attributes:
        version: Of the server.
        max_bytes: Memory that it may use, 0 for all there is.
        policy: What it does when that is full; empty if it does not tell.
        evicted: Keys that it has thrown out for want of memory since its start.
        scripts: Whether it runs Lua, which every operation of more than one command is.
        ahead_ms: How much its clock is ahead of ours.
        open: Whether it serves who brings no password.
    """

    version: str
    max_bytes: int
    policy: str
    evicted: int
    scripts: bool
    ahead_ms: int
    open: bool


async def inspect(url: str, clock: Clock, access: Access = OPEN) -> CacheInspection:
    """Ask.

    Raises:
        AccessDenied: It wants a password, or another one.
        Unavailable: It does not answer.
    """
    try:
        client = _client(url, access)
    except ValueError as exc:
        raise Unavailable(f"The address is none for Redis: {exc}.") from exc
    try:
        before = clock()
        seconds, micros = await client.time()
        after = clock()
        info = await client.info()
        scripts = await _runs_scripts(client)
    except (AuthenticationError, NoPermissionError) as exc:
        raise AccessDenied(f"Redis answers and denies it ({exc}).") from exc
    except (RedisError, OSError, TimeoutError) as exc:
        raise Unavailable(f"Redis did not carry out the call ({type(exc).__name__}).") from exc
    finally:
        await client.aclose()
    return CacheInspection(
        version=str(info["redis_version"]),
        max_bytes=int(info.get("maxmemory", 0)),
        policy=str(info.get("maxmemory_policy", "")),
        evicted=int(info.get("evicted_keys", 0)),
        scripts=scripts,
        ahead_ms=int(seconds) * 1000 + int(micros) // 1000 - (before + after) // 2,
        open=await _open(url, access),
    )


async def _runs_scripts(client: Any) -> bool:
    try:
        return int(await client.eval("return 1", 0)) == 1
    except ResponseError:
        return False


async def _open(url: str, access: Access) -> bool:
    parts = urlsplit(url)
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    client = _client(bare, replace(access, user=None, password=None))
    try:
        return bool(await client.ping())
    except (RedisError, OSError, TimeoutError):
        return False
    finally:
        await client.aclose()


def _client(url: str, access: Access) -> Any:
    waits: dict[str, Any] = {"socket_timeout": _WITHIN_S, "socket_connect_timeout": _WITHIN_S}
    return redis.Redis.from_pool(pool(url, access, max_connections=1, timeout=_WITHIN_S, **waits))
