"""Starts a system of our own: ``roost up`` as a child, if need be with its servers behind proxies."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from signal import SIGTERM
from typing import Any, Final, TextIO, cast

import structlog

from cluster.control.stop_report import bound_s
from cluster.local import servers
from cluster.local.embedded import KEEP_MB, Embedded
from cluster.settings import Settings
from roost.child_supervision import tied
from roost.errors import RoostError, Unavailable
from sim.faults.proxy import Proxy
from telemetry.logs import LogFile

READY_S: Final = 120.0

_STOP_S: Final = bound_s(kept=False) + 60.0
_LOG_BYTES: Final = 3_000
_URLS: Final = {"kafka": "{}", "mongo": "mongodb://{}", "redis": "redis://{}/0"}
_BEHIND: Final = {"ROOST_LOG__KEEP_MB": str(KEEP_MB)}
"""What ``roost up`` would choose by itself for an embedded log."""


class StoppedBadly(RoostError):  # noqa: N818 -- named for what happened
    """The system did not stop as it should: something it had accepted is not stored, for example."""


@asynccontextmanager
async def proxied(folder: Path) -> AsyncIterator[tuple[Embedded, dict[str, Proxy]]]:
    """Start the servers underneath, each with a proxy in front."""
    proxies = {name: Proxy() for name in ("kafka", "mongo", "redis")}
    makers = (partial(servers.kfake, advertised=proxies["kafka"].address), servers.mongo, servers.redis)
    embedded = Embedded(Settings.load({"data": folder}), _unheard, _untold, _untold, makers)
    log = LogFile(folder / "servers.log")
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(cast("TextIO", log)))
    try:
        await embedded.start()
        embedded.watch()
        for name, proxy in proxies.items():
            proxy.target = embedded.address(name) or ""
            await proxy.start()
        yield embedded, proxies
    finally:
        await asyncio.gather(*(proxy.close() for proxy in proxies.values()))
        await embedded.stop()
        structlog.reset_defaults()
        log.close()


async def _unheard(_rows: list[dict[str, Any]]) -> None:
    """Nobody is told when a server comes or goes: who wants to know asks for the rows."""


async def _untold() -> None:
    """Whoever gives the address of a log of his own has nobody to tell that it is gone."""


def behind(proxies: Mapping[str, Proxy]) -> tuple[list[str], dict[str, str]]:
    """Return the options and variables of a ``roost up`` whose servers are behind these proxies."""
    urls = {name: _URLS[name].format(proxy.address) for name, proxy in proxies.items()}
    return [word for name, url in urls.items() for word in (f"--{name}", url)], dict(_BEHIND)


@asynccontextmanager
async def up(folder: Path, options: Sequence[str], env: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
    """Run ``roost up``; yields its ready line. It dies with us, and everything of it with it.

    Raises:
        Unavailable: It did not become ready.
        StoppedBadly: It did not stop as it should.
    """
    said = folder / "up.log"
    command = (sys.executable, "-m", "roost", "up", "--json", "--port", "0", "--data", str(folder))
    with said.open("ab") as log:
        child = await asyncio.create_subprocess_exec(
            *tied(*(f"{name}={value}" for name, value in env.items())),
            *(*command, *options),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us; the system is stopped in order
        )
    try:
        yield await _ready(child, said)
    except BaseException:
        await _stopped(child)
        raise
    if await _stopped(child):
        raise StoppedBadly(
            "internal", f"`roost up` did not stop in order. The end of what it said:\n{_tail(said)}"
        )


async def _ready(child: asyncio.subprocess.Process, said: Path) -> dict[str, Any]:
    assert child.stdout is not None  # noqa: S101 -- it is a pipe
    try:
        async with asyncio.timeout(READY_S):
            line = await child.stdout.readline()
    except TimeoutError:
        line = b""
    if not line:
        raise Unavailable(f"`roost up` did not become ready. The end of what it said:\n{_tail(said)}")
    found: dict[str, Any] = json.loads(line)
    return found


async def _stopped(child: asyncio.subprocess.Process) -> int:
    """Stop it, and return its exit code."""
    if child.returncode is None:
        child.send_signal(SIGTERM)
    try:
        async with asyncio.timeout(_STOP_S):
            return await child.wait()
    except TimeoutError:
        child.kill()
        return await child.wait()


def _tail(file: Path) -> str:
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - _LOG_BYTES))
        return opened.read().decode(errors="replace")
