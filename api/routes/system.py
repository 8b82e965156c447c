"""Liveness and readiness, for probes."""

import asyncio
from collections.abc import Awaitable

from fastapi import APIRouter, Response

from api.http.dependencies import With
from api.http.routing import ApiRoute
from api.http.schemas.users import Readiness
from roost.errors import RoostError

router = APIRouter(route_class=ApiRoute, tags=["system"])
_PROBE_S = 2.0


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """Return ok while the process is running."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"model": Readiness, "description": "A dependency is unavailable."}})
async def readyz(collaborators: With, response: Response) -> Readiness:
    """Return whether requests can be served, with one line for each dependency.

    It is ready without Redis: limits then count locally and repeats are looked up in the store.
    """
    mongo, redis = await asyncio.gather(
        _probe(collaborators.store.ping()), _probe(collaborators.cache.ping())
    )
    linked, total = collaborators.hosts.linked_hosts()
    log = "ok" if collaborators.sequencer.shards else "no shard map yet"
    checks = {"mongo": mongo, "redis": redis, "log": log, "hosts": f"{linked}/{total}"}
    ready = mongo == "ok" and log == "ok" and linked == total > 0
    response.status_code = 200 if ready else 503
    return Readiness(ready=ready, checks=checks)


async def _probe(ping: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(_PROBE_S):
            await ping
    except TimeoutError:
        return "no answer"
    except RoostError as exc:
        return exc.detail
    return "ok"
