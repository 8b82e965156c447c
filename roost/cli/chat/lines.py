"""The chat of lines, for pipes and terminals that cannot do more; see `COMMANDS` for what is not sent."""

import asyncio
import getpass
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from roost.cli import devices
from roost.cli.devices import DeviceCommands, linked, told_of_keys
from roost.cli.shown import concerns, line_of_message, on_one_line, plain, reason, said
from roost.client import (
    Client,
    Connected,
    Delivered,
    Disconnected,
    Event,
    Failed,
    File,
    IdChanged,
    KeyChanged,
    Linked,
    Message,
    MessageReceived,
    Missed,
    Presence,
    Read,
    SentElsewhere,
    Typing,
    Undecryptable,
)
from roost.client.content import ReadUpTo
from roost.errors import RoostError
from roost.ids import fold_username

COMMANDS = (
    "/to NAME, /history [NUMBER], /search WORDS, /trust NAME, /send PATH, /save NUMBER [FOLDER], "
    f"/password (change it), /sign-out-others, {devices.COMMANDS}, /help, /quit"
)
_HELP = f"{COMMANDS}; any other line is sent, and of a line with // at its beginning all but the first /"

_PAGE = 20
_PAGE_AT_MOST = 1000


class PasswordChange(NamedTuple):
    """What was typed, unseen, after ``/password``."""

    old: str
    new: str


class Chat:
    """One conversation window.

    Args:
        client: Signed in.
        console: The terminal.
        peer: The recipient of lines, if there is one yet.
    """

    def __init__(self, client: Client, console: Console, peer: str | None) -> None:
        self._client = client
        self._console = console
        self._peer = peer
        self._sent: dict[str, str] = {}
        self._files: list[File] = []
        self._devices = DeviceCommands(client, self._say, self._draw)
        self._commands = {
            "/to": self._to,
            "/trust": self._trust,
            "/sign-out-others": self._sign_out_others,
            "/save": self._save,
            "/search": self._search,
            "/help": self._help,
        }

    async def run(self) -> None:
        """Show and send until the end of input, or of the session."""
        await self._client.start()
        self._say("dim", "/help lists the commands")
        if self._peer is not None:
            self._client.subscribe(self._peer)
        lines = _lines()
        tasks = {asyncio.create_task(self._show_all()), asyncio.create_task(self._send_all(lines))}
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()

    async def _show_all(self) -> None:
        async for event in self._client.events():
            self.show(event, await self._quoted(event))
            if isinstance(event, MessageReceived) and event.peer == self._peer:
                await self._client.mark_read(event.peer, event.seq)

    async def _send_all(self, lines: "asyncio.Queue[str | PasswordChange | None]") -> None:
        while (line := await lines.get()) is not None:
            if line == "/quit":
                return
            try:
                if isinstance(line, PasswordChange):
                    await self._client.account.change_password(line.old, line.new)
                    self._say("dim", "the password is changed; your other devices are signed out")
                else:
                    await self._line(line.strip())
            except (ValueError, RoostError, OSError) as exc:
                self._say("red", reason(exc))

    async def _line(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        if (command := self._commands.get(word)) is not None:
            await command(rest)
        elif await self._devices.take(word, rest):
            return
        elif line and self._peer is None:
            self._say("yellow", f"no recipient yet: type /to NAME ({COMMANDS})")
        elif self._peer is not None:
            await self._to_peer(self._peer, word, rest, line)

    async def _to_peer(self, peer: str, word: str, rest: str, line: str) -> None:
        if word == "/history":
            await self._history(peer, rest)
        elif word == "/send":
            path = _path(rest)
            self._sent[await self._client.send_file(peer, path)] = f"[file: {path.name}]"
        elif line:
            text = line[1:] if line.startswith("//") else line
            self._sent[await self._client.send(peer, text)] = text

    async def _help(self, _: str) -> None:
        self._say("dim", _HELP)

    async def _to(self, rest: str) -> None:
        self._peer = fold_username(rest)
        self._client.subscribe(self._peer)
        self._say("dim", f"chatting with {self._peer}")

    async def _trust(self, rest: str) -> None:
        self._client.trust(fold_username(rest))

    async def _sign_out_others(self, _: str) -> None:
        await self._client.account.end_other_sessions()
        self._say("dim", "your other devices are signed out")

    async def _search(self, rest: str) -> None:
        await self._print(reversed(await self._client.search(rest, limit=_PAGE)))

    async def _save(self, rest: str) -> None:
        number, _, folder = rest.partition(" ")
        if not number.isdecimal() or not 0 < int(number) <= len(self._files):
            self._say("yellow", "say which file: /save NUMBER [FOLDER]")
            return
        saved = await self._files[int(number) - 1].save(_path(folder))
        self._say("green", f"saved as {saved}")

    async def _history(self, peer: str, rest: str) -> None:
        wanted = rest or str(_PAGE)
        if not wanted.isdecimal() or not 0 < int(wanted) <= _PAGE_AT_MOST:
            self._say("yellow", f"say how many messages: /history NUMBER, up to {_PAGE_AT_MOST}")
            return
        page = await self._client.history(peer, limit=int(wanted))
        await self._print(page.messages)

    async def _print(self, messages: Iterable[Message]) -> None:
        for message in messages:
            target = message.reply_to
            quoted = None if target is None else await self._client.message(message.peer, target)
            who = message.author if message.peer == self._peer else f"{message.peer}: {message.author}"
            self._show_message(who, line_of_message(message, quoted.text if quoted is not None else ""), None)

    async def _quoted(self, event: Event) -> str:
        """Return the text of the message that another is about."""
        if not isinstance(event, MessageReceived | SentElsewhere):
            return ""
        target = concerns(event.body)
        found = None if target is None else await self._client.message(event.peer, target)
        return "" if found is None else found.text

    def show(self, event: Event, quoted: str = "") -> None:  # noqa: C901, PLR0912 - a line an event
        """Print what an event means for the person at the terminal.

        Args:
            event: What happened.
            quoted: The text of the message that it is about, as far as it is known here.
        """
        match event:
            case MessageReceived(silent=True, body=ReadUpTo()):
                return  # between the user's own devices
            case MessageReceived(silent=True):
                self._say("dim", f"{event.peer} {said(event.body, quoted)}")
            case MessageReceived():
                self._show_message(event.peer, said(event.body, quoted), event.file)
            case Delivered(ids=ids):
                for message_id in ids:
                    self._say("dim", f"✓✓ {self._sent.pop(message_id, 'delivered')}")
            case Read(peer=peer):
                self._say("blue", f"✓✓ {peer} has read everything so far")
            case Failed(detail=detail):
                self._say("red", f"not sent: {self._sent.pop(event.id, '')} ({detail})")
            case KeyChanged():
                self._say(*told_of_keys(event))
            case Linked():
                self._say("green", linked(event))
            case IdChanged(new_id=new_id):
                self._sent[new_id] = self._sent.pop(event.id, "")
            case Undecryptable(peer=peer, detail=detail):
                self._say("red", f"a message from {peer} cannot be shown: {detail}")
            case Typing(peer=peer, state="typing"):
                self._say("dim", f"{peer} is typing …")
            case Presence(peer=peer, state=state):
                self._say("dim", f"{peer} is {state}")
            case Connected():
                self._say("dim", "connected")
            case Disconnected(code=code, final=final):
                self._say(
                    "yellow",
                    f"disconnected ({code})" + (": sign in again" if final else ""),
                )
            case Missed():
                self._say("yellow", "older messages are gone from the server")
            case SentElsewhere(silent=False, body=body) if body is not None:
                self._show_message(f"you to {event.peer}", said(body, quoted), event.file)
            case SentElsewhere(peer=peer, detail=detail, silent=False):
                self._say("dim", f"another of your devices wrote to {peer} {detail}".rstrip())
            case _:
                return

    def _show_message(self, peer: str, text: str, file: File | None) -> None:
        """Print a message in a column of its own: no line of it can pass for a message of someone else."""
        line = Table.grid(padding=(0, 1))
        line.add_column(no_wrap=True)
        line.add_column(overflow="fold")
        line.add_row(Text(on_one_line(peer), "bold cyan"), Text(plain(text)))
        self._console.print(line)
        if file is not None:
            self._files.append(file)
            self._say("dim", f"to keep it: /save {len(self._files)}")

    def _draw(self, lines: str) -> None:
        """Print lines that are this program's own, as they are."""
        self._console.print(Text(lines, no_wrap=True))

    def _say(self, style: str, text: str) -> None:
        self._console.print(Text(on_one_line(text), style))


def _path(typed: str) -> Path:
    return Path(typed.strip() or ".").expanduser()


def _lines() -> "asyncio.Queue[str | PasswordChange | None]":
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | PasswordChange | None] = asyncio.Queue()

    def read() -> None:
        with suppress(EOFError, OSError, RuntimeError):  # The terminal, or the loop, may end first.
            while True:
                loop.call_soon_threadsafe(queue.put_nowait, _typed(input()))
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(queue.put_nowait, None)

    threading.Thread(target=read, daemon=True).start()
    return queue


def _typed(line: str) -> str | PasswordChange:
    """Return the line; passwords are asked for here, where nothing else reads the terminal."""
    if line.strip() != "/password":
        return line
    return PasswordChange(getpass.getpass("The password as it is: "), getpass.getpass("The new one: "))
