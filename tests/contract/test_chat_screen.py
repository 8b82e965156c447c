"""The chat that fills the terminal: what others can do to the screen, and what is written there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from textual.events import Paste
from textual.pilot import Pilot

from roost.cli.chat.screen import ChatApp
from roost.cli.chat.view.desk import Notice
from roost.client import Client, FileKeystore, Options
from tests.contract.small_server import SmallServer


def _drawn(app: ChatApp) -> str:
    return "\n".join(line.text for line in app.screen._compositor.render_strips())


async def _shows(app: ChatApp, text: str) -> None:
    async with asyncio.timeout(10):
        while text not in _drawn(app):
            await asyncio.sleep(0.01)


@asynccontextmanager
async def _chat(folder: Path) -> AsyncIterator[tuple[ChatApp, Pilot[None], Client]]:
    async with AsyncExitStack() as stack:
        runner = web.AppRunner(SmallServer().app())
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        taken = Options(on_event=lambda _: None)
        mallory = await Client.register(url, "mallory", "a password", options=taken)
        stack.push_async_callback(mallory.close)
        await mallory.start()
        keystore = FileKeystore(folder / "alice.db")
        alice = await Client.register(url, "alice", "a password", keystore=keystore)
        stack.push_async_callback(alice.close)
        app = ChatApp(alice, "mallory")
        pilot = await stack.enter_async_context(app.run_test(size=(80, 24), notifications=True))
        await _shows(app, "● connected")
        yield app, pilot, mallory


@pytest.mark.attack("pass off a line of a message as one of someone else on the screen", "bodies are set in")
async def test_no_line_of_a_message_passes_for_one_of_someone_else(tmp_path: Path) -> None:
    async with _chat(tmp_path) as (app, _, mallory):
        await mallory.send("alice", "hi\nyou 12:00 ✓✓ read\n" + "x" * 53 + "carol 12:00\n── Today ──")
        await _shows(app, "carol")
        right = [line[26:].rstrip() for line in _drawn(app).splitlines()[2:]]
        assert [line for line in right if line.startswith(("you", "carol", "x"))] == []
        assert sum(line.startswith("──") for line in right) == 2  # the day, and the frame of the field
        assert sum(line.startswith("mallory") for line in right) == 1


@pytest.mark.attack("move the terminal by a text that is pasted into the chat", "it is made harmless first")
async def test_what_is_pasted_moves_nothing(tmp_path: Path) -> None:
    async with _chat(tmp_path) as (app, pilot, _):
        app.post_message(Paste("one\x1b[2J\r\ntwo\x9b\tthree\rfour"))
        await _shows(app, "four")
        assert "\x1b" not in _drawn(app)
        await pilot.press("enter")
        await _shows(app, "✓")
        opened = app.desk.opened
        assert opened is not None
        assert opened.messages[-1].text == "one�[2J\ntwo�\tthree\nfour"


@pytest.mark.attack("move the terminal by a sentence of the server", "it is made harmless first")
async def test_what_the_server_says_moves_nothing(tmp_path: Path) -> None:
    async with _chat(tmp_path) as (app, _, _):
        app.tell(Notice("the server says \x1b[31mred\x07"))
        await _shows(app, "[31mred")
        assert "\x1b" not in _drawn(app)
        assert "\x07" not in _drawn(app)


async def test_what_is_typed_at_once_after_enter_is_the_next_message(tmp_path: Path) -> None:
    async with _chat(tmp_path) as (app, pilot, _):
        await pilot.press(*"one", "enter", *"two", "enter", *"draft")
        await _shows(app, "two")
        opened = app.desk.opened
        assert opened is not None
        assert [each.text for each in opened.messages] == ["one", "two"]
        assert app.desk.drafts == {"mallory": "draft"}


async def test_a_draft_stays_with_its_conversation_and_outlives_an_edit(tmp_path: Path) -> None:
    async with _chat(tmp_path) as (app, pilot, _):
        await pilot.press(*"sent", "enter")
        await _shows(app, "  sent")
        await pilot.press(*"later", "up", "e")
        assert app.query_one("#composer").text == "sent"  # type: ignore[attr-defined]
        await pilot.press("escape")
        assert app.query_one("#composer").text == "later"  # type: ignore[attr-defined]
        app.open("alice")
        await _shows(app, "Notes to yourself")
        assert app.query_one("#composer").text == ""  # type: ignore[attr-defined]
        await _shows(app, "draft")
        await pilot.press("ctrl+down")
        await _shows(app, "▸")
        app.open("mallory")
        assert app.query_one("#composer").text == "later"  # type: ignore[attr-defined]


async def test_what_is_too_long_comes_back(tmp_path: Path) -> None:
    async with _chat(tmp_path) as (app, pilot, _):
        app.post_message(Paste("many words " * 6000))
        await pilot.pause()
        await pilot.press("enter")
        await _shows(app, "a message has at most")
        assert len(app.query_one("#composer").text) == 66_000  # type: ignore[attr-defined]


async def test_what_was_read_is_not_shown_once_the_screen_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = asyncio.Event()
    async with _chat(tmp_path) as (app, _, _):

        async def refresh() -> None:
            reads.set()
            while app.screen_stack:
                await asyncio.sleep(0)

        monkeypatch.setattr(app.desk, "refresh", refresh)
        app.touch()
        await reads.wait()
