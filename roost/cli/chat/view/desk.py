"""All that the chat shows: the conversations, the one that is open, the connection, and what was told."""

from typing import NamedTuple

from roost.cli.chat.view.connection import ConnectionState
from roost.cli.chat.view.conversation import OpenConversation
from roost.cli.chat.view.people import People, doubt
from roost.cli.chat.view.words import short_time
from roost.cli.devices import linked, told_of_keys
from roost.client import Client, Conversation, Message
from roost.client.events import (
    Disconnected,
    Event,
    Failed,
    KeyChanged,
    Linked,
    MessageReceived,
    Missed,
    Refused,
)
from roost.ids import fold_username
from roost.wire import MAX_SUBSCRIPTIONS


class Row(NamedTuple):
    """A conversation in the list.

    Attributes:
        peer: With whom.
        unread: How many messages were not read.
        online: The peer is known to be here.
        types: The peer is typing.
        draft: There is text that was not sent.
        doubtful: Something is the matter with the peer's keys.
        time: When the last message was.
    """

    peer: str
    unread: int
    online: bool
    types: bool
    draft: bool
    doubtful: bool
    time: str


class Notice(NamedTuple):
    """Something that the person at the terminal is told.

    Attributes:
        text: The sentence.
        grave: It must not be missed.
    """

    text: str
    grave: bool = False


class Desk:
    """What is shown, from the client alone; of its own it has only the drafts.

    Args:
        client: Signed in.
        first: A conversation that is in the list even if it is empty.

    Attributes:
        people: Who is here.
        connection: How this device stands with the server.
        opened: The open conversation.
        drafts: Text that was not sent, by peer.
    """

    def __init__(self, client: Client, first: str | None = None) -> None:
        self.client = client
        self.people, self.connection = People(), ConnectionState()
        self.opened: OpenConversation | None = None
        self.drafts: dict[str, str] = {}
        self._empty = [] if first is None else [first]
        self._known: dict[str, Conversation] = {}
        self._followed: list[str] = []

    def take(self, event: Event) -> Notice | None:
        """Note an event; return what the person is told of it besides what is shown anyway."""
        self.people.take(event, self.client.now_ms())
        self.connection.take(event)
        match event:
            case Disconnected():
                self.people.forget()
            case MessageReceived(peer=peer):
                self.people.wrote(peer)
            case KeyChanged():
                style, sentence = told_of_keys(event)
                return Notice(sentence, grave="red" in style)
            case Linked():
                return Notice(linked(event), grave=bool(event.problem))
            case Failed(peer=peer, detail=detail):
                return Notice(f"a message to {peer} is not sent: {detail}", grave=True)
            case Refused(frame=frame, detail=detail) if frame != "typing":
                return Notice(f"the server refuses it: {detail}", grave=True)
            case Missed():
                return Notice("older messages are gone from the server", grave=True)
        return None

    async def refresh(self) -> None:
        """Read everything again."""
        self._known = {each.peer: each for each in await self.client.conversations()}
        if self.opened is not None:
            await self.opened.read(self._known.get(self.opened.peer))
        self._follow([row.peer for row in self.rows()])

    def rows(self) -> list[Row]:
        """Return the list, the newest first; what is empty stands above."""
        peers = [each for each in self._empty if each not in self._known] + list(self._known)
        now_ms = self.client.now_ms()
        return [self._row(peer, self._known.get(peer), now_ms) for peer in peers]

    @property
    def unread(self) -> int:
        """How many messages of all conversations were not read."""
        return sum(each.unread for each in self._known.values())

    def open(self, name: str) -> None:
        """Open a conversation, also one that is empty yet; `refresh` shows it.

        Raises:
            ValueError: It is not a username.
        """
        peer = fold_username(name)
        if peer not in self._known and peer not in self._empty:
            self._empty.insert(0, peer)
        if self.opened is None or self.opened.peer != peer:
            self.opened = OpenConversation(self.client, peer)

    def close(self) -> None:
        """Have no conversation open."""
        self.opened = None

    async def show(self, message: Message) -> bool:
        """Open a conversation with this message among what is shown; return whether it is still there."""
        self.open(message.peer)
        await self.refresh()
        assert self.opened is not None  # noqa: S101 -- it was opened above
        return await self.opened.reach(message.id, self._known.get(message.peer))

    async def mark_read(self) -> bool:
        """Tell the peer that the open conversation was read; return whether that is news."""
        if self.opened is None:
            return False
        return await self.opened.mark_read(self._known.get(self.opened.peer))

    def keep_draft(self, text: str) -> None:
        """Keep what is typed in the open conversation."""
        if self.opened is None or self.opened.editing is not None:
            return
        if text.strip():
            self.drafts[self.opened.peer] = text
        else:
            self.drafts.pop(self.opened.peer, None)

    def doubt(self) -> str:
        """Return what is the matter with the open peer's keys; empty if nothing is."""
        return "" if self.opened is None else doubt(self.client.profile, self.opened.peer)

    def _row(self, peer: str, known: Conversation | None, now_ms: int) -> Row:
        last = None if known is None else known.last
        return Row(
            peer=peer,
            unread=0 if known is None else known.unread,
            online=self.people.online(peer),
            types=self.people.types(peer, now_ms),
            draft=peer in self.drafts,
            doubtful=bool(doubt(self.client.profile, peer)),
            time="" if last is None else short_time(last.at_ms, now_ms),
        )

    def _follow(self, peers: list[str]) -> None:
        """Ask for the presence of whom the list has, the newest first."""
        wanted = sorted(each for each in peers[:MAX_SUBSCRIPTIONS] if each != self.client.username)
        if wanted != self._followed:
            self._followed = wanted
            self.client.subscribe(*wanted)
