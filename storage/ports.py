"""The ports: what the rest of Roost may ask of the servers underneath, and what each call guarantees.

Every call that cannot reach its server raises ``roost.errors.Unavailable``; whether it took
effect is then unknown, which is why every write here is idempotent or a compare-and-set.
No driver's type or exception passes through a port.
Long, because every call to a server stands here, with its guarantee.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from storage.records import (
    Block,
    Conversation,
    Cursor,
    Dead,
    Device,
    LogState,
    MailboxDocument,
    Roster,
    ShardMap,
    TokenFamily,
    User,
)


class LogRecord(Struct, array_like=True, frozen=True):
    """One value read from the log."""

    offset: int
    value: bytes


class LogLost(Exception):  # noqa: N818 -- named for what happened
    """The log no longer reaches to where these shards are read: it was lost, recreated or trimmed.

    Nothing is skipped: the reader stays where it is and says so again at every ``poll``.

    Attributes:
        shards: The shards concerned.
    """

    def __init__(self, shards: tuple[int, ...]) -> None:
        super().__init__(f"The log of shards {shards} no longer reaches to where they are read.")
        self.shards = shards


class Contact(Struct, frozen=True):
    """How a reader stands with the log's brokers.

    Attributes:
        silent_s: Seconds since any of them last answered.
        answering_s: Seconds for which they have answered without a long pause; 0 while they do not.
    """

    silent_s: float
    answering_s: float


class LogWriter(Protocol):
    """Appends to the topics. One per process."""

    async def append(self, topic: str, items: Sequence[tuple[int, bytes]]) -> list[int | Exception]:
        """Append ``(shard, value)`` items and wait until each is durable (``acks=all``).

        Items of one shard keep their order, within a call and between calls made one after the
        other (a later call need not wait for an earlier one). An item whose fate is unknown is
        answered by an ``Unavailable`` in its place; it may still appear in the log later.

        Returns:
            For each item, in the order given, its offset or the exception.
        """
        ...

    async def pause(self) -> None:
        """Hold back new appends, and return when none is in flight. Idempotent.

        What the log does not answer within a second or so is given up as unknown: it is not sent again
        when the log comes back.
        """
        ...

    def resume(self) -> None:
        """Let appends go on. Idempotent."""
        ...

    @property
    def batches(self) -> int:
        """How many batches were confirmed to us so far."""
        ...

    def ends(self, topic: str) -> dict[int, int]:
        """Return per shard the offset after the last record that was confirmed to us, unless we forgot it."""
        ...

    def forget(self, begun_anew: Mapping[str, Iterable[int]]) -> None:
        """Forget the ends of these shards, by topic: their log began anew."""
        ...

    def renumber(self) -> None:
        """Refuse what waits: there are more shards now, and it may belong to another one."""
        ...

    async def close(self) -> None:
        """Flush and disconnect."""
        ...


class LogReader(Protocol):
    """Reads partitions that somebody else chose; commits to one group."""

    async def assign(self, shards: Mapping[int, int]) -> None:
        """Read exactly these shards, each from the given offset; shards already read keep their position."""
        ...

    async def begin_anew(self) -> None:
        """Forget every position and end, and read nothing until the next ``assign``: the log began anew.

        No record and no number of the log before is given out afterwards. If it raises ``Unavailable``,
        nothing has changed.
        """
        ...

    async def committed(self, shards: Sequence[int]) -> dict[int, int | None]:
        """Return each shard's committed offset: the next to be read, None if there is none."""
        ...

    async def poll(self, *, wait_ms: int, limit: int) -> dict[int, list[LogRecord]]:
        """Return what is there, in offset order per shard, waiting at most ``wait_ms`` for the first.

        Raises:
            LogLost: A shard's position is not in the log any more, or the topic is gone. Records of the
                other shards are returned by further calls.
        """
        ...

    async def starts(self, shards: Sequence[int]) -> dict[int, int]:
        """Return the lowest offset that each shard's log still holds; where it is empty, its end."""
        ...

    async def contact(self) -> Contact:
        """Say how it stands with the brokers; one is asked if none has answered of late."""
        ...

    def end(self, shard: int) -> int | None:
        """Return the high watermark (offset after the last durable record) that was seen last."""
        ...

    def pause(self, shards: Sequence[int]) -> None:
        """Fetch no more from these shards until ``resume``."""
        ...

    def resume(self, shards: Sequence[int]) -> None:
        """Fetch from these shards again."""
        ...

    async def commit(self, offsets: Mapping[int, int]) -> None:
        """Commit the next offset to be read of each shard. A lost reply is harmless."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


class LogAdmin(Protocol):
    """Creates and removes topics. Only the coordinator calls it."""

    async def partitions(self, topic: str) -> int | None:
        """Return the topic's number of partitions, None if there is no such topic."""
        ...

    async def starts(self, topic: str) -> dict[int, int]:
        """Return the lowest offset that each partition still holds; where it is empty, its end."""
        ...

    async def ends(self, topic: str) -> dict[int, int]:
        """Return the offset after the last record of each partition. Tansu errs, so it is not asked."""
        ...

    async def create(self, topic: str, partitions: int) -> None:
        """Create the topic and return once it can be written to. An existing one is left as it is."""
        ...

    async def grow(self, topic: str, partitions: int, *, only_ask: bool = False) -> bool:
        """Have the topic have so many partitions; those that are there stay as they are.

        A topic that has as many is left as it is. Returns once the new ones can be written to.

        Args:
            topic: One that is there.
            partitions: How many in all.
            only_ask: Change nothing, and say whether it would be done.

        Returns:
            False if this broker cannot add partitions.
        """
        ...

    async def delete(self, topic: str) -> None:
        """Delete the topic and return once it is gone. A missing one is no error."""
        ...

    async def committed(self, topic: str, group: str) -> dict[int, int]:
        """Return what the group has committed of each partition of which it has committed anything."""
        ...

    async def sizes(self, topic: str) -> dict[int, int]:
        """Return the bytes that each partition's records take; of a topic that is not there, nothing."""
        ...

    async def trim(self, topic: str, offsets: Mapping[int, int]) -> None:
        """Delete what is below these offsets, and return when no reader can get it any more.

        Whole files go at once or soon. An offset below what is left, or beyond the end, changes nothing. Of a
        partition the newest record must stay: a broker that was killed may know its end from that alone.
        """
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


class Accounts(Protocol):
    """Users, their devices, sessions and blocks."""

    async def add_user(self, user: User) -> bool:
        """Insert the account; False if the username is taken (nothing is written then). Atomic."""
        ...

    async def user_by_name(self, username: str) -> User | None:
        """Return the account with exactly this (folded) username."""
        ...

    async def users_by_id(self, user_ids: Sequence[str]) -> dict[str, User]:
        """Return the accounts that exist among these."""
        ...

    async def update_profile(self, user_id: str, changes: Mapping[str, Any]) -> User | None:
        """Set ``display_name``, ``last_seen``, ``read_receipts`` and return the account after it."""
        ...

    async def set_password_hash(self, user_id: str, password_hash: str) -> None:
        """Replace the password hash (a re-hash at log-in)."""
        ...

    async def touch_users(self, last_seen_ms: Mapping[str, int]) -> None:
        """Raise each user's ``last_seen_ms``; never lowers it."""
        ...

    async def add_device(self, device: Device) -> None:
        """Insert the device; an existing one is left as it is."""
        ...

    async def devices_of(self, user_ids: Sequence[str]) -> dict[str, list[Device]]:
        """Return each user's devices, oldest first; users without devices have an empty list."""
        ...

    async def raise_floors(self, floors: Mapping[tuple[str, str], int]) -> None:
        """Raise devices' floors: ``{(user, device): seq}``.

        A lower one changes nothing, and neither does one of a device that is gone.
        """
        ...

    async def rename_device(self, user_id: str, device: str, name: str) -> bool:
        """Set the device's name; False if there is no such device."""
        ...

    async def remove_device(self, user_id: str, device: str) -> bool:
        """Remove the device with its keys, push token and cursor; False if it was not there."""
        ...

    async def set_push_token(self, user_id: str, device: str, provider: str, token: str) -> bool:
        """Store the sealed token; False if there is no such device."""
        ...

    async def drop_push_token(self, user_id: str, device: str, token: str | None) -> bool:
        """Remove the push token; with ``token`` given, only if it is still that one (compare-and-set)."""
        ...

    async def add_session(self, session: TokenFamily) -> None:
        """Insert a family of refresh tokens."""
        ...

    async def session(self, family: str) -> TokenFamily | None:
        """Return the family, ended or not."""
        ...

    async def rotate_session(self, family: str, current: bytes, following: bytes, now_ms: int) -> bool:
        """Make ``following`` current and ``current`` previous. Atomic.

        False, and nothing changes, if the family has ended or ``current`` is not its current hash.
        """
        ...

    async def end_sessions(self, user_id: str, device: str | None, now_ms: int) -> list[str]:
        """End the living families of the device (of all devices if None); returns their ids."""
        ...

    async def sessions_ended_since(self, at_ms: int) -> list[str]:
        """Return the ids of the families that ended at or after this time."""
        ...

    async def set_block(self, block: Block) -> None:
        """Insert or replace the block of (user, peer)."""
        ...

    async def blocks_of(self, user_ids: Sequence[str]) -> dict[str, list[Block]]:
        """Return each user's blocks, lifted ones (``until_seq`` set) included."""
        ...


class Keys(Protocol):
    """Public keys of devices. The server checks signatures before it calls these."""

    async def put_device_keys(self, user_id: str, device: str, keys: Mapping[str, Any]) -> str:
        """Store the signed device keys. Atomic.

        Returns:
            'added', 'unchanged', 'conflict' if other bytes are there (nothing changes then), or
            'unknown' if there is no such device.
        """
        ...

    async def add_one_time_keys(
        self, user_id: str, device: str, keys: Mapping[str, Mapping[str, Any]], *, fallback: bool
    ) -> bool:
        """Store ``{"signed_curve25519:ID": object}``; a repeat changes nothing, also after a claim.

        False, and nothing is stored, if one of the ids was uploaded before with other bytes. A fallback
        key replaces the earlier fallback key of its algorithm.
        """
        ...

    async def one_time_key_counts(self, user_id: str, device: str) -> dict[str, int]:
        """Return unclaimed one-time keys by algorithm (fallback keys do not count)."""
        ...

    async def claim_one_time_key(
        self, user_id: str, device: str, algorithm: str
    ) -> tuple[str, dict[str, Any]] | None:
        """Take one key: each one-time key once only, then the fallback key again and again.

        A lost reply loses that key, never gives it twice.
        """
        ...


class Mailboxes(Protocol):
    """Stored entries, conversations and cursors."""

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
        """Say whether the mailbox holds this entry."""
        ...

    async def find_causes(
        self, user_id: str, causes: Sequence[str], below: int
    ) -> dict[tuple[str, str], MailboxDocument]:
        """Return the messages among these ids with ``seq < below``, by (sender's device, id).

        What was accepted ten minutes before the time in an id, or earlier, is not looked at: an id is at
        most five minutes ahead of the server's clock.
        """
        ...

    async def history(self, user_id: str, peer: str, below: int, limit: int) -> list[MailboxDocument]:
        """Return messages in ``user_id``'s mailbox sent by ``peer`` with ``seq < below``, highest first."""
        ...

    async def summary(self, user_id: str, limit: int) -> dict[str, list[tuple[int, int]]]:
        """Return ``{sender: [(seq, at_ms), ...]}``, newest first, of the last ``limit`` messages."""
        ...

    async def sweep(self, user_id: str, below: int) -> None:
        """Delete entries with ``seq < below``; those that are stored together with a later one may stay."""
        ...

    async def conversations(self, user_id: str) -> list[Conversation]:
        """Return all rows of the user."""
        ...

    async def conversations_of(self, user_ids: Sequence[str]) -> dict[str, list[Conversation]]:
        """Return the rows of each of these users."""
        ...

    async def receipts_after(self, user_id: str, after: int, upto: int) -> list[Conversation]:
        """Return the user's rows with ``after < receipt_seq <= upto``, by ``receipt_seq``."""
        ...

    async def put_conversations(self, rows: Sequence[Conversation]) -> None:
        """Insert the rows or raise their numbers; no number is ever lowered (replays, two writers)."""
        ...

    async def cursors_of(self, user_ids: Sequence[str]) -> dict[str, dict[str, int]]:
        """Return ``{user: {device: seq}}``."""
        ...

    async def put_cursors(self, cursors: Sequence[Cursor]) -> None:
        """Raise the cursors; a lower one changes nothing."""
        ...


class ClusterState(Protocol):
    """What the coordinator and the routers keep about the log and the map."""

    async def log_states(self) -> dict[int, LogState]:
        """Return every shard's state; empty before the first start."""
        ...

    async def put_log_states(self, states: Sequence[LogState]) -> None:
        """Insert or replace. Only the coordinator calls it, with writers paused."""
        ...

    async def raise_stored(self, base: int, stored: Mapping[int, int]) -> None:
        """Raise each shard's ``stored``; ignored for a shard whose base is another one."""
        ...

    async def shard_map(self) -> ShardMap | None:
        """Return the newest map."""
        ...

    async def put_shard_map(self, shard_map: ShardMap) -> bool:
        """Store the map if its version is exactly one above the stored one (or the first); else False."""
        ...

    async def roster(self) -> Roster | None:
        """Return which roles there are to be; None before the first start."""
        ...

    async def put_roster(self, roster: Roster) -> None:
        """Insert or replace. Only the coordinator calls it."""
        ...

    async def phase(self) -> str:
        """Return what the coordinator was doing with the log: '' or 'recreating'."""
        ...

    async def put_phase(self, phase: str) -> None:
        """Record what the coordinator is about to do with the log."""
        ...

    async def growth(self) -> int:
        """Return the number of shards that is being made, 0 while none is."""
        ...

    async def put_growth(self, shards: int) -> None:
        """Record that so many shards are about to be made; 0: they are there."""
        ...

    async def bury(self, dead: Sequence[Dead]) -> None:
        """Keep records that could not be handled."""
        ...


class Store(Accounts, Keys, Mailboxes, ClusterState, Protocol):
    """Everything in MongoDB, behind one client."""

    async def prepare(self) -> None:
        """Create collections and indexes. Idempotent, safe while others do the same."""
        ...

    async def ping(self) -> None:
        """Return if the server answers."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


class Accepted(Struct, array_like=True, frozen=True):
    """What a gateway answered for a message, so that a retry gets the same answer."""

    to: str
    seq: int
    accepted_at_ms: int
    digest: bytes


class Cache(Protocol):
    """Redis: nothing in it that cannot be rebuilt; every key has a TTL."""

    async def recall(self, keys: Sequence[tuple[str, str]]) -> list[Accepted | None]:
        """Return what was answered for each (sender's device, message id), None where unknown."""
        ...

    async def greatest_ids(self, devices: Sequence[str]) -> dict[str, str]:
        """Return the greatest message id that was answered of each device, where one is known."""
        ...

    async def remember(self, answers: Mapping[tuple[str, str], Accepted]) -> None:
        """Keep the answers for a while (evicted when memory runs short)."""
        ...

    async def take(self, limiter: str, key: str, *, rate: float, burst: int, cost: int = 1) -> float:
        """Take ``cost`` tokens of a GCRA limiter refilled at ``rate`` per second.

        Returns:
            0.0 if there were enough (they are taken), else the seconds until there will be
            (nothing is taken). Atomic.
        """
        ...

    async def publish(self, channel: str, message: str) -> None:
        """Tell every subscriber; at most once."""
        ...

    def subscribe(
        self, channels: Sequence[str], connected: Callable[[], Awaitable[None]]
    ) -> AsyncIterator[tuple[str, str]]:
        """Yield (channel, message) for ever, reconnecting by itself.

        ``connected`` is awaited after every (re)connection, before the first message: what was
        published in between was missed, so the caller reads its truth anew there.
        """
        ...

    async def put_presence(self, states: Mapping[str, tuple[bool, int]]) -> None:
        """Keep ``{user: (online, last_seen_ms)}`` for a while."""
        ...

    async def put_snapshots(self, snapshots: Mapping[str, bytes]) -> None:
        """Keep the state of passivated actors, by user id."""
        ...

    async def take_snapshots(self, users: Sequence[str]) -> dict[str, bytes]:
        """Take the snapshots out; each is given out once only."""
        ...

    async def claim_wakeup(self, device: str, ttl_s: int, at_ms: int) -> bool:
        """Mark a wake-up as pending for the device since ``at_ms``; False if one is already. Atomic."""
        ...

    async def clear_wakeups(self, devices: Sequence[str]) -> list[int]:
        """The devices have synced: they may be woken again.

        Returns:
            Since when one was pending, of those for which one was, in Unix milliseconds; each is told once.
        """
        ...

    async def ping(self) -> None:
        """Return if the server answers."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...
