"""The scenarios and the default suite."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from msgspec import Struct

from benchmarks.accounts import Account
from benchmarks.audit import page_of
from benchmarks.bench import PAGE, RING_CONTACTS, Bench
from benchmarks.client import Manner
from benchmarks.figures import figures, percentiles
from benchmarks.load import Load, Span
from benchmarks.pacing import everyone
from benchmarks.strikes import ROLES, killed
from benchmarks.usage import Cost

_SETTLE_S = 60.0
_CAPACITY_S = 6.0
_CROWD_WINDOW = 200
_AFTER_S = 10.0
_PAGES = 50


class Scenario(Struct, frozen=True):
    """One scenario.

    Attributes:
        name: What ``--only`` takes.
        title: For people.
        run: Does it, and returns its figures.
    """

    name: str
    title: str
    run: Callable[[Bench], Awaitable[dict[str, Any]]]


async def closed(bench: Bench, load: Load, window: int) -> dict[str, Any]:
    """Keep a window of messages on their way."""
    span, cost = await bench.measured(
        load.press(window, bench.warm_up_s, bench.options.seconds), bench.warm_up_s
    )
    return await _over(load, span, cost) | {"window": window}


async def open_loop(bench: Bench, load: Load, rate: float) -> dict[str, Any]:
    """Send at a fixed rate."""
    span, cost = await bench.measured(
        load.pace(rate, bench.warm_up_s, bench.options.seconds), bench.warm_up_s
    )
    return await _over(load, span, cost) | {"rate": rate}


async def _over(load: Load, span: Span, cost: Cost, *, written: bool = False) -> dict[str, Any]:
    began = time.monotonic()
    settled = await load.settle(_SETTLE_S)
    found = figures(load, span, cost, written=written)
    await load.leave()
    return found | {"settled": settled, "settled_after_s": round(time.monotonic() - began, 2)}


def _ring(window: int) -> Scenario:
    async def run(bench: Bench) -> dict[str, Any]:
        found = await closed(bench, await bench.ring(), window)
        bench.capacity = max(bench.capacity, found["delivered_per_s"])
        return found

    return Scenario(f"ring-{window}", f"ring, {window:,} outstanding", run)


def _crowd(users: int) -> Scenario:
    async def run(bench: Bench) -> dict[str, Any]:
        return await closed(bench, await bench.ring(users, f"ring{users}"), _CROWD_WINDOW)

    return Scenario(f"users-{users}", f"ring of {users:,} users, {_CROWD_WINDOW} outstanding", run)


def _fixed_rate(rate: int) -> Scenario:
    async def run(bench: Bench) -> dict[str, Any]:
        return await open_loop(bench, await bench.ring(), rate)

    return Scenario(f"rate-{rate}", f"ring, {rate:,} a second", run)


def _killed(role: str) -> Callable[[int], Scenario]:
    def scenario(rate: int) -> Scenario:
        title = f"ring, {rate:,} a second, a {role} killed"
        return Scenario(f"kill-{role}-{rate}", title, killed(role, rate))

    return scenario


def _all_to_all(window: int) -> Scenario:
    async def run(bench: Bench) -> dict[str, Any]:
        # New people each time: that neither has written to the other before is a part of it.
        people = await bench.crowd(f"all{window}", bench.options.users)
        load = bench.load(people, everyone(len(people)))
        await load.join()
        await bench.usage.discover()
        return await closed(bench, load, window)

    return Scenario(f"all-{window}", f"all to all, {window:,} outstanding", run)


async def _offline(bench: Bench) -> dict[str, Any]:
    """Write to people who are away; then all of them come at once."""
    people = await bench.crowd("offline", bench.options.users)
    half = len(people) // 2
    pairs = [(one, half + (one + step) % half) for one in range(half) for step in range(RING_CONTACTS)]
    load = bench.load(people, pairs)
    await load.join(range(half))
    await bench.usage.discover()
    span, cost = await bench.measured(load.press_unanswered(1000, bench.options.seconds))
    while load.ledger.unanswered:
        await load.movement()
    accepting = figures(load, span, cost)
    waiting = load.ledger.accepted

    async def drain() -> Span:
        began = time.perf_counter_ns()
        await load.join(range(half, len(people)))
        while load.ledger.delivered < waiting:
            await load.movement()
        return Span(began, time.perf_counter_ns())

    drained, drain_cost = await bench.measured(drain())
    found = await _over(load, span, cost)
    rate = round(waiting / drained.seconds)
    accepted = cost.figures(load.ledger.accepted_in(span.begin_ns, span.end_ns))
    return found | {
        "accepted_per_s": accepting["accepted_per_s"],
        "delivered_per_s": rate,
        "cpu_us": accepted["cpu_us"],
        "cpu_us_of_servers": accepted["cpu_us_of_servers"],
        "send_deliver_ms": {},
        "drain": {"messages": waiting, "per_s": rate} | drain_cost.figures(waiting),
    }


def _overload(factor: int) -> Scenario:
    async def run(bench: Bench) -> dict[str, Any]:
        if not bench.capacity:
            load = await bench.ring()
            span, _ = await bench.measured(load.press(1000, 1.0, _CAPACITY_S), 1.0)
            bench.capacity = load.ledger.delivered_in(span.begin_ns, span.end_ns) / span.seconds
            await load.settle(_SETTLE_S)
            await load.leave()
        # Others, who are online and silent meanwhile: what they meet afterwards is what is asked.
        after = await bench.ring(name="calm")
        load = await bench.ring(manner=Manner(insists=False, patient=bench.options.patient))
        rate = round(factor * bench.capacity)
        span, cost = await bench.measured(load.pace(rate, 0.0, bench.options.overload_s, hurries=True))
        ended = time.monotonic()
        quiet = asyncio.create_task(load.settle(_SETTLE_S))
        await asyncio.sleep(max(0.0, _AFTER_S - (time.monotonic() - ended)))
        calm, calm_cost = await bench.measured(after.pace(100, 0.0, bench.options.seconds))
        calmed = await _over(after, calm, calm_cost)
        settled = await quiet
        found = figures(load, span, cost, written=True)
        await load.leave()
        return found | {
            "rate": rate,
            "factor": factor,
            "capacity": round(bench.capacity),
            "patient": bench.options.patient,
            "settled": settled and calmed["settled"],
            "ten_seconds_later": calmed,
        }

    return Scenario(f"overload-{factor}x", f"{factor} times of what it can do", run)


def _idle(*, online: bool) -> Callable[[Bench], Awaitable[dict[str, Any]]]:
    async def run(bench: Bench) -> dict[str, Any]:
        load = await bench.ring() if online else None
        await bench.usage.discover()
        await asyncio.sleep(2.0)
        began = time.perf_counter_ns()

        async def wait() -> Span:
            await asyncio.sleep(bench.options.seconds)
            return Span(began, time.perf_counter_ns())

        span, cost = await bench.measured(wait())
        if load is not None:
            await load.leave()
        users = len(load.people) if load is not None else 0
        return {"users": users, "seconds": round(span.seconds, 1)} | cost.figures(0)

    return run


def _mailbox(entries: int) -> Scenario:
    async def run(bench: Bench) -> dict[str, Any]:
        """Fill the mailbox of a user who is away; then read pages of it."""
        senders = await bench.crowd("ring", bench.options.users)
        (owner,) = await bench.crowd(f"box{entries}", 1)
        people = [*senders, owner]
        load = bench.load(people, [(one, len(senders)) for one in range(len(senders))])
        await load.join(range(len(senders)))
        sent = 0
        while sent < entries:
            while load.ledger.unanswered >= min(500, entries):
                await load.movement()
            load.send_one(time.perf_counter_ns(), sent % len(senders))
            sent += 1
        while load.ledger.unanswered:
            await load.movement()
        for client in load.clients:
            client.leave()
        found = await _pages(bench, owner, entries)
        bench.cold.append((found, owner))
        # Its owner comes at last, so that the ledger can be closed.
        await load.join([len(senders)])
        settled = await load.settle(_SETTLE_S)
        await load.leave()
        found |= {"users": 1, "entries": entries, "settled": settled}
        return found

    return Scenario(f"mailbox-{entries}", f"pages of a mailbox of {entries:,}", run)


async def _pages(bench: Bench, owner: Account, entries: int) -> dict[str, Any]:
    """Time the first page, one from the middle, and the last one."""
    async with aiohttp.ClientSession(bench.system.http) as http:
        cursors = [0]
        for _ in range((entries - 1) // PAGE):
            cursors.append((await page_of(http, owner, cursors[-1], PAGE))["cursor"])
        found: dict[str, Any] = {}
        for name, begin in (("first", 0), ("middle", cursors[len(cursors) // 2]), ("last", cursors[-1])):
            took = []
            for _ in range(_PAGES):
                began = time.perf_counter()
                await page_of(http, owner, begin, PAGE)
                took.append((time.perf_counter() - began) * 1e3)
            found[f"{name}_page_ms"] = percentiles(took)
        return found


SUITE: tuple[Scenario, ...] = (
    Scenario("idle", "nobody online", _idle(online=False)),
    Scenario("idle-online", "all online, silent", _idle(online=True)),
    *(_fixed_rate(rate) for rate in (100, 800, 1600, 2400)),
    *(_ring(window) for window in (50, 200, 1000)),
    *(_all_to_all(window) for window in (50, 200, 1000)),
    Scenario("offline", "accept for people who are away; drain", _offline),
    *(_crowd(users) for users in (20, 2000)),
    *(_mailbox(entries) for entries in (100, 10_000)),
    *(_overload(factor) for factor in (2, 4)),
)
"""In the order in which they run; the overloads come last."""

_FAMILIES: dict[str, Callable[[int], Scenario]] = {
    "ring": _ring,
    "all": _all_to_all,
    "rate": _fixed_rate,
    "users": _crowd,
    "mailbox": _mailbox,
    **{f"kill-{role}": _killed(role) for role in ROLES},
}


def chosen(names: str) -> list[Scenario]:
    """Return the scenarios with these names, with commas between, or all.

    A name that ends in ``-*`` is a family of the suite; the number in ``ring-300`` or ``rate-816`` is free.

    Raises:
        ValueError: A name is unknown; the sentence lists the known ones.
    """
    return [each for name in names.split(",") for each in _named(name)] if names else list(SUITE)


def _named(name: str) -> list[Scenario]:
    family, _, size = name.rpartition("-")
    known = [each for each in SUITE if name in (each.name, f"{each.name.rpartition('-')[0]}-*")]
    if known:
        return known
    if family in _FAMILIES and size.isdigit() and int(size):
        return [_FAMILIES[family](int(size))]
    names = ", ".join(each.name for each in SUITE)
    raise ValueError(f"there is no scenario {name!r}; there are {names}, and {'-N, '.join(_FAMILIES)}-N")
