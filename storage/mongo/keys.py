"""Public keys of devices in MongoDB, as canonical JSON bytes.

A key that was given out stays behind as a tombstone with the digest of its bytes: an upload
repeated after a lost reply must not bring a used one-time key back.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from roost.clock import Clock, now_ms
from storage.account_rows import CrossSignature, KeySupply, StoredIdentity
from storage.mongo.database import Database, row_id
from storage.mongo.driver import ASCENDING, Document

_FREE: Final = "free"
_FALLBACK: Final = "fallback"
_CLAIMED: Final = "claimed"
_CHOICE: Final = 16
_PLACES: Final = 10
"""Bits of a key's place in its upload."""

_TOMBSTONE_S: Final = 90 * 24 * 3600
"""How long the id of a used key is remembered: longer than any client keeps an upload in hand."""


class MongoKeys:
    """Implements ``storage.ports.Keys``."""

    def __init__(self, database: Database, clock: Clock = now_ms) -> None:
        self._clock = clock
        self._users, self._devices = database["users"], database["devices"]
        self._one_time_keys = database["one_time_keys"]

    async def prepare(self) -> None:
        await self._one_time_keys.index(
            [("owner", ASCENDING), ("algorithm", ASCENDING), ("state", ASCENDING)]
        )
        await self._one_time_keys.index([("claimed_at", ASCENDING)], ttl_s=_TOMBSTONE_S)

    async def put_device_keys(
        self, user_id: str, device: str, keys: Mapping[str, Any], signing_key: bytes
    ) -> str:
        identity, uploaded = row_id(user_id, device), _canonical(keys)
        without = {"_id": identity, "keys": None, "signing_key": {"$in": [None, signing_key]}}
        if await self._devices.update(without, {"$set": {"keys": uploaded}}):
            return "added"
        found = await self._devices.one({"_id": identity}, ["keys"])
        if found is None:
            return "unknown"
        return "unchanged" if found["keys"] == uploaded else "conflict"

    async def put_identity(
        self, user_id: str, identity: StoredIdentity, before: StoredIdentity | None
    ) -> bool:
        was = {"_id": user_id, "identity": None if before is None else encoded_identity(before)}
        return await self._users.update(was, {"$set": {"identity": encoded_identity(identity)}})

    async def put_signatures(self, user_id: str, signatures: Mapping[str, CrossSignature]) -> None:
        changes = [
            ({"_id": row_id(user_id, device)}, {"$set": {"cross_signature": [each.by, each.signature]}})
            for device, each in signatures.items()
        ]
        await self._devices.bulk(changes, upsert=False)

    async def add_one_time_keys(
        self, user_id: str, device: str, keys: Mapping[str, Mapping[str, Any]], *, fallback: bool
    ) -> bool:
        state = _FALLBACK if fallback else _FREE
        # The clock and the place in the upload: later uploads come after it, whichever gateway took them.
        first, owner = self._clock() << _PLACES, row_id(user_id, device)
        documents = [
            _document(owner, name, key, state) | {"order": first + place}
            for place, (name, key) in enumerate(keys.items())
        ]
        if not documents:
            return True
        if await self._conflict(documents):
            return False
        taken = set(await self._one_time_keys.insert_missing(documents))
        if taken and await self._conflict(documents):
            # Another upload came in between with other bytes: none of this one may stay.
            ours = [each["_id"] for each in documents if each["_id"] not in taken]
            await self._one_time_keys.delete({"_id": {"$in": ours}})
            return False
        if fallback:
            await self._drop_earlier_fallbacks(documents)
        return True

    async def supply(self, user_id: str, device: str) -> KeySupply:
        left = {"owner": row_id(user_id, device), "state": {"$in": [_FREE, _FALLBACK]}}
        found = await self._one_time_keys.many(left, ["algorithm", "state", "used"])
        one_time = Counter(each["algorithm"] for each in found if each["state"] == _FREE)
        unused = {
            each["algorithm"] for each in found if each["state"] == _FALLBACK and not each.get("used", False)
        }
        return KeySupply(dict(one_time), tuple(sorted(unused)))

    async def claim_one_time_key(
        self, user_id: str, device: str, algorithm: str, *, fallback: bool = False
    ) -> tuple[str, dict[str, Any]] | None:
        kind = {"owner": row_id(user_id, device), "algorithm": algorithm}
        # Chosen first and then taken by its `_id`: the embedded surrogate scans the collection for
        # an update that is found in any other way. Who loses a race takes another one.
        while not fallback and (
            free := await self._one_time_keys.many(
                kind | {"state": _FREE}, ["_id"], sort=[("order", ASCENDING)], limit=_CHOICE
            )
        ):
            for each in free:
                if taken := await self._take(each["_id"]):
                    return taken
        found = await self._one_time_keys.one(kind | {"state": _FALLBACK})
        if found is not None and not found.get("used", False):
            await self._one_time_keys.update({"_id": found["_id"]}, {"$set": {"used": True}})
        return _name_and_key(found) if found else None

    async def _take(self, identity: str) -> tuple[str, dict[str, Any]] | None:
        # The key itself goes; its id and digest stay. The server's clock dates the tombstone.
        claim = {"$set": {"state": _CLAIMED}, "$unset": {"key": ""}, "$currentDate": {"claimed_at": True}}
        found = await self._one_time_keys.update_and_get(
            {"_id": identity, "state": _FREE}, claim, before=True
        )
        return _name_and_key(found) if found else None

    async def _conflict(self, documents: list[Document]) -> bool:
        """Return whether one of the key ids is there with other bytes."""
        digests = {document["_id"]: document["digest"] for document in documents}
        found = await self._one_time_keys.many({"_id": {"$in": list(digests)}}, ["digest"])
        return any(each["digest"] != digests[each["_id"]] for each in found)

    async def _drop_earlier_fallbacks(self, documents: list[Document]) -> None:
        for new in documents:
            earlier = {"owner": new["owner"], "algorithm": new["algorithm"], "state": _FALLBACK}
            await self._one_time_keys.delete(earlier | {"_id": {"$ne": new["_id"]}})


def encoded_identity(identity: StoredIdentity) -> bytes:
    """Return an identity as it is stored: always the same bytes of the same objects."""
    return _canonical(msgspec.structs.asdict(identity))


def _name_and_key(found: Document) -> tuple[str, dict[str, Any]]:
    return found["name"], msgspec.json.decode(found["key"])


def _canonical(key: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(key, order="sorted")


def _document(owner: str, name: str, key: Mapping[str, Any], state: str) -> Document:
    content = _canonical(key)
    return {
        "_id": row_id(owner, name),
        "owner": owner,
        "name": name,
        "algorithm": name.partition(":")[0],
        "state": state,
        "key": content,
        "digest": hashlib.blake2b(content, digest_size=16).digest(),
    }
