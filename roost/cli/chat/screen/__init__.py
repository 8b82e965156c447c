"""The chat that fills the terminal, on Textual; what it shows is in ``view``."""

from roost.cli.chat.screen.app import ChatApp

__all__ = ["ChatApp"]
