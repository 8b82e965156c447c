"""A user of a world: a real client, and what a test asks of it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Self, TypeVar

from roost.client import Client, Event, MessageReceived
from roost.client.content import Known, Reaction

E = TypeVar("E", bound=Event)

PATIENCE_S: Final = 5.0
"""How long a test waits for what is to come."""


class Heard(str):
    """What a user was sent, as text, so that it compares as one; ``event`` is all of it."""

    __slots__ = ("event",)
    event: MessageReceived

    @classmethod
    def of(cls, event: MessageReceived) -> Self:
        """Return the text of a message."""
        heard = cls(event.text)
        heard.event = event
        return heard


class Ears:
    """The events of a client that a test has not asked for yet."""

    def __init__(self) -> None:
        self._heard: list[Event] = []
        self._news = asyncio.Event()

    def hear(self, event: Event) -> None:
        """Take in an event."""
        self._heard.append(event)
        self._news.set()

    def take(self, kind: type[E], wanted: Callable[[E], bool]) -> E | None:
        """Take out the first event of this kind that is wanted."""
        for event in self._heard:
            if isinstance(event, kind) and wanted(event):
                self._heard.remove(event)
                return event
        return None

    async def wait(self, kind: type[E], wanted: Callable[[E], bool], within_s: float) -> E:
        """Wait for it.

        Raises:
            AssertionError: It did not come; the sentence says what did.
        """
        try:
            async with asyncio.timeout(within_s):
                while (found := self.take(kind, wanted)) is None:
                    self._news.clear()
                    await self._news.wait()
                return found
        except TimeoutError:
            rest = [type(event).__name__ for event in self._heard]
            raise AssertionError(f"no {kind.__name__} came within {within_s} s, only {rest}") from None


class User:
    """Someone who writes to a bot.

    Args:
        client: Its client, for all that is not here.
        ears: What the client tells.
        to: Returns whom it writes to if not told otherwise.
        quiet: Waits until all that was sent has arrived.
    """

    def __init__(
        self, client: Client, ears: Ears, to: Callable[[], str], quiet: Callable[[], Awaitable[None]]
    ) -> None:
        self.client = client
        self._ears, self._to, self._quiet = ears, to, quiet

    @property
    def name(self) -> str:
        """Its username."""
        return self.client.username

    async def send(self, content: str | bytes | Known, *, to: str = "") -> str:
        """Write to the bot, or to someone else; returns the message's id."""
        return await self.client.send(to or self._to(), content)

    async def send_file(self, path: str | Path, *, to: str = "") -> str:
        """Send a file; returns the message's id."""
        return await self.client.send_file(to or self._to(), path)

    async def react(self, message_id: str, emoji: str, *, to: str = "") -> str:
        """React to a message; returns the reaction's own id."""
        return await self.send(Reaction(message_id, emoji), to=to)

    async def next(self, within_s: float = PATIENCE_S) -> Heard:
        """Return the next message that is shown: text, a file.

        Raises:
            AssertionError: There is none within this time.
        """
        return Heard.of(await self._ears.wait(MessageReceived, lambda event: not event.silent, within_s))

    async def reaction(self, within_s: float = PATIENCE_S) -> Reaction:
        """Return the next reaction; raises as `next` does."""
        event = await self._ears.wait(
            MessageReceived, lambda event: isinstance(event.body, Reaction), within_s
        )
        body = event.body
        assert isinstance(body, Reaction)  # noqa: S101 -- it was waited for
        return body

    async def event(self, kind: type[E], within_s: float = PATIENCE_S) -> E:
        """Return the next event of this kind, such as `Read` or `Typing`; raises as `next` does."""
        return await self._ears.wait(kind, lambda _: True, within_s)

    async def silence(self) -> None:
        """See to it that no message has come, once all that was sent has arrived.

        Raises:
            AssertionError: One has.
        """
        await self._quiet()
        event = self._ears.take(MessageReceived, lambda event: not event.silent)
        if event is not None:
            raise AssertionError(f"{self.name} was sent {event.text!r}, and there was to be silence")
