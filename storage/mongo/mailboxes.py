"""Stored entries and cursors in MongoDB: the hot path.

``mailbox`` holds buckets of entries (`storage.mongo.buckets`) and has two indexes and no more: ``_id``, so
that a replay changes nothing, and (u, s) for every read (`storage.mongo.walk`).
"""

import datetime as dt
from collections.abc import Sequence
from typing import Final

import msgspec

from roost.ids import MESSAGE_ID_AHEAD_MS, MESSAGE_ID_WINDOW_MS, SEQ_LIMIT, uuid7_ms
from storage.mailbox_rows import Cursor, MailboxDocument, Stub, is_copy_to
from storage.mongo.buckets import buckets
from storage.mongo.database import Database, row_id
from storage.mongo.driver import ASCENDING, Document
from storage.mongo.places import Places
from storage.mongo.walk import Walk
from storage.records import MessageKey

_BY_LAST: Final = [("u", ASCENDING), ("s", ASCENDING)]
_MESSAGE: Final = "m"
_ALL: Final = 2**31

_EARLIER_MS: Final = 2 * MESSAGE_ID_AHEAD_MS
"""A message is accepted at most this long before the time in its id: the id may be ahead, and a clock."""


class MongoMailboxes:
    """Implements ``storage.ports.Mailboxes``."""

    def __init__(self, database: Database) -> None:
        self._mailbox = database["mailbox"]
        self._cursors = database["cursors"]
        self._stubs = database["stubs"]
        self._places = Places()

    async def prepare(self) -> None:
        await self._mailbox.index(_BY_LAST)
        await self._stubs.index([("u", ASCENDING), ("cause", ASCENDING)])
        await self._stubs.index([("expires_at", ASCENDING)], ttl_s=0)

    async def insert(self, documents: Sequence[MailboxDocument]) -> None:
        if documents:
            made = list(buckets(documents))
            self._places.seen(each["s"] for each in made)
            await self._mailbox.insert_missing(made)

    async def range(self, user_id: str, after: int, upto: int, limit: int) -> list[MailboxDocument]:
        return await self._walk(user_id).up(after, upto, limit)

    async def latest(self, user_id: str, below: int, limit: int) -> list[MailboxDocument]:
        return await self._walk(user_id).down(below, limit)

    async def tail(self, user_id: str, after: int, below: int, limit: int) -> list[MailboxDocument]:
        return await self._walk(user_id).tail(after, below, limit)

    async def exists(self, user_id: str, seq: int) -> bool:
        return bool(await self._walk(user_id).up(seq - 1, seq, 1))

    async def find_causes(
        self, user_id: str, causes: Sequence[str], below: int
    ) -> dict[MessageKey, MailboxDocument]:
        times = {cause: ms for cause in causes if (ms := _made_ms(cause)) is not None}
        if not times:
            return {}
        since_ms = min(times.values()) - _EARLIER_MS
        found = await self._walk(user_id).down(
            below, _ALL, lambda each: each.kind == _MESSAGE and each.cause in times, since_ms
        )
        # Newest first, so that of two entries with one id the older one is what remains.
        return {(each.sender, each.sender_device, each.cause): each for each in found}

    async def put_stubs(self, stubs: Sequence[Stub]) -> None:
        if stubs:
            await self._stubs.insert_missing([_stub_document(each) for each in stubs])

    async def find_stubs(self, user_id: str, causes: Sequence[str]) -> dict[MessageKey, Stub]:
        found = await self._stubs.many({"u": user_id, "cause": {"$in": list(causes)}})
        stubs = [msgspec.convert(each | {"user": each["u"]}, Stub) for each in found]
        return {(each.sender, each.sender_device, each.cause): each for each in stubs}

    async def history(
        self, user_id: str, peer: str, below: int, limit: int, *, sent: bool = False
    ) -> list[MailboxDocument]:
        def wanted(each: MailboxDocument) -> bool:
            if each.kind == _MESSAGE:
                return each.sender == peer
            return sent and is_copy_to(each, peer)

        return await self._walk(user_id).down(below, limit, wanted)

    async def summary(self, user_id: str, limit: int) -> dict[str, list[tuple[int, int]]]:
        found = await self._walk(user_id).down(
            SEQ_LIMIT, limit, lambda each: each.kind == _MESSAGE and not each.silent
        )
        senders: dict[str, list[tuple[int, int]]] = {}
        for entry in found:
            senders.setdefault(entry.sender, []).append((entry.seq, entry.at_ms))
        return senders

    async def sweep(self, user_id: str, below: int) -> None:
        await self._mailbox.delete({"u": user_id, "s": {"$lt": below}})

    async def cursors_of(self, user_ids: Sequence[str]) -> dict[str, dict[str, int]]:
        cursors: dict[str, dict[str, int]] = {user: {} for user in user_ids}
        for found in await self._cursors.many({"_id": {"$in": list(user_ids)}}):
            cursors[found["_id"]] = found.get("devices", {})
        return cursors

    async def put_cursors(self, cursors: Sequence[Cursor]) -> None:
        raised: dict[str, dict[str, int]] = {}
        for cursor in cursors:
            devices = raised.setdefault(cursor.user, {})
            name = f"devices.{cursor.device}"
            devices[name] = max(cursor.seq, devices.get(name, 0))
        await self._cursors.bulk([({"_id": user}, {"$max": devices}) for user, devices in raised.items()])

    def _walk(self, user_id: str) -> Walk:
        return Walk(self._mailbox, user_id, self._places)


def _stub_document(stub: Stub) -> Document:
    document: Document = msgspec.structs.asdict(stub)
    document["u"] = document.pop("user")
    document["_id"] = row_id(stub.user, stub.sender, stub.sender_device, stub.cause)
    until_ms = stub.accepted_at_ms + MESSAGE_ID_WINDOW_MS + MESSAGE_ID_AHEAD_MS
    document["expires_at"] = dt.datetime.fromtimestamp(until_ms / 1000, dt.UTC)
    return document


def _made_ms(message_id: str) -> int | None:
    """Return the time in the id; None if it is no message's id."""
    try:
        return uuid7_ms(message_id)
    except ValueError:
        return None
