"""Servers as child processes: how each is started, known to be ready, and stopped.

A ``ServerSpec`` says what to run (`cluster.local.specs` has those of the embedded servers); ``start``
runs it and returns a ``Server``. A server dies with the process that started it
(`roost.child_supervision`), keeps its output in a log file, and listens on loopback only. Usage::

    server = await start(specs.redis(free_port(), folder))
    ...                               # `await server.wait()` returns when it exits by itself
    await server.stop()

The kernel ties a child to the *thread* that started it: call ``start`` from a thread that lives as
long as the server should, which an event loop's thread does.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from roost.child_supervision import tied

HOST: Final = "127.0.0.1"

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
