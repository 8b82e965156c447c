"""What the sweep keeps in MongoDB: its positions, and a row for each entry that expires."""

from collections.abc import Sequence

import msgspec

from storage.mailbox_rows import Expiring, MailboxDocument
from storage.mongo.buckets import SPAN, emptied, spans
from storage.mongo.database import Database
from storage.mongo.driver import ASCENDING, Document


class MongoRetention:
    """Implements ``storage.ports.Retention``."""

    def __init__(self, database: Database) -> None:
        self._users, self._mailbox = database["users"], database["mailbox"]
        self._sweeps, self._expiring = database["sweeps"], database["expiring"]

    async def prepare(self) -> None:
        await self._expiring.index([("at", ASCENDING)])
        await self._expiring.index([("u", ASCENDING)])

    async def users_after(self, username: str, limit: int) -> list[tuple[str, str]]:
        found = await self._users.many(
            {"username": {"$gt": username}}, ["username"], sort=[("username", ASCENDING)], limit=limit
        )
        return [(each["username"], each["_id"]) for each in found]

    async def position(self, name: str) -> str:
        found = await self._sweeps.one({"_id": name})
        return "" if found is None else str(found["after"])

    async def put_position(self, name: str, username: str) -> None:
        await self._sweeps.update({"_id": name}, {"$set": {"after": username}}, upsert=True)

    async def note(self, documents: Sequence[MailboxDocument]) -> None:
        if documents:
            await self._expiring.insert_missing(
                [_row(Expiring(each.user, each.seq, each.expires_at_ms)) for each in documents]
            )

    async def expired(self, now_ms: int, limit: int) -> list[Expiring]:
        found = await self._expiring.many({"at": {"$lte": now_ms}}, sort=[("at", ASCENDING)], limit=limit)
        return [msgspec.convert([each["u"], each["s"], each["at"]], Expiring) for each in found]

    async def empty(self, user_id: str, seq: int) -> None:
        # A bucket's last entry is less than `SPAN` above its first; after a replay several may hold an entry.
        near = {"u": user_id, "s": {"$gte": seq, "$lt": seq + SPAN}}
        for document in await self._mailbox.many(near):
            content = emptied(document, seq) if spans(document, seq) else None
            if content is not None:
                await self._mailbox.update({"_id": document["_id"]}, {"$set": content})

    async def forget(self, rows: Sequence[Expiring]) -> None:
        await self._expiring.delete({"_id": {"$in": [_row(each)["_id"] for each in rows]}})


def _row(row: Expiring) -> Document:
    return {"_id": f"{row.user}|{row.seq:014x}", "u": row.user, "s": row.seq, "at": row.expires_at_ms}
