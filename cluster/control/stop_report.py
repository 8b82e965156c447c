"""The time limits of a stop, and the report of what it leaves unfinished. Pure."""

from typing import Final, NamedTuple

from cluster.log.unfinished import Unfinished, describe

STOP_S: Final = 15.0
"""How long one role's stop may take."""

ANSWER_S: Final = 5.0
"""How long one answer may take."""

_ROUND_S: Final = 4 * STOP_S + 5 * ANSWER_S + 30.0
"""What the stop may take besides the waiting: four roles, looks that no one answers, a renewal to be over."""


class StopLimits(NamedTuple):
    """How long the stop waits for what is in the log to be stored.

    Attributes:
        still_s: Given up when nothing has moved for so long.
        longest_s: Given up after so long, whatever moves.
    """

    still_s: float
    longest_s: float


def stop_limits(*, kept: bool) -> StopLimits:
    """Return how long to wait: longer if what is not stored is lost with the log."""
    return StopLimits(10.0, 60.0) if kept else StopLimits(20.0, 300.0)


def bound_s(*, kept: bool) -> float:
    """Return how long the whole of a stop may take, in seconds."""
    return stop_limits(kept=kept).longest_s + _ROUND_S


_KEPT: Final = {
    "router": "The log keeps them: they are stored when Roost is started again.",
    "pusher": "The log keeps them: they are sent when Roost is started again.",
}
_LOST: Final = {
    "router": "The embedded log keeps nothing when it is stopped: they are lost.",
    "pusher": "The embedded log keeps nothing when it is stopped: the phones learn of it at their next sync.",
}


def stop_report(role: str, unfinished: Unfinished, *, kept: bool) -> list[str]:
    """Return what an operator should know of what is not finished when all stops, a sentence each."""
    fate = (_KEPT if kept else _LOST)[role]
    return [f"{sentence} {fate}" for sentence in describe(role, unfinished)]
