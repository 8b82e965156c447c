"""What the keys do that count anywhere."""

from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from textual.app import SystemCommand

from roost.cli.chat.screen.dialogs import Ask, AskPath, Choose, Confirm, Show
from roost.cli.chat.screen.message_acts import MessageActs
from roost.cli.chat.screen.own_devices import DeviceAct, OwnDevices
from roost.cli.chat.screen.safety import Safety
from roost.cli.chat.screen.search import Search
from roost.cli.chat.screen.stage import Stage
from roost.cli.chat.view.conversation import OpenConversation
from roost.cli.chat.view.desk import Desk
from roost.cli.chat.view.paths import path_of
from roost.cli.chat.view.words import how_long
from roost.cli.devices import qr_code
from roost.client import Message
from roost.client.content import Known

if TYPE_CHECKING:
    from roost.cli.chat.screen.app import ChatApp

_TIMERS: Final = (None, 30, 300, 3600, 86_400, 7 * 86_400)
_SHOWN: Final = "Read this with a device that is linked (F7, l), within ten minutes. Show it to no one else."

_Anywhere = Callable[[], Coroutine[None, None, None]]
_InOpen = Callable[[OpenConversation], Coroutine[None, None, None]]


class Named(NamedTuple):
    """An act as it is found by name."""

    name: str
    title: str
    help: str


_COMMANDS: Final = (
    Named("new", "New conversation", "Write to someone"),
    Named("search", "Search", "Find a message on this device"),
    Named("file", "Send a file", "To the open conversation"),
    Named("timer", "Disappearing messages", "Set or end their timer"),
    Named("safety", "Safety number", "Compare it with the peer, trust new keys"),
    Named("devices", "Devices", "Link, remove, sign out"),
    Named("block", "Block or unblock", "The peer of the open conversation"),
    Named("accept", "Accept", "The stranger who writes here gets receipts"),
    Named("password", "Change the password", "Your other devices are signed out"),
)


class Acts:
    """The acts; one that fails says why, and changes nothing else.

    Args:
        app: Whose screen.
        desk: What is shown.
    """

    def __init__(self, app: "ChatApp", desk: Desk) -> None:
        self._stage, self._desk, self._client = Stage(app), desk, desk.client
        self._messages = MessageActs(self._stage)
        self._anywhere: dict[str, _Anywhere] = {
            "new": self._begin,
            "search": self._search,
            "devices": self._devices,
            "password": self._change_password,
        }
        self._in_open: dict[str, _InOpen] = {
            "file": self._send_file,
            "timer": self._set_timer,
            "safety": self._compare,
            "block": self._block,
            "accept": self._accept,
        }

    def do(self, name: str) -> None:
        """Begin the act of this name."""
        opened = self._desk.opened
        if name in self._anywhere:
            self._stage.run(self._anywhere[name]())
        elif opened is None:
            self._stage.tell("open a conversation first: F2 lists them, Ctrl+N begins one")
        else:
            self._stage.run(self._in_open[name](opened))

    def commands(self) -> Iterable[SystemCommand]:
        """Return what can be found by name."""
        for each in _COMMANDS:
            yield SystemCommand(each.title, each.help, partial(self.do, each.name))

    def send(self, text: str) -> None:
        """Send what was written."""
        opened = self._desk.opened
        if opened is None:
            self._stage.app.writing.edited(text)
            self._stage.tell("no conversation is open: Ctrl+N begins one")
        else:
            edited = opened.editing is not None
            self._stage.run(self._send(opened, opened.taken(text), text))
            self._stage.app.sent(edited=edited)

    def on_message(self, what: str, message: Message) -> None:
        """Do something with a message of the open conversation."""
        opened = self._desk.opened
        if opened is not None and opened.peer == message.peer:
            self._messages.do(what, opened, message)

    async def _send(self, opened: OpenConversation, content: Known, text: str) -> None:
        try:
            await opened.send(content)
        except ValueError:  # too long: it is not lost
            self._stage.app.writing.back(opened.peer, text)
            raise

    async def _send_file(self, opened: OpenConversation) -> None:
        typed = await self._stage.asked(AskPath(f"Send to {opened.peer} the file:"))
        if typed is None:
            return
        path = path_of(typed)
        told = self._stage.app.progress(f"sending {path.name}")
        try:
            await opened.send_file(path, told)
        finally:
            self._stage.app.progress_ended()
        self._stage.app.touch()

    async def _set_timer(self, opened: OpenConversation) -> None:
        names = ["they stay" if each is None else f"after {how_long(each)}" for each in _TIMERS]
        chosen = await self._stage.asked(Choose("New messages disappear for both of you:", names))
        if chosen is not None:
            await opened.set_timer(_TIMERS[chosen])
            self._stage.app.touch()

    async def _compare(self, opened: OpenConversation) -> None:
        peer, client = opened.peer, self._client
        number = await client.safety_number(peer)
        dialog = Safety(peer, number, verified=client.verified(peer), doubt=self._desk.doubt())
        match await self._stage.asked(dialog):
            case "verify":
                await client.verify(peer)
            case "digits":
                if not (typed := await self._stage.asked(Ask(f"The digits that {peer} sees:"))):
                    return
                await client.verify(peer, typed)
            case "trust":
                client.trust(peer)
            case _:
                return
        verified = "verified, until their identity changes" if client.verified(peer) else "trusted"
        self._stage.tell(f"{peer} is {verified}")
        self._stage.app.touch()

    async def _block(self, opened: OpenConversation) -> None:
        peer, account = opened.peer, self._client.account
        if peer in await account.blocks():
            if await self._stage.asked(Confirm(f"Take messages from {peer} again?")):
                await account.unblock(peer)
                self._stage.tell(f"{peer} is no longer blocked")
        elif await self._stage.asked(Confirm(f"Take no more messages from {peer}? They are not told.")):
            await account.block(peer)
            self._stage.tell(f"{peer} is blocked")

    async def _accept(self, opened: OpenConversation) -> None:
        await self._client.account.accept(opened.peer)
        self._stage.tell(f"{opened.peer} is accepted")

    async def _begin(self) -> None:
        if name := await self._stage.asked(Ask("Write to (a username):")):
            self._stage.app.open(name.strip())

    async def _search(self) -> None:
        opened = self._desk.opened
        within = None if opened is None else opened.peer
        message = await self._stage.asked(Search(self._client, within))
        if message is None:
            return
        self._stage.app.open(message.peer)
        if await self._desk.show(message):
            self._stage.app.show_message(message)
        else:
            self._stage.tell("it has disappeared")

    async def _devices(self) -> None:
        devices = await self._client.account.devices()
        act = await self._stage.asked(OwnDevices(devices, linked=self._client.linked))
        match act:
            case DeviceAct("show"):
                code = self._client.link_code()
                await self._stage.asked(Show(f"{_SHOWN}\n\n{code}", qr_code(code)))
            case DeviceAct("link"):
                if typed := await self._stage.asked(Ask("The code that the new device shows:")):
                    await self._client.link(typed.strip())
                    told = "the device is linked: it gets your identity, people and history now"
                    self._stage.tell(told)
            case DeviceAct("unlink", device) if device is not None:
                await self._unlink(device.device_id)
            case DeviceAct("others"):
                await self._client.account.end_other_sessions()
                self._stage.tell("your other devices are signed out")

    async def _unlink(self, device_id: str) -> None:
        if await self._stage.asked(Confirm(f"Remove the device {device_id}? It is signed out for good.")):
            await self._client.unlink(device_id)
            self._stage.tell(f"device {device_id} is removed")

    async def _change_password(self) -> None:
        old = await self._stage.asked(Ask("The password as it is:", hidden=True))
        if old and (new := await self._stage.asked(Ask("The new one:", hidden=True))):
            await self._client.account.change_password(old, new)
            self._stage.tell("the password is changed; your other devices are signed out")
