"""Real servers for tests, started once, from a thread of their own."""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from cluster.local.servers import Server, ServerSpec, start

T = TypeVar("T")


class Servers:
    """Starts servers in a loop that outlives each test's own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="servers", daemon=True)
        self._thread.start()
        self._running: list[Server] = []

    def start(self, spec: ServerSpec) -> Server:
        server = self._run(start(spec))
        self._running.append(server)
        return server

    def start_all(self, specs: Sequence[ServerSpec]) -> list[Server]:
        """Start servers that need each other to become ready."""

        async def together() -> list[Server]:
            return list(await asyncio.gather(*map(start, specs)))

        servers = self._run(together())
        self._running += servers
        return servers

    def kill(self, server: Server) -> None:
        server.kill()
        self._run(server.wait())

    def ended(self, server: Server) -> int:
        """Wait until it has ended by itself, and return its exit status."""
        return self._run(server.wait())

    def stop(self, server: Server) -> None:
        self._run(server.stop())

    def close(self) -> None:
        async def all_stopped() -> None:
            await asyncio.gather(*(server.stop() for server in self._running))

        self._run(all_stopped())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
