"""The log that an earlier run left in the data folder: given higher numbers before any role starts."""

import asyncio
from typing import Final

import structlog

from cluster.settings import Settings
from roost.clock import now_ms
from roost.errors import Unavailable

_AGAIN_S: Final = 1.0

log = structlog.get_logger()


async def renumber(settings: Settings, within_s: float) -> None:
    """Have its numbers checked as soon as the store answers, which may be the operator's own.

    Raises:
        Unavailable: The store or the log did not answer in time.
    """
    from cluster import key_ring, resources  # noqa: PLC0415 -- loaded in a thread meanwhile
    from cluster.log import topics  # noqa: PLC0415 -- likewise

    deadline = asyncio.get_running_loop().time() + within_s
    store = resources.open_store(settings, key_ring.load(settings))
    admin = await resources.open_admin(settings)
    try:
        while True:
            try:
                await topics.renumber(store.cluster, admin, now_ms)
            except Unavailable as exc:
                if asyncio.get_running_loop().time() > deadline:
                    raise
                log.warning("start_postponed", reason=exc.detail)
                await asyncio.sleep(_AGAIN_S)
            else:
                return
    finally:
        await admin.close()
        await store.close()
