"""Alarms that the coordinator judges by itself, for pages that have no Prometheus behind them. Pure.

The names are those of the alert rules that mean the same (``deploy/prometheus/alerts.yml``); these here are
raised sooner, since who looks at a page looks at it now. What each one means, and what to do, is in
``docs/operations.md`` under its name.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from msgspec import Struct, field

from cluster.ops.wire import Alarm, NodeState
from cluster.supervision.membership import RUNNING, STARTING
from storage.event_records import Level

_RUNBOOK: Final = "docs/operations.md#"
_HOUR_S: Final = 3600.0
_CERTIFICATE_DAYS: Final = 14
_WRITES: Final = 20_000


class Situation(Struct):
    """What is judged.

    Attributes:
        now_ms: When it was so.
        values: The figures of the step.
        counted: By how much each count rose in the step.
        rows: Roles and servers, as in ``roost status --json``.
        own: Figures of each role.
        nodes: The machines.
        store_away_s: Seconds for which the store has not answered.
        started: Roles whose process started in the step.
        days_left: Days until each certificate ends, by name.
    """

    now_ms: int
    values: Mapping[str, float | None]
    counted: Mapping[str, float] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    own: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    nodes: list[NodeState] = field(default_factory=list)
    store_away_s: float = 0.0
    started: Iterable[str] = ()
    days_left: Mapping[str, int] = field(default_factory=dict)

    def value(self, name: str) -> float:
        """Return a figure, 0 where there is none."""
        return self.values.get(name) or 0.0


class Recent:
    """How much was counted in the last hour."""

    def __init__(self) -> None:
        self._counts: dict[str, deque[tuple[int, float]]] = {}

    def add(self, now_ms: int, counted: Mapping[str, float]) -> None:
        """Take what was counted in a step."""
        for name, count in counted.items():
            if count:
                self._counts.setdefault(name, deque()).append((now_ms, count))
        for counts in self._counts.values():
            while counts and now_ms - counts[0][0] > _HOUR_S * 1000:
                counts.popleft()
        self._counts = {name: counts for name, counts in self._counts.items() if counts}

    def rise(self, now_ms: int, name: str, within_s: float) -> float:
        """Return by how much it rose lately."""
        since = now_ms - within_s * 1000
        return sum(count for at_ms, count in self._counts.get(name, ()) if at_ms >= since)


class Rule(NamedTuple):
    """One condition.

    Attributes:
        name: Name.
        level: How much it matters.
        for_s: It has to hold for so long.
        text: Returns a sentence about it while it holds, '' while it does not.
    """

    name: str
    level: Level
    for_s: float
    text: Callable[[Situation, Recent], str]


class Change(NamedTuple):
    """An alarm that was raised, or cleared."""

    alarm: Alarm
    raised: bool


class Alarms:
    """Judges every rule at every step."""

    def __init__(self, rules: Iterable[Rule] | None = None) -> None:
        self._rules = RULES if rules is None else tuple(rules)
        self._recent = Recent()
        self._since: dict[str, int] = {}
        self._raised: dict[str, Alarm] = {}

    @property
    def raised(self) -> list[Alarm]:
        """Those that are raised, the oldest first."""
        return sorted(self._raised.values(), key=lambda alarm: (alarm.since_ms, alarm.name))

    def judge(self, now: Situation) -> list[Change]:
        """Return what changed by this situation."""
        self._recent.add(now.now_ms, now.counted)
        self._recent.add(now.now_ms, Counter(f"started.{name}" for name in now.started))
        return [change for rule in self._rules if (change := self._judge(rule, now)) is not None]

    def _judge(self, rule: Rule, now: Situation) -> Change | None:
        text = rule.text(now, self._recent)
        if not text:
            self._since.pop(rule.name, None)
            cleared = self._raised.pop(rule.name, None)
            return None if cleared is None else Change(cleared, raised=False)
        since_ms = self._since.setdefault(rule.name, now.now_ms)
        if now.now_ms - since_ms < rule.for_s * 1000:
            return None
        before = self._raised.get(rule.name)
        alarm = Alarm(rule.name, since_ms, text, rule.level, _RUNBOOK + rule.name.lower())
        self._raised[rule.name] = alarm
        return Change(alarm, raised=True) if before is None else None


# --- the conditions ----------------------------------------------------------------------------------


def _roles_away(now: Situation, _recent: Recent) -> str:
    roles = ("gateway", "host", "router", "pusher")
    away = [row for row in now.rows if row["role"] in roles and row["state"] != RUNNING]
    starting = [row["name"] for row in away if row["state"] == STARTING]
    silent = [row["name"] for row in away if row["state"] != STARTING]
    told = (
        _named(silent, "does not respond", "do not respond"),
        _named(starting, "has not", "have not", " started yet"),
    )
    return " ".join(filter(None, told))


def _servers_away(now: Situation, _recent: Recent) -> str:
    servers = ("kafka", "mongo", "redis", "fcm")
    away = [row["name"] for row in now.rows if row["role"] in servers and row["state"] != RUNNING]
    if away or not now.store_away_s:
        return _named(away, "does not run", "do not run")
    return f"MongoDB has not answered for {now.store_away_s:.0f} s."


def _restarts(now: Situation, recent: Recent) -> str:
    names = (row["name"] for row in now.rows)
    often = [name for name in names if recent.rise(now.now_ms, f"started.{name}", 900) > 2]  # noqa: PLR2004
    return _named(often, "was started", "were started", " more than twice in a quarter of an hour")


def _files(now: Situation, _recent: Recent) -> str:
    short = [name for name, of in now.own.items() if (of.get("fds") or 0) > 0.8 * (of.get("fds_most") or 1e9)]
    return _named(short, "uses", "use", " more than 80% of the files that they may open")


def _releases(now: Situation, _recent: Recent) -> str:
    found = sorted({row["release"] for row in now.rows if row.get("release")})
    return f"Roles of the releases {' and '.join(found)} run side by side." if len(found) > 1 else ""


def _lag(now: Situation, _recent: Recent) -> str:
    lag = now.value("lag_records")
    return f"{lag:,.0f} accepted records are not stored." if lag > 1000 else ""  # noqa: PLR2004


def _nothing_stored(now: Situation, _recent: Recent) -> str:
    waits = now.value("lag_records") > 0 and now.value("stored_per_s") == 0
    return f"{now.value('lag_records'):,.0f} records wait, and none is being stored." if waits else ""


def _slow(figure: str, most_ms: float, what: str) -> Callable[[Situation, Recent], str]:
    def text(now: Situation, _recent: Recent) -> str:
        found = now.value(figure)
        return f"{what} {found / 1000:.1f} s." if found > most_ms else ""

    return text


def _writes(now: Situation, _recent: Recent) -> str:
    full = [
        name for name, of in now.own.items() if name.startswith("host") and (of.get("queue") or 0) > _WRITES
    ]
    return _named(full, "has", "have", f" more than {_WRITES:,} writes waiting")


def _counted(name: str, within_s: float, what: str) -> Callable[[Situation, Recent], str]:
    def text(now: Situation, recent: Recent) -> str:
        count = recent.rise(now.now_ms, name, within_s)
        return f"{count:,.0f} {what}." if count else ""

    return text


def _more_than(figure: str, most: float, what: str) -> Callable[[Situation, Recent], str]:
    def text(now: Situation, _recent: Recent) -> str:
        found = now.value(figure)
        return f"{found:,.1f} {what}." if found > most else ""

    return text


def _displaced(now: Situation, _recent: Recent) -> str:
    rate, opened = now.value("displaced_per_s"), now.value("streams_opened_per_s")
    return f"{rate:.1f} streams a second are taken over by a newer one." if rate > max(1, opened / 5) else ""


def _disk(now: Situation, _recent: Recent) -> str:
    low = [
        node.address
        for node in now.nodes
        if node.disk_total_bytes and (node.disk_free_bytes or 0) < 0.1 * node.disk_total_bytes
    ]
    return _named(low, "has", "have", " less than a tenth of the disk free")


def _memory(now: Situation, _recent: Recent) -> str:
    low = [
        node.address
        for node in now.nodes
        if node.memory_total_bytes and (node.memory_bytes or 0) > 0.92 * node.memory_total_bytes
    ]
    return _named(low, "has", "have", " less than 8% of the memory available")


def _certificates(now: Situation, _recent: Recent) -> str:
    near = [f"{name} in {days} days" for name, days in now.days_left.items() if days < _CERTIFICATE_DAYS]
    return f"Certificates end: {', '.join(near)}." if near else ""


def _named(names: list[str], one: str, several: str, rest: str = "") -> str:
    return f"{', '.join(sorted(names))} {one if len(names) == 1 else several}{rest}." if names else ""


RULES: Final = (
    Rule("RoostRoleAway", "problem", 10, _roles_away),
    Rule("RoostServerAway", "problem", 4, _servers_away),
    Rule("RoostRoleRestarts", "warning", 0, _restarts),
    Rule("RoostFilesShort", "warning", 60, _files),
    Rule("RoostVersionsDiffer", "info", _HOUR_S, _releases),
    Rule(
        "RoostLogRefuses", "problem", 10, _counted("append_failures", 300, "records were refused by the log")
    ),
    Rule("RoostMailboxLag", "problem", 60, _lag),
    Rule("RoostNothingStored", "problem", 30, _nothing_stored),
    Rule("RoostAcceptSlow", "warning", 60, _slow("accept_p99_ms", 500, "One send in a hundred waits")),
    Rule("RoostDeliverySlow", "warning", 60, _slow("deliver_p99_ms", 1000, "One message in a hundred takes")),
    Rule("RoostStoreSlow", "warning", 60, _slow("store_commit_p95_ms", 1000, "One write in twenty takes")),
    Rule("RoostWritesWaiting", "warning", 60, _writes),
    Rule(
        "RoostLogLost", "problem", 0, _counted("log_lost", _HOUR_S, "times the log was lost and began again")
    ),
    Rule(
        "RoostLogDropped", "problem", 0, _counted("log_dropped", _HOUR_S, "records were dropped by the log")
    ),
    Rule("RoostPoisonRecords", "problem", 0, _counted("poison", _HOUR_S, "records became dead letters")),
    Rule("RoostChangesLost", "warning", 0, _counted("changes_lost", _HOUR_S, "announcements were given up")),
    Rule("RoostCacheAway", "warning", 10, _counted("without_cache", 60, "requests went on without Redis")),
    Rule(
        "RoostRedeliveryLoops",
        "warning",
        0,
        _counted("redelivery_loops", 1800, "devices get one entry in a loop"),
    ),
    Rule(
        "RoostEntriesMissed",
        "warning",
        0,
        _counted("missed", _HOUR_S, "devices missed entries that are gone"),
    ),
    Rule("RoostStreamsDisplaced", "warning", 60, _displaced),
    Rule(
        "RoostStreamsSlow", "warning", 60, _more_than("too_slow_per_s", 0.1, "streams a second do not read")
    ),
    Rule("RoostSendsRefused", "warning", 30, _more_than("refused_per_s", 1, "messages a second are refused")),
    Rule("RoostLimiterHits", "info", 60, _more_than("limited_per_s", 1, "requests a second meet a limiter")),
    Rule("RoostPushLag", "warning", 300, _more_than("push_lag_records", 1000, "wake-ups are not finished")),
    Rule("RoostWakeupsDead", "warning", 0, _counted("push.dead", _HOUR_S, "wake-ups were given up")),
    Rule("RoostWakeupsSlow", "warning", 60, _slow("wake_p95_ms", 30_000, "One wake-up in twenty takes")),
    Rule("RoostDiskLow", "problem", 10, _disk),
    Rule("RoostMemoryLow", "warning", 30, _memory),
    Rule("RoostCertificateEnds", "warning", 0, _certificates),
)
