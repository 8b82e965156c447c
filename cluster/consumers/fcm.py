"""The sender to FCM, and the one door to pyfcm: that builds the message, our own session carries it.

pyfcm's asynchronous call cannot run inside a running loop, and its synchronous one can block a thread
for minutes.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import aiohttp
import requests
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request
from pyfcm import FCMNotification
from pyfcm.errors import FCMError

from cluster.consumers.fcm_answers import ANDROID_PRIORITIES, UNAUTHENTICATED, Answer, judge, read_answer
from cluster.consumers.provider import Retries, Verdict
from cluster.consumers.proxy import proxy_for
from cluster.settings import Fcm
from roost.tls import client_context
from storage.account_rows import Device

WAKE_UP: Final = {"roost": "sync"}
"""All that a push says: neither who wrote, nor what, nor how much."""

_CREDENTIAL_S: Final = 1800.0
_REQUEST_S: Final = 20.0


class _Notification(FCMNotification):  # type: ignore[misc]  # the library has no types
    """pyfcm, whose credential comes the way that pushes go.

    Attributes:
        ca: PEM file of the authorities to believe; None for those of the machine.
    """

    ca: Path | None = None

    def _get_access_token(self) -> str:
        self._initialize_credentials()
        url: str = self.credentials._token_uri  # noqa: SLF001 -- the library tells no one else
        with requests.Session() as session:
            session.trust_env = False
            session.verify = True if self.ca is None else str(self.ca)
            proxy = proxy_for(url)
            if proxy is not None:
                session.proxies = {"http": proxy, "https": proxy}
            try:
                self.credentials.refresh(Request(session))
            except GoogleAuthError as exc:
                raise FCMError(str(exc)) from exc
        token: str = self.credentials.token
        return token


class FcmSender:
    """Sends wake-ups to one FCM project. Implements `cluster.consumers.provider.Provider`."""

    def __init__(self, settings: Fcm) -> None:
        self._fcm: Any = _Notification(
            service_account_file=str(settings.credentials_file), project_id=settings.project
        )
        if settings.endpoint is not None:
            self._fcm.FCM_END_POINT_BASE = f"{settings.endpoint}/v1/projects"
        self.retries = Retries(settings.attempts, settings.backoff_s, settings.backoff_max_s)
        self._fcm.ca = self._ca = settings.ca
        self._ttl_s, self._connections = settings.ttl_s, settings.concurrency
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._session: aiohttp.ClientSession | None = None
        self._headers: dict[str, str] | None = None
        self._headers_until = 0.0
        self._renewing = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "fcm-credential")

    async def send(self, device: Device, *, urgent: bool) -> Verdict:
        """Send one wake-up."""
        async with self._slots:
            answer = await self._sent(device.push_token or "", urgent=urgent)
        if answer.status == UNAUTHENTICATED:
            self._headers = None  # the next one fetches another credential
        return judge(answer)

    async def _sent(self, token: str, *, urgent: bool) -> Answer:
        """Send it and return what FCM said; status 0 if nothing came back."""
        try:
            headers = await self._authorized()
            url, message = self._fcm.fcm_end_point, self.message(token, urgent=urgent)
            async with self._opened().post(
                url, data=message, headers=headers, proxy=proxy_for(url)
            ) as response:
                return read_answer(response.status, response.headers, await response.read())
        except FCMError as exc:
            return Answer(0, text=f"no credential: {exc}")
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            return Answer(0, text=type(exc).__name__)

    def message(self, token: str, *, urgent: bool) -> bytes:
        """Return the request's body."""
        android = {"priority": ANDROID_PRIORITIES[urgent], "ttl": f"{self._ttl_s}s"}
        body: bytes = self._fcm.parse_payload(fcm_token=token, data_payload=WAKE_UP, android_config=android)
        return body

    async def close(self) -> None:
        """Disconnect."""
        if self._session is not None:
            await self._session.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _authorized(self) -> dict[str, str]:
        """Return the headers with the credential; the blocking fetch runs in a thread, once for all."""
        async with self._renewing:
            if self._headers is None or time.monotonic() > self._headers_until:
                loop = asyncio.get_running_loop()
                self._headers = await loop.run_in_executor(self._thread, self._fcm.request_headers)
                self._headers_until = time.monotonic() + _CREDENTIAL_S
            assert self._headers is not None  # noqa: S101 -- set above
            return self._headers

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, ssl=client_context(self._ca)),
                timeout=aiohttp.ClientTimeout(total=_REQUEST_S),
            )
        return self._session
