"""Users, devices and blocks in MongoDB. What tells who a person is, but for the username, is sealed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog

from storage.account_rows import Device, User
from storage.keyring import DataKey, KeyRing
from storage.mailbox_rows import Block
from storage.mongo.data_keys import MongoDataKeys
from storage.mongo.database import Database, row_id
from storage.mongo.driver import ASCENDING, Document
from storage.mongo.keys import encoded_identity

_PROFILE: Final = frozenset({"display_name", "last_seen", "read_receipts", "delivery_receipts", "requests"})
SEALED: Final[Mapping[str, tuple[str, ...]]] = {
    "users": ("password_hash", "display_name", "phone", "email"),
    "devices": ("name", "push_token", "push_keys"),
    "blocks": ("peer_name",),
}
"""The fields of each collection that are sealed with the data key of the row's user."""

INDEXED: Final[Mapping[str, Mapping[str, str]]] = {
    "users": {"phone": "phone_index", "email": "email_index"},
    "devices": {"push_token": "push_index"},
}
"""The sealed fields of each collection that have a blind index, with the field where that is."""


log = structlog.get_logger()


class MongoAccounts:
    """Implements ``storage.ports.Accounts``."""

    def __init__(self, database: Database, keyring: KeyRing, data_keys: MongoDataKeys) -> None:
        self._ring, self._keys = keyring, data_keys
        self._users = database["users"]
        self._devices = database["devices"]
        self._blocks = database["blocks"]
        self._one_time_keys, self._cursors = database["one_time_keys"], database["cursors"]

    async def prepare(self) -> None:
        await self._users.index([("username", ASCENDING)], unique=True)
        await self._devices.index([("user", ASCENDING)])
        await self._blocks.index([("user", ASCENDING)])

    async def add_user(self, user: User) -> bool:
        key = (await self._keys.made([user.user_id]))[user.user_id]
        if await self._users.insert(self._user_document(user, key)):
            return True
        # The same account again is our own insert whose reply was lost.
        if await self._users.one({"_id": user.user_id, "username": user.username}, ["_id"]) is not None:
            return True
        await self._keys.drop(user.user_id)
        return False

    async def user_by_name(self, username: str, *, opened: bool = True) -> User | None:
        found = await self._users.one({"username": username})
        return next(iter((await self._opened_users([found] if found else [], opened=opened)).values()), None)

    async def users_by_id(self, user_ids: Sequence[str], *, opened: bool = True) -> dict[str, User]:
        found = await self._users.many({"_id": {"$in": list(user_ids)}})
        return await self._opened_users(found, opened=opened)

    async def ids_by_contact(self, field: str, text: str) -> list[str]:
        index = INDEXED["users"].get(field)
        if index is None:
            raise ValueError(f"there is no index of {field}")
        where = {index: {"$in": self._ring.blinds(field, text)}}
        return [found["_id"] for found in await self._users.many(where, ["_id"])]

    async def update_profile(self, user_id: str, changes: Mapping[str, Any]) -> User | None:
        if unknown := set(changes) - _PROFILE:
            raise ValueError(f"a profile has no {', '.join(sorted(unknown))}")
        if not changes:
            return (await self.users_by_id([user_id])).get(user_id)
        sealed = await self._sealed("users", user_id, user_id, changes)
        found = await self._users.update_and_get({"_id": user_id}, {"$set": sealed})
        return (await self._opened_users([found] if found else [])).get(user_id)

    async def set_password_hash(self, user_id: str, password_hash: str, before: str) -> bool:
        found = await self._users.one({"_id": user_id}, ["password_hash"])
        key = await self._keys.of(user_id)
        if found is None or key.unseal("users", user_id, "password_hash", found["password_hash"]) != before:
            return False
        sealed = await self._sealed("users", user_id, user_id, {"password_hash": password_hash})
        # Every sealing differs, so the very bytes read serve as the compare-and-set's witness.
        return await self._users.update(found, {"$set": sealed})

    async def set_scope(self, user_id: str, scope: str, *, granted: bool) -> User | None:
        change = {"$addToSet": {"scopes": scope}} if granted else {"$pull": {"scopes": scope}}
        found = await self._users.update_and_get({"_id": user_id}, change)
        return (await self._opened_users([found] if found else [])).get(user_id)

    async def touch_users(self, last_seen_ms: Mapping[str, int]) -> None:
        changes = [({"_id": user}, {"$max": {"last_seen_ms": at_ms}}) for user, at_ms in last_seen_ms.items()]
        await self._users.bulk(changes, upsert=False)

    async def add_device(self, device: Device) -> None:
        key = (await self._keys.made([device.user]))[device.user]
        await self._devices.insert(self._device_document(device, key))

    async def devices_of(self, user_ids: Sequence[str], *, opened: bool = True) -> dict[str, list[Device]]:
        rows = await self._devices.many({"user": {"$in": list(user_ids)}})
        keys = await self._keys.of_all({row["user"] for row in rows}) if opened else {}
        found = [self._device(row, keys.get(row["user"])) for row in self._readable("devices", rows, keys)]
        devices: dict[str, list[Device]] = {user: [] for user in user_ids}
        for device in sorted(found, key=lambda each: (each.created_at_ms, each.device)):
            devices[device.user].append(device)
        return devices

    async def set_signing_key(self, user_id: str, device: str, key: bytes) -> bool:
        without = {"_id": row_id(user_id, device), "keys": None, "signing_key": {"$in": [None, key]}}
        return await self._devices.update(without, {"$set": {"signing_key": key}})

    async def sign_out(self, user_id: str, device: str | None, keep: str | None) -> None:
        these = {"user": user_id, "device": {"$ne": keep} if device is None else device}
        await self._devices.update_many(these, {"$set": {"signed_out": True}})

    async def sign_in(self, user_id: str, device: str) -> None:
        await self._devices.update({"_id": row_id(user_id, device)}, {"$set": {"signed_out": False}})

    async def raise_floors(self, floors: Mapping[tuple[str, str], int]) -> None:
        changes = [({"_id": row_id(*of)}, {"$max": {"floor": seq}}) for of, seq in floors.items()]
        await self._devices.bulk(changes, upsert=False)

    async def remove_device(self, user_id: str, device: str) -> bool:
        identity = row_id(user_id, device)
        # The device goes last: if this is cut short, it is still there to be removed again.
        await self._one_time_keys.delete({"owner": identity})
        await self._cursors.update({"_id": user_id}, {"$unset": {f"devices.{device}": ""}})
        return await self._devices.delete({"_id": identity}) == 1

    async def set_block(self, block: Block) -> None:
        identity = row_id(block.user, block.peer)
        row = await self._sealed("blocks", block.user, identity, msgspec.to_builtins(block)) | {
            "_id": identity
        }
        not_newer = {"_id": row["_id"], "revision": {"$lte": block.revision}}
        if not await self._blocks.update(not_newer, {"$set": row}) and not await self._blocks.insert(row):
            # There is a newer one; or an older one has been inserted meanwhile, and gives way.
            await self._blocks.update(not_newer, {"$set": row})

    async def blocks_of(self, user_ids: Sequence[str]) -> dict[str, list[Block]]:
        blocks: dict[str, list[Block]] = {user: [] for user in user_ids}
        rows = await self._blocks.many({"user": {"$in": list(user_ids)}})
        keys = await self._keys.of_all({row["user"] for row in rows})
        for row in self._readable("blocks", rows, keys):
            _open("blocks", row, row["_id"], keys[row["user"]])
            blocks[row["user"]].append(msgspec.convert(row, Block))
        return blocks

    # --- sealing ----------------------------------------------------------------------------------

    async def _sealed(
        self, collection: str, user_id: str, identity: str, values: Mapping[str, Any]
    ) -> Document:
        """Return the values with those sealed that are to be."""
        if not any(values.get(name) is not None for name in SEALED[collection]):
            return dict(values)
        key = (await self._keys.made([user_id]))[user_id]
        return _seal(collection, dict(values), identity, key)

    async def _opened_users(self, documents: Sequence[Document], *, opened: bool = True) -> dict[str, User]:
        keys = await self._keys.of_all([document["_id"] for document in documents]) if opened else {}
        users: dict[str, User] = {}
        for document in self._readable("users", documents, keys):
            identity = document["user_id"] = document.pop("_id")
            _open("users", document, identity, keys.get(identity))
            if (published := document.get("identity")) is not None:
                document["identity"] = msgspec.json.decode(published)
            users[identity] = msgspec.convert(document, User)
        return users

    def _readable(
        self, collection: str, rows: Iterable[Document], keys: Mapping[str, DataKey]
    ) -> list[Document]:
        """Return the rows without those of users that are being erased: their keys are gone already."""
        found = []
        for row in rows:
            key = keys.get(row["_id"] if collection == "users" else row["user"])
            if key is not None and not key.present and any(map(key.is_lost, _sealed_in(collection, row))):
                log.warning("row_of_an_erased_user", collection=collection, row=row["_id"])
            else:
                found.append(row)
        return found

    def _user_document(self, user: User, key: DataKey) -> Document:
        document: Document = msgspec.structs.asdict(user)
        identity = document["_id"] = document.pop("user_id")
        document["scopes"] = list(user.scopes)
        if user.identity is not None:
            document["identity"] = encoded_identity(user.identity)
        for name, index in INDEXED["users"].items():
            if (text := document[name]) is not None:
                document[index] = self._ring.blind(name, text)
        return _seal("users", document, identity, key)

    def _device_document(self, device: Device, key: DataKey) -> Document:
        document: Document = msgspec.structs.asdict(device)
        identity = document["_id"] = row_id(device.user, device.device)
        if device.keys is not None:
            document["keys"] = msgspec.json.encode(device.keys, order="sorted")
        if device.cross_signature is not None:
            document["cross_signature"] = list(msgspec.structs.astuple(device.cross_signature))
        return _seal("devices", document, identity, key)

    def _device(self, document: Document, key: DataKey | None) -> Device:
        identity = document.pop("_id")
        if (keys := document["keys"]) is not None:
            document["keys"] = msgspec.json.decode(keys)
        _open("devices", document, identity, key)
        return msgspec.convert(document, Device)


def _sealed_in(collection: str, row: Document) -> Iterable[Any]:
    return (row.get(name) for name in SEALED[collection])


def _seal(collection: str, document: Document, identity: str, key: DataKey) -> Document:
    for name in SEALED[collection]:
        if (text := document.get(name)) is not None:
            document[name] = key.seal(collection, identity, name, text)
    return document


def _open(collection: str, document: Document, identity: str, key: DataKey | None) -> None:
    """Open the sealed fields; without a key each is left empty instead."""
    for name in SEALED[collection]:
        if (sealed := document.get(name)) is not None:
            document[name] = "" if key is None else key.unseal(collection, identity, name, sealed)
