"""The HTTP transport, for networks that block WebSockets: the same frames as plain requests.

Entries come by long poll, each client frame is a request of its own. Presence does not travel.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any

import msgspec

from roost.client.effects import Incoming
from roost.client.transport.answers import Empty
from roost.client.transport.http import Api
from roost.client.transport.port import LAST_WRITES_S, SESSION_OVER, TransportClosed, decode_entries
from roost.errors import RoostError
from roost.wire import (
    CODECS,
    JSON,
    Accepted,
    Ack,
    Auth,
    ClientFrame,
    Drained,
    Hello,
    Missed,
    Read,
    Ready,
    Rejected,
    Send,
    Seq,
    Typing,
    Whole,
    unpadded,
)

_CODEC = CODECS[JSON]
_PARALLEL = 16
_MISMATCH = ("missing", "extra", "own_missing", "own_extra")


class _Page(msgspec.Struct):
    cursor: Seq
    entries: list[msgspec.Raw]
    more: bool = False
    missed: bool = False
    one_time_key_counts: dict[str, Whole] | None = None
    unused_fallback_key_types: list[str] | None = None


class _Sent(msgspec.Struct):
    id: str
    seq: Seq
    accepted_at_ms: Whole


class PollTransport:
    """Frames over ``/v1/sync`` and its neighbours.

    Args:
        api: Authenticated calls.
        device_id: This device.
        wait_s: How long a poll waits for news, 0-60 seconds.
        lifetime_s: After this long the transport ends, so that the shell may try the stream again.
    """

    def __init__(self, api: Api, device_id: str, *, wait_s: int = 25, lifetime_s: float = 300.0) -> None:
        self._api = api
        self._device_id = device_id
        self._wait_s = wait_s
        self._lifetime_s = lifetime_s
        self._cursor: int | None = None
        self._drained = False
        self._incoming: deque[Incoming] = deque()
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(_PARALLEL)
        self._tasks: set[asyncio.Task[None]] = set()
        self._posts: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None

    async def open(self, hello: Hello) -> None:
        """Fetch the first page, which also tells the stored cursor, and start polling."""
        self._cursor = hello.cursor
        try:
            page = await self._sync(0)
        except RoostError as exc:
            raise _closed(exc) from exc
        except ValueError as exc:
            raise TransportClosed("bad_frame", reconnect_after_ms=5000) from exc
        start = _start(page) if hello.cursor is None else hello.cursor
        ready = Ready(
            self._device_id,
            start,
            self._api.time.now_ms(),
            page.one_time_key_counts,
            page.unused_fallback_key_types,
        )
        self._incoming.append(ready)
        self._deliver(page)
        self._spawn(self._poll())

    def write(self, frames: list[ClientFrame]) -> None:
        """Make a request of each frame; the newest acknowledgement stands for all."""
        for frame in frames:
            if not isinstance(frame, Hello | Auth):
                self._posts.add(self._spawn(self._post(frame)))

    async def read(self) -> list[Incoming]:
        """Wait for answers and entries."""
        while not self._incoming:
            if self._failure is not None:
                raise self._failure
            self._wake.clear()
            await self._wake.wait()
        frames = list(self._incoming)
        self._incoming.clear()
        return frames

    async def close(self) -> None:
        """Let posts finish, for a second at most, and drop all other requests."""
        if posts := list(self._posts):
            await asyncio.wait(posts, timeout=LAST_WRITES_S)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(self._posts.discard)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._fail(failure)  # a fault of this program: whoever reads is told

    def _fail(self, failure: BaseException) -> None:
        self._failure = self._failure or failure
        self._wake.set()

    def _deliver(self, page: _Page) -> None:
        if page.missed:
            self._incoming.append(Missed())
        if page.entries:
            batch = decode_entries(_CODEC, page.entries)
            self._incoming.append(batch)
            self._cursor = batch.entries[-1].seq
        last = self._cursor or 0
        if not page.more and (page.missed or not self._drained or page.cursor > last):
            self._drained = True
            self._incoming.append(Drained(page.cursor, last))
            self._cursor = page.cursor  # behind what is gone, if nothing is left for this device
        self._wake.set()

    async def _sync(self, wait_s: int) -> _Page:
        params = {"limit": "256", "wait_s": str(wait_s)}
        if self._cursor is not None:
            params["cursor"] = str(self._cursor)
        page: _Page = await self._api.call(
            "GET", "/v1/sync", params=params, timeout_s=wait_s + 30, shape=_Page
        )
        return page

    async def _poll(self) -> None:
        ends = asyncio.get_running_loop().time() + self._lifetime_s
        try:
            while asyncio.get_running_loop().time() < ends:
                self._deliver(await self._sync(self._wait_s if self._drained else 0))
            self._fail(TransportClosed("going_away", reconnect_after_ms=0))
        except RoostError as exc:
            self._fail(_closed(exc))
        except ValueError:
            self._fail(TransportClosed("bad_frame", reconnect_after_ms=5000))

    async def _post(self, frame: ClientFrame) -> None:
        async with self._slots:
            if isinstance(frame, Send):
                self._incoming.append(await self._post_send(frame))
                self._wake.set()
                return
            try:
                await self._post_other(frame)
            except RoostError as exc:
                self._fail(_closed(exc))

    async def _post_send(self, frame: Send) -> Accepted | Rejected:
        try:
            answer = await self._api.call("POST", "/v1/messages", send_body(frame), shape=_Sent)
            return Accepted(answer.id, answer.seq, answer.accepted_at_ms)
        except RoostError as exc:
            devices = {name: exc.extra.get(name) for name in _MISMATCH}
            return Rejected(frame.id, exc.code.word, exc.detail, exc.retry_after_s, **devices)

    async def _post_other(self, frame: ClientFrame) -> None:
        match frame:
            case Ack(seq=seq):
                await self._api.call("POST", "/v1/acks", {"seq": seq}, shape=Empty)
            case Read(peer=peer, seq=seq):
                await self._api.call("POST", "/v1/reads", {"peer": peer, "seq": seq}, shape=Empty)
            case Typing(peer=peer, state=state):
                await self._api.call("POST", "/v1/typing", {"peer": peer, "state": state}, shape=Empty)
            case _:
                return


def _start(page: _Page) -> int:
    """Return the stored cursor: only the first entry's ``prev`` can tell it; 0 if some before it are gone."""
    if page.missed:
        return 0
    batch = decode_entries(_CODEC, page.entries)
    return batch.entries[0].prev if batch.entries else page.cursor


def send_body(frame: Send) -> dict[str, object]:
    """Return the JSON body of ``POST /v1/messages`` for a ``send`` frame."""
    body: dict[str, object] = {
        "id": frame.id,
        "to": frame.to,
        "sent_at_ms": frame.sent_at_ms,
        "suite": frame.suite,
        "payloads": {device: unpadded(payload) for device, payload in frame.payloads.items()},
        "urgent": frame.urgent,
    }
    if frame.expires_in_s is not None:
        body["expires_in_s"] = frame.expires_in_s
    if frame.own is not None:
        body["own"] = {device: unpadded(payload) for device, payload in frame.own.items()}
    if frame.silent:
        body["silent"] = True
    return body


def _closed(exc: RoostError) -> TransportClosed:
    after_ms = None if exc.retry_after_s is None else int(exc.retry_after_s * 1000)
    over = exc.code.word in SESSION_OVER | {"forbidden"}
    return TransportClosed(exc.code.word, final=over, reconnect_after_ms=after_ms)
