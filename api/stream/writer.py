"""The frames that wait for one client, and the loop that writes them.

What is ready when the loop wakes goes out together: entries of several deliveries become one frame. A client
that does not read is given up.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import structlog

from api.stream import actions as do
from api.stream.frames import closing, merged, message
from roost import wire
from roost.clock import Clock

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

FRAMES_MAX = 4_000
"""Frames that may wait for a client to read."""

STUCK_MS = 15_000
"""How long a client may leave what was written unread."""

_LAST_WORDS_S = 10.0

log = structlog.get_logger(__name__)


class FrameWriter:
    """The outgoing half of one socket.

    Args:
        codec: How frames are written on it.
        send: Takes an ASGI message.
        clock: Unix milliseconds.
    """

    def __init__(self, codec: wire.Codec, send: Send, clock: Clock) -> None:
        self._codec, self._send, self._clock = codec, send, clock
        self._out: list[wire.ServerFrame] = []
        self._shut: do.Shut | None = None
        self._gone = False
        self._wake: asyncio.Future[None] | None = None
        self._patience: asyncio.Timeout | None = None
        self._writing_since_ms = 0
        self._writing: Sequence[wire.ServerFrame] = ()
        self._held = False

    def emit(self, action: do.Emit) -> None:
        """Write this frame after those that wait."""
        self._out.append(action.frame)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
        if len(self._out) > FRAMES_MAX:
            self._give_up()

    def hold(self) -> None:
        """Let frames wait until `release`: the first one is not complete yet."""
        self._held = True

    def release(self) -> None:
        """Write what waits."""
        self._held = False
        self._wake_up()

    def shut(self, action: do.Shut) -> None:
        """Close the socket after the frames that wait, which are held no longer."""
        self._shut, self._held = action, False
        self._wake_up()

    def client_gone(self) -> None:
        """Write nothing more."""
        self._gone = True
        self._wake_up()

    @property
    def queued_bytes(self) -> int:
        """Bytes of the entries that wait here for the client to read."""
        frames = (*self._writing, *self._out)
        entries = (entry for frame in frames if isinstance(frame, wire.Entries) for entry in frame.entries)
        return sum(memoryview(entry).nbytes for entry in entries)

    def stuck_ms(self, now_ms: int) -> int:
        """Return for how long the client has left what was written unread."""
        return max(0, now_ms - self._writing_since_ms) if self._writing_since_ms else 0

    def tick(self, now_ms: int) -> None:
        """Give the client up if it has been reading nothing for too long."""
        if self._writing_since_ms and now_ms - self._writing_since_ms > STUCK_MS:
            self._writing_since_ms = 0
            self._give_up()

    async def run(self) -> bool:
        """Write until the stream is shut or the client is gone; return False if the client does not read."""
        try:
            async with asyncio.timeout(None) as self._patience:
                await self._write()
        except TimeoutError:
            return False
        return True

    async def close_unread(self) -> None:
        """Tell a client that does not read, if it begins to within a moment."""
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._send(closing(do.Shut(4408, "The client does not read what is sent to it.")))
        except (TimeoutError, OSError) as exc:
            log.debug("slow_stream_dropped", error=repr(exc))

    async def _write(self) -> None:
        send, encode = self._send, self._codec.encode
        while not self._gone:
            if self._out and not self._held:
                out, self._out = self._out, []
                self._writing_since_ms, self._writing = self._clock(), out
                frames = tuple(merged(out))
                for number, frame in enumerate(frames, 1):
                    await send(message(encode(frame), text=self._codec.text, more=number < len(frames)))
                self._writing_since_ms, self._writing = 0, ()
            elif self._shut is not None:
                await send(closing(self._shut))
                return
            else:
                self._wake = asyncio.get_running_loop().create_future()
                await self._wake

    def _give_up(self) -> None:
        self._out.clear()
        if self._patience is not None:
            self._patience.reschedule(asyncio.get_running_loop().time())
            self._patience = None  # it can be used up once

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
