"""What a stop waits for, what it leaves unfinished, and how that is told. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from storage.records import ShardMap
from storage.topics import MAILBOX, PUSH

READ_BY: Final = {"router": MAILBOX, "pusher": PUSH}
"""What each kind of reader reads."""

STOP_S: Final = 15.0
"""How long one role's stop may take."""

ANSWER_S: Final = 5.0
"""How long one answer may take."""

_ROUND_S: Final = 4 * STOP_S + 5 * ANSWER_S + 30.0
"""What the stop may take besides the waiting: four roles, looks that nobody answers, a renewal to be over."""


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


class Unfinished(NamedTuple):
    """What of a topic is not finished.

    Attributes:
        counts: Records by shard.
        unknown: Shards of which it is not known, with the name of the reader that should.
    """

    counts: dict[int, int]
    unknown: dict[int, str]


def unfinished_in(
    role: str,
    view: ShardMap,
    writers: Sequence[Mapping[str, Any]],
    readers: Mapping[str, Mapping[str, Any]],
) -> Unfinished:
    """Return what of a role's topic is not finished.

    Args:
        role: ``router`` or ``pusher``.
        view: The newest map.
        writers: The newest status of each gateway and host.
        readers: The status of each reader that answers, by name.
    """
    counts: dict[int, int] = {}
    unknown: dict[int, str] = {}
    owners = view.routers if role == "router" else view.pushers
    for shard, owner in enumerate(owners):
        status = readers.get(owner, {})
        # A reader that has not taken the newest map yet may mean another log by its numbers.
        if status.get("map") != view.version or shard not in status["ends"]:
            unknown[shard] = owner
            continue
        written = [of.get("appended", {}).get(READ_BY[role], {}).get(shard, 0) for of in writers]
        missing = max(status["ends"][shard], *written, 0) - status["stored"][shard]
        if missing > 0:
            counts[shard] = missing
    return Unfinished(counts, unknown)


_UNFINISHED: Final = {"router": ("accepted records", "stored"), "pusher": ("wake-ups", "sent")}
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


def describe(role: str, unfinished: Unfinished) -> list[str]:
    """Return what is not finished, a sentence each."""
    what, done = _UNFINISHED[role]
    sentences = []
    if unfinished.counts:
        shards = ", ".join(f"{count} of shard {shard}" for shard, count in sorted(unfinished.counts.items()))
        sentences.append(f"{sum(unfinished.counts.values())} {what} are not {done} ({shards}).")
    if unfinished.unknown:
        shards = ", ".join(map(str, sorted(unfinished.unknown)))
        readers = ", ".join(sorted(set(unfinished.unknown.values())))
        sentences.append(
            f"How many {what} of the shards {shards} are not {done} is not known: {readers} did not say."
        )
    return sentences
