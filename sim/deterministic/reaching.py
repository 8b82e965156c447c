"""Links to hosts of the run: the real ones, made by the world, whose waiting is done in steps."""

from collections.abc import Callable
from math import inf
from typing import Any, cast

from msgspec import Struct

from actors.map_lease import MapLease
from actors.rpc import questions as q
from actors.rpc.connections import Connections
from api.host_links import HostLinks, Questions
from roost.clock import Clock
from roost.ids import shard_of
from sim.deterministic.stores import Store
from sim.deterministic.turns import finish
from storage.shard_map import ShardMap

_PATIENCE_MS = 35_000

Replied = Callable[[q.Answer | None], None]
"""Takes the answer of a host; ``None``: it stayed away."""


class Question(Struct, eq=False):
    """What a gateway wants to know of a host.

    Attributes:
        user: Whose host is asked.
        make: Makes the question, with its number on the link.
        replied: Takes the answer.
        began_ms: When it was asked first.
        is_change: It is asked until the host by the stored map has answered.
        asked_by: The map by which it was asked last.
    """

    user: str
    make: Callable[[int], q.Question]
    replied: Replied
    began_ms: int
    is_change: bool = False
    asked_by: ShardMap | None = None


class Call:
    """A question in flight, with what `api.host_links.Questions` uses of a future."""

    def __init__(
        self, question: Question, moved: Callable[[Question], None], current: Callable[[Question], bool]
    ) -> None:
        self.question = question
        self._moved, self._current = moved, current
        self._done = False

    def done(self) -> bool:
        """Return whether there is an answer, or it has to be asked again."""
        return self._done

    def set_result(self, answer: q.Answer) -> None:
        """The host has answered."""
        self._done = True
        if self._current(self.question):
            self.question.replied(answer)
        else:
            self._moved(self.question)

    def set_exception(self, _moved: Exception) -> None:
        """It has to be asked again, elsewhere or later."""
        self._done = True
        self._moved(self.question)


class ExpiredLease(MapLease):
    """Has roles ask the store each time: no one here waits with writing until they have the map."""

    def __init__(self) -> None:
        super().__init__(lambda: 0.0)

    def expired(self, turned_s: float = inf) -> bool:  # noqa: ARG002 -- the real one's
        """Say so."""
        return True


class StepConnections(Connections):
    """The links of a role, which the world makes."""

    def __init__(self, role: str, name: str) -> None:
        super().__init__((role, name), b"")

    def lacking(self) -> list[tuple[str, str]]:
        """Return the hosts of the map that there is no link to, each with its life."""
        shard_map = self.shard_map
        return (
            []
            if shard_map is None
            else [
                (name, shard_map.incarnations[name]) for name in shard_map.addresses if name not in self.links
            ]
        )

    def _dial(self, name: str) -> None:
        """Nothing runs by itself here."""


class StepQuestions(Questions):
    """A gateway's questions; `turn` does what timers do in the product."""

    def __init__(self, connections: Connections, store: Store, clock: Clock) -> None:
        super().__init__(connections)
        self._store, self._clock = store, clock
        self._again: list[Question] = []

    def turn(self) -> bool:
        """Ask again; returns whether anything came of it."""
        again, self._again = self._again, []
        for question in again:
            self._put(question)
        return len(self._again) < len(again)

    def give_up(self, began_ms: int) -> None:
        """Answer nothing to what was asked by then."""
        calls = [cast("Call", call) for call, _, _ in self._waiting.values()]
        open_ones = [*self._again, *(call.question for call in calls if not call.done())]
        tired = [question for question in open_ones if question.began_ms <= began_ms]
        self._again = [question for question in self._again if question not in tired]
        self._waiting = {
            number: known
            for number, known in self._waiting.items()
            if not known[0].done() and cast("Call", known[0]).question not in tired
        }
        for question in tired:
            question.replied(None)

    def put(
        self, user: str, make: Callable[[int], q.Question], replied: Replied, *, is_change: bool
    ) -> Question:
        """Ask the user's host, again and elsewhere if need be, until the time is up; as `ask`."""
        question = Question(user, make, replied, self._clock(), is_change)
        self._put(question)
        return question

    def drop(self, question: Question) -> None:
        """Wait no longer for the answer to a sync, as when the task that asks is cancelled."""
        self._again = [each for each in self._again if each is not question]
        for number, (call, link, _) in list(self._waiting.items()):
            if cast("Call", call).question is question and not call.done():
                link.send(q.Gone(number, question.user))
                del self._waiting[number]

    def _put(self, question: Question) -> None:
        link, shard_map = self._connections.link_for(question.user), self._connections.shard_map
        if link is None or shard_map is None:
            self._again.append(question)
            return
        number = next(self._numbers)
        call = cast("Any", Call(question, self._ask_again, self._current))
        question.asked_by = shard_map
        self._waiting[number] = (call, link, shard_of(question.user, shard_map.shards))
        asked = question.make(number)
        if isinstance(asked, q.Sync):
            asked.wait_ms = max(0, asked.wait_ms - (self._clock() - question.began_ms))
        link.send(asked)

    def _ask_again(self, question: Question) -> None:
        self._again.append(question)

    def _current(self, question: Question) -> bool:
        """Return whether it was answered by a host that counts, as `HostLinks.change` sees to."""
        asked_by, newest = question.asked_by, finish(self._store.shard_map())
        if not question.is_change or asked_by is None or newest is None:
            return True
        return asked_by.serving(question.user) == newest.serving(question.user)


class StepLinks(HostLinks):
    """All links of a gateway."""

    def __init__(self, name: str, store: Store, clock: Clock) -> None:
        self.connections = StepConnections("gateway", name)
        self._steps, self._clock = StepQuestions(self.connections, store, clock), clock
        super().__init__(self.connections, cast("Any", store), self._steps)
        self._soon = False

    def serves(self, number: int, link: object) -> bool:
        """Return whether this is a stream of this gateway, attached over this link."""
        return self.attachments.find(cast("Any", link), number) is not None

    def put(
        self, user: str, make: Callable[[int], q.Question], replied: Replied, *, is_change: bool = False
    ) -> Question:
        """Ask the user's host, as `ask`, or as `change`."""
        return self._steps.put(user, make, replied, is_change=is_change)

    def drop(self, question: Question) -> None:
        """Wait no longer for the answer to a sync."""
        self._steps.drop(question)

    def _place_soon(self) -> None:
        self._soon = True

    def turn(self) -> bool:
        """Do what is due: streams that lost their place, questions; returns whether there was any."""
        due, self._soon = self._soon, False
        if due:
            self._place_again()
        return self._steps.turn() or due

    def tick(self) -> None:
        """Wait no longer for answers that stay away."""
        self._steps.give_up(self._clock() - _PATIENCE_MS)

    def abandon(self) -> None:
        """The gateway is gone: no one gets an answer."""
        self._steps.give_up(self._clock())
