"""The cluster's durable state: the log's, the shard map, the roster, dead letters."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from storage.records import DeadLetter, LogState, StoredRoster
from storage.shard_map import ShardMap


class ClusterState(Protocol):
    """What the coordinator and the routers keep about the log and the map."""

    async def log_states(self) -> dict[int, LogState]:
        """Return every shard's state; empty before the first start."""
        ...

    async def put_log_states(self, states: Sequence[LogState]) -> None:
        """Insert or replace. Only the coordinator calls it, with writers paused."""
        ...

    async def raise_stored(self, base: int, stored: Mapping[int, int]) -> None:
        """Raise each shard's ``stored``; ignored for a shard whose base is another one."""
        ...

    async def shard_map(self) -> ShardMap | None:
        """Return the newest map."""
        ...

    async def put_shard_map(self, shard_map: ShardMap) -> bool:
        """Store the map if its version is exactly one above the stored one (or the first); else False."""
        ...

    async def roster(self) -> StoredRoster | None:
        """Return which roles there are to be; None before the first start."""
        ...

    async def put_roster(self, roster: StoredRoster) -> None:
        """Insert or replace. Only the coordinator calls it."""
        ...

    async def phase(self) -> str:
        """Return what the coordinator was doing with the log: '' or 'recreating'."""
        ...

    async def put_phase(self, phase: str) -> None:
        """Record what the coordinator is about to do with the log."""
        ...

    async def growth(self) -> int:
        """Return the number of shards that is being made, 0 while none is."""
        ...

    async def put_growth(self, shards: int) -> None:
        """Record that so many shards are about to be made; 0: they are there."""
        ...

    async def claim_server_name(self, name: str) -> str:
        """Return the server name that this data belongs to: the first that was ever claimed. Atomic."""
        ...

    async def waiting_dead_letters(self, most: int) -> int:
        """Return how many dead letters wait for an operator; ``most`` if there are more."""
        ...

    async def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep records that could not be handled."""
        ...
