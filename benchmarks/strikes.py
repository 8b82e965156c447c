"""Scenarios in which a process is killed while people talk: how long what was on its way then took."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from benchmarks.bench import Bench
from benchmarks.figures import figures, percentiles
from benchmarks.load import Load, Span

ROLES = ("host", "router", "gateway", "coordinator", "pusher")

_KILLS = 3
_SETTLE_S = 60.0
_LONGEST_S = 600.0
_REST_S = 10.0
"""Between two kills, so that what the first one set off is over."""

_CALM_S = 2.0
"""After `roost status`, which takes a second of CPU."""


def killed(role: str, rate: int) -> Callable[[Bench], Awaitable[dict[str, Any]]]:
    """Return what sends at a fixed rate and kills -9 a process of the role some times meanwhile."""

    async def run(bench: Bench) -> dict[str, Any]:
        load = await bench.ring()
        struck: list[int] = []
        span, cost = await bench.measured(_sending(load, rate, _strike(bench, role, struck)))
        settled = await load.settle(_SETTLE_S)
        found = figures(load, span, cost) | {"rate": rate, "settled": settled}
        found["kills"] = [_after(load, at_ns) for at_ns in struck]
        await load.leave()
        return found

    return run


async def _sending(load: Load, rate: int, meanwhile: Coroutine[Any, Any, None]) -> Span:
    """Send at a fixed rate for as long as something else takes."""
    sending = asyncio.create_task(load.pace(rate, 0.0, _LONGEST_S))
    began = time.perf_counter_ns()
    await meanwhile
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    return Span(began, time.perf_counter_ns())


async def _strike(bench: Bench, role: str, struck: list[int]) -> None:
    """Kill whoever of the role has shards, if its members have such; note when."""
    for _ in range(_KILLS):
        await asyncio.sleep(_REST_S)
        pid = await bench.system.serving(role)
        await asyncio.sleep(_CALM_S)
        struck.append(time.perf_counter_ns())
        os.kill(pid, signal.SIGKILL)
    await asyncio.sleep(_REST_S)


def _after(load: Load, at_ns: int) -> dict[str, Any]:
    """Return what became of what was on its way, and of what was due in the second after."""
    flying = load.ledger.flying_ms(at_ns)
    later = load.ledger.deliver_ms(at_ns, at_ns + 1_000_000_000)
    return {
        "in_flight": len(flying),
        "in_flight_ms": percentiles(flying),
        "due_in_the_next_second_ms": percentiles(later),
    }
