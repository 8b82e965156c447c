"""The cost of handing data from one role to another: by Ray calls, by batched Ray calls, over a link.

    python -m benchmarks.links [--seconds 5] [--json FILE]

One process sends messages of 500 bytes to another, which answers. *Paced* is 200 turns a second with 4
messages each, between busy and idle as most systems are; *full* keeps 8 turns of 32 messages in flight. CPU
is that of both processes, not of Ray's daemons. ``empty_ray_actor`` is one that holds nothing: its private
memory, and how long it takes to start.
"""

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil
import ray

from actors.rpc.link import Link, connect, serve
from benchmarks.figures import keep
from benchmarks.system import environment

_BODY: Final = b"x" * 500
_SECRET: Final = b"benchmark"
_PACED: Final = (200, 4)
_FULL: Final = (8, 32)
_EMPTY: Final = 8

Send = Callable[[list[bytes]], Awaitable[None]]
"""Sends the messages of one turn and returns when all are answered."""


@ray.remote
class Sink:
    """The receiving actor."""

    def pid(self) -> int:
        """Return the process id."""
        return os.getpid()

    async def take(self, _body: bytes) -> bool:
        """Take one message."""
        return True

    async def take_many(self, packed: bytes) -> int:
        """Take the messages of one turn."""
        return len(msgspec.msgpack.decode(packed))


@ray.remote
class Empty:
    """An actor that holds nothing."""

    def pid(self) -> int:
        """Return the process id."""
        return os.getpid()


class Answering:
    """The receiving end of the link: it answers each message with its number."""

    def opened(self, link: Link) -> None:
        """Nothing to do."""

    def received(self, link: Link, messages: list[Any]) -> None:
        """Answer each message."""
        for number, _body in messages:
            link.send(number)

    def closed(self, link: Link) -> None:
        """Nothing to do."""


class Asking(Answering):
    """The sending end of the link."""

    def __init__(self) -> None:
        self._open: dict[int, asyncio.Future[None]] = {}
        self._count = 0

    def received(self, _link: Link, messages: list[Any]) -> None:
        """Resolve what was answered."""
        for number in messages:
            self._open.pop(number).set_result(None)

    async def send(self, link: Link, bodies: list[bytes]) -> None:
        """Send the messages of one turn and wait for their answers."""
        waiting = []
        for body in bodies:
            self._count += 1
            self._open[self._count] = future = asyncio.get_running_loop().create_future()
            waiting.append(future)
            link.send((self._count, body))
        await asyncio.gather(*waiting)


async def receive() -> None:
    """Serve links until killed; print the port."""
    server, (_, port) = await serve("127.0.0.1", 0, Answering(), msgspec.msgpack.decode, secret=_SECRET)
    print(port, flush=True)
    await server.serve_forever()


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[Send, int]]:
    """Run the receiving process; yield how to send to it, and its process id."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.links", "--receive", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        port = int(await child.stdout.readline())
        asking = Asking()
        address = ("127.0.0.1", port)
        link = await connect(address, asking, msgspec.msgpack.decode, secret=_SECRET, me=("bench", "1"))
        yield lambda bodies: asking.send(link, bodies), child.pid
        link.close()
    finally:
        child.kill()
        await child.wait()


async def paced(send: Send, seconds: float) -> list[float]:
    """Send at a fixed rate; return how long each turn took, in seconds."""
    rate, size = _PACED
    took: list[float] = []

    async def turn() -> None:
        begin = time.perf_counter()
        await send([_BODY] * size)
        took.append(time.perf_counter() - begin)

    async with asyncio.TaskGroup() as tasks:
        begin = time.perf_counter()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(begin + number / rate - time.perf_counter())
            tasks.create_task(turn())
    return took


async def full(send: Send, seconds: float) -> list[float]:
    """Keep turns in flight; return how long each took, in seconds."""
    lanes, size = _FULL
    took: list[float] = []
    until = time.perf_counter() + seconds

    async def lane() -> None:
        while (begin := time.perf_counter()) < until:
            await send([_BODY] * size)
            took.append(time.perf_counter() - begin)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(lanes):
            tasks.create_task(lane())
    return took


async def measure(way: str, send: Send, receiver: int, seconds: float) -> list[dict[str, Any]]:
    """Measure one way of sending under both loads."""
    both = [psutil.Process(), psutil.Process(receiver)]

    def cpu_s() -> float:
        return sum(sum(process.cpu_times()[:2]) for process in both)

    rows = []
    await paced(send, 1.0)  # Warm: the first calls open connections.
    for name, load, size in (("paced", paced, _PACED[1]), ("full", full, _FULL[1])):
        begin, used = time.perf_counter(), cpu_s()
        took = await load(send, seconds)
        used, lasted = cpu_s() - used, time.perf_counter() - begin
        messages = len(took) * size
        rows.append(
            {
                "way": way,
                "load": name,
                "messages_per_s": round(messages / lasted),
                "cpu_us_per_message": round(1e6 * used / messages, 1),
                "turn_p50_ms": round(1000 * statistics.median(took), 2),
                "turn_p99_ms": round(1000 * statistics.quantiles(took, n=100)[-1], 2),
            }
        )
    return rows


def empty_actors() -> dict[str, float]:
    """Return the private memory of a Ray actor that holds nothing, and how long one takes to start."""
    megabytes, took, actors = [], [], []
    for _ in range(_EMPTY):
        begin = time.perf_counter()
        actors.append(Empty.remote())  # Kept, as Ray ends an actor without a handle.
        pid = ray.get(actors[-1].pid.remote())
        took.append(time.perf_counter() - begin)
        megabytes.append(psutil.Process(pid).memory_full_info().uss / 1e6)
    return {"mb": round(statistics.median(megabytes), 1), "start_s": round(statistics.median(took), 2)}


async def compare(seconds: float) -> dict[str, Any]:
    """Measure all three ways, one after the other."""
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, configure_logging=False)
    actor = Sink.remote()
    pid = ray.get(actor.pid.remote())

    async def call(bodies: list[bytes]) -> None:
        await asyncio.gather(*(actor.take.remote(body) for body in bodies))

    async def call_batched(bodies: list[bytes]) -> None:
        await actor.take_many.remote(msgspec.msgpack.encode(bodies))

    rows = await measure("Ray call", call, pid, seconds)
    rows += await measure("batched Ray call", call_batched, pid, seconds)
    empty = empty_actors()
    ray.shutdown()
    async with linked() as (send, receiver):
        rows += await measure("link", send, receiver, seconds)
    return {
        "environment": environment(),
        "command": ["python", "-m", "benchmarks.links", *sys.argv[1:]],
        "rows": rows,
        "empty_ray_actor": empty,
    }


def main() -> int:
    """Parse the command line, measure, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.links", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    parser.add_argument("--json", type=Path, default=None, help="file for the figures; else stdout")
    parser.add_argument("--receive", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.receive:
        asyncio.run(receive())
        return 0
    keep(asyncio.run(compare(options.seconds)), options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
