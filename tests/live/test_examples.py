"""The programs of ``examples/`` do what they say."""

import asyncio
import secrets
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from roost.client import Client, MessageReceived
from tests.live.running import System

EXAMPLES = Path(__file__).parents[2] / "examples"
WITHIN_S = 60


async def run(example: str, *arguments: str) -> str:
    """Run an example to its end and return what it printed."""
    process = await started(example, *arguments)
    async with asyncio.timeout(WITHIN_S):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def started(example: str, *arguments: str, env: dict[str, str] | None = None) -> Process:
    command = (sys.executable, str(EXAMPLES / example), *arguments)
    return await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=env)


@asynccontextmanager
async def echoing(server: str, name: str, data: Path) -> AsyncIterator[None]:
    """Run the bot inside the block, then end it as Ctrl-C does."""
    bot = await started(
        "echo_bot.py", env={"ROOST_SERVER": server, "ROOST_BOT_NAME": name, "ROOST_BOT_DATA": str(data)}
    )
    assert bot.stdout is not None
    try:
        async with asyncio.timeout(WITHIN_S):
            assert b"bot_connected" in await bot.stdout.readline()
        yield
    finally:
        if bot.returncode is None:
            bot.send_signal(signal.SIGINT)
        _, err = await bot.communicate()
    assert bot.returncode == 0, err.decode()


async def answer_to(client: Client, peer: str, text: str) -> str:
    """Send a message and return the next one that comes."""
    await client.send(peer, text)
    async with asyncio.timeout(WITHIN_S):
        async for event in client.events():
            if isinstance(event, MessageReceived):
                return event.text
    raise AssertionError("the client ended")


async def test_hello(system: System) -> None:
    said = await run("hello.py", system.http)
    assert "received from alice_" in said
    assert "Are you home?" in said
    assert [line.split(":")[0] for line in said.splitlines() if not line.startswith("received")] == [
        "accepted", "delivered", "read",
    ]  # fmt: skip


async def test_the_echo_bot_stays_itself_over_a_restart(system: System, tmp_path: Path) -> None:
    name = f"echo_{secrets.token_hex(3)}"
    client = await Client.register(system.http, f"asker_{secrets.token_hex(3)}", secrets.token_urlsafe(12))
    await client.start()
    try:
        for text in ("once", "and again"):
            async with echoing(system.http, name, tmp_path):
                assert await answer_to(client, name, text) == text
    finally:
        await client.close()


async def test_plain_http(system: System) -> None:
    said = await run("plain_http.py", system.http)
    assert "the same id again gets the same number: True" in said
    assert "bob reads: 'By hand, but sealed'" in said
    assert said.endswith("state: delivered\n")


async def test_http_api_by_shell(system: System) -> None:
    process = await asyncio.create_subprocess_exec(
        EXAMPLES / "http_api.sh", system.http, stdout=PIPE, stderr=PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    assert "bob has a message from alice_" in out.decode()
    assert "alice sees that it is delivered" in out.decode()
