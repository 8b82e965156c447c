"""Long away."""

from collections.abc import Iterator

from sim.workload import Act, Stage, together

_AWAY = 0.02
_BACK_AT = 0.8


def story(stage: Stage) -> Iterator[Act]:
    """A few are away for most of the run; everyone writes to them, and they find full mailboxes."""
    gone = stage.some(_AWAY)
    there = sorted(set(stage.everyone()) - set(gone)) or list(stage.everyone())
    back = stage.duration_s * _BACK_AT
    yield from together(
        stage.chat(speakers=there, to=lambda _user: stage.random.choice(gone), end_s=back),
        stage.chat(begin_s=back),
        *(stage.away(user, 0.0, back) for user in gone),
    )
