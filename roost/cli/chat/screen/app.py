"""The chat that fills the terminal: the parts of the screen, and the loop that keeps them up to date."""

import asyncio
from collections.abc import Iterable
from typing import ClassVar, Final

from rich.console import Console
from textual import on, work
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import AppFocus, DescendantFocus, Event, Paste
from textual.screen import Screen
from textual.widgets import OptionList, Static, TextArea

from roost.cli.chat.screen.acts import Acts
from roost.cli.chat.screen.composer import Composer
from roost.cli.chat.screen.conversation_list import ConversationList
from roost.cli.chat.screen.dialogs import Show
from roost.cli.chat.screen.help import HELP
from roost.cli.chat.screen.keys import KEYS, NOT_WHILE_ASKED, hints
from roost.cli.chat.screen.message_list import MessageList
from roost.cli.chat.screen.surroundings import about_line, doubt_line, state_line, title_line
from roost.cli.chat.screen.writing import Writing
from roost.cli.chat.view.desk import Desk, Notice
from roost.cli.chat.view.harmless import on_screen
from roost.cli.shown import plain
from roost.client import Client, Message
from roost.client.content import Progress

_TICK_S: Final = 1.0
_GRAVE_S: Final = 30.0


class ChatApp(App[None]):
    """The whole screen.

    Args:
        client: Signed in, not started.
        peer: The conversation that is open at first.
    """

    TITLE = "Roost"
    CSS_PATH = "chat.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (64, "-normal"), (120, "-wide")]  # noqa: RUF012 -- as Textual's
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (9, "-short"), (16, "-tall")]  # noqa: RUF012 -- likewise
    BINDINGS: ClassVar[list[BindingType]] = KEYS

    def __init__(self, client: Client, peer: str | None = None) -> None:
        # Without colours at all, not in shades of grey, where NO_COLOR is set.
        super().__init__(ansi_color=Console().no_color)
        self.desk = Desk(client, peer)
        self._acts = Acts(self, self.desk)
        self._first = peer
        self._dirty = asyncio.Event()
        self._at: str | None = None
        self._doing = ""
        self._list, self._messages, self._field = ConversationList(), MessageList(), Composer()
        self._state, self._title = Static(id="state"), Static(id="title")
        self._hints = Static(id="hints")
        self._doubt, self._about = Static(id="doubt"), Static(id="about")
        self.writing = Writing(self._field, self.desk)

    def compose(self) -> ComposeResult:
        """Put the parts on the screen."""
        yield self._state
        with Horizontal():
            with Vertical(id="left"):
                yield self._list
            with Vertical(id="right"):
                yield self._title
                yield self._doubt
                yield self._messages
                yield self._about
                yield self._field
        yield self._hints

    async def on_event(self, event: Event) -> None:
        """Take an event; what is pasted brings nothing that would move the cursor."""
        if isinstance(event, Paste):
            event.text = plain(event.text.replace("\r\n", "\n").replace("\r", "\n"))
        await super().on_event(event)

    async def on_mount(self) -> None:
        """Connect, and show what is there."""
        await self.desk.client.start()
        if self._first is None:
            self.action_list()
        else:
            self.open(self._first)
        self.hear()
        self.keep_fresh()
        self.set_interval(_TICK_S, self._tick)
        self.touch()

    # --- up to date -------------------------------------------------------------------------------

    def touch(self) -> None:
        """Have everything read and shown again, soon."""
        self._dirty.set()

    @work
    async def hear(self) -> None:
        """Take the client's events, as long as the session lasts."""
        async for event in self.desk.client.events():
            if (notice := self.desk.take(event)) is not None:
                self.tell(notice)
            self.touch()

    @work
    async def keep_fresh(self) -> None:
        """Show what has changed; what comes meanwhile is shown together the next time."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await self.desk.refresh()
            if not self.is_running:
                return  # the screen went meanwhile
            self._show()
            if self._is_being_read() and await self.desk.mark_read():
                self.touch()

    def tell(self, notice: Notice) -> None:
        """Tell the person something."""
        self.notify(
            on_screen(notice.text),
            severity="error" if notice.grave else "information",
            timeout=_GRAVE_S if notice.grave else None,
            markup=False,
        )

    def progress(self, what: str) -> Progress:
        """Return what shows how far something is."""

        def told(done: int, total: int) -> None:
            self._doing = f"{what}: {100 * done // max(total, 1)} %"
            self._show_surroundings()

        return told

    def progress_ended(self) -> None:
        """Have no progress shown."""
        self._doing = ""
        self._show_surroundings()

    def show_message(self, message: Message) -> None:
        """Have a message in sight that was read just now."""
        self._show()
        self._messages.focus()
        self.call_after_refresh(self._messages.choose, message)

    def _tick(self) -> None:
        self.writing.tick()
        if self.desk.opened is not None and self.desk.opened.ends_ms is not None:
            self.touch()
        else:
            self._show_surroundings()

    def _is_being_read(self) -> bool:
        """Return whether the newest message is before the person's eyes."""
        base = self.screen_stack[0]
        hidden = base.has_class("-narrow") and base.has_class("-listing")
        return self.app_focus and self.screen is base and not hidden and self._messages.at_end

    def _show(self) -> None:
        opened = self.desk.opened
        peer = None if opened is None else opened.peer
        self._messages.show([] if opened is None else opened.shown, other=peer != self._at)
        self._at = peer
        self._show_surroundings()

    def _show_surroundings(self) -> None:
        self._list.show(self.desk.rows(), self._at)
        self._state.update(state_line(self.desk))
        self._title.update(title_line(self.desk))
        _put(self._doubt, doubt_line(self.desk))
        _put(self._about, self._doing or about_line(self.desk))

    # --- conversations and messages ---------------------------------------------------------------

    def open(self, name: str) -> None:
        """Open a conversation, and write there."""
        self.desk.keep_draft(self._field.text)
        self.desk.open(name)
        self.writing.opened()
        self.action_write()
        self.touch()

    def sent(self, *, edited: bool) -> None:
        """Note that what was written is on its way."""
        self.writing.sent(edited=edited)
        self._messages.scroll_end(animate=False, immediate=True)
        self.touch()

    @on(OptionList.OptionSelected, "#conversations")
    def _on_conversation(self, event: OptionList.OptionSelected) -> None:
        if event.option_id is not None:
            self.open(event.option_id)

    @on(MessageList.Older)
    def _on_older(self) -> None:
        if self.desk.opened is not None and self.desk.opened.older():
            self.touch()

    @on(MessageList.Left)
    def _on_left(self) -> None:
        self.action_write()

    @on(MessageList.Act)
    def _on_act(self, event: MessageList.Act) -> None:
        self._acts.on_message(event.what, event.message)

    @on(DescendantFocus)
    def _on_part(self, event: DescendantFocus) -> None:
        self._hints.update(hints(event.widget.id))

    @on(AppFocus)
    def _on_focus(self) -> None:
        self.touch()

    @on(Composer.Sent)
    def _on_sent(self, event: Composer.Sent) -> None:
        if event.text.strip():
            self._acts.send(event.text)

    @on(Composer.Cancelled)
    def _on_cancelled(self) -> None:
        if not self.writing.cancelled():
            self.action_list()
        self._show_surroundings()

    @on(Composer.Upwards)
    def _on_upwards(self, event: Composer.Upwards) -> None:
        if event.pages:
            self._messages.scroll_relative(y=event.pages * self._messages.size.height, animate=False)
        else:
            self._messages.choose_last()
            self._messages.focus()

    @on(TextArea.Changed, "#composer")
    def _on_typed(self) -> None:
        self.writing.typed()

    # --- keys -------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Return whether a key counts: while something is asked, only those that end the program do."""
        if len(self.screen_stack) > 1 and action in NOT_WHILE_ASKED:
            return False
        return super().check_action(action, parameters)

    def action_write(self) -> None:
        """Go to the field."""
        self.screen_stack[0].remove_class("-listing")
        self._messages.highlighted = None
        self._field.focus()
        self._show_surroundings()

    def action_list(self) -> None:
        """Go to the conversations."""
        self.screen_stack[0].add_class("-listing")
        self._list.focus()

    def action_beside(self, step: int) -> None:
        """Open the conversation above or below."""
        if peer := self._list.beside(step):
            self.open(peer)

    def action_help(self) -> None:
        """Show what every key does."""
        self.push_screen(Show(HELP))

    def action_interrupt(self) -> None:
        """Copy what is selected, else quit."""
        if self.screen.focused is self._field and self._field.selected_text:
            self.copy_to_clipboard(self._field.selected_text)
        else:
            self.exit()

    def action_act(self, name: str) -> None:
        """Do one of the acts."""
        self._acts.do(name)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Return everything by name."""
        yield from self._acts.commands()
        yield from super().get_system_commands(screen)


def _put(line: Static, text: str) -> None:
    line.update(Content(on_screen(text)))
    line.set_class(bool(text), "-shown")
