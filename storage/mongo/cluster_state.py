"""The log's state, the shard map, the roster and dead letters in MongoDB."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from storage.cluster_rows import DeadLetter, KeptLetter, LogState, StoredRoster
from storage.mongo.database import Database
from storage.mongo.dead_letters import MongoDeadLetters
from storage.shard_map import ShardMap

_MAP: Final = "map"
_PHASE: Final = "phase"
_GROWTH: Final = "growth"
_ROSTER: Final = "roster"
_SERVER: Final = "server"


class MongoClusterState:
    """Implements ``storage.ports.ClusterState``."""

    def __init__(self, database: Database) -> None:
        self._dead = database["dead"]
        self._log = database["log"]
        self._placement = database["placement"]
        self._dead_letters = MongoDeadLetters(database)

    async def prepare(self) -> None:
        """Create the indexes."""
        await self._dead_letters.prepare()

    async def log_states(self) -> dict[int, LogState]:
        rows = await self._log.many({})
        return {row["_id"]: msgspec.convert({"shard": row["_id"], **row}, LogState) for row in rows}

    async def put_log_states(self, states: Sequence[LogState]) -> None:
        changes = [({"_id": each.shard}, {"$set": _fields(each)}) for each in states]
        await self._log.bulk(changes)

    async def raise_stored(self, base: int, stored: Mapping[int, int]) -> None:
        changes = [
            ({"_id": shard, "base": base}, {"$max": {"stored": upto}}) for shard, upto in stored.items()
        ]
        await self._log.bulk(changes, upsert=False)

    async def shard_map(self) -> ShardMap | None:
        found = await self._placement.one({"_id": _MAP})
        return msgspec.convert(found, ShardMap) if found else None

    async def put_shard_map(self, shard_map: ShardMap) -> bool:
        fields = msgspec.to_builtins(shard_map)
        del fields["bases"], fields["pushes"]
        before = {"_id": _MAP, "version": shard_map.version - 1}
        if await self._placement.update(before, {"$set": fields}):
            return True
        return await self._placement.insert({"_id": _MAP, **fields})

    async def roster(self) -> StoredRoster | None:
        found = await self._placement.one({"_id": _ROSTER})
        return msgspec.convert(found, StoredRoster) if found else None

    async def put_roster(self, roster: StoredRoster) -> None:
        fields = msgspec.to_builtins(roster)
        await self._placement.update({"_id": _ROSTER}, {"$set": fields}, upsert=True)

    async def phase(self) -> str:
        found = await self._placement.one({"_id": _PHASE})
        return found["phase"] if found else ""

    async def put_phase(self, phase: str) -> None:
        await self._placement.update({"_id": _PHASE}, {"$set": {"phase": phase}}, upsert=True)

    async def growth(self) -> int:
        found = await self._placement.one({"_id": _GROWTH})
        return found["shards"] if found else 0

    async def put_growth(self, shards: int) -> None:
        await self._placement.update({"_id": _GROWTH}, {"$set": {"shards": shards}}, upsert=True)

    async def claim_server_name(self, name: str) -> str:
        if await self._placement.insert({"_id": _SERVER, "name": name}):
            return name
        found = await self._placement.one({"_id": _SERVER})
        return str(found["name"]) if found else name

    async def waiting_dead_letters(self, most: int) -> int:
        return len(await self._dead.many({"retried_at_ms": {"$exists": False}}, ["_id"], limit=most))

    async def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        await self._dead_letters.keep(letters)

    async def dead_letters(self, before: str, limit: int) -> list[KeptLetter]:
        return await self._dead_letters.newest(before, limit)

    async def claim_dead_letter(self, letter_id: str, by: str, now_ms: int) -> KeptLetter | None:
        return await self._dead_letters.claim(letter_id, by, now_ms)

    async def settle_dead_letter(self, letter_id: str, now_ms: int, *, written: bool) -> None:
        await self._dead_letters.settle(letter_id, now_ms, written=written)


def _fields(state: LogState) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(state)
    del fields["shard"]
    return fields
