"""Authenticated HTTP calls: problem documents become exceptions, and tokens are refreshed."""

import asyncio
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import msgspec

from roost.client.state import Tokens
from roost.clock import Clock
from roost.codes import CODES
from roost.errors import RoostError, Unavailable

_UNAUTHENTICATED = 401
_FIRST_ERROR = 400
_SERVER_ERROR = 500
_REFRESH_AT = 0.8
_MEMBERS = frozenset({"type", "title", "status", "code", "detail", "retry_after_s", "request_id"})


class Api:
    """Calls to one server in the name of one device.

    Args:
        server: Base URL.
        http: Connection pool; may be shared by many clients.
        clock: This machine's clock.
        tokens: The session; replaced in place when it is refreshed.
        keep: Called after the tokens have changed, before they are used.
    """

    def __init__(
        self,
        server: str,
        http: aiohttp.ClientSession,
        clock: Clock,
        tokens: Tokens | None = None,
        keep: Callable[[], None] = lambda: None,
    ) -> None:
        self.server = server.rstrip("/")
        self.http = http
        self.tokens = tokens or Tokens()
        self.keep = keep
        self.server_time_ms: int | None = None
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
    ) -> Any:
        """Call with the access token, refreshed first if it is about to end, and once more on a 401.

        Returns:
            The decoded JSON answer, ``None`` if it is empty.

        Raises:
            RoostError: The server answered with a problem document.
            Unavailable: There was no answer.
        """
        token = await self.fresh_token()
        try:
            return await self.bare(method, path, body, params=params, timeout_s=timeout_s, token=token)
        except RoostError as exc:
            if exc.code.word != "unauthenticated":
                raise
        token = await self.refresh(token)
        return await self.bare(method, path, body, params=params, timeout_s=timeout_s, token=token)

    async def bare(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
        token: str | None = None,
    ) -> Any:
        """Call with this token or none; raises as ``call`` does."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = msgspec.json.encode(body) if body is not None else None
        try:
            async with self.http.request(
                method,
                self.server + path,
                data=data,
                params=params,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=timeout_s),
            ) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise Unavailable(
                f"{self.server} is not responding ({type(exc).__name__}): is it running?"
            ) from exc
        self._learn_time(answer.headers.get("Date"))
        return self._read(answer.status, answer.headers, content)

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
            Unavailable: There was no answer.
        """
        async with self._refreshing:
            if self.tokens.access == used:
                body = {"refresh_token": self.tokens.refresh}
                self.adopt(await self.bare("POST", "/v1/sessions/refresh", body))
            return self.tokens.access

    def adopt(self, answer: Mapping[str, Any]) -> None:
        """Take over the tokens of a session answer and have them kept."""
        lifetime_ms = int(answer["expires_in"]) * 1000
        self.tokens.access = answer["access_token"]
        self.tokens.refresh = answer["refresh_token"]
        self.tokens.lifetime_ms = lifetime_ms
        self.tokens.expires_at_ms = self._clock() + lifetime_ms
        self.keep()

    def _learn_time(self, date: str | None) -> None:
        if date is not None:
            try:
                self.server_time_ms = int(parsedate_to_datetime(date).timestamp() * 1000)
            except ValueError:
                self.server_time_ms = None

    def _read(self, status: int, headers: Mapping[str, str], content: bytes) -> Any:
        if status >= _FIRST_ERROR:
            raise _problem(status, headers, content)
        try:
            return msgspec.json.decode(content) if content else None
        except ValueError as exc:
            raise Unavailable(f"{self.server} did not answer in JSON: is it a Roost server?") from exc


def _problem(status: int, headers: Mapping[str, str], content: bytes) -> RoostError:
    try:
        document = msgspec.json.decode(content, type=dict[str, Any])
    except ValueError:
        document = {}
    word = document.get("code")
    if word not in CODES:
        word = _word_of(status)
    retry = document.get("retry_after_s")
    if retry is None and headers.get("Retry-After", "").isdigit():
        retry = float(headers["Retry-After"])
    extra = {name: value for name, value in document.items() if name not in _MEMBERS}
    detail = document.get("detail") or f"The server answered {status}."
    return RoostError(word, detail, retry_after_s=retry, **extra)


def _word_of(status: int) -> str:
    if status == _UNAUTHENTICATED:
        return "unauthenticated"
    if status >= _SERVER_ERROR:
        return "unavailable"
    return next((code.word for code in CODES.values() if code.status == status), "bad_request")
