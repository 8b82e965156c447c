"""The requests of a client beside the stream: keys, the state of messages, fresh tokens.

One task per client makes them all and merges those that wait: up to a hundred peers are one key query. A
query that the server cannot answer is split, until it is known who of its peers is to blame.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from msgspec import Struct, structs

from roost.client.core.lane import pause_ms
from roost.client.effects import Check
from roost.client.transport import SESSION_OVER
from roost.client.transport.http import Api
from roost.client.transport.keys import FoundKeys, KeyCalls
from roost.errors import RoostError

PEERS_AT_ONCE = 100
"""Peers in one key query; the server takes more, if their addresses fit its body limit."""

_PARALLEL = 8


class _MessageState(Struct):
    id: str
    seq: int
    state: str


class KeyTaker(Protocol):
    """What the answers about keys go to."""

    def keys_arrived(self, peer: str, found: FoundKeys) -> None:
        """A key query was answered for this peer."""
        ...

    def keys_unavailable(self, peers: set[str]) -> None:
        """A key query got no answer; it is repeated."""
        ...

    def keys_refused(self, peer: str) -> None:
        """The server answered a query for this peer alone, and not with keys; it is not repeated."""
        ...


class Requester(Protocol):
    """What the other answers go to."""

    def check_answered(self, message_id: str, answer: dict[str, Any] | None) -> None:
        """The server's view of a message; ``None``: it knows no such message."""
        ...

    def check_unanswered(self, message_id: str) -> None:
        """A check got no answer."""
        ...

    def token_refreshed(self, token: str) -> None:
        """There is a fresh access token."""
        ...

    def session_over(self, code: str) -> None:
        """The session cannot be renewed."""
        ...

    async def publish_identity(self) -> None:
        """Make and publish this person's identity; raises as calls do."""
        ...


class Requests:
    """The queue of requests, and the loop that makes them.

    Args:
        api: Authenticated calls.
        server_name: For addresses.
        requester: Gets the answers.
        keys: Gets those about keys.
        renew_fallback: Uploads another fallback key.
    """

    def __init__(
        self,
        api: Api,
        server_name: str,
        requester: Requester,
        keys: KeyTaker,
        renew_fallback: Callable[[], Awaitable[None]],
    ) -> None:
        self._api = api
        self._keys = KeyCalls(api, server_name)
        self._requester, self._taker = requester, keys
        self._peers: set[str] = set()
        self._checks: dict[str, Check] = {}
        self._renew_fallback = renew_fallback
        self._renew = self._forced = self._refill = self._identity = False
        self._wake = asyncio.Event()
        self._failures = 0

    def want_keys(self, peer: str) -> None:
        """Ask for this user's devices."""
        self._peers.add(peer)
        self._wake.set()

    def want_check(self, check: Check) -> None:
        """Ask for the state of this message."""
        self._checks[check.id] = check
        self._wake.set()

    def want_token(self, *, force: bool = False) -> None:
        """Refresh the access token if it is time to, or in any case."""
        self._renew = True
        self._forced |= force
        self._wake.set()

    def want_identity(self) -> None:
        """Have this person's identity made and published, if that is due."""
        self._identity = True
        self._wake.set()

    def want_fallback(self) -> None:
        """Upload another fallback key."""
        self._refill = True
        self._wake.set()

    async def run(self) -> None:
        """Ask until cancelled; what gets no answer is asked again after a growing pause."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            failed = False
            for request in (
                self._ask_token,
                self._ask_keys,
                self._ask_checks,
                self._publish_identity,
                self._fill_up,
            ):
                failed |= not await self._answered(request)
            self._failures = self._failures + 1 if failed else 0
            if failed:
                self._wake.set()
                await asyncio.sleep(pause_ms(self._failures) / 1000)

    async def _answered(self, request: Callable[[], Awaitable[None]]) -> bool:
        try:
            await request()
        except RoostError as exc:
            if exc.code.word in SESSION_OVER:
                self._renew = False
                self._requester.session_over(exc.code.word)
            return False
        return True

    async def _ask_token(self) -> None:
        if self._renew:
            api = self._api
            token = await (api.refresh(api.tokens.access) if self._forced else api.fresh_token())
            self._renew = self._forced = False
            self._requester.token_refreshed(token)

    async def _publish_identity(self) -> None:
        if self._identity:
            await self._requester.publish_identity()
            self._identity = False

    async def _fill_up(self) -> None:
        if self._refill:
            await self._renew_fallback()
            self._refill = False

    async def _ask_keys(self) -> None:
        wanted, self._peers = sorted(self._peers), set()
        groups = deque(wanted[at : at + PEERS_AT_ONCE] for at in range(0, len(wanted), PEERS_AT_ONCE))
        while groups:
            some = groups.popleft()
            try:
                answer = await self._keys.query(set(some))
            except RoostError as exc:
                if not _concerns_peers(exc):
                    rest = set(some).union(*groups)
                    self._peers |= rest
                    self._taker.keys_unavailable(rest)
                    raise
                if len(some) == 1:
                    self._taker.keys_refused(some[0])
                else:
                    groups.extendleft([some[len(some) // 2 :], some[: len(some) // 2]])
                continue
            for peer, found in answer.items():
                self._taker.keys_arrived(peer, found)

    async def _ask_checks(self) -> None:
        checks, self._checks = list(self._checks.values()), {}
        for start in range(0, len(checks), _PARALLEL):
            await asyncio.gather(*(self._ask_check(check) for check in checks[start : start + _PARALLEL]))

    async def _ask_check(self, check: Check) -> None:
        try:
            params = {"to": check.to}
            answer = await self._api.call(
                "GET", f"/v1/messages/{check.id}", params=params, shape=_MessageState
            )
        except RoostError as exc:
            if exc.code.word == "unknown_message":
                self._requester.check_answered(check.id, None)
            else:
                self._requester.check_unanswered(check.id)
            return
        self._requester.check_answered(check.id, structs.asdict(answer))


def _concerns_peers(exc: RoostError) -> bool:
    """Return whether an error may be due to what was asked, not to the server's state or the session's."""
    return exc.code.word == "internal" or (exc.code.retry == "never" and exc.code.word not in SESSION_OVER)
