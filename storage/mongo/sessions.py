"""Refresh-token families in MongoDB; tokens appear as hashes only."""

import datetime as dt

import msgspec

from storage.mongo.driver import ASCENDING
from storage.mongo.part import Part
from storage.records import TokenFamily


class SessionsPart(Part):
    """Implements the sessions of ``storage.ports.Accounts``."""

    async def prepare_sessions(self) -> None:
        await self._sessions.index([("user", ASCENDING)])
        await self._sessions.index([("ended_at_ms", ASCENDING)])
        await self._sessions.index([("expires_at", ASCENDING)], ttl_s=0)

    async def add_session(self, session: TokenFamily) -> None:
        document = msgspec.structs.asdict(session)
        document["_id"] = document.pop("family")
        document["expires_at"] = dt.datetime.fromtimestamp(session.expires_at_ms / 1000, dt.UTC)
        await self._sessions.insert(document)

    async def session(self, family: str) -> TokenFamily | None:
        found = await self._sessions.one({"_id": family})
        if found is None:
            return None
        found["family"] = found.pop("_id")
        return msgspec.convert(found, TokenFamily)

    async def rotate_session(self, family: str, current: bytes, following: bytes, now_ms: int) -> bool:
        witness = {"_id": family, "current": current, "ended_at_ms": None}
        change = {"current": following, "previous": current, "used_at_ms": now_ms}
        return await self._sessions.update(witness, {"$set": change})

    async def end_sessions(self, user_id: str, device: str | None, now_ms: int) -> list[str]:
        living = {"user": user_id, "ended_at_ms": None} | ({} if device is None else {"device": device})
        families = [found["_id"] for found in await self._sessions.many(living, ["_id"])]
        if families:
            # The time is not moved if somebody else has ended one of them in between.
            ended = {"_id": {"$in": families}, "ended_at_ms": None}
            await self._sessions.update_many(ended, {"$set": {"ended_at_ms": now_ms}})
        return families

    async def sessions_ended_since(self, at_ms: int) -> list[str]:
        return [
            found["_id"] for found in await self._sessions.many({"ended_at_ms": {"$gte": at_ms}}, ["_id"])
        ]
