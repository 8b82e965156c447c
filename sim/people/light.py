"""Phones for pure load: real accounts and frames, but payloads without encryption.

Sealing and opening is most of what a virtual user costs. A light phone sends the text as it is to every
device of the peer, one message at a time per peer like the SDK, until each is known to be delivered.
"""

import asyncio
import contextlib
from collections import deque

from roost.client.effects import Batch, Incoming
from roost.client.transport import StreamTransport, TransportClosed
from roost.clock import now_ms
from roost.codes import CODES
from roost.errors import RoostError
from roost.ids import address_of, uuid7
from roost.wire import MSGPACK, Accepted, Ack, Hello, MessageEntry, Read, Ready, ReceiptEntry, Rejected, Send
from sim.ledger import Kind, digest_of
from sim.people.phone import Phone
from sim.people.tap import Tap
from sim.people.worker_context import WorkerContext

_ACK_S = 0.02
_AGAIN_S = 0.2
_SUITE = "plain.simulated"


class _Lane:
    """What goes to one peer: ``queue`` waits for its turn, ``unproven`` is accepted and not delivered."""

    def __init__(self) -> None:
        self.queue: deque[Send] = deque()
        self.flying = False
        self.unproven: dict[str, int] = {}


class LightPhone(Phone):
    """A device without cryptography, whose app never crashes."""

    def __init__(self, context: WorkerContext, user: str, *, polls: bool = False, skew_ms: int = 0) -> None:
        super().__init__(context, user, polls=polls, skew_ms=skew_ms)
        self._lanes: dict[str, _Lane] = {}
        self._seen: set[str] = set()
        self._line: asyncio.Task[None] | None = None
        self._cursor: int | None = None
        self._ready = self._acking = False

    async def open(self) -> None:
        """Start the app."""
        self.away = False
        self._line = asyncio.create_task(self._stay())
        self.context.keep(self._line)

    async def close(self) -> None:
        """End the app."""
        self.away = True
        if self._line is not None:
            self._line.cancel()
            await asyncio.gather(self._line, return_exceptions=True)

    @property
    def connected(self) -> bool:
        """Whether the app is open and has a session."""
        return not self.away and self._ready

    @property
    def waiting(self) -> int:
        """Messages that are not known to be delivered."""
        return sum(len(lane.queue) + len(lane.unproven) for lane in self._lanes.values())

    async def say(self, to: str, content: bytes) -> str:
        """Write to a user, and return the message's id."""
        message_id = uuid7(now_ms(), self.context.random(10))
        self._note(Kind.INTENT, peer=to, id=message_id, digest=digest_of(content))
        self.context.board.wrote(message_id)
        lane = self._lanes.setdefault(to, _Lane())
        lane.queue.append(Send(message_id, to, now_ms(), _SUITE, {"": content}))
        if to not in self.context.devices:
            await self._find(to)
        self._next(lane)
        return message_id

    async def read_all(self) -> None:
        """Mark as read what came since the last time."""
        unread, self.unread = self.unread, {}
        for peer, seq in unread.items():
            self._note(Kind.READ, peer=peer, seq=seq)
            self._write(Read(peer, seq))

    # --- the line ---------------------------------------------------------------------------------

    async def _stay(self) -> None:
        while True:
            with contextlib.suppress(RoostError, TransportClosed):
                await self._one_connection()
            await asyncio.sleep(_AGAIN_S)

    async def _one_connection(self) -> None:
        token = await self.client.api.fresh_token()
        inner = StreamTransport(self.context.http, self.context.server, MSGPACK)
        self._tap = Tap(inner, self._written, self._arrived, self._twice, self.context.keep)
        try:
            await self._tap.open(Hello(token, self._cursor))
            while True:
                for frame in await self._tap.read():
                    self._take(frame)
        finally:
            self._ready = False
            for lane in self._lanes.values():
                lane.flying = False
            await self._tap.close()

    def _take(self, frame: Incoming) -> None:
        match frame:
            case Ready():
                self._ready = True
                if self._cursor is None:
                    self._cursor = frame.cursor
                else:  # what was acknowledged last may have been lost with the connection
                    self._ack_soon()
                for lane in self._lanes.values():
                    self._next(lane)
            case Accepted():
                self._accepted(frame)
            case Rejected():
                self._rejected(frame)
            case Batch():
                for entry in frame.entries:
                    if entry.seq > (self._cursor or 0):
                        self._cursor = entry.seq
                        self._entry(entry)
                self._ack_soon()

    def _entry(self, entry: object) -> None:
        if isinstance(entry, ReceiptEntry):
            lane = self._lanes.get(entry.peer)
            if lane is not None:
                lane.unproven = {i: seq for i, seq in lane.unproven.items() if seq > entry.delivered_seq}
        elif isinstance(entry, MessageEntry) and entry.id not in self._seen:
            self._seen.add(entry.id)
            self._note(
                Kind.RECEIVED, peer=entry.from_, id=entry.id, seq=entry.seq, digest=digest_of(entry.payload)
            )
            self.context.board.received(entry.id)
            self.unread[entry.from_] = entry.seq

    def _accepted(self, frame: Accepted) -> None:
        for to, lane in self._lanes.items():
            if lane.queue and lane.queue[0].id == frame.id:
                lane.queue.popleft()
                lane.flying = False
                lane.unproven[frame.id] = frame.seq
                self._note(Kind.ACCEPTED, peer=to, id=frame.id, seq=frame.seq)
                self.context.board.accepted(frame.id)
                self._next(lane)
                return

    def _rejected(self, frame: Rejected) -> None:
        for to, lane in self._lanes.items():
            if lane.queue and lane.queue[0].id == frame.id:
                lane.flying = False
                if CODES[frame.code].retry == "never":
                    lane.queue.popleft()
                    self._note(Kind.FAILED, peer=to, id=frame.id, note=frame.code)
                    self.context.board.failed()
                asyncio.get_running_loop().call_later(frame.retry_after_s or _AGAIN_S, self._next, lane)
                return

    def _next(self, lane: _Lane) -> None:
        if not lane.queue or lane.flying or not self._ready:
            return
        frame = lane.queue[0]
        devices = self.context.devices.get(frame.to)
        if devices:
            lane.flying = True
            content = next(iter(frame.payloads.values()))
            frame.payloads = dict.fromkeys(devices, content)
            self._write(frame)

    async def _find(self, peer: str) -> None:
        address = address_of(peer, self.client.profile.server_name)
        body: dict[str, dict[str, list[str]]] = {"device_keys": {address: []}}
        answer = await self._insist(lambda: self.client.api.call("POST", "/v1/keys/query", body))
        self.context.devices[peer] = list(answer["device_keys"].get(address, {}))

    def _ack_soon(self) -> None:
        if not self._acking:
            self._acking = True
            asyncio.get_running_loop().call_later(_ACK_S, self._ack)

    def _ack(self) -> None:
        self._acking = False
        if self._cursor:
            self._write(Ack(self._cursor))

    def _write(self, frame: Send | Ack | Read) -> None:
        if self._tap is not None and self._ready:
            self._tap.write([frame])
