"""Adding shards: which numbers are possible, and what operators are told. Pure.

A user's shard is a hash modulo the number of shards. When that is doubled, the users of shard *s* are in
*s* or in *s* + the old number, and in no third: a shard's users are divided, never mixed with another's.
Nothing that is stored names a shard, and the numbers of those who move stay in order if the new shard
begins above everything that was given out.
"""

from collections.abc import Sequence
from typing import Final

from cluster.log.unfinished import Unfinished, describe
from cluster.settings import Settings

MOST: Final = 4_096
"""Of one installation; `docs/growing.md` has the reasons."""


CANNOT: Final = (
    "This broker cannot add partitions to a topic. The embedded one that can is made by `make setup`, or "
    "python broker/build.py; then stop Roost, start it again, and ask again."
)


class NotGrown(Exception):  # noqa: N818 -- named for what happened
    """Nothing was changed; the sentence says why and what to do."""


def refusal(present: int, wanted: int) -> str:
    """Return why there cannot be so many shards, '' if there can."""
    next_ones = [present << times for times in range(1, MOST.bit_length()) if present << times <= MOST]
    if wanted in (present, *next_ones):
        return ""
    there_can_be = (
        f"There can be {_listed(next_ones)}: roost scale shards={next_ones[0]}."
        if next_ones
        else f"This installation has the most there can be below {MOST:,}."
    )
    if wanted < present:
        return f"There are {present} shards, and there cannot be fewer again. {there_can_be}"
    if wanted > MOST:
        return f"There are {present} shards, and {MOST:,} are the most. {there_can_be}"
    return (
        f"From {present} shards there is no way to {wanted}: the number can be doubled, once or several "
        f"times. {there_can_be}"
    )


def more_for(roles: int, shards: int) -> int:
    """Return the next number of shards with which each of so many roles has one; 0 if there is none."""
    while shards < roles:
        shards *= 2
    return shards if shards <= MOST else 0


def shards_told(settings: Settings, shards: int) -> list[str]:
    """Return what who starts the system should know of its number of shards, a sentence each."""
    told = []
    if settings.shards not in (None, shards):
        told.append(
            f"There are {shards} shards: ROOST_SHARDS={settings.shards} counts at the first start only. "
            "More of them: roost scale shards=N."
        )
    for role, count in (("hosts", settings.cluster.hosts), ("routers", settings.cluster.routers)):
        if count > shards:
            told.append(
                f"With {shards} shards, {count - shards} of the {count} {role} have nothing to do. "
                f"More shards: roost scale shards={more_for(count, shards)}."
            )
    return told


def not_stored(within_s: float, reason: str, left: dict[int, int]) -> str:
    """Return why no shards were added: not everything in the log could be stored.

    Args:
        within_s: How long it was waited for.
        reason: Why.
        left: Records that are not stored, by shard.
    """
    sentences = [
        f"Nothing was changed: not everything in the log was stored within {within_s:g} s ({reason}).",
        *describe("router", Unfinished(left, {})),
        "See `roost status`: are all roles running, is the store slow? Then ask again.",
    ]
    return " ".join(sentences)


def _listed(numbers: Sequence[int]) -> str:
    shown = [f"{each:,}" for each in numbers[:3]]
    return ", ".join(shown[:-1]) + f" or {shown[-1]}" if len(shown) > 1 else shown[0]
