"""The verbs ``up`` and ``down``."""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
import psutil

from cluster.cli.verbs import find_by, found_by
from cluster.control import stop_report
from cluster.local import data_lock, runfile
from cluster.local.servers import ServerFailed
from cluster.log.growth import shards_told
from cluster.settings import Settings, SettingsInvalid, without_password
from roost.cli import standard_streams
from roost.cli.terminal import BAD_USAGE, DEPENDENCY_AWAY, DID_NOT_HOLD, SAY_EVERY_S, complain, say, stopped
from roost.errors import Unavailable
from telemetry import logs

_DOWN_S: Final = stop_report.bound_s(kept=False) + 60.0
"""The roles' stop, then Ray's and the servers'."""

_OURS_ALONE: Final = 0o077
"""Whatever is made from now on, by us and by every process that we start, is for this user alone."""

_ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Ctrl-C, ``kill``, a terminal that was closed, Ctrl-\\."""

_IGNORED: Final = (signal.SIGUSR1, signal.SIGUSR2)
"""Sent to daemons out of habit, to have them reopen their logs; by default they would end us at once."""

_SAME_AGAIN_S: Final = 10.0
_COUNTS: Final = ("gateways", "routers", "hosts", "pushers")
FORGETS: Final = (
    "The embedded broker is Tansu, whose log does not survive a crash of the broker; an orderly stop stores "
    "everything. It knows no passwords: every user of this machine can read and write its log. For one that "
    "is safe from both, build kfake: make setup, or python broker/build.py in the sources."
)


class Up:
    """``roost up``."""

    help = "run the whole system on this machine; servers without a URL are started embedded"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare addresses, counts and ``--json``."""
        parser.add_argument("--port", type=int, help="HTTP port (8080); 0: any free port")
        parser.add_argument("--data", metavar="DIR", help="data folder (./data)")
        for role in _COUNTS:
            parser.add_argument(f"--{role}", type=int, metavar="N", help=f"number of {role} (1)")
        for server in ("kafka", "mongo", "redis"):
            parser.add_argument(
                f"--{server}", metavar="URL", help=f"your own {server} instead of an embedded one"
            )
        parser.add_argument(
            "--address",
            metavar="HOST:PORT",
            help="Ray cluster to start the roles on (`auto`: this machine's), then return",
        )
        parser.add_argument(
            "--json", action="store_true", help="print one JSON line when ready, and nothing else"
        )

    def run(self, args: argparse.Namespace) -> int:
        """Start, serve until a signal, stop in order."""
        try:
            settings = Settings.load(_changes(args))
        except SettingsInvalid as exc:
            return complain(str(exc), BAD_USAGE)
        for server in _shown_passwords(args):
            say(
                f"Every user of this machine sees the password in --{server}: set in its place "
                f"ROOST_{server.upper()}__SECURITY__USER and ROOST_{server.upper()}__SECURITY__PASSWORD_FILE."
            )
        os.umask(_OURS_ALONE)
        if settings.cluster.address is not None:
            from cluster.cli import join  # noqa: PLC0415 -- what it loads takes longer than the rest

            return asyncio.run(join.up(settings, as_json=args.json))
        from cluster.doctor import start  # noqa: PLC0415 -- likewise

        if (refusal := start.wrong_here(settings)) is not None:
            return complain(*refusal)
        settings.data.mkdir(parents=True, exist_ok=True)
        try:
            with data_lock.locked(settings.data) as lock:
                logs.configure(settings.log_level, "up", "up", settings.data / "logs")
                return asyncio.run(_up(settings, lock, as_json=args.json))
        except data_lock.FolderInUse as exc:
            return complain(str(exc), BAD_USAGE)


class Down:
    """``roost down``."""

    help = "stop the system that uses this data folder, in order"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare ``--data`` and ``--address``."""
        find_by(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Send the signal and wait until the process is gone."""
        try:
            settings = found_by(args)
        except SettingsInvalid as exc:
            return complain(str(exc), BAD_USAGE)
        if settings.cluster.address is not None:
            from cluster.cli import join  # noqa: PLC0415 -- likewise

            return asyncio.run(join.down(settings))
        data = settings.data
        process = data_lock.holder(data)  # also of one that is still starting
        if process is None:
            return complain(f"No running system uses the data folder {data}.", DID_NOT_HOLD)
        say(f"stopping process {process.pid}")
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_DOWN_S)
        except psutil.TimeoutExpired:
            return complain(
                f"Process {process.pid} is still running after {_DOWN_S:g} s; see {data}/logs.", DID_NOT_HOLD
            )
        ended = runfile.stopped(data, process.pid)
        if ended is None:
            return complain(
                f"Process {process.pid} is gone, and did not say what became of the log; see {data}/logs.",
                DID_NOT_HOLD,
            )
        return stopped(ended.given_up)


async def _up(settings: Settings, lock: int, *, as_json: bool) -> int:
    from cluster.doctor import start  # noqa: PLC0415 -- loads much
    from cluster.local.preflight import StartRefused  # noqa: PLC0415 -- likewise
    from cluster.local.system import System, started  # noqa: PLC0415 -- likewise

    system = System(settings, lock)
    began = time.monotonic()
    try:
        starting = asyncio.current_task()
        assert starting is not None  # noqa: S101 -- asyncio.run made one
        _on_signal(starting.cancel)
        if (refusal := await start.away(settings)) is not None:
            return complain(*refusal)
        if (refusal := await start.unusable_media(settings, say)) is not None:
            return complain(*refusal)
        async with _progress(system), started(system) as running:
            stop = asyncio.Event()
            _on_signal(stop.set)
            if system.forgets:
                say(FORGETS)
            for sentence in shards_told(settings, system.shards):
                say(sentence)
            _announce(running, time.monotonic() - began, as_json=as_json)
            await stop.wait()
            say("stopping: no new input; everything in the log is stored first")
    except (StartRefused, SettingsInvalid) as exc:
        failure, code = str(exc), BAD_USAGE
    except (Unavailable, ServerFailed) as exc:
        failure, code = str(exc), DEPENDENCY_AWAY
    except asyncio.CancelledError:
        failure, code = "Interrupted while it started.", DID_NOT_HOLD
    else:
        return stopped(system.given_up)
    return complain("\n".join([failure, *system.given_up]), code)


def _on_signal(call: Callable[[], object]) -> None:
    """Run the call at the first signal that asks for an end; more of them change nothing."""
    loop = asyncio.get_running_loop()
    for number in _ENDS:
        # After `nohup` the end of the terminal is ignored, and stays so.
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, _once, call)
    for number in _IGNORED:
        loop.add_signal_handler(
            number, say, f"{number.name} means nothing to Roost; SIGTERM stops it in order"
        )


def _once(call: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    for number in _ENDS:
        loop.add_signal_handler(number, lambda: None)
    call()


@asynccontextmanager
async def _progress(system: Any) -> AsyncIterator[None]:
    """Say within two seconds what is being waited for, and every ten if it stays the same."""
    ticker = asyncio.create_task(_tick(system))
    try:
        yield
    finally:
        ticker.cancel()
        await asyncio.gather(ticker, return_exceptions=True)


async def _tick(system: Any) -> None:
    said, since, again = "", time.monotonic(), 0.0
    while True:
        await asyncio.sleep(SAY_EVERY_S)
        now = time.monotonic()
        if not system.step:
            since = now
        elif system.step != said or now >= again:
            said, again = system.step, now + _SAME_AGAIN_S
            say(f"{said} ({now - since:.0f} s)")


def _announce(running: runfile.Running, took_s: float, *, as_json: bool) -> None:
    fields: dict[str, Any] = msgspec.to_builtins(running)
    if as_json:
        ready = {"ready": True} | {k: v for k, v in fields.items() if k not in ("pid", "started")}
        announced = json.dumps(ready) + "\n"
    else:
        announced = (
            f"Roost is ready after {took_s:.1f} s.\n"
            f"  web client {running.http}/\n"
            f"  API docs   {running.http}/docs\n"
            f"  log        {running.kafka}\n"
            f"  store      {running.mongo}\n"
            f"  cache      {running.redis}\n"
            f"  pushes     {running.fcm + '/pushes' if running.fcm else 'Firebase Cloud Messaging'}\n"
            f"  metrics    {running.metrics or 'nowhere'}\n"
            f"  Ray        {running.ray}\n"
            f"  data       {running.data}\n"
            f"Stop it with Ctrl-C or: roost down --data {running.data}\n"
        )
    if not standard_streams.write(sys.stdout, announced):
        say("ready; who was to read that on stdout is gone")


def _shown_passwords(args: argparse.Namespace) -> list[str]:
    """Return the servers whose password stands on the command line."""
    urls = {server: getattr(args, server) for server in ("mongo", "redis")}
    return [server for server, url in urls.items() if without_password(url) != url]


def _changes(args: argparse.Namespace) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if args.data is not None:
        changes["data"] = args.data
    if args.port is not None:
        changes["http"] = {"port": args.port}
    cluster = {key: getattr(args, key) for key in (*_COUNTS, "address") if getattr(args, key) is not None}
    if cluster:
        changes["cluster"] = cluster
    for server in ("kafka", "mongo", "redis"):
        if (url := getattr(args, server)) is not None:
            changes[server] = {"url": url}
    return changes


up = Up()
down = Down()
