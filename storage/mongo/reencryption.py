"""Re-encryption: every sealed field of the store, sealed with today's keys; and the count of what is not.

It writes over what it read and nothing else (compare-and-set on the very bytes), so that it loses no write of
anyone else's, and goes in the order of ``_id``, so that it can be stopped and go on from there.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from storage.keyring import DataKey, KeyRing, SealBroken, data_key, key_id_of
from storage.keyring.data_key import is_by_data_key
from storage.mongo import blobs, sheets
from storage.mongo.accounts import INDEXED, SEALED
from storage.mongo.data_keys import MongoDataKeys
from storage.mongo.database import Database
from storage.mongo.driver import Change, Document

BY_RING: Final[Mapping[str, tuple[str, ...]]] = {
    data_key.COLLECTION: (data_key.FIELD,),
    blobs.COLLECTION: (blobs.SEALED,),
}
"""The fields of each collection that a storage key of the ring itself seals."""

COLLECTIONS: Final = (*BY_RING, *SEALED, sheets.COLLECTION)
"""In the order in which they are walked through."""

_CHUNK: Final = 200
_PLACE: Final = "reencrypt"
UNSEALED: Final = "unsealed"
"""Counted as the key of values that no key has sealed."""


class Place(Struct, frozen=True):
    """Where a walk stands.

    Attributes:
        collection: In this collection.
        after: ``_id`` of the last document that is done; '' before the first.
        documents: So many were looked at in it in this walk.
        changed: So many were written, in all collections.
        broken: ``collection/_id`` of those that do not open, in all collections.
    """

    collection: str
    after: str = ""
    documents: int = 0
    changed: int = 0
    broken: tuple[str, ...] = ()


class Reencryption:
    """Walks through the store.

    Args:
        database: The store.
        ring: Its active keys are those that everything is to be sealed with.
    """

    def __init__(self, database: Database, ring: KeyRing) -> None:
        self._database, self._ring = database, ring
        self._keys = MongoDataKeys(database, ring)
        self._placement = database["placement"]

    @property
    def active_keys(self) -> set[str]:
        """Ids of the keys that everything is to be sealed with."""
        return {self._ring.sealing_key, self._ring.indexing_key}

    async def totals(self) -> dict[str, int]:
        """Return about how many documents each collection has."""
        return {name: await self._database[name].count() for name in COLLECTIONS}

    async def stopped_at(self) -> Place | None:
        """Return where an earlier walk with the same ring was stopped."""
        found = await self._placement.one({"_id": _PLACE})
        if found is None or (found["serial"], found["collection"] in COLLECTIONS) != (
            self._ring.secrets.serial,
            True,
        ):
            return None
        return Place(found["collection"], found["after"])

    async def walk(self, begin: Place | None = None) -> AsyncIterator[Place]:
        """Seal everything from a place on; yields after each step, which is written down."""
        place = begin or Place(COLLECTIONS[0])
        for name in COLLECTIONS[COLLECTIONS.index(place.collection) :]:
            if name != place.collection:
                place = Place(name, "", 0, place.changed, place.broken)
            where = {"_id": {"$gt": place.after}} if place.after else {}
            async for documents in self._database[name].walk(where, _CHUNK):
                changes, broken = await self._changes(name, documents)
                await self._database[name].bulk(changes, upsert=False)
                place = Place(
                    name,
                    documents[-1]["_id"],
                    place.documents + len(documents),
                    place.changed + len(changes),
                    (*place.broken, *(f"{name}/{each}" for each in broken)),
                )
                await self._write_down(place)
                yield place
        await self._placement.delete({"_id": _PLACE})

    async def census(self) -> Counter[str]:
        """Return how many values each key has sealed, by its id; those that none has are ``unsealed``."""
        uses: Counter[str] = Counter()
        for name in COLLECTIONS:
            async for documents in self._database[name].walk({}, _CHUNK):
                for document in documents:
                    uses.update(_keys_in(name, document))
                if name in INDEXED:
                    uses.update(await self._index_keys(name, documents))
        return uses

    async def _write_down(self, place: Place) -> None:
        at = {"serial": self._ring.secrets.serial, "collection": place.collection, "after": place.after}
        await self._placement.update({"_id": _PLACE}, {"$set": at}, upsert=True)

    async def _changes(self, name: str, documents: Sequence[Document]) -> tuple[list[Change], list[str]]:
        """Return what is to be written, and the ids of documents with a value that does not open."""
        if name in BY_RING:
            return _tried(documents, lambda row: self._rewrapped(name, row))
        due = [each for each in documents if name in INDEXED or any(_old_in(name, each))]
        keys = await self._keys.made(list({_user_of(name, each) for each in due}))
        if name == sheets.COLLECTION:
            return _tried(due, lambda sheet: _sealed_sheet(sheet, keys[sheet["u"]]))
        return _tried(due, lambda row: self._sealed_row(name, row, keys[_user_of(name, row)]))

    def _rewrapped(self, name: str, row: Document) -> tuple[Document, Document]:
        identity, before, after = row["_id"], {}, {}
        for field in BY_RING[name]:
            sealed = row.get(field)
            if sealed is not None and key_id_of(sealed) != self._ring.sealing_key:
                value = self._ring.unseal_bytes(name, identity, field, sealed)
                before[field] = sealed
                after[field] = self._ring.seal_bytes(name, identity, field, value)
        return before, after

    def _sealed_row(self, name: str, row: Document, key: DataKey) -> tuple[Document, Document]:
        """Return the fields to change, as they are and as they are to be."""
        identity = row["_id"]
        before, after = {}, {}
        for field in SEALED[name]:
            value = row.get(field)
            if value is not None and not is_by_data_key(value):
                before[field] = value
                after[field] = key.seal(name, identity, field, key.unseal(name, identity, field, value))
        for field, index in INDEXED.get(name, {}).items():
            if (value := row.get(field)) is not None:
                blind = self._ring.blind(field, key.unseal(name, identity, field, value))
                if row.get(index) != blind:
                    before[field], after[index] = value, blind
        return before, after

    async def _index_keys(self, name: str, documents: Sequence[Document]) -> list[str]:
        """Return the ids of the keys that made the indexes in these documents."""
        found: list[str] = []
        fields = INDEXED[name]
        with_index = [each for each in documents if any(each.get(index) for index in fields.values())]
        keys = await self._keys.of_all({_user_of(name, each) for each in with_index})
        for document in with_index:
            key = keys[_user_of(name, document)]
            for field, index in fields.items():
                if (digest := document.get(index)) is not None:
                    text = key.unseal(name, document["_id"], field, document[field])
                    found += self._ring.blinded_by(field, text, digest)
        return found


def _tried(
    documents: Iterable[Document], change: Callable[[Document], tuple[Document, Document]]
) -> tuple[list[Change], list[str]]:
    changes: list[Change] = []
    broken: list[str] = []
    for document in documents:
        try:
            before, after = change(document)
        except SealBroken:
            broken.append(document["_id"])
            continue
        if after:
            changes.append(({"_id": document["_id"], **before}, {"$set": after}))
    return changes, broken


def _sealed_sheet(sheet: Document, key: DataKey) -> tuple[Document, Document]:
    return {"n": None}, sheets.renewed(sheet, key)


def _user_of(name: str, document: Document) -> str:
    field = {"users": "_id", sheets.COLLECTION: "u"}.get(name, "user")
    user: str = document[field]
    return user


def _values_in(name: str, document: Document) -> list[Any]:
    """Return the values that are sealed, or ought to be."""
    if name == sheets.COLLECTION:
        return [document.get("n", "")]
    fields = BY_RING.get(name) or SEALED[name]
    return [value for field in fields if (value := document.get(field)) is not None]


def _old_in(name: str, document: Document) -> list[bool]:
    return [not is_by_data_key(value) for value in _values_in(name, document)]


def _keys_in(name: str, document: Document) -> list[str]:
    values = (value for value in _values_in(name, document) if not is_by_data_key(value))
    return [key_id_of(value) or UNSEALED if isinstance(value, bytes) else UNSEALED for value in values]
