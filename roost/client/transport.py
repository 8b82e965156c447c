"""How frames travel: what the shell needs of a transport, and the WebSocket one."""

import asyncio
from collections import deque
from typing import Any, Protocol

import aiohttp
import msgspec

from roost.client.effects import Batch, Incoming, Opaque
from roost.codes import CODES
from roost.wire import CODECS, Bye, ClientFrame, Codec, Entries, Entry, Hello

_FIRST_FINAL = 4500
_LAST_FINAL = 4999
_UNAUTHORIZED = 401
_CONNECT_S = 15.0
_HEARTBEAT_S = 30.0

LAST_WRITES_S = 1.0
"""How long a transport that is closed may take for what it was given before."""
_MAX_SERVER_FRAME = 64 * 1024 * 1024
_WORDS = {code.close: code.word for code in CODES.values() if code.close is not None}


class TransportClosed(Exception):  # noqa: N818 - an end, not always an error
    """The connection is gone.

    Attributes:
        code: Word of the registry, or ``handshake``, ``unavailable``, ``resync``.
        final: The close code says not to come back.
        reconnect_after_ms: The server's advice.
    """

    def __init__(self, code: str, *, final: bool = False, reconnect_after_ms: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.final = final
        self.reconnect_after_ms = reconnect_after_ms


class Transport(Protocol):
    """One connection, used once."""

    async def open(self, hello: Hello) -> None:
        """Connect and say hello.

        Raises:
            TransportClosed: It could not be done.
        """
        ...

    def write(self, frames: list[ClientFrame]) -> None:
        """Send frames in order, without waiting; what does not get through shows in ``read``."""
        ...

    async def read(self) -> list[Incoming]:
        """Wait for frames.

        Raises:
            TransportClosed: The connection is gone.
        """
        ...

    async def close(self) -> None:
        """Write what is due, soon, and release everything; may be called at any time, also twice."""
        ...


def decode_entries(codec: Codec, raws: list[msgspec.Raw]) -> Batch:
    """Decode entries, keeping place and name of those whose type is unknown.

    Raises:
        ValueError: An entry has no place in the mailbox.
    """
    entries: list[Entry | Opaque] = []
    for raw in raws:
        try:
            entries.append(codec.decode_entry(raw))
        except ValueError:
            entries.append(_opaque(codec, raw))
    return Batch(entries)


def _opaque(codec: Codec, raw: msgspec.Raw) -> Opaque:
    fields: Any = msgspec.json.decode(raw) if codec.text else msgspec.msgpack.decode(raw)
    if not isinstance(fields, dict) or "seq" not in fields:
        raise ValueError("an entry without a number")
    return Opaque(int(fields["seq"]), int(fields.get("prev", 0)), str(fields.get("type", "?")))


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
                    max_msg_size=_MAX_SERVER_FRAME,
                )
        except aiohttp.WSServerHandshakeError as exc:
            code = "unauthenticated" if exc.status == _UNAUTHORIZED else "handshake"
            raise TransportClosed(code) from exc
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
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
        except ValueError as exc:
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

    def _closed(self, close_code: int | None) -> TransportClosed:
        after_ms = self._bye.reconnect_after_ms if self._bye is not None else None
        word = self._bye.code if self._bye is not None else _WORDS.get(close_code or 0, "unavailable")
        final = close_code is not None and _FIRST_FINAL <= close_code <= _LAST_FINAL
        return TransportClosed(word, final=final, reconnect_after_ms=after_ms)
