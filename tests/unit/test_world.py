"""Worlds of tests: the clock, the people, and what a test is told when it does not hold."""

import asyncio

import pytest
import uvloop

from roost.bot import Bot, Message
from roost.client import Disconnected
from roost.testing import World
from roost.testing.clock import BEGINNING
from storage.cluster_rows import DeadLetter

DAY_S = 86_400


async def test_timers_go_off_in_order_when_their_time_has_come_and_not_before() -> None:
    async with World() as world:
        began_ms, rang = world.now_ms(), list[tuple[int, int]]()
        assert abs(began_ms - BEGINNING.timestamp() * 1000) < 5_000

        async def ring(after_s: int) -> None:
            await asyncio.sleep(after_s)
            rang.append((after_s, round((world.now_ms() - began_ms) / 1000)))

        tasks = [asyncio.ensure_future(ring(after_s)) for after_s in (3600, 10, 600, 7200)]
        await world.advance(599)
        assert [after_s for after_s, _ in rang] == [10]
        await world.advance(6000)
        assert [after_s for after_s, _ in rang] == [10, 600, 3600]
        assert all(after_s <= at_s <= after_s + 6000 / 32 + 2 for after_s, at_s in rang)
        await world.advance(1000)
        await asyncio.gather(*tasks)
    real_s = asyncio.get_running_loop().time()
    await asyncio.sleep(0.01)
    assert asyncio.get_running_loop().time() - real_s < 5, "the event loop has its own time again"


async def test_sessions_and_connections_last_over_days() -> None:
    async with World() as world:
        ann, bob = await world.user("ann"), await world.user("bob")
        for day in range(2):
            await world.advance(DAY_S)
            await ann.send(f"day {day}", to="bob")
            assert await bob.next() == f"day {day}"
            assert ann.client.connected
        assert not [each for each in ann._ears._heard if isinstance(each, Disconnected) and each.final]


async def test_a_test_that_does_not_hold_is_told_what_came() -> None:
    bot = Bot()

    @bot.text
    async def echo(message: Message) -> None:
        await message.reply(message.text)

    async with World() as world:
        await world.start(bot)
        ann = await world.user("ann")
        with pytest.raises(AssertionError, match=r"no MessageReceived came within 0.01 s, only \['Connected"):
            await ann.next(within_s=0.01)
        await ann.send("hi")
        with pytest.raises(AssertionError, match="ann was sent 'hi', and there was to be silence"):
            await ann.silence()


async def test_a_record_that_the_host_could_not_handle_fails_the_test() -> None:
    with pytest.raises(AssertionError, match="a fault of Roost"):
        async with World() as world:
            world._store.dead_letters.append(DeadLetter("mailbox", 0, 7, "why", b"", 1))


def test_a_loop_that_keeps_its_own_time_is_refused() -> None:
    async def enter() -> None:
        async with World():
            """Not reached."""

    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        pytest.raises(TypeError, match="uvloop"),
    ):
        runner.run(enter())
