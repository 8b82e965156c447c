"""One client's WebSocket connection: uvicorn's, with bounds on what a client makes it keep."""

from asyncio import BaseTransport
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.protocol import State

from api.server.connection_counts import ConnectionCounts

_FRAGMENTS: Final = 4_096
"""So many fragments of a message are kept as they came; each costs more than its bytes."""

_TOGETHER: Final = 64 * 1024
"""Bytes; frames that leave together are written once they have more."""


class WebSocketConnection(WebSocketsSansIOProtocol):
    """Reads messages from one socket and hands them to the application."""

    def __init__(self, *args: Any, counts: ConnectionCounts, **how: Any) -> None:
        super().__init__(*args, **how)
        self._counts = counts
        self._counted: str | None = None
        self._pong = b""
        self._gathered = 0

    def connection_made(self, transport: BaseTransport) -> None:
        """Take the socket over from the connection that it began as; there was room for that one."""
        super().connection_made(transport)
        self._counted = self._counts.key_of(self.client[0] if self.client else None)
        self._counts.enter(self._counted)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._counts.leave(self._counted)
        super().connection_lost(exc)

    def handle_ping(self) -> None:
        """Answer a ping; while the client reads nothing, only the last one (RFC 6455, 5.5.3).

        "If an endpoint receives a Ping frame and has not yet sent Pong frame(s) in response to previous
        Ping frame(s), the endpoint MAY elect to send a Pong frame for only the most recently processed
        Ping frame."
        """
        pongs = self.conn.data_to_send()
        if self.writable.is_set():
            self.transport.write(b"".join(pongs))
        elif pongs:
            self._pong = pongs[-1]

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        pong, self._pong = self._pong, b""
        if pong and not self.close_sent:
            self.transport.write(pong)

    def handle_cont(self, event: Frame) -> None:
        """Take a fragment; the parser bounds their bytes, and not their number."""
        super().handle_cont(event)
        if len(self.frames) >= _FRAGMENTS:
            self.frames = [b"".join(self.frames)]

    async def send(self, message: Any) -> None:
        """Send; a frame with ``more`` set leaves with the next one, which the application sends at once.

        What leaves together is one write, and with TLS one record.
        """
        if (
            message["type"] != "websocket.send"
            or self.close_sent
            or self.disconnected
            or self.conn.state is not State.OPEN
            or not self.writable.is_set()
        ):
            await super().send(message)
            return
        text = message.get("text")
        if text is None:
            data = message["bytes"]
            self.conn.send_binary(data)
        else:
            data = text.encode()
            self.conn.send_text(data)
        self._gathered += len(data)
        if not message.get("more") or self._gathered > _TOGETHER:
            self._gathered = 0
            self.transport.write(b"".join(self.conn.data_to_send()))
