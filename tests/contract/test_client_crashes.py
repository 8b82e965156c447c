"""A client in a process of its own that is killed, and killed again: what its file then says."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web

from roost import wire
from roost.client import Client, FileKeystore, KeystoreInUse, MessageReceived, Options
from tests.contract.small_server import SmallServer

ROUNDS = 3
PROGRAM = """
import asyncio, sys, time
from pathlib import Path
from roost.client import Client, FileKeystore, MessageReceived
from roost.client.store.database import Database

def slow(database, work, run=Database.run):
    time.sleep(0.01)
    return run(database, work)

Database.run = slow  # a slow disk: what does not wait for it shows

async def main(path, run):
    client = Client.resume(FileKeystore(Path(path)))
    await client.start()
    print("up", flush=True)

    async def write():
        for number in range(10_000):
            await client.send("bob", f"{run} {number}")
            print("wrote", f"{run}:{number}", flush=True)

    writing = asyncio.create_task(write())
    async for event in client.events():
        if isinstance(event, MessageReceived):
            print("told", event.seq, flush=True)
    await writing

asyncio.run(main(*sys.argv[1:]))
"""


class RecordingServer(SmallServer):
    """Notes the payloads that each message came with."""

    def __init__(self) -> None:
        super().__init__()
        self.payloads: dict[str, set[bytes]] = {}

    async def accept(self, user: str, frame: wire.Send) -> wire.Accepted | wire.Rejected:
        if user == "alice":
            if frame.id not in self.payloads and len(self.payloads) % 30 == 7:
                self.lose_replies = 1  # so that it is sent again
            self.payloads.setdefault(frame.id, set()).update(frame.payloads.values())
        return await super().accept(user, frame)


@pytest.fixture
async def server() -> AsyncIterator[tuple[RecordingServer, str]]:
    made = RecordingServer()
    runner = web.AppRunner(made.app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield made, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def run_and_kill(path: Path, run: int, after: int) -> list[tuple[str, str]]:
    """Run the program until it has written so many messages, kill it, and return what it said."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, str(path), str(run)), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    said: list[tuple[str, str]] = []
    async with asyncio.timeout(20):
        while sum(word == "wrote" for word, _ in said) < after:
            word, _, rest = (await child.stdout.readline()).decode().strip().partition(" ")
            said.append((word, rest))
            if word == "up":
                with pytest.raises(KeystoreInUse):
                    FileKeystore(path).load()
        child.send_signal(signal.SIGKILL)
        rest_of_it = (await child.stdout.read()).decode().split("\n")
        await child.wait()
    # The last line may be half a line.
    return said + [(line.partition(" ")[0], line.partition(" ")[2]) for line in rest_of_it[:-1]]


async def test_nothing_is_lost_or_taken_twice_however_often_it_is_killed(
    server: tuple[RecordingServer, str], tmp_path: Path
) -> None:
    small, url = server
    path, silent, got = tmp_path / "alice.db", Options(on_event=lambda _: None), list[str]()
    listening = Options(on_event=lambda e: got.append(e.text) if isinstance(e, MessageReceived) else None)
    async with AsyncExitStack() as stack:
        bob = await Client.register(url, "bob", "a password", options=listening)
        stack.push_async_callback(bob.close)
        alice = await Client.register(url, "alice", "a password", keystore=FileKeystore(path), options=silent)
        stack.push_async_callback(alice.close)
        await bob.start()
        await alice.start()
        await bob.delivered(await bob.send("alice", "first"), timeout_s=10)
        await alice.delivered(await alice.send("bob", "first"), timeout_s=10)
        await alice.close()

        sent = ["first"]
        chatting = asyncio.create_task(_chatter(bob, sent))
        stack.callback(chatting.cancel)
        wrote: list[str] = []
        for run in range(ROUNDS):
            acked = small.mailboxes["alice"].acked
            said = await run_and_kill(path, run, 6 + 5 * run)
            told = [int(rest) for word, rest in said if word == "told"]
            wrote += [rest.replace(":", " ") for word, rest in said if word == "wrote"]
            assert all(seq > acked for seq in told), "what is acknowledged is not told again"
            assert sorted(set(told)) == told
        chatting.cancel()

        again = Client.resume(FileKeystore(path), options=silent)
        stack.push_async_callback(again.close)
        await again.start()
        async with asyncio.timeout(20):
            while again.profile.state.outbox or len(await _texts(again, "bob")) < len(sent):
                await asyncio.sleep(0.02)
        assert await _texts(again, "bob") == sent, "each message once, in its order"
        mine = await _texts(again, "alice")
        assert len(set(mine)) == len(mine)
        assert set(wrote) <= set(mine), "what was in the outbox is in the history"
        assert got == mine, "what the history has was sent, once"
        assert {len(each) for each in small.payloads.values()} == {1}, "a repeat carries the same bytes"


async def _chatter(bob: Client, sent: list[str]) -> None:
    while True:
        sent.append(f"from bob {len(sent)}")
        await bob.send("alice", sent[-1])
        await asyncio.sleep(0.005)


async def _texts(client: Client, author: str) -> list[str]:
    page = await client.history("bob", limit=100_000)
    return [message.text or message.code for message in page.messages if message.author == author]
