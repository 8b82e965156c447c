"""A world: a server in this process, a clock that is moved by hand, bots and people."""

from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from roost.bot import Bot, Settings
from roost.client import Client, Options
from roost.testing import roles
from roost.testing.clock import BEGINNING, FakeClock
from roost.testing.user import Ears, User

PASSWORD: Final = "correct horse battery staple"
"""Of everyone in a world."""

_QUIET_S: Final = 0.25


class World:
    """A world of a test; use it as ``async with World() as world``.

    Args:
        beginning: What time it is at first.

    Attributes:
        server: Base URL of the server, for programs that are not bots, and for ``curl``.
    """

    def __init__(self, beginning: datetime = BEGINNING) -> None:
        self._beginning = beginning
        self._stack = AsyncExitStack()
        self._bots: list[Bot] = []
        self._clients: list[Client] = []
        self._name = ""
        self._clock: FakeClock
        self.server = ""

    async def __aenter__(self) -> Self:
        clock = self._clock = FakeClock(self._beginning)
        clock.install()
        self._stack.callback(clock.remove)
        try:
            self.server, self._store = await roles.start(clock, self._stack)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for bot in list(self._bots):
                await self.stop(bot)
            for client in self._clients:
                await client.close()
        finally:
            await self._stack.aclose()
        if kind is None and self._store.dead_letters:
            raise AssertionError(f"the host could not handle {self._store.dead_letters}: a fault of Roost")

    # --- time -------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """Return the time, in Unix milliseconds."""
        return self._clock.now_ms()

    async def advance(self, seconds: float) -> None:
        """Let so much time pass at once: what is due goes off, in order."""
        await self.quiet()
        await self._clock.advance(seconds)
        await self.quiet()

    async def quiet(self) -> None:
        """Return when all that was sent has arrived and is handled, or soon if something keeps it."""
        until_s = self._clock.time() + _QUIET_S
        await self._clock.settle()
        while self._on_its_way() and self._clock.time() < until_s:
            await self._clock.settle()

    def _on_its_way(self) -> bool:
        people = {client.username for client in self._everyone()}
        return any(
            item.seq is None or item.to in people
            for client in self._everyone()
            for item in client.profile.state.outbox.values()
        )

    def _everyone(self) -> list[Client]:
        return [*self._clients, *(bot.client for bot in self._bots)]

    # --- who is in it -----------------------------------------------------------------------------

    async def start(self, bot: Bot, name: str = "bot", *, data: Path | None = None) -> None:
        """Start a bot, whom the users write to from now on; it is stopped at the end at the latest.

        Args:
            bot: The bot.
            name: Its username.
            data: Where it keeps its keys and memory; None: nowhere, so that it begins again if it is started
                again.
        """
        await bot.start(Settings(self.server, name, PASSWORD, data), self._options())
        self._bots.append(bot)
        self._name = name

    async def stop(self, bot: Bot) -> None:
        """Stop a bot."""
        self._bots.remove(bot)
        await bot.stop()

    async def user(self, name: str) -> User:
        """Return a new user, who is online."""
        ears = Ears()
        client = await Client.register(self.server, name, PASSWORD, options=self._options(ears))
        self._clients.append(client)
        await client.start()
        return User(client, ears, lambda: self._name, self.quiet)

    def _options(self, ears: Ears | None = None) -> Options:
        return Options(
            clock=self._clock.now_ms,
            elapsed=self._clock.elapsed_ms,
            on_event=None if ears is None else ears.hear,
        )
