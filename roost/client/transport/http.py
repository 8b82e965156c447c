"""Authenticated HTTP calls: problem documents become exceptions, and tokens are refreshed."""

import asyncio
import io
from collections.abc import Awaitable, Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp
import msgspec

from roost.client.state import Tokens
from roost.client.transport.answers import Answer, ChallengeAnswer, NotRoost, SessionAnswer
from roost.client.transport.device_proof import DeviceProof
from roost.client.transport.server_time import ServerTime
from roost.clock import Clock, elapsed_ms
from roost.errors import RoostError, Unavailable

AN_ADDRESS: Final = "it begins with http:// or https://, as in http://127.0.0.1:8080"

_REFRESH_AT = 0.8


class Api:
    """Calls to one server in the name of one device.

    Args:
        server: Base URL.
        http: Connection pool; may be shared by many clients.
        clock: This machine's clock.
        tokens: The session; replaced in place when it is refreshed.
        keep: Keeps the tokens after they have changed; they are used once it has returned.
        elapsed: This machine's clock that no one sets.

    Attributes:
        base: Where the server is: ``server``, or where that redirects to.
        time: The time on the server's clock.
        proof: Signs refreshes and challenges, once the device is known.
    """

    def __init__(
        self,
        server: str,
        http: aiohttp.ClientSession,
        clock: Clock,
        tokens: Tokens | None = None,
        keep: Callable[[], Awaitable[None]] | None = None,
        *,
        elapsed: Clock = elapsed_ms,
    ) -> None:
        self.server = self.base = server.rstrip("/")
        self.http = http
        self.tokens = tokens or Tokens()
        self.keep = keep
        self.proof: DeviceProof | None = None
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
        moved = answer.moved(path)
        if moved is not None:
            answer = await self._request(method, moved + path, data, options)
        try:
            value = answer.read(shape, len(data or b""), self.server)
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
        if self._refreshing.locked():
            async with self._refreshing:
                """Those that are there may be fresh ones that are not kept yet."""
        return self.tokens.access

    def renew_at_ms(self) -> int:
        """Return when the access token should be refreshed, on this machine's clock."""
        return self.tokens.expires_at_ms - int(self.tokens.lifetime_ms * (1 - _REFRESH_AT))

    async def refresh(self, used: str) -> str:
        """Get new tokens, unless another task did since ``used`` was read; a lost reply is repeated.

        Where the session has come to its end by time, the device logs in with its key.

        Raises:
            RoostError: Someone ended the session (``token_reused``, ``revoked``, ...): sign in again.
            Unavailable: There was no answer, or not one of a Roost server.
        """
        async with self._refreshing:
            if self.tokens.access == used:
                self.adopt(await self._refreshed())
                if self.keep is not None:
                    await self.keep()
            return self.tokens.access

    def adopt(self, answer: SessionAnswer) -> None:
        """Take over the tokens of a session answer; the caller keeps them."""
        lifetime_ms = answer.expires_in * 1000
        self.tokens.access = answer.access_token
        self.tokens.refresh = answer.refresh_token
        self.tokens.lifetime_ms = lifetime_ms
        self.tokens.expires_at_ms = self._clock() + lifetime_ms

    async def _refreshed(self) -> SessionAnswer:
        token, proof = self.tokens.refresh, self.proof
        if proof is None:
            return await self._rotated({"refresh_token": token})
        if not token:
            return await self._logged_in(proof)
        try:
            return await self._rotated({"refresh_token": token, "signature": proof.of_refresh(token)})
        except RoostError as exc:
            if exc.code.word != "unauthenticated":
                raise
        return await self._logged_in(proof)

    async def _rotated(self, body: dict[str, str]) -> SessionAnswer:
        answer: SessionAnswer = await self.bare("POST", "/v1/sessions/refresh", body, shape=SessionAnswer)
        return answer

    async def _logged_in(self, proof: DeviceProof) -> SessionAnswer:
        who = {"username": proof.username, "device_id": proof.device_id}
        given = await self.bare("POST", "/v1/auth/challenge", who, shape=ChallengeAnswer)
        signed = {"nonce": given.nonce, "signature": proof.of_challenge(given.nonce), "signed_refresh": True}
        answer: SessionAnswer = await self.bare("POST", "/v1/sessions", who | signed, shape=SessionAnswer)
        return answer

    async def _request(self, method: str, url: str, data: bytes | None, options: dict[str, Any]) -> Answer:
        body = None if data is None else io.BytesIO(data)  # which is sent in parts
        try:
            # A redirect would be followed with GET, whatever the method was.
            async with self.http.request(method, url, data=body, allow_redirects=False, **options) as answer:
                return Answer(answer.url, answer.status, answer.headers, await answer.read())
        except aiohttp.ClientConnectorCertificateError as exc:
            raise Unavailable(
                f"{self.server} shows a certificate that is not believed ({exc.certificate_error}). "
                "If it is of a private CA, give the CA's file with --ca (in programs: Options.ca)."
            ) from exc
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as exc:
            raise Unavailable(f"{self.server!r} is no address of a server: {AN_ADDRESS}") from exc
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            raise Unavailable(
                f"{self.server} is not responding ({type(exc).__name__}): is it running?"
            ) from exc

    def _answered_at(self, moved: str | None, answer: Answer) -> None:
        self.base = moved or self.base
        try:
            self.time.learn_date(int(parsedate_to_datetime(answer.headers["Date"]).timestamp() * 1000))
        except (KeyError, ValueError):
            return  # without a date there is nothing to learn
