"""Push tokens in MongoDB: fields of devices, the token sealed, and found by its blind index."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from storage.account_rows import PushToken
from storage.keyring import KeyRing
from storage.mongo.data_keys import MongoDataKeys
from storage.mongo.database import Database, row_id
from storage.mongo.driver import ASCENDING, DESCENDING, Document

_NONE: Final[Mapping[str, Any]] = {
    "$set": dict.fromkeys(("push_provider", "push_token", "push_keys", "push_index", "push_session"))
}
_HOLDER: Final = ("user", "push_session", "push_since_ms")


class MongoPushTokens:
    """Implements ``storage.ports.PushTokens``."""

    def __init__(self, database: Database, keyring: KeyRing, data_keys: MongoDataKeys) -> None:
        self._ring, self._keys = keyring, data_keys
        self._devices, self._sessions = database["devices"], database["sessions"]

    async def prepare(self) -> None:
        await self._devices.index([("push_provider", ASCENDING), ("push_index", ASCENDING)])
        for device in await self._devices.many({"push_provider": "fcm", "push_index": None}):
            await self._adopt(device)

    async def register(
        self, user_id: str, device: str, token: PushToken, session: str, now_ms: int
    ) -> list[str] | None:
        identity = row_id(user_id, device)
        holders = await self._holders(token.provider, token.token)
        mine = await self._devices.one({"_id": identity}, ["push_since_ms", "push_keys"])
        if mine is None:
            return None
        key = (await self._keys.made([user_id]))[user_id]
        if [(each["_id"], each["push_session"]) for each in holders] == [(identity, session)]:
            sealed = mine.get("push_keys")
            if (sealed and key.unseal("devices", identity, "push_keys", sealed)) == token.keys:
                return []
        # Clocks of gateways differ: who comes later has the greater number all the same.
        latest = max(each.get("push_since_ms", 0) for each in (*holders, mine))
        change = {
            "push_provider": token.provider,
            "push_token": key.seal("devices", identity, "push_token", token.token),
            "push_keys": token.keys and key.seal("devices", identity, "push_keys", token.keys),
            "push_index": self._ring.blind("push_token", token.token),
            "push_session": session,
            "push_since_ms": max(now_ms, latest + 1),
        }
        if not await self._devices.update({"_id": identity}, {"$set": change}):
            return None
        return list({user_id, *await self._settle(token.provider, token.token)})

    async def drop(self, user_id: str, device: str, token: str | None) -> bool:
        identity = row_id(user_id, device)
        found = await self._devices.one({"_id": identity}, ["push_token"])
        sealed = found["push_token"] if found else None
        if sealed is None:
            return False
        key = await self._keys.of(user_id)
        if token is not None and key.unseal("devices", identity, "push_token", sealed) != token:
            return False
        # Every sealing differs, so the very bytes read serve as the compare-and-set's witness.
        witness = {} if token is None else {"push_token": sealed}
        return await self._devices.update({"_id": identity, **witness}, _NONE)

    async def end(self, user_id: str, sessions: Sequence[str]) -> bool:
        theirs = {"user": user_id, "push_session": {"$in": list(sessions)}}
        if not sessions or await self._devices.one(theirs, ["_id"]) is None:
            return False
        await self._devices.update_many(theirs, _NONE)
        return True

    async def _holders(self, provider: str, token: str) -> list[Document]:
        indexes = self._ring.blinds("push_token", token)
        return await self._devices.many({"push_provider": provider, "push_index": {"$in": indexes}}, _HOLDER)

    async def _settle(self, provider: str, token: str) -> list[str]:
        """Take a token from all that have it but the last; returns the users who lost it.

        Whoever registers writes before it looks. So of two at once at least one sees both, and both see the
        same one as the last.
        """
        holders = sorted(await self._holders(provider, token), key=lambda e: (e["push_since_ms"], e["_id"]))
        lost: list[str] = []
        for each in holders[:-1]:
            witness = {"_id": each["_id"], "push_since_ms": each["push_since_ms"]}
            if await self._devices.update(witness, _NONE):
                lost.append(each["user"])
        return lost

    async def _adopt(self, device: Document) -> None:
        """Give a token of before tokens had sessions to the session that its device has, if it has one."""
        identity, sealed = device["_id"], device["push_token"]
        living = {"user": device["user"], "device": device["device"], "ended_at_ms": None}
        found = await self._sessions.many(living, sort=[("created_at_ms", DESCENDING)], limit=1)
        key = await self._keys.of(device["user"])
        token = key.unseal("devices", identity, "push_token", sealed)
        change: Mapping[str, Any] = _NONE
        if found:
            session, since_ms = found[0]["_id"], found[0]["created_at_ms"]
            index = self._ring.blind("push_token", token)
            change = {"$set": {"push_index": index, "push_session": session, "push_since_ms": since_ms}}
        await self._devices.update({"_id": identity, "push_token": sealed}, change)
        await self._settle("fcm", token)
