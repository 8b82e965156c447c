"""A bot that answers every text with the same text: ROOST_BOT_NAME=echo python examples/echo_bot.py."""

from roost.bot import Bot, Message

bot = Bot()


@bot.text
async def echo(message: Message) -> None:  # noqa: D103
    await message.reply(message.text)


if __name__ == "__main__":
    bot.run()
