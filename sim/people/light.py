"""Phones for pure load: real accounts and frames, but payloads without encryption.

Sealing and opening is most of what a virtual user costs. A light phone sends the text as it is to every
device of the peer, one message at a time per peer like the SDK, until each is known to be delivered.
"""

import asyncio
import contextlib
from collections.abc import Sequence

from roost.client.effects import Opaque
from roost.client.transport import StreamTransport, TransportClosed
from roost.clock import now_ms
from roost.errors import RoostError
from roost.ids import address_of, uuid7
from roost.wire import MSGPACK, Ack, Entry, Hello, MessageEntry, Read, ReceiptEntry, Send
from sim.ledger import Kind, digest_of
from sim.people.light_stream import Counts, LightStream, Manner, Sent
from sim.people.phone import Phone
from sim.people.tap import Tap
from sim.people.worker_context import WorkerContext

_AGAIN_S = 0.2
_SUITE = "plain.simulated"


class LightPhone(Phone):
    """A device without cryptography, whose app never crashes; see `sim.people.light_stream.App`.

    It sends no copies to the user's other devices.
    """

    gets = ""

    def __init__(self, context: WorkerContext, user: str, *, polls: bool = False, skew_ms: int = 0) -> None:
        super().__init__(context, user, polls=polls, skew_ms=skew_ms)
        self._stream = LightStream(self, Manner(one_in_flight=True), Counts())
        self._undelivered: dict[str, dict[str, int]] = {}
        self._seen: set[str] = set()
        self._line: asyncio.Task[None] | None = None

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
        return not self.away and self._stream.ready

    @property
    def waiting(self) -> int:
        """Messages that are not known to be delivered."""
        return self._stream.unanswered + sum(map(len, self._undelivered.values()))

    @property
    def unsent(self) -> int:
        """Messages that are neither accepted nor given up."""
        return self._stream.unanswered

    async def say(self, to: str, content: bytes, expires_s: int = 0) -> str:
        """Write to a user, and return the message's id."""
        message_id = uuid7(now_ms(), self.context.random(10))
        self.note(Kind.INTENT, peer=to, id=message_id, digest=digest_of(content))
        self.context.board.wrote(message_id)
        self._stream.send(
            Sent(Send(message_id, to, now_ms(), _SUITE, {"": content}, expires_in_s=expires_s or None))
        )
        if to not in self.context.devices:
            await self._find(to)
            self._stream.write_unwritten()
        return message_id

    async def read_all(self) -> None:
        """Mark as read what came since the last time."""
        unread, self.unread = self.unread, {}
        for peer, seq in unread.items():
            self.note(Kind.READ, peer=peer, seq=seq)
            if self._tap is not None and self._stream.ready:
                self._tap.write([Read(peer, seq)])

    # --- its stream's app ---------------------------------------------------------------------------

    def write(self, sent: Sent) -> bool:
        """Write a message to all devices of its recipient, once they are known."""
        devices = self.context.devices.get(sent.frame.to)
        if not devices or self._tap is None:
            return False
        content = next(iter(sent.frame.payloads.values()))
        sent.frame.payloads = dict.fromkeys(devices, content)
        self._tap.write([sent.frame])
        return True

    def acknowledge(self, seq: int) -> None:
        """Write an acknowledgement."""
        if self._tap is not None:
            self._tap.write([Ack(seq)])

    def accepted(self, sent: Sent, seq: int) -> None:
        """Wait for its receipt."""
        peer, message_id = sent.frame.to, sent.frame.id
        self._undelivered.setdefault(peer, {})[message_id] = seq
        self.note(Kind.ACCEPTED, peer=peer, id=message_id, seq=seq)
        self.context.board.accepted(message_id)

    def given_up(self, sent: Sent, code: str) -> None:
        """Note that it failed."""
        self.note(Kind.FAILED, peer=sent.frame.to, id=sent.frame.id, note=code)
        self.context.board.failed()

    def arrived(self, entries: Sequence[Entry | Opaque]) -> None:
        """Take what came."""
        for entry in entries:
            if isinstance(entry, ReceiptEntry):
                waiting = self._undelivered.get(entry.peer, {})
                self._undelivered[entry.peer] = {
                    i: seq for i, seq in waiting.items() if seq > entry.delivered_seq
                }
            elif isinstance(entry, MessageEntry) and entry.id not in self._seen:
                self._seen.add(entry.id)
                digest = digest_of(entry.payload)
                self.note(Kind.RECEIVED, peer=entry.from_, id=entry.id, seq=entry.seq, digest=digest)
                self.context.board.received(entry.id)
                self.unread[entry.from_] = entry.seq

    # --- its connections ----------------------------------------------------------------------------

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
            await self._tap.open(Hello(token, self._stream.cursor))
            while True:
                for frame in await self._tap.read():
                    self._stream.take(frame)
        finally:
            self._stream.lost()
            await self._tap.close()

    async def _find(self, peer: str) -> None:
        address = address_of(peer, self.client.profile.server_name)
        body: dict[str, dict[str, list[str]]] = {"device_keys": {address: []}}
        answer = await self.insist(lambda: self.client.api.call("POST", "/v1/keys/query", body))
        self.context.devices[peer] = list(answer["device_keys"].get(address, {}))
