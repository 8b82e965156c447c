"""Bots, against the real rules in this process."""

import time

from roost.bot import Bot
from roost.testing import World


async def test_an_echo() -> None:
    bot = Bot()

    @bot.text
    async def echo(message) -> None:
        await message.reply(message.text)

    t=time.perf_counter()
    async with World() as world:
        t1=time.perf_counter()
        await world.start(bot)
        t2=time.perf_counter()
        user = await world.user("alice")
        t3=time.perf_counter()
        await user.send("hi")
        assert await user.next() == "hi"
        t4=time.perf_counter()
        await user.send("hi")
        assert await user.next() == "hi"
        t5=time.perf_counter()
        await user.silence()
        t6=time.perf_counter()
        await world.advance(3600)
        t7=time.perf_counter()
    print([round(1000*x) for x in (t1-t,t2-t1,t3-t2,t4-t3,t5-t4,t6-t5,t7-t6, time.perf_counter()-t7)])
