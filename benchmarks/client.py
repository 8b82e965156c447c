"""A light client on the fastest socket there is: a real account, MessagePack, the contract alone.

The load generator shares the cores with the server and takes as little of them as it can. How it behaves is
`sim.people.light_stream`.
"""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Sequence

from msgspec import ValidationError, msgpack
from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.accounts import Account
from benchmarks.ledger import HEAD_BYTES, Book, Ledger, head
from roost import wire
from roost.client.effects import Opaque
from roost.client.transport.port import decode_entries
from roost.tasks import BackgroundTasks
from sim.people.light_stream import Counts, LightStream, Manner, Sent

BODY = 400
"""Bytes of a message's payload."""

CONNECT_S = 30.0
AGAIN_S = 15.0
"""How long a client waits for an answer before it sends the same bytes again."""

_RECONNECT_S = 0.2
_DISPLACED = 4409
_FOR_GOOD = 4500
"""Close codes from here on say: do not come back."""

_codec = wire.CODECS[wire.MSGPACK]
_encode = msgpack.Encoder().encode


class _Numbered(Sent):
    """A message, with its number in the ledger."""

    number: int = 0


class Ids:
    """Strictly increasing UUIDv7s."""

    def __init__(self) -> None:
        self._tail = secrets.token_hex(7)
        self._last, self._count = 0, 0

    def next(self, now_ms: int) -> str:
        """Return an id of this moment, or just after the last one."""
        now_ms = max(now_ms, self._last)
        self._count = self._count + 1 if now_ms == self._last else 0
        self._last = now_ms
        stamp = f"{now_ms:012x}"
        return f"{stamp[:8]}-{stamp[8:]}-7{self._count:03x}-8{self._tail[:3]}-{self._tail[2:]}"


class Client(WSListener):  # type: ignore[misc] # picows ships no types
    """One device; see `sim.people.light_stream.App`.

    Args:
        account: Whose.
        book: The ledgers that payloads name.
        counts: Where everything else is counted.
        moved: Called whenever a message was answered or delivered.
        manner: How it behaves.
    """

    def __init__(
        self, account: Account, book: Book, counts: Counts, moved: Callable[[], None], manner: Manner
    ) -> None:
        self.account = account
        self._stream = LightStream(self, manner, counts)
        self._book, self._counts, self._moved = book, counts, moved
        self._ids = Ids()
        self._leaving = False
        self._transport: WSTransport | None = None
        self._ready: asyncio.Future[None]
        self._ledger: Ledger
        self._body = secrets.token_bytes(BODY - HEAD_BYTES)
        self._tasks = BackgroundTasks()
        self._coming_back: asyncio.Task[None] | None = None

    @property
    def silent_until_s(self) -> float:
        """It was told to write nothing before, on the event loop's clock."""
        return self._stream.silent_until_s

    # --- the connection -----------------------------------------------------------------------------

    async def connect(self, base: str) -> None:
        """Open the stream and wait for its ``ready``."""
        self._base = base
        self._ready = asyncio.get_running_loop().create_future()
        url = base.replace("http", "ws", 1) + "/v1/stream"
        headers = {"Sec-WebSocket-Protocol": wire.MSGPACK}
        transport, _ = await ws_connect(
            lambda: self, url, extra_headers=headers, websocket_handshake_timeout=CONNECT_S
        )
        transport.send(WSMsgType.BINARY, _encode(wire.Hello(self.account.token, self._stream.cursor)))
        async with asyncio.timeout(CONNECT_S):
            await self._ready

    def leave(self) -> None:
        """Disconnect for good."""
        self._leaving = True
        if self._coming_back is not None:
            self._coming_back.cancel()
        if self._transport is not None:
            self._stream.acknowledge()
            self._transport.disconnect()
            self._transport = None

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        """Come back, unless it was told to leave."""
        self._transport = None
        self._stream.lost()
        if not self._ready.done():
            self._ready.set_exception(ConnectionError("closed before it was ready"))
        elif not self._leaving and (self._coming_back is None or self._coming_back.done()):
            self._coming_back = self._tasks.spawn(self._come_back())

    async def _come_back(self) -> None:
        self._counts.reconnects += 1
        while not self._leaving and self._transport is None:
            with contextlib.suppress(OSError, TimeoutError, WSError):
                await self.connect(self._base)
                return
            await asyncio.sleep(_RECONNECT_S)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take one frame of the server."""
        if frame.msg_type == WSMsgType.CLOSE and not self._leaving:
            code = int(frame.get_close_code())
            self._counts.problems[f"closed {code}"] += 1
            self._leaving = code == _DISPLACED or code >= _FOR_GOOD
        if frame.msg_type != WSMsgType.BINARY:
            return
        try:
            message = _codec.decode_server(frame.get_payload_as_bytes())
        except ValidationError:
            self._counts.problems["unknown frame"] += 1
            return
        if isinstance(message, wire.Entries):
            self._stream.take(decode_entries(_codec, message.entries))
        elif isinstance(message, wire.Ready):
            self._transport = transport
            self._stream.take(message)
            if not self._ready.done():
                self._ready.set_result(None)
        else:
            self._stream.take(message)

    # --- messages -----------------------------------------------------------------------------------

    def send(self, ledger: Ledger, number: int, to: Account) -> None:
        """Send a message of a ledger to an account."""
        self._ledger = ledger
        message_id = self._ids.next(time.time_ns() // 1_000_000)
        payloads = {to.device: head(ledger.number, number) + self._body}
        frame = wire.Send(message_id, to.username, 0, "sealed.v1", payloads)
        self._stream.send(_Numbered(frame, number=number))

    def send_again(self, now_s: float) -> None:
        """Send again what has waited too long for its answer."""
        self._stream.write_again(now_s - AGAIN_S)

    def write(self, sent: _Numbered) -> bool:
        """Write a message to the server."""
        if self._transport is None:
            return False
        self._ledger.write(sent.number, time.perf_counter_ns())
        self._transport.send(WSMsgType.BINARY, _encode(sent.frame))
        return True

    def acknowledge(self, seq: int) -> None:
        """Write an acknowledgement."""
        if self._transport is not None:
            self._transport.send(WSMsgType.BINARY, _encode(wire.Ack(seq)))

    def accepted(self, sent: _Numbered, _seq: int) -> None:
        """Note when it was."""
        self._ledger.accept(sent.number, time.perf_counter_ns())
        self._moved()

    def given_up(self, sent: _Numbered, _code: str) -> None:
        """Note that it was."""
        self._ledger.refuse(sent.number)
        self._moved()

    def arrived(self, entries: Sequence[wire.Entry | Opaque]) -> None:
        """Note what came."""
        now = time.perf_counter_ns()
        for entry in entries:
            if isinstance(entry, wire.ReceiptEntry):
                self._counts.receipts += 1
            elif isinstance(entry, wire.MessageEntry):
                found = self._book.find(entry.payload)
                if found is not None:
                    ledger, number = found
                    ledger.deliver(number, entry.from_, self.account.username, now)
        self._moved()
