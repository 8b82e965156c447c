"""Real servers for tests: started once, from a thread of their own, and faults put in their way."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cluster.local.servers import HOST, Server, ServerSpec, start

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

    def close(self) -> None:
        async def all_stopped() -> None:
            await asyncio.gather(*(server.stop() for server in self._running))

        self._run(all_stopped())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


@dataclass
class Proxy:
    """A TCP proxy: what goes through it can be cut, or its replies lost."""

    target: int
    port: int = 0
    lose_replies: bool = False
    lost: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @contextlib.contextmanager
    def lost_reply(self) -> Iterator[None]:
        """Requests arrive and take effect, replies do not come back: the connection breaks instead."""
        self.lose_replies = True
        try:
            yield
        finally:
            self.lose_replies = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection(HOST, self.target)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, up_writer}
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._copy(reader, up_writer, replies=False))
                both.create_task(self._copy(up_reader, writer, replies=True))
        except* (OSError, ConnectionError):
            pass
        finally:
            for each in (writer, up_writer):
                each.close()
                self._writers.discard(each)

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, replies: bool) -> None:
        while data := await source.read(65536):
            if replies and self.lose_replies:
                self.lost += 1
                break
            sink.write(data)
            await sink.drain()
        raise ConnectionResetError

    def cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()


@contextlib.asynccontextmanager
async def proxied(target: "int | Proxy") -> AsyncIterator[Proxy]:
    """Serve a proxy in front of this loopback port, or this one."""
    proxy = Proxy(target) if isinstance(target, int) else target
    listener = await asyncio.start_server(proxy.serve, HOST, 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
        proxy.cut()
        await asyncio.sleep(0.01)  # the two copying tasks of each connection see their end
