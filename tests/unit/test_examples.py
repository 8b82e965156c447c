"""The bots of ``examples/``, and the HTTP API by shell, in a world of their own."""

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from cluster.local.servers import free_port
from roost.testing import World

EXAMPLES = Path(__file__).parents[2] / "examples"
HOUR_S = 3600


def example(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module(name)


async def test_echo_bot(monkeypatch: pytest.MonkeyPatch) -> None:
    async with World() as world:
        await world.start(example("echo_bot", monkeypatch).bot)
        user = await world.user("alice")
        await user.send("hi")
        assert await user.next() == "hi"


async def test_reminder_bot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = example("reminder_bot", monkeypatch).reminder
    async with World() as world:
        bot = made()
        await world.start(bot, data=tmp_path)
        ann, bob = await world.user("ann"), await world.user("bob")
        for text in ("remind me in 2 hours to call Bob", "Remind me in 3 hours to sleep", "/list", "hm"):
            await ann.send(text)
        assert [await ann.next() for _ in range(3)] == [
            "I will, in 2 hours.",
            "I will, in 3 hours.",
            "• call Bob\n• sleep",
        ]
        assert "/list" in await ann.next()
        await bob.send("remind me in 30 minutes to stretch")
        assert await bob.next() == "I will, in 30 minutes."
        await world.advance(HOUR_S)
        assert await bob.next() == "⏰ stretch"
        await ann.silence()
        await world.stop(bot)
        await world.advance(HOUR_S)
        await world.start(made(), data=tmp_path)
        assert await ann.next() == "⏰ call Bob", "it was due while the bot was away"
        await world.advance(HOUR_S - 60)
        await ann.silence()
        await world.advance(60)
        assert await ann.next() == "⏰ sleep"
        await ann.send("/list")
        assert await ann.next() == "There is nothing to remind you of."


@asynccontextmanager
async def webhook(posted: list[dict[str, Any]], answers: list[web.Response]) -> AsyncIterator[str]:
    async def take(request: web.Request) -> web.Response:
        posted.append(await request.json() | {"key": request.headers["Idempotency-Key"]})
        return answers.pop(0)

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def test_webhook_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    posted: list[dict[str, Any]] = []
    answers = [web.Response(), web.Response(status=503), web.json_response({"reply": "pong"})]
    port = free_port()
    async with World() as world, webhook(posted, answers) as hook, aiohttp.ClientSession() as http:
        bot = example("webhook_bridge", monkeypatch).bridge(f"http://127.0.0.1:{hook}/", "a secret", port)
        await world.start(bot, "bridge")
        ann = await world.user("ann")
        ids = [await ann.send("hello"), await ann.send("ping")]
        while len(posted) < 2:
            await asyncio.sleep(0.005)
        await world.advance(2)
        assert await ann.next() == "pong"
        assert [each["text"] for each in posted] == ["hello", "ping", "ping"]
        assert [each["id"] for each in posted] == [each["key"] for each in posted] == [*ids, ids[1]]
        url, secret = f"http://127.0.0.1:{port}/send", {"Authorization": "Bearer a secret"}
        async with http.post(url, json={"to": "ann", "text": "green"}, headers=secret) as answer:
            assert (answer.status, await answer.json()) == (202, {"id": (await ann.next()).event.id})
        async with http.post(url, json={"to": "ann", "text": "red"}) as answer:
            assert answer.status == 401
        for wrong in ({"to": "ann"}, {"to": "no one", "text": "hm"}, {"to": 5, "text": "hm"}):
            async with http.post(url, json=wrong, headers=secret) as answer:
                assert answer.status == 400
        await ann.silence()


async def test_http_api_by_shell() -> None:
    async with World(datetime.now(UTC)) as world:
        process = await asyncio.create_subprocess_exec(
            EXAMPLES / "http_api.sh", world.server, "world.test", stdout=-1, stderr=-1
        )
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    lines = out.decode().splitlines()
    assert lines[0] == "accepted as number 1 of bob's mailbox; with the same id again it is number 1"
    assert lines[1].endswith(": not sealed")
    assert lines[2:] == ["alice sees that it is delivered", "an error has a code: unknown_user"]
