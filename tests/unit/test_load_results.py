"""The benchmarks' suite by name, and what they make of figures."""

import os
from typing import Any

import pytest

from benchmarks.figures import percentiles
from benchmarks.ledger import VIOLATIONS
from benchmarks.page import page
from benchmarks.peers import compared, text
from benchmarks.run import judge
from benchmarks.scenarios import SUITE, chosen
from benchmarks.table import table
from benchmarks.usage import CLIENT, Cost, Usage


def names(wanted: str) -> list[str]:
    return [each.name for each in chosen(wanted)]


def row(**changes: Any) -> dict[str, Any]:
    """Return a scenario's row as a run leaves it."""
    return {
        "name": "ring-50",
        "title": "ring, 50 outstanding",
        "accepted_per_s": 1000,
        "delivered_per_s": 990,
        "send_accept_ms": {"p50": 1.5, "p99": 9.0},
        "send_deliver_ms": {"p50": 2.5, "p99": 11.0},
        "cpu_us_of_servers": 400,
        "cpu_us": {"gateway": 300, "store": 100},
        "cores_of_servers": 0.4,
        "rss_mb_of_servers": 1500,
        "pss_mb_of_servers": 1100,
        "refused": 0,
        "settled": True,
        "stop": 0,
        "loads": [],
        "ledger": dict.fromkeys(VIOLATIONS, 0),
        "holds": True,
        "series": {"accepted": [10, 11], "delivered": [9, 12], "p50_ms": [2.0, None], "p99_ms": [3.0, 4.0]},
    } | changes


def result(*rows: dict[str, Any]) -> dict[str, Any]:
    return {
        "scenarios": list(rows),
        "systems": [{"ready_s": 5.0, "stop": 0}],
        "holds": all(each["holds"] for each in rows),
        "environment": {"cores": 2},
        "command": "python -m benchmarks.run --only '<b>'",
        "date": "2026-11-28",
    }


def test_no_names_are_the_whole_suite() -> None:
    assert chosen("") == list(SUITE)
    assert len({each.name for each in SUITE}) == len(SUITE)


def test_scenarios_are_chosen_by_name_family_and_number() -> None:
    assert names("rate-800,ring-1000") == ["rate-800", "ring-1000"]
    assert names("all-*") == ["all-50", "all-200", "all-1000"]
    assert names("rate-816,ring-7") == ["rate-816", "ring-7"]


@pytest.mark.parametrize("name", ["rings", "ring-", "ring-0", "offline-5", "overload-3x", "wave-*"])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(ValueError, match="there are idle"):
        chosen(name)


def test_percentiles() -> None:
    assert percentiles([]) == {}
    assert percentiles([7.0]) == {"p50": 7.0, "p95": 7.0, "p99": 7.0, "max": 7.0}
    assert percentiles([float(each) for each in range(101)]) == {"p50": 50, "p95": 95, "p99": 99, "max": 100}


class Judged:
    """Stands for a load whose ledger found something."""

    def __init__(self, lost: int) -> None:
        self.ledger = self
        self.sent = self.accepted = self.delivered = self.unanswered = 1
        self.audited, self.examples = True, {}
        self._lost = lost

    def violations(self) -> dict[str, int]:
        return dict.fromkeys(VIOLATIONS, 0) | {"lost": self._lost}


@pytest.mark.parametrize(
    ("loads", "changes", "holds"),
    [
        ([Judged(0), Judged(0)], {}, True),
        ([Judged(0), Judged(2)], {}, False),
        ([], {"failure": "TimeoutError"}, False),
        ([Judged(0)], {"settled": False}, False),
        ([], {}, True),
    ],
)
def test_a_scenario_holds_if_every_ledger_does_and_it_came_to_an_end(
    loads: list[Judged], changes: dict[str, Any], holds: object
) -> None:
    found = {"name": "ring-50"} | changes
    judge(found, loads)
    assert found["holds"] is holds
    assert sum(found["ledger"].values()) == sum(each._lost for each in loads)


def test_the_table_shows_what_was_broken() -> None:
    shown = table(result(row(), row(ledger={"lost": 3}, holds=False, loads=[{"examples": {"lost": ["7"]}}])))
    assert "| 1,000" in shown
    assert "2.5/11" in shown
    assert "3 lost" in shown
    assert "The ledger is violated" in shown


def test_the_page_is_self_contained_and_escapes() -> None:
    shown = page(result(row()))
    assert "<svg" in shown
    assert "--only &#x27;&lt;b&gt;" in shown
    assert "<script" not in shown
    assert "http://" not in shown


def test_ratios_are_of_medians_over_the_rounds() -> None:
    turns = {
        "roost": [[row(delivered_per_s=each)] for each in (900, 3000, 1000)],
        "ejabberd": [[row(delivered_per_s=each)] for each in (500, 400, 600)],
    }
    found = compared(turns)
    assert found[0] == {
        "scenario": "ring-50", "figure": "delivered/s", "roost": 1000, "ejabberd": 500, "ratio": 2.0,
    }  # fmt: skip
    assert "| ring-50 | delivered/s | 1,000 | 500 | 2.0 |" in text(turns | {"compared": found})


def test_a_round_that_failed_is_left_out_of_the_medians() -> None:
    turns = {
        "roost": [[row(delivered_per_s=900)], [{"name": "ring-50", "failure": "TimeoutError"}]],
        "ejabberd": [[row(delivered_per_s=450)]],
    }
    assert compared(turns)[0]["ratio"] == 2.0


async def test_usage_measures_this_process_by_its_role() -> None:
    async def find() -> dict[int, str]:
        return {os.getpid(): "host"}

    usage = Usage(find)
    await usage.discover()
    usage.begin()
    sum(range(3_000_000))
    cost = usage.end()
    assert cost.cpu_s["host"] > 0
    assert 5 < cost.pss_mb["host"] <= cost.rss_mb["host"] * 1.05


def test_cost_of_a_message_leaves_out_the_generator() -> None:
    cost = Cost(2.0, {"host": 1.0, "store": 0.5, CLIENT: 9.0}, {"host": 100.0, CLIENT: 50.0}, {"host": 80.0})
    found = cost.figures(1000)
    assert found["cpu_us_of_servers"] == 1500
    assert found["cores_of_servers"] == 0.75
    assert (found["rss_mb_of_servers"], found["pss_mb_of_servers"]) == (100, 80)
