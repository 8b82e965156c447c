"""The frames of one turn of the event loop: they leave together, once the profile is kept as it was then."""

import asyncio
from collections.abc import Callable

from msgspec import Struct

from roost.client.core import Session
from roost.client.transport import Transport
from roost.wire import ClientFrame

Keep = Callable[[], "asyncio.Future[None] | None"]
"""Keeps the profile as it is now; None: it is kept, else a future that is done when it is."""


class _Turn(Struct):
    """What leaves once a turn of the event loop is kept, on the connection of then, and who waits for it."""

    frames: list[ClientFrame]
    transport: Transport | None
    waiting: "asyncio.Future[None] | None"


class Outgoing:
    """Frames that leave at the end of the turn.

    While a turn is being kept, what comes after it gathers, and is kept as one.

    Args:
        session: Says which acknowledgement is due, and whether the stream is open.
        keep: Keeps the profile; nothing leaves before.
    """

    def __init__(self, session: Session, keep: Keep) -> None:
        self._session = session
        self._keep = keep
        self._frames: list[ClientFrame] = []
        self._due: asyncio.Future[None] | None = None
        self._keeping = False
        self._transport: Transport | None = None

    def attach(self, transport: Transport) -> None:
        """Write to this connection from now on."""
        self._transport = transport

    def detach(self) -> None:
        """Forget the connection, and what has not been written to it: the core writes it again."""
        self._transport = None
        self._frames.clear()

    def add(self, frame: ClientFrame) -> None:
        """Have this frame leave with the next flush."""
        self._frames.append(frame)

    def flushed(self) -> asyncio.Future[None]:
        """Return a future that is done once everything so far is kept and handed to the transport."""
        if self._due is None:
            loop = asyncio.get_running_loop()
            self._due = loop.create_future()
            loop.call_soon(self._flush)
        return self._due

    def _flush(self) -> None:
        """Keep the profile, then write; if it cannot be kept, whoever waits gets the error."""
        if self._keeping:
            return  # the end of that one begins the next
        done, self._due = self._due, None
        ack = self._session.ack_due()
        if ack is not None:
            self._frames.append(ack)
        frames, self._frames = self._frames, []
        turn = _Turn(frames, self._transport, done)
        try:
            kept = self._keep()
        except OSError as exc:
            self._failed(turn, exc)
            return
        if kept is None:
            self._leave(turn)
        else:
            self._keeping = True
            kept.add_done_callback(lambda kept: self._kept(turn, kept))

    def _kept(self, turn: _Turn, kept: "asyncio.Future[None]") -> None:
        self._keeping = False
        exc = kept.exception()
        if exc is None:
            self._leave(turn)
        else:
            self._failed(turn, exc)
        if self._due is not None:
            self._flush()

    def _failed(self, turn: _Turn, exc: BaseException) -> None:
        if turn.transport is self._transport:
            self._frames = turn.frames + self._frames
        if turn.waiting is not None and not turn.waiting.done():
            turn.waiting.set_exception(exc)

    def _leave(self, turn: _Turn) -> None:
        transport = turn.transport
        if transport is not None and transport is self._transport and turn.frames and self._session.open:
            transport.write(turn.frames)
        if turn.waiting is not None and not turn.waiting.done():
            turn.waiting.set_result(None)
