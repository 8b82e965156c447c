"""Search in the messages that this device keeps."""

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from roost.cli.chat.screen.dialogs import Dialog
from roost.cli.chat.view.entries import summary
from roost.cli.chat.view.words import short_time
from roost.client import Client, Message

_MOST = 50


class Search(Dialog[Message]):
    """Words, and the messages that have them; answered with the one that was chosen.

    Args:
        client: Whose messages.
        peer: The conversation that is open; None: all are searched.
    """

    def __init__(self, client: Client, peer: str | None) -> None:
        super().__init__()
        self._client, self._peer = client, peer
        self._found: list[Message] = []

    def compose(self) -> ComposeResult:
        """Make its parts."""
        where = "all conversations" if self._peer is None else f"the conversation with {self._peer}"
        with Vertical(classes="dialog"):
            yield Static(Content(f"Search in {where}, on this device:"))
            yield Input(select_on_focus=False)
            yield OptionList(markup=False)
            yield Static(Content("Type words    Down, Enter: go there    Esc: back"), classes="keys")

    @work(exclusive=True)
    async def on_input_changed(self, event: Input.Changed) -> None:
        """Find what has the words so far."""
        words = event.value
        self._found = []
        if words.strip():
            self._found = await self._client.search(words, peer=self._peer, limit=_MOST)
        now_ms = self._client.now_ms()
        shown = [
            Content(f"{short_time(each.at_ms, now_ms)}  {self._where(each)}{summary(each)}")
            for each in self._found
        ]
        results = self.query_one(OptionList)
        results.set_options([Option(each) for each in shown] or [Option("nothing found", disabled=True)])
        results.highlighted = 0 if shown else None

    def on_input_submitted(self) -> None:
        """Go to the first one."""
        if self._found:
            self.dismiss(self._found[self.query_one(OptionList).highlighted or 0])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Go to this one."""
        self.dismiss(self._found[event.option_index])

    def key_down(self) -> None:
        """Go to the results."""
        self.query_one(OptionList).focus()

    def _where(self, message: Message) -> str:
        return "" if self._peer is not None else f"[{message.peer}] "
