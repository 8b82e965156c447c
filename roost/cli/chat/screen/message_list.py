"""The list of messages, with the bodies set in from the headings."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.css.styles import RulesMap
from textual.geometry import Spacing
from textual.message import Message as WidgetMessage
from textual.strip import Strip
from textual.style import Style
from textual.visual import Padding, RenderOptions, Visual
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from roost.cli.chat.view.entries import Day, Entry
from roost.client import Message

_SET_IN = Spacing(left=2)


class EntryVisual(Visual):
    """A message: its heading, and under it, set in, all that its author wrote.

    What someone wrote never begins a line, and never stands to the left of anything: it can neither pass for
    another message, nor move what is beside it where a terminal counts its width in another way.
    """

    def __init__(self, entry: Entry) -> None:
        mine = entry.message.mine
        head = Content.assemble(
            (entry.who, "bold $success" if mine else "bold $accent"),
            (f" {entry.time}", "dim"),
            (f" {entry.ticks}" if entry.ticks else "", "$error" if "✗" in entry.ticks else "dim"),
        )
        self._parts: list[Visual] = [head]
        if entry.quoted:
            self._parts.append(Padding(Content.styled(f"↪ {entry.quoted}", "dim italic"), _SET_IN))
        body = Content(entry.body) if entry.plain else Content.styled(entry.body, "italic")
        self._parts.append(Padding(body, _SET_IN))
        if entry.notes:
            self._parts.append(Padding(Content.styled(entry.notes, "dim"), _SET_IN))

    def render_strips(
        self, width: int, height: int | None, style: Style, options: RenderOptions
    ) -> list[Strip]:
        """Return the lines; see `Visual.render_strips`."""
        strips = [strip for part in self._parts for strip in part.render_strips(width, None, style, options)]
        return strips if height is None else strips[:height]

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:  # noqa: ARG002
        """Return the whole width."""
        return container_width

    def get_height(self, rules: RulesMap, width: int) -> int:
        """Return the number of lines."""
        return sum(part.get_height(rules, width) for part in self._parts)


class MessageList(OptionList):
    """The messages of the open conversation; the end is kept in sight while it is."""

    class Act(WidgetMessage):
        """Something is to be done with a message."""

        def __init__(self, what: str, message: Message) -> None:
            self.what, self.message = what, message
            super().__init__()

    class Older(WidgetMessage):
        """Older messages are wanted."""

    class Left(WidgetMessage):
        """The person goes back to writing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r,enter", "act('reply')", "Reply"),
        Binding("a,plus", "act('react')", "React"),
        Binding("e", "act('edit')", "Edit"),
        Binding("d,delete", "act('delete')", "Delete"),
        Binding("s", "act('save')", "Save"),
        Binding("o", "act('open')", "Open"),
        Binding("y", "act('copy')", "Copy"),
        Binding("i", "act('info')", "Info"),
        Binding("escape", "leave", "Back"),
        Binding("up,k", "cursor_up", "Up"),
        Binding("down,j", "cursor_down", "Down"),
        Binding("question_mark", "app.help", "Help"),
    ]

    def __init__(self) -> None:
        super().__init__(id="messages", markup=False)
        self._shown: list[Day | Entry] = []
        self._to_end = False

    @property
    def at_end(self) -> bool:
        """Whether the newest message is in sight."""
        return self._to_end or self.scroll_offset.y >= self.max_scroll_y - 1

    @property
    def chosen(self) -> Message | None:
        """The highlighted message."""
        option = self.highlighted_option
        found = (
            each
            for each in self._shown
            if isinstance(each, Entry) and each.key == getattr(option, "id", None)
        )
        return next((each.message for each in found), None)

    def show(self, shown: list[Day | Entry], *, other: bool) -> None:
        """Show these messages, and the place that was shown as far as it is there.

        Args:
            shown: Days and messages.
            other: They are of another conversation.
        """
        if shown == self._shown and not other:
            return
        follow = other or self.at_end
        chosen = None if other else getattr(self.highlighted_option, "id", None)
        first, last = self._edges(self._shown), self._edges(shown)
        from_end = self.virtual_size.height - self.scroll_offset.y
        self._shown = shown
        self.set_options([_option(each) for each in shown])
        self._update_lines()
        keys = [each.key for each in shown]
        self.highlighted = keys.index(chosen) if chosen in keys else None
        if follow:
            self._to_end = True
            self.call_after_refresh(self._scroll_to_end)
        elif first != last:  # older ones came above: what was in sight stays there
            self.scroll_to(y=self.virtual_size.height - from_end, animate=False, immediate=True)

    def on_resize(self) -> None:
        """Keep the end in sight, however many lines it takes now."""
        if self.at_end:
            self._to_end = True
            self.call_after_refresh(self._scroll_to_end)

    def _scroll_to_end(self) -> None:
        self._to_end = False
        self.scroll_end(animate=False, immediate=True)

    def choose_last(self) -> None:
        """Highlight the newest message."""
        entries = [number for number, each in enumerate(self._shown) if isinstance(each, Entry)]
        self.highlighted = entries[-1] if entries else None

    def choose(self, message: Message) -> None:
        """Highlight this message."""
        for number, each in enumerate(self._shown):
            if isinstance(each, Entry) and each.message.id == message.id:
                self.highlighted = number

    def action_act(self, what: str) -> None:
        """Have something done with the highlighted message."""
        if (message := self.chosen) is not None:
            self.post_message(self.Act(what, message))

    def action_leave(self) -> None:
        """Go back to writing."""
        self.post_message(self.Left())

    def action_cursor_up(self) -> None:
        """Go up; from the first message on, to older ones."""
        before = self.highlighted
        if before is not None and not any(isinstance(each, Entry) for each in self._shown[:before]):
            self.post_message(self.Older())
            return
        super().action_cursor_up()

    def action_cursor_down(self) -> None:
        """Go down; from the last message on, back to writing."""
        if self.highlighted is None or self.highlighted >= len(self._shown) - 1:
            self.post_message(self.Left())
            return
        super().action_cursor_down()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Ask for older messages at the top."""
        super().watch_scroll_y(old_value, new_value)
        if new_value <= 0 < old_value:
            self.post_message(self.Older())

    @staticmethod
    def _edges(shown: list[Day | Entry]) -> str | None:
        return next((each.key for each in shown if isinstance(each, Entry)), None)


def _option(each: Day | Entry) -> Option:
    if isinstance(each, Day):
        return Option(Content.styled(f"── {each.name} ──", "dim"), id=each.key, disabled=True)
    return Option(EntryVisual(each), id=each.key)
