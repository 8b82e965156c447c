"""Erasures in MongoDB, and the deletion of what the other collections have of a user.

Everything is found by an index, but dead letters, of which there are few: they are read one by one.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Final

import msgspec

from roost.ids import SEQ_LIMIT
from storage.account_rows import Erasure
from storage.keyring import KeyRing
from storage.mongo.database import Database
from storage.mongo.driver import ASCENDING, Document

_AT_ONCE: Final = 500
"""Documents deleted in one write: an embedded store does nothing else meanwhile."""

_NAME: Final = "erased_username"


class MongoErasures:
    """Implements ``storage.ports.Erasures``."""

    def __init__(self, database: Database, keyring: KeyRing) -> None:
        self._of = database.__getitem__
        self._rows = database["erasures"]
        self._ring = keyring

    async def prepare(self) -> None:
        await self._rows.index([("state", ASCENDING), ("due_at_ms", ASCENDING)])
        await self._rows.index([("name", ASCENDING)])
        await self._rows.index([("expires_at", ASCENDING)], ttl_s=0)

    async def ask(self, erasure: Erasure) -> Erasure:
        document = msgspec.structs.asdict(erasure)
        document["_id"] = document.pop("user")
        if not await self._rows.insert(document):
            waiting = {"_id": erasure.user, "state": "asked"}
            await self._rows.update(waiting, {"$min": {"due_at_ms": erasure.due_at_ms}})
        return await self.get(erasure.user) or erasure

    async def cancel(self, user_id: str) -> bool:
        return await self._rows.delete({"_id": user_id, "state": "asked"}) == 1

    async def get(self, user_id: str) -> Erasure | None:
        found = await self._rows.one({"_id": user_id})
        return None if found is None else _erasure(found)

    async def pending(self) -> list[Erasure]:
        found = await self._rows.many({"state": {"$in": ["asked", "erasing"]}})
        return sorted(map(_erasure, found), key=lambda each: each.due_at_ms)

    async def begin(self, user_id: str, now_ms: int) -> bool:
        found = await self.get(user_id)
        if found is not None and found.state == "asked":
            due = {"_id": user_id, "state": "asked", "due_at_ms": {"$lte": now_ms}}
            taken = {"state": "erasing", "name": self._ring.blind(_NAME, found.username)}
            await self._rows.update(due, {"$set": taken})
            found = await self.get(user_id)
        return found is not None and found.state == "erasing"

    async def erase(self, user_id: str, sessions_until_ms: int) -> int:
        deleted = 0
        for device in await self._of("devices").many({"user": user_id}, ["_id"]):
            deleted += await self._of("one_time_keys").delete({"owner": device["_id"]})
        deleted += await self._mailbox(user_id)
        for name in ("conversations", "stubs", "expiring"):
            deleted += await self._of(name).delete({"u": user_id})
        for name in ("blocks", "devices"):
            deleted += await self._of(name).delete({"user": user_id})
        deleted += await self._dead_letters(user_id)
        await self._bury_files(user_id)
        until = dt.datetime.fromtimestamp(sessions_until_ms / 1000, dt.UTC)
        await self._of("sessions").update_many(
            {"user": user_id, "expires_at": {"$gt": until}}, {"$set": {"expires_at": until}}
        )
        for name in ("cursors", "data_keys", "users"):  # the account last
            deleted += await self._of(name).delete({"_id": user_id})
        return deleted

    async def _bury_files(self, user_id: str) -> None:
        """Delete the keys of the user's files; the collector of media removes bytes and rows."""
        buried = {"$set": {"state": "gone", "expires_at_ms": 0}, "$unset": {"key": ""}}
        await self._of("blobs").update_many({"user": user_id}, buried)

    async def _mailbox(self, user_id: str) -> int:
        mailbox, deleted = self._of("mailbox"), 0
        everything = {"u": user_id, "s": {"$gt": -1, "$lt": SEQ_LIMIT}}
        while some := await mailbox.many(everything, ["s"], sort=[("s", ASCENDING)], limit=_AT_ONCE):
            upto = {"u": user_id, "s": {"$gt": -1, "$lte": some[-1]["s"]}}
            deleted += await mailbox.delete(upto)
        return deleted

    async def _dead_letters(self, user_id: str) -> int:
        dead = self._of("dead")
        letters = await dead.many({}, ["value"])
        mine = [row["_id"] for row in letters if user_id.encode() in row["value"]]
        return await dead.delete({"_id": {"$in": mine}}) if mine else 0

    async def looked(self, user_id: str, now_ms: int) -> None:
        await self._rows.update({"_id": user_id}, {"$set": {"looked_at_ms": now_ms}})

    async def finish(self, user_id: str, until_ms: int) -> None:
        kept = {
            "state": "erased",
            "username": "",
            "expires_at": dt.datetime.fromtimestamp(until_ms / 1000, dt.UTC),
        }
        await self._rows.update({"_id": user_id, "state": "erasing"}, {"$set": kept})

    async def erased(self, user_ids: Sequence[str]) -> set[str]:
        gone = {"_id": {"$in": list(user_ids)}, "state": {"$in": ["erasing", "erased"]}}
        return {found["_id"] for found in await self._rows.many(gone, ["_id"])}

    async def is_reserved(self, username: str) -> bool:
        names = self._ring.blinds(_NAME, username)
        return await self._rows.one({"name": {"$in": names}}, ["_id"]) is not None


def _erasure(found: Document) -> Erasure:
    return msgspec.convert({**found, "user": found["_id"]}, Erasure)
