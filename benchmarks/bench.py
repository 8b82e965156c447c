"""A running system with people on it, and loads that are measured."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import aiohttp
from msgspec import Struct

from benchmarks.accounts import Account
from benchmarks.audit import page_of
from benchmarks.client import Manner
from benchmarks.ledger import Book
from benchmarks.load import Load, Span
from benchmarks.pacing import ring
from benchmarks.system import System
from benchmarks.usage import Cost, Usage

RING_CONTACTS = 10
PAGE = 100
"""Entries of a page of a mailbox."""


class Options(Struct, frozen=True):
    """What holds for all scenarios of a run.

    Attributes:
        users: People of a crowd, where the scenario does not say.
        seconds: Measured time of each scenario.
        warm_up: Share of it that runs before, unmeasured.
        overload_s: Measured time of an overload.
        capacity: Messages a second that an overload multiplies; 0: measured first.
        patient: In an overload, a device that was refused writes nothing until the time it was told is over.
        seed: Draws who writes when.
    """

    users: int = 200
    seconds: float = 10.0
    warm_up: float = 0.3
    overload_s: float = 30.0
    capacity: float = 0.0
    patient: bool = False
    seed: int = 1


class Bench:
    """A running system and who is on it.

    Attributes:
        loads: All loads so far; their ledgers are judged when the run is over.
        people: Everyone who has an account.
        cold: Mailboxes whose first page is to be timed after the restart, with the figures where that goes.
    """

    def __init__(self, system: System, options: Options, prefix: str = "load") -> None:
        self.system, self.options = system, options
        self.usage = Usage(system.processes)
        self.book = Book()
        self.loads: list[Load] = []
        self.people: list[Account] = []
        self.cold: list[tuple[dict[str, Any], Account]] = []
        self.capacity = options.capacity
        self._prefix = prefix
        self._crowds: dict[str, list[Account]] = {}

    async def crowd(self, name: str, count: int) -> list[Account]:
        """Return so many people who have not talked to others outside this crowd; made at the first call."""
        if name not in self._crowds:
            names = [f"{self._prefix}_{name}_{number}" for number in range(count)]
            self._crowds[name] = await self.system.sign_up(names)
            self.people += self._crowds[name]
        return self._crowds[name]

    def load(self, people: list[Account], pairs: list[tuple[int, int]], manner: Manner | None = None) -> Load:
        """Begin a load."""
        made = Load(
            self.system.http,
            people,
            pairs,
            self.book,
            seed=self.options.seed,
            manner=manner,
            client=self.system.client,
        )
        self.loads.append(made)
        return made

    async def measured(self, sending: Coroutine[Any, Any, Span], warm_up_s: float = 0.0) -> tuple[Span, Cost]:
        """Let a load send, and return when it was measured and what it cost."""
        watcher = asyncio.create_task(self.usage.watch())
        task = asyncio.create_task(sending)
        try:
            await asyncio.sleep(warm_up_s)
            self.usage.begin()
            span = await task
            return span, self.usage.end()
        finally:
            watcher.cancel()
            task.cancel()

    async def ring(self, users: int = 0, name: str = "ring", manner: Manner | None = None) -> Load:
        """Begin a load of people with ten contacts who write back; all are connected and have greeted."""
        people = await self.crowd(name, users or self.options.users)
        contacts = min(RING_CONTACTS, len(people) - 1)
        load = self.load(people, ring(len(people), contacts), manner)
        await load.join()
        await load.greet()
        await self.usage.discover()
        return load

    async def look_cold(self) -> None:
        """Time the first page of the mailboxes in ``cold``, on a server that has just started."""
        async with aiohttp.ClientSession(self.system.http) as http:
            for found, owner in self.cold:
                began = time.perf_counter()
                await page_of(http, owner, 0, PAGE)
                found["first_after_start_ms"] = round((time.perf_counter() - began) * 1e3, 2)

    @property
    def warm_up_s(self) -> float:
        """Unmeasured seconds at the beginning of a scenario."""
        return self.options.warm_up * self.options.seconds
