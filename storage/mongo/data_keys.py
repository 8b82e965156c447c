"""The data keys of users, in MongoDB: read in batches, kept in memory in bounded number."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from storage.keyring import DataKey, KeyRing
from storage.keyring.data_key import COLLECTION, FIELD, new_data_key
from storage.mongo.database import Database

_KEPT: Final = 20_000
_KEPT_S: Final = 600.0
"""After so long a key is read again: one that was erased is in no memory after that."""


class MongoDataKeys:
    """The keys that users' fields are sealed with.

    Args:
        database: Where they are.
        ring: Seals them.
        kept: How many stay in memory.
    """

    def __init__(self, database: Database, ring: KeyRing, kept: int = _KEPT) -> None:
        self._ring, self._most = ring, kept
        self._rows = database[COLLECTION]
        self._kept: OrderedDict[str, tuple[DataKey, float]] = OrderedDict()

    async def of(self, user: str) -> DataKey:
        """Return the user's key, which opens what was sealed before there were data keys if there is none."""
        return (await self.of_all([user]))[user]

    async def of_all(self, users: Iterable[str]) -> dict[str, DataKey]:
        """Return the keys of these users, read in one call.

        Raises:
            SealBroken: A row was altered, or its storage key is gone.
        """
        now = asyncio.get_running_loop().time()
        found = {user: self._kept.get(user) for user in users}
        known = {user: kept[0] for user, kept in found.items() if kept is not None and now < kept[1]}
        if len(known) == len(found):
            return known
        missing = [user for user in found if user not in known]
        rows = {row["_id"]: row[FIELD] for row in await self._rows.many({"_id": {"$in": missing}})}
        for user in missing:
            known[user] = self._opened(user, rows.get(user), now)
        return known

    async def made(self, users: Sequence[str]) -> dict[str, DataKey]:
        """Return the keys of these users, and make those that are missing."""
        keys = await self.of_all(users)
        lacking = [user for user in users if not keys[user].present]
        if lacking:
            # Of two that make one at the same time one wins; both read it then.
            await self._rows.insert_missing(
                [{"_id": user, FIELD: new_data_key(self._ring, user)} for user in lacking]
            )
            keys |= await self.of_all(lacking)
        return keys

    async def drop(self, user: str) -> None:
        """Delete a key that nothing was sealed with."""
        self._kept.pop(user, None)
        await self._rows.delete({"_id": user})

    def _opened(self, user: str, sealed: bytes | None, now: float) -> DataKey:
        if sealed is None:
            return DataKey(self._ring, None)
        key = DataKey.open(self._ring, user, sealed)
        self._kept[user] = key, now + _KEPT_S
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return key
