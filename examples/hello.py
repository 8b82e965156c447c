"""Two users exchange a message, and the sender sees it delivered and read.

python examples/hello.py [http://127.0.0.1:8080]
"""

import asyncio
import secrets
import sys

from roost.client import Accepted, Client, Delivered, MessageReceived, Read
from roost.errors import RoostError

PATIENCE_S = 30


async def main(server: str) -> None:
    """Make two accounts and let them talk."""
    tail = secrets.token_hex(3)
    alice = await Client.register(server, f"alice_{tail}", secrets.token_urlsafe(12))
    bob = await Client.register(server, f"bob_{tail}", secrets.token_urlsafe(12))
    await alice.start()
    await bob.start()
    try:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(send(alice, bob.username), receive(bob))
    finally:
        await alice.close()
        await bob.close()


async def send(client: Client, to: str) -> None:
    """Send one message and show what the server says about it, until it is read."""
    message_id = await client.send(to, "Are you home?")
    async for event in client.events():
        match event:
            case Accepted(id=known, seq=seq) if known == message_id:
                print(f"accepted: number {seq} in the mailbox of {to}")
            case Delivered(peer=peer, seq=seq):
                print(f"delivered: {peer} has everything up to {seq}")
            case Read(peer=peer, seq=seq):
                print(f"read: {peer} has read everything up to {seq}")
                return


async def receive(client: Client) -> None:
    """Show the first message and mark it as read."""
    async for event in client.events():
        if isinstance(event, MessageReceived):
            print(f"received from {event.peer}: {event.text}")
            await client.mark_read(event.peer, event.seq)
            return


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"))
    except RoostError as exc:
        sys.exit(str(exc))
