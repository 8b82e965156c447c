"""Users, devices and blocks in MongoDB. Phone, e-mail, push token and device name are sealed."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from storage.keyring import KeyRing
from storage.mongo.database import Database, row_id
from storage.mongo.driver import ASCENDING, Document
from storage.records import Block, Device, User

_PROFILE: Final = frozenset({"display_name", "last_seen", "read_receipts", "delivery_receipts", "requests"})


class MongoAccounts:
    """Implements ``storage.ports.Accounts``."""

    def __init__(self, database: Database, keyring: KeyRing) -> None:
        self._ring = keyring
        self._users = database["users"]
        self._devices = database["devices"]
        self._blocks = database["blocks"]
        self._one_time_keys, self._cursors = database["one_time_keys"], database["cursors"]

    async def prepare(self) -> None:
        await self._users.index([("username", ASCENDING)], unique=True)
        await self._devices.index([("user", ASCENDING)])
        await self._blocks.index([("user", ASCENDING)])

    async def add_user(self, user: User) -> bool:
        if await self._users.insert(self._user_document(user)):
            return True
        # The same account again is our own insert whose reply was lost.
        return await self._users.one({"_id": user.user_id, "username": user.username}, ["_id"]) is not None

    async def user_by_name(self, username: str) -> User | None:
        found = await self._users.one({"username": username})
        return self._user(found) if found else None

    async def users_by_id(self, user_ids: Sequence[str]) -> dict[str, User]:
        found = await self._users.many({"_id": {"$in": list(user_ids)}})
        return {document["_id"]: self._user(document) for document in found}

    async def update_profile(self, user_id: str, changes: Mapping[str, Any]) -> User | None:
        if unknown := set(changes) - _PROFILE:
            raise ValueError(f"a profile has no {', '.join(sorted(unknown))}")
        if not changes:
            return (await self.users_by_id([user_id])).get(user_id)
        found = await self._users.update_and_get({"_id": user_id}, {"$set": dict(changes)})
        return self._user(found) if found else None

    async def set_password_hash(self, user_id: str, password_hash: str) -> None:
        await self._users.update({"_id": user_id}, {"$set": {"password_hash": password_hash}})

    async def touch_users(self, last_seen_ms: Mapping[str, int]) -> None:
        changes = [({"_id": user}, {"$max": {"last_seen_ms": at_ms}}) for user, at_ms in last_seen_ms.items()]
        await self._users.bulk(changes, upsert=False)

    async def add_device(self, device: Device) -> None:
        await self._devices.insert(self._device_document(device))

    async def devices_of(self, user_ids: Sequence[str]) -> dict[str, list[Device]]:
        found = [self._device(each) for each in await self._devices.many({"user": {"$in": list(user_ids)}})]
        devices: dict[str, list[Device]] = {user: [] for user in user_ids}
        for device in sorted(found, key=lambda each: (each.created_at_ms, each.device)):
            devices[device.user].append(device)
        return devices

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
        row = {"_id": row_id(block.user, block.peer), **msgspec.to_builtins(block)}
        not_newer = {"_id": row["_id"], "revision": {"$lte": block.revision}}
        if not await self._blocks.update(not_newer, {"$set": row}) and not await self._blocks.insert(row):
            # There is a newer one; or an older one has been inserted meanwhile, and gives way.
            await self._blocks.update(not_newer, {"$set": row})

    async def blocks_of(self, user_ids: Sequence[str]) -> dict[str, list[Block]]:
        blocks: dict[str, list[Block]] = {user: [] for user in user_ids}
        for row in await self._blocks.many({"user": {"$in": list(user_ids)}}):
            blocks[row["user"]].append(msgspec.convert(row, Block))
        return blocks

    def _user_document(self, user: User) -> Document:
        document: Document = msgspec.structs.asdict(user)
        identity = document.pop("user_id")
        document["_id"] = identity
        document["scopes"] = list(user.scopes)
        for name in ("phone", "email"):
            if (text := document[name]) is not None:
                document[name] = self._ring.seal("users", identity, name, text)
                document[f"{name}_index"] = self._ring.blind(name, text)
        return document

    def _user(self, document: Document) -> User:
        identity = document["user_id"] = document.pop("_id")
        for name in ("phone", "email"):
            if (sealed := document[name]) is not None:
                document[name] = self._ring.unseal("users", identity, name, sealed)
        return msgspec.convert(document, User)

    def _device_document(self, device: Device) -> Document:
        document: Document = msgspec.structs.asdict(device)
        identity = document["_id"] = row_id(device.user, device.device)
        if device.keys is not None:
            document["keys"] = msgspec.json.encode(device.keys, order="sorted")
        for name in ("name", "push_token"):
            if (text := document[name]) is not None:
                document[name] = self._ring.seal("devices", identity, name, text)
        return document

    def _device(self, document: Document) -> Device:
        identity = document.pop("_id")
        if (keys := document["keys"]) is not None:
            document["keys"] = msgspec.json.decode(keys)
        for name in ("name", "push_token"):
            if (sealed := document[name]) is not None:
                document[name] = self._ring.unseal("devices", identity, name, sealed)
        return msgspec.convert(document, Device)
