"""Room in recipients' mailboxes: whom a gateway asks for before it accepts, and what it was answered.

A user's host alone knows how much waits there and who is a stranger (`actors.user.quota`). It says once a
budget is used up, and from then on this gateway asks it about each sender before it accepts. What was on its
way meanwhile comes in: nothing that was accepted is lost. While a host does not answer all is accepted, as
the log takes what comes meanwhile.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog
from msgspec import Struct, field

from actors.rpc import messages as m
from actors.rpc import questions as q
from api.sending.send_request import SendRequest
from roost.clock import Clock
from roost.errors import RoostError

RETRY_S: Final = 60.0
"""What a refused sender is told to wait: it is a person who has to come back."""

_USERS: Final = 10_000
_KEPT_MS: Final = 3_600_000
"""A user whose host said nothing, and of whom no sender was refused, for so long is forgotten."""

_ANSWER_MS: Final = 5_000
"""So long an answer counts."""

_PATIENCE_S: Final = 1.0

log = structlog.get_logger(__name__)


class _Full(Struct):
    """A user to whom not every sender may write.

    Attributes:
        until_ms: When to forget it.
        answers: By sender: whether it was refused, and when.
    """

    until_ms: int
    answers: dict[str, tuple[bool, int]] = field(default_factory=dict)


class Room:
    """What this gateway knows of full mailboxes.

    Args:
        ask: Asks a user's host, for so many seconds at most.
        clock: Unix milliseconds.

    Attributes:
        refused: Messages that were refused.
    """

    def __init__(self, ask: Callable[[str, q.Question, float], Awaitable[q.Answer]], clock: Clock) -> None:
        self._host, self._clock = ask, clock
        self._full: OrderedDict[str, _Full] = OrderedDict()
        self.refused = 0

    def heard(self, message: m.Room) -> None:
        """Take what a host says."""
        if not message.full:
            self._full.pop(message.user, None)
            return
        full = self._full.setdefault(message.user, _Full(0))
        full.until_ms = self._clock() + _KEPT_MS
        self._full.move_to_end(message.user)
        if len(self._full) > _USERS:
            self._full.popitem(last=False)

    def concerns(self, user: str) -> bool:
        """Return whether the user's host is to be asked, or was, about a sender."""
        return bool(self._full) and user in self._full

    async def admit(self, items: Iterable[SendRequest]) -> None:
        """Refuse the items for which there is no room; their recipients are looked up."""
        pairs: dict[tuple[str, str], list[SendRequest]] = {}
        for item in items:
            if item.person is not None and self.concerns(item.person.user):
                pairs.setdefault((item.person.user, item.principal.user), []).append(item)
        if pairs:
            refused = await self._refusals(pairs)
            for group, no in zip(pairs.values(), refused, strict=True):
                if no:
                    self._refuse(group)

    async def _refusals(self, pairs: Iterable[tuple[str, str]]) -> list[bool]:
        """Return of each recipient and sender whether it is refused."""
        return await asyncio.gather(*(self._refuses(user, sender) for user, sender in pairs))

    def _refuse(self, items: Iterable[SendRequest]) -> None:
        for item in items:
            self.refused += 1
            detail = "The recipient has to fetch, or accept, what was sent before; try again later."
            item.answer(RoostError("mailbox_full", detail, retry_after_s=RETRY_S))

    async def _refuses(self, user: str, sender: str) -> bool:
        """Return whether a sender is refused; one that goes on sending is asked about again and again."""
        now_ms, full = self._clock(), self._full.get(user)
        if full is None:
            return False
        if now_ms >= full.until_ms:
            del self._full[user]
            return False
        no, at_ms = full.answers.get(sender, (False, 0))
        if not 0 <= now_ms - at_ms < _ANSWER_MS:
            no = await self._ask(user, sender)
            recent = {each: known for each, known in full.answers.items() if now_ms - known[1] < _ANSWER_MS}
            full.answers = {**recent, sender: (no, now_ms)}
        if no:
            full.until_ms = now_ms + _KEPT_MS
        return no

    async def _ask(self, user: str, sender: str) -> bool:
        try:
            await self._host(user, q.RoomFor(0, user, sender), _PATIENCE_S)
        except RoostError as exc:
            if exc.code.word != "mailbox_full":
                log.warning("room_not_known", user=user, reason=exc.detail)
            return exc.code.word == "mailbox_full"
        return False
