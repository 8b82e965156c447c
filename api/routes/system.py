"""What probes and Prometheus ask."""

import asyncio
from collections.abc import Awaitable

from fastapi import APIRouter, Response

from api.caller import With
from api.deps import Deps
from api.schemas import Readiness
from roost.errors import RoostError
from storage.metrics import GATEWAY, WRITER
from storage.metrics import exposition as counted

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
    show, total, totals = deps.metrics.set, deps.metrics.total, deps.metrics.totals
    show("roost_streams_open", "WebSocket streams open now.", len(deps.streams))
    total("roost_streams_opened_total", "WebSocket streams opened.", deps.streams.opened)
    totals(
        "roost_streams_ended_total",
        "Streams that the gateway ended, by code: displaced, too_slow, revoked and the like.",
        "code",
        deps.streams.ended,
    )
    total("roost_streams_reattached_total", "Streams attached again after a move.", deps.hosts.reattached)
    total("roost_messages_accepted_total", "Messages answered with a number.", deps.sender.accepted)
    gate = deps.sender.gate
    totals(
        "roost_sends_refused_total",
        "Sends refused because there was more to do than could be done, or the log did not take them.",
        "reason",
        gate.admission.refused,
    )
    show("roost_sends_open", "Sends without an answer.", gate.admission.inside)
    show("roost_sends_open_bytes", "Bytes of the sends without an answer.", gate.admission.size)
    show("roost_sends_oldest_seconds", "Time that the oldest send waits for its round.", deps.sender.oldest_s)
    show(
        "roost_accept_wait_seconds",
        "Expected time of a new send to its number.",
        gate.admission.accept_wait_s(),
    )
    show(
        "roost_deliver_wait_seconds",
        "Expected time of a new record from the log to its actor, on the slowest shard.",
        gate.deliver_wait_s(),
    )
    total(
        "roost_accept_cache_failures_total", "Sends that went on without Redis.", deps.sender.answers.failures
    )
    total("roost_copies_lost_total", "'sent' records for own devices given up.", deps.sender.lost_copies)
    total("roost_log_append_failures_total", "Records that the log did not take.", deps.sequencer.failures)
    total("roost_log_resyncs_total", "Times the bases were read anew.", deps.sequencer.resyncs)
    totals("roost_limiter_hits_total", "Times a limiter made somebody wait.", "limiter", deps.limits.hits)
    total("roost_limits_local_total", "Shared limiters that counted locally.", deps.limits.failed_to_local)
    total("roost_key_changes_lost_total", "Announcements of key changes given up.", deps.changes.lost)
    return deps.metrics.text() + counted(WRITER, GATEWAY)


async def _probe(ping: Awaitable[None]) -> str:
    try:
        async with asyncio.timeout(_PROBE_S):
            await ping
    except TimeoutError:
        return "no answer"
    except RoostError as exc:
        return exc.detail
    return "ok"
