"""One fault: struck, healed, and over when all is well again."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

from msgspec import Struct

from cluster.local import passwords
from cluster.local.server_tls import ServerTls
from cluster.settings import Settings
from sim.faults.profiles import PROFILES, Act
from sim.faults.schedule import Strike
from sim.faults.system import System
from sim.ledger import now_us

_WELL_WITHIN_S: Final = 60.0
"""How long the system has until all is well again."""

_LOOK_EVERY_S: Final = 0.1
_FOUND_WITHIN_S: Final = 30.0


class NotStruck(Exception):  # noqa: N818 -- named for what happened
    """The fault could not be done; the sentence says why."""


class Struck(Struct, frozen=True):
    """A fault that was done. Times are microseconds of the machine's monotonic clock.

    Attributes:
        name: Of the profile.
        target: What was hit: a role or server by its name.
        begins_us: When it began.
        ends_us: When it was healed by us; when it began, if it was over at once.
        healed_us: When all was well again; None: not within the time it had.
        note: What was still not well then.
    """

    name: str
    target: str
    begins_us: int
    ends_us: int
    healed_us: int | None
    note: str = ""

    @property
    def recovery_s(self) -> float | None:
        """Seconds from the end of the fault until all was well."""
        return None if self.healed_us is None else (self.healed_us - self.ends_us) / 1e6


class _Hit(Struct):
    """What is being struck.

    Attributes:
        name: Its name, for the report.
        killed: The process that must be gone before all is well.
    """

    name: str
    killed: int | None = None


async def strike(system: System, plan: Strike) -> Struck:
    """Let it happen, heal it after its time, and wait until all is well; healed also when cancelled.

    Raises:
        NotStruck: It could not be done.
        NoDisk: The disk could not be filled.
        Unavailable: The push endpoint did not take its orders.
    """
    begins = now_us()
    async with _ACTS[PROFILES[plan.name].act](system, plan) as hit:
        begins = ends = now_us()
        if plan.lasts_s:
            await asyncio.sleep(plan.lasts_s)
            ends = now_us()
    note = await _well_again(system, hit)
    return Struck(plan.name, hit.name, begins, ends, None if note else now_us(), note)


async def _well_again(system: System, hit: _Hit) -> str:
    deadline = time.monotonic() + _WELL_WITHIN_S
    while trouble := await _trouble(system, hit):
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(_LOOK_EVERY_S)
    return trouble


async def _trouble(system: System, hit: _Hit) -> str:
    if hit.killed is not None and any(row["pid"] == hit.killed for row in await system.rows()):
        return f"{hit.name} is still process {hit.killed}"
    return await system.trouble()


# --- acts -----------------------------------------------------------------------------------------


@asynccontextmanager
async def _kill(system: System, plan: Strike) -> AsyncIterator[_Hit]:
    row = await _found(system, plan)
    os.kill(row["pid"], signal.SIGKILL)
    yield _Hit(row["name"], row["pid"])


@asynccontextmanager
async def _pause(system: System, plan: Strike) -> AsyncIterator[_Hit]:
    row = await _found(system, plan)
    os.kill(row["pid"], signal.SIGSTOP)
    try:
        yield _Hit(row["name"])
    finally:
        with contextlib.suppress(ProcessLookupError):  # it was replaced meanwhile
            os.kill(row["pid"], signal.SIGCONT)


@asynccontextmanager
async def _flush(system: System, plan: Strike) -> AsyncIterator[_Hit]:
    """Say FLUSHALL as Redis's protocol has it: a driver for one word would be too much."""
    row = await _found(system, plan)
    host, _, port = row["address"].rpartition(":")
    assert system.data is not None  # noqa: S101 -- the process was found by it
    tls = ServerTls.of(Settings.load({"data": system.data}))
    context = None if tls is None else tls.client().context()
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    try:
        password = passwords.file_of(system.data, "redis").read_text().strip()
        writer.write(f"AUTH {passwords.USER} {password}\r\nFLUSHALL\r\n".encode())
        answer = await reader.readline()
        answer = await reader.readline() if answer.startswith(b"+OK") else answer
    finally:
        writer.close()
    if not answer.startswith(b"+OK"):
        raise NotStruck(f"Redis answered FLUSHALL with {answer!r}.")
    yield _Hit(row["name"])


@asynccontextmanager
async def _cut(system: System, plan: Strike) -> AsyncIterator[_Hit]:
    proxy = system.proxies[plan.target]
    await proxy.refuse()
    try:
        yield _Hit(plan.target)
    finally:
        await proxy.heal()


@asynccontextmanager
async def _slow(system: System, plan: Strike) -> AsyncIterator[_Hit]:
    proxy = system.proxies[plan.target]
    proxy.delay(plan.amount)
    try:
        yield _Hit(f"{plan.target} by {plan.amount * 1000:.0f} ms")
    finally:
        await proxy.heal()


@asynccontextmanager
async def _fcm(system: System, plan: Strike) -> AsyncIterator[_Hit]:
    await system.behave(plan.name.removeprefix("fcm-"), plan.amount)
    try:
        yield _Hit("fcm")
    finally:
        await system.behave("ok")


@asynccontextmanager
async def _fill(system: System, plan: Strike) -> AsyncIterator[_Hit]:
    if system.disk is None:
        raise NotStruck(f"The data folder has no file system of its own for {plan.name}.")
    await system.disk.fill()
    try:
        yield _Hit("the data folder")
    finally:
        await system.disk.free()


@asynccontextmanager
async def _skew(_system: System, plan: Strike) -> AsyncIterator[_Hit]:
    """The clients have their clocks wrong by themselves, from the start (`clock_offset_ms`)."""
    yield _Hit(plan.target)


_ACTS: Final[dict[Act, Callable[[System, Strike], AbstractAsyncContextManager[_Hit]]]] = {
    "kill": _kill,
    "pause": _pause,
    "flush": _flush,
    "cut": _cut,
    "slow": _slow,
    "fcm": _fcm,
    "fill": _fill,
    "skew": _skew,
}


async def _found(system: System, plan: Strike) -> dict[str, Any]:
    """Return the row of the instance that the seed has drawn; waits while none of them runs."""
    deadline = time.monotonic() + _FOUND_WITHIN_S
    while True:
        there = [row for row in await system.rows() if row["role"] == plan.target and row.get("pid")]
        if there:
            return there[int(plan.draw * len(there))]
        if time.monotonic() > deadline:
            raise NotStruck(f"For {_FOUND_WITHIN_S:g} s no {plan.target} was there to be hit by {plan.name}.")
        await asyncio.sleep(_LOOK_EVERY_S)
