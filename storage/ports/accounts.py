"""Accounts, their sessions, and the public keys of their devices."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from storage.account_rows import CrossSignature, Device, KeySupply, StoredIdentity, TokenFamily, User
from storage.mailbox_rows import Block


class Accounts(Protocol):
    """Users, their devices and blocks.

    What is read with ``opened=False`` has its sealed fields left empty: for those who need to know that there
    is a push token, say, and not which.
    """

    async def add_user(self, user: User) -> bool:
        """Insert the account; False if the username is taken (nothing is written then). Atomic."""
        ...

    async def user_by_name(self, username: str, *, opened: bool = True) -> User | None:
        """Return the account with exactly this (folded) username."""
        ...

    async def users_by_id(self, user_ids: Sequence[str], *, opened: bool = True) -> dict[str, User]:
        """Return the accounts that exist among these."""
        ...

    async def ids_by_contact(self, field: str, text: str) -> list[str]:
        """Return the ids of the accounts with this ``phone`` or ``email``, found by its blind index."""
        ...

    async def update_profile(self, user_id: str, changes: Mapping[str, Any]) -> User | None:
        """Set the display name and settings, and return the account after it."""
        ...

    async def set_password_hash(self, user_id: str, password_hash: str, before: str) -> bool:
        """Replace the password hash if it is still ``before``; False, and nothing changes, if not. Atomic."""
        ...

    async def set_scope(self, user_id: str, scope: str, *, granted: bool) -> User | None:
        """Give the account a scope, or take it away; returns the account after it. Atomic, idempotent."""
        ...

    async def touch_users(self, last_seen_ms: Mapping[str, int]) -> None:
        """Raise each user's ``last_seen_ms``; never lowers it."""
        ...

    async def add_device(self, device: Device) -> None:
        """Insert the device; an existing one is left as it is."""
        ...

    async def devices_of(self, user_ids: Sequence[str], *, opened: bool = True) -> dict[str, list[Device]]:
        """Return each user's devices, oldest first; users without devices have an empty list."""
        ...

    async def set_signing_key(self, user_id: str, device: str, key: bytes) -> bool:
        """Set the signing key of a device that has none, and no keys; return whether it has this one now.

        Atomic.
        """
        ...

    async def sign_out(self, user_id: str, device: str | None, keep: str | None) -> None:
        """Mark the device (all devices if None, but not ``keep``) as signed out."""
        ...

    async def sign_in(self, user_id: str, device: str) -> None:
        """Take that mark away."""
        ...

    async def raise_floors(self, floors: Mapping[tuple[str, str], int]) -> None:
        """Raise devices' floors: ``{(user, device): seq}``.

        A lower one changes nothing, and neither does one of a device that is gone.
        """
        ...

    async def remove_device(self, user_id: str, device: str) -> bool:
        """Remove the device with its keys, push token and cursor; False if it was not there."""
        ...

    async def set_block(self, block: Block) -> None:
        """Insert the block of (user, peer), or replace one whose revision is not greater."""
        ...

    async def blocks_of(self, user_ids: Sequence[str]) -> dict[str, list[Block]]:
        """Return each user's blocks, lifted ones (``until_seq`` set) included."""
        ...


class Sessions(Protocol):
    """Families of refresh tokens."""

    async def add(self, session: TokenFamily) -> None:
        """Insert a family of refresh tokens."""
        ...

    async def get(self, family: str) -> TokenFamily | None:
        """Return the family, ended or not."""
        ...

    async def of_user(self, user_id: str) -> list[TokenFamily]:
        """Return the user's families, ended or not, the oldest first."""
        ...

    async def rotate(self, session: TokenFamily, following: bytes, now_ms: int, expires_at_ms: int) -> bool:
        """Make ``following`` current and the current hash previous, and move the end of the family. Atomic.

        It needs signatures from then on if ``session`` says so. Repeats in a row are counted on if the last
        rotation had one. False, and nothing changes, if the
        family has ended or has another current hash than ``session``.
        """
        ...

    async def repeat(self, family: str, current: bytes) -> None:
        """Note, once for each rotation, that the token before the current one came again. Atomic."""
        ...

    async def end(self, user_id: str, device: str | None, now_ms: int, keep: str = "") -> list[str]:
        """End the living families of the device (of all devices if None) but ``keep``; returns their ids."""
        ...

    async def living(self, user_id: str) -> list[TokenFamily]:
        """Return the user's families that have not ended, oldest first; expired ones may be among them."""
        ...

    async def ended_since(self, at_ms: int) -> list[str]:
        """Return the ids of the families that ended at or after this time."""
        ...


class Keys(Protocol):
    """Public keys of devices. The server checks signatures before it calls these."""

    async def put_device_keys(
        self, user_id: str, device: str, keys: Mapping[str, Any], signing_key: bytes
    ) -> str:
        """Store the signed device keys; ``signing_key`` is the Ed25519 key in them. Atomic.

        Returns:
            'added', 'unchanged', 'conflict' if other bytes are there, or the device named another signing
            key when it logged in (nothing changes then), or
            'unknown' if there is no such device.
        """
        ...

    async def put_identity(
        self, user_id: str, identity: StoredIdentity, before: StoredIdentity | None
    ) -> bool:
        """Store the user's identity if it is still ``before``; False, and nothing changes, if not. Atomic."""
        ...

    async def put_signatures(self, user_id: str, signatures: Mapping[str, CrossSignature]) -> None:
        """Store the identity's signature under each of these devices; a device that is gone is left out."""
        ...

    async def add_one_time_keys(
        self, user_id: str, device: str, keys: Mapping[str, Mapping[str, Any]], *, fallback: bool
    ) -> bool:
        """Store ``{"signed_curve25519:ID": object}``; a repeat changes nothing, also after a claim.

        False, and nothing is stored, if one of the ids was uploaded before with other bytes. A fallback
        key replaces the earlier fallback key of its algorithm.
        """
        ...

    async def supply(self, user_id: str, device: str) -> KeySupply:
        """Return how many one-time keys are left, and which fallback keys were given out."""
        ...

    async def claim_one_time_key(
        self, user_id: str, device: str, algorithm: str, *, fallback: bool = False
    ) -> tuple[str, dict[str, Any]] | None:
        """Take one key: each one-time key once only, then the fallback key again and again.

        One-time keys go in the order of their upload. With ``fallback`` they are spared. A fallback key that
        is taken counts as used from then on.

        A lost reply loses that key, never gives it twice.
        """
        ...
