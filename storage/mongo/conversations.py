"""Conversation rows in MongoDB: appended, merged when read, folded now and then.

Receipts come about as often as messages. All rows of a user that changed in one write are one
inserted *sheet*; the newest numbers of a pair are the greatest over all sheets, so writing twice
or in another order changes nothing. After some 16 sheets they are folded into one. (On the
embedded store an update costs thirty times an insert; a document for each pair, updated with every
receipt, was the dearest part of a message.)
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import structlog

from storage.mailbox_rows import Conversation
from storage.mongo.data_keys import MongoDataKeys
from storage.mongo.database import Database
from storage.mongo.driver import ASCENDING
from storage.mongo.sheets import COLLECTION, Rows, Sheets, merge, names_in

_FOLD_AT: Final = 16
_FOLDED_TOGETHER: Final = 8
"""Users whose sheets are folded in one step."""

_FOLDED_SHARE: Final = 4
"""One in so many of a write's users is folded at most, or one step: after a restart all of them are due at
once, and all wait for the store. It is more than become due from one write to the next."""

_ROWS_FOR_A_SHEET: Final = 16

log = structlog.get_logger()


class MongoConversations:
    """Implements ``storage.ports.Conversations``."""

    def __init__(self, database: Database, data_keys: MongoDataKeys) -> None:
        self._sheets, self._keys = database[COLLECTION], data_keys
        self._form = Sheets()
        self._appended: Counter[str] = Counter()  # sheets since the last fold, by user

    async def prepare(self) -> None:
        await self._sheets.index([("u", ASCENDING)])

    async def of_user(self, user_id: str) -> list[Conversation]:
        return (await self.of_users([user_id]))[user_id]

    async def of_users(self, user_ids: Sequence[str]) -> dict[str, list[Conversation]]:
        merged, _ = await self._merged(user_ids)
        return {user: list(rows.values()) for user, rows in merged.items()}

    async def receipts_after(self, user_id: str, after: int, upto: int) -> list[Conversation]:
        rows = [row for row in await self.of_user(user_id) if after < row.receipt_seq <= upto]
        return sorted(rows, key=lambda row: row.receipt_seq)

    async def put(self, rows: Sequence[Conversation]) -> None:
        by_user: dict[str, list[Conversation]] = {}
        for row in rows:
            by_user.setdefault(row.user, []).append(row)
        keys = await self._keys.made(list(by_user))
        sheets = [sheet for user, mine in by_user.items() for sheet in self._form.of(user, mine, keys[user])]
        if sheets:
            await self._sheets.insert_missing(sheets)
        self._appended.update(by_user.keys())
        due = [user for user in by_user if self._appended[user] >= _FOLD_AT]
        some = due[: max(_FOLDED_TOGETHER, len(by_user) // _FOLDED_SHARE)]
        for first in range(0, len(some), _FOLDED_TOGETHER):
            await self._fold(some[first : first + _FOLDED_TOGETHER])

    async def _merged(self, users: Sequence[str]) -> tuple[dict[str, Rows], dict[str, list[str]]]:
        """Return the rows of these users by peer, and the ids of their sheets.

        Reading folds nothing: a new host loads many users at once, and their streams wait for them. It notes
        how many sheets each has, so that their writes fold what a host before has left.
        """
        merged: dict[str, Rows] = {user: {} for user in users}
        found: dict[str, list[str]] = {user: [] for user in users}
        sheets = await self._sheets.many({"u": {"$in": list(users)}})
        keys = await self._keys.of_all({sheet["u"] for sheet in sheets})
        for sheet in sheets:
            if keys[sheet["u"]].is_lost(sheet.get("n")):
                log.warning("row_of_an_erased_user", collection=COLLECTION, row=sheet["_id"])
                continue
            found[sheet["u"]].append(sheet["_id"])
            merge(merged[sheet["u"]], sheet, names_in(sheet, keys[sheet["u"]]))
        for user, ids in found.items():
            since_fold = len(ids) - 1 - _patience(merged[user])
            self._appended[user] = max(self._appended[user], since_fold)
        return merged, found

    async def _fold(self, users: Sequence[str]) -> None:
        """Replace sheets by their sum: the sum first, so that at no time a number is missing."""
        merged, ids = await self._merged(users)
        keys = await self._keys.made(users)
        sums = [sheet for user in users for sheet in self._form.of(user, merged[user].values(), keys[user])]
        await self._sheets.insert_missing(sums)
        await self._sheets.delete({"_id": {"$in": [each for user in users for each in ids[user]]}})
        for user in users:
            self._appended[user] = -_patience(merged[user])


def _patience(rows: Rows) -> int:
    """Return how many sheets more a user with these rows may have: their sum is written at each fold."""
    return len(rows) // _ROWS_FOR_A_SHEET
