"""A message as a handler gets it, with the ways to answer."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from roost.client import Client, MessageReceived
from roost.client.content import Attachment, Content, Known, Reaction, Text


class Message:
    """What someone sent to the bot.

    Attributes:
        event: The event of the SDK, with everything about it.
        peer: Who sent it.
        id: Its id: the same when it comes again, so that what must not be done twice can be remembered by it.
        body: What it is.
        text: It as text; of anything but text a line in brackets.
        file: The file that it brings, if it does.
        state: What the bot knows of this peer, of JSON types. It is kept when the handler has ended, with
            the note that the message is done, and as it was before if the handler failed.
        arguments: The words after a command.
        match: What a regular expression matched.
    """

    def __init__(self, client: Client, event: MessageReceived) -> None:
        self.event = event
        self.peer, self.id = event.peer, event.id
        self.body: Content = event.body
        self.text = event.text
        self.file = event.file
        if self.file is None and isinstance(self.body, Attachment):  # it was put aside meanwhile
            self.file = client.file(self.body.file)
        self.state: dict[str, Any] = {}
        self.arguments: list[str] = []
        self.match: re.Match[str] | None = None
        self._client = client

    def __repr__(self) -> str:
        return f"Message(peer={self.peer!r}, id={self.id!r})"  # what is in it is in no log

    async def reply(self, content: str | bytes | Known, *, quote: bool = False) -> str:
        """Send an answer, as `Client.send`; returns its id.

        Args:
            content: What to send.
            quote: Show it as an answer to this very message; for text only.
        """
        if quote and isinstance(content, str):
            content = Text(content, reply_to=self.id)
        return await self._client.send(self.peer, content)

    async def react(self, emoji: str) -> str:
        """React to the message; ``""`` takes an earlier reaction away."""
        return await self._client.send(self.peer, Reaction(self.id, emoji))

    async def send_file(self, path: str | Path) -> str:
        """Answer with a file; raises as `Client.send_file` does."""
        return await self._client.send_file(self.peer, path)

    async def save_file(self, folder: str | Path) -> Path:
        """Download the file that it brings into a folder, which is made if it is not there.

        Returns:
            Where it is: under its own name, or that with a number if there is such a file already.

        Raises:
            ValueError: It brings none.
            FileBroken: See `File.save`, also for the other errors.
        """
        if self.file is None:
            raise ValueError("this message brings no file")
        await asyncio.to_thread(Path(folder).mkdir, parents=True, exist_ok=True)
        return await self.file.save(folder)

    @asynccontextmanager
    async def typing(self) -> AsyncIterator[None]:
        """Show the sender that the bot types, until the end of the block."""
        self._client.typing(self.peer)
        try:
            yield
        finally:
            self._client.typing(self.peer, "paused")
