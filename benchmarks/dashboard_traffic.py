"""What pages of operators cost the messages: scenarios with and without them, in turn on one system."""

from statistics import median
from typing import Any, Final

from benchmarks.bench import Bench
from benchmarks.dashboard_pages import following
from benchmarks.run import judge, one
from benchmarks.scenarios import Scenario

_FIGURES: Final = {
    "delivered_per_s": lambda row: row["delivered_per_s"],
    "accept_p50_ms": lambda row: row["send_accept_ms"]["p50"],
    "accept_p99_ms": lambda row: row["send_accept_ms"]["p99"],
    "deliver_p50_ms": lambda row: row["send_deliver_ms"]["p50"],
    "deliver_p99_ms": lambda row: row["send_deliver_ms"]["p99"],
    "cpu_us_of_servers": lambda row: row["cpu_us_of_servers"],
}


async def beside_traffic(
    bench: Bench, token: str, scenario: Scenario, readers: int, rounds: int
) -> dict[str, Any]:
    """Run a scenario with and without pages in turn, the first of each round in turn as well.

    Returns:
        The figures of each run, their medians, and the medians' ratios: with pages by without.

    Raises:
        RuntimeError: A ledger did not hold, or nothing was accepted, so the figures mean nothing.
    """
    await one(bench, scenario)  # the first one makes the accounts, and finds nothing warm
    rows: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    for number in range(rounds):
        for pages in (False, True) if number % 2 == 0 else (True, False):
            async with following(bench.system, token, readers if pages else 0):
                row = await one(bench, scenario)
            judge(row, row.pop("loads"))
            if not row["holds"]:
                raise RuntimeError(f"The ledger of {scenario.name} does not hold: {row}")
            if not row["send_accept_ms"]:
                raise RuntimeError(f"Nothing was accepted in {scenario.name}: {row}")
            rows[pages].append({name: of(row) for name, of in _FIGURES.items()})
    bare, shown = (
        {name: median(row[name] for row in rows[pages]) for name in _FIGURES} for pages in (False, True)
    )
    return {
        "scenario": scenario.name,
        "seconds": bench.options.seconds,
        "without": rows[False],
        "with": rows[True],
        "medians_without": bare,
        "medians_with": shown,
        "ratios": {name: round(shown[name] / bare[name], 3) for name in _FIGURES},
    }
