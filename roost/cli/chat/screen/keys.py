"""The keys that count anywhere."""

from typing import Final

from textual.binding import Binding, BindingType

KEYS: Final[list[BindingType]] = [
    Binding("f1", "help", "Help", priority=True),
    Binding("f2", "list", "List", priority=True),
    Binding("f3", "act('search')", "Search", priority=True),
    Binding("f4", "act('file')", "File", priority=True),
    Binding("f5", "act('timer')", "Timer", show=False, priority=True),
    Binding("f6", "act('safety')", "Safety", priority=True),
    Binding("f7", "act('devices')", "Devices", priority=True),
    Binding("f8", "act('block')", "Block", show=False, priority=True),
    Binding("ctrl+n", "act('new')", "New", priority=True),
    Binding("ctrl+up", "beside(-1)", "Above", show=False, priority=True),
    Binding("ctrl+down", "beside(1)", "Below", show=False, priority=True),
    Binding("ctrl+q", "quit", "Quit", priority=True),
    Binding("ctrl+c", "interrupt", "Quit", show=False, priority=True),
]

NOT_WHILE_ASKED: Final = {"help", "list", "act", "beside"}
"""Actions of keys that do not count while something is asked."""
