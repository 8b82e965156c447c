"""The roles of a world: the real host, router and gateway, on servers in memory."""

from contextlib import AsyncExitStack
from typing import Any, Final, NamedTuple, cast

from actors.host import ActorHost, HostSettings, Stores
from actors.rpc.connections import Connections
from api.collaborators import ApiSettings, Backends
from api.gateway import Gateway
from api.listener import Listen
from cluster.consumers.router import Router
from cluster.log.numbers import FIRST_BASE
from roost.clock import Clock
from roost.testing.servers import MemoryCache, MemoryLog, MemoryStore
from storage.blobs import BlobStore, Quota, StoredObjects
from storage.cluster_rows import LogState
from storage.keyring import KeyRing, fresh_secrets
from storage.shard_map import ShardMap

SERVER_NAME: Final = "world.test"

_HOST, _ROUTER, _GATEWAY = "host-1", "router-1", "gateway-1"
_MIB: Final = 1024 * 1024
_DAY_S: Final = 86_400
_CHEAP_KIB: Final = 8


PROMPT: Final = HostSettings(store_linger_s=0.0, hold_back_ms=0)
"""Nothing here is held back to find company: one bot and one person are the load."""

API: Final = ApiSettings(SERVER_NAME, 3600, 30 * _DAY_S, password_memory_kib=_CHEAP_KIB)


class Roles(NamedTuple):
    """What runs.

    Attributes:
        url: Base URL.
        store: What is stored.
        host: Whose actors answer.
    """

    url: str
    store: MemoryStore
    host: ActorHost


async def start(
    clock: Clock, stack: AsyncExitStack, settings: HostSettings = PROMPT, api: ApiSettings = API
) -> Roles:
    """Start the roles on loopback ports.

    Args:
        clock: Unix milliseconds.
        stack: Ends them.
        settings: The host's.
        api: The gateway's.
    """
    store, log, cache = MemoryStore(), MemoryLog(1), MemoryCache(clock)
    keyring = KeyRing(fresh_secrets(clock()), clock)
    port = cast("Any", store)
    await store.put_log_states([LogState(0, FIRST_BASE, 0)])
    stores = Stores(port, cast("Any", cache), log.writer())
    host = ActorHost(_HOST, stores, keyring.cluster_secret, clock, settings)
    router = Router(_ROUTER, log.reader(), port, Connections(("router", _ROUTER), keyring.cluster_secret))
    gateway = Gateway(
        _GATEWAY,
        Listen(port=0),
        api,
        Backends(port, cast("Any", cache), log.writer(), keyring, clock, _blobs(store, clock)),
    )
    stack.push_async_callback(host.stop)
    address = await host.start()
    for role in (router, gateway):
        stack.push_async_callback(role.stop)
        await role.start()
    shard_map = ShardMap(
        1,
        (_HOST,),
        (_ROUTER,),
        (),
        (FIRST_BASE,),
        {_HOST: address},
        {_HOST: "1", _ROUTER: "1", _GATEWAY: "1"},
    )
    await store.put_shard_map(shard_map)
    for each in (host, router, gateway):
        await each.apply(shard_map)
    assert gateway.address is not None  # noqa: S101 -- it listens
    return Roles(f"http://{gateway.address[0]}:{gateway.address[1]}", store, host)


def _blobs(store: MemoryStore, clock: Clock) -> BlobStore:
    quota = Quota(100 * _MIB, 1024 * _MIB, 10_000, 1024 * _MIB, 10_000, 30 * _DAY_S * 1000, _DAY_S * 1000)
    return BlobStore(store.blobs, StoredObjects("memory:///"), quota, clock)
