"""What probes and Prometheus ask."""

import asyncio
from collections.abc import Awaitable

from fastapi import APIRouter, Response

from api.caller import With
from api.deps import Deps
from api.schemas import Readiness
from roost.errors import RoostError

router = APIRouter(tags=["system"])
_PROBE_S = 2.0


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process runs."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"model": Readiness, "description": "A dependency is away."}})
async def readyz(deps: With, response: Response) -> Readiness:
    """Whether requests can be served, with one line for each dependency.

    Redis may be away: limits then count locally and repeats are looked up in the store.
    """
    mongo, redis = await asyncio.gather(_probe(deps.store.ping()), _probe(deps.cache.ping()))
    linked, total = deps.hosts.linked()
    log = "ok" if deps.sequencer.shards else "no map yet"
    checks = {"mongo": mongo, "redis": redis, "log": log, "hosts": f"{linked}/{total}"}
    ready = mongo == "ok" and log == "ok" and linked == total > 0
    response.status_code = 200 if ready else 503
    return Readiness(ready=ready, checks=checks)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(deps: With) -> Response:
    """This gateway's metrics in Prometheus text format."""
    return Response(exposition(deps), media_type="text/plain; version=0.0.4; charset=utf-8")


def exposition(deps: Deps) -> bytes:
    """Read the owners' figures and return all metrics."""
    put = deps.metrics.set
    put("roost_streams_open", "WebSocket streams open now.", len(deps.streams))
    put("roost_streams_opened", "WebSocket streams opened since the start.", deps.streams.opened)
    put("roost_streams_slow", "Streams ended because their client did not read.", deps.streams.slow)
    put("roost_messages_accepted", "Messages answered with a number.", deps.sender.accepted)
    put("roost_accept_cache_failures", "Sends that went on without Redis.", deps.sender.cache_failures)
    put("roost_copies_lost", "'sent' records for own devices given up.", deps.sender.lost_copies)
    put("roost_log_append_failures", "Records that the log did not take.", deps.sequencer.failures)
    put("roost_log_resyncs", "Times the bases were read anew.", deps.sequencer.resyncs)
    put("roost_streams_reattached", "Streams attached again after a move.", deps.hosts.reattached)
    put("roost_limits_local", "Shared limiters that counted locally.", deps.limits.failed_to_local)
    put("roost_key_changes_lost", "Announcements of key changes given up.", deps.changes.lost)
    return deps.metrics.text()


async def _probe(ping: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(_PROBE_S):
            await ping
    except TimeoutError:
        return "no answer"
    except RoostError as exc:
        return exc.detail
    return "ok"
