"""The line of events in MongoDB: one document for each event, which is inserted once."""

from collections.abc import Sequence
from typing import Any

import msgspec

from storage.event_records import Event
from storage.mongo.database import Database
from storage.mongo.driver import ASCENDING, DESCENDING


class MongoEvents:
    """Implements ``storage.ports.Events``."""

    def __init__(self, database: Database) -> None:
        self._events = database["events"]

    async def prepare(self) -> None:
        await self._events.index([("n", ASCENDING)])

    async def keep(self, events: Sequence[Event]) -> None:
        if events:
            await self._events.insert_missing([{"_id": each.n, **_fields(each)} for each in events])

    async def newest(self, limit: int, before: int = 0, after: int = 0) -> list[Event]:
        where = {"$gt": after} | ({"$lt": before} if before else {})
        found = await self._events.many({"n": where}, sort=[("n", DESCENDING)], limit=limit)
        return [msgspec.convert(each, Event) for each in found]

    async def trim(self, most: int, before: int) -> None:
        await self._events.delete({"n": {"$lt": before}})
        if (beyond := await self._events.count() - most) > 0:
            oldest = await self._events.many({}, ["n"], sort=[("n", ASCENDING)], limit=beyond)
            await self._events.delete({"n": {"$lte": oldest[-1]["n"]}})


def _fields(event: Event) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(event)
    fields.pop("stored", None)  # it is, once it is here
    return fields
