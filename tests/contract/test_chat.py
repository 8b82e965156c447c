"""The terminal client: what it shows, and a conversation through its own loop."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web
from rich.console import Console

from roost.cli import chat
from roost.cli.chat import lines as line_chat
from roost.cli.chat import opening
from roost.cli.shown import plain
from roost.cli.terminal import BAD_USAGE
from roost.client import (
    Client,
    Connected,
    Delivered,
    Disconnected,
    Event,
    Failed,
    FileKeystore,
    IdChanged,
    KeyChanged,
    Linked,
    MessageReceived,
    Missed,
    Options,
    Presence,
    Read,
    SentElsewhere,
    Synced,
    Typing,
    Undecryptable,
    content,
)
from roost.client.content import Delete, Reaction, ReadUpTo, encode
from tests.contract.small_server import SmallServer

ID = "0199f0a8-7c1e-7a55-9b0e-3f6d5c2a1b00"


@pytest.fixture
async def url() -> AsyncIterator[str]:
    runner = web.AppRunner(SmallServer().app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.attack("move the reader's terminal by the text of a message", "control characters are replaced")
@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (MessageReceived("bob", "D", "i", 1, b"hi [red]\x1b[2Jthere", 0, 0), "bob hi [red]�[2Jthere"),
        (Delivered("bob", 1, ("i",)), "✓✓ delivered"),
        (Read("bob", 1), "bob has read"),
        (Failed("i", "bob", "too_large", "Too large."), "not sent"),
        (KeyChanged("bob", "D", "changed", "KEY"), "THE KEY OF bob HAS CHANGED to KEY"),
        (
            KeyChanged("bob", "D", "added", "KEY"),
            "bob HAS A NEW DEVICE, D, with the key KEY, which bob has NOT CONFIRMED",
        ),
        (
            KeyChanged("bob", "D", "added", "KEY", confirmed=True),
            "bob has a new device, D, and has confirmed it",
        ),
        (KeyChanged("bob", "D", "confirmed", "KEY", confirmed=True), "bob has confirmed device D"),
        (KeyChanged("bob", "D", "unconfirmed", "KEY"), "bob NO LONGER CONFIRMS device D"),
        (
            KeyChanged("bob", "", "identity", "KEY", held=True),
            "bob IS NOT WHO THEY WERE: their identity is KEY",
        ),
        (KeyChanged("bob", "D", "removed"), "device D removed"),
        (Linked("D", 2, 30), "linked: 2 people and 30 lines"),
        (Linked("D", problem="the archive is damaged"), "did not come along: the archive is damaged"),
        (IdChanged("i", "j", "bob"), ""),
        (Undecryptable("bob", "D", "i", 1, "malformed", "Bad."), "cannot be shown: Bad."),
        (Typing("bob", "typing"), "bob is typing"),
        (Presence("bob", "offline"), "bob is offline"),
        (Connected(0), "connected"),
        (Disconnected("revoked", final=True), "sign in again"),
        (Missed(0, 1), "older messages are gone"),
        (SentElsewhere("i", "bob", "D", 1, 0), "wrote to bob"),
        (SentElsewhere("i", "bob", "D", 1, 0, content=b"from my phone"), "you to bob from my phone"),
        (SentElsewhere("i", "bob", "D", 1, 0, reason="malformed", detail="Bad."), "wrote to bob Bad."),
        (SentElsewhere("i", "bob", "D", 1, 0, content=encode(Delete(ID)), silent=True), ""),
        (
            MessageReceived("bob", "D", "i", 1, encode(Reaction(ID, "👍")), 0, 0, silent=True),
            "bob [👍 to a message]",
        ),
        (Synced(0), ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Event) else "",
)
async def test_each_event_is_shown(url: str, event: Event, shown: str) -> None:
    client = await Client.register(url, "alice", "a password")
    out = io.StringIO()
    line_chat.Chat(client, Console(file=out, width=200), None).show(event)
    await client.close()
    assert shown in out.getvalue()
    assert "\x1b" not in out.getvalue()


async def test_what_ones_devices_say_about_reading_is_not_shown(url: str) -> None:
    client = await Client.register(url, "alice", "a password")
    out = io.StringIO()
    mark = MessageReceived("alice", "D", "i", 1, encode(ReadUpTo("bob", 7)), 0, 0, silent=True)
    chat.Chat(client, Console(file=out, width=200), None).show(mark)
    await client.close()
    assert out.getvalue() == ""


async def test_devices_are_linked_and_people_compared_by_what_is_typed(url: str) -> None:
    alice = await Client.register(url, "alice", "a password")
    bob = await Client.register(url, "bob", "a password")
    out = io.StringIO()
    typed = line_chat.Chat(alice, Console(file=out, width=200), None)

    async def type_in(line: str) -> str:
        before = len(out.getvalue())
        await typed._line(line)
        return out.getvalue()[before:]

    shown = await type_in("/link")
    assert "roost:link/1/alice/" in shown
    assert "█" in shown
    number = str(await bob.safety_number("alice"))
    shown = await type_in("/safety bob")
    assert f"{number}  (bob is not verified)" in shown
    with pytest.raises(ValueError, match="not the safety number"):
        await type_in(f"/verify bob {number[:-1]}x")
    assert "bob is verified" in await type_in(f"/verify bob {number}")
    assert "(bob is verified)" in await type_in("/safety bob")
    with pytest.raises(ValueError, match="no code"):
        await type_in("/link something else")
    await alice.close()
    await bob.close()


@pytest.mark.parametrize(
    "text",
    [
        "あ\u3000い",  # Japanese: a full-width blank
        "Bonjour\u202f!",  # French: a narrow blank that does not break
        "می\u200cخواهم",  # noqa: RUF001 -- Persian: ZWNJ
        "👨\u200d👩\u200d👧",  # a family: ZWJ
        "क्\u200dष",  # Devanagari: ZWJ
        "e\u0301 \ufe0f \U000e0067",  # a mark, a variation, a tag of a flag
        "\u2067שלום\u2069",  # noqa: RUF001 -- isolates, for text in two directions
        "a\tb",
    ],
)
def test_what_scripts_and_emoji_are_made_of_is_shown(text: str) -> None:
    assert plain(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x00\x07\x1b[2J\x7f\x9b", "\ufffd\ufffd\ufffd[2J\ufffd\ufffd"),
        ("a\rb", "a\ufffdb"),
        ("photo_\u202egnp.exe", "photo_\ufffdgnp.exe"),
        ("a\u2028b\u2029c\nd", "a\nb\nc\nd"),
    ],
)
def test_control_characters_are_replaced(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize("gap", ["\n", "\u2028", "\r\n", " " * 60, "x" * 35])
async def test_no_line_of_a_message_passes_for_one_of_somebody_else(url: str, gap: str) -> None:
    client = await Client.register(url, "alice", "a password")
    out = io.StringIO()
    event = MessageReceived("bob", "D", "i", 1, f"hi{gap}carol you are fired".encode(), 0, 0)
    line_chat.Chat(client, Console(file=out, width=40), None).show(event)
    await client.close()
    first, *others = out.getvalue().splitlines()
    assert first.startswith("bob hi")
    assert others
    assert all(line.startswith("    ") for line in others)


async def _until(test: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not test():
            await asyncio.sleep(0.01)


async def test_a_conversation(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bob = await Client.register(url, "bob", "a password")
    await bob.start()
    typed: asyncio.Queue[str | None] = asyncio.Queue()
    for line in ("nobody hears", "/to x", "/to bob", "/help", "/send nowhere.txt", "//help", "hello bob"):
        typed.put_nowait(line)
    monkeypatch.setattr(line_chat, "_lines", lambda: typed)
    monkeypatch.setattr(opening.getpass, "getpass", lambda _: "a password")
    talk = asyncio.create_task(chat._chat(url, "alice", None, tmp_path, Options(), lines=True))
    heard = []
    async for event in bob.events():
        if isinstance(event, MessageReceived):
            heard.append(event.text)
            if event.text == "hello bob":
                break
    assert heard == ["/help", "hello bob"]
    out = capsys.readouterr().out
    assert "/to NAME, /history" in out
    assert "nowhere.txt: No such file or directory" in out
    await bob.send("alice", content.Text("hello alice", reply_to=event.id))
    await bob.send("alice", content.Reaction(event.id, "👍"))
    await _until(lambda: "[👍 to “hello bob”]" in capsys.readouterr().out)
    for line in ("/history 2", "/search alice", "/history 0"):
        typed.put_nowait(line)
    typed.put_nowait("/quit")
    async with asyncio.timeout(10):
        await talk
    await bob.close()
    shown = [line[line.find(":") + 4 :] for line in capsys.readouterr().out.splitlines() if " 20" in line]
    answer = "[reply to “hello bob”] hello alice"
    assert shown == ["hello bob [👍 bob] ✓", answer, answer]
    assert {path.suffix for path in tmp_path.iterdir()} == {".db", ".lock"}  # noqa: ASYNC240


async def test_a_second_chat_of_the_same_user_is_refused_with_a_sentence(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = hashlib.sha256(url.encode()).hexdigest()[:8]
    keystore = FileKeystore(tmp_path / f"alice-{name}.db")
    first = await Client.register(url, "alice", "a password", keystore=keystore)
    assert await asyncio.to_thread(chat.run, url, "alice", None, str(tmp_path)) == BAD_USAGE
    assert "is in use by another client" in capsys.readouterr().err
    await first.close()
