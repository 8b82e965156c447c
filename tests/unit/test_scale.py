"""The simulation of a large installation, made small."""

from benchmarks import placement


def test_no_decision_moves_more_than_it_must() -> None:
    figures = placement.run(scale=100)
    assert [(row["what"], row["moved"]) for row in figures["decisions"]] == [
        (row["what"], row["must"]) for row in figures["decisions"]
    ]
    assert all(row["most_held"] - row["least_held"] <= 1 for row in figures["decisions"])
    assert {row["hosts"] for row in figures["decisions"]} == {100, 99, 90}
    for row in figures["spread"]:
        assert row["least"] < row["mean"] == row["users"] / row["hosts"] < row["most"]
