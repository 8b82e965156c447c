"""What the keys do: questions to the person, calls to the client, and a sentence about how it went."""

from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from textual.app import SystemCommand

from roost.cli.chat.screen.dialogs import Answer, Ask, AskPath, Choose, Confirm, Dialog, Show
from roost.cli.chat.screen.own_devices import DeviceAct, OwnDevices
from roost.cli.chat.screen.safety import Safety
from roost.cli.chat.screen.search import Search
from roost.cli.chat.view.conversation import OpenConversation
from roost.cli.chat.view.desk import Desk, Notice
from roost.cli.chat.view.details import details
from roost.cli.chat.view.opener import open_file
from roost.cli.chat.view.paths import path_of
from roost.cli.chat.view.words import how_long, size_of
from roost.cli.devices import qr_code
from roost.client import Message
from roost.client.filenames import safe_name
from roost.errors import RoostError

if TYPE_CHECKING:
    from roost.cli.chat.screen.app import ChatApp

_TIMERS: Final = (None, 30, 300, 3600, 86_400, 7 * 86_400)
_EMOJI: Final = ("👍", "❤️", "😂", "😮", "😢", "🙏", "👎")
_TAKE_BACK: Final = len(_EMOJI)

_SHOWN: Final = "Read this with a device that is linked (F7, l), within ten minutes. Show it to no one else."


class Acts:
    """The acts; one that fails says why, and changes nothing else.

    Args:
        app: Whose screen.
        desk: What is shown.
    """

    def __init__(self, app: "ChatApp", desk: Desk) -> None:
        self._app, self._desk = app, desk
        self._client = desk.client

    # --- by a key anywhere ------------------------------------------------------------------------

    def begin(self) -> None:
        """Begin a conversation with someone."""
        self._spawn(self._begin())

    def search(self) -> None:
        """Find a message."""
        self._spawn(self._search())

    def send_file(self) -> None:
        """Send a file."""
        self._in_open(self._send_file)

    def set_timer(self) -> None:
        """Have messages disappear, or stay."""
        self._in_open(self._set_timer)

    def compare(self) -> None:
        """Compare safety numbers."""
        self._in_open(self._compare)

    def devices(self) -> None:
        """Show the devices, link and remove them."""
        self._spawn(self._devices())

    def block(self) -> None:
        """Block the peer, or no longer."""
        self._in_open(self._block)

    def commands(self) -> Iterable[SystemCommand]:
        """Return what can be found by name."""
        yield SystemCommand("New conversation", "Write to someone", self.begin)
        yield SystemCommand("Search", "Find a message on this device", self.search)
        yield SystemCommand("Send a file", "To the open conversation", self.send_file)
        yield SystemCommand("Disappearing messages", "Set or end their timer", self.set_timer)
        yield SystemCommand("Safety number", "Compare it with the peer, trust new keys", self.compare)
        yield SystemCommand("Devices", "Link, remove, sign out", self.devices)
        yield SystemCommand("Block or unblock", "The peer of the open conversation", self.block)
        yield SystemCommand("Accept", "The stranger who writes here gets receipts", self._accept_open)
        yield SystemCommand("Change the password", "Your other devices are signed out", self._password)

    def _accept_open(self) -> None:
        self._in_open(self._accept)

    def _password(self) -> None:
        self._spawn(self._change_password())

    # --- in the open conversation -----------------------------------------------------------------

    def send(self, text: str) -> None:
        """Send what was written."""
        opened = self._desk.opened
        if opened is None:
            self._app.tell(Notice("no conversation is open: Ctrl+N begins one"))
        else:
            self._spawn(self._send(opened, text))

    def on_message(self, what: str, message: Message) -> None:
        """Do something with a message: ``reply``, ``react``, ``edit`` and the other keys of the list."""
        opened = self._desk.opened
        if opened is None or opened.peer != message.peer:
            return
        if what == "reply":
            opened.answer(message)
            self._app.end_reading()
        elif what == "copy":
            self._app.copy_to_clipboard(message.text)
            self._app.tell(Notice("copied"))
        elif what == "info":
            self._app.push_screen(Show(details(message)))
        else:
            self._spawn(self._with_message(what, opened, message))

    async def _send(self, opened: OpenConversation, text: str) -> None:
        edited = opened.editing is not None
        await opened.send(text)
        self._app.sent(edited=edited)

    async def _with_message(self, what: str, opened: OpenConversation, message: Message) -> None:
        match what:
            case "edit":
                opened.edit(message)
                self._app.end_reading(message.text)
            case "delete":
                await self._delete(opened, message)
            case "react":
                await self._react(opened, message)
            case "save":
                await self._save(opened, message)
            case "open":
                await self._open(opened, message)
        self._app.touch()

    async def _delete(self, opened: OpenConversation, message: Message) -> None:
        opened.check_own(message)
        if await self._asked(Confirm("Delete this message for both of you?")):
            await opened.delete(message)

    async def _react(self, opened: OpenConversation, message: Message) -> None:
        options = [*_EMOJI, "take mine back", "another …"]
        chosen = await self._asked(Choose("React with:", options))
        if chosen is None:
            return
        if chosen > _TAKE_BACK:
            typed = await self._asked(Ask("An emoji, or a few characters:"))
            if typed:
                await opened.react(message, typed)
        else:
            await opened.react(message, "" if chosen == _TAKE_BACK else _EMOJI[chosen])

    async def _save(self, opened: OpenConversation, message: Message) -> Path | None:
        if message.file is None:
            raise ValueError("there is no file in this message")
        question = f"Save {safe_name(message.file.name)}, {size_of(message.file.size)}, in the folder:"
        typed = await self._asked(AskPath(question, f"{_downloads()}/", folders=True))
        if typed is None:
            return None
        saved = await opened.save(message, path_of(typed))
        self._app.tell(Notice(f"saved as {saved}"))
        return saved

    async def _open(self, opened: OpenConversation, message: Message) -> None:
        saved = await self._save(opened, message)
        if saved is not None and await self._asked(
            Confirm(f"Open {saved.name}? It is from {message.author}, and another program opens it.")
        ):
            await open_file(saved.absolute())

    async def _send_file(self, opened: OpenConversation) -> None:
        typed = await self._asked(AskPath(f"Send to {opened.peer} the file:"))
        if typed is None:
            return
        path = path_of(typed)
        told = self._app.progress(f"sending {path.name}")
        try:
            await opened.send_file(path, told)
        finally:
            self._app.progress_ended()
        self._app.touch()

    async def _set_timer(self, opened: OpenConversation) -> None:
        names = ["they stay" if each is None else f"after {how_long(each)}" for each in _TIMERS]
        chosen = await self._asked(Choose("New messages disappear for both of you:", names))
        if chosen is not None:
            await opened.set_timer(_TIMERS[chosen])
            self._app.touch()

    async def _compare(self, opened: OpenConversation) -> None:
        peer, client = opened.peer, self._client
        number = await client.safety_number(peer)
        dialog = Safety(peer, number, verified=client.verified(peer), doubt=self._desk.doubt())
        match await self._asked(dialog):
            case "verify":
                await client.verify(peer)
            case "digits":
                if not (typed := await self._asked(Ask(f"The digits that {peer} sees:"))):
                    return
                await client.verify(peer, typed)
            case "trust":
                client.trust(peer)
            case _:
                return
        verified = "verified, until their identity changes" if client.verified(peer) else "trusted"
        self._app.tell(Notice(f"{peer} is {verified}"))
        self._app.touch()

    async def _block(self, opened: OpenConversation) -> None:
        peer, account = opened.peer, self._client.account
        if peer in await account.blocks():
            if await self._asked(Confirm(f"Take messages from {peer} again?")):
                await account.unblock(peer)
                self._app.tell(Notice(f"{peer} is no longer blocked"))
        elif await self._asked(Confirm(f"Take no more messages from {peer}? They are not told.")):
            await account.block(peer)
            self._app.tell(Notice(f"{peer} is blocked"))

    async def _accept(self, opened: OpenConversation) -> None:
        await self._client.account.accept(opened.peer)
        self._app.tell(Notice(f"{opened.peer} is accepted"))

    # --- anywhere ---------------------------------------------------------------------------------

    async def _begin(self) -> None:
        if name := await self._asked(Ask("Write to (a username):")):
            self._app.open(name.strip())

    async def _search(self) -> None:
        opened = self._desk.opened
        within = None if opened is None else opened.peer
        message = await self._asked(Search(self._client, within))
        if message is None:
            return
        self._app.open(message.peer)
        if await self._desk.show(message):
            self._app.show_message(message)
        else:
            self._app.tell(Notice("it has disappeared"))

    async def _devices(self) -> None:
        devices = await self._client.account.devices()
        act = await self._asked(OwnDevices(devices, linked=self._client.linked))
        match act:
            case DeviceAct("show"):
                code = self._client.link_code()
                await self._asked(Show(f"{_SHOWN}\n\n{code}", qr_code(code)))
            case DeviceAct("link"):
                if typed := await self._asked(Ask("The code that the new device shows:")):
                    await self._client.link(typed.strip())
                    told = "the device is linked: it gets your identity, people and history now"
                    self._app.tell(Notice(told))
            case DeviceAct("unlink", device) if device is not None:
                await self._unlink(device.device_id)
            case DeviceAct("others"):
                await self._client.account.end_other_sessions()
                self._app.tell(Notice("your other devices are signed out"))

    async def _unlink(self, device_id: str) -> None:
        if await self._asked(Confirm(f"Remove the device {device_id}? It is signed out for good.")):
            await self._client.unlink(device_id)
            self._app.tell(Notice(f"device {device_id} is removed"))

    async def _change_password(self) -> None:
        old = await self._asked(Ask("The password as it is:", hidden=True))
        if old and (new := await self._asked(Ask("The new one:", hidden=True))):
            await self._client.account.change_password(old, new)
            self._app.tell(Notice("the password is changed; your other devices are signed out"))

    # --- how --------------------------------------------------------------------------------------

    async def _asked(self, dialog: Dialog[Answer]) -> Answer | None:
        return await self._app.push_screen_wait(dialog)

    def _in_open(self, act: Callable[[OpenConversation], Coroutine[None, None, None]]) -> None:
        if self._desk.opened is None:
            self._app.tell(Notice("open a conversation first: F2 lists them, Ctrl+N begins one"))
        else:
            self._spawn(act(self._desk.opened))

    def _spawn(self, act: Coroutine[None, None, None]) -> None:
        self._app.run_worker(self._tried(act))

    async def _tried(self, act: Coroutine[None, None, None]) -> None:
        try:
            await act
        except (ValueError, RoostError, OSError) as exc:
            self._app.tell(Notice(str(exc), grave=True))


def _downloads() -> str:
    return "~/Downloads" if Path("~/Downloads").expanduser().is_dir() else "."
