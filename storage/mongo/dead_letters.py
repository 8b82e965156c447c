"""Dead letters in MongoDB: kept by hosts and pushers, written back to their topics by operators."""

import datetime as dt
import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from roost.errors import RoostError
from storage.cluster_rows import DeadLetter, KeptLetter
from storage.mongo.database import Database, row_id
from storage.mongo.driver import ASCENDING, Change, Document
from storage.records import decode_push
from storage.topics import PUSH

_CLAIMED_MS: Final = 30_000
"""Whoever claimed a letter and has not said by then what became of it has died."""

_DAY_MS: Final = 86_400_000
_WAKEUP_KEPT_MS: Final = 7 * _DAY_MS
_RETRIED_KEPT_MS: Final = 30 * _DAY_MS

_FIELDS: Final = tuple(DeadLetter.__struct_fields__)
_NEWEST_FIRST: Final = [("at_ms", -ASCENDING), ("_id", -ASCENDING)]


class MongoDeadLetters:
    """The collection ``dead``; see the calls of ``storage.ports.ClusterState`` of the same names."""

    def __init__(self, database: Database) -> None:
        self._rows = database["dead"]

    async def prepare(self) -> None:
        """Create the indexes."""
        await self._rows.index([("at_ms", ASCENDING)])
        await self._rows.index([("expires_at", ASCENDING)], ttl_s=0)

    async def keep(self, letters: Sequence[DeadLetter]) -> None:
        """See `ClusterState.keep_dead_letters`."""
        if missing := [_document(each) for each in letters if each.topic != PUSH]:
            await self._rows.insert_missing(missing)
        # A device's older wake-up is worth nothing beside its newer one; so there are no more than devices.
        await self._rows.bulk([_replacing(each) for each in letters if each.topic == PUSH])

    async def newest(self, before: str, limit: int) -> list[KeptLetter]:
        """See `ClusterState.dead_letters`."""
        where: Document = {}
        if before:
            edge = await self._rows.one({"_id": _row(before)}, ["at_ms"])
            if edge is None:
                raise RoostError("invalid", "query.before: there is no such letter.")
            same = {"at_ms": edge["at_ms"], "_id": {"$lt": edge["_id"]}}
            where = {"$or": [{"at_ms": {"$lt": edge["at_ms"]}}, same]}
        return [_kept(each) for each in await self._rows.many(where, sort=_NEWEST_FIRST, limit=limit)]

    async def claim(self, letter_id: str, by: str, now_ms: int) -> KeptLetter | None:
        """See `ClusterState.claim_dead_letter`."""
        claimable = {
            "_id": _row(letter_id),
            "retried_at_ms": {"$exists": False},
            "$or": [
                {"claimed_at_ms": {"$exists": False}},
                {"claimed_at_ms": {"$lte": now_ms - _CLAIMED_MS}},
            ],
        }
        claimed = {"$set": {"claimed_at_ms": now_ms, "retried_by": by}}
        found = await self._rows.update_and_get(claimable, claimed)
        if found is not None:
            return _kept(found)
        if (other := await self._rows.one({"_id": _row(letter_id)})) is None:
            return None
        if "retried_at_ms" in other:
            raise RoostError("already_retried", "It was written back to its topic before.")
        raise RoostError("already_retried", "Someone else is just writing it back to its topic.")

    async def settle(self, letter_id: str, now_ms: int, *, written: bool) -> None:
        """See `ClusterState.settle_dead_letter`."""
        change: Document = {"$unset": {"claimed_at_ms": ""}}
        if written:
            change["$set"] = {"retried_at_ms": now_ms, "expires_at": _date(now_ms + _RETRIED_KEPT_MS)}
        await self._rows.update({"_id": _row(letter_id)}, change)


def _document(letter: DeadLetter) -> Document:
    return {"_id": _id(letter), **msgspec.structs.asdict(letter)}


def _replacing(letter: DeadLetter) -> Change:
    fields = _document(letter) | {"expires_at": _date(letter.at_ms + _WAKEUP_KEPT_MS)}
    forgotten = {"claimed_at_ms": "", "retried_at_ms": "", "retried_by": ""}
    return {"_id": fields.pop("_id")}, {"$set": fields, "$unset": forgotten}


def _id(letter: DeadLetter) -> str:
    """Return the same id for a replay, and another where a recreated log gives the offset again."""
    if letter.topic == PUSH:
        try:
            push = decode_push(letter.value)
        except (ValueError, RecursionError):
            pass  # no one's, as far as we can tell
        else:
            return row_id(PUSH, push.user, push.device)
    digest = hashlib.blake2b(letter.value, digest_size=8).hexdigest()
    return row_id(letter.topic, str(letter.shard), str(letter.offset), digest)


def _kept(row: Document) -> KeptLetter:
    letter: dict[str, Any] = {name: row[name] for name in _FIELDS}
    return KeptLetter(
        row["_id"].replace("|", ":"),
        DeadLetter(**letter),
        row.get("retried_at_ms", 0),
        row.get("retried_by", ""),
    )


def _row(letter_id: str) -> str:
    return letter_id.replace(":", "|")


def _date(at_ms: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC)
