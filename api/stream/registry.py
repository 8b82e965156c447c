"""All WebSocket streams of a gateway: begun, counted, told of ended sessions, closed in the end."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from actors.rpc import messages as m
from api.host_links import HostLinks
from api.identity.directory import Directory
from api.identity.limits import Limits
from api.identity.revocation import Revocations
from api.identity.tokens import Principal, Tokens
from api.sending.accept import Sender
from api.stream.presence_subscriptions import PresenceSubscriptions
from api.stream.socket import Receive, Send, Stream
from roost import wire
from roost.clock import Clock
from roost.codes import CODES
from roost.errors import RoostError
from roost.ids import fold_username

_SPREAD_MS = 1_000
_GOODBYE_S = 2.0


class StreamCollaborators(msgspec.Struct, frozen=True):
    """What streams need."""

    tokens: Tokens
    revocations: Revocations
    limits: Limits
    sender: Sender
    hosts: HostLinks
    directory: Directory
    clock: Clock


class Streams:
    """The registry.

    Attributes:
        opened: Streams begun.
        ended: Streams ended by us, by code word; ``other`` for words without a close code of their own.
    """

    def __init__(self, parts: StreamCollaborators) -> None:
        self.sender, self.hosts, self.clock = parts.sender, parts.hosts, parts.clock
        self.subscriptions = PresenceSubscriptions(parts.hosts)
        self.opened = 0
        words = [code.word for code in CODES.values() if code.close is not None]
        self.ended: Counter[str] = Counter(dict.fromkeys([*words, "other"], 0))
        self._parts = parts
        self._all: set[Stream] = set()
        self._families: dict[str, set[Stream]] = {}
        self._family_of: dict[Stream, str] = {}
        self._stopping = False
        parts.revocations.listen(self._revoked)
        parts.hosts.on_presence(self.subscriptions.heard, self.subscriptions.linked)

    def __len__(self) -> int:
        return len(self._all)

    async def serve(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Serve one WebSocket connection (an ASGI application)."""
        await receive()  # websocket.connect
        offered = scope.get("subprotocols", [])
        chosen = next((name for name in offered if name in wire.CODECS), None)
        if self._stopping or (offered and chosen is None):
            await send({"type": "websocket.close", "code": 4000})
            return
        by_header, problem = self._header(scope["headers"])
        await send({"type": "websocket.accept", "subprotocol": chosen})
        stream = Stream(self, wire.CODECS[chosen or wire.JSON], by_header, receive, send)
        self._all.add(stream)
        self.opened += 1
        if problem is not None:
            stream.end(problem.code.word, problem.detail)
        await stream.run()

    async def tick(self) -> None:
        """Let time pass on every stream, once a second, for ever."""
        while True:
            await asyncio.sleep(1.0)
            now = self.clock()
            for stream in list(self._all):
                stream.tick(now)

    async def close(self) -> None:
        """Say goodbye to everybody, and wait a moment for it to get through."""
        self._stopping = True
        for stream in list(self._all):
            stream.end("going_away", "This server is stopping.")
        try:
            async with asyncio.timeout(_GOODBYE_S):
                while self._all:  # noqa: ASYNC110 -- once in a gateway's life
                    await asyncio.sleep(0.02)
        except TimeoutError:
            return  # what is left is closed with the listener

    # --- for streams ---

    def verify(self, token: str) -> Principal:
        """Return who a token speaks for; raises if it is not valid, or its session was ended."""
        principal = self._parts.tokens.verify(token)
        self._parts.revocations.check(principal.family)
        return principal

    def wait(self, limiter: str, principal: Principal, now_ms: int) -> float:
        """Take a token of a local limiter."""
        wait_s = self._parts.limits.wait_s(limiter, principal.device, now_ms)
        return self.sender.gate.limit(principal.device, wait_s) if wait_s and limiter == "sends" else wait_s

    def spread(self) -> int:
        """Return a random number of milliseconds, 0-1,000."""
        return secrets.randbelow(_SPREAD_MS)

    def index(self, stream: Stream, principal: Principal) -> None:
        """Know the stream by its session."""
        self._unindex(stream)
        self._family_of[stream] = principal.family
        self._families.setdefault(principal.family, set()).add(stream)

    def gone(self, stream: Stream) -> None:
        """The socket is closed."""
        self._all.discard(stream)
        self._unindex(stream)
        self.subscriptions.follow(stream, {})
        self.hosts.remove(stream)

    async def mark_read(self, principal: Principal, peer: str, seq: int) -> None:
        """Pass on how far the user has read."""
        users = await self.find([peer])
        if not users:
            raise RoostError("unknown_user", f"There is no user {peer[:64]!r}.")
        ((name, user),) = users.items()
        await self.hosts.ask(
            principal.user, m.ReadUpTo(0, principal.user, principal.username, user, name, seq)
        )

    async def tell_typing(self, principal: Principal, peer: str, state: Literal["typing", "paused"]) -> None:
        """Pass on that the user types; lost if the peer's host is away, as typing may be."""
        users = await self.find([peer])
        if not users:
            raise RoostError("unknown_user", f"There is no user {peer[:64]!r}.")
        (user,) = users.values()
        self.hosts.tell(user, m.Typing(user, principal.user, principal.username, state))

    async def find(self, names: Iterable[str]) -> dict[str, str]:
        """Return ``{username: user id}`` of those that exist."""
        folded = []
        for name in names:
            try:
                folded.append(fold_username(name))
            except ValueError:
                continue
        people = await self._parts.directory.people(folded)
        return {name: person.user for name, person in people.items()}

    # --- inside ---

    def _header(self, headers: list[tuple[bytes, bytes]]) -> tuple[Principal | None, RoostError | None]:
        value = next((value for name, value in headers if name == b"authorization"), None)
        if value is None:
            return None, None
        scheme, _, token = value.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None, RoostError("unauthenticated", "The Authorization header is not 'Bearer TOKEN'.")
        try:
            return self.verify(token.strip()), None
        except RoostError as exc:
            return None, exc

    def _unindex(self, stream: Stream) -> None:
        family = self._family_of.pop(stream, None)
        if family is not None:
            streams = self._families[family]
            streams.discard(stream)
            if not streams:
                del self._families[family]

    def _revoked(self, family: str) -> None:
        for stream in list(self._families.get(family, ())):
            stream.perform(stream.session.revoked())
