"""The sender of Web Push."""

import asyncio
import secrets
from typing import Final

import aiohttp
from cryptography.hazmat.primitives.asymmetric import ec
from yarl import URL

from cluster.consumers.provider import Again, PushRefused, Retries, Unregistered, Verdict
from cluster.consumers.proxy import proxy_for
from cluster.consumers.webpush.answers import KeyRefused, judge
from cluster.consumers.webpush.authorization import authorization
from cluster.consumers.webpush.connections import Connections, refused_address
from cluster.consumers.webpush.encryption import encrypt
from cluster.consumers.webpush.slots import Slots
from cluster.settings import WebPush
from roost.clock import Clock
from storage.account_rows import Device
from storage.keyring import KeyRing, VapidKey
from storage.push_services import PushService
from storage.subscriptions import SubscriptionKeys

WAKE_UP: Final = b'{"roost":"sync"}'
"""All that a push says, of the same length for everyone: neither who wrote, nor what, nor how much."""

TOPIC: Final = "roost"
"""A push that waits for its browser is replaced by the next one: one wake-up is enough."""

_BODY_MOST: Final = 512
_BODY_S: Final = 1.0
_SALT_BYTES: Final = 16
_URGENCIES: Final = {True: "high", False: "normal"}


class WebPushSender:
    """Sends wake-ups to the services of Web Push. Implements `cluster.consumers.provider.Provider`.

    Args:
        settings: Which services, how many at once, how often.
        subject: Who is asked when we disturb a service.
        ring: Has the keys of subscriptions.
        clock: Unix time.
        connections: To the services; None: to what their names lead to.
    """

    def __init__(
        self,
        settings: WebPush,
        subject: str,
        ring: KeyRing,
        clock: Clock,
        connections: Connections | None = None,
    ) -> None:
        self.retries = Retries(settings.attempts, settings.backoff_s, settings.backoff_max_s)
        self._services, self._ttl_s = settings.services, settings.ttl_s
        self._subject, self._ring, self._clock = subject, ring, clock
        self._slots = Slots(settings.concurrency, settings.host_concurrency)
        self._connections = connections or Connections(settings.concurrency, settings.ca)

    async def send(self, device: Device, *, urgent: bool) -> Verdict:
        """Send one wake-up."""
        endpoint = device.push_token or ""
        try:
            service = self._services.of(endpoint)  # the operator may know it no longer
            keys = SubscriptionKeys.kept(device.push_keys or "")
        except ValueError as exc:
            return PushRefused(str(exc))
        verdict: Verdict = Unregistered("the VAPID key that it subscribed with is retired")
        async with self._slots.of(service.host):
            for vapid in self._ring.vapid_keys(keys.vapid):
                headers = self._headers(vapid, service, urgent=urgent)
                own, salt = ec.generate_private_key(ec.SECP256R1()), secrets.token_bytes(_SALT_BYTES)
                verdict = await self._post(endpoint, service, headers, encrypt(WAKE_UP, keys, own, salt))
                if not isinstance(verdict, KeyRefused):
                    return verdict
        return PushRefused(verdict.reason) if isinstance(verdict, KeyRefused) else verdict

    async def close(self) -> None:
        """Disconnect."""
        await self._connections.close()

    def _headers(self, vapid: VapidKey, service: PushService, *, urgent: bool) -> dict[str, str]:
        return {
            "Authorization": authorization(vapid, service.origin, self._subject, self._clock()),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(self._ttl_s),
            "Urgency": _URGENCIES[urgent],
            "Topic": TOPIC,
        }

    async def _post(
        self, endpoint: str, service: PushService, headers: dict[str, str], body: bytes
    ) -> Verdict:
        proxy = proxy_for(endpoint)
        http = self._session(service, proxied=proxy is not None)
        url = URL(endpoint, encoded=True)
        try:
            async with http.post(
                url, data=body, headers=headers, proxy=proxy, allow_redirects=False
            ) as response:
                return judge(response.status, response.headers, await _beginning(response))
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            refused = refused_address(exc)
            return PushRefused(refused) if refused else Again(reason=f"{service.host}: {type(exc).__name__}")

    def _session(self, service: PushService, *, proxied: bool) -> aiohttp.ClientSession:
        if service.internal:
            return self._connections.internal
        return self._connections.proxied if proxied else self._connections.public


async def _beginning(response: aiohttp.ClientResponse) -> str:
    """Return what an error says of itself, as far as it is short, fast and printable."""
    if response.ok:
        return ""
    try:
        async with asyncio.timeout(_BODY_S):
            body = await response.content.read(_BODY_MOST)
    except (aiohttp.ClientError, TimeoutError):
        return ""
    return "".join(each for each in body.decode("ascii", "ignore") if each.isprintable())
