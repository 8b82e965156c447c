"""Plays runs of the rules: one from its seed, or from a list of steps."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import structlog
from msgspec import Struct, field

from actors.user import UserActor
from sim.deterministic.dozing import doze
from sim.deterministic.drawing import drawing
from sim.deterministic.facts import Violation
from sim.deterministic.rest import check_rest
from sim.deterministic.settling import settle
from sim.deterministic.steps import KINDS, Step, perform
from sim.deterministic.world import Plan, World

_LENGTHS = (100, 200, 300, 400)

_LONG = (300, 500)


class Outcome(Struct):
    """How a run ended.

    Attributes:
        seed: The seed.
        plan: The world's size.
        steps: What happened, in order.
        faults: How often each kind of fault struck.
        messages: How many messages were sent.
        violation: Kind and story of what does not hold, None if all does.
        digest: Hash over everything that the actors did.
    """

    seed: int
    plan: Any
    steps: list[Any] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    messages: int = 0
    violation: tuple[str, str] | None = None
    digest: str = ""


class Totals(Struct):
    """Many runs, added up.

    Attributes:
        seeds: How many runs.
        steps: How many steps before they came to rest.
        messages: How many messages were sent.
        faults: How often each kind of fault struck.
        broken: Seeds whose run broke an invariant, with its kind.
    """

    seeds: int = 0
    steps: int = 0
    messages: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    broken: dict[int, str] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Add a run."""
        self.seeds += 1
        self.steps += len(outcome.steps)
        self.messages += outcome.messages
        self.faults.update(outcome.faults)
        if outcome.violation is not None:
            self.broken[outcome.seed] = outcome.violation[0]

    def merge(self, other: "Totals") -> None:
        """Add other totals."""
        self.seeds += other.seeds
        self.steps += other.steps
        self.messages += other.messages
        self.faults.update(other.faults)
        self.broken.update(other.broken)


@contextmanager
def silence() -> Iterator[None]:
    """Let the rules' own log lines go nowhere meanwhile: a run makes thousands."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


def plan_of(rng: Random, *, small: bool = False) -> Plan:
    """Draw the size of a world. A small one has few people, so that some mailboxes become full."""
    shards, people = rng.choice((1, 1, 2)), rng.randint(2, 3 if small else 5)
    return Plan(shards, tuple(rng.choice((1, 1, 2)) for _ in range(people)), small)


def play(seed: int, actor: type[UserActor] = UserActor, *, small: bool = False) -> Outcome:
    """Play the run of a seed, in a world that keeps much or in a small one."""
    rng = Random(seed)  # noqa: S311 -- a run is to be repeated, not to be secret
    outcome = Outcome(seed, plan_of(rng, small=small))
    lengths = _LONG if small else _LENGTHS
    steps: Callable[[World], Iterator[Step]] = drawing(rng, KINDS, lengths, _drawn)
    return _run(outcome, actor, steps)


def _drawn(world: World, rng: Random, name: str) -> Step | None:
    what = KINDS[name].draw(world, rng)
    return None if what is None else (name, *what)


def replay(seed: int, plan: Plan, steps: Iterable[Step], actor: type[UserActor] = UserActor) -> Outcome:
    """Play exactly these steps."""
    return _run(Outcome(seed, plan), actor, lambda _: steps)


def _run(outcome: Outcome, actor: type[UserActor], steps: Callable[[World], Iterable[Step]]) -> Outcome:
    with silence():
        world = World(outcome.plan, actor)
        try:
            for step in steps(world):
                outcome.steps.append(step)
                if perform(world, step) and KINDS[step[0]].fault:
                    outcome.faults[step[0]] += 1
            if outcome.seed % 2:
                doze(world)
            settle(world)
            check_rest(world.truth, world.now_ms)
        except Violation as exc:
            outcome.violation = (exc.kind, str(exc))
        except Exception as exc:  # noqa: BLE001 -- whatever the rules raise is what was looked for
            outcome.violation = (type(exc).__name__, f"the rules raised {exc!r}")
    outcome.messages = len(world.truth.messages)
    outcome.digest = world.digest
    return outcome
