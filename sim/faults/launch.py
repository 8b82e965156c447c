"""A system of our own: ``roost up`` as a child, if need be with its servers behind proxies."""

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TextIO, cast

import structlog

from cluster.local import passwords, specs
from cluster.local.embedded import KEEP_MB, Embedded
from cluster.local.server_tls import ServerTls, url_of
from cluster.settings import Settings
from roost.cli.launch import RoostUp
from sim.faults.proxy import Proxy
from telemetry.logs import LogFile

_BEHIND: Final = {
    "ROOST_LOG__KEEP_MB": str(KEEP_MB),
    "ROOST_KAFKA__SECURITY__MECHANISM": passwords.MECHANISM,
}
"""What ``roost up`` would choose by itself for an embedded log."""


@asynccontextmanager
async def proxied(folder: Path) -> AsyncIterator[tuple[Embedded, dict[str, Proxy]]]:
    """Start the servers underneath, each with a proxy in front."""
    proxies = {name: Proxy() for name in ("kafka", "mongo", "redis")}
    settings = Settings.load({"data": folder})
    word = {name: passwords.made(folder, name) for name in proxies}
    tls = ServerTls.of(settings)
    makers = (
        partial(specs.kfake, advertised=proxies["kafka"].address, password=word["kafka"], tls=tls),
        partial(specs.mongo, password=word["mongo"], tls=tls),
        partial(specs.redis, password=word["redis"], tls=tls),
    )
    embedded = Embedded(settings, _unheard, _untold, _untold, makers=makers)
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
    """Servers that come and go are not reported: the rows are asked for."""


async def _untold() -> None:
    """A log that is given by address is not watched, so its end is not reported."""


def behind(folder: Path, proxies: Mapping[str, Proxy]) -> tuple[list[str], dict[str, str]]:
    """Return the options and variables of a ``roost up`` whose servers (of this folder) proxies hide."""
    tls = ServerTls.of(Settings.load({"data": folder}))
    urls = {name: url_of(name, proxy.address, tls) for name, proxy in proxies.items()}
    env = dict(_BEHIND)
    for name in proxies:
        prefix = f"ROOST_{name.upper()}__SECURITY__"
        env[f"{prefix}USER"] = passwords.USER
        env[f"{prefix}PASSWORD_FILE"] = str(passwords.file_of(folder, name))
        if tls is not None:
            env |= {f"{prefix}{word.upper()}": str(file) for word, file in tls._asdict().items()}
    if tls is not None:
        env["ROOST_KAFKA__SECURITY__TLS"] = "true"
    return [word for name, url in urls.items() for word in (f"--{name}", url)], env


@asynccontextmanager
async def up(folder: Path, options: Sequence[str], env: Mapping[str, str]) -> AsyncIterator[dict[str, Any]]:
    """Run ``roost up``; yields its ready line. It dies with us, and everything of it with it.

    Raises:
        Unavailable: It did not become ready.
        StoppedBadly: It did not stop as it should.
    """
    child = RoostUp(folder, folder / "up.log", options=options, env=env, on_death=signal.SIGKILL)
    child.launch()
    try:
        yield await asyncio.to_thread(child.until_ready)
    except BaseException:
        await asyncio.to_thread(child.stop)
        raise
    await asyncio.to_thread(child.stop_in_order)
