"""The judge of an echo finds what a bot loses, doubles, turns round or makes up."""

import pytest

from roost.bot import Bot, Message
from roost.testing import World
from sim.echo import Found, Plan, play

ODD = {
    "lost": lambda texts: texts[:0],
    "duplicated": lambda texts: texts[-1:] * 2,
    "reordered": lambda texts: texts[-1:] + texts[-2:-1] if len(texts) == 2 else [],
    "unknown": lambda texts: [*texts[-1:], "what?"],
}


async def played(spoilt: str) -> Found:
    """Play with a bot that does this to someone's first two texts."""
    bot, odd = Bot(), list[str]()

    @bot.text
    async def echo(message: Message) -> None:
        answers = [message.text]
        if spoilt and len(odd) < 2 and message.text.startswith("0 "):
            odd.append(message.text)
            answers = ODD[spoilt](odd)
        for each in answers:
            await message.reply(each)

    async with World() as world:
        await world.start(bot, "parrot")
        settle_s = 1.0 if spoilt == "lost" else 30.0
        return await play(Plan("parrot", world.server, 2, 200.0, 0.1, settle_s, seed=2))


async def test_an_honest_echo_holds() -> None:
    found = await played("")
    assert found.holds
    assert found.sent == found.echoed > 5
    assert found.latency_ms["p99"] is not None


@pytest.mark.parametrize("spoilt", ODD)
async def test_what_a_bot_spoils_is_found(spoilt: str) -> None:
    found = await played(spoilt)
    assert not found.holds
    assert {name for name in ODD if getattr(found, name)} == {spoilt}
