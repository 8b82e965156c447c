"""The audit log in MongoDB: one document for each act, which is inserted once."""

from typing import Final

import msgspec

from roost.errors import Unavailable
from storage.audit_chain import Act, AuditEntry, following
from storage.mongo.database import Database
from storage.mongo.driver import ASCENDING, DESCENDING

_TRIES: Final = 50


class MongoAudit:
    """Implements ``storage.ports.Audit``."""

    def __init__(self, database: Database) -> None:
        self._entries = database["audit"]

    async def prepare(self) -> None:
        await self._entries.index([("number", ASCENDING)])

    async def append(self, act: Act, at_ms: int) -> AuditEntry:
        for _ in range(_TRIES):
            last = await self._entries.many({}, sort=[("number", DESCENDING)], limit=1)
            entry = following(msgspec.convert(last[0], AuditEntry) if last else None, act, at_ms)
            # The number is the key: of two that follow the same entry, one finds it taken.
            if await self._entries.insert({"_id": entry.number, **msgspec.structs.asdict(entry)}):
                return entry
        raise Unavailable("Too many write to the audit log at once; nothing was done. Try again.")

    async def newest(self) -> int:
        last = await self._entries.many({}, ["number"], sort=[("number", DESCENDING)], limit=1)
        return int(last[0]["number"]) if last else 0

    async def entries(self, after: int = 0, limit: int = 0) -> list[AuditEntry]:
        found = await self._entries.many(
            {"number": {"$gt": after}}, sort=[("number", ASCENDING)], limit=limit
        )
        return [msgspec.convert(each, AuditEntry) for each in found]
