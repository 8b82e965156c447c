"""The shell of a stream, when what it calls fails unexpectedly."""

import asyncio
from collections import Counter, deque
from collections.abc import MutableMapping
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from api.identity.tokens import Principal
from api.sending.send_request import SendRequest
from api.stream.services import Displaced
from api.stream.socket import Stream
from api.stream.writer import FRAMES_MAX, STUCK_MS
from roost import wire
from roost.codes import CODES
from roost.errors import Unavailable
from storage.account_rows import KeySupply

NOW = 1_795_000_000_000
SUPPLY = KeySupply({"signed_curve25519": 7}, ("signed_curve25519",))
ALICE = Principal("u-alice", "alice", "ALICEPHONE", "family-1", NOW + 600_000)


class Services:
    """A gateway's services, some of which are broken."""

    def __init__(
        self, *, limiter: Exception | None = None, supply: KeySupply | Exception | None = SUPPLY
    ) -> None:
        self.hosts = self.attachments = self.signals = self.key_supplies = self
        self.supply = supply
        self.counted = asyncio.Event()
        self.sender = self.gate = self.admission = self.bounds = self
        self.device = 8
        self.ended: Counter[str] = Counter()
        self.displaced: deque[Displaced] = deque(maxlen=50)
        self.submitted: list[SendRequest] = []
        self._limiter = limiter

    def number(self) -> int:
        return 1

    def add(self, stream: Stream) -> None:
        stream.attached(0)

    def known(self, *_: Any) -> KeySupply | None:
        return self.supply if self.counted.is_set() and isinstance(self.supply, KeySupply) else None

    async def of(self, *_: Any) -> KeySupply:
        await self.counted.wait()
        if isinstance(self.supply, KeySupply):
            return self.supply
        raise self.supply or AssertionError

    def verify(self, _token: str) -> Principal:
        return ALICE

    def clock(self) -> int:
        return NOW

    def spread(self) -> int:
        return 0

    def wait(self, *_: Any) -> float:
        if self._limiter is not None:
            raise self._limiter
        return 0.0

    def submit(self, item: SendRequest) -> None:
        self.submitted.append(item)

    async def typing(self, *_: Any) -> None:
        raise ZeroDivisionError


def counting() -> Services:
    """Return services that know how many keys the device has."""
    services = Services()
    services.counted.set()
    return services


class Client:
    """A client's end: frames up, and what came down."""

    def __init__(self, services: Any) -> None:
        self.up: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self.down: list[dict[str, Any]] = []
        self.code: int | None = None
        self.reads = asyncio.Event()
        self.reads.set()
        self.stream = Stream(services, wire.CODECS[wire.JSON], None, self.up.get, self.take, lambda *_: None)
        self.task = asyncio.create_task(self.stream.run())

    async def take(self, message: MutableMapping[str, Any]) -> None:
        await self.reads.wait()
        if message["type"] == "websocket.close":
            self.code = message["code"]
        else:
            self.down.append(msgspec.json.decode(message["text"]))

    def send(self, *frames: dict[str, Any]) -> None:
        for frame in frames:
            self.up.put_nowait({"type": "websocket.receive", "text": msgspec.json.encode(frame).decode()})

    async def has(self, kind: str) -> dict[str, Any]:
        async with asyncio.timeout(5):
            while not (found := [frame for frame in self.down if frame["type"] == kind]):
                await asyncio.sleep(0)
        return found[0]


async def test_a_failed_frame_is_answered_and_the_stream_continues() -> None:
    client = Client(counting())
    with capture_logs() as lines:
        client.send({"type": "hello", "token": "good"}, {"type": "typing", "peer": "bob", "state": "typing"})
        problem = await client.has("problem")
        client.send({"type": "ping"})
        await client.has("pong")
        client.up.put_nowait({"type": "websocket.disconnect"})
        await client.task
    assert (problem["frame"], problem["code"]) == ("typing", "internal")
    assert [(line["event"], line["log_level"]) for line in lines] == [("frame_failed", "error")]


async def test_a_stream_that_cannot_go_on_is_closed() -> None:
    client = Client(Services(limiter=KeyError("typing")))
    with capture_logs() as lines:
        client.send({"type": "hello", "token": "good"}, {"type": "typing", "peer": "bob", "state": "typing"})
        async with asyncio.timeout(5):
            await client.task
    assert client.code == CODES["internal"].close
    assert [(line["event"], line["log_level"]) for line in lines] == [("stream_failed", "error")]


async def test_a_socket_is_read_no_further_while_too_many_messages_wait_for_their_answer() -> None:
    services = counting()
    client = Client(services)
    client.send({"type": "hello", "token": "good"})
    for number in range(20):
        message = {"to": "bob", "suite": "s", "payloads": {}, "sent_at_ms": NOW}
        client.send({"type": "send", "id": f"m{number}"} | message)
    await client.has("ready")
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(services.submitted) == services.device
    for item in services.submitted[:3]:
        item.answer(Unavailable("The log is away."))
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(services.submitted) == services.device + 3
    client.up.put_nowait({"type": "websocket.disconnect"})
    client.task.cancel()
    await asyncio.gather(client.task, return_exceptions=True)


@pytest.mark.parametrize("frames", [1, FRAMES_MAX + 2])
async def test_a_client_that_does_not_read_is_given_up(frames: int) -> None:
    services = counting()
    client = Client(services)
    client.send({"type": "hello", "token": "good"})
    await client.has("ready")
    client.reads.clear()
    for number in range(frames):
        client.stream.typing(f"user{number}", "typing")
        await asyncio.sleep(0)
    client.stream.tick(NOW + STUCK_MS)
    await asyncio.sleep(0)
    assert bool(services.ended) == (frames > 1), "not before its time, unless too many frames wait"
    client.stream.tick(NOW + STUCK_MS + 1)
    for _ in range(5):
        await asyncio.sleep(0)
    client.reads.set()
    async with asyncio.timeout(5):
        await client.task
    assert client.code == CODES["too_slow"].close
    assert services.ended == {"too_slow": 1}
    assert client.stream.attach() is None


async def test_ready_waits_for_the_number_of_keys_and_all_else_waits_behind_it() -> None:
    services = Services()
    client = Client(services)
    client.send({"type": "hello", "token": "good"})
    for _ in range(20):
        await asyncio.sleep(0)
    client.stream.typing("bob", "typing")
    for _ in range(20):
        await asyncio.sleep(0)
    assert client.down == []
    services.counted.set()
    await client.has("typing")
    assert [frame["type"] for frame in client.down] == ["ready", "typing"]
    assert client.down[0]["one_time_key_counts"] == {"signed_curve25519": 7}
    assert client.down[0]["unused_fallback_key_types"] == ["signed_curve25519"]
    client.up.put_nowait({"type": "websocket.disconnect"})
    await client.task


async def test_ready_goes_without_what_the_store_does_not_say() -> None:
    services = Services(supply=Unavailable("The store is away."))
    client = Client(services)
    client.send({"type": "hello", "token": "good"})
    services.counted.set()
    ready = await client.has("ready")
    assert "one_time_key_counts" not in ready
    client.up.put_nowait({"type": "websocket.disconnect"})
    await client.task


async def test_a_stream_that_ends_before_ready_says_why() -> None:
    client = Client(Services())
    client.send({"type": "hello", "token": "good"}, {"type": "hello", "token": "good"})
    async with asyncio.timeout(5):
        await client.task
    assert [frame["type"] for frame in client.down] == ["ready", "bye"]
    assert client.code == CODES["bad_frame"].close
