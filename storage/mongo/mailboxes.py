"""Stored entries and cursors in MongoDB: the hot path.

``mailbox`` has two indexes and no more: ``_id``, made from (user, seq), so that a replay writes
the same document again; and (u, s) for every read. Field names are short because each is
stored with every entry; ``schema.md`` spells them out.

Reads that want a few entries out of many look through windows of seq that widen: the embedded
surrogate reads a whole range whatever the limit, so an unbounded one costs as much as the mailbox
is long. With MongoDB itself a window costs one more round trip where a mailbox is sparse.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from storage.mongo.driver import ASCENDING, DESCENDING, Document, Filter
from storage.mongo.part import Part
from storage.records import Cursor, MailboxDocument

_BY_SEQ: Final = [("u", ASCENDING), ("s", ASCENDING)]
_NEWEST_FIRST: Final = [("u", DESCENDING), ("s", DESCENDING)]
_MESSAGE: Final = "m"
_FIRST_WINDOW: Final = 4096
_WIDER: Final = 16


class MailboxesPart(Part):
    """Implements the entries and cursors of ``storage.ports.Mailboxes``."""

    async def prepare_mailboxes(self) -> None:
        await self._mailbox.index(_BY_SEQ)

    async def insert(self, documents: Sequence[MailboxDocument]) -> None:
        if documents:
            self._top = max(self._top, *(document.seq for document in documents))
            await self._mailbox.insert_missing([_stored(document) for document in documents])

    async def range(self, user_id: str, after: int, upto: int, limit: int) -> list[MailboxDocument]:
        found: list[MailboxDocument] = []
        for low, high in _windows(after, upto, limit):
            where = {"u": user_id, "s": {"$gt": low, "$lte": high}}
            found += await self._read(where, {}, _BY_SEQ, limit - len(found))
            if len(found) >= limit:
                break
        return found

    async def latest(self, user_id: str, below: int, limit: int) -> list[MailboxDocument]:
        return await self._newest(user_id, {}, below, limit)

    async def latest_from(
        self, user_id: str, sender: str, sender_device: str, below: int
    ) -> MailboxDocument | None:
        sent = {"k": _MESSAGE, "f": sender, "d": sender_device}
        found = await self._newest(user_id, sent, below, 1)
        return found[0] if found else None

    async def exists(self, user_id: str, seq: int) -> bool:
        return await self._mailbox.one({"_id": _entry_id(user_id, seq)}, ["_id"]) is not None

    async def find_causes(
        self, user_id: str, causes: Sequence[str], below: int
    ) -> dict[tuple[str, str], MailboxDocument]:
        where, messages = {"u": user_id, "s": {"$lt": below}}, {"k": _MESSAGE, "i": {"$in": list(causes)}}
        found = await self._mailbox.among(where, messages, None, _NEWEST_FIRST, 0)
        # Newest first, so that of two documents with one id the older one is what remains.
        return {(each.sender_device, each.cause): each for each in map(_entry, found)}

    async def history(self, user_id: str, peer: str, below: int, limit: int) -> list[MailboxDocument]:
        return await self._newest(user_id, {"k": _MESSAGE, "f": peer}, below, limit)

    async def summary(self, user_id: str, limit: int) -> dict[str, list[tuple[int, int]]]:
        messages = {"k": _MESSAGE}
        found = await self._mailbox.among({"u": user_id}, messages, ["f", "s", "a"], _NEWEST_FIRST, limit)
        senders: dict[str, list[tuple[int, int]]] = {}
        for entry in found:
            senders.setdefault(entry["f"], []).append((entry["s"], entry["a"]))
        return senders

    async def sweep(self, user_id: str, below: int) -> int:
        return await self._mailbox.delete({"u": user_id, "s": {"$lt": below}})

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

    async def _newest(self, user_id: str, further: Filter, below: int, limit: int) -> list[MailboxDocument]:
        """Return the entries that match and have ``seq < below``, highest first."""
        found: list[MailboxDocument] = []
        # The first window is open towards the top: nothing is likely to be above what was seen.
        high, top = below, min(below, self._top + 1)
        for _, upto in _windows(-top, 0, limit):
            where = {"u": user_id, "s": {"$gte": -upto, "$lt": high}}
            found += await self._read(where, further, _NEWEST_FIRST, limit - len(found))
            if len(found) >= limit:
                break
            high = -upto
        return found

    async def _read(
        self, where: Filter, further: Filter, sort: Sequence[tuple[str, int]], limit: int
    ) -> list[MailboxDocument]:
        if further:
            found = await self._mailbox.among(where, further, None, sort, limit)
        else:
            found = await self._mailbox.many(where, sort=sort, limit=limit)
        self._top = max([self._top, *(each["s"] for each in found)])
        return [_entry(each) for each in found]


def _windows(after: int, upto: int, limit: int) -> Iterator[tuple[int, int]]:
    """Cut ``after < seq <= upto`` into windows, each wider than the one before."""
    width = max(_FIRST_WINDOW, limit * _WIDER)
    while after < upto:
        end = min(upto, after + width)
        yield after, end
        after, width = end, width * _WIDER


def _entry_id(user_id: str, seq: int) -> str:
    return f"{user_id}|{seq:016x}"


def _stored(entry: MailboxDocument) -> Document:
    document: Document = {
        "_id": _entry_id(entry.user, entry.seq),
        "u": entry.user,
        "s": entry.seq,
        "p": entry.prev,
        "k": entry.kind,
        "f": entry.sender,
        "d": entry.sender_device,
        "i": entry.cause,
        "a": entry.at_ms,
        "r": entry.record,
    }
    if entry.newest:
        document["n"] = entry.newest
    return document


def _entry(found: Document) -> MailboxDocument:
    return MailboxDocument(
        user=found["u"],
        seq=found["s"],
        prev=found["p"],
        kind=found["k"],
        sender=found["f"],
        sender_device=found["d"],
        cause=found["i"],
        at_ms=found["a"],
        record=found["r"],
        newest=found.get("n", ""),
    )
