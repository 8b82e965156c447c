"""A world: a server in this process, a clock that is moved by hand, bots and people."""

import asyncio
from collections.abc import Awaitable
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

PASSWORD: Final = "correct horse battery staple"  # noqa: S105 -- it guards nothing
"""Of everyone in a world."""

_QUIET_S: Final = 0.4
_CONNECT_S: Final = 10.0
_STOP_S: Final = 60.0


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
        try:
            self.server, self._store, _ = await roles.start(clock.now_ms, self._stack)
        except BaseException:
            await self._stack.aclose()
            clock.remove()
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
            await self._ended(self._stack.aclose())
            self._clock.remove()
        if kind is None and self._store.dead_letters:
            raise AssertionError(f"the host could not handle {self._store.dead_letters}: a fault of Roost")

    # --- time -------------------------------------------------------------------------------------

    def now_ms(self) -> int:
        """Return the time, in Unix milliseconds."""
        return self._clock.now_ms()

    async def advance(self, seconds: float) -> None:
        """Let so much time pass at once: what is due goes off, in order."""
        await self.quiet()
        await self._clock.advance(seconds, self._all_connected)
        await self.quiet()

    async def quiet(self) -> None:
        """Return when all that was sent has arrived and is handled, or soon if something keeps it.

        Some of it, such as receipts, waits for company on its way: that time passes at once.
        """
        await self._clock.hurry(self._all_arrived, _QUIET_S, _QUIET_S / 2)

    def _all_connected(self) -> bool:
        return all(client.connected for client in self._everyone())

    def _all_arrived(self) -> bool:
        people = {client.username for client in self._everyone()}
        return not any(
            item.seq is None or item.to in people
            for client in self._everyone()
            for item in client.profile.state.outbox.values()
        )

    def _bots_name(self) -> str:
        if not self._name:
            raise ValueError("no bot was started in this world: start one, or say to whom with to=")
        return self._name

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
        await self._clock.hurry(lambda: bot.client.connected, _CONNECT_S)

    async def stop(self, bot: Bot) -> None:
        """Stop a bot."""
        self._bots.remove(bot)
        await self._ended(bot.stop())

    async def user(self, name: str) -> User:
        """Return a new user, who is online."""
        ears = Ears()
        client = await Client.register(self.server, name, PASSWORD, options=self._options(ears))
        self._clients.append(client)
        await client.start()
        await self._clock.hurry(lambda: client.connected, _CONNECT_S)
        return User(client, ears, self._bots_name, self.quiet)

    async def _ended(self, work: Awaitable[None]) -> None:
        """Await what may wait for time to pass."""
        ending = asyncio.ensure_future(work)
        await self._clock.hurry(ending.done, _STOP_S)
        await ending

    def _options(self, ears: Ears | None = None) -> Options:
        return Options(
            clock=self._clock.now_ms,
            elapsed=self._clock.elapsed_ms,
            on_event=None if ears is None else ears.hear,
        )
