"""The list of conversations."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from roost.cli.chat.view.desk import Row


class ConversationList(OptionList):
    """Whom this user writes to; nothing that others wrote is in it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "app.new", "New"),
        Binding("escape", "app.write", "Back"),
        Binding("up,k", "cursor_up", "Up"),
        Binding("down,j", "cursor_down", "Down"),
        Binding("question_mark", "app.help", "Help"),
    ]

    def __init__(self) -> None:
        super().__init__(id="conversations", markup=False)
        self._rows: list[Row] = []
        self._open: str | None = None

    def show(self, rows: list[Row], opened: str | None) -> None:
        """Show these conversations; the open one is marked."""
        if (rows, opened) == (self._rows, self._open):
            return
        option = self.highlighted_option
        chosen = opened if option is None or opened != self._open else option.id
        self._rows, self._open = rows, opened
        self.set_options([Option(_line(row, row.peer == opened), id=row.peer) for row in rows])
        peers = [row.peer for row in rows]
        self.highlighted = peers.index(chosen) if chosen in peers else None

    def beside(self, step: int) -> str | None:
        """Return the conversation so many lines below the open one."""
        peers = [row.peer for row in self._rows]
        if not peers:
            return None
        at = peers.index(self._open) + step if self._open in peers else 0
        return peers[at % len(peers)]


def _line(row: Row, opened: bool) -> Content:  # noqa: FBT001 -- a row and how it is shown
    parts: list[tuple[str, str]] = [
        ("▸" if opened else " ", "bold"),
        ("● " if row.online else "○ ", "$success" if row.online else "dim"),
        (row.peer, "bold" if row.unread else ""),
    ]
    if row.unread:
        parts.append((f" ({row.unread})", "bold $accent"))
    if row.doubtful:
        parts.append((" !", "bold $error"))
    if row.types:
        parts.append((" typing …", "italic"))
    elif row.draft:
        parts.append((" draft", "italic $warning"))
    else:
        parts.append((f" {row.time}", "dim"))
    return Content.assemble(*parts)
