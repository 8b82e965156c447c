"""MongoDB and Redis as far as the rules use them, in memory, with the guarantees of `storage.ports`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from msgspec import structs

from roost.errors import Unavailable
from sim.deterministic.turns import Turn
from storage.account_rows import Device, TokenFamily, User
from storage.cluster_rows import LogState
from storage.mailbox_rows import Block, Conversation, Cursor, Expiring, MailboxDocument, Stub, merged
from storage.ports import Accepted
from storage.records import MessageKey, without_content
from storage.shard_map import ShardMap


class Store:
    """What is durable. Answers at once; hosts see it through `Slow`.

    Attributes:
        used_ms: When each device's session was renewed.
        swept: Is told of a user what is about to be swept: all below a number.
    """

    def __init__(self) -> None:
        self.swept: Callable[[str, int], None] = lambda _user, _below: None
        self.users: dict[str, User] = {}
        self.devices: dict[str, list[Device]] = {}
        self.documents: dict[str, dict[int, MailboxDocument]] = {}
        self.rows: dict[str, dict[str, Conversation]] = {}
        self.cursors: dict[str, dict[str, int]] = {}
        self.blocks: dict[str, dict[str, Block]] = {}
        self.stubs: dict[tuple[str, str, str, str], Stub] = {}
        self.used_ms: dict[str, int] = {}
        self.expiring: dict[tuple[str, int], Expiring] = {}
        self.logs: dict[int, LogState] = {}
        self.map: ShardMap | None = None
        # One object serves every port of `storage.ports.Store`.
        self.accounts = self.mailboxes = self.conversations = self.cluster = self
        self.retention = self
        self.sessions: Any = Sessions(self)

    # --- accounts ---

    async def users_by_id(self, user_ids: Sequence[str], *, opened: bool = True) -> dict[str, User]:
        """Return the accounts that exist."""
        del opened  # nothing is sealed here
        return {user: self.users[user] for user in user_ids if user in self.users}

    async def user_by_name(self, username: str, *, opened: bool = True) -> User | None:
        """Return the account; ids are names here."""
        del opened  # nothing is sealed here
        return self.users.get(username)

    async def devices_of(self, user_ids: Sequence[str], *, opened: bool = True) -> dict[str, list[Device]]:
        """Return the devices."""
        del opened  # nothing is sealed here
        return {user: list(self.devices.get(user, ())) for user in user_ids}

    async def raise_floors(self, floors: Mapping[tuple[str, str], int]) -> None:
        """Raise the floors."""
        for user, devices in self.devices.items():
            self.devices[user] = [
                structs.replace(each, floor=max(each.floor, floors.get((user, each.device), each.floor)))
                for each in devices
            ]

    async def touch_users(self, last_seen_ms: Mapping[str, int]) -> None:
        """Nothing here depends on it."""

    async def set_block(self, block: Block) -> None:
        """Write the block, unless there is one with a greater revision."""
        mine = self.blocks.setdefault(block.user, {})
        if block.peer not in mine or mine[block.peer].revision <= block.revision:
            mine[block.peer] = block

    async def blocks_of(self, user_ids: Sequence[str]) -> dict[str, list[Block]]:
        """Return the blocks."""
        return {user: list(self.blocks.get(user, {}).values()) for user in user_ids}

    # --- mailboxes ---

    def mailbox(self, user: str) -> list[MailboxDocument]:
        """Return the user's documents, lowest first."""
        mine = self.documents.get(user, {})
        return [mine[seq] for seq in sorted(mine)]

    async def insert(self, documents: Sequence[MailboxDocument]) -> None:
        """Insert what is missing; one that is there stays as it is."""
        for document in documents:
            self.documents.setdefault(document.user, {}).setdefault(document.seq, document)

    async def range(self, user_id: str, after: int, upto: int, limit: int) -> list[MailboxDocument]:
        """Return ``after < seq <= upto``, lowest first."""
        return [each for each in self.mailbox(user_id) if after < each.seq <= upto][:limit]

    async def latest(self, user_id: str, below: int, limit: int) -> list[MailboxDocument]:
        """Return the newest below, highest first."""
        return [each for each in reversed(self.mailbox(user_id)) if each.seq < below][:limit]

    async def tail(self, user_id: str, after: int, below: int, limit: int) -> list[MailboxDocument]:
        """Return the end before the bound, lowest first."""
        mine = [each for each in self.mailbox(user_id) if each.seq < below]
        return [each for each in mine[-limit:] if each.seq > after] or mine[-1:]

    async def history(self, user_id: str, peer: str, below: int, limit: int) -> list[MailboxDocument]:
        """Return the newest messages of this sender below, highest first."""
        mine = [e for e in reversed(self.mailbox(user_id)) if (e.kind, e.sender) == ("m", peer)]
        return [each for each in mine if each.seq < below][:limit]

    async def exists(self, user_id: str, seq: int) -> bool:
        """Return whether there is such a document."""
        return seq in self.documents.get(user_id, {})

    async def find_causes(
        self, user_id: str, causes: Sequence[str], below: int
    ) -> dict[MessageKey, MailboxDocument]:
        """Return the oldest message of each id."""
        found = [
            e
            for e in reversed(self.mailbox(user_id))
            if e.seq < below and e.kind == "m" and e.cause in causes
        ]
        return {(each.sender, each.sender_device, each.cause): each for each in found}

    async def sweep(self, user_id: str, below: int) -> None:
        """Delete what is below."""
        self.swept(user_id, below)
        mine = self.documents.get(user_id, {})
        self.documents[user_id] = {seq: each for seq, each in mine.items() if seq >= below}

    async def put_stubs(self, stubs: Sequence[Stub]) -> None:
        """Keep what is missing."""
        for stub in stubs:
            self.stubs.setdefault((stub.user, stub.sender, stub.sender_device, stub.cause), stub)

    async def find_stubs(self, user_id: str, causes: Sequence[str]) -> dict[MessageKey, Stub]:
        """Return what is kept of these messages to the user."""
        return {
            (sender, device, cause): stub
            for (user, sender, device, cause), stub in self.stubs.items()
            if user == user_id and cause in causes
        }

    async def of_users(self, user_ids: Sequence[str]) -> dict[str, list[Conversation]]:
        """Return the rows."""
        return {user: list(self.rows.get(user, {}).values()) for user in user_ids}

    async def receipts_after(self, user_id: str, after: int, upto: int) -> list[Conversation]:
        """Return rows whose last receipt is in this range."""
        rows = [row for row in self.rows.get(user_id, {}).values() if after < row.receipt_seq <= upto]
        return sorted(rows, key=lambda row: row.receipt_seq)

    async def put(self, rows: Sequence[Conversation]) -> None:
        """Merge the rows: of each number the greatest."""
        for row in rows:
            mine = self.rows.setdefault(row.user, {})
            mine[row.peer] = merged(row, mine.get(row.peer, row))

    async def cursors_of(self, user_ids: Sequence[str]) -> dict[str, dict[str, int]]:
        """Return the cursors."""
        return {user: dict(self.cursors.get(user, {})) for user in user_ids}

    async def put_cursors(self, cursors: Sequence[Cursor]) -> None:
        """Raise the cursors."""
        for cursor in cursors:
            mine = self.cursors.setdefault(cursor.user, {})
            mine[cursor.device] = max(cursor.seq, mine.get(cursor.device, 0))

    # --- retention ---

    async def note(self, documents: Sequence[MailboxDocument]) -> None:
        """Keep a row for each entry that expires."""
        for each in documents:
            self.expiring.setdefault((each.user, each.seq), Expiring(each.user, each.seq, each.expires_at_ms))

    async def expired(self, now_ms: int, limit: int) -> list[Expiring]:
        """Return the rows whose time is over."""
        due = sorted(self.expiring.values(), key=lambda row: row.expires_at_ms)
        return [row for row in due if row.expires_at_ms <= now_ms][:limit]

    async def empty(self, user_id: str, seq: int) -> None:
        """Remove the content of an entry."""
        mine = self.documents.get(user_id, {})
        if seq in mine:
            mine[seq] = structs.replace(mine[seq], record=without_content(mine[seq].record))

    async def forget(self, rows: Sequence[Expiring]) -> None:
        """Remove rows."""
        for row in rows:
            self.expiring.pop((row.user, row.seq), None)

    # --- the map and the log's state ---

    async def shard_map(self) -> ShardMap | None:
        """Return the newest."""
        return self.map

    async def log_states(self) -> dict[int, LogState]:
        """Return each shard's."""
        return dict(self.logs)

    async def raise_stored(self, base: int, stored: Mapping[int, int]) -> None:
        """Raise what is stored, for the log with this base."""
        for shard, offset in stored.items():
            known = self.logs[shard]
            if known.base == base and known.stored < offset:
                self.logs[shard] = structs.replace(known, stored=offset)


class Sessions:
    """The sessions of a store: each device has one."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def of_user(self, user_id: str) -> list[TokenFamily]:
        """Return them, with when each was renewed."""
        used_ms = self._store.used_ms
        return [
            TokenFamily(each.device, user_id, each.device, b"", None, 0, used_ms.get(each.device, 0), 0)
            for each in self._store.devices.get(user_id, ())
        ]


class Cache:
    """Redis: may forget everything at any time."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Accepted] = {}
        self.snapshots: dict[str, bytes] = {}

    def flush(self) -> None:
        """Forget everything."""
        self.answers.clear()
        self.snapshots.clear()

    async def recall(self, keys: Sequence[tuple[str, str]]) -> list[Accepted | None]:
        """Return what was answered."""
        return [self.answers.get(key) for key in keys]

    async def greatest_ids(self, devices: Sequence[str]) -> dict[str, str]:
        """Return the greatest id answered of each device."""
        known = [(device, message_id) for device, message_id in self.answers if device in devices]
        return {device: max(each for owner, each in known if owner == device) for device, _ in known}

    async def remember(self, answers: Mapping[tuple[str, str], Accepted]) -> None:
        """Keep what was answered."""
        self.answers.update(answers)

    async def put_snapshots(self, snapshots: Mapping[str, bytes]) -> None:
        """Keep passivated actors."""
        self.snapshots.update(snapshots)

    async def take_snapshots(self, users: Sequence[str]) -> dict[str, bytes]:
        """Take them out."""
        return {user: self.snapshots.pop(user) for user in users if user in self.snapshots}

    async def clear_wakeups(self, devices: Sequence[str]) -> list[int]:
        """Wake-ups are not simulated."""
        del devices
        return []

    async def put_presence(self, states: Mapping[str, tuple[bool, int]]) -> None:
        """Presence is not simulated."""


class SlowPort:
    """A port as a host sees it: every call waits for its turn, and may fail before or after it worked."""

    def __init__(self, real: object) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._real, name)

        async def call(*args: Any, **named: Any) -> Any:
            fate = await Turn()
            if fate == "refused":
                raise Unavailable("The store is away.")
            result = await method(*args, **named)
            if fate == "lost":
                raise Unavailable("The reply was lost.")
            return result

        return call


class Slow(SlowPort):
    """A store whose ports are one object, but for sessions."""

    def __init__(self, real: object) -> None:
        super().__init__(real)
        self.accounts = self.mailboxes = self.conversations = self.cluster = self.retention = self
        self.sessions = SlowPort(getattr(real, "sessions", None))
