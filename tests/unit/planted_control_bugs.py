"""The control plane with one rule broken each, for the deterministic runs to find."""

from collections.abc import Collection, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from cluster.consumers.consumer import Consumer
from cluster.control.log_clients import RolesAsLogClients
from cluster.log.topics import LogTopics
from cluster.operations.roster import Roster
from cluster.role_shell.fence import Fence
from storage.cluster_rows import LogState
from storage.shard_map import ShardMap


def deletes_what_is_not_stored(patch: pytest.MonkeyPatch) -> None:
    """The log is made again before all of it is stored."""

    async def caught_up(*_: Any) -> bool:
        return True

    patch.setattr(RolesAsLogClients, "caught_up", caught_up)


def gives_numbers_twice(patch: pytest.MonkeyPatch) -> None:
    """A log that is made again begins with the base of the one before."""

    def same(topics: LogTopics, shard: int, start: int = 0) -> LogState:
        return replace(topics.states[shard], stored=start)

    patch.setattr(LogTopics, "_raised", same)


def commits_what_is_only_begun(patch: pytest.MonkeyPatch) -> None:
    """A wake-up counts as finished when it is read."""
    commit = Consumer.commit

    async def hasty(consumer: Consumer[Any]) -> None:
        for each in consumer.shards.values():
            each.finished = each.next
        await commit(consumer)

    patch.setattr(Consumer, "commit", hasty)


def forgets_who_is_going(patch: pytest.MonkeyPatch) -> None:
    """A change of the roles is not written down before it begins."""

    async def begin_change(roster: Roster, come: Sequence[str], go: Collection[str]) -> None:
        names = (*roster.stored.names, *(name for name in come if name not in roster.stored.names))
        roster.stored = replace(roster.stored, names=names, coming=tuple(come), going=tuple(go))

    patch.setattr(Roster, "begin_change", begin_change)


def never_asks_the_store(patch: pytest.MonkeyPatch) -> None:
    """A role that was cut off goes on by the map that it has."""

    async def certain(fence: Fence, _shard_map: ShardMap) -> None:
        await fence._certain()

    patch.setattr(Fence, "_ask", certain)


BUGS = (
    deletes_what_is_not_stored,
    gives_numbers_twice,
    commits_what_is_only_begun,
    forgets_who_is_going,
    never_asks_the_store,
)
