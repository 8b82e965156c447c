"""The chat that fills the terminal: parts of the screen, keys, and the loop that keeps it up to date."""

import asyncio
from collections.abc import Iterable
from typing import ClassVar, Final

from rich.console import Console
from textual import on, work
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.events import AppFocus
from textual.screen import Screen
from textual.widgets import Footer, OptionList, Static, TextArea

from roost.cli.chat.screen.acts import Acts
from roost.cli.chat.screen.composer import Composer
from roost.cli.chat.screen.conversation_list import ConversationList
from roost.cli.chat.screen.dialogs import Show
from roost.cli.chat.screen.help import HELP
from roost.cli.chat.screen.message_list import MessageList
from roost.cli.chat.view.desk import Desk, Notice
from roost.cli.chat.view.entries import summary
from roost.cli.chat.view.typing import TypingTeller
from roost.cli.chat.view.words import how_long
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
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (64, "-normal"), (120, "-wide")]  # noqa: RUF012 -- as Textual has it
    VERTICAL_BREAKPOINTS = [(0, "-short"), (16, "-tall")]  # noqa: RUF012 -- likewise
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "Help"),
        Binding("f2", "list", "List"),
        Binding("f3", "search", "Search"),
        Binding("f4", "file", "File"),
        Binding("f5", "timer", "Timer", show=False),
        Binding("f6", "safety", "Safety"),
        Binding("f7", "devices", "Devices"),
        Binding("f8", "block", "Block", show=False),
        Binding("ctrl+n", "new", "New"),
        Binding("ctrl+up", "beside(-1)", "Above", show=False, priority=True),
        Binding("ctrl+down", "beside(1)", "Below", show=False, priority=True),
        Binding("ctrl+q", "quit", "Quit", priority=True),
        Binding("ctrl+c", "interrupt", "Quit", show=False, priority=True),
    ]

    def __init__(self, client: Client, peer: str | None = None) -> None:
        # Without colours at all, not in shades of grey, where NO_COLOR is set.
        super().__init__(ansi_color=Console().no_color)
        self.desk = Desk(client, peer)
        self._acts = Acts(self, self.desk)
        self._typing = TypingTeller()
        self._first = peer
        self._dirty = asyncio.Event()
        self._at: str | None = None
        self._doing = ""

    def compose(self) -> ComposeResult:
        """Make the parts of the screen."""
        yield Static(id="state")
        with Horizontal():
            with Vertical(id="left"):
                yield ConversationList()
            with Vertical(id="right"):
                yield Static(id="title")
                yield Static(id="doubt")
                yield MessageList()
                yield Static(id="about")
                yield Composer()
        yield Footer(compact=True, show_command_palette=False)

    async def on_mount(self) -> None:
        """Connect, and show what is there."""
        await self.desk.client.start()
        if self._first is not None:
            self.open(self._first)
        self.hear()
        self.keep_fresh()
        self.set_interval(_TICK_S, self._tick)
        (self.query_one(Composer) if self._first is not None else self.query_one(ConversationList)).focus()
        self.screen.set_class(self._first is None, "-listing")
        self.touch()

    # --- up to date -------------------------------------------------------------------------------

    def touch(self) -> None:
        """Have everything read and shown again, soon."""
        self._dirty.set()

    @work
    async def hear(self) -> None:
        """Take the client's events."""
        async for event in self.desk.client.events():
            if (notice := self.desk.take(event)) is not None:
                self.tell(notice)
            self.touch()
        self.touch()

    @work
    async def keep_fresh(self) -> None:
        """Show what has changed; what comes meanwhile is shown together the next time."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            await self.desk.refresh()
            self._show()
            if self._is_being_read() and await self.desk.mark_read():
                self.touch()

    def tell(self, notice: Notice) -> None:
        """Tell the person something."""
        self.notify(
            notice.text,
            severity="error" if notice.grave else "information",
            timeout=_GRAVE_S if notice.grave else None,
            markup=False,
        )

    def _tick(self) -> None:
        opened = self.desk.opened
        if opened is not None and (paused := self._typing.paused(self.desk.client.now_ms())):
            self.desk.client.typing(paused, "paused")
        if opened is not None and opened.ends_ms is not None:
            self.touch()
        else:
            self._show_surroundings()

    def _is_being_read(self) -> bool:
        """Return whether the newest message is before the person's eyes."""
        hidden = self.screen.has_class("-narrow") and self.screen.has_class("-listing")
        return (
            self.app_focus
            and len(self.screen_stack) == 1
            and not hidden
            and self.query_one(MessageList).at_end
        )

    def _show(self) -> None:
        opened = self.desk.opened
        peer = None if opened is None else opened.peer
        messages = self._base.query_one(MessageList)
        messages.show([] if opened is None else opened.shown, other=peer != self._at)
        self._at = peer
        self._show_surroundings()

    def _show_surroundings(self) -> None:
        base, desk = self._base, self.desk
        base.query_one(ConversationList).show(desk.rows(), self._at)
        base.query_one("#state", Static).update(self._state())
        base.query_one("#title", Static).update(self._title())
        doubt = desk.doubt()
        _put(base.query_one("#doubt", Static), f"! {doubt} (F6)" if doubt else "")
        _put(base.query_one("#about", Static), self._about())

    @property
    def _base(self) -> Screen[object]:
        return self.screen_stack[0]

    def _state(self) -> Content:
        connection, unread = self.desk.connection, self.desk.unread
        style = "bold $success" if connection.up else "bold $error" if connection.final else "bold $warning"
        return Content.assemble(
            (self.desk.client.username, "bold"),
            "  ",
            ("● " if connection.up else "○ ", style),
            (connection.words, style),
            f"  {unread} unread" if unread else "",
        )

    def _title(self) -> Content:
        opened, client = self.desk.opened, self.desk.client
        if opened is None:
            return Content("No conversation is open: Enter opens one, n begins one")
        if opened.peer == client.username:
            return Content("Notes to yourself, on all of your devices")
        mark = ("✔ verified", "$success") if client.verified(opened.peer) else ("not verified", "dim")
        parts: list[tuple[str, str] | str] = [(opened.peer, "bold"), "  ", mark]
        if told := self.desk.people.told(opened.peer, client.now_ms()):
            parts += ["  ", (told, "italic")]
        if opened.timer_s is not None:
            parts += ["  ", (f"⧗ {how_long(opened.timer_s)}", "$warning")]
        return Content.assemble(*parts)

    def _about(self) -> str:
        opened = self.desk.opened
        if opened is None or self._doing:
            return self._doing
        if opened.answering is not None:
            return f"↪ {summary(opened.answering)}"
        return "" if opened.editing is None else f"✎ {summary(opened.editing)}"

    # --- conversations ----------------------------------------------------------------------------

    def open(self, name: str) -> None:
        """Open a conversation, and write there."""
        composer = self.query_one(Composer)
        self.desk.keep_draft(composer.text)
        self.desk.open(name)
        self.restore_draft()
        self.action_write()
        self.touch()

    def restore_draft(self) -> None:
        """Have the field show what was written and not sent."""
        opened = self.desk.opened
        self.put("" if opened is None else self.desk.drafts.get(opened.peer, ""))

    def put(self, text: str) -> None:
        """Have the field show this text."""
        composer = self.query_one(Composer)
        with composer.prevent(TextArea.Changed):
            composer.load_text(text)
        composer.move_cursor(composer.document.end)

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

    @on(AppFocus)
    def _on_focus(self) -> None:
        self.touch()

    # --- writing ----------------------------------------------------------------------------------

    @on(Composer.Sent)
    def _on_sent(self, event: Composer.Sent) -> None:
        if event.text.strip():
            self._acts.send(event.text)

    @on(Composer.Cancelled)
    def _on_cancelled(self) -> None:
        opened = self.desk.opened
        if opened is not None and (opened.answering or opened.editing):
            self.end_edit()
        elif opened is None or self.screen.has_class("-narrow"):
            self.action_list()

    def end_edit(self) -> None:
        """Have the next message be one of its own; text that was not sent comes back."""
        opened = self.desk.opened
        if opened is not None:
            if opened.editing is not None:
                opened.neither()
                self.restore_draft()
            opened.neither()
            self._show_surroundings()

    @on(Composer.Upwards)
    def _on_upwards(self, event: Composer.Upwards) -> None:
        messages = self.query_one(MessageList)
        if event.pages:
            messages.scroll_relative(y=event.pages * messages.size.height, animate=False)
        else:
            messages.choose_last()
            messages.focus()

    @on(TextArea.Changed, "#composer")
    def _on_typed(self) -> None:
        opened, text = self.desk.opened, self.query_one(Composer).text
        self.desk.keep_draft(text)
        if opened is not None and self._typing.typed(opened.peer, text, self.desk.client.now_ms()):
            self.desk.client.typing(opened.peer)

    def sent(self, *, edited: bool) -> None:
        """Note that what was written is on its way; after an edit, what was written before comes back."""
        self._typing.sent()
        if not edited and self.desk.opened is not None:
            self.desk.drafts.pop(self.desk.opened.peer, None)
        self.restore_draft()
        messages = self.query_one(MessageList)
        messages.scroll_end(animate=False, immediate=True)
        self.touch()

    def end_reading(self, text: str | None = None) -> None:
        """Go from the messages to the field, to answer one or to edit it.

        Args:
            text: What is edited; None: what was being written.
        """
        if text is not None:
            self.put(text)
        self.action_write()
        self._show_surroundings()

    def show_message(self, message: Message) -> None:
        """Have a message in sight that was read just now."""
        self._show()
        messages = self.query_one(MessageList)
        messages.focus()
        self.call_after_refresh(messages.choose, message)

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

    # --- keys -------------------------------------------------------------------------------------

    def action_write(self) -> None:
        """Go to the field."""
        self._base.remove_class("-listing")
        self.query_one(MessageList).highlighted = None
        self.query_one(Composer).focus()

    def action_list(self) -> None:
        """Go to the conversations."""
        self._base.add_class("-listing")
        self.query_one(ConversationList).focus()

    def action_beside(self, step: int) -> None:
        """Open the conversation above or below."""
        if len(self.screen_stack) == 1 and (peer := self.query_one(ConversationList).beside(step)):
            self.open(peer)

    def action_help(self) -> None:
        """Show what every key does."""
        self.push_screen(Show(HELP))

    def action_interrupt(self) -> None:
        """Copy what is selected, else quit."""
        composer = self._base.query_one(Composer)
        if self.screen.focused is composer and composer.selected_text:
            self.copy_to_clipboard(composer.selected_text)
        else:
            self.exit()

    def action_new(self) -> None:
        """Begin a conversation."""
        self._acts.begin()

    def action_search(self) -> None:
        """Search."""
        self._acts.search()

    def action_file(self) -> None:
        """Send a file."""
        self._acts.send_file()

    def action_timer(self) -> None:
        """Have messages disappear."""
        self._acts.set_timer()

    def action_safety(self) -> None:
        """Compare safety numbers."""
        self._acts.compare()

    def action_devices(self) -> None:
        """Show the user's devices."""
        self._acts.devices()

    def action_block(self) -> None:
        """Block or unblock the peer."""
        self._acts.block()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Return everything by name."""
        yield from self._acts.commands()
        yield from super().get_system_commands(screen)


def _put(line: Static, text: str) -> None:
    line.update(Content(text))
    line.set_class(bool(text), "-shown")
