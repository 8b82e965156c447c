"""Bots: which handler, in which order, and what becomes of a message, against the real rules."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cluster.local.servers import free_port
from roost.bot import Bot, BotStopped, Message, Settings, filters
from roost.bot import bot as bot_of_kit
from roost.client import Disconnected, MessageReceived, Read, Typing
from roost.client.content import Text
from roost.client.shell.app_queue import AppQueue
from roost.errors import RoostError
from roost.testing import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World() as world:
        yield world


# --- which handler --------------------------------------------------------------------------------


async def test_the_first_handler_that_is_for_a_message_gets_it(world: World, tmp_path: Path) -> None:
    bot = Bot()

    async def is_long(message: Message) -> bool:
        return len(message.text) > 20

    @bot.command("start", "help")
    async def start(message: Message) -> None:
        await message.reply(f"start {message.arguments}")

    @bot.on(filters.regex(r"^(\d+) \+ (\d+)$"), filters.sender("Ann"))
    async def add(message: Message) -> None:
        assert message.match is not None
        await message.reply(str(sum(map(int, message.match.groups()))))

    @bot.on(filters.text, is_long)
    async def too_long(message: Message) -> None:
        await message.reply("that is long", quote=True)

    @bot.on(filters.file)
    async def keep(message: Message) -> None:
        await message.send_file(await message.save_file(tmp_path / "kept"))

    @bot.on(filters.reaction("👍"))
    async def liked(message: Message) -> None:
        await message.reply("thank you")

    @bot.text
    async def rest(message: Message) -> None:
        await message.react("🤷")

    (tmp_path / "notes.txt").write_text("some notes")
    await world.start(bot)
    ann, bob = await world.user("ann"), await world.user("bob")
    await ann.send("/Start now please")
    assert await ann.next() == "start ['now', 'please']"
    await ann.send("/help\nnow")
    assert await ann.next() == "start ['now']"
    await ann.send("/starting")
    assert (await ann.reaction()).emoji == "🤷"
    await ann.send("2 + 3")
    assert await ann.next() == "5"
    asked = await bob.send("2 + 3")
    assert (await bob.reaction()).to == asked
    asked = await ann.send("more than twenty characters")
    answer = await ann.next()
    assert (answer, answer.event.body) == ("that is long", Text("that is long", reply_to=asked))
    await ann.send_file(tmp_path / "notes.txt")
    sent = await ann.next()
    assert sent.event.file is not None
    assert (await sent.event.file.save(tmp_path / "back")).read_text() == "some notes"
    (tmp_path / "notes.txt").write_text("other notes")
    await ann.send_file(tmp_path / "notes.txt")
    await ann.next()
    kept = sorted((tmp_path / "kept").iterdir())
    assert [each.read_text() for each in kept] == ["other notes", "some notes"], (
        "neither takes the other's place"
    )
    await ann.react(sent.event.id, "👎")
    await ann.react(sent.event.id, "👍")
    assert await ann.next() == "thank you"
    await ann.silence()


async def test_whoever_is_answered_sees_the_bot_typing_and_what_it_has_read(world: World) -> None:
    bot = Bot()
    go_on = asyncio.Event()

    @bot.text
    async def think(message: Message) -> None:
        async with message.typing():
            await go_on.wait()

    await world.start(bot)
    ann = await world.user("ann")
    await ann.send("hm?")
    assert (await ann.event(Typing)).state == "typing"
    go_on.set()
    assert (await ann.event(Typing)).state == "paused"
    await world.quiet()
    assert (await ann.event(Read)).peer == "bot"


# --- in which order -------------------------------------------------------------------------------


async def test_a_slow_answer_holds_up_its_peer_and_no_one_else(world: World) -> None:
    bot, go_on = Bot(), asyncio.Event()

    @bot.on(filters.regex("slow"))
    async def slow(message: Message) -> None:
        await go_on.wait()
        await message.reply("at last")

    @bot.text
    async def fast(message: Message) -> None:
        await message.reply(message.text)

    await world.start(bot)
    ann, bob = await world.user("ann"), await world.user("bob")
    for text in ("slow", "1", "2"):
        await ann.send(text)
    await bob.send("hi")
    assert await bob.next() == "hi"
    await ann.silence()
    go_on.set()
    assert [await ann.next() for _ in range(3)] == ["at last", "1", "2"]


async def test_no_more_messages_are_in_hand_than_a_stream_brings(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bot_of_kit, "_IN_HAND", 3)
    bot, go_on, most = Bot(), asyncio.Event(), 0

    @bot.text
    async def count(message: Message) -> None:
        nonlocal most
        most = max(most, len(bot._tasks))
        await go_on.wait()
        most = max(most, len(bot._tasks))
        await message.reply(message.text)

    await world.start(bot)
    ann = await world.user("ann")
    for text in "12345":
        await ann.send(text)
    await world.quiet()
    go_on.set()
    assert [await ann.next() for _ in range(5)] == [*"12345"]
    assert most == 3


async def test_a_slow_hook_holds_up_no_message(world: World) -> None:
    bot, told = Bot(), list[str]()

    @bot.on_event
    async def slow(event: Any) -> None:
        told.append(type(event).__name__)
        await asyncio.sleep(30)

    @bot.text
    async def echo(message: Message) -> None:
        await message.reply(message.text)

    await world.start(bot)
    ann = await world.user("ann")
    await ann.send("hi")
    assert await ann.next() == "hi"
    assert told == ["Connected"], "hooks are called in the order of events"
    await world.advance(31)
    assert told[:2] == ["Connected", "Synced"]


async def test_no_more_handlers_run_at_once_than_are_allowed(world: World) -> None:
    bot, running, most, go_on = Bot(at_once=2), 0, 0, asyncio.Event()

    @bot.text
    async def count(_: Message) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go_on.wait()
        running -= 1

    await world.start(bot)
    people = [await world.user(name) for name in ("ann", "bob", "cat", "dan")]
    for each in people:
        await each.send("hi")
    await world.quiet()
    assert running == most == 2
    go_on.set()
    await world.quiet()
    assert (running, most) == (0, 2)


# --- what becomes of a message --------------------------------------------------------------------


async def test_a_handler_that_fails_is_called_again_and_then_the_message_is_put_aside(world: World) -> None:
    bot, told, fault = Bot(pauses_s=(5, 10)), list[str](), [RuntimeError("no luck")]

    @bot.text
    async def count(message: Message) -> None:
        message.state["seen"] = [*message.state.get("seen", []), message.text]
        if message.text == "bad" and fault:
            raise fault[0]
        await message.reply(str(message.state["seen"]))

    @bot.on_error
    async def apologise(message: Message, exc: Exception) -> None:
        told.append(f"{message.text}: {exc}")
        raise ValueError("a hook that fails does no harm")

    await world.start(bot)
    ann = await world.user("ann")
    for text in ("good", "bad", "after"):
        await ann.send(text)
    assert await ann.next() == "['good']"
    await ann.silence()
    assert told == ["bad: no luck"], "the second attempt comes after a pause"
    await world.advance(5)
    assert told == ["bad: no luck"] * 2
    await world.advance(10)
    assert told == ["bad: no luck"] * 3
    assert await ann.next() == "['good', 'after']", "what a failed attempt did to the state is undone"
    [failure] = await bot.failures()
    assert (failure.event.text, failure.reason) == ("bad", "RuntimeError('no luck')")
    with pytest.raises(RuntimeError):
        await bot.retry(failure)
    assert await bot.failures() == [failure]
    fault.clear()
    await bot.retry(failure)
    assert await ann.next() == "['good', 'after', 'bad']"
    assert await bot.failures() == []


async def test_a_state_that_cannot_be_kept_is_the_handlers_failure(world: World) -> None:
    bot = Bot(pauses_s=())

    @bot.text
    async def wrong(message: Message) -> None:
        message.state["at"] = object()

    await world.start(bot)
    ann = await world.user("ann")
    await ann.send("hi")
    await world.quiet()
    assert "not JSON serializable" in (await bot.failures())[0].reason
    assert await bot.states() == {}


async def test_a_handler_that_takes_too_long_has_failed(world: World) -> None:
    bot = Bot(patience_s=30, pauses_s=())

    @bot.on(filters.regex("forever"))
    async def hang(_: Message) -> None:
        await asyncio.Event().wait()

    @bot.text
    async def echo(message: Message) -> None:
        await message.reply(message.text)

    await world.start(bot)
    ann = await world.user("ann")
    await ann.send("forever")
    await ann.send("hi")
    await ann.silence()
    await world.advance(31)
    assert await ann.next() == "hi"
    assert [each.reason for each in await bot.failures()] == ["TimeoutError()"]


async def test_what_was_not_handled_to_the_end_comes_again_and_what_was_does_not(
    world: World, tmp_path: Path
) -> None:
    lives: list[list[tuple[str, str]]] = []
    begun, go_on = asyncio.Event(), asyncio.Event()

    def made() -> Bot:
        bot, seen = Bot(), list[tuple[str, str]]()
        lives.append(seen)

        @bot.text
        async def remember(message: Message) -> None:
            seen.append((message.text, message.id))
            message.state["count"] = message.state.get("count", 0) + 1
            if message.text == "slow":
                begun.set()
                await go_on.wait()
            await message.reply(str(message.state["count"]))

        return bot

    bot = made()
    await world.start(bot, data=tmp_path)
    ann = await world.user("ann")
    for text in ("one", "slow", "three"):
        await ann.send(text)
    assert await ann.next() == "1"
    await begun.wait()
    assert [text for text, _ in lives[0]] == ["one", "slow"]
    await world.stop(bot)
    go_on.set()
    again = made()
    await world.start(again, data=tmp_path)
    assert [await ann.next() for _ in range(2)] == ["2", "3"]
    assert [text for text, _ in lives[1]] == ["slow", "three"]
    assert lives[1][0] == lives[0][1], "the id is the same"
    await ann.silence()


async def test_a_message_that_is_done_is_not_handled_again_if_that_was_not_acknowledged(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bot = Bot()

    @bot.text
    async def count(message: Message) -> None:
        message.state["count"] = message.state.get("count", 0) + 1
        await message.reply(str(message.state["count"]))

    with monkeypatch.context() as patched:
        patched.setattr(AppQueue, "_take", lambda *_: None)  # as if the process died before it is said
        await world.start(bot, data=tmp_path)
        ann = await world.user("ann")
        await ann.send("hi")
        assert await ann.next() == "1"
        await world.stop(bot)
    await world.start(bot, data=tmp_path)
    await ann.silence()
    await ann.send("hi again")
    assert await ann.next() == "2"


async def test_what_is_known_of_a_peer_is_changed_in_turn(world: World) -> None:
    bot, go_on = Bot(), asyncio.Event()

    @bot.text
    async def slow(message: Message) -> None:
        await go_on.wait()
        message.state["texts"] = [*message.state.get("texts", []), message.text]

    await world.start(bot)
    ann = await world.user("ann")
    await ann.send("one")
    await world.quiet()

    async def beside() -> None:
        async with bot.state("ann") as state:
            state["texts"] = [*state["texts"], "beside"]

    changing = asyncio.ensure_future(beside())
    await world.quiet()
    assert not changing.done()
    go_on.set()
    await changing
    assert await bot.states() == {"ann": {"texts": ["one", "beside"]}}


async def test_a_memory_that_cannot_be_written_ends_the_bot_and_acknowledges_nothing(
    world: World, tmp_path: Path
) -> None:
    bot, go_on, begun = Bot(), asyncio.Event(), list[str]()

    @bot.text
    async def note(message: Message) -> None:
        begun.append(message.text)
        await go_on.wait()
        message.state["texts"] = [*message.state.get("texts", []), message.text]

    await world.start(bot, data=tmp_path)
    ann = await world.user("ann")
    for text in ("one", "two"):
        await ann.send(text)
    await world.quiet()
    bot._known._database._connection.execute("PRAGMA query_only=ON")
    go_on.set()
    with pytest.raises(OSError, match=r"memory\.db: attempt to write a readonly database"):
        await bot.ended()
    await world.quiet()
    assert begun == ["one"], "the next one would pass it"
    await world.stop(bot)
    await world.start(bot, data=tmp_path)
    await world.quiet()
    assert await bot.states() == {"ann": {"texts": ["one", "two"]}}


def received(seq: int, peer: str = "ann") -> MessageReceived:
    return MessageReceived(peer, "PHONE", f"id-{seq}", seq, b"", 0, 0)


async def test_no_message_passes_one_that_could_not_be_kept(world: World, tmp_path: Path) -> None:
    bot, go_on, begun = Bot(), asyncio.Event(), list[str]()

    @bot.text
    async def note(message: Message) -> None:
        begun.append(message.text)
        await go_on.wait()

    await world.start(bot, data=tmp_path)
    ann = await world.user("ann")
    first, _ = [await ann.send(text) for text in ("one", "two")]
    await world.quiet()
    refused = f"WHEN new.id = '{first}' BEGIN SELECT RAISE(ABORT, 'no'); END"
    bot._known._database._connection.execute(
        f"CREATE TEMP TRIGGER t BEFORE INSERT ON peers {refused}"
    ).close()
    go_on.set()
    with pytest.raises(ValueError, match=r"memory\.db: no"):
        await bot.ended()
    await world.quiet()
    assert begun == ["one"]
    await world.stop(bot)
    await world.start(bot, data=tmp_path)
    await world.quiet()
    assert begun == ["one", "one", "two"]


async def test_events_are_taken_in_order_whatever_the_order_of_the_calls() -> None:
    taken: list[int] = []
    queue = AppQueue(None, taken.append)
    for seq in (1, 2, 3):
        queue.put(received(seq), seq)
    queue.put(None, 4)
    queue.end()
    calls = [call async for _, call in queue.pending()]
    assert taken == []
    calls[1]()
    assert taken == []
    calls[0]()
    assert taken == [1, 2]
    queue.put(None, 5)
    assert taken == [1, 2], "what comes later does not pass what is open"
    calls[2]()
    assert taken == [1, 2, 3, 4]


# --- its life -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_lets_what_has_begun_end(world: World, number: signal.Signals) -> None:
    bot, begun, go_on = Bot(Settings(world.server, "bot")), asyncio.Event(), asyncio.Event()

    @bot.text
    async def slow(message: Message) -> None:
        begun.set()
        await go_on.wait()
        await message.reply("done")

    running = asyncio.ensure_future(bot._until_told())
    ann = await world.user("ann")
    await world.quiet()
    await ann.send("hi", to="bot")
    await begun.wait()
    os.kill(os.getpid(), number)
    while not bot._ending:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.02)  # in which nothing is to happen
    assert not running.done()
    go_on.set()
    await running
    assert await ann.next() == "done"


async def test_a_loop_runs_beside_the_handlers_and_its_fault_ends_the_bot(world: World) -> None:
    bot, ticks = Bot(), list[int]()

    @bot.loop
    async def once() -> None:
        """Come to an end, which ends nothing else."""

    @bot.loop
    async def tick() -> None:
        while len(ticks) < 3:
            await asyncio.sleep(10)
            ticks.append(world.now_ms())
        raise RuntimeError("enough")

    await world.start(bot)
    began_ms = world.now_ms()
    await world.advance(25)
    assert [round((at - began_ms) / 10_000) for at in ticks] == [1, 2]
    await world.advance(10)
    with pytest.raises(RuntimeError, match="enough"):
        await bot.ended()


async def test_a_bot_that_was_signed_out_says_so(world: World) -> None:
    bot, heard = Bot(), list[Any]()

    @bot.on_event
    async def hear(event: Any) -> None:
        heard.append(event)

    await world.start(bot)
    await world.quiet()
    await bot.client.api.call("DELETE", f"/v1/devices/{bot.client.profile.device_id}")
    with pytest.raises(BotStopped, match="revoked"):
        async with asyncio.timeout(5):
            await bot.ended()
    assert [type(each).__name__ for each in heard[:1]] == ["Connected"]
    assert not any(isinstance(each, Disconnected) for each in heard)


async def test_a_new_folder_of_an_old_account_needs_the_password(world: World, tmp_path: Path) -> None:
    bot = Bot()
    await world.start(bot, "echo", data=tmp_path / "one")
    await world.start(Bot(), "echo", data=tmp_path / "two")
    with pytest.raises(BotStopped, match="there is an account 'echo' already: give its password"):
        await Bot(Settings(world.server, "echo")).start()
    with pytest.raises(RoostError, match="password is wrong"):
        await Bot(Settings(world.server, "echo", "not this one")).start()


async def test_a_password_by_chance_is_kept_where_the_keys_are_lost(world: World, tmp_path: Path) -> None:
    settings = Settings(world.server, "echo", data=tmp_path)
    for _ in range(2):
        bot = Bot(settings)
        await bot.start()
        await world.quiet()
        await bot.stop()
        (tmp_path / "keys.db").unlink()


async def test_a_bot_that_was_signed_out_signs_in_with_its_next_start(world: World, tmp_path: Path) -> None:
    bot = Bot(Settings(world.server, "echo", data=tmp_path))
    devices = []
    for _ in range(2):
        await bot.start()
        await world.quiet()
        devices.append(bot.client.profile.device_id)
        await bot.client.api.call("DELETE", "/v1/sessions/current")
        with pytest.raises(BotStopped, match="start it again"):
            async with asyncio.timeout(5):
                await bot.ended()
        await bot.stop()
    assert devices[0] == devices[1]


async def test_a_folder_is_that_of_one_bot(world: World, tmp_path: Path) -> None:
    bot = Bot()
    await world.start(bot, "echo", data=tmp_path)
    with pytest.raises(BotStopped, match=r"memory\.db is in use"):
        await Bot(Settings(world.server, "echo", data=tmp_path)).start()
    await world.stop(bot)
    with pytest.raises(BotStopped, match=f"is the folder of 'echo' at {world.server}, not of 'other'"):
        await Bot(Settings(world.server, "other", data=tmp_path)).start()
    with pytest.raises(BotStopped, match=r"not of 'echo' at https://chat\.example\.org"):
        await Bot(Settings("https://chat.example.org", "echo", data=tmp_path)).start()


async def test_a_bot_that_is_not_running_says_so() -> None:
    for ask in (Bot().states, Bot().failures):
        with pytest.raises(BotStopped, match="the bot is not running"):
            await ask()
    with pytest.raises(BotStopped, match=r"belongs into @bot\.loop"):
        await Bot().send("ann", "hi")


def test_settings_come_from_the_environment() -> None:
    given = {"ROOST_SERVER": "https://chat.example.org", "ROOST_BOT_NAME": "echo", "ROOST_BOT_DATA": "/d"}
    assert Settings.from_environment(given | {"ROOST_BOT_PASSWORD": "secret"}) == Settings(
        "https://chat.example.org", "echo", "secret", Path("/d")
    )
    assert Settings.from_environment({}) == Settings(data=Path("bot-data"))


def test_a_bot_whose_memory_is_something_else_says_so(tmp_path: Path) -> None:
    (tmp_path / "memory.db").write_text("the words of a poem, long enough to be no database at all")
    with pytest.raises(SystemExit, match=r"The bot has stopped: .*memory\.db: file is not a database"):
        Bot(Settings(data=tmp_path)).run()


@pytest.mark.parametrize(
    ("server", "name", "why"),
    [
        ("", "bot", "is not responding"),
        ("127.0.0.1:8080", "bot", "'127.0.0.1:8080' is no address of a server: it begins with http"),
        ("nonsense", "bot", "'nonsense' is no address of a server: it begins with http"),
        ("", "My Bot!", r"as 'My Bot!' \(ROOST_BOT_NAME\) it cannot sign in: a username is 3-32"),
    ],
)
def test_a_bot_that_cannot_sign_in_says_why_in_a_sentence(
    tmp_path: Path, server: str, name: str, why: str
) -> None:
    bot = Bot(Settings(server or f"http://127.0.0.1:{free_port()}", name, data=tmp_path))
    with pytest.raises(SystemExit, match=f"The bot has stopped: .*{why}"):
        bot.run()


# --- what a program may get wrong -----------------------------------------------------------------


def test_a_handler_that_is_no_coroutine_function_is_refused() -> None:
    bot = Bot()

    def echo(_: Any) -> None:
        """Forget that it is to wait for its answer."""

    for decorate in (bot.text, bot.on(filters.file), bot.on_error, bot.on_event, bot.loop):
        with pytest.raises(TypeError, match="echo has to be a function of `async def`"):
            decorate(echo)


async def test_a_decorator_without_its_parentheses_is_refused() -> None:
    bot: Any = Bot()
    with pytest.raises(TypeError, match="a command is called by a word"):

        @bot.command
        async def start(_: Message) -> None: ...

    @bot.on
    async def echo(_: Message) -> None: ...

    with pytest.raises(TypeError, match=r"on\(echo\) has no handler: write @bot.on"):
        await bot.start()


@pytest.mark.parametrize("wrong", [(), ("two words",), ("",)])
def test_a_command_that_no_one_can_give_is_refused(wrong: tuple[str, ...]) -> None:
    with pytest.raises(TypeError, match="a command is called by a word"):
        filters.command(*wrong)


async def test_what_cannot_be_sent_is_the_handlers_failure_and_says_what_can(world: World) -> None:
    bot: Any = Bot(pauses_s=())

    @bot.text
    async def count(message: Any) -> None:
        await message.reply(len(message.text))

    await world.start(bot)
    ann = await world.user("ann")
    await ann.send("hi")
    await world.quiet()
    assert "a message is text, bytes or a kind of" in (await bot.failures())[0].reason


async def test_the_state_is_not_waited_for_where_it_is_at_hand(world: World) -> None:
    bot = Bot(pauses_s=())

    @bot.text
    async def count(message: Message) -> None:
        async with bot.state(message.peer):
            """Would wait for this very handler to end."""

    await world.start(bot)
    ann = await world.user("ann")
    await ann.send("hi")
    await world.quiet()
    assert "has its state: message.state" in (await bot.failures())[0].reason
