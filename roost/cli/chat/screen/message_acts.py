"""What is done with one message."""

from pathlib import Path
from typing import Final

from roost.cli.chat.screen.dialogs import Ask, AskPath, Choose, Confirm, Show
from roost.cli.chat.screen.stage import Stage
from roost.cli.chat.view.conversation import OpenConversation
from roost.cli.chat.view.details import details
from roost.cli.chat.view.opener import open_file
from roost.cli.chat.view.paths import path_of
from roost.cli.chat.view.words import size_of
from roost.client import Message
from roost.client.filenames import safe_name

_EMOJI: Final = ("👍", "❤️", "😂", "😮", "😢", "🙏", "👎")
_TAKE_BACK: Final = len(_EMOJI)


class MessageActs:
    """The acts of the keys in the list of messages.

    Args:
        stage: Where they happen.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def do(self, what: str, opened: OpenConversation, message: Message) -> None:
        """Begin one: ``reply``, ``react``, ``edit``, ``delete``, ``save``, ``open``, ``copy`` or ``info``."""
        self._stage.run(self._do(what, opened, message))

    async def _do(self, what: str, opened: OpenConversation, message: Message) -> None:
        app = self._stage.app
        match what:
            case "reply":
                opened.answer(message)
                app.action_write()
            case "edit":
                opened.edit(message)
                app.writing.edited(message.text)
                app.action_write()
            case "copy":
                app.copy_to_clipboard(message.text)
                self._stage.tell("copied")
            case "info":
                app.push_screen(Show(details(message)))
            case "delete":
                await self._delete(opened, message)
            case "react":
                await self._react(opened, message)
            case "save":
                await self._save(opened, message)
            case "open":
                await self._open(opened, message)
        app.touch()

    async def _delete(self, opened: OpenConversation, message: Message) -> None:
        opened.check_own(message)
        if await self._stage.asked(Confirm("Delete this message for both of you?")):
            await opened.delete(message)

    async def _react(self, opened: OpenConversation, message: Message) -> None:
        options = [*_EMOJI, "take mine back", "another …"]
        chosen = await self._stage.asked(Choose("React with:", options))
        if chosen is None:
            return
        if chosen > _TAKE_BACK:
            typed = await self._stage.asked(Ask("An emoji, or a few characters:"))
            if typed:
                await opened.react(message, typed)
        else:
            await opened.react(message, "" if chosen == _TAKE_BACK else _EMOJI[chosen])

    async def _save(self, opened: OpenConversation, message: Message) -> Path | None:
        if message.file is None:
            raise ValueError("there is no file in this message")
        question = f"Save {safe_name(message.file.name)}, {size_of(message.file.size)}, in the folder:"
        typed = await self._stage.asked(AskPath(question, f"{_downloads()}/", folders=True))
        if typed is None:
            return None
        saved = await opened.save(message, path_of(typed))
        self._stage.tell(f"saved as {saved}")
        return saved

    async def _open(self, opened: OpenConversation, message: Message) -> None:
        saved = await self._save(opened, message)
        if saved is not None and await self._stage.asked(
            Confirm(f"Open {saved.name}? It is from {message.author}, and another program opens it.")
        ):
            await open_file(saved.absolute())


def _downloads() -> str:
    return "~/Downloads" if Path("~/Downloads").expanduser().is_dir() else "."
