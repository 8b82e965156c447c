"""A kit for bots on the SDK: handlers by decorator, a task for each peer, a state for each peer.

    from roost.bot import Bot

    bot = Bot()

    @bot.text
    async def echo(message):
        await message.reply(message.text)

    bot.run()

`bot` is the bot, `handlers` what is called for a message, `filters` the predicates, `message` what a handler
gets, `memory` what is kept. Test it with `roost.testing`.
"""

from roost.bot import filters
from roost.bot.bot import PAUSES_S, Bot
from roost.bot.memory import Failure
from roost.bot.message import Message
from roost.bot.settings import BotStopped, Settings

__all__ = ["PAUSES_S", "Bot", "BotStopped", "Failure", "Message", "Settings", "filters"]
