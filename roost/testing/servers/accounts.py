"""Accounts, devices and push tokens, in memory, beyond what a host asks for."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import structs

from sim.deterministic.stores import Store
from storage.account_rows import Device, PushToken, User

_PROFILE: Final = frozenset({"display_name", "last_seen", "read_receipts", "delivery_receipts", "requests"})
_NO_TOKEN: Final = dict.fromkeys(("push_provider", "push_token", "push_keys", "push_session"))


class MemoryAccounts(Store):
    """Implements ``storage.ports.Accounts`` and ``PushTokens``, with what the deterministic runs have."""

    async def add_user(self, user: User) -> bool:
        """Insert the account, if its name is free."""
        if self.users.get(user.user_id) == user:
            return True
        if any(
            user.username == each.username or user.user_id == each.user_id for each in self.users.values()
        ):
            return False
        self.users[user.user_id] = user
        return True

    async def user_by_name(self, username: str, *, opened: bool = True) -> User | None:
        """Return the account of this name."""
        del opened  # nothing is sealed here
        return next((each for each in self.users.values() if each.username == username), None)

    async def ids_by_contact(self, field: str, text: str) -> list[str]:
        """Return the accounts with this phone or email."""
        return [user for user, each in self.users.items() if getattr(each, field) == text]

    async def update_profile(self, user_id: str, changes: Mapping[str, Any]) -> User | None:
        """Set the display name and settings."""
        if unknown := set(changes) - _PROFILE:
            raise ValueError(f"a profile has no {', '.join(sorted(unknown))}")
        if user_id in self.users:
            self.users[user_id] = structs.replace(self.users[user_id], **changes)
        return self.users.get(user_id)

    async def set_password_hash(self, user_id: str, password_hash: str, before: str) -> bool:
        """Replace the hash, if it is as it was."""
        user = self.users.get(user_id)
        if user is None or user.password_hash != before:
            return False
        self.users[user_id] = structs.replace(user, password_hash=password_hash)
        return True

    async def set_scope(self, user_id: str, scope: str, *, granted: bool) -> User | None:
        """Give a scope, or take it away."""
        user = self.users.get(user_id)
        if user is not None:
            others = tuple(each for each in user.scopes if each != scope)
            self.users[user_id] = structs.replace(user, scopes=(*others, scope) if granted else others)
        return self.users.get(user_id)

    async def touch_users(self, last_seen_ms: Mapping[str, int]) -> None:
        """Raise when users were last seen."""
        for user_id, at_ms in last_seen_ms.items():
            if (user := self.users.get(user_id)) is not None and user.last_seen_ms < at_ms:
                self.users[user_id] = structs.replace(user, last_seen_ms=at_ms)

    async def add_device(self, device: Device) -> None:
        """Insert the device, if it is not there."""
        if self.device(device.user, device.device) is None:
            self.devices.setdefault(device.user, []).append(device)
            self.devices[device.user].sort(key=lambda each: (each.created_at_ms, each.device))

    async def set_signing_key(self, user_id: str, device: str, key: bytes) -> bool:
        """Set the signing key of a device that has none, and no keys."""
        known = self.device(user_id, device)
        if known is None or known.keys is not None or known.signing_key not in (None, key):
            return False
        return self.change(user_id, device, signing_key=key)

    async def sign_out(self, user_id: str, device: str | None, keep: str | None) -> None:
        """Mark the device, or all but one, as signed out."""
        for each in list(self.devices.get(user_id, ())):
            if each.device == device or (device is None and each.device != keep):
                self.change(user_id, each.device, signed_out=True)

    async def sign_in(self, user_id: str, device: str) -> None:
        """Take that mark away."""
        self.change(user_id, device, signed_out=False)

    async def remove_device(self, user_id: str, device: str) -> bool:
        """Remove the device and its cursor."""
        self.cursors.get(user_id, {}).pop(device, None)
        known = self.device(user_id, device)
        if known is not None:
            self.devices[user_id].remove(known)
        return known is not None

    def device(self, user_id: str, device: str) -> Device | None:
        """Return one device."""
        return next((each for each in self.devices.get(user_id, ()) if each.device == device), None)

    def change(self, user_id: str, device: str, **changes: Any) -> bool:
        """Change a device; returns whether it is there."""
        mine = self.devices.get(user_id, [])
        for place, each in enumerate(mine):
            if each.device == device:
                mine[place] = structs.replace(each, **changes)
                return True
        return False

    # --- push tokens ------------------------------------------------------------------------------

    async def register(
        self, user_id: str, device: str, token: PushToken, session: str, now_ms: int
    ) -> list[str] | None:
        """Give the token to a device, and take it from every other one."""
        mine = self.device(user_id, device)
        if mine is None:
            return None
        every = [each for devices in self.devices.values() for each in devices]
        holders = [e for e in every if (e.push_provider, e.push_token) == (token.provider, token.token)]
        if holders == [mine] and (mine.push_session, mine.push_keys) == (session, token.keys):
            return []
        latest = max(each.push_since_ms for each in (*holders, mine))
        for each in holders:
            self.change(each.user, each.device, **_NO_TOKEN)
        self.change(
            user_id,
            device,
            push_provider=token.provider,
            push_token=token.token,
            push_keys=token.keys,
            push_session=session,
            push_since_ms=max(now_ms, latest + 1),
        )
        return list({user_id, *(each.user for each in holders if each.device != device)})

    async def drop(self, user_id: str, device: str, token: str | None) -> bool:
        """Remove the device's token, if it is that one."""
        known = self.device(user_id, device)
        if known is None or known.push_token is None or token not in (None, known.push_token):
            return False
        return self.change(user_id, device, **_NO_TOKEN)
