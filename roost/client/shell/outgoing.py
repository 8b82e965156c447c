"""The frames of one turn of the event loop: they leave together, after one save of the profile."""

import asyncio
from collections.abc import Callable

from roost.client.core import Session
from roost.client.transport import Transport
from roost.wire import ClientFrame


class Outgoing:
    """Frames that leave at the end of the turn.

    Args:
        session: Says which acknowledgement is due, and whether the stream is open.
        save: Keeps the profile; nothing leaves before it has returned.
    """

    def __init__(self, session: Session, save: Callable[[], None]) -> None:
        self._session = session
        self._save = save
        self._frames: list[ClientFrame] = []
        self._due: asyncio.Future[None] | None = None
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
        """Return a future that is done once everything so far is saved and handed to the transport."""
        if self._due is None:
            loop = asyncio.get_running_loop()
            self._due = loop.create_future()
            loop.call_soon(self.flush)
        return self._due

    def flush(self) -> None:
        """Save the profile, then write; if saving fails, whoever waits gets the error."""
        done, self._due = self._due, None
        ack = self._session.ack_due()
        if ack is not None:
            self._frames.append(ack)
        frames, self._frames = self._frames, []
        try:
            self._save()
        except OSError as exc:
            self._frames = frames + self._frames
            if done is not None and not done.done():
                done.set_exception(exc)
            return
        if self._transport is not None and frames and self._session.open:
            self._transport.write(frames)
        if done is not None and not done.done():
            done.set_result(None)
