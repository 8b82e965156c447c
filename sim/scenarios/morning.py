"""The morning."""

from collections.abc import Iterator

from sim.workload import Act, Leave, Return, Stage, together

_ASLEEP = 0.9
_WAKE_AT = 0.5
_WITHIN_S = 1.0


def story(stage: Stage) -> Iterator[Act]:
    """Nearly everyone is away while the others write to them, then all come online within a second."""
    asleep = stage.some(_ASLEEP)
    awake = sorted(set(stage.everyone()) - set(asleep)) or list(stage.everyone())
    dawn = stage.duration_s * _WAKE_AT
    waking = [Return(dawn + stage.random.random() * _WITHIN_S, user) for user in asleep]
    yield from together(
        [Leave(0.0, user) for user in asleep],
        stage.chat(speakers=awake, to=lambda _user: stage.random.choice(asleep), end_s=dawn),
        sorted(waking, key=lambda act: act.at_s),
        stage.chat(begin_s=dawn + _WITHIN_S),
    )
