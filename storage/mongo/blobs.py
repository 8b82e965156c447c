"""Rows of media in MongoDB; each blob's key is sealed into its row."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from storage.blob_records import Blob, Usage
from storage.keyring import KeyRing
from storage.mongo.database import Database
from storage.mongo.driver import ASCENDING, Document

COLLECTION: Final = "blobs"
SEALED: Final = "key"
"""The field that the key ring seals: what the parts are sealed with."""

_USAGE: Final = ("size", "state", "created_at_ms")


class MongoBlobs:
    """Implements ``storage.ports.Blobs``."""

    def __init__(self, database: Database, keyring: KeyRing) -> None:
        self._rows = database[COLLECTION]
        self._ring = keyring

    async def prepare(self) -> None:
        await self._rows.index([("user", ASCENDING)])
        await self._rows.index([("expires_at_ms", ASCENDING)])

    async def add(self, blob: Blob) -> None:
        document: Document = msgspec.to_builtins(blob, builtin_types=(bytes,))
        name = document["_id"] = document.pop("name")
        document[SEALED] = self._ring.seal_bytes(COLLECTION, name, SEALED, blob.key)
        await self._rows.insert(document)

    async def get(self, name: str) -> Blob | None:
        found = await self._rows.one({"_id": name})
        return self._blob(found) if found else None

    async def usage(self, user: str) -> list[Usage]:
        found = await self._rows.many({"user": user}, _USAGE)
        return [Usage(each["_id"], *(each[field] for field in _USAGE)) for each in found]

    async def take_over(self, seen: Blob, writer: str, runs: Sequence[tuple[int, str]]) -> bool:
        witness = {"_id": seen.name, "state": "open", "writer": seen.writer, "offset": seen.offset}
        change = {"writer": writer, "runs": [list(each) for each in runs]}
        return await self._rows.update(witness, {"$set": change})

    async def advance(self, name: str, writer: str, offset: int) -> bool:
        return await self._rows.update(_held(name, writer), {"$max": {"offset": offset}})

    async def finish(self, name: str, writer: str, size: int, expires_at_ms: int) -> bool:
        change = {"state": "whole", "offset": size, "size": size, "expires_at_ms": expires_at_ms}
        return await self._rows.update(_held(name, writer), {"$set": change})

    async def bury(self, name: str, until_ms: int) -> None:
        change: dict[str, Any] = {"$set": {"state": "gone", "expires_at_ms": until_ms}, "$unset": {"key": ""}}
        living = {"_id": name, "state": {"$ne": "gone"}}
        found = await self._rows.update_and_get(living, change, before=True)
        if found is not None and found["state"] == "open":
            await self._rows.update({"_id": name}, {"$set": {"size": found["offset"]}})

    async def due(self, now_ms: int, limit: int) -> list[Blob]:
        found = await self._rows.many({"expires_at_ms": {"$lte": now_ms}}, limit=limit)
        return [self._blob({**each, "key": None}) for each in found]

    async def forget(self, name: str) -> None:
        await self._rows.delete({"_id": name})

    def _blob(self, document: Document) -> Blob:
        name = document["name"] = document.pop("_id")
        sealed = document.get("key")
        document[SEALED] = self._ring.unseal_bytes(COLLECTION, name, SEALED, sealed) if sealed else b""
        return msgspec.convert(document, Blob)


def _held(name: str, writer: str) -> Document:
    return {"_id": name, "state": "open", "writer": writer}
