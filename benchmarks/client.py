"""A light client: a real account, a real socket, MessagePack, the contract alone, and no encryption.

The load generator shares the cores with the server and takes as little of them as it can. It behaves as a
phone does: it acknowledges what came in batches, cumulatively; a connection that breaks is opened again
from its cursor, and what has no answer by then is sent again, byte for byte and in its old order.
"""

import asyncio
import contextlib
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct
from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.accounts import Account
from benchmarks.ledger import HEAD_BYTES, Book, Ledger, head
from roost import wire

BODY = 400
"""Bytes of a message's payload."""

CONNECT_S = 30.0
AGAIN_S = 15.0
"""How long a client waits for an answer before it sends the same bytes again."""

_ACK_S = 0.02
_RECONNECT_S = 0.2
_DISPLACED = 4409
_FOR_GOOD = 4500
"""Close codes from here on say: do not come back."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Manner(Struct, frozen=True):
    """How clients behave.

    Attributes:
        one_in_flight: For each recipient only one message is on its way, as with the SDK; else all at once.
        insists: What was refused for now is sent again after the time it was told; else it is given up.
        patient: A device that was refused writes nothing until that time is over.
    """

    one_in_flight: bool = False
    insists: bool = True
    patient: bool = False


class Counts:
    """What all clients of a load saw beside the messages."""

    def __init__(self) -> None:
        self.receipts = self.acks = self.reconnects = self.repeated = self.withheld = 0
        self.refusals: Counter[str] = Counter()
        self.retry_after_s: list[float] = []
        self.untimed = 0
        self.problems: Counter[str] = Counter()


class _Sent(Struct):
    number: int
    pair: int
    frame: bytes
    written_s: float


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
    """One device.

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
        self.account, self.counts, self.manner = account, counts, manner
        self.cursor: int | None = None
        self.silent_until_s = 0.0
        self._book, self._moved = book, moved
        self._loop = asyncio.get_running_loop()
        self._ids = Ids()
        self._acking = self._leaving = False
        self._transport: WSTransport | None = None
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._ledger: Ledger
        self._waiting: dict[str, _Sent] = {}
        self._lanes: dict[int, deque[tuple[str, _Sent]]] = {}
        self._body = secrets.token_bytes(BODY - HEAD_BYTES)
        self._tasks: set[asyncio.Task[None]] = set()

    # --- the line ---------------------------------------------------------------------------------

    async def connect(self, base: str) -> None:
        """Open the stream and wait for its ``ready``."""
        self._base = base
        self._ready = self._loop.create_future()
        url = base.replace("http", "ws", 1) + "/v1/stream"
        headers = {"Sec-WebSocket-Protocol": wire.MSGPACK}
        transport, _ = await ws_connect(
            lambda: self, url, extra_headers=headers, websocket_handshake_timeout=CONNECT_S
        )
        hello: dict[str, Any] = {"type": "hello", "token": self.account.token}
        if self.cursor is not None:
            hello["cursor"] = self.cursor
        transport.send(WSMsgType.BINARY, _encode(hello))
        await asyncio.wait_for(self._ready, CONNECT_S)
        self._transport = transport
        if "cursor" in hello:  # what was acknowledged last may have been lost with the connection
            self._acknowledge()
        for sent in list(self._waiting.values()):
            self._write(sent)

    def leave(self) -> None:
        """Disconnect for good."""
        self._leaving = True
        for task in self._tasks:
            task.cancel()
        if self._transport is not None:
            self._acknowledge()
            self._transport.disconnect()
            self._transport = None

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        """Come back, unless it was told to leave."""
        self._transport = None
        if not self._ready.done():
            self._ready.set_exception(ConnectionError("closed before it was ready"))
        elif not self._leaving and not self._tasks:
            task = self._loop.create_task(self._come_back())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _come_back(self) -> None:
        self.counts.reconnects += 1
        while not self._leaving and self._transport is None:
            with contextlib.suppress(OSError, TimeoutError, WSError):
                await self.connect(self._base)
                return
            await asyncio.sleep(_RECONNECT_S)

    # --- sending ----------------------------------------------------------------------------------

    def send(self, ledger: Ledger, number: int, pair: int, to: Account) -> None:
        """Send a message of a ledger to an account."""
        self._ledger = ledger
        message_id = self._ids.next(time.time_ns() // 1_000_000)
        frame = _encode(
            {
                "type": "send", "id": message_id, "to": to.username, "sent_at_ms": 0, "suite": "sealed.v1",
                "payloads": {to.device: head(ledger.number, number) + self._body},
            }
        )  # fmt: skip
        sent = _Sent(number, pair, frame, 0.0)
        if self.manner.one_in_flight:
            lane = self._lanes.setdefault(pair, deque())
            lane.append((message_id, sent))
            if len(lane) > 1:
                return
        self._waiting[message_id] = sent
        self._write(sent)

    def send_again(self, now_s: float) -> None:
        """Send again what has waited too long for its answer."""
        for sent in list(self._waiting.values()):
            if 0 < sent.written_s < now_s - AGAIN_S:
                self.counts.repeated += 1
                self._write(sent)

    def _write(self, sent: _Sent) -> None:
        if self._transport is not None:
            sent.written_s = self._loop.time()
            self._ledger.write(sent.number, time.perf_counter_ns())
            self._transport.send(WSMsgType.BINARY, sent.frame)

    def _answered(self, message_id: str) -> _Sent | None:
        """Take a message off the waiting ones, and let the next of its lane go."""
        sent = self._waiting.pop(message_id, None)
        if sent is not None and self.manner.one_in_flight:
            lane = self._lanes[sent.pair]
            lane.popleft()
            if lane:
                following, later = lane[0]
                self._waiting[following] = later
                self._write(later)
        return sent

    # --- what comes -------------------------------------------------------------------------------

    def on_ws_frame(self, _transport: WSTransport, frame: WSFrame) -> None:
        """Take one frame of the server."""
        if frame.msg_type == WSMsgType.CLOSE and not self._leaving:
            code = int(frame.get_close_code())
            self.counts.problems[f"closed {code}"] += 1
            self._leaving = code == _DISPLACED or code >= _FOR_GOOD
        if frame.msg_type != WSMsgType.BINARY:
            return
        message = _decode(frame.get_payload_as_bytes())
        kind = message["type"]
        if kind == "entries":
            self._entries(message["entries"])
        elif kind == "accepted":
            sent = self._answered(message["id"])
            if sent is not None:
                self._ledger.accept(sent.number, time.perf_counter_ns())
                self._moved()
        elif kind == "rejected":
            self._rejected(message)
        elif kind == "ready" and not self._ready.done():
            self.cursor = message["cursor"] if self.cursor is None else self.cursor
            self._ready.set_result(None)
        elif kind in {"problem", "missed"}:
            self.counts.problems[f"{kind} {message.get('code', '')}"] += 1

    def _rejected(self, message: dict[str, Any]) -> None:
        code, pause = message["code"], message.get("retry_after_s")
        self.counts.refusals[code] += 1
        if pause is not None:
            self.counts.retry_after_s.append(pause)
            if self.manner.patient:
                self.silent_until_s = max(self.silent_until_s, self._loop.time() + pause)
            if self.manner.insists:
                self.counts.repeated += 1
                self._loop.call_later(pause, self._insist, message["id"])
                return
        else:
            self.counts.untimed += 1
        sent = self._answered(message["id"])
        if sent is not None:
            self._ledger.refuse(sent.number)
            self._moved()

    def _insist(self, message_id: str) -> None:
        sent = self._waiting.get(message_id)
        if sent is not None:
            self._write(sent)

    def _entries(self, entries: list[dict[str, Any]]) -> None:
        now = time.perf_counter_ns()
        for entry in entries:
            if entry["type"] == "receipt":
                self.counts.receipts += 1
            elif entry["type"] == "message":
                found = self._book.find(entry["payload"])
                if found is not None:
                    ledger, number = found
                    ledger.deliver(number, entry["from"], self.account.username, now)
        self.cursor = entries[-1]["seq"]
        self._moved()
        if not self._acking:
            self._acking = True
            self._loop.call_later(_ACK_S, self._acknowledge)

    def _acknowledge(self) -> None:
        self._acking = False
        if self._transport is not None and self.cursor:
            self.counts.acks += 1
            self._transport.send(WSMsgType.BINARY, _encode({"type": "ack", "seq": self.cursor}))
