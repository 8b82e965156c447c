"""Drawing of a run's steps from its seed, whatever kind of run it is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final, Protocol, TypeVar

_FAULTY: Final = 0.4
"""How likely each kind of fault is to be in a run at all."""

_HABITS: Final = (0.3, 1.0, 1.0, 3.0)
"""Every run has its own habits, so that some are seen that no average run has."""

W = TypeVar("W")


class Kind(Protocol):
    """What is to be known of a kind of step."""

    @property
    def weight(self) -> float:
        """How often it is drawn, against the others."""
        ...

    @property
    def fault(self) -> bool:
        """Only some runs have it."""
        ...


def drawing(
    rng: Random,
    kinds: Mapping[str, Kind],
    lengths: Sequence[int],
    draw: Callable[[W, Random, str], tuple[Any, ...] | None],
) -> Callable[[W], Iterator[tuple[Any, ...]]]:
    """Draw which kinds a run has, how often, and its length; returns what draws its steps in a world.

    Args:
        rng: Of the seed.
        kinds: All there are, by name.
        lengths: One is chosen.
        draw: Draws one step of a kind; None if there is none to make now.
    """
    faults = {name for name, kind in kinds.items() if kind.fault and rng.random() < _FAULTY}
    names = [name for name, kind in kinds.items() if not kind.fault or name in faults]
    weights = [kinds[name].weight * rng.choice(_HABITS) for name in names]
    length = rng.choice(lengths)

    def steps(world: W) -> Iterator[tuple[Any, ...]]:
        made = 0
        while made < length:
            [name] = rng.choices(names, weights)
            step = draw(world, rng, name)
            if step is not None:
                made += 1
                yield step

    return steps
