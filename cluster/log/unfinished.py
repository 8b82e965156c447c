"""Records of a topic that its readers have not finished, by the reports of writers and readers. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from storage.shard_map import ShardMap
from storage.topics import MAILBOX, PUSH

READ_BY: Final = {"router": MAILBOX, "pusher": PUSH}
"""What each kind of reader reads."""


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
    shard_map: ShardMap,
    writers: Sequence[Mapping[str, Any]],
    readers: Mapping[str, Mapping[str, Any]],
) -> Unfinished:
    """Return what of a role's topic is not finished.

    Args:
        role: ``router`` or ``pusher``.
        shard_map: The newest map.
        writers: The newest status of each gateway and host.
        readers: The status of each reader that answers, by name.
    """
    counts: dict[int, int] = {}
    unknown: dict[int, str] = {}
    owners = shard_map.routers if role == "router" else shard_map.pushers
    for shard, owner in enumerate(owners):
        status = readers.get(owner, {})
        # A reader that has not taken the newest map yet may mean another log by its numbers.
        if status.get("map") != shard_map.version or shard not in status["ends"]:
            unknown[shard] = owner
            continue
        written = [of.get("appended", {}).get(READ_BY[role], {}).get(shard, 0) for of in writers]
        missing = max(status["ends"][shard], *written, 0) - status["stored"][shard]
        if missing > 0:
            counts[shard] = missing
    return Unfinished(counts, unknown)


def unread(
    role: str, writers: Iterable[Mapping[str, Any]], readers: Iterable[Mapping[str, Any]]
) -> dict[int, int]:
    """Return the shards whose readers are not where the writers are, with the offset they must reach.

    Args:
        role: ``router`` or ``pusher``.
        writers: The status of each gateway and host.
        readers: The status of each role of this kind.
    """
    topic = READ_BY[role]
    finished = {int(shard): at for status in readers for shard, at in status.get("stored", {}).items()}
    missing: dict[int, int] = {}
    for status in writers:
        for shard, end in status.get("appended", {}).get(topic, {}).items():
            if end > finished.get(int(shard), 0):
                missing[int(shard)] = max(end, missing.get(int(shard), 0))
    return missing


_UNFINISHED: Final = {"router": ("accepted records", "stored"), "pusher": ("wake-ups", "sent")}


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
            f"It is not known how many {what} of the shards {shards} are not {done}: {readers} did not say."
        )
    return sentences
