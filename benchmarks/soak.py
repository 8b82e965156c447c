"""Push millions of messages through the embedded system, and watch the memory of every process.

    python -m benchmarks.soak [--messages 2000000] [--json FILE]

The embedded broker keeps all it is given, so the system makes its log again each time it is over
its limit. The run fails (exit 1) when a message is lost, doubled or reordered, or when the memory
of a process in the last third of the run is more than half above that of the middle third.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.accounts import sign_up
from benchmarks.audit import audit
from benchmarks.figures import judged, keep
from benchmarks.ledger import Book, Ledger
from benchmarks.load import Load
from benchmarks.pacing import ring
from benchmarks.system import System, embedded, environment, run
from benchmarks.usage import CLIENT, Usage

_SAMPLE_S = 5.0
_GROWTH = 1.5
_NOISE_MB = 40.0


async def sample(usage: Usage, ledger: Ledger, samples: list[dict[str, Any]]) -> None:
    """Note rate and memory every few seconds, and show them."""
    started, before = time.perf_counter(), 0
    while True:
        usage.begin()
        await asyncio.sleep(_SAMPLE_S)
        # The generator keeps a ledger of every message, so it may grow.
        memory = {role: mb for role, mb in usage.end().rss_mb.items() if role != CLIENT}
        at = round(time.perf_counter() - started)
        rate = round((ledger.delivered - before) / _SAMPLE_S)
        before = ledger.delivered
        samples.append({"at_s": at, "delivered": ledger.delivered, "per_s": rate, "memory_mb": memory})
        shown = " ".join(f"{role}={mb:.0f}" for role, mb in memory.items())
        print(
            f"\r{at:5} s {ledger.delivered:9} delivered {rate:6}/s  MB: {shown}   ", end="", file=sys.stderr
        )


def growth(samples: list[dict[str, Any]]) -> dict[str, float]:
    """Return by role the last third's median memory over the middle third's."""
    third = max(1, len(samples) // 3)
    middle, last = samples[third : 2 * third], samples[2 * third :]
    found: dict[str, float] = {}
    for role in samples[0]["memory_mb"]:
        before = statistics.median(s["memory_mb"][role] for s in middle)
        after = statistics.median(s["memory_mb"][role] for s in last)
        found[role] = round((after + _NOISE_MB) / (before + _NOISE_MB), 2)
    return found


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run until everything was sent and delivered, and is in the store."""
    samples: list[dict[str, Any]] = []
    async with embedded() as system:
        people = await sign_up(system.http, [f"load{number}" for number in range(options.users)])
        book, usage = Book(), Usage(system.processes)
        load = Load(system.http, people, ring(options.users, options.contacts), book, seed=options.seed)
        await load.join()
        await load.greet()
        await usage.discover()
        watcher = asyncio.create_task(sample(usage, load.ledger, samples))
        span = await load.press(options.outstanding, 0.0, options.timeout, messages=options.messages)
        await load.settle(60)
        watcher.cancel()
        await load.leave()
        stop = await restarted(system)
        await audit(system.http, people, book)
    return {
        "environment": environment(),
        "command": ["python", "-m", "benchmarks.soak", *sys.argv[1:]],
        "seconds": round(span.seconds),
        "delivered_per_s": round(load.ledger.delivered_in(span.begin_ns, span.end_ns) / span.seconds),
        "refusals": dict(load.counts.refusals),
        "sent_again": load.counts.repeated,
        "problems": dict(load.counts.problems),
        "stop": stop,
        **judged(load),
        "memory_growth": growth(samples),
        "samples": samples,
    }


async def restarted(system: System) -> int:
    """Stop the system in order and start it again; return how the stop ended."""
    stop = await system.stop()
    await system.start()
    return stop


def main() -> int:
    """Parse the command line, run, say what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--messages", type=int, default=2_000_000)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--contacts", type=int, default=10)
    parser.add_argument("--outstanding", type=int, default=1000)
    parser.add_argument("--timeout", type=float, default=1800, help="seconds after which it stops sending")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=None, help="file for the figures; else stdout")
    options = parser.parse_args()
    result = run(measure(options))
    keep(result, options.json)
    broken = any(result["ledger"].values()) or result["stop"]
    grown = {role: ratio for role, ratio in result["memory_growth"].items() if ratio > _GROWTH}
    if grown:
        print(f"memory grew: {json.dumps(grown)}", file=sys.stderr)
    return 1 if broken or grown else 0


if __name__ == "__main__":
    sys.exit(main())
