"""The connection to the server: opened, read, and opened again after a pause until the session is over."""

import asyncio
from typing import Protocol

from roost.client import events
from roost.client.core import Session
from roost.client.effects import Effect
from roost.client.options import Options
from roost.client.shell.outgoing import Outgoing
from roost.client.transport import (
    SESSION_OVER,
    PollTransport,
    StreamTransport,
    Transport,
    TransportClosed,
)
from roost.client.transport.http import Api
from roost.errors import RoostError
from roost.wire import Hello, Pong, Ready

_FIRST_BACKOFF_S = 0.25
_LONGEST_BACKOFF_S = 30.0
_HANDSHAKES = 2
_READY_S = 30.0
_DISPLACED_MS = 5000
_LONGEST_ADVICE_MS = 3_600_000
_STABLE_S = 1.0
"""A session that lasts so long is a good one: the next pause is the shortest again.

One that ends at once may end for what this client sends, and would do so several times a second.
"""


class Owner(Protocol):
    """What a connection reports to."""

    def now_ms(self) -> int:
        """Return the time on the server's clock."""
        ...

    def apply(self, effects: list[Effect]) -> None:
        """Perform the effects of a frame."""
        ...

    def tell(self, event: events.Event) -> None:
        """Tell the app of an event."""
        ...

    def arm_renewal(self) -> None:
        """Set the timer of the next token renewal."""
        ...


class Connection:
    """One connection after another, over the stream or over HTTP.

    Args:
        session: The core that frames go to.
        api: Tokens, and the HTTP transport's calls.
        options: How to connect.
        device_id: This device.
        outgoing: Writes to the open connection.
        owner: Performs what the core asks for.
    """

    def __init__(
        self,
        session: Session,
        api: Api,
        options: Options,
        *,
        device_id: str,
        outgoing: Outgoing,
        owner: Owner,
    ) -> None:
        self._session = session
        self._api = api
        self._options = options
        self._device_id = device_id
        self._outgoing = outgoing
        self._owner = owner
        self._restart = False
        self._handshakes_failed = 0
        self._ready_at_s: float | None = None

    def restart(self) -> None:
        """Reconnect at once: entries are missing."""
        self._restart = True

    async def run(self) -> str:
        """Stay connected; return the code word for which the session is over."""
        failures = 0
        while True:
            closed, lasted_s = await self._connect_once()
            failures = 0 if lasted_s >= _STABLE_S else failures + 1
            final = closed.final or closed.code in SESSION_OVER
            if closed.code == "cursor_invalid":
                self._session.lose_cursor()
                final = False
            if closed.code == "unauthenticated":
                final = not await self._renewed()
            if final:
                return closed.code
            self._owner.tell(events.Disconnected(closed.code, final=False))
            await asyncio.sleep(
                pause_s(closed, failures, int.from_bytes(self._options.random(2), "big") / 65536)
            )

    async def _connect_once(self) -> tuple[TransportClosed, float]:
        """Connect, and return how it ended and for how many seconds the session was up."""
        self._ready_at_s = None
        transport: Transport | None = None
        try:
            token = await self._api.fresh_token()
            self._restart = False
            transport = self._make_transport()
            await transport.open(Hello(token, self._session.cursor, self._options.background))
            self._outgoing.attach(transport)
            closed = await self._read(transport)
        except TransportClosed as exc:
            self._handshakes_failed += exc.code == "handshake"
            if exc.code == "too_large":
                self._owner.apply(self._session.outbox.refuse_largest(self._owner.now_ms()))
            closed = exc
        except RoostError as exc:
            closed = TransportClosed(exc.code.word)
        except TimeoutError:
            closed = TransportClosed("unavailable")
        finally:
            self._outgoing.detach()
            self._session.closed(self._owner.now_ms())
            if transport is not None:
                await transport.close()
        return closed, 0.0 if self._ready_at_s is None else self._loop_s() - self._ready_at_s

    async def _read(self, transport: Transport) -> TransportClosed:
        """Handle frames until a fresh start is wanted; a connection that is gone is an exception."""
        while not self._restart:
            async with asyncio.timeout(_READY_S if self._ready_at_s is None else None):
                frames = await transport.read()
            for frame in frames:
                if isinstance(frame, Ready | Pong):
                    self._api.time.learn(frame.server_time_ms)
                if isinstance(frame, Ready):
                    self._ready_at_s, self._handshakes_failed = self._loop_s(), 0
                self._owner.apply(self._session.received(frame, self._owner.now_ms()))
        return TransportClosed("resync", reconnect_after_ms=0)

    @staticmethod
    def _loop_s() -> float:
        return asyncio.get_running_loop().time()

    def _make_transport(self) -> Transport:
        if self._options.transport is not None:
            return self._options.transport()
        http_only = self._options.mode == "poll"
        blocked = self._options.mode == "auto" and self._handshakes_failed >= _HANDSHAKES
        if http_only or blocked:
            self._handshakes_failed = 0
            return PollTransport(self._api, self._device_id)
        return StreamTransport(self._api.http, self._api.base, self._options.subprotocol)

    async def _renewed(self) -> bool:
        try:
            await self._api.refresh(self._api.tokens.access)
        except RoostError as exc:
            return exc.code.retry == "later"
        self._owner.arm_renewal()
        return True


def pause_s(closed: TransportClosed, failures: int, luck: float) -> float:
    """Return the seconds until a connection is tried again.

    Args:
        closed: How the last one ended; what the server advises there counts up to an hour.
        failures: How many have ended at once, one after the other.
        luck: Random number, 0-1: spreads the returns.
    """
    if closed.code == "resync":
        return 0.0
    advised_ms = closed.reconnect_after_ms
    if advised_ms is None:
        advised_ms = _DISPLACED_MS if closed.code == "displaced" else 0
    ceiling: float = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2 ** min(failures, 10))
    return min(max(advised_ms, 0), _LONGEST_ADVICE_MS) / 1000 + ceiling * luck
