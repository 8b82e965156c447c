"""The document store in memory: every port that the roles of one machine use."""

from collections.abc import Mapping, Sequence

from roost.ids import SEQ_LIMIT
from roost.testing.servers.accounts import MemoryAccounts
from roost.testing.servers.keys import MemoryKeys
from roost.testing.servers.media import MemoryBlobs
from roost.testing.servers.sessions import MemorySessions
from roost.testing.servers.upkeep import MemoryAudit, MemoryErasures
from storage.cluster_rows import DeadLetter, LogState
from storage.mailbox_rows import Conversation, MailboxDocument, is_copy_to
from storage.shard_map import ShardMap


class _Erasures(MemoryErasures):
    def __init__(self, store: "MemoryStore") -> None:
        super().__init__()
        self._store = store

    async def erase(self, user_id: str, sessions_until_ms: int) -> int:
        """Delete all that is stored of the user."""
        del sessions_until_ms  # ended ones stay
        return self._store.forget_user(user_id)


class MemoryStore(MemoryAccounts):
    """Implements ``storage.ports.Store``.

    Attributes:
        dead_letters: Records that a host could not handle: a fault, in a test.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sessions = MemorySessions()
        self.keys = MemoryKeys(self.users, self.change, self.device)
        self.blobs = MemoryBlobs()
        self.erasures, self.audit = _Erasures(self), MemoryAudit()
        self.push_tokens = self.retention = self
        self.dead_letters: list[DeadLetter] = []
        self._positions: dict[str, str] = {}

    async def end(self, user_id: str, sessions: Sequence[str]) -> bool:
        """Remove the push tokens that go with these sessions."""
        mine = [each for each in self.devices.get(user_id, ()) if each.push_session in sessions]
        return any([await self.drop(user_id, each.device, None) for each in mine])

    async def remove_device(self, user_id: str, device: str) -> bool:
        """Remove the device with its keys."""
        self.keys.forget(user_id, device)
        return await super().remove_device(user_id, device)

    def forget_user(self, user_id: str) -> int:
        """Delete everything of a user; returns how much there was."""
        held = [self.users, self.devices, self.documents, self.rows, self.cursors, self.blocks]
        self.blobs.bury_all(user_id)
        for device in self.devices.get(user_id, ()):
            self.keys.forget(user_id, device.device)
        return sum(rows.pop(user_id, None) is not None for rows in held)  # type: ignore[attr-defined]

    # --- mailboxes and conversations --------------------------------------------------------------

    async def history(
        self, user_id: str, peer: str, below: int, limit: int, *, sent: bool = False
    ) -> list[MailboxDocument]:
        """Return messages of this sender, highest first, with the copies of those to it if asked."""

        def wanted(each: MailboxDocument) -> bool:
            return (each.kind == "m" and each.sender == peer) or (sent and is_copy_to(each, peer))

        return [each for each in await self.latest(user_id, below, SEQ_LIMIT) if wanted(each)][:limit]

    async def tail(self, user_id: str, after: int, below: int, limit: int) -> list[MailboxDocument]:
        """Return the end before the bound, lowest first, as far back as nothing is missing."""
        found: list[MailboxDocument] = []
        for each in await self.latest(user_id, below, limit):
            if found and (found[-1].prev != each.seq or each.seq <= after):
                break
            found.append(each)
        return found[::-1]

    async def summary(self, user_id: str, limit: int) -> dict[str, list[tuple[int, int]]]:
        """Return the last messages by sender, newest first."""
        found: dict[str, list[tuple[int, int]]] = {}
        shown = [
            e for e in await self.latest(user_id, SEQ_LIMIT, SEQ_LIMIT) if e.kind == "m" and not e.silent
        ]
        for each in shown[:limit]:
            found.setdefault(each.sender, []).append((each.seq, each.at_ms))
        return found

    async def of_user(self, user_id: str) -> list[Conversation]:
        """Return all rows of the user."""
        return list(self.rows.get(user_id, {}).values())

    # --- the sweep --------------------------------------------------------------------------------

    async def users_after(self, username: str, limit: int) -> list[tuple[str, str]]:
        """Return the users whose names follow."""
        found = sorted((each.username, user) for user, each in self.users.items())
        return [each for each in found if each[0] > username][:limit]

    async def position(self, name: str) -> str:
        """Return where this sweeper is."""
        return self._positions.get(name, "")

    async def put_position(self, name: str, username: str) -> None:
        """Keep it."""
        self._positions[name] = username

    # --- the cluster ------------------------------------------------------------------------------

    async def put_log_states(self, states: Sequence[LogState]) -> None:
        """Insert or replace."""
        self.logs |= {each.shard: each for each in states}

    async def raise_stored(self, base: int, stored: Mapping[int, int]) -> None:
        """Raise what is stored of the shards that there are."""
        await super().raise_stored(base, {shard: at for shard, at in stored.items() if shard in self.logs})

    async def put_shard_map(self, shard_map: ShardMap) -> bool:
        """Store the next map."""
        if shard_map.version != (self.map.version if self.map else 0) + 1:
            return False
        self.map = shard_map
        return True

    async def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """Keep them."""
        self.dead_letters += letters

    async def ping(self) -> None:
        """Return: memory is always there."""

    async def close(self) -> None:
        """Nothing to close."""
