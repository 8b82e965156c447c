"""One scrape target for each node: the metrics of all its roles, merged by whichever of them holds the port.

Every role serves its own metrics on a Unix socket in a folder that only its user may enter. A lock in that
folder says who of them tries to listen on the node's metrics port; when that process dies, the kernel frees
the lock and the port, and another role has both within a second. Here lives no metric and no rule of the
system: a role that cannot be shown runs all the same.
"""

import asyncio
import fcntl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TextIO

import structlog
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from roost.node_certificate import NodeCertificate
from roost.private_folders import make_private
from roost.tasks import BackgroundTasks

if TYPE_CHECKING:
    from aiohttp import web

PATH: Final = "/metrics"
_AGAIN_S: Final = 1.0
_ANSWER_S: Final = 1.0
"""How long one role may take to answer."""

_TAKEN_S: Final = 5.0
"""How long the holder of the port may take to read what a role says."""

_TLS_S: Final = 5.0
"""How long who asks may take for the handshake of TLS."""

_GONE_S: Final = 60.0
"""A socket without a listener for this long belongs to a role that will not come back."""

_WHOLE: Final = b"# EOF\n"
"""Ends what a role says: without it, the role died in the middle."""

log = structlog.get_logger()


class Shown(NamedTuple):
    """A role of this node, as its socket names it."""

    role: str
    name: str


class Exporter:
    """Shows one role, and the whole node when it holds the port.

    Args:
        me: The role.
        collect: Returns its metrics in Prometheus text format.
        folder: Where the sockets of the node's roles are.
        address: IP address and port of the scrape target, None for none.
        certificate: This node's: the scrape target is encrypted, and answers to those who have a certificate
            for clients of the same CA. None: it is not, and answers to everyone.
    """

    def __init__(
        self,
        me: Shown,
        collect: Callable[[], Awaitable[bytes]],
        folder: Path,
        address: tuple[str, int] | None,
        certificate: NodeCertificate | None = None,
    ) -> None:
        self._collect, self._folder, self._address = collect, folder, address
        self._certificate = certificate
        self._socket = folder / f"{me.role}.{me.name}.sock"
        self._servers: list[asyncio.Server] = []
        self._runner: web.AppRunner | None = None
        self._lock: TextIO | None = None
        self._tasks = BackgroundTasks()
        self._refused: dict[Path, float] = {}

    async def start(self) -> None:
        """Show the role, and try for the port from now on.

        Raises:
            OSError: The folder or the socket cannot be made, or others may enter the folder.
        """
        make_private(self._folder)
        self._servers.append(await asyncio.start_unix_server(self._say, self._socket))
        if self._address is not None:
            self._tasks.spawn(self._take_port(*self._address), "metrics port")

    async def stop(self) -> None:
        """Stop showing anything."""
        await self._tasks.cancel()
        while self._servers:
            self._servers.pop().close()
        if self._runner is not None:
            await self._runner.cleanup()
        self._socket.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()

    # --- this role ----------------------------------------------------------------------------------

    async def _say(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(await self._collect() + _WHOLE)
            async with asyncio.timeout(_TAKEN_S):
                await writer.drain()
        except (OSError, TimeoutError) as exc:
            log.debug("metrics_not_taken", reason=str(exc))
        except Exception:
            log.exception("metrics_failed")
        finally:
            writer.close()

    # --- the node -----------------------------------------------------------------------------------

    async def _take_port(self, host: str, port: int) -> None:
        """Listen on the port as soon as no other role of this node does, and no other process has it."""
        while not self._locked():  # noqa: ASYNC110 -- a lock of another process wakes no task here
            await asyncio.sleep(_AGAIN_S)
        # Loading it takes 0.2 s of CPU: only in the role that needs it, and not in its loop.
        web = await asyncio.to_thread(import_module, "aiohttp.web")
        app = web.Application()
        app.router.add_get(PATH, self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_ANSWER_S)
        await self._runner.setup()
        server = self._runner.server
        assert server is not None  # noqa: S101 -- it is set up
        encrypted: dict[str, Any] = {}
        if self._certificate is not None:
            encrypted = {"ssl": self._certificate.server(), "ssl_handshake_timeout": _TLS_S}
        said, loop = False, asyncio.get_running_loop()
        while True:
            try:
                self._servers.append(await loop.create_server(server, host, port, **encrypted))
            except OSError as exc:
                if not said:
                    log.warning("metrics_port_taken", host=host, port=port, reason=str(exc))
                said = True
                await asyncio.sleep(_AGAIN_S)
            else:
                log.info("metrics_served", host=host, port=port)
                return

    def _locked(self) -> bool:
        """Take the lock of this node's roles; the kernel frees it with the process."""
        if self._lock is None:
            self._lock = (self._folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    async def _answer(self, _request: "web.Request") -> "web.Response":
        from aiohttp import web  # noqa: PLC0415 -- loaded by then

        return web.Response(body=await self.scrape(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    async def scrape(self) -> bytes:
        """Return the metrics of all roles of this node, merged."""
        paths = sorted(self._folder.glob("*.sock"))
        said = await asyncio.gather(*(self._ask(path) for path in paths))
        known = {
            Shown(*path.stem.split(".", 1)): text
            for path, text in zip(paths, said, strict=True)
            if path.exists()
        }
        return await asyncio.to_thread(merged, known)

    async def _ask(self, path: Path) -> bytes | None:
        """Return what the role says, None if it says nothing or not all of it in time."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                reader, writer = await asyncio.open_unix_connection(path)
                try:
                    text = await reader.read()
                finally:
                    writer.close()
        except ConnectionRefusedError:
            self._forget(path)
            return None
        except (OSError, TimeoutError):
            return None
        self._refused.pop(path, None)
        return text if text.endswith(_WHOLE) else None

    def _forget(self, path: Path) -> None:
        """Remove the socket of a role that was ended otherwise than in order and has not come back."""
        now = asyncio.get_running_loop().time()
        if now - self._refused.setdefault(path, now) >= _GONE_S:
            del self._refused[path]
            path.unlink(missing_ok=True)


def merged(said: Mapping[Shown, bytes | None]) -> bytes:
    """Return one exposition of many, each sample labelled with its role and name.

    Args:
        said: Text format by role; None for one that did not answer.
    """
    scraped = GaugeMetricFamily(
        "roost_role_scraped", "Whether the role's process answered this scrape.", labels=Shown._fields
    )
    families: dict[str, Metric] = {scraped.name: scraped}
    for shown, text in said.items():
        scraped.add_metric(shown, float(text is not None))
        labels = shown._asdict()
        for found in text_string_to_metric_families((text or b"").decode()):
            family = families.setdefault(found.name, Metric(found.name, found.documentation, found.type))
            family.samples += [each._replace(labels=each.labels | labels) for each in found.samples]
    return generate_latest(_Families(families.values()))


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
