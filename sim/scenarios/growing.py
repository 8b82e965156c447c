"""More and more users."""

from collections.abc import Iterator

from sim.scenarios.staircase import GROWTH, STEPS
from sim.workload import Act, Leave, Return, Stage, together


def story(stage: Stage) -> Iterator[Act]:
    """More users come online step by step, each as talkative as the others: how many are too many?"""
    online = [online_at(step, stage.users) for step in range(STEPS)]
    yield from together(
        [Leave(0.0, user) for user in range(online[0], stage.users)],
        *(_step(stage, step, online[max(0, step - 1)], online[step]) for step in range(STEPS)),
    )


def online_at(step: int, users: int) -> int:
    """Return how many users are online on a step."""
    return max(2, round(users * GROWTH ** (step - STEPS + 1)))


def _step(stage: Stage, step: int, before: int, online: int) -> Iterator[Act]:
    begin_s = stage.duration_s * step / STEPS
    for user in range(before, online):
        yield Return(begin_s, user)
    those = range(online)
    yield from stage.chat(
        speakers=those,
        to=lambda _user: stage.random.choice(those),
        share=online / stage.users,
        begin_s=begin_s,
        end_s=stage.duration_s * (step + 1) / STEPS,
    )
