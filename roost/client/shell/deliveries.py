"""Those who wait until a message of this device is delivered."""

import asyncio
from collections import OrderedDict
from typing import Final, TypeVar

from roost.client import events
from roost.client.state import OutboxItem

T = TypeVar("T")

_REMEMBERED: Final = 1000
"""Messages that came to nothing or got another id, and are remembered for who asks later."""


class NotDelivered(Exception):  # noqa: N818 - what happened
    """A message is not sent again, and was not known to be delivered.

    Attributes:
        id: Its id.
        code: A word of the registry of codes; ``expired``: its time was over.
        detail: One sentence.
    """

    def __init__(self, message_id: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.id, self.code, self.detail = message_id, code, detail


class Deliveries:
    """Waits for the end of messages.

    Args:
        outbox: The messages that are not known to be delivered, by id.
    """

    def __init__(self, outbox: dict[str, OutboxItem]) -> None:
        self._outbox = outbox
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._ended: OrderedDict[str, NotDelivered] = OrderedDict()
        self._renamed: OrderedDict[str, str] = OrderedDict()

    async def wait(self, message_id: str) -> None:
        """Return once the message is delivered: at once, if it is in the outbox no longer.

        Raises:
            NotDelivered: It will not be.
        """
        while message_id in self._renamed:
            message_id = self._renamed[message_id]
        ended = self._ended.get(message_id)
        if ended is not None:
            raise ended
        if message_id in self._outbox:
            if message_id not in self._waiting:
                self._waiting[message_id] = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._waiting[message_id])

    def told(self, event: events.Event) -> None:
        """Tell those who wait what became of their message."""
        match event:
            case events.Delivered(ids=ids) if self._waiting:
                for message_id in ids:
                    self._end(message_id, None)
            case events.Failed(id=message_id, code=code, detail=detail):
                self._end(message_id, NotDelivered(message_id, code, detail))
            case events.Expired(id=message_id):
                detail = "Its time was over before it was known to be delivered."
                self._end(message_id, NotDelivered(message_id, "expired", detail))
            case events.IdChanged(id=message_id, new_id=new_id):
                _remember(self._renamed, message_id, new_id)
                if message_id in self._waiting:
                    self._waiting[new_id] = self._waiting.pop(message_id)

    def _end(self, message_id: str, ended: NotDelivered | None) -> None:
        waiting = self._waiting.pop(message_id, None)
        if ended is not None:
            _remember(self._ended, message_id, ended)
            if waiting is not None:
                waiting.set_exception(ended)
                waiting.exception()  # whoever waited may have gone
        elif waiting is not None:
            waiting.set_result(None)


def _remember(things: OrderedDict[str, T], message_id: str, thing: T) -> None:
    things[message_id] = thing
    if len(things) > _REMEMBERED:
        things.popitem(last=False)
