"""The embedded servers: Kafka, MongoDB, Redis and FCM, each where the settings give no address.

Each is a child process on a free loopback port in one data folder. One that dies is restarted on its port;
if it was a log that forgets everything, its callbacks are told.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

from cluster.local import passwords, servers, specs
from cluster.local.server_tls import ServerTls, url_of
from cluster.local.servers import HOST, Server, ServerFailed, ServerSpec, reserved_port
from cluster.local.specs import Maker
from cluster.settings import Settings
from cluster.supervision.membership import RESTARTING, RUNNING
from roost.own_packages import program

MAX_RECORDS: Final = 150_000
"""Records after which a log that forgets is recreated: some 60 MB of them, in memory."""

MAX_BATCHES: Final = 10_000
"""Batches after which it is: Tansu answers slower the more of them a partition holds.

A quiet system has a record in each batch. At 80 messages a second the broker took a fifth of a core at first,
and all of it after 40,000 batches.
"""

READS: Final = 2
"""Reads of one role in progress at once: the embedded store sleeps in its one lock when many meet inserts."""

KEEP_MB: Final = 256
"""What the embedded log keeps: after a crash all of it is read at the start, into memory (1 to 2 s)."""

FETCH_WAIT_MS: Final = 5
"""Tansu answers a fetch only when its wait ends."""

_ACCOUNT: Final = "fcm-embedded.json"
_AGAIN_S: Final = 0.5
_AGAIN_MAX_S: Final = 10.0
_LOOK_EVERY_S: Final = 1.0
_FAILED_CHECKS: Final = 3
"""Failed health checks in a row before a restart."""

log = structlog.get_logger()


class Embedded:
    """The embedded servers of this process.

    Args:
        settings: What has an address in them is not started.
        changed: Awaited with the servers' rows whenever one came or went.
        log_away: Awaited before the log's server is started again, if it will have forgotten everything.
        log_lost: Awaited after that.
        makers: What to start, in place of what the settings give no address for.
        held: Descriptors that every server keeps open as long as it runs.
    """

    def __init__(
        self,
        settings: Settings,
        changed: Callable[[list[dict[str, Any]]], Awaitable[None]],
        log_away: Callable[[], Awaitable[None]],
        log_lost: Callable[[], Awaitable[None]],
        *,
        makers: Sequence[Maker] | None = None,
        held: Sequence[int] = (),
    ) -> None:
        self._settings, self._changed = settings, changed
        self._log_away, self._log_lost = log_away, log_lost
        self._makers, self._held = makers, held
        self._ports: list[socket.socket] = []
        self._servers: dict[str, Server] = {}
        self._restarts: dict[str, int] = {}
        self._watchers: list[asyncio.Task[None]] = []

    def use(self, settings: Settings) -> None:
        """Take settings that changed before the start."""
        self._settings = settings

    async def start(self) -> Settings:
        """Start what is needed, all at once, and return the settings with their addresses.

        Raises:
            ServerFailed: One did not come up; the others are stopped.
        """
        folder = self._settings.data
        folder.mkdir(parents=True, exist_ok=True)
        making = (self._start(make, folder) for make in self._makers or self._wanted())
        for failure in await asyncio.gather(*making, return_exceptions=True):
            if failure is not None:
                await self.stop()
                raise failure
        return self._addressed()

    def watch(self) -> None:
        """Look after the servers from now on."""
        self._watchers = [asyncio.create_task(self._watch(name)) for name in self._servers]

    def address(self, name: str) -> str | None:
        """Return ``host:port`` of a server, None if it is not one of ours."""
        server = self._servers.get(name)
        return server.spec.address if server is not None else None

    def url(self, name: str) -> str | None:
        """Return its URL, None if it is not one of ours."""
        address = self.address(name)
        return None if address is None else url_of(name, address, ServerTls.of(self._settings))

    @property
    def forgets(self) -> bool:
        """Whether the log is ours, and a crash of its server costs what is not stored."""
        return "kafka" in self._servers and self._servers["kafka"].spec.forgets

    @property
    def has_log(self) -> bool:
        """Whether the log is ours."""
        return "kafka" in self._servers

    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each server, for ``roost status``."""
        return [
            {
                "role": name,
                "name": name,
                "pid": server.pid,
                "node": HOST,
                "state": RUNNING if server.running else RESTARTING,
                "address": server.spec.address,
                "restarts": self._restarts.get(name, 0),
            }
            for name, server in self._servers.items()
        ]

    async def stop(self) -> list[str]:
        """Stop them in order: the store last, since others may still write; returns who had to be killed."""
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        early = [server for name, server in self._servers.items() if name != "mongo"]
        await asyncio.gather(*(server.stop() for server in early))
        if "mongo" in self._servers:
            await self._servers["mongo"].stop()
        while self._ports:
            self._ports.pop().close()
        return [
            f"The embedded {name} server did not stop within {server.spec.stop_s:g} s, and was killed."
            for name, server in self._servers.items()
            if server.forced
        ]

    async def _start(self, make: Maker, folder: Path) -> None:
        """Start a server on a port that is ours from now on, also while it is started again."""
        self._ports.append(port := reserved_port())
        spec = await asyncio.to_thread(make, port.getsockname()[1], folder)
        self._servers[spec.name] = await servers.start(spec, self._held)

    def _wanted(self) -> list[Maker]:
        given = self._settings
        tls = ServerTls.of(given)
        wanted: list[Maker] = []
        if given.mongo.url is None:
            wanted.append(partial(specs.mongo, password=passwords.made(given.data, "mongo"), tls=tls))
        if given.kafka.url is None:
            which = given.kafka.embedded
            password = None if specs.is_tansu(which) else passwords.made(given.data, "kafka")
            wanted.append(specs.broker(which, sync=given.kafka.sync, password=password, tls=tls))
        if given.redis.url is None:
            wanted.append(partial(specs.redis, password=passwords.made(given.data, "redis"), tls=tls))
        if given.fcm.credentials_file is None:
            wanted.append(partial(fcm, tls=tls))
        return wanted

    def _addressed(self) -> Settings:
        changes: dict[str, dict[str, Any]] = {}
        if address := self.address("kafka"):
            changes |= self._life_of_log(address)
        if url := self.url("mongo"):
            changes["mongo"] = {
                "url": url,
                "reads": self._settings.mongo.reads or READS,
                "security": passwords.security(self._settings, "mongo"),
            }
        if url := self.url("redis"):
            changes["redis"] = {"url": url, "security": passwords.security(self._settings, "redis")}
        if url := self.url("fcm"):
            files = self._settings.node.embedded_files
            changes["fcm"] = {
                "credentials_file": self._settings.data / _ACCOUNT,
                "endpoint": url,
                "ca": self._settings.fcm.ca if files is None else files[0],
            }
            webpush = self._settings.webpush
            changes["webpush"] = {
                "internal": (*webpush.internal, url),
                "ca": webpush.ca if files is None else (*webpush.ca, files[0]),
            }
        return self._settings.changed(changes)

    def _life_of_log(self, address: str) -> dict[str, dict[str, Any]]:
        kafka, life = self._settings.kafka, self._settings.log
        if not self.forgets:
            security = passwords.security(self._settings, "kafka")
            return {
                "kafka": {"url": address, "security": security},
                "log": {"keep_mb": life.keep_mb or KEEP_MB},
            }
        wait_ms = kafka.fetch_wait_ms or FETCH_WAIT_MS
        most = (life.max_records or MAX_RECORDS, life.max_batches or MAX_BATCHES)
        return {
            "kafka": {"url": address, "idempotent": False, "fetch_wait_ms": wait_ms},
            "log": {"max_records": most[0], "max_batches": most[1]},
            "actors": {"store_linger_ms": 0},  # what is not stored goes with the broker
        }

    async def _watch(self, name: str) -> None:
        pause = _AGAIN_S
        forgets = self._servers[name].spec.forgets
        while True:
            status = await _ended(self._servers[name])
            log.error("server_died", server=name, status=status)
            self._restarts[name] = self._restarts.get(name, 0) + 1
            await self._changed(self.rows())
            if forgets:
                await self._log_away()
            try:
                self._servers[name] = await servers.start(self._servers[name].spec, self._held)
            except ServerFailed as exc:
                log.error("server_not_restarted", server=name, reason=str(exc))  # noqa: TRY400 -- a sentence
                await asyncio.sleep(pause)
                pause = min(_AGAIN_MAX_S, pause * 2)
                continue
            pause = _AGAIN_S
            log.warning("server_restarted", server=name, pid=self._servers[name].pid)
            await self._changed(self.rows())
            if forgets:
                await self._log_lost()


async def _ended(server: Server) -> int:
    """Return the exit status once the server has exited: by itself, or killed by us as unhealthy."""
    if server.spec.unhealthy is None:
        return await server.wait()
    ending = asyncio.create_task(server.wait())
    unhealthy = 0
    try:
        while not (await asyncio.wait([ending], timeout=_LOOK_EVERY_S))[0]:
            unhealthy = unhealthy + 1 if await server.spec.unhealthy(server.spec.port) else 0
            if unhealthy == _FAILED_CHECKS:
                log.error("server_unhealthy", server=server.spec.name)
                server.kill()
        return ending.result()
    finally:
        ending.cancel()


def fcm(port: int, folder: Path, *, tls: ServerTls | None = None) -> ServerSpec:
    """Describe the embedded FCM endpoint, which asks no one for a certificate: Google's does not, either."""
    account = ("--account", str(folder / _ACCOUNT))
    shown = () if tls is None else ("--certificate", str(tls.certificate), "--key", str(tls.key))
    argv = (*program("cluster.local.fcm_endpoint"), "--port", str(port), *account, *shown)
    return ServerSpec("fcm", argv, port, servers.accepts, folder / "logs" / "fcm.log")
