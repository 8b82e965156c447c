"""The handover report of a host that leaves: no entry that it had in memory unacknowledged is missing."""

from typing import Any, Final

from actors.user import UserActor
from storage.ports import Store

_AT_ONCE: Final = 100


class Handover:
    """Unacknowledged entries by user, written down as the host lets go of its users."""

    def __init__(self) -> None:
        self._entries: dict[str, list[int]] = {}

    def add(self, user: str, actor: UserActor) -> None:
        """Write down what an actor leaves behind."""
        if entries := actor.unacknowledged():
            self._entries[user] = entries

    async def report(self, store: Store) -> dict[str, Any]:
        """Look for every entry in the store, once nothing is left to be written.

        Returns:
            ``before``: entries written down; ``users``: of so many; ``acknowledged``: of these, those that
            every device has acknowledged since; ``after``: those that are in the store and wait;
            ``missing``: those that are neither. ``before = after + acknowledged + missing``.

        Raises:
            Unavailable: The store is away.
        """
        counts = {"before": 0, "users": len(self._entries), "after": 0, "acknowledged": 0, "missing": 0}
        users = list(self._entries)
        for start in range(0, len(users), _AT_ONCE):
            some = users[start : start + _AT_ONCE]
            cursors = await store.mailboxes.cursors_of(some)
            devices = await store.accounts.devices_of(some, opened=False)
            for user in some:
                entries = self._entries[user]
                upto = min(
                    (cursors[user].get(each.device, each.from_seq) for each in devices[user]), default=0
                )
                found = await store.mailboxes.range(user, entries[0] - 1, entries[-1], len(entries) + 1)
                stored = {document.seq for document in found}
                waiting = [seq for seq in entries if seq > upto]
                counts["before"] += len(entries)
                counts["acknowledged"] += len(entries) - len(waiting)
                counts["after"] += sum(seq in stored for seq in waiting)
                counts["missing"] += sum(seq not in stored for seq in waiting)
        return counts
