"""The proof of plain use: people who write to each other at an ordinary rate, and nothing may be lost.

    python -m benchmarks.plain [--runs 10] [--seconds 180] [--rate 500]
    python -m benchmarks.plain --runs 2 --kill broker,store --every 30
    python -m benchmarks.plain --runs 1 --roost ../other/.venv/bin/roost --up '--hosts 2'

Each run is a fresh embedded system with 200 users, each with ten contacts who write back, and one message
in flight for each recipient, as the SDK has it. After an orderly stop the system is started again and its
store is read: what was accepted must be there, must have been delivered once, and in order. Exit code 1 if
not, or if a stop did not end with 0. ``--kill`` ends processes with SIGKILL meanwhile, in turn.
"""

import argparse
import asyncio
import os
import shlex
import signal
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench, Options
from benchmarks.figures import figures, judged, keep
from benchmarks.run import read_store, say
from benchmarks.system import System, environment, run
from sim.people.light_stream import Manner

_SETTLE_S = 120.0
_SAY_S = 30.0


async def kill(system: System, roles: list[str], every_s: float, struck: list[str]) -> None:
    """Until cancelled: kill a process of one role after the other."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    for role in cycle(roles):
        due += every_s
        # Asked half-way: by then what was killed last has a successor, and the answer may take seconds.
        await asyncio.sleep(max(0.0, due - every_s / 2 - loop.time()))
        pids = await system.pids(role)
        await asyncio.sleep(max(0.0, due - loop.time()))
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        struck.append(role)
        say(f"  killed {role}: {pids}")


async def tell(bench: Bench) -> None:
    """Until cancelled: say from time to time how far it is."""
    while True:
        await asyncio.sleep(_SAY_S)
        ledger = bench.loads[-1].ledger
        say(f"  {ledger.sent} sent, {ledger.accepted} accepted, {ledger.delivered} delivered")


async def one_run(args: argparse.Namespace, number: int) -> dict[str, Any]:
    """Run once and return what came of it."""
    struck: list[str] = []
    with tempfile.TemporaryDirectory(prefix="roost-plain-") as folder:
        system = System(Path(folder), roost=args.roost, options=shlex.split(args.up))
        try:
            await system.start()
            bench = Bench(system, Options(users=args.users, seed=args.seed + number))
            load = await bench.ring(manner=Manner(one_in_flight=True))
            tasks = [asyncio.create_task(tell(bench))]
            if args.kill:
                roles = args.kill.split(",")
                tasks.append(asyncio.create_task(kill(system, roles, args.every, struck)))
            span, cost = await bench.measured(load.pace(args.rate, 0.0, args.seconds))
            for task in tasks:
                if task.done():
                    task.result()
                task.cancel()
            settled = await load.settle(_SETTLE_S)
            row = figures(load, span, cost)
            await load.leave()
            stop = await read_store(system, bench)
            found = row | judged(load) | {"settled": settled, "stop": stop, "killed": struck}
            found["holds"] = settled and not stop and not any(found["ledger"].values())
            if not found["holds"]:
                say(system.log())
            return found
        finally:
            await system.stop()


def line(number: int, row: dict[str, Any]) -> str:
    """Return a run as a line."""
    broken = {kind: count for kind, count in row["ledger"].items() if count}
    verdict = "holds" if row["holds"] else f"violated: {broken or 'not settled'}; {row['examples']}"
    return (
        f"run {number + 1}: {row['accepted']} of {row['sent']} accepted, {row['delivered']} delivered, "
        f"deliver p50/p99 {row['send_deliver_ms'].get('p50')}/{row['send_deliver_ms'].get('p99')} ms, "
        f"{len(row['killed'])} kills, {row['reconnects']} reconnects, {row['unanswered']} unanswered, "
        f"stop {row['stop']}: {verdict}"
    )


async def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Run as often as was asked for."""
    rows = []
    for number in range(args.runs):
        say(f"run {number + 1} of {args.runs}: {args.seconds:g} s at {args.rate:g}/s")
        rows.append(await one_run(args, number))
        print(line(number, rows[-1]), flush=True)
    total = {kind: sum(row["ledger"][kind] for row in rows) for kind in rows[0]["ledger"]}
    print(f"{sum(row['accepted'] for row in rows)} accepted in {len(rows)} runs: {total}")
    return {
        "environment": environment(),
        "command": shlex.join(["python", "-m", "benchmarks.plain", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "ledger": total,
        "runs": rows,
        "holds": all(row["holds"] for row in rows),
    }


def main() -> int:
    """Parse the command line, run, say what was found."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.plain",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--rate", type=float, default=500.0, help="messages a second (500)")
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kill", default="", metavar="ROLES", help="kill these in turn: broker,store")
    parser.add_argument("--every", type=float, default=30.0, metavar="S", help="seconds between kills (30)")
    parser.add_argument(
        "--roost", metavar="PROGRAM", help="`roost` of another checkout: PATH/.venv/bin/roost"
    )
    parser.add_argument("--up", default="", metavar="OPTIONS", help="further options of `roost up`")
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    result = run(measure(args))
    if args.json is not None:
        keep(result, args.json)
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
