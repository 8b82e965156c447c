"""The chat that fills the terminal, in one: as two people use it."""

import re
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from roost.client import MessageReceived
from roost.client.content import Text
from tests.hard_texts import HARD
from tests.live.app import PASSWORD, App
from tests.live.running import System
from tests.live.terminal import Terminal

BACK = ("\x1b[?1049l", "\x1b[?25h", "\x1b[?2004l", "\x1b[?1003l", "\x1b[<u")
"""What has the screen of before, the cursor, pasting, mouse and keys as they were."""


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def chat(system: System, name: str, folder: Path, *more: str, **env: str) -> Terminal:
    roost = str(Path(sys.executable).with_name("roost"))
    return Terminal([roost, "chat", "--server", system.http, "--as", name, "--data", str(folder), *more], env)


def pasted(text: str) -> str:
    return f"\x1b[200~{text}\x1b[201~"


def names() -> tuple[str, str]:
    mark = secrets.token_hex(3)
    return f"alice{mark}", f"bob{mark}"


async def test_two_people_chat_and_every_script_is_shown_as_it_was_sent(
    system: System, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    alice, name = names()
    bob = await App(system.http, name, http).join()
    async with chat(system, alice, tmp_path, "--to", name) as terminal:
        await terminal.shows("Password for")
        terminal.type(PASSWORD + "\n")
        await terminal.shows("● connected", f"{name}  not verified", "F1 Help")
        for text in HARD.values():  # what is made of several characters by keys, the rest is pasted
            terminal.type((text if "\u200d" in text or "\u200c" in text else pasted(text)) + "\r")
        await bob.gets(lambda: len(bob.texts()) >= len(HARD), "every text")
        assert bob.texts() == list(HARD.values())
        await terminal.shows("✓✓ delivered")
        received = bob.all(MessageReceived)
        await bob.client.mark_read(alice, received[-1].seq)
        await terminal.shows("✓✓ read")

        terminal.resize(120, 2 * len(HARD) + 10)  # those of bob fill it
        await bob.client.send(alice, Text("an answer", reply_to=received[0].id))
        await terminal.shows(f"↪ you: {received[0].text}")
        for text in HARD.values():
            await bob.client.send(alice, text)
        await terminal.shows(*HARD.values())

        terminal.signal(signal.SIGTERM)
        assert await terminal.ended() == 0
        assert terminal.settings == terminal.before
        assert all(each in terminal.screen.written for each in BACK)
    await bob.leave()


@pytest.mark.parametrize(
    ("env", "more"),
    [
        pytest.param({"TERM": "dumb"}, (), id="dumb"),
        pytest.param({}, ("--lines",), id="lines", marks=pytest.mark.slow),
    ],
)
async def test_where_the_screen_cannot_be_filled_lines_are_printed(
    system: System, tmp_path: Path, env: dict[str, str], more: tuple[str, ...]
) -> None:
    alice, name = names()
    async with chat(system, alice, tmp_path, "--to", name, *more, **env) as terminal:
        await terminal.shows("Password for")
        terminal.type(PASSWORD + "\n")
        await terminal.shows("connected")
        terminal.type("/quit\n")
        assert await terminal.ended() == 0
        assert "\x1b[?1049h" not in terminal.screen.written


@pytest.mark.slow
async def test_ctrl_c_ends_it_and_no_colour_is_none(system: System, tmp_path: Path) -> None:
    alice, name = names()
    async with chat(system, alice, tmp_path, "--to", name, NO_COLOR="1") as terminal:
        await terminal.shows("Password for")
        terminal.type(PASSWORD + "\n")
        await terminal.shows("● connected", "F1 Help")
        terminal.type("\x03")
        assert await terminal.ended() == 0
        assert terminal.settings == terminal.before
        assert all(each in terminal.screen.written for each in BACK)
        assert not re.search(r"\x1b\[[0-9;]*\b(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]", terminal.screen.written)


@pytest.mark.slow
async def test_a_server_that_is_killed_is_told_and_the_chat_goes_on(
    own_system: Callable[..., System], tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    system = own_system("--gateways", "1")
    await system.started()
    alice, name = names()
    bob = await App(system.http, name, http).join()
    async with chat(system, alice, tmp_path, "--to", name) as terminal:
        await terminal.shows("Password for")
        terminal.type(PASSWORD + "\n")
        await terminal.shows("● connected")
        async with system.killed("gateway"):
            await terminal.shows("○ not connected")
            terminal.type("are you there\r")
            await terminal.shows("… sending")
        await terminal.shows("● connected", "✓✓ delivered", within=60)
        assert bob.texts() == ["are you there"]
    await bob.leave()
