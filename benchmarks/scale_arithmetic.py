"""The arithmetic to a billion users, by multiplication: prints the tables of ``docs/scale.md``.

Run as ``python -m benchmarks.scale_arithmetic``. Three kinds of numbers go in, each with its name here: what
was *measured* on two cores, what is *assumed* about people, and what is *allowed* to one process or server.
Nothing comes out that was measured at that size.

CPU is read from the results of a run of ``benchmarks.run`` that is kept; for another one, name its file here.
"""

import json
from math import ceil
from pathlib import Path
from typing import Any, Final, Self

import bson
from msgspec import Struct

from storage.mailbox_rows import MailboxDocument
from storage.mongo.buckets import buckets
from storage.records import MessageRecord, ReceiptRecord, encode_record

SIZES: Final = (1_000_000, 100_000_000, 1_000_000_000)
NAMES: Final = ("1 million", "100 million", "1 billion")
DAY_S: Final = 86_400

RESULTS: Final = "benchmarks/results/2026-11-28.json"
_ROLES_THERE: Final = 4  # in such a run: one of each


class Measured(Struct, frozen=True):
    """From this project's benchmarks: microseconds a message, KB a user, MB a process."""

    gateway_us: float
    router_us: float
    host_us: float
    others_us: float
    store_us: float
    broker_us: float
    redis_us: float
    coordinator_us_s: float
    receipts: float
    gateway_kb: float = 20.7
    host_kb: float = 6.4
    gateway_mb: float = 111
    host_mb: float = 102
    role_mb: float = 98

    @classmethod
    def of(cls, results: dict[str, Any]) -> Self:
        """Take a message's CPU from the busiest load, a role's cost to the coordinator from a calm one."""
        scenarios = {each["name"]: each for each in results["scenarios"]}
        busy, calm = scenarios["ring-1000"], scenarios["rate-100"]
        cpu = busy["cpu_us"]
        return cls(
            gateway_us=cpu["gateway"],
            router_us=cpu["router"],
            host_us=cpu["host"],
            others_us=cpu["coordinator"] + cpu["pusher"],
            store_us=cpu["store"],
            broker_us=cpu["broker"],
            redis_us=cpu["redis"],
            coordinator_us_s=calm["cores"]["coordinator"] * 1e6 / _ROLES_THERE,
            receipts=busy["receipts"] / (busy["delivered_per_s"] * busy["seconds"]),
        )


class Assumed(Struct, frozen=True):
    """About people and messages."""

    online: float = 0.25
    messages_a_day: float = 40
    peak: float = 3
    body_bytes: int = 400
    wakeups: float = 0.3
    kept_days: int = 30
    log_days: int = 3
    copies: int = 3
    ping_us: float = 10
    ping_every_s: float = 20


class Allowed(Struct, frozen=True):
    """To one process or server, at the peak."""

    busy: float = 0.5
    streams: int = 100_000
    actors: int = 200_000
    wakeups_s: float = 500
    store_inserts_s: float = 10_000
    store_tb: float = 4
    fcm_s: float = 10_000
    shards: int = 4_096
    least: int = 2


M = Measured.of(json.loads((Path(__file__).parents[1] / RESULTS).read_text()))
A, L = Assumed(), Allowed()

Rows = tuple[tuple[str, ...], ...]

_BUSY: Final = "1,000 outstanding"
_CALM: Final = "100 messages a second, four roles"
_IDLE: Final = "[operations](operations.md#memory), of 2026-11-23"

MEASURED: Final[Rows] = (
    (
        "CPU of a message: gateway, router, host, coordinator with pusher",
        f"{M.gateway_us:g}, {M.router_us:g}, {M.host_us:g}, {M.others_us:g} us",
        _BUSY,
    ),
    (
        "CPU of a message: embedded store, embedded broker, Redis",
        f"{M.store_us:g}, {M.broker_us:g}, {M.redis_us:g} us",
        _BUSY,
    ),
    ("receipt records for each message", f"{M.receipts:.2f}", _BUSY),
    (
        "CPU of the coordinator for each role, heartbeat 0.5 s",
        f"{M.coordinator_us_s / 1000:.1f} ms a second",
        _CALM,
    ),
    (
        "memory of an idle online user: gateway, host",
        f"{M.gateway_kb:g}, {M.host_kb:g} KB",
        _IDLE,
    ),
    (
        "memory of an idle gateway, host, other role",
        f"{M.gateway_mb:g}, {M.host_mb:g}, {M.role_mb:g} MB",
        _IDLE,
    ),
)
ASSUMED: Final[Rows] = (
    ("users with an open stream at the peak", f"{A.online:.0%}"),
    ("messages that a user sends a day", f"{A.messages_a_day:g}"),
    ("the busiest second against the mean", f"{A.peak:g} times"),
    ("body of a message; devices of a user", f"{A.body_bytes} bytes; one"),
    ("wake-ups for each message", f"{A.wakeups:g}"),
    (
        "entries are kept; the log is kept; copies of both",
        f"{A.kept_days} days; {A.log_days} days; {A.copies}",
    ),
    (
        f"CPU of a gateway for one keep-alive, every {A.ping_every_s:g} s",
        f"{A.ping_us:g} us, not measured",
    ),
)
ALLOWED: Final[Rows] = (
    ("of a core, at the peak", f"{L.busy:.0%}"),
    ("streams of one gateway process; users of one host process", f"{L.streams:,}; {L.actors:,}"),
    ("wake-ups a second of one pusher", f"{L.wakeups_s:,.0f}"),
    ("one shard of MongoDB", f"{L.store_inserts_s:,.0f} inserts a second, {L.store_tb:g} TB"),
    ("one FCM project (its default quota)", f"{L.fcm_s * 60:,.0f} a minute"),
    ("shards of one installation (`ROOST_SHARDS`)", f"{L.shards:,}"),
    ("processes of each role, at least", f"{L.least}"),
)


def sizes_of_a_message() -> tuple[int, int]:
    """Return the bytes of a message in the log, with its share of receipts, and in MongoDB."""
    user, device, cause = "u" * 36, "d" * 36, "0" * 36
    at = 1_795_000_000_000
    message = MessageRecord(
        user, cause, user, "a-usual-name", device, at, at, "sealed.v1", {device: b"x" * A.body_bytes}
    )
    receipt = ReceiptRecord(user, cause, user, "a-usual-name", 2**40, 2**40, at)
    record = encode_record(message)
    entry = MailboxDocument(
        user=user,
        seq=2**40,
        prev=2**40 - 9,
        kind="m",
        sender=user,
        sender_device=device,
        cause=cause,
        at_ms=at,
        record=record,
        messages=2**14,
        size=2**24,
    )
    return len(record) + round(M.receipts * len(encode_record(receipt))), len(
        bson.encode(next(buckets([entry])))
    )


class Need(Struct, frozen=True):
    """What so many users need."""

    users: int

    @property
    def online(self) -> float:
        """Users with an open stream."""
        return self.users * A.online

    @property
    def mean(self) -> float:
        """Messages a second over the day."""
        return self.users * A.messages_a_day / DAY_S

    @property
    def peak(self) -> float:
        """Messages in the busiest second."""
        return self.mean * A.peak

    @property
    def wakeups(self) -> float:
        """Wake-ups in that second."""
        return self.peak * A.wakeups

    @property
    def pings(self) -> float:
        """Keep-alives a second."""
        return self.online / A.ping_every_s

    @property
    def gateways(self) -> int:
        """Gateway processes, by CPU or by streams."""
        cpu = self.peak * M.gateway_us + self.pings * A.ping_us
        return _at_least(cpu / 1e6 / L.busy, self.online / L.streams)

    @property
    def hosts(self) -> int:
        """Host processes, by CPU or by users."""
        return _at_least(self.peak * M.host_us / 1e6 / L.busy, self.online / L.actors)

    @property
    def routers(self) -> int:
        """Router processes."""
        return _at_least(self.peak * M.router_us / 1e6 / L.busy)

    @property
    def pushers(self) -> int:
        """Pusher processes."""
        return _at_least(self.wakeups / L.wakeups_s)

    @property
    def roles(self) -> int:
        """All of them."""
        return self.gateways + self.hosts + self.routers + self.pushers

    @property
    def cores(self) -> float:
        """Cores that the roles keep half busy at the peak."""
        messages = self.peak * (M.gateway_us + M.router_us + M.host_us + M.others_us)
        return (messages + self.pings * A.ping_us) / 1e6 / L.busy

    @property
    def memory_gb(self) -> float:
        """Memory of the roles."""
        fixed = (
            self.gateways * M.gateway_mb + self.hosts * M.host_mb + (self.routers + self.pushers) * M.role_mb
        )
        return fixed / 1e3 + self.online * (M.gateway_kb + M.host_kb) / 1e6

    @property
    def log_mb_s(self) -> float:
        """Megabytes a second into the log at the peak, one copy."""
        return self.peak * sizes_of_a_message()[0] / 1e6

    @property
    def log_tb(self) -> float:
        """Terabytes of the log, all copies."""
        return self.mean * DAY_S * A.log_days * sizes_of_a_message()[0] * A.copies / 1e12

    @property
    def store_tb(self) -> float:
        """Terabytes of entries, one copy."""
        return self.mean * DAY_S * A.kept_days * sizes_of_a_message()[1] / 1e12

    @property
    def store_shards(self) -> int:
        """Shards of MongoDB, by inserts or by size; each is a replica set."""
        return max(1, ceil(self.peak / L.store_inserts_s), ceil(self.store_tb / L.store_tb))

    @property
    def quota(self) -> float:
        """Share of one FCM project's default quota."""
        return self.wakeups / L.fcm_s

    @property
    def cells(self) -> int:
        """Installations: what one coordinator looks after with a heartbeat of 2 s, and one Redis carries."""
        return max(1, ceil(self.roles / roles_of_a_coordinator(2.0)), ceil(self.peak / redis_messages_s()))


def _at_least(*needs: float) -> int:
    return max(L.least, *(ceil(each) for each in needs))


def roles_of_a_coordinator(heartbeat_s: float) -> int:
    """Return how many roles keep a coordinator's core half busy."""
    return int(L.busy * 1e6 / (M.coordinator_us_s * 0.5 / heartbeat_s))


def redis_messages_s() -> int:
    """Return how many messages a second keep one Redis half busy: it works on one core."""
    return int(L.busy * 1e6 / M.redis_us)


def tables() -> str:
    """Return the tables in Markdown."""
    return "\n".join([*_inputs(), "", *_results(), "", *_limits()])


def _inputs() -> list[str]:
    return [
        _row("input", "figure", "kind"),
        "|---|---|---|",
        *(_row(what, figure, f"measured: {where}") for what, figure, where in MEASURED),
        *(_row(*each, "assumed") for each in ASSUMED),
        *(_row(*each, "allowed") for each in ALLOWED),
    ]


def _results() -> list[str]:
    needs = [Need(size) for size in SIZES]
    log_bytes, store_bytes = sizes_of_a_message()
    rows = (
        ("online at the peak", "online", ",.0f"),
        ("messages a second, mean", "mean", ",.0f"),
        ("messages a second, peak", "peak", ",.0f"),
        ("wake-ups a second, peak", "wakeups", ",.0f"),
        ("keep-alives a second", "pings", ",.0f"),
        ("gateways", "gateways", ",d"),
        ("hosts", "hosts", ",d"),
        ("routers", "routers", ",d"),
        ("pushers", "pushers", ",d"),
        ("cores of the roles", "cores", ",.0f"),
        ("memory of the roles, GB", "memory_gb", ",.0f"),
        (f"into Kafka at the peak, one copy, {log_bytes} bytes a message, MB/s", "log_mb_s", ",.1f"),
        ("in Kafka, all copies, TB", "log_tb", ",.1f"),
        (f"in MongoDB, one copy, {store_bytes} bytes a message, TB", "store_tb", ",.1f"),
        ("shards of MongoDB, each three servers", "store_shards", ",d"),
        ("FCM's default quota, used", "quota", ",.0%"),
        ("installations (cells)", "cells", ",d"),
    )
    return [
        _row("users", *NAMES),
        "|---|" + "---|" * len(SIZES),
        *(_row(title, *(format(getattr(need, name), form) for need in needs)) for title, name, form in rows),
    ]


def _limits() -> list[str]:
    return [
        _row("limit of one cell", "figure", "from"),
        "|---|---|---|",
        _row(
            "roles, heartbeat 0.5 s", f"{roles_of_a_coordinator(0.5):,}", "the coordinator's core, half busy"
        ),
        _row("roles, heartbeat 2 s", f"{roles_of_a_coordinator(2.0):,}", "the same"),
        _row("messages a second", f"{redis_messages_s():,}", "one Redis, its core half busy"),
    ]


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    print(tables())
