"""The verbs ``up`` and ``down``, and how all verbs find the coordinator."""

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil

from cluster import runfile, telemetry
from cluster.servers import ServerFailed
from cluster.settings import Settings, SettingsInvalid
from roost.errors import Unavailable

DONE: Final = 0
DID_NOT_HOLD: Final = 1
BAD_USAGE: Final = 2
DEPENDENCY_AWAY: Final = 3

_SAY_EVERY_S: Final = 2.0
_DOWN_S: Final = 120.0
_COUNTS: Final = ("gateways", "routers", "hosts", "pushers")


class Up:
    """``roost up``."""

    help = "the whole system on this machine; what has no URL is started embedded"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare addresses, counts and ``--json``."""
        parser.add_argument("--port", type=int, help="HTTP port (8080); 0: any free one")
        parser.add_argument("--data", metavar="DIR", help="data folder (./data)")
        for role in _COUNTS:
            parser.add_argument(f"--{role}", type=int, metavar="N", help=f"number of {role} (1)")
        for server in ("kafka", "mongo", "redis"):
            parser.add_argument(
                f"--{server}", metavar="URL", help=f"your own {server} instead of an embedded one"
            )
        parser.add_argument("--json", action="store_true", help="print one ready line as JSON, nothing else")

    def run(self, args: argparse.Namespace) -> int:
        """Start, serve until a signal, stop in order."""
        try:
            settings = Settings.load(_changes(args))
        except SettingsInvalid as exc:
            return _complain(str(exc), BAD_USAGE)
        running = runfile.read(settings.data)
        if running is not None:
            return _complain(
                f"It runs already: process {running.pid} uses the data folder {running.data}.", BAD_USAGE
            )
        settings.data.mkdir(parents=True, exist_ok=True)
        telemetry.configure(settings.log_level, "up", "up", settings.data / "logs")
        return asyncio.run(_up(settings, as_json=args.json))


class Down:
    """``roost down``."""

    help = "stop the system that runs with this data folder, in order"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare ``--data``."""
        parser.add_argument("--data", metavar="DIR", help="data folder (./data)")

    def run(self, args: argparse.Namespace) -> int:
        """Send the signal and wait until the process is gone."""
        try:
            data = _data(args)
        except SettingsInvalid as exc:
            return _complain(str(exc), BAD_USAGE)
        running = runfile.read(data)
        process = running.process() if running is not None else None
        if process is None:
            return _complain(f"Nothing runs with the data folder {data}.", DID_NOT_HOLD)
        _say(f"stopping process {process.pid}")
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_DOWN_S)
        except psutil.TimeoutExpired:
            return _complain(
                f"Process {process.pid} still runs after {_DOWN_S:g} s; see {data}/logs.", DID_NOT_HOLD
            )
        _say("stopped")
        return DONE


@contextmanager
def _coordinator(data: Path, address: str | None) -> Iterator[Callable[[], Any]]:
    """Join the Ray cluster; inside, a call finds the coordinator."""
    from cluster.ray_head import COORDINATOR, prepare_ray  # noqa: PLC0415 -- loads what `down` does not need

    if address is None:
        address = runfile.found(data).ray
        prepare_ray(data)
    from actors.ray_actor import connect_ray, find, leave_ray  # noqa: PLC0415 -- after `prepare_ray`

    connect_ray(address)
    try:
        yield lambda: find(COORDINATOR, COORDINATOR)
    finally:
        leave_ray()


async def _up(settings: Settings, *, as_json: bool) -> int:
    from cluster.system import Refused, System, started  # noqa: PLC0415 -- loads what other verbs do not need

    system = System(settings)
    began = time.monotonic()
    try:
        starting = asyncio.current_task()
        assert starting is not None  # noqa: S101 -- asyncio.run made one
        _on_signal(starting.cancel)
        async with _progress(system), started(system) as running:
            stop = asyncio.Event()
            _on_signal(stop.set)  # again, since Ray has put its own handler there meanwhile
            _announce(running, settings, time.monotonic() - began, as_json=as_json)
            await stop.wait()
            _say("stopping: no more input; what is in the log goes into the store first")
    except (Refused, SettingsInvalid) as exc:
        return _complain(str(exc), BAD_USAGE)
    except (Unavailable, ServerFailed) as exc:
        return _complain(str(exc), DEPENDENCY_AWAY)
    except asyncio.CancelledError:
        return _complain("Interrupted while it started.", DID_NOT_HOLD)
    _say("stopped")
    return DONE


def _on_signal(call: Callable[[], object]) -> None:
    """Run the call at the first Ctrl-C or SIGTERM; more of them change nothing."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _once, call)


def _once(call: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: None)
    call()


@asynccontextmanager
async def _progress(system: Any) -> AsyncIterator[None]:
    """Say every two seconds what is being waited for, while something is."""
    ticker = asyncio.create_task(_tick(system))
    try:
        yield
    finally:
        ticker.cancel()
        await asyncio.gather(ticker, return_exceptions=True)


async def _tick(system: Any) -> None:
    said, since = "", time.monotonic()
    while True:
        await asyncio.sleep(_SAY_EVERY_S)
        if not system.step:
            since = time.monotonic()
        elif system.step != said:
            said = system.step
            _say(f"{said} ({time.monotonic() - since:.0f} s)")


def _announce(running: runfile.Running, settings: Settings, took_s: float, *, as_json: bool) -> None:
    fields: dict[str, Any] = msgspec.to_builtins(running)
    if settings.kafka.url is None:
        _say("The embedded log keeps nothing across a crash of its own; an orderly stop stores all of it.")
    if as_json:
        ready = {"ready": True} | {k: v for k, v in fields.items() if k not in ("pid", "started")}
        sys.stdout.write(json.dumps(ready) + "\n")
    else:
        sys.stdout.write(
            f"Roost is ready after {took_s:.1f} s.\n"
            f"  page       {running.http}/\n"
            f"  API docs   {running.http}/docs\n"
            f"  log        {running.kafka}\n"
            f"  store      {running.mongo}\n"
            f"  cache      {running.redis}\n"
            f"  pushes     {running.fcm + '/pushes' if running.fcm else 'Firebase Cloud Messaging'}\n"
            f"  Ray        {running.ray}\n"
            f"  data       {running.data}\n"
            f"Stop it with Ctrl-C or: roost down --data {running.data}\n"
        )
    sys.stdout.flush()


def _changes(args: argparse.Namespace) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if args.data is not None:
        changes["data"] = args.data
    if args.port is not None:
        changes["http"] = {"port": args.port}
    if counts := {role: getattr(args, role) for role in _COUNTS if getattr(args, role) is not None}:
        changes["cluster"] = counts
    for server in ("kafka", "mongo", "redis"):
        if (url := getattr(args, server)) is not None:
            changes[server] = {"url": url}
    return changes


def _data(args: argparse.Namespace) -> Path:
    return Settings.load({} if args.data is None else {"data": args.data}).data


def _say(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")


def _complain(sentence: str, code: int) -> int:
    _say(sentence)
    return code


up = Up()
down = Down()
