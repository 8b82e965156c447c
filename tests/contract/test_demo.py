"""The demo's story: it holds on a server that keeps the contract, and sees one that does not."""

import asyncio
import io
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from rich.console import Console

from roost.cli import command_line, demo
from roost.client import connections
from tests.contract.small_server import SmallServer


@pytest.fixture
async def server() -> AsyncIterator[tuple[SmallServer, str]]:
    small = SmallServer()
    runner = web.AppRunner(small.app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield small, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def story(url: str) -> tuple[bool, demo.Story, str]:
    out = io.StringIO()
    async with connections() as http:
        made = demo.Story(url, url, http, Console(file=out, width=200))
        return await made.tell(), made, out.getvalue()


async def test_it_holds(server: tuple[SmallServer, str]) -> None:
    held, made, shown = await story(server[1])
    assert held, shown
    assert [step.title[0] for step in made.steps if step.title[0].isdigit()] == list("1234567")
    assert "Are you home?" in shown


async def test_it_sees_a_message_that_comes_twice(server: tuple[SmallServer, str]) -> None:
    server[0].forgetful = True
    held, made, _ = await story(server[1])
    assert not held
    assert [step.title for step in made.steps if not step.held] == ["the retry got the same answer"]


async def test_it_notices_a_push_with_content(server: tuple[SmallServer, str]) -> None:
    server[0].talkative = True
    _, made, _ = await story(server[1])
    assert [step.title for step in made.steps if not step.held] == ["Bob's phone is woken, told nothing"]


async def test_it_names_what_did_not_come(
    server: tuple[SmallServer, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "PATIENCE_S", 0.2)
    monkeypatch.setattr(SmallServer, "ack", lambda *_: asyncio.sleep(0))
    held, made, _ = await story(server[1])
    assert not held
    assert "did not get Delivered" in made.steps[-1].title


async def test_the_command_prints_one_object(
    server: tuple[SmallServer, str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["demo", "--server", server[1], "--fcm", server[1], "--json"]
    assert await asyncio.to_thread(command_line.main, arguments) == 0
    out = capsys.readouterr().out
    assert json.loads(out)["held"] is True
    assert out.count("\n") == 1


def test_a_server_that_is_away_is_exit_code_3(capsys: pytest.CaptureFixture[str]) -> None:
    code = command_line.main(["demo", "--server", "http://127.0.0.1:9"])
    assert code == 3
    assert "is it running?" in capsys.readouterr().err


def test_bad_usage_is_exit_code_2() -> None:
    with pytest.raises(SystemExit) as left:
        command_line.main(["nonsense"])
    assert left.value.code == 2
