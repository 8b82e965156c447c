"""The shell of one WebSocket stream: reads frames, performs the session's actions, writes frames.

One reader task and one writer per socket. What is ready when the writer wakes goes out together:
entries of several deliveries become one frame. A client that does not read is let go.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any, Literal

import structlog
from msgspec import Raw

from actors.rpc import messages as m
from actors.rpc.link import Link
from api.identity.tokens import Principal
from api.sending.send_request import Outcome, SendRequest, SentIds
from api.stream import actions as do
from api.stream.frames import closing, merged, message
from api.stream.services import StreamServices
from api.stream.session import StreamSession
from roost import wire
from roost.codes import CODES
from roost.errors import RoostError
from roost.tasks import BackgroundTasks
from storage.ports import Accepted

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

FRAMES_MAX = 4_000
"""Frames that may wait for a client to read."""

STUCK_MS = 15_000
"""How long a client may leave what was written unread."""

_PENDING_BYTES = 1024 * 1024
_TASKS_MAX = 64
_LAST_WORDS_S = 10.0

_WORDS = {code.close: code.word for code in CODES.values()}

log = structlog.get_logger(__name__)


class Stream:
    """One socket; see `api.host_links.Streamed` and `api.stream.presence_subscriptions.Follower`."""

    def __init__(
        self,
        services: StreamServices,
        codec: wire.Codec,
        by_header: str | None,
        receive: Receive,
        send: Send,
        authenticated: Callable[["Stream", Principal], None],
    ) -> None:
        """Begin.

        Args:
            services: What the gateway does for its streams.
            codec: How frames are written on this socket.
            by_header: The access token of the ``Authorization`` header, if there was one.
            receive: Gives the next ASGI message.
            send: Takes an ASGI message.
            authenticated: Told who speaks, at the hello and whenever the token is renewed.
        """
        self._services = services
        self._authenticated = authenticated
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
        self._shut: do.Shut | None = None
        self._tasks = BackgroundTasks()
        self.session = StreamSession(
            codec,
            services.verify,
            services.wait,
            now_ms=services.clock(),
            spread_ms=services.spread(),
            by_header=by_header,
        )
        self.number = services.hosts.attachments.number()
        self.user = ""
        self.link: Link | None = None
        self.following: dict[str, str] = {}
        self._perform_by: dict[type, Callable[[Any], None]] = {
            do.Emit: lambda action: self._emit(action.frame),
            do.Submit: self._submit,
            do.Acknowledge: self._acknowledge,
            do.MarkRead: lambda action: self._spawn(self._attempt("read", self._mark_read(action))),
            do.Type: lambda action: self._spawn(self._attempt("typing", self._type(action))),
            do.Follow: lambda action: self._spawn(self._attempt("subscribe", self._follow(action))),
            do.Open: self._open,
            do.Renew: lambda action: authenticated(self, action.principal),
            do.Shut: self._set_shut,
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
            await asyncio.gather(reader, return_exceptions=True)  # it handles its own failures
            await self._tasks.cancel()

    async def _read(self) -> None:
        try:
            await self._read_frames()
        except Exception:
            log.exception("stream_failed")
            self.perform(self.session.end("internal", "Something went wrong; connect again."))

    async def _read_frames(self) -> None:
        receive, session, clock = self._receive, self.session, self._services.clock
        key, other = ("text", "bytes") if self._codec.text else ("bytes", "text")
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self._gone = True
                self._wake_writer()
                return
            data = message.get(key)
            if data is None:
                self.perform(session.malformed(f"Frames of this subprotocol must not be sent as {other}."))
            else:
                frame = data.encode() if self._codec.text else data
                self.perform(session.receive(frame, clock()))
            while self._has_enough():
                self._room = asyncio.get_running_loop().create_future()
                await self._room

    def _has_enough(self) -> bool:
        """Return whether to stop reading, so that the client waits until what it asked for is answered."""
        return (
            self._pending >= self._services.sender.gate.admission.bounds.device
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
                self._writing_ms = self._services.clock()
                for frame in merged(out):
                    await send(message(encode(frame), text=self._codec.text))
                self._writing_ms = 0
            elif self._shut is not None:
                await send(closing(self._shut))
                return
            else:
                self._wake = asyncio.get_running_loop().create_future()
                await self._wake

    async def _close_unread(self) -> None:
        """Tell a client that does not read, if it begins to within a moment."""
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._send(closing(do.Shut(4408, "The client does not read what is sent to it.")))
        except (TimeoutError, OSError) as exc:
            log.debug("slow_stream_dropped", error=repr(exc))

    def _wake_writer(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    # --- actions ---

    def perform(self, actions: list[do.Action]) -> None:
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
        self._services.ended["too_slow"] += 1
        self.session.end("too_slow", "The client does not read what is sent to it.")
        self._out.clear()
        if self._patience is not None:
            self._patience.reschedule(asyncio.get_running_loop().time())

    def _set_shut(self, action: do.Shut) -> None:
        self._shut = action
        self._services.ended[_WORDS.get(action.code, "other")] += 1
        self._wake_writer()

    def _open(self, action: do.Open) -> None:
        self.user = action.principal.user
        self._authenticated(self, action.principal)
        self._services.hosts.attachments.add(self)

    def _acknowledge(self, action: do.Acknowledge) -> None:
        # Without a link nothing is lost: `attach` carries the highest acknowledgement.
        if self.link is not None:
            self.link.send_soon(m.Ack(self.number, action.seq))

    def _submit(self, action: do.Submit) -> None:
        principal = self.session.principal
        assert principal is not None  # noqa: S101 -- the session submits after the hello only
        item = SendRequest(principal, action.frame, lambda outcome: self._answer(message_id, size, outcome))
        item.ids = self._ids
        message_id, size = action.frame.id, item.size
        self._pending += 1
        self._pending_bytes += size
        self._services.sender.submit(item)

    def _answer(self, message_id: str, size: int, outcome: Outcome) -> None:
        self._pending -= 1
        self._pending_bytes -= size
        self._make_room()
        if isinstance(outcome, Accepted):
            self.perform(self.session.answered(message_id, outcome.seq, outcome.accepted_at_ms))
        else:
            self.perform(self.session.refused(message_id, outcome))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.spawn(work).add_done_callback(lambda _: self._make_room())

    async def _attempt(self, frame: str, work: Awaitable[None]) -> None:
        """Do what a frame asks for, and tell the client if it fails."""
        try:
            await work
        except RoostError as exc:
            self.perform(self.session.failed(frame, exc))
        except Exception:
            log.exception("frame_failed", frame=frame)
            error = RoostError("internal", "Something went wrong; the frame may have had no effect.")
            self.perform(self.session.failed(frame, error))

    async def _mark_read(self, action: do.MarkRead) -> None:
        await self._services.signals.mark_read(self._principal(), action.peer, action.seq)

    async def _type(self, action: do.Type) -> None:
        await self._services.signals.typing(self._principal(), action.peer, action.state)

    async def _follow(self, action: do.Follow) -> None:
        users = await self._services.directory.ids_of(action.users)
        self._services.subscriptions.follow(self, users)

    def _principal(self) -> Principal:
        principal = self.session.principal
        assert principal is not None  # noqa: S101 -- the session acts after the hello only
        return principal

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
        self.perform(self.session.attached(cursor, self._services.clock()))

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
        """A peer is typing."""
        self.perform(self.session.typing(sender_name, state))

    def presence(self, username: str, *, online: bool, last_seen_ms: int | None) -> None:
        """A followed user's presence."""
        self.perform(self.session.presence(username, online=online, last_seen_ms=last_seen_ms))

    def revoked(self) -> None:
        """The session has ended."""
        self.perform(self.session.revoked())

    def tick(self, now_ms: int) -> None:
        """Let time pass."""
        self.perform(self.session.tick(now_ms))
        if self._writing_ms and now_ms - self._writing_ms > STUCK_MS:
            self._writing_ms = 0
            self._give_up()
