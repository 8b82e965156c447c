"""A bot that reminds: write it "remind me in 10 minutes to stretch". It keeps what it knows over restarts.

ROOST_BOT_NAME=reminder python examples/reminder_bot.py
"""

import asyncio
import re
from contextlib import suppress

from roost.bot import Bot, Message, filters

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}
ASKED = re.compile(r"^remind me in (\d{1,6}) (second|minute|hour|day)s? to (.+)$", re.IGNORECASE | re.DOTALL)


def reminder() -> Bot:
    """Make the bot."""
    bot = Bot()
    waiting: set[tuple[int, str]] = set()
    changed = asyncio.Event()

    @bot.on(filters.regex(ASKED))
    async def remember(message: Message) -> None:
        assert message.match is not None
        number, unit, what = message.match.groups()
        due_ms = message.event.at_ms + int(number) * SECONDS[unit.lower()] * 1000
        message.state.setdefault("due", []).append([due_ms, what])
        waiting.add((due_ms, message.peer))
        changed.set()
        await message.reply(f"I will, in {number} {unit}{'' if number == '1' else 's'}.")

    @bot.command("list")
    async def list_(message: Message) -> None:
        due = sorted(message.state.get("due", []))
        await message.reply("\n".join(f"• {what}" for _, what in due) or "There is nothing to remind you of.")

    @bot.text
    async def explain(message: Message) -> None:
        await message.reply('Write "remind me in 10 minutes to stretch", or /list.')

    @bot.loop
    async def remind() -> None:
        for peer, state in (await bot.states()).items():
            waiting.update((due_ms, peer) for due_ms, _ in state.get("due", []))
        while True:
            changed.clear()
            now_ms = bot.client.now_ms()
            for due_ms, peer in sorted(each for each in waiting if each[0] <= now_ms):
                await tell(peer, now_ms)
                waiting.discard((due_ms, peer))
            pause_s = (min(waiting)[0] - now_ms) / 1000 if waiting else None
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await changed.wait()

    async def tell(peer: str, now_ms: int) -> None:
        async with bot.state(peer) as state:  # once the handler that may be at it has ended
            due = sorted(state.get("due", []))
            for _, what in (each for each in due if each[0] <= now_ms):
                await bot.send(peer, f"⏰ {what}")
            state["due"] = [each for each in due if each[0] > now_ms]

    return bot


if __name__ == "__main__":
    reminder().run()
