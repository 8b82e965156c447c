"""The rules of one WebSocket stream: client frames and host events in, actions out.

Here live the hello-first rule, the life of the token, what may be acknowledged, what is refused
with which code. Here must not live: asyncio, logging, sockets, a clock; times come with events.
"""

from collections.abc import Callable
from typing import Any, Literal

from msgspec import Raw

from api.identity.tokens import Principal
from api.stream import actions as do
from roost import wire
from roost.codes import CODES
from roost.errors import RoostError
from roost.ids import SEQ_LIMIT

HELLO_MS = 10_000
"""Time for the first frame."""

IMPLICIT_MS = 2_000
"""A client that authenticated by header and sends no hello is attached after this."""

EXPIRING_MS = 60_000
"""How long before its token's end a client is told."""

_CLOSE_LATER = 4001
_CLOSE_NEVER = 4500
_DISPLACED_MS = 30_000
_RECONNECT_MS = 1_000
_ID_SHOWN = 64


Verify = Callable[[str], Principal]
"""Returns who an access token speaks for; raises ``RoostError`` if it is not valid or revoked."""

Wait = Callable[[str, Principal, int], float]
"""Takes a token of the named limiter at a time: 0.0, or the seconds to wait."""


class StreamSession:
    """One stream's rules.

    Attributes:
        principal: Who speaks, None before the hello.
        closed: Nothing is accepted or emitted any more.
        top: Highest seq that went down, or the cursor it began with: what may be acknowledged.
        acked: Highest seq acknowledged on this stream.
        background: Sync without showing the user online.
        cursor: Where the client asked to begin, None: the device's stored position.
        ready: The client has had its ``ready``.
    """

    __slots__ = (
        "_by_header", "_decode", "_handlers", "_now", "_opened_ms", "_spread", "_verify", "_wait", "_warned",
        "acked", "background", "closed", "cursor", "drained_once", "principal", "ready", "top",
    )  # fmt: skip

    def __init__(
        self,
        codec: wire.Codec,
        verify: Verify,
        wait: Wait,
        *,
        now_ms: int,
        spread_ms: int,
        by_header: Principal | None = None,
    ) -> None:
        """Begin.

        Args:
            codec: How frames are written on this socket.
            verify: Checks tokens.
            wait: Takes from limiters.
            now_ms: Unix milliseconds.
            spread_ms: Random number, 0-1,000: spreads the reconnects of many clients.
            by_header: Who the ``Authorization`` header spoke for, if there was one.
        """
        self._decode = codec.decode_client
        self._verify = verify
        self._wait = wait
        self._opened_ms = now_ms
        self._now = now_ms
        self._spread = spread_ms
        self._by_header = by_header
        self._warned = False
        self._handlers: dict[type, Callable[[Any], list[do.Action]]] = {
            wire.Send: self._send,
            wire.Ack: self._ack,
            wire.Read: self._read,
            wire.Typing: self._typing,
            wire.Subscribe: self._subscribe,
            wire.Ping: self._ping,
            wire.Auth: self._auth,
            wire.Hello: self._second_hello,
        }
        self.principal: Principal | None = None
        self.closed = False
        self.ready = False
        self.drained_once = False
        self.background = False
        self.cursor: int | None = None
        self.top = 0
        self.acked = 0

    # --- from the client ---

    def receive(self, data: bytes, now_ms: int) -> list[do.Action]:
        """Take one frame's bytes."""
        if self.closed:
            return []
        self._now = now_ms
        try:
            frame = self._decode(data)
        except (ValueError, RecursionError) as exc:
            return self.end("bad_frame", f"The frame cannot be read: {exc}.")
        if self.principal is not None:
            return self._handlers[type(frame)](frame)
        if isinstance(frame, wire.Hello):
            return self._hello(frame)
        if self._by_header is not None:
            return self._open(self._by_header, None, background=False) + self._handlers[type(frame)](frame)
        return self.end("bad_frame", "The first frame must be a hello.")

    def malformed(self, detail: str) -> list[do.Action]:
        """Take note of a message of the wrong kind (text for binary or the reverse)."""
        return self.end("bad_frame", detail)

    def _hello(self, frame: wire.Hello) -> list[do.Action]:
        try:
            principal = self._verify(frame.token) if frame.token is not None else self._by_header
        except RoostError as exc:
            return self.end(exc.code.word, exc.detail)
        if principal is None:
            return self.end(
                "unauthenticated", "There is no access token, in the hello or in an Authorization header."
            )
        if frame.cursor is not None and not 0 <= frame.cursor < SEQ_LIMIT:
            return self.end("cursor_invalid", "cursor is not a position in this mailbox.")
        return self._open(principal, frame.cursor, background=frame.background)

    def _open(self, principal: Principal, cursor: int | None, *, background: bool) -> list[do.Action]:
        self.principal = principal
        self.cursor = cursor
        self.background = background
        self.top = cursor or 0
        return [do.Open(principal, cursor, background)]

    def _second_hello(self, _frame: wire.Hello) -> list[do.Action]:
        return self.end("bad_frame", "hello may be sent only once, as the first frame.")

    def _send(self, frame: wire.Send) -> list[do.Action]:
        wait = self._take("sends")
        if wait > 0:
            error = RoostError("rate_limited", "Too many messages from this device.", retry_after_s=wait)
            return self.refused(frame.id, error)
        return [do.Submit(frame)]

    def _ack(self, frame: wire.Ack) -> list[do.Action]:
        if not 0 <= frame.seq <= self.top:
            return self._problem("ack", "cursor_invalid", "seq is beyond what was sent on this stream.")
        if frame.seq <= self.acked:
            return []
        self.acked = frame.seq
        return [do.Acknowledge(frame.seq)]

    def _read(self, frame: wire.Read) -> list[do.Action]:
        if not 0 <= frame.seq < SEQ_LIMIT:
            return self._problem("read", "cursor_invalid", "seq is not a position in this mailbox.")
        wait = self._take("requests")
        if wait > 0:
            return self._problem("read", "rate_limited", "Too many frames from this device.", wait)
        return [do.MarkRead(frame.peer, frame.seq)]

    def _typing(self, frame: wire.Typing) -> list[do.Action]:
        wait = self._take("typing")
        if wait > 0:
            return self._problem("typing", "rate_limited", "Too many typing frames from this device.", wait)
        return [do.Type(frame.peer, frame.state)]

    def _subscribe(self, frame: wire.Subscribe) -> list[do.Action]:
        if len(frame.users) > wire.MAX_SUBSCRIPTIONS:
            return self._problem(
                "subscribe",
                "too_large",
                f"A stream may subscribe to at most {wire.MAX_SUBSCRIPTIONS} users; nothing was changed.",
            )
        wait = self._take("requests")
        if wait > 0:
            return self._problem("subscribe", "rate_limited", "Too many frames from this device.", wait)
        return [do.Follow(frame.users)]

    def _ping(self, _frame: wire.Ping) -> list[do.Action]:
        return [do.Emit(wire.Pong(self._now))]

    def _auth(self, frame: wire.Auth) -> list[do.Action]:
        assert self.principal is not None  # noqa: S101 -- handlers run after the hello only
        try:
            renewed = self._verify(frame.token)
        except RoostError as exc:
            return self._problem("auth", exc.code.word, exc.detail)
        if (renewed.user, renewed.device) != (self.principal.user, self.principal.device):
            return self.end("forbidden", "The access token belongs to another user or device.")
        self.principal = renewed
        self._warned = False
        return [do.Renew(renewed)]

    # --- from the accept path ---

    def answered(self, message_id: str, seq: int, accepted_at_ms: int) -> list[do.Action]:
        """The message is durable."""
        return [] if self.closed else [do.Emit(wire.Accepted(message_id, seq, accepted_at_ms))]

    def refused(self, message_id: str, error: RoostError) -> list[do.Action]:
        """The message was not accepted."""
        if self.closed:
            return []
        frame = wire.Rejected(
            id=message_id[:_ID_SHOWN],
            code=error.code.word,
            detail=error.detail,
            retry_after_s=error.retry_after_s,
            missing=error.extra.get("missing"),
            extra=error.extra.get("extra"),
        )
        return [do.Emit(frame)]

    def failed(self, frame: str, error: RoostError) -> list[do.Action]:
        """A frame that is not a send was refused later on."""
        return self._problem(frame, error.code.word, error.detail, error.retry_after_s)

    # --- from the host ---

    def attached(self, stored: int, now_ms: int) -> list[do.Action]:
        """The host serves the stream; on a resume the client notices nothing."""
        if self.ready or self.closed or self.principal is None:
            return []
        self.ready = True
        begins = stored if self.cursor is None else self.cursor
        self.top = max(self.top, begins)
        return [do.Emit(wire.Ready(self.principal.device, begins, now_ms))]

    def deliver(self, entries: list[Raw], last: int) -> list[do.Action]:
        """Entries came; those of before a resume are not repeated.

        Nothing comes before ``ready``: an attachment that was given up while its answer was on the way
        may still deliver, and the one that follows starts over.
        """
        if self.closed or not self.ready or last <= self.top:
            return []
        self.top = last
        return [do.Emit(wire.Entries(entries))]

    def drained(self, cursor: int) -> list[do.Action]:
        """The backlog is through; told once."""
        if self.closed or not self.ready or self.drained_once:
            return []
        self.drained_once = True
        self.top = max(self.top, cursor)
        return [do.Emit(wire.Drained(cursor))]

    def missed(self) -> list[do.Action]:
        """Entries after the cursor were swept."""
        return [] if self.closed or not self.ready else [do.Emit(wire.Missed())]

    def typing(self, sender_name: str, state: Literal["typing", "paused"]) -> list[do.Action]:
        """A peer is typing."""
        return [] if self.closed else [do.Emit(wire.Typing(sender_name, state))]

    def presence(self, user: str, *, online: bool, last_seen_ms: int | None) -> list[do.Action]:
        """A followed user's presence."""
        state: Literal["online", "offline"] = "online" if online else "offline"
        return [] if self.closed else [do.Emit(wire.Presence(user, state, last_seen_ms))]

    def revoked(self) -> list[do.Action]:
        """The session has ended."""
        return self.end("revoked", "The session has ended.")

    # --- time, and the end ---

    def tick(self, now_ms: int) -> list[do.Action]:
        """Let time pass."""
        self._now = now_ms
        if self.closed:
            return []
        if self.principal is None:
            return self._tick_before_hello(now_ms - self._opened_ms)
        left = self.principal.expires_ms - now_ms
        if left <= 0:
            return self.end("unauthenticated", "The access token has expired.")
        if left <= EXPIRING_MS and not self._warned:
            self._warned = True
            return [do.Emit(wire.TokenExpiring(left // 1000))]
        return []

    def _tick_before_hello(self, waited_ms: int) -> list[do.Action]:
        if self._by_header is not None and waited_ms >= IMPLICIT_MS:
            return self._open(self._by_header, None, background=False)
        if waited_ms >= HELLO_MS:
            return self.end("unauthenticated", "No hello was received within 10 s.")
        return []

    def end(self, word: str, detail: str) -> list[do.Action]:
        """Say why, and close with the registry's code; a word without one: by its retry advice."""
        if self.closed:
            return []
        self.closed = True
        code = CODES[word]
        close = code.close or (_CLOSE_LATER if code.retry == "later" else _CLOSE_NEVER)
        after = _DISPLACED_MS if word == "displaced" else _RECONNECT_MS
        last: list[do.Action] = [do.Emit(wire.Bye(word, after + self._spread)), do.Shut(close, detail)]
        if code.close is None:
            return [do.Emit(wire.Problem("hello", word, detail)), *last]
        return last

    def _problem(
        self, frame: str, word: str, detail: str, retry_after_s: float | None = None
    ) -> list[do.Action]:
        return [] if self.closed else [do.Emit(wire.Problem(frame, word, detail, retry_after_s))]

    def _take(self, limiter: str) -> float:
        assert self.principal is not None  # noqa: S101 -- handlers run after the hello only
        return self._wait(limiter, self.principal, self._now)
