"""Look-ups for users whose actors are absent, or lack a fact: many users in one, some at a time."""

from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from typing import Final, TypeVar

import structlog

from actors.host.runtime import Runtime
from actors.host.streams.questions import answer, answer_done
from actors.host.streams.streams import Streams
from actors.host.users.activation import Activation
from actors.host.users.residents import Resident, Residents
from actors.host.users.snapshots import Snapshots
from actors.host.writes.dead_letters import DeadLetters
from actors.rpc import questions as q
from actors.user import UserActor
from actors.user import effects as do
from actors.user import events as ev
from roost.tasks import insist
from telemetry import metrics

log = structlog.get_logger()

_LOADED_TOGETHER: Final = 25
"""Users in one look-up. The embedded store compares each document that it finds with every name in the
question: it took 120 us for each of 12,000 documents of 200 users, and takes 40 if it is asked for 25."""

_LOADS: Final = 2
"""Look-ups of so many actors in progress at once. If all began at once, all would be over at the end; this
way who was asked for first is there first. Each is many questions to the store, which two keep busy."""

_LATER_S: Final = 0.05

Wanted = TypeVar("Wanted")
Found = TypeVar("Found")


class Loader:
    """Asks the stores until they answer: the users concerned wait, and no others."""

    def __init__(
        self,
        residents: Residents,
        activation: Activation,
        snapshots: Snapshots,
        streams: Streams,
        dead_letters: DeadLetters,
        runtime: Runtime,
        make_actor: Callable[[ev.Loaded], UserActor],
    ) -> None:
        self._residents, self._runtime = residents, runtime
        self._activation, self._snapshots = activation, snapshots
        self._streams, self._dead_letters = streams, dead_letters
        self._make_actor = make_actor
        self._queue: dict[str, None] = {}  # whose actors are asked for, in order
        self._loading = 0

    def load(self, users: Iterable[str]) -> None:
        """Load the actors of these users."""
        self._queue.update(dict.fromkeys(users))
        # Those that begin now are not counted by how many there are: each takes as many as it may.
        for _ in range(min(_LOADS - self._loading, -(-len(self._queue) // _LOADED_TOGETHER))):
            self._loading += 1
            self._runtime.spawn(self._load_queue())

    def look_up(self, wanted: dict[str, list[ev.Unknown]]) -> None:
        """Look up what the next events of these users lack."""
        self._runtime.spawn(self._look_up(wanted))

    def read_page(self, user: str, page: do.ReadPage) -> None:
        """Read stored entries for an actor."""
        self._runtime.spawn(self._read_page(user, page))

    def refresh(self, user: str, renewed: str, token: object) -> None:
        """Have an actor learn its account and devices again, then answer.

        One that is not loaded reads them when it is, and is loaded for this only if a device has a new token.
        """
        self._runtime.spawn(self._refresh(user, renewed, token))

    async def _load_queue(self) -> None:
        """Load those who wait for their actors, in the order in which they were asked for."""
        try:
            while self._queue:
                some = list(islice(self._queue, _LOADED_TOGETHER))
                for user in some:
                    del self._queue[user]
                await self._load(some)
        finally:
            self._loading -= 1

    async def _load(self, users: list[str]) -> None:
        """Load actors; those that wait for the log before do not hold up those that it waits for."""
        absent: dict[str, Resident] = {}
        late: list[str] = []
        for user in users:
            resident = self._residents.get(user)
            if resident is None or resident.actor is not None:
                continue
            if _has_to_wait(resident):
                late.append(user)
            else:
                absent[user] = resident
        if late:
            log.info("activation_waits", users=len(late), reason="the log before is being stored")
            self._runtime.spawn(self._load_later(late))
        if absent:
            await self._load_now(absent)

    async def _load_later(self, users: list[str]) -> None:
        await self._runtime.sleep(_LATER_S)
        self.load(users)

    async def _load_now(self, residents: dict[str, Resident]) -> None:
        floors = {user: resident.shard.stored_seq + 1 for user, resident in residents.items()}
        with metrics.ACTIVATION_SECONDS.time():
            loaded = await self._one_by_one(floors, self._activation.load)
        metrics.ACTIVATIONS.inc(len(loaded))
        absent = [user for user in residents if user not in loaded]
        erased = await self._insist(lambda: self._activation.erased(absent)) if absent else set()
        for user, resident in residents.items():
            if self._residents.get(user) is not resident:
                continue  # its shard went meanwhile, and may be here again
            if user in loaded:
                resident.actor = self._made(user, loaded[user])
            if resident.actor is not None:
                self._residents.resume(user, resident)
            else:
                self._give_up(user, resident, erased=user in erased)

    def _made(self, user: str, loaded: ev.Loaded) -> UserActor | None:
        """Make an actor; None if what is stored makes none, which holds up no other user of the look-up."""
        try:
            return self._make_actor(loaded)
        except Exception:
            log.exception("actor_not_made", user=user)
            return None

    async def _look_up(self, wanted: dict[str, list[ev.Unknown]]) -> None:
        facts = await self._one_by_one(wanted, self._activation.facts)
        for user in wanted:
            resident = self._residents.get(user)
            if resident is None or resident.actor is None:
                continue
            if user in facts:
                resident.actor.learn(facts[user])
                self._residents.resume(user, resident)
            else:
                self._give_up(user, resident)

    async def _one_by_one(
        self, wanted: dict[str, Wanted], ask: Callable[[dict[str, Wanted]], Awaitable[dict[str, Found]]]
    ) -> dict[str, Found]:
        """Ask for all users at once; if that fails for a reason of its own, for each alone."""
        try:
            return await self._insist(lambda: ask(wanted))
        except Exception:
            log.exception("look_up_failed", users=len(wanted))
            if len(wanted) == 1:
                return {}
        found: dict[str, Found] = {}
        for user, one in wanted.items():
            found |= await self._one_by_one({user: one}, ask)
        return found

    def let_go(self, user: str) -> None:
        """Forget a user who was erased: the actor, what waits for it, and its streams."""
        self._snapshots.outdate(lambda each: each == user)
        self._streams.close_user(user, "revoked", "this account was erased")
        resident = self._residents.get(user)
        if resident is not None:
            if resident.actor is not None:
                for poll in resident.actor.mailbox.polls:
                    answer(poll, q.Refusal("revoked", "this account was erased"))
            self._give_up(user, resident, erased=True)
            resident.inbox.clear()  # it may be about to be handled

    def _give_up(self, user: str, resident: Resident, *, erased: bool = False) -> None:
        """There is no such user, or it cannot be loaded: nothing must wait for it without end."""
        self._residents.remove(user)
        for event, shard, offset in resident.inbox:
            if isinstance(event, ev.RecordArrived) and offset is not None:
                shard.backlog.unhandled -= 1
                if erased:  # what comes for those who are gone is kept nowhere
                    self._dead_letters.drop(shard, offset)
                else:
                    self._dead_letters.put(shard, offset, event.value, "the recipient cannot be loaded")
            elif isinstance(event, ev.StreamAttached):
                self._streams.close(event.stream, "unknown_user", "there is no such user")
            else:
                answer(getattr(event, "token", None), q.Refusal("unknown_user", "there is no such user"))

    async def _read_page(self, user: str, page: do.ReadPage) -> None:
        items, through, gone = await self._insist(
            lambda: self._activation.page(user, page.after, page.upto, page.limit)
        )
        if gone:
            log.warning("entries_missed", user=user, after=page.after, upto=gone)
            metrics.MISSED_ENTRIES.inc()
        if self._residents.get(user) is not None:
            self._residents.post(user, ev.PageRead(page.reader, items, through, gone))

    async def _refresh(self, user: str, renewed: str, token: object) -> None:
        account, devices = await self._insist(lambda: self._activation.account(user))
        wanted = self._residents.get(user) is not None or (renewed and self._residents.serves(user))
        if account is not None and wanted:
            self._residents.post(user, ev.Refreshed(token, account, devices, renewed))
        else:
            self._snapshots.outdate(lambda each: each == user)
            answer_done(token)

    async def _insist(self, call: Callable[[], Awaitable[Found]]) -> Found:
        return await insist(call, "look_up_postponed", sleep=self._runtime.sleep)


def _has_to_wait(resident: Resident) -> bool:
    """Return whether the log before is being stored, and none of its records waits for this very actor."""
    return resident.shard.settling and all(shard is resident.shard for _, shard, _ in resident.inbox)
