"""The users who are here: the actor of each, once it is loaded, and its inbox."""

from collections import deque
from collections.abc import Callable, Iterator

from actors.host.shards.shard import Shard
from actors.host.shards.table import ShardTable
from actors.user import UserActor
from actors.user import events as ev

Waited = tuple[ev.Event, Shard, int | None]
"""An event with the shard that it came for and, of a record, its offset there: the shard's log may begin
again while the event waits."""


class Resident:
    """One user at this host.

    Attributes:
        actor: None until it is loaded.
        inbox: Events that were not handled yet.
        shard: The user's.
        waiting: Something is being looked up for the next event: nothing is handled meanwhile.
        touched_ms: When it last had something to handle.
    """

    __slots__ = ("actor", "inbox", "shard", "touched_ms", "waiting")

    def __init__(self, shard: Shard) -> None:
        self.actor: UserActor | None = None
        self.inbox: deque[Waited] = deque()
        self.shard = shard
        self.waiting = False
        self.touched_ms = 0


class Residents:
    """All users of one host, and who of them has something to handle.

    Args:
        shards: Where each user belongs.
        runnable: Called when the first of them has.
    """

    def __init__(self, shards: ShardTable, runnable: Callable[[], None]) -> None:
        self._shards, self._first_runnable = shards, runnable
        self._users: dict[str, Resident] = {}
        self._runnable: dict[str, Resident] = {}

    def __len__(self) -> int:
        return len(self._users)

    def get(self, user: str) -> Resident | None:
        """Return the user, None if it is not here."""
        return self._users.get(user)

    def serves(self, user: str) -> bool:
        """Return whether the user's shard is here."""
        return self._shards.of(user) is not None

    def items(self) -> list[tuple[str, Resident]]:
        """Return all users."""
        return list(self._users.items())

    def actors(self) -> Iterator[tuple[str, UserActor]]:
        """Yield the users whose actors are loaded."""
        for user, resident in self._users.items():
            if resident.actor is not None:
                yield user, resident.actor

    def post(self, user: str, event: ev.Event) -> None:
        """Put an event into the user's inbox; nothing happens if its shard is not here."""
        shard = self._shards.of(user)
        if shard is not None:
            self.post_record(shard, user, event, None)

    def post_record(self, shard: Shard, user: str, event: ev.Event, offset: int | None) -> None:
        """Put an event that came with the shard's log into the inbox."""
        resident = self._users.get(user)
        if resident is None:
            resident = self._users[user] = Resident(shard)
        resident.inbox.append((event, shard, offset))
        if not resident.waiting:
            self._run(user, resident)

    def resume(self, user: str, resident: Resident) -> None:
        """What the user waited for is there."""
        resident.waiting = False
        self._run(user, resident)

    def _run(self, user: str, resident: Resident) -> None:
        if not self._runnable:
            self._first_runnable()
        self._runnable[user] = resident

    def take_runnable(self) -> dict[str, Resident]:
        """Return who has something to handle; they are taken to handle it."""
        runnable, self._runnable = self._runnable, {}
        return runnable

    def remove(self, user: str) -> None:
        """Forget the user."""
        del self._users[user]

    def remove_shard(self, shard: Shard) -> list[tuple[str, UserActor]]:
        """Forget the users of a shard; returns those who were loaded."""
        gone = [(user, resident) for user, resident in self._users.items() if resident.shard is shard]
        for user, _ in gone:
            del self._users[user]
        return [(user, resident.actor) for user, resident in gone if resident.actor is not None]

    def move(self, before: Shard, now: Shard) -> None:
        """The log of a shard has begun again, and its users stay."""
        for resident in self._users.values():
            if resident.shard is before:
                resident.shard = now

    def shards_of_records(self) -> Iterator[Shard]:
        """Yield the shard of every record that waits in an inbox."""
        for resident in self._users.values():
            for _, shard, offset in resident.inbox:
                if offset is not None:
                    yield shard
