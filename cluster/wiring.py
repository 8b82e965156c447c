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
from cluster.resources import (
    node_certificate,
    open_admin,
    open_blobs,
    open_cache,
    open_reader,
    open_store,
    open_writer,
)
from cluster.role_shell.fence import fenced
from cluster.role_shell.inspection import inspected
from cluster.role_shell.ring_watch import RingWatch
from cluster.role_shell.shell import Closable, in_shell
from cluster.settings import Settings
from roost.clock import now_ms
from storage.keyring import KeyRing
from storage.mongo import MongoStore, driver
from storage.topics import MAILBOX, PUSH, PUSHERS, ROUTERS
from telemetry import logs, otlp
from telemetry.exporter import Exporter, Shown
from telemetry.role_figures import Reader

if TYPE_CHECKING:
    from cluster.consumers.provider import Provider


def overseen(
    service: Service, settings: Settings, role: str, name: str, store: MongoStore, *opened: Closable
) -> Service:
    """Return the same service with what every role has, apart from the coordinator.

    Its metrics are shown, its figures are in its status, its process ends when another one has its place, and
    what was opened for it is closed when it has stopped. Operators can look into it.
    """
    fence = fenced(service, name, store.cluster, lambda: os._exit(1))
    shell = in_shell(fence, _exporter(service, settings, role, name), store, *opened)
    return inspected(shell, settings, name, reader=Reader(role, settings.data))


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
    keyring = key_ring.load(settings)
    reader = await open_reader(settings, MAILBOX, ROUTERS)
    store = open_store(settings, keyring)
    dial = partial(connect, certificate=node_certificate(settings))
    router = Router(name, reader, store, Connections(("router", name), keyring.cluster_secret, dial))
    watch = RingWatch(keyring, store.ring_serial.seen)
    return overseen(router, settings, "router", name, store, reader, watch)


async def build_host(name: str, settings_json: str) -> Service:
    """Build a host."""
    from actors.host import ActorHost, Stores  # noqa: PLC0415 -- likewise
    from cluster.host_settings import host_settings  # noqa: PLC0415 -- likewise

    settings = settings_of("host", name, settings_json)
    keyring = key_ring.load(settings)
    store = open_store(settings, keyring)
    cache, writer = open_cache(settings), await open_writer(settings)
    host = ActorHost(
        name,
        Stores(store, cache, writer),
        keyring.cluster_secret,
        now_ms,
        host_settings(settings, _listen_address(settings)),
    )
    return overseen(
        host, settings, "host", name, store, cache, writer, RingWatch(keyring, store.ring_serial.seen)
    )


async def build_pusher(name: str, settings_json: str) -> Service:
    """Build a pusher."""
    from cluster.consumers.pusher import Pusher  # noqa: PLC0415 -- likewise
    from cluster.consumers.wakeup import Waker  # noqa: PLC0415 -- likewise

    settings = settings_of("pusher", name, settings_json)
    keyring = key_ring.load(settings)
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
    keyring = key_ring.load(settings)
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
    return inspected(in_shell(coordinator, exporter, store, admin, *kept), settings, name, keyring=keyring)


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


def _exporter(service: Service, settings: Settings, role: str, name: str) -> Exporter:
    telemetry = settings.telemetry
    address = (telemetry.metrics_host, telemetry.metrics_port) if telemetry.metrics_port else None
    folder = runtime_folder(settings.data)
    return Exporter(Shown(role, name), service.metrics, folder, address, node_certificate(settings))


def _listen_address(settings: Settings) -> str:
    from actors.ray_actor import node_address  # noqa: PLC0415 -- a role's process has Ray

    return node_address() if settings.cluster.listen == "node" else settings.cluster.listen
