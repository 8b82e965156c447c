"""A bridge between messages and HTTP, both ways.

What is written to the bot is posted to a webhook as {"id", "from", "text"}; an answer {"reply": "..."} goes
back. While the webhook is away the bot tries again, with the same id. And whoever has the secret sends:

curl -H "Authorization: Bearer SECRET" -d '{"to": "alice", "text": "the build is green"}' 127.0.0.1:8081/send

ROOST_BOT_NAME=bridge python examples/webhook_bridge.py --webhook http://127.0.0.1:9000/ --secret-file secret
"""

import argparse
import asyncio
import hmac
from pathlib import Path

import aiohttp
from aiohttp import web

from roost.bot import Bot, Message

WITHIN = aiohttp.ClientTimeout(total=20)


def bridge(webhook: str, secret: str, port: int) -> Bot:
    """Make the bot; it listens on the loopback address."""
    bot = Bot(pauses_s=(1, 10, 60, 600))

    @bot.text
    async def forward(message: Message) -> None:
        said = {"id": message.id, "from": message.peer, "text": message.text}
        async with (
            aiohttp.ClientSession(raise_for_status=True, timeout=WITHIN) as http,
            http.post(webhook, json=said, headers={"Idempotency-Key": message.id}) as answer,
        ):
            if answer.content_type == "application/json" and (reply := (await answer.json()).get("reply")):
                await message.reply(str(reply))

    async def send(request: web.Request) -> web.Response:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), secret.encode()):
            return web.json_response({"error": "the secret is missing or wrong"}, status=401)
        try:
            asked = await request.json()
            message_id = await bot.send(str(asked["to"]), str(asked["text"]))
        except (ValueError, KeyError, TypeError) as exc:
            return web.json_response({"error": f"to and text are needed ({exc})"}, status=400)
        return web.json_response({"id": message_id}, status=202)

    @bot.loop
    async def listen() -> None:
        app = web.Application()
        app.router.add_post("/send", send)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    return bot


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Bridge messages and HTTP.")
    parser.add_argument("--webhook", required=True, metavar="URL")
    parser.add_argument("--secret-file", required=True, type=Path, metavar="FILE")
    parser.add_argument("--port", type=int, default=8081)
    chosen = parser.parse_args()
    bridge(chosen.webhook, chosen.secret_file.read_text().strip(), chosen.port).run()
