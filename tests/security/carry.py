"""A program that sends a file to itself through breaking connections, and tells how much memory that took.

    python -m tests.security.carry URL FILE FOLDER

Prints one JSON object: ``sent_s``, ``saved_s``, ``breaks``, ``peak_mb``.
"""

import asyncio
import json
import secrets
import sys
import time
from pathlib import Path

from roost.client import Client, MessageReceived
from sim.faults.proxy import Proxy
from sim.run.memory import peak_mb

_BREAKS = 3


class Network:
    """Breaks every connection at so many places of each transfer."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._next = 1
        self.breaks = 0

    def again(self) -> None:
        self._next = 1

    def __call__(self, done: int, total: int) -> None:
        if self._next <= _BREAKS and done >= total * self._next // (_BREAKS + 1):
            self._next += 1
            self.breaks += 1
            self._proxy.cut()


async def carry(url: str, file: Path, folder: Path) -> dict[str, float]:
    async with Proxy(url.removeprefix("http://")) as proxy:
        near = f"http://{proxy.address}"
        alice, bob = [
            await Client.register(near, f"u{secrets.token_hex(8)}", "a long password") for _ in "ab"
        ]
        await alice.start()
        await bob.start()
        network, began = Network(proxy), time.monotonic()
        await alice.send_file(bob.username, file, progress=network)
        sent_s, began = time.monotonic() - began, time.monotonic()
        async for event in bob.events():
            if isinstance(event, MessageReceived) and event.file is not None:
                network.again()
                await event.file.save(folder, network)
                break
        saved_s = time.monotonic() - began
        await alice.close()
        await bob.close()
    return {"sent_s": sent_s, "saved_s": saved_s, "breaks": network.breaks, "peak_mb": peak_mb()}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(carry(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])))))  # noqa: T201
