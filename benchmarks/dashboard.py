"""Measure what the operators' stream costs: CPU of a system with and without pages that follow it.

    python -m benchmarks.dashboard [--readers 5] [--seconds 60] [--rounds 2] [--json FILE]

The spans alternate, so that a machine that grows slower slows both.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import mean
from typing import Any

import aiohttp

from benchmarks.accounts import PASSWORD, sign_up
from benchmarks.figures import keep
from benchmarks.system import System, embedded, environment, run
from benchmarks.usage import Cost, Usage

_SETTLE_S = 10.0
_NAME = "operator"


async def operator(system: System) -> str:
    """Make an operator; returns an access token."""
    [made] = await sign_up(system.http, [_NAME])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "roost", "admin", "grant", _NAME, "observer", "--data", str(system.data)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    if status := await process.wait():
        raise RuntimeError(f"roost admin grant ended with {status}.")
    body = {"username": _NAME, "password": PASSWORD, "device_id": made.device}
    async with aiohttp.ClientSession(system.http) as http, http.post("/v1/sessions", json=body) as answer:
        token: str = (await answer.json())["access_token"]
        return token


@asynccontextmanager
async def following(system: System, token: str, readers: int) -> AsyncIterator[list[int]]:
    """Have so many pages follow the system; yields how many bytes each has read."""
    read = [0] * readers
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(system.http, timeout=aiohttp.ClientTimeout(total=None)) as http:

        async def follow(place: int) -> None:
            async with http.get("/admin/v1/stream", headers=headers) as answer:
                answer.raise_for_status()
                async for part in answer.content.iter_any():
                    read[place] += len(part)

        tasks = [asyncio.create_task(follow(place)) for place in range(readers)]
        try:
            yield read
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        if failed := [end for end in ends if not isinstance(end, asyncio.CancelledError)]:
            raise RuntimeError(f"A page's stream ended before the span did: {failed}")


async def measure(readers: int, seconds: float, rounds: int) -> dict[str, Any]:
    """Start a system, and measure spans of both kinds in turn."""
    without: list[Cost] = []
    with_them: list[Cost] = []
    async with embedded() as system:
        token = await operator(system)
        usage = Usage(system.processes)
        await usage.discover()
        await asyncio.sleep(_SETTLE_S)
        read = [0] * readers
        for _ in range(rounds):
            without.append(await _span(usage, seconds))
            async with following(system, token, readers) as now:
                await asyncio.sleep(1.0)  # their first answer has the whole history
                with_them.append(await _span(usage, seconds))
                read = [sum(each) for each in zip(read, now, strict=True)]
    bare, shown = mean(map(_cores, without)), mean(map(_cores, with_them))
    return {
        "environment": environment(),
        "command": ["python", "-m", "benchmarks.dashboard", *sys.argv[1:]],
        "readers": readers,
        "seconds": seconds,
        "cores_without": [round(_cores(each), 4) for each in without],
        "cores_with": [round(_cores(each), 4) for each in with_them],
        "cores_by_role": {role: _differs(role, without, with_them) for role in sorted(with_them[0].cpu_s)},
        "cores_of_the_pages": round(shown - bare, 4),
        "kilobytes_per_page_and_minute": round(mean(read) / 1e3 / (rounds * (seconds + 1) / 60), 1),
    }


async def _span(usage: Usage, seconds: float) -> Cost:
    usage.begin()
    await asyncio.sleep(seconds)
    return usage.end()


def _cores(cost: Cost) -> float:
    return cost.servers_s() / cost.seconds


def _differs(role: str, without: list[Cost], with_them: list[Cost]) -> float:
    before, after = (
        mean(of.cpu_s.get(role, 0.0) / of.seconds for of in each) for each in (without, with_them)
    )
    return round(after - before, 4)


def main() -> int:
    """Parse the command line, measure, say what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboard", description=__doc__)
    parser.add_argument("--readers", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each span")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path, default=None, help="file for the figures; else stdout")
    options = parser.parse_args()
    keep(run(measure(options.readers, options.seconds, options.rounds)), options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
