"""Steady chat."""

from collections.abc import Iterator

from sim.workload import Act, Stage


def story(stage: Stage) -> Iterator[Act]:
    """Everyone is online and writes at an even rate, most of it to few contacts."""
    yield from stage.chat()
