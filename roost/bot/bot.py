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
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final
from weakref import WeakValueDictionary

from roost.bot import filters, signing_in
from roost.bot.handlers import ErrorHook, EventHook, Handler, Handlers
from roost.bot.lines import Lines
from roost.bot.memory import Failure, Memory
from roost.bot.message import Message
from roost.bot.settings import Settings
from roost.client import (
    Client,
    Connected,
    Disconnected,
    Failed,
    KeystoreInUse,
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

PAUSES_S: Final = (1.0, 10.0)
"""Pauses before the further attempts."""

_LAST_S: Final = 10.0


class BotStopped(Exception):  # noqa: N818 -- named for what happened
    """The bot cannot go on; the sentence says why."""


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
        self.settings = settings
        self._options = options
        self._handlers = Handlers(patience_s, pauses_s)
        self._at_once, self._read = at_once, read
        self._loops: list[Callable[[], Awaitable[None]]] = []
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._running: list[asyncio.Task[None]] = []
        self._client: Client | None = None
        self._memory: Memory
        self._lines: Lines

    # --- what it does -----------------------------------------------------------------------------

    def on(self, *predicates: filters.Predicate) -> Callable[[Handler], Handler]:
        """Decorate the handler of messages for which all of these are true; the first one is called."""

        def decorate(handler: Handler) -> Handler:
            self._handlers.add(predicates, handler)
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
        self._handlers.on_error.append(hook)
        return hook

    def on_event(self, hook: EventHook) -> EventHook:
        """Decorate what is told of every other event of the client, for example `Failed`."""
        self._handlers.on_event.append(hook)
        return hook

    def loop(self, work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """Decorate what runs beside the handlers, for as long as the bot does; if it raises, the bot ends."""
        self._loops.append(work)
        return work

    @property
    def client(self) -> Client:
        """The client, for all that a bot has no word of its own for.

        Raises:
            BotStopped: The bot is not running.
        """
        if self._client is None:
            raise BotStopped("the bot is not running")
        return self._client

    async def send(self, to: str, content: str | bytes | Known) -> str:
        """Write to someone, as `Client.send`."""
        return await self.client.send(to, content)

    @asynccontextmanager
    async def state(self, peer: str) -> AsyncIterator[dict[str, Any]]:
        """Change what the bot knows of a peer outside of its handlers; kept at the end of the block."""
        async with self._lock(peer):
            state = (await self._memory.peer(peer)).state
            yield state
            await self._memory.keep(peer, state)

    async def states(self) -> dict[str, dict[str, Any]]:
        """Return what the bot knows, of each peer of whom it knows something."""
        return await self._memory.peers()

    async def failures(self) -> list[Failure]:
        """Return the messages that were put aside, in the order in which they came."""
        return await self._memory.failures()

    async def retry(self, failure: Failure) -> None:
        """Handle a message that was put aside, once; raises what the handler raises."""
        message = Message(self.client, failure.event)
        async with self._lock(message.peer):
            message.state = (await self._memory.peer(message.peer)).state
            await self._handlers.attempt(message)
            await self._memory.forget(failure.event, message.state)

    # --- its life ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Run until SIGINT or SIGTERM, then finish what has begun.

        Raises:
            SystemExit: It cannot sign in or go on; the sentence says why.
        """
        try:
            asyncio.run(self._until_told())
        except (BotStopped, RoostError, KeystoreInUse, OSError) as exc:
            raise SystemExit(f"The bot has stopped: {exc}") from exc

    async def start(self, settings: Settings | None = None, options: Options | None = None) -> None:
        """Sign in and begin; returns once it is on its way. End it with `stop`.

        Raises:
            RoostError: It cannot sign in.
            KeystoreInUse: Another process is this bot.
            OSError: Its folder cannot be used.
        """
        settings = settings or self.settings or Settings.from_environment()
        self._memory = Memory(None if settings.data is None else settings.data / "memory.db")
        try:
            self._client = await signing_in.client_of(settings, options or self._options)
        except BaseException:
            self._memory.close()
            raise
        self._lines = Lines(self._handle, self._at_once)
        await self._client.start()
        self._running = [asyncio.ensure_future(work()) for work in (self._read_all, *self._loops)]

    async def ended(self) -> None:
        """Return never; raise what ends the bot."""
        await asyncio.wait({*self._running, self._lines.broken}, return_when=asyncio.FIRST_EXCEPTION)
        for each in (self._lines.broken, *self._running):
            if each.done():
                each.result()

    async def stop(self) -> None:
        """Take no more, let the handlers that have begun end, and disconnect."""
        client = self.client
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._lines.finish(_LAST_S)
        await client.close()
        self._memory.close()
        self._client = None

    async def _until_told(self) -> None:
        told = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, told.set)
        await self.start()
        works = [asyncio.ensure_future(work) for work in (told.wait(), self.ended())]
        try:
            await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
            if works[1].done():
                works[1].result()
        finally:
            for each in works:
                each.cancel()
            await self.stop()

    # --- what happens -----------------------------------------------------------------------------

    async def _read_all(self) -> None:
        async for event, taken in self.client.pending():
            if isinstance(event, MessageReceived):
                await self._lines.put(event, taken)
                continue
            match event:
                case Connected():
                    log.info("bot_connected", name=self.client.username)
                case Disconnected(final=True, code=code):
                    raise BotStopped(f"its session is over ({code}); sign it in again, in a new data folder")
                case Failed() | Undecryptable() | Refused():
                    log.warning("bot_told", event=type(event).__name__, reason=event.detail)
            await self._handlers.tell(event)
            taken()

    async def _handle(self, event: MessageReceived) -> None:
        """Handle a message, and keep that it is done."""
        message = Message(self.client, event)
        async with self._lock(message.peer):
            known = await self._memory.peer(message.peer)
            if known.has(event):
                return
            failure = await self._handlers.handle(message, known.state)
            await self._memory.done(event, message.state, failure)
        if self._read and not event.silent:
            await self.client.mark_read(message.peer, event.seq)

    def _lock(self, peer: str) -> asyncio.Lock:
        return self._locks.setdefault(peer, asyncio.Lock())
