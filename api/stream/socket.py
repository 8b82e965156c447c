"""The shell of one WebSocket stream: reads frames, performs the session's actions, writes frames.

One reader task and one writer per socket. What is ready when the writer wakes goes out together:
entries of several deliveries become one frame. A client that does not read is let go.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import TYPE_CHECKING, Any, Literal

import structlog
from msgspec import Raw

from actors.rpc import messages as m
from actors.rpc.link import Link
from api.identity.tokens import Principal
from api.sending.send_request import Outcome, SendRequest, SentIds
from api.stream import session as rules
from roost import wire
from roost.codes import CODES
from roost.errors import RoostError
from storage.ports import Accepted

if TYPE_CHECKING:
    from api.stream.registry import Streams

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

FRAMES_MAX = 4_000
"""Frames that may wait for a client to read."""

STUCK_MS = 15_000
"""How long a client may leave what was written unread."""

_PENDING_BYTES = 1024 * 1024
_TASKS_MAX = 64
_ENTRIES_BYTES = 256 * 1024
_LAST_WORDS_S = 10.0

_WORDS = {code.close: code.word for code in CODES.values()}

log = structlog.get_logger(__name__)


class Stream:
    """One socket; see `api.host_links.Streamed` and `api.stream.presence_subscriptions.Follower`."""

    def __init__(
        self, streams: "Streams", codec: wire.Codec, by_header: Principal | None, receive: Receive, send: Send
    ) -> None:
        self._streams = streams
        self._codec = codec
        self._receive = receive
        self._send = send
        self._out: list[wire.ServerFrame] = []
        self._wake: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._patience: asyncio.Timeout | None = None
        self._writing_ms = 0
        self._pending = 0
        self._pending_bytes = 0
        self._ids = SentIds()
        self._gone = False
        self._shut: rules.Shut | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.session = rules.StreamSession(
            codec,
            streams.verify,
            streams.wait,
            now_ms=streams.clock(),
            spread_ms=streams.spread(),
            by_header=by_header,
        )
        self.number = streams.hosts.number()
        self.user = ""
        self.link: Link | None = None
        self.following: dict[str, str] = {}
        self._perform_by: dict[type, Callable[[Any], None]] = {
            rules.Emit: lambda action: self._emit(action.frame),
            rules.Submit: self._submit,
            rules.Acknowledge: self._acknowledge,
            rules.MarkRead: lambda action: self._spawn(self._mark_read(action)),
            rules.Type: lambda action: self._spawn(self._type(action)),
            rules.Follow: lambda action: self._spawn(self._follow(action)),
            rules.Open: self._open,
            rules.Renew: lambda action: streams.index(self, action.principal),
            rules.Shut: self._set_shut,
        }

    # --- the two loops ---

    async def run(self) -> None:
        """Serve the socket until either side ends it."""
        reader = asyncio.create_task(self._read())
        try:
            async with asyncio.timeout(None) as self._patience:
                await self._write()
        except TimeoutError:
            await self._close_unread()
        except OSError as exc:
            log.debug("stream_lost", error=repr(exc))
        finally:
            reader.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(reader, *self._tasks, return_exceptions=True)
            self._streams.gone(self)

    async def _read(self) -> None:
        receive, session, streams = self._receive, self.session, self._streams
        key, other = ("text", "bytes") if self._codec.text else ("bytes", "text")
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self._gone = True
                self._wake_writer()
                return
            data = message.get(key)
            if data is None:
                self.perform(session.malformed(f"This subprotocol's frames are not sent as {other}."))
            else:
                frame = data.encode() if self._codec.text else data
                self.perform(session.receive(frame, streams.clock()))
            while self._has_enough():
                self._room = asyncio.get_running_loop().create_future()
                await self._room

    def _has_enough(self) -> bool:
        """Say whether the client is to wait, by its own TCP window, until what it asked for is answered."""
        return (
            self._pending >= self._streams.sender.gate.admission.bounds.device
            or self._pending_bytes >= _PENDING_BYTES
            or len(self._tasks) >= _TASKS_MAX
        )

    def _make_room(self) -> None:
        if self._room is not None and not self._room.done() and not self._has_enough():
            self._room.set_result(None)

    async def _write(self) -> None:
        send, encode = self._send, self._codec.encode
        while not self._gone:
            if self._out:
                out, self._out = self._out, []
                self._writing_ms = self._streams.clock()
                for frame in merged(out):
                    await send(_message(encode(frame), text=self._codec.text))
                self._writing_ms = 0
            elif self._shut is not None:
                await send(_close(self._shut))
                return
            else:
                self._wake = asyncio.get_running_loop().create_future()
                await self._wake

    async def _close_unread(self) -> None:
        """Tell a client that does not read, if it begins to within a moment."""
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._send(_close(rules.Shut(4408, "The client does not read what it is sent.")))
        except (TimeoutError, OSError) as exc:
            log.debug("slow_stream_dropped", error=repr(exc))

    def _wake_writer(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    # --- actions ---

    def perform(self, actions: list[rules.Action]) -> None:
        """Do what the session decided."""
        for action in actions:
            self._perform_by[type(action)](action)

    def _emit(self, frame: wire.ServerFrame) -> None:
        self._out.append(frame)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
        if len(self._out) > FRAMES_MAX:
            self._give_up()

    def _give_up(self) -> None:
        self._streams.ended["too_slow"] += 1
        self.session.end("too_slow", "The client does not read what it is sent.")
        self._out.clear()
        if self._patience is not None:
            self._patience.reschedule(asyncio.get_running_loop().time())

    def _set_shut(self, action: rules.Shut) -> None:
        self._shut = action
        self._streams.ended[_WORDS.get(action.code, "other")] += 1
        self._wake_writer()

    def _open(self, action: rules.Open) -> None:
        self.user = action.principal.user
        self._streams.index(self, action.principal)
        self._streams.hosts.add(self)

    def _acknowledge(self, action: rules.Acknowledge) -> None:
        # Without a link nothing is lost: `attach` carries the highest acknowledgement.
        if self.link is not None:
            self.link.send_soon(m.Ack(self.number, action.seq))

    def _submit(self, action: rules.Submit) -> None:
        principal = self.session.principal
        assert principal is not None  # noqa: S101 -- the session submits after the hello only
        item = SendRequest(principal, action.frame, lambda outcome: self._answer(message_id, size, outcome))
        item.ids = self._ids
        message_id, size = action.frame.id, item.size
        self._pending += 1
        self._pending_bytes += size
        self._streams.sender.submit(item)

    def _answer(self, message_id: str, size: int, outcome: Outcome) -> None:
        self._pending -= 1
        self._pending_bytes -= size
        self._make_room()
        if isinstance(outcome, Accepted):
            self.perform(self.session.answered(message_id, outcome.seq, outcome.accepted_at_ms))
        else:
            self.perform(self.session.refused(message_id, outcome))

    def _spawn(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._make_room()

    async def _mark_read(self, action: rules.MarkRead) -> None:
        principal = self.session.principal
        assert principal is not None  # noqa: S101 -- after the hello only
        try:
            await self._streams.mark_read(principal, action.peer, action.seq)
        except RoostError as exc:
            self.perform(self.session.failed("read", exc))

    async def _type(self, action: rules.Type) -> None:
        principal = self.session.principal
        assert principal is not None  # noqa: S101 -- after the hello only
        try:
            await self._streams.tell_typing(principal, action.peer, action.state)
        except RoostError as exc:
            self.perform(self.session.failed("typing", exc))

    async def _follow(self, action: rules.Follow) -> None:
        try:
            users = await self._streams.find(action.users)
        except RoostError as exc:
            self.perform(self.session.failed("subscribe", exc))
        else:
            self._streams.subscriptions.follow(self, users)

    # --- from the host ---

    def attach(self) -> m.Attach | None:
        """Return how to attach: as new, or where the socket stands."""
        rule, principal = self.session, self.session.principal
        if principal is None or rule.closed:
            return None
        cursor = rule.top if rule.ready else rule.cursor
        return m.Attach(
            self.number,
            principal.user,
            principal.username,
            principal.device,
            cursor,
            rule.acked,
            rule.background,
            rule.ready,
        )

    def attached(self, cursor: int) -> None:
        """The host serves it."""
        self.perform(self.session.attached(cursor, self._streams.clock()))

    def deliver(self, entries: list[Raw], last: int) -> None:
        """Entries came."""
        self.perform(self.session.deliver(entries, last))

    def drained(self, cursor: int) -> None:
        """The backlog is through."""
        self.perform(self.session.drained(cursor))

    def missed(self) -> None:
        """Entries after the cursor were swept."""
        self.perform(self.session.missed())

    def end(self, code: str, detail: str) -> None:
        """End the stream."""
        self.perform(self.session.end(code, detail))

    def typing(self, sender_name: str, state: Literal["typing", "paused"]) -> None:
        """Somebody is typing."""
        self.perform(self.session.typing(sender_name, state))

    def presence(self, username: str, *, online: bool, last_seen_ms: int | None) -> None:
        """A followed user's presence."""
        self.perform(self.session.presence(username, online=online, last_seen_ms=last_seen_ms))

    def tick(self, now_ms: int) -> None:
        """Let time pass."""
        self.perform(self.session.tick(now_ms))
        if self._writing_ms and now_ms - self._writing_ms > STUCK_MS:
            self._writing_ms = 0
            self._give_up()


def merged(frames: list[wire.ServerFrame]) -> Iterator[wire.ServerFrame]:
    """Join neighbouring entries frames, and split them where one would get too long for a client."""
    entries: list[Raw] = []
    size = 0
    for frame in frames:
        if isinstance(frame, wire.Entries):
            for entry in frame.entries:
                length = memoryview(entry).nbytes
                if entries and (size + length > _ENTRIES_BYTES or len(entries) >= wire.WINDOW):
                    yield wire.Entries(entries)
                    entries, size = [], 0
                entries.append(entry)
                size += length
            continue
        if entries:
            yield wire.Entries(entries)
            entries, size = [], 0
        yield frame
    if entries:
        yield wire.Entries(entries)


def _message(data: bytes, *, text: bool) -> dict[str, Any]:
    if text:
        return {"type": "websocket.send", "text": data.decode()}
    return {"type": "websocket.send", "bytes": data}


def _close(shut: rules.Shut) -> dict[str, Any]:
    # A close frame carries at most 123 bytes of reason (RFC 6455, section 5.5).
    return {"type": "websocket.close", "code": shut.code, "reason": shut.reason[:60]}
