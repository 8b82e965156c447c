"""The composition root: each role is built here from the settings, on one screen.

``api.gateway`` builds the gateway. What is opened for a role here is closed by its shell once it has stopped
(`cluster.role_shell.shell`), and not by the role.
"""

import os
import secrets
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from actors.service import Service
from cluster import key_ring
from cluster.folders import runtime_folder
from cluster.role_shell.fence import fenced
from cluster.role_shell.inspection import inspected
from cluster.role_shell.observed import observed
from cluster.role_shell.ring_watch import RingWatch
from cluster.role_shell.shell import Closable, in_shell
from cluster.settings import Settings
from roost.clock import now_ms
from roost.errors import RoostError
from roost.node_certificate import NodeCertificate
from storage.kafka_log import KafkaLogAdmin, KafkaLogReader, KafkaLogWriter
from storage.keyring import KeyRing
from storage.mongo import READS, MongoStore, driver
from storage.topics import MAILBOX, PUSH, PUSHERS, ROUTERS
from telemetry import logs, otlp
from telemetry.exporter import Exporter, Shown
from telemetry.role_figures import Reader

if TYPE_CHECKING:
    from actors.host.upkeep.sweeper import SweepSettings
    from actors.user.quota import Quotas
    from cluster.consumers.provider import Provider
    from storage.blobs import BlobStore
    from storage.redis.store import RedisStore

FETCH_WAIT_MS = 500
"""How long a broker that answers early may hold an empty fetch."""


def overseen(
    service: Service, settings: Settings, role: str, name: str, store: MongoStore, *opened: Closable
) -> Service:
    """Return the same service with what every role has, apart from the coordinator.

    Its metrics are shown, its figures are in its status, its process ends when another one has its place, and
    what was opened for it is closed when it has stopped. Operators can look into it.
    """
    fence = fenced(observed(service, Reader(role, settings.data)), name, store.cluster, lambda: os._exit(1))
    shell = in_shell(fence, _exporter(service, settings, role, name), store, *opened)
    return inspected(shell, settings, name)


def settings_of(role: str, name: str, settings_json: str) -> Settings:
    """Return the settings handed to a role, with its process's log set up by them."""
    os.umask(0o077)  # on a machine whose Ray others started, too
    settings = Settings.model_validate_json(settings_json)
    logs.configure(settings.log_level, role, name, settings.data / "logs")
    if settings.telemetry.traces_url is not None:
        otlp.trace(settings.telemetry.traces_url, settings.telemetry.traces_share, role, name)
    return settings


async def build_router(name: str, settings_json: str) -> Service:
    """Build a router."""
    from actors.rpc.connections import Connections  # noqa: PLC0415 -- a role's process loads that role only
    from actors.rpc.link import connect  # noqa: PLC0415 -- likewise
    from cluster.consumers.router import Router  # noqa: PLC0415 -- likewise

    settings = settings_of("router", name, settings_json)
    keyring = open_keyring(settings)
    reader = await open_reader(settings, MAILBOX, ROUTERS)
    store = open_store(settings, keyring)
    dial = partial(connect, certificate=node_certificate(settings))
    router = Router(name, reader, store, Connections(("router", name), keyring.cluster_secret, dial))
    watch = RingWatch(keyring, store.ring_serial.seen)
    return overseen(router, settings, "router", name, store, reader, watch)


async def build_host(name: str, settings_json: str) -> Service:
    """Build a host."""
    from actors.host import ActorHost, HostSettings, Stores  # noqa: PLC0415 -- likewise
    from actors.host.upkeep.eraser import ErasureSettings  # noqa: PLC0415 -- likewise

    settings = settings_of("host", name, settings_json)
    keyring = open_keyring(settings)
    store = open_store(settings, keyring)
    cache, writer = open_cache(settings), await open_writer(settings)
    host = ActorHost(
        name,
        Stores(store, cache, writer),
        keyring.cluster_secret,
        now_ms,
        HostSettings(
            listen=_listen_address(settings),
            idle_ms=settings.actors.idle_ms,
            sweep_every_s=settings.actors.sweep_every_s,
            store_linger_s=settings.actors.store_linger_ms / 1000,
            certificate=node_certificate(settings),
            hold_back_ms=round(settings.push.hold_back_s * 1000),
            quotas=_quotas(settings),
            erasure=ErasureSettings(
                access_ms=(settings.tokens.access_s + 60) * 1000,
                reserved_ms=settings.retention.username_days * 86_400_000,
            ),
            sweep=_sweep(settings),
        ),
    )
    return overseen(
        host, settings, "host", name, store, cache, writer, RingWatch(keyring, store.ring_serial.seen)
    )


async def build_pusher(name: str, settings_json: str) -> Service:
    """Build a pusher."""
    from cluster.consumers.pusher import Pusher  # noqa: PLC0415 -- likewise
    from cluster.consumers.wakeup import Waker  # noqa: PLC0415 -- likewise

    settings = settings_of("pusher", name, settings_json)
    keyring = open_keyring(settings)
    store = open_store(settings, keyring)
    reader = await open_reader(settings, PUSH, PUSHERS, at_least_ms=50)
    writer, cache = await open_writer(settings), open_cache(settings)
    providers = push_providers(settings, keyring)
    waker = Waker(writer, store, cache, providers, clock=now_ms, random=secrets.SystemRandom().random)
    pusher = Pusher(name, reader, waker)
    opened = (reader, writer, cache, RingWatch(keyring, store.ring_serial.seen))
    return overseen(pusher, settings, "pusher", name, store, *opened, *providers.values())


def push_providers(settings: Settings, keyring: KeyRing) -> "dict[str, Provider]":
    """Return what carries wake-ups, by the name that a push token has it under; without credentials not FCM.

    Raises:
        OSError: A file of the settings cannot be read.
    """
    from cluster.consumers.fcm import FcmSender  # noqa: PLC0415 -- likewise
    from cluster.consumers.webpush import WebPushSender  # noqa: PLC0415 -- likewise

    webpush = WebPushSender(settings.webpush, settings.push_subject, keyring, now_ms)
    if not settings.has_fcm:
        return {"webpush": webpush}
    return {"fcm": FcmSender(settings.fcm), "webpush": webpush}


async def build_coordinator(name: str, settings_json: str) -> Service:
    """Build the coordinator."""
    from actors.ray_actor import RoleHandle, here, nodes, spawn  # noqa: PLC0415 -- likewise
    from cluster.control.coordinator import Coordinator  # noqa: PLC0415 -- likewise
    from cluster.control.media_collector import MediaCollector  # noqa: PLC0415 -- likewise
    from cluster.control.token_rotation import TokenRotation  # noqa: PLC0415 -- likewise
    from cluster.supervision.fleet import Fleet  # noqa: PLC0415 -- likewise
    from cluster.supervision.process_exit import ExitWatch  # noqa: PLC0415 -- likewise

    settings = settings_of("coordinator", name, settings_json)
    keyring = open_keyring(settings)
    store, admin = open_store(settings, keyring), await open_admin(settings)
    # The Ray of `roost up` offers no processors: one machine has nothing to scale.
    cpus = settings.cluster.role_cpus if settings.cluster.address is not None else 0.0

    def spawned(role: str, each: str, node_id: str, process: str) -> RoleHandle:
        return spawn(role, each, settings_json, node_id=node_id, process=process, cpus=cpus)

    reader = Reader("coordinator", settings.data)
    fleet = Fleet(spawned, nodes, here(), ExitWatch, lambda: os._exit(1), reader)
    media = MediaCollector(open_blobs(settings, store))
    coordinator = Coordinator(settings, store, admin, fleet, now_ms, {"media": media.run})
    kept = (RingWatch(keyring, store.ring_serial.seen), TokenRotation(settings, keyring, now_ms, store.audit))
    exporter = _exporter(coordinator, settings, "coordinator", name)
    return inspected(in_shell(coordinator, exporter, store, admin, *kept), settings, name, keyring)


def load_all(settings_json: str) -> None:
    """Load what the builders load when they are called, for a process that may become any role."""
    for module in (
        "actors.host",
        "cluster.consumers.router",
        "cluster.consumers.pusher",
        "cluster.consumers.fcm",
        "cluster.consumers.webpush",
        "storage.redis.store",
    ):
        import_module(module)
    driver.load(Settings.model_validate_json(settings_json).mongo.driver)


# --- what roles are built from --------------------------------------------------------------------


def make_keyring(settings: Settings) -> KeyRing:
    """Read the key ring; at the first start of an installation make it. For the command that starts it."""
    return key_ring.make(settings)


def open_keyring(settings: Settings) -> KeyRing:
    """Read the key ring, which every machine of an installation has the same."""
    return key_ring.load(settings)


def open_store(settings: Settings, keyring: KeyRing) -> MongoStore:
    """Open MongoDB; it connects at its first call."""
    mongo = settings.mongo
    return MongoStore(
        _url("mongo", mongo.url),
        mongo.database,
        mongo.driver,
        keyring,
        reads=mongo.reads or READS,
        access=mongo.security.access(),
    )


def open_cache(settings: Settings) -> "RedisStore":
    """Open Redis; it connects at its first call."""
    from storage.redis.store import RedisStore  # noqa: PLC0415 -- a router and the coordinator need none

    redis = settings.redis
    return RedisStore(_url("redis", redis.url), redis.prefix, access=redis.security.access())


def open_blobs(settings: Settings, store: MongoStore) -> "BlobStore":
    """Open the store of media; a folder is made if it is not there."""
    from storage.blobs import BlobStore, Quota, StoredObjects  # noqa: PLC0415 -- gateways and the coordinator

    media = settings.media
    quota = Quota(
        media.file_bytes,
        media.user_bytes,
        media.user_files,
        media.day_bytes,
        media.day_files,
        media.keep_s * 1000,
        media.unfinished_s * 1000,
    )
    return BlobStore(store.blobs, StoredObjects(settings.media_url, media.access()), quota, now_ms)


async def open_writer(settings: Settings) -> KafkaLogWriter:
    """Connect a writer to the log."""
    kafka = settings.kafka
    writer = KafkaLogWriter(
        _url("kafka", kafka.url),
        idempotent=kafka.idempotent,
        linger_ms=kafka.linger_ms,
        access=kafka.security.access(),
    )
    await writer.start()
    return writer


async def open_reader(settings: Settings, topic: str, group: str, *, at_least_ms: int = 0) -> KafkaLogReader:
    """Connect a reader to the log, whose empty fetches wait at least so long."""
    kafka = settings.kafka
    wait_ms = max(kafka.fetch_wait_ms or FETCH_WAIT_MS, at_least_ms)
    url, access = _url("kafka", kafka.url), kafka.security.access()
    reader = KafkaLogReader(url, topic, group, fetch_wait_ms=wait_ms, access=access)
    await reader.start()
    return reader


async def open_admin(settings: Settings) -> KafkaLogAdmin:
    """Connect an administrator to the log."""
    kafka = settings.kafka
    admin = KafkaLogAdmin(_url("kafka", kafka.url), replicas=kafka.replicas, access=kafka.security.access())
    await admin.start()
    return admin


def node_certificate(settings: Settings) -> NodeCertificate | None:
    """Return this node's certificate for connections between nodes, None if it has none.

    Raises:
        RoostError: It cannot be used.
    """
    files = settings.node.files
    if files is None:
        return None
    try:
        return NodeCertificate(*files)
    except OSError as exc:
        raise RoostError(
            "internal", f"The node's certificate cannot be used ({exc}): see what `roost doctor` says."
        ) from exc


def _quotas(settings: Settings) -> "Quotas":
    from actors.user.quota import UNBOUNDED, Budget, Quotas  # noqa: PLC0415 -- likewise

    def budget(messages: int, size: int) -> Budget:
        return Budget(messages or UNBOUNDED, size or UNBOUNDED)

    of = settings.quota
    return Quotas(
        mailbox=budget(of.messages, of.megabytes << 20),
        strangers=budget(of.strangers_messages, of.strangers_kilobytes << 10),
        stranger=budget(of.stranger_messages, of.stranger_kilobytes << 10),
        request=budget(of.request_messages, of.request_kilobytes << 10),
        forget_ms=of.stranger_days * 86_400_000,
    )


def _sweep(settings: Settings) -> "SweepSettings":
    from actors.host.upkeep.sweep_rules import Keep  # noqa: PLC0415 -- likewise
    from actors.host.upkeep.sweeper import SweepSettings  # noqa: PLC0415 -- likewise

    of, day_ms = settings.retention, 86_400_000
    keep = Keep(
        entry_ms=of.entry_days * day_ms,
        delivered_ms=of.delivered_days * day_ms,
        messages=of.mailbox_messages,
        size=of.mailbox_megabytes << 20,
        device_ms=of.device_days * day_ms,
    )
    return SweepSettings(keep, pause_s=of.sweep_pause_ms / 1000, every_s=of.sweep_every_s)


def _exporter(service: Service, settings: Settings, role: str, name: str) -> Exporter:
    telemetry = settings.telemetry
    address = (telemetry.metrics_host, telemetry.metrics_port) if telemetry.metrics_port else None
    folder = runtime_folder(settings.data)
    return Exporter(Shown(role, name), service.metrics, folder, address, node_certificate(settings))


def _listen_address(settings: Settings) -> str:
    from actors.ray_actor import node_address  # noqa: PLC0415 -- a role's process has Ray

    return node_address() if settings.cluster.listen == "node" else settings.cluster.listen


def _url(server: str, url: str | None) -> str:
    if url is None:
        raise RoostError("internal", f"A role was started without an address of {server}.")
    return url
