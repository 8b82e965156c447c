"""Plays one run: from its seed, or from a list of steps."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from random import Random

import structlog
from msgspec import Struct, field

from actors.user import UserActor
from sim.seeds.invariants import Violation
from sim.seeds.settling import settle
from sim.seeds.steps import KINDS, Step, perform
from sim.seeds.world import Plan, World

_LENGTHS = (100, 200, 300, 400)
_FAULTY = 0.4


class Outcome(Struct):
    """How a run ended.

    Attributes:
        seed: The seed.
        plan: The world's size.
        steps: What happened, in order.
        faults: How often each kind of fault struck.
        violation: What does not hold, None if all does.
        digest: Hash over everything that the actors did.
    """

    seed: int
    plan: Plan
    steps: list[Step] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    violation: tuple[str, str] | None = None
    digest: str = ""


@contextmanager
def silence() -> Iterator[None]:
    """Let the rules' own log lines go nowhere meanwhile: a run makes thousands."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


def plan_of(rng: Random) -> Plan:
    """Draw the size of a world."""
    return Plan(rng.choice((1, 1, 2)), tuple(rng.choice((1, 1, 2)) for _ in range(rng.randint(2, 4))))


def play(seed: int, actor: type[UserActor] = UserActor) -> Outcome:
    """Play the run of a seed."""
    rng = Random(seed)  # noqa: S311 -- a run is to be repeated, not to be secret
    outcome = Outcome(seed, plan_of(rng))
    faults = {name for name, kind in KINDS.items() if kind.fault and rng.random() < _FAULTY}
    names = [name for name, kind in KINDS.items() if not kind.fault or name in faults]
    weights = [KINDS[name].weight for name in names]
    length = rng.choice(_LENGTHS)

    def steps(world: World) -> Iterator[Step]:
        made = 0
        while made < length:
            [name] = rng.choices(names, weights)
            drawn = KINDS[name].draw(world, rng)
            if drawn is not None:
                made += 1
                yield (name, *drawn)

    world = World(outcome.plan, actor)
    return _finish(outcome, world, steps(world))


def replay(seed: int, plan: Plan, steps: Iterable[Step], actor: type[UserActor] = UserActor) -> Outcome:
    """Play exactly these steps."""
    return _finish(Outcome(seed, plan), World(plan, actor), steps)


def _finish(outcome: Outcome, world: World, steps: Iterable[Step]) -> Outcome:
    try:
        for step in steps:
            outcome.steps.append(step)
            if perform(world, step) and KINDS[step[0]].fault:
                outcome.faults[step[0]] += 1
        settle(world)
        world.truth.check_rest()
    except Violation as exc:
        outcome.violation = (exc.kind, str(exc))
    outcome.digest = world.digest
    return outcome
