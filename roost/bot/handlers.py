"""The handlers of a bot, and what is told of events and errors: which is called, how often, how long."""

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable
from copy import deepcopy
from typing import Any, TypeVar

from roost.bot.filters import Predicate
from roost.bot.message import Message
from roost.client import Event
from roost.loading import without

with without("rich"):  # see roost.tasks
    import structlog

log = structlog.get_logger()

Handler = Callable[[Message], Awaitable[Any]]
ErrorHook = Callable[[Message, Exception], Awaitable[Any]]
EventHook = Callable[[Event], Awaitable[Any]]

F = TypeVar("F", bound=Callable[..., Awaitable[Any]])


def coroutine_function(function: F) -> F:
    """Return a function as it is.

    Raises:
        TypeError: It is not one of ``async def``.
    """
    fits: bool = inspect.iscoroutinefunction(function)
    if not fits:
        raise TypeError(f"{getattr(function, '__name__', function)} has to be a function of `async def`")
    return function


class Handlers:
    """Handlers in the order in which they are tried.

    Args:
        patience_s: How long one may take for a message, in seconds.
        pauses_s: Pauses before further attempts where one failed.

    Attributes:
        on_error: Told of each failed attempt.
        on_event: Told of each event that is no message.
    """

    def __init__(self, patience_s: float, pauses_s: tuple[float, ...]) -> None:
        self.on_error: list[ErrorHook] = []
        self.on_event: list[EventHook] = []
        self._patience_s, self._pauses_s = patience_s, pauses_s
        self._handlers: list[tuple[tuple[Predicate, ...], Handler]] = []

    def add(self, predicates: tuple[Predicate, ...], handler: Handler) -> None:
        """Have a handler called for messages for which all of these are true, if none before it is."""
        self._handlers.append((predicates, coroutine_function(handler)))

    async def handle(self, message: Message, state: dict[str, Any]) -> str:
        """Handle a message as often as it takes.

        Args:
            message: Its state is what the handler made of the peer's, or as before if it failed.
            state: The peer's.

        Returns:
            Why it failed for good; "" if it did not.
        """
        for pause_s in (*self._pauses_s, None):
            message.state = deepcopy(state)
            try:
                await self.attempt(message)
            except Exception as exc:  # whatever a handler raises, the bot goes on
                log.exception("handler_failed", peer=message.peer, id=message.id)
                message.state = state
                for hook in self.on_error:
                    await self._guarded(hook(message, exc), "error_hook_failed")
                if pause_s is None:
                    return repr(exc)
                await asyncio.sleep(pause_s)
            else:
                break
        return ""

    async def attempt(self, message: Message) -> None:
        """Call the handler that is for a message, if there is one; raises what it raises."""
        async with asyncio.timeout(self._patience_s):
            for predicates, handler in self._handlers:
                message.arguments, message.match = [], None
                if await _all(predicates, message):
                    await handler(message)
                    json.dumps(message.state)  # what cannot be kept is this handler's fault
                    return

    async def tell(self, event: Event) -> None:
        """Tell of an event."""
        for hook in self.on_event:
            await self._guarded(hook(event), "event_hook_failed")

    async def _guarded(self, hook: Awaitable[Any], name: str) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                await hook
        except Exception:  # likewise
            log.exception(name)


async def _all(predicates: tuple[Predicate, ...], message: Message) -> bool:
    for predicate in predicates:
        found = predicate(message)
        if not (await found if inspect.isawaitable(found) else found):
            return False
    return True
