"""The shell of one WebSocket stream: reads frames, performs the session's actions, hears its host."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, ClassVar, Literal

import structlog
from msgspec import Raw

from actors.rpc import messages as m
from actors.rpc.link import Link
from api.identity.tokens import Principal
from api.stream import actions as do
from api.stream.requests import Requests
from api.stream.services import Displaced, StreamServices
from api.stream.session import StreamSession
from api.stream.writer import FrameWriter, Send
from roost import wire
from roost.codes import CODES
from roost.errors import RoostError
from storage.account_rows import KeySupply
from telemetry import traces

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_KEYS_S = 2.0
"""So long ``ready`` waits for the number of keys; then it goes without."""

_WORDS = {code.close: code.word for code in CODES.values()}

log = structlog.get_logger(__name__)


class Stream:
    """One socket; see `api.host_links.Streamed` and `api.stream.presence_subscriptions.Follower`.

    Attributes:
        session: Its rules.
        serial: Number of the connection at this gateway.
        client: Where it comes from.
    """

    writer_class: ClassVar[type[FrameWriter]] = FrameWriter
    requests_class: ClassVar[type[Requests]] = Requests

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
        self._services, self._codec, self._receive = services, codec, receive
        self._authenticated = authenticated
        self.session = StreamSession(
            codec,
            services.verify,
            services.wait,
            now_ms=services.clock(),
            spread_ms=services.spread(),
            by_header=by_header,
        )
        self._writer = self.writer_class(codec, send, services.clock)
        self._requests = self.requests_class(services, self.session, self.perform)
        self._perform_by = self._performers()
        self.number = services.hosts.attachments.number()
        self.user = ""
        self.link: Link | None = None
        self.following: dict[str, str] = {}
        self._supply: KeySupply | None = None
        self._ready: wire.Ready | None = None
        self.serial = 0
        self.client: tuple[str, int] | None = None

    @property
    def subprotocol(self) -> str:
        """How frames are written on this socket."""
        return next(name for name, codec in wire.CODECS.items() if codec is self._codec)

    @property
    def queued_bytes(self) -> int:
        """See `FrameWriter.queued_bytes`."""
        return self._writer.queued_bytes

    def stuck_ms(self, now_ms: int) -> int:
        """See `FrameWriter.stuck_ms`."""
        return self._writer.stuck_ms(now_ms)

    async def run(self) -> None:
        """Serve the socket until either side ends it."""
        reader = asyncio.create_task(self._read())
        try:
            if not await self._writer.run():
                self._services.ended["too_slow"] += 1
                self.session.end("too_slow", "The client does not read what is sent to it.")
                await self._writer.close_unread()
        except OSError as exc:
            log.debug("stream_lost", error=repr(exc))
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)  # it handles its own failures
            await self._requests.cancel()

    # --- from the client ---

    async def _read(self) -> None:
        try:
            await self._read_frames()
        except Exception:
            log.exception("stream_failed")
            self.perform(self.session.end("internal", "Something went wrong; connect again."))

    async def _read_frames(self) -> None:
        receive, session, requests, clock = self._receive, self.session, self._requests, self._services.clock
        key, other = ("text", "bytes") if self._codec.text else ("bytes", "text")
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                self._writer.client_gone()
                return
            data = message.get(key)
            if data is None:
                self.perform(session.malformed(f"Frames of this subprotocol must not be sent as {other}."))
            else:
                frame = data.encode() if self._codec.text else data
                self.perform(session.receive(frame, clock()))
            if requests.full():
                await requests.room()

    # --- what the session decided ---

    def perform(self, actions: Sequence[do.Action]) -> None:
        """Do what the session decided."""
        for action in actions:
            self._perform_by[type(action)](action)

    def _performers(self) -> dict[type, Callable[[Any], None]]:
        attempt = self._requests.attempt
        return {
            do.Emit: self._writer.emit,
            do.Submit: self._requests.submit,
            do.Acknowledge: self._acknowledge,
            do.MarkRead: lambda action: attempt("read", self._mark_read(action)),
            do.Type: lambda action: attempt("typing", self._type(action)),
            do.Follow: lambda action: attempt("subscribe", self._follow(action)),
            do.Open: self._open,
            do.Renew: lambda action: self._authenticated(self, action.principal),
            do.Shut: self._shut,
        }

    def _shut(self, action: do.Shut) -> None:
        word = _WORDS.get(action.code, "other")
        self._services.ended[word] += 1
        if word == "displaced":
            self._services.displaced.append(Displaced(self._principal(), self._services.clock()))
        self._writer.shut(action)

    def _open(self, action: do.Open) -> None:
        self.user = action.principal.user
        self._authenticated(self, action.principal)
        self._look_for_keys(action.principal)
        self._services.hosts.attachments.add(self)

    def _look_for_keys(self, principal: Principal) -> None:
        """Find out how many keys the device has left, beside the attaching; ``ready`` waits for it."""
        self._supply = self._services.key_supplies.known(principal.user, principal.device)
        if self._supply is None:
            self._writer.hold()
            self._requests.begin(self._count_keys(principal))

    async def _count_keys(self, principal: Principal) -> None:
        try:
            async with asyncio.timeout(_KEYS_S):
                self._supply = await self._services.key_supplies.of(principal.user, principal.device)
        except (RoostError, TimeoutError) as exc:
            log.warning("keys_not_counted", device=principal.device, error=repr(exc))
        finally:
            self._complete()
            self._writer.release()

    def _complete(self) -> None:
        if self._ready is not None and self._supply is not None:
            self._ready.one_time_key_counts = self._supply.one_time
            self._ready.unused_fallback_key_types = list(self._supply.unused_fallback)

    def _acknowledge(self, action: do.Acknowledge) -> None:
        if traces.tracer is not None:
            traces.tracer.acknowledged(self.user, self._principal().device, action.seq)
        # Without a link nothing is lost: `attach` carries the highest acknowledgement.
        if self.link is not None:
            self.link.send_soon(m.Ack(self.number, action.seq))

    async def _mark_read(self, action: do.MarkRead) -> None:
        await self._services.signals.mark_read(self._principal(), action.peer, action.seq)

    async def _type(self, action: do.Type) -> None:
        await self._services.signals.typing(self._principal(), action.peer, action.state)

    async def _follow(self, action: do.Follow) -> None:
        users = await self._services.directory.ids_of(action.users)
        self._services.subscriptions.follow(self, users)

    def _principal(self) -> Principal:
        principal = self.session.login.principal
        assert principal is not None  # noqa: S101 -- the session acts after the hello only
        return principal

    # --- from the host ---

    def attach(self) -> m.Attach | None:
        """Return how to attach: as new, or where the socket stands."""
        session, principal, position = self.session, self.session.login.principal, self.session.position
        if principal is None or session.closed:
            return None
        return m.Attach(
            self.number,
            principal.user,
            principal.username,
            principal.device,
            position.resume_from,
            position.acked,
            session.background,
            position.ready,
        )

    def attached(self, cursor: int) -> None:
        """The host serves it."""
        actions = self.session.attached(cursor, self._services.clock())
        for action in actions:
            if isinstance(action.frame, wire.Ready):
                self._ready = action.frame
        self._complete()
        self.perform(actions)

    def deliver(self, entries: list[Raw], last: int) -> None:
        """Entries came."""
        if traces.tracer is not None:
            traces.tracer.went_down(self.user, self._principal().device, entries)
        self.perform(self.session.deliver(entries, last))

    def drained(self, prev: int, cursor: int) -> None:
        """The backlog is through."""
        self.perform(self.session.drained(prev, cursor))

    def missed(self) -> None:
        """Entries after the cursor were swept."""
        self.perform(self.session.missed())

    def end(self, code: str, detail: str) -> None:
        """End the stream."""
        self.perform(self.session.end(code, detail))

    def typing(self, sender_name: str, state: Literal["typing", "paused"]) -> None:
        """A peer is typing."""
        self.perform(self.session.typing(sender_name, state))

    # --- from the gateway ---

    def presence(self, username: str, *, online: bool, last_seen_ms: int | None) -> None:
        """A followed user's presence."""
        self.perform(self.session.presence(username, online=online, last_seen_ms=last_seen_ms))

    def revoked(self) -> None:
        """The session has ended."""
        self.perform(self.session.revoked())

    def tick(self, now_ms: int) -> None:
        """Let time pass."""
        self.perform(self.session.tick(now_ms))
        self._writer.tick(now_ms)
