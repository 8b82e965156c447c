"""A gateway's links of the run: the real ones, whose waiting is done in steps."""

from collections.abc import Callable
from typing import Any, cast

from msgspec import Struct

from actors.rpc import messages as m
from actors.service import Address
from api.host_links import HostLinks
from roost.clock import Clock
from roost.ids import shard_of
from sim.deterministic.links import End

_PATIENCE_MS = 35_000

Replied = Callable[[m.Answer | None], None]
"""Takes the answer of a host; ``None``: it stayed away."""


class Question(Struct, eq=False):
    """What somebody wants to know of a host.

    Attributes:
        user: Whose host is asked.
        make: Makes the question, with its number on the link.
        replied: Takes the answer.
        began_ms: When it was asked first.
    """

    user: str
    make: Callable[[int], m.Question]
    replied: Replied
    began_ms: int


class Call:
    """A question under way, with what `api.host_links.HostLinks` uses of a future."""

    def __init__(self, question: Question, moved: Callable[[Question], None]) -> None:
        self.question = question
        self._moved = moved
        self._done = False

    def done(self) -> bool:
        """Say whether there is an answer, or has to be asked again."""
        return self._done

    def set_result(self, answer: m.Answer) -> None:
        """The host has answered."""
        self._done = True
        self.question.replied(answer)

    def set_exception(self, _moved: Exception) -> None:
        """It has to be asked again, elsewhere or later."""
        self._done = True
        self._moved(self.question)


class _NoTask:
    def cancel(self) -> None:
        """Nothing runs by itself here: the world makes the links."""


class StepLinks(HostLinks):
    """All links of a gateway; `turn` does what timers do in the product."""

    def __init__(self, name: str, clock: Clock) -> None:
        super().__init__(name, b"")
        self._clock = clock
        self._soon = False
        self._waiting: list[Question] = []

    # --- the world's part: reaching hosts ---

    def lives(self) -> list[tuple[str, str]]:
        """Return the hosts that the map names, with their lives."""
        return (
            []
            if self.view is None
            else [(name, self.view.incarnations[name]) for name in self.view.addresses]
        )

    def has(self, host: str) -> bool:
        """Say whether there is a link to the host; one to an earlier life goes with the map."""
        return host in self._links

    def serves(self, number: int, link: object) -> bool:
        """Say whether this is a stream of this gateway, attached over this link."""
        stream = self._streams.get(number)
        return stream is not None and stream.link is link

    def reached(self, host: str, end: End) -> None:
        """Take a link."""
        self._reached(host, cast("Any", end))

    def _reach(self, name: str, life: tuple[Address, str]) -> None:
        self._tasks[name] = (life, cast("Any", _NoTask()))

    # --- time ---

    def _place_soon(self) -> None:
        self._soon = True

    def turn(self) -> bool:
        """Do what is due: streams that lost their place, questions; returns whether there was any."""
        due, self._soon = self._soon, False
        if due:
            self._place_again()
        waiting, self._waiting = self._waiting, []
        for question in waiting:
            self._put(question)
        return due or len(self._waiting) < len(waiting)

    def tick(self) -> None:
        """Wait no longer for answers that stay away."""
        self._give_up(self._clock() - _PATIENCE_MS)

    def abandon(self) -> None:
        """The gateway is gone: nobody gets an answer."""
        self._give_up(self._clock())

    def _give_up(self, began_ms: int) -> None:
        """Answer nothing to what was asked by then."""
        calls = [cast("Call", call) for call, _, _ in self._calls.values()]
        open_ones = [*self._waiting, *(call.question for call in calls if not call.done())]
        tired = [question for question in open_ones if question.began_ms <= began_ms]
        self._waiting = [question for question in self._waiting if question not in tired]
        self._calls = {
            number: known
            for number, known in self._calls.items()
            if not known[0].done() and cast("Call", known[0]).question not in tired
        }
        for question in tired:
            question.replied(None)

    # --- questions, as `ask` ---

    def put(self, user: str, make: Callable[[int], m.Question], replied: Replied) -> None:
        """Ask the user's host, again and elsewhere if need be, until the time is up."""
        self._put(Question(user, make, replied, self._clock()))

    def _put(self, question: Question) -> None:
        link = self._links.get(self.host_of(question.user))
        if link is None or self.view is None:
            self._waiting.append(question)
            return
        number = next(self._numbers)
        call = cast("Any", Call(question, self._ask_again))
        self._calls[number] = (call, link, shard_of(question.user, self.view.shards))
        asked = question.make(number)
        if isinstance(asked, m.Sync):
            asked.wait_ms = max(0, asked.wait_ms - (self._clock() - question.began_ms))
        link.send(asked)

    def _ask_again(self, question: Question) -> None:
        self._waiting.append(question)
