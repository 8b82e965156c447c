"""Questions that are put above the chat: yes or no, a line, a path, one of several."""

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from roost.cli.chat.view.harmless import on_screen
from roost.cli.chat.view.paths import completed, completions

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer | None]):
    """A question; Escape leaves it without an answer."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back")]

    def action_leave(self) -> None:
        """Leave it without an answer."""
        self.dismiss(None)


class Confirm(Dialog[bool]):
    """A question that is answered by yes or no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "yes", "Yes"),
        Binding("n", "leave", "No"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """Make its parts."""
        with Vertical(classes="dialog"):
            yield Static(_told(self._question))
            yield Static(Content("y or Enter: yes    n or Esc: no"), classes="keys")

    def action_yes(self) -> None:
        """Answer yes."""
        self.dismiss(True)  # noqa: FBT003 -- the answer


class Ask(Dialog[str]):
    """A line that is asked for.

    Args:
        question: What for.
        value: What it begins with.
        hidden: It is a password.
    """

    def __init__(self, question: str, value: str = "", *, hidden: bool = False) -> None:
        super().__init__()
        self._question, self._value, self._hidden = question, value, hidden

    def compose(self) -> ComposeResult:
        """Make its parts."""
        with Vertical(classes="dialog"):
            yield Static(_told(self._question))
            yield Input(self._value, password=self._hidden, select_on_focus=False)
            yield Static(Content("Enter: done    Esc: back"), classes="keys")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Answer with the line."""
        self.dismiss(event.value)


class AskPath(Dialog[str]):
    """A path that is asked for; Tab completes it.

    Args:
        question: What for.
        value: What it begins with.
        folders: It is that of a folder.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("tab", "complete", "Complete", priority=True)]

    def __init__(self, question: str, value: str = "", *, folders: bool = False) -> None:
        super().__init__()
        self._question, self._value, self._folders = question, value, folders

    def compose(self) -> ComposeResult:
        """Make its parts."""
        with Vertical(classes="dialog"):
            yield Static(_told(self._question))
            yield Input(self._value, select_on_focus=False)
            yield OptionList(markup=False)
            yield Static(Content("Tab: complete    Enter: done    Esc: back"), classes="keys")

    def on_mount(self) -> None:
        """Write, and choose nothing."""
        self.query_one(OptionList).can_focus = False

    def on_input_changed(self, event: Input.Changed) -> None:
        """Offer what the path may become."""
        found = completions(event.value, folders=self._folders)
        self.query_one(OptionList).set_options([Option(_told(each)) for each in found])

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Answer with the path."""
        self.dismiss(event.value)

    def action_complete(self) -> None:
        """Complete it as far as it can be told."""
        field = self.query_one(Input)
        field.value = completed(field.value, folders=self._folders)
        field.cursor_position = len(field.value)


class Choose(Dialog[int]):
    """One of several; answered with its place.

    Args:
        question: What for.
        options: What there is.
    """

    def __init__(self, question: str, options: Sequence[str]) -> None:
        super().__init__()
        self._question, self._options = question, options

    def compose(self) -> ComposeResult:
        """Make its parts."""
        with Vertical(classes="dialog"):
            yield Static(_told(self._question))
            yield OptionList(*[Option(_told(each)) for each in self._options], markup=False)
            yield Static(Content("Enter: this one    Esc: back"), classes="keys")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Answer with the place."""
        self.dismiss(event.option_index)


class Show(Dialog[None]):
    """Something to read.

    Args:
        text: What.
        code: A QR code, drawn in black on white below it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter,q,f1", "leave", "Back", show=False)]

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__()
        self._text, self._code = text, code

    def compose(self) -> ComposeResult:
        """Make its parts."""
        with Vertical(classes="dialog"), VerticalScroll(can_focus=True):
            yield Static(_told(self._text))
            if self._code:
                yield Static(Content(self._code), classes="qr")


def _told(text: str) -> Content:
    return Content(on_screen(text))
