"""What erases accounts, sweeps mailboxes and writes down acts, in memory."""

from collections.abc import Sequence

from msgspec import structs

from storage.account_rows import Erasure
from storage.audit_chain import Act, AuditEntry, following


class MemoryErasures:
    """The rows of ``storage.ports.Erasures``; the deletion itself is the store's."""

    def __init__(self) -> None:
        self._rows: dict[str, Erasure] = {}
        self._names: set[str] = set()

    async def ask(self, erasure: Erasure) -> Erasure:
        """Insert the row, or have the one that is there be due no later."""
        known = self._rows.setdefault(erasure.user, erasure)
        if known.state == "asked" and erasure.due_at_ms < known.due_at_ms:
            self._rows[erasure.user] = structs.replace(known, due_at_ms=erasure.due_at_ms)
        return self._rows[erasure.user]

    async def cancel(self, user_id: str) -> bool:
        """Keep the account, if erasing has not begun."""
        known = self._rows.get(user_id)
        return known is not None and known.state == "asked" and self._rows.pop(user_id) is known

    async def get(self, user_id: str) -> Erasure | None:
        """Return the row."""
        return self._rows.get(user_id)

    async def pending(self) -> list[Erasure]:
        """Return every account that is not erased yet."""
        waiting = [each for each in self._rows.values() if each.state != "erased"]
        return sorted(waiting, key=lambda each: each.due_at_ms)

    async def begin(self, user_id: str, now_ms: int) -> bool:
        """Begin if it is due."""
        known = self._rows.get(user_id)
        if known is not None and known.state == "asked" and known.due_at_ms <= now_ms:
            known = self._rows[user_id] = structs.replace(known, state="erasing")
            self._names.add(known.username)
        return known is not None and known.state == "erasing"

    async def looked(self, user_id: str, now_ms: int) -> None:
        """Note that all that was found is deleted."""
        if user_id in self._rows:
            self._rows[user_id] = structs.replace(self._rows[user_id], looked_at_ms=now_ms)

    async def finish(self, user_id: str, until_ms: int) -> None:
        """The account is erased; here its name stays taken for good."""
        del until_ms
        known = self._rows.get(user_id)
        if known is not None and known.state == "erasing":
            self._rows[user_id] = structs.replace(known, state="erased", username="")

    async def erased(self, user_ids: Sequence[str]) -> set[str]:
        """Return those who are erased, or being erased."""
        return {user for user in user_ids if user in self._rows and self._rows[user].state != "asked"}

    async def is_reserved(self, username: str) -> bool:
        """Return whether the name was that of an erased account."""
        return username in self._names


class MemoryAudit:
    """Implements ``storage.ports.Audit``."""

    def __init__(self) -> None:
        self._entries: list[AuditEntry] = []

    async def append(self, act: Act, at_ms: int) -> AuditEntry:
        """Append the act."""
        self._entries.append(following(self._entries[-1] if self._entries else None, act, at_ms))
        return self._entries[-1]

    async def entries(self, after: int = 0, limit: int = 0) -> list[AuditEntry]:
        """Return the entries behind a number."""
        return self._entries[after : after + limit if limit else None]
