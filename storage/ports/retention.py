"""Retention: what a sweep needs beside mailboxes, and entries whose own time is over."""

from collections.abc import Sequence
from typing import Protocol

from storage.mailbox_rows import Expiring, MailboxDocument


class Retention(Protocol):
    """The walk over all users, and the rows of entries that expire. All calls are idempotent."""

    async def users_after(self, username: str, limit: int) -> list[tuple[str, str]]:
        """Return ``(username, user id)`` of the users whose names follow, in the order of names."""
        ...

    async def position(self, name: str) -> str:
        """Return the username behind which this sweeper goes on, '' at the beginning."""
        ...

    async def put_position(self, name: str, username: str) -> None:
        """Store it."""
        ...

    async def note(self, documents: Sequence[MailboxDocument]) -> None:
        """Keep a row for each of these entries that expires. Called before they are inserted."""
        ...

    async def expired(self, now_ms: int, limit: int) -> list[Expiring]:
        """Return rows whose time is over, the oldest first."""
        ...

    async def empty(self, user_id: str, seq: int) -> None:
        """Remove the content of an entry: payloads, and of a copy whom it was for.

        The entry stays, with its place in the chain and its sender: receipts and cursors are numbers of
        entries.
        """
        ...

    async def forget(self, rows: Sequence[Expiring]) -> None:
        """Remove rows whose entries are empty."""
        ...
