"""Light clients: real accounts, real sockets, MessagePack, but no encryption.

The load generator shares the cores with the server and takes as little of them as it can.

The first eight bytes of each payload are the sender's monotonic time in nanoseconds, the next
eight its number; the server passes them on untouched, and the receiver checks and measures.
"""

import asyncio
import contextlib
import random
import secrets
import time
from array import array
from collections import defaultdict
from collections.abc import Callable
from http import HTTPStatus

import aiohttp
import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from roost import wire
from roost.crypto.keys import DeviceSecrets, device_keys

PASSWORD = "a load generator's password"
BODY = 400
_STANDSTILL_S = 60

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


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


class Account:
    """One user with one device."""

    def __init__(self, username: str, device: str, token: str) -> None:
        self.username, self.device, self.token = username, device, token


async def sign_up(http: aiohttp.ClientSession, base: str, username: str) -> Account:
    """Register, log in, and publish the device's keys."""
    account = {"username": username, "password": PASSWORD}
    async with http.post(f"{base}/v1/accounts", json=account) as answer:
        if answer.status not in {HTTPStatus.CREATED, HTTPStatus.CONFLICT}:
            raise RuntimeError(await answer.text())
    async with http.post(f"{base}/v1/sessions", json=account | {"device": {"name": "load"}}) as answer:
        if answer.status != HTTPStatus.CREATED:
            raise RuntimeError(await answer.text())
        session = await answer.json()
    own = DeviceSecrets.from_random(secrets.token_bytes(64))
    bundle = device_keys(f"@{username}:localhost", session["device_id"], own)
    headers = {"Authorization": f"Bearer {session['access_token']}"}
    async with http.post(f"{base}/v1/keys/upload", json={"device_keys": bundle}, headers=headers) as answer:
        if answer.status != HTTPStatus.OK:
            raise RuntimeError(await answer.text())
    return Account(username, session["device_id"], session["access_token"])


class Tally:
    """What all clients together saw."""

    def __init__(self) -> None:
        self.sent = self.accepted = self.rejected = self.delivered = self.receipts = 0
        self.doubled = self.reordered = self.repeated = 0
        self.accept_ms: array[float] = array("d")
        self.deliver_ms: array[float] = array("d")
        self.problems: dict[str, int] = defaultdict(int)


class LightClient(WSListener):  # type: ignore[misc] # picows ships no types
    """One socket."""

    def __init__(self, account: Account, tally: Tally, delivered: Callable[[], None]) -> None:
        self.account, self.tally, self._delivered = account, tally, delivered
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.cursor = 0
        self._ids = Ids()
        self._acking = False
        self._transport: WSTransport | None = None
        self._numbers: dict[str, int] = defaultdict(int)
        self._heard: dict[str, int] = {}
        self._waiting: dict[str, tuple[int, dict[str, object]]] = {}
        self._body = secrets.token_bytes(BODY - 16)

    async def connect(self, base: str) -> None:
        """Open the stream and wait for its ``ready``."""
        url = base.replace("http", "ws", 1) + "/v1/stream"
        headers = {"Sec-WebSocket-Protocol": wire.MSGPACK}
        self._transport, _ = await ws_connect(lambda: self, url, extra_headers=headers)
        self._send({"type": "hello", "token": self.account.token})
        await asyncio.wait_for(self.ready, 30)

    def close(self) -> None:
        """Disconnect."""
        if self._transport is not None:
            self._transport.disconnect()

    def send(self, to: Account) -> None:
        """Send the next message to somebody."""
        now = time.perf_counter_ns()
        number = self._numbers[to.username] = self._numbers[to.username] + 1
        message_id = self._ids.next(time.time_ns() // 1_000_000)
        payload = now.to_bytes(8, "big") + number.to_bytes(8, "big") + self._body
        frame: dict[str, object] = {
            "type": "send", "id": message_id, "to": to.username, "sent_at_ms": 0, "suite": "sealed.v1",
            "payloads": {to.device: payload},
        }  # fmt: skip
        self._waiting[message_id] = (now, frame)
        self._send(frame)
        self.tally.sent += 1

    def _send(self, frame: dict[str, object]) -> None:
        assert self._transport is not None
        self._transport.send(WSMsgType.BINARY, _encode(frame))

    def on_ws_frame(self, _transport: WSTransport, frame: WSFrame) -> None:
        """Take one frame of the server."""
        if frame.msg_type != WSMsgType.BINARY:
            if frame.msg_type == WSMsgType.PING:
                _transport.send_pong(frame.get_payload_as_bytes())
            elif frame.msg_type == WSMsgType.CLOSE:
                self.tally.problems[f"closed {frame.get_close_code()}"] += 1
            return
        message = _decode(frame.get_payload_as_bytes())
        kind = message["type"]
        if kind == "entries":
            self._entries(message["entries"])
        elif kind == "accepted":
            self.tally.accepted += 1
            started, _ = self._waiting.pop(message["id"])
            self.tally.accept_ms.append((time.perf_counter_ns() - started) / 1e6)
        elif kind == "rejected":
            self._rejected(message)
        elif kind == "ready" and not self.ready.done():
            self.ready.set_result(None)

    def _rejected(self, message: dict[str, object]) -> None:
        """Send again under the same id what the server could not take now; the rest is refused for good."""
        if message.get("retry_after_s") is None:
            self.tally.rejected += 1
            self.tally.problems[str(message["code"])] += 1
            return
        self.tally.repeated += 1
        _, frame = self._waiting[str(message["id"])]
        pause = float(message["retry_after_s"])  # type: ignore[arg-type]
        asyncio.get_running_loop().call_later(pause, self._send, frame)

    def _entries(self, entries: list[dict[str, object]]) -> None:
        now = time.perf_counter_ns()
        for entry in entries:
            self.cursor = int(entry["seq"])  # type: ignore[call-overload]
            if entry["type"] == "receipt":
                self.tally.receipts += 1
            elif entry["type"] == "message":
                self._message(str(entry["from"]), bytes(entry["payload"]), now)  # type: ignore[call-overload]
        if not self._acking:
            self._acking = True
            asyncio.get_running_loop().call_later(0.01, self._ack)

    def _ack(self) -> None:
        self._acking = False
        self._send({"type": "ack", "seq": self.cursor})

    def _message(self, sender: str, payload: bytes, now: int) -> None:
        number = int.from_bytes(payload[8:16], "big")
        last = self._heard.get(sender, number - 1)
        if number <= last:
            self.tally.doubled += 1
            return
        if number != last + 1:
            self.tally.reordered += 1
        self._heard[sender] = number
        self.tally.delivered += 1
        self.tally.deliver_ms.append((now - int.from_bytes(payload[:8], "big")) / 1e6)
        self._delivered()


class Crowd:
    """All clients and who talks to whom."""

    def __init__(self, tally: Tally, seed: int, contacts: int) -> None:
        self.tally = tally
        self.random = random.Random(seed)
        self.contacts = contacts
        self.clients: list[LightClient] = []
        self._friends: list[list[Account]] = []
        self._room = asyncio.Event()

    async def join(self, base: str, accounts: list[Account]) -> None:
        """Connect everybody."""
        self.clients = [LightClient(account, self.tally, self._room.set) for account in accounts]
        for first in range(0, len(self.clients), 50):
            await asyncio.gather(*(c.connect(base) for c in self.clients[first : first + 50]))
        others = min(self.contacts, len(accounts) - 1)
        for account in accounts:
            rest = [a for a in accounts if a is not account]
            self._friends.append(self.random.sample(rest, others))

    def leave(self) -> None:
        """Disconnect everybody."""
        for client in self.clients:
            client.close()

    def send_one(self) -> None:
        """Let somebody write to one of their contacts."""
        index = self.random.randrange(len(self.clients))
        self.clients[index].send(self.random.choice(self._friends[index]))

    async def pace(self, rate: float, seconds: float) -> None:
        """Send at a steady rate."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for number in range(int(rate * seconds)):
            delay = begin + number / rate - loop.time()
            if delay > 0:
                await asyncio.sleep(delay)
            self.send_one()
        await self.settle()

    async def press(self, outstanding: int, seconds: float, messages: int | None = None) -> None:
        """Keep so many messages under way, for so long, or until so many were sent."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        moved_at, moved = loop.time(), 0
        while loop.time() < end and (messages is None or self.tally.sent < messages):
            self._room.clear()
            while self.tally.sent - self.tally.delivered - self.tally.rejected < outstanding:
                self.send_one()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._room.wait(), 1)
            if self.tally.delivered > moved:
                moved_at, moved = loop.time(), self.tally.delivered
            elif loop.time() - moved_at > _STANDSTILL_S:
                raise RuntimeError(f"nothing was delivered for {_STANDSTILL_S} s, after {moved} messages")

    async def settle(self, seconds: float = 30) -> None:
        """Wait until everything sent was delivered."""
        deadline = asyncio.get_running_loop().time() + seconds
        while self.tally.delivered + self.tally.rejected < self.tally.sent:
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(0.02)
