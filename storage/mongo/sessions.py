"""Refresh-token families in MongoDB; tokens appear as hashes only."""

import datetime as dt

import msgspec

from storage.account_rows import TokenFamily
from storage.mongo.database import Database
from storage.mongo.driver import ASCENDING, Document


class MongoSessions:
    """Implements ``storage.ports.Sessions``."""

    def __init__(self, database: Database) -> None:
        self._families = database["sessions"]

    async def prepare(self) -> None:
        await self._families.index([("user", ASCENDING)])
        await self._families.index([("ended_at_ms", ASCENDING)])
        await self._families.index([("expires_at", ASCENDING)], ttl_s=0)

    async def add(self, session: TokenFamily) -> None:
        document = msgspec.structs.asdict(session)
        document["_id"] = document.pop("family")
        document["expires_at"] = _date(session.expires_at_ms)
        await self._families.insert(document)

    async def get(self, family: str) -> TokenFamily | None:
        found = await self._families.one({"_id": family})
        return None if found is None else _family(found)

    async def of_user(self, user_id: str) -> list[TokenFamily]:
        found = [_family(each) for each in await self._families.many({"user": user_id})]
        return sorted(found, key=lambda each: each.created_at_ms)

    async def rotate(self, session: TokenFamily, following: bytes, now_ms: int, expires_at_ms: int) -> bool:
        witness = {"_id": session.family, "current": session.current, "ended_at_ms": None}
        change = {
            "current": following,
            "previous": session.current,
            "signed": session.signed,
            "repeated": False,
            "repeats": session.repeats if session.repeated else 0,
            "used_at_ms": now_ms,
            "expires_at_ms": expires_at_ms,
            "expires_at": _date(expires_at_ms),
        }
        return await self._families.update(witness, {"$set": change})

    async def repeat(self, family: str, current: bytes) -> None:
        first = {"_id": family, "current": current, "repeated": {"$ne": True}}
        await self._families.update(first, {"$set": {"repeated": True}, "$inc": {"repeats": 1}})

    async def end(self, user_id: str, device: str | None, now_ms: int, keep: str = "") -> list[str]:
        living = {"user": user_id, "ended_at_ms": None, "_id": {"$ne": keep}}
        if device is not None:
            living["device"] = device
        families = [found["_id"] for found in await self._families.many(living, ["_id"])]
        if families:
            # The time is not moved if another call has ended one of them in between.
            ended = {"_id": {"$in": families}, "ended_at_ms": None}
            await self._families.update_many(ended, {"$set": {"ended_at_ms": now_ms}})
        return families

    async def living(self, user_id: str) -> list[TokenFamily]:
        found = await self._families.many({"user": user_id, "ended_at_ms": None})
        return sorted(map(_family, found), key=lambda each: (each.created_at_ms, each.family))

    async def ended_since(self, at_ms: int) -> list[str]:
        return [
            found["_id"] for found in await self._families.many({"ended_at_ms": {"$gte": at_ms}}, ["_id"])
        ]


def _family(found: Document) -> TokenFamily:
    return msgspec.convert({**found, "family": found["_id"]}, TokenFamily)


def _date(at_ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC)
