"""The conversation that is open: its messages as they are now, and what is done in it."""

from pathlib import Path
from typing import Final

from roost.cli.chat.view.entries import Day, Entry, answered, entries
from roost.client import Client, Conversation, Message
from roost.client.content import Delete, Edit, Known, Progress, Reaction, Text, Timer

PAGE: Final = 50
_REACH: Final = 10_000
"""How many messages are read at most to show one that was found."""


class OpenConversation:
    """Messages and acts of one conversation; acts raise ``ValueError``, ``RoostError`` or ``OSError``.

    Args:
        client: Signed in.
        peer: With whom.

    Attributes:
        peer: With whom.
        shown: What is shown, the oldest first.
        more: There are older messages than those that are shown.
        answering: The message that the next one answers.
        editing: The own message that is being changed.
    """

    def __init__(self, client: Client, peer: str) -> None:
        self._client = client
        self.peer = peer
        self.shown: list[Day | Entry] = []
        self.more = False
        self.answering: Message | None = None
        self.editing: Message | None = None
        self._limit = PAGE
        self._last_seq = 0
        self._timer_s: int | None = None

    @property
    def timer_s(self) -> int | None:
        """After how many seconds new messages disappear; None: they stay."""
        return self._timer_s

    @property
    def messages(self) -> list[Message]:
        """The messages that are shown, the oldest first."""
        return [each.message for each in self.shown if isinstance(each, Entry)]

    @property
    def ends_ms(self) -> int | None:
        """When the next of its messages disappears."""
        return min((each.expires_at_ms for each in self.messages if each.expires_at_ms), default=None)

    async def read(self, known: Conversation | None) -> None:
        """Read the messages again.

        Args:
            known: What the list of conversations has of it, if it is there.
        """
        self._timer_s = None if known is None else known.timer_s
        page = await self._client.history(self.peer, limit=self._limit)
        quoted = {each.id: each for each in page.messages}
        for target in answered(page.messages) - quoted.keys():
            if (found := await self._client.message(self.peer, target)) is not None:
                quoted[target] = found
        self.more = page.before is not None
        self.shown = entries(page.messages, quoted, self._client.now_ms())
        self._last_seq = max((each.seq or 0 for each in page.messages if not each.mine), default=0)

    def older(self) -> bool:
        """Have more messages read the next time; return whether there are some."""
        if self.more:
            self._limit += PAGE
        return self.more

    async def reach(self, message_id: str, known: Conversation | None) -> bool:
        """Read as many messages as it takes to show one; return whether it is among them."""
        while message_id not in {each.id for each in self.messages}:
            if not self.more or self._limit > _REACH:
                return False
            self._limit *= 2
            await self.read(known)
        return True

    async def mark_read(self, known: Conversation | None) -> bool:
        """Tell the peer that everything here was read; return whether that is news."""
        if self._last_seq <= (0 if known is None else known.read_seq):
            return False
        await self._client.mark_read(self.peer, self._last_seq)
        return True

    def answer(self, message: Message) -> None:
        """Have the next message answer this one."""
        self.answering, self.editing = message, None

    def edit(self, message: Message) -> None:
        """Have the next text replace this message's.

        Raises:
            ValueError: It cannot be edited.
        """
        if not message.mine or message.kind not in ("text", "file"):
            raise ValueError("only your own messages can be edited")
        self.answering, self.editing = None, message

    @staticmethod
    def check_own(message: Message) -> None:
        """Check that a message can be deleted for both.

        Raises:
            ValueError: It is the peer's.
        """
        if not message.mine:
            raise ValueError("only your own messages can be deleted")

    def neither(self) -> None:
        """Have the next message be one of its own."""
        self.answering = self.editing = None

    def taken(self, text: str) -> Known:
        """Return what sends this text: an answer or an edit, if one was begun; the next one is neither."""
        answering, editing = self.answering, self.editing
        self.neither()
        if editing is not None:
            return Edit(editing.id, text)
        return Text(text, None if answering is None else answering.id)

    async def send(self, content: Known) -> None:
        """Send something, for as long as messages stay here."""
        await self._client.send(self.peer, content, expires_in_s=self._timer_s)

    async def react(self, message: Message, emoji: str) -> None:
        """React to a message; empty: take one's reaction back."""
        await self.send(Reaction(message.id, emoji))

    async def delete(self, message: Message) -> None:
        """Delete one's own message on both sides."""
        self.check_own(message)
        await self.send(Delete(message.id))

    async def set_timer(self, seconds: int | None) -> None:
        """Have new messages disappear after so many seconds; None: have them stay."""
        await self._client.send(self.peer, Timer(seconds))

    async def send_file(self, path: Path, progress: Progress | None = None) -> None:
        """Send a file."""
        await self._client.send_file(self.peer, path, progress=progress, expires_in_s=self._timer_s)

    async def save(self, message: Message, folder: Path, progress: Progress | None = None) -> Path:
        """Save the file of a message; return where it is."""
        if message.file is None:
            raise ValueError("there is no file in this message")
        return await self._client.file(message.file).save(folder, progress)
