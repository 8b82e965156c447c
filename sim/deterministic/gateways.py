"""A gateway of the run: the real accept path, numbering and links, and one question of its own."""

from collections.abc import Callable, Iterable
from typing import Any, cast

from actors.rpc import questions as q
from api.identity.directory import Person, person_of
from api.identity.limits import Limit, Limits
from api.identity.tokens import Principal
from api.mailbox.progress import find_message, find_stub, has_been_delivered
from api.sending.acceptance import Acceptance
from api.sending.admission import Admission, Reason
from api.sending.answers import Answers
from api.sending.gate import Gate
from api.sending.room import Room
from api.sending.send_request import SendRequest, answer_of
from api.sending.sender import Sender
from api.sending.sequence import Sequencer
from roost.clock import Clock
from roost.errors import RoostError, Unavailable
from roost.ids import shard_of
from roost.tasks import BackgroundTasks
from sim.deterministic.logs import PromptWriter
from sim.deterministic.reaching import ExpiredLease, Question, Replied, StepLinks
from sim.deterministic.sockets import Answer, drive
from sim.deterministic.stores import Cache, Store
from sim.deterministic.turns import finish
from storage.ports import Accepted
from storage.shard_map import ShardMap


class PromptSequencer(Sequencer):
    """Numbers records; looks for a new base once instead of for five seconds."""

    async def _settle(self, lowest: Any, before: Any) -> frozenset[int]:
        await self.resync()
        return frozenset(
            shard
            for shard, offset in lowest.items()
            if self.base_of(shard) == before[shard][0] and offset <= before[shard][1]
        )


class PromptDirectory:
    """Who is who, read from the store each time."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def peek(self, username: str) -> Person | None:
        """Return the user."""
        user = self._store.users.get(username)
        return None if user is None else person_of(user, self._store.devices[username], "sim")

    async def people(self, usernames: Any) -> dict[str, Person]:
        """Return those who exist."""
        found = ((name, self.peek(name)) for name in usernames)
        return {name: person for name, person in found if person is not None}


class PromptTasks(BackgroundTasks):
    """Tasks that are over at once."""

    def spawn(self, work: Any, name: str = "", *, essential: bool = False) -> Any:  # noqa: ARG002
        """Run it to its end, or up to where it waits for a host's answer."""
        drive(work)


class StepRoom(Room):
    """Asks one after another; here each round has one send."""

    async def _refusals(self, pairs: Iterable[tuple[str, str]]) -> list[bool]:
        return [await self._refuses(*pair) for pair in pairs]


class PromptSender(Sender):
    """The accept path; a send is a round of its own, done at once."""

    def __init__(self, gate: Gate, acceptance: Acceptance) -> None:
        super().__init__(gate, acceptance)
        self._rounds = PromptTasks()

    def accept(self, item: SendRequest) -> None:
        """Take one send through."""
        self._quick += 1
        finish(self._round([item]))

    def _schedule(self) -> None:
        """Nothing waits here."""

    def _shed(self, device: str, reason: Reason) -> None:
        """Nothing waits here."""


class Gateway:
    """One life of a gateway."""

    def __init__(self, name: str, store: Store, cache: Cache, writer: PromptWriter, clock: Clock) -> None:
        self.name, self.clock, self.writer = name, clock, writer
        self._store = store
        self._cache = cache
        self.sequencer = PromptSequencer(writer, cast("Any", store), ExpiredLease())
        directory = cast("Any", PromptDirectory(store))
        self.answers = Answers(cast("Any", cache))
        limits = Limits(cast("Any", cache), clock, {"searches": Limit(1_000_000.0, 1_000_000, "local")})
        self.hosts = StepLinks(name, store, clock)
        room = StepRoom(self._ask_for_room, clock)
        self.hosts.on_room(room.heard)
        acceptance = Acceptance(
            cast("Any", store), self.answers, self.sequencer, directory, limits, room, clock
        )
        self.sender = PromptSender(Gate(Admission(), self.sequencer, directory, limits), acceptance)

    async def _ask_for_room(self, user: str, question: q.Question, _patience_s: float) -> q.Answer:
        answer, sender = Answer(), cast("q.RoomFor", question).sender
        self.ask(user, lambda call: q.RoomFor(call, user, sender), answer.came)
        found = await answer
        if isinstance(found, q.Refusal):
            raise RoostError(found.code, found.detail)
        if found is None:
            raise Unavailable("The host is away.")
        return found

    # --- the map and questions ---

    @property
    def version(self) -> int:
        """Version of the map it goes by."""
        return self.hosts.shard_map.version if self.hosts.shard_map is not None else 0

    def learn(self, view: ShardMap) -> None:
        """Take the map, as `api.gateway.Gateway.apply`."""
        if view.version >= self.version:
            self.sequencer.adopt(view.bases, view.records)
            self.hosts.apply(view)

    def ask(self, user: str, make: Callable[[int], q.Question], replied: Replied) -> Question:
        """Ask the user's host."""
        return self.hosts.put(user, make, replied)

    def change(self, user: str, make: Callable[[int], q.Question], replied: Replied) -> None:
        """Ask the user's host to take a change."""
        self.hosts.put(user, make, replied, is_change=True)

    def _shard(self, user: str) -> int:
        return shard_of(user, self.hosts.shard_map.shards) if self.hosts.shard_map is not None else -1

    # --- questions over HTTP ---

    def message_state(
        self,
        who: Principal,
        message_id: str,
        to: str,
        answered: Callable[[dict[str, Any] | None], None],
        away: Callable[[], None],
    ) -> None:
        """Say what became of a message, as ``GET /v1/messages/{id}`` (`api.routes.messages`)."""
        sent = (
            self.answers.get((who.device, message_id))
            or finish(self._cache.recall([(who.device, message_id)]))[0]
        )
        if self.hosts.shard_map is None:
            away()
            return
        if sent is None or not finish(self.sequencer.survives(to, sent.seq)):
            sent = self._find(who, message_id, to)
        if sent is None:
            answered(None)
            return
        found = sent

        def replied(answer: q.Answer | None) -> None:
            if isinstance(answer, q.Marks):
                answered(self._progress(who.user, message_id, to, found.seq, answer))
            else:
                away()

        self.ask(who.user, lambda call: q.Watermarks(call, who.user, to), replied)

    def _find(self, who: Principal, message_id: str, to: str) -> Accepted | None:
        store = cast("Any", self._store)
        kept = finish(find_message(store, who.user, to, message_id)) or finish(
            find_stub(store, who.user, to, message_id)
        )
        return None if kept is None else answer_of(kept, to)

    def _has_been_delivered(self, sender: str, to: str, message_id: str) -> bool:
        store = cast("Any", self._store)
        message = finish(find_message(store, sender, to, message_id))
        return message is not None and finish(has_been_delivered(store, message))

    def _progress(self, sender: str, message_id: str, to: str, seq: int, marks: q.Marks) -> dict[str, Any]:
        state = "accepted"
        log = self._store.logs[self._shard(to)]
        if marks.delivered_seq >= seq:
            state = "read" if marks.read_seq >= seq else "delivered"
        elif self._has_been_delivered(sender, to, message_id):
            state = "delivered"
        elif log.handled(seq) or finish(self._store.mailboxes.exists(to, seq)):
            state = "stored"
        return {"id": message_id, "to": to, "seq": seq, "state": state}
