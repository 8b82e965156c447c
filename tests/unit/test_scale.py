"""The figures of `docs/scale.md` and `docs/growing.md` against the scripts that print them."""

import json
import math
from pathlib import Path

import pytest

from benchmarks import placement, scale_arithmetic

ROOT = Path(__file__).parents[2]


def test_no_decision_moves_more_than_it_must() -> None:
    figures = placement.run(scale=100)
    assert [(row["what"], row["moved"]) for row in figures["decisions"]] == [
        (row["what"], row["must"]) for row in figures["decisions"]
    ]
    assert all(row["most_held"] - row["least_held"] <= 1 for row in figures["decisions"])
    assert {row["hosts"] for row in figures["decisions"]} == {100, 99, 90}
    for row in figures["spread"]:
        assert row["least"] < row["mean"] == row["users"] / row["hosts"] < row["most"]


def block(page: str, name: str) -> str:
    """Return what stands between the marks of this name in a page of the docs."""
    text = (ROOT / "docs" / page).read_text()
    return text.split(f"<!-- {name} -->\n\n")[1].split(f"\n\n<!-- /{name} -->")[0]


def test_the_text_shows_what_the_script_prints() -> None:
    assert block("scale.md", "arithmetic") == scale_arithmetic.tables(), (
        "run: python -m benchmarks.scale_arithmetic"
    )


def test_the_text_shows_the_simulation_that_is_kept() -> None:
    kept = ROOT / "benchmarks" / "results" / "2026-11-23-placement.json"
    assert block("growing.md", "placement") == placement.text(json.loads(kept.read_text()))


@pytest.mark.parametrize("users", [1_000_000, 1_000_000_000])
def test_the_arithmetic_agrees_with_a_second_derivation(users: int) -> None:
    need = scale_arithmetic.Need(users)
    # A user is online a quarter of the peak, and sends 40 messages a day, three times as many at the peak.
    assert need.peak == pytest.approx(users * 40 * 3 / 86_400)
    assert need.gateways == max(2, math.ceil(users / 4 / 100_000))
    assert need.hosts == max(2, math.ceil(users / 4 / 200_000))
    # A month of entries, one copy.
    assert need.store_tb == pytest.approx(users * 40 * 30 * scale_arithmetic.sizes_of_a_message()[1] / 1e12)
    assert need.memory_gb > users / 4 * 27.1e3 / 1e9
    # A cell must carry its share of roles and of messages.
    assert need.roles <= need.cells * scale_arithmetic.roles_of_a_coordinator(2.0)
    assert need.peak <= need.cells * scale_arithmetic.redis_messages_s()
