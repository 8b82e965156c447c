"""The cluster's durable state: the log's, the shard map, the roster, dead letters."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from storage.cluster_rows import DeadLetter, KeptLetter, LogState, StoredRoster
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
        """Keep records that could not be handled. Idempotent; of a device's wake-ups the newest is kept."""
        ...

    async def dead_letters(self, before: str, limit: int) -> list[KeptLetter]:
        """Return those that came before this one, or the newest if it is '', newest first.

        Raises:
            RoostError: ``invalid``: there is no letter ``before``.
        """
        ...

    async def claim_dead_letter(self, letter_id: str, by: str, now_ms: int) -> KeptLetter | None:
        """Take the letter to write it back, and return it; None if there is none of this id. Atomic.

        Who gets it must call `settle_dead_letter`; if that never happens, the next one gets it half a minute
        later.

        Raises:
            RoostError: ``already_retried``: it was written back, or someone is about to.
        """
        ...

    async def settle_dead_letter(self, letter_id: str, now_ms: int, *, written: bool) -> None:
        """Record what became of a claimed letter: written back, or not, and free to be claimed again."""
        ...
