"""Conversation rows in MongoDB: appended, merged when read, folded now and then.

Receipts come about as often as messages. All rows of a user that changed in one write are one
inserted *sheet*; the newest numbers of a pair are the greatest over all sheets, so writing twice
or in another order changes nothing. After some 16 sheets they are folded into one. (On the
embedded store an update costs thirty times an insert; a document for each pair, updated with every
receipt, was the dearest part of a message.)
"""

import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import structlog
from msgspec import structs

from storage.keyring import DataKey
from storage.mongo.data_keys import MongoDataKeys
from storage.mongo.database import Database
from storage.mongo.driver import ASCENDING, Document
from storage.records import Conversation

_FOLD_AT: Final = 16
_FOLDED_TOGETHER: Final = 8
"""Users whose sheets are folded in one step."""

_FOLDED_SHARE: Final = 4
"""One in so many of a write's users is folded at most, or one step: after a restart all of them are due at
once, and all wait for the store. It is more than become due from one write to the next."""

_ROWS_FOR_A_SHEET: Final = 16
_ROWS_OF_A_SHEET: Final = 2_000
_NUMBERS: Final = len(Conversation.__struct_fields__) - 3

COLLECTION: Final = "conversations"

log = structlog.get_logger()

_Rows = dict[str, Conversation]


class MongoConversations:
    """Implements ``storage.ports.Conversations``."""

    def __init__(self, database: Database, data_keys: MongoDataKeys) -> None:
        self._sheets, self._keys = database[COLLECTION], data_keys
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
        sheets = [sheet for user, mine in by_user.items() for sheet in sheets_of(user, mine, keys[user])]
        if sheets:
            await self._sheets.insert_missing(sheets)
        self._appended.update(by_user.keys())
        due = [user for user in by_user if self._appended[user] >= _FOLD_AT]
        some = due[: max(_FOLDED_TOGETHER, len(by_user) // _FOLDED_SHARE)]
        for first in range(0, len(some), _FOLDED_TOGETHER):
            await self._fold(some[first : first + _FOLDED_TOGETHER])

    async def _merged(self, users: Sequence[str]) -> tuple[dict[str, _Rows], dict[str, list[str]]]:
        """Return the rows of these users by peer, and the ids of their sheets.

        Reading folds nothing: a new host loads many users at once, and their streams wait for them. It notes
        how many sheets each has, so that their writes fold what a host before has left.
        """
        merged: dict[str, _Rows] = {user: {} for user in users}
        found: dict[str, list[str]] = {user: [] for user in users}
        sheets = await self._sheets.many({"u": {"$in": list(users)}})
        keys = await self._keys.of_all({sheet["u"] for sheet in sheets})
        for sheet in sheets:
            if keys[sheet["u"]].is_lost(sheet.get("n")):
                log.warning("row_of_an_erased_user", collection=COLLECTION, row=sheet["_id"])
                continue
            found[sheet["u"]].append(sheet["_id"])
            _merge(merged[sheet["u"]], sheet, names_in(sheet, keys[sheet["u"]]))
        for user, ids in found.items():
            since_fold = len(ids) - 1 - _patience(merged[user])
            self._appended[user] = max(self._appended[user], since_fold)
        return merged, found

    async def _fold(self, users: Sequence[str]) -> None:
        """Replace sheets by their sum: the sum first, so that at no time a number is missing."""
        merged, ids = await self._merged(users)
        keys = await self._keys.made(users)
        sums = [sheet for user in users for sheet in sheets_of(user, merged[user].values(), keys[user])]
        await self._sheets.insert_missing(sums)
        await self._sheets.delete({"_id": {"$in": [each for user in users for each in ids[user]]}})
        for user in users:
            self._appended[user] = -_patience(merged[user])


def _patience(rows: _Rows) -> int:
    """Return how many sheets more a user with these rows may have: their sum is written at each fold."""
    return len(rows) // _ROWS_FOR_A_SHEET


def sheets_of(user: str, rows: Iterable[Conversation], key: DataKey) -> Iterator[Document]:
    """Yield the documents of a user's rows, the peers' names sealed together."""
    rest = iter(rows)
    while chunk := list(islice(rest, _ROWS_OF_A_SHEET)):
        packed = [_packed(row) for row in chunk]
        names = key.seal(COLLECTION, user, _place_of(packed), "|".join(row.peer_name for row in chunk))
        yield {"_id": f"{user}|{uuid.uuid4().hex}", "u": user, "r": packed, "n": names}


def sealed(sheet: Document, key: DataKey) -> Document:
    """Return the fields of a sheet of an earlier release as they are written today."""
    rows = sheet["r"]
    names = key.seal(COLLECTION, sheet["u"], _place_of(rows), "|".join(names_in(sheet, key)))
    return {"r": [[row[0], "", *row[2:]] for row in rows], "n": names}


def names_in(sheet: Document, key: DataKey) -> list[str]:
    """Return the names of the peers of a sheet's rows; an earlier release left them in the rows.

    Raises:
        SealBroken: They were altered, or are another sheet's.
    """
    if (sealed := sheet.get("n")) is None:
        return [key.unseal(COLLECTION, sheet["u"], "", row[1]) for row in sheet["r"]]
    return key.unseal(COLLECTION, sheet["u"], _place_of(sheet["r"]), sealed).split("|")


def _place_of(rows: Iterable[Sequence[Any]]) -> str:
    """Return what binds names to rows: in front of those of others they must not open."""
    return ",".join(row[0] for row in rows)


def _packed(row: Conversation) -> list[Any]:
    return [row.peer, "", *structs.astuple(row)[3:]]


def _merge(rows: _Rows, sheet: Document, names: Sequence[str]) -> None:
    for (peer, _, *numbers), name in zip(sheet["r"], names, strict=True):
        # The release after this one may write more numbers.
        row = Conversation(sheet["u"], peer, name, *numbers[:_NUMBERS])
        greatest = map(max, structs.astuple(row)[3:], structs.astuple(rows.get(peer, row))[3:])
        rows[peer] = Conversation(sheet["u"], peer, name, *greatest)
