"""What is being written: the field, the drafts, and that the peer is told of it."""

from textual.widgets import TextArea

from roost.cli.chat.screen.composer import Composer
from roost.cli.chat.view.desk import Desk
from roost.cli.chat.view.typing import TypingTeller
from roost.cli.shown import plain


class Writing:
    """The field of the open conversation.

    Args:
        field: Where it is written.
        desk: What is open.
    """

    def __init__(self, field: Composer, desk: Desk) -> None:
        self._field, self._desk = field, desk
        self._typing = TypingTeller()

    def opened(self) -> None:
        """Show what was written in this conversation and not sent."""
        opened = self._desk.opened
        self.edited("" if opened is None else self._desk.drafts.get(opened.peer, ""))

    def edited(self, text: str) -> None:
        """Show this text, which is no draft."""
        with self._field.prevent(TextArea.Changed):
            self._field.load_text(plain(text))
        self._field.move_cursor(self._field.document.end)

    def typed(self) -> None:
        """Keep the draft, and tell the peer."""
        client, opened, text = self._desk.client, self._desk.opened, self._field.text
        self._desk.keep_draft(text)
        if opened is not None and self._typing.typed(opened.peer, text, client.now_ms()):
            client.typing(opened.peer)

    def tick(self) -> None:
        """Tell the peer if this user has paused."""
        client = self._desk.client
        if (peer := self._typing.paused(client.now_ms())) is not None:
            client.typing(peer, "paused")

    def sent(self, *, edited: bool) -> None:
        """Note that the text is on its way; after an edit, what was written before comes back."""
        self._typing.sent()
        if edited and not self._field.text:
            self.opened()
        elif not edited:
            self._desk.keep_draft(self._field.text)

    def back(self, peer: str, text: str) -> None:
        """Take back a text that could not be sent, before what was written since."""
        since = self._desk.drafts.get(peer, "")
        self._desk.drafts[peer] = f"{text}\n{since}" if since else text
        if self._desk.opened is not None and self._desk.opened.peer == peer:
            self.opened()

    def cancelled(self) -> bool:
        """Have the next message be one of its own; return whether it was to be another."""
        opened = self._desk.opened
        if opened is None or (opened.answering is None and opened.editing is None):
            return False
        edited = opened.editing is not None
        opened.neither()
        if edited:
            self.opened()
        return True
