"""The picture of the chat in docs/images, made on a running system that knows neither of its people yet.

python -m tests.live.picture http://127.0.0.1:8080 > docs/images/terminal-chat.svg
"""

import asyncio
import re
import sys
import tempfile
from pathlib import Path

import aiohttp

from roost.cli.chat.screen import ChatApp
from roost.client import Client, FileKeystore, MessageReceived
from roost.client.content import Reaction, Text
from tests.live.app import PASSWORD, App
from tests.live.waiting import until

_FONT = re.compile(r"@font-face \{.*?\}", re.DOTALL)


async def picture(server: str, folder: Path) -> str:
    """Return a conversation as SVG that fetches nothing."""
    async with aiohttp.ClientSession() as http:
        bob, carol = [await App(server, name, http).join() for name in ("bob", "carol")]
        keystore = FileKeystore(folder / "alice.db")
        alice = await Client.register(server, "alice", PASSWORD, keystore=keystore, http=http)
        app = ChatApp(alice, "bob")
        async with app.run_test(size=(96, 28)) as pilot:
            await until(lambda: "" if app.desk.connection.up else "no connection", within=20)
            await alice.verify("bob")
            await alice.send("bob", "Are we still on for Saturday? こんにちは 👋")
            await bob.gets(bob.texts, "the question")
            question = bob.all(MessageReceived)[0]
            await bob.client.mark_read("alice", question.seq)
            await bob.client.send("alice", Text("Yes! The 9:40 train, platform 3.\nשבת שלום", question.id))
            await bob.client.send("alice", Reaction(question.id, "♥"))
            plan = folder / "walk.pdf"
            plan.write_bytes(bytes(412_000))
            await bob.client.send_file("alice", plan)
            await carol.client.send("alice", "Did you see this?")
            await until(lambda: "" if app.desk.unread else "carol is not there", within=20)
            await alice.send("bob", "Perfect, I bring the tea")
            await bob.gets(lambda: len(bob.texts()) > 1, "the answer")
            bob.client.typing("alice")
            await until(lambda: "" if app.desk.rows()[0].types else "he does not type", within=20)
            await pilot.press(*"See you")
            await pilot.pause(1)
            shown = app.export_screenshot(title="roost chat --as alice")
        await alice.close()
        await bob.leave()
        await carol.leave()
    return _FONT.sub("", shown)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        sys.stdout.write(asyncio.run(picture(sys.argv[1], Path(made))))
