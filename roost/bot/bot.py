"""The bot: hands each message to the first handler that is for it.

Each peer's messages are handled one after the other, and those of different peers side by side. A message is
acknowledged when its handler has ended, and so handled at least once: if the process dies before, it comes
again after the start. What the handler did to ``message.state`` is kept together with the note that the
message is done, so that happens once; what it sent or did elsewhere may happen twice: ``message.id`` tells.

A handler that raises, or takes longer than its patience, is called again after a pause. After the last
attempt the message is put aside (`Bot.failures`, `Bot.retry`), and counts as done.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final
from weakref import WeakValueDictionary

from roost.bot import filters, signing_in
from roost.bot.handlers import ErrorHook, EventHook, Handler, Handlers, coroutine_function
from roost.bot.memory import Failure, Memory
from roost.bot.message import Message
from roost.bot.settings import BotStopped, Settings
from roost.client import (
    Client,
    Connected,
    Disconnected,
    Event,
    Failed,
    MessageReceived,
    Options,
    Refused,
    Undecryptable,
)
from roost.client.content import Known
from roost.errors import RoostError
from roost.loading import without

with without("rich"):  # see roost.tasks
    import structlog

log = structlog.get_logger()

Loop = Callable[[], Coroutine[Any, Any, None]]

PAUSES_S: Final = (1.0, 10.0)
"""Pauses before the further attempts."""

_LAST_S: Final = 10.0
_IN_HAND: Final = 256
"""A stream brings no more before the oldest is acknowledged; long polls would."""

_NOT_RUNNING: Final = "the bot is not running: what it is to do without being asked belongs into @bot.loop"
_NO_PEER: Final = ""
"""In whose place events stand that are no messages: their hooks are called in order, too."""


class Bot:
    """A bot: one device of one user, and what it does with messages.

    Args:
        settings: Who and where it is; None: what the environment says.
        patience_s: How long a handler may take for one message, in seconds.
        pauses_s: Pauses before further attempts where a handler failed; ``()``: there is one attempt.
        at_once: So many messages, of different peers, are handled at the same time.
        read: Tell senders that their message was read, when it is done.
        options: Of the client.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        patience_s: float = 60.0,
        pauses_s: tuple[float, ...] = PAUSES_S,
        at_once: int = 100,
        read: bool = True,
        options: Options | None = None,
    ) -> None:
        self._settings, self._options = settings, options
        self._handlers = Handlers(patience_s, pauses_s)
        self._at_once, self._read = at_once, read
        self._loops: list[Loop] = []
        self._bare: list[tuple[filters.Predicate, ...]] = []
        self._client: Client | None = None
        self._memory: Memory | None = None
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: dict[asyncio.Task[None], str] = {}

    # --- what it does -----------------------------------------------------------------------------

    def on(self, *predicates: filters.Predicate) -> Callable[[Handler], Handler]:
        """Decorate the handler of messages for which all of these are true; the first one is called."""
        self._bare.append(predicates)

        def decorate(handler: Handler) -> Handler:
            self._handlers.add(predicates, handler)
            self._bare = [each for each in self._bare if each is not predicates]
            return handler

        return decorate

    def command(self, *names: str) -> Callable[[Handler], Handler]:
        """Decorate the handler of ``/name``; see `filters.command`."""
        return self.on(filters.command(*names))

    def text(self, handler: Handler) -> Handler:
        """Decorate the handler of text that no handler before it is for."""
        return self.on(filters.text)(handler)

    def on_error(self, hook: ErrorHook) -> ErrorHook:
        """Decorate what is told of each failed attempt of a handler, beside the log."""
        self._handlers.on_error.append(coroutine_function(hook))
        return hook

    def on_event(self, hook: EventHook) -> EventHook:
        """Decorate what is told of every other event of the client, for example `Failed`."""
        self._handlers.on_event.append(coroutine_function(hook))
        return hook

    def loop(self, work: Loop) -> Loop:
        """Decorate what runs beside the handlers, for as long as the bot does; if it raises, the bot ends."""
        self._loops.append(coroutine_function(work))
        return work

    @property
    def client(self) -> Client:
        """The client, for all that a bot has no word of its own for.

        Raises:
            BotStopped: The bot is not running.
        """
        if self._client is None:
            raise BotStopped(_NOT_RUNNING)
        return self._client

    @property
    def _known(self) -> Memory:
        if self._memory is None:
            raise BotStopped(_NOT_RUNNING)
        return self._memory

    async def send(self, to: str, content: str | bytes | Known) -> str:
        """Write to someone, as `Client.send`."""
        return await self.client.send(to, content)

    @asynccontextmanager
    async def state(self, peer: str) -> AsyncIterator[dict[str, Any]]:
        """Change what the bot knows of a peer outside of its handlers; kept at the end of the block.

        Raises:
            RuntimeError: This is in a handler of that peer's message, which has ``message.state``.
        """
        here = asyncio.current_task()
        if here is not None and self._tasks.get(here) == peer:
            raise RuntimeError(f"the handler of a message of {peer} has its state: message.state")
        async with self._lock(peer):
            state = (await self._known.peer(peer)).state
            yield state
            await self._known.keep(peer, state)

    async def states(self) -> dict[str, dict[str, Any]]:
        """Return what the bot knows, of each peer of whom it knows something."""
        return await self._known.peers()

    async def failures(self) -> list[Failure]:
        """Return the messages that were put aside, in the order in which they came."""
        return await self._known.failures()

    async def retry(self, failure: Failure) -> None:
        """Handle a message that was put aside, once; raises what the handler raises."""
        message = Message(self.client, failure.event)
        async with self._lock(message.peer):
            message.state = (await self._known.peer(message.peer)).state
            await self._handlers.attempt(message)
            await self._known.done(failure.event, message.state)

    # --- its life ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Run until SIGINT or SIGTERM, then finish what has begun.

        Raises:
            SystemExit: It cannot sign in or go on; the sentence says why.
        """
        try:
            asyncio.run(self._until_told())
        except (BotStopped, RoostError, OSError) as exc:
            raise SystemExit(f"The bot has stopped: {exc}") from exc
        except KeyboardInterrupt:
            raise SystemExit("The bot has stopped: it was interrupted before it had begun") from None

    async def start(self, settings: Settings | None = None, options: Options | None = None) -> None:
        """Sign in and begin; returns once it is on its way. End it with `stop`.

        Raises:
            BotStopped: Its name or its folder cannot be used, or another process is this bot.
            RoostError: The server refuses it, or cannot be reached.
            OSError: Its keys cannot be written.
            TypeError: `on` was called with no function to decorate.
        """
        if self._bare:
            names = ", ".join(getattr(each, "__name__", repr(each)) for each in self._bare[0])
            raise TypeError(f"on({names}) has no handler: write @bot.on(...) above one, with the parentheses")
        settings = settings or self._settings or Settings.from_environment()
        try:
            memory = Memory(None if settings.data is None else settings.data / "memory.db")
        except (ValueError, OSError) as exc:
            raise BotStopped(f"its folder (ROOST_BOT_DATA) cannot be used: {exc}") from exc
        try:
            self._client = await signing_in.client_of(settings, memory, options or self._options)
        except BaseException:
            memory.close()
            raise
        self._memory = memory
        self._places = asyncio.Semaphore(self._at_once)
        self._ending = False
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._client.start()
        self._running = [self._begun(work()) for work in (self._read_all, *self._loops)]

    async def ended(self) -> None:
        """Return once it was told to end; raise what ends it."""
        await asyncio.shield(self._over)

    async def stop(self) -> None:
        """Take no more, let the handlers that have begun end, and disconnect."""
        client = self.client
        self._ending = True
        await _cancelled(self._running)
        if self._tasks:
            await asyncio.wait([*self._tasks], timeout=_LAST_S)
        await _cancelled([*self._tasks])
        await client.close()
        self._known.close()
        self._client = self._memory = None

    async def _until_told(self) -> None:
        await self.start()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._told)
        try:
            await self.ended()
        finally:
            await self.stop()

    def _told(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    def _begun(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task whose failure ends the bot."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._has_ended)
        return task

    def _has_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (failure := task.exception()) and not self._over.done():
            self._over.set_exception(failure)

    # --- what happens -----------------------------------------------------------------------------

    async def _read_all(self) -> None:
        async for event, taken in self.client.pending():
            if isinstance(event, Disconnected) and event.final:
                raise BotStopped(f"its session is over ({event.code}): start it again, so that it signs in")
            peer = event.peer if isinstance(event, MessageReceived) else _NO_PEER
            self._tasks[self._begun(self._serve(peer, event, taken))] = peer
            while len(self._tasks) >= _IN_HAND:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def _serve(self, peer: str, event: Event, taken: Callable[[], None]) -> None:
        """Deal with an event in its turn: those who wait for a lock get it in order."""
        async with self._lock(peer), self._places:
            if self._ending:
                return  # it comes again
            try:
                await (self._handle(event) if isinstance(event, MessageReceived) else self._tell(event))
            except BaseException:
                self._ending = True  # before the next one of this peer has its turn
                raise
        taken()

    async def _handle(self, event: MessageReceived) -> None:
        """Handle a message, and keep that it is done."""
        known = await self._known.peer(event.peer)
        if known.has(event):
            return
        message = Message(self.client, event)
        failure = await self._handlers.handle(message, known.state)
        await self._known.done(event, message.state, failure)
        if self._read and not event.silent:
            await self.client.mark_read(event.peer, event.seq)

    async def _tell(self, event: Event) -> None:
        match event:
            case Connected():
                log.info("bot_connected", name=self.client.username)
            case Disconnected(code=code):
                log.warning("bot_disconnected", reason=code)
            case Failed() | Undecryptable() | Refused():
                log.warning("bot_told", event=type(event).__name__, reason=event.detail)
        await self._handlers.tell(event)

    def _lock(self, peer: str) -> asyncio.Lock:
        return self._locks.setdefault(peer, asyncio.Lock())


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
