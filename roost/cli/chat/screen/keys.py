"""The keys that count anywhere, and what the last line says of keys."""

from typing import Final

from textual.binding import Binding, BindingType
from textual.content import Content

KEYS: Final[list[BindingType]] = [
    Binding("f1", "help", "Help", priority=True),
    Binding("f2", "list", "List", priority=True),
    Binding("f3", "act('search')", "Search", priority=True),
    Binding("f4", "act('file')", "File", priority=True),
    Binding("f5", "act('timer')", "Timer", priority=True),
    Binding("f6", "act('safety')", "Safety", priority=True),
    Binding("f7", "act('devices')", "Devices", priority=True),
    Binding("f8", "act('block')", "Block", priority=True),
    Binding("ctrl+n", "act('new')", "New", priority=True),
    Binding("ctrl+up", "beside(-1)", "Above", priority=True),
    Binding("ctrl+down", "beside(1)", "Below", priority=True),
    Binding("ctrl+q", "quit", "Quit", priority=True),
    Binding("ctrl+c", "interrupt", "Quit", priority=True),
]

NOT_WHILE_ASKED: Final = {"help", "list", "act", "beside"}
"""Actions of keys that do not count while something is asked."""

_WRITING: Final = "F1 Help  F2 List  F3 Search  F4 File  F6 Safety  F7 Devices  ^N New  ^Q Quit"
_READING: Final = "r Reply  a React  e Edit  d Delete  s Save  o Open  y Copy  i Info  Esc Back"
_CHOOSING: Final = "Enter Open  n New  F1 Help  F3 Search  F7 Devices  Esc Back  ^Q Quit"


def hints(focused: str | None) -> Content:
    """Return the keys for the part of the screen that is in use.

    Args:
        focused: Its id.
    """
    line = {"messages": _READING, "conversations": _CHOOSING}.get(focused or "", _WRITING)
    parts = (part.partition(" ") for part in line.split("  "))
    return Content(" ").join(Content.assemble((key, "bold $accent"), " ", name) for key, _, name in parts)
