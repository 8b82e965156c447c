"""Mailboxes and conversations."""

from collections.abc import Sequence
from typing import Protocol

from storage.mailbox_rows import Conversation, Cursor, MailboxDocument, Stub
from storage.records import MessageKey


class Mailboxes(Protocol):
    """Stored entries, and how far each device has acknowledged them."""

    async def insert(self, documents: Sequence[MailboxDocument]) -> None:
        """Insert the entries durably, in one unordered write.

        One that is there already is left as it is, so replays change nothing. On an exception any
        part of them may have been written. Of each user these must be all entries between the first and
        the last of them, and everything before them must have been inserted already.
        """
        ...

    async def range(self, user_id: str, after: int, upto: int, limit: int) -> list[MailboxDocument]:
        """Return entries with ``after < seq <= upto``, lowest first."""
        ...

    async def latest(self, user_id: str, below: int, limit: int) -> list[MailboxDocument]:
        """Return the entries with ``seq < below``, highest first."""
        ...

    async def tail(self, user_id: str, after: int, below: int, limit: int) -> list[MailboxDocument]:
        """Return the mailbox's end before ``below``, lowest first, with nothing left out or swept in between.

        Args:
            user_id: Whose mailbox.
            after: It need not begin before this, but has one entry at least, if there is any.
            below: Upper bound.
            limit: About so many are enough.
        """
        ...

    async def exists(self, user_id: str, seq: int) -> bool:
        """Return whether the mailbox holds this entry."""
        ...

    async def find_causes(
        self, user_id: str, causes: Sequence[str], below: int
    ) -> dict[MessageKey, MailboxDocument]:
        """Return the messages among these ids with ``seq < below``.

        What was accepted ten minutes before the time in an id, or earlier, is not looked at: an id is at
        most five minutes ahead of the server's clock.
        """
        ...

    async def put_stubs(self, stubs: Sequence[Stub]) -> None:
        """Keep these for as long as an id is good; one that is there already is left as it is."""
        ...

    async def find_stubs(self, user_id: str, causes: Sequence[str]) -> dict[MessageKey, Stub]:
        """Return what is kept of messages to the user that went nowhere, or were swept."""
        ...

    async def history(
        self, user_id: str, peer: str, below: int, limit: int, *, sent: bool = False
    ) -> list[MailboxDocument]:
        """Return messages in ``user_id``'s mailbox sent by ``peer`` with ``seq < below``, highest first.

        With ``sent``, also the copies of what the user's devices sent to the peer.
        """
        ...

    async def summary(self, user_id: str, limit: int) -> dict[str, list[tuple[int, int]]]:
        """Return ``{sender: [(seq, at_ms), ...]}``, newest first, of the last ``limit`` messages.

        Those that are silent are left out.
        """
        ...

    async def sweep(self, user_id: str, below: int) -> None:
        """Delete entries with ``seq < below``; those that are stored together with a later one may stay."""
        ...

    async def cursors_of(self, user_ids: Sequence[str]) -> dict[str, dict[str, int]]:
        """Return ``{user: {device: seq}}``."""
        ...

    async def put_cursors(self, cursors: Sequence[Cursor]) -> None:
        """Raise the cursors; a lower one changes nothing."""
        ...


class Conversations(Protocol):
    """What users know of their conversations: one row of watermarks for each peer."""

    async def of_user(self, user_id: str) -> list[Conversation]:
        """Return all rows of the user."""
        ...

    async def of_users(self, user_ids: Sequence[str]) -> dict[str, list[Conversation]]:
        """Return the rows of each of these users."""
        ...

    async def receipts_after(self, user_id: str, after: int, upto: int) -> list[Conversation]:
        """Return the user's rows with ``after < receipt_seq <= upto``, by ``receipt_seq``."""
        ...

    async def put(self, rows: Sequence[Conversation]) -> None:
        """Insert the rows or raise their numbers; no number is ever lowered (replays, two writers)."""
        ...
