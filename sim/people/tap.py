"""A transport that lets a phone see, and disturb, what goes over its connection.

Only what a network can do happens here: connections end, go silent, frames go out twice.
"""

import asyncio
from collections.abc import Callable

from roost.client.effects import Incoming
from roost.client.transport import Transport, TransportClosed
from roost.wire import ClientFrame, Hello, Send

HELD_S = 8.0
"""How long the server is left with a connection that is no longer read."""


class Tap:
    """Wraps one connection.

    Args:
        inner: The connection.
        written: Called with each frame that goes out.
        arrived: Called with each frame that comes in.
        twice: Says whether a send goes out twice, for it.
        linger: Keeps a task until it ends.
    """

    def __init__(
        self,
        inner: Transport,
        written: Callable[[ClientFrame], None],
        arrived: Callable[[Incoming], None],
        twice: Callable[[], bool],
        linger: "Callable[[asyncio.Task[None]], None]",
    ) -> None:
        self._inner = inner
        self._written, self._arrived, self._twice, self._linger = written, arrived, twice, linger
        self._reading: asyncio.Timeout | None = None
        self._broken = self._held = False

    async def open(self, hello: Hello) -> None:
        """Connect."""
        await self._inner.open(hello)

    def write(self, frames: list[ClientFrame]) -> None:
        """Send; some of it twice, none of it when the connection is broken."""
        if self._broken:
            return
        out: list[ClientFrame] = []
        for frame in frames:
            self._written(frame)
            out.append(frame)
            if isinstance(frame, Send) and self._twice():
                self._written(frame)
                out.append(frame)
        self._inner.write(out)

    async def read(self) -> list[Incoming]:
        """Receive, until the connection ends or is broken."""
        if self._broken:
            raise TransportClosed("unavailable", reconnect_after_ms=0)
        try:
            async with asyncio.timeout(None) as self._reading:
                frames = await self._inner.read()
        except TimeoutError:
            raise TransportClosed("unavailable", reconnect_after_ms=0) from None
        finally:
            self._reading = None
        for frame in frames:
            self._arrived(frame)
        return frames

    async def close(self) -> None:
        """Close; a connection that was broken half is left open for a while."""
        if self._held:
            self._linger(asyncio.create_task(self._close_later()))
        else:
            await self._inner.close()

    def cut(self, *, held: bool) -> None:
        """Break the connection.

        Args:
            held: The server is not told: for it the connection stays open, and silent.
        """
        self._broken, self._held = True, held
        if self._reading is not None:
            self._reading.reschedule(0)

    async def _close_later(self) -> None:
        try:
            await asyncio.sleep(HELD_S)
        finally:
            await self._inner.close()
