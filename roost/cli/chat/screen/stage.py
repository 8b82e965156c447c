"""Where acts happen: they ask the person, call the client, and say what went wrong."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING

from roost.cli.chat.screen.dialogs import Answer, Dialog
from roost.cli.chat.view.desk import Notice
from roost.cli.shown import reason
from roost.errors import RoostError

if TYPE_CHECKING:
    from roost.cli.chat.screen.app import ChatApp


class Stage:
    """The app, as acts see it.

    Args:
        app: Whose screen.

    Attributes:
        app: The same.
    """

    def __init__(self, app: "ChatApp") -> None:
        self.app = app

    async def asked(self, dialog: Dialog[Answer]) -> Answer | None:
        """Return the answer of the person; None if there is none."""
        return await self.app.push_screen_wait(dialog)

    def tell(self, sentence: str) -> None:
        """Tell the person something."""
        self.app.tell(Notice(sentence))

    def run(self, act: Coroutine[None, None, None]) -> None:
        """Carry out an act beside everything else; one that fails says why."""
        self.app.run_worker(self._tried(act))

    async def _tried(self, act: Coroutine[None, None, None]) -> None:
        try:
            await act
        except (ValueError, RoostError, OSError) as exc:
            self.app.tell(Notice(reason(exc), grave=True))
