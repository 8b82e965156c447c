"""The rules of one WebSocket stream: client frames and host events in, actions out.

Here live what a frame leads to, what is refused with which code, and how a stream ends; `login` has who
speaks, `position` what may be acknowledged. Not here: asyncio, logging, sockets, a clock.
"""

from collections.abc import Callable
from typing import Any, Literal

from msgspec import Raw

from api.identity.tokens import Principal
from api.stream import actions as do
from api.stream.frames import rejected
from api.stream.login import Login, Verify
from api.stream.position import Position
from roost import wire
from roost.codes import CODES
from roost.errors import RoostError
from roost.ids import SEQ_LIMIT

_CLOSE_LATER = 4001
_CLOSE_NEVER = 4500
_DISPLACED_MS = 30_000
_RECONNECT_MS = 1_000

Wait = Callable[[str, Principal, int], float]
"""Takes a token of the named limiter at a time: 0.0, or the seconds to wait."""


class StreamSession:
    """One stream's rules.

    Attributes:
        login: Who speaks.
        position: What went down, and what was acknowledged.
        background: Sync without showing the user online.
        closed: Nothing is accepted or emitted.
    """

    __slots__ = (
        "_decode", "_handlers", "_now", "_spread", "_wait", "background", "closed", "login", "position",
    )  # fmt: skip

    def __init__(
        self,
        codec: wire.Codec,
        verify: Verify,
        wait: Wait,
        *,
        now_ms: int,
        spread_ms: int,
        by_header: str | None = None,
    ) -> None:
        """Begin.

        Args:
            codec: How frames are written on this socket.
            verify: Checks tokens.
            wait: Takes from limiters.
            now_ms: Unix milliseconds.
            spread_ms: Random number, 0-1,000: spreads the reconnects of many clients.
            by_header: The access token of the ``Authorization`` header, if there was one.
        """
        self.login = Login(verify, now_ms=now_ms, by_header=by_header)
        self.position = Position()
        self.background = False
        self.closed = False
        self._decode = codec.decode_client
        self._wait = wait
        self._now = now_ms
        self._spread = spread_ms
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
        if self.login.principal is not None:
            return self._handlers[type(frame)](frame)
        if isinstance(frame, wire.Hello):
            return self._hello(frame)
        opened = self._without_hello()
        return opened if self.closed else opened + self._handlers[type(frame)](frame)

    def malformed(self, detail: str) -> list[do.Action]:
        """Take note of a message of the wrong kind (text for binary or the reverse)."""
        return self.end("bad_frame", detail)

    def _hello(self, frame: wire.Hello) -> list[do.Action]:
        try:
            principal = self.login.hello(frame)
        except RoostError as exc:
            return self.end(exc.code.word, exc.detail)
        if frame.cursor is not None and not 0 <= frame.cursor < SEQ_LIMIT:
            return self.end("cursor_invalid", "cursor is not a position in this mailbox.")
        return self._open(principal, frame.cursor, background=frame.background)

    def _without_hello(self) -> list[do.Action]:
        try:
            principal = self.login.without_hello()
        except RoostError as exc:
            return self.end(exc.code.word, exc.detail)
        if principal is None:
            return self.end("bad_frame", "The first frame must be a hello.")
        return self._open(principal, None, background=False)

    def _open(self, principal: Principal, cursor: int | None, *, background: bool) -> list[do.Action]:
        self.background = background
        self.position.begin(cursor)
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
        position = self.position
        if not 0 <= frame.seq <= position.top:
            return self._problem("ack", "cursor_invalid", "seq is beyond what was sent on this stream.")
        if frame.seq <= position.acked:
            return []
        position.acked = frame.seq
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
        try:
            renewed = self.login.renewed(frame.token)
        except RoostError as exc:
            return self._problem("auth", exc.code.word, exc.detail)
        if not self.login.is_same(renewed):
            return self.end("forbidden", "The access token belongs to another user or device.")
        return [do.Renew(self.login.accept(renewed))]

    # --- from the accept path ---

    def answered(self, message_id: str, seq: int, accepted_at_ms: int) -> list[do.Action]:
        """The message is durable."""
        return [] if self.closed else [do.Emit(wire.Accepted(message_id, seq, accepted_at_ms))]

    def refused(self, message_id: str, error: RoostError) -> list[do.Action]:
        """The message was not accepted."""
        return [] if self.closed else [do.Emit(rejected(message_id, error))]

    def failed(self, frame: str, error: RoostError) -> list[do.Action]:
        """A frame that is not a send was refused later on."""
        return self._problem(frame, error.code.word, error.detail, error.retry_after_s)

    # --- from the host ---

    def attached(self, stored: int, now_ms: int) -> list[do.Emit]:
        """The host serves the stream; on a resume the client notices nothing."""
        principal = self.login.principal
        if self.closed or principal is None:
            return []
        begins = self.position.attached(stored)
        return [] if begins is None else [do.Emit(wire.Ready(principal.device, begins, now_ms))]

    def deliver(self, entries: list[Raw], last: int) -> list[do.Action]:
        """Entries came; those of before a resume are not repeated."""
        if self.closed or not self.position.delivered(last):
            return []
        return [do.Emit(wire.Entries(entries))]

    def drained(self, prev: int, cursor: int) -> list[do.Action]:
        """The backlog is through; told once, and again where the client is to go on from further ahead."""
        if self.closed or not self.position.drained(cursor):
            return []
        return [do.Emit(wire.Drained(cursor, prev))]

    def missed(self) -> list[do.Action]:
        """Entries after the cursor were swept."""
        return [] if self.closed or not self.position.ready else [do.Emit(wire.Missed())]

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
        login = self.login
        try:
            if login.principal is None:
                principal = login.overdue(now_ms)
                return [] if principal is None else self._open(principal, None, background=False)
            left_s = login.expiring(login.principal, now_ms)
        except RoostError as exc:
            return self.end(exc.code.word, exc.detail)
        return [] if left_s is None else [do.Emit(wire.TokenExpiring(left_s))]

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
        principal = self.login.principal
        assert principal is not None  # noqa: S101 -- handlers run after the hello only
        return self._wait(limiter, principal, self._now)
