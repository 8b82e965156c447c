"""Measure the embedded system: windows, fixed rates, overload and more, each with a ledger.

    python -m benchmarks.run                                     # the whole suite, about ten minutes
    python -m benchmarks.run --only ring-1000,rate-800 --seconds 10
    python -m benchmarks.run --only 'all-*' --fresh --json FILE
    python -m benchmarks.run --only ring-1000 --roost ../other/.venv/bin/roost      # another checkout
    ROOST_SHARDS=1 python -m benchmarks.run --only rate-100 --up '--kafka 127.0.0.1:9092'

Every scenario that sends has a ledger: whatever was accepted must be delivered once and in order, and, after
an orderly stop and a fresh start, must be in the store. The exit code is 1 if it is not, if a system did
not stop in order, or if a scenario did not end. The load generator runs on the same cores as the servers.
"""

import argparse
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench, Options
from benchmarks.figures import judged, keep
from benchmarks.page import page
from benchmarks.scenarios import Scenario, chosen
from benchmarks.system import System, environment, run
from benchmarks.table import table


async def measure(args: argparse.Namespace, scenarios: list[Scenario]) -> dict[str, Any]:
    """Run scenarios, on one system or on a fresh one each."""
    result: dict[str, Any] = {
        "environment": environment(),
        "command": shlex.join(["python", "-m", "benchmarks.run", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "scenarios": [],
        "systems": [],
    }
    groups = [[each] for each in scenarios] if args.fresh else [scenarios]
    for group in groups:
        rows, system = await one_system(args, group)
        result["scenarios"] += rows
        result["systems"].append(system)
    result["holds"] = all(row["holds"] for row in result["scenarios"]) and not any(
        system["stop"] for system in result["systems"]
    )
    return result


async def one_system(
    args: argparse.Namespace, scenarios: list[Scenario]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Start a system, run scenarios on it, stop it, and read its store after a fresh start."""
    options = Options(
        args.users, args.seconds, args.warm_up, args.overload_seconds, args.capacity, args.patient, args.seed
    )
    with tempfile.TemporaryDirectory(prefix="roost-bench-") as folder:
        system = System(Path(folder), roost=args.roost, options=shlex.split(args.up))
        try:
            await system.start()
            say(f"the system was ready after {system.ready_s:.1f} s")
            about: dict[str, Any] = {"ready_s": round(system.ready_s, 2), "stop": 0}
            bench = Bench(system, options)
            rows = [await one(bench, each) for each in scenarios]
            about["stop"] = await (system.stop() if args.no_audit else read_store(system, bench))
            say(f"the stop ended with {about['stop']}; {bench.book.violations()}")
            for row in rows:
                judge(row, row.pop("loads"))
            if about["stop"]:
                say(system.log())
            return rows, about
        finally:
            await system.stop()


async def read_store(system: Any, bench: Bench) -> int:
    """Stop the system in order, then tell the ledgers what is in its store; return how the stop ended."""
    stop: int = await system.stop()
    if bench.people:
        await system.audit(bench.people, bench.book, bench.look_cold)
    return stop


async def one(bench: Bench, scenario: Scenario) -> dict[str, Any]:
    """Run one scenario; a failure is its figure."""
    say(f"{scenario.name}: {scenario.title}")
    began, before = time.monotonic(), len(bench.loads)
    row: dict[str, Any] = {"name": scenario.name, "title": scenario.title}
    try:
        # The scenario may add to its figures later, after the restart.
        found = await scenario.run(bench)
        found |= row
        row = found
    except (RuntimeError, TimeoutError, OSError) as exc:
        row |= {"failure": f"{type(exc).__name__}: {exc}"}
        for load in bench.loads[before:]:
            await load.leave()
    row |= {"took_s": round(time.monotonic() - began, 1), "loads": bench.loads[before:]}
    say(f"{scenario.name}: {summary(row)}")
    return row


def judge(row: dict[str, Any], loads: list[Any]) -> None:
    """Add what the ledgers of a scenario say."""
    row["loads"] = [judged(load) for load in loads]
    row["ledger"] = {
        kind: sum(each["ledger"][kind] for each in row["loads"])
        for each in row["loads"][:1]
        for kind in each["ledger"]
    }
    row["holds"] = not any(row["ledger"].values()) and "failure" not in row and row.get("settled", True)


def summary(row: dict[str, Any]) -> str:
    """Return a row in a line."""
    told = ("failure", "delivered_per_s", "accepted_per_s", "send_accept_ms", "send_deliver_ms", "cpu_us")
    shown = ("cores_of_servers", *told)
    return "; ".join([f"took {row['took_s']} s", *(f"{key} {row[key]}" for key in shown if row.get(key))])


def say(what: str) -> None:
    """Tell people how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--only", default="", metavar="NAMES", help="scenarios with commas between; `ring-*`")
    made.add_argument("--users", type=int, default=200)
    made.add_argument("--seconds", type=float, default=10.0, help="measured time of each (10)")
    made.add_argument("--warm-up", type=float, default=0.3, help="share of it that runs before (0.3)")
    made.add_argument("--overload-seconds", type=float, default=30.0)
    made.add_argument("--capacity", type=float, default=0.0, help="what overload multiplies; else measured")
    made.add_argument("--patient", action="store_true", help="in overload, refused devices wait as told")
    made.add_argument("--seed", type=int, default=1)
    made.add_argument("--fresh", action="store_true", help="a new system for each scenario")
    made.add_argument("--no-audit", action="store_true", help="do not read the store after the stop")
    made.add_argument("--roost", metavar="PROGRAM", help="`roost` of another checkout: PATH/.venv/bin/roost")
    made.add_argument("--up", default="", metavar="OPTIONS", help="further options of `roost up`")
    made.add_argument("--json", type=Path, default=None, help="file for the figures")
    made.add_argument("--html", type=Path, default=None, help="file for the page with plots")
    made.add_argument("--list", action="store_true", help="list the scenarios")
    return made


def main() -> int:
    """Parse the command line, measure, say what was found."""
    made = parser()
    args = made.parse_args()
    try:
        scenarios = chosen(args.only)
    except ValueError as exc:
        made.error(str(exc))
    if args.list:
        print("\n".join(f"{each.name:16} {each.title}" for each in scenarios))
        return 0
    result = run(measure(args, scenarios))
    if args.json is not None:
        keep(result, args.json)
    if args.html is not None:
        args.html.write_text(page(result))
        say(f"the page is {args.html}")
    print(table(result))
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
