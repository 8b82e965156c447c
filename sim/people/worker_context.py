"""The context of one worker: the server, the ledger and the figures for the screen."""

import asyncio
import secrets
import statistics
from collections import deque
from collections.abc import Coroutine
from typing import Any

import aiohttp
from msgspec import Struct, field

from roost.clock import Clock
from sim.ledger import Ledger, now_us
from sim.limits import Limits

_LATENCIES = 2_000
_TROUBLES = 20


class Figures(Struct):
    """What a worker tells about itself while it runs.

    Attributes:
        phase: ``joining``, ``ready``, ``running``, ``settling``, ``auditing`` or ``done``.
        online: People whose phones all have a session.
        sent: Messages handed to the SDK.
        accepted: Messages that the server has.
        delivered: Messages that arrived at an app, each device counted.
        failed: Messages that were given up.
        waiting: Messages that something may yet become of; see `sim.limits.Limits.sweeps`.
        quiet_s: Seconds since anything last happened.
        p50_ms: Median time from send to receipt, of the last ones.
        p99_ms: Its 99th percentile.
        troubles: What should never happen, as sentences.
        cpu_s: CPU time of the worker's process.
        rss_mb: Memory of the worker's process.
        peak_mb: The most it ever had.
    """

    phase: str = "joining"
    online: int = 0
    sent: int = 0
    accepted: int = 0
    delivered: int = 0
    failed: int = 0
    waiting: int = 0
    quiet_s: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    troubles: list[str] = field(default_factory=list)
    cpu_s: float = 0.0
    rss_mb: float = 0.0
    peak_mb: float = 0.0


class Board:
    """Counts what happens, for the screen; the ledger is what counts in the end."""

    def __init__(self) -> None:
        self.figures = Figures()
        self.last_us = now_us()
        self._went: dict[str, int] = {}
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)

    def wrote(self, message_id: str) -> None:
        """A message was handed to the SDK."""
        self.figures.sent += 1
        self._went[message_id] = self.last_us = now_us()

    def accepted(self, _message_id: str) -> None:
        """A message was accepted."""
        self.figures.accepted += 1
        self.last_us = now_us()

    def received(self, message_id: str) -> None:
        """A message arrived at an app; its time is known if it was written in this worker."""
        self.figures.delivered += 1
        self.last_us = now_us()
        went = self._went.pop(message_id, None)
        if went is not None:
            self._latencies.append((self.last_us - went) / 1000)

    def failed(self) -> None:
        """A message was given up."""
        self.figures.failed += 1

    def trouble(self, sentence: str) -> None:
        """Something happened that never should."""
        if len(self.figures.troubles) < _TROUBLES:
            self.figures.troubles.append(sentence)

    def now(self) -> Figures:
        """Return the figures as they are now."""
        figures = self.figures
        figures.quiet_s = (now_us() - self.last_us) / 1e6
        if len(self._latencies) > 1:
            cuts = statistics.quantiles(self._latencies, n=100)
            figures.p50_ms, figures.p99_ms = cuts[49], cuts[98]
        return figures


class WorkerContext:
    """The server, the ledger and the figures that all people of one worker share.

    Attributes:
        server: Base URL of the Roost that is tried.
        http: Connections.
        ledger: Where everyone writes.
        board: Figures for the screen.
        clock: Unix milliseconds.
        random: Random bytes.
        limits: Of the server.
        devices: Device ids by username, for phones that do not use the SDK's directory.
    """

    def __init__(
        self,
        server: str,
        http: aiohttp.ClientSession,
        ledger: Ledger,
        clock: Clock,
        limits: Limits = Limits(),  # noqa: B008 -- frozen
    ) -> None:
        self.server, self.http, self.ledger, self.clock, self.limits = server, http, ledger, clock, limits
        self.board = Board()
        self.random = secrets.token_bytes
        self.devices: dict[str, list[str]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside; its failure is a trouble."""
        self.keep(asyncio.create_task(work))

    def keep(self, task: "asyncio.Task[Any]") -> None:
        """Keep a task until it ends."""
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        """End what runs beside."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            self.board.trouble(f"{type(exc).__name__}: {exc}")
