"""The celebrity."""

from collections.abc import Iterator

from sim.workload import Act, Stage, together

_STAR = 0
_ANSWERS = 0.1


def story(stage: Stage) -> Iterator[Act]:
    """Everyone writes to one user, who answers now and then: one mailbox takes the whole load."""
    fans = list(stage.everyone())[1:] or [_STAR]
    yield from together(
        stage.chat(speakers=fans, to=lambda _user: _STAR, share=1 - _ANSWERS),
        stage.chat(speakers=[_STAR], to=lambda _user: stage.random.choice(fans), share=_ANSWERS),
    )
