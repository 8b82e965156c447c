"""A bot that answers every message with the same text; it keeps its identity across restarts.

python examples/echo_bot.py [--server http://127.0.0.1:8080] [--as echo] [--keys echo.json]
"""

import argparse
import asyncio
import secrets
from pathlib import Path

from roost.client import Client, Connected, Failed, FileKeystore, MessageReceived


async def sign_in(server: str, username: str, keys: Path) -> Client:
    """Continue with the keys in the file; make an account and keys if there is no such file."""
    keystore = FileKeystore(keys)
    if keystore.load() is not None:
        return Client.resume(keystore)
    return await Client.register(server, username, secrets.token_urlsafe(24), keystore=keystore)


async def main(server: str, username: str, keys: Path) -> None:
    """Echo until Ctrl-C."""
    client = await sign_in(server, username, keys)
    await client.start()
    try:
        async for event in client.events():
            match event:
                case Connected():
                    print(f"{client.username} is connected", flush=True)
                case MessageReceived(peer=peer, seq=seq, silent=False):
                    # What is silent (a reaction, an edit) is no message to answer. This one counts as
                    # taken when the next event is asked for: after a crash in between, it comes again and is
                    # answered again.
                    await client.mark_read(peer, seq)
                    await client.send(peer, event.text)
                case Failed(peer=peer, detail=detail):
                    print(f"not sent to {peer}: {detail}", flush=True)
    finally:
        await client.close()


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Answer every message with the same text.")
    parser.add_argument("--server", default="http://127.0.0.1:8080")
    parser.add_argument("--as", dest="username", default="echo")
    parser.add_argument("--keys", type=Path, default=Path("echo.json"))
    return parser.parse_args()


if __name__ == "__main__":
    chosen = options()
    try:
        asyncio.run(main(chosen.server, chosen.username, chosen.keys))
    except KeyboardInterrupt:
        print("stopped")
