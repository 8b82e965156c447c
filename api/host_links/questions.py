"""Questions to the host that serves a user: asked again and elsewhere until their time is up.

A question may therefore reach a host twice.
"""

import asyncio
import itertools
from typing import Final

from actors.rpc import questions as q
from actors.rpc.connections import Connections
from actors.rpc.link import Link
from roost.errors import RoostError, Unavailable
from roost.ids import shard_of

ANSWER_S: Final = 5.0
"""How long an answer may take."""

_AGAIN_S: Final = 0.1
_LIMIT: Final = 50_000


class _Moved(Exception):  # noqa: N818 -- an event, not an error
    """The question must be asked again elsewhere."""


class Questions:
    """The questions of a gateway that wait for an answer."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._waiting: dict[int, tuple[asyncio.Future[q.Answer], Link, int]] = {}
        self._numbers = itertools.count(1)

    async def ask(self, user: str, question: q.Question, timeout_s: float = ANSWER_S) -> q.Answer:
        """Ask the user's host, again and elsewhere if need be, until the time is up.

        Raises:
            RoostError: What the host refused with.
            Unavailable: No answer in time, and whether it took effect is unknown; or too many wait for one.
        """
        if len(self._waiting) >= _LIMIT:
            raise Unavailable("Too many questions wait for an answer; try again.")
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._insist(user, question)
        except TimeoutError as exc:
            raise Unavailable("The host serving this user is not responding; try again.") from exc
        if isinstance(answer, q.Refusal):
            later = 1.0 if answer.code in ("unavailable", "going_away") else None
            raise RoostError(answer.code, answer.detail, retry_after_s=later)
        return answer

    async def _insist(self, user: str, question: q.Question) -> q.Answer:
        now_s = asyncio.get_running_loop().time
        began_s = now_s()
        patience_ms = question.wait_ms if isinstance(question, q.Sync) else 0
        while True:
            link = self._connections.link_for(user)
            if link is None or link.congested:
                await asyncio.sleep(_AGAIN_S)
                continue
            if isinstance(question, q.Sync):  # a host that is asked later waits for less
                question.wait_ms = max(0, patience_ms - int((now_s() - began_s) * 1000))
            try:
                return await self._ask(link, user, question)
            except _Moved:
                await asyncio.sleep(_AGAIN_S / 4)

    async def _ask(self, link: Link, user: str, question: q.Question) -> q.Answer:
        assert self._connections.shard_map is not None  # noqa: S101 -- there is a link, so there is a map
        number = next(self._numbers)
        future: asyncio.Future[q.Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = (future, link, shard_of(user, self._connections.shard_map.shards))
        question.call = number
        link.send(question)
        try:
            return await future
        except asyncio.CancelledError:
            # The host would answer into nothing, and take the device for one that reads.
            if isinstance(question, q.Sync):
                link.send(q.Gone(number, user))
            raise
        finally:
            self._waiting.pop(number, None)

    def answered(self, _link: Link, message: q.Reply) -> None:
        """A host has answered one."""
        waiting = self._waiting.get(message.call)
        if waiting is not None and not waiting[0].done():
            waiting[0].set_result(message.answer)

    def redirect(self, link: Link | None = None, shard: int = -1) -> None:
        """Ask again what was asked over this link about this shard; without them, over any, about all."""
        for future, asked, of in self._waiting.values():
            if link in (asked, None) and shard in (of, -1) and not future.done():
                future.set_exception(_Moved())
