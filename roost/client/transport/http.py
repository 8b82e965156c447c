"""Authenticated HTTP calls: problem documents become exceptions, and tokens are refreshed.

Only an answer in the contract's form counts as the server's. Everything else comes from something in front
of it (a proxy, an ingress, the login page of a hotel) and says nothing about the session or a message: it is
``NotRoost``, which is tried again.
"""

import asyncio
import io
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct
from multidict import CIMultiDictProxy
from yarl import URL

from roost.client.state import Tokens
from roost.client.transport.server_time import ServerTime
from roost.clock import Clock, elapsed_ms
from roost.codes import CODES
from roost.errors import RoostError, Unavailable

_REDIRECTS = range(300, 400)
_FIRST_ERROR = 400
_NO_CONTENT = 204
_TOO_LARGE = 413
_PROBLEM = "application/problem+json"
_REFRESH_AT = 0.8
_LONGEST_ADVICE_S = 3600.0
_MEMBERS = frozenset({"type", "title", "status", "code", "detail", "retry_after_s", "request_id"})

LARGE = 16 * 1024
"""Bytes of a request above which a refusal for its size is believed, whoever answers."""


class NotRoost(Unavailable):
    """Something answered that is no Roost server."""


class Empty(Struct):
    """The shape of an answer without a body (204)."""


class SessionAnswer(Struct):
    """What a log-in and a refresh are answered."""

    access_token: str
    expires_in: int
    refresh_token: str
    user_id: str
    username: str
    device_id: str


class _Problem(Struct):
    code: str
    detail: str = ""
    retry_after_s: float | None = None
    missing: list[str] | None = None
    extra: list[str] | None = None


class _Answer(Struct):
    url: URL
    status: int
    headers: CIMultiDictProxy[str]
    content: bytes


class Api:
    """Calls to one server in the name of one device.

    Args:
        server: Base URL.
        http: Connection pool; may be shared by many clients.
        clock: This machine's clock.
        tokens: The session; replaced in place when it is refreshed.
        keep: Called after the tokens have changed, before they are used.
        elapsed: This machine's clock that no one sets.

    Attributes:
        base: Where the server is: ``server``, or where that redirects to.
        time: The time on the server's clock.
    """

    def __init__(
        self,
        server: str,
        http: aiohttp.ClientSession,
        clock: Clock,
        tokens: Tokens | None = None,
        keep: Callable[[], None] = lambda: None,
        *,
        elapsed: Clock = elapsed_ms,
    ) -> None:
        self.server = self.base = server.rstrip("/")
        self.http = http
        self.tokens = tokens or Tokens()
        self.keep = keep
        self.time = ServerTime(clock, elapsed)
        self._clock = clock
        self._refreshing = asyncio.Lock()

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
        shape: Any = Any,
    ) -> Any:
        """Call with the access token, refreshed first if it is about to end, and once more on a 401.

        Args:
            method: HTTP method.
            path: Path at the server.
            body: What is sent as JSON; ``None``: nothing.
            params: The query.
            timeout_s: How long it may take.
            shape: Type of the answer, ``Empty`` if there is none: another answer is not this server's.

        Returns:
            The decoded JSON answer, ``None`` if it is empty.

        Raises:
            RoostError: The server answered with a problem document.
            Unavailable: There was no answer, or not one of a Roost server.
        """
        token = await self.fresh_token()
        try:
            return await self.bare(
                method, path, body, params=params, timeout_s=timeout_s, token=token, shape=shape
            )
        except RoostError as exc:
            if exc.code.word != "unauthenticated":
                raise
        token = await self.refresh(token)
        return await self.bare(
            method, path, body, params=params, timeout_s=timeout_s, token=token, shape=shape
        )

    async def bare(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
        token: str | None = None,
        shape: Any = Any,
    ) -> Any:
        """Call with this token or none; raises as ``call`` does."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = msgspec.json.encode(body) if body is not None else None
        options = {
            "params": params,
            "headers": headers,
            "timeout": aiohttp.ClientTimeout(total=timeout_s),
        }
        answer = await self._request(method, self.base + path, data, options)
        moved = _moved(answer, path)
        if moved is not None:
            answer = await self._request(method, moved + path, data, options)
        try:
            value = self._read(answer, shape, len(data or b""))
        except NotRoost:
            raise
        except RoostError:
            self._answered_at(moved, answer)
            raise
        self._answered_at(moved, answer)
        return value

    async def fresh_token(self) -> str:
        """Return an access token that is good for a while, refreshing it if most of its life is over."""
        if self._clock() >= self.renew_at_ms():
            return await self.refresh(self.tokens.access)
        return self.tokens.access

    def renew_at_ms(self) -> int:
        """Return when the access token should be refreshed, on this machine's clock."""
        return self.tokens.expires_at_ms - int(self.tokens.lifetime_ms * (1 - _REFRESH_AT))

    async def refresh(self, used: str) -> str:
        """Get new tokens, unless another task did since ``used`` was read; a lost reply is repeated.

        Raises:
            RoostError: The session is over (``token_reused``, ``revoked``, ...): sign in again.
            Unavailable: There was no answer, or not one of a Roost server.
        """
        async with self._refreshing:
            if self.tokens.access == used:
                body = {"refresh_token": self.tokens.refresh}
                self.adopt(await self.bare("POST", "/v1/sessions/refresh", body, shape=SessionAnswer))
            return self.tokens.access

    def adopt(self, answer: SessionAnswer) -> None:
        """Take over the tokens of a session answer and have them kept."""
        lifetime_ms = answer.expires_in * 1000
        self.tokens.access = answer.access_token
        self.tokens.refresh = answer.refresh_token
        self.tokens.lifetime_ms = lifetime_ms
        self.tokens.expires_at_ms = self._clock() + lifetime_ms
        self.keep()

    async def _request(self, method: str, url: str, data: bytes | None, options: dict[str, Any]) -> _Answer:
        body = None if data is None else io.BytesIO(data)  # which is sent in parts
        try:
            # A redirect would be followed with GET, whatever the method was.
            async with self.http.request(method, url, data=body, allow_redirects=False, **options) as answer:
                return _Answer(answer.url, answer.status, answer.headers, await answer.read())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            raise Unavailable(
                f"{self.server} is not responding ({type(exc).__name__}): is it running?"
            ) from exc

    def _answered_at(self, moved: str | None, answer: _Answer) -> None:
        self.base = moved or self.base
        try:
            self.time.learn_date(int(parsedate_to_datetime(answer.headers["Date"]).timestamp() * 1000))
        except (KeyError, ValueError):
            return  # without a date there is nothing to learn

    def _read(self, answer: _Answer, shape: Any, sent: int) -> Any:
        if answer.status >= _FIRST_ERROR:
            raise _problem(answer) or self._not_roost(answer, sent)
        if answer.status in _REDIRECTS or (shape is Empty and answer.status != _NO_CONTENT):
            raise self._not_roost(answer, sent)
        if not answer.content and shape in (Any, Empty):
            return None
        try:
            return msgspec.json.decode(answer.content, type=shape)
        except ValueError as exc:
            raise self._not_roost(answer, sent) from exc
        except RecursionError as exc:
            raise RoostError("internal", f"{self.server} answered with endless brackets.") from exc

    def _not_roost(self, answer: _Answer, sent: int) -> RoostError:
        kind = answer.headers.get("Content-Type", "no content type")
        said = f"{answer.status}, {kind}"
        if answer.status in _REDIRECTS:
            said = f"a redirect to {answer.headers.get('Location', 'nowhere')}"
        if answer.status == _TOO_LARGE and sent > LARGE:
            return RoostError("too_large", f"Something before {self.server} takes no {sent} bytes ({said}).")
        error = NotRoost(f"{self.server} did not answer like a Roost server ({said}): is this its address?")
        advice = answer.headers.get("Retry-After", "")
        error.retry_after_s = min(float(advice), _LONGEST_ADVICE_S) if advice.isdecimal() else None
        return error


def _moved(answer: _Answer, path: str) -> str | None:
    """Return the base address that a redirect of the whole server names; one with TLS stays with TLS."""
    location = answer.headers.get("Location")
    if answer.status not in _REDIRECTS or location is None:
        return None
    try:
        target = answer.url.join(URL(location)).with_query(None).with_fragment(None)
    except ValueError:
        return None
    base = str(target).removesuffix(path)
    downgrade = answer.url.scheme == "https" and target.scheme != "https"
    if base == str(target) or downgrade or target.scheme not in ("http", "https"):
        return None
    return base


def _problem(answer: _Answer) -> RoostError | None:
    """Return the error of a problem document with a code of the registry; ``None``: this is none."""
    if answer.headers.get("Content-Type", "").partition(";")[0].strip().lower() != _PROBLEM:
        return None
    try:
        problem = msgspec.json.decode(answer.content, type=_Problem)
        members = msgspec.json.decode(answer.content, type=dict[str, Any])
    except (ValueError, RecursionError):
        return None
    if problem.code not in CODES:
        return None
    retry = problem.retry_after_s
    error = RoostError(
        problem.code,
        problem.detail or CODES[problem.code].title,
        retry_after_s=None if retry is None else min(max(retry, 0.0), _LONGEST_ADVICE_S),
    )
    error.extra |= {name: value for name, value in members.items() if name not in _MEMBERS}
    return error
