"""The WebSocket transport."""

import asyncio
from collections import deque

import aiohttp
import msgspec

from roost.client.effects import Batch, Incoming
from roost.client.transport.port import LAST_WRITES_S, TransportClosed, decode_entries
from roost.codes import CODES
from roost.wire import CODECS, Bye, ClientFrame, Entries, Hello

_FIRST_FINAL = 4500
_LAST_FINAL = 4999
_TOO_BIG = 1009
_CONNECT_S = 15.0
_HEARTBEAT_S = 30.0
MAX_SERVER_FRAME = 64 * 1024 * 1024
"""Bytes of one frame of the server that are read."""

_WORDS = {code.close: code.word for code in CODES.values() if code.close is not None}


class StreamTransport:
    """The WebSocket of the contract.

    Args:
        http: Connection pool.
        server: Base URL.
        subprotocol: ``roost.v1.msgpack`` or ``roost.v1.json``.
    """

    def __init__(self, http: aiohttp.ClientSession, server: str, subprotocol: str) -> None:
        self._http = http
        self._url = server.rstrip("/") + "/v1/stream"
        self._subprotocol = subprotocol
        self._codec = CODECS[subprotocol]
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._pending: deque[ClientFrame] = deque()
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._bye: Bye | None = None
        self._closing = False

    async def open(self, hello: Hello) -> None:
        """Connect, and send the hello with the token in it."""
        try:
            async with asyncio.timeout(_CONNECT_S):
                self._socket = await self._http.ws_connect(
                    self._url,
                    protocols=(self._subprotocol,),
                    compress=0,
                    heartbeat=_HEARTBEAT_S,
                    max_msg_size=MAX_SERVER_FRAME,
                )
        except aiohttp.WSServerHandshakeError as exc:
            # The token goes with the hello: whatever status this is, it says nothing about the session.
            raise TransportClosed("handshake") from exc
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            raise TransportClosed("unavailable") from exc
        self.write([hello])
        self._writer = asyncio.create_task(self._write_all(self._socket))

    def write(self, frames: list[ClientFrame]) -> None:
        """Queue frames for the one writer."""
        self._pending.extend(frames)
        self._wake.set()

    async def read(self) -> list[Incoming]:
        """Wait for one frame of the server."""
        if self._socket is None:
            raise TransportClosed("unavailable")
        while True:
            message = await self._socket.receive()
            if message.type not in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT):
                if self._writer is not None and self._writer.done():
                    self._writer.result()  # a fault of this program: whoever reads is told
                raise self._closed(self._socket.close_code)
            data = message.data.encode() if isinstance(message.data, str) else message.data
            frames = self._decode(data)
            if frames:
                return frames

    async def close(self) -> None:
        """Write what is queued, for a second at most, and close the socket."""
        if self._writer is not None:
            self._closing = True
            self._wake.set()
            await asyncio.wait([self._writer], timeout=LAST_WRITES_S)
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()

    def _decode(self, data: bytes) -> list[Incoming]:
        try:
            frame = self._codec.decode_server(data)
        except msgspec.ValidationError:
            return []  # A frame of a later version: unknown types are ignored, like unknown fields.
        except (ValueError, RecursionError) as exc:
            raise TransportClosed("bad_frame", reconnect_after_ms=5000) from exc
        if isinstance(frame, Bye):
            self._bye = frame
            return []
        return [frame] if not isinstance(frame, Entries) else [self._batch(frame)]

    def _batch(self, frame: Entries) -> Batch:
        try:
            return decode_entries(self._codec, frame.entries)
        except ValueError as exc:
            raise TransportClosed("bad_frame", reconnect_after_ms=5000) from exc

    async def _write_all(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        send = socket.send_bytes
        while not self._closing or self._pending:
            await self._wake.wait()
            self._wake.clear()
            try:
                while self._pending:
                    data = self._codec.encode(self._pending.popleft())
                    if self._codec.text:
                        await socket.send_str(data.decode())
                    else:
                        await send(data)
            except (aiohttp.ClientError, OSError):
                await socket.close()
                return
            except Exception:
                await socket.close()
                raise

    def _closed(self, close_code: int | None) -> TransportClosed:
        if close_code == _TOO_BIG:
            return TransportClosed("too_large")
        after_ms = self._bye.reconnect_after_ms if self._bye is not None else None
        word = self._bye.code if self._bye is not None else _WORDS.get(close_code or 0, "unavailable")
        final = close_code is not None and _FIRST_FINAL <= close_code <= _LAST_FINAL
        return TransportClosed(word, final=final, reconnect_after_ms=after_ms)
