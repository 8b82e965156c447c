"""What the keys of the chat do, on a screen in memory and a running system."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from textual.events import Paste
from textual.pilot import Pilot

from roost.cli.chat.screen import ChatApp
from roost.cli.chat.view.entries import Entry
from roost.client import Client, FileKeystore, Message, MessageReceived, Read
from roost.client.content import Delete, Edit, Reaction, Text, Timer
from tests.live.app import PASSWORD, App
from tests.live.running import System
from tests.live.waiting import until


class AtHome:
    """Alice at her terminal, and Bob with an app.

    Attributes:
        app: Her screen.
        bob: His app.
    """

    def __init__(self, app: ChatApp, pilot: Pilot[None], bob: App) -> None:
        self.app, self.pilot, self.bob = app, pilot, bob

    @property
    def alice(self) -> str:
        return self.app.desk.client.username

    @property
    def entries(self) -> list[Entry]:
        opened = self.app.desk.opened
        return [] if opened is None else [each for each in opened.shown if isinstance(each, Entry)]

    @property
    def last(self) -> Message:
        return self.entries[-1].message

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Paste it where the cursor is; keys are typed in `test_chat_screen`."""
        self.app.post_message(Paste(text))
        await self.pilot.pause()

    async def sees(self, found: Callable[[], Any], what: str) -> None:
        await until(lambda: "" if found() else f"no {what}: {self.screen()}", within=20, every=0.02)

    async def shows(self, text: str) -> None:
        await self.sees(lambda: text in self.screen(), text)

    def screen(self) -> str:
        width, height = self.app.size
        lines = self.app.screen._compositor.render_strips()
        assert len(lines) == height
        assert all(line.cell_length == width for line in lines)
        return "\n".join(line.text for line in lines)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@asynccontextmanager
async def at_home(
    system: System, http: aiohttp.ClientSession, folder: Path, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[AtHome]:
    mark = secrets.token_hex(3)
    bob = await App(system.http, f"bob{mark}", http).join()
    client = await Client.register(
        system.http, f"alice{mark}", PASSWORD, keystore=FileKeystore(folder / "alice.db"), http=http
    )
    app = ChatApp(client, bob.name)
    async with app.run_test(size=size, notifications=True) as pilot:
        home = AtHome(app, pilot, bob)
        await home.shows("● connected")
        yield home
    await client.close()
    await bob.leave()


async def test_a_conversation_by_keyboard(
    system: System, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    async with at_home(system, http, tmp_path) as home:
        bob, alice = home.bob, home.alice
        await home.type("hello")
        await home.press("enter")
        await bob.gets(lambda: bob.texts() == ["hello"], "the message")
        await home.sees(lambda: home.last.state == "delivered", "second tick")
        await bob.client.send(alice, "how are you")
        await home.shows("how are you")
        await bob.gets(lambda: bob.all(Read), "that it was read")

        await home.press("up", "r")
        await home.shows(f"↪ {bob.name}: how are you")
        await home.type("fine")
        await home.press("enter")
        question = home.entries[1].message
        await bob.gets(lambda: Text("fine", question.id) in bodies(bob), "the reply")
        await home.sees(lambda: home.last.text == "fine", "reply of mine")

        await home.press("up", "e")
        await home.type(" thanks")
        await home.press("enter")
        await bob.gets(lambda: Edit(home.last.id, "fine thanks") in bodies(bob), "the edit")
        await home.shows("fine thanks")

        await home.press("up", "up", "a", "enter")
        await bob.gets(lambda: Reaction(question.id, "👍") in bodies(bob), "the reaction")
        await home.shows("👍 you")
        await home.press("down", "d", "y")
        await bob.gets(lambda: Delete(home.last.id) in bodies(bob), "the deletion")
        await home.shows("[deleted]")

        await home.press("f5", "down", "enter")
        await bob.gets(lambda: Timer(30) in bodies(bob), "the timer")
        await home.shows("⧗ 30 seconds")
        await home.press("escape")
        await home.type("soon gone")
        await home.press("enter")
        await home.sees(lambda: "disappears in" in home.entries[-1].notes, "end of the message")
        await home.press("ctrl+c")
        assert home.app._exit


def bodies(app: App) -> list[object]:
    return [each.body for each in app.all(MessageReceived)]


@pytest.mark.slow
async def test_files_are_sent_and_saved(system: System, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    source, kept = tmp_path / "picture of us.png", tmp_path / "kept"
    source.write_bytes(secrets.token_bytes(100_000))
    kept.mkdir()
    async with at_home(system, http, tmp_path) as home:
        await home.press("f4")
        await home.type(f"{tmp_path}/pic")
        await home.press("tab")
        await home.shows("picture of us.png")
        await home.press("enter")
        await home.bob.gets(lambda: home.bob.all(MessageReceived), "the file")
        await home.shows("[file: picture of us.png, 100 kB]")
        file = home.bob.all(MessageReceived)[-1].file
        assert file is not None
        assert (await file.save(kept)).read_bytes() == source.read_bytes()

        await home.bob.client.send_file(home.alice, kept / source.name)
        await home.sees(lambda: len(home.entries) == 2, "his file")
        await home.press("up", "s", "ctrl+u")
        await home.type(str(kept))
        await home.press("enter")
        await home.sees((kept / "picture of us (2).png").exists, "saved file")
        await home.shows("saved as")


@pytest.mark.slow
async def test_people_and_devices(system: System, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    async with at_home(system, http, tmp_path) as home:
        bob = home.bob
        await home.type("hello")
        await home.press("enter")
        await home.shows("✓✓")
        number = str(await bob.client.safety_number(home.alice))
        await home.press("f6")
        await home.shows(number[:11])
        await home.press("c")
        await home.type(number.replace(" ", ""))
        await home.press("enter")
        await home.shows("✔ verified")

        await home.press("f8", "y")
        client = home.app.desk.client
        await home.shows("is blocked")
        assert await client.account.blocks() == [bob.name]

        other = await App(system.http, home.alice, http).join(new=False)
        await home.press("f7")
        await home.shows("this device")
        await home.press("l")
        await home.type(other.client.link_code())
        await home.press("enter")
        await other.gets(lambda: other.client.linked, "the link")
        await home.press("f7")
        await home.shows(other.device)
        await home.press("s")
        await home.shows(f"roost:link/1/{home.alice}/")
        await home.press("escape")
        await other.leave()


@pytest.mark.slow
async def test_what_was_said_is_found(system: System, http: aiohttp.ClientSession, tmp_path: Path) -> None:
    async with at_home(system, http, tmp_path) as home:
        for number in range(60):
            await home.bob.client.send(home.alice, f"word{number} of many")
        await home.shows("word59")
        assert "word3 " not in home.screen()
        await home.press("f3")
        await home.type("word3")
        await home.shows("word3 of many")
        await home.press("down", "end", "enter")
        await home.shows("word3 of many")


@pytest.mark.slow
@pytest.mark.parametrize("size", [(40, 12), (20, 6), (200, 60)])
async def test_every_size_is_usable(
    system: System, http: aiohttp.ClientSession, tmp_path: Path, size: tuple[int, int]
) -> None:
    async with at_home(system, http, tmp_path, size) as home:
        await home.type("hello")
        await home.press("enter")
        await home.shows("hello")
        await home.press("f1")
        await home.shows("Anywhere")
        await home.press("escape", "f2")
        await home.shows(home.bob.name)
        await home.shows("Enter Open")
