"""Measure Roost beside ejabberd with its archive in PostgreSQL: the same loads, in turn, on the same machine.

    python -m benchmarks.peers                                   # three rounds, about a quarter of an hour
    python -m benchmarks.peers --rounds 1 --only ring-1000,rate-816 --seconds 8
    python -m benchmarks.peers --roost ../other/.venv/bin/roost --json FILE

A machine's speed drifts, so in each round first one system is started, measured and stopped, then the
other; the figures are medians over the rounds. Missing Debian packages are installed (as root), without
starting their services. Bodies have 400 bytes; PostgreSQL is durable as by default. Accepted means
acknowledged to the sender: by Roost's `accepted`, by ejabberd's stream management.
"""

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench, Options
from benchmarks.ejabberd import PACKAGES, Ejabberd
from benchmarks.figures import keep
from benchmarks.run import judge, one, read_store, say
from benchmarks.scenarios import Scenario, chosen
from benchmarks.system import System, environment, run

SCENARIOS = "rate-100,rate-816,rate-1632,rate-2449,ring-50,ring-200,ring-1000,all-1000,offline"
"""What is compared; each exists on both sides."""

FIGURES = {
    "delivered/s": lambda row: row["delivered_per_s"],
    "accepted/s": lambda row: row["accepted_per_s"],
    "deliver p50 ms": lambda row: row["send_deliver_ms"].get("p50"),
    "deliver p99 ms": lambda row: row["send_deliver_ms"].get("p99"),
    "accept p50 ms": lambda row: row["send_accept_ms"].get("p50"),
    "accept p99 ms": lambda row: row["send_accept_ms"].get("p99"),
    "CPU us": lambda row: row["cpu_us_of_servers"],
}
"""What is compared of each scenario."""

_POLICY = Path("/usr/sbin/policy-rc.d")


def install() -> None:
    """Install the packages that are missing; their services are not started.

    Raises:
        SystemExit: It takes root, or apt failed.
    """
    known = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *PACKAGES],
        capture_output=True, text=True, check=False,
    ).stdout.splitlines()  # fmt: skip
    missing = [package for package in PACKAGES if f"{package} installed" not in known]
    if not missing:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SystemExit(f"Install these first, as root on Debian: {' '.join(missing)}")
    say(f"installing {' '.join(missing)}")
    own = not _POLICY.exists()
    if own:
        # What Debian asks before a package starts its service: 101 is no.
        _POLICY.write_text("#!/bin/sh\nexit 101\n")
        _POLICY.chmod(0o755)
    try:
        quiet = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y", "--no-install-recommends")
        subprocess.run(["apt-get", "-qq", "update"], check=True)
        subprocess.run([*quiet, "install", *missing], check=True, stdout=subprocess.DEVNULL)
    except subprocess.CalledProcessError as exc:
        raise SystemExit(f"apt-get failed: {exc}") from exc
    finally:
        if own:
            _POLICY.unlink()


async def turn(
    system: System | Ejabberd, options: Options, scenarios: Sequence[Scenario]
) -> list[dict[str, Any]]:
    """Measure one system and end it."""
    try:
        await system.start()
        bench = Bench(system, options)
        rows = [await one(bench, each) for each in scenarios]
        stop = await read_store(system, bench)
        for row in rows:
            judge(row, row.pop("loads"))
            row["stop"] = stop
        return rows
    finally:
        await system.stop()


async def measure(args: argparse.Namespace, scenarios: Sequence[Scenario]) -> dict[str, Any]:
    """Measure in rounds and compare."""
    options = Options(users=args.users, seconds=args.seconds, seed=args.seed)
    result: dict[str, Any] = {
        "environment": environment(),
        "command": shlex.join(["python", "-m", "benchmarks.peers", *sys.argv[1:]]),
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "roost": [],
        "ejabberd": [],
    }
    for number in range(args.rounds):
        for name in ("roost", "ejabberd"):
            say(f"round {number + 1} of {args.rounds}: {name}")
            with tempfile.TemporaryDirectory(prefix="roost-peers-") as folder:
                system = (
                    System(Path(folder), roost=args.roost, options=shlex.split(args.up))
                    if name == "roost"
                    else Ejabberd(Path(folder))
                )
                result[name].append(await turn(system, options, scenarios))
    result["compared"] = compared(result)
    result["holds"] = all(row["holds"] and not row["stop"] for turn in result["roost"] for row in turn)
    return result


def compared(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each scenario and figure: both medians, and how many times the peer's ours is."""
    rows = []
    for place, first in enumerate(result["roost"][0]):
        for figure, take in FIGURES.items():
            ours, theirs = (
                median([take(turn[place]) for turn in result[name] if "failure" not in turn[place]])
                for name in ("roost", "ejabberd")
            )
            if ours is not None and theirs is not None:
                ratio = round(ours / theirs, 2) if theirs else None
                rows.append(
                    {
                        "scenario": first["name"],
                        "figure": figure,
                        "roost": ours,
                        "ejabberd": theirs,
                        "ratio": ratio,
                    }
                )
    return rows


def median(values: Sequence[float | None]) -> float | None:
    """Return the median of those that are there."""
    there = [value for value in values if value is not None]
    return round(statistics.median(there), 2) if there else None


def text(result: dict[str, Any]) -> str:
    """Return the comparison as a table in Markdown."""
    lines = ["| scenario | figure | Roost | ejabberd | ratio |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['scenario']} | {row['figure']} | {row['roost']:,g} | {row['ejabberd']:,g} | {row['ratio']} |"
        for row in result["compared"]
    ]
    for name in ("roost", "ejabberd"):
        broken = [
            f"{row['name']}: {row.get('failure') or row['ledger']}"
            for turn in result[name]
            for row in turn
            if not row["holds"]
        ]
        lines.append(f"\n{name}: {'; '.join(broken) or 'every ledger holds'}")
    return "\n".join(lines)


def main() -> int:
    """Parse the command line, measure, print the ratios."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", default=SCENARIOS, metavar="NAMES", help=f"scenarios ({SCENARIOS})")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10.0, help="measured time of each (10)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--roost", metavar="PROGRAM", help="`roost` of another checkout: PATH/.venv/bin/roost"
    )
    parser.add_argument("--up", default="", metavar="OPTIONS", help="further options of `roost up`")
    parser.add_argument("--json", type=Path, help="file for the figures")
    args = parser.parse_args()
    try:
        scenarios = chosen(args.only)
    except ValueError as exc:
        parser.error(str(exc))
    install()
    result = run(measure(args, scenarios))
    if args.json is not None:
        keep(result, args.json)
    print(text(result))
    return 0 if result["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
