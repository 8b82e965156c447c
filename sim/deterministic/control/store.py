"""MongoDB and Redis of a run: the cluster's state, what hosts have stored, push tokens, marks of wake-ups."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from msgspec import structs

from sim.deterministic.control.network import Network
from sim.deterministic.control.truth import Place, Truth
from storage.account_rows import Device
from storage.audit_chain import Act, AuditEntry, following
from storage.cluster_rows import DeadLetter, LogState, StoredRoster
from storage.event_records import Event
from storage.shard_map import ShardMap


class Database:
    """What is in MongoDB, by the guarantees of `storage.ports`."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self.logs: dict[int, LogState] = {}
        self.map: ShardMap | None = None
        self.the_roster: StoredRoster | None = None
        self.the_phase = ""
        self.growing = 0
        self.server_name = ""
        self.documents: dict[Place, bytes] = {}
        self.audited: list[AuditEntry] = []

    def prepare(self) -> None:
        """There are no indexes here."""

    def log_states(self) -> dict[int, LogState]:
        """Return each shard's."""
        return dict(self.logs)

    def put_log_states(self, states: Sequence[LogState]) -> None:
        """Insert or replace."""
        self.logs |= {state.shard: state for state in states}
        self._truth.bases_changed(self.logs)

    def raise_stored(self, base: int, stored: Mapping[int, int]) -> None:
        """Raise what is stored, for the log with this base."""
        for shard, offset in stored.items():
            known = self.logs.get(shard)
            if known is not None and known.base == base and known.stored < offset:
                self.logs[shard] = structs.replace(known, stored=offset)

    def shard_map(self) -> ShardMap | None:
        """Return the newest map."""
        return self.map

    def put_shard_map(self, shard_map: ShardMap) -> bool:
        """Store the map if it is the next one."""
        if shard_map.version != (self.map.version if self.map is not None else 0) + 1:
            return False
        self.map = structs.replace(shard_map, bases=(), pushes=())
        return True

    def roster(self) -> StoredRoster | None:
        """Return which roles there are to be."""
        return self.the_roster

    def put_roster(self, roster: StoredRoster) -> None:
        """Insert or replace."""
        self._truth.roster_changed(self.the_roster, roster)
        self.the_roster = roster

    def phase(self) -> str:
        """Return what was being done with the log."""
        return self.the_phase

    def put_phase(self, phase: str) -> None:
        """Record what is being done with it."""
        self.the_phase = phase

    def growth(self) -> int:
        """Return the number of shards that is being made."""
        return self.growing

    def put_growth(self, shards: int) -> None:
        """Record that number."""
        self.growing = shards

    def claim_server_name(self, name: str) -> str:
        """Return the first name that was claimed."""
        self.server_name = self.server_name or name
        return self.server_name

    def waiting_dead_letters(self, most: int) -> int:
        """Return none."""
        del most
        return 0

    def keep_dead_letters(self, letters: Sequence[DeadLetter]) -> None:
        """No record here is without sense."""
        self._truth.fail("dead letter", f"{len(letters)} records could not be handled")

    def append(self, act: Act, at_ms: int) -> AuditEntry:
        """Append to the audit log."""
        self.audited.append(following(self.audited[-1] if self.audited else None, act, at_ms))
        return self.audited[-1]

    def insert(self, documents: Mapping[Place, bytes]) -> None:
        """Insert what is missing; one that is there stays as it is."""
        for place, value in documents.items():
            if (found := self.documents.setdefault(place, value)) != value:
                self._truth.fail("number given twice", f"{place} is {found!r} and {value!r}")

    def exists(self, user_id: str, seq: int) -> bool:
        """Return whether there is such a document."""
        return (user_id, seq) in self.documents

    def devices_of(self, user_ids: Sequence[str], *, opened: bool = True) -> dict[str, list[Device]]:
        """Return one device for each wake-up: its name says which one it was."""
        del opened  # nothing is sealed here
        return {user: [Device(user, user, user, 0, None, "fcm", push_token=user)] for user in user_ids}

    def drop(self, user: str, device: str, token: str) -> None:
        """No push token here is refused."""
        self._truth.fail("token", f"{user} {device} {token}")


class Marks:
    """What is in Redis."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self.claimed: set[str] = set()

    def claim_wakeup(self, device: str, _ttl_s: int, _now_ms: int) -> bool:
        """Mark a wake-up as pending; False if it is."""
        self._truth.tries(device)
        if device in self.claimed:
            return False
        self.claimed.add(device)
        return True

    def clear_wakeups(self, devices: Sequence[str]) -> list[int]:
        """Forget the marks."""
        self.claimed.difference_update(devices)
        return []


class EventLine:
    """The line of events, which answers at once: nothing depends on it."""

    async def newest(self, limit: int, before: int = 0, after: int = 0) -> list[Event]:
        """Return none: the runs look at what there is, and not at what was told of it."""
        del limit, before, after
        return []

    async def keep(self, events: Sequence[Event]) -> None:
        """Take them."""

    async def trim(self, most: int, before: int) -> None:
        """There are none."""


class AuditLog:
    """The audit log, which answers at once: when an act is written down, nothing else depends on it."""

    def __init__(self, behind: Any) -> None:
        self._behind = behind

    async def append(self, act: Act, at_ms: int) -> AuditEntry:
        """Append."""
        entry: AuditEntry = self._behind.append(act, at_ms)
        return entry

    async def newest(self) -> int:
        """Return the number of the last entry."""
        return len(self._behind.audited)

    async def entries(self, after: int = 0, limit: int = 0) -> list[AuditEntry]:
        """Return those above it."""
        found: list[AuditEntry] = self._behind.audited[after:]
        return found[:limit] if limit else found


class Door:
    """One process's way to a server: every call of the port takes a while, or fails."""

    def __init__(self, network: Network, server: str, behind: Any) -> None:
        self._network, self._server, self._behind = network, server, behind
        # One object serves every port of `storage.ports.Store`.
        self.accounts = self.push_tokens = self.mailboxes = self.cluster = self
        self.audit, self.events = AuditLog(behind), EventLine()

    async def close(self) -> None:
        """Disconnect."""

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._behind, name)

        async def call(*args: Any, **named: Any) -> Any:
            return await self._network.ask(self._server, lambda: method(*args, **named))

        self.__dict__[name] = call  # looked up once
        return call
