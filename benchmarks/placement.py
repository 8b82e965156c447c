"""The map of a large installation: how long a decision takes, and how many shards it moves.

Run as ``python -m benchmarks.placement``. It places shards on 10,000 hosts, then lets hosts go and come,
and compares what moved with the least that any balanced placement could have moved. Then it gives 10 million
users their shards and shows how evenly they fall on hosts. Nothing is started; it uses one core for a minute.

``--json FILE`` keeps the figures, ``--small`` is a tenth of everything, in seconds.
"""

import argparse
import json
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from cluster.control.shard_placement import moves, place
from roost.ids import shard_of

HOSTS: Final = 10_000
USERS: Final = 10_000_000
SHARDS: Final = (65_536, 1_000_000)
_SEED: Final = 1

Change = Callable[[list[str], random.Random], list[str]]


def _one_lost(hosts: list[str], rng: random.Random) -> list[str]:
    lost = rng.choice(hosts)
    return [each for each in hosts if each != lost]


def _tenth_lost(hosts: list[str], rng: random.Random) -> list[str]:
    return rng.sample(hosts, len(hosts) * 9 // 10)


def _one_more(hosts: list[str], rng: random.Random) -> list[str]:
    return [*hosts, f"new-{rng.randrange(10**9)}"]


def _tenth_more(hosts: list[str], rng: random.Random) -> list[str]:
    return [*hosts, *(f"new-{rng.randrange(10**9)}-{each}" for each in range(len(hosts) // 10))]


CHANGES: Final[tuple[tuple[str, Change], ...]] = (
    ("one host lost", _one_lost),
    ("one host more", _one_more),
    ("a tenth of the hosts lost", _tenth_lost),
    ("a tenth more hosts", _tenth_more),
)


def least(before: Sequence[str], hosts: Sequence[str]) -> int:
    """Return the fewest moves after which every host has the floor or the ceiling."""
    floor, more = divmod(len(before), len(hosts))
    counts = Counter(before)
    held = sorted((counts[host] for host in hosts), reverse=True)
    return len(before) - sum(min(load, floor + (rank < more)) for rank, load in enumerate(held))


def decide(shards: int, hosts: int) -> list[dict[str, Any]]:
    """Place, then change the hosts a few times; one row for each decision."""
    rng = random.Random(_SEED)
    living = [f"host-{number}" for number in range(1, hosts + 1)]
    owners: tuple[str, ...] = ("",) * shards
    rows = []
    for what, change in (("the first map", None), *CHANGES):
        living = living if change is None else change(living, rng)
        must = least(owners, living)
        began = time.perf_counter()
        following = place(owners, living)
        took_s = time.perf_counter() - began
        counts = Counter(following)
        loads = [counts[host] for host in living]
        rows.append(
            {
                "shards": shards,
                "hosts": len(living),
                "what": what,
                "seconds": round(took_s, 3),
                "moved": moves(owners, following),
                "must": must,
                "least_held": min(loads),
                "most_held": max(loads),
            }
        )
        owners = following
    return rows


def spread(users: int, shards: int, hosts: int) -> dict[str, Any]:
    """Give users their shards and shards their hosts; return how many users a host has."""
    owners = place(("",) * shards, [f"host-{number}" for number in range(1, hosts + 1)])
    in_shard = Counter(shard_of(f"user-{number}", shards) for number in range(users))
    of_host: Counter[str] = Counter()
    for shard, owner in enumerate(owners):
        of_host[owner] += in_shard[shard]
    loads = sorted(of_host.values())
    return {
        "users": users,
        "shards": shards,
        "hosts": hosts,
        "mean": statistics.fmean(loads),
        "least": loads[0],
        "most": loads[-1],
    }


def text(figures: dict[str, Any]) -> str:
    """Return the tables in Markdown."""
    lines = [
        "| shards | hosts | decision | seconds | moved | had to move | shards of a host |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['shards']:,} | {row['hosts']:,} | {row['what']} | {row['seconds']:.2f} | {row['moved']:,} "
        f"| {row['must']:,} | {row['least_held']} to {row['most_held']} |"
        for row in figures["decisions"]
    ]
    lines += [
        "",
        "| users | shards | hosts | users of a host: mean | least | most |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['users']:,} | {row['shards']:,} | {row['hosts']:,} | {row['mean']:,.0f} | {row['least']:,} "
        f"| {row['most']:,} |"
        for row in figures["spread"]
    ]
    return "\n".join(lines)


def run(scale: int = 1) -> dict[str, Any]:
    """Carry out everything, divided by ``scale``."""
    hosts, shards = HOSTS // scale, [each // scale for each in SHARDS]
    return {
        "decisions": [row for each in shards for row in decide(each, hosts)],
        "spread": [spread(USERS // scale, each, hosts) for each in shards],
    }


def main() -> None:
    """Print the tables; fail if a decision moved more than it had to."""
    parser = argparse.ArgumentParser(description="Placement of a large installation.")
    parser.add_argument("--json", type=Path, help="where to keep the figures")
    parser.add_argument("--small", action="store_true", help="a tenth of everything")
    arguments = parser.parse_args()
    figures = run(10 if arguments.small else 1)
    print(text(figures))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    wrong = [row for row in figures["decisions"] if row["moved"] != row["must"]]
    if wrong:
        raise SystemExit(f"Moved more than necessary: {wrong}")


if __name__ == "__main__":
    main()
