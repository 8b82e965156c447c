"""Public keys of devices, in memory."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct, structs

from storage.account_rows import CrossSignature, Device, KeySupply, StoredIdentity, User


class _Key(Struct):
    name: str
    key: dict[str, Any]
    digest: bytes
    state: str
    used: bool = False

    @property
    def algorithm(self) -> str:
        return self.name.partition(":")[0]


class MemoryKeys:
    """Implements ``storage.ports.Keys``.

    Args:
        users: The accounts, by id.
        change: Changes a device, and returns whether it is there.
        device: Returns a device.
    """

    def __init__(
        self,
        users: dict[str, User],
        change: Callable[..., bool],
        device: Callable[[str, str], Device | None],
    ) -> None:
        self._users, self._change, self._device = users, change, device
        self._keys: dict[tuple[str, str], dict[str, _Key]] = {}

    async def put_device_keys(
        self, user_id: str, device: str, keys: Mapping[str, Any], signing_key: bytes
    ) -> str:
        """Store the signed device keys, once."""
        known = self._device(user_id, device)
        if known is None:
            return "unknown"
        if known.keys is not None:
            return "unchanged" if _canonical(known.keys) == _canonical(keys) else "conflict"
        if known.signing_key not in (None, signing_key):
            return "conflict"
        self._change(user_id, device, keys=dict(keys))
        return "added"

    async def put_identity(
        self, user_id: str, identity: StoredIdentity, before: StoredIdentity | None
    ) -> bool:
        """Store the identity if it is still ``before``."""
        user = self._users.get(user_id)
        if user is None or user.identity != before:
            return False
        self._users[user_id] = structs.replace(user, identity=identity)
        return True

    async def put_signatures(self, user_id: str, signatures: Mapping[str, CrossSignature]) -> None:
        """Store the signatures under these devices."""
        for device, signature in signatures.items():
            self._change(user_id, device, cross_signature=signature)

    async def add_one_time_keys(
        self, user_id: str, device: str, keys: Mapping[str, Mapping[str, Any]], *, fallback: bool
    ) -> bool:
        """Store keys; False if one of the ids was uploaded with other bytes."""
        mine = self._keys.setdefault((user_id, device), {})
        new = {
            name: _Key(name, dict(key), _digest(key), "fallback" if fallback else "free")
            for name, key in keys.items()
        }
        if any(name in mine and mine[name].digest != key.digest for name, key in new.items()):
            return False
        for name, key in new.items():
            mine.setdefault(name, key)
            if fallback:
                for other in [e for e in mine.values() if e.state == "fallback" and e.name != name]:
                    if other.algorithm == key.algorithm:
                        del mine[other.name]
        return True

    async def supply(self, user_id: str, device: str) -> KeySupply:
        """Return what is left."""
        mine = self._keys.get((user_id, device), {}).values()
        free = Counter(each.algorithm for each in mine if each.state == "free")
        unused = {each.algorithm for each in mine if each.state == "fallback" and not each.used}
        return KeySupply(dict(free), tuple(sorted(unused)))

    async def claim_one_time_key(
        self, user_id: str, device: str, algorithm: str, *, fallback: bool = False
    ) -> tuple[str, dict[str, Any]] | None:
        """Take the oldest one-time key, or else the fallback key."""
        mine = [e for e in self._keys.get((user_id, device), {}).values() if e.algorithm == algorithm]
        free = [] if fallback else [each for each in mine if each.state == "free"]
        if free:
            free[0].state = "claimed"
            return free[0].name, free[0].key
        kept = next((each for each in mine if each.state == "fallback"), None)
        if kept is None:
            return None
        kept.used = True
        return kept.name, kept.key

    def forget(self, user_id: str, device: str) -> None:
        """Remove the keys of a device that is gone."""
        self._keys.pop((user_id, device), None)


def _canonical(key: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(key, order="sorted")


def _digest(key: Mapping[str, Any]) -> bytes:
    return hashlib.blake2b(_canonical(key), digest_size=16).digest()
