"""The gateway: the API as a role (`actors.service.Service`)."""

import asyncio
import os
from importlib import metadata
from typing import Any

import structlog

from actors.service import Address, Service
from api.app import create_app
from api.collaborators import ApiSettings, Backends, Collaborators
from api.control_plane import RayControlPlane
from api.exposition import gateway_counts, gateway_exposition
from api.identity.client_address import TrustedProxies
from api.identity.limits import Limit, limits_of
from api.listener import STOP_S, Listen, Server, bind
from api.media import MediaLimits
from api.sending.admission import Bounds
from api.stream.overview import Overview
from api.wiring import wire
from cluster import key_ring
from cluster.resources import node_certificate, open_blobs, open_cache, open_store, open_writer
from cluster.role_shell.ring_watch import RingWatch
from cluster.settings import Settings, url_host
from cluster.wiring import overseen, settings_of
from roost.clock import now_ms
from roost.memory import settle_malloc
from roost.tasks import BackgroundTasks
from storage.shard_map import ShardMap
from storage.topics import TOPICS
from telemetry.role_figures import COUNTS, LEVELS

log = structlog.get_logger(__name__)


class Gateway:
    """The role. Plain: no Ray in here."""

    def __init__(
        self,
        name: str,
        listen: Listen,
        settings: ApiSettings,
        backends: Backends,
        limits: dict[str, Limit] | None = None,
    ) -> None:
        self.name = name
        self.collaborators: Collaborators = wire(name, settings, backends, limits)
        self._overview = Overview(name, self.collaborators.streams, self.collaborators.limits, backends.clock)
        self._listen = listen
        self._server: Server | None = None
        self._tasks = BackgroundTasks()
        self.address: Address | None = None

    async def start(self) -> Address | None:
        """Listen for clients; links to hosts follow with the first map. Returns no link address."""
        self._tasks.spawn(self.collaborators.invalidation.listen(), essential=True)
        self._tasks.spawn(self.collaborators.invalidation.pulse(), essential=True)
        self._tasks.spawn(self.collaborators.streams.tick(), essential=True)
        listener = bind(self._listen.host, self._listen.port)
        self.address = listener.getsockname()[:2]
        self._server = Server(create_app(self.collaborators), self._listen, self.collaborators.clock)
        self._tasks.spawn(self._server.serve([listener]), essential=True)
        await self._server.ready()
        log.info("gateway_listens", name=self.name, address=self.address, pid=os.getpid())
        return None

    async def apply(self, shard_map: ShardMap) -> None:
        """Take the newest map."""
        self.collaborators.sequencer.lease.renew()
        current = self.collaborators.hosts.shard_map
        if current is None or shard_map.version >= current.version:
            self.collaborators.log_writer.forget(shard_map.recreated(current))
            if shard_map.renumbered(current):
                self.collaborators.log_writer.renumber()
            self.collaborators.sequencer.adopt(shard_map.bases, shard_map.records)
            self.collaborators.answers.alone = shard_map.gateways <= 1
            self.collaborators.hosts.apply(shard_map)

    async def pause_writes(self) -> None:
        """Pause writes to the log until `resume_writes`."""
        await self.collaborators.log_writer.pause()

    async def resume_writes(self) -> None:
        """Let writes go on."""
        self.collaborators.log_writer.resume()

    async def status(self) -> dict[str, Any]:
        """Return figures for ``roost status``."""
        self.collaborators.sequencer.lease.renew()
        linked, hosts = self.collaborators.hosts.linked_hosts()
        return {
            "users": len(self.collaborators.streams),
            "streams": len(self.collaborators.streams),
            "accepted": self.collaborators.acceptance.accepted,
            "hosts": f"{linked}/{hosts}",
            "appended": {each: self.collaborators.log_writer.ends(each) for each in TOPICS},
            "batches": self.collaborators.log_writer.batches,
            COUNTS: gateway_counts(self.collaborators),
            LEVELS: {"queue": self.collaborators.sender.gate.admission.inside},
            "version": self.collaborators.settings.version,
            "http": None if self.address is None else f"{url_host(self.address[0])}:{self.address[1]}",
        }

    async def tell(self, message: dict[str, Any]) -> Any:
        """Answer what an operator asks of a gateway; see `Overview`."""
        return self._overview.answer(message)

    async def metrics(self) -> bytes:
        """Return this gateway's metrics."""
        return gateway_exposition(self.collaborators)

    async def stop(self) -> list[str]:
        """Take no more, say goodbye to the streams, finish what is in progress, part from the hosts.

        Returns:
            What was given up: sends that have no answer, which their senders repeat.
        """
        if self._server is not None:
            self._server.stop_accepting()
        await self.collaborators.ops.close()
        await self.collaborators.streams.close()
        if self._server is not None:
            self._server.should_exit = True
            await self._server.finished(STOP_S + 1)
        await self._tasks.cancel()
        await self.collaborators.key_announcements.close()
        await self.collaborators.contacts.close()
        await self.collaborators.invalidation.close()
        await self.collaborators.hosts.close()
        given_up = await self._finish_sends()
        self.collaborators.passwords.close()
        return given_up

    async def _finish_sends(self) -> list[str]:
        try:
            async with asyncio.timeout(STOP_S):
                await self.collaborators.sender.close()
                await self.collaborators.answers.close()
        except TimeoutError:
            log.warning("sends_unanswered_at_the_end", name=self.name)
            return [
                f"gave up sends that the log did not answer within {STOP_S} s: their senders repeat them."
            ]
        return []


async def build(name: str, settings_json: str) -> Service:
    """Build a gateway from the operator's settings (entry point ``roost.roles``).

    Raises:
        KeyRingError: The key ring cannot be used.
        Unavailable: No Kafka broker answers.
    """
    settle_malloc()
    settings = settings_of("gateway", name, settings_json)
    keyring = key_ring.load(settings)
    log_writer, cache = await open_writer(settings), open_cache(settings)
    store = open_store(settings, keyring)
    backends = Backends(
        store,
        cache,
        log_writer,
        keyring,
        now_ms,
        open_blobs(settings, store),
        certificate=node_certificate(settings),
        control_plane=RayControlPlane(),
    )
    gateway = Gateway(name, _listen(settings), _api(settings), backends, limits_of(settings.limits))
    watch = RingWatch(keyring, store.ring_serial.seen)
    return overseen(gateway, settings, "gateway", name, store, cache, log_writer, watch)


def _listen(settings: Settings) -> Listen:
    http, tls = settings.http, settings.tls
    proxies = _proxies(settings)
    return Listen(http.host, http.port, tls.certificate, tls.key, http.connections_by_address, proxies)


def _api(settings: Settings) -> ApiSettings:
    return ApiSettings(
        server_name=settings.server_name,
        access_ttl_s=settings.tokens.access_s,
        refresh_ttl_s=settings.tokens.refresh_s,
        cors_origins=settings.http.cors_origins,
        hsts_s=settings.tls.hsts_s,
        proxies=_proxies(settings),
        version=metadata.version("roost"),
        admission=_bounds(settings),
        media=MediaLimits(settings.media.transfers, settings.media.user_transfers),
        erase_after_s=settings.retention.erase_after_s,
        push_services=settings.webpush.services,
        fcm=settings.has_fcm,
    )


def _proxies(settings: Settings) -> TrustedProxies:
    return TrustedProxies(settings.http.trusted_proxies, settings.http.forwarded_header)


def _bounds(settings: Settings) -> Bounds:
    to = settings.admission
    return Bounds(
        accept_s=to.accept_ms / 1000,
        queue_s=to.queue_ms / 1000,
        deliver_s=to.deliver_ms / 1000,
        store_s=to.store_s,
        sends=to.sends,
        size=to.sends_bytes,
        device=to.device,
        unstored=to.unstored,
        unstored_size=to.unstored_bytes,
    )
