"""What is not kept."""

from collections.abc import Iterator
from typing import Final

from sim.workload import Act, Erase, Export, Stage, together

_FORGOTTEN: Final = 0.1
_FORGOTTEN_FROM_TO: Final = (0.1, 0.75)
_SHORTLY_AWAY: Final = 0.1
_SHORTLY_FROM_TO: Final = (0.35, 0.5)
_LEAVING: Final = 0.06
_LEAVING_FROM_TO: Final = (0.3, 0.5)
_EXPORTING: Final = 0.1
_EXPORT_AT: Final = 0.6
_TO_THOSE_AWAY: Final = 0.4
_DISAPPEARING: Final = 0.2
_DISAPPEARS_AFTER: Final = 0.1
"""Parts of the users, of the run and of the rate."""


def story(stage: Stage) -> Iterator[Act]:
    """Some are away for longer than devices are remembered, some leave for good, some messages disappear."""
    forgotten, shortly, leaving = _apart(stage, _FORGOTTEN, _SHORTLY_AWAY, _LEAVING)
    away = [*forgotten, *shortly, *leaving]
    length = stage.duration_s
    expires_s = max(1, round(_DISAPPEARS_AFTER * length))
    end_s = _FORGOTTEN_FROM_TO[1] * length

    def to_someone_away(_user: int) -> int:
        return stage.random.choice(away)

    yield from together(
        stage.chat(share=1 - _TO_THOSE_AWAY - _DISAPPEARING),
        stage.chat(share=_DISAPPEARING, expires_s=expires_s),
        stage.chat(share=_TO_THOSE_AWAY / 2, to=to_someone_away, end_s=end_s),
        stage.chat(share=_TO_THOSE_AWAY / 2, to=to_someone_away, end_s=end_s, expires_s=expires_s),
        *(stage.away(user, *(part * length for part in _FORGOTTEN_FROM_TO)) for user in forgotten),
        *(stage.away(user, *(part * length for part in _SHORTLY_FROM_TO)) for user in shortly),
        *(_leaves(stage, user) for user in leaving),
        [Export(_EXPORT_AT * length, user) for user in stage.some(_EXPORTING)],
    )


def _leaves(stage: Stage, user: int) -> list[Act]:
    """Return that a user is away while others write, and deletes the account without having read it."""
    begin_s, end_s = (part * stage.duration_s for part in _LEAVING_FROM_TO)
    leave, _ = stage.away(user, begin_s, end_s)
    return [leave, Erase(end_s, user)]


def _apart(stage: Stage, *shares: float) -> list[list[int]]:
    """Return such shares of the users, at least one of them each, no one in two of them."""
    drawn = stage.random.sample(range(stage.users), stage.users)
    groups = []
    for share in shares:
        count = max(1, round(share * stage.users))
        groups.append(drawn[:count])
        del drawn[:count]
    return groups
