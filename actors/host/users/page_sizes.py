"""How many entries make a page, of users whose entries are large. No I/O.

What is remembered spares reading more than a page holds, and is never needed: what is too much is left out
and read again.
"""

from collections.abc import Sequence
from typing import Final

from roost.wire import PAGE_BYTES, WINDOW
from storage.mailbox_rows import MailboxDocument

_USERS: Final = 10_000


class PageSizes:
    """Numbers of entries by user, as the last page had them."""

    def __init__(self) -> None:
        self._entries: dict[str, int] = {}

    def most(self, user: str, limit: int) -> int:
        """Return how many entries to read where ``limit`` are wanted."""
        return min(limit, self._entries.get(user, limit))

    def first(self, user: str, documents: list[MailboxDocument]) -> list[MailboxDocument]:
        """Return the first of them that are a page's bytes: what a record has for other devices counts."""
        sizes = [len(document.record) for document in documents]
        if sum(sizes) < PAGE_BYTES:
            if len(documents) >= self._entries.get(user, WINDOW):
                self._entries.pop(user, None)  # they have become smaller
            return documents
        page = documents[: _fitting(sizes)]
        self._entries.pop(user, None)
        self._entries[user] = len(page)
        if len(self._entries) > _USERS:
            del self._entries[next(iter(self._entries))]
        return page


def _fitting(sizes: Sequence[int]) -> int:
    """Return how many of the first reach a page's bytes."""
    total = 0
    for number, size in enumerate(sizes, 1):
        total += size
        if total >= PAGE_BYTES:
            return number
    return len(sizes)
