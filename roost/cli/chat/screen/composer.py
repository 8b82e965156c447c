"""The field in which a message is written."""

import unicodedata

from textual import events
from textual.message import Message
from textual.widgets import TextArea

_PARTS = ("Cf", "Mn", "Mc", "Me", "Co", "Zs")
"""Joiners, marks and blanks, which Python calls not printable by themselves."""

_LINE_ENDS = ("ctrl+j", "alt+enter", "shift+enter", "ctrl+enter")


class Composer(TextArea):
    """Text that is sent with Enter; more lines begin with Alt+Enter or Ctrl+J."""

    class Sent(Message):
        """The text is to be sent."""

        def __init__(self, text: str) -> None:
            self.text = text
            super().__init__()

    class Upwards(Message):
        """The person wants the messages above."""

        def __init__(self, pages: int) -> None:
            self.pages = pages
            super().__init__()

    class Cancelled(Message):
        """What was begun is not to be finished."""

    def __init__(self) -> None:
        super().__init__(
            id="composer", soft_wrap=True, show_line_numbers=False, compact=True, tab_behavior="focus",
            placeholder="Write a message; Enter sends it, F1 helps",
        )  # fmt: skip

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            self.post_message(self.Sent(self._taken()))
        elif event.key in _LINE_ENDS:
            self.insert("\n")
        elif event.key == "escape":
            self.post_message(self.Cancelled())
        elif event.key == "up" and self.wrapped_document.location_to_offset(self.cursor_location).y == 0:
            self.post_message(self.Upwards(0))
        elif event.key in ("pageup", "pagedown"):
            self.post_message(self.Upwards(-1 if event.key == "pageup" else 1))
        elif _is_part(event.character):
            self.insert(str(event.character))
        else:
            await super()._on_key(event)
            return
        event.stop()
        event.prevent_default()

    def _taken(self) -> str:
        """Return the text, and empty the field at once: what is typed next is not a part of it."""
        text = self.text
        with self.prevent(self.Changed):
            self.load_text("")
        return text


def _is_part(character: str | None) -> bool:
    return (
        character is not None
        and len(character) == 1
        and not character.isprintable()
        and unicodedata.category(character) in _PARTS
    )
